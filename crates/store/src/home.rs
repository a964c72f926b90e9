//! The directory everything of one user lives in (`$OCKAM_HOME`).
//!
//! **Invariants**: the directory and every directory made here are 0700 and belong to the calling user (or the caller is
//! root); rights found to be wider are narrowed. The path comes from the caller, nothing here reads the environment.
//! The files of the published program (`database.sqlite3`) are never written.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::name::{NodeName, VaultName};
use crate::schema;

/// A checked home directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Home {
    root: PathBuf,
}

/// The home directory cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum HomeError {
    /// The path of the home is empty or relative, and the current directory is not known.
    #[error("`{}` is not a usable home directory: set OCKAM_HOME to an absolute path", .0.display())]
    Path(PathBuf),
    /// There is something else at this path.
    #[error("{} is not a directory: move it away or set OCKAM_HOME to another path", .0.display())]
    NotADirectory(PathBuf),
    /// The directory belongs to somebody else.
    #[error(
        "{} belongs to user {owner}, not to you (user {user}): set OCKAM_HOME to a directory of your own", path.display()
    )]
    Owner {
        /// The directory.
        path: PathBuf,
        /// User number of its owner.
        owner: u32,
        /// User number of the calling process.
        user: u32,
    },
    /// Others may enter the directory, and that could not be mended.
    #[error("{} may be read by others and could not be closed to them: run `chmod 700` on it", path.display())]
    Rights {
        /// The directory.
        path: PathBuf,
        /// Why the rights could not be changed.
        source: io::Error,
    },
    /// The disk is full.
    #[error("the disk that holds {} is full: free some space and try again", .0.display())]
    Full(PathBuf),
    /// The file system does not allow writing.
    #[error("{} is on a read-only file system: set OCKAM_HOME to a place that can be written", .0.display())]
    ReadOnly(PathBuf),
    /// A socket path below every usable directory is longer than the system allows.
    #[error("{} is too long for a socket: set OCKAM_HOME or XDG_RUNTIME_DIR to a shorter path", .0.display())]
    SocketPath(PathBuf),
    /// Anything else the system said.
    #[error("cannot use {}", path.display())]
    Io {
        /// File or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl HomeError {
    pub(crate) fn io(path: &Path, source: io::Error) -> Self {
        let path = path.to_path_buf();
        match source.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Self::Full(path),
            ErrorKind::ReadOnlyFilesystem => Self::ReadOnly(path),
            ErrorKind::NotADirectory => Self::NotADirectory(path),
            _ => Self::Io { path, source },
        }
    }
}

