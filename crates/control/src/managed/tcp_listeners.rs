//! TCP listeners of a managed node.

use std::sync::Arc;

use crate::managed::Managed;
use crate::managed::registry::{Made, Taken};
use crate::managed::restore::Restore;
use crate::managed::ways_in::WayIn;
use crate::noun::tcp_listener::{
    NO_WORKER, NOUN, TcpListener, TcpListenerSpec, Transport, TransportKind, TransportMode,
    TransportName,
};
use crate::outcome::{Code, Failure};
use crate::record::FlowControlId;
use crate::resource::Serve;
use crate::table::Noun;
use crate::value::HostPort;

/// A running listener. It stops when this is dropped.
#[derive(Debug)]
pub(crate) struct KeptTcpListener {
    pub(crate) running: ockam_node::TcpListener,
}

impl KeptTcpListener {
    pub(crate) fn view(&self) -> Transport {
        Transport {
            kind: TransportKind::Tcp,
            mode: TransportMode::Listen,
            socket_addr: self.running.address().to_string(),
            worker_addr: NO_WORKER.to_owned(),
            processor_address: NO_WORKER.to_owned(),
            flow_control_id: FlowControlId(self.running.flow().to_string()),
        }
    }
}

impl Drop for KeptTcpListener {
    fn drop(&mut self) {
        self.running.close();
    }
}

/// Binds a listener, which is not open yet.
pub(crate) async fn bind(
    node: &ockam_node::Node,
    address: &HostPort,
) -> Result<ockam_node::TcpListener, Failure> {
    node.tcp_bind(&address.to_string()).await.map_err(|error| {
        let failure = Failure::internal(format!("cannot listen at {address}"), &error);
        match error.kind() {
            // spec: command 3.3 (port taken)
            std::io::ErrorKind::AddrInUse => failure
                .cause(format!(
                    "Another process is already listening on port {}!",
                    address.port()
                ))
                .help("choose another port, or 0 for a free one"),
            std::io::ErrorKind::AddrNotAvailable => failure.help(NOT_OURS),
            _ => failure,
        }
    })
}

/// What to do about an address that this machine does not have.
pub(crate) const NOT_OURS: &str =
    "listen at an address of this machine: 127.0.0.1 for programs on it, 0.0.0.0 for everybody";

impl Managed {
    /// Starts a listener, on request or again.
    pub(crate) async fn start_tcp_listener(
        &self,
        spec: TcpListenerSpec,
        made: Made,
    ) -> Result<Transport, Failure> {
        let wanted = spec.address.to_string();
        if spec.address.port() != 0 {
            match self.tcp_listeners.reserve(&wanted, made) {
                Ok(reservation) => drop(reservation),
                Err(Taken::Restored(listener)) => return Ok(listener.view()),
                Err(Taken::Held) => return Err(exists(&wanted)),
            }
        }
        let running = bind(&self.node, &spec.address).await?;
        // The name is the address that was bound, so that it is found again.
        let bound = running.address();
        let name = bound.to_string();
        let reservation = self
            .tcp_listeners
            .reserve(&name, made)
            .map_err(|_| exists(&name))?;
        self.keep(
            made,
            NOUN.one,
            &name,
            &TcpListenerSpec {
                address: bound.into(),
            },
        )
        .await?;
        self.open_way_in(running.flow(), WayIn::Plain);
        // One that is restored opens when all it leads to runs.
        if made == Made::Asked {
            running.open();
        }
        Ok(reservation.fill(KeptTcpListener { running })?.view())
    }

    /// Takes connections at every listener from now on.
    pub(super) fn open_tcp_listeners(&self) {
        for listener in self.tcp_listeners.all() {
            listener.running.open();
        }
    }

    fn listener_named(&self, name: &TransportName) -> Result<(String, Transport), Failure> {
        self.tcp_listeners
            .all()
            .iter()
            .map(|listener| (listener.running.address().to_string(), listener.view()))
            .find(|(_, view)| name.names(view))
            .ok_or_else(|| Failure::coded(Code::NotFound, format!("TCP listener {name} not found")))
    }
}

fn exists(name: &str) -> Failure {
    Failure::coded(
        Code::AlreadyExists,
        format!("there is a TCP listener at {name} already"),
    )
}

impl Serve<TcpListener> for Managed {
    async fn create(&self, spec: TcpListenerSpec) -> Result<Transport, Failure> {
        self.start_tcp_listener(spec, Made::Asked).await
    }

    async fn list(&self) -> Result<Vec<Transport>, Failure> {
        Ok(self
            .tcp_listeners
            .all()
            .iter()
            .map(|listener| listener.view())
            .collect())
    }

    async fn show(&self, name: &TransportName) -> Result<Transport, Failure> {
        self.listener_named(name).map(|(_, view)| view)
    }

    async fn delete(&self, name: &TransportName) -> Result<Transport, Failure> {
        let (name, view) = self.listener_named(name)?;
        self.forget(NOUN.one, &name).await?;
        drop(self.tcp_listeners.remove(&name));
        Ok(view)
    }
}

impl Restore for TcpListener {
    const NOUN: &'static Noun = &NOUN;
    type Kept = TcpListenerSpec;

    async fn restore(node: &Arc<Managed>, kept: TcpListenerSpec) -> Result<(), Failure> {
        node.start_tcp_listener(kept, Made::Restored)
            .await
            .map(drop)
    }
}
