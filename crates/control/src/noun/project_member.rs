//! Members of projects: whom an authority vouches for, and with which attributes.

use std::collections::BTreeMap;

#[cfg(feature = "cli")]
use ockam_authority::message::AttributesEntry;
#[cfg(feature = "cli")]
use ockam_identity::Identifier;
use serde::{Deserialize, Serialize};

use crate::table::{Forms, Noun, Scope, Verb, Who};

/// The row of this noun in the table.
pub(crate) static NOUN: Noun = Noun {
    one: "project-member",
    kind: "member",
    many: "members",
    about: "Members: whom the authority of a project vouches for",
    aliases: &[],
    verbs: &[
        Verb {
            name: "add",
            about: "Make an identity a member, or give a member other attributes",
            scope: Scope::Home,
            who: Who::HomeOwner,
            forms: Forms::JSON,
        },
        Verb {
            name: "show",
            about: "Show a member",
            scope: Scope::Home,
            who: Who::HomeOwner,
            forms: Forms::JSON,
        },
        Verb {
            name: "list",
            about: "List members with their attributes",
            scope: Scope::Home,
            who: Who::HomeOwner,
            forms: Forms::JSON,
        },
        Verb {
            name: "list-ids",
            about: "List the identifiers of members",
            scope: Scope::Home,
            who: Who::HomeOwner,
            forms: Forms::JSON,
        },
        Verb {
            name: "delete",
            about: "End a membership",
            scope: Scope::Home,
            who: Who::HomeOwner,
            forms: Forms::JSON,
        },
    ],
};

/// A member as it is shown (spec: command 3.10).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// `I` and 64 hexadecimal digits.
    pub identifier: String,
    /// What the authority holds of it.
    pub attributes: MemberEntry,
}

/// What an authority holds of a member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberEntry {
    /// What is said of it.
    pub attributes: BTreeMap<String, String>,
    /// Since when, in Unix seconds.
    pub added_at: u64,
    /// Until when, in Unix seconds.
    pub expires_at: Option<u64>,
    /// Who made it a member.
    pub attested_by: Option<String>,
}

#[cfg(feature = "cli")]
impl Member {
    /// The member with this identifier.
    pub fn new(identifier: &Identifier, entry: &AttributesEntry) -> Self {
        let attributes = entry
            .attributes
            .iter()
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        Self {
            identifier: identifier.to_string(),
            attributes: MemberEntry {
                attributes,
                added_at: entry.added_at.0,
                expires_at: entry.expires_at.map(|at| at.0),
                attested_by: entry.added_by.map(|by| by.to_string()),
            },
        }
    }
}
