//! A project of this process among those of the others: whose relay names are whose, and what leads to those elsewhere.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant};

use ockam_identity::Identifier;
use ockam_node::{
    Access, Connection, FlowId, NamespaceHandle, Node, OnDemand, OnDemandFuture, OnDemandGuard,
    Origin, Started,
};
use ockam_portal::{Claimed, Forwarder, RegistryFuture, RelayClaim, RelayName, RelayRegistry};
use ockam_store::{HostedRelayRecord, NewHostedRelay, RelayClaimed};
use ockam_wire::{Address, Route};
use tokio::sync::mpsc;

use super::{Cluster, Release, now};

/// The relay registry of one project here. Its relays are given back when it ends.
pub struct Part {
    cluster: Arc<Cluster>,
    project: String,
    inner: Node,
    namespace: OnceLock<NamespaceHandle>,
    members: FlowId,
    access: Access,
    // Held for a few look-ups and the start of one worker.
    names: Mutex<Names>,
    taken: mpsc::UnboundedSender<(RelayName, u64)>,
    taking: tokio::sync::Mutex<mpsc::UnboundedReceiver<(RelayName, u64)>>,
    on_demand: OnceLock<OnDemandGuard>,
}

#[derive(Default)]
struct Names {
    own: HashMap<RelayName, Own>,
    elsewhere: HashMap<RelayName, Elsewhere>,
}

/// A relay that is here.
struct Own {
    owner: Option<Identifier>,
    from: Option<String>,
    /// The number that the relay service knows.
    told: u64,
    /// The number in the database: another one when this process was taken for dead meanwhile.
    claim: u64,
}

/// What leads to a relay of another process.
struct Elsewhere {
    process: String,
    connection: Connection,
    _forwarder: Forwarder,
    passed: u64,
    used: Instant,
}

impl Drop for Elsewhere {
    fn drop(&mut self) {
        close(self.connection.clone());
    }
}

/// Ends a connection without waiting for it.
fn close(connection: Connection) {
    if let Ok(runtime) = tokio::runtime::Handle::try_current() {
        runtime.spawn(async move { connection.close().await });
    }
}

impl Part {
    pub(super) fn begin(
        cluster: Arc<Cluster>,
        project: &str,
        inner: &Node,
        members: FlowId,
        access: Access,
    ) -> Arc<Self> {
        let (taken, taking) = mpsc::unbounded_channel();
        let this = Arc::new(Self {
            cluster,
            project: project.to_owned(),
            inner: inner.clone(),
            namespace: OnceLock::new(),
            members,
            access,
            names: Mutex::default(),
            taken,
            taking: tokio::sync::Mutex::new(taking),
            on_demand: OnceLock::new(),
        });
        let hook = Arc::new(Hook(Arc::downgrade(&this)));
        drop(this.on_demand.set(inner.start_on_demand(hook)));
        this
    }

    /// Lets it be reached by the other processes through its gate, and reach them.
    pub fn open(&self, namespace: NamespaceHandle) {
        namespace.link_accepted(self.cluster.flow());
        drop(self.namespace.set(namespace));
    }

    /// What a relay service asks for names.
    pub fn registry(self: &Arc<Self>) -> Arc<dyn RelayRegistry> {
        self.clone()
    }

    /// How many relays of other processes are led to from here.
    pub fn forwarders(&self) -> usize {
        self.names().elsewhere.len()
    }

    /// A relay of this project has changed its place.
    pub(super) fn hear(self: &Arc<Self>, change: &HostedRelayRecord) {
        let Ok(name) = change.name.parse::<RelayName>() else {
            return;
        };
        let own = &self.cluster.id;
        let mut names = self.names();
        if let Some(known) = names.elsewhere.get(&name)
            && change.process.as_ref() != Some(&known.process)
        {
            drop(names.elsewhere.remove(&name));
        }
        let Some(known) = names.own.get(&name) else {
            return;
        };
        if known.claim >= change.claim || change.process.as_ref() == Some(own) {
            return;
        }
        match &change.process {
            Some(_) => {
                let told = known.told;
                names.own.remove(&name);
                // The service is gone when nobody listens.
                drop(self.taken.send((name, told)));
            }
            None => {
                // Others took this process for dead; the relay lives.
                let this = self.clone();
                tokio::spawn(async move { this.claim_one_again(&name).await });
            }
        }
    }

    /// The database has forgotten what is here.
    pub(super) async fn claim_again(&self) {
        let names: Vec<_> = self.names().own.keys().cloned().collect();
        for name in names {
            self.claim_one_again(&name).await;
        }
    }

