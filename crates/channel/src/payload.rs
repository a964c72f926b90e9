//! What a side says of itself inside the handshake.
//!
//! ```text
//! [ change_history, purpose_key_attestation, [ credential bundle, .. ], extensions? ]
//! ```
//!
//! The fourth element is ours; published peers pass over it. Elements behind it and bytes behind the array are accepted:
//! the transcript covers them (spec: trust 5.5, 5.12).

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use minicbor::Encoder;
use ockam_identity::{CredentialBundle, DecodeError, PurposeKeyAttestation, VerifiedHistory};
use ockam_vault::{Provider, X25519Public, X25519Secret};

use crate::array_structure::{ArrayStructure, StructureError, item_len};
use crate::noise::KeyPair;

/// What a node needs to prove its identity in a handshake. Clones share the channel key.
#[derive(Clone)]
pub struct LocalIdentity {
    /// The identity's own change history.
    pub history: VerifiedHistory,
    /// The channel key, the one that `attestation` names.
    pub static_key: StaticKey,
    /// The identity's statement that the channel key is its own.
    pub attestation: PurposeKeyAttestation,
    /// The credentials to present.
    pub credentials: Vec<CredentialBundle>,
}

impl fmt::Debug for LocalIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalIdentity")
            .field("identifier", &self.history.identifier())
            .finish_non_exhaustive()
    }
}

/// The key of a node in secure channels, made ready once for all handshakes. Cloning gives another handle to the same key.
#[derive(Clone)]
pub struct StaticKey {
    inner: Arc<(X25519Secret, KeyPair)>,
}

impl StaticKey {
    /// Makes `secret` ready.
    pub fn new(provider: &dyn Provider, secret: X25519Secret) -> Self {
        let pair = KeyPair::new(provider, &secret);
        Self {
            inner: Arc::new((secret, pair)),
        }
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> &X25519Public {
        self.pair().public()
    }

    /// The secret half.
    #[must_use]
    pub fn secret(&self) -> &X25519Secret {
        &self.inner.0
    }

    pub(crate) fn pair(&self) -> &KeyPair {
        &self.inner.1
    }
}

impl fmt::Debug for StaticKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("StaticKey").field(self.public()).finish()
    }
}

/// A handshake payload that is not what it should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PayloadError {
    /// The structure is not an identity and its credentials.
    #[error(transparent)]
    Structure(#[from] StructureError),
    /// More credentials than are looked at.
    #[error("more than {MAX_CREDENTIALS} credentials")]
    TooManyCredentials,
    /// The history, the attestation or a credential cannot be read.
    #[error(transparent)]
    Identity(#[from] DecodeError),
}

/// The most credentials one side may present.
pub const MAX_CREDENTIALS: usize = 32;

/// A payload as received: parts by their position, nothing verified.
#[derive(Debug)]
pub(crate) struct IdentityAndCredentials<'b> {
    pub(crate) history: &'b [u8],
    pub(crate) attestation: &'b [u8],
    pub(crate) credentials: Vec<CredentialBundle>,
    pub(crate) extensions: &'b [u8],
}

impl<'b> IdentityAndCredentials<'b> {
    pub(crate) fn decode(payload: &'b [u8]) -> Result<Self, PayloadError> {
        let mut fields = ArrayStructure::open(payload)?;
        let history = fields.field(0)?;
        let attestation = fields.field(1)?;
        let credentials = decode_credentials(fields.field(2)?)?;
        let extensions = match fields.next()? {
            None | Some([NULL]) => &[],
            Some(extensions) => extensions,
        };
        fields.finish()?;
        Ok(Self {
            history,
            attestation,
            credentials,
            extensions,
        })
    }
}

/// Writes the payload of `identity`; `extensions` is one CBOR item, or nothing.
pub(crate) fn encode(identity: &LocalIdentity, extensions: &[u8]) -> Result<Vec<u8>, PayloadError> {
    if !extensions.is_empty() && item_len(extensions)? != extensions.len() {
        return Err(StructureError::Trailing.into());
    }
    if identity.credentials.len() > MAX_CREDENTIALS {
        return Err(PayloadError::TooManyCredentials);
    }
    let mut payload = Vec::with_capacity(512);
    payload.push(if extensions.is_empty() {
        ARRAY_OF_3
    } else {
        ARRAY_OF_4
    });
    payload.extend_from_slice(identity.history.as_bytes());
    payload.extend_from_slice(identity.attestation.as_bytes());
    encode_credentials(&identity.credentials, &mut payload);
    payload.extend_from_slice(extensions);
    Ok(payload)
}

pub(crate) fn decode_credentials(array: &[u8]) -> Result<Vec<CredentialBundle>, PayloadError> {
    let mut bundles = ArrayStructure::open(array).map_err(|_| StructureError::WrongType(2))?;
    let mut credentials = Vec::new();
    while let Some(bundle) = bundles.next()? {
        if credentials.len() == MAX_CREDENTIALS {
            return Err(PayloadError::TooManyCredentials);
        }
        credentials.push(CredentialBundle::decode(bundle)?);
    }
    Ok(credentials)
}

pub(crate) fn encode_credentials(credentials: &[CredentialBundle], out: &mut Vec<u8>) {
    let mut encoder = Encoder::new(&mut *out);
    encoder
        .array(credentials.len() as u64)
        .expect("writing to a vector cannot fail");
    for bundle in credentials {
        out.extend_from_slice(bundle.as_bytes());
    }
}

const ARRAY_OF_3: u8 = 0x83;
const ARRAY_OF_4: u8 = 0x84;
const NULL: u8 = 0xf6;

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    #[test]
    fn further_elements_and_bytes_behind_them_are_passed_over() {
        for (payload, extensions) in [
            ("83010280", ""),
            ("8301028000ff", ""),
            ("84010280f6", ""),
            ("84010280a10101", "a10101"),
            ("85010280a1010163787878", "a10101"),
            ("9f01029fffa0ff", "a0"),
        ] {
            let bytes = hex::decode(payload).unwrap();
            let decoded = IdentityAndCredentials::decode(&bytes).unwrap();
            assert_eq!(
                (decoded.history, decoded.attestation),
                ([1].as_slice(), [2].as_slice()),
                "{payload}"
            );
            assert_eq!(hex::encode(decoded.extensions), extensions, "{payload}");
        }
    }

    #[test]
    fn mandatory_elements_are_mandatory() {
        for (payload, error) in [
            ("820102", StructureError::Missing(2)),
            ("8101", StructureError::Missing(1)),
            ("80", StructureError::Missing(0)),
            ("830102f6", StructureError::WrongType(2)),
            ("8301024100", StructureError::WrongType(2)),
            ("83010281", StructureError::Malformed),
        ] {
            let refused =
                IdentityAndCredentials::decode(&hex::decode(payload).unwrap()).unwrap_err();
            assert_eq!(refused, error.into(), "{payload}");
        }
    }

    #[test]
    fn credentials_are_bounded_in_number_and_size() {
        let array = |count: u8| {
            let mut array = vec![0x98, count];
            array.resize(2 + usize::from(count), 0x80);
            array
        };
        assert_eq!(
            decode_credentials(&array(32)).unwrap().len(),
            MAX_CREDENTIALS
        );
        assert_eq!(
            decode_credentials(&array(33)),
            Err(PayloadError::TooManyCredentials)
        );
        let mut large = vec![0x81, 0x59, 0x40, 0x00];
        large.resize(4 + 16 * 1024, 0);
        assert!(matches!(
            decode_credentials(&large),
            Err(PayloadError::Identity(DecodeError::TooLarge(_)))
        ));
    }
}
