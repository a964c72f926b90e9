//! `ockam node show`.

use std::time::Duration;

use clap::Args;
use ockam_store::NodeRecord;
use serde_json::json;

use super::{find, names};
use crate::client::Client;
use crate::command::item::Listed;
use crate::command::{Example, Run, Session, flow, relay, service, tcp_inlet, tcp_listener, text};
use crate::home::nodes;
use crate::noun::node::{NOUN, NodeResources, NodeStatus};
use crate::noun::secure_channel_listener::SecureChannelListener;
use crate::noun::tcp_outlet::TcpOutlet;
use crate::noun::way::Ways;
use crate::outcome::{Failure, Outcome};
use crate::state::{State, status_of};
use crate::table::Noun;
use crate::value::NodeArgument;

#[derive(Debug, Args)]
pub(in crate::command) struct Show {
    /// The name of the node
    name: Option<NodeArgument>,
}

impl Run for Show {
    const NOUN: &'static Noun = &NOUN;
    const VERB: &'static str = "show";

    fn examples() -> Vec<Example> {
        vec![
            Example::new("The default node", "ockam node show"),
            Example::new(
                "Where a node listens, for a script",
                "ockam node show n1 --jq '.transports[].socket_addr'",
            ),
        ]
    }

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
            let ways = ways(session, &state, node).await?;
            Ok(Outcome::plain(describe(&resources, &ways)).json(json!(resources)))
        })
        .await
    }
}

/// What a node runs: its own word when it answers at once, what is stored otherwise.
pub(super) async fn resources(
    session: &Session<'_>,
    state: &State,
    node: &NodeRecord,
) -> Result<NodeResources, Failure> {
    match client(session, state, node)? {
        Some(client) => Ok(ask(&client, node).await),
        None => Ok(nodes::stored_resources(node)),
    }
}

/// What each of the nodes runs; all are asked at the same time.
pub(in crate::command) async fn resources_of_all(
    session: &Session<'_>,
    state: &State,
    stored: &[NodeRecord],
    patience: Duration,
) -> Result<Vec<NodeResources>, Failure> {
    let mut asked = Vec::new();
    for node in stored {
        let client = client(session, state, node)?.map(|client| client.within(patience));
        let node = node.clone();
        asked.push(tokio::spawn(async move {
            match client {
                Some(client) => ask(&client, &node).await,
                None => nodes::stored_resources(&node),
            }
        }));
    }
    let mut all = Vec::new();
    for node in asked {
        let resources = node
            .await
            .map_err(|error| Failure::internal("a node could not be asked", &error))?;
        all.push(resources);
    }
    Ok(all)
}

/// The ways that a node keeps up, hop by hop; none of one that does not answer.
async fn ways(session: &Session<'_>, state: &State, node: &NodeRecord) -> Result<Ways, Failure> {
    let none = Ways {
        inlets: Vec::new(),
        relays: Vec::new(),
    };
    match client(session, state, node)? {
        Some(client) => Ok(client
            .ask(hyper::Method::GET, "/ways", None::<&()>)
            .await
            .unwrap_or(none)),
        None => Ok(none),
    }
}

/// Asks a node whose process runs.
fn client(
    session: &Session<'_>,
    state: &State,
    node: &NodeRecord,
) -> Result<Option<Client>, Failure> {
    if !status_of(node).is_running() {
        return Ok(None);
    }
    // spec: command 3.9.1 (unreachable node: one second)
    let client = session.client(state, node)?;
    Ok(Some(client.within(Duration::from_secs(1))))
}

async fn ask(client: &Client, node: &NodeRecord) -> NodeResources {
    client
        .ask(hyper::Method::GET, "/node", None::<&()>)
        .await
        .unwrap_or_else(|_| nodes::stored_resources(node))
}

fn describe(node: &NodeResources, ways: &Ways) -> String {
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
    if node.strict {
        more("Strict: what nobody allowed is denied".to_owned());
    }
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
        let inlets = if ways.inlets.is_empty() {
            &node.inlets
        } else {
            &ways.inlets
        };
        let portals = inlets
            .iter()
            .map(tcp_inlet::drawing)
            .chain(node.outlets.iter().map(TcpOutlet::line));
        section("Portals", "No Portals", portals.collect());
    }
    if !ways.relays.is_empty() {
        section(
            "Relays",
            "No Relays",
            ways.relays.iter().map(relay::drawing).collect(),
        );
    }
    section(
        "Services",
        "No Services",
        node.services.iter().map(service::line).collect(),
    );
    lines.join("\n")
}
