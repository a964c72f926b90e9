//! Messages to workers.

use crate::table::{Forms, Noun, Scope, Verb, Who};

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
