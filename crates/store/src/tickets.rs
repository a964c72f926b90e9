//! Which one-time codes were given out and who used them, for people to look at. Nothing depends on it.
//!
//! **Invariant**: a code that is stored, and a use that is counted, is noted in the same transaction. What is noted does not lead
//! back to the code.

use ockam_identity::{Identifier, UnixTime};

use crate::enrollment_tokens::EnrollmentTokenRecord;
use crate::error::{Failure, StoreError};
use crate::members::{bytes, count, identifier, seconds, time};
use crate::sql::{self, Connection, FromRow, Row};
use crate::store::Store;

/// A one-time code as it is told of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TicketRecord {
    /// The hash that the code is known by.
    pub hash: Vec<u8>,
    /// Who asked for it.
    pub issued_by: Identifier,
    /// When.
    pub issued_at: UnixTime,
    /// From when on it is worth nothing.
    pub expires_at: UnixTime,
    /// How often it could be redeemed.
    pub uses: u64,
    /// How often it can still be; not at all if it ended or whoever asked for it was removed.
    pub uses_left: u64,
    /// Who redeemed it and when, the first of them first; at most [`MOST_USES_TOLD`].
    pub used: Vec<(Identifier, UnixTime)>,
}

impl Store {
    /// The codes of `authority`, the latest first, beginning behind those that were issued at `before` or later.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn tickets(
        &self,
        authority: &Identifier,
        now: UnixTime,
        limit: usize,
    ) -> Result<Vec<TicketRecord>, StoreError> {
        self.read(async |db| {
            let rows: Vec<Stored> = sql::query_as(
                "SELECT ticket.*, enrollment_token.uses AS uses_left
                 FROM ticket LEFT JOIN enrollment_token ON enrollment_token.authority = ticket.authority
                    AND enrollment_token.hash = ticket.hash AND enrollment_token.expires_at > $2
                 WHERE ticket.authority = $1 ORDER BY ticket.issued_at DESC, ticket.hash LIMIT $3",
            )
            .bind(bytes(authority))
            .bind(seconds(now))
            .bind(count(limit))
            .fetch_all(&mut *db)
            .await?;
            let mut tickets = Vec::with_capacity(rows.len());
            for row in rows {
                let mut ticket = row.0?;
                let used = sql::query(
                    "SELECT used_by, used_at FROM ticket_use WHERE authority = $1 AND hash = $2
                     ORDER BY used_at, used_by LIMIT $3",
                )
                .bind(bytes(authority))
                .bind(ticket.hash.clone())
                .bind(count(MOST_USES_TOLD))
                .fetch_all(&mut *db)
                .await?;
                for row in used {
                    let used_by: Vec<u8> = row.try_get("used_by")?;
                    let used_at = time(row.try_get("used_at")?);
                    ticket.used.push((identifier(&used_by)?, used_at));
                }
                tickets.push(ticket);
            }
            Ok(tickets)
        })
        .await
    }

    /// Forgets the codes of all authorities that ended before that moment, with who used them.
    ///
    /// # Errors
    /// The store cannot be written.
    pub async fn forget_tickets(&self, before: UnixTime) -> Result<(), StoreError> {
        self.write(async |db| {
            sql::query(
                "DELETE FROM ticket_use WHERE EXISTS (SELECT 1 FROM ticket WHERE ticket.expires_at < $1
                    AND ticket.authority = ticket_use.authority AND ticket.hash = ticket_use.hash)",
            )
            .bind(seconds(before))
            .execute(&mut *db)
            .await?;
            sql::query("DELETE FROM ticket WHERE expires_at < $1")
                .bind(seconds(before))
                .execute(db)
                .await?;
            Ok(())
        })
        .await
    }
}

