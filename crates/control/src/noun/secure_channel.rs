//! Secure channels: sealed, mutually authenticated paths over a route.

use ockam_identity::{CredentialBundle, Identifier};
use ockam_store::IdentityName;
use ockam_wire::MultiAddr;
use serde::{Deserialize, Serialize};

use crate::record::FlowControlId;
use crate::resource::Resource;
use crate::table::{Forms, Noun, Scope, Verb, Who};
use crate::value::{DurationText, WorkerName, as_text};

/// The row of this noun in the table.
pub(crate) static NOUN: Noun = Noun {
    one: "secure-channel",
    kind: "secure channel",
    many: "secure-channels",
    about: "Secure channels: sealed, mutually authenticated paths over a route",
    aliases: &[],
    verbs: &[
        Verb {
            name: "create",
            about: "Create a secure channel",
            scope: Scope::Node,
            who: Who::NodeOwner,
            forms: Forms::ALL,
        },
        Verb {
            name: "show",
            about: "Show a secure channel",
            scope: Scope::Node,
            who: Who::NodeOwner,
            forms: Forms::JSON,
        },
        Verb {
            name: "list",
            about: "List secure channels",
            scope: Scope::Node,
            who: Who::NodeOwner,
            forms: Forms::JSON,
        },
        Verb {
            name: "delete",
            about: "Delete a secure channel",
            scope: Scope::Node,
            who: Who::NodeOwner,
            forms: Forms::ALL,
        },
    ],
};

/// Secure channels.
#[derive(Debug)]
pub struct SecureChannel;

impl Resource for SecureChannel {
    const NOUN: &'static Noun = &NOUN;
    type Name = WorkerName;
    type Spec = ChannelSpec;
    type View = ChannelItem;
}

/// What a new channel is to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChannelSpec {
    /// The route to the listener.
    #[serde(with = "as_text")]
    pub to: MultiAddr,
    /// The identifiers accepted at the far end; any when empty.
    #[serde(default, with = "as_text::list")]
    pub authorized: Vec<Identifier>,
    /// The identity shown to the peer; the node's own when none is given.
    #[serde(default, with = "as_text::option")]
    pub identity: Option<IdentityName>,
    /// A credential to present besides those that the identity presents by itself.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "as_text::option"
    )]
    pub credential: Option<CredentialBundle>,
    /// How long the handshake may take.
    #[serde(default)]
    pub timeout: Option<DurationText>,
}

/// A channel as the node runs it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChannelItem {
    /// Where plaintext enters.
    pub address: String,
    /// The route to the listener.
    pub route: String,
    /// The identifiers that were accepted.
    pub authorized_identifiers: Option<Vec<String>>,
    /// The flow control of what comes out of it.
    pub flow_control_id: FlowControlId,
    /// Who is at the other end.
    pub their_identifier: String,
    /// The other end's change history, hexadecimal.
    pub their_change_history: String,
}
