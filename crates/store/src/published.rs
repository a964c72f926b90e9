//! Reading the state of the published program.
//!
//! Its database, and the files of its further vaults, are copied with their logs (`-wal`, `-journal`) into a directory of our
//! own, and only the copies are opened. So what was committed but not yet moved out of a log is seen, and nothing beside the
//! published files is made, locked or changed.
//!
//! **Invariants**: the published files are only ever read; every value is bounded before it is taken into memory and
//! verified before it is handed on: a history must have its identifier, a secret must belong to its handle. What does not
//! hold is left out and named.
//!
//! Specification: `docs/protocol/2-trust.md` 1.3 and 1.4.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use ockam_identity::{ChangeHistory, Identifier, PurposeKeyAttestation, VerifiedHistory};
use ockam_vault::{Handle, SecretBytes, SecretKind, SecretRecord, SigningKeyType, SoftwareVault};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions as _, Connection as _};
use zeroize::Zeroizing;

use crate::error::{Failure, StoreError};
use crate::home::{Home, HomeError, private_directory};
use crate::name::{IdentityName, NodeName, VaultName};
use crate::takeover::{TakenIdentity, TakenNode, TakenVault, Takeover};

/// What was found in a home of the published program.
#[derive(Debug, Default)]
pub struct Published {
    /// What can be taken over.
    pub takeover: Takeover,
    /// What cannot, and why.
    pub left_out: Vec<String>,
}

/// Reads the home of the published program in a directory. Copies are kept in `home` meanwhile.
///
/// # Errors
/// [`StoreError::NotPublished`] if there is none; [`StoreError::Damaged`]; [`StoreError::Locked`] if it changes all the time.
pub async fn read_published(directory: &Path, home: &Home) -> Result<Published, StoreError> {
    let database = directory.join("database.sqlite3");
    if !database.is_file() {
        return Err(StoreError::NotPublished {
            path: database,
            detail: "there is no such file".to_owned(),
        });
    }
    let scratch = Scratch::new(home)?;
    let mut reader = Reader {
        directory,
        scratch: &scratch,
        found: Published::default(),
    };
    reader.everything(&database).await?;
    Ok(reader.found)
}

struct Reader<'a> {
    directory: &'a Path,
    scratch: &'a Scratch,
    found: Published,
}

/// A named identity before it is known to which vault it goes.
struct Named {
    identity: TakenIdentity,
    vault: String,
}

