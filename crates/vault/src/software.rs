//! Secrets held in memory and used by handle.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use crate::key::{Handle, PublicKey, Signature, SigningKeyType, X25519Public};
use crate::provider::{AgreementError, KeyError, Provider, Random};
use crate::secret::{SecretBytes, SharedSecret, SigningSecret, X25519Secret};

/// Something that signs with a key it does not show: the software vault, or a driver's answer from another process or device.
///
/// Cores do not hold one. They yield the bytes to sign and are finished with the signature, so a signer that takes its time
/// blocks nobody.
pub trait Signer {
    /// The public half of the key with this handle.
    ///
    /// # Errors
    /// [`SignError`] if there is no such key or the signer cannot be asked.
    fn public_key(&self, handle: &Handle) -> Result<PublicKey, SignError>;

    /// Signs `message` with the key with this handle.
    ///
    /// # Errors
    /// [`SignError`] if there is no such key or the signer cannot or will not sign.
    fn sign(&self, handle: &Handle, message: &[u8]) -> Result<Signature, SignError>;
}

/// Why there is no signature.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignError {
    /// The vault holds no such key.
    #[error("the vault has no signing key `{0}`")]
    UnknownKey(Handle),
    /// The key cannot sign.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The signer is elsewhere and gave no signature.
    #[error("the signer is not available: {0}")]
    Unavailable(String),
}

/// Signing and key agreement secrets by handle, in memory.
///
/// Holding the handle is all it takes to use a secret; who may use the vault is decided by who is given it.
pub struct SoftwareVault {
    provider: &'static dyn Provider,
    signing: BTreeMap<Handle, SigningSecret>,
    agreement: BTreeMap<Handle, X25519Secret>,
}

impl SoftwareVault {
    /// An empty vault that computes with `provider`.
    pub fn new(provider: &'static dyn Provider) -> Self {
        Self {
            provider,
            signing: BTreeMap::new(),
            agreement: BTreeMap::new(),
        }
    }

    /// A vault with the secrets of `records`.
    ///
    /// # Errors
    /// [`VaultError::Key`] if a secret is out of range, [`VaultError::HandleMismatch`] if a record names another key.
    pub fn from_records(
        provider: &'static dyn Provider,
        records: impl IntoIterator<Item = SecretRecord>,
    ) -> Result<Self, VaultError> {
        let mut vault = Self::new(provider);
        for record in records {
            vault.import(record)?;
        }
        Ok(vault)
    }

    /// Takes in one stored secret.
    ///
    /// # Errors
    /// [`VaultError::Key`] if the secret is out of range, [`VaultError::HandleMismatch`] if the record names another key.
    pub fn import(&mut self, record: SecretRecord) -> Result<(), VaultError> {
        let SecretRecord {
            handle,
            kind,
            secret,
        } = record;
        // The handle is checked before anything is stored: a record must not put a secret behind another key's name.
        match kind {
            SecretKind::Signing(kind) => {
                let secret = SigningSecret::new(kind, secret)?;
                self.expect_handle(&handle, self.provider.public_key(&secret)?.as_bytes())?;
                self.signing.insert(handle, secret);
            }
            SecretKind::X25519 => {
                let secret = X25519Secret::new(secret);
                self.expect_handle(&handle, self.provider.x25519_public(&secret).as_bytes())?;
                self.agreement.insert(handle, secret);
            }
        }
        Ok(())
    }

    /// Makes a signing key.
    ///
    /// # Errors
    /// [`KeyError::InvalidSecret`] if `random` does not work.
    pub fn generate_signing_key(
        &mut self,
        kind: SigningKeyType,
        random: &mut dyn Random,
    ) -> Result<Handle, KeyError> {
        self.insert_signing_key(SigningSecret::generate(kind, random)?)
    }

    /// Takes in a signing key; it keeps its handle if it was here before.
    ///
    /// # Errors
    /// [`KeyError::InvalidSecret`] if the secret is out of range.
    pub fn insert_signing_key(&mut self, secret: SigningSecret) -> Result<Handle, KeyError> {
        let handle = self.handle_of(self.provider.public_key(&secret)?.as_bytes());
        self.signing.insert(handle.clone(), secret);
        Ok(handle)
    }

