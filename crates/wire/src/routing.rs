//! Routing messages: what transports carry.
//!
//! ```text
//! 83                        array of three (more are accepted)
//!   81 82 00 44 6563686f    onward route
//!   81 82 00 43 617070      return route
//!   46 0568656c6c6f         payload
//!   62 7b7d                 tracing context: accepted, never sent, never kept
//! ```
//!
//! # Invariants
//!
//! - Encoding writes the header backwards into the headroom of the payload; decoding gives the header back as
//!   headroom. Neither touches the payload.
//! - Bytes behind the message are refused: a published node never sends any.
//!
//! Specification: messaging 1.5, messaging 12 (W1, W6).

use crate::buffer::Buffer;
use crate::cbor::{self, DecodeError, Reader};
use crate::route::{MAX_ROUTE, Route};
use core::ops::Range;

/// Most bytes of an encoded routing message. // spec: messaging 1.10
pub const MAX_MESSAGE: usize = 16_777_216;

/// Most bytes of everything in front of the payload.
pub const HEADER_MAX: usize = 1 + 2 * (2 + MAX_ROUTE) + 5;

/// Why a message could not be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// The message is longer than its transport carries.
    #[error("message of {length} bytes is longer than {limit}")]
    TooLong {
        /// Bytes of the message.
        length: usize,
        /// Bytes the transport carries.
        limit: usize,
    },
}

/// A payload with its way on and its way back.
#[derive(Debug, Default)]
pub struct RoutingMessage {
    /// Hops still to take. Empty after reception means a heartbeat.
    pub onward: Route,
    /// Where an answer goes. Not authenticated: never decide on it.
    pub return_route: Route,
    /// What is carried.
    pub payload: Buffer,
}

/// Bytes in front of a payload of this length.
#[inline]
#[must_use]
pub fn header_len(onward: &Route, return_route: &Route, payload_len: usize) -> usize {
    1 + onward.encoded_len() + return_route.encoded_len() + cbor::head_len(payload_len)
}

impl RoutingMessage {
    /// Writes the header into the headroom of the payload.
    ///
    /// # Errors
    /// If the message would be longer than [`MAX_MESSAGE`].
    pub fn encode(self) -> Result<Buffer, EncodeError> {
        Self::encode_parts(&self.onward, &self.return_route, self.payload)
    }

    /// The same for a message that is not put together.
    ///
    /// # Errors
    /// As for [`Self::encode`].
    pub fn encode_parts(
        onward: &Route,
        return_route: &Route,
        mut payload: Buffer,
    ) -> Result<Buffer, EncodeError> {
        let length = payload.len();
        let header = checked_header_len(onward, return_route, length)?;
        put_header(payload.claim_front(header), onward, return_route, length);
        Ok(payload)
    }

    /// Reads a message. The payload stays where it is, with the header as headroom in front.
    ///
    /// # Errors
    /// If the bytes are not one routing message, or a route is beyond its limits.
    pub fn decode(message: Buffer) -> Result<Self, DecodeError> {
        let mut decoded = Self {
            payload: message,
            ..Self::default()
        };
        Self::decode_parts(
            &mut decoded.onward,
            &mut decoded.return_route,
            &mut decoded.payload,
        )?;
        Ok(decoded)
    }

    /// The same into parts that have their place already; the payload is the message before.
    ///
    /// # Errors
    /// As for [`Self::decode`]; what the parts are then is of no use.
    pub fn decode_parts(
        onward: &mut Route,
        return_route: &mut Route,
        message: &mut Buffer,
    ) -> Result<(), DecodeError> {
        let payload = Self::locate(onward, return_route, message.as_slice())?;
        message.truncate(payload.end);
        message.advance(payload.start);
        Ok(())
    }

    /// The same without a change of the message: where its payload lies.
    ///
    /// # Errors
    /// As for [`Self::decode_parts`].
    pub fn locate(
        onward: &mut Route,
        return_route: &mut Route,
        input: &[u8],
    ) -> Result<Range<usize>, DecodeError> {
        let mut reader = Reader::new(input);
        let mut fields = reader.array()?;
        let mut field = |reader: &mut Reader<'_>, name| {
            if reader.more(&mut fields)? {
                Ok(())
            } else {
                Err(DecodeError::Missing(name))
            }
        };
        field(&mut reader, "onward route")?;
        onward.read(&mut reader)?;
        field(&mut reader, "return route")?;
        return_route.read(&mut reader)?;
        field(&mut reader, "payload")?;
        let length = reader.bytes()?.len();
        let end = reader.position();
        if reader.more(&mut fields)? {
            // spec: messaging 1.5 (any text is accepted as tracing context, also text that is not JSON)
            match reader.peek() {
                Some(0xf6 | 0x60..=0x7f) => reader.skip(cbor::MAX_NESTING)?,
                _ => return Err(DecodeError::Unexpected("a text string or null")),
            }
            while reader.more(&mut fields)? {
                reader.skip(cbor::MAX_NESTING)?;
            }
        }
        reader.finish()?;
        Ok(end - length..end)
    }

    /// Bytes of the encoded header.
    #[inline]
    #[must_use]
    pub fn header_len(&self) -> usize {
        header_len(&self.onward, &self.return_route, self.payload.len())
    }
}

