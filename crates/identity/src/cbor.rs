//! Reading and writing the CBOR this crate's structures share.
//!
//! Readers take what the published program takes: unknown further elements, an explicit null for an absent element,
//! indefinite-length arrays, numbers in longer forms than needed. They do not take bytes behind the last element, and skip at
//! most [`MAX_NESTING`] levels deep. `spec: trust 0.2, 11.2 (21)`

use alloc::vec::Vec;

use minicbor::data::Type;
use minicbor::encode::Write;
use minicbor::{Decoder, Encoder};
use ockam_vault::{PublicKey, Signature};

/// How deep elements that are skipped may be nested.
pub(crate) const MAX_NESTING: usize = 8;

/// Why bytes are not what they should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The bytes are not CBOR, end too early or have another type or size where something is mandatory.
    #[error("malformed {0}")]
    Malformed(&'static str),
    /// Bytes follow the last element.
    #[error("bytes follow the {0}")]
    TrailingBytes(&'static str),
    /// There is more than is ever needed.
    #[error("the {0} is larger than allowed")]
    TooLarge(&'static str),
    /// Elements are nested deeper than allowed.
    #[error("elements are nested too deeply")]
    TooDeep,
    /// The signed data has a version this program does not know.
    #[error("signed data has an unknown version")]
    UnknownVersion,
    /// The signed data says it is something else.
    #[error("signed data is not of the expected type")]
    WrongDataType,
    /// The text is not hex.
    #[error("the text is not hexadecimal")]
    NotHex,
}

/// What signed data is, so that one statement is never taken for another.
///
/// `spec: trust 2.1`
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum DataType {
    Change = 1,
    PurposeKeyAttestation = 2,
    Credential = 3,
}

/// Reads one structure and refuses bytes behind it.
pub(crate) fn whole<'b, T>(
    bytes: &'b [u8],
    what: &'static str,
    read: impl FnOnce(&mut Decoder<'b>) -> Result<T, DecodeError>,
) -> Result<T, DecodeError> {
    let mut decoder = Decoder::new(bytes);
    let value = read(&mut decoder)?;
    if decoder.position() == bytes.len() {
        Ok(value)
    } else {
        Err(DecodeError::TrailingBytes(what))
    }
}

/// Reads an array structure: `fields` reads the known elements, any further ones are skipped.
pub(crate) fn structure<'b, T>(
    decoder: &mut Decoder<'b>,
    what: &'static str,
    fields: impl FnOnce(&mut Fields<'_, 'b>) -> Result<T, DecodeError>,
) -> Result<T, DecodeError> {
    let left = decoder.array().map_err(|_| DecodeError::Malformed(what))?;
    let mut elements = Fields {
        decoder,
        left,
        what,
    };
    let value = fields(&mut elements)?;
    while elements.next()? {
        skip(elements.decoder, 1)?;
    }
    Ok(value)
}

/// Reads a map: `pair` reads each key with its value.
pub(crate) fn map<'b>(
    decoder: &mut Decoder<'b>,
    what: &'static str,
    mut pair: impl FnMut(&mut Fields<'_, 'b>) -> Result<(), DecodeError>,
) -> Result<(), DecodeError> {
    let malformed = || DecodeError::Malformed(what);
    let left = match decoder.map().map_err(|_| malformed())? {
        Some(pairs) => Some(pairs.checked_mul(2).ok_or_else(malformed)?),
        None => None,
    };
    let mut elements = Fields {
        decoder,
        left,
        what,
    };
    while !elements.is_at_end()? {
        pair(&mut elements)?;
    }
    Ok(())
}

/// The elements of an array structure, or the keys and values of a map, read in order.
pub(crate) struct Fields<'a, 'b> {
    decoder: &'a mut Decoder<'b>,
    /// How many elements follow; none if the array says so with a break.
    left: Option<u64>,
    what: &'static str,
}

