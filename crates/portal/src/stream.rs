//! One portal connection as a state machine: handshake, content, closing (spec: messaging 7.3 to 7.5, 7.9,
//! extensions 4.2).
//!
//! ```text
//!            Pong / Accept                   both directions ended
//! Opening ------------------> Open ---------------------------------> Closed
//!    |  Disconnect / Refuse    |  Disconnect / Reset / any failure      ^
//!    +-------------------------+----------------------------------------+
//! ```
//!
//! The driver feeds in messages ([`Stream::handle_message`]) and what the local socket does (`handle_local_*`,
//! [`Stream::sent`], [`Stream::written`]) and does what is returned. It checks who sent a message before; this core
//! knows nothing of routes and peers.
//!
//! Invariants: nothing is delivered or sent after the end of its direction; content beyond the granted window, a wrong
//! counter, a wrong total or a message lost on the way ends the connection; no message changes a closed connection.

use std::ops::Range;

use crate::message::{Message, ParseError, Reason, Signal};
use crate::window::{ReceiveWindow, SendWindow};

/// Which form of the protocol a connection speaks; never changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// The published one.
    Published,
    /// The published one without Pong (spec: messaging 7.9).
    SkipHandshake,
    /// Streams.
    Streams,
}

/// One portal connection, at either end.
#[derive(Debug)]
pub(crate) struct Stream {
    dialect: Dialect,
    phase: Phase,
    send: SendWindow,
    receive: ReceiveWindow,
    counter: PacketCounter,
    sending_ended: bool,
    receiving_ended: bool,
}

impl Stream {
    /// The inlet's end. `window` is what this side is ready to take.
    pub(crate) fn inlet(dialect: Dialect, window: u64) -> Self {
        let phase = match dialect {
            Dialect::SkipHandshake => Phase::Open,
            Dialect::Published | Dialect::Streams => Phase::Opening,
        };
        Self::new(dialect, phase, SendWindow::EMPTY, window)
    }

    /// The outlet's end, made when the target is being connected. `credit` is what Open granted; without streams it is
    /// not looked at.
    pub(crate) fn outlet(dialect: Dialect, window: u64, credit: u64) -> Result<Self, Reason> {
        let send = match dialect {
            Dialect::Streams => SendWindow::new(credit).map_err(|_| Reason::Violation)?,
            Dialect::Published | Dialect::SkipHandshake => SendWindow::EMPTY,
        };
        Ok(Self::new(dialect, Phase::Open, send, window))
    }

    fn new(dialect: Dialect, phase: Phase, send: SendWindow, window: u64) -> Self {
        Self {
            dialect,
            phase,
            send,
            receive: ReceiveWindow::new(window),
            counter: PacketCounter::default(),
            sending_ended: false,
            receiving_ended: false,
        }
    }

    /// What the inlet sends to the outlet's address.
    pub(crate) fn request(&self, window: u64) -> Signal {
        match self.dialect {
            Dialect::Streams => Signal::Open { credit: window },
            Dialect::Published | Dialect::SkipHandshake => Signal::Ping,
        }
    }

    /// What the outlet answers when the target is connected.
    pub(crate) fn acceptance(dialect: Dialect, window: u64) -> Option<Signal> {
        match dialect {
            Dialect::Streams => Some(Signal::Accept { credit: window }),
            Dialect::Published => Some(Signal::Pong),
            Dialect::SkipHandshake => None,
        }
    }

    /// What the outlet answers when it does not connect (spec: messaging 7.3, extensions 4.2.4).
    pub(crate) fn refusal(dialect: Dialect, reason: Reason) -> Signal {
        match dialect {
            Dialect::Streams => Signal::Refuse(reason),
            Dialect::Published | Dialect::SkipHandshake => Signal::Disconnect,
        }
    }

    /// Takes a message from the other side.
    ///
    /// # Errors
    /// [`ParseError`]: the message is to be dropped, nothing has changed.
    pub(crate) fn handle_message(&mut self, bytes: &[u8]) -> Result<Arrival, ParseError> {
        let message = Message::parse(bytes)?;
        if self.phase == Phase::Closed {
            return Ok(Arrival::Ignored);
        }
        Ok(match (self.dialect, message) {
            (Dialect::Streams, message) => self.handle_stream_message(message),
            (_, message) => self.handle_published_message(message),
        })
    }

