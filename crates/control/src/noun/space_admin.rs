//! Administrators of spaces: who may change a space and its projects.

use crate::table::{Forms, Noun, Scope, Verb, Who};

/// The row of this noun in the table.
pub(crate) static NOUN: Noun = Noun {
    one: "space-admin",
    kind: "space admin",
    many: "space-admins",
    about: "Admins: who may change a space and its projects",
    aliases: &[],
    verbs: &[
        Verb {
            name: "add",
            about: "Let somebody administer a space",
            scope: Scope::Home,
            who: Who::HomeOwner,
            forms: Forms::JSON,
        },
        Verb {
            name: "list",
            about: "List the admins of a space",
            scope: Scope::Home,
            who: Who::HomeOwner,
            forms: Forms::JSON,
        },
        Verb {
            name: "delete",
            about: "End that somebody administers a space",
            scope: Scope::Home,
            who: Who::HomeOwner,
            forms: Forms::JSON,
        },
    ],
};