impl<'b> Fields<'_, 'b> {
    /// The next element, which must be there.
    pub(crate) fn required<T>(
        &mut self,
        read: impl FnOnce(&mut Decoder<'b>) -> Result<T, DecodeError>,
    ) -> Result<T, DecodeError> {
        if self.next()? {
            read(self.decoder)
        } else {
            Err(DecodeError::Malformed(self.what))
        }
    }

    /// The next element, or nothing if it is null or the array ends here.
    pub(crate) fn optional<T>(
        &mut self,
        read: impl FnOnce(&mut Decoder<'b>) -> Result<T, DecodeError>,
    ) -> Result<Option<T>, DecodeError> {
        if !self.next()? {
            return Ok(None);
        }
        if matches!(self.decoder.datatype(), Ok(Type::Null)) {
            self.decoder
                .null()
                .map_err(|_| DecodeError::Malformed(self.what))?;
            return Ok(None);
        }
        read(self.decoder).map(Some)
    }

    pub(crate) fn uint(&mut self) -> Result<u64, DecodeError> {
        let what = self.what;
        self.required(|decoder| decoder.u64().map_err(|_| DecodeError::Malformed(what)))
    }

    pub(crate) fn bool(&mut self) -> Result<bool, DecodeError> {
        let what = self.what;
        self.required(|decoder| decoder.bool().map_err(|_| DecodeError::Malformed(what)))
    }

    pub(crate) fn bytes(&mut self) -> Result<&'b [u8], DecodeError> {
        let what = self.what;
        self.required(|decoder| decoder.bytes().map_err(|_| DecodeError::Malformed(what)))
    }

    /// Whether another element begins at the decoder's position; counts it as taken.
    pub(crate) fn next(&mut self) -> Result<bool, DecodeError> {
        if self.is_at_end()? {
            return Ok(false);
        }
        self.left = self.left.map(|left| left - 1);
        Ok(true)
    }

    /// Whether no element follows; takes the break of an indefinite array.
    fn is_at_end(&mut self) -> Result<bool, DecodeError> {
        if let Some(left) = self.left {
            return Ok(left == 0);
        }
        let kind = self
            .decoder
            .datatype()
            .map_err(|_| DecodeError::Malformed(self.what))?;
        if kind == Type::Break {
            self.decoder.set_position(self.decoder.position() + 1);
            self.left = Some(0);
        }
        Ok(kind == Type::Break)
    }

    pub(crate) fn decoder(&mut self) -> &mut Decoder<'b> {
        self.decoder
    }
}

/// Reads an enum value: `[index, [fields]]`.
pub(crate) fn variant<'b, T>(
    decoder: &mut Decoder<'b>,
    what: &'static str,
    fields: impl FnOnce(u64, &mut Fields<'_, 'b>) -> Result<T, DecodeError>,
) -> Result<T, DecodeError> {
    let left = decoder.array().map_err(|_| DecodeError::Malformed(what))?;
    let mut pair = Fields {
        decoder,
        left,
        what,
    };
    let index = pair.uint()?;
    let value =
        pair.required(|decoder| structure(decoder, what, |elements| fields(index, elements)))?;
    // Unlike a structure, an enum value has exactly two elements.
    if pair.next()? {
        Err(DecodeError::Malformed(what))
    } else {
        Ok(value)
    }
}

/// Reads the common frame of everything signed and hands out the data of the expected type.
///
/// `spec: trust 11.1 (2)`: version and type are checked before the data is decoded.
pub(crate) fn versioned_data(bytes: &[u8], expected: DataType) -> Result<&[u8], DecodeError> {
    const WHAT: &str = "versioned data";
    whole(bytes, WHAT, |decoder| {
        structure(decoder, WHAT, |fields| {
            if fields.uint()? != VERSION {
                return Err(DecodeError::UnknownVersion);
            }
            if fields.uint()? != expected as u64 {
                return Err(DecodeError::WrongDataType);
            }
            fields.bytes()
        })
    })
}

/// Writes the common frame of everything signed.
pub(crate) fn write_versioned_data(kind: DataType, data: &[u8]) -> Vec<u8> {
    encode(|encoder| {
        encoder
            .array(3)?
            .u64(VERSION)?
            .u64(kind as u64)?
            .bytes(data)?;
        Ok(())
    })
}

pub(crate) fn fixed<const N: usize>(
    bytes: &[u8],
    what: &'static str,
) -> Result<[u8; N], DecodeError> {
    bytes.try_into().map_err(|_| DecodeError::Malformed(what))
}

/// Reads a tagged public key.
pub(crate) fn public_key(decoder: &mut Decoder<'_>) -> Result<PublicKey, DecodeError> {
    const WHAT: &str = "public key";
    variant(decoder, WHAT, |index, fields| match index {
        0 => Ok(PublicKey::Ed25519(fixed(fields.bytes()?, WHAT)?)),
        1 => Ok(PublicKey::P256(fixed(fields.bytes()?, WHAT)?)),
        _ => Err(DecodeError::Malformed(WHAT)),
    })
}

/// Reads a tagged signature.
pub(crate) fn signature(decoder: &mut Decoder<'_>) -> Result<Signature, DecodeError> {
    const WHAT: &str = "signature";
    variant(decoder, WHAT, |index, fields| match index {
        0 => Ok(Signature::Ed25519(fixed(fields.bytes()?, WHAT)?)),
        1 => Ok(Signature::P256(fixed(fields.bytes()?, WHAT)?)),
        _ => Err(DecodeError::Malformed(WHAT)),
    })
}

