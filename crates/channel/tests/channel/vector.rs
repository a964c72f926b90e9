//! The parties and values of the published vectors.

use std::sync::Arc;

use ockam_channel::{
    AwaitingInitiator, Established, Initiator, LocalIdentity, Offer, PeerCheck, Rejected,
    Responder, StaticKey,
};
use ockam_identity::{
    ChangeHistory, CredentialBundle, PurposeKeyAttestation, UnixTime, VerifiedHistory,
};
use ockam_vault::{Provider, SecretBytes, X25519Secret};
use ockam_wire::Buffer;
use serde_json::Value;

pub(crate) fn handshake() -> Value {
    serde_json::from_str(include_str!("../../../../vectors/handshake.json")).unwrap()
}

pub(crate) fn transport() -> Value {
    serde_json::from_str(include_str!("../../../../vectors/transport.json")).unwrap()
}

pub(crate) fn bytes(value: &Value) -> Vec<u8> {
    hex::decode(value.as_str().unwrap()).unwrap()
}

pub(crate) fn array(value: &Value) -> [u8; 32] {
    bytes(value).try_into().unwrap()
}

pub(crate) fn secret(bytes: [u8; 32]) -> X25519Secret {
    X25519Secret::new(SecretBytes::new(bytes))
}

pub(crate) fn static_key(bytes: [u8; 32]) -> StaticKey {
    StaticKey::new(provider(), secret(bytes))
}

pub(crate) fn provider() -> &'static dyn Provider {
    ockam_vault::fast()
}

/// A moment inside of every validity period of the vectors.
pub(crate) const NOW: UnixTime = UnixTime(1_800_000_000);

/// The initiator of the vectors: A, with its credential.
pub(crate) fn a() -> Arc<LocalIdentity> {
    let credential: Value =
        serde_json::from_str(include_str!("../../../../vectors/credential.json")).unwrap();
    let bundle =
        CredentialBundle::decode(&bytes(&credential["credential_and_purpose_key_hex"])).unwrap();
    Arc::new(identity(0, vec![bundle]))
}

/// The responder of the vectors: B, without credentials.
pub(crate) fn b() -> Arc<LocalIdentity> {
    Arc::new(identity(1, Vec::new()))
}

pub(crate) fn identity(index: usize, credentials: Vec<CredentialBundle>) -> LocalIdentity {
    let purpose_keys: Value =
        serde_json::from_str(include_str!("../../../../vectors/purpose_key.json")).unwrap();
    let attestation = &purpose_keys["attestations"][index];
    LocalIdentity {
        history: history(index),
        static_key: static_key(array(&attestation["static_secret"])),
        attestation: PurposeKeyAttestation::decode(&bytes(&attestation["attestation_hex"]))
            .unwrap(),
        credentials,
    }
}

pub(crate) fn history(index: usize) -> VerifiedHistory {
    let identities: Value =
        serde_json::from_str(include_str!("../../../../vectors/identity.json")).unwrap();
    let encoded = bytes(&identities["identities"][index]["change_history_hex"]);
    ChangeHistory::decode(&encoded)
        .unwrap()
        .verify(provider(), None)
        .unwrap()
}

pub(crate) fn accept_anyone(_: &VerifiedHistory) -> Result<(), Rejected> {
    Ok(())
}

/// Both sides of a handshake between A and B; equal arguments give equal channels.
pub(crate) struct Handshake {
    pub(crate) message_1: Vec<u8>,
    pub(crate) message_2: Vec<u8>,
    pub(crate) initiator: Initiator,
    pub(crate) responder: AwaitingInitiator,
}

impl Handshake {
    /// The handshake of the vectors.
    pub(crate) fn published() -> Self {
        Self::with(&Offer::default(), &Offer::default())
    }

    pub(crate) fn with(initiator: &Offer, responder: &Offer) -> Self {
        let vector = handshake();
        let ephemeral = |side: &str| secret(array(&vector[side]["ephemeral_secret"]));
        let (initiator, message_1) =
            Initiator::start(provider(), a(), ephemeral("initiator"), initiator.clone()).unwrap();
        let waiting = Responder::new(provider(), b(), ephemeral("responder"), responder).unwrap();
        let (responder, message_2) = waiting.read_message_1(&message_1).unwrap();
        Self {
            message_1,
            message_2,
            initiator,
            responder,
        }
    }

    pub(crate) fn finish(self) -> (Established, Established) {
        let check: &mut dyn PeerCheck = &mut accept_anyone;
        let (message_3, initiator) = self
            .initiator
            .handle_message_2(NOW, &self.message_2, check)
            .unwrap();
        let responder = self
            .responder
            .handle_message_3(NOW, &message_3, check)
            .unwrap();
        (initiator, responder)
    }
}

/// The two ends of the published channel.
pub(crate) fn channel() -> (Established, Established) {
    Handshake::published().finish()
}

pub(crate) fn buffer(bytes: &[u8]) -> Buffer {
    Buffer::from_slice(bytes)
}
