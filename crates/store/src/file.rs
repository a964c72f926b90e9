//! A database in one SQLite file: made, checked, migrated; reads and writes.
//!
//! **Invariants**: the file and the two beside it are 0600 from their first byte (SQLite gives `-wal` and `-shm` the rights
//! of the file, and the file is never made by SQLite); it is never opened other than through SQLite, because closing any
//! descriptor of it drops the locks this process holds; every write is one `BEGIN IMMEDIATE` transaction.
//!
//! Opening a file that is up to date costs one connection and one query. Only a missing or older file takes the creation
//! lock, a file of its own that the system frees when its holder dies.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read as _};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use sqlx::sqlite::{SqliteConnectOptions, SqlitePool, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection as _};

use crate::error::{Failure, StoreError};
use crate::home::{HomeError, private_file};
use crate::schema::Schema;
use crate::sql::{self, Connection};

/// An open file.
#[derive(Debug, Clone)]
pub(crate) struct DatabaseFile {
    path: Arc<Path>,
    pool: SqlitePool,
}

impl DatabaseFile {
    /// Opens the file, making or migrating it first if needed.
    pub(crate) async fn open(path: &Path, schema: &'static Schema) -> Result<Self, StoreError> {
        if path.to_str().is_none() {
            return Err(StoreError::Path(path.to_path_buf()));
        }
        // One connection: reads are short, and a second one would only wait for the first in the file's lock.
        let pool = SqlitePoolOptions::new()
            .max_connections(1)
            .acquire_timeout(BUSY * 2)
            .max_lifetime(None)
            .idle_timeout(None)
            .test_before_acquire(false)
            .after_release(|connection, _| {
                Box::pin(async move {
                    // On a full disk SQLite undoes a transaction by itself, and the library, which then fails to, believes that
                    // it goes on: nothing could begin on this connection any more. Whatever was begun has ended behind the ping.
                    connection.ping().await?;
                    Ok(!connection.is_in_transaction())
                })
            })
            .connect_lazy_with(options(path));
        let file = Self {
            path: Arc::from(path),
            pool,
        };
        if exists(path)? {
            private_file(path)?;
            if file.is_current(schema).await? {
                return Ok(file);
            }
        }
        prepare(path, schema).await?;
        Ok(file)
    }

    /// Runs queries that change nothing, all of which see the same state.
    pub(crate) async fn read<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        F: AsyncFnOnce(&mut Connection) -> Result<T, Failure>,
    {
        let begun = self.pool.begin().await.map_err(|e| self.fail(e))?;
        let mut snapshot = Connection::SqliteTransaction(begun);
        let found = work(&mut snapshot).await.map_err(|e| e.at(&self.path))?;
        snapshot.commit().await.map_err(|e| self.fail(e))?;
        Ok(found)
    }

    /// Runs queries in one transaction, which is undone if they fail.
    pub(crate) async fn write<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        F: AsyncFnOnce(&mut Connection) -> Result<T, Failure>,
    {
        let mut transaction = self.begin().await.map_err(|e| self.fail(e))?;
        match work(&mut transaction).await {
            Ok(value) => {
                transaction.commit().await.map_err(|e| self.fail(e))?;
                Ok(value)
            }
            Err(failure) => {
                // A transaction that cannot be undone is undone when its connection closes; the first failure counts.
                let _ = transaction.rollback().await;
                Err(failure.at(&self.path))
            }
        }
    }

    /// Runs queries in one transaction, which is undone in any case.
    pub(crate) async fn trial<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        F: AsyncFnOnce(&mut Connection) -> Result<T, Failure>,
    {
        let mut transaction = self.begin().await.map_err(|e| self.fail(e))?;
        let result = work(&mut transaction).await;
        transaction.rollback().await.map_err(|e| self.fail(e))?;
        result.map_err(|failure| failure.at(&self.path))
    }

    async fn begin(&self) -> sqlx::Result<Connection> {
        let begun = self.pool.begin_with("BEGIN IMMEDIATE").await?;
        Ok(Connection::SqliteTransaction(begun))
    }

    /// Empties the log beside the file, in which secrets may be that were deleted. Without effect while others read.
    pub(crate) async fn forget_log(&self) {
        if let Ok(connection) = self.pool.acquire().await {
            let mut connection = Connection::Sqlite(connection);
            // The log is overwritten sooner or later.
            let _ = sql::run(&mut connection, "PRAGMA wal_checkpoint(TRUNCATE)").await;
        }
    }

    /// Closes the connection after the work under way.
    pub(crate) async fn close(&self) {
        self.pool.close().await;
    }

