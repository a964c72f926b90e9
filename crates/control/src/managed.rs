//! The managed node: a node that keeps what it was asked for.
//!
//! ```text
//! command ═ control socket ═ api ─ Managed ─┬─ Registry of each noun ─ ockam-node, ockam-portal
//!                                           └─ store: the node's row, and each request
//! ```
//!
//! # Invariants
//! - A request that changes the node is in the store before it is acknowledged. A request that fails leaves nothing behind.
//! - At start everything that was asked for is started again, in the order of [`restore`]; one thing that cannot be started
//!   is logged and does not keep the node from starting. Connections are taken when what they lead to runs.
//! - The routable listener has no control worker: only the control socket commands the node.
//!
//! Specification: command 3.6, 3.7, 3.14; messaging 4.3, 5.

mod api;
mod apply;
mod authority;
mod authority_history;
mod channel_listeners;
mod channels;
mod histories;
mod inlets;
mod names;
mod orchestrator;
mod outlets;
mod own_identity;
mod policies;
mod presented;
mod registry;
mod relays;
mod restore;
mod services;
mod sign_in;
mod status_endpoint;
mod tcp_connections;
mod tcp_listeners;
mod ways;
mod ways_in;
mod workers;

use std::num::NonZeroUsize;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use ockam_authority::client::Withdrawals;
use ockam_identity::Identifier;
use ockam_node::{Authority, FlowId, Node, NodeOptions, OwnIdentity, Policies};
use ockam_portal::{DEFAULT_CHUNK, Hints, RelayService};
use ockam_store::{IdentityName, IdentityRecord, IfRunning, NodeName, NodeStart, ProcessMark};
use ockam_wire::{Address, MultiAddr, Protocol};
use serde::{Deserialize, Serialize};
use tokio::task::JoinHandle;

pub use self::histories::StoredHistories;
pub(crate) use self::names::StoredNodes;
pub use self::own_identity::StoredIdentity;
pub use self::status_endpoint::StatusEndpoint;
pub use sign_in::TenantUserInfo;

use self::authority::RunningAuthority;
use self::channel_listeners::KeptListener;
use self::channels::KeptChannel;
use self::inlets::KeptInlet;
use self::orchestrator::{Opened, RunningOrchestrator};
use self::outlets::KeptOutlet;
use self::policies::PolicySet;
use self::registry::{Made, Registry};
use self::relays::KeptRelay;
use self::services::KeptService;
use self::tcp_connections::KeptTcpConnection;
use self::tcp_listeners::KeptTcpListener;
use self::ways_in::{NamedPeers, WayIn};
use crate::home::purpose_keys::KeyLifetime;
use crate::home::trust::{TrustSpec, Trusted};
use crate::home::{identities, nodes};
use crate::membership::{self, Applicant};
use crate::noun;
use crate::noun::authority::AuthoritySettings;
use crate::noun::node::NodeResources;
use crate::noun::node_services::NodeServices;
use crate::orchestrator::{DatabaseAccess, Orchestrates, OrchestratorSettings};
use crate::outcome::Failure;
use crate::resource::Serve;
use crate::socket::ControlSocket;
use crate::state::{State, refused, status_of};
use crate::value::{DurationText, HostPort};

