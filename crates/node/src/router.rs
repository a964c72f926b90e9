//! The router: workers by address, and the way of a message from one to the next.
//!
//! Two kinds of workers stand behind one router. A **mailbox** worker is a task with a bounded queue, for what is
//! stateful and rare. An **inline** worker is a plain function called in the sender's task: encryptors, decryptors,
//! relays, senders of transports, portal endpoints. Inline workers form chains, and a chain cannot wait; so the source
//! first reserves room in the queue where the chain ends ([`End`]) and then runs it ([`Delivery`]).
//!
//! Before either kind of worker is reached the router checks flow control, the sender's outgoing rule and the
//! receiver's incoming rule (spec: messaging 4.1). What is refused is counted and logged with its reason, and tells
//! the sender outside nothing.
//!
//! Invariants: an address belongs to one worker at a time; a chain is at most [`MAX_CHAIN`] steps long; no lock is
//! held while a worker runs.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::hash::{BuildHasher, Hash};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock, Weak};

use foldhash::quality::RandomState;
use ockam_wire::{Address, AddressRef, Buffer, Route};
use tokio::sync::{Notify, watch};

use crate::access::{Access, Rule};
use crate::denials::{Denials, DeniedBy};
use crate::flow_control::{Consumer, FlowId, Producer};
use crate::message::{ChannelPeer, LocalMessage};
use crate::on_demand::Starters;
use crate::queue::{Permit, Queue, QueueClosed, QueueReader, Weight};
use crate::rates::{Rates, Source};

pub use self::delivery::{Delivery, End, Inline};
pub use self::journey::Delivering;
pub use self::refusal::{Refusals, SendError};

mod delivery;
mod journey;
mod refusal;

/// Workers of one node. Cloning gives another handle to the same router.
#[derive(Clone)]
pub struct Router {
    inner: Arc<Inner>,
}

impl Router {
    /// Makes an empty router. Must be called within a tokio runtime: it starts the task behind [`End::Loopback`].
    pub(crate) fn new() -> Self {
        Self::with_most_hops(usize::MAX)
    }

    /// The same, for a node that passes nothing on with more hops in both routes together (spec: messaging 12 W5).
    pub(crate) fn with_most_hops(most_hops: usize) -> Self {
        let (loopback, reader) = Queue::new(LOOPBACK_BYTES);
        let router = Self {
            inner: Arc::new(Inner {
                workers: RwLock::default(),
                flows: Mutex::default(),
                consumers: Mutex::default(),
                loopback,
                refusals: Refusals::default(),
                denials: Arc::new(Denials::new()),
                most_hops,
                passed: AtomicU64::new(0),
                relayed: Default::default(),
                started: Notify::new(),
                starters: Arc::default(),
                outer: Mutex::default(),
            }),
        };
        tokio::spawn(run_loopback(router.downgrade(), reader));
        router
    }

    /// Starts a worker with a queue of its own at one or more addresses.
    ///
    /// # Errors
    /// [`StartError::AddressInUse`]; then none of the addresses is started.
    pub fn start_mailbox(
        &self,
        addresses: &[Address],
        access: Access,
    ) -> Result<Mailbox, StartError> {
        let (queue, reader) = Queue::new(MAILBOX_BYTES);
        let mut guards = Vec::with_capacity(addresses.len());
        for address in addresses {
            guards.push(self.start(
                address,
                Kind::Mailbox(queue.clone()),
                access.clone(),
                Behind::default(),
                &[],
            )?);
        }
        let Some(address) = addresses.first() else {
            return Err(StartError::NotLocal(String::new()));
        };
        Ok(Mailbox {
            address: address.clone(),
            reader,
            guards,
        })
    }

    /// Starts a worker that runs in the task of whoever sends to it.
    ///
    /// # Errors
    /// [`StartError::AddressInUse`].
    pub fn start_inline(
        &self,
        address: &Address,
        worker: Arc<dyn Inline>,
        access: Access,
    ) -> Result<WorkerGuard, StartError> {
        self.start(
            address,
            Kind::Inline(worker),
            access,
            Behind::default(),
            &[],
        )
    }

