//! Projects of an Orchestrator, who may what in them, by address, and what is done to them.
//!
//! **Invariants**: a space has no two projects of one name; a project that was begun is finished or deleted under the same id,
//! whatever ended the process. Specification: trust 9.4.

use std::collections::HashSet;

use ockam_identity::UnixTime;
use sqlx::AssertSqlSafe;

use crate::audit::{self, NewAudit};
use crate::dues::{self, Dues};
use crate::error::{Failure, StoreError};
use crate::hosted_spaces::admins_of;
use crate::members::{count, seconds, time};
use crate::sql::{self, Connection, FromRow, Row};
use crate::store::Store;

/// A project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostedProjectRecord {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// The id of its space.
    pub space: String,
    /// The name of its space.
    pub space_name: String,
    /// The operation that makes it.
    pub operation: String,
    /// Whether it is made.
    pub is_ready: bool,
    /// How members sign in, encoded by the caller.
    pub okta: Option<Vec<u8>>,
    /// Who may what.
    pub roles: Vec<HostedRoleRecord>,
}

/// What somebody may in a project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostedRoleRecord {
    /// Who.
    pub email: String,
    /// The number of their account; 0 if they have none.
    pub number: u64,
    /// What they are, as its number. `spec: trust 9.4`
    pub role: u64,
    /// Whether they are it for the whole space.
    pub of_space: bool,
}

/// What became of the beginning of a project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProjectBegun {
    /// It is to be made under this id, by this operation. Another attempt may have begun it before.
    Begun {
        /// The id.
        id: String,
        /// The operation.
        operation: String,
    },
    /// The space has one of this name.
    NameTaken,
    /// The space is gone.
    NoSpace,
}

impl Store {
    /// Begins to make a project.
    ///
    /// # Errors
    /// The store cannot be read or written.
    pub async fn begin_hosted_project(
        &self,
        (id, name, space, operation): (&str, &str, &str, &str),
        admins: &[String],
        entry: &NewAudit,
    ) -> Result<ProjectBegun, StoreError> {
        let now = entry.at;
        self.write(async |db| {
            let is_there: Option<i64> = sql::query_scalar("SELECT 1 FROM orchestrator_space WHERE id = $1")
                .bind(space.to_owned())
                .fetch_optional(&mut *db)
                .await?;
            if is_there.is_none() {
                return Ok(ProjectBegun::NoSpace);
            }
            let known: Option<(String, String, i64)> = sql::query_as(
                "SELECT id, operation, is_ready FROM orchestrator_project WHERE space = $1 AND name = $2",
            )
            .bind(space.to_owned())
            .bind(name.to_owned())
            .fetch_optional(&mut *db)
            .await?;
            if let Some((id, operation, is_ready)) = known {
                if is_ready != 0 {
                    return Ok(ProjectBegun::NameTaken);
                }
                audit::append(db, &entry.on(format!("project {id} {name}"))).await?;
                return Ok(ProjectBegun::Begun { id, operation });
            }
            sql::query(
                "INSERT INTO orchestrator_project (id, name, space, operation, is_ready, created_at)
                 VALUES ($1, $2, $3, $4, 0, $5)",
            )
            .bind(id.to_owned())
            .bind(name.to_owned())
            .bind(space.to_owned())
            .bind(operation.to_owned())
            .bind(seconds(now))
            .execute(&mut *db)
            .await?;
            put_operation(db, operation, id, now).await?;
            for admin in admins {
                put_role(db, id, admin, ADMIN).await?;
            }
            audit::append(db, &entry.on(format!("project {id} {name}"))).await?;
            Ok(ProjectBegun::Begun {
                id: id.to_owned(),
                operation: operation.to_owned(),
            })
        })
        .await
    }