/// What a node is started with.
#[derive(Debug, Clone)]
pub struct NodeSettings {
    /// Its name.
    pub name: NodeName,
    /// Where other nodes connect; the stored address, or a free port on loopback, when none is given.
    pub listener: Option<HostPort>,
    /// The identity it runs as; the stored one, or the default one, when none is given.
    pub identity: Option<IdentityName>,
    /// Where health checks are answered.
    pub status_endpoint: StatusEndpoint,
    /// Services beside those every node has; those it had before when none are given.
    pub services: Option<NodeServices>,
    /// Whether it denies what nobody allowed; a node that was strict before stays so.
    pub posture: Posture,
    /// What to do when a process of this name runs.
    pub if_running: IfRunning,
    /// Whether it is created or was there before.
    pub start: Start,
    /// Most content that a portal puts into one message; the usual, when it is not given.
    pub portal_chunk: Option<NonZeroUsize>,
    /// How long its channel keys live; as before, or the usual, when it is not given.
    pub purpose_key_lifetime: Option<DurationText>,
    /// Whose credentials count; as before when it is not given.
    pub trust: Option<TrustSpec>,
    /// How long the authority may be silent before its credentials count no more; as before when it is not given.
    pub max_stale: Option<DurationText>,
    /// How it works as an authority; as before, when it is not given.
    pub authority: Option<AuthoritySettings>,
    /// How it works as the Orchestrator; as before, when it is not given.
    pub orchestrator: Option<OrchestratorSettings>,
    /// What runs the Orchestrator, where a program has it.
    pub orchestrates: Option<Arc<dyn Orchestrates>>,
    /// What the Orchestrator needs for its database.
    pub database: DatabaseAccess,
}

/// How a node comes to be started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Start {
    /// It is created, or created again under the name of one that has stopped; it may become the default node.
    #[default]
    Create,
    /// It was stopped and goes on; the default node stays what it is.
    Resume,
}

/// What a node does with what nobody allowed or denied (spec: messaging 12).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Posture {
    /// What a published node does: unless it has an authority, it serves whoever comes.
    #[default]
    Published,
    /// It denies it. With an authority every node does.
    Strict,
}

/// A running node. [`ManagedNode::stop`] marks it as stopped.
#[derive(Debug)]
pub struct ManagedNode {
    managed: Arc<Managed>,
    authority: Option<RunningAuthority>,
    tasks: Vec<JoinHandle<()>>,
}