#[inline]
pub(crate) fn checked_header_len(
    onward: &Route,
    return_route: &Route,
    payload_len: usize,
) -> Result<usize, EncodeError> {
    let header = header_len(onward, return_route, payload_len);
    let length = header + payload_len;
    if length > MAX_MESSAGE {
        return Err(EncodeError::TooLong {
            length,
            limit: MAX_MESSAGE,
        });
    }
    Ok(header)
}

/// Fills a slice of exactly [`header_len`] bytes.
#[inline]
pub(crate) fn put_header(out: &mut [u8], onward: &Route, return_route: &Route, payload_len: usize) {
    let out = cbor::put_head(out, cbor::ARRAY, 3);
    let out = onward.put(out);
    let out = return_route.put(out);
    let rest = cbor::put_head(out, cbor::BYTES, payload_len);
    debug_assert!(rest.is_empty());
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    fn decode(hex: &str) -> Result<RoutingMessage, DecodeError> {
        let hex: Vec<_> = hex.split_whitespace().collect();
        RoutingMessage::decode(Buffer::from_slice(&hex::decode(hex.concat()).unwrap()))
    }

    #[test]
    fn captured_message_is_read_in_place() {
        // V14
        let body =
            hex::decode("8481820044 6563686f 81820043617070460568656c6c6f627b7d".replace(' ', ""))
                .unwrap();
        let buffer = Buffer::from_slice(&body);
        let (place, headroom) = (buffer.as_slice().as_ptr(), buffer.headroom());
        let message = RoutingMessage::decode(buffer).unwrap();
        assert_eq!(message.onward, "echo".parse().unwrap());
        assert_eq!(message.return_route, "app".parse().unwrap());
        assert_eq!(message.payload.as_slice(), b"\x05hello");
        assert_eq!(message.payload.headroom(), headroom + 17);
        assert_eq!(message.payload.as_slice().as_ptr(), place.wrapping_add(17));
        // V15
        let written = message.encode().unwrap();
        assert_eq!(
            hex::encode(&written),
            "83818200446563686f81820043617070460568656c6c6f"
        );
        assert_eq!(written.as_slice().as_ptr(), place);
    }

    #[test]
    fn guard_w06_leniency_is_that_of_published_nodes() {
        // V15 (answer), V16, V17
        for hex in [
            "8481820043617070818200446563686f460568656c6c6f627b7d",
            "83808040",
            "85808040f601",
            "9f808040ff",
            "9f808040627b7d01ff",
            "84808040f6",
            "84 80 80 40 64 6e6f7065",
            "83 9fff 9800 5800",
        ] {
            assert!(decode(hex).is_ok(), "{hex}");
        }
    }

    #[test]
    fn guard_w06_malformed_messages_are_refused() {
        for (hex, error) in [
            ("82808040", DecodeError::Missing("payload")),
            ("83808060", DecodeError::Unexpected("a byte string")),
            ("83808080", DecodeError::Unexpected("a byte string")),
            ("83808040ffff", DecodeError::TrailingBytes),
            ("", DecodeError::Truncated),
            ("ff", DecodeError::Malformed),
            ("8380805f4100ff", DecodeError::Unexpected("a byte string")),
            (
                "8480804001",
                DecodeError::Unexpected("a text string or null"),
            ),
            ("838080 5b ffffffffffffffff", DecodeError::Truncated),
            ("82 80 80", DecodeError::Missing("payload")),
            ("85808040f6 818181818181818100", DecodeError::TooDeep),
        ] {
            assert_eq!(decode(hex).unwrap_err(), error, "{hex}");
        }
        assert!(decode("85808040f6 8181818181818100").is_ok());
    }

    #[test]
    fn header_length_is_exact_for_every_form() {
        for payload in [0, 1, 23, 24, 255, 256, 65_535, 65_536] {
            for hops in [0, 1, 23, 24, 32] {
                let route = Route::from_hops((0..hops).map(|_| crate::Address::from_static("hop")))
                    .unwrap();
                let message = RoutingMessage {
                    onward: route.clone(),
                    return_route: route.clone(),
                    payload: Buffer::from_slice(&alloc::vec![7; payload]),
                };
                let header = message.header_len();
                let encoded = message.encode().unwrap();
                assert_eq!(encoded.len(), header + payload);
                let decoded = RoutingMessage::decode(encoded).unwrap();
                assert_eq!((&decoded.onward, &decoded.return_route), (&route, &route));
                assert_eq!(decoded.payload.len(), payload);
            }
        }
    }

    #[test]
    fn longest_header_is_the_declared_one() {
        let name = |length| crate::Address::local(alloc::vec![b'x'; length]).unwrap();
        let filled = |length: usize| (0..31).map(move |_| name(length));
        let mut route = Route::from_hops(filled(120)).unwrap();
        route
            .push_back(&name(MAX_ROUTE - route.encoded().len() - 4))
            .unwrap();
        assert_eq!(header_len(&route, &route, MAX_MESSAGE), HEADER_MAX);
    }
}
