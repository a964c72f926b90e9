//! Credentials that came before the change of the authority under which they are signed.
//!
//! When an authority rotates its identity, one member may present what was issued after that to another one that has not
//! heard of it yet. It is not believed; it is looked at again when the newer history is known.

use std::collections::VecDeque;

use ockam_identity::{CredentialBundle, VerifiedHistory};

/// What waits, oldest first, within a budget of bytes. Of one subject only the latest is kept.
#[derive(Debug, Default)]
pub(crate) struct Early {
    waiting: VecDeque<(VerifiedHistory, CredentialBundle)>,
    bytes: usize,
}

impl Early {
    /// Keeps one; the oldest make room.
    pub(crate) fn keep(&mut self, subject: &VerifiedHistory, bundle: &CredentialBundle) {
        let same = |(known, _): &(VerifiedHistory, CredentialBundle)| {
            known.identifier() == subject.identifier()
        };
        if let Some(at) = self.waiting.iter().position(same) {
            let before = self.waiting.remove(at);
            self.bytes -= before.as_ref().map_or(0, size);
        }
        let entry = (subject.clone(), bundle.clone());
        self.bytes += size(&entry);
        self.waiting.push_back(entry);
        while self.bytes > MOST_BYTES
            && let Some(oldest) = self.waiting.pop_front()
        {
            self.bytes -= size(&oldest);
        }
    }

    /// Takes all of them.
    pub(crate) fn take(&mut self) -> VecDeque<(VerifiedHistory, CredentialBundle)> {
        self.bytes = 0;
        std::mem::take(&mut self.waiting)
    }
}

fn size((subject, bundle): &(VerifiedHistory, CredentialBundle)) -> usize {
    subject.as_bytes().len() + bundle.as_bytes().len()
}

/// Enough for some thousand members of an authority.
const MOST_BYTES: usize = 2 * 1024 * 1024;
