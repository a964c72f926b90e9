//! What is known of a project, in the JSON that tickets, files and stores share.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use ockam_vault::Provider;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::history::{ChangeHistory, HistoryError, VerifiedHistory};
use crate::identifier::Identifier;

/// The most bytes the JSON of a project may have.
pub const MAX_PROJECT_LEN: usize = 192 * 1024;

/// What is known of a project, with the field names of the published program. Fields that are not known are passed over.
///
/// `spec: trust 9.4`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ProjectDetails {
    /// Its id, the same everywhere; credentials name it as `trust_context_id`.
    pub id: String,
    /// Its name.
    pub name: String,
    /// The space it belongs to.
    pub space_name: String,
    /// Where its node is, as a multiaddr; empty until there is one.
    pub access_route: String,
    /// E-mail addresses of its users.
    pub users: Vec<String>,
    /// The id of the space.
    pub space_id: String,
    /// Who its node is.
    pub identity: Option<Identifier>,
    /// Where its authority is, as a multiaddr.
    pub authority_access_route: Option<String>,
    /// The change history of its authority, in hex.
    pub authority_identity: Option<String>,
    /// Settings of an addon; carried, not looked at.
    pub okta_config: Option<Value>,
    /// Settings of an addon; carried, not looked at.
    pub kafka_config: Option<Value>,
    /// The version its node has.
    pub version: Option<String>,
    /// Whether its node is running.
    pub running: Option<bool>,
    /// What is being done to it.
    pub operation_id: Option<String>,
    /// What its users may do; carried, not looked at.
    pub user_roles: Vec<Value>,
    /// The change history of its node, in hex.
    pub project_change_history: Option<String>,
}

impl ProjectDetails {
    /// Reads the JSON of a project, as in the file for `project import`.
    ///
    /// # Errors
    /// [`ProjectError`] if it is too long, no such JSON or names no project.
    pub fn from_json(json: &str) -> Result<Self, ProjectError> {
        if json.len() > MAX_PROJECT_LEN {
            return Err(ProjectError::TooLarge);
        }
        serde_json::from_str(json).map_err(|error| ProjectError::Json {
            line: error.line(),
            column: error.column(),
        })
    }

    /// The same JSON, without white space.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("its keys are text")
    }

    /// Verifies the histories, so that the project can be trusted with what it says of itself.
    ///
    /// # Errors
    /// [`ProjectError`] naming what is missing or wrong.
    pub fn verify(self, provider: &dyn Provider) -> Result<VerifiedProject, ProjectError> {
        if self.id.is_empty() {
            return Err(ProjectError::Missing("id"));
        }
        if self.name.is_empty() {
            return Err(ProjectError::Missing("name"));
        }
        let history = given(self.project_change_history.as_deref())
            .map(|hex| verified(provider, "project", hex, self.identity.as_ref()))
            .transpose()?;
        let authority = given(self.authority_identity.as_deref())
            .map(|hex| verified(provider, "authority", hex, None))
            .transpose()?;
        Ok(VerifiedProject {
            details: self,
            history,
            authority,
        })
    }
}

/// What is known of a project, with histories that verified. Only verification makes one.
#[derive(Clone, Debug)]
pub struct VerifiedProject {
    details: ProjectDetails,
    history: Option<VerifiedHistory>,
    authority: Option<VerifiedHistory>,
}

impl VerifiedProject {
    /// All that is known.
    pub const fn details(&self) -> &ProjectDetails {
        &self.details
    }

    /// Who its node is; nobody, if it has none or none is known.
    pub fn identity(&self) -> Option<&Identifier> {
        self.history
            .as_ref()
            .map(VerifiedHistory::identifier)
            .or(self.details.identity.as_ref())
    }

    /// The history of its node.
    pub const fn history(&self) -> Option<&VerifiedHistory> {
        self.history.as_ref()
    }

    /// The history of its authority.
    pub const fn authority(&self) -> Option<&VerifiedHistory> {
        self.authority.as_ref()
    }

    /// Where its authority is, as a multiaddr.
    pub fn authority_route(&self) -> Option<&str> {
        given(self.details.authority_access_route.as_deref())
    }
}

/// Why the JSON of a project is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProjectError {
    /// There is more than is ever needed.
    #[error("it has more than {MAX_PROJECT_LEN} bytes")]
    TooLarge,
    /// It is not JSON, or a field has another type.
    #[error("it is not the JSON of a project from line {line}, column {column} on")]
    Json {
        /// The line.
        line: usize,
        /// The column.
        column: usize,
    },
    /// A field is missing that is needed.
    #[error("it has no `{0}`")]
    Missing(&'static str),
    /// A change history does not verify.
    #[error("the change history of its {whose} is not valid: {source}")]
    History {
        /// Whose history it is.
        whose: &'static str,
        /// What is wrong.
        source: HistoryError,
    },
}

/// Published programs write an empty text for what is not there.
pub(crate) fn given(text: Option<&str>) -> Option<&str> {
    text.filter(|text| !text.is_empty())
}

fn verified(
    provider: &dyn Provider,
    whose: &'static str,
    hex: &str,
    expected: Option<&Identifier>,
) -> Result<VerifiedHistory, ProjectError> {
    ChangeHistory::from_hex(hex)
        .map_err(HistoryError::from)
        .and_then(|history| history.verify(provider, expected))
        .map_err(|source| ProjectError::History { whose, source })
}

impl Serialize for Identifier {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Identifier {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = alloc::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse()
            .map_err(|error: crate::IdentifierError| serde::de::Error::custom(error.to_string()))
    }
}
