//! Asking an Orchestrator as one of its administrators.

use clap::Args;

use crate::command::argument::Identity;
use crate::command::{Note, Session, controller};
use crate::controller::ControllerPlace;
use crate::controller::client::{Asked, ControllerClient};
use crate::controller::message::Page;
use crate::hint;
use crate::outcome::{Code, Failure};
use crate::state::{State, refused};

/// An Orchestrator and who asks it.
pub(super) struct Asking {
    pub(super) client: ControllerClient,
    pub(super) place: ControllerPlace,
    state: State,
}

impl Asking {
    /// Prepares to ask the Orchestrator of this home.
    pub(super) async fn start(session: &Session<'_>, who: &Identity) -> Result<Self, Failure> {
        let state = session.open().await?;
        let asking = controller::Asking::start(session, &state, who).await?;
        Ok(Self {
            client: asking.client,
            place: asking.place,
            state,
        })
    }

    /// The id of the project that was named: by the name it has here or at the Orchestrator, or by its id.
    pub(super) async fn project_id(&self, named: &str) -> Result<String, Failure> {
        let kept = self.state.store().projects().await.map_err(refused)?;
        let mut known: Vec<(String, String)> = kept
            .into_iter()
            .filter(|project| project.controller == Some(self.place.identifier))
            .map(|project| (project.name.to_string(), project.id))
            .collect();
        if let Some(id) = id_among(&known, named)? {
            return Ok(id);
        }
        let told = self.client.projects().await;
        let told = self.answered(told, "the projects are not known")?;
        known.extend(told.into_iter().map(|project| (project.name, project.id)));
        known.sort();
        known.dedup();
        if let Some(id) = id_among(&known, named)? {
            return Ok(id);
        }
        // An administrator of the Orchestrator may name one that is not listed to them.
        if uuid_like(named) {
            return Ok(named.to_owned());
        }
        let failure = Failure::coded(
            Code::NotFound,
            format!("there is no project {named} at this Orchestrator, as far as you can see"),
        )
        .help("`ockam project create SPACE NAME` makes one; others are named by their id");
        let names = known.iter().map(|(name, _)| name.as_str());
        Err(hint::among(failure, named, "projects", names))
    }

    /// What came of a request.
    pub(super) fn answered<T>(&self, asked: Asked<T>, what: &str) -> Result<T, Failure> {
        asked.map_err(|error| {
            let failure = self.client.failed(what, "this", &error);
            failure
                .help_if(
                    error.is_forbidden(),
                    "an administrator of the Orchestrator may: name an identity that is enrolled as one with --identity",
                )
                .help_if(
                    error.is_not_found(),
                    "it is named by its name here or by its id: `ockam project list` shows yours",
                )
        })
    }

    /// The pages of a list, to so many items.
    pub(super) async fn pages<T>(
        &self,
        session: &Session<'_>,
        part: &Part,
        what: &str,
        ask: impl AsyncFn(Option<String>, u64) -> Asked<Page<T>>,
    ) -> Result<Vec<T>, Failure> {
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

/// The id of the project with this id, or of the only one with this name.
fn id_among(known: &[(String, String)], named: &str) -> Result<Option<String>, Failure> {
    if known.iter().any(|(_, id)| id == named) {
        return Ok(Some(named.to_owned()));
    }
    let mut ids: Vec<&str> = known
        .iter()
        .filter(|(name, _)| name == named)
        .map(|(_, id)| id.as_str())
        .collect();
    ids.sort_unstable();
    ids.dedup();
    match ids.as_slice() {
        [] => Ok(None),
        [id] => Ok(Some((*id).to_owned())),
        ids => Err(
            Failure::new(format!("several projects are called {named}")).help(format!(
                "name the one that is meant by its id: {}",
                hint::listed(ids)
            )),
        ),
    }
}

/// Whether a text has the form of the ids that an Orchestrator gives.
fn uuid_like(text: &str) -> bool {
    let groups = text.split('-').map(str::len);
    groups.eq([8, 4, 4, 4, 12]) && text.chars().all(|c| c == '-' || c.is_ascii_hexdigit())
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

/// Items of one answer.
const LARGEST_PAGE: u64 = 500;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_project_is_named_by_its_name_or_its_id() {
        let known = [("web", "1"), ("web", "2"), ("db", "3"), ("1", "4")]
            .map(|(name, id)| (name.to_owned(), id.to_owned()));
        assert_eq!(id_among(&known, "db"), Ok(Some("3".to_owned())));
        assert_eq!(id_among(&known, "1"), Ok(Some("1".to_owned())));
        assert_eq!(id_among(&known, "nobody"), Ok(None));
        let several = id_among(&known, "web").expect_err("there are two");
        assert!(
            several.help.is_some_and(|help| help.ends_with("1, 2")),
            "both are named"
        );
    }

    #[test]
    fn only_what_looks_like_an_id_is_asked_for_unseen() {
        assert!(uuid_like("84502ce0-d9a0-a91b-ae29-026b84e19be6"));
        for text in [
            "",
            "default",
            "84502ce0",
            "84502ce0-d9a0-a91b-ae29-026b84e19bex",
        ] {
            assert!(!uuid_like(text), "{text}");
        }
    }
}