impl Reader<'_> {
    async fn everything(&mut self, database: &Path) -> Result<(), StoreError> {
        let mut db = self.open(database).await?;
        for table in ["vault", "named_identity", "identity"] {
            let found = columns(&mut db, table).await.map_err(|e| e.at(database))?;
            if found.is_empty() {
                return Err(StoreError::NotPublished {
                    path: database.to_path_buf(),
                    detail: format!("it has no table `{table}`"),
                });
            }
        }
        let read: Result<(), Failure> = async {
            let named = self.identities(&mut db).await?;
            self.vaults(&mut db, named).await?;
            self.nodes(&mut db).await
        }
        .await;
        read.map_err(|failure| failure.at(database))?;
        db.close()
            .await
            .map_err(|error| Failure::from(error).at(database))
    }

    /// Opens a copy of a published file.
    async fn open(&self, file: &Path) -> Result<SqliteConnection, StoreError> {
        let copy = self.scratch.copy(file).await?;
        let open = async {
            let mut db = SqliteConnectOptions::new()
                .filename(&copy)
                .create_if_missing(false)
                // A file may come from anywhere: its schema gets to run nothing.
                .pragma("trusted_schema", "OFF")
                .pragma("cell_size_check", "ON")
                .disable_statement_logging()
                .connect()
                .await?;
            let check: String = sqlx::query_scalar("PRAGMA quick_check(1)")
                .fetch_one(&mut db)
                .await?;
            if check == "ok" {
                Ok(db)
            } else {
                Err(Failure::Value(check))
            }
        };
        open.await.map_err(|failure| failure.at(file))
    }

    /// Identities that have a name, the default one first; histories of the others are those of peers.
    async fn identities(&mut self, db: &mut SqliteConnection) -> Result<Vec<Named>, Failure> {
        let rows: Vec<(String, String)> = sqlx::query_as(
            "SELECT coalesce(CAST(substr(identifier, 1, 256) AS TEXT), ''),
                    coalesce(CAST(substr(change_history, 1, 262144) AS TEXT), '')
             FROM identity ORDER BY rowid LIMIT 10000",
        )
        .fetch_all(&mut *db)
        .await?;
        let mut histories = Vec::new();
        for (identifier, history) in rows {
            match verified(&identifier, &history) {
                Ok(history) => histories.push(history),
                Err(reason) => self.leave_out("identity", &identifier, &reason),
            }
        }
        let rows: Vec<(String, String, String)> = sqlx::query_as(
            "SELECT coalesce(CAST(substr(name, 1, 256) AS TEXT), ''),
                    coalesce(CAST(substr(identifier, 1, 256) AS TEXT), ''),
                    coalesce(CAST(substr(vault_name, 1, 256) AS TEXT), '')
             FROM named_identity ORDER BY CAST(is_default AS INTEGER) DESC, rowid LIMIT 10000",
        )
        .fetch_all(&mut *db)
        .await?;
        let mut named = Vec::new();
        for (name, identifier, vault) in rows {
            let identifier: Option<Identifier> = identifier.trim().parse().ok();
            let position = histories
                .iter()
                .position(|history| Some(history.identifier()) == identifier.as_ref());
            let Some(position) = position else {
                self.leave_out("identity", &name, "its change history is missing");
                continue;
            };
            let Some(usable) = usable::<IdentityName>(&name) else {
                self.leave_out("identity", &name, "its name cannot be used");
                continue;
            };
            let history = histories.remove(position);
            let attestations = attestations(db, history.identifier()).await?;
            // The first of them is the default.
            let default = &mut self.found.takeover.default_identity;
            default.get_or_insert(*history.identifier());
            named.push(Named {
                identity: TakenIdentity {
                    name: usable,
                    history,
                    attestations,
                },
                vault,
            });
        }
        self.found.takeover.histories = histories;
        Ok(named)
    }

    /// Vaults with their secrets and identities, the default one first.
    async fn vaults(
        &mut self,
        db: &mut SqliteConnection,
        mut named: Vec<Named>,
    ) -> Result<(), Failure> {
        let rows: Vec<(String, Option<String>, i64)> = sqlx::query_as(
            "SELECT coalesce(CAST(substr(name, 1, 256) AS TEXT), ''),
                    CAST(substr(path, 1, 4096) AS TEXT),
                    coalesce(CAST(is_kms AS INTEGER), 0)
             FROM vault ORDER BY path IS NOT NULL, CAST(is_default AS INTEGER) DESC, rowid LIMIT 1000",
        )
        .fetch_all(&mut *db)
        .await?;
        for (name, path, is_kms) in rows {
            if is_kms != 0 {
                let reason = "its signing keys are in AWS KMS, which is not supported";
                self.leave_out("vault", &name, reason);
                continue;
            }
            let Some(usable) = usable::<VaultName>(&name) else {
                self.leave_out("vault", &name, "its name cannot be used");
                continue;
            };
            let keys = match &path {
                None => self.secrets(db, &name).await,
                Some(path) => self.secrets_of_file(&name, Path::new(path)).await,
            };
            let keys = match keys {
                Ok(keys) => keys,
                // The other vaults are no worse for it.
                Err(failure) => {
                    let reason = failure.at(path.as_deref().unwrap_or_default().as_ref());
                    self.leave_out("vault", &name, &reason.to_string());
                    continue;
                }
            };
            let (its, others) = named.into_iter().partition(|named| named.vault == name);
            named = others;
            let its: Vec<Named> = its;
            self.found.takeover.vaults.push(TakenVault {
                name: usable,
                keys,
                identities: its.into_iter().map(|named| named.identity).collect(),
                seal: None,
            });
        }
        for named in named {
            let name = named.identity.name.to_string();
            let reason = format!("its vault {} is not taken over", shown(&named.vault));
            self.leave_out("identity", &name, &reason);
        }
        Ok(())
    }

    async fn secrets_of_file(
        &mut self,
        vault: &str,
        path: &Path,
    ) -> Result<SoftwareVault, Failure> {
        // A home that was moved still names the place where it was.
        let beside = path.file_name().map(|name| self.directory.join(name));
        let path = match beside {
            Some(beside) if !path.is_file() && beside.is_file() => beside,
            _ => path.to_path_buf(),
        };
        if !path.is_file() {
            return Err(StoreError::VaultFileMissing {
                vault: shown(vault),
                path,
            }
            .into());
        }
        let mut db = self.open(&path).await?;
        let keys = self.secrets(&mut db, vault).await?;
        db.close().await?;
        Ok(keys)
    }

    async fn secrets(
        &mut self,
        db: &mut SqliteConnection,
        vault: &str,
    ) -> Result<SoftwareVault, Failure> {
        let mut keys = SoftwareVault::new(ockam_vault::fast());
        let tables = [
            ("signing_secret", "secret_type", SIGNING),
            ("x25519_secret", "secret", X25519),
        ];
        for (table, column, query) in tables {
            if !columns(db, table).await?.iter().any(|name| name == column) {
                continue;
            }
            let rows: Vec<(Vec<u8>, String, Vec<u8>)> =
                sqlx::query_as(query).fetch_all(&mut *db).await?;
            for (handle, kind, secret) in rows {
                let secret = Zeroizing::new(secret);
                if let Err(reason) = take_secret(&mut keys, handle, &kind, &secret) {
                    self.leave_out("secret in the vault", vault, &reason);
                }
            }
        }
        Ok(keys)
    }

    /// Names of nodes: from the table of nodes, else from whatever mentions nodes. The specification does not say what
    /// columns that table has, so they are asked for.
    async fn nodes(&mut self, db: &mut SqliteConnection) -> Result<(), Failure> {
        let node = columns(db, "node").await?;
        let mut rows: Vec<(String, String)> = Vec::new();
        if node.iter().any(|column| column == "name") {
            let listener = node
                .iter()
                .find(|column| column.as_str() == "tcp_listener_address")
                .map_or("NULL", |_| "tcp_listener_address");
            let order = node
                .iter()
                .find(|column| column.as_str() == "is_default")
                .map_or("0", |_| "CAST(is_default AS INTEGER)");
            let query = format!(
                "SELECT coalesce(CAST(substr(name, 1, 256) AS TEXT), ''),
                        coalesce(CAST(substr({listener}, 1, 256) AS TEXT), '')
                 FROM node ORDER BY {order} DESC, rowid LIMIT 10000"
            );
            rows = sqlx::query_as(sqlx::AssertSqlSafe(query))
                .fetch_all(&mut *db)
                .await?;
        }
        if rows.is_empty() {
            for table in ["resource_type_policy", "resource_policy", "resource"] {
                if columns(db, table)
                    .await?
                    .iter()
                    .any(|name| name == "node_name")
                {
                    let query = format!(
                        "SELECT DISTINCT coalesce(CAST(substr(node_name, 1, 256) AS TEXT), ''), ''
                         FROM {table} ORDER BY 1 LIMIT 10000"
                    );
                    let more: Vec<(String, String)> = sqlx::query_as(sqlx::AssertSqlSafe(query))
                        .fetch_all(&mut *db)
                        .await?;
                    rows.extend(more);
                }
            }
        }
        if rows.is_empty() {
            rows.extend(
                directories(&self.directory.join("nodes")).map(|name| (name, String::new())),
            );
        }
        for (name, listener) in rows {
            let Ok(usable) = name.parse::<NodeName>() else {
                self.leave_out("node", &name, "its name cannot be used");
                continue;
            };
            let nodes = &mut self.found.takeover.nodes;
            if nodes.iter().all(|node| node.name != usable) {
                let listener = listener.parse::<std::net::SocketAddr>().ok();
                nodes.push(TakenNode {
                    name: usable,
                    listener: listener.map(|address| address.to_string()),
                });
            }
        }
        Ok(())
    }

    fn leave_out(&mut self, what: &str, name: &str, reason: &str) {
        let name = shown(name);
        self.found
            .left_out
            .push(format!("the {what} {name}: {reason}"));
    }
}

