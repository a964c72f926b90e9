//! Secrets at rest under a passphrase.
//!
//! The key comes from the passphrase by Argon2id, the seal is AES-256-GCM, and everything before the ciphertext is
//! authenticated with it:
//!
//! ```text
//! offset  size
//!      0     8  "ockvault"
//!      8     1  version = 1
//!      9     4  Argon2id memory in KiB   \
//!     13     4  Argon2id passes           } big endian; only values a [`Cost`] may have
//!     17     4  Argon2id lanes           /
//!     21    16  salt                     fresh for every seal
//!     37    12  nonce                    fresh for every seal
//!     49     n  ciphertext
//!   49+n    16  tag
//! ```
//!
//! A sealed vault's plaintext is one entry per secret: one byte of kind (1 Ed25519, 2 P-256, 3 X25519) and 32 bytes.
//!
//! Invariants:
//!
//! - What a file asks for in memory and time is bounded before either is spent: the file may come from an enemy.
//! - A wrong passphrase and a changed file look the same.

use alloc::vec::Vec;

use argon2::{Algorithm, Argon2, Block, Params, Version};
use zeroize::{Zeroize, Zeroizing};

use crate::key::SigningKeyType;
use crate::provider::{KeyError, Provider, Random};
use crate::secret::{SecretBytes, SigningSecret, X25519Secret};
use crate::software::{SecretKind, SoftwareVault};

/// The largest sealed file that is made or read.
pub const MAX_SEALED_LEN: usize = 1024 * 1024;

/// What one guess of a passphrase costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    memory_kib: u32,
    passes: u32,
    lanes: u32,
}

impl Cost {
    /// 64 MiB, three passes, four lanes: the second recommendation of RFC 9106.
    pub const RECOMMENDED: Self = Self {
        memory_kib: 64 * 1024,
        passes: 3,
        lanes: 4,
    };

    /// The least that is made or read.
    pub const LEAST: Self = Self {
        memory_kib: 8 * 1024,
        passes: 1,
        lanes: 1,
    };

    /// The most that is made or read.
    pub const MOST: Self = Self {
        memory_kib: 256 * 1024,
        passes: 8,
        lanes: 8,
    };

    /// A cost between [`Self::LEAST`] and [`Self::MOST`].
    ///
    /// # Errors
    /// [`CostError`] if one of the numbers is not.
    pub const fn new(memory_kib: u32, passes: u32, lanes: u32) -> Result<Self, CostError> {
        let too_little = memory_kib < Self::LEAST.memory_kib
            || passes < Self::LEAST.passes
            || lanes < Self::LEAST.lanes;
        let too_much = memory_kib > Self::MOST.memory_kib
            || passes > Self::MOST.passes
            || lanes > Self::MOST.lanes;
        if too_little || too_much {
            return Err(CostError {
                memory_kib,
                passes,
                lanes,
            });
        }
        Ok(Self {
            memory_kib,
            passes,
            lanes,
        })
    }
}

impl Default for Cost {
    fn default() -> Self {
        Self::RECOMMENDED
    }
}

/// A cost that is too low to protect or too high to be honest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("passphrase cost of {memory_kib} KiB, {passes} passes and {lanes} lanes is out of bounds")]
pub struct CostError {
    memory_kib: u32,
    passes: u32,
    lanes: u32,
}

/// Seals `plaintext` under `passphrase`.
///
/// # Errors
/// [`SealError`] if the passphrase is empty, the plaintext too large or the memory not to be had.
pub fn seal(
    provider: &dyn Provider,
    passphrase: &[u8],
    plaintext: &[u8],
    cost: Cost,
    random: &mut dyn Random,
) -> Result<Vec<u8>, SealError> {
    if passphrase.is_empty() {
        return Err(SealError::EmptyPassphrase);
    }
    if plaintext.len() > MAX_SEALED_LEN - HEADER_LEN - TAG_LEN {
        return Err(SealError::TooLarge);
    }
    let mut header = Header {
        cost,
        salt: [0; SALT_LEN],
        nonce: [0; NONCE_LEN],
    };
    random.fill(&mut header.salt);
    random.fill(&mut header.nonce);

    let key = derive(passphrase, &header.salt, cost).ok_or(SealError::OutOfMemory)?;
    let mut sealed = header.to_bytes();
    let mut body = Zeroizing::new(plaintext.to_vec());
    let tag = provider
        .aead(key.as_bytes())
        .seal_in_place(&header.nonce, &sealed, &mut body);
    sealed.extend_from_slice(&body);
    sealed.extend_from_slice(&tag);
    Ok(sealed)
}