impl ManagedNode {
    /// Starts a node: takes or makes its identity, binds its listener, starts its services, restores what it was asked for,
    /// and serves its control socket (spec: command 3.6).
    ///
    /// # Errors
    /// The node runs already, an address is in use, or the state cannot be used.
    pub async fn start(state: State, settings: NodeSettings) -> Result<Self, Failure> {
        let prior = nodes::find(&state, &settings.name).await?;
        if let Some(prior) = &prior
            && settings.if_running == IfRunning::Refuse
            && prior.process != Some(ProcessMark::current())
            && status_of(prior).is_running()
        {
            return Err(nodes::already_running(&settings.name));
        }
        // One that was killed a moment ago.
        if let Some(process) = prior.as_ref().and_then(|prior| prior.process) {
            nodes::let_go(process).await?;
        }
        // Whoever does not believe what is stored is told by the node itself: two processes of one name would take each
        // other's place in the store.
        let socket = state.socket(&settings.name)?;
        if tokio::net::UnixStream::connect(&socket).await.is_ok() {
            return Err(nodes::already_running(&settings.name));
        }
        let prior_options = stored_options(prior.as_ref())?;
        let orchestrator = settings.orchestrator.clone().or(prior_options.orchestrator);
        let opened = match orchestrator.clone() {
            Some(asked) => Some(
                Opened::new(
                    &state,
                    asked,
                    settings.orchestrates.clone(),
                    &settings.database,
                )
                .await?,
            ),
            None => None,
        };
        // What the Orchestrator has to remember is in its own database, also who it is.
        let keeper = opened
            .as_ref()
            .map_or(&state, |opened| &opened.state)
            .clone();
        let prior_identity = prior.as_ref().and_then(|prior| prior.identity.as_ref());
        let identity = match (&settings.identity, prior_identity) {
            _ if let Some(opened) = &opened => opened.controller.clone(),
            // spec: command 3.6 (a named identity that is missing is created)
            (Some(name), _) => {
                let spec = identities::IdentitySpec {
                    name: Some(name.clone()),
                    ..identities::IdentitySpec::default()
                };
                identities::create(&state, spec).await?.into_record()
            }
            (None, Some(name)) => identities::find(&state, Some(name)).await?,
            (None, None) => identities::find_or_default(&state, None).await?,
        };
        let key_lifetime = match settings
            .purpose_key_lifetime
            .or(prior_options.purpose_key_lifetime)
        {
            Some(lifetime) => KeyLifetime::new(lifetime.0)?,
            None => KeyLifetime::USUAL,
        };
        let own_identity =
            StoredIdentity::follow(&keeper, &identity, key_lifetime, LOOK_EVERY).await?;
        let authority = settings.authority.clone().or(prior_options.authority);
        // An authority trusts nobody but its account authority. That of the default project may be itself: it would wait for
        // its own credential before it answers anybody.
        let trust = match &authority {
            Some(_) => None,
            None if opened.is_some() => None,
            None => settings.trust.clone().or(prior_options.trust),
        };
        let trusted = match &trust {
            Some(trust) => Some(Trusted::of(&state, trust).await?),
            None => None,
        };
        let account_authority = match &authority {
            Some(authority) => authority::account_authority(authority)?,
            None => None,
        };
        let histories = Arc::new(StoredHistories::new(keeper.store()));
        let policies = Arc::new(PolicySet::stored(&state, &settings.name).await?);
        let posture = match settings.posture {
            _ if opened.is_some() => Posture::Strict,
            Posture::Published => prior_options.posture,
            Posture::Strict => Posture::Strict,
        };
        let has_authority = trusted.is_some() || account_authority.is_some();
        // With an authority what has no policy is for its members.
        let named_peers = match posture {
            Posture::Strict if !has_authority => Some(NamedPeers::before(policies.clone())?),
            _ => None,
        };
        let applied: Arc<dyn Policies> = match &named_peers {
            Some(named) => named.clone(),
            None => policies.clone(),
        };
        let node = Node::new(NodeOptions {
            policies: applied,
            histories,
            names: Arc::new(StoredNodes(state.clone())),
            authority: account_authority
                .or_else(|| trusted.as_ref().map(|trusted| trusted.authority.clone()))
                .map(Authority::new),
            strict: posture == Posture::Strict,
            ..NodeOptions::default()
        });
        let stored_listener = prior.as_ref().and_then(|prior| prior.listener.as_deref());
        let listener = match &opened {
            Some(opened) => opened.listen(&node, &settings, stored_listener).await?,
            None => listen(&node, &settings, stored_listener).await?,
        };
        let status_choice = match settings.status_endpoint {
            StatusEndpoint::Preferred if prior_options.no_status_endpoint => StatusEndpoint::Off,
            choice => choice,
        };
        let stored_status = prior
            .as_ref()
            .and_then(|prior| prior.status_endpoint.as_deref())
            .and_then(|text| text.parse().ok());
        let status = status_endpoint::bind(status_choice, stored_status).await?;
        let status_address = match &status {
            Some(status) => Some(
                status
                    .local_addr()
                    .map_err(|error| Failure::internal("the status endpoint is gone", &error))?,
            ),
            None => None,
        };
        let options = NodeOptionsRecord {
            no_status_endpoint: status_choice == StatusEndpoint::Off,
            posture,
            services: settings.services.clone().or(prior_options.services),
            purpose_key_lifetime: settings
                .purpose_key_lifetime
                .or(prior_options.purpose_key_lifetime),
            trust,
            max_stale: settings.max_stale.or(prior_options.max_stale),
            authority,
            orchestrator,
        };
        let start = NodeStart {
            name: settings.name.clone(),
            identity: opened.is_none().then(|| identity.name.clone()),
            process: Some(ProcessMark::current()),
            listener: Some(listener.address().to_string()),
            status_endpoint: status_address.map(|address| address.to_string()),
            options: serde_json::to_string(&options)
                .map_err(|error| Failure::internal("the options cannot be written", &error))?,
        };
        let stored = match settings.start {
            Start::Create if opened.is_some() => {
                state
                    .store()
                    .create_node_apart(&start, settings.if_running)
                    .await
            }
            Start::Create => {
                let created = state.store().create_node(&start, settings.if_running).await;
                if created.is_ok() {
                    prefer_to_authority(&state, &settings.name).await?;
                }
                created
            }
            Start::Resume => {
                state
                    .store()
                    .restart_node(&start, settings.if_running)
                    .await
            }
        };
        stored.map_err(refused)?;
        let max_stale = options.max_stale.map(|stale| stale.0);
        let own: Arc<dyn OwnIdentity> = own_identity.clone();
        let (withdrawals, presented) = match &trusted {
            Some(trusted) => {
                let store = state.store();
                let applicant =
                    Applicant::of(store, &node, trusted, identity.identifier, own).await?;
                let withdrawals = membership::follow_withdrawals(
                    store,
                    &node,
                    trusted,
                    applicant.asking(),
                    max_stale,
                )
                .await?;
                let presented =
                    membership::presented(store, &node, trusted, applicant, withdrawals.as_ref());
                (withdrawals, presented)
            }
            None => (None, own),
        };
        let managed = Arc::new_cyclic(|own| Managed {
            own: own.clone(),
            name: settings.name.clone(),
            state,
            node,
            followed: tokio::sync::Mutex::new(vec![Arc::downgrade(&own_identity)]),
            key_lifetime,
            trusted,
            _withdrawals: withdrawals,
            presented: tokio::sync::Mutex::new(vec![(
                identity.identifier,
                Arc::downgrade(&presented),
            )]),
            identity: presented,
            portal_chunk: settings
                .portal_chunk
                .map_or(DEFAULT_CHUNK, NonZeroUsize::get),
            policies,
            services: Arc::default(),
            relay_service: OnceLock::new(),
            orchestrator: OnceLock::new(),
            named_peers,
            outlets: Arc::default(),
            inlets: Arc::default(),
            relays: Arc::default(),
            channels: Arc::default(),
            channel_listeners: Arc::default(),
            tcp_listeners: Arc::default(),
            connections: Arc::default(),
        });
        let mut this = Self {
            managed,
            authority: None,
            tasks: Vec::new(),
        };
        let started = match (opened, options.authority) {
            (Some(opened), _) => this.run_orchestrator(listener, status, opened).await,
            (None, Some(authority)) => {
                this.run_authority(listener, status, &authority, identity.identifier)
                    .await
            }
            (None, None) => this.run(listener, status, options.services).await,
        };
        match started {
            Ok(()) => Ok(this),
            Err(failure) => {
                // The failure that ended the start is the one to tell.
                if let Err(also) = this.stop().await {
                    tracing::warn!("the node could not be marked as stopped: {also}");
                }
                Err(failure)
            }
        }
    }

