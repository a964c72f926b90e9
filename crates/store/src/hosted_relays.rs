//! Relays of hosted projects: which process has which, for whom.
//!
//! **Invariants**: a name of a project has one relay; a change bears a number that is higher than that of all changes before
//! it, and becomes visible after them; a row without a process is a name that was given back, kept for a
//! while so that others hear of it.

use ockam_identity::{Identifier, UnixTime};

use crate::error::{Failure, StoreError};
use crate::members::{bytes, count, identifier, seconds, time};
use crate::sql::{self, Connection, FromRow, Row};
use crate::store::Store;

/// A relay as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostedRelayRecord {
    /// Of which project.
    pub project: String,
    /// Its name.
    pub name: String,
    /// Whose it is, if that is an identity.
    pub owner: Option<Identifier>,
    /// The process that has it; none any more.
    pub process: Option<String>,
    /// Where its node connected from.
    pub from: Option<String>,
    /// Since when.
    pub since: UnixTime,
    /// The number of its last change.
    pub claim: u64,
}

/// A relay that a process wants to have.
#[derive(Debug, Clone, Copy)]
pub struct NewHostedRelay<'a> {
    /// Of which project.
    pub project: &'a str,
    /// Its name.
    pub name: &'a str,
    /// Whose it is, if that is an identity.
    pub owner: Option<Identifier>,
    /// The process.
    pub process: &'a str,
    /// Where its node connected from.
    pub from: Option<&'a str>,
    /// The present time.
    pub now: UnixTime,
}

/// Whether a process has a relay now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RelayClaimed {
    /// It has, under this number.
    Granted(u64),
    /// Another process has it, for somebody else.
    Elsewhere {
        /// Under this number.
        claim: u64,
        /// That process.
        process: String,
    },
}

impl Store {
    /// Takes a name that is free, that the same owner has elsewhere, that the process itself decides about, or that another
    /// has under the number `over`.
    ///
    /// # Errors
    /// The store cannot be read or written.
    pub async fn claim_relay(
        &self,
        relay: &NewHostedRelay<'_>,
        over: Option<u64>,
    ) -> Result<RelayClaimed, StoreError> {
        self.write(async |db| {
            let present = look_up(db, relay.project, relay.name).await?;
            if let Some(present) = present
                && let Some(process) = present.process
                && process != relay.process
                && over != Some(present.claim)
                && (present.owner.is_none() || present.owner != relay.owner)
            {
                let claim = present.claim;
                return Ok(RelayClaimed::Elsewhere { claim, process });
            }
            let claim = next(db).await?;
            sql::query(
                "INSERT INTO hosted_relay (project, name, owner, process, origin, since, sequence)
                 VALUES ($1, $2, $3, $4, $5, $6, $7)
                 ON CONFLICT (project, name) DO UPDATE SET owner = excluded.owner, process = excluded.process,
                 origin = excluded.origin, since = excluded.since, sequence = excluded.sequence",
            )
            .bind(relay.project)
            .bind(relay.name)
            .bind(relay.owner.as_ref().map(bytes))
            .bind(relay.process)
            .bind(relay.from)
            .bind(seconds(relay.now))
            .bind(claim)
            .execute(db)
            .await?;
            Ok(RelayClaimed::Granted(time(claim).0))
        })
        .await
    }

    /// Gives a name back, if it is still the same claim.
    ///
    /// # Errors
    /// The store cannot be written.
    pub async fn release_relay(
        &self,
        project: &str,
        name: &str,
        claim: u64,
        now: UnixTime,
    ) -> Result<(), StoreError> {
        self.write(async |db| {
            let next = next(db).await?;
            sql::query(
                "UPDATE hosted_relay SET process = NULL, since = $4, sequence = $5
                 WHERE project = $1 AND name = $2 AND sequence = $3",
            )
            .bind(project)
            .bind(name)
            .bind(seconds(UnixTime(claim)))
            .bind(seconds(now))
            .bind(next)
            .execute(db)
            .await?;
            Ok(())
        })
        .await
    }