impl Home {
    /// Opens the home at this path, making the directory when it is missing. A relative path is taken from the current
    /// directory, once.
    ///
    /// # Errors
    /// The directory cannot be made, belongs to somebody else, or stays open to others.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, HomeError> {
        let path = path.as_ref();
        let root = std::path::absolute(path).map_err(|_| HomeError::Path(path.to_path_buf()))?;
        private_directory(&root)?;
        Ok(Self { root })
    }

    /// The directory itself, absolute.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.root
    }

    /// The database. Made by [`Store::open`](crate::Store::open).
    #[must_use]
    pub fn database(&self) -> PathBuf {
        self.root.join(DATABASE)
    }

    /// The database of the Orchestrator of this home, unless it has another one.
    #[must_use]
    pub fn orchestrator_database(&self) -> PathBuf {
        self.root.join(ORCHESTRATOR_DATABASE)
    }

    /// What the Orchestrator of this home hands over in files. May not exist yet.
    #[must_use]
    pub fn orchestrator_directory(&self) -> PathBuf {
        self.root.join("orchestrator")
    }

    /// The file with the code of the first administrator, while there is none.
    #[must_use]
    pub fn first_administrator(&self) -> PathBuf {
        self.orchestrator_directory().join(FIRST_ADMINISTRATOR)
    }

    /// Makes that directory.
    ///
    /// # Errors
    /// The directory cannot be made.
    pub fn create_orchestrator_directory(&self) -> Result<PathBuf, HomeError> {
        let path = self.orchestrator_directory();
        private_directory(&path)?;
        Ok(path)
    }

    /// The database of the published program, whether or not it is there; it is only ever copied and looked at.
    #[must_use]
    pub fn published_database(&self) -> PathBuf {
        self.root.join("database.sqlite3")
    }

    /// Where a further vault keeps its secrets when no path was given.
    #[must_use]
    pub fn vault_file(&self, name: &VaultName) -> PathBuf {
        self.root.join(format!("vault-{name}"))
    }

    /// Where a new vault without a path keeps its secrets: `vault-<name>`, unless another program has a file of that name.
    /// A file of ours that is there already, left by a process that was killed, is adopted.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub(crate) fn free_vault_file(&self, name: &VaultName) -> Result<PathBuf, HomeError> {
        let usual = self.vault_file(name);
        let taken = |path: &Path| {
            fs::exists(path)
                .map(|exists| exists && !crate::file::has_mark(path, &schema::VAULT_FILE))
                .map_err(|error| HomeError::io(path, error))
        };
        if !self.is_published() || !taken(&usual)? {
            return Ok(usual);
        }
        // spec: command 3.5 (the published program names its vault files alike)
        Ok(self.root.join(format!("vault-{name}.ockam")))
    }

    /// Directory of one node, which holds its logs. May not exist yet.
    #[must_use]
    pub fn node_directory(&self, name: &NodeName) -> PathBuf {
        self.root.join("nodes").join(name.as_str())
    }

    /// Makes the directory of one node.
    ///
    /// # Errors
    /// The directory cannot be made.
    pub fn create_node_directory(&self, name: &NodeName) -> Result<PathBuf, HomeError> {
        private_directory(&self.root.join("nodes"))?;
        let path = self.node_directory(name);
        private_directory(&path)?;
        Ok(path)
    }

    /// Removes the directory of one node with its logs. A missing one is fine.
    ///
    /// # Errors
    /// Something in it cannot be removed.
    pub fn remove_node_directory(&self, name: &NodeName) -> Result<(), HomeError> {
        let path = self.node_directory(name);
        ignore_missing(fs::remove_dir_all(&path), &path)
    }

    /// The log files of a node, oldest first. Names carry the date, so they are in the order of their names.
    ///
    /// # Errors
    /// The directory of the node cannot be read.
    pub fn logs(&self, name: &NodeName) -> Result<Vec<PathBuf>, HomeError> {
        let directory = self.node_directory(name);
        let entries = match fs::read_dir(&directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(HomeError::io(&directory, error)),
        };
        let mut logs = Vec::new();
        for entry in entries {
            let entry = entry.map_err(|error| HomeError::io(&directory, error))?;
            let name = entry.file_name();
            if name.as_bytes().starts_with(b"stdout") && name.as_bytes().ends_with(b".log") {
                logs.push(directory.join(name));
            }
        }
        logs.sort();
        Ok(logs)
    }

    /// Directory for the logs of one command (`node create`). May not exist yet.
    #[must_use]
    pub fn command_directory(&self, command: &str) -> PathBuf {
        self.root.join("commands").join(command.replace('/', "_"))
    }

    /// Makes the directory for the logs of one command.
    ///
    /// # Errors
    /// The directory cannot be made.
    pub fn create_command_directory(&self, command: &str) -> Result<PathBuf, HomeError> {
        private_directory(&self.root.join("commands"))?;
        let path = self.command_directory(command);
        private_directory(&path)?;
        Ok(path)
    }

    /// Where the control socket of a node is: `run/<hash of the name>` below the home or, when that is too long for a
    /// socket, `ockam-<hash of home and name>` below the user's runtime directory (or, without one, below a directory of
    /// this user in `/tmp`). Makes the directory. Every process that is given the same two paths finds the same socket.
    ///
    /// # Errors
    /// No directory could be made, or all paths are too long.
    pub fn socket(&self, node: &NodeName, runtime: Option<&Path>) -> Result<PathBuf, HomeError> {
        let run = self.root.join("run");
        let socket = run.join(short_hash(&[node.as_str().as_bytes()]));
        if fits_a_socket(&socket) {
            private_directory(&run)?;
            return Ok(socket);
        }
        let directory = match runtime {
            Some(directory) => directory.join("ockam"),
            None => PathBuf::from(format!("/tmp/ockam-{}", user())),
        };
        let hash = short_hash(&[self.root.as_os_str().as_bytes(), node.as_str().as_bytes()]);
        let socket = directory.join(hash);
        if !fits_a_socket(&socket) {
            return Err(HomeError::SocketPath(socket));
        }
        // Anybody can make a name below /tmp, so a link or a borrowed directory will not do here.
        if fs::symlink_metadata(&directory).is_ok_and(|metadata| metadata.is_symlink()) {
            return Err(HomeError::NotADirectory(directory));
        }
        owned_directory(&directory, Ownership::Strict)?;
        Ok(socket)
    }
}

