//! Keys and what is done with them: sign, verify, agree, hash, derive, seal and open.
//!
//! This crate does not know what is signed or why, and it has no files, sockets, clocks or randomness of its own: bytes, secrets
//! and a source of randomness come in. (One exception, stated at `fast`: AWS-LC draws the nonce of an ECDSA signature itself.)
//!
//! Entry types: [`Provider`] (the primitives; `fast` and `portable` pass the same conformance suite), [`SoftwareVault`]
//! (secrets by handle), [`Signer`] (what a key store that may live elsewhere must offer), [`sealed`] (secrets at rest under a
//! passphrase).
//!
//! Invariants:
//!
//! - A secret is zeroised when dropped, is never cloned, serialised or printed, and is compared in constant time.
//! - Ed25519 verification is strict: small-order and non-canonical keys are refused by every provider. `spec: trust 11.2 (2)`
//! - An all-zero X25519 shared secret is an error. `spec: trust 11.2 (3)`
//! - ECDSA signatures leave with a low `s`; both forms are accepted. `spec: trust 11.1 (6)`
//! - No operation on untrusted bytes panics, and sizes are checked before memory is taken.
//!
//! Specification: `docs/protocol/2-trust.md` section 1.

#![no_std]
#![cfg_attr(
    not(any(feature = "fast", feature = "portable")),
    allow(
        dead_code,
        reason = "the checks all providers share are unused without one"
    )
)]

extern crate alloc;

#[cfg(feature = "fast")]
mod fast;
mod key;
#[cfg(feature = "portable")]
mod portable;
mod provider;
pub mod sealed;
mod secret;
mod software;
mod strict;

#[cfg(feature = "fast")]
pub use fast::fast;
pub use key::{Handle, PublicKey, Signature, SigningKeyType, X25519Public};
#[cfg(feature = "portable")]
pub use portable::portable;
pub use provider::{
    Aead, AgreementError, AgreementKey, KeyError, OpenError, Provider, Random, VerifyError,
};
pub use secret::{SecretBytes, SharedSecret, SigningSecret, X25519Secret};
pub use software::{SecretKind, SecretRecord, SignError, Signer, SoftwareVault, VaultError};
