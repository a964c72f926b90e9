//! Signatures that were found good are not verified again.
//!
//! Peers come back, and each time they present the same change history, the same attestation and often the same
//! credential; all members of a project present the same attestation of its authority. Whether a signature is good depends
//! on key, message and signature alone, so it is asked once. What depends on time or on what else is known (validity,
//! revocation, trust) is asked each time, by those who ask it anyway.
//!
//! Invariants: only what was found good is remembered, by a hash of key, message and signature together (another form of
//! a known signature is verified like any other, spec: trust 11.1 (6)); what is remembered is bounded, and what nobody
//! presented for longest is forgotten first, which costs a verification.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use ockam_vault::{
    Aead, AgreementKey, KeyError, Provider, PublicKey, SecretBytes, Signature, VerifyError,
    X25519Secret,
};

/// A provider that remembers which signatures it found good.
#[derive(Debug)]
pub(crate) struct Remembering {
    provider: &'static dyn Provider,
    // Held for two look-ups or one insertion, never while a signature is verified.
    good: Mutex<Recent>,
}

impl Remembering {
    pub(crate) fn new(provider: &'static dyn Provider) -> Self {
        Self {
            provider,
            good: Mutex::default(),
        }
    }

    fn name(&self, public: &PublicKey, message: &[u8], signature: &Signature) -> [u8; 32] {
        // Key and signature of one scheme have one length each, so no two questions have one name.
        let scheme = match (public, signature) {
            (PublicKey::Ed25519(_), Signature::Ed25519(_)) => [1, 1],
            (PublicKey::Ed25519(_), Signature::P256(_)) => [1, 2],
            (PublicKey::P256(_), Signature::Ed25519(_)) => [2, 1],
            (PublicKey::P256(_), Signature::P256(_)) => [2, 2],
        };
        let parts = [&scheme, public.as_bytes(), signature.as_bytes(), message];
        self.provider.sha256(&parts)
    }
}

impl Provider for Remembering {
    fn verify(
        &self,
        public: &PublicKey,
        message: &[u8],
        signature: &Signature,
    ) -> Result<(), VerifyError> {
        let name = self.name(public, message, signature);
        let good = || self.good.lock().unwrap_or_else(PoisonError::into_inner);
        if good().has(&name) {
            return Ok(());
        }
        self.provider.verify(public, message, signature)?;
        good().insert(name);
        Ok(())
    }

    fn sha256(&self, parts: &[&[u8]]) -> [u8; 32] {
        self.provider.sha256(parts)
    }

    fn hkdf(&self, salt: &[u8; 32], input: &[u8]) -> [SecretBytes<32>; 2] {
        self.provider.hkdf(salt, input)
    }

    fn agreement_key(&self, secret: &X25519Secret) -> Box<dyn AgreementKey> {
        self.provider.agreement_key(secret)
    }

    fn ed25519_public(&self, seed: &SecretBytes<32>) -> [u8; 32] {
        self.provider.ed25519_public(seed)
    }

    fn ed25519_sign(&self, seed: &SecretBytes<32>, message: &[u8]) -> [u8; 64] {
        self.provider.ed25519_sign(seed, message)
    }

    fn ed25519_verify(
        &self,
        public: &[u8; 32],
        message: &[u8],
        signature: &[u8; 64],
    ) -> Result<(), VerifyError> {
        self.provider.ed25519_verify(public, message, signature)
    }

    fn p256_public(&self, secret: &SecretBytes<32>) -> Result<[u8; 65], KeyError> {
        self.provider.p256_public(secret)
    }

    fn p256_sign(&self, secret: &SecretBytes<32>, message: &[u8]) -> Result<[u8; 64], KeyError> {
        self.provider.p256_sign(secret, message)
    }

    fn p256_verify(
        &self,
        public: &[u8; 65],
        message: &[u8],
        signature: &[u8; 64],
    ) -> Result<(), VerifyError> {
        self.provider.p256_verify(public, message, signature)
    }

    fn p256_check(&self, public: &[u8; 65]) -> Result<(), KeyError> {
        self.provider.p256_check(public)
    }