    /// Makes a key agreement key.
    pub fn generate_agreement_key(&mut self, random: &mut dyn Random) -> Handle {
        self.insert_agreement_key(X25519Secret::generate(random))
    }

    /// Takes in a key agreement key.
    pub fn insert_agreement_key(&mut self, secret: X25519Secret) -> Handle {
        let handle = self.handle_of(self.provider.x25519_public(&secret).as_bytes());
        self.agreement.insert(handle.clone(), secret);
        handle
    }

    /// Wipes a signing key; whether there was one.
    pub fn delete_signing_key(&mut self, handle: &Handle) -> bool {
        self.signing.remove(handle).is_some()
    }

    /// Wipes a key agreement key; whether there was one.
    pub fn delete_agreement_key(&mut self, handle: &Handle) -> bool {
        self.agreement.remove(handle).is_some()
    }

    /// The public half of a key agreement key.
    ///
    /// # Errors
    /// [`VaultError::UnknownKey`] if there is no such key.
    pub fn agreement_public_key(&self, handle: &Handle) -> Result<X25519Public, VaultError> {
        Ok(self.provider.x25519_public(self.agreement_secret(handle)?))
    }

    /// Agrees on a secret with the holder of `public`.
    ///
    /// # Errors
    /// [`VaultError::UnknownKey`] if there is no such key, [`VaultError::Agreement`] if the peer's key is of small order.
    pub fn agree(
        &self,
        handle: &Handle,
        public: &X25519Public,
    ) -> Result<SharedSecret, VaultError> {
        Ok(self
            .provider
            .x25519(self.agreement_secret(handle)?, public)?)
    }

    /// One signing key as it is stored.
    ///
    /// # Errors
    /// [`VaultError::UnknownKey`] if there is no such key.
    pub fn export_signing_key(&self, handle: &Handle) -> Result<SecretRecord, VaultError> {
        let secret = self
            .signing
            .get(handle)
            .ok_or_else(|| VaultError::UnknownKey(handle.clone()))?;
        Ok(signing_record(handle, secret))
    }

    /// One key agreement key as it is stored; a secure channel takes its static secret from here.
    ///
    /// # Errors
    /// [`VaultError::UnknownKey`] if there is no such key.
    pub fn export_agreement_key(&self, handle: &Handle) -> Result<SecretRecord, VaultError> {
        Ok(agreement_record(handle, self.agreement_secret(handle)?))
    }

    /// Every secret as it is stored, signing keys first.
    pub fn records(&self) -> impl Iterator<Item = SecretRecord> + '_ {
        let signing = self
            .signing
            .iter()
            .map(|(handle, secret)| signing_record(handle, secret));
        let agreement = self
            .agreement
            .iter()
            .map(|(handle, secret)| agreement_record(handle, secret));
        signing.chain(agreement)
    }

    /// The handles of all signing keys.
    pub fn signing_keys(&self) -> impl Iterator<Item = &Handle> {
        self.signing.keys()
    }

    /// The provider this vault computes with.
    pub fn provider(&self) -> &'static dyn Provider {
        self.provider
    }

    fn agreement_secret(&self, handle: &Handle) -> Result<&X25519Secret, VaultError> {
        self.agreement
            .get(handle)
            .ok_or_else(|| VaultError::UnknownKey(handle.clone()))
    }

    /// `spec: trust 1.3 (software keys are named by the hash of their public half)`
    fn handle_of(&self, public: &[u8]) -> Handle {
        Handle::new(Vec::from(self.provider.sha256(&[public])))
    }

    fn expect_handle(&self, handle: &Handle, public: &[u8]) -> Result<(), VaultError> {
        if self.handle_of(public) == *handle {
            Ok(())
        } else {
            Err(VaultError::HandleMismatch(handle.clone()))
        }
    }
}

