//! Making and rotating identities in two steps, since the signing key may live elsewhere.

use alloc::vec::Vec;

use ockam_vault::{Handle, KeyError, Provider, PublicKey, SignError, Signature, Signer};

use crate::cbor;
use crate::change::{Change, ChangeData};
use crate::history::{HistoryError, MAX_CHANGES, VerifiedChange, VerifiedHistory};
use crate::time::{Validity, ValidityError};

/// A new identity that lacks its signature.
///
/// Order of calls: [`Self::new`], sign [`Self::bytes_to_sign`] with the key, [`Self::finish`].
///
/// ```
/// use ockam_identity::{Comparison, IdentityDraft, UnixTime, Validity, VerifiedHistory};
/// use ockam_vault::{Signer, SigningKeyType, SoftwareVault, portable};
///
/// # fn main() -> Result<(), Box<dyn core::error::Error>> {
/// # let mut random = |bytes: &mut [u8]| bytes.fill(7);
/// # let now = UnixTime(1_700_000_000);
/// let mut vault = SoftwareVault::new(portable());
/// let handle = vault.generate_signing_key(SigningKeyType::Ed25519, &mut random)?;
///
/// let draft = IdentityDraft::new(portable(), vault.public_key(&handle)?, Validity::of_primary_key(now))?;
/// let signature = vault.sign(&handle, draft.bytes_to_sign())?;
/// let alice = draft.finish(portable(), &signature)?;
///
/// // What a peer does with the bytes it is shown.
/// let shown = VerifiedHistory::decode(portable(), alice.as_bytes(), Some(alice.identifier()))?;
/// assert_eq!(shown.compare(&alice), Comparison::Equal);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use]
pub struct IdentityDraft {
    key: PublicKey,
    data: Vec<u8>,
    hash: [u8; 32],
}

impl IdentityDraft {
    /// Drafts an identity with this primary key; [`Validity::of_primary_key`] gives the usual window.
    ///
    /// # Errors
    /// [`DraftError::Key`] if the key is one that verifiers refuse.
    pub fn new(
        provider: &dyn Provider,
        key: PublicKey,
        validity: Validity,
    ) -> Result<Self, DraftError> {
        provider.check_public_key(&key)?;
        let data = ChangeData {
            previous_change: None,
            primary_public_key: key.clone(),
            revoke_all_purpose_keys: false,
            attestations_valid_from: validity.from(),
            attestations_valid_until: validity.until(),
        }
        .to_signed_data();
        let hash = provider.sha256(&[&data]);
        Ok(Self { key, data, hash })
    }

    /// What the primary key signs. Of a finished draft, it is the identifier.
    pub const fn bytes_to_sign(&self) -> &[u8; 32] {
        &self.hash
    }

    /// The key that signs.
    pub const fn public_key(&self) -> &PublicKey {
        &self.key
    }

    /// Completes the identity.
    ///
    /// # Errors
    /// [`DraftError::History`] if the signature is not the key's.
    pub fn finish(
        self,
        provider: &dyn Provider,
        signature: &Signature,
    ) -> Result<VerifiedHistory, DraftError> {
        let change = Change::write(&self.data, signature, None);
        Ok(VerifiedHistory::decode(
            provider,
            &enclose(1, &[&change]),
            None,
        )?)
    }

    /// Signs with a signer that is at hand, and completes the identity.
    ///
    /// # Errors
    /// [`DraftError::Sign`] if there is no signature, [`DraftError::History`] if it is not the key's.
    pub fn sign_with(
        self,
        provider: &dyn Provider,
        signer: &dyn Signer,
        handle: &Handle,
    ) -> Result<VerifiedHistory, DraftError> {
        let signature = signer.sign(handle, &self.hash)?;
        self.finish(provider, &signature)
    }
}

/// A change of primary key that lacks its two signatures.
///
/// Order of calls: [`Self::new`], sign [`Self::bytes_to_sign`] with the new and with the previous key, [`Self::finish`], then
/// delete the previous secret. `spec: trust 2.5, 11.1 (4)`
#[derive(Debug)]
#[must_use]
pub struct RotationDraft<'a> {
    history: &'a VerifiedHistory,
    key: PublicKey,
    data: Vec<u8>,
    hash: [u8; 32],
}