    /// Notes that a project is made.
    ///
    /// # Errors
    /// The store cannot be written.
    pub async fn finish_hosted_project(
        &self,
        id: &str,
        entry: &NewAudit,
    ) -> Result<(), StoreError> {
        self.write(async |db| {
            let made = sql::query(
                "UPDATE orchestrator_project SET is_ready = 1 WHERE id = $1 AND is_ready = 0",
            )
            .bind(id.to_owned())
            .execute(&mut *db)
            .await?;
            if made.rows_affected() > 0 {
                audit::append(db, entry).await?;
            }
            Ok(())
        })
        .await
    }

    /// One project.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn hosted_project(
        &self,
        id: &str,
    ) -> Result<Option<HostedProjectRecord>, StoreError> {
        self.read(async |db| {
            let rows: Vec<HostedProjectRecord> = sql::query_as(
                "SELECT p.*, s.name AS space_name FROM orchestrator_project p
                 JOIN orchestrator_space s ON s.id = p.space WHERE p.id = $1",
            )
            .bind(id.to_owned())
            .fetch_all(&mut *db)
            .await?;
            Ok(with_roles(db, rows).await?.pop())
        })
        .await
    }

    /// Projects in which somebody may something, behind an id, in the order of ids.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn hosted_projects_of(
        &self,
        email: &str,
        after: &str,
        limit: usize,
    ) -> Result<Vec<HostedProjectRecord>, StoreError> {
        self.read(async |db| {
            let rows: Vec<HostedProjectRecord> = sql::query_as(
                "SELECT p.*, s.name AS space_name FROM (
                     SELECT q.id AS id FROM orchestrator_space_admin a JOIN orchestrator_project q ON q.space = a.space
                     WHERE a.folded = $1 AND q.id > $2
                     UNION
                     SELECT r.project AS id FROM orchestrator_role r WHERE r.folded = $1 AND r.project > $2
                     ORDER BY 1 LIMIT $3
                 ) seen
                 JOIN orchestrator_project p ON p.id = seen.id
                 JOIN orchestrator_space s ON s.id = p.space
                 ORDER BY p.id",
            )
            .bind(email.to_lowercase())
            .bind(after.to_owned())
            .bind(count(limit))
            .fetch_all(&mut *db)
            .await?;
            with_roles(db, rows).await
        })
        .await
    }

    /// The projects of a space, by id and name.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn hosted_projects_in(
        &self,
        space: &str,
    ) -> Result<Vec<(String, String)>, StoreError> {
        self.read(async |db| {
            Ok(sql::query_as(
                "SELECT id, name FROM orchestrator_project WHERE space = $1 ORDER BY id",
            )
            .bind(space.to_owned())
            .fetch_all(db)
            .await?)
        })
        .await
    }

    /// The ids of all projects behind one, in their order.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn hosted_projects_behind(
        &self,
        after: &str,
        limit: usize,
    ) -> Result<Vec<String>, StoreError> {
        self.read(async |db| {
            Ok(sql::query_scalar(
                "SELECT id FROM orchestrator_project WHERE id > $1 ORDER BY id LIMIT $2",
            )
            .bind(after.to_owned())
            .bind(count(limit))
            .fetch_all(db)
            .await?)
        })
        .await
    }

    /// How many projects there are.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn count_hosted_projects(&self) -> Result<u64, StoreError> {
        self.read(async |db| {
            let found: i64 = sql::query_scalar("SELECT count(*) FROM orchestrator_project")
                .fetch_one(db)
                .await?;
            Ok(time(found).0)
        })
        .await
    }

    /// Notes that projects are to go, so that whoever finds them later finishes that. An entry for each says that it was begun.
    ///
    /// # Errors
    /// The store cannot be written.
    pub async fn begin_project_deletions(
        &self,
        projects: &[(String, NewAudit)],
    ) -> Result<(), StoreError> {
        self.write(async |db| {
            for (id, entry) in projects {
                dues::deletion(db, id, entry.at).await?;
                audit::append(db, entry).await?;
            }
            Ok(())
        })
        .await
    }

    /// Deletes what is known of projects, and forgets what was due of them. Of those that are there the entries say so.
    ///
    /// # Errors
    /// The store cannot be written.
    pub async fn delete_hosted_projects(
        &self,
        projects: &[(String, NewAudit)],
    ) -> Result<(), StoreError> {
        for some in projects.chunks(sql::AT_ONCE) {
            self.write(async |db| {
                let places = sql::placeholders(some.len());
                for (table, column) in [
                    ("orchestrator_due", "project"),
                    ("orchestrator_role", "project"),
                    ("orchestrator_invitation", "target"),
                    ("orchestrator_code", "project"),
                    ("orchestrator_operation", "project"),
                ] {
                    let mut query = sql::query(AssertSqlSafe(format!(
                        "DELETE FROM {table} WHERE {column} IN ({places})"
                    )));
                    for (id, _) in some {
                        query = query.bind(id.as_str());
                    }
                    query.execute(&mut *db).await?;
                }
                let mut query = sql::query_scalar(AssertSqlSafe(format!(
                    "DELETE FROM orchestrator_project WHERE id IN ({places}) RETURNING id"
                )));
                for (id, _) in some {
                    query = query.bind(id.as_str());
                }
                let gone: Vec<String> = query.fetch_all(&mut *db).await?;
                let gone: HashSet<String> = gone.into_iter().collect();
                for (_, entry) in some.iter().filter(|(id, _)| gone.contains(id)) {
                    audit::append(db, entry).await?;
                }
                Ok(())
            })
            .await?;
        }
        Ok(())
    }

    /// Says what somebody may in a project.
    ///
    /// # Errors
    /// The store cannot be written.
    pub async fn put_project_role(
        &self,
        project: &str,
        email: &str,
        role: u64,
        entry: &NewAudit,
    ) -> Result<(), StoreError> {
        self.write(async |db| {
            put_role(db, project, email, role).await?;
            audit::append(db, &entry.on(format!("project {project} {email}"))).await?;
            Ok(())
        })
        .await
    }

    /// Ends that somebody may something in a project itself; what they are where it runs is due. Nothing if they may not.
    ///
    /// # Errors
    /// The store cannot be written.
    pub async fn delete_project_role(
        &self,
        project: &str,
        email: &str,
        entry: &NewAudit,
    ) -> Result<Option<Dues>, StoreError> {
        self.write(async |db| {
            let gone =
                sql::query("DELETE FROM orchestrator_role WHERE project = $1 AND folded = $2")
                    .bind(project.to_owned())
                    .bind(email.to_lowercase())
                    .execute(&mut *db)
                    .await?;
            if gone.rows_affected() == 0 {
                return Ok(None);
            }
            let due = dues::in_project(db, project, email, entry.at).await?;
            audit::append(db, &entry.on(format!("project {project} {email}"))).await?;
            Ok(Some(due))
        })
        .await
    }

    /// Keeps how members of a project sign in, and the operation that said so.
    ///
    /// # Errors
    /// The store cannot be written.
    pub async fn set_hosted_okta(
        &self,
        project: &str,
        okta: Option<Vec<u8>>,
        operation: &str,
        entry: &NewAudit,
    ) -> Result<(), StoreError> {
        self.write(async |db| {
            sql::query("UPDATE orchestrator_project SET okta = $2 WHERE id = $1")
                .bind(project.to_owned())
                .bind(okta.clone())
                .execute(&mut *db)
                .await?;
            put_operation(db, operation, project, entry.at).await?;
            audit::append(db, entry).await?;
            Ok(())
        })
        .await
    }

    /// The project an operation belongs to.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn operation_project(&self, operation: &str) -> Result<Option<String>, StoreError> {
        self.read(async |db| {
            Ok(
                sql::query_scalar("SELECT project FROM orchestrator_operation WHERE id = $1")
                    .bind(operation.to_owned())
                    .fetch_optional(db)
                    .await?,
            )
        })
        .await
    }
}

