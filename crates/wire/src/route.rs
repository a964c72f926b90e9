//! Routes: the hops a message still has to take.
//!
//! A route is kept encoded, without the array header in front:
//!
//! ```text
//! | free | 82 00 41 61 | 82 00 41 62 |
//!        ^ start         two hops in their shortest form
//! ```
//!
//! Taking the first hop moves `start`; putting one in front writes into the free bytes. Up to 128 bytes, which is
//! three random names, live inside the value.
//!
//! Specification: messaging 1.6, limits of messaging 12 (W4, W5).

use crate::address::{HOP_HEADER_MAX, hop_header, hop_len};
use crate::cbor::{self, Count, DecodeError, Reader};
use crate::{Address, AddressError, AddressRef, MAX_NAME, TransportType};
use core::fmt;
use core::hash::{Hash, Hasher};
use core::str::FromStr;
use smallvec::SmallVec;

/// Most hops of a route. // spec: messaging 12 W5
pub const MAX_HOPS: usize = 32;

/// Most encoded bytes of a route. // spec: messaging 12 W4
pub const MAX_ROUTE: usize = 4096;

/// Why a route could not be made or extended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RouteError {
    /// More than [`MAX_HOPS`] hops.
    #[error("route has more than 32 hops")]
    TooManyHops,
    /// More than [`MAX_ROUTE`] encoded bytes.
    #[error("route is longer than 4096 bytes")]
    TooLong,
    /// A hop is not an address.
    #[error(transparent)]
    Address(#[from] AddressError),
}

/// The hops a message still has to take, first one first.
#[derive(Default)]
pub struct Route {
    bytes: SmallVec<[u8; INLINE]>,
    start: u16,
    hops: u8,
}

const INLINE: usize = 128;

/// Free bytes kept in front of a received route: the receiving transport puts its own address there.
const FRONT: usize = 40;

impl Route {
    /// A route without hops.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A route of these hops.
    ///
    /// # Errors
    /// If they are too many or too long.
    pub fn from_hops<A: Into<Address>>(
        hops: impl IntoIterator<Item = A>,
    ) -> Result<Self, RouteError> {
        let mut route = Self::new();
        for hop in hops {
            route.push_back(&hop.into())?;
        }
        Ok(route)
    }

    /// Removes the first hop and returns it.
    #[inline]
    pub fn pop_front(&mut self) -> Option<Address> {
        let (first, _) = AddressRef::split_first(self.encoded())?;
        let (address, length) = (first.to_address(), first.encoded().len());
        self.shorten_front(length);
        Some(address)
    }

    /// Removes the first hop without looking at it. Tells whether there was one.
    #[inline]
    pub fn drop_front(&mut self) -> bool {
        let Some((first, _)) = AddressRef::split_first(self.encoded()) else {
            return false;
        };
        let length = first.encoded().len();
        self.shorten_front(length);
        true
    }

    /// Removes the last hop and returns it.
    pub fn pop_back(&mut self) -> Option<Address> {
        let last = self.last()?;
        let (address, length) = (last.to_address(), last.encoded().len());
        self.bytes.truncate(self.bytes.len().saturating_sub(length));
        self.hops -= 1;
        Some(address)
    }

