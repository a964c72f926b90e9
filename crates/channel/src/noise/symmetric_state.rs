//! The Noise object `SymmetricState`: transcript hash, chaining key and the cipher of the moment.

use alloc::vec::Vec;
use core::fmt;

use ockam_vault::{Provider, SecretBytes};

use super::cipher_state::CipherState;
use super::{NoiseError, PROTOCOL_NAME};

/// What both sides know after the same messages.
pub(super) struct SymmetricState {
    provider: &'static dyn Provider,
    chaining_key: SecretBytes<32>,
    hash: [u8; 32],
    cipher: CipherState,
}

impl SymmetricState {
    /// The state before message 1, with the empty prologue mixed in.
    pub(super) fn new(provider: &'static dyn Provider) -> Self {
        let mut state = Self {
            provider,
            chaining_key: SecretBytes::new(PROTOCOL_NAME),
            hash: PROTOCOL_NAME,
            cipher: CipherState::empty(),
        };
        state.mix_hash(&[]);
        state
    }

    pub(super) fn mix_hash(&mut self, data: &[u8]) {
        self.hash = self.provider.sha256(&[&self.hash, data]);
    }

    pub(super) fn mix_key(&mut self, input: &[u8]) {
        let [chaining_key, key] = self.provider.hkdf(self.chaining_key.as_bytes(), input);
        self.chaining_key = chaining_key;
        self.cipher = CipherState::with_key(key);
    }

    /// Appends the sealed `plaintext` to `message`.
    pub(super) fn encrypt_and_hash(&mut self, plaintext: &[u8], message: &mut Vec<u8>) {
        let start = message.len();
        message.extend_from_slice(plaintext);
        self.cipher.seal(self.provider, &self.hash, message, start);
        let (_, ciphertext) = message.split_at(start);
        self.hash = self.provider.sha256(&[&self.hash, ciphertext]);
    }

    pub(super) fn decrypt_and_hash(&mut self, ciphertext: &[u8]) -> Result<Vec<u8>, NoiseError> {
        let plaintext = self.cipher.open(self.provider, &self.hash, ciphertext)?;
        self.mix_hash(ciphertext);
        Ok(plaintext)
    }

    /// A second state equal to this one, to try a message on; what fails is thrown away (spec: trust 5.12).
    pub(super) fn fork(&self) -> Self {
        Self {
            provider: self.provider,
            chaining_key: SecretBytes::new(*self.chaining_key.as_bytes()),
            hash: self.hash,
            cipher: self.cipher.fork(),
        }
    }

    /// The two transport keys, the responder's first (spec: trust 5.4).
    pub(super) fn split(self) -> [SecretBytes<32>; 2] {
        self.provider.hkdf(self.chaining_key.as_bytes(), &[])
    }

    pub(super) const fn hash(&self) -> [u8; 32] {
        self.hash
    }
}

impl fmt::Debug for SymmetricState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SymmetricState")
            .field("cipher", &self.cipher)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use ockam_vault::X25519Secret;

    use super::super::key_agreement::KeyPair;
    use super::*;

    /// Walks the published handshake one Noise operation at a time, so that a difference is found where it arises.
    #[test]
    fn every_intermediate_value_matches_the_published_vector() {
        let vector: serde_json::Value =
            serde_json::from_str(include_str!("../../../../vectors/handshake.json")).unwrap();
        let provider = ockam_vault::fast();
        let key = |side: &str, name: &str| {
            let secret = X25519Secret::new(SecretBytes::new(array(&vector[side][name])));
            KeyPair::new(provider, &secret)
        };
        let (e_i, s_i) = (
            key("initiator", "ephemeral_secret"),
            key("initiator", "static_secret"),
        );
        let (e_r, s_r) = (
            key("responder", "ephemeral_secret"),
            key("responder", "static_secret"),
        );
        let mut steps = vector["steps"].as_array().unwrap().iter();
        let mut state = SymmetricState::new(provider);
        let mut check = |state: &SymmetricState| {
            let step = steps.next().unwrap();
            assert_eq!(state.hash, array(&step["h"]), "h: {}", step["step"]);
            assert_eq!(
                *state.chaining_key.as_bytes(),
                array(&step["ck"]),
                "ck: {}",
                step["step"]
            );
            let key = (!step["k"].is_null()).then(|| array(&step["k"]));
            assert_eq!(state.cipher.key(), key, "k: {}", step["step"]);
            assert_eq!(
                state.cipher.nonce(),
                step["n"].as_u64().unwrap(),
                "n: {}",
                step["step"]
            );
            step
        };
        let public = |pair: &KeyPair| *pair.public().as_bytes();
        let payload = |name: &str| hex::decode(vector[name].as_str().unwrap()).unwrap();
        let sealed = |state: &mut SymmetricState, plaintext: &[u8]| {
            let mut message = Vec::new();
            state.encrypt_and_hash(plaintext, &mut message);
            message
        };
        let mixed = |state: &mut SymmetricState, ours: &KeyPair, theirs: &KeyPair| {
            let shared = ours.agree(theirs.public()).unwrap();
            state.mix_key(shared.as_bytes());
            hex::encode(shared.as_bytes())
        };

        check(&state);
        state.mix_hash(&public(&e_i));
        check(&state);
        state.mix_hash(&[]);
        check(&state);

        state.mix_hash(&public(&e_r));
        check(&state);
        let shared = mixed(&mut state, &e_r, &e_i);
        assert_eq!(check(&state)["dh"], shared);
        let ciphertext = sealed(&mut state, &public(&s_r));
        assert_eq!(check(&state)["ciphertext"], hex::encode(ciphertext));
        let shared = mixed(&mut state, &s_r, &e_i);
        assert_eq!(check(&state)["dh"], shared);
        let ciphertext = sealed(&mut state, &payload("payload_message_2_cbor"));
        check(&state);
        assert!(
            vector["message_2"]
                .as_str()
                .unwrap()
                .ends_with(&hex::encode(ciphertext))
        );

        let ciphertext = sealed(&mut state, &public(&s_i));
        assert_eq!(check(&state)["ciphertext"], hex::encode(ciphertext));
        let shared = mixed(&mut state, &s_i, &e_r);
        assert_eq!(check(&state)["dh"], shared);
        let ciphertext = sealed(&mut state, &payload("payload_message_3_cbor"));
        check(&state);
        assert!(
            vector["message_3"]
                .as_str()
                .unwrap()
                .ends_with(&hex::encode(ciphertext))
        );

        let [k1, k2] = state.split();
        assert_eq!(
            *k1.as_bytes(),
            array(&vector["final"]["k1_responder_to_initiator"])
        );
        assert_eq!(
            *k2.as_bytes(),
            array(&vector["final"]["k2_initiator_to_responder"])
        );
    }

    fn array(value: &serde_json::Value) -> [u8; 32] {
        hex::decode(value.as_str().unwrap())
            .unwrap()
            .try_into()
            .unwrap()
    }
}