    async fn is_current(&self, schema: &Schema) -> Result<bool, StoreError> {
        let connection = self.pool.acquire().await.map_err(|e| self.fail(e))?;
        let found = version(&mut Connection::Sqlite(connection))
            .await
            .map_err(|e| self.fail(e))?;
        check(&self.path, schema, found)
    }

    fn fail(&self, error: sqlx::Error) -> StoreError {
        Failure::from(error).at(&self.path)
    }
}

/// Opens one connection to a file that exists, without a pool. For files that are used now and then.
pub(crate) async fn connect(path: &Path, schema: &Schema) -> Result<Connection, StoreError> {
    private_file(path)?;
    let fail = |error: sqlx::Error| Failure::from(error).at(path);
    let mut connection = connect_file(path).await.map_err(fail)?;
    let found = version(&mut connection).await.map_err(fail)?;
    if check(path, schema, found)? {
        return Ok(connection);
    }
    migrate(&mut connection, schema)
        .await
        .map_err(|failure| failure.at(path))?;
    Ok(connection)
}

/// Makes a file with all its tables, 0600, without the log beside it (so that it can be copied as one file), and lets the
/// caller fill it. The file appears under its name complete or not at all.
pub(crate) async fn create_file<F>(path: &Path, schema: &Schema, fill: F) -> Result<(), StoreError>
where
    F: AsyncFnOnce(&mut Connection) -> Result<(), Failure>,
{
    let draft = Draft::new(path)?;
    let result: Result<(), Failure> = async {
        let mut connection = connect_file(&draft.path).await?;
        migrate(&mut connection, schema).await?;
        fill(&mut connection).await?;
        connection.close().await?;
        Ok(())
    }
    .await;
    result.map_err(|failure| failure.at(path))?;
    draft.publish(path)
}

/// Copies an open file to a new path, 0600. The copy appears complete or not at all.
pub(crate) async fn copy(from: &mut Connection, target: &Path) -> Result<(), StoreError> {
    let draft = Draft::new(target)?;
    // The library copies into an empty file, which keeps its rights.
    let name = draft
        .path
        .to_str()
        .ok_or_else(|| StoreError::Path(target.to_path_buf()))?;
    sql::query("VACUUM INTO $1")
        .bind(name)
        .execute(from)
        .await
        .map_err(|error| Failure::from(error).at(target))?;
    draft.publish(target)
}

/// The content of a file at this moment, and the number of its last migration. The file is not changed.
pub(crate) async fn snapshot(
    path: &Path,
    schema: &Schema,
) -> Result<(Connection, i64), StoreError> {
    private_file(path)?;
    let fail = |error: sqlx::Error| Failure::from(error).at(path);
    let mut connection = connect_file(path).await.map_err(fail)?;
    // The moment is that of the first query behind it.
    sql::run(&mut connection, "BEGIN").await.map_err(fail)?;
    let found = version(&mut connection).await.map_err(fail)?;
    let number = found.number;
    check(path, schema, found)?;
    Ok((connection, number))
}

/// Lets the caller fill a file anew, in one transaction: what it has, by the number of its last migration, and what it gets, of
/// the last schema, are the caller's. A file that is not there appears complete or not at all.
pub(crate) async fn refill<F>(path: &Path, schema: &Schema, fill: F) -> Result<(), StoreError>
where
    F: AsyncFnOnce(&mut Connection, i64) -> Result<(), Failure>,
{
    let _lock = CreationLock::take(path).await?;
    let is_there = exists(path)?;
    let draft = if is_there {
        private_file(path)?;
        None
    } else {
        Some(Draft::new(path)?)
    };
    let work = async {
        let place = draft.as_ref().map_or(path, Draft::path);
        let mut connection = connect_file(place).await?;
        let found = version(&mut connection).await?;
        check(path, schema, found)?;
        if is_there {
            sql::run(&mut connection, "PRAGMA journal_mode = WAL").await?;
        }
        connection.begin().await?;
        let found = version(&mut connection).await?;
        fill(&mut connection, found.number).await?;
        mark(&mut connection, schema, schema.latest()).await?;
        connection.end().await?;
        if !is_there {
            // Leaves nothing beside the file, which is about to be renamed.
            sql::run(&mut connection, "PRAGMA journal_mode = WAL").await?;
        }
        connection.close().await?;
        Ok(())
    };
    work.await.map_err(|failure: Failure| failure.at(path))?;
    match draft {
        Some(draft) => draft.publish(path),
        None => Ok(()),
    }
}

