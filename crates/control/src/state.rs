//! The state of one home, opened: what home-scoped operations work on and what nodes are looked up in.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ockam_store::{Home, NodeName, NodeRecord, ProcessState, Store, StoreError};
use ockam_wire::{MultiAddr, Protocol};

use crate::hint;
use crate::home::authorities;
#[cfg(feature = "cli")]
use crate::home::nodes;
use crate::home::projects;
use crate::keyring::Keyring;
use crate::noun::node::NodeStatus;
use crate::outcome::{Code, Failure};
use crate::value::{HostPort, random_name};

/// An opened home.
#[derive(Debug, Clone)]
pub struct State {
    store: Store,
    runtime: Option<PathBuf>,
    keyring: Arc<Keyring>,
}

impl State {
    /// Opens the home at this path, making it when it is missing. `runtime` is the user's runtime directory, where control
    /// sockets of a deep home go.
    ///
    /// # Errors
    /// The directory or the database cannot be used.
    pub async fn open(home: &Path, runtime: Option<PathBuf>) -> Result<Self, Failure> {
        let home = Home::open(home).map_err(|error| refused(StoreError::Home(error)))?;
        let store = Store::open(&home).await.map_err(refused)?;
        Ok(Self::over(store, runtime))
    }

    /// The state in an opened store.
    pub(crate) fn over(store: Store, runtime: Option<PathBuf>) -> Self {
        Self {
            store,
            runtime,
            keyring: Arc::default(),
        }
    }

    /// The state in another store, for whoever works on this one too.
    pub(crate) fn beside(&self, store: Store) -> Self {
        Self::over(store, self.runtime.clone())
    }

    /// What opens sealed vaults.
    pub(crate) fn keyring(&self) -> &Keyring {
        &self.keyring
    }

    /// The store.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The directories and files of the home.
    pub fn home(&self) -> &Home {
        self.store.home()
    }

    /// The control socket of a node.
    ///
    /// # Errors
    /// No directory for it can be made.
    pub fn socket(&self, node: &NodeName) -> Result<PathBuf, Failure> {
        self.home()
            .socket(node, self.runtime.as_deref())
            .map_err(|error| refused(StoreError::Home(error)))
    }

