//! Credentials that were obtained or stored, to be presented again: one for each issuer, subject and scope.
//!
//! **Invariant**: a stored credential verified when it was stored. Who presents one looks at its end; whoever decides by one
//! verifies it again.

use ockam_identity::{CredentialBundle, Identifier, UnixTime, VerifiedCredential};

use crate::error::{Failure, StoreError};
use crate::sql::{self, FromRow, Row};
use crate::store::Store;

/// A credential as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CredentialRecord {
    /// Of whom it speaks.
    pub subject: Identifier,
    /// Who issued it.
    pub issuer: Identifier,
    /// What it is for, as chosen by whoever obtained it: `project-member-<project id>`. `spec: trust 4.7`
    pub scope: String,
    /// The credential with the attestation of the key that signed it.
    pub bundle: CredentialBundle,
    /// The last second it is good for.
    pub expires_at: UnixTime,
}

impl CredentialRecord {
    /// The record of a credential that was verified.
    pub fn new(verified: &VerifiedCredential, bundle: CredentialBundle, scope: String) -> Self {
        Self {
            subject: *verified.subject(),
            issuer: *verified.issuer(),
            scope,
            bundle,
            expires_at: verified.expires_at(),
        }
    }
}

impl Store {
    /// Stores a credential in place of an earlier one of the same issuer, subject and scope.
    ///
    /// # Errors
    /// The store cannot be written.
    pub async fn put_credential(&self, record: &CredentialRecord) -> Result<(), StoreError> {
        self.write(async |db| {
            sql::query(
                "INSERT INTO credential (subject, issuer, scope, bundle, expires_at) VALUES ($1, $2, $3, $4, $5)
                 ON CONFLICT (subject, issuer, scope) DO UPDATE SET bundle = excluded.bundle,
                    expires_at = excluded.expires_at",
            )
            .bind(record.subject.to_string())
            .bind(record.issuer.to_string())
            .bind(&record.scope)
            .bind(record.bundle.as_bytes())
            .bind(i64::try_from(record.expires_at.0).unwrap_or(i64::MAX))
            .execute(db)
            .await?;
            Ok(())
        })
        .await
    }

    /// The credential to be presented, if there is one that has not expired. One that has is forgotten.
    ///
    /// # Errors
    /// The store cannot be used.
    pub async fn credential(
        &self,
        issuer: &Identifier,
        subject: &Identifier,
        scope: &str,
        now: UnixTime,
    ) -> Result<Option<CredentialRecord>, StoreError> {
        let found = self
            .read(async |db| {
                let row: Option<Stored> = sql::query_as(
                    "SELECT * FROM credential WHERE issuer = $1 AND subject = $2 AND scope = $3",
                )
                .bind(issuer.to_string())
                .bind(subject.to_string())
                .bind(scope)
                .fetch_optional(db)
                .await?;
                row.map(Stored::into_record).transpose()
            })
            .await?;
        match found {
            // spec: trust 4.7 (good only if it ends later than now)
            Some(record) if record.expires_at <= now => {
                self.forget_expired(&record).await?;
                Ok(None)
            }
            found => Ok(found),
        }
    }

    /// All credentials, those that have expired too, in the order of scope, subject and issuer.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn credentials(&self) -> Result<Vec<CredentialRecord>, StoreError> {
        self.read(async |db| {
            let rows: Vec<Stored> =
                sql::query_as("SELECT * FROM credential ORDER BY scope, subject, issuer")
                    .fetch_all(db)
                    .await?;
            rows.into_iter().map(Stored::into_record).collect()
        })
        .await
    }

    /// Forgets a credential. Returns whether there was one.
    ///
    /// # Errors
    /// The store cannot be written.
    pub async fn delete_credential(
        &self,
        issuer: &Identifier,
        subject: &Identifier,
        scope: &str,
    ) -> Result<bool, StoreError> {
        self.write(async |db| {
            let done = sql::query(
                "DELETE FROM credential WHERE issuer = $1 AND subject = $2 AND scope = $3",
            )
            .bind(issuer.to_string())
            .bind(subject.to_string())
            .bind(scope)
            .execute(db)
            .await?;
            Ok(done.rows_affected() > 0)
        })
        .await
    }

    /// Forgets this one and not the one that may have taken its place meanwhile.
    async fn forget_expired(&self, record: &CredentialRecord) -> Result<(), StoreError> {
        self.write(async |db| {
            sql::query(
                "DELETE FROM credential WHERE issuer = $1 AND subject = $2 AND scope = $3 AND bundle = $4",
            )
            .bind(record.issuer.to_string())
            .bind(record.subject.to_string())
            .bind(&record.scope)
            .bind(record.bundle.as_bytes())
            .execute(db)
            .await?;
            Ok(())
        })
        .await
    }
}

