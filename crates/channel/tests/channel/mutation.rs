//! Every decoder under mutated input: nothing panics, nothing but the original is accepted where a tag protects it, and what
//! was decoded can be encoded again. Deterministic, so a failure is found again.

use ockam_channel::{ChannelMessage, Extensions, Offer, Responder};

use crate::mutated::Random;
use crate::vector::{
    Handshake, NOW, accept_anyone, b, buffer, bytes, channel, provider, secret, transport,
};

#[test]
fn mutated_handshake_messages_never_panic_and_never_pass() {
    let Handshake {
        message_1,
        message_2,
        mut initiator,
        mut responder,
    } = Handshake::published();
    let (message_3, _) = Handshake::published()
        .initiator
        .handle_message_2(NOW, &message_2, &mut accept_anyone)
        .unwrap();
    let mut random = Random(1);
    for _ in 0..400 {
        let mutated = random.mutate(&message_2);
        if mutated != message_2 {
            initiator = initiator
                .handle_message_2(NOW, &mutated, &mut accept_anyone)
                .unwrap_err()
                .state;
        }
        let mutated = random.mutate(&message_3);
        if mutated != message_3 {
            responder = responder
                .handle_message_3(NOW, &mutated, &mut accept_anyone)
                .unwrap_err()
                .state;
        }
        let waiting = Responder::new(provider(), b(), secret([4; 32]), &Offer::default()).unwrap();
        let _ = waiting.read_message_1(&random.mutate(&message_1));
    }
    let (message_3, _) = initiator
        .handle_message_2(NOW, &message_2, &mut accept_anyone)
        .unwrap();
    responder
        .handle_message_3(NOW, &message_3, &mut accept_anyone)
        .unwrap();
}

#[test]
fn mutated_plaintexts_never_panic_and_what_decodes_encodes() {
    let vector = transport();
    let mut random = Random(2);
    let mut decoded = 0;
    for name in ["payload", "close", "refresh_credentials"] {
        let plaintext = bytes(&vector["plaintexts"][name]["cbor"]);
        for _ in 0..40_000 {
            let mutated = random.mutate(&plaintext);
            if let Ok(message) = ChannelMessage::decode(buffer(&mutated)) {
                decoded += 1;
                let again = message.encode().unwrap();
                let first = again.as_slice().to_vec();
                let second = ChannelMessage::decode(again).unwrap().encode().unwrap();
                assert_eq!(second.as_slice(), first);
            }
        }
    }
    assert!(decoded > 1000, "the mutations reach too little: {decoded}");
}

#[test]
fn mutated_offers_never_panic() {
    let mut random = Random(3);
    let offer = hex::decode("a4010107821824a10102617864746578749f0102ff").unwrap();
    for _ in 0..40_000 {
        if let Ok(extensions) = Extensions::decode(&random.mutate(&offer)) {
            assert_eq!(
                Extensions::decode(&extensions.encode()).unwrap_or_default(),
                extensions
            );
        }
    }
}

#[test]
fn mutated_records_never_panic_and_never_pass() {
    let (mut initiator, mut responder) = channel();
    let record = initiator
        .sender
        .seal(buffer(b"a record of some length"))
        .unwrap()
        .as_slice()
        .to_vec();
    let mut random = Random(4);
    for _ in 0..40_000 {
        let mutated = random.mutate(&record);
        if mutated != record {
            assert!(responder.receiver.open(buffer(&mutated)).is_err());
        }
    }
    assert!(responder.receiver.open(buffer(&record)).is_ok());
}