pub(crate) async fn put_role(
    db: &mut Connection,
    project: &str,
    email: &str,
    role: u64,
) -> Result<(), Failure> {
    sql::query(
        "INSERT INTO orchestrator_role (project, folded, email, role) VALUES ($1, $2, $3, $4)
         ON CONFLICT (project, folded) DO UPDATE SET role = excluded.role",
    )
    .bind(project.to_owned())
    .bind(email.to_lowercase())
    .bind(email.to_owned())
    .bind(i64::try_from(role).unwrap_or(i64::MAX))
    .execute(db)
    .await?;
    Ok(())
}

/// Operations that ended long ago are forgotten.
async fn put_operation(
    db: &mut Connection,
    operation: &str,
    project: &str,
    now: UnixTime,
) -> Result<(), Failure> {
    sql::query("DELETE FROM orchestrator_operation WHERE created_at < $1")
        .bind(seconds(UnixTime(now.0.saturating_sub(OPERATION_SECONDS))))
        .execute(&mut *db)
        .await?;
    sql::query("INSERT INTO orchestrator_operation (id, project, created_at) VALUES ($1, $2, $3)")
        .bind(operation.to_owned())
        .bind(project.to_owned())
        .bind(seconds(now))
        .execute(db)
        .await?;
    Ok(())
}

