//! Bodies of lists that come in pages. `spec: extensions 4.6`

use ockam_identity::Identifier;
use ockam_wire::DecodeError;
use ockam_wire::cbor::{Reader, set_once};

use super::members::INNER;
use super::{IdentifierList, MemberList, MessageError, encode, identifier, whole};

/// Asks for a page of a list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PageRequest {
    /// It begins behind this one; at the start if absent.
    pub after: Option<Identifier>,
    /// At most so many; as many as a page holds if absent.
    pub limit: Option<u64>,
}

impl PageRequest {
    /// The encoded body.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        encode(|out| {
            out.map(u64::from(self.after.is_some()) + u64::from(self.limit.is_some()))?;
            if let Some(after) = &self.after {
                out.u8(1)?.bytes(after.as_bytes())?;
            }
            if let Some(limit) = self.limit {
                out.u8(2)?.u64(limit)?;
            }
            Ok(())
        })
    }

    /// Reads the body.
    ///
    /// # Errors
    /// It is something else.
    pub fn decode(body: &[u8]) -> Result<Self, MessageError> {
        whole(body, |reader| {
            let mut page = Self::default();
            reader.entries(|reader, key| match key {
                1 => Ok(set_once(&mut page.after, "after", identifier(reader)?)?),
                2 => Ok(set_once(&mut page.limit, "limit", reader.uint()?)?),
                _ => Ok::<(), MessageError>(reader.skip(INNER)?),
            })?;
            Ok(page)
        })
    }
}

/// A page of a list, and whether it goes on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page<T> {
    /// What is on it.
    pub items: T,
    /// Whether another follows.
    pub more: bool,
}

impl Page<MemberList> {
    /// The encoded body.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        encode(|out| {
            out.map(2)?.u8(1)?;
            self.items.write(out)?;
            out.u8(2)?.bool(self.more)?.ok()
        })
    }

    /// Reads the body.
    ///
    /// # Errors
    /// It is something else.
    pub fn decode(body: &[u8]) -> Result<Self, MessageError> {
        decode(body, MemberList::read)
    }
}

impl Page<IdentifierList> {
    /// The encoded body.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        encode(|out| {
            out.map(2)?.u8(1)?;
            self.items.write(out)?;
            out.u8(2)?.bool(self.more)?.ok()
        })
    }

    /// Reads the body.
    ///
    /// # Errors
    /// It is something else.
    pub fn decode(body: &[u8]) -> Result<Self, MessageError> {
        decode(body, IdentifierList::read)
    }
}

fn decode<T>(
    body: &[u8],
    read: impl Fn(&mut Reader<'_>) -> Result<T, MessageError>,
) -> Result<Page<T>, MessageError> {
    whole(body, |reader| {
        let (mut items, mut more) = (None, None);
        reader.entries(|reader, key| match key {
            1 => Ok(set_once(&mut items, "items", read(reader)?)?),
            2 => Ok(set_once(&mut more, "more", reader.bool()?)?),
            _ => Ok::<(), MessageError>(reader.skip(INNER)?),
        })?;
        Ok(Page {
            items: items.ok_or(DecodeError::Missing("items"))?,
            more: more.ok_or(DecodeError::Missing("more"))?,
        })
    })
}
