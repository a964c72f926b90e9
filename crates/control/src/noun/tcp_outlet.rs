//! TCP outlets: where a portal leaves a node towards a server.

use ockam_identity::Identifier;
use ockam_policy::Policy;
use ockam_wire::Address;
use serde::{Deserialize, Serialize};

use crate::record::RawAddress;
use crate::resource::Resource;
use crate::table::{Forms, Noun, Scope, Verb, Who};
use crate::value::{HostPort, Scheme, WorkerName, as_text};

/// The row of this noun in the table.
pub(crate) static NOUN: Noun = Noun {
    one: "tcp-outlet",
    kind: "tcp outlet",
    many: "tcp-outlets",
    about: "TCP outlets: where a portal leaves a node towards a server",
    aliases: &[],
    verbs: &[
        Verb {
            name: "create",
            about: "Create a TCP outlet",
            scope: Scope::Node,
            who: Who::NodeOwner,
            forms: Forms::ALL,
        },
        Verb {
            name: "show",
            about: "Show a TCP outlet",
            scope: Scope::Node,
            who: Who::NodeOwner,
            forms: Forms::JSON,
        },
        Verb {
            name: "list",
            about: "List TCP outlets",
            scope: Scope::Node,
            who: Who::NodeOwner,
            forms: Forms::JSON,
        },
        Verb {
            name: "delete",
            about: "Delete a TCP outlet",
            scope: Scope::Node,
            who: Who::NodeOwner,
            forms: Forms::ALL,
        },
    ],
};

/// Outlets.
#[derive(Debug)]
pub struct TcpOutlet;

impl Resource for TcpOutlet {
    const NOUN: &'static Noun = &NOUN;
    type Name = WorkerName;
    type Spec = OutletSpec;
    type View = OutletStatus;
}

/// What a new outlet is to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutletSpec {
    /// Its address; `outlet`, or a random name when that is taken.
    #[serde(default)]
    pub address: Option<WorkerName>,
    /// The server it leads to; with the scheme `tls`, one that speaks TLS.
    pub to: HostPort,
    /// Whether inlets send without waiting for an answer.
    #[serde(default)]
    pub skip_handshake: bool,
    /// Who may use it, where it has a policy of its own.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "as_text::option"
    )]
    pub allow: Option<Policy>,
    /// The only identifiers that may use it, beside what the policy says; without any the policy alone decides.
    #[serde(default, skip_serializing_if = "Vec::is_empty", with = "as_text::list")]
    pub authorized: Vec<Identifier>,
}

/// An outlet as the node runs it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutletStatus {
    /// The server it leads to.
    pub to: String,
    /// Its address.
    pub worker_addr: RawAddress,
    /// Reserved by the published program.
    pub payload: Option<String>,
    /// Whether it works on packets instead of streams.
    pub privileged: bool,
    /// Whether it speaks TLS with the server; only said when it does.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub tls: bool,
    /// The only identifiers that may use it; only said when there are any.
    #[serde(default, skip_serializing_if = "Vec::is_empty", with = "as_text::list")]
    pub authorized: Vec<Identifier>,
}

impl OutletStatus {
    /// The status of an ordinary outlet.
    pub fn new(address: &Address, to: &HostPort, authorized: &[Identifier]) -> Self {
        Self {
            to: to.to_string(),
            worker_addr: RawAddress::from(address),
            payload: None,
            privileged: false,
            tls: to.scheme() == Scheme::Tls,
            authorized: authorized.to_vec(),
        }
    }

    /// The name of its address.
    pub fn name(&self) -> String {
        self.worker_addr.name()
    }
}
