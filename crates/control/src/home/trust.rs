//! Whose credentials count for a node, and where the one it presents itself comes from (spec: trust 4.8).

use ockam_identity::{ChangeHistory, Comparison, VerifiedHistory};
use ockam_store::ProjectRecord;
use ockam_wire::MultiAddr;
use serde::{Deserialize, Serialize};

use crate::home::{credentials, projects};
use crate::outcome::Failure;
use crate::state::State;

/// What a node was told to trust, as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TrustSpec {
    /// The authority of a stored project, which is named by its id.
    Project(String),
    /// An authority that was described.
    Authority {
        /// Its change history, in hexadecimal.
        history: String,
        /// The way to its listener.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        route: Option<String>,
        /// Under what its credentials are kept.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        scope: Option<String>,
    },
}

impl TrustSpec {
    /// The id of the project that is trusted, if it is one.
    pub fn project(&self) -> Option<&str> {
        match self {
            Self::Project(id) => Some(id),
            Self::Authority { .. } => None,
        }
    }
}

/// An authority and how it is asked.
#[derive(Debug, Clone)]
pub struct Trusted {
    /// The history of the authority, the latest that is known here.
    pub authority: VerifiedHistory,
    /// The way to its listener; without one it is not asked.
    pub route: Option<MultiAddr>,
    /// Under what its credentials are kept.
    pub scope: Option<String>,
    /// The project it belongs to, when it is stored.
    pub project: Option<ProjectRecord>,
    /// As a message calls it, when there is more to say than who it is.
    pub name: Option<String>,
}

impl Trusted {
    /// What is trusted.
    ///
    /// # Errors
    /// The project is not there any more or has no authority, or what was described is not one.
    pub async fn of(state: &State, spec: &TrustSpec) -> Result<Self, Failure> {
        match spec {
            TrustSpec::Project(id) => {
                let project = projects::find(state, id).await?;
                Self::of_project(state, project).await
            }
            TrustSpec::Authority {
                history,
                route,
                scope,
            } => {
                let authority = described(history)?;
                // It may have rotated since it was described.
                let known = credentials::known_history(state, authority.identifier()).await?;
                let authority = match known {
                    Some(known) if known.compare(&authority) == Comparison::Newer => known,
                    _ => authority,
                };
                let route = route
                    .as_ref()
                    .map(|route| route.parse())
                    .transpose()
                    .map_err(|error: ockam_wire::MultiAddrError| {
                        Failure::new("the value of --authority-route is not a route")
                            .caused_by(&error)
                    })?;
                Ok(Self {
                    authority,
                    route,
                    scope: scope.clone(),
                    project: None,
                    name: None,
                })
            }
        }
    }

    /// The authority of a project.
    ///
    /// # Errors
    /// It has none.
    pub async fn of_project(state: &State, project: ProjectRecord) -> Result<Self, Failure> {
        let Some(authority) = &project.authority else {
            return Err(
                Failure::new(format!("the project {} has no authority", project.name))
                    .help("import a file of it that has `authority_identity`"),
            );
        };
        let authority = projects::history(state, authority).await?;
        let view = projects::view(&project)?;
        let route = view
            .authority_access_route
            .filter(|route| !route.is_empty())
            .map(|route| route.parse())
            .transpose()
            .map_err(|error: ockam_wire::MultiAddrError| {
                Failure::internal(
                    format!("the stored project {} is not understood", project.name),
                    &error,
                )
            })?;
        Ok(Self {
            authority,
            route,
            // spec: trust 4.7
            scope: Some(scope_of(&project.id)),
            name: Some(format!("project {}", project.name)),
            project: Some(project),
        })
    }

    /// As a message calls it.
    pub fn name(&self) -> String {
        match &self.name {
            Some(name) => name.clone(),
            None => self.authority.identifier().to_string(),
        }
    }
}

/// The default project, when there is one that has an authority.
///
/// # Errors
/// The store cannot be read.
pub async fn by_default(state: &State) -> Result<Option<TrustSpec>, Failure> {
    let project = projects::default(state).await?;
    Ok(project
        .filter(|project| project.authority.is_some())
        .map(|project| TrustSpec::Project(project.id)))
}

/// The scope of a member's credentials (spec: trust 4.7).
pub fn scope_of(project: &str) -> String {
    format!("project-member-{project}")
}

/// The history of an authority that was given itself.
///
/// # Errors
/// It is none.
pub fn described(history: &str) -> Result<VerifiedHistory, Failure> {
    let invalid = |error: &(dyn std::error::Error + 'static)| {
        Failure::new("the value of --authority-identity is not a valid change history")
            .caused_by(error)
            .help("`ockam identity show NAME --full --encoding hex` prints one, where the authority is")
    };
    ChangeHistory::from_hex(history.trim())
        .map_err(|error| invalid(&error))?
        .verify(ockam_vault::fast(), None)
        .map_err(|error| invalid(&error))
}
