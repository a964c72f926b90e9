//! Secure channels: the driver of [`ockam_channel`] on this node's router.
//!
//! A channel is two workers. Plaintext that enters the **encryptor** leaves sealed along the peer's route; what reaches
//! the **decryptor** is opened in place and goes on to the worker it names inside (spec: trust 5.1).
//!
//! ```text
//! worker -> encryptor =seal=> route to the peer ... -> decryptor =open=> worker
//! ```
//!
//! Invariants: the nonce is taken, the record sealed and queued under one short lock, so records leave in the order of
//! their nonces; nothing is sent to a peer that failed a check; a record is handed on only after it was authenticated;
//! while the handshake runs, records that come early wait in order. A channel ends with a Close, with the worker at the
//! first hop of its route, or with [`SecureChannel::close`].
//!
//! Where the peer's way back moves (spec: trust 5.1), it may move only behind the same connection or channel: a node on
//! the path that replays a record over another connection of its own cannot redirect the reverse direction (W39).

use std::fmt;
use std::mem;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ockam_channel::{ChannelMessage, LocalIdentity, Receiver, Role, Sender};
use ockam_identity::Identifier;
use ockam_vault::{SecretBytes, X25519Secret};
use ockam_wire::{Address, Buffer, Route, RoutingMessage};
use tokio::sync::watch;

use crate::admission::Activity;
use crate::flow_control::{FlowId, Producer};
use crate::message::{ChannelPeer, LocalMessage, Origin};
use crate::node::{Node, random};
use crate::router::{Delivery, End, Inline, Router, SendError};

pub use self::history::{HistoryRefused, MemoryHistories, PeerHistories};
pub use self::initiator::{ChannelError, ChannelOptions};
pub use self::listener::{ChannelListener, ListenerOptions};

mod decryptor;
mod history;
mod initiator;
mod listener;
mod presented;
mod telling;

/// An open channel. Cloning gives another handle; dropping all of them does not close it.
#[derive(Clone)]
pub struct SecureChannel {
    shared: Arc<Shared>,
}

impl SecureChannel {
    /// The first hop of a route through the channel.
    pub fn encryptor(&self) -> &Address {
        &self.shared.peer.channel
    }

    /// The address where the peer's records arrive.
    pub fn decryptor(&self) -> &Address {
        &self.shared.decryptor
    }

    /// Who is at the other end.
    pub fn peer(&self) -> &Arc<ChannelPeer> {
        &self.shared.peer
    }

    /// Flow of what comes out of the channel.
    pub fn flow(&self) -> FlowId {
        self.shared.producer.id
    }

    /// Which side this is.
    pub fn role(&self) -> Role {
        self.shared.role
    }

    /// The identity of this side.
    pub fn own_identifier(&self) -> &Identifier {
        &self.shared.own
    }

    /// The route of the handshake's first message, for lists.
    pub fn route(&self) -> &Route {
        &self.shared.route
    }

    /// Whether it has ended.
    pub fn is_closed(&self) -> bool {
        *self.shared.closed.borrow()
    }

    /// Completes when the channel has ended.
    ///
    /// # Cancel safety
    /// May be dropped and called again.
    pub async fn closed(&self) {
        let mut closed = self.shared.closed.subscribe();
        drop(closed.wait_for(|closed| *closed).await);
    }

    /// Ends the channel at once; the peer is not told.
    pub(crate) fn abandon(&self) {
        self.shared.closed.send_replace(true);
    }

    /// Tells the peer and ends the channel (spec: trust 5.9).
    pub async fn close(&self) {
        if self.is_closed() {
            return;
        }
        let shared = &self.shared;
        let told = shared
            .router
            .run_from(&shared.first_hop, CLOSE_WEIGHT, |delivery| {
                let record = ChannelMessage::Close
                    .encode()
                    .map_err(|_| SendError::TooLarge)?;
                let back = Route::from_hops([shared.peer.channel.clone()]).unwrap_or_default();
                shared.seal(record, back, delivery)
            });
        // A peer that cannot be reached need not be told, and must not delay the end.
        match tokio::time::timeout(CLOSE_TIMEOUT, told).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::debug!("the peer could not be told that the channel ends: {error}")
            }
            Err(_) => {
                tracing::debug!("the peer could not be told that the channel ends: no room in time")
            }
        }
        shared.closed.send_replace(true);
    }
}

impl fmt::Debug for SecureChannel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecureChannel")
            .field("encryptor", self.encryptor())
            .field("peer", &self.shared.peer.identifier)
            .finish_non_exhaustive()
    }
}

