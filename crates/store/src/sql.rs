//! Queries that read the same on SQLite and on PostgreSQL, and their answers.
//!
//! A query is written once, with placeholders `$1`, `$2`.., in words that both understand: `INSERT .. ON CONFLICT .. DO`,
//! no `rowid`, no functions of only one of them. Integers are 64 bits wide on both; what is true or false is an integer 0
//! or 1 in a table. A sum is cast back: `CAST(sum(x) AS BIGINT)`.
//!
//! ```text
//! sql::query("UPDATE node SET pid = $2 WHERE name = $1").bind(name).bind(pid).execute(&mut *db).await?;
//! let names: Vec<String> = sql::query_scalar("SELECT name FROM node").fetch_all(db).await?;
//! ```

use core::future::poll_fn;
use core::marker::PhantomData;

use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{
    Column as _, ColumnIndex, Connection as _, Executor as _, Postgres, Row as _, SqlSafeStr,
    SqlStr, Sqlite, Transaction, TypeInfo as _,
};

/// A connection to a database of either kind.
#[derive(Debug)]
pub(crate) enum Connection {
    /// To a file, outside of any pool.
    File(SqliteConnection),
    /// To the file of a pool.
    Sqlite(PoolConnection<Sqlite>),
    /// A transaction in the file of a pool.
    SqliteTransaction(Transaction<'static, Sqlite>),
    /// A transaction of a server.
    Postgres(Transaction<'static, Postgres>),
}

/// What the library's functions take.
enum Raw<'a> {
    Sqlite(&'a mut SqliteConnection),
    Postgres(&'a mut PgConnection),
}

/// Which of the two a connection leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A SQLite file.
    File,
    /// A PostgreSQL server.
    Server,
}

impl Connection {
    pub(crate) fn kind(&self) -> Kind {
        match self {
            Self::File(_) | Self::Sqlite(_) | Self::SqliteTransaction(_) => Kind::File,
            Self::Postgres(_) => Kind::Server,
        }
    }

    fn raw(&mut self) -> Raw<'_> {
        match self {
            Self::File(connection) => Raw::Sqlite(connection),
            Self::Sqlite(connection) => Raw::Sqlite(connection),
            Self::SqliteTransaction(transaction) => Raw::Sqlite(transaction),
            Self::Postgres(transaction) => Raw::Postgres(transaction),
        }
    }

    /// Begins a transaction in a file that is nobody else's in this process. Dropping the connection undoes it.
    pub(crate) async fn begin(&mut self) -> sqlx::Result<()> {
        run(self, "BEGIN IMMEDIATE").await
    }

    /// Ends what [`Connection::begin`] began.
    pub(crate) async fn end(&mut self) -> sqlx::Result<()> {
        run(self, "COMMIT").await
    }

    /// Commits the transaction, if it is one.
    pub(crate) async fn commit(self) -> sqlx::Result<()> {
        match self {
            Self::SqliteTransaction(transaction) => transaction.commit().await,
            Self::Postgres(transaction) => transaction.commit().await,
            Self::File(_) | Self::Sqlite(_) => Ok(()),
        }
    }

    /// Undoes the transaction, if it is one.
    pub(crate) async fn rollback(self) -> sqlx::Result<()> {
        match self {
            Self::SqliteTransaction(transaction) => transaction.rollback().await,
            Self::Postgres(transaction) => transaction.rollback().await,
            Self::File(_) | Self::Sqlite(_) => Ok(()),
        }
    }

    /// Closes the connection to a file; gives others back.
    pub(crate) async fn close(self) -> sqlx::Result<()> {
        match self {
            Self::File(connection) => connection.close().await,
            Self::Sqlite(_) | Self::SqliteTransaction(_) | Self::Postgres(_) => Ok(()),
        }
    }
}

/// So many placeholders for one list: `$1, $2`.
pub(crate) fn placeholders(count: usize) -> String {
    let placeholders: Vec<String> = (1..=count).map(|number| format!("${number}")).collect();
    placeholders.join(", ")
}

/// Placeholders for so many rows of so many columns: `($1, $2), ($3, $4)`.
pub(crate) fn rows(rows: usize, columns: usize) -> String {
    let row = |row: usize| {
        let first = row * columns;
        let places: Vec<String> = (1..=columns).map(|at| format!("${}", first + at)).collect();
        format!("({})", places.join(", "))
    };
    let rows: Vec<String> = (0..rows).map(row).collect();
    rows.join(", ")
}

/// Rows of one statement: far fewer values than either database takes.
pub(crate) const AT_ONCE: usize = 200;

/// Runs statements without values.
pub(crate) async fn run(db: &mut Connection, statements: impl SqlSafeStr) -> sqlx::Result<()> {
    let statements = sqlx::raw_sql(statements);
    match db.raw() {
        Raw::Sqlite(db) => db.execute(statements).await.map(drop),
        Raw::Postgres(db) => db.execute(statements).await.map(drop),
    }
}

/// A query whose answer are whole rows, or the number of rows it changed.
pub(crate) fn query(text: impl SqlSafeStr) -> Query {
    Query {
        text: text.into_sql_str(),
        values: Vec::new(),
    }
}

/// A query each row of whose answer is a `T`.
pub(crate) fn query_as<T: FromRow>(text: impl SqlSafeStr) -> QueryAs<T> {
    QueryAs {
        query: query(text),
        row: PhantomData,
    }
}

/// A query whose answer has one column.
pub(crate) fn query_scalar<T: Column>(text: impl SqlSafeStr) -> QueryScalar<T> {
    QueryScalar(query_as(text))
}

/// See [`query`].
#[must_use]
pub(crate) struct Query {
    text: SqlStr,
    values: Vec<Value>,
}

impl Query {
    /// The value of the next placeholder.
    pub(crate) fn bind(mut self, value: impl Into<Value>) -> Self {
        self.values.push(value.into());
        self
    }

