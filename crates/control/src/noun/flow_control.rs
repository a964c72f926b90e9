//! Flow control: which workers of a node a message from outside may reach (spec: messaging 4.3).

use ockam_wire::MultiAddr;
use serde::{Deserialize, Serialize};

use crate::record::FlowControlId;
use crate::table::{Forms, Noun, Scope, Verb, Who};
use crate::value::as_text;

/// The row of this noun in the table.
pub(crate) static NOUN: Noun = Noun {
    one: "flow-control",
    kind: "flow control",
    many: "flow-controls",
    about: "Which workers of a node a message from outside may reach",
    aliases: &[],
    verbs: &[Verb {
        name: "add-consumer",
        about: "Let what comes in one way reach a worker",
        scope: Scope::Node,
        who: Who::NodeOwner,
        forms: Forms::PLAIN,
    }],
};

/// A worker that is to be reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConsumerSpec {
    /// The way in: that of a listener, a connection or a channel.
    pub flow_control_id: FlowControlId,
    /// The worker, which runs on this node.
    #[serde(with = "as_text")]
    pub address: MultiAddr,
}
