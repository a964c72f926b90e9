//! TCP: a preamble byte each way, then frames of a length and one routing message (spec: messaging 2).
//!
//! ```text
//! 01 | length u32be | routing message | length u32be | routing message | ...
//! ```
//!
//! A reading and a writing task per connection. The reader holds no buffer while the connection is idle, reads as much
//! as has come, and hands the frames on one after the other, waiting for room where they go; so a slow receiver is felt
//! by the peer's kernel. The writer takes what has queued and writes it with one vectored call; it never waits to
//! fill a batch.
//!
//! Bounds (W2, W3): preamble within 10 s, a frame within 60 s of its first byte, a frame's buffer grows with the bytes
//! that arrived, [`Limits`](crate::Limits) on accepted connections, keepalive on both sides.

mod unfinished;

use std::collections::HashMap;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::{Arc, Weak};
use std::task::Poll;
use std::time::Duration;

use bytes::BufMut;
use ockam_wire::Address;
use ockam_wire::frame::{self, Frame, FrameReader, Position};
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener as Socket, TcpSocket, TcpStream, lookup_host};
use tokio::sync::watch;
use tokio::time::{Instant, timeout, timeout_at};

use self::unfinished::{Places, Unfinished};
use super::{Accepted, Attach, Connection, Inbound, Outbound, WriteNow};
use crate::admission::Admission;
use crate::flow_control::FlowId;
use crate::node::Node;
use crate::queue::Queued;
use crate::rates::Source;

/// A listening socket. It stops listening when [`TcpListener::close`] is called; dropping the handle does not.
#[derive(Debug, Clone)]
pub struct TcpListener {
    address: SocketAddr,
    flow: FlowId,
    phase: Arc<watch::Sender<Phase>>,
}

/// How far a listener is; it only goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd)]
enum Phase {
    /// Whoever connects waits.
    Bound,
    Open,
    Closed,
}

impl TcpListener {
    /// The bound address.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The spawner id of all connections that it accepts: what services are opened to.
    pub fn flow(&self) -> FlowId {
        self.flow
    }

    /// Takes connections from now on, first those that were made since it was bound. A closed one stays closed.
    pub fn open(&self) {
        self.go_on(Phase::Open);
    }

    /// Stops listening; accepted connections go on.
    pub fn close(&self) {
        self.go_on(Phase::Closed);
    }

    /// Whether it has stopped.
    pub fn is_closed(&self) -> bool {
        *self.phase.borrow() == Phase::Closed
    }

    fn go_on(&self, to: Phase) {
        self.phase.send_if_modified(|phase| {
            let later = *phase < to;
            if later {
                *phase = to;
            }
            later
        });
    }
}

/// A socket that listens at `address` (`ip:port` or `name:port`; port 0 picks a free one), with room for many that
/// connect at the same moment: a client that finds none tries again only after a second.
///
/// # Errors
/// The address cannot be resolved or bound.
pub async fn listening_socket(address: &str) -> io::Result<Socket> {
    let mut refused = io::Error::new(io::ErrorKind::InvalidInput, "the name has no address");
    for address in lookup_host(address).await? {
        match listen(address) {
            Ok(socket) => return Ok(socket),
            Err(error) => refused = error,
        }
    }
    Err(refused)
}

fn listen(address: SocketAddr) -> io::Result<Socket> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    // Without it the port of a process that has just ended could not be used again.
    #[cfg(unix)]
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(ARRIVALS)
}

impl Node {
    /// Listens for connections of other nodes at `address` (`ip:port` or `name:port`; port 0 picks a free one).
    ///
    /// # Errors
    /// The address cannot be resolved or bound.
    pub async fn tcp_listen(&self, address: &str) -> io::Result<TcpListener> {
        let listener = self.tcp_bind(address).await?;
        listener.open();
        Ok(listener)
    }

