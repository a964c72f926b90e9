//! The decryptor: waits with early messages while the handshake runs, then opens in place.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use ockam_channel::{CredentialRefresh, Established, Receiver};
use ockam_identity::{ChangeHistory, Identifier, VerifiedHistory};
use ockam_wire::{Address, Route};
use tokio::sync::{mpsc, watch};

use super::{Encryptor, Opened, SecureChannel, Sending, Shared, is_accepted, own_identifier};
use crate::access::Access;
use crate::admission::Ticket;
use crate::flow_control::{FlowId, Producer};
use crate::message::{ChannelPeer, LocalMessage};
use crate::node::Node;
use crate::own_identity::Taken;
use crate::queue::{Queue, QueueReader};
use crate::router::{Behind, Delivery, End, Inline, SendError, StartError, WorkerGuard};

/// A decryptor's address during the handshake: its messages wait in `reader`.
pub(super) struct Pending {
    pub(super) reader: QueueReader<LocalMessage>,
    decryptor: Arc<Decryptor>,
    guard: WorkerGuard,
}

impl Pending {
    /// Starts a decryptor at a fresh address.
    pub(super) fn start(node: &Node) -> Result<Self, StartError> {
        let (queue, reader) = Queue::new(EARLY_BYTES);
        let decryptor = Arc::new(Decryptor {
            open: AtomicBool::new(false),
            state: Mutex::new(State::Waiting),
            queue,
        });
        let address = node.random_address();
        let guard = node
            .router()
            .start_inline(&address, decryptor.clone(), Access::ALLOW_ALL)?;
        Ok(Self {
            reader,
            decryptor,
            guard,
        })
    }

    pub(super) fn address(&self) -> &Address {
        self.guard.address()
    }

    /// Makes the channel of a finished handshake and starts it: the encryptor, the opening of what waits, and the task
    /// that ends it.
    pub(super) fn establish(
        self,
        node: &Node,
        own_identity: Taken,
        established: Established,
        route: Route,
        way: Way,
    ) -> Result<SecureChannel, StartError> {
        let router = node.router();
        let far = router.far_behind(&way.to_peer);
        let Some(first_hop) = way.to_peer.first().map(|first| first.to_address()) else {
            return Err(StartError::NotLocal(String::new()));
        };
        let encryptor = way.encryptor.unwrap_or_else(|| node.random_address());
        let peer = Arc::new(ChannelPeer::new(
            Arc::new(established.peer.history().clone()),
            established.peer.extensions(),
            encryptor.clone(),
        ));
        let producer = Producer {
            id: node.random_flow(),
            spawner: way.spawner,
        };
        let plaintext_limit = router
            .payload_limit(&first_hop)
            .saturating_sub(RECORD_OVERHEAD);
        let shared = Arc::new(Shared {
            router: router.clone(),
            role: established.role,
            own: own_identifier(&own_identity.identity),
            peer: peer.clone(),
            attested: established.peer.history().changes().len(),
            outdated: false.into(),
            decryptor: self.address().clone(),
            producer,
            route,
            first_hop,
            sending: Mutex::new(Sending {
                sender: established.sender,
                route: way.to_peer,
            }),
            newest: 0.into(),
            active: way
                .accepted
                .as_ref()
                .map(|ticket| ticket.activity(node.started())),
            expected: 0.into(),
            heard: 0.into(),
            plaintext_limit,
            closed: watch::channel(false).0,
        });
        let worker = Arc::new(Encryptor {
            shared: shared.clone(),
        });
        let behind = Behind {
            peer: Some(peer),
            producer: Some(producer),
            origin: far,
        };
        // First, so that whoever waits for the encryptor finds all of it.
        router.begin_flow(producer.id);
        let encryptor_guard = router
            .start_leading_out(&encryptor, worker, Access::ALLOW_ALL, behind)
            .inspect_err(|_| router.end_flow(producer.id))?;
        let channel = SecureChannel {
            shared: shared.clone(),
        };
        let listed = node.remember_channel(channel.clone());
        let running = Running {
            node: node.clone(),
            shared,
            listed,
            authorized: way.authorized,
            accepted: way.accepted,
            presented: established.peer.history().clone(),
            _encryptor: encryptor_guard,
            _decryptor: self.guard,
        };
        tokio::spawn(running.run(
            self.decryptor,
            self.reader,
            established.receiver,
            own_identity,
        ));
        Ok(channel)
    }
}

