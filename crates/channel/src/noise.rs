//! The Noise handshake `XX`, one file for each object of the Noise specification.
//!
//! ```text
//! message 1   -> e,                payload      32 bytes and more
//! message 2   <- e, ee, s, es,     payload      96 bytes and more
//! message 3   -> s, se,            payload      64 bytes and more
//! ```
//!
//! The protocol name is exactly 32 bytes long, so it is the first hash and chaining key as it stands; the prologue is
//! empty. Nonces are big endian as Noise has them for AES-GCM. What differs from Noise is the order of the transport keys:
//! the first belongs to the responder (spec: trust 5.2, 5.4).

mod cipher_state;
mod handshake_state;
mod key_agreement;
mod symmetric_state;

pub(crate) use cipher_state::nonce_bytes;
pub(crate) use handshake_state::{
    ReadMessage1, ReadMessage2, ReadMessage3, SentMessage1, SentMessage2, TransportKeys,
};
pub(crate) use key_agreement::KeyPair;

/// The longest handshake message that is written or read (spec: trust 5.3).
pub const MAX_HANDSHAKE_MESSAGE: usize = 65_535;

/// The side of a handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Sends message 1.
    Initiator,
    /// Answers message 1.
    Responder,
}

/// Why a handshake message could not be written or read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoiseError {
    TooLong { length: usize },
    TooShort { length: usize },
    WeakKey,
    NotAuthentic,
}

const PROTOCOL_NAME: [u8; 32] = *b"OCKAM_XX_25519_AES256_GCM_SHA256";
const TAG_LEN: usize = 16;
const KEY_LEN: usize = 32;
const SEALED_KEY_LEN: usize = KEY_LEN + TAG_LEN;

/// Whether `payload` fits into message 2.
pub(crate) fn check_payload_2(payload: &[u8]) -> Result<(), NoiseError> {
    check_total(KEY_LEN + SEALED_KEY_LEN + payload.len() + TAG_LEN)
}

/// Whether `payload` fits into message 3.
pub(crate) fn check_payload_3(payload: &[u8]) -> Result<(), NoiseError> {
    check_total(SEALED_KEY_LEN + payload.len() + TAG_LEN)
}

const fn check_total(length: usize) -> Result<(), NoiseError> {
    if length > MAX_HANDSHAKE_MESSAGE {
        Err(NoiseError::TooLong { length })
    } else {
        Ok(())
    }
}

fn check_length(message: &[u8], at_least: usize) -> Result<(), NoiseError> {
    let length = message.len();
    check_total(length)?;
    if length < at_least {
        Err(NoiseError::TooShort { length })
    } else {
        Ok(())
    }
}
