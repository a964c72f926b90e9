//! What a change of rights leaves to be done where projects run: whoever was made a guest becomes a member, whoever may nothing
//! any more is dismissed, a project that is to go is deleted there.
//!
//! **Invariant**: what becomes due is written in the transaction of the change that makes it due, and forgotten when it is done.
//! So whatever ends the process in between, another one finds it.

use ockam_identity::{Identifier, UnixTime};

use crate::accounts::AccountRecord;
use crate::audit::{self, NewAudit};
use crate::error::{Failure, StoreError};
use crate::members::{bytes, count, identifier, seconds, time};
use crate::sql::{self, Connection, FromRow, Row, Value};
use crate::store::Store;

/// Something that is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DueRecord {
    /// Its place in the order of all.
    pub sequence: u64,
    /// The project.
    pub project: String,
    /// Whose membership is to follow from what they may now; nobody's, when the project is to be deleted.
    pub who: Option<Identifier>,
}

/// Places of what is due: those of one change, or all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dues {
    /// Behind this one.
    pub after: u64,
    /// Up to and with this one.
    pub through: u64,
    /// No younger than this.
    pub until: UnixTime,
}

impl Dues {
    /// Whatever was due at that time.
    #[must_use]
    pub const fn until(until: UnixTime) -> Self {
        Self {
            after: 0,
            through: u64::MAX,
            until,
        }
    }
}

impl Store {
    /// What is due, in its order, at most `limit`.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn due(&self, of: Dues, limit: usize) -> Result<Vec<DueRecord>, StoreError> {
        self.read(async |db| {
            let rows: Vec<Stored> = sql::query_as(
                "SELECT * FROM orchestrator_due WHERE sequence > $1 AND sequence <= $2 AND at <= $3
                 ORDER BY sequence LIMIT $4",
            )
            .bind(place(of.after))
            .bind(place(of.through))
            .bind(seconds(of.until))
            .bind(count(limit))
            .fetch_all(db)
            .await?;
            rows.into_iter().map(|row| row.0).collect()
        })
        .await
    }

    /// Forgets something that is done, with an entry that tells of it. Of several that did it, one tells.
    ///
    /// # Errors
    /// The store cannot be written.
    pub async fn settle(
        &self,
        due: &DueRecord,
        entry: Option<&NewAudit>,
    ) -> Result<(), StoreError> {
        self.write(async |db| {
            let gone = sql::query("DELETE FROM orchestrator_due WHERE sequence = $1")
                .bind(place(due.sequence))
                .execute(&mut *db)
                .await?;
            if let (Some(entry), 1..) = (entry, gone.rows_affected()) {
                audit::append(db, entry).await?;
            }
            Ok(())
        })
        .await
    }
}

/// The identities of an account, in every project in which its address may anything.
pub(crate) async fn of_account(
    db: &mut Connection,
    account: &AccountRecord,
    now: UnixTime,
) -> Result<Dues, Failure> {
    const STATEMENT: &str = "INSERT INTO orchestrator_due (project, identifier, at)
        SELECT seen.project, i.identifier, $3 FROM orchestrator_identifier i JOIN (
            SELECT q.id AS project FROM orchestrator_space_admin a JOIN orchestrator_project q ON q.space = a.space
            WHERE a.folded = $2
            UNION SELECT r.project FROM orchestrator_role r WHERE r.folded = $2
        ) seen ON 1 = 1 WHERE i.account = $1";
    let values = [
        account.id.clone().into(),
        account.email.to_lowercase().into(),
    ];
    add(db, STATEMENT, values, now).await
}

/// One identity of an account, in every project in which its address may anything.
pub(crate) async fn of_identity(
    db: &mut Connection,
    who: &Identifier,
    account: &AccountRecord,
    now: UnixTime,
) -> Result<Dues, Failure> {
    const STATEMENT: &str = "INSERT INTO orchestrator_due (project, identifier, at)
        SELECT seen.project, $1, $3 FROM (
            SELECT q.id AS project FROM orchestrator_space_admin a JOIN orchestrator_project q ON q.space = a.space
            WHERE a.folded = $2
            UNION SELECT r.project FROM orchestrator_role r WHERE r.folded = $2
        ) seen";
    let values = [bytes(who).into(), account.email.to_lowercase().into()];
    add(db, STATEMENT, values, now).await
}

