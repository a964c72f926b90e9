//! Several processes on one database: together they are one Orchestrator.
//!
//! Each process runs any project, and members connect to any process. A relay is where its node is connected; the database
//! says where that is. A member that asks another process for it is served by a *forwarder* there: a relay whose way leads to
//! the owner's process, over a channel in which both sides are the controller, into the same project.
//!
//! ```text
//! member ══ project's node here ─ forwarder ══ channel `cluster` ══ project's node there ─ relay ══ relayed node
//! ```
//!
//! Every forwarder has a connection of its own: one that stalls holds up whoever sends through it and nobody else, as at one
//! process.
//!
//! Invariants: at the listener `cluster` nobody is accepted but the controller itself; what comes from another process reaches
//! relays of the project that it comes from, and no forwarder; a name has one owner in all processes; while the database is
//! away, what runs goes on, and nobody is taken for dead.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use ockam_identity::{Identifier, UnixTime};
use ockam_node::{
    Access, ChannelListener, ConnectOptions, Connection, FlowId, ListenerOptions, Node,
    OwnIdentity, StartError,
};
use ockam_store::{HostedRelayRecord, Store, StoreError};
use ockam_wire::{Address, MultiAddr, Protocol};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

pub use self::part::Part;

mod part;

/// How a process takes part.
#[derive(Debug, Clone)]
pub struct ClusterOptions {
    /// The node behind the listener.
    pub node: Node,
    /// The database that all processes share.
    pub store: Store,
    /// The controller, as which processes speak to each other.
    pub identity: Arc<dyn OwnIdentity>,
    /// Who that is.
    pub controller: Identifier,
    /// What comes in over the listener, before any channel.
    pub listener: FlowId,
    /// Where the listener is reached by the other processes; none if they cannot.
    pub reach: Option<MultiAddr>,
    /// How often it looks, and how long it waits.
    pub pace: Pace,
}

/// How often a process looks at the database, and how long it waits for others.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Between signs of life.
    pub beat: Duration,
    /// A process without a sign of life for so long is dead.
    pub lease: Duration,
    /// Between looks at what changed.
    pub look: Duration,
    /// How long a forwarder stays that nobody uses.
    pub idle: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            beat: Duration::from_secs(2),
            lease: Duration::from_secs(8),
            look: Duration::from_millis(500),
            idle: Duration::from_secs(120),
        }
    }
}

