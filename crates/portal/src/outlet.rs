//! Outlets: an address that connects to a TCP target for whoever may ask (spec: messaging 7.1, 7.3, 7.9; W20 to W22).
//!
//! The worker at the outlet's address runs in the task of the transport: it admits or refuses, and starts a task that
//! connects. After that inlet and connection talk directly; only without handshake does everything keep coming to the
//! outlet's address and is handed on by who sent it.
//!
//! Invariants: what a peer may hold and how fast it may ask is bounded before anything is connected; a target that
//! cannot be connected is told at once; all connections end with the outlet.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::pin::pin;
use std::str::FromStr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use ockam_identity::Identifier;
use ockam_node::{
    Access, Delivery, End, FlowId, Inline, LocalMessage, Node, Router, SendError, StartError,
    WorkerGuard,
};
use ockam_wire::{Address, Route};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::admission::{Admission, Admitted, Limits, NotAdmitted, Peer};
use crate::backlog::{Backlog, Backlogs, CHANNEL_BACKLOG};
use crate::connection::{Connection, Link, Pin, Remote, breaks, chunk_for, ends};
use crate::counters::Counters;
use crate::guard::{Guard, Holders, NotAllowed, Place, Watching};
use crate::interceptor::Interceptor;
use crate::message::{Message, Reason};
use crate::socket::Socket;
use crate::stream::{Dialect, Stream};
use crate::tls::{Tls, TlsError};
use crate::{Activity, DEFAULT_CHUNK, Handshake, offers_streams};

/// What an outlet is.
#[derive(Debug, Clone)]
pub struct OutletOptions {
    /// Where it is asked.
    pub address: Address,
    /// Where it connects to.
    pub target: TargetAddress,
    /// Who may ask, and whom its connections may talk to; checked for every message.
    pub access: Access,
    /// Who may have connections; asked for each of them, and again as long as they last.
    pub guard: Option<Arc<dyn Guard>>,
    /// Ways into the node from which it can be reached: listeners of channels and transports.
    pub consumers: Vec<FlowId>,
    /// Whether inlets wait for an answer; must be the same at both ends.
    pub handshake: Handshake,
    /// TLS towards the target, if that is what it speaks.
    pub tls: Option<Tls>,
    /// How long connecting to the target may take, TLS and all.
    pub connect_timeout: Duration,
    /// What peers may hold.
    pub limits: Limits,
    /// Most content in one message.
    pub chunk: usize,
    /// What intercepts its connections.
    pub interceptor: Option<Arc<dyn Interceptor>>,
}

impl OutletOptions {
    /// An outlet with the usual settings, reachable from nowhere yet.
    pub fn new(address: Address, target: TargetAddress) -> Self {
        Self {
            address,
            target,
            access: Access::ALLOW_ALL,
            guard: None,
            consumers: Vec::new(),
            handshake: Handshake::Wait,
            tls: None,
            connect_timeout: Duration::from_secs(10),
            limits: Limits::default(),
            chunk: DEFAULT_CHUNK,
            interceptor: None,
        }
    }
}

/// A running outlet; it and all its connections stop when this is dropped.
#[derive(Debug)]
pub struct Outlet {
    shared: Arc<Shared>,
    _guard: WorkerGuard,
    _watching: Watching,
    stop: watch::Sender<()>,
}

impl Outlet {
    /// Starts an outlet.
    ///
    /// # Errors
    /// The address is in use.
    pub fn start(node: &Node, options: OutletOptions) -> Result<Self, StartError> {
        let (stop, stopped) = watch::channel(());
        let (holders, watching) = Holders::start(options.guard.clone());
        let shared = Arc::new(Shared {
            holders,
            router: node.router().clone(),
            node: node.clone(),
            admission: Admission::new(options.limits),
            backlogs: Backlogs::new(),
            unanswered_backlog: Backlog::new(CHANNEL_BACKLOG),
            counters: Arc::default(),
            unanswered: Mutex::default(),
            stopped,
            options,
        });
        let worker = Arc::new(Listener(shared.clone()));
        let options = &shared.options;
        let access = shared.holders.access(&options.access);
        let guard = node
            .router()
            .start_inline(&options.address, worker, access)?;
        for flow in &options.consumers {
            node.router().add_consumer(&options.address, *flow);
        }
        Ok(Self {
            shared,
            _guard: guard,
            _watching: watching,
            stop,
        })
    }

