//! What is noted of who did what. `spec: extensions 4.8.3`

use std::sync::Arc;
use std::time::Instant;

use ockam_identity::Identifier;
use ockam_store::{AuditNote, Store, StoreError};

use super::Source;
use super::limits::{Allowance, Buckets};

/// The audit log. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Audit {
    store: Store,
    source: Arc<dyn Source>,
    refusals: Arc<Buckets<Identifier>>,
}

impl Audit {
    /// The log in a store.
    #[must_use]
    pub fn new(store: Store, source: Arc<dyn Source>) -> Self {
        let refusals = Buckets::new(Allowance {
            burst: 60,
            per_second: 1,
        });
        Self {
            store,
            source,
            refusals: Arc::new(refusals),
        }
    }

    /// Notes what was done, on what, and how it ended. No codes, tokens and keys.
    ///
    /// # Errors
    /// The store cannot be read or written: what was not noted must not be answered as done.
    pub async fn note(
        &self,
        actor: &str,
        action: &str,
        object: &str,
        outcome: &str,
    ) -> Result<(), StoreError> {
        let note = AuditNote {
            actor: shortened(actor),
            action: shortened(action),
            object: shortened(object),
            outcome: shortened(outcome),
        };
        self.store
            .append_audit(self.source.now(), &note)
            .await
            .map(drop)
    }

    /// Notes that somebody who is known was refused, unless too much was noted of them lately.
    pub(super) async fn note_refusal(
        &self,
        who: &Identifier,
        action: &str,
        object: &str,
        why: &str,
    ) {
        if !self.refusals.take(who, 1, Instant::now()) {
            return;
        }
        let noted = self
            .note(&who.to_string(), action, object, &format!("refused: {why}"))
            .await;
        if let Err(error) = noted {
            tracing::error!("a refusal is not in the audit log: {error}");
        }
    }
}

/// Texts come from peers: not too long, and nothing that steers a terminal or that a database does not take.
fn shortened(text: &str) -> String {
    let clean: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(MAX_TEXT)
        .collect();
    clean
}

const MAX_TEXT: usize = 300;
