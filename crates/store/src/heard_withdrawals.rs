//! Withdrawals that the nodes of this home heard of, so that they know them before the authority is reached again.
//!
//! **Invariant**: of a subject the latest moment is kept.
//!
//! Specification: extensions 4.5.

use ockam_identity::{Identifier, UnixTime};

use crate::error::StoreError;
use crate::members::{bytes, count, identifier, seconds, time};
use crate::sql;
use crate::store::Store;

impl Store {
    /// Everything that was heard from `authority`: subjects, and the moments before which their credentials are void.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn heard_withdrawals(
        &self,
        authority: &Identifier,
    ) -> Result<Vec<(Identifier, UnixTime)>, StoreError> {
        self.read(async |db| {
            let rows: Vec<(Vec<u8>, i64)> =
                sql::query_as("SELECT subject, before FROM heard_withdrawal WHERE authority = $1")
                    .bind(bytes(authority))
                    .fetch_all(db)
                    .await?;
            rows.iter()
                .map(|(subject, before)| Ok((identifier(subject)?, time(*before))))
                .collect()
        })
        .await
    }

    /// Keeps what `authority` withdrew. Beyond `most` of them the earliest are forgotten.
    ///
    /// # Errors
    /// The store cannot be written.
    pub async fn put_heard_withdrawals(
        &self,
        authority: &Identifier,
        withdrawn: &[(Identifier, UnixTime)],
        most: usize,
    ) -> Result<(), StoreError> {
        self.write(async |db| {
            for (subject, before) in withdrawn {
                sql::query(
                    "INSERT INTO heard_withdrawal (authority, subject, before) VALUES ($1, $2, $3)
                     ON CONFLICT (authority, subject) DO UPDATE SET before = excluded.before
                     WHERE excluded.before > heard_withdrawal.before",
                )
                .bind(bytes(authority))
                .bind(bytes(subject))
                .bind(seconds(*before))
                .execute(&mut *db)
                .await?;
            }
            sql::query(
                "DELETE FROM heard_withdrawal WHERE authority = $1 AND subject NOT IN (
                    SELECT subject FROM heard_withdrawal WHERE authority = $1
                    ORDER BY before DESC LIMIT $2)",
            )
            .bind(bytes(authority))
            .bind(count(most))
            .execute(&mut *db)
            .await?;
            Ok(())
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::store;

    #[tokio::test]
    async fn the_latest_moment_of_each_subject_is_kept_and_the_earliest_make_room() {
        let (_home, store) = store().await;
        let [one, two] = [1, 2].map(|number| Identifier::new([number; 32]));
        let [alice, bob] = [7, 8].map(|number| Identifier::new([number; 32]));
        for (subject, before) in [(alice, 50), (bob, 60), (alice, 40)] {
            store
                .put_heard_withdrawals(&one, &[(subject, UnixTime(before))], 2)
                .await
                .unwrap();
        }
        let mut heard = store.heard_withdrawals(&one).await.unwrap();
        heard.sort();
        assert_eq!(heard, [(alice, UnixTime(50)), (bob, UnixTime(60))]);
        assert_eq!(store.heard_withdrawals(&two).await.unwrap(), []);
        store
            .put_heard_withdrawals(&one, &[(two, UnixTime(70))], 2)
            .await
            .unwrap();
        let mut heard = store.heard_withdrawals(&one).await.unwrap();
        heard.sort();
        assert_eq!(heard, [(two, UnixTime(70)), (bob, UnixTime(60))]);
    }
}
