//! Where somebody signs in: as the controller says, as the environment says, or at the tenant of a project.

use serde::Deserialize;
use zeroize::Zeroizing;

use super::settings::SCOPE;
use super::web::{Basic, Form, checked};
use super::{AccessToken, Answer, Provider, ProviderError, Roots, Web, WebError};
use crate::command::Session;
use crate::controller::message::SignInInfo;
use crate::outcome::{Code, Failure};

/// A provider and how it is asked.
#[derive(Debug)]
pub(crate) struct SignInPlace {
    pub(super) web: Web,
    pub(super) client_id: String,
    pub(super) scope: String,
    pub(super) audience: Option<String>,
    pub(super) endpoints: Endpoints,
    /// The provider, as it is shown.
    pub(super) name: String,
}

/// The addresses that are asked.
#[derive(Debug)]
pub(super) struct Endpoints {
    pub(super) token: String,
    pub(super) device: Option<String>,
    pub(super) authorize: Option<String>,
    /// Where a browser is sent when all is done.
    pub(super) success: Option<String>,
    pub(super) kind: EndpointKind,
}

/// Whose rules hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EndpointKind {
    /// Those of the standard.
    Standard,
    /// Those of the published service, which answers `invalid_request` to whoever asks too early. `spec: trust 9.9`
    Published,
}

impl SignInPlace {
    /// Where the environment says, or else the controller.
    ///
    /// # Errors
    /// Neither says anything, or the provider cannot be used.
    pub(crate) async fn find(session: &Session<'_>, told: SignInInfo) -> Result<Self, Failure> {
        let variable = |name| {
            session
                .host
                .variable(name)
                .filter(|value| !value.is_empty())
        };
        if let Some(base) = variable(ENDPOINT) {
            return Self::published(&base, variable(CLIENT_ID));
        }
        let (Some(issuer), Some(client_id)) = (told.issuer, told.client_id) else {
            return Err(Failure::new("there is no sign-in provider here").help(
                "enroll with a one-time code: an administrator of the Orchestrator makes one with `ockam orchestrator invite`",
            ));
        };
        let web = Web::new(Roots::Machine).map_err(|error| unusable(&issuer, &error))?;
        let provider = Provider::discover(&web, &issuer)
            .await
            .map_err(|error| not_discovered(&issuer, &error))?;
        let Some(token) = provider.token_endpoint else {
            return Err(unusable(&issuer, &ProviderError::Malformed(issuer.clone())));
        };
        Ok(Self {
            web,
            client_id,
            scope: told
                .scopes
                .map_or_else(|| SCOPE.to_owned(), |scopes| scopes.join(" ")),
            audience: told.audience,
            name: host_of(&issuer),
            endpoints: Endpoints {
                token,
                device: provider.device_authorization_endpoint,
                authorize: provider.authorization_endpoint,
                success: None,
                kind: EndpointKind::Standard,
            },
        })
    }

    /// The published service, or one that is like it.
    pub(super) fn published(base: &str, client_id: Option<String>) -> Result<Self, Failure> {
        let base = base.trim_end_matches('/');
        if checked(base).is_none() {
            return Err(Failure::new(format!(
                "{ENDPOINT} is no https:// address: {base}"
            )));
        }
        let Some(client_id) = client_id else {
            return Err(
                Failure::new(format!("{ENDPOINT} is set, {CLIENT_ID} is not")).help(format!(
                    "set {CLIENT_ID} to the client that is registered there, or unset {ENDPOINT}"
                )),
            );
        };
        let web = Web::new(Roots::Machine).map_err(|error| unusable(base, &error))?;
        Ok(Self {
            web,
            client_id,
            scope: SCOPE.to_owned(),
            audience: None,
            name: host_of(base),
            endpoints: Endpoints {
                token: format!("{base}/oauth/token"),
                device: Some(format!("{base}/oauth/device/code")),
                authorize: Some(format!("{base}/authorize")),
                success: Some(format!("{base}/device/success")),
                kind: EndpointKind::Published,
            },
        })
    }

    /// The tenant of a project, whose certificate is trusted by this one alone. `spec: trust 9.9`
    ///
    /// # Errors
    /// The address or the certificate cannot be used.
    pub(crate) fn tenant(base: &str, certificate: &str, client_id: &str) -> Result<Self, Failure> {
        let base = base.trim_end_matches('/');
        if !base.starts_with("https://") || checked(base).is_none() {
            return Err(Failure::new(
                "the address of the sign-in service does not begin with https://",
            ));
        }
        let web = Web::new(Roots::Only(certificate)).map_err(|error| unusable(base, &error))?;
        Ok(Self {
            web,
            client_id: client_id.to_owned(),
            scope: SCOPE.to_owned(),
            audience: None,
            name: host_of(base),
            endpoints: Endpoints {
                token: format!("{base}/v1/token"),
                device: Some(format!("{base}/v1/device/authorize")),
                authorize: None,
                success: None,
                kind: EndpointKind::Published,
            },
        })
    }

    /// What is sent beside the rest so that the token is for the audience: one name for it is of the standard
    /// (addresses alone), the other of a large provider.
    pub(super) fn audience_fields(&self) -> Vec<(&'static str, &str)> {
        let Some(audience) = self.audience.as_deref() else {
            return Vec::new();
        };
        let mut fields = vec![("audience", audience)];
        if url::Url::parse(audience).is_ok() {
            fields.push(("resource", audience));
        }
        fields
    }

