//! Secure channels: sealed, mutually authenticated paths over a route.

use crate::table::{Forms, Noun, Scope, Verb, Who};

/// The row of this noun in the table.
pub(crate) static NOUN: Noun = Noun {
    one: "secure-channel",
    kind: "secure channel",
    many: "secure-channels",
    about: "Secure channels: sealed, mutually authenticated paths over a route",
    aliases: &[],
    verbs: &[
        Verb {
            name: "create",
            about: "Create a secure channel",
            scope: Scope::Node,
            who: Who::NodeOwner,
            forms: Forms::ALL,
        },
        Verb {
            name: "show",
            about: "Show a secure channel",
            scope: Scope::Node,
            who: Who::NodeOwner,
            forms: Forms::JSON,
        },
        Verb {
            name: "list",
            about: "List secure channels",
            scope: Scope::Node,
            who: Who::NodeOwner,
            forms: Forms::JSON,
        },
        Verb {
            name: "delete",
            about: "Delete a secure channel",
            scope: Scope::Node,
            who: Who::NodeOwner,
            forms: Forms::ALL,
        },
    ],
};
