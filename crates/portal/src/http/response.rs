//! Responses on their way back: they pass as they are. What is looked for is whether the server agrees to another protocol.
//!
//! A response that cannot be followed ends the watch, not the connection.

use ockam_wire::Buffer;

use crate::http::body::{Chunks, Framing, Last};
use crate::http::head::{self, Empty, Lines, Ready};
use crate::http::{Asked, Refused, Shared, Turned};
use crate::interceptor::{Intercept, Intercepted};

/// Watches responses.
#[derive(Debug)]
pub(super) struct Responses {
    exchange: Shared,
    phase: Phase,
}

impl Responses {
    pub(super) fn new(exchange: Shared) -> Self {
        Self {
            exchange,
            phase: Phase::Head(Lines::new()),
        }
    }

    fn watch(&mut self, mut content: &[u8]) -> Result<(), Refused> {
        while !content.is_empty() {
            let (taken, next) = match &mut self.phase {
                Phase::Head(lines) => match lines.take(content, Empty::Ignored)? {
                    (taken, Ready::No) => (taken, None),
                    (taken, Ready::Yes) => {
                        let lines = std::mem::take(lines);
                        (taken, Some(self.begin(lines.bytes())?))
                    }
                },
                Phase::Content(left) => {
                    let taken = usize::try_from(*left).unwrap_or(usize::MAX);
                    let taken = taken.min(content.len());
                    *left -= taken as u64;
                    let next = (*left == 0).then(|| Phase::Head(Lines::new()));
                    (taken, next)
                }
                Phase::Chunks(chunks) => match chunks.take(content)? {
                    (taken, Last::No) => (taken, None),
                    (taken, Last::Yes) => (taken, Some(Phase::Trailers(Lines::new()))),
                },
                Phase::Trailers(lines) => match lines.take(content, Empty::Complete)? {
                    (taken, Ready::No) => (taken, None),
                    (taken, Ready::Yes) => (taken, Some(Phase::Head(Lines::new()))),
                },
                Phase::Over => return Ok(()),
            };
            if let Some(next) = next {
                self.phase = next;
            }
            content = content.get(taken..).unwrap_or_default();
        }
        Ok(())
    }

    /// A response's head is complete; returns what follows.
    fn begin(&mut self, bytes: &[u8]) -> Result<Phase, Refused> {
        let mut headers = [httparse::EMPTY_HEADER; head::MOST];
        let mut response = httparse::Response::new(&mut headers);
        let parsed = response.parse(bytes).map_err(|_| Refused::NotHttp)?;
        let (Some(status), Some(version), true) =
            (response.code, response.version, parsed.is_complete())
        else {
            return Err(Refused::NotHttp);
        };
        if (100..200).contains(&status) && status != 101 {
            // The final one is still to come.
            return Ok(Phase::Head(Lines::new()));
        }
        let mut exchange = self.exchange.lock();
        // A server may close an idle connection with a response to nothing.
        let asked = exchange.asked.pop_front().unwrap_or(Asked::Content);
        match (asked, status) {
            (Asked::Upgrade, 101) | (Asked::Connect, 200..300) => {
                exchange.turned = Some(Turned::Tunnel);
                return Ok(Phase::Over);
            }
            (_, 101) => return Err(Refused::NotHttp),
            (Asked::Upgrade | Asked::Connect, _) => exchange.turned = Some(Turned::Http),
            (Asked::Content | Asked::HeadOnly, _) => {}
        }
        if asked == Asked::HeadOnly || matches!(status, 204 | 304) {
            return Ok(Phase::Head(Lines::new()));
        }
        Ok(match Framing::of(response.headers, version)? {
            Framing::Length(0) => Phase::Head(Lines::new()),
            Framing::Length(length) => Phase::Content(length),
            Framing::Chunked => Phase::Chunks(Chunks::default()),
            // Up to the end of the connection.
            Framing::Open => Phase::Over,
        })
    }
}

impl Intercept for Responses {
    fn intercept(&mut self, content: Buffer, onward: &mut Vec<Buffer>) -> Result<(), Intercepted> {
        if let Err(reason) = self.watch(content.as_slice()) {
            tracing::debug!("responses are not followed any more: {reason}");
            self.phase = Phase::Over;
            let mut exchange = self.exchange.lock();
            exchange.lost = true;
            exchange.asked.clear();
        }
        onward.push(content);
        Ok(())
    }
}

#[derive(Debug)]
enum Phase {
    Head(Lines),
    /// So many bytes of content are left.
    Content(u64),
    Chunks(Chunks),
    Trailers(Lines),
    /// Nothing more can be learnt.
    Over,
}
