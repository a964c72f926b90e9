//! An open database of either kind.

use std::path::Path;

use crate::address::{DatabaseAddress, Place};
use crate::error::{Failure, StoreError};
use crate::file::DatabaseFile;
use crate::schema::Schema;
use crate::server::DatabaseServer;
use crate::sql::Connection;

/// An open database. Cheap to clone; all clones share their connections.
#[derive(Debug, Clone)]
pub(crate) enum Database {
    /// A SQLite file.
    File(DatabaseFile),
    /// A database of a PostgreSQL server.
    Server(DatabaseServer),
}

impl Database {
    /// Opens the database in a file, making or migrating it first if needed.
    pub(crate) async fn file(path: &Path, schema: &'static Schema) -> Result<Self, StoreError> {
        DatabaseFile::open(path, schema).await.map(Self::File)
    }

    /// Opens the database at an address, making its tables or migrating them first if needed.
    pub(crate) async fn open(
        address: &DatabaseAddress,
        schema: &'static Schema,
    ) -> Result<Self, StoreError> {
        match address.place() {
            Place::File(path) => Self::file(path, schema).await,
            Place::Server(options) => DatabaseServer::open(address, options, schema)
                .await
                .map(Self::Server),
        }
    }

    /// Runs queries that change nothing, all of which see the same state. They may run again after a connection was lost.
    pub(crate) async fn read<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        F: AsyncFnOnce(&mut Connection) -> Result<T, Failure> + Clone,
    {
        match self {
            Self::File(file) => file.read(work).await,
            Self::Server(server) => server.read(work).await,
        }
    }

    /// Runs queries in one transaction, which is undone if they fail. Whoever writes is alone: one after the other, of all
    /// processes. They may run again after a connection was lost, if the transaction was not committed.
    pub(crate) async fn write<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        F: AsyncFnOnce(&mut Connection) -> Result<T, Failure> + Clone,
    {
        match self {
            Self::File(file) => file.write(work).await,
            Self::Server(server) => server.write(work).await,
        }
    }

    /// Like [`Database::write`], for work that cannot run again.
    pub(crate) async fn write_once<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        F: AsyncFnOnce(&mut Connection) -> Result<T, Failure>,
    {
        match self {
            Self::File(file) => file.write(work).await,
            Self::Server(server) => server.write_once(work).await,
        }
    }

    /// Runs queries in one transaction, which is undone in any case.
    pub(crate) async fn trial<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        F: AsyncFnOnce(&mut Connection) -> Result<T, Failure>,
    {
        match self {
            Self::File(file) => file.trial(work).await,
            Self::Server(server) => server.trial(work).await,
        }
    }

    /// Empties the log beside a file, in which secrets may be that were deleted. Without effect while others read.
    pub(crate) async fn forget_log(&self) {
        if let Self::File(file) = self {
            file.forget_log().await;
        }
    }

    /// Closes the connections after the work under way.
    pub(crate) async fn close(&self) {
        match self {
            Self::File(file) => file.close().await,
            Self::Server(server) => server.close().await,
        }
    }
}
