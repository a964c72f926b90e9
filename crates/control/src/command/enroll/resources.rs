//! What somebody who is enrolled gets: spaces, projects, and the credentials to use one.

use ockam_authority::client::{CredentialCache as _, Issued, RequestError};
use ockam_store::{EnrollmentRecord, IdentityRecord, ProjectRecord};
use serde_json::Value;

use super::account::failed;
use super::place::Invited;
use crate::command::asking::left_out_note;
use crate::command::ready::told_ready;
use crate::command::{Note, Session};
use crate::controller::client::ControllerClient;
use crate::controller::message::{CreateProject, CreateSpace, Project, Space};
use crate::home::controllers::{
    admin_scope_of, keep_project, keep_projects, keep_spaces, space_details,
};
use crate::home::enrollment::Asking;
use crate::home::identities::now;
use crate::home::trust::Trusted;
use crate::membership::StoredCredential;
use crate::noun::enroll::ProjectRole;
use crate::outcome::{Code, Failure};
use crate::state::{State, refused};

/// Fetches what belongs to an account.
pub(super) struct Resources<'a> {
    pub(super) session: &'a Session<'a>,
    pub(super) state: &'a State,
    pub(super) identity: &'a IdentityRecord,
    pub(super) invited: &'a Invited,
    pub(super) client: &'a ControllerClient,
    /// Whether a space and a project are made where there is none.
    pub(super) make: bool,
}

