//! Headers that an inlet adds to the HTTP requests of its clients (spec: messaging 7.8).
//!
//! ```text
//! client ──► [requests] ──► outlet ──► server      heads are rewritten, bodies pass
//! client ◄── [responses] ◄─ outlet ◄── server      nothing is changed; seen is what a response makes of the connection
//! ```
//!
//! It understands HTTP/1.0 and 1.1. Everything else is refused, and so is what two programs could read differently:
//! nobody behind the inlet may see a request here that was not seen as one when headers were added.
//!
//! Invariants: every request head that leaves has the headers of the inlet, and no others of their names; where a request
//! ends is never guessed; what is held back is bounded.
//!
//! `head` collects lines, `body` finds where content ends, `request` rewrites, `response` watches.

mod body;
mod head;
mod request;
mod response;

use std::collections::VecDeque;
use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ockam_identity::Identifier;

use crate::interceptor::{Interception, Interceptor};

/// A header field. Its value may be a secret.
#[derive(Clone, PartialEq, Eq)]
pub struct HttpHeader {
    name: Box<str>,
    value: Box<str>,
}

impl HttpHeader {
    /// The name, as it was written.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Letter case aside, and `_` is `-`: to many servers (CGI, WSGI, PHP) both are the same variable.
    fn has_name(&self, name: &[u8]) -> bool {
        let folded = |byte: &u8| match byte {
            b'_' => b'-',
            other => other.to_ascii_lowercase(),
        };
        self.name
            .bytes()
            .map(|byte| folded(&byte))
            .eq(name.iter().map(folded))
    }

    fn len(&self) -> usize {
        self.name.len() + self.value.len() + ": \r\n".len()
    }
}

impl FromStr for HttpHeader {
    type Err = InvalidHttpHeader;

    // spec: command 3.4 (HTTP header)
    fn from_str(text: &str) -> Result<Self, InvalidHttpHeader> {
        let (name, value) = text.split_once(':').ok_or(InvalidHttpHeader::NoColon)?;
        let value = value.strip_prefix(' ').unwrap_or(value);
        if name.is_empty() || !name.bytes().all(is_token) {
            return Err(InvalidHttpHeader::Name(name.to_owned()));
        }
        if FRAMING.iter().any(|one| name.eq_ignore_ascii_case(one)) {
            return Err(InvalidHttpHeader::Framing(name.to_owned()));
        }
        if value.is_empty() || value.chars().any(char::is_control) {
            return Err(InvalidHttpHeader::Value(name.to_owned()));
        }
        Ok(Self {
            name: name.into(),
            value: value.into(),
        })
    }
}

impl fmt::Display for HttpHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, self.value)
    }
}

impl fmt::Debug for HttpHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HttpHeader({}: ..)", self.name)
    }
}

/// The text is no header that can be added.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidHttpHeader {
    /// Name and value are not told apart.
    #[error("a header is written `name: value`")]
    NoColon,
    /// The name is empty or has characters that no name has.
    #[error("`{0}` cannot be the name of a header")]
    Name(String),
    /// The value is empty or has control characters.
    #[error("the value of `{0}` is empty or has control characters")]
    Value(String),
    /// It would say where a request ends.
    #[error("`{0}` cannot be added: it says where a request ends, which only its sender knows")]
    Framing(String),
}

/// Adds headers to the requests of an inlet's clients.
#[derive(Debug)]
pub struct HttpHeaders {
    label: String,
    headers: Arc<[HttpHeader]>,
}

impl HttpHeaders {
    /// Adds these headers. `label` names the inlet in the log.
    ///
    /// # Errors
    /// Together they are longer than any server would take.
    pub fn new(label: String, headers: Vec<HttpHeader>) -> Result<Self, TooManyHttpHeaders> {
        if headers.iter().map(HttpHeader::len).sum::<usize>() > ADDED {
            return Err(TooManyHttpHeaders);
        }
        let headers = headers.into();
        Ok(Self { label, headers })
    }
}

impl Interceptor for HttpHeaders {
    fn intercept(&self, _peer: Option<&Identifier>) -> Interception {
        let exchange = Arc::new(Mutex::default());
        let requests = request::Requests::new(
            self.label.clone(),
            self.headers.clone(),
            Shared(Arc::clone(&exchange)),
        );
        let responses = response::Responses::new(Shared(exchange));
        Interception {
            outgoing: Some(Box::new(requests)),
            incoming: Some(Box::new(responses)),
        }
    }
}

