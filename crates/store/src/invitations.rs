//! Invitations to an Orchestrator: by one-time code, known by its hash, and to spaces and projects, by address.
//!
//! **Invariant**: taking a use off an invitation and giving what it gives is one transaction, so a use is counted exactly once
//! whoever else redeems and whatever ends the process. The code itself is never stored.
//!
//! Specification: trust 9.6, extensions 4.8.1.

use ockam_identity::{Identifier, UnixTime};

use crate::accounts::{self, AccountRecord};
use crate::audit::{self, NewAudit};
use crate::dues::{self, Dues};
use crate::error::{Failure, StoreError};
use crate::hosted_projects::put_role;
use crate::hosted_spaces::put_admin;
use crate::members::{count, seconds, time};
use crate::sql::{self, Connection, FromRow, Row};
use crate::store::Store;

/// An invitation by code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CodeRecord {
    /// Its id.
    pub id: String,
    /// The address of the account it makes; one is made up if absent.
    pub email: Option<String>,
    /// Whether they administer the Orchestrator.
    pub administrator: bool,
    /// From when on it is worth nothing.
    pub expires_at: UnixTime,
    /// How often it can still be redeemed.
    pub uses: u64,
    /// The account that made it, or what did so by itself.
    pub issued_by: String,
    /// The account it is for: one that was there, or the one of this address that it made.
    pub account: Option<String>,
    /// The space they administer.
    pub space: Option<String>,
    /// The project they come to.
    pub project: Option<String>,
    /// What they are there, as its number. `spec: trust 9.4`
    pub role: u64,
}

/// What became of a code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CodeRedemption {
    /// One use is gone, and the identity acts for this account.
    Redeemed {
        /// The account.
        account: Box<AccountRecord>,
        /// Where it is a guest.
        due: Dues,
    },
    /// There is no such code, it ended, or its address is somebody's.
    Unknown,
}

/// An invitation to a space or a project, or to one service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvitationRecord {
    /// Its id.
    pub id: String,
    /// The account that sent it.
    pub owner: String,
    /// Who is invited.
    pub recipient: String,
    /// What they become, as its number. `spec: trust 9.4`
    pub role: u64,
    /// What the target is, as its number. `spec: trust 9.4`
    pub scope: u64,
    /// The id of the space or project.
    pub target: String,
    /// From when on it is worth nothing.
    pub expires_at: UnixTime,
    /// How often it can still be taken.
    pub uses: u64,
    /// Whether the guest does not want it.
    pub ignored: bool,
    /// Whether the guest took it.
    pub accepted: bool,
    /// How the service is reached, encoded by the caller.
    pub access: Option<Vec<u8>>,
}

impl Store {
    /// Keeps an invitation by code under the hash of the code, in place of the one with another hash, if one is given.
    ///
    /// # Errors
    /// The store cannot be written.
    pub async fn put_invitation_code(
        &self,
        hash: &[u8; 32],
        code: &CodeRecord,
        instead_of: Option<&[u8; 32]>,
        entry: &NewAudit,
    ) -> Result<(), StoreError> {
        self.write(async |db| {
            if let Some(earlier) = instead_of {
                sql::query("DELETE FROM orchestrator_code WHERE hash = $1 AND issued_by = $2")
                    .bind(earlier.to_vec())
                    .bind(code.issued_by.clone())
                    .execute(&mut *db)
                    .await?;
            }
            sql::query(
                "INSERT INTO orchestrator_code
                     (id, hash, email, administrator, expires_at, uses, issued_by, account, space, project, role)
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
            )
            .bind(code.id.clone())
            .bind(hash.to_vec())
            .bind(code.email.clone())
            .bind(code.administrator)
            .bind(seconds(code.expires_at))
            .bind(number(code.uses))
            .bind(code.issued_by.clone())
            .bind(code.account.clone())
            .bind(code.space.clone())
            .bind(code.project.clone())
            .bind(number(code.role))
            .execute(&mut *db)
            .await?;
            audit::append(db, entry).await?;
            Ok(())
        })
        .await
    }

