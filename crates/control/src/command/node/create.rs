//! `ockam node create`.

use std::path::Path;

use clap::Args;
use ockam_store::{IdentityName, IfRunning, NodeName};
use serde_json::json;

use crate::command::argument::{Identity, Trust, deprecated, refuse, refuse_flag};
use crate::command::{ChildOutput, Note, Run, Session, Stdin, text};
use crate::home::nodes;
use crate::managed::{ManagedNode, NodeSettings, Start, StatusEndpoint};
use crate::noun::node::{NOUN, NodeStatus};
use crate::outcome::{Failure, Outcome};
use crate::state::{State, status_of};
use crate::table::Noun;
use crate::value::HostPort;

#[derive(Debug, Args)]
pub(in crate::command) struct Create {
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
                Start::Resume
            } else {
                Start::Create
            },
        };
        let start = settings.start;
        let node = ManagedNode::start(state, settings).await?;
        let resources = node.resources().await?;
        let created = match start {
            Start::Create => format!("Created a new Node named {name}"),
            Start::Resume => format!("Node {name} has been started"),
        };
        let mut plain = vec![text::done(created)];
        if resources.is_default && start == Start::Create {
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