    /// The same, opened to messages that enter with one of these flows from its first moment on.
    pub(crate) fn start_inline_open_to(
        &self,
        address: &Address,
        worker: Arc<dyn Inline>,
        access: Access,
        consumed: &[FlowId],
    ) -> Result<WorkerGuard, StartError> {
        let behind = Behind::default();
        self.start(address, Kind::Inline(worker), access, behind, consumed)
    }

    /// Starts an inline worker that leads out of the node: the sender of a transport, the encryptor of a channel.
    pub(crate) fn start_leading_out(
        &self,
        address: &Address,
        worker: Arc<dyn Inline>,
        access: Access,
        behind: Behind,
    ) -> Result<WorkerGuard, StartError> {
        self.start(address, Kind::Inline(worker), access, behind, &[])
    }

    /// Sends a message that originates at the local address `from`, as [`Router::deliver`] does.
    ///
    /// # Errors
    /// Why the message could not be delivered on this node. What happens beyond it is not known here.
    ///
    /// # Cancel safety
    /// As for [`Router::deliver`].
    pub fn send(
        &self,
        from: &Address,
        onward: Route,
        return_route: Route,
        payload: Buffer,
    ) -> Delivering {
        self.deliver(LocalMessage::new(from, onward, return_route, payload))
    }

    /// Delivers a message. What needs no waiting is done when this returns; what has to wait, for room where the message
    /// ends or for a worker to be started, goes on while the returned value is awaited.
    ///
    /// # Errors
    /// Why it could not be delivered on this node; counted in [`Router::refusals`].
    ///
    /// # Cancel safety
    /// Dropped before it is ready, the message is either delivered or not; it is never delivered in part.
    pub fn deliver(&self, message: LocalMessage) -> Delivering {
        Delivering::start(self, message, None, None)
    }

    /// The same for a message that the worker of `guard` sends: it is not looked up.
    pub(crate) fn deliver_by(&self, guard: &WorkerGuard, message: LocalMessage) -> Delivering {
        Delivering::start(self, message, Some(&guard.entry), None)
    }