/// Makes or migrates a file, while no other process does.
async fn prepare(path: &Path, schema: &Schema) -> Result<(), StoreError> {
    let _lock = CreationLock::take(path).await?;
    if !exists(path)? {
        Draft::new(path)?.publish(path)?;
    }
    let result: Result<(), Failure> = async {
        let mut connection = connect_file(path).await?;
        let found = version(&mut connection).await?;
        if !check(path, schema, found)? {
            // Stays in the file. Cannot be changed inside a transaction.
            sql::run(&mut connection, "PRAGMA journal_mode = WAL").await?;
            migrate(&mut connection, schema).await?;
        }
        connection.close().await?;
        Ok(())
    }
    .await;
    result.map_err(|failure| failure.at(path))
}

/// Applies all missing migrations in one transaction.
async fn migrate(connection: &mut Connection, schema: &Schema) -> Result<(), Failure> {
    connection.begin().await?;
    // Another process may have been faster.
    let found = version(connection).await?.number;
    for migration in schema
        .migrations
        .iter()
        .skip(usize::try_from(found).unwrap_or_default())
    {
        sql::run(connection, *migration).await?;
    }
    mark(connection, schema, schema.latest().max(found)).await?;
    connection.end().await?;
    Ok(())
}

/// Writes down of which kind a file is, and the number of its last migration.
async fn mark(connection: &mut Connection, schema: &Schema, number: i64) -> Result<(), Failure> {
    let marks = format!(
        "PRAGMA application_id = {}; PRAGMA user_version = {number}",
        schema.application
    );
    sql::run(connection, AssertSqlSafe(marks)).await?;
    Ok(())
}

struct Version {
    application: i64,
    number: i64,
    tables: i64,
}

async fn version(connection: &mut Connection) -> Result<Version, sqlx::Error> {
    let (application, number, tables) = sql::query_as(
        "SELECT application_id, user_version, (SELECT count(*) FROM sqlite_schema)
         FROM pragma_application_id, pragma_user_version",
    )
    .fetch_one(connection)
    .await?;
    Ok(Version {
        application,
        number,
        tables,
    })
}

/// Whether the file has the latest schema. An empty file (a creation that was cut short) counts as older; one without marks
/// but with tables is another program's, for example a vault of the published one.
fn check(path: &Path, schema: &Schema, found: Version) -> Result<bool, StoreError> {
    let empty = found.application == 0 && found.number == 0 && found.tables == 0;
    if found.application != i64::from(schema.application) && !empty {
        return Err(StoreError::Foreign(path.to_path_buf()));
    }
    if found.number > schema.latest() {
        return Err(StoreError::NewerSchema {
            path: path.to_path_buf(),
            found: found.number,
            known: schema.latest(),
        });
    }
    Ok(found.number == schema.latest())
}

/// Whether a file that nobody has open carries the mark of this kind: the number at byte 68 of its header.
pub(crate) fn has_mark(path: &Path, schema: &Schema) -> bool {
    let mut header = [0; 72];
    File::open(path)
        .and_then(|mut file| file.read_exact(&mut header))
        .is_ok_and(|()| header.ends_with(&schema.application.to_be_bytes()))
}

async fn connect_file(path: &Path) -> sqlx::Result<Connection> {
    options(path).connect().await.map(Connection::File)
}

fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(false)
        .foreign_keys(true)
        .busy_timeout(BUSY)
        // A key that was shown to the user must outlive a power cut, so each transaction reaches the disk.
        .synchronous(SqliteSynchronous::Full)
        // Deleted secrets are overwritten, not only unlinked from their page.
        .pragma("secure_delete", "ON")
        .disable_statement_logging()
}

fn exists(path: &Path) -> Result<bool, StoreError> {
    fs::exists(path).map_err(|error| HomeError::io(path, error).into())
}

/// A file 0600 that gets its real name when it is complete, and is removed otherwise.
pub(crate) struct Draft {
    path: PathBuf,
}

impl Draft {
    pub(crate) fn new(target: &Path) -> Result<Self, StoreError> {
        let mut name = target.file_name().unwrap_or_default().to_owned();
        let mut random = [0; 8];
        getrandom::fill(&mut random).map_err(|_| StoreError::Random)?;
        name.push(format!(".{:016x}.new", u64::from_ne_bytes(random)));
        let path = target.with_file_name(name);
        new_file(&path).map_err(|error| HomeError::io(&path, error))?;
        Ok(Self { path })
    }

    fn publish(self, target: &Path) -> Result<(), StoreError> {
        let publish = || {
            fs::rename(&self.path, target)?;
            sync_directory(target)
        };
        publish().map_err(|error| HomeError::io(target, error).into())
    }

