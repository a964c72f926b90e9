//! Spaces of controllers, as far as this home was told of them. What is known of one is JSON of the caller.
//!
//! **Invariants**: while there are spaces exactly one is the default; names and ids are distinct.

use std::collections::HashMap;

use ockam_identity::Identifier;
use sqlx::AssertSqlSafe;

use crate::error::{Failure, StoreError};
use crate::name::{NamesInUse, SpaceName};
use crate::sql::{self, Connection, Row};
use crate::store::Store;

/// A space as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpaceRecord {
    /// Its id, the same everywhere.
    pub id: String,
    /// Its name in this home.
    pub name: SpaceName,
    /// The controller that holds it.
    pub controller: Identifier,
    /// What is known of it, as JSON.
    pub details: String,
    /// Whether it is used where none is named.
    pub is_default: bool,
}

/// A space to be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewSpace {
    /// Its id.
    pub id: String,
    /// The name it has at its controller; a number is added when another space has it here.
    pub name: SpaceName,
    /// The controller that holds it.
    pub controller: Identifier,
    /// What is known of it, as JSON.
    pub details: String,
}

impl Store {
    /// Stores a space, or what is new about one that is known by its id, which keeps its name here. The first one becomes
    /// the default.
    ///
    /// # Errors
    /// The store cannot be written.
    pub async fn put_space(&self, space: &NewSpace) -> Result<SpaceRecord, StoreError> {
        self.write(async |db| {
            if by(db, "space_id", &space.id).await?.is_some() {
                update(db, space).await?;
            } else {
                insert(db, space).await?;
            }
            by(db, "space_id", &space.id)
                .await?
                .ok_or_else(|| StoreError::NoSpace(space.name.to_string()).into())
        })
        .await
    }

    /// Stores spaces, or what is new about those that are known by their ids, as [`Store::put_space`] does; all of it in one
    /// transaction.
    ///
    /// # Errors
    /// The store cannot be written.
    pub async fn put_spaces(&self, spaces: &[NewSpace]) -> Result<(), StoreError> {
        if spaces.is_empty() {
            return Ok(());
        }
        self.write(async |db| {
            let known: Vec<(String, String)> = sql::query_as("SELECT space_id, name FROM space")
                .fetch_all(&mut *db)
                .await?;
            let known: HashMap<String, String> = known.into_iter().collect();
            let mut names = NamesInUse::of(known.values());
            let mut new = Vec::new();
            for space in spaces {
                if known.contains_key(&space.id) {
                    update(db, space).await?;
                } else {
                    new.push((names.unused(&space.name, SpaceName::numbered), space));
                }
            }
            let mut is_first = known.is_empty();
            for some in new.chunks(sql::AT_ONCE) {
                let mut query = sql::query(AssertSqlSafe(format!(
                    "INSERT INTO space (space_id, name, controller, details, is_default) VALUES {}",
                    sql::rows(some.len(), 5)
                )));
                for (name, space) in some {
                    query = query
                        .bind(&space.id)
                        .bind(name.as_str())
                        .bind(space.controller.to_string())
                        .bind(&space.details)
                        .bind(std::mem::take(&mut is_first));
                }
                query.execute(&mut *db).await?;
            }
            Ok(())
        })
        .await
    }

    /// The space of this name, or of this id when none has the name.
    ///
    /// # Errors
    /// [`StoreError::NoSpace`].
    pub async fn space(&self, name: &str) -> Result<SpaceRecord, StoreError> {
        self.read(async |db| find(db, name).await).await
    }

    /// The default space, if there is any.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn default_space(&self) -> Result<Option<SpaceRecord>, StoreError> {
        self.read(async |db| {
            let row = sql::query("SELECT * FROM space WHERE is_default = 1")
                .fetch_optional(db)
                .await?;
            row.as_ref().map(record).transpose()
        })
        .await
    }

    /// All spaces in the order they were stored.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn spaces(&self) -> Result<Vec<SpaceRecord>, StoreError> {
        self.read(async |db| {
            let rows = sql::query("SELECT * FROM space ORDER BY id")
                .fetch_all(db)
                .await?;
            rows.iter().map(record).collect()
        })
        .await
    }

    /// Forgets a space. If it was the default, the first remaining one becomes it.
    ///
    /// # Errors
    /// [`StoreError::NoSpace`].
    pub async fn delete_space(&self, name: &str) -> Result<SpaceRecord, StoreError> {
        self.write(async |db| {
            let space = find(db, name).await?;
            delete(db, std::slice::from_ref(&space.id)).await?;
            Ok(space)
        })
        .await
    }

    /// The same of all of these, by their ids, as far as they are known; all of it in one transaction.
    ///
    /// # Errors
    /// The store cannot be written.
    pub async fn delete_spaces(&self, ids: &[String]) -> Result<(), StoreError> {
        if ids.is_empty() {
            return Ok(());
        }
        self.write(async |db| delete(db, ids).await).await
    }
}

