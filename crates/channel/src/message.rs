//! The plaintext of a record.
//!
//! ```text
//! 82                      message and padding
//!   82 00 81 <routing>    Payload: the routing message of messaging 1.5
//!   82 01 81 82 ..        RefreshCredentials: change history, array of bundles
//!   82 02 80              Close
//!   40                    padding: written empty, read with any content
//! ```
//!
//! A payload is encoded and decoded in place: what stands in front of it goes into the headroom, the padding into the
//! tailroom (spec: trust 5.7).

use alloc::vec::Vec;
use core::ops::Range;

use minicbor::Decoder;
use ockam_identity::CredentialBundle;
use ockam_wire::{Buffer, DecodeError, EncodeError, Route, RoutingMessage};

use crate::array_structure::{ArrayStructure, StructureError};
use crate::payload::{PayloadError, decode_credentials, encode_credentials};
use crate::record::{NONCE_LEN, TAG_LEN};

/// Headroom one channel layer needs in front of the header of the inner routing message.
pub const CHANNEL_HEADROOM: usize = NONCE_LEN + PAYLOAD_PREFIX.len();

/// Tailroom one channel layer needs: the padding and the tag.
pub const CHANNEL_TAILROOM: usize = 1 + TAG_LEN;

/// What a record says.
#[derive(Debug)]
#[allow(
    clippy::large_enum_variant,
    reason = "nearly every record is a payload; boxing it would allocate per record"
)]
pub enum ChannelMessage {
    /// A message to be delivered on the other side.
    Payload(RoutingMessage),
    /// The peer's newest history and credentials.
    RefreshCredentials(CredentialRefresh),
    /// The peer stopped the channel; it expects no answer.
    Close,
}

/// The content of [`ChannelMessage::RefreshCredentials`]. Nothing in it was verified.
#[derive(Debug)]
pub struct CredentialRefresh {
    /// The encoded change history.
    pub history: Vec<u8>,
    /// The credentials, which replace those presented before.
    pub credentials: Vec<CredentialBundle>,
}