/// Opens what [`seal`] made.
///
/// # Errors
/// [`UnsealError`] if the bytes are no sealed file, ask for too much, or do not open under `passphrase`.
pub fn open(
    provider: &dyn Provider,
    passphrase: &[u8],
    sealed: &[u8],
) -> Result<Zeroizing<Vec<u8>>, UnsealError> {
    if sealed.len() > MAX_SEALED_LEN {
        return Err(UnsealError::TooLarge);
    }
    let (head, rest) = sealed
        .split_at_checked(HEADER_LEN)
        .ok_or(UnsealError::NotSealed)?;
    let header = Header::from_bytes(head)?;
    let (body, tag) = rest
        .split_last_chunk::<TAG_LEN>()
        .ok_or(UnsealError::NotSealed)?;

    let key = derive(passphrase, &header.salt, header.cost).ok_or(UnsealError::OutOfMemory)?;
    let mut plaintext = Zeroizing::new(body.to_vec());
    provider
        .aead(key.as_bytes())
        .open_in_place(&header.nonce, head, &mut plaintext, tag)
        .map_err(|_| UnsealError::DoesNotOpen)?;
    Ok(plaintext)
}

/// Seals all secrets of `vault` under `passphrase`.
///
/// # Errors
/// As for [`seal`].
pub fn seal_vault(
    vault: &SoftwareVault,
    passphrase: &[u8],
    cost: Cost,
    random: &mut dyn Random,
) -> Result<Vec<u8>, SealError> {
    // The size is known first, so that no grown-out-of allocation keeps secrets.
    let mut plaintext = Zeroizing::new(Vec::with_capacity(vault.records().count() * ENTRY_LEN));
    for record in vault.records() {
        plaintext.push(match record.kind {
            SecretKind::Signing(SigningKeyType::Ed25519) => ENTRY_ED25519,
            SecretKind::Signing(SigningKeyType::P256) => ENTRY_P256,
            SecretKind::X25519 => ENTRY_X25519,
        });
        plaintext.extend_from_slice(record.secret.as_bytes());
    }
    seal(vault.provider(), passphrase, &plaintext, cost, random)
}

/// Opens what [`seal_vault`] made.
///
/// # Errors
/// [`UnsealError`] as for [`open`], or if what was sealed is no vault.
pub fn open_vault(
    provider: &'static dyn Provider,
    passphrase: &[u8],
    sealed: &[u8],
) -> Result<SoftwareVault, UnsealError> {
    let plaintext = open(provider, passphrase, sealed)?;
    let mut vault = SoftwareVault::new(provider);
    let mut entries = plaintext.chunks_exact(ENTRY_LEN);
    for entry in &mut entries {
        let (kind, secret) = entry.split_first().ok_or(UnsealError::NotAVault)?;
        let bytes = SecretBytes::try_from(secret)?;
        match *kind {
            ENTRY_ED25519 => drop(
                vault.insert_signing_key(SigningSecret::new(SigningKeyType::Ed25519, bytes)?)?,
            ),
            ENTRY_P256 => {
                drop(vault.insert_signing_key(SigningSecret::new(SigningKeyType::P256, bytes)?)?)
            }
            ENTRY_X25519 => drop(vault.insert_agreement_key(X25519Secret::new(bytes))),
            _ => return Err(UnsealError::NotAVault),
        }
    }
    if entries.remainder().is_empty() {
        Ok(vault)
    } else {
        Err(UnsealError::NotAVault)
    }
}

