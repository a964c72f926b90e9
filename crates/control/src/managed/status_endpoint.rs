//! The status endpoint: health checks over plain HTTP (spec: command 3.14).
//!
//! ```text
//! HEAD /       200, no body
//! GET  /show   200, what the node runs, compact JSON
//! others       404
//! ```
//!
//! A node with an Orchestrator in it answers further:
//!
//! ```text
//! GET  /health   200: the process answers
//! GET  /ready    200, or 503 while it cannot do its work
//! GET  /metrics  200, measurements in the text format of Prometheus
//! ```
//!
//! It listens on loopback and tells, never changes. Whoever connects and does not ask is forgotten after a while, or as soon
//! as many others come. A request is one line as far as it is looked at; the connection is
//! closed after the answer.

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::timeout;

use crate::managed::Managed;
use crate::outcome::Failure;

/// Where health checks are answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatusEndpoint {
    /// Nowhere.
    Off,
    /// At this address, or not at all.
    At(SocketAddr),
    /// At the stored or the usual address, or at a free port when that is taken.
    Preferred,
}

/// The usual address.
pub(crate) const USUAL: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 23345);

/// Binds the endpoint.
pub(crate) async fn bind(
    endpoint: StatusEndpoint,
    stored: Option<SocketAddr>,
) -> Result<Option<TcpListener>, Failure> {
    let cannot = |address: SocketAddr, error: &std::io::Error| {
        Failure::internal(
            format!("the status endpoint cannot listen at {address}"),
            error,
        )
    };
    let preferred = match endpoint {
        StatusEndpoint::Off => return Ok(None),
        StatusEndpoint::At(address) => {
            return TcpListener::bind(address)
                .await
                .map(Some)
                .map_err(|error| cannot(address, &error));
        }
        StatusEndpoint::Preferred => stored.unwrap_or(USUAL),
    };
    match TcpListener::bind(preferred).await {
        Ok(listener) => Ok(Some(listener)),
        Err(_) => {
            let free = SocketAddr::new(preferred.ip(), 0);
            TcpListener::bind(free)
                .await
                .map(Some)
                .map_err(|error| cannot(free, &error))
        }
    }
}

/// Answers until it is dropped.
pub(crate) async fn serve(listener: TcpListener, node: Arc<Managed>) {
    let mut tasks = JoinSet::new();
    // Oldest first.
    let mut waiting: VecDeque<AbortHandle> = VecDeque::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // Out of descriptors, most likely: others must get a chance to close theirs.
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        while tasks.try_join_next().is_some() {}
        waiting.retain(|task| !task.is_finished());
        if waiting.len() >= CONNECTIONS
            && let Some(oldest) = waiting.pop_front()
        {
            // Who asks is answered in no time; the oldest is one that does not ask.
            oldest.abort();
            // It or another one: either makes room.
            tasks.join_next().await;
        }
        let node = node.clone();
        waiting.push_back(tasks.spawn(async move {
            if timeout(PATIENCE, answer(stream, &node)).await.is_err() {
                tracing::debug!("a health check took too long");
            }
        }));
    }
}

async fn answer(mut stream: TcpStream, node: &Managed) {
    let mut head = Vec::with_capacity(1024);
    let complete = loop {
        let mut part = [0; 1024];
        // An end may have begun in the part before.
        let from = head.len().saturating_sub(3);
        match stream.read(&mut part).await {
            Ok(length @ 1..) => head.extend_from_slice(part.get(..length).unwrap_or_default()),
            Ok(0) | Err(_) => break false,
        }
        if is_complete(head.get(from..).unwrap_or_default()) {
            break true;
        }
        if head.len() > MAX_HEAD {
            break false;
        }
    };
    if !complete {
        return;
    }
    let response = match request_line(&head) {
        Some(("HEAD", "/")) => "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n".to_owned(),
        Some((method @ ("GET" | "HEAD"), path)) if let Some(told) = told(node, path).await => {
            told.response(method)
        }
        Some(("GET", "/show")) => {
            let body = match node.resources().await {
                Ok(resources) => serde_json::to_string(&resources).unwrap_or_default(),
                Err(failure) => {
                    tracing::warn!("the status cannot be told: {failure}");
                    String::new()
                }
            };
            let length = body.len();
            format!(
                "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
            )
        }
        _ => "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".to_owned(),
    };
    // Who asks and goes away has lost interest.
    if stream.write_all(response.as_bytes()).await.is_ok() {
        drop(stream.shutdown().await);
    }
}

