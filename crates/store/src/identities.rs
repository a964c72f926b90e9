//! The user's own identities, each under a name.
//!
//! **Invariants**: while there are identities exactly one is the default; an identity and its history, and (in the vault
//! inside the database) its secret, are stored in one transaction; an identity that a node uses is not deleted.

use std::collections::BTreeMap;

use ockam_identity::{ChangeHistory, Identifier, ImportAction, OlderHistory, VerifiedHistory};
use ockam_vault::{Handle, SecretRecord};
use sqlx::AssertSqlSafe;

use crate::error::{Failure, StoreError};
use crate::histories;
use crate::name::{IdentityName, VaultName};
use crate::purpose_keys::{self, PurposeKeyRecord};
use crate::secrets;
use crate::sql::{self, Connection, FromRow, Row};
use crate::store::Store;
use crate::vaults::{self, OpenVault};

/// An identity as stored.
#[derive(Debug, Clone)]
pub struct IdentityRecord {
    /// The name the user gave it.
    pub name: IdentityName,
    /// Its identifier.
    pub identifier: Identifier,
    /// Its change history; verified when it was stored, to be verified again before it is relied on.
    pub history: ChangeHistory,
    /// The vault that holds its secrets.
    pub vault: VaultName,
    /// Handle of its primary key in the vault; `None` if only public data was imported.
    pub key: Option<Handle>,
    /// Whether it is the default identity.
    pub is_default: bool,
}

/// An identity to be stored, or the next state of one.
#[derive(Debug)]
pub struct NewIdentity<'a> {
    /// The name.
    pub name: IdentityName,
    /// The verified history.
    pub history: &'a VerifiedHistory,
    /// Handle of the primary key in the vault.
    pub key: Option<Handle>,
    /// Secrets to be stored with it; empty if the vault has them already.
    pub secrets: Vec<SecretRecord>,
}

/// What came of creating something that may be there already.
#[derive(Debug, Clone)]
pub enum Creation<T> {
    /// It was stored.
    New(T),
    /// It was there; nothing changed.
    Existing(T),
}

impl<T> Creation<T> {
    /// What is now stored.
    pub fn into_record(self) -> T {
        match self {
            Self::New(record) | Self::Existing(record) => record,
        }
    }
}

impl Store {
    /// Stores an identity, unless there is one of this name, which is then returned as it is (spec: command 3.7). The
    /// first one becomes the default.
    ///
    /// # Errors
    /// [`StoreError::IdentityExists`] if it is stored under another name; [`StoreError::NoVault`]; [`StoreError::Import`]
    /// if another history of it is known.
    pub async fn create_identity(
        &self,
        vault: &OpenVault,
        identity: &NewIdentity<'_>,
    ) -> Result<Creation<IdentityRecord>, StoreError> {
        self.write(async |db| {
            if let Some(existing) = look_up(db, &identity.name).await? {
                return Ok(Creation::Existing(existing));
            }
            insert(db, self, vault, identity).await.map(Creation::New)
        })
        .await
    }

    /// Returns the default identity, or stores this one, which then is the default. Of two processes that both found no
    /// default one wins and both return the same.
    ///
    /// # Errors
    /// As [`Store::create_identity`].
    pub async fn default_identity_or(
        &self,
        vault: &OpenVault,
        identity: &NewIdentity<'_>,
    ) -> Result<Creation<IdentityRecord>, StoreError> {
        self.write(async |db| {
            if let Some(existing) = default(db).await? {
                return Ok(Creation::Existing(existing));
            }
            insert(db, self, vault, identity).await.map(Creation::New)
        })
        .await
    }

