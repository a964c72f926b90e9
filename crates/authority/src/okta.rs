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
    /// Those that are taken; all that are told, when the service itself leaves the others out.
    attributes: Option<Vec<String>>,
}

impl Okta {
    /// Members get those of these attributes that the service tells.
    ///
    /// # Errors
    /// [`OktaError`] if one of them would give rights that only an admin gives. `spec: trust 11.2 (18)`
    pub fn new(service: Box<dyn SignIn>, attributes: Vec<String>) -> Result<Self, OktaError> {
        Self::check_attributes(&attributes)?;
        Ok(Self {
            service,
            attributes: Some(attributes),
        })
    }

    /// Members get what the service tells, except what gives rights that only an admin gives: for services that know
    /// themselves what was configured.
    #[must_use]
    pub fn of(service: Box<dyn SignIn>) -> Self {
        Self {
            service,
            attributes: None,
        }
    }

    /// Refuses attributes that would give rights that only an admin gives. `spec: trust 11.2 (18)`
    ///
    /// # Errors
    /// [`OktaError`] names the first of them.
    pub fn check_attributes(attributes: &[String]) -> Result<(), OktaError> {
        match attributes.iter().find(|name| is_forbidden(name)) {
            Some(name) => Err(OktaError(name.clone())),
            None => Ok(()),
        }
    }

    /// The attributes of whoever bears the token.
    pub(crate) async fn attributes(&self, token: &str) -> Result<MemberAttributes, SignInError> {
        let mut told = self.service.user_info(token).await?;
        let mapped: BTreeMap<String, String> = match &self.attributes {
            Some(names) => names
                .iter()
                .filter_map(|name| told.remove_entry(name))
                .collect(),
            None => {
                told.retain(|name, _| !is_forbidden(name));
                told
            }
        };
        MemberAttributes::from_pairs(mapped).map_err(|error| SignInError(error.to_string()))
    }
}

fn is_forbidden(name: &str) -> bool {
    [ROLE, TRUST_CONTEXT, PROJECT]
        .into_iter()
        .chain(RESERVED)
        .any(|forbidden| forbidden == name)
}

/// An attribute that must not come from a sign-in service.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the attribute `{0}` cannot be taken from the sign-in service")]
pub struct OktaError(String);
