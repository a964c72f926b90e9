//! Accounts, spaces and projects: who may do what, and the services that are asked.
//!
//! ```text
//! message ─ service.rs ─ requests.rs ─┬─ operations.rs: one table of what can be asked, and who may
//!                                     ├─ rights.rs:     the caller's account, the space, the project, or a refusal
//!                                     └─ enrollment, spaces, projects, invitations, administration: what is done
//!                                            ├─ Store, SignIn, Issuer, Audit
//!                                            └─ settling.rs: what is left to be done where projects run ─ Hosting
//! ```
//!
//! Entry types: [`Controller`], [`ControllerServices`]; [`Hosting`] is what runs the projects.
//!
//! Invariants: the caller is the identifier of the channel; nothing is done that the table does not allow; a stranger learns
//! nothing, not even that something exists; a change and its entry in the audit log are one transaction; what a change leaves
//! to be done elsewhere is done, whatever ends the process.
//!
//! Specification: trust 9, extensions 4.8.

mod administration;
mod audit;
mod credentials;
mod enrollment;
mod hosting;
mod invitations;
mod limits;
mod moment;
mod operations;
mod projects;
mod requests;
mod rights;
mod service;
mod settling;
mod source;
mod spaces;
mod subscriptions;

pub use hosting::{Eventual, Hosted, Hosting, HostingError, InMemory};
pub use operations::{Act, OPERATIONS, Operation, Service, Who};
pub use requests::Caller;
pub use service::ControllerServices;
pub use source::{Source, SystemSource};

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ockam_authority::Issuer;
use ockam_identity::Identifier;
use ockam_node::{FlowId, Node, StartError};
use ockam_store::{Store, StoreError};
use tokio::sync::Semaphore;

use crate::metrics::Metrics;
use crate::sign_in::SignIn;
use audit::Audit;
pub use limits::LimitOptions;
use limits::Limits;

/// Who may make spaces.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum SpaceMakers {
    /// Whoever is enrolled.
    #[default]
    Enrolled,
    /// Administrators of the Orchestrator.
    Administrators,
}

/// What a controller is made of.
#[derive(Debug)]
pub struct ControllerOptions {
    /// Who it is.
    pub identifier: Identifier,
    /// Signs its credentials.
    pub issuer: Arc<dyn Issuer>,
    /// Runs the projects.
    pub hosting: Arc<dyn Hosting>,
    /// Knows who signs in, if anybody can.
    pub sign_in: Option<Arc<dyn SignIn>>,
    /// What anybody is told of signing in.
    pub sign_in_info: ockam_control::controller::message::SignInInfo,
    /// How many seconds the credentials of administrators are good.
    pub credential_lifetime: u64,
    /// Who may make spaces.
    pub space_makers: SpaceMakers,
    /// How much one may ask for.
    pub limits: LimitOptions,
    /// Time and random numbers.
    pub source: Arc<dyn Source>,
    /// Where it is counted what it does.
    pub metrics: Metrics,
}

impl ControllerOptions {
    /// The usual ways.
    #[must_use]
    pub fn new(identifier: Identifier, issuer: Arc<dyn Issuer>, hosting: Arc<dyn Hosting>) -> Self {
        Self {
            identifier,
            issuer,
            hosting,
            sign_in: None,
            sign_in_info: ockam_control::controller::message::SignInInfo {
                issuer: None,
                client_id: None,
                audience: None,
                scopes: None,
            },
            credential_lifetime: credentials::LIFETIME,
            space_makers: SpaceMakers::default(),
            limits: LimitOptions::default(),
            source: Arc::new(SystemSource),
            metrics: Metrics::default(),
        }
    }
}

/// What a controller did since it was opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Figures {
    /// Requests.
    pub requests: u64,
    /// Those that were refused.
    pub refused: u64,
    /// Enrollments.
    pub enrollments: u64,
}

/// A controller. What it knows is in the store; several processes may run it over one.
pub struct Controller {
    store: Store,
    options: ControllerOptions,
    audit: Audit,
    limits: Limits,
    requests: AtomicU64,
    refused: AtomicU64,
    enrollments: AtomicU64,
    /// Long lists are made one after the other.
    whole_lists: Semaphore,
}

impl fmt::Debug for Controller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Controller")
            .field("identifier", &self.options.identifier)
            .finish_non_exhaustive()
    }
}

impl Controller {
    /// A controller over this store.
    #[must_use]
    pub fn open(store: Store, options: ControllerOptions) -> Arc<Self> {
        Arc::new(Self {
            audit: Audit::new(store.clone(), options.source.clone()),
            limits: Limits::new(options.limits),
            store,
            options,
            requests: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            enrollments: AtomicU64::new(0),
            whole_lists: Semaphore::new(1),
        })
    }

    /// Starts its services on a node and opens them to the channels of this listener.
    ///
    /// # Errors
    /// An address is in use.
    pub fn serve(
        self: &Arc<Self>,
        node: &Node,
        channels: FlowId,
    ) -> Result<ControllerServices, StartError> {
        ControllerServices::start(node, self, channels)
    }

    /// What it did.
    #[must_use]
    pub fn figures(&self) -> Figures {
        Figures {
            requests: self.requests.load(Ordering::Relaxed),
            refused: self.refused.load(Ordering::Relaxed),
            enrollments: self.enrollments.load(Ordering::Relaxed),
        }
    }

    /// Whether anybody administers the Orchestrator.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn has_administrator(&self) -> Result<bool, StoreError> {
        Ok(self.store.count_accounts().await?.1 > 0)
    }

    /// How many accounts and projects there are.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn count(&self) -> Result<(u64, u64), StoreError> {
        let (accounts, _) = self.store.count_accounts().await?;
        Ok((accounts, self.store.count_hosted_projects().await?))
    }
}
