//! The handshake as an eavesdropper with stolen keys can compute it, written down once more, independent of the program.
//!
//! Specification: `docs/protocol/2-trust.md` 5.2, 5.4, 5.7, 5.10.

use ockam_vault::{SecretBytes, X25519Public, X25519Secret, fast};

/// The three messages of a handshake as they were seen.
#[derive(Clone, Debug)]
pub struct Transcript {
    pub message_1: Vec<u8>,
    pub message_2: Vec<u8>,
    pub message_3: Vec<u8>,
}

/// The results of the three key agreements of a handshake, or what somebody takes for them.
#[derive(Clone, Copy, Debug)]
pub struct Agreements {
    /// Both ephemeral keys.
    pub ee: [u8; 32],
    /// The initiator's ephemeral and the responder's static key.
    pub es: [u8; 32],
    /// The initiator's static and the responder's ephemeral key.
    pub se: [u8; 32],
}

/// What somebody got out of a transcript.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Opened {
    pub responder_static: Option<[u8; 32]>,
    pub responder_identity: Option<Vec<u8>>,
    pub initiator_static: Option<[u8; 32]>,
    pub initiator_identity: Option<Vec<u8>>,
    /// Of records to the initiator and to the responder; whatever the agreements were, some keys come out.
    pub keys: [[u8; 32]; 2],
}

impl Transcript {
    /// Follows the handshake with these agreements as far as it opens. What does not open is only hashed.
    pub fn open(&self, agreements: &Agreements) -> Opened {
        let mut noise = Noise::start();
        noise.mix_hash(&self.message_1[..32]);
        noise.mix_hash(&self.message_1[32..]);
        let (ephemeral, rest) = self.message_2.split_at(32);
        let (sealed_static, sealed_identity) = rest.split_at(48);
        noise.mix_hash(ephemeral);
        noise.mix_key(&agreements.ee);
        let responder_static = noise.open(sealed_static);
        noise.mix_key(&agreements.es);
        let responder_identity = noise.open(sealed_identity);
        let (sealed_static, sealed_identity) = self.message_3.split_at(48);
        let initiator_static = noise.open(sealed_static);
        noise.mix_key(&agreements.se);
        let initiator_identity = noise.open(sealed_identity);
        let array = |bytes: Vec<u8>| <[u8; 32]>::try_from(bytes).unwrap();
        Opened {
            responder_static: responder_static.map(array),
            responder_identity,
            initiator_static: initiator_static.map(array),
            initiator_identity,
            keys: noise.split(),
        }
    }

    /// The ephemeral keys, which pass in clear.
    pub fn ephemerals(&self) -> [[u8; 32]; 2] {
        [&self.message_1, &self.message_2].map(|message| message[..32].try_into().unwrap())
    }
}

/// Writes a message 2 in the name of somebody whose static secret the writer may not have: `es` is given.
pub fn forge_message_2(
    message_1: &[u8],
    ephemeral: [u8; 32],
    claimed_static: &[u8; 32],
    es: &[u8; 32],
    identity: &[u8],
) -> Vec<u8> {
    let mut noise = Noise::start();
    noise.mix_hash(&message_1[..32]);
    noise.mix_hash(&message_1[32..]);
    let own = public(ephemeral);
    noise.mix_hash(&own);
    noise.mix_key(&agree(ephemeral, message_1[..32].try_into().unwrap()));
    let sealed_static = noise.seal(claimed_static);
    noise.mix_key(es);
    let sealed_identity = noise.seal(identity);
    [own.to_vec(), sealed_static, sealed_identity].concat()
}

pub fn public(secret: [u8; 32]) -> [u8; 32] {
    fast()
        .x25519_public(&X25519Secret::new(SecretBytes::new(secret)))
        .0
}

pub fn agree(secret: [u8; 32], public: [u8; 32]) -> [u8; 32] {
    let secret = X25519Secret::new(SecretBytes::new(secret));
    *fast()
        .x25519(&secret, &X25519Public(public))
        .unwrap()
        .as_bytes()
}

/// Opens a record with a key; the nonce stands in the record.
pub fn open_record(key: &[u8; 32], record: &[u8]) -> Option<Vec<u8>> {
    let (nonce, sealed) = record.split_first_chunk::<8>()?;
    open(key, u64::from_be_bytes(*nonce), &[], sealed)
}

/// The key that follows another.
pub fn next_key(key: &[u8; 32]) -> [u8; 32] {
    let mut next = [0; 32];
    fast()
        .aead(key)
        .seal_in_place(&nonce_bytes(u64::MAX), &[], &mut next);
    next
}

fn open(key: &[u8; 32], nonce: u64, aad: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
    let (data, tag) = sealed.split_last_chunk::<16>()?;
    let mut data = data.to_vec();
    let opened = fast()
        .aead(key)
        .open_in_place(&nonce_bytes(nonce), aad, &mut data, tag);
    opened.ok().map(|()| data)
}

fn nonce_bytes(nonce: u64) -> [u8; 12] {
    let mut bytes = [0; 12];
    bytes[4..].copy_from_slice(&nonce.to_be_bytes());
    bytes
}

struct Noise {
    hash: [u8; 32],
    chaining_key: [u8; 32],
    key: [u8; 32],
    nonce: u64,
}

impl Noise {
    fn start() -> Self {
        let name = *b"OCKAM_XX_25519_AES256_GCM_SHA256";
        let hash = fast().sha256(&[&name]);
        Self {
            hash,
            chaining_key: name,
            key: [0; 32],
            nonce: 0,
        }
    }

    fn mix_hash(&mut self, bytes: &[u8]) {
        self.hash = fast().sha256(&[&self.hash, bytes]);
    }

    fn mix_key(&mut self, agreed: &[u8; 32]) {
        let [chaining_key, key] = fast().hkdf(&self.chaining_key, agreed);
        (self.chaining_key, self.key, self.nonce) = (*chaining_key.as_bytes(), *key.as_bytes(), 0);
    }

    fn open(&mut self, sealed: &[u8]) -> Option<Vec<u8>> {
        let opened = open(&self.key, self.nonce, &self.hash, sealed);
        self.nonce += 1;
        self.mix_hash(sealed);
        opened
    }

    fn seal(&mut self, data: &[u8]) -> Vec<u8> {
        let mut sealed = data.to_vec();
        let aead = fast().aead(&self.key);
        let tag = aead.seal_in_place(&nonce_bytes(self.nonce), &self.hash, &mut sealed);
        sealed.extend(tag);
        self.nonce += 1;
        self.mix_hash(&sealed);
        sealed
    }

    fn split(&self) -> [[u8; 32]; 2] {
        fast()
            .hkdf(&self.chaining_key, &[])
            .map(|key| *key.as_bytes())
    }
}
