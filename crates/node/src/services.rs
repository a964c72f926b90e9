//! The services that every node offers (spec: messaging 5).

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ockam_policy::ResourceType;
use ockam_wire::{Address, Buffer, Route, bare};

use crate::access::{Access, Rule};
use crate::flow_control::FlowId;
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

/// Starts the service that returns every body unchanged; the target of session pings. A policy protects it if there is one,
/// at a strict node always (spec: messaging 5); there, whoever comes without a secure channel gets little and seldom, enough
/// to see whether the node lives (W8, W31).
///
/// # Errors
/// The address is in use.
pub fn start_echo(node: &Node, address: Address) -> Result<Service, StartError> {
    let resource = String::from_utf8_lossy(address.name());
    let guard = node.guard(&resource, ResourceType::Echoer, node.policies().clone());
    let access = if node.is_strict() {
        // What is answered goes back the way that the question came: its first hop is that very channel.
        Access {
            incoming: Rule::PolicyInChannels(guard),
            outgoing: Rule::AllowAll,
        }
    } else {
        guard.access()
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
    let mut sparing = node.is_strict().then(Sparing::default);
    start(node, address, access, move |message| {
        if let Some(sparing) = &mut sparing
            && message.origin.peer.is_none()
            && let Some(producer) = message.origin.producer
        {
            sparing.allows(producer.id, message.payload.len(), Instant::now())?;
        }
        Some(message.payload)
    })
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
/// The address is in use, or the node is strict (spec: messaging 12 W5): whoever may send to a hop may send from this node to
/// wherever it is connected.
pub fn start_hop(node: &Node, address: Address) -> Result<Service, StartError> {
    if node.is_strict() {
        return Err(StartError::Strict(address));
    }
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
    mut answer: impl FnMut(LocalMessage) -> Option<Buffer> + Send + 'static,
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

/// What plain connections get of `echo` at a strict node: each a few small answers a second (spec: messaging 12 W8).
#[derive(Debug, Default)]
struct Sparing {
    asked: HashMap<FlowId, Asked>,
}

/// How often one connection asked in the second that began with its first question.
#[derive(Debug)]
struct Asked {
    since: Instant,
    times: u32,
}

impl Sparing {
    fn allows(&mut self, flow: FlowId, length: usize, now: Instant) -> Option<()> {
        if length > SPARING_BODY {
            return None;
        }
        if self.asked.len() >= MANY_ASKED && self.asked.len() == self.asked.capacity() {
            self.asked
                .retain(|_, asked| now.saturating_duration_since(asked.since) < SECOND);
        }
        let asked = self.asked.entry(flow).or_insert(Asked {
            since: now,
            times: 0,
        });
        if now.saturating_duration_since(asked.since) >= SECOND {
            *asked = Asked {
                since: now,
                times: 0,
            };
        }
        asked.times += 1;
        (asked.times <= SPARING_ANSWERS).then_some(())
    }
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

    fn handle(&self, delivery: &mut Delivery<'_>) -> Result<(), SendError> {
        let router = delivery.router();
        let message = delivery.message();
        message.onward.drop_front();
        // spec: messaging 12 W5 (the hop limit ends a loop)
        message
            .return_route
            .push_front(&self.0)
            .map_err(|_| SendError::ChainTooLong)?;
        self.open_way_back(router, message);
        message.origin.pass_on_by(self.0.clone());
        delivery.forward()
    }
}

const SECOND: Duration = Duration::from_secs(1);
/// The largest body that `echo` returns over a plain connection at a strict node.
const SPARING_BODY: usize = 64;
/// How many of them in a second, for each connection.
const SPARING_ANSWERS: u32 = 10;
const MANY_ASKED: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::NodeOptions;

    #[test]
    fn guard_w08_sparing_echo_counts_each_connection_for_a_second() {
        let (first, second) = (FlowId::from_random([1; 16]), FlowId::from_random([2; 16]));
        let mut sparing = Sparing::default();
        let now = Instant::now();
        for _ in 0..SPARING_ANSWERS {
            assert_eq!(sparing.allows(first, SPARING_BODY, now), Some(()));
        }
        assert_eq!(sparing.allows(first, 1, now), None);
        assert_eq!(sparing.allows(second, 1, now), Some(()));
        assert_eq!(sparing.allows(second, SPARING_BODY + 1, now), None);
        assert_eq!(sparing.allows(first, 1, now + SECOND), Some(()));
        for number in 0..10_000_u32 {
            let mut id = [3; 16];
            id[..4].copy_from_slice(&number.to_le_bytes());
            let later = now + SECOND * (number + 2);
            assert_eq!(sparing.allows(FlowId::from_random(id), 1, later), Some(()));
        }
        assert!(
            sparing.asked.len() <= 1024,
            "connections of before are forgotten"
        );
    }

    #[tokio::test]
    async fn guard_w05_strict_node_has_no_hop() {
        let node = Node::new(NodeOptions {
            strict: true,
            ..NodeOptions::default()
        });
        let refused = start_hop(&node, HOP).unwrap_err();
        assert_eq!(refused, StartError::Strict(HOP));
    }

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
