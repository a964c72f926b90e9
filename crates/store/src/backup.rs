//! One vault with its identities in one file, to be kept elsewhere.
//!
//! ```text
//! file      = seal under a passphrase (see `ockam_vault::sealed`) of, or without a passphrase just: content
//! content   = "ockbackup" 1 | sealed (0 or 1) | text name | list of secrets | list of identities
//! secret    = kind (1 Ed25519, 2 P-256, 3 X25519) | 32 bytes
//! identity  = text name | default (0 or 1) | bytes history | list of purpose keys (bytes)
//! text, bytes = length (4, big endian) and as many bytes;  list = number (4, big endian) and as many of it
//! ```
//!
//! **Invariants**: nothing is taken into memory that the file does not have; every history, attestation and secret is decoded
//! and verified as if a stranger had sent it.

use ockam_identity::{ChangeHistory, PurposeKeyAttestation};
use ockam_vault::sealed::{MAX_SEALED_LEN, UnsealError};
use ockam_vault::{
    SecretBytes, SecretKind, SigningKeyType, SigningSecret, SoftwareVault, X25519Secret,
};
use zeroize::Zeroizing;

use crate::error::StoreError;
use crate::purpose_keys;
use crate::seal::{self, NewSeal, Passphrase};
use crate::store::Store;
use crate::takeover::{TakenIdentity, TakenVault, Takeover};
use crate::vaults::OpenVault;

/// Whether a backup was sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BackupSeal {
    /// A passphrase opens it.
    Sealed,
    /// Anybody can read it.
    Open,
}

impl BackupSeal {
    /// What the bytes begin like.
    #[must_use]
    pub fn of(file: &[u8]) -> Self {
        if file.starts_with(MAGIC) {
            Self::Open
        } else {
            Self::Sealed
        }
    }
}

/// The most bytes a backup has.
pub const MAX_BACKUP_LEN: usize = MAX_SEALED_LEN;

impl Store {
    /// Everything of an opened vault, with the identities that use it. Sealed under the passphrase if there is one.
    ///
    /// # Errors
    /// [`StoreError::BackupTooLarge`]; [`StoreError::EmptyPassphrase`]; [`StoreError::DamagedSecret`].
    pub async fn back_up_vault(
        &self,
        vault: &OpenVault,
        passphrase: Option<&Passphrase>,
    ) -> Result<Zeroizing<Vec<u8>>, StoreError> {
        let secrets = self.secrets(vault).await?;
        let identities = self.identities().await?;
        let mut out = Writer(Zeroizing::new(Vec::with_capacity(MAX_BACKUP_LEN)));
        out.plain(MAGIC);
        out.plain(&[VERSION, u8::from(vault.key.is_some())]);
        out.bytes(vault.name.as_str().as_bytes());
        out.number(secrets.len());
        for secret in &secrets {
            out.plain(&[kind_byte(secret.kind)]);
            out.plain(secret.secret.as_bytes());
        }
        let its: Vec<_> = identities
            .iter()
            .filter(|identity| identity.vault == vault.name)
            .collect();
        out.number(its.len());
        for identity in its {
            out.bytes(identity.name.as_str().as_bytes());
            out.plain(&[u8::from(identity.is_default)]);
            out.bytes(identity.history.as_bytes());
            let attestations = self
                .read(async |db| purpose_keys::all(db, &identity.identifier).await)
                .await?;
            out.number(attestations.len());
            for attestation in attestations {
                out.bytes(&attestation);
            }
        }
        let digest = digest(&out.0);
        out.plain(&digest);
        if out.0.len() > MAX_BACKUP_LEN / 2 {
            return Err(StoreError::BackupTooLarge);
        }
        match passphrase {
            None => Ok(out.0),
            Some(passphrase) => Ok(Zeroizing::new(seal::seal_bytes(passphrase, out.0).await?)),
        }
    }
}

/// A backup that was read and verified.
#[derive(Debug)]
pub struct Backup {
    /// What is in it.
    pub takeover: Takeover,
    /// Whether the vault was sealed where it came from.
    pub was_sealed: bool,
}

