//! Requests to a sign-in provider: to the server that is named and no other, bounded in time and size.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};
use url::{Host, Url};
use zeroize::Zeroizing;

use super::AccessToken;

/// Asks web servers. Clones share connections.
#[derive(Clone)]
pub struct Web {
    agent: ureq::Agent,
}

/// Whose certificates are believed.
#[derive(Debug, Clone, Copy)]
pub enum Roots<'a> {
    /// Those that the machine believes.
    Machine,
    /// Those, and these (PEM).
    MachineAnd(&'a str),
    /// These alone (PEM).
    Only(&'a str),
}

/// There are no certificates to believe.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RootsError {
    /// What was given is no certificate.
    #[error("the certificate cannot be read: {0}")]
    Unreadable(String),
    /// What was given has none in it.
    #[error("there is no certificate in what was given")]
    Empty,
}

/// What a server answered.
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The body; it may hold tokens.
    pub body: Zeroizing<Vec<u8>>,
}

impl Answer {
    /// Whether the server did as it was asked.
    #[must_use]
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer")
            .field("status", &self.status)
            .finish_non_exhaustive()
    }
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WebError {
    /// Nothing is asked there.
    #[error("`{0}` is no https:// address")]
    Address(String),
    /// The server is not there, or breaks off.
    #[error("{host} cannot be asked: {why}")]
    Unreachable {
        /// The server.
        host: String,
        /// Why.
        why: String,
    },
    /// It takes too long.
    #[error("{0} does not answer in time")]
    Slow(String),
    /// It answers more than anybody needs.
    #[error("{0} answers more than is read")]
    TooLarge(String),
}

impl Web {
    /// Prepares to ask; asks nobody.
    ///
    /// # Errors
    /// What is to be believed cannot be read.
    pub fn new(roots: Roots<'_>) -> Result<Self, RootsError> {
        let machine = || {
            let native = rustls_native_certs::load_native_certs();
            native
                .certs
                .into_iter()
                .map(|root| Certificate::from_der(&root).to_owned())
                .collect()
        };
        let mut believed: Vec<Certificate<'static>> = match roots {
            Roots::Machine | Roots::MachineAnd(_) => machine(),
            Roots::Only(_) => Vec::new(),
        };
        if let Roots::MachineAnd(pem) | Roots::Only(pem) = roots {
            believed.extend(certificates(pem)?);
        }
        let tls = TlsConfig::builder()
            .root_certs(RootCerts::Specific(Arc::new(believed)))
            .unversioned_rustls_crypto_provider(Arc::new(
                rustls::crypto::aws_lc_rs::default_provider(),
            ))
            .build();
        let config = ureq::Agent::config_builder()
            .timeout_global(Some(TIMEOUT))
            // What is sent is for this server and no other.
            .max_redirects(0)
            .http_status_as_error(false)
            .tls_config(tls)
            .user_agent("ockam");
        Ok(Self {
            agent: config.build().into(),
        })
    }

    /// Reads what is at an address.
    ///
    /// # Errors
    /// [`WebError`]; every status is an answer.
    pub async fn get(&self, url: &str, bearer: Option<&AccessToken>) -> Result<Answer, WebError> {
        let place = Place::of(url)?;
        let (agent, authorization) = (self.agent.clone(), bearer.map(bearer_header));
        place
            .clone()
            .ask(move || {
                let mut request = agent
                    .get(place.url.as_str())
                    .header("Accept", "application/json");
                if let Some(authorization) = &authorization {
                    request = request.header("Authorization", authorization.as_str());
                }
                match place.is_plain {
                    true => request.config().proxy(None).build().call(),
                    false => request.call(),
                }
            })
            .await
    }

    /// Sends a form.
    ///
    /// # Errors
    /// As of [`Self::get`].
    pub async fn post(
        &self,
        url: &str,
        form: Form,
        secret: Option<Basic>,
    ) -> Result<Answer, WebError> {
        let place = Place::of(url)?;
        let agent = self.agent.clone();
        place
            .clone()
            .ask(move || {
                let mut request = agent
                    .post(place.url.as_str())
                    .header("Accept", "application/json")
                    .header("Content-Type", "application/x-www-form-urlencoded");
                if let Some(Basic(authorization)) = &secret {
                    request = request.header("Authorization", authorization.as_str());
                }
                let body = form.0.as_bytes();
                match place.is_plain {
                    true => request.config().proxy(None).build().send(body),
                    false => request.send(body),
                }
            })
            .await
    }
}

impl fmt::Debug for Web {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Web")
    }
}

/// A form that is sent. It may hold codes and tokens.
pub struct Form(Zeroizing<String>);

impl Form {
    /// A form with these fields.
    #[must_use]
    pub fn new(fields: &[(&str, &str)]) -> Self {
        // Every byte takes three at most; a buffer that does not grow leaves no copy behind.
        let longest = fields
            .iter()
            .map(|(name, value)| 3 * (name.len() + value.len()) + 2)
            .sum();
        let mut form = url::form_urlencoded::Serializer::new(String::with_capacity(longest));
        form.extend_pairs(fields);
        Self(Zeroizing::new(form.finish()))
    }
}

impl fmt::Debug for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Form")
    }
}

/// Name and secret of a client, as a header.
pub struct Basic(Zeroizing<String>);

