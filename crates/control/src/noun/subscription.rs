//! Subscriptions: what a space may have, and where that was bought.

use serde::Serialize;

use crate::controller::message::SubscriptionLegacy;
use crate::table::{Forms, Noun, Scope, Verb, Who};

/// The row of this noun in the table.
pub(crate) static NOUN: Noun = Noun {
    one: "subscription",
    kind: "subscription",
    many: "subscriptions",
    about: "Subscriptions: what a space may have at the Orchestrator",
    aliases: &[],
    verbs: &[Verb {
        name: "show",
        about: "Show a subscription",
        scope: Scope::Home,
        who: Who::HomeOwner,
        forms: Forms::JSON,
    }],
};

/// A subscription as it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SubscriptionDetails {
    /// Its id.
    pub id: String,
    /// Where it was bought.
    pub marketplace: String,
    /// How it is.
    pub status: String,
    /// What it gives.
    pub entitlements: String,
    /// What the market place said.
    pub metadata: String,
    /// Who is asked about it.
    pub contact_info: String,
    /// The space that has it.
    pub space_id: Option<String>,
}

impl From<SubscriptionLegacy> for SubscriptionDetails {
    fn from(told: SubscriptionLegacy) -> Self {
        Self {
            id: told.id,
            marketplace: told.marketplace,
            status: told.status,
            entitlements: told.entitlements,
            metadata: told.metadata,
            contact_info: told.contact_info,
            space_id: told.space_id,
        }
    }
}