    /// Puts a hop in front of all others.
    ///
    /// # Errors
    /// If the route would be beyond its limits; it is unchanged then.
    #[inline]
    pub fn push_front<'a>(&mut self, address: impl Into<AddressRef<'a>>) -> Result<(), RouteError> {
        self.prepend_encoded(address.into().encoded(), 1)
    }

    /// Puts a hop behind all others.
    ///
    /// # Errors
    /// If the route would be beyond its limits; it is unchanged then.
    pub fn push_back<'a>(&mut self, address: impl Into<AddressRef<'a>>) -> Result<(), RouteError> {
        self.append_encoded(address.into().encoded(), 1)
    }

    /// Puts all hops of another route in front.
    ///
    /// # Errors
    /// If the route would be beyond its limits; it is unchanged then.
    pub fn prepend(&mut self, front: &Self) -> Result<(), RouteError> {
        self.prepend_encoded(front.encoded(), front.hops)
    }

    /// Puts all hops of another route behind.
    ///
    /// # Errors
    /// If the route would be beyond its limits; it is unchanged then.
    pub fn append(&mut self, back: &Self) -> Result<(), RouteError> {
        self.append_encoded(back.encoded(), back.hops)
    }

    /// The first hop: where the message goes next.
    #[inline]
    #[must_use]
    pub fn first(&self) -> Option<AddressRef<'_>> {
        AddressRef::split_first(self.encoded()).map(|(first, _)| first)
    }

    /// The last hop: where the message ends.
    #[must_use]
    pub fn last(&self) -> Option<AddressRef<'_>> {
        self.iter().last()
    }

    /// All hops in order.
    #[must_use]
    pub fn iter(&self) -> Hops<'_> {
        Hops {
            rest: self.encoded(),
            left: self.hops,
        }
    }

    /// How many hops there are.
    #[inline]
    #[must_use]
    pub fn len(&self) -> usize {
        usize::from(self.hops)
    }

    /// Whether there are no hops.
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.hops == 0
    }

    /// The hops in their shortest CBOR form, without an array header.
    #[inline]
    #[must_use]
    pub fn encoded(&self) -> &[u8] {
        self.bytes
            .get(usize::from(self.start)..)
            .unwrap_or_default()
    }

    /// Bytes of the CBOR form, with its array header.
    #[inline]
    #[must_use]
    pub fn encoded_len(&self) -> usize {
        cbor::head_len(self.len()) + self.encoded().len()
    }

    /// Writes the CBOR form to the start of `out`, which must hold [`encoded_len`](Self::encoded_len) bytes.
    #[inline]
    pub(crate) fn put<'o>(&self, out: &'o mut [u8]) -> &'o mut [u8] {
        let out = cbor::put_head(out, cbor::ARRAY, self.len());
        let hops = self.encoded();
        let Some((slot, rest)) = out.split_at_mut_checked(hops.len()) else {
            return &mut [];
        };
        slot.copy_from_slice(hops);
        rest
    }

    /// Becomes the route that a peer sent, in any form published nodes accept.
    pub(crate) fn read(&mut self, reader: &mut Reader<'_>) -> Result<(), DecodeError> {
        let mut count = reader.array()?;
        if let Count::Known(hops) = count
            && let Some(read) = self.read_shortest(reader.rest(), hops)
        {
            reader.advance(read);
            return Ok(());
        }
        self.clear();
        while reader.more(&mut count)? {
            let (transport, name) = AddressRef::read_parts(reader)?;
            self.push_back_parts(transport, name)?;
        }
        Ok(())
    }

    /// The same of hops in the form that is kept, as nearly all are. Returns how many bytes they were.
    #[inline]
    fn read_shortest(&mut self, received: &[u8], hops: u64) -> Option<usize> {
        let hops = u8::try_from(hops)
            .ok()
            .filter(|hops| usize::from(*hops) <= MAX_HOPS)?;
        let mut rest = received;
        for _ in 0..hops {
            (_, rest) = AddressRef::split_shortest(rest)?;
        }
        let encoded = received.get(..received.len() - rest.len())?;
        check_room(0, 0, usize::from(hops), encoded.len()).ok()?;
        self.clear();
        if FRONT + encoded.len() <= INLINE {
            self.bytes.extend_from_slice(&[0; FRONT]);
            self.start = FRONT as u16;
        }
        self.bytes.extend_from_slice(encoded);
        self.hops = hops;
        Some(encoded.len())
    }

    fn clear(&mut self) {
        self.bytes.clear();
        (self.start, self.hops) = (0, 0);
    }

    pub(crate) fn push_back_parts(
        &mut self,
        transport: TransportType,
        name: &[u8],
    ) -> Result<(), RouteError> {
        check_name(name)?;
        check_room(
            self.len(),
            self.encoded().len(),
            1,
            hop_len(transport, name.len()),
        )?;
        let mut header = [0; HOP_HEADER_MAX];
        self.bytes
            .extend_from_slice(hop_header(&mut header, transport, name.len()));
        self.bytes.extend_from_slice(name);
        self.hops += 1;
        Ok(())
    }

    #[inline]
    fn shorten_front(&mut self, length: usize) {
        self.hops -= 1;
        // An empty route begins anew, so that a route refilled from behind does not creep along.
        if self.hops == 0 {
            self.bytes.truncate(FRONT);
            self.start = self.bytes.len() as u16;
        } else {
            self.start += length as u16;
        }
    }

    fn append_encoded(&mut self, encoded: &[u8], hops: u8) -> Result<(), RouteError> {
        check_room(
            self.len(),
            self.encoded().len(),
            usize::from(hops),
            encoded.len(),
        )?;
        let start = usize::from(self.start);
        if start > 0 && self.bytes.len() + encoded.len() > self.bytes.capacity() {
            self.bytes.drain(..start);
            self.start = 0;
        }
        self.bytes.extend_from_slice(encoded);
        self.hops += hops;
        Ok(())
    }

    #[inline]
    fn prepend_encoded(&mut self, encoded: &[u8], hops: u8) -> Result<(), RouteError> {
        let kept = self.encoded().len();
        check_room(self.len(), kept, usize::from(hops), encoded.len())?;
        let start = usize::from(self.start);
        let front = match start.checked_sub(encoded.len()) {
            Some(front) => front,
            None => {
                self.bytes.resize(encoded.len() + kept, 0);
                self.bytes.copy_within(start..start + kept, encoded.len());
                0
            }
        };
        if let Some(slot) = self.bytes.get_mut(front..front + encoded.len()) {
            slot.copy_from_slice(encoded);
        }
        self.start = front as u16;
        self.hops += hops;
        Ok(())
    }
}