    /// Runs it; the answer says how many rows it changed.
    pub(crate) async fn execute(self, db: &mut Connection) -> sqlx::Result<Done> {
        match db.raw() {
            Raw::Sqlite(db) => self.sqlite().execute(db).await.map(|d| d.rows_affected()),
            Raw::Postgres(db) => self.postgres().execute(db).await.map(|d| d.rows_affected()),
        }
        .map(Done)
    }

    /// All rows of its answer.
    pub(crate) async fn fetch_all(self, db: &mut Connection) -> sqlx::Result<Vec<Row>> {
        match db.raw() {
            Raw::Sqlite(db) => {
                let rows = self.sqlite().fetch_all(db).await?;
                Ok(rows.into_iter().map(Row::Sqlite).collect())
            }
            Raw::Postgres(db) => {
                let rows = self.postgres().fetch_all(db).await?;
                Ok(rows.into_iter().map(Row::Postgres).collect())
            }
        }
    }

    /// The first row of its answer, if there is one.
    pub(crate) async fn fetch_optional(self, db: &mut Connection) -> sqlx::Result<Option<Row>> {
        match db.raw() {
            Raw::Sqlite(db) => {
                let row = self.sqlite().fetch_optional(db).await?;
                Ok(row.map(Row::Sqlite))
            }
            Raw::Postgres(db) => {
                let row = self.postgres().fetch_optional(db).await?;
                Ok(row.map(Row::Postgres))
            }
        }
    }

    /// Does something with each row of its answer, without ever holding all of them.
    pub(crate) async fn for_each<E: From<sqlx::Error>>(
        self,
        db: &mut Connection,
        mut each: impl FnMut(Row) -> Result<(), E>,
    ) -> Result<(), E> {
        match db.raw() {
            Raw::Sqlite(db) => {
                let mut rows = self.sqlite().fetch(db);
                while let Some(row) = poll_fn(|cx| rows.as_mut().poll_next(cx)).await {
                    each(Row::Sqlite(row?))?;
                }
            }
            Raw::Postgres(db) => {
                let mut rows = self.postgres().fetch(db);
                while let Some(row) = poll_fn(|cx| rows.as_mut().poll_next(cx)).await {
                    each(Row::Postgres(row?))?;
                }
            }
        }
        Ok(())
    }

