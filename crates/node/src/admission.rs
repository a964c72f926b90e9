//! Room for strangers: a bounded number at a time, shared out fairly between where they come from.
//!
//! Where there are too many, the one that has been idle longest goes, of those that come from the source with the most.
//! So a peer that gets on with it at once is served also while thousands of others open connections or handshakes and
//! say nothing, and one source cannot take the room of another.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use tokio::sync::Notify;

/// Who has been let in and has not proven yet to be more than a stranger. `S` says where one comes from.
pub(crate) struct Admission<S> {
    most: usize,
    most_per_source: usize,
    // Held for a few pushes and pops; when it is full, for one pass over it.
    known: Mutex<VecDeque<Arc<Place<S>>>>,
}

impl<S: Eq + Hash + Copy> Admission<S> {
    /// Lets in at most `most` at a time, and of one source at most `most_per_source`.
    pub(crate) fn new(most: usize, most_per_source: usize) -> Self {
        Self {
            most: most.max(1),
            most_per_source: most_per_source.max(1),
            known: Mutex::default(),
        }
    }

    /// Lets one in at the time `now`; who has been idle longest goes when there are too many.
    pub(crate) fn admit(&self, source: S, now: u64) -> Ticket<S> {
        let place = Arc::new(Place::new(source, now));
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.push_back(place.clone());
        if self.most_per_source < self.most && count(&known, source) > self.most_per_source {
            tidy(&mut known);
            while count(&known, source) > self.most_per_source {
                evict_idlest(&mut known, source);
            }
        }
        if known.len() > self.most {
            tidy(&mut known);
        }
        while known.len() > self.most {
            let Some((busiest, _)) = busiest(&known) else {
                break;
            };
            evict_idlest(&mut known, busiest);
        }
        Ticket(place)
    }

    /// Lets one in unless all room is taken and no other source has more of it.
    pub(crate) fn admit_if_fair(&self, source: S, now: u64) -> Option<Ticket<S>> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= self.most {
            tidy(&mut known);
        }
        if known.len() >= self.most {
            let (busiest, most) = busiest(&known)?;
            if count(&known, source) >= most {
                return None;
            }
            evict_idlest(&mut known, busiest);
        }
        let place = Arc::new(Place::new(source, now));
        known.push_back(place.clone());
        Some(Ticket(place))
    }

    /// Sends one of the busiest source away, for a resource that ran out otherwise.
    pub(crate) fn evict_one(&self) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        tidy(&mut known);
        if let Some((busiest, _)) = busiest(&known) {
            evict_idlest(&mut known, busiest);
        }
    }
}

type Places<S> = VecDeque<Arc<Place<S>>>;

/// Forgets those who have left (only this list knows them) and those who have proven themselves.
fn tidy<S>(known: &mut Places<S>) {
    known.retain(|place| Arc::strong_count(place) > 1 && !place.proven.load(Ordering::Relaxed));
}

fn count<S: Eq>(known: &Places<S>, source: S) -> usize {
    known.iter().filter(|place| place.source == source).count()
}

fn busiest<S: Eq + Hash + Copy>(known: &Places<S>) -> Option<(S, usize)> {
    let mut counts: HashMap<S, usize> = HashMap::new();
    for place in known {
        *counts.entry(place.source).or_default() += 1;
    }
    counts.into_iter().max_by_key(|(_, count)| *count)
}

fn evict_idlest<S: Eq>(known: &mut Places<S>, source: S) {
    let idlest = known
        .iter()
        .enumerate()
        .filter(|(_, place)| place.source == source)
        .min_by_key(|(_, place)| place.active.load(Ordering::Relaxed))
        .map(|(at, _)| at);
    if let Some(place) = idlest.and_then(|at| known.remove(at)) {
        place.evicted.notify_one();
    }
}

/// A stranger's place; dropping it makes room.
pub(crate) struct Ticket<S>(Arc<Place<S>>);

impl<S> Ticket<S> {
    /// Completes when the place is needed for another.
    pub(crate) async fn evicted(&self) {
        self.0.evicted.notified().await;
    }

    /// The mark that says, once set: not a stranger any more.
    pub(crate) fn proof(&self) -> Arc<AtomicBool> {
        self.0.proven.clone()
    }

    /// What keeps the place from being taken for idle; `started` is the instant that counts as time 0.
    pub(crate) fn activity(&self, started: Instant) -> Activity {
        Activity {
            started,
            active: self.0.active.clone(),
        }
    }
}

/// When something was last heard of one that was let in.
pub(crate) struct Activity {
    started: Instant,
    active: Arc<AtomicU64>,
}

impl Activity {
    /// Something was heard just now.
    pub(crate) fn touch(&self) {
        let now = millis_since(self.started);
        self.active.store(now, Ordering::Relaxed);
    }
}

/// The time as places know it.
pub(crate) fn millis_since(started: Instant) -> u64 {
    u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX)
}

struct Place<S> {
    source: S,
    evicted: Notify,
    proven: Arc<AtomicBool>,
    active: Arc<AtomicU64>,
}

impl<S> Place<S> {
    fn new(source: S, now: u64) -> Self {
        Self {
            source,
            evicted: Notify::new(),
            proven: Arc::default(),
            active: Arc::new(now.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn oldest_of_the_busiest_source_makes_room() {
        let admission = Admission::new(4, 4);
        let lone = admission.admit("b", 0);
        let first = admission.admit("a", 0);
        let rest = [(); 3].map(|()| admission.admit("a", 0));
        first.evicted().await;
        assert!(!is_evicted(&lone).await);
        for ticket in &rest {
            assert!(!is_evicted(ticket).await);
        }
    }

    #[tokio::test]
    async fn one_source_has_a_limit_of_its_own_that_those_who_left_do_not_count_for() {
        let admission = Admission::new(100, 2);
        let other = admission.admit("b", 0);
        let first = admission.admit("a", 0);
        drop(admission.admit("a", 0));
        let second = admission.admit("a", 0);
        assert!(!is_evicted(&first).await);
        let proven = admission.admit("a", 0);
        first.evicted().await;
        proven.proof().store(true, Ordering::Relaxed);
        let _third = admission.admit("a", 0);
        assert!(!is_evicted(&second).await);
        assert!(!is_evicted(&other).await);
    }

    #[tokio::test]
    async fn who_was_heard_of_lately_stays() {
        let admission = Admission::new(2, 2);
        let old = admission.admit("a", 1);
        let idle = admission.admit("a", 2);
        old.0.active.store(3, Ordering::Relaxed);
        let _new = admission.admit("a", 4);
        idle.evicted().await;
        assert!(!is_evicted(&old).await);
    }

    #[tokio::test]
    async fn busiest_source_is_refused_and_another_takes_a_place_from_it() {
        let admission = Admission::new(2, usize::MAX);
        let first = admission.admit_if_fair("a", 0).unwrap();
        let _second = admission.admit_if_fair("a", 0).unwrap();
        assert!(admission.admit_if_fair("a", 0).is_none());
        assert!(!is_evicted(&first).await);
        let _other = admission.admit_if_fair("b", 0).unwrap();
        first.evicted().await;
        assert!(admission.admit_if_fair("b", 0).is_none());
    }

    async fn is_evicted(ticket: &Ticket<&str>) -> bool {
        let wait = std::time::Duration::from_millis(1);
        tokio::time::timeout(wait, ticket.evicted()).await.is_ok()
    }
}
