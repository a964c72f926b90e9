//! Secure channel listeners: addresses that answer handshakes.

use ockam_identity::Identifier;
use ockam_store::IdentityName;
use serde::{Deserialize, Serialize};

use crate::record::{FlowControlId, RawAddress};
use crate::resource::Resource;
use crate::table::{Forms, Noun, Scope, Verb, Who};
use crate::value::{WorkerName, as_text};

/// The row of this noun in the table.
pub(crate) static NOUN: Noun = Noun {
    one: "secure-channel-listener",
    kind: "secure channel listener",
    many: "secure-channel-listeners",
    about: "Secure channel listeners: addresses that answer handshakes",
    aliases: &[],
    verbs: &[
        Verb {
            name: "create",
            about: "Create a secure channel listener",
            scope: Scope::Node,
            who: Who::NodeOwner,
            forms: Forms::ALL,
        },
        Verb {
            name: "show",
            about: "Show a secure channel listener",
            scope: Scope::Node,
            who: Who::NodeOwner,
            forms: Forms::PLAIN,
        },
        Verb {
            name: "list",
            about: "List secure channel listeners",
            scope: Scope::Node,
            who: Who::NodeOwner,
            forms: Forms::PLAIN,
        },
        Verb {
            name: "delete",
            about: "Delete a secure channel listener",
            scope: Scope::Node,
            who: Who::NodeOwner,
            forms: Forms::MACHINE,
        },
    ],
};

/// Secure channel listeners.
#[derive(Debug)]
pub struct SecureChannelListener;

impl Resource for SecureChannelListener {
    const NOUN: &'static Noun = &NOUN;
    type Name = WorkerName;
    type Spec = ListenerSpec;
    type View = Listener;
}

/// What a new listener is to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListenerSpec {
    /// Its address.
    pub address: WorkerName,
    /// The identifiers it accepts; any when empty.
    #[serde(default, with = "as_text::list")]
    pub authorized: Vec<Identifier>,
    /// The identity shown to peers; the node's own when none is given.
    #[serde(default, with = "as_text::option")]
    pub identity: Option<IdentityName>,
    /// Whether it shows who it is and nothing of what its authority says of it (spec: trust 11.2 number 27).
    #[serde(default)]
    pub no_credential: bool,
}

/// A listener as the node runs it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listener {
    /// Its address.
    pub address: RawAddress,
    /// The flow control of the channels it accepts.
    pub flow_control_id: FlowControlId,
    /// Whether its channels only agree on keys.
    pub is_key_exchange_only: bool,
}
