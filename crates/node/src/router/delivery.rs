//! One run through a chain of inline workers.

use std::fmt;
use std::sync::Arc;

use ockam_wire::frame::Frame;
use ockam_wire::{Address, Buffer};

use super::{Entry, Kind, Known, MAX_CHAIN, Permit, Queue, Router, SendError};
use crate::message::LocalMessage;
use crate::queue::Weight;

/// A worker that is a plain function: it changes a message where it is and hands it on.
pub trait Inline: Send + Sync + 'static {
    /// Where the messages that this worker receives end up, so that room can be reserved before the chain runs.
    fn end(&self) -> End;

    /// Handles the message of `delivery`: puts it into the queue it belongs to, or changes it and hands it on. What is
    /// left of it afterwards goes nowhere.
    ///
    /// # Errors
    /// Why the message is dropped; counted by the router.
    fn handle(&self, delivery: &mut Delivery<'_>) -> Result<(), SendError>;

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

/// One message in the hands of an inline worker, and the room that was reserved for it. The message stays in one place from
/// the first worker of a chain to the last.
pub struct Delivery<'a> {
    router: &'a Router,
    message: &'a mut LocalMessage,
    /// Who has the message.
    at: Option<&'a Entry>,
    /// Who is next, as far as it was looked up when room was reserved.
    ahead: &'a [Option<Arc<Entry>>],
    mode: Mode,
    depth: usize,
}

enum Mode {
    /// Whoever called a worker that opens messages goes on with what it left.
    Opening(Option<GoesOn>),
    Chain(Option<Permit>),
}

/// Where a message goes on that a worker has opened.
pub(super) enum GoesOn {
    Here,
    /// At another node.
    In(Router),
}

impl<'a> Delivery<'a> {
    pub(super) fn opening(router: &'a Router, message: &'a mut LocalMessage) -> Self {
        Self {
            router,
            message,
            at: None,
            ahead: &[],
            mode: Mode::Opening(None),
            depth: 0,
        }
    }

    pub(super) fn chain(
        router: &'a Router,
        message: &'a mut LocalMessage,
        permit: Permit,
        at: Option<&'a Entry>,
        ahead: &'a [Option<Arc<Entry>>],
    ) -> Self {
        Self {
            router,
            message,
            at,
            ahead,
            mode: Mode::Chain(Some(permit)),
            depth: 0,
        }
    }

    pub(super) fn goes_on(self) -> Option<GoesOn> {
        match self.mode {
            Mode::Opening(goes_on) => goes_on,
            Mode::Chain(_) => None,
        }
    }

    /// The router that the message runs through.
    pub fn router(&self) -> &'a Router {
        self.router
    }

    /// The message.
    pub fn message(&mut self) -> &mut LocalMessage {
        self.message
    }

    /// Hands the message to the worker that its onward route names, after the same checks as for any other.
    ///
    /// # Errors
    /// Why it was refused.
    pub fn forward(&mut self) -> Result<(), SendError> {
        let permit = match &mut self.mode {
            Mode::Opening(goes_on) => {
                *goes_on = Some(GoesOn::Here);
                return Ok(());
            }
            Mode::Chain(permit) => permit.take(),
        };
        if self.depth >= MAX_CHAIN {
            return Err(SendError::ChainTooLong);
        }
        let (next, ahead) = match self.ahead {
            [Some(next), ahead @ ..] => (Some(next), ahead),
            _ => (None, [].as_slice()),
        };
        let known = Known {
            source: self.at,
            next,
        };
        let entry = self.router.admit(self.message, known)?;
        match &entry.kind {
            Kind::Mailbox(queue) => push(queue, self.message.take(), permit),
            Kind::Inline(worker) if matches!(worker.end(), End::Opens) => {
                push(self.router.loopback(), self.message.take(), permit)
            }
            Kind::Inline(worker) => worker.handle(&mut Delivery {
                router: self.router,
                message: self.message,
                at: Some(&entry),
                ahead,
                mode: Mode::Chain(permit),
                depth: self.depth + 1,
            }),
        }
    }

    /// Hands the message to the worker of another node that its onward route names, after the checks of that node.
    pub(crate) fn forward_in(&mut self, router: &Router) -> Result<(), SendError> {
        let permit = match &mut self.mode {
            Mode::Opening(goes_on) => {
                *goes_on = Some(GoesOn::In(router.clone()));
                return Ok(());
            }
            Mode::Chain(permit) => permit.take(),
        };
        let mut there = Delivery {
            router,
            message: self.message,
            at: None,
            ahead: &[],
            mode: Mode::Chain(permit),
            depth: self.depth + 1,
        };
        there.forward()
    }

    /// Hands the message to another task instead of the chain that is running, which holds locks of its own.
    pub(crate) fn defer(&mut self) -> Result<(), SendError> {
        push(
            self.router.loopback(),
            self.message.take(),
            self.take_permit(),
        )
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
        push(queue, item, self.take_permit())
    }

    fn take_permit(&mut self) -> Option<Permit> {
        match &mut self.mode {
            Mode::Opening(_) => None,
            Mode::Chain(permit) => permit.take(),
        }
    }
}

fn push<T: Weight>(queue: &Queue<T>, item: T, permit: Option<Permit>) -> Result<(), SendError> {
    queue
        .push(item, permit)
        .map_err(|closed| SendError::Stopped(closed.to_string()))
}

impl fmt::Debug for Delivery<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delivery")
            .field("depth", &self.depth)
            .finish_non_exhaustive()
    }
}
