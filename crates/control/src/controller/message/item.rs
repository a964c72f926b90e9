//! How the parts of bodies are read and written.

use std::fmt;
use std::ops::Deref;

use minicbor::Encoder;
use minicbor::encode::{Error, Write};
use ockam_identity::Identifier;
use ockam_wire::DecodeError;
use ockam_wire::cbor::Reader;
use zeroize::Zeroizing;

use crate::value::Email;

/// A body, or a part of one.
pub trait Item: Sized {
    /// Writes it.
    ///
    /// # Errors
    /// Only what the sink says.
    fn write<W: Write>(&self, out: &mut Encoder<W>) -> Result<(), Error<W::Error>>;

    /// Reads it.
    ///
    /// # Errors
    /// Something else comes next.
    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError>;

    /// What it is when its key is missing, if it may be.
    fn if_missing() -> Option<Self> {
        None
    }

    /// Whether its key is left out.
    fn is_left_out(&self) -> bool {
        false
    }

    /// The bytes of the body; wiped when dropped.
    #[must_use]
    fn encode(&self) -> Zeroizing<Vec<u8>> {
        // Measured first: a vector that grows leaves copies of secrets behind.
        let mut length = Encoder::new(Length(0));
        self.write(&mut length)
            .expect("counting bytes does not fail");
        let mut body = Zeroizing::new(Vec::with_capacity(length.into_writer().0));
        self.write(&mut Encoder::new(&mut *body))
            .expect("writing to a vector does not fail");
        body
    }

    /// Reads a body.
    ///
    /// # Errors
    /// It is something else.
    fn decode(body: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(body);
        let item = Self::read(&mut reader)?;
        reader.finish()?;
        Ok(item)
    }
}

struct Length(usize);

impl Write for Length {
    type Error = std::convert::Infallible;

    fn write_all(&mut self, bytes: &[u8]) -> Result<(), Self::Error> {
        self.0 += bytes.len();
        Ok(())
    }
}

/// Text that nobody else may see; wiped when dropped.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Keeps this text.
    #[must_use]
    pub fn new(text: impl Into<Zeroizing<String>>) -> Self {
        Self(text.into())
    }
}

impl Deref for Secret {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

impl Item for String {
    fn write<W: Write>(&self, out: &mut Encoder<W>) -> Result<(), Error<W::Error>> {
        out.str(self)?.ok()
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        text(reader).map(str::to_owned)
    }
}

impl Item for Secret {
    fn write<W: Write>(&self, out: &mut Encoder<W>) -> Result<(), Error<W::Error>> {
        out.str(self)?.ok()
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self::new(text(reader)?.to_owned()))
    }
}

impl Item for Email {
    fn write<W: Write>(&self, out: &mut Encoder<W>) -> Result<(), Error<W::Error>> {
        out.str(self.as_str())?.ok()
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let address = reader.text()?.parse();
        address.map_err(|_| DecodeError::Unexpected("an email address"))
    }
}

impl Item for u64 {
    fn write<W: Write>(&self, out: &mut Encoder<W>) -> Result<(), Error<W::Error>> {
        out.u64(*self)?.ok()
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        reader.uint()
    }
}

impl Item for bool {
    fn write<W: Write>(&self, out: &mut Encoder<W>) -> Result<(), Error<W::Error>> {
        out.bool(*self)?.ok()
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        reader.bool()
    }
}

impl Item for Identifier {
    fn write<W: Write>(&self, out: &mut Encoder<W>) -> Result<(), Error<W::Error>> {
        out.bytes(self.as_bytes())?.ok()
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Self::try_from(reader.bytes()?)
            .map_err(|_| DecodeError::Unexpected("an identifier of 32 bytes"))
    }
}

impl Item for [u8; 32] {
    fn write<W: Write>(&self, out: &mut Encoder<W>) -> Result<(), Error<W::Error>> {
        out.bytes(self)?.ok()
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Self::try_from(reader.bytes()?).map_err(|_| DecodeError::Unexpected("a hash of 32 bytes"))
    }
}

impl<T: Item> Item for Vec<T> {
    fn write<W: Write>(&self, out: &mut Encoder<W>) -> Result<(), Error<W::Error>> {
        out.array(self.len() as u64)?;
        self.iter().try_for_each(|item| item.write(out))
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut items = Self::new();
        let mut count = reader.array()?;
        while reader.more(&mut count)? {
            if items.len() == MAX_ITEMS {
                return Err(DecodeError::Unexpected("fewer items"));
            }
            items.push(T::read(reader)?);
        }
        Ok(items)
    }
}

