//! Change histories of all identities known here, our own and those of peers.
//!
//! **Invariant**: a stored history was verified, and is only ever replaced by a longer one that begins with the same
//! changes. Comparing and storing are one transaction (spec: trust 2.6).

use ockam_identity::{ChangeHistory, Identifier, ImportAction, OlderHistory, VerifiedHistory};
use sqlx::sqlite::SqliteConnection;

use crate::error::{Failure, StoreError};
use crate::store::Store;

impl Store {
    /// Compares a verified history with the stored one and stores it if it is new or newer.
    ///
    /// # Errors
    /// [`StoreError::Import`] if it contradicts the stored one or, unless those are ignored, is older.
    pub async fn import_history(
        &self,
        received: &VerifiedHistory,
        older: OlderHistory,
    ) -> Result<ImportAction, StoreError> {
        // Nearly always the peer is known and nothing is to be written, which needs no lock.
        let known = self
            .read(async |db| look_up(db, received.identifier()).await)
            .await?;
        if known.is_some_and(|known| known == received.as_bytes()) {
            return Ok(ImportAction::Keep);
        }
        self.write(async |db| import(db, received, older).await)
            .await
    }

    /// The stored history of an identity, if it is known.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn history(
        &self,
        identifier: &Identifier,
    ) -> Result<Option<ChangeHistory>, StoreError> {
        self.read(async |db| {
            let bytes = look_up(db, identifier).await?;
            bytes.map(|bytes| decode(&bytes)).transpose()
        })
        .await
    }
}

pub(crate) async fn import(
    db: &mut SqliteConnection,
    received: &VerifiedHistory,
    older: OlderHistory,
) -> Result<ImportAction, Failure> {
    let identifier = received.identifier();
    let stored = look_up(db, identifier)
        .await?
        .map(|bytes| verify(&bytes, identifier))
        .transpose()?;
    let action = received
        .import(stored.as_ref(), older)
        .map_err(StoreError::Import)?;
    if action == ImportAction::Store {
        sqlx::query(
            "INSERT INTO history (identifier, change_history) VALUES (?1, ?2)
             ON CONFLICT (identifier) DO UPDATE SET change_history = excluded.change_history",
        )
        .bind(identifier.to_string())
        .bind(received.as_bytes())
        .execute(db)
        .await?;
    }
    Ok(action)
}

/// The stored history of an identity that is known.
pub(crate) async fn find(
    db: &mut SqliteConnection,
    identifier: &Identifier,
) -> Result<VerifiedHistory, Failure> {
    let bytes = look_up(db, identifier).await?;
    let bytes = bytes.ok_or_else(|| Failure::unreadable("change history", "it is missing"))?;
    verify(&bytes, identifier)
}

pub(crate) fn decode(bytes: &[u8]) -> Result<ChangeHistory, Failure> {
    ChangeHistory::decode(bytes).map_err(|error| Failure::unreadable("change history", error))
}

async fn look_up(
    db: &mut SqliteConnection,
    identifier: &Identifier,
) -> Result<Option<Vec<u8>>, Failure> {
    Ok(
        sqlx::query_scalar("SELECT change_history FROM history WHERE identifier = ?1")
            .bind(identifier.to_string())
            .fetch_optional(db)
            .await?,
    )
}

fn verify(bytes: &[u8], identifier: &Identifier) -> Result<VerifiedHistory, Failure> {
    decode(bytes)?
        .verify(ockam_vault::fast(), Some(identifier))
        .map_err(|error| Failure::unreadable("change history", error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Person, store};
    use ockam_identity::ImportError;

    #[tokio::test]
    async fn a_newer_history_replaces_the_stored_one_and_an_older_is_refused() {
        let (_home, store) = store().await;
        let before = Person::new();
        let after = before.rotated();
        let identifier = before.history.identifier();
        assert!(store.history(identifier).await.unwrap().is_none());
        let import =
            async |person: &Person, older| store.import_history(&person.history, older).await;

        assert_eq!(
            import(&before, OlderHistory::Refuse).await.unwrap(),
            ImportAction::Store
        );
        assert_eq!(
            import(&before, OlderHistory::Refuse).await.unwrap(),
            ImportAction::Keep
        );
        assert_eq!(
            import(&after, OlderHistory::Refuse).await.unwrap(),
            ImportAction::Store
        );
        let refused = import(&before, OlderHistory::Refuse).await;
        assert!(matches!(
            refused,
            Err(StoreError::Import(ImportError::Older(_)))
        ));
        assert_eq!(
            import(&before, OlderHistory::Ignore).await.unwrap(),
            ImportAction::Keep
        );
        let stored = store.history(identifier).await.unwrap().unwrap();
        assert_eq!(stored.as_bytes(), after.history.as_bytes());
    }

    #[tokio::test]
    async fn a_contradicting_history_is_refused() {
        let (_home, store) = store().await;
        let before = Person::new();
        let (left, right) = (before.rotated(), before.rotated());
        let stored = store
            .import_history(&left.history, OlderHistory::Refuse)
            .await;
        assert_eq!(stored.unwrap(), ImportAction::Store);
        for older in [OlderHistory::Refuse, OlderHistory::Ignore] {
            let refused = store.import_history(&right.history, older).await;
            assert!(matches!(
                refused,
                Err(StoreError::Import(ImportError::Conflict(_)))
            ));
        }
        let stored = store
            .history(before.history.identifier())
            .await
            .unwrap()
            .unwrap();
        assert_eq!(stored.as_bytes(), left.history.as_bytes());
    }
}
