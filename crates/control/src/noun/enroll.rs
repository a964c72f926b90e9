//! `enroll`: an identity of this home becomes known to an Orchestrator.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::noun::identity::IdentityItem;
use crate::table::{Forms, Noun, Scope, Verb, Who};

/// The row of this noun in the table.
pub(crate) static NOUN: Noun = Noun {
    one: "enroll",
    kind: "enrollment",
    many: "enroll",
    about: "Enroll with an Orchestrator: one on this machine, or the one of a join string",
    aliases: &[],
    verbs: &[Verb {
        name: "",
        about: "Enroll with an Orchestrator: one on this machine, or the one of a join string",
        scope: Scope::Home,
        who: Who::HomeOwner,
        forms: Forms::JSON,
    }],
};

/// The output of `enroll`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Enrolled {
    /// Who is enrolled.
    pub identity: IdentityItem,
    /// With whom.
    pub orchestrator: OrchestratorItem,
    /// How the Orchestrator calls whose identity it is.
    pub email: Option<String>,
    /// The default space, if there is one.
    pub space: Option<Value>,
    /// The default project, if there is one.
    pub project: Option<Value>,
    /// What the identity is in the default project: `admin`, `member`, or nothing.
    pub role: Option<ProjectRole>,
}

/// Where an Orchestrator is and who it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrchestratorItem {
    /// The way to its controller.
    pub route: String,
    /// Its identifier.
    pub identifier: String,
}

/// What an identity is in a project.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProjectRole {
    /// It administers it.
    Admin,
    /// It is a member.
    Member,
}