impl<T: Item> Item for Option<T> {
    fn write<W: Write>(&self, out: &mut Encoder<W>) -> Result<(), Error<W::Error>> {
        match self {
            Some(item) => item.write(out),
            None => out.null()?.ok(),
        }
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        T::read(reader).map(Some)
    }

    fn if_missing() -> Option<Self> {
        Some(None)
    }

    fn is_left_out(&self) -> bool {
        self.is_none()
    }
}

/// A text of a peer. Lines may end in it, as in certificates.
pub(super) fn text<'a>(reader: &mut Reader<'a>) -> Result<&'a str, DecodeError> {
    let text = reader.text()?;
    if text.len() > MAX_TEXT {
        return Err(DecodeError::Unexpected("a shorter text"));
    }
    let steers = |c: char| c.is_control() && !matches!(c, '\n' | '\r' | '\t');
    if text.chars().any(steers) {
        return Err(DecodeError::Unexpected("text without control characters"));
    }
    Ok(text)
}

/// A body that is a map: each field with its key, in the order they are written.
macro_rules! body {
    ($(#[$about:meta])* $name:ident { $($(#[$doc:meta])* $key:literal $field:ident: $kind:ty,)* }) => {
        $(#[$about])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct $name {
            $($(#[$doc])* pub $field: $kind,)*
        }

        impl $crate::controller::message::Item for $name {
            fn write<W: minicbor::encode::Write>(
                &self,
                out: &mut minicbor::Encoder<W>,
            ) -> Result<(), minicbor::encode::Error<W::Error>> {
                let left_out = [$(self.$field.is_left_out()),*];
                out.map(left_out.iter().filter(|left_out| !**left_out).count() as u64)?;
                $(if !self.$field.is_left_out() {
                    out.u64($key)?;
                    self.$field.write(out)?;
                })*
                Ok(())
            }

            fn read(
                reader: &mut ockam_wire::cbor::Reader<'_>,
            ) -> Result<Self, ockam_wire::DecodeError> {
                $(let mut $field: Option<$kind> = None;)*
                reader.entries(|reader, key| match key {
                    $($key => ockam_wire::cbor::set_once(
                        &mut $field,
                        stringify!($field),
                        <$kind as $crate::controller::message::Item>::read(reader)?,
                    ),)*
                    _ => reader.skip($crate::controller::message::item::INNER),
                })?;
                Ok(Self {
                    $($field: $field
                        .or_else(<$kind as $crate::controller::message::Item>::if_missing)
                        .ok_or(ockam_wire::DecodeError::Missing(stringify!($field)))?,)*
                })
            }
        }
    };
}

/// An enum that is written as its number.
macro_rules! numbered {
    ($(#[$about:meta])* $name:ident($expected:literal) { $($(#[$doc:meta])* $number:literal $variant:ident $text:literal,)* }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name {
            $($(#[$doc])* $variant,)*
        }

        impl $name {
            /// All there are.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The one with this name.
            #[must_use]
            pub fn named(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|one| one.name() == name)
            }

            /// Its name in JSON and on the command line.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                }
            }

            /// Its number.
            #[must_use]
            pub const fn number(self) -> u64 {
                match self {
                    $(Self::$variant => $number,)*
                }
            }

            /// The one with this number.
            #[must_use]
            pub const fn numbered(number: u64) -> Option<Self> {
                match number {
                    $($number => Some(Self::$variant),)*
                    _ => None,
                }
            }
        }

        impl $crate::controller::message::Item for $name {
            fn write<W: minicbor::encode::Write>(
                &self,
                out: &mut minicbor::Encoder<W>,
            ) -> Result<(), minicbor::encode::Error<W::Error>> {
                out.u64(self.number())?.ok()
            }

            fn read(
                reader: &mut ockam_wire::cbor::Reader<'_>,
            ) -> Result<Self, ockam_wire::DecodeError> {
                Self::numbered(reader.uint()?).ok_or(ockam_wire::DecodeError::Unexpected($expected))
            }
        }
    };
}

pub(super) use {body, numbered};

/// Most items of one list.
pub const MAX_ITEMS: usize = 20_000;
/// Most bytes of one text: room for change histories and certificates.
pub const MAX_TEXT: usize = 192 * 1024;
/// How deep fields of later versions may be nested.
pub(super) const INNER: usize = 6;