fn check_name(name: &[u8]) -> Result<(), RouteError> {
    if name.len() > MAX_NAME {
        Err(AddressError::NameTooLong.into())
    } else {
        Ok(())
    }
}

#[inline]
fn check_room(
    hops: usize,
    bytes: usize,
    more_hops: usize,
    more_bytes: usize,
) -> Result<(), RouteError> {
    if hops + more_hops > MAX_HOPS {
        return Err(RouteError::TooManyHops);
    }
    if bytes + more_bytes > MAX_ROUTE {
        return Err(RouteError::TooLong);
    }
    Ok(())
}

/// The hops of a route, see [`Route::iter`].
#[derive(Clone, Debug)]
pub struct Hops<'a> {
    rest: &'a [u8],
    left: u8,
}

impl<'a> Iterator for Hops<'a> {
    type Item = AddressRef<'a>;

    #[inline]
    fn next(&mut self) -> Option<AddressRef<'a>> {
        let (first, rest) = AddressRef::split_first(self.rest)?;
        self.rest = rest;
        self.left -= 1;
        Some(first)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (usize::from(self.left), Some(usize::from(self.left)))
    }
}

impl ExactSizeIterator for Hops<'_> {}

impl<'a> IntoIterator for &'a Route {
    type Item = AddressRef<'a>;
    type IntoIter = Hops<'a>;

    fn into_iter(self) -> Hops<'a> {
        self.iter()
    }
}

impl From<Address> for Route {
    /// A route of one hop, which is always within the limits.
    fn from(address: Address) -> Self {
        let mut route = Self::new();
        route.bytes.extend_from_slice(address.encoded());
        route.hops = 1;
        route
    }
}

impl Clone for Route {
    // The bytes at once: a derived clone takes one after the other.
    fn clone(&self) -> Self {
        Self {
            bytes: SmallVec::from_slice(&self.bytes),
            ..*self
        }
    }

    fn clone_from(&mut self, other: &Self) {
        self.clear();
        self.bytes.extend_from_slice(&other.bytes);
        (self.start, self.hops) = (other.start, other.hops);
    }
}

impl PartialEq for Route {
    fn eq(&self, other: &Self) -> bool {
        self.encoded() == other.encoded()
    }
}

impl Eq for Route {}

impl Hash for Route {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.encoded().hash(state);
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, hop) in self.iter().enumerate() {
            if position > 0 {
                f.write_str(" => ")?;
            }
            fmt::Display::fmt(&hop, f)?;
        }
        Ok(())
    }
}

impl fmt::Debug for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{self}]")
    }
}

impl FromStr for Route {
    type Err = RouteError;

    /// Empty text is the route without hops.
    fn from_str(text: &str) -> Result<Self, RouteError> {
        let mut route = Self::new();
        if !text.trim().is_empty() {
            for hop in text.split("=>") {
                route.push_back(&hop.trim().parse::<Address>()?)?;
            }
        }
        Ok(route)
    }
}

impl<C> minicbor::Encode<C> for Route {
    fn encode<W: minicbor::encode::Write>(
        &self,
        e: &mut minicbor::Encoder<W>,
        _: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        e.array(u64::from(self.hops))?;
        e.writer_mut()
            .write_all(self.encoded())
            .map_err(minicbor::encode::Error::write)
    }
}