    /// Reserves room at the end of the chain that begins at `first` and runs `step` with it.
    pub(crate) async fn run_from(
        &self,
        first: &Address,
        weight: usize,
        step: impl FnOnce(&mut Delivery<'_>) -> Result<(), SendError>,
    ) -> Result<(), SendError> {
        let end = self.end_of_chain(End::Next(first.clone()), &mut []);
        let permit = self.reserve(&end, weight).await;
        let permit = permit.map_err(|_| SendError::Unknown(first.to_string()))?;
        let (to, back) = (Route::from(first.clone()), Route::new());
        let mut message = LocalMessage::new(first, to, back, Buffer::default());
        step(&mut Delivery::chain(self, &mut message, permit, None, &[]))
    }

    /// Delivers a message only if there is room now; for callers that must not wait.
    ///
    /// # Errors
    /// [`SendError::Full`] beside those of [`Router::deliver`].
    pub fn try_deliver(&self, message: LocalMessage) -> Result<(), SendError> {
        let permit = self
            .inner
            .loopback
            .try_reserve(message.weight())
            .ok_or(SendError::Full)?;
        self.inner
            .loopback
            .push(message, Some(permit))
            .map_err(|closed| SendError::Stopped(closed.to_string()))
    }

    /// Opens `address` to messages that enter through `producer`, as long as that is there.
    pub(crate) fn add_consumer_of(&self, address: &Address, producer: &Producer) {
        self.add_consumer(address, producer.id);
        // It may have ended meanwhile, and with it all permissions but this one.
        if !self.inner.live_flows().contains(&producer.id) {
            self.end_flow(producer.id);
        }
    }

    /// Opens `address` to messages that enter with flow `id`. Returns whether such a worker runs: a permission cannot
    /// wait for a worker that is started later (W41).
    pub fn add_consumer(&self, address: &Address, id: FlowId) -> bool {
        let Some(entry) = self.entry(address.name()) else {
            return false;
        };
        if entry.consumer.add(id) {
            self.note_consumer(&entry, id);
            if entry.is_gone() {
                // It ended meanwhile, perhaps before it was noted.
                self.inner.forget_consumer(&entry);
            }
        }
        true
    }

    /// So that the permission ends with the flow.
    fn note_consumer(&self, entry: &Arc<Entry>, id: FlowId) {
        let mut consumers = self.inner.consumers();
        let known = consumers.entry(id).or_default();
        known.insert(Arc::as_ptr(entry).addr(), Arc::downgrade(entry));
    }

    /// The ids that `address` consumes.
    pub fn consumed_by(&self, address: &Address) -> Vec<FlowId> {
        self.entry(address.name())
            .map(|entry| entry.consumer.ids())
            .unwrap_or_default()
    }

    /// Says that messages come from outside with flow `id` from now on.
    pub(crate) fn begin_flow(&self, id: FlowId) {
        self.inner.live_flows().insert(id);
    }

    /// Whether messages come in with flow `id`; not so for the flow of a listener.
    pub fn is_flow(&self, id: FlowId) -> bool {
        self.inner.live_flows().contains(&id)
    }

    /// Withdraws every permission given for `id`: its connection, channel or listener is gone.
    pub(crate) fn end_flow(&self, id: FlowId) {
        self.inner.live_flows().remove(&id);
        let consumers = self.inner.consumers().remove(&id);
        for entry in consumers.into_iter().flat_map(HashMap::into_values) {
            if let Some(entry) = entry.upgrade() {
                entry.consumer.remove(id);
            }
        }
    }

    /// The producer behind the first hop of `route`: what an answer over that route enters with (spec: messaging 4.3).
    pub fn producer_behind(&self, route: &Route) -> Option<Producer> {
        self.entry(route.first()?.name())?.behind.producer
    }

    /// From where comes what goes back over `address`: a connection that was accepted, or the encryptor of a channel that was
    /// opened over one.
    pub fn source_behind(&self, address: &Address) -> Option<Source> {
        let entry = self.entry(address.name())?;
        entry.behind.origin.as_ref().map(|far| far.source)
    }

    /// The same, with what is counted there.
    pub(crate) fn far_behind(&self, route: &Route) -> Option<Arc<Far>> {
        self.entry(route.first()?.name())?.behind.origin.clone()
    }

    /// The peer of the secure channel that begins at the encryptor `address`.
    pub fn channel_peer(&self, address: &Address) -> Option<Arc<ChannelPeer>> {
        self.entry(address.name())?.behind.peer.clone()
    }

    /// Whether a worker runs at `address`.
    pub fn is_running(&self, address: &Address) -> bool {
        self.entry(address.name()).is_some()
    }

    /// Addresses of all workers, sorted.
    pub fn addresses(&self) -> Vec<Address> {
        let workers = self
            .inner
            .workers
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        let mut addresses: Vec<_> = workers
            .values()
            .map(|entry| entry.address.clone())
            .collect();
        addresses.sort();
        addresses
    }

    /// Completes when a worker runs at `address`, at once when one does.
    ///
    /// # Cancel safety
    /// May be dropped and called again.
    pub async fn started(&self, address: &Address) {
        loop {
            let started = self.inner.started.notified();
            tokio::pin!(started);
            // Listening before looking: a start in between is not missed.
            started.as_mut().enable();
            if self.is_running(address) {
                return;
            }
            started.await;
        }
    }

    /// Completes when the worker at `address` has stopped, at once when there is none.
    pub fn gone(&self, address: &Address) -> impl Future<Output = ()> + Send + use<> {
        let receiver = self.entry(address.name()).map(|entry| entry.gone());
        async move {
            if let Some(mut receiver) = receiver {
                // The sender lives in the entry; an error means that the entry is gone, which is what is awaited too.
                drop(receiver.wait_for(|gone| *gone).await);
            }
        }
    }

    /// How many bytes of payload fit into one message that starts at `first`: the smallest limit of the transport at
    /// the end of the chain, less what the workers on the way add.
    pub fn payload_limit(&self, first: &Address) -> usize {
        let mut at = first.clone();
        let mut overhead = 0;
        for _ in 0..MAX_CHAIN {
            let Some(entry) = self.entry(at.name()) else {
                break;
            };
            let Kind::Inline(worker) = &entry.kind else {
                break;
            };
            overhead += worker.overhead();
            if let Some(limit) = worker.message_limit() {
                return limit.saturating_sub(overhead);
            }
            let End::Next(next) = worker.end() else { break };
            at = next;
        }
        ockam_wire::frame::MAX_FRAME.saturating_sub(overhead)
    }

    /// Counts a message that is dropped before it is delivered.
    pub(crate) fn refuse(&self, error: &SendError) {
        self.inner.refusals.count(error);
    }

    /// Messages refused so far, by reason.
    pub fn refusals(&self) -> &Refusals {
        &self.inner.refusals
    }

    /// Who was denied what.
    pub fn denials(&self) -> &Denials {
        &self.inner.denials
    }

    /// The same, for a worker that outlives none of it.
    pub(crate) fn shared_denials(&self) -> Arc<Denials> {
        self.inner.denials.clone()
    }

    /// Messages delivered so far.
    pub fn delivered(&self) -> u64 {
        self.inner.passed.load(Ordering::Relaxed)
    }

    /// Counts a message of a peer that goes on to another peer.
    pub(crate) fn note_relayed(&self, bytes: usize) {
        let [messages, all_bytes] = &self.inner.relayed;
        messages.fetch_add(1, Ordering::Relaxed);
        all_bytes.fetch_add(u64::try_from(bytes).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// What came from the peer of one channel and went on to the peer of another so far.
    pub fn relayed(&self) -> Relayed {
        let [messages, bytes] = &self.inner.relayed;
        Relayed {
            messages: messages.load(Ordering::Relaxed),
            bytes: bytes.load(Ordering::Relaxed),
        }
    }

    /// The worker that may receive `message`, after all checks.
    fn admit(&self, message: &LocalMessage, known: Known<'_>) -> Result<Arc<Entry>, SendError> {
        let Some(first) = message.onward.first() else {
            return Err(SendError::NoRoute);
        };
        if message.onward.len() + message.return_route.len() > self.inner.most_hops {
            return Err(SendError::ChainTooLong);
        }
        if first.transport() != ockam_wire::TransportType::LOCAL {
            return Err(SendError::NotLocal(first.to_string()));
        }
        let next = known
            .next
            .filter(|next| next.address == first && !next.is_gone());
        let Some(entry) = next.cloned().or_else(|| self.entry(first.name())) else {
            return Err(SendError::unknown(&message.onward));
        };
        if let Some(producer) = &message.origin.producer
            && !entry.consumer.accepts(producer)
        {
            self.note_denial(&entry, message, &DeniedBy::FlowControl);
            return Err(SendError::FlowControl(entry.address.clone()));
        }
        let origin = &message.origin.source;
        let looked_up;
        let source = match known.source.filter(|source| source.address == *origin) {
            Some(source) => Some(source),
            None => {
                looked_up = self.entry(origin.name());
                looked_up.as_deref()
            }
        };
        if let Some(source) = source
            && !self.may(source, &source.access.outgoing, message, |message| {
                self.leads_to(&message.onward)
            })
        {
            return Err(SendError::Outgoing(source.address.clone()));
        }
        if !self.may(&entry, &entry.access.incoming, message, |message| {
            message.origin.peer.clone()
        }) {
            return Err(SendError::Incoming(entry.address.clone()));
        }
        Ok(entry)
    }

    /// Asks one rule; what it denies is noted.
    fn may(
        &self,
        entry: &Entry,
        rule: &Rule,
        message: &LocalMessage,
        subject: impl FnOnce(&LocalMessage) -> Option<Arc<ChannelPeer>>,
    ) -> bool {
        if let Rule::Policy(guard) = rule {
            return guard.allows(subject(message).as_ref().map(|peer| &peer.identifier));
        }
        let allows = rule.allows(message);
        // A guard has noted it itself.
        if !allows && !matches!(rule, Rule::PolicyInChannels(_)) {
            self.note_denial(entry, message, &DeniedBy::AccessRule);
        }
        allows
    }

    fn note_denial(&self, entry: &Entry, message: &LocalMessage, rule: &DeniedBy) {
        let who = message.origin.peer.as_ref().map(|peer| &peer.identifier);
        self.inner.denials.note_at(who, &entry.address, rule);
    }

    /// The peer of the channel that a message along `onward` leaves through (spec: trust 6.6). The way is followed as
    /// messages take it: what names a channel behind a worker that leads elsewhere does not count.
    fn leads_to(&self, onward: &Route) -> Option<Arc<ChannelPeer>> {
        let local = |hop: AddressRef<'_>| match hop.transport() {
            ockam_wire::TransportType::LOCAL => self.entry(hop.name()),
            _ => None,
        };
        let mut hops = onward.iter();
        let mut entry = local(hops.next()?)?;
        for _ in 0..MAX_CHAIN {
            if entry.behind.producer.is_some() {
                return entry.behind.peer.clone();
            }
            let Kind::Inline(worker) = &entry.kind else {
                return None;
            };
            entry = match worker.end() {
                End::Next(next) => local(next.as_ref())?,
                _ if worker.passes_on() => local(hops.next()?)?,
                _ => return None,
            };
        }
        None
    }

    /// Where a chain ends that begins so. The first workers on the way there are left in `ahead`.
    fn end_of_chain(&self, mut end: End, ahead: &mut [Option<Arc<Entry>>]) -> End {
        let mut ahead = ahead.iter_mut();
        for _ in 0..MAX_CHAIN {
            let End::Next(next) = &end else { return end };
            let Some(entry) = self.entry(next.name()) else {
                return End::Loopback;
            };
            end = match &entry.kind {
                Kind::Mailbox(queue) => return End::Messages(queue.clone()),
                Kind::Inline(worker) => match worker.end() {
                    // What a local decryptor finds inside is known only after opening: another task goes on.
                    End::Opens => return End::Loopback,
                    end => end,
                },
            };
            if let Some(slot) = ahead.next() {
                *slot = Some(entry);
            }
        }
        End::Loopback
    }

    /// Waits for room where a chain ends.
    async fn reserve(&self, end: &End, weight: usize) -> Result<Permit, QueueClosed> {
        match end {
            End::Frames(queue) => queue.reserve(weight).await,
            End::Buffers(queue) => queue.reserve(weight).await,
            End::Messages(queue) => queue.reserve(weight).await,
            End::Opens | End::Loopback | End::Next(_) => self.inner.loopback.reserve(weight).await,
        }
    }

    /// Takes room where a chain ends, if there is some.
    fn try_reserve(&self, end: &End, weight: usize) -> Option<Permit> {
        match end {
            End::Frames(queue) => queue.try_reserve(weight),
            End::Buffers(queue) => queue.try_reserve(weight),
            End::Messages(queue) => queue.try_reserve(weight),
            End::Opens | End::Loopback | End::Next(_) => self.inner.loopback.try_reserve(weight),
        }
    }

    /// Where a chain that begins here ends, for a chain of another node.
    pub(crate) fn end_for_others(&self, end: End) -> End {
        match self.end_of_chain(end, &mut []) {
            // It is this node's task that goes on, not that of the one which asks.
            End::Loopback | End::Next(_) | End::Opens => End::Messages(self.inner.loopback.clone()),
            end => end,
        }
    }

    /// The hooks that start workers.
    pub(crate) fn starters(&self) -> &Arc<Starters> {
        &self.inner.starters
    }

    /// Notes which node this one is in. `false` if it is in one already, or that one is in it.
    pub(crate) fn set_outer(&self, outer: &Self) -> bool {
        let mut above = Some(outer.clone());
        while let Some(router) = above {
            if Arc::ptr_eq(&router.inner, &self.inner) {
                return false;
            }
            above = router.inner.outer().upgrade();
        }
        let mut known = self.inner.outer();
        if known.upgrade().is_some() {
            return false;
        }
        *known = outer.downgrade();
        true
    }

    /// This node is in no other any more.
    pub(crate) fn unset_outer(&self) {
        *self.inner.outer() = WeakRouter::default();
    }

    pub(crate) fn downgrade(&self) -> WeakRouter {
        WeakRouter(Arc::downgrade(&self.inner))
    }

    pub(crate) fn entry(&self, name: &[u8]) -> Option<Arc<Entry>> {
        self.inner
            .workers
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(name)
            .cloned()
    }

    fn start(
        &self,
        address: &Address,
        kind: Kind,
        access: Access,
        behind: Behind,
        consumed: &[FlowId],
    ) -> Result<WorkerGuard, StartError> {
        if address.transport() != ockam_wire::TransportType::LOCAL || address.name().is_empty() {
            return Err(StartError::NotLocal(address.to_string()));
        }
        let entry = Arc::new(Entry {
            address: address.clone(),
            kind,
            access,
            behind,
            consumer: Consumer::default(),
            gone: OnceLock::new(),
            gates: AtomicUsize::new(0),
        });
        for &id in consumed {
            entry.consumer.add(id);
        }
        let mut workers = self
            .inner
            .workers
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        if workers.contains_key(address.name()) {
            return Err(StartError::AddressInUse(address.clone()));
        }
        workers.insert(Box::from(address.name()), entry.clone());
        drop(workers);
        for &id in consumed {
            self.note_consumer(&entry, id);
        }
        self.inner.started.notify_waiters();
        Ok(WorkerGuard {
            router: Arc::downgrade(&self.inner),
            entry,
        })
    }

    fn loopback(&self) -> &Queue<LocalMessage> {
        &self.inner.loopback
    }
}

impl fmt::Debug for Router {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Router")
            .field("addresses", &self.addresses())
            .finish_non_exhaustive()
    }
}

/// A worker with a queue of its own. The worker stops when this is dropped.
#[derive(Debug)]
pub struct Mailbox {
    address: Address,
    reader: QueueReader<LocalMessage>,
    guards: Vec<WorkerGuard>,
}

impl Mailbox {
    /// The first of its addresses.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Waits for the next message. Never completes when nobody can send any more.
    ///
    /// # Cancel safety
    /// No message is lost when the future is dropped.
    pub async fn recv(&mut self) -> LocalMessage {
        match self.reader.recv().await {
            Some(message) => message.into_inner(),
            // Unreachable while the guards keep the queue in the router.
            None => std::future::pending().await,
        }
    }

