//! A database of a PostgreSQL server: its tables made or migrated; reads and writes.
//!
//! One lock for all writers, not one for each project: every change of members, tickets, accounts and projects ends with an entry of the
//! one audit chain, so writers would wait for each other there all the same, and places in the order of withdrawals and events would
//! become visible out of their order.
//!
//! **Invariants**: a write is one transaction under one lock of the whole database, taken before its first query and freed
//! when its commit is visible, so that it sees everything written before and writers follow each other as with a SQLite file;
//! a read is one snapshot; whoever is told that a write happened can rely on its being on the server's disk, and whoever is told
//! that it did not, on its never happening. When a connection is lost the work runs again on another one, unless the commit
//! was under way: then the server is asked what became of it.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions, Postgres};
use sqlx::{ConnectOptions as _, Connection as _, Transaction};
use tokio::time::{Instant, sleep, timeout};

use crate::address::DatabaseAddress;
use crate::catalogue;
use crate::error::{Failure, StoreError};
use crate::schema::Schema;
use crate::sql::{self, Connection};

/// A database of a server.
#[derive(Debug, Clone)]
pub(crate) struct DatabaseServer {
    label: Arc<Path>,
    pool: PgPool,
}

impl DatabaseServer {
    /// Opens the database, making its tables or migrating them first if needed.
    pub(crate) async fn open(
        address: &DatabaseAddress,
        options: &PgConnectOptions,
        schema: &'static Schema,
    ) -> Result<Self, StoreError> {
        let server = Self::connect(address, options).await?;
        let current = server
            .read(async |db| Ok(check(&state(db).await?, schema)))
            .await?;
        if !current.map_err(|refused| server.refuse(refused, schema))? {
            let migrated = server
                .write(async |db| {
                    // Another process may have been faster.
                    let found = state(db).await?;
                    match check(&found, schema) {
                        Ok(false) => migrate(db, &found, schema).await.map(Ok),
                        Ok(true) => Ok(Ok(())),
                        Err(refused) => Ok(Err(refused)),
                    }
                })
                .await?;
            migrated.map_err(|refused| server.refuse(refused, schema))?;
        }
        Ok(server)
    }

    /// Reaches the server; looks at nothing.
    async fn connect(
        address: &DatabaseAddress,
        options: &PgConnectOptions,
    ) -> Result<Self, StoreError> {
        let options = options.clone().options([
            ("lock_timeout", "30s"),
            // A process that stands still in a transaction must not keep all others from writing.
            ("idle_in_transaction_session_timeout", "30s"),
        ]);
        let label: Arc<Path> = Arc::from(address.label());
        reach(&label, &options).await?;
        let pool = PgPoolOptions::new()
            .max_connections(CONNECTIONS)
            .acquire_timeout(PATIENCE)
            .test_before_acquire(true)
            .after_connect(|connection, _| {
                Box::pin(async move {
                    // What is acknowledged has to outlive a crash, also where the server's own setting is lax.
                    let setting = sqlx::raw_sql(
                        "SELECT set_config('synchronous_commit', 'on', false)
                         WHERE current_setting('synchronous_commit') = 'off'",
                    );
                    setting.execute(connection).await.map(drop)
                })
            })
            .connect_lazy_with(options);
        Ok(Self { label, pool })
    }

    /// See [`crate::database::Database::read`].
    pub(crate) async fn read<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        F: AsyncFnOnce(&mut Connection) -> Result<T, Failure> + Clone,
    {
        let mut retries = Retries::new();
        loop {
            let attempt = async {
                let mut snapshot = self.begin(SNAPSHOT).await?;
                let value = limited(work.clone()(&mut snapshot)).await?;
                snapshot.commit().await?;
                Ok(value)
            };
            match attempt.await {
                Ok(value) => return Ok(value),
                Err(failure) if is_passing(&failure) && retries.next().await => {}
                Err(failure) => return Err(failure.at(&self.label)),
            }
        }
    }

    /// See [`crate::database::Database::write`].
    pub(crate) async fn write<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        F: AsyncFnOnce(&mut Connection) -> Result<T, Failure> + Clone,
    {
        let mut retries = Retries::new();
        loop {
            match self.attempt(work.clone()).await {
                Err(failure) if is_passing(&failure) && retries.next().await => {}
                done => return done.map_err(|failure| failure.at(&self.label)),
            }
        }
    }

    /// See [`crate::database::Database::write_once`].
    pub(crate) async fn write_once<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        F: AsyncFnOnce(&mut Connection) -> Result<T, Failure>,
    {
        let done = self.attempt(work).await;
        done.map_err(|failure| failure.at(&self.label))
    }

    /// See [`crate::database::Database::trial`].
    pub(crate) async fn trial<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        F: AsyncFnOnce(&mut Connection) -> Result<T, Failure>,
    {
        let attempt = async {
            let mut transaction = self.begin(ALONE).await?;
            let value = limited(work(&mut transaction)).await?;
            transaction.rollback().await?;
            Ok(value)
        };
        attempt
            .await
            .map_err(|failure: Failure| failure.at(&self.label))
    }

