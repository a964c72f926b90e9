//! Files of nodes, and what they run.

use crate::table::{Forms, Noun, Scope, Verb, Who};

/// The row of this noun in the table.
pub(crate) static NOUN: Noun = Noun {
    one: "run",
    kind: "run",
    many: "runs",
    about: "Create nodes and all they run from one file",
    aliases: &[],
    verbs: &[Verb {
        name: "",
        about: "Create nodes and all they run from one file",
        scope: Scope::Home,
        who: Who::HomeOwner,
        forms: Forms::ALL,
    }],
};
