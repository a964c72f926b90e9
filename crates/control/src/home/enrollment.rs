//! Asking authorities from a command: codes, members, credentials.

use std::sync::Arc;
use std::time::Duration;

use ockam_authority::client::{AuthorityClient, RequestError};
use ockam_identity::{EnrollmentTicket, OneTimeCode, ProjectDetails};
use ockam_node::{ChannelError, ConnectError, FixedIdentity, Node, NodeOptions};
use ockam_store::IdentityRecord;
use ockam_wire::{MultiAddr, Protocol};

use crate::home::trust::Trusted;
use crate::home::{identities, projects};
use crate::managed::{StoredHistories, StoredNodes};
use crate::membership::Applicant;
use crate::outcome::{Code, Failure};
use crate::state::State;

/// Who asks the authority, and which.
#[derive(Debug)]
pub(crate) struct Asking {
    /// The authority.
    pub(crate) trusted: Trusted,
    /// What speaks to it, as this identity and without a member's credentials.
    pub(crate) client: AuthorityClient,
    /// What to do when it is not reached, if it is of this machine and does not run.
    stopped: Option<String>,
}

impl Asking {
    /// Prepares to ask, as this identity, which says that it administers the project if it does.
    ///
    /// # Errors
    /// It is not known where the authority is, or the identity cannot act.
    pub(crate) async fn start(
        state: &State,
        identity: &IdentityRecord,
        trusted: Trusted,
        timeout: Duration,
    ) -> Result<Self, Failure> {
        let Some(route) = trusted.route.clone() else {
            return Err(
                Failure::new(format!("there is no route to the authority of {}", trusted.name()))
                    .help("give it with --authority-route, or import a file of the project that has `authority_access_route`"),
            );
        };
        let own = Arc::new(FixedIdentity(identities::local(state, identity).await?));
        let node = asking_node(state);
        let applicant =
            Applicant::of(state.store(), &node, &trusted, identity.identifier, own).await?;
        let stopped = state.stopped_node_in(&route).await;
        let client = AuthorityClient {
            node,
            identity: applicant.asking(),
            authority: *trusted.authority.identifier(),
            route,
            timeout,
        };
        Ok(Self {
            trusted,
            client,
            stopped,
        })
    }

    /// A request that failed, as the reader is told of it.
    pub(crate) fn failed(&self, what: &str, error: &RequestError) -> Failure {
        let name = self.trusted.name();
        let route = &self.client.route;
        if let RequestError::Connect(ConnectError::Channel(ChannelError::NotAuthorized(other))) =
            error
        {
            return Failure::coded(
                Code::Unauthorized,
                format!("{what}: somebody else than the authority of {name} is at {route}"),
            )
            .cause(format!(
                "{other} is there, {} was expected",
                self.client.authority
            ))
            // Somebody else took its place while it was away.
            .help(self.stopped.as_deref().unwrap_or(
                "the route leads to another authority: ask whoever gave it to you for a new ticket or project file",
            ));
        }
        if error.is_unavailable() {
            return Failure::coded(
                Code::Unavailable,
                format!("{what}: the authority of {name} is not reached at {route}"),
            )
            .caused_by(error)
            .help(self.stopped.as_deref().unwrap_or(
                "look whether the authority runs and can be reached from here, then run this again",
            ));
        }
        let failure = Failure::coded(
            if error.is_forbidden() {
                Code::Unauthorized
            } else {
                Code::Internal
            },
            what,
        )
        .caused_by(error);
        if error.is_not_a_member() {
            return failure.help(format!(
                "this identity is not a member of {name}: enroll it with `ockam project enroll TICKET`"
            ));
        }
        if error.is_forbidden() && !error.is_unknown_member() {
            return failure.help(
                "an enroller may: one that the authority was started with, or with a ticket of `ockam project ticket --enroller`",
            );
        }
        failure
    }

    /// A ticket that was not taken, as the reader is told of it.
    pub(crate) fn ticket_failed(&self, error: &RequestError) -> Failure {
        let name = self.trusted.name();
        if error.is_unknown_code() {
            return Failure::coded(
                Code::Unauthorized,
                format!("the authority of {name} does not take this ticket"),
            )
            .cause("its one-time code is used up, has expired, was not issued by this authority, or is older than the removal of this identity")
            .help(
                "ask whoever gave you the ticket for a new one; if you never used this one, tell them: somebody else may be a \
                 member with it",
            );
        }
        self.failed("the ticket was not redeemed", error)
    }
}

