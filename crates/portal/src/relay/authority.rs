//! Who may have which relay name (spec: messaging 6.4).

use std::fmt;

use ockam_identity::Identifier;
use tokio::sync::watch;

use super::name::RelayName;

/// Decides who may have which relay name (spec: messaging 6.4). What it denies it notes itself.
pub trait RelayAuthority: Send + Sync + fmt::Debug + 'static {
    /// Whether `peer` may have `name` at this moment; `None` is whoever came without a secure channel. A dynamic relay asks
    /// for the random name it would get.
    fn permits(&self, peer: Option<&Identifier>, name: &RelayName) -> bool;

    /// Changes when an answer may have become another one; relays are asked about again, which also happens twice a second.
    /// Without a sender answers never change.
    fn changes(&self) -> watch::Receiver<u64>;
}

/// Permits every name to everybody, as a published node without an authority does.
#[derive(Debug, Clone, Copy, Default)]
pub struct AllowEveryone;

impl RelayAuthority for AllowEveryone {
    fn permits(&self, _peer: Option<&Identifier>, _name: &RelayName) -> bool {
        true
    }

    fn changes(&self) -> watch::Receiver<u64> {
        watch::channel(0).1
    }
}
