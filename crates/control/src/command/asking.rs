//! Who is asked about spaces and projects, as whom, and what is kept of the answers.

use std::collections::HashSet;

use ockam_authority::client::RequestError;
use ockam_identity::Identifier;
use ockam_store::{ControllerEnrollmentRecord, IdentityRecord, ProjectRecord, SpaceRecord};

use crate::command::argument::Identity;
use crate::command::project::not_enrolled;
use crate::command::{Note, Session, controller};
use crate::controller::ControllerPlace;
use crate::controller::client::ControllerClient;
use crate::controller::message::Project;
use crate::home::{controllers, projects, spaces};
use crate::outcome::{Code, Failure};
use crate::state::{State, no_default_project, refused};

/// A controller that is asked as one identity.
pub(super) struct Asking<'a> {
    pub(super) session: &'a Session<'a>,
    pub(super) state: State,
    pub(super) client: ControllerClient,
    pub(super) controller: Identifier,
    /// Where it was reached.
    route: String,
    pub(super) identity: IdentityRecord,
}

impl<'a> Asking<'a> {
    /// Prepares to ask.
    ///
    /// # Errors
    /// No controller is known, or the identity cannot act.
    pub(super) async fn start(
        session: &'a Session<'a>,
        identity: &Identity,
    ) -> Result<Self, Failure> {
        // What the environment says wrongly is said before the home is made.
        let named = controller::of_environment(session)?;
        let state = session.open().await?;
        let place = match named {
            Some(place) => place,
            None => controller::known(session, &state)
                .await?
                .ok_or_else(not_enrolled)?,
        };
        Self::at(session, state, place, identity).await
    }

    /// The same if the identity is enrolled, as far as this home knows: who is not has nothing to ask for.
    ///
    /// # Errors
    /// The home cannot be read, or the identity cannot act.
    pub(super) async fn if_enrolled(
        session: &'a Session<'a>,
        identity: &Identity,
    ) -> Result<Option<Self>, Failure> {
        let named = controller::of_environment(session)?;
        let state = session.open().await?;
        let place = match named {
            Some(place) => Some(place),
            None => controller::known(session, &state).await?,
        };
        let Some(place) = place else {
            return Ok(None);
        };
        if !is_enrolled(&state, &place, identity).await? {
            return Ok(None);
        }
        Self::at(session, state, place, identity).await.map(Some)
    }

    /// The same about a project, the named one or the default one; its own controller is asked.
    ///
    /// # Errors
    /// There is no such project, no controller is known, or the identity cannot act.
    pub(super) async fn about_project(
        session: &'a Session<'a>,
        name: Option<&str>,
        identity: &Identity,
    ) -> Result<(Self, ProjectRecord), Failure> {
        let named = controller::of_environment(session)?;
        let state = session.open().await?;
        let found = match name {
            Some(name) => projects::find(&state, name).await,
            None => projects::default(&state)
                .await?
                .ok_or_else(no_default_project),
        };
        if let Ok(project) = found {
            let place = controller::of_project(session, &state, &project).await?;
            let asking = Self::at(session, state, place, identity).await?;
            return Ok((asking, project));
        }
        let place = match named {
            Some(place) => place,
            None => controller::known(session, &state)
                .await?
                .ok_or_else(not_enrolled)?,
        };
        if !is_enrolled(&state, &place, identity).await? {
            return found.and(Err(not_enrolled()));
        }
        let asking = Self::at(session, state, place, identity).await?;
        let project = asking.project(name).await?;
        Ok((asking, project))
    }

    async fn at(
        session: &'a Session<'a>,
        state: State,
        place: ControllerPlace,
        identity: &Identity,
    ) -> Result<Self, Failure> {
        let asking = controller::Asking::at(session, &state, identity, place).await?;
        Ok(Self {
            session,
            state,
            client: asking.client,
            controller: asking.place.identifier,
            route: asking.place.route.to_string(),
            identity: asking.identity,
        })
    }

    /// A request that failed, as the reader is told of it.
    pub(super) fn failed(&self, what: &str, object: &str, error: &RequestError) -> Failure {
        self.client.failed(what, object, error)
    }

