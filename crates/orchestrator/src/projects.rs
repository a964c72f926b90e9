//! The projects that are hosted here: for each a node with relays and an authority, started when somebody comes.
//!
//! ```text
//! connection ─ outer node ─┬─ <project id>           ─ Started::node:      api, echo, relays     (members)
//!                          └─ authority-<project id> ─ Started::authority: api, services of an authority
//!                                                         │ withdrawals: at once here, by the store elsewhere
//!                                                         └──> Started::node
//! ```
//!
//! Invariants: a project that nobody uses is in the store only; nothing of a project is known to the node or the authority of
//! another one; what a process remembers of a project that runs in it is at most a second older than the store; what is
//! started at the same time is bounded, whoever asks.
//!
//! Specification: trust 4.2, 7.8, 9.4; messaging 6.4; extensions 4.5.5.

mod change;
mod follow;
mod hosting;
mod id;
mod look;
pub(crate) mod okta;
mod started;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Duration;

use ockam_authority::{DEFAULT_LIFETIME, MembersError, Sharing};
use ockam_control::{Failure, State};
use ockam_identity::{ChangeHistory, Identifier, UnixTime, VerifiedHistory};
use ockam_node::{
    Authority, FlowId, Node, OnDemand, OnDemandFuture, OnDemandGuard, Origin, Relayed,
    Started as StartedWorker,
};
use ockam_store::{HostingRecord, Store, StoreError};
use ockam_wire::{Address, MultiAddr, MultiAddrError, Protocol};
use tokio::task::JoinHandle;

use crate::cluster::Cluster;

pub use self::change::NewProject;
pub use self::id::{InvalidProjectId, ProjectId};
pub use self::look::{Connected, MemberInfo, RelayInfo, TicketInfo, TicketUse};

use self::id::Place;
use self::started::Started;

/// How projects are hosted.
#[derive(Clone)]
pub struct ProjectsOptions {
    /// How the listener of the outer node is reached from outside.
    pub public: MultiAddr,
    /// Whose credentials make administrators of a project.
    pub controller: VerifiedHistory,
    /// For how many seconds the credentials of members are good.
    pub credential_lifetime: u64,
    /// How long a project runs that nobody uses.
    pub idle: Duration,
    /// The other processes on the same database, when there may be some.
    pub cluster: Option<Arc<Cluster>>,
}

impl ProjectsOptions {
    /// The usual ones.
    pub fn new(public: MultiAddr, controller: VerifiedHistory) -> Self {
        Self {
            public,
            controller,
            credential_lifetime: DEFAULT_LIFETIME,
            idle: Duration::from_secs(600),
            cluster: None,
        }
    }
}

impl fmt::Debug for ProjectsOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProjectsOptions")
            .field("public", &self.public)
            .field("controller", self.controller.identifier())
            .field("idle", &self.idle)
            .finish_non_exhaustive()
    }
}

/// What is told of a hosted project to those who may know it (spec: trust 9.4).
#[derive(Debug, Clone)]
pub struct HostedProject {
    /// Its id.
    pub id: ProjectId,
    /// Who its node is.
    pub identity: Identifier,
    /// What its node shows of itself.
    pub history: ChangeHistory,
    /// Who its authority is.
    pub authority_identity: Identifier,
    /// What its authority shows of itself.
    pub authority_history: ChangeHistory,
    /// Where its node is.
    pub access_route: MultiAddr,
    /// Where its authority is.
    pub authority_route: MultiAddr,
}

/// How many there are, in this process, and what there was.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ProjectCounts {
    /// Projects that run.
    pub started: usize,
    /// How often one was started because somebody came.
    pub starts: u64,
    /// Members that have channels with nodes of projects; of each project.
    pub members: usize,
    /// What was passed on from one member to another.
    pub relayed: Relayed,
    /// Relays that are registered.
    pub relays: usize,
    /// Channels with nodes of projects.
    pub channels: usize,
    /// Channels with authorities.
    pub authority_channels: usize,
}

