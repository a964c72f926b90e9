//! The services that every node offers (spec: messaging 5).

use ockam_wire::{Address, Buffer, Route, bare};

use crate::access::Access;
use crate::message::LocalMessage;
use crate::node::Node;
use crate::router::{Mailbox, Router, StartError};

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
    task: tokio::task::JoinHandle<()>,
}

impl Service {
    /// Where it listens.
    pub fn address(&self) -> &Address {
        &self.address
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Starts the service that returns every body unchanged; the target of session pings.
///
/// # Errors
/// The address is in use.
pub fn start_echo(node: &Node, address: Address) -> Result<Service, StartError> {
    start(node, address, |message| Some(message.payload))
}

/// Starts the service that returns a text in upper case. What is not a BARE string gets no answer.
///
/// # Errors
/// The address is in use.
pub fn start_uppercase(node: &Node, address: Address) -> Result<Service, StartError> {
    start(node, address, |message| {
        let text = bare::decode_str(message.payload.as_slice()).ok()?;
        Some(Buffer::from_slice(&bare::encode_str(&text.to_uppercase())))
    })
}

/// Starts a worker that passes messages on: it takes itself off the onward route and puts itself on the return route.
///
/// # Errors
/// The address is in use.
pub fn start_hop(node: &Node, address: Address) -> Result<Service, StartError> {
    let mailbox = node
        .router()
        .start_mailbox(std::slice::from_ref(&address), Access::ALLOW_ALL)?;
    let task = tokio::spawn(pass_on(node.router().clone(), mailbox));
    Ok(Service { address, task })
}

fn start(
    node: &Node,
    address: Address,
    answer: impl Fn(LocalMessage) -> Option<Buffer> + Send + 'static,
) -> Result<Service, StartError> {
    let mut mailbox = node
        .router()
        .start_mailbox(std::slice::from_ref(&address), Access::ALLOW_ALL)?;
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
    Ok(Service { address, task })
}

/// What goes out over a connection or channel that this node made is answered over it, to the one that passed it on.
fn open_way_back(router: &Router, own: &Address, message: &LocalMessage) {
    // What the hop consumes already is left alone: a worker keeps a bounded number of permissions.
    if let Some(producer) = router.producer_behind(&message.onward)
        && !producer.reaches(&router.consumed_by(own))
    {
        router.add_consumer(own, producer.id);
    }
}

async fn pass_on(router: Router, mut mailbox: Mailbox) {
    let own = mailbox.address().clone();
    loop {
        let mut message = mailbox.recv().await;
        message.onward.drop_front();
        if message.return_route.push_front(&own).is_err() {
            // spec: messaging 12 W5 (the hop limit ends a loop)
            continue;
        }
        open_way_back(&router, &own, &message);
        message.origin = message.origin.passed_on_by(own.clone());
        drop(router.deliver(message).await);
    }
}
