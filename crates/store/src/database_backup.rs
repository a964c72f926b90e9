//! Copying a whole database into one file while others work on it, and filling a database from such a file: one of the same
//! kind or of the other.
//!
//! **Invariants**: a copy is of one moment; a file appears complete, 0600, or not at all, and never in place of another; a
//! database is filled in one transaction, wholly or not; what is there is replaced only when that was asked for; secrets that are
//! sealed stay sealed, and no secret reaches a server in clear.

use std::fs::{self, File, OpenOptions};
use std::path::{Path, PathBuf};

use ockam_vault::{Handle, SecretBytes};
use sqlx::AssertSqlSafe;
use zeroize::Zeroizing;

use crate::address::{DatabaseAddress, Place};
use crate::archive::{self, ArchiveError, Entry, Reader, TableColumn};
use crate::catalogue;
use crate::error::{Failure, StoreError};
use crate::file::{self, Draft};
use crate::home::HomeError;
use crate::schema;
use crate::seal;
use crate::sealing_key::{self, SealingKey};
use crate::server;
use crate::sql::{self, Connection, Row, Value};

/// What a backup holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatabaseBackup {
    /// The tables and how many rows each has.
    pub tables: Vec<(String, u64)>,
    /// Whether the secrets in it are sealed; else the file itself is a secret.
    pub is_sealed: bool,
    /// Files of further vaults of this home, which are not in the backup.
    pub vault_files: Vec<String>,
    /// The length of the file.
    pub bytes: u64,
}

impl DatabaseBackup {
    /// How many rows there are.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.tables.iter().map(|(_, rows)| rows).sum()
    }
}

/// What becomes of a database that is not empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IfNotEmpty {
    /// It is an error.
    Refuse,
    /// What is in it is forgotten. Nobody may be working with it.
    Replace,
}

/// Copies a database into a file, while others go on using it. Its secrets stay as they are stored, so no key is needed.
///
/// # Errors
/// There is no database, or a file is there already, or it cannot be written.
pub async fn backup_database(
    address: &DatabaseAddress,
    to: &Path,
) -> Result<DatabaseBackup, StoreError> {
    if fs::symlink_metadata(to).is_ok() {
        return Err(StoreError::BackupExists(to.to_path_buf()));
    }
    let (mut db, number) = match address.place() {
        Place::File(path) => file::snapshot(path, &schema::HOME).await?,
        Place::Server(options) => server::snapshot(address, options, &schema::HOME).await?,
    };
    let draft = Draft::new(to)?;
    let label = address.label();
    let written = write(&mut db, number, &draft, to).await;
    let mut report = written.map_err(|failure| failure.at(&label))?;
    // Nothing was written that could fail to be.
    let _ = db.close().await;
    report.bytes = fs::metadata(draft.path())
        .map_err(|error| HomeError::io(to, error))?
        .len();
    draft.publish_new(to)?;
    Ok(report)
}

async fn write(
    db: &mut Connection,
    number: i64,
    draft: &Draft,
    to: &Path,
) -> Result<DatabaseBackup, Failure> {
    let failed = |error: ArchiveError| unwritable(to, error);
    let file = OpenOptions::new()
        .write(true)
        .open(draft.path())
        .map_err(|error| failed(error.into()))?;
    let mut writer = archive::into_file(file, number).map_err(failed)?;
    let mut report = DatabaseBackup {
        tables: Vec::new(),
        is_sealed: false,
        vault_files: Vec::new(),
        bytes: 0,
    };
    let tables = schema::HOME.tables(number);
    for table in &tables {
        let columns = catalogue::columns(db, table).await?;
        writer.table(table, &columns).map_err(failed)?;
        let mut rows: u64 = 0;
        let query = sql::query(AssertSqlSafe(format!("SELECT * FROM {table}")));
        query
            .for_each(db, |row| {
                let values = values(&row, &columns)?;
                if let ("vault", Some(path)) = (*table, text_of(&columns, &values, "path")) {
                    report.vault_files.push(path.to_owned());
                }
                rows = rows.saturating_add(1);
                writer.row(&values).map_err(failed)
            })
            .await?;
        report.is_sealed |= *table == KEY_TABLE && rows > 0;
        report.tables.push(((*table).to_owned(), rows));
    }
    for (table, last) in catalogue::sequences(db, &tables).await? {
        writer.sequence(&table, last).map_err(failed)?;
    }
    let file = writer.finish().map_err(failed)?;
    let file: File = file
        .into_inner()
        .map_err(|error| failed(error.into_error().into()))?;
    file.sync_all().map_err(|error| failed(error.into()))?;
    Ok(report)
}

