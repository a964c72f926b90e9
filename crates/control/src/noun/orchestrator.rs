//! The Orchestrator of this home: a node that keeps accounts, spaces and projects, and carries their relays.

use serde::{Deserialize, Serialize};

use ockam_identity::Identifier;

use crate::table::{Forms, Noun, Scope, Verb, Who};

/// The row of this noun in the table.
pub(crate) static NOUN: Noun = Noun {
    one: "orchestrator",
    kind: "orchestrator",
    many: "orchestrators",
    about: "The Orchestrator: projects, their members and their relays, on machines of your own",
    aliases: &[],
    verbs: &[
        Verb {
            name: "start",
            about: "Start the Orchestrator of this machine",
            scope: Scope::Home,
            who: Who::HomeOwner,
            forms: Forms::ALL,
        },
        Verb {
            name: "status",
            about: "Show the Orchestrator of this machine",
            scope: Scope::Home,
            who: Who::HomeOwner,
            forms: Forms::JSON,
        },
        Verb {
            name: "stop",
            about: "Stop the Orchestrator of this machine",
            scope: Scope::Home,
            who: Who::HomeOwner,
            forms: Forms::PLAIN,
        },
    ],
};

/// The name of its node.
pub(crate) const NODE: &str = "orchestrator";

/// What an Orchestrator has to do with.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrchestratorCounts {
    /// Who is enrolled.
    pub accounts: u64,
    /// Projects.
    pub projects: u64,
    /// Relays that are connected to this process.
    pub relays: u64,
    /// Connections to this process.
    pub connections: u64,
    /// Whether anybody administers it.
    pub has_administrator: bool,
}

/// What a running Orchestrator says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrchestratorView {
    /// The controller's identity.
    pub identifier: Identifier,
    /// Where the controller is reached.
    pub route: String,
    /// What there is.
    #[serde(flatten)]
    pub counts: OrchestratorCounts,
}

/// `orchestrator status`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrchestratorStatus {
    /// Its node.
    pub node: String,
    /// Whether it runs.
    pub running: bool,
    /// The process.
    pub pid: Option<u32>,
    /// Where it listens.
    pub listener: Option<String>,
    /// Where it answers health checks and tells measurements.
    pub status_endpoint: Option<String>,
    /// Which kind of database: `sqlite` or `postgres`.
    pub database: String,
    /// How others find it: the route to the controller and its identifier; there while it runs.
    pub join: Option<String>,
    /// The file with the code of the first administrator, until it is used.
    pub first_administrator: Option<String>,
    /// What there is; there while it runs.
    #[serde(flatten)]
    pub running_view: Option<OrchestratorView>,
}
