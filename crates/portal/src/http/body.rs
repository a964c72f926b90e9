//! Where the content of a request or response ends.

use crate::http::Refused;

/// How content is delimited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    /// So many bytes; also none.
    Length(u64),
    /// In chunks.
    Chunked,
    /// Nothing says so.
    Open,
}

impl Framing {
    /// What the headers of a message say, if they say it without doubt (spec: messaging 12 (W25)).
    pub(super) fn of(headers: &[httparse::Header<'_>], version: u8) -> Result<Self, Refused> {
        let named = |name: &'static str| {
            headers
                .iter()
                .filter(move |header| header.name.eq_ignore_ascii_case(name))
        };
        let mut lengths = named("content-length");
        let mut encodings = named("transfer-encoding");
        let (length, encoding) = (lengths.next(), encodings.next());
        if lengths.next().is_some() || (length.is_some() && encoding.is_some()) {
            return Err(Refused::Length);
        }
        if encodings.next().is_some() || (encoding.is_some() && version == 0) {
            return Err(Refused::Encoding);
        }
        if let Some(encoding) = encoding {
            return chunked_at_the_end(encoding.value);
        }
        match length {
            Some(length) => parse_length(length.value).map(Self::Length),
            None => Ok(Self::Open),
        }
    }
}

fn chunked_at_the_end(value: &[u8]) -> Result<Framing, Refused> {
    let is_chunked = |coding: &&[u8]| coding.trim_ascii().eq_ignore_ascii_case(b"chunked");
    let codings: Vec<&[u8]> = value.split(|byte| *byte == b',').collect();
    if codings.last().is_some_and(is_chunked)
        && codings.iter().filter(|c| is_chunked(c)).count() == 1
    {
        Ok(Framing::Chunked)
    } else {
        Err(Refused::Encoding)
    }
}

fn parse_length(value: &[u8]) -> Result<u64, Refused> {
    let value = value.trim_ascii();
    // A sign is a number to the standard library, not to HTTP.
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return Err(Refused::Length);
    }
    std::str::from_utf8(value)
        .ok()
        .and_then(|digits| digits.parse().ok())
        .ok_or(Refused::Length)
}

/// Content in chunks, up to the last one. Trailers are what follows.
#[derive(Debug, Default)]
pub(super) struct Chunks {
    at: At,
    size: u64,
    line: usize,
}

impl Chunks {
    /// Bytes that are content for sure.
    pub(super) fn certain(&self) -> u64 {
        match self.at {
            At::Content => self.size,
            _ => 0,
        }
    }

    /// Takes bytes up to the end of the last chunk's line; returns how many, and whether it was reached.
    pub(super) fn take(&mut self, content: &[u8]) -> Result<(usize, Last), Refused> {
        let mut taken = 0;
        while let Some(byte) = content.get(taken) {
            if self.at == At::Content {
                let left = (content.len() - taken) as u64;
                let part = left.min(self.size);
                self.size -= part;
                // No more than the content there is.
                taken += usize::try_from(part).unwrap_or(usize::MAX);
                if self.size == 0 {
                    self.at = At::ContentReturn;
                }
                continue;
            }
            taken += 1;
            self.line += 1;
            if self.line > LONGEST_LINE {
                return Err(Refused::Chunk);
            }
            self.at = match (self.at, byte) {
                (At::Size | At::MoreSize, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
                    let digit = char::from(*byte).to_digit(16).unwrap_or_default();
                    if self.size >> 56 != 0 {
                        return Err(Refused::Chunk);
                    }
                    self.size = (self.size << 4) | u64::from(digit);
                    At::MoreSize
                }
                (At::MoreSize | At::Blank, b' ' | b'\t') => At::Blank,
                (At::MoreSize | At::Blank, b';') => At::Extension,
                (At::Extension, b'\t' | 32..=126 | 128..) => At::Extension,
                (At::MoreSize | At::Blank | At::Extension, b'\r') => At::SizeEnd,
                (At::SizeEnd, b'\n') => {
                    self.line = 0;
                    if self.size == 0 {
                        return Ok((taken, Last::Yes));
                    }
                    At::Content
                }
                (At::ContentReturn, b'\r') => At::ContentEnd,
                (At::ContentEnd, b'\n') => {
                    self.line = 0;
                    At::Size
                }
                _ => return Err(Refused::Chunk),
            };
        }
        Ok((taken, Last::No))
    }