impl Home {
    /// Removes everything kept here: the database, the vault files in this directory, logs and sockets. What is not ours
    /// (`bin`, `env`, anything unknown) stays. Running it twice is fine.
    ///
    /// The files of the published program stay too. Where its database is, directories of logs may be its own, and a vault
    /// file is removed only if it carries our mark; directories of our own nodes are left to the caller, who knows them.
    ///
    /// Works on a damaged database too, so vault files elsewhere are left to the caller, who can ask the store for them
    /// before.
    ///
    /// # Errors
    /// Something cannot be removed.
    // spec: command 3.5
    pub fn reset(&self) -> Result<(), HomeError> {
        let names = self.names()?;
        let is_database = |name: &OsString| name.as_bytes().starts_with(DATABASE.as_bytes());
        if !names.iter().any(is_database) {
            // Not a home at all, or reset before: `nodes` or `run` here are somebody else's.
            return Ok(());
        }
        let shared = self.is_published();
        let directories: &[&str] = if shared { &[] } else { &["nodes", "commands"] };
        for directory in directories {
            let path = self.root.join(directory);
            ignore_missing(fs::remove_dir_all(&path), &path)?;
        }
        self.remove_run_directory()?;
        let code = self.first_administrator();
        ignore_missing(fs::remove_file(&code), &code)?;
        let handed_over = self.orchestrator_directory();
        match fs::remove_dir(&handed_over) {
            Err(error) if error.kind() == ErrorKind::DirectoryNotEmpty => {}
            done => ignore_missing(done, &handed_over)?,
        }
        for name in &names {
            let path = self.root.join(name);
            if name
                .as_bytes()
                .starts_with(ORCHESTRATOR_DATABASE.as_bytes())
            {
                ignore_missing(fs::remove_file(&path), &path)?;
            }
            if name.as_bytes().starts_with(b"vault-")
                && (!shared || crate::file::has_mark(&path, &schema::VAULT_FILE))
            {
                ignore_missing(fs::remove_file(&path), &path)?;
            }
        }
        // The last to go: while it is there, a reset that was cut short can be run again.
        for name in names.iter().filter(|name| is_database(name)) {
            let path = self.root.join(name);
            ignore_missing(fs::remove_file(&path), &path)?;
        }
        Ok(())
    }

    fn names(&self) -> Result<Vec<OsString>, HomeError> {
        fs::read_dir(&self.root)
            .and_then(|entries| entries.map(|entry| Ok(entry?.file_name())).collect())
            .map_err(|error| HomeError::io(&self.root, error))
    }

    /// Removes sockets and left-over copies; the directory goes if nothing else is in it.
    fn remove_run_directory(&self) -> Result<(), HomeError> {
        for path in self.sockets()? {
            let name = path.file_name().unwrap_or_default().as_bytes();
            if name.starts_with(b"import-") {
                ignore_missing(fs::remove_dir_all(&path), &path)?;
            } else if name.len() == 16 && name.iter().all(u8::is_ascii_hexdigit) {
                ignore_missing(fs::remove_file(&path), &path)?;
            }
        }
        let run = self.root.join("run");
        match fs::remove_dir(&run) {
            Err(error) if error.kind() == ErrorKind::DirectoryNotEmpty => Ok(()),
            done => ignore_missing(done, &run),
        }
    }

    /// Whether the published program has its state here.
    #[must_use]
    pub fn is_published(&self) -> bool {
        self.published_database().exists()
    }

    /// The control sockets in this home, of nodes that run and of nodes that were killed.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn sockets(&self) -> Result<Vec<PathBuf>, HomeError> {
        let run = self.root.join("run");
        match fs::read_dir(&run) {
            Ok(entries) => entries
                .map(|entry| entry.map(|entry| entry.path()))
                .collect::<io::Result<_>>()
                .map_err(|error| HomeError::io(&run, error)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(HomeError::io(&run, error)),
        }
    }
}