async fn with_roles(
    db: &mut Connection,
    mut projects: Vec<HostedProjectRecord>,
) -> Result<Vec<HostedProjectRecord>, Failure> {
    if projects.is_empty() {
        return Ok(projects);
    }
    let mut spaces: Vec<String> = projects
        .iter()
        .map(|project| project.space.clone())
        .collect();
    spaces.sort();
    spaces.dedup();
    let mut of_spaces = Vec::new();
    for (space, email) in admins_of(db, &spaces).await? {
        let number = number_of(db, &email).await?;
        of_spaces.push((space, email, number));
    }
    let statement = format!(
        "SELECT r.project, r.email, r.role, coalesce(a.number, 0) FROM orchestrator_role r
         LEFT JOIN orchestrator_account a ON a.folded = r.folded
         WHERE r.project IN ({}) ORDER BY r.project, r.folded",
        sql::placeholders(projects.len())
    );
    let mut query = sql::query_as(AssertSqlSafe(statement));
    for project in &projects {
        query = query.bind(project.id.clone());
    }
    let of_projects: Vec<(String, String, i64, i64)> = query.fetch_all(&mut *db).await?;
    for (project, email, role, number) in of_projects {
        // Both are in the order of ids.
        if let Ok(at) = projects.binary_search_by(|known| known.id.cmp(&project))
            && let Some(known) = projects.get_mut(at)
        {
            known.roles.push(HostedRoleRecord {
                email,
                number: time(number).0,
                role: time(role).0,
                of_space: false,
            });
        }
    }
    for project in &mut projects {
        let of_space = of_spaces
            .iter()
            .filter(|(space, ..)| *space == project.space);
        project
            .roles
            .extend(of_space.map(|(_, email, number)| HostedRoleRecord {
                email: email.clone(),
                number: *number,
                role: ADMIN,
                of_space: true,
            }));
    }
    Ok(projects)
}

async fn number_of(db: &mut Connection, email: &str) -> Result<u64, Failure> {
    let number: Option<i64> =
        sql::query_scalar("SELECT number FROM orchestrator_account WHERE folded = $1")
            .bind(email.to_lowercase())
            .fetch_optional(db)
            .await?;
    Ok(number.map_or(0, |number| time(number).0))
}

impl FromRow for HostedProjectRecord {
    fn from_row(row: &Row) -> sqlx::Result<Self> {
        Ok(Self {
            id: row.try_get("id")?,
            name: row.try_get("name")?,
            space: row.try_get("space")?,
            space_name: row.try_get("space_name")?,
            operation: row.try_get("operation")?,
            is_ready: row.try_get("is_ready")?,
            okta: row.try_get("okta")?,
            roles: Vec::new(),
        })
    }
}

