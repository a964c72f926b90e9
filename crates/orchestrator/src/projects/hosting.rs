//! Projects as the controller asks for them.

use std::collections::BTreeMap;

use ockam_control::controller::message::{RelayItem, TicketItem, TicketUse};
use ockam_identity::Identifier;

use super::{HostedProject, NewProject, ProjectId, Projects, ProjectsError};
use crate::controller::{Eventual, Hosted, Hosting, HostingError};

impl From<ProjectsError> for HostingError {
    fn from(error: ProjectsError) -> Self {
        match error {
            ProjectsError::Attributes { .. } | ProjectsError::Id(_) => {
                Self::Unusable(error.to_string())
            }
            ProjectsError::Store(error) => Self::Store(error),
            error => Self::Failed(Box::new(error)),
        }
    }
}

impl From<HostedProject> for Hosted {
    fn from(project: HostedProject) -> Self {
        Self {
            identity: project.identity,
            history: hex::encode(project.history.as_bytes()),
            authority_history: hex::encode(project.authority_history.as_bytes()),
            access_route: project.access_route.to_string(),
            authority_route: project.authority_route.to_string(),
        }
    }
}

impl Hosting for Projects {
    fn create<'a>(&'a self, project: &'a str) -> Eventual<'a, Hosted> {
        Box::pin(async move {
            let id: ProjectId = project.parse().map_err(ProjectsError::from)?;
            Ok(Self::create(self, NewProject { id: Some(id) })
                .await?
                .into())
        })
    }

    fn delete<'a>(&'a self, projects: &'a [String]) -> Eventual<'a, ()> {
        Box::pin(async move {
            Self::delete(self, projects).await?;
            Ok(())
        })
    }

    fn describe<'a>(&'a self, projects: &'a [String]) -> Eventual<'a, BTreeMap<String, Hosted>> {
        Box::pin(async move {
            let known = self.describe_many(projects).await?;
            Ok(known
                .into_iter()
                .map(|(id, project)| (id, project.into()))
                .collect())
        })
    }

    fn admit<'a>(
        &'a self,
        project: &'a str,
        who: &'a Identifier,
        attributes: BTreeMap<String, String>,
    ) -> Eventual<'a, ()> {
        Box::pin(async move {
            let controller = *self.options.controller.identifier();
            Ok(Self::admit(self, project, who, &attributes, &controller).await?)
        })
    }

    fn dismiss<'a>(&'a self, project: &'a str, who: &'a Identifier) -> Eventual<'a, ()> {
        Box::pin(async move { gone_is_done(Self::dismiss(self, project, who).await) })
    }

    fn relays<'a>(&'a self, project: &'a str) -> Eventual<'a, Vec<RelayItem>> {
        Box::pin(async move {
            let relays = Self::relays(self, project).await?;
            Ok(relays
                .into_iter()
                .map(|relay| RelayItem {
                    project_id: project.to_owned(),
                    name: relay.name,
                    owner: relay.owner,
                    from: relay.from.map(|from| from.to_string()).unwrap_or_default(),
                    since: relay.since.0,
                })
                .collect())
        })
    }

    fn tickets<'a>(&'a self, project: &'a str) -> Eventual<'a, Vec<TicketItem>> {
        Box::pin(async move {
            let tickets = Self::tickets(self, project, TICKETS).await?;
            Ok(tickets
                .into_iter()
                .map(|ticket| TicketItem {
                    project_id: project.to_owned(),
                    reference: ticket.reference,
                    issued_by: ticket.issued_by,
                    issued_at: ticket.issued_at.0,
                    expires_at: ticket.expires_at.0,
                    uses_left: ticket.uses_left,
                    used: ticket
                        .used
                        .into_iter()
                        .map(|used| TicketUse {
                            by: used.by,
                            at: used.at.0,
                        })
                        .collect(),
                })
                .collect())
        })
    }
}

/// What is not there any more need not be ended.
fn gone_is_done(done: Result<(), ProjectsError>) -> Result<(), HostingError> {
    match done {
        Err(ProjectsError::Unknown(_)) | Ok(()) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Tickets of one project that are told at most.
const TICKETS: usize = 10_000;
