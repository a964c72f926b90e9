//! What waits for slow local sockets, per channel (spec: extensions 4.3).
//!
//! A published peer has no windows: what it sends has to be kept. All connections of one portal over one channel share
//! a backlog. While there is room in it, a connection whose target takes nothing holds its neighbours up in no way. When
//! it is full, the channel waits, and the connection that has stalled longest is reset once that is half a minute.
//!
//! Streams never wait here, their windows bound them; they are counted, and get small windows when much waits.
//!
//! Invariants: bytes are counted from arrival until the socket took them; a connection that makes progress is never
//! reset.

use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use ockam_node::{Delivery, Queue, QueueReader, Queued, SendError};
use ockam_wire::Buffer;

/// What waits over one channel.
#[derive(Debug)]
pub(crate) struct Backlog {
    /// Holds an item only for a moment: its room is the backlog of the published connections, and the channel's task
    /// waits for it.
    gate: Arc<Queue<Buffer>>,
    // Takes out what was just put in, so that the room stays taken; held for these two steps.
    reader: Mutex<QueueReader<Buffer>>,
    waiting: AtomicUsize,
    /// Streams that have the wide window.
    wide: AtomicUsize,
    next: AtomicU64,
    // Ordered by how long they have stalled; held for one insertion, removal or look at the first.
    stalled: Mutex<BTreeSet<(Instant, u64)>>,
}

impl Backlog {
    pub(crate) fn new(limit: usize) -> Arc<Self> {
        let (gate, reader) = Queue::new(limit);
        Arc::new(Self {
            gate,
            reader: Mutex::new(reader),
            waiting: AtomicUsize::new(0),
            wide: AtomicUsize::new(0),
            next: AtomicU64::new(0),
            stalled: Mutex::default(),
        })
    }

    /// The queue whose room the source of published messages waits for.
    pub(crate) fn gate(&self) -> &Arc<Queue<Buffer>> {
        &self.gate
    }

    /// Turns the room that a message's source has waited for into room of its content.
    pub(crate) fn take_room(
        &self,
        content: Buffer,
        delivery: &mut Delivery<'_>,
    ) -> Result<(Buffer, Room), SendError> {
        let mut reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
        delivery.commit(&self.gate, content)?;
        let mut item = reader
            .try_recv()
            .ok_or_else(|| SendError::Stopped("the backlog is closed".into()))?;
        Ok((std::mem::take(&mut *item), Room(item)))
    }

    /// The window that a stream over this channel begins with now.
    pub(crate) fn window(&self) -> u64 {
        if self.waiting.load(Ordering::Relaxed) < self.gate.limit() / 2 {
            STREAM_WINDOW
        } else {
            CROWDED_STREAM_WINDOW
        }
    }

    /// Adds a connection.
    pub(crate) fn enter(self: &Arc<Self>) -> Share {
        Share {
            backlog: self.clone(),
            id: self.next.fetch_add(1, Ordering::Relaxed),
            waiting: AtomicUsize::new(0),
            wide: AtomicBool::new(false),
            stalled_since: Mutex::new(None),
        }
    }

    fn is_full(&self) -> bool {
        // A source that waits takes what is left piece by piece; less than a message of room is none.
        self.waiting.load(Ordering::Relaxed) + LARGE_MESSAGE >= self.gate.limit()
    }
}

/// One connection's part of a backlog.
#[derive(Debug)]
pub(crate) struct Share {
    backlog: Arc<Backlog>,
    id: u64,
    waiting: AtomicUsize,
    /// Whether it is one of the streams that have the wide window.
    wide: AtomicBool,
    // Written by the connection's own task only.
    stalled_since: Mutex<Option<Instant>>,
}

impl Share {
    /// Counts content that has arrived; it waits until the returned value is dropped.
    pub(crate) fn hold(self: &Arc<Self>, content: usize, room: Option<Room>) -> Held {
        let bytes = content + CHUNK_WEIGHT;
        self.waiting.fetch_add(bytes, Ordering::Relaxed);
        self.backlog.waiting.fetch_add(bytes, Ordering::Relaxed);
        Held {
            share: self.clone(),
            bytes,
            _room: room,
        }
    }