    /// Frees the addresses, keeping what is queued readable.
    pub fn stop(&mut self) {
        self.guards.clear();
    }
}

/// Keeps a worker running; dropping it frees the address.
pub struct WorkerGuard {
    router: Weak<Inner>,
    entry: Arc<Entry>,
}

impl WorkerGuard {
    /// The address that is kept.
    pub fn address(&self) -> &Address {
        &self.entry.address
    }
}

impl Drop for WorkerGuard {
    fn drop(&mut self) {
        // Told here: a message that waits for room keeps the entry, so its end may come much later.
        self.entry
            .gone
            .get_or_init(|| watch::channel(true).0)
            .send_replace(true);
        let Some(router) = self.router.upgrade() else {
            return;
        };
        let mut workers = router
            .workers
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        let name = self.entry.address.name();
        if workers
            .get(name)
            .is_some_and(|entry| Arc::ptr_eq(entry, &self.entry))
        {
            workers.remove(name);
            shrink(&mut workers);
        }
        drop(workers);
        router.forget_consumer(&self.entry);
    }
}

impl fmt::Debug for WorkerGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("WorkerGuard")
            .field(&self.entry.address)
            .finish()
    }
}

/// A worker could not be started.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// Another worker has the address.
    #[error("the address `{0}` is already in use")]
    AddressInUse(Address),
    /// Workers have non-empty local addresses.
    #[error("`{0}` is not an address for a worker")]
    NotLocal(String),
    /// A strict node does not run it.
    #[error("a strict node does not run `{0}`")]
    Strict(Address),
    /// The node behind it has a gate already, or holds the one that was to have it.
    #[error("the node that `{0}` was to lead to is not free")]
    Entered(Address),
    /// The connection goes through too many gates.
    #[error("`{0}` goes into too many namespaces")]
    TooMany(Address),
}

