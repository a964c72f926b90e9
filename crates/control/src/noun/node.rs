//! Nodes: processes that run workers and keep what they were asked for.

use serde::{Deserialize, Serialize};

use crate::noun::secure_channel_listener::Listener;
use crate::noun::service::Service;
use crate::noun::tcp_inlet::InletStatus;
use crate::noun::tcp_listener::Transport;
use crate::noun::tcp_outlet::OutletStatus;
use crate::table::{Forms, Noun, Scope, Verb, Who};

/// The row of this noun in the table.
pub(crate) static NOUN: Noun = Noun {
    one: "node",
    kind: "node",
    many: "nodes",
    about: "Nodes: processes that run workers and keep what they were asked for",
    aliases: &[],
    verbs: &[
        Verb {
            name: "create",
            about: "Create and start a node",
            scope: Scope::Home,
            who: Who::HomeOwner,
            forms: Forms::ALL,
        },
        Verb {
            name: "show",
            about: "Show what a node runs",
            scope: Scope::Home,
            who: Who::HomeOwner,
            forms: Forms::JSON,
        },
        Verb {
            name: "list",
            about: "List nodes",
            scope: Scope::Home,
            who: Who::HomeOwner,
            forms: Forms::JSON,
        },
        Verb {
            name: "start",
            about: "Start a stopped node",
            scope: Scope::Home,
            who: Who::HomeOwner,
            forms: Forms::JSON,
        },
        Verb {
            name: "reload",
            about: "Bring a running node to what its configuration says now",
            scope: Scope::Home,
            who: Who::HomeOwner,
            forms: Forms::JSON,
        },
        Verb {
            name: "stop",
            about: "Stop a running node",
            scope: Scope::Home,
            who: Who::HomeOwner,
            forms: Forms::PLAIN,
        },
        Verb {
            name: "delete",
            about: "Delete a node and all that was asked of it",
            scope: Scope::Home,
            who: Who::HomeOwner,
            forms: Forms::ALL,
        },
        Verb {
            name: "logs",
            about: "Print the path of a node's log file, or its lines",
            scope: Scope::Home,
            who: Who::HomeOwner,
            forms: Forms::ALL,
        },
        Verb {
            name: "default",
            about: "Print or change the default node",
            scope: Scope::Home,
            who: Who::HomeOwner,
            forms: Forms::MACHINE,
        },
    ],
};

/// Whether a node's process lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "lowercase")]
pub enum NodeStatus {
    /// The process runs.
    Running {
        /// Its process id.
        pid: u32,
    },
    /// The process has ended and waits for its parent.
    Zombie {
        /// Its process id.
        pid: u32,
    },
    /// There is no process.
    Stopped,
}

impl NodeStatus {
    /// The process id, when there is one.
    pub fn pid(self) -> Option<u32> {
        match self {
            Self::Running { pid } | Self::Zombie { pid } => Some(pid),
            Self::Stopped => None,
        }
    }

    /// Whether the process runs.
    pub fn is_running(self) -> bool {
        matches!(self, Self::Running { .. })
    }
}

/// One line of `node list`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeItem {
    /// The node's name.
    pub node_name: String,
    /// Whether it runs.
    pub status: NodeStatus,
    /// The process id, also when the status tells it.
    pub pid: Option<u32>,
    /// Whether commands act on it when none is named.
    pub is_default: bool,
}

/// How a node is reached on this machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeRoute {
    /// By its name.
    pub short: String,
    /// By its listener.
    pub verbose: Option<String>,
}

/// What a node runs: the output of `node show` and of its status endpoint, keys in this order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeResources {
    /// The node's name.
    pub name: String,
    /// The name of its identity.
    pub identity_name: String,
    /// Whether commands act on it when none is named.
    pub is_default: bool,
    /// Whether it runs.
    #[serde(flatten)]
    pub status: NodeStatus,
    /// How it is reached.
    pub route: NodeRoute,
    /// Where it answers health checks.
    pub status_endpoint_address: Option<String>,
    /// TCP listeners and connections.
    pub transports: Vec<Transport>,
    /// Addresses that answer handshakes.
    pub secure_channel_listeners: Vec<Listener>,
    /// Inlets.
    pub inlets: Vec<InletStatus>,
    /// Outlets.
    pub outlets: Vec<OutletStatus>,
    /// Services.
    pub services: Vec<Service>,
    /// Whether it denies what nobody allowed; there only when it does.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub strict: bool,
}
