//! Purpose keys of the user's own identities: one for each identity and purpose.
//!
//! **Invariant**: an attestation is stored together with the handle of its secret; replacing it deletes the replaced secret.

use ockam_identity::{Identifier, Purpose, PurposeKeyAttestation, VerifiedHistory};
use ockam_vault::{Handle, SecretRecord};

use crate::error::{Failure, StoreError};
use crate::identities::{self, IdentityRecord};
use crate::secrets;
use crate::sql::{self, Connection, FromRow, Row};
use crate::store::Store;
use crate::vaults::OpenVault;

/// A purpose key as stored.
#[derive(Debug, Clone)]
pub struct PurposeKeyRecord {
    /// The identity it belongs to.
    pub subject: Identifier,
    /// What it is for.
    pub purpose: Purpose,
    /// The attestation; to be verified before it is used, as its lifetime may have ended.
    pub attestation: PurposeKeyAttestation,
    /// Handle of the secret in the identity's vault.
    pub key: Handle,
}

impl Store {
    /// The stored purpose key, if there is one.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn purpose_key(
        &self,
        subject: &Identifier,
        purpose: Purpose,
    ) -> Result<Option<PurposeKeyRecord>, StoreError> {
        self.read(async |db| look_up(db, subject, purpose).await)
            .await
    }

    /// One of the user's own identities as it stands with one of its purpose keys, read in one step: a rotation comes
    /// before both or after both.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn identity_with_purpose_key(
        &self,
        subject: &Identifier,
        purpose: Purpose,
    ) -> Result<Option<(IdentityRecord, Option<PurposeKeyRecord>)>, StoreError> {
        self.read(async |db| {
            let Some(identity) = identities::by_identifier(db, subject).await? else {
                return Ok(None);
            };
            let key = look_up(db, subject, purpose).await?;
            Ok(Some((identity, key)))
        })
        .await
    }

    /// Stores a purpose key with its secret in place of the one found before (`None` if none was found). If another
    /// process was faster, nothing is stored. Returns what is stored now: the caller uses that one.
    ///
    /// `under` is the history that the attestation was made under.
    ///
    /// # Errors
    /// [`StoreError::NoIdentity`] if the subject is none of the user's identities; [`StoreError::IdentityChanged`] if it was
    /// rotated meanwhile, so that the attestation is worth nothing.
    pub async fn put_purpose_key(
        &self,
        vault: &OpenVault,
        new: &PurposeKeyRecord,
        secret: SecretRecord,
        under: &VerifiedHistory,
        found: Option<&PurposeKeyRecord>,
    ) -> Result<PurposeKeyRecord, StoreError> {
        let secrets = [secret];
        let (record, replaced) = self
            .write(async |db| {
                let Some(identity) = identities::by_identifier(db, &new.subject).await? else {
                    return Err(StoreError::NoIdentity(new.subject.to_string()).into());
                };
                if identity.history.as_bytes() != under.as_bytes() {
                    return Err(StoreError::IdentityChanged(identity.name.to_string()).into());
                }
                let stored = look_up(db, &new.subject, new.purpose).await?;
                let seen = found.map(|found| found.attestation.as_bytes());
                match stored {
                    Some(stored) if Some(stored.attestation.as_bytes()) != seen => {
                        Ok((stored, None))
                    }
                    stored => {
                        secrets::add(db, self, vault, &secrets).await?;
                        store(db, new).await?;
                        let replaced = stored
                            .map(|stored| stored.key)
                            .filter(|key| *key != new.key);
                        Ok((new.clone(), replaced))
                    }
                }
            })
            .await?;
        if let Some(replaced) = replaced {
            self.delete_secrets(&vault.name, &[replaced]).await?;
        }
        Ok(record)
    }
}

pub(crate) async fn store(db: &mut Connection, new: &PurposeKeyRecord) -> Result<(), Failure> {
    sql::query(
        "INSERT INTO purpose_key (identifier, purpose, attestation, key_handle) VALUES ($1, $2, $3, $4)
         ON CONFLICT (identifier, purpose) DO UPDATE SET attestation = excluded.attestation,
            key_handle = excluded.key_handle",
    )
    .bind(new.subject.to_string())
    .bind(new.purpose.name())
    .bind(new.attestation.as_bytes().to_vec())
    .bind(new.key.as_bytes().to_vec())
    .execute(db)
    .await?;
    Ok(())
}

/// The attestations of an identity as they are stored.
pub(crate) async fn all(
    db: &mut Connection,
    subject: &Identifier,
) -> Result<Vec<Vec<u8>>, Failure> {
    Ok(
        sql::query_scalar("SELECT attestation FROM purpose_key WHERE identifier = $1")
            .bind(subject.to_string())
            .fetch_all(db)
            .await?,
    )
}

