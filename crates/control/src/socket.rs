//! The control socket: a Unix socket that only the node's owner and root can use.
//!
//! # Invariants
//! The socket lies in a directory of mode 0700 (made by the store's `Home`), has mode 0600, and every accepted
//! connection is checked again: the kernel tells the peer's user, which must be the node's own or root.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::net::{UnixListener, UnixStream};

/// A bound control socket. The file goes away with it.
#[derive(Debug)]
pub(crate) struct ControlSocket {
    listener: UnixListener,
    path: PathBuf,
    owner: u32,
}

/// The control socket cannot be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum SocketError {
    /// Another process answers at the path.
    #[error("another process serves {}", .0.display())]
    InUse(PathBuf),
    /// The system refused.
    #[error("cannot open the control socket {}", path.display())]
    Io {
        /// The socket.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl ControlSocket {
    /// Binds the socket, taking the place of one that a dead process left.
    ///
    /// # Errors
    /// Another process serves the path, or the system refuses.
    pub(crate) async fn bind(path: &Path) -> Result<Self, SocketError> {
        let failed = |source| SocketError::Io {
            path: path.to_owned(),
            source,
        };
        if UnixStream::connect(path).await.is_ok() {
            return Err(SocketError::InUse(path.to_owned()));
        }
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
        let listener = UnixListener::bind(path).map_err(failed)?;
        fs::set_permissions(path, Permissions::from_mode(0o600)).map_err(failed)?;
        Ok(Self {
            listener,
            path: path.to_owned(),
            owner: rustix::process::geteuid().as_raw(),
        })
    }

    /// Whether a peer of this user may ask.
    pub(crate) fn permits(&self, peer: u32) -> bool {
        peer == self.owner || peer == ROOT
    }
}

impl Drop for ControlSocket {
    fn drop(&mut self) {
        // Nothing can be done about a failure here; the next start replaces the file.
        let _ = fs::remove_file(&self.path);
    }
}

impl axum::serve::Listener for ControlSocket {
    type Io = UnixStream;
    type Addr = PathBuf;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            match self.listener.accept().await {
                Ok((stream, _)) => match stream.peer_cred() {
                    Ok(peer) if self.permits(peer.uid()) => return (stream, self.path.clone()),
                    Ok(peer) => tracing::warn!(
                        user = peer.uid(),
                        "control connection refused: not the node's owner"
                    ),
                    Err(error) => {
                        tracing::warn!(%error, "control connection refused: the peer is unknown")
                    }
                },
                Err(error) => {
                    // Running out of descriptors must not become a busy loop.
                    tracing::warn!(%error, "cannot accept a control connection");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        Ok(self.path.clone())
    }
}

const ROOT: u32 = 0;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_socket_is_private_and_removed_at_the_end() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("s");
        let socket = ControlSocket::bind(&path).await.expect("it binds");
        assert_eq!(
            fs::metadata(&path)
                .expect("it is there")
                .permissions()
                .mode()
                & 0o777,
            0o600
        );
        assert!(matches!(
            ControlSocket::bind(&path).await,
            Err(SocketError::InUse(_))
        ));
        drop(socket);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn a_dead_process_leaves_no_obstacle() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("s");
        drop(UnixListener::bind(&path).expect("it binds"));
        assert!(path.exists());
        assert!(ControlSocket::bind(&path).await.is_ok());
    }

    #[tokio::test]
    async fn only_the_owner_and_root_are_permitted() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let mut socket = ControlSocket::bind(&directory.path().join("s"))
            .await
            .expect("it binds");
        socket.owner = 1000;
        assert!(socket.permits(1000));
        assert!(socket.permits(0));
        assert!(!socket.permits(1001));
    }
}
