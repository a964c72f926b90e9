//! Relays of a managed node: the names under which it can be reached at other nodes.

use std::sync::Arc;

use ockam_node::{ConnectOptions, FlowId};
use ockam_portal::{Relay, RelayName, RelayOptions};

use crate::managed::policies::relay_resource;
use crate::managed::registry::{Made, Taken};
use crate::managed::restore::Restore;
use crate::managed::ways::Progress;
use crate::managed::{CONNECT_TIMEOUT, Managed};
use crate::noun::relay::{NOUN, Relay as RelayNoun, RelayInfo, RelaySpec};
use crate::outcome::{Code, Failure};
use crate::record::{Connection, FlowControlId};
use crate::resource::Serve;
use crate::table::Noun;
use crate::value::Alias;

/// A running relay.
#[derive(Debug)]
pub(crate) struct KeptRelay {
    pub(super) spec: RelaySpec,
    /// Where the relaying node was when this was made, nodes replaced by their listeners.
    pub(super) destination: String,
    pub(super) running: Relay,
}

impl KeptRelay {
    pub(super) fn is_same(&self, spec: &RelaySpec) -> bool {
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
            Err(Taken::Restored(relay))
                if relay.is_same(&spec)
                    && self.has_policy(&relay_resource(&name), spec.allow.as_ref()) =>
            {
                return Ok(self.relay_view(&relay));
            }
            Err(Taken::Restored(relay)) => {
                relay.running.stop().await;
                drop(self.relays.remove(&name));
                self.relays
                    .reserve(&name, made)
                    .map_err(|_| exists(&name))?
            }
            Err(Taken::Held) => return Err(exists(&name)),
        };
        let wait = spec.connection_wait.take();
        let destination = self.place_of(&spec.at, made).await?.to_string();
        let given = self.give(made, &relay_resource(&name), spec.allow.as_ref())?;
        let running = self.run_relay(&spec).await?;
        if made == Made::Asked
            && let Some(wait) = wait
        {
            // Whether the far side is there changes the answer, not the outcome.
            drop(tokio::time::timeout(wait.0, running.connected()).await);
        }
        let request = [NOUN.one, name.as_str()];
        if let Err(failure) = self.keep_with_policy(made, request, &spec, given).await {
            running.stop().await;
            return Err(failure);
        }
        let relay = reservation.fill(KeptRelay {
            spec,
            destination,
            running,
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
        let mut options = RelayOptions::new(spec.at.clone(), name, connect);
        options.access = self.relay_access(spec.name.as_str());
        let node = Arc::downgrade(&self.own()?);
        Ok(Relay::start(&self.node, options, move |connection| {
            if let (Some(node), Some(flow)) = (node.upgrade(), connection.flow()) {
                node.open_dialled(flow);
            }
        }))
    }

    /// The ways that this node dialled to be reached by: the connections of its relays.
    pub(crate) fn dialled_flows(&self) -> Vec<FlowId> {
        self.relays
            .all()
            .iter()
            .filter_map(|relay| {
                let registered = relay.running.status().registered?;
                let producer = self
                    .node
                    .router()
                    .producer_behind(&registered.forwarding_route)?;
                Some(producer.id)
            })
            .collect()
    }

    fn relay_view(&self, relay: &KeptRelay) -> RelayInfo {
        let status = relay.running.status();
        let registered = status.registered.as_ref();
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
            destination_address: status
                .place
                .map_or_else(|| relay.destination.clone(), |place| place.to_string()),
            name: relay.spec.name.to_string(),
            last_failure: status.session.last_failure,
            hops: Vec::new(),
        }
    }

    /// The same with the hops to the relaying node.
    pub(crate) async fn relay_view_with_hops(&self, relay: &KeptRelay) -> RelayInfo {
        let status = relay.running.status();
        let place = self.place_to_draw(relay.running.at(), status.place).await;
        let progress = Progress::of(&status.session, status.peers);
        let name = format!("forward_to_{}", relay.running.name());
        RelayInfo {
            hops: self.hops_to_registration(&place, &name, &progress).await,
            ..self.relay_view(relay)
        }
    }
}

fn exists(name: &str) -> Failure {
    Failure::coded(
        Code::AlreadyExists,
        format!("A relay named {name} already exists"),
    )
    .help("choose another name, or delete that one with `ockam relay delete`")
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
        match self.relays.find(name.as_str()) {
            Some(relay) => Ok(self.relay_view_with_hops(&relay).await),
            None => Err(unknown(name)),
        }
    }

    async fn delete(&self, name: &Alias) -> Result<RelayInfo, Failure> {
        let view = <Self as Serve<RelayNoun>>::show(self, name).await?;
        self.forget_with_policy([NOUN.one, name.as_str()], &relay_resource(name.as_str()))
            .await?;
        if let Some(relay) = self.relays.remove(name.as_str()) {
            relay.running.stop().await;
        }
        self.drop_policy(&relay_resource(name.as_str())).await?;
        Ok(view)
    }
}

impl Restore for RelayNoun {
    const NOUN: &'static Noun = &NOUN;
    type Kept = RelaySpec;

    async fn restore(node: &Arc<Managed>, kept: RelaySpec) -> Result<(), Failure> {
        node.start_relay(kept, Made::Restored).await.map(drop)
    }
}
