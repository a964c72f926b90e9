//! Messages of a portal connection: the published ones and those of streams (spec: messaging 7.2, extensions 4.2.2).
//!
//! ```text
//! published   00 Ping   01 Pong   02 Disconnect   03 Payload: varint length, content [, 01, u16le counter]
//! streams     10 Open: varint credit      11 Accept: varint credit      12 Refuse: reason
//!             13 Data: content            14 Credit: varint bytes       15 Finish: varint total   16 Reset: reason
//! ```
//!
//! Content is never copied: [`Message::parse`] says where it lies, [`payload_header`] and [`data_header`] write in front
//! of it. Invariant: parsing looks at the first eleven bytes, and at the three behind the content of a Payload.

use std::ops::Range;

use ockam_wire::Buffer;
use ockam_wire::bare::{self, VARINT_MAX};

/// A parsed portal message; content is given as a range of the message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Message {
    /// An inlet asks for a connection.
    Ping,
    /// The outlet has connected.
    Pong,
    /// The connection has ended.
    Disconnect,
    /// Content of the published form.
    Payload {
        /// Where the content lies.
        content: Range<usize>,
        /// The packet counter, which published senders leave out.
        counter: Option<u16>,
    },
    /// An inlet asks for a stream.
    Open {
        /// Bytes the outlet may send.
        credit: u64,
    },
    /// The outlet has connected.
    Accept {
        /// Bytes the inlet may send.
        credit: u64,
    },
    /// The outlet has not connected.
    Refuse(Reason),
    /// Content of a stream.
    Data {
        /// Where the content lies.
        content: Range<usize>,
    },
    /// More bytes may be sent.
    Credit(u64),
    /// One direction has ended.
    Finish {
        /// Content bytes sent on the whole stream.
        total: u64,
    },
    /// Both directions have ended before their time.
    Reset(Reason),
}

impl Message {
    /// Reads a message.
    ///
    /// # Errors
    /// [`ParseError`] for an unknown variant or missing bytes; the message is to be dropped, the connection stays.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, ParseError> {
        let (&variant, rest) = bytes.split_first().ok_or(ParseError::Empty)?;
        Ok(match variant {
            PING => Self::Ping,
            PONG => Self::Pong,
            DISCONNECT => Self::Disconnect,
            PAYLOAD => {
                let (length, used) = read_varint(rest)?;
                let start = 1 + used;
                let length = usize::try_from(length).map_err(|_| ParseError::Short)?;
                let end = start.checked_add(length).ok_or(ParseError::Short)?;
                let behind = bytes.get(end..).ok_or(ParseError::Short)?;
                // spec: messaging 7.2 (three bytes of which the first is 01, or there is no counter)
                let counter = match behind {
                    [1, low, high, ..] => Some(u16::from_le_bytes([*low, *high])),
                    _ => None,
                };
                Self::Payload {
                    content: start..end,
                    counter,
                }
            }
            OPEN => Self::Open {
                credit: read_varint(rest)?.0,
            },
            ACCEPT => Self::Accept {
                credit: read_varint(rest)?.0,
            },
            REFUSE => Self::Refuse(Reason::from(*rest.first().ok_or(ParseError::Short)?)),
            DATA => Self::Data {
                content: 1..bytes.len(),
            },
            CREDIT => Self::Credit(read_varint(rest)?.0),
            FINISH => Self::Finish {
                total: read_varint(rest)?.0,
            },
            RESET => Self::Reset(Reason::from(*rest.first().ok_or(ParseError::Short)?)),
            other => return Err(ParseError::Unknown(other)),
        })
    }
}

/// A message without content, ready to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signal {
    /// See [`Message::Ping`].
    Ping,
    /// See [`Message::Pong`].
    Pong,
    /// See [`Message::Disconnect`].
    Disconnect,
    /// See [`Message::Open`].
    Open {
        /// Bytes the outlet may send.
        credit: u64,
    },
    /// See [`Message::Accept`].
    Accept {
        /// Bytes the inlet may send.
        credit: u64,
    },
    /// See [`Message::Refuse`].
    Refuse(Reason),
    /// See [`Message::Credit`].
    Credit(u64),
    /// See [`Message::Finish`].
    Finish {
        /// Content bytes sent on the whole stream.
        total: u64,
    },
    /// See [`Message::Reset`].
    Reset(Reason),
}

