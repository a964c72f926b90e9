//! Connections live as long as their peer is allowed to have them.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use ockam_identity::Identifier;
use ockam_portal::{Guard, Handshake, Inlet, Outlet, OutletAnswer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use crate::world::{Allowed, Host, echo_target, manual_target, noise, ping_pong, soon};

#[tokio::test(flavor = "multi_thread")]
async fn outlet_cuts_a_peer_in_the_middle_of_a_transfer_and_no_neighbour() {
    for form in Form::ALL {
        let world = World::start(form, Side::Outlet).await;
        world.cut_in_the_middle(form, Side::Outlet).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn inlet_cuts_a_peer_in_the_middle_of_a_transfer_and_no_neighbour() {
    for form in Form::ALL {
        let world = World::start(form, Side::Inlet).await;
        world.cut_in_the_middle(form, Side::Inlet).await;
    }
}

#[tokio::test]
async fn inlet_says_who_does_not_allow_it() {
    let world = World::start(Form::Streams, Side::Outlet).await;
    world.allowed.set(&[]);
    refused_at_once(world.inlet.bound()).await;
    let told = world.inlet.status();
    assert_eq!(
        told.outlet,
        OutletAnswer::Failed("the outlet's node does not allow it to this identity".to_owned())
    );
    assert!(told.session.up && told.session.connects == 1, "{told:?}");

    let world = World::start(Form::Published, Side::Inlet).await;
    world.allowed.set(&[]);
    refused_at_once(world.inlet.bound()).await;
    let told = world.inlet.status();
    let OutletAnswer::Failed(why) = told.outlet else {
        panic!("{told:?}");
    };
    assert!(
        why.starts_with("the policy of this inlet does not allow the peer I"),
        "{why}"
    );
}

#[tokio::test]
async fn way_without_a_channel_has_no_identity_to_allow() {
    let server = Host::start().await;
    let allowed = Allowed::new(&[]);
    let _outlet = server.outlet_with(echo_target().await, |options| {
        options.guard = Some(allowed.clone());
    });
    let client = Host::start().await;
    let inlet = client
        .inlet_with(&format!("{}/service/outlet", server.tcp()), |options| {
            options.answer_timeout = Duration::from_millis(500);
        })
        .await;
    soon(inlet.connected()).await;
    // As at a published outlet: nothing is answered.
    let begun = Instant::now();
    refused(inlet.bound()).await;
    assert!(begun.elapsed() >= Duration::from_millis(500));
    assert!(allowed.denied.load(Ordering::Relaxed));
}

#[tokio::test(flavor = "multi_thread")]
async fn policy_that_changes_a_hundred_times_while_clients_connect_leaves_nobody_behind() {
    for side in [Side::Outlet, Side::Inlet] {
        let world = World::start(Form::Streams, side).await;
        let bound = world.inlet.bound();
        let over = Arc::new(AtomicBool::new(false));
        let clients: Vec<JoinHandle<u32>> = (0..8)
            .map(|_| {
                let over = over.clone();
                tokio::spawn(async move {
                    let mut served = 0;
                    while !over.load(Ordering::Relaxed) {
                        // One that is refused may be so before it knows that it is connected.
                        let Ok(mut client) = TcpStream::connect(bound).await else {
                            continue;
                        };
                        while ping_pong(&mut client, b"hello").await.is_ok() {
                            served += 1;
                        }
                    }
                    served
                })
            })
            .collect();
        let peer = world.peer(side);
        for turn in 0..100 {
            world.allowed.set(if turn % 2 == 0 {
                &[]
            } else {
                std::slice::from_ref(&peer)
            });
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let mut client = TcpStream::connect(bound).await.unwrap();
        soon(ping_pong(&mut client, b"hello")).await.unwrap();
        world.allowed.set(&[]);
        let begun = Instant::now();
        while world.outlet.activity().connections + world.inlet.status().activity.connections > 0 {
            assert!(begun.elapsed() < SECOND, "{:?}", world.outlet.activity());
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        over.store(true, Ordering::Relaxed);
        let mut served = 0;
        for client in clients {
            served += soon(client).await.unwrap();
        }
        assert!(served > 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_delivered_is_a_beginning_also_while_nobody_looks() {
    // Who is allowed again before the next look is cut all the same when something of it was denied.
    for form in Form::ALL {
        for side in [Side::Outlet, Side::Inlet] {
            let world = World::start(form, side).await;
            let content = Arc::new(noise(LENGTH / 16));
            let (target, mut connections) = manual_target().await;
            let outlet = world.server.outlet_with(target, |options| {
                options.address = "second".parse().unwrap();
                options.handshake = form.handshake();
                options.guard =
                    (side == Side::Outlet).then(|| world.allowed.clone() as Arc<dyn Guard>);
            });
            let to = form.route(&world.server).replace("/outlet", "/second");
            let inlet = world
                .client
                .inlet_with(&to, |options| {
                    options.handshake = form.handshake();
                    options.guard =
                        (side == Side::Inlet).then(|| world.allowed.clone() as Arc<dyn Guard>);
                })
                .await;
            soon(inlet.connected()).await;
            let (mut client, mut server);
            loop {
                client = TcpStream::connect(inlet.bound()).await.unwrap();
                client.write_all(&content[..1]).await.unwrap();
                server = soon(connections.recv()).await.unwrap();
                if soon(server.read_exact(&mut [0])).await.is_ok() {
                    break;
                }
            }
            // What is denied comes from the side that is not the one with the policy.
            let (mut from, mut at) = match side {
                Side::Outlet => (client, server),
                Side::Inlet => (server, client),
            };
            let sent = content.clone();
            let sending = tokio::spawn(async move {
                drop(from.write_all(&sent[1..]).await);
                drop(from.shutdown().await);
            });
            let receiving = tokio::spawn(async move {
                let mut received = Vec::new();
                drop(at.read_to_end(&mut received).await);
                received
            });
            while !receiving.is_finished() {
                world.allowed.set_unseen(&[]);
                tokio::time::sleep(Duration::from_micros(100)).await;
                world.allowed.set_unseen(&world.everybody());
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            let received = soon(receiving).await.unwrap();
            assert!(
                content[1..].starts_with(&received),
                "{form:?} {side:?}: something is missing in between"
            );
            drop((soon(sending).await, outlet));
        }
    }
}

/// How a connection is carried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Streams,
    Published,
    SkipHandshake,
}

impl Form {
    const ALL: [Self; 3] = [Self::Streams, Self::Published, Self::SkipHandshake];

    /// With a worker behind the channel the channel's peer may not be the outlet's node.
    fn route(self, server: &Host) -> String {
        match self {
            Self::Streams | Self::SkipHandshake => {
                format!("{}/secure/api/service/outlet", server.tcp())
            }
            Self::Published => format!("{}/secure/api/service/hop/service/outlet", server.tcp()),
        }
    }

    fn handshake(self) -> Handshake {
        match self {
            Self::SkipHandshake => Handshake::Skip,
            _ => Handshake::Wait,
        }
    }
}

/// Where the policy is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Inlet,
    Outlet,
}

/// A client whose peer is allowed for now, a neighbour that stays, and a server with one outlet for both.
struct World {
    allowed: Arc<Allowed>,
    client: Host,
    server: Host,
    inlet: Inlet,
    outlet: Outlet,
    neighbour: Inlet,
    neighbouring: Host,
}

impl World {
    async fn start(form: Form, side: Side) -> Self {
        let (server, client, neighbouring) = (
            Host::start().await,
            Host::start().await,
            Host::start().await,
        );
        let own = |host: &Host| host.identifier;
        let allowed = Allowed::new(&[own(&client), own(&server), own(&neighbouring)]);
        // Sends what it was sent, and goes on when the client has ended.
        let outlet = server.outlet_with(echo_target().await, |options| {
            options.handshake = form.handshake();
            options.guard = (side == Side::Outlet).then(|| allowed.clone() as Arc<dyn Guard>);
        });
        let to = form.route(&server);
        let inlet = client
            .inlet_with(&to, |options| {
                options.handshake = form.handshake();
                options.guard = (side == Side::Inlet).then(|| allowed.clone() as Arc<dyn Guard>);
            })
            .await;
        let neighbour = neighbouring
            .inlet_with(&to, |options| options.handshake = form.handshake())
            .await;
        soon(inlet.connected()).await;
        soon(neighbour.connected()).await;
        Self {
            allowed,
            client,
            server,
            inlet,
            outlet,
            neighbour,
            neighbouring,
        }
    }

    /// Whom the policy of this side decides about.
    fn peer(&self, side: Side) -> Identifier {
        let host = match side {
            Side::Outlet => &self.client,
            Side::Inlet => &self.server,
        };
        host.identifier
    }

    fn everybody(&self) -> [Identifier; 3] {
        [&self.client, &self.server, &self.neighbouring].map(|host| host.identifier)
    }

    /// Only who is not allowed any more is cut, within a second, while everybody sends as much as the way takes.
    async fn cut_in_the_middle(&self, form: Form, side: Side) {
        let content = Arc::new(noise(LENGTH));
        let undisturbed = tokio::spawn(echoed(self.neighbour.bound(), content.clone()));
        let victim = TcpStream::connect(self.inlet.bound()).await.unwrap();
        let (mut read, mut write) = victim.into_split();
        let sending = tokio::spawn(async move {
            let chunk = noise(64 * 1024);
            loop {
                if let Err(error) = write.write_all(&chunk).await {
                    return error;
                }
            }
        });
        let mut buffer = vec![0; 64 * 1024];
        let mut carried = 0;
        while carried < LENGTH / 4 {
            carried += soon(read.read(&mut buffer)).await.unwrap();
        }
        let own = self.allowed.peers();
        let stays = self.neighbouring.identifier;
        self.allowed.set(&[stays]);
        let begun = Instant::now();
        let end = loop {
            match soon(read.read(&mut buffer)).await {
                Ok(0) => break None,
                Ok(_) => {}
                Err(error) => break Some(error.kind()),
            }
        };
        let took = begun.elapsed();
        assert!(took < SECOND, "{form:?}: {took:?}");
        // The system tells a reset once: to whoever of the two asked first.
        let told = [end, Some(soon(sending).await.unwrap().kind())];
        // The far side is told as far as there is a word for it (spec: messaging 7.5).
        let has_word = form == Form::Streams;
        if side == Side::Inlet || has_word {
            let reset = Some(ErrorKind::ConnectionReset);
            assert!(told.contains(&reset), "{form:?}: {told:?}");
        }
        let left = || {
            let inlet = self.inlet.status().activity.connections > 0;
            let outlet = self.outlet.activity().connections > 1;
            (inlet && (side == Side::Inlet || has_word))
                || (outlet && (side == Side::Outlet || has_word))
        };
        while left() {
            assert!(
                begun.elapsed() < SECOND,
                "{form:?}: the ends within a second"
            );
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        // The session goes on; a new client is turned away at once.
        if form != Form::SkipHandshake {
            refused_at_once(self.inlet.bound()).await;
        }
        assert!(self.inlet.status().session.up);
        assert!(
            soon(undisturbed).await.unwrap() == *content,
            "{form:?}: the neighbour's content"
        );
        // And served again when it is allowed again.
        self.allowed.set(&own);
        let mut client = TcpStream::connect(self.inlet.bound()).await.unwrap();
        soon(ping_pong(&mut client, b"again")).await.unwrap();
        assert_eq!(self.inlet.status().session.connects, 1);
    }
}

/// Sends content through an inlet to a target that returns it.
async fn echoed(at: SocketAddr, content: Arc<Vec<u8>>) -> Vec<u8> {
    let (mut read, mut write) = TcpStream::connect(at).await.unwrap().into_split();
    let length = content.len();
    tokio::spawn(async move {
        write.write_all(&content).await.unwrap();
        // Without streams an end is the end of both directions: it stays open.
        std::future::pending::<()>().await;
    });
    let mut echo = vec![0; length];
    read.read_exact(&mut echo).await.unwrap();
    echo
}

async fn refused_at_once(at: SocketAddr) {
    let begun = Instant::now();
    refused(at).await;
    assert!(begun.elapsed() < SECOND, "{:?}", begun.elapsed());
}

async fn refused(at: SocketAddr) {
    let refused = async { TcpStream::connect(at).await?.read(&mut [0]).await };
    let error = soon(refused).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
}

const LENGTH: usize = 64 * 1024 * 1024;
const SECOND: Duration = Duration::from_secs(1);
