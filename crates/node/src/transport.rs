//! Transports: what carries encoded routing messages between two nodes.
//!
//! A transport owns its socket and nothing else. It calls [`Node::attach`](crate::Node::attach) for each connection and
//! gets two halves: [`Inbound`] takes the messages that arrive, [`Outbound`] gives those that are to leave. Routing,
//! access, flow control and back-pressure are on this side of the two; anything that moves whole messages can be a
//! transport (`tests/lossy_transport.rs` is one).
//!
//! ```text
//! socket -> Inbound::receive -> [router] ... [router] -> sender worker -> Outbound::next_batch -> socket
//! ```
//!
//! Invariants: the sender worker's address is pushed on the return route of every message that comes in
//! (spec: messaging 2.3); nothing that arrives reaches a worker that was not opened to this connection or its listener
//! (spec: messaging 4.3); dropping either half ends the connection, frees the addresses and wakes whoever waits.

use std::fmt;
use std::io::{self, IoSlice};
use std::mem;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use ockam_wire::frame::{self, Frame};
use ockam_wire::{Address, Buffer, DecodeError, Route, RoutingMessage};
use tokio::sync::watch;

use crate::access::{Access, Rule};
use crate::flow_control::{FlowId, Producer};
use crate::message::{LocalMessage, Origin};
use crate::node::Node;
use crate::queue::{Queue, QueueReader, Queued};
use crate::rates::Source;
use crate::router::{
    Behind, Delivering, Delivery, End, Far, Inline, Router, SendError, StartError, WorkerGuard,
};

pub(crate) mod tcp;

/// How a connection joins the node.
#[derive(Debug, Clone)]
pub struct Attach {
    /// Short name of the transport in lists, for example `TCP`.
    pub transport: &'static str,
    /// Who is at the other end, as the transport writes it.
    pub peer: String,
    /// The address to send at, for a connection that takes the place of an earlier one; otherwise a random one.
    pub sender: Option<Address>,
    /// Set for a connection that this node accepted; `None` for one that it dialled.
    pub accepted: Option<Accepted>,
    /// Largest encoded message that can leave, in bytes.
    pub message_limit: usize,
    /// Bytes that may wait to leave.
    pub queue_bytes: usize,
}

/// What a listener says of a connection that it accepted.
#[derive(Debug, Clone)]
pub struct Accepted {
    /// The listener's flow: services that are open to the listener are open to its connections.
    pub flow: FlowId,
    /// Set by the node as soon as a worker accepted a message: the peer is more than a silent stranger.
    pub proven: Arc<AtomicBool>,
}

/// What is known of one connection.
#[derive(Debug, Clone)]
pub struct ConnectionInfo {
    /// Name of the transport.
    pub transport: &'static str,
    /// Who is at the other end.
    pub peer: String,
    /// Whether this node accepted the connection.
    pub accepted: bool,
    /// Address of the worker that sends over it.
    pub sender: Address,
    /// Address of the producer of what arrives over it.
    pub receiver: Address,
    /// Flow of what arrives.
    pub flow: FlowId,
}

/// A connection of any transport, as the node sees it. Cloning gives another handle.
#[derive(Debug, Clone)]
pub struct Connection {
    shared: Arc<Shared>,
}

impl Connection {
    /// What is known of it.
    pub fn info(&self) -> &ConnectionInfo {
        &self.shared.info
    }

    /// Address of the worker that sends over it: the first hop of a route.
    pub fn sender(&self) -> &Address {
        &self.shared.info.sender
    }

    /// Flow of what arrives over it.
    pub fn flow(&self) -> FlowId {
        self.shared.info.flow
    }

    /// Ends the connection. What is queued still leaves if the peer takes it at once.
    pub fn close(&self) {
        self.shared.closed.send_replace(true);
    }

    /// Completes when nothing more can leave: the connection has ended, and what was queued is sent or given up.
    pub(crate) async fn drained(&self) {
        let mut drained = self.shared.drained.subscribe();
        drop(drained.wait_for(|drained| *drained).await);
    }

    /// Whether it has ended.
    pub fn is_closed(&self) -> bool {
        *self.shared.closed.borrow()
    }

