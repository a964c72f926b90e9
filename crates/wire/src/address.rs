//! Addresses: one hop of a route.
//!
//! ```text
//! 82          array of two
//! 00          transport type, 0 = local
//! 44 6563686f name, at most 255 bytes
//! ```
//!
//! An address is kept in this form (the shortest CBOR one), so that comparing, hashing and putting it into a route
//! are operations on one slice. Up to 34 bytes of name, which covers every random name, there is no heap allocation
//! behind it, and cloning copies 40 bytes. Longer ones are shared.
//!
//! Specification: messaging 1.6.

use crate::cbor::{self, DecodeError, Reader};
use alloc::sync::Arc;
use core::borrow::Borrow;
use core::fmt::{self, Write};
use core::hash::{Hash, Hasher};
use core::str::FromStr;

/// Longest name of an address. // spec: messaging 12 W4
pub const MAX_NAME: usize = 255;

/// Which kind of hop an address names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TransportType(pub u8);

impl TransportType {
    /// A worker of the node that handles the hop.
    pub const LOCAL: Self = Self(0);
    /// `host:port` over TCP.
    pub const TCP: Self = Self(1);
    /// `ip:port` over UDP.
    pub const UDP: Self = Self(2);
    /// `ip:port` over WebSocket.
    pub const WEBSOCKET: Self = Self(3);
    /// A Bluetooth device name.
    pub const BLE: Self = Self(4);
    /// Path of a Unix socket.
    pub const UDS: Self = Self(5);
}

impl fmt::Display for TransportType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Why an address could not be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddressError {
    /// The name is longer than [`MAX_NAME`] bytes.
    #[error("name of an address is longer than 255 bytes")]
    NameTooLong,
    /// The text has more than one `#`.
    #[error("address has more than one `#`")]
    ManySeparators,
    /// What precedes the `#` is not a number from 0 to 255.
    #[error("transport type of an address is not a number from 0 to 255")]
    TransportType,
}

/// One hop of a route: a transport type and a name.
#[derive(Clone)]
pub struct Address(Repr);

#[derive(Clone)]
enum Repr {
    Inline { length: u8, bytes: [u8; INLINE] },
    Shared(Arc<[u8]>),
}

const INLINE: usize = 38;

impl Address {
    /// Makes an address of any transport type.
    ///
    /// # Errors
    /// If the name is longer than [`MAX_NAME`].
    pub fn new(transport: TransportType, name: impl AsRef<[u8]>) -> Result<Self, AddressError> {
        let name = name.as_ref();
        if name.len() > MAX_NAME {
            return Err(AddressError::NameTooLong);
        }
        let mut header = [0; HOP_HEADER_MAX];
        let header = hop_header(&mut header, transport, name.len());
        let mut encoded = [0; HOP_HEADER_MAX + MAX_NAME];
        let length = header.len() + name.len();
        let (front, back) = encoded.split_at_mut(header.len());
        front.copy_from_slice(header);
        if let Some(slot) = back.get_mut(..name.len()) {
            slot.copy_from_slice(name);
        }
        Ok(Self::from_encoded(
            encoded.get(..length).unwrap_or_default(),
        ))
    }

    /// Makes the address of a local worker.
    ///
    /// # Errors
    /// If the name is longer than [`MAX_NAME`].
    pub fn local(name: impl AsRef<[u8]>) -> Result<Self, AddressError> {
        Self::new(TransportType::LOCAL, name)
    }

    /// Makes the address of a local worker with a well-known name, also in constants.
    ///
    /// # Panics
    /// If the name is longer than 34 bytes, when the constant is evaluated.
    #[must_use]
    pub const fn from_static(name: &'static str) -> Self {
        let name = name.as_bytes();
        let mut bytes = [0; INLINE];
        bytes[0] = 0x82;
        let start = if name.len() < 24 {
            bytes[2] = cbor::BYTES | name.len() as u8;
            3
        } else {
            bytes[2] = cbor::BYTES | 24;
            bytes[3] = name.len() as u8;
            4
        };
        assert!(
            start + name.len() <= INLINE,
            "a well-known name has at most 34 bytes"
        );
        let mut at = 0;
        while at < name.len() {
            bytes[start + at] = name[at];
            at += 1;
        }
        Self(Repr::Inline {
            length: (start + name.len()) as u8,
            bytes,
        })
    }