fn verified(identifier: &str, history: &str) -> Result<VerifiedHistory, String> {
    let identifier: Identifier = identifier
        .trim()
        .parse()
        .map_err(|_| "its identifier is not one".to_owned())?;
    ChangeHistory::from_hex(history)
        .map_err(|error| error.to_string())?
        .verify(ockam_vault::fast(), Some(&identifier))
        .map_err(|error| error.to_string())
}

async fn attestations(
    db: &mut SqliteConnection,
    identifier: &Identifier,
) -> Result<Vec<PurposeKeyAttestation>, Failure> {
    if columns(db, "purpose_key").await?.is_empty() {
        return Ok(Vec::new());
    }
    let rows: Vec<Vec<u8>> = sqlx::query_scalar(
        "SELECT coalesce(CAST(substr(purpose_key_attestation, 1, 8192) AS BLOB), x'')
         FROM purpose_key WHERE identifier = ?1 LIMIT 16",
    )
    .bind(identifier.to_string())
    .fetch_all(db)
    .await?;
    // One that cannot be read is made anew when it is needed.
    Ok(rows
        .iter()
        .filter_map(|bytes| PurposeKeyAttestation::decode(bytes).ok())
        .collect())
}

fn take_secret(
    keys: &mut SoftwareVault,
    handle: Vec<u8>,
    kind: &str,
    secret: &[u8],
) -> Result<(), String> {
    let kind = match kind {
        "X25519" => SecretKind::X25519,
        other => SigningKeyType::from_name(other)
            .map(SecretKind::Signing)
            .ok_or_else(|| format!("its kind {} is not known", shown(other)))?,
    };
    let mut bytes = Zeroizing::new([0; 32]);
    let stored: &[u8; 32] = secret
        .try_into()
        .map_err(|_| "it does not have 32 bytes".to_owned())?;
    bytes.copy_from_slice(stored);
    let record = SecretRecord {
        handle: Handle::new(handle),
        kind,
        secret: SecretBytes::take(&mut bytes),
    };
    keys.import(record).map_err(|error| error.to_string())
}

