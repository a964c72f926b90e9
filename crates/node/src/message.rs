//! A message inside a node: routes, payload and where it really came from.

use std::mem;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use ockam_channel::Extensions;
use ockam_identity::{Identifier, VerifiedHistory};
use ockam_wire::{Address, Buffer, Route};

use crate::flow_control::Producer;
use crate::queue::{ITEM_WEIGHT, Weight};

/// A routing message on its way between two workers of one node (spec: messaging 1.7, 4.1).
#[derive(Debug)]
pub struct LocalMessage {
    /// Where it still has to go; the first hop is the worker that receives it.
    pub onward: Route,
    /// Where an answer goes. Written by others: never a reason to trust.
    pub return_route: Route,
    /// The payload, with room for the headers of the layers below.
    pub payload: Buffer,
    /// Who handed it over; set by this node alone.
    pub origin: Origin,
}

impl LocalMessage {
    /// Makes the message that `from` sends.
    pub fn new(from: &Address, onward: Route, return_route: Route, payload: Buffer) -> Self {
        Self {
            onward,
            return_route,
            payload,
            origin: Origin::worker(from.clone()),
        }
    }

    /// Takes it from where it is handled, so that it can be kept.
    pub fn take(&mut self) -> Self {
        Self {
            onward: mem::take(&mut self.onward),
            return_route: mem::take(&mut self.return_route),
            payload: mem::take(&mut self.payload),
            origin: self.origin.clone(),
        }
    }
}

impl Weight for LocalMessage {
    fn weight(&self) -> usize {
        self.payload.len() + ITEM_WEIGHT
    }
}

/// The true source of a message, kept apart from the return route (spec: messaging 4.1, 4.4).
#[derive(Debug, Clone)]
pub struct Origin {
    /// The local address that handed the message over.
    pub source: Address,
    /// The peer of the innermost secure channel that the message came through.
    pub peer: Option<Arc<ChannelPeer>>,
    /// Set on a message that has just entered the node from outside: only consumers of this producer may receive it.
    pub producer: Option<Producer>,
}

impl Origin {
    /// A message made by a worker of this node.
    pub fn worker(source: Address) -> Self {
        Self {
            source,
            peer: None,
            producer: None,
        }
    }

    /// Notes that `hop` passes the message on: the peer stays, the permission to enter does not.
    pub fn pass_on_by(&mut self, hop: Address) {
        self.source = hop;
        self.producer = None;
    }
}

/// Who is at the other end of a secure channel.
#[derive(Debug)]
pub struct ChannelPeer {
    /// The verified identifier.
    pub identifier: Identifier,
    /// What the peer offered beyond the published protocol.
    pub extensions: Extensions,
    /// Local name of the channel: its encryptor.
    pub channel: Address,
    // Held for one copy of the pointer, or its replacement.
    history: RwLock<Arc<VerifiedHistory>>,
    breaks: AtomicU64,
}

impl PartialEq for ChannelPeer {
    fn eq(&self, other: &Self) -> bool {
        self.identifier == other.identifier && self.channel == other.channel
    }
}

impl Eq for ChannelPeer {}

impl ChannelPeer {
    pub(crate) fn new(
        history: Arc<VerifiedHistory>,
        extensions: Extensions,
        channel: Address,
    ) -> Self {
        Self {
            identifier: *history.identifier(),
            extensions,
            channel,
            history: RwLock::new(history),
            breaks: AtomicU64::new(0),
        }
    }

    /// The newest change history that it presented over this channel (spec: trust 5.8).
    pub fn history(&self) -> Arc<VerifiedHistory> {
        self.history
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Takes over a history of the same identity that was compared with what is known.
    pub(crate) fn presents(&self, history: VerifiedHistory) {
        *self.history.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(history);
    }

    /// How often a record of the peer was missing or came late so far. Whoever hands on a stream of bytes that came in
    /// several messages stops when this changes: the pieces are authentic, their order and number are what the way
    /// makes of them.
    pub fn breaks(&self) -> u64 {
        self.breaks.load(Ordering::Relaxed)
    }

    pub(crate) fn note_break(&self) {
        self.breaks.fetch_add(1, Ordering::Relaxed);
    }
}
