//! The services that every node offers (spec: messaging 5).

use std::sync::Arc;

use ockam_policy::ResourceType;
use ockam_wire::{Address, Buffer, Route, bare};

use crate::access::Access;
use crate::message::LocalMessage;
use crate::node::Node;
use crate::router::{Delivery, End, Inline, Router, SendError, StartError, WorkerGuard};

/// Name of the service that returns every body unchanged.
pub const ECHO: Address = Address::from_static("echo");
/// Name of the service that returns a text in upper case.
pub const UPPERCASE: Address = Address::from_static("uppercase");
/// Usual name of the service that passes messages on.
pub const HOP: Address = Address::from_static("hop");

/// A running service; it stops when this is dropped.
#[derive(Debug)]
pub struct Service {
    address: Address,
    running: Running,
}

#[derive(Debug)]
enum Running {
    Task(tokio::task::JoinHandle<()>),
    Inline { _guard: WorkerGuard },
}

impl Service {
    /// Where it listens.
    pub fn address(&self) -> &Address {
        &self.address
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        if let Running::Task(task) = &self.running {
            task.abort();
        }
    }
}

/// Starts the service that returns every body unchanged; the target of session pings. On a node with an authority policies
/// protect it (spec: messaging 5).
///
/// # Errors
/// The address is in use.
pub fn start_echo(node: &Node, address: Address) -> Result<Service, StartError> {
    let access = match node.authority() {
        Some(_) => {
            let resource = String::from_utf8_lossy(address.name());
            let policies = node.policies().clone();
            node.guard(&resource, ResourceType::Echoer, policies)
                .access()
        }
        None => Access::ALLOW_ALL,
    };
    start_echo_for(node, address, access)
}

/// Starts the service that returns every body unchanged, for whomever `access` lets in.
///
/// # Errors
/// The address is in use.
pub fn start_echo_for(
    node: &Node,
    address: Address,
    access: Access,
) -> Result<Service, StartError> {
    start(node, address, access, |message| Some(message.payload))
}

/// Starts the service that returns a text in upper case. What is not a BARE string gets no answer.
///
/// # Errors
/// The address is in use.
pub fn start_uppercase(node: &Node, address: Address) -> Result<Service, StartError> {
    start(node, address, Access::ALLOW_ALL, |message| {
        let text = bare::decode_str(message.payload.as_slice()).ok()?;
        Some(Buffer::from_slice(&bare::encode_str(&text.to_uppercase())))
    })
}

/// Starts a worker that passes messages on: it takes itself off the onward route and puts itself on the return route.
///
/// # Errors
/// The address is in use.
pub fn start_hop(node: &Node, address: Address) -> Result<Service, StartError> {
    let hop = Arc::new(Hop(address.clone()));
    let guard = node
        .router()
        .start_inline(&address, hop, Access::ALLOW_ALL)?;
    Ok(Service {
        address,
        running: Running::Inline { _guard: guard },
    })
}

fn start(
    node: &Node,
    address: Address,
    access: Access,
    answer: impl Fn(LocalMessage) -> Option<Buffer> + Send + 'static,
) -> Result<Service, StartError> {
    let mut mailbox = node
        .router()
        .start_mailbox(std::slice::from_ref(&address), access)?;
    let router = node.router().clone();
    let own = address.clone();
    let task = tokio::spawn(async move {
        loop {
            let mut message = mailbox.recv().await;
            let onward = std::mem::take(&mut message.return_route);
            let Some(body) = answer(message) else {
                continue;
            };
            let back = Route::from_hops([own.clone()]).unwrap_or_default();
            // Refusals are counted by the router; the peer is told nothing.
            drop(router.send(&own, onward, back, body).await);
        }
    });
    Ok(Service {
        address,
        running: Running::Task(task),
    })
}

/// Passes messages on. A queue of its own would fill with what waits for room in that same queue: a route may name a hop
/// twice.
struct Hop(Address);

impl Hop {
    /// What goes out over a connection or channel that this node made is answered over it, to the one that passed it on.
    fn open_way_back(&self, router: &Router, message: &LocalMessage) {
        // What the hop consumes already is left alone: a worker keeps a bounded number of permissions.
        if let Some(producer) = router.producer_behind(&message.onward)
            && !producer.reaches(&router.consumed_by(&self.0))
        {
            router.add_consumer(&self.0, producer.id);
        }
    }
}

impl Inline for Hop {
    fn end(&self) -> End {
        End::Opens
    }

    fn passes_on(&self) -> bool {
        true
    }

    fn handle(
        &self,
        mut message: LocalMessage,
        delivery: &mut Delivery<'_>,
    ) -> Result<(), SendError> {
        message.onward.drop_front();
        // spec: messaging 12 W5 (the hop limit ends a loop)
        message
            .return_route
            .push_front(&self.0)
            .map_err(|_| SendError::ChainTooLong)?;
        self.open_way_back(delivery.router(), &message);
        message.origin = message.origin.passed_on_by(self.0.clone());
        delivery.forward(message)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::node::NodeOptions;

    #[tokio::test]
    async fn guard_w35_hops_that_a_route_names_again_and_again_do_not_wait_for_themselves() {
        let node = Node::new(NodeOptions::default());
        let _hop = start_hop(&node, HOP).unwrap();
        let sink = Address::local("sink").unwrap();
        let mut mailbox = node
            .router()
            .start_mailbox(std::slice::from_ref(&sink), Access::ALLOW_ALL)
            .unwrap();
        let mut hops = vec![HOP; 25];
        hops.push(sink);
        let onward = Route::from_hops(hops).unwrap();
        for _ in 0..4 {
            let (router, onward) = (node.router().clone(), onward.clone());
            tokio::spawn(async move {
                let own = Address::from_static("source");
                let back = Route::from_hops([own.clone()]).unwrap();
                for _ in 0..MESSAGES {
                    let payload = Buffer::from_slice(&[7; 64 * 1024]);
                    let sent = router
                        .send(&own, onward.clone(), back.clone(), payload)
                        .await;
                    assert_eq!(sent, Ok(()));
                }
            });
        }
        let all = async {
            for _ in 0..4 * MESSAGES {
                let message = mailbox.recv().await;
                assert_eq!(message.return_route.len(), 26);
            }
        };
        tokio::time::timeout(Duration::from_secs(10), all)
            .await
            .expect("every message arrives");
    }

    const MESSAGES: usize = 100;
}