    /// One relay that a process has.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn hosted_relay(
        &self,
        project: &str,
        name: &str,
    ) -> Result<Option<HostedRelayRecord>, StoreError> {
        self.read(async |db| {
            let found = look_up(db, project, name).await?;
            Ok(found.filter(|relay| relay.process.is_some()))
        })
        .await
    }

    /// The relays of a project, in the order of their names, behind that name.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn hosted_relays(
        &self,
        project: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<HostedRelayRecord>, StoreError> {
        self.read(async |db| {
            let rows: Vec<Stored> = sql::query_as(
                "SELECT * FROM hosted_relay WHERE project = $1 AND name > $2 AND process IS NOT NULL
                 ORDER BY name LIMIT $3",
            )
            .bind(project)
            .bind(after.unwrap_or_default())
            .bind(count(limit))
            .fetch_all(db)
            .await?;
            rows.into_iter().map(|row| row.0).collect()
        })
        .await
    }

    /// Relays that changed behind this number, those changed first first.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn relay_changes_behind(
        &self,
        after: u64,
    ) -> Result<Vec<HostedRelayRecord>, StoreError> {
        self.read(async |db| {
            let rows: Vec<Stored> = sql::query_as(
                "SELECT * FROM hosted_relay WHERE sequence > $1 ORDER BY sequence, name",
            )
            .bind(seconds(UnixTime(after)))
            .fetch_all(db)
            .await?;
            rows.into_iter().map(|row| row.0).collect()
        })
        .await
    }

    /// The number of the last change, 0 without any.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn latest_relay_change(&self) -> Result<u64, StoreError> {
        self.read(async |db| {
            let latest: Option<i64> = sql::query_scalar("SELECT max(sequence) FROM hosted_relay")
                .fetch_one(db)
                .await?;
            Ok(time(latest.unwrap_or(0)).0)
        })
        .await
    }

    /// Forgets names that were given back before that moment.
    ///
    /// # Errors
    /// The store cannot be written.
    pub async fn forget_released_relays(&self, before: UnixTime) -> Result<(), StoreError> {
        self.write(async |db| {
            // The last change stays: the numbers go on from it.
            sql::query(
                "DELETE FROM hosted_relay WHERE process IS NULL AND since < $1
                 AND sequence < (SELECT max(sequence) FROM hosted_relay)",
            )
            .bind(seconds(before))
            .execute(db)
            .await?;
            Ok(())
        })
        .await
    }
}

/// Frees all names of a process.
pub(crate) async fn free_all_of(db: &mut Connection, process: &str) -> Result<(), Failure> {
    let next = next(db).await?;
    sql::query("UPDATE hosted_relay SET process = NULL, sequence = $2 WHERE process = $1")
        .bind(process)
        .bind(next)
        .execute(db)
        .await?;
    Ok(())
}

async fn next(db: &mut Connection) -> Result<i64, Failure> {
    let latest: Option<i64> = sql::query_scalar("SELECT max(sequence) FROM hosted_relay")
        .fetch_one(db)
        .await?;
    Ok(latest.unwrap_or(0).saturating_add(1))
}

async fn look_up(
    db: &mut Connection,
    project: &str,
    name: &str,
) -> Result<Option<HostedRelayRecord>, Failure> {
    let row: Option<Stored> =
        sql::query_as("SELECT * FROM hosted_relay WHERE project = $1 AND name = $2")
            .bind(project)
            .bind(name)
            .fetch_optional(db)
            .await?;
    row.map(|row| row.0).transpose()
}

struct Stored(Result<HostedRelayRecord, Failure>);

