//! `ockam node logs`.

use clap::Args;
use serde_json::json;

use crate::command::{Run, Session, text};
use crate::home::nodes;
use crate::noun::node::NOUN;
use crate::outcome::{Failure, Outcome};
use crate::table::Noun;
use crate::value::NodeArgument;

#[derive(Debug, Args)]
pub(in crate::command) struct Logs {
    /// The name of the node
    name: Option<NodeArgument>,
}

impl Run for Logs {
    const NOUN: &'static Noun = &NOUN;
    const VERB: &'static str = "logs";

    async fn run<'a>(self, session: &'a Session<'a>) -> Result<(), Failure> {
        let state = session.open().await?;
        let node = session.node(&state, self.name.as_ref()).await?;
        let path = nodes::newest_log(&state, &node.name)?;
        let path = path.display().to_string();
        session.host.print(
            Outcome::plain(text::done(format!(
                "The newest log file of Node {} is {path}",
                node.name
            )))
            .machine(path.clone())
            .json(json!({ "path": path })),
        );
        Ok(())
    }
}
