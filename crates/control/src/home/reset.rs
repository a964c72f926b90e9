//! Forgetting everything a home holds, readable or not.

use std::path::{Path, PathBuf};
use std::time::Duration;

use ockam_store::{Home, ProcessMark, StoreError};
use tokio::net::UnixStream;
use tokio::time::timeout;

use crate::home::nodes;
use crate::outcome::Failure;
use crate::state::{State, refused};

/// What a reset came across.
#[derive(Debug, Default)]
pub struct Reset {
    /// Vault files outside the home. They stay: another home may use them, and keys do not come back.
    pub kept_vaults: Vec<PathBuf>,
    /// Why the state could not be read, if so; its files are gone all the same.
    pub unreadable: Option<Failure>,
}

/// Stops all nodes and removes what this program keeps in the home (spec: command 3.5). A home that is not there is fine.
///
/// # Errors
/// The directory is not the user's, another process holds the state for long, a process does not end, or a file cannot be
/// removed.
pub async fn reset(path: &Path, runtime: Option<PathBuf>) -> Result<Reset, Failure> {
    if !path.exists() {
        return Ok(Reset::default());
    }
    let home = Home::open(path).map_err(|error| refused(StoreError::Home(error)))?;
    let mut done = Reset::default();
    if home.database().exists() {
        match forget(path, runtime).await {
            Ok(kept) => done.kept_vaults = kept,
            Err(Unready::Wait(failure)) => return Err(failure),
            Err(Unready::Unreadable(failure)) => done.unreadable = Some(failure),
        }
    }
    // Also nodes of which nothing is stored, or nothing readable.
    for socket in home
        .sockets()
        .map_err(|error| refused(StoreError::Home(error)))?
    {
        if let Some(process) = listener_of(&socket).await {
            nodes::end(process).await?;
        }
    }
    home.reset()
        .map_err(|error| refused(StoreError::Home(error)))?;
    Ok(done)
}

/// Why the state could not be gone through.
enum Unready {
    /// It is sound, but not to be had now.
    Wait(Failure),
    /// It is not to be read at all.
    Unreadable(Failure),
}

impl From<StoreError> for Unready {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Locked(_) | StoreError::ReadOnly(_) | StoreError::Foreign(_) => {
                Self::Wait(refused(error))
            }
            error => Self::Unreadable(refused(error)),
        }
    }
}

/// Deletes every node and the vault files with names of their own in the home. Returns the vault files elsewhere.
async fn forget(path: &Path, runtime: Option<PathBuf>) -> Result<Vec<PathBuf>, Unready> {
    let home = Home::open(path).map_err(StoreError::Home)?;
    let store = ockam_store::Store::open(&home).await?;
    let state = State::over(store, runtime);
    for node in state.store().nodes().await? {
        nodes::delete(&state, &node).await.map_err(Unready::Wait)?;
    }
    let mut elsewhere = Vec::new();
    for vault in state.store().vaults().await? {
        match vault.path {
            Some(file) if file.starts_with(home.path()) => match std::fs::remove_file(&file) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    let text = format!("{} cannot be removed", file.display());
                    return Err(Unready::Wait(Failure::internal(text, &error)));
                }
                _ => {}
            },
            Some(file) if file.exists() => elsewhere.push(file),
            _ => {}
        }
    }
    state.store().close().await;
    Ok(elsewhere)
}

/// The process that listens on a control socket, if there is one.
async fn listener_of(socket: &Path) -> Option<ProcessMark> {
    let stream = timeout(PATIENCE, UnixStream::connect(socket)).await.ok()?;
    let pid = stream.ok()?.peer_cred().ok()?.pid()?;
    let pid = u32::try_from(pid).ok()?;
    // Never this process.
    (pid != std::process::id())
        .then(|| ProcessMark::of(pid))
        .flatten()
}

/// A process that does not accept for so long is stopped by hand.
const PATIENCE: Duration = Duration::from_secs(1);
