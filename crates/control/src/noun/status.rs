//! All there is on this machine, at a glance.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::noun::node::NodeResources;
use crate::table::{Forms, Noun, Scope, Verb, Who};

/// The row of this noun in the table.
pub(crate) static NOUN: Noun = Noun {
    one: "status",
    kind: "status",
    many: "status",
    about: "Show identities, nodes, spaces and projects, and the versions",
    aliases: &[],
    verbs: &[Verb {
        name: "",
        about: "Show identities, nodes, spaces and projects, and the versions",
        scope: Scope::Home,
        who: Who::HomeOwner,
        forms: Forms::JSON,
    }],
};

/// The output of `status`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Of this program.
    pub ockam_version: ProgramVersion,
    /// Of the Orchestrator, as far as it answers.
    pub orchestrator_version: OrchestratorVersion,
    /// Spaces of the Orchestrator, as this home was told of them.
    pub spaces: Vec<Value>,
    /// Projects that this home knows.
    pub projects: Vec<Value>,
    /// Identities of this machine.
    pub identities: Vec<IdentityStatus>,
    /// Nodes of this machine.
    pub nodes: Vec<NodeResources>,
}

/// Which program this is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProgramVersion {
    /// The release.
    pub version: String,
    /// The commit it was made from; `N/A` when that is not known.
    pub hash: String,
}

/// Which program the Orchestrator is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrchestratorVersion {
    /// Of its controller.
    pub version: Option<String>,
    /// Of its projects.
    pub project_version: Option<String>,
}

/// One identity.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdentityStatus {
    /// `I` and 64 hexadecimal digits.
    pub identifier: String,
    /// The local name.
    pub name: String,
    /// Whether commands use it when none is named.
    pub is_default: bool,
    /// Whether the Orchestrator knows it.
    pub status: Enrollment,
}

/// Whether the Orchestrator knows an identity.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Enrollment {
    /// It does not.
    NotEnrolled,
    /// It does.
    Enrolled {
        /// Since when, as ISO 8601.
        at: String,
        /// How the Orchestrator calls whose identity it is.
        email: Option<String>,
    },
}
