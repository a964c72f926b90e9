//! What only administrators of an Orchestrator do.

use crate::table::{Forms, Noun, Scope, Verb, Who};

/// The row of this noun in the table.
pub(crate) static NOUN: Noun = Noun {
    one: "admin",
    kind: "subscription",
    many: "admin",
    about: "What administrators of the Orchestrator do with subscriptions",
    aliases: &[],
    verbs: &[
        Verb {
            name: "subscription attach",
            about: "Give a space what was bought at a market place",
            scope: Scope::Home,
            who: Who::HomeOwner,
            forms: Forms::JSON,
        },
        Verb {
            name: "subscription list",
            about: "List subscriptions",
            scope: Scope::Home,
            who: Who::HomeOwner,
            forms: Forms::JSON,
        },
        Verb {
            name: "subscription unsubscribe",
            about: "End a subscription",
            scope: Scope::Home,
            who: Who::HomeOwner,
            forms: Forms::JSON,
        },
        Verb {
            name: "subscription update contact-info",
            about: "Change who is asked about a subscription",
            scope: Scope::Home,
            who: Who::HomeOwner,
            forms: Forms::JSON,
        },
        Verb {
            name: "subscription update space",
            about: "Give a subscription to another space",
            scope: Scope::Home,
            who: Who::HomeOwner,
            forms: Forms::JSON,
        },
    ],
};
