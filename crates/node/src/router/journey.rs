//! The way of one message from its source to where it ends on this node.
//!
//! Nearly every message finds room at once. All it costs is a plain call then: nothing of its way is kept anywhere, and
//! whoever sends is not larger for it. Only what has to wait gets a future of its own.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

use super::{Delivery, End, Entry, Kind, MAX_CHAIN, Permit, Router, SendError};
use crate::message::LocalMessage;
use crate::on_demand::Started;
use crate::queue::Weight;

/// A message that is delivered already, or while this is awaited.
#[must_use = "a message that has to wait is delivered while this is awaited"]
pub struct Delivering(Progress);

enum Progress {
    Ended(std::future::Ready<Result<(), SendError>>),
    Waits(Pin<Box<dyn Future<Output = Result<(), SendError>> + Send>>),
}

impl Delivering {
    /// Begins to deliver a message. `room` is what it holds in the queue behind [`End::Loopback`] already.
    pub(super) fn start(router: &Router, message: LocalMessage, room: Option<Permit>) -> Self {
        let mut journey = Journey {
            elsewhere: None,
            // The task behind the loopback serves everybody: nobody's worker is waited for there.
            may_start: room.is_none(),
            room,
            steps: MAX_CHAIN,
        };
        Self(match journey.advance(router, message) {
            Ok(None) => Progress::Ended(std::future::ready(Ok(()))),
            Ok(Some(wait)) => {
                let router = router.clone();
                Progress::Waits(Box::pin(async move { journey.finish(&router, wait).await }))
            }
            Err(error) => Progress::Ended(std::future::ready(Err(error))),
        })
    }
}

impl Future for Delivering {
    type Output = Result<(), SendError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            Progress::Ended(ended) => Pin::new(ended).poll(context),
            Progress::Waits(waits) => waits.as_mut().poll(context),
        }
    }
}

impl fmt::Debug for Delivering {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let waits = matches!(self.0, Progress::Waits(_));
        f.debug_struct("Delivering").field("waits", &waits).finish()
    }
}

struct Journey {
    /// The router of another node, into which the message has gone on.
    elsewhere: Option<Router>,
    may_start: bool,
    room: Option<Permit>,
    /// How often it may still go on.
    steps: usize,
}

/// What has to be waited for.
enum Wait {
    /// Room at the end of the chain that begins at this worker.
    Room(LocalMessage, Arc<Entry>, End),
    /// The worker itself.
    Start(LocalMessage),
}

impl Journey {
    /// Takes the message as far as it goes without waiting.
    fn advance(
        &mut self,
        source: &Router,
        message: LocalMessage,
    ) -> Result<Option<Wait>, SendError> {
        let outcome = self.run(source, message);
        self.count(source, outcome.as_ref().map(Option::is_none));
        outcome
    }

    fn run(
        &mut self,
        source: &Router,
        mut message: LocalMessage,
    ) -> Result<Option<Wait>, SendError> {
        while let Some(left) = self.steps.checked_sub(1) {
            self.steps = left;
            let router = self.elsewhere.as_ref().unwrap_or(source);
            let entry = match router.admit(&message) {
                Err(SendError::Unknown(_)) if self.may_start => {
                    self.may_start = false;
                    return Ok(Some(Wait::Start(message)));
                }
                admitted => admitted?,
            };
            let end = match &entry.kind {
                Kind::Mailbox(queue) => End::Messages(queue.clone()),
                Kind::Inline(worker) => router.end_of_chain(worker.end()),
            };
            if let (End::Opens, Kind::Inline(worker)) = (&end, &entry.kind) {
                let mut delivery = Delivery::opening(router);
                worker.handle(message, &mut delivery)?;
                let Some(opened) = delivery.into_opened() else {
                    return Ok(None);
                };
                message = opened.message;
                if opened.elsewhere.is_some() {
                    self.elsewhere = opened.elsewhere;
                    // Room of the node that it has left is none here.
                    self.room = None;
                    self.may_start = true;
                }
                continue;
            }
            let permit = match end {
                End::Loopback | End::Next(_) if self.room.is_some() => self.room.take(),
                _ => router.try_reserve(&end, message.weight()),
            };
            let Some(permit) = permit else {
                return Ok(Some(Wait::Room(message, entry, end)));
            };
            match entry.take(router, message, permit)? {
                None => return Ok(None),
                Some(not_taken) => message = not_taken,
            }
        }
        Err(SendError::ChainTooLong)
    }

    async fn finish(mut self, source: &Router, mut wait: Wait) -> Result<(), SendError> {
        loop {
            let router = self.elsewhere.as_ref().unwrap_or(source);
            let waited = match wait {
                Wait::Room(message, entry, end) => {
                    match router.reserve(&end, message.weight()).await {
                        Ok(permit) => entry.take(router, message, permit),
                        Err(_) => Err(SendError::unknown(&message.onward)),
                    }
                }
                Wait::Start(message) => match router.starters().start_for(&message).await {
                    Started::Running => Ok(Some(message)),
                    Started::Unknown => Err(SendError::unknown(&message.onward)),
                },
            };
            let message = match waited {
                Ok(Some(message)) => message,
                ended => {
                    let ended = ended.map(drop);
                    self.count(source, ended.as_ref().map(|()| true));
                    return ended;
                }
            };
            match self.advance(source, message)? {
                None => return Ok(()),
                Some(next) => wait = next,
            }
        }
    }

    fn count(&self, source: &Router, delivered: Result<bool, &SendError>) {
        let router = self.elsewhere.as_ref().unwrap_or(source);
        match delivered {
            Ok(true) => drop(router.inner.passed.fetch_add(1, Ordering::Relaxed)),
            Ok(false) => {}
            Err(error) => router.inner.refusals.count(error),
        }
    }
}

impl Entry {
    /// Hands a message over, with room where it ends. It comes back if the worker turned out to be one that is called
    /// before that is known.
    fn take(
        &self,
        router: &Router,
        message: LocalMessage,
        permit: Permit,
    ) -> Result<Option<LocalMessage>, SendError> {
        match &self.kind {
            Kind::Mailbox(queue) => queue
                .push(message, Some(permit))
                .map_err(|closed| SendError::Stopped(closed.to_string()))?,
            // A decryptor whose handshake was finished while the message waited for room.
            Kind::Inline(worker) if matches!(worker.end(), End::Opens) => return Ok(Some(message)),
            Kind::Inline(worker) => {
                worker.handle(message, &mut Delivery::chain(router, permit))?;
            }
        }
        Ok(None)
    }
}