    /// All nodes, in the order in which they were made.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn nodes(&self) -> Result<Vec<NodeRecord>, Failure> {
        self.store.nodes().await.map_err(refused)
    }

    /// One node.
    ///
    /// # Errors
    /// There is none of this name.
    pub async fn node(&self, name: &NodeName) -> Result<NodeRecord, Failure> {
        match self.store.node(name).await {
            Err(error @ StoreError::NoNode(_)) => {
                let nodes = self.nodes().await?;
                // spec: command 3.9.5 (what versions up to 0.139 called the only authority)
                let mut authorities = nodes
                    .iter()
                    .filter(|node| crate::managed::authority_of(node).is_some());
                if name.as_str() == authorities::OLD_NAME
                    && let (Some(only), None) = (authorities.next(), authorities.next())
                {
                    return Ok(only.clone());
                }
                let known = nodes.iter().map(|node| node.name.as_str());
                Err(hint::among(refused(error), name.as_str(), "nodes", known))
            }
            node => node.map_err(refused),
        }
    }

    /// The default node.
    ///
    /// # Errors
    /// There is no node at all.
    pub async fn default_node(&self) -> Result<NodeRecord, Failure> {
        self.store
            .default_node()
            .await
            .map_err(refused)?
            // spec: command 3.3 (no default node)
            .ok_or_else(|| {
                Failure::coded(Code::Internal, "There is no default node")
                    .help("make a node with `ockam node create`")
            })
    }

    /// A random name that no node has.
    ///
    /// # Errors
    /// The store cannot be read, or the system gives no randomness.
    pub async fn new_node_name(&self) -> Result<NodeName, Failure> {
        let nodes = self.nodes().await?;
        let name = unused_name(|name| nodes.iter().any(|node| node.name.as_str() == name))?;
        name.parse()
            .map_err(|error| Failure::internal("no name could be made", &error))
    }

    /// Replaces every `/node/<name>` of a route by the listener of that node, as this machine reaches it.
    ///
    /// # Errors
    /// A node is unknown or has never listened.
    pub async fn replace_nodes(&self, route: &MultiAddr) -> Result<MultiAddr, Failure> {
        // spec: command 3.3 (unknown node in a route)
        let unconvertible = || {
            Failure::coded(
                Code::Internal,
                format!("Could not convert {route} into route"),
            )
        };
        let mut replaced = MultiAddr::default();
        for protocol in route.protocols() {
            let part = match protocol {
                Protocol::Node(name) => self.node_address(name).await.map_err(|cause| Failure {
                    help: cause.help,
                    ..unconvertible().cause(cause.message)
                })?,
                Protocol::Space(_) => {
                    return Err(unconvertible().cause("a space cannot be part of a route"));
                }
                // It is replaced when it is connected, where it is known who has to be there.
                Protocol::Project(name) => {
                    self.check_project(route, name).await?;
                    MultiAddr::new([protocol.clone()])
                        .map_err(|error| unconvertible().caused_by(&error))?
                }
                protocol => MultiAddr::new([protocol.clone()])
                    .map_err(|error| unconvertible().caused_by(&error))?,
            };
            replaced
                .append(&part)
                .map_err(|error| unconvertible().caused_by(&error))?;
        }
        Ok(replaced)
    }

    /// Refuses a project that a route cannot lead through.
    async fn check_project(&self, route: &MultiAddr, name: &str) -> Result<(), Failure> {
        match projects::way(self, name).await {
            Ok(_) => Ok(()),
            Err(failure) if self.store.projects().await.map_err(refused)?.is_empty() => {
                Err(no_default_project()
                    .cause(format!("{route} leads through the project {name}"))
                    .cause(failure.message))
            }
            Err(failure) => Err(Failure {
                help: failure.help,
                ..Failure::coded(
                    Code::Internal,
                    format!("Could not convert {route} into route"),
                )
                .cause(failure.message)
            }),
        }
    }

    /// Tells of the first node of a route that does not run, which is why the route leads nowhere.
    #[cfg(feature = "cli")]
    pub(crate) async fn explain(&self, route: &MultiAddr, failure: Failure) -> Failure {
        match self.stopped_node_in(route).await {
            Some(help) if failure.help.is_none() => failure.help(help),
            _ => failure,
        }
    }

    /// What to do about a route that leads nowhere from a node: what does not run, or what the node does not show.
    #[cfg(feature = "cli")]
    pub(crate) async fn why_unconnected(
        &self,
        route: &MultiAddr,
        node: &NodeRecord,
    ) -> Option<String> {
        if let Some(help) = self.stopped_node_in(route).await {
            return Some(help);
        }
        let is_project = |part: &Protocol| matches!(part, Protocol::Project(_));
        (route.protocols().iter().any(is_project) && nodes::is_without_project(node)).then(|| {
            format!(
                "the node {0} trusts no project, so it shows nobody there who it is; to change that: `ockam node stop {0}`, \
                 then `ockam node create {0} --project default`",
                node.name
            )
        })
    }

    /// What to do about the first node of a route that does not run, or about the Orchestrator of a project in it.
    #[cfg(feature = "cli")]
    pub(crate) async fn stopped_node_in(&self, route: &MultiAddr) -> Option<String> {
        for part in route.protocols() {
            let stopped = match part {
                Protocol::Project(name) => self.stopped_orchestrator_of(name).await.ok().flatten(),
                Protocol::Node(name) => match name.parse() {
                    Ok(name) => {
                        let node = self.store.node(&name).await.ok();
                        node.filter(|node| !status_of(node).is_running())
                    }
                    Err(_) => None,
                },
                _ => None,
            };
            if let Some(node) = stopped {
                return Some(how_to_start(&node));
            }
        }
        let stopped = self.stopped_node_at(&route.to_string()).await;
        stopped.ok().flatten().as_ref().map(how_to_start)
    }

    /// The node of this home that runs the Orchestrator of a project, if it has stopped.
    #[cfg(feature = "cli")]
    async fn stopped_orchestrator_of(&self, project: &str) -> Result<Option<NodeRecord>, Failure> {
        let project = projects::find(self, project).await?;
        let Some(controller) = &project.controller else {
            return Ok(None);
        };
        match self.store.controller(controller).await.map_err(refused)? {
            Some(controller) => self.stopped_node_at(&controller.route).await,
            None => Ok(None),
        }
    }

    /// The node of this home to whose listener a route leads, if it has stopped.
    #[cfg(feature = "cli")]
    async fn stopped_node_at(&self, route: &str) -> Result<Option<NodeRecord>, Failure> {
        let place =
            |text: &str| format!("{text}/").replace("/dnsaddr/localhost/", "/ip4/127.0.0.1/");
        let route = place(route);
        let is_there = |address: &HostPort| route.starts_with(&place(&address.multiaddr()));
        let nodes = self.nodes().await?;
        Ok(nodes.into_iter().find(|node| {
            let listener = node.listener.as_deref();
            let listener: Option<HostPort> = listener.and_then(|listener| listener.parse().ok());
            let public = crate::managed::orchestrator_of(node);
            let public = public.and_then(|settings| settings.public_address);
            !status_of(node).is_running()
                && (listener.is_some_and(|listener| is_there(&listener.reachable()))
                    || public.as_ref().is_some_and(is_there))
        }))
    }

    /// Where a node is reached from this machine.
    ///
    /// # Errors
    /// It is unknown or has never listened.
    pub async fn node_address(&self, name: &str) -> Result<MultiAddr, Failure> {
        let listener = self.listener_of(name).await?;
        listener.multiaddr().parse().map_err(|error| {
            Failure::internal(format!("node {name} has no usable listener"), &error)
        })
    }

    async fn listener_of(&self, name: &str) -> Result<HostPort, Failure> {
        let unknown =
            || Failure::coded(Code::NotFound, format!("There is no node with name {name}"));
        let node = self.node(&name.parse().map_err(|_| unknown())?).await?;
        let listener = node
            .listener
            .ok_or_else(|| Failure::new(format!("node {name} has no listener")))?;
        // spec: messaging 9.2 (an unspecified address is reached over loopback)
        listener
            .parse()
            .map(|address: HostPort| address.reachable())
            .map_err(|error| {
                Failure::internal(format!("node {name} has no usable listener"), &error)
            })
    }
}