impl Signal {
    /// Encodes the message, with room for the headers of the layers below.
    pub(crate) fn encode(self) -> Buffer {
        let header = match self {
            Self::Ping => Header::new(PING),
            Self::Pong => Header::new(PONG),
            Self::Disconnect => Header::new(DISCONNECT),
            Self::Open { credit } => Header::new(OPEN).varint(credit),
            Self::Accept { credit } => Header::new(ACCEPT).varint(credit),
            Self::Refuse(reason) => Header::new(REFUSE).byte(reason as u8),
            Self::Credit(bytes) => Header::new(CREDIT).varint(bytes),
            Self::Finish { total } => Header::new(FINISH).varint(total),
            Self::Reset(reason) => Header::new(RESET).byte(reason as u8),
        };
        Buffer::from_slice(header.as_slice())
    }
}

/// Makes a Payload of content, in front of it. The counter is left out, as published senders do (spec: messaging 7.2).
pub(crate) fn payload_header(content: &mut Buffer) {
    let header = Header::new(PAYLOAD).varint(content.len() as u64);
    content.prepend(header.as_slice());
}

/// Makes a Data of content, in front of it.
pub(crate) fn data_header(content: &mut Buffer) {
    content.prepend(&[DATA]);
}

/// Why a stream was refused or reset (spec: extensions 4.2.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[repr(u8)]
#[non_exhaustive]
pub(crate) enum Reason {
    /// No reason given, or one this version does not know.
    #[error("no reason was given")]
    Unspecified = 0,
    /// The target refused the connection.
    #[error("the target refused the connection")]
    TargetRefused = 1,
    /// The target cannot be reached.
    #[error("the target cannot be reached")]
    TargetUnreachable = 2,
    /// The name of the target cannot be resolved.
    #[error("the name of the target cannot be resolved")]
    TargetUnknown = 3,
    /// Something took too long.
    #[error("it took too long")]
    TimedOut = 4,
    /// The outlet serves too many connections already.
    #[error("the outlet has reached a limit")]
    LimitReached = 5,
    /// The portal is being stopped.
    #[error("the portal is being stopped")]
    Stopping = 6,
    /// The other side broke the protocol.
    #[error("protocol violation")]
    Violation = 7,
    /// The TCP peer reset its connection.
    #[error("the TCP peer reset the connection")]
    ConnectionReset = 8,
    /// The TCP peer took nothing for too long while memory ran short.
    #[error("the TCP peer took nothing for too long")]
    Stalled = 9,
    /// An interceptor refused the content.
    #[error("an interceptor refused the content")]
    Intercepted = 10,
    /// The target is not who it should be, or speaks no TLS.
    #[error("TLS with the target failed")]
    TlsFailed = 11,
    /// A policy does not allow it, or not any more.
    #[error("it is not allowed")]
    NotAllowed = 12,
}

impl From<u8> for Reason {
    fn from(code: u8) -> Self {
        match code {
            1 => Self::TargetRefused,
            2 => Self::TargetUnreachable,
            3 => Self::TargetUnknown,
            4 => Self::TimedOut,
            5 => Self::LimitReached,
            6 => Self::Stopping,
            7 => Self::Violation,
            8 => Self::ConnectionReset,
            9 => Self::Stalled,
            10 => Self::Intercepted,
            11 => Self::TlsFailed,
            12 => Self::NotAllowed,
            _ => Self::Unspecified,
        }
    }
}

/// Bytes that are not a portal message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum ParseError {
    /// There is no byte at all.
    #[error("empty portal message")]
    Empty,
    /// The first byte names no known variant.
    #[error("unknown portal message {0:#04x}")]
    Unknown(u8),
    /// Bytes are missing.
    #[error("portal message is too short")]
    Short,
    /// A number is missing, longer than needed or longer than 64 bits.
    #[error("portal message holds a malformed number")]
    Number,
}

/// First bytes of a message: the variant, and one number or byte.
struct Header {
    bytes: [u8; 1 + VARINT_MAX],
    length: usize,
}

impl Header {
    fn new(variant: u8) -> Self {
        let mut bytes = [0; 1 + VARINT_MAX];
        bytes[0] = variant;
        Self { bytes, length: 1 }
    }

    fn byte(mut self, byte: u8) -> Self {
        self.bytes[1] = byte;
        self.length = 2;
        self
    }

    fn varint(mut self, value: u64) -> Self {
        let mut scratch = [0; VARINT_MAX];
        let number = bare::varint(&mut scratch, value);
        self.bytes[1..=number.len()].copy_from_slice(number);
        self.length = 1 + number.len();
        self
    }