    /// Keeps where the controller is, now that it has answered: what is kept of its spaces and projects leads back to it, also
    /// where only the environment named it.
    ///
    /// # Errors
    /// The store cannot be written.
    pub(super) async fn note_controller(&self) -> Result<(), Failure> {
        let store = self.state.store();
        let noted = store.note_controller(&self.controller, &self.route).await;
        noted.map_err(refused)
    }

    /// The spaces of the caller, as they are kept from now on.
    ///
    /// # Errors
    /// The controller was not asked with success.
    pub(super) async fn spaces(&self) -> Result<Vec<SpaceRecord>, Failure> {
        let told = self.client.spaces().await;
        let told =
            told.map_err(|error| self.failed("the spaces are not known", "the spaces", &error))?;
        self.note_controller().await?;
        let mut kept = controllers::keep_spaces(&self.state, &self.controller, &told).await?;
        self.tell_left_out(&kept.left_out);
        if self.is_alone().await? {
            let gone = kept.all.iter().filter(|space| {
                space.controller == self.controller && !kept.ids.contains(&space.id)
            });
            let gone: Vec<String> = gone.map(|space| space.id.clone()).collect();
            let forgotten = self.state.store().delete_spaces(&gone).await;
            forgotten.map_err(refused)?;
        }
        kept.all.retain(|space| kept.ids.contains(&space.id));
        let mut kept = kept.all;
        kept.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(kept)
    }

    /// The projects of the caller, as they are kept from now on.
    ///
    /// # Errors
    /// The controller was not asked with success.
    pub(super) async fn projects(&self) -> Result<Vec<ProjectRecord>, Failure> {
        let (mut known, ids) = self.keep_projects().await?;
        known.retain(|project| ids.contains(&project.id));
        Ok(known)
    }

    /// The same and those that this home knows otherwise.
    ///
    /// # Errors
    /// As of [`Asking::projects`].
    pub(super) async fn all_projects(&self) -> Result<Vec<ProjectRecord>, Failure> {
        let (mut known, ids) = self.keep_projects().await?;
        known.retain(|project| {
            project.controller != Some(self.controller) || ids.contains(&project.id)
        });
        Ok(known)
    }

    /// Keeps what the controller tells of the projects of the caller. Gives all that are known now, and the ids of those.
    async fn keep_projects(&self) -> Result<(Vec<ProjectRecord>, HashSet<String>), Failure> {
        let told = self.told_projects().await?;
        let kept = controllers::keep_projects(&self.state, &self.controller, &told).await?;
        self.tell_left_out(&kept.left_out);
        if self.is_alone().await? {
            // What a node here uses stays.
            let used = projects::all_used(&self.state).await?;
            let gone = kept.all.iter().filter(|project| {
                project.controller == Some(self.controller)
                    && !kept.ids.contains(&project.id)
                    && !used.contains(&project.id)
            });
            let gone: Vec<String> = gone.map(|project| project.id.clone()).collect();
            let forgotten = self.state.store().delete_projects(&gone).await;
            forgotten.map_err(refused)?;
        }
        Ok((kept.all, kept.ids))
    }

    /// The projects of the caller, as the controller tells of them.
    ///
    /// # Errors
    /// The controller was not asked with success.
    pub(super) async fn told_projects(&self) -> Result<Vec<Project>, Failure> {
        let told = self.client.projects().await;
        let told = told
            .map_err(|error| self.failed("the projects are not known", "the projects", &error))?;
        self.note_controller().await?;
        Ok(told)
    }

    /// The space that was named, or the default one. What is not known here may be known to the controller.
    ///
    /// # Errors
    /// There is none.
    pub(super) async fn space(&self, name: Option<&str>) -> Result<SpaceRecord, Failure> {
        let Some(name) = name else {
            let default = self.state.store().default_space().await.map_err(refused)?;
            if let Some(space) = default {
                return Ok(space);
            }
            self.spaces().await?;
            let default = self.state.store().default_space().await.map_err(refused)?;
            return default.ok_or_else(no_default_space);
        };
        match spaces::find(&self.state, name).await {
            Ok(space) => Ok(space),
            Err(_) => {
                self.spaces().await?;
                spaces::find(&self.state, name).await
            }
        }
    }

