//! Change histories of peers, remembered in the store.

use std::pin::Pin;

use ockam_identity::VerifiedHistory;
use ockam_node::{HistoryRefused, PeerHistories};
use ockam_store::{Store, StoreError};

/// The stored histories of one home.
#[derive(Debug)]
pub struct StoredHistories(Store);

impl StoredHistories {
    /// Those of this store.
    pub fn new(store: &Store) -> Self {
        Self(store.clone())
    }
}

impl PeerHistories for StoredHistories {
    fn import<'a>(
        &'a self,
        history: &'a VerifiedHistory,
    ) -> Pin<Box<dyn Future<Output = Result<(), HistoryRefused>> + Send + 'a>> {
        Box::pin(async move {
            match self.0.import_history_of_peer(history).await {
                Ok(_) => Ok(()),
                Err(StoreError::Import(ockam_identity::ImportError::Older(_))) => {
                    Err(HistoryRefused::Older)
                }
                Err(StoreError::Import(_)) => Err(HistoryRefused::Conflict),
                Err(error) => Err(HistoryRefused::Unavailable(error.to_string())),
            }
        })
    }
}
