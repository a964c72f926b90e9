//! `ockam node`.

use std::path::Path;

use clap::Args;
use ockam_store::{IdentityName, IfRunning, NodeName, NodeRecord};
use serde_json::json;

use crate::command::argument::{Identity, Trust, deprecated, refuse, refuse_flag};
use crate::command::flow::{self, Chosen};
use crate::command::item::Listed;
use crate::command::{ChildOutput, Note, Run, Session, Stdin, service, tcp_listener, text};
use crate::home::nodes;
use crate::managed::{ManagedNode, NodeSettings, Start as StartOf, StatusEndpoint};
use crate::noun::node::{NOUN, NodeResources, NodeStatus};
use crate::noun::secure_channel_listener::SecureChannelListener;
use crate::noun::tcp_inlet::TcpInlet;
use crate::noun::tcp_outlet::TcpOutlet;
use crate::outcome::{Failure, Outcome};
use crate::state::{State, status_of};
use crate::table::Noun;
use crate::value::{HostPort, NodeArgument};

#[derive(Debug, Args)]
pub(super) struct Create {
    /// The name of the node; random when none is given
    name_or_configuration: Option<String>,
    /// What the node is to run, as YAML
    #[arg(long, visible_alias = "node-config", value_name = "YAML", hide = true)]
    configuration: Option<String>,
    /// The ticket of a project
    #[arg(long, value_name = "TICKET", hide = true)]
    enrollment_ticket: Option<String>,
    /// A variable of the configuration
    #[arg(long, value_name = "NAME=VALUE", hide = true)]
    variable: Vec<String>,
    /// Run in this process and end with it
    #[arg(short, long)]
    foreground: bool,
    /// End when standard input ends
    #[arg(short, long, requires = "foreground")]
    exit_on_eof: bool,
    /// Do not look whether a node of this name runs already
    #[arg(short, long)]
    skip_is_running_check: bool,
    /// Where other nodes connect; port 0 picks a free one
    #[arg(short, long, value_name = "ADDRESS")]
    tcp_listener_address: Option<HostPort>,
    /// Where the UDP transport listens
    #[arg(
        short,
        long,
        value_name = "ADDRESS",
        default_value = "127.0.0.1:0",
        hide = true
    )]
    udp_listener_address: HostPort,
    /// Do not answer health checks
    #[arg(long)]
    no_status_endpoint: bool,
    /// Where to answer health checks: IP:PORT
    #[arg(long, value_name = "ADDRESS")]
    status_endpoint: Option<std::net::SocketAddr>,
    /// The port where to answer health checks
    #[arg(long, value_name = "PORT", hide = true, conflicts_with_all = ["status_endpoint", "no_status_endpoint"])]
    status_endpoint_port: Option<u16>,
    /// Has no effect any more
    #[arg(long, alias = "enable-http-server", hide = true)]
    http_server: bool,
    #[command(flatten)]
    identity: Identity,
    #[command(flatten)]
    trust: Trust,
    /// Use UDP too
    #[arg(long, alias = "enable-udp", hide = true)]
    udp: bool,
    /// Further services
    #[arg(long, aliases = ["launch-configuration", "launch-config"], value_name = "CONFIGURATION", hide = true)]
    services: Option<String>,
    /// Keep nothing on disk
    #[arg(long, hide = true)]
    in_memory: bool,
    /// Set by this program when it starts itself
    #[arg(long, hide = true)]
    started_from_configuration: bool,
    /// Set by this program when it starts itself
    #[arg(long, hide = true)]
    child_process: bool,
    /// Set by this program when it starts a stopped node
    #[arg(long, hide = true)]
    resume: bool,
    /// Where the parent waits
    #[arg(long, value_name = "PORT", hide = true)]
    tcp_callback_port: Option<u16>,
    /// Accepted, has no effect
    #[arg(long, value_name = "JSON", hide = true)]
    opentelemetry_context: Option<String>,
}

impl Create {
    fn check(&self, session: &Session<'_>) -> Result<(), Failure> {
        refuse("--configuration", self.configuration.as_ref())?;
        let ticket = self
            .enrollment_ticket
            .clone()
            .or_else(|| session.host.variable("ENROLLMENT_TICKET"));
        refuse("--enrollment-ticket", ticket.as_ref())?;
        refuse("--variable", self.variable.first())?;
        self.trust.refuse()?;
        refuse_flag("--udp", self.udp)?;
        refuse_flag(
            "--udp-listener-address without --udp",
            self.udp_listener_address.port() != 0,
        )?;
        refuse("--services", self.services.as_ref())?;
        let in_memory = session
            .host
            .variable("OCKAM_SQLITE_IN_MEMORY")
            .is_some_and(|value| is_true(&value));
        refuse_flag(
            "--in-memory",
            self.in_memory || (in_memory && self.foreground),
        )?;
        if self.http_server {
            deprecated(
                session,
                "--http-server",
                "the status endpoint is on unless --no-status-endpoint is given",
            );
        }
        if self.status_endpoint_port.is_some() {
            deprecated(
                session,
                "--status-endpoint-port",
                "use --status-endpoint IP:PORT",
            );
        }
        Ok(())
    }

