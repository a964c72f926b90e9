//! The way of one message from its source to where it ends on this node.
//!
//! Nearly every message finds room at once. All it costs is a plain call then: nothing of its way is kept anywhere, and
//! whoever sends is not larger for it. Only what has to wait gets a future of its own.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

use super::delivery::GoesOn;
use super::{Delivery, End, Entry, Kind, Known, MAX_CHAIN, Permit, Router, SendError};
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
    /// Begins to deliver a message. `by` is who sends it, where that is at hand; `room` what it holds in the queue behind
    /// [`End::Loopback`] already.
    pub(super) fn start(
        router: &Router,
        mut message: LocalMessage,
        by: Option<&Entry>,
        room: Option<Permit>,
    ) -> Self {
        let mut journey = Journey {
            elsewhere: None,
            // The task behind the loopback serves everybody: nobody's worker is waited for there.
            may_start: room.is_none(),
            room,
            steps: MAX_CHAIN,
        };
        Self(match journey.advance(router, by, &mut message) {
            Ok(None) => Progress::Ended(std::future::ready(Ok(()))),
            Ok(Some(wait)) => {
                let router = router.clone();
                Progress::Waits(Box::pin(async move {
                    journey.finish(&router, message, wait).await
                }))
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
    Room(Arc<Entry>, End),
    /// The worker itself.
    Start,
}

impl Journey {
    /// Takes the message as far as it goes without waiting.
    fn advance(
        &mut self,
        source: &Router,
        by: Option<&Entry>,
        message: &mut LocalMessage,
    ) -> Result<Option<Wait>, SendError> {
        let outcome = self.run(source, by, message);
        self.count(source, outcome.as_ref().map(Option::is_none));
        outcome
    }

    fn run(
        &mut self,
        source: &Router,
        mut by: Option<&Entry>,
        message: &mut LocalMessage,
    ) -> Result<Option<Wait>, SendError> {
        let mut opened_by: Option<Arc<Entry>> = None;
        while let Some(left) = self.steps.checked_sub(1) {
            self.steps = left;
            let router = self.elsewhere.as_ref().unwrap_or(source);
            let known = Known {
                source: opened_by.as_deref().or(by.take()),
                next: None,
            };
            let entry = match router.admit(message, known) {
                Err(SendError::Unknown(_)) if self.may_start => {
                    self.may_start = false;
                    return Ok(Some(Wait::Start));
                }
                admitted => admitted?,
            };
            let mut ahead = [const { None }; AHEAD];
            let end = match &entry.kind {
                Kind::Mailbox(queue) => End::Messages(queue.clone()),
                Kind::Inline(worker) => router.end_of_chain(worker.end(), &mut ahead),
            };
            if let (End::Opens, Kind::Inline(worker)) = (&end, &entry.kind) {
                let mut delivery = Delivery::opening(router, message);
                worker.handle(&mut delivery)?;
                match delivery.goes_on() {
                    None => return Ok(None),
                    Some(GoesOn::Here) => opened_by = Some(entry),
                    Some(GoesOn::In(elsewhere)) => {
                        self.elsewhere = Some(elsewhere);
                        // What was known, and the room, are of the node that it has left.
                        opened_by = None;
                        self.room = None;
                        self.may_start = true;
                    }
                }
                continue;
            }
            let permit = match end {
                End::Loopback | End::Next(_) if self.room.is_some() => self.room.take(),
                _ => router.try_reserve(&end, message.weight()),
            };
            let Some(permit) = permit else {
                return Ok(Some(Wait::Room(entry, end)));
            };
            if entry.take(router, message, permit, &ahead)? == Taken::Yes {
                return Ok(None);
            }
            opened_by = None;
        }
        Err(SendError::ChainTooLong)
    }

    async fn finish(
        mut self,
        source: &Router,
        mut message: LocalMessage,
        mut wait: Wait,
    ) -> Result<(), SendError> {
        loop {
            let router = self.elsewhere.as_ref().unwrap_or(source);
            let waited = match wait {
                // What was known ahead may have ended meanwhile.
                Wait::Room(entry, end) => match router.reserve(&end, message.weight()).await {
                    Ok(permit) => entry.take(router, &mut message, permit, &[]),
                    Err(_) => Err(SendError::unknown(&message.onward)),
                },
                Wait::Start => match router.starters().start_for(&message).await {
                    Started::Running => Ok(Taken::NotYet),
                    Started::Unknown => Err(SendError::unknown(&message.onward)),
                },
            };
            if !matches!(waited, Ok(Taken::NotYet)) {
                let ended = waited.map(drop);
                self.count(source, ended.as_ref().map(|()| true));
                return ended;
            }
            match self.advance(source, None, &mut message)? {
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

/// Whether a worker took a message that there was room for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Taken {
    Yes,
    /// It has turned out to be one that is called before its end is known.
    NotYet,
}

impl Entry {
    /// Hands a message over, with room where it ends.
    fn take(
        &self,
        router: &Router,
        message: &mut LocalMessage,
        permit: Permit,
        ahead: &[Option<Arc<Self>>],
    ) -> Result<Taken, SendError> {
        match &self.kind {
            Kind::Mailbox(queue) => queue
                .push(message.take(), Some(permit))
                .map_err(|closed| SendError::Stopped(closed.to_string()))?,
            // A decryptor whose handshake was finished while the message waited for room.
            Kind::Inline(worker) if matches!(worker.end(), End::Opens) => return Ok(Taken::NotYet),
            Kind::Inline(worker) => {
                worker.handle(&mut Delivery::chain(
                    router,
                    message,
                    permit,
                    Some(self),
                    ahead,
                ))?;
            }
        }
        Ok(Taken::Yes)
    }
}

/// Workers of a chain that are looked up once: behind a relay lie an encryptor and the sender of a transport.
const AHEAD: usize = 2;
