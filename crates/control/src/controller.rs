//! Asking a controller: what both sides of its API share, and the side that asks.
//!
//! Each request has a connection and a channel of its own, with exactly the identifier that was configured, and presents no
//! credential. There is no controller unless one is named.
//!
//! Entry types: [`client::ControllerClient`]; the bodies in [`message`].
//!
//! Specification: trust 9.1 to 9.7, extensions 4.8.

pub mod client;
pub mod message;

#[cfg(feature = "cli")]
mod failure;

use ockam_identity::Identifier;
use ockam_wire::MultiAddr;

/// Where a controller is and who it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ControllerPlace {
    /// The way to its listener of channels.
    pub route: MultiAddr,
    /// Its identifier; nobody else is spoken to.
    pub identifier: Identifier,
}
