//! A node inside another: many nodes behind the listeners of one.
//!
//! A **gate** is a worker of the outer node. A message from outside that names it first goes on in the inner node, as if
//! the connection were one of that node's own: the gate takes its name off the route and the inner router goes on with
//! the rest, in the same task and with the same buffer.
//!
//! ```text
//! connection -> outer router -> gate ~> inner router -> worker
//! connection <- outer sender <- way out (name before the return route) <- inner router
//! ```
//!
//! The inner node knows each connection under the address that it has outside, by a worker that leads out to it, as long
//! as both are there. So all that a node does by connection goes on to work: a channel ends with its connection, what is
//! not open to strangers stays closed, what waits to leave is bounded where it leaves.
//!
//! Two nodes may have the same namespace, each a part of it. What one of them knows to be in the other's goes there over a
//! channel that is *linked*: it leads from gate to gate, and to nothing else of the other node.
//!
//! Invariants: an inner node is reached through its gate only by what has just come from outside, over the connection or
//! channel that the return route begins with; it learns nothing else of the outer node, neither peers nor permissions;
//! from an inner node nothing reaches a worker of the outer one but the connections that came in; a node has one outer
//! node at most, and never itself.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, Weak};

use ockam_wire::{Address, AddressRef};
use tokio::task::AbortHandle;

use crate::access::Access;
use crate::flow_control::{FlowId, Producer};
use crate::message::Origin;
use crate::node::Node;
use crate::router::{
    Behind, Delivery, End, Entry, Inline, Kind, Router, SendError, StartError, WeakRouter,
    WorkerGuard,
};

/// An inner node's place in the outer one. Dropping it closes the gate and ends, for the inner node, all connections that
/// came through it.
pub struct Namespace {
    gate: Arc<Gate>,
    guard: WorkerGuard,
}

/// What a gate is made with.
#[derive(Debug, Clone, Copy)]
pub struct Entrance<'a> {
    /// What becomes [`Namespace::flow`], so that what is reached through the gate can be opened to it before there is one.
    pub flow: FlowId,
    /// The ways into the outer node that the gate is opened to.
    pub ways: &'a [FlowId],
}

impl Node {
    /// Lets messages that come for `name` go on in `inner`. Nobody reaches the gate before it was
    /// [opened](Namespace::open_to).
    ///
    /// # Errors
    /// The address is in use, or `inner` has a gate already, or it holds this node.
    pub fn enter(&self, name: Address, inner: &Self) -> Result<Namespace, StartError> {
        let entrance = Entrance {
            flow: self.random_flow(),
            ways: &[],
        };
        self.enter_through(name, inner, &entrance)
    }

    /// The same, through a gate that is open from its first moment on: what comes for one that is not open yet is lost.
    ///
    /// # Errors
    /// As [`Node::enter`].
    pub fn enter_through(
        &self,
        name: Address,
        inner: &Self,
        entrance: &Entrance<'_>,
    ) -> Result<Namespace, StartError> {
        let (outer, inner) = (self.router(), inner.router());
        if !inner.set_outer(outer) {
            return Err(StartError::Entered(name));
        }
        let gate = Arc::new(Gate {
            name: name.clone(),
            outer: outer.downgrade(),
            inner: inner.clone(),
            flow: entrance.flow,
            links: RwLock::default(),
            ways: Arc::new(Mutex::new(Ways::Open(HashMap::new()))),
        });
        let guard = outer
            .start_inline_open_to(&name, gate.clone(), Access::ALLOW_ALL, entrance.ways)
            .inspect_err(|_| inner.unset_outer())?;
        Ok(Namespace { gate, guard })
    }
}

impl Namespace {
    /// The address of the gate.
    pub fn name(&self) -> &Address {
        self.guard.address()
    }

    /// What comes over connections of the outer node enters the inner one under this spawner: what is to be reached
    /// through the gate without a channel, usually the listener of channels, is opened to it.
    ///
    /// What comes out of a channel of the outer node keeps the ids that it has there.
    pub fn flow(&self) -> FlowId {
        self.gate.flow
    }

    /// Opens the gate to one more way into the outer node: that of a listener, for example.
    pub fn open_to(&self, flow: FlowId) {
        if let Some(outer) = self.gate.outer.upgrade() {
            outer.add_consumer(self.name(), flow);
        }
    }

    /// A handle that does not keep the gate open.
    pub fn handle(&self) -> NamespaceHandle {
        NamespaceHandle {
            gate: Arc::downgrade(&self.gate),
        }
    }

    /// How many connections the inner node knows through the gate.
    pub fn connections(&self) -> usize {
        match &*self.gate.ways() {
            Ways::Open(ways) => ways.len(),
            Ways::Closed => 0,
        }
    }
}

/// A place that may be gone. Cloning gives another handle.
#[derive(Clone)]
pub struct NamespaceHandle {
    gate: Weak<Gate>,
}

