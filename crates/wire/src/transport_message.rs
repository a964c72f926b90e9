//! The BARE transport message: how Unix sockets, WebSockets and Bluetooth carry messages.
//!
//! ```text
//! 01                        version, 01 or 02
//! 01 00 04 6563686f         onward route: count, then type and name of each hop
//! 01 00 03 617070           return route
//! 06 0568656c6c6f           payload
//! 01 02 7b7d                tracing context: 00, or 01 and text
//! ```
//!
//! Version 1 has no tracing context by name and one in practice, so both versions are read alike: a `01` behind the
//! payload begins a tracing context, anything else there is ignored.
//!
//! Specification: messaging 1.4, limits of messaging 12 (W1, W4).

use crate::bare::{self, Reader, VARINT_MAX};
use crate::buffer::Buffer;
use crate::cbor::DecodeError;
use crate::route::{MAX_HOPS, RouteError};
use crate::routing::{EncodeError, MAX_MESSAGE};
use crate::{Route, RoutingMessage, TransportType};
use alloc::string::String;
use alloc::vec::Vec;

/// Longest tracing context that is kept; longer ones are dropped. // spec: messaging 12 W1
pub const MAX_TRACING: usize = 1024;

/// Version byte of a transport message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// What published encoders write.
    One,
    /// The version that has a tracing context by name.
    Two,
}

/// A routing message in BARE, with its tracing context.
#[derive(Debug)]
pub struct TransportMessage {
    /// Version byte.
    pub version: Version,
    /// What is carried.
    pub message: RoutingMessage,
    /// Untrusted text of the sender. Never logged as it is.
    pub tracing: Option<String>,
}

impl TransportMessage {
    /// Writes everything around the payload into its headroom and tailroom.
    ///
    /// # Errors
    /// If the message would be longer than [`MAX_MESSAGE`].
    pub fn encode(self) -> Result<Buffer, EncodeError> {
        let RoutingMessage {
            onward,
            return_route,
            mut payload,
        } = self.message;
        let mut head =
            Vec::with_capacity(3 + onward.encoded_len() + return_route.encoded_len() + VARINT_MAX);
        head.push(match self.version {
            Version::One => 1,
            Version::Two => 2,
        });
        put_route(&mut head, &onward);
        put_route(&mut head, &return_route);
        bare::put_varint(&mut head, payload.len() as u64);
        let mut tail = Vec::new();
        match self.tracing.filter(|text| text.len() <= MAX_TRACING) {
            None => tail.push(0),
            Some(text) => {
                tail.push(1);
                bare::put_bytes(&mut tail, text.as_bytes());
            }
        }
        let length = head.len() + payload.len() + tail.len();
        if length > MAX_MESSAGE {
            return Err(EncodeError::TooLong {
                length,
                limit: MAX_MESSAGE,
            });
        }
        payload.append(&tail);
        payload.prepend(&head);
        Ok(payload)
    }

    /// Reads a message. The payload stays where it is.
    ///
    /// # Errors
    /// If the bytes do not begin with a transport message, or a route is beyond its limits.
    pub fn decode(mut message: Buffer) -> Result<Self, DecodeError> {
        let input = message.as_slice();
        let mut reader = Reader::new(input);
        let version = match reader.byte()? {
            1 => Version::One,
            2 => Version::Two,
            other => return Err(DecodeError::Version(other)),
        };
        let onward = read_route(&mut reader)?;
        let return_route = read_route(&mut reader)?;
        let length = reader.bytes()?.len();
        let end = input.len() - reader.rest().len();
        let tracing = match reader.byte() {
            Ok(1) => Some(reader.text()?)
                .filter(|text| text.len() <= MAX_TRACING)
                .map(String::from),
            _ => None,
        };
        message.truncate(end);
        message.advance(end - length);
        Ok(Self {
            version,
            message: RoutingMessage {
                onward,
                return_route,
                payload: message,
            },
            tracing,
        })
    }
}

fn put_route(out: &mut Vec<u8>, route: &Route) {
    bare::put_varint(out, route.len() as u64);
    for hop in route {
        out.push(hop.transport().0);
        bare::put_bytes(out, hop.name());
    }
}

