//! TCP connections between nodes.

use serde::{Deserialize, Serialize};

use crate::noun::tcp_listener::{Transport, TransportName};
use crate::resource::Resource;
use crate::table::{Forms, Noun, Scope, Verb, Who};
use crate::value::HostPort;

/// The row of this noun in the table.
pub(crate) static NOUN: Noun = Noun {
    one: "tcp-connection",
    kind: "tcp connection",
    many: "tcp-connections",
    about: "TCP connections between nodes",
    aliases: &[],
    verbs: &[
        Verb {
            name: "create",
            about: "Create a TCP connection",
            scope: Scope::Node,
            who: Who::NodeOwner,
            forms: Forms::ALL,
        },
        Verb {
            name: "show",
            about: "Show a TCP connection",
            scope: Scope::Node,
            who: Who::NodeOwner,
            forms: Forms::PLAIN,
        },
        Verb {
            name: "list",
            about: "List TCP connections",
            scope: Scope::Node,
            who: Who::NodeOwner,
            forms: Forms::PLAIN,
        },
        Verb {
            name: "delete",
            about: "Delete a TCP connection",
            scope: Scope::Node,
            who: Who::NodeOwner,
            forms: Forms::JSON,
        },
    ],
};

/// TCP connections.
#[derive(Debug)]
pub struct TcpConnection;

impl Resource for TcpConnection {
    const NOUN: &'static Noun = &NOUN;
    type Name = TransportName;
    type Spec = TcpConnectionSpec;
    type View = Transport;
}

/// What a new connection is to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TcpConnectionSpec {
    /// The listener to connect to.
    pub to: HostPort,
}
