//! Projects whose members this home's identities are, or may become. What is known of one is JSON of the caller.
//!
//! **Invariants**: while there are projects exactly one is the default; names and ids are distinct; the authority of a
//! stored project is never replaced by another one, as it decides whom nodes trust.

use std::collections::HashMap;

use ockam_identity::{Identifier, VerifiedHistory};
use sqlx::AssertSqlSafe;

use crate::error::{Failure, StoreError};
use crate::histories;
use crate::name::{NamesInUse, ProjectName};
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
                Some(known) => {
                    let authority = known.authority.map(|authority| authority.to_string());
                    check_authority(known.name.as_str(), authority.as_deref(), project)?;
                    update(db, project).await?;
                }
                None => insert(db, project).await?,
            }
            by_id(db, &project.id)
                .await?
                .ok_or_else(|| StoreError::NoProject(project.name.to_string()).into())
        })
        .await
    }

    /// Stores projects, or what is new about those that are known by their ids, as [`Store::put_project`] does, and the
    /// histories that come with them; of those that are known whoever is newer stays. All of it in one transaction.
    ///
    /// # Errors
    /// [`StoreError::OtherAuthority`] if a known one has another authority; [`StoreError::Import`] if a history contradicts the
    /// stored one.
    pub async fn put_projects(
        &self,
        projects: &[NewProject],
        histories: &[&VerifiedHistory],
    ) -> Result<(), StoreError> {
        if projects.is_empty() && histories.is_empty() {
            return Ok(());
        }
        self.write(async |db| {
            histories::import_all(db, histories).await?;
            let known = known(db).await?;
            let mut names = NamesInUse::of(known.values().map(|(name, _)| name));
            let mut new = Vec::new();
            for project in projects {
                match known.get(&project.id) {
                    Some((name, authority)) => {
                        check_authority(name, authority.as_deref(), project)?;
                        update(db, project).await?;
                    }
                    None => new.push((names.unused(&project.name, ProjectName::numbered), project)),
                }
            }
            let mut is_first = known.is_empty();
            for some in new.chunks(sql::AT_ONCE) {
                let mut query = sql::query(AssertSqlSafe(format!(
                    "INSERT INTO project (project_id, name, authority, controller, details, is_default) VALUES {}",
                    sql::rows(some.len(), 6)
                )));
                for (name, project) in some {
                    query = query
                        .bind(&project.id)
                        .bind(name.as_str())
                        .bind(project.authority.map(|authority| authority.to_string()))
                        .bind(project.controller.map(|controller| controller.to_string()))
                        .bind(&project.details)
                        .bind(std::mem::take(&mut is_first));
                }
                query.execute(&mut *db).await?;
            }
            Ok(())
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
            delete(db, std::slice::from_ref(&project.id)).await?;
            Ok(project)
        })
        .await
    }

    /// The same of all of these, by their ids, as far as they are known; all of it in one transaction.
    ///
    /// # Errors
    /// The store cannot be written.
    pub async fn delete_projects(&self, ids: &[String]) -> Result<(), StoreError> {
        if ids.is_empty() {
            return Ok(());
        }
        self.write(async |db| delete(db, ids).await).await
    }
}

async fn delete(db: &mut Connection, ids: &[String]) -> Result<(), Failure> {
    for some in ids.chunks(sql::AT_ONCE) {
        let mut query = sql::query(AssertSqlSafe(format!(
            "DELETE FROM project WHERE project_id IN ({})",
            sql::placeholders(some.len())
        )));
        for id in some {
            query = query.bind(id);
        }
        query.execute(&mut *db).await?;
    }
    sql::query(
        "UPDATE project SET is_default = 1 WHERE id = (SELECT min(id) FROM project)
            AND NOT EXISTS (SELECT 1 FROM project WHERE is_default = 1)",
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Names and authorities of all projects, by their ids.
async fn known(db: &mut Connection) -> Result<HashMap<String, (String, Option<String>)>, Failure> {
    let rows: Vec<(String, String, Option<String>)> =
        sql::query_as("SELECT project_id, name, authority FROM project")
            .fetch_all(db)
            .await?;
    let known = rows.into_iter();
    Ok(known
        .map(|(id, name, authority)| (id, (name, authority)))
        .collect())
}

/// Refuses to take another authority for the one that is known.
fn check_authority(
    name: &str,
    authority: Option<&str>,
    project: &NewProject,
) -> Result<(), StoreError> {
    let new = project.authority.map(|authority| authority.to_string());
    if authority.is_some() && authority != new.as_deref() {
        return Err(StoreError::OtherAuthority {
            project: name.to_owned(),
        });
    }
    Ok(())
}

async fn update(db: &mut Connection, project: &NewProject) -> Result<(), Failure> {
    sql::query(
        "UPDATE project SET authority = $2, controller = COALESCE($3, controller), details = $4
         WHERE project_id = $1",
    )
    .bind(&project.id)
    .bind(project.authority.map(|authority| authority.to_string()))
    .bind(project.controller.map(|controller| controller.to_string()))
    .bind(&project.details)
    .execute(db)
    .await?;
    Ok(())
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
    async fn many_are_stored_as_one_by_one_or_not_at_all() {
        let (_home, store) = store().await;
        let (authority, other) = (Person::new(), Person::new());
        store
            .put_project(&new("known", "web", Some(&authority)))
            .await
            .unwrap();
        let mut many: Vec<NewProject> = (0..1000)
            .map(|number| new(&format!("id-{number}"), "web", Some(&authority)))
            .collect();
        many.push(NewProject {
            details: "changed".into(),
            ..new("known", "another-name", Some(&authority))
        });
        let histories = [&authority.history, &other.history, &authority.history];
        for _ in 0..2 {
            store.put_projects(&many, &histories).await.unwrap();
        }
        let stored = store.projects().await.unwrap();
        assert_eq!(stored.len(), 1001);
        let known = store.project("known").await.unwrap();
        assert_eq!(
            (known.name.as_str(), known.details.as_str()),
            ("web", "changed")
        );
        assert_eq!(stored[1].name.as_str(), "web-2");
        assert_eq!(stored[1000].name.as_str(), "web-1001");
        assert!(
            store
                .history(other.history.identifier())
                .await
                .unwrap()
                .is_some()
        );

        // One that is refused leaves nothing of the others.
        let wrong = [
            new("fresh", "fresh", None),
            new("id-7", "web", Some(&other)),
        ];
        let refused = store.put_projects(&wrong, &[]).await;
        assert!(matches!(refused, Err(StoreError::OtherAuthority { .. })));
        assert!(store.project_with_id("fresh").await.unwrap().is_none());

        let gone: Vec<String> = (0..999).map(|number| format!("id-{number}")).collect();
        store.delete_projects(&gone).await.unwrap();
        assert_eq!(default_name(&store).await.as_deref(), Some("web"));
        store
            .delete_projects(&["known".to_owned(), "nobody".to_owned()])
            .await
            .unwrap();
        assert_eq!(default_name(&store).await.as_deref(), Some("web-1001"));
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
