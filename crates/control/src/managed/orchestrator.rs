//! A node with the Orchestrator in it: who it is, where it listens, and what it answers of it (spec: command 3.9.8).

use std::sync::Arc;

use ockam_identity::Identifier;
use ockam_node::Node;
use ockam_store::IdentityRecord;
use ockam_wire::MultiAddr;

use crate::home::orchestrator::{self, USUAL_PORT};
use crate::managed::{Managed, ManagedNode, NodeSettings, tcp_listeners};
use crate::noun::orchestrator::OrchestratorView;
use crate::orchestrator::{
    DatabaseAccess, Orchestrates, Orchestrating, OrchestratorSettings, OrchestratorStart,
};
use crate::outcome::{Code, Failure};
use crate::state::State;
use crate::value::HostPort;

/// What an Orchestrator is before its node listens.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) state: State,
    pub(super) controller: IdentityRecord,
    settings: OrchestratorSettings,
    program: Arc<dyn Orchestrates>,
}

impl Opened {
    /// Opens its database and takes or makes the identity of the controller.
    pub(super) async fn new(
        state: &State,
        settings: OrchestratorSettings,
        program: Option<Arc<dyn Orchestrates>>,
        access: &DatabaseAccess,
    ) -> Result<Self, Failure> {
        let program =
            program.ok_or_else(|| Failure::new("this program has no Orchestrator in it"))?;
        let database = orchestrator::open_database(state, &settings, access).await?;
        Ok(Self {
            controller: orchestrator::controller(&database).await?,
            state: database,
            settings,
            program,
        })
    }

    /// Binds its listener. Whoever is enrolled knows where it was: it moves only when it never listened.
    pub(super) async fn listen(
        &self,
        node: &Node,
        settings: &NodeSettings,
        stored: Option<&str>,
    ) -> Result<ockam_node::TcpListener, Failure> {
        let stored: Option<HostPort> = stored.and_then(|address| address.parse().ok());
        let listener = match settings.listener.clone().or(stored) {
            Some(wanted) => {
                orchestrator::public(&self.settings, &wanted)?;
                tcp_listeners::bind(node, &wanted).await.map_err(|failure| {
                    failure.help(
                        "end whatever listens there, or name another place with `ockam orchestrator start --listen HOST:PORT`",
                    )
                })?
            }
            None => first_free(node).await?,
        };
        Ok(listener)
    }

    /// Where others reach the listener.
    pub(super) fn public(&self, listener: &ockam_node::TcpListener) -> Result<MultiAddr, Failure> {
        let address = listener.address().to_string();
        let address = address
            .parse()
            .map_err(|error| Failure::internal("the listener is nowhere", &error))?;
        orchestrator::public(&self.settings, &address)
    }
}

/// Binds the usual port, or the next one that is free.
async fn first_free(node: &Node) -> Result<ockam_node::TcpListener, Failure> {
    let mut first = None;
    for port in (USUAL_PORT..=u16::MAX).take(PORTS) {
        match tcp_listeners::bind(node, &HostPort::loopback(port)).await {
            Ok(listener) => return Ok(listener),
            Err(failure) => first = first.or(Some(failure)),
        }
    }
    Err(first.unwrap_or_else(|| Failure::new("there is no port to listen at")))
}

/// How many ports are tried.
const PORTS: usize = 32;

/// The Orchestrator of a node that runs.
#[derive(Debug)]
pub(crate) struct RunningOrchestrator {
    pub(crate) running: Arc<dyn Orchestrating>,
    identifier: Identifier,
    route: MultiAddr,
}

impl RunningOrchestrator {
    /// What it says of itself.
    pub(crate) async fn view(&self) -> Result<OrchestratorView, Failure> {
        Ok(OrchestratorView {
            identifier: self.identifier,
            route: self.route.to_string(),
            counts: self.running.counts().await?,
        })
    }
}

impl Managed {
    /// Whether there is a listener that takes connections.
    pub(crate) fn listens(&self) -> bool {
        !self.tcp_listeners.all().is_empty()
    }

    /// What the Orchestrator of this node says of itself.
    pub(crate) async fn orchestrator_view(&self) -> Result<OrchestratorView, Failure> {
        match self.orchestrator.get() {
            Some(orchestrator) => orchestrator.view().await,
            None => Err(Failure::coded(
                Code::NotFound,
                "there is no Orchestrator in this node",
            )),
        }
    }
}

impl ManagedNode {
    /// It has the services of the Orchestrator and no others.
    pub(super) async fn run_orchestrator(
        &mut self,
        listener: ockam_node::TcpListener,
        status: Option<tokio::net::TcpListener>,
        opened: Opened,
    ) -> Result<(), Failure> {
        let managed = self.managed.clone();
        let public = opened.public(&listener)?;
        let route = orchestrator::controller_route(&public)?;
        let address: HostPort = listener
            .address()
            .to_string()
            .parse()
            .map_err(|error| Failure::internal("the listener is nowhere", &error))?;
        let reach = orchestrator::reach(&opened.settings, &address)?;
        let socket = managed.bind_control().await?;
        let listener = managed.keep_own_listener(listener)?;
        managed.start_channel_services(None).await?;
        let listeners = managed.channel_listeners.all();
        let channels = listeners
            .first()
            .map(|listener| listener.running.flow())
            .ok_or_else(|| Failure::new("the node is ending"))?;
        let identifier = opened.controller.identifier;
        let running = opened
            .program
            .start(OrchestratorStart {
                node: managed.node.clone(),
                state: opened.state,
                controller: opened.controller,
                identity: managed.identity.clone(),
                listener,
                channels,
                public,
                reach,
                first_administrator: managed.state.home().first_administrator(),
                settings: opened.settings,
            })
            .await?;
        let running = RunningOrchestrator {
            running,
            identifier,
            route,
        };
        drop(managed.orchestrator.set(running));
        managed.open_tcp_listeners();
        self.serve(socket, status, ());
        Ok(())
    }
}
