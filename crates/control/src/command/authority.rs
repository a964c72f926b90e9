//! `ockam authority`.

mod create;

use clap::Args;
use serde_json::json;

use crate::command::{Example, Run, Session, text};
use crate::home::authorities;
use crate::noun::authority::{AuthorityItem, NOUN};
use crate::outcome::{Failure, Outcome};
use crate::table::Noun;

pub(super) use create::{Create, SHORTEST_LIFETIME};

#[derive(Debug, Args)]
pub(super) struct Show {
    /// The id of its project, or its node; the only authority when none is given
    #[arg(value_name = "AUTHORITY")]
    name: Option<String>,
}

impl Run for Show {
    const NOUN: &'static Noun = &NOUN;
    const VERB: &'static str = "show";

    fn examples() -> Vec<Example> {
        vec![Example::new(
            "Everything that whoever deals with the project needs to know",
            "ockam authority show --output json",
        )]
    }

    async fn run<'a>(self, session: &'a Session<'a>) -> Result<(), Failure> {
        let state = session.open().await?;
        let authority = authorities::find(&state, self.name.as_deref()).await?;
        let item = authorities::item(&state, &authority).await?;
        let project = authorities::project(&state, &authority).await?;
        session.host.print(
            Outcome::plain(text::block(&describe(&item)))
                .machine(item.identifier.to_string())
                .json(json!(project)),
        );
        Ok(())
    }
}

#[derive(Debug, Args)]
pub(super) struct List {}

impl Run for List {
    const NOUN: &'static Noun = &NOUN;
    const VERB: &'static str = "list";

    fn examples() -> Vec<Example> {
        vec![Example::new(
            "All authorities of this machine",
            "ockam authority list",
        )]
    }

    async fn run<'a>(self, session: &'a Session<'a>) -> Result<(), Failure> {
        let state = session.open().await?;
        let mut items = Vec::new();
        for authority in authorities::all(&state).await? {
            items.push(authorities::item(&state, &authority).await?);
        }
        let plain = if items.is_empty() {
            text::info("No authorities found on this machine")
        } else {
            text::list(items.iter().map(describe))
        };
        session.host.print(Outcome::plain(plain).json(json!(items)));
        Ok(())
    }
}

fn describe(item: &AuthorityItem) -> String {
    let state = if item.running { "running" } else { "stopped" };
    let route = item.route.as_deref().unwrap_or("nowhere yet");
    format!(
        "Authority of {}\nNode: {}, {state}\nIdentifier: {}\nRoute: {route}",
        item.project, item.node, item.identifier
    )
}
