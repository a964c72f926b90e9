//! The Noise object `HandshakeState`: the tokens of `XX`, a type for each point a side can have reached.
//!
//! Reading takes `&self` and works on a fork, so a message that fails at any step leaves the phase as it was. The payload
//! handed out was authenticated by the transcript, but nothing in it was verified.

use alloc::vec::Vec;

use ockam_vault::{Provider, SecretBytes, X25519Public, X25519Secret};

use super::key_agreement::KeyAgreement;
use super::symmetric_state::SymmetricState;
use super::{
    KEY_LEN, NoiseError, SEALED_KEY_LEN, TAG_LEN, check_length, check_payload_2, check_payload_3,
};

/// The initiator after it wrote message 1.
#[derive(Debug)]
pub(crate) struct SentMessage1 {
    symmetric: SymmetricState,
    ephemeral: X25519Secret,
}

impl SentMessage1 {
    /// Writes message 1: `e`, then the payload in the clear.
    pub(crate) fn write(
        provider: &'static dyn Provider,
        ephemeral: X25519Secret,
        payload: &[u8],
    ) -> Result<(Self, Vec<u8>), NoiseError> {
        let agreement = KeyAgreement::new(provider);
        let mut symmetric = SymmetricState::new(provider);
        let public = agreement.public(&ephemeral);
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
        let agreement = KeyAgreement::new(self.symmetric.provider());
        let mut symmetric = self.symmetric.fork();
        let (ephemeral, rest) = message.split_at(KEY_LEN);
        let (sealed_static, sealed_payload) = rest.split_at(SEALED_KEY_LEN);
        let remote_ephemeral = KeyAgreement::parse(ephemeral)?;
        symmetric.mix_hash(ephemeral);
        symmetric.mix_key(
            agreement
                .agree(&self.ephemeral, &remote_ephemeral)?
                .as_bytes(),
        );
        let remote_static = KeyAgreement::parse(&symmetric.decrypt_and_hash(sealed_static)?)?;
        symmetric.mix_key(agreement.agree(&self.ephemeral, &remote_static)?.as_bytes());
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
        ours: &X25519Secret,
        payload: &[u8],
    ) -> Result<(Vec<u8>, TransportKeys), NoiseError> {
        check_payload_3(payload)?;
        let Self {
            mut symmetric,
            remote_ephemeral,
            ..
        } = self;
        let agreement = KeyAgreement::new(symmetric.provider());
        let mut message = Vec::with_capacity(SEALED_KEY_LEN + payload.len() + TAG_LEN);
        symmetric.encrypt_and_hash(agreement.public(ours).as_bytes(), &mut message);
        symmetric.mix_key(agreement.agree(ours, &remote_ephemeral)?.as_bytes());
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
        let remote_ephemeral = KeyAgreement::parse(ephemeral)?;
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
        ephemeral: X25519Secret,
        ours: &X25519Secret,
        payload: &[u8],
    ) -> Result<(SentMessage2, Vec<u8>), (X25519Secret, NoiseError)> {
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
    [ephemeral, ours]: [&X25519Secret; 2],
    payload: &[u8],
) -> Result<Vec<u8>, NoiseError> {
    check_payload_2(payload)?;
    let agreement = KeyAgreement::new(symmetric.provider());
    let mut message = Vec::with_capacity(KEY_LEN + SEALED_KEY_LEN + payload.len() + TAG_LEN);
    let public = agreement.public(ephemeral);
    message.extend_from_slice(public.as_bytes());
    symmetric.mix_hash(public.as_bytes());
    symmetric.mix_key(agreement.agree(ephemeral, remote_ephemeral)?.as_bytes());
    symmetric.encrypt_and_hash(agreement.public(ours).as_bytes(), &mut message);
    symmetric.mix_key(agreement.agree(ours, remote_ephemeral)?.as_bytes());
    symmetric.encrypt_and_hash(payload, &mut message);
    Ok(message)
}

/// The responder after it wrote message 2.
#[derive(Debug)]
pub(crate) struct SentMessage2 {
    symmetric: SymmetricState,
    ephemeral: X25519Secret,
}

impl SentMessage2 {
    /// Reads message 3.
    pub(crate) fn read(&self, message: &[u8]) -> Result<ReadMessage3, NoiseError> {
        check_length(message, SEALED_KEY_LEN + TAG_LEN)?;
        let agreement = KeyAgreement::new(self.symmetric.provider());
        let mut symmetric = self.symmetric.fork();
        let (sealed_static, sealed_payload) = message.split_at(SEALED_KEY_LEN);
        let remote_static = KeyAgreement::parse(&symmetric.decrypt_and_hash(sealed_static)?)?;
        symmetric.mix_key(agreement.agree(&self.ephemeral, &remote_static)?.as_bytes());
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
