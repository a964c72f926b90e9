//! One process of the Orchestrator: what runs in it, from its start to its end.

use std::sync::Arc;
use std::time::Duration;

use ockam_control::controller::message::SignInInfo;
use ockam_control::hosted::{KeyLifetime, StoredIssuer};
use ockam_control::{
    Eventual, Failure, Orchestrates, Orchestrating, OrchestratorCounts, OrchestratorStart, State,
};
use ockam_identity::OneTimeCode;
use ockam_node::{Node, services};
use ockam_store::StoreError;

use crate::cluster::{Cluster, ClusterOptions, Pace};
use crate::controller::{Controller, ControllerOptions, ControllerServices};
use crate::first_administrator::{Administrators, FirstAdministrator};
use crate::metrics::{Metrics, Seen, length};
use crate::projects::{Projects, ProjectsOptions};
use crate::sign_in::{Oidc, SignIn};

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
    cluster: Arc<Cluster>,
    projects: Arc<Projects>,
    controller: Arc<Controller>,
    _services: ControllerServices,
    _first_administrator: FirstAdministrator,
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
        let identifier = start.controller.identifier;
        let history = start
            .controller
            .history
            .verify(ockam_vault::fast(), None)
            .map_err(|error| failed(&error))?;
        let store = start.state.store();
        let cluster = Cluster::start(ClusterOptions {
            node: start.node.clone(),
            store: store.clone(),
            identity: start.identity.clone(),
            controller: identifier,
            listener: start.listener,
            reach: start.reach.clone(),
            pace: Pace::default(),
        })
        .await
        .map_err(|error| failed(&error))?;
        let usual = ProjectsOptions::new(start.public.clone(), history);
        let lifetime = start.settings.credential_seconds;
        let projects = ProjectsOptions {
            credential_lifetime: lifetime.unwrap_or(usual.credential_lifetime),
            cluster: Some(cluster.clone()),
            ..usual
        };
        let projects = Projects::open(&start.node, &start.state, projects)
            .await
            .map_err(|error| failed(&error))?;
        projects.open_to(start.listener);
        let metrics = Metrics::default();
        let issuer = StoredIssuer::new(&start.state, identifier, KeyLifetime::USUAL);
        let mut options = ControllerOptions::new(identifier, Arc::new(issuer), projects.clone());
        options.metrics = metrics.clone();
        options.credential_lifetime = lifetime.map_or(options.credential_lifetime, |seconds| {
            seconds.min(options.credential_lifetime)
        });
        if let Some(settings) = start.settings.sign_in {
            options.sign_in_info = SignInInfo::from(&settings);
            let provider = Oidc::open(settings).map_err(|error| failed(&error))?;
            options.sign_in = Some(Arc::new(provider) as Arc<dyn SignIn>);
        }
        let controller = Controller::open(store.clone(), options);
        let services = controller
            .serve(&start.node, start.channels)
            .map_err(|error| failed(&error))?;
        let first_administrator = FirstAdministrator::keep(
            Arc::new(Known(controller.clone())),
            start.first_administrator,
        )
        .await?;
        tracing::info!(controller = %identifier, public = %start.public, "the Orchestrator runs");
        Ok(Self {
            node: start.node,
            state: start.state,
            metrics,
            cluster,
            projects,
            controller,
            _services: services,
            _first_administrator: first_administrator,
            _echo: echo,
        })
    }
}

/// The administrators that a controller knows.
#[derive(Debug)]
struct Known(Arc<Controller>);

impl Administrators for Known {
    fn any(&self) -> Eventual<'_, Result<bool, Failure>> {
        Box::pin(async {
            let any = self.0.has_administrator().await;
            any.map_err(|error| Failure::internal("the administrators are not known", &error))
        })
    }

    fn new_code(
        &self,
        lifetime: Duration,
        instead_of: Option<OneTimeCode>,
    ) -> Eventual<'_, Result<OneTimeCode, Failure>> {
        Box::pin(async move {
            let failed = |error: &(dyn std::error::Error + 'static)| {
                Failure::internal("no code for the first administrator could be made", error)
            };
            let text = self
                .0
                .first_administrator_code(lifetime, instead_of.as_ref())
                .await
                .map_err(|error| failed(&error))?;
            text.parse().map_err(|error| failed(&error))
        })
    }
}

impl Orchestrating for Orchestrator {
    fn counts(&self) -> Eventual<'_, Result<OrchestratorCounts, Failure>> {
        Box::pin(async {
            let failed = |error: StoreError| {
                self.metrics.note_database_error();
                Failure::internal("what there is cannot be counted", &error)
            };
            let (accounts, projects) = self.controller.count().await.map_err(failed)?;
            Ok(OrchestratorCounts {
                accounts,
                projects,
                has_administrator: self.controller.has_administrator().await.map_err(failed)?,
                relays: length(self.projects.counts().relays),
                connections: length(self.node.connections().len()),
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
            let router = self.node.router();
            self.metrics.text(&Seen {
                counts,
                projects: self.projects.counts(),
                channels: self.node.channels().len(),
                messages: router.delivered(),
                denials: self.node.denials().total(),
                relayed: router.relayed(),
            })
        })
    }

    fn stop(&self) -> Eventual<'_, ()> {
        Box::pin(async {
            self.cluster.stop().await;
            self.projects.stop().await;
            self.state.store().close().await;
        })
    }
}
