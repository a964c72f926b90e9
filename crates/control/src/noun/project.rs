//! Projects: authorities with the members they vouch for.

use crate::table::{Forms, Noun, Scope, Verb, Who};

/// The row of this noun in the table.
pub(crate) static NOUN: Noun = Noun {
    one: "project",
    kind: "project",
    many: "projects",
    about: "Projects: members, and the authority that vouches for them",
    aliases: &[],
    verbs: &[
        Verb {
            name: "ticket",
            about: "Make a ticket with which an identity becomes a member",
            scope: Scope::Home,
            who: Who::HomeOwner,
            forms: Forms::ALL,
        },
        Verb {
            name: "enroll",
            about: "Become a member of a project with a ticket",
            scope: Scope::Home,
            who: Who::HomeOwner,
            forms: Forms::JSON,
        },
        Verb {
            name: "import",
            about: "Take a project from a file",
            scope: Scope::Home,
            who: Who::HomeOwner,
            forms: Forms::JSON,
        },
        Verb {
            name: "show",
            about: "Show a project",
            scope: Scope::Home,
            who: Who::HomeOwner,
            forms: Forms::JSON,
        },
        Verb {
            name: "list",
            about: "List projects",
            scope: Scope::Home,
            who: Who::HomeOwner,
            forms: Forms::JSON,
        },
        Verb {
            name: "delete",
            about: "Forget a project",
            scope: Scope::Home,
            who: Who::HomeOwner,
            forms: Forms::ALL,
        },
        Verb {
            name: "create",
            about: "Create a project at the Orchestrator",
            scope: Scope::Home,
            who: Who::HomeOwner,
            forms: Forms::PLAIN,
        },
        Verb {
            name: "version",
            about: "Print the versions of the Orchestrator",
            scope: Scope::Home,
            who: Who::HomeOwner,
            forms: Forms::PLAIN,
        },
    ],
};
