//! Requests on their way to the server.

use std::sync::Arc;

use bytes::BytesMut;
use ockam_wire::{Buffer, HEADROOM, TAILROOM};

use crate::http::body::{Chunks, Framing, Last};
use crate::http::head::{self, Empty, Lines, Ready};
use crate::http::{Asked, HttpHeader, PIPELINED, Refused, Shared, Turned, is_token};
use crate::interceptor::{Intercept, Intercepted};

/// Rewrites the heads of requests.
#[derive(Debug)]
pub(super) struct Requests {
    label: String,
    headers: Arc<[HttpHeader]>,
    exchange: Shared,
    phase: Phase,
    /// What follows the present request's content.
    then: Then,
}

impl Requests {
    pub(super) fn new(label: String, headers: Arc<[HttpHeader]>, exchange: Shared) -> Self {
        Self {
            label,
            headers,
            exchange,
            phase: Phase::Head(Lines::new()),
            then: Then::Request,
        }
    }

    fn rewrite(&mut self, mut content: &[u8], out: &mut BytesMut) -> Result<(), Refused> {
        while !content.is_empty() {
            let taken = match &mut self.phase {
                Phase::Head(lines) => {
                    let had_line = lines.first_line().is_some();
                    let (taken, ready) = match lines.take(content, Empty::Ignored) {
                        Err(Refused::Line) if !starts_with_token(lines.bytes()) => {
                            return Err(Refused::NotHttp);
                        }
                        taken => taken?,
                    };
                    if !had_line && let Some(line) = lines.first_line() {
                        check_request_line(line)?;
                    }
                    if ready == Ready::Yes {
                        let lines = std::mem::take(lines);
                        self.begin(lines.bytes(), out)?;
                    }
                    taken
                }
                Phase::Content(left) => {
                    let taken = usize::try_from(*left).unwrap_or(usize::MAX);
                    let taken = taken.min(content.len());
                    *left -= taken as u64;
                    let over = *left == 0;
                    out.extend_from_slice(content.get(..taken).unwrap_or_default());
                    if over {
                        self.end();
                    }
                    taken
                }
                Phase::Chunks(chunks) => {
                    let (taken, last) = chunks.take(content)?;
                    out.extend_from_slice(content.get(..taken).unwrap_or_default());
                    if last == Last::Yes {
                        self.phase = Phase::Trailers(Lines::new());
                    }
                    taken
                }
                Phase::Trailers(lines) => {
                    let (taken, ready) = lines.take(content, Empty::Complete)?;
                    if ready == Ready::Yes {
                        let lines = std::mem::take(lines);
                        check_headers(lines.bytes())?;
                        self.keep_others(head::each(lines.bytes()), out);
                        out.extend_from_slice(b"\r\n");
                        self.end();
                    }
                    taken
                }
                Phase::Undecided => {
                    self.phase = match self.exchange.lock().turned {
                        Some(Turned::Tunnel) => Phase::Tunnel,
                        Some(Turned::Http) => Phase::Head(Lines::new()),
                        None => return Err(Refused::Undecided),
                    };
                    0
                }
                Phase::Tunnel => {
                    out.extend_from_slice(content);
                    content.len()
                }
            };
            content = content.get(taken..).unwrap_or_default();
        }
        Ok(())
    }

