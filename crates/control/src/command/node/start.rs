//! `ockam node start` and `ockam node stop`.

use clap::Args;
use ockam_store::NodeRecord;
use serde_json::json;

use super::names;
use super::show::resources;
use crate::command::argument::deprecated;
use crate::command::{ChildOutput, Run, Session, text};
use crate::home::nodes;
use crate::noun::node::NOUN;
use crate::outcome::{Failure, Outcome};
use crate::state::{State, status_of};
use crate::table::Noun;
use crate::value::NodeArgument;

#[derive(Debug, Args)]
pub(in crate::command) struct Start {
    /// The name of the node
    name: Option<NodeArgument>,
}

impl Run for Start {
    const NOUN: &'static Noun = &NOUN;
    const VERB: &'static str = "start";

    async fn run<'a>(self, session: &'a Session<'a>) -> Result<(), Failure> {
        let state = session.open().await?;
        let stopped = |node: &NodeRecord| !status_of(node).is_running();
        let Some(node) = one_of(session, &state, self.name.as_ref(), "start", stopped).await?
        else {
            return Ok(());
        };
        if !stopped(&node) {
            let text = format!("The Node {} is already running", node.name);
            session.host.print(Outcome::plain(text::info(text)));
            return Ok(());
        }
        session
            .host
            .spawn_node(
                &["--resume".to_owned(), node.name.to_string()],
                ChildOutput::Inherit,
            )
            .await?;
        let node = state.node(&node.name).await?;
        let resources = resources(session, &state, &node).await?;
        let plain = text::done(format!("Node {} has been started", node.name));
        session
            .host
            .print(Outcome::plain(plain).json(json!(resources)));
        Ok(())
    }
}

#[derive(Debug, Args)]
pub(in crate::command) struct Stop {
    /// The name of the node
    name: Option<NodeArgument>,
    /// Has no effect any more
    #[arg(short, long, hide = true)]
    force: bool,
}

impl Run for Stop {
    const NOUN: &'static Noun = &NOUN;
    const VERB: &'static str = "stop";

    async fn run<'a>(self, session: &'a Session<'a>) -> Result<(), Failure> {
        if self.force {
            deprecated(session, "--force", "it has no effect");
        }
        let state = session.open().await?;
        let running = |node: &NodeRecord| status_of(node).pid().is_some();
        if !state.nodes().await?.iter().any(running) {
            session.host.print(Outcome::plain(text::info(
                "There are no running nodes to stop",
            )));
            return Ok(());
        }
        let Some(node) = one_of(session, &state, self.name.as_ref(), "stop", running).await? else {
            return Ok(());
        };
        if !running(&node) {
            return Err(Failure::new(format!(
                "The node {} was not found among the running nodes",
                node.name
            )));
        }
        nodes::stop(&state, &node).await?;
        session.host.print(Outcome::plain(text::done(format!(
            "The node with name {} was stopped",
            node.name
        ))));
        Ok(())
    }
}

/// The node that was named; else the one the user picks among those that fit, or the default one.
async fn one_of(
    session: &Session<'_>,
    state: &State,
    wanted: Option<&NodeArgument>,
    verb: &str,
    fits: impl Fn(&NodeRecord) -> bool,
) -> Result<Option<NodeRecord>, Failure> {
    if let Some(NodeArgument(name)) = wanted {
        return state.node(name).await.map(Some);
    }
    let stored = state.nodes().await?;
    let candidates: Vec<NodeRecord> = stored.into_iter().filter(|node| fits(node)).collect();
    if candidates.len() > 1 && session.host.can_prompt() {
        let question = format!("Select the node that you want to {verb}");
        let chosen = session.host.choose(&question, &names(&candidates))?;
        return Ok(chosen
            .first()
            .and_then(|index| candidates.into_iter().nth(*index)));
    }
    state.default_node().await.map(Some)
}
