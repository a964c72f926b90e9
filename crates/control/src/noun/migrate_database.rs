//! `migrate-database`: of the published program, for its PostgreSQL state.

use crate::table::{Forms, Noun, Scope, Verb, Who};

/// The row of this noun in the table.
pub(crate) static NOUN: Noun = Noun {
    one: "migrate-database",
    kind: "database",
    many: "migrate-database",
    about: "Bring a PostgreSQL state up to date (not supported yet)",
    aliases: &[],
    verbs: &[Verb {
        name: "",
        about: "Bring a PostgreSQL state up to date (not supported yet)",
        scope: Scope::Home,
        who: Who::HomeOwner,
        forms: Forms::PLAIN,
    }],
};
