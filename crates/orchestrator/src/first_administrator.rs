//! The code of the first administrator, handed over in a file that only the owner of the home can read.
//!
//! Whoever comes over loopback is nobody; who can read the file owns the process and its database anyway.
//!
//! **Invariants**: the file is 0600 from its first byte, in a directory of mode 0700, and appears complete or not at all. The code is
//! in no log. The file is there exactly while nobody administers the Orchestrator. Each process has a code of its own, so that one
//! that starts voids none of another; the first that is used ends all.

use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ockam_control::{Eventual, Failure};
use ockam_identity::OneTimeCode;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use zeroize::Zeroizing;

/// Who knows whether there is an administrator, and makes codes.
pub(crate) trait Administrators: std::fmt::Debug + Send + Sync + 'static {
    /// Whether anybody administers the Orchestrator.
    fn any(&self) -> Eventual<'_, Result<bool, Failure>>;
    /// A code that makes its holder the first administrator; it ends after this time, and the one it replaces now.
    fn new_code(
        &self,
        lifetime: Duration,
        instead_of: Option<OneTimeCode>,
    ) -> Eventual<'_, Result<OneTimeCode, Failure>>;
}

/// The file, kept as long as this lives.
#[derive(Debug)]
pub(crate) struct FirstAdministrator(JoinHandle<()>);

impl FirstAdministrator {
    /// Writes the file if nobody administers the Orchestrator, and takes it away as soon as somebody does.
    ///
    /// # Errors
    /// The database does not answer, or the file cannot be written.
    pub(crate) async fn keep(
        administrators: Arc<dyn Administrators>,
        path: PathBuf,
    ) -> Result<Self, Failure> {
        let mut due = renew(&*administrators, &path).await?;
        Ok(Self(tokio::spawn(async move {
            while let Some(at) = due {
                tokio::time::sleep(LOOK).await;
                let missed = match administrators.any().await {
                    Ok(true) => Some(remove(&path)),
                    Ok(false) if Instant::now() < at => None,
                    Ok(false) => match renew(&*administrators, &path).await {
                        Ok(next) => {
                            due = next;
                            None
                        }
                        Err(failure) => Some(Err(failure)),
                    },
                    // It is asked again.
                    Err(_) => None,
                };
                match missed {
                    None => {}
                    Some(Ok(())) => return,
                    Some(Err(failure)) => {
                        tracing::warn!("the code of the first administrator: {failure}")
                    }
                }
            }
        })))
    }
}

impl Drop for FirstAdministrator {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Writes a new code and tells when the next one is due; nothing when there is an administrator.
async fn renew(
    administrators: &dyn Administrators,
    path: &Path,
) -> Result<Option<Instant>, Failure> {
    if administrators.any().await? {
        remove(path)?;
        return Ok(None);
    }
    let code = administrators.new_code(LIFETIME, read(path)).await?;
    write(path, &Zeroizing::new(code.reveal())).map_err(|error| {
        Failure::internal(format!("{} cannot be written", path.display()), &error)
    })?;
    tracing::info!(path = %path.display(), "nobody administers the Orchestrator; a code is in this file");
    Ok(Some(Instant::now() + LIFETIME / 2))
}

/// The code of before, if there is one.
fn read(path: &Path) -> Option<OneTimeCode> {
    let text = Zeroizing::new(std::fs::read_to_string(path).ok()?);
    text.trim().parse().ok()
}

fn write(path: &Path, code: &str) -> io::Result<()> {
    let directory = path.parent().ok_or(ErrorKind::InvalidInput)?;
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)?;
    std::fs::set_permissions(directory, std::fs::Permissions::from_mode(0o700))?;
    let draft = path.with_extension(format!("{}.draft", std::process::id()));
    ignore_missing(std::fs::remove_file(&draft))?;
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&draft)?;
    let written = file
        .write_all(code.as_bytes())
        .and_then(|()| file.write_all(b"\n"))
        .and_then(|()| std::fs::rename(&draft, path));
    if written.is_err() {
        ignore_missing(std::fs::remove_file(&draft))?;
    }
    written
}

fn remove(path: &Path) -> Result<(), Failure> {
    ignore_missing(std::fs::remove_file(path))
        .map_err(|error| Failure::internal(format!("{} cannot be removed", path.display()), &error))
}

fn ignore_missing(done: io::Result<()>) -> io::Result<()> {
    match done {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// How often it is looked whether somebody used the code.
const LOOK: Duration = Duration::from_millis(500);
/// How long a code can be used; it is replaced when half of that has passed.
const LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

    #[derive(Debug, Default)]
    struct Known {
        any: AtomicBool,
        made: AtomicU8,
        replaced: AtomicU8,
    }

    impl Administrators for Known {
        fn any(&self) -> Eventual<'_, Result<bool, Failure>> {
            Box::pin(async { Ok(self.any.load(Ordering::SeqCst)) })
        }

        fn new_code(
            &self,
            _lifetime: Duration,
            instead_of: Option<OneTimeCode>,
        ) -> Eventual<'_, Result<OneTimeCode, Failure>> {
            Box::pin(async move {
                let replaced = u8::from(instead_of.is_some());
                self.replaced.fetch_add(replaced, Ordering::SeqCst);
                let number = self.made.fetch_add(1, Ordering::SeqCst);
                Ok(OneTimeCode::take(&mut [number; 32]))
            })
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_file_is_private_renewed_and_gone_when_somebody_administers() {
        let home = tempfile::tempdir().expect("a directory");
        let path = home.path().join("orchestrator/first-administrator");
        let known = Arc::new(Known::default());
        let kept = FirstAdministrator::keep(known.clone(), path.clone())
            .await
            .expect("it is written");
        let rights = |path: &Path| {
            std::fs::metadata(path)
                .expect("it is there")
                .permissions()
                .mode()
                & 0o777
        };
        assert_eq!(rights(&path), 0o600);
        assert_eq!(rights(path.parent().expect("a directory")), 0o700);
        let read = || std::fs::read_to_string(&path).expect("it is read");
        assert_eq!(read(), format!("{}\n", "00".repeat(32)));
        tokio::time::sleep(LIFETIME / 2 + LOOK * 2).await;
        assert_eq!(read(), format!("{}\n", "01".repeat(32)));
        assert_eq!(known.replaced.load(Ordering::SeqCst), 1);
        known.any.store(true, Ordering::SeqCst);
        tokio::time::sleep(LOOK * 2).await;
        assert!(!path.exists());
        drop(kept);
    }

    #[tokio::test]
    async fn a_file_that_is_left_over_goes_at_the_start() {
        let home = tempfile::tempdir().expect("a directory");
        let path = home.path().join("first-administrator");
        std::fs::write(&path, "old").expect("it is written");
        let known = Arc::new(Known::default());
        known.any.store(true, Ordering::SeqCst);
        let _kept = FirstAdministrator::keep(known.clone(), path.clone())
            .await
            .expect("it is removed");
        assert!(!path.exists());
        assert_eq!(known.made.load(Ordering::SeqCst), 0);
    }
}
