//! Secure channel listeners: addresses that answer handshakes.

use crate::table::{Forms, Noun, Scope, Verb, Who};

/// The row of this noun in the table.
pub(crate) static NOUN: Noun = Noun {
    one: "secure-channel-listener",
    kind: "secure channel listener",
    many: "secure-channel-listeners",
    about: "Secure channel listeners: addresses that answer handshakes",
    aliases: &[],
    verbs: &[
        Verb {
            name: "create",
            about: "Create a secure channel listener",
            scope: Scope::Node,
            who: Who::NodeOwner,
            forms: Forms::ALL,
        },
        Verb {
            name: "show",
            about: "Show a secure channel listener",
            scope: Scope::Node,
            who: Who::NodeOwner,
            forms: Forms::PLAIN,
        },
        Verb {
            name: "list",
            about: "List secure channel listeners",
            scope: Scope::Node,
            who: Who::NodeOwner,
            forms: Forms::PLAIN,
        },
        Verb {
            name: "delete",
            about: "Delete a secure channel listener",
            scope: Scope::Node,
            who: Who::NodeOwner,
            forms: Forms::MACHINE,
        },
    ],
};
