//! Sealing the secrets of a vault under a passphrase, changing it, and taking it away.
//!
//! **Invariants**: the file of a vault changes in one transaction, and says itself whether it is sealed; the row in the
//! database follows, and is mended by the next opening if the process ended in between. A vault inside the database moves to a
//! file when it is sealed: what is in the database is never sealed.

use crate::error::{Failure, StoreError};
use crate::seal::{self, NewSeal, Passphrase};
use crate::secrets;
use crate::sql;
use crate::store::Store;
use crate::vaults::{self, OpenVault, VaultRecord};

impl Store {
    /// Seals an opened vault under a passphrase, in place of the one it may have had; without one, its secrets are stored
    /// in clear from then on.
    ///
    /// # Errors
    /// [`StoreError::EmptyPassphrase`]; [`StoreError::VaultFileMissing`]; [`StoreError::DamagedSecret`].
    pub async fn set_passphrase(
        &self,
        vault: &OpenVault,
        passphrase: Option<&Passphrase>,
    ) -> Result<VaultRecord, StoreError> {
        // Deriving a key from a passphrase takes a while, so it is done before the lock is taken.
        let seal = match (passphrase, &vault.key) {
            (None, _) => None,
            // Running nodes hold the key, so it stays; what opens it changes.
            (Some(passphrase), Some(key)) => Some(NewSeal::of(key, passphrase).await?),
            (Some(passphrase), None) => Some(NewSeal::under(passphrase).await?),
        };
        let mut made = None;
        let done = self
            .write_once(async |db| {
                let record = secrets::find_opened(db, self, vault).await?;
                let path = match (&record.path, &seal) {
                    (None, None) => return Ok(record),
                    (Some(path), _) => {
                        let mut file = vaults::connect(&record.name, path).await?;
                        file.begin().await?;
                        secrets::reseal(&mut file, vault, seal.as_ref()).await?;
                        file.end().await?;
                        file.close().await?;
                        path.clone()
                    }
                    (None, Some(seal)) => {
                        let path = self.home().free_vault_file(&record.name)?;
                        if path.try_exists().unwrap_or(true) {
                            let vault = record.name.to_string();
                            return Err(StoreError::VaultFileTaken { path, vault }.into());
                        }
                        vaults::make_file(&path, Some(&seal.sealed)).await?;
                        made = Some(path.clone());
                        let mut file = vaults::connect(&record.name, &path).await?;
                        let moved = secrets::all_inside(db, self, vault).await?;
                        file.begin().await?;
                        secrets::insert(&mut file, Some(&seal.key), &moved).await?;
                        file.end().await?;
                        file.close().await?;
                        sql::query("DELETE FROM secret").execute(&mut *db).await?;
                        path
                    }
                };
                sql::query("UPDATE vault SET path = $2, is_sealed = $3 WHERE name = $1")
                    .bind(record.name.as_str())
                    .bind(self.stored_path(&path)?)
                    .bind(seal.is_some())
                    .execute(&mut *db)
                    .await?;
                vaults::find(db, self, &record.name).await
            })
            .await;
        match (&done, made) {
            (Err(_), Some(path)) => {
                // The secrets are where they were.
                let _ = std::fs::remove_file(path);
            }
            (Ok(_), Some(_)) => self.database().forget_log().await,
            _ => {}
        }
        done
    }

    /// Makes the row of a vault say what its file says. They differ if a process ended between the two.
    pub(crate) async fn mend_seal(&self, vault: &VaultRecord) -> Result<VaultRecord, StoreError> {
        let Some(path) = &vault.path else {
            return Ok(vault.clone());
        };
        let mut file = vaults::connect(&vault.name, path).await?;
        let sealed: Option<i64> = sql::query_scalar("SELECT id FROM seal")
            .fetch_optional(&mut file)
            .await
            .map_err(|error| Failure::from(error).at(path))?;
        file.close()
            .await
            .map_err(|error| Failure::from(error).at(path))?;
        if sealed.is_some() == vault.is_sealed {
            return Ok(vault.clone());
        }
        self.write(async |db| {
            sql::query("UPDATE vault SET is_sealed = $2 WHERE name = $1")
                .bind(vault.name.as_str())
                .bind(sealed.is_some())
                .execute(&mut *db)
                .await?;
            vaults::find(db, self, &vault.name).await
        })
        .await
    }
}

