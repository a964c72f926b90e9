//! Asks an OpenID Connect provider who bears a token.

use std::fmt;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use ockam_control::sign_in::{
    AccessToken, Answer, Basic, Form, Provider, Roots, RootsError, SignInSettings, Web,
};
use serde_json::Value;
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

use super::claims::{self, Claims};
use super::keys::Known;
use super::{SignIn, SignInError, SignInFuture, SignedIn, token};

/// A provider, and what is taken from it.
pub struct Oidc {
    settings: SignInSettings,
    web: Web,
    known: Known,
    /// The secret of the client, if it has one.
    secret: Option<Zeroizing<String>>,
    /// Who may be verified at a time: each may wait for the provider.
    places: Semaphore,
}

impl Oidc {
    /// Of these settings. Nobody is asked until somebody signs in.
    ///
    /// # Errors
    /// A file that they name cannot be read.
    pub fn open(settings: SignInSettings) -> Result<Self, OidcError> {
        let read = |path: &PathBuf| {
            let text = std::fs::read_to_string(path).map(Zeroizing::new);
            text.map_err(|error| OidcError::File(path.clone(), error))
        };
        let pem = settings.certificate_file.as_ref().map(read).transpose()?;
        let web = Web::new(
            pem.as_deref()
                .map_or(Roots::Machine, |pem| Roots::MachineAnd(pem)),
        )?;
        let secret = settings.client_secret_file.as_ref().map(read).transpose()?;
        Ok(Self {
            known: Known::new(web.clone(), &settings.issuer),
            secret: secret.map(|secret| Zeroizing::new(secret.trim().to_owned())),
            web,
            settings,
            places: Semaphore::new(AT_A_TIME),
        })
    }

    async fn signed_in(&self, access_token: &str) -> Result<SignedIn, SignInError> {
        let token = AccessToken::new(Zeroizing::new(access_token.to_owned()))
            .ok_or_else(|| refused("it is no token"))?;
        let busy = || SignInError::Unavailable("too many sign in at the moment".to_owned());
        let _place = tokio::time::timeout(LONGEST_WAIT, self.places.acquire())
            .await
            .map_err(|_| busy())?
            .map_err(|_| busy())?;
        let (provider, claims) = match token::head(token.expose())? {
            Some(head) => {
                let (key, provider) = self.known.key(head.kid.as_deref(), head.alg).await?;
                let claims = token::verify(
                    token.expose(),
                    &head,
                    &key,
                    &provider.issuer,
                    &self.settings,
                )?;
                let claims = if claims::lacks(&self.settings.claims, &claims) {
                    self.with_user_info(&provider, &token, claims).await?
                } else {
                    claims
                };
                (provider, claims)
            }
            None => {
                let provider = self.known.provider().await?;
                let claims = self.introspect(&provider, &token).await?;
                let claims = self.with_user_info(&provider, &token, claims).await?;
                (provider, claims)
            }
        };
        self.person(&provider, &claims)
    }

    fn person(&self, provider: &Provider, claims: &Claims) -> Result<SignedIn, SignInError> {
        let subject = subject(claims).ok_or_else(|| refused("it does not say who bears it"))?;
        let email = claims::verified_email(claims);
        let attributes = claims::attributes(&self.settings.claims, claims)
            .map_err(|error| SignInError::Refused(error.to_string()))?;
        Ok(SignedIn {
            issuer: provider.issuer.clone(),
            subject: subject.to_owned(),
            admitted: self.settings.admission.admits(email.as_deref()),
            email,
            attributes,
        })
    }

    /// Asks for whom an opaque token was made.
    async fn introspect(
        &self,
        provider: &Provider,
        token: &AccessToken,
    ) -> Result<Claims, SignInError> {
        let Some(endpoint) = &provider.introspection_endpoint else {
            return Err(refused(
                "it is opaque, and the provider does not say for which client it was made: have it make JWT access tokens",
            ));
        };
        let form = Form::new(&[
            ("token", token.expose()),
            ("token_type_hint", "access_token"),
            ("client_id", &self.settings.client_id),
        ]);
        let secret = self.secret.as_ref();
        let secret = secret.map(|secret| Basic::new(&self.settings.client_id, secret));
        let answer = self.web.post(endpoint, form, secret).await?;
        let claims = read(&answer)?;
        if claims.get("active") != Some(&Value::Bool(true)) {
            return Err(refused("the provider does not know it, or it is over"));
        }
        let is_bearer = claims.get("token_type").is_none_or(|kind| {
            kind.as_str()
                .is_some_and(|kind| kind.eq_ignore_ascii_case("bearer"))
        });
        let is_issuer = claims
            .get("iss")
            .is_none_or(|issuer| issuer.as_str() == Some(&provider.issuer));
        if !is_bearer || !is_issuer {
            return Err(refused("it is a token for something else"));
        }
        if claims
            .get("exp")
            .and_then(Value::as_f64)
            .is_some_and(|until| until < now())
        {
            return Err(refused("it is over"));
        }
        token::is_for(&claims, &self.settings)?;
        Ok(claims)
    }

    /// Adds what the provider says of the bearer. A token for another audience may not be good enough to ask with.
    async fn with_user_info(
        &self,
        provider: &Provider,
        token: &AccessToken,
        claims: Claims,
    ) -> Result<Claims, SignInError> {
        let Some(endpoint) = &provider.userinfo_endpoint else {
            return Ok(claims);
        };
        let answer = self.web.get(endpoint, Some(token)).await?;
        if matches!(answer.status, 400..=404) {
            return Ok(claims);
        }
        let told = read(&answer)?;
        let known = subject(&claims);
        if known.is_some() && subject(&told) != known {
            return Err(refused("the provider says that somebody else bears it"));
        }
        let mut all = claims;
        all.extend(told);
        Ok(all)
    }
}

/// A provider cannot be asked as it was described.
#[derive(Debug, thiserror::Error)]
pub enum OidcError {
    /// A file cannot be read.
    #[error("{} cannot be read: {_1}", _0.display())]
    File(PathBuf, #[source] std::io::Error),
    /// The certificates in a file cannot be.
    #[error(transparent)]
    Roots(#[from] RootsError),
}

impl SignIn for Oidc {
    fn verify<'a>(&'a self, access_token: &'a str) -> SignInFuture<'a> {
        Box::pin(async move {
            let signed_in = self.signed_in(access_token).await;
            if let Err(error) = &signed_in {
                tracing::warn!(issuer = %self.settings.issuer, %error, "nobody signed in");
            }
            signed_in
        })
    }
}

impl fmt::Debug for Oidc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Oidc")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

/// The claims in an answer of a provider.
fn read(answer: &Answer) -> Result<Claims, SignInError> {
    if !answer.is_success() {
        return Err(SignInError::Unavailable(format!(
            "it answers {}",
            answer.status
        )));
    }
    serde_json::from_slice(&answer.body)
        .map_err(|_| SignInError::Unavailable("its answer is not understood".to_owned()))
}

fn subject(claims: &Claims) -> Option<&str> {
    let subject = claims.get("sub")?.as_str()?;
    let is_name =
        (1..=MAX_SUBJECT_LEN).contains(&subject.len()) && !subject.chars().any(char::is_control);
    is_name.then_some(subject)
}

fn now() -> f64 {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0.0, |since| since.as_secs_f64())
}

fn refused(why: &str) -> SignInError {
    SignInError::Refused(why.to_owned())
}

const AT_A_TIME: usize = 16;
const LONGEST_WAIT: Duration = Duration::from_secs(10);
/// As the standard says.
const MAX_SUBJECT_LEN: usize = 255;
