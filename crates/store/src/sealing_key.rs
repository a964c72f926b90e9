//! The key that seals the secrets of a whole database: required on a server, whose files, backups and administrators are
//! others' than ours.
//!
//! **Invariants**: the key itself is never stored and never shown; a database says by a check value under which key its secrets
//! are, so a wrong key is told at the start and seals nothing.

use std::fmt;
use std::fs::OpenOptions;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ockam_vault::{Handle, SecretBytes};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::error::{Failure, StoreError};
use crate::seal;
use crate::secrets;
use crate::sql::{self, Connection};

/// 256 bits that seal the secrets of a database. Wiped when dropped, never printed.
#[derive(Clone)]
pub struct SealingKey(Arc<SecretBytes<32>>);

/// There is no such key.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SealingKeyError {
    /// The file cannot be read or made.
    #[error("the key of the database in {} cannot be used: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is not 64 hexadecimal digits.
    #[error(
        "the key of the database in {0} is not 64 hexadecimal digits: make one with `openssl rand -hex 32`"
    )]
    Form(String),
    /// The operating system gave no random bytes.
    #[error("the system gave no random bytes")]
    Random,
}

impl SealingKey {
    /// The key in these 64 hexadecimal digits; `source` says in errors where they come from.
    ///
    /// # Errors
    /// They are something else.
    pub fn from_hex(digits: &str, source: &str) -> Result<Self, SealingKeyError> {
        let digits = digits.trim();
        let mut bytes = Zeroizing::new([0; 32]);
        let wrong = || SealingKeyError::Form(source.to_owned());
        if digits.len() != 64 || !digits.is_ascii() {
            return Err(wrong());
        }
        for (byte, pair) in bytes.iter_mut().zip(digits.as_bytes().chunks_exact(2)) {
            let pair = core::str::from_utf8(pair).map_err(|_| wrong())?;
            let is_hex = pair.bytes().all(|digit| digit.is_ascii_hexdigit());
            *byte = u8::from_str_radix(pair, 16)
                .ok()
                .filter(|_| is_hex)
                .ok_or_else(wrong)?;
        }
        Ok(Self(Arc::new(SecretBytes::take(&mut bytes))))
    }

    /// The key in a file: 64 hexadecimal digits, white space around them.
    ///
    /// # Errors
    /// The file cannot be read, or holds something else.
    pub fn read(path: &Path) -> Result<Self, SealingKeyError> {
        let mut digits = Zeroizing::new(String::with_capacity(LONGEST));
        let file = OpenOptions::new().read(true).open(path);
        file.and_then(|file| {
            let limit = u64::try_from(LONGEST).unwrap_or_default();
            file.take(limit).read_to_string(&mut digits)
        })
        .map_err(|source| SealingKeyError::File {
            path: path.to_path_buf(),
            source,
        })?;
        Self::from_hex(&digits, &path.display().to_string())
    }

    /// The key that environment variables give, if they do: `OCKAM_DATABASE_KEY_FILE`, or `OCKAM_DATABASE_KEY`.
    ///
    /// # Errors
    /// As [`SealingKey::read`].
    pub fn from_variables(
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Option<Self>, SealingKeyError> {
        let set = |name| variable(name).filter(|value| !value.is_empty());
        if let Some(path) = set(KEY_FILE) {
            return Self::read(Path::new(&path)).map(Some);
        }
        set(KEY)
            .map(|digits| Self::from_hex(&Zeroizing::new(digits), KEY))
            .transpose()
    }

    /// Makes a key and the file, 0600, that holds it. A file that is there is never replaced.
    ///
    /// # Errors
    /// There is a file, or none can be made.
    pub fn create(path: &Path) -> Result<Self, SealingKeyError> {
        let mut bytes = Zeroizing::new([0; 32]);
        getrandom::fill(bytes.as_mut_slice()).map_err(|_| SealingKeyError::Random)?;
        let mut text = Zeroizing::new(String::with_capacity(LONGEST));
        for byte in bytes.iter() {
            for digit in [byte >> 4, byte & 0xf] {
                text.extend(char::from_digit(u32::from(digit), 16));
            }
        }
        text.push('\n');
        let write = || {
            let mut file = OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(path)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()
        };
        write().map_err(|source| SealingKeyError::File {
            path: path.to_path_buf(),
            source,
        })?;
        Ok(Self(Arc::new(SecretBytes::take(&mut bytes))))
    }

    pub(crate) fn bytes(&self) -> &SecretBytes<32> {
        &self.0
    }

    /// What a database keeps to recognize the key.
    pub(crate) fn check_value(&self) -> Result<Vec<u8>, StoreError> {
        let sealed = seal::seal_secret(&self.0, CHECK, &check_handle(), &SecretBytes::new(ZEROS))?;
        Ok(sealed.to_vec())
    }

    /// Whether a check value was made under this key.
    pub(crate) fn matches(&self, check: &[u8]) -> bool {
        seal::open_secret(&self.0, CHECK, &check_handle(), check).is_some()
    }
}

impl fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealingKey(..)")
    }
}

