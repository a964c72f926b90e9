//! One run through a chain of inline workers.

use std::fmt;
use std::sync::Arc;

use ockam_wire::frame::Frame;
use ockam_wire::{Address, Buffer};

use super::{Kind, MAX_CHAIN, Permit, Queue, Router, SendError};
use crate::message::LocalMessage;
use crate::queue::Weight;

/// A worker that is a plain function: it changes a message and hands it on.
pub trait Inline: Send + Sync + 'static {
    /// Where the messages that this worker receives end up, so that room can be reserved before the chain runs.
    fn end(&self) -> End;

    /// Handles one message: puts it into the queue it belongs to or hands it on, both through `delivery`.
    ///
    /// # Errors
    /// Why the message is dropped; counted by the router.
    fn handle(&self, message: LocalMessage, delivery: &mut Delivery<'_>) -> Result<(), SendError>;

    /// Whether a message goes on to what its route names next, wherever that is.
    fn passes_on(&self) -> bool {
        false
    }

    /// Bytes that the worker adds to a payload; 0 when it only moves hops.
    fn overhead(&self) -> usize {
        0
    }

    /// The largest message that can leave here; `None` except at the end of a chain.
    fn message_limit(&self) -> Option<usize> {
        None
    }
}

/// Where a chain goes on, or ends.
#[derive(Debug, Clone)]
pub enum End {
    /// In the queue of a transport.
    Frames(Arc<Queue<Frame>>),
    /// In a queue of plain bytes: a socket.
    Buffers(Arc<Queue<Buffer>>),
    /// In a queue of messages for a task of this node.
    Messages(Arc<Queue<LocalMessage>>),
    /// At another worker of this node.
    Next(Address),
    /// Unknown before the worker has run: a decryptor. The source calls it and goes on with what it found.
    Opens,
    /// At a worker that is known only per message; another task goes on.
    Loopback,
}

/// What an inline worker may do with a message, and the room that was reserved for it.
pub struct Delivery<'a> {
    router: &'a Router,
    mode: Mode,
    depth: usize,
}

#[expect(
    clippy::large_enum_variant,
    reason = "a box per message would be an allocation on the data path"
)]
enum Mode {
    Opening(Option<GoesOn>),
    Chain(Option<Permit>),
}

/// What a worker that opens messages has found.
pub(super) struct GoesOn {
    pub(super) message: LocalMessage,
    /// The router of another node, where it goes on.
    pub(super) elsewhere: Option<Router>,
}

impl<'a> Delivery<'a> {
    pub(super) fn opening(router: &'a Router) -> Self {
        Self {
            router,
            mode: Mode::Opening(None),
            depth: 0,
        }
    }

    pub(super) fn chain(router: &'a Router, permit: Permit) -> Self {
        Self {
            router,
            mode: Mode::Chain(Some(permit)),
            depth: 0,
        }
    }

    pub(super) fn into_opened(self) -> Option<GoesOn> {
        match self.mode {
            Mode::Opening(opened) => opened,
            Mode::Chain(_) => None,
        }
    }

    /// The router that the message runs through.
    pub fn router(&self) -> &Router {
        self.router
    }

    /// Hands the message to the worker that its onward route names, after the same checks as for any other.
    ///
    /// # Errors
    /// Why it was refused.
    pub fn forward(&mut self, message: LocalMessage) -> Result<(), SendError> {
        let permit = match &mut self.mode {
            Mode::Opening(opened) => {
                *opened = Some(GoesOn {
                    message,
                    elsewhere: None,
                });
                return Ok(());
            }
            Mode::Chain(permit) => permit,
        };
        if self.depth >= MAX_CHAIN {
            return Err(SendError::ChainTooLong);
        }
        let entry = self.router.admit(&message)?;
        match &entry.kind {
            Kind::Mailbox(queue) => queue
                .push(message, permit.take())
                .map_err(|closed| SendError::Stopped(closed.to_string())),
            Kind::Inline(worker) if matches!(worker.end(), End::Opens) => self
                .router
                .loopback()
                .push(message, permit.take())
                .map_err(|closed| SendError::Stopped(closed.to_string())),
            Kind::Inline(worker) => {
                self.depth += 1;
                worker.handle(message, self)
            }
        }
    }

    /// Hands the message to the worker of another node that its onward route names, after the checks of that node.
    pub(crate) fn forward_in(
        &mut self,
        router: &Router,
        message: LocalMessage,
    ) -> Result<(), SendError> {
        let permit = match &mut self.mode {
            Mode::Opening(opened) => {
                *opened = Some(GoesOn {
                    message,
                    elsewhere: Some(router.clone()),
                });
                return Ok(());
            }
            Mode::Chain(permit) => permit.take(),
        };
        let mut there = Delivery {
            router,
            mode: Mode::Chain(permit),
            depth: self.depth + 1,
        };
        there.forward(message)
    }

    /// Hands the message to another task instead of the chain that is running, which holds locks of its own.
    pub(crate) fn defer(&mut self, message: LocalMessage) -> Result<(), SendError> {
        self.router
            .loopback()
            .push(message, self.take_permit())
            .map_err(|closed| SendError::Stopped(closed.to_string()))
    }

    /// Whether the source opens the message and goes on with what it finds, outside of any chain.
    pub(crate) fn is_opening(&self) -> bool {
        matches!(self.mode, Mode::Opening(_))
    }

    /// Puts an item into the queue where the chain ends, with the room that was reserved.
    ///
    /// # Errors
    /// [`SendError::Stopped`] when the queue's reader is gone.
    pub fn commit<T: Weight>(&mut self, queue: &Queue<T>, item: T) -> Result<(), SendError> {
        queue
            .push(item, self.take_permit())
            .map_err(|closed| SendError::Stopped(closed.to_string()))
    }

    fn take_permit(&mut self) -> Option<Permit> {
        match &mut self.mode {
            Mode::Opening(_) => None,
            Mode::Chain(permit) => permit.take(),
        }
    }
}

impl fmt::Debug for Delivery<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delivery")
            .field("depth", &self.depth)
            .finish_non_exhaustive()
    }
}
