//! Driver of one portal connection: a socket, a worker for what arrives, and a [`Stream`] between them
//! (spec: messaging 7.3 to 7.5, extensions 4.2).
//!
//! ```text
//! local socket --read behind headroom--> [task] --inline chain--> transport
//! transport --inline chain--> [worker at SR] --queue--> [task] --vectored write--> local socket
//! ```
//!
//! One task carries both directions, so a chunk crosses one task boundary per node. A connection on which nothing
//! moves holds no buffer. The worker runs in the task of the transport; it decides and queues, never waits.
//!
//! Invariants: a message counts only if it comes from the identity and over the flow the connection was made with
//! (W21); from the first message of the channel that is missing or late, nothing is delivered any more; content and the end behind it stay in order; every way to end tells the other side what the protocol can say.

use std::io::{self, IoSlice};
use std::pin::pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use ockam_identity::Identifier;
use ockam_node::{ChannelPeer, Delivery, End, FlowId, Inline, Origin, Router, SendError};
use ockam_wire::{Address, Buffer, HEADROOM, Route, TAILROOM};
use tokio::net::tcp::OwnedWriteHalf;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use crate::backlog::{Gated, Share, Verdict};
use crate::counters::Counters;
use crate::guard::{Guard, Place};
use crate::interceptor::{Intercept, Intercepted, Interception};
use crate::message::{Reason, Signal, data_header, payload_header};
use crate::piece::{Piece, Pieces};
use crate::session::Traffic;
use crate::socket::{Reading, Socket, Writing};
use crate::stream::{Arrival, Dialect, Stream};

/// One portal connection. The worker at its address and its task share it.
pub(crate) struct Connection {
    // Orders what arrives with what is decided about it; held for a few field updates.
    state: Mutex<State>,
    /// Credit came, or sending has ended. One waiter: the reading half of the task.
    wake: Notify,
    /// Something is there for the local socket. One waiter: the writing half of the task.
    arrived: Notify,
    /// The status is another one. One waiter: the task.
    turned: Notify,
    remote: OnceLock<Route>,
    pin: Pin,
    guard: Option<Arc<dyn Guard>>,
    /// [`ChannelPeer::breaks`](ockam_node::ChannelPeer::breaks) of the channel when the connection was made.
    breaks: u64,
    share: Arc<Share>,
    gated: Gated,
    traffic: Arc<Traffic>,
}

impl Connection {
    /// Makes the connection.
    pub(crate) fn new(
        stream: Stream,
        pin: Pin,
        guard: Option<Arc<dyn Guard>>,
        breaks: u64,
        share: Share,
        traffic: Arc<Traffic>,
    ) -> Arc<Self> {
        let status = if stream.is_open() {
            Status::Open
        } else {
            Status::Opening
        };
        let gated = match stream.dialect() {
            Dialect::Streams => Gated::No,
            Dialect::Published | Dialect::SkipHandshake => Gated::Yes,
        };
        Arc::new(Self {
            state: Mutex::new(State {
                stream,
                status,
                arrived: Pieces::default(),
                end: None,
                writing: true,
                flushing: false,
                ahead: None,
                due: 0,
            }),
            wake: Notify::new(),
            arrived: Notify::new(),
            turned: Notify::new(),
            remote: OnceLock::new(),
            pin,
            guard,
            breaks,
            share: Arc::new(share),
            gated,
            traffic,
        })
    }

    /// Sets where messages go; the first one holds.
    pub(crate) fn set_remote(&self, remote: Route) {
        // A second Pong never gets here; a second value would be ignored all the same.
        drop(self.remote.set(remote));
    }

    /// Waits until the other side has accepted or refused.
    pub(crate) async fn opened(&self) -> Result<(), Reason> {
        self.turned_to(|status| match status {
            Status::Opening => None,
            Status::Open => Some(Ok(())),
            Status::Ended(reason) | Status::Broken(_, reason) => Some(Err(reason)),
        })
        .await
    }

