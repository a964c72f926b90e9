//! `ockam relay`, formerly `ockam forwarder`.

use std::time::Duration;

use clap::Args;
use ockam_identity::Identifier;
use ockam_store::NodeRecord;
use ockam_wire::{MultiAddr, Protocol};
use serde_json::json;

use crate::command::argument::{Allow, At, Retry, deprecated};
use crate::command::flow::Chosen;
use crate::command::item::{self, Listed, Named};
use crate::command::{Example, Note, Run, Session, text, way};
use crate::home::projects;
use crate::noun::relay::{NOUN, Relay, RelayInfo, RelaySpec};
use crate::outcome::{Failure, Outcome};
use crate::record::Connection;
use crate::state::{State, no_default_project};
use crate::table::Noun;
use crate::value::{Alias, DurationText, NodeArgument};

#[derive(Debug, Args)]
pub(super) struct Create {
    /// The name of the relay
    #[arg(default_value = "default")]
    name: Alias,
    /// The node that is to be reached through the relay; the default node when none is given
    #[arg(long, value_name = "NODE")]
    to: Option<NodeArgument>,
    /// The route to the node that relays, or the name of a local node; the default project when none is given
    #[arg(long, value_name = "ROUTE")]
    at: Option<String>,
    /// The only identifier accepted at the far end
    #[arg(long, value_name = "IDENTIFIER")]
    authorized: Option<Identifier>,
    #[command(flatten)]
    allow: Allow,
    /// The name asked for at the far node, when it differs
    #[arg(long, value_name = "NAME")]
    relay_address: Option<Alias>,
    /// Has no effect any more
    #[arg(long, hide = true)]
    project_relay: bool,
    /// Do not wait for the far side
    #[arg(long)]
    no_connection_wait: bool,
    #[command(flatten)]
    retry: Retry,
}

impl Run for Create {
    const NOUN: &'static Noun = &NOUN;
    const VERB: &'static str = "create";

    fn examples() -> Vec<Example> {
        vec![
            Example::new(
                "Make the default node reachable in the default project",
                "ockam relay create",
            ),
            Example::new(
                "The same under a name, for several nodes in one project",
                "ockam relay create postgres",
            ),
            Example::new(
                "Make node n1 reachable at the node relay",
                "ockam relay create n1 --at /node/relay --to n1",
            ),
            Example::new(
                "At a relay on another machine",
                "ockam relay create n1 --at /dnsaddr/relay.example/tcp/4000 --to n1",
            ),
        ]
    }

    async fn run<'a>(self, session: &'a Session<'a>) -> Result<(), Failure> {
        if self.project_relay {
            deprecated(session, "--project-relay", "it has no effect");
        }
        let allow = self.allow.policy(session);
        let given = at_route(self.at.as_deref())?;
        if given.is_none() {
            session.check_default_project(WHICH_NODE).await?;
        }
        let state = session.open().await?;
        let at = match given {
            Some(at) => at,
            None => at_default_project(&state).await?,
        };
        if self.authorized.is_some() && matches!(at.protocols().last(), Some(Protocol::Project(_)))
        {
            // spec: command 3.9.3 (not with a project)
            return Err(Failure::new(
                "--authorized cannot be used with a project: who is there is part of it",
            ));
        }
        // A route that leads nowhere is refused before a node is made for it.
        state.replace_nodes(&at).await?;
        let node = session.node_or_new(&state, self.to.as_ref()).await?;
        let client = session.client(&state, &node)?;
        let wait = Duration::from_secs(10).min(session.timeout()?);
        let spec = RelaySpec {
            name: self.name,
            at,
            relay_address: self.relay_address,
            authorized: self.authorized,
            identity: None,
            allow,
            connection_wait: (!self.no_connection_wait).then_some(DurationText(wait)),
        };
        session
            .host
            .waiting(&format!("Waiting for {} to take the relay", spec.at));
        let relay = self
            .retry
            .run(session, async || client.create::<Relay>(&spec).await)
            .await?;
        let plain;
        let mut outcome = Outcome::default().json(json!(relay));
        match (&relay.remote_address, relay.connection_status) {
            // spec: command 3.17 (trap 30): the address is printed only when it is known to work.
            (Some(address), Connection::Up) if !self.no_connection_wait => {
                let address = text::service(address);
                plain = [
                    text::done(format!(
                        "Relay will be accessible at {}{address}",
                        relay.destination_address
                    )),
                    text::more(format!("and forward to Node {}", node.name)),
                ]
                .join("\n");
                outcome = outcome.machine(address);
            }
            _ => {
                plain = text::done(format!(
                    "Relay {} to Node {} will be set up at {} as soon as that takes it",
                    relay.name, node.name, relay.destination_address
                ));
                if !self.no_connection_wait {
                    let why = relay
                        .last_failure
                        .as_deref()
                        .unwrap_or("there was no answer");
                    session.host.note(Note::Warning(format!(
                        "The relay is not connected yet: {why}"
                    )));
                    if let Some(help) = state.why_unconnected(&spec.at, &node).await {
                        session.host.note(Note::Line(help));
                    }
                }
            }
        }
        outcome.plain = plain;
        session.host.print(outcome);
        Ok(())
    }
}