/// Fills a database from a backup; of a file, the file is made. The key is the one that the secrets in the backup are sealed
/// under, or, if they are not, the one to seal them under: a server needs one.
///
/// # Errors
/// The file is no backup, or was cut short or altered, or is of a newer version; [`StoreError::DatabaseNotEmpty`];
/// [`StoreError::NoDatabaseKey`]; [`StoreError::WrongDatabaseKey`].
pub async fn restore_database(
    from: &Path,
    address: &DatabaseAddress,
    key: Option<&SealingKey>,
    if_not_empty: IfNotEmpty,
) -> Result<DatabaseBackup, StoreError> {
    if address.is_server() && key.is_none() {
        return Err(StoreError::NoDatabaseKey(address.label()));
    }
    let (found, known) = look(from, address, key)?;
    let refill = async |db: &mut Connection, before: i64| {
        if before > 0 {
            let tables = schema::HOME.tables(before);
            if if_not_empty == IfNotEmpty::Refuse && !catalogue::is_empty(db, &tables).await? {
                return Err(StoreError::DatabaseNotEmpty(address.label()).into());
            }
            catalogue::drop_all(db, &tables).await?;
        }
        catalogue::migrate(db, &schema::HOME, 0, known).await?;
        fill(db, from, key.filter(|_| !found.is_sealed)).await?;
        catalogue::migrate(db, &schema::HOME, known, schema::HOME.latest()).await?;
        if let Some(key) = key.filter(|_| !found.is_sealed) {
            sealing_key::note(db, key).await?;
        }
        Ok(())
    };
    match address.place() {
        Place::File(path) => file::refill(path, &schema::HOME, refill).await?,
        Place::Server(options) => {
            server::refill(address, options, &schema::HOME, refill).await?;
        }
    }
    Ok(found)
}

/// Reads a whole backup without storing anything: what is in it, and the number of its last migration.
fn look(
    from: &Path,
    address: &DatabaseAddress,
    key: Option<&SealingKey>,
) -> Result<(DatabaseBackup, i64), StoreError> {
    let failed = |error| unreadable(from, error);
    let mut reader = archive::open(from).map_err(failed)?;
    let number = reader.schema;
    if number > schema::HOME.latest() {
        return Err(StoreError::NewerSchema {
            path: from.to_path_buf(),
            found: number,
            known: schema::HOME.latest(),
        });
    }
    let mut found = DatabaseBackup {
        tables: Vec::new(),
        is_sealed: false,
        vault_files: Vec::new(),
        bytes: fs::metadata(from)
            .map_err(|error| HomeError::io(from, error))?
            .len(),
    };
    let known = schema::HOME.tables(number);
    let mut columns: Vec<TableColumn> = Vec::new();
    while let Some(entry) = reader.next().map_err(failed)? {
        match entry {
            Entry::Table { name, columns: of } => {
                if !known.contains(&name.as_str()) {
                    return Err(failed(ArchiveError::Content));
                }
                columns = of;
                found.tables.push((name, 0));
            }
            Entry::Row(values) => {
                let Some((table, rows)) = found.tables.last_mut() else {
                    return Err(failed(ArchiveError::Content));
                };
                *rows = rows.saturating_add(1);
                if let ("vault", Some(path)) = (&**table, text_of(&columns, &values, "path")) {
                    found.vault_files.push(path.to_owned());
                }
                if table == KEY_TABLE {
                    found.is_sealed = true;
                    let check = blob_of(&columns, &values, "check_value").unwrap_or_default();
                    match key {
                        None => return Err(StoreError::NoDatabaseKey(address.label())),
                        Some(key) if !key.matches(check) => {
                            return Err(StoreError::WrongDatabaseKey);
                        }
                        Some(_) => {}
                    }
                }
            }
            Entry::Sequence { .. } => {}
        }
    }
    Ok((found, number))
}

