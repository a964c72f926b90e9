//! Controllers that this home is enrolled with, and what its identities are there.

#[cfg(feature = "cli")]
use std::collections::{HashMap, HashSet};

use ockam_identity::Identifier;
use ockam_store::{ControllerRecord, ProjectRecord, Store};
#[cfg(feature = "cli")]
use ockam_store::{NameError, NewSpace, SpaceRecord};
use serde_json::Value;

#[cfg(feature = "cli")]
use crate::controller::message::{Project, Space};
use crate::home::projects;
#[cfg(feature = "cli")]
use crate::home::projects::Change;
#[cfg(feature = "cli")]
use crate::home::spaces;
#[cfg(feature = "cli")]
use crate::outcome::Code;
use crate::outcome::Failure;
#[cfg(feature = "cli")]
use crate::state::State;
use crate::state::refused;

/// The controller that says of this identity that it administers the project, as far as is known here: the controller
/// itself decides.
///
/// # Errors
/// The store cannot be read, or what it holds is not understood.
pub(crate) async fn administered(
    store: &Store,
    project: &ProjectRecord,
    identity: &Identifier,
) -> Result<Option<ControllerRecord>, Failure> {
    let Some(controller) = &project.controller else {
        return Ok(None);
    };
    let Some(enrolled) = store
        .controller_enrollment(identity, controller)
        .await
        .map_err(refused)?
    else {
        return Ok(None);
    };
    let roles = projects::details(project)?.user_roles;
    if !may_administer(&roles, enrolled.email.as_deref()) {
        return Ok(None);
    }
    store.controller(controller).await.map_err(refused)
}

/// What became of a list of a controller that was to be kept.
#[cfg(feature = "cli")]
#[derive(Debug)]
pub(crate) struct Kept<T> {
    /// All that this home knows now, also of others.
    pub(crate) all: Vec<T>,
    /// The ids of those that were told and are kept.
    pub(crate) ids: HashSet<String>,
    /// Those that are not, by id, and why.
    pub(crate) left_out: Vec<(String, Failure)>,
}

/// Keeps what a controller says of a space. One that is known from another controller stays as it is.
///
/// # Errors
/// It has a name or an id that cannot be one, is another controller's, or the store cannot be written.
#[cfg(feature = "cli")]
pub(crate) async fn keep_space(
    state: &State,
    controller: &Identifier,
    space: &Space,
) -> Result<SpaceRecord, Failure> {
    let mut kept = keep_spaces(state, controller, std::slice::from_ref(space)).await?;
    if let Some((_, failure)) = kept.left_out.pop() {
        return Err(failure);
    }
    let mut all = kept.all.into_iter();
    all.find(|known| known.id == space.id)
        .ok_or_else(|| Failure::coded(Code::Internal, "the space was not stored"))
}

/// The same of a whole list, in one transaction.
///
/// # Errors
/// The store cannot be read or written.
#[cfg(feature = "cli")]
pub(crate) async fn keep_spaces(
    state: &State,
    controller: &Identifier,
    told: &[Space],
) -> Result<Kept<SpaceRecord>, Failure> {
    let all = state.store().spaces().await.map_err(refused)?;
    let known: HashMap<&str, &SpaceRecord> =
        all.iter().map(|space| (space.id.as_str(), space)).collect();
    let (mut ids, mut left_out, mut new) = (HashSet::new(), Vec::new(), Vec::new());
    for space in told {
        match new_space(known.get(space.id.as_str()).copied(), controller, space) {
            // One that is told twice is stored once.
            Ok(changed) => {
                if ids.insert(space.id.clone()) {
                    new.extend(changed);
                }
            }
            Err(failure) => left_out.push((space.id.clone(), failure)),
        }
    }
    let all = if new.is_empty() {
        all
    } else {
        state.store().put_spaces(&new).await.map_err(refused)?;
        state.store().spaces().await.map_err(refused)?
    };
    Ok(Kept { all, ids, left_out })
}

/// What is to be stored of a space, if it is not stored like that.
#[cfg(feature = "cli")]
fn new_space(
    known: Option<&SpaceRecord>,
    controller: &Identifier,
    space: &Space,
) -> Result<Option<NewSpace>, Failure> {
    let name = space.name.parse().map_err(|error: NameError| {
        Failure::new("the space has a name that cannot be used").caused_by(&error)
    })?;
    if !projects::is_id(&space.id) {
        return Err(Failure::new("the space has an id that cannot be used"));
    }
    let details = space_details(space).to_string();
    match known {
        Some(known) if known.controller != *controller => {
            Err(of_another("space", known.name.as_str()))
        }
        Some(known) if known.details == details => Ok(None),
        _ => Ok(Some(NewSpace {
            id: space.id.clone(),
            name,
            controller: *controller,
            details,
        })),
    }
}

/// A space as it is kept and shown (spec: command 3.10).
#[cfg(feature = "cli")]
pub(crate) fn space_details(space: &Space) -> Value {
    serde_json::json!(spaces::item(space))
}

