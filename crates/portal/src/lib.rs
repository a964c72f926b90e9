//! Portals: TCP connections carried over messages, the relays they go through, and the sessions that keep both up.
//!
//! ```text
//!  client ─ Inlet ─ (channel) ─ transport ─ RelayService ─ transport ─ (channel) ─ Outlet ─ target
//!             └ session                          └──────────── Relay (client) + session
//! ```
//!
//! An [`Inlet`] accepts TCP clients and asks an [`Outlet`] at the end of its route for a connection each. A [`Relay`]
//! registers a name with the [`RelayService`] of another node, so that this node can be reached through it. A
//! [`KeptConnection`] is a channel or transport connection that keeps its address. All three dial again by themselves.
//!
//! The cores know no sockets and no clock: `message` (codec), `stream` (one connection), `window` (credit), `backlog`
//! (what waits), `admission` (limits), `http` (headers), `session::state`, `relay::name` and `relay::ownership`. Drivers:
//! `connection` over a `socket`, which is TCP or `tls`; `inlet`, `either`, `outlet`, `relay`, `kept`, `session`.
//!
//! It does not do: TLS towards clients, UDP portals, policies (they are access rules given by the caller).
//!
//! Invariants: the bytes towards peers that offer no extension are the published ones; content is never dropped from a
//! connection that stays open, nor copied unless an interceptor asks for it; a stalled connection does not hold its
//! neighbours up while there is memory; a relay name has one owner.
//!
//! Specification: messaging 6, 7, 8; extensions 4.2, 4.3.

mod admission;
mod backlog;
mod connection;
mod counters;
mod either;
mod guard;
mod http;
mod inlet;
mod interceptor;
mod kept;
mod message;
mod outlet;
mod piece;
mod relay;
mod session;
mod socket;
mod stream;
mod tls;
mod way;
mod window;

pub use admission::{Limit, Limits};
pub use counters::Activity;
pub use guard::Guard;
pub use http::{HttpHeader, HttpHeaders, InvalidHttpHeader, TooManyHttpHeaders};
pub use inlet::{Inlet, InletOptions, InletStatus, Nagle, OutletAnswer, WhenTaken};
pub use interceptor::{Intercept, Intercepted, Interception, Interceptor};
pub use kept::{KeptConnection, KeptOptions};
pub use outlet::{InvalidTarget, Outlet, OutletOptions, TargetAddress};
pub use relay::{
    AllowEveryone, ByCredential, Claimed, Forwarder, InvalidRelayName, RegisteredRelay,
    RegistryFuture, Relay, RelayAuthority, RelayClaim, RelayInfo, RelayName, RelayOptions,
    RelayRegistry, RelayService, RelayServiceOptions, RelayStatus,
};
pub use session::{Heard, Hints, SessionStatus, Stuck};
pub use tls::{NoRoots, Tls};

use ockam_node::{ChannelPeer, Connection};

/// Whether an inlet waits for the outlet's answer before it reads its client (spec: messaging 7.9).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Handshake {
    /// It waits: the client is told when the target cannot be reached.
    #[default]
    Wait,
    /// It does not.
    Skip,
}

/// Whether the peer can be asked for streams (spec: extensions 4.1).
fn offers_streams(peer: &ChannelPeer) -> bool {
    peer.extensions.streams.is_some_and(|version| version >= 1)
}

/// Whether the outlet at the end of this way is asked for streams (spec: extensions 4.2.1).
fn speaks_streams(path: &Connection) -> bool {
    let route = path.route();
    let through_channel = |peer: &ChannelPeer| {
        route.first().is_some_and(|first| first == peer.channel) && offers_streams(peer)
    };
    route.len() == 2 && path.peer().is_some_and(|peer| through_channel(peer))
}

/// Content in one message (spec: messaging 1.10).
///
/// Linux hands at most 64 KiB of a connection on at once, its own headers included. A frame with such a chunk, its headers and its
/// tags is just under two of those; one that is a little larger needs a third for its last bytes, which costs a third
/// of the throughput over loopback.
pub const DEFAULT_CHUNK: usize = 126 * 1024;
