//! Relays: names at another node under which a node can be reached.

use crate::table::{Forms, Noun, Scope, Verb, Who};

/// The row of this noun in the table.
pub(crate) static NOUN: Noun = Noun {
    one: "relay",
    kind: "relay",
    many: "relays",
    about: "Relays: names at another node under which a node can be reached",
    aliases: &["forwarder"],
    verbs: &[
        Verb {
            name: "create",
            about: "Create a relay",
            scope: Scope::Node,
            who: Who::NodeOwner,
            forms: Forms::ALL,
        },
        Verb {
            name: "show",
            about: "Show a relay",
            scope: Scope::Node,
            who: Who::NodeOwner,
            forms: Forms::ALL,
        },
        Verb {
            name: "list",
            about: "List relays",
            scope: Scope::Node,
            who: Who::NodeOwner,
            forms: Forms::JSON,
        },
        Verb {
            name: "delete",
            about: "Delete a relay",
            scope: Scope::Node,
            who: Who::NodeOwner,
            forms: Forms::PLAIN,
        },
    ],
};
