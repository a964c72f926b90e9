//! Sessions: what keeps an inlet, a relay or a connection up (spec: messaging 8).
//!
//! The session of an inlet, a relay or a kept connection dials, pings `echo` at the far node, reacts at once when a
//! transport or channel below is closed, and dials again, at once when what it stands on is there again. When it does is
//! decided in [`state`].
//!
//! Invariants: the old connection is closed before the next attempt begins; a connection that nobody waits for any
//! more is closed.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ockam_node::{Access, Mailbox, Node, Rule};
use ockam_wire::{Address, Buffer, MultiAddr, Route};
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::Instant;

pub(crate) use self::state::{Attempts, Echo, Pace};
use self::state::{SessionState, Step};

mod state;

/// What a session keeps up.
pub(crate) trait Dial: Send + Sync + 'static {
    /// A connection that is up.
    type Live: Send + Sync + 'static;

    /// Makes a connection within `budget`. It must be dropped only when complete: what it opened is its own to close.
    fn dial(&self, budget: Duration) -> impl Future<Output = Result<Self::Live, Failed>> + Send;

    /// The route to the far node; `None` when there is none to watch.
    fn node_route(live: &Self::Live) -> Option<Route>;

    /// Completes when the connection has ended.
    fn closed(live: &Self::Live) -> impl Future<Output = ()> + Send;

    /// Why a connection has ended.
    fn why_closed(_live: &Self::Live) -> &'static str {
        CLOSED
    }

    /// Ends the connection.
    fn close(live: &Self::Live) -> impl Future<Output = ()> + Send;

    /// What it is called in the log.
    fn label(&self) -> String;
}

/// Why an attempt failed.
#[derive(Debug)]
pub(crate) struct Failed {
    why: String,
    stuck: Option<Stuck>,
    /// What is worth an attempt at once when a worker runs there.
    missing: Option<Address>,
}

impl Failed {
    pub(crate) fn new(why: impl Into<String>) -> Self {
        Self {
            why: why.into(),
            stuck: None,
            missing: None,
        }
    }

    /// The same, when it is known where it ended.
    pub(crate) fn at(self, stuck: Stuck) -> Self {
        Self {
            stuck: Some(stuck),
            ..self
        }
    }

    /// The same, beside a failure of another way to the same.
    pub(crate) fn beside(self, to: &MultiAddr, other_to: &MultiAddr, other: &Self) -> Self {
        let why = if self.why == other.why {
            format!("{to}, {other_to}: {}", self.why)
        } else {
            format!("{to}: {}; {other_to}: {}", self.why, other.why)
        };
        Self { why, ..self }
    }

    #[cfg(test)]
    pub(crate) fn why(&self) -> &str {
        &self.why
    }

    /// The same, when the first hop was not there.
    pub(crate) fn without(self, missing: Option<Address>) -> Self {
        Self { missing, ..self }
    }
}

/// A session that runs until it is dropped.
pub(crate) struct Session<D: Dial> {
    live: watch::Receiver<Option<Arc<D::Live>>>,
    shared: Arc<Shared>,
    below: Option<Hints>,
}

impl<D: Dial> Session<D> {
    /// Keeps up `live`, or what it dials. `below` is told what this session notices.
    pub(crate) fn start(
        node: &Node,
        dial: Arc<D>,
        pace: Pace,
        live: Option<D::Live>,
        below: Option<Hints>,
    ) -> Self {
        let (publish, receiver) = watch::channel(None);
        let shared = Arc::new(Shared::default());
        let driver = Driver {
            node: node.clone(),
            dial,
            shared: shared.clone(),
            below: below.clone(),
            publish,
        };
        // Up before this returns, when it begins with a connection.
        let up = live.map(|live| driver.up(live));
        tokio::spawn(driver.run(pace, up));
        Self {
            live: receiver,
            shared,
            below,
        }
    }

    /// The connection, as it changes.
    pub(crate) fn live(&self) -> watch::Receiver<Option<Arc<D::Live>>> {
        self.live.clone()
    }

