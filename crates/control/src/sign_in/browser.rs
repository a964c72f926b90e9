//! Signing in with a browser on this machine: the code flow with PKCE.
//!
//! The answer comes to a server on loopback that takes one, and only with the state that was sent: another page or program
//! cannot slip in a code of its own. Neither code nor token is logged.
//!
//! Specification: trust 9.9, 11.2 (25).

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tokio::net::TcpListener;
use url::Url;
use zeroize::Zeroizing;

use super::callback::{Callback, CallbackError};
use super::place::expired;
use super::{AccessToken, SignInPlace};
use crate::command::{Note, Session};
use crate::outcome::{Code, Failure};

/// Signs somebody in with a browser on this machine.
///
/// # Errors
/// The provider is not there or has no such flow; whoever was asked refused, or did nothing in time.
pub(crate) async fn browser(
    session: &Session<'_>,
    place: &SignInPlace,
) -> Result<AccessToken, Failure> {
    let Some(authorize) = &place.endpoints.authorize else {
        return Err(Failure::new(format!(
            "{} has no sign-in with a browser on this machine",
            place.name
        ))
        .help("leave --authorization-code-flow out: then a code is shown"));
    };
    let (listener, redirect) = listen().await?;
    let secrets = Secrets::new()?;
    let url = address(place, authorize, &redirect, &secrets)?;
    let callback = Callback::start(
        listener,
        secrets.state.clone(),
        place.endpoints.success.clone(),
    );
    let opened = session.host.browse(url.as_str());
    let what = if opened {
        "A browser was opened to sign in; if you see none, open"
    } else {
        "To sign in, open"
    };
    if session.host.is_quiet() {
        let _ = session.host.write(format!("{url}\n").as_bytes());
    }
    session
        .host
        .note(Note::Info(format!("{what} this address on this machine:")));
    session.host.note(Note::Line(url.to_string()));
    session.host.waiting("Waiting until you have signed in");
    let code = match tokio::time::timeout(LONGEST, callback.code()).await {
        Err(_) => return Err(expired()),
        Ok(Err(CallbackError::Refused(why))) => {
            return Err(Failure::coded(
                Code::Unauthorized,
                format!("signing in was refused at {}", place.name),
            )
            .cause(format!("it answers `{why}`"))
            .help("run this again, and allow it in the browser"));
        }
        Ok(Err(CallbackError::Ended)) => {
            return Err(Failure::coded(
                Code::Internal,
                "the answer of the browser cannot be waited for",
            ));
        }
        Ok(Ok(code)) => code,
    };
    exchange(place, &code, &redirect, &secrets).await
}

async fn exchange(
    place: &SignInPlace,
    code: &str,
    redirect: &str,
    secrets: &Secrets,
) -> Result<AccessToken, Failure> {
    let mut fields = vec![
        ("client_id", place.client_id.as_str()),
        ("code", code),
        ("code_verifier", secrets.verifier.as_str()),
        ("grant_type", "authorization_code"),
        ("redirect_uri", redirect),
    ];
    fields.extend(
        place
            .audience_fields()
            .into_iter()
            .filter(|(name, _)| *name == "resource"),
    );
    let answer = place.post(&place.endpoints.token, &fields).await?;
    if !answer.is_success() {
        return Err(place.refused(&answer));
    }
    let (token, id_token) = place.token(&answer)?;
    if let Some(id_token) = id_token
        && nonce_of(&id_token).as_deref() != Some(secrets.nonce.as_str())
    {
        return Err(Failure::coded(
            Code::Unauthorized,
            format!("what {} answers belongs to another sign-in", place.name),
        )
        .help("run this again; nobody was signed in"));
    }
    Ok(token)
}

/// What binds the answer to the question.
struct Secrets {
    verifier: Zeroizing<String>,
    state: Zeroizing<String>,
    nonce: Zeroizing<String>,
}

impl Secrets {
    fn new() -> Result<Self, Failure> {
        let random = || -> Result<Zeroizing<String>, Failure> {
            let mut bytes = Zeroizing::new([0; 32]);
            getrandom::fill(bytes.as_mut_slice())
                .map_err(|error| Failure::internal("there is no randomness", &error))?;
            Ok(Zeroizing::new(URL_SAFE_NO_PAD.encode(bytes.as_slice())))
        };
        Ok(Self {
            verifier: random()?,
            state: random()?,
            nonce: random()?,
        })
    }

