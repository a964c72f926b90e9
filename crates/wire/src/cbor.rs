//! A CBOR reader for what peers send, with the limits this protocol needs.
//!
//! Accepts what published nodes accept (messaging 1.5, trust 0.2): numbers in longer than shortest form and arrays
//! and maps of indefinite length. Every loop ends with the input, nesting ends at [`MAX_NESTING`], and nothing is
//! allocated: strings are borrowed.

use crate::route::RouteError;

/// Why bytes from a peer were refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The input ends inside an item.
    #[error("input ends inside an item")]
    Truncated,
    /// Bytes follow the complete item.
    #[error("bytes follow the message")]
    TrailingBytes,
    /// An item has another type than the protocol asks for at this place.
    #[error("expected {0}")]
    Unexpected(&'static str),
    /// A mandatory field is missing.
    #[error("field `{0}` is missing")]
    Missing(&'static str),
    /// A field is present twice.
    #[error("field `{0}` is present twice")]
    Duplicate(&'static str),
    /// Items are nested deeper than [`MAX_NESTING`].
    #[error("items are nested too deeply")]
    TooDeep,
    /// A byte that cannot begin a CBOR item, or a length no item may have.
    #[error("not CBOR")]
    Malformed,
    /// Text is not UTF-8.
    #[error("text is not UTF-8")]
    NotUtf8,
    /// A variable-length integer is longer than needed or does not fit 64 bits.
    #[error("malformed variable-length integer")]
    Varint,
    /// A version this implementation does not speak.
    #[error("unknown version {0}")]
    Version(u8),
    /// A route is beyond its limits.
    #[error(transparent)]
    Route(#[from] RouteError),
}

/// How deep items of a peer may be nested. // spec: messaging 12 W6
pub const MAX_NESTING: usize = 8;

/// How many items of an array or entries of a map are still to come.
#[derive(Clone, Copy, Debug)]
pub enum Count {
    /// As many as this.
    Known(u64),
    /// Until the end mark.
    UntilBreak,
}

/// Reads one item after the other from received bytes.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    input: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    /// Starts at the first byte.
    pub fn new(input: &'a [u8]) -> Self {
        Self { input, at: 0 }
    }

    #[inline]
    pub(crate) fn position(&self) -> usize {
        self.at
    }

    /// Leaves out bytes of [`Self::rest`] that were read in another way.
    #[inline]
    pub(crate) fn advance(&mut self, count: usize) {
        self.at += count;
    }

    /// What was not read yet.
    #[inline]
    pub fn rest(&self) -> &'a [u8] {
        self.input.get(self.at..).unwrap_or_default()
    }

    /// Ends the reading.
    ///
    /// # Errors
    /// Bytes are left.
    pub fn finish(&self) -> Result<(), DecodeError> {
        if self.rest().is_empty() {
            Ok(())
        } else {
            Err(DecodeError::TrailingBytes)
        }
    }

    #[inline]
    pub(crate) fn peek(&self) -> Option<u8> {
        self.input.get(self.at).copied()
    }

    #[inline]
    fn take(&mut self, length: u64) -> Result<&'a [u8], DecodeError> {
        let length = usize::try_from(length).map_err(|_| DecodeError::Truncated)?;
        let taken = self.rest().get(..length).ok_or(DecodeError::Truncated)?;
        self.at += length;
        Ok(taken)
    }

    /// Major type and argument; `None` is an indefinite length.
    #[inline]
    fn head(&mut self) -> Result<(u8, Option<u64>), DecodeError> {
        let first = self.peek().ok_or(DecodeError::Truncated)?;
        self.at += 1;
        let major = first >> 5;
        let argument = match first & 0x1f {
            small @ 0..=23 => u64::from(small),
            size @ 24..=27 => self
                .take(1 << (size - 24))?
                .iter()
                .fold(0, |value, byte| value << 8 | u64::from(*byte)),
            31 if (2..=5).contains(&major) => return Ok((major, None)),
            _ => return Err(DecodeError::Malformed),
        };
        Ok((major, Some(argument)))
    }

    /// An unsigned integer.
    ///
    /// # Errors
    /// Something else comes next.
    #[inline]
    pub fn uint(&mut self) -> Result<u64, DecodeError> {
        match self.head()? {
            (0, Some(value)) => Ok(value),
            _ => Err(DecodeError::Unexpected("an unsigned integer")),
        }
    }

    /// A byte string of definite length.
    ///
    /// # Errors
    /// Something else comes next.
    #[inline]
    pub fn bytes(&mut self) -> Result<&'a [u8], DecodeError> {
        match self.head()? {
            (2, Some(length)) => self.take(length),
            _ => Err(DecodeError::Unexpected("a byte string")),
        }
    }

    /// A text string of definite length.
    ///
    /// # Errors
    /// Something else comes next, or it is not UTF-8.
    pub fn text(&mut self) -> Result<&'a str, DecodeError> {
        match self.head()? {
            (3, Some(length)) => {
                core::str::from_utf8(self.take(length)?).map_err(|_| DecodeError::NotUtf8)
            }
            _ => Err(DecodeError::Unexpected("a text string")),
        }
    }

    /// A boolean.
    ///
    /// # Errors
    /// Something else comes next.
    pub fn bool(&mut self) -> Result<bool, DecodeError> {
        match self.head()? {
            (7, Some(20)) => Ok(false),
            (7, Some(21)) => Ok(true),
            _ => Err(DecodeError::Unexpected("a boolean")),
        }
    }

    /// Consumes an explicit null, if that is what comes next.
    pub fn null(&mut self) -> bool {
        let null = self.peek() == Some(0xf6);
        self.at += usize::from(null);
        null
    }

    /// The head of an array; its items are read while [`Self::more`] says so.
    ///
    /// # Errors
    /// Something else comes next.
    #[inline]
    pub fn array(&mut self) -> Result<Count, DecodeError> {
        match self.head()? {
            (4, Some(count)) => Ok(Count::Known(count)),
            (4, None) => Ok(Count::UntilBreak),
            _ => Err(DecodeError::Unexpected("an array")),
        }
    }

    /// The head of a map; its entries are read while [`Self::more`] says so.
    ///
    /// # Errors
    /// Something else comes next.
    pub fn map(&mut self) -> Result<Count, DecodeError> {
        match self.head()? {
            (5, Some(count)) => Ok(Count::Known(count)),
            (5, None) => Ok(Count::UntilBreak),
            _ => Err(DecodeError::Unexpected("a map")),
        }
    }

    /// Whether one more item of `count` follows. The end mark is consumed.
    ///
    /// # Errors
    /// The input ends instead.
    #[inline]
    pub fn more(&mut self, count: &mut Count) -> Result<bool, DecodeError> {
        match count {
            Count::Known(0) => Ok(false),
            Count::Known(left) => {
                *left -= 1;
                Ok(true)
            }
            Count::UntilBreak => match self.peek().ok_or(DecodeError::Truncated)? {
                0xff => {
                    self.at += 1;
                    Ok(false)
                }
                _ => Ok(true),
            },
        }
    }

    /// Reads a map with unsigned keys. An explicit null is an absent entry. `entry` reads or skips each value.
    ///
    /// # Errors
    /// It is no such map, or `entry` fails.
    pub fn entries<E: From<DecodeError>>(
        &mut self,
        mut entry: impl FnMut(&mut Self, u64) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut count = self.map()?;
        while self.more(&mut count)? {
            let key = self.uint()?;
            if !self.null() {
                entry(self, key)?;
            }
        }
        Ok(())
    }

    /// Skips one item nested at most `depth` levels.
    ///
    /// # Errors
    /// It is nested deeper or is not CBOR.
    pub fn skip(&mut self, depth: usize) -> Result<(), DecodeError> {
        let inner = depth.checked_sub(1).ok_or(DecodeError::TooDeep)?;
        let (major, argument) = self.head()?;
        match (major, argument) {
            (2 | 3, Some(length)) => self.take(length).map(drop),
            (2 | 3, None) => {
                let mut chunks = Count::UntilBreak;
                while self.more(&mut chunks)? {
                    match self.head()? {
                        (chunk, Some(length)) if chunk == major => self.take(length)?,
                        _ => return Err(DecodeError::Malformed),
                    };
                }
                Ok(())
            }
            (4 | 5, length) => {
                let mut items = length.map_or(Count::UntilBreak, Count::Known);
                while self.more(&mut items)? {
                    self.skip(inner)?;
                    if major == 5 {
                        self.skip(inner)?;
                    }
                }
                Ok(())
            }
            (6, _) => self.skip(inner),
            _ => Ok(()),
        }
    }
}

