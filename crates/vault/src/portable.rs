//! The portable provider: RustCrypto, pure Rust without the standard library.

use alloc::boxed::Box;

use aes_gcm::aead::inout::InOutBuf;
use aes_gcm::{AeadInOut, Aes256Gcm, KeyInit};
use ed25519_dalek::Signer as _;
use p256::ecdsa::signature::Verifier as _;
use sha2::{Digest, Sha256};

use crate::key::X25519Public;
use crate::provider::{
    Aead, AgreementError, AgreementKey, KeyError, OpenError, Provider, VerifyError,
};
use crate::secret::{SecretBytes, SharedSecret, X25519Secret};
use crate::strict;

/// The provider built on RustCrypto, for everything that is no host.
///
/// All operations are functions of their arguments; ECDSA nonces follow RFC 6979.
pub fn portable() -> &'static dyn Provider {
    &Portable
}

#[derive(Debug)]
struct Portable;

impl Provider for Portable {
    fn sha256(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut hash = Sha256::new();
        for part in parts {
            hash.update(part);
        }
        hash.finalize().into()
    }

    fn hkdf(&self, salt: &[u8; 32], input: &[u8]) -> [SecretBytes<32>; 2] {
        let mut output = SecretBytes::new([0; 64]);
        hkdf::Hkdf::<Sha256>::new(Some(salt), input)
            .expand(&[], output.as_bytes_mut())
            .expect("two blocks are within the limit of HKDF");
        let mut keys = [SecretBytes::new([0; 32]), SecretBytes::new([0; 32])];
        for (key, chunk) in keys.iter_mut().zip(output.as_bytes().chunks_exact(32)) {
            key.as_bytes_mut().copy_from_slice(chunk);
        }
        keys
    }

    fn agreement_key(&self, secret: &X25519Secret) -> Box<dyn AgreementKey> {
        let secret = x25519_dalek::StaticSecret::from(*secret.as_bytes());
        let public = X25519Public(x25519_dalek::PublicKey::from(&secret).to_bytes());
        Box::new(X25519Key { secret, public })
    }

    fn ed25519_public(&self, seed: &SecretBytes<32>) -> [u8; 32] {
        ed25519_dalek::SigningKey::from_bytes(seed.as_bytes())
            .verifying_key()
            .to_bytes()
    }

    fn ed25519_sign(&self, seed: &SecretBytes<32>, message: &[u8]) -> [u8; 64] {
        ed25519_dalek::SigningKey::from_bytes(seed.as_bytes())
            .sign(message)
            .to_bytes()
    }

    fn ed25519_verify(
        &self,
        public: &[u8; 32],
        message: &[u8],
        signature: &[u8; 64],
    ) -> Result<(), VerifyError> {
        if strict::is_refused_ed25519_point(public) {
            return Err(VerifyError::RefusedKey);
        }
        if strict::has_refused_r(signature) {
            return Err(VerifyError::BadSignature);
        }
        // An undecodable key is reported as a bad signature, as the other provider, which decodes late, has to.
        let key = ed25519_dalek::VerifyingKey::from_bytes(public)
            .map_err(|_| VerifyError::BadSignature)?;
        let signature = ed25519_dalek::Signature::from_bytes(signature);
        key.verify_strict(message, &signature)
            .map_err(|_| VerifyError::BadSignature)
    }

    fn p256_public(&self, secret: &SecretBytes<32>) -> Result<[u8; 65], KeyError> {
        let point = p256_key(secret)?.verifying_key().to_sec1_point(false);
        point
            .as_bytes()
            .try_into()
            .map_err(|_| KeyError::InvalidSecret)
    }

    fn p256_sign(&self, secret: &SecretBytes<32>, message: &[u8]) -> Result<[u8; 64], KeyError> {
        let signature: p256::ecdsa::Signature = p256_key(secret)?.sign(message);
        Ok(strict::with_low_s(signature.to_bytes().into()))
    }

    fn p256_verify(
        &self,
        public: &[u8; 65],
        message: &[u8],
        signature: &[u8; 64],
    ) -> Result<(), VerifyError> {
        let key = p256_point(public).ok_or(VerifyError::RefusedKey)?;
        let signature =
            p256::ecdsa::Signature::from_slice(signature).map_err(|_| VerifyError::BadSignature)?;
        key.verify(message, &signature)
            .map_err(|_| VerifyError::BadSignature)
    }

    fn p256_check(&self, public: &[u8; 65]) -> Result<(), KeyError> {
        p256_point(public).map(drop).ok_or(KeyError::InvalidPublic)
    }

    fn aead(&self, key: &[u8; 32]) -> Box<dyn Aead> {
        Box::new(Gcm(Aes256Gcm::new(key.into())))
    }
}

struct X25519Key {
    secret: x25519_dalek::StaticSecret,
    public: X25519Public,
}

impl AgreementKey for X25519Key {
    fn public(&self) -> X25519Public {
        self.public
    }

    fn agree(&self, theirs: &X25519Public) -> Result<SharedSecret, AgreementError> {
        let theirs = x25519_dalek::PublicKey::from(*theirs.as_bytes());
        let shared = self.secret.diffie_hellman(&theirs);
        SharedSecret::contributory(SecretBytes::copy_of(shared.as_bytes()))
    }
}

struct Gcm(Aes256Gcm);

impl Aead for Gcm {
    fn seal_in_place(&self, nonce: &[u8; 12], aad: &[u8], data: &mut [u8]) -> [u8; 16] {
        self.0
            .encrypt_inout_detached(nonce.into(), aad, InOutBuf::from(data))
            .expect("no message reaches the 64 GiB limit of GCM")
            .into()
    }

    fn open_in_place(
        &self,
        nonce: &[u8; 12],
        aad: &[u8],
        data: &mut [u8],
        tag: &[u8; 16],
    ) -> Result<(), OpenError> {
        self.0
            .decrypt_inout_detached(nonce.into(), aad, InOutBuf::from(data), tag.into())
            .map_err(|_| OpenError)
    }
}

fn p256_key(secret: &SecretBytes<32>) -> Result<p256::ecdsa::SigningKey, KeyError> {
    p256::ecdsa::SigningKey::from_slice(secret.as_bytes()).map_err(|_| KeyError::InvalidSecret)
}

fn p256_point(public: &[u8; 65]) -> Option<p256::ecdsa::VerifyingKey> {
    if public.first() != Some(&0x04) {
        return None;
    }
    p256::ecdsa::VerifyingKey::from_sec1_bytes(public).ok()
}
