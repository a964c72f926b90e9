//! BARE: variable-length integers, byte strings and text, as some message bodies use them.
//!
//! Only the shortest form of an integer is accepted, and nothing may follow a body.
//!
//! Specification: messaging 1.2, 1.3 and 1.9.

use crate::cbor::DecodeError;
use alloc::vec::Vec;

/// Most bytes of a variable-length integer.
pub const VARINT_MAX: usize = 10;

/// Appends a variable-length integer in its shortest form.
pub fn put_varint(out: &mut Vec<u8>, value: u64) {
    let mut scratch = [0; VARINT_MAX];
    out.extend_from_slice(varint(&mut scratch, value));
}

/// Appends a byte string.
pub fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// The body that is one byte string.
#[must_use]
pub fn encode_bytes(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(VARINT_MAX + bytes.len());
    put_bytes(&mut out, bytes);
    out
}

/// The body that is one text string.
#[must_use]
pub fn encode_str(text: &str) -> Vec<u8> {
    encode_bytes(text.as_bytes())
}

/// Reads a body that is one byte string.
///
/// # Errors
/// If it is not exactly that.
pub fn decode_bytes(body: &[u8]) -> Result<&[u8], DecodeError> {
    let mut reader = Reader::new(body);
    let bytes = reader.bytes()?;
    reader.finish()?;
    Ok(bytes)
}

/// Reads a body that is one text string.
///
/// # Errors
/// If it is not exactly that.
pub fn decode_str(body: &[u8]) -> Result<&str, DecodeError> {
    let mut reader = Reader::new(body);
    let text = reader.text()?;
    reader.finish()?;
    Ok(text)
}

/// Bytes of the shortest form of a variable-length integer.
#[must_use]
pub const fn varint_len(value: u64) -> usize {
    let bits = 64 - (value | 1).leading_zeros() as usize;
    bits.div_ceil(7)
}

/// Writes a variable-length integer to the start of `scratch` and returns what was written.
#[must_use]
pub fn varint(scratch: &mut [u8; VARINT_MAX], mut value: u64) -> &[u8] {
    let length = varint_len(value);
    let written = scratch.get_mut(..length).unwrap_or_default();
    for byte in &mut *written {
        *byte = value as u8 | 0x80;
        value >>= 7;
    }
    if let Some(last) = written.last_mut() {
        *last &= 0x7f;
    }
    written
}

/// Takes BARE items off the front of bytes from a peer. Lengths are checked against what is there; nothing is
/// allocated.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// A reader of these bytes.
    #[must_use]
    pub fn new(input: &'a [u8]) -> Self {
        Self { rest: input }
    }

    /// Takes one byte.
    ///
    /// # Errors
    /// If nothing is left.
    pub fn byte(&mut self) -> Result<u8, DecodeError> {
        let (first, rest) = self.rest.split_first().ok_or(DecodeError::Truncated)?;
        self.rest = rest;
        Ok(*first)
    }

    /// Takes a number of bytes.
    ///
    /// # Errors
    /// If fewer are left.
    pub fn take(&mut self, count: usize) -> Result<&'a [u8], DecodeError> {
        let (taken, rest) = self
            .rest
            .split_at_checked(count)
            .ok_or(DecodeError::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }

    /// Takes a variable-length integer.
    ///
    /// # Errors
    /// If it ends early, is longer than its shortest form or does not fit 64 bits.
    pub fn varint(&mut self) -> Result<u64, DecodeError> {
        let mut value = 0;
        for shift in (0..).step_by(7).take(VARINT_MAX) {
            let byte = self.byte()?;
            // spec: messaging 1.2 (the tenth byte is exactly 01; we take only shortest forms)
            if (shift == 63 && byte != 1) || (shift > 0 && byte == 0) {
                return Err(DecodeError::Varint);
            }
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(DecodeError::Varint)
    }

    /// Takes a byte string.
    ///
    /// # Errors
    /// If it is longer than what is left.
    pub fn bytes(&mut self) -> Result<&'a [u8], DecodeError> {
        let length = usize::try_from(self.varint()?).map_err(|_| DecodeError::Truncated)?;
        self.take(length)
    }

    /// Takes a text string.
    ///
    /// # Errors
    /// If it is longer than what is left, or not UTF-8.
    pub fn text(&mut self) -> Result<&'a str, DecodeError> {
        core::str::from_utf8(self.bytes()?).map_err(|_| DecodeError::NotUtf8)
    }

    /// What has not been taken.
    #[must_use]
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Makes sure that everything was taken.
    ///
    /// # Errors
    /// If something is left.
    pub fn finish(&self) -> Result<(), DecodeError> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(DecodeError::TrailingBytes)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Result<u64, DecodeError> {
        let mut reader = Reader::new(bytes);
        let value = reader.varint()?;
        reader.finish()?;
        Ok(value)
    }

    #[test]
    fn varints_are_those_of_the_vectors() {
        // V1, V2
        for (value, hex) in [
            (300, "ac02"),
            (u64::MAX, "ffffffffffffffffff01"),
            (0, "00"),
            (127, "7f"),
            (128, "8001"),
        ] {
            let mut out = Vec::new();
            put_varint(&mut out, value);
            assert_eq!(hex::encode(&out), hex);
            assert_eq!(out.len(), varint_len(value));
            assert_eq!(read(&out), Ok(value));
        }
    }

    #[test]
    fn varints_that_do_not_fit_or_are_too_long_are_refused() {
        for hex in [
            "ffffffffffffffffff02",
            "ffffffffffffffffff03",
            "ffffffffffffffffffff01",
            "808000",
            "8000",
        ] {
            assert_eq!(
                read(&hex::decode(hex).unwrap()),
                Err(DecodeError::Varint),
                "{hex}"
            );
        }
        assert_eq!(read(&[0x80]), Err(DecodeError::Truncated));
        assert_eq!(read(&[]), Err(DecodeError::Truncated));
    }

    #[test]
    fn strings_carry_their_length() {
        assert_eq!(hex::encode(encode_str("hello")), "0568656c6c6f"); // V4
        assert_eq!(decode_str(b"\x05hello"), Ok("hello"));
        assert_eq!(decode_str(b"\x05hello!"), Err(DecodeError::TrailingBytes));
        assert_eq!(decode_str(b"\x06hello"), Err(DecodeError::Truncated));
        assert_eq!(decode_str(b"\x01\xff"), Err(DecodeError::NotUtf8));
        assert_eq!(decode_bytes(b"\x01\xff"), Ok(&[0xff][..]));
    }

    #[test]
    fn declared_length_beyond_memory_is_refused() {
        assert_eq!(
            decode_bytes(&hex::decode("ffffffffffffffffff01").unwrap()),
            Err(DecodeError::Truncated)
        );
    }
}
