//! `ockam orchestrator status` and `ockam orchestrator stop`.

use clap::Args;
use serde_json::json;

use crate::command::orchestrator::{here, join_string, view};
use crate::command::{Example, Run, Session, text};
use crate::home::{nodes, orchestrator};
use crate::noun::orchestrator::{NOUN, OrchestratorStatus};
use crate::outcome::{Failure, Outcome};
use crate::state::status_of;
use crate::table::Noun;

#[derive(Debug, Args)]
pub(in crate::command) struct Status {}

impl Run for Status {
    const NOUN: &'static Noun = &NOUN;
    const VERB: &'static str = "status";

    fn examples() -> Vec<Example> {
        vec![Example::new(
            "How others join it",
            "ockam orchestrator status --jq .join",
        )]
    }

    async fn run<'a>(self, session: &'a Session<'a>) -> Result<(), Failure> {
        let state = session.open().await?;
        let found = here(&state).await?;
        let status = status_of(&found.node);
        let running_view = match status.is_running() {
            true => Some(view(session, &state, &found.node).await?),
            false => None,
        };
        let join = running_view.as_ref().map(join_string).transpose()?;
        let is_administered = running_view
            .as_ref()
            .is_some_and(|view| view.counts.has_administrator);
        let status = OrchestratorStatus {
            node: found.node.name.to_string(),
            running: status.is_running(),
            pid: status.pid(),
            listener: found.node.listener.clone(),
            status_endpoint: found.node.status_endpoint.clone(),
            database: orchestrator::database_kind(&found.settings).to_owned(),
            join: join.map(|join| join.to_string()),
            // The file goes a moment after it was used.
            first_administrator: orchestrator::first_administrator(&state)
                .filter(|_| !is_administered)
                .map(|path| path.display().to_string()),
            running_view,
        };
        session
            .host
            .print(Outcome::plain(describe(&status)).json(json!(status)));
        Ok(())
    }
}

fn count(number: u64, one: &str) -> String {
    text::count(usize::try_from(number).unwrap_or(usize::MAX), one)
}

fn describe(status: &OrchestratorStatus) -> String {
    let mut lines = Vec::new();
    match &status.running_view {
        Some(view) => {
            let counts = &view.counts;
            lines.push(format!(
                "The Orchestrator runs, process {}",
                status.pid.unwrap_or_default()
            ));
            if let Some(join) = &status.join {
                lines.push(format!("Join string: {join}"));
            }
            lines.push(format!(
                "{}, {}, {}, {}",
                count(counts.accounts, "account"),
                count(counts.projects, "project"),
                count(counts.relays, "relay"),
                count(counts.connections, "connection"),
            ));
        }
        None => lines.push(
            "The Orchestrator does not run; start it with `ockam orchestrator start`".to_owned(),
        ),
    }
    let listener = status.listener.as_deref().unwrap_or("nowhere yet");
    lines.push(format!("Listens at: {listener}"));
    if let Some(endpoint) = &status.status_endpoint {
        lines.push(format!("Health and metrics: http://{endpoint}"));
    }
    lines.push(format!("Database: {}", status.database));
    if let Some(path) = &status.first_administrator {
        lines.push(format!(
            "Nobody administers it yet: who enrolls with the code in {path} does"
        ));
    }
    text::block(&lines.join("\n"))
}

#[derive(Debug, Args)]
pub(in crate::command) struct Stop {}

impl Run for Stop {
    const NOUN: &'static Noun = &NOUN;
    const VERB: &'static str = "stop";

    fn examples() -> Vec<Example> {
        vec![Example::new(
            "It keeps everything, and `ockam orchestrator start` goes on",
            "ockam orchestrator stop",
        )]
    }

    async fn run<'a>(self, session: &'a Session<'a>) -> Result<(), Failure> {
        let state = session.open().await?;
        let found = here(&state).await?;
        if !status_of(&found.node).is_running() {
            session
                .host
                .print(Outcome::plain(text::info("The Orchestrator does not run")));
            return Ok(());
        }
        nodes::stop(&state, &found.node).await?;
        session
            .host
            .print(Outcome::plain(text::done("The Orchestrator was stopped")));
        Ok(())
    }
}
