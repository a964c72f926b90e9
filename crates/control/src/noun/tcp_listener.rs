//! TCP listeners: where other nodes connect to.

use crate::table::{Forms, Noun, Scope, Verb, Who};

/// The row of this noun in the table.
pub(crate) static NOUN: Noun = Noun {
    one: "tcp-listener",
    kind: "tcp listener",
    many: "tcp-listeners",
    about: "TCP listeners: where other nodes connect to",
    aliases: &[],
    verbs: &[
        Verb {
            name: "create",
            about: "Create a TCP listener",
            scope: Scope::Node,
            who: Who::NodeOwner,
            forms: Forms::PLAIN,
        },
        Verb {
            name: "show",
            about: "Show a TCP listener",
            scope: Scope::Node,
            who: Who::NodeOwner,
            forms: Forms::JSON,
        },
        Verb {
            name: "list",
            about: "List TCP listeners",
            scope: Scope::Node,
            who: Who::NodeOwner,
            forms: Forms::PLAIN,
        },
        Verb {
            name: "delete",
            about: "Delete a TCP listener",
            scope: Scope::Node,
            who: Who::NodeOwner,
            forms: Forms::JSON,
        },
    ],
};
