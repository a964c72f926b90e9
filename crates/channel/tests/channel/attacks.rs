use std::sync::Arc;

use ockam_channel::{
    Established, HandshakeError, Initiator, LocalIdentity, Offer, Responder, StaticKey,
};
use ockam_identity::{PurposeKeyAttestation, UnixTime, VerifiedHistory};
use ockam_vault::X25519Secret;

use crate::vector::{
    Handshake, NOW, a, accept_anyone, b, history, identity, provider, secret, static_key,
};

#[test]
fn every_flipped_bit_of_message_2_is_refused_and_the_right_one_is_accepted_afterwards() {
    let Handshake {
        message_2,
        mut initiator,
        responder,
        ..
    } = Handshake::published();
    for index in 0..message_2.len() {
        for bit in [0, 3, 7] {
            let mut damaged = message_2.clone();
            damaged[index] ^= 1 << bit;
            initiator = match initiator.handle_message_2(NOW, &damaged, &mut accept_anyone) {
                // X25519 ignores the top bit of a public key; the transcript does not.
                Ok(_) => panic!("byte {index} bit {bit} was accepted"),
                Err(refused) => refused.state,
            };
        }
    }
    let (message_3, _) = initiator
        .handle_message_2(NOW, &message_2, &mut accept_anyone)
        .unwrap();
    responder
        .handle_message_3(NOW, &message_3, &mut accept_anyone)
        .unwrap();
}

#[test]
fn every_flipped_bit_of_message_3_is_refused_and_the_right_one_is_accepted_afterwards() {
    let Handshake {
        message_2,
        initiator,
        mut responder,
        ..
    } = Handshake::published();
    let (message_3, mut established) = initiator
        .handle_message_2(NOW, &message_2, &mut accept_anyone)
        .unwrap();
    for index in 0..message_3.len() {
        for bit in [0, 3, 7] {
            let mut damaged = message_3.clone();
            damaged[index] ^= 1 << bit;
            responder = responder
                .handle_message_3(NOW, &damaged, &mut accept_anyone)
                .unwrap_err()
                .state;
        }
    }
    let mut other = responder
        .handle_message_3(NOW, &message_3, &mut accept_anyone)
        .unwrap();
    let record = established
        .sender
        .seal(crate::vector::buffer(b"text"))
        .unwrap();
    assert!(other.receiver.open(record).is_ok());
}

#[test]
fn shortened_and_lengthened_messages_are_refused_and_the_right_ones_accepted_afterwards() {
    let Handshake {
        message_1,
        message_2,
        mut initiator,
        mut responder,
    } = Handshake::published();
    for length in (0..message_2.len()).chain([message_2.len() + 1, 65_535, 65_536, 100_000]) {
        let mut wrong = message_2.clone();
        wrong.resize(length, 0);
        initiator = initiator
            .handle_message_2(NOW, &wrong, &mut accept_anyone)
            .unwrap_err()
            .state;
    }
    let (message_3, _) = initiator
        .handle_message_2(NOW, &message_2, &mut accept_anyone)
        .unwrap();
    for length in (0..message_3.len()).chain([message_3.len() + 1, 65_535, 65_536, 100_000]) {
        let mut wrong = message_3.clone();
        wrong.resize(length, 0);
        responder = responder
            .handle_message_3(NOW, &wrong, &mut accept_anyone)
            .unwrap_err()
            .state;
    }
    responder
        .handle_message_3(NOW, &message_3, &mut accept_anyone)
        .unwrap();

    let mut waiting = Responder::new(provider(), b(), ephemeral(2), &Offer::default()).unwrap();
    for length in (0..32).chain([65_536]) {
        waiting = waiting.read_message_1(&vec![9; length]).unwrap_err().state;
    }
    waiting.read_message_1(&message_1).unwrap();
}

#[test]
fn changed_content_of_message_1_is_noticed_by_the_transcript() {
    let offer = Offer {
        hello: vec![5; 2048],
        extensions: Vec::new(),
    };
    let (mut initiator, message_1) =
        Initiator::start(provider(), a(), ephemeral(1), offer).unwrap();
    for index in (32..message_1.len()).step_by(97) {
        let mut changed = message_1.clone();
        changed[index] ^= 1;
        let (_, message_2) = respond(&changed);
        let refused = initiator
            .handle_message_2(NOW, &message_2, &mut accept_anyone)
            .unwrap_err();
        assert!(
            matches!(refused.error, HandshakeError::NotAuthentic),
            "byte {index}"
        );
        initiator = refused.state;
    }
    let (_, message_2) = respond(&message_1[..32]);
    let initiator = initiator
        .handle_message_2(NOW, &message_2, &mut accept_anyone)
        .unwrap_err()
        .state;
    let (responder, message_2) = respond(&message_1);
    let (message_3, _) = initiator
        .handle_message_2(NOW, &message_2, &mut accept_anyone)
        .unwrap();
    assert_eq!(
        responder
            .handle_message_3(NOW, &message_3, &mut accept_anyone)
            .unwrap()
            .hello,
        vec![5; 2048]
    );
}