pub(crate) async fn look_up(
    db: &mut Connection,
    subject: &Identifier,
    purpose: Purpose,
) -> Result<Option<PurposeKeyRecord>, Failure> {
    let row: Option<Stored> =
        sql::query_as("SELECT * FROM purpose_key WHERE identifier = $1 AND purpose = $2")
            .bind(subject.to_string())
            .bind(purpose.name())
            .fetch_optional(db)
            .await?;
    row.map(|row| {
        Ok(PurposeKeyRecord {
            subject: *subject,
            purpose,
            attestation: PurposeKeyAttestation::decode(&row.attestation)
                .map_err(|error| Failure::unreadable("purpose key attestation", error))?,
            key: Handle::new(row.key_handle),
        })
    })
    .transpose()
}

struct Stored {
    attestation: Vec<u8>,
    key_handle: Vec<u8>,
}

impl FromRow for Stored {
    fn from_row(row: &Row) -> sqlx::Result<Self> {
        Ok(Self {
            attestation: row.try_get("attestation")?,
            key_handle: row.try_get("key_handle")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Person, store};

    #[tokio::test]
    async fn of_two_that_find_no_key_the_first_one_wins() {
        let (_home, store) = store().await;
        let vault = store.vault_or_only(None).await.unwrap();
        let vault = store.open_vault(&vault.name, None).await.unwrap();
        let person = Person::new();
        store
            .create_identity(&vault, &person.named("m"))
            .await
            .unwrap();
        let subject = person.history.identifier();
        assert!(
            store
                .purpose_key(subject, Purpose::SecureChannel)
                .await
                .unwrap()
                .is_none()
        );

        let (first, first_secret) = person.purpose_key();
        let (second, second_secret) = person.purpose_key();
        let stored = store
            .put_purpose_key(&vault, &first, first_secret, &person.history, None)
            .await
            .unwrap();
        assert_eq!(stored.key, first.key);
        let stored = store
            .put_purpose_key(&vault, &second, second_secret, &person.history, None)
            .await
            .unwrap();
        assert_eq!(stored.key, first.key);
        assert!(store.secret(&vault, &second.key).await.unwrap().is_none());

        let (third, third_secret) = person.purpose_key();
        let stored = store
            .put_purpose_key(&vault, &third, third_secret, &person.history, Some(&first))
            .await
            .unwrap();
        assert_eq!(stored.key, third.key);
        assert!(store.secret(&vault, &first.key).await.unwrap().is_none());
        assert!(store.secret(&vault, &third.key).await.unwrap().is_some());
        let found = store
            .purpose_key(subject, Purpose::SecureChannel)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(found.attestation.as_bytes(), third.attestation.as_bytes());
    }

    #[tokio::test]
    async fn only_own_identities_have_purpose_keys() {
        let (_home, store) = store().await;
        let vault = store.vault_or_only(None).await.unwrap();
        let vault = store.open_vault(&vault.name, None).await.unwrap();
        let person = Person::new();
        let (key, secret) = person.purpose_key();
        let refused = store
            .put_purpose_key(&vault, &key, secret, &person.history, None)
            .await;
        assert!(matches!(refused, Err(StoreError::NoIdentity(_))));
    }

    #[tokio::test]
    async fn a_key_made_under_a_history_of_before_is_not_stored() {
        let (_home, store) = store().await;
        let vault = store.vault_or_only(None).await.unwrap();
        let vault = store.open_vault(&vault.name, None).await.unwrap();
        let before = Person::new();
        let after = before.rotated();
        store
            .create_identity(&vault, &before.named("m"))
            .await
            .unwrap();
        store
            .rotate_identity(&vault, &after.named("m"), vec![after.purpose_key()])
            .await
            .unwrap();
        let found = store
            .identity_with_purpose_key(before.history.identifier(), Purpose::SecureChannel)
            .await
            .unwrap();
        let (identity, key) = found.unwrap();
        assert_eq!(identity.history.as_bytes(), after.history.as_bytes());
        let (late, late_secret) = before.purpose_key();
        let refused = store
            .put_purpose_key(&vault, &late, late_secret, &before.history, key.as_ref())
            .await;
        assert!(matches!(refused, Err(StoreError::IdentityChanged(name)) if name == "m"));
        let kept = store
            .purpose_key(before.history.identifier(), Purpose::SecureChannel)
            .await
            .unwrap();
        assert_eq!(kept.unwrap().key, key.unwrap().key);
        assert!(store.secret(&vault, &late.key).await.unwrap().is_none());
    }
}
