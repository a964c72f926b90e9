//! The sealing direction of a channel.

use ockam_vault::{Provider, SecretBytes};
use ockam_wire::Buffer;

use super::key::RecordKey;
use super::single_key::SingleKeySender;
use super::{REKEY_INTERVAL, REKEY_NONCE};

/// Seals records under consecutive nonces.
///
/// The key of an interval is wiped as soon as its last nonce was used, before the next record asks for it: who reads the
/// memory of an idle sender learns nothing about what it sent in earlier intervals.
#[derive(Debug)]
pub struct Sender {
    key: RecordKey,
    nonce: u64,
}

/// Why a record could not be sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// Every nonce was used; the channel must be replaced.
    #[error("the channel has used all its nonces")]
    Exhausted,
}

impl Sender {
    pub(crate) fn new(provider: &'static dyn Provider, key: &SecretBytes<32>) -> Self {
        Self {
            key: RecordKey::new(provider, key),
            nonce: 0,
        }
    }

    /// Seals `plaintext` in place and returns the record.
    ///
    /// # Errors
    ///
    /// All 2^64-1 nonces were used.
    pub fn seal(&mut self, plaintext: Buffer) -> Result<Buffer, SealError> {
        let nonce = self.nonce;
        if nonce == REKEY_NONCE {
            return Err(SealError::Exhausted);
        }
        let record = self.key.seal(nonce, plaintext)?;
        // Nonce and key move on together, so no failure in between can pair a nonce with the wrong key.
        self.nonce = nonce + 1;
        if self.nonce.is_multiple_of(REKEY_INTERVAL) {
            self.key = self.key.next();
        }
        Ok(record)
    }

    /// The nonce of the next record.
    #[must_use]
    pub const fn next_nonce(&self) -> u64 {
        self.nonce
    }

    /// Keeps the one key for ever, as a key-exchange-only channel does. Gives the sender back if it has sealed already.
    ///
    /// # Errors
    ///
    /// The sender has sealed a record.
    pub fn into_single_key(self) -> Result<SingleKeySender, Self> {
        if self.nonce == 0 {
            Ok(SingleKeySender::new(self.key))
        } else {
            Err(self)
        }
    }
}