    /// What the provider keeps until the verifier comes.
    fn challenge(&self) -> String {
        URL_SAFE_NO_PAD.encode(ockam_vault::fast().sha256(&[self.verifier.as_bytes()]))
    }
}

fn address(
    place: &SignInPlace,
    authorize: &str,
    redirect: &str,
    secrets: &Secrets,
) -> Result<Url, Failure> {
    let mut url = Url::parse(authorize)
        .map_err(|error| Failure::internal("the sign-in provider cannot be used", &error))?;
    url.query_pairs_mut()
        .append_pair("client_id", &place.client_id)
        .append_pair("scope", &place.scope)
        .append_pair("code_challenge_method", "S256")
        .append_pair("response_type", "code")
        .append_pair("code_challenge", &secrets.challenge())
        .append_pair("redirect_uri", redirect)
        .append_pair("state", &secrets.state)
        .append_pair("nonce", &secrets.nonce)
        .extend_pairs(place.audience_fields());
    Ok(url)
}

/// The port that clients are registered with, or a free one for providers that take any on loopback.
async fn listen() -> Result<(TcpListener, String), Failure> {
    let failed = |error: std::io::Error| {
        Failure::internal("the answer of the browser cannot be waited for", &error)
    };
    if let Ok(listener) = TcpListener::bind((LOOPBACK, PORT)).await {
        return Ok((listener, format!("http://localhost:{PORT}/callback")));
    }
    let listener = TcpListener::bind((LOOPBACK, 0)).await.map_err(failed)?;
    let port = listener.local_addr().map_err(failed)?.port();
    Ok((listener, format!("http://{LOOPBACK}:{port}/callback")))
}

/// What an identity token says it is an answer to. It came from the provider itself, over TLS, so it needs no signature.
fn nonce_of(id_token: &str) -> Option<String> {
    let payload = id_token.split('.').nth(1)?;
    let claims = URL_SAFE_NO_PAD.decode(payload).ok()?;
    let claims: serde_json::Value = serde_json::from_slice(&claims).ok()?;
    claims.get("nonce")?.as_str().map(str::to_owned)
}

const LOOPBACK: &str = "127.0.0.1";
/// The published one.
const PORT: u16 = 8000;
const LONGEST: Duration = Duration::from_secs(10 * 60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guard_11_2_25_what_is_sent_to_a_browser_has_a_state_a_nonce_and_the_hash_of_the_verifier() {
        let place =
            SignInPlace::published("https://a.b", Some("client".to_owned())).expect("a place");
        let secrets = Secrets::new().expect("randomness");
        let url = address(
            &place,
            "https://a.b/authorize?x=1",
            "http://localhost:8000/callback",
            &secrets,
        )
        .expect("an address");
        let pairs: std::collections::BTreeMap<_, _> = url.query_pairs().into_owned().collect();
        assert_eq!(pairs["state"], *secrets.state);
        assert_eq!(pairs["nonce"], *secrets.nonce);
        assert_eq!(pairs["code_challenge_method"], "S256");
        assert_eq!(pairs["x"], "1");
        assert!(!url.as_str().contains(secrets.verifier.as_str()));
        assert_ne!(*Secrets::new().expect("randomness").state, *secrets.state);
    }

    #[test]
    fn the_challenge_is_that_of_the_standard() {
        // RFC 7636, appendix B.
        let secrets = Secrets {
            verifier: Zeroizing::new("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk".to_owned()),
            state: Zeroizing::new(String::new()),
            nonce: Zeroizing::new(String::new()),
        };
        assert_eq!(
            secrets.challenge(),
            "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
        );
    }

    #[test]
    fn an_identity_token_of_another_question_is_seen() {
        let token = |claims: &str| format!("e30.{}.sig", URL_SAFE_NO_PAD.encode(claims));
        assert_eq!(nonce_of(&token(r#"{"nonce":"n"}"#)).as_deref(), Some("n"));
        for other in [
            String::new(),
            "a.b".to_owned(),
            token("{}"),
            token("[1]"),
            token(r#"{"nonce":7}"#),
        ] {
            assert_eq!(nonce_of(&other), None, "{other}");
        }
    }
}
