//! One-time codes of the authorities of this home, known by their hashes.
//!
//! **Invariant**: taking a use off a code and making its member is one transaction, so a use is counted exactly once
//! whoever else redeems and whatever ends the process. The code itself is never stored.
//!
//! Specification: trust 7.4.

use ockam_identity::{Identifier, UnixTime};

use crate::audit::{self, NewAudit};
use crate::error::{Failure, StoreError};
use crate::members::{self, MemberRecord, bytes, identifier, seconds, time};
use crate::sql::{self, Connection, FromRow, Row};
use crate::store::Store;
use crate::tickets;
use crate::withdrawals;

/// A one-time code as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnrollmentTokenRecord {
    /// What whoever redeems it becomes, encoded by the caller.
    pub attributes: Vec<u8>,
    /// Who asked for it.
    pub issued_by: Identifier,
    /// When.
    pub created_at: UnixTime,
    /// From when on it is worth nothing.
    pub expires_at: UnixTime,
    /// How often it can still be redeemed.
    pub uses: u64,
}

/// What became of a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenRedemption {
    /// One use is gone and there is a new member.
    Enrolled,
    /// Whoever redeems is a member already; nothing is used up.
    AlreadyMember,
    /// There is no such code, or it ended.
    Unknown,
}

impl Store {
    /// Stores a code of `authority` under its hash.
    ///
    /// # Errors
    /// The store cannot be written.
    pub async fn put_enrollment_token(
        &self,
        authority: &Identifier,
        hash: &[u8; 32],
        token: &EnrollmentTokenRecord,
        entry: Option<&NewAudit>,
    ) -> Result<(), StoreError> {
        self.write(async |db| {
            let behind = withdrawals::latest(db, authority).await?;
            sql::query(
                "INSERT INTO enrollment_token (authority, hash, attributes, issued_by, created_at, expires_at, uses, behind)
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
            )
            .bind(bytes(authority))
            .bind(hash.to_vec())
            .bind(token.attributes.clone())
            .bind(bytes(&token.issued_by))
            .bind(seconds(token.created_at))
            .bind(seconds(token.expires_at))
            .bind(i64::try_from(token.uses).unwrap_or(i64::MAX))
            .bind(behind)
            .execute(&mut *db)
            .await?;
            tickets::note_issued(db, authority, hash, token).await?;
            if let Some(entry) = entry {
                audit::append(db, entry).await?;
            }
            Ok(())
        })
        .await
    }

    /// Takes one use off a code and makes `who` a member. Codes that ended by `now` are forgotten first.
    ///
    /// # Errors
    /// The store cannot be read or written.
    pub async fn redeem_enrollment_token(
        &self,
        authority: &Identifier,
        hash: &[u8; 32],
        who: &Identifier,
        now: UnixTime,
        entry: Option<&NewAudit>,
    ) -> Result<TokenRedemption, StoreError> {
        // Most that come with a wrong code are told so without waiting for the right to write.
        let (is_member, token) = self
            .read(async |db| {
                let member = members::look_up(db, authority, who).await?;
                Ok((member.is_some(), look_up(db, authority, hash, now).await?))
            })
            .await?;
        if is_member {
            return Ok(TokenRedemption::AlreadyMember);
        }
        if token.is_none() {
            return Ok(TokenRedemption::Unknown);
        }
        self.write(async |db| {
            forget_ended(db, now).await?;
            if members::look_up(db, authority, who).await?.is_some() {
                return Ok(TokenRedemption::AlreadyMember);
            }
            let Some(token) = look_up(db, authority, hash, now).await? else {
                return Ok(TokenRedemption::Unknown);
            };
            // Who was removed does not come back with a code of before, not even with one of the same second.
            let behind = "SELECT behind FROM enrollment_token WHERE authority = $1 AND hash = $2";
            let behind: i64 = sql::query_scalar(behind)
                .bind(bytes(authority))
                .bind(hash.to_vec())
                .fetch_one(&mut *db)
                .await?;
            let removed = withdrawals::place_of(db, authority, who).await?;
            if removed.is_some_and(|removed| removed > behind) {
                return Ok(TokenRedemption::Unknown);
            }
            let used = if token.uses > 1 {
                "UPDATE enrollment_token SET uses = uses - 1 WHERE authority = $1 AND hash = $2"
            } else {
                "DELETE FROM enrollment_token WHERE authority = $1 AND hash = $2"
            };
            sql::query(used)
                .bind(bytes(authority))
                .bind(hash.to_vec())
                .execute(&mut *db)
                .await?;
            let member = MemberRecord {
                attributes: token.attributes,
                added_by: token.issued_by,
                added_at: now,
                is_pre_trusted: false,
            };
            members::put(db, authority, who, &member).await?;
            tickets::note_used(db, authority, hash, who, now).await?;
            if let Some(entry) = entry {
                audit::append(db, entry).await?;
            }
            Ok(TokenRedemption::Enrolled)
        })
        .await
    }

