//! Secrets at rest under a passphrase.
