//! A project that runs: its node and its authority, and what each of them lets whom do.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ockam_authority::{
    Admins, Authority, AuthorityOptions, AuthorityServices, Listener, Okta, Service, Withdrawal,
};
use ockam_control::hosted::{
    KeyLifetime, StoredHistories, StoredIdentity, StoredIssuer, StoredMembers,
};
use ockam_identity::{ChangeHistory, Identifier, UnixTime, VerifiedHistory};
use ockam_node::{
    Access, Authority as Trusted, ChannelListener, Entrance, FlowId, ListenerOptions, Namespace,
    Node, NodeOptions, Rule, SecureChannel, services,
};
use ockam_policy::ResourceType;
use ockam_portal::{ByCredential, RelayInfo, RelayService, RelayServiceOptions};
use ockam_store::HostingRecord;
use ockam_wire::Address;

use crate::cluster::Part;

use super::id::Place;
use super::okta::ProjectTenant;
use super::{ProjectId, Projects, ProjectsError, SHARING};

/// A project that runs. It ends when this is dropped.
pub(super) struct Started {
    pub(super) node: Node,
    pub(super) authority_node: Node,
    pub(super) identifier: Identifier,
    authority: Arc<Authority<StoredMembers>>,
    relays: RelayService,
    /// Its relays at other processes.
    _part: Option<Arc<Part>>,
    /// Of the node and of the authority.
    listeners: [ChannelListener; 2],
    gates: [Namespace; 2],
    _services: AuthorityServices,
    _echoes: [services::Service; 2],
    // Held for one look or change.
    used: Mutex<Instant>,
}

impl Started {
    /// Starts a project, which is reached over the ways that are known now.
    pub(super) async fn begin(
        projects: &Projects,
        id: &ProjectId,
        record: &HostingRecord,
    ) -> Result<Self, ProjectsError> {
        let histories = Arc::new(StoredHistories::new(projects.store()));
        // Its own authority is whom the node believes, and nobody else.
        let node = Node::new(NodeOptions {
            authority: Some(Trusted::new(verified(
                &record.authority_history,
                &record.authority,
            )?)),
            histories: histories.clone(),
            strict: true,
            ..NodeOptions::default()
        });
        // And the authority believes the controller when that says who administers the project (spec: trust 7.2).
        let authority_node = Node::new(NodeOptions {
            authority: Some(projects.controller.clone()),
            histories,
            strict: true,
            ..NodeOptions::default()
        });
        let listeners = [
            listen(projects, &node, &record.identity).await?,
            listen(projects, &authority_node, &record.authority).await?,
        ];
        let [inside, authority_inside] = [listeners[0].flow(), listeners[1].flow()];

        let members = StoredMembers::new(projects.store(), record.authority).audited();
        let issuer = StoredIssuer::new(&projects.state, record.authority, KeyLifetime::USUAL);
        let listener = Withdrawn {
            node: node.clone(),
            authority_node: authority_node.clone(),
        };
        let options = AuthorityOptions {
            lifetime: projects.options.credential_lifetime,
            admins: Admins::Nobody,
            account_authority: Some(*projects.controller.identifier()),
            sharing: SHARING,
            listener: Some(Arc::new(listener)),
            okta: Some(Okta::of(Box::new(ProjectTenant::new(projects.store(), id)))),
            ..AuthorityOptions::new(id.as_str())
        };
        let authority = Authority::start(
            record.authority,
            members,
            Arc::new(issuer),
            BTreeMap::new(),
            options,
        )
        .await?;
        let authority = Arc::new(authority);
        // What was withdrawn until now; what is from now on is told.
        withdraw_all(projects, &record.authority, &node).await?;
        for event in projects
            .store()
            .dismissed_administrators(id.as_str())
            .await?
        {
            if let Some((who, before)) = event.dismissed {
                authority_node.attested().withdraw(&who, before);
            }
        }
        let services = AuthorityServices::start(&authority_node, &authority, &SERVICES)
            .map_err(|error| failed(id, &error))?;

        let guard = node.guard(
            "forwarding_service",
            ResourceType::Relay,
            node.policies().clone(),
        );
        // Members only, also of those who send to relays: whoever is relayed serves nobody else either. What comes through no
        // channel with this node comes from that of another process, which has looked at it.
        let relay_access = Access {
            incoming: Rule::PolicyInChannels(guard.clone()),
            outgoing: Rule::AllowAll,
        };
        let part = projects
            .options
            .cluster
            .as_ref()
            .map(|cluster| cluster.join(id.as_str(), &node, inside, relay_access.clone()));
        let elsewhere = projects
            .options
            .cluster
            .as_ref()
            .map(|cluster| cluster.flow());
        let relays = RelayServiceOptions {
            relay_access,
            authority: Arc::new(ByCredential::new(&node, guard)),
            service_consumers: vec![inside],
            relay_consumers: std::iter::once(inside).chain(elsewhere).collect(),
            registry: part.as_ref().map(|part| part.registry()),
            ..RelayServiceOptions::default()
        };
        let relays = RelayService::start(&node, relays).map_err(|error| failed(id, &error))?;
        let echoes = [
            services::start_echo(&node, services::ECHO).map_err(|error| failed(id, &error))?,
            services::start_echo(&authority_node, services::ECHO)
                .map_err(|error| failed(id, &error))?,
        ];
        node.router().add_consumer(echoes[0].address(), inside);
        for address in services.addresses().iter().chain([echoes[1].address()]) {
            authority_node
                .router()
                .add_consumer(address, authority_inside);
        }

        // Last: what is reached through the gates is there. Strangers reach the listener of channels and nothing else.
        let gates = [
            enter(projects, &Place::Node(id.clone()), &node, &listeners[0])?,
            enter(
                projects,
                &Place::Authority(id.clone()),
                &authority_node,
                &listeners[1],
            )?,
        ];
        if let Some(part) = &part {
            part.open(gates[0].handle());
        }
        tracing::info!(project = %id, "the project is started");
        Ok(Self {
            node,
            authority_node,
            identifier: record.authority,
            authority,
            relays,
            _part: part,
            listeners,
            gates,
            _services: services,
            _echoes: echoes,
            used: Mutex::new(Instant::now()),
        })
    }

