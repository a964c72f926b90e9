//! Sealing of the secrets in a vault file.
//!
//! A random key seals each secret (AES-256-GCM, the kind and handle of the secret authenticated with it); the passphrase seals
//! only that key, so deriving from the passphrase, which is slow by design, is done once for each opening.
//!
//! ```text
//! stored secret = nonce (12) | sealed secret (32) | tag (16)
//! ```

use ockam_vault::sealed::{self, Cost, SealError, UnsealError};
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

    /// The words themselves, for whoever hands them on.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    fn copy(&self) -> Self {
        Self(self.0.clone())
    }
}

impl core::fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Passphrase(..)")
    }
}

/// A fresh key for the secrets of one vault, and the same key sealed under a passphrase.
pub struct NewSeal {
    pub(crate) key: SecretBytes<KEY>,
    pub(crate) sealed: Vec<u8>,
}

impl NewSeal {
    /// Makes a key and seals it under the passphrase.
    ///
    /// # Errors
    /// [`StoreError::EmptyPassphrase`]; [`StoreError::PassphraseMemory`]; [`StoreError::Random`].
    pub async fn under(passphrase: &Passphrase) -> Result<Self, StoreError> {
        Self::of(&SecretBytes::new(random()?), passphrase).await
    }
}

impl NewSeal {
    /// Seals a key that is in use already under another passphrase.
    pub(crate) async fn of(
        key: &SecretBytes<KEY>,
        passphrase: &Passphrase,
    ) -> Result<Self, StoreError> {
        let plaintext = Zeroizing::new(key.as_bytes().to_vec());
        let sealed = seal_bytes(passphrase, plaintext).await?;
        Ok(Self {
            key: copy(key),
            sealed,
        })
    }
}

/// A second copy of a key.
pub(crate) fn copy(key: &SecretBytes<KEY>) -> SecretBytes<KEY> {
    SecretBytes::copy_of(key.as_bytes())
}

impl core::fmt::Debug for NewSeal {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("NewSeal(..)")
    }
}

/// Seals bytes under the passphrase.
pub(crate) async fn seal_bytes(
    passphrase: &Passphrase,
    plaintext: Zeroizing<Vec<u8>>,
) -> Result<Vec<u8>, StoreError> {
    let salt_and_nonce = Zeroizing::new(random::<64>()?);
    let passphrase = passphrase.copy();
    let work = move || {
        let mut random = salt_and_nonce.iter().copied();
        // Too few random bytes would be zeros; sealing takes 28.
        let mut fill = |bytes: &mut [u8]| {
            bytes
                .iter_mut()
                .for_each(|byte| *byte = random.next().unwrap_or_default())
        };
        sealed::seal(
            ockam_vault::fast(),
            passphrase.0.as_bytes(),
            &plaintext,
            Cost::RECOMMENDED,
            &mut fill,
        )
    };
    aside(work).await?.map_err(|error| match error {
        SealError::EmptyPassphrase => StoreError::EmptyPassphrase,
        SealError::TooLarge => StoreError::BackupTooLarge,
        _ => StoreError::PassphraseMemory,
    })
}

/// Opens what [`seal_bytes`] sealed.
pub(crate) async fn open_bytes(
    passphrase: &Passphrase,
    sealed: Vec<u8>,
) -> Result<Result<Zeroizing<Vec<u8>>, UnsealError>, StoreError> {
    let passphrase = passphrase.copy();
    let work = move || sealed::open(ockam_vault::fast(), passphrase.0.as_bytes(), &sealed);
    match aside(work).await? {
        Err(UnsealError::OutOfMemory) => Err(StoreError::PassphraseMemory),
        opened => Ok(opened),
    }
}

/// Opens the key of a vault file; `None` if the passphrase is wrong or the bytes were altered.
pub(crate) async fn open_key(
    passphrase: &Passphrase,
    sealed: Vec<u8>,
) -> Result<Option<SecretBytes<KEY>>, StoreError> {
    Ok(open_bytes(passphrase, sealed)
        .await?
        .ok()
        .and_then(|mut key| {
            let key: Option<&mut [u8; KEY]> = key.as_mut_slice().try_into().ok();
            key.map(SecretBytes::take)
        }))
}

/// Deriving from a passphrase takes a tenth of a second and is not done on the runtime's own thread.
async fn aside<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, StoreError> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|_| StoreError::PassphraseMemory)
}