/// The identities of an account, where its address is that of a guest.
pub(crate) async fn of_guest(
    db: &mut Connection,
    account: &AccountRecord,
    now: UnixTime,
) -> Result<Dues, Failure> {
    const STATEMENT: &str = "INSERT INTO orchestrator_due (project, identifier, at)
        SELECT r.project, i.identifier, $3 FROM orchestrator_identifier i JOIN orchestrator_role r ON r.role <> 0
        WHERE i.account = $1 AND r.folded = $2";
    let values = [
        account.id.clone().into(),
        account.email.to_lowercase().into(),
    ];
    add(db, STATEMENT, values, now).await
}

/// The identities of whoever has an address, in one project.
pub(crate) async fn in_project(
    db: &mut Connection,
    project: &str,
    email: &str,
    now: UnixTime,
) -> Result<Dues, Failure> {
    const STATEMENT: &str = "INSERT INTO orchestrator_due (project, identifier, at)
        SELECT $1, i.identifier, $3 FROM orchestrator_identifier i JOIN orchestrator_account a ON a.id = i.account
        WHERE a.folded = $2";
    let values = [project.to_owned().into(), email.to_lowercase().into()];
    add(db, STATEMENT, values, now).await
}

/// The identities of whoever has an address, in the projects of a space.
pub(crate) async fn in_space(
    db: &mut Connection,
    space: &str,
    email: &str,
    now: UnixTime,
) -> Result<Dues, Failure> {
    const STATEMENT: &str = "INSERT INTO orchestrator_due (project, identifier, at)
        SELECT p.id, i.identifier, $3 FROM orchestrator_identifier i JOIN orchestrator_account a ON a.id = i.account
        JOIN orchestrator_project p ON p.space = $1 WHERE a.folded = $2";
    let values = [space.to_owned().into(), email.to_lowercase().into()];
    add(db, STATEMENT, values, now).await
}

/// A project itself, which is to go.
pub(crate) async fn deletion(
    db: &mut Connection,
    project: &str,
    now: UnixTime,
) -> Result<Dues, Failure> {
    const STATEMENT: &str =
        "INSERT INTO orchestrator_due (project, identifier, at) VALUES ($1, $2, $3)";
    let values = [project.to_owned().into(), Value::Blob(None)];
    add(db, STATEMENT, values, now).await
}

/// Whoever writes is alone, so everything behind the last place before is of this change.
async fn add(
    db: &mut Connection,
    statement: &'static str,
    [first, second]: [Value; 2],
    now: UnixTime,
) -> Result<Dues, Failure> {
    let after = last(db).await?;
    sql::query(statement)
        .bind(first)
        .bind(second)
        .bind(seconds(now))
        .execute(&mut *db)
        .await?;
    Ok(Dues {
        after,
        through: last(db).await?,
        until: now,
    })
}

async fn last(db: &mut Connection) -> Result<u64, Failure> {
    let last: Option<i64> = sql::query_scalar("SELECT max(sequence) FROM orchestrator_due")
        .fetch_one(db)
        .await?;
    Ok(time(last.unwrap_or(0)).0)
}

fn place(sequence: u64) -> i64 {
    i64::try_from(sequence).unwrap_or(i64::MAX)
}

struct Stored(Result<DueRecord, Failure>);

