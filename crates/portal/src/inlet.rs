//! Inlets: a local TCP listener whose clients are carried to an outlet (spec: messaging 7.1, 7.3, 7.6; W20).
//!
//! A session keeps the way to the outlet's node up. A client that arrives while it is down makes the session dial at
//! once and waits a little. Until the outlet has answered, nothing is read from the client, so a client whose way dies
//! in that state is carried over the next one.
//!
//! Invariants: a client is connected, or reset with no byte taken from it; all connections end with the inlet.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use ockam_identity::Identifier;
use ockam_node::{Access, ConnectOptions, Connection as Path, FlowId, Node, WorkerGuard};
use ockam_wire::{MultiAddr, Route};
use tokio::io::Interest;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::backlog::Backlogs;
use crate::connection::{Connection, Link, Pin, Remote, breaks, chunk_for, ends};
use crate::counters::Counters;
use crate::either::Either;
use crate::guard::{Guard, Holders, Place, Watching};
use crate::interceptor::{Interception, Interceptor};
use crate::message::Reason;
use crate::session::{Attempts, Echo, Hints, Pace, Session, SessionStatus};
use crate::socket::{Socket, reset_on_close};
use crate::stream::{Dialect, Stream};
use crate::way::{Way, attempts};
use crate::{Activity, DEFAULT_CHUNK, Handshake, speaks_streams};

/// What an inlet is.
#[derive(Debug, Clone)]
pub struct InletOptions {
    /// Where clients connect to, for example `127.0.0.1:0`.
    pub bind: String,
    /// The outlet.
    pub to: MultiAddr,
    /// Where the outlet is looked for as well, at each connection anew; `to` wins when it is at both (spec: command 3.9.4).
    pub or: Option<MultiAddr>,
    /// How the way to the outlet is connected.
    pub connect: ConnectOptions,
    /// Whom its connections may talk to; checked for every message.
    pub access: Access,
    /// Which nodes may be at the other end; asked for each connection, and again as long as it lasts.
    pub guard: Option<Arc<dyn Guard>>,
    /// Whether clients wait for the outlet's answer; must be the same at both ends.
    pub handshake: Handshake,
    /// Whether the operating system may delay small writes to clients (Nagle's algorithm).
    pub nagle: Nagle,
    /// How long a client waits for a way to the outlet.
    pub client_patience: Duration,
    /// How long a client waits for the outlet's answer.
    pub answer_timeout: Duration,
    /// Between two pings of the session.
    pub ping_interval: Duration,
    /// Most content in one message.
    pub chunk: usize,
    /// What intercepts its connections.
    pub interceptor: Option<Arc<dyn Interceptor>>,
    /// Of the kept connection that `to` begins with, when it does: it is told when clients wait.
    pub over: Option<Hints>,
    /// What becomes of an inlet whose address another socket has.
    pub when_taken: WhenTaken,
}

impl InletOptions {
    /// An inlet with the usual settings.
    pub fn new(bind: impl Into<String>, to: MultiAddr, connect: ConnectOptions) -> Self {
        Self {
            bind: bind.into(),
            to,
            or: None,
            connect,
            access: Access::ALLOW_ALL,
            guard: None,
            handshake: Handshake::Wait,
            nagle: Nagle::Off,
            client_patience: Duration::from_secs(5),
            answer_timeout: Duration::from_secs(30),
            ping_interval: Pace::default().ping_interval,
            chunk: DEFAULT_CHUNK,
            interceptor: None,
            over: None,
            when_taken: WhenTaken::Refuse,
        }
    }
}

/// What becomes of an inlet whose address another socket has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WhenTaken {
    /// It does not start.
    #[default]
    Refuse,
    /// It starts, and listens as soon as the address is free: clients know it. Needs an address with a port.
    Wait,
}

/// Whether small writes are delayed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Nagle {
    /// Every write leaves at once.
    #[default]
    Off,
    /// The operating system may join small writes.
    On,
}

