//! What this side says of itself: asked for anew at each handshake, so that rotation, new channel keys and new
//! credentials act on the next one; open channels tell their peers (spec: trust 5.5, 5.8).

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use ockam_channel::LocalIdentity;
use tokio::sync::watch;

/// The source of what one side presents.
pub trait OwnIdentity: Send + Sync + fmt::Debug {
    /// What to present now. A source that should have a credential and has none fails, and with it the handshake
    /// (spec: trust 5.5).
    fn current(&self) -> OwnIdentityFuture<'_>;

    /// Ticks after what [`OwnIdentity::current`] gives has changed. A receiver whose sender is gone: it never will.
    fn changes(&self) -> watch::Receiver<u64>;
}

/// What [`OwnIdentity::current`] gives.
pub type OwnIdentityFuture<'a> =
    Pin<Box<dyn Future<Output = Result<Arc<LocalIdentity>, IdentityUnavailable>> + Send + 'a>>;

/// There is nothing to present.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("this side cannot present itself: {0}")]
pub struct IdentityUnavailable(pub String);

/// An identity that stays as it is.
#[derive(Debug, Clone)]
pub struct FixedIdentity(pub Arc<LocalIdentity>);

impl From<LocalIdentity> for FixedIdentity {
    fn from(identity: LocalIdentity) -> Self {
        Self(Arc::new(identity))
    }
}

impl OwnIdentity for FixedIdentity {
    fn current(&self) -> OwnIdentityFuture<'_> {
        Box::pin(std::future::ready(Ok(self.0.clone())))
    }

    fn changes(&self) -> watch::Receiver<u64> {
        watch::channel(0).1
    }
}

/// An identity that whoever keeps it replaces.
#[derive(Debug)]
pub struct ReplaceableIdentity {
    current: watch::Sender<Presented>,
    changes: watch::Sender<u64>,
}

type Presented = Result<Arc<LocalIdentity>, IdentityUnavailable>;

impl ReplaceableIdentity {
    /// Begins with this.
    pub fn new(identity: Result<Arc<LocalIdentity>, IdentityUnavailable>) -> Self {
        Self {
            current: watch::Sender::new(identity),
            changes: watch::Sender::new(0),
        }
    }

    /// Presents this from now on.
    pub fn replace(&self, identity: Result<Arc<LocalIdentity>, IdentityUnavailable>) {
        drop(self.current.send_replace(identity));
        self.changes.send_modify(|count| *count += 1);
    }
}

impl OwnIdentity for ReplaceableIdentity {
    fn current(&self) -> OwnIdentityFuture<'_> {
        Box::pin(std::future::ready(self.current.borrow().clone()))
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }
}

/// What was taken from a source for one handshake, and the tick up to which it is known.
pub(crate) struct Taken {
    pub(crate) source: Arc<dyn OwnIdentity>,
    pub(crate) identity: Arc<LocalIdentity>,
    pub(crate) changes: watch::Receiver<u64>,
}

impl Taken {
    pub(crate) async fn from(source: &Arc<dyn OwnIdentity>) -> Result<Self, IdentityUnavailable> {
        // Listening before looking: a change in between is not missed.
        let mut changes = source.changes();
        changes.borrow_and_update();
        Ok(Self {
            source: source.clone(),
            identity: source.current().await?,
            changes,
        })
    }
}
