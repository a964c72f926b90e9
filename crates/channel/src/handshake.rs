//! The handshake as a driver sees it: one type for what each side waits for, consumed by its message.
//!
//! ```text
//! Initiator ──message 2──▶ PresentedByResponder ──accept──▶ message 3, Established
//! Responder ──message 1──▶ AwaitingInitiator ──message 3──▶ PresentedByInitiator ──accept──▶ Established
//! ```
//!
//! Whatever is refused gives the phase back in [`Refused`]: the driver logs the error and waits on for the right message
//! until its own timeout (spec: trust 5.12). Nothing is sent to a peer that was refused.

mod initiator;
mod responder;

use alloc::vec::Vec;
use core::fmt;

use ockam_identity::{AttestationError, HistoryError};
use ockam_vault::Provider;

pub use initiator::{Initiator, PresentedByResponder};
pub use responder::{AwaitingInitiator, PresentedByInitiator, Responder};

use crate::noise::{MAX_HANDSHAKE_MESSAGE, NoiseError, Role, TransportKeys};
use crate::payload::PayloadError;
use crate::peer::{PeerVerified, Rejected};
use crate::record::{Receiver, Sender};

/// What a side puts into the handshake beyond the published protocol; nothing by default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Offer {
    /// The payload of message 1, seen by everyone on the way. Only an initiator sends it.
    pub hello: Vec<u8>,
    /// The fourth element of the handshake payload: one CBOR item, such as [`Extensions::encode`] writes it, or empty.
    ///
    /// [`Extensions::encode`]: crate::Extensions::encode
    pub extensions: Vec<u8>,
}

/// A finished handshake: whom with, and the two directions.
#[derive(Debug)]
#[non_exhaustive]
pub struct Established {
    /// The side this one was.
    pub role: Role,
    /// The peer, which passed every check.
    pub peer: PeerVerified,
    /// Seals what goes to the peer.
    pub sender: Sender,
    /// Opens what comes from the peer.
    pub receiver: Receiver,
    /// The hash of the whole handshake, equal on both sides and on no other channel.
    pub transcript_hash: [u8; 32],
    /// The payload of message 1, at both sides.
    pub hello: Vec<u8>,
}

impl Established {
    fn new(
        provider: &'static dyn Provider,
        role: Role,
        peer: PeerVerified,
        keys: &TransportKeys,
        hello: Vec<u8>,
    ) -> Self {
        let (ours, theirs) = match role {
            Role::Initiator => (&keys.initiator_to_responder, &keys.responder_to_initiator),
            Role::Responder => (&keys.responder_to_initiator, &keys.initiator_to_responder),
        };
        Self {
            role,
            peer,
            sender: Sender::new(provider, ours),
            receiver: Receiver::new(provider, theirs),
            transcript_hash: keys.transcript_hash,
            hello,
        }
    }
}

/// Why a handshake message was refused, or could not be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HandshakeError {
    /// What this side offers makes a handshake message too long.
    #[error(
        "the offer makes a handshake message of {length} bytes, longer than {MAX_HANDSHAKE_MESSAGE}"
    )]
    OfferTooLong {
        /// The length in bytes.
        length: usize,
    },
    /// What this side offers cannot be sent.
    #[error("the offer of this side cannot be sent: {0}")]
    Offer(PayloadError),
    /// The peer sent more than a handshake message holds.
    #[error("a handshake message of {length} bytes is longer than {MAX_HANDSHAKE_MESSAGE}")]
    TooLong {
        /// The length in bytes.
        length: usize,
    },
    /// The peer sent less than the keys and tags of this message.
    // Without the length: whoever is refused chose it, and what is denied is counted by its text.
    #[error("a handshake message is too short")]
    TooShort {
        /// The length in bytes.
        length: usize,
    },
    /// The peer sent a public key of small order, under which the shared secret is known to everyone.
    #[error("the peer sent a weak public key")]
    WeakKey,
    /// The message was damaged, forged, or belongs to another handshake.
    #[error("the handshake message is not authentic")]
    NotAuthentic,
    /// The peer's payload is malformed.
    #[error("the handshake payload is malformed: {0}")]
    Payload(#[from] PayloadError),
    /// The peer's change history does not verify.
    #[error("the change history of the peer does not verify: {0}")]
    History(#[from] HistoryError),
    /// The peer's attestation does not verify.
    #[error("the channel key attestation of the peer does not verify: {0}")]
    Attestation(#[from] AttestationError),
    /// The peer's identity attests another key than the one the peer used.
    #[error("the identity of the peer does not attest the key it used")]
    StaticKeyNotAttested,
    /// The driver refused the peer.
    #[error(transparent)]
    Rejected(#[from] Rejected),
}

impl HandshakeError {
    /// An error in writing the first messages is this side's own.
    fn of_offer(error: NoiseError) -> Self {
        match error {
            NoiseError::TooLong { length } => Self::OfferTooLong { length },
            other => other.into(),
        }
    }
}

impl From<NoiseError> for HandshakeError {
    fn from(error: NoiseError) -> Self {
        match error {
            NoiseError::TooLong { length } => Self::TooLong { length },
            NoiseError::TooShort { length } => Self::TooShort { length },
            NoiseError::WeakKey => Self::WeakKey,
            NoiseError::NotAuthentic => Self::NotAuthentic,
        }
    }
}

/// A refused message, with the phase that goes on waiting for the right one.
#[derive(Debug)]
pub struct Refused<S> {
    /// The phase, as it was before the message.
    pub state: S,
    /// What was wrong with the message.
    pub error: HandshakeError,
}

impl<S> fmt::Display for Refused<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl<S: fmt::Debug> core::error::Error for Refused<S> {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        self.error.source()
    }
}

impl<S> From<Refused<S>> for HandshakeError {
    fn from(refused: Refused<S>) -> Self {
        refused.error
    }
}