pub(crate) fn write_public_key<W: Write>(encoder: &mut Encoder<W>, key: &PublicKey) -> Written<W> {
    let index = match key {
        PublicKey::Ed25519(_) => 0,
        PublicKey::P256(_) => 1,
    };
    encoder
        .array(2)?
        .u8(index)?
        .array(1)?
        .bytes(key.as_bytes())?;
    Ok(())
}

pub(crate) fn write_signature<W: Write>(
    encoder: &mut Encoder<W>,
    signature: &Signature,
) -> Written<W> {
    let index = match signature {
        Signature::Ed25519(_) => 0,
        Signature::P256(_) => 1,
    };
    encoder
        .array(2)?
        .u8(index)?
        .array(1)?
        .bytes(signature.as_bytes())?;
    Ok(())
}

/// The length of the CBOR item at the start of `bytes`.
pub(crate) fn item_len(bytes: &[u8]) -> Result<usize, DecodeError> {
    let mut decoder = Decoder::new(bytes);
    skip(&mut decoder, 0)?;
    Ok(decoder.position())
}

/// Skips one item that begins `depth` levels deep.
///
/// The library's own skip bounds no nesting. Work is linear in the bytes: a declared count larger than what follows runs into
/// their end.
fn skip(decoder: &mut Decoder<'_>, depth: usize) -> Result<(), DecodeError> {
    const WHAT: &str = "element";
    let malformed = |_| DecodeError::Malformed(WHAT);
    let count = match decoder.datatype().map_err(malformed)? {
        Type::Array | Type::ArrayIndef => decoder.array().map_err(malformed)?,
        Type::Map | Type::MapIndef => match decoder.map().map_err(malformed)? {
            Some(pairs) => Some(pairs.checked_mul(2).ok_or(DecodeError::Malformed(WHAT))?),
            None => None,
        },
        Type::Tag => {
            decoder.tag().map_err(malformed)?;
            Some(1)
        }
        Type::Break => return Err(DecodeError::Malformed(WHAT)),
        // Scalars and strings do not nest, also not in indefinite form.
        _ => return decoder.skip().map_err(malformed),
    };
    if depth >= MAX_NESTING {
        return Err(DecodeError::TooDeep);
    }
    let mut elements = Fields {
        decoder,
        left: count,
        what: WHAT,
    };
    while elements.next()? {
        skip(elements.decoder, depth + 1)?;
    }
    Ok(())
}

/// Writes to a vector, which cannot fail.
pub(crate) fn encode(write: impl FnOnce(&mut Encoder<Vec<u8>>) -> Written<Vec<u8>>) -> Vec<u8> {
    let mut encoder = Encoder::new(Vec::new());
    write(&mut encoder).expect("writing to a vector cannot fail");
    encoder.into_writer()
}

pub(crate) type Written<W> = Result<(), minicbor::encode::Error<<W as Write>::Error>>;

const VERSION: u64 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nesting_beyond_the_limit_is_refused_without_recursion() {
        let mut deep = alloc::vec![0x81; 100_000];
        deep.push(0);
        assert_eq!(item_len(&deep), Err(DecodeError::TooDeep));
        let mut allowed = alloc::vec![0x81; MAX_NESTING];
        allowed.push(0);
        assert_eq!(item_len(&allowed), Ok(MAX_NESTING + 1));
    }

    #[test]
    fn declared_lengths_beyond_the_bytes_are_refused() {
        for bytes in [
            &[0x9b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff][..],
            &[0xbb, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
            &[0x5a, 0xff, 0xff, 0xff, 0xff, 1],
            &[0x9f, 1],
            &[0x82, 1],
            &[0xff],
            &[],
        ] {
            assert!(
                matches!(item_len(bytes), Err(DecodeError::Malformed(_))),
                "{bytes:02x?}"
            );
        }
    }

    #[test]
    fn every_kind_of_element_is_skipped() {
        // array, indefinite array, map, indefinite map, tag, text, indefinite bytes, float, null, negative
        let bytes = [
            &[0x82, 1, 2][..],
            &[0x9f, 1, 0xff],
            &[0xa1, 1, 2],
            &[0xbf, 1, 2, 0xff],
            &[0xc1, 0x1a, 0, 0, 0, 1],
            &[0x61, b'a'],
            &[0x5f, 0x41, 1, 0x41, 2, 0xff],
            &[0xfb, 0, 0, 0, 0, 0, 0, 0, 0],
            &[0xf6],
            &[0x38, 0x20],
        ];
        for item in bytes {
            assert_eq!(item_len(item), Ok(item.len()), "{item:02x?}");
        }
    }
}