impl NamespaceHandle {
    /// Makes a connection or channel of the outer node known to the inner one before anything comes over it. Returns what
    /// answers over it enter the inner node with.
    ///
    /// # Errors
    /// Nothing at `address` leads out of the outer node, or the inner one has another worker there, or the gate is gone.
    pub fn lead_out(&self, address: &Address) -> Result<Producer, StartError> {
        self.learn(address, Leads::Out)
    }

    /// Channels that were accepted by the listener of `flow` lead to the same namespace of another node that has one: what
    /// goes out over them goes to the gate of the same name there, and nowhere else, and its answer to the gate here. The
    /// gate is open to them.
    pub fn link_accepted(&self, flow: FlowId) {
        let Some(gate) = self.gate.upgrade() else {
            return;
        };
        let mut links = gate.links.write().unwrap_or_else(PoisonError::into_inner);
        links.insert(flow);
        drop(links);
        if let Some(outer) = gate.outer.upgrade() {
            outer.add_consumer(&gate.name, flow);
        }
    }

    /// The same for one channel that was opened at `encryptor`.
    ///
    /// # Errors
    /// As for [`NamespaceHandle::lead_out`].
    pub fn link_opened(&self, encryptor: &Address) -> Result<Producer, StartError> {
        let producer = self.learn(encryptor, Leads::Onward)?;
        if let Some(gate) = self.gate.upgrade()
            && let Some(outer) = gate.outer.upgrade()
        {
            outer.add_consumer_of(&gate.name, &producer);
        }
        Ok(producer)
    }

    fn learn(&self, address: &Address, leads: Leads) -> Result<Producer, StartError> {
        let not_there = || StartError::NotLocal(address.to_string());
        let gate = self.gate.upgrade().ok_or_else(not_there)?;
        let outer = gate.outer.upgrade().ok_or_else(not_there)?;
        let to = outer.entry(address.name()).ok_or_else(not_there)?;
        let producer = to.behind.producer.ok_or_else(not_there)?;
        gate.learn(&outer, to, producer, leads)
    }
}

impl fmt::Debug for NamespaceHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NamespaceHandle").finish_non_exhaustive()
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // A message may be in the gate at this moment: it learns no way any more.
        let ways = std::mem::replace(&mut *self.gate.ways(), Ways::Closed);
        drop(ways);
        self.gate.inner.end_flow(self.gate.flow);
        self.gate.inner.unset_outer();
    }
}

impl fmt::Debug for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Namespace")
            .field("name", self.name())
            .field("connections", &self.connections())
            .finish_non_exhaustive()
    }
}

/// The worker of the outer node.
struct Gate {
    name: Address,
    outer: WeakRouter,
    inner: Router,
    flow: FlowId,
    /// Listeners whose channels lead to the same namespace elsewhere. Held for one look-up.
    links: RwLock<HashSet<FlowId>>,
    // Held for a look-up, and the start or the end of a worker.
    ways: Arc<Mutex<Ways>>,
}

/// Where what leaves the inner node over a connection goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Leads {
    /// To whoever is there; the answer comes to the gate.
    Out,
    /// To the gate of the same name at the other end, which names the gate here in the answer.
    Onward,
}

enum Ways {
    Open(HashMap<Address, Way>),
    Closed,
}

/// A connection of the outer node that the inner one knows.
struct Way {
    to: Arc<Entry>,
    inner: Router,
    producer: Producer,
    _guard: WorkerGuard,
    ending: AbortHandle,
    _place: Place,
}

impl Drop for Way {
    fn drop(&mut self) {
        self.ending.abort();
        self.inner.end_flow(self.producer.id);
    }
}

impl Inline for Gate {
    fn end(&self) -> End {
        // Where it goes on is known only to the inner router.
        End::Opens
    }

    fn handle(&self, delivery: &mut Delivery<'_>) -> Result<(), SendError> {
        let router = delivery.router();
        let message = delivery.message();
        let Some(producer) = message.origin.producer else {
            return Err(SendError::Rejected(format!(
                "only what comes from outside enters `{}`",
                self.name
            )));
        };
        let way = message.return_route.first().ok_or(SendError::NoRoute)?;
        let producer = self.way_in(router, way, producer)?;
        message.onward.drop_front();
        // Who a peer of the outer node is says nothing here.
        message.origin.peer = None;
        message.origin.producer = Some(producer);
        delivery.forward_in(&self.inner)
    }
}

impl Gate {
    /// What a message that came over `way` enters the inner node with.
    fn way_in(
        &self,
        outer: &Router,
        way: AddressRef<'_>,
        producer: Producer,
    ) -> Result<Producer, SendError> {
        if let Some(known) = self
            .inner
            .entry(way.name())
            .and_then(|known| known.behind.producer)
            && known.id == producer.id
        {
            return Ok(known);
        }
        let unknown = || SendError::Unknown(way.to_string());
        let to = outer.entry(way.name()).ok_or_else(unknown)?;
        if to.behind.producer != Some(producer) {
            return Err(unknown());
        }
        let linked = producer.spawner.is_some_and(|spawner| {
            let links = self.links.read().unwrap_or_else(PoisonError::into_inner);
            links.contains(&spawner)
        });
        let leads = if linked { Leads::Onward } else { Leads::Out };
        self.learn(outer, to, producer, leads)
            .map_err(|error| SendError::Rejected(error.to_string()))
    }

