//! Signing in with an OpenID Connect provider: what both sides need, and the side of whoever signs in.
//!
//! ```text
//! enroll ── device flow or browser ──► provider ── access token ──► controller ── keys, introspection ──► provider
//! ```
//!
//! What a provider answers is bounded in size and time; tokens are wiped, and shown by no `Debug`.
//!
//! Specification: trust 9.9.

#[cfg(all(test, feature = "cli"))]
mod against_a_provider;
mod provider;
mod settings;
mod token;
mod web;

#[cfg(feature = "cli")]
mod browser;
#[cfg(feature = "cli")]
mod callback;
#[cfg(feature = "cli")]
mod device;
#[cfg(feature = "cli")]
mod place;

pub use provider::{Provider, ProviderError};
pub use settings::{Admission, AdmissionError, ClaimRule, ClaimRuleError, SignInSettings};
pub use token::AccessToken;
pub use web::{Answer, Basic, Form, Roots, RootsError, Web, WebError, is_provider_address};

#[cfg(feature = "cli")]
pub(crate) use self::{browser::browser, device::device, place::SignInPlace};
