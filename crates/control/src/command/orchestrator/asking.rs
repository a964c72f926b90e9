//! Asking an Orchestrator as one of its administrators.

use std::future::Future;

use clap::Args;
use ockam_identity::Identifier;
use ockam_store::IdentityName;
use ockam_wire::MultiAddr;

use crate::command::orchestrator::view;
use crate::command::{Note, Session};
use crate::controller::ControllerPlace;
use crate::controller::client::{Asked, ControllerClient};
use crate::controller::message::{Page, PageRequest, ProjectPageRequest};
use crate::home::{identities, orchestrator};
use crate::outcome::{Code, Failure};
use crate::state::{State, refused, status_of};

/// Who asks.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct Who {
    /// The name of an identity that is enrolled; the default one when none is given
    #[arg(long, value_name = "NAME")]
    identity: Option<IdentityName>,
}

/// An Orchestrator and who asks it.
pub(super) struct Asking {
    pub(super) client: ControllerClient,
    pub(super) place: ControllerPlace,
}

impl Asking {
    /// Prepares to ask the Orchestrator that the environment names, else the one that this home is enrolled with, else the
    /// one that runs in this home.
    pub(super) async fn start(session: &Session<'_>, who: &Who) -> Result<Self, Failure> {
        let state = session.open().await?;
        let place = place(session, &state).await?;
        session.unlock_for(&state, who.identity.as_ref()).await?;
        let identity = identities::find(&state, who.identity.as_ref()).await?;
        let timeout = session.timeout()?;
        let client = ControllerClient::start(&state, &identity, place.clone(), timeout).await?;
        Ok(Self { client, place })
    }

    /// What came of a request.
    pub(super) fn answered<T>(&self, asked: Asked<T>, what: &str) -> Result<T, Failure> {
        asked.map_err(|error| {
            let failure = self.client.failed(what, "this Orchestrator", &error);
            if error.is_forbidden() {
                failure.help(
                    "an administrator of the Orchestrator may: name an identity that is enrolled as one with --identity",
                )
            } else {
                failure
            }
        })
    }

    /// The pages of a list, to so many items.
    pub(super) async fn pages<T, F>(
        &self,
        session: &Session<'_>,
        part: &Part,
        what: &str,
        ask: impl Fn(Option<String>, u64) -> F,
    ) -> Result<Vec<T>, Failure>
    where
        F: Future<Output = Asked<Page<T>>>,
    {
        let mut items: Vec<T> = Vec::new();
        let mut after = part.after.clone();
        loop {
            let left = part
                .limit
                .saturating_sub(u64::try_from(items.len()).unwrap_or(u64::MAX));
            let page = self.answered(ask(after.take(), left.min(LARGEST_PAGE)).await, what)?;
            let got = page.items.len();
            items.extend(page.items);
            let full = u64::try_from(items.len()).unwrap_or(u64::MAX) >= part.limit;
            match page.next {
                Some(next) if full => {
                    session.host.note(Note::Info(format!(
                        "There are more: --after {next} goes on, --limit takes more at once"
                    )));
                    return Ok(items);
                }
                // A page without anything would be asked for again and again.
                Some(next) if got > 0 => after = Some(next),
                _ => return Ok(items),
            }
        }
    }
}

/// Which part of a list.
#[derive(Debug, Clone, Args)]
pub(super) struct Part {
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..))]
    limit: u64,
    /// Begin behind this one, as a list that was cut says it
    #[arg(long, value_name = "PLACE")]
    after: Option<String>,
}

/// A request for a page.
pub(super) fn page(after: Option<String>, limit: u64) -> PageRequest {
    PageRequest {
        after,
        limit: Some(limit),
    }
}

/// A request for a page of what belongs to projects.
pub(super) fn project_page(
    after: Option<String>,
    limit: u64,
    project: Option<&String>,
) -> ProjectPageRequest {
    ProjectPageRequest {
        after,
        limit: Some(limit),
        project_id: project.cloned(),
    }
}

async fn place(session: &Session<'_>, state: &State) -> Result<ControllerPlace, Failure> {
    let route: Option<MultiAddr> = session.parsed_variable(ADDRESS)?;
    let identifier: Option<Identifier> = session.parsed_variable(IDENTIFIER)?;
    match (route, identifier) {
        (Some(route), Some(identifier)) => return Ok(ControllerPlace { route, identifier }),
        (None, None) => {}
        _ => {
            return Err(Failure::new(format!(
                "{ADDRESS} and {IDENTIFIER} go together, and one of them is not set"
            )));
        }
    }
    if let Some(known) = state.store().default_controller().await.map_err(refused)? {
        let route = known.route.parse().map_err(|error| {
            Failure::internal("the stored route to the Orchestrator is damaged", &error)
        })?;
        return Ok(ControllerPlace {
            route,
            identifier: known.identifier,
        });
    }
    if let Some(own) = orchestrator::find(state).await?
        && status_of(&own.node).is_running()
    {
        let own = super::join_string(&view(session, state, &own.node).await?)?;
        return Ok(ControllerPlace {
            route: own.route,
            identifier: own.identifier,
        });
    }
    Err(Failure::coded(
        Code::Unauthorized,
        "this home is not enrolled with an Orchestrator",
    )
    .help("`ockam enroll` enrolls it"))
}

const ADDRESS: &str = "OCKAM_CONTROLLER_ADDR";
const IDENTIFIER: &str = "OCKAM_CONTROLLER_IDENTITY_ID";
/// Items of one answer.
const LARGEST_PAGE: u64 = 500;
