//! Recorded traffic with the published program, replayed from our side: every message of ours must come out byte for byte,
//! every message of the published program must open.

use std::sync::Arc;

use ockam_channel::{ChannelMessage, Established, Initiator, LocalIdentity, Offer, Responder};
use ockam_identity::{ChangeHistory, CredentialBundle, PurposeKeyAttestation, UnixTime};
use ockam_wire::RoutingMessage;
use serde_json::Value;

use crate::vector::{accept_anyone, array, buffer, bytes, provider, secret, static_key};

#[test]
fn every_recorded_channel_is_replayed_in_both_directions() {
    let vector: Value =
        serde_json::from_str(include_str!("../../../../vectors/live_transcript.json")).unwrap();
    let now = UnixTime(vector["captured_at"].as_u64().unwrap());
    let bundle = CredentialBundle::decode(&bytes(
        &vector["transcripts"]["f3_fetch_credential"]["bundle"],
    ))
    .unwrap();
    let mut replayed = Vec::new();
    for (name, transcript) in vector["transcripts"].as_object().unwrap() {
        if transcript.get("channel").is_some() {
            let presented = if name == "f4_present_credential" {
                vec![bundle.clone()]
            } else {
                Vec::new()
            };
            replay(name, now, transcript, presented);
            replayed.push(name.as_str());
        }
    }
    assert_eq!(replayed.len(), 10, "{replayed:?}");
}

#[test]
fn credential_that_a_published_authority_issued_and_a_published_node_took_verifies() {
    // spec: trust 4.4, 5.5
    let vector: Value =
        serde_json::from_str(include_str!("../../../../vectors/live_transcript.json")).unwrap();
    let now = UnixTime(vector["captured_at"].as_u64().unwrap());
    let transcripts = &vector["transcripts"];
    let history = |value: &Value| {
        ChangeHistory::decode(&bytes(value))
            .unwrap()
            .verify(provider(), None)
            .unwrap()
    };
    let issuer = history(&transcripts["f1_create_token"]["authority_change_history"]);
    let subject = history(&transcripts["f4_present_credential"]["our_identity"]["change_history"]);
    let bundle =
        CredentialBundle::decode(&bytes(&transcripts["f3_fetch_credential"]["bundle"])).unwrap();
    let credential = bundle
        .verify_presented_by(provider(), &issuer, &subject, now)
        .unwrap();
    assert_eq!(credential.subject(), subject.identifier());
    assert_eq!(credential.issuer(), issuer.identifier());
    let other = history(&transcripts["b_channel_initiator"]["our_identity"]["change_history"]);
    assert_ne!(other.identifier(), subject.identifier());
    assert!(
        bundle
            .verify_presented_by(provider(), &issuer, &other, now)
            .is_err()
    );
}

fn replay(name: &str, now: UnixTime, transcript: &Value, credentials: Vec<CredentialBundle>) {
    let mut messages = messages(transcript).into_iter();
    let mut next = |ours: bool| {
        let message = messages.next().unwrap();
        assert_eq!(message.ours, ours, "{name}: direction");
        message.payload
    };
    let channel = &transcript["channel"];
    let identity = local_identity(&transcript["our_identity"], credentials);
    let ephemeral = secret(array(&channel["our_ephemeral_secret"]));
    let mut established = match channel["our_role"].as_str().unwrap() {
        "initiator" => {
            let (initiator, message_1) =
                Initiator::start(provider(), identity, ephemeral, Offer::default()).unwrap();
            assert_eq!(message_1, next(true), "{name}: message 1");
            let (message_3, established) = initiator
                .handle_message_2(now, &next(false), &mut accept_anyone)
                .unwrap();
            assert_eq!(message_3, next(true), "{name}: message 3");
            established
        }
        "responder" => {
            let responder =
                Responder::new(provider(), identity, ephemeral, &Offer::default()).unwrap();
            let (responder, message_2) = responder.read_message_1(&next(false)).unwrap();
            assert_eq!(message_2, next(true), "{name}: message 2");
            responder
                .handle_message_3(now, &next(false), &mut accept_anyone)
                .unwrap()
        }
        other => panic!("{name}: role {other}"),
    };
    assert_eq!(
        established.transcript_hash,
        array(&channel["h_after_message_3"]),
        "{name}: h"
    );
    assert_eq!(
        established.peer.identifier().to_string(),
        channel["peer_identifier"].as_str().unwrap(),
        "{name}"
    );

    let mut expected = transcript["plaintexts"].as_array().unwrap().iter();
    for message in messages {
        let expected = expected.next().unwrap();
        let nonce = expected["nonce"].as_u64().unwrap();
        let plaintext = bytes(&expected["plaintext"]);
        assert_eq!(
            expected["direction"] == "from_us",
            message.ours,
            "{name}: direction of {nonce}"
        );
        if message.ours {
            skip_to(&mut established, nonce);
            assert_eq!(
                seal(&mut established, &plaintext),
                message.payload,
                "{name}: our {nonce}"
            );
        } else {
            let (opened, record) = established.receiver.open(buffer(&message.payload)).unwrap();
            assert_eq!(
                (opened, record.as_slice()),
                (nonce, plaintext.as_slice()),
                "{name}: their {nonce}"
            );
        }
        reencodes_to_the_same_bytes(&plaintext);
    }
    assert!(expected.next().is_none(), "{name}: plaintexts left over");
}