    /// The window that its stream has now, of which `received` bytes of content have come so far. A few busy ones get a wide
    /// one, so that they need not wait for credit on a long way (spec: extensions 4.2.3).
    pub(crate) fn window(&self, received: u64) -> u64 {
        let window = self.backlog.window();
        if window < STREAM_WINDOW {
            self.narrow();
            return window;
        }
        if self.wide.load(Ordering::Relaxed) || (received >= WIDE_FROM && self.widen()) {
            WIDE_STREAM_WINDOW
        } else {
            window
        }
    }

    fn widen(&self) -> bool {
        let widened = self
            .backlog
            .wide
            .try_update(Ordering::Relaxed, Ordering::Relaxed, |wide| {
                (wide < MOST_WIDE).then_some(wide + 1)
            })
            .is_ok();
        self.wide.store(widened, Ordering::Relaxed);
        widened
    }

    fn narrow(&self) {
        if self.wide.swap(false, Ordering::Relaxed) {
            self.backlog.wide.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// The socket took something, or nothing waits.
    pub(crate) fn handle_progress(&self) {
        let mut since = self
            .stalled_since
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(since) = since.take() {
            self.stalled_set(|stalled| stalled.remove(&(since, self.id)));
        }
    }

    /// The socket takes nothing since `since`. Returns whether the connection is to be reset.
    pub(crate) fn handle_stall(&self, since: Instant, now: Instant, gated: Gated) -> Verdict {
        let mut known = self
            .stalled_since
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if known.is_none() {
            *known = Some(since);
            self.stalled_set(|stalled| stalled.insert((since, self.id)));
        }
        drop(known);
        if now.saturating_duration_since(since) < STALL {
            return Verdict::Wait;
        }
        // A stream is held back by its window and may stall as long as its peers like.
        let too_much =
            gated == Gated::Yes && self.waiting.load(Ordering::Relaxed) > CONNECTION_BACKLOG;
        let longest = || self.stalled_set(|stalled| stalled.first() == Some(&(since, self.id)));
        if too_much || (self.backlog.is_full() && longest()) {
            Verdict::Reset
        } else {
            Verdict::Wait
        }
    }

    /// Takes small content that will have to wait out of the large block that it was received in.
    pub(crate) fn compact(&self, content: Buffer) -> Buffer {
        if content.len() > SMALL_CONTENT || self.waiting.load(Ordering::Relaxed) < LONG_WAIT {
            return content;
        }
        let mut compact = Buffer::with_headroom(0, content.len(), 0);
        compact.append(content.as_slice());
        compact
    }

    /// Whether so many small chunks wait that they cost far more than their content; windows count content only.
    pub(crate) fn is_flooded(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) > FLOOD
    }

    /// The backlog it is part of.
    pub(crate) fn backlog(&self) -> &Backlog {
        &self.backlog
    }

    fn stalled_set(&self, with: impl FnOnce(&mut BTreeSet<(Instant, u64)>) -> bool) -> bool {
        with(
            &mut self
                .backlog
                .stalled
                .lock()
                .unwrap_or_else(PoisonError::into_inner),
        )
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.handle_progress();
        self.narrow();
    }
}

/// Whether content takes room that the channel waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Gated {
    /// It came from a published peer.
    Yes,
    /// It came within a window.
    No,
}

/// What happens to a connection that stalls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Wait,
    Reset,
}

/// Room of a backlog that content takes; dropping it gives it back.
#[derive(Debug)]
#[expect(dead_code, reason = "kept for its drop")]
pub(crate) struct Room(Queued<Buffer>);

/// Content that waits.
#[derive(Debug)]
pub(crate) struct Held {
    share: Arc<Share>,
    bytes: usize,
    _room: Option<Room>,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.share.waiting.fetch_sub(self.bytes, Ordering::Relaxed);
        self.share
            .backlog
            .waiting
            .fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// The backlogs of one portal, one per channel.
#[derive(Debug)]
pub(crate) struct Backlogs<K> {
    // Held for one look-up.
    known: Mutex<HashMap<K, Weak<Backlog>>>,
}

impl<K: Eq + Hash> Backlogs<K> {
    pub(crate) fn new() -> Self {
        Self {
            known: Mutex::new(HashMap::new()),
        }
    }