    fn handle_published_message(&mut self, message: Message) -> Arrival {
        match message {
            Message::Pong if self.phase == Phase::Opening => {
                self.phase = Phase::Open;
                Arrival::Opened
            }
            Message::Disconnect if self.phase == Phase::Opening => {
                self.refused(Reason::Unspecified)
            }
            Message::Disconnect if !self.receiving_ended => {
                // What came before is still delivered; the other side listens no more.
                self.receiving_ended = true;
                self.sending_ended = true;
                Arrival::PeerClosed
            }
            Message::Payload { content, counter } if self.phase == Phase::Open => {
                if let Some(counter) = counter
                    && !self.counter.accepts(counter)
                {
                    return self.violation();
                }
                if self.receiving_ended || content.is_empty() {
                    return Arrival::Ignored;
                }
                Arrival::Content(content)
            }
            _ => Arrival::Ignored,
        }
    }

    fn handle_stream_message(&mut self, message: Message) -> Arrival {
        match message {
            Message::Accept { credit } if self.phase == Phase::Opening => {
                match SendWindow::new(credit) {
                    Ok(send) => {
                        self.send = send;
                        self.phase = Phase::Open;
                        Arrival::Opened
                    }
                    Err(_) => self.violation(),
                }
            }
            Message::Refuse(reason) if self.phase == Phase::Opening => self.refused(reason),
            Message::Reset(reason) if self.phase == Phase::Opening => self.refused(reason),
            Message::Disconnect if self.phase == Phase::Opening => {
                self.refused(Reason::Unspecified)
            }
            Message::Reset(reason) => {
                self.phase = Phase::Closed;
                Arrival::Aborted(reason)
            }
            Message::Disconnect if !self.receiving_ended => {
                self.receiving_ended = true;
                self.sending_ended = true;
                Arrival::PeerClosed
            }
            Message::Data { content } if self.phase == Phase::Open => {
                if self.receiving_ended || self.receive.received(content.len()).is_err() {
                    return self.violation();
                }
                if content.is_empty() {
                    return Arrival::Ignored;
                }
                Arrival::Content(content)
            }
            Message::Credit(bytes) if self.phase == Phase::Open => match self.send.add(bytes) {
                Ok(()) => Arrival::Credit,
                Err(_) => self.violation(),
            },
            Message::Finish { total } if self.phase == Phase::Open => {
                if self.receiving_ended || total != self.receive.total() {
                    return self.violation();
                }
                self.receiving_ended = true;
                Arrival::PeerFinished
            }
            _ => Arrival::Ignored,
        }
    }

    fn refused(&mut self, reason: Reason) -> Arrival {
        self.phase = Phase::Closed;
        Arrival::Refused(reason)
    }

    /// A message of the other side was lost or came late on the way: what arrives now need not be what comes next.
    pub(crate) fn handle_break(&mut self) -> Arrival {
        if self.phase == Phase::Closed || (self.receiving_ended && self.sending_ended) {
            return Arrival::Ignored;
        }
        self.violation()
    }

    fn violation(&mut self) -> Arrival {
        self.phase = Phase::Closed;
        Arrival::Violation(match self.dialect {
            Dialect::Streams => Signal::Reset(Reason::Violation),
            Dialect::Published | Dialect::SkipHandshake => Signal::Disconnect,
        })
    }

    /// Content bytes that may be read from the local socket and sent now.
    pub(crate) fn allowance(&self) -> usize {
        if self.phase != Phase::Open || self.sending_ended {
            return 0;
        }
        match self.dialect {
            Dialect::Streams => self.send.allowance(),
            Dialect::Published | Dialect::SkipHandshake => usize::MAX,
        }
    }

    /// Notes that content is being sent; at most [`Self::allowance`].
    pub(crate) fn sent(&mut self, bytes: usize) {
        if self.dialect == Dialect::Streams {
            self.send.sent(bytes);
        }
    }

    /// Content bytes that have come so far.
    pub(crate) fn received(&self) -> u64 {
        self.receive.total()
    }

    /// Notes that the local socket took content, or that it was discarded. Returns the credit to send.
    pub(crate) fn written(&mut self, bytes: usize, window: u64) -> Option<u64> {
        if self.dialect != Dialect::Streams || self.phase != Phase::Open || self.receiving_ended {
            return None;
        }
        self.receive.written(bytes, window)
    }

    /// The local socket will send nothing more. Returns what the other side is told.
    pub(crate) fn handle_local_end(&mut self) -> Option<Signal> {
        if self.phase != Phase::Open || self.sending_ended {
            return None;
        }
        self.sending_ended = true;
        Some(match self.dialect {
            Dialect::Streams => Signal::Finish {
                total: self.send.total(),
            },
            // The published protocol has no half-close: this ends both directions (spec: messaging 7.5).
            Dialect::Published | Dialect::SkipHandshake => Signal::Disconnect,
        })
    }

