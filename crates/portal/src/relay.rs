//! Relays: a node that cannot be dialled registers a name with one that can (spec: messaging 6).
//!
//! ```text
//! client node                                   relay node
//!   Relay  ── "n1" to static_forwarding_service ──>  RelayService: checks name, permission, owner
//!          <── "forward_to_n1" from forward_to_n1 ── starts a relay worker there
//!
//! sender ── [.., forward_to_n1, X] ──> relay worker ── [way to the client node.., X] ──>
//! ```
//!
//! The relay worker never parses a payload and never puts itself on the return route: answers go straight through the
//! connections. Data messages do not pass the client's registration worker either.

mod authority;
mod client;
mod name;
mod ownership;
mod registry;
mod service;
mod worker;

pub use self::authority::{AllowEveryone, ByCredential, RelayAuthority};
pub use self::client::{RegisteredRelay, Relay, RelayOptions, RelayStatus};
pub use self::name::{InvalidRelayName, RelayName};
pub use self::registry::{Claimed, RegistryFuture, RelayClaim, RelayRegistry};
pub use self::service::{RelayInfo, RelayService, RelayServiceOptions};
pub use self::worker::Forwarder;

use ockam_wire::Address;

/// Where names are registered.
pub(crate) const STATIC_SERVICE: Address = Address::from_static("static_forwarding_service");
/// The other address of the same service.
pub(crate) const SERVICE: Address = Address::from_static("forwarding_service");
/// In place of the address of a relay: there is none (spec: extensions 4.7).
pub(crate) const NO_RELAY: &str = "";
/// What stands before the name in the address of a relay.
pub(crate) const PREFIX: &str = "forward_to_";
