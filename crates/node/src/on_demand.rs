//! Workers that are started when somebody sends to them.
//!
//! A message for an address where no worker runs waits while a hook is asked whether it can start one. Whoever reads the
//! connection that it came over waits with it, so nothing else does; and a connection has one message waiting at most.
//!
//! Invariants: a name is asked for once at a time, whoever waits; names under way, bytes that wait and the time they wait
//! are bounded; that a name is unknown is remembered for a second; a connection that asks for many unknown names is
//! slowed down. What another task hands on (a message that came out of a chain of workers) does not wait here.

use std::collections::HashMap;
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, Weak};
use std::time::{Duration, Instant};

use ockam_wire::Address;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use crate::flow_control::FlowId;
use crate::message::{LocalMessage, Origin};
use crate::node::Node;
use crate::queue::Weight;

/// Starts workers that are not there when they are asked for.
pub trait OnDemand: Send + Sync + fmt::Debug {
    /// Whether [`OnDemand::start`] is worth a try for a message of this origin. Called for each message to an address
    /// where no worker runs: it answers at once, and denies what the sender could not reach anyway.
    fn may_start(&self, name: &Address, origin: &Origin) -> bool;

    /// Starts the worker at `name`, opened to those who may reach it, before it answers [`Started::Running`].
    fn start<'a>(&'a self, name: &'a Address) -> OnDemandFuture<'a>;
}

/// What [`OnDemand::start`] returns.
pub type OnDemandFuture<'a> = Pin<Box<dyn Future<Output = Started> + Send + 'a>>;

/// Whether a worker was started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Started {
    /// One runs now.
    Running,
    /// There is none of that name.
    Unknown,
}

/// Keeps a hook; dropping it takes the hook away, and leaves what it has started.
#[derive(Debug)]
pub struct OnDemandGuard {
    starters: Weak<Starters>,
    hook: Arc<dyn OnDemand>,
}

impl Drop for OnDemandGuard {
    fn drop(&mut self) {
        if let Some(starters) = self.starters.upgrade() {
            let mut hooks = starters
                .hooks
                .write()
                .unwrap_or_else(PoisonError::into_inner);
            hooks.retain(|hook| !Arc::ptr_eq(hook, &self.hook));
        }
    }
}

impl Node {
    /// Asks `hook`, after those that are there, when a message comes for an address where no worker runs.
    pub fn start_on_demand(&self, hook: Arc<dyn OnDemand>) -> OnDemandGuard {
        let starters = self.router().starters();
        let mut hooks = starters
            .hooks
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        hooks.push(hook.clone());
        OnDemandGuard {
            starters: Arc::downgrade(starters),
            hook,
        }
    }
}

/// The hooks of one router, and what is under way.
#[derive(Debug)]
pub(crate) struct Starters {
    // Held for a copy of one pointer, or for adding and taking away a hook.
    hooks: RwLock<Vec<Arc<dyn OnDemand>>>,
    // Held for a few look-ups.
    state: Mutex<State>,
    /// Bytes of messages that wait.
    room: Semaphore,
    /// Names that are looked up.
    places: Arc<Semaphore>,
}

impl Default for Starters {
    fn default() -> Self {
        Self {
            hooks: RwLock::default(),
            state: Mutex::default(),
            room: Semaphore::new(WAITING_BYTES),
            places: Arc::new(Semaphore::new(NAMES_AT_ONCE)),
        }
    }
}

#[derive(Debug, Default)]
struct State {
    under_way: HashMap<Address, watch::Receiver<Option<Started>>>,
    unknown: HashMap<Address, Instant>,
    /// Unknown names that each way in asked for.
    guesses: HashMap<FlowId, Guesses>,
}

#[derive(Debug)]
struct Guesses {
    since: Instant,
    count: u32,
}

impl Starters {
    /// Waits until the worker that `message` is for was started, if somebody can start it.
    pub(crate) async fn start_for(self: &Arc<Self>, message: &LocalMessage) -> Started {
        let Some(first) = message.onward.first() else {
            return Started::Unknown;
        };
        let Some((name, hook)) = self.hook_for(first, &message.origin) else {
            return Started::Unknown;
        };
        let flow = message.origin.producer.map(|producer| producer.id);
        if self.is_guessing(flow) {
            tokio::time::sleep(PAUSE).await;
        }
        let weight = u32::try_from(message.weight()).unwrap_or(u32::MAX);
        let Ok(_room) = self.room.try_acquire_many(weight) else {
            tracing::warn!("too many messages wait for workers to be started");
            return Started::Unknown;
        };
        let started = tokio::time::timeout(PATIENCE, self.started(&name, hook)).await;
        let started = started.unwrap_or(Started::Unknown);
        if started == Started::Unknown {
            self.note_guess(flow);
        }
        started
    }