    /// Makes a local address that nobody can guess: 32 hexadecimal digits of `random`.
    #[must_use]
    pub fn random(random: [u8; 16]) -> Self {
        const DIGITS: [u8; 16] = *b"0123456789abcdef";
        let mut bytes = [0; INLINE];
        let [array, transport, head, length, name @ ..] = &mut bytes;
        (*array, *transport, *head, *length) = (0x82, 0, cbor::BYTES | 24, 32);
        for (pair, byte) in name.as_chunks_mut::<2>().0.iter_mut().zip(random) {
            *pair = [
                DIGITS[usize::from(byte >> 4)],
                DIGITS[usize::from(byte & 15)],
            ];
        }
        Self(Repr::Inline { length: 36, bytes })
    }

    /// The same address, borrowed.
    #[inline]
    #[must_use]
    pub fn as_ref(&self) -> AddressRef<'_> {
        AddressRef {
            encoded: self.encoded(),
        }
    }

    /// The transport type.
    #[inline]
    #[must_use]
    pub fn transport(&self) -> TransportType {
        self.as_ref().transport()
    }

    /// The name: arbitrary bytes, by convention UTF-8.
    #[inline]
    #[must_use]
    pub fn name(&self) -> &[u8] {
        self.as_ref().name()
    }

    /// Whether the address names a worker of the node that handles the hop.
    #[inline]
    #[must_use]
    pub fn is_local(&self) -> bool {
        self.transport() == TransportType::LOCAL
    }

    /// The shortest CBOR form.
    #[inline]
    #[must_use]
    pub fn encoded(&self) -> &[u8] {
        match &self.0 {
            Repr::Inline { length, bytes } => bytes.get(..usize::from(*length)).unwrap_or_default(),
            Repr::Shared(bytes) => bytes,
        }
    }

    /// Of a shortest form known to be valid.
    #[inline]
    fn from_encoded(encoded: &[u8]) -> Self {
        let mut bytes = [0; INLINE];
        match bytes.get_mut(..encoded.len()) {
            Some(slot) => {
                slot.copy_from_slice(encoded);
                Self(Repr::Inline {
                    length: encoded.len() as u8,
                    bytes,
                })
            }
            None => Self(Repr::Shared(encoded.into())),
        }
    }
}

/// A borrowed [`Address`], for example a hop inside a route.
///
/// Map lookups need no owned address: an [`Address`] borrows as its [`encoded`](AddressRef::encoded) bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct AddressRef<'a> {
    encoded: &'a [u8],
}

impl<'a> AddressRef<'a> {
    /// The transport type.
    #[inline]
    #[must_use]
    pub fn transport(self) -> TransportType {
        TransportType(match self.encoded {
            [_, 24, transport, ..] | [_, transport, ..] => *transport,
            _ => 0,
        })
    }

    /// The name: arbitrary bytes, by convention UTF-8.
    #[inline]
    #[must_use]
    pub fn name(self) -> &'a [u8] {
        let after_type = match self.encoded {
            [_, 24, _, rest @ ..] | [_, _, rest @ ..] => rest,
            _ => &[],
        };
        match after_type {
            [0x58, _, name @ ..] | [_, name @ ..] => name,
            [] => &[],
        }
    }

    /// Whether the address names a worker of the node that handles the hop.
    #[inline]
    #[must_use]
    pub fn is_local(self) -> bool {
        self.transport() == TransportType::LOCAL
    }

    /// The shortest CBOR form.
    #[inline]
    #[must_use]
    pub fn encoded(self) -> &'a [u8] {
        self.encoded
    }

    /// An owned copy.
    #[inline]
    #[must_use]
    pub fn to_address(self) -> Address {
        Address::from_encoded(self.encoded)
    }

    /// The first of several addresses in shortest form that are known to be valid, and what follows it.
    #[inline]
    pub(crate) fn split_first(encoded: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let type_len = if *encoded.get(1)? == 24 { 2 } else { 1 };
        let head = *encoded.get(1 + type_len)?;
        let length = if head == 0x58 {
            3 + type_len + usize::from(*encoded.get(2 + type_len)?)
        } else {
            2 + type_len + usize::from(head & 0x1f)
        };
        let (encoded, rest) = encoded.split_at_checked(length)?;
        Some((Self { encoded }, rest))
    }

    /// The first of several addresses, if what a peer sent begins with one in shortest form, and what follows it.
    #[inline]
    pub(crate) fn split_shortest(received: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (head, name) = match received {
            [0x82, 0..=23, head @ 0x40..=0x57, ..] => (3, usize::from(head & 0x1f)),
            [0x82, 0..=23, 0x58, name @ 24..=255, ..] => (4, usize::from(*name)),
            _ => return None,
        };
        let (encoded, rest) = received.split_at_checked(head + name)?;
        Some((Self { encoded }, rest))
    }

    /// Transport type and name of an address in any form published nodes accept.
    #[inline]
    pub(crate) fn read_parts(
        reader: &mut Reader<'a>,
    ) -> Result<(TransportType, &'a [u8]), DecodeError> {
        let mut fields = reader.array()?;
        if !reader.more(&mut fields)? {
            return Err(DecodeError::Missing("transport type"));
        }
        let transport = u8::try_from(reader.uint()?)
            .map_err(|_| DecodeError::Unexpected("a transport type below 256"))?;
        if !reader.more(&mut fields)? {
            return Err(DecodeError::Missing("name"));
        }
        let name = reader.bytes()?;
        while reader.more(&mut fields)? {
            reader.skip(cbor::MAX_NESTING)?;
        }
        Ok((TransportType(transport), name))
    }
}

