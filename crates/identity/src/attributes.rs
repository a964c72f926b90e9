//! What a credential says of its subject.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use minicbor::encode::Write;
use minicbor::{Decoder, Encoder};

use crate::cbor::{self, DecodeError, Written};

/// The schema of project members, the only one in use; readers take any number.
///
/// `spec: trust 4.2`
pub const MEMBER_SCHEMA: u64 = 1;

/// The most attributes one subject may have.
pub const MAX_ATTRIBUTES: usize = 256;

/// The most bytes the names and values of one subject's attributes may have together.
pub const MAX_ATTRIBUTES_LEN: usize = 8 * 1024;

/// Names that policies give a meaning of their own. An attribute of such a name is never issued, and passed over where one
/// is presented: it would let an enroller say who somebody is.
///
/// `spec: trust 11.2 (1)`
pub const RESERVED_ATTRIBUTES: [&str; 2] = ["identifier", "has_credential"];

/// Named values, all of them bytes, in ascending order of their names.
///
/// ```
/// use ockam_identity::Attributes;
///
/// let attributes = Attributes::member([("component", "web"), ("ockam-relay", "*")])?;
/// assert_eq!(attributes.get(b"component"), Some(b"web".as_slice()));
/// # Ok::<(), ockam_identity::AttributesError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attributes {
    schema: u64,
    entries: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Bytes of all names and values.
    len: usize,
}

impl Attributes {
    /// No attributes yet, of this schema.
    pub const fn new(schema: u64) -> Self {
        Self {
            schema,
            entries: BTreeMap::new(),
            len: 0,
        }
    }

    /// The attributes of a project member. Of two values for one name the later counts.
    ///
    /// # Errors
    /// As for [`Self::insert`].
    pub fn member<K: AsRef<[u8]>, V: AsRef<[u8]>>(
        entries: impl IntoIterator<Item = (K, V)>,
    ) -> Result<Self, AttributesError> {
        let mut attributes = Self::new(MEMBER_SCHEMA);
        for (name, value) in entries {
            attributes.insert(name.as_ref(), value.as_ref())?;
        }
        Ok(attributes)
    }

    /// Sets an attribute, in place of an earlier one of that name.
    ///
    /// Reserved names are taken here, since this is also how attributes are read; [`CredentialDraft`] refuses them.
    ///
    /// # Errors
    /// [`AttributesError`] if there would be more attributes than allowed, or larger ones.
    ///
    /// [`CredentialDraft`]: crate::CredentialDraft
    pub fn insert(&mut self, name: &[u8], value: &[u8]) -> Result<(), AttributesError> {
        let replaced = self.entries.get(name).map(|old| name.len() + old.len());
        if replaced.is_none() && self.entries.len() >= MAX_ATTRIBUTES {
            return Err(AttributesError::TooMany);
        }
        let len = self.len - replaced.unwrap_or(0) + name.len() + value.len();
        if len > MAX_ATTRIBUTES_LEN {
            return Err(AttributesError::TooLarge);
        }
        self.len = len;
        self.entries.insert(name.to_vec(), value.to_vec());
        Ok(())
    }

    /// Which kind of subject the attributes speak of; nothing depends on it. `spec: trust 4.4 (9)`
    pub const fn schema(&self) -> u64 {
        self.schema
    }

    /// The value of this name.
    pub fn get(&self, name: &[u8]) -> Option<&[u8]> {
        self.entries.get(name).map(Vec::as_slice)
    }

    /// All names and values, in ascending order of the names.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&[u8], &[u8])> {
        self.entries
            .iter()
            .map(|(name, value)| (name.as_slice(), value.as_slice()))
    }

    /// The names and values that are both text, which are those policies see. `spec: trust 6.5`
    pub fn text_entries(&self) -> impl Iterator<Item = (&str, &str)> {
        self.iter().filter_map(|(name, value)| {
            Some((
                core::str::from_utf8(name).ok()?,
                core::str::from_utf8(value).ok()?,
            ))
        })
    }

    /// How many attributes there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The first of [`RESERVED_ATTRIBUTES`] that is among the names.
    pub fn reserved(&self) -> Option<&'static str> {
        RESERVED_ATTRIBUTES
            .into_iter()
            .find(|name| self.entries.contains_key(name.as_bytes()))
    }

    pub(crate) fn read(decoder: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        cbor::structure(decoder, WHAT, |fields| {
            let mut attributes = Self::new(fields.uint()?);
            fields.required(|decoder| {
                cbor::map(decoder, WHAT, |pair| {
                    let (name, value) = (pair.bytes()?, pair.bytes()?);
                    // Two readers might take different ones of two values.
                    if attributes.get(name).is_some() {
                        return Err(DecodeError::Malformed(WHAT));
                    }
                    attributes
                        .insert(name, value)
                        .map_err(|_| DecodeError::TooLarge(WHAT))
                })
            })?;
            Ok(attributes)
        })
    }

    pub(crate) fn write<W: Write>(&self, encoder: &mut Encoder<W>) -> Written<W> {
        encoder
            .array(2)?
            .u64(self.schema)?
            .map(self.entries.len() as u64)?;
        for (name, value) in &self.entries {
            encoder.bytes(name)?.bytes(value)?;
        }
        Ok(())
    }
}

