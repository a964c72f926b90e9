use std::collections::BTreeMap;

use ockam_channel::{ChannelMessage, CredentialRefresh, REKEY_INTERVAL};
use ockam_identity::CredentialBundle;
use ockam_vault::SecretBytes;
use serde_json::Value;

use crate::vector::{a, array, buffer, bytes, channel, provider, transport};

#[test]
fn the_chain_of_keys_is_as_published() {
    let vector = transport();
    let mut key = SecretBytes::new(array(&vector["keys"][0]["key"]));
    for (index, expected) in vector["keys"].as_array().unwrap().iter().enumerate() {
        assert_eq!(key.as_bytes(), &array(&expected["key"]), "key {index}");
        assert_eq!(
            expected["first_nonce"].as_u64().unwrap(),
            index as u64 * REKEY_INTERVAL
        );
        let mut rekey_nonce = [0xff; 12];
        rekey_nonce[..4].fill(0);
        let mut next = [0; 32];
        provider()
            .aead(key.as_bytes())
            .seal_in_place(&rekey_nonce, &[], &mut next);
        key = SecretBytes::take(&mut next);
    }
}

#[test]
fn guard_11_2_04_sealed_records_are_as_published() {
    let vector = transport();
    let plaintext = bytes(&vector["plaintexts"]["payload"]["cbor"]);
    let mut expected = BTreeMap::new();
    let published = vector["messages"].as_array().unwrap().iter();
    for message in published.filter(|message| message["plaintext"] == "payload") {
        expected.insert(message["nonce"].as_u64().unwrap(), bytes(&message["wire"]));
    }
    for step in vector["replay_sequence"]["steps"].as_array().unwrap() {
        if let Some(nonce) = step["nonce"].as_u64() {
            assert_eq!(
                *expected
                    .entry(nonce)
                    .or_insert_with(|| bytes(&step["wire"])),
                bytes(&step["wire"])
            );
        }
    }
    let (mut initiator, mut responder) = channel();
    for nonce in 0..=129 {
        assert_eq!(initiator.sender.next_nonce(), nonce);
        let record = initiator.sender.seal(buffer(&plaintext)).unwrap();
        if let Some(expected) = expected.remove(&nonce) {
            assert_eq!(
                hex::encode(record.as_slice()),
                hex::encode(expected),
                "nonce {nonce}"
            );
        }
        let (opened, record) = responder.receiver.open(record).unwrap();
        assert_eq!((opened, record.as_slice()), (nonce, plaintext.as_slice()));
    }
    assert!(expected.is_empty());
}

#[test]
fn close_and_refresh_are_as_published() {
    let vector = transport();
    let (mut initiator, mut responder) = channel();
    let identity = a();
    let refresh = CredentialRefresh {
        history: identity.history.as_bytes().to_vec(),
        credentials: identity
            .credentials
            .iter()
            .map(|it| CredentialBundle::decode(it.as_bytes()).unwrap())
            .collect(),
    };
    let plaintexts = [
        (
            "payload",
            buffer(&bytes(&vector["plaintexts"]["payload"]["cbor"])),
        ),
        (
            "payload",
            buffer(&bytes(&vector["plaintexts"]["payload"]["cbor"])),
        ),
        ("close", ChannelMessage::Close.encode().unwrap()),
        (
            "refresh_credentials",
            ChannelMessage::RefreshCredentials(refresh)
                .encode()
                .unwrap(),
        ),
    ];
    for (nonce, (name, plaintext)) in plaintexts.into_iter().enumerate() {
        assert_eq!(
            hex::encode(plaintext.as_slice()),
            vector["plaintexts"][name]["cbor"],
            "{name}"
        );
        let mut messages = vector["messages"].as_array().unwrap().iter();
        let expected = messages
            .find(|message| message["nonce"] == nonce && message["plaintext"] == name)
            .unwrap();
        let record = initiator.sender.seal(plaintext).unwrap();
        assert_eq!(hex::encode(record.as_slice()), expected["wire"], "{name}");
        let (_, plaintext) = responder.receiver.open(record).unwrap();
        match (name, ChannelMessage::decode(plaintext).unwrap()) {
            ("payload", ChannelMessage::Payload(message)) => {
                assert_eq!(
                    message.payload.as_slice(),
                    bytes(&vector["plaintexts"]["payload"]["payload"])
                );
                assert_eq!(message.onward.to_string(), "0#echoer");
                assert_eq!(message.return_route.to_string(), "0#app");
            }
            ("close", ChannelMessage::Close) => {}
            ("refresh_credentials", ChannelMessage::RefreshCredentials(refresh)) => {
                assert_eq!(refresh.history, identity.history.as_bytes());
                assert_eq!(refresh.credentials, identity.credentials);
            }
            (_, other) => panic!("{name} became {other:?}"),
        }
    }
}

#[test]
fn the_replay_sequence_gets_the_published_verdicts() {
    let vector = transport();
    let (_, mut responder) = channel();
    let steps = vector["replay_sequence"]["steps"].as_array().unwrap();
    assert_eq!(steps.len(), 25);
    for (index, step) in steps.iter().enumerate() {
        let opened = responder.receiver.open(buffer(&bytes(&step["wire"])));
        assert_eq!(
            opened.is_ok(),
            step["accept"],
            "step {index}: {}",
            step["note"]
        );
        if let Ok((nonce, plaintext)) = opened {
            assert_eq!(step["nonce"], nonce);
            assert_eq!(
                plaintext.as_slice(),
                bytes(&vector["plaintexts"]["payload"]["cbor"])
            );
        }
    }
}

#[test]
fn a_key_exchange_only_channel_opens_in_any_order_and_again() {
    let vector = transport();
    let (initiator, responder) = channel();
    let plaintext = bytes(&vector["key_exchange_only"]["plaintext"]);
    let mut sender = initiator.sender.into_single_key().unwrap();
    let mut sealed = BTreeMap::new();
    for nonce in 0..=1000u64 {
        sealed.insert(nonce, sender.seal(buffer(&plaintext)).unwrap());
    }
    let receiver = responder.receiver.into_single_key().unwrap();
    let records: &Vec<Value> = vector["key_exchange_only"]["accepted_in_order"]
        .as_array()
        .unwrap();
    for record in records {
        let nonce = record["nonce"].as_u64().unwrap();
        assert_eq!(hex::encode(sealed[&nonce].as_slice()), record["wire"]);
        let (opened, opened_plaintext) = receiver.open(buffer(&bytes(&record["wire"]))).unwrap();
        assert_eq!(
            (opened, opened_plaintext.as_slice()),
            (nonce, plaintext.as_slice())
        );
    }
    let mut forged = bytes(&records[0]["wire"]);
    forged[9] ^= 1;
    assert!(receiver.open(buffer(&forged)).is_err());
}

#[test]
fn guard_11_2_08_a_used_sender_does_not_fall_back_to_one_key() {
    let (mut initiator, _) = channel();
    initiator.sender.seal(buffer(b"first")).unwrap();
    assert!(initiator.sender.into_single_key().is_err());
}
