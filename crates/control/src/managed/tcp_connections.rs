//! TCP connections of a managed node: those it was asked for are kept up, all are listed.

use std::sync::Arc;

use ockam_node::{ConnectError, ConnectOptions, Connection, TransportConnection};
use ockam_portal::{KeptConnection, KeptOptions};
use ockam_wire::{Address, MultiAddr};

use crate::managed::registry::Made;
use crate::managed::restore::Restore;
use crate::managed::{CONNECT_TIMEOUT, Kept, Managed, local};
use crate::noun::tcp_connection::{NOUN, TcpConnection, TcpConnectionSpec};
use crate::noun::tcp_listener::{
    NO_WORKER, Transport, TransportKind, TransportMode, TransportName,
};
use crate::outcome::{Code, Failure};
use crate::record::FlowControlId;
use crate::resource::Serve;
use crate::table::Noun;

/// A connection that is kept up. Its name is the address of its sender, which it keeps.
#[derive(Debug)]
pub(crate) struct KeptTcpConnection {
    spec: TcpConnectionSpec,
    pub(crate) kept: KeptConnection,
}

impl KeptTcpConnection {
    fn view(&self) -> Transport {
        let live = self.kept.live();
        match live.as_ref().and_then(Connection::transport) {
            Some(transport) => view(transport),
            None => Transport {
                kind: TransportKind::Tcp,
                mode: TransportMode::Outgoing,
                socket_addr: self.spec.to.to_string(),
                worker_addr: self.kept.entrance().to_string(),
                processor_address: NO_WORKER.to_owned(),
                flow_control_id: FlowControlId(String::new()),
            },
        }
    }
}

impl Managed {
    /// Connects on request.
    pub(crate) async fn open_connection(
        self: &Arc<Self>,
        spec: TcpConnectionSpec,
    ) -> Result<Transport, Failure> {
        let failed = || Failure::coded(Code::Unavailable, format!("cannot connect to {}", spec.to));
        let (to, options) = self.way_to(&spec)?;
        let connection = match self.node.connect(&to, options.clone()).await {
            Ok(connection) => connection,
            Err(ConnectError::Transport { source, .. }) => return Err(failed().caused_by(&source)),
            Err(ConnectError::Timeout(timeout)) => {
                return Err(failed().cause(format!("no answer within {timeout:?}")));
            }
            Err(error) => return Err(failed().caused_by(&error)),
        };
        let Some(transport) = connection.transport() else {
            return Err(failed());
        };
        let name = String::from_utf8_lossy(transport.sender().name()).into_owned();
        let kept = Kept {
            name: name.clone(),
            spec: &spec,
        };
        if let Err(failure) = self.keep(Made::Asked, NOUN.one, &name, &kept).await {
            connection.close().await;
            return Err(failure);
        }
        self.keep_connection(name, spec, (to, options), Some(connection), Made::Asked)
    }

    /// Makes a connection again that was asked for earlier.
    pub(crate) fn restore_connection(
        self: &Arc<Self>,
        kept: Kept<TcpConnectionSpec>,
    ) -> Result<Transport, Failure> {
        let way = self.way_to(&kept.spec)?;
        self.keep_connection(kept.name, kept.spec, way, None, Made::Restored)
    }

    /// Keeps a connection up: the one that was just made, or one that is made now.
    fn keep_connection(
        self: &Arc<Self>,
        name: String,
        spec: TcpConnectionSpec,
        (to, connect): (MultiAddr, ConnectOptions),
        live: Option<Connection>,
        made: Made,
    ) -> Result<Transport, Failure> {
        let reservation = self.connections.reserve(&name, made).map_err(|_| {
            Failure::coded(Code::AlreadyExists, format!("the address {name} is in use"))
        })?;
        let options = KeptOptions::new(to, connect, local(&name)?);
        let kept = KeptConnection::start(&self.node, options, live);
        Ok(reservation.fill(KeptTcpConnection { spec, kept })?.view())
    }

    fn way_to(&self, spec: &TcpConnectionSpec) -> Result<(MultiAddr, ConnectOptions), Failure> {
        let to = spec.to.multiaddr().parse().map_err(|error| {
            Failure::new(format!("{} cannot be connected to", spec.to)).caused_by(&error)
        })?;
        let options = ConnectOptions {
            identity: self.identity.clone(),
            authorized: Vec::new(),
            timeout: CONNECT_TIMEOUT,
        };
        Ok((to, options))
    }

    /// All connections: those that are kept up by their names, then the others.
    pub(crate) fn all_connections(&self) -> Vec<Transport> {
        let kept = self.connections.all();
        let senders: Vec<Address> = kept.iter().map(|own| own.kept.entrance().clone()).collect();
        let others = self.node.connections();
        let others = others
            .iter()
            .filter(|connection| !senders.contains(connection.sender()));
        kept.iter()
            .map(|own| own.view())
            .chain(others.map(view))
            .collect()
    }
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
            if let Some(connection) = self.connections.remove(&kept) {
                connection.kept.stop().await;
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

impl Restore for TcpConnection {
    const NOUN: &'static Noun = &NOUN;
    type Kept = Kept<TcpConnectionSpec>;

    async fn restore(node: &Arc<Managed>, kept: Kept<TcpConnectionSpec>) -> Result<(), Failure> {
        node.restore_connection(kept).map(drop)
    }
}