impl OpenVault {
    /// The same proof once more, for a process that keeps it.
    #[must_use]
    pub fn again(&self) -> Self {
        Self {
            name: self.name.clone(),
            key: self.key.as_ref().map(seal::copy),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{store, vault_with_keys};
    use ockam_vault::SecretRecord;

    fn passphrase(text: &str) -> Passphrase {
        Passphrase::new(text.to_owned())
    }

    /// Whether a secret can be read in any file of the home.
    fn is_in_clear(store: &Store, secret: &[u8; 32]) -> bool {
        std::fs::read_dir(store.home().path())
            .unwrap()
            .any(|entry| {
                let bytes = std::fs::read(entry.unwrap().path()).unwrap_or_default();
                bytes.windows(32).any(|window| window == secret)
            })
    }

    #[tokio::test]
    async fn a_passphrase_is_set_changed_and_removed() {
        for inside in [true, false] {
            let (_home, store) = store().await;
            let name = "v".parse().unwrap();
            let file = store.home().path().join("file");
            let path = (!inside).then_some(file.as_path());
            store.create_vault(&name, path, None).await.unwrap();
            let open = store.open_vault(&name, None).await.unwrap();
            let (software, _) = vault_with_keys(3);
            let mut expected: Vec<SecretRecord> = software.records().collect();
            store.add_secrets(&open, &expected).await.unwrap();
            let secret = *expected[0].secret.as_bytes();
            assert!(is_in_clear(&store, &secret));
            let sort = |records: &mut Vec<SecretRecord>| {
                records.sort_by(|a, b| a.handle.as_bytes().cmp(b.handle.as_bytes()));
            };
            sort(&mut expected);

            let first = passphrase("first");
            let sealed = store.set_passphrase(&open, Some(&first)).await.unwrap();
            assert!(sealed.is_sealed && sealed.path.is_some() && sealed.is_default);
            assert!(!is_in_clear(&store, &secret));
            let closed = store.secrets(&open).await;
            assert!(matches!(closed, Err(StoreError::VaultSealed(_))));
            let open = store.open_vault(&name, Some(&first)).await.unwrap();

            let second = passphrase("second");
            store.set_passphrase(&open, Some(&second)).await.unwrap();
            let wrong = store.open_vault(&name, Some(&first)).await;
            assert!(matches!(wrong, Err(StoreError::WrongPassphrase(_))));
            let open = store.open_vault(&name, Some(&second)).await.unwrap();
            let mut read = store.secrets(&open).await.unwrap();
            sort(&mut read);
            assert_eq!(read, expected);

            store.set_passphrase(&open, None).await.unwrap();
            let open = store.open_vault(&name, None).await.unwrap();
            let mut read = store.secrets(&open).await.unwrap();
            sort(&mut read);
            assert_eq!(read, expected);
        }
    }

    #[tokio::test]
    async fn a_row_that_was_left_behind_is_mended() {
        let (_home, store) = store().await;
        let name = "v".parse().unwrap();
        let file = store.home().path().join("file");
        store.create_vault(&name, Some(&file), None).await.unwrap();
        let open = store.open_vault(&name, None).await.unwrap();
        let first = passphrase("first");
        store.set_passphrase(&open, Some(&first)).await.unwrap();
        let before: Result<(), StoreError> = store
            .write(async |db| {
                sql::query("UPDATE vault SET is_sealed = 0")
                    .execute(db)
                    .await?;
                Ok(())
            })
            .await;
        before.unwrap();
        let closed = store.open_vault(&name, None).await;
        assert!(matches!(closed, Err(StoreError::VaultSealed(_))));
        store.open_vault(&name, Some(&first)).await.unwrap();
        assert!(store.vault(&name).await.unwrap().is_sealed);
    }
}
