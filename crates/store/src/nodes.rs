//! Nodes of this home: where they run and what they were made with.
//!
//! **Invariants**: while there are nodes exactly one is the default; a row whose process is alive is taken over by nobody.

use crate::error::{Failure, StoreError};
use crate::name::{IdentityName, NodeName};
use crate::process::ProcessMark;
use crate::sql::{self, Connection, FromRow, Row};
use crate::store::Store;

/// A node as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeRecord {
    /// Its name.
    pub name: NodeName,
    /// The identity it runs as.
    pub identity: Option<IdentityName>,
    /// The process it runs in; `None` when it was stopped. A process that was killed stays here, ask
    /// [`ProcessMark::state`].
    pub process: Option<ProcessMark>,
    /// Address of its TCP listener, `host:port`.
    pub listener: Option<String>,
    /// Address of its status endpoint, `ip:port`.
    pub status_endpoint: Option<String>,
    /// Options it was made with, as JSON.
    pub options: String,
    /// Whether it is the default node.
    pub is_default: bool,
    /// Whether nobody means it who names no node: it never is the default one.
    pub stands_apart: bool,
}

/// What a node is stored with when its process starts. All of it replaces what was stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeStart {
    /// Its name.
    pub name: NodeName,
    /// The identity it runs as.
    pub identity: Option<IdentityName>,
    /// The process it runs in.
    pub process: Option<ProcessMark>,
    /// Address of its TCP listener.
    pub listener: Option<String>,
    /// Address of its status endpoint.
    pub status_endpoint: Option<String>,
    /// Options as JSON.
    pub options: String,
}

/// What becomes of a node of the same name that runs in another process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IfRunning {
    /// It is an error.
    Refuse,
    /// Its row is taken over all the same.
    TakeOver,
}

impl Store {
    /// Stores a node that is created, new or again under the name of one that does not run. It becomes the default if
    /// it is the first, or if the present default was stopped (spec: command 3.6).
    ///
    /// # Errors
    /// [`StoreError::NodeRunning`]; [`StoreError::NoIdentity`].
    pub async fn create_node(
        &self,
        node: &NodeStart,
        if_running: IfRunning,
    ) -> Result<NodeRecord, StoreError> {
        self.write(async |db| {
            put(db, node, if_running).await?;
            let default = default(db).await?;
            let stored = find(db, &node.name).await?;
            if !stored.stands_apart && default.is_none_or(|default| default.process.is_none()) {
                make_default(db, &node.name).await?;
            }
            find(db, &node.name).await
        })
        .await
    }

    /// Stores a node that nobody means who names none: it becomes the default only while there is no other node.
    ///
    /// # Errors
    /// [`StoreError::NodeRunning`]; [`StoreError::NoIdentity`].
    pub async fn create_node_aside(
        &self,
        node: &NodeStart,
        if_running: IfRunning,
    ) -> Result<NodeRecord, StoreError> {
        self.write(async |db| {
            put(db, node, if_running).await?;
            if default(db).await?.is_none() {
                make_default(db, &node.name).await?;
            }
            find(db, &node.name).await
        })
        .await
    }

    /// Stores a node that never is the default one, new or again under the name of one that does not run.
    ///
    /// # Errors
    /// [`StoreError::NodeRunning`]; [`StoreError::NoIdentity`].
    pub async fn create_node_apart(
        &self,
        node: &NodeStart,
        if_running: IfRunning,
    ) -> Result<NodeRecord, StoreError> {
        self.write(async |db| {
            put(db, node, if_running).await?;
            sql::query("UPDATE node SET stands_apart = 1, is_default = 0 WHERE name = $1")
                .bind(node.name.as_str())
                .execute(&mut *db)
                .await?;
            if default(db).await?.is_none() {
                make_first_default(db).await?;
            }
            find(db, &node.name).await
        })
        .await
    }

    /// Stores a node whose process starts again, or whose addresses or options changed. The default stays what it is.
    ///
    /// # Errors
    /// [`StoreError::NoNode`] unless it was created before; [`StoreError::NodeRunning`]; [`StoreError::NoIdentity`].
    pub async fn restart_node(
        &self,
        node: &NodeStart,
        if_running: IfRunning,
    ) -> Result<NodeRecord, StoreError> {
        self.write(async |db| {
            find(db, &node.name).await?;
            put(db, node, if_running).await?;
            find(db, &node.name).await
        })
        .await
    }

