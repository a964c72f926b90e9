//! The local socket of a portal connection: TCP, or TLS over it.
//!
//! Both are driven alike: wait until the socket is ready, then try. What is tried never waits, so a connection that waits
//! holds no buffer.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::sync::Arc;

use bytes::BufMut;
use tokio::io::{AsyncWriteExt, Interest};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

use crate::tls::TlsSocket;

/// A connected local socket.
pub(crate) enum Socket {
    Tcp(Tcp),
    Tls(Box<TlsSocket>),
}

/// A socket whose writing side may be lent to the task that content comes in with.
pub(crate) struct Tcp {
    read: OwnedReadHalf,
    /// `None` only when it is dropped.
    write: Option<Arc<OwnedWriteHalf>>,
}

impl Drop for Tcp {
    fn drop(&mut self) {
        // Dropping it would say that nothing more comes, also of a connection that is to be reset.
        if let Some(write) = self.write.take().and_then(Arc::into_inner) {
            write.forget();
        }
    }
}

impl From<TcpStream> for Socket {
    fn from(socket: TcpStream) -> Self {
        let (read, write) = socket.into_split();
        Self::Tcp(Tcp {
            read,
            write: Some(Arc::new(write)),
        })
    }
}

impl Socket {
    /// Its two directions.
    pub(crate) fn split(&mut self) -> (Reading<'_>, Writing<'_>) {
        match self {
            Self::Tcp(socket) => (
                Reading::Tcp(&mut socket.read),
                Writing::Tcp(&mut socket.write),
            ),
            Self::Tls(socket) => (Reading::Tls(socket), Writing::Tls(socket)),
        }
    }

    /// Its writing side, if another task may write to it. It has to be given back before the socket is ended or dropped.
    pub(crate) fn lend(&self) -> Option<Arc<OwnedWriteHalf>> {
        match self {
            Self::Tcp(socket) => socket.write.clone(),
            Self::Tls(_) => None,
        }
    }

    /// Makes it send a reset when it is closed.
    pub(crate) fn reset_on_close(&self) {
        reset_on_close(match self {
            Self::Tcp(socket) => socket.read.as_ref(),
            Self::Tls(socket) => socket.transport(),
        });
    }
}

/// Makes a socket send a reset when it is closed.
pub(crate) fn reset_on_close(socket: &TcpStream) {
    if let Err(error) = socket.set_zero_linger() {
        tracing::debug!("the socket could not be reset: {error}");
    }
}

/// What comes from the local peer.
pub(crate) enum Reading<'a> {
    Tcp(&'a mut OwnedReadHalf),
    Tls(&'a TlsSocket),
}

impl Reading<'_> {
    /// Waits until there may be something to read.
    pub(crate) async fn readable(&self) -> io::Result<()> {
        match self {
            Self::Tcp(socket) => poll_fn(|context| socket.as_ref().poll_read_ready(context)).await,
            Self::Tls(socket) => socket.readable().await,
        }
    }

    /// Reads what there is; 0 at the end, `WouldBlock` when there is nothing yet.
    pub(crate) async fn read_now(&mut self, into: &mut impl BufMut) -> io::Result<usize> {
        match self {
            Self::Tcp(socket) => {
                let read = ockam_node::read_now(socket, into).await?;
                read.ok_or_else(|| io::ErrorKind::WouldBlock.into())
            }
            Self::Tls(socket) => socket.try_read(into),
        }
    }

    /// Waits until the socket has failed.
    pub(crate) async fn failed(&self) {
        let waited = match self {
            Self::Tcp(socket) => socket.ready(Interest::ERROR).await,
            Self::Tls(socket) => socket.transport().ready(Interest::ERROR).await,
        };
        // An error of the wait itself is one of the socket too.
        drop(waited);
    }
}

/// What goes to the local peer.
pub(crate) enum Writing<'a> {
    Tcp(&'a mut Option<Arc<OwnedWriteHalf>>),
    Tls(&'a TlsSocket),
}

impl Writing<'_> {
    /// Waits until the socket may take something.
    pub(crate) async fn writable(&self) -> io::Result<()> {
        match self {
            Self::Tcp(Some(socket)) => socket.writable().await,
            Self::Tcp(None) => Err(io::ErrorKind::NotConnected.into()),
            Self::Tls(socket) => socket.transport().writable().await,
        }
    }

    /// Writes what the socket takes.
    pub(crate) fn try_write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Tcp(Some(socket)) => socket.try_write_vectored(slices),
            Self::Tcp(None) => Err(io::ErrorKind::NotConnected.into()),
            Self::Tls(socket) => socket.try_write_vectored(slices),
        }
    }

    /// Hands on what was taken and is still held above the system's socket; `WouldBlock` while something is.
    pub(crate) fn try_flush(&self) -> io::Result<()> {
        match self {
            Self::Tcp(_) => Ok(()),
            Self::Tls(socket) => socket.try_flush(),
        }
    }

    /// Says that nothing more comes. It is said when a flush says that nothing is held any more.
    pub(crate) async fn end(&mut self) -> io::Result<()> {
        match self {
            Self::Tcp(socket) => match socket.as_mut().and_then(Arc::get_mut) {
                Some(socket) => socket.shutdown().await,
                None => Err(io::ErrorKind::NotConnected.into()),
            },
            Self::Tls(socket) => {
                socket.end();
                Ok(())
            }
        }
    }
}