    /// Notes that content passed which is [`Self::certain`].
    pub(super) fn pass(&mut self, bytes: u64) {
        self.size -= bytes.min(self.size);
        if self.size == 0 && self.at == At::Content {
            self.at = At::ContentReturn;
        }
    }
}

/// Whether the last chunk was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Last {
    Yes,
    No,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum At {
    /// The first digit of a size.
    #[default]
    Size,
    MoreSize,
    Blank,
    Extension,
    SizeEnd,
    Content,
    ContentReturn,
    ContentEnd,
}

/// Most bytes of the line before a chunk, with what nobody uses in it.
const LONGEST_LINE: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_end_with_the_one_of_no_size() {
        let mut chunks = Chunks::default();
        let text = b"5;name=value\r\nhello\r\n0a \r\n0123456789\r\n00\r\nX: y\r\n\r\n";
        let (taken, last) = chunks.take(text).expect("well-formed");
        assert_eq!((&text[taken..], last), (&b"X: y\r\n\r\n"[..], Last::Yes));
    }

    #[test]
    fn what_is_no_chunk_is_refused() {
        for text in [
            "x\r\n",
            "\r\n",
            " 5\r\n",
            "-5\r\n",
            "0x5\r\n",
            "5\n",
            "5\rhello",
            "5 5\r\n",
            "5;a\nb",
            "1\r\nab",
            "1\r\na\n",
            "10000000000000000\r\n",
        ] {
            let refused = Chunks::default().take(text.as_bytes());
            assert_eq!(refused, Err(Refused::Chunk), "{text:?}");
        }
        let long = format!("5;{}", "x".repeat(LONGEST_LINE));
        assert!(Chunks::default().take(long.as_bytes()).is_err());
    }

    #[test]
    fn guard_w25_what_two_programs_could_read_differently_is_refused() {
        let framing = |version, text: &str| {
            let mut headers = [httparse::EMPTY_HEADER; 8];
            let text = format!("{text}\r\n");
            let parsed = httparse::parse_headers(text.as_bytes(), &mut headers).expect(&text);
            Framing::of(parsed.unwrap().1, version)
        };
        for (text, expected) in [
            ("", Framing::Open),
            ("content-length: 0\r\n", Framing::Length(0)),
            ("Content-Length: 0012\r\n", Framing::Length(12)),
            ("Transfer-Encoding: CHUNKED\r\n", Framing::Chunked),
            ("transfer-encoding: gzip , chunked\r\n", Framing::Chunked),
        ] {
            assert_eq!(framing(1, text), Ok(expected), "{text:?}");
        }
        for text in [
            "Content-Length: 5\r\nContent-Length: 5\r\n",
            "Content-Length: 5\r\nContent-Length: 6\r\n",
            "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding: identity\r\nContent-Length: 5\r\n",
            "Content-Length: 5, 5\r\n",
            "Content-Length: +5\r\n",
            "Content-Length: -5\r\n",
            "Content-Length: 0x5\r\n",
            "Content-Length: 5 5\r\n",
            "Content-Length:\r\n",
            "Content-Length: 18446744073709551616\r\n",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
            "Transfer-Encoding: chunked, chunked\r\n",
            "Transfer-Encoding: chunked, gzip\r\n",
            "Transfer-Encoding: gzip\r\n",
            "Transfer-Encoding: xchunked\r\n",
            "Transfer-Encoding: chunked;q=1\r\n",
            "Transfer-Encoding:\r\n",
        ] {
            assert!(framing(1, text).is_err(), "{text:?}");
        }
        assert!(framing(0, "Transfer-Encoding: chunked\r\n").is_err());
    }
}
