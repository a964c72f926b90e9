//! A node: a router, its connections, and the randomness and cryptography that its parts use.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use ockam_identity::{Identifier, UnixTime};
use ockam_vault::Provider;
use ockam_wire::Address;
use tokio::task::JoinSet;

use crate::admission::{Admission, millis_since};
use crate::attested::{Attested, Authority, Early};
use crate::denials::Denials;
use crate::flow_control::FlowId;
use crate::names::{NoNames, NodeNames};
use crate::policies::{MemoryPolicies, Policies};
use crate::rates::{Allowance, Rates, Source};
use crate::router::Router;
use crate::secure_channel::{MemoryHistories, PeerHistories, SecureChannel};
use crate::transport::{Connection, WeakConnection};
use crate::verified::Remembering;

/// What a node needs from outside.
#[derive(Clone)]
pub struct NodeOptions {
    /// The cryptographic provider of its channels.
    pub provider: &'static dyn Provider,
    /// Where the change histories of peers are remembered.
    pub histories: Arc<dyn PeerHistories>,
    /// Where nodes are that addresses call by name.
    pub names: Arc<dyn NodeNames>,
    /// Whose credentials count; without one none does.
    pub authority: Option<Authority>,
    /// Which policies protect its services.
    pub policies: Arc<dyn Policies>,
    /// Whether what nobody allowed is denied also without an authority; with one it always is.
    pub strict: bool,
    /// Connections and handshakes that strangers may hold.
    pub limits: Limits,
}

impl Default for NodeOptions {
    fn default() -> Self {
        Self {
            provider: ockam_vault::fast(),
            histories: Arc::new(MemoryHistories::default()),
            names: Arc::new(NoNames),
            authority: None,
            policies: Arc::new(MemoryPolicies::default()),
            strict: false,
            limits: Limits::default(),
        }
    }
}

impl fmt::Debug for NodeOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NodeOptions")
            .field("authority", &self.authority)
            .field("strict", &self.strict)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

/// What strangers may hold of a node (W2, spec: trust 11.2 number 5).
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Accepted connections from which no message was accepted yet; the oldest is closed for a new one.
    pub unproven_connections: usize,
    /// How many of those may come from one network address (of IPv6: one network of 64 bits).
    pub unproven_connections_per_source: usize,
    /// Accepted connections altogether. When they are too many, a new one takes the place of one from the source that
    /// has the most of them, or is refused if that is its own.
    pub connections: usize,
    /// Handshakes that wait for the peer's last message.
    pub pending_handshakes: usize,
    /// Handshakes that may begin over connections from one network address (of IPv6: one network of 64 bits).
    pub handshakes_per_source: Allowance,
    /// Accepted channels altogether; of those that came over the busiest connection, the idlest is closed for a new one.
    pub channels: usize,
    /// Bytes of frames that have begun and are not complete, over all connections; the first 160 KiB of each are not
    /// counted.
    pub unfinished_frames: usize,
    /// Accepted connections of one source that may be in the middle of a frame at a time; the others wait, and those
    /// that take longest are closed for them.
    pub unfinished_frames_per_source: usize,
    /// Peers whose attributes are kept; those that end first make room for others.
    pub attested: usize,
    /// How long the peer of an accepted channel may say nothing, when it offers signs of life (spec: extensions 4.4).
    pub silent_channel: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            unproven_connections: 256,
            unproven_connections_per_source: 64,
            connections: 4096,
            pending_handshakes: 256,
            // A tenth of a processor; a thousand nodes behind one address that all come back at once are served.
            handshakes_per_source: Allowance {
                burst: 5000,
                per_second: 500,
            },
            channels: 16_384,
            // Together less than 64 MiB for whoever floods from one place.
            unfinished_frames: 32 * 1024 * 1024,
            unfinished_frames_per_source: 128,
            attested: 131_072,
            silent_channel: Duration::from_secs(60),
        }
    }
}

/// A node. Cloning gives another handle; the node ends when its tasks are dropped with the runtime or after
/// [`Node::shutdown`].
#[derive(Clone)]
pub struct Node {
    inner: Arc<Inner>,
}

impl Node {
    /// Makes a node without any worker. Must be called within a tokio runtime.
    pub fn new(options: NodeOptions) -> Self {
        let accepted_channels = Admission::new(options.limits.channels, usize::MAX);
        let handshakes = Arc::new(Rates::new(options.limits.handshakes_per_source));
        let authority = options
            .authority
            .as_ref()
            .map(|authority| *authority.identifier());
        let attested = Attested::new(authority, options.limits.attested);
        let router = if options.strict || options.authority.is_some() {
            Router::with_most_hops(STRICT_MOST_HOPS)
        } else {
            Router::new()
        };
        Self {
            inner: Arc::new(Inner {
                router,
                verifier: Arc::new(Remembering::new(options.provider)),
                options,
                connections: Mutex::default(),
                channels: Mutex::default(),
                unfinished_frames: AtomicUsize::new(0),
                handshakes,
                accepted_channels,
                attested,
                started: Instant::now(),
                early: Mutex::default(),
            }),
        }
    }

    /// The router.
    pub fn router(&self) -> &Router {
        &self.inner.router
    }

