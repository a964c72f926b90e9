//! Which credentials the authorities of this home withdrew, and how long any of theirs can live.
//!
//! **Invariants**: a subject has one withdrawal, the latest, and each bears a later moment than the one before; the sequence
//! grows with each, also after rows are gone.
//!
//! Specification: extensions 4.5.

use ockam_identity::{Identifier, UnixTime};

use crate::error::{Failure, StoreError};
use crate::members::{bytes, count, identifier, seconds, time};
use crate::sql::{self, Connection, FromRow, Row};
use crate::store::Store;

/// A withdrawal as stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WithdrawalRecord {
    /// Its place in the order.
    pub sequence: u64,
    /// Whose credentials.
    pub subject: Identifier,
    /// Those created before this are void.
    pub before: UnixTime,
}

impl Store {
    /// Withdrawals of `authority` behind this place in the order, at most `limit`.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn withdrawals_behind(
        &self,
        authority: &Identifier,
        after: u64,
        limit: usize,
    ) -> Result<Vec<WithdrawalRecord>, StoreError> {
        self.read(async |db| {
            let rows: Vec<Stored> = sql::query_as(
                "SELECT * FROM withdrawal WHERE authority = $1 AND sequence > $2 ORDER BY sequence LIMIT $3",
            )
            .bind(bytes(authority))
            .bind(i64::try_from(after).unwrap_or(i64::MAX))
            .bind(count(limit))
            .fetch_all(db)
            .await?;
            rows.into_iter().map(|row| row.0).collect()
        })
        .await
    }

    /// The place of the latest withdrawal of `authority` that is kept, 0 without any.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn latest_withdrawal(&self, authority: &Identifier) -> Result<u64, StoreError> {
        self.read(async |db| Ok(time(latest(db, authority).await?).0))
            .await
    }

    /// Notes that `authority` issues credentials of that lifetime; returns the longest it ever did.
    ///
    /// # Errors
    /// The store cannot be read or written.
    pub async fn note_credential_lifetime(
        &self,
        authority: &Identifier,
        lifetime: u64,
    ) -> Result<u64, StoreError> {
        let known: Option<i64> = self
            .read(async |db| longest_lifetime(db, authority).await)
            .await?;
        if let Some(known) = known.map(|known| time(known).0)
            && known >= lifetime
        {
            return Ok(known);
        }
        self.write(async |db| {
            sql::query(
                "INSERT INTO credential_lifetime (authority, longest) VALUES ($1, $2)
                 ON CONFLICT (authority) DO UPDATE SET longest = excluded.longest
                 WHERE excluded.longest > credential_lifetime.longest",
            )
            .bind(bytes(authority))
            .bind(seconds(UnixTime(lifetime)))
            .execute(&mut *db)
            .await?;
            let longest = longest_lifetime(db, authority).await?;
            Ok(longest.map_or(lifetime, |longest| time(longest).0))
        })
        .await
    }

    /// Forgets withdrawals of moments before this one, unless there are one-time codes that are older still: whoever was
    /// removed since must not come back with one.
    ///
    /// # Errors
    /// The store cannot be read or written.
    pub async fn forget_withdrawals(
        &self,
        authority: &Identifier,
        before: UnixTime,
    ) -> Result<(), StoreError> {
        self.write(async |db| {
            sql::query(
                "DELETE FROM withdrawal WHERE authority = $1 AND before < $2 AND sequence <= coalesce(
                    (SELECT min(behind) FROM enrollment_token WHERE authority = $1), sequence)",
            )
            .bind(bytes(authority))
            .bind(seconds(before))
            .execute(db)
            .await?;
            Ok(())
        })
        .await
    }
}

/// Adds one in place of the subject's earlier one.
pub(crate) async fn add(
    db: &mut Connection,
    authority: &Identifier,
    subject: &Identifier,
    before: UnixTime,
) -> Result<WithdrawalRecord, Failure> {
    let earlier = of(db, authority, subject).await?;
    let before = before.max(earlier.map_or(before, |earlier| earlier.plus(1)));
    sql::query("DELETE FROM withdrawal WHERE authority = $1 AND subject = $2")
        .bind(bytes(authority))
        .bind(bytes(subject))
        .execute(&mut *db)
        .await?;
    let sequence: i64 = sql::query_scalar(
        "INSERT INTO withdrawal (authority, subject, before) VALUES ($1, $2, $3) RETURNING sequence",
    )
    .bind(bytes(authority))
    .bind(bytes(subject))
    .bind(seconds(before))
    .fetch_one(db)
    .await?;
    Ok(WithdrawalRecord {
        sequence: time(sequence).0,
        subject: *subject,
        before,
    })
}

