//! Tells the peer of an open channel what this side says of itself now (spec: trust 5.8).

use std::sync::Arc;

use ockam_channel::{ChannelMessage, CredentialRefresh, LocalIdentity};
use ockam_wire::Route;

use super::{CLOSE_WEIGHT, Shared};
use crate::own_identity::Taken;
use crate::router::SendError;

impl Shared {
    /// Sends one refresh after each change of what was presented. Never completes.
    pub(super) async fn tell_changes(&self, mut own: Taken) {
        // A source that will not change has dropped the sender of its ticks.
        while own.changes.changed().await.is_ok() {
            let now = match own.source.current().await {
                Ok(now) => now,
                Err(error) => {
                    tracing::warn!(peer = %self.peer.identifier, "nothing to refresh the channel with: {error}");
                    continue;
                }
            };
            if *now.history.identifier() != self.own || says_the_same(&now, &own.identity) {
                continue;
            }
            match self.send_refresh(&now).await {
                Ok(()) => own.identity = now,
                Err(error) => {
                    tracing::warn!(peer = %self.peer.identifier, "the channel could not be refreshed: {error}");
                }
            }
        }
        std::future::pending().await
    }

    async fn send_refresh(&self, now: &Arc<LocalIdentity>) -> Result<(), SendError> {
        let refresh = CredentialRefresh {
            history: now.history.as_bytes().to_vec(),
            credentials: now.credentials.clone(),
        };
        let record = ChannelMessage::RefreshCredentials(refresh)
            .encode()
            .map_err(|_| SendError::TooLarge)?;
        // spec: trust 5.1 (a refresh names the encryptor, and moves no route)
        let back = Route::from_hops([self.peer.channel.clone()]).unwrap_or_default();
        let weight = record.len() + CLOSE_WEIGHT;
        self.router
            .run_from(&self.first_hop, weight, |delivery| {
                self.seal(record, back, delivery)
            })
            .await
    }
}

/// Whether a refresh with one would tell a peer nothing that the other did not. The channel key is no part of it.
fn says_the_same(one: &LocalIdentity, other: &LocalIdentity) -> bool {
    one.history.as_bytes() == other.history.as_bytes() && one.credentials == other.credentials
}
