//! Change histories of all identities known here, our own and those of peers.
//!
//! **Invariant**: a stored history was verified, and is only ever replaced by a longer one that begins with the same
//! changes. Comparing and storing are one transaction (spec: trust 2.6).

use std::collections::HashMap;

use ockam_identity::{ChangeHistory, Identifier, ImportAction, OlderHistory, VerifiedHistory};
use sqlx::AssertSqlSafe;

use crate::error::{Failure, StoreError};
use crate::sql::{self, Connection};
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

    /// As [`Self::import_history`], for whoever presents a history in a handshake. Strangers can make as many identities as they
    /// like, so of those not known yet a bounded number is stored; the others are answered with [`ImportAction::Keep`]. What is
    /// known is not displaced.
    ///
    /// # Errors
    /// [`StoreError::Import`] if it contradicts the stored one or is older.
    pub async fn import_history_of_peer(
        &self,
        received: &VerifiedHistory,
    ) -> Result<ImportAction, StoreError> {
        let most = most_of_peers(received);
        let has_room = self
            .read(async |db| Ok(known(db, received.identifier(), most).await?))
            .await?;
        if !has_room {
            return Ok(ImportAction::Keep);
        }
        self.import_history(received, OlderHistory::Refuse).await
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
    db: &mut Connection,
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
        sql::query(
            "INSERT INTO history (identifier, change_history) VALUES ($1, $2)
             ON CONFLICT (identifier) DO UPDATE SET change_history = excluded.change_history",
        )
        .bind(identifier.to_string())
        .bind(received.as_bytes())
        .execute(db)
        .await?;
    }
    Ok(action)
}

/// The same of many. Those that are stored byte for byte are not verified again; whoever knows a newer one keeps it.
pub(crate) async fn import_all(
    db: &mut Connection,
    received: &[&VerifiedHistory],
) -> Result<(), Failure> {
    for some in received.chunks(sql::AT_ONCE) {
        let mut query = sql::query_as(AssertSqlSafe(format!(
            "SELECT identifier, change_history FROM history WHERE identifier IN ({})",
            sql::placeholders(some.len())
        )));
        for history in some {
            query = query.bind(history.identifier().to_string());
        }
        let stored: Vec<(String, Vec<u8>)> = query.fetch_all(&mut *db).await?;
        let mut stored: HashMap<String, Vec<u8>> = stored.into_iter().collect();
        let mut new = Vec::new();
        for history in some {
            let identifier = history.identifier().to_string();
            match stored.get(&identifier) {
                Some(known) if known == history.as_bytes() => {}
                Some(_) => drop(import(db, history, OlderHistory::Ignore).await?),
                None => {
                    stored.insert(identifier, history.as_bytes().to_vec());
                    new.push(history);
                }
            }
        }
        if new.is_empty() {
            continue;
        }
        let mut query = sql::query(AssertSqlSafe(format!(
            "INSERT INTO history (identifier, change_history) VALUES {}",
            sql::rows(new.len(), 2)
        )));
        for history in new {
            query = query
                .bind(history.identifier().to_string())
                .bind(history.as_bytes());
        }
        query.execute(&mut *db).await?;
    }
    Ok(())
}

/// The stored history of an identity that is known.
pub(crate) async fn find(
    db: &mut Connection,
    identifier: &Identifier,
) -> Result<VerifiedHistory, Failure> {
    let bytes = look_up(db, identifier).await?;
    let bytes = bytes.ok_or_else(|| Failure::unreadable("change history", "it is missing"))?;
    verify(&bytes, identifier)
}

pub(crate) fn decode(bytes: &[u8]) -> Result<ChangeHistory, Failure> {
    ChangeHistory::decode(bytes).map_err(|error| Failure::unreadable("change history", error))
}

/// Whether the identity is known, or fewer than `most` histories of others are: an Orchestrator has thousands of its own.
async fn known(
    db: &mut Connection,
    identifier: &Identifier,
    most: i64,
) -> Result<bool, sqlx::Error> {
    sql::query_scalar(
        "SELECT EXISTS (SELECT 1 FROM history WHERE identifier = $1)
            OR (SELECT COUNT(*) FROM history) < $2 + (SELECT COUNT(*) FROM identity)",
    )
    .bind(identifier.to_string())
    .bind(most)
    .fetch_one(db)
    .await
}

/// A history of one change protects nothing: its identifier is the hash of that change, so no older one exists.
fn most_of_peers(history: &VerifiedHistory) -> i64 {
    if history.changes().len() < 2 {
        MOST_PLAIN
    } else {
        MOST_ROTATED
    }
}

async fn look_up(db: &mut Connection, identifier: &Identifier) -> Result<Option<Vec<u8>>, Failure> {
    Ok(
        sql::query_scalar("SELECT change_history FROM history WHERE identifier = $1")
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

/// Histories known before a peer's with one change is not stored any more.
const MOST_PLAIN: i64 = 4096;
/// The same for a peer that has rotated; each is at most 16 KiB.
const MOST_ROTATED: i64 = 16_384;

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

    #[tokio::test]
    async fn strangers_fill_the_store_up_to_a_bound_and_displace_nobody() {
        let (_home, store) = store().await;
        let friend = Person::new();
        let stored = store.import_history_of_peer(&friend.history).await;
        assert_eq!(stored.unwrap(), ImportAction::Store);
        store
            .write(async |db| {
                sql::query(
                    "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < $1)
                     INSERT INTO history (identifier, change_history) SELECT 'stranger ' || i, x'80' FROM n",
                )
                .bind(MOST_PLAIN)
                .execute(db)
                .await?;
                Ok(())
            })
            .await
            .unwrap();

        let (plain, rotated) = (Person::new(), Person::new().rotated());
        let kept = store.import_history_of_peer(&plain.history).await;
        assert_eq!(kept.unwrap(), ImportAction::Keep);
        assert!(
            store
                .history(plain.history.identifier())
                .await
                .unwrap()
                .is_none()
        );
        let stored = store.import_history_of_peer(&rotated.history).await;
        assert_eq!(stored.unwrap(), ImportAction::Store);
        let newer = friend.rotated();
        let stored = store.import_history_of_peer(&newer.history).await;
        assert_eq!(stored.unwrap(), ImportAction::Store);
        let refused = store.import_history_of_peer(&friend.history).await;
        assert!(matches!(
            refused,
            Err(StoreError::Import(ImportError::Older(_)))
        ));
    }
}