    /// A request's head is complete.
    fn begin(&mut self, bytes: &[u8], out: &mut BytesMut) -> Result<(), Refused> {
        let mut headers = [httparse::EMPTY_HEADER; head::MOST];
        let mut request = httparse::Request::new(&mut headers);
        let parsed = request.parse(bytes).map_err(refused)?;
        let (Some(method), Some(version)) = (request.method, request.version) else {
            return Err(Refused::NotHttp);
        };
        if parsed != httparse::Status::Complete(bytes.len()) {
            return Err(Refused::Line);
        }
        let framing = Framing::of(request.headers, version)?;
        let has = |name: &str| {
            let mut headers = request.headers.iter();
            headers.any(|header| header.name.eq_ignore_ascii_case(name))
        };
        let asked = match method {
            "HEAD" => Asked::HeadOnly,
            "CONNECT" if framing != Framing::Open => return Err(Refused::Length),
            "CONNECT" => Asked::Connect,
            _ if has("upgrade") => Asked::Upgrade,
            _ => Asked::Content,
        };
        self.check_connection(request.headers)?;
        self.then = match asked {
            Asked::Connect | Asked::Upgrade => Then::Undecided,
            Asked::Content | Asked::HeadOnly => Then::Request,
        };
        {
            let mut exchange = self.exchange.lock();
            if exchange.asked.len() >= PIPELINED {
                return Err(Refused::Pipelined);
            }
            if !exchange.lost {
                exchange.asked.push_back(asked);
            }
            exchange.turned = None;
        }
        let mut lines = head::each(bytes);
        out.extend_from_slice(lines.next().unwrap_or_default());
        for header in &*self.headers {
            out.extend_from_slice(header.to_string().as_bytes());
            out.extend_from_slice(b"\r\n");
        }
        self.keep_others(lines, out);
        out.extend_from_slice(b"\r\n");
        match framing {
            Framing::Length(0) | Framing::Open => self.end(),
            Framing::Length(length) => self.phase = Phase::Content(length),
            Framing::Chunked => self.phase = Phase::Chunks(Chunks::default()),
        }
        Ok(())
    }

    /// A request's content is complete.
    fn end(&mut self) {
        self.phase = match self.then {
            Then::Request => Phase::Head(Lines::new()),
            Then::Undecided => Phase::Undecided,
        };
    }

    /// Hands on the lines of headers that are not replaced.
    fn keep_others<'a>(&self, lines: impl Iterator<Item = &'a [u8]>, out: &mut BytesMut) {
        for line in lines.filter(|line| !self.replaces(head::name(line))) {
            out.extend_from_slice(line);
        }
    }

    fn replaces(&self, name: &[u8]) -> bool {
        self.headers.iter().any(|header| header.has_name(name))
    }

    /// What `Connection` names is taken away by the next proxy: a client must not name what the inlet adds.
    fn check_connection(&self, headers: &[httparse::Header<'_>]) -> Result<(), Refused> {
        let named = headers
            .iter()
            .filter(|header| header.name.eq_ignore_ascii_case("connection"))
            .flat_map(|header| header.value.split(|byte| *byte == b','))
            .any(|option| self.replaces(option.trim_ascii()));
        if named && !self.replaces(b"connection") {
            return Err(Refused::Connection);
        }
        Ok(())
    }

    /// Whether all of so many bytes is content that nothing is looked for in.
    fn passes(&mut self, bytes: usize) -> bool {
        let bytes = bytes as u64;
        match &mut self.phase {
            Phase::Content(left) if *left > bytes => *left -= bytes,
            Phase::Chunks(chunks) if chunks.certain() >= bytes => chunks.pass(bytes),
            Phase::Tunnel => {}
            _ => return false,
        }
        true
    }
}

impl Intercept for Requests {
    fn intercept(&mut self, content: Buffer, onward: &mut Vec<Buffer>) -> Result<(), Intercepted> {
        if self.passes(content.len()) {
            onward.push(content);
            return Ok(());
        }
        let room = content.len() + self.headers.iter().map(HttpHeader::len).sum::<usize>();
        let mut out = BytesMut::with_capacity(HEADROOM + room + TAILROOM);
        out.resize(HEADROOM, 0);
        self.rewrite(content.as_slice(), &mut out)
            .map_err(|refused| Intercepted::because(format!("{}: {refused}", self.label)))?;
        if out.len() > HEADROOM {
            out.reserve(TAILROOM);
            onward.push(Buffer::from_bytes(out, HEADROOM));
        }
        Ok(())
    }

    fn finish(&mut self, _onward: &mut Vec<Buffer>) -> Result<(), Intercepted> {
        match &self.phase {
            Phase::Head(lines) | Phase::Trailers(lines) if lines.has_begun() => Err(
                Intercepted::because(format!("{}: {}", self.label, Refused::Ended)),
            ),
            _ => Ok(()),
        }
    }
}

