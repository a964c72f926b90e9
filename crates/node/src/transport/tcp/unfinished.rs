//! What frames that have begun and are not complete may hold of the node's memory (W2).
//!
//! Two bounds. Whoever reads a frame has a *place*, of which each source has a number; who finds none leaves its bytes in
//! the kernel and waits, and who has had one for long while others wait is closed. And what one frame holds beyond a
//! portal's chunk is counted, over all connections.
//!
//! Invariants: a connection that reads has a place; so bytes that wait for a place are in the kernel. A place is left as
//! soon as no frame is under way, and while what was read waits for room further on.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep, sleep_until};

use crate::node::Node;

/// The places of one source.
pub(super) struct Places {
    free: Arc<Semaphore>,
    waiting: AtomicUsize,
}

impl Places {
    pub(super) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self {
            free: Arc::new(Semaphore::new(most.clamp(1, Semaphore::MAX_PERMITS))),
            waiting: AtomicUsize::new(0),
        })
    }
}

/// What one connection holds; given back when it is dropped.
pub(super) struct Unfinished {
    node: Node,
    held: usize,
    /// `None` for a connection that this node made.
    places: Option<Arc<Places>>,
    place: Option<Place>,
}

struct Place {
    since: Instant,
    _permit: OwnedSemaphorePermit,
}

impl Unfinished {
    pub(super) fn new(node: &Node, places: Option<Arc<Places>>) -> Self {
        Self {
            node: node.clone(),
            held: 0,
            places,
            place: None,
        }
    }

    /// Takes a place, unless there is one already; waits until one is free.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, no place is taken.
    pub(super) async fn enter(&mut self) {
        let (Some(places), None) = (&self.places, &self.place) else {
            return;
        };
        let permit = match places.free.clone().try_acquire_owned() {
            Ok(permit) => Ok(permit),
            Err(_) => {
                let _waiting = Waiting::new(places);
                places.free.clone().acquire_owned().await
            }
        };
        // The semaphore is never closed.
        self.place = permit.ok().map(|permit| Place {
            since: Instant::now(),
            _permit: permit,
        });
    }

    /// A frame is complete: the next one has its time anew.
    pub(super) fn renew(&mut self) {
        if let Some(place) = &mut self.place {
            place.since = Instant::now();
        }
    }

    /// Gives the place to others.
    pub(super) fn leave(&mut self) {
        self.place = None;
    }

    /// Completes when the place has been held for long and others wait for one.
    pub(super) async fn wanted_by_others(&self) {
        let (Some(places), Some(place)) = (&self.places, &self.place) else {
            return std::future::pending().await;
        };
        sleep_until(place.since + LONG).await;
        while places.waiting.load(Ordering::Relaxed) == 0 {
            sleep(LOOK_AGAIN).await;
        }
    }

    /// Counts the `buffered` bytes of an unfinished frame. Returns whether there is room for them.
    pub(super) fn hold(&mut self, buffered: usize) -> bool {
        let counted = buffered.saturating_sub(UNCOUNTED);
        let (total, most) = (
            self.node.unfinished_frames(),
            self.node.limits().unfinished_frames,
        );
        if counted > self.held {
            let more = counted - self.held;
            if total.fetch_add(more, Ordering::Relaxed) + more > most {
                total.fetch_sub(more, Ordering::Relaxed);
                return false;
            }
        } else if counted < self.held {
            total.fetch_sub(self.held - counted, Ordering::Relaxed);
        }
        self.held = counted;
        true
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        self.hold(0);
    }
}

/// One that waits for a place.
struct Waiting<'a>(&'a Places);

impl<'a> Waiting<'a> {
    fn new(places: &'a Places) -> Self {
        places.waiting.fetch_add(1, Ordering::Relaxed);
        Self(places)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Bytes of an unfinished frame that need no budget: more than a chunk of a portal.
const UNCOUNTED: usize = 160 * 1024;
/// How long a frame may take in any case.
const LONG: Duration = Duration::from_secs(2);
/// How often one that has a place for long looks whether others wait.
const LOOK_AGAIN: Duration = Duration::from_millis(500);