    fn sqlite(self) -> sqlx::query::Query<'static, Sqlite, sqlx::sqlite::SqliteArguments> {
        let mut query = sqlx::query(self.text);
        for value in self.values {
            query = match value {
                Value::Integer(value) => query.bind(value),
                Value::Text(value) => query.bind(value),
                Value::Blob(value) => query.bind(value),
            };
        }
        query
    }

    fn postgres(self) -> sqlx::query::Query<'static, Postgres, sqlx::postgres::PgArguments> {
        let mut query = sqlx::query(self.text);
        for value in self.values {
            query = match value {
                Value::Integer(value) => query.bind(value),
                Value::Text(value) => query.bind(value),
                Value::Blob(value) => query.bind(value),
            };
        }
        query
    }
}

/// See [`query_as`].
#[must_use]
pub(crate) struct QueryAs<T> {
    query: Query,
    row: PhantomData<fn() -> T>,
}

impl<T: FromRow> QueryAs<T> {
    /// The value of the next placeholder.
    pub(crate) fn bind(mut self, value: impl Into<Value>) -> Self {
        self.query = self.query.bind(value);
        self
    }

    /// All rows of its answer.
    pub(crate) async fn fetch_all(self, db: &mut Connection) -> sqlx::Result<Vec<T>> {
        let rows = self.query.fetch_all(db).await?;
        rows.iter().map(T::from_row).collect()
    }

    /// The first row of its answer, if there is one.
    pub(crate) async fn fetch_optional(self, db: &mut Connection) -> sqlx::Result<Option<T>> {
        let row = self.query.fetch_optional(db).await?;
        row.as_ref().map(T::from_row).transpose()
    }

    /// The first row of its answer.
    pub(crate) async fn fetch_one(self, db: &mut Connection) -> sqlx::Result<T> {
        let row = self.fetch_optional(db).await?;
        row.ok_or(sqlx::Error::RowNotFound)
    }
}

/// See [`query_scalar`].
#[must_use]
pub(crate) struct QueryScalar<T>(QueryAs<(T,)>);

impl<T: Column> QueryScalar<T> {
    /// The value of the next placeholder.
    pub(crate) fn bind(self, value: impl Into<Value>) -> Self {
        Self(self.0.bind(value))
    }

    /// The column of all rows.
    pub(crate) async fn fetch_all(self, db: &mut Connection) -> sqlx::Result<Vec<T>> {
        let rows = self.0.fetch_all(db).await?;
        Ok(rows.into_iter().map(|(column,)| column).collect())
    }

    /// The column of the first row, if there is one.
    pub(crate) async fn fetch_optional(self, db: &mut Connection) -> sqlx::Result<Option<T>> {
        Ok(self.0.fetch_optional(db).await?.map(|(column,)| column))
    }

    /// The column of the first row.
    pub(crate) async fn fetch_one(self, db: &mut Connection) -> sqlx::Result<T> {
        Ok(self.0.fetch_one(db).await?.0)
    }
}

/// How many rows a query changed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Done(u64);

impl Done {
    pub(crate) fn rows_affected(self) -> u64 {
        self.0
    }
}

/// A value for a placeholder, which may be absent but always has a type.
#[derive(Clone)]
pub(crate) enum Value {
    Integer(Option<i64>),
    Text(Option<String>),
    Blob(Option<Vec<u8>>),
}

macro_rules! values {
    ($($rust:ty => $value:ident $with:expr;)*) => {$(
        impl From<$rust> for Value {
            fn from(value: $rust) -> Self {
                Self::$value(Some($with(value)))
            }
        }

        impl From<Option<$rust>> for Value {
            fn from(value: Option<$rust>) -> Self {
                Self::$value(value.map($with))
            }
        }
    )*};
}

values! {
    i64 => Integer core::convert::identity;
    u32 => Integer i64::from;
    bool => Integer i64::from;
    &str => Text str::to_owned;
    &String => Text String::clone;
    &&str => Text |text: &&str| (*text).to_owned();
    String => Text core::convert::identity;
    &[u8] => Blob <[u8]>::to_vec;
    &Vec<u8> => Blob Vec::clone;
    Vec<u8> => Blob core::convert::identity;
}

