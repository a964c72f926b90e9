//! The table of resources: every noun with its verbs, where each is handled, who may ask, and in what forms it answers.
//!
//! Control routes, client, command line, help and tests walk [`RESOURCES`]; nothing else lists nouns.

use crate::noun;

/// A noun of the command line and of the control API.
#[derive(Debug)]
pub struct Noun {
    /// As the command line names it: `tcp-inlet`.
    pub one: &'static str,
    /// As a sentence names it: `tcp inlet`.
    pub kind: &'static str,
    /// The collection's path segment in the control API: `tcp-inlets`.
    pub many: &'static str,
    /// One line of help.
    pub about: &'static str,
    /// Older names that still work and are not shown.
    pub aliases: &'static [&'static str],
    /// What can be done with it, in the order of the help.
    pub verbs: &'static [Verb],
}

impl Noun {
    /// The verb of this name.
    pub fn verb(&self, name: &str) -> Option<&'static Verb> {
        self.verbs.iter().find(|verb| verb.name == name)
    }
}

/// One verb of a noun.
#[derive(Debug)]
pub struct Verb {
    /// As the command line names it: `create`.
    pub name: &'static str,
    /// One line of help.
    pub about: &'static str,
    /// Where it is handled.
    pub scope: Scope,
    /// Who may ask for it.
    pub who: Who,
    /// The forms of its result.
    pub forms: Forms,
}

/// Where a verb is handled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// In the command's own process, on the state in `$OCKAM_HOME`.
    Home,
    /// In a running node, reached over its control socket.
    Node,
}

/// Who may ask for a verb.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    /// Who can read the home: it is a directory of mode 0700.
    HomeOwner,
    /// The user the node runs as, or root; the control socket asks the kernel.
    NodeOwner,
}

/// The forms in which a verb may answer, next to or instead of the plain one (spec: command 3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Forms {
    /// A text for people.
    pub plain: bool,
    /// One identifier-like string.
    pub machine: bool,
    /// JSON.
    pub json: bool,
}

impl Forms {
    /// Text for people only.
    pub const PLAIN: Self = Self {
        plain: true,
        machine: false,
        json: false,
    };
    /// Text and JSON.
    pub const JSON: Self = Self {
        plain: true,
        machine: false,
        json: true,
    };
    /// Text and one string.
    pub const MACHINE: Self = Self {
        plain: true,
        machine: true,
        json: false,
    };
    /// All three.
    pub const ALL: Self = Self {
        plain: true,
        machine: true,
        json: true,
    };
}

/// Every noun, in the order of the help.
pub const RESOURCES: &[&Noun] = &[
    &noun::node::NOUN,
    &noun::identity::NOUN,
    &noun::tcp_outlet::NOUN,
    &noun::tcp_inlet::NOUN,
    &noun::relay::NOUN,
    &noun::secure_channel::NOUN,
    &noun::secure_channel_listener::NOUN,
    &noun::tcp_listener::NOUN,
    &noun::tcp_connection::NOUN,
    &noun::message::NOUN,
    &noun::service::NOUN,
];

/// The noun of this name or older name.
pub fn resource(name: &str) -> Option<&'static Noun> {
    RESOURCES
        .iter()
        .copied()
        .find(|noun| noun.one == name || noun.aliases.contains(&name))
}