    fn learn(
        &self,
        outer: &Router,
        to: Arc<Entry>,
        producer: Producer,
        leads: Leads,
    ) -> Result<Producer, StartError> {
        let address = to.address.clone();
        let mut ways = self.ways();
        let Ways::Open(ways) = &mut *ways else {
            return Err(StartError::NotLocal(self.name.to_string()));
        };
        match ways.get(&address) {
            Some(known) if Arc::ptr_eq(&known.to, &to) => return Ok(known.producer),
            // A later connection has taken the place of one whose end was not noticed yet.
            Some(_) => drop(ways.remove(&address)),
            None => {}
        }
        let place = Place::take(&to).ok_or_else(|| StartError::TooMany(address.clone()))?;
        let inner = &self.inner;
        let producer = match to.behind.peer {
            Some(_) => producer,
            None => Producer {
                id: producer.id,
                spawner: Some(self.flow),
            },
        };
        let worker = Arc::new(WayOut {
            outer: outer.downgrade(),
            name: self.name.clone(),
            to: to.clone(),
            leads,
        });
        let behind = Behind {
            peer: None,
            producer: Some(producer),
            origin: to.behind.origin.clone(),
        };
        inner.begin_flow(producer.id);
        let guard = inner
            .start_leading_out(&address, worker, Access::RECEIVE_ONLY, behind)
            .inspect_err(|_| inner.end_flow(producer.id))?;
        let ending = tokio::spawn(forget(Arc::downgrade(&self.ways), to.clone()));
        ways.insert(
            address,
            Way {
                to,
                inner: inner.clone(),
                producer,
                _guard: guard,
                ending: ending.abort_handle(),
                _place: place,
            },
        );
        Ok(producer)
    }

    fn ways(&self) -> MutexGuard<'_, Ways> {
        self.ways.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes a connection away from the inner node when it is gone from the outer one.
async fn forget(ways: Weak<Mutex<Ways>>, ended: Arc<Entry>) {
    let mut gone = ended.gone();
    // An error would mean that the entry is gone altogether.
    drop(gone.wait_for(|gone| *gone).await);
    let Some(ways) = ways.upgrade() else { return };
    let mut ways = ways.lock().unwrap_or_else(PoisonError::into_inner);
    if let Ways::Open(ways) = &mut *ways
        && ways
            .get(&ended.address)
            .is_some_and(|way| Arc::ptr_eq(&way.to, &ended))
    {
        ways.remove(&ended.address);
    }
}

/// The worker of the inner node that leads out over one connection of the outer one.
struct WayOut {
    outer: WeakRouter,
    name: Address,
    to: Arc<Entry>,
    leads: Leads,
}

impl Inline for WayOut {
    fn end(&self) -> End {
        match (&self.to.kind, self.outer.upgrade()) {
            (Kind::Inline(worker), Some(outer)) => outer.end_for_others(worker.end()),
            _ => End::Loopback,
        }
    }

    fn handle(&self, delivery: &mut Delivery<'_>) -> Result<(), SendError> {
        let message = delivery.message();
        let Some(outer) = self.outer.upgrade() else {
            return Err(SendError::Stopped("the outer node has ended".to_owned()));
        };
        match self.leads {
            Leads::Out => message.return_route.push_front(&self.name),
            Leads::Onward => {
                message.onward.drop_front();
                message
                    .onward
                    .push_front(&self.name)
                    .and_then(|()| message.onward.push_front(&self.to.address))
            }
        }
        .map_err(|_| SendError::ChainTooLong)?;
        // Of the outer node the message is one that the gate sends.
        message.origin = Origin::worker(self.name.clone());
        delivery.forward_in(&outer)
    }

    fn overhead(&self) -> usize {
        self.name.encoded().len() + HOP_OVERHEAD
    }

    fn message_limit(&self) -> Option<usize> {
        let outer = self.outer.upgrade()?;
        Some(outer.payload_limit(&self.to.address))
    }
}

/// One of the gates that may know the same connection.
struct Place(Option<Arc<Entry>>);

impl Place {
    /// What comes out of a channel comes from somebody who was let in.
    fn take(to: &Arc<Entry>) -> Option<Self> {
        if to.behind.peer.is_some() {
            return Some(Self(None));
        }
        let taken = to.gates.fetch_add(1, Ordering::Relaxed);
        let place = Self(Some(to.clone()));
        (taken < GATES_OF_CONNECTION).then_some(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(to) = &self.0 {
            to.gates.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// Gates that one connection may go through as long as it lasts.
const GATES_OF_CONNECTION: usize = 256;
/// What a hop adds to a route beside its address.
const HOP_OVERHEAD: usize = 8;

#[cfg(test)]
mod tests;