/// A process cannot take part.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// The database cannot be used.
    #[error("the other processes cannot be told of this one")]
    Store(#[from] StoreError),
    /// The listener cannot be started.
    #[error("the other processes cannot be let in")]
    Start(#[from] StartError),
}

/// This process among the others. What it runs ends when it is dropped.
pub struct Cluster {
    options: ClusterOptions,
    id: String,
    channels: ChannelListener,
    // Held for a few look-ups.
    parts: Mutex<HashMap<String, Weak<Part>>>,
    // Held for a few look-ups.
    processes: Mutex<HashMap<String, Seen>>,
    releases: mpsc::UnboundedSender<Release>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

/// What is known of another process.
#[derive(Debug, Clone)]
struct Seen {
    address: Option<String>,
    beat: u64,
    since: Instant,
}

/// A relay that has ended here.
#[derive(Debug)]
struct Release {
    project: String,
    name: String,
    claim: u64,
}

impl Cluster {
    /// Takes part from now on. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// [`ClusterError`].
    pub async fn start(options: ClusterOptions) -> Result<Arc<Self>, ClusterError> {
        let id = options.node.random_flow().to_string();
        let channels = options.node.start_channel_listener(
            &CLUSTER,
            ListenerOptions {
                identity: options.identity.clone(),
                authorized: vec![options.controller],
                timeout: CONNECTING,
            },
        )?;
        let router = options.node.router();
        router.add_consumer(&CLUSTER, options.listener);
        let changes = options.store.latest_relay_change().await?;
        let (releases, released) = mpsc::unbounded_channel();
        let this = Arc::new(Self {
            id,
            channels,
            parts: Mutex::default(),
            processes: Mutex::default(),
            releases,
            tasks: Mutex::default(),
            options,
        });
        this.options
            .store
            .put_process(&this.id, this.reach().as_deref())
            .await?;
        this.see_processes().await?;
        let weak = Arc::downgrade(&this);
        *this.tasks() = vec![
            tokio::spawn(beat(weak.clone(), this.options.pace.beat)),
            tokio::spawn(follow(weak, this.options.pace.look, changes)),
            tokio::spawn(release(this.options.store.clone(), released)),
        ];
        Ok(this)
    }

    /// The name of this process.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// What comes from other processes: relays are opened to it, and nothing else.
    pub fn flow(&self) -> FlowId {
        self.channels.flow()
    }

    /// The node of a project runs here: its relays are told to the others, and theirs are found. `members` is what comes in
    /// over channels with the node, `access` says which of it may go to relays. It ends when all handles are dropped.
    pub fn join(
        self: &Arc<Self>,
        project: &str,
        inner: &Node,
        members: FlowId,
        access: Access,
    ) -> Arc<Part> {
        let part = Part::begin(self.clone(), project, inner, members, access);
        let mut parts = self.parts();
        parts.retain(|_, part| part.strong_count() > 0);
        parts.insert(project.to_owned(), Arc::downgrade(&part));
        part
    }

    /// The relays of a project at all processes.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn relays(
        &self,
        project: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<HostedRelayRecord>, StoreError> {
        self.options
            .store
            .hosted_relays(project, after, limit)
            .await
    }

    /// How many processes live, this one included.
    pub fn count(&self) -> usize {
        self.processes().len().max(1)
    }

    /// Leaves in order: what was here is free at once.
    pub async fn stop(&self) {
        for task in self.tasks().drain(..) {
            task.abort();
        }
        self.channels.close();
        let telling = self.options.store.forget_process(&self.id, None);
        match tokio::time::timeout(TELLING, telling).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => {
                tracing::debug!("the other processes could not be told: {error}");
            }
            Err(_) => tracing::debug!("the other processes could not be told in time"),
        }
    }

    /// A channel with another process.
    async fn connect(&self, process: &str) -> Option<Connection> {
        if !self.processes().contains_key(process) {
            // One that has just begun.
            self.see_processes().await.ok()?;
        }
        let address = self.processes().get(process)?.address.clone()?;
        let mut to: MultiAddr = address.parse().ok()?;
        let listener = String::from_utf8_lossy(CLUSTER.name()).into_owned();
        to.push(Protocol::Secure(listener)).ok()?;
        let options = ConnectOptions {
            identity: self.options.identity.clone(),
            authorized: vec![self.options.controller],
            timeout: CONNECTING,
        };
        match self.options.node.connect(&to, options).await {
            Ok(connection) => Some(connection),
            Err(error) => {
                tracing::debug!(%process, "the other process cannot be reached: {error}");
                None
            }
        }
    }

    /// Where a node is connected from whose way begins with the encryptor of a channel of `inner`.
    fn origin(&self, inner: &Node, encryptor: &Address) -> Option<String> {
        let channels = inner.channels();
        let channel = channels
            .iter()
            .find(|channel| channel.encryptor() == encryptor)?;
        let way = channel.route().first()?.to_address();
        let connections = self.options.node.connections();
        let connection = connections
            .iter()
            .find(|connection| *connection.sender() == way)?;
        Some(connection.info().peer.clone())
    }

    /// Looks which processes live; forgets those that do not.
    async fn see_processes(&self) -> Result<(), StoreError> {
        let rows = self.options.store.processes().await?;
        let now = Instant::now();
        let mut dead = Vec::new();
        {
            let mut known = self.processes();
            known.retain(|id, _| rows.iter().any(|row| row.id == *id));
            for row in rows {
                let seen = known.entry(row.id.clone()).or_insert_with(|| Seen {
                    address: row.address.clone(),
                    beat: row.beat,
                    since: now,
                });
                if seen.beat != row.beat {
                    *seen = Seen {
                        address: row.address,
                        beat: row.beat,
                        since: now,
                    };
                } else if row.id != self.id
                    && now.saturating_duration_since(seen.since) > self.options.pace.lease
                {
                    dead.push((row.id, row.beat));
                }
            }
        }
        for (id, beat) in dead {
            if self.options.store.forget_process(&id, Some(beat)).await? {
                tracing::warn!(process = %id, "a process gives no sign of life, what it had is free");
            }
            self.processes().remove(&id);
        }
        Ok(())
    }

    /// Nobody could give a sign of life while the database was away.
    fn forgive(&self) {
        let now = Instant::now();
        for seen in self.processes().values_mut() {
            seen.since = now;
        }
    }

    fn reach(&self) -> Option<String> {
        self.options.reach.as_ref().map(MultiAddr::to_string)
    }

    fn part(&self, project: &str) -> Option<Arc<Part>> {
        self.parts().get(project).and_then(Weak::upgrade)
    }

    fn all_parts(&self) -> Vec<Arc<Part>> {
        self.parts().values().filter_map(Weak::upgrade).collect()
    }

    fn parts(&self) -> MutexGuard<'_, HashMap<String, Weak<Part>>> {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn processes(&self) -> MutexGuard<'_, HashMap<String, Seen>> {
        self.processes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn tasks(&self) -> MutexGuard<'_, Vec<JoinHandle<()>>> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for task in self.tasks().drain(..) {
            task.abort();
        }
        self.channels.close();
    }
}