    /// Where it is asked.
    pub fn address(&self) -> &Address {
        &self.shared.options.address
    }

    /// Where it connects to.
    pub fn target(&self) -> &TargetAddress {
        &self.shared.options.target
    }

    /// What it has carried.
    pub fn activity(&self) -> Activity {
        self.shared.counters.activity()
    }

    /// Opens it to one more way into the node.
    pub fn add_consumer(&self, flow: FlowId) {
        self.shared.router.add_consumer(self.address(), flow);
    }

    /// Whether its connections have been told to end; they do when the outlet is dropped.
    pub fn is_stopped(&self) -> bool {
        self.stop.is_closed()
    }
}

struct Shared {
    node: Node,
    router: Router,
    holders: Arc<Holders>,
    options: OutletOptions,
    admission: Arc<Admission>,
    backlogs: Backlogs<Option<FlowId>>,
    counters: Arc<Counters>,
    // Without handshake all connections share one: what arrives at one address has one end.
    unanswered_backlog: Arc<Backlog>,
    // Connections without handshake, by who asks; held for one look-up.
    unanswered: Mutex<HashMap<Caller, Weak<Connection>>>,
    // Its sender lives in the outlet.
    stopped: watch::Receiver<()>,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outlet")
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

impl Shared {
    /// Answers one request for a connection.
    fn accept(self: &Arc<Self>, delivery: &mut Delivery<'_>) -> Result<(), SendError> {
        let message: &LocalMessage = delivery.message();
        let request = Message::parse(message.payload.as_slice())
            .map_err(|error| self.rejected(message, error.to_string()))?;
        let (dialect, credit) = match (self.options.handshake, request) {
            (Handshake::Wait, Message::Ping) => (Dialect::Published, 0),
            (Handshake::Wait, Message::Open { credit })
                if message.origin.peer.as_deref().is_some_and(offers_streams) =>
            {
                (Dialect::Streams, credit)
            }
            (Handshake::Skip, _) => return self.take_unanswered(delivery),
            _ => return Err(self.rejected(message, "an outlet is asked with a Ping".to_owned())),
        };
        match self.begin(dialect, credit, message) {
            Ok(_) | Err(NotBegun::Told) => Ok(()),
            Err(NotBegun::NotAllowed) => Err(self.not_allowed()),
        }
    }

    /// What is no request is refused for that only when it comes from somebody who may ask.
    fn rejected(&self, message: &LocalMessage, why: String) -> SendError {
        let peer = message.origin.peer.as_ref().map(|peer| &peer.identifier);
        if self.holders.admits(peer) {
            SendError::Rejected(why)
        } else {
            self.not_allowed()
        }
    }

    /// As the router says it of a message that a rule does not let pass.
    fn not_allowed(&self) -> SendError {
        SendError::Incoming(self.options.address.clone())
    }

