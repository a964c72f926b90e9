//! Projects whose members this home's identities are, or may become. What is known of one is JSON of the caller.
//!
//! **Invariants**: while there are projects exactly one is the default; names and ids are distinct; the authority of a
//! stored project is never replaced by another one, as it decides whom nodes trust.

use ockam_identity::Identifier;

use crate::error::{Failure, StoreError};
use crate::name::ProjectName;
use crate::sql::{self, Connection, FromRow, Row};
use crate::store::Store;

/// A project as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProjectRecord {
    /// Its id, the same everywhere.
    pub id: String,
    /// Its name in this home.
    pub name: ProjectName,
    /// Who issues its credentials.
    pub authority: Option<Identifier>,
    /// The controller that runs it, if one does as far as is known.
    pub controller: Option<Identifier>,
    /// What is known of it, as JSON.
    pub details: String,
    /// Whether it is used where none is named.
    pub is_default: bool,
}

/// A project to be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewProject {
    /// Its id.
    pub id: String,
    /// The name it gives itself; a number is added when another project has it here.
    pub name: ProjectName,
    /// Who issues its credentials.
    pub authority: Option<Identifier>,
    /// The controller that runs it. Who knows of none does not say that there is none.
    pub controller: Option<Identifier>,
    /// What is known of it, as JSON.
    pub details: String,
}

impl Store {
    /// Stores a project, or what is new about one that is known by its id, which keeps its name here. The first one
    /// becomes the default.
    ///
    /// # Errors
    /// [`StoreError::OtherAuthority`] if the known one has another authority.
    pub async fn put_project(&self, project: &NewProject) -> Result<ProjectRecord, StoreError> {
        self.write(async |db| {
            match by_id(db, &project.id).await? {
                Some(known)
                    if known.authority.is_some() && known.authority != project.authority =>
                {
                    return Err(StoreError::OtherAuthority {
                        project: known.name.to_string(),
                    }
                    .into());
                }
                Some(_) => {
                    sql::query(
                        "UPDATE project SET authority = $2, controller = COALESCE($3, controller), details = $4
                         WHERE project_id = $1",
                    )
                    .bind(&project.id)
                    .bind(project.authority.map(|authority| authority.to_string()))
                    .bind(project.controller.map(|controller| controller.to_string()))
                    .bind(&project.details)
                    .execute(&mut *db)
                    .await?;
                }
                None => insert(db, project).await?,
            }
            by_id(db, &project.id)
                .await?
                .ok_or_else(|| StoreError::NoProject(project.name.to_string()).into())
        })
        .await
    }

    /// The project of this name, or of this id when none has the name.
    ///
    /// # Errors
    /// [`StoreError::NoProject`].
    pub async fn project(&self, name: &str) -> Result<ProjectRecord, StoreError> {
        self.read(async |db| find(db, name).await).await
    }

    /// The project with this id, if it is known.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn project_with_id(&self, id: &str) -> Result<Option<ProjectRecord>, StoreError> {
        self.read(async |db| by_id(db, id).await).await
    }

    /// The default project, if there is any.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn default_project(&self) -> Result<Option<ProjectRecord>, StoreError> {
        self.read(async |db| {
            let row: Option<Stored> = sql::query_as("SELECT * FROM project WHERE is_default = 1")
                .fetch_optional(db)
                .await?;
            row.map(|row| row.0).transpose()
        })
        .await
    }

    /// All projects in the order they were stored.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn projects(&self) -> Result<Vec<ProjectRecord>, StoreError> {
        self.read(async |db| {
            let rows: Vec<Stored> = sql::query_as("SELECT * FROM project ORDER BY id")
                .fetch_all(db)
                .await?;
            rows.into_iter().map(|row| row.0).collect()
        })
        .await
    }

    /// Forgets a project and who was enrolled in it. If it was the default, the first remaining one becomes it.
    ///
    /// # Errors
    /// [`StoreError::NoProject`].
    pub async fn delete_project(&self, name: &str) -> Result<ProjectRecord, StoreError> {
        self.write(async |db| {
            let project = find(db, name).await?;
            sql::query("DELETE FROM project WHERE project_id = $1")
                .bind(&project.id)
                .execute(&mut *db)
                .await?;
            if project.is_default {
                sql::query(
                    "UPDATE project SET is_default = 1 WHERE id = (SELECT min(id) FROM project)",
                )
                .execute(db)
                .await?;
            }
            Ok(project)
        })
        .await
    }
}

