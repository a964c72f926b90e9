//! Who may use a portal or relay, now and as long as it lasts (spec: messaging 7.6).
//!
//! ```text
//! request ── Guard ── Holders::enter ── carried ──────────────────── ended
//!              ^            |               ^
//!              |            v               | cut
//! policies, credentials ─ changes ─> one task for the whole portal: who may not any more?
//! ```
//!
//! A [`Guard`] decides about peers. Each peer that holds connections of a portal is asked about again whenever something
//! changes and, because credentials end by themselves, twice a second while it holds any. What it costs does not depend on
//! how many connections there are.
//!
//! Invariants: a peer is in the list before it is asked about, so no change is missed between asking and carrying; all
//! connections of a peer that may not any more are cut, no other is touched.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ockam_identity::Identifier;
use ockam_node::{Access, Rule};
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

/// Decides which peers may use something. What it denies it notes itself.
pub trait Guard: Send + Sync + fmt::Debug + 'static {
    /// Whether `peer` may at this moment; `None` is whoever came without a secure channel.
    fn admits(&self, peer: Option<&Identifier>) -> bool;

    /// Changes when an answer may have become another one. That a credential ends with time need not show.
    fn changes(&self) -> watch::Receiver<u64>;
}

impl Guard for ockam_node::Guard {
    fn admits(&self, peer: Option<&Identifier>) -> bool {
        self.allows(peer)
    }

    fn changes(&self) -> watch::Receiver<u64> {
        Self::changes(self)
    }
}

/// The peers that hold connections of one portal.
pub(crate) struct Holders {
    guard: Option<Arc<dyn Guard>>,
    // Held for one look-up, insertion or pass; never while a guard decides.
    peers: Mutex<HashMap<Option<Identifier>, watch::Sender<bool>>>,
    entered: Notify,
}

impl Holders {
    /// Without a guard nobody is ever asked about. The task ends with the returned value.
    pub(crate) fn start(guard: Option<Arc<dyn Guard>>) -> (Arc<Self>, Watching) {
        let holders = Arc::new(Self {
            guard,
            peers: Mutex::default(),
            entered: Notify::new(),
        });
        let task = holders
            .guard
            .as_ref()
            .map(|guard| tokio::spawn(watch_over(holders.clone(), guard.changes())));
        (holders, Watching(task))
    }

    /// What is asked.
    pub(crate) fn guard(&self) -> Option<Arc<dyn Guard>> {
        self.guard.clone()
    }

    /// The rules of a connection's worker, which asks the guard itself about what comes in.
    pub(crate) fn access(&self, given: &Access) -> Access {
        let mut access = given.clone();
        if self.guard.is_some() {
            access.incoming = Rule::AllowAll;
        }
        access
    }

    /// Whether `peer` may ask at all.
    pub(crate) fn admits(&self, peer: Option<&Identifier>) -> bool {
        self.guard.as_ref().is_none_or(|guard| guard.admits(peer))
    }

    /// Adds a connection of `peer`, if that may have one.
    pub(crate) fn enter(&self, peer: Option<&Identifier>) -> Result<Place, NotAllowed> {
        let Some(guard) = &self.guard else {
            return Ok(Place(None));
        };
        let cut = self
            .peers()
            .entry(peer.copied())
            .or_insert_with(|| watch::channel(false).0)
            .subscribe();
        self.entered.notify_one();
        if guard.admits(peer) {
            return Ok(Place(Some(cut)));
        }
        drop(cut);
        let mut peers = self.peers();
        let peer = peer.copied();
        if peers
            .get(&peer)
            .is_some_and(|cut| cut.receiver_count() == 0)
        {
            peers.remove(&peer);
        }
        Err(NotAllowed)
    }

    /// Asks about everybody again, and cuts those who may not any more. Returns whether somebody is left.
    fn review(&self) -> bool {
        let Some(guard) = &self.guard else {
            return false;
        };
        let present: Vec<Option<Identifier>> = {
            let mut peers = self.peers();
            peers.retain(|_, cut| cut.receiver_count() > 0);
            peers.keys().copied().collect()
        };
        for peer in present {
            if !guard.admits(peer.as_ref())
                && let Some(cut) = self.peers().remove(&peer)
            {
                let connections = cut.receiver_count();
                cut.send_replace(true);
                tracing::info!(
                    peer =
                        peer.map_or_else(|| "without identity".to_owned(), |peer| peer.to_string()),
                    connections,
                    "a peer is not allowed any more, its connections are cut"
                );
            }
        }
        !self.peers().is_empty()
    }