/// The moment before which the credentials of a subject are void.
pub(crate) async fn of(
    db: &mut Connection,
    authority: &Identifier,
    subject: &Identifier,
) -> Result<Option<UnixTime>, Failure> {
    let before: Option<i64> =
        sql::query_scalar("SELECT before FROM withdrawal WHERE authority = $1 AND subject = $2")
            .bind(bytes(authority))
            .bind(bytes(subject))
            .fetch_optional(db)
            .await?;
    Ok(before.map(time))
}

/// The place of the latest withdrawal that is kept, 0 without any.
pub(crate) async fn latest(db: &mut Connection, authority: &Identifier) -> Result<i64, Failure> {
    let latest: Option<i64> =
        sql::query_scalar("SELECT max(sequence) FROM withdrawal WHERE authority = $1")
            .bind(bytes(authority))
            .fetch_one(db)
            .await?;
    Ok(latest.unwrap_or(0))
}

/// The place of a subject's withdrawal.
pub(crate) async fn place_of(
    db: &mut Connection,
    authority: &Identifier,
    subject: &Identifier,
) -> Result<Option<i64>, Failure> {
    let place = "SELECT sequence FROM withdrawal WHERE authority = $1 AND subject = $2";
    let place: Option<i64> = sql::query_scalar(place)
        .bind(bytes(authority))
        .bind(bytes(subject))
        .fetch_optional(db)
        .await?;
    Ok(place)
}

async fn longest_lifetime(
    db: &mut Connection,
    authority: &Identifier,
) -> Result<Option<i64>, Failure> {
    Ok(
        sql::query_scalar("SELECT longest FROM credential_lifetime WHERE authority = $1")
            .bind(bytes(authority))
            .fetch_optional(db)
            .await?,
    )
}

struct Stored(Result<WithdrawalRecord, Failure>);

impl FromRow for Stored {
    fn from_row(row: &Row) -> sqlx::Result<Self> {
        let subject: Vec<u8> = row.try_get("subject")?;
        let sequence = time(row.try_get("sequence")?).0;
        let before = time(row.try_get("before")?);
        Ok(Self(identifier(&subject).map(|subject| WithdrawalRecord {
            sequence,
            subject,
            before,
        })))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::members::MemberChange;
    use crate::testing::store;

    #[tokio::test]
    async fn a_subject_has_one_withdrawal_and_each_is_later_in_order_and_time() {
        let (_home, store) = store().await;
        let authority = id(1);
        for (subject, before, expected) in [(7, 50, 50), (8, 50, 50), (7, 50, 51), (7, 90, 90)] {
            let withdrawn = store
                .change_members(&authority, &[id(subject)], None, |_, _| {
                    MemberChange::Remove(UnixTime(before))
                })
                .await
                .unwrap();
            assert_eq!(withdrawn[0].before, UnixTime(expected));
        }
        let all = store.withdrawals_behind(&authority, 0, 10).await.unwrap();
        let told: Vec<_> = all
            .iter()
            .map(|row| (row.sequence, row.subject, row.before.0))
            .collect();
        assert_eq!(told, [(2, id(8), 50), (4, id(7), 90)]);
        assert_eq!(store.latest_withdrawal(&authority).await.unwrap(), 4);
        assert_eq!(
            store.withdrawals_behind(&authority, 2, 10).await.unwrap(),
            all[1..]
        );

        store
            .forget_withdrawals(&authority, UnixTime(60))
            .await
            .unwrap();
        let left = store.withdrawals_behind(&authority, 0, 10).await.unwrap();
        assert_eq!(left, all[1..]);
        store
            .forget_withdrawals(&authority, UnixTime(100))
            .await
            .unwrap();
        let next = store
            .change_members(&authority, &[id(9)], None, |_, _| {
                MemberChange::Remove(UnixTime(5))
            })
            .await
            .unwrap();
        assert_eq!(next[0].sequence, 5);
    }

    #[tokio::test]
    async fn the_longest_lifetime_is_kept() {
        let (_home, store) = store().await;
        for (noted, longest) in [(60, 60), (600, 600), (60, 600)] {
            let kept = store.note_credential_lifetime(&id(1), noted).await;
            assert_eq!(kept.unwrap(), longest);
        }
        assert_eq!(store.note_credential_lifetime(&id(2), 5).await.unwrap(), 5);
    }

    fn id(number: u8) -> Identifier {
        Identifier::new([number; 32])
    }
}