/// The headers of one inlet are too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("all headers of an inlet together have at most {ADDED} bytes")]
pub struct TooManyHttpHeaders;

/// What is known of one connection: both directions look at it.
#[derive(Debug, Default)]
struct Exchange {
    /// Requests whose final response has not begun; none any more when responses cannot be followed.
    asked: VecDeque<Asked>,
    /// Responses cannot be followed any more.
    lost: bool,
    /// What became of the last request that asked for another protocol.
    turned: Option<Turned>,
}

/// What a response has to be known about its request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    /// Nothing.
    Content,
    /// The response has no content, whatever it says.
    HeadOnly,
    /// Another protocol on this connection.
    Upgrade,
    /// A tunnel to somewhere else.
    Connect,
}

/// Whether a connection speaks something else than HTTP from here on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turned {
    Tunnel,
    Http,
}

#[derive(Debug)]
struct Shared(Arc<Mutex<Exchange>>);

impl Shared {
    // One task drives both directions: held for a field or two, never contended.
    fn lock(&self) -> MutexGuard<'_, Exchange> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why content is not HTTP that can be handed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
enum Refused {
    #[error("this is not HTTP/1.1")]
    NotHttp,
    #[error("a line does not end in CR LF, or has control characters")]
    Line,
    #[error("a header goes on in the next line")]
    Folded,
    #[error(
        "the head is longer than {} bytes or has more than {} headers",
        head::LONGEST,
        head::MOST
    )]
    TooLong,
    #[error("a header is malformed")]
    Header,
    #[error("Content-Length is given twice, beside Transfer-Encoding, or is no number")]
    Length,
    #[error("Transfer-Encoding is given twice, to HTTP/1.0, or does not end in one `chunked`")]
    Encoding,
    #[error("a chunk is malformed")]
    Chunk,
    #[error("Connection names a header that the inlet adds")]
    Connection,
    #[error("content follows a request for another protocol that is not answered yet")]
    Undecided,
    #[error("more than {} requests wait for their answers", PIPELINED)]
    Pipelined,
    #[error("the client has ended in the middle of a request's head")]
    Ended,
}

/// RFC 9110, 5.6.2.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// Headers that say where a request ends, or what follows it.
const FRAMING: &[&str] = &["content-length", "transfer-encoding", "upgrade"];
/// Most bytes of what an inlet adds to a request.
const ADDED: usize = 8 * 1024;
/// Most requests that wait for their responses.
const PIPELINED: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_a_token_and_a_value() {
        for (text, name, value) in [
            ("X-Key:value", "X-Key", "value"),
            ("X-Key: value", "X-Key", "value"),
            ("X-Key:  value ", "X-Key", " value "),
            ("Host: a:80", "Host", "a:80"),
            ("a!#$%&'*+-.^_`|~: ü", "a!#$%&'*+-.^_`|~", "ü"),
        ] {
            let header: HttpHeader = text.parse().expect(text);
            assert_eq!((&*header.name, &*header.value), (name, value));
        }
        for text in [
            "",
            "X-Key",
            ":value",
            "X-Key:",
            "X-Key: ",
            "X Key: value",
            "X-Key : value",
            "X-Key: one\r\nX-Other: two",
            "X-Key: a\tb",
            "ü: value",
            "Content-Length: 5",
            "TRANSFER-ENCODING: chunked",
            "upgrade: websocket",
        ] {
            assert!(text.parse::<HttpHeader>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn guard_w26_a_value_is_not_shown_by_accident() {
        let header: HttpHeader = "Authorization: Bearer secret".parse().expect("valid");
        assert!(!format!("{header:?}").contains("secret"));
    }

    #[test]
    fn headers_of_an_inlet_are_bounded() {
        let header: HttpHeader = format!("x: {}", "y".repeat(5000)).parse().expect("valid");
        assert!(HttpHeaders::new("i".to_owned(), vec![header.clone()]).is_ok());
        assert!(HttpHeaders::new("i".to_owned(), vec![header.clone(), header]).is_err());
    }
}