    async fn run(
        &mut self,
        listener: ockam_node::TcpListener,
        status: Option<tokio::net::TcpListener>,
        services: Option<NodeServices>,
    ) -> Result<(), Failure> {
        let managed = self.managed.clone();
        let socket = managed.bind_control().await?;
        let listener_flow = managed.keep_own_listener(listener)?;
        managed.start_default_services()?;
        let relay_service = managed.start_relay_service()?;
        drop(managed.relay_service.set(relay_service));
        managed.open_way_in(listener_flow, WayIn::Plain);
        let listener = services.and_then(|services| services.secure_channel_listener);
        managed.start_channel_services(listener.as_ref()).await?;
        managed.restore().await?;
        self.tasks
            .push(tokio::spawn(authority_history::follow(managed.clone())));
        self.serve(socket, status, ());
        Ok(())
    }

    /// An authority has its own services and no others: strangers reach `api`, the peers of its channels the rest.
    async fn run_authority(
        &mut self,
        listener: ockam_node::TcpListener,
        status: Option<tokio::net::TcpListener>,
        settings: &AuthoritySettings,
        identifier: Identifier,
    ) -> Result<(), Failure> {
        let managed = self.managed.clone();
        let socket = managed.bind_control().await?;
        managed.keep_own_listener(listener)?;
        managed.start_channel_services(None).await?;
        let listeners = managed.channel_listeners.all();
        let channels = listeners
            .first()
            .map(|listener| listener.running.flow())
            .ok_or_else(|| Failure::new("the node is ending"))?;
        self.authority = Some(
            managed
                .start_authority(settings, identifier, channels)
                .await?,
        );
        managed.open_tcp_listeners();
        self.serve(socket, status, ());
        Ok(())
    }

