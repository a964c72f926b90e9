//! The relay service of a node (spec: messaging 6.1 to 6.4, 12 (W5, W10, W11, W13)).
//!
//! Invariants: a name is validated before it becomes an address; only its owner replaces a relay, others after its
//! owner stayed silent for two seconds; a relay ends with the connection it forwards to; a relay forwards to another
//! node only, never to a worker of this one, so relays cannot form a loop here.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, SystemTime};

use ockam_identity::Identifier;
use ockam_node::{
    Access, DeniedBy, FlowId, LocalMessage, Mailbox, Node, Producer, StartError, WorkerGuard,
};
use ockam_wire::{Address, Buffer, Route, bare};
use tokio::task::JoinHandle;

use super::authority::{AllowEveryone, RelayAuthority};
use super::name::RelayName;
use super::ownership::{Claim, ClaimError, Lease, Owner, Ownership};
use super::registry::{Claimed, RelayClaim, RelayRegistry};
use super::worker::RelayWorker;
use super::{NO_RELAY, PREFIX, SERVICE, STATIC_SERVICE};
use crate::guard::REVIEW;
use crate::offers_streams;
use crate::session::{Pinger, random};

/// What a relay service is.
#[derive(Debug, Clone)]
pub struct RelayServiceOptions {
    /// Where names are registered.
    pub addresses: Vec<Address>,
    /// What stands before a name in the address of its relay.
    pub prefix: String,
    /// Who may ask; checked for every registration.
    pub access: Access,
    /// Who may send to relays; whoever is relayed looks itself at who comes.
    pub relay_access: Access,
    /// Who may have which name.
    pub authority: Arc<dyn RelayAuthority>,
    /// Ways into the node from which the service can be reached.
    pub service_consumers: Vec<FlowId>,
    /// Ways into the node from which relays can be reached.
    pub relay_consumers: Vec<FlowId>,
    /// Who knows the names of other relay services, when several share theirs.
    pub registry: Option<Arc<dyn RelayRegistry>>,
}

impl Default for RelayServiceOptions {
    fn default() -> Self {
        Self {
            addresses: vec![STATIC_SERVICE, SERVICE],
            prefix: PREFIX.to_owned(),
            access: Access::ALLOW_ALL,
            relay_access: Access::ALLOW_ALL,
            authority: Arc::new(AllowEveryone),
            service_consumers: Vec::new(),
            relay_consumers: Vec::new(),
            registry: None,
        }
    }
}

/// A running relay service; it and all its relays stop when this is dropped.
#[derive(Debug)]
pub struct RelayService {
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

impl RelayService {
    /// Starts the service.
    ///
    /// # Errors
    /// One of the addresses is in use.
    pub fn start(node: &Node, options: RelayServiceOptions) -> Result<Self, StartError> {
        let mailbox = node
            .router()
            .start_mailbox(&options.addresses, options.access.clone())?;
        for address in &options.addresses {
            for flow in &options.service_consumers {
                node.router().add_consumer(address, *flow);
            }
        }
        let shared = Arc::new(Shared {
            node: node.clone(),
            relay_consumers: Mutex::new(options.relay_consumers.clone()),
            options,
            relays: Mutex::default(),
        });
        let task = tokio::spawn(serve(shared.clone(), mailbox));
        Ok(Self { shared, task })
    }

    /// Opens all relays, also later ones, to one more way into the node.
    pub fn open_relays(&self, flow: FlowId) {
        let mut ways = self.shared.relay_consumers();
        if ways.contains(&flow) {
            return;
        }
        ways.push(flow);
        let relays = self.shared.relays();
        for running in relays.running.values() {
            let router = self.shared.node.router();
            router.add_consumer(&running.info.address, flow);
        }
    }