    /// A way to tell the session something.
    pub(crate) fn hints(&self) -> Hints {
        Hints {
            shared: self.shared.clone(),
            below: self.below.clone().map(Box::new),
        }
    }

    /// What it is doing.
    pub(crate) fn status(&self) -> SessionStatus {
        let up = self.live.borrow().is_some();
        let notes = self.shared.notes();
        SessionStatus {
            up,
            connects: notes.connects,
            last_failure: notes.last_failure.clone(),
            stuck: notes.stuck,
        }
    }

    /// Ends the session and waits until its connection is closed.
    pub(crate) async fn stop(&self) {
        self.shared.stop.notify_one();
        let mut live = self.live.clone();
        // The task holds the other end until it has ended.
        while live.changed().await.is_ok() {}
    }
}

impl<D: Dial> Drop for Session<D> {
    fn drop(&mut self) {
        // The task closes the connection, then ends.
        self.shared.stop.notify_one();
    }
}

impl<D: Dial> std::fmt::Debug for Session<D> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session")
            .field("status", &self.status())
            .finish()
    }
}

/// What a session is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionStatus {
    /// Whether there is a connection.
    pub up: bool,
    /// How often a connection came up.
    pub connects: u64,
    /// Why the last attempt failed, or the last connection ended; empty while all is well.
    pub last_failure: Option<String>,
    /// Where the last attempt ended; empty while all is well, and until the first attempt has ended.
    pub stuck: Option<Stuck>,
}

/// Where an attempt to connect a multi-address ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stuck {
    /// Which part of it could not be connected, from 0; their number when all were and what came then failed.
    pub part: usize,
    /// What was heard from there.
    pub heard: Heard,
}

/// What was heard from the place where an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    /// Nothing: it is not there, or something on the way to it is not.
    Nothing,
    /// A refusal, or an answer that was not accepted.
    Refusal,
}

/// Tells a session what others have noticed.
#[derive(Clone)]
pub struct Hints {
    shared: Arc<Shared>,
    // Of the connection that this one stands on.
    below: Option<Box<Self>>,
}

impl Hints {
    /// Somebody needs the connection now.
    pub(crate) fn trigger(&self) {
        self.shared.trigger.notify_one();
        if let Some(below) = &self.below {
            below.trigger();
        }
    }

    /// Somebody waits for an answer longer than usual.
    pub(crate) fn suspect(&self) {
        self.shared.suspect.notify_one();
        if let Some(below) = &self.below {
            below.suspect();
        }
    }

    /// For whoever speaks with the other side, to say so message by message.
    pub(crate) fn traffic(&self) -> Arc<Traffic> {
        self.shared.traffic.clone()
    }
}

impl std::fmt::Debug for Hints {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hints").finish_non_exhaustive()
    }
}

/// What is said to the other side of a connection, and heard from it. Cheap enough for every message.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    heard: AtomicBool,
    /// Something was said since something was heard.
    unanswered: AtomicBool,
    /// The session looks whether there are answers.
    is_watched: AtomicBool,
    said: Notify,
}

impl Traffic {
    /// Something came.
    pub(crate) fn hear(&self) {
        self.heard.store(true, Ordering::Relaxed);
        self.unanswered.store(false, Ordering::Relaxed);
    }

    /// Something was sent that the other side answers sooner or later, if only with credit for more.
    pub(crate) fn say(&self) {
        self.unanswered.store(true, Ordering::Relaxed);
        if !self.is_watched.load(Ordering::Relaxed)
            && !self.is_watched.swap(true, Ordering::Relaxed)
        {
            self.said.notify_one();
        }
    }
}

/// Whether what was said is answered.
#[derive(Debug, Default)]
struct Watch {
    until: Option<Instant>,
    has_heard: bool,
}

impl Watch {
    /// Something was said after silence.
    fn begin(&mut self) {
        self.until = Some(Instant::now() + QUIET);
        self.has_heard = false;
    }

