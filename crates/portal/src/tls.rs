//! TLS from an outlet to its target (spec: messaging 7.7).
//!
//! [`Tls`] says whom to believe; a [`TlsSocket`] is a connection on which the target has proved its name. The protocol
//! itself is `rustls`, which knows no sockets: it is fed and drained here, without waiting.
//!
//! It does not do: certificates of our own, ALPN, TLS towards the clients of inlets.
//!
//! Invariants: nothing of a portal's content is written before the target's certificate was verified for the host of the
//! outlet; an end that anybody on the way could have made is never taken for the target's own.

use std::fmt;
use std::io::{self, BufRead, IoSlice, Read, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::{Buf, BufMut, BytesMut};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{CertificateError, ClientConfig, ClientConnection, RootCertStore};
use tokio::io::Interest;
use tokio::net::TcpStream;

/// TLS with targets whose certificates lead to a trusted root.
#[derive(Clone)]
pub struct Tls {
    roots: Roots,
    // Held for a look; whoever finds it stale loads anew outside of it.
    loaded: Arc<Mutex<Option<Loaded>>>,
}

impl Tls {
    /// The roots are those that this machine trusts: the system's, or those in `SSL_CERT_FILE` and `SSL_CERT_DIR` when
    /// the environment of this process has one of them. They are looked at again from time to time.
    pub fn with_roots_of_machine() -> Self {
        Self::new(Roots::Machine)
    }

    /// The roots are these certificates, in DER.
    pub fn with_roots(roots: impl IntoIterator<Item = Vec<u8>>) -> Self {
        let roots = roots.into_iter().map(CertificateDer::from).collect();
        Self::new(Roots::Given(roots))
    }

    fn new(roots: Roots) -> Self {
        Self {
            roots,
            loaded: Arc::default(),
        }
    }

    /// Whether there are roots at all.
    ///
    /// # Errors
    /// There is none.
    pub async fn check(&self) -> Result<(), NoRoots> {
        self.config().await.map(drop)
    }

    /// Makes a connection on which the target has proved that it is `host`.
    pub(crate) async fn connect(
        &self,
        socket: TcpStream,
        host: &str,
    ) -> Result<TlsSocket, TlsError> {
        let name = ServerName::try_from(host.to_owned()).map_err(|_| TlsError::Name)?;
        let config = self.config().await?;
        let connection = ClientConnection::new(config, name).map_err(TlsError::Refused)?;
        TlsSocket::handshake(socket, connection).await
    }

    async fn config(&self) -> Result<Arc<ClientConfig>, NoRoots> {
        let present = self.loaded().as_ref().and_then(Loaded::fresh);
        if let Some(config) = present {
            return Ok(config);
        }
        let roots = self.roots.clone();
        // Roots are files: many of them on some systems.
        let config = tokio::task::spawn_blocking(move || roots.config())
            .await
            .map_err(|error| NoRoots(error.to_string()))??;
        *self.loaded() = Some(Loaded {
            config: config.clone(),
            at: Instant::now(),
        });
        Ok(config)
    }

    fn loaded(&self) -> MutexGuard<'_, Option<Loaded>> {
        self.loaded.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("roots", &self.roots).finish()
    }
}

/// There is nothing to verify a target's certificate with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no trusted root certificate was found{0}")]
pub struct NoRoots(String);

/// Why there is no TLS connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsError {
    /// Nothing a certificate could be made for.
    #[error("certificates cannot name the host")]
    Name,
    #[error(transparent)]
    Roots(#[from] NoRoots),
    /// The certificate is not trusted, or the two cannot agree.
    #[error("{0}{hint}", hint = hint(.0))]
    Refused(rustls::Error),
    /// The connection ended before.
    #[error("the connection ended in the middle of the TLS handshake: {0}")]
    Lost(io::Error),
}

