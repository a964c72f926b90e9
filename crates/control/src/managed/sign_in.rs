//! Asks a tenant of a sign-in service who bears a token (spec: trust 7.3).

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use ockam_authority::{SignIn, SignInError, UserInfoFuture};
use serde_json::{Map, Value};
use ureq::tls::{Certificate, RootCerts, TlsConfig};

use crate::noun::authority::OktaSettings;
use crate::outcome::Failure;

/// The user information of one tenant. Its certificate is trusted by the given one alone.
pub struct TenantUserInfo {
    url: String,
    agent: ureq::Agent,
}

impl TenantUserInfo {
    /// Checks what was given; asks nobody.
    ///
    /// # Errors
    /// The certificate cannot be read, or the address is none of HTTPS.
    pub fn new(okta: &OktaSettings) -> Result<Self, Failure> {
        let base = okta.tenant_base_url.trim_end_matches('/');
        if !base.starts_with("https://") {
            return Err(Failure::new(
                "the address of the sign-in service does not begin with https://",
            ));
        }
        let certificate = Certificate::from_pem(okta.certificate.as_bytes()).map_err(|error| {
            Failure::new("the certificate of the sign-in service cannot be read").caused_by(&error)
        })?;
        let tls = TlsConfig::builder()
            .root_certs(RootCerts::Specific(Arc::new(vec![certificate.to_owned()])))
            .unversioned_rustls_crypto_provider(Arc::new(
                rustls::crypto::aws_lc_rs::default_provider(),
            ))
            .build();
        let config = ureq::Agent::config_builder()
            .timeout_global(Some(TIMEOUT))
            // A token is for this server and no other.
            .max_redirects(0)
            .https_only(true)
            .tls_config(tls)
            .user_agent("ockam");
        Ok(Self {
            url: format!("{base}/v1/userinfo"),
            agent: config.build().into(),
        })
    }
}

impl SignIn for TenantUserInfo {
    fn user_info<'a>(&'a self, access_token: &'a str) -> UserInfoFuture<'a> {
        // A header takes printable characters only; what else is no token.
        let usable = access_token.bytes().all(|byte| byte.is_ascii_graphic());
        let (agent, url) = (self.agent.clone(), self.url.clone());
        let authorization = zeroize::Zeroizing::new(format!("Bearer {access_token}"));
        Box::pin(async move {
            if !usable {
                return Err(SignInError("it is no token".to_owned()));
            }
            tokio::task::spawn_blocking(move || ask(&agent, &url, &authorization))
                .await
                .map_err(|error| SignInError(error.to_string()))?
        })
    }
}

impl fmt::Debug for TenantUserInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TenantUserInfo").field(&self.url).finish()
    }
}

fn ask(
    agent: &ureq::Agent,
    url: &str,
    authorization: &str,
) -> Result<BTreeMap<String, String>, SignInError> {
    let failed = |error: ureq::Error| SignInError(error.to_string());
    let mut response = agent
        .get(url)
        .header("Authorization", authorization)
        .call()
        .map_err(failed)?;
    let body = response
        .body_mut()
        .with_config()
        .limit(LARGEST)
        .read_to_vec()
        .map_err(failed)?;
    let told: Map<String, Value> =
        serde_json::from_slice(&body).map_err(|_| SignInError("it answers no JSON".to_owned()))?;
    Ok(told
        .into_iter()
        .filter_map(|(name, value)| match value {
            Value::String(text) => Some((name, text)),
            _ => None,
        })
        .collect())
}

const TIMEOUT: Duration = Duration::from_secs(20);
const LARGEST: u64 = 256 * 1024;