impl Backup {
    /// Reads a backup. A vault that was sealed is sealed again, under the passphrase of the backup.
    ///
    /// # Errors
    /// [`StoreError::NotABackup`]; [`StoreError::WrongBackupPassphrase`].
    pub async fn read(file: &[u8], passphrase: Option<&Passphrase>) -> Result<Self, StoreError> {
        let not = |text: &str| StoreError::NotABackup(text.to_owned());
        if file.len() > MAX_BACKUP_LEN {
            return Err(not("it is larger than any"));
        }
        let content = match BackupSeal::of(file) {
            BackupSeal::Open => Zeroizing::new(file.to_vec()),
            BackupSeal::Sealed => {
                let passphrase = passphrase.ok_or(StoreError::WrongBackupPassphrase)?;
                match seal::open_bytes(passphrase, file.to_vec()).await? {
                    Ok(content) => content,
                    Err(UnsealError::DoesNotOpen) => return Err(StoreError::WrongBackupPassphrase),
                    Err(error) => return Err(not(&error.to_string())),
                }
            }
        };
        let mut backup = parse(&content).map_err(|what| not(&what))?;
        if let (true, Some(passphrase)) = (backup.was_sealed, passphrase) {
            for vault in &mut backup.takeover.vaults {
                vault.seal = Some(NewSeal::under(passphrase).await?);
            }
        }
        Ok(backup)
    }
}

/// What a backup ends with, so that one in clear that was damaged is not taken for whole.
fn digest(content: &[u8]) -> [u8; 32] {
    ockam_vault::fast().sha256(&[content])
}

fn parse(content: &[u8]) -> Result<Backup, String> {
    let (content, end) = content
        .split_last_chunk::<32>()
        .ok_or("it is shorter than any")?;
    let mut input = Reader(content);
    if input.take(MAGIC.len())? != MAGIC {
        return Err("it begins with something else".to_owned());
    }
    if digest(content) != *end {
        return Err("it is damaged".to_owned());
    }
    match input.byte()? {
        VERSION => {}
        other => return Err(format!("its version {other} is not known here")),
    }
    let was_sealed = input.flag()?;
    let name = input.text()?.parse().map_err(shown)?;
    let mut keys = SoftwareVault::new(ockam_vault::fast());
    for _ in 0..input.number()? {
        let kind = input.byte()?;
        let secret = SecretBytes::try_from(input.take(32)?).map_err(shown)?;
        let signing = |kind, secret| SigningSecret::new(kind, secret).map_err(shown);
        match kind {
            1 => drop(
                keys.insert_signing_key(signing(SigningKeyType::Ed25519, secret)?)
                    .map_err(shown)?,
            ),
            2 => drop(
                keys.insert_signing_key(signing(SigningKeyType::P256, secret)?)
                    .map_err(shown)?,
            ),
            3 => drop(keys.insert_agreement_key(X25519Secret::new(secret))),
            other => return Err(format!("a secret has the unknown kind {other}")),
        }
    }
    let mut identities = Vec::new();
    let mut default_identity = None;
    for _ in 0..input.number()? {
        let name = input.text()?.parse().map_err(shown)?;
        let is_default = input.flag()?;
        let history = ChangeHistory::decode(input.bytes()?)
            .map_err(shown)?
            .verify(ockam_vault::fast(), None)
            .map_err(shown)?;
        let mut attestations = Vec::new();
        for _ in 0..input.number()? {
            attestations.push(PurposeKeyAttestation::decode(input.bytes()?).map_err(shown)?);
        }
        if is_default {
            default_identity = Some(*history.identifier());
        }
        identities.push(TakenIdentity {
            name,
            history,
            attestations,
        });
    }
    if !input.0.is_empty() {
        return Err("something follows its end".to_owned());
    }
    let vault = TakenVault {
        name,
        keys,
        identities,
        seal: None,
    };
    Ok(Backup {
        takeover: Takeover {
            vaults: vec![vault],
            default_identity,
            ..Takeover::default()
        },
        was_sealed,
    })
}

fn shown(error: impl core::fmt::Display) -> String {
    error.to_string()
}

struct Writer(Zeroizing<Vec<u8>>);

impl Writer {
    fn plain(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    fn number(&mut self, number: usize) {
        // More than fits is more than a backup holds, and is refused by its size.
        self.plain(&u32::try_from(number).unwrap_or(u32::MAX).to_be_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len());
        self.plain(bytes);
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], String> {
        let (taken, rest) = self
            .0
            .split_at_checked(length)
            .ok_or_else(|| "it ends too early".to_owned())?;
        self.0 = rest;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8, String> {
        let (byte, rest) = self
            .0
            .split_first()
            .ok_or_else(|| "it ends too early".to_owned())?;
        self.0 = rest;
        Ok(*byte)
    }

    fn flag(&mut self) -> Result<bool, String> {
        match self.byte()? {
            0 => Ok(false),
            1 => Ok(true),
            other => Err(format!("{other} is neither yes nor no")),
        }
    }

    fn number(&mut self) -> Result<usize, String> {
        let bytes: [u8; 4] = self.take(4)?.try_into().map_err(shown)?;
        usize::try_from(u32::from_be_bytes(bytes)).map_err(shown)
    }

    fn bytes(&mut self) -> Result<&'a [u8], String> {
        let length = self.number()?;
        self.take(length)
    }

    fn text(&mut self) -> Result<&'a str, String> {
        core::str::from_utf8(self.bytes()?).map_err(shown)
    }
}