    fn aead(&self, key: &[u8; 32]) -> Box<dyn Aead> {
        self.provider.aead(key)
    }
}

/// Names in two generations: what is asked for moves to the newer one, and the older one is dropped when that is full.
#[derive(Debug, Default)]
struct Recent {
    newer: HashSet<[u8; 32]>,
    older: HashSet<[u8; 32]>,
}

impl Recent {
    fn has(&mut self, name: &[u8; 32]) -> bool {
        if self.newer.contains(name) {
            return true;
        }
        let known = self.older.remove(name);
        if known {
            self.insert(*name);
        }
        known
    }

    fn insert(&mut self, name: [u8; 32]) {
        if self.newer.len() >= MOST_OF_A_GENERATION {
            self.older = std::mem::take(&mut self.newer);
        }
        self.newer.insert(name);
    }
}

/// Signatures of a thousand members; two generations are 400 KiB.
const MOST_OF_A_GENERATION: usize = 4096;

#[cfg(test)]
mod tests {
    use ockam_vault::{SigningKeyType, SigningSecret, fast};

    use super::*;

    #[test]
    fn a_signature_found_good_is_remembered_and_a_bad_one_is_not() {
        let provider = Remembering::new(fast());
        let [(key, message, signature), (other, ..)] = [signed(1), signed(2)];
        for _ in 0..2 {
            assert!(provider.verify(&key, &message, &signature).is_ok());
            assert_eq!(known(&provider), 1);
            assert!(provider.verify(&other, &message, &signature).is_err());
            assert!(provider.verify(&key, b"another", &signature).is_err());
            for at in 0..64 {
                let mut altered = *signature.as_bytes().first_chunk().unwrap();
                altered[at] ^= 1;
                let altered = Signature::Ed25519(altered);
                assert!(provider.verify(&key, &message, &altered).is_err());
            }
            assert_eq!(known(&provider), 1);
        }
    }

    #[test]
    fn another_form_of_a_known_signature_is_verified_like_any_other() {
        // spec: trust 11.1 (6)
        let provider = Remembering::new(fast());
        let secret = SigningSecret::new(SigningKeyType::P256, SecretBytes::new([3; 32])).unwrap();
        let key = fast().public_key(&secret).unwrap();
        let signature = fast().sign(&secret, b"message").unwrap();
        assert!(provider.verify(&key, b"message", &signature).is_ok());
        let Signature::P256(mut altered) = signature else {
            unreachable!("the key is one of P-256")
        };
        altered[63] ^= 1;
        let altered = Signature::P256(altered);
        assert!(provider.verify(&key, b"message", &altered).is_err());
        let of_another_scheme = Signature::Ed25519([7; 64]);
        assert_eq!(
            provider.verify(&key, b"message", &of_another_scheme),
            Err(VerifyError::SchemeMismatch)
        );
    }

    #[test]
    fn what_is_remembered_is_bounded_and_what_is_asked_for_stays() {
        let mut recent = Recent::default();
        let name = |number: usize| {
            let mut name = [0; 32];
            name[..8].copy_from_slice(&number.to_le_bytes());
            name
        };
        recent.insert(name(0));
        for number in 1..10 * MOST_OF_A_GENERATION {
            recent.insert(name(number));
            assert!(recent.newer.len() + recent.older.len() <= 2 * MOST_OF_A_GENERATION);
            if number % 1000 == 0 {
                assert!(recent.has(&name(0)));
            }
        }
        assert!(!recent.has(&name(1)));
    }

    fn known(provider: &Remembering) -> usize {
        provider.good.lock().unwrap().newer.len()
    }

    fn signed(filler: u8) -> (PublicKey, [u8; 32], Signature) {
        let secret =
            SigningSecret::new(SigningKeyType::Ed25519, SecretBytes::new([filler; 32])).unwrap();
        let signature = fast().sign(&secret, &[9; 32]).unwrap();
        (fast().public_key(&secret).unwrap(), [9; 32], signature)
    }
}
