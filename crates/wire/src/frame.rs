//! Frames: how routing messages follow each other on a byte stream.
//!
//! ```text
//! 01                 preamble: protocol version, once, in each direction
//! 0000001a | body    u32be length of the body, at most 16 MiB
//! 00000017 | body
//! ```
//!
//! # Invariants
//!
//! - [`FrameReader`] never allocates what a peer declares, only in proportion to what has arrived.
//! - Frames are split off the read buffer without copying. Each keeps its length prefix as headroom; it has no
//!   tailroom until a layer gives some back. All frames of a block keep the whole block alive: who keeps a small one
//!   for long calls [`Buffer::detach`].
//! - Small frames share a block and are read many at a time. A large one has a block of its own, and a read ends with
//!   it: nothing of the next one has to be moved to another block.
//! - After an error the stream is not usable: there is no way to find the next frame.
//!
//! Specification: messaging 2.1, guards of messaging 12 (W2).

use crate::buffer::Buffer;
use crate::route::Route;
use crate::routing::{self, EncodeError, RoutingMessage};
use bytes::buf::Limit;
use bytes::{Buf, BufMut, BytesMut};

/// The protocol version both sides write before anything else.
pub const PREAMBLE: u8 = 1;

/// Most bytes of a frame's body.
pub const MAX_FRAME: usize = routing::MAX_MESSAGE;

/// Bytes of the length in front of a body.
pub const PREFIX: usize = 4;

/// What a reader allocates before it knows more.
const STEP: usize = 64 * 1024;

/// What a reader allocates at a time when the peer keeps its buffer full.
const STEP_BUSY: usize = 256 * 1024;

/// Less room than this is not worth a read.
const READ_MIN: usize = 4 * 1024;

/// A frame of so many bytes has a block of its own.
const LARGE: usize = 32 * 1024;

/// Why a byte stream is not one of frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// The peer speaks another protocol, or another version of this one.
    #[error("peer begins with byte {0:#04x}, not with protocol version 1")]
    Preamble(u8),
    /// A frame is longer than the limit.
    #[error("frame of {length} bytes is longer than {limit}")]
    TooLong {
        /// Declared bytes of the body.
        length: usize,
        /// Most bytes accepted.
        limit: usize,
    },
}

/// Writes the length of `body` in front of it.
///
/// # Errors
/// If the body is longer than [`MAX_FRAME`].
pub fn frame(mut body: Buffer) -> Result<Buffer, EncodeError> {
    let length = checked(body.len())?;
    body.prepend(&length.to_be_bytes());
    Ok(body)
}

/// A message as one frame, in one buffer.
///
/// # Errors
/// If the body would be longer than [`MAX_FRAME`].
pub fn encode(message: RoutingMessage) -> Result<Buffer, EncodeError> {
    let RoutingMessage {
        onward,
        return_route,
        mut payload,
    } = message;
    let length = payload.len();
    let header = routing::checked_header_len(&onward, &return_route, length)?;
    let front = payload.claim_front(PREFIX + header);
    put(front, header, length, &onward, &return_route);
    Ok(payload)
}

/// A frame whose header may lie apart from its payload, for transports that write several slices at once.
#[derive(Debug, Default)]
pub struct Frame {
    head: Buffer,
    body: Buffer,
}

impl Frame {
    /// A message as one frame. Without room for the header in front of the payload, only the header is allocated:
    /// the payload is never copied.
    ///
    /// # Errors
    /// If the body would be longer than [`MAX_FRAME`].
    pub fn new(onward: &Route, return_route: &Route, payload: Buffer) -> Result<Self, EncodeError> {
        let length = payload.len();
        let header = routing::checked_header_len(onward, return_route, length)?;
        let (mut head, mut body) = (Buffer::default(), payload);
        let front = if body.headroom() >= PREFIX + header {
            body.claim_front(PREFIX + header)
        } else {
            head = Buffer::with_headroom(PREFIX + header, 0, 0);
            head.claim_front(PREFIX + header)
        };
        put(front, header, length, onward, return_route);
        Ok(Self { head, body })
    }

    /// What to write, in order. The first slice may be empty.
    #[must_use]
    pub fn slices(&self) -> [&[u8]; 2] {
        [self.head.as_slice(), self.body.as_slice()]
    }

    /// The routing message without its length, for transports that keep messages apart by themselves. Copies the
    /// payload when the header lies apart from it.
    #[must_use]
    pub fn into_message(mut self) -> Buffer {
        if !self.head.is_empty() {
            self.body.prepend(self.head.as_slice());
        }
        self.body.advance(PREFIX);
        self.body
    }

