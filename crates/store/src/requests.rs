//! What a node was asked for, so that it does it again when it starts.
//!
//! Rows are generic: the noun names the kind of thing, the JSON of the request is not looked into here. They go with their
//! node. **Invariant**: positions of one node's requests are distinct and keep the order in which they were first made.

use crate::error::{Failure, StoreError};
use crate::name::NodeName;
use crate::sql::{self, Connection, FromRow, Row};
use crate::store::Store;

/// One thing a node was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestRecord {
    /// Kind of thing (`tcp-inlet`).
    pub noun: String,
    /// Its name, unique within node and noun.
    pub name: String,
    /// Place in the order of the node's requests; only the order of the numbers has a meaning.
    pub position: i64,
    /// The request as JSON.
    pub spec: String,
}

impl Store {
    /// Stores a request behind all others of its node, or replaces the one of the same noun and name in its place.
    ///
    /// # Errors
    /// [`StoreError::NoNode`].
    pub async fn put_request(
        &self,
        node: &NodeName,
        noun: &str,
        name: &str,
        spec: &str,
    ) -> Result<(), StoreError> {
        self.write(async |db| {
            insert(db, node, [noun, name, spec], REPLACE)
                .await
                .map(drop)
        })
        .await
    }

    /// Stores several requests of a node, `[noun, name, spec]` each, all or none.
    ///
    /// # Errors
    /// [`StoreError::NoNode`].
    pub async fn put_requests(
        &self,
        node: &NodeName,
        requests: &[[&str; 3]],
    ) -> Result<(), StoreError> {
        self.write(async |db| {
            for request in requests {
                insert(db, node, *request, REPLACE).await?;
            }
            Ok(())
        })
        .await
    }

    /// Forgets several requests of a node, `[noun, name]` each, all or none. Those that are not there are passed over.
    ///
    /// # Errors
    /// The store cannot be written.
    pub async fn delete_requests(
        &self,
        node: &NodeName,
        requests: &[[&str; 2]],
    ) -> Result<(), StoreError> {
        self.write(async |db| {
            for [noun, name] in requests {
                sql::query("DELETE FROM request WHERE node = $1 AND noun = $2 AND name = $3")
                    .bind(node.as_str())
                    .bind(noun)
                    .bind(name)
                    .execute(&mut *db)
                    .await?;
            }
            Ok(())
        })
        .await
    }

    /// Stores a request behind all others of its node.
    ///
    /// # Errors
    /// [`StoreError::RequestExists`] if there is one of this noun and name; [`StoreError::NoNode`].
    pub async fn add_request(
        &self,
        node: &NodeName,
        noun: &str,
        name: &str,
        spec: &str,
    ) -> Result<(), StoreError> {
        self.write(async |db| {
            if insert(db, node, [noun, name, spec], KEEP).await? {
                return Ok(());
            }
            Err(StoreError::RequestExists {
                node: node.to_string(),
                noun: noun.to_owned(),
                name: name.to_owned(),
            }
            .into())
        })
        .await
    }

    /// Forgets a request. Returns whether there was one.
    ///
    /// # Errors
    /// The store cannot be written.
    pub async fn delete_request(
        &self,
        node: &NodeName,
        noun: &str,
        name: &str,
    ) -> Result<bool, StoreError> {
        self.write(async |db| {
            let done =
                sql::query("DELETE FROM request WHERE node = $1 AND noun = $2 AND name = $3")
                    .bind(node.as_str())
                    .bind(noun)
                    .bind(name)
                    .execute(db)
                    .await?;
            Ok(done.rows_affected() > 0)
        })
        .await
    }

    /// One request, if there is one.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn request(
        &self,
        node: &NodeName,
        noun: &str,
        name: &str,
    ) -> Result<Option<RequestRecord>, StoreError> {
        self.read(async |db| {
            Ok(
                sql::query_as("SELECT * FROM request WHERE node = $1 AND noun = $2 AND name = $3")
                    .bind(node.as_str())
                    .bind(noun)
                    .bind(name)
                    .fetch_optional(db)
                    .await?,
            )
        })
        .await
    }

    /// Everything a node was asked for, in order.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn requests(&self, node: &NodeName) -> Result<Vec<RequestRecord>, StoreError> {
        self.read(async |db| {
            Ok(
                sql::query_as("SELECT * FROM request WHERE node = $1 ORDER BY position")
                    .bind(node.as_str())
                    .fetch_all(db)
                    .await?,
            )
        })
        .await
    }

    /// Everything of one noun a node was asked for, in order.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn requests_of(
        &self,
        node: &NodeName,
        noun: &str,
    ) -> Result<Vec<RequestRecord>, StoreError> {
        self.read(async |db| {
            Ok(sql::query_as(
                "SELECT * FROM request WHERE node = $1 AND noun = $2 ORDER BY position",
            )
            .bind(node.as_str())
            .bind(noun)
            .fetch_all(db)
            .await?)
        })
        .await
    }
}

