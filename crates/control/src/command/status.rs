//! `ockam status`: what there is on this machine. No network is asked.

use std::time::Duration;

use clap::Args;
use ockam_store::IdentityRecord;
use serde_json::json;

use crate::command::node::resources_of_all;
use crate::command::{Example, Run, Session, text};
use crate::home::identities;
use crate::noun::node::{NodeResources, NodeStatus};
use crate::noun::status::{Enrollment, IdentityStatus, NOUN, OrchestratorVersion, Status};
use crate::outcome::{Failure, Outcome};
use crate::state::refused;
use crate::table::Noun;
use crate::value::DurationText;

#[derive(Debug, Args)]
pub(super) struct Show {
    /// How long to wait for answers
    #[arg(long, value_name = "DURATION", default_value = "10s")]
    timeout: DurationText,
}

impl Run for Show {
    const NOUN: &'static Noun = &NOUN;
    const VERB: &'static str = "";

    fn examples() -> Vec<Example> {
        vec![
            Example::new("What there is on this machine", "ockam status"),
            Example::new("For a script", "ockam status --output json"),
        ]
    }

    async fn run<'a>(self, session: &'a Session<'a>) -> Result<(), Failure> {
        let state = session.open().await?;
        let known = state.store().identities().await.map_err(refused)?;
        let nodes = state.nodes().await?;
        let patience = self.timeout.0.min(Duration::from_secs(1));
        let status = Status {
            ockam_version: session.host.version(),
            orchestrator_version: OrchestratorVersion::default(),
            spaces: Vec::new(),
            projects: Vec::new(),
            identities: known.iter().map(identity).collect(),
            nodes: resources_of_all(session, &state, &nodes, patience).await?,
        };
        session
            .host
            .print(Outcome::plain(describe(&status)).json(json!(status)));
        Ok(())
    }
}

fn identity(record: &IdentityRecord) -> IdentityStatus {
    let item = identities::item(record);
    IdentityStatus {
        identifier: item.identifier,
        name: item.name,
        is_default: item.is_default,
        status: Enrollment::NotEnrolled,
    }
}

fn describe(status: &Status) -> String {
    let absent = || "N/A".to_owned();
    let orchestrator = &status.orchestrator_version;
    let mut lines = vec![
        text::more(format!(
            "Ockam version: {} ({})",
            status.ockam_version.version, status.ockam_version.hash
        )),
        text::more(format!(
            "Orchestrator version: {}",
            orchestrator.version.clone().unwrap_or_else(absent)
        )),
        text::more(format!(
            "Project version: {}",
            orchestrator.project_version.clone().unwrap_or_else(absent)
        )),
    ];
    let mut section = |title: &str, empty: &str, items: Vec<String>| {
        if items.is_empty() {
            lines.push(text::info(empty));
        } else {
            lines.push(text::more(format!("{title}:")));
            lines.extend(items.iter().map(|item| text::more(format!("  {item}"))));
        }
    };
    section(
        "Identities",
        "No Identities found on this machine",
        status.identities.iter().map(identity_line).collect(),
    );
    section(
        "Nodes",
        "No Nodes found on this machine",
        status.nodes.iter().map(node_line).collect(),
    );
    lines.join("\n")
}

fn identity_line(identity: &IdentityStatus) -> String {
    let Enrollment::NotEnrolled = identity.status;
    let mark = default_mark(identity.is_default);
    format!(
        "{}{mark} {} not enrolled",
        identity.name, identity.identifier
    )
}

fn node_line(node: &NodeResources) -> String {
    let mark = default_mark(node.is_default);
    match node.status {
        NodeStatus::Running { pid } => format!(
            "{}{mark} is UP, with PID {pid}, {}, {}",
            node.name,
            text::count(node.inlets.len(), "inlet"),
            text::count(node.outlets.len(), "outlet")
        ),
        NodeStatus::Zombie { pid } => format!("{}{mark} is a ZOMBIE, with PID {pid}", node.name),
        NodeStatus::Stopped => format!("{}{mark} is DOWN", node.name),
    }
}

fn default_mark(is_default: bool) -> &'static str {
    if is_default { " (default)" } else { "" }
}