/// Fills the field of a structure. One that comes twice would be read differently by different readers.
///
/// # Errors
/// It is filled already.
pub fn set_once<T>(slot: &mut Option<T>, name: &'static str, value: T) -> Result<(), DecodeError> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(DecodeError::Duplicate(name)),
    }
}

/// Bytes of the shortest head for `argument`.
#[inline]
pub(crate) const fn head_len(argument: usize) -> usize {
    match argument {
        0..=0x17 => 1,
        0x18..=0xff => 2,
        0x100..=0xffff => 3,
        _ => 5,
    }
}

/// Writes the shortest head of a major type (already shifted) to the start of `out` and returns what follows it.
///
/// The argument must be below 2^32, and `out` at least [`head_len`] long; less room writes nothing.
#[inline]
pub(crate) fn put_head(out: &mut [u8], major: u8, argument: usize) -> &mut [u8] {
    let Some((head, rest)) = out.split_at_mut_checked(head_len(argument)) else {
        return &mut [];
    };
    let [_, _, b1, b0] = (argument as u32).to_be_bytes();
    match head {
        [first] => *first = major | b0,
        [first, a] => (*first, *a) = (major | 24, b0),
        [first, a, b] => (*first, *a, *b) = (major | 25, b1, b0),
        [first, tail @ ..] => {
            *first = major | 26;
            tail.copy_from_slice(&(argument as u32).to_be_bytes());
        }
        [] => {}
    }
    rest
}

pub(crate) const BYTES: u8 = 0x40;
pub(crate) const ARRAY: u8 = 0x80;