    /// The relays that are registered now, by name.
    pub fn relays(&self) -> Vec<RelayInfo> {
        let relays = self.shared.relays();
        let mut infos: Vec<_> = relays
            .running
            .values()
            .map(|running| running.info.clone())
            .collect();
        infos.sort_by(|a, b| a.name.cmp(&b.name));
        infos
    }
}

impl Drop for RelayService {
    fn drop(&mut self) {
        self.task.abort();
        let mut relays = self.shared.relays();
        relays.running.clear();
    }
}

/// A registered relay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelayInfo {
    /// Its name.
    pub name: RelayName,
    /// Where it is reached.
    pub address: Address,
    /// Who owns the name, if that is an identity.
    pub owner: Option<Identifier>,
    /// The way to the node that registered it.
    pub forward_route: Route,
    /// When it was registered.
    pub since: SystemTime,
}

struct Shared {
    node: Node,
    options: RelayServiceOptions,
    /// Ways into the node from which relays can be reached. Taken before `relays`; held while workers are opened.
    relay_consumers: Mutex<Vec<FlowId>>,
    // Held for a few look-ups; never while a worker runs or a message is sent.
    relays: Mutex<Relays>,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RelayService")
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

#[derive(Default)]
struct Relays {
    ownership: Ownership,
    running: HashMap<RelayName, Running>,
    /// Names that the registry is asked for.
    claiming: HashMap<RelayName, Claiming>,
}

struct Claiming {
    owner: Owner,
    /// A later request of the same owner.
    next: Option<Request>,
}

/// A name that the registry has granted; given back when it is dropped.
struct Granted {
    registry: Arc<dyn RelayRegistry>,
    name: RelayName,
    claim: u64,
}

impl Drop for Granted {
    fn drop(&mut self) {
        self.registry.release(&self.name, self.claim);
    }
}

struct Running {
    info: RelayInfo,
    lease: Lease,
    /// Where its owner is told when it ends before its connection does.
    notice: Option<Route>,
    granted: Option<Granted>,
    _guard: WorkerGuard,
    watcher: JoinHandle<()>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.watcher.abort();
    }
}

/// One valid request.
struct Request {
    name: RelayName,
    owner: Owner,
    producer: Producer,
    /// The way back to the worker that asked.
    asker: Route,
    /// Whether that understands that it has no relay.
    notices: Notices,
    /// The way to its node.
    forward: Route,
}

/// Whether an owner is told that it has no relay (spec: extensions 4.7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Notices {
    Understood,
    /// spec: messaging 6.4 (nothing is answered)
    Not,
}

async fn serve(shared: Arc<Shared>, mut mailbox: Mailbox) {
    let mut changes = shared.options.authority.changes();
    let mut changing = true;
    let registry = shared.options.registry.clone();
    loop {
        let taken = async {
            match &registry {
                Some(registry) => registry.taken().await,
                None => std::future::pending().await,
            }
        };
        let some = !shared.relays().running.is_empty();
        let message = tokio::select! {
            message = mailbox.recv() => message,
            changed = changes.changed(), if changing => {
                changing = changed.is_ok();
                shared.review();
                continue;
            }
            (name, claim) = taken => {
                shared.taken(&name, claim);
                continue;
            }
            // What permits a relay may end by itself, as credentials do.
            () = tokio::time::sleep(REVIEW), if some && changing => {
                shared.review();
                continue;
            }
        };
        match shared.check(&message) {
            Ok(request) => shared.handle(request),
            Err(refusal) => {
                if let Refusal::NotPermitted(_) = refusal
                    && notices(&message) == Notices::Understood
                {
                    shared.tell_none(message.return_route);
                }
                refuse(&refusal);
            }
        }
    }
}

fn notices(request: &LocalMessage) -> Notices {
    match request.origin.peer.as_deref() {
        Some(peer) if offers_streams(peer) => Notices::Understood,
        _ => Notices::Not,
    }
}

