//! Identities: who a node is, with keys in a vault.

use crate::table::{Forms, Noun, Scope, Verb, Who};
use serde::{Deserialize, Serialize};

/// The row of this noun in the table.
pub(crate) static NOUN: Noun = Noun {
    one: "identity",
    kind: "identity",
    many: "identities",
    about: "Identities: who a node is, with keys in a vault",
    aliases: &[],
    verbs: &[
        Verb {
            name: "create",
            about: "Create an identity",
            scope: Scope::Home,
            who: Who::HomeOwner,
            forms: Forms::ALL,
        },
        Verb {
            name: "show",
            about: "Show an identity",
            scope: Scope::Home,
            who: Who::HomeOwner,
            forms: Forms::ALL,
        },
        Verb {
            name: "list",
            about: "List identities",
            scope: Scope::Home,
            who: Who::HomeOwner,
            forms: Forms::JSON,
        },
        Verb {
            name: "default",
            about: "Print or change the default identity",
            scope: Scope::Home,
            who: Who::HomeOwner,
            forms: Forms::MACHINE,
        },
        Verb {
            name: "rotate",
            about: "Give an identity a new key; its identifier stays",
            scope: Scope::Home,
            who: Who::HomeOwner,
            forms: Forms::ALL,
        },
        Verb {
            name: "delete",
            about: "Delete an identity",
            scope: Scope::Home,
            who: Who::HomeOwner,
            forms: Forms::ALL,
        },
    ],
};

/// One line of `identity list`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdentityItem {
    /// `I` and 64 hexadecimal digits.
    pub identifier: String,
    /// The local name.
    pub name: String,
    /// The vault that holds its keys.
    pub vault_name: String,
    /// Whether commands use it when none is named.
    pub is_default: bool,
}

/// All changes of an identity.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdentityHistory {
    /// `I` and 64 hexadecimal digits.
    pub identifier: String,
    /// The changes, oldest first.
    pub changes: Vec<IdentityChange>,
}

/// One change of an identity.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdentityChange {
    /// The hash of the change, 64 hexadecimal digits.
    pub identifier: String,
    /// Kind and value of the primary key.
    pub primary_public_key: String,
    /// Whether the change asks for purpose keys to be dropped.
    pub revoke_all_purpose_keys: bool,
}