    /// The name given, if the positional argument is one.
    fn given_name(&self) -> Result<Option<NodeName>, Failure> {
        let Some(text) = &self.name_or_configuration else {
            return Ok(None);
        };
        if looks_like_configuration(text) {
            return Err(Failure::unsupported("a configuration of nodes"));
        }
        text.parse()
            .map(Some)
            .map_err(|error: ockam_store::NameError| {
                Failure::new(format!("Invalid value for NAME_OR_CONFIGURATION: {text}"))
                    .caused_by(&error)
            })
    }

    /// The name of the node: given, that of a stopped default node, or random.
    async fn name(&self, state: &State) -> Result<NodeName, Failure> {
        if let Some(name) = self.given_name()? {
            return Ok(name);
        }
        match state
            .store()
            .default_node()
            .await
            .map_err(crate::state::refused)?
        {
            Some(node) if status_of(&node) == NodeStatus::Stopped => Ok(node.name),
            _ => state.new_node_name().await,
        }
    }

    fn status_endpoint(&self) -> StatusEndpoint {
        match (
            self.no_status_endpoint,
            self.status_endpoint,
            self.status_endpoint_port,
        ) {
            // spec: command 3.9.1 (`--no-status-endpoint` wins)
            (true, _, _) => StatusEndpoint::Off,
            (_, Some(address), _) => StatusEndpoint::At(address),
            (_, None, Some(port)) => {
                StatusEndpoint::At((std::net::Ipv4Addr::LOCALHOST, port).into())
            }
            (_, None, None) => StatusEndpoint::Preferred,
        }
    }

    /// The arguments with which the background process is started.
    fn child_arguments(&self, name: &NodeName) -> Vec<String> {
        let mut arguments = Vec::new();
        let mut option = |name: &str, value: Option<String>| {
            if let Some(value) = value {
                arguments.extend([name.to_owned(), value]);
            }
        };
        option(
            "--tcp-listener-address",
            self.tcp_listener_address.as_ref().map(ToString::to_string),
        );
        option(
            "--identity",
            self.identity.identity.as_ref().map(IdentityName::to_string),
        );
        match self.status_endpoint() {
            StatusEndpoint::Off => arguments.push("--no-status-endpoint".to_owned()),
            StatusEndpoint::At(address) => {
                arguments.extend(["--status-endpoint".to_owned(), address.to_string()]);
            }
            StatusEndpoint::Preferred => {}
        }
        if self.skip_is_running_check {
            arguments.push("--skip-is-running-check".to_owned());
        }
        arguments.push(name.to_string());
        arguments
    }

    async fn run_here(
        &self,
        session: &Session<'_>,
        state: State,
        name: NodeName,
    ) -> Result<(), Failure> {
        if self.identity.identity.is_none()
            && state
                .store()
                .default_identity()
                .await
                .map_err(crate::state::refused)?
                .is_none()
        {
            session.host.note(Note::Info(
                "There is no identity yet, generating one".to_owned(),
            ));
        }
        let settings = NodeSettings {
            name: name.clone(),
            listener: self.tcp_listener_address.clone(),
            identity: self.identity.identity.clone(),
            status_endpoint: self.status_endpoint(),
            if_running: if self.skip_is_running_check {
                IfRunning::TakeOver
            } else {
                IfRunning::Refuse
            },
            start: if self.resume {
                StartOf::Resume
            } else {
                StartOf::Create
            },
        };
        let node = ManagedNode::start(state, settings).await?;
        let resources = node.resources().await?;
        let mut plain = vec![text::done(format!("Created a new Node named {name}"))];
        if resources.is_default {
            plain.push(text::done(format!(
                "Marked {name} as your default Node, on this machine"
            )));
        }
        session.host.print(
            Outcome::plain(plain.join("\n"))
                .machine(name.as_str())
                .json(json!(resources)),
        );
        if let Some(port) = self.tcp_callback_port {
            session.host.ready(port).await?;
        }
        let stdin = if self.exit_on_eof {
            Stdin::EndsProcess
        } else {
            Stdin::Ignore
        };
        session.host.end_of_process(stdin).await;
        node.stop().await
    }
}

impl Run for Create {
    const NOUN: &'static Noun = &NOUN;
    const VERB: &'static str = "create";

    async fn run<'a>(self, session: &'a Session<'a>) -> Result<(), Failure> {
        self.check(session)?;
        let state = session.open().await?;
        let name = self.name(&state).await?;
        if self.foreground {
            return self.run_here(session, state, name).await;
        }
        if !self.skip_is_running_check
            && let Some(node) = nodes::find(&state, &name).await?
            && status_of(&node).is_running()
        {
            return Err(nodes::already_running(&name));
        }
        session
            .host
            .spawn_node(&self.child_arguments(&name), ChildOutput::Inherit)
            .await
    }
}

