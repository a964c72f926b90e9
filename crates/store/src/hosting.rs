//! Projects whose node and authority run here, each with an identity of its own, and what other processes are to hear of them.
//!
//! **Invariants**: what is stored of a project goes with it, in one transaction; events are numbered in the order in which they
//! become visible.

use ockam_identity::{ChangeHistory, Identifier, UnixTime};
use ockam_vault::Handle;
use sqlx::AssertSqlSafe;

use crate::error::{Failure, StoreError};
use crate::histories;
use crate::identities;
use crate::members::{bytes, count, identifier, seconds, time};
use crate::name::VaultName;
use crate::sql::{self, Connection, FromRow, Row};
use crate::store::Store;

/// A hosted project as stored.
#[derive(Debug, Clone)]
pub struct HostingRecord {
    /// The id of the project.
    pub project: String,
    /// Who its node is.
    pub identity: Identifier,
    /// What its node shows of itself.
    pub history: ChangeHistory,
    /// Who its authority is.
    pub authority: Identifier,
    /// What its authority shows of itself.
    pub authority_history: ChangeHistory,
}

/// Something that whoever runs a project must act on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostingEvent {
    /// Its place in the order of all.
    pub sequence: u64,
    /// The project.
    pub project: String,
    /// Whom it is about: its credentials as an administrator that were created before this are void. Nobody: the project is
    /// deleted.
    pub dismissed: Option<(Identifier, UnixTime)>,
}

impl Store {
    /// Stores that a project is hosted, with identities that are stored already. One that is hosted stays as it is.
    ///
    /// # Errors
    /// The store cannot be written.
    pub async fn put_hosting(
        &self,
        project: &str,
        identity: &Identifier,
        authority: &Identifier,
        now: UnixTime,
    ) -> Result<(), StoreError> {
        self.write(async |db| {
            sql::query(
                "INSERT INTO hosting (project, identity, authority, created_at) VALUES ($1, $2, $3, $4)
                 ON CONFLICT (project) DO NOTHING",
            )
            .bind(project)
            .bind(identity.to_string())
            .bind(authority.to_string())
            .bind(seconds(now))
            .execute(db)
            .await?;
            Ok(())
        })
        .await
    }

