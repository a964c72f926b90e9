//! Asking the controller of projects: who administers one.
//!
//! Each request has a connection and a channel of its own, with exactly the identifier that was configured, and presents no
//! credential. There is no controller unless one is named.
//!
//! Specification: trust 9.1, 9.4.

mod admins;

use std::sync::Arc;
use std::time::Duration;

use ockam_authority::client::{AuthorityClient, RequestError};
use ockam_identity::Identifier;
use ockam_node::{ChannelError, ConnectError, FixedIdentity};
use ockam_store::{IdentityRecord, ProjectRecord};
use ockam_wire::MultiAddr;
use ockam_wire::envelope::{Method, Status};

use crate::home::enrollment::asking_node;
use crate::home::identities;
use crate::outcome::{Code, Failure};
use crate::state::State;
use crate::value::Email;

/// Where a controller is and who it is.
#[derive(Debug, Clone)]
pub(crate) struct ControllerPlace {
    /// The way to its listener of channels.
    pub(crate) route: MultiAddr,
    /// Its identifier; nobody else is spoken to.
    pub(crate) identifier: Identifier,
}

/// A controller and who asks it.
#[derive(Debug)]
pub(crate) struct Controller {
    client: AuthorityClient,
}

impl Controller {
    /// Prepares to ask, as this identity.
    ///
    /// # Errors
    /// The identity cannot act.
    pub(crate) async fn start(
        state: &State,
        identity: &IdentityRecord,
        place: ControllerPlace,
        timeout: Duration,
    ) -> Result<Self, Failure> {
        let own = identities::local(state, identity).await?;
        let client = AuthorityClient {
            node: asking_node(state),
            identity: Arc::new(FixedIdentity(own)),
            authority: place.identifier,
            route: place.route,
            timeout,
        };
        Ok(Self { client })
    }

    /// Who administers a project.
    ///
    /// # Errors
    /// The controller is not there, refuses, or answers something else.
    pub(crate) async fn admins(&self, project: &ProjectRecord) -> Result<Vec<Email>, Failure> {
        let path = format!("/v0/{}/admins", project.id);
        self.ask(Method::Get, &path)
            .await
            .map_err(|error| self.failed("the admins are not known", project, &error))
    }

    /// Lets somebody administer a project.
    ///
    /// # Errors
    /// As of [`Self::admins`], or the controller does not count them among the administrators afterwards.
    pub(crate) async fn add_admin(
        &self,
        project: &ProjectRecord,
        email: &Email,
    ) -> Result<(), Failure> {
        let what = format!("{email} was not added");
        let path = format!("/v0/{}/admins/{email}", project.id);
        let admins = self
            .ask(Method::Put, &path)
            .await
            .map_err(|error| self.failed(&what, project, &error))?;
        if admins.contains(email) {
            return Ok(());
        }
        Err(Failure::coded(Code::Internal, what).cause(
            "the controller took the request, and does not name this address among the admins",
        ))
    }

    /// Ends that somebody administers a project.
    ///
    /// # Errors
    /// As of [`Self::admins`], or the controller still counts them among the administrators.
    pub(crate) async fn delete_admin(
        &self,
        project: &ProjectRecord,
        email: &Email,
    ) -> Result<(), Failure> {
        let what = format!("{email} was not removed");
        let path = format!("/v0/{}/admins/{email}", project.id);
        let admins = self
            .ask(Method::Delete, &path)
            .await
            .map_err(|error| self.failed(&what, project, &error))?;
        if !admins.contains(email) {
            return Ok(());
        }
        Err(Failure::coded(Code::Internal, what).cause(
            "the controller took the request, and still names this address among the admins",
        ))
    }

    async fn ask(&self, method: Method, path: &str) -> Result<Vec<Email>, RequestError> {
        let body = self.client.request(PROJECTS, method, path, None).await?;
        admins::decode(&body).map_err(|_| RequestError::Body)
    }

    fn failed(&self, what: &str, project: &ProjectRecord, error: &RequestError) -> Failure {
        let route = &self.client.route;
        match error {
            RequestError::Connect(ConnectError::Channel(ChannelError::NotAuthorized(other))) => {
                Failure::coded(
                    Code::Unauthorized,
                    format!("{what}: somebody else than the controller is at {route}"),
                )
                .cause(format!("{other} is there, {} was expected", self.client.authority))
                .help("look at OCKAM_CONTROLLER_ADDR and OCKAM_CONTROLLER_IDENTITY_ID: they do not belong together")
            }
            RequestError::Refused { status, message } => {
                let code = status.map_or_else(String::new, |status| format!(" with {}", status.code()));
                let said = if message.is_empty() { String::new() } else { format!(": {message}") };
                let cause = format!("the controller refused{code}{said}");
                if error.is_forbidden() {
                    Failure::coded(Code::Unauthorized, what).cause(cause).help(
                        "an admin of the project may: name an identity that the controller knows as one with --identity",
                    )
                } else if *status == Some(Status::NotFound) {
                    Failure::coded(Code::Internal, what).cause(cause).help(format!(
                        "the controller may not know the project {}, whose id is {}",
                        project.name, project.id
                    ))
                } else {
                    Failure::coded(Code::Internal, what).cause(cause)
                }
            }
            error if error.is_unavailable() => {
                let failure = Failure::coded(
                    Code::Unavailable,
                    format!("{what}: the controller is not reached at {route}"),
                );
                let failure = match error {
                    RequestError::Timeout(limit) => {
                        failure.cause(format!("it did not answer within {limit:?}"))
                    }
                    RequestError::Closed => {
                        failure.cause("it closed the channel before it answered")
                    }
                    error => failure.caused_by(error),
                };
                failure.help(
                    "look whether it runs and can be reached from here, and at OCKAM_CONTROLLER_ADDR",
                )
            }
            RequestError::Route(_) => Failure::new(what).caused_by(error).help(
                "OCKAM_CONTROLLER_ADDR ends with the listener, for example /dnsaddr/controller.example/tcp/6252/service/api",
            ),
            _ => Failure::coded(Code::Internal, what)
                .cause("the controller's answer is not understood"),
        }
    }
}

const PROJECTS: &str = "projects";
