//! Accounts of an Orchestrator: people and machines, and the identities that act for them.
//!
//! **Invariants**: an identity acts for one account; an address and a subject belong to one account; there is an administrator
//! as long as there was one; each change is one transaction, decided with the rows as they are.
//!
//! Specification: trust 9.2, extensions 4.8.2.

use ockam_identity::{Identifier, UnixTime};

use crate::audit::{self, NewAudit};
use crate::dues::{self, Dues};
use crate::error::{Failure, StoreError};
use crate::members::{bytes, count, identifier, seconds, time};
use crate::sql::{self, Connection, FromRow, Row};
use crate::store::Store;

/// An account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountRecord {
    /// Its id.
    pub id: String,
    /// Its number, in the order in which accounts were made.
    pub number: u64,
    /// Its address.
    pub email: String,
    /// Whether it administers the Orchestrator.
    pub administrator: bool,
    /// Since when it is there.
    pub created_at: UnixTime,
    /// Who vouches for the subject.
    pub issuer: Option<String>,
    /// Who it is there.
    pub subject: Option<String>,
    /// What is said of it, encoded by the caller.
    pub attributes: Vec<u8>,
}

/// Somebody whom a provider vouches for.
#[derive(Debug, Clone)]
pub struct SignInRecord {
    /// The provider.
    pub issuer: String,
    /// Who.
    pub subject: String,
    /// Their address, if it is verified.
    pub email: Option<String>,
    /// What is said of them, encoded by the caller.
    pub attributes: Vec<u8>,
    /// The id of the account, should there be none.
    pub new_id: String,
    /// Whether they may come uninvited.
    pub admitted: bool,
}

/// What became of a sign-in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Enrollment {
    /// The identity acts for this account now.
    Enrolled {
        /// The account.
        account: AccountRecord,
        /// Whether it was made.
        made: bool,
        /// Where it is a guest.
        due: Dues,
    },
    /// The identity acts for another account.
    ActsForAnother,
    /// Nobody invited them, or their address is not verified.
    NotInvited,
}

/// What became of a change of administrators or accounts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AccountChange {
    /// Done.
    Done,
    /// There is no such account.
    Unknown,
    /// Nobody would administer the Orchestrator any more.
    LastAdministrator,
    /// Nobody would administer this space any more.
    LastOfSpace {
        /// Its id.
        id: String,
        /// Its name.
        name: String,
    },
    /// Done, but for its end in the projects where it was something.
    Deleted(Dues),
}