/// Why nothing was sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// An empty passphrase protects nothing.
    #[error("the passphrase is empty")]
    EmptyPassphrase,
    /// There is more to seal than a file may hold.
    #[error("the vault is too large to be sealed")]
    TooLarge,
    /// The memory the cost asks for is not to be had.
    #[error("not enough memory to derive the key from the passphrase")]
    OutOfMemory,
}

/// Why a sealed file does not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UnsealError {
    /// The bytes are no sealed file.
    #[error("the file is not a sealed vault")]
    NotSealed,
    /// The file was made by a later program.
    #[error("the sealed vault has version {0}, which this program does not know")]
    UnknownVersion(u8),
    /// The file is larger than any that is made.
    #[error("the sealed vault is too large")]
    TooLarge,
    /// The file asks for more, or less, work than any that is made.
    #[error(transparent)]
    Cost(#[from] CostError),
    /// The memory the file asks for is not to be had.
    #[error("not enough memory to derive the key from the passphrase")]
    OutOfMemory,
    /// The passphrase is wrong or the file was changed.
    #[error("the passphrase is wrong or the sealed vault was changed")]
    DoesNotOpen,
    /// The file opens but holds something else.
    #[error("the sealed file does not hold a vault")]
    NotAVault,
    /// The file opens but a secret in it is out of range.
    #[error(transparent)]
    Key(#[from] KeyError),
}

struct Header {
    cost: Cost,
    salt: [u8; SALT_LEN],
    nonce: [u8; NONCE_LEN],
}

impl Header {
    fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER_LEN);
        bytes.extend_from_slice(MAGIC);
        bytes.push(VERSION);
        for number in [self.cost.memory_kib, self.cost.passes, self.cost.lanes] {
            bytes.extend_from_slice(&number.to_be_bytes());
        }
        bytes.extend_from_slice(&self.salt);
        bytes.extend_from_slice(&self.nonce);
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self, UnsealError> {
        let rest = bytes.strip_prefix(MAGIC).ok_or(UnsealError::NotSealed)?;
        let (version, rest) = rest.split_first().ok_or(UnsealError::NotSealed)?;
        if *version != VERSION {
            return Err(UnsealError::UnknownVersion(*version));
        }
        let (memory_kib, rest) = number(rest)?;
        let (passes, rest) = number(rest)?;
        let (lanes, rest) = number(rest)?;
        let (salt, rest) = rest.split_first_chunk().ok_or(UnsealError::NotSealed)?;
        let nonce = rest.first_chunk().ok_or(UnsealError::NotSealed)?;
        Ok(Self {
            cost: Cost::new(memory_kib, passes, lanes)?,
            salt: *salt,
            nonce: *nonce,
        })
    }
}

fn number(bytes: &[u8]) -> Result<(u32, &[u8]), UnsealError> {
    let (number, rest) = bytes.split_first_chunk().ok_or(UnsealError::NotSealed)?;
    Ok((u32::from_be_bytes(*number), rest))
}

/// The key of a passphrase, or nothing if the memory is not to be had.
fn derive(passphrase: &[u8], salt: &[u8; SALT_LEN], cost: Cost) -> Option<SecretBytes<32>> {
    let params = Params::new(cost.memory_kib, cost.passes, cost.lanes, Some(32)).ok()?;
    let mut blocks = Vec::new();
    blocks.try_reserve_exact(params.block_count()).ok()?;
    blocks.resize(params.block_count(), Block::default());
    let mut key = SecretBytes::new([0; 32]);
    let derived = Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into_with_memory(passphrase, salt, key.as_bytes_mut(), &mut blocks);
    blocks.iter_mut().for_each(Zeroize::zeroize);
    derived.ok().map(|()| key)
}

const MAGIC: &[u8; 8] = b"ockvault";
const VERSION: u8 = 1;
const SALT_LEN: usize = 16;
const NONCE_LEN: usize = 12;
const TAG_LEN: usize = 16;
const HEADER_LEN: usize = 8 + 1 + 3 * 4 + SALT_LEN + NONCE_LEN;

const ENTRY_LEN: usize = 33;
const ENTRY_ED25519: u8 = 1;
const ENTRY_P256: u8 = 2;
const ENTRY_X25519: u8 = 3;