    /// Stores the next state of an identity after a rotation: a longer history, the new primary key (which may be in another
    /// vault). With the history already stored nothing changes. Its purpose keys are replaced by these, because their
    /// attestations name the older change; the older secrets are deleted (spec: trust 2.5).
    ///
    /// # Errors
    /// [`StoreError::NoIdentity`]; [`StoreError::Import`] unless the history continues the stored one.
    pub async fn rotate_identity(
        &self,
        vault: &OpenVault,
        identity: &NewIdentity<'_>,
        purpose_keys: Vec<(PurposeKeyRecord, SecretRecord)>,
    ) -> Result<IdentityRecord, StoreError> {
        let (purpose_keys, purpose_secrets): (Vec<_>, Vec<_>) = purpose_keys.into_iter().unzip();
        let (record, before, unused) = self
            .write(async |db| {
                let before = find(db, &identity.name).await?;
                if before.identifier != *identity.history.identifier() {
                    return Err(StoreError::NoIdentity(identity.name.to_string()).into());
                }
                let action = histories::import(db, identity.history, OlderHistory::Refuse).await?;
                if action == ImportAction::Keep {
                    return Ok((before.clone(), before.vault, Vec::new()));
                }
                secrets::add(db, self, vault, &identity.secrets).await?;
                secrets::add(db, self, vault, &purpose_secrets).await?;
                let mut unused = handles(db, std::slice::from_ref(&before)).await?;
                unused.retain(|handle| Some(handle) != identity.key.as_ref());
                sql::query("DELETE FROM purpose_key WHERE identifier = $1")
                    .bind(before.identifier.to_string())
                    .execute(&mut *db)
                    .await?;
                for key in &purpose_keys {
                    purpose_keys::store(db, key).await?;
                }
                sql::query("UPDATE identity SET key_handle = $2, vault = $3 WHERE name = $1")
                    .bind(identity.name.as_str())
                    .bind(identity.key.as_ref().map(|key| key.as_bytes().to_vec()))
                    .bind(vault.name.as_str())
                    .execute(&mut *db)
                    .await?;
                let unused = forget_secrets_inside(db, self, &before.vault, unused).await?;
                Ok((find(db, &identity.name).await?, before.vault, unused))
            })
            .await?;
        self.forget_secrets(&before, &unused).await?;
        Ok(record)
    }

    /// Forgets an identity, its history, its purpose keys and their secrets. If it was the default, the first remaining one
    /// becomes it.
    ///
    /// # Errors
    /// [`StoreError::NoIdentity`]; [`StoreError::IdentityInUse`].
    pub async fn delete_identity(&self, name: &IdentityName) -> Result<IdentityRecord, StoreError> {
        let (record, unused) = self
            .write(async |db| {
                let identity = find(db, name).await?;
                let nodes: Vec<String> =
                    sql::query_scalar("SELECT name FROM node WHERE identity = $1 ORDER BY id")
                        .bind(name.as_str())
                        .fetch_all(&mut *db)
                        .await?;
                if !nodes.is_empty() {
                    let identity = name.to_string();
                    return Err(StoreError::IdentityInUse { identity, nodes }.into());
                }
                let vault = &identity.vault;
                let unused =
                    forget_records(db, self, vault, std::slice::from_ref(&identity)).await?;
                Ok((identity, unused))
            })
            .await?;
        self.forget_secrets(&record.vault, &unused).await?;
        Ok(record)
    }

    /// Makes an identity the default.
    ///
    /// # Errors
    /// [`StoreError::NoIdentity`]; [`StoreError::IdentityIsDefault`].
    pub async fn set_default_identity(&self, name: &IdentityName) -> Result<(), StoreError> {
        self.write(async |db| {
            if find(db, name).await?.is_default {
                return Err(StoreError::IdentityIsDefault(name.to_string()).into());
            }
            sql::query("UPDATE identity SET is_default = 0 WHERE is_default = 1")
                .execute(&mut *db)
                .await?;
            sql::query("UPDATE identity SET is_default = 1 WHERE name = $1")
                .bind(name.as_str())
                .execute(db)
                .await?;
            Ok(())
        })
        .await
    }

    /// One identity.
    ///
    /// # Errors
    /// [`StoreError::NoIdentity`].
    pub async fn identity(&self, name: &IdentityName) -> Result<IdentityRecord, StoreError> {
        self.read(async |db| find(db, name).await).await
    }

    /// One of the user's own identities by its identifier, if it is one.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn identity_of(
        &self,
        identifier: &Identifier,
    ) -> Result<Option<IdentityRecord>, StoreError> {
        self.read(async |db| by_identifier(db, identifier).await)
            .await
    }

    /// The default identity, if there is any.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn default_identity(&self) -> Result<Option<IdentityRecord>, StoreError> {
        self.read(async |db| default(db).await).await
    }

    /// All identities in the order they were created.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn identities(&self) -> Result<Vec<IdentityRecord>, StoreError> {
        self.read(async |db| {
            let rows: Vec<Stored> =
                sql::query_as("SELECT * FROM identity JOIN history USING (identifier) ORDER BY id")
                    .fetch_all(db)
                    .await?;
            rows.into_iter().map(Stored::into_record).collect()
        })
        .await
    }

    pub(crate) async fn forget_secrets(
        &self,
        vault: &VaultName,
        handles: &[Handle],
    ) -> Result<(), StoreError> {
        if handles.is_empty() {
            return Ok(());
        }
        match self.delete_secrets(vault, handles).await {
            // Without its file, or without the vault, there is nothing left to forget.
            Err(StoreError::VaultFileMissing { .. } | StoreError::NoVault(_)) => Ok(()),
            done => done.map(drop),
        }
    }
}