/// Keeps what a controller says of a project. One that is known from another controller stays as it is: with another route
/// to it, that one would stand in between.
///
/// # Errors
/// Its histories do not verify, or it is known with another authority or from another controller.
#[cfg(feature = "cli")]
pub(crate) async fn keep_project(
    state: &State,
    controller: &Identifier,
    project: &Project,
) -> Result<ProjectRecord, Failure> {
    let known = state.store().project_with_id(&project.id).await;
    let known = known.map_err(refused)?;
    match (change(known.as_ref(), controller, project)?, known) {
        (None, Some(known)) => Ok(known),
        (None, None) => Err(Failure::coded(Code::Internal, "the project was not stored")),
        (Some(change), _) => change.store(state).await,
    }
}

/// The same of a whole list, in one transaction. Histories that are stored are not verified again.
///
/// # Errors
/// The store cannot be read or written.
#[cfg(feature = "cli")]
pub(crate) async fn keep_projects(
    state: &State,
    controller: &Identifier,
    told: &[Project],
) -> Result<Kept<ProjectRecord>, Failure> {
    let store = state.store();
    let all = store.projects().await.map_err(refused)?;
    let known: HashMap<&str, &ProjectRecord> = all
        .iter()
        .map(|project| (project.id.as_str(), project))
        .collect();
    let (mut ids, mut left_out, mut changes) = (HashSet::new(), Vec::new(), Vec::new());
    for project in told {
        let known = known.get(project.id.as_str()).copied();
        match change(known, controller, project) {
            // One that is told twice is stored once.
            Ok(change) => {
                if ids.insert(project.id.clone()) {
                    changes.extend(change);
                }
            }
            Err(failure) => left_out.push((project.id.clone(), failure)),
        }
    }
    if changes.is_empty() {
        return Ok(Kept { all, ids, left_out });
    }
    if let Err(error) = Change::store_all(state, &changes).await {
        // One of them contradicts what is known; the others are kept.
        tracing::debug!("projects are kept one by one: {}", error.message);
        for change in &changes {
            if let Err(failure) = change.store(state).await {
                ids.remove(change.id());
                left_out.push((change.id().to_owned(), failure));
            }
        }
    }
    let all = store.projects().await.map_err(refused)?;
    Ok(Kept { all, ids, left_out })
}

/// What is to be stored of a project that a controller tells of; nothing if what is known of it holds.
#[cfg(feature = "cli")]
fn change(
    known: Option<&ProjectRecord>,
    controller: &Identifier,
    project: &Project,
) -> Result<Option<Change>, Failure> {
    let details = project.details();
    if let Some(known) = known {
        if known.controller.is_some_and(|other| other != *controller) {
            return Err(of_another("project", known.name.as_str()));
        }
        let is_same = known.controller.is_some() && known.details == details.to_json();
        // While it is changed it may have no authority; what is known of it still holds.
        if is_same || known.authority.is_some() && !project.is_ready() {
            return Ok(None);
        }
    }
    Change::of(known, details, *controller).map(Some)
}

#[cfg(feature = "cli")]
fn of_another(kind: &str, name: &str) -> Failure {
    Failure::coded(
        Code::AlreadyExists,
        format!("the {kind} {name} is known from another controller"),
    )
}

/// Whether the user with this address may be an administrator: one with another role is none; of those that are not named
/// only the controller knows.
fn may_administer(roles: &[Value], email: Option<&str>) -> bool {
    let Some(email) = email else {
        return true;
    };
    let named = |role: &&Value| {
        role.get("email")
            .and_then(Value::as_str)
            .is_some_and(|named| named.eq_ignore_ascii_case(email))
    };
    let is_admin = |role: &Value| {
        role.get("role")
            .and_then(Value::as_str)
            .is_some_and(|role| role.eq_ignore_ascii_case("admin"))
    };
    let mut own = roles.iter().filter(named).peekable();
    own.peek().is_none() || own.any(is_admin)
}

/// The scope of an administrator's credentials (spec: trust 4.7).
pub(crate) fn admin_scope_of(project: &str) -> String {
    format!("project-admin-{project}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn who_has_another_role_is_no_administrator() {
        let roles = [
            json!({ "email": "Alice@example.com", "id": 1, "role": "admin", "scope": "project" }),
            json!({ "email": "bob@example.com", "id": 2, "role": "guest", "scope": "project" }),
            json!({ "email": "carol@example.com", "id": 3, "role": "guest", "scope": "project" }),
            json!({ "email": "carol@example.com", "id": 3, "role": "Admin", "scope": "Space" }),
        ];
        for (email, may) in [
            (Some("alice@example.com"), true),
            (Some("bob@example.com"), false),
            (Some("carol@example.com"), true),
            (Some("dave@example.com"), true),
            (None, true),
        ] {
            assert_eq!(may_administer(&roles, email), may, "{email:?}");
        }
    }
}
