//! The opening direction of a channel.

use ockam_vault::{Provider, SecretBytes};
use ockam_wire::Buffer;

use super::REKEY_INTERVAL;
use super::key::{RecordKey, nonce_of};
use super::replay::{ReplayWindow, Verdict};
use super::single_key::SingleKeyReceiver;

/// Opens records, each at most once, in any order within the window.
///
/// Nothing changes before a record was authenticated, so forged records cannot move the window or the keys. The key of the
/// next interval is derived at the first record that asks for it and kept: a flood of forged ones costs one derivation.
#[derive(Debug)]
pub struct Receiver {
    /// How many re-keys were done: `current` covers the nonces from 32 times this.
    interval: u64,
    previous: Option<RecordKey>,
    current: RecordKey,
    next: Option<RecordKey>,
    window: ReplayWindow,
}

/// Why a record was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The bytes hold no nonce and tag.
    #[error("a record of {length} bytes is too short")]
    TooShort {
        /// The length in bytes.
        length: usize,
    },
    /// The nonce is too far from the highest accepted one. After more than 32 lost records every one is.
    #[error("nonce {nonce} lies outside of the window")]
    OutsideWindow {
        /// The nonce of the record.
        nonce: u64,
    },
    /// A record with this nonce was accepted before.
    #[error("nonce {nonce} was seen before")]
    Replayed {
        /// The nonce of the record.
        nonce: u64,
    },
    /// The record was damaged or forged.
    #[error("the record with nonce {nonce} is not authentic")]
    NotAuthentic {
        /// The nonce of the record.
        nonce: u64,
    },
}

impl Receiver {
    pub(crate) fn new(provider: &'static dyn Provider, key: &SecretBytes<32>) -> Self {
        Self {
            interval: 0,
            previous: None,
            current: RecordKey::new(provider, key),
            next: None,
            window: ReplayWindow::default(),
        }
    }

    /// Opens `record` in place and returns its nonce and plaintext.
    ///
    /// # Errors
    ///
    /// The record is dropped; the channel goes on.
    pub fn open(&mut self, record: Buffer) -> Result<(u64, Buffer), OpenError> {
        let nonce = nonce_of(&record)?;
        match self.window.judge(nonce) {
            Verdict::Fresh => {}
            Verdict::Seen => return Err(OpenError::Replayed { nonce }),
            Verdict::Outside => return Err(OpenError::OutsideWindow { nonce }),
        }
        let interval = nonce / REKEY_INTERVAL;
        let plaintext = if interval == self.interval {
            self.current.open(nonce, record)?
        } else if interval == self.interval + 1 {
            let plaintext = self
                .next
                .get_or_insert_with(|| self.current.next())
                .open(nonce, record)?;
            self.advance();
            plaintext
        } else {
            let key = self
                .previous
                .as_ref()
                .filter(|_| interval + 1 == self.interval);
            key.ok_or(OpenError::OutsideWindow { nonce })?
                .open(nonce, record)?
        };
        self.window.accept(nonce);
        Ok((nonce, plaintext))
    }

    /// Opens with the one key whatever the nonce, as a key-exchange-only channel does.
    ///
    /// # Errors
    ///
    /// The receiver has passed its first key; it is given back.
    pub fn into_single_key(self) -> Result<SingleKeyReceiver, Self> {
        if self.interval == 0 {
            Ok(SingleKeyReceiver::new(self.current))
        } else {
            Err(self)
        }
    }

    #[cfg(test)]
    pub(super) fn keys(&self) -> impl Iterator<Item = &RecordKey> {
        [
            self.previous.as_ref(),
            Some(&self.current),
            self.next.as_ref(),
        ]
        .into_iter()
        .flatten()
    }

    fn advance(&mut self) {
        if let Some(next) = self.next.take() {
            self.previous = Some(core::mem::replace(&mut self.current, next));
            self.interval += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use ockam_vault::fast;

    use super::*;

    #[test]
    fn guard_11_2_06_forged_records_of_the_next_interval_cost_one_derivation() {
        let mut receiver = Receiver::new(fast(), &SecretBytes::new([1; 32]));
        let mut forged = [0; 40];
        forged[7] = 32;
        assert!(receiver.open(Buffer::from_slice(&forged)).is_err());
        let derived = receiver.next.as_ref().map(core::ptr::from_ref);
        assert!(derived.is_some());
        assert!(receiver.open(Buffer::from_slice(&forged)).is_err());
        assert_eq!(receiver.next.as_ref().map(core::ptr::from_ref), derived);
        assert_eq!((receiver.interval, receiver.previous.is_none()), (0, true));
    }
}
