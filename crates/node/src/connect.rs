//! From what a user writes to a route: transports are dialled and channels opened on the way (spec: messaging 9.2).
//!
//! Every `/secure` part is opened, from left to right, each through all that comes before it; an address that would
//! leave one unprotected is refused (W38).

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ockam_identity::Identifier;
use ockam_wire::{Address, AddressError, MultiAddr, Protocol, Route, RouteError};
use tokio::time::{Instant, timeout_at};

use crate::flow_control::{FlowId, Producer};
use crate::message::ChannelPeer;
use crate::names::{Resolved, UnknownNode};
use crate::node::{DRAIN_TIMEOUT, Node};
use crate::own_identity::OwnIdentity;
use crate::router::Router;
use crate::secure_channel::{ChannelError, ChannelOptions, SecureChannel};
use crate::transport::Connection as TransportConnection;

/// How an address is connected.
#[derive(Debug, Clone)]
pub struct ConnectOptions {
    /// The identity to present in every channel on the way.
    pub identity: Arc<dyn OwnIdentity>,
    /// Whom to accept at the end of the last channel, or at that of the channel which the first hop belongs to; empty: anyone.
    pub authorized: Vec<Identifier>,
    /// How long all of it may take.
    pub timeout: Duration,
}

/// What stands between this node and the place that an address names.
#[derive(Debug, Clone)]
pub struct Connection {
    place: MultiAddr,
    route: Route,
    transport: Option<TransportConnection>,
    channels: Vec<SecureChannel>,
    producer: Option<Producer>,
    peer: Option<Arc<ChannelPeer>>,
    router: Router,
}

impl Connection {
    /// What was connected: the address as it was given, names of nodes replaced.
    pub fn place(&self) -> &MultiAddr {
        &self.place
    }

    /// The route to send along; all hops are local addresses of the nodes they are on.
    pub fn route(&self) -> &Route {
        &self.route
    }

    /// The route to the node at the far end, without the worker there: the whole route when it ends at a channel or a
    /// transport (spec: messaging 8).
    pub fn transport_route(&self) -> Route {
        let mut route = self.route.clone();
        let ends_at_node = route.last().is_some_and(|last| {
            self.channels
                .last()
                .is_some_and(|channel| last == *channel.encryptor())
                || self
                    .transport
                    .as_ref()
                    .is_some_and(|transport| last == *transport.sender())
        });
        if !ends_at_node {
            route.pop_back();
        }
        route
    }

    /// The transport connection that was dialled for it.
    pub fn transport(&self) -> Option<&TransportConnection> {
        self.transport.as_ref()
    }

    /// The channels that were opened for it, outermost first.
    pub fn channels(&self) -> &[SecureChannel] {
        &self.channels
    }

    /// Who is at the end of each of these channels.
    pub fn peers(&self) -> Vec<Identifier> {
        self.channels
            .iter()
            .map(|channel| channel.peer().identifier)
            .collect()
    }

    /// Who is at the end of the innermost channel: one that was opened for it, or one that its first hop belongs to.
    pub fn peer(&self) -> Option<&Arc<ChannelPeer>> {
        self.peer.as_ref()
    }

    /// What answers enter with: the producer behind the first hop.
    pub fn producer(&self) -> Option<Producer> {
        self.producer
    }

    /// Flow of what comes back over the first hop.
    pub fn flow(&self) -> Option<FlowId> {
        self.producer.map(|producer| producer.id)
    }

    /// Whether a part of it has ended.
    pub fn is_closed(&self) -> bool {
        let transport_closed = || {
            self.transport
                .as_ref()
                .is_some_and(TransportConnection::is_closed)
        };
        let first_hop_gone = || {
            self.route
                .first()
                .is_some_and(|first| !self.router.is_running(&first.to_address()))
        };
        self.channels.iter().any(SecureChannel::is_closed) || transport_closed() || first_hop_gone()
    }