    /// Takes one message that was sent to this connection.
    pub(crate) fn receive(&self, delivery: &mut Delivery<'_>) -> Result<(), SendError> {
        let message = delivery.message();
        if message.onward.len() != 1 {
            return Err(SendError::Rejected(
                "a portal connection is the end of a route".into(),
            ));
        }
        if !self.pin.holds_for(&message.origin) {
            return Err(SendError::Rejected(
                "a message for a portal connection came from somebody else".into(),
            ));
        }
        // Nothing is left out of what goes on: what a rule of the router refused would be missing if the peer is allowed
        // again before anybody looks. An answer to the request carries nothing yet.
        if self.state().stream.is_open()
            && let Some(guard) = &self.guard
            && !guard.admits(self.pin.identity.as_ref())
        {
            self.stop(Reason::NotAllowed);
            return Err(SendError::Rejected(
                "its peer is not allowed any more".into(),
            ));
        }
        self.traffic.hear();
        let mut payload = std::mem::take(&mut message.payload);
        let mut state = self.state();
        // A node on the way may drop and reorder records; each is authentic, the stream they make is not.
        let arrival = if breaks(message.origin.peer.as_deref()) == self.breaks {
            state
                .stream
                .handle_message(payload.as_slice())
                .map_err(|error| SendError::Rejected(error.to_string()))?
        } else {
            state.stream.handle_break()
        };
        // The lock is still held, so that everything is told in the order in which it was decided.
        match arrival {
            Arrival::Ignored => {}
            Arrival::Opened => {
                self.set_remote(std::mem::take(&mut message.return_route));
                self.turn(&mut state, Status::Open);
            }
            Arrival::Refused(reason) | Arrival::Aborted(reason) => {
                self.turn(&mut state, Status::Ended(reason));
            }
            Arrival::Violation(signal) => {
                self.turn(&mut state, Status::Broken(signal, Reason::Violation));
            }
            Arrival::Content(range) => {
                payload.truncate(range.end);
                payload.advance(range.start);
                let credit = payload.len();
                if self.write_ahead(&mut state, &mut payload) {
                    return Ok(());
                }
                let content = self.share.compact(payload);
                let (content, room) = match self.gated {
                    Gated::Yes => {
                        let taken = self.share.backlog().take_room(content, delivery)?;
                        (taken.0, Some(taken.1))
                    }
                    Gated::No => (content, None),
                };
                state.arrived.push(Piece {
                    credit,
                    _held: Some(self.share.hold(content.len(), room)),
                    content,
                });
                self.arrived.notify_one();
                if self.gated == Gated::No && self.share.is_flooded() {
                    let reason = Reason::Stalled;
                    if let Some(signal) = state.stream.handle_local_failure(reason) {
                        self.turn(&mut state, Status::Broken(signal, reason));
                    }
                }
            }
            Arrival::Credit => self.wake.notify_one(),
            Arrival::PeerFinished => self.end_behind(&mut state, Ending::Peer),
            Arrival::PeerClosed => {
                self.end_behind(&mut state, Ending::Peer);
                self.wake.notify_one();
            }
        }
        Ok(())
    }

    /// Writes what the local socket takes at once of content before which nothing waits: it is still in the processor's
    /// cache, and nobody has to be woken. Returns whether that was all of it.
    fn write_ahead(&self, state: &mut State, content: &mut Buffer) -> bool {
        let credit = content.len();
        if state.flushing || state.end.is_some() || !state.arrived.is_empty() {
            return false;
        }
        let Some((socket, counters)) = &state.ahead else {
            return false;
        };
        // What went wrong is found out by whoever writes the rest.
        content.advance(socket.try_write(content.as_slice()).unwrap_or(0));
        if !content.is_empty() {
            return false;
        }
        let received = &counters.received;
        received.fetch_add(credit as u64, Ordering::Relaxed);
        let window = self.share.window(state.stream.received());
        if let Some(granted) = state.stream.written(credit, window) {
            state.due += granted;
            self.arrived.notify_one();
        }
        true
    }