impl Resources<'_> {
    /// Spaces and projects of the account, kept in the home; a first one of each is made where there is none. Gives the
    /// default ones.
    pub(super) async fn fetch(&self) -> Result<(Option<Value>, Option<ProjectRecord>), Failure> {
        let controller = &self.invited.place.identifier;
        let spaces = self.client.spaces().await;
        let mut spaces = spaces.map_err(|error| self.failed(&error))?;
        let projects = self.client.projects().await;
        let mut projects = projects.map_err(|error| self.failed(&error))?;
        // Who is a guest of a project has no space, and needs none.
        if self.make && spaces.is_empty() && projects.is_empty() {
            spaces.extend(self.new_space().await?);
        }
        self.check_subscription(&spaces)?;
        default_first(&mut spaces, |space| &space.name);
        let kept = keep_spaces(self.state, controller, &spaces).await?;
        self.tell_left_out(&kept.left_out);
        if self.make
            && projects.is_empty()
            && let Some(space) = spaces.first()
        {
            projects.extend(self.new_project(space).await?);
        }
        default_first(&mut projects, |project| &project.name);
        if let Some(first) = projects.first_mut() {
            // The others may be made meanwhile.
            self.waiting(&format!("Waiting for the project {}", first.name));
            *first = told_ready(self.client, first.clone()).await?;
            keep_project(self.state, controller, first).await?;
        }
        let kept = keep_projects(self.state, controller, &projects).await?;
        self.tell_left_out(&kept.left_out);
        let default = kept.all.iter().find(|project| project.is_default).cloned();
        let is_ours = |default: &&ProjectRecord| kept.ids.contains(&default.id);
        let first = projects.first().and_then(|first| {
            let mut all = kept.all.iter();
            all.find(|project| project.id == first.id)
        });
        let ours = default.as_ref().filter(is_ours).or(first).cloned();
        if let (Some(default), Some(ours)) = (&default, &ours)
            && default.id != ours.id
        {
            self.session.host.note(Note::Info(format!(
                "The default project stays {}; name the other one where you mean it: /project/{}, --project {}",
                default.name, ours.name, ours.name
            )));
        }
        Ok((spaces.first().map(space_details), ours))
    }

    /// Fetches and keeps the credentials that the identity has in a project. Says what it is there.
    pub(super) async fn credentials(
        &self,
        project: &ProjectRecord,
    ) -> Result<Option<ProjectRole>, Failure> {
        self.waiting(&format!(
            "Fetching the credentials of the project {}",
            project.name
        ));
        let admin = match self.client.project_credential(&project.id).await {
            Ok(issued) => {
                self.keep_credential(&issued, admin_scope_of(&project.id))
                    .await?;
                true
            }
            Err(error) if error.is_forbidden() || error.is_not_found() => false,
            Err(error) => return Err(self.failed(&error)),
        };
        let trusted = Trusted::of_project(self.state, project.clone()).await?;
        let scope = trusted.scope.clone().unwrap_or_default();
        let timeout = self.session.timeout()?;
        let asking = Asking::start(self.state, self.identity, trusted, timeout).await?;
        match asking.client.credential().await {
            Ok(issued) => self.keep_credential(&issued, scope).await?,
            Err(error) if error.is_not_a_member() && !admin => return Ok(None),
            Err(error) => {
                return Err(asking.failed("enrolled, but no credential was issued", &error));
            }
        }
        self.state
            .store()
            .put_enrollment(&EnrollmentRecord {
                identity: self.identity.identifier,
                project: project.id.clone(),
                enrolled_at: now(),
            })
            .await
            .map_err(refused)?;
        Ok(Some(if admin {
            ProjectRole::Admin
        } else {
            ProjectRole::Member
        }))
    }

    async fn keep_credential(&self, issued: &Issued, scope: String) -> Result<(), Failure> {
        let cache = StoredCredential {
            store: self.state.store().clone(),
            issuer: *issued.credential.issuer(),
            subject: self.identity.identifier,
            scope,
        };
        cache
            .store(issued)
            .await
            .map_err(|error| Failure::internal("the credential was not stored", &error))
    }

    /// The first space; nothing when this account may not make one.
    async fn new_space(&self) -> Result<Option<Space>, Failure> {
        self.waiting("Creating the space default");
        let space = CreateSpace {
            name: DEFAULT.to_owned(),
            users: Vec::new(),
        };
        match self.client.create_space(&space).await {
            Ok(space) => {
                self.session
                    .host
                    .note(Note::Done(format!("Created the space {}", space.name)));
                Ok(Some(space))
            }
            Err(error) if error.is_forbidden() => {
                self.session.host.note(Note::Info(
                    "This Orchestrator lets administrators make spaces: ask one for a space or a project".to_owned(),
                ));
                Ok(None)
            }
            // Another enrollment of the same account was faster.
            Err(error) if error.is_conflict() => {
                let spaces = self.client.spaces().await;
                let spaces = spaces.map_err(|error| self.failed(&error))?;
                Ok(spaces.into_iter().next())
            }
            Err(error) => Err(self.failed(&error)),
        }
    }

    /// The first project; nothing when this account may not make one.
    async fn new_project(&self, space: &Space) -> Result<Option<Project>, Failure> {
        self.waiting("Creating the project default");
        let project = CreateProject {
            name: DEFAULT.to_owned(),
            users: Vec::new(),
        };
        match self.client.create_project(&space.id, &project).await {
            Ok(project) => {
                self.session
                    .host
                    .note(Note::Done(format!("Created the project {}", project.name)));
                Ok(Some(project))
            }
            Err(error) if error.is_forbidden() => Ok(None),
            Err(error) if error.is_conflict() => {
                let projects = self.client.projects().await;
                let projects = projects.map_err(|error| self.failed(&error))?;
                Ok(projects.into_iter().next())
            }
            Err(error) => Err(self.failed(&error)),
        }
    }

    /// Refuses a first space whose subscription has ended (spec: trust 9.2).
    fn check_subscription(&self, spaces: &[Space]) -> Result<(), Failure> {
        let ended = spaces.first().filter(|space| {
            let subscription = space.subscription.as_ref();
            subscription.is_some_and(|subscription| !subscription.is_valid(now().0))
        });
        match ended {
            Some(space) => Err(Failure::coded(
                Code::Unauthorized,
                format!("the subscription of the space {} has ended", space.name),
            )
            .help("renew it, then run this again")),
            None => Ok(()),
        }
    }

    fn waiting(&self, what: &str) {
        self.session.host.waiting(what);
    }

    fn tell_left_out(&self, left_out: &[(String, Failure)]) {
        for (id, failure) in left_out {
            self.session.host.note(left_out_note(id, failure));
        }
    }

    fn failed(&self, error: &RequestError) -> Failure {
        failed(self.invited, error)
    }
}

/// What has the published name of a first space or project comes before the others.
fn default_first<T>(items: &mut [T], name: impl Fn(&T) -> &String) {
    if let Some(place) = items.iter().position(|item| name(item) == DEFAULT) {
        items.swap(0, place);
    }
}

const DEFAULT: &str = "default";