/// A running inlet; it and all its connections stop when this is dropped.
#[derive(Debug)]
pub struct Inlet {
    shared: Arc<Shared>,
    session: Session<Either>,
    bound: SocketAddr,
    accepting: JoinHandle<()>,
    _watching: Watching,
    stop: watch::Sender<()>,
}

impl Inlet {
    /// Binds the listener and starts the session. The way to the outlet need not be there yet.
    ///
    /// # Errors
    /// The listener could not be bound, and `options` do not say that it waits.
    pub async fn start(node: &Node, options: InletOptions) -> io::Result<Self> {
        let (listener, bound) = match ockam_node::listening_socket(&options.bind).await {
            Ok(listener) => {
                let bound = listener.local_addr()?;
                (Some(listener), bound)
            }
            Err(error) => (None, awaited(&options, error)?),
        };
        let way = |to: &MultiAddr| Way {
            node: node.clone(),
            to: to.clone(),
            connect: options.connect.clone(),
            entrance: None,
            label: format!("inlet at {bound}"),
        };
        let (holders, watching) = Holders::start(options.guard.clone());
        let either = Arc::new(Either {
            first: way(&options.to),
            second: options.or.as_ref().map(way),
            holders: holders.clone(),
            handshake: options.handshake,
        });
        let session = Session::start(node, either, pace(&options), None, options.over.clone());
        let (stop, stopped) = watch::channel(());
        let shared = Arc::new(Shared {
            node: node.clone(),
            holders,
            counters: Arc::default(),
            backlogs: Backlogs::new(),
            hints: session.hints(),
            live: session.live(),
            answer: Mutex::default(),
            listens: AtomicBool::new(listener.is_some()),
            stopped,
            options,
        });
        let accepting = match listener {
            Some(listener) => spawn_accepting(shared.clone(), listener),
            None => tokio::spawn(accept_when_free(shared.clone(), bound)),
        };
        Ok(Self {
            shared,
            session,
            bound,
            accepting,
            _watching: watching,
            stop,
        })
    }

    /// Where clients connect to, as soon as it listens.
    pub fn bound(&self) -> SocketAddr {
        self.bound
    }

    /// The outlet, as it was given.
    pub fn to(&self) -> &MultiAddr {
        &self.shared.options.to
    }

    /// What it is doing.
    pub fn status(&self) -> InletStatus {
        let live = self.shared.live.borrow().clone();
        InletStatus {
            listens: self.shared.listens.load(Ordering::Relaxed),
            session: self.session.status(),
            outlet: live
                .as_ref()
                .map(|way| self.shared.answer_over(way))
                .unwrap_or_default(),
            place: live.as_ref().map(|way| way.place().clone()),
            route: live.as_ref().map(|way| way.route().clone()),
            peers: live.map(|way| way.peers()).unwrap_or_default(),
            activity: self.shared.counters.activity(),
        }
    }

    /// Waits until there is a way to the outlet.
    pub async fn connected(&self) {
        let mut live = self.session.live();
        drop(live.wait_for(Option::is_some).await);
    }

    /// Stops it, and waits until the way to the outlet is closed.
    pub async fn stop(&self) {
        self.accepting.abort();
        self.stop.send_replace(());
        self.session.stop().await;
    }
}

/// What an inlet is doing.
#[derive(Debug, Clone)]
pub struct InletStatus {
    /// Whether it listens; not yet, when it waits for its address.
    pub listens: bool,
    /// The session.
    pub session: SessionStatus,
    /// The present route to the outlet.
    pub route: Option<Route>,
    /// Where the outlet is at present: its address with the names of nodes replaced.
    pub place: Option<MultiAddr>,
    /// Who is at the end of each channel on the way, outermost first.
    pub peers: Vec<Identifier>,
    /// What the outlet said to the last client of the present way.
    pub outlet: OutletAnswer,
    /// What it has carried.
    pub activity: Activity,
}

/// What an outlet said when it was asked for a connection.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum OutletAnswer {
    /// It was not asked: no client has come.
    #[default]
    NotAsked,
    /// It connected the client.
    Connected,
    /// It did not, or did not answer.
    Failed(String),
}

