//! Buffers: a payload with room for the headers and tags to come.
//!
//! ```text
//! | headroom | visible bytes | tailroom |      one allocation
//! ```
//!
//! Each layer writes its header backwards into the headroom and its tag into the tailroom, so that a payload stays
//! where the socket put it. Received messages are the mirror: what a layer takes off becomes room for the layer
//! that answers or forwards.

use bytes::buf::Limit;
use bytes::{Buf, BufMut, BytesMut};
use core::fmt;
use core::sync::atomic::{AtomicUsize, Ordering};

/// Headroom that is enough for a portal message in two channels and a frame, with routes of usual length.
pub const HEADROOM: usize = 512;

/// Tailroom for three channel layers: one byte of padding and sixteen of tag each.
pub const TAILROOM: usize = 64;

/// How often a payload was copied because its buffer had no room left, in this process.
#[must_use]
pub fn headroom_misses() -> usize {
    MISSES.load(Ordering::Relaxed)
}

static MISSES: AtomicUsize = AtomicUsize::new(0);

/// Bytes with room in front of them and behind them.
#[derive(Default)]
pub struct Buffer {
    /// The headroom and the visible bytes; what its capacity is beyond that is the tailroom.
    bytes: BytesMut,
    start: usize,
}

impl Buffer {
    /// An empty buffer with room for `capacity` bytes, for headers in front of them and tags behind them.
    #[must_use]
    pub fn with_headroom(headroom: usize, capacity: usize, tailroom: usize) -> Self {
        let mut bytes = BytesMut::with_capacity(headroom + capacity + tailroom);
        bytes.resize(headroom, 0);
        Self {
            bytes,
            start: headroom,
        }
    }

    /// Takes over bytes of which the first `start` (at most all) are headroom.
    #[must_use]
    pub fn from_bytes(bytes: BytesMut, start: usize) -> Self {
        let start = start.min(bytes.len());
        Self { bytes, start }
    }

    /// A copy of `payload` with [`HEADROOM`] and [`TAILROOM`].
    #[must_use]
    pub fn from_slice(payload: &[u8]) -> Self {
        let mut buffer = Self::with_headroom(HEADROOM, payload.len(), TAILROOM);
        buffer.bytes.extend_from_slice(payload);
        buffer
    }

    /// Puts bytes in front.
    #[inline]
    pub fn prepend(&mut self, front: &[u8]) {
        self.claim_front(front.len()).copy_from_slice(front);
    }

    /// Puts bytes behind.
    #[inline]
    pub fn append(&mut self, back: &[u8]) {
        if self.tailroom() < back.len() {
            self.relocate(0, back.len());
        }
        self.bytes.extend_from_slice(back);
    }

    /// Makes `count` bytes in front visible and returns them to be written. Their content is unspecified.
    #[inline]
    pub fn claim_front(&mut self, count: usize) -> &mut [u8] {
        if self.start < count {
            self.relocate(count, 0);
        }
        self.start -= count;
        let end = self.start + count;
        self.bytes.get_mut(self.start..end).unwrap_or_default()
    }

    /// Gives the first `count` bytes (at most all) back to the headroom.
    #[inline]
    pub fn advance(&mut self, count: usize) {
        self.start += count.min(self.len());
    }

    /// Gives all but the first `length` bytes back to the tailroom.
    #[inline]
    pub fn truncate(&mut self, length: usize) {
        self.bytes.truncate(self.start.saturating_add(length));
    }

    /// The tailroom, or `limit` bytes of it, to be read into from a socket. What is written becomes visible.
    ///
    /// The limit keeps the rest of the tailroom for tags.
    pub fn spare_mut(&mut self, limit: usize) -> Limit<&mut BytesMut> {
        let limit = limit.min(self.tailroom());
        (&mut self.bytes).limit(limit)
    }

    /// The visible bytes, to be changed in place.
    #[inline]
    #[must_use]
    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        self.bytes.get_mut(self.start..).unwrap_or_default()
    }

    /// The visible bytes.
    #[inline]
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        self.bytes.get(self.start..).unwrap_or_default()
    }

    /// How many bytes are visible.
    #[inline]
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes.len() - self.start
    }

    /// Whether no bytes are visible.
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes that can be put in front without a copy.
    #[inline]
    #[must_use]
    pub fn headroom(&self) -> usize {
        self.start
    }

    /// Bytes that can be put behind without a copy.
    #[inline]
    #[must_use]
    pub fn tailroom(&self) -> usize {
        self.bytes.capacity() - self.bytes.len()
    }

    /// The visible bytes as an owned value, without a copy.
    #[must_use]
    pub fn into_bytes(mut self) -> BytesMut {
        self.bytes.advance(self.start);
        self.bytes
    }

    /// The visible bytes in an allocation of their own, so that they no longer keep the block alive which they were
    /// received in.
    #[must_use]
    pub fn detach(self) -> Self {
        Self::from_slice(self.as_slice())
    }

    /// Moves the visible bytes to an allocation with at least `front` and `back` bytes around them.
    #[cold]
    fn relocate(&mut self, front: usize, back: usize) {
        if !self.is_empty() {
            MISSES.fetch_add(1, Ordering::Relaxed);
        }
        let mut moved = Self::with_headroom(HEADROOM + front, self.len(), TAILROOM + back);
        moved.bytes.extend_from_slice(self.as_slice());
        *self = moved;
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        self.as_slice()
    }
}