fn ignore_missing(done: io::Result<()>, path: &Path) -> Result<(), HomeError> {
    match done {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(HomeError::io(path, error)),
        _ => Ok(()),
    }
}

/// Who may own a directory that is used.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ownership {
    /// The calling user.
    Strict,
    /// The calling user; for root, anybody: containers mount volumes that belong to another user.
    RootBorrows,
}

/// Makes a directory 0700 (with its parents) or checks and narrows the one that is there.
pub(crate) fn private_directory(path: &Path) -> Result<(), HomeError> {
    owned_directory(path, Ownership::RootBorrows)
}

fn owned_directory(path: &Path, ownership: Ownership) -> Result<(), HomeError> {
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            // `recursive` also makes it fine when another process was faster.
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(path)
                .map_err(|error| HomeError::io(path, error))?;
            fs::metadata(path).map_err(|error| HomeError::io(path, error))?
        }
        Err(error) => return Err(HomeError::io(path, error)),
    };
    if !metadata.is_dir() {
        return Err(HomeError::NotADirectory(path.to_path_buf()));
    }
    let user = user();
    if metadata.uid() != user && (user != 0 || ownership == Ownership::Strict) {
        return Err(HomeError::Owner {
            path: path.to_path_buf(),
            owner: metadata.uid(),
            user,
        });
    }
    if metadata.mode() & 0o077 != 0 {
        let rights = |source| HomeError::Rights {
            path: path.to_path_buf(),
            source,
        };
        fs::set_permissions(path, Permissions::from_mode(0o700)).map_err(rights)?;
        // Some file systems (FAT, some network shares) accept the call and keep the old rights.
        let after = fs::metadata(path).map_err(|error| HomeError::io(path, error))?;
        if after.mode() & 0o077 != 0 {
            return Err(rights(io::Error::from(ErrorKind::Unsupported)));
        }
    }
    Ok(())
}

/// Narrows a file to 0600 if others may read it. By path: opening the file here would, on closing, drop the locks the
/// database library holds on it.
pub(crate) fn private_file(path: &Path) -> Result<(), HomeError> {
    let metadata = fs::metadata(path).map_err(|error| HomeError::io(path, error))?;
    if metadata.mode() & 0o077 != 0 {
        fs::set_permissions(path, Permissions::from_mode(0o600)).map_err(|source| {
            HomeError::Rights {
                path: path.to_path_buf(),
                source,
            }
        })?;
    }
    Ok(())
}

fn user() -> u32 {
    rustix::process::geteuid().as_raw()
}

fn fits_a_socket(path: &Path) -> bool {
    path.as_os_str().len() <= SOCKET_PATH_MAX
}

