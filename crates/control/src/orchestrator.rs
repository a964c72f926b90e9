//! The Orchestrator as a node runs it: how it was asked to work, and what a program that has one implements.
//!
//! This crate runs nodes and does not know what an Orchestrator does; the program hands in an [`Orchestrates`].
//!
//! Specification: command 3.9.8

use std::fmt;
use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;

use ockam_node::{FlowId, Node, OwnIdentity};
use ockam_store::{DatabaseAddress, IdentityRecord, SealingKey};
use ockam_wire::MultiAddr;
use serde::{Deserialize, Serialize};

use crate::noun::orchestrator::OrchestratorCounts;
use crate::outcome::Failure;
use crate::sign_in::SignInSettings;
use crate::state::State;
use crate::value::HostPort;

/// How an Orchestrator was asked to work; kept with its node. The only secret in it is that of the
/// client at the provider.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrchestratorSettings {
    /// Where others reach it, when that is not where it listens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public_address: Option<HostPort>,
    /// Where other processes on the same database reach this one, when that is not where it listens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process_address: Option<HostPort>,
    /// The address of its database without a password; a file of its own in the home when none is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<String>,
    /// The file with the key that secrets are sealed under in a database that is no file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_file: Option<PathBuf>,
    /// How many seconds the credentials that it issues are good, when that is not the usual time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential_seconds: Option<u64>,
    /// Who says who somebody is, if anybody does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sign_in: Option<SignInSettings>,
}

/// What is needed for the database of an Orchestrator beside what is kept: the environment has it at each start.
#[derive(Debug, Clone, Default)]
pub struct DatabaseAccess {
    /// Its address with the password.
    pub address: Option<DatabaseAddress>,
    /// The key that its secrets are sealed under.
    pub key: Option<SealingKey>,
}

/// A future that may move between threads.
pub type Eventual<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What a program that has an Orchestrator implements.
pub trait Orchestrates: fmt::Debug + Send + Sync {
    /// Starts it in a node that listens already and presents the controller's identity.
    fn start(
        &self,
        start: OrchestratorStart,
    ) -> Eventual<'_, Result<Arc<dyn Orchestrating>, Failure>>;
}

/// What an Orchestrator is started with.
#[derive(Debug)]
pub struct OrchestratorStart {
    /// The node behind the listener.
    pub node: Node,
    /// The database of the Orchestrator.
    pub state: State,
    /// Who the controller is.
    pub controller: IdentityRecord,
    /// The same, to act as it.
    pub identity: Arc<dyn OwnIdentity>,
    /// What comes in over the listener, before any channel.
    pub listener: FlowId,
    /// What comes in over channels with the controller.
    pub channels: FlowId,
    /// The route to the listener, as others reach it.
    pub public: MultiAddr,
    /// The route to the listener, as other processes on the same database reach it, if they do.
    pub reach: Option<MultiAddr>,
    /// Where the code of the first administrator is handed over.
    pub first_administrator: PathBuf,
    /// How it was asked to work.
    pub settings: OrchestratorSettings,
}

/// An Orchestrator that runs. It ends when the last handle is dropped.
pub trait Orchestrating: fmt::Debug + Send + Sync {
    /// What there is.
    fn counts(&self) -> Eventual<'_, Result<OrchestratorCounts, Failure>>;
    /// Whether it can do its work: the database answers.
    fn ready(&self) -> Eventual<'_, Result<(), Failure>>;
    /// Measurements, in the text format of Prometheus.
    fn metrics(&self) -> Eventual<'_, String>;
    /// Ends it in order.
    fn stop(&self) -> Eventual<'_, ()>;
}
