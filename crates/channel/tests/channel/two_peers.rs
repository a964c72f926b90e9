use ockam_channel::{
    ChannelMessage, Extensions, HandshakeError, Initiator, MAX_CREDENTIALS, MAX_HANDSHAKE_MESSAGE,
    Offer, PayloadError, Rejected, Responder,
};
use ockam_identity::{CredentialBundle, Purpose, UnixTime, VerifiedHistory};
use ockam_wire::{Address, Buffer, Route, RoutingMessage};

use crate::vector::{
    Handshake, NOW, accept_anyone, b, buffer, channel, history, identity, provider, secret,
};

#[test]
fn messages_travel_both_ways_across_many_key_intervals() {
    let (mut initiator, mut responder) = channel();
    for round in 0..200u64 {
        let text = format!("round {round}");
        let record = initiator.sender.seal(message(text.as_bytes())).unwrap();
        assert_eq!(
            payload(responder.receiver.open(record).unwrap().1),
            text.as_bytes()
        );
        let record = responder.sender.seal(message(text.as_bytes())).unwrap();
        assert_eq!(
            payload(initiator.receiver.open(record).unwrap().1),
            text.as_bytes()
        );
    }
}

#[test]
fn extensions_are_offered_and_seen_by_the_other_side() {
    let offer = Offer {
        hello: Vec::new(),
        extensions: Extensions::default().with_streams(1).encode(),
    };
    let (initiator, responder) = Handshake::with(&offer, &Offer::default()).finish();
    assert_eq!(responder.peer.extensions().streams, Some(1));
    assert_eq!(initiator.peer.extensions(), Extensions::default());
    let (initiator, responder) = Handshake::with(&Offer::default(), &offer).finish();
    assert_eq!(initiator.peer.extensions().streams, Some(1));
    assert_eq!(responder.peer.extensions().streams, None);
}

#[test]
fn two_kibibytes_of_unknown_content_are_carried_in_every_message() {
    let unknown = |filler: u8| {
        let mut item = vec![0x59, 0x08, 0x00];
        item.resize(3 + 2048, filler);
        item
    };
    let offer = |filler| Offer {
        hello: vec![filler; 2048],
        extensions: unknown(filler),
    };
    let handshake = Handshake::with(&offer(7), &offer(8));
    assert_eq!(handshake.message_1.len(), 32 + 2048);
    let (initiator, responder) = handshake.finish();
    assert_eq!(responder.hello, vec![7; 2048]);
    assert_eq!(initiator.hello, responder.hello);
    assert_eq!(responder.peer.extension_bytes(), unknown(7));
    assert_eq!(initiator.peer.extension_bytes(), unknown(8));
    assert_eq!(initiator.peer.extensions(), Extensions::default());
    assert_eq!(initiator.transcript_hash, responder.transcript_hash);
    assert_ne!(initiator.transcript_hash, channel().0.transcript_hash);
}

#[test]
fn unknown_content_passes_up_to_the_message_limit() {
    // Message 2 is e, the sealed static key, and the sealed payload of B: 32 + 48 + 356 + 16.
    let room = MAX_HANDSHAKE_MESSAGE - (32 + 48 + 356 + 16);
    let item = |length: usize| {
        let mut item = vec![0x59];
        item.extend_from_slice(&u16::try_from(length - 3).unwrap().to_be_bytes());
        item.resize(length, 0);
        item
    };
    let offer = |length| Offer {
        hello: Vec::new(),
        extensions: item(length),
    };
    let handshake = Handshake::with(&Offer::default(), &offer(room));
    assert_eq!(handshake.message_2.len(), MAX_HANDSHAKE_MESSAGE);
    let (initiator, _) = handshake.finish();
    assert_eq!(initiator.peer.extension_bytes().len(), room);

    let refused = Responder::new(provider(), b(), secret([1; 32]), &offer(room + 1)).unwrap_err();
    assert!(
        matches!(refused, HandshakeError::OfferTooLong { length } if length == MAX_HANDSHAKE_MESSAGE + 1)
    );
    let hello = Offer {
        hello: vec![0; MAX_HANDSHAKE_MESSAGE - 31],
        extensions: Vec::new(),
    };
    let refused = Initiator::start(provider(), b(), secret([1; 32]), hello).unwrap_err();
    assert!(matches!(refused, HandshakeError::OfferTooLong { .. }));
}

#[test]
fn an_offer_that_is_not_one_item_is_not_sent() {
    for extensions in [vec![0xa0, 0xa0], vec![0xa1], vec![0xff]] {
        let offer = Offer {
            hello: Vec::new(),
            extensions,
        };
        let refused = Initiator::start(provider(), b(), secret([1; 32]), offer).unwrap_err();
        assert!(matches!(refused, HandshakeError::Offer(_)));
    }
}

#[test]
fn more_credentials_than_are_read_are_not_sent() {
    let bundle = || CredentialBundle::decode(&[0x80]).unwrap();
    let many = |count| std::sync::Arc::new(identity(0, (0..count).map(|_| bundle()).collect()));
    Initiator::start(
        provider(),
        many(MAX_CREDENTIALS),
        secret([1; 32]),
        Offer::default(),
    )
    .unwrap();
    let refused = Initiator::start(
        provider(),
        many(MAX_CREDENTIALS + 1),
        secret([1; 32]),
        Offer::default(),
    );
    assert!(matches!(
        refused,
        Err(HandshakeError::Offer(PayloadError::TooManyCredentials))
    ));
}

