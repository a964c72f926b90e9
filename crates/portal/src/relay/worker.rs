//! The worker at a relay's address.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use foldhash::quality::RandomState;
use ockam_node::{
    Access, Delivery, End, FlowId, Inline, LocalMessage, Node, Producer, Router, SendError,
    StartError, WorkerGuard,
};
use ockam_wire::{Address, Route};

/// What is sent to an address goes on along a route, as at a relay, without anybody having registered it here. It stops
/// when this is dropped.
#[derive(Debug)]
pub struct Forwarder {
    _guard: WorkerGuard,
}

impl Forwarder {
    /// Starts it at `address`, for what comes in with one of the flows `from` and passes the rules. The route leads out of the
    /// node.
    ///
    /// # Errors
    /// The address is in use, or nothing at the first hop of `forward` leads out.
    pub fn start(
        node: &Node,
        address: &Address,
        forward: Route,
        from: &[FlowId],
        access: Access,
    ) -> Result<Self, StartError> {
        let router = node.router();
        let worker = router
            .producer_behind(&forward)
            .and_then(|producer| RelayWorker::new(address.clone(), forward, producer));
        let worker = worker.ok_or_else(|| StartError::NotLocal(address.to_string()))?;
        let guard = router.start_inline(address, Arc::new(worker), access)?;
        for flow in from {
            router.add_consumer(address, *flow);
        }
        Ok(Self { _guard: guard })
    }
}

/// The worker at a relay's address (spec: messaging 6.2).
pub(super) struct RelayWorker {
    address: Address,
    forward: Route,
    first: Address,
    producer: Producer,
    // Which ways were opened to answers already; held for one look-up.
    opened: Mutex<HashSet<CameBy, RandomState>>,
}

/// How a message came to a relay, as this node knows it.
#[derive(PartialEq, Eq, Hash)]
enum CameBy {
    /// Over this connection or channel.
    Flow(FlowId),
    /// From this worker of the node.
    Worker(Address),
}

impl RelayWorker {
    /// What is sent to `address` goes on along `forward`, behind whose first hop is `producer`.
    pub(super) fn new(address: Address, forward: Route, producer: Producer) -> Option<Self> {
        let first = forward.first()?.to_address();
        Some(Self {
            address,
            forward,
            first,
            producer,
            opened: Mutex::default(),
        })
    }

    /// Lets answers from the relayed node reach the connection that a message came over (spec: messaging 6.3).
    fn open_way_back(&self, router: &Router, message: &LocalMessage) {
        let came_by = match message.origin.producer {
            Some(producer) => CameBy::Flow(producer.id),
            None => CameBy::Worker(message.origin.source.clone()),
        };
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        if opened.contains(&came_by) {
            return;
        }
        let Some(back) = message.return_route.first() else {
            return;
        };
        // spec: messaging 12 W13 (only for the connection the message really came over, or for the worker of this node
        // that sent it, and until one of both ends)
        let really = match &came_by {
            CameBy::Flow(flow) => router
                .producer_behind(&message.return_route)
                .is_some_and(|producer| producer.id == *flow),
            CameBy::Worker(source) => back == *source,
        };
        if !really {
            return;
        }
        if opened.len() >= MANY_WAYS && opened.len() == opened.capacity() {
            opened.retain(|way| match way {
                CameBy::Flow(flow) => router.is_flow(*flow),
                CameBy::Worker(address) => router.is_running(address),
            });
        }
        // Both ways: whoever was answered goes on over the route of the answer, which does not pass the relay's address.
        let onward = match came_by {
            CameBy::Flow(flow) => router.add_consumer(&self.first, flow),
            CameBy::Worker(_) => true,
        };
        if router.add_consumer(&back.to_address(), self.producer.id) && onward {
            opened.insert(came_by);
        }
    }
}

impl Inline for RelayWorker {
    fn end(&self) -> End {
        End::Next(self.first.clone())
    }

    fn handle(&self, delivery: &mut Delivery<'_>) -> Result<(), SendError> {
        let router = delivery.router();
        let message = delivery.message();
        self.open_way_back(router, message);
        message.onward.drop_front();
        message
            .onward
            .prepend(&self.forward)
            .map_err(|_| SendError::ChainTooLong)?;
        message.origin.pass_on_by(self.address.clone());
        delivery.forward()
    }
}

const MANY_WAYS: usize = 1024;

#[cfg(test)]
mod tests {
    use ockam_node::{Attach, Inbound, NodeOptions, Outbound};
    use ockam_wire::{Buffer, RoutingMessage};

    use super::*;

    #[tokio::test]
    async fn way_back_opens_again_for_a_connection_that_takes_the_place_of_another() {
        let node = Node::new(NodeOptions::default());
        let (relay, inlet) = (Address::from_static("relay"), Address::from_static("inlet"));
        let (outlet, _outlet_out) = attach(&node, Address::from_static("outlet"));
        let forward = Route::from(outlet.connection().sender().clone());
        let forwarder = Forwarder::start(&node, &relay, forward, &[], Access::ALLOW_ALL).unwrap();
        for _ in 0..2 {
            let (mut inbound, outbound) = attach(&node, inlet.clone());
            node.router()
                .add_consumer(&relay, inbound.connection().flow());
            let message = RoutingMessage {
                onward: Route::from_hops([relay.clone(), Address::from_static("beyond")]).unwrap(),
                return_route: Route::new(),
                payload: Buffer::from_slice(b"x"),
            };
            inbound.receive(message.encode().unwrap()).await.unwrap();
            let opened = node.router().consumed_by(&inlet);
            assert_eq!(opened, [outlet.connection().flow()]);
            drop((inbound, outbound));
        }
        drop(forwarder);
    }

    fn attach(node: &Node, sender: Address) -> (Inbound, Outbound) {
        let attach = Attach {
            transport: "memory",
            peer: String::new(),
            sender: Some(sender),
            accepted: None,
            message_limit: 1024,
            queue_bytes: 4096,
        };
        node.attach(attach).unwrap()
    }
}