/// 16 hex digits (FNV-1a, 64 bit). Names of one user's own nodes: nobody gains by making two collide.
fn short_hash(parts: &[&[u8]]) -> String {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for part in parts {
        for &byte in part.iter().chain(&[0]) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    format!("{hash:016x}")
}

pub(crate) const DATABASE: &str = "ockam.sqlite3";
const ORCHESTRATOR_DATABASE: &str = "orchestrator.sqlite3";
/// Below the directory of the Orchestrator.
const FIRST_ADMINISTRATOR: &str = "first-administrator";

/// Linux allows 107 bytes and a zero, other systems 103.
const SOCKET_PATH_MAX: usize = 103;

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o777
    }

    #[test]
    fn guard_11_2_19_a_new_home_is_closed_to_others() {
        let base = tempfile::tempdir().unwrap();
        let home = Home::open(base.path().join("a/b")).unwrap();
        assert_eq!(mode(home.path()), 0o700);
        let node: NodeName = "n1".parse().unwrap();
        assert_eq!(mode(&home.create_node_directory(&node).unwrap()), 0o700);
        assert_eq!(mode(&home.path().join("nodes")), 0o700);
        home.remove_node_directory(&node).unwrap();
        home.remove_node_directory(&node).unwrap();
    }

    #[test]
    fn an_open_home_is_closed() {
        let base = tempfile::tempdir().unwrap();
        let path = base.path().join("home");
        fs::create_dir(&path).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
        Home::open(&path).unwrap();
        assert_eq!(mode(&path), 0o700);
    }

    #[test]
    fn a_file_is_no_home() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert!(matches!(
            Home::open(file.path()),
            Err(HomeError::NotADirectory(_))
        ));
        assert!(matches!(
            Home::open(file.path().join("x")),
            Err(HomeError::NotADirectory(_))
        ));
    }

    #[test]
    fn the_socket_of_a_deep_home_moves_to_the_runtime_directory() {
        let base = tempfile::tempdir().unwrap();
        let node: NodeName = "n1".parse().unwrap();
        let near = Home::open(base.path().join("h")).unwrap();
        assert!(
            near.socket(&node, None)
                .unwrap()
                .starts_with(near.path().join("run"))
        );

        let deep = Home::open(base.path().join("d".repeat(200))).unwrap();
        let runtime = base.path().join("r");
        let socket = deep.socket(&node, Some(&runtime)).unwrap();
        assert!(socket.starts_with(&runtime));
        assert!(fits_a_socket(&socket));
        assert_eq!(socket, deep.socket(&node, Some(&runtime)).unwrap());
        let other = Home::open(base.path().join("e".repeat(200))).unwrap();
        assert_ne!(socket, other.socket(&node, Some(&runtime)).unwrap());
        let error = deep.socket(&node, Some(deep.path())).unwrap_err();
        assert!(matches!(error, HomeError::SocketPath(_)));
    }

    #[test]
    fn logs_are_in_the_order_of_their_dates() {
        let base = tempfile::tempdir().unwrap();
        let home = Home::open(base.path()).unwrap();
        let node: NodeName = "n1".parse().unwrap();
        assert!(home.logs(&node).unwrap().is_empty());
        let directory = home.create_node_directory(&node).unwrap();
        for day in ["2026-01-31", "2026-02-01", "2025-12-31"] {
            fs::write(directory.join(format!("stdout.{day}.log")), "").unwrap();
        }
        let logs = home.logs(&node).unwrap();
        assert!(logs.is_sorted());
        assert!(logs.last().unwrap().ends_with("stdout.2026-02-01.log"));
    }

    fn left(home: &Home) -> Vec<String> {
        let mut left: Vec<_> = fs::read_dir(home.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        left.sort();
        left
    }

    #[test]
    fn a_reset_keeps_what_is_not_ours() {
        let base = tempfile::tempdir().unwrap();
        let home = Home::open(base.path()).unwrap();
        let node: NodeName = "n1".parse().unwrap();
        home.create_node_directory(&node).unwrap();
        home.create_command_directory("node create").unwrap();
        let ours = ["ockam.sqlite3", "ockam.sqlite3-wal", "vault-second"];
        let others = ["application_database.sqlite3", "env"];
        for file in ours.iter().chain(&others) {
            fs::write(home.path().join(file), "").unwrap();
        }
        for _ in 0..2 {
            home.reset().unwrap();
            assert_eq!(left(&home), others);
        }
    }

    #[test]
    fn a_directory_that_is_no_home_is_not_reset() {
        let base = tempfile::tempdir().unwrap();
        let home = Home::open(base.path()).unwrap();
        for directory in ["nodes", "run", "commands"] {
            fs::create_dir(home.path().join(directory)).unwrap();
        }
        fs::write(home.path().join("run/lock"), "").unwrap();
        fs::write(home.path().join("vault-of-somebody"), "").unwrap();
        home.reset().unwrap();
        assert_eq!(
            left(&home),
            ["commands", "nodes", "run", "vault-of-somebody"]
        );
        fs::write(home.database(), "").unwrap();
        home.reset().unwrap();
        assert_eq!(left(&home), ["run"]);
        assert!(home.path().join("run/lock").exists());
    }

    #[tokio::test]
    async fn a_reset_keeps_the_files_of_the_published_program() {
        let base = tempfile::tempdir().unwrap();
        let home = Home::open(base.path()).unwrap();
        let store = crate::store::Store::open(&home).await.unwrap();
        store.vault_or_only(None).await.unwrap();
        let ours = "ours".parse().unwrap();
        store.create_vault(&ours, None, None).await.unwrap();
        store.close().await;
        let theirs = home.path().join("vault-theirs");
        let others = ["database.sqlite3", "nodes", "vault-theirs"];
        fs::write(home.published_database(), "").unwrap();
        fs::write(&theirs, "SQLite format 3\0").unwrap();
        home.create_node_directory(&"n1".parse().unwrap()).unwrap();
        home.reset().unwrap();
        assert_eq!(left(&home), others);
    }
}