    /// Invitations by code behind an id, in the order of ids, that can still be redeemed.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn invitation_codes_behind(
        &self,
        after: &str,
        limit: usize,
        now: UnixTime,
    ) -> Result<Vec<CodeRecord>, StoreError> {
        self.read(async |db| {
            Ok(sql::query_as(
                "SELECT * FROM orchestrator_code WHERE id > $1 AND expires_at > $2 ORDER BY id LIMIT $3",
            )
            .bind(after.to_owned())
            .bind(seconds(now))
            .bind(count(limit))
            .fetch_all(db)
            .await?)
        })
        .await
    }

    /// Forgets an invitation by code; gives back whether there was one.
    ///
    /// # Errors
    /// The store cannot be written.
    pub async fn delete_invitation_code(
        &self,
        id: &str,
        entry: &NewAudit,
    ) -> Result<bool, StoreError> {
        self.write(async |db| {
            let gone = sql::query("DELETE FROM orchestrator_code WHERE id = $1")
                .bind(id.to_owned())
                .execute(&mut *db)
                .await?;
            let is_gone = gone.rows_affected() > 0;
            if is_gone {
                audit::append(db, entry).await?;
            }
            Ok(is_gone)
        })
        .await
    }

    /// Takes one use off a code and lets an identity act for its account, which is made under `new_id` and with the address
    /// `made_up` if the code names none. With a code for a first administrator, which no account made,
    /// all others such end.
    ///
    /// # Errors
    /// The store cannot be read or written.
    pub async fn redeem_invitation_code(
        &self,
        hash: &[u8; 32],
        who: &Identifier,
        (new_id, made_up): (&str, &str),
        entry: &NewAudit,
    ) -> Result<CodeRedemption, StoreError> {
        let now = entry.at;
        // Most that come with a wrong code are told so without waiting for the right to write.
        let known = self.read(async |db| look_up(db, hash, now).await).await?;
        if known.is_none() {
            return Ok(CodeRedemption::Unknown);
        }
        self.write(async |db| {
            sql::query("DELETE FROM orchestrator_code WHERE expires_at <= $1")
                .bind(seconds(now))
                .execute(&mut *db)
                .await?;
            let Some(code) = look_up(db, hash, now).await? else {
                return Ok(CodeRedemption::Unknown);
            };
            let Some(account) = account_for(db, who, &code, (new_id, made_up), now).await? else {
                return Ok(CodeRedemption::Unknown);
            };
            let used = if code.uses > 1 {
                "UPDATE orchestrator_code SET uses = uses - 1 WHERE hash = $1"
            } else {
                "DELETE FROM orchestrator_code WHERE hash = $1"
            };
            sql::query(used)
                .bind(hash.to_vec())
                .execute(&mut *db)
                .await?;
            if code.email.is_some() {
                sql::query("UPDATE orchestrator_code SET account = $2 WHERE hash = $1")
                    .bind(hash.to_vec())
                    .bind(account.id.clone())
                    .execute(&mut *db)
                    .await?;
            }
            if code.administrator {
                sql::query("UPDATE orchestrator_account SET administrator = 1 WHERE id = $1")
                    .bind(account.id.clone())
                    .execute(&mut *db)
                    .await?;
            }
            if code.administrator && accounts::by_id(db, &code.issued_by).await?.is_none() {
                sql::query(
                    "DELETE FROM orchestrator_code WHERE issued_by = $1 AND administrator = 1 AND hash <> $2",
                )
                .bind(code.issued_by.clone())
                .bind(hash.to_vec())
                .execute(&mut *db)
                .await?;
            }
            if let Some(space) = &code.space {
                put_admin(db, space, &account.email).await?;
            }
            if let Some(project) = &code.project {
                put_role(db, project, &account.email, code.role).await?;
            }
            let account = accounts::by_id(db, &account.id).await?.unwrap_or(account);
            let due = dues::of_guest(db, &account, now).await?;
            audit::append(db, &entry.on(account.object())).await?;
            Ok(CodeRedemption::Redeemed {
                account: Box::new(account),
                due,
            })
        })
        .await
    }

    /// Keeps an invitation.
    ///
    /// # Errors
    /// The store cannot be written.
    pub async fn put_invitation(
        &self,
        invitation: &InvitationRecord,
        entry: &NewAudit,
    ) -> Result<(), StoreError> {
        self.write(async |db| {
            sql::query(
                "INSERT INTO orchestrator_invitation
                     (id, owner, recipient, recipient_folded, role, scope, target, expires_at, uses, ignored, accepted, access)
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
            )
            .bind(invitation.id.clone())
            .bind(invitation.owner.clone())
            .bind(invitation.recipient.clone())
            .bind(invitation.recipient.to_lowercase())
            .bind(number(invitation.role))
            .bind(number(invitation.scope))
            .bind(invitation.target.clone())
            .bind(seconds(invitation.expires_at))
            .bind(number(invitation.uses))
            .bind(invitation.ignored)
            .bind(invitation.accepted)
            .bind(invitation.access.clone())
            .execute(&mut *db)
            .await?;
            audit::append(db, entry).await?;
            Ok(())
        })
        .await
    }

    /// One invitation.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn invitation(&self, id: &str) -> Result<Option<InvitationRecord>, StoreError> {
        self.read(async |db| invitation(db, id).await).await
    }

    /// Invitations that an account sent.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn invitations_sent(
        &self,
        owner: &str,
        limit: usize,
    ) -> Result<Vec<InvitationRecord>, StoreError> {
        self.read(async |db| {
            Ok(sql::query_as(
                "SELECT * FROM orchestrator_invitation WHERE owner = $1 ORDER BY id LIMIT $2",
            )
            .bind(owner.to_owned())
            .bind(count(limit))
            .fetch_all(db)
            .await?)
        })
        .await
    }

    /// Invitations to somebody.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn invitations_received(
        &self,
        email: &str,
        limit: usize,
    ) -> Result<Vec<InvitationRecord>, StoreError> {
        self.read(async |db| {
            Ok(sql::query_as(
                "SELECT * FROM orchestrator_invitation WHERE recipient_folded = $1 ORDER BY id LIMIT $2",
            )
            .bind(email.to_lowercase())
            .bind(count(limit))
            .fetch_all(db)
            .await?)
        })
        .await
    }

    /// Notes that the guest does not want an invitation.
    ///
    /// # Errors
    /// The store cannot be written.
    pub async fn ignore_invitation(&self, id: &str, entry: &NewAudit) -> Result<(), StoreError> {
        self.write(async |db| {
            sql::query("UPDATE orchestrator_invitation SET ignored = 1 WHERE id = $1")
                .bind(id.to_owned())
                .execute(&mut *db)
                .await?;
            audit::append(db, entry).await?;
            Ok(())
        })
        .await
    }

    /// Takes one use off an invitation and gives what it gives; nothing if it cannot be taken by this account. What its
    /// identities become where the project runs is due.
    ///
    /// # Errors
    /// The store cannot be read or written.
    pub async fn take_invitation(
        &self,
        id: &str,
        account: &AccountRecord,
        entry: &NewAudit,
    ) -> Result<Option<(InvitationRecord, Dues)>, StoreError> {
        let email = &account.email;
        self.write(async |db| {
            let Some(found) = invitation(db, id).await? else {
                return Ok(None);
            };
            let is_theirs = found.recipient.to_lowercase() == email.to_lowercase();
            if !is_theirs || found.uses == 0 || found.expires_at <= entry.at {
                return Ok(None);
            }
            sql::query("UPDATE orchestrator_invitation SET uses = uses - 1, accepted = 1, ignored = 0 WHERE id = $1")
                .bind(id.to_owned())
                .execute(&mut *db)
                .await?;
            match found.scope {
                SPACE => put_admin(db, &found.target, email).await?,
                PROJECT => give_role(db, &found, email).await?,
                _ => {}
            }
            let due = dues::of_guest(db, account, entry.at).await?;
            let object = format!("invitation {id} to {}", found.target);
            audit::append(db, &entry.on(object)).await?;
            Ok(Some((found, due)))
        })
        .await
    }
}