impl fmt::Debug for Buffer {
    /// Lengths only: the content may be a plaintext.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Buffer")
            .field("len", &self.len())
            .field("headroom", &self.headroom())
            .field("tailroom", &self.tailroom())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_write_around_the_payload_in_place() {
        let mut buffer = Buffer::with_headroom(8, 100, 16);
        buffer.append(b"payload");
        let place = buffer.as_slice().as_ptr();
        buffer.prepend(b"head");
        buffer.append(b"tag");
        assert_eq!(buffer.as_slice(), b"headpayloadtag");
        assert_eq!(buffer.as_slice()[4..].as_ptr(), place);
        buffer.advance(4);
        buffer.truncate(7);
        assert_eq!(buffer.as_slice(), b"payload");
        assert_eq!((buffer.headroom(), buffer.as_slice().as_ptr()), (8, place));
        assert_eq!(buffer.into_bytes(), &b"payload"[..]);
    }

    #[test]
    fn missing_room_copies_once_and_is_counted() {
        let before = headroom_misses();
        let mut shared = BytesMut::from(&b"firstsecond"[..]);
        let mut first = Buffer::from_bytes(shared.split_to(5), 0);
        assert_eq!((first.headroom(), first.tailroom()), (0, 0));
        first.append(b"!");
        // Other tests count as well.
        assert!(headroom_misses() > before);
        let place = first.as_slice().as_ptr();
        first.prepend(b"the ");
        first.append(&[b'.'; TAILROOM]);
        assert_eq!(first.as_slice()[4..].as_ptr(), place);
        assert_eq!(&first.as_slice()[..10], b"the first!");
        assert_eq!(&shared[..], b"second");
    }

    #[test]
    fn neighbour_in_the_same_allocation_is_never_overwritten() {
        let mut shared = BytesMut::from(&b"aaaabbbb"[..]);
        let mut first = Buffer::from_bytes(shared.split_to(4), 2);
        first.truncate(1);
        assert_eq!(first.tailroom(), 1);
        first.append(b"xy");
        assert_eq!(&shared[..], b"bbbb");
        let mut second = Buffer::from_bytes(shared, 2);
        second.prepend(b"0123");
        assert_eq!(second.as_slice(), b"0123bb");
        assert_eq!(first.as_slice(), b"axy");
    }

    #[test]
    fn socket_reads_leave_room_for_tags() {
        let mut buffer = Buffer::with_headroom(4, 10, TAILROOM);
        {
            let mut spare = buffer.spare_mut(10);
            assert_eq!(spare.remaining_mut(), 10);
            spare.put_slice(b"0123456789");
            assert_eq!(spare.remaining_mut(), 0);
        }
        assert_eq!(buffer.as_slice(), b"0123456789");
        assert!(buffer.tailroom() >= TAILROOM);
        let mut full = Buffer::from_bytes(BytesMut::new(), 0);
        assert_eq!(full.spare_mut(usize::MAX).remaining_mut(), 0);
    }

    #[test]
    fn counts_beyond_the_content_are_harmless() {
        let mut buffer = Buffer::from_bytes(BytesMut::from(&b"abc"[..]), 9);
        assert_eq!((buffer.len(), buffer.headroom()), (0, 3));
        buffer.advance(1);
        buffer.truncate(usize::MAX);
        assert!(buffer.is_empty());
    }

    #[test]
    fn detached_bytes_have_their_own_allocation() {
        let mut shared = BytesMut::from(&b"aaaabbbb"[..]);
        let first = Buffer::from_bytes(shared.split_to(4), 1);
        let place = first.as_slice().as_ptr();
        let first = first.detach();
        assert_eq!(first.as_slice(), b"aaa");
        assert_ne!(first.as_slice().as_ptr(), place);
        assert_eq!(
            (first.headroom(), first.tailroom() >= TAILROOM),
            (HEADROOM, true)
        );
    }

    #[test]
    fn debug_shows_no_content() {
        let text = alloc::format!("{:?}", Buffer::from_slice(b"secret"));
        assert!(text.starts_with("Buffer { len: 6") && !text.contains("secret"));
    }
}
