//! `ockam tcp-connection`.

use clap::Args;
use serde_json::json;

use crate::command::argument::At;
use crate::command::flow;
use crate::command::tcp_listener::line;
use crate::command::{Run, Session, text};
use crate::noun::tcp_connection::{NOUN, TcpConnection, TcpConnectionSpec};
use crate::noun::tcp_listener::TransportName;
use crate::outcome::{Failure, Outcome};
use crate::table::Noun;
use crate::value::{HostPort, NodeArgument};

#[derive(Debug, Args)]
pub(super) struct Create {
    /// The node that connects
    #[arg(long, value_name = "NODE")]
    from: NodeArgument,
    /// The listener to connect to: `127.0.0.1:4000`
    #[arg(short, long, value_name = "ADDRESS")]
    to: HostPort,
}

impl Run for Create {
    const NOUN: &'static Noun = &NOUN;
    const VERB: &'static str = "create";

    async fn run<'a>(self, session: &'a Session<'a>) -> Result<(), Failure> {
        let state = session.open().await?;
        let node = session.node(&state, Some(&self.from)).await?;
        let spec = TcpConnectionSpec { to: self.to };
        let connection = session
            .client(&state, &node)?
            .create::<TcpConnection>(&spec)
            .await?;
        let worker = connection
            .worker_addr
            .strip_prefix("0#")
            .unwrap_or(&connection.worker_addr);
        let address = format!("/worker/{worker}");
        let plain = text::done(format!(
            "TCP Connection from Node {} to {} created at {address}",
            node.name, connection.socket_addr
        ));
        session
            .host
            .print(Outcome::plain(plain).machine(address.clone()).json(json!({
                "from": node.name.as_str(),
                "to": connection.socket_addr,
                "address": address,
            })));
        Ok(())
    }
}

#[derive(Debug, Args)]
pub(super) struct Show {
    /// The connection's worker address or socket address
    address: TransportName,
    #[command(flatten)]
    at: At,
}

impl Run for Show {
    const NOUN: &'static Noun = &NOUN;
    const VERB: &'static str = "show";

    async fn run<'a>(self, session: &'a Session<'a>) -> Result<(), Failure> {
        let state = session.open().await?;
        let node = session.node(&state, self.at.at.as_ref()).await?;
        let connection = session
            .client(&state, &node)?
            .show::<TcpConnection>(&self.address)
            .await?;
        let plain = [
            text::more(line(&connection)),
            text::more(format!("  Worker: {}", connection.worker_addr)),
            text::more(format!("  Processor: {}", connection.processor_address)),
            text::more(format!("  Flow Control: {}", connection.flow_control_id.0)),
        ]
        .join("\n");
        session.host.print(Outcome::plain(plain));
        Ok(())
    }
}

#[derive(Debug, Args)]
pub(super) struct List {
    #[command(flatten)]
    at: At,
}

impl Run for List {
    const NOUN: &'static Noun = &NOUN;
    const VERB: &'static str = "list";

    async fn run<'a>(self, session: &'a Session<'a>) -> Result<(), Failure> {
        let state = session.open().await?;
        let node = session.node(&state, self.at.at.as_ref()).await?;
        let connections = session
            .client(&state, &node)?
            .list::<TcpConnection>()
            .await?;
        let plain = if connections.is_empty() {
            text::info(format!("No TCP Connections found on node {}", node.name))
        } else {
            text::list(connections.iter().map(line))
        };
        session.host.print(Outcome::plain(plain));
        Ok(())
    }
}

#[derive(Debug, Args)]
pub(super) struct Delete {
    /// The connection's worker address or socket address
    address: TransportName,
    #[command(flatten)]
    at: At,
    /// Do not ask for confirmation
    #[arg(short, long)]
    yes: bool,
}

impl Run for Delete {
    const NOUN: &'static Noun = &NOUN;
    const VERB: &'static str = "delete";

    async fn run<'a>(self, session: &'a Session<'a>) -> Result<(), Failure> {
        let state = session.open().await?;
        let node = session.node(&state, self.at.at.as_ref()).await?;
        let client = session.client(&state, &node)?;
        let connection = client.show::<TcpConnection>(&self.address).await?;
        if flow::confirmed(session, self.yes)? {
            client.delete::<TcpConnection>(&self.address).await?;
            let plain = text::done(format!(
                "TCP Connection {} on Node {} has been deleted",
                connection.socket_addr, node.name
            ));
            session
                .host
                .print(Outcome::plain(plain).json(json!({ "address": self.address.to_string() })));
        }
        Ok(())
    }
}