    fn hook_for(
        &self,
        first: ockam_wire::AddressRef<'_>,
        origin: &Origin,
    ) -> Option<(Address, Arc<dyn OnDemand>)> {
        let hooks = self.hooks.read().unwrap_or_else(PoisonError::into_inner);
        if hooks.is_empty() {
            return None;
        }
        let name = first.to_address();
        let hook = hooks.iter().find(|hook| hook.may_start(&name, origin));
        let hook = hook?.clone();
        Some((name, hook))
    }

    async fn started(self: &Arc<Self>, name: &Address, hook: Arc<dyn OnDemand>) -> Started {
        let mut place = None;
        let mut started = loop {
            {
                let mut state = self.state();
                if state.is_unknown(name, Instant::now()) {
                    return Started::Unknown;
                }
                if let Some(started) = state.under_way.get(name) {
                    break started.clone();
                }
                let free = || self.places.clone().try_acquire_owned().ok();
                if let Some(place) = place.take().or_else(free) {
                    let (told, started) = watch::channel(None);
                    state.under_way.insert(name.clone(), started.clone());
                    let one = UnderWay {
                        starters: self.clone(),
                        name: name.clone(),
                        outcome: Started::Unknown,
                        told,
                        _place: place,
                    };
                    // A task of its own: whoever asked first may give up while others wait for the same.
                    tokio::spawn(one.run(hook));
                    break started;
                }
            }
            match self.places.clone().acquire_owned().await {
                Ok(free) => place = Some(free),
                Err(_) => return Started::Unknown,
            }
        };
        match started.wait_for(Option::is_some).await {
            Ok(started) => started.unwrap_or(Started::Unknown),
            Err(_) => Started::Unknown,
        }
    }

    fn is_guessing(&self, flow: Option<FlowId>) -> bool {
        let state = self.state();
        flow.and_then(|flow| state.guesses.get(&flow))
            .is_some_and(|known| known.count > GUESSES && known.since.elapsed() < GUESSING)
    }

    fn note_guess(&self, flow: Option<FlowId>) {
        let Some(flow) = flow else { return };
        let mut state = self.state();
        if state.guesses.len() >= MANY_NAMES {
            state
                .guesses
                .retain(|_, known| known.since.elapsed() < GUESSING);
            if state.guesses.len() >= MANY_NAMES {
                return;
            }
        }
        let now = Instant::now();
        let known = state.guesses.entry(flow).or_insert(Guesses {
            since: now,
            count: 0,
        });
        if now.saturating_duration_since(known.since) >= GUESSING {
            *known = Guesses {
                since: now,
                count: 0,
            };
        }
        known.count += 1;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn is_unknown(&self, name: &Address, now: Instant) -> bool {
        self.unknown
            .get(name)
            .is_some_and(|since| now.saturating_duration_since(*since) < REMEMBERED)
    }

    fn remember_unknown(&mut self, name: Address, now: Instant) {
        if self.unknown.len() >= MANY_NAMES {
            self.unknown
                .retain(|_, since| now.saturating_duration_since(*since) < REMEMBERED);
        }
        // Whoever fills it is slowed down anyway.
        if self.unknown.len() < MANY_NAMES {
            self.unknown.insert(name, now);
        }
    }
}

/// One name that is being looked up.
struct UnderWay {
    starters: Arc<Starters>,
    name: Address,
    outcome: Started,
    told: watch::Sender<Option<Started>>,
    _place: OwnedSemaphorePermit,
}

impl UnderWay {
    async fn run(mut self, hook: Arc<dyn OnDemand>) {
        let started = tokio::time::timeout(PATIENCE, hook.start(&self.name)).await;
        self.outcome = started.unwrap_or(Started::Unknown);
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        // Also when the hook panics.
        let mut state = self.starters.state();
        state.under_way.remove(&self.name);
        if self.outcome == Started::Unknown {
            state.remember_unknown(self.name.clone(), Instant::now());
        }
        drop(state);
        self.told.send_replace(Some(self.outcome));
    }
}

/// Bytes of messages that wait.
const WAITING_BYTES: usize = 16 * 1024 * 1024;
/// How long a message waits, and how long a start may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// Names that are looked up at the same time.
const NAMES_AT_ONCE: usize = 32;
/// How long it is remembered that a name is unknown.
const REMEMBERED: Duration = Duration::from_secs(1);
/// Unknown names, and ways in that asked for some, that are remembered.
const MANY_NAMES: usize = 4096;
/// Unknown names that one way in may ask for in [`GUESSING`] before it is slowed down.
const GUESSES: u32 = 16;
const GUESSING: Duration = Duration::from_secs(10);
/// How long each further one waits.
const PAUSE: Duration = Duration::from_millis(250);

#[cfg(test)]
mod tests;