/// A node for the requests of one command: it knows the histories and the nodes of the home.
pub(crate) fn asking_node(state: &State) -> Node {
    Node::new(NodeOptions {
        histories: Arc::new(StoredHistories::new(state.store())),
        names: Arc::new(StoredNodes(state.clone())),
        ..NodeOptions::default()
    })
}

/// The ticket with this code.
///
/// # Errors
/// What is known of the project does not suffice for one.
pub(crate) async fn ticket(
    state: &State,
    asking: &Asking,
    code: OneTimeCode,
) -> Result<EnrollmentTicket, Failure> {
    let unusable = |error: &(dyn std::error::Error + 'static)| {
        Failure::new(format!(
            "no ticket can be made for {}",
            asking.trusted.name()
        ))
        .caused_by(error)
    };
    let details = ticket_project(state, asking).await?;
    let project = details
        .verify(ockam_vault::fast())
        .map_err(|error| unusable(&error))?;
    EnrollmentTicket::new(code, project).map_err(|error| unusable(&error))
}

/// Says before a code is made whether a ticket can be.
///
/// # Errors
/// What is known of the project does not suffice for one.
pub(crate) async fn check_ticket(state: &State, asking: &Asking) -> Result<(), Failure> {
    let code = OneTimeCode::take(&mut [0; 32]);
    ticket(state, asking, code).await.map(drop)
}

/// What a ticket says of the project. Of an authority without a project it names one whose node is the authority's.
async fn ticket_project(state: &State, asking: &Asking) -> Result<ProjectDetails, Failure> {
    let trusted = &asking.trusted;
    // Whoever gets the ticket does not know the nodes of this home.
    let route = state.replace_nodes(&asking.client.route).await?;
    let known = match &trusted.project {
        Some(project) => projects::details(project)?,
        None => without_project(trusted.scope.as_deref().unwrap_or_default()),
    };
    let access_route: MultiAddr = match known.access_route.as_str() {
        "" => route.clone(),
        access_route => access_route
            .parse()
            .map_err(|error: ockam_wire::MultiAddrError| {
                Failure::internal("the route to the project is not understood", &error)
            })?,
    };
    let authority = trusted.authority.to_hex();
    Ok(ProjectDetails {
        access_route: through_project(&access_route, &known.id)?.to_string(),
        project_change_history: known
            .project_change_history
            .filter(|history| !history.is_empty())
            .or_else(|| Some(authority.clone())),
        authority_access_route: Some(route.to_string()),
        authority_identity: Some(authority),
        ..known
    })
}

fn without_project(scope: &str) -> ProjectDetails {
    let id = scope.strip_prefix("project-member-").unwrap_or(scope);
    let is_name = id.parse::<ockam_store::ProjectName>().is_ok();
    ProjectDetails {
        id: id.to_owned(),
        name: if is_name { id } else { "default" }.to_owned(),
        ..ProjectDetails::default()
    }
}

/// The route with the id of the project as its first service, which is how readers of tickets know the id
/// (spec: trust 7.7).
fn through_project(route: &MultiAddr, id: &str) -> Result<MultiAddr, Failure> {
    let parts = route.protocols();
    let first = parts
        .iter()
        .position(|part| matches!(part, Protocol::Service(_)));
    let is_there = first
        .and_then(|first| parts.get(first))
        .is_some_and(|part| matches!(part, Protocol::Service(service) if service == id));
    if is_there {
        return Ok(route.clone());
    }
    let (before, after) = parts.split_at(first.unwrap_or(parts.len()));
    let project = Protocol::Service(id.to_owned());
    MultiAddr::new(
        before
            .iter()
            .cloned()
            .chain([project])
            .chain(after.iter().cloned()),
    )
    .map_err(|error| Failure::internal("the id of the project cannot be part of a route", &error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_project_is_the_first_service_of_its_route() {
        for (route, through) in [
            (
                "/dnsaddr/h/tcp/1/service/api",
                "/dnsaddr/h/tcp/1/service/p/service/api",
            ),
            (
                "/dnsaddr/h/tcp/1/service/p/service/api",
                "/dnsaddr/h/tcp/1/service/p/service/api",
            ),
            ("/dnsaddr/h/tcp/1", "/dnsaddr/h/tcp/1/service/p"),
        ] {
            let found = through_project(&route.parse().expect(route), "p").expect("it fits");
            assert_eq!(found.to_string(), through);
        }
    }

    #[test]
    fn an_authority_without_a_project_gives_its_name_by_the_scope() {
        assert_eq!(without_project("project-member-p-1").id, "p-1");
        let odd = without_project("a scope");
        assert_eq!((odd.id.as_str(), odd.name.as_str()), ("a scope", "default"));
    }
}
