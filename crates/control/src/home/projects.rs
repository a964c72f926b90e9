//! Projects of the home: what is known of them, and how their authorities are reached.

#[cfg(feature = "cli")]
use std::collections::HashSet;

use ockam_identity::{Identifier, ProjectDetails, VerifiedHistory, VerifiedProject};
use ockam_node::ProjectWay;
use ockam_store::{NewProject, ProjectRecord, StoreError};
use ockam_wire::MultiAddr;
#[cfg(feature = "cli")]
use ockam_wire::Protocol;

use crate::ephemeral::ends_at_listener;
use crate::hint;
use crate::outcome::{Code, Failure};
use crate::state::{State, refused};

/// Stores a project. Of one that is known what is new is taken over; its authority stays the same.
///
/// # Errors
/// It cannot be used, or is known with another authority.
pub async fn store(state: &State, project: &VerifiedProject) -> Result<ProjectRecord, Failure> {
    let change = Change {
        new: checked(project.details(), authority_of(project))?,
        histories: histories_of(project),
    };
    change.store(state).await
}

/// A project that is to be stored.
#[derive(Debug)]
pub(crate) struct Change {
    new: NewProject,
    /// What it shows of itself and its authority, as far as that may be new.
    histories: Vec<VerifiedHistory>,
}

impl Change {
    /// Of a project that a controller runs, as that says. What is known of it was verified when it was stored.
    ///
    /// # Errors
    /// It cannot be used, or is known with another authority.
    #[cfg(feature = "cli")]
    pub(crate) fn of(
        known: Option<&ProjectRecord>,
        told: ProjectDetails,
        controller: Identifier,
    ) -> Result<Self, Failure> {
        let before = known.filter(|known| known.authority.is_some());
        let change = match before.map(details).transpose()? {
            Some(stored) if same_histories(&stored, &told) => Self {
                new: checked(&told, before.and_then(|known| known.authority))?,
                histories: Vec::new(),
            },
            _ => {
                let name = told.name.clone();
                let verified = told.verify(ockam_vault::fast()).map_err(|error| {
                    Failure::new(format!("the controller's project {name} cannot be used"))
                        .caused_by(&error)
                })?;
                Self {
                    new: checked(verified.details(), authority_of(&verified))?,
                    histories: histories_of(&verified),
                }
            }
        };
        let new = NewProject {
            controller: Some(controller),
            ..change.new
        };
        refuse_other_authority(known, &new)?;
        Ok(Self { new, ..change })
    }

    /// The id of the project.
    #[cfg(feature = "cli")]
    pub(crate) fn id(&self) -> &str {
        &self.new.id
    }

    /// Stores it.
    ///
    /// # Errors
    /// As of [`store`].
    pub(crate) async fn store(&self, state: &State) -> Result<ProjectRecord, Failure> {
        let histories: Vec<&VerifiedHistory> = self.histories.iter().collect();
        let store = state.store();
        store
            .put_projects(std::slice::from_ref(&self.new), &histories)
            .await
            .map_err(|error| other_authority(error, &self.new))?;
        let stored = store.project_with_id(&self.new.id).await.map_err(refused)?;
        stored.ok_or_else(|| Failure::coded(Code::Internal, "the project was not stored"))
    }

    /// Stores all of them, or none.
    ///
    /// # Errors
    /// As of [`store`].
    #[cfg(feature = "cli")]
    pub(crate) async fn store_all(state: &State, changes: &[Self]) -> Result<(), Failure> {
        let new: Vec<NewProject> = changes.iter().map(|change| change.new.clone()).collect();
        let histories = changes.iter().flat_map(|change| &change.histories);
        let histories: Vec<&VerifiedHistory> = histories.collect();
        let stored = state.store().put_projects(&new, &histories).await;
        stored.map_err(refused)
    }
}

/// Whether both show the same of the project and its authority.
#[cfg(feature = "cli")]
fn same_histories(one: &ProjectDetails, other: &ProjectDetails) -> bool {
    one.identity == other.identity
        && one.project_change_history == other.project_change_history
        && one.authority_identity == other.authority_identity
}

fn authority_of(project: &VerifiedProject) -> Option<Identifier> {
    let history = project.authority();
    history.map(|history| *history.identifier())
}

fn histories_of(project: &VerifiedProject) -> Vec<VerifiedHistory> {
    let both = project.authority().into_iter().chain(project.history());
    both.cloned().collect()
}

