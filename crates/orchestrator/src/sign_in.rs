//! Who somebody is, as an OpenID Connect provider says.
//!
//! ```text
//! access token ─┬─ a JWT:     signature by the provider's keys, issuer, client, audience, times ─┐
//!               └─ opaque:    introspection by the provider: active, client, audience           ─┴─► claims ─► attributes
//! ```
//!
//! A token that was made for another client is no proof of anything here: its bearer may have got it from a user of that
//! client. Where a provider cannot say for whom it made a token, the token is refused.
//!
//! Specification: trust 9.9.

mod claims;
mod keys;
mod oidc;
mod token;

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;

pub use oidc::{Oidc, OidcError};

/// Says who bears an access token.
pub trait SignIn: Send + Sync + fmt::Debug + 'static {
    /// Who bears it.
    fn verify<'a>(&'a self, access_token: &'a str) -> SignInFuture<'a>;
}

/// What [`SignIn::verify`] gives.
pub type SignInFuture<'a> =
    Pin<Box<dyn Future<Output = Result<SignedIn, SignInError>> + Send + 'a>>;

/// Somebody who signed in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedIn {
    /// The provider.
    pub issuer: String,
    /// The name that it never gives to anybody else.
    pub subject: String,
    /// The address, if the provider has verified that it is theirs.
    pub email: Option<String>,
    /// What the claims say, as attributes.
    pub attributes: BTreeMap<String, String>,
    /// Whether they need no invitation.
    pub admitted: bool,
}

/// Nobody signed in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignInError {
    /// The token proves nothing. The reason is for the log of the Orchestrator, not for whoever sent it.
    #[error("the access token is not accepted: {0}")]
    Refused(String),
    /// The provider cannot be asked now.
    #[error("the sign-in provider cannot be asked now, try again: {0}")]
    Unavailable(String),
}
