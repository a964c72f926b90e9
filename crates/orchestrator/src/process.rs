//! One process of the Orchestrator: what runs in it, from its start to its end.

use std::sync::Arc;

use ockam_control::{
    Eventual, Failure, Orchestrates, Orchestrating, OrchestratorCounts, OrchestratorStart, State,
};
use ockam_node::{Node, services};

/// A program with an Orchestrator in it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Program;

impl Orchestrates for Program {
    fn start(
        &self,
        start: OrchestratorStart,
    ) -> Eventual<'_, Result<Arc<dyn Orchestrating>, Failure>> {
        Box::pin(async {
            let orchestrator = Orchestrator::start(start).await?;
            Ok(Arc::new(orchestrator) as Arc<dyn Orchestrating>)
        })
    }
}

/// An Orchestrator that runs.
#[derive(Debug)]
struct Orchestrator {
    node: Node,
    state: State,
    _echo: services::Service,
}

impl Orchestrator {
    /// Starts everything. What was started ends again if something else cannot be started.
    async fn start(start: OrchestratorStart) -> Result<Self, Failure> {
        let echo = services::start_echo(&start.node, services::ECHO)
            .map_err(|error| Failure::internal("the Orchestrator could not start", &error))?;
        start
            .node
            .router()
            .add_consumer(echo.address(), start.channels);
        tracing::info!(controller = %start.controller.identifier, public = %start.public, "the Orchestrator runs");
        Ok(Self {
            node: start.node,
            state: start.state,
            _echo: echo,
        })
    }
}

impl Orchestrating for Orchestrator {
    fn counts(&self) -> Eventual<'_, Result<OrchestratorCounts, Failure>> {
        Box::pin(async {
            let connections = self.node.connections().len();
            Ok(OrchestratorCounts {
                connections: u64::try_from(connections).unwrap_or(u64::MAX),
                ..OrchestratorCounts::default()
            })
        })
    }

    fn ready(&self) -> Eventual<'_, Result<(), Failure>> {
        Box::pin(async { self.state.nodes().await.map(drop) })
    }

    fn metrics(&self) -> Eventual<'_, String> {
        Box::pin(async { String::new() })
    }

    fn stop(&self) -> Eventual<'_, ()> {
        Box::pin(async {
            self.state.store().close().await;
        })
    }
}
