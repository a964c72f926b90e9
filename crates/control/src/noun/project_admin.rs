//! Administrators of projects: who may change a project at its controller.

use serde::{Deserialize, Serialize};

use crate::table::{Forms, Noun, Scope, Verb, Who};

/// The row of this noun in the table.
pub(crate) static NOUN: Noun = Noun {
    one: "project-admin",
    kind: "project admin",
    many: "project-admins",
    about: "Admins: who may change a project at its controller",
    aliases: &[],
    verbs: &[
        Verb {
            name: "add",
            about: "Let somebody administer a project",
            scope: Scope::Home,
            who: Who::HomeOwner,
            forms: Forms::JSON,
        },
        Verb {
            name: "list",
            about: "List the admins of a project",
            scope: Scope::Home,
            who: Who::HomeOwner,
            forms: Forms::JSON,
        },
        Verb {
            name: "delete",
            about: "End that somebody administers a project",
            scope: Scope::Home,
            who: Who::HomeOwner,
            forms: Forms::JSON,
        },
    ],
};

/// An administrator as it is shown (spec: command 3.10).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProjectAdmin {
    /// The address by which the controller knows them.
    pub email: String,
}