    /// A hosted project, if it is one.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn hosting(&self, project: &str) -> Result<Option<HostingRecord>, StoreError> {
        self.read(async |db| look_up(db, project).await).await
    }

    /// Those of these projects that are hosted.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn hostings(&self, projects: &[String]) -> Result<Vec<HostingRecord>, StoreError> {
        self.read(async |db| {
            let mut found = Vec::new();
            for some in projects.chunks(sql::AT_ONCE) {
                found.extend(some_of(db, some).await?);
            }
            Ok(found)
        })
        .await
    }

    /// How many projects are hosted.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn count_hostings(&self) -> Result<u64, StoreError> {
        self.read(async |db| {
            let count: i64 = sql::query_scalar("SELECT count(*) FROM hosting")
                .fetch_one(db)
                .await?;
            Ok(time(count).0)
        })
        .await
    }

    /// Forgets hosted projects with their identities, members, codes and tickets, and tells the other processes. Says how many
    /// there were.
    ///
    /// # Errors
    /// The store cannot be written.
    pub async fn delete_hostings(
        &self,
        projects: &[String],
        now: UnixTime,
    ) -> Result<usize, StoreError> {
        let mut count = 0;
        for some in projects.chunks(sql::AT_ONCE) {
            let (found, unused) = self
                .write(async |db| {
                    let records = some_of(db, some).await?;
                    let unused = forget(db, self, &records, now).await?;
                    Ok((records.len(), unused))
                })
                .await?;
            count += found;
            for (vault, handles) in unused {
                self.forget_secrets(&vault, &handles).await?;
            }
        }
        Ok(count)
    }

    /// Makes void what an administrator of a project was given as such before that moment. Says whether the project is
    /// hosted.
    ///
    /// # Errors
    /// The store cannot be written.
    pub async fn dismiss_administrator(
        &self,
        project: &str,
        who: &Identifier,
        before: UnixTime,
    ) -> Result<bool, StoreError> {
        self.write(async |db| {
            if look_up(db, project).await?.is_none() {
                return Ok(false);
            }
            sql::query("DELETE FROM hosting_event WHERE project = $1 AND subject = $2")
                .bind(project)
                .bind(bytes(who))
                .execute(&mut *db)
                .await?;
            note(db, project, Some(who), before).await?;
            Ok(true)
        })
        .await
    }

    /// Whom one project has dismissed, and from which moment on credentials of theirs count again.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn dismissed_administrators(
        &self,
        project: &str,
    ) -> Result<Vec<HostingEvent>, StoreError> {
        self.read(async |db| {
            let rows: Vec<StoredEvent> = sql::query_as(
                "SELECT * FROM hosting_event WHERE project = $1 AND subject IS NOT NULL",
            )
            .bind(project)
            .fetch_all(db)
            .await?;
            rows.into_iter().map(|row| row.0).collect()
        })
        .await
    }

    /// Events behind this place in the order, at most `limit`.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn hosting_events_behind(
        &self,
        after: u64,
        limit: usize,
    ) -> Result<Vec<HostingEvent>, StoreError> {
        self.read(async |db| {
            let rows: Vec<StoredEvent> = sql::query_as(
                "SELECT * FROM hosting_event WHERE sequence > $1 ORDER BY sequence LIMIT $2",
            )
            .bind(seconds(UnixTime(after)))
            .bind(count(limit))
            .fetch_all(db)
            .await?;
            rows.into_iter().map(|row| row.0).collect()
        })
        .await
    }

    /// The places of the latest event and of the latest withdrawal of any authority, 0 without any.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn latest_hosting_changes(&self) -> Result<(u64, u64), StoreError> {
        self.read(async |db| {
            let event: Option<i64> = sql::query_scalar("SELECT max(sequence) FROM hosting_event")
                .fetch_one(&mut *db)
                .await?;
            let withdrawal: Option<i64> = sql::query_scalar("SELECT max(sequence) FROM withdrawal")
                .fetch_one(db)
                .await?;
            let place = |latest: Option<i64>| time(latest.unwrap_or(0)).0;
            Ok((place(event), place(withdrawal)))
        })
        .await
    }

    /// Withdrawals of all authorities behind this place: which authority, and the place.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn authorities_that_withdrew(
        &self,
        after: u64,
        limit: usize,
    ) -> Result<Vec<(u64, Identifier)>, StoreError> {
        self.read(async |db| {
            let rows = sql::query(
                "SELECT sequence, authority FROM withdrawal WHERE sequence > $1 ORDER BY sequence LIMIT $2",
            )
            .bind(seconds(UnixTime(after)))
            .bind(count(limit))
            .fetch_all(db)
            .await?;
            rows.iter()
                .map(|row| {
                    let authority: Vec<u8> = row.try_get("authority")?;
                    Ok((time(row.try_get("sequence")?).0, identifier(&authority)?))
                })
                .collect()
        })
        .await
    }

    /// Forgets that projects were deleted before that moment, and who was dismissed so long ago that nothing of before can
    /// count.
    ///
    /// # Errors
    /// The store cannot be written.
    pub async fn forget_hosting_events(&self, before: UnixTime) -> Result<(), StoreError> {
        self.write(async |db| {
            sql::query("DELETE FROM hosting_event WHERE moment < $1")
                .bind(seconds(before))
                .execute(db)
                .await?;
            Ok(())
        })
        .await
    }
}

/// Those of a few projects that are hosted.
async fn some_of(db: &mut Connection, projects: &[String]) -> Result<Vec<HostingRecord>, Failure> {
    let mut query = sql::query_as(AssertSqlSafe(format!(
        "{SELECT} WHERE hosting.project IN ({})",
        sql::placeholders(projects.len())
    )));
    for project in projects {
        query = query.bind(project.as_str());
    }
    let rows: Vec<Stored> = query.fetch_all(db).await?;
    rows.into_iter().map(|row| row.0).collect()
}