    /// Whether nothing was heard for a while although something waits for an answer.
    fn is_quiet(&mut self, traffic: &Traffic) -> bool {
        let Some(until) = self.until else {
            return false;
        };
        if Instant::now() < until {
            return false;
        }
        if !traffic.unanswered.load(Ordering::Relaxed) {
            self.until = None;
            traffic.is_watched.store(false, Ordering::Relaxed);
            // What was said in between is watched from now on.
            if traffic.unanswered.load(Ordering::Relaxed) {
                traffic.is_watched.store(true, Ordering::Relaxed);
                self.begin();
            }
            return false;
        }
        let is_quiet = !self.has_heard;
        self.begin();
        is_quiet
    }
}

#[derive(Debug, Default)]
struct Shared {
    trigger: Notify,
    suspect: Notify,
    stop: Notify,
    traffic: Arc<Traffic>,
    // Read by status, written by the task; held for a copy.
    notes: Mutex<Notes>,
}

impl Shared {
    fn notes(&self) -> std::sync::MutexGuard<'_, Notes> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug, Default)]
struct Notes {
    connects: u64,
    last_failure: Option<String>,
    stuck: Option<Stuck>,
}

struct Driver<D: Dial> {
    node: Node,
    dial: Arc<D>,
    shared: Arc<Shared>,
    below: Option<Hints>,
    publish: watch::Sender<Option<Arc<D::Live>>>,
}

impl<D: Dial> Driver<D> {
    async fn run(self, pace: Pace, mut up: Option<Up<D::Live>>) {
        let mut state = match &up {
            Some(_) => SessionState::up(now(), pace),
            None => SessionState::new(now(), pace),
        };
        let (report, mut reports) = mpsc::unbounded_channel();
        let mut missing = None;
        let traffic = self.shared.traffic.clone();
        let mut watch = Watch::default();
        loop {
            if traffic.heard.swap(false, Ordering::Relaxed) {
                watch.has_heard = true;
                state.handle_heard();
                if let Some(below) = &self.below {
                    below.traffic().hear();
                }
            }
            if watch.is_quiet(&traffic) {
                state.handle_suspicion(now());
                if let Some(below) = &self.below {
                    below.suspect();
                }
            }
            let deadline = match state.poll(now(), random()) {
                Step::Attempt { id, budget } => {
                    self.attempt(id, budget, report.clone());
                    continue;
                }
                Step::Ping(value) => {
                    self.ping(up.as_ref(), value).await;
                    continue;
                }
                Step::Replace => {
                    self.down(&mut up, "it does not answer").await;
                    continue;
                }
                Step::Wait(deadline) => earlier(deadline, watch.until),
            };
            let timer = async {
                match deadline {
                    Some(deadline) => tokio::time::sleep_until(deadline).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = timer => {}
                Some((id, outcome)) = reports.recv() => match outcome {
                    Ok(live) => {
                        if state.handle_connected(now(), id) {
                            missing = None;
                            up = Some(self.up(live));
                        } else {
                            D::close(&live).await;
                        }
                    }
                    Err(failure) => {
                        self.note_failure(&failure.why, failure.stuck);
                        missing = failure.missing;
                        state.handle_failed(now(), id, random());
                    }
                },
                event = next_event::<D>(&mut up) => match event {
                    Event::Closed => {
                        let why = up.as_ref().map_or(CLOSED, |up| D::why_closed(&up.live));
                        self.down(&mut up, why).await;
                        state.handle_closed(now());
                    }
                    Event::Pong(value) => {
                        traffic.unanswered.store(false, Ordering::Relaxed);
                        state.handle_pong(value);
                    }
                },
                () = self.started(missing.as_ref()) => {
                    missing = None;
                    state.handle_trigger(now());
                }
                () = self.shared.trigger.notified() => state.handle_trigger(now()),
                () = self.shared.suspect.notified() => state.handle_suspicion(now()),
                () = traffic.said.notified() => watch.begin(),
                () = self.shared.stop.notified() => break,
            }
        }
        // Attempts that still run find nobody to report to and close what they opened.
        reports.close();
        while let Ok((_, outcome)) = reports.try_recv() {
            if let Ok(live) = outcome {
                D::close(&live).await;
            }
        }
        if let Some(up) = up {
            self.publish.send_replace(None);
            D::close(&up.live).await;
        }
    }

    /// Completes when what was missing is there.
    async fn started(&self, missing: Option<&Address>) {
        match missing {
            Some(missing) => self.node.router().started(missing).await,
            None => std::future::pending().await,
        }
    }

    fn attempt(
        &self,
        id: u64,
        budget: Duration,
        report: mpsc::UnboundedSender<(u64, Result<D::Live, Failed>)>,
    ) {
        let dial = self.dial.clone();
        tokio::spawn(async move {
            let outcome = dial.dial(budget).await;
            if let Err(unwanted) = report.send((id, outcome))
                && let (_, Ok(live)) = unwanted.0
            {
                D::close(&live).await;
            }
        });
    }

    fn up(&self, live: D::Live) -> Up<D::Live> {
        let live = Arc::new(live);
        let pinger = D::node_route(&live).and_then(|route| Pinger::start(&self.node, route));
        {
            let mut notes = self.shared.notes();
            notes.connects += 1;
            notes.last_failure = None;
            notes.stuck = None;
        }
        tracing::info!("{} is connected", self.dial.label());
        self.publish.send_replace(Some(live.clone()));
        Up { live, pinger }
    }

    async fn down(&self, up: &mut Option<Up<D::Live>>, why: &str) {
        self.publish.send_replace(None);
        self.note_failure(why, None);
        if let Some(up) = up.take() {
            D::close(&up.live).await;
        }
    }

    async fn ping(&self, up: Option<&Up<D::Live>>, value: u64) {
        match up.and_then(|up| up.pinger.as_ref()) {
            Some(pinger) => pinger.ping(&self.node, value).await,
            // Nothing is between this node and the other end that could die without being noticed.
            None => self.shared.traffic.heard.store(true, Ordering::Relaxed),
        }
    }

    fn note_failure(&self, why: &str, stuck: Option<Stuck>) {
        let mut notes = self.shared.notes();
        notes.stuck = stuck;
        if notes.last_failure.as_deref() != Some(why) {
            tracing::warn!("{} is not connected: {why}", self.dial.label());
            notes.last_failure = Some(why.to_owned());
        }
    }
}

struct Up<L> {
    live: Arc<L>,
    pinger: Option<Pinger>,
}

enum Event {
    Closed,
    Pong(u64),
}

async fn next_event<D: Dial>(up: &mut Option<Up<D::Live>>) -> Event {
    let Some(up) = up else {
        return std::future::pending().await;
    };
    let pong = async {
        match &mut up.pinger {
            Some(pinger) => pinger.pong().await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = D::closed(&up.live) => Event::Closed,
        value = pong => Event::Pong(value),
    }
}

/// Sends pings to `echo` at the end of a route and takes the answers (spec: messaging 8).
#[derive(Debug)]
pub(crate) struct Pinger {
    mailbox: Mailbox,
    route: Route,
}

impl Pinger {
    /// `node_route` leads to the node; `None` when it is this node.
    pub(crate) fn start(node: &Node, mut node_route: Route) -> Option<Self> {
        let router = node.router();
        let producer = router.producer_behind(&node_route)?;
        node_route.push_back(&ECHO).ok()?;
        let access = Access {
            incoming: Rule::AllowAll,
            outgoing: Rule::AllowAll,
        };
        let mailbox = router
            .start_mailbox(&[node.random_address()], access)
            .ok()?;
        router.add_consumer(mailbox.address(), producer.id);
        Some(Self {
            mailbox,
            route: node_route,
        })
    }

    pub(crate) async fn ping(&self, node: &Node, value: u64) {
        let own = self.mailbox.address().clone();
        let back = Route::from_hops([own.clone()]).unwrap_or_default();
        let body = Buffer::from_slice(&encode_ping(value));
        // A way without room is no reason to wait here: the ping counts as unanswered.
        let sending = node.router().send(&own, self.route.clone(), back, body);
        if !matches!(
            tokio::time::timeout(PING_PATIENCE, sending).await,
            Ok(Ok(()))
        ) {
            tracing::debug!("a ping could not be sent");
        }
    }

    /// Waits for the next answer.
    pub(crate) async fn pong(&mut self) -> u64 {
        loop {
            let message = self.mailbox.recv().await;
            if let Some(value) = decode_ping(message.payload.as_slice()) {
                return value;
            }
        }
    }
}

/// One CBOR unsigned integer in its shortest form.
fn encode_ping(value: u64) -> Vec<u8> {
    let bytes = value.to_be_bytes();
    match value {
        0..=23 => vec![bytes[7]],
        24..=0xff => vec![0x18, bytes[7]],
        0x100..=0xffff => [&[0x19], &bytes[6..]].concat(),
        0x1_0000..=0xffff_ffff => [&[0x1a], &bytes[4..]].concat(),
        _ => [&[0x1b], &bytes[..]].concat(),
    }
}

fn decode_ping(bytes: &[u8]) -> Option<u64> {
    let (&head, rest) = bytes.split_first()?;
    let length = match head {
        0..=23 => return rest.is_empty().then_some(u64::from(head)),
        0x18 => 1,
        0x19 => 2,
        0x1a => 4,
        0x1b => 8,
        _ => return None,
    };
    (rest.len() == length).then(|| {
        rest.iter()
            .fold(0_u64, |value, byte| (value << 8) | u64::from(*byte))
    })
}

fn earlier(of_state: Option<std::time::Instant>, of_watch: Option<Instant>) -> Option<Instant> {
    let of_state = of_state.map(Instant::from_std);
    of_state.into_iter().chain(of_watch).min()
}

fn now() -> std::time::Instant {
    Instant::now().into_std()
}

/// Randomness for pings and jitter; neither is a secret.
pub(crate) fn random() -> u64 {
    getrandom::u64().unwrap_or(0)
}

/// Why most connections end.
pub(crate) const CLOSED: &str = "the connection was closed";
const ECHO: Address = Address::from_static("echo");
/// For how long nothing is heard where something waits for an answer, before the other side is asked whether it is there.
const QUIET: Duration = Duration::from_secs(1);
const PING_PATIENCE: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_is_said_and_not_answered_makes_a_session_look() {
        let step = QUIET / 4;
        let (traffic, mut watch) = (Traffic::default(), Watch::default());
        traffic.say();
        traffic.said.notified().await;
        watch.begin();
        for quiet in [false, false, false, true, false] {
            tokio::time::advance(step).await;
            assert_eq!(watch.is_quiet(&traffic), quiet);
        }
        // An answer ends it; the next question begins it anew.
        traffic.hear();
        tokio::time::advance(QUIET).await;
        assert!(!watch.is_quiet(&traffic));
        assert_eq!(watch.until, None);
        traffic.say();
        traffic.said.notified().await;
        watch.begin();
        // Whoever hears something else meanwhile waits on.
        watch.has_heard = true;
        tokio::time::advance(QUIET).await;
        assert!(!watch.is_quiet(&traffic));
        tokio::time::advance(QUIET).await;
        assert!(watch.is_quiet(&traffic));
    }

    #[test]
    fn pings_are_one_cbor_integer_in_shortest_form() {
        for (value, bytes) in [
            (0, "00"),
            (23, "17"),
            (24, "1818"),
            (256, "190100"),
            (65_536, "1a00010000"),
            (0x13c8_5a45_f423_f3b1, "1b13c85a45f423f3b1"),
        ] {
            let encoded = encode_ping(value);
            let hex: String = encoded.iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(hex, bytes);
            assert_eq!(decode_ping(&encoded), Some(value));
        }
        assert_eq!(decode_ping(&[]), None);
        assert_eq!(decode_ping(&[0x18]), None);
        assert_eq!(decode_ping(&[0x00, 0x00]), None);
        assert_eq!(decode_ping(&[0x40]), None);
    }
}
