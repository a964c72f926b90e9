//! Services of a managed node, and which ways lead to them (spec: messaging 4.3, 5).

use std::sync::Arc;

use ockam_node::{StartError, services};
use ockam_wire::Address;

use crate::managed::registry::{Made, Taken};
use crate::managed::restore::Restore;
use crate::managed::{Managed, local};
use crate::noun::service::{NOUN, Service, ServiceKind, ServiceSpec};
use crate::outcome::{Code, Failure};
use crate::table::Noun;

/// A running service.
#[derive(Debug)]
pub(crate) struct KeptService {
    pub(crate) spec: Option<ServiceSpec>,
    pub(crate) kind: &'static str,
    pub(crate) running: services::Service,
}

impl KeptService {
    pub(crate) fn view(&self) -> Service {
        Service {
            addr: String::from_utf8_lossy(self.running.address().name()).into_owned(),
            kind: self.kind.to_owned(),
        }
    }
}

impl Managed {
    /// Starts the services that every node has.
    pub(crate) fn start_default_services(&self) -> Result<(), Failure> {
        let failed = |error: &(dyn std::error::Error + 'static)| {
            Failure::internal("a service could not start", error)
        };
        let uppercase = services::start_uppercase(&self.node, services::UPPERCASE)
            .map_err(|error| failed(&error))?;
        let echo =
            services::start_echo(&self.node, services::ECHO).map_err(|error| failed(&error))?;
        for (kind, running) in [("uppercase", uppercase), ("echo", echo)] {
            self.services
                .reserve(kind, Made::Asked)
                .map_err(|_| exists(kind))?
                .fill(KeptService {
                    spec: None,
                    kind,
                    running,
                })?;
        }
        Ok(())
    }

    /// All services that lists show: not `api` and not the relay service.
    pub(crate) fn service_list(&self) -> Vec<Service> {
        self.services
            .all()
            .iter()
            .map(|service| service.view())
            .collect()
    }

    /// Starts a service on request.
    pub(crate) async fn start_service(
        &self,
        spec: ServiceSpec,
        made: Made,
    ) -> Result<Service, Failure> {
        let name = spec.address.to_string();
        let reservation = match self.services.reserve(&name, made) {
            Ok(reservation) => reservation,
            Err(Taken::Restored(service)) if service.spec.as_ref() == Some(&spec) => {
                return Ok(service.view());
            }
            Err(_) => return Err(exists(&name)),
        };
        let ServiceKind::Hop = spec.kind;
        let address = local(spec.address.as_str())?;
        let running =
            services::start_hop(&self.node, address.clone()).map_err(|error| match error {
                StartError::Strict(_) => strict(&name),
                _ => exists(&name),
            })?;
        for listener in self.tcp_listeners.all() {
            self.node
                .router()
                .add_consumer(&address, listener.running.flow());
        }
        self.keep(made, NOUN.one, &name, &spec).await?;
        let service = reservation.fill(KeptService {
            spec: Some(spec),
            kind: "hop",
            running,
        })?;
        Ok(service.view())
    }
}

fn exists(name: &str) -> Failure {
    Failure::coded(Code::AlreadyExists, format!("the address {name} is in use"))
}

/// spec: messaging 12 W5
fn strict(name: &str) -> Failure {
    Failure::new(format!(
        "the service {name} was not started: the node is strict"
    ))
    .cause("whoever may send to a hop may send from this node to wherever it is connected")
    .help("start it at a node that is not strict and has no authority")
}

/// The listener that every node has.
pub(crate) const API: Address = Address::from_static("api");

impl Restore for Service {
    const NOUN: &'static Noun = &NOUN;
    type Kept = ServiceSpec;

    async fn restore(node: &Arc<Managed>, kept: ServiceSpec) -> Result<(), Failure> {
        node.start_service(kept, Made::Restored).await.map(drop)
    }
}