    async fn claim_one_again(&self, name: &RelayName) {
        let (owner, from, told) = {
            let names = self.names();
            let Some(own) = names.own.get(name) else {
                return;
            };
            (own.owner, own.from.clone(), own.told)
        };
        let claimed = self.ask(name, owner, from.as_deref(), None).await;
        let mut names = self.names();
        let Some(own) = names.own.get_mut(name).filter(|own| own.told == told) else {
            drop(names);
            // It ended meanwhile.
            if let Ok(RelayClaimed::Granted(claim)) = claimed {
                self.give_back(name, claim);
            }
            return;
        };
        match claimed {
            Ok(RelayClaimed::Granted(claim)) => own.claim = claim,
            Ok(RelayClaimed::Elsewhere { .. }) => {
                names.own.remove(name);
                drop(self.taken.send((name.clone(), told)));
            }
            Err(error) => {
                tracing::warn!(relay = %name, "the relay is not known to others: {error}")
            }
        }
    }

    async fn ask(
        &self,
        name: &RelayName,
        owner: Option<Identifier>,
        from: Option<&str>,
        over: Option<u64>,
    ) -> Result<RelayClaimed, ockam_store::StoreError> {
        let relay = NewHostedRelay {
            project: &self.project,
            name: name.as_str(),
            owner,
            process: &self.cluster.id,
            from,
            now: now(),
        };
        self.cluster.options.store.claim_relay(&relay, over).await
    }

    /// Ends what nobody has used for long.
    pub(super) fn end_idle(&self) {
        let idle = self.cluster.options.pace.idle;
        self.names().elsewhere.retain(|_, known| {
            let transport = known.connection.transport();
            let passed = transport.map_or(0, |transport| {
                transport
                    .sent_bytes()
                    .saturating_add(transport.received_bytes())
            });
            if known.used.elapsed() < idle {
                return true;
            }
            let used = passed.saturating_sub(known.passed) > SIGNS_OF_LIFE;
            (known.passed, known.used) = (passed, Instant::now());
            used
        });
    }

    async fn claimed(&self, claim: RelayClaim) -> Claimed {
        let first = claim.forward_route.first().map(|first| first.to_address());
        let from = first.and_then(|first| self.cluster.origin(&self.inner, &first));
        let until = Instant::now() + PATIENCE;
        loop {
            let asked = self.ask(&claim.name, claim.owner, from.as_deref(), claim.over);
            match asked.await {
                Ok(RelayClaimed::Granted(number)) => {
                    let own = Own {
                        owner: claim.owner,
                        from,
                        told: number,
                        claim: number,
                    };
                    let mut names = self.names();
                    // What leads elsewhere makes room.
                    drop(names.elsewhere.remove(&claim.name));
                    names.own.insert(claim.name, own);
                    return Claimed::Granted(number);
                }
                Ok(RelayClaimed::Elsewhere {
                    claim: other,
                    process,
                }) => {
                    let way = self.way_to_ask(&claim.name, &process).await;
                    return Claimed::Elsewhere { claim: other, way };
                }
                Err(error) if Instant::now() > until => {
                    tracing::warn!(relay = %claim.name, "nobody says whose the name is: {error}");
                    return Claimed::Refused;
                }
                Err(_) => tokio::time::sleep(PAUSE).await,
            }
        }
    }

    /// The way to the node of a relay elsewhere, for as long as it takes to ask it whether it lives.
    async fn way_to_ask(&self, name: &RelayName, process: &str) -> Option<Route> {
        let connection = self.cluster.connect(process).await?;
        let way = self.way(name, &connection);
        if way.is_none() {
            close(connection);
            return None;
        }
        tokio::spawn(async move {
            tokio::time::sleep(ASKING).await;
            connection.close().await;
        });
        way
    }

    fn way(&self, name: &RelayName, connection: &Connection) -> Option<Route> {
        let encryptor = connection.channels().last()?.encryptor().clone();
        self.namespace.get()?.link_opened(&encryptor).ok()?;
        Route::from_hops([encryptor, name.address(PREFIX)]).ok()
    }

