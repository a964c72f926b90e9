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

#[cfg(test)]
mod tests {
    use ockam_vault::fast;

    use super::*;
    use crate::record::Receiver;

    #[test]
    fn the_last_nonce_is_never_sealed_with() {
        let mut sender = Sender::new(fast(), &SecretBytes::new([1; 32]));
        sender.nonce = u64::MAX - 1;
        let record = sender.seal(Buffer::from_slice(b"last")).unwrap();
        assert_eq!(record.as_slice()[..8], (u64::MAX - 1).to_be_bytes());
        for _ in 0..2 {
            assert_eq!(
                sender.seal(Buffer::from_slice(b"none")).unwrap_err(),
                SealError::Exhausted
            );
        }
    }

    #[test]
    fn who_takes_an_idle_sender_cannot_open_its_earlier_intervals() {
        let mut sender = Sender::new(fast(), &SecretBytes::new([1; 32]));
        let mut records = alloc::vec::Vec::new();
        for nonce in 0..REKEY_INTERVAL {
            records.push((nonce, sender.seal(Buffer::from_slice(b"text")).unwrap()));
        }
        for (nonce, record) in records {
            assert!(sender.key.open(nonce, record).is_err(), "nonce {nonce}");
        }
    }

    #[test]
    fn who_takes_a_receiver_cannot_open_what_left_its_window() {
        let key = SecretBytes::new([1; 32]);
        let (mut sender, mut receiver) = (Sender::new(fast(), &key), Receiver::new(fast(), &key));
        let mut early = alloc::vec::Vec::new();
        for nonce in 0..3 * REKEY_INTERVAL {
            let record = sender.seal(Buffer::from_slice(b"text")).unwrap();
            if nonce < REKEY_INTERVAL {
                early.push((nonce, record.as_slice().to_vec()));
            }
            receiver.open(record).unwrap();
        }
        for (nonce, record) in early {
            for key in receiver.keys() {
                assert!(
                    key.open(nonce, Buffer::from_slice(&record)).is_err(),
                    "nonce {nonce}"
                );
            }
        }
    }
}