    /// Carries content in both directions until the connection has ended. Returns how it ended, when that was before its
    /// time: the other side is to be told.
    pub(crate) async fn carry(
        &self,
        mut socket: Socket,
        link: &Link,
        interception: Interception,
    ) -> Option<EndedEarly> {
        let remote = self.remote.get()?;
        let gone = async {
            match remote.first() {
                Some(first) => link.router.gone(&first.to_address()).await,
                None => std::future::pending().await,
            }
        };
        if interception.incoming.is_none() {
            self.state().ahead = socket.lend().map(|socket| (socket, link.counters.clone()));
        }
        let lent = Lent(self);
        let outcome = {
            let (mut read_half, write_half) = socket.split();
            // Each has its one place in the task; what a block takes in by value would have two.
            let reading = pin!(self.read(&mut read_half, link, interception.outgoing));
            let writing = pin!(self.write(write_half, link, interception.incoming));
            let mut both = pin!(async { tokio::try_join!(reading, writing).map(drop) });
            let mut ended = pin!(self.ended());
            let mut gone = pin!(gone);
            let mut lost = false;
            loop {
                tokio::select! {
                    biased;
                    failure = &mut ended => break Err(failure),
                    outcome = &mut both => break outcome,
                    () = &mut gone, if !lost => {
                        // What has arrived is still written; a direction that goes on alone has nobody any more.
                        lost = true;
                        let mut state = self.state();
                        if !state.writing {
                            break Err(Failure::Told(Reason::Unspecified));
                        }
                        self.end_behind(&mut state, Ending::Lost);
                    }
                }
            }
        };
        drop(lent);
        // Nobody writes it any more.
        self.state().arrived = Pieces::default();
        let failure = outcome.err()?;
        socket.reset_on_close();
        drop(socket);
        let (signal, reason) = match failure {
            Failure::Told(reason) => (None, reason),
            Failure::Answer(signal, reason) => (Some(signal), reason),
            Failure::Here(reason) => (self.state().stream.handle_local_failure(reason), reason),
        };
        tracing::debug!(connection = %link.own, "portal connection ended early: {reason}");
        Some(EndedEarly { signal, reason })
    }

    /// Tells the other side how the connection ended, if it does not know.
    ///
    /// The worker at the connection's address has to be gone: its rules may be what ended the connection, and they hold for
    /// its last word too.
    pub(crate) async fn tell_end(&self, link: &Link, ended: &EndedEarly) {
        if let Some(signal) = ended.signal {
            self.tell(link, signal).await;
        }
    }

    /// Where messages go.
    pub(crate) fn remote(&self) -> Route {
        self.remote.get().cloned().unwrap_or_default()
    }

    /// The form of the protocol it speaks.
    pub(crate) fn dialect(&self) -> Dialect {
        self.state().stream.dialect()
    }

    /// Who may send to it.
    pub(crate) fn pin(&self) -> &Pin {
        &self.pin
    }

    /// Ends the connection from this side: the portal is being stopped.
    pub(crate) fn stop(&self, reason: Reason) {
        let mut state = self.state();
        let signal = state.stream.handle_local_failure(reason);
        // The first end holds: it knows what the other side is to be told.
        if matches!(state.status, Status::Opening | Status::Open) {
            let status = match signal {
                Some(signal) => Status::Broken(signal, reason),
                None => Status::Ended(reason),
            };
            self.turn(&mut state, status);
        }
    }

    async fn ended(&self) -> Failure {
        self.turned_to(|status| match status {
            Status::Opening | Status::Open => None,
            Status::Ended(reason) => Some(Failure::Told(reason)),
            Status::Broken(signal, reason) => Some(Failure::Answer(signal, reason)),
        })
        .await
    }