    /// Marks a node as stopped. With a process given, only if it is still the one stored: a process that ends late does
    /// not mark its successor. Returns whether anything changed.
    ///
    /// # Errors
    /// The store cannot be written.
    pub async fn stop_node(
        &self,
        name: &NodeName,
        process: Option<ProcessMark>,
    ) -> Result<bool, StoreError> {
        self.write(async |db| {
            let pid = process.map(|process| i64::from(process.pid));
            let started = process.map(|process| process.started.cast_signed());
            let done = sql::query(
                "UPDATE node SET pid = NULL, pid_started = NULL
                 WHERE name = $1 AND pid IS NOT NULL AND ($2 IS NULL OR (pid = $2 AND pid_started = $3))",
            )
            .bind(name.as_str())
            .bind(pid)
            .bind(started)
            .execute(db)
            .await?;
            Ok(done.rows_affected() > 0)
        })
        .await
    }

    /// Forgets a node and everything it was asked for. If it was the default, the first remaining node becomes it.
    ///
    /// # Errors
    /// [`StoreError::NoNode`].
    pub async fn delete_node(&self, name: &NodeName) -> Result<NodeRecord, StoreError> {
        self.write(async |db| {
            let node = find(db, name).await?;
            sql::query("DELETE FROM node WHERE name = $1")
                .bind(name.as_str())
                .execute(&mut *db)
                .await?;
            if node.is_default {
                make_first_default(db).await?;
            }
            Ok(node)
        })
        .await
    }

    /// Makes a node the default.
    ///
    /// # Errors
    /// [`StoreError::NoNode`]; [`StoreError::NodeIsDefault`]; [`StoreError::NodeStandsApart`].
    pub async fn set_default_node(&self, name: &NodeName) -> Result<(), StoreError> {
        self.write(async |db| {
            let node = find(db, name).await?;
            if node.is_default {
                return Err(StoreError::NodeIsDefault(name.to_string()).into());
            }
            if node.stands_apart {
                return Err(StoreError::NodeStandsApart(name.to_string()).into());
            }
            make_default(db, name).await
        })
        .await
    }

    /// One node.
    ///
    /// # Errors
    /// [`StoreError::NoNode`].
    pub async fn node(&self, name: &NodeName) -> Result<NodeRecord, StoreError> {
        self.read(async |db| find(db, name).await).await
    }

    /// The default node, if there is any node that does not stand apart.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn default_node(&self) -> Result<Option<NodeRecord>, StoreError> {
        self.read(async |db| default(db).await).await
    }

    /// All nodes in the order they were created.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn nodes(&self) -> Result<Vec<NodeRecord>, StoreError> {
        self.read(async |db| {
            let rows: Vec<Stored> = sql::query_as("SELECT * FROM node ORDER BY id")
                .fetch_all(db)
                .await?;
            rows.into_iter().map(|row| row.0).collect()
        })
        .await
    }
}

pub(crate) async fn put(
    db: &mut Connection,
    node: &NodeStart,
    if_running: IfRunning,
) -> Result<(), Failure> {
    let stored = look_up(db, &node.name).await?;
    if let Some(process) = stored.and_then(|stored| stored.process)
        && if_running == IfRunning::Refuse
        && node.process != Some(process)
        && process.is_running()
    {
        return Err(StoreError::NodeRunning {
            node: node.name.to_string(),
            pid: process.pid,
        }
        .into());
    }
    let done = sql::query(
        "INSERT INTO node (name, identity, pid, pid_started, listener, status_endpoint, options, is_default)
         VALUES ($1, $2, $3, $4, $5, $6, $7, 0)
         ON CONFLICT (name) DO UPDATE SET identity = excluded.identity, pid = excluded.pid,
            pid_started = excluded.pid_started, listener = excluded.listener,
            status_endpoint = excluded.status_endpoint, options = excluded.options",
    )
    .bind(node.name.as_str())
    .bind(node.identity.as_ref().map(IdentityName::as_str))
    .bind(node.process.map(|process| i64::from(process.pid)))
    .bind(node.process.map(|process| process.started.cast_signed()))
    .bind(node.listener.as_deref())
    .bind(node.status_endpoint.as_deref())
    .bind(node.options.as_str())
    .execute(db)
    .await
    .map_err(Failure::from);
    match (done, &node.identity) {
        (Err(failure), Some(identity)) if failure.is_foreign_key_violation() => {
            Err(StoreError::NoIdentity(identity.to_string()).into())
        }
        (done, _) => done.map(drop),
    }
}

