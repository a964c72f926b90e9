//! Who may send to a worker, and where a worker may send (spec: messaging 4.2).
//!
//! Rules look at the true source and at the channel's peer, never at the return route.

use std::fmt;
use std::sync::Arc;

use ockam_identity::Identifier;
use ockam_wire::Address;

use crate::guard::Guard;
use crate::message::LocalMessage;

/// Both rules of one address.
#[derive(Debug, Clone)]
pub struct Access {
    /// Checked before the worker receives a message.
    pub incoming: Rule,
    /// Checked before a message of this worker is handed on.
    pub outgoing: Rule,
}

impl Access {
    /// No restriction in either direction; flow control still keeps outsiders away.
    pub const ALLOW_ALL: Self = Self {
        incoming: Rule::AllowAll,
        outgoing: Rule::AllowAll,
    };

    /// The worker receives, and sends nothing.
    pub const RECEIVE_ONLY: Self = Self {
        incoming: Rule::AllowAll,
        outgoing: Rule::DenyAll,
    };

    /// Nobody may send to the worker.
    pub const SEND_ONLY: Self = Self {
        incoming: Rule::DenyAll,
        outgoing: Rule::AllowAll,
    };
}

/// One access rule.
#[derive(Clone)]
pub enum Rule {
    /// Everything passes.
    AllowAll,
    /// Nothing passes.
    DenyAll,
    /// Incoming: the true source is this address.
    From(Address),
    /// Outgoing: the next hop is this address.
    To(Address),
    /// The message came through a secure channel with any verified peer.
    AnyPeer,
    /// The message came through a secure channel with one of these peers.
    Peers(Arc<[Identifier]>),
    /// What a policy says of the peer: incoming, of the one the message came from; outgoing, of the one at the end of the
    /// channel that it goes into.
    Policy(Guard),
    /// Incoming: the same for whoever comes through a channel; whoever does not passes.
    PolicyInChannels(Guard),
    /// Any other decision.
    Custom(Arc<dyn Fn(&LocalMessage) -> bool + Send + Sync>),
}

impl Rule {
    /// Decides about a message that comes in.
    pub fn allows(&self, message: &LocalMessage) -> bool {
        match self {
            Self::AllowAll => true,
            Self::DenyAll => false,
            Self::From(source) => message.origin.source == *source,
            Self::To(next) => message.onward.first().is_some_and(|first| first == *next),
            Self::AnyPeer => message.origin.peer.is_some(),
            Self::Peers(accepted) => message
                .origin
                .peer
                .as_ref()
                .is_some_and(|peer| accepted.contains(&peer.identifier)),
            Self::Policy(guard) => {
                let peer = message.origin.peer.as_ref();
                guard.allows(peer.map(|peer| &peer.identifier))
            }
            Self::PolicyInChannels(guard) => {
                let peer = message.origin.peer.as_ref();
                peer.is_none_or(|peer| guard.allows(Some(&peer.identifier)))
            }
            Self::Custom(decide) => decide(message),
        }
    }
}

impl fmt::Debug for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AllowAll => f.write_str("AllowAll"),
            Self::DenyAll => f.write_str("DenyAll"),
            Self::From(source) => write!(f, "From({source})"),
            Self::To(next) => write!(f, "To({next})"),
            Self::AnyPeer => f.write_str("AnyPeer"),
            Self::Peers(accepted) => f.debug_tuple("Peers").field(accepted).finish(),
            Self::Policy(guard) | Self::PolicyInChannels(guard) => guard.fmt(f),
            Self::Custom(_) => f.write_str("Custom"),
        }
    }
}