    /// Something went wrong on this side. Returns what the other side is told, if it does not know yet.
    pub(crate) fn handle_local_failure(&mut self, reason: Reason) -> Option<Signal> {
        let phase = std::mem::replace(&mut self.phase, Phase::Closed);
        match (phase, self.dialect) {
            (Phase::Open, Dialect::Streams) if !(self.sending_ended && self.receiving_ended) => {
                Some(Signal::Reset(reason))
            }
            (Phase::Open, Dialect::Published | Dialect::SkipHandshake) if !self.sending_ended => {
                Some(Signal::Disconnect)
            }
            _ => None,
        }
    }

    /// Whether the connection came up and has not ended.
    pub(crate) fn is_open(&self) -> bool {
        self.phase == Phase::Open
    }

    /// Whether the other side will send nothing more.
    pub(crate) fn receiving_ended(&self) -> bool {
        self.receiving_ended || self.phase == Phase::Closed
    }

    /// Whether this side may send nothing more.
    pub(crate) fn sending_ended(&self) -> bool {
        self.sending_ended || self.phase == Phase::Closed
    }

    /// Whether there is a direction that goes on alone after the other has ended.
    pub(crate) fn has_half_close(&self) -> bool {
        self.dialect == Dialect::Streams
    }

    /// The form of the protocol it speaks.
    pub(crate) fn dialect(&self) -> Dialect {
        self.dialect
    }
}

/// What a message means for the driver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// Nothing is to be done.
    Ignored,
    /// The handshake is complete: remember the return route, start reading the local socket.
    Opened,
    /// The other side does not connect: reset the local socket. Nothing is answered.
    Refused(Reason),
    /// These bytes of the message go to the local socket.
    Content(Range<usize>),
    /// More may be sent now.
    Credit,
    /// Nothing more comes: when all content is written, end the sending direction of the local socket.
    PeerFinished,
    /// Both directions end: stop reading; when all content is written, close the local socket.
    PeerClosed,
    /// Both directions end now: discard what is held, reset the local socket. Nothing is answered.
    Aborted(Reason),
    /// The other side broke the protocol: send this, discard what is held, reset the local socket.
    Violation(Signal),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Opening,
    Open,
    Closed,
}

/// The packet counter of published receivers (spec: messaging 7.2).
#[derive(Debug, Default)]
struct PacketCounter {
    next: u16,
}