fn read_route(reader: &mut Reader<'_>) -> Result<Route, DecodeError> {
    // spec: messaging 12 W4 (a count is checked before anything is done with it)
    let count = reader.varint()?;
    if count > reader.rest().len() as u64 / 2 {
        return Err(DecodeError::Truncated);
    }
    if count > MAX_HOPS as u64 {
        return Err(RouteError::TooManyHops.into());
    }
    let mut route = Route::new();
    for _ in 0..count {
        let transport = TransportType(reader.byte()?);
        route.push_back_parts(transport, reader.bytes()?)?;
    }
    Ok(route)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(hex: &str) -> Result<TransportMessage, DecodeError> {
        TransportMessage::decode(Buffer::from_slice(&hex::decode(hex).unwrap()))
    }

    #[test]
    fn vectors_are_read_and_written_the_same() {
        let v8 = "0102010e3132372e302e302e313a3430303000046563686f0100036170700568656c6c6f00";
        let v9 = "020100046563686f010003617070060568656c6c6f01027b7d";
        let v10 = "0200000000";
        for (hex, version, onward, back, payload, tracing) in [
            (
                v8,
                Version::One,
                "1#127.0.0.1:4000 => 0#echo",
                "0#app",
                &b"hello"[..],
                None,
            ),
            (
                v9,
                Version::Two,
                "0#echo",
                "0#app",
                b"\x05hello",
                Some("{}"),
            ),
            (v10, Version::Two, "", "", b"", None),
        ] {
            let decoded = decode(hex).unwrap();
            assert_eq!(decoded.version, version);
            assert_eq!(alloc::format!("{}", decoded.message.onward), onward);
            assert_eq!(alloc::format!("{}", decoded.message.return_route), back);
            assert_eq!(decoded.message.payload.as_slice(), payload);
            assert_eq!(decoded.tracing.as_deref(), tracing);
            assert_eq!(hex::encode(decoded.encode().unwrap()), hex);
        }
    }

    #[test]
    fn address_is_type_and_byte_string() {
        // V6
        let mut out = Vec::new();
        put_route(&mut out, &"1#carol".parse().unwrap());
        assert_eq!(hex::encode(&out), "0101056361726f6c");
        assert_eq!(
            alloc::format!("{}", read_route(&mut Reader::new(&out)).unwrap()),
            "1#carol"
        );
    }

    #[test]
    fn carriers_put_the_length_in_front() {
        let v9 = "020100046563686f010003617070060568656c6c6f01027b7d";
        // V11: a frame of a Unix socket. V12: the values of a Bluetooth characteristic.
        let socket = alloc::format!("0019{v9}");
        let values = [
            "0000000000000019",
            "020100046563686f0100036170700605 6865",
            "6c6c6f01027b7d",
        ];
        let values = values.concat().replace(' ', "");
        for (carried, prefix) in [(socket, 2), (values, 8)] {
            let carried = hex::decode(carried).unwrap();
            let (length, message) = carried.split_at(prefix);
            assert_eq!(
                length
                    .iter()
                    .fold(0, |length, byte| length << 8 | usize::from(*byte)),
                message.len()
            );
            let decoded = TransportMessage::decode(Buffer::from_slice(message)).unwrap();
            assert_eq!(hex::encode(decoded.encode().unwrap()), v9);
        }
    }

    #[test]
    fn tracing_context_may_be_missing_and_followed_by_anything() {
        for hex in ["02000000", "0200000000ffff", "01000000", "010000000201ff"] {
            let decoded = decode(hex).unwrap();
            assert!(
                decoded.message.onward.is_empty() && decoded.tracing.is_none(),
                "{hex}"
            );
        }
    }

    #[test]
    fn guard_w01_long_tracing_context_is_dropped() {
        let mut bytes = alloc::vec![2, 0, 0, 0, 1];
        bare::put_bytes(&mut bytes, &[b'x'; MAX_TRACING + 1]);
        let decoded = TransportMessage::decode(Buffer::from_slice(&bytes)).unwrap();
        assert_eq!(decoded.tracing, None);
    }

    #[test]
    fn guard_w04_other_versions_and_impossible_counts_are_refused() {
        assert_eq!(decode("0300000000").unwrap_err(), DecodeError::Version(3));
        assert_eq!(
            decode("01ffffffffffffffffff01").unwrap_err(),
            DecodeError::Truncated
        );
        let many = alloc::format!("0121{}0000", "0000".repeat(33));
        assert_eq!(
            decode(&many).unwrap_err(),
            DecodeError::Route(RouteError::TooManyHops)
        );
    }
}
