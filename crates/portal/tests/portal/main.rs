//! Portals, relays and sessions between nodes of this process, over real loopback sockets.

#![allow(clippy::unwrap_used, reason = "a test fails where it unwraps")]

mod authority;
mod carrying;
mod closing;
mod credentials;
mod either;
mod kept;
mod namespaces;
mod policies;
mod published;
mod relays;
mod sessions;
mod tls;
mod world;
