//! TCP inlets: where clients enter a portal.

use crate::table::{Forms, Noun, Scope, Verb, Who};

/// The row of this noun in the table.
pub(crate) static NOUN: Noun = Noun {
    one: "tcp-inlet",
    kind: "tcp inlet",
    many: "tcp-inlets",
    about: "TCP inlets: where clients enter a portal",
    aliases: &[],
    verbs: &[
        Verb {
            name: "create",
            about: "Create a TCP inlet",
            scope: Scope::Node,
            who: Who::NodeOwner,
            forms: Forms::ALL,
        },
        Verb {
            name: "show",
            about: "Show a TCP inlet",
            scope: Scope::Node,
            who: Who::NodeOwner,
            forms: Forms::JSON,
        },
        Verb {
            name: "list",
            about: "List TCP inlets",
            scope: Scope::Node,
            who: Who::NodeOwner,
            forms: Forms::JSON,
        },
        Verb {
            name: "delete",
            about: "Delete a TCP inlet",
            scope: Scope::Node,
            who: Who::NodeOwner,
            forms: Forms::JSON,
        },
    ],
};
