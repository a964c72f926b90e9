//! `ockam tcp-listener`.

use clap::Args;
use serde_json::json;

use crate::command::argument::At;
use crate::command::flow;
use crate::command::{Run, Session, text};
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

#[derive(Debug, Args)]
pub(super) struct Show {
    /// The listener's socket address or worker address
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
        let listener = session
            .client(&state, &node)?
            .show::<TcpListener>(&self.address)
            .await?;
        session
            .host
            .print(Outcome::plain(text::more(line(&listener))).json(json!(listener)));
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
        let listeners = session.client(&state, &node)?.list::<TcpListener>().await?;
        let plain = if listeners.is_empty() {
            text::info(format!("No TCP Listeners found on node {}", node.name))
        } else {
            text::list(listeners.iter().map(line))
        };
        session.host.print(Outcome::plain(plain));
        Ok(())
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

#[derive(Debug, Args)]
pub(super) struct Delete {
    /// The listener's socket address or worker address
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
        let listener = client.show::<TcpListener>(&self.address).await?;
        if flow::confirmed(session, self.yes)? {
            client.delete::<TcpListener>(&self.address).await?;
            let plain = text::done(format!(
                "TCP Listener at {} on Node {} has been deleted",
                listener.socket_addr, node.name
            ));
            session
                .host
                .print(Outcome::plain(plain).json(json!({ "node": node.name.as_str() })));
        }
        Ok(())
    }
}