/// Stores the rows of a backup, sealing secrets under the key if one is given.
async fn fill(db: &mut Connection, from: &Path, key: Option<&SealingKey>) -> Result<(), Failure> {
    let failed = |error| unreadable(from, error);
    let mut reader = archive::open(from).map_err(failed)?;
    let known = schema::HOME.tables(reader.schema);
    let mut table = String::new();
    let mut columns: Vec<TableColumn> = Vec::new();
    let mut rows: Vec<Vec<Value>> = Vec::new();
    let mut sequences = Vec::new();
    while let Some(entry) = next(&mut reader).map_err(failed)? {
        match entry {
            Entry::Table { name, columns: of } => {
                catalogue::insert(db, &table, &columns, core::mem::take(&mut rows)).await?;
                // Names become part of queries, so only those are taken that the database knows.
                let mut there = catalogue::columns(db, &name).await?;
                let mut given = of.clone();
                for list in [&mut there, &mut given] {
                    list.sort_by(|one, other| one.name.cmp(&other.name));
                }
                if !known.contains(&name.as_str()) || there != given {
                    return Err(failed(ArchiveError::Content).into());
                }
                table = name;
                columns = of;
            }
            Entry::Row(mut values) => {
                if let (SECRET_TABLE, Some(key)) = (table.as_str(), key) {
                    seal_row(&columns, &mut values, key)?;
                }
                rows.push(values);
                if rows.len() >= BATCH {
                    catalogue::insert(db, &table, &columns, core::mem::take(&mut rows)).await?;
                }
            }
            Entry::Sequence { table, last } => sequences.push((table, last)),
        }
    }
    catalogue::insert(db, &table, &columns, rows).await?;
    catalogue::set_sequences(db, &sequences).await
}

fn next(reader: &mut Reader<impl std::io::Read>) -> Result<Option<Entry>, ArchiveError> {
    reader.next()
}

/// Seals the secret in a row of the table of secrets.
fn seal_row(
    columns: &[TableColumn],
    values: &mut [Value],
    key: &SealingKey,
) -> Result<(), Failure> {
    let wrong = || Failure::unreadable("secret", "it is not what it should be");
    let kind = text_of(columns, values, "kind")
        .ok_or_else(wrong)?
        .to_owned();
    let handle = blob_of(columns, values, "handle")
        .ok_or_else(wrong)?
        .to_vec();
    let mut secret = Zeroizing::new([0; 32]);
    let stored = blob_of(columns, values, "secret").ok_or_else(wrong)?;
    secret.copy_from_slice(
        stored
            .first_chunk::<32>()
            .filter(|_| stored.len() == 32)
            .ok_or_else(wrong)?,
    );
    let sealed = seal::seal_secret(
        key.bytes(),
        &kind,
        &Handle::new(handle),
        &SecretBytes::take(&mut secret),
    )?;
    let place = columns.iter().position(|column| column.name == "secret");
    let value = place
        .and_then(|place| values.get_mut(place))
        .ok_or_else(wrong)?;
    *value = Value::from(sealed.to_vec());
    Ok(())
}

fn values(row: &Row, columns: &[TableColumn]) -> Result<Vec<Value>, Failure> {
    use crate::archive::ColumnKind;
    columns
        .iter()
        .map(|column| {
            let name = column.name.as_str();
            Ok(match column.kind {
                ColumnKind::Integer => Value::Integer(row.try_get(name)?),
                ColumnKind::Text => Value::Text(row.try_get(name)?),
                ColumnKind::Blob => Value::Blob(row.try_get(name)?),
            })
        })
        .collect()
}

fn text_of<'a>(columns: &[TableColumn], values: &'a [Value], name: &str) -> Option<&'a str> {
    let place = columns.iter().position(|column| column.name == name)?;
    match values.get(place)? {
        Value::Text(text) => text.as_deref(),
        _ => None,
    }
}

fn blob_of<'a>(columns: &[TableColumn], values: &'a [Value], name: &str) -> Option<&'a [u8]> {
    let place = columns.iter().position(|column| column.name == name)?;
    match values.get(place)? {
        Value::Blob(bytes) => bytes.as_deref(),
        _ => None,
    }
}

fn unwritable(path: &Path, error: ArchiveError) -> Failure {
    match error {
        ArchiveError::Io(error) => HomeError::io(path, error).into(),
        other => Failure::unreadable("database", other),
    }
}

fn unreadable(path: &Path, error: ArchiveError) -> StoreError {
    match error {
        ArchiveError::Io(error) => HomeError::io(path, error).into(),
        other => StoreError::NotADatabaseBackup {
            path: PathBuf::from(path),
            detail: other.to_string(),
        },
    }
}

const KEY_TABLE: &str = "database_key";
const SECRET_TABLE: &str = "secret";
/// Rows in one query; a query has at most 32 766 values.
const BATCH: usize = 64;