impl Basic {
    /// Of a client.
    #[must_use]
    pub fn new(client_id: &str, secret: &str) -> Self {
        use base64::Engine as _;
        let encode = |text: &str| -> String {
            url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
        };
        let pair = Zeroizing::new(format!("{}:{}", encode(client_id), encode(secret)));
        let coded = base64::engine::general_purpose::STANDARD.encode(pair.as_bytes());
        Self(Zeroizing::new(format!("Basic {}", *Zeroizing::new(coded))))
    }
}

impl fmt::Debug for Basic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Basic")
    }
}

/// An address that may be asked.
#[derive(Debug, Clone)]
struct Place {
    url: Url,
    host: String,
    is_plain: bool,
}

impl Place {
    fn of(url: &str) -> Result<Self, WebError> {
        let refused = || WebError::Address(shown(url));
        let url = checked(url).ok_or_else(refused)?;
        Ok(Self {
            host: url.host_str().unwrap_or_default().to_owned(),
            is_plain: url.scheme() == "http",
            url,
        })
    }

    /// Asks on a thread of its own, as the client blocks.
    async fn ask(
        self,
        call: impl FnOnce() -> Result<ureq::http::Response<ureq::Body>, ureq::Error> + Send + 'static,
    ) -> Result<Answer, WebError> {
        let asked = tokio::task::spawn_blocking(move || {
            let mut response = call()?;
            let body = response
                .body_mut()
                .with_config()
                .limit(LARGEST)
                .read_to_vec()?;
            Ok(Answer {
                status: response.status().as_u16(),
                body: Zeroizing::new(body),
            })
        });
        let failed = |error: ureq::Error| match error {
            ureq::Error::Timeout(_) => WebError::Slow(self.host.clone()),
            ureq::Error::BodyExceedsLimit(_) => WebError::TooLarge(self.host.clone()),
            error => WebError::Unreachable {
                host: self.host.clone(),
                why: error.to_string(),
            },
        };
        match asked.await {
            Ok(answer) => answer.map_err(failed),
            Err(error) => Err(WebError::Unreachable {
                host: self.host.clone(),
                why: error.to_string(),
            }),
        }
    }
}

/// The address if it is one of HTTPS, or of HTTP on this machine.
pub(super) fn checked(url: &str) -> Option<Url> {
    let url = Url::parse(url).ok().filter(|_| url.len() <= MAX_URL_LEN)?;
    let is_loopback = match url.host()? {
        Host::Domain(name) => name == "localhost",
        Host::Ipv4(ip) => IpAddr::V4(ip).is_loopback(),
        Host::Ipv6(ip) => IpAddr::V6(ip).is_loopback(),
    };
    let is_anonymous = url.username().is_empty() && url.password().is_none();
    let may = match url.scheme() {
        "https" => true,
        "http" => is_loopback,
        _ => false,
    };
    (may && is_anonymous).then_some(url)
}

/// Whether a provider can be asked at this address: one of HTTPS, or of this machine.
#[must_use]
pub fn is_provider_address(url: &str) -> bool {
    checked(url).is_some_and(|url| url.query().is_none() && url.fragment().is_none())
}

/// As much of what was given as fits a line.
fn shown(url: &str) -> String {
    url.chars().filter(|c| !c.is_control()).take(120).collect()
}

fn bearer_header(token: &AccessToken) -> Zeroizing<String> {
    Zeroizing::new(format!("Bearer {}", token.expose()))
}

fn certificates(pem: &str) -> Result<Vec<Certificate<'static>>, RootsError> {
    let mut found = Vec::new();
    for item in parse_pem(pem.as_bytes()) {
        let item = item.map_err(|error| RootsError::Unreadable(error.to_string()))?;
        if let PemItem::Certificate(certificate) = item {
            found.push(certificate);
        }
    }
    if found.is_empty() {
        Err(RootsError::Empty)
    } else {
        Ok(found)
    }
}

/// How long a request may take in all.
const TIMEOUT: Duration = Duration::from_secs(15);
/// Most bytes of an answer.
const LARGEST: u64 = 256 * 1024;
const MAX_URL_LEN: usize = 2_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_encrypted_servers_are_asked_except_on_this_machine() {
        for url in [
            "https://id.example.com/a",
            "http://localhost:1/a",
            "http://127.0.0.1:1",
            "http://[::1]:1/",
        ] {
            assert!(checked(url).is_some(), "{url}");
        }
        let long = format!("https://a.b/{}", "c".repeat(MAX_URL_LEN));
        for url in [
            "",
            "http://id.example.com",
            "http://localhost.example.com",
            "http://127.0.0.1.example.com",
            "ftp://localhost",
            "file:///etc/passwd",
            "https://user:secret@id.example.com",
            "https://user@id.example.com",
            &long,
        ] {
            assert!(checked(url).is_none(), "{url}");
        }
    }

    #[test]
    fn forms_and_secrets_are_written_as_they_are_read_and_shown_by_nothing() {
        let form = Form::new(&[("a b", "c&d=é"), ("e", "")]);
        assert_eq!(*form.0, "a+b=c%26d%3D%C3%A9&e=");
        assert_eq!(format!("{form:?}"), "Form");
        let basic = Basic::new("cl:ient", "hush");
        assert_eq!(*basic.0, "Basic Y2wlM0FpZW50Omh1c2g=");
        assert_eq!(format!("{basic:?}"), "Basic");
    }

    #[test]
    fn certificates_that_are_none_are_refused() {
        assert!(matches!(Web::new(Roots::Only("")), Err(RootsError::Empty)));
        let broken = "-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----\n";
        assert!(matches!(
            Web::new(Roots::Only(broken)),
            Err(RootsError::Unreadable(_))
        ));
    }
}
