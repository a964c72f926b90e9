//! Secrets by handle, inside the database or in the file of a vault.
//!
//! Every operation takes the [`OpenVault`] of the vault concerned. Secrets travel in types that wipe themselves; the copies
//! the database library makes of a value on its way are beyond reach and short-lived.

use ockam_vault::{Handle, SecretBytes, SecretKind, SecretRecord, SigningKeyType};
use sqlx::AssertSqlSafe;
use zeroize::Zeroizing;

use crate::error::{Failure, StoreError};
use crate::name::VaultName;
use crate::seal::{self, NewSeal};
use crate::sealing_key::SealingKey;
use crate::sql::{self, Connection, FromRow, Row};
use crate::store::Store;
use crate::vaults::{self, OpenVault, VaultRecord};

impl Store {
    /// Stores secrets, all or none. One that is there already stays.
    ///
    /// # Errors
    /// [`StoreError::NoVault`]; [`StoreError::VaultFileMissing`].
    pub async fn add_secrets(
        &self,
        vault: &OpenVault,
        secrets: &[SecretRecord],
    ) -> Result<(), StoreError> {
        self.write(async |db| add(db, self, vault, secrets).await)
            .await
    }

    /// Every secret of a vault.
    ///
    /// # Errors
    /// [`StoreError::NoVault`]; [`StoreError::VaultFileMissing`]; [`StoreError::DamagedSecret`].
    pub async fn secrets(&self, vault: &OpenVault) -> Result<Vec<SecretRecord>, StoreError> {
        self.read(async |db| {
            let record = find_opened(db, self, vault).await?;
            let key = key_of(self, &record, vault);
            let rows: Vec<Stored> = match open_file(&record).await? {
                None => sql::query_as("SELECT * FROM secret").fetch_all(db).await?,
                Some(mut file) => {
                    let rows = sql::query_as("SELECT * FROM secret")
                        .fetch_all(&mut file)
                        .await?;
                    file.close().await?;
                    rows
                }
            };
            rows.into_iter()
                .map(|row| row.open(&vault.name, key))
                .collect()
        })
        .await
    }

    /// One secret, if the vault has it.
    ///
    /// # Errors
    /// [`StoreError::NoVault`]; [`StoreError::VaultFileMissing`]; [`StoreError::DamagedSecret`].
    pub async fn secret(
        &self,
        vault: &OpenVault,
        handle: &Handle,
    ) -> Result<Option<SecretRecord>, StoreError> {
        self.read(async |db| {
            let record = find_opened(db, self, vault).await?;
            let query = sql::query_as("SELECT * FROM secret WHERE handle = $1")
                .bind(handle.as_bytes().to_vec());
            let row: Option<Stored> = match open_file(&record).await? {
                None => query.fetch_optional(db).await?,
                Some(mut file) => {
                    let row = query.fetch_optional(&mut file).await?;
                    file.close().await?;
                    row
                }
            };
            row.map(|row| row.open(&vault.name, key_of(self, &record, vault)))
                .transpose()
        })
        .await
    }

    /// Deletes secrets by handle. Needs no passphrase. Returns how many there were.
    ///
    /// # Errors
    /// [`StoreError::NoVault`]; [`StoreError::VaultFileMissing`].
    pub async fn delete_secrets(
        &self,
        vault: &VaultName,
        handles: &[Handle],
    ) -> Result<u64, StoreError> {
        self.write(async |db| delete(db, self, vault, handles).await)
            .await
    }
}

/// Stores secrets inside a transaction of the database. Those of a file vault are stored at once and stay if the
/// transaction fails: a secret nobody refers to harms less than a reference without its secret.
pub(crate) async fn add(
    db: &mut Connection,
    store: &Store,
    vault: &OpenVault,
    secrets: &[SecretRecord],
) -> Result<(), Failure> {
    let record = find_opened(db, store, vault).await?;
    let Some(mut file) = open_file(&record).await? else {
        return insert(db, store.sealing_key(), secrets).await;
    };
    file.begin().await?;
    insert(&mut file, vault.key.as_ref(), secrets).await?;
    file.end().await?;
    file.close().await?;
    Ok(())
}