impl Store {
    /// The account an identity acts for.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn account_of(&self, who: &Identifier) -> Result<Option<AccountRecord>, StoreError> {
        self.read(async |db| account_of(db, who).await).await
    }

    /// One account.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn orchestrator_account(
        &self,
        id: &str,
    ) -> Result<Option<AccountRecord>, StoreError> {
        self.read(async |db| by_id(db, id).await).await
    }

    /// The account with an address.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn account_with_email(
        &self,
        email: &str,
    ) -> Result<Option<AccountRecord>, StoreError> {
        self.read(async |db| by_email(db, email).await).await
    }

    /// The identities that act for an account.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn account_identifiers(&self, id: &str) -> Result<Vec<Identifier>, StoreError> {
        self.read(async |db| identifiers(db, id).await).await
    }

    /// The identities that act for whoever has an address.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn identifiers_with_email(&self, email: &str) -> Result<Vec<Identifier>, StoreError> {
        self.read(async |db| match by_email(db, email).await? {
            Some(account) => identifiers(db, &account.id).await,
            None => Ok(Vec::new()),
        })
        .await
    }

    /// Accounts behind a number, in their order, with the identities that act for them.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn accounts_behind(
        &self,
        after: u64,
        limit: usize,
    ) -> Result<Vec<(AccountRecord, Vec<Identifier>)>, StoreError> {
        self.read(async |db| {
            let accounts: Vec<AccountRecord> = sql::query_as(
                "SELECT * FROM orchestrator_account WHERE number > $1 ORDER BY number LIMIT $2",
            )
            .bind(i64::try_from(after).unwrap_or(i64::MAX))
            .bind(count(limit))
            .fetch_all(&mut *db)
            .await?;
            let mut listed = Vec::with_capacity(accounts.len());
            for account in accounts {
                let identifiers = identifiers(db, &account.id).await?;
                listed.push((account, identifiers));
            }
            Ok(listed)
        })
        .await
    }

    /// How many accounts there are, and how many of them administer the Orchestrator.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn count_accounts(&self) -> Result<(u64, u64), StoreError> {
        self.read(async |db| {
            let all: i64 = sql::query_scalar("SELECT count(*) FROM orchestrator_account")
                .fetch_one(&mut *db)
                .await?;
            Ok((time(all).0, administrators(db).await?))
        })
        .await
    }

    /// Lets an identity act for somebody whom a provider vouches for.
    ///
    /// # Errors
    /// The store cannot be read or written.
    pub async fn enroll_signed_in(
        &self,
        who: &Identifier,
        somebody: &SignInRecord,
        entry: &NewAudit,
    ) -> Result<Enrollment, StoreError> {
        let now = entry.at;
        self.write(async |db| {
            let known: Option<AccountRecord> = sql::query_as(
                "SELECT * FROM orchestrator_account WHERE issuer = $1 AND subject = $2",
            )
            .bind(somebody.issuer.clone())
            .bind(somebody.subject.clone())
            .fetch_optional(&mut *db)
            .await?;
            let (account, made) = match known {
                Some(account) => (account, false),
                None => match signed_in(db, somebody, now).await? {
                    Some(found) => found,
                    None => return Ok(Enrollment::NotInvited),
                },
            };
            if !act_for(db, who, &account.id, now).await? {
                return Ok(Enrollment::ActsForAnother);
            }
            sql::query(
                "UPDATE orchestrator_account SET issuer = $2, subject = $3, attributes = $4 WHERE id = $1",
            )
            .bind(account.id.clone())
            .bind(somebody.issuer.clone())
            .bind(somebody.subject.clone())
            .bind(somebody.attributes.clone())
            .execute(&mut *db)
            .await?;
            let account = by_id(db, &account.id).await?.unwrap_or(account);
            let due = dues::of_guest(db, &account, now).await?;
            audit::append(db, &entry.on(account.object())).await?;
            Ok(Enrollment::Enrolled { account, made, due })
        })
        .await
    }

    /// Says whether an account administers the Orchestrator.
    ///
    /// # Errors
    /// The store cannot be read or written.
    pub async fn set_administrator(
        &self,
        id: &str,
        administrator: bool,
        entry: &NewAudit,
    ) -> Result<AccountChange, StoreError> {
        self.write(async |db| {
            let Some(account) = by_id(db, id).await? else {
                return Ok(AccountChange::Unknown);
            };
            if account.administrator && !administrator && administrators(db).await? < 2 {
                return Ok(AccountChange::LastAdministrator);
            }
            sql::query("UPDATE orchestrator_account SET administrator = $2 WHERE id = $1")
                .bind(id.to_owned())
                .bind(administrator)
                .execute(&mut *db)
                .await?;
            audit::append(db, &entry.on(account.object())).await?;
            Ok(AccountChange::Done)
        })
        .await
    }

    /// Deletes an account, with what it was given by address and whom it invited. What it is where projects run is due.
    ///
    /// # Errors
    /// The store cannot be read or written.
    pub async fn delete_account(
        &self,
        id: &str,
        entry: &NewAudit,
    ) -> Result<AccountChange, StoreError> {
        self.write(async |db| {
            let Some(account) = by_id(db, id).await? else {
                return Ok(AccountChange::Unknown);
            };
            if account.administrator && administrators(db).await? < 2 {
                return Ok(AccountChange::LastAdministrator);
            }
            if let Some((id, name)) = space_without(db, &account.email).await? {
                return Ok(AccountChange::LastOfSpace { id, name });
            }
            let due = dues::of_account(db, &account, entry.at).await?;
            for (statement, value) in [
                (
                    "DELETE FROM orchestrator_identifier WHERE account = $1",
                    id.to_owned(),
                ),
                (
                    "DELETE FROM orchestrator_code WHERE account = $1",
                    id.to_owned(),
                ),
                (
                    "DELETE FROM orchestrator_code WHERE issued_by = $1",
                    id.to_owned(),
                ),
                (
                    "DELETE FROM orchestrator_invitation WHERE owner = $1",
                    id.to_owned(),
                ),
                (
                    "DELETE FROM orchestrator_invitation WHERE recipient_folded = $1",
                    account.email.to_lowercase(),
                ),
                (
                    "DELETE FROM orchestrator_role WHERE folded = $1",
                    account.email.to_lowercase(),
                ),
                (
                    "DELETE FROM orchestrator_space_admin WHERE folded = $1",
                    account.email.to_lowercase(),
                ),
                (
                    "DELETE FROM orchestrator_account WHERE id = $1",
                    id.to_owned(),
                ),
            ] {
                sql::query(statement).bind(value).execute(&mut *db).await?;
            }
            audit::append(db, &entry.on(account.object())).await?;
            Ok(AccountChange::Deleted(due))
        })
        .await
    }

    /// Ends that an identity acts for an account; what it is where projects run is due. Nothing if it does not act for it.
    ///
    /// # Errors
    /// The store cannot be written.
    pub async fn delete_account_identifier(
        &self,
        id: &str,
        who: &Identifier,
        entry: &NewAudit,
    ) -> Result<Option<Dues>, StoreError> {
        self.write(async |db| {
            let Some(account) = by_id(db, id).await? else {
                return Ok(None);
            };
            let gone = sql::query(
                "DELETE FROM orchestrator_identifier WHERE identifier = $1 AND account = $2",
            )
            .bind(bytes(who))
            .bind(id.to_owned())
            .execute(&mut *db)
            .await?;
            if gone.rows_affected() == 0 {
                return Ok(None);
            }
            let due = dues::of_identity(db, who, &account, entry.at).await?;
            let object = format!("account {id} {who}");
            audit::append(db, &entry.on(object)).await?;
            Ok(Some(due))
        })
        .await
    }
}

