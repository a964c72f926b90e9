//! Flow control: a message from outside reaches only workers that were opened to the way it came in
//! (spec: messaging 4.3).
//!
//! A *producer* injects messages from outside under a [`FlowId`]; a *spawner* is a listener whose children are
//! producers; a *consumer* is a worker that may receive from producers of an id. Default: consumer of nothing.
//!
//! Invariants: a permission belongs to the worker instance, not to its name, so a later worker with the same name
//! inherits nothing (W41); permissions vanish with the producer or the consumer.

use std::fmt;
use std::sync::{PoisonError, RwLock};

/// Name of one way into the node; random, local, never on the wire.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct FlowId([u8; 16]);

impl FlowId {
    /// Makes an id from 16 random bytes.
    pub const fn from_random(random: [u8; 16]) -> Self {
        Self(random)
    }
}

impl fmt::Display for FlowId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for FlowId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::str::FromStr for FlowId {
    type Err = InvalidFlowId;

    fn from_str(text: &str) -> Result<Self, InvalidFlowId> {
        if text.len() != 32 || !text.is_ascii() {
            return Err(InvalidFlowId);
        }
        let mut id = [0; 16];
        for (at, byte) in id.iter_mut().enumerate() {
            let digits = text.get(2 * at..2 * at + 2).ok_or(InvalidFlowId)?;
            *byte = u8::from_str_radix(digits, 16).map_err(|_| InvalidFlowId)?;
        }
        Ok(Self(id))
    }
}

/// The text is not 32 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a flow-control id is 32 hexadecimal digits")]
pub struct InvalidFlowId;

/// The ids under which a message from outside enters: that of the connection or channel, and that of the listener
/// which accepted it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Producer {
    /// The producer's own id.
    pub id: FlowId,
    /// The id of the listener that made it.
    pub spawner: Option<FlowId>,
}

impl Producer {
    /// Whether a consumer of `consumed` may receive from this producer.
    pub(crate) fn reaches(&self, consumed: &[FlowId]) -> bool {
        consumed
            .iter()
            .any(|id| *id == self.id || Some(*id) == self.spawner)
    }
}

/// The ids that one worker consumes; part of the worker's entry, so it ends with the worker.
#[derive(Debug, Default)]
pub(crate) struct Consumer {
    // Held for a scan of a few ids; writers are rare (a connection opened or closed).
    ids: RwLock<Vec<FlowId>>,
}

impl Consumer {
    /// Adds an id and says whether it is new; at most [`MAX_CONSUMED`] are kept, the oldest goes first.
    pub(crate) fn add(&self, id: FlowId) -> bool {
        let mut ids = self.ids.write().unwrap_or_else(PoisonError::into_inner);
        if ids.contains(&id) {
            return false;
        }
        if ids.len() >= MAX_CONSUMED {
            ids.remove(0);
        }
        ids.push(id);
        true
    }

    pub(crate) fn remove(&self, id: FlowId) {
        let mut ids = self.ids.write().unwrap_or_else(PoisonError::into_inner);
        ids.retain(|known| *known != id);
        if ids.is_empty() {
            ids.shrink_to_fit();
        }
    }

    pub(crate) fn accepts(&self, producer: &Producer) -> bool {
        producer.reaches(&self.ids.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn ids(&self) -> Vec<FlowId> {
        self.ids
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

/// A worker that serves many connections (a relay's neighbour) stays reachable for the most recent of them.
const MAX_CONSUMED: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guard_w13_consumer_is_reached_through_producer_or_its_spawner_only() {
        let (own, listener, other) = (id(1), id(2), id(3));
        let accepted = Producer {
            id: own,
            spawner: Some(listener),
        };
        let dialled = Producer {
            id: other,
            spawner: None,
        };
        let consumer = Consumer::default();
        assert!(!consumer.accepts(&accepted));
        consumer.add(listener);
        assert!(consumer.accepts(&accepted));
        assert!(!consumer.accepts(&dialled));
        consumer.remove(listener);
        consumer.add(own);
        assert!(consumer.accepts(&accepted));
    }

    #[test]
    fn id_reads_back_from_its_text() {
        let id = id(0xab);
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!("xyz".parse::<FlowId>(), Err(InvalidFlowId));
        assert_eq!("é".repeat(16).parse::<FlowId>(), Err(InvalidFlowId));
    }

    fn id(byte: u8) -> FlowId {
        FlowId::from_random([byte; 16])
    }
}