pub(crate) async fn make_default(db: &mut Connection, name: &NodeName) -> Result<(), Failure> {
    // First off, then on: there is never a second one.
    sql::query("UPDATE node SET is_default = 0 WHERE is_default = 1")
        .execute(&mut *db)
        .await?;
    sql::query("UPDATE node SET is_default = 1 WHERE name = $1")
        .bind(name.as_str())
        .execute(db)
        .await?;
    Ok(())
}

/// Makes the first of those that remain the default.
async fn make_first_default(db: &mut Connection) -> Result<(), Failure> {
    sql::query(
        "UPDATE node SET is_default = 1
         WHERE id = (SELECT min(id) FROM node WHERE stands_apart = 0)",
    )
    .execute(db)
    .await?;
    Ok(())
}

async fn find(db: &mut Connection, name: &NodeName) -> Result<NodeRecord, Failure> {
    look_up(db, name)
        .await?
        .ok_or_else(|| StoreError::NoNode(name.to_string()).into())
}

pub(crate) async fn look_up(
    db: &mut Connection,
    name: &NodeName,
) -> Result<Option<NodeRecord>, Failure> {
    let row: Option<Stored> = sql::query_as("SELECT * FROM node WHERE name = $1")
        .bind(name.as_str())
        .fetch_optional(db)
        .await?;
    row.map(|row| row.0).transpose()
}

pub(crate) async fn default(db: &mut Connection) -> Result<Option<NodeRecord>, Failure> {
    let row: Option<Stored> = sql::query_as("SELECT * FROM node WHERE is_default = 1")
        .fetch_optional(db)
        .await?;
    row.map(|row| row.0).transpose()
}

struct Stored(Result<NodeRecord, Failure>);

