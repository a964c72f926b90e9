//! The cryptographic primitives as one trait.

use alloc::boxed::Box;
use core::fmt;

use crate::key::{PublicKey, Signature, SigningKeyType, X25519Public};
use crate::secret::{SecretBytes, SharedSecret, SigningSecret, X25519Secret};
use crate::strict;

/// The primitives of the one cipher suite. Both implementations give the same answers to the same questions.
///
/// `spec: trust 1.1`
pub trait Provider: Send + Sync + fmt::Debug {
    /// SHA-256 over the concatenation of `parts`.
    fn sha256(&self, parts: &[&[u8]]) -> [u8; 32];

    /// HKDF-SHA-256 with empty info, cut in two outputs of 32 bytes.
    fn hkdf(&self, salt: &[u8; 32], input: &[u8]) -> [SecretBytes<32>; 2];

    /// Makes a key agreement secret ready for use: what follows from it alone is computed once.
    fn agreement_key(&self, secret: &X25519Secret) -> Box<dyn AgreementKey>;

    /// The public half of a key agreement secret.
    fn x25519_public(&self, secret: &X25519Secret) -> X25519Public {
        self.agreement_key(secret).public()
    }

    /// Agrees on a secret with the holder of `public`; whoever does it again with the same secret uses
    /// [`Self::agreement_key`].
    ///
    /// # Errors
    /// As [`AgreementKey::agree`].
    fn x25519(
        &self,
        secret: &X25519Secret,
        public: &X25519Public,
    ) -> Result<SharedSecret, AgreementError> {
        self.agreement_key(secret).agree(public)
    }

    /// The public key of an Ed25519 seed.
    fn ed25519_public(&self, seed: &SecretBytes<32>) -> [u8; 32];

    /// Signs with an Ed25519 seed; deterministic.
    fn ed25519_sign(&self, seed: &SecretBytes<32>, message: &[u8]) -> [u8; 64];

    /// Verifies strictly: canonical encodings only, no key and no `R` of small order.
    ///
    /// # Errors
    /// [`VerifyError`] if the key is refused or the signature is not its.
    fn ed25519_verify(
        &self,
        public: &[u8; 32],
        message: &[u8],
        signature: &[u8; 64],
    ) -> Result<(), VerifyError>;

    /// The uncompressed public key of a P-256 scalar.
    ///
    /// # Errors
    /// [`KeyError::InvalidSecret`] if the scalar is out of range.
    fn p256_public(&self, secret: &SecretBytes<32>) -> Result<[u8; 65], KeyError>;

    /// Signs SHA-256 of `message`; `s` is low.
    ///
    /// # Errors
    /// [`KeyError::InvalidSecret`] if the scalar is out of range.
    fn p256_sign(&self, secret: &SecretBytes<32>, message: &[u8]) -> Result<[u8; 64], KeyError>;

    /// Verifies `r ‖ s` over SHA-256 of `message`; both forms of `s` are accepted.
    ///
    /// # Errors
    /// [`VerifyError`] if the key is no point of the curve in uncompressed form or the signature is not its.
    fn p256_verify(
        &self,
        public: &[u8; 65],
        message: &[u8],
        signature: &[u8; 64],
    ) -> Result<(), VerifyError>;

    /// Whether these bytes are an uncompressed point of P-256.
    ///
    /// # Errors
    /// [`KeyError::InvalidPublic`] if not.
    fn p256_check(&self, public: &[u8; 65]) -> Result<(), KeyError>;

    /// AES-256-GCM under `key`.
    fn aead(&self, key: &[u8; 32]) -> Box<dyn Aead>;

    /// The public half of a signing key.
    ///
    /// # Errors
    /// [`KeyError::InvalidSecret`] if the secret is out of range.
    fn public_key(&self, secret: &SigningSecret) -> Result<PublicKey, KeyError> {
        Ok(match secret.key_type() {
            SigningKeyType::Ed25519 => PublicKey::Ed25519(self.ed25519_public(secret.bytes())),
            SigningKeyType::P256 => PublicKey::P256(self.p256_public(secret.bytes())?),
        })
    }

    /// Signs `message` with the scheme of `secret`.
    ///
    /// # Errors
    /// [`KeyError::InvalidSecret`] if the secret is out of range.
    fn sign(&self, secret: &SigningSecret, message: &[u8]) -> Result<Signature, KeyError> {
        Ok(match secret.key_type() {
            SigningKeyType::Ed25519 => {
                Signature::Ed25519(self.ed25519_sign(secret.bytes(), message))
            }
            SigningKeyType::P256 => Signature::P256(self.p256_sign(secret.bytes(), message)?),
        })
    }

