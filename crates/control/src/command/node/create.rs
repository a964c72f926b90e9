//! `ockam node create`.

use std::time::Duration;

use clap::Args;
use ockam_identity::EnrollmentTicket;
use ockam_store::{IdentityName, IfRunning, NodeName, NodeRecord};
use serde_json::json;
use zeroize::Zeroizing;

use crate::command::argument::{Identity, Trust, deprecated, refuse_flag};
use crate::command::node::configured;
use crate::command::node::show::resources;
use crate::command::{ChildOutput, Example, Note, Run, Session, Stdin, project, text};
use crate::configuration::{self, Source};
use crate::home::{identities, nodes, trust};
use crate::managed::{
    self, ManagedNode, NodeSettings, Posture, Start, StatusEndpoint, posture_of, services_of,
    trust_of,
};
use crate::noun::node::{NOUN, NodeStatus};
use crate::noun::node_services::NodeServices;
use crate::outcome::{Failure, Outcome};
use crate::state::{State, status_of};
use crate::table::Noun;
use crate::value::{DurationText, HostPort};

#[derive(Debug, Args)]
pub(in crate::command) struct Create {
    /// The name of the node, or its configuration: a file, a URL or YAML; a random name when none is given
    pub(super) name_or_configuration: Option<String>,
    /// What the node is to run: YAML, a file or a URL
    #[arg(long, visible_alias = "node-config", value_name = "YAML")]
    pub(super) configuration: Option<String>,
    /// The ticket with which the identity of the node becomes a member of a project: itself, a file or a URL
    #[arg(long, value_name = "TICKET")]
    enrollment_ticket: Option<String>,
    /// A variable of the configuration; repeat for several
    #[arg(long, value_name = "NAME=VALUE")]
    pub(super) variable: Vec<String>,
    /// Run in this process and end with it
    #[arg(short, long)]
    pub(super) foreground: bool,
    /// End when standard input ends
    #[arg(short, long, requires = "foreground")]
    exit_on_eof: bool,
    /// Do not look whether a node of this name runs already
    #[arg(short, long)]
    pub(super) skip_is_running_check: bool,
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
    #[arg(long, value_name = "ADDRESS", value_parser = ip_port)]
    status_endpoint: Option<std::net::SocketAddr>,
    /// The port where to answer health checks
    #[arg(long, alias = "http-server-port", value_name = "PORT", hide = true, conflicts_with_all = ["status_endpoint", "no_status_endpoint"])]
    status_endpoint_port: Option<u16>,
    /// Has no effect any more
    #[arg(long, alias = "enable-http-server", hide = true)]
    http_server: bool,
    /// Deny what nobody allowed: plain connections, outlets and relays without a policy, hops
    #[arg(long)]
    strict: bool,
    #[command(flatten)]
    identity: Identity,
    #[command(flatten)]
    trust: Trust,
    /// How long a key of its channels lives; it is replaced when two thirds of that have passed [default: 30d]
    #[arg(long, value_name = "DURATION")]
    purpose_key_lifetime: Option<DurationText>,
    /// How long the authority may be out of reach before its members are no longer trusted; until their credentials end
    /// when it is not given
    #[arg(long, value_name = "DURATION")]
    max_stale: Option<DurationText>,
    /// Use UDP too
    #[arg(long, alias = "enable-udp", hide = true)]
    udp: bool,
    /// Further services: JSON or a file, {"services":{"secure-channel-listener":{"address":"a"}}}
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
    /// Refuses what is not offered.
    pub(super) fn check(&self, session: &Session<'_>) -> Result<(), Failure> {
        self.trust.check()?;
        if let Some(lifetime) = self.purpose_key_lifetime {
            managed::check_key_lifetime(lifetime)?;
        }
        if self.max_stale.is_some_and(|stale| stale.0 < SHORTEST_STALE) {
            return Err(Failure::new(
                "--max-stale is at least 3s: authorities are asked once a second at most",
            ));
        }
        refuse_flag("--udp", self.udp)?;
        refuse_flag(
            "--udp-listener-address without --udp",
            self.udp_listener_address.port() != 0,
        )?;
        match self.node_services()? {
            Some(services) => services.check()?,
            None if self.services.is_some() && !self.child_process => {
                session.host.note(Note::Warning(
                    "--services has no key `services` and is passed over".to_owned(),
                ));
            }
            None => {}
        }
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

    /// The ticket that was given, unless the one who starts this process has redeemed it.
    pub(super) fn ticket(&self, session: &Session<'_>) -> Option<Zeroizing<String>> {
        if self.child_process || session.is_applying() {
            return None;
        }
        let given = self.enrollment_ticket.clone();
        given
            .or_else(|| session.host.variable("ENROLLMENT_TICKET"))
            .filter(|ticket| !ticket.is_empty())
            .map(Zeroizing::new)
    }

    /// Makes the identity of the node a member of the project of a ticket, which the node then trusts.
    pub(super) async fn enroll(
        &mut self,
        session: &Session<'_>,
        state: &State,
        name: &NodeName,
        ticket: EnrollmentTicket,
    ) -> Result<(), Failure> {
        let named = self.identity_of(state, name).await?;
        session.unlock_for(state, named.as_ref()).await?;
        let identity = match named {
            Some(_) => {
                let spec = identities::IdentitySpec {
                    name: named,
                    ..identities::IdentitySpec::default()
                };
                identities::create(state, spec).await?.into_record()
            }
            None => identities::find_or_default(state, None).await?,
        };
        let id = project::enroll_once(session, state, ticket, &identity).await?;
        if !self.trust.is_given() {
            self.trust = Trust::default().with_project(&id);
        }
        Ok(())
    }

    /// The configuration, when one was given.
    fn source(&self, session: &Session<'_>) -> Result<Option<Source>, Failure> {
        // A file of nodes names its nodes, whatever files there are.
        if session.is_applying() {
            return Ok(None);
        }
        let named = self.name_or_configuration.as_deref();
        match (named.and_then(Source::of_argument), &self.configuration) {
            (Some(_), Some(_)) => Err(Failure::new(
                "the configuration is given twice, as first argument and with --configuration",
            )),
            (Some(source), None) => Ok(Some(source)),
            (None, Some(text)) => Ok(Some(Source::of_option(text))),
            (None, None) if !self.variable.is_empty() => Err(Failure::new(
                "--variable is for a configuration, and there is none",
            )),
            (None, None) => Ok(None),
        }
    }

    /// The name given, if the positional argument is one.
    pub(super) fn given_name(&self) -> Result<Option<NodeName>, Failure> {
        let Some(text) = &self.name_or_configuration else {
            return Ok(None);
        };
        text.parse()
            .map(Some)
            .map_err(|error: ockam_store::NameError| {
                let failure =
                    Failure::new(format!("Invalid value for NAME_OR_CONFIGURATION: {text}"))
                        .caused_by(&error);
                if text.contains(['/', '.']) {
                    failure.cause(format!("there is no file {text} either"))
                } else {
                    failure
                }
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

    /// The same with what a file says where nothing was typed (spec: command 3.11, precedence).
    pub(super) fn over(self, file: Self) -> Self {
        let udp_listener_address = if self.udp_listener_address.port() == 0 {
            file.udp_listener_address
        } else {
            self.udp_listener_address
        };
        let status_is_typed = self.no_status_endpoint
            || self.status_endpoint.is_some()
            || self.status_endpoint_port.is_some();
        Self {
            foreground: self.foreground || file.foreground,
            exit_on_eof: self.exit_on_eof || file.exit_on_eof,
            skip_is_running_check: self.skip_is_running_check || file.skip_is_running_check,
            tcp_listener_address: self.tcp_listener_address.or(file.tcp_listener_address),
            udp_listener_address,
            no_status_endpoint: if status_is_typed {
                self.no_status_endpoint
            } else {
                file.no_status_endpoint
            },
            status_endpoint: if status_is_typed {
                self.status_endpoint
            } else {
                file.status_endpoint
            },
            http_server: self.http_server || file.http_server,
            strict: self.strict || file.strict,
            identity: Identity {
                identity: self.identity.identity.or(file.identity.identity),
            },
            trust: self.trust.or(file.trust),
            max_stale: self.max_stale.or(file.max_stale),
            purpose_key_lifetime: self.purpose_key_lifetime.or(file.purpose_key_lifetime),
            udp: self.udp || file.udp,
            services: self.services.or(file.services),
            in_memory: self.in_memory || file.in_memory,
            opentelemetry_context: self.opentelemetry_context.or(file.opentelemetry_context),
            ..self
        }
    }

    /// In what a node that runs is not as it is asked to be, and cannot become while it runs.
    pub(super) fn differences(&self, node: &NodeRecord) -> Vec<String> {
        let mut differences = Vec::new();
        // What cannot be read was refused before.
        if let Ok(Some(wanted)) = self.node_services()
            && services_of(node).as_ref() != Some(&wanted)
        {
            differences.push("the services are not those asked for".to_owned());
        }
        if self.strict && posture_of(node) != Posture::Strict {
            differences.push("it is not strict".to_owned());
        }
        let mut differ = |what: &str, is: Option<&str>, wanted: String| {
            let is = is.unwrap_or("none");
            differences.push(format!("the {what} is {is}, not {wanted}"));
        };
        if let Some(wanted) = &self.tcp_listener_address {
            let is: Option<HostPort> = node.listener.as_deref().and_then(|text| text.parse().ok());
            // A name says nothing about the address it was bound to.
            let fits = is.is_some_and(|is| {
                let same_host = wanted.ip().is_none() || wanted.ip() == is.ip();
                same_host && (wanted.port() == 0 || wanted.port() == is.port())
            });
            if !fits {
                differ(
                    "TCP listener address",
                    node.listener.as_deref(),
                    wanted.to_string(),
                );
            }
        }
        if let Some(wanted) = &self.identity.identity
            && node.identity.as_ref() != Some(wanted)
        {
            let is = node.identity.as_ref().map(IdentityName::as_str);
            differ("identity", is, wanted.to_string());
        }
        match (self.status_endpoint(), node.status_endpoint.as_deref()) {
            (StatusEndpoint::Off, is @ Some(_)) => differ("status endpoint", is, "none".to_owned()),
            (StatusEndpoint::At(wanted), is)
                if is != Some(wanted.to_string().as_str()) && wanted.port() != 0 =>
            {
                differ("status endpoint", is, wanted.to_string());
            }
            _ => {}
        }
        differences
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

    /// The services that are asked for.
    fn node_services(&self) -> Result<Option<NodeServices>, Failure> {
        let Some(text) = &self.services else {
            return Ok(None);
        };
        let wrong = |why: String| {
            Failure::new("the value of --services is not understood")
                .cause(why)
                .help(r#"for example {"services":{"secure-channel-listener":{"address":"a"}}}"#)
        };
        let json = configuration::json_of(text).map_err(|failure| {
            failure
                .causes
                .into_iter()
                .fold(wrong(failure.message), Failure::cause)
        })?;
        match json.get("services") {
            Some(services) => serde_json::from_value(services.clone())
                .map(Some)
                .map_err(|error| wrong(error.to_string())),
            // spec: command 3.11 (without the outer key it is ignored)
            None => Ok(None),
        }
    }

    fn posture(&self, session: &Session<'_>) -> Posture {
        let asked = || session.host.variable("OCKAM_STRICT");
        if self.strict || asked().is_some_and(|value| is_true(&value)) {
            Posture::Strict
        } else {
            Posture::Published
        }
    }

    /// The arguments with which the background process is started.
    fn child_arguments(&self, name: &NodeName) -> Vec<String> {
        let mut arguments = Vec::new();
        let mut option = |name: &str, value: Option<String>| {
            if let Some(value) = value {
                arguments.push(format!("{name}={value}"));
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
        option("--services", self.services.clone());
        option(
            "--max-stale",
            self.max_stale.as_ref().map(ToString::to_string),
        );
        option(
            "--purpose-key-lifetime",
            self.purpose_key_lifetime
                .map(|lifetime| lifetime.to_string()),
        );
        match self.status_endpoint() {
            StatusEndpoint::Off => arguments.push("--no-status-endpoint".to_owned()),
            StatusEndpoint::At(address) => {
                arguments.extend(["--status-endpoint".to_owned(), address.to_string()]);
            }
            StatusEndpoint::Preferred => {}
        }
        arguments.extend(self.trust.words());
        if self.skip_is_running_check {
            arguments.push("--skip-is-running-check".to_owned());
        }
        if self.strict {
            arguments.push("--strict".to_owned());
        }
        // A name may look like an option.
        arguments.extend(["--".to_owned(), name.to_string()]);
        arguments
    }

    /// Runs the node in this process until it is to end. What comes `then` is done when it is ready; a node for which that
    /// fails ends.
    pub(super) async fn run_here(
        &self,
        session: &Session<'_>,
        state: State,
        name: NodeName,
        then: impl AsyncFnOnce() -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        session
            .unlock_for(&state, self.identity_of(&state, &name).await?.as_ref())
            .await?;
        let before = nodes::find(&state, &name).await?;
        let has_its_own = before.as_ref().is_some_and(|node| node.stands_apart);
        if self.identity.identity.is_none()
            && !has_its_own
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
        let trust = match self.trust.given(&state).await? {
            // What it trusted before is better than what is the default now.
            None if self.resume || before.as_ref().and_then(trust_of).is_some() => None,
            None => trust::by_default(&state).await?,
            given => given,
        };
        let settings = NodeSettings {
            name: name.clone(),
            listener: self.tcp_listener_address.clone(),
            identity: self.identity.identity.clone(),
            status_endpoint: self.status_endpoint(),
            services: self.node_services()?,
            posture: self.posture(session),
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
            trust,
            max_stale: self.max_stale,
            portal_chunk: session.parsed_variable("OCKAM_TCP_PORTAL_PAYLOAD_LENGTH")?,
            purpose_key_lifetime: self.purpose_key_lifetime,
            authority: None,
            orchestrator: None,
            orchestrates: session.host.orchestrates(),
            database: session.database_access()?,
        };
        let start = settings.start;
        session.host.waiting(&format!("Starting Node {name}"));
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
        let told = Outcome::plain(plain.join("\n")).machine(name.as_str());
        session.host.print(match start {
            Start::Create => told.json(json!(resources)),
            // The parent writes the JSON; twice would be two documents.
            Start::Resume => told,
        });
        if let Err(failure) = then().await {
            node.stop().await?;
            return Err(failure);
        }
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

    fn examples() -> Vec<Example> {
        vec![
            Example::new("A node with a random name", "ockam node create"),
            Example::new(
                "A node that others can connect to",
                "ockam node create relay --tcp-listener-address 0.0.0.0:4000",
            ),
            Example::new(
                "A node and all it runs, from a file",
                "ockam node create ./node.yaml",
            ),
            Example::new(
                "A node that serves nobody who was not allowed to",
                "ockam node create n1 --strict",
            ),
            Example::new(
                "A node in this process, until Ctrl-C",
                "ockam node create n1 --foreground",
            ),
        ]
    }

    async fn run<'a>(mut self, session: &'a Session<'a>) -> Result<(), Failure> {
        if let Some(source) = self.source(session)? {
            return Box::pin(configured::create(session, self, source)).await;
        }
        self.check(session)?;
        let ticket = match self.ticket(session) {
            Some(text) => Some(project::read_ticket(session, Some(&text)).await?),
            None => None,
        };
        let state = session.open().await?;
        let name = self.name(&state).await?;
        let stays_here = self.foreground && !session.is_applying();
        if !stays_here
            && !self.skip_is_running_check
            && let Some(node) = nodes::find(&state, &name).await?
            && status_of(&node).is_running()
        {
            if !session.is_applying() {
                return Err(nodes::already_running(&name));
            }
            return self.leave_running(session, &state, &node).await;
        }
        if let Some(ticket) = ticket {
            self.enroll(session, &state, &name, ticket).await?;
        }
        if stays_here {
            return self.run_here(session, state, name, async || Ok(())).await;
        }
        self.start(session, &name).await
    }
}

impl Create {
    /// The identity that was named, or the one the node had before.
    async fn identity_of(
        &self,
        state: &State,
        name: &NodeName,
    ) -> Result<Option<IdentityName>, Failure> {
        if self.identity.identity.is_some() {
            return Ok(self.identity.identity.clone());
        }
        let before = nodes::find(state, name).await?;
        Ok(before.and_then(|node| node.identity))
    }

    /// Starts the node in the background.
    pub(super) async fn start(
        &self,
        session: &Session<'_>,
        name: &NodeName,
    ) -> Result<(), Failure> {
        let state = session.open().await?;
        session
            .unlock_for(&state, self.identity_of(&state, name).await?.as_ref())
            .await?;
        session
            .host
            .spawn_node(&self.child_arguments(name), ChildOutput::Inherit)
            .await
    }

    /// Prints a node that runs as it is asked to be.
    ///
    /// # Errors
    /// It runs in another way, which cannot change while it runs.
    pub(super) async fn leave_running(
        &self,
        session: &Session<'_>,
        state: &State,
        node: &NodeRecord,
    ) -> Result<(), Failure> {
        let name = &node.name;
        let differences = self.differences(node);
        if !differences.is_empty() {
            let failure = nodes::already_running(name).help(format!(
                "that cannot change while it runs: stop it with `ockam node stop {name}` and run this command again"
            ));
            return Err(differences.into_iter().fold(failure, Failure::cause));
        }
        let resources = resources(session, state, node).await?;
        session.stays(&NOUN, name.as_str());
        let plain = text::info(format!("Node {name} is running already"));
        session.host.print(
            Outcome::plain(plain)
                .machine(name.as_str())
                .json(json!(resources)),
        );
        Ok(())
    }
}

fn ip_port(text: &str) -> Result<std::net::SocketAddr, &'static str> {
    text.parse()
        .map_err(|_| "write an IP address and a port, for example 127.0.0.1:4000")
}

fn is_true(value: &str) -> bool {
    matches!(value.to_ascii_lowercase().as_str(), "true" | "1" | "yes")
}

/// A node notices that its authority is silent by three questions without an answer, a second apart (spec: extensions 4.5.3).
const SHORTEST_STALE: Duration = Duration::from_secs(3);