    async fn lead_to(self: &Arc<Self>, name: &RelayName) -> Started {
        let found = self
            .cluster
            .options
            .store
            .hosted_relay(&self.project, name.as_str());
        let process = match found.await {
            Ok(Some(HostedRelayRecord {
                process: Some(process),
                ..
            })) if process != self.cluster.id => process,
            Ok(_) => return Started::Unknown,
            Err(error) => {
                tracing::debug!(relay = %name, "nobody says where the relay is: {error}");
                return Started::Unknown;
            }
        };
        if self.names().elsewhere.len() >= MOST_FORWARDERS {
            tracing::warn!(
                project = self.project,
                "too many relays of other processes are in use"
            );
            return Started::Unknown;
        }
        let Some(connection) = self.cluster.connect(&process).await else {
            return Started::Unknown;
        };
        let Some(way) = self.way(name, &connection) else {
            close(connection);
            return Started::Unknown;
        };
        let mut names = self.names();
        if names.own.contains_key(name) {
            drop(names);
            close(connection);
            return Started::Unknown;
        }
        let address = name.address(PREFIX);
        let from = [self.members];
        let forwarder = Forwarder::start(&self.inner, &address, way, &from, self.access.clone());
        let forwarder = match forwarder {
            Ok(forwarder) => forwarder,
            Err(error) => {
                tracing::debug!(relay = %name, "the relay cannot be led to: {error}");
                drop(names);
                close(connection);
                return Started::Unknown;
            }
        };
        tracing::debug!(relay = %name, %process, "the relay is at another process");
        let ends = connection.clone();
        names.elsewhere.insert(
            name.clone(),
            Elsewhere {
                process,
                connection,
                _forwarder: forwarder,
                passed: 0,
                used: Instant::now(),
            },
        );
        drop(names);
        tokio::spawn(forget_with(Arc::downgrade(self), name.clone(), ends));
        Started::Running
    }

    fn give_back(&self, name: &RelayName, claim: u64) {
        let release = Release {
            project: self.project.clone(),
            name: name.to_string(),
            claim,
        };
        // Without a receiver the process ends, and the database is told of all at once.
        drop(self.cluster.releases.send(release));
    }

    fn names(&self) -> MutexGuard<'_, Names> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl RelayRegistry for Part {
    fn claim(&self, claim: RelayClaim) -> RegistryFuture<'_, Claimed> {
        Box::pin(self.claimed(claim))
    }

    fn release(&self, name: &RelayName, claim: u64) {
        let mut names = self.names();
        if let Some(own) = names.own.get(name)
            && own.told == claim
        {
            let claim = own.claim;
            names.own.remove(name);
            drop(names);
            self.give_back(name, claim);
        }
    }

    fn taken(&self) -> RegistryFuture<'_, (RelayName, u64)> {
        Box::pin(async {
            let next = self.taking.lock().await.recv().await;
            match next {
                Some(taken) => taken,
                None => std::future::pending().await,
            }
        })
    }
}

impl fmt::Debug for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Part")
            .field("project", &self.project)
            .finish_non_exhaustive()
    }
}

/// Ends a forwarder with its connection.
async fn forget_with(part: Weak<Part>, name: RelayName, connection: Connection) {
    connection.closed().await;
    let Some(part) = part.upgrade() else { return };
    let mut names = part.names();
    let same = |known: &Elsewhere| known.connection.route() == connection.route();
    if names.elsewhere.get(&name).is_some_and(same) {
        tracing::debug!(relay = %name, "the other process is gone");
        drop(names.elsewhere.remove(&name));
    }
}

/// Leads to relays elsewhere when somebody sends to them.
#[derive(Debug)]
struct Hook(Weak<Part>);

impl OnDemand for Hook {
    fn may_start(&self, name: &Address, origin: &Origin) -> bool {
        let Some(part) = self.0.upgrade() else {
            return false;
        };
        // Only what members send goes elsewhere: what came from another process is here or nowhere.
        origin.peer.is_some()
            && origin
                .producer
                .is_some_and(|producer| producer.spawner == Some(part.members))
            && relay_name(name).is_some()
    }

    fn start<'a>(&'a self, name: &'a Address) -> OnDemandFuture<'a> {
        Box::pin(async move {
            match (self.0.upgrade(), relay_name(name)) {
                (Some(part), Some(name)) => part.lead_to(&name).await,
                _ => Started::Unknown,
            }
        })
    }
}

fn relay_name(address: &Address) -> Option<RelayName> {
    let name = std::str::from_utf8(address.name()).ok()?;
    name.strip_prefix(PREFIX)?.parse().ok()
}

/// What stands before a name in the address of a relay (spec: messaging 6.2).
const PREFIX: &str = "forward_to_";
/// How long a registration waits for the database.
const PATIENCE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(300);
/// For how long the node of another relay may be asked whether it lives.
const ASKING: Duration = Duration::from_secs(5);
/// Relays of other processes that members of one project may use at a time.
const MOST_FORWARDERS: usize = 1024;
/// More bytes than a channel says by itself between two such looks; whoever asks whether a relay lives says more.
const SIGNS_OF_LIFE: u64 = 4096;
