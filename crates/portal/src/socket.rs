//! The local socket of a portal connection: TCP, or TLS over it.
//!
//! Both are driven alike: wait until the socket is ready, then try. What is tried never waits, so a connection that waits
//! holds no buffer.

use std::io::{self, IoSlice};

use bytes::BufMut;
use tokio::io::{AsyncWriteExt, Interest};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};

use crate::tls::TlsSocket;

/// A connected local socket.
pub(crate) enum Socket {
    Tcp(TcpStream),
    Tls(Box<TlsSocket>),
}

impl Socket {
    /// Its two directions.
    pub(crate) fn split(&mut self) -> (Reading<'_>, Writing<'_>) {
        match self {
            Self::Tcp(socket) => {
                let (read, write) = socket.split();
                (Reading::Tcp(read), Writing::Tcp(write))
            }
            Self::Tls(socket) => (Reading::Tls(socket), Writing::Tls(socket)),
        }
    }

    /// Makes it send a reset when it is closed.
    pub(crate) fn reset_on_close(&self) {
        reset_on_close(match self {
            Self::Tcp(socket) => socket,
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
    Tcp(ReadHalf<'a>),
    Tls(&'a TlsSocket),
}

impl Reading<'_> {
    /// Waits until there may be something to read.
    pub(crate) async fn readable(&self) -> io::Result<()> {
        match self {
            Self::Tcp(socket) => socket.readable().await,
            Self::Tls(socket) => socket.readable().await,
        }
    }

    /// Reads what there is; 0 at the end, `WouldBlock` when there is nothing yet.
    pub(crate) fn try_read(&self, into: &mut impl BufMut) -> io::Result<usize> {
        match self {
            Self::Tcp(socket) => socket.try_read_buf(into),
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
    Tcp(WriteHalf<'a>),
    Tls(&'a TlsSocket),
}

impl Writing<'_> {
    /// Waits until the socket may take something.
    pub(crate) async fn writable(&self) -> io::Result<()> {
        match self {
            Self::Tcp(socket) => socket.writable().await,
            Self::Tls(socket) => socket.transport().writable().await,
        }
    }

    /// Writes what the socket takes.
    pub(crate) fn try_write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Tcp(socket) => socket.try_write_vectored(slices),
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
            Self::Tcp(socket) => socket.shutdown().await,
            Self::Tls(socket) => {
                socket.end();
                Ok(())
            }
        }
    }
}
