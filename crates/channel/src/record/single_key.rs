//! The two directions of a key-exchange-only channel: one key for ever, no replay check.
//!
//! Weaker than a normal channel by design of the published protocol: whoever can repeat a record has it opened again, and
//! the key protects everything that was ever sealed with it (spec: trust 5.11, 11.2 number 8).

use ockam_wire::Buffer;

use super::key::{RecordKey, nonce_of};
use super::{OpenError, SealError};

/// Seals records under one key and consecutive nonces.
#[derive(Debug)]
pub struct SingleKeySender {
    key: RecordKey,
    nonce: u64,
}

impl SingleKeySender {
    pub(super) const fn new(key: RecordKey) -> Self {
        Self { key, nonce: 0 }
    }

    /// Seals `plaintext` in place and returns the record.
    ///
    /// # Errors
    ///
    /// The key has sealed 2^32 records, more than which it should not protect.
    pub fn seal(&mut self, plaintext: Buffer) -> Result<Buffer, SealError> {
        if self.nonce >= MAX_RECORDS {
            return Err(SealError::Exhausted);
        }
        let record = self.key.seal(self.nonce, plaintext)?;
        self.nonce += 1;
        Ok(record)
    }
}

/// Opens records under one key, in any order and any number of times.
#[derive(Debug)]
pub struct SingleKeyReceiver {
    key: RecordKey,
}

impl SingleKeyReceiver {
    pub(super) const fn new(key: RecordKey) -> Self {
        Self { key }
    }

    /// Opens `record` in place and returns its nonce and plaintext.
    ///
    /// # Errors
    ///
    /// The record is too short or not authentic.
    pub fn open(&self, record: Buffer) -> Result<(u64, Buffer), OpenError> {
        let nonce = nonce_of(&record)?;
        Ok((nonce, self.key.open(nonce, record)?))
    }
}

const MAX_RECORDS: u64 = 1 << 32;

#[cfg(test)]
mod tests {
    use ockam_vault::{SecretBytes, fast};

    use super::*;

    #[test]
    fn guard_11_2_08_one_key_seals_so_many_records_and_no_more() {
        let mut sender = SingleKeySender::new(RecordKey::new(fast(), &SecretBytes::new([7; 32])));
        sender.nonce = MAX_RECORDS - 1;
        let text = || Buffer::from_slice(b"text");
        let last = sender.seal(text()).unwrap();
        assert_eq!(nonce_of(&last).unwrap(), MAX_RECORDS - 1);
        assert!(matches!(sender.seal(text()), Err(SealError::Exhausted)));
    }
}