    /// Sends a form, again when the provider breaks off. `spec: trust 9.9`
    pub(super) async fn post(&self, url: &str, fields: &[(&str, &str)]) -> Result<Answer, Failure> {
        let mut attempt = 1;
        loop {
            let answer = self.web.post(url, Form::new(fields), None::<Basic>).await;
            let is_broken = match &answer {
                Ok(answer) => answer.status >= 500,
                Err(error) => matches!(error, WebError::Unreachable { .. } | WebError::Slow(_)),
            };
            if !is_broken || attempt == ATTEMPTS {
                return answer.map_err(|error| self.unreachable(&error));
            }
            attempt += 1;
            tokio::time::sleep(BETWEEN_ATTEMPTS).await;
        }
    }

    pub(super) fn unreachable(&self, error: &WebError) -> Failure {
        Failure::coded(
            Code::Unavailable,
            format!("the sign-in provider {} cannot be asked", self.name),
        )
        .caused_by(error)
        .help("try again in a while; nobody was signed in")
    }

    /// What a provider means that did not do as it was asked.
    pub(super) fn refused(&self, answer: &Answer) -> Failure {
        let told: Refusal = serde_json::from_slice(&answer.body).unwrap_or_default();
        let failure = match told.error.as_str() {
            "access_denied" => Failure::coded(
                Code::Unauthorized,
                format!("signing in was refused at {}", self.name),
            )
            .help("run this again, and allow it in the browser"),
            "expired_token" => expired(),
            "invalid_client" | "unauthorized_client" | "unsupported_grant_type" => {
                Failure::coded(
                    Code::Unauthorized,
                    format!("{} does not let this client sign anybody in this way", self.name),
                )
                .help("whoever runs the Orchestrator registers a public client there that may use the device flow and the code flow")
            }
            _ if answer.status >= 500 => Failure::coded(
                Code::Unavailable,
                format!("the sign-in provider {} is in trouble", self.name),
            )
            .help("try again in a while; nobody was signed in"),
            _ => Failure::coded(
                Code::Unauthorized,
                format!("{} does not sign in", self.name),
            ),
        };
        failure.cause(told.shown(answer.status))
    }

    /// The token in an answer.
    pub(super) fn token(
        &self,
        answer: &Answer,
    ) -> Result<(AccessToken, Option<Zeroizing<String>>), Failure> {
        let malformed = || {
            Failure::coded(
                Code::Internal,
                format!("the sign-in provider {} answers no token", self.name),
            )
            .help("look at its address; nobody was signed in")
        };
        let token: Token = serde_json::from_slice(&answer.body).map_err(|_| malformed())?;
        if !token.token_type.eq_ignore_ascii_case("bearer") {
            return Err(malformed().cause("it is a token of another kind than bearer"));
        }
        let access = AccessToken::new(token.access_token).ok_or_else(malformed)?;
        Ok((access, token.id_token))
    }
}

/// A code or a browser that nobody used in time.
pub(super) fn expired() -> Failure {
    Failure::coded(
        Code::Unavailable,
        "nobody signed in before the time was over",
    )
    .help("run this again, and sign in with the new code")
}

#[derive(Deserialize)]
struct Token {
    token_type: String,
    access_token: Zeroizing<String>,
    id_token: Option<Zeroizing<String>>,
}

/// An error as providers tell it.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Refusal {
    pub(super) error: String,
    error_description: Option<String>,
}

impl Refusal {
    fn shown(&self, status: u16) -> String {
        let short =
            |text: &str| -> String { text.chars().filter(|c| !c.is_control()).take(200).collect() };
        match (self.error.as_str(), &self.error_description) {
            ("", _) => format!("it answers {status}"),
            (error, None) => format!("it answers `{}`", short(error)),
            (error, Some(text)) => format!("it answers `{}`: {}", short(error), short(text)),
        }
    }
}

fn host_of(url: &str) -> String {
    checked(url)
        .and_then(|url| url.host_str().map(str::to_owned))
        .unwrap_or_else(|| "it".to_owned())
}

fn unusable(issuer: &str, error: &(dyn std::error::Error + 'static)) -> Failure {
    Failure::new(format!(
        "the sign-in provider {} cannot be used",
        host_of(issuer)
    ))
    .caused_by(error)
}

fn not_discovered(issuer: &str, error: &ProviderError) -> Failure {
    let failure = if error.is_unavailable() {
        Failure::coded(
            Code::Unavailable,
            format!("the sign-in provider {} cannot be asked", host_of(issuer)),
        )
        .help("try again in a while; nobody was signed in")
    } else {
        Failure::new(format!(
            "the sign-in provider {} cannot be used",
            host_of(issuer)
        ))
        .help("tell whoever runs the Orchestrator: its address of the provider is wrong")
    };
    failure.caused_by(error)
}

const ENDPOINT: &str = "OCKAM_AUTHENTICATOR_ENDPOINT";
const CLIENT_ID: &str = "OCKAM_AUTH0_CLIENT_ID";
/// How often a request is tried. `spec: trust 9.9`
const ATTEMPTS: u32 = 4;
const BETWEEN_ATTEMPTS: std::time::Duration = std::time::Duration::from_secs(1);