impl<'b, C> minicbor::Decode<'b, C> for Route {
    fn decode(d: &mut minicbor::Decoder<'b>, _: &mut C) -> Result<Self, minicbor::decode::Error> {
        let start = d.position();
        let mut reader = Reader::new(d.input().get(start..).unwrap_or_default());
        let mut route = Self::new();
        route
            .read(&mut reader)
            .map_err(minicbor::decode::Error::message)?;
        d.set_position(start + reader.position());
        Ok(route)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;
    use alloc::vec::Vec;

    fn route(text: &str) -> Route {
        text.parse().unwrap()
    }

    fn name(length: usize) -> Address {
        Address::local(alloc::vec![b'x'; length]).unwrap()
    }

    #[test]
    fn text_is_trimmed_and_printed_with_types() {
        assert_eq!(route("a=> 1#b:2  =>c").to_string(), "0#a => 1#b:2 => 0#c");
        assert_eq!(route("").len(), 0);
        assert_eq!(route("0#").len(), 1);
        assert!("a => b#c#d".parse::<Route>().is_err());
    }

    #[test]
    fn hops_leave_and_enter_at_both_ends() {
        let mut route = route("a => b => c");
        assert_eq!(route.first().unwrap(), Address::from_static("a"));
        assert_eq!(route.last().unwrap(), Address::from_static("c"));
        assert_eq!(route.pop_front().unwrap(), Address::from_static("a"));
        assert_eq!(route.pop_back().unwrap(), Address::from_static("c"));
        route
            .push_front(&Address::from_static("longer than what was freed"))
            .unwrap();
        route.push_back(&Address::from_static("d")).unwrap();
        assert_eq!(
            route.to_string(),
            "0#longer than what was freed => 0#b => 0#d"
        );
        assert!(route.drop_front() && route.drop_front() && route.drop_front());
        assert!(!route.drop_front());
        assert_eq!(
            (route.pop_front(), route.pop_back(), route.first()),
            (None, None, None)
        );
        assert!(route.is_empty() && route.encoded().is_empty());
    }

    #[test]
    fn whole_routes_are_put_in_front_and_behind() {
        let mut middle = route("c => d");
        middle.prepend(&route("a => b")).unwrap();
        middle.append(&route("e")).unwrap();
        assert_eq!(middle, route("a => b => c => d => e"));
        assert_eq!(middle.iter().len(), 5);
    }

    #[test]
    fn endless_use_does_not_grow_the_value() {
        let mut route = route("a => b");
        for round in 0..100_000_u32 {
            let hop = route.pop_front().unwrap();
            route.push_back(&hop).unwrap();
            if round % 3 == 0 {
                let hop = route.pop_back().unwrap();
                route.push_front(&hop).unwrap();
            }
        }
        assert_eq!(route.len(), 2);
        assert!(route.bytes.capacity() <= 4 * INLINE);
    }

    #[test]
    fn guard_w04_limits_hold_at_every_door_and_change_nothing() {
        let mut full = Route::from_hops((0..MAX_HOPS).map(|_| Address::from_static("a"))).unwrap();
        let before = full.clone();
        let one = route("b");
        for refused in [
            full.push_back(&Address::from_static("b")),
            full.push_front(&Address::from_static("b")),
            full.prepend(&one),
            full.append(&one),
        ] {
            assert_eq!(refused, Err(RouteError::TooManyHops));
        }
        assert_eq!(full, before);
        let mut long = Route::from_hops((0..15).map(|_| name(255))).unwrap();
        assert_eq!(long.encoded().len(), 15 * 259);
        assert_eq!(long.push_front(&name(255)), Err(RouteError::TooLong));
        long.push_front(&name(MAX_ROUTE - 15 * 259 - 4)).unwrap();
        assert_eq!(long.encoded().len(), MAX_ROUTE);
        assert_eq!(long.push_back(&name(0)), Err(RouteError::TooLong));
    }

    #[test]
    fn received_route_beyond_the_limits_is_refused() {
        let hops = |count: usize, hop: &str| {
            let mut reader = alloc::vec![0x98, count as u8];
            for _ in 0..count {
                reader.extend_from_slice(&hex::decode(hop).unwrap());
            }
            minicbor::decode::<Route>(&reader).map(|route| route.len())
        };
        assert_eq!(hops(32, "82004161").unwrap(), 32);
        assert!(hops(33, "82004161").is_err());
        assert!(hops(1, &alloc::format!("8200590100{}", "00".repeat(256))).is_err());
        assert!(hops(16, &alloc::format!("820058ff{}", "00".repeat(255))).is_err());
        assert!(
            minicbor::decode::<Route>(&[0x9b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff])
                .is_err()
        );
    }

    #[test]
    fn received_routes_become_shortest_form() {
        for hex in [
            "82 82004161 82004162",
            "9f 82004161 82004162 ff",
            "82 83004161f6 9f004162ff",
            "9802 8218004161 8200580162",
        ] {
            let hex = hex.split(' ').collect::<Vec<_>>().concat();
            let decoded: Route = minicbor::decode(&hex::decode(&hex).unwrap()).unwrap();
            assert_eq!(decoded, route("a => b"), "{hex}");
            assert_eq!(
                hex::encode(minicbor::to_vec(&decoded).unwrap()),
                "828200416182004162"
            );
            assert_eq!(decoded.encoded_len(), 9);
        }
    }
}