    /// The cryptographic provider.
    pub fn provider(&self) -> &'static dyn Provider {
        self.inner.options.provider
    }

    /// The provider, for what peers have signed: it remembers which signatures were good.
    pub(crate) fn verifier(&self) -> &Arc<Remembering> {
        &self.inner.verifier
    }

    /// Whose credentials count.
    pub fn authority(&self) -> Option<&Authority> {
        self.inner.options.authority.as_ref()
    }

    /// Credentials that may be signed under a change of the authority that is not known yet.
    pub(crate) fn early(&self) -> std::sync::MutexGuard<'_, Early> {
        self.inner
            .early
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// What the authority says of peers.
    pub fn attested(&self) -> &Attested {
        &self.inner.attested
    }

    /// Which policies protect its services.
    pub fn policies(&self) -> &Arc<dyn Policies> {
        &self.inner.options.policies
    }

    /// Who was denied what.
    pub fn denials(&self) -> &Denials {
        self.inner.router.denials()
    }

    /// Whether what nobody allowed is denied.
    pub fn is_strict(&self) -> bool {
        self.inner.options.strict || self.inner.options.authority.is_some()
    }

    /// Where histories of peers are remembered.
    pub(crate) fn histories(&self) -> &dyn PeerHistories {
        &*self.inner.options.histories
    }

    /// Where nodes are that addresses call by name.
    pub(crate) fn names(&self) -> &dyn NodeNames {
        &*self.inner.options.names
    }

    /// What strangers may hold.
    pub fn limits(&self) -> Limits {
        self.inner.options.limits
    }

    /// Bytes of frames that have begun and are not complete.
    pub(crate) fn unfinished_frames(&self) -> &AtomicUsize {
        &self.inner.unfinished_frames
    }

    pub(crate) fn accepted_channels(&self) -> &Admission<Option<FlowId>> {
        &self.inner.accepted_channels
    }

    /// Milliseconds since the node was made.
    pub(crate) fn uptime(&self) -> u64 {
        millis_since(self.inner.started)
    }

    /// The instant at which the node was made.
    pub(crate) fn started(&self) -> Instant {
        self.inner.started
    }

    /// A random local address: 128 bits, 32 hexadecimal digits.
    pub fn random_address(&self) -> Address {
        Address::random(random())
    }

    /// A random flow id.
    pub fn random_flow(&self) -> FlowId {
        FlowId::from_random(random())
    }

    /// The present time, for validity checks only.
    pub fn unix_time(&self) -> UnixTime {
        unix_time()
    }

    /// All open connections of all transports.
    pub fn connections(&self) -> Vec<Connection> {
        let mut known = self
            .inner
            .connections
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        known.retain(|connection| connection.upgrade().is_some());
        known.iter().filter_map(WeakConnection::upgrade).collect()
    }

    /// The handshakes that began, by where from.
    pub(crate) fn handshakes(&self) -> &Arc<Rates<Source>> {
        &self.inner.handshakes
    }

    /// All open secure channels, in both roles.
    pub fn channels(&self) -> Vec<SecureChannel> {
        let known = self
            .inner
            .channels
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        known
            .values()
            .filter(|channel| !channel.is_closed())
            .cloned()
            .collect()
    }

    /// The open channels with one peer.
    pub(crate) fn channels_with(&self, peer: &Identifier) -> Vec<SecureChannel> {
        let known = self
            .inner
            .channels
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        known
            .values()
            .filter(|channel| channel.peer().identifier == *peer && !channel.is_closed())
            .cloned()
            .collect()
    }

    /// Closes every channel and connection, all at the same time, and waits until the peers were told or cannot be.
    pub async fn shutdown(&self) {
        let mut closing = JoinSet::new();
        for channel in self.channels() {
            closing.spawn(async move { channel.close().await });
        }
        while closing.join_next().await.is_some() {}
        for connection in self.connections() {
            connection.close();
            closing.spawn(async move { connection.drained().await });
        }
        let drained = async { while closing.join_next().await.is_some() {} };
        // A transport may take what is queued as slowly as it likes; the end does not wait for it.
        drop(tokio::time::timeout(DRAIN_TIMEOUT, drained).await);
    }

    pub(crate) fn remember_connection(&self, connection: &Connection) {
        let mut known = self
            .inner
            .connections
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if known.len() == known.capacity() {
            known.retain(|connection| connection.upgrade().is_some());
        }
        known.push(connection.downgrade());
    }

    /// Puts a channel into the list; returns its number there.
    pub(crate) fn remember_channel(&self, channel: SecureChannel) -> u64 {
        let mut known = self
            .inner
            .channels
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let number = known.last_key_value().map_or(0, |(last, _)| last + 1);
        known.insert(number, channel);
        number
    }

    /// Takes a channel off the list, and with it what it keeps in memory.
    pub(crate) fn forget_channel(&self, number: u64) {
        self.inner
            .channels
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&number);
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node")
            .field("router", &self.inner.router)
            .finish_non_exhaustive()
    }
}

struct Inner {
    router: Router,
    verifier: Arc<Remembering>,
    options: NodeOptions,
    // Lists for people; held for one insertion or copy.
    connections: Mutex<Vec<WeakConnection>>,
    channels: Mutex<BTreeMap<u64, SecureChannel>>,
    unfinished_frames: AtomicUsize,
    handshakes: Arc<Rates<Source>>,
    /// By the flow they came in with.
    accepted_channels: Admission<Option<FlowId>>,
    attested: Attested,
    started: Instant,
    // Held for one insertion, or for taking all.
    early: Mutex<Early>,
}

/// Hops in both routes of a message together, at a strict node (spec: messaging 12 W5).
const STRICT_MOST_HOPS: usize = 32;
/// How long the end of a node waits for what its connections have queued.
pub(crate) const DRAIN_TIMEOUT: Duration = Duration::from_secs(2);

/// The present time, for validity checks only.
pub(crate) fn unix_time() -> UnixTime {
    // A clock before 1970 makes everything "not yet valid", which is the safe side.
    UnixTime(
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_secs()),
    )
}

/// Random bytes of the operating system.
///
/// # Panics
/// When the operating system has none: nothing secure can be done then.
pub(crate) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
    bytes
}