struct Stored {
    subject: String,
    issuer: String,
    scope: String,
    bundle: Vec<u8>,
    expires_at: i64,
}

impl Stored {
    fn into_record(self) -> Result<CredentialRecord, Failure> {
        let identifier = |text: &str| -> Result<Identifier, Failure> {
            text.parse()
                .map_err(|error| Failure::unreadable("identifier", error))
        };
        Ok(CredentialRecord {
            subject: identifier(&self.subject)?,
            issuer: identifier(&self.issuer)?,
            scope: self.scope,
            bundle: CredentialBundle::decode(&self.bundle)
                .map_err(|error| Failure::unreadable("credential", error))?,
            expires_at: UnixTime(self.expires_at.try_into().unwrap_or(0)),
        })
    }
}

impl FromRow for Stored {
    fn from_row(row: &Row) -> sqlx::Result<Self> {
        Ok(Self {
            subject: row.try_get("subject")?,
            issuer: row.try_get("issuer")?,
            scope: row.try_get("scope")?,
            bundle: row.try_get("bundle")?,
            expires_at: row.try_get("expires_at")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::store;

    fn record(subject: u8, scope: &str, bundle: u8, expires_at: u64) -> CredentialRecord {
        CredentialRecord {
            subject: Identifier::new([subject; 32]),
            issuer: Identifier::new([9; 32]),
            scope: scope.to_owned(),
            bundle: CredentialBundle::decode(&[0x81, bundle]).unwrap(),
            expires_at: UnixTime(expires_at),
        }
    }

    async fn found(store: &Store, of: &CredentialRecord, now: u64) -> Option<CredentialRecord> {
        store
            .credential(&of.issuer, &of.subject, &of.scope, UnixTime(now))
            .await
            .unwrap()
    }

    #[tokio::test]
    async fn the_last_one_of_issuer_subject_and_scope_is_kept() {
        let (_home, store) = store().await;
        let (first, second) = (record(1, "a", 1, 100), record(1, "a", 2, 200));
        let (other, someone) = (record(1, "b", 3, 100), record(2, "a", 4, 100));
        for record in [&first, &second, &other, &someone] {
            store.put_credential(record).await.unwrap();
        }
        assert_eq!(found(&store, &first, 0).await.as_ref(), Some(&second));
        assert_eq!(store.credentials().await.unwrap(), [second, someone, other]);
    }

    #[tokio::test]
    async fn an_expired_one_is_forgotten_when_it_is_looked_for() {
        let (_home, store) = store().await;
        let record = record(1, "a", 1, 100);
        store.put_credential(&record).await.unwrap();
        assert!(found(&store, &record, 99).await.is_some());
        assert_eq!(store.credentials().await.unwrap().len(), 1);
        assert!(found(&store, &record, 100).await.is_none());
        assert!(store.credentials().await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn an_end_beyond_what_a_database_counts_survives() {
        let (_home, store) = store().await;
        let record = record(1, "a", 1, u64::MAX);
        store.put_credential(&record).await.unwrap();
        let kept = found(&store, &record, 100).await.unwrap();
        assert_eq!(kept.expires_at, UnixTime(i64::MAX.cast_unsigned()));
    }

    #[tokio::test]
    async fn what_is_deleted_is_gone_and_nothing_else() {
        let (_home, store) = store().await;
        let (one, other) = (record(1, "a", 1, 100), record(1, "b", 2, 100));
        store.put_credential(&one).await.unwrap();
        store.put_credential(&other).await.unwrap();
        let delete = async || {
            store
                .delete_credential(&one.issuer, &one.subject, &one.scope)
                .await
                .unwrap()
        };
        assert!(delete().await);
        assert!(!delete().await);
        assert_eq!(store.credentials().await.unwrap(), [other]);
    }
}
