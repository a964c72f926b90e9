//! One half of a portal through a relay of the Orchestrator, beside a service or beside its client.

use crate::table::{Forms, Noun, Scope, Verb, Who};

/// The row of this noun in the table.
pub(crate) static NOUN: Noun = Noun {
    one: "sidecar",
    kind: "sidecar",
    many: "sidecars",
    about: "One half of a portal, beside a service or beside its client",
    aliases: &[],
    verbs: &[
        Verb {
            name: "secure-relay-outlet",
            about: "Let members of a project reach a service through a relay",
            scope: Scope::Home,
            who: Who::HomeOwner,
            forms: Forms::PLAIN,
        },
        Verb {
            name: "secure-relay-inlet",
            about: "Reach a service that another machine offers through a relay",
            scope: Scope::Home,
            who: Who::HomeOwner,
            forms: Forms::PLAIN,
        },
    ],
};