/// Tells the others that this process lives, and looks after them.
async fn beat(cluster: Weak<Cluster>, every: Duration) {
    let mut away = false;
    loop {
        tokio::time::sleep(every).await;
        let Some(cluster) = cluster.upgrade() else {
            return;
        };
        match cluster.live(away).await {
            Ok(()) => away = false,
            Err(error) if away => tracing::debug!("the database is still away: {error}"),
            Err(error) => {
                away = true;
                tracing::warn!("the database is away, what runs goes on: {error}");
            }
        }
    }
}

impl Cluster {
    async fn live(&self, was_away: bool) -> Result<(), StoreError> {
        let store = &self.options.store;
        if !store.beat_process(&self.id).await? {
            // The others took this one for dead.
            store.put_process(&self.id, self.reach().as_deref()).await?;
            for part in self.all_parts() {
                part.claim_again().await;
            }
        }
        if was_away {
            self.forgive();
        }
        self.see_processes().await
    }
}

/// Acts on relays that have gone elsewhere.
async fn follow(cluster: Weak<Cluster>, every: Duration, mut seen: u64) {
    let mut looks = 0_u64;
    loop {
        tokio::time::sleep(every).await;
        let Some(cluster) = cluster.upgrade() else {
            return;
        };
        let store = &cluster.options.store;
        match store.relay_changes_behind(seen).await {
            Ok(changes) => {
                for change in changes {
                    seen = seen.max(change.claim);
                    if let Some(part) = cluster.part(&change.project) {
                        part.hear(&change);
                    }
                }
            }
            Err(error) => tracing::debug!("what changed is not known: {error}"),
        }
        looks += 1;
        if looks.is_multiple_of(LOOKS_BETWEEN_TIDYING) {
            for part in cluster.all_parts() {
                part.end_idle();
            }
            let long_ago = UnixTime(now().0.saturating_sub(KEPT_RELEASES));
            if let Err(error) = store.forget_released_relays(long_ago).await {
                tracing::debug!("old names could not be forgotten: {error}");
            }
        }
    }
}

/// Tells the database which relays have ended. What it does not hear, it notices when this process ends.
async fn release(store: Store, mut released: mpsc::UnboundedReceiver<Release>) {
    while let Some(one) = released.recv().await {
        let mut pause = FIRST_PAUSE;
        while let Err(error) = store
            .release_relay(&one.project, &one.name, one.claim, now())
            .await
        {
            tracing::debug!("a relay could not be given back yet: {error}");
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
}

/// The present time, for lists.
fn now() -> UnixTime {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    UnixTime(since.map_or(0, |since| since.as_secs()))
}

/// Where processes accept each other.
const CLUSTER: Address = Address::from_static("cluster");
/// How long a process may take to connect to another.
const CONNECTING: Duration = Duration::from_secs(5);
/// How long the end of a process waits for the database.
const TELLING: Duration = Duration::from_secs(2);
/// Seconds for which it is kept that a name was given back.
const KEPT_RELEASES: u64 = 60;
const LOOKS_BETWEEN_TIDYING: u64 = 20;
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests;
