//! `ockam node start` and `ockam node stop`.

use clap::Args;
use ockam_store::NodeRecord;
use serde_json::json;

use super::names;
use super::show::resources;
use crate::command::argument::deprecated;
use crate::command::{ChildOutput, Example, Note, Run, Session, text};
use crate::home::nodes;
use crate::noun::node::{NOUN, NodeResources};
use crate::outcome::{Failure, Outcome};
use crate::state::{State, status_of};
use crate::table::Noun;
use crate::value::NodeArgument;

#[derive(Debug, Args)]
pub(in crate::command) struct Start {
    /// The name of the node; several may be given
    name: Vec<NodeArgument>,
    /// Start all nodes that do not run
    #[arg(long, conflicts_with = "name")]
    all: bool,
}

impl Run for Start {
    const NOUN: &'static Noun = &NOUN;
    const VERB: &'static str = "start";

    fn examples() -> Vec<Example> {
        vec![Example::new(
            "A node that was stopped, with all it had",
            "ockam node start n1",
        )]
    }

    async fn run<'a>(self, session: &'a Session<'a>) -> Result<(), Failure> {
        let state = session.open().await?;
        let stopped = |node: &NodeRecord| !status_of(node).is_running();
        let chosen = chosen(session, &state, &self.name, self.all, "start", stopped).await?;
        if self.all && chosen.is_empty() {
            session
                .host
                .print(Outcome::plain(text::info("There are no nodes to start")));
        }
        each(session, chosen, "started", async |node| {
            start(session, &state, node).await
        })
        .await
    }
}

async fn start(session: &Session<'_>, state: &State, node: &NodeRecord) -> Result<(), Failure> {
    if status_of(node).is_running() {
        let text = format!("The Node {} is already running", node.name);
        session.host.print(Outcome::plain(text::info(text)));
        return Ok(());
    }
    session.unlock_for(state, node.identity.as_ref()).await?;
    session
        .host
        .spawn_node(
            &[
                "--resume".to_owned(),
                "--".to_owned(),
                node.name.to_string(),
            ],
            ChildOutput::Inherit,
        )
        .await?;
    let node = state.node(&node.name).await?;
    let resources = resources(session, state, &node).await?;
    session
        .host
        .print(Outcome::plain(again(&resources)).json(json!(resources)));
    Ok(())
}

/// What a started node runs again; the line above it is the node's own.
fn again(node: &NodeResources) -> String {
    let listener = node
        .transports
        .first()
        .map(|listener| format!("listening at {}, ", listener.socket_addr))
        .unwrap_or_default();
    text::more(format!(
        "{listener}with {} and {}",
        text::count(node.inlets.len(), "inlet"),
        text::count(node.outlets.len(), "outlet")
    ))
}

#[derive(Debug, Args)]
pub(in crate::command) struct Stop {
    /// The name of the node; several may be given
    name: Vec<NodeArgument>,
    /// Stop all nodes that run
    #[arg(long, conflicts_with = "name")]
    all: bool,
    /// Has no effect any more
    #[arg(short, long, hide = true)]
    force: bool,
}

impl Run for Stop {
    const NOUN: &'static Noun = &NOUN;
    const VERB: &'static str = "stop";

    fn examples() -> Vec<Example> {
        vec![Example::new(
            "A node; it keeps what it was asked for",
            "ockam node stop n1",
        )]
    }

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
        let chosen = chosen(session, &state, &self.name, self.all, "stop", running).await?;
        each(session, chosen, "stopped", async |node| {
            if !running(node) {
                return Err(Failure::new(format!(
                    "The node {} was not found among the running nodes",
                    node.name
                )));
            }
            nodes::stop(&state, node).await?;
            session.host.print(Outcome::plain(text::done(format!(
                "The node with name {} was stopped",
                node.name
            ))));
            Ok(())
        })
        .await
    }
}

/// The nodes that were named, or all that fit; else those the user picks among the ones that fit, or the default one.
async fn chosen(
    session: &Session<'_>,
    state: &State,
    wanted: &[NodeArgument],
    all: bool,
    verb: &str,
    fits: impl Fn(&NodeRecord) -> bool,
) -> Result<Vec<NodeRecord>, Failure> {
    if !wanted.is_empty() {
        let mut named: Vec<NodeRecord> = Vec::new();
        for NodeArgument(name) in wanted {
            // An unknown one is told before anything is done to the others.
            let node = state.node(name).await?;
            if named.iter().all(|other| other.name != node.name) {
                named.push(node);
            }
        }
        return Ok(named);
    }
    let stored = state.nodes().await?;
    let mut fitting: Vec<NodeRecord> = stored.into_iter().filter(|node| fits(node)).collect();
    if all {
        return Ok(fitting);
    }
    if fitting.len() > 1 && session.host.can_prompt() {
        let question = format!("Select the nodes that you want to {verb}");
        let picked = session.host.choose(&question, &names(&fitting))?;
        let mut index = 0..;
        fitting.retain(|_| index.next().is_some_and(|index| picked.contains(&index)));
        return Ok(fitting);
    }
    state.default_node().await.map(|node| vec![node])
}

/// Does something to each node. Among several, one that fails does not keep the others from their turn.
async fn each(
    session: &Session<'_>,
    nodes: Vec<NodeRecord>,
    done: &str,
    act: impl AsyncFn(&NodeRecord) -> Result<(), Failure>,
) -> Result<(), Failure> {
    if let [only] = nodes.as_slice() {
        return act(only).await;
    }
    let mut failed = Vec::new();
    for node in &nodes {
        if let Err(failure) = act(node).await {
            // A child process that failed has said why.
            if failure.exit.is_none() {
                session
                    .host
                    .note(Note::Warning(format!("{}: {}", node.name, failure.message)));
            }
            failed.push(node.name.to_string());
        }
    }
    if failed.is_empty() {
        return Ok(());
    }
    Err(Failure::new(format!(
        "{} of {} nodes could not be {done}: {}",
        failed.len(),
        nodes.len(),
        failed.join(", ")
    )))
}