/// Every secret of the vault inside the database.
pub(crate) async fn all_inside(
    db: &mut Connection,
    store: &Store,
    vault: &OpenVault,
) -> Result<Vec<SecretRecord>, Failure> {
    let rows: Vec<Stored> = sql::query_as("SELECT * FROM secret").fetch_all(db).await?;
    rows.into_iter()
        .map(|row| row.open(&vault.name, store.sealing_key()))
        .collect()
}

/// Seals the secrets of the vault inside the database, which are stored in clear.
pub(crate) async fn seal_all(db: &mut Connection, key: &SealingKey) -> Result<(), Failure> {
    let rows: Vec<Stored> = sql::query_as("SELECT * FROM secret")
        .fetch_all(&mut *db)
        .await?;
    for row in rows {
        let handle = Handle::new(row.handle);
        let mut secret = Zeroizing::new([0; 32]);
        let stored: &[u8; 32] = row
            .secret
            .as_slice()
            .try_into()
            .map_err(|_| Failure::unreadable("secret", "its length is wrong"))?;
        secret.copy_from_slice(stored);
        let secret = SecretBytes::take(&mut secret);
        let sealed = seal::seal_secret(key.bytes(), &row.kind, &handle, &secret)?;
        sql::query("UPDATE secret SET secret = $2 WHERE handle = $1")
            .bind(handle.as_bytes().to_vec())
            .bind(sealed.as_slice())
            .execute(&mut *db)
            .await?;
    }
    Ok(())
}

/// Stores the secrets of an opened vault file once more: under this seal, or in clear.
pub(crate) async fn reseal(
    file: &mut Connection,
    vault: &OpenVault,
    seal: Option<&NewSeal>,
) -> Result<(), Failure> {
    let rows: Vec<Stored> = sql::query_as("SELECT * FROM secret")
        .fetch_all(&mut *file)
        .await?;
    let secrets: Vec<SecretRecord> = rows
        .into_iter()
        .map(|row| row.open(&vault.name, vault.key.as_ref()))
        .collect::<Result<_, _>>()?;
    sql::run(&mut *file, "DELETE FROM secret; DELETE FROM seal").await?;
    if let Some(seal) = seal {
        sql::query("INSERT INTO seal (id, sealed_key) VALUES (1, $1)")
            .bind(seal.sealed.clone())
            .execute(&mut *file)
            .await?;
    }
    insert(file, seal.map(|seal| &seal.key), &secrets).await
}

/// The handles of every secret of a vault. Needs no passphrase.
pub(crate) async fn handles(
    db: &mut Connection,
    vault: &VaultRecord,
) -> Result<Vec<Handle>, Failure> {
    let query = sql::query_scalar("SELECT handle FROM secret");
    let rows: Vec<Vec<u8>> = match open_file(vault).await? {
        None => query.fetch_all(db).await?,
        Some(mut file) => {
            let rows = query.fetch_all(&mut file).await?;
            file.close().await?;
            rows
        }
    };
    Ok(rows.into_iter().map(Handle::new).collect())
}

/// Deletes secrets inside a transaction of the database; those of a file vault at once.
pub(crate) async fn delete(
    db: &mut Connection,
    store: &Store,
    vault: &VaultName,
    handles: &[Handle],
) -> Result<u64, Failure> {
    let record = vaults::find(db, store, vault).await?;
    let Some(mut file) = open_file(&record).await? else {
        return remove(db, handles).await;
    };
    file.begin().await?;
    let count = remove(&mut file, handles).await?;
    file.end().await?;
    file.close().await?;
    Ok(count)
}

/// The vault, if it still is sealed or not as it was when opened: it may have been deleted and made anew since, and a
/// secret meant for a sealed vault is never stored in clear.
pub(crate) async fn find_opened(
    db: &mut Connection,
    store: &Store,
    vault: &OpenVault,
) -> Result<VaultRecord, Failure> {
    let record = vaults::find(db, store, &vault.name).await?;
    match (record.is_sealed, &vault.key) {
        (true, None) => Err(StoreError::VaultSealed(vault.name.to_string()).into()),
        (false, Some(_)) => Err(StoreError::VaultNotSealed(vault.name.to_string()).into()),
        _ => Ok(record),
    }
}