    /// Where it is until then.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Like [`Draft::publish`], but never in place of another file.
    pub(crate) fn publish_new(self, target: &Path) -> Result<(), StoreError> {
        let publish = || {
            fs::hard_link(&self.path, target)?;
            sync_directory(target)
        };
        publish().map_err(|error| match error.kind() {
            ErrorKind::AlreadyExists => StoreError::BackupExists(target.to_path_buf()),
            _ => HomeError::io(target, error).into(),
        })
    }
}

/// A name must be on the disk before anything refers to it.
fn sync_directory(of: &Path) -> std::io::Result<()> {
    match of.parent() {
        Some(parent) if parent != Path::new("") => File::open(parent)?.sync_all(),
        _ => File::open(".")?.sync_all(),
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // Already gone when published.
        let _ = fs::remove_file(&self.path);
    }
}

fn new_file(path: &Path) -> std::io::Result<()> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map(drop)
}

/// Held while a file is made or migrated. Freed by the system when the holder ends, however it ends.
struct CreationLock {
    _file: File,
}

impl CreationLock {
    async fn take(path: &Path) -> Result<Self, StoreError> {
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(".lock");
        let path = path.with_file_name(name);
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(|error| HomeError::io(&path, error))?;
        let deadline = Instant::now() + BUSY;
        loop {
            match file.try_lock() {
                Err(TryLockError::WouldBlock) if Instant::now() < deadline => {}
                Err(TryLockError::WouldBlock) => return Err(StoreError::Locked(path)),
                // Some network file systems have no such locks; SQLite's own still keep the file whole.
                Err(TryLockError::Error(error)) if error.kind() != ErrorKind::Unsupported => {
                    return Err(HomeError::io(&path, error).into());
                }
                _ => break,
            }
            // The holder needs a few milliseconds.
            tokio::time::sleep(Duration::from_millis(3)).await;
        }
        Ok(Self { _file: file })
    }
}

/// Two hundred processes writing one after the other stay well below this.
const BUSY: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;

    static FIRST: Schema = Schema {
        application: 7,
        migrations: &["CREATE TABLE a (x); INSERT INTO a VALUES (1)"],
    };
    static SECOND: Schema = Schema {
        application: 7,
        migrations: &[FIRST.migrations[0], "ALTER TABLE a ADD COLUMN y DEFAULT 2"],
    };
    static BROKEN: Schema = Schema {
        application: 7,
        migrations: &[
            FIRST.migrations[0],
            "CREATE TABLE b (x)",
            "CREATE TABLE a (x)",
        ],
    };

    async fn value(database: &DatabaseFile, query: &'static str) -> Result<i64, StoreError> {
        database
            .read(async |db| Ok(sql::query_scalar(query).fetch_one(db).await?))
            .await
    }

    #[tokio::test]
    async fn an_older_file_is_brought_up_to_date_and_keeps_its_content() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("db");
        DatabaseFile::open(&path, &FIRST)
            .await
            .unwrap()
            .close()
            .await;
        let opened: Vec<_> = (0..8)
            .map(|_| {
                tokio::spawn({
                    let path = path.clone();
                    async move { DatabaseFile::open(&path, &SECOND).await }
                })
            })
            .collect();
        for database in opened {
            let database = database.await.unwrap().unwrap();
            assert_eq!(value(&database, "SELECT x + y FROM a").await.unwrap(), 3);
        }
        let older = DatabaseFile::open(&path, &FIRST).await;
        assert!(matches!(
            older,
            Err(StoreError::NewerSchema {
                found: 2,
                known: 1,
                ..
            })
        ));
    }

    #[tokio::test]
    async fn migrations_that_fail_change_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("db");
        DatabaseFile::open(&path, &FIRST)
            .await
            .unwrap()
            .close()
            .await;
        assert!(DatabaseFile::open(&path, &BROKEN).await.is_err());
        let database = DatabaseFile::open(&path, &FIRST).await.unwrap();
        let tables = value(
            &database,
            "SELECT count(*) FROM sqlite_schema WHERE name = 'b'",
        )
        .await;
        assert_eq!(tables.unwrap(), 0);
    }

    #[tokio::test]
    async fn a_failed_write_is_undone() {
        let directory = tempfile::tempdir().unwrap();
        let database = DatabaseFile::open(&directory.path().join("db"), &FIRST)
            .await
            .unwrap();
        let failed: Result<(), _> = database
            .write(async |db| {
                sql::query("INSERT INTO a VALUES (2)").execute(db).await?;
                Err(StoreError::Random.into())
            })
            .await;
        assert!(failed.is_err());
        assert_eq!(value(&database, "SELECT count(*) FROM a").await.unwrap(), 1);
    }
}