/// The number of the role of administrators. `spec: trust 9.4`
const ADMIN: u64 = 0;
/// How long an operation that ended can be asked for.
const OPERATION_SECONDS: u64 = 7 * 24 * 3600;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{entry, store};

    #[tokio::test]
    async fn a_project_that_was_begun_is_finished_under_the_same_id() {
        let (_home, store) = store().await;
        let admins = ["a@b".to_owned()];
        assert!(
            store
                .create_hosted_space("s", "space", &admins, &entry())
                .await
                .unwrap()
        );
        assert!(
            !store
                .create_hosted_space("t", "space", &admins, &entry())
                .await
                .unwrap()
        );
        let begin = async |id: &str, space: &str| {
            store
                .begin_hosted_project((id, "web", space, &format!("op-{id}")), &[], &entry())
                .await
                .unwrap()
        };
        let begun = ProjectBegun::Begun {
            id: "p".to_owned(),
            operation: "op-p".to_owned(),
        };
        assert_eq!(begin("p", "s").await, begun);
        assert_eq!(begin("q", "s").await, begun);
        store.finish_hosted_project("p", &entry()).await.unwrap();
        assert_eq!(begin("q", "s").await, ProjectBegun::NameTaken);
        assert_eq!(begin("q", "x").await, ProjectBegun::NoSpace);
        assert!(!store.delete_hosted_space("s", &entry()).await.unwrap());
        let gone = [("p".to_owned(), entry()), ("nobody".to_owned(), entry())];
        store.delete_hosted_projects(&gone).await.unwrap();
        assert!(store.delete_hosted_space("s", &entry()).await.unwrap());
    }

    #[tokio::test]
    async fn lists_hold_what_somebody_may_see_in_pages_without_gap_or_overlap() {
        let (_home, store) = store().await;
        let admins = ["a@b".to_owned()];
        for space in ["s", "t"] {
            store
                .create_hosted_space(space, space, &admins, &entry())
                .await
                .unwrap();
        }
        store.put_space_admin("t", "c@d", &entry()).await.unwrap();
        let mut of_a = Vec::new();
        for number in 0..20 {
            let (id, space) = (
                format!("p{number:02}"),
                if number % 2 == 0 { "s" } else { "t" },
            );
            store
                .begin_hosted_project((&id, &id, space, &id), &[], &entry())
                .await
                .unwrap();
            of_a.push(id);
        }
        store
            .put_project_role("p00", "C@d", 1, &entry())
            .await
            .unwrap();
        store
            .put_project_role("p01", "c@d", 0, &entry())
            .await
            .unwrap();
        let pages = async |email: &str| {
            let mut seen: Vec<String> = Vec::new();
            loop {
                let after = seen.last().cloned().unwrap_or_default();
                let page = store.hosted_projects_of(email, &after, 7).await.unwrap();
                if page.is_empty() {
                    return seen;
                }
                seen.extend(page.into_iter().map(|project| project.id));
            }
        };
        assert_eq!(pages("A@b").await, of_a);
        let of_c = of_a
            .iter()
            .enumerate()
            .filter(|(at, _)| at % 2 == 1 || *at == 0);
        let of_c: Vec<String> = of_c.map(|(_, id)| id.clone()).collect();
        assert_eq!(pages("c@d").await, of_c);
        assert_eq!(pages("e@f").await, Vec::<String>::new());
        let roles = store.hosted_project("p01").await.unwrap().unwrap().roles;
        let told: Vec<_> = roles
            .iter()
            .map(|role| (role.email.as_str(), role.role, role.of_space))
            .collect();
        assert_eq!(
            told,
            [("c@d", 0, false), ("a@b", 0, true), ("c@d", 0, true)]
        );
    }
}
