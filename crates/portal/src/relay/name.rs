//! Names of relays (W11).

use std::fmt;
use std::str::FromStr;

use ockam_wire::Address;

/// A valid relay name: 1 to 64 of the characters `A-Z a-z 0-9 _ . -`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RelayName(Box<str>);

impl RelayName {
    /// The name used when none is given.
    pub fn default_name() -> Self {
        Self("default".into())
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The address at which a relay node serves the name.
    pub fn address(&self, prefix: &str) -> Address {
        let name = format!("{prefix}{}", self.0);
        // A valid name with any prefix of a relay service is far below the 255 bytes of an address.
        Address::local(&name).unwrap_or_else(|_| Address::from_static("forward_to_"))
    }

    /// Whether `confirmed`, the text of a confirmation, means this name (W12): the name itself, the usual prefix and the
    /// name, or another prefix that ends in `_`.
    pub fn is_confirmed_by(&self, confirmed: &str) -> bool {
        confirmed
            .strip_suffix(&*self.0)
            .is_some_and(|prefix| prefix.is_empty() || prefix.ends_with('_'))
    }
}

impl FromStr for RelayName {
    type Err = InvalidRelayName;

    fn from_str(text: &str) -> Result<Self, InvalidRelayName> {
        let valid = (1..=64).contains(&text.len())
            && text
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-'));
        if valid {
            Ok(Self(text.into()))
        } else {
            Err(InvalidRelayName)
        }
    }
}

impl fmt::Display for RelayName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for RelayName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RelayName({})", self.0)
    }
}

/// The text is not a relay name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a relay name has 1 to 64 of the characters A-Z, a-z, 0-9, `_`, `.` and `-`")]
pub struct InvalidRelayName;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guard_w11_only_plain_names_are_accepted() {
        for name in ["a", "n1", "east-1.example_2", &"x".repeat(64)] {
            assert!(name.parse::<RelayName>().is_ok(), "{name}");
        }
        for name in ["", "1#a", "a b", "a/b", "ä", "a\n", &"x".repeat(65)] {
            assert_eq!(name.parse::<RelayName>(), Err(InvalidRelayName), "{name}");
        }
    }

    #[test]
    fn guard_w12_confirmation_must_be_the_name_behind_a_whole_prefix() {
        let name: RelayName = "n1".parse().unwrap();
        for text in ["n1", "forward_to_n1", "tenant_n1"] {
            assert!(name.is_confirmed_by(text), "{text}");
        }
        for text in [
            "",
            "n2",
            "xn1",
            "forward_to_n1x",
            "forward_to_",
            "forward_to_un1",
        ] {
            assert!(!name.is_confirmed_by(text), "{text}");
        }
    }

    #[test]
    fn address_is_prefix_and_name() {
        let name: RelayName = "x".repeat(64).parse().unwrap();
        assert_eq!(
            name.address("forward_to_").name(),
            format!("forward_to_{name}").as_bytes()
        );
    }
}
