//! Relays: names at another node under which a node can be reached.

use ockam_identity::Identifier;
use ockam_policy::Policy;
use ockam_store::IdentityName;
use ockam_wire::MultiAddr;
use serde::{Deserialize, Serialize};

use crate::noun::way::Hop;
use crate::record::{Connection, FlowControlId};
use crate::resource::Resource;
use crate::table::{Forms, Noun, Scope, Verb, Who};
use crate::value::{Alias, DurationText, as_text};

/// The row of this noun in the table.
pub(crate) static NOUN: Noun = Noun {
    one: "relay",
    kind: "relay",
    many: "relays",
    about: "Relays: names at another node under which a node can be reached",
    aliases: &["forwarder"],
    verbs: &[
        Verb {
            name: "create",
            about: "Create a relay",
            scope: Scope::Node,
            who: Who::NodeOwner,
            forms: Forms::ALL,
        },
        Verb {
            name: "show",
            about: "Show a relay",
            scope: Scope::Node,
            who: Who::NodeOwner,
            forms: Forms::ALL,
        },
        Verb {
            name: "list",
            about: "List relays",
            scope: Scope::Node,
            who: Who::NodeOwner,
            forms: Forms::JSON,
        },
        Verb {
            name: "delete",
            about: "Delete a relay",
            scope: Scope::Node,
            who: Who::NodeOwner,
            forms: Forms::PLAIN,
        },
    ],
};

/// Relays.
#[derive(Debug)]
pub struct Relay;

impl Resource for Relay {
    const NOUN: &'static Noun = &NOUN;
    type Name = Alias;
    type Spec = RelaySpec;
    type View = RelayInfo;
}

/// What a new relay is to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RelaySpec {
    /// Its name, which is also the name at the far node unless `relay_address` says otherwise.
    pub name: Alias,
    /// The route to the node that relays.
    #[serde(with = "as_text")]
    pub at: MultiAddr,
    /// The name asked for at the far node.
    #[serde(default)]
    pub relay_address: Option<Alias>,
    /// The only identifier accepted at the far end.
    #[serde(default, with = "as_text::option")]
    pub authorized: Option<Identifier>,
    /// The identity that opens channels on the way; the node's own when none is given.
    #[serde(default, with = "as_text::option")]
    pub identity: Option<IdentityName>,
    /// Who may be the relay, where it has a policy of its own.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "as_text::option"
    )]
    pub allow: Option<Policy>,
    /// How long creation waits for the far side; not at all when absent.
    #[serde(default)]
    pub connection_wait: Option<DurationText>,
}

/// A relay as the node runs it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RelayInfo {
    /// The route in use.
    pub forwarding_route: Option<String>,
    /// The address at the far node.
    pub remote_address: Option<String>,
    /// The worker that keeps the registration.
    pub worker_address: Option<String>,
    /// The flow control of the connection.
    pub flow_control_id: Option<FlowControlId>,
    /// Whether the far side has confirmed.
    pub connection_status: Connection,
    /// Where the relaying node is.
    pub destination_address: String,
    /// Its name.
    pub name: String,
    /// Why the last attempt failed.
    pub last_failure: Option<String>,
    /// The hops of its way; told where one is shown, not in lists.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hops: Vec<Hop>,
}
