//! Credentials as opaque bytes.

use alloc::vec::Vec;

use crate::cbor::{self, DecodeError};

/// The largest credential bundle that is carried.
pub const MAX_CREDENTIAL_BUNDLE_LEN: usize = 16 * 1024;

/// A credential with the attestation of the key that signed it, as it is presented: one CBOR item, not looked into.
///
/// `spec: trust 4.3`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CredentialBundle(Vec<u8>);

impl CredentialBundle {
    /// Takes these bytes, which must be one CBOR item and nothing more.
    ///
    /// # Errors
    /// [`DecodeError`] if they are too many, not CBOR, nested too deeply or more than one item.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let (bundle, len) = Self::decode_prefix(bytes)?;
        if len == bytes.len() {
            Ok(bundle)
        } else {
            Err(DecodeError::TrailingBytes(WHAT))
        }
    }

    /// Takes the CBOR item at the start of `bytes` and says how long it is.
    ///
    /// # Errors
    /// As for [`Self::decode`], except that bytes may follow.
    pub fn decode_prefix(bytes: &[u8]) -> Result<(Self, usize), DecodeError> {
        let len = cbor::item_len(bytes)?;
        let bundle = bytes.get(..len).ok_or(DecodeError::Malformed(WHAT))?;
        if len > MAX_CREDENTIAL_BUNDLE_LEN {
            return Err(DecodeError::TooLarge(WHAT));
        }
        Ok((Self(bundle.to_vec()), len))
    }

    /// The bundle's bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

const WHAT: &str = "credential bundle";