    fn turn(&self, state: &mut State, status: Status) {
        state.status = status;
        self.turned.notify_one();
    }

    /// Waits for a status that `find` finds something in.
    async fn turned_to<T>(&self, find: impl Fn(Status) -> Option<T>) -> T {
        loop {
            let status = self.state().status;
            if let Some(found) = find(status) {
                return found;
            }
            // A notification since the look above is kept for this call.
            self.turned.notified().await;
        }
    }

    /// Nothing comes for the local socket behind what has arrived.
    fn end_behind(&self, state: &mut State, ending: Ending) {
        state.end.get_or_insert(ending);
        self.arrived.notify_one();
    }

    /// Reads the local socket and sends what it gives.
    async fn read(
        &self,
        socket: &mut Reading<'_>,
        link: &Link,
        mut intercept: Option<Box<dyn Intercept>>,
    ) -> Result<(), Failure> {
        let mut size = SMALL_READ.min(link.chunk);
        loop {
            let allowance = tokio::select! {
                biased;
                allowance = self.allowance() => allowance,
                // A peer that is held back and resets its connection is noticed all the same.
                () = socket.failed() => return Err(Failure::Here(Reason::ConnectionReset)),
            };
            if allowance == 0 {
                return Ok(());
            }
            tokio::select! {
                biased;
                ready = socket.readable() => ready.map_err(reading_failed)?,
                () = self.wake.notified() => continue,
            }
            let room = size.min(allowance);
            let mut content = Buffer::with_headroom(HEADROOM, room, TAILROOM);
            match socket.read_now(&mut content.spare_mut(room)).await {
                Ok(0) => break,
                Ok(read) => {
                    size = next_read(size, read, link.chunk);
                    link.counters.sent.fetch_add(read as u64, Ordering::Relaxed);
                    match &mut intercept {
                        None => self.send_content(content, link).await?,
                        Some(intercept) => {
                            let mut onward = Vec::new();
                            let taken = intercept.intercept(content, &mut onward);
                            taken.map_err(refused)?;
                            Box::pin(self.send_pieces(onward, link)).await?;
                        }
                    }
                }
                // Nothing is there, or this task has had its turn: then it has to give way before it looks again.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    tokio::task::coop::consume_budget().await;
                }
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    // spec: messaging 7.7 (what came before is delivered, then the end is seen to be none)
                    tracing::info!(connection = %link.own, "the target left without ending TLS");
                    tokio::time::sleep(LINGER).await;
                    return Err(Failure::Here(Reason::ConnectionReset));
                }
                Err(error) => return Err(reading_failed(error)),
            }
        }
        if let Some(mut intercept) = intercept {
            let mut onward = Vec::new();
            let finished = intercept.finish(&mut onward);
            finished.map_err(refused)?;
            Box::pin(self.send_pieces(onward, link)).await?;
        }
        self.end_sending(link).await
    }

    /// The local socket has ended its direction.
    async fn end_sending(&self, link: &Link) -> Result<(), Failure> {
        let (signal, half_close) = {
            let stream = &mut self.state().stream;
            (stream.handle_local_end(), stream.has_half_close())
        };
        if let Some(signal) = signal {
            link.send(self.remote(), signal.encode()).await?;
        }
        if half_close {
            return Ok(());
        }
        // spec: messaging 7.5 (the socket stays for two seconds; what is on the way is still delivered)
        let closed = async {
            while !self.state().stream.receiving_ended() {
                self.wake.notified().await;
            }
        };
        if tokio::time::timeout(LINGER, closed).await.is_err() {
            self.end_behind(&mut self.state(), Ending::Peer);
        }
        Ok(())
    }

    async fn send_pieces(&self, pieces: Vec<Buffer>, link: &Link) -> Result<(), Failure> {
        for mut piece in pieces {
            // An interceptor may make more of a chunk than there is credit for, or than fits a message.
            while !piece.is_empty() {
                let most = self.allowance().await.min(link.chunk);
                if most == 0 {
                    return Ok(());
                }
                if piece.len() <= most {
                    self.send_content(std::mem::take(&mut piece), link).await?;
                } else {
                    let part = Buffer::from_slice(piece.as_slice().get(..most).unwrap_or_default());
                    piece.advance(most);
                    self.send_content(part, link).await?;
                }
            }
        }
        Ok(())
    }

    async fn send_content(&self, mut content: Buffer, link: &Link) -> Result<(), Failure> {
        let dialect = {
            let stream = &mut self.state().stream;
            if stream.sending_ended() {
                return Ok(());
            }
            stream.sent(content.len());
            stream.dialect()
        };
        match dialect {
            Dialect::Streams => {
                // Published peers say nothing until they have something to say.
                self.traffic.say();
                data_header(&mut content);
            }
            Dialect::Published | Dialect::SkipHandshake => payload_header(&mut content),
        }
        Ok(link.send(self.remote(), content).await?)
    }

    /// Nobody waits for this connection any more, and the outlet has not answered yet: it is to be told when it does.
    pub(crate) async fn abandon(&self, reason: Reason) -> Option<EndedEarly> {
        let opened = tokio::time::timeout(LATE_ANSWER, self.opened()).await;
        matches!(opened, Ok(Ok(()))).then(|| EndedEarly {
            signal: self.state().stream.handle_local_failure(reason),
            reason,
        })
    }

    /// Waits until something may be sent; 0 when sending has ended.
    async fn allowance(&self) -> usize {
        loop {
            {
                let stream = &self.state().stream;
                if stream.sending_ended() {
                    return 0;
                }
                let allowance = stream.allowance();
                if allowance > 0 {
                    return allowance;
                }
            }
            // A notification since the look above is kept for this call.
            self.wake.notified().await;
        }
    }

    /// Writes what arrives to the local socket.
    async fn write(
        &self,
        mut socket: Writing<'_>,
        link: &Link,
        mut intercept: Option<Box<dyn Intercept>>,
    ) -> Result<(), Failure> {
        let mut pieces = Pieces::default();
        let ending = loop {
            let (due, ending) = self.arrivals(&mut pieces).await;
            if due > 0 {
                let grant = Signal::Credit(due);
                link.send(self.remote(), grant.encode()).await?;
            }
            let received = &link.counters.received;
            received.fetch_add(pieces.credit() as u64, Ordering::Relaxed);
            if let Some(intercept) = &mut intercept {
                pieces = intercepted(&mut **intercept, pieces)?;
            }
            if ending == Some(Ending::Peer)
                && let Some(intercept) = &mut intercept
            {
                let mut onward = Vec::new();
                let finished = intercept.finish(&mut onward);
                finished.map_err(refused)?;
                pieces.extend(onward.into_iter().map(Piece::made));
            }
            self.flush(&socket, &mut pieces, link).await?;
            if let Some(ending) = ending {
                break ending;
            }
            // Neither of the two waits as long as there is always more.
            tokio::task::coop::consume_budget().await;
        };
        if ending == Ending::Lost {
            return Err(Failure::Told(Reason::Unspecified));
        }
        self.state().ahead = None;
        // The peer of the socket may be gone already; it is told the same either way.
        drop(socket.end().await);
        self.push_out(&socket).await?;
        self.state().writing = false;
        Ok(())
    }

    /// Waits until something is there for the local socket, and takes it into `pieces`, which are empty. Returns the credit
    /// to grant for what was written ahead of it, and what comes behind it, when that has come.
    async fn arrivals(&self, pieces: &mut Pieces) -> (u64, Option<Ending>) {
        loop {
            {
                let mut state = self.state();
                // What the two have room for takes turns, too.
                std::mem::swap(&mut state.arrived, pieces);
                state.flushing = !pieces.is_empty();
                let due = std::mem::take(&mut state.due);
                if state.flushing || due > 0 || state.end.is_some() {
                    return (due, state.end);
                }
                *pieces = Pieces::default();
                state.arrived.shrink();
            }
            self.arrived.notified().await;
        }
    }

    async fn flush(
        &self,
        socket: &Writing<'_>,
        pieces: &mut Pieces,
        link: &Link,
    ) -> Result<(), Failure> {
        while !pieces.is_empty() {
            let written = match write_some(socket, pieces) {
                Ok(written) => written,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    Box::pin(self.writable(socket)).await?;
                    continue;
                }
                Err(error) => return Err(reading_failed(error)),
            };
            let credit = pieces.handle_written(written);
            let grant = {
                let stream = &mut self.state().stream;
                let window = self.share.window(stream.received());
                stream.written(credit, window)
            };
            if let Some(granted) = grant {
                let grant = Signal::Credit(granted);
                link.send(self.remote(), grant.encode()).await?;
            }
        }
        self.push_out(socket).await
    }

    /// Waits until the system has everything that the local socket took.
    async fn push_out(&self, socket: &Writing<'_>) -> Result<(), Failure> {
        loop {
            match socket.try_flush() {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    Box::pin(self.writable(socket)).await?;
                }
                // If it has failed, whoever uses it next finds out.
                _ => return Ok(()),
            }
        }
    }

    /// Waits until the local socket takes something again. Whoever calls it boxes it: most connections never need to.
    async fn writable(&self, socket: &Writing<'_>) -> Result<(), Failure> {
        let since = Instant::now();
        loop {
            match tokio::time::timeout(STALL_TICK, socket.writable()).await {
                Ok(ready) => {
                    self.share.handle_progress();
                    return ready.map_err(reading_failed);
                }
                Err(_) => {
                    let now = Instant::now();
                    let abandoned =
                        self.state().stream.receiving_ended() && now - since > ABANDONED;
                    if abandoned
                        || self
                            .share
                            .handle_stall(since.into_std(), now.into_std(), self.gated)
                            == Verdict::Reset
                    {
                        return Err(Failure::Here(Reason::Stalled));
                    }
                }
            }
        }
    }

    /// Sends a last message, not for ever.
    async fn tell(&self, link: &Link, signal: Signal) {
        let sent = tokio::time::timeout(LAST_WORD, link.send(self.remote(), signal.encode())).await;
        if !matches!(sent, Ok(Ok(()))) {
            tracing::debug!(connection = %link.own, "the other side could not be told");
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the worker and the task tell each other.
struct State {
    stream: Stream,
    status: Status,
    arrived: Pieces,
    /// What comes behind what has arrived; the first one holds.
    end: Option<Ending>,
    /// Whether the local socket may still be written to.
    writing: bool,
    /// The task has taken something that is not all written.
    flushing: bool,
    /// Where content may be written ahead of the task.
    ahead: Option<(Arc<OwnedWriteHalf>, Arc<Counters>)>,
    /// Credit to grant for what was written ahead.
    due: u64,
}

/// While it lasts, what arrives may be written by the task that it comes in with.
struct Lent<'a>(&'a Connection);

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        self.0.state().ahead = None;
    }
}

