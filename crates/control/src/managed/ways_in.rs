//! Which ways into the node lead to which of its workers (spec: messaging 4.3).
//!
//! | | plain | inside a channel |
//! |---|---|---|
//! | not strict | everything | everything |
//! | strict | listeners of channels, `echo` sparingly | those, relays, and what policies give |
//!
//! At a strict node without an authority, what has no policy is for the peers that its listeners name.
//!
//! spec: messaging 12 W8, W10; trust 11.2 (11)

use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError, RwLock};

use ockam_identity::Identifier;
use ockam_node::{AppliedPolicy, FlowId, Policies, PolicySource, services};
use ockam_policy::{Policy, ResourceType};
use ockam_portal::{ByCredential, RelayService, RelayServiceOptions};
use ockam_wire::Address;
use tokio::sync::watch;

use crate::managed::Managed;
use crate::managed::services::API;
use crate::outcome::Failure;

/// One way into the node, by who comes that way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WayIn {
    /// Whoever can connect.
    Plain,
    /// Peers of secure channels.
    Channel,
}

impl Managed {
    /// Whether what needs an identity is opened to this way.
    fn leads_inside(&self, way: WayIn) -> bool {
        way == WayIn::Channel || !self.node.is_strict()
    }

    /// Opens to a way in what may be reached over it.
    pub(crate) fn open_way_in(&self, flow: FlowId, way: WayIn) {
        let router = self.node.router();
        self.open_default_services(flow);
        if !self.leads_inside(way) {
            return;
        }
        for address in [RELAY_SERVICE, STATIC_RELAY_SERVICE] {
            router.add_consumer(&address, flow);
        }
        if let Some(service) = self.relay_service.get() {
            service.open_relays(flow);
        }
        for outlet in self.outlets.all() {
            outlet.running.add_consumer(flow);
        }
    }

    /// The ways in that lead to what needs an identity.
    pub(crate) fn ways_inside(&self) -> Vec<FlowId> {
        if !self.node.is_strict() {
            return self.all_ways_in();
        }
        let channels = self.channel_listeners.all();
        let flows = channels.iter().map(|listener| listener.running.flow());
        flows.collect()
    }

    /// The flows of all listeners.
    pub(crate) fn all_ways_in(&self) -> Vec<FlowId> {
        let transports = self.tcp_listeners.all();
        let channels = self.channel_listeners.all();
        let transports = transports.iter().map(|listener| listener.running.flow());
        transports
            .chain(channels.iter().map(|listener| listener.running.flow()))
            .collect()
    }

    /// Opens what every peer may reach to one more way into the node.
    pub(crate) fn open_default_services(&self, flow: FlowId) {
        let router = self.node.router();
        for address in [services::ECHO, API] {
            router.add_consumer(&address, flow);
        }
        if !self.node.is_strict() {
            router.add_consumer(&services::UPPERCASE, flow);
        }
    }

    /// Opens a way that this node dialled, for example to a relay (spec: messaging 4.3, last column).
    pub(crate) fn open_dialled(&self, flow: FlowId) {
        self.open_default_services(flow);
        // Listeners that were asked for accept channels from behind a relay too: otherwise a node that can be reached only
        // there could not say whom it accepts.
        for listener in self.channel_listeners.all() {
            self.node
                .router()
                .add_consumer(listener.running.address(), flow);
        }
        if self.node.is_strict() {
            return;
        }
        for service in self
            .services
            .all()
            .iter()
            .filter(|service| service.spec.is_some())
        {
            self.node
                .router()
                .add_consumer(service.running.address(), flow);
        }
    }

    /// Starts the service where other nodes register relays. It is opened with each way in.
    pub(crate) fn start_relay_service(&self) -> Result<RelayService, Failure> {
        // spec: messaging 6.4 (the policy is that of this name, whichever of the two is asked)
        let guard = self.guard("forwarding_service", ResourceType::Relay);
        let options = RelayServiceOptions {
            authority: Arc::new(ByCredential::new(&self.node, guard)),
            ..RelayServiceOptions::default()
        };
        RelayService::start(&self.node, options)
            .map_err(|error| Failure::internal("the relay service could not start", &error))
    }

    /// Whether anything says who may use a resource.
    pub(crate) fn is_governed(&self, resource: &str, kind: ResourceType) -> bool {
        let applied = self.node.policies().policy(resource, kind);
        self.node.authority().is_some()
            || applied.is_some_and(|applied| applied.source != PolicySource::Default)
    }

    /// Notes whom the listeners name.
    pub(crate) fn note_named_peers(&self) {
        let Some(named) = &self.named_peers else {
            return;
        };
        let listeners = self.channel_listeners.all();
        let peers = listeners
            .iter()
            .flat_map(|listener| listener.spec.authorized.iter().copied());
        named.set(&peers.collect());
    }
}

/// The policies of a strict node without an authority: what has none is for the peers that its listeners name.
///
/// An inlet without one may lead to whoever is at the end of its way: that is chosen here, not there.
#[derive(Debug)]
pub(crate) struct NamedPeers {
    given: Arc<dyn Policies>,
    // Held for one look-up or change.
    named: RwLock<Option<Arc<Policy>>>,
    anybody: Arc<Policy>,
    changes: watch::Sender<u64>,
}

impl NamedPeers {
    /// Stands in front of what was given.
    pub(crate) fn before(given: Arc<dyn Policies>) -> Result<Arc<Self>, Failure> {
        let mut others = given.changes();
        let this = Arc::new(Self {
            given,
            named: RwLock::default(),
            anybody: Arc::new(policy("(= 1 1)")?),
            changes: watch::Sender::new(0),
        });
        let ticks = this.changes.clone();
        tokio::spawn(async move {
            while others.changed().await.is_ok() {
                ticks.send_modify(|count| *count += 1);
            }
        });
        Ok(this)
    }

    fn set(&self, peers: &BTreeSet<Identifier>) {
        let texts: Vec<String> = peers.iter().map(|peer| format!("\"{peer}\"")).collect();
        let text = format!("(member? subject.identifier [{}])", texts.join(" "));
        let named = if peers.is_empty() {
            None
        } else {
            // One that cannot be written lets nobody in.
            policy(&text)
                .inspect_err(|failure| tracing::error!("{failure}"))
                .ok()
                .map(Arc::new)
        };
        *self.named.write().unwrap_or_else(PoisonError::into_inner) = named;
        self.changes.send_modify(|count| *count += 1);
    }
}

impl Policies for NamedPeers {
    fn policy(&self, resource: &str, kind: ResourceType) -> Option<AppliedPolicy> {
        let applied = self.given.policy(resource, kind)?;
        if applied.source != PolicySource::Default {
            return Some(applied);
        }
        let named = self.named.read().unwrap_or_else(PoisonError::into_inner);
        let policy = match kind {
            ResourceType::TcpInlet => Some(self.anybody.clone()),
            _ => named.clone(),
        };
        Some(match policy {
            Some(policy) => AppliedPolicy {
                policy,
                source: PolicySource::Type,
            },
            None => applied,
        })
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }
}

fn policy(text: &str) -> Result<Policy, Failure> {
    text.parse().map_err(|error| {
        Failure::internal(
            format!("`{text}` is no policy"),
            &error as &ockam_policy::ParseError,
        )
    })
}

const RELAY_SERVICE: Address = Address::from_static("forwarding_service");
const STATIC_RELAY_SERVICE: Address = Address::from_static("static_forwarding_service");
