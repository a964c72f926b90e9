//! Workers of a node.

use serde::{Deserialize, Serialize};

use crate::table::{Forms, Noun, Scope, Verb, Who};

/// The row of this noun in the table.
pub(crate) static NOUN: Noun = Noun {
    one: "worker",
    kind: "worker",
    many: "workers",
    about: "Workers of a node: whatever has an address there",
    aliases: &[],
    verbs: &[Verb {
        name: "list",
        about: "List workers",
        scope: Scope::Node,
        who: Who::NodeOwner,
        forms: Forms::JSON,
    }],
};

/// A worker as the node runs it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Worker {
    /// Its address.
    pub addr: String,
}
