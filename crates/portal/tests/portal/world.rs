//! What the tests are made of: nodes with the usual services, TCP targets, and a published peer played by hand.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ockam_identity::Identifier;
use ockam_node::services::{self, Service};
use ockam_node::{
    ChannelListener, ConnectOptions, FixedIdentity, ListenerOptions, Node, NodeOptions,
};
use ockam_portal::{
    Guard, Inlet, InletOptions, Outlet, OutletOptions, Relay, RelayAuthority, RelayName,
    RelayOptions, RelayService, RelayServiceOptions, TargetAddress,
};
use ockam_wire::{Address, Buffer, Route, RoutingMessage};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};

pub(crate) const API: Address = Address::from_static("api");
pub(crate) const OUTLET: Address = Address::from_static("outlet");

/// A node with `echo`, `api` and a listener, reachable as a created node is.
pub(crate) struct Host {
    pub(crate) node: Node,
    pub(crate) identifier: Identifier,
    pub(crate) connect: ConnectOptions,
    pub(crate) listener: ockam_node::TcpListener,
    pub(crate) channels: ChannelListener,
    _services: Vec<Service>,
}

impl Host {
    pub(crate) async fn start() -> Self {
        Self::start_at("127.0.0.1:0").await
    }

    pub(crate) async fn start_at(address: &str) -> Self {
        Self::start_with(address, NodeOptions::default()).await
    }

    pub(crate) async fn start_with(address: &str, options: NodeOptions) -> Self {
        let node = Node::new(options);
        let identity = node.ephemeral_identity().unwrap();
        let identifier = *identity.history.identifier();
        let connect = ConnectOptions {
            identity: Arc::new(FixedIdentity::from(identity)),
            authorized: Vec::new(),
            timeout: Duration::from_secs(10),
        };
        let listener = node.tcp_listen(address).await.unwrap();
        let options = ListenerOptions {
            identity: connect.identity.clone(),
            authorized: Vec::new(),
            timeout: Duration::from_secs(10),
        };
        let channels = node.start_channel_listener(&API, options).unwrap();
        let mut services = vec![services::start_echo(&node, services::ECHO).unwrap()];
        if !node.is_strict() {
            services.push(services::start_hop(&node, services::HOP).unwrap());
        }
        for address in [API, services::ECHO, services::HOP] {
            node.router().add_consumer(&address, listener.flow());
            node.router().add_consumer(&address, channels.flow());
        }
        Self {
            node,
            identifier,
            connect,
            listener,
            channels,
            _services: services,
        }
    }

    pub(crate) fn tcp(&self) -> String {
        format!("/ip4/127.0.0.1/tcp/{}", self.listener.address().port())
    }

    /// An outlet that can be reached in channels and over plain connections.
    pub(crate) fn outlet(&self, target: SocketAddr) -> Outlet {
        self.outlet_with(target, |_| {})
    }

    pub(crate) fn outlet_with(
        &self,
        target: SocketAddr,
        change: impl FnOnce(&mut OutletOptions),
    ) -> Outlet {
        let target: TargetAddress = target.to_string().parse().unwrap();
        let mut options = OutletOptions::new(OUTLET, target);
        options.consumers = vec![self.channels.flow(), self.listener.flow()];
        change(&mut options);
        Outlet::start(&self.node, options).unwrap()
    }

    pub(crate) async fn inlet(&self, to: &str) -> Inlet {
        self.inlet_with(to, |_| {}).await
    }

    pub(crate) async fn inlet_with(
        &self,
        to: &str,
        change: impl FnOnce(&mut InletOptions),
    ) -> Inlet {
        let mut options =
            InletOptions::new("127.0.0.1:0", to.parse().unwrap(), self.connect.clone());
        change(&mut options);
        Inlet::start(&self.node, options).await.unwrap()
    }

    pub(crate) fn relay_service(&self) -> RelayService {
        self.relay_service_with(|_| {})
    }

    pub(crate) fn relay_service_with(
        &self,
        change: impl FnOnce(&mut RelayServiceOptions),
    ) -> RelayService {
        let mut options = RelayServiceOptions {
            service_consumers: vec![self.listener.flow(), self.channels.flow()],
            relay_consumers: vec![self.listener.flow(), self.channels.flow()],
            ..RelayServiceOptions::default()
        };
        change(&mut options);
        RelayService::start(&self.node, options).unwrap()
    }

    /// Registers a relay; `api` and `echo` can be reached through it.
    pub(crate) fn relay(&self, at: &str, name: &str) -> Relay {
        let options = RelayOptions::new(
            at.parse().unwrap(),
            name.parse().unwrap(),
            self.connect.clone(),
        );
        let router = self.node.router().clone();
        Relay::start(&self.node, options, move |connection| {
            for address in [API, services::ECHO] {
                router.add_consumer(&address, connection.flow().unwrap());
            }
        })
    }
}

/// A TCP target that returns what it gets, and ends when its peer does.
pub(crate) async fn echo_target() -> SocketAddr {
    target(|mut socket| async move {
        let (mut read, mut write) = socket.split();
        drop(tokio::io::copy(&mut read, &mut write).await);
    })
    .await
}

/// A TCP target that does `serve` with every connection.
pub(crate) async fn target<F>(serve: impl Fn(TcpStream) -> F + Send + 'static) -> SocketAddr
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            tokio::spawn(serve(socket));
        }
    });
    address
}

/// A TCP target that hands its connections to the test.
pub(crate) async fn manual_target() -> (SocketAddr, mpsc::UnboundedReceiver<TcpStream>) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let address = target(move |socket| {
        drop(sender.send(socket));
        async {}
    })
    .await;
    (address, receiver)
}

