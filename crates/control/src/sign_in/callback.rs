//! The server on loopback to which a browser brings the answer of a provider.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use subtle::ConstantTimeEq as _;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use zeroize::Zeroizing;

/// Waits for one answer.
pub(super) struct Callback {
    answer: oneshot::Receiver<Result<Zeroizing<String>, CallbackError>>,
    done: Option<oneshot::Sender<()>>,
    server: JoinHandle<()>,
}

/// There is no code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum CallbackError {
    /// The provider says why.
    Refused(String),
    /// The server ended.
    Ended,
}

/// The code that was brought, or why there is none.
type Answer = Result<Zeroizing<String>, CallbackError>;

struct Waiting {
    state: Zeroizing<String>,
    success: Option<String>,
    answer: Mutex<Option<oneshot::Sender<Answer>>>,
}

impl Callback {
    /// Serves until an answer with this state came.
    pub(super) fn start(
        listener: TcpListener,
        state: Zeroizing<String>,
        success: Option<String>,
    ) -> Self {
        let (sender, answer) = oneshot::channel();
        let (done, is_done) = oneshot::channel::<()>();
        let waiting = Arc::new(Waiting {
            state,
            success,
            answer: Mutex::new(Some(sender)),
        });
        let router = Router::new()
            .route("/callback", get(take))
            .with_state(waiting);
        let server = tokio::spawn(async move {
            let serving = axum::serve(listener, router).with_graceful_shutdown(async {
                let _ = is_done.await;
            });
            let _ = serving.await;
        });
        Self {
            answer,
            done: Some(done),
            server,
        }
    }

    /// The code, when it came. Then nobody listens any more.
    pub(super) async fn code(mut self) -> Result<Zeroizing<String>, CallbackError> {
        let code = (&mut self.answer)
            .await
            .unwrap_or(Err(CallbackError::Ended));
        if let Some(done) = self.done.take() {
            let _ = done.send(());
        }
        // The browser gets its page; a connection that says nothing holds nobody up.
        let _ = tokio::time::timeout(FAREWELL, &mut self.server).await;
        code
    }
}

impl Drop for Callback {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn take(State(waiting): State<Arc<Waiting>>, RawQuery(query): RawQuery) -> Response {
    let query = Zeroizing::new(query.unwrap_or_default());
    let Some(answer) = read(&query, &waiting.state) else {
        return page(
            StatusCode::BAD_REQUEST,
            "This is not the answer that is waited for.",
        );
    };
    let sender = waiting
        .answer
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .take();
    let Some(sender) = sender else {
        return page(StatusCode::GONE, "There was an answer already.");
    };
    let refused = answer.is_err();
    let _ = sender.send(answer);
    if refused {
        return page(
            StatusCode::OK,
            "You did not sign in. You can close this window.",
        );
    }
    match waiting.success.as_deref().map(HeaderValue::from_str) {
        Some(Ok(place)) => (StatusCode::FOUND, [(header::LOCATION, place)]).into_response(),
        _ => page(StatusCode::OK, "You signed in. You can close this window."),
    }
}

/// What a query says, if it has the state that was sent.
fn read(query: &str, state: &str) -> Option<Result<Zeroizing<String>, CallbackError>> {
    let (mut code, mut error, mut said) = (None, None, None);
    for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
        let place = match name.as_ref() {
            "code" => &mut code,
            "error" => &mut error,
            "state" => &mut said,
            _ => continue,
        };
        // Which of two counts would be a guess.
        if place.replace(Zeroizing::new(value.into_owned())).is_some() {
            return None;
        }
    }
    if !bool::from(said?.as_bytes().ct_eq(state.as_bytes())) {
        return None;
    }
    match (code, error) {
        (Some(code), None) if (1..=MAX_CODE_LEN).contains(&code.len()) => Some(Ok(code)),
        (None, Some(error)) => {
            let shown = error
                .chars()
                .filter(|c| !c.is_control())
                .take(100)
                .collect();
            Some(Err(CallbackError::Refused(shown)))
        }
        _ => None,
    }
}

fn page(status: StatusCode, text: &str) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CACHE_CONTROL, "no-store"),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    let body = format!("<!doctype html><title>Ockam</title><p>{text}</p>\n");
    (status, headers, body).into_response()
}

const FAREWELL: Duration = Duration::from_secs(2);
const MAX_CODE_LEN: usize = 4_096;

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    #[test]
    fn guard_11_2_25_only_an_answer_with_the_state_that_was_sent_counts() {
        let code = |query: &str| read(query, "s");
        assert_eq!(
            code("code=c&state=s"),
            Some(Ok(Zeroizing::new("c".to_owned())))
        );
        assert_eq!(
            code("state=s&iss=x&code=c"),
            Some(Ok(Zeroizing::new("c".to_owned())))
        );
        assert_eq!(
            code("error=access_denied&state=s"),
            Some(Err(CallbackError::Refused("access_denied".to_owned())))
        );
        for other in [
            "",
            "code=c",
            "code=c&state=",
            "code=c&state=t",
            "code=c&state=s&state=t",
            "code=c&code=d&state=s",
            "code=&state=s",
            "code=c&error=e&state=s",
            "state=s",
            "error=access_denied",
        ] {
            assert_eq!(code(other), None, "{other}");
        }
    }

    async fn ask(port: u16, path: &str) -> String {
        let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", port))
            .await
            .expect("a server");
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        stream
            .write_all(request.as_bytes())
            .await
            .expect("a request");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("an answer");
        answer
    }

    #[tokio::test]
    async fn one_answer_is_taken_and_then_nobody_listens() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("a port").port();
        let success = Some("https://a.b/device/success".to_owned());
        let callback = Callback::start(listener, Zeroizing::new("s".to_owned()), success);
        // Somebody who says nothing does not hold up the end.
        let silent = tokio::net::TcpStream::connect(("127.0.0.1", port))
            .await
            .expect("a server");
        assert!(
            ask(port, "/callback?code=evil&state=guess")
                .await
                .starts_with("HTTP/1.1 400")
        );
        assert!(ask(port, "/other").await.starts_with("HTTP/1.1 404"));
        let first = ask(port, "/callback?code=c&state=s").await;
        assert!(first.starts_with("HTTP/1.1 302"), "{first}");
        assert!(first.contains("https://a.b/device/success"), "{first}");
        assert!(
            ask(port, "/callback?code=c&state=s")
                .await
                .starts_with("HTTP/1.1 410")
        );
        assert_eq!(callback.code().await, Ok(Zeroizing::new("c".to_owned())));
        drop(silent);
        assert!(
            tokio::net::TcpStream::connect(("127.0.0.1", port))
                .await
                .is_err()
        );
    }
}
