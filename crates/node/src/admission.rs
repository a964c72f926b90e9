//! Room for strangers: a bounded number at a time, and the oldest makes room for the newest.
//!
//! A peer that gets on with it at once is served also while thousands of others open connections or handshakes and say
//! nothing.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

/// Who has been let in and has not proven yet to be more than a stranger.
pub(crate) struct Admission {
    most: usize,
    // Held for a few pushes and pops.
    known: Mutex<VecDeque<Arc<Place>>>,
}

impl Admission {
    /// Lets in at most `most` strangers at a time.
    pub(crate) fn new(most: usize) -> Self {
        Self {
            most: most.max(1),
            known: Mutex::default(),
        }
    }

    /// Lets one in; the oldest stranger goes when there are too many.
    pub(crate) fn admit(&self) -> Ticket {
        let place = Arc::new(Place::default());
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.push_back(place.clone());
        if known.len() > self.most {
            Self::tidy(&mut known);
        }
        while known.len() > self.most {
            if let Some(oldest) = known.pop_front() {
                oldest.evicted.notify_one();
            }
        }
        Ticket(place)
    }

    /// Sends the oldest stranger away, for a resource that ran out otherwise.
    pub(crate) fn evict_oldest(&self) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        Self::tidy(&mut known);
        if let Some(oldest) = known.pop_front() {
            oldest.evicted.notify_one();
        }
    }

    /// Forgets those who have left (only this list knows them) and those who have proven themselves.
    fn tidy(known: &mut VecDeque<Arc<Place>>) {
        known.retain(|place| Arc::strong_count(place) > 1 && !place.proven.load(Ordering::Relaxed));
    }
}

/// A stranger's place; dropping it makes room.
pub(crate) struct Ticket(Arc<Place>);

impl Ticket {
    /// Completes when the place is needed for another.
    pub(crate) async fn evicted(&self) {
        self.0.evicted.notified().await;
    }

    /// The mark that says, once set: not a stranger any more.
    pub(crate) fn proof(&self) -> Arc<AtomicBool> {
        self.0.proven.clone()
    }
}

#[derive(Default)]
struct Place {
    evicted: Notify,
    proven: Arc<AtomicBool>,
}