    /// Takes the place of [`Node::tcp_listen`] without taking connections: they wait until [`TcpListener::open`]. What a
    /// service is sent before it runs is lost, so a node that starts opens its listener when everything runs.
    ///
    /// # Errors
    /// The address cannot be resolved or bound.
    pub async fn tcp_bind(&self, address: &str) -> io::Result<TcpListener> {
        let socket = listening_socket(address).await?;
        let (phase, mut now) = watch::channel(Phase::Bound);
        let listener = TcpListener {
            address: socket.local_addr()?,
            flow: self.random_flow(),
            phase: Arc::new(phase),
        };
        let (node, flow, held) = (self.clone(), listener.flow, listener.phase.clone());
        let mut ends = now.clone();
        tokio::spawn(async move {
            // Of its own, as the handle may be dropped.
            let _phase = held;
            let accepting = async {
                if now.wait_for(|phase| *phase != Phase::Bound).await.is_ok() {
                    accept(&node, socket, flow).await;
                }
            };
            tokio::select! {
                () = accepting => {}
                _ = ends.wait_for(|phase| *phase == Phase::Closed) => {}
            }
            node.router().end_flow(flow);
        });
        Ok(listener)
    }

    /// Connects to another node at `peer` (`ip:port` or `name:port`) and waits for its preamble.
    ///
    /// # Errors
    /// No connection could be made, or the other side does not speak this protocol.
    pub async fn tcp_connect(&self, peer: &str) -> io::Result<Connection> {
        self.tcp_connect_at(peer, None).await
    }

    /// As [`Node::tcp_connect`], with the address of the sender given: routes over an earlier connection go on over
    /// this one.
    ///
    /// # Errors
    /// As for [`Node::tcp_connect`], and when the address is in use.
    pub async fn tcp_connect_at(
        &self,
        peer: &str,
        sender: Option<Address>,
    ) -> io::Result<Connection> {
        let mut stream = TcpStream::connect(peer).await?;
        configure(&stream)?;
        stream.write_all(&[frame::PREAMBLE]).await?;
        read_preamble(&mut stream).await?;
        self.run_tcp(stream, peer.to_owned(), sender, None, None)
    }

    /// Starts the two tasks of a connection whose preambles have been exchanged.
    fn run_tcp(
        &self,
        stream: TcpStream,
        peer: String,
        sender: Option<Address>,
        accepted: Option<Accepted>,
        places: Option<Arc<Places>>,
    ) -> io::Result<Connection> {
        let (inbound, outbound) = self
            .attach(Attach {
                transport: "TCP",
                peer,
                sender,
                accepted,
                message_limit: frame::MAX_FRAME,
                queue_bytes: QUEUE_BYTES,
            })
            .map_err(io::Error::other)?;
        let connection = inbound.connection();
        let (reading, writing) = stream.into_split();
        let unfinished = Unfinished::new(self, places);
        let ended = {
            let connection = connection.clone();
            async move { connection.closed().await }
        };
        let given_up = {
            let connection = connection.clone();
            async move {
                connection.closed().await;
                tokio::time::sleep(LAST_WRITES).await;
            }
        };
        spawn_half(
            connection.clone(),
            read(reading, inbound, unfinished),
            ended,
        );
        spawn_half(connection.clone(), write(writing, outbound), given_up);
        Ok(connection)
    }
}

/// Runs one half of a connection until it ends or `stop` is ready; then the other half ends too.
fn spawn_half(
    connection: Connection,
    half: impl Future<Output = io::Result<()>> + Send + 'static,
    stop: impl Future<Output = ()> + Send + 'static,
) {
    tokio::spawn(async move {
        // Ends the other half also when this one panics.
        let closing = CloseOnDrop(connection);
        let connection = &closing.0;
        tokio::select! {
            done = half => if let Err(error) = done {
                tracing::debug!(peer = connection.info().peer, "connection closed: {error}");
            },
            () = stop => {}
        }
    });
}

