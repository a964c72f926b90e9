//! Opening a channel.

use std::sync::Arc;
use std::time::Duration;

use ockam_channel::{HandshakeError, Initiator, Rejected};
use ockam_identity::{Identifier, VerifiedHistory};
use ockam_wire::{Address, Buffer, Route};
use tokio::time::{Instant, timeout_at};

use super::decryptor::{Pending, Way};
use super::{HistoryRefused, SecureChannel, is_accepted};
use crate::node::Node;
use crate::own_identity::{IdentityUnavailable, OwnIdentity, Taken};
use crate::router::{SendError, StartError};

/// How a channel is opened.
#[derive(Debug, Clone)]
pub struct ChannelOptions {
    /// The identity to present.
    pub identity: Arc<dyn OwnIdentity>,
    /// Whom to accept at the other end; empty: anyone.
    pub authorized: Vec<Identifier>,
    /// How long the whole handshake may take (spec: trust 5.12).
    pub timeout: Duration,
    /// The address of the encryptor, for a channel that takes the place of an earlier one; otherwise a random one.
    pub encryptor: Option<Address>,
}

/// A channel could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ChannelError {
    /// This side has nothing to present.
    #[error(transparent)]
    Unavailable(#[from] IdentityUnavailable),
    /// The first message could not be sent.
    #[error("cannot reach the secure channel listener: {0}")]
    Unreachable(#[from] SendError),
    /// No answer came in time.
    #[error("no answer from the secure channel listener within {0:?}")]
    Timeout(Duration),
    /// What came in time was no valid answer.
    #[error("no valid answer from the secure channel listener within {0:?}: {1}")]
    NotAuthentic(Duration, HandshakeError),
    /// The way to the listener was closed meanwhile.
    #[error("the connection to the secure channel listener was closed")]
    Disconnected,
    /// The peer proved to be somebody else than was asked for.
    #[error("the peer is {0}, which is not an authorized identifier")]
    NotAuthorized(Identifier),
    /// The peer's history is outdated or contradicts the one known.
    #[error(transparent)]
    History(#[from] HistoryRefused),
    /// This side's own part failed.
    #[error(transparent)]
    Handshake(#[from] HandshakeError),
    /// The workers of the channel could not be started.
    #[error(transparent)]
    Start(#[from] StartError),
}

impl Node {
    /// Opens a secure channel to the listener at the end of `route` (spec: trust 5).
    ///
    /// # Errors
    /// [`ChannelError`]; the peer learns nothing of a refusal.
    ///
    /// # Cancel safety
    /// Dropping the future gives the handshake up.
    pub async fn create_channel(
        &self,
        route: Route,
        options: ChannelOptions,
    ) -> Result<SecureChannel, ChannelError> {
        let deadline = Instant::now() + options.timeout;
        let router = self.router();
        let mut pending = Pending::start(self)?;
        let own = pending.address().clone();
        if let Some(producer) = router.producer_behind(&route) {
            router.add_consumer_of(&own, &producer);
        }
        let first_hop_gone = match route.first() {
            Some(first) => router.gone(&first.to_address()),
            None => return Err(SendError::NoRoute.into()),
        };
        tokio::pin!(first_hop_gone);
        let back = Route::from_hops([own.clone()]).unwrap_or_default();
        let own_identity = timeout_at(deadline, Taken::from(&options.identity))
            .await
            .map_err(|_| ChannelError::Timeout(options.timeout))??;
        let (mut initiator, message_1) = Initiator::start(
            self.provider(),
            own_identity.identity.clone(),
            self.fresh_ephemeral(),
            self.own_offer(),
        )?;
        initiator = initiator.verifying_with(self.verifier().clone());
        let send = router.send(
            &own,
            route.clone(),
            back.clone(),
            Buffer::from_slice(&message_1),
        );
        timeout_at(deadline, send)
            .await
            .map_err(|_| ChannelError::Timeout(options.timeout))??;
        let mut refused_last = None;
        loop {
            let message_2 = tokio::select! {
                received = timeout_at(deadline, pending.reader.recv()) => received
                    .map_err(|_| match refused_last.take() {
                        None => ChannelError::Timeout(options.timeout),
                        Some(error) => ChannelError::NotAuthentic(options.timeout, error),
                    })?
                    .ok_or(ChannelError::Disconnected)?
                    .into_inner(),
                () = &mut first_hop_gone => return Err(ChannelError::Disconnected),
            };
            let presented =
                match initiator.read_message_2(self.unix_time(), message_2.payload.as_slice()) {
                    Ok(presented) => presented,
                    Err(refused) => {
                        // spec: trust 5.12 (a damaged message leaves the state as it was)
                        tracing::debug!("handshake message refused: {}", refused.error);
                        initiator = refused.state;
                        refused_last = Some(refused.error);
                        continue;
                    }
                };
            let peer = *presented.history().identifier();
            if !is_accepted(&options.authorized, &peer) {
                return Err(ChannelError::NotAuthorized(peer));
            }
            self.import_history(presented.history()).await?;
            let mut checked = |_: &VerifiedHistory| -> Result<(), Rejected> { Ok(()) };
            let (message_3, established) = presented
                .accept(&mut checked)
                .map_err(|refused| refused.error)?;
            let peer = &established.peer;
            self.take_credentials(peer.history(), peer.credentials());
            let to_peer = message_2.return_route;
            let send = router.send(&own, to_peer.clone(), back, Buffer::from_slice(&message_3));
            timeout_at(deadline, send)
                .await
                .map_err(|_| ChannelError::Timeout(options.timeout))??;
            let way = Way {
                to_peer,
                spawner: None,
                accepted: None,
                authorized: options.authorized,
                encryptor: options.encryptor,
            };
            return Ok(pending.establish(self, own_identity, established, route, way)?);
        }
    }
}
