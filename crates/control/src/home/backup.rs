//! Backup files of vaults: written so that nothing is lost, read so that nothing strange gets in.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use ockam_store::{
    Backup, Effect, IfVaultExists, MAX_BACKUP_LEN, Passphrase, StoreError, VaultName,
};

use crate::home::{identities, import};
use crate::noun::import::Imported;
use crate::outcome::{Code, Failure};
use crate::state::{State, refused};

/// What becomes of a file that is there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum IfFileExists {
    /// It stays, and that is an error.
    Refuse,
    /// It is replaced at once, or stays.
    Replace,
}

/// Says early that a file is in the way.
///
/// # Errors
/// There is one, and it must not be replaced: it may not be, it is no file, or it is a database, of which a vault is one.
pub(crate) fn check(path: &Path, if_exists: IfFileExists) -> Result<(), Failure> {
    if path.symlink_metadata().is_err() {
        return Ok(());
    }
    if if_exists == IfFileExists::Refuse {
        return Err(taken(path));
    }
    // A link to nothing is in nobody's way. Only a file is opened: the other end of a pipe may never come.
    match path.metadata() {
        Ok(found) if !found.is_file() => Err(irreplaceable(path, "no file")),
        Ok(_) if is_database(path) => Err(irreplaceable(path, "a database, not a backup")),
        Ok(_) | Err(_) => Ok(()),
    }
}

fn is_database(path: &Path) -> bool {
    const MARK: &[u8] = b"SQLite format 3\0";
    let mut start = [0; MARK.len()];
    File::open(path)
        .and_then(|mut file| file.read_exact(&mut start))
        .is_ok_and(|()| start == MARK)
}

/// Writes a backup, readable by its owner only. It appears complete or not at all.
///
/// # Errors
/// There is a file that must not be replaced, or it cannot be written.
pub(crate) fn write(path: &Path, bytes: &[u8], if_exists: IfFileExists) -> Result<(), Failure> {
    check(path, if_exists)?;
    let failed = |error: io::Error| {
        if error.kind() == io::ErrorKind::AlreadyExists {
            taken(path)
        } else {
            Failure::internal(format!("{} cannot be written", path.display()), &error)
        }
    };
    let draft = match if_exists {
        IfFileExists::Refuse => path.to_path_buf(),
        IfFileExists::Replace => draft_of(path),
    };
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&draft)
        .map_err(failed)?;
    let written = file
        .write_all(bytes)
        .and_then(|()| file.sync_all())
        .and_then(|()| match if_exists {
            IfFileExists::Refuse => Ok(()),
            IfFileExists::Replace => fs::rename(&draft, path),
        });
    written.map_err(|error| {
        // Half a backup would look like one.
        let _ = fs::remove_file(&draft);
        failed(error)
    })
}

/// Reads a backup file.
///
/// # Errors
/// It cannot be read, or it is larger than any backup.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    let most = u64::try_from(MAX_BACKUP_LEN).unwrap_or(u64::MAX);
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(most.saturating_add(1)).read_to_end(&mut bytes))
        .map_err(|error| Failure::internal(format!("{} cannot be read", path.display()), &error))?;
    Ok(bytes)
}

/// Restores a backup, all or nothing. Also returns the vault if it was sealed where it came from and is not here.
///
/// # Errors
/// The bytes are no backup, the passphrase does not open it, or there is a vault of that name.
pub(crate) async fn restore(
    state: &State,
    bytes: &[u8],
    passphrase: Option<&Passphrase>,
    name: Option<VaultName>,
) -> Result<(Imported, Option<VaultName>), Failure> {
    let mut backup = Backup::read(bytes, passphrase).await.map_err(refused)?;
    let mut unsealed = None;
    for vault in &mut backup.takeover.vaults {
        if let Some(name) = &name {
            vault.name = name.clone();
        }
        if backup.was_sealed && vault.seal.is_none() {
            unsealed = Some(vault.name.clone());
        }
    }
    let report = state
        .store()
        .take_over(
            &backup.takeover,
            identities::now(),
            IfVaultExists::Refuse,
            &[],
            Effect::Store,
        )
        .await
        .map_err(|error| match error {
            StoreError::VaultExists(_) => {
                refused(error).help("give another name after the file; nothing was changed")
            }
            other => refused(other),
        })?;
    Ok((import::imported(report), unsealed))
}

fn taken(path: &Path) -> Failure {
    Failure::coded(
        Code::AlreadyExists,
        format!("{} exists already", path.display()),
    )
    .help("choose another path, or replace it with --force")
}

fn irreplaceable(path: &Path, what: &str) -> Failure {
    Failure::coded(
        Code::AlreadyExists,
        format!("{} is {what}, and is not replaced", path.display()),
    )
    .help("choose another path")
}

fn draft_of(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.new", std::process::id()));
    path.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_files_that_are_no_database_are_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        fs::create_dir(at("folder")).unwrap();
        fs::write(at("database"), b"SQLite format 3\0and pages").unwrap();
        fs::write(at("old"), b"a backup").unwrap();
        std::os::unix::fs::symlink("/dev/null", at("device")).unwrap();
        std::os::unix::fs::symlink(at("nothing"), at("dangling")).unwrap();

        for name in ["folder", "database", "device"] {
            let error = write(&at(name), b"new", IfFileExists::Replace).unwrap_err();
            assert!(
                error.message.ends_with("and is not replaced"),
                "{}",
                error.message
            );
        }
        assert!(at("folder").is_dir());
        assert!(at("database").metadata().unwrap().len() > 3);
        assert!(at("device").is_symlink());
        for name in ["old", "dangling", "fresh"] {
            write(&at(name), b"new", IfFileExists::Replace).unwrap();
            assert_eq!(fs::read(at(name)).unwrap(), b"new");
        }
        for name in ["old", "device", "folder"] {
            assert!(write(&at(name), b"newer", IfFileExists::Refuse).is_err());
        }
        assert_eq!(fs::read(at("old")).unwrap(), b"new");
    }
}