/// Forgets identities that no node uses. Returns the secrets that are left to delete, by their vaults.
pub(crate) async fn forget(
    db: &mut Connection,
    store: &Store,
    identifiers: &[Identifier],
) -> Result<Vec<(VaultName, Vec<Handle>)>, Failure> {
    let mut left = Vec::new();
    for some in identifiers.chunks(sql::AT_ONCE) {
        let mut query = sql::query_as(AssertSqlSafe(format!(
            "SELECT * FROM identity JOIN history USING (identifier) WHERE identifier IN ({})",
            sql::placeholders(some.len())
        )));
        for identifier in some {
            query = query.bind(identifier.to_string());
        }
        let rows: Vec<Stored> = query.fetch_all(&mut *db).await?;
        let mut by_vault: BTreeMap<VaultName, Vec<IdentityRecord>> = BTreeMap::new();
        for row in rows {
            let record = row.into_record()?;
            by_vault
                .entry(record.vault.clone())
                .or_default()
                .push(record);
        }
        for (vault, records) in by_vault {
            let unused = forget_records(db, store, &vault, &records).await?;
            left.push((vault, unused));
        }
    }
    Ok(left)
}

/// Forgets identities of one vault.
async fn forget_records(
    db: &mut Connection,
    store: &Store,
    vault: &VaultName,
    identities: &[IdentityRecord],
) -> Result<Vec<Handle>, Failure> {
    let unused = handles(db, identities).await?;
    let places = sql::placeholders(identities.len());
    for table in ["identity", "history"] {
        let mut query = sql::query(AssertSqlSafe(format!(
            "DELETE FROM {table} WHERE identifier IN ({places})"
        )));
        for identity in identities {
            query = query.bind(identity.identifier.to_string());
        }
        query.execute(&mut *db).await?;
    }
    if identities.iter().any(|identity| identity.is_default) {
        sql::query(
            "UPDATE identity SET is_default = 1
             WHERE id = (SELECT min(id) FROM identity WHERE key_handle IS NOT NULL)",
        )
        .execute(&mut *db)
        .await?;
    }
    forget_secrets_inside(db, store, vault, unused).await
}

/// Deletes secrets of the vault inside the database with what referred to them. Returns those left to delete afterwards: a
/// file may only lose a secret when nothing can refer to it any more.
async fn forget_secrets_inside(
    db: &mut Connection,
    store: &Store,
    vault: &VaultName,
    handles: Vec<Handle>,
) -> Result<Vec<Handle>, Failure> {
    if vaults::find(db, store, vault).await?.path.is_some() {
        return Ok(handles);
    }
    secrets::delete(db, store, vault, &handles).await?;
    Ok(Vec::new())
}

pub(crate) async fn by_identifier(
    db: &mut Connection,
    identifier: &Identifier,
) -> Result<Option<IdentityRecord>, Failure> {
    let row: Option<Stored> = sql::query_as(
        "SELECT * FROM identity JOIN history USING (identifier) WHERE identifier = $1",
    )
    .bind(identifier.to_string())
    .fetch_optional(db)
    .await?;
    row.map(Stored::into_record).transpose()
}

/// Adds an identity. The first that can act becomes the default: one that was imported without its key never does.
async fn insert(
    db: &mut Connection,
    store: &Store,
    vault: &OpenVault,
    identity: &NewIdentity<'_>,
) -> Result<IdentityRecord, Failure> {
    let identifier = *identity.history.identifier();
    if let Some(other) = by_identifier(db, &identifier).await? {
        return Err(StoreError::IdentityExists {
            identifier: identifier.to_string(),
            name: other.name.to_string(),
        }
        .into());
    }
    // A peer may have shown a newer one, which stays.
    let _ = histories::import(db, identity.history, OlderHistory::Ignore).await?;
    secrets::add(db, store, vault, &identity.secrets).await?;
    insert_row(db, vault, identity).await?;
    find(db, &identity.name).await
}

