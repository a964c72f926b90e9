//! Making and deleting projects, and the members that the controller places.

use std::collections::BTreeMap;

use ockam_authority::message::{MemberAttributes, ROLE};
use ockam_authority::{dismiss, place};
use ockam_control::hosted::StoredMembers;
use ockam_control::identities::{self, IdentitySpec};
use ockam_identity::Identifier;

use super::id::Place;
use super::{HostedProject, ProjectId, Projects, ProjectsError, SHARING, now};

/// A project that is to be hosted.
#[derive(Debug, Clone)]
pub struct NewProject {
    /// Its id; random, when it is not given.
    pub id: Option<ProjectId>,
}

impl Projects {
    /// Makes the identities of a project and hosts it from now on. One that is hosted stays as it is, so that whoever was
    /// interrupted may begin again.
    ///
    /// # Errors
    /// [`ProjectsError::Failed`]: the identities cannot be made; [`ProjectsError::Store`].
    pub async fn create(&self, new: NewProject) -> Result<HostedProject, ProjectsError> {
        let id = new.id.unwrap_or_else(ProjectId::random);
        let identity = self.identity(&Place::Node(id.clone())).await?;
        let authority = self.identity(&Place::Authority(id.clone())).await?;
        self.store()
            .put_hosting(id.as_str(), &identity, &authority, now())
            .await?;
        self.describe(id.as_str()).await
    }

    async fn identity(&self, place: &Place) -> Result<Identifier, ProjectsError> {
        let name = match place {
            Place::Node(id) => format!("project-{id}"),
            Place::Authority(id) => format!("authority-{id}"),
        };
        let name = name
            .parse()
            .map_err(|error: ockam_store::NameError| ProjectsError::Failed(error.to_string()))?;
        let spec = IdentitySpec {
            name: Some(name),
            ..IdentitySpec::default()
        };
        let made = identities::create(&self.state, spec).await?;
        Ok(made.into_record().identifier)
    }

    /// Forgets projects with all their members, codes and keys; whoever uses them is cut off, in other processes within a second.
    /// Says how many there were.
    ///
    /// # Errors
    /// [`ProjectsError::Store`].
    pub async fn delete(&self, projects: &[String]) -> Result<usize, ProjectsError> {
        let deleted = self.store().delete_hostings(projects, now()).await?;
        // One that is being started finds itself that it is gone.
        for id in projects.iter().filter_map(|project| project.parse().ok()) {
            self.end(&id).await;
        }
        Ok(deleted)
    }

    /// Makes somebody a member with these attributes, in place of those that were placed before.
    ///
    /// # Errors
    /// [`ProjectsError::Unknown`]; [`ProjectsError::Attributes`]; [`ProjectsError::Members`].
    pub async fn admit(
        &self,
        project: &str,
        who: &Identifier,
        attributes: &BTreeMap<String, String>,
        by: &Identifier,
    ) -> Result<(), ProjectsError> {
        let refused = |why: String| ProjectsError::Attributes { who: *who, why };
        let attributes =
            MemberAttributes::from_pairs(attributes).map_err(|error| refused(error.to_string()))?;
        // spec: trust 11.2 (1). Enrollers are made by administrators of the project, not by what a provider claims.
        let role = attributes.get(ROLE).map(|_| ROLE);
        if let Some(name) = attributes.reserved().or(role) {
            return Err(refused(format!("{name} is a reserved name")));
        }
        let record = self.find(project).await?;
        let members = StoredMembers::new(self.store(), record.authority);
        place(&members, who, &attributes, by, now(), SHARING).await?;
        self.tell(project).await
    }

    /// Makes somebody no member and no administrator of a project any more: what it was given as one is void, its channels and
    /// relays end. What the controller says of it later counts.
    ///
    /// # Errors
    /// [`ProjectsError::Unknown`]; [`ProjectsError::Members`]; [`ProjectsError::Store`].
    pub async fn dismiss(&self, project: &str, who: &Identifier) -> Result<(), ProjectsError> {
        let record = self.find(project).await?;
        let before = now().plus(1);
        let store = self.store();
        // First, so that it gets nothing new from the authority.
        store.dismiss_administrator(project, who, before).await?;
        if let Some(running) = self.if_running_as(project) {
            running.dismiss(who, before);
        }
        let members = StoredMembers::new(store, record.authority);
        dismiss(&members, who, now(), SHARING).await?;
        self.tell(project).await
    }

    /// What was withdrawn acts at once where it was; other processes find out by themselves.
    async fn tell(&self, project: &str) -> Result<(), ProjectsError> {
        match self.if_running_as(project) {
            Some(running) => running.catch_up().await,
            None => Ok(()),
        }
    }
}