/// An address where nothing listens.
pub(crate) fn closed_port() -> SocketAddr {
    std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
}

/// Sends `bytes` through a fresh client connection, ends it, and returns all that comes back.
pub(crate) async fn exchange(at: SocketAddr, bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut client = TcpStream::connect(at).await?;
    client.write_all(bytes).await?;
    client.shutdown().await?;
    let mut answer = Vec::new();
    client.read_to_end(&mut answer).await?;
    Ok(answer)
}

/// Sends `bytes` through a client connection and reads as many back.
pub(crate) async fn ping_pong(client: &mut TcpStream, bytes: &[u8]) -> std::io::Result<()> {
    client.write_all(bytes).await?;
    let mut answer = vec![0; bytes.len()];
    client.read_exact(&mut answer).await?;
    assert!(answer == bytes, "the answer differs");
    Ok(())
}

/// Bytes without a pattern that a mistake could hide in.
pub(crate) fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    (0..length)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state as u8
        })
        .collect()
}

/// The far end of a plain TCP connection between nodes, played by the test.
pub(crate) struct Wire {
    stream: TcpStream,
}

impl Wire {
    pub(crate) async fn dial(host: &Host) -> Self {
        Self::begin(TcpStream::connect(host.listener.address()).await.unwrap()).await
    }

    pub(crate) async fn begin(mut stream: TcpStream) -> Self {
        stream.write_all(&[1]).await.unwrap();
        let mut preamble = [0];
        stream.read_exact(&mut preamble).await.unwrap();
        assert_eq!(preamble, [1]);
        Self { stream }
    }

    /// Sends the body of one frame.
    pub(crate) async fn send_body(&mut self, body: &[u8]) {
        let length = u32::try_from(body.len()).unwrap().to_be_bytes();
        self.stream.write_all(&length).await.unwrap();
        self.stream.write_all(body).await.unwrap();
    }

    pub(crate) async fn send(&mut self, onward: &str, return_route: &str, payload: &[u8]) {
        let message = RoutingMessage {
            onward: onward.parse().unwrap(),
            return_route: return_route.parse().unwrap(),
            payload: Buffer::from_slice(payload),
        };
        self.send_body(message.encode().unwrap().as_slice()).await;
    }

    /// The body of the next frame; `None` at the end.
    pub(crate) async fn next_body(&mut self) -> Option<Vec<u8>> {
        let mut length = [0; 4];
        self.stream.read_exact(&mut length).await.ok()?;
        let mut body = vec![0; u32::from_be_bytes(length) as usize];
        self.stream.read_exact(&mut body).await.ok()?;
        Some(body)
    }

    /// The next message that is not a session's ping.
    pub(crate) async fn next(&mut self) -> Seen {
        self.next_raw().await.1
    }

    /// The next message that is not a session's ping, with its bytes.
    pub(crate) async fn next_raw(&mut self) -> (Vec<u8>, Seen) {
        loop {
            let body = self.next_body().await.unwrap();
            let seen = Seen::read(&body);
            if seen.onward.last().unwrap() != services::ECHO {
                return (body, seen);
            }
            self.send(&seen.return_route.to_string(), "echo", &seen.payload)
                .await;
        }
    }
}

/// A message that came over the wire.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) onward: Route,
    pub(crate) return_route: Route,
    pub(crate) payload: Vec<u8>,
}

impl Seen {
    pub(crate) fn read(body: &[u8]) -> Self {
        let message = RoutingMessage::decode(Buffer::from_slice(body)).unwrap();
        Self {
            onward: message.onward,
            return_route: message.return_route,
            payload: message.payload.as_slice().to_vec(),
        }
    }

    /// The only address of the return route.
    pub(crate) fn sender(&self) -> String {
        assert_eq!(self.return_route.len(), 1);
        self.return_route.to_string()
    }
}

/// A list of peers that changes.
#[derive(Debug)]
pub(crate) struct Allowed {
    peers: Mutex<Vec<Identifier>>,
    generation: watch::Sender<u64>,
    pub(crate) denied: AtomicBool,
}

impl Allowed {
    pub(crate) fn new(peers: &[Identifier]) -> Arc<Self> {
        Arc::new(Self {
            peers: Mutex::new(peers.to_vec()),
            generation: watch::channel(0).0,
            denied: AtomicBool::new(false),
        })
    }

    pub(crate) fn set(&self, peers: &[Identifier]) {
        *self.peers.lock().unwrap() = peers.to_vec();
        self.generation.send_modify(|generation| *generation += 1);
    }

    /// The same without a word to those who look.
    pub(crate) fn set_unseen(&self, peers: &[Identifier]) {
        *self.peers.lock().unwrap() = peers.to_vec();
    }

    pub(crate) fn peers(&self) -> Vec<Identifier> {
        self.peers.lock().unwrap().clone()
    }
}

impl Guard for Allowed {
    fn admits(&self, peer: Option<&Identifier>) -> bool {
        let admitted = peer.is_some_and(|peer| self.peers.lock().unwrap().contains(peer));
        if !admitted {
            self.denied.store(true, Ordering::Relaxed);
        }
        admitted
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.generation.subscribe()
    }
}

impl RelayAuthority for Allowed {
    fn permits(&self, peer: Option<&Identifier>, _name: &RelayName) -> bool {
        self.admits(peer)
    }

    fn changes(&self) -> watch::Receiver<u64> {
        Guard::changes(self)
    }
}

/// Fails a test that waits for something that does not come.
pub(crate) async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(10), what)
        .await
        .expect("it should have happened by now")
}
