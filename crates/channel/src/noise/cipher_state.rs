//! The Noise object `CipherState`: a key and the count of what was sealed under it.

use alloc::vec::Vec;
use core::fmt;

use ockam_vault::{Provider, SecretBytes};

use super::{NoiseError, TAG_LEN};

/// A key, once there is one, and its nonce.
pub(super) struct CipherState {
    key: Option<SecretBytes<32>>,
    nonce: u64,
}

impl CipherState {
    pub(super) const fn empty() -> Self {
        Self {
            key: None,
            nonce: 0,
        }
    }

    pub(super) const fn with_key(key: SecretBytes<32>) -> Self {
        Self {
            key: Some(key),
            nonce: 0,
        }
    }

    /// Seals everything in `data` behind `start` and appends the tag. Without a key the data stay as they are.
    pub(super) fn seal(
        &mut self,
        provider: &dyn Provider,
        aad: &[u8],
        data: &mut Vec<u8>,
        start: usize,
    ) {
        let Some(key) = &self.key else { return };
        let (_, plaintext) = data.split_at_mut(start);
        let tag =
            provider
                .aead(key.as_bytes())
                .seal_in_place(&nonce_bytes(self.nonce), aad, plaintext);
        data.extend_from_slice(&tag);
        // A handshake seals at most two messages under one key.
        self.nonce += 1;
    }

    /// Opens `ciphertext`. Without a key it is the plaintext.
    pub(super) fn open(
        &mut self,
        provider: &dyn Provider,
        aad: &[u8],
        ciphertext: &[u8],
    ) -> Result<Vec<u8>, NoiseError> {
        let Some(key) = &self.key else {
            return Ok(ciphertext.to_vec());
        };
        let Some((sealed, tag)) = ciphertext.split_last_chunk::<TAG_LEN>() else {
            return Err(NoiseError::TooShort {
                length: ciphertext.len(),
            });
        };
        let mut data = sealed.to_vec();
        provider
            .aead(key.as_bytes())
            .open_in_place(&nonce_bytes(self.nonce), aad, &mut data, tag)
            .map_err(|_| NoiseError::NotAuthentic)?;
        self.nonce += 1;
        Ok(data)
    }

    /// A second state equal to this one, to try a message on.
    pub(super) fn fork(&self) -> Self {
        Self {
            key: self
                .key
                .as_ref()
                .map(|key| SecretBytes::new(*key.as_bytes())),
            nonce: self.nonce,
        }
    }

    #[cfg(test)]
    pub(super) fn key(&self) -> Option<[u8; 32]> {
        self.key.as_ref().map(|key| *key.as_bytes())
    }

    #[cfg(test)]
    pub(super) const fn nonce(&self) -> u64 {
        self.nonce
    }
}

impl fmt::Debug for CipherState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CipherState")
            .field("nonce", &self.nonce)
            .finish_non_exhaustive()
    }
}

/// The GCM nonce of a counter: four zero bytes, then the counter big endian (spec: trust 5.2, 5.7).
pub(crate) fn nonce_bytes(counter: u64) -> [u8; 12] {
    let mut nonce = [0; 12];
    let (_, low) = nonce.split_at_mut(4);
    low.copy_from_slice(&counter.to_be_bytes());
    nonce
}
