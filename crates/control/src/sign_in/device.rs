//! Signing in with a code that is entered in a browser anywhere.
//!
//! Specification: trust 9.9.

use std::time::Duration;

use serde::Deserialize;
use tokio::time::Instant;
use zeroize::Zeroizing;

use super::place::{EndpointKind, Refusal, expired};
use super::web::{Basic, Form, checked};
use super::{AccessToken, Answer, SignInPlace, WebError};
use crate::command::{Note, Session};
use crate::outcome::{Code, Failure};

/// Signs somebody in: shows a code, opens a browser where there is one, and waits.
///
/// # Errors
/// The provider is not there or has no such flow; whoever was asked refused, or did nothing in time.
pub(crate) async fn device(
    session: &Session<'_>,
    place: &SignInPlace,
) -> Result<AccessToken, Failure> {
    let started = start(place).await?;
    show(session, &started);
    session.host.waiting("Waiting until you have signed in");
    let token = poll(place, &started).await?;
    Ok(token)
}

/// A flow that was begun.
struct Started {
    device_code: Zeroizing<String>,
    user_code: String,
    verification_uri: String,
    complete: Option<String>,
    until: Instant,
    interval: Duration,
}

/// What a provider says of it. Published ones say all of this; the standard lets them leave out the last three.
#[derive(Deserialize)]
struct Begun {
    device_code: Zeroizing<String>,
    user_code: String,
    verification_uri: String,
    verification_uri_complete: Option<String>,
    expires_in: Option<u64>,
    interval: Option<u64>,
}

async fn start(place: &SignInPlace) -> Result<Started, Failure> {
    let Some(url) = &place.endpoints.device else {
        return Err(
            Failure::new(format!("{} has no sign-in by a code", place.name))
                .help("sign in with a browser on this machine: add --authorization-code-flow"),
        );
    };
    let mut fields = vec![
        ("client_id", place.client_id.as_str()),
        ("scope", place.scope.as_str()),
    ];
    fields.extend(place.audience_fields());
    let answer = place.post(url, &fields).await?;
    if !answer.is_success() {
        return Err(place.refused(&answer));
    }
    read(&answer, Instant::now()).ok_or_else(|| {
        Failure::coded(
            Code::Internal,
            format!("the sign-in provider {} answers no code", place.name),
        )
        .help("look at its address; nobody was signed in")
    })
}

fn read(answer: &Answer, now: Instant) -> Option<Started> {
    let begun: Begun = serde_json::from_slice(&answer.body).ok()?;
    let is_code = (1..=MAX_CODE_LEN).contains(&begun.user_code.len())
        && begun
            .user_code
            .bytes()
            .all(|byte| byte.is_ascii_graphic() || byte == b' ');
    let is_bounded = (1..=MAX_DEVICE_CODE_LEN).contains(&begun.device_code.len());
    // They are shown and opened: nothing but addresses of the web.
    let is_address = |url: &String| checked(url).is_some() && url.is_ascii();
    if !is_code || !is_bounded || !is_address(&begun.verification_uri) {
        return None;
    }
    let lasts = begun.expires_in.unwrap_or(DEFAULT_LIFE).min(LONGEST_LIFE);
    let interval = begun
        .interval
        .unwrap_or(DEFAULT_INTERVAL)
        .clamp(1, LONGEST_INTERVAL);
    Some(Started {
        device_code: begun.device_code,
        user_code: begun.user_code,
        complete: begun.verification_uri_complete.filter(is_address),
        verification_uri: begun.verification_uri,
        until: now + Duration::from_secs(lasts),
        interval: Duration::from_secs(interval),
    })
}

fn show(session: &Session<'_>, started: &Started) {
    let host = session.host;
    if host.is_quiet() {
        // spec: command 3.9.6: the code alone is for whoever asked for quiet. Nobody reads it: then nobody signs in.
        let _ = host.write(format!("{}\n", started.user_code).as_bytes());
        return;
    }
    host.note(Note::Info(format!("Your code is {}", started.user_code)));
    host.note(Note::Line(format!(
        "Enter it at {}",
        started.verification_uri
    )));
    let address = started
        .complete
        .as_ref()
        .unwrap_or(&started.verification_uri);
    if host.browse(address) {
        host.note(Note::Line(
            "A browser was opened there: see that it shows this code".to_owned(),
        ));
    }
}

