//! What an authority says of a member: names and values, both text.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use minicbor::Encoder;
use ockam_wire::DecodeError;
use ockam_wire::cbor::Reader;

use super::{MessageError, Written, encode, whole};

/// The attribute that makes an enroller.
pub const ROLE: &str = "ockam-role";
/// The value of [`ROLE`] that makes an enroller.
pub const ENROLLER: &str = "enroller";
/// The attribute that names the relay a member may use; `*` is any.
pub const RELAY: &str = "ockam-relay";
/// The attribute of who may fetch the project's TLS certificate.
pub const TLS_CERTIFICATE: &str = "ockam-tls-certificate";
/// The attribute that holds the project's id for peers of older generations.
pub const TRUST_CONTEXT: &str = "trust_context_id";
/// The attribute with which an account authority marks the administrators of a project.
pub const PROJECT: &str = "project";

/// Names that mean something to every project; only its enrollers give them. `spec: trust 4.2`
pub const RESERVED_BY_AUTHORITIES: [&str; 3] = [ROLE, RELAY, TLS_CERTIFICATE];

/// Names that policies give a meaning of their own. No member gets them as attributes. `spec: trust 11.2 (1)`
pub const RESERVED: [&str; 2] = ["identifier", "has_credential"];

/// How many attributes a member may have.
pub const MAX_ATTRIBUTES: usize = 128;
/// How long the name of an attribute may be, in bytes.
pub const MAX_ATTRIBUTE_NAME_LEN: usize = 255;
/// How long all names and values together may be, in bytes: a credential with them fits in every handshake.
pub const MAX_ATTRIBUTES_LEN: usize = 6 * 1024;

/// The attributes of a member, bounded. `spec: trust 7.3`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemberAttributes {
    entries: BTreeMap<String, String>,
    len: usize,
}

impl MemberAttributes {
    /// Those of these pairs.
    ///
    /// # Errors
    /// As for [`Self::insert`].
    pub fn from_pairs<N: Into<String>, V: Into<String>>(
        pairs: impl IntoIterator<Item = (N, V)>,
    ) -> Result<Self, MemberAttributesError> {
        let mut attributes = Self::default();
        for (name, value) in pairs {
            attributes.insert(name, value)?;
        }
        Ok(attributes)
    }

    /// Adds one. A name that is there already is refused: which of the two counts would be a guess.
    ///
    /// # Errors
    /// There would be too many or too long ones, or the name is empty or comes twice.
    pub fn insert(
        &mut self,
        name: impl Into<String>,
        value: impl Into<String>,
    ) -> Result<(), MemberAttributesError> {
        let (name, value) = (name.into(), value.into());
        if name.is_empty() {
            return Err(MemberAttributesError::EmptyName);
        }
        if name.len() > MAX_ATTRIBUTE_NAME_LEN {
            return Err(MemberAttributesError::NameTooLong);
        }
        let len = self.len + name.len() + value.len();
        if len > MAX_ATTRIBUTES_LEN {
            return Err(MemberAttributesError::TooLong);
        }
        let count = self.entries.len();
        match self.entries.entry(name) {
            Entry::Occupied(_) => Err(MemberAttributesError::Twice),
            Entry::Vacant(_) if count >= MAX_ATTRIBUTES => Err(MemberAttributesError::TooMany),
            Entry::Vacant(free) => {
                free.insert(value);
                self.len = len;
                Ok(())
            }
        }
    }

    /// The value of one.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.entries.get(name).map(String::as_str)
    }

    /// All, in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.entries
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether they make an enroller of who has them. `spec: trust 7.2`
    #[must_use]
    pub fn is_enroller(&self) -> bool {
        self.get(ROLE) == Some(ENROLLER)
    }

    /// The first name among them that no member may have.
    #[must_use]
    pub fn reserved(&self) -> Option<&'static str> {
        RESERVED
            .into_iter()
            .find(|name| self.entries.contains_key(*name))
    }

    /// As bytes, to be stored: a CBOR map of text to text.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        encode(|out| self.write(out))
    }

    /// Reads what [`Self::encode`] wrote.
    ///
    /// # Errors
    /// It is something else.
    pub fn decode(bytes: &[u8]) -> Result<Self, MessageError> {
        whole(bytes, Self::read)
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, MessageError> {
        let mut attributes = Self::default();
        let mut count = reader.map()?;
        while reader.more(&mut count)? {
            let name = reader.text()?;
            attributes.insert(name, reader.text()?)?;
        }
        Ok(attributes)
    }

    pub(super) fn write(&self, out: &mut Encoder<Vec<u8>>) -> Written {
        out.map(self.entries.len() as u64)?;
        for (name, value) in &self.entries {
            out.str(name)?.str(value)?;
        }
        Ok(())
    }

    /// As in the answers about members: bytes, as arrays of numbers.
    pub(super) fn read_numbers(reader: &mut Reader<'_>) -> Result<Self, MessageError> {
        let mut attributes = Self::default();
        let mut count = reader.map()?;
        while reader.more(&mut count)? {
            let name = numbers(reader)?;
            attributes.insert(name, numbers(reader)?)?;
        }
        Ok(attributes)
    }

    pub(super) fn write_numbers(&self, out: &mut Encoder<Vec<u8>>) -> Written {
        out.map(self.entries.len() as u64)?;
        for (name, value) in &self.entries {
            for text in [name, value] {
                out.array(text.len() as u64)?;
                for byte in text.bytes() {
                    out.u8(byte)?;
                }
            }
        }
        Ok(())
    }
}

