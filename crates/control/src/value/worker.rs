//! Addresses of workers as users write them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The address of a local worker: `outlet` or `/service/outlet`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct WorkerName(String);

/// The text cannot be the address of a worker.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WorkerNameError {
    /// Nothing is left after the prefix.
    #[error("the address of a worker cannot be empty")]
    Empty,
    /// Longer than an address may be.
    #[error("the address of a worker has at most 255 bytes")]
    TooLong,
    /// More than one part, or a part that is no worker.
    #[error("`{0}` is not the address of one worker: write `name` or `/service/name`")]
    NotOneWorker(String),
}

impl WorkerName {
    /// The name without prefix.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// As a multi-address: `/service/outlet`.
    pub fn service(&self) -> String {
        format!("/service/{}", self.0)
    }
}

impl FromStr for WorkerName {
    type Err = WorkerNameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let name = ["/service/", "/worker/", "/secure/", "0#"]
            .iter()
            .find_map(|prefix| text.strip_prefix(prefix))
            .unwrap_or(text);
        if name.is_empty() {
            Err(WorkerNameError::Empty)
        } else if name.len() > 255 {
            Err(WorkerNameError::TooLong)
        } else if name.contains('/') || name.chars().any(char::is_control) {
            Err(WorkerNameError::NotOneWorker(text.to_owned()))
        } else {
            Ok(Self(name.to_owned()))
        }
    }
}

impl fmt::Display for WorkerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for WorkerName {
    type Error = WorkerNameError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<WorkerName> for String {
    fn from(name: WorkerName) -> Self {
        name.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_is_named_plainly_or_as_a_service() {
        for text in ["outlet", "/service/outlet", "0#outlet"] {
            assert_eq!(
                text.parse::<WorkerName>().expect(text).service(),
                "/service/outlet"
            );
        }
        for text in ["", "/service/", "/node/n1", "a/b", "/service/a/service/b"] {
            assert!(text.parse::<WorkerName>().is_err(), "{text}");
        }
    }
}