/// Whether there is something like a method: other protocols tend to show with their first byte.
fn starts_with_token(bytes: &[u8]) -> bool {
    bytes
        .split(|byte| *byte == b' ')
        .next()
        .is_some_and(|method| method.iter().copied().all(is_token))
}

/// Whether a first line is one of HTTP, looked at before the rest of the head has come.
fn check_request_line(line: &[u8]) -> Result<(), Refused> {
    let mut headers = [];
    match httparse::Request::new(&mut headers).parse(line) {
        Ok(_) => Ok(()),
        Err(_) => Err(Refused::NotHttp),
    }
}

fn check_headers(bytes: &[u8]) -> Result<(), Refused> {
    let mut headers = [httparse::EMPTY_HEADER; head::MOST];
    match httparse::parse_headers(bytes, &mut headers).map_err(refused)? {
        httparse::Status::Complete((length, _)) if length == bytes.len() => Ok(()),
        _ => Err(Refused::Line),
    }
}

fn refused(error: httparse::Error) -> Refused {
    match error {
        httparse::Error::TooManyHeaders => Refused::TooLong,
        httparse::Error::Token | httparse::Error::Version | httparse::Error::Status => {
            Refused::NotHttp
        }
        _ => Refused::Header,
    }
}

#[derive(Debug)]
enum Phase {
    Head(Lines),
    /// So many bytes of content are left.
    Content(u64),
    Chunks(Chunks),
    Trailers(Lines),
    /// The next bytes are of whatever protocol the server has agreed to.
    Undecided,
    Tunnel,
}

#[derive(Debug, Clone, Copy)]
enum Then {
    Request,
    Undecided,
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use proptest::prelude::*;

    use super::*;
    use crate::http::Exchange;
    use crate::http::response::Responses;

    #[test]
    fn every_request_of_a_connection_gets_the_headers_before_its_own() {
        let answer = added(
            "GET /a HTTP/1.1\r\nHost: h\r\nX-Other: o\r\n\r\n\
             POST /b HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello\
             DELETE /c HTTP/1.0\r\n\r\n",
        );
        let expected = "GET /a HTTP/1.1\r\nX-Key: one\r\nX-Also: two\r\nHost: h\r\nX-Other: o\r\n\r\n\
             POST /b HTTP/1.1\r\nX-Key: one\r\nX-Also: two\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello\
             DELETE /c HTTP/1.0\r\nX-Key: one\r\nX-Also: two\r\n\r\n";
        assert_eq!(answer.unwrap(), expected);
    }

    #[test]
    fn what_the_client_says_under_the_same_name_is_left_out_also_in_trailers() {
        let answer = added(
            "PUT / HTTP/1.1\r\nx-KEY: mine\r\nX-Key:\r\nx_Key: mine\r\nX-Keys: stays\r\nTransfer-Encoding: chunked\r\n\r\n\
             5\r\nX-Key\r\n0\r\nX-key: mine\r\nX-Sum: 1\r\n\r\nGET / HTTP/1.1\r\n\r\n",
        );
        let expected = "PUT / HTTP/1.1\r\nX-Key: one\r\nX-Also: two\r\nX-Keys: stays\r\nTransfer-Encoding: chunked\r\n\r\n\
             5\r\nX-Key\r\n0\r\nX-Sum: 1\r\n\r\nGET / HTTP/1.1\r\nX-Key: one\r\nX-Also: two\r\n\r\n";
        assert_eq!(answer.unwrap(), expected);
    }

    #[test]
    fn empty_lines_before_a_request_are_dropped() {
        let answer = added("\r\nGET / HTTP/1.1\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\n\r\n").unwrap();
        assert_eq!(answer.matches("X-Key: one").count(), 2);
        assert!(answer.starts_with("GET"));
    }

