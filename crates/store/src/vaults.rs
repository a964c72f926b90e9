//! Vaults of this home: the first one inside the database, further ones in files of their own.
//!
//! **Invariants**: at most one vault is inside the database; while there are vaults exactly one is the default; a vault that
//! an identity uses is not deleted. A file vault is one SQLite file without others beside it, opened for each use and
//! only while the database's write lock (or, for reading, nothing) is held, so that a move loses no secret. A file is complete
//! before its row is stored and outlives it by a moment, so a process killed in between leaves at worst a file without
//! a row, which the next vault of that path adopts.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use ockam_vault::SecretBytes;

use crate::error::{Failure, StoreError};
use crate::file;
use crate::home::{HomeError, private_directory};
use crate::name::VaultName;
use crate::schema;
use crate::seal::{self, NewSeal, Passphrase};
use crate::sql::{self, Connection, FromRow, Row};
use crate::store::Store;

/// A vault as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VaultRecord {
    /// Its name.
    pub name: VaultName,
    /// Its file, absolute; `None` if its secrets are inside the database.
    pub path: Option<PathBuf>,
    /// Whether it is the default vault.
    pub is_default: bool,
    /// Whether its secrets are sealed under a passphrase.
    pub is_sealed: bool,
}

/// Proof that a vault was opened: goes with every use of its secrets. The key inside is wiped when this is dropped.
#[derive(Debug)]
pub struct OpenVault {
    pub(crate) name: VaultName,
    pub(crate) key: Option<SecretBytes<32>>,
}

impl OpenVault {
    /// The vault.
    #[must_use]
    pub fn name(&self) -> &VaultName {
        &self.name
    }
}

impl Store {
    /// Creates a vault. The first one goes into the database; further ones, and any with a path or a passphrase, into
    /// a file (without a path: `vault-<name>` in the home). A vault file that is there already is adopted. The first
    /// vault becomes the default.
    ///
    /// # Errors
    /// [`StoreError::VaultExists`]; [`StoreError::VaultFileTaken`]; [`StoreError::NotAVault`] if the path is something
    /// else; [`StoreError::WrongPassphrase`], [`StoreError::VaultSealed`] or [`StoreError::VaultNotSealed`] if an adopted
    /// file is sealed otherwise.
    pub async fn create_vault(
        &self,
        name: &VaultName,
        path: Option<&Path>,
        passphrase: Option<&Passphrase>,
    ) -> Result<VaultRecord, StoreError> {
        let path = path.map(absolute).transpose()?;
        // Deriving a key from a passphrase takes a while, so it is done before the lock is taken.
        let sealed = match passphrase {
            Some(passphrase) => Some(NewSeal::under(passphrase).await?),
            None => None,
        };
        self.write(async |db| {
            if look_up(db, self, name).await?.is_some() {
                return Err(StoreError::VaultExists(name.to_string()).into());
            }
            let count = count(db).await?;
            let inside = count == 0 && path.is_none() && passphrase.is_none();
            let path = match path {
                _ if inside => None,
                None => Some(self.home().free_vault_file(name)?),
                given => given,
            };
            if let Some(path) = &path {
                if let Some(other) = user_of_file(db, self, path).await? {
                    let path = path.clone();
                    return Err(StoreError::VaultFileTaken { path, vault: other }.into());
                }
                let sealed = sealed.as_ref().map(|seal| seal.sealed.as_slice());
                if exists(path)? {
                    adopt(self, name, path, passphrase).await?;
                } else {
                    make_file(path, sealed).await?;
                }
            }
            let vault = VaultRecord {
                name: name.clone(),
                path,
                is_default: count == 0,
                is_sealed: passphrase.is_some(),
            };
            insert(db, self, &vault).await?;
            Ok(vault)
        })
        .await
    }

