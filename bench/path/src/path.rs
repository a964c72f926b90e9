//! The whole path in one process: client, inlet, relay, outlet and server, joined by real sockets.

use std::sync::Arc;
use std::time::Duration;

use ockam_node::{
    ChannelListener, ConnectOptions, FixedIdentity, ListenerOptions, Node, NodeOptions,
    TcpListener as NodeListener,
    services::{self, ECHO, Service},
};
use ockam_portal::{
    Inlet, InletOptions, Outlet, OutletOptions, Relay, RelayOptions, RelayService,
    RelayServiceOptions,
};
use ockam_wire::Address;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::channel::runtime;
use crate::scenario::Repeat;

/// 64 bytes there and 64 bytes back.
pub(crate) fn request(_: usize) -> Repeat {
    exchange(Sealed::Once, 64, 64)
}

/// 64 KiB there and one byte back.
pub(crate) fn chunk(_: usize) -> Repeat {
    exchange(Sealed::Once, CHUNK, 1)
}

/// The same as [`request`] over the route of the quick start.
pub(crate) fn request_sealed_twice(_: usize) -> Repeat {
    exchange(Sealed::Twice, 64, 64)
}

/// The same as [`chunk`] over the route of the quick start.
pub(crate) fn chunk_sealed_twice(_: usize) -> Repeat {
    exchange(Sealed::Twice, CHUNK, 1)
}

/// A connection for one request of one byte.
pub(crate) fn connection(_: usize) -> Repeat {
    let runtime = runtime();
    let path = runtime.block_on(Path::new(Sealed::Once, 1, 1));
    Box::new(move |rounds| {
        runtime.block_on(async {
            for _ in 0..rounds {
                let mut client = path.connect().await;
                client.write_all(&[7]).await.unwrap();
                assert_eq!(client.read_u8().await.unwrap(), 7);
                client.shutdown().await.unwrap();
                assert_eq!(client.read(&mut [0]).await.unwrap(), 0);
            }
        });
    })
}

/// Chunks of 64 KiB over a path that has carried so many connections and chunks before; asks `ready` in between.
pub(crate) fn worn(connections: usize, chunks: usize, rounds: usize, ready: impl FnOnce()) {
    let runtime = runtime();
    let path = runtime.block_on(Path::new(Sealed::Once, CHUNK, 1));
    let content = vec![7; CHUNK];
    let send = |chunks: usize, mut client: TcpStream| {
        let content = &content;
        async move {
            for _ in 0..chunks {
                client.write_all(content).await.unwrap();
                assert_eq!(client.read_u8().await.unwrap(), 7);
            }
            client
        }
    };
    let client = runtime.block_on(async {
        for _ in 0..connections {
            let mut client = path.connect().await;
            client.shutdown().await.unwrap();
            assert_eq!(client.read(&mut [0]).await.unwrap(), 0);
        }
        send(chunks, path.connect().await).await
    });
    ready();
    drop(runtime.block_on(send(rounds, client)));
}

/// How often content is sealed on its way.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sealed {
    /// End to end.
    Once,
    /// End to end, and in a channel to the relay.
    Twice,
}

fn exchange(sealed: Sealed, there: usize, back: usize) -> Repeat {
    let runtime = runtime();
    let (path, mut client) = runtime.block_on(async {
        let path = Path::new(sealed, there, back).await;
        let client = path.connect().await;
        (path, client)
    });
    let content = vec![7; there];
    let mut answer = vec![0; back];
    Box::new(move |rounds| {
        let _kept = &path;
        runtime.block_on(async {
            for _ in 0..rounds {
                client.write_all(&content).await.unwrap();
                client.read_exact(&mut answer).await.unwrap();
                assert!(answer.iter().all(|byte| *byte == 7));
            }
        });
    })
}

/// Everything that must go on running.
struct Path {
    inlet: Inlet,
    _outlet: Outlet,
    _relay: Relay,
    _relays: RelayService,
    _hosts: [Host; 3],
}