#[test]
fn guard_11_2_03_points_of_small_order_are_refused_wherever_they_come_in_the_clear() {
    for point in small_order_points() {
        let waiting = Responder::new(provider(), b(), ephemeral(2), &Offer::default()).unwrap();
        let refused = waiting.read_message_1(&point).unwrap_err();
        assert!(
            matches!(refused.error, HandshakeError::WeakKey),
            "{point:02x?}"
        );
        // The responder goes on waiting for a real one.
        let Handshake {
            message_1,
            message_2,
            initiator,
            ..
        } = Handshake::published();
        refused.state.read_message_1(&message_1).unwrap();

        let mut weak = message_2;
        weak[..32].copy_from_slice(&point);
        let refused = initiator
            .handle_message_2(NOW, &weak, &mut accept_anyone)
            .unwrap_err();
        assert!(
            matches!(refused.error, HandshakeError::WeakKey),
            "{point:02x?}"
        );
    }
}

#[test]
fn an_identity_whose_key_the_peer_does_not_hold_is_refused() {
    // B's history and attestation, with a static key of the attacker.
    let impostor = Arc::new(LocalIdentity {
        static_key: static_key([0x77; 32]),
        ..identity(1, Vec::new())
    });
    let (initiator, message_1) =
        Initiator::start(provider(), a(), ephemeral(1), Offer::default()).unwrap();
    let responder = Responder::new(
        provider(),
        Arc::clone(&impostor),
        ephemeral(2),
        &Offer::default(),
    )
    .unwrap();
    let (_, message_2) = responder.read_message_1(&message_1).unwrap();
    let refused = initiator
        .handle_message_2(NOW, &message_2, &mut accept_anyone)
        .unwrap_err();
    assert!(matches!(
        refused.error,
        HandshakeError::StaticKeyNotAttested
    ));

    let (initiator, message_1) =
        Initiator::start(provider(), impostor, ephemeral(1), Offer::default()).unwrap();
    let (responder, message_2) = respond(&message_1);
    let (message_3, _) = initiator
        .handle_message_2(NOW, &message_2, &mut accept_anyone)
        .unwrap();
    let refused = responder
        .handle_message_3(NOW, &message_3, &mut accept_anyone)
        .unwrap_err();
    assert!(matches!(
        refused.error,
        HandshakeError::StaticKeyNotAttested
    ));
}

#[test]
fn an_attestation_of_another_subject_purpose_or_history_is_refused() {
    let own = identity(0, Vec::new());
    let a_key = || own.static_key.clone();
    let attestation = |index| identity_attestation(index);
    let presented =
        |history: VerifiedHistory, attestation: PurposeKeyAttestation, static_key: StaticKey| {
            let identity = LocalIdentity {
                history,
                static_key,
                attestation,
                credentials: Vec::new(),
            };
            let (initiator, message_1) = Initiator::start(
                provider(),
                Arc::new(identity),
                ephemeral(1),
                Offer::default(),
            )
            .unwrap();
            let (responder, message_2) = respond(&message_1);
            let (message_3, _) = initiator
                .handle_message_2(NOW, &message_2, &mut accept_anyone)
                .unwrap();
            responder
                .handle_message_3(NOW, &message_3, &mut accept_anyone)
                .map(|_| ())
                .map_err(|refused| refused.error)
        };
    // The attacker holds A's key and attestation, but claims to be B.
    let refused = presented(history(1), attestation(0), a_key());
    assert!(matches!(refused, Err(HandshakeError::Attestation(_))));
    // C attests a credential key only.
    let refused = presented(history(2), attestation(2), a_key());
    assert!(matches!(refused, Err(HandshakeError::Attestation(_))));
    // A has rotated, and its old attestation with it.
    let refused = presented(history(3), attestation(0), a_key());
    assert!(matches!(refused, Err(HandshakeError::Attestation(_))));
    assert!(presented(history(0), attestation(0), a_key()).is_ok());
}

#[test]
fn an_attestation_counts_only_in_its_time() {
    for (now, accepted) in [
        (1_699_999_900, false),
        (1_700_000_010 - 60, true),
        (4_102_444_790, true),
        (4_102_444_791, false),
    ] {
        let Handshake {
            message_2,
            initiator,
            ..
        } = Handshake::published();
        let outcome = initiator.handle_message_2(UnixTime(now), &message_2, &mut accept_anyone);
        assert_eq!(outcome.is_ok(), accepted, "{now}");
    }
}

