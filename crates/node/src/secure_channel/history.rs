//! Change histories of peers: what was seen once is never accepted in an older form.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};

use ockam_identity::{Comparison, Identifier, VerifiedHistory};

/// Where the histories of peers are remembered. Comparison and storing are one step (spec: trust 2.6).
pub trait PeerHistories: Send + Sync + fmt::Debug {
    /// Compares `history` with what is known of this identifier and remembers it when it is new or newer.
    fn import<'a>(
        &'a self,
        history: &'a VerifiedHistory,
    ) -> Pin<Box<dyn Future<Output = Result<(), HistoryRefused>> + Send + 'a>>;
}

/// A peer's history is not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HistoryRefused {
    /// A longer history of this identity was seen before: its key was changed since.
    #[error("the peer presented an outdated change history")]
    Older,
    /// Another history of this identity was seen before.
    #[error("the peer presented a change history that contradicts the one known")]
    Conflict,
    /// Its key was changed after the one before had expired, and this node is strict.
    #[error(
        "the peer changed its key after the one before had expired, which a strict node does not accept"
    )]
    Late,
    /// Histories could not be read or written.
    #[error("cannot compare the change history of the peer: {0}")]
    Unavailable(String),
}

/// Histories that are forgotten with the process.
///
/// A history of one change is not remembered: its identifier is the hash of that change, so no older and no other one
/// exists. Of longer ones a bounded number is: strangers can make as many as they like, and do not displace what is known.
#[derive(Debug, Default)]
pub struct MemoryHistories {
    // Held for one comparison; it makes comparing and storing one step.
    known: Mutex<HashMap<Identifier, VerifiedHistory>>,
}

#[cfg(test)]
impl MemoryHistories {
    pub(super) fn len(&self) -> usize {
        self.known.lock().map_or(0, |known| known.len())
    }
}

impl PeerHistories for MemoryHistories {
    fn import<'a>(
        &'a self,
        history: &'a VerifiedHistory,
    ) -> Pin<Box<dyn Future<Output = Result<(), HistoryRefused>> + Send + 'a>> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let outcome = match known
            .get(history.identifier())
            .map(|known| history.compare(known))
        {
            Some(Comparison::Equal) => Ok(()),
            Some(Comparison::Older) => Err(HistoryRefused::Older),
            Some(Comparison::Conflict) => Err(HistoryRefused::Conflict),
            None if history.changes().len() < 2 => Ok(()),
            None if known.len() >= MAX_KNOWN => {
                tracing::warn!(peer = %history.identifier(), "too many change histories are known to remember another");
                Ok(())
            }
            Some(Comparison::Newer) | None => {
                known.insert(*history.identifier(), history.clone());
                Ok(())
            }
        };
        Box::pin(std::future::ready(outcome))
    }
}

/// Histories of more than one change that are remembered.
const MAX_KNOWN: usize = 4096;