impl AccountRecord {
    /// What the audit log calls it.
    pub(crate) fn object(&self) -> String {
        format!("account {} {}", self.id, self.email)
    }
}

/// A space that somebody administers alone.
async fn space_without(
    db: &mut Connection,
    email: &str,
) -> Result<Option<(String, String)>, Failure> {
    Ok(sql::query_as(
        "SELECT s.id, s.name FROM orchestrator_space_admin a JOIN orchestrator_space s ON s.id = a.space
         WHERE a.folded = $1 AND NOT EXISTS (
             SELECT 1 FROM orchestrator_space_admin o WHERE o.space = a.space AND o.folded <> a.folded
         ) ORDER BY s.id LIMIT 1",
    )
    .bind(email.to_lowercase())
    .fetch_optional(db)
    .await?)
}

/// The account for a subject that has none, and whether it was made.
async fn signed_in(
    db: &mut Connection,
    somebody: &SignInRecord,
    now: UnixTime,
) -> Result<Option<(AccountRecord, bool)>, Failure> {
    // Rights are given to addresses: one that nobody verified is worth nothing.
    let Some(email) = &somebody.email else {
        return Ok(None);
    };
    if let Some(known) = by_email(db, email).await? {
        return Ok(known.subject.is_none().then_some((known, false)));
    }
    if !somebody.admitted && !is_expected(db, email, now).await? {
        return Ok(None);
    }
    let account = make(db, &somebody.new_id, email, now).await?;
    Ok(Some((account, true)))
}

/// Whether somebody with this address was named by somebody who may.
async fn is_expected(db: &mut Connection, email: &str, now: UnixTime) -> Result<bool, Failure> {
    let found: Option<i64> = sql::query_scalar(
        "SELECT 1 FROM orchestrator_invitation WHERE recipient_folded = $1 AND expires_at > $2 AND uses > 0
         UNION ALL SELECT 1 FROM orchestrator_role WHERE folded = $1
         UNION ALL SELECT 1 FROM orchestrator_space_admin WHERE folded = $1 LIMIT 1",
    )
    .bind(email.to_lowercase())
    .bind(seconds(now))
    .fetch_optional(db)
    .await?;
    Ok(found.is_some())
}

pub(crate) async fn make(
    db: &mut Connection,
    id: &str,
    email: &str,
    now: UnixTime,
) -> Result<AccountRecord, Failure> {
    sql::query(
        "INSERT INTO orchestrator_account (id, email, folded, administrator, created_at, attributes)
         VALUES ($1, $2, $3, 0, $4, $5)",
    )
    .bind(id.to_owned())
    .bind(email.to_owned())
    .bind(email.to_lowercase())
    .bind(seconds(now))
    .bind(Vec::<u8>::new())
    .execute(&mut *db)
    .await?;
    by_id(db, id)
        .await?
        .ok_or_else(|| Failure::unreadable("account", "it is not there"))
}

/// Lets an identity act for an account, unless it acts for another.
pub(crate) async fn act_for(
    db: &mut Connection,
    who: &Identifier,
    account: &str,
    now: UnixTime,
) -> Result<bool, Failure> {
    sql::query(
        "INSERT INTO orchestrator_identifier (identifier, account, added_at) VALUES ($1, $2, $3)
         ON CONFLICT (identifier) DO NOTHING",
    )
    .bind(bytes(who))
    .bind(account.to_owned())
    .bind(seconds(now))
    .execute(&mut *db)
    .await?;
    let acts = account_of(db, who).await?;
    Ok(acts.is_some_and(|acts| acts.id == account))
}

pub(crate) async fn account_of(
    db: &mut Connection,
    who: &Identifier,
) -> Result<Option<AccountRecord>, Failure> {
    Ok(sql::query_as(
        "SELECT a.* FROM orchestrator_account a JOIN orchestrator_identifier i ON i.account = a.id
         WHERE i.identifier = $1",
    )
    .bind(bytes(who))
    .fetch_optional(db)
    .await?)
}