/// Whether the positional argument of `node create` is a configuration (spec: command 3.9.1): an URL, an existing file or an
/// inline map.
fn looks_like_configuration(text: &str) -> bool {
    text.contains("://")
        || text.contains('\n')
        || text.trim_start().starts_with('{')
        || (text.contains(':') && (text.contains('/') || text.contains(": ")))
        || Path::new(text).is_file()
}

fn is_true(value: &str) -> bool {
    matches!(value.to_ascii_lowercase().as_str(), "true" | "1" | "yes")
}

#[derive(Debug, Args)]
pub(super) struct Show {
    /// The name of the node
    name: Option<NodeArgument>,
}

impl Run for Show {
    const NOUN: &'static Noun = &NOUN;
    const VERB: &'static str = "show";

    async fn run<'a>(self, session: &'a Session<'a>) -> Result<(), Failure> {
        let state = session.open().await?;
        let stored = state.nodes().await?;
        let names = names(&stored);
        if let Some(NodeArgument(name)) = &self.name
            && !stored.is_empty()
        {
            // spec: command 3.8 (an unknown node has its own message)
            state.node(name).await?;
        }
        let default = stored
            .iter()
            .find(|node| node.is_default)
            .map(|node| node.name.to_string());
        let wanted = self.name.map(|NodeArgument(name)| name.to_string());
        flow::show(session, &NOUN, &names, wanted, default, async |name| {
            let node = find(&stored, name)?;
            let resources = resources(session, &state, node).await?;
            Ok(Outcome::plain(describe(&resources)).json(json!(resources)))
        })
        .await
    }
}

/// What a node runs: its own word when it answers at once, what is stored otherwise.
async fn resources(
    session: &Session<'_>,
    state: &State,
    node: &NodeRecord,
) -> Result<NodeResources, Failure> {
    if status_of(node).is_running() {
        // spec: command 3.9.1 (unreachable node: one second)
        let client = session
            .client(state, node)?
            .within(std::time::Duration::from_secs(1));
        if let Ok(resources) = client.ask(hyper::Method::GET, "/node", None::<&()>).await {
            return Ok(resources);
        }
    }
    Ok(nodes::stored_resources(node))
}

fn describe(node: &NodeResources) -> String {
    let mark = if node.is_default { " (default)" } else { "" };
    let mut lines = vec![format!("  {}{mark}:", node.name)];
    let mut more = |text: String| lines.push(text::more(text));
    match node.status {
        NodeStatus::Running { pid } => more(format!("The node is UP, with PID {pid}")),
        NodeStatus::Zombie { pid } => more(format!("The node is a ZOMBIE, with PID {pid}")),
        NodeStatus::Stopped => {
            more("The node is DOWN".to_owned());
            more("No process running".to_owned());
        }
    }
    match &node.route.verbose {
        Some(verbose) => more(format!("With route {} or {verbose}", node.route.short)),
        None => more(format!("With route {}", node.route.short)),
    }
    if let Some(address) = &node.status_endpoint_address {
        more(format!("Status endpoint listening at {address}"));
    }
    more(format!("Identity: {}", node.identity_name));
    let mut section = |title: &str, empty: &str, items: Vec<String>| {
        if items.is_empty() {
            more(empty.to_owned());
        } else {
            more(format!("{title}:"));
            items
                .iter()
                .flat_map(|item| item.lines())
                .for_each(|line| more(format!("  {line}")));
        }
    };
    section(
        "Transports",
        "No Transports",
        node.transports.iter().map(tcp_listener::line).collect(),
    );
    section(
        "Secure Channels",
        "No Secure Channels",
        node.secure_channel_listeners
            .iter()
            .map(SecureChannelListener::line)
            .collect(),
    );
    if node.inlets.is_empty() && node.outlets.is_empty() {
        section("Portals", "No Portals", Vec::new());
    } else {
        let portals = node
            .inlets
            .iter()
            .map(TcpInlet::line)
            .chain(node.outlets.iter().map(TcpOutlet::line));
        section("Portals", "No Portals", portals.collect());
    }
    section(
        "Services",
        "No Services",
        node.services.iter().map(service::line).collect(),
    );
    lines.join("\n")
}

#[derive(Debug, Args)]
pub(super) struct List {}

impl Run for List {
    const NOUN: &'static Noun = &NOUN;
    const VERB: &'static str = "list";

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
pub(super) struct Start {
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
pub(super) struct Stop {
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
pub(super) struct Logs {
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

#[derive(Debug, Args)]
pub(super) struct Default {
    /// The node that becomes the default
    name: Option<NodeArgument>,
}

impl Run for Default {
    const NOUN: &'static Noun = &NOUN;
    const VERB: &'static str = "default";

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn configurations_are_told_from_names() {
        for text in [
            "{name: n1}",
            "https://host/file",
            "host:8080/path",
            "name: n1",
            "a\nb",
        ] {
            assert!(looks_like_configuration(text), "{text}");
        }
        assert!(!looks_like_configuration("n1"));
    }
}
