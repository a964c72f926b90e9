//! TCP outlets: where a portal leaves a node towards a server.

use crate::table::{Forms, Noun, Scope, Verb, Who};

/// The row of this noun in the table.
pub(crate) static NOUN: Noun = Noun {
    one: "tcp-outlet",
    kind: "tcp outlet",
    many: "tcp-outlets",
    about: "TCP outlets: where a portal leaves a node towards a server",
    aliases: &[],
    verbs: &[
        Verb {
            name: "create",
            about: "Create a TCP outlet",
            scope: Scope::Node,
            who: Who::NodeOwner,
            forms: Forms::ALL,
        },
        Verb {
            name: "show",
            about: "Show a TCP outlet",
            scope: Scope::Node,
            who: Who::NodeOwner,
            forms: Forms::JSON,
        },
        Verb {
            name: "list",
            about: "List TCP outlets",
            scope: Scope::Node,
            who: Who::NodeOwner,
            forms: Forms::JSON,
        },
        Verb {
            name: "delete",
            about: "Delete a TCP outlet",
            scope: Scope::Node,
            who: Who::NodeOwner,
            forms: Forms::ALL,
        },
    ],
};
