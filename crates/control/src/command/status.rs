//! `ockam status`: what there is on this machine, and which Orchestrator it is enrolled with.

use std::time::Duration;

use clap::Args;
use ockam_store::{ControllerEnrollmentRecord, IdentityRecord};
use ockam_wire::{MultiAddr, Protocol};
use serde_json::{Value, json};

use crate::command::argument::Identity;
use crate::command::asking::Asking;
use crate::command::node::resources_of_all;
use crate::command::{Example, Run, Session, text};
use crate::home::{identities, projects, spaces};
use crate::noun::node::{NodeResources, NodeStatus};
use crate::noun::status::{Enrollment, IdentityStatus, NOUN, OrchestratorVersion, Status};
use crate::outcome::{Failure, Outcome};
use crate::state::{State, refused};
use crate::table::Noun;
use crate::value::{DurationText, iso_8601};

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
        let enrolled = state
            .store()
            .controller_enrollments()
            .await
            .map_err(refused)?;
        let nodes = state.nodes().await?;
        let patience = self.timeout.0.min(Duration::from_secs(1));
        let status = Status {
            ockam_version: session.host.version(),
            orchestrator_version: version(session, self.timeout.0).await?,
            spaces: spaces_of(&state).await?,
            projects: projects_of(&state).await?,
            identities: known
                .iter()
                .map(|record| identity(record, &enrolled))
                .collect(),
            nodes: resources_of_all(session, &state, &nodes, patience).await?,
        };
        session
            .host
            .print(Outcome::plain(describe(&status)).json(json!(status)));
        Ok(())
    }
}

/// What the controller says that it is; nothing when nobody here is enrolled, or it cannot be asked (spec: command 3.9.7).
async fn version(session: &Session<'_>, limit: Duration) -> Result<OrchestratorVersion, Failure> {
    let Some(asking) = Asking::if_enrolled(session, &Identity::default()).await? else {
        return Ok(OrchestratorVersion::default());
    };
    session.host.waiting("Asking the Orchestrator");
    let asked = tokio::time::timeout(limit, asking.client.version()).await;
    let told = asked.ok().and_then(Result::ok);
    Ok(
        told.map_or_else(OrchestratorVersion::default, |told| OrchestratorVersion {
            version: told.version,
            project_version: told.project_version,
        }),
    )
}

async fn spaces_of(state: &State) -> Result<Vec<Value>, Failure> {
    let known = state.store().spaces().await.map_err(refused)?;
    known
        .iter()
        .map(|record| spaces::view(record).map(|view| json!(view)))
        .collect()
}

/// With the addresses that a firewall has to let through (spec: command 3.10).
async fn projects_of(state: &State) -> Result<Vec<Value>, Failure> {
    let known = state.store().projects().await.map_err(refused)?;
    known
        .iter()
        .map(|record| {
            let view = projects::view(record)?;
            let access = address(&view.access_route);
            let authority = view.authority_access_route.as_deref().and_then(address);
            let mut allow: Vec<&String> = access.iter().chain(&authority).collect();
            allow.dedup();
            let allow = json!(allow);
            let mut json = json!(view);
            if let Some(project) = json.as_object_mut() {
                project.insert("egress_allow_list".to_owned(), allow);
                project.insert("access_address".to_owned(), json!(access));
                project.insert("authority_access_address".to_owned(), json!(authority));
            }
            Ok(json)
        })
        .collect()
}

/// The host and port that a route begins with.
fn address(route: &str) -> Option<String> {
    let route: MultiAddr = route.parse().ok()?;
    match route.protocols() {
        [Protocol::Ip4(ip), Protocol::Tcp(port), ..] => Some(format!("{ip}:{port}")),
        [Protocol::Ip6(ip), Protocol::Tcp(port), ..] => Some(format!("[{ip}]:{port}")),
        [Protocol::DnsAddr(name), Protocol::Tcp(port), ..] => Some(format!("{name}:{port}")),
        _ => None,
    }
}

fn identity(record: &IdentityRecord, enrolled: &[ControllerEnrollmentRecord]) -> IdentityStatus {
    let item = identities::item(record);
    let mut enrolled = enrolled.iter();
    let enrolled = enrolled.find(|enrolled| enrolled.identity == record.identifier);
    IdentityStatus {
        identifier: item.identifier,
        name: item.name,
        is_default: item.is_default,
        status: enrolled.map_or(Enrollment::NotEnrolled, |enrolled| Enrollment::Enrolled {
            at: iso_8601(enrolled.enrolled_at),
            email: enrolled.email.clone(),
        }),
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
    let named = |items: &[Value]| -> Vec<String> {
        let names = items.iter().filter_map(|item| item.get("name")?.as_str());
        names.map(str::to_owned).collect()
    };
    if !status.spaces.is_empty() {
        section("Spaces", "", named(&status.spaces));
    }
    if !status.projects.is_empty() {
        section("Projects", "", named(&status.projects));
    }
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
    let mark = default_mark(identity.is_default);
    let status = match &identity.status {
        Enrollment::NotEnrolled => "not enrolled".to_owned(),
        Enrollment::Enrolled { email: None, .. } => "enrolled".to_owned(),
        Enrollment::Enrolled {
            email: Some(email), ..
        } => format!("enrolled as {email}"),
    };
    format!("{}{mark} {} {status}", identity.name, identity.identifier)
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