impl<'a> RotationDraft<'a> {
    /// Drafts a change to `key`.
    ///
    /// The new window never begins before that of the previous key: verifiers would refuse it, and a clock may have been set back.
    ///
    /// # Errors
    /// [`DraftError::Key`] if the key is one that verifiers refuse, [`DraftError::TooManyChanges`] if the history is full,
    /// [`DraftError::Validity`] if the window ends before the previous key's begins.
    pub fn new(
        provider: &dyn Provider,
        history: &'a VerifiedHistory,
        key: PublicKey,
        validity: Validity,
        purpose_keys: OlderPurposeKeys,
    ) -> Result<Self, DraftError> {
        provider.check_public_key(&key)?;
        if history.changes().len() >= MAX_CHANGES {
            return Err(DraftError::TooManyChanges);
        }
        let previous = history.latest();
        let validity = Validity::new(
            validity.from().max(previous.validity().from()),
            validity.until(),
        )?;
        let data = ChangeData {
            previous_change: Some(*previous.hash()),
            primary_public_key: key.clone(),
            revoke_all_purpose_keys: purpose_keys == OlderPurposeKeys::Revoke,
            attestations_valid_from: validity.from(),
            attestations_valid_until: validity.until(),
        }
        .to_signed_data();
        let hash = provider.sha256(&[&data]);
        Ok(Self {
            history,
            key,
            data,
            hash,
        })
    }

    /// What both keys sign.
    pub const fn bytes_to_sign(&self) -> &[u8; 32] {
        &self.hash
    }

    /// The new key.
    pub const fn public_key(&self) -> &PublicKey {
        &self.key
    }

    /// The key that is replaced.
    pub const fn previous_public_key(&self) -> &PublicKey {
        VerifiedChange::primary_public_key(self.history.latest())
    }

    /// Completes the rotation.
    ///
    /// # Errors
    /// [`DraftError::History`] if a signature is not its key's.
    pub fn finish(
        self,
        provider: &dyn Provider,
        signature: &Signature,
        previous_signature: &Signature,
    ) -> Result<VerifiedHistory, DraftError> {
        let change = Change::write(&self.data, signature, Some(previous_signature));
        // The changes so far are kept byte for byte: they are what peers have.
        let bytes = enclose(
            self.history.changes().len() + 1,
            &[self.history.encoded_changes(), &change],
        );
        Ok(VerifiedHistory::decode(
            provider,
            &bytes,
            Some(self.history.identifier()),
        )?)
    }

    /// Signs with a signer that holds both keys, and completes the rotation.
    ///
    /// # Errors
    /// [`DraftError::Sign`] if there is no signature, [`DraftError::History`] if one is not its key's.
    pub fn sign_with(
        self,
        provider: &dyn Provider,
        signer: &dyn Signer,
        handle: &Handle,
        previous_handle: &Handle,
    ) -> Result<VerifiedHistory, DraftError> {
        let signature = signer.sign(handle, &self.hash)?;
        let previous_signature = signer.sign(previous_handle, &self.hash)?;
        self.finish(provider, &signature, &previous_signature)
    }
}

/// What a rotation says of earlier purpose keys. It has no effect on published verifiers, who refuse them in any case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OlderPurposeKeys {
    /// Nothing.
    #[default]
    Keep,
    /// They are revoked.
    Revoke,
}

/// Why there is no new or rotated identity.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DraftError {
    /// The key is one that verifiers refuse.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The history has as many changes as it may.
    #[error("the change history is full")]
    TooManyChanges,
    /// The window ends before it begins.
    #[error(transparent)]
    Validity(#[from] ValidityError),
    /// There is no signature.
    #[error(transparent)]
    Sign(#[from] SignError),
    /// The result does not verify.
    #[error(transparent)]
    History(#[from] HistoryError),
}

/// Makes a history of encoded changes.
fn enclose(count: usize, changes: &[&[u8]]) -> Vec<u8> {
    let mut bytes = cbor::encode(|encoder| {
        encoder.array(count as u64)?;
        Ok(())
    });
    changes
        .iter()
        .for_each(|change| bytes.extend_from_slice(change));
    bytes
}
