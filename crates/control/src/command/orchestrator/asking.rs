//! Asking an Orchestrator as one of its administrators.

use std::future::Future;

use clap::Args;

use crate::command::argument::Identity;
use crate::command::{Note, Session, controller};
use crate::controller::ControllerPlace;
use crate::controller::client::{Asked, ControllerClient};
use crate::controller::message::{Page, PageRequest, ProjectPageRequest};
use crate::outcome::Failure;

/// An Orchestrator and who asks it.
pub(super) struct Asking {
    pub(super) client: ControllerClient,
    pub(super) place: ControllerPlace,
}

impl Asking {
    /// Prepares to ask the Orchestrator of this home.
    pub(super) async fn start(session: &Session<'_>, who: &Identity) -> Result<Self, Failure> {
        let state = session.open().await?;
        let asking = controller::Asking::start(session, &state, who).await?;
        Ok(Self {
            client: asking.client,
            place: asking.place,
        })
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

/// Items of one answer.
const LARGEST_PAGE: u64 = 500;