/// Where a relay is made, when that was said. A plain word is a node of this machine.
fn at_route(at: Option<&str>) -> Result<Option<MultiAddr>, Failure> {
    let invalid = |error: &ockam_wire::MultiAddrError| {
        Failure::new("Argument '--at' is invalid").caused_by(error)
    };
    match at {
        Some("") | None => Ok(None),
        Some(route) if route.contains('/') => {
            route.parse().map(Some).map_err(|error| invalid(&error))
        }
        Some(name) => MultiAddr::new([Protocol::Node(name.to_owned())])
            .map(Some)
            .map_err(|error| invalid(&error)),
    }
}

async fn at_default_project(state: &State) -> Result<MultiAddr, Failure> {
    let Some(project) = projects::default(state).await? else {
        return Err(no_default_project().help(WHICH_NODE));
    };
    projects::way(state, project.name.as_str())
        .await
        .map_err(|failure| failure.help(OTHER_NODE))?;
    projects::named(&project)
}

const WHICH_NODE: &str = "`ockam enroll` gives you a project; or say with --at which node relays";
const OTHER_NODE: &str = "say with --at which node relays";

#[derive(Debug, Args)]
pub(super) struct List {
    /// The node whose relays to list; the default node when none is given
    #[arg(long, alias = "at", value_name = "NODE")]
    to: Option<NodeArgument>,
}

impl Run for List {
    const NOUN: &'static Noun = &NOUN;
    const VERB: &'static str = "list";

    fn examples() -> Vec<Example> {
        vec![Example::new(
            "The relays of a node",
            "ockam relay list --to n1",
        )]
    }

    async fn run<'a>(self, session: &'a Session<'a>) -> Result<(), Failure> {
        item::list::<Relay>(session, self.to.as_ref()).await
    }
}

#[derive(Debug, Args)]
pub(super) struct Delete {
    /// The name of the relay
    name: Option<Alias>,
    #[command(flatten)]
    at: At,
    /// Do not ask for confirmation
    #[arg(short, long)]
    yes: bool,
}

impl Run for Delete {
    const NOUN: &'static Noun = &NOUN;
    const VERB: &'static str = "delete";

    fn examples() -> Vec<Example> {
        vec![Example::new(
            "Without a question",
            "ockam relay delete n1 --yes",
        )]
    }

    async fn run<'a>(self, session: &'a Session<'a>) -> Result<(), Failure> {
        let chosen = Chosen {
            name: self.name.map(String::from),
            all: false,
            yes: self.yes,
        };
        item::delete::<Relay>(session, self.at.at.as_ref(), chosen).await
    }
}

/// A relay with the hops to the node that relays below it.
pub(super) fn drawing(relay: &RelayInfo) -> String {
    let said = way::says_why(&relay.hops);
    let mut head = Relay::line(&RelayInfo {
        last_failure: relay.last_failure.clone().filter(|_| !said),
        ..relay.clone()
    });
    if let Some(remote) = &relay.remote_address {
        let address = text::service(remote);
        head.push_str(&format!(
            "\nreached at {}{address}",
            relay.destination_address
        ));
    }
    way::below(head, &relay.hops)
}

impl Listed for Relay {
    const TITLE: &'static str = "Relay";

    fn line(relay: &RelayInfo) -> String {
        let mut line = format!(
            "Relay {} is {} at {}",
            relay.name, relay.connection_status, relay.destination_address
        );
        if let Some(why) = &relay.last_failure {
            line.push_str(&format!("\nlast failure: {why}"));
        }
        line
    }
}

impl Named for Relay {
    const NAME_HELP: &'static str = "The name of the relay";

    fn name(relay: &RelayInfo) -> String {
        relay.name.clone()
    }

    fn shown(relay: &RelayInfo, _node: &NodeRecord) -> Outcome {
        Outcome::plain(text::block(&drawing(relay)))
            .machine(relay.name.as_str())
            .json(json!({
                "name": relay.name,
                "destination": relay.destination_address,
                "connection_status": relay.connection_status,
                "relay_route": relay.forwarding_route,
                "remote_address": relay.remote_address.as_deref().map(text::service),
                "worker_address": relay.worker_address.as_deref().map(|address| {
                    text::service(address.strip_prefix("0#").unwrap_or(address))
                }),
                "hops": relay.hops,
            }))
    }

    fn deleted(done: Outcome, _name: &str, _node: &NodeRecord) -> Outcome {
        done
    }
}