async fn insert(db: &mut Connection, project: &NewProject) -> Result<(), Failure> {
    let mut name = project.name.clone();
    let mut number = 1_u64;
    while by_name(db, name.as_str()).await?.is_some() {
        number = number.saturating_add(1);
        name = project.name.numbered(number);
    }
    sql::query(
        "INSERT INTO project (project_id, name, authority, controller, details, is_default)
         VALUES ($1, $2, $3, $4, $5, CASE WHEN EXISTS (SELECT 1 FROM project) THEN 0 ELSE 1 END)",
    )
    .bind(&project.id)
    .bind(name.as_str())
    .bind(project.authority.map(|authority| authority.to_string()))
    .bind(project.controller.map(|controller| controller.to_string()))
    .bind(&project.details)
    .execute(db)
    .await?;
    Ok(())
}

async fn find(db: &mut Connection, name: &str) -> Result<ProjectRecord, Failure> {
    if let Some(project) = by_name(db, name).await? {
        return Ok(project);
    }
    by_id(db, name)
        .await?
        .ok_or_else(|| StoreError::NoProject(name.to_owned()).into())
}

async fn by_name(db: &mut Connection, name: &str) -> Result<Option<ProjectRecord>, Failure> {
    let row: Option<Stored> = sql::query_as("SELECT * FROM project WHERE name = $1")
        .bind(name)
        .fetch_optional(db)
        .await?;
    row.map(|row| row.0).transpose()
}

async fn by_id(db: &mut Connection, id: &str) -> Result<Option<ProjectRecord>, Failure> {
    let row: Option<Stored> = sql::query_as("SELECT * FROM project WHERE project_id = $1")
        .bind(id)
        .fetch_optional(db)
        .await?;
    row.map(|row| row.0).transpose()
}

struct Stored(Result<ProjectRecord, Failure>);

impl FromRow for Stored {
    fn from_row(row: &Row) -> sqlx::Result<Self> {
        let name: String = row.try_get("name")?;
        let authority: Option<String> = row.try_get("authority")?;
        let controller: Option<String> = row.try_get("controller")?;
        let id = row.try_get("project_id")?;
        let details = row.try_get("details")?;
        let is_default = row.try_get("is_default")?;
        let read = || {
            Ok(ProjectRecord {
                id,
                name: name
                    .parse()
                    .map_err(|e| Failure::unreadable("name of a project", e))?,
                authority: authority
                    .map(|authority| {
                        authority
                            .parse()
                            .map_err(|e| Failure::unreadable("authority of a project", e))
                    })
                    .transpose()?,
                controller: controller
                    .map(|controller| {
                        controller
                            .parse()
                            .map_err(|e| Failure::unreadable("controller of a project", e))
                    })
                    .transpose()?,
                details,
                is_default,
            })
        };
        Ok(Self(read()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Person, store};

    fn new(id: &str, name: &str, authority: Option<&Person>) -> NewProject {
        NewProject {
            id: id.into(),
            name: name.parse().unwrap(),
            authority: authority.map(|person| *person.history.identifier()),
            controller: None,
            details: format!("details of {id}"),
        }
    }

    async fn default_name(store: &Store) -> Option<String> {
        let project = store.default_project().await.unwrap();
        project.map(|project| project.name.to_string())
    }

    #[tokio::test]
    async fn the_first_project_is_the_default_and_the_next_one_after_it_is_deleted() {
        let (_home, store) = store().await;
        for name in ["one", "two"] {
            store.put_project(&new(name, name, None)).await.unwrap();
        }
        assert_eq!(default_name(&store).await.as_deref(), Some("one"));
        store.delete_project("one").await.unwrap();
        assert_eq!(default_name(&store).await.as_deref(), Some("two"));
        store.delete_project("two").await.unwrap();
        assert!(store.projects().await.unwrap().is_empty());
        let gone = store.delete_project("two").await.unwrap_err();
        assert_eq!(gone.to_string(), "The project two was not found");
    }

    #[tokio::test]
    async fn projects_of_one_name_are_told_apart_and_found_by_their_id() {
        let (_home, store) = store().await;
        store.put_project(&new("a", "default", None)).await.unwrap();
        let second = store.put_project(&new("b", "default", None)).await.unwrap();
        assert_eq!(second.name.as_str(), "default-2");
        assert_eq!(store.project("b").await.unwrap(), second);
        // What is known keeps its name.
        let again = store.put_project(&new("b", "default", None)).await.unwrap();
        assert_eq!(again, second);
    }

    #[tokio::test]
    async fn the_authority_of_a_project_is_not_replaced() {
        let (_home, store) = store().await;
        let (authority, other) = (Person::new(), Person::new());
        store.put_project(&new("p", "p", None)).await.unwrap();
        let project = new("p", "p", Some(&authority));
        let stored = store.put_project(&project).await.unwrap();
        assert_eq!(stored.authority, project.authority);
        for wrong in [None, Some(&other)] {
            let refused = store.put_project(&new("p", "p", wrong)).await;
            assert!(matches!(refused, Err(StoreError::OtherAuthority { .. })));
        }
        assert_eq!(store.project("p").await.unwrap(), stored);
    }
}