    /// Takes commands and health checks from now on; what is given lives as long.
    fn serve<T: Send + 'static>(
        &mut self,
        socket: ControlSocket,
        status: Option<tokio::net::TcpListener>,
        alive: T,
    ) {
        let managed = self.managed.clone();
        let api = api::router(managed.clone());
        self.tasks.push(tokio::spawn(async move {
            let _alive = alive;
            if let Err(error) = axum::serve(socket, api).await {
                tracing::error!("the control socket is gone: {error}");
            }
        }));
        if let Some(status) = status {
            self.tasks
                .push(tokio::spawn(status_endpoint::serve(status, managed)));
        }
    }

    /// What the node runs.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn resources(&self) -> Result<NodeResources, Failure> {
        self.managed.resources().await
    }

    /// Ends the node and marks it as stopped; it is not deleted (spec: command 3.6).
    ///
    /// # Errors
    /// The store cannot be written.
    pub async fn stop(&self) -> Result<(), Failure> {
        for task in &self.tasks {
            task.abort();
        }
        let managed = &self.managed;
        // Nobody new comes in while the others are told.
        for listener in managed.tcp_listeners.all() {
            listener.running.close();
        }
        if let Some(orchestrator) = managed.orchestrator.get() {
            orchestrator.running.stop().await;
        }
        managed.node.shutdown().await;
        managed
            .state
            .store()
            .stop_node(&managed.name, Some(ProcessMark::current()))
            .await
            .map(drop)
            .map_err(refused)
    }
}

/// How an authority was asked to work is checked before it is stored.
#[cfg(feature = "cli")]
pub(crate) fn check_authority(settings: &AuthoritySettings) -> Result<(), Failure> {
    authority::check(settings)
}

impl Drop for ManagedNode {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

/// What handlers work on.
#[derive(Debug)]
pub(crate) struct Managed {
    own: Weak<Self>,
    name: NodeName,
    pub(crate) state: State,
    pub(crate) node: Node,
    identity: Arc<dyn OwnIdentity>,
    // Orders those who begin to follow an identity; held while one does.
    followed: tokio::sync::Mutex<Vec<Weak<StoredIdentity>>>,
    key_lifetime: KeyLifetime,
    trusted: Option<Trusted>,
    /// Ends with the node.
    _withdrawals: Option<Withdrawals>,
    // What is shown of each identity; held while one is added.
    presented: tokio::sync::Mutex<Vec<(Identifier, Weak<dyn OwnIdentity>)>>,
    portal_chunk: usize,
    policies: Arc<PolicySet>,
    services: Arc<Registry<KeptService>>,
    /// Set when the node starts.
    relay_service: OnceLock<RelayService>,
    /// Set when the node starts, if it has one.
    orchestrator: OnceLock<RunningOrchestrator>,
    /// Of a strict node without an authority.
    named_peers: Option<Arc<NamedPeers>>,
    outlets: Arc<Registry<KeptOutlet>>,
    inlets: Arc<Registry<KeptInlet>>,
    relays: Arc<Registry<KeptRelay>>,
    channels: Arc<Registry<KeptChannel>>,
    channel_listeners: Arc<Registry<KeptListener>>,
    tcp_listeners: Arc<Registry<KeptTcpListener>>,
    connections: Arc<Registry<KeptTcpConnection>>,
}

/// A request whose name is not part of it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Kept<S> {
    /// The name.
    pub(crate) name: String,
    /// The request.
    pub(crate) spec: S,
}

/// Options of a node that have no column of their own.
#[derive(Debug, Default, Serialize, Deserialize)]
struct NodeOptionsRecord {
    #[serde(default)]
    no_status_endpoint: bool,
    #[serde(default)]
    posture: Posture,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    services: Option<NodeServices>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    purpose_key_lifetime: Option<DurationText>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    trust: Option<TrustSpec>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    max_stale: Option<DurationText>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    authority: Option<AuthoritySettings>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    orchestrator: Option<OrchestratorSettings>,
}