impl Shared {
    fn check(&self, message: &LocalMessage) -> Result<Request, Refusal> {
        let text = bare::decode_str(message.payload.as_slice()).map_err(|_| Refusal::Malformed)?;
        let name: RelayName = if text == "register" {
            random_name()?
        } else {
            text.parse().map_err(|_| Refusal::InvalidName)?
        };
        let asker = message.return_route.clone();
        let mut forward = asker.clone();
        forward.pop_back();
        // spec: messaging 12 W5 (only to another node: what stands behind the first hop is a transport or a channel
        // of this node, the one the request came in by)
        let producer = self
            .node
            .router()
            .producer_behind(&forward)
            .filter(|producer| {
                message
                    .origin
                    .producer
                    .is_none_or(|from| from.id == producer.id)
            })
            .ok_or(Refusal::NotElsewhere)?;
        if asker.len() > MAX_FORWARD_HOPS {
            return Err(Refusal::TooLong);
        }
        let peer = message.origin.peer.as_ref().map(|peer| peer.identifier);
        if self.node.is_strict() {
            // spec: messaging 12 W10
            if peer.is_none() {
                let denials = self.node.denials();
                denials.note(None, &format!("relay {name}"), &DeniedBy::Strict);
                return Err(Refusal::NotPermitted(name));
            }
            // spec: messaging 12 W5 (a way back leads over connections and channels, never through a relay)
            let prefix = self.options.prefix.as_bytes();
            if !prefix.is_empty() && forward.iter().any(|hop| hop.name().starts_with(prefix)) {
                return Err(Refusal::Loop);
            }
        }
        if !self.options.authority.permits(peer.as_ref(), &name) {
            return Err(Refusal::NotPermitted(name));
        }
        let owner = match peer {
            Some(peer) => Owner::Identity(peer),
            None => Owner::Connection(Some(producer.id)),
        };
        Ok(Request {
            name,
            owner,
            producer,
            asker,
            notices: notices(message),
            forward,
        })
    }

    /// Ends the relays whose owners may not have them any more.
    fn review(self: &Arc<Self>) {
        let present: Vec<_> = self
            .relays()
            .running
            .values()
            .map(|running| (running.info.name.clone(), running.info.owner, running.lease))
            .collect();
        for (name, owner, lease) in present {
            if self.options.authority.permits(owner.as_ref(), &name) {
                continue;
            }
            tracing::info!(relay = %name, "the owner of the relay may not have it any more, it is closed");
            if let Some(notice) = self
                .release(&name, lease)
                .and_then(|ended| ended.notice.clone())
            {
                self.tell_none(notice);
            }
        }
    }

    /// Tells whoever asked, or has asked, that there is no relay for it.
    fn tell_none(self: &Arc<Self>, asker: Route) {
        let Some(service) = self.options.addresses.first().cloned() else {
            return;
        };
        let shared = self.clone();
        // The service must not wait for one slow client.
        tokio::spawn(async move {
            let back = Route::from_hops([service.clone()]).unwrap_or_default();
            let body = Buffer::from_slice(&bare::encode_str(NO_RELAY));
            let router = shared.node.router();
            drop(router.send(&service, asker, back, body).await);
        });
    }

    fn handle(self: &Arc<Self>, request: Request) {
        let claim = self.relays().ownership.claim(&request.name, &request.owner);
        match claim {
            Claim::Granted => self.granted(request),
            Claim::Refused(error) => self.refuse_claim(request, error),
            Claim::Probe(lease) => {
                let shared = self.clone();
                tokio::spawn(async move { shared.contest(request, lease).await });
            }
        }
    }

    /// Somebody else asks for a taken name: it is free if its owner stays silent.
    async fn contest(self: Arc<Self>, request: Request, lease: Lease) {
        let forward = self
            .relays()
            .running
            .get(&request.name)
            .filter(|running| running.lease == lease)
            .map(|running| running.info.forward_route.clone());
        let alive = match forward {
            Some(forward) => self.is_alive(forward).await,
            None => false,
        };
        if alive {
            self.relays().ownership.handle_alive(&request.name, lease);
            self.refuse_claim(request, ClaimError::Taken);
            return;
        }
        tracing::warn!(relay = %request.name, "the owner of the relay is silent, it is replaced");
        drop(self.release(&request.name, lease));
        self.handle(request);
    }

