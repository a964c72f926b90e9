//! TCP listeners: where other nodes connect to.

use serde::{Deserialize, Serialize};

use crate::record::FlowControlId;
use crate::resource::Resource;
use crate::table::{Forms, Noun, Scope, Verb, Who};
use crate::value::HostPort;

/// The row of this noun in the table.
pub(crate) static NOUN: Noun = Noun {
    one: "tcp-listener",
    kind: "tcp listener",
    many: "tcp-listeners",
    about: "TCP listeners: where other nodes connect to",
    aliases: &[],
    verbs: &[
        Verb {
            name: "create",
            about: "Create a TCP listener",
            scope: Scope::Node,
            who: Who::NodeOwner,
            forms: Forms::PLAIN,
        },
        Verb {
            name: "show",
            about: "Show a TCP listener",
            scope: Scope::Node,
            who: Who::NodeOwner,
            forms: Forms::JSON,
        },
        Verb {
            name: "list",
            about: "List TCP listeners",
            scope: Scope::Node,
            who: Who::NodeOwner,
            forms: Forms::PLAIN,
        },
        Verb {
            name: "delete",
            about: "Delete a TCP listener",
            scope: Scope::Node,
            who: Who::NodeOwner,
            forms: Forms::JSON,
        },
    ],
};

/// TCP listeners.
#[derive(Debug)]
pub struct TcpListener;

impl Resource for TcpListener {
    const NOUN: &'static Noun = &NOUN;
    type Name = TransportName;
    type Spec = TcpListenerSpec;
    type View = Transport;
}

/// What a new listener is to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TcpListenerSpec {
    /// Where it listens; port 0 picks a free one.
    pub address: HostPort,
}

/// A listener or connection, named by a socket address or by the address of one of its workers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransportName(String);

impl TransportName {
    /// Whether the transport goes by this name.
    pub fn names(&self, transport: &Transport) -> bool {
        let name = self.0.as_str();
        let worker = |address: &str| address == name || address.strip_prefix("0#") == Some(name);
        // `4000` is where `tcp-listener create 4000` listens.
        let socket: Option<HostPort> = name.parse().ok();
        transport.socket_addr == name
            || socket.is_some_and(|socket| socket.to_string() == transport.socket_addr)
            || worker(&transport.worker_addr)
            || worker(&transport.processor_address)
    }
}

impl std::str::FromStr for TransportName {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = ["/worker/", "/service/"]
            .iter()
            .find_map(|prefix| text.strip_prefix(prefix))
            .unwrap_or(text);
        Ok(Self(text.to_owned()))
    }
}

impl std::fmt::Display for TransportName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// A listener or a connection as the node runs it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transport {
    /// The kind of transport.
    #[serde(rename = "type")]
    pub kind: TransportKind,
    /// What it does.
    pub mode: TransportMode,
    /// The listening address, or the peer's.
    pub socket_addr: String,
    /// Where messages to the peer enter, or the listener itself.
    pub worker_addr: String,
    /// Where messages from the peer come out.
    pub processor_address: String,
    /// Its flow control.
    pub flow_control_id: FlowControlId,
}

/// The kinds of transports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum TransportKind {
    /// TCP.
    Tcp,
}

/// What a transport does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum TransportMode {
    /// Waits for connections.
    Listen,
    /// A connection made by this node.
    Outgoing,
    /// A connection made by another node.
    Incoming,
}

/// Stands for the worker a transport does not have.
pub const NO_WORKER: &str = "<none>";
