//! What both sides may use beyond the published protocol, offered as the fourth element of the handshake payload.
//!
//! A CBOR map from unsigned number to anything. A peer that does not know the element, a key or a value passes over it, so
//! nothing is used that both did not offer. The element is covered by the transcript: it cannot be stripped unseen.
//!
//! | key | value | meaning |
//! |---|---|---|
//! | 1 | uint, 1 | streams: the version of stream messages the node understands |
//! | 2 | uint, 1 | withdrawal notices: the version of their messages |
//! | 3 | uint, 1 | paged lists: the version of their messages |

use alloc::vec::Vec;

use minicbor::data::Type;
use minicbor::{Decoder, Encoder};

use crate::array_structure::{MAX_NESTING, StructureError, skip_item};

/// The extensions one side offers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Extensions {
    /// The version of streams, if they are offered.
    pub streams: Option<u64>,
    /// The version of withdrawal notices, if they are offered (spec: extensions 4.5).
    pub withdrawals: Option<u64>,
    /// The version of paged lists, if they are offered (spec: extensions 4.6).
    pub pages: Option<u64>,
}

impl Extensions {
    /// The offer of streams in `version`.
    #[must_use]
    pub const fn with_streams(mut self, version: u64) -> Self {
        self.streams = Some(version);
        self
    }

    /// The offer of withdrawal notices in `version`.
    #[must_use]
    pub const fn with_withdrawals(mut self, version: u64) -> Self {
        self.withdrawals = Some(version);
        self
    }

    /// The offer of paged lists in `version`.
    #[must_use]
    pub const fn with_pages(mut self, version: u64) -> Self {
        self.pages = Some(version);
        self
    }

    /// Reads an offer. Unknown keys are passed over.
    ///
    /// # Errors
    ///
    /// The bytes are not one map, a known key has another kind of value, or appears twice.
    pub fn decode(bytes: &[u8]) -> Result<Self, StructureError> {
        let mut decoder = Decoder::new(bytes);
        let mut pairs = decoder.map().map_err(|_| StructureError::Malformed)?;
        let mut extensions = Self::default();
        loop {
            match &mut pairs {
                Some(0) => break,
                Some(left) => *left -= 1,
                None if decoder.datatype().map_err(|_| StructureError::Malformed)?
                    == Type::Break =>
                {
                    decoder.set_position(decoder.position().saturating_add(1));
                    break;
                }
                None => {}
            }
            let key = decoder.position();
            skip_item(&mut decoder, MAX_NESTING)?;
            let value = decoder.position();
            skip_item(&mut decoder, MAX_NESTING)?;
            let unsigned = |from, to| {
                bytes
                    .get(from..to)
                    .and_then(|item| Decoder::new(item).u64().ok())
            };
            let extension = match unsigned(key, value) {
                Some(STREAMS) => &mut extensions.streams,
                Some(WITHDRAWALS) => &mut extensions.withdrawals,
                Some(PAGES) => &mut extensions.pages,
                _ => continue,
            };
            let version =
                unsigned(value, decoder.position()).ok_or(StructureError::WrongType(1))?;
            if extension.replace(version).is_some() {
                return Err(StructureError::Malformed);
            }
        }
        if decoder.position() == bytes.len() {
            Ok(extensions)
        } else {
            Err(StructureError::Trailing)
        }
    }

    /// Writes the offer. Nothing offered is no bytes: the payload then has three elements, as a published peer writes it.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let offered: Vec<(u64, u64)> = [
            (STREAMS, self.streams),
            (WITHDRAWALS, self.withdrawals),
            (PAGES, self.pages),
        ]
        .into_iter()
        .filter_map(|(key, version)| version.map(|version| (key, version)))
        .collect();
        if offered.is_empty() {
            return Vec::new();
        }
        let mut encoder = Encoder::new(Vec::new());
        let mut write = || {
            encoder.map(offered.len() as u64)?;
            for (key, version) in &offered {
                encoder.u64(*key)?.u64(*version)?;
            }
            Ok::<(), minicbor::encode::Error<core::convert::Infallible>>(())
        };
        write().expect("writing to a vector cannot fail");
        encoder.into_writer()
    }
}

const STREAMS: u64 = 1;
const WITHDRAWALS: u64 = 2;
const PAGES: u64 = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offer_is_read_back() {
        let offer = Extensions::default().with_streams(1);
        assert_eq!(offer.encode(), [0xa1, 0x01, 0x01]);
        assert_eq!(Extensions::decode(&offer.encode()), Ok(offer));
        assert!(Extensions::default().encode().is_empty());

        let all = offer.with_withdrawals(1).with_pages(2);
        assert_eq!(all.encode(), [0xa3, 0x01, 0x01, 0x02, 0x01, 0x03, 0x02]);
        assert_eq!(Extensions::decode(&all.encode()), Ok(all));
        let some = Extensions::default().with_pages(1);
        assert_eq!(some.encode(), [0xa1, 0x03, 0x01]);
        assert_eq!(Extensions::decode(&some.encode()), Ok(some));
    }

    #[test]
    fn unknown_keys_and_values_are_passed_over() {
        // {7: [1, {}], 1: 3, "x": null}
        let bytes = [0xa3, 0x07, 0x82, 0x01, 0xa0, 0x01, 0x03, 0x61, 0x78, 0xf6];
        assert_eq!(
            Extensions::decode(&bytes),
            Ok(Extensions::default().with_streams(3))
        );
        let indefinite = [0xbf, 0x07, 0x40, 0x01, 0x03, 0xff];
        assert_eq!(
            Extensions::decode(&indefinite),
            Ok(Extensions::default().with_streams(3))
        );
    }

    #[test]
    fn ambiguous_offers_are_refused() {
        assert_eq!(
            Extensions::decode(&[0xa2, 0x01, 0x01, 0x01, 0x02]),
            Err(StructureError::Malformed)
        );
        assert_eq!(
            Extensions::decode(&[0xa2, 0x02, 0x01, 0x02, 0x01]),
            Err(StructureError::Malformed)
        );
        assert_eq!(
            Extensions::decode(&[0xa1, 0x01, 0x40]),
            Err(StructureError::WrongType(1))
        );
        assert_eq!(
            Extensions::decode(&[0xa0, 0x00]),
            Err(StructureError::Trailing)
        );
        assert_eq!(Extensions::decode(&[0x80]), Err(StructureError::Malformed));
        assert_eq!(Extensions::decode(&[]), Err(StructureError::Malformed));
    }
}