impl Path {
    /// A path to a server that answers every `there` bytes with `back` bytes.
    async fn new(sealed: Sealed, there: usize, back: usize) -> Self {
        let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let target = server.local_addr().unwrap().to_string();
        tokio::spawn(serve(server, there, back));

        let (near, middle, far) = (Host::new().await, Host::new().await, Host::new().await);
        let flows = vec![middle.listener.flow(), middle.channels.flow()];
        let relays = RelayServiceOptions {
            service_consumers: flows.clone(),
            relay_consumers: flows,
            ..RelayServiceOptions::default()
        };
        let relays = RelayService::start(&middle.node, relays).unwrap();
        let mut at = format!("/ip4/127.0.0.1/tcp/{}", middle.listener.address().port());
        if sealed == Sealed::Twice {
            at.push_str("/secure/api");
        }

        let router = far.node.router().clone();
        let options = RelayOptions::new(
            at.parse().unwrap(),
            "outlet".parse().unwrap(),
            far.connect.clone(),
        );
        let relay = Relay::start(&far.node, options, move |connection| {
            let flow = connection.flow().unwrap();
            router.add_consumer(&API, flow);
            router.add_consumer(&ECHO, flow);
        });
        relay.connected().await;
        let mut options = OutletOptions::new(OUTLET, target.parse().unwrap());
        options.consumers.push(far.channels.flow());
        let outlet = Outlet::start(&far.node, options).unwrap();

        let to = format!("{at}/service/forward_to_outlet/secure/api/service/outlet");
        let options = InletOptions::new("127.0.0.1:0", to.parse().unwrap(), near.connect.clone());
        let inlet = Inlet::start(&near.node, options).await.unwrap();
        inlet.connected().await;
        Self {
            inlet,
            _outlet: outlet,
            _relay: relay,
            _relays: relays,
            _hosts: [near, middle, far],
        }
    }

    async fn connect(&self) -> TcpStream {
        let client = TcpStream::connect(self.inlet.bound()).await.unwrap();
        client.set_nodelay(true).unwrap();
        client
    }
}

/// A node with a listener and channels at `api`.
struct Host {
    node: Node,
    connect: ConnectOptions,
    listener: NodeListener,
    channels: ChannelListener,
    // Sessions ask it whether their way still leads somewhere.
    _echo: Service,
}

impl Host {
    async fn new() -> Self {
        let node = Node::new(NodeOptions::default());
        let connect = ConnectOptions {
            identity: Arc::new(FixedIdentity::from(node.ephemeral_identity().unwrap())),
            authorized: Vec::new(),
            timeout: Duration::from_secs(60),
        };
        let listener = node.tcp_listen("127.0.0.1:0").await.unwrap();
        let options = ListenerOptions {
            identity: connect.identity.clone(),
            authorized: Vec::new(),
            timeout: Duration::from_secs(60),
        };
        let channels = node.start_channel_listener(&API, options).unwrap();
        let echo = services::start_echo(&node, ECHO).unwrap();
        node.router().add_consumer(&API, listener.flow());
        for flow in [listener.flow(), channels.flow()] {
            node.router().add_consumer(&ECHO, flow);
        }
        Self {
            node,
            connect,
            listener,
            channels,
            _echo: echo,
        }
    }
}

async fn serve(server: TcpListener, there: usize, back: usize) {
    while let Ok((mut connection, _)) = server.accept().await {
        connection.set_nodelay(true).unwrap();
        tokio::spawn(async move {
            let mut content = vec![0; there];
            while connection.read_exact(&mut content).await.is_ok() {
                let answer = content.get(..back).unwrap();
                if connection.write_all(answer).await.is_err() {
                    return;
                }
            }
        });
    }
}

const API: Address = Address::from_static("api");
const OUTLET: Address = Address::from_static("outlet");
const CHUNK: usize = 65_536;