    /// Completes when a part of it has ended; never for an address without a hop.
    ///
    /// # Cancel safety
    /// May be dropped and called again.
    pub async fn closed(&self) {
        let transport = async {
            match &self.transport {
                Some(transport) => transport.closed().await,
                None => std::future::pending().await,
            }
        };
        // The outermost channel ends with the transport, an inner one with the outer; the last ends with all.
        let channel = async {
            match self.channels.last() {
                Some(channel) => channel.closed().await,
                None => std::future::pending().await,
            }
        };
        // A hop that was there before, such as a channel opened by another command.
        let first_hop = async {
            match self.route.first() {
                Some(first) => self.router.gone(&first.to_address()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = transport => {}
            () = channel => {}
            () = first_hop => {}
        }
    }

    /// Closes what was opened for it, innermost first.
    pub async fn close(&self) {
        for channel in self.channels.iter().rev() {
            channel.close().await;
        }
        if let Some(transport) = &self.transport {
            transport.close();
            // The last words of the channels are still on their way. A foreign transport may take its time over them.
            drop(tokio::time::timeout(DRAIN_TIMEOUT, transport.drained()).await);
        }
    }
}

/// An address could not be connected.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The address has a part that this node cannot resolve.
    #[error("`{0}` cannot be used in a route here")]
    Unsupported(String),
    /// The address names a node that nobody knows.
    #[error(transparent)]
    Name(#[from] UnknownNode),
    /// A second transport part.
    #[error("a route can have only one transport part, `{0}` is one too many")]
    SecondTransport(String),
    /// A transport part that is not complete, such as `/ip4/1.2.3.4` without a port.
    #[error("the transport part of `{0}` is not complete")]
    IncompleteTransport(String),
    /// The transport connection failed.
    #[error("cannot connect to {peer}")]
    Transport {
        /// What was dialled.
        peer: String,
        /// Why it failed.
        source: io::Error,
    },
    /// A channel could not be opened.
    #[error(transparent)]
    Channel(#[from] ChannelError),
    /// Identifiers are asked for, and no channel is on the way in which anybody could prove to be one of them.
    #[error(
        "there is no secure channel on the way, so nobody can prove to be an authorized identifier"
    )]
    NobodyProves,
    /// The first hop is not a worker of this node.
    #[error("no worker is running at `{0}`")]
    NotRunning(Address),
    /// It took too long.
    #[error("could not connect within {0:?}")]
    Timeout(Duration),
    /// A name in the address is too long.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// The route is too long.
    #[error(transparent)]
    Route(#[from] RouteError),
}

/// How one address is connected once.
struct Attempt<'a> {
    options: &'a ConnectOptions,
    // Channels that names in the address stand for, and with whom.
    pinned: &'a [(usize, Identifier)],
    entrance: Option<Address>,
    // That of the whole: a part that takes too long is told before the whole does.
    deadline: Instant,
    reached: &'a AtomicUsize,
}

/// Ends what was opened when the future that opens it is dropped.
struct CloseUnfinished {
    connection: Connection,
    finished: bool,
}

impl Drop for CloseUnfinished {
    fn drop(&mut self) {
        if self.finished {
            return;
        }
        for channel in self.connection.channels.iter().rev() {
            channel.abandon();
        }
        if let Some(transport) = &self.connection.transport {
            transport.close();
        }
    }
}

impl Node {
    /// Connects what `to` names: dials its transport, opens each of its channels.
    ///
    /// Names of nodes and projects are looked up each time. At the end of a project's channel only the project is accepted.
    ///
    /// # Errors
    /// [`ConnectError`]; what had been opened until then is closed again.
    ///
    /// # Cancel safety
    /// Dropping the future closes what it had opened.
    pub async fn connect(
        &self,
        to: &MultiAddr,
        options: ConnectOptions,
    ) -> Result<Connection, ConnectError> {
        self.connect_at(to, options, None).await
    }

    /// As [`Node::connect`], with the address given at which the innermost channel, or the transport when there is no
    /// channel, is entered: routes over an earlier connection of that address go on over this one.
    ///
    /// # Errors
    /// As for [`Node::connect`], and when the address is in use.
    ///
    /// # Cancel safety
    /// As for [`Node::connect`].
    pub async fn connect_at(
        &self,
        to: &MultiAddr,
        options: ConnectOptions,
        entrance: Option<Address>,
    ) -> Result<Connection, ConnectError> {
        self.connect_watched(to, options, entrance, &AtomicUsize::new(0))
            .await
    }

    /// As [`Node::connect_at`]. `reached` is at each moment, and after a failure, which part of `to` is being connected,
    /// from 0, when names of nodes are replaced; after success it is their number.
    ///
    /// # Errors
    /// As for [`Node::connect_at`].
    ///
    /// # Cancel safety
    /// As for [`Node::connect`].
    pub async fn connect_watched(
        &self,
        to: &MultiAddr,
        options: ConnectOptions,
        entrance: Option<Address>,
        reached: &AtomicUsize,
    ) -> Result<Connection, ConnectError> {
        let mut guard = CloseUnfinished {
            finished: false,
            connection: Connection {
                place: MultiAddr::default(),
                route: Route::new(),
                transport: None,
                channels: Vec::new(),
                producer: None,
                peer: None,
                router: self.router().clone(),
            },
        };
        let connection = &mut guard.connection;
        let deadline = Instant::now() + options.timeout;
        match timeout_at(deadline, async {
            let Resolved { place, pinned } = self.resolve(to).await?;
            connection.place = place.clone();
            let attempt = Attempt {
                options: &options,
                pinned: &pinned,
                entrance,
                deadline,
                reached,
            };
            self.connect_parts(&place, attempt, connection).await
        })
        .await
        {
            Ok(Ok(())) => {
                connection.producer = self.router().producer_behind(&connection.route);
                if let Some(first) = connection.route.first().map(|first| first.to_address()) {
                    // An end that is there from the beginning would be noticed at once, again and again.
                    if !self.router().is_running(&first) {
                        connection.close().await;
                        reached.store(0, Ordering::Relaxed);
                        return Err(ConnectError::NotRunning(first));
                    }
                    connection.peer = self.router().channel_peer(&first);
                }
                if let Err(error) = authorized(connection, &options.authorized) {
                    connection.close().await;
                    reached.store(0, Ordering::Relaxed);
                    return Err(error);
                }
                guard.finished = true;
                let parts = connection.place.protocols().len();
                reached.store(parts, Ordering::Relaxed);
                Ok(guard.connection.clone())
            }
            Ok(Err(ConnectError::Channel(ChannelError::Timeout(_)))) => {
                connection.close().await;
                Err(ConnectError::Channel(ChannelError::Timeout(
                    options.timeout,
                )))
            }
            Ok(Err(ConnectError::Channel(ChannelError::NotAuthentic(_, error)))) => {
                connection.close().await;
                Err(ConnectError::Channel(ChannelError::NotAuthentic(
                    options.timeout,
                    error,
                )))
            }
            Ok(Err(error)) => {
                connection.close().await;
                Err(error)
            }
            Err(_) => {
                connection.close().await;
                Err(ConnectError::Timeout(options.timeout))
            }
        }
    }

