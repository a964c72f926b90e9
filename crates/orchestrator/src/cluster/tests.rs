use std::net::SocketAddr;

use ockam_node::services::{self, Service};
use ockam_node::{ChannelOptions, FixedIdentity, Namespace, NodeOptions, TcpListener};
use ockam_portal::{
    Inlet, InletOptions, Outlet, OutletOptions, Relay, RelayOptions, RelayService,
    RelayServiceOptions,
};
use ockam_wire::Route;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;

const API: Address = Address::from_static("api");
const OUTLET: Address = Address::from_static("outlet");

#[tokio::test]
async fn portal_through_a_relay_of_another_process() {
    let world = World::start();
    let [here, there] = [world.process().await, world.process().await];
    let relayed = Host::start();
    let _outlet = relayed.outlet(echo_target().await);
    let _relay = relayed.relay(&there, "n1").await;
    let user = Host::start();
    let inlet = user.inlet(&here, "n1").await;
    let bytes = noise(2_000_000);
    soon(ping_pong(&inlet, &bytes)).await.unwrap();
    assert_eq!((here.part.forwarders(), there.part.forwarders()), (1, 0));
    let relays = here.cluster.relays("p1", None, 9).await.unwrap();
    assert_eq!(relays.len(), 1);
    assert_eq!(relays[0].owner, Some(relayed.identifier));
    assert_eq!(relays[0].process.as_deref(), Some(there.cluster.id()));
    let from: SocketAddr = relays[0].from.as_ref().unwrap().parse().unwrap();
    assert!(from.ip().is_loopback());
    // The other project has relays of its own.
    assert!(here.cluster.relays("p2", None, 9).await.unwrap().is_empty());
}