async fn poll(place: &SignInPlace, started: &Started) -> Result<AccessToken, Failure> {
    let mut interval = started.interval;
    let mut broken = 0;
    loop {
        let next = Instant::now() + interval;
        if next >= started.until {
            tokio::time::sleep_until(started.until).await;
            return Err(expired());
        }
        tokio::time::sleep_until(next).await;
        let form = Form::new(&[
            ("client_id", &place.client_id),
            ("grant_type", "urn:ietf:params:oauth:grant-type:device_code"),
            ("device_code", &started.device_code),
        ]);
        let answer = place
            .web
            .post(&place.endpoints.token, form, None::<Basic>)
            .await;
        let said = match &answer {
            Ok(answer) if answer.is_success() => return Ok(place.token(answer)?.0),
            Ok(answer) => Said::of(answer, place.endpoints.kind),
            Err(WebError::Unreachable { .. } | WebError::Slow(_)) => Said::Broken,
            Err(error) => return Err(place.unreachable(error)),
        };
        broken = if said == Said::Broken { broken + 1 } else { 0 };
        match said {
            Said::Pending => {}
            Said::SlowDown => interval += SLOWER,
            // The person may be at it: the provider gets a while to come back, and is asked less often.
            Said::Broken if broken < PATIENCE => interval = (interval * 2).min(SLOWEST),
            Said::Broken | Said::Refused => {
                return Err(match answer {
                    Ok(answer) => place.refused(&answer),
                    Err(error) => place.unreachable(&error),
                });
            }
        }
    }
}

/// What a provider means that has no token yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Said {
    Pending,
    SlowDown,
    Refused,
    Broken,
}

impl Said {
    fn of(answer: &Answer, kind: EndpointKind) -> Self {
        let told: Refusal = serde_json::from_slice(&answer.body).unwrap_or_default();
        match (told.error.as_str(), kind) {
            ("authorization_pending", _) | ("invalid_request", EndpointKind::Published) => {
                Self::Pending
            }
            ("slow_down", _) => Self::SlowDown,
            ("", _) if answer.status >= 500 || answer.status == 429 => Self::Broken,
            _ => Self::Refused,
        }
    }
}

const DEFAULT_LIFE: u64 = 600;
const LONGEST_LIFE: u64 = 3_600;
/// What the standard says when a provider says nothing.
const DEFAULT_INTERVAL: u64 = 5;
const LONGEST_INTERVAL: u64 = 60;
/// As the standard says.
const SLOWER: Duration = Duration::from_secs(5);
const SLOWEST: Duration = Duration::from_secs(30);
/// How often in a row a provider may break off.
const PATIENCE: u32 = 4;
const MAX_CODE_LEN: usize = 64;
const MAX_DEVICE_CODE_LEN: usize = 4_096;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn answer(status: u16, body: &str) -> Answer {
        Answer {
            status,
            body: Zeroizing::new(body.as_bytes().to_vec()),
        }
    }

    fn begun(body: &str) -> Option<Started> {
        read(&answer(200, body), Instant::now())
    }

    #[test]
    fn what_begins_is_bounded_whatever_the_provider_says() {
        let started = begun(
            r#"{"device_code":"d","user_code":"AB-CD","verification_uri":"https://a.b/d","expires_in":99999999,"interval":0}"#,
        )
        .expect("a flow");
        assert_eq!(started.interval, Duration::from_secs(1));
        assert!(started.until <= Instant::now() + Duration::from_secs(LONGEST_LIFE));
        let standard =
            begun(r#"{"device_code":"d","user_code":"A","verification_uri":"https://a.b"}"#)
                .expect("a flow");
        assert_eq!(standard.interval, Duration::from_secs(DEFAULT_INTERVAL));
    }

    #[test]
    fn nothing_is_shown_or_opened_that_is_no_code_and_no_address() {
        for body in [
            r"{}",
            r#"{"device_code":"","user_code":"A","verification_uri":"https://a.b"}"#,
            r#"{"device_code":"d","user_code":"A\u001b[2J","verification_uri":"https://a.b"}"#,
            r#"{"device_code":"d","user_code":"A","verification_uri":"javascript:alert(1)"}"#,
            r#"{"device_code":"d","user_code":"A","verification_uri":"--help"}"#,
        ] {
            assert!(begun(body).is_none(), "{body}");
        }
        let started = begun(
            r#"{"device_code":"d","user_code":"A","verification_uri":"https://a.b","verification_uri_complete":"file:///x"}"#,
        )
        .expect("a flow");
        assert_eq!(started.complete, None);
    }

    #[test]
    fn pending_slow_down_refusal_and_trouble_are_told_apart() {
        let said = |status, body: &str, kind| Said::of(&answer(status, body), kind);
        let standard = EndpointKind::Standard;
        for (status, body, wanted) in [
            (400, r#"{"error":"authorization_pending"}"#, Said::Pending),
            (400, r#"{"error":"slow_down"}"#, Said::SlowDown),
            (400, r#"{"error":"access_denied"}"#, Said::Refused),
            (400, r#"{"error":"expired_token"}"#, Said::Refused),
            (400, r#"{"error":"invalid_request"}"#, Said::Refused),
            (400, "rubbish", Said::Refused),
            (503, "rubbish", Said::Broken),
            (429, "", Said::Broken),
        ] {
            assert_eq!(said(status, body, standard), wanted, "{body}");
        }
        // spec: trust 9.9
        let early = r#"{"error":"invalid_request"}"#;
        assert_eq!(said(400, early, EndpointKind::Published), Said::Pending);
    }

    proptest! {
        #[test]
        fn whatever_a_provider_answers_is_read_or_refused(garbage in ".{0,200}") {
            let _ = begun(&garbage);
            let _ = Said::of(&answer(400, &garbage), EndpointKind::Standard);
        }
    }
}