    async fn connect_parts(
        &self,
        to: &MultiAddr,
        attempt: Attempt<'_>,
        connection: &mut Connection,
    ) -> Result<(), ConnectError> {
        let Attempt {
            options,
            pinned,
            entrance,
            deadline,
            reached,
        } = attempt;
        let last_secure = to
            .protocols()
            .iter()
            .rposition(|part| matches!(part, Protocol::Secure(_)));
        let mut parts = to.protocols().iter().enumerate();
        while let Some((at, part)) = parts.next() {
            reached.store(at, Ordering::Relaxed);
            match part {
                Protocol::Ip4(_) | Protocol::Ip6(_) | Protocol::DnsAddr(_) => {
                    let port = match parts.next() {
                        Some((_, Protocol::Tcp(port))) => *port,
                        Some((_, Protocol::Udp(_))) => {
                            return Err(ConnectError::Unsupported(to.to_string()));
                        }
                        _ => return Err(ConnectError::IncompleteTransport(to.to_string())),
                    };
                    let peer = match part {
                        Protocol::Ip4(ip) => format!("{ip}:{port}"),
                        Protocol::Ip6(ip) => format!("[{ip}]:{port}"),
                        Protocol::DnsAddr(name) => format!("{name}:{port}"),
                        _ => return Err(ConnectError::IncompleteTransport(to.to_string())),
                    };
                    if connection.transport.is_some() || !connection.route.is_empty() {
                        return Err(ConnectError::SecondTransport(peer));
                    }
                    let sender = match last_secure {
                        None => entrance.clone(),
                        Some(_) => None,
                    };
                    let transport = self
                        .tcp_connect_at(&peer, sender)
                        .await
                        .map_err(|source| ConnectError::Transport { peer, source })?;
                    connection.route.push_back(transport.sender())?;
                    connection.transport = Some(transport);
                }
                Protocol::Service(name) | Protocol::Worker(name) => {
                    connection
                        .route
                        .push_back(&Address::local(name.as_bytes())?)?;
                }
                Protocol::Secure(name) => {
                    let mut route = connection.route.clone();
                    route.push_back(&Address::local(name.as_bytes())?)?;
                    let (authorized, encryptor) = match last_secure {
                        Some(last) if last == at => (options.authorized.clone(), entrance.clone()),
                        _ => (Vec::new(), None),
                    };
                    let pin = pinned.iter().find(|(part, _)| *part == at);
                    let authorized = match pin {
                        // Who asks for somebody else asks for nobody.
                        Some((_, pin)) if !authorized.is_empty() && !authorized.contains(pin) => {
                            return Err(ChannelError::NotAuthorized(*pin).into());
                        }
                        Some((_, pin)) => vec![*pin],
                        None => authorized,
                    };
                    let channel = self
                        .create_channel(
                            route,
                            ChannelOptions {
                                identity: options.identity.clone(),
                                authorized,
                                timeout: deadline.saturating_duration_since(Instant::now()),
                                encryptor,
                            },
                        )
                        .await?;
                    connection.route = Route::new();
                    connection.route.push_back(channel.encryptor())?;
                    connection.channels.push(channel);
                }
                other => return Err(ConnectError::Unsupported(other.to_string())),
            }
        }
        Ok(())
    }
}

/// Whether one of these is at the end of the channel that the connection goes through, if any are named. Channels that were
/// opened for it have asked already; one that was there before has not.
fn authorized(connection: &Connection, identifiers: &[Identifier]) -> Result<(), ConnectError> {
    if identifiers.is_empty() || !connection.channels.is_empty() {
        return Ok(());
    }
    match &connection.peer {
        None => Err(ConnectError::NobodyProves),
        Some(peer) if identifiers.contains(&peer.identifier) => Ok(()),
        Some(peer) => Err(ChannelError::NotAuthorized(peer.identifier).into()),
    }
}
