//! Parts that several records share, in the encodings of the published program (spec: command 3.10).

use ockam_wire::Address;
use serde::{Deserialize, Serialize};

/// A worker's address in raw form: transport type and the bytes of the name as numbers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RawAddress {
    /// The transport type; 0 is local.
    pub tt: u8,
    /// The name.
    pub inner: Vec<u8>,
}

impl RawAddress {
    /// The name as text; bytes that are no text are shown as replacement characters.
    pub fn name(&self) -> String {
        String::from_utf8_lossy(&self.inner).into_owned()
    }
}

impl From<&Address> for RawAddress {
    fn from(address: &Address) -> Self {
        Self {
            tt: address.transport().0,
            inner: address.name().to_vec(),
        }
    }
}

/// The flow control of a producer or spawner, local to the node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FlowControlId(pub String);

/// Whether the far side of an inlet or relay was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Connection {
    /// It answers.
    Up,
    /// It does not, or not yet.
    Down,
}

impl std::fmt::Display for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Up => "UP",
            Self::Down => "DOWN",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn raw_addresses_are_numbers() {
        let raw = RawAddress {
            tt: 0,
            inner: b"out".to_vec(),
        };
        assert_eq!(
            serde_json::to_string(&raw).expect("plain data"),
            r#"{"tt":0,"inner":[111,117,116]}"#
        );
        assert_eq!(raw.name(), "out");
    }
}
