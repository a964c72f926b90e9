//! Services of a node.

use crate::table::{Forms, Noun, Scope, Verb, Who};

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