fn kind_byte(kind: SecretKind) -> u8 {
    match kind {
        SecretKind::Signing(SigningKeyType::Ed25519) => 1,
        SecretKind::Signing(SigningKeyType::P256) => 2,
        SecretKind::X25519 => 3,
    }
}

const MAGIC: &[u8] = b"ockbackup";
const VERSION: u8 = 1;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::takeover::{Effect, Fate, IfVaultExists};
    use crate::testing::{Person, store};
    use ockam_identity::{Purpose, UnixTime};

    async fn person_in(store: &Store) -> (Person, OpenVault) {
        let vault = store.vault_or_only(None).await.unwrap();
        let vault = store.open_vault(&vault.name, None).await.unwrap();
        let person = Person::new();
        let named = person.named("m");
        store.create_identity(&vault, &named).await.unwrap();
        let (key, secret) = person.purpose_key();
        store
            .put_purpose_key(&vault, &key, secret, &person.history, None)
            .await
            .unwrap();
        (person, vault)
    }

    #[tokio::test]
    async fn a_backup_restores_identities_with_their_keys() {
        let (_a, here) = store().await;
        let (_b, there) = store().await;
        let (person, vault) = person_in(&here).await;
        let identifier = person.history.identifier();
        let words = Passphrase::new("words".to_owned());
        for passphrase in [None, Some(&words)] {
            let file = here.back_up_vault(&vault, passphrase).await.unwrap();
            let backup = Backup::read(&file, passphrase).await.unwrap();
            let report = there
                .take_over(
                    &backup.takeover,
                    UnixTime(1_700_000_001),
                    IfVaultExists::Add,
                    &[],
                    Effect::Store,
                )
                .await
                .unwrap();
            let expected = if passphrase.is_none() {
                Fate::New
            } else {
                Fate::Known("m".to_owned())
            };
            assert_eq!(report.identities[0].fate, expected);
        }
        let restored = there.identity_of(identifier).await.unwrap().unwrap();
        assert!(restored.is_default && restored.key == Some(person.key.clone()));
        let key = there.purpose_key(identifier, Purpose::SecureChannel).await;
        let key = key.unwrap().unwrap();
        let open = there.open_vault(&restored.vault, None).await.unwrap();
        assert!(there.secret(&open, &key.key).await.unwrap().is_some());
    }

    #[tokio::test]
    async fn a_damaged_backup_is_refused_wherever_it_is_damaged() {
        let (_a, here) = store().await;
        let (_person, vault) = person_in(&here).await;
        let file = here.back_up_vault(&vault, None).await.unwrap();
        for length in 0..file.len() {
            assert!(
                Backup::read(&file[..length], None).await.is_err(),
                "{length}"
            );
        }
        let mut longer = file.to_vec();
        longer.push(0);
        assert!(Backup::read(&longer, None).await.is_err());
        for index in 0..file.len() {
            let mut damaged = file.to_vec();
            damaged[index] ^= 0x55;
            assert!(Backup::read(&damaged, None).await.is_err(), "{index}");
        }
    }

    #[tokio::test]
    async fn a_sealed_backup_opens_with_its_passphrase_only() {
        let (_a, here) = store().await;
        let (person, vault) = person_in(&here).await;
        let words = Passphrase::new("words".to_owned());
        let file = here.back_up_vault(&vault, Some(&words)).await.unwrap();
        let secret = person.software.records().next().unwrap();
        assert!(
            !file
                .windows(32)
                .any(|window| window == secret.secret.as_bytes())
        );
        assert_eq!(BackupSeal::of(&file), BackupSeal::Sealed);
        let other = Passphrase::new("sword".to_owned());
        for wrong in [Some(&other), None] {
            let refused = Backup::read(&file, wrong).await;
            assert!(matches!(refused, Err(StoreError::WrongBackupPassphrase)));
        }
        let mut damaged = file.to_vec();
        *damaged.last_mut().unwrap() ^= 1;
        let refused = Backup::read(&damaged, Some(&words)).await;
        assert!(matches!(refused, Err(StoreError::WrongBackupPassphrase)));
        let foreign = Backup::read(b"something else altogether", Some(&words)).await;
        assert!(matches!(foreign, Err(StoreError::NotABackup(_))));
    }
}