pub(crate) fn seal_secret(
    key: &SecretBytes<KEY>,
    kind: &str,
    handle: &Handle,
    secret: &SecretBytes<KEY>,
) -> Result<Zeroizing<Vec<u8>>, StoreError> {
    let nonce: [u8; NONCE] = random()?;
    let mut sealed = Zeroizing::new(Vec::with_capacity(NONCE + SECRET + TAG));
    sealed.extend_from_slice(&nonce);
    sealed.extend_from_slice(secret.as_bytes());
    let aead = ockam_vault::fast().aead(key.as_bytes());
    let tag = aead.seal_in_place(
        &nonce,
        &label(kind, handle),
        sealed.get_mut(NONCE..).unwrap_or_default(),
    );
    sealed.extend_from_slice(&tag);
    Ok(sealed)
}

/// `None` if the secret was altered, or belongs to another handle, kind or vault.
pub(crate) fn open_secret(
    key: &SecretBytes<KEY>,
    kind: &str,
    handle: &Handle,
    sealed: &[u8],
) -> Option<SecretBytes<KEY>> {
    let (nonce, rest) = sealed.split_first_chunk::<NONCE>()?;
    let (secret, tag) = rest.split_last_chunk::<TAG>()?;
    let mut bytes: Zeroizing<[u8; SECRET]> = Zeroizing::new(secret.try_into().ok()?);
    let aead = ockam_vault::fast().aead(key.as_bytes());
    aead.open_in_place(nonce, &label(kind, handle), bytes.as_mut_slice(), tag)
        .ok()?;
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

const KEY: usize = 32;
const NONCE: usize = 12;
const SECRET: usize = 32;
const TAG: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::StoreError;
    use crate::testing::store;
    use ockam_vault::{SecretKind, SoftwareVault};

    fn passphrase(text: &str) -> Passphrase {
        Passphrase::new(text.to_owned())
    }

    fn key() -> SecretBytes<KEY> {
        SecretBytes::new([7; KEY])
    }

    #[test]
    fn a_sealed_secret_opens_only_under_its_own_label() {
        let handle = Handle::new(vec![1; 32]);
        let sealed = seal_secret(&key(), "X25519", &handle, &SecretBytes::new([9; 32])).unwrap();
        assert_eq!(sealed.len(), 60);
        assert!(!sealed.windows(8).any(|window| window == [9; 8]));
        let opened = open_secret(&key(), "X25519", &handle, &sealed).unwrap();
        assert_eq!(opened.as_bytes(), &[9; 32]);
        assert!(open_secret(&key(), "EdDSACurve25519", &handle, &sealed).is_none());
        assert!(open_secret(&key(), "X25519", &Handle::new(vec![2; 32]), &sealed).is_none());
        assert!(open_secret(&SecretBytes::new([8; KEY]), "X25519", &handle, &sealed).is_none());
        assert!(open_secret(&key(), "X25519", &handle, &sealed[..59]).is_none());
        assert!(open_secret(&key(), "X25519", &handle, &[]).is_none());
    }

    #[test]
    fn a_passphrase_is_not_printed() {
        assert_eq!(format!("{:?}", passphrase("hush")), "Passphrase(..)");
    }

    #[tokio::test]
    async fn guard_11_2_19_a_sealed_vault_opens_with_its_passphrase_only_and_holds_no_plain_secret()
    {
        let (_home, store) = store().await;
        let name = "safe".parse().unwrap();
        let empty = store.create_vault(&name, None, Some(&passphrase(""))).await;
        assert!(matches!(empty, Err(StoreError::EmptyPassphrase)));
        let vault = store
            .create_vault(&name, None, Some(&passphrase("open sesame")))
            .await
            .unwrap();
        assert!(vault.is_sealed);

        let closed = store.open_vault(&name, None).await;
        assert!(matches!(closed, Err(StoreError::VaultSealed(_))));
        let wrong = store
            .open_vault(&name, Some(&passphrase("close sesame")))
            .await;
        assert!(matches!(wrong, Err(StoreError::WrongPassphrase(_))));

        let open = store
            .open_vault(&name, Some(&passphrase("open sesame")))
            .await
            .unwrap();
        let mut software = SoftwareVault::new(ockam_vault::fast());
        let handle = software.generate_agreement_key(&mut |bytes: &mut [u8]| bytes.fill(0x5a));
        let secret = software.export_agreement_key(&handle).unwrap();
        store.add_secrets(&open, &[secret]).await.unwrap();

        let bytes = std::fs::read(vault.path.unwrap()).unwrap();
        assert!(!bytes.windows(16).any(|window| window == [0x5a; 16]));
        let again = store
            .open_vault(&name, Some(&passphrase("open sesame")))
            .await
            .unwrap();
        let read = store.secret(&again, &handle).await.unwrap().unwrap();
        assert_eq!(read.kind, SecretKind::X25519);
        SoftwareVault::from_records(ockam_vault::fast(), [read]).unwrap();
        let shown = format!("{again:?}").to_lowercase();
        assert!(
            !shown.contains("5a5a") && !shown.contains("90, 90"),
            "{shown}"
        );
    }
}