/// The options that a node was given before. They say whom it trusts: without them it would be open to everybody.
fn stored_options(node: Option<&ockam_store::NodeRecord>) -> Result<NodeOptionsRecord, Failure> {
    let Some(node) = node else {
        return Ok(NodeOptionsRecord::default());
    };
    serde_json::from_str(&node.options).map_err(|error| {
        Failure::new(format!(
            "the stored options of the node {} are not understood",
            node.name
        ))
        .caused_by(&error)
        .help(format!(
            "run the version that wrote them, or make the node anew: `ockam node delete {}`",
            node.name
        ))
    })
}

/// What a node was told to trust.
#[cfg(feature = "cli")]
pub(crate) fn trust_of(node: &ockam_store::NodeRecord) -> Option<TrustSpec> {
    let options: NodeOptionsRecord = serde_json::from_str(&node.options).ok()?;
    options.trust
}

/// How a node works as an authority, if it is one.
pub(crate) fn authority_of(node: &ockam_store::NodeRecord) -> Option<AuthoritySettings> {
    let options: NodeOptionsRecord = serde_json::from_str(&node.options).ok()?;
    options.authority
}

/// How a node works as the Orchestrator, if it is one.
pub(crate) fn orchestrator_of(node: &ockam_store::NodeRecord) -> Option<OrchestratorSettings> {
    let options: NodeOptionsRecord = serde_json::from_str(&node.options).ok()?;
    options.orchestrator
}

/// The stored form of the options of an Orchestrator that did not start yet.
#[cfg(feature = "cli")]
pub(crate) fn orchestrator_options(settings: &OrchestratorSettings) -> Result<String, Failure> {
    let options = NodeOptionsRecord {
        orchestrator: Some(settings.clone()),
        ..NodeOptionsRecord::default()
    };
    serde_json::to_string(&options)
        .map_err(|error| Failure::internal("the options cannot be written", &error))
}

/// The stored form of the options of an authority that did not start yet.
#[cfg(feature = "cli")]
pub(crate) fn authority_options(
    settings: &AuthoritySettings,
    purpose_key_lifetime: Option<DurationText>,
    prior: Option<&ockam_store::NodeRecord>,
) -> Result<String, Failure> {
    let mut options = stored_options(prior)?;
    options.authority = Some(settings.clone());
    options.purpose_key_lifetime = purpose_key_lifetime.or(options.purpose_key_lifetime);
    serde_json::to_string(&options)
        .map_err(|error| Failure::internal("the options cannot be written", &error))
}

/// Refuses a lifetime that channel keys cannot have.
#[cfg(feature = "cli")]
pub(crate) fn check_key_lifetime(lifetime: DurationText) -> Result<(), Failure> {
    KeyLifetime::new(lifetime.0).map(drop)
}

/// Whether a node was asked to be strict.
#[cfg(feature = "cli")]
pub(crate) fn posture_of(node: &ockam_store::NodeRecord) -> Posture {
    options_of(node).posture
}

/// Whether a node is strict when it runs: it was asked to be, or trusts an authority.
pub(crate) fn is_strict(node: &ockam_store::NodeRecord) -> bool {
    let options = options_of(node);
    options.posture == Posture::Strict || options.trust.is_some()
}

fn options_of(node: &ockam_store::NodeRecord) -> NodeOptionsRecord {
    serde_json::from_str(&node.options).unwrap_or_default()
}

/// The services a node was asked for.
#[cfg(feature = "cli")]
pub(crate) fn services_of(node: &ockam_store::NodeRecord) -> Option<NodeServices> {
    let options: NodeOptionsRecord = serde_json::from_str(&node.options).ok()?;
    options.services
}

/// How long connecting a route may take (spec: messaging 8).
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);
/// How long the peers of open channels wait for news of an identity at most.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long an initiator may take for its handshake.
pub(crate) const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(30);

impl Managed {
    /// Listens for commands.
    async fn bind_control(&self) -> Result<ControlSocket, Failure> {
        let socket = self.state.socket(&self.name)?;
        ControlSocket::bind(&socket)
            .await
            .map_err(|error| Failure::internal("the node cannot be controlled", &error))
    }