    /// Forgets the codes that ended by `now`.
    ///
    /// # Errors
    /// The store cannot be written.
    pub async fn forget_ended_enrollment_tokens(&self, now: UnixTime) -> Result<(), StoreError> {
        self.write(async |db| forget_ended(db, now).await).await
    }
}

pub(crate) async fn forget_issued_by(
    db: &mut Connection,
    authority: &Identifier,
    issuer: &Identifier,
) -> Result<(), Failure> {
    sql::query("DELETE FROM enrollment_token WHERE authority = $1 AND issued_by = $2")
        .bind(bytes(authority))
        .bind(bytes(issuer))
        .execute(db)
        .await?;
    Ok(())
}

async fn forget_ended(db: &mut Connection, now: UnixTime) -> Result<(), Failure> {
    sql::query("DELETE FROM enrollment_token WHERE expires_at <= $1")
        .bind(seconds(now))
        .execute(db)
        .await?;
    Ok(())
}

async fn look_up(
    db: &mut Connection,
    authority: &Identifier,
    hash: &[u8; 32],
    now: UnixTime,
) -> Result<Option<EnrollmentTokenRecord>, Failure> {
    let row: Option<Stored> = sql::query_as(
        "SELECT * FROM enrollment_token WHERE authority = $1 AND hash = $2 AND expires_at > $3",
    )
    .bind(bytes(authority))
    .bind(hash.to_vec())
    .bind(seconds(now))
    .fetch_optional(db)
    .await?;
    row.map(|row| row.0).transpose()
}

struct Stored(Result<EnrollmentTokenRecord, Failure>);