/// What a node passed on between the peers of its channels, as it came to the channel that it left by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Relayed {
    /// Messages.
    pub messages: u64,
    /// Bytes of their payloads.
    pub bytes: u64,
}

impl std::ops::Add for Relayed {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            messages: self.messages + other.messages,
            bytes: self.bytes + other.bytes,
        }
    }
}

/// A router that this does not keep alive.
#[derive(Clone, Default)]
pub(crate) struct WeakRouter(Weak<Inner>);

impl WeakRouter {
    pub(crate) fn upgrade(&self) -> Option<Router> {
        self.0.upgrade().map(|inner| Router { inner })
    }
}

struct Inner {
    // Held for one look-up, insertion or removal.
    workers: RwLock<HashMap<Box<[u8]>, Arc<Entry>, RandomState>>,
    // The flows that messages come in with; held for one look-up.
    flows: Mutex<HashSet<FlowId>>,
    // Which workers to visit when an id ends, by where they are: nothing else gets to be there as long as they are known.
    // Held for one insertion or removal.
    consumers: Mutex<HashMap<FlowId, HashMap<usize, Weak<Entry>>>>,
    loopback: Arc<Queue<LocalMessage>>,
    refusals: Refusals,
    denials: Arc<Denials>,
    most_hops: usize,
    passed: AtomicU64,
    relayed: [AtomicU64; 2],
    /// Wakes those who wait for a worker to be started.
    started: Notify,
    starters: Arc<Starters>,
    /// The node that this one is in. Held for one look-up.
    outer: Mutex<WeakRouter>,
}

