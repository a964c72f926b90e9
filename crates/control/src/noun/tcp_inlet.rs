//! TCP inlets: where clients enter a portal.

use ockam_identity::Identifier;
use ockam_policy::Policy;
use ockam_portal::HttpHeader;
use ockam_store::IdentityName;
use ockam_wire::MultiAddr;
use serde::{Deserialize, Serialize};

use crate::noun::way::Hop;
use crate::record::Connection;
use crate::resource::Resource;
use crate::table::{Forms, Noun, Scope, Verb, Who};
use crate::value::{Alias, DurationText, HostPort, as_text};

/// The row of this noun in the table.
pub(crate) static NOUN: Noun = Noun {
    one: "tcp-inlet",
    kind: "tcp inlet",
    many: "tcp-inlets",
    about: "TCP inlets: where clients enter a portal",
    aliases: &[],
    verbs: &[
        Verb {
            name: "create",
            about: "Create a TCP inlet",
            scope: Scope::Node,
            who: Who::NodeOwner,
            forms: Forms::ALL,
        },
        Verb {
            name: "show",
            about: "Show a TCP inlet",
            scope: Scope::Node,
            who: Who::NodeOwner,
            forms: Forms::JSON,
        },
        Verb {
            name: "list",
            about: "List TCP inlets",
            scope: Scope::Node,
            who: Who::NodeOwner,
            forms: Forms::JSON,
        },
        Verb {
            name: "delete",
            about: "Delete a TCP inlet",
            scope: Scope::Node,
            who: Who::NodeOwner,
            forms: Forms::JSON,
        },
    ],
};

/// Inlets.
#[derive(Debug)]
pub struct TcpInlet;

impl Resource for TcpInlet {
    const NOUN: &'static Noun = &NOUN;
    type Name = Alias;
    type Spec = InletSpec;
    type View = InletStatus;
}

/// What a new inlet is to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InletSpec {
    /// Its name; random when none is given.
    #[serde(default)]
    pub alias: Option<Alias>,
    /// Where clients connect; port 0 picks a free one.
    pub from: HostPort,
    /// The route to the outlet, as the user means it: names of nodes are looked up anew at each connection.
    #[serde(with = "as_text")]
    pub to: MultiAddr,
    /// Where the outlet is looked for as well, when its place was given as a name that says either.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "as_text::option"
    )]
    pub or: Option<MultiAddr>,
    /// The identity that opens channels on the way; the node's own when none is given.
    #[serde(default, with = "as_text::option")]
    pub identity: Option<IdentityName>,
    /// The only identifier accepted at the far end.
    #[serde(default, with = "as_text::option")]
    pub authorized: Option<Identifier>,
    /// How long creation waits for the far side; not at all when absent.
    #[serde(default)]
    pub connection_wait: Option<DurationText>,
    /// Whether client sockets gather small writes.
    #[serde(default)]
    pub enable_nagle: bool,
    /// Whether data is sent without waiting for the outlet's answer.
    #[serde(default)]
    pub skip_handshake: bool,
    /// Who may be at the other end, where it has a policy of its own.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "as_text::option"
    )]
    pub allow: Option<Policy>,
    /// What is added to every HTTP request; none when the clients may speak anything.
    #[serde(default, skip_serializing_if = "Vec::is_empty", with = "as_text::list")]
    pub http_headers: Vec<HttpHeader>,
}

/// An inlet as the node runs it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InletStatus {
    /// Where clients connect.
    pub bind_addr: String,
    /// The worker behind the listener.
    pub worker_addr: Option<String>,
    /// Its name.
    pub alias: String,
    /// Reserved by the published program.
    pub payload: Option<String>,
    /// The route in use.
    pub outlet_route: Option<String>,
    /// Whether the far side was reached.
    pub status: Connection,
    /// The route as given, nodes replaced by their listeners.
    pub outlet_addr: String,
    /// Whether it works on packets instead of streams.
    pub privileged: bool,
    /// Why the last attempt to reach the far side failed; only while it is not reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_failure: Option<String>,
    /// The names of the headers it adds to HTTP requests; only when it does. The values may be secrets.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub http_headers: Vec<String>,
    /// The hops of its way; told where one is shown, not in lists.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hops: Vec<Hop>,
}
