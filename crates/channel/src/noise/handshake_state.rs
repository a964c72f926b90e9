//! The Noise object `HandshakeState`: the tokens of `XX`, a type for each point a side can have reached.
//!
//! Reading takes `&self` and works on a fork, so a message that fails at any step leaves the phase as it was. The payload
//! handed out was authenticated by the transcript, but nothing in it was verified.

use alloc::vec::Vec;

use ockam_vault::{Provider, SecretBytes, X25519Public};

use super::key_agreement::{KeyPair, parse};
use super::symmetric_state::SymmetricState;
use super::{
    KEY_LEN, NoiseError, SEALED_KEY_LEN, TAG_LEN, check_length, check_payload_2, check_payload_3,
};

/// The initiator after it wrote message 1.
#[derive(Debug)]
pub(crate) struct SentMessage1 {
    symmetric: SymmetricState,
    ephemeral: KeyPair,
}

impl SentMessage1 {
    /// Writes message 1: `e`, then the payload in the clear.
    pub(crate) fn write(
        provider: &'static dyn Provider,
        ephemeral: KeyPair,
        payload: &[u8],
    ) -> Result<(Self, Vec<u8>), NoiseError> {
        let mut symmetric = SymmetricState::new(provider);
        let public = ephemeral.public();
        let mut message = Vec::with_capacity(KEY_LEN + payload.len());
        message.extend_from_slice(public.as_bytes());
        symmetric.mix_hash(public.as_bytes());
        symmetric.encrypt_and_hash(payload, &mut message);
        check_length(&message, KEY_LEN)?;
        Ok((
            Self {
                symmetric,
                ephemeral,
            },
            message,
        ))
    }

    /// Reads message 2.
    pub(crate) fn read(&self, message: &[u8]) -> Result<ReadMessage2, NoiseError> {
        check_length(message, KEY_LEN + SEALED_KEY_LEN + TAG_LEN)?;
        let mut symmetric = self.symmetric.fork();
        let (ephemeral, rest) = message.split_at(KEY_LEN);
        let (sealed_static, sealed_payload) = rest.split_at(SEALED_KEY_LEN);
        let remote_ephemeral = parse(ephemeral)?;
        symmetric.mix_hash(ephemeral);
        symmetric.mix_key(self.ephemeral.agree(&remote_ephemeral)?.as_bytes());
        let remote_static = parse(&symmetric.decrypt_and_hash(sealed_static)?)?;
        symmetric.mix_key(self.ephemeral.agree(&remote_static)?.as_bytes());
        let payload = symmetric.decrypt_and_hash(sealed_payload)?;
        Ok(ReadMessage2 {
            symmetric,
            remote_ephemeral,
            remote_static,
            payload,
        })
    }
}

/// The initiator after it read message 2.
#[derive(Debug)]
pub(crate) struct ReadMessage2 {
    symmetric: SymmetricState,
    remote_ephemeral: X25519Public,
    pub(crate) remote_static: X25519Public,
    pub(crate) payload: Vec<u8>,
}

impl ReadMessage2 {
    /// Writes message 3, which ends the handshake.
    pub(crate) fn write(
        self,
        ours: &KeyPair,
        payload: &[u8],
    ) -> Result<(Vec<u8>, TransportKeys), NoiseError> {
        check_payload_3(payload)?;
        let Self {
            mut symmetric,
            remote_ephemeral,
            ..
        } = self;
        let mut message = Vec::with_capacity(SEALED_KEY_LEN + payload.len() + TAG_LEN);
        symmetric.encrypt_and_hash(ours.public().as_bytes(), &mut message);
        symmetric.mix_key(ours.agree(&remote_ephemeral)?.as_bytes());
        symmetric.encrypt_and_hash(payload, &mut message);
        Ok((message, TransportKeys::split(symmetric)))
    }
}

/// The responder after it read message 1.
#[derive(Debug)]
pub(crate) struct ReadMessage1 {
    symmetric: SymmetricState,
    remote_ephemeral: X25519Public,
    pub(crate) payload: Vec<u8>,
}

impl ReadMessage1 {
    /// Reads message 1; its payload is hashed and kept.
    pub(crate) fn read(
        provider: &'static dyn Provider,
        message: &[u8],
    ) -> Result<Self, NoiseError> {
        check_length(message, KEY_LEN)?;
        let mut symmetric = SymmetricState::new(provider);
        let (ephemeral, payload) = message.split_at(KEY_LEN);
        let remote_ephemeral = parse(ephemeral)?;
        symmetric.mix_hash(ephemeral);
        let payload = symmetric.decrypt_and_hash(payload)?;
        Ok(Self {
            symmetric,
            remote_ephemeral,
            payload,
        })
    }

