//! Identities: who a node is, with keys in a vault.

use crate::table::{Forms, Noun, Scope, Verb, Who};

/// The row of this noun in the table.
pub(crate) static NOUN: Noun = Noun {
    one: "identity",
    kind: "identity",
    many: "identities",
    about: "Identities: who a node is, with keys in a vault",
    aliases: &[],
    verbs: &[
        Verb {
            name: "create",
            about: "Create an identity",
            scope: Scope::Home,
            who: Who::HomeOwner,
            forms: Forms::ALL,
        },
        Verb {
            name: "show",
            about: "Show an identity",
            scope: Scope::Home,
            who: Who::HomeOwner,
            forms: Forms::ALL,
        },
        Verb {
            name: "list",
            about: "List identities",
            scope: Scope::Home,
            who: Who::HomeOwner,
            forms: Forms::JSON,
        },
        Verb {
            name: "default",
            about: "Print or change the default identity",
            scope: Scope::Home,
            who: Who::HomeOwner,
            forms: Forms::MACHINE,
        },
        Verb {
            name: "delete",
            about: "Delete an identity",
            scope: Scope::Home,
            who: Who::HomeOwner,
            forms: Forms::ALL,
        },
    ],
};
