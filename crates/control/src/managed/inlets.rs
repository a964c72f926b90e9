//! Inlets of a managed node.

use std::fmt::Display;
use std::sync::Arc;

use ockam_node::ConnectOptions;
use ockam_policy::ResourceType;
use ockam_portal::{Handshake, HttpHeaders, Inlet, InletOptions, Nagle, WhenTaken};

use crate::managed::registry::{Made, Taken};
use crate::managed::restore::Restore;
use crate::managed::tcp_listeners::NOT_OURS;
use crate::managed::ways::Progress;
use crate::managed::{CONNECT_TIMEOUT, Managed};
use crate::noun::tcp_inlet::{InletSpec, InletStatus, NOUN, TcpInlet};
use crate::outcome::{Code, Failure};
use crate::record::Connection;
use crate::resource::Serve;
use crate::state::unused_name;
use crate::table::Noun;
use crate::value::{Alias, HostPort};

/// A running inlet.
#[derive(Debug)]
pub(crate) struct KeptInlet {
    alias: Alias,
    pub(super) spec: InletSpec,
    /// The route with nodes replaced by their listeners, as they were when it was made.
    pub(super) outlet_addr: String,
    pub(super) running: Inlet,
}

impl KeptInlet {
    fn view(&self) -> InletStatus {
        let status = self.running.status();
        let is_up = status.listens && status.session.up;
        let failure = if status.listens {
            status.session.last_failure
        } else {
            Some(taken(self.running.bound().port()))
        };
        InletStatus {
            bind_addr: self.running.bound().to_string(),
            worker_addr: None,
            alias: self.alias.to_string(),
            payload: None,
            outlet_route: status.route.map(|route| route.to_string()),
            status: if is_up {
                Connection::Up
            } else {
                Connection::Down
            },
            outlet_addr: status
                .place
                .map_or_else(|| self.outlet_addr.clone(), |place| place.to_string()),
            privileged: false,
            last_failure: failure.filter(|_| !is_up),
            http_headers: self
                .spec
                .http_headers
                .iter()
                .map(|header| header.name().to_owned())
                .collect(),
            hops: Vec::new(),
        }
    }

    pub(super) fn name(&self) -> &str {
        self.alias.as_str()
    }

    /// The same with the hops of its way.
    pub(crate) async fn view_with_hops(&self, node: &Managed) -> InletStatus {
        let status = self.running.status();
        let place = node.place_to_draw(self.running.to(), status.place).await;
        let progress = Progress::of(&status.session, status.peers);
        InletStatus {
            hops: node.hops_to_outlet(&place, &progress, &status.outlet).await,
            ..self.view()
        }
    }

    pub(super) fn is_same(&self, spec: &InletSpec) -> bool {
        // A port of 0 in the new request is served by whichever port is bound.
        let bound = self.running.bound();
        let same_port = spec.from.port() == 0 || spec.from.port() == bound.port();
        let same_host = spec.from.ip() == Some(bound.ip()) || spec.from.ip().is_none();
        let comparable = |spec: &InletSpec| InletSpec {
            alias: None,
            from: self.spec.from.clone(),
            connection_wait: None,
            ..spec.clone()
        };
        same_port && same_host && comparable(&self.spec) == comparable(spec)
    }
}

impl Managed {
    /// Starts an inlet, on request or again.
    pub(crate) async fn start_inlet(
        &self,
        mut spec: InletSpec,
        made: Made,
    ) -> Result<InletStatus, Failure> {
        let alias = match &spec.alias {
            Some(alias) => alias.clone(),
            None => match self.restored_twin(&spec) {
                Some(twin) => twin,
                None => unused_name(|name| self.inlets.is_taken(name))?
                    .parse()
                    .map_err(|error| Failure::internal("no name could be made", &error))?,
            },
        };
        let reservation = match self.inlets.reserve(alias.as_str(), made) {
            Ok(reservation) => reservation,
            Err(Taken::Restored(inlet))
                if inlet.is_same(&spec) && self.has_policy(alias.as_str(), spec.allow.as_ref()) =>
            {
                return Ok(inlet.view());
            }
            Err(Taken::Restored(inlet)) => {
                inlet.running.stop().await;
                drop(self.inlets.remove(alias.as_str()));
                self.inlets
                    .reserve(alias.as_str(), made)
                    .map_err(|_| exists(&alias))?
            }
            Err(Taken::Held) => return Err(exists(&alias)),
        };
        let outlet_addr = self.place_of(&spec.to, made).await?.to_string();
        spec.alias = Some(alias.clone());
        let given = self.give(made, alias.as_str(), spec.allow.as_ref())?;
        let running = self.run_inlet(&spec, &alias, made).await?;
        if !running.status().listens {
            let port = running.bound().port();
            tracing::warn!("the tcp inlet {alias} waits for its port: {}", taken(port));
        }
        let wait = spec.connection_wait.take();
        // The port that was bound is kept: clients know it.
        spec.from = HostPort::from(running.bound());
        if made == Made::Asked
            && let Some(wait) = wait
        {
            // Whether the far side is there changes the answer, not the outcome.
            drop(tokio::time::timeout(wait.0, running.connected()).await);
        }
        let request = [NOUN.one, alias.as_str()];
        if let Err(failure) = self.keep_with_policy(made, request, &spec, given).await {
            running.stop().await;
            return Err(failure);
        }
        let inlet = KeptInlet {
            alias,
            spec,
            outlet_addr,
            running,
        };
        Ok(reservation.fill(inlet)?.view())
    }