struct CloseOnDrop(Connection);

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// Reads frames and hands them on, one after the other.
async fn read(
    mut socket: OwnedReadHalf,
    mut inbound: Inbound,
    mut unfinished: Unfinished,
) -> io::Result<()> {
    let mut frames = FrameReader::new(frame::MAX_FRAME);
    let mut deadline = None;
    loop {
        while let Some(message) = frames.next_frame().map_err(invalid)? {
            deadline = None;
            unfinished.renew();
            let mut receiving = std::pin::pin!(inbound.receive(message));
            tokio::select! {
                biased;
                received = &mut receiving => received,
                () = std::future::ready(()) => {
                    // Whoever waits for room further on keeps no place from others.
                    unfinished.leave();
                    receiving.await
                }
            }
            .map_err(invalid)?;
            // A peer that always has more to say, and nothing that has to wait, must not keep the thread for itself.
            tokio::task::coop::consume_budget().await;
        }
        if !unfinished.hold(frames.buffered()) {
            return Err(io::Error::other("too many unfinished frames"));
        }
        if frames.position() == Position::BetweenFrames {
            // An idle connection holds no buffer.
            frames.release();
            unfinished.leave();
            readable(&socket).await?;
            unfinished.enter().await;
        } else {
            let deadline = *deadline.get_or_insert_with(|| Instant::now() + FRAME_TIMEOUT);
            timeout_at(deadline, async {
                unfinished.enter().await;
                tokio::select! {
                    // First, as waiting for a time that is not reached costs a wake-up of the thread that keeps the time.
                    biased;
                    readable = readable(&socket) => readable,
                    () = unfinished.wanted_by_others() => {
                        Err(io::Error::other("a frame was not completed while others waited to begin theirs"))
                    }
                }
            })
            .await
            .map_err(|_| {
                io::Error::new(io::ErrorKind::TimedOut, "a frame was not completed in time")
            })??;
        }
        match read_now(&mut socket, &mut frames.spare_mut()).await? {
            Some(0) => return Ok(()),
            Some(_) => {}
            // Nothing is there, or this task has had its turn: then it would find the socket readable and read nothing for
            // ever, unless it gives way here.
            None => tokio::task::coop::consume_budget().await,
        }
    }
}

/// Reads what has arrived; `None` when that is nothing. Unlike `try_read_buf`, a read that leaves room is taken as a sign
/// that nothing more is there: no second call has to find that out.
///
/// # Errors
/// Those of the socket.
pub async fn read_now(
    socket: &mut OwnedReadHalf,
    into: &mut impl BufMut,
) -> io::Result<Option<usize>> {
    let mut reading = pin!(socket.read_buf(into));
    poll_fn(|context| match reading.as_mut().poll(context) {
        Poll::Ready(read) => Poll::Ready(read.map(Some)),
        Poll::Pending => Poll::Ready(Ok(None)),
    })
    .await
}

/// Waits until there may be something to read. There is one reader: it needs no place in a list of those who wait.
async fn readable(socket: &OwnedReadHalf) -> io::Result<()> {
    poll_fn(|context| socket.as_ref().poll_read_ready(context)).await
}

/// Writes what has queued, as much as there is with one call.
async fn write(socket: OwnedWriteHalf, mut outbound: Outbound) -> io::Result<()> {
    let socket = Arc::new(socket);
    let ahead: Weak<OwnedWriteHalf> = Arc::downgrade(&socket);
    outbound.write_ahead_with(ahead);
    let mut batch: Vec<Queued<Frame>> = Vec::with_capacity(BATCH);
    while outbound.next_batch(&mut batch, BATCH).await > 0 {
        write_all(&socket, &batch).await?;
        batch.clear();
    }
    Ok(())
}

impl WriteNow for OwnedWriteHalf {
    fn write_now(&self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        self.try_write_vectored(parts)
    }
}