#[test]
fn messages_of_one_handshake_are_worth_nothing_in_another() {
    let first = Handshake::published();
    let (message_3, _) = first
        .initiator
        .handle_message_2(NOW, &first.message_2, &mut accept_anyone)
        .unwrap();
    let (initiator, message_1) =
        Initiator::start(provider(), a(), ephemeral(9), Offer::default()).unwrap();
    let replayed = initiator
        .handle_message_2(NOW, &first.message_2, &mut accept_anyone)
        .unwrap_err();
    assert!(matches!(replayed.error, HandshakeError::NotAuthentic));
    let (responder, _) = respond(&message_1);
    let replayed = responder
        .handle_message_3(NOW, &message_3, &mut accept_anyone)
        .unwrap_err();
    assert!(matches!(replayed.error, HandshakeError::NotAuthentic));
    // Message 1 again, at a responder with another ephemeral key.
    let responder = Responder::new(provider(), b(), ephemeral(8), &Offer::default()).unwrap();
    let (responder, message_2) = responder.read_message_1(&first.message_1).unwrap();
    assert_ne!(message_2, first.message_2);
    assert!(
        responder
            .handle_message_3(NOW, &message_3, &mut accept_anyone)
            .is_err()
    );
}

#[test]
fn a_message_sent_back_to_its_sender_is_refused() {
    let Handshake {
        message_1,
        message_2,
        initiator,
        responder,
    } = Handshake::published();
    let initiator = initiator
        .handle_message_2(NOW, &message_1, &mut accept_anyone)
        .unwrap_err()
        .state;
    let responder = responder
        .handle_message_3(NOW, &message_2, &mut accept_anyone)
        .unwrap_err()
        .state;
    let (message_3, _) = initiator
        .handle_message_2(NOW, &message_2, &mut accept_anyone)
        .unwrap();
    responder
        .handle_message_3(NOW, &message_3, &mut accept_anyone)
        .unwrap();
}

#[test]
fn debug_output_shows_no_secret() {
    let mut shown = String::new();
    let handshake = Handshake::published();
    shown += &format!(
        "{:?} {:?} {:?}",
        handshake.initiator,
        handshake.responder,
        a()
    );
    let (initiator, responder) = handshake.finish();
    shown += &format!("{initiator:?} {responder:?}");
    // Secrets of the vectors are one byte repeated; keys are looked for as hexadecimal and as lists.
    for secret in [
        "5151",
        "5252",
        "6161",
        "6262",
        "81, 81, 81",
        "82, 82, 82",
        "97, 97, 97",
        "98, 98, 98",
        "d969082a",
    ] {
        assert!(!shown.contains(secret), "{secret}: {shown}");
    }
}

/// A channel between the same parties with other ephemeral keys.
pub(crate) fn other_channel() -> (Established, Established) {
    let (initiator, message_1) =
        Initiator::start(provider(), a(), ephemeral(3), Offer::default()).unwrap();
    let (responder, message_2) = respond(&message_1);
    let (message_3, initiator) = initiator
        .handle_message_2(NOW, &message_2, &mut accept_anyone)
        .unwrap();
    let responder = responder
        .handle_message_3(NOW, &message_3, &mut accept_anyone)
        .unwrap();
    (initiator, responder)
}

fn respond(message_1: &[u8]) -> (ockam_channel::AwaitingInitiator, Vec<u8>) {
    let responder = Responder::new(provider(), b(), ephemeral(2), &Offer::default()).unwrap();
    responder.read_message_1(message_1).unwrap()
}

fn identity_attestation(index: usize) -> PurposeKeyAttestation {
    let purpose_keys: serde_json::Value =
        serde_json::from_str(include_str!("../../../../vectors/purpose_key.json")).unwrap();
    let encoded = &purpose_keys["attestations"][index]["attestation_hex"];
    PurposeKeyAttestation::decode(&crate::vector::bytes(encoded)).unwrap()
}

fn ephemeral(filler: u8) -> X25519Secret {
    secret([filler; 32])
}

/// The points whose order divides eight on the curve and its twist, in every encoding below 2^255, and with the ignored
/// top bit set.
fn small_order_points() -> Vec<[u8; 32]> {
    let points = [
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
        "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    ];
    let points = points.map(|point| <[u8; 32]>::try_from(hex::decode(point).unwrap()).unwrap());
    let with_top_bit = points.map(|mut point| {
        point[31] |= 0x80;
        point
    });
    points.into_iter().chain(with_top_bit).collect()
}