/// Bytes of the shortest form of an address.
#[inline]
pub(crate) fn hop_len(transport: TransportType, name: usize) -> usize {
    1 + cbor::head_len(usize::from(transport.0)) + cbor::head_len(name) + name
}

/// Writes what precedes the name of an address whose name has at most [`MAX_NAME`] bytes.
#[inline]
pub(crate) fn hop_header(
    out: &mut [u8; HOP_HEADER_MAX],
    transport: TransportType,
    name: usize,
) -> &[u8] {
    let length = hop_len(transport, name) - name;
    let rest = cbor::put_head(out, cbor::ARRAY, 2);
    let rest = cbor::put_head(rest, 0, usize::from(transport.0));
    cbor::put_head(rest, cbor::BYTES, name);
    out.get(..length).unwrap_or_default()
}

pub(crate) const HOP_HEADER_MAX: usize = 5;

impl<'a> From<&'a Address> for AddressRef<'a> {
    fn from(address: &'a Address) -> Self {
        address.as_ref()
    }
}

impl From<AddressRef<'_>> for Address {
    fn from(address: AddressRef<'_>) -> Self {
        address.to_address()
    }
}

impl From<&Self> for Address {
    fn from(address: &Self) -> Self {
        address.clone()
    }
}

impl PartialEq for Address {
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        self.encoded() == other.encoded()
    }
}

impl Eq for Address {}

impl PartialEq<AddressRef<'_>> for Address {
    #[inline]
    fn eq(&self, other: &AddressRef<'_>) -> bool {
        self.encoded() == other.encoded
    }
}

impl PartialEq<Address> for AddressRef<'_> {
    #[inline]
    fn eq(&self, other: &Address) -> bool {
        self.encoded == other.encoded()
    }
}

impl PartialOrd for Address {
    fn partial_cmp(&self, other: &Self) -> Option<core::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Address {
    fn cmp(&self, other: &Self) -> core::cmp::Ordering {
        self.encoded().cmp(other.encoded())
    }
}

// All three hash alike: `Borrow` promises it to maps.
impl Hash for Address {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.encoded().hash(state);
    }
}

impl Hash for AddressRef<'_> {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.encoded.hash(state);
    }
}

impl Borrow<[u8]> for Address {
    #[inline]
    fn borrow(&self) -> &[u8] {
        self.encoded()
    }
}

impl fmt::Display for AddressRef<'_> {
    /// `<type>#<name>`. Invisible characters and bytes that are not UTF-8 are escaped: names come from peers and end
    /// up in logs and on terminals.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#", self.transport())?;
        for chunk in self.name().utf8_chunks() {
            for character in chunk.valid().chars() {
                match character {
                    '\\' | '\'' | '"' => f.write_char(character)?,
                    _ => fmt::Display::fmt(&character.escape_debug(), f)?,
                }
            }
            for byte in chunk.invalid() {
                write!(f, "\\x{byte:02x}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_ref().fmt(f)
    }
}

impl fmt::Debug for AddressRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Address {
    type Err = AddressError;

    // spec: messaging 1.6 (without `#` the type is 0, the empty name is allowed)
    fn from_str(text: &str) -> Result<Self, AddressError> {
        let Some((transport, name)) = text.split_once('#') else {
            return Self::local(text);
        };
        if name.contains('#') {
            return Err(AddressError::ManySeparators);
        }
        if !transport.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(AddressError::TransportType);
        }
        let transport = transport.parse().map_err(|_| AddressError::TransportType)?;
        Self::new(TransportType(transport), name)
    }
}

impl<C> minicbor::Encode<C> for Address {
    fn encode<W: minicbor::encode::Write>(
        &self,
        e: &mut minicbor::Encoder<W>,
        _: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        e.writer_mut()
            .write_all(self.encoded())
            .map_err(minicbor::encode::Error::write)
    }
}