    fn as_slice(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

/// Reads a number in its shortest form; returns it and how many bytes it took (spec: messaging 1.2).
fn read_varint(bytes: &[u8]) -> Result<(u64, usize), ParseError> {
    let mut reader = bare::Reader::new(bytes);
    let value = reader.varint().map_err(|_| ParseError::Number)?;
    Ok((value, bytes.len() - reader.rest().len()))
}

const PING: u8 = 0x00;
const PONG: u8 = 0x01;
const DISCONNECT: u8 = 0x02;
const PAYLOAD: u8 = 0x03;
const OPEN: u8 = 0x10;
const ACCEPT: u8 = 0x11;
const REFUSE: u8 = 0x12;
const DATA: u8 = 0x13;
const CREDIT: u8 = 0x14;
const FINISH: u8 = 0x15;
const RESET: u8 = 0x16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_vectors_are_read_and_written() {
        // spec: messaging 11.5, V24 to V28
        assert_eq!(Signal::Ping.encode().as_slice(), [0]);
        assert_eq!(Signal::Pong.encode().as_slice(), [1]);
        assert_eq!(Signal::Disconnect.encode().as_slice(), [2]);
        let mut hi = Buffer::from_slice(b"hi");
        payload_header(&mut hi);
        assert_eq!(hi.as_slice(), hex("03026869"));
        assert_eq!(parse("03026869"), payload(2..4, None));
        assert_eq!(parse("0303616263010000"), payload(2..5, Some(0)));
        assert_eq!(parse("030568656c6c6f017b00"), payload(2..7, Some(123)));
        let mut zeros = Buffer::from_slice(&[0; 200]);
        payload_header(&mut zeros);
        assert_eq!(zeros.as_slice()[..3], hex("03c801"));
        assert_eq!(
            Message::parse(zeros.as_slice()).unwrap(),
            payload(3..203, None)
        );
    }

    #[test]
    fn counter_needs_three_bytes_of_which_the_first_is_one() {
        assert_eq!(parse("030161017b"), payload(2..3, None));
        assert_eq!(parse("030161000000"), payload(2..3, None));
        assert_eq!(parse("0301610105000909"), payload(2..3, Some(5)));
        assert_eq!(parse("0300"), payload(2..2, None));
    }

    #[test]
    fn malformed_messages_are_refused() {
        for (bytes, error) in [
            ("", ParseError::Empty),
            ("04", ParseError::Unknown(4)),
            ("17", ParseError::Unknown(0x17)),
            ("03", ParseError::Number),
            ("030561", ParseError::Short),
            ("0380", ParseError::Number),
            ("038000", ParseError::Number),
            ("03ffffffffffffffffff01", ParseError::Short),
            ("03ffffffffffffffffff02", ParseError::Number),
            ("10", ParseError::Number),
            ("12", ParseError::Short),
        ] {
            assert_eq!(Message::parse(&hex(bytes)), Err(error), "{bytes}");
        }
    }

    #[test]
    fn stream_messages_read_back() {
        for (signal, message) in [
            (
                Signal::Open { credit: 1 << 20 },
                Message::Open { credit: 1 << 20 },
            ),
            (Signal::Accept { credit: 0 }, Message::Accept { credit: 0 }),
            (
                Signal::Refuse(Reason::TargetRefused),
                Message::Refuse(Reason::TargetRefused),
            ),
            (Signal::Credit(300), Message::Credit(300)),
            (
                Signal::Finish { total: u64::MAX },
                Message::Finish { total: u64::MAX },
            ),
            (
                Signal::Reset(Reason::Intercepted),
                Message::Reset(Reason::Intercepted),
            ),
        ] {
            assert_eq!(Message::parse(signal.encode().as_slice()).unwrap(), message);
        }
        let mut content = Buffer::from_slice(b"abc");
        data_header(&mut content);
        assert_eq!(content.as_slice(), b"\x13abc");
        assert_eq!(
            Message::parse(content.as_slice()).unwrap(),
            Message::Data { content: 1..4 }
        );
        assert_eq!(
            Message::parse(&[REFUSE, 99]).unwrap(),
            Message::Refuse(Reason::Unspecified)
        );
    }

    fn parse(text: &str) -> Message {
        Message::parse(&hex(text)).unwrap()
    }

    fn payload(content: Range<usize>, counter: Option<u16>) -> Message {
        Message::Payload { content, counter }
    }

    fn hex(text: &str) -> Vec<u8> {
        (0..text.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
            .collect()
    }
}