    #[test]
    fn what_is_not_http_is_refused_with_its_first_bytes() {
        for content in [
            &b"\x16\x03\x01\x02\x00\x01"[..],
            b"\x00\x00\x00\x08\x04\xd2\x16\x2f",
            b"SSH-2.0-OpenSSH_9.6\r\n",
            b"PRI * HTTP/2.0\r\n",
            b"EHLO me\r\n",
            b"GET /\r\n",
            b"GET / HTTP/1.2\r\n",
            b"*1\r\n$4\r\nPING\r\n",
        ] {
            let (mut requests, _) = connection();
            let refused = send(&mut requests, content).unwrap_err();
            assert!(refused.contains("not HTTP"), "{refused} for {content:?}");
        }
    }

    #[test]
    fn guard_w25_what_a_server_could_read_differently_is_refused() {
        for head in [
            "GET / HTTP/1.1\nHost: h\n\n",
            "GET / HTTP/1.1\r\nHost: h\n\r\n",
            "GET / HTTP/1.1\r\nHost: h\rX: y\r\n\r\n",
            "GET / HTTP/1.1\r\nX: a\r\n b\r\n\r\n",
            "GET / HTTP/1.1\r\nX: a\r\n\tb\r\n\r\n",
            "GET / HTTP/1.1\r\n Host: h\r\n\r\n",
            "GET / HTTP/1.1\r\nX-Key : mine\r\n\r\n",
            "GET / HTTP/1.1\r\nX-Key\r\n\r\n",
            "GET / HTTP/1.1\r\n: mine\r\n\r\n",
            "GET / HTTP/1.1\r\nX: a\0b\r\n\r\n",
            "GET  / HTTP/1.1\r\n\r\n",
            "GET / HTTP/1.1 \r\n\r\n",
            "POST / HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
            "POST / HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
            "POST / HTTP/1.1\r\nTransfer-Encoding : chunked\r\n\r\n",
            "POST / HTTP/1.1\r\nTransfer-Encoding: \x0bchunked\r\n\r\n",
            "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\nhello",
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: a\n\r\n",
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-Key : a\r\n\r\n",
            "CONNECT h:1 HTTP/1.1\r\nContent-Length: 5\r\n\r\n",
            "GET / HTTP/1.1\r\nConnection: close, x-key\r\n\r\n",
        ] {
            assert!(added(head).is_err(), "{head:?}");
        }
    }

    #[test]
    fn guard_w25_heads_are_bounded() {
        let long = format!("GET / HTTP/1.1\r\nX: {}", "y".repeat(head::LONGEST));
        assert!(added(&long).unwrap_err().contains("longer than"));
        let many = format!(
            "GET / HTTP/1.1\r\n{}\r\n",
            "X: y\r\n".repeat(head::MOST + 1)
        );
        assert!(added(&many).unwrap_err().contains("more than"));
        let most = format!("GET / HTTP/1.1\r\n{}\r\n", "X: y\r\n".repeat(head::MOST));
        assert!(added(&most).is_ok());
        let drops = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n".to_owned();
        assert!(added(&(drops + &"X: y\r\n".repeat(20_000))).is_err());
    }

    #[test]
    fn requests_that_nobody_answers_are_bounded() {
        let request = b"GET / HTTP/1.1\r\n\r\n";
        let (mut requests, _) = connection();
        for _ in 0..PIPELINED {
            send(&mut requests, request).unwrap();
        }
        assert!(send(&mut requests, request).is_err());

        let (mut requests, mut responses) = connection();
        for _ in 0..3 * PIPELINED {
            send(&mut requests, request).unwrap();
            receive(
                &mut responses,
                b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
            );
        }
    }

    #[test]
    fn an_end_in_the_middle_of_a_head_is_refused() {
        for (content, fine) in [
            ("", true),
            ("GET / HTTP/1.1\r\n\r\n", true),
            ("POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\nhello", true),
            ("GET / HT", false),
            ("GET / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n", false),
        ] {
            let (mut requests, _) = connection();
            send(&mut requests, content.as_bytes()).unwrap();
            assert_eq!(
                requests.finish(&mut Vec::new()).is_ok(),
                fine,
                "{content:?}"
            );
        }
    }

