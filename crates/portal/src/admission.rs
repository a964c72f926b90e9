//! How many connections an outlet accepts from whom, and how fast (W22).
//!
//! Invariants: what a peer without identity can hold is small and counted together for the connection it comes over; a
//! peer that holds nothing and has been quiet costs no memory.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ockam_identity::Identifier;
use ockam_node::FlowId;

/// Connections that peers may hold at one outlet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// For an identity.
    pub identity: Limit,
    /// For everybody who comes over one connection without an identity.
    pub stranger: Limit,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            identity: Limit {
                connections: 20_000,
                per_second: 5_000,
                burst: 20_000,
            },
            stranger: Limit {
                connections: 256,
                per_second: 50,
                burst: 256,
            },
        }
    }
}

/// One limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// Connections at once.
    pub connections: u32,
    /// New connections per second, in the long run.
    pub per_second: u32,
    /// New connections at once after a quiet time.
    pub burst: u32,
}

/// Counts connections per peer.
#[derive(Debug)]
pub(crate) struct Admission {
    limits: Limits,
    // Held for one look-up.
    peers: Mutex<HashMap<Peer, Account>>,
}

impl Admission {
    pub(crate) fn new(limits: Limits) -> Arc<Self> {
        Arc::new(Self {
            limits,
            peers: Mutex::default(),
        })
    }

    /// Admits one more connection, until the returned value is dropped.
    pub(crate) fn admit(
        self: &Arc<Self>,
        now: Instant,
        peer: Peer,
    ) -> Result<Admitted, NotAdmitted> {
        let limit = self.limit(&peer);
        let mut peers = self.peers.lock().unwrap_or_else(PoisonError::into_inner);
        if peers.len() >= MANY_PEERS && peers.len() == peers.capacity() {
            peers.retain(|peer, account| {
                account.refill(now, self.limit(peer));
                account.connections > 0 || account.tokens < self.limit(peer).burst
            });
        }
        let account = peers.entry(peer.clone()).or_insert_with(|| Account {
            connections: 0,
            tokens: limit.burst,
            refilled: now,
        });
        account.refill(now, limit);
        if account.connections >= limit.connections {
            return Err(NotAdmitted::TooMany);
        }
        if account.tokens == 0 {
            return Err(NotAdmitted::TooFast);
        }
        account.tokens -= 1;
        account.connections += 1;
        Ok(Admitted {
            admission: self.clone(),
            peer,
        })
    }

    fn limit(&self, peer: &Peer) -> Limit {
        match peer {
            Peer::Identity(_) => self.limits.identity,
            Peer::Stranger(_) => self.limits.stranger,
        }
    }
}

/// Who asks for connections.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Peer {
    /// The peer of a secure channel.
    Identity(Identifier),
    /// Whoever comes over this connection; `None` is this node itself.
    Stranger(Option<FlowId>),
}

/// One admitted connection; dropping it makes room for another.
#[derive(Debug)]
pub(crate) struct Admitted {
    admission: Arc<Admission>,
    peer: Peer,
}

impl Drop for Admitted {
    fn drop(&mut self) {
        let mut peers = self
            .admission
            .peers
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(account) = peers.get_mut(&self.peer) {
            account.connections = account.connections.saturating_sub(1);
        }
    }
}

/// Why a connection is not admitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotAdmitted {
    #[error("the peer holds too many connections")]
    TooMany,
    #[error("the peer opens connections too fast")]
    TooFast,
}

#[derive(Debug)]
struct Account {
    connections: u32,
    tokens: u32,
    refilled: Instant,
}

impl Account {
    fn refill(&mut self, now: Instant, limit: Limit) {
        let passed = now.saturating_duration_since(self.refilled);
        let earned = passed.as_nanos() * u128::from(limit.per_second) / NANOS;
        if earned == 0 {
            return;
        }
        self.tokens = u32::try_from(u128::from(self.tokens) + earned)
            .unwrap_or(u32::MAX)
            .min(limit.burst);
        // The part of a token that is not yet earned stays in the account.
        let used = earned * NANOS / u128::from(limit.per_second.max(1));
        self.refilled += Duration::from_nanos(u64::try_from(used).unwrap_or(u64::MAX));
    }
}

const NANOS: u128 = 1_000_000_000;
const MANY_PEERS: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guard_w22_connections_are_counted_per_peer_until_dropped() {
        let admission = Admission::new(limits(2, 1000, 1000));
        let now = Instant::now();
        let first = admission.admit(now, stranger(1)).unwrap();
        let _second = admission.admit(now, stranger(1)).unwrap();
        assert_eq!(
            admission.admit(now, stranger(1)).unwrap_err(),
            NotAdmitted::TooMany
        );
        assert!(admission.admit(now, stranger(2)).is_ok());
        drop(first);
        assert!(admission.admit(now, stranger(1)).is_ok());
    }

    #[test]
    fn guard_w22_burst_then_steady_rate() {
        let admission = Admission::new(limits(1000, 10, 3));
        let mut now = Instant::now();
        let admit = |now| admission.admit(now, stranger(1)).map(drop);
        for _ in 0..3 {
            assert_eq!(admit(now), Ok(()));
        }
        assert_eq!(admit(now), Err(NotAdmitted::TooFast));
        now += Duration::from_millis(99);
        assert_eq!(admit(now), Err(NotAdmitted::TooFast));
        now += Duration::from_millis(1);
        assert_eq!(admit(now), Ok(()));
        assert_eq!(admit(now), Err(NotAdmitted::TooFast));
        now += Duration::from_secs(3600);
        for _ in 0..3 {
            assert_eq!(admit(now), Ok(()));
        }
        assert_eq!(admit(now), Err(NotAdmitted::TooFast));
    }

    #[test]
    fn quiet_peers_are_forgotten() {
        let admission = Admission::new(limits(10, 10, 10));
        let mut now = Instant::now();
        for number in 0..20_000_u32 {
            now += Duration::from_secs(1);
            let mut id = [0; 16];
            id[..4].copy_from_slice(&number.to_le_bytes());
            let peer = Peer::Stranger(Some(FlowId::from_random(id)));
            drop(admission.admit(now, peer).unwrap());
        }
        assert!(admission.peers.lock().unwrap().len() <= 4096);
    }

    fn limits(connections: u32, per_second: u32, burst: u32) -> Limits {
        let limit = Limit {
            connections,
            per_second,
            burst,
        };
        Limits {
            identity: limit,
            stranger: limit,
        }
    }

    fn stranger(number: u8) -> Peer {
        Peer::Stranger(Some(FlowId::from_random([number; 16])))
    }
}