    /// Verifies `signature` over `message` under `public`.
    ///
    /// # Errors
    /// [`VerifyError`] if key and signature are of different schemes, the key is refused or the signature is not its.
    fn verify(
        &self,
        public: &PublicKey,
        message: &[u8],
        signature: &Signature,
    ) -> Result<(), VerifyError> {
        // spec: trust 1.1 (a signature whose tag does not match the key's is an error)
        match (public, signature) {
            (PublicKey::Ed25519(public), Signature::Ed25519(signature)) => {
                self.ed25519_verify(public, message, signature)
            }
            (PublicKey::P256(public), Signature::P256(signature)) => {
                self.p256_verify(public, message, signature)
            }
            (PublicKey::Ed25519(_), Signature::P256(_))
            | (PublicKey::P256(_), Signature::Ed25519(_)) => Err(VerifyError::SchemeMismatch),
        }
    }

    /// Refuses public keys under which nobody should be trusted: Ed25519 encodings that are not canonical or of small order,
    /// P-256 bytes that are no point of the curve.
    ///
    /// # Errors
    /// [`KeyError::InvalidPublic`] for those.
    fn check_public_key(&self, public: &PublicKey) -> Result<(), KeyError> {
        match public {
            PublicKey::Ed25519(bytes) if strict::is_refused_ed25519_point(bytes) => {
                Err(KeyError::InvalidPublic)
            }
            PublicKey::Ed25519(_) => Ok(()),
            PublicKey::P256(bytes) => self.p256_check(bytes),
        }
    }
}

/// An X25519 secret that is ready for use; wiped on drop.
pub trait AgreementKey: Send + Sync {
    /// The public half.
    fn public(&self) -> X25519Public;

    /// Agrees on a secret with the holder of `theirs`.
    ///
    /// # Errors
    /// [`AgreementError::NotContributory`] if the result is all zero: the other side sent a point of small order.
    fn agree(&self, theirs: &X25519Public) -> Result<SharedSecret, AgreementError>;
}

impl fmt::Debug for dyn AgreementKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AgreementKey([redacted])")
    }
}

/// AES-256-GCM under one key.
pub trait Aead: Send + Sync {
    /// Encrypts `data` in place and returns the tag. The caller never uses a nonce twice under one key.
    fn seal_in_place(&self, nonce: &[u8; 12], aad: &[u8], data: &mut [u8]) -> [u8; 16];

    /// Decrypts `data` in place.
    ///
    /// # Errors
    /// [`OpenError`] if the tag does not belong to nonce, `aad` and `data`; what `data` then holds is unspecified.
    fn open_in_place(
        &self,
        nonce: &[u8; 12],
        aad: &[u8],
        data: &mut [u8],
        tag: &[u8; 16],
    ) -> Result<(), OpenError>;
}

impl fmt::Debug for dyn Aead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Aead([redacted])")
    }
}

/// A source of cryptographic randomness; the caller's, usually the operating system's.
///
/// Every `FnMut(&mut [u8])` is one. A source that fails must not return.
pub trait Random {
    /// Fills `bytes`.
    fn fill(&mut self, bytes: &mut [u8]);
}

impl<F: FnMut(&mut [u8])> Random for F {
    fn fill(&mut self, bytes: &mut [u8]) {
        self(bytes);
    }
}

/// Why two keys agree on nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AgreementError {
    /// The peer's public key is of small order, so the result does not depend on our secret.
    #[error("the peer's key agreement key is of small order")]
    NotContributory,
}

/// Why a signature is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// The public key is not acceptable, whatever it signs.
    #[error("the public key is not acceptable")]
    RefusedKey,
    /// Key and signature belong to different schemes.
    #[error("the signature is of another scheme than the key")]
    SchemeMismatch,
    /// The signature was not made by this key over this message.
    #[error("the signature is not valid")]
    BadSignature,
}

/// Why bytes are no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The secret is outside the range of its scheme.
    #[error("the secret key is out of range")]
    InvalidSecret,
    /// The public key is not canonical, of small order or not on its curve.
    #[error("the public key is not acceptable")]
    InvalidPublic,
}

/// A sealed message does not open: wrong key or nonce, or it was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the sealed message does not open")]
pub struct OpenError;