pub(crate) async fn by_id(db: &mut Connection, id: &str) -> Result<Option<AccountRecord>, Failure> {
    Ok(
        sql::query_as("SELECT * FROM orchestrator_account WHERE id = $1")
            .bind(id.to_owned())
            .fetch_optional(db)
            .await?,
    )
}

pub(crate) async fn by_email(
    db: &mut Connection,
    email: &str,
) -> Result<Option<AccountRecord>, Failure> {
    Ok(
        sql::query_as("SELECT * FROM orchestrator_account WHERE folded = $1")
            .bind(email.to_lowercase())
            .fetch_optional(db)
            .await?,
    )
}

async fn administrators(db: &mut Connection) -> Result<u64, Failure> {
    let found: i64 =
        sql::query_scalar("SELECT count(*) FROM orchestrator_account WHERE administrator = 1")
            .fetch_one(db)
            .await?;
    Ok(time(found).0)
}

async fn identifiers(db: &mut Connection, account: &str) -> Result<Vec<Identifier>, Failure> {
    let rows: Vec<Vec<u8>> = sql::query_scalar(
        "SELECT identifier FROM orchestrator_identifier WHERE account = $1 ORDER BY identifier",
    )
    .bind(account.to_owned())
    .fetch_all(db)
    .await?;
    rows.iter().map(|row| identifier(row)).collect()
}

impl FromRow for AccountRecord {
    fn from_row(row: &Row) -> sqlx::Result<Self> {
        Ok(Self {
            id: row.try_get("id")?,
            number: time(row.try_get("number")?).0,
            email: row.try_get("email")?,
            administrator: row.try_get("administrator")?,
            created_at: time(row.try_get("created_at")?),
            issuer: row.try_get("issuer")?,
            subject: row.try_get("subject")?,
            attributes: row.try_get("attributes")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{entry, store};

    fn id(number: u8) -> Identifier {
        Identifier::new([number; 32])
    }

    fn somebody(subject: &str, email: Option<&str>, admitted: bool) -> SignInRecord {
        SignInRecord {
            issuer: "https://issuer".to_owned(),
            subject: subject.to_owned(),
            email: email.map(str::to_owned),
            attributes: b"a".to_vec(),
            new_id: format!("account-{subject}"),
            admitted,
        }
    }

    #[tokio::test]
    async fn who_signs_in_has_one_account_with_any_number_of_identities() {
        let (_home, store) = store().await;
        let alice = somebody("alice", Some("Alice@example.com"), true);
        for (number, made) in [(1, true), (1, false), (2, false)] {
            let enrolled = store
                .enroll_signed_in(&id(number), &alice, &entry())
                .await
                .unwrap();
            let Enrollment::Enrolled {
                account,
                made: was_made,
                ..
            } = enrolled
            else {
                panic!("{enrolled:?}");
            };
            assert_eq!((account.id.as_str(), was_made), ("account-alice", made));
        }
        assert_eq!(
            store.account_identifiers("account-alice").await.unwrap(),
            [id(1), id(2)]
        );
        let bob = somebody("bob", Some("bob@example.com"), true);
        assert_eq!(
            store
                .enroll_signed_in(&id(1), &bob, &entry())
                .await
                .unwrap(),
            Enrollment::ActsForAnother
        );
        // The address is another's.
        let mallory = somebody("mallory", Some("ALICE@example.com"), true);
        assert_eq!(
            store
                .enroll_signed_in(&id(3), &mallory, &entry())
                .await
                .unwrap(),
            Enrollment::NotInvited
        );
        for unknown in [
            somebody("x", Some("x@example.com"), false),
            somebody("y", None, true),
        ] {
            assert_eq!(
                store
                    .enroll_signed_in(&id(4), &unknown, &entry())
                    .await
                    .unwrap(),
                Enrollment::NotInvited
            );
        }
        assert_eq!(store.account_of(&id(4)).await.unwrap(), None);
    }

    #[tokio::test]
    async fn there_is_always_an_administrator() {
        let (_home, store) = store().await;
        let alice = somebody("alice", Some("alice@example.com"), true);
        store
            .enroll_signed_in(&id(1), &alice, &entry())
            .await
            .unwrap();
        let change = store
            .set_administrator("account-alice", true, &entry())
            .await
            .unwrap();
        assert_eq!(change, AccountChange::Done);
        for change in [
            store
                .set_administrator("account-alice", false, &entry())
                .await
                .unwrap(),
            store
                .delete_account("account-alice", &entry())
                .await
                .unwrap(),
        ] {
            assert_eq!(change, AccountChange::LastAdministrator);
        }
        assert_eq!(store.count_accounts().await.unwrap(), (1, 1));
    }
}
