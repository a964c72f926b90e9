//! Why messages are refused, counted.

use std::sync::atomic::{AtomicU64, Ordering};

use ockam_wire::{Address, Route};

/// Why a message could not be delivered on this node.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// The onward route is empty.
    #[error("the message has no onward route")]
    NoRoute,
    /// The next hop is not a worker of this node.
    #[error("`{0}` is not a local address")]
    NotLocal(String),
    /// No worker runs at the next hop.
    #[error("no worker is running at `{0}`")]
    Unknown(String),
    /// The worker was not opened to the way the message came in.
    #[error("`{0}` is not open to messages that come in this way")]
    FlowControl(Address),
    /// The sender's own rule forbids it.
    #[error("`{0}` may not send there")]
    Outgoing(Address),
    /// The receiver's rule forbids it.
    #[error("`{0}` does not accept messages from there")]
    Incoming(Address),
    /// Too many inline workers behind each other, or a loop.
    #[error("the route passes too many workers of this node")]
    ChainTooLong,
    /// The receiver stopped meanwhile.
    #[error("{0}")]
    Stopped(String),
    /// No room, and the caller must not wait.
    #[error("the queue is full")]
    Full,
    /// The message is larger than the transport or channel can carry.
    #[error("the message is too large")]
    TooLarge,
    /// The worker refused the message itself.
    #[error("{0}")]
    Rejected(String),
}

impl SendError {
    pub(super) fn unknown(onward: &Route) -> Self {
        Self::Unknown(
            onward
                .first()
                .map(|first| first.to_string())
                .unwrap_or_default(),
        )
    }

    fn reason(&self) -> usize {
        match self {
            Self::NoRoute | Self::NotLocal(_) => 0,
            Self::Unknown(_) | Self::Stopped(_) => 1,
            Self::FlowControl(_) => 2,
            Self::Outgoing(_) | Self::Incoming(_) => 3,
            Self::ChainTooLong => 4,
            Self::Full | Self::TooLarge => 5,
            Self::Rejected(_) => 6,
        }
    }
}

/// Messages refused, by reason. Each reason is logged the first time and then every time its count doubles.
#[derive(Debug, Default)]
pub struct Refusals {
    counts: [AtomicU64; REASONS.len()],
}

impl Refusals {
    /// Reason and count, for all reasons.
    pub fn counts(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        REASONS
            .iter()
            .zip(&self.counts)
            .map(|(reason, count)| (*reason, count.load(Ordering::Relaxed)))
    }

    pub(super) fn count(&self, error: &SendError) {
        let reason = error.reason();
        let Some(count) = self.counts.get(reason) else {
            return;
        };
        let count = count.fetch_add(1, Ordering::Relaxed) + 1;
        // What a rule denies is logged with who asked.
        let denied = matches!(
            error,
            SendError::FlowControl(_) | SendError::Outgoing(_) | SendError::Incoming(_)
        );
        if count.is_power_of_two() && !denied {
            tracing::warn!(
                reason = REASONS.get(reason),
                count,
                "message refused: {error}"
            );
        } else {
            tracing::debug!("message refused: {error}");
        }
    }
}

const REASONS: [&str; 7] = [
    "no local route",
    "no such worker",
    "flow control",
    "access rule",
    "chain too long",
    "no room",
    "rejected by the worker",
];