/// What a node with an Orchestrator in it tells beside what every node does.
struct Told {
    status: &'static str,
    kind: &'static str,
    body: String,
}

impl Told {
    fn text(status: &'static str, body: &str) -> Self {
        Self {
            status,
            kind: "text/plain; charset=utf-8",
            body: body.to_owned(),
        }
    }

    fn response(self, method: &str) -> String {
        let Self { status, kind, body } = self;
        let length = body.len();
        let body = if method == "HEAD" { "" } else { &body };
        format!(
            "HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
        )
    }
}

async fn told(node: &Managed, path: &str) -> Option<Told> {
    let orchestrator = node.orchestrator.get()?;
    Some(match path {
        "/health" => Told::text("200 OK", "it runs\n"),
        "/ready" => match timeout(READY, orchestrator.running.ready()).await {
            Ok(Ok(())) if node.listens() => Told::text("200 OK", "it is ready\n"),
            // Why is for the log: every user of the machine may ask.
            outcome => {
                if let Ok(Err(failure)) = outcome {
                    tracing::warn!("not ready: {failure}");
                }
                Told::text("503 Service Unavailable", "it is not ready\n")
            }
        },
        "/metrics" => Told {
            status: "200 OK",
            kind: "application/openmetrics-text; version=1.0.0; charset=utf-8",
            body: orchestrator.running.metrics().await,
        },
        _ => return None,
    })
}

/// Whether these bytes end the head of a request. Hand-made requests often lack the carriage returns.
fn is_complete(bytes: &[u8]) -> bool {
    bytes.windows(4).any(|end| end == b"\r\n\r\n") || bytes.windows(2).any(|end| end == b"\n\n")
}

/// Method and path of a request.
fn request_line(head: &[u8]) -> Option<(&str, &str)> {
    let line = head.split(|byte| matches!(byte, b'\r' | b'\n')).next()?;
    let mut words = std::str::from_utf8(line).ok()?.split(' ');
    let request = (words.next()?, words.next()?);
    words.next()?.starts_with("HTTP/1.").then_some(request)
}

const MAX_HEAD: usize = 8 * 1024;
/// Connections at a time; a new one takes the place of the oldest.
const CONNECTIONS: usize = 64;
/// How long the database may take to answer.
const READY: Duration = Duration::from_secs(2);
const PATIENCE: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_method_and_path_count() {
        assert_eq!(
            request_line(b"HEAD / HTTP/1.1\r\nhost: x\r\n\r\n"),
            Some(("HEAD", "/"))
        );
        assert_eq!(
            request_line(b"GET /show HTTP/1.1\r\n\r\n"),
            Some(("GET", "/show"))
        );
        assert_eq!(
            request_line(b"GET /show HTTP/1.0\n\n"),
            Some(("GET", "/show"))
        );
        assert_eq!(request_line(b"GET /show\r\n\r\n"), None);
        assert_eq!(request_line(b"\r\n\r\n"), None);
        assert_eq!(request_line(b"\xff \xff\r\n\r\n"), None);
    }

    #[test]
    fn a_head_ends_with_an_empty_line() {
        assert!(is_complete(b"x\r\n\r\n") && is_complete(b"x\n\n"));
        assert!(!is_complete(b"x\r\n\r") && !is_complete(b"x\ny\n"));
    }

    #[tokio::test]
    async fn a_taken_port_is_replaced_only_when_none_was_asked_for() {
        let taken = TcpListener::bind("127.0.0.1:0").await.expect("it binds");
        let address = taken.local_addr().expect("it is bound");
        assert!(bind(StatusEndpoint::At(address), None).await.is_err());
        let other = bind(StatusEndpoint::Preferred, Some(address))
            .await
            .expect("it binds")
            .expect("it is on");
        assert_ne!(
            other.local_addr().expect("it is bound").port(),
            address.port()
        );
        assert!(
            bind(StatusEndpoint::Off, None)
                .await
                .expect("nothing to do")
                .is_none()
        );
    }
}
