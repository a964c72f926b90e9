//! Reading CBOR array structures: the position of an element is its field number.
//!
//! Elements are handed out as the bytes they were received in, because hashes and signatures are taken over those.
//! Indefinite lengths, further elements and non-shortest integers are accepted (spec: trust 0.2); nesting is bounded.

use core::ops::Range;

use minicbor::data::Type;
use minicbor::decode::Decoder;

/// A CBOR structure that is not what it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StructureError {
    /// The bytes are not well-formed CBOR, or end too early.
    #[error("malformed CBOR")]
    Malformed,
    /// Arrays, maps or tags lie deeper in each other than any known structure needs.
    #[error("CBOR nested deeper than {MAX_NESTING}")]
    TooDeep,
    /// A mandatory field is not there.
    #[error("field {0} is missing")]
    Missing(u8),
    /// A field has another type than it should.
    #[error("field {0} has the wrong type")]
    WrongType(u8),
    /// Bytes follow where none may.
    #[error("bytes follow the structure")]
    Trailing,
}

/// Steps through the elements of one array.
pub(crate) struct ArrayStructure<'b> {
    decoder: Decoder<'b>,
    left: Left,
}

enum Left {
    Known(u64),
    UntilBreak,
}

impl<'b> ArrayStructure<'b> {
    /// Enters the array at the start of `input`.
    pub(crate) fn open(input: &'b [u8]) -> Result<Self, StructureError> {
        let mut decoder = Decoder::new(input);
        let left = match decoder.array().map_err(|_| StructureError::Malformed)? {
            Some(count) => Left::Known(count),
            None => Left::UntilBreak,
        };
        Ok(Self { decoder, left })
    }

    /// Where the next element lies in the input; `None` behind the last one.
    pub(crate) fn next_range(&mut self) -> Result<Option<Range<usize>>, StructureError> {
        match &mut self.left {
            Left::Known(0) => return Ok(None),
            Left::Known(count) => *count -= 1,
            Left::UntilBreak => {
                if self
                    .decoder
                    .datatype()
                    .map_err(|_| StructureError::Malformed)?
                    == Type::Break
                {
                    self.decoder
                        .set_position(self.decoder.position().saturating_add(1));
                    self.left = Left::Known(0);
                    return Ok(None);
                }
            }
        }
        let start = self.decoder.position();
        skip_item(&mut self.decoder, MAX_NESTING)?;
        Ok(Some(start..self.decoder.position()))
    }

    /// The bytes of the next element; `None` behind the last one.
    pub(crate) fn next(&mut self) -> Result<Option<&'b [u8]>, StructureError> {
        let input = self.decoder.input();
        Ok(self.next_range()?.and_then(|range| input.get(range)))
    }

    /// Where the next element lies, which is the mandatory field `index`.
    pub(crate) fn field_range(&mut self, index: u8) -> Result<Range<usize>, StructureError> {
        self.next_range()?.ok_or(StructureError::Missing(index))
    }

    /// The bytes of the next element, which is the mandatory field `index`.
    pub(crate) fn field(&mut self, index: u8) -> Result<&'b [u8], StructureError> {
        self.next()?.ok_or(StructureError::Missing(index))
    }

    /// Passes over the elements that are left and returns the position behind the array.
    pub(crate) fn finish(mut self) -> Result<usize, StructureError> {
        while self.next_range()?.is_some() {}
        Ok(self.decoder.position())
    }
}

/// The length of the one item at the start of `input`.
pub(crate) fn item_len(input: &[u8]) -> Result<usize, StructureError> {
    let mut decoder = Decoder::new(input);
    skip_item(&mut decoder, MAX_NESTING)?;
    Ok(decoder.position())
}

/// Passes over one item; recursion ends at `depth`, so input cannot exhaust the stack.
pub(crate) fn skip_item(decoder: &mut Decoder<'_>, depth: usize) -> Result<(), StructureError> {
    let malformed = |_| StructureError::Malformed;
    let deeper = || depth.checked_sub(1).ok_or(StructureError::TooDeep);
    match decoder.datatype().map_err(malformed)? {
        Type::Array | Type::ArrayIndef => {
            let depth = deeper()?;
            let count = decoder.array().map_err(malformed)?;
            skip_items(decoder, count, depth)
        }
        Type::Map | Type::MapIndef => {
            let depth = deeper()?;
            let count = decoder.map().map_err(malformed)?;
            let count = match count {
                Some(pairs) => Some(pairs.checked_mul(2).ok_or(StructureError::Malformed)?),
                None => None,
            };
            skip_items(decoder, count, depth)
        }
        Type::Tag => {
            let depth = deeper()?;
            decoder.tag().map_err(malformed)?;
            skip_item(decoder, depth)
        }
        Type::Break => Err(StructureError::Malformed),
        _ => decoder.skip().map_err(malformed),
    }
}

fn skip_items(
    decoder: &mut Decoder<'_>,
    count: Option<u64>,
    depth: usize,
) -> Result<(), StructureError> {
    let Some(count) = count else {
        while decoder.datatype().map_err(|_| StructureError::Malformed)? != Type::Break {
            skip_item(decoder, depth)?;
        }
        decoder.set_position(decoder.position().saturating_add(1));
        return Ok(());
    };
    // Each turn consumes at least one byte or fails, so a declared count costs nothing by itself.
    for _ in 0..count {
        skip_item(decoder, depth)?;
    }
    Ok(())
}

/// Deeper than every structure of this protocol with an extension inside.
pub(crate) const MAX_NESTING: usize = 16;

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    #[test]
    fn elements_keep_their_bytes() {
        let mut array = ArrayStructure::open(&[0x83, 0x01, 0x18, 0x01, 0x82, 0x02, 0x03]).unwrap();
        assert_eq!(array.field(0).unwrap(), [0x01]);
        assert_eq!(array.field(1).unwrap(), [0x18, 0x01]);
        assert_eq!(array.field(2).unwrap(), [0x82, 0x02, 0x03]);
        assert_eq!(array.field(3), Err(StructureError::Missing(3)));
    }

    #[test]
    fn indefinite_arrays_end_at_their_break() {
        let mut array = ArrayStructure::open(&[0x9f, 0x01, 0x9f, 0xff, 0xff, 0x00]).unwrap();
        assert_eq!(array.field(0).unwrap(), [0x01]);
        assert_eq!(array.field(1).unwrap(), [0x9f, 0xff]);
        assert_eq!(array.finish(), Ok(5));
    }

    #[test]
    fn huge_declared_counts_end_with_the_input() {
        let mut input = vec![0x9b];
        input.extend_from_slice(&u64::MAX.to_be_bytes());
        input.push(0x01);
        assert_eq!(item_len(&input), Err(StructureError::Malformed));
    }

    #[test]
    fn deep_nesting_is_refused_without_recursing_into_it() {
        for opener in [0x81, 0x9f, 0xa1, 0xc1] {
            assert!(item_len(&vec![opener; 60_000]).is_err());
        }
        let mut input = vec![0x81; MAX_NESTING];
        input.push(0x00);
        assert_eq!(item_len(&input), Ok(MAX_NESTING + 1));
        input.insert(0, 0x81);
        assert_eq!(item_len(&input), Err(StructureError::TooDeep));
    }
}