struct Shared {
    node: Node,
    options: InletOptions,
    holders: Arc<Holders>,
    counters: Arc<Counters>,
    backlogs: Backlogs<Option<FlowId>>,
    hints: Hints,
    live: watch::Receiver<Option<Arc<Path>>>,
    // With the way it came over; held for a copy.
    answer: Mutex<(Weak<Path>, OutletAnswer)>,
    listens: AtomicBool,
    // Its sender lives in the inlet.
    stopped: watch::Receiver<()>,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inlet")
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

/// Accepts clients in a task of its own.
// Not inside the async function that starts an inlet: what such a function spawns is compiled with the crate that awaits it,
// and then all that a connection passes would be optimised as commands are, for size.
#[inline(never)]
fn spawn_accepting(shared: Arc<Shared>, listener: TcpListener) -> JoinHandle<()> {
    tokio::spawn(accept(shared, listener))
}

/// The address that is waited for, when it is taken and `options` say so.
fn awaited(options: &InletOptions, error: io::Error) -> io::Result<SocketAddr> {
    let waits = options.when_taken == WhenTaken::Wait && error.kind() == io::ErrorKind::AddrInUse;
    match options.bind.parse::<SocketAddr>() {
        Ok(address) if waits && address.port() != 0 => Ok(address),
        _ => Err(error),
    }
}

/// Takes the address as soon as it is free, and accepts clients there.
async fn accept_when_free(shared: Arc<Shared>, address: SocketAddr) {
    let mut stopped = shared.stopped.clone();
    let listener = loop {
        tokio::select! {
            () = tokio::time::sleep(TAKEN_PAUSE) => {}
            _ = stopped.changed() => return,
        }
        match ockam_node::listening_socket(&shared.options.bind).await {
            Ok(listener) => break listener,
            Err(error) => tracing::debug!("{address} is not free yet: {error}"),
        }
    };
    shared.listens.store(true, Ordering::Relaxed);
    tracing::info!("{address} is free: the inlet listens there now");
    accept(shared, listener).await;
}

/// Accepts clients until the task is ended.
async fn accept(shared: Arc<Shared>, listener: TcpListener) {
    let mut stopped = shared.stopped.clone();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stopped.changed() => return,
        };
        match accepted {
            Ok((client, _)) => {
                let shared = shared.clone();
                tokio::spawn(async move { shared.serve(client).await });
            }
            Err(error) => {
                // Out of file descriptors, or the client has gone: others may still come.
                tracing::warn!("an inlet could not accept a client: {error}");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

impl Shared {
    /// Carries one client.
    async fn serve(&self, client: TcpStream) {
        let nodelay = self.options.nagle == Nagle::Off;
        if let Err(error) = client.set_nodelay(nodelay) {
            tracing::debug!("no-delay could not be set: {error}");
        }
        let mut stopped = self.stopped.clone();
        let opened = tokio::select! {
            // Boxed: what opening needs is not kept while the connection lasts.
            opened = Box::pin(self.open_somehow()) => opened,
            _ = client.ready(Interest::ERROR) => Err(Reason::ConnectionReset.into()),
            _ = stopped.changed() => Err(Reason::Stopping.into()),
        };
        let mut opened = match opened {
            Ok(opened) => opened,
            Err(why) => {
                self.counters.refused.fetch_add(1, Ordering::Relaxed);
                tracing::info!(to = %self.options.to, "a client is turned away: {why}");
                reset_on_close(&client);
                return;
            }
        };
        self.counters.opened.fetch_add(1, Ordering::Relaxed);
        let _counted = self.counters.count_connection();
        let interception = match &self.options.interceptor {
            Some(interceptor) => interceptor.intercept(opened.connection.pin().identity.as_ref()),
            None => Interception::default(),
        };
        let connection = opened.connection;
        let ended = {
            let client = Socket::from(client);
            let mut carrying = pin!(connection.carry(client, &opened.link, interception));
            tokio::select! {
                ended = &mut carrying => ended,
                reason = ends(&mut stopped, &mut opened.place) => {
                    connection.stop(reason);
                    carrying.await
                }
            }
        };
        drop(opened.guard);
        let Some(ended) = ended else {
            return;
        };
        if ended.reason == Reason::NotAllowed {
            let why = if ended.is_from_here() {
                TurnedAway::ByPolicy(connection.pin().identity)
            } else {
                ended.reason.into()
            };
            tracing::info!(to = %self.options.to, "a connection is cut: {why}");
            if let Some(path) = &*self.live.borrow() {
                self.note_answer(path, OutletAnswer::Failed(why.to_string()));
            }
        }
        connection.tell_end(&opened.link, &ended).await;
    }

    /// Opens a connection over the present way, or over a later one if that goes away before the outlet has answered.
    async fn open_somehow(&self) -> Result<Opened, TurnedAway> {
        let answer_by = Instant::now() + self.options.answer_timeout;
        loop {
            let path = self.path().await?;
            match self.open(&path, answer_by).await {
                Attempt::Opened(opened) => {
                    self.note_answer(&path, OutletAnswer::Connected);
                    return Ok(opened);
                }
                Attempt::Failed(why) => {
                    self.note_answer(&path, OutletAnswer::Failed(why.to_string()));
                    return Err(why);
                }
                Attempt::PathGone => {}
            }
        }
    }

    fn note_answer(&self, path: &Arc<Path>, answer: OutletAnswer) {
        *self.answer.lock().unwrap_or_else(PoisonError::into_inner) =
            (Arc::downgrade(path), answer);
    }

    /// What the outlet said over this way.
    fn answer_over(&self, path: &Arc<Path>) -> OutletAnswer {
        let (over, answer) = &*self.answer.lock().unwrap_or_else(PoisonError::into_inner);
        if over.as_ptr() == Arc::as_ptr(path) {
            answer.clone()
        } else {
            OutletAnswer::NotAsked
        }
    }

    /// Waits for a way to the outlet, as long as a client is asked to wait.
    async fn path(&self) -> Result<Arc<Path>, TurnedAway> {
        let mut live = self.live.clone();
        let present = live.borrow_and_update().clone();
        if let Some(path) = present.filter(|path| !path.is_closed()) {
            return Ok(path);
        }
        self.hints.trigger();
        let usable = live.wait_for(|live| live.as_ref().is_some_and(|path| !path.is_closed()));
        match tokio::time::timeout(self.options.client_patience, usable).await {
            Ok(Ok(live)) => live.clone().ok_or(Reason::TargetUnreachable.into()),
            Ok(Err(_)) => Err(Reason::Stopping.into()),
            Err(_) => Err(Reason::TargetUnreachable.into()),
        }
    }

    async fn open(&self, path: &Arc<Path>, answer_by: Instant) -> Attempt {
        let identity = path.peer().map(|peer| peer.identifier);
        let Ok(mut place) = self.holders.enter(identity.as_ref()) else {
            return Attempt::Failed(TurnedAway::ByPolicy(identity));
        };
        let router = self.node.router();
        let route = path.route().clone();
        let dialect = self.dialect(path);
        let backlog = self.backlogs.of(path.flow());
        let window = backlog.window();
        let stream = Stream::inlet(dialect, window);
        let request = stream.request(window);
        let pin = Pin {
            identity,
            flow: path.flow(),
        };
        let breaks = breaks(path.peer().map(|peer| &**peer));
        let connection = Connection::new(
            stream,
            pin,
            self.holders.guard(),
            breaks,
            backlog.enter(),
            self.hints.traffic(),
        );
        let link = Link {
            own: self.node.random_address(),
            chunk: chunk_for(router, &route, self.options.chunk),
            router: router.clone(),
            counters: self.counters.clone(),
        };
        let worker = Arc::new(Remote(connection.clone()));
        let Ok(guard) =
            router.start_inline(&link.own, worker, self.holders.access(&self.options.access))
        else {
            return Attempt::Failed(Reason::Unspecified.into());
        };
        if let Some(flow) = path.flow() {
            router.add_consumer(&link.own, flow);
        }
        if dialect == Dialect::SkipHandshake {
            // spec: messaging 7.9 (everything goes to the outlet's address)
            connection.set_remote(route.clone());
        }
        if link.send(route, request.encode()).await.is_err() && path.is_closed() {
            return Attempt::PathGone;
        }
        let answer = async {
            let opened = connection.opened();
            tokio::pin!(opened);
            tokio::select! {
                answer = &mut opened => return answer,
                () = tokio::time::sleep(USUAL_ANSWER) => self.hints.suspect(),
            }
            opened.await
        };
        let mut waiting = Waiting(Some((connection.clone(), link, guard)));
        tokio::select! {
            biased;
            answer = answer => match (answer, waiting.0.take()) {
                (Ok(()), Some((connection, link, guard))) => Attempt::Opened(Opened {
                    connection,
                    link,
                    place,
                    guard,
                }),
                (Ok(()), None) => Attempt::Failed(Reason::Unspecified.into()),
                (Err(reason), _) => Attempt::Failed(reason.into()),
            },
            () = path.closed() => {
                waiting.0 = None;
                Attempt::PathGone
            }
            () = place.cut() => Attempt::Failed(TurnedAway::ByPolicy(identity)),
            () = tokio::time::sleep_until(answer_by) => {
                Attempt::Failed(Reason::TimedOut.into())
            }
        }
    }

    fn dialect(&self, path: &Path) -> Dialect {
        if self.options.handshake == Handshake::Skip {
            Dialect::SkipHandshake
        } else if speaks_streams(path) {
            Dialect::Streams
        } else {
            Dialect::Published
        }
    }
}

struct Opened {
    connection: Arc<Connection>,
    link: Link,
    place: Place,
    guard: WorkerGuard,
}

/// A connection whose outlet has not answered yet. If its client gives up, the outlet is told when it does answer; a
/// published outlet would keep the target's connection for ever.
struct Waiting(Option<(Arc<Connection>, Link, WorkerGuard)>);

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some((connection, link, guard)) = self.0.take() {
            tokio::spawn(async move {
                let ended = connection.abandon(Reason::ConnectionReset).await;
                drop(guard);
                if let Some(ended) = ended {
                    connection.tell_end(&link, &ended).await;
                }
            });
        }
    }
}

enum Attempt {
    Opened(Opened),
    Failed(TurnedAway),
    PathGone,
}

/// Why a client is not carried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TurnedAway {
    /// As the outlet says, or this side finds.
    For(Reason),
    /// This inlet's policy does not allow the peer; `None` is a way without a secure channel.
    ByPolicy(Option<Identifier>),
}