    pub(crate) fn of(&self, channel: K) -> Arc<Backlog> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(backlog) = known.get(&channel).and_then(Weak::upgrade) {
            return backlog;
        }
        if known.len() == known.capacity() {
            known.retain(|_, backlog| backlog.strong_count() > 0);
        }
        let backlog = Backlog::new(CHANNEL_BACKLOG);
        known.insert(channel, Arc::downgrade(&backlog));
        backlog
    }
}

/// What one published connection may have waiting before a stall costs it the connection.
const CONNECTION_BACKLOG: usize = 1024 * 1024;
/// What all connections of one channel may have waiting.
pub(crate) const CHANNEL_BACKLOG: usize = 32 * 1024 * 1024;
/// How long a socket has to take nothing before its connection may be reset.
pub(crate) const STALL: Duration = Duration::from_secs(30);
/// The window of a stream (spec: extensions 4.2.3).
const STREAM_WINDOW: u64 = 1024 * 1024;
/// The window of a busy stream: what is on the way between two nodes beside each other at full speed.
const WIDE_STREAM_WINDOW: u64 = 4 * 1024 * 1024;
/// A stream is busy when so much of its content has come.
const WIDE_FROM: u64 = 4 * 1024 * 1024;
/// Streams of a channel that may have the wide window at a time: half of what a channel may have waiting.
const MOST_WIDE: usize = 4;
/// The window of a stream while much waits on its channel.
const CROWDED_STREAM_WINDOW: u64 = 64 * 1024;
const LARGE_MESSAGE: usize = 256 * 1024;
/// What a waiting chunk costs besides its content.
const CHUNK_WEIGHT: usize = 256;
const SMALL_CONTENT: usize = 2 * 1024;
const LONG_WAIT: usize = 64 * 1024;
const FLOOD: usize = 32 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stalled_connection_above_its_bound_is_reset_after_half_a_minute() {
        let share = Arc::new(Backlog::new(CHANNEL_BACKLOG).enter());
        let start = Instant::now();
        let _held = hold(&share, CONNECTION_BACKLOG + 1);
        assert_eq!(
            share.handle_stall(start, start + STALL / 2, Gated::Yes),
            Verdict::Wait
        );
        assert_eq!(
            share.handle_stall(start, start + STALL, Gated::Yes),
            Verdict::Reset
        );
    }

    #[test]
    fn stalled_connection_below_its_bound_stays_while_there_is_room() {
        let share = Arc::new(Backlog::new(CHANNEL_BACKLOG).enter());
        let start = Instant::now();
        let _held = hold(&share, CONNECTION_BACKLOG - CHUNK_WEIGHT);
        assert_eq!(
            share.handle_stall(start, start + 100 * STALL, Gated::Yes),
            Verdict::Wait
        );
    }

    #[test]
    fn stalled_stream_stays_with_its_window_full() {
        let share = Arc::new(Backlog::new(CHANNEL_BACKLOG).enter());
        let start = Instant::now();
        let _held = share.hold(CONNECTION_BACKLOG, None);
        let verdict = share.handle_stall(start, start + 100 * STALL, Gated::No);
        assert_eq!(verdict, Verdict::Wait);
    }

    #[test]
    fn full_channel_gives_up_the_connection_that_stalled_longest() {
        let backlog = Backlog::new(CHANNEL_BACKLOG);
        let start = Instant::now();
        let shares: Vec<_> = (0..32).map(|_| Arc::new(backlog.enter())).collect();
        let mut held = Vec::new();
        for (number, share) in shares.iter().enumerate() {
            held.push(hold(share, CONNECTION_BACKLOG - CHUNK_WEIGHT));
            let since = start + Duration::from_secs(number as u64);
            assert_eq!(share.handle_stall(since, since, Gated::Yes), Verdict::Wait);
        }
        assert!(backlog.gate().try_reserve(1).is_none(), "the channel waits");
        let later = start + 3 * STALL;
        let second = start + Duration::from_secs(1);
        assert_eq!(
            shares[1].handle_stall(second, later, Gated::Yes),
            Verdict::Wait
        );
        assert_eq!(
            shares[0].handle_stall(start, later, Gated::Yes),
            Verdict::Reset
        );
        shares[0].handle_progress();
        assert_eq!(
            shares[1].handle_stall(second, later, Gated::Yes),
            Verdict::Reset
        );
    }

    #[test]
    fn room_comes_back_when_content_is_written() {
        let backlog = Backlog::new(CHANNEL_BACKLOG);
        let share = Arc::new(backlog.enter());
        let held = hold(&share, CHANNEL_BACKLOG - CHUNK_WEIGHT);
        assert!(backlog.gate().try_reserve(1).is_none());
        assert_eq!(backlog.window(), CROWDED_STREAM_WINDOW);
        drop(held);
        assert!(backlog.gate().try_reserve(CHANNEL_BACKLOG).is_some());
        assert_eq!(backlog.window(), STREAM_WINDOW);
    }

    #[test]
    fn few_busy_streams_have_a_wide_window_as_long_as_little_waits() {
        let backlog = Backlog::new(CHANNEL_BACKLOG);
        let mut shares: Vec<_> = (0..=MOST_WIDE).map(|_| Arc::new(backlog.enter())).collect();
        assert_eq!(shares[0].window(WIDE_FROM - 1), STREAM_WINDOW);
        for share in &shares[..MOST_WIDE] {
            assert_eq!(share.window(WIDE_FROM), WIDE_STREAM_WINDOW);
        }
        assert_eq!(shares[MOST_WIDE].window(WIDE_FROM), STREAM_WINDOW);
        drop(shares.remove(0));
        let last = shares.pop().unwrap();
        assert_eq!(last.window(WIDE_FROM), WIDE_STREAM_WINDOW);
        let held = hold(&last, CHANNEL_BACKLOG / 2);
        assert_eq!(last.window(WIDE_FROM), CROWDED_STREAM_WINDOW);
        drop(held);
        let next = Arc::new(backlog.enter());
        assert_eq!(next.window(WIDE_FROM), WIDE_STREAM_WINDOW);
        assert_eq!(last.window(WIDE_FROM), STREAM_WINDOW);
    }

    #[test]
    fn content_within_a_window_takes_no_room_of_the_channel() {
        let backlog = Backlog::new(CHANNEL_BACKLOG);
        let share = Arc::new(backlog.enter());
        let _held = share.hold(CHANNEL_BACKLOG, None);
        assert!(backlog.gate().try_reserve(CHANNEL_BACKLOG).is_some());
    }

    #[test]
    fn many_tiny_chunks_count_for_what_they_cost() {
        let share = Arc::new(Backlog::new(CHANNEL_BACKLOG).enter());
        let held: Vec<_> = (0..FLOOD / CHUNK_WEIGHT)
            .map(|_| share.hold(1, None))
            .collect();
        assert!(share.is_flooded());
        drop(held);
        assert!(!share.is_flooded());
        let tiny = || Buffer::from_slice(b"x");
        assert!(
            share.compact(tiny()).headroom() > 0,
            "nothing waits: left alone"
        );
        let _held = share.hold(LONG_WAIT, None);
        let compact = share.compact(tiny());
        assert_eq!((compact.as_slice(), compact.headroom()), (&b"x"[..], 0));
    }

    #[test]
    fn backlog_of_a_channel_is_shared_and_forgotten_when_unused() {
        let backlogs = Backlogs::new();
        let one = backlogs.of(1);
        assert!(Arc::ptr_eq(&one, &backlogs.of(1)));
        assert!(!Arc::ptr_eq(&one, &backlogs.of(2)));
        drop(one);
        for channel in 3..100 {
            drop(backlogs.of(channel));
        }
        assert!(backlogs.known.lock().unwrap().len() < 50);
    }

    /// What a message of a published peer does.
    fn hold(share: &Arc<Share>, content: usize) -> Held {
        let backlog = &share.backlog;
        let item = Buffer::with_headroom(0, 0, 0);
        let permit = backlog.gate.try_reserve(content + CHUNK_WEIGHT).unwrap();
        backlog.gate.push(item, Some(permit)).unwrap();
        let room = backlog.reader.lock().unwrap().try_recv().unwrap();
        share.hold(content, Some(Room(room)))
    }
}
