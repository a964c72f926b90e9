//! Bodies about members.

use std::collections::BTreeMap;

use minicbor::Encoder;
use ockam_identity::{Identifier, UnixTime};
use ockam_wire::DecodeError;
use ockam_wire::cbor::{Reader, set_once};

use super::{MemberAttributes, MessageError, Written, encode, identifier, whole};

/// Makes somebody a member, or gives a member other attributes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddMember {
    /// Who.
    pub member: Identifier,
    /// What is said of them.
    pub attributes: MemberAttributes,
}

impl AddMember {
    /// The encoded body.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        encode(|out| {
            out.map(2)?.u8(1)?.bytes(self.member.as_bytes())?.u8(2)?;
            self.attributes.write(out)
        })
    }

    /// Reads the body.
    ///
    /// # Errors
    /// It is something else, or has more attributes than a member may have.
    pub fn decode(body: &[u8]) -> Result<Self, MessageError> {
        whole(body, |reader| {
            let (mut member, mut attributes) = (None, None);
            reader.entries(|reader, key| match key {
                1 => Ok(set_once(&mut member, "member", identifier(reader)?)?),
                2 => Ok(set_once(
                    &mut attributes,
                    "attributes",
                    MemberAttributes::read(reader)?,
                )?),
                _ => Ok::<(), MessageError>(reader.skip(INNER)?),
            })?;
            Ok(Self {
                member: member.ok_or(DecodeError::Missing("member"))?,
                attributes: attributes.ok_or(DecodeError::Missing("attributes"))?,
            })
        })
    }
}

/// What an authority holds of one member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttributesEntry {
    /// What is said of them.
    pub attributes: MemberAttributes,
    /// Since when they are a member.
    pub added_at: UnixTime,
    /// Until when. Authorities leave it out.
    pub expires_at: Option<UnixTime>,
    /// Who added them.
    pub added_by: Option<Identifier>,
}

impl AttributesEntry {
    /// The encoded body.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        encode(|out| self.write(out))
    }

    /// Reads the body.
    ///
    /// # Errors
    /// It is something else, or has more attributes than a member may have.
    pub fn decode(body: &[u8]) -> Result<Self, MessageError> {
        whole(body, Self::read)
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, MessageError> {
        let (mut attributes, mut added, mut expires, mut by) = (None, None, None, None);
        reader.entries(|reader, key| match key {
            1 => Ok(set_once(
                &mut attributes,
                "attributes",
                MemberAttributes::read_numbers(reader)?,
            )?),
            2 => Ok(set_once(&mut added, "added_at", reader.uint()?)?),
            3 => Ok(set_once(&mut expires, "expires_at", reader.uint()?)?),
            4 => Ok(set_once(&mut by, "attested_by", identifier(reader)?)?),
            _ => Ok::<(), MessageError>(reader.skip(INNER)?),
        })?;
        Ok(Self {
            attributes: attributes.ok_or(DecodeError::Missing("attributes"))?,
            added_at: UnixTime(added.ok_or(DecodeError::Missing("added_at"))?),
            expires_at: expires.map(UnixTime),
            added_by: by,
        })
    }

    pub(super) fn write(&self, out: &mut Encoder<Vec<u8>>) -> Written {
        let optional =
            usize::from(self.expires_at.is_some()) + usize::from(self.added_by.is_some());
        out.map(2 + optional as u64)?.u8(1)?;
        self.attributes.write_numbers(out)?;
        out.u8(2)?.u64(self.added_at.0)?;
        if let Some(UnixTime(expires)) = self.expires_at {
            out.u8(3)?.u64(expires)?;
        }
        if let Some(by) = &self.added_by {
            out.u8(4)?.bytes(by.as_bytes())?;
        }
        Ok(())
    }
}

/// Members and what the authority holds of each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemberList(pub BTreeMap<Identifier, AttributesEntry>);

impl MemberList {
    /// The encoded body.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        encode(|out| self.write(out))
    }

    /// Reads the body.
    ///
    /// # Errors
    /// It is something else, or a member comes twice.
    pub fn decode(body: &[u8]) -> Result<Self, MessageError> {
        whole(body, Self::read)
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, MessageError> {
        let mut members = BTreeMap::new();
        let mut count = reader.map()?;
        while reader.more(&mut count)? {
            let member = identifier(reader)?;
            if members
                .insert(member, AttributesEntry::read(reader)?)
                .is_some()
            {
                return Err(DecodeError::Duplicate("member").into());
            }
        }
        Ok(Self(members))
    }

    pub(super) fn write(&self, out: &mut Encoder<Vec<u8>>) -> Written {
        out.map(self.0.len() as u64)?;
        for (member, entry) in &self.0 {
            out.bytes(member.as_bytes())?;
            entry.write(out)?;
        }
        Ok(())
    }
}

/// Identifiers, in the order they were given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IdentifierList(pub Vec<Identifier>);

impl IdentifierList {
    /// The encoded body.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        encode(|out| self.write(out))
    }

    /// Reads the body.
    ///
    /// # Errors
    /// It is something else.
    pub fn decode(body: &[u8]) -> Result<Self, MessageError> {
        whole(body, Self::read)
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, MessageError> {
        let mut identifiers = Vec::new();
        let mut count = reader.array()?;
        while reader.more(&mut count)? {
            identifiers.push(identifier(reader)?);
        }
        Ok(Self(identifiers))
    }

    pub(super) fn write(&self, out: &mut Encoder<Vec<u8>>) -> Written {
        out.array(self.0.len() as u64)?;
        for identifier in &self.0 {
            out.bytes(identifier.as_bytes())?;
        }
        Ok(())
    }
}

/// How deep what is skipped inside a map may be nested.
pub(super) const INNER: usize = ockam_wire::MAX_NESTING - 1;