/// How the peer is reached, under which listener the channel was accepted and the place it has there, and who may be at
/// the other end.
pub(super) struct Way {
    pub(super) to_peer: Route,
    pub(super) spawner: Option<FlowId>,
    pub(super) accepted: Option<Ticket<Option<FlowId>>>,
    pub(super) authorized: Vec<Identifier>,
    pub(super) encryptor: Option<Address>,
}

/// Keeps a channel running until it ends; then frees its addresses and permissions.
struct Running {
    node: Node,
    shared: Arc<Shared>,
    /// Its number in the node's list.
    listed: u64,
    /// The trust policy, asked again when the peer refreshes its credentials.
    authorized: Vec<Identifier>,
    /// Its place among the channels that were accepted.
    accepted: Option<Ticket<Option<FlowId>>>,
    /// The history of the handshake.
    presented: VerifiedHistory,
    _encryptor: WorkerGuard,
    _decryptor: WorkerGuard,
}

impl Running {
    async fn run(
        self,
        decryptor: Arc<Decryptor>,
        mut early: QueueReader<LocalMessage>,
        receiver: Receiver,
        own_identity: Taken,
    ) {
        let (refreshes, mut to_refresh) = mpsc::channel(REFRESHES);
        let channel = SecureChannel {
            shared: self.shared.clone(),
        };
        let open = Box::new(Open {
            node: self.node.clone(),
            shared: self.shared.clone(),
            receiver,
            refreshes,
            presented: self.presented.clone(),
            allowance: Allowance::new(),
        });
        let first_hop_gone = self.shared.router.gone(&self.shared.first_hop);
        let opening = async {
            decryptor.catch_up(&mut early, open).await;
            while let Some(refresh) = to_refresh.recv().await {
                self.refresh(refresh).await;
            }
            std::future::pending().await
        };
        let evicted = async {
            match &self.accepted {
                Some(ticket) => ticket.evicted().await,
                None => std::future::pending().await,
            }
        };
        let silent = self.shared.silence(self.node.limits().silent_channel);
        tokio::select! {
            () = channel.closed() => {}
            () = first_hop_gone => {}
            () = silent => {
                tracing::info!(peer = %channel.peer().identifier, "channel closed: its peer has gone silent");
                channel.close().await;
            }
            () = evicted => {
                tracing::info!(peer = %channel.peer().identifier, "idle channel closed: others came over the same way");
                channel.close().await;
            }
            () = opening => {}
            () = self.shared.tell_changes(own_identity) => {}
        }
    }

    /// Takes over a newer history and the credentials of the peer (spec: trust 5.8).
    async fn refresh(&self, refresh: CredentialRefresh) {
        let peer = &self.shared.peer.identifier;
        let history = match ChangeHistory::decode(&refresh.history) {
            Ok(history) => history,
            Err(error) => return tracing::warn!(%peer, "refresh of the channel refused: {error}"),
        };
        let history = match history.verify(self.node.verifier().as_ref(), Some(peer)) {
            Ok(history) => history,
            Err(error) => return tracing::warn!(%peer, "refresh of the channel refused: {error}"),
        };
        if let Err(error) = self.node.import_history(&history).await {
            return tracing::warn!(%peer, "refresh of the channel refused: {error}");
        }
        // spec: trust 11.2 (16)
        if !is_accepted(&self.authorized, peer) {
            tracing::warn!(%peer, "channel closed: its peer is not trusted any more");
            let shared = self.shared.clone();
            return SecureChannel { shared }.close().await;
        }
        self.node.take_credentials(&history, &refresh.credentials);
        self.shared.peer.presents(history);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let shared = &self.shared;
        shared.closed.send_replace(true);
        self.node.forget_channel(self.listed);
        shared.router.end_flow(shared.producer.id);
    }
}