/// A plaintext that cannot be written or read. A record that was opened counts as received all the same.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MessageError {
    /// The peer sent another structure than a message and its padding.
    #[error("the channel message is malformed: {0}")]
    Structure(#[from] StructureError),
    /// The peer sent a kind of message that does not exist.
    #[error("there is no channel message of kind {0}")]
    UnknownKind(u64),
    /// The peer sent a payload that is no routing message.
    #[error("the routing message inside of the channel is malformed: {0}")]
    Routing(#[from] DecodeError),
    /// The peer sent credentials that cannot be read.
    #[error("the refreshed credentials are malformed: {0}")]
    Credentials(#[from] PayloadError),
    /// The routing message is too long to be sent.
    #[error("the routing message is too long: {0}")]
    TooLong(#[from] EncodeError),
}

impl ChannelMessage {
    /// Writes the message around its payload, to be sealed.
    ///
    /// # Errors
    ///
    /// The routing message is longer than any transport carries.
    pub fn encode(self) -> Result<Buffer, MessageError> {
        match self {
            Self::Payload(message) => {
                Self::encode_payload(&message.onward, &message.return_route, message.payload)
            }
            Self::RefreshCredentials(refresh) => {
                let mut plaintext = REFRESH_PREFIX.to_vec();
                plaintext.extend_from_slice(&refresh.history);
                encode_credentials(&refresh.credentials, &mut plaintext);
                plaintext.push(EMPTY_PADDING);
                Ok(Buffer::from_slice(&plaintext))
            }
            Self::Close => Ok(Buffer::from_slice(&CLOSE)),
        }
    }

    /// Writes [`Self::Payload`] around a payload, to be sealed.
    ///
    /// # Errors
    ///
    /// The routing message is longer than any transport carries.
    pub fn encode_payload(
        onward: &Route,
        return_route: &Route,
        payload: Buffer,
    ) -> Result<Buffer, MessageError> {
        let mut buffer = RoutingMessage::encode_parts(onward, return_route, payload)?;
        buffer.prepend(&PAYLOAD_PREFIX);
        buffer.append(&[EMPTY_PADDING]);
        Ok(buffer)
    }

    /// Reads an opened record. The payload stays where it is and gains what stood in front of it as headroom.
    ///
    /// # Errors
    ///
    /// The plaintext is no channel message. The record is dropped, the channel goes on.
    pub fn decode(plaintext: Buffer) -> Result<Self, MessageError> {
        let mut message = RoutingMessage {
            payload: plaintext,
            ..RoutingMessage::default()
        };
        // The form every implementation writes, found with one pass over the header.
        if let Some(payload) = locate_usual(&mut message) {
            message.payload.truncate(payload.end);
            message.payload.advance(payload.start);
            return Ok(Self::Payload(message));
        }
        match locate(message.payload.as_slice())? {
            Located::Payload(range) => {
                let mut plaintext = message.payload;
                plaintext.truncate(range.end);
                plaintext.advance(range.start);
                Ok(Self::Payload(RoutingMessage::decode(plaintext)?))
            }
            Located::RefreshCredentials(refresh) => Ok(Self::RefreshCredentials(refresh)),
            Located::Close => Ok(Self::Close),
        }
    }
}

enum Located {
    /// Where the routing message lies.
    Payload(Range<usize>),
    RefreshCredentials(CredentialRefresh),
    Close,
}

/// Takes the routes from a plaintext with nothing unusual around them, and tells where the payload lies.
fn locate_usual(message: &mut RoutingMessage) -> Option<Range<usize>> {
    let routing = message
        .payload
        .as_slice()
        .strip_prefix(&PAYLOAD_PREFIX)?
        .strip_suffix(&[EMPTY_PADDING])?;
    // All of it is one routing message, so what was taken for the padding is no part of it.
    let payload =
        RoutingMessage::locate(&mut message.onward, &mut message.return_route, routing).ok()?;
    Some(PAYLOAD_PREFIX.len() + payload.start..PAYLOAD_PREFIX.len() + payload.end)
}

fn locate(plaintext: &[u8]) -> Result<Located, MessageError> {
    let mut outer = ArrayStructure::open(plaintext)?;
    let message_at = outer.field_range(0)?;
    let padding = outer.field(1)?;
    outer.finish()?;
    if !matches!(padding.first(), Some(0x40..=0x5f)) {
        return Err(StructureError::WrongType(1).into());
    }
    let message_bytes = plaintext.get(message_at.clone()).unwrap_or_default();
    let mut message = ArrayStructure::open(message_bytes)?;
    let kind = Decoder::new(message.field(0)?)
        .u64()
        .map_err(|_| StructureError::WrongType(0))?;
    let fields_at = message.field_range(1)?;
    message.finish()?;
    let mut fields =
        ArrayStructure::open(message_bytes.get(fields_at.clone()).unwrap_or_default())?;
    let located = match kind {
        PAYLOAD => {
            let routing_at = fields.field_range(0)?;
            let offset = message_at.start + fields_at.start;
            Located::Payload(offset + routing_at.start..offset + routing_at.end)
        }
        REFRESH_CREDENTIALS => {
            let mut refresh = ArrayStructure::open(fields.field(0)?)?;
            let history = refresh.field(0)?.to_vec();
            let credentials = decode_credentials(refresh.field(1)?)?;
            refresh.finish()?;
            Located::RefreshCredentials(CredentialRefresh {
                history,
                credentials,
            })
        }
        CLOSE_KIND => Located::Close,
        unknown => return Err(MessageError::UnknownKind(unknown)),
    };
    fields.finish()?;
    Ok(located)
}

const PAYLOAD: u64 = 0;
const REFRESH_CREDENTIALS: u64 = 1;
const CLOSE_KIND: u64 = 2;
const PAYLOAD_PREFIX: [u8; 4] = [0x82, 0x82, 0x00, 0x81];
const REFRESH_PREFIX: [u8; 5] = [0x82, 0x82, 0x01, 0x81, 0x82];
const CLOSE: [u8; 5] = [0x82, 0x82, 0x02, 0x80, EMPTY_PADDING];
const EMPTY_PADDING: u8 = 0x40;

#[cfg(test)]
mod tests {
    use ockam_wire::{Address, Route};

    use super::*;

    #[test]
    fn a_payload_is_encoded_as_published() {
        let buffer = ChannelMessage::Payload(hello()).encode().unwrap();
        assert_eq!(hex::encode(buffer.as_slice()), HELLO);
    }

    #[test]
    fn a_payload_is_written_into_the_room_around_it() {
        let message = hello();
        let place = message.payload.as_slice().as_ptr();
        let buffer = ChannelMessage::Payload(message).encode().unwrap();
        let at = buffer.len() - 6;
        assert_eq!(buffer.as_slice()[at..].as_ptr(), place);
        let ChannelMessage::Payload(message) = ChannelMessage::decode(buffer).unwrap() else {
            panic!("not a payload")
        };
        assert_eq!(message.payload.as_slice().as_ptr(), place);
        assert_eq!(message.payload.as_slice(), b"hello");
    }

    #[test]
    fn guard_11_2_20_padding_further_elements_and_indefinite_lengths_are_accepted() {
        let routing = "83818200466563686f6572818200436170704568656c6c6f";
        for plaintext in [
            std::format!("82820081{routing}4401020304"),
            std::format!("82820081{routing}4140"),
            std::format!("82820082{routing}0040"),
            std::format!("8382008 1{routing}40a0").replace(' ', ""),
            std::format!("83830081{routing}0740f6"),
            std::format!("9f9f009f{routing}ffff40ff"),
            std::format!("82821800 81{routing}40").replace(' ', ""),
        ] {
            let buffer = Buffer::from_slice(&hex::decode(&plaintext).unwrap());
            let ChannelMessage::Payload(message) = ChannelMessage::decode(buffer).unwrap() else {
                panic!("{plaintext}")
            };
            assert_eq!(message.payload.as_slice(), b"hello", "{plaintext}");
            assert_eq!(message.onward, hello().onward);
            assert_eq!(message.return_route, hello().return_route);
        }
    }

    #[test]
    fn close_is_five_bytes() {
        let buffer = ChannelMessage::Close.encode().unwrap();
        assert_eq!(hex::encode(buffer.as_slice()), "8282028040");
        assert!(matches!(
            ChannelMessage::decode(buffer),
            Ok(ChannelMessage::Close)
        ));
    }

    #[test]
    fn what_is_no_message_is_refused() {
        let refused = |hex_bytes: &str| {
            ChannelMessage::decode(Buffer::from_slice(&hex::decode(hex_bytes).unwrap()))
                .map(|_| ())
                .unwrap_err()
        };
        assert_eq!(refused("8282038040"), MessageError::UnknownKind(3));
        assert_eq!(refused("82820280"), StructureError::Malformed.into());
        assert_eq!(refused("81820280"), StructureError::Missing(1).into());
        assert_eq!(refused("8282028060"), StructureError::WrongType(1).into());
        assert_eq!(refused("8282008040"), StructureError::Missing(0).into());
        assert!(matches!(
            refused("82820081818040"),
            MessageError::Routing(_)
        ));
        assert_eq!(refused(""), StructureError::Malformed.into());
    }

    fn hello() -> RoutingMessage {
        RoutingMessage {
            onward: Route::from_hops([Address::local("echoer").unwrap()]).unwrap(),
            return_route: Route::from_hops([Address::local("app").unwrap()]).unwrap(),
            payload: Buffer::from_slice(b"hello"),
        }
    }

    const HELLO: &str = "8282008183818200466563686f6572818200436170704568656c6c6f40";
}