/// What encryptor, decryptor and handles share.
struct Shared {
    router: Router,
    role: Role,
    own: Identifier,
    peer: Arc<ChannelPeer>,
    /// Changes in the history that the handshake's key was attested under.
    attested: usize,
    /// A newer history of the peer is known than that.
    outdated: AtomicBool,
    decryptor: Address,
    producer: Producer,
    route: Route,
    first_hop: Address,
    // Orders nonces: held while one record is sealed and queued, never across an await.
    sending: Mutex<Sending>,
    newest: AtomicU64,
    /// When the last record came, for the choice of the idlest channel.
    active: Option<Activity>,
    /// The nonce that comes next when nothing is lost.
    expected: AtomicU64,
    /// Records opened so far.
    heard: AtomicU64,
    /// The largest plaintext that the transport below can carry when it is sealed.
    plaintext_limit: usize,
    closed: watch::Sender<bool>,
}

struct Sending {
    sender: Sender,
    route: Route,
}

impl Shared {
    /// Seals an encoded channel message and hands the record on.
    fn seal(
        &self,
        plaintext: Buffer,
        back: Route,
        delivery: &mut Delivery<'_>,
    ) -> Result<(), SendError> {
        let mut sending = self.sending.lock().unwrap_or_else(PoisonError::into_inner);
        if *self.closed.borrow() {
            return Err(SendError::Stopped(
                "the secure channel has been closed".to_owned(),
            ));
        }
        // A nonce that is used for a message nobody can carry would be missing at the peer.
        if plaintext.len() > self.plaintext_limit {
            return Err(SendError::TooLarge);
        }
        let record = match sending.sender.seal(plaintext) {
            Ok(record) => record,
            Err(error) => {
                self.closed.send_replace(true);
                return Err(SendError::Rejected(error.to_string()));
            }
        };
        let message = delivery.message();
        message.onward.clone_from(&sending.route);
        message.return_route = back;
        message.payload = record;
        message.origin = Origin::worker(self.peer.channel.clone());
        delivery.forward()
    }

    /// Opens one record, and leaves the message that it carries in its place.
    fn open(
        &self,
        receiver: &mut Receiver,
        record: &mut LocalMessage,
    ) -> Result<Opened, SendError> {
        if *self.closed.borrow() {
            return Err(SendError::Stopped(
                "the secure channel has been closed".to_owned(),
            ));
        }
        let (nonce, plaintext) = receiver
            .open(mem::take(&mut record.payload))
            .map_err(|error| SendError::Rejected(error.to_string()))?;
        self.note(nonce);
        self.heard.fetch_add(1, Ordering::Relaxed);
        if let Some(active) = &self.active {
            active.touch();
        }
        let message = ChannelMessage::decode(plaintext)
            .map_err(|error| SendError::Rejected(error.to_string()))?;
        match message {
            ChannelMessage::Payload(RoutingMessage {
                onward,
                mut return_route,
                payload,
            }) => {
                self.follow(nonce, &record.return_route);
                if onward.is_empty() {
                    // spec: extensions 4.4
                    return Ok(Opened::SignOfLife);
                }
                return_route
                    .push_front(&self.peer.channel)
                    .map_err(|_| SendError::ChainTooLong)?;
                *record = LocalMessage {
                    onward,
                    return_route,
                    payload,
                    origin: Origin {
                        source: self.decryptor.clone(),
                        peer: Some(self.peer.clone()),
                        producer: Some(self.producer),
                    },
                };
                Ok(Opened::Message)
            }
            ChannelMessage::RefreshCredentials(refresh) => Ok(Opened::Refresh(refresh)),
            ChannelMessage::Close => {
                self.closed.send_replace(true);
                Ok(Opened::Closed)
            }
        }
    }

    /// Completes when the peer has been silent for too long (spec: extensions 4.4). The initiator sees to it that this side
    /// is not.
    async fn silence(&self, longest: Duration) {
        if self.peer.extensions.streams.is_none() {
            return std::future::pending().await;
        }
        let tick = longest / SIGNS_OF_LIFE;
        let (mut heard, mut sent, mut quiet) = (0, 0, 0);
        loop {
            tokio::time::sleep(tick).await;
            match self.role {
                Role::Initiator => {
                    let next = self
                        .sending
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .sender
                        .next_nonce();
                    if next == sent {
                        self.say_something().await;
                    }
                    sent = next;
                }
                Role::Responder => {
                    let now = self.heard.load(Ordering::Relaxed);
                    quiet = if now == heard { quiet + 1 } else { 0 };
                    heard = now;
                    if quiet > SIGNS_OF_LIFE {
                        return;
                    }
                }
            }
        }
    }

