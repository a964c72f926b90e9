//! Messages to workers.

use ockam_store::IdentityName;
use ockam_wire::MultiAddr;
use serde::{Deserialize, Serialize};

use crate::table::{Forms, Noun, Scope, Verb, Who};
use crate::value::{DurationText, as_text};

/// The row of this noun in the table.
pub(crate) static NOUN: Noun = Noun {
    one: "message",
    kind: "message",
    many: "messages",
    about: "Messages to workers",
    aliases: &[],
    verbs: &[Verb {
        name: "send",
        about: "Send a message and print the reply",
        scope: Scope::Node,
        who: Who::NodeOwner,
        forms: Forms::PLAIN,
    }],
};

/// A message to be sent by a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageSpec {
    /// The route to the worker.
    #[serde(with = "as_text")]
    pub to: MultiAddr,
    /// The body as it goes out, hexadecimal.
    pub body: String,
    /// How long to wait for the reply.
    pub timeout: DurationText,
    /// The identity that opens channels on the way; the node's own when none is given.
    #[serde(default, with = "as_text::option")]
    pub identity: Option<IdentityName>,
}

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageReply {
    /// The body as it came in, hexadecimal.
    pub body: String,
}
