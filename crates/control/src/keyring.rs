//! What opens sealed vaults in one process: passphrases that were given, and vaults that were opened with them.
//!
//! **Invariant**: passphrases and keys are kept in types that wipe themselves, and are shown to nobody.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ockam_store::{OpenVault, Passphrase, VaultName};

/// Shared by all clones of a [`State`](crate::State).
#[derive(Debug, Default)]
pub(crate) struct Keyring {
    // Held for a push or a look-up only.
    content: Mutex<Content>,
}

#[derive(Debug, Default)]
struct Content {
    passphrases: Vec<Arc<Passphrase>>,
    opened: Vec<OpenVault>,
}

impl Keyring {
    /// Adds a passphrase that is tried on sealed vaults.
    #[cfg(feature = "cli")]
    pub(crate) fn add(&self, passphrase: Arc<Passphrase>) {
        self.lock().passphrases.push(passphrase);
    }

    /// The passphrases, newest first.
    pub(crate) fn passphrases(&self) -> Vec<Arc<Passphrase>> {
        self.lock().passphrases.iter().rev().cloned().collect()
    }

    /// Keeps an opened vault, so that its key is not derived again.
    pub(crate) fn keep(&self, vault: &OpenVault) {
        let mut content = self.lock();
        content.opened.retain(|open| open.name() != vault.name());
        content.opened.push(vault.again());
    }

    /// A vault that was opened before.
    pub(crate) fn opened(&self, name: &VaultName) -> Option<OpenVault> {
        let content = self.lock();
        let found = content.opened.iter().find(|open| open.name() == name);
        found.map(OpenVault::again)
    }

    fn lock(&self) -> MutexGuard<'_, Content> {
        self.content.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