    /// Lets it be reached over a way into the outer node.
    pub(super) fn open_to(&self, way: FlowId) {
        for gate in &self.gates {
            gate.open_to(way);
        }
    }

    /// The relays of its members.
    pub(super) fn relays(&self) -> Vec<RelayInfo> {
        self.relays.relays()
    }

    /// Tells of what others withdrew, and acts on it.
    pub(super) async fn catch_up(&self) -> Result<(), ProjectsError> {
        Ok(self.authority.catch_up().await?)
    }

    /// What the controller said of somebody counts no more, if it was said before that moment.
    pub(super) fn dismiss(&self, who: &Identifier, before: UnixTime) {
        self.authority_node.attested().withdraw(who, before);
        close_channels(&self.authority_node, HashSet::from([*who]));
    }

    /// Notes that somebody uses it.
    pub(super) fn touch(&self) {
        *self.used.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// Whether nobody used it for so long. Looks for users, and so has to be asked now and then.
    pub(super) fn is_idle_for(&self, idle: Duration) -> bool {
        let is_used = self.gates.iter().any(|gate| gate.connections() > 0)
            || !self.node.channels().is_empty()
            || !self.authority_node.channels().is_empty();
        if is_used {
            self.touch();
            return false;
        }
        let used = *self.used.lock().unwrap_or_else(PoisonError::into_inner);
        used.elapsed() >= idle
    }

    /// Ends it; the peers of its channels are told.
    pub(super) async fn end(&self) {
        for listener in &self.listeners {
            listener.close();
        }
        tokio::join!(self.node.shutdown(), self.authority_node.shutdown());
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        for listener in &self.listeners {
            listener.close();
        }
    }
}

/// Acts on withdrawals in the process that serves both nodes: no channel between them has to be waited for.
#[derive(Debug)]
struct Withdrawn {
    node: Node,
    authority_node: Node,
}

impl Listener for Withdrawn {
    fn withdrawn(&self, withdrawals: &[Withdrawal], gone: &[Identifier]) {
        for withdrawal in withdrawals {
            self.node
                .attested()
                .withdraw(&withdrawal.subject, withdrawal.before);
        }
        let gone: HashSet<Identifier> = gone.iter().copied().collect();
        for node in [&self.node, &self.authority_node] {
            close_channels(node, gone.clone());
        }
    }
}

/// Ends the channels with these peers. Whoever still has a right to come opens another.
fn close_channels(node: &Node, peers: HashSet<Identifier>) {
    if peers.is_empty() {
        return;
    }
    let channels = node.channels();
    let with_them = channels
        .into_iter()
        .filter(|channel: &SecureChannel| peers.contains(&channel.peer().identifier));
    for channel in with_them {
        tokio::spawn(async move { channel.close().await });
    }
}

async fn listen(
    projects: &Projects,
    node: &Node,
    identifier: &Identifier,
) -> Result<ChannelListener, ProjectsError> {
    let record = projects.store().identity_of(identifier).await?;
    let record = record.ok_or_else(|| {
        ProjectsError::Failed(format!("the identity {identifier} of a project is missing"))
    })?;
    let identity =
        StoredIdentity::follow(&projects.state, &record, KeyLifetime::USUAL, LOOK_EVERY).await?;
    let options = ListenerOptions {
        identity,
        authorized: Vec::new(),
        timeout: HANDSHAKE_TIMEOUT,
    };
    node.start_channel_listener(&API, options)
        .map_err(|error| ProjectsError::Failed(error.to_string()))
}

fn enter(
    projects: &Projects,
    place: &Place,
    node: &Node,
    listener: &ChannelListener,
) -> Result<Namespace, ProjectsError> {
    let name = Address::local(place.to_string())
        .map_err(|error| ProjectsError::Failed(error.to_string()))?;
    let ways = projects.ways().clone();
    let entrance = Entrance {
        flow: projects.outer.random_flow(),
        ways: &ways,
    };
    node.router()
        .add_consumer(listener.address(), entrance.flow);
    projects
        .outer
        .enter_through(name, node, &entrance)
        .map_err(|error| failed(place.project(), &error))
}

async fn withdraw_all(
    projects: &Projects,
    authority: &Identifier,
    node: &Node,
) -> Result<(), ProjectsError> {
    let mut after = 0;
    loop {
        let withdrawals = projects
            .store()
            .withdrawals_behind(authority, after, PAGE)
            .await?;
        for withdrawal in &withdrawals {
            node.attested()
                .withdraw(&withdrawal.subject, withdrawal.before);
        }
        match withdrawals.last() {
            Some(last) if withdrawals.len() == PAGE => after = last.sequence,
            _ => return Ok(()),
        }
    }
}

fn verified(
    history: &ChangeHistory,
    identifier: &Identifier,
) -> Result<VerifiedHistory, ProjectsError> {
    history
        .clone()
        .verify(ockam_vault::fast(), Some(identifier))
        .map_err(|error| {
            ProjectsError::Failed(format!(
                "the stored history of {identifier} is damaged: {error}"
            ))
        })
}

fn failed(project: &ProjectId, error: &dyn std::error::Error) -> ProjectsError {
    ProjectsError::Failed(format!("the project {project} could not start: {error}"))
}

/// The services of an authority that is hosted (spec: trust 7.1).
const SERVICES: [Service; 6] = [
    Service::DirectAuthenticator,
    Service::TokenIssuer,
    Service::TokenAcceptor,
    Service::CredentialIssuer,
    Service::WithdrawalNotices,
    Service::Okta,
];
const API: Address = Address::from_static("api");
/// How long an initiator may take for its handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(30);
/// How long the peers of open channels wait at most until they hear of a new key; each handshake shows it in any case.
const LOOK_EVERY: Duration = Duration::from_secs(60);
/// Withdrawals that are read at once.
const PAGE: usize = 1024;
