//! The store of one home.

use std::path::{Path, PathBuf};

use ockam_vault::SecretBytes;

use crate::address::DatabaseAddress;
use crate::database::Database;
use crate::error::{Failure, StoreError};
use crate::home::Home;
use crate::schema;
use crate::sealing_key::{self, SealingKey};
use crate::sql::{self, Connection};

/// Everything of one home that outlives a process. Cheap to clone; all clones share one connection.
///
/// Operations are grouped by noun, one file each. Every write is one transaction: it happens wholly or, whatever ends the
/// process, not at all. Any number of processes may work on one home at once.
#[derive(Debug, Clone)]
pub struct Store {
    home: Home,
    database: Database,
    /// Seals the secrets in the database.
    key: Option<SealingKey>,
}

impl Store {
    /// Opens the store of a home, making it first if there is none and bringing an older one up to date. The runtime needs
    /// its timer enabled.
    ///
    /// # Errors
    /// The database cannot be made, read or written, is damaged, or was written by a newer version.
    pub async fn open(home: &Home) -> Result<Self, StoreError> {
        let database = Database::file(&home.database(), &schema::HOME).await?;
        Ok(Self {
            home: home.clone(),
            database,
            key: None,
        })
    }

    /// Opens the store whose database is elsewhere than in the home; other files stay in the home. With a key the secrets in
    /// the database are sealed under it, on a server always. A server's database has to be there, empty or ours.
    ///
    /// # Errors
    /// As [`Store::open`]; [`StoreError::Unreachable`], [`StoreError::NoAccess`] and [`StoreError::ForeignTables`] of a server;
    /// [`StoreError::NoDatabaseKey`]; [`StoreError::WrongDatabaseKey`].
    pub async fn open_at(
        address: &DatabaseAddress,
        home: &Home,
        key: Option<SealingKey>,
    ) -> Result<Self, StoreError> {
        if address.is_server() && key.is_none() {
            return Err(StoreError::NoDatabaseKey(address.label()));
        }
        let database = Database::open(address, &schema::HOME).await?;
        let known = database
            .read(async |db| sealing_key::check_value(db).await)
            .await?;
        match (&key, known) {
            (None, None) => {}
            (None, Some(_)) => return Err(StoreError::NoDatabaseKey(address.label())),
            (Some(key), Some(known)) if key.matches(&known) => {}
            (Some(key), _) => {
                database
                    .write(async |db| sealing_key::settle(db, key).await)
                    .await?;
            }
        }
        Ok(Self {
            home: home.clone(),
            database,
            key,
        })
    }

    /// Opens the store of the Orchestrator of a home, which has a database of its own; as [`Store::open`] otherwise.
    ///
    /// # Errors
    /// As of [`Store::open`].
    pub async fn open_orchestrator(home: &Home) -> Result<Self, StoreError> {
        let address = DatabaseAddress::file(home.orchestrator_database());
        Self::open_at(&address, home, None).await
    }

    /// The home this is the store of.
    #[must_use]
    pub fn home(&self) -> &Home {
        &self.home
    }

    /// Closes the store. Dropping it is as safe; closing leaves a tidier directory.
    pub async fn close(&self) {
        self.database.close().await;
    }

    /// Whether this is the first time that the user is told this. Of several processes one tells.
    ///
    /// # Errors
    /// The store cannot be read or written.
    pub async fn tell_once(&self, notice: &str) -> Result<bool, StoreError> {
        let known: Option<i64> = self
            .read(async |db| {
                Ok(sql::query_scalar("SELECT 1 FROM notice WHERE name = $1")
                    .bind(notice)
                    .fetch_optional(db)
                    .await?)
            })
            .await?;
        if known.is_some() {
            return Ok(false);
        }
        self.write(async |db| {
            let done = sql::query("INSERT INTO notice (name) VALUES ($1) ON CONFLICT DO NOTHING")
                .bind(notice)
                .execute(db)
                .await?;
            Ok(done.rows_affected() > 0)
        })
        .await
    }

    /// What seals the secrets inside the database.
    pub(crate) fn sealing_key(&self) -> Option<&SecretBytes<32>> {
        self.key.as_ref().map(SealingKey::bytes)
    }

    pub(crate) fn database(&self) -> &Database {
        &self.database
    }

    pub(crate) async fn read<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        F: AsyncFnOnce(&mut Connection) -> Result<T, Failure> + Clone,
    {
        self.database.read(work).await
    }

    pub(crate) async fn write<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        F: AsyncFnOnce(&mut Connection) -> Result<T, Failure> + Clone,
    {
        self.database.write(work).await
    }

    /// Like [`Store::write`], for work that cannot run again after a connection was lost.
    pub(crate) async fn write_once<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        F: AsyncFnOnce(&mut Connection) -> Result<T, Failure>,
    {
        self.database.write_once(work).await
    }

    /// Like [`Store::write`], but nothing stays.
    pub(crate) async fn trial<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        F: AsyncFnOnce(&mut Connection) -> Result<T, Failure>,
    {
        self.database.trial(work).await
    }

    /// Paths below the home are stored without it, so that a home can be moved.
    pub(crate) fn stored_path(&self, path: &Path) -> Result<String, StoreError> {
        let stored = path.strip_prefix(self.home.path()).unwrap_or(path);
        stored
            .to_str()
            .map(str::to_owned)
            .ok_or_else(|| StoreError::Path(path.to_path_buf()))
    }

    pub(crate) fn absolute_path(&self, stored: &str) -> PathBuf {
        // Joining an absolute path gives that path.
        self.home.path().join(stored)
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{Person, store};
    use ockam_identity::OlderHistory;

    #[tokio::test]
    async fn operations_can_move_between_threads() {
        fn movable<T: Send>(future: T) -> T {
            future
        }
        let (_home, store) = store().await;
        let person = Person::new();
        let vault = movable(store.vault_or_only(None)).await.unwrap();
        let vault = movable(store.open_vault(&vault.name, None)).await.unwrap();
        let named = person.named("m");
        movable(store.default_identity_or(&vault, &named))
            .await
            .unwrap();
        movable(store.create_identity(&vault, &named))
            .await
            .unwrap();
        movable(store.rotate_identity(&vault, &named, Vec::new()))
            .await
            .unwrap();
        let (key, secret) = person.purpose_key();
        movable(store.put_purpose_key(&vault, &key, secret, &person.history, None))
            .await
            .unwrap();
        let known = movable(store.import_history(&person.history, OlderHistory::Refuse)).await;
        assert_eq!(known.unwrap(), ockam_identity::ImportAction::Keep);
        movable(store.delete_identity(&named.name)).await.unwrap();
        movable(store.delete_vault(vault.name())).await.unwrap();
    }
}
