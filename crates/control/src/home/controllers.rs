//! Controllers that this home is enrolled with, and what its identities are there.

use ockam_identity::Identifier;
use ockam_store::{ControllerRecord, ProjectRecord, Store};
#[cfg(feature = "cli")]
use ockam_store::{NameError, NewSpace, SpaceRecord};
use serde_json::Value;

#[cfg(feature = "cli")]
use crate::controller::message::{Project, Space};
use crate::home::projects;
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
    let name = space.name.parse().map_err(|error: NameError| {
        Failure::new("the space has a name that cannot be used").caused_by(&error)
    })?;
    if !projects::is_id(&space.id) {
        return Err(Failure::new("the space has an id that cannot be used"));
    }
    let details = space_details(space).to_string();
    let known = state.store().spaces().await.map_err(refused)?;
    if let Some(known) = known.into_iter().find(|known| known.id == space.id) {
        if known.controller != *controller {
            return Err(of_another("space", known.name.as_str()));
        }
        if known.details == details {
            return Ok(known);
        }
    }
    let new = NewSpace {
        id: space.id.clone(),
        name,
        controller: *controller,
        details,
    };
    state.store().put_space(&new).await.map_err(refused)
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
    let details = project.details();
    let known = state.store().project_with_id(&details.id).await;
    if let Some(known) = known.map_err(refused)? {
        if known.controller.is_some_and(|other| other != *controller) {
            return Err(of_another("project", known.name.as_str()));
        }
        let is_same = known.controller.is_some() && known.details == details.to_json();
        // While it is changed it may have no authority; what is known of it still holds.
        if is_same || known.authority.is_some() && !project.is_ready() {
            return Ok(known);
        }
    }
    let verified = details.verify(ockam_vault::fast()).map_err(|error| {
        Failure::new(format!(
            "the controller's project {} cannot be used",
            project.name
        ))
        .caused_by(&error)
    })?;
    projects::store_of(state, &verified, Some(controller)).await
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
