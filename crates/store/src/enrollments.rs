//! Which of the user's own identities are members of which projects, as far as this home knows: the authority decides.

use ockam_identity::{Identifier, UnixTime};

use crate::error::{Failure, StoreError};
use crate::sql;
use crate::store::Store;

/// An identity that was enrolled in a project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnrollmentRecord {
    /// The identity.
    pub identity: Identifier,
    /// The id of the project.
    pub project: String,
    /// When the authority said so.
    pub enrolled_at: UnixTime,
}

impl Store {
    /// Notes that an identity is a member of a project. The time of the first enrollment stays.
    ///
    /// # Errors
    /// [`StoreError::NoIdentity`] unless the identity is the user's own; [`StoreError::NoProject`].
    pub async fn put_enrollment(&self, record: &EnrollmentRecord) -> Result<(), StoreError> {
        self.write(async |db| {
            let identity = record.identity.to_string();
            if crate::identities::by_identifier(db, &record.identity)
                .await?
                .is_none()
            {
                return Err(StoreError::NoIdentity(identity).into());
            }
            let done = sql::query(
                "INSERT INTO enrollment (identity, project, enrolled_at) VALUES ($1, $2, $3)
                 ON CONFLICT DO NOTHING",
            )
            .bind(identity)
            .bind(&record.project)
            .bind(record.enrolled_at.0.cast_signed())
            .execute(db)
            .await
            .map_err(Failure::from);
            match done {
                Err(failure) if failure.is_foreign_key_violation() => {
                    Err(StoreError::NoProject(record.project.clone()).into())
                }
                done => done.map(drop),
            }
        })
        .await
    }

    /// Forgets that an identity is a member of a project.
    ///
    /// # Errors
    /// The store cannot be written.
    pub async fn delete_enrollment(
        &self,
        identity: &Identifier,
        project: &str,
    ) -> Result<bool, StoreError> {
        self.write(async |db| {
            let done = sql::query("DELETE FROM enrollment WHERE identity = $1 AND project = $2")
                .bind(identity.to_string())
                .bind(project)
                .execute(db)
                .await?;
            Ok(done.rows_affected() > 0)
        })
        .await
    }

    /// The projects an identity is a member of, in the order in which they were stored.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn enrollments(
        &self,
        identity: &Identifier,
    ) -> Result<Vec<EnrollmentRecord>, StoreError> {
        self.read(async |db| {
            let rows = sql::query(
                "SELECT enrollment.project, enrollment.enrolled_at FROM enrollment
                 JOIN project ON project.project_id = enrollment.project
                 WHERE enrollment.identity = $1 ORDER BY project.id",
            )
            .bind(identity.to_string())
            .fetch_all(db)
            .await?;
            rows.iter()
                .map(|row| {
                    let enrolled_at: i64 = row.try_get("enrolled_at")?;
                    Ok(EnrollmentRecord {
                        identity: *identity,
                        project: row.try_get("project")?,
                        enrolled_at: UnixTime(enrolled_at.cast_unsigned()),
                    })
                })
                .collect()
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::projects::NewProject;
    use crate::testing::{Person, store};

    #[tokio::test]
    async fn identities_are_enrolled_in_projects_of_their_own() {
        let (_home, store) = store().await;
        let vault = store.vault_or_only(None).await.unwrap();
        let vault = store.open_vault(&vault.name, None).await.unwrap();
        let people = [Person::new(), Person::new()];
        for (person, name) in people.iter().zip(["alice", "bob"]) {
            let named = person.named(name);
            store.create_identity(&vault, &named).await.unwrap();
        }
        for id in ["p1", "p2"] {
            let project = NewProject {
                id: id.into(),
                name: id.parse().unwrap(),
                authority: None,
                controller: None,
                details: String::new(),
            };
            store.put_project(&project).await.unwrap();
        }
        let record = |person: &Person, project: &str, at| EnrollmentRecord {
            identity: *person.history.identifier(),
            project: project.into(),
            enrolled_at: UnixTime(at),
        };
        let [alice, bob] = &people;
        for one in [
            record(alice, "p1", 1),
            record(alice, "p1", 2),
            record(bob, "p2", 3),
        ] {
            store.put_enrollment(&one).await.unwrap();
        }
        let of = async |person: &Person| {
            store
                .enrollments(person.history.identifier())
                .await
                .unwrap()
        };
        assert_eq!(of(alice).await, [record(alice, "p1", 1)]);
        assert_eq!(of(bob).await, [record(bob, "p2", 3)]);
        let unknown = store.put_enrollment(&record(alice, "p9", 1)).await;
        assert!(matches!(unknown, Err(StoreError::NoProject(_))));
        let stranger = store.put_enrollment(&record(&Person::new(), "p1", 1)).await;
        assert!(matches!(stranger, Err(StoreError::NoIdentity(_))));
        // What goes takes its enrollments along.
        store.delete_project("p1").await.unwrap();
        assert!(of(alice).await.is_empty());
        store
            .delete_identity(&"bob".parse().unwrap())
            .await
            .unwrap();
        assert!(of(bob).await.is_empty());
    }
}
