//! Credentials: what one identity says of another, for policies to decide by.

use std::collections::BTreeMap;

#[cfg(feature = "cli")]
use ockam_identity::{CredentialBundle, CredentialClaims};
use serde::{Deserialize, Serialize};

use crate::table::{Forms, Noun, Scope, Verb, Who};

/// The row of this noun in the table.
pub(crate) static NOUN: Noun = Noun {
    one: "credential",
    kind: "credential",
    many: "credentials",
    about: "Credentials: what one identity says of another, for policies to decide by",
    aliases: &[],
    verbs: &[
        Verb {
            name: "issue",
            about: "Issue a credential about an identity",
            scope: Scope::Home,
            who: Who::HomeOwner,
            forms: Forms::ALL,
        },
        Verb {
            name: "verify",
            about: "Say whether a credential holds",
            scope: Scope::Home,
            who: Who::HomeOwner,
            forms: Forms::ALL,
        },
        Verb {
            name: "store",
            about: "Keep a credential, to be presented to others",
            scope: Scope::Home,
            who: Who::HomeOwner,
            forms: Forms::ALL,
        },
        Verb {
            name: "list",
            about: "List the credentials that are kept",
            scope: Scope::Home,
            who: Who::HomeOwner,
            forms: Forms::JSON,
        },
        Verb {
            name: "show",
            about: "Show a credential that is kept",
            scope: Scope::Home,
            who: Who::HomeOwner,
            forms: Forms::ALL,
        },
        Verb {
            name: "delete",
            about: "Forget a credential",
            scope: Scope::Home,
            who: Who::HomeOwner,
            forms: Forms::ALL,
        },
    ],
};

/// What a credential says (spec: command 3.10).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CredentialView {
    /// The credential with the attestation of the key that signed it, hexadecimal.
    pub credential: String,
    /// Of whom it speaks.
    pub subject: String,
    /// Who issued it.
    pub issuer: String,
    /// When it was issued, in seconds since 1970.
    pub created_at: u64,
    /// The last second it is good for.
    pub expires_at: u64,
    /// What it says. Names and values that are no text are written in hexadecimal after `0x`.
    pub attributes: BTreeMap<String, String>,
}

#[cfg(feature = "cli")]
impl CredentialView {
    /// The view of a credential with what it says, verified or not.
    pub(crate) fn new(bundle: &CredentialBundle, claims: &CredentialClaims) -> Self {
        Self {
            credential: bundle.to_hex(),
            subject: claims.subject.to_string(),
            issuer: claims.issuer.to_string(),
            created_at: claims.created_at.0,
            expires_at: claims.expires_at.0,
            attributes: claims
                .attributes
                .iter()
                .map(|(name, value)| (text(name), text(value)))
                .collect(),
        }
    }
}

/// A credential that is kept (spec: command 3.10).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredCredential {
    /// What it says.
    pub credential: CredentialView,
    /// What it is for.
    pub scope: String,
    /// Whether it holds now, as far as the histories known here tell.
    pub is_verified: bool,
}

#[cfg(feature = "cli")]
fn text(bytes: &[u8]) -> String {
    std::str::from_utf8(bytes).map_or_else(|_| format!("0x{}", hex::encode(bytes)), str::to_owned)
}