/// The columns of a table; none if there is no such table.
async fn columns(db: &mut SqliteConnection, table: &str) -> Result<Vec<String>, Failure> {
    Ok(sqlx::query_scalar(
        "SELECT name FROM pragma_table_info(?1)
         WHERE EXISTS (SELECT 1 FROM sqlite_schema WHERE name = ?1 AND type = 'table')",
    )
    .bind(table)
    .fetch_all(db)
    .await?)
}

/// The name, with what names here may not have replaced.
fn usable<N: std::str::FromStr>(name: &str) -> Option<N> {
    let replaced: String = name
        .chars()
        .map(|c| {
            if c.is_control() || c == '/' || c == '\\' {
                '-'
            } else {
                c
            }
        })
        .collect();
    replaced.parse().ok()
}

/// A text of a stranger as it may be shown: without control characters, and not long.
fn shown(text: &str) -> String {
    text.chars()
        .take(80)
        .map(|c| if c.is_control() { '?' } else { c })
        .collect()
}

fn directories(path: &Path) -> impl Iterator<Item = String> {
    let mut names: Vec<String> = fs::read_dir(path)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .filter_map(|entry| entry.file_name().into_string().ok())
        .take(10_000)
        .collect();
    names.sort();
    names.into_iter()
}

/// A directory of this process for copies. Removed when dropped; a reset removes one that was left.
struct Scratch(PathBuf);