/// Somebody who administers a project already does not become a guest.
async fn give_role(
    db: &mut Connection,
    invitation: &InvitationRecord,
    email: &str,
) -> Result<(), Failure> {
    let role: Option<i64> =
        sql::query_scalar("SELECT role FROM orchestrator_role WHERE project = $1 AND folded = $2")
            .bind(invitation.target.clone())
            .bind(email.to_lowercase())
            .fetch_optional(&mut *db)
            .await?;
    if role.is_some_and(|role| time(role).0 <= invitation.role) {
        return Ok(());
    }
    put_role(db, &invitation.target, email, invitation.role).await
}

/// The account that an identity acts for once a code is redeemed; none if the code is not for it.
async fn account_for(
    db: &mut Connection,
    who: &Identifier,
    code: &CodeRecord,
    (new_id, made_up): (&str, &str),
    now: UnixTime,
) -> Result<Option<AccountRecord>, Failure> {
    if let Some(account) = accounts::account_of(db, who).await? {
        let is_for_another = code.account.as_ref().is_some_and(|of| *of != account.id)
            || code
                .email
                .as_ref()
                .is_some_and(|email| email.to_lowercase() != account.email.to_lowercase());
        return Ok((!is_for_another).then_some(account));
    }
    let account = match (&code.account, &code.email) {
        (Some(account), _) => accounts::by_id(db, account).await?,
        (None, Some(email)) => match accounts::by_email(db, email).await? {
            // Somebody else came by this address meanwhile.
            Some(_) => None,
            None => Some(accounts::make(db, new_id, email, now).await?),
        },
        (None, None) => Some(accounts::make(db, new_id, made_up, now).await?),
    };
    if let Some(account) = &account {
        accounts::act_for(db, who, &account.id, now).await?;
    }
    Ok(account)
}

async fn look_up(
    db: &mut Connection,
    hash: &[u8; 32],
    now: UnixTime,
) -> Result<Option<CodeRecord>, Failure> {
    Ok(
        sql::query_as("SELECT * FROM orchestrator_code WHERE hash = $1 AND expires_at > $2")
            .bind(hash.to_vec())
            .bind(seconds(now))
            .fetch_optional(db)
            .await?,
    )
}