#[tokio::test]
async fn relay_whose_process_dies_is_reached_where_its_node_connects_next() {
    let world = World::start();
    let [here, there] = [world.process().await, world.process().await];
    let relayed = Host::start();
    let _outlet = relayed.outlet(echo_target().await);
    let relay = relayed.relay(&there, "n1").await;
    let user = Host::start();
    let inlet = user.inlet(&here, "n1").await;
    soon(ping_pong(&inlet, b"before")).await.unwrap();
    let begun = Instant::now();
    there.die();
    drop(relay);
    // It connects to the process where the user is.
    let _relay = relayed.relay(&here, "n1").await;
    soon(again(&inlet)).await;
    assert!(
        begun.elapsed() < Duration::from_secs(5),
        "{:?}",
        begun.elapsed()
    );
    assert_eq!(here.part.forwarders(), 0);
    // What it had is free when its lease has ended.
    soon(async {
        while here.cluster.count() > 1 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn forwarder_follows_a_relay_that_moves_to_a_third_process() {
    let world = World::start();
    let [here, there, third] = [
        world.process().await,
        world.process().await,
        world.process().await,
    ];
    let relayed = Host::start();
    let _outlet = relayed.outlet(echo_target().await);
    let first = relayed.relay(&there, "n1").await;
    let user = Host::start();
    let inlet = user.inlet(&here, "n1").await;
    soon(ping_pong(&inlet, b"before")).await.unwrap();
    let before = there.relays.relays().len();
    assert_eq!(before, 1);
    let begun = Instant::now();
    let _second = relayed.relay(&third, "n1").await;
    // The old place hears of it.
    soon(async {
        while !there.relays.relays().is_empty() || here.part.forwarders() > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    assert!(begun.elapsed() < Duration::from_secs(1));
    // So that it does not take the name back.
    drop(first);
    soon(again(&inlet)).await;
    assert_eq!(third.relays.relays().len(), 1);
}

#[tokio::test]
async fn guard_w10_name_of_a_living_owner_cannot_be_taken_at_another_process() {
    let world = World::start();
    let [here, there] = [world.process().await, world.process().await];
    let (owner, other) = (Host::start(), Host::start());
    let relay = owner.relay(&there, "n1").await;
    let hijack = other.ask_relay(&here, "n1");
    let refused = tokio::time::timeout(Duration::from_secs(3), hijack.connected());
    assert!(refused.await.is_err());
    let relays = here.cluster.relays("p1", None, 9).await.unwrap();
    assert_eq!(relays[0].owner, Some(owner.identifier));
    assert!(here.relays.relays().is_empty());
    // When its owner is gone, it is free.
    owner.node.shutdown().await;
    drop(relay);
    soon(async {
        loop {
            if tokio::time::timeout(Duration::from_millis(100), hijack.connected())
                .await
                .is_ok()
            {
                return;
            }
        }
    })
    .await;
    assert_eq!(here.relays.relays().len(), 1);
}

#[tokio::test]
async fn silent_owner_at_another_process_is_replaced() {
    let world = World::start();
    let [here, there] = [world.process().await, world.process().await];
    let (owner, other) = (Host::start(), Host::start());
    let relay = owner.relay(&there, "n1").await;
    // It has stopped answering.
    owner.echo.lock().unwrap().take();
    let _taken = other.relay(&here, "n1").await;
    soon(async {
        while !there.relays.relays().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    let relays = here.cluster.relays("p1", None, 9).await.unwrap();
    assert_eq!(relays[0].owner, Some(other.identifier));
    drop(relay);
}

#[tokio::test]
async fn process_that_was_taken_for_dead_claims_again_what_it_has() {
    let world = World::start();
    let [here, there] = [world.process().await, world.process().await];
    let relayed = Host::start();
    let _relay = relayed.relay(&there, "n1").await;
    let store = &here.cluster.options.store;
    assert!(
        store
            .forget_process(there.cluster.id(), None)
            .await
            .unwrap()
    );
    soon(async {
        while here.cluster.relays("p1", None, 9).await.unwrap().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    soon(async {
        while store.processes().await.unwrap().len() < 2 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    assert_eq!(there.relays.relays().len(), 1);
}

#[tokio::test]
async fn relay_that_ends_is_given_back() {
    let world = World::start();
    let here = world.process().await;
    let relayed = Host::start();
    let relay = relayed.relay(&here, "n1").await;
    assert_eq!(here.cluster.relays("p1", None, 9).await.unwrap().len(), 1);
    relayed.node.shutdown().await;
    drop(relay);
    soon(async {
        while !here.cluster.relays("p1", None, 9).await.unwrap().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn process_that_leaves_frees_what_it_had_at_once() {
    let world = World::start();
    let [here, there] = [world.process().await, world.process().await];
    let relayed = Host::start();
    let _relay = relayed.relay(&there, "n1").await;
    there.cluster.stop().await;
    assert!(here.cluster.relays("p1", None, 9).await.unwrap().is_empty());
    assert_eq!(
        here.cluster.options.store.processes().await.unwrap().len(),
        1
    );
}

#[tokio::test]
async fn guard_o03_nobody_but_the_controller_speaks_to_the_entry_of_processes() {
    let world = World::start();
    let here = world.process().await;
    let stranger = Host::start();
    let connection = stranger
        .node
        .tcp_connect(&here.listener.address().to_string())
        .await
        .unwrap();
    let options = ChannelOptions {
        identity: stranger.connect.identity.clone(),
        authorized: Vec::new(),
        timeout: Duration::from_secs(1),
        encryptor: None,
    };
    let route = Route::from_hops([connection.sender().clone(), CLUSTER]).unwrap();
    // The handshake ends with the stranger's own message, so it is the other side that refuses.
    if let Ok(channel) = stranger.node.create_channel(route, options).await {
        let refused = async {
            while here.outer.denials().all().is_empty() {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        soon(refused).await;
        let onward = [channel.encryptor().clone(), Address::from_static("p1"), API];
        let own = OUTLET;
        let sent = stranger.node.router().send(
            &own,
            Route::from_hops(onward).unwrap(),
            Route::from_hops([OUTLET]).unwrap(),
            ockam_wire::Buffer::from_slice(b"x"),
        );
        drop(sent.await);
    }
    assert!(here.outer.channels().is_empty());
    assert_eq!(here.inner.router().delivered(), 0);
}

#[tokio::test]
async fn guard_o03_what_comes_from_another_process_is_not_forwarded_again() {
    let world = World::start();
    let [here, there, third] = [
        world.process().await,
        world.process().await,
        world.process().await,
    ];
    let relayed = Host::start();
    let _relay = relayed.relay(&third, "n1").await;
    // The way from here leads to a process that does not have it.
    let connection = here.cluster.connect(there.cluster.id()).await.unwrap();
    let encryptor = connection.channels()[0].encryptor().clone();
    here.namespace.handle().link_opened(&encryptor).unwrap();
    let own = Address::from_static("own");
    let onward = Route::from_hops([encryptor, Address::from_static("forward_to_n1")]).unwrap();
    let payload = ockam_wire::Buffer::from_slice(b"x");
    let back = Route::from_hops([own.clone()]).unwrap();
    here.inner
        .router()
        .send(&own, onward, back, payload)
        .await
        .unwrap();
    soon(async {
        let refused = || {
            let mut counts = there.inner.router().refusals().counts();
            counts.any(|(reason, count)| reason == "no such worker" && count == 1)
        };
        while !refused() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await;
    assert_eq!(there.part.forwarders(), 0);
    // Nor when a member has opened the way there.
    let user = Host::start();
    let _inlet = user.inlet(&there, "n1").await;
    soon(async {
        while there.part.forwarders() == 0 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await;
    let encryptor = connection.channels()[0].encryptor().clone();
    let onward = Route::from_hops([encryptor, Address::from_static("forward_to_n1")]).unwrap();
    let payload = ockam_wire::Buffer::from_slice(b"x");
    let back = Route::from_hops([own.clone()]).unwrap();
    here.inner
        .router()
        .send(&own, onward, back, payload)
        .await
        .unwrap();
    soon(async {
        let refused = || {
            let mut counts = there.inner.router().refusals().counts();
            counts.any(|(reason, count)| reason == "flow control" && count == 1)
        };
        while !refused() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await;
}

/// Processes on one database.
struct World {
    home: tempfile::TempDir,
    controller: Arc<FixedIdentity>,
    identifier: Identifier,
}

impl World {
    fn start() -> Self {
        let identity = Node::new(NodeOptions::default())
            .ephemeral_identity()
            .unwrap();
        Self {
            home: tempfile::tempdir().unwrap(),
            identifier: *identity.history.identifier(),
            controller: Arc::new(FixedIdentity::from(identity)),
        }
    }

    async fn process(&self) -> Process {
        let home = ockam_store::Home::open(self.home.path().join("home")).unwrap();
        let store = Store::open(&home).await.unwrap();
        let outer = Node::new(NodeOptions {
            strict: true,
            ..NodeOptions::default()
        });
        let listener = outer.tcp_listen("127.0.0.1:0").await.unwrap();
        let reach = format!("/ip4/127.0.0.1/tcp/{}", listener.address().port());
        let cluster = Cluster::start(ClusterOptions {
            node: outer.clone(),
            store,
            identity: self.controller.clone(),
            controller: self.identifier,
            listener: listener.flow(),
            reach: Some(reach.parse().unwrap()),
            pace: Pace {
                beat: Duration::from_millis(50),
                lease: Duration::from_millis(600),
                look: Duration::from_millis(20),
                idle: Duration::from_secs(60),
            },
        })
        .await
        .unwrap();
        let inner = Node::new(NodeOptions::default());
        let namespace = outer.enter(Address::from_static("p1"), &inner).unwrap();
        namespace.open_to(listener.flow());
        let options = ListenerOptions {
            identity: Arc::new(FixedIdentity::from(inner.ephemeral_identity().unwrap())),
            authorized: Vec::new(),
            timeout: Duration::from_secs(10),
        };
        let channels = inner.start_channel_listener(&API, options).unwrap();
        inner.router().add_consumer(&API, namespace.flow());
        let echo = services::start_echo(&inner, services::ECHO).unwrap();
        inner
            .router()
            .add_consumer(&services::ECHO, channels.flow());
        let part = cluster.join("p1", &inner, channels.flow(), Access::ALLOW_ALL);
        part.open(namespace.handle());
        let options = RelayServiceOptions {
            service_consumers: vec![channels.flow()],
            relay_consumers: vec![channels.flow(), cluster.flow()],
            registry: Some(part.registry()),
            ..RelayServiceOptions::default()
        };
        let relays = RelayService::start(&inner, options).unwrap();
        Process {
            outer,
            listener,
            cluster,
            inner,
            namespace,
            part,
            relays,
            _echo: echo,
        }
    }
}

struct Process {
    outer: Node,
    listener: TcpListener,
    cluster: Arc<Cluster>,
    inner: Node,
    namespace: Namespace,
    part: Arc<Part>,
    relays: RelayService,
    _echo: Service,
}

impl Process {
    fn at(&self) -> String {
        let port = self.listener.address().port();
        format!("/ip4/127.0.0.1/tcp/{port}/service/p1/secure/api")
    }

    /// Nothing is told to anybody any more.
    fn die(self) {
        self.listener.close();
        for task in self.cluster.tasks().drain(..) {
            task.abort();
        }
        for connection in self.outer.connections() {
            connection.close();
        }
    }
}

/// A member's node.
struct Host {
    node: Node,
    identifier: Identifier,
    connect: ConnectOptions,
    channels: ChannelListener,
    echo: Mutex<Option<Service>>,
}

impl Host {
    fn start() -> Self {
        let node = Node::new(NodeOptions::default());
        let identity = node.ephemeral_identity().unwrap();
        let identifier = *identity.history.identifier();
        let connect = ConnectOptions {
            identity: Arc::new(FixedIdentity::from(identity)),
            authorized: Vec::new(),
            timeout: Duration::from_secs(10),
        };
        let options = ListenerOptions {
            identity: connect.identity.clone(),
            authorized: Vec::new(),
            timeout: Duration::from_secs(10),
        };
        let channels = node.start_channel_listener(&API, options).unwrap();
        let echo = services::start_echo(&node, services::ECHO).unwrap();
        node.router().add_consumer(&services::ECHO, channels.flow());
        Self {
            node,
            identifier,
            connect,
            channels,
            echo: Mutex::new(Some(echo)),
        }
    }

    fn outlet(&self, target: SocketAddr) -> Outlet {
        let mut options = OutletOptions::new(OUTLET, target.to_string().parse().unwrap());
        options.consumers = vec![self.channels.flow()];
        Outlet::start(&self.node, options).unwrap()
    }

    fn ask_relay(&self, at: &Process, name: &str) -> Relay {
        let options = RelayOptions::new(
            at.at().parse().unwrap(),
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

    async fn relay(&self, at: &Process, name: &str) -> Relay {
        let relay = self.ask_relay(at, name);
        soon(relay.connected()).await;
        relay
    }

    async fn inlet(&self, at: &Process, relay: &str) -> Inlet {
        let to = format!(
            "{}/service/forward_to_{relay}/secure/api/service/outlet",
            at.at()
        );
        let options = InletOptions::new("127.0.0.1:0", to.parse().unwrap(), self.connect.clone());
        Inlet::start(&self.node, options).await.unwrap()
    }
}

async fn echo_target() -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut read, mut write) = socket.split();
                drop(tokio::io::copy(&mut read, &mut write).await);
            });
        }
    });
    address
}

async fn ping_pong(inlet: &Inlet, bytes: &[u8]) -> std::io::Result<()> {
    let mut client = TcpStream::connect(inlet.bound()).await?;
    let (mut read, mut write) = client.split();
    let mut answer = vec![0; bytes.len()];
    let (sent, received) = tokio::join!(write.write_all(bytes), read.read_exact(&mut answer));
    sent?;
    received?;
    assert!(answer == bytes, "the answer differs");
    Ok(())
}

/// Until the inlet works again.
async fn again(inlet: &Inlet) {
    loop {
        let tried = tokio::time::timeout(Duration::from_secs(2), ping_pong(inlet, b"after"));
        if let Ok(Ok(())) = tried.await {
            return;
        }
    }
}

fn noise(length: usize) -> Vec<u8> {
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

async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), what)
        .await
        .expect("it should have happened by now")
}
