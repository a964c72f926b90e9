//! Who may have which relay name (spec: messaging 6.4).

use std::fmt;

use ockam_identity::Identifier;
use ockam_node::{DeniedBy, Guard, Node};
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

/// Permits a name to whom a policy admits, and at a node with an authority only the names that the peer's credential gives
/// it (spec: messaging 6.4).
#[derive(Debug, Clone)]
pub struct ByCredential {
    node: Node,
    guard: Guard,
}

impl ByCredential {
    /// Asks the guard of the relay service, and this node's authority if it has one.
    pub fn new(node: &Node, guard: Guard) -> Self {
        Self {
            node: node.clone(),
            guard,
        }
    }

    fn gives(&self, peer: Option<&Identifier>, name: &RelayName) -> bool {
        let attested = peer.and_then(|peer| self.node.attested().get(peer));
        let given = attested
            .as_ref()
            .and_then(|attested| attested.attributes().get(RELAY_ATTRIBUTE));
        given.is_some_and(|given| given == EVERY_NAME || given == name.as_str().as_bytes())
    }
}

impl RelayAuthority for ByCredential {
    fn permits(&self, peer: Option<&Identifier>, name: &RelayName) -> bool {
        if !self.guard.allows(peer) {
            return false;
        }
        let permitted = self.node.authority().is_none() || self.gives(peer, name);
        if !permitted {
            let what = format!("relay {name}");
            self.node.denials().note(peer, &what, &DeniedBy::RelayName);
        }
        permitted
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.guard.changes()
    }
}

/// What says in a credential which relay names its subject may have (spec: trust 4.2).
const RELAY_ATTRIBUTE: &[u8] = b"ockam-relay";
const EVERY_NAME: &[u8] = b"*";