/// What comes behind the last content for a local socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    /// The other side sends nothing more.
    Peer,
    /// The way to the other side is gone.
    Lost,
}

/// Completes when a connection has to end although nothing is wrong with it, and says why.
pub(crate) async fn ends(stopped: &mut watch::Receiver<()>, place: &mut Place) -> Reason {
    tokio::select! {
        // Fails when the portal is dropped.
        _ = stopped.changed() => Reason::Stopping,
        () = place.cut() => Reason::NotAllowed,
    }
}

/// How a connection ended before its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct EndedEarly {
    signal: Option<Signal>,
    pub(crate) reason: Reason,
}

impl EndedEarly {
    /// Whether this side ended it: the other has to be told.
    pub(crate) fn is_from_here(&self) -> bool {
        self.signal.is_some()
    }
}

/// The worker at the address of a connection.
pub(crate) struct Remote(pub(crate) Arc<Connection>);

impl Inline for Remote {
    fn end(&self) -> End {
        match self.0.gated {
            Gated::Yes => End::Buffers(self.0.share.backlog().gate().clone()),
            // Bounded by the window: nothing waits.
            Gated::No => End::Opens,
        }
    }

    fn handle(&self, delivery: &mut Delivery<'_>) -> Result<(), SendError> {
        self.0.receive(delivery)
    }
}