/// Why attributes are not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AttributesError {
    /// There are more than [`MAX_ATTRIBUTES`].
    #[error("there are more than {MAX_ATTRIBUTES} attributes")]
    TooMany,
    /// Together they have more than [`MAX_ATTRIBUTES_LEN`] bytes.
    #[error("the attributes have more than {MAX_ATTRIBUTES_LEN} bytes")]
    TooLarge,
}

const WHAT: &str = "attributes";

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;
    use alloc::vec;

    #[test]
    fn names_are_written_in_ascending_order_whatever_the_order_of_setting() {
        let forth = Attributes::member([("a", "1"), ("b", "2"), ("aa", "3")]).unwrap();
        let back = Attributes::member([("aa", "3"), ("b", "2"), ("a", "1")]).unwrap();
        assert_eq!(forth, back);
        let names: Vec<_> = forth.text_entries().map(|(name, _)| name).collect();
        assert_eq!(names, ["a", "aa", "b"]);
    }

    #[test]
    fn more_attributes_than_allowed_are_not_taken() {
        let mut attributes = Attributes::new(MEMBER_SCHEMA);
        for number in 0..MAX_ATTRIBUTES {
            attributes
                .insert(format!("{number}").as_bytes(), b"")
                .unwrap();
        }
        assert_eq!(
            attributes.insert(b"one more", b""),
            Err(AttributesError::TooMany)
        );
        assert_eq!(attributes.insert(b"0", b"another value"), Ok(()));
    }

    #[test]
    fn replaced_values_do_not_count_against_the_size() {
        let mut attributes = Attributes::new(MEMBER_SCHEMA);
        let large = vec![0; MAX_ATTRIBUTES_LEN - 1];
        attributes.insert(b"a", &large).unwrap();
        attributes.insert(b"a", &large).unwrap();
        assert_eq!(attributes.insert(b"b", b""), Err(AttributesError::TooLarge));
        attributes.insert(b"a", b"small").unwrap();
        assert_eq!(attributes.insert(b"b", b""), Ok(()));
    }

    #[test]
    fn only_text_is_shown_as_text() {
        let attributes = Attributes::member([
            (&b"text"[..], &b"yes"[..]),
            (b"value", &[0xff]),
            (&[0xff], b"name"),
        ])
        .unwrap();
        assert_eq!(
            attributes.text_entries().collect::<Vec<_>>(),
            [("text", "yes")]
        );
        assert_eq!(attributes.iter().len(), 3);
    }

    #[test]
    fn an_attribute_given_twice_is_refused() {
        let decoded = |bytes: &[u8]| Attributes::read(&mut Decoder::new(bytes));
        let twice = [
            0x82, 1, 0xa2, 0x41, b'a', 0x41, b'1', 0x41, b'a', 0x41, b'2',
        ];
        assert_eq!(decoded(&twice), Err(DecodeError::Malformed(WHAT)));
        let mut two = twice;
        two[8] = b'b';
        assert_eq!(decoded(&two).unwrap().len(), 2);
    }

    #[test]
    fn indefinite_maps_are_read_and_torn_pairs_are_not() {
        let decoded = |bytes: &[u8]| Attributes::read(&mut Decoder::new(bytes));
        let whole = [0x82, 1, 0xbf, 0x41, b'a', 0x41, b'1', 0xff];
        assert_eq!(decoded(&whole).unwrap().get(b"a"), Some(&b"1"[..]));
        let torn = [0x82, 1, 0xbf, 0x41, b'a', 0xff];
        assert_eq!(decoded(&torn), Err(DecodeError::Malformed(WHAT)));
        let short = [0x82, 1, 0xa1, 0x41, b'a'];
        assert_eq!(decoded(&short), Err(DecodeError::Malformed(WHAT)));
        let endless = [
            0x82, 1, 0xbb, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        ];
        assert_eq!(decoded(&endless), Err(DecodeError::Malformed(WHAT)));
    }
}