impl FromRow for Stored {
    fn from_row(row: &Row) -> sqlx::Result<Self> {
        let owner: Option<Vec<u8>> = row.try_get("owner")?;
        let rest = HostedRelayRecord {
            project: row.try_get("project")?,
            name: row.try_get("name")?,
            owner: None,
            process: row.try_get("process")?,
            from: row.try_get("origin")?,
            since: time(row.try_get("since")?),
            claim: time(row.try_get("sequence")?).0,
        };
        let owner = owner.map(|owner| identifier(&owner)).transpose();
        Ok(Self(owner.map(|owner| HostedRelayRecord { owner, ..rest })))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::store;

    const A: Identifier = Identifier::new([1; 32]);
    const B: Identifier = Identifier::new([2; 32]);

    #[tokio::test]
    async fn name_belongs_to_one_owner_wherever_that_is() {
        let (_home, store) = store().await;
        let at = async |owner, process, over| {
            let relay = relay("n1", owner, process);
            store.claim_relay(&relay, over).await.unwrap()
        };
        let granted = |claimed| match claimed {
            RelayClaimed::Granted(claim) => claim,
            RelayClaimed::Elsewhere { .. } => panic!("{claimed:?}"),
        };
        let first = granted(at(A, "one", None).await);
        let elsewhere = RelayClaimed::Elsewhere {
            claim: first,
            process: "one".to_owned(),
        };
        assert_eq!(at(B, "two", None).await, elsewhere);
        // Its owner moves; what it had before is not its last claim any more.
        let moved = granted(at(A, "two", None).await);
        assert!(moved > first);
        store
            .release_relay("p", "n1", first, UnixTime(9))
            .await
            .unwrap();
        let found = store.hosted_relay("p", "n1").await.unwrap().unwrap();
        assert_eq!(
            (found.process.as_deref(), found.claim),
            (Some("two"), moved)
        );
        // Silent owners are replaced, if it is still they.
        assert!(matches!(
            at(B, "one", Some(first)).await,
            RelayClaimed::Elsewhere { .. }
        ));
        let replaced = granted(at(B, "one", Some(moved)).await);
        store
            .release_relay("p", "n1", replaced, UnixTime(9))
            .await
            .unwrap();
        assert_eq!(store.hosted_relay("p", "n1").await.unwrap(), None);
        granted(at(A, "two", None).await);
    }

    #[tokio::test]
    async fn changes_are_told_once_in_their_order() {
        let (_home, store) = store().await;
        for name in ["n1", "n2", "n3"] {
            store
                .claim_relay(&relay(name, A, "one"), None)
                .await
                .unwrap();
        }
        let names = async |after| {
            let changes = store.relay_changes_behind(after).await.unwrap();
            let last = changes.last().map_or(after, |last| last.claim);
            let names = changes.into_iter().map(|relay| relay.name);
            (names.collect::<Vec<_>>(), last)
        };
        let (told, last) = names(0).await;
        assert_eq!(told, ["n1", "n2", "n3"]);
        assert_eq!(store.latest_relay_change().await.unwrap(), last);
        assert!(names(last).await.0.is_empty());
        store.put_process("one", None).await.unwrap();
        store.forget_process("one", None).await.unwrap();
        let (told, last) = names(last).await;
        assert_eq!(told, ["n1", "n2", "n3"]);
        let granted = async |name| {
            let claimed = store.claim_relay(&relay(name, A, "two"), None).await;
            match claimed.unwrap() {
                RelayClaimed::Granted(claim) => claim,
                RelayClaimed::Elsewhere { .. } => panic!("it is free"),
            }
        };
        let claim = granted("n4").await;
        assert!(claim > last);
        // What was given back is forgotten, the numbers go on.
        store
            .release_relay("p", "n4", claim, UnixTime(9))
            .await
            .unwrap();
        store.forget_released_relays(UnixTime(100)).await.unwrap();
        assert_eq!(names(0).await.0, ["n4"]);
        assert!(granted("n5").await > claim + 1);
        assert_eq!(store.hosted_relays("p", None, 9).await.unwrap().len(), 1);
    }

    fn relay<'a>(name: &'a str, owner: Identifier, process: &'a str) -> NewHostedRelay<'a> {
        NewHostedRelay {
            project: "p",
            name,
            owner: Some(owner),
            process,
            from: Some("1.2.3.4:5"),
            now: UnixTime(7),
        }
    }
}
