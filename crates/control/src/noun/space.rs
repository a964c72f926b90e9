//! Spaces: projects of an Orchestrator that belong together.

use serde::{Deserialize, Serialize};

use crate::table::{Forms, Noun, Scope, Verb, Who};

/// The row of this noun in the table.
pub(crate) static NOUN: Noun = Noun {
    one: "space",
    kind: "space",
    many: "spaces",
    about: "Spaces: projects of the Orchestrator that belong together",
    aliases: &[],
    verbs: &[
        Verb {
            name: "create",
            about: "Create a space at the Orchestrator",
            scope: Scope::Home,
            who: Who::HomeOwner,
            forms: Forms::JSON,
        },
        Verb {
            name: "show",
            about: "Show a space",
            scope: Scope::Home,
            who: Who::HomeOwner,
            forms: Forms::JSON,
        },
        Verb {
            name: "list",
            about: "List spaces",
            scope: Scope::Home,
            who: Who::HomeOwner,
            forms: Forms::JSON,
        },
        Verb {
            name: "delete",
            about: "Delete a space and its projects at the Orchestrator",
            scope: Scope::Home,
            who: Who::HomeOwner,
            forms: Forms::ALL,
        },
    ],
};

/// A space as it is kept and shown (spec: command 3.10).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpaceItem {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Addresses of whoever administers it.
    pub users: Vec<String>,
    /// What it may have.
    #[serde(default)]
    pub subscription: Option<SubscriptionItem>,
}

/// What a space may have, as it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubscriptionItem {
    /// Its kind.
    pub name: String,
    /// Whether it was given for a trial.
    pub is_free_trial: bool,
    /// Where it was bought.
    #[serde(default)]
    pub marketplace: Option<String>,
    /// Since when, as ISO 8601.
    #[serde(default)]
    pub start_date: Option<String>,
    /// Until when, as ISO 8601.
    #[serde(default)]
    pub end_date: Option<String>,
}