    /// The vault to use: the named one or else the only one; the first one is made if there is none (spec: command 3.7).
    ///
    /// # Errors
    /// [`StoreError::NoVault`]; [`StoreError::WhichVault`] if there are several and none was named.
    pub async fn vault_or_only(&self, name: Option<&VaultName>) -> Result<VaultRecord, StoreError> {
        if let Some(name) = name {
            return self.vault(name).await;
        }
        let mut vaults = self.vaults().await?;
        match (vaults.len(), vaults.pop()) {
            (1, Some(only)) => Ok(only),
            (0, _) => self.write(async |db| only_or_first(db, self).await).await,
            (several, _) => Err(StoreError::WhichVault(several)),
        }
    }

    /// One vault.
    ///
    /// # Errors
    /// [`StoreError::NoVault`].
    pub async fn vault(&self, name: &VaultName) -> Result<VaultRecord, StoreError> {
        self.read(async |db| find(db, self, name).await).await
    }

    /// The default vault, if there is any vault.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn default_vault(&self) -> Result<Option<VaultRecord>, StoreError> {
        self.read(async |db| {
            let row: Option<Stored> = sql::query_as("SELECT * FROM vault WHERE is_default = 1")
                .fetch_optional(db)
                .await?;
            row.map(|row| row.into_record(self)).transpose()
        })
        .await
    }

    /// All vaults in the order they were created.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn vaults(&self) -> Result<Vec<VaultRecord>, StoreError> {
        self.read(async |db| all(db, self).await).await
    }

    /// Opens a vault for use.
    ///
    /// # Errors
    /// [`StoreError::VaultSealed`] if it needs a passphrase; [`StoreError::WrongPassphrase`]; a passphrase for a vault
    /// without one is [`StoreError::VaultNotSealed`]; [`StoreError::VaultFileMissing`].
    pub async fn open_vault(
        &self,
        name: &VaultName,
        passphrase: Option<&Passphrase>,
    ) -> Result<OpenVault, StoreError> {
        let vault = self.mend_seal(&self.vault(name).await?).await?;
        let key = match (&vault.path, passphrase) {
            (Some(path), _) if vault.is_sealed || passphrase.is_some() => {
                open_file_key(name, path, passphrase).await?
            }
            (None, Some(_)) => return Err(StoreError::VaultNotSealed(name.to_string())),
            _ => None,
        };
        Ok(OpenVault {
            name: vault.name,
            key,
        })
    }

    /// Moves the file of a vault. Secrets stored by other processes meanwhile wait for the move.
    ///
    /// # Errors
    /// [`StoreError::VaultCannotMove`] for the one inside the database; [`StoreError::NotAVault`] if there is a file at
    /// the new path.
    pub async fn move_vault(
        &self,
        name: &VaultName,
        path: &Path,
    ) -> Result<VaultRecord, StoreError> {
        let target = absolute(path)?;
        let (vault, left) = self
            .write(async |db| {
                let mut vault = find(db, self, name).await?;
                let Some(source) = vault.path.replace(target.clone()) else {
                    let vault = name.to_string();
                    return Err(StoreError::VaultCannotMove {
                        vault,
                        path: target.clone(),
                    }
                    .into());
                };
                if source == target {
                    return Ok((vault, None));
                }
                if exists(&target)? {
                    return Err(StoreError::NotAVault(target.clone()).into());
                }
                copy_file(name, &source, &target).await?;
                sql::query("UPDATE vault SET path = $2 WHERE name = $1")
                    .bind(name.as_str())
                    .bind(self.stored_path(&target)?)
                    .execute(db)
                    .await?;
                Ok((vault, Some(source)))
            })
            .await?;
        if let Some(source) = left {
            remove_file(&source)?;
        }
        Ok(vault)
    }

    /// Deletes a vault with its secrets and its file. If it was the default, the first remaining one becomes it.
    ///
    /// # Errors
    /// [`StoreError::NoVault`]; [`StoreError::VaultInUse`].
    pub async fn delete_vault(&self, name: &VaultName) -> Result<VaultRecord, StoreError> {
        let vault = self
            .write(async |db| {
                let vault = find(db, self, name).await?;
                let identities: Vec<String> =
                    sql::query_scalar("SELECT name FROM identity WHERE vault = $1 ORDER BY id")
                        .bind(name.as_str())
                        .fetch_all(&mut *db)
                        .await?;
                if !identities.is_empty() {
                    let vault = name.to_string();
                    return Err(StoreError::VaultInUse { vault, identities }.into());
                }
                sql::query("DELETE FROM vault WHERE name = $1")
                    .bind(name.as_str())
                    .execute(&mut *db)
                    .await?;
                if vault.path.is_none() {
                    sql::query("DELETE FROM secret").execute(&mut *db).await?;
                }
                if vault.is_default {
                    sql::query(
                        "UPDATE vault SET is_default = 1 WHERE id = (SELECT min(id) FROM vault)",
                    )
                    .execute(db)
                    .await?;
                }
                Ok(vault)
            })
            .await?;
        if let Some(path) = &vault.path {
            remove_file(path)?;
        }
        Ok(vault)
    }
}