impl PacketCounter {
    fn accepts(&mut self, counter: u16) -> bool {
        let accepted = counter == self.next;
        if accepted {
            self.next = self.next.wrapping_add(1);
        }
        accepted
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{data_header, payload_header};
    use ockam_wire::Buffer;

    #[test]
    fn published_inlet_opens_on_pong_and_ignores_a_second() {
        let mut inlet = Stream::inlet(Dialect::Published, WINDOW);
        assert_eq!(inlet.request(WINDOW), Signal::Ping);
        assert_eq!(inlet.allowance(), 0, "reads nothing before the Pong");
        assert_eq!(arrive(&mut inlet, payload(b"x", b"")), Arrival::Ignored);
        assert_eq!(signal(&mut inlet, Signal::Pong), Arrival::Opened);
        assert_eq!(inlet.allowance(), usize::MAX);
        assert_eq!(signal(&mut inlet, Signal::Pong), Arrival::Ignored);
        assert_eq!(signal(&mut inlet, Signal::Ping), Arrival::Ignored);
        assert_eq!(
            arrive(&mut inlet, payload(b"hi", b"")),
            Arrival::Content(2..4)
        );
    }

    #[test]
    fn guard_w20_refused_target_is_told_at_once_in_both_dialects() {
        for (dialect, reason) in [
            (Dialect::Published, Reason::Unspecified),
            (Dialect::Streams, Reason::TargetRefused),
        ] {
            let mut inlet = Stream::inlet(dialect, WINDOW);
            let refusal = Stream::refusal(dialect, Reason::TargetRefused);
            assert_eq!(signal(&mut inlet, refusal), Arrival::Refused(reason));
            assert_eq!(inlet.handle_local_failure(Reason::ConnectionReset), None);
        }
    }

    #[test]
    fn published_local_end_sends_disconnect_once() {
        let mut outlet = Stream::outlet(Dialect::Published, WINDOW, 0).unwrap();
        assert_eq!(
            Stream::acceptance(outlet.dialect(), WINDOW),
            Some(Signal::Pong)
        );
        assert_eq!(outlet.handle_local_end(), Some(Signal::Disconnect));
        assert_eq!(outlet.handle_local_end(), None);
        assert_eq!(outlet.handle_local_failure(Reason::ConnectionReset), None);
    }

    #[test]
    fn published_reset_is_reported_with_disconnect() {
        let mut inlet = opened(Dialect::Published);
        assert_eq!(
            inlet.handle_local_failure(Reason::ConnectionReset),
            Some(Signal::Disconnect)
        );
        assert_eq!(arrive(&mut inlet, payload(b"x", b"")), Arrival::Ignored);
    }

    #[test]
    fn guard_w19_nothing_is_delivered_after_a_message_was_lost_on_the_way() {
        let streams = || stream_pair().0;
        let published = || opened(Dialect::Published);
        for (mut inlet, mut ended, told) in [
            (streams(), streams(), Signal::Reset(Reason::Violation)),
            (published(), published(), Signal::Disconnect),
        ] {
            assert_eq!(inlet.handle_break(), Arrival::Violation(told));
            assert_eq!(signal(&mut inlet, Signal::Disconnect), Arrival::Ignored);
            assert_eq!(inlet.handle_break(), Arrival::Ignored);
            // Once both directions have ended there is nothing to lose.
            assert_eq!(signal(&mut ended, Signal::Disconnect), Arrival::PeerClosed);
            assert_eq!(ended.handle_break(), Arrival::Ignored);
        }
    }

    #[test]
    fn disconnect_is_not_answered_and_ends_both_directions() {
        let mut inlet = opened(Dialect::Published);
        assert_eq!(signal(&mut inlet, Signal::Disconnect), Arrival::PeerClosed);
        assert_eq!(inlet.allowance(), 0);
        assert_eq!(inlet.handle_local_end(), None);
        assert_eq!(inlet.handle_local_failure(Reason::ConnectionReset), None);
        assert_eq!(arrive(&mut inlet, payload(b"x", b"")), Arrival::Ignored);
    }

    #[test]
    fn guard_w19_counters_must_count_and_messages_without_one_do_not_matter() {
        // spec: messaging 11.5, V26 (a first counter of 1, or 5 after 0, is answered with Disconnect)
        let mut good = opened(Dialect::Published);
        assert_eq!(
            arrive(&mut good, payload(b"a", &[1, 0, 0])),
            Arrival::Content(2..3)
        );
        assert_eq!(
            arrive(&mut good, payload(b"a", b"")),
            Arrival::Content(2..3)
        );
        assert_eq!(
            arrive(&mut good, payload(b"a", &[1, 1, 0])),
            Arrival::Content(2..3)
        );
        let wrong = arrive(&mut good, payload(b"a", &[1, 5, 0]));
        assert_eq!(wrong, Arrival::Violation(Signal::Disconnect));
        assert!(!good.is_open());
        let mut bad = opened(Dialect::Published);
        let wrong = arrive(&mut bad, payload(b"a", &[1, 1, 0]));
        assert_eq!(wrong, Arrival::Violation(Signal::Disconnect));
    }

    #[test]
    fn counter_wraps_after_65535() {
        let mut counter = PacketCounter::default();
        for value in 0..=u16::MAX {
            assert!(counter.accepts(value));
        }
        assert!(counter.accepts(0));
    }

    #[test]
    fn skip_handshake_sends_at_once_and_never_answers_a_ping() {
        let mut inlet = Stream::inlet(Dialect::SkipHandshake, WINDOW);
        assert_eq!(inlet.allowance(), usize::MAX);
        assert_eq!(signal(&mut inlet, Signal::Pong), Arrival::Ignored);
        let mut outlet = Stream::outlet(Dialect::SkipHandshake, WINDOW, 0).unwrap();
        assert_eq!(Stream::acceptance(outlet.dialect(), WINDOW), None);
        assert_eq!(signal(&mut outlet, Signal::Ping), Arrival::Ignored);
        assert_eq!(
            arrive(&mut outlet, payload(b"yo", b"")),
            Arrival::Content(2..4)
        );
        assert_eq!(outlet.handle_local_end(), Some(Signal::Disconnect));
    }

    #[test]
    fn stream_half_close_leaves_the_other_direction_open() {
        let (mut inlet, mut outlet) = stream_pair();
        inlet.sent(2);
        assert_eq!(arrive(&mut outlet, data(b"hi")), Arrival::Content(1..3));
        let finish = inlet.handle_local_end().unwrap();
        assert_eq!(finish, Signal::Finish { total: 2 });
        assert_eq!(signal(&mut outlet, finish), Arrival::PeerFinished);
        assert!(outlet.allowance() > 0);
        outlet.sent(3);
        assert_eq!(arrive(&mut inlet, data(b"yes")), Arrival::Content(1..4));
        let finish = outlet.handle_local_end().unwrap();
        assert_eq!(signal(&mut inlet, finish), Arrival::PeerFinished);
        assert!(inlet.sending_ended() && inlet.receiving_ended());
        assert_eq!(inlet.handle_local_failure(Reason::ConnectionReset), None);
    }

    #[test]
    fn stream_stops_without_credit_until_more_arrives() {
        let (mut inlet, mut outlet) = stream_pair();
        assert_eq!(inlet.allowance(), WINDOW as usize);
        inlet.sent(WINDOW as usize);
        assert_eq!(inlet.allowance(), 0);
        let content = vec![0; WINDOW as usize];
        arrive(&mut outlet, data(&content));
        let credit = outlet.written(WINDOW as usize, WINDOW).unwrap();
        assert_eq!(signal(&mut inlet, Signal::Credit(credit)), Arrival::Credit);
        assert_eq!(inlet.allowance(), WINDOW as usize);
    }

    #[test]
    fn broken_stream_rules_reset_the_stream() {
        let violation = Arrival::Violation(Signal::Reset(Reason::Violation));
        let too_much = vec![0; WINDOW as usize + 1];
        for bytes in [
            data(&too_much),
            Signal::Finish { total: 1 }.encode(),
            Signal::Credit(u64::MAX).encode(),
        ] {
            let (_, mut outlet) = stream_pair();
            assert_eq!(arrive(&mut outlet, bytes), violation);
            assert_eq!(signal(&mut outlet, Signal::Credit(1)), Arrival::Ignored);
        }
        let (_, mut outlet) = stream_pair();
        signal(&mut outlet, Signal::Finish { total: 0 });
        assert_eq!(arrive(&mut outlet, data(b"late")), violation);
        assert_eq!(
            Stream::outlet(Dialect::Streams, WINDOW, u64::MAX).unwrap_err(),
            Reason::Violation
        );
    }

    #[test]
    fn reset_carries_its_reason_and_is_not_answered() {
        let (mut inlet, mut outlet) = stream_pair();
        let reset = inlet.handle_local_failure(Reason::ConnectionReset).unwrap();
        assert_eq!(
            signal(&mut outlet, reset),
            Arrival::Aborted(Reason::ConnectionReset)
        );
        assert_eq!(outlet.handle_local_failure(Reason::ConnectionReset), None);
    }

    #[test]
    fn messages_of_the_other_dialect_are_ignored() {
        let mut published = opened(Dialect::Published);
        assert_eq!(arrive(&mut published, data(b"x")), Arrival::Ignored);
        assert_eq!(
            signal(&mut published, Signal::Reset(Reason::Unspecified)),
            Arrival::Ignored
        );
        let (mut inlet, _) = stream_pair();
        assert_eq!(arrive(&mut inlet, payload(b"x", b"")), Arrival::Ignored);
        assert_eq!(signal(&mut inlet, Signal::Pong), Arrival::Ignored);
        assert_eq!(signal(&mut inlet, Signal::Disconnect), Arrival::PeerClosed);
    }

    fn opened(dialect: Dialect) -> Stream {
        let mut inlet = Stream::inlet(dialect, WINDOW);
        assert_eq!(signal(&mut inlet, Signal::Pong), Arrival::Opened);
        inlet
    }

    fn stream_pair() -> (Stream, Stream) {
        let mut inlet = Stream::inlet(Dialect::Streams, WINDOW);
        let Signal::Open { credit } = inlet.request(WINDOW) else {
            panic!("a stream begins with Open");
        };
        let outlet = Stream::outlet(Dialect::Streams, WINDOW, credit).unwrap();
        let accept = Stream::acceptance(outlet.dialect(), WINDOW).unwrap();
        assert_eq!(signal(&mut inlet, accept), Arrival::Opened);
        (inlet, outlet)
    }

    fn signal(stream: &mut Stream, signal: Signal) -> Arrival {
        arrive(stream, signal.encode())
    }

    fn arrive(stream: &mut Stream, bytes: Buffer) -> Arrival {
        stream.handle_message(bytes.as_slice()).unwrap()
    }

    fn payload(content: &[u8], behind: &[u8]) -> Buffer {
        let mut buffer = Buffer::from_slice(content);
        payload_header(&mut buffer);
        buffer.append(behind);
        buffer
    }

    fn data(content: &[u8]) -> Buffer {
        let mut buffer = Buffer::from_slice(content);
        data_header(&mut buffer);
        buffer
    }

    const WINDOW: u64 = 1000;
}
