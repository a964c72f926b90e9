use ockam_channel::{Offer, Role};

use crate::vector::{Handshake, NOW, accept_anyone, array, bytes, handshake};

#[test]
fn every_message_and_the_transcript_are_as_published() {
    let vector = handshake();
    let Handshake {
        message_1,
        message_2,
        initiator,
        responder,
    } = Handshake::published();
    assert_eq!(message_1, bytes(&vector["message_1"]));
    assert_eq!(message_2, bytes(&vector["message_2"]));
    let (message_3, initiator) = initiator
        .handle_message_2(NOW, &message_2, &mut accept_anyone)
        .unwrap();
    assert_eq!(message_3, bytes(&vector["message_3"]));
    let responder = responder
        .handle_message_3(NOW, &message_3, &mut accept_anyone)
        .unwrap();

    let transcript = array(&vector["steps"].as_array().unwrap().last().unwrap()["h"]);
    assert_eq!(initiator.transcript_hash, transcript);
    assert_eq!(responder.transcript_hash, transcript);
    assert_eq!(initiator.role, Role::Initiator);
    assert_eq!(responder.role, Role::Responder);
    assert_eq!(
        initiator.peer.identifier().to_string(),
        vector["responder"]["identifier"].as_str().unwrap()
    );
    assert_eq!(
        responder.peer.identifier().to_string(),
        vector["initiator"]["identifier"].as_str().unwrap()
    );
    assert_eq!(responder.peer.credentials().len(), 1);
    assert!(initiator.peer.credentials().is_empty());
    assert!(initiator.peer.extension_bytes().is_empty());
}

#[test]
fn both_providers_make_the_same_channel() {
    use ockam_channel::{Initiator, Responder};

    let vector = handshake();
    let key = |side: &str| crate::vector::secret(array(&vector[side]["ephemeral_secret"]));
    let portable = ockam_vault::portable();
    let (initiator, message_1) = Initiator::start(
        portable,
        crate::vector::a(),
        key("initiator"),
        Offer::default(),
    )
    .unwrap();
    let responder = Responder::new(
        portable,
        crate::vector::b(),
        key("responder"),
        &Offer::default(),
    )
    .unwrap();
    let (responder, message_2) = responder.read_message_1(&message_1).unwrap();
    assert_eq!(message_2, bytes(&vector["message_2"]));
    let (message_3, _) = initiator
        .handle_message_2(NOW, &message_2, &mut accept_anyone)
        .unwrap();
    assert_eq!(message_3, bytes(&vector["message_3"]));
    responder
        .handle_message_3(NOW, &message_3, &mut accept_anyone)
        .unwrap();
}