    /// Completes when it has ended.
    ///
    /// # Cancel safety
    /// May be dropped and called again.
    pub async fn closed(&self) {
        let mut closed = self.shared.closed.subscribe();
        // An error would mean that the sender is gone; it lives in `self`.
        drop(closed.wait_for(|closed| *closed).await);
    }

    /// Payload and headers received so far, in bytes.
    pub fn received_bytes(&self) -> u64 {
        self.shared.received.load(Ordering::Relaxed)
    }

    /// Payload and headers handed to the transport so far, in bytes.
    pub fn sent_bytes(&self) -> u64 {
        self.shared.leaving.sent.load(Ordering::Relaxed)
    }
}

/// Takes the messages that arrive over one connection.
#[derive(Debug)]
pub struct Inbound {
    router: Router,
    receiver: WorkerGuard,
    producer: Producer,
    shared: Arc<Shared>,
}

impl Inbound {
    /// Takes one encoded message, waiting for room where it goes: a transport that awaits this before it reads on has
    /// back-pressure. A message that is refused is counted and dropped, and the connection goes on.
    ///
    /// # Errors
    /// The bytes are not a routing message: the transport should end the connection (spec: messaging 2.1).
    ///
    /// # Cancel safety
    /// Dropped before it is ready, the message is lost.
    pub async fn receive(&mut self, encoded: Buffer) -> Result<(), DecodeError> {
        let Some(delivering) = self.begin(encoded)? else {
            return Ok(());
        };
        let delivered = delivering.await;
        if delivered.is_ok() && !self.shared.proven.load(Ordering::Relaxed) {
            self.shared.proven.store(true, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Does what needs no waiting. `None`: nothing goes on.
    fn begin(&self, encoded: Buffer) -> Result<Option<Delivering>, DecodeError> {
        let weight = encoded.len() as u64;
        let mut message = LocalMessage {
            onward: Route::new(),
            return_route: Route::new(),
            payload: encoded,
            origin: Origin {
                source: self.receiver.address().clone(),
                peer: None,
                producer: Some(self.producer),
            },
        };
        RoutingMessage::decode_parts(
            &mut message.onward,
            &mut message.return_route,
            &mut message.payload,
        )?;
        self.shared.received.fetch_add(weight, Ordering::Relaxed);
        if message.onward.is_empty() {
            // spec: messaging 1.7 (a heartbeat is dropped silently)
            return Ok(None);
        }
        let sender = &self.shared.info.sender;
        if message.return_route.push_front(sender).is_err() {
            // spec: messaging 12 W5 (the hop limit ends a loop over several nodes)
            self.router.refuse(&SendError::ChainTooLong);
            return Ok(None);
        }
        if message.payload.len() < SMALL {
            // A small message that waits must not keep the whole block alive which it was received in.
            message.payload = message.payload.detach();
        }
        Ok(Some(self.router.deliver_by(&self.receiver, message)))
    }

    /// The connection that this is a half of.
    pub fn connection(&self) -> Connection {
        Connection {
            shared: self.shared.clone(),
        }
    }
}

impl Drop for Inbound {
    fn drop(&mut self) {
        self.shared.closed.send_replace(true);
        self.router.end_flow(self.producer.id);
    }
}

/// Gives the messages that are to leave over one connection.
#[derive(Debug)]
pub struct Outbound {
    queue: QueueReader<Frame>,
    /// Gone as soon as the connection is to end; what was queued before still leaves.
    sender: Option<WorkerGuard>,
    closed: watch::Receiver<bool>,
    /// Messages that were given out last.
    given: usize,
    shared: Arc<Shared>,
}

impl Outbound {
    /// From now on a message is written by the task that sends it, as long as nothing waits before it and the transport
    /// takes it: it is still in the processor's cache, and nobody has to be woken. What is not taken at once is given out
    /// by [`Self::next_batch`].
    pub fn write_ahead_with(&self, transport: Weak<dyn WriteNow>) {
        // A second one never gets here.
        drop(self.shared.leaving.transport.set(transport));
    }

    /// Waits for at least one message and takes up to `most`; returns how many, 0 when the connection is to
    /// end and all that had been queued before was taken. Room in the queue comes back when a [`Queued`] message is
    /// dropped: drop it when it has been written.
    ///
    /// # Cancel safety
    /// No message is lost when the future is dropped.
    pub async fn next_batch(&mut self, into: &mut Vec<Queued<Frame>>, most: usize) -> usize {
        *self.shared.leaving.waiting() -= mem::take(&mut self.given);
        if self.sender.is_some() {
            let taken = tokio::select! {
                biased;
                () = is_set(&mut self.closed) => None,
                taken = self.queue.recv_many(into, most) => Some(taken),
            };
            match taken {
                Some(taken) => return self.taken(into, taken),
                None => self.stop(),
            }
        }
        let taken = self.queue.recv_many(into, most).await;
        self.taken(into, taken)
    }

    /// Takes nothing more from the node and frees the sender's address.
    fn stop(&mut self) {
        self.queue.close();
        self.sender.take();
    }

    fn taken(&mut self, into: &[Queued<Frame>], taken: usize) -> usize {
        let bytes: usize = into.iter().map(|message| message.len()).sum();
        self.shared.leaving.count(bytes);
        self.given = taken;
        taken
    }

    /// The connection that this is a half of.
    pub fn connection(&self) -> Connection {
        Connection {
            shared: self.shared.clone(),
        }
    }
}

impl Drop for Outbound {
    fn drop(&mut self) {
        self.stop();
        self.shared.closed.send_replace(true);
        self.shared.drained.send_replace(true);
    }
}

async fn is_set(flag: &mut watch::Receiver<bool>) {
    // An error would mean that its sender is gone; it lives beside the receiver.
    drop(flag.wait_for(|flag| *flag).await);
}

#[derive(Debug)]
struct Shared {
    info: ConnectionInfo,
    closed: watch::Sender<bool>,
    /// Set when the outbound half is gone: nothing can leave any more.
    drained: watch::Sender<bool>,
    proven: Arc<AtomicBool>,
    received: AtomicU64,
    leaving: Arc<Leaving>,
}

/// A transport that can write without waiting.
pub trait WriteNow: Send + Sync {
    /// Writes what the transport takes at once; returns how many bytes.
    ///
    /// # Errors
    /// `WouldBlock` when that is nothing. Any other error is left to whoever writes next.
    fn write_now(&self, parts: &[IoSlice<'_>]) -> io::Result<usize>;
}

/// What leaves over one connection, as far as sender and transport have to agree on it.
#[derive(Default)]
struct Leaving {
    /// Messages in the queue, or given out of it and not known to be written. Held while a message is written ahead of none.
    waiting: Mutex<usize>,
    transport: OnceLock<Weak<dyn WriteNow>>,
    sent: AtomicU64,
}

impl Leaving {
    fn waiting(&self) -> MutexGuard<'_, usize> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self, bytes: usize) {
        self.sent.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Writes what is taken at once of a message before which nothing waits.
    fn write_ahead(&self, frame: &mut Frame) {
        let transport = self.transport.get().and_then(Weak::upgrade);
        let written = transport.map(|transport| {
            let parts = frame.slices().map(IoSlice::new);
            transport.write_now(&parts)
        });
        if let Some(Ok(written)) = written {
            frame.advance(written);
            self.count(written);
        }
    }
}

impl fmt::Debug for Leaving {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Leaving")
            .field("waiting", &self.waiting)
            .field("sent", &self.sent)
            .finish_non_exhaustive()
    }
}

/// The worker at the first hop of routes over a connection.
#[derive(Debug)]
struct Sender {
    queue: Arc<Queue<Frame>>,
    message_limit: usize,
    leaving: Arc<Leaving>,
}

impl Inline for Sender {
    fn end(&self) -> End {
        End::Frames(self.queue.clone())
    }

    fn handle(&self, delivery: &mut Delivery<'_>) -> Result<(), SendError> {
        let message = delivery.message();
        message.onward.drop_front();
        let payload = mem::take(&mut message.payload);
        let mut frame = Frame::new(&message.onward, &message.return_route, payload)
            .map_err(|_| SendError::TooLarge)?;
        if frame.len() > self.message_limit.saturating_add(frame::PREFIX) {
            return Err(SendError::TooLarge);
        }
        let mut waiting = self.leaving.waiting();
        if *waiting == 0 {
            self.leaving.write_ahead(&mut frame);
            if frame.is_empty() {
                return Ok(());
            }
        }
        delivery.commit(&self.queue, frame)?;
        *waiting += 1;
        Ok(())
    }

    fn overhead(&self) -> usize {
        ROUTES_ALLOWANCE
    }

    fn message_limit(&self) -> Option<usize> {
        Some(self.message_limit)
    }
}

impl Node {
    /// Where a connection that is accepted comes from, if its transport says so with an address.
    fn far(&self, attach: &Attach) -> Option<Arc<Far>> {
        attach.accepted.as_ref()?;
        let peer = attach.peer.parse().ok()?;
        Some(Arc::new(Far {
            source: Source::of(peer),
            handshakes: self.handshakes().clone(),
        }))
    }

    /// Joins one connection of a transport to the node.
    ///
    /// # Errors
    /// [`StartError::AddressInUse`] if the address to send at is taken.
    pub fn attach(&self, attach: Attach) -> Result<(Inbound, Outbound), StartError> {
        let router = self.router();
        let origin = self.far(&attach);
        let sender = attach.sender.unwrap_or_else(|| self.random_address());
        let receiver = self.random_address();
        let flow = self.random_flow();
        let producer = Producer {
            id: flow,
            spawner: attach.accepted.as_ref().map(|accepted| accepted.flow),
        };
        let (queue, reader) = Queue::new(attach.queue_bytes);
        let leaving = Arc::new(Leaving::default());
        let worker = Arc::new(Sender {
            queue,
            message_limit: attach.message_limit,
            leaving: leaving.clone(),
        });
        // spec: messaging 2.3 (the sender sends nothing itself, the receiver receives nothing)
        let behind = Behind {
            peer: None,
            producer: Some(producer),
            origin,
        };
        // First, so that whoever waits for the sender finds all of it.
        router.begin_flow(flow);
        let sender_guard = router
            .start_leading_out(&sender, worker, Access::RECEIVE_ONLY, behind)
            .inspect_err(|_| router.end_flow(flow))?;
        let receiver_guard = router.start_inline(
            &receiver,
            Arc::new(Nobody),
            Access {
                incoming: Rule::DenyAll,
                outgoing: Rule::AllowAll,
            },
        )?;
        let shared = Arc::new(Shared {
            info: ConnectionInfo {
                transport: attach.transport,
                peer: attach.peer,
                accepted: attach.accepted.is_some(),
                sender,
                receiver,
                flow,
            },
            closed: watch::channel(false).0,
            drained: watch::channel(false).0,
            proven: attach
                .accepted
                .map(|accepted| accepted.proven)
                .unwrap_or_default(),
            received: AtomicU64::new(0),
            leaving,
        });
        self.remember_connection(&Connection {
            shared: shared.clone(),
        });
        Ok((
            Inbound {
                router: router.clone(),
                receiver: receiver_guard,
                producer,
                shared: shared.clone(),
            },
            Outbound {
                queue: reader,
                sender: Some(sender_guard),
                closed: shared.closed.subscribe(),
                given: 0,
                shared,
            },
        ))
    }
}

impl Connection {
    pub(crate) fn downgrade(&self) -> WeakConnection {
        WeakConnection(Arc::downgrade(&self.shared))
    }
}

/// A connection in a list, which does not keep it alive.
#[derive(Debug, Clone)]
pub(crate) struct WeakConnection(Weak<Shared>);

impl WeakConnection {
    pub(crate) fn upgrade(&self) -> Option<Connection> {
        let connection = Connection {
            shared: self.0.upgrade()?,
        };
        (!connection.is_closed()).then_some(connection)
    }
}

/// Stands at an address that only sends.
#[derive(Debug)]
pub(crate) struct Nobody;

impl Inline for Nobody {
    fn end(&self) -> End {
        End::Loopback
    }

    fn handle(&self, delivery: &mut Delivery<'_>) -> Result<(), SendError> {
        Err(SendError::Rejected(format!(
            "`{}` only sends",
            delivery
                .message()
                .onward
                .first()
                .map(|first| first.to_string())
                .unwrap_or_default()
        )))
    }
}

/// Payloads below this many bytes are copied out of the block they were received in.
const SMALL: usize = 2048;
/// What the routes of a message may take of the message limit.
const ROUTES_ALLOWANCE: usize = 512;
