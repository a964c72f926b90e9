//! Controllers this home knows, and which of the user's own identities are enrolled with which.
//!
//! **Invariants**: while there are controllers exactly one is the default; a controller is who it is, wherever it moves.

use ockam_identity::{Identifier, UnixTime};

use crate::error::{Failure, StoreError};
use crate::sql::{self, Row};
use crate::store::Store;

/// Where a controller is and who it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ControllerRecord {
    /// Who it is; nobody else is spoken to.
    pub identifier: Identifier,
    /// The way to its listener of channels, as a multiaddr.
    pub route: String,
    /// Whether it is asked where none is named.
    pub is_default: bool,
}

/// An identity of this home that a controller knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ControllerEnrollmentRecord {
    /// The identity.
    pub identity: Identifier,
    /// The controller.
    pub controller: Identifier,
    /// How the controller calls whose identity it is, as far as it said.
    pub email: Option<String>,
    /// When the controller took it.
    pub enrolled_at: UnixTime,
}

impl Store {
    /// Stores where a controller is, and makes it the default. Where it was before is forgotten.
    ///
    /// # Errors
    /// The store cannot be written.
    pub async fn put_controller(
        &self,
        identifier: &Identifier,
        route: &str,
    ) -> Result<(), StoreError> {
        self.write(async |db| {
            sql::query("UPDATE controller SET is_default = 0 WHERE identifier <> $1")
                .bind(identifier.to_string())
                .execute(&mut *db)
                .await?;
            sql::query(
                "INSERT INTO controller (identifier, route, is_default) VALUES ($1, $2, 1)
                 ON CONFLICT (identifier) DO UPDATE SET route = excluded.route, is_default = 1",
            )
            .bind(identifier.to_string())
            .bind(route)
            .execute(db)
            .await?;
            Ok(())
        })
        .await
    }

    /// Stores where a controller is that was named for a moment, unless it is known. It is the default if there is no other.
    ///
    /// # Errors
    /// The store cannot be read or written.
    pub async fn note_controller(
        &self,
        identifier: &Identifier,
        route: &str,
    ) -> Result<(), StoreError> {
        if self.controller(identifier).await?.is_some() {
            return Ok(());
        }
        self.write(async |db| {
            let others: i64 = sql::query_scalar("SELECT count(*) FROM controller")
                .fetch_one(&mut *db)
                .await?;
            sql::query(
                "INSERT INTO controller (identifier, route, is_default) VALUES ($1, $2, $3)
                 ON CONFLICT (identifier) DO NOTHING",
            )
            .bind(identifier.to_string())
            .bind(route)
            .bind(i64::from(others == 0))
            .execute(db)
            .await?;
            Ok(())
        })
        .await
    }

    /// The controller with this identifier, if it is known.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn controller(
        &self,
        identifier: &Identifier,
    ) -> Result<Option<ControllerRecord>, StoreError> {
        self.read(async |db| {
            let row = sql::query("SELECT * FROM controller WHERE identifier = $1")
                .bind(identifier.to_string())
                .fetch_optional(db)
                .await?;
            row.as_ref().map(controller).transpose()
        })
        .await
    }

    /// The controller that is asked where none is named.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn default_controller(&self) -> Result<Option<ControllerRecord>, StoreError> {
        self.read(async |db| {
            let row = sql::query("SELECT * FROM controller WHERE is_default = 1")
                .fetch_optional(db)
                .await?;
            row.as_ref().map(controller).transpose()
        })
        .await
    }

    /// Notes that a controller knows an identity. The time of the first enrollment stays.
    ///
    /// # Errors
    /// [`StoreError::NoIdentity`] unless the identity is the user's own.
    pub async fn put_controller_enrollment(
        &self,
        account: &ControllerEnrollmentRecord,
    ) -> Result<(), StoreError> {
        self.write(async |db| {
            let identity = account.identity.to_string();
            if crate::identities::by_identifier(db, &account.identity)
                .await?
                .is_none()
            {
                return Err(StoreError::NoIdentity(identity).into());
            }
            sql::query(
                "INSERT INTO account (identity, controller, email, enrolled_at) VALUES ($1, $2, $3, $4)
                 ON CONFLICT (identity, controller) DO UPDATE SET email = excluded.email",
            )
            .bind(identity)
            .bind(account.controller.to_string())
            .bind(account.email.clone())
            .bind(account.enrolled_at.0.cast_signed())
            .execute(db)
            .await?;
            Ok(())
        })
        .await
    }

    /// What is known of an identity at a controller, if it is enrolled there.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn controller_enrollment(
        &self,
        identity: &Identifier,
        controller: &Identifier,
    ) -> Result<Option<ControllerEnrollmentRecord>, StoreError> {
        self.read(async |db| {
            let row = sql::query("SELECT * FROM account WHERE identity = $1 AND controller = $2")
                .bind(identity.to_string())
                .bind(controller.to_string())
                .fetch_optional(db)
                .await?;
            row.as_ref().map(account).transpose()
        })
        .await
    }

    /// All enrollments with controllers, the oldest first.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn controller_enrollments(
        &self,
    ) -> Result<Vec<ControllerEnrollmentRecord>, StoreError> {
        self.read(async |db| {
            let rows =
                sql::query("SELECT * FROM account ORDER BY enrolled_at, identity, controller")
                    .fetch_all(db)
                    .await?;
            rows.iter().map(account).collect()
        })
        .await
    }

    /// Forgets that a controller knows an identity.
    ///
    /// # Errors
    /// The store cannot be written.
    pub async fn delete_controller_enrollment(
        &self,
        identity: &Identifier,
        controller: &Identifier,
    ) -> Result<bool, StoreError> {
        self.write(async |db| {
            let done = sql::query("DELETE FROM account WHERE identity = $1 AND controller = $2")
                .bind(identity.to_string())
                .bind(controller.to_string())
                .execute(db)
                .await?;
            Ok(done.rows_affected() > 0)
        })
        .await
    }
}