pub(crate) async fn note_issued(
    db: &mut Connection,
    authority: &Identifier,
    hash: &[u8; 32],
    token: &EnrollmentTokenRecord,
) -> Result<(), Failure> {
    sql::query(
        "INSERT INTO ticket (authority, hash, issued_by, issued_at, expires_at, uses) VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (authority, hash) DO NOTHING",
    )
    .bind(bytes(authority))
    .bind(hash.to_vec())
    .bind(bytes(&token.issued_by))
    .bind(seconds(token.created_at))
    .bind(seconds(token.expires_at))
    .bind(seconds(UnixTime(token.uses)))
    .execute(db)
    .await?;
    Ok(())
}

pub(crate) async fn note_used(
    db: &mut Connection,
    authority: &Identifier,
    hash: &[u8; 32],
    by: &Identifier,
    at: UnixTime,
) -> Result<(), Failure> {
    sql::query(
        "INSERT INTO ticket_use (authority, hash, used_by, used_at) VALUES ($1, $2, $3, $4)
         ON CONFLICT (authority, hash, used_by) DO UPDATE SET used_at = excluded.used_at",
    )
    .bind(bytes(authority))
    .bind(hash.to_vec())
    .bind(bytes(by))
    .bind(seconds(at))
    .execute(db)
    .await?;
    Ok(())
}

struct Stored(Result<TicketRecord, Failure>);

impl FromRow for Stored {
    fn from_row(row: &Row) -> sqlx::Result<Self> {
        let hash = row.try_get("hash")?;
        let issued_by: Vec<u8> = row.try_get("issued_by")?;
        let issued_at = time(row.try_get("issued_at")?);
        let expires_at = time(row.try_get("expires_at")?);
        let uses = time(row.try_get("uses")?).0;
        let uses_left: Option<i64> = row.try_get("uses_left")?;
        Ok(Self(identifier(&issued_by).map(|issued_by| TicketRecord {
            hash,
            issued_by,
            issued_at,
            expires_at,
            uses,
            uses_left: time(uses_left.unwrap_or(0)).0,
            used: Vec::new(),
        })))
    }
}

/// Uses of one code that are told.
pub const MOST_USES_TOLD: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::store;

    #[tokio::test]
    async fn a_code_is_told_of_with_whoever_used_it_until_long_after_its_end() {
        let (_home, store) = store().await;
        for (hash, created_at) in [(1, 10), (2, 11)] {
            let token = EnrollmentTokenRecord {
                attributes: Vec::new(),
                issued_by: id(3),
                created_at: UnixTime(created_at),
                expires_at: UnixTime(100),
                uses: 2,
            };
            store
                .put_enrollment_token(&id(1), &[hash; 32], &token, None)
                .await
                .unwrap();
        }
        for (who, at) in [(7, 50), (8, 51)] {
            let redeemed = store
                .redeem_enrollment_token(&id(1), &[1; 32], &id(who), UnixTime(at), None)
                .await;
            assert_eq!(redeemed.unwrap(), crate::TokenRedemption::Enrolled);
        }
        let tickets = store.tickets(&id(1), UnixTime(60), 10).await.unwrap();
        let told: Vec<_> = tickets
            .iter()
            .map(|ticket| (ticket.hash[0], ticket.uses, ticket.uses_left))
            .collect();
        assert_eq!(told, [(2, 2, 2), (1, 2, 0)]);
        assert_eq!(
            tickets[1].used,
            [(id(7), UnixTime(50)), (id(8), UnixTime(51))]
        );
        assert_eq!(tickets[1].issued_by, id(3));
        assert!(
            store
                .tickets(&id(2), UnixTime(60), 10)
                .await
                .unwrap()
                .is_empty()
        );
        let ended = store.tickets(&id(1), UnixTime(100), 1).await.unwrap();
        assert_eq!((ended.len(), ended[0].uses_left), (1, 0));
        store.forget_tickets(UnixTime(100)).await.unwrap();
        assert_eq!(
            store.tickets(&id(1), UnixTime(60), 10).await.unwrap(),
            tickets
        );
        store.forget_tickets(UnixTime(101)).await.unwrap();
        assert!(
            store
                .tickets(&id(1), UnixTime(60), 10)
                .await
                .unwrap()
                .is_empty()
        );
    }

    fn id(number: u8) -> Identifier {
        Identifier::new([number; 32])
    }
}