    /// Leaves out the first `count` bytes, which were written.
    pub fn advance(&mut self, count: usize) {
        let head = count.min(self.head.len());
        self.head.advance(head);
        self.body.advance(count - head);
    }

    /// Bytes left to write.
    #[must_use]
    pub fn len(&self) -> usize {
        self.head.len() + self.body.len()
    }

    /// Whether everything was written.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl From<Buffer> for Frame {
    /// Bytes that are framed already.
    fn from(body: Buffer) -> Self {
        Self {
            head: Buffer::default(),
            body,
        }
    }
}

fn put(out: &mut [u8], header: usize, payload: usize, onward: &Route, return_route: &Route) {
    if let Some((prefix, out)) = out.split_first_chunk_mut::<PREFIX>() {
        *prefix = ((header + payload) as u32).to_be_bytes();
        routing::put_header(out, onward, return_route, payload);
    }
}

fn checked(length: usize) -> Result<u32, EncodeError> {
    u32::try_from(length)
        .ok()
        .filter(|_| length <= MAX_FRAME)
        .ok_or(EncodeError::TooLong {
            length,
            limit: MAX_FRAME,
        })
}

/// Splits what arrives on a byte stream into frames.
///
/// Call [`next_frame`](Self::next_frame) until it returns nothing, then read once into
/// [`spare_mut`](Self::spare_mut), then begin again.
#[derive(Debug)]
pub struct FrameReader {
    buffer: BytesMut,
    limit: usize,
    step: usize,
    /// Bytes of the last frame's body: the next one is likely to be as long.
    last: usize,
    preamble: Preamble,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Preamble {
    Expected,
    Seen,
}

impl FrameReader {
    /// A reader for what follows the preamble, of frames of at most `limit` bytes.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self {
            buffer: BytesMut::new(),
            limit: limit.min(MAX_FRAME),
            step: STEP,
            last: 0,
            preamble: Preamble::Seen,
        }
    }

    /// A reader for a stream from its beginning: it checks and removes the preamble.
    #[must_use]
    pub fn with_preamble(limit: usize) -> Self {
        Self {
            preamble: Preamble::Expected,
            ..Self::new(limit)
        }
    }

    /// Appends what has arrived in another way than by a read into [`Self::spare_mut`].
    pub fn extend_from_slice(&mut self, arrived: &[u8]) {
        self.buffer.extend_from_slice(arrived);
    }

    /// Room for one read, as large as is worth making one for. What is written to it has arrived.
    ///
    /// The memory of the buffer is at most four times what has arrived of the current frame, plus one step of 256 KiB.
    pub fn spare_mut(&mut self) -> Limit<&mut BytesMut> {
        let arrived = self.buffer.len();
        let spare = self.buffer.capacity() - arrived;
        let declared = self.declared();
        let missing = |length: usize| (PREFIX + length).saturating_sub(arrived);
        let read = match declared.unwrap_or(self.last) {
            // To the end of the frame, and the length of the next one.
            length if length >= LARGE => missing(length) + PREFIX,
            _ => usize::MAX,
        };
        // Room for just the rest of a frame is enough: the next frame then begins a block of its own, uncopied.
        let rest = declared.map_or(0, missing);
        let worthwhile = if rest == 0 {
            READ_MIN
        } else {
            rest.min(READ_MIN)
        };
        if spare < worthwhile {
            // A full buffer means that more is waiting. What has arrived bounds what may be allocated, whatever the
            // peer declares. // spec: messaging 12 W2
            if arrived > 0 {
                self.step = (self.step * 2).min(STEP_BUSY);
            }
            let room = if read == usize::MAX {
                rest.min(arrived).max(self.step)
            } else {
                read.min(arrived.max(STEP_BUSY))
            };
            self.begin_block(room);
        }
        (&mut self.buffer).limit(read)
    }

    /// Goes on in a block with `room` bytes behind what has arrived.
    fn begin_block(&mut self, room: usize) {
        let mut block = BytesMut::with_capacity(self.buffer.len() + room);
        block.extend_from_slice(&self.buffer);
        self.buffer = block;
    }

    /// The next complete frame's body, if it has arrived.
    ///
    /// # Errors
    /// If the stream is not one of frames. Close it then.
    pub fn next_frame(&mut self) -> Result<Option<Buffer>, FrameError> {
        if self.preamble == Preamble::Expected {
            match self.buffer.first() {
                None => return Ok(None),
                Some(&PREAMBLE) => self.buffer.advance(1),
                Some(&other) => return Err(FrameError::Preamble(other)),
            }
            self.preamble = Preamble::Seen;
        }
        let Some(length) = self.declared() else {
            return Ok(None);
        };
        if length > self.limit {
            return Err(FrameError::TooLong {
                length,
                limit: self.limit,
            });
        }
        if self.buffer.len() < PREFIX + length {
            return Ok(None);
        }
        self.last = length;
        Ok(Some(Buffer::from_bytes(
            self.buffer.split_to(PREFIX + length),
            PREFIX,
        )))
    }

    /// Frees the memory if no part of a frame is in it: an idle connection needs none.
    pub fn release(&mut self) {
        if self.buffer.is_empty() {
            self.buffer = BytesMut::new();
            self.step = STEP;
        }
    }

    /// Where the stream is, to tell a slow peer from a silent one.
    #[must_use]
    pub fn position(&self) -> Position {
        if self.preamble == Preamble::Expected {
            Position::BeforePreamble
        } else if self.buffer.is_empty() {
            Position::BetweenFrames
        } else {
            Position::InsideFrame
        }
    }

    /// Bytes that have arrived and are not part of a frame returned.
    #[must_use]
    pub fn buffered(&self) -> usize {
        self.buffer.len()
    }

    fn declared(&self) -> Option<usize> {
        let prefix = self.buffer.first_chunk::<PREFIX>()?;
        usize::try_from(u32::from_be_bytes(*prefix)).ok()
    }
}