impl<'b, C> minicbor::Decode<'b, C> for Address {
    fn decode(d: &mut minicbor::Decoder<'b>, _: &mut C) -> Result<Self, minicbor::decode::Error> {
        let start = d.position();
        let mut reader = Reader::new(d.input().get(start..).unwrap_or_default());
        let (transport, name) =
            AddressRef::read_parts(&mut reader).map_err(minicbor::decode::Error::message)?;
        d.set_position(start + reader.position());
        Self::new(transport, name).map_err(minicbor::decode::Error::message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::{String, ToString};
    use core::hash::BuildHasher;

    #[test]
    fn vectors_are_read_and_written_the_same() {
        // V7
        let address: Address = "2#1.2.3.4:5".parse().unwrap();
        assert_eq!(hex::encode(address.encoded()), "820249312e322e332e343a35");
        assert_eq!(
            minicbor::decode::<Address>(address.encoded()).unwrap(),
            address
        );
        assert_eq!(minicbor::to_vec(&address).unwrap(), address.encoded());
    }

    #[test]
    fn text_without_type_is_local() {
        for (text, printed) in [
            ("echo", "0#echo"),
            ("0#echo", "0#echo"),
            ("", "0#"),
            ("1#", "1#"),
            ("255#x", "255#x"),
        ] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), printed);
        }
    }

    #[test]
    fn malformed_texts_are_refused() {
        assert_eq!(
            "0#a#b".parse::<Address>(),
            Err(AddressError::ManySeparators)
        );
        for text in ["#a", "256#a", "+1#a", "x#a", " 1#a", "-1#a"] {
            assert_eq!(
                text.parse::<Address>(),
                Err(AddressError::TransportType),
                "{text}"
            );
        }
        assert_eq!(
            "x".repeat(256).parse::<Address>(),
            Err(AddressError::NameTooLong)
        );
    }

    #[test]
    fn parts_come_back_for_every_length_and_type() {
        for length in 0..=MAX_NAME {
            for transport in [0, 1, 23, 24, 255] {
                let name = alloc::vec![b'n'; length];
                let address = Address::new(TransportType(transport), &name).unwrap();
                assert_eq!(
                    (address.transport().0, address.name()),
                    (transport, &name[..])
                );
                assert_eq!(address.as_ref().to_address(), address);
                assert_eq!(
                    minicbor::decode::<Address>(address.encoded()).unwrap(),
                    address
                );
            }
        }
        assert_eq!(Address::local([0; 256]), Err(AddressError::NameTooLong));
    }

    #[test]
    fn static_and_random_addresses_are_ordinary_ones() {
        const ECHO: Address = Address::from_static("echo");
        assert_eq!(ECHO, Address::local("echo").unwrap());
        let longest = "x".repeat(34);
        assert_eq!(
            Address::from_static("xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"),
            Address::local(longest).unwrap()
        );
        let random = Address::random(core::array::from_fn(|at| at as u8 * 17));
        assert_eq!(
            random,
            Address::local("00112233445566778899aabbccddeeff").unwrap()
        );
    }

    #[test]
    fn borrowed_forms_hash_alike() {
        let state = std::hash::RandomState::new();
        let address = Address::local("echo").unwrap();
        assert_eq!(state.hash_one(&address), state.hash_one(address.as_ref()));
        assert_eq!(state.hash_one(&address), state.hash_one(address.encoded()));
    }

    #[test]
    fn printing_a_hostile_name_is_harmless() {
        let address = Address::local(b"a\x1b[2J\n\xff\xe2\x80\xae'\\").unwrap();
        assert_eq!(address.to_string(), "0#a\\u{1b}[2J\\n\\xff\\u{202e}'\\");
    }

    #[test]
    fn forms_of_published_nodes_are_read() {
        for hex in [
            "9f004161ff",
            "83004161f6",
            "8218004161",
            "820058 0161",
            "9a0000000200 4161",
        ] {
            let hex: String = hex.split(' ').collect();
            let address = minicbor::decode::<Address>(&hex::decode(&hex).unwrap()).unwrap();
            assert_eq!(address, Address::from_static("a"), "{hex}");
        }
        for hex in [
            "8100",
            "80",
            "82006161",
            "8219010041",
            "824161",
            "82005f4161ff",
        ] {
            assert!(
                minicbor::decode::<Address>(&hex::decode(hex).unwrap()).is_err(),
                "{hex}"
            );
        }
    }
}
