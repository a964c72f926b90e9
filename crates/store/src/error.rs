//! What can go wrong with the state on disk, said so that the reader knows what to do.
//!
//! The database library's own error never leaves this crate: [`Failure`] carries it to the edge, where it is turned into
//! a [`StoreError`] that names the file.

use std::error::Error as StdError;
use std::path::{Path, PathBuf};

use ockam_identity::ImportError;
use sqlx::postgres::PgDatabaseError;
use thiserror::Error;

use crate::home::HomeError;

/// An operation on the store that did not happen. Nothing was changed.
///
/// Texts that scripts look for keep the wording of the published program (spec: command 3.3).
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The home directory or a file in it cannot be used.
    #[error(transparent)]
    Home(#[from] HomeError),

    /// The path cannot be handed to the database library.
    #[error("{} is not UTF-8 text: choose another path", .0.display())]
    Path(PathBuf),
    /// The disk is full.
    #[error("the disk that holds {} is full: free some space and try again", .0.display())]
    Full(PathBuf),
    /// The system did not let the database grow.
    #[error("{} cannot grow: free some space on its disk, or raise the limit on the size of files (`ulimit -f`)", .0.display())]
    CannotGrow(PathBuf),
    /// The database cannot be written.
    #[error("{} is read-only: make the file and its directory writable, or set OCKAM_HOME to another place", .0.display())]
    ReadOnly(PathBuf),
    /// The database is damaged, or is no database.
    #[error("{} is damaged ({detail}): put a backup in its place, or move it away to start anew", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What was found.
        detail: String,
    },
    /// The file is a database of another program.
    #[error("{} belongs to another program: move it away", .0.display())]
    Foreign(PathBuf),
    /// A newer version of this program has written the database.
    #[error("{} has schema {found}, this program knows up to {known}: use a newer version of ockam", path.display())]
    NewerSchema {
        /// The file.
        path: PathBuf,
        /// Number of its last migration.
        found: i64,
        /// Number of the last migration known here.
        known: i64,
    },
    /// Other processes kept the database busy for too long.
    #[error("{} is in use by other processes: try again, or end the one that holds it", .0.display())]
    Locked(PathBuf),
    /// There is no way to the database of a server.
    #[error("the database {} cannot be reached ({detail}): start the server, or correct the address", path.display())]
    Unreachable {
        /// The database, as its address without password.
        path: PathBuf,
        /// Why.
        detail: String,
    },
    /// The server does not let us in, or not do what is needed.
    #[error("the database {} refuses access ({detail}): correct user, password or rights", path.display())]
    NoAccess {
        /// The database.
        path: PathBuf,
        /// What the server said.
        detail: String,
    },
    /// The tables of another program are there.
    #[error("the database {} holds tables of another program: create one for ockam alone", .0.display())]
    ForeignTables(PathBuf),
    /// The connection was lost during the commit, and the server cannot be asked.
    #[error("the connection to the database {} was lost at a moment when it is not known whether the last change was made: look, and try again", .0.display())]
    Unconfirmed(PathBuf),
    /// Anything else the database library said.
    #[error("the database {} did not answer as expected", path.display())]
    Database {
        /// The file.
        path: PathBuf,
        /// What the library said.
        source: Box<dyn StdError + Send + Sync>,
    },

    /// There is no vault with this name.
    #[error("The vault {0} was not found")]
    NoVault(String),
    /// A vault has this name already.
    #[error("A vault named {0} already exists")]
    VaultExists(String),
    /// Another vault has this file already.
    #[error("the file {} is used by the vault {vault}", path.display())]
    VaultFileTaken {
        /// The file.
        path: PathBuf,
        /// The vault that uses it.
        vault: String,
    },
    /// The file of a vault is gone.
    #[error("the file of the vault {vault} is missing: put {} back, or delete the vault", path.display())]
    VaultFileMissing {
        /// The vault.
        vault: String,
        /// Where its file should be.
        path: PathBuf,
    },
    /// There is a file that is no vault.
    #[error("{} is not a vault: choose another path", .0.display())]
    NotAVault(PathBuf),
    /// Identities use the vault.
    #[error("the vault {vault} cannot be deleted. It is used by the following identities: {}", identities.join(", "))]
    VaultInUse {
        /// The vault.
        vault: String,
        /// Names of the identities.
        identities: Vec<String>,
    },
    /// Several vaults, and none was named.
    #[error("There are {0} vaults, please specify which vault should be used")]
    WhichVault(usize),
    /// The vault lives in the main database and has no file to move.
    #[error("The vault {vault} cannot be moved to {path:?} because this is the default vault")]
    VaultCannotMove {
        /// The vault.
        vault: String,
        /// Where it was to go.
        path: PathBuf,
    },
    /// The vault is sealed and no passphrase was given.
    #[error("the vault {0} is sealed: give its passphrase")]
    VaultSealed(String),
    /// A passphrase was given for a vault that has none.
    #[error("the vault {0} is not sealed: leave the passphrase out")]
    VaultNotSealed(String),
    /// The passphrase is wrong, or the file was tampered with.
    #[error("the passphrase does not open the vault {0}")]
    WrongPassphrase(String),
    /// An empty passphrase would protect nothing.
    #[error("the passphrase is empty: give one")]
    EmptyPassphrase,
    /// Deriving a key from a passphrase needs more memory than there is.
    #[error("there is not enough memory for the passphrase: 64 MiB are needed for a moment")]
    PassphraseMemory,
    /// A sealed secret does not open under the key of its vault.
    #[error("a secret in the vault {0} is damaged: put a backup of its file in place")]
    DamagedSecret(String),
    /// The secrets of the database are sealed, or have to be, and no key was given.
    #[error("the secrets in the database {} are sealed: give the key in OCKAM_DATABASE_KEY_FILE or OCKAM_DATABASE_KEY (64 hexadecimal digits)", .0.display())]
    NoDatabaseKey(PathBuf),
    /// The key is not the one that the secrets are sealed under.
    #[error(
        "the key does not open the secrets in this database: give the one that it was made with"
    )]
    WrongDatabaseKey,
    /// The operating system gave no random bytes.
    #[error("the system gave no random bytes")]
    Random,

    /// There is no project with this name.
    #[error("The project {0} was not found")]
    NoProject(String),
    /// There is no space with this name.
    #[error("The space {0} was not found")]
    NoSpace(String),
    /// A project of this id is known, and its credentials are issued by somebody else.
    #[error("the project {project} is known here with another authority")]
    OtherAuthority {
        /// Its name in this home.
        project: String,
    },

    /// The database has something in it.
    #[error("the database {} is not empty: nothing was restored", .0.display())]
    DatabaseNotEmpty(PathBuf),
    /// There is a file where the backup was to go.
    #[error("{} is there already: give the backup another name", .0.display())]
    BackupExists(PathBuf),
    /// The file is no backup of a database.
    #[error("{} is not a backup of a database that can be used: {detail}", path.display())]
    NotADatabaseBackup {
        /// The file.
        path: PathBuf,
        /// Why.
        detail: String,
    },

    /// A backup holds at most a mebibyte.
    #[error("the vault is too large for a backup: move identities to a second vault")]
    BackupTooLarge,
    /// The bytes are no backup of a vault, or were cut short or changed.
    #[error("this is not a backup of a vault, or it is damaged: {0}")]
    NotABackup(String),
    /// The passphrase is wrong, or the backup was tampered with.
    #[error("the passphrase does not open the backup, or the backup is damaged")]
    WrongBackupPassphrase,
    /// There is no state of the published program in this directory.
    #[error("there is no state of the published program at {}: {detail}", path.display())]
    NotPublished {
        /// The file.
        path: PathBuf,
        /// What is missing.
        detail: String,
    },
    /// Names like this one are all taken.
    #[error("no free name like {0} was found")]
    NoFreeName(String),

    /// There is no identity with this name.
    #[error("no identifier found with name {0}")]
    NoIdentity(String),
    /// The identity was rotated by another process meanwhile.
    #[error("the identity {0} was rotated meanwhile")]
    IdentityChanged(String),
    /// An identity with this identifier is stored under another name.
    #[error("the identity {identifier} is already stored with the name {name}")]
    IdentityExists {
        /// Identifier.
        identifier: String,
        /// The name it has.
        name: String,
    },
    /// Nodes use the identity.
    #[error("The identity named {identity} cannot be deleted because it is used by the node(s): {}", nodes.join(", "))]
    IdentityInUse {
        /// The identity.
        identity: String,
        /// Names of the nodes.
        nodes: Vec<String>,
    },
    /// The identity is the default already.
    #[error("The identity named '{0}' is already the default")]
    IdentityIsDefault(String),

    /// A change history is older than the known one or contradicts it.
    #[error(transparent)]
    Import(#[from] ImportError),

    /// There is no node with this name.
    #[error("There is no node with name {0}")]
    NoNode(String),
    /// The node runs already, in another process.
    #[error("Node {node} is already running (process {pid})")]
    NodeRunning {
        /// The node.
        node: String,
        /// Its process.
        pid: u32,
    },
    /// The node is the default already.
    #[error("The node '{0}' is already the default")]
    NodeIsDefault(String),
    /// The node never is the default one.
    #[error("the node '{0}' runs the Orchestrator of this machine and cannot be the default node")]
    NodeStandsApart(String),

    /// The node was asked for something of this name before.
    #[error("the node {node} already has a {noun} named {name}")]
    RequestExists {
        /// The node.
        node: String,
        /// Kind of thing.
        noun: String,
        /// Its name.
        name: String,
    },
}