async fn write_all(socket: &OwnedWriteHalf, batch: &[Queued<Frame>]) -> io::Result<()> {
    let mut slices: [IoSlice<'_>; 2 * BATCH] = std::array::from_fn(|_| IoSlice::new(&[]));
    let parts = batch
        .iter()
        .flat_map(|frame| frame.slices())
        .filter(|part| !part.is_empty());
    let mut count = 0;
    for (slice, part) in slices.iter_mut().zip(parts) {
        *slice = IoSlice::new(part);
        count += 1;
    }
    let mut rest = slices.get_mut(..count).unwrap_or_default();
    while !rest.is_empty() {
        match socket.try_write_vectored(rest) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => IoSlice::advance_slices(&mut rest, written),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                // A peer that takes nothing for so long would stall everybody who sends to it (W35).
                timeout(WRITE_TIMEOUT, socket.writable())
                    .await
                    .map_err(|_| {
                        io::Error::new(io::ErrorKind::TimedOut, "the other side takes nothing")
                    })??;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Accepts for ever. Errors of accepting (no more file descriptors) are waited out: they end when connections end.
async fn accept(node: &Node, socket: Socket, flow: FlowId) {
    let limits = node.limits();
    let strangers = Admission::new(
        limits.unproven_connections,
        limits.unproven_connections_per_source,
    );
    let open = Arc::new(Admission::new(limits.connections, usize::MAX));
    let mut sources: HashMap<Source, Weak<Places>> = HashMap::new();
    loop {
        let (stream, peer) = match socket.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!("cannot accept connections: {error}");
                strangers.evict_one();
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let source = Source::of(peer);
        let ticket = strangers.admit(source, node.uptime());
        if sources.len() >= MANY_SOURCES && sources.len() == sources.capacity() {
            sources.retain(|_, places| places.strong_count() > 0);
        }
        let places = sources.get(&source).and_then(Weak::upgrade);
        let places = places.unwrap_or_else(|| {
            let places = Places::new(limits.unfinished_frames_per_source);
            sources.insert(source, Arc::downgrade(&places));
            places
        });
        let (node, open) = (node.clone(), open.clone());
        tokio::spawn(async move {
            let served = serve(
                &node,
                stream,
                peer,
                Accepted {
                    flow,
                    proven: ticket.proof(),
                },
                (open, places),
            );
            tokio::select! {
                served = served => if let Err(error) = served {
                    tracing::debug!(%peer, "connection refused: {error}");
                },
                () = ticket.evicted() => {
                    tracing::debug!(%peer, "connection closed: it said nothing and others came");
                }
            }
        });
    }
}

async fn serve(
    node: &Node,
    mut stream: TcpStream,
    peer: SocketAddr,
    accepted: Accepted,
    (open, places): (Arc<Admission<Source>>, Arc<Places>),
) -> io::Result<()> {
    configure(&stream)?;
    stream.write_all(&[frame::PREAMBLE]).await?;
    read_preamble(&mut stream).await?;
    let Some(ticket) = open.admit_if_fair(Source::of(peer), node.uptime()) else {
        return Err(io::Error::other("too many connections"));
    };
    let connection =
        CloseOnDrop(node.run_tcp(stream, peer.to_string(), None, Some(accepted), Some(places))?);
    tokio::select! {
        () = connection.0.closed() => Ok(()),
        () = ticket.evicted() => Err(io::Error::other("too many connections from this source")),
    }
}

/// spec: messaging 2.1 (anything but the version, or the end, closes the connection)
async fn read_preamble(stream: &mut TcpStream) -> io::Result<()> {
    let version = timeout(PREAMBLE_TIMEOUT, stream.read_u8())
        .await
        .map_err(|_| {
            io::Error::new(
                io::ErrorKind::TimedOut,
                "the other side did not say which protocol it speaks",
            )
        })??;
    if version != frame::PREAMBLE {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "the other side is not an Ockam node, or speaks another version",
        ));
    }
    Ok(())
}

/// spec: messaging 2.2, with keepalive on both sides (W3).
fn configure(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let keepalive = TcpKeepalive::new()
        .with_time(Duration::from_secs(60))
        .with_interval(Duration::from_secs(15))
        .with_retries(4);
    SockRef::from(stream).set_tcp_keepalive(&keepalive)
}

fn invalid(error: impl std::error::Error + Send + Sync + 'static) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

/// How long what is queued may take to leave once the connection is to end.
const LAST_WRITES: Duration = Duration::from_secs(1);
/// Places of sources that have gone are forgotten when there are so many.
const MANY_SOURCES: usize = 1024;
/// Connections that the system holds until they are accepted; it takes less if its own limit is lower.
const ARRIVALS: u32 = 4096;
/// Messages written with one call.
const BATCH: usize = 64;
/// Bytes that may wait to leave over one connection: a few chunks. With more, a task that always finds something to read
/// reads everything before anything of it is written, and the next node stands still meanwhile.
const QUEUE_BYTES: usize = 512 * 1024;
/// W2.
const PREAMBLE_TIMEOUT: Duration = Duration::from_secs(10);
/// W2.
const FRAME_TIMEOUT: Duration = Duration::from_secs(60);
/// How long a peer may take no byte while some are waiting for it.
const WRITE_TIMEOUT: Duration = Duration::from_secs(60);
/// How long to wait when no connection can be accepted.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

#[cfg(test)]
mod tests;