impl Signer for SoftwareVault {
    fn public_key(&self, handle: &Handle) -> Result<PublicKey, SignError> {
        let secret = self
            .signing
            .get(handle)
            .ok_or_else(|| SignError::UnknownKey(handle.clone()))?;
        Ok(self.provider.public_key(secret)?)
    }

    fn sign(&self, handle: &Handle, message: &[u8]) -> Result<Signature, SignError> {
        let secret = self
            .signing
            .get(handle)
            .ok_or_else(|| SignError::UnknownKey(handle.clone()))?;
        Ok(self.provider.sign(secret, message)?)
    }
}

impl fmt::Debug for SoftwareVault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SoftwareVault")
            .field("provider", &self.provider)
            .field("signing", &self.signing.keys())
            .field("agreement", &self.agreement.keys())
            .finish_non_exhaustive()
    }
}

/// What a stored secret is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SecretKind {
    /// A signing key.
    Signing(SigningKeyType),
    /// A key agreement key.
    X25519,
}

/// A secret on its way to or from the store.
#[derive(Debug, PartialEq, Eq)]
pub struct SecretRecord {
    /// The name the vault knows it by.
    pub handle: Handle,
    /// What it is for.
    pub kind: SecretKind,
    /// The secret in clear, wiped on drop.
    pub secret: SecretBytes<32>,
}

/// Why the vault did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VaultError {
    /// The vault holds no such key.
    #[error("the vault has no key `{0}`")]
    UnknownKey(Handle),
    /// A stored secret belongs to another key than its record says.
    #[error("the stored secret of key `{0}` belongs to another key")]
    HandleMismatch(Handle),
    /// The secret is no key of its kind.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The peer's public key cannot be agreed with.
    #[error(transparent)]
    Agreement(#[from] AgreementError),
}

fn signing_record(handle: &Handle, secret: &SigningSecret) -> SecretRecord {
    SecretRecord {
        handle: handle.clone(),
        kind: SecretKind::Signing(secret.key_type()),
        secret: SecretBytes::copy_of(secret.as_bytes()),
    }
}

fn agreement_record(handle: &Handle, secret: &X25519Secret) -> SecretRecord {
    SecretRecord {
        handle: handle.clone(),
        kind: SecretKind::X25519,
        secret: SecretBytes::copy_of(secret.as_bytes()),
    }
}

#[cfg(all(test, feature = "portable"))]
mod tests {
    use super::*;
    use crate::portable;
    use alloc::format;

    #[test]
    fn software_keys_are_named_by_the_hash_of_their_public_half() {
        // spec: trust 1.3
        let mut vault = SoftwareVault::new(portable());
        for kind in [SigningKeyType::Ed25519, SigningKeyType::P256] {
            let handle = vault.generate_signing_key(kind, &mut filler(0x11)).unwrap();
            let public = vault.public_key(&handle).unwrap();
            assert_eq!(public.key_type(), kind);
            assert_eq!(handle.as_bytes(), portable().sha256(&[public.as_bytes()]));
        }
        let handle = vault.generate_agreement_key(&mut filler(0x22));
        let public = vault.agreement_public_key(&handle).unwrap();
        assert_eq!(handle.as_bytes(), portable().sha256(&[public.as_bytes()]));
    }

    #[test]
    fn signs_and_agrees_by_handle() {
        let mut vault = SoftwareVault::new(portable());
        let handle = vault
            .generate_signing_key(SigningKeyType::Ed25519, &mut filler(1))
            .unwrap();
        let signature = vault.sign(&handle, b"message").unwrap();
        assert_eq!(
            portable().verify(&vault.public_key(&handle).unwrap(), b"message", &signature),
            Ok(())
        );

        let (one, two) = (
            vault.generate_agreement_key(&mut filler(2)),
            vault.generate_agreement_key(&mut filler(3)),
        );
        let (one_public, two_public) = (
            vault.agreement_public_key(&one).unwrap(),
            vault.agreement_public_key(&two).unwrap(),
        );
        assert_eq!(
            vault.agree(&one, &two_public),
            vault.agree(&two, &one_public)
        );
        assert_eq!(
            vault.agree(&one, &X25519Public([0; 32])),
            Err(VaultError::Agreement(AgreementError::NotContributory))
        );
    }