fn identifier(row: &Row, column: &str) -> Result<Identifier, Failure> {
    let text: String = row.try_get(column)?;
    text.parse()
        .map_err(|error| Failure::unreadable("identifier", error))
}

fn controller(row: &Row) -> Result<ControllerRecord, Failure> {
    Ok(ControllerRecord {
        identifier: identifier(row, "identifier")?,
        route: row.try_get("route")?,
        is_default: row.try_get("is_default")?,
    })
}

fn account(row: &Row) -> Result<ControllerEnrollmentRecord, Failure> {
    let enrolled_at: i64 = row.try_get("enrolled_at")?;
    Ok(ControllerEnrollmentRecord {
        identity: identifier(row, "identity")?,
        controller: identifier(row, "controller")?,
        email: row.try_get("email")?,
        enrolled_at: UnixTime(enrolled_at.cast_unsigned()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Person, store};

    #[tokio::test]
    async fn the_controller_that_was_stored_last_is_the_default_wherever_it_moves() {
        let (_home, store) = store().await;
        let (one, two) = (Identifier::new([1; 32]), Identifier::new([2; 32]));
        assert_eq!(store.default_controller().await.unwrap(), None);
        store.put_controller(&one, "/tcp/1").await.unwrap();
        store.put_controller(&two, "/tcp/2").await.unwrap();
        let default = store.default_controller().await.unwrap().unwrap();
        assert_eq!(default.identifier, two);
        store.put_controller(&one, "/tcp/3").await.unwrap();
        let default = store.default_controller().await.unwrap().unwrap();
        assert_eq!(
            (default.identifier, default.route.as_str()),
            (one, "/tcp/3")
        );
        let other = store.controller(&two).await.unwrap().unwrap();
        assert!(!other.is_default);
        // One that is named for a moment takes nobody's place.
        let three = Identifier::new([3; 32]);
        for (noted, route) in [(&three, "/tcp/4"), (&one, "/tcp/5")] {
            store.note_controller(noted, route).await.unwrap();
        }
        let noted = store.controller(&three).await.unwrap().unwrap();
        assert_eq!((noted.route.as_str(), noted.is_default), ("/tcp/4", false));
        let default = store.default_controller().await.unwrap().unwrap();
        assert_eq!(default.route, "/tcp/3");
    }

    #[tokio::test]
    async fn identities_are_enrolled_once_with_each_controller() {
        let (_home, store) = store().await;
        let vault = store.vault_or_only(None).await.unwrap();
        let vault = store.open_vault(&vault.name, None).await.unwrap();
        let alice = Person::new();
        store
            .create_identity(&vault, &alice.named("alice"))
            .await
            .unwrap();
        let controller = Identifier::new([1; 32]);
        store.put_controller(&controller, "/tcp/1").await.unwrap();
        let account = |email: Option<&str>, at| ControllerEnrollmentRecord {
            identity: *alice.history.identifier(),
            controller,
            email: email.map(str::to_owned),
            enrolled_at: UnixTime(at),
        };
        store
            .put_controller_enrollment(&account(None, 1))
            .await
            .unwrap();
        store
            .put_controller_enrollment(&account(Some("a@b"), 2))
            .await
            .unwrap();
        assert_eq!(
            store.controller_enrollments().await.unwrap(),
            [account(Some("a@b"), 1)]
        );
        let stranger = ControllerEnrollmentRecord {
            identity: Identifier::new([9; 32]),
            ..account(None, 3)
        };
        let refused = store.put_controller_enrollment(&stranger).await;
        assert!(matches!(refused, Err(StoreError::NoIdentity(_))));
        let known = account(None, 1);
        assert!(
            store
                .delete_controller_enrollment(&known.identity, &known.controller)
                .await
                .unwrap()
        );
        assert!(store.controller_enrollments().await.unwrap().is_empty());
    }
}