/// The file keeps a selection of the records; those between were sealed as well.
fn skip_to(established: &mut Established, nonce: u64) {
    while established.sender.next_nonce() < nonce {
        established.sender.seal(buffer(&[])).unwrap();
    }
    assert_eq!(established.sender.next_nonce(), nonce);
}

fn seal(established: &mut Established, plaintext: &[u8]) -> Vec<u8> {
    established
        .sender
        .seal(buffer(plaintext))
        .unwrap()
        .as_slice()
        .to_vec()
}

fn reencodes_to_the_same_bytes(plaintext: &[u8]) {
    let message = ChannelMessage::decode(buffer(plaintext)).unwrap();
    assert_eq!(message.encode().unwrap().as_slice(), plaintext);
}

fn local_identity(ours: &Value, credentials: Vec<CredentialBundle>) -> Arc<LocalIdentity> {
    let history = ChangeHistory::decode(&bytes(&ours["change_history"]))
        .unwrap()
        .verify(provider(), None)
        .unwrap();
    assert_eq!(
        history.identifier().to_string(),
        ours["identifier"].as_str().unwrap()
    );
    Arc::new(LocalIdentity {
        history,
        static_key: static_key(array(&ours["static_secret"])),
        attestation: PurposeKeyAttestation::decode(&bytes(&ours["purpose_key_attestation"]))
            .unwrap(),
        credentials,
    })
}

struct Message {
    ours: bool,
    payload: Vec<u8>,
}

/// What belongs to the channel, in order: message 1 and everything that travels between the two decryptors.
fn messages(transcript: &Value) -> Vec<Message> {
    let ours = transcript["channel"]["our_decryptor_remote"]
        .as_str()
        .unwrap()
        .as_bytes();
    let mut theirs: Option<Vec<u8>> = None;
    let mut messages = Vec::new();
    for frame in transcript["frames"].as_array().unwrap() {
        if frame["kind"] != "frame" {
            continue;
        }
        let from_us = frame["direction"] == "from_us";
        let frame = bytes(&frame["bytes"]);
        let message = RoutingMessage::decode(buffer(&frame[4..])).unwrap();
        let last = message
            .onward
            .last()
            .map(|address| address.name().to_vec())
            .unwrap_or_default();
        let origin = message
            .return_route
            .last()
            .map(|address| address.name().to_vec());
        let message_1 = messages.is_empty() && last == b"api" && message.payload.len() == 32;
        let first_of_peer = theirs.is_none() && (message_1 || last == ours);
        if first_of_peer && !from_us {
            theirs.clone_from(&origin);
        }
        let theirs = theirs.as_deref();
        let belongs = message_1 || last == ours || Some(last.as_slice()) == theirs;
        // The answer to message 1 of a published initiator goes to the address it came from.
        if belongs && (message_1 || !messages.is_empty()) {
            messages.push(Message {
                ours: from_us,
                payload: message.payload.as_slice().to_vec(),
            });
        }
    }
    messages
}
