//! What is noted of who did what. `spec: extensions 4.8.3`

use std::sync::Arc;
use std::time::Instant;

use ockam_identity::Identifier;
use ockam_node::{Allowance, Rates};
use ockam_store::{AuditNote, NewAudit, Store, StoreError};

use super::Source;

/// The audit log.
#[derive(Debug)]
pub(super) struct Audit {
    store: Store,
    source: Arc<dyn Source>,
    refusals: Rates<Identifier>,
}

impl Audit {
    /// The log in a store.
    pub(super) fn new(store: Store, source: Arc<dyn Source>) -> Self {
        let refusals = Rates::new(Allowance {
            burst: 60,
            per_second: 1,
        });
        Self {
            store,
            source,
            refusals,
        }
    }

    /// What is to be noted of a change, in the transaction that makes it: who, what, on what and how it ended. No codes, tokens
    /// and keys.
    pub(super) fn entry(&self, actor: &str, action: &str, object: &str, outcome: &str) -> NewAudit {
        let [actor, action, object, outcome] = [actor, action, object, outcome].map(str::to_owned);
        NewAudit {
            at: self.source.now(),
            note: AuditNote {
                actor,
                action,
                object,
                outcome,
            },
        }
    }

    /// Notes what changes no table, before it is answered.
    ///
    /// # Errors
    /// The store cannot be read or written: what was not noted must not be answered as done.
    pub(super) async fn note(&self, entry: &NewAudit) -> Result<(), StoreError> {
        self.store.append_audit(entry).await.map(drop)
    }

    /// Notes that somebody who is known was refused, unless too much was noted of them lately.
    pub(super) async fn note_refusal(
        &self,
        who: &Identifier,
        action: &str,
        object: &str,
        why: &str,
    ) {
        if !self.refusals.take(who, Instant::now()) {
            return;
        }
        let entry = self.entry(&who.to_string(), action, object, &format!("refused: {why}"));
        if let Err(error) = self.note(&entry).await {
            tracing::error!("a refusal is not in the audit log: {error}");
        }
    }
}