/// The worker that opens. Until the handshake is finished its messages are queued in order.
pub(super) struct Decryptor {
    open: AtomicBool,
    // Orders records as they came; held while one record is opened, never across an await.
    state: Mutex<State>,
    queue: Arc<Queue<LocalMessage>>,
}

enum State {
    Waiting,
    Open(Box<Open>),
}

struct Open {
    node: Node,
    shared: Arc<Shared>,
    receiver: Receiver,
    refreshes: mpsc::Sender<CredentialRefresh>,
    /// The history of the handshake.
    presented: VerifiedHistory,
    allowance: Allowance,
}

/// How many refreshes are looked at: each costs several verifications.
struct Allowance {
    left: u32,
    refilled: Instant,
}

impl Allowance {
    fn new() -> Self {
        Self {
            left: REFRESHES_AT_ONCE,
            refilled: Instant::now(),
        }
    }

    fn take(&mut self) -> bool {
        let seconds = self.refilled.elapsed().as_secs();
        if seconds > 0 {
            let refill = u32::try_from(seconds).unwrap_or(u32::MAX);
            self.left = self.left.saturating_add(refill).min(REFRESHES_AT_ONCE);
            self.refilled = Instant::now();
        }
        let taken = self.left > 0;
        self.left = self.left.saturating_sub(1);
        taken
    }
}

impl Open {
    /// Opens one record. Returns whether it was a message, which goes on in its place.
    fn open(&mut self, record: &mut LocalMessage) -> Result<bool, SendError> {
        match self.shared.open(&mut self.receiver, record)? {
            Opened::Message => Ok(true),
            Opened::Closed | Opened::SignOfLife => Ok(false),
            Opened::Refresh(refresh) => {
                self.refresh(refresh)?;
                Ok(false)
            }
        }
    }

    /// A history that must be compared is another task's; without one the credentials count for the next record.
    fn refresh(&mut self, refresh: CredentialRefresh) -> Result<(), SendError> {
        if !self.allowance.take() {
            return Err(SendError::Full);
        }
        if refresh.history == self.presented.as_bytes()
            && !self.shared.outdated.load(Ordering::Relaxed)
        {
            self.node
                .take_credentials(&self.presented, &refresh.credentials);
            return Ok(());
        }
        self.refreshes
            .try_send(refresh)
            .map_err(|_| SendError::Full)
    }
}

impl Decryptor {
    /// Delivers what came early, in order, and then lets records be opened where they arrive.
    async fn catch_up(&self, early: &mut QueueReader<LocalMessage>, mut open: Box<Open>) {
        loop {
            let message = match early.try_recv() {
                Some(message) => message,
                None => {
                    let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
                    match early.try_recv() {
                        Some(message) => message,
                        None => {
                            *state = State::Open(open);
                            self.open.store(true, Ordering::Release);
                            return;
                        }
                    }
                }
            };
            let mut message = message.into_inner();
            match open.open(&mut message) {
                // Refusals are counted by the router.
                Ok(true) => drop(open.shared.router.deliver(message).await),
                Ok(false) => {}
                Err(error) => tracing::debug!("early record refused: {error}"),
            }
        }
    }
}

impl Inline for Decryptor {
    fn end(&self) -> End {
        if self.open.load(Ordering::Acquire) {
            End::Opens
        } else {
            End::Messages(self.queue.clone())
        }
    }

    fn handle(&self, delivery: &mut Delivery<'_>) -> Result<(), SendError> {
        let goes_on = {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            match &mut *state {
                State::Waiting => {
                    let message = delivery.message().take();
                    return delivery.commit(&self.queue, message);
                }
                // The chain found the handshake unfinished, and may hold the lock of the channel that it came through.
                State::Open(_) if !delivery.is_opening() => return delivery.defer(),
                State::Open(open) => open.open(delivery.message())?,
            }
        };
        if goes_on { delivery.forward() } else { Ok(()) }
    }
}

/// Bytes that may wait while a handshake is finished.
const EARLY_BYTES: usize = 1024 * 1024;
/// Refreshes of one channel that are looked at in a row; then one each second.
const REFRESHES_AT_ONCE: u32 = 16;
/// Refreshes that may wait.
const REFRESHES: usize = 4;
/// Nonce and tag.
const RECORD_OVERHEAD: usize = 24;