impl FromRow for Stored {
    fn from_row(row: &Row) -> sqlx::Result<Self> {
        let name: String = row.try_get("name")?;
        let identity: Option<String> = row.try_get("identity")?;
        let pid: Option<u32> = row.try_get("pid")?;
        let started: Option<i64> = row.try_get("pid_started")?;
        let process = pid.zip(started).map(|(pid, started)| ProcessMark {
            pid,
            started: started.cast_unsigned(),
        });
        let listener = row.try_get("listener")?;
        let status_endpoint = row.try_get("status_endpoint")?;
        let options = row.try_get("options")?;
        let is_default = row.try_get("is_default")?;
        let stands_apart = row.try_get("stands_apart")?;
        let read = || {
            Ok(NodeRecord {
                name: name
                    .parse()
                    .map_err(|e| Failure::unreadable("name of a node", e))?,
                identity: identity
                    .map(|name| {
                        name.parse()
                            .map_err(|e| Failure::unreadable("identity of a node", e))
                    })
                    .transpose()?,
                process,
                listener,
                status_endpoint,
                options,
                is_default,
                stands_apart,
            })
        };
        Ok(Self(read()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::store;

    fn start(name: &str, process: Option<ProcessMark>) -> NodeStart {
        NodeStart {
            name: name.parse().unwrap(),
            identity: None,
            process,
            listener: Some("127.0.0.1:4000".into()),
            status_endpoint: None,
            options: "{}".into(),
        }
    }

    async fn default_name(store: &Store) -> Option<String> {
        store
            .default_node()
            .await
            .unwrap()
            .map(|node| node.name.to_string())
    }

    #[tokio::test]
    async fn the_first_node_is_the_default_and_the_next_one_after_it_is_deleted() {
        let (_home, store) = store().await;
        let me = Some(ProcessMark::current());
        for name in ["n1", "n3", "n2"] {
            store
                .create_node(&start(name, me), IfRunning::Refuse)
                .await
                .unwrap();
        }
        assert_eq!(default_name(&store).await.as_deref(), Some("n1"));
        store.delete_node(&"n1".parse().unwrap()).await.unwrap();
        assert_eq!(default_name(&store).await.as_deref(), Some("n3"));
        store
            .set_default_node(&"n2".parse().unwrap())
            .await
            .unwrap();
        let again = store.set_default_node(&"n2".parse().unwrap()).await;
        assert!(matches!(again, Err(StoreError::NodeIsDefault(_))));
        store.delete_node(&"n2".parse().unwrap()).await.unwrap();
        store.delete_node(&"n3".parse().unwrap()).await.unwrap();
        assert_eq!(default_name(&store).await, None);
        assert!(store.nodes().await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn a_node_that_stands_apart_never_is_the_default() {
        let (_home, store) = store().await;
        let me = Some(ProcessMark::current());
        let apart = store
            .create_node_apart(&start("o", me), IfRunning::Refuse)
            .await
            .unwrap();
        assert!(apart.stands_apart && !apart.is_default);
        assert_eq!(default_name(&store).await, None);
        store
            .create_node(&start("n1", me), IfRunning::Refuse)
            .await
            .unwrap();
        assert_eq!(default_name(&store).await.as_deref(), Some("n1"));
        let refused = store.set_default_node(&apart.name).await;
        assert!(matches!(refused, Err(StoreError::NodeStandsApart(_))));
        store.delete_node(&"n1".parse().unwrap()).await.unwrap();
        assert_eq!(default_name(&store).await, None);
        store
            .restart_node(&start("o", me), IfRunning::Refuse)
            .await
            .unwrap();
        assert!(store.node(&apart.name).await.unwrap().stands_apart);
    }

    #[tokio::test]
    async fn a_node_created_while_the_default_is_stopped_becomes_the_default() {
        let (_home, store) = store().await;
        let me = ProcessMark::current();
        store
            .create_node(&start("n1", Some(me)), IfRunning::Refuse)
            .await
            .unwrap();
        assert!(
            store
                .stop_node(&"n1".parse().unwrap(), Some(me))
                .await
                .unwrap()
        );
        let n2 = store
            .create_node(&start("n2", Some(me)), IfRunning::Refuse)
            .await
            .unwrap();
        assert!(n2.is_default);
        let n1 = store
            .restart_node(&start("n1", Some(me)), IfRunning::Refuse)
            .await
            .unwrap();
        assert!(!n1.is_default);
    }

    #[tokio::test]
    async fn a_running_node_is_not_taken_over() {
        let (_home, store) = store().await;
        let mut other = std::process::Command::new("sleep")
            .arg("60")
            .spawn()
            .unwrap();
        let other_mark = ProcessMark::of(other.id()).unwrap();
        store
            .create_node(&start("n1", Some(other_mark)), IfRunning::Refuse)
            .await
            .unwrap();
        let me = Some(ProcessMark::current());
        let refused = store.create_node(&start("n1", me), IfRunning::Refuse).await;
        assert!(matches!(refused, Err(StoreError::NodeRunning { pid, .. }) if pid == other.id()));
        let taken = store
            .create_node(&start("n1", me), IfRunning::TakeOver)
            .await
            .unwrap();
        assert_eq!(taken.process, me);
        other.kill().unwrap();
        other.wait().unwrap();
    }

    #[tokio::test]
    async fn a_killed_node_is_taken_over_even_if_its_process_number_is_reused() {
        let (_home, store) = store().await;
        let me = ProcessMark::current();
        let reused = ProcessMark {
            pid: me.pid,
            started: me.started + 1,
        };
        store
            .create_node(&start("n1", Some(reused)), IfRunning::Refuse)
            .await
            .unwrap();
        let taken = store
            .create_node(&start("n1", Some(me)), IfRunning::Refuse)
            .await
            .unwrap();
        assert_eq!(taken.process, Some(me));
        assert!(
            !store
                .stop_node(&"n1".parse().unwrap(), Some(reused))
                .await
                .unwrap()
        );
        assert_eq!(
            store.node(&"n1".parse().unwrap()).await.unwrap().process,
            Some(me)
        );
    }

    #[tokio::test]
    async fn what_is_missing_is_named() {
        let (_home, store) = store().await;
        let error = store.node(&"n9".parse().unwrap()).await.unwrap_err();
        assert_eq!(error.to_string(), "There is no node with name n9");
        let mut node = start("n1", None);
        node.identity = Some("nobody".parse().unwrap());
        let error = store
            .create_node(&node, IfRunning::Refuse)
            .await
            .unwrap_err();
        assert_eq!(error.to_string(), "no identifier found with name nobody");
        assert!(
            store
                .restart_node(&start("n1", None), IfRunning::Refuse)
                .await
                .is_err()
        );
    }
}