    /// Without handshake any first message of a caller makes a connection (spec: messaging 7.9).
    fn take_unanswered(self: &Arc<Self>, delivery: &mut Delivery<'_>) -> Result<(), SendError> {
        let message: &LocalMessage = delivery.message();
        let Some(last) = message.return_route.last() else {
            return Err(SendError::Rejected(
                "an outlet cannot answer without a return route".into(),
            ));
        };
        let caller = Caller {
            pin: Pin::of(&message.origin),
            return_address: last.to_address(),
        };
        let known = self.unanswered().get(&caller).and_then(Weak::upgrade);
        let connection = match known {
            Some(connection) => connection,
            None => {
                let connection = match self.begin(Dialect::SkipHandshake, 0, message) {
                    Ok(connection) => connection,
                    Err(NotBegun::Told) => return Ok(()),
                    Err(NotBegun::NotAllowed) => return Err(self.not_allowed()),
                };
                let mut unanswered = self.unanswered();
                if unanswered.len() == unanswered.capacity() {
                    unanswered.retain(|_, connection| connection.strong_count() > 0);
                }
                unanswered.insert(caller, Arc::downgrade(&connection));
                connection
            }
        };
        connection.receive(delivery)
    }

    /// Admits a connection and starts connecting it, or refuses it.
    fn begin(
        self: &Arc<Self>,
        dialect: Dialect,
        credit: u64,
        request: &LocalMessage,
    ) -> Result<Arc<Connection>, NotBegun> {
        let remote = request.return_route.clone();
        let own = self.node.random_address();
        let pin = Pin::of(&request.origin);
        let peer = match &pin.identity {
            Some(identifier) => Peer::Identity(*identifier),
            None => Peer::Stranger(pin.flow),
        };
        let backlog = match self.options.handshake {
            Handshake::Wait => self.backlogs.of(pin.flow),
            Handshake::Skip => self.unanswered_backlog.clone(),
        };
        let window = backlog.window();
        let allowed = self.holders.enter(pin.identity.as_ref());
        if allowed.is_err() && !request.origin.peer.as_deref().is_some_and(offers_streams) {
            // spec: extensions 4.2.5 (nobody else is told)
            self.counters.refused.fetch_add(1, Ordering::Relaxed);
            return Err(NotBegun::NotAllowed);
        }
        let begun = self
            .admission
            .admit(Instant::now().into_std(), peer)
            .map_err(|error| {
                tracing::debug!(outlet = %self.options.address, "connection refused: {error}");
                match error {
                    NotAdmitted::TooMany | NotAdmitted::TooFast => Reason::LimitReached,
                }
            })
            .and_then(|admitted| {
                let place = allowed.map_err(|NotAllowed| Reason::NotAllowed)?;
                Ok((admitted, place, Stream::outlet(dialect, window, credit)?))
            });
        let (admitted, place, stream) = match begun {
            Ok(begun) => begun,
            Err(reason) => {
                self.counters.refused.fetch_add(1, Ordering::Relaxed);
                let link = self.link(own, &remote);
                tokio::spawn(async move { link.refuse(remote, dialect, reason).await });
                return Err(match reason {
                    Reason::NotAllowed => NotBegun::NotAllowed,
                    _ => NotBegun::Told,
                });
            }
        };
        let link = self.link(own, &remote);
        let connection = Connection::new(
            stream,
            pin,
            self.holders.guard(),
            breaks(request.origin.peer.as_deref()),
            backlog.enter(),
            Arc::default(),
        );
        connection.set_remote(remote);
        let begun = Begun {
            connection: connection.clone(),
            link,
            place,
            _admitted: admitted,
        };
        tokio::spawn(self.clone().serve(begun, window));
        Ok(connection)
    }

