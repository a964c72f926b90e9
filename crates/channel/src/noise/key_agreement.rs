//! The key agreement of the suite: the only place that knows which one it is.
//!
//! A hybrid adds its second shared secret to what [`KeyPair::agree`] returns, or mixes it in before the split.

use alloc::boxed::Box;

use ockam_vault::{AgreementKey, Provider, SharedSecret, X25519Public, X25519Secret};

use super::{KEY_LEN, NoiseError};

/// A key pair of the Noise specification, with its function `DH`. One multiplication of the base point makes it, however
/// often it agrees.
#[derive(Debug)]
pub(crate) struct KeyPair {
    ours: Box<dyn AgreementKey>,
    public: X25519Public,
}

impl KeyPair {
    pub(crate) fn new(provider: &dyn Provider, secret: &X25519Secret) -> Self {
        let ours = provider.agreement_key(secret);
        let public = ours.public();
        Self { ours, public }
    }

    pub(crate) const fn public(&self) -> &X25519Public {
        &self.public
    }

    /// The shared secret; a public key of small order would make it known to everyone and is refused.
    pub(super) fn agree(&self, theirs: &X25519Public) -> Result<SharedSecret, NoiseError> {
        self.ours.agree(theirs).map_err(|_| NoiseError::WeakKey)
    }
}

/// Reads a public key as it stands in a message.
pub(super) fn parse(bytes: &[u8]) -> Result<X25519Public, NoiseError> {
    let bytes: [u8; KEY_LEN] = bytes.try_into().map_err(|_| NoiseError::TooShort {
        length: bytes.len(),
    })?;
    Ok(X25519Public(bytes))
}
