//! TCP connections of a managed node: those it was asked for are kept up, all are listed.

use std::sync::Arc;
use std::time::Duration;

use ockam_node::TransportConnection;
use ockam_wire::Address;

use crate::managed::link::{Dial, Link};
use crate::managed::registry::Made;
use crate::managed::{CONNECT_TIMEOUT, Kept, Managed};
use crate::noun::tcp_connection::{NOUN, TcpConnection, TcpConnectionSpec};
use crate::noun::tcp_listener::{
    NO_WORKER, Transport, TransportKind, TransportMode, TransportName,
};
use crate::outcome::{Code, Failure};
use crate::record::FlowControlId;
use crate::resource::Serve;

/// How a connection is made.
#[derive(Debug)]
pub(crate) struct TcpDial(pub(crate) TcpConnectionSpec);

impl Dial for TcpDial {
    type Live = TransportConnection;

    async fn dial(&self, node: &Managed, budget: Duration) -> Result<TransportConnection, Failure> {
        let to = self.0.to.to_string();
        let failed = || Failure::coded(Code::Unavailable, format!("cannot connect to {to}"));
        match tokio::time::timeout(budget, node.node.tcp_connect(&to)).await {
            Ok(connection) => connection.map_err(|error| failed().caused_by(&error)),
            Err(_) => Err(failed().cause(format!("no answer within {budget:?}"))),
        }
    }

    async fn closed(live: &TransportConnection) {
        live.closed().await;
    }

    async fn close(live: &TransportConnection) {
        live.close();
        live.closed().await;
    }

    fn first_hop(live: &TransportConnection) -> Option<Address> {
        Some(live.sender().clone())
    }
}

/// A connection that is kept up.
pub(crate) type KeptConnection = Link<TcpDial>;

impl Managed {
    /// Connects on request.
    pub(crate) async fn open_connection(
        self: &Arc<Self>,
        spec: TcpConnectionSpec,
    ) -> Result<Transport, Failure> {
        let dial = Arc::new(TcpDial(spec));
        let connection = dial.dial(self, CONNECT_TIMEOUT).await?;
        let name = String::from_utf8_lossy(connection.sender().name()).into_owned();
        let kept = Kept {
            name: name.clone(),
            spec: &dial.0,
        };
        if let Err(failure) = self.keep(Made::Asked, NOUN.one, &name, &kept).await {
            connection.close();
            return Err(failure);
        }
        self.keep_connection(name, dial, Some(connection), Made::Asked)
    }

    /// Keeps a connection up.
    pub(crate) fn keep_connection(
        self: &Arc<Self>,
        name: String,
        dial: Arc<TcpDial>,
        live: Option<TransportConnection>,
        made: Made,
    ) -> Result<Transport, Failure> {
        let reservation = self.connections.reserve(&name, made).map_err(|_| {
            Failure::coded(Code::AlreadyExists, format!("the address {name} is in use"))
        })?;
        let link = Link::keep(Arc::downgrade(self), name, dial, live);
        Ok(kept_view(&*reservation.fill(link)?))
    }

    /// All connections: those that are kept up by their names, then the others.
    pub(crate) fn all_connections(&self) -> Vec<Transport> {
        let kept = self.connections.all();
        let senders: Vec<Address> = kept
            .iter()
            .filter_map(|link| link.live())
            .map(|live| live.sender().clone())
            .collect();
        let others = self.node.connections();
        let others = others
            .iter()
            .filter(|connection| !senders.contains(connection.sender()));
        kept.iter()
            .map(|link| kept_view(link))
            .chain(others.map(view))
            .collect()
    }
}

fn kept_view(link: &KeptConnection) -> Transport {
    let mut view = match link.live() {
        Some(live) => view(&live),
        None => Transport {
            kind: TransportKind::Tcp,
            mode: TransportMode::Outgoing,
            socket_addr: link.dial.0.to.to_string(),
            worker_addr: String::new(),
            processor_address: NO_WORKER.to_owned(),
            flow_control_id: FlowControlId(String::new()),
        },
    };
    // The name by which users know it, whatever its present address is.
    view.worker_addr = format!("0#{}", link.name);
    view
}

fn view(connection: &TransportConnection) -> Transport {
    let info = connection.info();
    Transport {
        kind: TransportKind::Tcp,
        mode: if info.accepted {
            TransportMode::Incoming
        } else {
            TransportMode::Outgoing
        },
        socket_addr: info.peer.clone(),
        worker_addr: info.sender.to_string(),
        processor_address: info.receiver.to_string(),
        flow_control_id: FlowControlId(info.flow.to_string()),
    }
}

fn unknown(name: &TransportName) -> Failure {
    Failure::coded(Code::NotFound, format!("TCP connection {name} not found"))
}

impl Serve<TcpConnection> for Managed {
    async fn create(&self, spec: TcpConnectionSpec) -> Result<Transport, Failure> {
        self.own()?.open_connection(spec).await
    }

    async fn list(&self) -> Result<Vec<Transport>, Failure> {
        Ok(self.all_connections())
    }

    async fn show(&self, name: &TransportName) -> Result<Transport, Failure> {
        self.all_connections()
            .into_iter()
            .find(|view| name.names(view))
            .ok_or_else(|| unknown(name))
    }

    async fn delete(&self, name: &TransportName) -> Result<Transport, Failure> {
        let view = <Self as Serve<TcpConnection>>::show(self, name).await?;
        let kept = view
            .worker_addr
            .strip_prefix("0#")
            .unwrap_or(&view.worker_addr)
            .to_owned();
        if self.connections.is_taken(&kept) {
            self.forget(NOUN.one, &kept).await?;
            if let Some(link) = self.connections.remove(&kept) {
                link.end().await;
            }
            return Ok(view);
        }
        for connection in self.node.connections() {
            if connection.info().sender.to_string() == view.worker_addr {
                connection.close();
            }
        }
        Ok(view)
    }
}