    async fn serve(self: Arc<Self>, mut begun: Begun, window: u64) {
        let connection = &begun.connection;
        let dialect = connection.dialect();
        let mut stopped = self.stopped.clone();
        let connected = tokio::select! {
            // Boxed: what connecting needs is not kept while the connection lasts.
            connected = Box::pin(self.connect()) => connected,
            () = begun.place.cut() => Err(NotConnected::from(Reason::NotAllowed)),
            // Fails when the outlet is dropped.
            _ = stopped.changed() => Err(NotConnected::from(Reason::Stopping)),
        };
        let socket = match connected {
            Ok(socket) => socket,
            Err(error) => {
                let reason = error.reason;
                tracing::info!(outlet = %self.options.address, target = %self.options.target, "{error}");
                self.counters.refused.fetch_add(1, Ordering::Relaxed);
                begun
                    .link
                    .refuse(connection.remote(), dialect, reason)
                    .await;
                return;
            }
        };
        let worker = Arc::new(Remote(connection.clone()));
        let access = self.holders.access(&self.options.access);
        let Ok(guard) = self.router.start_inline(&begun.link.own, worker, access) else {
            return;
        };
        if let Some(producer) = self.router.producer_behind(&connection.remote()) {
            self.router.add_consumer(&begun.link.own, producer.id);
        }
        if let Some(acceptance) = Stream::acceptance(dialect, window)
            && begun
                .link
                .send(connection.remote(), acceptance.encode())
                .await
                .is_err()
        {
            return;
        }
        self.counters.opened.fetch_add(1, Ordering::Relaxed);
        let _counted = self.counters.count_connection();
        let interception = match &self.options.interceptor {
            Some(interceptor) => interceptor.intercept(connection.peer()),
            None => crate::interceptor::Interception::default(),
        };
        let ended = {
            let mut carrying = pin!(connection.carry(socket, &begun.link, interception));
            tokio::select! {
                ended = &mut carrying => ended,
                reason = ends(&mut stopped, &mut begun.place) => {
                    connection.stop(reason);
                    carrying.await
                }
            }
        };
        drop(guard);
        if let Some(ended) = ended {
            connection.tell_end(&begun.link, &ended).await;
        }
    }

    /// Connects the target.
    async fn connect(&self) -> Result<Socket, NotConnected> {
        let OutletOptions { target, tls, .. } = &self.options;
        let within = self.options.connect_timeout;
        let connecting = async {
            let socket = target.connect(within).await?;
            match tls {
                None => Ok(Socket::from(socket)),
                Some(tls) => match tls.connect(socket, &target.host).await {
                    Ok(socket) => Ok(Socket::Tls(Box::new(socket))),
                    Err(error) => Err(NotConnected::from(error)),
                },
            }
        };
        tokio::time::timeout(within, connecting)
            .await
            .unwrap_or_else(|_| Err(Reason::TimedOut.into()))
    }

    fn link(&self, own: Address, remote: &Route) -> Link {
        Link {
            chunk: chunk_for(&self.router, remote, self.options.chunk),
            router: self.router.clone(),
            own,
            counters: self.counters.clone(),
        }
    }

    fn unanswered(&self) -> std::sync::MutexGuard<'_, HashMap<Caller, Weak<Connection>>> {
        self.unanswered
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// The worker at the outlet's address.
struct Listener(Arc<Shared>);

impl Inline for Listener {
    fn end(&self) -> End {
        match self.0.options.handshake {
            // It starts a task or refuses; nothing waits.
            Handshake::Wait => End::Opens,
            // Content comes this way too.
            Handshake::Skip => End::Buffers(self.0.unanswered_backlog.gate().clone()),
        }
    }

    fn handle(&self, delivery: &mut Delivery<'_>) -> Result<(), SendError> {
        if delivery.message().onward.len() != 1 {
            return Err(SendError::Rejected(
                "an outlet is the end of a route".into(),
            ));
        }
        self.0.accept(delivery)
    }
}

/// Who asks without handshake: the peer, its way in, and where it wants its answers.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Caller {
    pin: Pin,
    return_address: Address,
}

/// A connection whose target is being connected.
struct Begun {
    connection: Arc<Connection>,
    link: Link,
    place: Place,
    _admitted: Admitted,
}

/// No connection was begun.
enum NotBegun {
    /// Whoever asked is being told why.
    Told,
    /// It is not allowed. One of our own inlets is being told.
    NotAllowed,
}

/// Where an outlet connects to: a host name or address, and a port.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TargetAddress {
    host: Box<str>,
    port: u16,
}

