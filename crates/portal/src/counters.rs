//! What a portal has carried, counted while it is carried.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What a portal has carried.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    connections: AtomicU64,
    pub(crate) opened: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) sent: AtomicU64,
    pub(crate) received: AtomicU64,
}

impl Counters {
    /// Counts a connection until the returned value is dropped.
    pub(crate) fn count_connection(self: &Arc<Self>) -> Counted {
        self.connections.fetch_add(1, Ordering::Relaxed);
        Counted(self.clone())
    }

    pub(crate) fn activity(&self) -> Activity {
        Activity {
            connections: self.connections.load(Ordering::Relaxed),
            opened: self.opened.load(Ordering::Relaxed),
            refused: self.refused.load(Ordering::Relaxed),
            sent: self.sent.load(Ordering::Relaxed),
            received: self.received.load(Ordering::Relaxed),
        }
    }
}

/// One counted connection.
#[derive(Debug)]
pub(crate) struct Counted(Arc<Counters>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What a portal has carried so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Activity {
    /// Connections that are open now.
    pub connections: u64,
    /// Connections that came up.
    pub opened: u64,
    /// Connections that did not.
    pub refused: u64,
    /// Content bytes read from local sockets.
    pub sent: u64,
    /// Content bytes that arrived for local sockets.
    pub received: u64,
}
