//! Authorities: nodes that know who is a member of a project.

use std::collections::BTreeMap;

use ockam_identity::Identifier;
use serde::{Deserialize, Serialize};

use crate::table::{Forms, Noun, Scope, Verb, Who};
use crate::value::{DurationText, HostPort};

/// The row of this noun in the table.
pub(crate) static NOUN: Noun = Noun {
    one: "authority",
    kind: "authority",
    many: "authorities",
    about: "Authorities: who is a member of a project, and credentials that say so",
    aliases: &[],
    verbs: &[
        Verb {
            name: "create",
            about: "Create and start an authority",
            scope: Scope::Home,
            who: Who::HomeOwner,
            forms: Forms::PLAIN,
        },
        Verb {
            name: "show",
            about: "Show an authority, as its members need to know it",
            scope: Scope::Home,
            who: Who::HomeOwner,
            forms: Forms::ALL,
        },
        Verb {
            name: "list",
            about: "List all authorities",
            scope: Scope::Home,
            who: Who::HomeOwner,
            forms: Forms::JSON,
        },
    ],
};

/// How an authority was asked to work; kept with its node. `spec: trust 7.6`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuthoritySettings {
    /// The id of its project.
    pub project: String,
    /// Whom it trusts from the start, and what it says of them.
    pub trusted_identities: BTreeMap<Identifier, BTreeMap<String, String>>,
    /// Whether members can be added by hand.
    pub direct_authentication: bool,
    /// Whether there are one-time codes.
    pub token_enrollment: bool,
    /// The sign-in service, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub okta: Option<OktaSettings>,
    /// The change history, in hex, of whose credentials make admins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account_authority: Option<String>,
    /// Who else is an admin.
    pub admins: AdminSettings,
    /// Whether credentials name the project.
    pub trust_context_id: bool,
    /// How long credentials are good; the usual, when it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl: Option<DurationText>,
    /// Where members reach it, when that is not where it listens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public_address: Option<HostPort>,
}

/// Who is an admin beside those whom the account authority names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AdminSettings {
    /// Enrollers among the trusted identities.
    TrustedEnrollers,
    /// All enrollers.
    AllEnrollers,
    /// Nobody.
    AccountOnly,
}

/// A sign-in service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OktaSettings {
    /// Where it is.
    pub tenant_base_url: String,
    /// The only certificate it is trusted by, PEM.
    pub certificate: String,
    /// What is taken over from it.
    pub attributes: Vec<String>,
}

/// One line of the list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuthorityItem {
    /// The id of its project.
    pub project: String,
    /// Its node.
    pub node: String,
    /// Its identity.
    pub identifier: Identifier,
    /// Whether the node runs.
    pub running: bool,
    /// Where members reach it.
    pub route: Option<String>,
}