impl TargetAddress {
    /// The host name or address, without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Connects it by TCP. Its name is looked up each time.
    async fn connect(&self, within: Duration) -> Result<TcpStream, NotConnected> {
        let addresses: Vec<_> = tokio::net::lookup_host((&*self.host, self.port))
            .await
            .map_err(|error| NotConnected::new(Reason::TargetUnknown, &error))?
            .collect();
        // One that swallows everything leaves time for the others.
        let share = within / u32::try_from(addresses.len().max(1)).unwrap_or(u32::MAX);
        let mut failure = NotConnected::from(Reason::TargetUnknown);
        for address in addresses {
            match tokio::time::timeout(share, TcpStream::connect(address)).await {
                Ok(Ok(socket)) => {
                    if let Err(error) = socket.set_nodelay(true) {
                        tracing::debug!("no-delay could not be set: {error}");
                    }
                    return Ok(socket);
                }
                Ok(Err(error)) => failure = NotConnected::new(connect_failure(&error), &error),
                Err(_) => failure = Reason::TimedOut.into(),
            }
        }
        Err(failure)
    }
}

/// The target was not connected: what the other side is told, and what the log is.
#[derive(Debug)]
struct NotConnected {
    reason: Reason,
    cause: Option<String>,
}

impl NotConnected {
    fn new(reason: Reason, cause: &dyn std::error::Error) -> Self {
        let cause = Some(cause.to_string());
        Self { reason, cause }
    }
}

impl From<Reason> for NotConnected {
    fn from(reason: Reason) -> Self {
        let cause = None;
        Self { reason, cause }
    }
}

impl From<TlsError> for NotConnected {
    fn from(error: TlsError) -> Self {
        Self::new(Reason::TlsFailed, &error)
    }
}

impl fmt::Display for NotConnected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.cause {
            Some(cause) => write!(f, "{}: {cause}", self.reason),
            None => write!(f, "{}", self.reason),
        }
    }
}

fn connect_failure(error: &io::Error) -> Reason {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => Reason::TargetRefused,
        io::ErrorKind::TimedOut => Reason::TimedOut,
        _ => Reason::TargetUnreachable,
    }
}

impl FromStr for TargetAddress {
    type Err = InvalidTarget;

    fn from_str(text: &str) -> Result<Self, InvalidTarget> {
        let (host, port) = text.rsplit_once(':').ok_or(InvalidTarget)?;
        let port = port.parse().map_err(|_| InvalidTarget)?;
        let bracketed = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'));
        let valid = match bracketed {
            Some(host) => host.parse::<std::net::Ipv6Addr>().is_ok(),
            None => {
                !host.is_empty() && !host.contains([':', '/', '[', ']', ' ']) && host.len() <= 253
            }
        };
        if !valid || port == 0 {
            return Err(InvalidTarget);
        }
        let host = bracketed.unwrap_or(host).into();
        Ok(Self { host, port })
    }
}

impl fmt::Display for TargetAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// The text is not a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a target is written `host:port`")]
pub struct InvalidTarget;

impl Connection {
    /// Who is at the other end of the channel.
    fn peer(&self) -> Option<&Identifier> {
        self.pin().identity.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn target_is_host_and_port() {
        for text in ["127.0.0.1:80", "example.org:65535", "[::1]:22"] {
            let target: TargetAddress = text.parse().unwrap();
            assert_eq!(target.to_string(), text);
        }
        let target: TargetAddress = "[::1]:22".parse().unwrap();
        assert_eq!((target.host(), target.port()), ("::1", 22));
        for text in [
            "",
            "80",
            ":80",
            "host",
            "host:",
            "host:0",
            "host:99999",
            "::1:80",
            "[x]:1",
            "a b:1",
        ] {
            assert_eq!(text.parse::<TargetAddress>(), Err(InvalidTarget), "{text}");
        }
    }
}