/// What to do about a node that does not run.
#[cfg(feature = "cli")]
fn how_to_start(node: &NodeRecord) -> String {
    if crate::managed::orchestrator_of(node).is_some() {
        return "the Orchestrator of this machine does not run; `ockam node start --all` starts it, and everything else that \
                has stopped"
            .to_owned();
    }
    format!(
        "the node {0} does not run; start it with `ockam node start {0}`, or everything that has stopped with `ockam node \
         start --all`",
        node.name
    )
}

/// The failure of what needs a project (spec: command 3.3).
pub(crate) fn no_default_project() -> Failure {
    Failure::coded(
        Code::Unauthorized,
        "There is no default project defined. Please enroll or create a project.",
    )
    .help(
        "`ockam enroll` gives you one, `ockam project enroll TICKET` makes you a member of another's; or name nodes instead, \
         for example /node/n1/secure/api/service/outlet",
    )
}

/// Whether a node's process lives.
pub(crate) fn status_of(node: &NodeRecord) -> NodeStatus {
    let Some(process) = node.process else {
        return NodeStatus::Stopped;
    };
    match process.state() {
        ProcessState::Running => NodeStatus::Running { pid: process.pid },
        ProcessState::Zombie => NodeStatus::Zombie { pid: process.pid },
        ProcessState::Stopped => NodeStatus::Stopped,
    }
}

/// A random name that is not taken.
pub(crate) fn unused_name(taken: impl Fn(&str) -> bool) -> Result<String, Failure> {
    for attempt in 0_u32..1000 {
        let mut random = [0; 4];
        getrandom::fill(&mut random).map_err(|error| {
            Failure::coded(Code::Internal, "the system gives no randomness")
                .cause(error.to_string())
        })?;
        let [first, second, third, fourth] = random;
        let name = match attempt {
            0..20 => random_name([first, second]),
            // The words have run out.
            _ => format!(
                "{}-{:04x}",
                random_name([first, second]),
                u16::from_be_bytes([third, fourth])
            ),
        };
        if !taken(&name) {
            return Ok(name);
        }
    }
    Err(Failure::coded(Code::Internal, "no unused name was found"))
}

/// What somebody can do whose node runs already.
pub(crate) const NODE_RUNS: &str =
    "choose another name for a second node, or stop this one with `ockam node stop`";

/// What the store refused, with the code of the published program (spec: command 3.3).
pub(crate) fn refused(error: StoreError) -> Failure {
    let code = match &error {
        StoreError::NoNode(_) => Some(Code::NotFound),
        StoreError::VaultExists(_)
        | StoreError::RequestExists { .. }
        | StoreError::OtherAuthority { .. } => Some(Code::AlreadyExists),
        StoreError::NodeRunning { .. }
        | StoreError::NoVault(_)
        | StoreError::NoProject(_)
        | StoreError::NoSpace(_)
        | StoreError::NodeIsDefault(_)
        | StoreError::NodeStandsApart(_)
        | StoreError::IdentityIsDefault(_) => None,
        _ => Some(Code::Internal),
    };
    let mut failure = Failure::new(error.to_string());
    failure.code = code;
    failure.help = help(&error).map(str::to_owned);
    match std::error::Error::source(&error) {
        Some(source) => failure.caused_by(source),
        None => failure,
    }
}

/// What the reader can do, where the message does not say it already.
fn help(error: &StoreError) -> Option<&'static str> {
    match error {
        StoreError::WhichVault(_) => Some("name one with --vault; `ockam vault list` shows them"),
        StoreError::NoVault(_) => Some("`ockam vault list` shows the vaults there are"),
        // Where there are some, their names take the place of these (see `hint`).
        StoreError::NoNode(_) => {
            Some("`ockam node create` makes a node, `ockam node list` shows all")
        }
        StoreError::NoIdentity(_) => {
            Some("`ockam identity create` makes an identity, `ockam identity list` shows all")
        }
        StoreError::IdentityInUse { .. } => {
            Some("delete the node(s) first, with `ockam node delete`")
        }
        StoreError::NodeRunning { .. } => Some(NODE_RUNS),
        StoreError::Damaged { .. } => Some(
            "without a backup: `ockam reset` starts anew, `ockam vault import` restores what `ockam vault export` wrote",
        ),
        StoreError::WrongPassphrase(_) => Some(
            "it is the passphrase that `ockam vault passphrase` or `ockam vault create` was given",
        ),
        _ => None,
    }
}
