//! Spaces of an Orchestrator, and who administers them, by address.
//!
//! **Invariants**: a space has an administrator; nobody administers two spaces of one name. Specification: trust 9.3.

use sqlx::AssertSqlSafe;

use crate::audit::{self, NewAudit};
use crate::dues::{self, Dues};
use crate::error::{Failure, StoreError};
use crate::members::{count, seconds};
use crate::sql::{self, Connection, FromRow, Row};
use crate::store::Store;

/// A space.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostedSpaceRecord {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Addresses of whoever administers it, in the order of their folded form.
    pub admins: Vec<String>,
}

/// What became of a change of administrators.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AdminChange {
    /// Done, or it was so already. What they are where the projects of the space run is due.
    Done(Dues),
    /// Nobody would be left.
    Last,
}

impl Store {
    /// Makes a space; the first of its administrators makes it. Gives back whether that one administers none of this name yet.
    ///
    /// # Errors
    /// The store cannot be read or written.
    pub async fn create_hosted_space(
        &self,
        id: &str,
        name: &str,
        admins: &[String],
        entry: &NewAudit,
    ) -> Result<bool, StoreError> {
        self.write(async |db| {
            for admin in admins.iter().take(1) {
                let taken: Option<i64> = sql::query_scalar(
                    "SELECT 1 FROM orchestrator_space s JOIN orchestrator_space_admin a ON a.space = s.id
                     WHERE a.folded = $1 AND s.name = $2 LIMIT 1",
                )
                .bind(admin.to_lowercase())
                .bind(name.to_owned())
                .fetch_optional(&mut *db)
                .await?;
                if taken.is_some() {
                    return Ok(false);
                }
            }
            sql::query("INSERT INTO orchestrator_space (id, name, created_at) VALUES ($1, $2, $3)")
                .bind(id.to_owned())
                .bind(name.to_owned())
                .bind(seconds(entry.at))
                .execute(&mut *db)
                .await?;
            for admin in admins {
                put_admin(db, id, admin).await?;
            }
            audit::append(db, &entry.on(format!("space {id} {name}"))).await?;
            Ok(true)
        })
        .await
    }

    /// One space.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn hosted_space(&self, id: &str) -> Result<Option<HostedSpaceRecord>, StoreError> {
        self.read(async |db| {
            let rows: Vec<SpaceRow> =
                sql::query_as("SELECT id, name FROM orchestrator_space WHERE id = $1")
                    .bind(id.to_owned())
                    .fetch_all(&mut *db)
                    .await?;
            Ok(with_admins(db, rows).await?.pop())
        })
        .await
    }

    /// Spaces that somebody administers, behind an id, in the order of ids.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn hosted_spaces_of(
        &self,
        email: &str,
        after: &str,
        limit: usize,
    ) -> Result<Vec<HostedSpaceRecord>, StoreError> {
        self.read(async |db| {
            let rows: Vec<SpaceRow> = sql::query_as(
                "SELECT s.id, s.name FROM orchestrator_space_admin a JOIN orchestrator_space s ON s.id = a.space
                 WHERE a.folded = $1 AND a.space > $2 ORDER BY a.space LIMIT $3",
            )
            .bind(email.to_lowercase())
            .bind(after.to_owned())
            .bind(count(limit))
            .fetch_all(&mut *db)
            .await?;
            with_admins(db, rows).await
        })
        .await
    }

    /// Deletes a space that has no projects any more; gives back whether it is gone.
    ///
    /// # Errors
    /// The store cannot be read or written.
    pub async fn delete_hosted_space(
        &self,
        id: &str,
        entry: &NewAudit,
    ) -> Result<bool, StoreError> {
        self.write(async |db| {
            let used: Option<i64> =
                sql::query_scalar("SELECT 1 FROM orchestrator_project WHERE space = $1 LIMIT 1")
                    .bind(id.to_owned())
                    .fetch_optional(&mut *db)
                    .await?;
            if used.is_some() {
                return Ok(false);
            }
            let name: Option<String> =
                sql::query_scalar("SELECT name FROM orchestrator_space WHERE id = $1")
                    .bind(id.to_owned())
                    .fetch_optional(&mut *db)
                    .await?;
            let Some(name) = name else {
                return Ok(true);
            };
            for statement in [
                "DELETE FROM orchestrator_space_admin WHERE space = $1",
                "DELETE FROM orchestrator_invitation WHERE target = $1",
                "DELETE FROM orchestrator_code WHERE space = $1",
                "DELETE FROM orchestrator_space WHERE id = $1",
            ] {
                sql::query(statement)
                    .bind(id.to_owned())
                    .execute(&mut *db)
                    .await?;
            }
            audit::append(db, &entry.on(format!("space {id} {name}"))).await?;
            Ok(true)
        })
        .await
    }

    /// Lets somebody administer a space.
    ///
    /// # Errors
    /// The store cannot be written.
    pub async fn put_space_admin(
        &self,
        space: &str,
        email: &str,
        entry: &NewAudit,
    ) -> Result<(), StoreError> {
        self.write(async |db| {
            put_admin(db, space, email).await?;
            audit::append(db, &entry.on(format!("space {space} {email}"))).await?;
            Ok(())
        })
        .await
    }

    /// Ends that somebody administers a space.
    ///
    /// # Errors
    /// The store cannot be read or written.
    pub async fn delete_space_admin(
        &self,
        space: &str,
        email: &str,
        entry: &NewAudit,
    ) -> Result<AdminChange, StoreError> {
        self.write(async |db| {
            let others: Option<i64> = sql::query_scalar(
                "SELECT 1 FROM orchestrator_space_admin WHERE space = $1 AND folded <> $2 LIMIT 1",
            )
            .bind(space.to_owned())
            .bind(email.to_lowercase())
            .fetch_optional(&mut *db)
            .await?;
            if others.is_none() {
                return Ok(AdminChange::Last);
            }
            sql::query("DELETE FROM orchestrator_space_admin WHERE space = $1 AND folded = $2")
                .bind(space.to_owned())
                .bind(email.to_lowercase())
                .execute(&mut *db)
                .await?;
            let due = dues::in_space(db, space, email, entry.at).await?;
            audit::append(db, &entry.on(format!("space {space} {email}"))).await?;
            Ok(AdminChange::Done(due))
        })
        .await
    }
}

