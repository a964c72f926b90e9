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
        secret: SecretBytes::new(*secret.as_bytes()),
    }
}

fn agreement_record(handle: &Handle, secret: &X25519Secret) -> SecretRecord {
    SecretRecord {
        handle: handle.clone(),
        kind: SecretKind::X25519,
        secret: SecretBytes::new(*secret.as_bytes()),
    }
}