impl Inner {
    fn outer(&self) -> MutexGuard<'_, WeakRouter> {
        self.outer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn consumers(&self) -> MutexGuard<'_, HashMap<FlowId, HashMap<usize, Weak<Entry>>>> {
        self.consumers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets go of a worker that has ended.
    fn forget_consumer(&self, entry: &Arc<Entry>) {
        let mut consumers = self.consumers();
        for id in entry.consumer.ids() {
            if let Some(known) = consumers.get_mut(&id) {
                known.remove(&Arc::as_ptr(entry).addr());
                shrink(known);
                if known.is_empty() {
                    consumers.remove(&id);
                }
            }
        }
    }

    fn live_flows(&self) -> MutexGuard<'_, HashSet<FlowId>> {
        self.flows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What stands behind a worker that leads out of the node.
#[derive(Debug, Default)]
pub(crate) struct Behind {
    /// The peer of the channel that begins there.
    pub(crate) peer: Option<Arc<ChannelPeer>>,
    /// What comes back that way.
    pub(crate) producer: Option<Producer>,
    /// Where a connection that was accepted comes from, also behind channels and inside namespaces.
    pub(crate) origin: Option<Arc<Far>>,
}

/// The far end of a connection that was accepted.
#[derive(Debug)]
pub(crate) struct Far {
    pub(crate) source: Source,
    /// How many handshakes may begin from there: of all connections of the node that accepted it, whichever node inside
    /// that one they are for.
    pub(crate) handshakes: Arc<Rates<Source>>,
}

pub(crate) struct Entry {
    pub(crate) address: Address,
    pub(crate) kind: Kind,
    access: Access,
    pub(crate) behind: Behind,
    consumer: Consumer,
    gone: OnceLock<watch::Sender<bool>>,
    /// Gates of namespaces that know it.
    pub(crate) gates: AtomicUsize,
}

impl Entry {
    pub(crate) fn gone(&self) -> watch::Receiver<bool> {
        self.gone
            .get_or_init(|| watch::channel(false).0)
            .subscribe()
    }