/// Who may send to a connection: the identity and the flow it was made with, or their absence.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Pin {
    pub(crate) identity: Option<Identifier>,
    pub(crate) flow: Option<FlowId>,
}

impl Pin {
    /// The pin of a connection that a message asks for.
    pub(crate) fn of(origin: &Origin) -> Self {
        Self {
            identity: origin.peer.as_ref().map(|peer| peer.identifier),
            flow: origin.producer.map(|producer| producer.id),
        }
    }

    fn holds_for(&self, origin: &Origin) -> bool {
        self.identity.as_ref() == origin.peer.as_ref().map(|peer| &peer.identifier)
            && self.flow == origin.producer.map(|producer| producer.id)
    }
}

/// How often messages of a channel's peer were missing or late so far; never, without a channel.
pub(crate) fn breaks(peer: Option<&ChannelPeer>) -> u64 {
    peer.map_or(0, ChannelPeer::breaks)
}

/// How a connection sends.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) router: Router,
    /// The connection's own address: source and return address of what it sends.
    pub(crate) own: Address,
    /// Most content in one message.
    pub(crate) chunk: usize,
    pub(crate) counters: Arc<Counters>,
}

impl Link {
    /// Sends a message, as [`Router::deliver`] does.
    pub(crate) fn send(
        &self,
        remote: Route,
        payload: Buffer,
    ) -> impl Future<Output = Result<(), NotSent>> + Send {
        let mut return_route = Route::new();
        let sending = return_route
            .push_back(&self.own)
            .map(|()| self.router.send(&self.own, remote, return_route, payload));
        async move {
            sending
                .map_err(|_| NotSent::Unreachable)?
                .await
                .map_err(|error| {
                    tracing::debug!(connection = %self.own, "portal connection cannot send: {error}");
                    match error {
                        SendError::Outgoing(_) => NotSent::NotAllowed,
                        _ => NotSent::Unreachable,
                    }
                })
        }
    }