/// What whoever reads the log of a refusal may not know.
fn hint(error: &rustls::Error) -> &'static str {
    match error {
        rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer) => {
            ": no trusted root leads to it; the node trusts those of the system, or those in SSL_CERT_FILE and \
             SSL_CERT_DIR if its environment had one of them when it was started"
        }
        rustls::Error::InvalidMessage(_) => ": the target does not seem to speak TLS",
        _ => "",
    }
}

/// A connection to a target that has proved its name.
pub(crate) struct TlsSocket {
    socket: TcpStream,
    // Orders the two directions, which one task drives: never held across a wait, never contended.
    session: Mutex<Session>,
}

impl TlsSocket {
    async fn handshake(
        socket: TcpStream,
        mut connection: ClientConnection,
    ) -> Result<Self, TlsError> {
        loop {
            while connection.wants_write() {
                match connection.write_tls(&mut Transport(&socket)) {
                    Ok(_) => {}
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        socket.writable().await.map_err(TlsError::Lost)?;
                    }
                    Err(error) => return Err(TlsError::Lost(error)),
                }
            }
            if !connection.is_handshaking() {
                break;
            }
            socket.readable().await.map_err(TlsError::Lost)?;
            match connection.read_tls(&mut Transport(&socket)) {
                Ok(0) => return Err(TlsError::Lost(io::ErrorKind::UnexpectedEof.into())),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                Err(error) => return Err(TlsError::Lost(error)),
            }
            if let Err(error) = connection.process_new_packets() {
                // The target is told why, if it takes it at once.
                drop(connection.write_tls(&mut Transport(&socket)));
                return Err(TlsError::Refused(error));
            }
        }
        Ok(Self {
            socket,
            session: Mutex::new(Session {
                connection,
                arrived: BytesMut::new(),
                // What came with the last message of the handshake need not announce itself again.
                more: true,
            }),
        })
    }

    /// The connection below.
    pub(crate) fn transport(&self) -> &TcpStream {
        &self.socket
    }

    /// Waits until there may be something to read. Sends meanwhile what the protocol has to say of its own accord.
    pub(crate) async fn readable(&self) -> io::Result<()> {
        loop {
            let wants_write = {
                let session = self.session();
                if session.more {
                    return Ok(());
                }
                session.connection.wants_write()
            };
            if !wants_write {
                return self.socket.readable().await;
            }
            let ready = self
                .socket
                .ready(Interest::READABLE | Interest::WRITABLE)
                .await?;
            if ready.is_readable() {
                return Ok(());
            }
            match self.try_flush() {
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error),
                _ => {}
            }
        }
    }

    /// Reads content; 0 when the target has said that it ended.
    ///
    /// # Errors
    /// `WouldBlock` when there is none yet; `UnexpectedEof` when the connection ended and the target did not say so;
    /// `InvalidData` when it breaks the protocol.
    pub(crate) fn try_read(&self, into: &mut impl BufMut) -> io::Result<usize> {
        let mut session = self.session();
        let mut read = 0;
        let outcome = session.read(&self.socket, into, &mut read);
        match outcome {
            // The rest waits for the next call.
            Ok(()) => session.more = true,
            // What was read before is handed on before that is looked at.
            Err(error) if error.kind() != io::ErrorKind::WouldBlock && read > 0 => {
                session.more = true;
            }
            Err(error) => {
                session.more = false;
                if read == 0 {
                    return Err(error);
                }
            }
        }
        Ok(read)
    }

    /// Encrypts what fits and hands it to the system.
    pub(crate) fn try_write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut session = self.session();
        session.flush(&self.socket)?;
        let written = session.connection.writer().write_vectored(slices)?;
        match session.flush(&self.socket) {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
            _ => Ok(written),
        }
    }

    /// Hands to the system what is still held here.
    pub(crate) fn try_flush(&self) -> io::Result<()> {
        self.session().flush(&self.socket)
    }

    /// Says that nothing more comes, at the next flush.
    pub(crate) fn end(&self) {
        self.session().connection.send_close_notify();
    }

    fn session(&self) -> MutexGuard<'_, Session> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for TlsSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsSocket")
            .field("socket", &self.socket)
            .finish_non_exhaustive()
    }
}