impl FromRow for Stored {
    fn from_row(row: &Row) -> sqlx::Result<Self> {
        let sequence = time(row.try_get("sequence")?).0;
        let project = row.try_get("project")?;
        let who: Option<Vec<u8>> = row.try_get("identifier")?;
        let who = who.map(|who| identifier(&who)).transpose();
        Ok(Self(who.map(|who| DueRecord {
            sequence,
            project,
            who,
        })))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accounts::{AccountChange, Enrollment, SignInRecord};
    use crate::hosted_spaces::AdminChange;
    use crate::invitations::InvitationRecord;
    use crate::testing::{entry, store};

    const EMAIL: &str = "A@b";

    fn id(number: u8) -> Identifier {
        Identifier::new([number; 32])
    }

    async fn enroll(store: &Store, number: u8) -> (AccountRecord, Dues) {
        let somebody = SignInRecord {
            issuer: "https://issuer".to_owned(),
            subject: "s".to_owned(),
            email: Some(EMAIL.to_owned()),
            attributes: b"{}".to_vec(),
            new_id: "account".to_owned(),
            admitted: true,
        };
        match store
            .enroll_signed_in(&id(number), &somebody, &entry())
            .await
        {
            Ok(Enrollment::Enrolled { account, due, .. }) => (account, due),
            other => panic!("{other:?}"),
        }
    }

    async fn listed(store: &Store, dues: Dues) -> Vec<(String, Option<Identifier>)> {
        let mut listed: Vec<_> = store
            .due(dues, 10)
            .await
            .unwrap()
            .into_iter()
            .map(|due| (due.project, due.who))
            .collect();
        listed.sort();
        listed
    }

    fn pairs(pairs: &[(&str, u8)]) -> Vec<(String, Option<Identifier>)> {
        let pairs = pairs.iter();
        pairs
            .map(|(project, who)| ((*project).to_owned(), Some(id(*who))))
            .collect()
    }

    /// Two identities of one account, which administers the space of p and q, is a guest in r and invited to t.
    #[tokio::test]
    async fn what_becomes_due_is_what_the_change_touches() {
        let (_home, store) = store().await;
        for (space, admin) in [("s", EMAIL), ("z", "c@d")] {
            let admins = [admin.to_owned(), "c@d".to_owned()];
            store
                .create_hosted_space(space, space, &admins, &entry())
                .await
                .unwrap();
        }
        for (project, space) in [("p", "s"), ("q", "s"), ("r", "z"), ("t", "z")] {
            store
                .begin_hosted_project((project, project, space, project), &[], &entry())
                .await
                .unwrap();
        }
        store
            .put_project_role("r", "a@B", 1, &entry())
            .await
            .unwrap();
        let (account, due) = enroll(&store, 1).await;
        assert_eq!(listed(&store, due).await, pairs(&[("r", 1)]));
        let (_, due) = enroll(&store, 2).await;
        assert_eq!(listed(&store, due).await, pairs(&[("r", 1), ("r", 2)]));

        let invitation = InvitationRecord {
            id: "i".to_owned(),
            owner: "x".to_owned(),
            recipient: EMAIL.to_owned(),
            role: 1,
            scope: 0,
            target: "t".to_owned(),
            expires_at: UnixTime(5000),
            uses: 1,
            ignored: false,
            accepted: false,
            access: None,
        };
        store.put_invitation(&invitation, &entry()).await.unwrap();
        let taken = store.take_invitation("i", &account, &entry()).await;
        let (_, due) = taken.unwrap().unwrap();
        let guests = pairs(&[("r", 1), ("r", 2), ("t", 1), ("t", 2)]);
        assert_eq!(listed(&store, due).await, guests);

        let ended = store.delete_project_role("t", "a@b", &entry()).await;
        let due = ended.unwrap().unwrap();
        assert_eq!(listed(&store, due).await, pairs(&[("t", 1), ("t", 2)]));
        let ended = store
            .delete_account_identifier("account", &id(2), &entry())
            .await;
        let due = ended.unwrap().unwrap();
        let all = pairs(&[("p", 2), ("q", 2), ("r", 2)]);
        assert_eq!(listed(&store, due).await, all);
        let ended = store.delete_account("account", &entry()).await.unwrap();
        let AccountChange::Deleted(due) = ended else {
            panic!("{ended:?}")
        };
        let all = pairs(&[("p", 1), ("q", 1), ("r", 1)]);
        assert_eq!(listed(&store, due).await, all);

        // Whoever is done with one forgets that one, and says so once.
        let first = store.due(due, 1).await.unwrap().remove(0);
        let log = store.audit_behind(0, 100).await.unwrap().len();
        for _ in 0..2 {
            store.settle(&first, Some(&entry())).await.unwrap();
        }
        assert_eq!(listed(&store, due).await.len(), 2);
        assert_eq!(store.audit_behind(0, 100).await.unwrap().len(), log + 1);
    }

    #[tokio::test]
    async fn whoever_administers_a_space_no_more_is_looked_at_in_all_its_projects() {
        let (_home, store) = store().await;
        let admins = [EMAIL.to_owned(), "c@d".to_owned()];
        store
            .create_hosted_space("s", "s", &admins, &entry())
            .await
            .unwrap();
        for project in ["p", "q"] {
            store
                .begin_hosted_project((project, project, "s", project), &[], &entry())
                .await
                .unwrap();
        }
        enroll(&store, 1).await;
        let ended = store.delete_space_admin("s", "a@b", &entry()).await;
        let AdminChange::Done(due) = ended.unwrap() else {
            panic!()
        };
        assert_eq!(listed(&store, due).await, pairs(&[("p", 1), ("q", 1)]));
        let nobody = store.delete_space_admin("s", "c@d", &entry()).await;
        assert_eq!(nobody.unwrap(), AdminChange::Last);

        // With a project goes what was due of it.
        let gone = [("p".to_owned(), entry())];
        store.begin_project_deletions(&gone).await.unwrap();
        let all = Dues::until(UnixTime(u64::MAX));
        assert_eq!(listed(&store, all).await[0], ("p".to_owned(), None));
        store.delete_hosted_projects(&gone).await.unwrap();
        assert_eq!(listed(&store, all).await, pairs(&[("q", 1)]));
    }
}
