//! Services of a node.

use serde::{Deserialize, Serialize};

use crate::table::{Forms, Noun, Scope, Verb, Who};
use crate::value::WorkerName;

/// The row of this noun in the table.
pub(crate) static NOUN: Noun = Noun {
    one: "service",
    kind: "service",
    many: "services",
    about: "Services of a node",
    aliases: &[],
    verbs: &[
        Verb {
            name: "start",
            about: "Start a service",
            scope: Scope::Node,
            who: Who::NodeOwner,
            forms: Forms::PLAIN,
        },
        Verb {
            name: "list",
            about: "List services",
            scope: Scope::Node,
            who: Who::NodeOwner,
            forms: Forms::JSON,
        },
    ],
};

/// A service to be started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceSpec {
    /// Its address.
    pub address: WorkerName,
    /// Its kind.
    pub kind: ServiceKind,
}

/// The services that can be started by request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ServiceKind {
    /// Forwards what it receives and puts itself into the return route.
    Hop,
}

/// A service as the node runs it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Service {
    /// Its address.
    pub addr: String,
    /// Its kind.
    #[serde(rename = "type")]
    pub kind: String,
}