/// Why something was not done.
#[derive(Debug, thiserror::Error)]
pub enum ProjectsError {
    /// There is no such project here.
    #[error("there is no project {0}")]
    Unknown(String),
    /// This is no id of a project.
    #[error(transparent)]
    Id(#[from] InvalidProjectId),
    /// These attributes cannot be those of a member.
    #[error("the attributes of {who} cannot be used: {why}")]
    Attributes {
        /// Of whom.
        who: Identifier,
        /// Why.
        why: String,
    },
    /// The store cannot be used.
    #[error("what is stored of projects cannot be read or written")]
    Store(#[from] StoreError),
    /// The members of a project cannot be used.
    #[error(transparent)]
    Members(#[from] MembersError),
    /// A route cannot be made.
    #[error("the routes of the project cannot be written")]
    Route(#[from] MultiAddrError),
    /// Its identities cannot be made or used, or it cannot be started. The text tells why.
    #[error("{0}")]
    Failed(String),
}

impl From<Failure> for ProjectsError {
    fn from(failure: Failure) -> Self {
        let mut text = failure.message;
        for cause in failure.causes {
            text.push_str(": ");
            text.push_str(&cause);
        }
        Self::Failed(text)
    }
}

/// All projects that are hosted, those that run and those that do not.
pub struct Projects {
    outer: Node,
    state: State,
    options: ProjectsOptions,
    /// The account authority of all authorities here.
    controller: Authority,
    // Held for one look-up or change; never across an await.
    running: Mutex<HashMap<ProjectId, Arc<Started>>>,
    starts: AtomicU64,
    /// What those that do not run any more had passed on.
    // Held for one addition; taken after `running`.
    ended: Mutex<Relayed>,
    /// Ways into the outer node that lead to projects.
    // Held for one copy or insertion; taken before `running`.
    ways: Mutex<Vec<FlowId>>,
    /// Whoever starts, stops or deletes a project takes its turn: one at a time for each project, and so many altogether.
    turns: [tokio::sync::Mutex<()>; TURNS],
    hasher: RandomState,
    on_demand: OnceLock<OnDemandGuard>,
    tasks: OnceLock<JoinHandle<()>>,
}

impl Projects {
    /// Hosts the projects of this state behind the outer node. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// [`ProjectsError::Store`].
    pub async fn open(
        outer: &Node,
        state: &State,
        options: ProjectsOptions,
    ) -> Result<Arc<Self>, ProjectsError> {
        let this = Arc::new(Self {
            outer: outer.clone(),
            state: state.clone(),
            controller: Authority::new(options.controller.clone()),
            options,
            running: Mutex::default(),
            starts: AtomicU64::new(0),
            ended: Mutex::default(),
            ways: Mutex::default(),
            turns: std::array::from_fn(|_| tokio::sync::Mutex::default()),
            hasher: RandomState::new(),
            on_demand: OnceLock::new(),
            tasks: OnceLock::new(),
        });
        let seen = follow::Seen::at_latest(state.store()).await?;
        let following = follow::follow(Arc::downgrade(&this), seen);
        drop(this.tasks.set(tokio::spawn(following)));
        let hook = Arc::new(Hook(Arc::downgrade(&this)));
        drop(this.on_demand.set(outer.start_on_demand(hook)));
        Ok(this)
    }

    /// Lets projects be reached over one more way into the outer node: that of its listener.
    pub fn open_to(&self, flow: FlowId) {
        let mut ways = self.ways();
        if ways.contains(&flow) {
            return;
        }
        ways.push(flow);
        for started in self.running().values() {
            started.open_to(flow);
        }
    }

    /// Ends all that run, and starts none any more. What is stored stays.
    pub async fn stop(&self) {
        if let Some(task) = self.tasks.get() {
            task.abort();
        }
        self.ways().clear();
        let running: Vec<_> = self.running().drain().map(|(_, started)| started).collect();
        let mut ending = tokio::task::JoinSet::new();
        for started in running {
            ending.spawn(async move { started.end().await });
        }
        while ending.join_next().await.is_some() {}
    }

    /// What runs in this process.
    pub fn counts(&self) -> ProjectCounts {
        let (running, ended) = {
            let running = self.running();
            // One that ends is in one of both.
            let ended = *self.ended();
            (running.values().cloned().collect::<Vec<_>>(), ended)
        };
        running.iter().fold(
            ProjectCounts {
                started: running.len(),
                starts: self.starts.load(Ordering::Relaxed),
                relayed: ended,
                ..ProjectCounts::default()
            },
            |counts, started| {
                let channels = started.node.channels();
                let members: HashSet<Identifier> = channels
                    .iter()
                    .map(|channel| channel.peer().identifier)
                    .collect();
                ProjectCounts {
                    relays: counts.relays + started.relays().len(),
                    channels: counts.channels + channels.len(),
                    members: counts.members + members.len(),
                    authority_channels: counts.authority_channels
                        + started.authority_node.channels().len(),
                    relayed: counts.relayed + started.node.router().relayed(),
                    ..counts
                }
            },
        )
    }

    /// One project.
    ///
    /// # Errors
    /// [`ProjectsError::Unknown`]; [`ProjectsError::Store`].
    pub async fn describe(&self, project: &str) -> Result<HostedProject, ProjectsError> {
        self.hosted(self.find(project).await?)
    }

    /// Those of these projects that are hosted, by their ids.
    ///
    /// # Errors
    /// [`ProjectsError::Store`].
    pub async fn describe_many(
        &self,
        projects: &[String],
    ) -> Result<BTreeMap<String, HostedProject>, ProjectsError> {
        let records = self.store().hostings(projects).await?;
        records
            .into_iter()
            .map(|record| Ok((record.project.clone(), self.hosted(record)?)))
            .collect()
    }

    /// How many are hosted, whether they run or not.
    ///
    /// # Errors
    /// [`ProjectsError::Store`].
    pub async fn count(&self) -> Result<u64, ProjectsError> {
        Ok(self.store().count_hostings().await?)
    }

    fn hosted(&self, record: HostingRecord) -> Result<HostedProject, ProjectsError> {
        let id: ProjectId = record.project.parse()?;
        Ok(HostedProject {
            access_route: self.route(&Place::Node(id.clone()))?,
            authority_route: self.route(&Place::Authority(id.clone()))?,
            id,
            identity: record.identity,
            history: record.history,
            authority_identity: record.authority,
            authority_history: record.authority_history,
        })
    }

    /// spec: trust 9.4 (the first service of the route of a project is its id)
    fn route(&self, place: &Place) -> Result<MultiAddr, MultiAddrError> {
        let mut route = self.options.public.clone();
        route.push(Protocol::Service(place.to_string()))?;
        route.push(Protocol::Service("api".to_owned()))?;
        Ok(route)
    }

    async fn find(&self, project: &str) -> Result<HostingRecord, ProjectsError> {
        let found = self.store().hosting(project).await?;
        found.ok_or_else(|| ProjectsError::Unknown(project.to_owned()))
    }

    fn store(&self) -> &Store {
        self.state.store()
    }

    fn if_running(&self, project: &ProjectId) -> Option<Arc<Started>> {
        self.running().get(project).cloned()
    }

    /// The same by what anybody calls it.
    fn if_running_as(&self, project: &str) -> Option<Arc<Started>> {
        self.if_running(&project.parse().ok()?)
    }

    /// The project, which is started if it does not run; `None` if there is none.
    async fn start(&self, project: &ProjectId) -> Result<Option<Arc<Started>>, ProjectsError> {
        if let Some(running) = self.if_running(project) {
            running.touch();
            return Ok(Some(running));
        }
        let _turn = self.turn(project).await;
        if let Some(running) = self.if_running(project) {
            return Ok(Some(running));
        }
        let Some(record) = self.store().hosting(project.as_str()).await? else {
            return Ok(None);
        };
        let started = Arc::new(Started::begin(self, project, &record).await?);
        {
            let ways = self.ways();
            for way in &*ways {
                started.open_to(*way);
            }
            self.running().insert(project.clone(), started.clone());
        }
        self.starts.fetch_add(1, Ordering::Relaxed);
        // Another process may have deleted it since it was looked up, and the news of that come before it ran.
        if self.store().hosting(project.as_str()).await?.is_none() {
            drop(self.running().remove(project));
            return Ok(None);
        }
        Ok(Some(started))
    }

    /// Stops a project that runs here.
    async fn end(&self, project: &ProjectId) {
        let started = {
            let mut running = self.running();
            let started = running.remove(project);
            if let Some(started) = &started {
                let mut ended = self.ended();
                *ended = *ended + started.node.router().relayed();
            }
            started
        };
        if let Some(started) = started {
            started.end().await;
        }
    }

    /// Stops it unless somebody has come meanwhile.
    async fn end_idle(&self, project: &ProjectId) {
        let _turn = self.turn(project).await;
        if self
            .if_running(project)
            .is_some_and(|started| started.is_idle_for(self.options.idle))
        {
            tracing::debug!(%project, "nobody uses the project, it is stopped");
            self.end(project).await;
        }
    }

    async fn turn(&self, project: &ProjectId) -> tokio::sync::MutexGuard<'_, ()> {
        let at = self.hasher.hash_one(project) % TURNS as u64;
        let at = usize::try_from(at).unwrap_or(0);
        // The index is below the length; the first is as good as any.
        self.turns.get(at).unwrap_or(&self.turns[0]).lock().await
    }

    fn running(&self) -> MutexGuard<'_, HashMap<ProjectId, Arc<Started>>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ended(&self) -> MutexGuard<'_, Relayed> {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ways(&self) -> MutexGuard<'_, Vec<FlowId>> {
        self.ways.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Projects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Projects")
            .field("options", &self.options)
            .field("running", &self.running().len())
            .finish_non_exhaustive()
    }
}

impl Drop for Projects {
    fn drop(&mut self) {
        if let Some(task) = self.tasks.get() {
            task.abort();
        }
    }
}

/// Starts projects for whoever comes. The outer node keeps it, so it does not keep them.
#[derive(Debug)]
struct Hook(Weak<Projects>);

impl OnDemand for Hook {
    fn may_start(&self, name: &Address, origin: &Origin) -> bool {
        // Only connections lead to projects, not the channels of the outer node.
        let Some(producer) = origin.producer.filter(|_| origin.peer.is_none()) else {
            return false;
        };
        let reaches = |projects: Arc<Projects>| {
            let ways = projects.ways();
            ways.iter()
                .any(|way| Some(*way) == producer.spawner || *way == producer.id)
        };
        Place::of(name).is_some() && self.0.upgrade().is_some_and(reaches)
    }

    fn start<'a>(&'a self, name: &'a Address) -> OnDemandFuture<'a> {
        Box::pin(async {
            let (Some(place), Some(projects)) = (Place::of(name), self.0.upgrade()) else {
                return StartedWorker::Unknown;
            };
            match projects.start(place.project()).await {
                Ok(Some(_)) => StartedWorker::Running,
                Ok(None) => StartedWorker::Unknown,
                Err(error) => {
                    let cause = std::error::Error::source(&error);
                    tracing::error!(project = %place.project(), ?cause, "the project could not start: {error}");
                    StartedWorker::Unknown
                }
            }
        })
    }
}

/// Several processes may serve one authority: how far their clocks may be apart, with what a transaction takes.
const SHARING: Sharing = Sharing::WithOthers(3);
/// Projects that are started at the same time.
const TURNS: usize = 8;

/// The time of the system; before 1970 it is 1970.
fn now() -> UnixTime {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    UnixTime(since.map_or(0, |since| since.as_secs()))
}
