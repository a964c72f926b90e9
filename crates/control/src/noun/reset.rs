//! `reset`: everything in the home is forgotten.

use crate::table::{Forms, Noun, Scope, Verb, Who};

/// The row of this noun in the table.
pub(crate) static NOUN: Noun = Noun {
    one: "reset",
    kind: "reset",
    many: "reset",
    about: "Stop all nodes and remove all local state",
    aliases: &[],
    verbs: &[Verb {
        name: "",
        about: "Stop all nodes and remove all local state",
        scope: Scope::Home,
        who: Who::HomeOwner,
        forms: Forms::PLAIN,
    }],
};