/// Gives an identity of which only the public part was known its key. It becomes the default if there is none.
pub(crate) async fn set_key(
    db: &mut Connection,
    name: &IdentityName,
    vault: &VaultName,
    key: Option<&Handle>,
) -> Result<(), Failure> {
    sql::query(
        "UPDATE identity SET key_handle = $2, vault = $3,
            is_default = CASE WHEN EXISTS (SELECT 1 FROM identity WHERE is_default = 1) THEN is_default ELSE 1 END
         WHERE name = $1",
    )
    .bind(name.as_str())
    .bind(key.map(|key| key.as_bytes().to_vec()))
    .bind(vault.as_str())
    .execute(db)
    .await?;
    Ok(())
}

/// Makes an identity the default, if it can act.
pub(crate) async fn prefer(db: &mut Connection, identifier: &Identifier) -> Result<(), Failure> {
    let Some(IdentityRecord { key: Some(_), .. }) = by_identifier(db, identifier).await? else {
        return Ok(());
    };
    sql::query("UPDATE identity SET is_default = 0 WHERE is_default = 1")
        .execute(&mut *db)
        .await?;
    sql::query("UPDATE identity SET is_default = 1 WHERE identifier = $1")
        .bind(identifier.to_string())
        .execute(db)
        .await?;
    Ok(())
}

/// Adds the row of an identity whose history is stored. The first that can act becomes the default.
pub(crate) async fn insert_row(
    db: &mut Connection,
    vault: &OpenVault,
    identity: &NewIdentity<'_>,
) -> Result<(), Failure> {
    sql::query(
        "INSERT INTO identity (name, identifier, vault, key_handle, is_default)
         VALUES ($1, $2, $3, $4,
                 CASE WHEN $4 IS NULL OR EXISTS (SELECT 1 FROM identity WHERE is_default = 1) THEN 0 ELSE 1 END)",
    )
    .bind(identity.name.as_str())
    .bind(identity.history.identifier().to_string())
    .bind(vault.name.as_str())
    .bind(identity.key.as_ref().map(|key| key.as_bytes().to_vec()))
    .execute(db)
    .await?;
    Ok(())
}

/// Handles of the secrets that only these identities, which are some of one vault, use.
async fn handles(
    db: &mut Connection,
    identities: &[IdentityRecord],
) -> Result<Vec<Handle>, Failure> {
    let places = sql::placeholders(identities.len());
    let mut query = sql::query_scalar(AssertSqlSafe(format!(
        "SELECT key_handle FROM purpose_key WHERE identifier IN ({places})
         UNION
         SELECT key_handle FROM identity AS own WHERE own.identifier IN ({places}) AND own.key_handle IS NOT NULL
            AND NOT EXISTS (SELECT 1 FROM identity AS other
                WHERE other.key_handle = own.key_handle AND other.vault = own.vault AND other.identifier NOT IN ({places}))"
    )));
    for identity in identities {
        query = query.bind(identity.identifier.to_string());
    }
    let rows: Vec<Vec<u8>> = query.fetch_all(db).await?;
    Ok(rows.into_iter().map(Handle::new).collect())
}

async fn find(db: &mut Connection, name: &IdentityName) -> Result<IdentityRecord, Failure> {
    look_up(db, name)
        .await?
        .ok_or_else(|| StoreError::NoIdentity(name.to_string()).into())
}

pub(crate) async fn look_up(
    db: &mut Connection,
    name: &IdentityName,
) -> Result<Option<IdentityRecord>, Failure> {
    let row: Option<Stored> =
        sql::query_as("SELECT * FROM identity JOIN history USING (identifier) WHERE name = $1")
            .bind(name.as_str())
            .fetch_optional(db)
            .await?;
    row.map(Stored::into_record).transpose()
}

pub(crate) async fn default(db: &mut Connection) -> Result<Option<IdentityRecord>, Failure> {
    let row: Option<Stored> = sql::query_as(
        "SELECT * FROM identity JOIN history USING (identifier) WHERE is_default = 1",
    )
    .fetch_optional(db)
    .await?;
    row.map(Stored::into_record).transpose()
}

