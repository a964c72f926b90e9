//! The node: workers at addresses, messages between them, transports and secure channels around them.
//!
//! It does not know stores, portals or users: what it must look up is a trait beside its consumer
//! ([`PeerHistories`], [`NodeNames`], [`OwnIdentity`], [`Policies`]). It has no globals, so many nodes can live in one process.
//!
//! ```text
//! tcp ─┐                                   ┌─ mailbox workers (echo, channel listeners, ...)
//!      ├─ transport ── router ── inline ───┤
//! ...  ┘  Inbound        │       workers   └─ queues of transports and sockets
//!         Outbound       └ flow control, access rules, policies
//!
//! handshakes, refreshes ── credentials ── Attested ──┐
//!                          whoever keeps ── Policies ─┴─ Guard ── allowed, or noted in Denials
//! ```
//!
//! Entry types: [`Node`], its [`Router`], [`Node::connect`], [`Node::create_channel`],
//! [`Node::start_channel_listener`], [`Node::tcp_listen`]; [`Node::attach`] for another transport, [`Inline`] for another
//! worker; [`Node::attested`], [`Node::guard`] and [`Node::denials`] for who may do what; [`Node::enter`] for nodes
//! inside a node, [`Node::start_on_demand`] for workers that start when somebody sends to them.
//!
//! Invariants: what comes from outside reaches only workers that were opened to it; every queue is bounded; a wrong byte
//! or a panic ends one connection; what peers say of themselves is verified before it counts, and what fails denies; no
//! lock is held across an await.
//!
//! Specification: messaging 1.7, 2, 4, 5, 9.2; trust 4, 5, 6.

mod access;
mod admission;
mod attested;
mod connect;
mod denials;
mod ephemeral;
mod flow_control;
mod guard;
#[cfg(test)]
#[path = "../tests/trust/issuer.rs"]
mod issuer;
mod message;
mod names;
mod namespace;
mod node;
mod on_demand;
mod own_identity;
mod policies;
mod queue;
mod rates;
mod router;
mod secure_channel;
pub mod services;
mod transport;
mod verified;

pub use access::{Access, Rule};
pub use attested::{Attested, AttestedAttributes, Authority, NotCounted};
pub use connect::{ConnectError, ConnectOptions, Connection};
pub use denials::{Denial, Denials, DeniedBy};
pub use ephemeral::EphemeralIdentityError;
pub use flow_control::{FlowId, InvalidFlowId, Producer};
pub use guard::{Decision, Guard};
pub use message::{ChannelPeer, LocalMessage, Origin};
pub use names::{NodeNames, ProjectWay, UnknownNode};
pub use namespace::{Entrance, Namespace, NamespaceHandle};
pub use node::{Limits, Node, NodeOptions};
pub use on_demand::{OnDemand, OnDemandFuture, OnDemandGuard, Started};
pub use own_identity::{
    FixedIdentity, IdentityUnavailable, OwnIdentity, OwnIdentityFuture, ReplaceableIdentity,
};
pub use policies::{AppliedPolicy, MemoryPolicies, Policies, PolicySource};
pub use queue::{Permit, Queue, QueueClosed, QueueReader, Queued, Weight};
pub use rates::{Allowance, Rates, Source};
pub use router::{
    Delivering, Delivery, End, Inline, Mailbox, Refusals, Relayed, Router, SendError, StartError,
    WorkerGuard,
};
pub use secure_channel::{
    ChannelError, ChannelListener, ChannelOptions, HistoryRefused, ListenerOptions,
    MemoryHistories, PeerHistories, SecureChannel,
};
pub use transport::tcp::{TcpListener, listening_socket, read_now};
pub use transport::{
    Accepted, Attach, Connection as TransportConnection, ConnectionInfo, Inbound, Outbound,
    WriteNow,
};
