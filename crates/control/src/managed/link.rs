//! Links: channels and connections that were asked for, kept up, and known by the address they first had.
//!
//! A channel or connection that is made again has another address in the node. Routes that users gave begin with the first
//! one, so the first one stays the link's name: [`Managed::resolve`] puts the present address in its place, and what was
//! started with the old one is started again.
//!
//! # Invariants
//! The old link is closed before the next attempt begins. A link ends when its handle is dropped.

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use ockam_wire::Address;
use tokio::task::JoinHandle;

use crate::managed::Managed;
use crate::outcome::Failure;

/// How a link is made and watched.
pub(crate) trait Dial: Send + Sync + 'static {
    /// A link that is up.
    type Live: Clone + Send + Sync + 'static;

    /// Makes the link.
    fn dial(&self, node: &Managed) -> impl Future<Output = Result<Self::Live, Failure>> + Send;
    /// Completes when the link has ended.
    fn closed(live: &Self::Live) -> impl Future<Output = ()> + Send;
    /// Ends the link.
    fn close(live: &Self::Live) -> impl Future<Output = ()> + Send;
    /// Where messages enter it.
    fn first_hop(live: &Self::Live) -> Option<Address>;
}

/// A link that is kept up.
#[derive(Debug)]
pub(crate) struct Link<D: Dial> {
    pub(crate) name: String,
    pub(crate) dial: Arc<D>,
    live: Arc<Mutex<Option<D::Live>>>,
    task: JoinHandle<()>,
}

impl<D: Dial> Link<D> {
    /// Keeps a link up that is up already, or is to be made.
    pub(crate) fn keep(
        node: Weak<Managed>,
        name: String,
        dial: Arc<D>,
        live: Option<D::Live>,
    ) -> Self {
        // Held for one copy.
        let live = Arc::new(Mutex::new(live));
        let task = tokio::spawn(watch(node, name.clone(), dial.clone(), live.clone()));
        Self {
            name,
            dial,
            live,
            task,
        }
    }

    /// The link, when it is up.
    pub(crate) fn live(&self) -> Option<D::Live> {
        present(&self.live)
    }

    /// Ends it.
    pub(crate) async fn end(&self) {
        self.task.abort();
        let live = self
            .live
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(live) = live {
            D::close(&live).await;
        }
    }
}

impl<D: Dial> Drop for Link<D> {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn watch<D: Dial>(
    node: Weak<Managed>,
    name: String,
    dial: Arc<D>,
    live: Arc<Mutex<Option<D::Live>>>,
) {
    let mut pace = Pace::default();
    loop {
        if let Some(up) = present(&live) {
            D::closed(&up).await;
            D::close(&up).await;
            tracing::info!(link = name, "the link has ended, making it again");
            *live.lock().unwrap_or_else(PoisonError::into_inner) = None;
            pace = Pace::default();
        }
        let Some(node) = node.upgrade() else { return };
        match dial.dial(&node).await {
            Ok(up) => {
                *live.lock().unwrap_or_else(PoisonError::into_inner) = Some(up);
                tracing::info!(link = name, "the link is up");
                node.repoint(&name).await;
            }
            Err(failure) => {
                drop(node);
                let pause = pace.next();
                tracing::info!(
                    link = name,
                    ?pause,
                    "the link could not be made: {failure}: {}",
                    failure.causes.join(": ")
                );
                tokio::time::sleep(pause).await;
            }
        }
    }
}

fn present<L: Clone>(live: &Mutex<Option<L>>) -> Option<L> {
    live.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

/// The pauses between attempts: 100 ms doubling to 2 s for five minutes, then 60 s, each with jitter.
#[derive(Debug, Default)]
struct Pace {
    attempts: u32,
    waited: Duration,
}

impl Pace {
    fn next(&mut self) -> Duration {
        let pause = if self.waited >= BRISK {
            SLOW
        } else {
            FIRST
                .saturating_mul(2_u32.saturating_pow(self.attempts))
                .min(STEADY)
        };
        self.attempts = self.attempts.saturating_add(1);
        self.waited = self.waited.saturating_add(pause);
        let mut random = [0];
        // Without randomness there is no jitter, which is no harm.
        let _ = getrandom::fill(&mut random);
        pause.mul_f64(1.0 - f64::from(random[0]) / 1024.0)
    }
}

const FIRST: Duration = Duration::from_millis(100);
const STEADY: Duration = Duration::from_secs(2);
const BRISK: Duration = Duration::from_secs(300);
const SLOW: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_two_seconds_and_after_five_minutes_to_a_minute() {
        let mut pace = Pace::default();
        assert!(pace.next() <= FIRST);
        let later: Vec<_> = (0..10).map(|_| pace.next()).collect();
        assert!(later.iter().all(|pause| *pause <= STEADY));
        for _ in 0..200 {
            let _ = pace.next();
        }
        assert!(pace.next() > STEADY);
    }
}
