//! Links: channels and connections that were asked for, kept up, and known by the address they first had.
//!
//! A channel or connection that is made again has another address in the node. Routes that users gave begin with the first
//! one, so the first one stays the link's name: [`Managed::resolve`] puts the present address in its place, and what was
//! started with the old one is started again.
//!
//! A peer that is gone without a word is noticed by pings to its `echo`, every ten seconds, or at once when the sessions of
//! inlets on the link are restless (spec: messaging 8). A peer that never answered one is left alone: its `echo` may not be
//! open to us.
//!
//! # Invariants
//! The old link is closed before the next attempt begins. A link ends when its handle is dropped.

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use ockam_node::services::ECHO;
use ockam_node::{Access, Node};
use ockam_wire::{Address, Buffer, Route};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::managed::{CONNECT_TIMEOUT, Managed};
use crate::outcome::Failure;

/// How a link is made and watched.
pub(crate) trait Dial: Send + Sync + 'static {
    /// A link that is up.
    type Live: Clone + Send + Sync + 'static;

    /// Makes the link, within this time at most.
    fn dial(
        &self,
        node: &Managed,
        budget: Duration,
    ) -> impl Future<Output = Result<Self::Live, Failure>> + Send;
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
            tokio::select! {
                () = D::closed(&up) => {}
                () = silence::<D>(&node, &name, &up) => {}
            }
            D::close(&up).await;
            tracing::info!(link = name, "the link has ended, making it again");
            *live.lock().unwrap_or_else(PoisonError::into_inner) = None;
            pace = Pace::default();
        }
        let Some(node) = node.upgrade() else { return };
        match dial.dial(&node, pace.budget()).await {
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

/// Completes when a peer that used to answer does not answer any more.
async fn silence<D: Dial>(node: &Weak<Managed>, name: &str, up: &D::Live) {
    let Some(hop) = D::first_hop(up) else {
        return std::future::pending().await;
    };
    let mut has_answered = false;
    let mut misses = 0;
    let mut due = Instant::now();
    let mut calm = 0;
    while misses < MISSES {
        let Some(node) = node.upgrade() else { return };
        let (runtime, now) = (node.node.clone(), node.restlessness(name));
        drop(node);
        if Instant::now() >= due || (now != calm && has_answered) {
            due = Instant::now() + PING_INTERVAL;
            calm = now;
            if ping(&runtime, &hop).await {
                has_answered = true;
                misses = 0;
            } else if has_answered {
                misses += 1;
                // One lost message is no proof; the next ping comes at once.
                due = Instant::now();
            }
        }
        tokio::time::sleep(GLANCE).await;
    }
}

/// Whether the node behind a link answers.
async fn ping(node: &Node, hop: &Address) -> bool {
    let own = node.random_address();
    let (Ok(mut mailbox), Ok(onward), Ok(back)) = (
        node.router()
            .start_mailbox(std::slice::from_ref(&own), Access::ALLOW_ALL),
        Route::from_hops([hop.clone(), ECHO]),
        Route::from_hops([own.clone()]),
    ) else {
        return false;
    };
    if let Some(producer) = node.router().producer_behind(&onward) {
        node.router().add_consumer(&own, producer.id);
    }
    let exchange = async {
        // spec: messaging 8 (a ping is one CBOR integer; this one takes nine bytes)
        let mut body = [0; 9];
        let _ = getrandom::fill(&mut body);
        body[0] = 0x1b;
        body[1] |= 0x80;
        node.router()
            .send(&own, onward, back, Buffer::from_slice(&body))
            .await
            .is_ok()
            && mailbox.recv().await.payload.as_slice() == body
    };
    tokio::time::timeout(PONG_PATIENCE, exchange)
        .await
        .unwrap_or(false)
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
    /// What one attempt may take. The first are short: what they were sent to may itself be on its way up, and then never
    /// answers them.
    fn budget(&self) -> Duration {
        FIRST_BUDGET
            .saturating_mul(2_u32.saturating_pow(self.attempts / 2))
            .min(CONNECT_TIMEOUT)
    }

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

/// Between two pings of a link that is in good order.
const PING_INTERVAL: Duration = Duration::from_secs(10);
/// Between two looks at whether it is.
const GLANCE: Duration = Duration::from_secs(1);
const PONG_PATIENCE: Duration = Duration::from_secs(3);
const MISSES: u32 = 2;

const FIRST: Duration = Duration::from_millis(100);
const FIRST_BUDGET: Duration = Duration::from_secs(2);
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
