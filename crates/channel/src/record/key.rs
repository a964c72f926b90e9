//! One key of a direction, and how the next one follows from it.

use alloc::boxed::Box;
use core::fmt;

use ockam_vault::{Aead, Provider, SecretBytes};
use ockam_wire::Buffer;

use super::{NONCE_LEN, OpenError, REKEY_NONCE, SealError, TAG_LEN};
use crate::noise::nonce_bytes;

/// A key that seals or opens records.
pub(super) struct RecordKey {
    provider: &'static dyn Provider,
    aead: Box<dyn Aead>,
}

impl RecordKey {
    pub(super) fn new(provider: &'static dyn Provider, key: &SecretBytes<32>) -> Self {
        Self {
            provider,
            aead: provider.aead(key.as_bytes()),
        }
    }

    /// The key of the next interval. It tells nothing about this one.
    pub(super) fn next(&self) -> Self {
        let mut key = SecretBytes::new([0; 32]);
        // The tag is no part of the key (spec: trust 5.10).
        let _tag = self
            .aead
            .seal_in_place(&nonce_bytes(REKEY_NONCE), &[], key.as_bytes_mut());
        Self::new(self.provider, &key)
    }

    /// Seals `record` in place: the nonce goes into its headroom, the tag into its tailroom.
    pub(super) fn seal(&self, nonce: u64, mut record: Buffer) -> Result<Buffer, SealError> {
        if nonce == REKEY_NONCE {
            return Err(SealError::Exhausted);
        }
        let tag = self
            .aead
            .seal_in_place(&nonce_bytes(nonce), &[], record.as_mut_slice());
        record.append(&tag);
        record.prepend(&nonce.to_be_bytes());
        Ok(record)
    }

    /// Opens `record` in place; nonce and tag become its head- and tailroom.
    pub(super) fn open(&self, nonce: u64, mut record: Buffer) -> Result<Buffer, OpenError> {
        let too_short = OpenError::TooShort {
            length: record.len(),
        };
        let length = record
            .len()
            .checked_sub(NONCE_LEN + TAG_LEN)
            .ok_or(too_short)?;
        let tag = *record.as_slice().last_chunk::<TAG_LEN>().ok_or(too_short)?;
        record.advance(NONCE_LEN);
        record.truncate(length);
        self.aead
            .open_in_place(&nonce_bytes(nonce), &[], record.as_mut_slice(), &tag)
            .map_err(|_| OpenError::NotAuthentic { nonce })?;
        Ok(record)
    }
}

impl fmt::Debug for RecordKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecordKey([redacted])")
    }
}

/// The nonce a record names. The re-key nonce is nobody's.
pub(super) fn nonce_of(record: &Buffer) -> Result<u64, OpenError> {
    let length = record.len();
    let nonce = record
        .as_slice()
        .first_chunk::<NONCE_LEN>()
        .filter(|_| length >= NONCE_LEN + TAG_LEN);
    let nonce = u64::from_be_bytes(*nonce.ok_or(OpenError::TooShort { length })?);
    if nonce == REKEY_NONCE {
        Err(OpenError::OutsideWindow { nonce })
    } else {
        Ok(nonce)
    }
}