    /// Keeps the listener that the node was started with; returns the flow of what comes in there.
    fn keep_own_listener(&self, listener: ockam_node::TcpListener) -> Result<FlowId, Failure> {
        let flow = listener.flow();
        let name = listener.address().to_string();
        self.tcp_listeners
            .reserve(&name, Made::Asked)
            .map_err(|_| Failure::new(format!("{name} is in use")))?
            .fill(KeptTcpListener { running: listener })?;
        Ok(flow)
    }

    /// This node, for what outlives a call.
    pub(crate) fn own(&self) -> Result<Arc<Self>, Failure> {
        self.own
            .upgrade()
            .ok_or_else(|| Failure::new("the node is ending"))
    }

    /// Stores a request, unless it comes from there.
    pub(crate) async fn keep(
        &self,
        made: Made,
        noun: &str,
        name: &str,
        spec: &impl Serialize,
    ) -> Result<(), Failure> {
        if made == Made::Restored {
            return Ok(());
        }
        let spec = serde_json::to_string(spec)
            .map_err(|error| Failure::internal("the request cannot be written", &error))?;
        self.state
            .store()
            .put_request(&self.name, noun, name, &spec)
            .await
            .map_err(refused)
    }

    /// Forgets a request.
    pub(crate) async fn forget(&self, noun: &str, name: &str) -> Result<(), Failure> {
        self.state
            .store()
            .delete_request(&self.name, noun, name)
            .await
            .map(drop)
            .map_err(refused)
    }

    /// The named identity, or the node's own.
    pub(crate) async fn identity_for(
        &self,
        name: Option<&IdentityName>,
    ) -> Result<Arc<dyn OwnIdentity>, Failure> {
        match name {
            Some(name) => {
                let record = identities::find(&self.state, Some(name)).await?;
                self.presented(&record).await
            }
            None => Ok(self.identity.clone()),
        }
    }

    /// The same without what the node's authority says of it.
    pub(crate) async fn bare_identity_for(
        &self,
        name: Option<&IdentityName>,
    ) -> Result<Arc<dyn OwnIdentity>, Failure> {
        let own = self.state.node(&self.name).await?.identity;
        let record = identities::find(&self.state, name.or(own.as_ref())).await?;
        Ok(self.followed(&record).await?)
    }

    /// An identity of the home with the credential that the node's authority issues to it.
    async fn presented(&self, record: &IdentityRecord) -> Result<Arc<dyn OwnIdentity>, Failure> {
        let followed = self.followed(record).await?;
        let Some(trusted) = &self.trusted else {
            return Ok(followed);
        };
        let mut presented = self.presented.lock().await;
        presented.retain(|(_, identity)| identity.strong_count() > 0);
        let known = presented
            .iter()
            .find(|(identifier, _)| *identifier == record.identifier)
            .and_then(|(_, identity)| identity.upgrade());
        if let Some(known) = known {
            return Ok(known);
        }
        let store = self.state.store();
        let applicant =
            Applicant::of(store, &self.node, trusted, record.identifier, followed).await?;
        let new = membership::presented(store, &self.node, trusted, applicant, None);
        presented.push((record.identifier, Arc::downgrade(&new)));
        Ok(new)
    }

    /// An identity of the home, which is followed once however often it is used.
    async fn followed(&self, record: &IdentityRecord) -> Result<Arc<StoredIdentity>, Failure> {
        let mut followed = self.followed.lock().await;
        followed.retain(|identity| identity.strong_count() > 0);
        let known = followed.iter().filter_map(Weak::upgrade);
        if let Some(known) = { known }.find(|known| *known.identifier() == record.identifier) {
            return Ok(known);
        }
        let new =
            StoredIdentity::follow(&self.state, record, self.key_lifetime, LOOK_EVERY).await?;
        followed.push(Arc::downgrade(&new));
        Ok(new)
    }