/// Why attributes were refused. It repeats none of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MemberAttributesError {
    /// More than [`MAX_ATTRIBUTES`].
    #[error("there are more than {MAX_ATTRIBUTES} attributes")]
    TooMany,
    /// Together longer than [`MAX_ATTRIBUTES_LEN`].
    #[error("the attributes are longer than {MAX_ATTRIBUTES_LEN} bytes altogether")]
    TooLong,
    /// A name longer than [`MAX_ATTRIBUTE_NAME_LEN`].
    #[error("the name of an attribute is longer than {MAX_ATTRIBUTE_NAME_LEN} bytes")]
    NameTooLong,
    /// A name without a letter.
    #[error("the name of an attribute is empty")]
    EmptyName,
    /// The same name twice.
    #[error("an attribute is given twice")]
    Twice,
}

/// Text as an array of numbers, never longer than the attributes may be altogether.
fn numbers(reader: &mut Reader<'_>) -> Result<String, MessageError> {
    let mut bytes = Vec::new();
    let mut count = reader.array()?;
    while reader.more(&mut count)? {
        if bytes.len() == MAX_ATTRIBUTES_LEN {
            return Err(MemberAttributesError::TooLong.into());
        }
        let byte = u8::try_from(reader.uint()?)
            .map_err(|_| DecodeError::Unexpected("a number below 256"))?;
        bytes.push(byte);
    }
    Ok(String::from_utf8(bytes).map_err(|_| DecodeError::NotUtf8)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_beyond_the_bounds_are_refused() {
        let long = "v".repeat(MAX_ATTRIBUTES_LEN - 1);
        let mut attributes = MemberAttributes::default();
        assert_eq!(attributes.insert("k", long.clone()), Ok(()));
        assert_eq!(
            attributes.insert("x", ""),
            Err(MemberAttributesError::TooLong)
        );
        assert_eq!(
            MemberAttributes::from_pairs([("kk", long)]),
            Err(MemberAttributesError::TooLong)
        );
        let many = (0..=MAX_ATTRIBUTES).map(|number| (number.to_string(), ""));
        assert_eq!(
            MemberAttributes::from_pairs(many),
            Err(MemberAttributesError::TooMany)
        );
        assert_eq!(
            MemberAttributes::from_pairs([("n".repeat(256), "")]),
            Err(MemberAttributesError::NameTooLong)
        );
        assert_eq!(
            MemberAttributes::from_pairs([("", "v")]),
            Err(MemberAttributesError::EmptyName)
        );
        assert_eq!(
            MemberAttributes::from_pairs([("k", "1"), ("k", "1")]),
            Err(MemberAttributesError::Twice)
        );
    }

    #[test]
    fn reserved_names_are_found() {
        let of = |name| MemberAttributes::from_pairs([("a", "b"), (name, "x")]).unwrap();
        assert_eq!(of("identifier").reserved(), Some("identifier"));
        assert_eq!(of("has_credential").reserved(), Some("has_credential"));
        assert_eq!(of("Identifier").reserved(), None);
    }

    #[test]
    fn only_the_exact_role_makes_an_enroller() {
        let role = |value| MemberAttributes::from_pairs([(ROLE, value)]).unwrap();
        assert!(role("enroller").is_enroller());
        assert!(!role("Enroller").is_enroller());
        assert!(!MemberAttributes::default().is_enroller());
    }

    #[test]
    fn numbers_must_be_bytes_and_text() {
        let read = |bytes: &[u8]| MemberAttributes::read_numbers(&mut Reader::new(bytes));
        assert!(read(&[0xa1, 0x81, 0x18, 0x6b, 0x80]).is_ok());
        assert!(read(&[0xa1, 0x81, 0x19, 0x01, 0x00, 0x80]).is_err());
        assert!(read(&[0xa1, 0x81, 0x18, 0xff, 0x80]).is_err());
        assert!(read(&[0xa1, 0x9b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]).is_err());
    }
}
