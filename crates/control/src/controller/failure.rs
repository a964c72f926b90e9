//! Requests that failed, as the reader is told of them.

use std::time::Duration;

use ockam_authority::client::RequestError;
use ockam_node::{ChannelError, ConnectError, FixedIdentity};
use ockam_store::IdentityRecord;
use ockam_wire::envelope::Status;

use super::ControllerPlace;
use super::client::ControllerClient;
use crate::home::enrollment::asking_node;
use crate::home::identities;
use crate::outcome::{Code, Failure};
use crate::state::State;

impl ControllerClient {
    /// Prepares to ask, as an identity of a home.
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
        let stopped = state.stopped_node_in(&place.route).await;
        let mut client = Self::new(
            asking_node(state),
            std::sync::Arc::new(FixedIdentity(own)),
            place,
            timeout,
        );
        client.stopped = stopped;
        Ok(client)
    }

    /// A request that failed. `object` says what it was about, as in `the project web, whose id is 5f`.
    pub(crate) fn failed(&self, what: &str, object: &str, error: &RequestError) -> Failure {
        let route = &self.client().route;
        match error {
            RequestError::Connect(ConnectError::Channel(ChannelError::NotAuthorized(other))) => {
                Failure::coded(
                    Code::Unauthorized,
                    format!("{what}: somebody else than the controller is at {route}"),
                )
                .cause(format!("{other} is there, {} was expected", self.client().authority))
                // Somebody else took its place while it was away.
                .help(self.stopped.as_deref().unwrap_or(
                    "look at OCKAM_CONTROLLER_ADDR and OCKAM_CONTROLLER_IDENTITY_ID: they do not belong together",
                ))
            }
            RequestError::Refused { status, message } => {
                let code = status.map_or_else(String::new, |status| format!(" with {}", status.code()));
                let said = if message.is_empty() { String::new() } else { format!(": {message}") };
                let cause = format!("the controller refused{code}{said}");
                if message == NOT_ENROLLED {
                    Failure::coded(Code::Unauthorized, what).cause(cause).help(
                        "`ockam enroll` enrolls the identity, with an invitation of an administrator or by signing in; --identity names another one",
                    )
                } else if error.is_forbidden() {
                    Failure::coded(Code::Unauthorized, what).cause(cause).help(
                        "an admin of the project may: name an identity that the controller knows as one with --identity",
                    )
                } else if *status == Some(Status::NotFound) {
                    Failure::coded(Code::Internal, what).cause(cause).help(format!("the controller may not know {object}"))
                } else if error.is_conflict() {
                    Failure::coded(Code::AlreadyExists, what).cause(cause)
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
                failure.help(self.stopped.as_deref().unwrap_or(
                    "look whether it runs and can be reached from here, and at OCKAM_CONTROLLER_ADDR",
                ))
            }
            RequestError::Route(_) => Failure::new(what).caused_by(error).help(
                "OCKAM_CONTROLLER_ADDR ends with the listener, for example /dnsaddr/controller.example/tcp/6252/service/api",
            ),
            _ => Failure::coded(Code::Internal, what)
                .cause("the controller's answer is not understood"),
        }
    }
}

/// What a controller of ours says to an identity that it does not know.
const NOT_ENROLLED: &str = "not enrolled";