    /// Closes the connections after the work under way.
    pub(crate) async fn close(&self) {
        self.pool.close().await;
    }

    /// Does the work in a transaction. What fails did not happen.
    async fn attempt<T, F>(&self, work: F) -> Result<T, Failure>
    where
        F: AsyncFnOnce(&mut Connection) -> Result<T, Failure>,
    {
        let mut transaction = self.begin(ALONE).await?;
        let done = limited(async {
            let value = work(&mut transaction).await?;
            // Fails if a query failed before: such a transaction would end without an error, and without effect.
            Ok((value, number(&mut transaction).await?))
        });
        match done.await {
            Err(failure) => {
                // A transaction that cannot be undone is undone when its connection ends; the first failure counts.
                let _ = timeout(LIMIT, transaction.rollback()).await;
                Err(failure)
            }
            Ok((value, number)) => {
                let committed = limited(async { Ok(transaction.commit().await?) });
                match committed.await {
                    Ok(()) => Ok(value),
                    Err(failure) => match self.outcome(number).await {
                        Outcome::Committed => Ok(value),
                        Outcome::Aborted => Err(failure),
                        Outcome::Unknown => {
                            let path = self.label.to_path_buf();
                            Err(StoreError::Unconfirmed(path).into())
                        }
                    },
                }
            }
        }
    }

    async fn begin(&self, how: &'static str) -> Result<Connection, Failure> {
        limited(async {
            let begun: Transaction<'static, Postgres> = self.pool.begin_with(how).await?;
            Ok(Connection::Postgres(begun))
        })
        .await
    }

    /// What became of a transaction whose commit was not answered.
    async fn outcome(&self, number: i64) -> Outcome {
        let deadline = Instant::now() + LIMIT;
        while Instant::now() < deadline {
            let status = async {
                let mut db = self.begin(SNAPSHOT).await?;
                let status: Option<String> = sql::query_scalar("SELECT txid_status($1)")
                    .bind(number)
                    .fetch_one(&mut db)
                    .await?;
                db.commit().await?;
                Ok::<_, Failure>(status)
            };
            match limited(status).await {
                Ok(Some(status)) if status == "committed" => return Outcome::Committed,
                Ok(Some(status)) if status == "aborted" => return Outcome::Aborted,
                Ok(None) => return Outcome::Unknown,
                // Still under way, or the server is.
                Ok(Some(_)) | Err(_) => sleep(Duration::from_millis(50)).await,
            }
        }
        Outcome::Unknown
    }

    fn refuse(&self, refused: Refused, schema: &Schema) -> StoreError {
        let path = self.label.to_path_buf();
        match refused {
            Refused::Foreign => StoreError::ForeignTables(path),
            Refused::Newer(found) => StoreError::NewerSchema {
                path,
                found,
                known: schema.latest(),
            },
        }
    }
}

/// The content of a database at this moment, and the number of its last migration. The database is not changed.
pub(crate) async fn snapshot(
    address: &DatabaseAddress,
    options: &PgConnectOptions,
    schema: &Schema,
) -> Result<(Connection, i64), StoreError> {
    let server = DatabaseServer::connect(address, options).await?;
    let work = async {
        let mut db = server.begin(SNAPSHOT).await?;
        let found = state(&mut db).await?;
        Ok((db, found))
    };
    let (db, found) = work
        .await
        .map_err(|failure: Failure| failure.at(&server.label))?;
    check(&found, schema).map_err(|refused| server.refuse(refused, schema))?;
    Ok((db, found.version))
}

/// Lets the caller fill a database anew, in one transaction: what it has, by the number of its last migration, and what it
/// gets, of the last schema, are the caller's.
pub(crate) async fn refill<F>(
    address: &DatabaseAddress,
    options: &PgConnectOptions,
    schema: &Schema,
    fill: F,
) -> Result<(), StoreError>
where
    F: AsyncFnOnce(&mut Connection, i64) -> Result<(), Failure>,
{
    let server = DatabaseServer::connect(address, options).await?;
    let work = async {
        let mut db = server.begin(ALONE).await?;
        let found = state(&mut db).await?;
        if let Err(refused) = check(&found, schema) {
            return Err(server.refuse(refused, schema).into());
        }
        if found.application == 0 {
            sql::run(&mut db, MARKS).await?;
        }
        fill(&mut db, found.version).await?;
        mark(&mut db, schema).await?;
        db.commit().await?;
        Ok(())
    };
    work.await
        .map_err(|failure: Failure| failure.at(&server.label))
}

/// Connects once, so that what is wrong with an address is told at once and in the server's words.
async fn reach(label: &Path, options: &PgConnectOptions) -> Result<(), StoreError> {
    let mut retries = Retries::new();
    loop {
        let failure = match timeout(CONNECT, options.connect()).await {
            Ok(Ok(connection)) => {
                // Nothing was asked that could fail.
                let _ = connection.close().await;
                return Ok(());
            }
            Ok(Err(error)) => Failure::from(error),
            Err(_) => Failure::from(sqlx::Error::PoolTimedOut),
        };
        if !is_starting(&failure) || !retries.next().await {
            return Err(failure.at(label));
        }
    }
}

