//! Names of nodes, identities, inlets and relays.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The text cannot be this kind of name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// A name has at least one character.
    #[error("a name cannot be empty")]
    Empty,
    /// A character that this kind of name cannot have.
    #[error("`{name}` cannot be a {kind}: {rule}")]
    Character {
        /// The refused text.
        name: String,
        /// What it was to name.
        kind: &'static str,
        /// What is allowed.
        rule: &'static str,
    },
    /// Longer than any name may be.
    #[error("a name has at most {MAX_NAME} bytes")]
    TooLong,
}

/// Names become addresses and file names, so they have a bound.
const MAX_NAME: usize = 200;

macro_rules! name {
    ($(#[$doc:meta])* $type:ident, $kind:literal, $rule:literal, $allowed:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $type(String);

        impl $type {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $type {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                let allowed: fn(char) -> bool = $allowed;
                if text.is_empty() {
                    Err(NameError::Empty)
                } else if text.len() > MAX_NAME {
                    Err(NameError::TooLong)
                } else if !text.chars().all(allowed) {
                    Err(NameError::Character { name: text.to_owned(), kind: $kind, rule: $rule })
                } else {
                    Ok(Self(text.to_owned()))
                }
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl TryFrom<String> for $type {
            type Error = NameError;

            fn try_from(text: String) -> Result<Self, Self::Error> {
                text.parse()
            }
        }

        impl From<$type> for String {
            fn from(name: $type) -> Self {
                name.0
            }
        }
    };
}

name!(
    /// The name of a node: word characters, `-` and `_`.
    NodeName,
    "node name",
    "use letters, digits, `-` and `_`",
    |c| c.is_alphanumeric() || c == '-' || c == '_'
);
name!(
    /// The name of an identity.
    IdentityName,
    "name of an identity",
    "leave out blanks at the ends and control characters",
    |c| !c.is_control()
);
name!(
    /// The name of an inlet or a relay.
    Alias,
    "name",
    "leave out `:` and control characters",
    |c| c != ':' && !c.is_control()
);

/// Where a node is meant: its name, or a multi-address whose first part carries it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeArgument(pub NodeName);

impl FromStr for NodeArgument {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // spec: command 3.4 (node argument): the value of the first part, whichever of the three it is.
        let name = text
            .strip_prefix('/')
            .and_then(|rest| rest.split_once('/'))
            .filter(|(protocol, _)| matches!(*protocol, "node" | "service" | "project"))
            .map_or(text, |(_, rest)| rest.split('/').next().unwrap_or(rest));
        name.parse().map(Self)
    }
}

/// Two words joined by `-`, from random bits given by the caller.
pub fn random_name(random: [u8; 2]) -> String {
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