    fn is_gone(&self) -> bool {
        self.gone.get().is_some_and(|gone| *gone.borrow())
    }
}

/// Workers that a message may name, and that are not looked up again then.
#[derive(Clone, Copy)]
struct Known<'a> {
    source: Option<&'a Entry>,
    next: Option<&'a Arc<Entry>>,
}

pub(crate) enum Kind {
    Mailbox(Arc<Queue<LocalMessage>>),
    Inline(Arc<dyn Inline>),
}

/// Delivers what a chain could not: messages to a mailbox behind a relay, or to a channel that ends on this node.
async fn run_loopback(router: WeakRouter, mut reader: QueueReader<LocalMessage>) {
    while let Some(message) = reader.recv().await {
        let Some(router) = router.upgrade() else {
            return;
        };
        // A message that comes back to this queue keeps its room: waiting here for room in it would be waiting for
        // itself. Errors are counted; there is nobody to tell.
        let (message, room) = message.into_parts();
        drop(Delivering::start(&router, message, None, room).await);
    }
}

/// Gives back what a table that was large took, each time that three quarters of it have become free.
fn shrink<K: Eq + Hash, V, S: BuildHasher>(table: &mut HashMap<K, V, S>) {
    if table.capacity() > SMALL_TABLE && table.len() < table.capacity() / 4 {
        table.shrink_to(table.len() * 2);
    }
}

/// Tables of this size are left alone.
const SMALL_TABLE: usize = 256;
/// Longest chain of inline workers, and most openings of one message (nested channels).
pub(crate) const MAX_CHAIN: usize = 32;
/// Room for messages that go on in another task.
const LOOPBACK_BYTES: usize = 8 * 1024 * 1024;
/// Room in the queue of a mailbox worker.
const MAILBOX_BYTES: usize = 1024 * 1024;

#[cfg(test)]
mod tests;