    /// Writes message 2. `ephemeral` is given back when that fails, having revealed nothing.
    pub(crate) fn write(
        self,
        ephemeral: KeyPair,
        ours: &KeyPair,
        payload: &[u8],
    ) -> Result<(SentMessage2, Vec<u8>), (KeyPair, NoiseError)> {
        let Self {
            mut symmetric,
            remote_ephemeral,
            ..
        } = self;
        match write_message_2(
            &mut symmetric,
            &remote_ephemeral,
            [&ephemeral, ours],
            payload,
        ) {
            Ok(message) => Ok((
                SentMessage2 {
                    symmetric,
                    ephemeral,
                },
                message,
            )),
            Err(error) => Err((ephemeral, error)),
        }
    }
}

fn write_message_2(
    symmetric: &mut SymmetricState,
    remote_ephemeral: &X25519Public,
    [ephemeral, ours]: [&KeyPair; 2],
    payload: &[u8],
) -> Result<Vec<u8>, NoiseError> {
    check_payload_2(payload)?;
    let mut message = Vec::with_capacity(KEY_LEN + SEALED_KEY_LEN + payload.len() + TAG_LEN);
    let public = ephemeral.public();
    message.extend_from_slice(public.as_bytes());
    symmetric.mix_hash(public.as_bytes());
    symmetric.mix_key(ephemeral.agree(remote_ephemeral)?.as_bytes());
    symmetric.encrypt_and_hash(ours.public().as_bytes(), &mut message);
    symmetric.mix_key(ours.agree(remote_ephemeral)?.as_bytes());
    symmetric.encrypt_and_hash(payload, &mut message);
    Ok(message)
}

/// The responder after it wrote message 2.
#[derive(Debug)]
pub(crate) struct SentMessage2 {
    symmetric: SymmetricState,
    ephemeral: KeyPair,
}

impl SentMessage2 {
    /// Reads message 3.
    pub(crate) fn read(&self, message: &[u8]) -> Result<ReadMessage3, NoiseError> {
        check_length(message, SEALED_KEY_LEN + TAG_LEN)?;
        let mut symmetric = self.symmetric.fork();
        let (sealed_static, sealed_payload) = message.split_at(SEALED_KEY_LEN);
        let remote_static = parse(&symmetric.decrypt_and_hash(sealed_static)?)?;
        symmetric.mix_key(self.ephemeral.agree(&remote_static)?.as_bytes());
        let payload = symmetric.decrypt_and_hash(sealed_payload)?;
        Ok(ReadMessage3 {
            symmetric,
            remote_static,
            payload,
        })
    }
}

/// The responder after it read message 3, which ends the handshake.
#[derive(Debug)]
pub(crate) struct ReadMessage3 {
    symmetric: SymmetricState,
    pub(crate) remote_static: X25519Public,
    pub(crate) payload: Vec<u8>,
}

impl ReadMessage3 {
    pub(crate) fn split(self) -> TransportKeys {
        TransportKeys::split(self.symmetric)
    }
}

/// What a finished handshake leaves behind; its other secrets are wiped.
#[derive(Debug)]
pub(crate) struct TransportKeys {
    pub(crate) responder_to_initiator: SecretBytes<32>,
    pub(crate) initiator_to_responder: SecretBytes<32>,
    pub(crate) transcript_hash: [u8; 32],
}

impl TransportKeys {
    fn split(symmetric: SymmetricState) -> Self {
        let transcript_hash = symmetric.hash();
        // spec: trust 5.4 (the first key is the responder's)
        let [responder_to_initiator, initiator_to_responder] = symmetric.split();
        Self {
            responder_to_initiator,
            initiator_to_responder,
            transcript_hash,
        }
    }
}

#[cfg(test)]
mod tests {
    use ockam_vault::{X25519Secret, fast};

    use super::*;

    #[test]
    fn who_stole_the_static_key_of_the_initiator_cannot_answer_it_as_somebody_else() {
        let (sent, message_1) = SentMessage1::write(fast(), pair(E_I), &[]).unwrap();
        let remote_ephemeral = parse(&message_1[..32]).unwrap();
        // Everything the thief can agree on: own ephemeral and stolen static key, with all the public keys there are.
        for ours in [EVIL, S_I] {
            for theirs in [&remote_ephemeral, &public(S_R), &public(S_I), &public(EVIL)] {
                let guess = pair(ours).agree(theirs).unwrap();
                let message_2 =
                    forge_message_2(&message_1, public(S_R).as_bytes(), guess.as_bytes());
                assert_eq!(sent.read(&message_2).unwrap_err(), NoiseError::NotAuthentic);
            }
        }
        let real = pair(S_R).agree(&remote_ephemeral).unwrap();
        let message_2 = forge_message_2(&message_1, public(S_R).as_bytes(), real.as_bytes());
        assert!(
            sent.read(&message_2).is_ok(),
            "the forgery differs from a real message only in the guess"
        );
    }

