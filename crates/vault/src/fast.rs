//! The fast provider: AWS-LC.

use alloc::boxed::Box;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::agreement::{self, ECDH_P256, UnparsedPublicKey, X25519};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, ED25519, EcdsaKeyPair,
    Ed25519KeyPair, KeyPair, ParsedPublicKey,
};
use aws_lc_rs::{digest, hkdf};

use crate::key::X25519Public;
use crate::provider::{
    Aead, AgreementError, AgreementKey, KeyError, OpenError, Provider, VerifyError,
};
use crate::secret::{SecretBytes, SharedSecret, X25519Secret};
use crate::strict;

/// The provider built on AWS-LC, for hosts.
///
/// AWS-LC draws the nonces of ECDSA signatures from the operating system, so two signatures by one P-256 key over one message
/// differ; all other operations are functions of their arguments.
pub fn fast() -> &'static dyn Provider {
    &Fast
}

#[derive(Debug)]
struct Fast;

impl Provider for Fast {
    fn sha256(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut hash = [0; 32];
        if let [whole] = parts {
            // Without a context, which would live on the heap.
            hash.copy_from_slice(digest::digest(&digest::SHA256, whole).as_ref());
            return hash;
        }
        let mut context = digest::Context::new(&digest::SHA256);
        for part in parts {
            context.update(part);
        }
        hash.copy_from_slice(context.finish().as_ref());
        hash
    }

    fn hkdf(&self, salt: &[u8; 32], input: &[u8]) -> [SecretBytes<32>; 2] {
        let mut output = SecretBytes::new([0; 64]);
        hkdf::Salt::new(hkdf::HKDF_SHA256, salt)
            .extract(input)
            .expand(&[&[]], TwoKeys)
            .and_then(|expanded| expanded.fill(output.as_bytes_mut()))
            .expect("two blocks are within the limit of HKDF");
        let mut keys = [SecretBytes::new([0; 32]), SecretBytes::new([0; 32])];
        for (key, chunk) in keys.iter_mut().zip(output.as_bytes().chunks_exact(32)) {
            key.as_bytes_mut().copy_from_slice(chunk);
        }
        keys
    }

    fn agreement_key(&self, secret: &X25519Secret) -> Box<dyn AgreementKey> {
        // AWS-LC multiplies the base point each time it reads a secret.
        let key = agreement::PrivateKey::from_private_key(&X25519, secret.as_bytes())
            .expect("any 32 bytes are an X25519 secret");
        Box::new(X25519Key(key))
    }

    fn ed25519_public(&self, seed: &SecretBytes<32>) -> [u8; 32] {
        let mut public = [0; 32];
        public.copy_from_slice(ed25519_key(seed).public_key().as_ref());
        public
    }

    fn ed25519_sign(&self, seed: &SecretBytes<32>, message: &[u8]) -> [u8; 64] {
        let mut signature = [0; 64];
        signature.copy_from_slice(ed25519_key(seed).sign(message).as_ref());
        signature
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
        // Whether the key decodes at all is found by the verification, so both failures are one.
        let key = ParsedPublicKey::new(&ED25519, public).map_err(|_| VerifyError::BadSignature)?;
        key.verify_sig(message, signature)
            .map_err(|_| VerifyError::BadSignature)
    }

    fn p256_public(&self, secret: &SecretBytes<32>) -> Result<[u8; 65], KeyError> {
        let key = agreement::PrivateKey::from_private_key(&ECDH_P256, secret.as_bytes())
            .map_err(|_| KeyError::InvalidSecret)?;
        let public = key
            .compute_public_key()
            .map_err(|_| KeyError::InvalidSecret)?;
        public
            .as_ref()
            .try_into()
            .map_err(|_| KeyError::InvalidSecret)
    }

    fn p256_sign(&self, secret: &SecretBytes<32>, message: &[u8]) -> Result<[u8; 64], KeyError> {
        let public = self.p256_public(secret)?;
        let key = EcdsaKeyPair::from_private_key_and_public_key(
            &ECDSA_P256_SHA256_FIXED_SIGNING,
            secret.as_bytes(),
            &public,
        )
        .map_err(|_| KeyError::InvalidSecret)?;
        let signature = key
            .sign(&SystemRandom::new(), message)
            .map_err(|_| KeyError::InvalidSecret)?;
        let signature = signature
            .as_ref()
            .try_into()
            .map_err(|_| KeyError::InvalidSecret)?;
        Ok(strict::with_low_s(signature))
    }

    fn p256_verify(
        &self,
        public: &[u8; 65],
        message: &[u8],
        signature: &[u8; 64],
    ) -> Result<(), VerifyError> {
        let key = p256_point(public).ok_or(VerifyError::RefusedKey)?;
        key.verify_sig(message, signature)
            .map_err(|_| VerifyError::BadSignature)
    }

    fn p256_check(&self, public: &[u8; 65]) -> Result<(), KeyError> {
        p256_point(public).map(drop).ok_or(KeyError::InvalidPublic)
    }

    fn aead(&self, key: &[u8; 32]) -> Box<dyn Aead> {
        let key =
            UnboundKey::new(&AES_256_GCM, key).expect("the key has the length of an AES-256 key");
        Box::new(Gcm(LessSafeKey::new(key)))
    }
}

struct X25519Key(agreement::PrivateKey);

impl AgreementKey for X25519Key {
    fn public(&self) -> X25519Public {
        let public = self
            .0
            .compute_public_key()
            .expect("every X25519 secret has a public key");
        let mut bytes = [0; 32];
        bytes.copy_from_slice(public.as_ref());
        X25519Public(bytes)
    }

    fn agree(&self, theirs: &X25519Public) -> Result<SharedSecret, AgreementError> {
        let peer = UnparsedPublicKey::new(&X25519, theirs.as_bytes());
        // AWS-LC refuses an all-zero result itself, which is the only way this fails; the check behind it is ours.
        agreement::agree(&self.0, peer, AgreementError::NotContributory, |shared| {
            let bytes = SecretBytes::try_from(shared).expect("an X25519 result has 32 bytes");
            SharedSecret::contributory(bytes)
        })
    }
}

struct Gcm(LessSafeKey);

impl Aead for Gcm {
    fn seal_in_place(&self, nonce: &[u8; 12], aad: &[u8], data: &mut [u8]) -> [u8; 16] {
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let sealed = self
            .0
            .seal_in_place_separate_tag(nonce, Aad::from(aad), data);
        let mut tag = [0; 16];
        tag.copy_from_slice(
            sealed
                .expect("no message reaches the 64 GiB limit of GCM")
                .as_ref(),
        );
        tag
    }

    fn open_in_place(
        &self,
        nonce: &[u8; 12],
        aad: &[u8],
        data: &mut [u8],
        tag: &[u8; 16],
    ) -> Result<(), OpenError> {
        let nonce = Nonce::assume_unique_for_key(*nonce);
        match self
            .0
            .open_in_place_separate_tag(nonce, Aad::from(aad), tag, data)
        {
            Ok(_) => Ok(()),
            Err(_) => Err(OpenError),
        }
    }
}

struct TwoKeys;

impl hkdf::KeyType for TwoKeys {
    fn len(&self) -> usize {
        64
    }
}

fn ed25519_key(seed: &SecretBytes<32>) -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(seed.as_bytes()).expect("any 32 bytes are an Ed25519 seed")
}

fn p256_point(public: &[u8; 65]) -> Option<ParsedPublicKey> {
    // The library would take other encodings of the same length class; only the uncompressed one is ours.
    if public.first() != Some(&0x04) {
        return None;
    }
    ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, public).ok()
}
