//! `ockam tcp-connection`.

use clap::Args;
use ockam_store::NodeRecord;
use serde_json::json;

use crate::command::item::{Addressed, Listed};
use crate::command::tcp_listener::line;
use crate::command::{Example, Run, Session, text};
use crate::noun::tcp_connection::{NOUN, TcpConnection, TcpConnectionSpec};
use crate::noun::tcp_listener::{Transport, TransportName};
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

    fn examples() -> Vec<Example> {
        vec![Example::new(
            "From a node to another machine",
            "ockam tcp-connection create --from n1 --to relay.example:4000",
        )]
    }

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

impl Listed for TcpConnection {
    const TITLE: &'static str = "TCP Connection";

    fn line(connection: &Transport) -> String {
        line(connection)
    }

    fn listed(list: Outcome, connections: &[Transport]) -> Outcome {
        list.json_when_asked(json!(connections))
    }
}

impl Addressed for TcpConnection {
    const ADDRESS_HELP: &'static str = "The connection's worker address or socket address";
    const EXAMPLE: &'static str = "0123456789abcdef0123456789abcdef";

    fn shown(connection: &Transport) -> Outcome {
        let plain = [
            text::more(line(connection)),
            text::more(format!("  Worker: {}", connection.worker_addr)),
            text::more(format!("  Processor: {}", connection.processor_address)),
            text::more(format!("  Flow Control: {}", connection.flow_control_id.0)),
        ]
        .join("\n");
        Outcome::plain(plain)
    }

    fn deleted(connection: &Transport, address: &TransportName, node: &NodeRecord) -> Outcome {
        let plain = text::done(format!(
            "TCP Connection {} on Node {} has been deleted",
            connection.socket_addr, node.name
        ));
        Outcome::plain(plain).json(json!({ "address": address.to_string() }))
    }
}