/// Where a stream is, see [`FrameReader::position`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Position {
    /// The peer has not said its protocol version.
    BeforePreamble,
    /// All frames that began are complete.
    BetweenFrames,
    /// A frame has begun and is not complete.
    InsideFrame,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Route;
    use alloc::vec;
    use alloc::vec::Vec;

    fn feed(reader: &mut FrameReader, bytes: &[u8]) {
        reader.extend_from_slice(bytes);
    }

    /// One read that finds `most` bytes.
    fn fill(reader: &mut FrameReader, most: usize) -> usize {
        let mut spare = reader.spare_mut();
        let read = spare.chunk_mut().len().min(most);
        spare.put_bytes(0, read);
        read
    }

    fn drain(reader: &mut FrameReader) -> Vec<Vec<u8>> {
        let mut bodies = Vec::new();
        while let Some(body) = reader.next_frame().unwrap() {
            bodies.push(body.as_slice().to_vec());
        }
        bodies
    }

    #[test]
    fn many_frames_of_one_read_are_split_without_copying() {
        let mut reader = FrameReader::new(MAX_FRAME);
        feed(&mut reader, &[0, 0, 0, 1, 7, 0, 0, 0, 0, 0, 0, 0, 2, 8, 9]);
        let base = reader.buffer.as_ptr() as usize;
        let bodies: Vec<_> = core::iter::from_fn(|| reader.next_frame().unwrap()).collect();
        let places: Vec<_> = bodies
            .iter()
            .map(|body| (body.as_slice().as_ptr() as usize - base, body.len()))
            .collect();
        assert_eq!(places, [(4, 1), (9, 0), (13, 2)]);
        assert!(
            bodies
                .iter()
                .all(|body| body.headroom() == PREFIX && body.tailroom() == 0)
        );
    }

    #[test]
    fn frames_arriving_byte_by_byte_come_out_whole() {
        let mut reader = FrameReader::with_preamble(MAX_FRAME);
        assert_eq!(reader.position(), Position::BeforePreamble);
        let mut bodies = Vec::new();
        for byte in [1, 0, 0, 0, 3, 1, 2, 3, 0, 0, 0, 1, 4] {
            feed(&mut reader, &[byte]);
            bodies.append(&mut drain(&mut reader));
        }
        assert_eq!(bodies, [vec![1, 2, 3], vec![4]]);
        assert_eq!(reader.position(), Position::BetweenFrames);
    }

    #[test]
    fn wrong_preamble_is_refused() {
        let mut reader = FrameReader::with_preamble(MAX_FRAME);
        feed(&mut reader, b"GET /");
        assert_eq!(reader.next_frame().unwrap_err(), FrameError::Preamble(b'G'));
    }

    #[test]
    fn frame_above_the_limit_is_refused_before_its_body_arrives() {
        let mut reader = FrameReader::new(MAX_FRAME);
        feed(&mut reader, &0x0100_0001_u32.to_be_bytes());
        assert!(matches!(
            reader.next_frame(),
            Err(FrameError::TooLong {
                length: 0x0100_0001,
                ..
            })
        ));
        let mut reader = FrameReader::new(MAX_FRAME);
        feed(&mut reader, &0x0100_0000_u32.to_be_bytes());
        assert!(reader.next_frame().unwrap().is_none());
    }

    #[test]
    fn guard_w02_declared_length_is_not_allocated() {
        let mut reader = FrameReader::new(MAX_FRAME);
        feed(&mut reader, &0x0100_0000_u32.to_be_bytes());
        let mut arrived = PREFIX;
        while reader.next_frame().unwrap().is_none() {
            let read = fill(&mut reader, 60_000);
            assert!(read > 0);
            let capacity = reader.buffer.capacity();
            assert!(
                capacity <= 4 * arrived + STEP_BUSY,
                "{capacity} for {arrived}"
            );
            arrived += read;
        }
    }

    #[test]
    fn sixteen_mebibytes_grow_in_few_reallocations() {
        let mut reader = FrameReader::new(MAX_FRAME);
        feed(&mut reader, &0x0100_0000_u32.to_be_bytes());
        let (mut grown, mut capacity) = (0, reader.buffer.capacity());
        while reader.next_frame().unwrap().is_none() {
            fill(&mut reader, 65_536);
            grown += usize::from(reader.buffer.capacity() != capacity);
            capacity = reader.buffer.capacity();
        }
        assert!(grown < 16, "{grown}");
    }

    #[test]
    fn large_frames_have_blocks_of_their_own_and_are_not_moved() {
        let length = 2 * LARGE;
        let frame = [&(length as u32).to_be_bytes()[..], &vec![7; length]].concat();
        let stream = frame.repeat(6);
        let mut reader = FrameReader::new(MAX_FRAME);
        let (mut at, mut frames, mut moved) = (0, 0, 0);
        while at < stream.len() {
            let (place, arrived) = (reader.buffer.as_ptr(), reader.buffered());
            let mut spare = reader.spare_mut();
            let read = spare.chunk_mut().len().min(stream.len() - at);
            spare.put_slice(&stream[at..at + read]);
            at += read;
            if reader.buffer.as_ptr() != place {
                moved += arrived;
            }
            while let Some(body) = reader.next_frame().unwrap() {
                assert_eq!(body.as_slice(), &frame[PREFIX..]);
                frames += 1;
            }
        }
        assert_eq!(frames, 6);
        // The first one was not known to be large.
        assert!(moved <= STEP + 6 * PREFIX, "{moved}");
    }

    #[test]
    fn idle_reader_holds_no_memory() {
        let mut reader = FrameReader::new(MAX_FRAME);
        feed(&mut reader, &[0, 0, 0, 1, 7]);
        reader.release();
        assert_eq!(reader.buffered(), 5);
        assert_eq!(drain(&mut reader), [vec![7]]);
        reader.release();
        assert_eq!(reader.buffer.capacity(), 0);
    }

    #[test]
    fn frame_without_headroom_leaves_its_payload_in_place() {
        let route: Route = "a => b".parse().unwrap();
        let payload = || Buffer::from_bytes(BytesMut::from(&b"payload"[..]), 0);
        let message = |payload| RoutingMessage {
            onward: route.clone(),
            return_route: route.clone(),
            payload,
        };
        let detached = payload();
        let place = detached.as_slice().as_ptr();
        let frame = |message: RoutingMessage| {
            Frame::new(&message.onward, &message.return_route, message.payload).unwrap()
        };
        let mut apart = frame(message(detached));
        assert_eq!(apart.slices()[1].as_ptr(), place);
        let whole = encode(message(payload())).unwrap();
        assert_eq!(apart.slices().concat(), whole.as_slice());
        let roomy = frame(message(Buffer::from_slice(b"payload")));
        assert!(roomy.slices()[0].is_empty());
        assert_eq!(roomy.slices()[1], whole.as_slice());
        let length = apart.len();
        for written in 1..=length {
            apart.advance(1);
            assert_eq!(apart.slices().concat(), whole.as_slice()[written..]);
        }
        assert!(apart.is_empty());
    }

    #[test]
    fn body_above_the_limit_is_not_written() {
        let body = Buffer::from_bytes(BytesMut::zeroed(MAX_FRAME + 1), 0);
        assert!(frame(body).is_err());
        let message = RoutingMessage {
            payload: Buffer::from_bytes(BytesMut::zeroed(MAX_FRAME), 0),
            ..Default::default()
        };
        assert!(message.encode().is_err());
    }
}
