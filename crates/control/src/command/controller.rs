//! The controller that commands ask, and who asks it.
//!
//! Where it is comes from the environment, or else from the home, which was told by `ockam enroll`.

use std::str::FromStr;

use ockam_identity::Identifier;
use ockam_store::{ControllerRecord, IdentityRecord, ProjectRecord};
use ockam_wire::MultiAddr;

use crate::command::Session;
use crate::command::argument::Identity;
use crate::command::project::not_enrolled;
use crate::controller::ControllerPlace;
use crate::controller::client::ControllerClient;
use crate::home::identities;
use crate::outcome::Failure;
use crate::state::{State, refused};

/// A controller, and the identity that asks it.
#[derive(Debug)]
pub(super) struct Asking {
    /// What asks.
    pub(super) client: ControllerClient,
    /// Who asks.
    pub(super) identity: IdentityRecord,
    /// The controller.
    pub(super) place: ControllerPlace,
}

impl Asking {
    /// Prepares to ask the controller of this home, as the named identity or the default one.
    ///
    /// # Errors
    /// There is no controller, or the identity cannot act.
    pub(super) async fn start(
        session: &Session<'_>,
        state: &State,
        identity: &Identity,
    ) -> Result<Self, Failure> {
        let place = known(session, state).await?.ok_or_else(not_enrolled)?;
        Self::at(session, state, identity, place).await
    }

    /// Prepares to ask a controller.
    ///
    /// # Errors
    /// The identity cannot act.
    pub(super) async fn at(
        session: &Session<'_>,
        state: &State,
        identity: &Identity,
        place: ControllerPlace,
    ) -> Result<Self, Failure> {
        let identity = who(state, &place.identifier, identity).await?;
        session.unlock(state, &identity.vault).await?;
        let timeout = session.timeout()?;
        let client = ControllerClient::start(state, &identity, place.clone(), timeout).await?;
        Ok(Self {
            client,
            identity,
            place,
        })
    }
}

/// The identity that was named; else the default one if it is enrolled with the controller, else one that is.
///
/// # Errors
/// There is none.
pub(super) async fn who(
    state: &State,
    controller: &Identifier,
    identity: &Identity,
) -> Result<IdentityRecord, Failure> {
    if identity.identity.is_some() {
        return identities::find(state, identity.identity.as_ref()).await;
    }
    let store = state.store();
    let default = store.default_identity().await.map_err(refused)?;
    let enrolled = store.controller_enrollments().await.map_err(refused)?;
    let is_enrolled = |record: &IdentityRecord| {
        enrolled.iter().any(|enrolled| {
            enrolled.controller == *controller && enrolled.identity == record.identifier
        })
    };
    match default {
        Some(default) if is_enrolled(&default) => Ok(default),
        _ => {
            let all = store.identities().await.map_err(refused)?;
            match all.into_iter().find(is_enrolled) {
                Some(other) => Ok(other),
                None => identities::find(state, None).await,
            }
        }
    }
}

/// The controller that is asked where none is named: that of the environment, or else that of the home.
///
/// # Errors
/// One half of the environment is missing or wrong, or the store cannot be read.
pub(super) async fn known(
    session: &Session<'_>,
    state: &State,
) -> Result<Option<ControllerPlace>, Failure> {
    if let Some(place) = of_environment(session)? {
        return Ok(Some(place));
    }
    let stored = state.store().default_controller().await.map_err(refused)?;
    stored.map(|stored| place_of(&stored)).transpose()
}

/// Where a stored controller is.
///
/// # Errors
/// What is stored is not understood.
pub(super) fn place_of(stored: &ControllerRecord) -> Result<ControllerPlace, Failure> {
    Ok(ControllerPlace {
        route: stored.route.parse().map_err(|error| {
            Failure::internal("the way to the controller is not understood", &error)
        })?,
        identifier: stored.identifier,
    })
}

/// The controller that the environment names (spec: command 3.13).
///
/// # Errors
/// One half is missing or wrong.
pub(super) fn of_environment(session: &Session<'_>) -> Result<Option<ControllerPlace>, Failure> {
    let route: Option<MultiAddr> = configured(session, ADDRESS)?;
    let identifier: Option<Identifier> = configured(session, IDENTIFIER)?;
    match (route, identifier) {
        (Some(route), Some(identifier)) => Ok(Some(ControllerPlace { route, identifier })),
        (None, None) => Ok(None),
        (Some(_), None) => Err(lacking(ADDRESS, IDENTIFIER)),
        (None, Some(_)) => Err(lacking(IDENTIFIER, ADDRESS)),
    }
}

/// The controller of a project: the one it came from, or else the one of this home.
///
/// # Errors
/// There is none.
pub(super) async fn of_project(
    session: &Session<'_>,
    state: &State,
    project: &ProjectRecord,
) -> Result<ControllerPlace, Failure> {
    let stored = match &project.controller {
        Some(controller) => state
            .store()
            .controller(controller)
            .await
            .map_err(refused)?,
        None => None,
    };
    match stored {
        Some(stored) => place_of(&stored),
        None => known(session, state).await?.ok_or_else(not_enrolled),
    }
}

fn configured<T: FromStr<Err: std::fmt::Display>>(
    session: &Session<'_>,
    variable: &str,
) -> Result<Option<T>, Failure> {
    match session.host.variable(variable) {
        Some(value) if !value.is_empty() => session.parsed_variable(variable),
        _ => Ok(None),
    }
}

fn lacking(set: &str, unset: &str) -> Failure {
    Failure::new(format!("{set} is set and {unset} is not"))
        .help("a controller is asked only when both are known: where it is and who it is")
}

const ADDRESS: &str = "OCKAM_CONTROLLER_ADDR";
const IDENTIFIER: &str = "OCKAM_CONTROLLER_IDENTITY_ID";
