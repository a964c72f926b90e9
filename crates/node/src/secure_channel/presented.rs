//! What a peer presents beside its key: a history that may be newer than the known one, and credentials
//! (spec: trust 5.5, 5.8).

use std::sync::atomic::Ordering;

use ockam_identity::{
    AttestationError, CredentialBundle, CredentialError, VerifiedChange, VerifiedHistory,
};

use super::HistoryRefused;
use crate::attested::{Learned, NotCounted};
use crate::denials::DeniedBy;
use crate::node::Node;

impl Node {
    /// Compares the history of a peer with what is known, remembers it, and acts on what it revokes. A strict node
    /// refuses one that goes on from an expired key.
    pub(super) async fn import_history(
        &self,
        history: &VerifiedHistory,
    ) -> Result<(), HistoryRefused> {
        // spec: trust 11.1 (4)
        if history.late_change().is_some() {
            let peer = history.identifier();
            if self.is_strict() {
                return Err(HistoryRefused::Late);
            }
            tracing::warn!(%peer, "the peer changed its key after the one before had expired; a strict node refuses that");
        }
        self.histories().import(history).await?;
        self.learn_history(history);
        Ok(())
    }

    /// Acts on a history that has been imported, here or elsewhere: channels whose key it revokes are closed, and an
    /// authority is believed under its newest key only.
    pub fn learn_history(&self, history: &VerifiedHistory) {
        if history.changes().len() < 2 {
            return;
        }
        if let Some(authority) = self.authority() {
            let learned = authority.learn(history);
            if learned == Learned::Revocation {
                tracing::warn!(authority = %authority.identifier(), "the authority revoked its older keys: what they signed is void");
                self.attested().forget_issuer(authority.identifier());
            }
            if learned != Learned::Nothing {
                self.take_early_credentials();
            }
        }
        for channel in self.channels_with(history.identifier()) {
            let newer = history.changes().iter().skip(channel.shared.attested);
            if newer.len() == 0 {
                continue;
            }
            channel.shared.outdated.store(true, Ordering::Relaxed);
            // spec: trust 11.2 (16). A change without the mark leaves open channels alone, as published peers expect.
            if newer.into_iter().any(VerifiedChange::revokes_purpose_keys) {
                tracing::warn!(peer = %history.identifier(), "channel closed: the peer's key was revoked");
                tokio::spawn(async move { channel.close().await });
            }
        }
    }

    fn take_early_credentials(&self) {
        let early = self.early().take();
        for (peer, bundle) in early {
            self.take_credentials(&peer, &[bundle]);
        }
    }

    /// Verifies what a peer presented as credentials and keeps what the authority says in them. A bad one is counted; the
    /// channel stays (spec: trust 5.5).
    pub(super) fn take_credentials(&self, peer: &VerifiedHistory, presented: &[CredentialBundle]) {
        let Some(authority) = self.authority() else {
            if !presented.is_empty() {
                tracing::debug!(peer = %peer.identifier(), "credentials passed over: this node has no authority");
            }
            return;
        };
        let (issuer, now) = (authority.history(), self.unix_time());
        let refused = |why: String| {
            let rule = DeniedBy::Credential(why);
            self.denials()
                .note(Some(peer.identifier()), CREDENTIAL, &rule);
        };
        for (count, bundle) in presented.iter().enumerate() {
            if count == MOST_VERIFIED {
                refused(format!("more than {MOST_VERIFIED} are not looked at"));
                return;
            }
            match bundle.verify_presented_by(self.verifier().as_ref(), &issuer, peer, now) {
                Ok(credential) => match self.attested().accept(credential) {
                    Ok(()) => {}
                    Err(NotCounted::Superseded) => {
                        tracing::info!(peer = %peer.identifier(), "{}", NotCounted::Superseded);
                    }
                    Err(void) => refused(void.to_string()),
                },
                Err(error) => {
                    if let CredentialError::PurposeKey(AttestationError::NotLatestChange) = &error {
                        self.early().keep(peer, bundle);
                        authority.suspect_newer();
                        // It may have become known meanwhile.
                        if authority.history().changes().len() > issuer.changes().len() {
                            self.take_early_credentials();
                            continue;
                        }
                    }
                    refused(error.to_string());
                }
            }
        }
    }
}

/// What is denied when a credential is not taken.
const CREDENTIAL: &str = "credential";
/// Credentials of one handshake or refresh that are verified; published peers present one.
const MOST_VERIFIED: usize = 8;
