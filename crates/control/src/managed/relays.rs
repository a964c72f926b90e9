//! Relays of a managed node: the names under which it can be reached at other nodes.

use std::sync::{Mutex, PoisonError};

use ockam_node::ConnectOptions;
use ockam_portal::{Relay, RelayName, RelayOptions};

use crate::managed::registry::{Made, Taken};
use crate::managed::{CONNECT_TIMEOUT, Managed, begins_with};
use crate::noun::relay::{NOUN, Relay as RelayNoun, RelayInfo, RelaySpec};
use crate::outcome::{Code, Failure};
use crate::record::{Connection, FlowControlId};
use crate::resource::Serve;
use crate::value::Alias;

/// A running relay.
#[derive(Debug)]
pub(crate) struct KeptRelay {
    spec: RelaySpec,
    /// Where the relaying node is, nodes replaced by their listeners.
    destination: String,
    // Held to look at it or to put another in its place. `None` while it is started again.
    running: Mutex<Option<Relay>>,
}

impl KeptRelay {
    async fn stop(&self) {
        let running = self
            .running
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(running) = running {
            running.stop().await;
        }
    }

    fn is_same(&self, spec: &RelaySpec) -> bool {
        let comparable = |spec: &RelaySpec| RelaySpec {
            connection_wait: None,
            ..spec.clone()
        };
        comparable(&self.spec) == comparable(spec)
    }
}

impl Managed {
    /// Starts a relay, on request or again.
    pub(crate) async fn start_relay(
        &self,
        mut spec: RelaySpec,
        made: Made,
    ) -> Result<RelayInfo, Failure> {
        let name = spec.name.to_string();
        let reservation = match self.relays.reserve(&name, made) {
            Ok(reservation) => reservation,
            Err(Taken::Restored(relay)) if relay.is_same(&spec) => {
                return Ok(self.relay_view(&relay));
            }
            Err(Taken::Restored(relay)) => {
                relay.stop().await;
                drop(self.relays.remove(&name));
                self.relays
                    .reserve(&name, made)
                    .map_err(|_| exists(&name))?
            }
            Err(Taken::Held) => return Err(exists(&name)),
        };
        let wait = spec.connection_wait.take();
        let destination = self.state.replace_nodes(&spec.at).await?.to_string();
        let running = self.run_relay(&spec).await?;
        if made == Made::Asked
            && let Some(wait) = wait
        {
            // Whether the far side is there changes the answer, not the outcome.
            drop(tokio::time::timeout(wait.0, running.connected()).await);
        }
        if let Err(failure) = self.keep(made, NOUN.one, &name, &spec).await {
            running.stop().await;
            return Err(failure);
        }
        let relay = reservation.fill(KeptRelay {
            spec,
            destination,
            running: Mutex::new(Some(running)),
        })?;
        Ok(self.relay_view(&relay))
    }

    async fn run_relay(&self, spec: &RelaySpec) -> Result<Relay, Failure> {
        let asked = spec.relay_address.as_ref().unwrap_or(&spec.name);
        let name: RelayName = asked.as_str().parse().map_err(|error| {
            Failure::new(format!("`{asked}` cannot be the name of a relay"))
                .caused_by(&error as &ockam_portal::InvalidRelayName)
        })?;
        let connect = ConnectOptions {
            identity: self.identity_for(spec.identity.as_ref()).await?,
            authorized: spec.authorized.into_iter().collect(),
            timeout: CONNECT_TIMEOUT,
        };
        let options = RelayOptions::new(self.resolve(&spec.at).await?, name, connect);
        let node = std::sync::Arc::downgrade(&self.own()?);
        Ok(Relay::start(&self.node, options, move |connection| {
            if let (Some(node), Some(flow)) = (node.upgrade(), connection.flow()) {
                node.open_dialled(flow);
            }
        }))
    }

    /// Points relays whose routes begin with this link at its present address.
    pub(crate) async fn repoint_relays(&self, link: &str) {
        for relay in self
            .relays
            .all()
            .into_iter()
            .filter(|relay| begins_with(&relay.spec.at, link))
        {
            relay.stop().await;
            match self.run_relay(&relay.spec).await {
                Ok(running) => {
                    *relay.running.lock().unwrap_or_else(PoisonError::into_inner) = Some(running);
                }
                Err(failure) => {
                    tracing::warn!(relay = %relay.spec.name, "the relay could not start again: {failure}")
                }
            }
        }
    }

    fn relay_view(&self, relay: &KeptRelay) -> RelayInfo {
        let running = relay.running.lock().unwrap_or_else(PoisonError::into_inner);
        let status = running.as_ref().map(Relay::status);
        let registered = status
            .as_ref()
            .and_then(|status| status.registered.as_ref());
        RelayInfo {
            forwarding_route: registered.map(|registered| registered.forwarding_route.to_string()),
            remote_address: registered.map(|registered| {
                String::from_utf8_lossy(registered.remote_address.name()).into_owned()
            }),
            worker_address: registered.map(|registered| registered.worker.to_string()),
            flow_control_id: registered
                .and_then(|registered| {
                    self.node
                        .router()
                        .producer_behind(&registered.forwarding_route)
                })
                .map(|producer| FlowControlId(producer.id.to_string())),
            connection_status: match registered {
                Some(_) => Connection::Up,
                None => Connection::Down,
            },
            destination_address: relay.destination.clone(),
            name: relay.spec.name.to_string(),
            last_failure: status.and_then(|status| status.session.last_failure),
        }
    }
}

fn exists(name: &str) -> Failure {
    Failure::coded(
        Code::AlreadyExists,
        format!("A relay named {name} already exists"),
    )
}

fn unknown(name: &Alias) -> Failure {
    Failure::coded(Code::NotFound, format!("relay {name} not found"))
}

impl Serve<RelayNoun> for Managed {
    async fn create(&self, spec: RelaySpec) -> Result<RelayInfo, Failure> {
        self.start_relay(spec, Made::Asked).await
    }

    async fn list(&self) -> Result<Vec<RelayInfo>, Failure> {
        Ok(self
            .relays
            .all()
            .iter()
            .map(|relay| self.relay_view(relay))
            .collect())
    }

    async fn show(&self, name: &Alias) -> Result<RelayInfo, Failure> {
        self.relays
            .find(name.as_str())
            .map(|relay| self.relay_view(&relay))
            .ok_or_else(|| unknown(name))
    }

    async fn delete(&self, name: &Alias) -> Result<RelayInfo, Failure> {
        let view = <Self as Serve<RelayNoun>>::show(self, name).await?;
        self.forget(NOUN.one, name.as_str()).await?;
        if let Some(relay) = self.relays.remove(name.as_str()) {
            relay.stop().await;
        }
        Ok(view)
    }
}