struct Session {
    connection: ClientConnection,
    /// Read from the system, not yet taken by the protocol; no memory while it is empty.
    arrived: BytesMut,
    /// Something may be left that the system's socket will not announce again.
    more: bool,
}

impl Session {
    /// Reads until `into` is full or the target has ended (`Ok`), or nothing more can be read now (`Err`).
    fn read(
        &mut self,
        socket: &TcpStream,
        into: &mut impl BufMut,
        read: &mut usize,
    ) -> io::Result<()> {
        loop {
            // First, so that what was wrong once stays wrong.
            if let Err(error) = self.connection.process_new_packets() {
                drop(self.flush(socket));
                return Err(io::Error::new(io::ErrorKind::InvalidData, error));
            }
            match self.connection.reader().fill_buf() {
                Ok([]) => return Ok(()),
                Ok(content) => {
                    let taken = content.len().min(into.remaining_mut());
                    into.put_slice(content.get(..taken).unwrap_or_default());
                    self.connection.reader().consume(taken);
                    *read += taken;
                    if into.remaining_mut() == 0 {
                        return Ok(());
                    }
                    continue;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
            if self.arrived.is_empty() {
                self.arrived = BytesMut::with_capacity(ARRIVED);
                let arrived = socket.try_read_buf(&mut self.arrived);
                if !matches!(arrived, Ok(1..)) {
                    self.arrived = BytesMut::new();
                }
                if arrived? == 0 {
                    self.connection.read_tls(&mut io::empty())?;
                }
            }
            if !self.arrived.is_empty() {
                let taken = self.connection.read_tls(&mut &*self.arrived)?;
                self.arrived.advance(taken);
                if taken == 0 || self.arrived.is_empty() {
                    // Nothing counts that comes after the target has ended.
                    self.arrived = BytesMut::new();
                }
            }
        }
    }

    fn flush(&mut self, socket: &TcpStream) -> io::Result<()> {
        while self.connection.wants_write() {
            self.connection.write_tls(&mut Transport(socket))?;
        }
        Ok(())
    }
}

/// The system's socket, as the protocol wants it: what cannot be done now is an error.
struct Transport<'a>(&'a TcpStream);

impl Read for Transport<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.0.try_read(into)
    }
}

impl Write for Transport<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.try_write_vectored(slices)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[derive(Debug, Clone)]
enum Roots {
    Machine,
    Given(Arc<[CertificateDer<'static>]>),
}

impl Roots {
    fn config(&self) -> Result<Arc<ClientConfig>, NoRoots> {
        let (certificates, trouble) = match self {
            Self::Machine => {
                let found = rustls_native_certs::load_native_certs();
                let trouble = found.errors.first().map(|error| format!(": {error}"));
                (found.certs, trouble.unwrap_or_default())
            }
            Self::Given(roots) => (roots.to_vec(), String::new()),
        };
        let mut store = RootCertStore::empty();
        // Systems hold some that cannot be read; they help nobody.
        let (usable, _) = store.add_parsable_certificates(certificates);
        if usable == 0 {
            return Err(NoRoots(trouble));
        }
        let provider = Arc::new(aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| NoRoots(format!(": {error}")))?
            .with_root_certificates(store)
            .with_no_client_auth();
        Ok(Arc::new(config))
    }
}

struct Loaded {
    config: Arc<ClientConfig>,
    at: Instant,
}

impl Loaded {
    fn fresh(&self) -> Option<Arc<ClientConfig>> {
        (self.at.elapsed() < KEPT).then(|| self.config.clone())
    }
}

/// How long roots are kept before they are looked at again: an authority may have been added or withdrawn.
const KEPT: Duration = Duration::from_secs(300);
/// Most that is read from the system's socket at once.
const ARRIVED: usize = 64 * 1024;