/// Refuses a project that is known with another authority, before anything is done with it.
///
/// # Errors
/// It is, or it cannot be used.
pub async fn check(state: &State, project: &VerifiedProject) -> Result<(), Failure> {
    let new = checked(project.details(), authority_of(project))?;
    let known = state.store().project_with_id(&new.id).await;
    refuse_other_authority(known.map_err(refused)?.as_ref(), &new)
}

fn refuse_other_authority(known: Option<&ProjectRecord>, new: &NewProject) -> Result<(), Failure> {
    match known {
        Some(known) if known.authority.is_some() && known.authority != new.authority => {
            let error = StoreError::OtherAuthority {
                project: known.name.to_string(),
            };
            Err(other_authority(error, new))
        }
        _ => Ok(()),
    }
}

fn other_authority(error: StoreError, new: &NewProject) -> Failure {
    match error {
        StoreError::OtherAuthority { .. } => refused(error).help(format!(
            "if the authority that is known is not used any more, forget the project first: `ockam project delete {}`",
            new.id
        )),
        error => refused(error),
    }
}

/// The project of this name, or with this id.
///
/// # Errors
/// There is none.
pub async fn find(state: &State, name: &str) -> Result<ProjectRecord, Failure> {
    match state.store().project(name).await {
        Err(error @ StoreError::NoProject(_)) => {
            let all = state.store().projects().await.map_err(refused)?;
            let known = all.iter().map(|project| project.name.as_str());
            Err(hint::among(refused(error), name, "projects", known))
        }
        project => project.map_err(refused),
    }
}

/// The default project, if there is any.
///
/// # Errors
/// The store cannot be read.
pub async fn default(state: &State) -> Result<Option<ProjectRecord>, Failure> {
    state.store().default_project().await.map_err(refused)
}

/// What is known of a project, under the name it has here.
///
/// # Errors
/// What is stored is not understood.
pub fn view(record: &ProjectRecord) -> Result<ProjectDetails, Failure> {
    Ok(ProjectDetails {
        name: record.name.to_string(),
        ..details(record)?
    })
}

/// What is known of a project, under the name it gives itself.
///
/// # Errors
/// What is stored is not understood.
pub fn details(record: &ProjectRecord) -> Result<ProjectDetails, Failure> {
    ProjectDetails::from_json(&record.details).map_err(|error| {
        Failure::internal(
            format!("the stored project {} is not understood", record.name),
            &error,
        )
    })
}

/// The way to the node of a project (spec: trust 9.4).
///
/// # Errors
/// There is no such project, or it has no node.
pub async fn way(state: &State, name: &str) -> Result<ProjectWay, Failure> {
    let project = find(state, name).await?;
    let no_node = || {
        Failure::new(format!("the project {} has no node", project.name)).help(
            "relays and outlets of an authority's members are reached over nodes: name one, for example /node/relay or \
             /dnsaddr/relay.example/tcp/4000",
        )
    };
    let details = details(&project)?;
    let verified = details
        .verify(ockam_vault::fast())
        .map_err(|error| no_node().caused_by(&error))?;
    let identity = *verified.identity().ok_or_else(no_node)?;
    // A ticket of an authority without a project says that the authority is the project.
    if Some(identity) == project.authority || verified.details().access_route.is_empty() {
        return Err(no_node());
    }
    let route = verified
        .details()
        .access_route
        .parse()
        .map_err(|error: ockam_wire::MultiAddrError| no_node().caused_by(&error))?;
    Ok(ProjectWay {
        route: ends_at_listener(&route)?,
        identity,
    })
}

/// The address that calls a project by name.
#[cfg(feature = "cli")]
pub(crate) fn named(project: &ProjectRecord) -> Result<MultiAddr, Failure> {
    MultiAddr::new([Protocol::Project(project.name.to_string())]).map_err(|error| {
        Failure::internal(
            format!("the project {} cannot be part of a route", project.name),
            &error,
        )
    })
}

/// The nodes that trust the authority of a project.
///
/// # Errors
/// There is no such project.
#[cfg(feature = "cli")]
pub(crate) async fn users(state: &State, name: &str) -> Result<Vec<String>, Failure> {
    let project = find(state, name).await?;
    let nodes = state.nodes().await?;
    Ok(nodes
        .iter()
        .filter(|node| {
            crate::managed::trust_of(node).is_some_and(|trust| trust.project() == Some(&project.id))
        })
        .map(|node| node.name.to_string())
        .collect())
}

