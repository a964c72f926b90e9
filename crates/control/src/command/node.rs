//! `ockam node`.

mod configured;
mod create;
mod logs;
mod reload;
mod show;
mod start;

use clap::Args;
use ockam_store::NodeRecord;
use serde_json::json;

use crate::command::argument::deprecated;
use crate::command::flow::{self, Chosen};
use crate::command::{Example, Run, Session, text};
use crate::home::nodes;
use crate::noun::node::{NOUN, NodeStatus};
use crate::outcome::{Failure, Outcome};
use crate::table::Noun;
use crate::value::NodeArgument;

pub(super) use create::Create;
pub(super) use logs::Logs;
pub(super) use reload::Reload;
pub(super) use show::{Show, resources_of_all};
pub(super) use start::{Start, Stop};

#[derive(Debug, Args)]
pub(super) struct List {}

impl Run for List {
    const NOUN: &'static Noun = &NOUN;
    const VERB: &'static str = "list";

    fn examples() -> Vec<Example> {
        vec![Example::new(
            "All nodes, and whether they run",
            "ockam node list",
        )]
    }

    async fn run<'a>(self, session: &'a Session<'a>) -> Result<(), Failure> {
        let state = session.open().await?;
        let items: Vec<_> = state.nodes().await?.iter().map(nodes::item).collect();
        let plain = if items.is_empty() {
            text::info("No Nodes found on this machine")
        } else {
            text::list(items.iter().map(|node| {
                let mark = if node.is_default { " (default)" } else { "" };
                match node.status {
                    NodeStatus::Running { pid } => {
                        format!("Node {}{mark} is UP\nWith PID {pid}", node.node_name)
                    }
                    NodeStatus::Zombie { pid } => {
                        format!("Node {}{mark} is a ZOMBIE\nWith PID {pid}", node.node_name)
                    }
                    NodeStatus::Stopped => {
                        format!("Node {}{mark} is DOWN\nNo process running", node.node_name)
                    }
                }
            }))
        };
        session.host.print(Outcome::plain(plain).json(json!(items)));
        Ok(())
    }
}

#[derive(Debug, Args)]
pub(super) struct Delete {
    /// The name of the node
    name: Option<NodeArgument>,
    /// Delete all nodes
    #[arg(long, conflicts_with = "name")]
    all: bool,
    /// Do not ask for confirmation
    #[arg(short, long)]
    yes: bool,
    /// Has no effect any more
    #[arg(short, long, hide = true)]
    force: bool,
}

impl Run for Delete {
    const NOUN: &'static Noun = &NOUN;
    const VERB: &'static str = "delete";

    fn examples() -> Vec<Example> {
        vec![
            Example::new("One node, without a question", "ockam node delete n1 --yes"),
            Example::new("Every node", "ockam node delete --all --yes"),
        ]
    }

    async fn run<'a>(self, session: &'a Session<'a>) -> Result<(), Failure> {
        if self.force {
            deprecated(session, "--force", "it has no effect");
        }
        let state = session.open().await?;
        let stored = state.nodes().await?;
        let name = self.name.map(|NodeArgument(name)| name.to_string());
        let chosen = Chosen {
            name,
            all: self.all,
            yes: self.yes,
        };
        flow::delete(session, &NOUN, &names(&stored), chosen, async |name| {
            nodes::delete(&state, find(&stored, name)?).await?;
            let plain = text::done(format!("The node with name {name} has been deleted"));
            Ok(Outcome::plain(plain)
                .machine(name)
                .json(json!({ "name": name })))
        })
        .await
    }
}

#[derive(Debug, Args)]
pub(super) struct Default {
    /// The node that becomes the default
    name: Option<NodeArgument>,
}

impl Run for Default {
    const NOUN: &'static Noun = &NOUN;
    const VERB: &'static str = "default";

    fn examples() -> Vec<Example> {
        vec![
            Example::new("Which node acts where none is named", "ockam node default"),
            Example::new("Make it another one", "ockam node default n1"),
        ]
    }

    async fn run<'a>(self, session: &'a Session<'a>) -> Result<(), Failure> {
        let state = session.open().await?;
        let outcome = match self.name {
            Some(NodeArgument(name)) => {
                state
                    .store()
                    .set_default_node(&name)
                    .await
                    .map_err(crate::state::refused)?;
                Outcome::plain(text::done(format!("The node '{name}' is now the default")))
                    .machine(name.as_str())
            }
            None => {
                let node = state.default_node().await?;
                Outcome::plain(text::info(format!("The default node is '{}'", node.name)))
            }
        };
        session.host.print(outcome);
        Ok(())
    }
}

fn names(nodes: &[NodeRecord]) -> Vec<String> {
    nodes.iter().map(|node| node.name.to_string()).collect()
}

fn find<'n>(nodes: &'n [NodeRecord], name: &str) -> Result<&'n NodeRecord, Failure> {
    nodes
        .iter()
        .find(|node| node.name.as_str() == name)
        .ok_or_else(|| flow::not_found(&NOUN, name))
}