    /// Tells an inlet that it gets no connection (spec: extensions 4.2.4, 4.3).
    pub(crate) async fn refuse(&self, remote: Route, dialect: Dialect, reason: Reason) {
        let refusal = Stream::refusal(dialect, reason).encode();
        // Who cannot be told finds out by time-out.
        drop(tokio::time::timeout(LAST_WORD, self.send(remote, refusal)).await);
    }
}

/// A message was not sent.
#[derive(Debug)]
pub(crate) enum NotSent {
    /// The way to the other side is gone.
    Unreachable,
    /// The rules of this side do not let it out.
    NotAllowed,
}

impl From<NotSent> for Failure {
    fn from(error: NotSent) -> Self {
        match error {
            NotSent::Unreachable => Self::Told(Reason::Unspecified),
            NotSent::NotAllowed => Self::Here(Reason::NotAllowed),
        }
    }
}

/// The largest chunk of content that one message over `route` carries.
pub(crate) fn chunk_for(router: &Router, route: &Route, wanted: usize) -> usize {
    let Some(first) = route.first() else {
        return wanted.max(1);
    };
    let room = router
        .payload_limit(&first.to_address())
        .saturating_sub(MESSAGE_HEADER);
    wanted.min(room).max(1)
}

/// Writes the first pieces, as much of them as the socket takes.
fn write_some(socket: &Writing<'_>, pieces: &Pieces) -> io::Result<usize> {
    let mut slices = [IoSlice::new(&[]); SLICES];
    if !pieces.fill(&mut slices) {
        return Ok(0);
    }
    match socket.try_write_vectored(&slices)? {
        0 => Err(io::ErrorKind::WriteZero.into()),
        written => Ok(written),
    }
}

