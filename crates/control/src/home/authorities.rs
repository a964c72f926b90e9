//! Authorities of the home: what they were asked for, and what their members need to know of them.

use ockam_identity::ProjectDetails;
use ockam_store::{NodeName, NodeRecord};

use crate::home::identities;
use crate::managed::authority_of;
use crate::noun::authority::{AuthorityItem, AuthoritySettings};
use crate::outcome::{Code, Failure};
use crate::state::{State, status_of};
use crate::value::HostPort;

/// An authority of this home.
#[derive(Debug)]
pub struct HomeAuthority {
    /// Its node.
    pub node: NodeRecord,
    /// What it was asked for.
    pub settings: AuthoritySettings,
}

/// Node and identity of the authority of a project (spec: trust 7.6).
///
/// # Errors
/// The id cannot be part of a name.
pub fn name_of(project: &str) -> Result<NodeName, Failure> {
    let name = (!project.is_empty()).then(|| format!("{PREFIX}{project}").parse().ok());
    name.flatten().ok_or_else(|| {
        Failure::new(format!("`{project}` cannot be the id of a project"))
            .help("use letters, digits, `-` and `_`")
    })
}

/// All authorities of this home.
///
/// # Errors
/// The store cannot be read.
pub async fn all(state: &State) -> Result<Vec<HomeAuthority>, Failure> {
    let nodes = state.nodes().await?.into_iter();
    Ok(nodes
        .filter_map(|node| authority_of(&node).map(|settings| HomeAuthority { node, settings }))
        .collect())
}

/// The authority of this project, or of the node of this name; the only one when none is named.
///
/// # Errors
/// There is none, or which one is meant is not said.
pub async fn find(state: &State, wanted: Option<&str>) -> Result<HomeAuthority, Failure> {
    let mut all = all(state).await?;
    let names: Vec<String> = all
        .iter()
        .map(|authority| authority.settings.project.clone())
        .collect();
    if let Some(wanted) = wanted {
        all.retain(|authority| {
            authority.settings.project == wanted
                || authority.node.name.as_str() == wanted
                // spec: command 3.9.5 (the name that versions up to 0.139 gave it)
                || (names.len() == 1 && wanted == OLD_NAME)
        });
    }
    match (all.pop(), all.is_empty()) {
        (Some(only), true) => Ok(only),
        (Some(_), false) => Err(Failure::new(
            "there are several authorities: say which project is meant",
        )
        .cause(format!("projects: {}", names.join(", ")))),
        (None, _) => {
            let what = wanted.map_or_else(
                || "there is no authority here".to_owned(),
                |wanted| format!("there is no authority for {wanted} here"),
            );
            Err(Failure::coded(Code::NotFound, what)
                .help("create one with `ockam authority create`"))
        }
    }
}

/// One line of the list.
///
/// # Errors
/// Its identity is gone.
pub async fn item(state: &State, authority: &HomeAuthority) -> Result<AuthorityItem, Failure> {
    let identity = identities::find(state, authority.node.identity.as_ref()).await?;
    Ok(AuthorityItem {
        project: authority.settings.project.clone(),
        node: authority.node.name.to_string(),
        identifier: identity.identifier,
        running: status_of(&authority.node).is_running(),
        route: address(authority).map(|address| address.multiaddr()),
    })
}

/// Everything a member needs, in the JSON of a project: `project import` takes it (spec: trust 9.4).
///
/// The authority stands for the node of its project, which there need not be.
///
/// # Errors
/// Its identity is gone, or it never listened anywhere.
pub async fn project(state: &State, authority: &HomeAuthority) -> Result<ProjectDetails, Failure> {
    let identity = identities::find(state, authority.node.identity.as_ref()).await?;
    let history = hex::encode(identity.history.as_bytes());
    let project = &authority.settings.project;
    let place = address(authority)
        .ok_or_else(|| {
            Failure::new(format!(
                "the authority of {project} did not listen anywhere yet"
            ))
        })?
        .multiaddr();
    Ok(ProjectDetails {
        id: project.clone(),
        name: project.clone(),
        access_route: format!("{place}/service/{project}/service/api"),
        identity: Some(identity.identifier),
        authority_access_route: Some(format!("{place}/service/api")),
        authority_identity: Some(history.clone()),
        project_change_history: Some(history),
        ..ProjectDetails::default()
    })
}

/// Where members reach it.
fn address(authority: &HomeAuthority) -> Option<HostPort> {
    if let Some(public) = &authority.settings.public_address {
        return Some(public.clone());
    }
    let listener: HostPort = authority.node.listener.as_deref()?.parse().ok()?;
    Some(listener.reachable())
}

/// How the names of nodes and identities of authorities begin.
pub(crate) const PREFIX: &str = "authority-";
/// What they were called once.
pub(crate) const OLD_NAME: &str = "authority";