    /// Where a route leads now. A node in it must be known when it is asked for; when it is restored, it may come back.
    pub(crate) async fn place_of(
        &self,
        route: &MultiAddr,
        made: Made,
    ) -> Result<MultiAddr, Failure> {
        match (self.state.replace_nodes(route).await, made) {
            (Err(_), Made::Restored) => Ok(route.clone()),
            (place, _) => place,
        }
    }

    /// What tells the kept channel or connection that a route begins with what is noticed over it.
    pub(crate) fn hints_below(&self, route: &MultiAddr) -> Option<Hints> {
        let (Protocol::Service(first) | Protocol::Worker(first)) = route.protocols().first()?
        else {
            return None;
        };
        let channel = || Some(self.channels.find(first)?.kept.hints());
        let connection = || Some(self.connections.find(first)?.kept.hints());
        channel().or_else(connection)
    }

    /// What the node runs.
    pub(crate) async fn resources(&self) -> Result<NodeResources, Failure> {
        let record = self.state.node(&self.name).await?;
        let mut resources = nodes::stored_resources(&record);
        resources.transports = <Self as Serve<noun::tcp_listener::TcpListener>>::list(self).await?;
        resources.transports.extend(self.all_connections());
        resources.secure_channel_listeners =
            <Self as Serve<noun::secure_channel_listener::SecureChannelListener>>::list(self)
                .await?;
        resources.inlets = self.inlet_list();
        resources.outlets = <Self as Serve<noun::tcp_outlet::TcpOutlet>>::list(self).await?;
        resources.services = self.service_list();
        resources.strict = self.node.is_strict();
        Ok(resources)
    }
}

/// Whoever names no node does not mean an authority.
async fn prefer_to_authority(state: &State, created: &NodeName) -> Result<(), Failure> {
    let default = state.store().default_node().await.map_err(refused)?;
    if default.is_some_and(|default| default.name != *created && authority_of(&default).is_some()) {
        state
            .store()
            .set_default_node(created)
            .await
            .map_err(refused)?;
    }
    Ok(())
}

/// Binds the listener: where it was asked to be, where it was before, or at a free port.
async fn listen(
    node: &Node,
    settings: &NodeSettings,
    stored: Option<&str>,
) -> Result<ockam_node::TcpListener, Failure> {
    if let Some(address) = &settings.listener
        && address.port() != 0
    {
        return tcp_listeners::bind(node, address).await;
    }
    let stored: Option<HostPort> = stored.and_then(|address| address.parse().ok());
    // A host that was asked for anew is not where the node was before.
    let fits = |stored: &HostPort| {
        settings
            .listener
            .as_ref()
            .is_none_or(|wanted| wanted.ip() == stored.ip())
    };
    if let Some(address) = stored.filter(fits) {
        match tcp_listeners::bind(node, &address).await {
            Ok(listener) => return Ok(listener),
            Err(failure) => tracing::warn!("{failure}, taking a free port instead"),
        }
    }
    let free = settings
        .listener
        .clone()
        .unwrap_or_else(|| HostPort::loopback(0));
    tcp_listeners::bind(node, &free).await
}

/// A local address of this name.
pub(crate) fn local(name: &str) -> Result<Address, Failure> {
    Address::local(name.as_bytes())
        .map_err(|error| Failure::new(format!("`{name}` cannot be an address")).caused_by(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_whose_stored_options_are_not_understood_does_not_start_without_them() {
        let mut node = ockam_store::NodeRecord {
            name: "n1".parse().expect("a name"),
            identity: None,
            process: None,
            listener: None,
            status_endpoint: None,
            options: r#"{"trust":{"project":"p"}}"#.to_owned(),
            is_default: false,
            stands_apart: false,
        };
        let options = stored_options(Some(&node)).expect("they are understood");
        assert!(options.trust.is_some());
        node.options = r#"{"trust":{"what-comes-next":"p"}}"#.to_owned();
        let failure = stored_options(Some(&node)).expect_err("whom it trusts is not known");
        assert!(failure.to_string().contains("node n1"), "{failure}");
        assert!(stored_options(None).expect("none").trust.is_none());
    }
}