    #[test]
    fn who_stole_the_static_key_of_the_responder_cannot_speak_to_it_as_somebody_else() {
        let (sent, message_2, thief) = talk_to_responder();
        let remote_ephemeral = parse(&message_2[..32]).unwrap();
        for ours in [EVIL, S_R] {
            for theirs in [&remote_ephemeral, &public(S_I), &public(S_R), &public(EVIL)] {
                let guess = pair(ours).agree(theirs).unwrap();
                let message_3 = forge_message_3(&thief, public(S_I).as_bytes(), guess.as_bytes());
                assert_eq!(sent.read(&message_3).unwrap_err(), NoiseError::NotAuthentic);
            }
        }
        let real = pair(S_I).agree(&remote_ephemeral).unwrap();
        assert!(
            sent.read(&forge_message_3(
                &thief,
                public(S_I).as_bytes(),
                real.as_bytes()
            ))
            .is_ok()
        );
    }

    #[test]
    fn guard_11_2_03_static_keys_of_small_order_are_refused() {
        // With such a key anybody knows the shared secret: it is zero.
        for weak in [[0; 32], core::array::from_fn(|index| u8::from(index == 0))] {
            let (sent, message_1) = SentMessage1::write(fast(), pair(E_I), &[]).unwrap();
            let message_2 = forge_message_2(&message_1, &weak, &[0; 32]);
            assert_eq!(sent.read(&message_2).unwrap_err(), NoiseError::WeakKey);
            let (sent, _, thief) = talk_to_responder();
            assert_eq!(
                sent.read(&forge_message_3(&thief, &weak, &[0; 32]))
                    .unwrap_err(),
                NoiseError::WeakKey
            );
        }
    }

    #[test]
    fn the_static_keys_alone_do_not_give_the_transport_keys() {
        // The same parties and static keys; only the ephemeral keys differ.
        let keys = |e_i, e_r| {
            let (initiator, message_1) = SentMessage1::write(fast(), pair(e_i), &[]).unwrap();
            let read = ReadMessage1::read(fast(), &message_1).unwrap();
            let (responder, message_2) = read.write(pair(e_r), &pair(S_R), b"r").unwrap();
            let (message_3, ours) = initiator
                .read(&message_2)
                .unwrap()
                .write(&pair(S_I), b"i")
                .unwrap();
            let theirs = responder.read(&message_3).unwrap().split();
            assert_eq!(ours.initiator_to_responder, theirs.initiator_to_responder);
            assert_eq!(ours.responder_to_initiator, theirs.responder_to_initiator);
            assert_ne!(ours.initiator_to_responder, ours.responder_to_initiator);
            ours
        };
        let [first, other_i, other_r] = [keys(E_I, E_R), keys(EVIL, E_R), keys(E_I, EVIL)];
        assert_ne!(first.initiator_to_responder, other_i.initiator_to_responder);
        assert_ne!(first.initiator_to_responder, other_r.initiator_to_responder);
        assert_ne!(first.transcript_hash, other_i.transcript_hash);
    }

    /// Message 2 as somebody with the ephemeral key `EVIL` writes it, claiming `static_key`.
    fn forge_message_2(message_1: &[u8], static_key: &[u8; 32], guess: &[u8; 32]) -> Vec<u8> {
        let mut symmetric = ReadMessage1::read(fast(), message_1).unwrap().symmetric;
        let remote_ephemeral = parse(&message_1[..32]).unwrap();
        let ephemeral = public(EVIL);
        let mut message = ephemeral.as_bytes().to_vec();
        symmetric.mix_hash(ephemeral.as_bytes());
        symmetric.mix_key(pair(EVIL).agree(&remote_ephemeral).unwrap().as_bytes());
        symmetric.encrypt_and_hash(static_key, &mut message);
        symmetric.mix_key(guess);
        symmetric.encrypt_and_hash(b"payload", &mut message);
        message
    }

    /// A responder that waits for message 3, its message 2, and the state of an initiator with the ephemeral key `EVIL`.
    fn talk_to_responder() -> (SentMessage2, Vec<u8>, SymmetricState) {
        let (initiator, message_1) = SentMessage1::write(fast(), pair(EVIL), &[]).unwrap();
        let read = ReadMessage1::read(fast(), &message_1).unwrap();
        let (sent, message_2) = read.write(pair(E_R), &pair(S_R), b"payload").unwrap();
        let symmetric = initiator.read(&message_2).unwrap().symmetric;
        (sent, message_2, symmetric)
    }

    /// Message 3, claiming `static_key`.
    fn forge_message_3(
        symmetric: &SymmetricState,
        static_key: &[u8; 32],
        guess: &[u8; 32],
    ) -> Vec<u8> {
        let mut symmetric = symmetric.fork();
        let mut message = Vec::new();
        symmetric.encrypt_and_hash(static_key, &mut message);
        symmetric.mix_key(guess);
        symmetric.encrypt_and_hash(b"payload", &mut message);
        message
    }

    fn pair(filler: u8) -> KeyPair {
        KeyPair::new(fast(), &X25519Secret::new(SecretBytes::new([filler; 32])))
    }

    fn public(filler: u8) -> X25519Public {
        *pair(filler).public()
    }

    const E_I: u8 = 0x52;
    const E_R: u8 = 0x62;
    const S_I: u8 = 0x51;
    const S_R: u8 = 0x61;
    const EVIL: u8 = 0x77;
}