    fn refuse_claim(self: &Arc<Self>, request: Request, error: ClaimError) {
        if request.notices == Notices::Understood {
            self.tell_none(request.asker);
        }
        refuse(&Refusal::Claim(request.name, error));
    }

    async fn is_alive(&self, forward: Route) -> bool {
        let Some(first) = forward.first().map(|first| first.to_address()) else {
            return false;
        };
        let gone = self.node.router().gone(&first);
        let Some(mut pinger) = Pinger::start(&self.node, forward) else {
            return false;
        };
        let value = random();
        let answer = async {
            pinger.ping(&self.node, value).await;
            while pinger.pong().await != value {}
        };
        tokio::select! {
            () = answer => true,
            () = gone => false,
            () = tokio::time::sleep(PROBE) => false,
        }
    }

    /// Here the name may be taken now: it is registered as soon as the registry grants it too.
    fn granted(self: &Arc<Self>, request: Request) {
        let Some(registry) = self.options.registry.clone() else {
            return self.register(request, None);
        };
        let name = request.name.clone();
        {
            let mut relays = self.relays();
            if let Some(claiming) = relays.claiming.get_mut(&name) {
                if claiming.owner == request.owner {
                    claiming.next = Some(request);
                } else {
                    drop(relays);
                    self.refuse_claim(request, ClaimError::Taken);
                }
                return;
            }
            if relays.claiming.len() >= MOST_CLAIMS {
                return refuse(&Refusal::Claim(name, ClaimError::TooManyNames));
            }
            let owner = request.owner.clone();
            let claiming = Claiming { owner, next: None };
            relays.claiming.insert(name.clone(), claiming);
        }
        let shared = self.clone();
        tokio::spawn(async move {
            let mut next = Some(request);
            while let Some(request) = next {
                shared.claim(&registry, request).await;
                let mut relays = shared.relays();
                let claiming = relays.claiming.get_mut(&name);
                next = claiming.and_then(|claiming| claiming.next.take());
                if next.is_none() {
                    relays.claiming.remove(&name);
                }
            }
        });
    }

    async fn claim(self: &Arc<Self>, registry: &Arc<dyn RelayRegistry>, request: Request) {
        let mut over = None;
        loop {
            let claim = RelayClaim {
                name: request.name.clone(),
                owner: request.owner.identity(),
                forward_route: request.forward.clone(),
                over,
            };
            match registry.claim(claim).await {
                Claimed::Granted(claim) => {
                    let granted = Granted {
                        registry: registry.clone(),
                        name: request.name.clone(),
                        claim,
                    };
                    return self.register(request, Some(granted));
                }
                Claimed::Elsewhere { claim, way } if over.is_none() => {
                    if let Some(way) = way
                        && self.is_alive(way).await
                    {
                        return self.refuse_claim(request, ClaimError::Taken);
                    }
                    tracing::warn!(relay = %request.name, "the owner of the relay is silent elsewhere, it is replaced");
                    over = Some(claim);
                }
                Claimed::Elsewhere { .. } => {
                    return self.refuse_claim(request, ClaimError::Taken);
                }
                // Whoever asked asks again by itself.
                Claimed::Refused => return refuse(&Refusal::NotGranted(request.name)),
            }
        }
    }

    /// Ends a relay whose name another service has now. Its owner is there.
    fn taken(&self, name: &RelayName, claim: u64) {
        let lease = self.relays().running.get(name).and_then(|running| {
            let granted = running.granted.as_ref()?;
            (granted.claim == claim).then_some(running.lease)
        });
        if let Some(lease) = lease {
            tracing::info!(relay = %name, "the relay is elsewhere now");
            drop(self.release(name, lease));
        }
    }

