//! Processes that share this database: where each is reached by the others, and that it lives.
//!
//! A process counts up its *beat* again and again. Whoever sees that a beat stands still takes that process for dead; clocks
//! of different machines are never compared.
//!
//! **Invariants**: what a process had is free in the same transaction in which it is forgotten; one that beats again after
//! others have forgotten it is told so.

use crate::error::StoreError;
use crate::hosted_relays;
use crate::members::time;
use crate::sql::{self, FromRow, Row};
use crate::store::Store;

/// A process as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrchestratorProcess {
    /// Its name, of its own making.
    pub id: String,
    /// Where the others reach it; none if they cannot.
    pub address: Option<String>,
    /// What grows as long as it lives.
    pub beat: u64,
}

impl Store {
    /// Notes a process that begins.
    ///
    /// # Errors
    /// The store cannot be written.
    pub async fn put_process(&self, id: &str, address: Option<&str>) -> Result<(), StoreError> {
        self.write(async |db| {
            sql::query(
                "INSERT INTO process (id, address, beat) VALUES ($1, $2, 1)
                 ON CONFLICT (id) DO UPDATE SET address = excluded.address, beat = process.beat + 1",
            )
            .bind(id)
            .bind(address)
            .execute(db)
            .await?;
            Ok(())
        })
        .await
    }

    /// The process lives. `false`: the others have forgotten it.
    ///
    /// # Errors
    /// The store cannot be written.
    pub async fn beat_process(&self, id: &str) -> Result<bool, StoreError> {
        self.write(async |db| {
            let done = sql::query("UPDATE process SET beat = beat + 1 WHERE id = $1")
                .bind(id)
                .execute(db)
                .await?;
            Ok(done.rows_affected() > 0)
        })
        .await
    }

    /// All processes.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn processes(&self) -> Result<Vec<OrchestratorProcess>, StoreError> {
        self.read(async |db| {
            Ok(
                sql::query_as("SELECT id, address, beat FROM process ORDER BY id")
                    .fetch_all(db)
                    .await?,
            )
        })
        .await
    }

    /// Forgets a process, and frees what it had, unless its beat went on. Says whether it was forgotten.
    ///
    /// # Errors
    /// The store cannot be written.
    pub async fn forget_process(&self, id: &str, beat: Option<u64>) -> Result<bool, StoreError> {
        self.write(async |db| {
            let beat = beat.map(|beat| i64::try_from(beat).unwrap_or(i64::MAX));
            let done = match beat {
                Some(beat) => {
                    sql::query("DELETE FROM process WHERE id = $1 AND beat = $2")
                        .bind(id)
                        .bind(beat)
                        .execute(&mut *db)
                        .await?
                }
                None => {
                    sql::query("DELETE FROM process WHERE id = $1")
                        .bind(id)
                        .execute(&mut *db)
                        .await?
                }
            };
            if done.rows_affected() == 0 {
                return Ok(false);
            }
            hosted_relays::free_all_of(db, id).await?;
            Ok(true)
        })
        .await
    }
}

impl FromRow for OrchestratorProcess {
    fn from_row(row: &Row) -> sqlx::Result<Self> {
        Ok(Self {
            id: row.try_get("id")?,
            address: row.try_get("address")?,
            beat: time(row.try_get("beat")?).0,
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::hosted_relays::{HostedRelayRecord, NewHostedRelay, RelayClaimed};
    use crate::testing::store;
    use ockam_identity::UnixTime;

    #[tokio::test]
    async fn process_whose_beat_stands_still_is_forgotten_with_what_it_had() {
        let (_home, store) = store().await;
        store
            .put_process("a", Some("/ip4/1.2.3.4/tcp/1"))
            .await
            .unwrap();
        store.put_process("b", None).await.unwrap();
        let relay = NewHostedRelay {
            project: "p",
            name: "n1",
            owner: None,
            process: "a",
            from: None,
            now: UnixTime(7),
        };
        let RelayClaimed::Granted(claim) = store.claim_relay(&relay, None).await.unwrap() else {
            panic!("it is free");
        };
        let seen = store.processes().await.unwrap();
        assert_eq!(seen.len(), 2);
        assert_eq!(seen[0].address.as_deref(), Some("/ip4/1.2.3.4/tcp/1"));
        // It beat meanwhile.
        assert!(store.beat_process("a").await.unwrap());
        assert!(!store.forget_process("a", Some(seen[0].beat)).await.unwrap());
        assert!(store.hosted_relay("p", "n1").await.unwrap().is_some());
        let seen = store.processes().await.unwrap();
        assert!(store.forget_process("a", Some(seen[0].beat)).await.unwrap());
        assert_eq!(store.hosted_relay("p", "n1").await.unwrap(), None);
        let freed: Vec<HostedRelayRecord> = store.relay_changes_behind(claim).await.unwrap();
        assert_eq!(freed.len(), 1);
        assert_eq!(freed[0].process, None);
        // It is told when it comes back.
        assert!(!store.beat_process("a").await.unwrap());
        assert!(store.forget_process("b", None).await.unwrap());
        assert!(store.processes().await.unwrap().is_empty());
    }
}
