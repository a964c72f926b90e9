//! Nodes: processes that run workers and keep what they were asked for.

use crate::table::{Forms, Noun, Scope, Verb, Who};

/// The row of this noun in the table.
pub(crate) static NOUN: Noun = Noun {
    one: "node",
    kind: "node",
    many: "nodes",
    about: "Nodes: processes that run workers and keep what they were asked for",
    aliases: &[],
    verbs: &[
        Verb {
            name: "create",
            about: "Create and start a node",
            scope: Scope::Home,
            who: Who::HomeOwner,
            forms: Forms::ALL,
        },
        Verb {
            name: "show",
            about: "Show what a node runs",
            scope: Scope::Home,
            who: Who::HomeOwner,
            forms: Forms::JSON,
        },
        Verb {
            name: "list",
            about: "List nodes",
            scope: Scope::Home,
            who: Who::HomeOwner,
            forms: Forms::JSON,
        },
        Verb {
            name: "start",
            about: "Start a stopped node",
            scope: Scope::Home,
            who: Who::HomeOwner,
            forms: Forms::JSON,
        },
        Verb {
            name: "stop",
            about: "Stop a running node",
            scope: Scope::Home,
            who: Who::HomeOwner,
            forms: Forms::PLAIN,
        },
        Verb {
            name: "delete",
            about: "Delete a node and all that was asked of it",
            scope: Scope::Home,
            who: Who::HomeOwner,
            forms: Forms::ALL,
        },
        Verb {
            name: "logs",
            about: "Print the path of a node's newest log file",
            scope: Scope::Home,
            who: Who::HomeOwner,
            forms: Forms::ALL,
        },
        Verb {
            name: "default",
            about: "Print or change the default node",
            scope: Scope::Home,
            who: Who::HomeOwner,
            forms: Forms::MACHINE,
        },
    ],
};