    fn register(self: &Arc<Self>, request: Request, granted: Option<Granted>) {
        let address = request.name.address(&self.options.prefix);
        let Some(first) = request.forward.first().map(|first| first.to_address()) else {
            return;
        };
        let router = self.node.router();
        let worker = RelayWorker::new(address.clone(), request.forward.clone(), request.producer);
        let Some(worker) = worker.map(Arc::new) else {
            return;
        };
        let ways = self.relay_consumers();
        let lease = {
            let mut relays = self.relays();
            // The same owner's relay makes room first.
            relays.running.remove(&request.name);
            let access = self.options.relay_access.clone();
            let guard = match router.start_inline(&address, worker, access) {
                Ok(guard) => guard,
                Err(error) => {
                    refuse(&Refusal::Start(request.name, error));
                    return;
                }
            };
            let info = RelayInfo {
                name: request.name.clone(),
                address: address.clone(),
                owner: request.owner.identity(),
                forward_route: request.forward,
                since: SystemTime::now(),
            };
            let lease = relays.ownership.take(request.name.clone(), request.owner);
            let watcher = tokio::spawn(watch(
                Arc::downgrade(self),
                router.gone(&first),
                request.name.clone(),
                lease,
            ));
            relays.running.insert(
                request.name.clone(),
                Running {
                    info,
                    lease,
                    notice: (request.notices == Notices::Understood).then(|| request.asker.clone()),
                    granted,
                    _guard: guard,
                    watcher,
                },
            );
            lease
        };
        for flow in &*ways {
            router.add_consumer(&address, *flow);
        }
        drop(ways);
        tracing::info!(relay = %request.name, %address, ?lease, "relay registered");
        let router = router.clone();
        let asker = request.asker;
        // The service must not wait for one slow client.
        tokio::spawn(async move {
            let text = String::from_utf8_lossy(address.name()).into_owned();
            let back = Route::from_hops([address.clone()]).unwrap_or_default();
            let body = Buffer::from_slice(&bare::encode_str(&text));
            drop(router.send(&address, asker, back, body).await);
        });
    }

    fn release(&self, name: &RelayName, lease: Lease) -> Option<Running> {
        let mut relays = self.relays();
        if !relays.ownership.release(name, lease) {
            return None;
        }
        relays.running.remove(name)
    }

    fn relay_consumers(&self) -> MutexGuard<'_, Vec<FlowId>> {
        self.relay_consumers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn relays(&self) -> MutexGuard<'_, Relays> {
        self.relays.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ends a relay with its connection.
async fn watch(
    shared: Weak<Shared>,
    gone: impl Future<Output = ()> + Send,
    name: RelayName,
    lease: Lease,
) {
    gone.await;
    let Some(shared) = shared.upgrade() else {
        return;
    };
    tracing::info!(relay = %name, "the connection of the relay is gone");
    drop(shared.release(&name, lease));
}

fn random_name() -> Result<RelayName, Refusal> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|_| Refusal::Malformed)?;
    let text: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    text.parse().map_err(|_| Refusal::InvalidName)
}

fn refuse(refusal: &Refusal) {
    tracing::warn!("relay registration refused: {refusal}");
}

/// Why a registration is refused; stays in the log.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("the request is malformed")]
    Malformed,
    #[error("the name is not valid")]
    InvalidName,
    #[error("it would not forward to another node")]
    NotElsewhere,
    #[error("its way is too long")]
    TooLong,
    #[error("its way leads through a relay")]
    Loop,
    #[error("`{0}` is not permitted to the peer")]
    NotPermitted(RelayName),
    #[error("`{0}`: {1}")]
    Claim(RelayName, ClaimError),
    #[error("`{0}` is not granted by the registry")]
    NotGranted(RelayName),
    #[error("`{0}`: {1}")]
    Start(RelayName, StartError),
}

/// How long the owner of a contested name has to answer.
const PROBE: Duration = Duration::from_secs(2);
/// Names that the registry is asked for at the same time.
const MOST_CLAIMS: usize = 4096;
/// Hops to the relayed node, so that there is room for those of its users.
const MAX_FORWARD_HOPS: usize = 16;