async fn invitation(db: &mut Connection, id: &str) -> Result<Option<InvitationRecord>, Failure> {
    Ok(
        sql::query_as("SELECT * FROM orchestrator_invitation WHERE id = $1")
            .bind(id.to_owned())
            .fetch_optional(db)
            .await?,
    )
}

fn number(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

impl FromRow for CodeRecord {
    fn from_row(row: &Row) -> sqlx::Result<Self> {
        Ok(Self {
            id: row.try_get("id")?,
            email: row.try_get("email")?,
            administrator: row.try_get("administrator")?,
            expires_at: time(row.try_get("expires_at")?),
            uses: time(row.try_get("uses")?).0,
            issued_by: row.try_get("issued_by")?,
            account: row.try_get("account")?,
            space: row.try_get("space")?,
            project: row.try_get("project")?,
            role: time(row.try_get("role")?).0,
        })
    }
}

impl FromRow for InvitationRecord {
    fn from_row(row: &Row) -> sqlx::Result<Self> {
        Ok(Self {
            id: row.try_get("id")?,
            owner: row.try_get("owner")?,
            recipient: row.try_get("recipient")?,
            role: time(row.try_get("role")?).0,
            scope: time(row.try_get("scope")?).0,
            target: row.try_get("target")?,
            expires_at: time(row.try_get("expires_at")?),
            uses: time(row.try_get("uses")?).0,
            ignored: row.try_get("ignored")?,
            accepted: row.try_get("accepted")?,
            access: row.try_get("access")?,
        })
    }
}

/// Numbers of scopes. `spec: trust 9.4`
const PROJECT: u64 = 0;
const SPACE: u64 = 2;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{entry, store};

    const HASH: [u8; 32] = [7; 32];

    fn at_time(at: u64) -> NewAudit {
        NewAudit {
            at: UnixTime(at),
            ..entry()
        }
    }

    fn id(number: u8) -> Identifier {
        Identifier::new([number; 32])
    }

    fn code(email: Option<&str>, uses: u64) -> CodeRecord {
        CodeRecord {
            id: "code".to_owned(),
            email: email.map(str::to_owned),
            administrator: true,
            expires_at: UnixTime(2000),
            uses,
            issued_by: "orchestrator".to_owned(),
            account: None,
            space: None,
            project: None,
            role: 1,
        }
    }

    #[tokio::test]
    async fn a_code_is_counted_once_whoever_redeems_it_at_the_same_time() {
        let (_home, store) = store().await;
        let second = crate::testing::another(&store).await;
        store
            .put_invitation_code(&HASH, &code(None, 3), None, &entry())
            .await
            .unwrap();
        let tasks: Vec<_> = (0..12)
            .map(|number: u8| {
                let store = if number.is_multiple_of(2) {
                    store.clone()
                } else {
                    second.clone()
                };
                tokio::spawn(async move {
                    let names = (format!("account-{number}"), format!("m{number}@x"));
                    store
                        .redeem_invitation_code(&HASH, &id(number), (&names.0, &names.1), &entry())
                        .await
                        .unwrap()
                })
            })
            .collect();
        let mut redeemed = 0;
        for task in tasks {
            redeemed += usize::from(matches!(
                task.await.unwrap(),
                CodeRedemption::Redeemed { .. }
            ));
        }
        assert_eq!(redeemed, 3);
        assert_eq!(store.count_accounts().await.unwrap(), (3, 3));
    }

    #[tokio::test]
    async fn a_code_ends_and_is_not_for_somebody_elses_account() {
        let (_home, store) = store().await;
        store
            .put_invitation_code(&HASH, &code(Some("a@b"), 2), None, &entry())
            .await
            .unwrap();
        let redeem = async |who, at| {
            store
                .redeem_invitation_code(&HASH, &id(who), ("n", "m@x"), &at_time(at))
                .await
                .unwrap()
        };
        assert_eq!(redeem(1, 2000).await, CodeRedemption::Unknown);
        for who in [1, 2] {
            let CodeRedemption::Redeemed { account, .. } = redeem(who, 1000).await else {
                panic!()
            };
            assert_eq!((account.id.as_str(), account.email.as_str()), ("n", "a@b"));
            assert!(account.administrator);
        }
        assert_eq!(redeem(3, 1000).await, CodeRedemption::Unknown);
        // The address is taken by now.
        let mut other = code(Some("A@b"), 1);
        other.id = "other".to_owned();
        store
            .put_invitation_code(&[8; 32], &other, None, &entry())
            .await
            .unwrap();
        let refused = store
            .redeem_invitation_code(&[8; 32], &id(3), ("k", "m@x"), &entry())
            .await
            .unwrap();
        assert_eq!(refused, CodeRedemption::Unknown);
    }
}