#[test]
fn a_peer_the_driver_refuses_gets_no_message_3_and_leaves_the_initiator_waiting() {
    let Handshake {
        message_2,
        initiator,
        ..
    } = Handshake::published();
    let mut refuse = |_: &VerifiedHistory| Err(Rejected::NotTrusted);
    let refused = initiator
        .handle_message_2(NOW, &message_2, &mut refuse)
        .unwrap_err();
    assert!(matches!(
        refused.error,
        HandshakeError::Rejected(Rejected::NotTrusted)
    ));
    refused
        .state
        .handle_message_2(NOW, &message_2, &mut accept_anyone)
        .unwrap();
}

#[test]
fn the_driver_may_look_at_the_peer_before_it_decides() {
    let Handshake {
        message_2,
        initiator,
        responder,
        ..
    } = Handshake::published();
    let presented = initiator.read_message_2(NOW, &message_2).unwrap();
    assert_eq!(presented.history().identifier(), b().history.identifier());
    let initiator = presented.refuse();
    let (message_3, _) = initiator
        .read_message_2(NOW, &message_2)
        .unwrap()
        .accept(&mut accept_anyone)
        .unwrap();
    let presented = responder.read_message_3(NOW, &message_3).unwrap();
    assert_eq!(presented.credentials().len(), 1);
    presented
        .refuse()
        .read_message_3(NOW, &message_3)
        .unwrap()
        .accept(&mut accept_anyone)
        .unwrap();
}

#[test]
fn the_check_sees_only_peers_that_proved_their_key() {
    let Handshake {
        message_2,
        initiator,
        ..
    } = Handshake::published();
    let mut asked = 0;
    let mut count = |_: &VerifiedHistory| {
        asked += 1;
        Ok(())
    };
    let mut damaged = message_2.clone();
    *damaged.last_mut().unwrap() ^= 1;
    let initiator = initiator
        .handle_message_2(NOW, &damaged, &mut count)
        .unwrap_err()
        .state;
    // The attestation has expired by then.
    let late = UnixTime(u64::from(u32::MAX));
    let refused = initiator
        .handle_message_2(late, &message_2, &mut count)
        .unwrap_err();
    assert!(matches!(refused.error, HandshakeError::Attestation(_)));
    assert_eq!(asked, 0);
}

#[test]
fn a_channel_can_move_between_threads() {
    fn movable<T: Send + Sync + 'static>(_: &T) {}
    let handshake = Handshake::published();
    movable(&handshake.initiator);
    movable(&handshake.responder);
    movable(&channel());
}

#[test]
fn the_attestation_of_the_peer_can_be_verified_again_later() {
    let (initiator, responder) = channel();
    assert_eq!(
        initiator.peer.attestation().as_bytes(),
        b().attestation.as_bytes()
    );
    // A has rotated meanwhile: the channel rests on a key its identity no longer attests.
    let verify = |history: &VerifiedHistory| {
        responder
            .peer
            .attestation()
            .verify(provider(), history, NOW, Purpose::SecureChannel)
    };
    assert!(verify(responder.peer.history()).is_ok());
    assert!(verify(&history(3)).is_err());
}

#[test]
fn a_sealed_payload_stays_in_its_allocation() {
    let (mut initiator, mut responder) = channel();
    let mut body = Buffer::with_headroom(256, 1000, 64);
    body.append(&[7; 1000]);
    let place = body.as_slice().as_ptr();
    let message = RoutingMessage {
        onward: route("service"),
        return_route: route("app"),
        payload: body,
    };
    let record = initiator
        .sender
        .seal(ChannelMessage::Payload(message).encode().unwrap())
        .unwrap();
    let (_, plaintext) = responder.receiver.open(record).unwrap();
    let ChannelMessage::Payload(message) = ChannelMessage::decode(plaintext).unwrap() else {
        panic!("not a payload")
    };
    assert_eq!(message.payload.as_slice(), [7; 1000]);
    assert_eq!(message.payload.as_slice().as_ptr(), place);
}

#[test]
fn a_record_without_room_is_copied_and_still_right() {
    let (mut initiator, mut responder) = channel();
    let record = initiator
        .sender
        .seal(Buffer::from_bytes(b"bare".as_slice().into(), 0))
        .unwrap();
    assert_eq!(
        responder.receiver.open(record).unwrap().1.as_slice(),
        b"bare"
    );
}

#[test]
fn channels_inside_of_channels_seal_the_same_buffer_again() {
    let (mut outer_out, mut outer_in) = channel();
    let (mut inner_out, mut inner_in) = channel();
    let record = inner_out.sender.seal(message(b"nested")).unwrap();
    let place = record.as_slice().as_ptr();
    let message = RoutingMessage {
        onward: route("decryptor"),
        return_route: Route::new(),
        payload: record,
    };
    let record = outer_out
        .sender
        .seal(ChannelMessage::Payload(message).encode().unwrap())
        .unwrap();
    let (_, plaintext) = outer_in.receiver.open(record).unwrap();
    let ChannelMessage::Payload(message) = ChannelMessage::decode(plaintext).unwrap() else {
        panic!("not a payload")
    };
    assert_eq!(message.payload.as_slice().as_ptr(), place);
    assert_eq!(
        payload(inner_in.receiver.open(message.payload).unwrap().1),
        b"nested"
    );
}

fn message(body: &[u8]) -> Buffer {
    let message = RoutingMessage {
        onward: route("service"),
        return_route: route("app"),
        payload: buffer(body),
    };
    ChannelMessage::Payload(message).encode().unwrap()
}

fn payload(plaintext: Buffer) -> Vec<u8> {
    match ChannelMessage::decode(plaintext).unwrap() {
        ChannelMessage::Payload(message) => message.payload.as_slice().to_vec(),
        other => panic!("{other:?}"),
    }
}

fn route(name: &str) -> Route {
    Route::from_hops([Address::local(name).unwrap()]).unwrap()
}