impl FromRow for Stored {
    fn from_row(row: &Row) -> sqlx::Result<Self> {
        let issued_by: Vec<u8> = row.try_get("issued_by")?;
        let attributes = row.try_get("attributes")?;
        let created_at = time(row.try_get("created_at")?);
        let expires_at = time(row.try_get("expires_at")?);
        let uses = time(row.try_get("uses")?).0;
        Ok(Self(identifier(&issued_by).map(|issued_by| {
            EnrollmentTokenRecord {
                attributes,
                issued_by,
                created_at,
                expires_at,
                uses,
            }
        })))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::store;

    #[tokio::test]
    async fn each_use_makes_one_member_and_the_last_one_ends_the_code() {
        let (_home, store) = store().await;
        put(&store, 2, 100).await;
        assert_eq!(redeem(&store, 7, 50).await, TokenRedemption::Enrolled);
        assert_eq!(redeem(&store, 7, 50).await, TokenRedemption::AlreadyMember);
        assert_eq!(redeem(&store, 8, 50).await, TokenRedemption::Enrolled);
        assert_eq!(redeem(&store, 9, 50).await, TokenRedemption::Unknown);
        let (member, _) = store.member(&id(1), &id(8)).await.unwrap().unwrap();
        assert_eq!(member.attributes, b"attributes");
        assert_eq!((member.added_by, member.added_at), (id(3), UnixTime(50)));
    }

    #[tokio::test]
    async fn a_code_that_ended_is_unknown_and_forgotten() {
        let (_home, store) = store().await;
        put(&store, 5, 100).await;
        assert_eq!(redeem(&store, 7, 100).await, TokenRedemption::Unknown);
        store
            .forget_ended_enrollment_tokens(UnixTime(100))
            .await
            .unwrap();
        assert_eq!(redeem(&store, 7, 50).await, TokenRedemption::Unknown);
    }

    #[tokio::test]
    async fn a_code_counts_at_its_own_authority_only() {
        let (_home, store) = store().await;
        put(&store, 1, 100).await;
        let elsewhere = store
            .redeem_enrollment_token(&id(2), &HASH, &id(7), UnixTime(50), None)
            .await;
        assert_eq!(elsewhere.unwrap(), TokenRedemption::Unknown);
    }

    #[tokio::test]
    async fn of_many_that_redeem_at_once_as_many_are_enrolled_as_there_are_uses() {
        let (_home, first) = store().await;
        put(&first, 3, 100).await;
        let mut redeeming = tokio::task::JoinSet::new();
        for number in 10..30 {
            // Another process for each of them, as far as the database can tell.
            let store = crate::testing::another(&first).await;
            redeeming.spawn(async move { redeem(&store, number, 50).await });
        }
        let outcomes = redeeming.join_all().await;
        let enrolled = |outcome: &&TokenRedemption| **outcome == TokenRedemption::Enrolled;
        assert_eq!(outcomes.iter().filter(enrolled).count(), 3);
        let members = first.member_identifiers_behind(&id(1), None, 100).await;
        assert_eq!(members.unwrap().len(), 3);
    }

    #[tokio::test]
    async fn whoever_was_removed_does_not_come_back_with_an_older_code() {
        let (_home, store) = store().await;
        put(&store, 5, 1000).await;
        assert_eq!(redeem(&store, 7, 50).await, TokenRedemption::Enrolled);
        remove(&store, 7, 60).await;
        // The codes keep the withdrawal, however short credentials live.
        store
            .forget_withdrawals(&id(1), UnixTime(900))
            .await
            .unwrap();
        assert_eq!(redeem(&store, 7, 70).await, TokenRedemption::Unknown);
        assert_eq!(redeem(&store, 8, 70).await, TokenRedemption::Enrolled);
        // A code of the same second, whatever the clock says, is one of after the removal, or of before it.
        put_at(&store, 1, 59).await;
        remove(&store, 9, 60).await;
        assert_eq!(redeem_at(&store, 1, 9).await, TokenRedemption::Unknown);
        assert_eq!(redeem_at(&store, 1, 7).await, TokenRedemption::Enrolled);
        remove(&store, 7, 60).await;
        assert_eq!(redeem_at(&store, 1, 7).await, TokenRedemption::Unknown);
        put_at(&store, 2, 59).await;
        assert_eq!(redeem_at(&store, 2, 7).await, TokenRedemption::Enrolled);
    }

    async fn put_at(store: &Store, code: u8, created_at: u64) {
        let token = EnrollmentTokenRecord {
            attributes: Vec::new(),
            issued_by: id(3),
            created_at: UnixTime(created_at),
            expires_at: UnixTime(1000),
            uses: 5,
        };
        store
            .put_enrollment_token(&id(1), &[code; 32], &token, None)
            .await
            .unwrap();
    }

    async fn redeem_at(store: &Store, code: u8, who: u8) -> TokenRedemption {
        store
            .redeem_enrollment_token(&id(1), &[code; 32], &id(who), UnixTime(70), None)
            .await
            .unwrap()
    }

    #[tokio::test]
    async fn with_whoever_asked_for_it_a_code_is_gone() {
        let (_home, store) = store().await;
        put(&store, 5, 1000).await;
        remove(&store, 8, 60).await;
        assert_eq!(redeem(&store, 7, 70).await, TokenRedemption::Enrolled);
        remove(&store, 3, 60).await;
        assert_eq!(redeem(&store, 9, 70).await, TokenRedemption::Unknown);
    }

    async fn remove(store: &Store, who: u8, before: u64) {
        let decide = |_: &Identifier, _| members::MemberChange::Remove(UnixTime(before));
        store
            .change_members(&id(1), &[id(who)], None, decide)
            .await
            .unwrap();
    }

    async fn put(store: &Store, uses: u64, expires_at: u64) {
        let token = EnrollmentTokenRecord {
            attributes: b"attributes".to_vec(),
            issued_by: id(3),
            created_at: UnixTime(1),
            expires_at: UnixTime(expires_at),
            uses,
        };
        store
            .put_enrollment_token(&id(1), &HASH, &token, None)
            .await
            .unwrap();
    }

    async fn redeem(store: &Store, who: u8, now: u64) -> TokenRedemption {
        store
            .redeem_enrollment_token(&id(1), &HASH, &id(who), UnixTime(now), None)
            .await
            .unwrap()
    }

    fn id(number: u8) -> Identifier {
        Identifier::new([number; 32])
    }

    const HASH: [u8; 32] = [0xcd; 32];
}