impl Scratch {
    fn new(home: &Home) -> Result<Self, StoreError> {
        let mut random = [0; 8];
        getrandom::fill(&mut random).map_err(|_| StoreError::Random)?;
        let run = home.path().join("run");
        private_directory(&run)?;
        let path = run.join(format!("import-{:016x}", u64::from_ne_bytes(random)));
        private_directory(&path)?;
        Ok(Self(path))
    }

    /// Copies a database with its logs, as they were at one moment.
    async fn copy(&self, file: &Path) -> Result<PathBuf, StoreError> {
        let name = file.file_name().unwrap_or_default();
        let target = self.0.join(name);
        for _ in 0..ATTEMPTS {
            let before = marks(file)?;
            for suffix in LOGS {
                copy_file(&beside(file, suffix), &beside(&target, suffix))?;
            }
            if before == marks(file)? {
                return Ok(target);
            }
            // Somebody wrote meanwhile.
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Err(StoreError::Locked(file.to_path_buf()))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Has secrets in it: what cannot be removed stays closed to others.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// What changes when a file does.
type Mark = Option<(u64, u64, i64, i64)>;

fn marks(file: &Path) -> Result<[Mark; 3], StoreError> {
    let mut marks = [None; 3];
    for (mark, suffix) in marks.iter_mut().zip(LOGS) {
        let path = beside(file, suffix);
        *mark = match fs::metadata(&path) {
            Ok(found) => Some((found.ino(), found.len(), found.mtime(), found.mtime_nsec())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(HomeError::io(&path, error).into()),
        };
    }
    Ok(marks)
}

/// Copies a file that may be missing, at most [`LARGEST`] bytes of it.
fn copy_file(source: &Path, target: &Path) -> Result<(), StoreError> {
    let failed = |path: &Path, error| StoreError::Home(HomeError::io(path, error));
    let from = match File::open(source) {
        Ok(from) => from,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return match fs::remove_file(target) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(target, error)),
                _ => Ok(()),
            };
        }
        Err(error) => return Err(failed(source, error)),
    };
    let mut to = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(target)
        .map_err(|error| failed(target, error))?;
    let copied =
        io::copy(&mut from.take(LARGEST + 1), &mut to).map_err(|error| failed(target, error))?;
    if copied > LARGEST {
        return Err(StoreError::NotPublished {
            path: source.to_path_buf(),
            detail: "the file is larger than any that could be".to_owned(),
        });
    }
    Ok(())
}

fn beside(file: &Path, suffix: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// A database is one file, and while it is in use the log beside it.
const LOGS: [&str; 3] = ["", "-wal", "-journal"];
/// Names, keys and logs of inlets take a few megabytes.
const LARGEST: u64 = 512 * 1024 * 1024;
const ATTEMPTS: u32 = 20;

const SIGNING: &str = "
    SELECT coalesce(CAST(substr(handle, 1, 64) AS BLOB), x''),
           coalesce(CAST(substr(secret_type, 1, 64) AS TEXT), ''),
           coalesce(CAST(substr(secret, 1, 64) AS BLOB), x'')
    FROM signing_secret LIMIT 10000";
const X25519: &str = "
    SELECT coalesce(CAST(substr(handle, 1, 64) AS BLOB), x''), 'X25519',
           coalesce(CAST(substr(secret, 1, 64) AS BLOB), x'')
    FROM x25519_secret LIMIT 10000";