async fn delete(db: &mut Connection, ids: &[String]) -> Result<(), Failure> {
    for some in ids.chunks(sql::AT_ONCE) {
        let mut query = sql::query(AssertSqlSafe(format!(
            "DELETE FROM space WHERE space_id IN ({})",
            sql::placeholders(some.len())
        )));
        for id in some {
            query = query.bind(id);
        }
        query.execute(&mut *db).await?;
    }
    sql::query(
        "UPDATE space SET is_default = 1 WHERE id = (SELECT min(id) FROM space)
            AND NOT EXISTS (SELECT 1 FROM space WHERE is_default = 1)",
    )
    .execute(db)
    .await?;
    Ok(())
}

async fn update(db: &mut Connection, space: &NewSpace) -> Result<(), Failure> {
    sql::query("UPDATE space SET controller = $2, details = $3 WHERE space_id = $1")
        .bind(&space.id)
        .bind(space.controller.to_string())
        .bind(&space.details)
        .execute(db)
        .await?;
    Ok(())
}

async fn insert(db: &mut Connection, space: &NewSpace) -> Result<(), Failure> {
    let mut name = space.name.clone();
    let mut number = 1_u64;
    while by(db, "name", name.as_str()).await?.is_some() {
        number = number.saturating_add(1);
        name = space.name.numbered(number);
    }
    let others: i64 = sql::query_scalar("SELECT count(*) FROM space")
        .fetch_one(&mut *db)
        .await?;
    sql::query(
        "INSERT INTO space (space_id, name, controller, details, is_default)
         VALUES ($1, $2, $3, $4, $5)",
    )
    .bind(&space.id)
    .bind(name.as_str())
    .bind(space.controller.to_string())
    .bind(&space.details)
    .bind(i64::from(others == 0))
    .execute(db)
    .await?;
    Ok(())
}

async fn find(db: &mut Connection, name: &str) -> Result<SpaceRecord, Failure> {
    if let Some(space) = by(db, "name", name).await? {
        return Ok(space);
    }
    by(db, "space_id", name)
        .await?
        .ok_or_else(|| StoreError::NoSpace(name.to_owned()).into())
}

/// The space with this value in a column that is unique.
async fn by(
    db: &mut Connection,
    column: &'static str,
    value: &str,
) -> Result<Option<SpaceRecord>, Failure> {
    let query = match column {
        "name" => "SELECT * FROM space WHERE name = $1",
        _ => "SELECT * FROM space WHERE space_id = $1",
    };
    let row = sql::query(query).bind(value).fetch_optional(db).await?;
    row.as_ref().map(record).transpose()
}

fn record(row: &Row) -> Result<SpaceRecord, Failure> {
    let name: String = row.try_get("name")?;
    let controller: String = row.try_get("controller")?;
    Ok(SpaceRecord {
        id: row.try_get("space_id")?,
        name: name
            .parse()
            .map_err(|error| Failure::unreadable("name of a space", error))?,
        controller: controller
            .parse()
            .map_err(|error| Failure::unreadable("controller of a space", error))?,
        details: row.try_get("details")?,
        is_default: row.try_get("is_default")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::store;

    fn new(id: &str, name: &str, details: &str) -> NewSpace {
        NewSpace {
            id: id.into(),
            name: name.parse().unwrap(),
            controller: Identifier::new([1; 32]),
            details: details.into(),
        }
    }

    #[tokio::test]
    async fn spaces_are_told_apart_and_the_first_is_the_default() {
        let (_home, store) = store().await;
        store
            .put_controller(&Identifier::new([1; 32]), "/tcp/1")
            .await
            .unwrap();
        store.put_space(&new("a", "default", "{}")).await.unwrap();
        let second = store.put_space(&new("b", "default", "{}")).await.unwrap();
        assert_eq!(second.name.as_str(), "default-2");
        let again = store.put_space(&new("b", "default", "{1}")).await.unwrap();
        assert_eq!(
            (again.name.clone(), again.details.as_str()),
            (second.name, "{1}")
        );
        assert_eq!(store.space("b").await.unwrap(), again);
        let many: Vec<NewSpace> = (0..300)
            .map(|number| new(&format!("id-{number}"), "default", "{2}"))
            .chain([new("a", "other", "{3}")])
            .collect();
        for _ in 0..2 {
            store.put_spaces(&many).await.unwrap();
        }
        let stored = store.spaces().await.unwrap();
        let names: Vec<&str> = [0, 2, 301].map(|at: usize| stored[at].name.as_str()).into();
        assert_eq!(names, ["default", "default-3", "default-302"]);
        assert_eq!((stored.len(), stored[0].details.as_str()), (302, "{3}"));
        let gone: Vec<String> = many[..300].iter().map(|space| space.id.clone()).collect();
        store.delete_spaces(&gone).await.unwrap();
        let default = store.default_space().await.unwrap().unwrap();
        assert_eq!(default.id, "a");
        store.delete_space("default").await.unwrap();
        assert!(store.space("default-2").await.unwrap().is_default);
        assert_eq!(store.spaces().await.unwrap().len(), 1);
        let gone = store.delete_space("a").await.unwrap_err();
        assert_eq!(gone.to_string(), "The space a was not found");
    }
}