    #[test]
    fn guard_w25_after_an_upgrade_everything_passes_as_it_is() {
        let (mut requests, mut responses) = connection();
        let request = b"GET /chat HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";
        assert!(send(&mut requests, request).unwrap().contains("X-Key: one"));
        receive(
            &mut responses,
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 101 Switch",
        );
        receive(
            &mut responses,
            b"ing Protocols\r\nUpgrade: websocket\r\n\r\n\x81\x05hello",
        );
        assert_eq!(send(&mut requests, b"\x00GET \n").unwrap(), "\x00GET \n");
    }

    #[test]
    fn an_upgrade_that_is_declined_leaves_http() {
        let (mut requests, mut responses) = connection();
        let request = b"POST / HTTP/1.1\r\nUpgrade: h2c\r\nContent-Length: 2\r\n\r\n{}";
        for _ in 0..3 {
            assert!(send(&mut requests, request).unwrap().contains("X-Key: one"));
            receive(
                &mut responses,
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            );
            receive(&mut responses, b"3\r\nabc\r\n0\r\n\r\n");
        }
        let smuggled = b"\x00GET";
        assert!(send(&mut requests, smuggled).is_err());
    }

    #[test]
    fn nothing_may_follow_an_upgrade_that_is_not_decided() {
        let (mut requests, _) = connection();
        let request = b"GET / HTTP/1.1\r\nUpgrade: h2c\r\n\r\n";
        send(&mut requests, request).unwrap();
        assert!(send(&mut requests, b"GET / HTTP/1.1\r\n\r\n").is_err());
        // Earlier answers decide nothing.
        let (mut requests, mut responses) = connection();
        send(
            &mut requests,
            b"GET / HTTP/1.1\r\n\r\nHEAD / HTTP/1.1\r\n\r\n",
        )
        .unwrap();
        send(&mut requests, request).unwrap();
        receive(
            &mut responses,
            b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n101",
        );
        receive(
            &mut responses,
            b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n",
        );
        assert!(send(&mut requests, b"x").is_err());
    }

    #[test]
    fn a_tunnel_passes_as_it_is() {
        let (mut requests, mut responses) = connection();
        let request = b"CONNECT h:1 HTTP/1.1\r\n\r\n";
        send(&mut requests, request).unwrap();
        receive(
            &mut responses,
            b"HTTP/1.1 407 No\r\nContent-Length: 0\r\n\r\n",
        );
        send(&mut requests, request).unwrap();
        receive(&mut responses, b"HTTP/1.1 200 OK\r\n\r\n\x16");
        assert_eq!(send(&mut requests, b"\x16\x03\n").unwrap(), "\x16\x03\n");
    }

    #[test]
    fn responses_that_cannot_be_followed_pass_all_the_same() {
        let (mut requests, mut responses) = connection();
        for _ in 0..2 * PIPELINED {
            send(&mut requests, b"GET / HTTP/1.1\r\n\r\n").unwrap();
            receive(&mut responses, b"HTTP/1.1 200 OK\nContent-Length: 0\n\n");
        }
        send(&mut requests, b"GET / HTTP/1.1\r\nUpgrade: x\r\n\r\n").unwrap();
        receive(&mut responses, b"HTTP/1.1 101 Switching Protocols\r\n\r\n");
        assert!(
            send(&mut requests, b"x").is_err(),
            "nobody knows what this is"
        );
    }

    #[test]
    fn content_passes_without_a_copy() {
        let (mut requests, _) = connection();
        send(
            &mut requests,
            b"POST / HTTP/1.1\r\nContent-Length: 1000000\r\n\r\n",
        )
        .unwrap();
        let content = Buffer::from_slice(&[7; 100_000]);
        let at = content.as_slice().as_ptr();
        let mut onward = Vec::new();
        requests.intercept(content, &mut onward).unwrap();
        assert_eq!(onward[0].as_slice().as_ptr(), at);
    }

