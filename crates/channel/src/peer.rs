//! Who the peer is, and the one place where that is decided.
//!
//! The order is fixed (spec: trust 5.5): the change history, the attestation over it, the equality of the attested key and
//! the Noise static key, and last the driver's check, which compares with the stored history, imports a newer one and asks
//! the trust policy. Nothing is imported for a peer that did not prove to hold the key.

use alloc::vec::Vec;

use ockam_identity::{
    ChangeHistory, CredentialBundle, Identifier, Purpose, PurposeKeyAttestation, UnixTime,
    VerifiedHistory,
};
use ockam_vault::{Provider, X25519Public};

use crate::extensions::Extensions;
use crate::handshake::HandshakeError;
use crate::payload::{IdentityAndCredentials, PayloadError};

/// The driver's say about a peer whose history and key are proven.
///
/// The check compares the history with the stored one, stores a newer one in the same transaction, and asks the trust
/// policy whether this identifier may speak with us. A driver that must wait for its store looks at the presented history
/// first and gives the outcome here.
pub trait PeerCheck {
    /// Accepts or refuses the peer.
    ///
    /// # Errors
    ///
    /// The reason of the refusal, which stays on this side.
    fn check(&mut self, history: &VerifiedHistory) -> Result<(), Rejected>;
}

impl<F: FnMut(&VerifiedHistory) -> Result<(), Rejected>> PeerCheck for F {
    fn check(&mut self, history: &VerifiedHistory) -> Result<(), Rejected> {
        self(history)
    }
}

/// Why the driver refused a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Rejected {
    /// The trust policy does not accept the identifier.
    #[error("the peer is not one of the accepted identifiers")]
    NotTrusted,
    /// The history is older than the one already known.
    #[error("the peer presented an older change history than the known one")]
    OlderHistory,
    /// The history contradicts the one already known.
    #[error("the peer presented a change history that contradicts the known one")]
    ConflictingHistory,
    /// Known histories could not be looked up or stored.
    #[error("the known change histories are not available")]
    Unavailable,
}

/// A peer that passed every check.
#[derive(Debug)]
pub struct PeerVerified {
    proven: PeerProven,
}

impl PeerVerified {
    /// The peer's identifier.
    #[must_use]
    pub fn identifier(&self) -> &Identifier {
        self.proven.history.identifier()
    }

    /// The peer's change history.
    #[must_use]
    pub const fn history(&self) -> &VerifiedHistory {
        &self.proven.history
    }

    /// The attestation of the channel key. A peer that rotates its identity or lets the attestation expire keeps the
    /// channel only as long as the driver lets it: verify it against the newest known history.
    #[must_use]
    pub const fn attestation(&self) -> &PurposeKeyAttestation {
        &self.proven.attestation
    }

    /// What the peer presented as credentials. Nothing in them was verified.
    #[must_use]
    pub fn credentials(&self) -> &[CredentialBundle] {
        &self.proven.credentials
    }

    /// The extensions the peer offers. An offer that cannot be read is none.
    #[must_use]
    pub fn extensions(&self) -> Extensions {
        Extensions::decode(&self.proven.extensions).unwrap_or_default()
    }

    /// The fourth element of the peer's payload as it was received; empty without one.
    #[must_use]
    pub fn extension_bytes(&self) -> &[u8] {
        &self.proven.extensions
    }
}

/// A peer that holds the channel key its identity attests, before the driver was asked.
#[derive(Debug)]
pub(crate) struct PeerProven {
    pub(crate) history: VerifiedHistory,
    attestation: PurposeKeyAttestation,
    pub(crate) credentials: Vec<CredentialBundle>,
    extensions: Vec<u8>,
}

impl PeerProven {
    /// Verifies `payload`, which came in a handshake whose static key was `remote_static`.
    pub(crate) fn prove(
        provider: &dyn Provider,
        now: UnixTime,
        remote_static: &X25519Public,
        payload: &[u8],
    ) -> Result<Self, HandshakeError> {
        let payload = IdentityAndCredentials::decode(payload)?;
        let history = ChangeHistory::decode(payload.history)
            .map_err(PayloadError::from)?
            .verify(provider, None)?;
        let attestation =
            PurposeKeyAttestation::decode(payload.attestation).map_err(PayloadError::from)?;
        // The subject of the attestation must be the identifier of the history; `verify` compares them.
        let attested = attestation.verify(provider, &history, now, Purpose::SecureChannel)?;
        if attested.secure_channel_static() != Some(remote_static) {
            return Err(HandshakeError::StaticKeyNotAttested);
        }
        Ok(Self {
            history,
            attestation,
            credentials: payload.credentials,
            extensions: payload.extensions.to_vec(),
        })
    }

    /// Asks the driver. The only place that makes a [`PeerVerified`].
    pub(crate) fn check(self, check: &mut dyn PeerCheck) -> Result<PeerVerified, HandshakeError> {
        check.check(&self.history)?;
        Ok(PeerVerified { proven: self })
    }
}

#[cfg(test)]
mod tests {
    use ockam_vault::fast;

    use super::*;
    use crate::mutated::Random;

    #[test]
    fn mutated_payloads_never_panic_and_prove_nobody_else() {
        let vector: serde_json::Value =
            serde_json::from_str(include_str!("../../../vectors/handshake.json")).unwrap();
        let bytes = |value: &serde_json::Value| hex::decode(value.as_str().unwrap()).unwrap();
        let mut random = Random(5);
        for (side, payload) in [
            ("initiator", "payload_message_3_cbor"),
            ("responder", "payload_message_2_cbor"),
        ] {
            let static_key =
                X25519Public(bytes(&vector[side]["static_public"]).try_into().unwrap());
            let payload = bytes(&vector[payload]);
            let prove = |payload: &[u8]| {
                PeerProven::prove(fast(), UnixTime(1_800_000_000), &static_key, payload)
            };
            let peer = prove(&payload).unwrap();
            for _ in 0..4000 {
                if let Ok(other) = prove(&random.mutate(&payload)) {
                    assert_eq!(other.history.identifier(), peer.history.identifier());
                }
            }
            let other_key = X25519Public([9; 32]);
            let refused = PeerProven::prove(fast(), UnixTime(1_800_000_000), &other_key, &payload);
            assert!(matches!(refused, Err(HandshakeError::StaticKeyNotAttested)));
        }
    }
}
