//! The key agreement of the suite: the only place that knows which one it is.
//!
//! A hybrid adds its second shared secret to what [`KeyAgreement::agree`] returns, or mixes it in before the split.

use ockam_vault::{Provider, SharedSecret, X25519Public, X25519Secret};

use super::{KEY_LEN, NoiseError};

/// The functions `GENERATE_KEYPAIR` (its public half) and `DH` of the Noise specification.
#[derive(Clone, Copy, Debug)]
pub(super) struct KeyAgreement {
    provider: &'static dyn Provider,
}

impl KeyAgreement {
    pub(super) const fn new(provider: &'static dyn Provider) -> Self {
        Self { provider }
    }

    pub(super) fn public(self, secret: &X25519Secret) -> X25519Public {
        self.provider.x25519_public(secret)
    }

    pub(super) fn parse(bytes: &[u8]) -> Result<X25519Public, NoiseError> {
        let bytes: [u8; KEY_LEN] = bytes.try_into().map_err(|_| NoiseError::TooShort {
            length: bytes.len(),
        })?;
        Ok(X25519Public(bytes))
    }

    /// The shared secret; a public key of small order would make it known to everyone and is refused.
    pub(super) fn agree(
        self,
        ours: &X25519Secret,
        theirs: &X25519Public,
    ) -> Result<SharedSecret, NoiseError> {
        self.provider
            .x25519(ours, theirs)
            .map_err(|_| NoiseError::WeakKey)
    }
}