/// The only vault, or the first one, made here.
pub(crate) async fn only_or_first(
    db: &mut Connection,
    store: &Store,
) -> Result<VaultRecord, Failure> {
    let mut vaults = all(db, store).await?;
    match (vaults.len(), vaults.pop()) {
        (1, Some(only)) => Ok(only),
        (0, _) => {
            let vault = VaultRecord {
                name: VaultName::first(),
                path: None,
                is_default: true,
                is_sealed: false,
            };
            insert(db, store, &vault).await?;
            Ok(vault)
        }
        (several, _) => Err(StoreError::WhichVault(several).into()),
    }
}

pub(crate) async fn find(
    db: &mut Connection,
    store: &Store,
    name: &VaultName,
) -> Result<VaultRecord, Failure> {
    look_up(db, store, name)
        .await?
        .ok_or_else(|| StoreError::NoVault(name.to_string()).into())
}

/// Opens the file of a vault.
pub(crate) async fn connect(name: &VaultName, path: &Path) -> Result<Connection, StoreError> {
    if !exists(path)? {
        return Err(StoreError::VaultFileMissing {
            vault: name.to_string(),
            path: path.to_path_buf(),
        });
    }
    file::connect(path, &schema::VAULT_FILE)
        .await
        .map_err(|error| match error {
            StoreError::Foreign(path) => StoreError::NotAVault(path),
            StoreError::Damaged { path, detail } if detail.contains("not a database") => {
                StoreError::NotAVault(path)
            }
            other => other,
        })
}

pub(crate) async fn look_up(
    db: &mut Connection,
    store: &Store,
    name: &VaultName,
) -> Result<Option<VaultRecord>, Failure> {
    let row: Option<Stored> = sql::query_as("SELECT * FROM vault WHERE name = $1")
        .bind(name.as_str())
        .fetch_optional(db)
        .await?;
    row.map(|row| row.into_record(store)).transpose()
}

async fn all(db: &mut Connection, store: &Store) -> Result<Vec<VaultRecord>, Failure> {
    let rows: Vec<Stored> = sql::query_as("SELECT * FROM vault ORDER BY id")
        .fetch_all(db)
        .await?;
    rows.into_iter().map(|row| row.into_record(store)).collect()
}

pub(crate) async fn count(db: &mut Connection) -> Result<i64, Failure> {
    Ok(sql::query_scalar("SELECT count(*) FROM vault")
        .fetch_one(db)
        .await?)
}

async fn user_of_file(
    db: &mut Connection,
    store: &Store,
    path: &Path,
) -> Result<Option<String>, Failure> {
    Ok(sql::query_scalar("SELECT name FROM vault WHERE path = $1")
        .bind(store.stored_path(path)?)
        .fetch_optional(db)
        .await?)
}

pub(crate) async fn insert(
    db: &mut Connection,
    store: &Store,
    vault: &VaultRecord,
) -> Result<(), Failure> {
    let path = vault
        .path
        .as_ref()
        .map(|path| store.stored_path(path))
        .transpose()?;
    sql::query("INSERT INTO vault (name, path, is_default, is_sealed) VALUES ($1, $2, $3, $4)")
        .bind(vault.name.as_str())
        .bind(path)
        .bind(vault.is_default)
        .bind(vault.is_sealed)
        .execute(db)
        .await?;
    Ok(())
}

