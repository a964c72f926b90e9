//! Secure channel listeners of a managed node.

use std::sync::Arc;

use ockam_node::{ChannelListener, ListenerOptions};

use crate::managed::registry::{Made, Taken};
use crate::managed::restore::Restore;
use crate::managed::services::API;
use crate::managed::ways_in::WayIn;
use crate::managed::{HANDSHAKE_TIMEOUT, Managed, local};
use crate::noun::node_services::ListenerService;
use crate::noun::secure_channel_listener::{Listener, ListenerSpec, NOUN, SecureChannelListener};
use crate::outcome::{Code, Failure};
use crate::record::{FlowControlId, RawAddress};
use crate::resource::Serve;
use crate::table::Noun;
use crate::value::WorkerName;

/// A running listener. It stops when this is dropped.
#[derive(Debug)]
pub(crate) struct KeptListener {
    pub(crate) spec: ListenerSpec,
    pub(crate) running: ChannelListener,
}

impl KeptListener {
    fn view(&self) -> Listener {
        Listener {
            address: RawAddress::from(self.running.address()),
            flow_control_id: FlowControlId(self.running.flow().to_string()),
            is_key_exchange_only: false,
        }
    }
}

impl Drop for KeptListener {
    fn drop(&mut self) {
        self.running.close();
    }
}

impl Managed {
    /// Starts the listener that every node has, and the one of its services; that may be in place of the former, or switch
    /// it off.
    pub(crate) async fn start_channel_services(
        &self,
        service: Option<&ListenerService>,
    ) -> Result<(), Failure> {
        let address = WorkerName::try_from(String::from_utf8_lossy(API.name()).into_owned())
            .map_err(|error| Failure::new(error.to_string()))?;
        let is_api = service.is_some_and(|service| service.address == address);
        let api = ListenerSpec {
            address,
            authorized: Vec::new(),
            identity: None,
            no_credential: false,
        };
        let asked = service.and_then(ListenerService::spec);
        // They are not recorded as requests: every start makes them anew.
        for spec in (!is_api).then_some(api).into_iter().chain(asked) {
            self.start_channel_listener(spec, Made::Restored).await?;
        }
        Ok(())
    }

    /// Starts a listener, on request or again.
    pub(crate) async fn start_channel_listener(
        &self,
        spec: ListenerSpec,
        made: Made,
    ) -> Result<Listener, Failure> {
        let name = spec.address.to_string();
        let is_api = name.as_bytes() == API.name();
        let reservation = match self
            .channel_listeners
            .reserve(&name, if is_api { Made::Asked } else { made })
        {
            Ok(reservation) => reservation,
            Err(Taken::Restored(listener)) if listener.spec == spec => return Ok(listener.view()),
            Err(Taken::Restored(_)) => {
                drop(self.channel_listeners.remove(&name));
                self.channel_listeners
                    .reserve(&name, made)
                    .map_err(|_| exists(&name))?
            }
            Err(Taken::Held) => return Err(exists(&name)),
        };
        let options = ListenerOptions {
            identity: if spec.no_credential {
                self.bare_identity_for(spec.identity.as_ref()).await?
            } else {
                self.identity_for(spec.identity.as_ref()).await?
            },
            authorized: spec.authorized.clone(),
            timeout: HANDSHAKE_TIMEOUT,
        };
        let address = local(&name)?;
        let running = self
            .node
            .start_channel_listener(&address, options)
            .map_err(|_| exists(&name))?;
        self.keep(made, NOUN.one, &name, &spec).await?;
        for listener in self.tcp_listeners.all() {
            self.node
                .router()
                .add_consumer(&address, listener.running.flow());
        }
        for flow in self.dialled_flows() {
            self.node.router().add_consumer(&address, flow);
        }
        // What is reached over the plain listener is reached through its channels too (spec: messaging 4.3); the listener
        // itself as well, for channels within channels.
        let listener = KeptListener { spec, running };
        let flow = listener.running.flow();
        self.open_way_in(flow, WayIn::Channel);
        self.node.router().add_consumer(&address, flow);
        let listener = reservation.fill(listener)?;
        self.note_named_peers();
        Ok(listener.view())
    }
}

fn exists(name: &str) -> Failure {
    Failure::coded(Code::AlreadyExists, format!("the address {name} is in use"))
}

fn unknown(name: &WorkerName) -> Failure {
    Failure::coded(
        Code::NotFound,
        format!("Secure channel listener with address, 0#{name}, not found"),
    )
}

impl Serve<SecureChannelListener> for Managed {
    async fn create(&self, spec: ListenerSpec) -> Result<Listener, Failure> {
        self.start_channel_listener(spec, Made::Asked).await
    }

    async fn list(&self) -> Result<Vec<Listener>, Failure> {
        Ok(self
            .channel_listeners
            .all()
            .iter()
            .map(|listener| listener.view())
            .collect())
    }

    async fn show(&self, name: &WorkerName) -> Result<Listener, Failure> {
        self.channel_listeners
            .find(name.as_str())
            .map(|listener| listener.view())
            .ok_or_else(|| unknown(name))
    }

    async fn delete(&self, name: &WorkerName) -> Result<Listener, Failure> {
        let view = <Self as Serve<SecureChannelListener>>::show(self, name).await?;
        self.forget(NOUN.one, name.as_str()).await?;
        drop(self.channel_listeners.remove(name.as_str()));
        self.note_named_peers();
        Ok(view)
    }
}

impl Restore for SecureChannelListener {
    const NOUN: &'static Noun = &NOUN;
    type Kept = ListenerSpec;

    async fn restore(node: &Arc<Managed>, kept: ListenerSpec) -> Result<(), Failure> {
        node.start_channel_listener(kept, Made::Restored)
            .await
            .map(drop)
    }
}