/// The check value that a database keeps, if its secrets are sealed.
pub(crate) async fn check_value(db: &mut Connection) -> Result<Option<Vec<u8>>, Failure> {
    Ok(
        sql::query_scalar("SELECT check_value FROM database_key WHERE id = 1")
            .fetch_optional(db)
            .await?,
    )
}

/// Sees to it that the secrets of this database are sealed under this key. Those that are there in clear are sealed.
pub(crate) async fn settle(db: &mut Connection, key: &SealingKey) -> Result<(), Failure> {
    if let Some(check) = check_value(db).await? {
        return if key.matches(&check) {
            Ok(())
        } else {
            Err(StoreError::WrongDatabaseKey.into())
        };
    }
    secrets::seal_all(db, key).await?;
    note(db, key).await
}

/// Notes that secrets are sealed under this key.
pub(crate) async fn note(db: &mut Connection, key: &SealingKey) -> Result<(), Failure> {
    sql::query("INSERT INTO database_key (id, check_value) VALUES (1, $1)")
        .bind(key.check_value()?)
        .execute(db)
        .await?;
    Ok(())
}

fn check_handle() -> Handle {
    Handle::new(Vec::new())
}

/// No kind of secret has this name.
const CHECK: &str = "database";
const ZEROS: [u8; 32] = [0; 32];
const KEY_FILE: &str = "OCKAM_DATABASE_KEY_FILE";
const KEY: &str = "OCKAM_DATABASE_KEY";
/// More than any white space that belongs there.
const LONGEST: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn a_key_is_64_digits_and_never_shown() {
        let digits = "0123456789abcdef".repeat(4);
        let key = SealingKey::from_hex(&format!(" {digits}\n"), "test").unwrap();
        assert_eq!(key.bytes().as_bytes()[..3], [0x01, 0x23, 0x45]);
        assert_eq!(format!("{key:?}"), "SealingKey(..)");
        for wrong in [
            "",
            "0123",
            &"g".repeat(64),
            &"+f".repeat(32),
            &"é".repeat(32),
        ] {
            let error = SealingKey::from_hex(wrong, "KEY").unwrap_err().to_string();
            assert!(error.contains("in KEY is not 64 hexadecimal"), "{error}");
        }
    }

    #[test]
    fn a_key_file_is_private_and_never_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key");
        let made = SealingKey::create(&path).unwrap();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let read = SealingKey::read(&path).unwrap();
        assert!(read.matches(&made.check_value().unwrap()));
        assert!(SealingKey::create(&path).is_err());
        let other = SealingKey::create(&directory.path().join("other")).unwrap();
        assert!(!other.matches(&made.check_value().unwrap()));
        let found = SealingKey::from_variables(|name| {
            (name == KEY_FILE).then(|| path.display().to_string())
        });
        assert!(found.unwrap().is_some());
        assert!(SealingKey::from_variables(|_| None).unwrap().is_none());
    }
}