    /// The project that was named, or the default one. What is not known here may be known to the controller.
    ///
    /// # Errors
    /// There is none.
    pub(super) async fn project(&self, name: Option<&str>) -> Result<ProjectRecord, Failure> {
        let enrolled = self.is_known().await?;
        match name {
            None => {
                let default = projects::default(&self.state).await?;
                if let Some(project) = default {
                    return Ok(project);
                }
                if enrolled {
                    self.projects().await?;
                }
                let default = projects::default(&self.state).await?;
                default.ok_or_else(no_default_project)
            }
            Some(name) => match projects::find(&self.state, name).await {
                Err(_) if enrolled => {
                    self.projects().await?;
                    projects::find(&self.state, name).await
                }
                found => found,
            },
        }
    }

    /// Whether the identity is enrolled here, as far as this home knows.
    async fn is_known(&self) -> Result<bool, Failure> {
        Ok(self.enrollment().await?.is_some())
    }

    /// As whom the controller knows the identity, as far as this home knows.
    ///
    /// # Errors
    /// The home cannot be read.
    pub(super) async fn own_email(&self) -> Result<Option<String>, Failure> {
        Ok(self.enrollment().await?.and_then(|enrolled| enrolled.email))
    }

    async fn enrollment(&self) -> Result<Option<ControllerEnrollmentRecord>, Failure> {
        let store = self.state.store();
        let known = store.controller_enrollment(&self.identity.identifier, &self.controller);
        known.await.map_err(refused)
    }

    /// Whether no other identity of this home is enrolled here: what another one sees is not forgotten.
    async fn is_alone(&self) -> Result<bool, Failure> {
        let enrolled = self.state.store().controller_enrollments().await;
        let enrolled = enrolled.map_err(refused)?;
        Ok(enrolled
            .iter()
            .filter(|enrolled| enrolled.controller == self.controller)
            .all(|enrolled| enrolled.identity == self.identity.identifier))
    }

    fn tell_left_out(&self, left_out: &[(String, Failure)]) {
        for (id, failure) in left_out {
            self.session.host.note(left_out_note(id, failure));
        }
    }
}

/// Says that something a controller tells of is not kept.
pub(super) fn left_out_note(id: &str, failure: &Failure) -> Note {
    let why = failure.causes.first().map(|cause| format!(": {cause}"));
    Note::Warning(format!(
        "{} ({id}){}; it is left out",
        failure.message,
        why.unwrap_or_default()
    ))
}

async fn is_enrolled(
    state: &State,
    place: &ControllerPlace,
    identity: &Identity,
) -> Result<bool, Failure> {
    let enrolled = state
        .store()
        .controller_enrollments()
        .await
        .map_err(refused)?;
    let mut here = enrolled
        .iter()
        .filter(|enrolled| enrolled.controller == place.identifier)
        .peekable();
    if here.peek().is_none() {
        return Ok(false);
    }
    let who = controller::who(state, &place.identifier, identity).await?;
    Ok(here.any(|enrolled| enrolled.identity == who.identifier))
}

fn no_default_space() -> Failure {
    Failure::coded(
        Code::Unauthorized,
        "There is no default space defined. Please enroll or create a space.",
    )
    .help("`ockam space create` makes one, `ockam space list` shows all")
}

/// Says on standard error why there is nothing.
pub(super) fn note_not_enrolled(session: &Session<'_>) {
    session.host.note(Note::Info(
        "No identity here is enrolled with an Orchestrator; `ockam enroll` does that".to_owned(),
    ));
}

/// A text that is to be one part of a path.
pub(super) fn path_part(id: &str) -> Result<String, Failure> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if id.is_empty() || id.starts_with('.') || !id.chars().all(is_part) {
        return Err(Failure::new(format!("invalid value '{id}' for ID")));
    }
    Ok(id.to_owned())
}
