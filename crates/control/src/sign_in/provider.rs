//! What a provider says of itself.

use serde::Deserialize;

use super::web::checked;
use super::{Web, WebError};

/// A provider, as its discovery document describes it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct Provider {
    /// Its name in tokens.
    pub issuer: String,
    /// Where its keys are.
    pub jwks_uri: Option<String>,
    /// Where codes become tokens.
    pub token_endpoint: Option<String>,
    /// Where a browser begins.
    pub authorization_endpoint: Option<String>,
    /// Where a device begins.
    pub device_authorization_endpoint: Option<String>,
    /// Where it says who bears a token.
    pub userinfo_endpoint: Option<String>,
    /// Where it says whom a token is for.
    pub introspection_endpoint: Option<String>,
}

/// A provider cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProviderError {
    /// It cannot be asked.
    #[error(transparent)]
    Web(#[from] WebError),
    /// It has no discovery document.
    #[error("{issuer} has no OpenID Connect configuration: it answers {status}")]
    Status {
        /// Who was asked.
        issuer: String,
        /// What it answers.
        status: u16,
    },
    /// The document is none.
    #[error("the OpenID Connect configuration of {0} is not understood")]
    Malformed(String),
    /// The document is of somebody else.
    #[error("the OpenID Connect configuration at {asked} is of another issuer: {says}")]
    Issuer {
        /// Who was asked.
        asked: String,
        /// Who it says it is.
        says: String,
    },
}

impl ProviderError {
    /// Whether it may be different in a while.
    #[must_use]
    pub fn is_unavailable(&self) -> bool {
        match self {
            Self::Web(WebError::Address(_)) | Self::Issuer { .. } => false,
            Self::Web(_) | Self::Malformed(_) => true,
            Self::Status { status, .. } => *status >= 500 || *status == 429,
        }
    }
}

impl Provider {
    /// Asks a provider.
    ///
    /// # Errors
    /// [`ProviderError`].
    pub async fn discover(web: &Web, issuer: &str) -> Result<Self, ProviderError> {
        let asked = issuer.trim_end_matches('/');
        let answer = web
            .get(&format!("{asked}/.well-known/openid-configuration"), None)
            .await?;
        if !answer.is_success() {
            return Err(ProviderError::Status {
                issuer: asked.to_owned(),
                status: answer.status,
            });
        }
        Self::read(asked, &answer.body)
    }

    fn read(asked: &str, body: &[u8]) -> Result<Self, ProviderError> {
        let malformed = || ProviderError::Malformed(asked.to_owned());
        let provider: Self = serde_json::from_slice(body).map_err(|_| malformed())?;
        if provider.issuer.trim_end_matches('/') != asked {
            let says = provider
                .issuer
                .chars()
                .filter(|c| !c.is_control())
                .take(120)
                .collect();
            return Err(ProviderError::Issuer {
                asked: asked.to_owned(),
                says,
            });
        }
        let is_encrypted = asked.starts_with("https://");
        let endpoints = [
            &provider.jwks_uri,
            &provider.token_endpoint,
            &provider.authorization_endpoint,
            &provider.device_authorization_endpoint,
            &provider.userinfo_endpoint,
            &provider.introspection_endpoint,
        ];
        // What begins encrypted stays so.
        let may =
            |url: &String| checked(url).is_some_and(|url| url.scheme() == "https" || !is_encrypted);
        let all_may = endpoints.into_iter().flatten().all(may);
        if all_may {
            Ok(provider)
        } else {
            Err(malformed())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ASKED: &str = "https://id.example.com";

    fn read(json: &str) -> Result<Provider, ProviderError> {
        Provider::read(ASKED, json.as_bytes())
    }

    #[test]
    fn what_a_provider_says_is_taken_with_all_that_is_not_needed() {
        let provider = read(
            r#"{"issuer":"https://id.example.com/","jwks_uri":"https://keys.example.com/k","claims_supported":["a"]}"#,
        )
        .expect("a provider");
        assert_eq!(
            provider.jwks_uri.as_deref(),
            Some("https://keys.example.com/k")
        );
        assert_eq!(provider.token_endpoint, None);
    }

    #[test]
    fn a_document_of_somebody_else_or_with_plain_addresses_is_refused() {
        assert!(matches!(
            read(r#"{"issuer":"https://id.example.org"}"#),
            Err(ProviderError::Issuer { .. })
        ));
        for json in [
            "",
            "[]",
            "{}",
            r#"{"issuer":7}"#,
            r#"{"issuer":"https://id.example.com","jwks_uri":"http://id.example.com/k"}"#,
            r#"{"issuer":"https://id.example.com","jwks_uri":"http://127.0.0.1/k"}"#,
            r#"{"issuer":"https://id.example.com","token_endpoint":"file:///etc/passwd"}"#,
        ] {
            assert!(
                matches!(read(json), Err(ProviderError::Malformed(_))),
                "{json}"
            );
        }
    }

    proptest! {
        #[test]
        fn whatever_a_provider_says_is_read_or_refused(garbage in ".{0,200}") {
            let _ = read(&garbage);
            let _ = read(&format!(r#"{{"issuer":"{ASKED}","jwks_uri":"{garbage}"}}"#));
        }
    }
}