/// What an interceptor makes of pieces. What it took in counts as written when the last it made of that is.
fn intercepted(intercept: &mut dyn Intercept, pieces: Pieces) -> Result<Pieces, Failure> {
    let mut made = Pieces::default();
    for mut piece in pieces {
        let mut onward = Vec::new();
        let taken = intercept.intercept(std::mem::take(&mut piece.content), &mut onward);
        taken.map_err(refused)?;
        made.extend(onward.into_iter().map(Piece::made));
        made.push(piece);
    }
    Ok(made)
}

fn refused(refusal: Intercepted) -> Failure {
    tracing::info!("{refusal}");
    Failure::Here(Reason::Intercepted)
}

fn reading_failed(error: io::Error) -> Failure {
    if error.kind() == io::ErrorKind::InvalidData {
        tracing::info!("TLS with the target failed: {error}");
    } else {
        tracing::trace!("local socket failed: {error}");
    }
    Failure::Here(Reason::ConnectionReset)
}

/// The size of the next read: large while the socket fills it, small again for a quiet one.
fn next_read(size: usize, read: usize, most: usize) -> usize {
    if read >= size {
        (size * 4).min(most)
    } else if read < size / 8 {
        (size / 4).max(SMALL_READ).min(most)
    } else {
        size
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Status {
    Opening,
    Open,
    /// The other side ended it.
    Ended(Reason),
    /// This side ends it, with this message.
    Broken(Signal, Reason),
}

#[derive(Debug)]
enum Failure {
    /// The other side knows, or cannot be told.
    Told(Reason),
    /// The other side gets this answer.
    Answer(Signal, Reason),
    /// It happened on this side.
    Here(Reason),
}

/// First read of a connection that has been quiet.
const SMALL_READ: usize = 4 * 1024;
/// Slices of one vectored write.
const SLICES: usize = 16;
/// How long a socket stays after its peer ended its direction, towards peers without half-close.
const LINGER: Duration = Duration::from_secs(2);
/// How often a stalled socket is looked at.
const STALL_TICK: Duration = Duration::from_secs(1);
/// A socket that takes nothing for so long after the other side has ended is given up.
const ABANDONED: Duration = Duration::from_secs(600);
/// How long the answer to a request that was given up is waited for.
const LATE_ANSWER: Duration = Duration::from_secs(60);
/// How long the last message of a connection may wait for room.
const LAST_WORD: Duration = Duration::from_secs(5);
/// Variant and length in front of content.
const MESSAGE_HEADER: usize = 11;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_grow_while_they_are_filled_and_shrink_when_quiet() {
        let most = 128 * 1024;
        let mut size = SMALL_READ;
        for _ in 0..4 {
            size = next_read(size, size, most);
        }
        assert_eq!(size, most);
        for _ in 0..4 {
            size = next_read(size, 10, most);
        }
        assert_eq!(size, SMALL_READ);
        assert_eq!(next_read(100, 100, 100), 100);
    }

    #[test]
    fn guard_w21_pin_holds_for_the_same_identity_and_flow_only() {
        let flow = FlowId::from_random([1; 16]);
        let origin = |flow| Origin {
            source: Address::from_static("x"),
            peer: None,
            producer: Some(ockam_node::Producer {
                id: flow,
                spawner: None,
            }),
        };
        let pin = Pin::of(&origin(flow));
        assert!(pin.holds_for(&origin(flow)));
        assert!(!pin.holds_for(&origin(FlowId::from_random([2; 16]))));
        assert!(!pin.holds_for(&Origin::worker(Address::from_static("x"))));
    }
}