pub(crate) async fn put_admin(
    db: &mut Connection,
    space: &str,
    email: &str,
) -> Result<(), Failure> {
    sql::query(
        "INSERT INTO orchestrator_space_admin (space, folded, email) VALUES ($1, $2, $3)
         ON CONFLICT (space, folded) DO NOTHING",
    )
    .bind(space.to_owned())
    .bind(email.to_lowercase())
    .bind(email.to_owned())
    .execute(db)
    .await?;
    Ok(())
}

async fn with_admins(
    db: &mut Connection,
    rows: Vec<SpaceRow>,
) -> Result<Vec<HostedSpaceRecord>, Failure> {
    let mut spaces: Vec<HostedSpaceRecord> = rows.into_iter().map(|row| row.0).collect();
    let ids: Vec<String> = spaces.iter().map(|space| space.id.clone()).collect();
    for (space, email) in admins_of(db, &ids).await? {
        // Both are in the order of ids.
        if let Ok(at) = spaces.binary_search_by(|known| known.id.cmp(&space))
            && let Some(known) = spaces.get_mut(at)
        {
            known.admins.push(email);
        }
    }
    Ok(spaces)
}

/// Who administers these spaces: space and address, in the order of ids.
pub(crate) async fn admins_of(
    db: &mut Connection,
    spaces: &[String],
) -> Result<Vec<(String, String)>, Failure> {
    if spaces.is_empty() {
        return Ok(Vec::new());
    }
    let statement = format!(
        "SELECT space, email FROM orchestrator_space_admin WHERE space IN ({}) ORDER BY space, folded",
        sql::placeholders(spaces.len())
    );
    let mut query = sql::query_as(AssertSqlSafe(statement));
    for space in spaces {
        query = query.bind(space.clone());
    }
    Ok(query.fetch_all(db).await?)
}

struct SpaceRow(HostedSpaceRecord);

impl FromRow for SpaceRow {
    fn from_row(row: &Row) -> sqlx::Result<Self> {
        Ok(Self(HostedSpaceRecord {
            id: row.try_get("id")?,
            name: row.try_get("name")?,
            admins: Vec::new(),
        }))
    }
}