    /// Sends a record that goes nowhere.
    async fn say_something(&self) {
        let sent = self
            .router
            .run_from(&self.first_hop, CLOSE_WEIGHT, |delivery| {
                let record = ChannelMessage::Payload(RoutingMessage::default())
                    .encode()
                    .map_err(|_| SendError::TooLarge)?;
                self.seal(record, Route::new(), delivery)
            });
        if let Err(error) = sent.await {
            tracing::debug!("a sign of life could not be sent: {error}");
        }
    }

    /// Keeps count of the records that did not come in order. The channel goes on: what needs every message in order looks
    /// at [`ChannelPeer::breaks`].
    fn note(&self, nonce: u64) {
        // Records are opened one at a time, under the decryptor's lock.
        let expected = self.expected.load(Ordering::Relaxed);
        if nonce != expected {
            self.peer.note_break();
            tracing::debug!(peer = %self.peer.identifier, "record {nonce} came where {expected} was expected");
        }
        self.expected
            .store(expected.max(nonce.saturating_add(1)), Ordering::Relaxed);
    }

    /// Lets the way back follow an initiator that moved (spec: trust 5.1), behind the same local worker only (W39).
    fn follow(&self, nonce: u64, came_from: &Route) {
        if self.role != Role::Responder || nonce <= self.newest.load(Ordering::Relaxed) {
            return;
        }
        self.newest.store(nonce, Ordering::Relaxed);
        if came_from
            .first()
            .is_none_or(|first| first != self.first_hop)
        {
            return;
        }
        let mut sending = self.sending.lock().unwrap_or_else(PoisonError::into_inner);
        let last = sending.route.last().map(|last| last.to_address());
        if sending.route.len() == came_from.len() + 1
            && sending
                .route
                .iter()
                .zip(came_from.iter())
                .all(|(a, b)| a == b)
        {
            return;
        }
        // A hop leads anywhere, also back into a channel that runs through this one.
        if self.router.producer_behind(came_from).is_none() {
            return;
        }
        let mut moved = came_from.clone();
        if let Some(last) = last
            && moved.push_back(&last).is_ok()
        {
            sending.route = moved;
        }
    }
}

/// What a record was.
enum Opened {
    /// A message, which goes on.
    Message,
    Refresh(ockam_channel::CredentialRefresh),
    SignOfLife,
    Closed,
}

/// The worker that seals.
struct Encryptor {
    shared: Arc<Shared>,
}

impl Inline for Encryptor {
    fn end(&self) -> End {
        End::Next(self.shared.first_hop.clone())
    }

    fn handle(&self, delivery: &mut Delivery<'_>) -> Result<(), SendError> {
        let router = delivery.router();
        let message = delivery.message();
        message.onward.drop_front();
        if message.origin.peer.is_some() {
            router.note_relayed(message.payload.len());
        }
        let payload = mem::take(&mut message.payload);
        let plaintext =
            ChannelMessage::encode_payload(&message.onward, &message.return_route, payload)
                .map_err(|_| SendError::TooLarge)?;
        // spec: trust 5.1 (a payload's own return route at its origin is empty)
        self.shared.seal(plaintext, Route::new(), delivery)
    }

    fn overhead(&self) -> usize {
        CHANNEL_OVERHEAD
    }
}

impl Node {
    fn fresh_ephemeral(&self) -> X25519Secret {
        X25519Secret::new(SecretBytes::new(random()))
    }

    fn own_offer(&self) -> ockam_channel::Offer {
        ockam_channel::Offer {
            hello: Vec::new(),
            extensions: ockam_channel::Extensions::default()
                .with_streams(STREAMS_VERSION)
                .with_withdrawals(WITHDRAWALS_VERSION)
                .with_pages(PAGES_VERSION)
                .encode(),
        }
    }
}

fn is_accepted(authorized: &[Identifier], identifier: &Identifier) -> bool {
    authorized.is_empty() || authorized.contains(identifier)
}

fn own_identifier(identity: &LocalIdentity) -> Identifier {
    *identity.history.identifier()
}

/// The version of streams that this node offers (`docs/protocol/4-extensions.md`).
const STREAMS_VERSION: u64 = 1;
/// The version of withdrawal notices that this node speaks, as an authority or as a member.
const WITHDRAWALS_VERSION: u64 = 1;
/// The version of paged lists that this node speaks, in both roles.
const PAGES_VERSION: u64 = 1;
/// Bytes that sealing adds around routes and payload: nonce, tag, CBOR heads, padding.
const CHANNEL_OVERHEAD: usize = 64;
const CLOSE_WEIGHT: usize = 256;
/// Signs of life within the longest silence.
const SIGNS_OF_LIFE: u32 = 3;
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests;