/// Looks whether a file is a vault that can be used. What is another's is not touched: not written, and its rights stay.
async fn adopt(
    store: &Store,
    name: &VaultName,
    path: &Path,
    passphrase: Option<&Passphrase>,
) -> Result<(), Failure> {
    let failed = |error| StoreError::from(HomeError::io(path, error));
    let found = fs::metadata(path).map_err(failed)?;
    let database = fs::metadata(store.home().database()).map_err(failed)?;
    // The database of the home is in use here and is told by its number: whoever opens and closes it loses its locks. An
    // empty file is a vault whose creation was cut short.
    let is_vault = found.is_file()
        && (found.dev(), found.ino()) != (database.dev(), database.ino())
        && (found.len() == 0 || file::has_mark(path, &schema::VAULT_FILE));
    if !is_vault {
        return Err(StoreError::NotAVault(path.to_path_buf()).into());
    }
    open_file_key(name, path, passphrase).await?;
    Ok(())
}

/// Makes the file of a vault.
pub(crate) async fn make_file(path: &Path, sealed_key: Option<&[u8]>) -> Result<(), StoreError> {
    if let Some(directory) = path.parent().filter(|directory| !directory.exists()) {
        private_directory(directory)?;
    }
    file::create_file(path, &schema::VAULT_FILE, async |file| {
        if let Some(sealed_key) = sealed_key {
            sql::query("INSERT INTO seal (id, sealed_key) VALUES (1, $1)")
                .bind(sealed_key.to_vec())
                .execute(file)
                .await?;
        }
        Ok(())
    })
    .await
}

async fn open_file_key(
    name: &VaultName,
    path: &Path,
    passphrase: Option<&Passphrase>,
) -> Result<Option<SecretBytes<32>>, StoreError> {
    let mut file = connect(name, path).await?;
    let sealed: Option<Vec<u8>> = sql::query_scalar("SELECT sealed_key FROM seal")
        .fetch_optional(&mut file)
        .await
        .map_err(|error| Failure::from(error).at(path))?;
    file.close()
        .await
        .map_err(|error| Failure::from(error).at(path))?;
    match (sealed, passphrase) {
        (None, None) => Ok(None),
        (None, Some(_)) => Err(StoreError::VaultNotSealed(name.to_string())),
        (Some(_), None) => Err(StoreError::VaultSealed(name.to_string())),
        (Some(sealed), Some(passphrase)) => match seal::open_key(passphrase, sealed).await? {
            Some(key) => Ok(Some(key)),
            None => Err(StoreError::WrongPassphrase(name.to_string())),
        },
    }
}

/// Copies a vault through the database library, which sees every committed secret.
async fn copy_file(name: &VaultName, source: &Path, target: &Path) -> Result<(), Failure> {
    if let Some(directory) = target.parent().filter(|directory| !directory.exists()) {
        private_directory(directory)?;
    }
    let mut from = connect(name, source).await?;
    let copied = file::copy(&mut from, target).await;
    from.close().await?;
    Ok(copied?)
}

fn absolute(path: &Path) -> Result<PathBuf, StoreError> {
    std::path::absolute(path).map_err(|error| HomeError::io(path, error).into())
}

fn exists(path: &Path) -> Result<bool, StoreError> {
    fs::exists(path).map_err(|error| HomeError::io(path, error).into())
}

fn remove_file(path: &Path) -> Result<(), StoreError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(HomeError::io(path, error).into()),
        _ => Ok(()),
    }
}

struct Stored {
    name: String,
    path: Option<String>,
    is_default: bool,
    is_sealed: bool,
}

impl Stored {
    fn into_record(self, store: &Store) -> Result<VaultRecord, Failure> {
        let path = self.path.map(|path| store.absolute_path(&path));
        Ok(VaultRecord {
            name: self
                .name
                .parse()
                .map_err(|e| Failure::unreadable("name of a vault", e))?,
            path,
            is_default: self.is_default,
            is_sealed: self.is_sealed,
        })
    }
}