/// Returns whether a row was written.
async fn insert(
    db: &mut Connection,
    node: &NodeName,
    [noun, name, spec]: [&str; 3],
    query: &'static str,
) -> Result<bool, Failure> {
    let done = sql::query(query)
        .bind(node.as_str())
        .bind(noun)
        .bind(name)
        .bind(spec)
        .execute(db)
        .await
        .map_err(Failure::from);
    match done {
        Err(failure) if failure.is_foreign_key_violation() => {
            Err(StoreError::NoNode(node.to_string()).into())
        }
        done => Ok(done?.rows_affected() > 0),
    }
}

impl FromRow for RequestRecord {
    fn from_row(row: &Row) -> sqlx::Result<Self> {
        Ok(Self {
            noun: row.try_get("noun")?,
            name: row.try_get("name")?,
            position: row.try_get("position")?,
            spec: row.try_get("spec")?,
        })
    }
}

const REPLACE: &str = "INSERT INTO request (node, noun, name, position, spec)
    VALUES ($1, $2, $3, (SELECT coalesce(max(position), 0) + 1 FROM request WHERE node = $1), $4)
    ON CONFLICT (node, noun, name) DO UPDATE SET spec = excluded.spec";

const KEEP: &str = "INSERT INTO request (node, noun, name, position, spec)
    VALUES ($1, $2, $3, (SELECT coalesce(max(position), 0) + 1 FROM request WHERE node = $1), $4)
    ON CONFLICT (node, noun, name) DO NOTHING";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{node, store};

    async fn names(store: &Store, node: &NodeName) -> Vec<String> {
        let requests = store.requests(node).await.unwrap();
        requests.into_iter().map(|request| request.name).collect()
    }

    #[tokio::test]
    async fn requests_keep_their_order_and_a_replaced_one_its_place() {
        let (_home, store) = store().await;
        let node = node(&store).await;
        for name in ["c", "a", "b"] {
            store
                .put_request(&node, "tcp-inlet", name, "1")
                .await
                .unwrap();
        }
        store
            .put_request(&node, "tcp-inlet", "c", "2")
            .await
            .unwrap();
        assert_eq!(names(&store, &node).await, ["c", "a", "b"]);
        let c = store
            .request(&node, "tcp-inlet", "c")
            .await
            .unwrap()
            .unwrap();
        assert_eq!(c.spec, "2");
        assert!(store.delete_request(&node, "tcp-inlet", "a").await.unwrap());
        assert!(!store.delete_request(&node, "tcp-inlet", "a").await.unwrap());
        store.add_request(&node, "relay", "a", "{}").await.unwrap();
        assert_eq!(names(&store, &node).await, ["c", "b", "a"]);
        assert_eq!(store.requests_of(&node, "relay").await.unwrap().len(), 1);
    }

    #[tokio::test]
    async fn several_requests_come_and_go_together() {
        let (_home, store) = store().await;
        let node = node(&store).await;
        let requests = [["tcp-outlet", "db", "1"], ["policy", "db", "2"]];
        store.put_requests(&node, &requests).await.unwrap();
        store
            .put_request(&node, "policy", "web", "3")
            .await
            .unwrap();
        assert_eq!(names(&store, &node).await, ["db", "db", "web"]);
        let gone = [
            ["tcp-outlet", "db"],
            ["policy", "db"],
            ["policy", "nothing"],
        ];
        store.delete_requests(&node, &gone).await.unwrap();
        assert_eq!(names(&store, &node).await, ["web"]);
    }

    #[tokio::test]
    async fn a_second_request_of_the_same_name_is_refused() {
        let (_home, store) = store().await;
        let node = node(&store).await;
        store.add_request(&node, "relay", "a", "1").await.unwrap();
        let error = store
            .add_request(&node, "relay", "a", "2")
            .await
            .unwrap_err();
        assert!(matches!(error, StoreError::RequestExists { .. }));
        assert_eq!(
            store
                .request(&node, "relay", "a")
                .await
                .unwrap()
                .unwrap()
                .spec,
            "1"
        );
    }

    #[tokio::test]
    async fn requests_go_with_their_node() {
        let (_home, store) = store().await;
        let node = node(&store).await;
        store.add_request(&node, "relay", "a", "1").await.unwrap();
        store.delete_node(&node).await.unwrap();
        assert!(store.requests(&node).await.unwrap().is_empty());
        let error = store
            .add_request(&node, "relay", "a", "1")
            .await
            .unwrap_err();
        assert!(matches!(error, StoreError::NoNode(_)));
    }
}
