//! A text at an address of the web.

use std::sync::Arc;
use std::time::Duration;

use ureq::tls::{Certificate, RootCerts, TlsConfig};

use crate::command::{Note, Session};
use crate::outcome::{Code, Failure};

/// Reads what is at an URL, up to a number of bytes and a half minute.
///
/// # Errors
/// It is no URL of the web, or the server does not answer with the text.
pub(super) async fn fetch(
    session: &Session<'_>,
    url: &str,
    largest: u64,
) -> Result<Vec<u8>, Failure> {
    let shown = without_user(url);
    let scheme = match url.split("://").next().unwrap_or_default() {
        "https" => Scheme::Https,
        "http" => Scheme::Http,
        other => {
            return Err(Failure::new(format!(
                "a configuration cannot be read from {other}: {shown}"
            ))
            .help("give a file, or a URL that begins with `https://` or `http://`"));
        }
    };
    if scheme == Scheme::Http {
        session.host.note(Note::Warning(format!(
            "{shown} is read without encryption: whoever is on the way can change it"
        )));
    }
    let address = url.to_owned();
    // The client blocks; it has a thread of its own.
    let read = tokio::task::spawn_blocking(move || read(&address, scheme, largest));
    let failed = |why: String| {
        Failure::coded(Code::Unavailable, format!("{shown} could not be read"))
            .cause(why)
            .help("look whether the address is right and the server reachable, or give the text as a file")
    };
    read.await
        .map_err(|error| failed(error.to_string()))?
        .map_err(failed)
}

/// The address without name and password of whoever asks.
pub(super) fn without_user(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return url.to_owned();
    };
    let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    match host.rsplit_once('@') {
        Some((_user, host)) => format!("{scheme}://{host}{path}"),
        None => url.to_owned(),
    }
}

/// How the first server is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scheme {
    Https,
    Http,
}

fn read(url: &str, scheme: Scheme, largest: u64) -> Result<Vec<u8>, String> {
    let config = ureq::Agent::config_builder()
        .timeout_global(Some(TIMEOUT))
        .max_redirects(REDIRECTS)
        // What begins encrypted stays so, wherever it is redirected; what does not may become so.
        .https_only(scheme == Scheme::Https)
        .tls_config(tls(scheme)?)
        .http_status_as_error(false)
        .user_agent("ockam");
    let agent: ureq::Agent = config.build().into();
    let mut response = agent.get(url).call().map_err(|error| error.to_string())?;
    let status = response.status();
    if !status.is_success() {
        return Err(format!("the server answered {status}"));
    }
    response
        .body_mut()
        .with_config()
        .limit(largest)
        .read_to_vec()
        .map_err(|error| match error {
            ureq::Error::BodyExceedsLimit(_) => "it is larger than any configuration".to_owned(),
            error => error.to_string(),
        })
}

/// The roots of trust of the machine, on the provider of cryptography that is here already.
fn tls(scheme: Scheme) -> Result<TlsConfig, String> {
    let roots = rustls_native_certs::load_native_certs();
    if roots.certs.is_empty() && scheme == Scheme::Https {
        return Err(
            "this machine has no root certificates: install those of your system (ca-certificates)"
                .to_owned(),
        );
    }
    let roots: Vec<Certificate<'static>> = roots
        .certs
        .iter()
        .map(|root| Certificate::from_der(root).to_owned())
        .collect();
    Ok(TlsConfig::builder()
        .root_certs(RootCerts::Specific(Arc::new(roots)))
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .build())
}

const TIMEOUT: Duration = Duration::from_secs(30);
const REDIRECTS: u32 = 5;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_shown_without_the_password_in_it() {
        for (url, shown) in [
            ("https://host:b@example.com/d@e", "https://example.com/d@e"),
            ("https://host:b/c@d", "https://host:b/c@d"),
            ("https://host:b@c@example.com:1", "https://example.com:1"),
            ("http://host/d", "http://host/d"),
        ] {
            assert_eq!(without_user(url), shown);
        }
    }
}
