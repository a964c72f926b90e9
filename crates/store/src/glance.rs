//! The names of what is in a home, for completion: read without making, mending or migrating anything.
//!
//! A home that is not there, cannot be read or has another schema holds no names; whoever presses a key does not want to
//! know why.

use std::path::Path;
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions, Connection};

use crate::home::DATABASE;

/// The names in a home.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Glance {
    /// Nodes, in the order in which they were made.
    pub nodes: Vec<String>,
    /// The default node.
    pub default_node: Option<String>,
    /// Identities.
    pub identities: Vec<String>,
    /// Vaults.
    pub vaults: Vec<String>,
    /// Scopes of credentials.
    pub scopes: Vec<String>,
    /// Projects.
    pub projects: Vec<String>,
    /// Spaces.
    pub spaces: Vec<String>,
    /// What nodes were asked for: node, noun and name.
    pub requests: Vec<(String, String, String)>,
}

impl Glance {
    /// Reads the names in the home at this path.
    pub async fn at(home: &Path) -> Self {
        let database = home.join(DATABASE);
        // SQLite would make the files beside a database; without the database there is nothing to look at.
        if !database.is_file() {
            return Self::default();
        }
        let connection = SqliteConnectOptions::new()
            .filename(&database)
            .read_only(true)
            .create_if_missing(false)
            .busy_timeout(PATIENCE)
            .disable_statement_logging()
            .connect()
            .await;
        let Ok(mut connection) = connection else {
            return Self::default();
        };
        let found = Self::read(&mut connection).await.unwrap_or_default();
        // Nothing was written that could fail to be.
        let _ = connection.close().await;
        found
    }

    async fn read(db: &mut SqliteConnection) -> Result<Self, sqlx::Error> {
        let nodes: Vec<(String, bool)> =
            sqlx::query_as("SELECT name, is_default FROM node ORDER BY id")
                .fetch_all(&mut *db)
                .await?;
        Ok(Self {
            default_node: nodes
                .iter()
                .find(|(_, is_default)| *is_default)
                .map(|(name, _)| name.clone()),
            nodes: nodes.into_iter().map(|(name, _)| name).collect(),
            identities: sqlx::query_scalar("SELECT name FROM identity ORDER BY id")
                .fetch_all(&mut *db)
                .await?,
            vaults: sqlx::query_scalar("SELECT name FROM vault ORDER BY id")
                .fetch_all(&mut *db)
                .await?,
            scopes: sqlx::query_scalar("SELECT DISTINCT scope FROM credential ORDER BY scope")
                .fetch_all(&mut *db)
                .await?,
            projects: sqlx::query_scalar("SELECT name FROM project ORDER BY id")
                .fetch_all(&mut *db)
                .await?,
            spaces: sqlx::query_scalar("SELECT name FROM space ORDER BY id")
                .fetch_all(&mut *db)
                .await?,
            requests: sqlx::query_as(
                "SELECT node, noun, name FROM request ORDER BY node, position",
            )
            .fetch_all(&mut *db)
            .await?,
        })
    }
}

/// Somebody waits with a finger on the key.
const PATIENCE: Duration = Duration::from_millis(20);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Home, IfRunning, NodeStart, ProcessMark, Store};

    #[tokio::test]
    async fn a_home_that_is_not_there_has_no_names_and_is_not_made() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("home");
        assert_eq!(Glance::at(&path).await, Glance::default());
        assert!(!path.exists());
        std::fs::create_dir(&path).unwrap();
        assert_eq!(Glance::at(&path).await, Glance::default());
        assert_eq!(std::fs::read_dir(&path).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn names_are_read_while_others_write() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("home");
        let store = Store::open(&Home::open(&path).unwrap()).await.unwrap();
        for name in ["n1", "n2"] {
            let node = NodeStart {
                name: name.parse().unwrap(),
                identity: None,
                process: Some(ProcessMark::current()),
                listener: None,
                status_endpoint: None,
                options: "{}".to_owned(),
            };
            store.create_node(&node, IfRunning::Refuse).await.unwrap();
        }
        let node = "n2".parse().unwrap();
        store
            .put_request(&node, "tcp-inlet", "my inlet", "{}")
            .await
            .unwrap();
        let found = Glance::at(&path).await;
        assert_eq!(found.nodes, ["n1", "n2"]);
        assert_eq!(found.default_node.as_deref(), Some("n1"));
        assert_eq!(
            found.requests,
            [(
                "n2".to_owned(),
                "tcp-inlet".to_owned(),
                "my inlet".to_owned()
            )]
        );
    }

    #[tokio::test]
    async fn a_damaged_database_has_no_names() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join(DATABASE), "not a database").unwrap();
        assert_eq!(Glance::at(directory.path()).await, Glance::default());
    }
}