    #[test]
    fn a_deleted_secret_signs_and_agrees_no_more() {
        // spec: trust 11.1 (4): old secrets are deleted on rotation.
        let mut vault = SoftwareVault::new(portable());
        let signing = vault
            .generate_signing_key(SigningKeyType::Ed25519, &mut filler(1))
            .unwrap();
        let agreement = vault.generate_agreement_key(&mut filler(2));
        assert!(vault.delete_signing_key(&signing));
        assert!(!vault.delete_signing_key(&signing));
        assert!(vault.delete_agreement_key(&agreement));
        assert!(!vault.delete_agreement_key(&agreement));
        assert_eq!(
            vault.sign(&signing, b"message").unwrap_err(),
            SignError::UnknownKey(signing)
        );
        assert_eq!(
            vault.agreement_public_key(&agreement),
            Err(VaultError::UnknownKey(agreement))
        );
        assert_eq!(vault.records().count(), 0);
    }

    #[test]
    fn a_handle_of_one_role_is_unknown_to_the_other() {
        // spec: trust 1.3 (roles are separable)
        let mut vault = SoftwareVault::new(portable());
        let signing = vault
            .generate_signing_key(SigningKeyType::Ed25519, &mut filler(1))
            .unwrap();
        let agreement = vault.generate_agreement_key(&mut filler(2));
        assert!(vault.sign(&agreement, b"message").is_err());
        assert!(vault.agree(&signing, &X25519Public([9; 32])).is_err());
        assert!(!vault.delete_signing_key(&agreement));
    }

    #[test]
    fn records_restore_the_vault() {
        let mut vault = SoftwareVault::new(portable());
        let signing = vault
            .generate_signing_key(SigningKeyType::P256, &mut filler(1))
            .unwrap();
        let agreement = vault.generate_agreement_key(&mut filler(2));
        let restored = SoftwareVault::from_records(portable(), vault.records()).unwrap();
        assert_eq!(restored.public_key(&signing), vault.public_key(&signing));
        assert_eq!(
            restored.agreement_public_key(&agreement),
            vault.agreement_public_key(&agreement)
        );
        assert_eq!(
            restored.export_signing_key(&signing),
            vault.export_signing_key(&signing)
        );
        assert_eq!(
            restored.export_agreement_key(&agreement),
            vault.export_agreement_key(&agreement)
        );
        assert_eq!(restored.signing_keys().collect::<Vec<_>>(), [&signing]);
    }

    #[test]
    fn a_record_that_names_another_key_is_refused() {
        let record = |kind| SecretRecord {
            handle: Handle::new([7; 32]),
            kind,
            secret: SecretBytes::new([1; 32]),
        };
        for kind in [
            SecretKind::Signing(SigningKeyType::Ed25519),
            SecretKind::X25519,
        ] {
            let result = SoftwareVault::from_records(portable(), [record(kind)]);
            assert_eq!(
                result.unwrap_err(),
                VaultError::HandleMismatch(Handle::new([7; 32]))
            );
        }
    }

    #[test]
    fn debug_of_a_vault_names_keys_and_shows_no_secret() {
        let mut vault = SoftwareVault::new(portable());
        let handle = vault
            .generate_signing_key(SigningKeyType::Ed25519, &mut filler(0xa5))
            .unwrap();
        let record = vault.export_signing_key(&handle).unwrap();
        for shown in [format!("{vault:?}"), format!("{record:?}")] {
            assert!(shown.contains(&format!("{handle}")), "{shown}");
            assert!(
                !shown.contains("a5a5") && !shown.contains("165, 165"),
                "{shown}"
            );
        }
    }

    fn filler(byte: u8) -> impl FnMut(&mut [u8]) {
        move |bytes| bytes.fill(byte)
    }
}