impl From<Reason> for TurnedAway {
    fn from(reason: Reason) -> Self {
        Self::For(reason)
    }
}

impl fmt::Display for TurnedAway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::For(Reason::NotAllowed) => {
                f.write_str("the outlet's node does not allow it to this identity")
            }
            Self::For(reason) => fmt::Display::fmt(reason, f),
            Self::ByPolicy(Some(peer)) => {
                write!(f, "the policy of this inlet does not allow the peer {peer}")
            }
            Self::ByPolicy(None) => f.write_str(
                "the policy of this inlet allows no peer without an identity, and the way has no secure channel",
            ),
        }
    }
}

fn pace(options: &InletOptions) -> Pace {
    Pace {
        ping_interval: options.ping_interval,
        attempts: attempts(&options.to),
        attempt_timeout: options.connect.timeout,
        // The far node may allow the outlet to this identity and not its `echo`; its handshake has shown that it lives.
        echo: match attempts(&options.to) {
            Attempts::Overlapping => Echo::Optional,
            Attempts::OneByOne => Echo::Expected,
        },
        ..Pace::default()
    }
}

/// An outlet that takes longer may be on a node that has gone without a word.
const USUAL_ANSWER: Duration = Duration::from_millis(300);
/// Between two attempts to take an address that another socket has.
const TAKEN_PAUSE: Duration = Duration::from_millis(200);
/// Pause after a failed accept, which tends to fail again at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
