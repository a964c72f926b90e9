//! The client half of the control API.

use std::io::ErrorKind;
use std::path::PathBuf;
use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;

use crate::outcome::{Code, Failure};
use crate::resource::Resource;
use crate::value::DurationText;

/// Asks one node. Each request opens its own connection.
#[derive(Debug, Clone)]
pub struct Client {
    socket: PathBuf,
    node: String,
    address: String,
    timeout: Duration,
    #[cfg(feature = "cli")]
    course: Option<std::sync::Arc<crate::configuration::Course>>,
}

impl Client {
    /// A client of the node that serves this socket. Name and listener address of the node are for messages.
    pub fn new(
        socket: PathBuf,
        node: impl Into<String>,
        address: impl Into<String>,
        timeout: Duration,
    ) -> Self {
        Self {
            socket,
            node: node.into(),
            address: address.into(),
            timeout,
            #[cfg(feature = "cli")]
            course: None,
        }
    }

    /// The name of the node.
    pub fn node(&self) -> &str {
        &self.node
    }

    /// The same with another time limit for each request.
    #[must_use]
    pub fn within(&self, timeout: Duration) -> Self {
        Self {
            timeout,
            ..self.clone()
        }
    }

    /// Creates one.
    ///
    /// # Errors
    /// What the node answered, or that it did not.
    pub async fn create<R: Resource>(&self, spec: &R::Spec) -> Result<R::View, Failure> {
        #[cfg(feature = "cli")]
        if let Some(course) = &self.course {
            return self.apply::<R>(course, spec).await;
        }
        self.ask(Method::POST, &format!("/{}", R::NOUN.many), Some(spec))
            .await
    }

    /// The same on behalf of a configuration.
    #[cfg(feature = "cli")]
    #[must_use]
    pub(crate) fn on(self, course: Option<std::sync::Arc<crate::configuration::Course>>) -> Self {
        Self { course, ..self }
    }

    /// Creates one, replaces the one of its name, or leaves it alone when it is the same.
    #[cfg(feature = "cli")]
    async fn apply<R: Resource>(
        &self,
        course: &crate::configuration::Course,
        spec: &R::Spec,
    ) -> Result<R::View, Failure> {
        use crate::configuration::{Changed, Mode};
        let path = match course.mode() {
            Mode::Compare => format!("/{}?{}", R::NOUN.many, crate::server::COMPARE),
            Mode::Check | Mode::Apply | Mode::ApplyUnprinted => format!("/{}", R::NOUN.many),
        };
        let applied: crate::resource::Applied<R::View> =
            self.ask(Method::PUT, &path, Some(spec)).await?;
        course.changed(Changed {
            node: self.node.clone(),
            noun: R::NOUN,
            name: applied.name,
            change: applied.change,
        });
        // What was only compared has no view, and the front half ends here.
        applied.view.ok_or_else(|| course.stop())
    }

    /// Deletes one of a noun by its name.
    ///
    /// # Errors
    /// What the node answered, or that it did not.
    #[cfg(feature = "cli")]
    pub(crate) async fn delete_named(
        &self,
        noun: &crate::table::Noun,
        name: &str,
    ) -> Result<serde_json::Value, Failure> {
        let path = format!("/{}/{}", noun.many, segment(name));
        self.ask(Method::DELETE, &path, None::<&()>).await
    }

    /// Lists all.
    ///
    /// # Errors
    /// What the node answered, or that it did not.
    pub async fn list<R: Resource>(&self) -> Result<Vec<R::View>, Failure> {
        self.ask(Method::GET, &format!("/{}", R::NOUN.many), None::<&()>)
            .await
    }

    /// Shows one.
    ///
    /// # Errors
    /// What the node answered, or that it did not.
    pub async fn show<R: Resource>(&self, name: &R::Name) -> Result<R::View, Failure> {
        self.ask(Method::GET, &item_path::<R>(name), None::<&()>)
            .await
    }

    /// Deletes one.
    ///
    /// # Errors
    /// What the node answered, or that it did not.
    pub async fn delete<R: Resource>(&self, name: &R::Name) -> Result<R::View, Failure> {
        self.ask(Method::DELETE, &item_path::<R>(name), None::<&()>)
            .await
    }