/// Forgets some projects. Returns the secrets that are left to delete, by their vaults.
async fn forget(
    db: &mut Connection,
    store: &Store,
    records: &[HostingRecord],
    now: UnixTime,
) -> Result<Vec<(VaultName, Vec<Handle>)>, Failure> {
    if records.is_empty() {
        return Ok(Vec::new());
    }
    let places = sql::placeholders(records.len());
    for table in OF_AUTHORITY {
        let mut query = sql::query(AssertSqlSafe(format!(
            "DELETE FROM {table} WHERE authority IN ({places})"
        )));
        for record in records {
            query = query.bind(bytes(&record.authority));
        }
        query.execute(&mut *db).await?;
    }
    for table in ["hosting", "hosting_event"] {
        let mut query = sql::query(AssertSqlSafe(format!(
            "DELETE FROM {table} WHERE project IN ({places})"
        )));
        for record in records {
            query = query.bind(record.project.as_str());
        }
        query.execute(&mut *db).await?;
    }
    for record in records {
        note(db, &record.project, None, now).await?;
    }
    let identities: Vec<Identifier> = records
        .iter()
        .flat_map(|record| [record.identity, record.authority])
        .collect();
    identities::forget(db, store, &identities).await
}

async fn note(
    db: &mut Connection,
    project: &str,
    subject: Option<&Identifier>,
    moment: UnixTime,
) -> Result<(), Failure> {
    sql::query("INSERT INTO hosting_event (project, subject, moment) VALUES ($1, $2, $3)")
        .bind(project)
        .bind(subject.map(bytes))
        .bind(seconds(moment))
        .execute(db)
        .await?;
    Ok(())
}

async fn look_up(db: &mut Connection, project: &str) -> Result<Option<HostingRecord>, Failure> {
    let row: Option<Stored> = sql::query_as(AssertSqlSafe(format!(
        "{SELECT} WHERE hosting.project = $1"
    )))
    .bind(project)
    .fetch_optional(db)
    .await?;
    row.map(|row| row.0).transpose()
}

struct Stored(Result<HostingRecord, Failure>);

impl FromRow for Stored {
    fn from_row(row: &Row) -> sqlx::Result<Self> {
        let project = row.try_get("project")?;
        let texts: [String; 2] = [row.try_get("identity")?, row.try_get("authority")?];
        let histories: [Vec<u8>; 2] = [row.try_get("history")?, row.try_get("authority_history")?];
        Ok(Self((|| {
            let read = |text: &String| {
                text.parse()
                    .map_err(|error| Failure::unreadable("identifier", error))
            };
            Ok(HostingRecord {
                project,
                identity: read(&texts[0])?,
                history: histories::decode(&histories[0])?,
                authority: read(&texts[1])?,
                authority_history: histories::decode(&histories[1])?,
            })
        })()))
    }
}

struct StoredEvent(Result<HostingEvent, Failure>);

impl FromRow for StoredEvent {
    fn from_row(row: &Row) -> sqlx::Result<Self> {
        let sequence = time(row.try_get("sequence")?).0;
        let project = row.try_get("project")?;
        let subject: Option<Vec<u8>> = row.try_get("subject")?;
        let moment = time(row.try_get("moment")?);
        let subject = subject.map(|subject| identifier(&subject)).transpose();
        Ok(Self(subject.map(|subject| HostingEvent {
            sequence,
            project,
            dismissed: subject.map(|subject| (subject, moment)),
        })))
    }
}

const SELECT: &str =
    "SELECT hosting.project, hosting.identity, hosting.authority, own.change_history AS history,
        issues.change_history AS authority_history
     FROM hosting JOIN history AS own ON own.identifier = hosting.identity
        JOIN history AS issues ON issues.identifier = hosting.authority";