    proptest! {
        #[test]
        fn pieces_make_no_difference(requests in stream(), cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12)) {
            let whole = added(&requests);
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(requests.len() + 1)).collect();
            cuts.sort_unstable();
            cuts.push(requests.len());
            // Which of several faults is named may differ.
            prop_assert_eq!(in_pieces(&requests, &cuts).ok(), whole.ok());
        }

        #[test]
        fn whatever_comes_is_taken_or_refused(pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..50), 0..10)) {
            let (mut requests, mut responses) = connection();
            for piece in pieces {
                receive(&mut responses, &piece);
                if send(&mut requests, &piece).is_err() {
                    break;
                }
            }
        }
    }

    #[test]
    fn every_single_cut_gives_the_same() {
        let content = "PUT /x HTTP/1.1\r\nx-key: mine\r\nTransfer-Encoding: chunked\r\n\r\n\
             b;e=1\r\nhello world\r\n0\r\nX-Sum: 1\r\n\r\n\r\nGET / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc";
        let whole = added(content).unwrap();
        for cut in 0..=content.len() {
            assert_eq!(
                in_pieces(content, &[cut, content.len()]).unwrap(),
                whole,
                "{cut}"
            );
        }
        let each: Vec<usize> = (0..=content.len()).collect();
        assert_eq!(in_pieces(content, &each).unwrap(), whole);
    }

    /// Requests one behind the other, some of them damaged.
    fn stream() -> impl Strategy<Value = String> {
        let line = prop_oneof![
            4 => "[XY]-(Key|Other): [a-z ]{0,10}\r\n",
            1 => Just("x-also: mine\r\n".to_owned()),
            1 => "[A-Z :\r\n\t]{0,6}",
        ];
        let content = prop_oneof![
            Just("\r\n".to_owned()),
            "[a-zX:\r\n]{0,30}"
                .prop_map(|content| format!("Content-Length: {}\r\n\r\n{content}", content.len())),
            prop::collection::vec("[a-z\r\n]{1,20}", 0..4).prop_map(|chunks| {
                let chunks: String = chunks
                    .iter()
                    .map(|chunk| format!("{:x}\r\n{chunk}\r\n", chunk.len()))
                    .collect();
                format!("Transfer-Encoding: chunked\r\n\r\n{chunks}0\r\nX-Key: t\r\nZ: t\r\n\r\n")
            }),
        ];
        let request = ("(GET|PUT|HEAD)", prop::collection::vec(line, 0..4), content).prop_map(
            |(method, lines, content)| {
                format!("{method} /path HTTP/1.1\r\n{}{content}", lines.concat())
            },
        );
        prop::collection::vec(request, 0..5).prop_map(|requests| requests.concat())
    }

    fn connection() -> (Requests, Responses) {
        let exchange = Arc::new(Mutex::new(Exchange::default()));
        let headers = ["X-Key: one", "X-Also: two"].map(|header| header.parse().unwrap());
        let requests = Requests::new(
            "inlet".to_owned(),
            Arc::new(headers),
            Shared(exchange.clone()),
        );
        (requests, Responses::new(Shared(exchange)))
    }

    fn send(requests: &mut Requests, content: &[u8]) -> Result<String, String> {
        let mut onward = Vec::new();
        requests
            .intercept(Buffer::from_slice(content), &mut onward)
            .map_err(|refused| refused.to_string())?;
        let bytes: Vec<u8> = onward
            .iter()
            .flat_map(|piece| piece.as_slice())
            .copied()
            .collect();
        Ok(String::from_utf8(bytes).unwrap_or_else(|error| format!("{error}")))
    }

    fn receive(responses: &mut Responses, content: &[u8]) {
        let mut onward = Vec::new();
        responses
            .intercept(Buffer::from_slice(content), &mut onward)
            .unwrap();
        assert_eq!(onward[0].as_slice(), content);
    }

    /// What becomes of the content of one connection that comes at once.
    fn added(content: &str) -> Result<String, String> {
        send(&mut connection().0, content.as_bytes())
    }

    /// The same, cut at these places.
    fn in_pieces(content: &str, cuts: &[usize]) -> Result<String, String> {
        let (mut requests, _responses) = connection();
        let mut begin = 0;
        let mut out = String::new();
        for end in cuts {
            let piece = &content.as_bytes()[begin..*end];
            if !piece.is_empty() {
                out += &send(&mut requests, piece)?;
            }
            begin = *end;
        }
        Ok(out)
    }
}