impl StoreError {
    /// Whether the database is away, busy or full: nothing was done, and the same may well succeed later.
    #[must_use]
    pub const fn is_passing(&self) -> bool {
        matches!(
            self,
            Self::Full(_)
                | Self::CannotGrow(_)
                | Self::Locked(_)
                | Self::Unreachable { .. }
                | Self::Home(HomeError::Full(_))
        )
    }
}

/// Like [`StoreError`], before it is known which file is concerned.
pub(crate) enum Failure {
    Sql(sqlx::Error),
    Store(StoreError),
    /// A stored value does not read back.
    Value(String),
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        Self::Sql(error)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<HomeError> for Failure {
    fn from(error: HomeError) -> Self {
        Self::Store(StoreError::Home(error))
    }
}

impl Failure {
    /// A stored text that is no longer what it was when written.
    pub(crate) fn unreadable(what: &str, error: impl core::fmt::Display) -> Self {
        Self::Value(format!("{what}: {error}"))
    }

    pub(crate) fn at(self, path: &Path) -> StoreError {
        match self {
            Self::Store(error) => error,
            Self::Value(detail) => StoreError::Damaged {
                path: path.to_path_buf(),
                detail,
            },
            Self::Sql(error) => explain(path, error),
        }
    }

    pub(crate) fn is_foreign_key_violation(&self) -> bool {
        matches!(self, Self::Sql(error) if error.as_database_error().is_some_and(|e| e.is_foreign_key_violation()))
    }
}

fn explain(path: &Path, error: sqlx::Error) -> StoreError {
    let file = path.to_path_buf();
    let server = error
        .as_database_error()
        .and_then(|error| error.try_downcast_ref::<PgDatabaseError>());
    if let Some(said) = server {
        return explain_server(file, said.code(), said.message())
            .unwrap_or_else(|path| unexpected(path, error));
    }
    let code: Option<i32> = match &error {
        sqlx::Error::Database(inner) => inner.code().and_then(|code| code.parse().ok()),
        sqlx::Error::PoolTimedOut if is_server(path) => {
            let detail = "it does not answer".to_owned();
            return StoreError::Unreachable { path: file, detail };
        }
        sqlx::Error::PoolTimedOut => return StoreError::Locked(file),
        sqlx::Error::Io(_) | sqlx::Error::Tls(_) if is_server(path) => {
            let detail = error.to_string();
            return StoreError::Unreachable { path: file, detail };
        }
        sqlx::Error::Io(_) => None,
        sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => {
            return StoreError::Damaged {
                path: file,
                detail: error.to_string(),
            };
        }
        _ => None,
    };
    // The low byte is the primary result code.
    match code.map(|code| code & 0xff) {
        Some(SQLITE_BUSY | SQLITE_LOCKED) => StoreError::Locked(file),
        Some(SQLITE_FULL) => StoreError::Full(file),
        Some(SQLITE_READONLY | SQLITE_PERM) => StoreError::ReadOnly(file),
        Some(SQLITE_CORRUPT | SQLITE_NOTADB) => StoreError::Damaged {
            path: file,
            detail: error
                .as_database_error()
                .map(|e| e.message().to_owned())
                .unwrap_or_default(),
        },
        // The files beside the database could not be made or grown.
        Some(SQLITE_IOERR | SQLITE_CANTOPEN) if has_no_room(path) => StoreError::Full(file),
        Some(SQLITE_IOERR | SQLITE_CANTOPEN) if is_not_writable(path) => StoreError::ReadOnly(file),
        Some(SQLITE_IOERR) if code.is_some_and(|code| GROWING.contains(&code)) => {
            StoreError::CannotGrow(file)
        }
        _ => unexpected(file, error),
    }
}

fn unexpected(path: PathBuf, error: sqlx::Error) -> StoreError {
    let source = Box::new(error);
    StoreError::Database { path, source }
}

/// What a code of a PostgreSQL server means here; gives the path back if nothing in particular.
fn explain_server(path: PathBuf, code: &str, said: &str) -> Result<StoreError, PathBuf> {
    let detail = said.to_owned();
    Ok(match code {
        // Authorization, no such database, no right.
        "28000" | "28P01" | "3D000" | "42501" => StoreError::NoAccess { path, detail },
        // Too many connections; the server starts or ends.
        "53300" | "57P01" | "57P02" | "57P03" => StoreError::Unreachable { path, detail },
        "53100" => StoreError::Full(path),
        // A standby.
        "25006" => StoreError::ReadOnly(path),
        "55P03" => StoreError::Locked(path),
        _ if code.starts_with("08") => StoreError::Unreachable { path, detail },
        // The server found its own files damaged.
        _ if code.starts_with("XX") => StoreError::Damaged { path, detail },
        _ => return Err(path),
    })
}

/// Whether what errors name is a server: paths of files do not begin like this.
fn is_server(path: &Path) -> bool {
    path.to_str()
        .is_some_and(|text| text.starts_with("postgres://"))
}

fn has_no_room(path: &Path) -> bool {
    let directory = path.parent().unwrap_or(path);
    rustix::fs::statvfs(directory).is_ok_and(|found| found.f_bavail == 0)
}

fn is_not_writable(path: &Path) -> bool {
    use rustix::fs::{Access, access};
    let directory = path.parent().unwrap_or(path);
    access(directory, Access::WRITE_OK).is_err() || access(path, Access::WRITE_OK).is_err()
}

/// Writing, and growing the shared memory beside the database.
const GROWING: [i32; 2] = [SQLITE_IOERR | (3 << 8), SQLITE_IOERR | (19 << 8)];

const SQLITE_PERM: i32 = 3;
const SQLITE_BUSY: i32 = 5;
const SQLITE_LOCKED: i32 = 6;
const SQLITE_READONLY: i32 = 8;
const SQLITE_IOERR: i32 = 10;
const SQLITE_CORRUPT: i32 = 11;
const SQLITE_FULL: i32 = 13;
const SQLITE_CANTOPEN: i32 = 14;
const SQLITE_NOTADB: i32 = 26;
