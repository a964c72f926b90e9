//! Policies and what they protect, as users write them.

use std::fmt;
use std::str::FromStr;

use ockam_policy::{Caution, ParseError, Policy, ResourceType};
use serde::{Deserialize, Serialize};

/// What a policy protects: one resource, or all of a type that have no policy of their own.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum PolicyTarget {
    /// The resource of this name.
    Resource(ResourceName),
    /// All of this type.
    Type(ResourceType),
}

/// The name of a resource: of an inlet, an outlet or a service. It is none of the names that types have.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ResourceName(String);

/// The text cannot name a resource.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ResourceNameError {
    /// Empty, too long, or with characters that no name has.
    #[error(
        "`{0}` cannot be the name of a resource: use 1 to 255 bytes without control characters"
    )]
    Invalid(String),
    /// What is said of it would be said of all of the type.
    #[error(
        "`{0}` is the name of a type of resources: give the resource another name, or do without a policy of its own"
    )]
    IsType(String),
}

impl ResourceName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ResourceName {
    type Err = ResourceNameError;

    /// Takes `db` and `/service/db`.
    fn from_str(text: &str) -> Result<Self, ResourceNameError> {
        let name = text.strip_prefix("/service/").unwrap_or(text);
        let valid = (1..=255).contains(&name.len()) && !name.chars().any(char::is_control);
        if !valid {
            Err(ResourceNameError::Invalid(text.to_owned()))
        } else if ResourceType::from_str(name).is_ok() {
            Err(ResourceNameError::IsType(name.to_owned()))
        } else {
            Ok(Self(name.to_owned()))
        }
    }
}

impl fmt::Display for ResourceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for PolicyTarget {
    type Err = ResourceNameError;

    fn from_str(text: &str) -> Result<Self, ResourceNameError> {
        match text.parse() {
            Ok(kind) => Ok(Self::Type(kind)),
            Err(_) => text.parse().map(Self::Resource),
        }
    }
}

impl fmt::Display for PolicyTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Resource(name) => name.fmt(f),
            Self::Type(kind) => kind.fmt(f),
        }
    }
}

impl TryFrom<String> for PolicyTarget {
    type Error = ResourceNameError;

    fn try_from(text: String) -> Result<Self, ResourceNameError> {
        text.parse()
    }
}

impl From<PolicyTarget> for String {
    fn from(target: PolicyTarget) -> Self {
        target.to_string()
    }
}

/// A policy as a person wrote it: what could be misread is refused, what is odd comes with a caution.
///
/// spec: trust 11.2 (13)
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expression {
    /// The policy.
    pub policy: Policy,
    /// What may not be what was meant.
    pub cautions: Vec<Caution>,
}

impl FromStr for Expression {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let careful = Policy::careful(text)?;
        Ok(Self {
            policy: careful.policy,
            cautions: careful.cautions,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_is_not_taken_for_a_resource() {
        assert_eq!("relay".parse(), Ok(PolicyTarget::Type(ResourceType::Relay)));
        let target: PolicyTarget = "/service/db".parse().expect("a name");
        assert_eq!(target.to_string(), "db");
        assert!("relay".parse::<ResourceName>().is_err());
        for bad in ["", "/service/", "a\nb", &"x".repeat(256)] {
            assert!(bad.parse::<PolicyTarget>().is_err(), "{bad:?}");
        }
    }
}