/// One row of an answer.
pub(crate) enum Row {
    Sqlite(SqliteRow),
    Postgres(PgRow),
}

impl Row {
    /// The column of this name or number.
    pub(crate) fn try_get<T, I>(&self, column: I) -> sqlx::Result<T>
    where
        T: Column,
        I: ColumnIndex<SqliteRow> + ColumnIndex<PgRow>,
    {
        match self {
            Self::Sqlite(row) => T::from_sqlite(row, column.index(row)?),
            Self::Postgres(row) => T::from_postgres(row, column.index(row)?),
        }
    }
}

/// What is made of a whole row.
pub(crate) trait FromRow: Sized {
    fn from_row(row: &Row) -> sqlx::Result<Self>;
}

macro_rules! tuples {
    ($(($($name:ident $index:literal),*))*) => {$(
        impl<$($name: Column),*> FromRow for ($($name,)*) {
            fn from_row(row: &Row) -> sqlx::Result<Self> {
                Ok(($(row.try_get::<$name, usize>($index)?,)*))
            }
        }
    )*};
}

tuples! {
    (A 0)
    (A 0, B 1)
    (A 0, B 1, C 2)
    (A 0, B 1, C 2, D 3)
    (A 0, B 1, C 2, D 3, E 4)
    (A 0, B 1, C 2, D 3, E 4, F 5)
}

/// What is made of one column.
pub(crate) trait Column: Sized {
    fn from_sqlite(row: &SqliteRow, index: usize) -> sqlx::Result<Self>;
    fn from_postgres(row: &PgRow, index: usize) -> sqlx::Result<Self>;
}

macro_rules! columns {
    ($($rust:ty)*) => {$(
        impl Column for $rust {
            fn from_sqlite(row: &SqliteRow, index: usize) -> sqlx::Result<Self> {
                row.try_get(index)
            }

            fn from_postgres(row: &PgRow, index: usize) -> sqlx::Result<Self> {
                row.try_get(index)
            }
        }
    )*};
}

columns!(String Option<String> Vec<u8> Option<Vec<u8>>);

impl Column for Option<i64> {
    fn from_sqlite(row: &SqliteRow, index: usize) -> sqlx::Result<Self> {
        row.try_get(index)
    }

    /// A literal in a query has a narrower type than the columns, a comparison is true or false.
    fn from_postgres(row: &PgRow, index: usize) -> sqlx::Result<Self> {
        match row.try_column(index)?.type_info().name() {
            "BOOL" => Ok(row.try_get::<Option<bool>, _>(index)?.map(i64::from)),
            "INT2" => Ok(row.try_get::<Option<i16>, _>(index)?.map(i64::from)),
            "INT4" => Ok(row.try_get::<Option<i32>, _>(index)?.map(i64::from)),
            _ => row.try_get(index),
        }
    }
}

impl Column for i64 {
    fn from_sqlite(row: &SqliteRow, index: usize) -> sqlx::Result<Self> {
        row.try_get(index)
    }

    fn from_postgres(row: &PgRow, index: usize) -> sqlx::Result<Self> {
        Option::from_postgres(row, index)?.ok_or_else(|| unreadable(index, "no number"))
    }
}

impl Column for bool {
    fn from_sqlite(row: &SqliteRow, index: usize) -> sqlx::Result<Self> {
        row.try_get(index)
    }

    fn from_postgres(row: &PgRow, index: usize) -> sqlx::Result<Self> {
        Ok(i64::from_postgres(row, index)? != 0)
    }
}

impl Column for Option<u32> {
    fn from_sqlite(row: &SqliteRow, index: usize) -> sqlx::Result<Self> {
        row.try_get(index)
    }

    fn from_postgres(row: &PgRow, index: usize) -> sqlx::Result<Self> {
        let number = Option::<i64>::from_postgres(row, index)?.map(u32::try_from);
        number
            .transpose()
            .map_err(|_| unreadable(index, "a number that is too large"))
    }
}

fn unreadable(index: usize, found: &'static str) -> sqlx::Error {
    sqlx::Error::ColumnDecode {
        index: index.to_string(),
        source: found.into(),
    }
}