/// The number of the transaction.
async fn number(db: &mut Connection) -> Result<i64, Failure> {
    Ok(sql::query_scalar("SELECT txid_current()")
        .fetch_one(db)
        .await?)
}

/// Runs one step, as long as a server that answers needs at most.
async fn limited<T>(step: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    match timeout(LIMIT, step).await {
        Ok(done) => done,
        Err(_) => Err(Failure::Sql(sqlx::Error::PoolTimedOut)),
    }
}

enum Outcome {
    Committed,
    Aborted,
    Unknown,
}

/// Pauses between attempts, until they took too long.
struct Retries {
    until: Instant,
    pause: Duration,
}

impl Retries {
    fn new() -> Self {
        Self {
            until: Instant::now() + PATIENCE,
            pause: Duration::from_millis(20),
        }
    }

    /// Waits; whether there is to be another attempt.
    async fn next(&mut self) -> bool {
        if Instant::now() + self.pause > self.until {
            return false;
        }
        sleep(self.pause).await;
        self.pause = (self.pause * 2).min(Duration::from_secs(1));
        true
    }
}

/// Whether the same work may well succeed on another connection.
fn is_passing(failure: &Failure) -> bool {
    match failure {
        Failure::Sql(sqlx::Error::Io(_) | sqlx::Error::BeginFailed) => true,
        Failure::Sql(sqlx::Error::Database(error)) => error.code().is_some_and(|code| {
            // The transaction lost against another one, the connection or the server ended, or the server starts.
            matches!(
                &*code,
                "40001" | "40P01" | "25P03" | "57P01" | "57P02" | "57P03" | "53300"
            ) || code.starts_with("08")
        }),
        _ => false,
    }
}

/// Whether a server that does not take a connection is about to.
fn is_starting(failure: &Failure) -> bool {
    match failure {
        Failure::Sql(sqlx::Error::Database(error)) => error
            .code()
            .is_some_and(|code| matches!(&*code, "57P03" | "53300")),
        _ => false,
    }
}

struct State {
    application: i64,
    version: i64,
    /// Tables of the schema that would be used.
    tables: i64,
}

enum Refused {
    Foreign,
    Newer(i64),
}

async fn state(db: &mut Connection) -> Result<State, Failure> {
    let (marked, tables): (i64, i64) = sql::query_as(
        "SELECT CASE WHEN to_regclass('ockam_database') IS NULL THEN 0 ELSE 1 END,
            (SELECT count(*) FROM pg_tables WHERE schemaname = current_schema())",
    )
    .fetch_one(&mut *db)
    .await?;
    if marked == 0 {
        return Ok(State {
            application: 0,
            version: 0,
            tables,
        });
    }
    let (application, version) =
        sql::query_as("SELECT application, version FROM ockam_database WHERE id = 1")
            .fetch_one(db)
            .await?;
    Ok(State {
        application,
        version,
        tables,
    })
}

/// Whether the tables are of the latest schema.
fn check(found: &State, schema: &Schema) -> Result<bool, Refused> {
    let empty = found.application == 0 && found.tables == 0;
    if found.application != i64::from(schema.application) && !empty {
        return Err(Refused::Foreign);
    }
    if found.version > schema.latest() {
        return Err(Refused::Newer(found.version));
    }
    Ok(found.version == schema.latest())
}

/// Applies all missing migrations, in the transaction that the connection is.
async fn migrate(db: &mut Connection, found: &State, schema: &Schema) -> Result<(), Failure> {
    if found.application == 0 {
        sql::run(db, MARKS).await?;
    }
    catalogue::migrate(db, schema, found.version, schema.latest()).await?;
    mark(db, schema).await
}

/// Writes down of which kind the database is, and the number of its last migration.
async fn mark(db: &mut Connection, schema: &Schema) -> Result<(), Failure> {
    sql::query(
        "INSERT INTO ockam_database (id, application, version) VALUES (1, $1, $2)
         ON CONFLICT (id) DO UPDATE SET version = excluded.version",
    )
    .bind(i64::from(schema.application))
    .bind(schema.latest())
    .execute(db)
    .await?;
    Ok(())
}

const MARKS: &str = "CREATE TABLE ockam_database (
    id BIGINT PRIMARY KEY CHECK (id = 1), application BIGINT NOT NULL, version BIGINT NOT NULL)";

const SNAPSHOT: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";

/// Each query sees what was committed before it, hence everything that earlier holders of the lock wrote. The number is ours
/// alone in this database: "OckamDB1".
const ALONE: &str =
    "BEGIN ISOLATION LEVEL READ COMMITTED; SELECT pg_advisory_xact_lock(5720534017879851569)";

/// Writers take turns; a few more are there for readers.
const CONNECTIONS: u32 = 8;

/// How long a server may be away, for example while it restarts.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long connecting may take.
const CONNECT: Duration = Duration::from_secs(10);

/// How long a step may take, waiting for the lock included.
const LIMIT: Duration = Duration::from_secs(60);
