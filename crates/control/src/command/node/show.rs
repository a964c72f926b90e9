//! `ockam node show`.

use clap::Args;
use ockam_store::NodeRecord;
use serde_json::json;

use super::{find, names};
use crate::command::item::Listed;
use crate::command::{Run, Session, flow, service, tcp_listener, text};
use crate::home::nodes;
use crate::noun::node::{NOUN, NodeResources, NodeStatus};
use crate::noun::secure_channel_listener::SecureChannelListener;
use crate::noun::tcp_inlet::TcpInlet;
use crate::noun::tcp_outlet::TcpOutlet;
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
pub(super) async fn resources(
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
