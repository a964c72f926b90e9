//! An identity of the home as a running node uses it: what the store says of it at each moment.
//!
//! Any process may rotate the identity or replace its channel key. A node looks at the store before each handshake, so that
//! it never presents what is outdated, and once a second, so that the peers of open channels are told (spec: trust 2.5,
//! 5.8). It is also the look that replaces a key that is due (spec: trust 3.2).

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use ockam_channel::LocalIdentity;
use ockam_identity::{Identifier, Purpose, UnixTime};
use ockam_node::{IdentityUnavailable, OwnIdentity, OwnIdentityFuture};
use ockam_store::IdentityRecord;
use tokio::sync::watch;

use crate::home::identities::now;
use crate::home::purpose_keys::{self, KeyLifetime};
use crate::outcome::Failure;
use crate::state::{State, refused};

/// One identity, shared by everything of a node that acts as it.
pub struct StoredIdentity {
    state: State,
    identifier: Identifier,
    lifetime: KeyLifetime,
    // Held for a look or an exchange.
    shown: Mutex<Shown>,
    changes: watch::Sender<u64>,
}

#[derive(Clone)]
struct Shown {
    local: Arc<LocalIdentity>,
    /// When its channel key is to be replaced.
    due: UnixTime,
}

impl StoredIdentity {
    /// Begins to follow an identity, looking at it before each handshake and this often. It is followed until the last
    /// handle is dropped.
    ///
    /// # Errors
    /// Its keys are not here, or the store cannot be used.
    pub async fn follow(
        state: &State,
        record: &IdentityRecord,
        lifetime: KeyLifetime,
        every: Duration,
    ) -> Result<Arc<Self>, Failure> {
        let shown = read(state, &record.identifier, lifetime).await?;
        let this = Arc::new(Self {
            state: state.clone(),
            identifier: record.identifier,
            lifetime,
            shown: Mutex::new(shown),
            changes: watch::Sender::new(0),
        });
        tokio::spawn(keep_looking(Arc::downgrade(&this), every));
        Ok(this)
    }

    /// Who it is.
    pub fn identifier(&self) -> &Identifier {
        &self.identifier
    }

    /// What the store says now.
    async fn look(&self) -> Result<Arc<LocalIdentity>, Failure> {
        let shown = self.shown();
        let stored = self
            .state
            .store()
            .identity_with_purpose_key(&self.identifier, Purpose::SecureChannel)
            .await
            .map_err(refused)?;
        if let Some((record, Some(key))) = &stored
            && record.history.as_bytes() == shown.local.history.as_bytes()
            && key.attestation.as_bytes() == shown.local.attestation.as_bytes()
            && now() < shown.due
        {
            return Ok(shown.local);
        }
        let next = read(&self.state, &self.identifier, self.lifetime).await?;
        let local = next.local.clone();
        let differs = {
            let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
            let before = std::mem::replace(&mut *shown, next);
            before.local.attestation.as_bytes() != local.attestation.as_bytes()
        };
        if differs {
            let changes = local.history.changes().len();
            tracing::info!(identity = %self.identifier, changes, "a new channel key is in use");
            self.changes.send_modify(|count| *count += 1);
        }
        Ok(local)
    }

    fn shown(&self) -> Shown {
        self.shown
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl OwnIdentity for StoredIdentity {
    fn current(&self) -> OwnIdentityFuture<'_> {
        Box::pin(async {
            self.look()
                .await
                .map_err(|failure| IdentityUnavailable(failure.to_string()))
        })
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }
}

impl fmt::Debug for StoredIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoredIdentity")
            .field("identifier", &self.identifier)
            .finish_non_exhaustive()
    }
}

async fn read(
    state: &State,
    identifier: &Identifier,
    lifetime: KeyLifetime,
) -> Result<Shown, Failure> {
    let key =
        purpose_keys::current(state, identifier, Purpose::SecureChannel, lifetime, None).await?;
    Ok(Shown {
        // One that could not be replaced is tried again, but not all the time.
        due: key.due.max(now().plus(RETRY_SECONDS)),
        local: Arc::new(key.into_local()),
    })
}

async fn keep_looking(identity: Weak<StoredIdentity>, every: Duration) {
    let mut told = false;
    loop {
        tokio::time::sleep(every).await;
        let Some(identity) = identity.upgrade() else {
            return;
        };
        match identity.look().await {
            Ok(_) => told = false,
            Err(failure) => {
                if !told {
                    let causes = failure.causes.join(": ");
                    tracing::warn!(identity = %identity.identifier, "the identity cannot be looked at: {failure}: {causes}");
                }
                told = true;
            }
        }
    }
}

/// How long a key that could not be replaced is left alone. A shorter life than this is not asked for.
const RETRY_SECONDS: u64 = 10;
