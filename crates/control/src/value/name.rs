//! Names of inlets and relays, and the ways to name a node.

use std::fmt;
use std::str::FromStr;

use ockam_store::{NameError, NodeName};
use serde::{Deserialize, Serialize};

/// The name of an inlet or a relay: any text without `:`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Alias(String);

/// The text cannot name an inlet or a relay.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` cannot be a name: use 1 to 200 bytes without `:` and control characters")]
pub struct AliasError(String);

impl Alias {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Alias {
    type Err = AliasError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // Names become addresses, which end at 255 bytes and may get a prefix.
        let valid =
            (1..=200).contains(&text.len()) && !text.chars().any(|c| c == ':' || c.is_control());
        if valid {
            Ok(Self(text.to_owned()))
        } else {
            Err(AliasError(text.to_owned()))
        }
    }
}

impl fmt::Display for Alias {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for Alias {
    type Error = AliasError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Alias> for String {
    fn from(alias: Alias) -> Self {
        alias.0
    }
}

/// Where a node is meant: its name, or a multi-address whose first part carries it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeArgument(pub NodeName);

/// The text names no node.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NodeArgumentError {
    /// Nothing was written.
    #[error("the name of a node cannot be empty")]
    Empty,
    /// A multi-address that does not begin with a node.
    #[error("`{0}` does not begin with a node: write its name, or `/node/NAME`")]
    NoNode(String),
    /// Something that no node can be named.
    #[error(transparent)]
    Name(#[from] NameError),
}

impl FromStr for NodeArgument {
    type Err = NodeArgumentError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // spec: command 3.4 (node argument): the value of the first part, whichever of the three it is.
        let name = text
            .strip_prefix('/')
            .and_then(|rest| rest.split_once('/'))
            .filter(|(protocol, _)| matches!(*protocol, "node" | "service" | "project"))
            .map_or(text, |(_, rest)| rest.split('/').next().unwrap_or(rest));
        if name.is_empty() {
            Err(NodeArgumentError::Empty)
        } else if name.starts_with('/') {
            Err(NodeArgumentError::NoNode(text.to_owned()))
        } else {
            Ok(Self(name.parse()?))
        }
    }
}

/// Two words joined by `-`, from random bits given by the caller.
pub(crate) fn random_name(random: [u8; 2]) -> String {
    let pick =
        |words: &'static [&'static str; 32], byte: u8| words[usize::from(byte) % words.len()];
    format!("{}-{}", pick(&FIRST, random[0]), pick(&SECOND, random[1]))
}

const FIRST: [&str; 32] = [
    "amber", "brisk", "calm", "daring", "eager", "fair", "gentle", "happy", "idle", "jolly",
    "keen", "lively", "mellow", "noble", "open", "proud", "quiet", "rapid", "silent", "tidy",
    "upbeat", "vivid", "warm", "young", "zesty", "bold", "crisp", "deep", "early", "fresh",
    "golden", "humble",
];

const SECOND: [&str; 32] = [
    "otter", "heron", "maple", "river", "stone", "comet", "ember", "falcon", "grove", "harbor",
    "island", "juniper", "kestrel", "lagoon", "meadow", "nectar", "orchid", "pebble", "quartz",
    "ridge", "spruce", "thicket", "umbra", "valley", "willow", "yarrow", "zephyr", "badger",
    "cedar", "delta", "fjord", "glacier",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_named_plainly_or_by_the_first_part_of_an_address() {
        for text in [
            "n1",
            "/node/n1",
            "/service/n1",
            "/project/n1",
            "/node/n1/service/x",
        ] {
            assert_eq!(
                text.parse::<NodeArgument>().expect(text).0.as_str(),
                "n1",
                "{text}"
            );
        }
        for text in ["", "/node/", "/ip4/127.0.0.1", "a b", "a.b", "../n1"] {
            assert!(text.parse::<NodeArgument>().is_err(), "{text}");
        }
    }

    #[test]
    fn aliases_have_no_colon() {
        assert!("a:b".parse::<Alias>().is_err());
        assert!("a-b.c".parse::<Alias>().is_ok());
    }

    #[test]
    fn every_random_name_is_a_node_name() {
        for byte in 0..=u8::MAX {
            let name = random_name([byte, byte.wrapping_mul(7)]);
            assert!(name.parse::<NodeName>().is_ok(), "{name}");
        }
    }
}