/// The ids of the projects whose authorities nodes of this home trust.
#[cfg(feature = "cli")]
pub(crate) async fn all_used(state: &State) -> Result<HashSet<String>, Failure> {
    let nodes = state.nodes().await?;
    let trusted = nodes.iter().filter_map(crate::managed::trust_of);
    Ok(trusted
        .filter_map(|trust| trust.project().map(str::to_owned))
        .collect())
}

/// The change history of an identity that was stored with a project.
///
/// # Errors
/// It is not there any more.
pub async fn history(state: &State, identifier: &Identifier) -> Result<VerifiedHistory, Failure> {
    let unknown = || {
        Failure::coded(
            Code::Internal,
            format!("the change history of {identifier} is not known here"),
        )
    };
    let history = state
        .store()
        .history(identifier)
        .await
        .map_err(refused)?
        .ok_or_else(unknown)?;
    history
        .verify(ockam_vault::fast(), Some(identifier))
        .map_err(|error| unknown().caused_by(&error))
}

/// What is stored of a project that was verified, whose parts have to be what they are taken for.
fn checked(details: &ProjectDetails, authority: Option<Identifier>) -> Result<NewProject, Failure> {
    let wrong = |what: &str| Failure::new(format!("the project {what}"));
    if !is_id(&details.id) {
        return Err(wrong("has an id that cannot be part of a route"));
    }
    let name = details
        .name
        .parse()
        .map_err(|error: ockam_store::NameError| {
            wrong("has a name that cannot be used").caused_by(&error)
        })?;
    let ways = [
        ("an access route", Some(details.access_route.as_str())),
        (
            "an authority route",
            details.authority_access_route.as_deref(),
        ),
    ];
    for (what, way) in ways {
        let way = way.filter(|way| !way.is_empty());
        if let Some(Err(error)) = way.map(|way| way.parse::<MultiAddr>()) {
            return Err(wrong(&format!("has {what} that is none")).caused_by(&error));
        }
    }
    Ok(NewProject {
        id: details.id.clone(),
        name,
        authority,
        controller: None,
        details: details.to_json(),
    })
}

/// Whether a text can be the id of a project or a space: it is a part of routes, of scopes and of paths.
pub(crate) fn is_id(id: &str) -> bool {
    !id.is_empty()
        && id.len() <= 200
        && !id
            .chars()
            .any(|c| c.is_control() || c.is_whitespace() || c == '/' || c == ',')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::home::identities;

    async fn state() -> (tempfile::TempDir, State) {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let state = State::open(&directory.path().join("home"), None)
            .await
            .expect("it opens");
        (directory, state)
    }

    async fn history_of(state: &State, name: &str) -> (Identifier, String) {
        let spec = identities::IdentitySpec {
            name: Some(name.parse().expect("a name")),
            ..identities::IdentitySpec::default()
        };
        let record = identities::create(state, spec)
            .await
            .expect("it is made")
            .into_record();
        (record.identifier, hex::encode(record.history.as_bytes()))
    }

    #[tokio::test]
    async fn a_project_is_stored_when_its_parts_belong_together() {
        let (_directory, state) = state().await;
        let (identity, node) = history_of(&state, "node").await;
        let (authority, authority_history) = history_of(&state, "authority").await;
        let details = ProjectDetails {
            id: "p-1".to_owned(),
            name: "default".to_owned(),
            access_route: "/dnsaddr/h/tcp/1/service/p-1/service/api".to_owned(),
            identity: Some(identity),
            project_change_history: Some(node.clone()),
            authority_access_route: Some("/dnsaddr/h/tcp/1/service/api".to_owned()),
            authority_identity: Some(authority_history),
            ..ProjectDetails::default()
        };
        let try_to_store = async |details: ProjectDetails| {
            let project = details.verify(ockam_vault::fast()).expect("it verifies");
            store(&state, &project).await
        };
        let stored = try_to_store(details.clone()).await.expect("it is whole");
        assert!(stored.is_default);
        assert_eq!(stored.authority, Some(authority));
        assert_eq!(view(&stored).expect("it reads back"), details);
        let wrong = [
            ProjectDetails {
                id: "a/b".to_owned(),
                ..details.clone()
            },
            ProjectDetails {
                name: "a b".to_owned(),
                ..details.clone()
            },
            ProjectDetails {
                access_route: "nowhere".to_owned(),
                ..details.clone()
            },
            ProjectDetails {
                authority_identity: Some(node),
                ..details.clone()
            },
        ];
        for project in wrong {
            let described = format!("{project:?}");
            assert!(try_to_store(project).await.is_err(), "{described}");
        }
    }
}