    fn peers(&self) -> MutexGuard<'_, HashMap<Option<Identifier>, watch::Sender<bool>>> {
        self.peers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The task that asks again; it ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Watching(Option<JoinHandle<()>>);

impl Drop for Watching {
    fn drop(&mut self) {
        if let Some(task) = &self.0 {
            task.abort();
        }
    }
}

async fn watch_over(holders: Arc<Holders>, mut changes: watch::Receiver<u64>) {
    let mut somebody = false;
    let mut changing = true;
    loop {
        tokio::select! {
            changed = changes.changed(), if changing => changing = changed.is_ok(),
            () = holders.entered.notified(), if !somebody => {}
            () = tokio::time::sleep(REVIEW), if somebody => {}
        }
        somebody = holders.review();
    }
}

/// One connection of a peer in the list, until this is dropped.
#[derive(Debug)]
pub(crate) struct Place(Option<watch::Receiver<bool>>);

impl Place {
    /// Completes when the peer may not have the connection any more.
    ///
    /// # Cancel safety
    /// May be dropped and called again.
    pub(crate) async fn cut(&mut self) {
        if let Some(cut) = &mut self.0
            && cut.wait_for(|cut| *cut).await.is_ok()
        {
            return;
        }
        // Without a guard, or the portal itself is gone, which ends its connections.
        std::future::pending().await
    }
}

/// The guard does not admit the peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NotAllowed;

/// How often peers that hold connections are asked about when nothing changes: a credential ends by itself.
pub(crate) const REVIEW: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    #[tokio::test]
    async fn change_cuts_who_may_not_and_nobody_else() {
        let guard = Arc::new(Listed::default());
        guard.set(&[1, 2]);
        let (holders, _watching) = Holders::start(Some(guard.clone()));
        let mut first = holders.enter(Some(&peer(1))).unwrap();
        let mut again = holders.enter(Some(&peer(1))).unwrap();
        let mut other = holders.enter(Some(&peer(2))).unwrap();
        assert!(holders.enter(Some(&peer(3))).is_err());
        assert!(holders.enter(None).is_err());
        guard.set(&[2]);
        first.cut().await;
        again.cut().await;
        assert!(!is_cut(&mut other).await);
        guard.set(&[1, 2]);
        let mut later = holders.enter(Some(&peer(1))).unwrap();
        assert!(!is_cut(&mut later).await);
    }

    #[tokio::test]
    async fn what_ends_without_a_word_is_noticed_within_half_a_second() {
        let guard = Arc::new(Listed::default());
        guard.set(&[1]);
        let (holders, _watching) = Holders::start(Some(guard.clone()));
        let mut place = holders.enter(Some(&peer(1))).unwrap();
        guard.expired.store(true, Ordering::Relaxed);
        let cut = tokio::time::timeout(2 * REVIEW, place.cut());
        assert!(cut.await.is_ok());
    }

    #[tokio::test]
    async fn without_a_guard_everybody_stays() {
        let (holders, _watching) = Holders::start(None);
        let mut place = holders.enter(None).unwrap();
        assert!(!is_cut(&mut place).await);
    }

    #[tokio::test]
    async fn nobody_is_remembered_who_has_left() {
        let guard = Arc::new(Listed::default());
        guard.set(&(0..=255).collect::<Vec<_>>());
        let (holders, _watching) = Holders::start(Some(guard));
        for number in 0..=255 {
            drop(holders.enter(Some(&peer(number))).unwrap());
        }
        holders.review();
        assert!(holders.peers().is_empty());
    }

    #[derive(Debug)]
    struct Listed {
        allowed: watch::Sender<u64>,
        peers: Mutex<Vec<u8>>,
        expired: AtomicBool,
    }

    impl Default for Listed {
        fn default() -> Self {
            Self {
                allowed: watch::channel(0).0,
                peers: Mutex::default(),
                expired: AtomicBool::new(false),
            }
        }
    }

    impl Listed {
        fn set(&self, peers: &[u8]) {
            *self.peers.lock().unwrap() = peers.to_vec();
            self.allowed.send_modify(|generation| *generation += 1);
        }
    }

    impl Guard for Listed {
        fn admits(&self, asked: Option<&Identifier>) -> bool {
            let peers = self.peers.lock().unwrap();
            !self.expired.load(Ordering::Relaxed)
                && asked.is_some_and(|asked| peers.iter().any(|known| peer(*known) == *asked))
        }

        fn changes(&self) -> watch::Receiver<u64> {
            self.allowed.subscribe()
        }
    }

    fn peer(number: u8) -> Identifier {
        Identifier::new([number; 32])
    }

    async fn is_cut(place: &mut Place) -> bool {
        tokio::time::timeout(Duration::from_millis(50), place.cut())
            .await
            .is_ok()
    }
}