/// What seals the secrets of a vault: of the one inside the database the key of the database, if it has one.
fn key_of<'a>(
    store: &'a Store,
    record: &VaultRecord,
    vault: &'a OpenVault,
) -> Option<&'a SecretBytes<32>> {
    match record.path {
        Some(_) => vault.key.as_ref(),
        None => store.sealing_key(),
    }
}

async fn open_file(vault: &VaultRecord) -> Result<Option<Connection>, StoreError> {
    match &vault.path {
        Some(path) => Ok(Some(vaults::connect(&vault.name, path).await?)),
        None => Ok(None),
    }
}

pub(crate) async fn insert(
    db: &mut Connection,
    key: Option<&SecretBytes<32>>,
    secrets: &[SecretRecord],
) -> Result<(), Failure> {
    for record in secrets {
        let kind = kind_name(record.kind);
        let stored = match key {
            Some(key) => seal::seal_secret(key, kind, &record.handle, &record.secret)?,
            None => Zeroizing::new(record.secret.as_bytes().to_vec()),
        };
        sql::query("INSERT INTO secret (handle, kind, secret) VALUES ($1, $2, $3) ON CONFLICT (handle) DO NOTHING")
            .bind(record.handle.as_bytes().to_vec())
            .bind(kind)
            .bind(stored.as_slice())
            .execute(&mut *db)
            .await?;
    }
    Ok(())
}

async fn remove(db: &mut Connection, handles: &[Handle]) -> Result<u64, Failure> {
    let mut count = 0;
    for some in handles.chunks(sql::AT_ONCE) {
        let mut query = sql::query(AssertSqlSafe(format!(
            "DELETE FROM secret WHERE handle IN ({})",
            sql::placeholders(some.len())
        )));
        for handle in some {
            query = query.bind(handle.as_bytes().to_vec());
        }
        count += query.execute(&mut *db).await?.rows_affected();
    }
    Ok(count)
}

struct Stored {
    handle: Vec<u8>,
    kind: String,
    secret: Zeroizing<Vec<u8>>,
}

impl Stored {
    fn open(
        self,
        vault: &VaultName,
        key: Option<&SecretBytes<32>>,
    ) -> Result<SecretRecord, Failure> {
        let handle = Handle::new(self.handle);
        let kind = kind_of(&self.kind)
            .ok_or_else(|| Failure::unreadable("kind of a secret", &self.kind))?;
        let damaged = || StoreError::DamagedSecret(vault.to_string());
        let secret = match key {
            Some(key) => {
                seal::open_secret(key, &self.kind, &handle, &self.secret).ok_or_else(damaged)?
            }
            None => {
                let mut bytes = Zeroizing::new([0; 32]);
                let stored: &[u8; 32] = self.secret.as_slice().try_into().map_err(|_| damaged())?;
                bytes.copy_from_slice(stored);
                SecretBytes::take(&mut bytes)
            }
        };
        Ok(SecretRecord {
            handle,
            kind,
            secret,
        })
    }
}

impl FromRow for Stored {
    fn from_row(row: &Row) -> sqlx::Result<Self> {
        Ok(Self {
            handle: row.try_get("handle")?,
            kind: row.try_get("kind")?,
            secret: Zeroizing::new(row.try_get("secret")?),
        })
    }
}

fn kind_name(kind: SecretKind) -> &'static str {
    match kind {
        SecretKind::Signing(kind) => kind.name(),
        SecretKind::X25519 => X25519,
    }
}

fn kind_of(name: &str) -> Option<SecretKind> {
    if name == X25519 {
        return Some(SecretKind::X25519);
    }
    SigningKeyType::from_name(name).map(SecretKind::Signing)
}

const X25519: &str = "X25519";
