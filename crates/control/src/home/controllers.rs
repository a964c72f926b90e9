//! Controllers that this home is enrolled with, and what its identities are there.

use ockam_identity::Identifier;
use ockam_store::{ControllerRecord, ProjectRecord, Store};
#[cfg(feature = "cli")]
use ockam_store::{NameError, NewSpace, SpaceRecord};
use serde_json::Value;

#[cfg(feature = "cli")]
use crate::controller::message::{Project, Space};
use crate::home::projects;
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

/// Keeps what a controller says of a space.
///
/// # Errors
/// It has a name that cannot be one, or the store cannot be written.
#[cfg(feature = "cli")]
pub(crate) async fn keep_space(
    state: &State,
    controller: &Identifier,
    space: &Space,
) -> Result<SpaceRecord, Failure> {
    let name = space.name.parse().map_err(|error: NameError| {
        Failure::new("the space has a name that cannot be used").caused_by(&error)
    })?;
    let new = NewSpace {
        id: space.id.clone(),
        name,
        controller: *controller,
        details: space_details(space).to_string(),
    };
    state.store().put_space(&new).await.map_err(refused)
}

/// A space as it is kept and shown (spec: command 3.10).
#[cfg(feature = "cli")]
pub(crate) fn space_details(space: &Space) -> Value {
    serde_json::json!({
        "id": space.id,
        "name": space.name,
        "users": space.users,
        "subscription": space.subscription.as_ref().map(|subscription| serde_json::json!({
            "name": subscription.name,
            "is_free_trial": subscription.is_free_trial,
            "marketplace": subscription.marketplace,
            "start_date": subscription.start,
            "end_date": subscription.end,
        })),
    })
}

/// Keeps what a controller says of a project that is ready.
///
/// # Errors
/// Its histories do not verify, or it is known with another authority.
#[cfg(feature = "cli")]
pub(crate) async fn keep_project(
    state: &State,
    controller: &Identifier,
    project: &Project,
) -> Result<ProjectRecord, Failure> {
    let verified = project
        .details()
        .verify(ockam_vault::fast())
        .map_err(|error| {
            Failure::new(format!(
                "the controller's project {} cannot be used",
                project.name
            ))
            .caused_by(&error)
        })?;
    projects::store_of(state, &verified, Some(controller)).await
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
