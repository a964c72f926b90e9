//! `ockam tcp-listener`.

use clap::Args;
use ockam_store::NodeRecord;
use serde_json::json;

use crate::command::argument::At;
use crate::command::item::{Addressed, Listed};
use crate::command::{Example, Run, Session, text};
use crate::noun::tcp_listener::{
    NOUN, TcpListener, TcpListenerSpec, Transport, TransportMode, TransportName,
};
use crate::outcome::{Failure, Outcome};
use crate::table::Noun;
use crate::value::HostPort;

#[derive(Debug, Args)]
pub(super) struct Create {
    /// Where to listen: `4000`, `0.0.0.0:4000`
    address: HostPort,
    #[command(flatten)]
    at: At,
}

impl Run for Create {
    const NOUN: &'static Noun = &NOUN;
    const VERB: &'static str = "create";

    fn examples() -> Vec<Example> {
        vec![Example::new(
            "A second port for a node",
            "ockam tcp-listener create 0.0.0.0:4001 --at n1",
        )]
    }

    async fn run<'a>(self, session: &'a Session<'a>) -> Result<(), Failure> {
        let state = session.open().await?;
        let node = session.node_or_new(&state, self.at.at.as_ref()).await?;
        let spec = TcpListenerSpec {
            address: self.address,
        };
        let listener = session
            .client(&state, &node)?
            .create::<TcpListener>(&spec)
            .await?;
        let port = listener.socket_addr.rsplit(':').next().unwrap_or_default();
        let plain = text::done(format!(
            "TCP Listener created on Node {} at {} or /dnsaddr/localhost/tcp/{port}",
            node.name, listener.socket_addr
        ));
        session.host.print(Outcome::plain(plain));
        Ok(())
    }
}

impl Listed for TcpListener {
    const TITLE: &'static str = "TCP Listener";

    fn line(listener: &Transport) -> String {
        line(listener)
    }

    fn listed(list: Outcome, listeners: &[Transport]) -> Outcome {
        list.json_when_asked(json!(listeners))
    }
}

/// One listener or connection on one line.
pub(super) fn line(transport: &Transport) -> String {
    let mode = match transport.mode {
        TransportMode::Listen => "Listening",
        TransportMode::Outgoing => "Outgoing",
        TransportMode::Incoming => "Incoming",
    };
    format!("TCP, {mode} at {}", transport.socket_addr)
}

impl Addressed for TcpListener {
    const ADDRESS_HELP: &'static str = "The listener's socket address or worker address";
    const EXAMPLE: &'static str = "127.0.0.1:4000";

    fn shown(listener: &Transport) -> Outcome {
        Outcome::plain(text::more(line(listener))).json(json!(listener))
    }

    fn deleted(listener: &Transport, _address: &TransportName, node: &NodeRecord) -> Outcome {
        let plain = text::done(format!(
            "TCP Listener at {} on Node {} has been deleted",
            listener.socket_addr, node.name
        ));
        Outcome::plain(plain).json(json!({ "node": node.name.as_str() }))
    }
}
