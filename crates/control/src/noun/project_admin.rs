//! Administrators of projects: accounts at the Orchestrator.

use crate::table::{Forms, Noun, Scope, Verb, Who};

/// The row of this noun in the table.
pub(crate) static NOUN: Noun = Noun {
    one: "project-admin",
    kind: "project admin",
    many: "project-admins",
    about: "Administrators of a project at the Orchestrator",
    aliases: &[],
    verbs: &[
        Verb {
            name: "add",
            about: "Make somebody an administrator",
            scope: Scope::Home,
            who: Who::HomeOwner,
            forms: Forms::JSON,
        },
        Verb {
            name: "list",
            about: "List administrators",
            scope: Scope::Home,
            who: Who::HomeOwner,
            forms: Forms::JSON,
        },
        Verb {
            name: "delete",
            about: "Make somebody no administrator any more",
            scope: Scope::Home,
            who: Who::HomeOwner,
            forms: Forms::JSON,
        },
    ],
};
