//! One process of the Orchestrator: what runs in it, from its start to its end.

use std::sync::Arc;

use ockam_control::{
    Eventual, Failure, Orchestrates, Orchestrating, OrchestratorCounts, OrchestratorStart, State,
};
use ockam_node::{Node, services};

use crate::metrics::{Metrics, length};
use crate::projects::{Projects, ProjectsOptions};

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
    metrics: Metrics,
    projects: Arc<Projects>,
    _echo: services::Service,
}

impl Orchestrator {
    /// Starts everything. What was started ends again if something else cannot be started.
    async fn start(start: OrchestratorStart) -> Result<Self, Failure> {
        let failed = |error: &(dyn std::error::Error + 'static)| {
            Failure::internal("the Orchestrator could not start", error)
        };
        let echo =
            services::start_echo(&start.node, services::ECHO).map_err(|error| failed(&error))?;
        start
            .node
            .router()
            .add_consumer(echo.address(), start.channels);
        let options = ProjectsOptions::new(start.public.clone(), start.controller.history.clone());
        let projects = Projects::open(&start.node, &start.state, options)
            .await
            .map_err(|error| failed(&error))?;
        projects.open_to(start.listener);
        tracing::info!(controller = %start.controller.identifier, public = %start.public, "the Orchestrator runs");
        Ok(Self {
            node: start.node,
            state: start.state,
            metrics: Metrics::default(),
            projects,
            _echo: echo,
        })
    }
}

impl Orchestrating for Orchestrator {
    fn counts(&self) -> Eventual<'_, Result<OrchestratorCounts, Failure>> {
        Box::pin(async {
            let projects = self.projects.count().await.map_err(|error| {
                self.metrics.note_database_error();
                Failure::internal("the projects are not known", &error)
            })?;
            Ok(OrchestratorCounts {
                projects,
                relays: length(self.projects.counts().relays),
                connections: length(self.node.connections().len()),
                ..OrchestratorCounts::default()
            })
        })
    }

    fn ready(&self) -> Eventual<'_, Result<(), Failure>> {
        Box::pin(async { self.counts().await.map(drop) })
    }

    fn metrics(&self) -> Eventual<'_, String> {
        Box::pin(async {
            // What is not known now is told as it was.
            let counts = self.counts().await.unwrap_or_default();
            self.metrics.text(&self.node, &counts)
        })
    }

    fn stop(&self) -> Eventual<'_, ()> {
        Box::pin(async {
            self.projects.stop().await;
            self.state.store().close().await;
        })
    }
}
