//! Where a node and its requests come from, when a configuration asked for them. What stands there is JSON of the caller.

use crate::error::StoreError;
use crate::name::NodeName;
use crate::sql;
use crate::store::Store;

/// A request that a configuration asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfiguredRecord {
    /// The node it was asked of.
    pub node: NodeName,
    /// Kind of thing (`tcp-inlet`).
    pub noun: String,
    /// Its name.
    pub name: String,
    /// The configuration, and how it asked.
    pub origin: String,
}

impl Store {
    /// The configuration a node was made from, if it was.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn configuration(&self, node: &NodeName) -> Result<Option<String>, StoreError> {
        self.read(async |db| {
            let row = sql::query("SELECT configuration FROM node WHERE name = $1")
                .bind(node.as_str())
                .fetch_optional(db)
                .await?;
            Ok(match row {
                Some(row) => row.try_get(0)?,
                None => None,
            })
        })
        .await
    }

    /// Notes the configuration a node is made from.
    ///
    /// # Errors
    /// The store cannot be written.
    pub async fn set_configuration(
        &self,
        node: &NodeName,
        configuration: &str,
    ) -> Result<(), StoreError> {
        self.write(async |db| {
            sql::query("UPDATE node SET configuration = $2 WHERE name = $1")
                .bind(node.as_str())
                .bind(configuration)
                .execute(db)
                .await?;
            Ok(())
        })
        .await
    }

    /// Notes that a configuration asks for a request. One that is gone meanwhile stays gone.
    ///
    /// # Errors
    /// The store cannot be written.
    pub async fn set_origin(&self, record: &ConfiguredRecord) -> Result<(), StoreError> {
        self.write(async |db| {
            sql::query(
                "UPDATE request SET origin = $4 WHERE node = $1 AND noun = $2 AND name = $3",
            )
            .bind(record.node.as_str())
            .bind(&record.noun)
            .bind(&record.name)
            .bind(&record.origin)
            .execute(db)
            .await?;
            Ok(())
        })
        .await
    }

    /// Every request of every node that a configuration asked for, in order.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn configured(&self) -> Result<Vec<ConfiguredRecord>, StoreError> {
        self.read(async |db| {
            let rows = sql::query(
                "SELECT node, noun, name, origin FROM request WHERE origin IS NOT NULL
                 ORDER BY node, position",
            )
            .fetch_all(db)
            .await?;
            let mut records = Vec::with_capacity(rows.len());
            for row in rows {
                // A name that is none any more belongs to no node.
                let Ok(node) = row.try_get::<String, _>("node")?.parse() else {
                    continue;
                };
                records.push(ConfiguredRecord {
                    node,
                    noun: row.try_get("noun")?,
                    name: row.try_get("name")?,
                    origin: row.try_get("origin")?,
                });
            }
            Ok(records)
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nodes::IfRunning;
    use crate::testing::{node, node_start, store};

    #[tokio::test]
    async fn what_a_configuration_asked_for_is_told_from_what_was_typed() {
        let (_home, store) = store().await;
        let node = node(&store).await;
        assert_eq!(store.configuration(&node).await.unwrap(), None);
        store.set_configuration(&node, "a").await.unwrap();
        for name in ["typed", "asked"] {
            store.put_request(&node, "relay", name, "{}").await.unwrap();
        }
        let record = ConfiguredRecord {
            node: node.clone(),
            noun: "relay".into(),
            name: "asked".into(),
            origin: "o".into(),
        };
        store.set_origin(&record).await.unwrap();
        // Neither a restart nor another request forgets it.
        store
            .create_node(&node_start(), IfRunning::Refuse)
            .await
            .unwrap();
        store
            .put_request(&node, "relay", "asked", "1")
            .await
            .unwrap();
        assert_eq!(store.configured().await.unwrap(), [record]);
        assert_eq!(
            store.configuration(&node).await.unwrap().as_deref(),
            Some("a")
        );
        store.delete_request(&node, "relay", "asked").await.unwrap();
        assert!(store.configured().await.unwrap().is_empty());
    }
}