/// Tables that belong to an authority.
const OF_AUTHORITY: [&str; 6] = [
    "member",
    "enrollment_token",
    "ticket",
    "ticket_use",
    "withdrawal",
    "credential_lifetime",
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::members::{MemberChange, MemberRecord};
    use crate::testing::{Person, store};

    #[tokio::test]
    async fn a_deleted_project_leaves_nothing_but_the_news_of_it() {
        let (_home, store) = store().await;
        let (node, authority) = (
            hosted(&store, "p").await,
            hosted(&store, "authority-p").await,
        );
        store
            .put_hosting("p", &node, &authority, UnixTime(5))
            .await
            .unwrap();
        store
            .put_hosting("p", &authority, &node, UnixTime(6))
            .await
            .unwrap();
        let record = store.hosting("p").await.unwrap().unwrap();
        assert_eq!((record.identity, record.authority), (node, authority));
        let asked = ["p".to_owned(), "q".to_owned()];
        let found = store.hostings(&asked).await.unwrap();
        assert_eq!((found.len(), found[0].identity), (1, node));
        let member = MemberRecord {
            attributes: Vec::new(),
            added_by: node,
            added_at: UnixTime(7),
            is_pre_trusted: false,
        };
        store
            .change_members(&authority, &[node], None, |_, _| {
                MemberChange::Put(member.clone(), Some(UnixTime(9)))
            })
            .await
            .unwrap();
        assert!(
            store
                .dismiss_administrator("p", &node, UnixTime(8))
                .await
                .unwrap()
        );

        for found in [1, 0] {
            let deleted = store.delete_hostings(&asked, UnixTime(10)).await;
            assert_eq!(deleted.unwrap(), found);
        }
        assert!(store.hosting("p").await.unwrap().is_none());
        assert_eq!(store.count_hostings().await.unwrap(), 0);
        assert!(store.identities().await.unwrap().is_empty());
        assert!(store.history(&node).await.unwrap().is_none());
        assert_eq!(store.member(&authority, &node).await.unwrap(), None);
        let vault = store.vault_or_only(None).await.unwrap();
        let vault = store.open_vault(&vault.name, None).await.unwrap();
        assert!(store.secrets(&vault).await.unwrap().is_empty());
        let events = store.hosting_events_behind(0, 10).await.unwrap();
        assert_eq!(events.len(), 1, "{events:?}");
        assert_eq!(
            (events[0].project.as_str(), events[0].dismissed),
            ("p", None)
        );
        store.forget_hosting_events(UnixTime(11)).await.unwrap();
        assert!(store.hosting_events_behind(0, 10).await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn who_was_dismissed_is_known_to_its_project_and_told_in_order() {
        let (_home, store) = store().await;
        let (node, authority) = (
            hosted(&store, "p").await,
            hosted(&store, "authority-p").await,
        );
        store
            .put_hosting("p", &node, &authority, UnixTime(5))
            .await
            .unwrap();
        for moment in [7, 8] {
            let known = store
                .dismiss_administrator("p", &node, UnixTime(moment))
                .await;
            assert!(known.unwrap());
        }
        assert!(
            !store
                .dismiss_administrator("q", &node, UnixTime(7))
                .await
                .unwrap()
        );
        let dismissed = store.dismissed_administrators("p").await.unwrap();
        assert_eq!(dismissed.len(), 1);
        assert_eq!(dismissed[0].dismissed, Some((node, UnixTime(8))));
        assert_eq!(store.latest_hosting_changes().await.unwrap(), (2, 0));
        assert_eq!(store.hosting_events_behind(1, 10).await.unwrap(), dismissed);
        assert!(store.hosting_events_behind(2, 10).await.unwrap().is_empty());
        store
            .change_members(&authority, &[node], None, |_, _| {
                MemberChange::Remove(UnixTime(9))
            })
            .await
            .unwrap();
        let told = store.authorities_that_withdrew(0, 10).await.unwrap();
        assert_eq!(told, [(1, authority)]);
        assert!(
            store
                .authorities_that_withdrew(1, 10)
                .await
                .unwrap()
                .is_empty()
        );
    }

    async fn hosted(store: &Store, name: &str) -> Identifier {
        let person = Person::new();
        let vault = store.vault_or_only(None).await.unwrap();
        let vault = store.open_vault(&vault.name, None).await.unwrap();
        let made = store.create_identity(&vault, &person.named(name)).await;
        made.unwrap().into_record().identifier
    }
}