impl FromRow for Stored {
    fn from_row(row: &Row) -> sqlx::Result<Self> {
        Ok(Self {
            name: row.try_get("name")?,
            path: row.try_get("path")?,
            is_default: row.try_get("is_default")?,
            is_sealed: row.try_get("is_sealed")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt as _;

    use sqlx::{ConnectOptions as _, Connection as _};

    use super::*;
    use crate::home::Home;
    use crate::testing::{store, vault_with_keys};

    fn name(text: &str) -> VaultName {
        text.parse().unwrap()
    }

    #[tokio::test]
    async fn the_first_vault_is_inside_and_further_ones_are_files() {
        let (_home, store) = store().await;
        let first = store.vault_or_only(None).await.unwrap();
        assert_eq!(
            (first.name.as_str(), &first.path, first.is_default),
            ("default", &None, true)
        );
        assert_eq!(store.vault_or_only(None).await.unwrap(), first);
        let second = store
            .create_vault(&name("second"), None, None)
            .await
            .unwrap();
        assert_eq!(second.path, Some(store.home().path().join("vault-second")));
        assert!(!second.is_default);
        let error = store.vault_or_only(None).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "There are 2 vaults, please specify which vault should be used"
        );
        let error = store
            .create_vault(&name("second"), None, None)
            .await
            .unwrap_err();
        assert_eq!(error.to_string(), "A vault named second already exists");
        assert_eq!(
            store.vault_or_only(Some(&name("second"))).await.unwrap(),
            second
        );
        let error = store.vault(&name("third")).await.unwrap_err();
        assert_eq!(error.to_string(), "The vault third was not found");
    }

    #[tokio::test]
    async fn secrets_are_kept_in_both_kinds_of_vaults() {
        let (_home, store) = store().await;
        for vault in ["inside", "file"] {
            store.create_vault(&name(vault), None, None).await.unwrap();
            let open = store.open_vault(&name(vault), None).await.unwrap();
            let (software, handles) = vault_with_keys(3);
            store
                .add_secrets(&open, &software.records().collect::<Vec<_>>())
                .await
                .unwrap();
            store
                .add_secrets(&open, &software.records().collect::<Vec<_>>())
                .await
                .unwrap();
            let mut read = store.secrets(&open).await.unwrap();
            let mut expected: Vec<_> = software.records().collect();
            read.sort_by(|a, b| a.handle.as_bytes().cmp(b.handle.as_bytes()));
            expected.sort_by(|a, b| a.handle.as_bytes().cmp(b.handle.as_bytes()));
            assert_eq!(read, expected);
            assert_eq!(
                store
                    .delete_secrets(&name(vault), &handles[..1])
                    .await
                    .unwrap(),
                1
            );
            assert!(store.secret(&open, &handles[0]).await.unwrap().is_none());
            assert!(store.secret(&open, &handles[1]).await.unwrap().is_some());
        }
    }

    #[tokio::test]
    async fn a_file_vault_moves_and_the_one_inside_does_not() {
        let (directory, store) = store().await;
        store.vault_or_only(None).await.unwrap();
        let second = store
            .create_vault(&name("second"), None, None)
            .await
            .unwrap();
        let open = store.open_vault(&name("second"), None).await.unwrap();
        let (software, _) = vault_with_keys(2);
        store
            .add_secrets(&open, &software.records().collect::<Vec<_>>())
            .await
            .unwrap();

        let target = directory.path().join("new place/v");
        let moved = store.move_vault(&name("second"), &target).await.unwrap();
        assert_eq!(moved.path.as_deref(), Some(target.as_path()));
        assert!(!second.path.unwrap().exists());
        assert_eq!(
            store.secrets(&open).await.unwrap().len(),
            software.records().count()
        );
        assert_eq!(
            store.move_vault(&name("second"), &target).await.unwrap(),
            moved
        );

        let error = store
            .move_vault(&name("default"), &target)
            .await
            .unwrap_err();
        assert!(
            error
                .to_string()
                .contains("because this is the default vault")
        );
        fs::write(directory.path().join("taken"), "x").unwrap();
        let error = store
            .move_vault(&name("second"), &directory.path().join("taken"))
            .await
            .unwrap_err();
        assert!(matches!(error, StoreError::NotAVault(_)));
    }

    #[tokio::test]
    async fn a_vault_file_of_another_home_is_adopted() {
        let (directory, store) = store().await;
        let path = directory.path().join("shared");
        store
            .create_vault(&name("mine"), Some(&path), None)
            .await
            .unwrap();
        let open = store.open_vault(&name("mine"), None).await.unwrap();
        let (software, _) = vault_with_keys(1);
        store
            .add_secrets(&open, &software.records().collect::<Vec<_>>())
            .await
            .unwrap();
        let error = store
            .create_vault(&name("again"), Some(&path), None)
            .await
            .unwrap_err();
        assert!(matches!(error, StoreError::VaultFileTaken { vault, .. } if vault == "mine"));

        let other = Store::open(&Home::open(directory.path().join("other")).unwrap())
            .await
            .unwrap();
        other
            .create_vault(&name("theirs"), Some(&path), None)
            .await
            .unwrap();
        let open = other.open_vault(&name("theirs"), None).await.unwrap();
        assert_eq!(
            other.secrets(&open).await.unwrap().len(),
            software.records().count()
        );
    }

    #[tokio::test]
    async fn what_is_no_vault_is_not_touched() {
        let (directory, store) = store().await;
        let text = directory.path().join("text");
        fs::write(&text, "this is no vault, only text of some length").unwrap();
        let folder = directory.path().join("folder");
        fs::create_dir(&folder).unwrap();
        let foreign = directory.path().join("foreign");
        let create = schema::HOME.migrations.concat();
        let mut db = sqlx::sqlite::SqliteConnectOptions::new()
            .filename(&foreign)
            .create_if_missing(true)
            .connect()
            .await
            .unwrap();
        sqlx::raw_sql(sqlx::AssertSqlSafe(create))
            .execute(&mut db)
            .await
            .unwrap();
        db.close().await.unwrap();
        for path in [&text, &folder, &foreign] {
            fs::set_permissions(path, Permissions::from_mode(0o755)).unwrap();
        }
        for path in [text, folder, foreign, store.home().database()] {
            let before = fs::metadata(&path).unwrap();
            let error = store
                .create_vault(&name("odd"), Some(&path), None)
                .await
                .unwrap_err();
            assert!(matches!(error, StoreError::NotAVault(_)), "{error:?}");
            let after = fs::metadata(&path).unwrap();
            assert_eq!(after.mode(), before.mode(), "{}", path.display());
            assert_eq!(after.len(), before.len(), "{}", path.display());
        }
        assert!(store.vaults().await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn deleting_the_default_vault_makes_the_next_one_the_default() {
        let (_home, store) = store().await;
        for vault in ["a", "b", "c"] {
            store.create_vault(&name(vault), None, None).await.unwrap();
        }
        let open = store.open_vault(&name("a"), None).await.unwrap();
        let (software, _) = vault_with_keys(1);
        store
            .add_secrets(&open, &software.records().collect::<Vec<_>>())
            .await
            .unwrap();
        store.delete_vault(&name("a")).await.unwrap();
        assert_eq!(
            store.default_vault().await.unwrap().unwrap().name,
            name("b")
        );
        let b = store.delete_vault(&name("b")).await.unwrap();
        assert!(!b.path.unwrap().exists());
        store.delete_vault(&name("c")).await.unwrap();
        assert!(store.default_vault().await.unwrap().is_none());
        store.create_vault(&name("a"), None, None).await.unwrap();
        let open = store.open_vault(&name("a"), None).await.unwrap();
        assert!(store.secrets(&open).await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn a_missing_vault_file_is_named() {
        let (_home, store) = store().await;
        store.vault_or_only(None).await.unwrap();
        let second = store
            .create_vault(&name("second"), None, None)
            .await
            .unwrap();
        fs::remove_file(second.path.unwrap()).unwrap();
        let error = store.open_vault(&name("second"), None).await.unwrap_err();
        assert!(matches!(error, StoreError::VaultFileMissing { .. }));
        store.delete_vault(&name("second")).await.unwrap();
    }
}
