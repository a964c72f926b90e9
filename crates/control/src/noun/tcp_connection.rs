//! TCP connections between nodes.

use crate::table::{Forms, Noun, Scope, Verb, Who};

/// The row of this noun in the table.
pub(crate) static NOUN: Noun = Noun {
    one: "tcp-connection",
    kind: "tcp connection",
    many: "tcp-connections",
    about: "TCP connections between nodes",
    aliases: &[],
    verbs: &[
        Verb {
            name: "create",
            about: "Create a TCP connection",
            scope: Scope::Node,
            who: Who::NodeOwner,
            forms: Forms::ALL,
        },
        Verb {
            name: "show",
            about: "Show a TCP connection",
            scope: Scope::Node,
            who: Who::NodeOwner,
            forms: Forms::PLAIN,
        },
        Verb {
            name: "list",
            about: "List TCP connections",
            scope: Scope::Node,
            who: Who::NodeOwner,
            forms: Forms::PLAIN,
        },
        Verb {
            name: "delete",
            about: "Delete a TCP connection",
            scope: Scope::Node,
            who: Who::NodeOwner,
            forms: Forms::JSON,
        },
    ],
};
