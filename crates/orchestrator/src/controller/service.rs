//! The services of a controller as workers of a node. `spec: trust 9`

use std::sync::Arc;

use ockam_authority::answering::{Answering, Room, Serving};
use ockam_node::{FlowId, LocalMessage, Node, StartError};
use ockam_wire::Address;
use tokio::task::JoinHandle;
use zeroize::Zeroizing;

use super::{Caller, Controller, Service};

/// The running services of a controller; they stop when this is dropped.
#[derive(Debug)]
pub struct ControllerServices {
    _serving: Vec<Serving>,
    settling: JoinHandle<()>,
}

impl ControllerServices {
    pub(super) fn start(
        node: &Node,
        controller: &Arc<Controller>,
        channels: FlowId,
    ) -> Result<Self, StartError> {
        let room = Room::new(node, MOST_REQUESTS);
        let mut serving = Vec::new();
        for service in Service::ALL {
            let address = Address::from_static(service.address());
            let worker = Worker {
                node: node.clone(),
                controller: controller.clone(),
                service,
            };
            serving.push(room.serve(&address, worker)?);
            node.router().add_consumer(&address, channels);
        }
        Ok(Self {
            _serving: serving,
            settling: tokio::spawn(controller.clone().keep_settling()),
        })
    }
}

impl Drop for ControllerServices {
    fn drop(&mut self) {
        self.settling.abort();
    }
}

struct Worker {
    node: Node,
    controller: Arc<Controller>,
    service: Service,
}

impl Answering for Worker {
    type Answer = Zeroizing<Vec<u8>>;

    async fn answer(&self, message: LocalMessage) -> Option<Zeroizing<Vec<u8>>> {
        let caller = message.origin.peer.as_ref().map(|peer| Caller {
            history: peer.history(),
            source: self.node.router().source_behind(&peer.channel),
        });
        self.controller
            .answer(self.service, caller.as_ref(), message.payload.as_slice())
            .await
    }
}

/// Requests that are done at the same time.
const MOST_REQUESTS: usize = 128;