    /// Any other operation.
    ///
    /// # Errors
    /// What the node answered, or that it did not.
    pub async fn ask<B: Serialize, T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&B>,
    ) -> Result<T, Failure> {
        match tokio::time::timeout(self.timeout, self.exchange(method, path, body)).await {
            Ok(result) => result,
            Err(_) => Err(Failure::coded(
                Code::Unavailable,
                format!("timeout: {}", DurationText(self.timeout)),
            )
            .cause(format!("node {} did not answer in time", self.node))),
        }
    }

    async fn exchange<B: Serialize, T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&B>,
    ) -> Result<T, Failure> {
        // spec: command 3.3 (node process unreachable)
        let unreachable = |error: &(dyn std::error::Error + 'static)| {
            Failure::internal(
                format!(
                    "Failed to connect to node {} at {}",
                    self.node, self.address
                ),
                error,
            )
            .help(format!(
                "if it does not run, start it with `ockam node start {}`, or everything that has stopped with `ockam node start --all`",
                self.node
            ))
        };
        let stream =
            UnixStream::connect(&self.socket)
                .await
                .map_err(|error| match error.kind() {
                    // A node that was killed leaves its socket, one that was stopped does not.
                    ErrorKind::NotFound | ErrorKind::ConnectionRefused => unreachable(&NoProcess),
                    _ => unreachable(&error),
                })?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| unreachable(&error))?;
        let driver = tokio::spawn(connection);
        let body = match body {
            Some(body) => serde_json::to_vec(body)
                .map_err(|error| Failure::internal("the request cannot be written", &error))?,
            None => Vec::new(),
        };
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "localhost")
            .header("content-type", "application/json")
            .body(Full::new(Bytes::from(body)))
            .map_err(|error| Failure::internal("the request cannot be written", &error))?;
        let response = sender
            .send_request(request)
            .await
            .map_err(|error| unreachable(&error))?;
        let is_success = response.status().is_success();
        let status = response.status();
        let body = Limited::new(response.into_body(), MAX_ANSWER)
            .collect()
            .await
            .map_err(|error| unreachable(&*error))?
            .to_bytes();
        driver.abort();
        if is_success {
            return serde_json::from_slice(&body)
                .map_err(|error| Failure::internal("the node's answer is not understood", &error));
        }
        Err(serde_json::from_slice(&body).unwrap_or_else(|_| {
            Failure::coded(
                Code::Internal,
                format!("node {} answered {status} to {path}", self.node),
            )
            .help("the node may run another version of this program; stop and start it")
        }))
    }
}

/// Nobody is at a node's control socket.
#[derive(Debug, thiserror::Error)]
#[error("no process of it answers")]
struct NoProcess;

fn item_path<R: Resource>(name: &R::Name) -> String {
    format!("/{}/{}", R::NOUN.many, segment(&name.to_string()))
}

/// Percent-encodes a name, so that it is one segment of a path whatever it contains.
fn segment(name: &str) -> String {
    use std::fmt::Write;
    name.bytes()
        .fold(String::with_capacity(name.len()), |mut path, byte| {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'~' => {
                    path.push(char::from(byte))
                }
                // Writing to a string cannot fail.
                byte => drop(write!(path, "%{byte:02X}")),
            }
            path
        })
}

/// An answer is never larger; a list of ten thousand inlets takes a few megabytes.
const MAX_ANSWER: usize = 64 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_segment() {
        assert_eq!(segment("a/b c.ü"), "a%2Fb%20c%2E%C3%BC");
        assert_eq!(segment("plain-name_1"), "plain-name_1");
    }

    #[tokio::test]
    async fn a_node_that_is_gone_is_named() {
        let client = Client::new(
            "/nonexistent/socket".into(),
            "n1",
            "127.0.0.1:4000",
            Duration::from_secs(1),
        );
        let failure = client
            .ask::<(), ()>(Method::GET, "/node", None)
            .await
            .expect_err("nobody listens");
        assert_eq!(
            failure.message,
            "Failed to connect to node n1 at 127.0.0.1:4000"
        );
    }
}
