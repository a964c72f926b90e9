//! Members by a sign-in service: whoever bears a token that it knows becomes one. `spec: trust 7.3`

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;

use crate::message::{MemberAttributes, PROJECT, RESERVED, ROLE, TRUST_CONTEXT};

/// Looks up who bears a token.
pub trait SignIn: Send + Sync + fmt::Debug + 'static {
    /// What the sign-in service says of the bearer: the entries of its answer that are text.
    fn user_info<'a>(&'a self, access_token: &'a str) -> UserInfoFuture<'a>;
}

/// What [`SignIn::user_info`] gives.
pub type UserInfoFuture<'a> =
    Pin<Box<dyn Future<Output = Result<BTreeMap<String, String>, SignInError>> + Send + 'a>>;

/// The sign-in service does not know the token, or cannot be asked.
#[derive(Debug, thiserror::Error)]
#[error("the sign-in service does not accept the token: {0}")]
pub struct SignInError(pub String);

/// A sign-in service and what is taken from it.
#[derive(Debug)]
pub struct Okta {
    service: Box<dyn SignIn>,
    attributes: Vec<String>,
}

impl Okta {
    /// Members get those of these attributes that the service tells.
    ///
    /// # Errors
    /// [`OktaError`] if one of them would give rights that only an admin gives. `spec: trust 11.2 (18)`
    pub fn new(service: Box<dyn SignIn>, attributes: Vec<String>) -> Result<Self, OktaError> {
        let forbidden = |name: &String| {
            [ROLE, TRUST_CONTEXT, PROJECT]
                .into_iter()
                .chain(RESERVED)
                .any(|forbidden| forbidden == name)
        };
        match attributes.iter().find(|name| forbidden(name)) {
            Some(name) => Err(OktaError(name.clone())),
            None => Ok(Self {
                service,
                attributes,
            }),
        }
    }

    /// The attributes of whoever bears the token.
    pub(crate) async fn attributes(&self, token: &str) -> Result<MemberAttributes, SignInError> {
        let mut told = self.service.user_info(token).await?;
        let mapped = self
            .attributes
            .iter()
            .filter_map(|name| told.remove_entry(name));
        MemberAttributes::from_pairs(mapped).map_err(|error| SignInError(error.to_string()))
    }
}

/// An attribute that must not come from a sign-in service.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the attribute `{0}` cannot be taken from the sign-in service")]
pub struct OktaError(String);
