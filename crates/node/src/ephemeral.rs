//! Identities that live only as long as the process.

use ockam_channel::{LocalIdentity, StaticKey};
use ockam_identity::{
    DraftError, IdentityDraft, PURPOSE_KEY_SECONDS, PurposeKeyDraft, PurposeKeyDraftError,
    PurposePublicKey, Validity,
};
use ockam_vault::{KeyError, SigningKeyType, SoftwareVault, X25519Secret};

use crate::node::{Node, random};

impl Node {
    /// Makes a new identity whose keys are never written anywhere (spec: trust 2.3, 3.2).
    ///
    /// # Errors
    /// The cryptographic provider refuses a key it has just made.
    pub fn ephemeral_identity(&self) -> Result<LocalIdentity, EphemeralIdentityError> {
        let provider = self.provider();
        let now = self.unix_time();
        let mut fill = |bytes: &mut [u8]| fill_random(bytes);
        let mut vault = SoftwareVault::new(provider);
        let handle = vault.generate_signing_key(SigningKeyType::Ed25519, &mut fill)?;
        let key = ockam_vault::Signer::public_key(&vault, &handle).map_err(DraftError::from)?;
        let history = IdentityDraft::new(provider, key, Validity::of_primary_key(now))?
            .sign_with(provider, &vault, &handle)?;
        let static_key = StaticKey::new(provider, X25519Secret::generate(&mut fill));
        let public = PurposePublicKey::SecureChannelStatic(*static_key.public());
        let attestation =
            PurposeKeyDraft::new(provider, &history, public, now, PURPOSE_KEY_SECONDS)?
                .sign_with(provider, &vault, &handle)?;
        Ok(LocalIdentity {
            history,
            static_key,
            attestation,
            credentials: Vec::new(),
        })
    }
}

/// An identity could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EphemeralIdentityError {
    /// A key could not be made.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The change history could not be made.
    #[error(transparent)]
    History(#[from] DraftError),
    /// The channel key could not be attested.
    #[error(transparent)]
    Attestation(#[from] PurposeKeyDraftError),
}

fn fill_random(bytes: &mut [u8]) {
    for chunk in bytes.chunks_mut(32) {
        let fresh = random::<32>();
        for (byte, fresh) in chunk.iter_mut().zip(fresh) {
            *byte = fresh;
        }
    }
}