    async fn run_inlet(
        &self,
        spec: &InletSpec,
        alias: &Alias,
        made: Made,
    ) -> Result<Inlet, Failure> {
        let connect = ConnectOptions {
            identity: self.identity_for(spec.identity.as_ref()).await?,
            authorized: spec.authorized.into_iter().collect(),
            timeout: CONNECT_TIMEOUT,
        };
        let bind = spec.from.to_string();
        let over = self.hints_below(&spec.to);
        let mut options = InletOptions::new(bind.as_str(), spec.to.clone(), connect);
        options.or.clone_from(&spec.or);
        options.over = over;
        options.when_taken = match made {
            Made::Asked => WhenTaken::Refuse,
            // Whoever has its port by chance, for example for the way out of a connection, gives it back some time.
            Made::Restored => WhenTaken::Wait,
        };
        let guard = self.guard(alias.as_str(), ResourceType::TcpInlet);
        options.access = guard.access();
        options.guard = Some(Arc::new(guard));
        options.chunk = self.portal_chunk;
        options.handshake = if spec.skip_handshake {
            Handshake::Skip
        } else {
            Handshake::Wait
        };
        options.nagle = if spec.enable_nagle {
            Nagle::On
        } else {
            Nagle::Off
        };
        if !spec.http_headers.is_empty() {
            let headers = HttpHeaders::new(format!("inlet {alias}"), spec.http_headers.clone())
                .map_err(|error| Failure::new(error.to_string()))?;
            options.interceptor = Some(Arc::new(headers));
        }
        Inlet::start(&self.node, options)
            .await
            .map_err(|error| match error.kind() {
                std::io::ErrorKind::AddrInUse => {
                    let port = bind.rsplit(':').next().unwrap_or(&bind);
                    Failure::coded(Code::Internal, taken(port))
                        .caused_by(&error)
                        .help("choose another port with --from, or leave it out for a free one")
                }
                std::io::ErrorKind::AddrNotAvailable => {
                    Failure::internal(format!("cannot listen at {bind}"), &error).help(NOT_OURS)
                }
                _ => Failure::internal(format!("cannot listen at {bind}"), &error),
            })
    }

    /// A restored inlet that is the same as one asked for without a name.
    fn restored_twin(&self, spec: &InletSpec) -> Option<Alias> {
        let all = self.inlets.all();
        let twin = all.iter().find(|inlet| {
            self.inlets.is_restored(inlet.alias.as_str())
                && spec.from.port() != 0
                && inlet.is_same(spec)
        })?;
        Some(twin.alias.clone())
    }

    /// All inlets.
    pub(crate) fn inlet_list(&self) -> Vec<InletStatus> {
        self.inlets.all().iter().map(|inlet| inlet.view()).collect()
    }
}

/// spec: command 3.3 (inlet port taken)
fn taken(port: impl Display) -> String {
    format!("Another process is already listening on port {port}!")
}

/// spec: command 3.3 (inlet refused by the node)
fn exists(alias: &Alias) -> Failure {
    Failure::coded(Code::AlreadyExists, "Bad request when creating an inlet")
        .cause(format!("there is an inlet named {alias} already"))
}

fn unknown(name: &Alias) -> Failure {
    Failure::coded(Code::NotFound, format!("TCP inlet {name} not found"))
}

impl Serve<TcpInlet> for Managed {
    async fn create(&self, spec: InletSpec) -> Result<InletStatus, Failure> {
        self.start_inlet(spec, Made::Asked).await
    }

    async fn list(&self) -> Result<Vec<InletStatus>, Failure> {
        Ok(self.inlet_list())
    }

    async fn show(&self, name: &Alias) -> Result<InletStatus, Failure> {
        match self.inlets.find(name.as_str()) {
            Some(inlet) => Ok(inlet.view_with_hops(self).await),
            None => Err(unknown(name)),
        }
    }

    async fn delete(&self, name: &Alias) -> Result<InletStatus, Failure> {
        let view = <Self as Serve<TcpInlet>>::show(self, name).await?;
        self.forget_with_policy([NOUN.one, name.as_str()], name.as_str())
            .await?;
        if let Some(inlet) = self.inlets.remove(name.as_str()) {
            inlet.running.stop().await;
        }
        self.drop_policy(name.as_str()).await?;
        Ok(view)
    }
}

impl Restore for TcpInlet {
    const NOUN: &'static Noun = &NOUN;
    type Kept = InletSpec;

    async fn restore(node: &Arc<Managed>, kept: InletSpec) -> Result<(), Failure> {
        node.start_inlet(kept, Made::Restored).await.map(drop)
    }
}