struct Stored {
    name: String,
    identifier: String,
    change_history: Vec<u8>,
    vault: String,
    key_handle: Option<Vec<u8>>,
    is_default: bool,
}

impl Stored {
    fn into_record(self) -> Result<IdentityRecord, Failure> {
        Ok(IdentityRecord {
            name: self
                .name
                .parse()
                .map_err(|e| Failure::unreadable("name of an identity", e))?,
            identifier: self
                .identifier
                .parse()
                .map_err(|e| Failure::unreadable("identifier", e))?,
            history: histories::decode(&self.change_history)?,
            vault: self
                .vault
                .parse()
                .map_err(|e| Failure::unreadable("name of a vault", e))?,
            key: self.key_handle.map(Handle::new),
            is_default: self.is_default,
        })
    }
}

impl FromRow for Stored {
    fn from_row(row: &Row) -> sqlx::Result<Self> {
        Ok(Self {
            name: row.try_get("name")?,
            identifier: row.try_get("identifier")?,
            change_history: row.try_get("change_history")?,
            vault: row.try_get("vault")?,
            key_handle: row.try_get("key_handle")?,
            is_default: row.try_get("is_default")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nodes::{IfRunning, NodeStart};
    use crate::testing::{Person, node_start, store};

    fn name(text: &str) -> IdentityName {
        text.parse().unwrap()
    }

    /// One vault inside the database and one in a file.
    async fn vaults(store: &Store) -> [OpenVault; 2] {
        let inside = store.vault_or_only(None).await.unwrap();
        let file = store
            .create_vault(&"file".parse().unwrap(), None, None)
            .await
            .unwrap();
        [
            store.open_vault(&inside.name, None).await.unwrap(),
            store.open_vault(&file.name, None).await.unwrap(),
        ]
    }

    #[tokio::test]
    async fn an_identity_without_its_key_never_becomes_the_default() {
        let (_home, store) = store().await;
        let [vault, _] = vaults(&store).await;
        let (friend, own) = (Person::new(), Person::new());
        let imported = NewIdentity {
            key: None,
            secrets: Vec::new(),
            ..friend.named("friend")
        };
        let imported = store.create_identity(&vault, &imported).await.unwrap();
        assert!(!imported.into_record().is_default);
        assert!(store.default_identity().await.unwrap().is_none());
        let created = store
            .create_identity(&vault, &own.named("own"))
            .await
            .unwrap();
        assert!(created.into_record().is_default);
        store.delete_identity(&name("own")).await.unwrap();
        assert!(store.default_identity().await.unwrap().is_none());
    }

    #[tokio::test]
    async fn an_existing_name_gives_the_existing_identity() {
        let (_home, store) = store().await;
        let [vault, _] = vaults(&store).await;
        let (first, second) = (Person::new(), Person::new());
        let created = store
            .create_identity(&vault, &first.named("m"))
            .await
            .unwrap();
        assert!(matches!(&created, Creation::New(record) if record.is_default));
        let created = store
            .create_identity(&vault, &second.named("m"))
            .await
            .unwrap();
        assert!(
            matches!(&created, Creation::Existing(record) if record.identifier == *first.history.identifier())
        );
        assert!(store.secret(&vault, &second.key).await.unwrap().is_none());
        let created = store
            .default_identity_or(&vault, &second.named("other"))
            .await
            .unwrap();
        assert_eq!(created.into_record().name, name("m"));
        let error = store
            .create_identity(&vault, &first.named("twice"))
            .await
            .unwrap_err();
        assert!(matches!(error, StoreError::IdentityExists { name, .. } if name == "m"));
        let found = store
            .identity_of(first.history.identifier())
            .await
            .unwrap()
            .unwrap();
        assert_eq!((found.name, found.key), (name("m"), Some(first.key)));
    }

    #[tokio::test]
    async fn two_processes_that_need_a_default_identity_get_the_same() {
        let (_home, store) = store().await;
        let [vault, _] = vaults(&store).await;
        let other = crate::testing::another(&store).await;
        let (first, second) = (Person::new(), Person::new());
        let (one, two) = (first.named("a"), second.named("b"));
        let (one, two) = tokio::join!(
            store.default_identity_or(&vault, &one),
            other.default_identity_or(&vault, &two)
        );
        assert_eq!(
            one.unwrap().into_record().identifier,
            two.unwrap().into_record().identifier
        );
        assert_eq!(store.identities().await.unwrap().len(), 1);
    }

    #[tokio::test]
    async fn deleting_takes_history_and_secrets_along_and_moves_the_default() {
        let (_home, store) = store().await;
        for vault in vaults(&store).await {
            let (first, second) = (Person::new(), Person::new());
            store
                .create_identity(&vault, &first.named("a"))
                .await
                .unwrap();
            store
                .create_identity(&vault, &second.named("b"))
                .await
                .unwrap();
            let (key, secret) = first.purpose_key();
            store
                .put_purpose_key(&vault, &key, secret, &first.history, None)
                .await
                .unwrap();
            let used = store.delete_vault(vault.name()).await.unwrap_err();
            assert!(
                used.to_string()
                    .ends_with("It is used by the following identities: a, b")
            );

            store.delete_identity(&name("a")).await.unwrap();
            assert!(
                store
                    .history(first.history.identifier())
                    .await
                    .unwrap()
                    .is_none()
            );
            for handle in [&first.key, &key.key] {
                assert!(store.secret(&vault, handle).await.unwrap().is_none());
            }
            assert!(store.secret(&vault, &second.key).await.unwrap().is_some());
            assert_eq!(
                store.default_identity().await.unwrap().unwrap().name,
                name("b")
            );
            store.delete_identity(&name("b")).await.unwrap();
            assert!(store.default_identity().await.unwrap().is_none());
        }
        let error = store.identity(&name("a")).await.unwrap_err();
        assert_eq!(error.to_string(), "no identifier found with name a");
    }

    #[tokio::test]
    async fn an_identity_a_node_uses_stays() {
        let (_home, store) = store().await;
        let [vault, _] = vaults(&store).await;
        store
            .create_identity(&vault, &Person::new().named("m"))
            .await
            .unwrap();
        let node = NodeStart {
            identity: Some(name("m")),
            ..node_start()
        };
        store.create_node(&node, IfRunning::Refuse).await.unwrap();
        let error = store.delete_identity(&name("m")).await.unwrap_err();
        let expected =
            "The identity named m cannot be deleted because it is used by the node(s): n1";
        assert_eq!(error.to_string(), expected);
        store.delete_node(&node.name).await.unwrap();
        store.delete_identity(&name("m")).await.unwrap();
    }

    #[tokio::test]
    async fn guard_11_1_4_a_rotation_keeps_the_name_and_drops_older_keys() {
        let (_home, store) = store().await;
        for (vault, who) in vaults(&store).await.into_iter().zip(["a", "b"]) {
            let before = Person::new();
            let after = before.rotated();
            store
                .create_identity(&vault, &before.named(who))
                .await
                .unwrap();
            let (key, secret) = before.purpose_key();
            store
                .put_purpose_key(&vault, &key, secret, &before.history, None)
                .await
                .unwrap();
            for _ in 0..2 {
                let rotated = store
                    .rotate_identity(&vault, &after.named(who), Vec::new())
                    .await
                    .unwrap();
                assert_eq!(rotated.key.as_ref(), Some(&after.key));
                assert_eq!(rotated.history.as_bytes(), after.history.as_bytes());
                for handle in [&before.key, &key.key] {
                    assert!(store.secret(&vault, handle).await.unwrap().is_none());
                }
                assert!(store.secret(&vault, &after.key).await.unwrap().is_some());
            }
            assert!(
                store
                    .purpose_key(&key.subject, key.purpose)
                    .await
                    .unwrap()
                    .is_none()
            );
            assert!(
                store
                    .rotate_identity(&vault, &before.named(who), Vec::new())
                    .await
                    .is_err()
            );
        }
    }

    #[tokio::test]
    async fn the_default_is_set_once() {
        let (_home, store) = store().await;
        let [vault, _] = vaults(&store).await;
        for who in ["a", "b"] {
            store
                .create_identity(&vault, &Person::new().named(who))
                .await
                .unwrap();
        }
        store.set_default_identity(&name("b")).await.unwrap();
        let error = store.set_default_identity(&name("b")).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "The identity named 'b' is already the default"
        );
        let defaults: Vec<_> = store
            .identities()
            .await
            .unwrap()
            .into_iter()
            .filter(|i| i.is_default)
            .collect();
        assert_eq!(defaults.len(), 1);
    }
}
