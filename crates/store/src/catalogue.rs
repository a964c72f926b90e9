//! What tables a database of ours has, asked of the database itself; for copying all of it.

use sqlx::AssertSqlSafe;

use crate::archive::{ColumnKind, TableColumn};
use crate::error::Failure;
use crate::schema::Schema;
use crate::sql::{self, Connection, Kind, Value};

/// The columns of a table, in their order.
pub(crate) async fn columns(db: &mut Connection, table: &str) -> Result<Vec<TableColumn>, Failure> {
    let query = match db.kind() {
        Kind::File => "SELECT name, type FROM pragma_table_info($1) ORDER BY cid",
        Kind::Server => {
            "SELECT CAST(column_name AS TEXT), CAST(data_type AS TEXT) FROM information_schema.columns
             WHERE table_schema = current_schema() AND table_name = $1 ORDER BY ordinal_position"
        }
    };
    let rows: Vec<(String, String)> = sql::query_as(query).bind(table).fetch_all(db).await?;
    rows.into_iter()
        .map(|(name, declared)| {
            let kind = match declared.as_str() {
                "INTEGER" | "bigint" => ColumnKind::Integer,
                "TEXT" | "text" => ColumnKind::Text,
                "BLOB" | "bytea" => ColumnKind::Blob,
                other => return Err(Failure::unreadable("type of a column", other)),
            };
            Ok(TableColumn { name, kind })
        })
        .collect()
}

/// The last numbers that tables gave by themselves: table and number.
pub(crate) async fn sequences(
    db: &mut Connection,
    tables: &[&str],
) -> Result<Vec<(String, i64)>, Failure> {
    if db.kind() == Kind::File {
        // Only made with the first table that counts.
        let counts: Option<i64> =
            sql::query_scalar("SELECT 1 FROM sqlite_schema WHERE name = 'sqlite_sequence'")
                .fetch_optional(&mut *db)
                .await?;
        if counts.is_none() {
            return Ok(Vec::new());
        }
    }
    let query = match db.kind() {
        Kind::File => "SELECT name, seq FROM sqlite_sequence ORDER BY name",
        Kind::Server => {
            "SELECT CAST(table_name AS TEXT), coalesce(pg_sequence_last_value(
                CAST(pg_get_serial_sequence(table_name, column_name) AS regclass)), 0)
             FROM information_schema.columns
             WHERE table_schema = current_schema() AND is_identity = 'YES' ORDER BY table_name"
        }
    };
    let found: Vec<(String, i64)> = sql::query_as(query).fetch_all(db).await?;
    Ok(found
        .into_iter()
        .filter(|(table, last)| *last > 0 && tables.contains(&table.as_str()))
        .collect())
}

/// Sees to it that tables give numbers behind these, and behind those of their rows.
pub(crate) async fn set_sequences(
    db: &mut Connection,
    last: &[(String, i64)],
) -> Result<(), Failure> {
    match db.kind() {
        // Numbers behind those of the rows are given anyway.
        Kind::File => {
            for (table, last) in last {
                let counts: Option<i64> = sql::query_scalar(
                    "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = $1
                     AND sql LIKE '%AUTOINCREMENT%'",
                )
                .bind(table)
                .fetch_optional(&mut *db)
                .await?;
                if counts.is_none() {
                    continue;
                }
                let done =
                    sql::query("UPDATE sqlite_sequence SET seq = max(seq, $2) WHERE name = $1")
                        .bind(table)
                        .bind(*last)
                        .execute(&mut *db)
                        .await?;
                if done.rows_affected() == 0 {
                    sql::query("INSERT INTO sqlite_sequence (name, seq) VALUES ($1, $2)")
                        .bind(table)
                        .bind(*last)
                        .execute(&mut *db)
                        .await?;
                }
            }
        }
        Kind::Server => {
            let own: Vec<(String, String)> = sql::query_as(
                "SELECT CAST(table_name AS TEXT), CAST(column_name AS TEXT)
                 FROM information_schema.columns
                 WHERE table_schema = current_schema() AND is_identity = 'YES'",
            )
            .fetch_all(&mut *db)
            .await?;
            for (table, column) in own {
                let highest: Option<i64> =
                    sql::query_scalar(AssertSqlSafe(format!("SELECT max({column}) FROM {table}")))
                        .fetch_one(&mut *db)
                        .await?;
                let told = last.iter().find(|(name, _)| *name == table);
                let highest = highest.max(told.map(|(_, last)| *last)).unwrap_or(0);
                if highest > 0 {
                    sql::query(
                        "SELECT setval(CAST(pg_get_serial_sequence($1, $2) AS regclass), $3)",
                    )
                    .bind(table)
                    .bind(column)
                    .bind(highest)
                    .fetch_all(&mut *db)
                    .await?;
                }
            }
        }
    }
    Ok(())
}

/// Whether none of these tables has a row.
pub(crate) async fn is_empty(db: &mut Connection, tables: &[&str]) -> Result<bool, Failure> {
    for table in tables {
        let row: Option<i64> =
            sql::query_scalar(AssertSqlSafe(format!("SELECT 1 FROM {table} LIMIT 1")))
                .fetch_optional(&mut *db)
                .await?;
        if row.is_some() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Drops these tables, the last one first: later ones refer to earlier ones.
pub(crate) async fn drop_all(db: &mut Connection, tables: &[&str]) -> Result<(), Failure> {
    for table in tables.iter().rev() {
        sql::run(db, AssertSqlSafe(format!("DROP TABLE {table}"))).await?;
    }
    Ok(())
}

/// Applies the migrations behind number `from` up to number `to`.
pub(crate) async fn migrate(
    db: &mut Connection,
    schema: &Schema,
    from: i64,
    to: i64,
) -> Result<(), Failure> {
    for migration in schema.between(from, to) {
        match db.kind() {
            Kind::File => sql::run(db, *migration).await?,
            Kind::Server => {
                sql::run(db, AssertSqlSafe(crate::schema::for_server(migration))).await?;
            }
        }
    }
    Ok(())
}

/// Adds rows to a table, in few queries.
pub(crate) async fn insert(
    db: &mut Connection,
    table: &str,
    columns: &[TableColumn],
    rows: Vec<Vec<Value>>,
) -> Result<(), Failure> {
    if rows.is_empty() {
        return Ok(());
    }
    let names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
    let mut number = 0_usize;
    let places: Vec<String> = rows
        .iter()
        .map(|row| {
            let places: Vec<String> = row
                .iter()
                .map(|_| {
                    number = number.saturating_add(1);
                    format!("${number}")
                })
                .collect();
            format!("({})", places.join(", "))
        })
        .collect();
    let text = format!(
        "INSERT INTO {table} ({}) VALUES {}",
        names.join(", "),
        places.join(", ")
    );
    let mut query = sql::query(AssertSqlSafe(text));
    for value in rows.into_iter().flatten() {
        query = query.bind(value);
    }
    query.execute(db).await?;
    Ok(())
}
