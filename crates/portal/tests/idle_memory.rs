//! What a portal connection on which nothing moves keeps on the heap, at inlet and outlet together.

#![allow(clippy::unwrap_used, reason = "a failing test says where")]

use std::alloc::System;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use ockam_node::{ConnectOptions, FixedIdentity, ListenerOptions, Node, NodeOptions};
use ockam_portal::{Inlet, InletOptions, Outlet, OutletOptions};
use ockam_wire::Address;
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Four sockets each, and systems where a process may have a thousand.
const CONNECTIONS: usize = 200;
const LOOKS: usize = 50;
/// Bytes on the heap for one connection, at both ends together.
const MOST: usize = 9 * 1024;
/// What a connection has carried before it is idle again.
const USED: usize = 64 * 1024;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn idle_connection_is_small_and_holds_nothing_of_what_it_carried() {
    let [near, far] = [(); 2].map(|()| Node::new(NodeOptions::default()));
    let api = Address::from_static("api");
    let listener = far.tcp_listen("127.0.0.1:0").await.unwrap();
    let options = ListenerOptions {
        identity: Arc::new(FixedIdentity::from(far.ephemeral_identity().unwrap())),
        authorized: Vec::new(),
        timeout: Duration::from_secs(10),
    };
    let channels = far.start_channel_listener(&api, options).unwrap();
    far.router().add_consumer(&api, listener.flow());
    let target = target();
    let mut options = OutletOptions::new(
        Address::from_static("outlet"),
        target.to_string().parse().unwrap(),
    );
    options.consumers = vec![channels.flow()];
    let _outlet = Outlet::start(&far, options).unwrap();
    let connect = ConnectOptions {
        identity: Arc::new(FixedIdentity::from(near.ephemeral_identity().unwrap())),
        authorized: Vec::new(),
        timeout: Duration::from_secs(10),
    };
    let to = format!(
        "/ip4/127.0.0.1/tcp/{}/secure/api/service/outlet",
        listener.address().port()
    );
    let options = InletOptions::new("127.0.0.1:0", to.parse().unwrap(), connect);
    let inlet = Inlet::start(&near, options).await.unwrap();
    inlet.connected().await;
    let bound = inlet.bound();

    // What the first connection makes once for all.
    let mut first = client(bound);
    exchange(&mut first, USED);
    let mut clients = Vec::with_capacity(CONNECTIONS);
    let before = settled(&mut first);
    for _ in 0..CONNECTIONS {
        clients.push(client(bound));
    }
    let opened = (settled(&mut first) - before) / CONNECTIONS;
    for client in &mut clients {
        exchange(client, USED);
    }
    let used = (settled(&mut first) - before) / CONNECTIONS;
    #[expect(clippy::print_stderr, reason = "seen with --nocapture")]
    {
        eprintln!("{opened} bytes for each connection, {used} after use");
    }
    assert!(opened <= MOST, "{opened} bytes for each connection");
    assert!(used <= MOST, "{used} bytes for each connection after use");
}

/// A connection that has carried a byte both ways.
fn client(at: SocketAddr) -> TcpStream {
    let mut client = TcpStream::connect(at).unwrap();
    client
        .set_read_timeout(Some(Duration::from_secs(60)))
        .unwrap();
    exchange(&mut client, 1);
    client
}

fn exchange(client: &mut TcpStream, size: usize) {
    let sent = vec![7; size];
    client.write_all(&sent).unwrap();
    let mut back = vec![0; size];
    client.read_exact(&mut back).unwrap();
    assert!(sent == back);
}

/// A target that returns what [`client`] and [`exchange`] send, in the order of the test, and keeps nothing else.
fn target() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let mut sockets = Vec::with_capacity(CONNECTIONS);
    let mut bytes = vec![0; USED];
    std::thread::spawn(move || {
        let mut echo = |socket: &mut TcpStream, size| {
            socket.read_exact(&mut bytes[..size]).unwrap();
            socket.write_all(&bytes[..size]).unwrap();
        };
        let mut first = listener.accept().unwrap().0;
        echo(&mut first, 1);
        echo(&mut first, USED);
        (0..LOOKS).for_each(|_| echo(&mut first, 1));
        for _ in 0..CONNECTIONS {
            let mut socket = listener.accept().unwrap().0;
            echo(&mut socket, 1);
            sockets.push(socket);
        }
        (0..LOOKS).for_each(|_| echo(&mut first, 1));
        for socket in &mut sockets {
            echo(socket, USED);
        }
        (0..LOOKS).for_each(|_| echo(&mut first, 1));
        // They stay open for as long as the test looks.
        std::thread::park();
    });
    address
}

/// Bytes on the heap, without what the channel itself needs now and then: the least of several looks, with a little to do
/// between them.
fn settled(client: &mut TcpStream) -> usize {
    let looks = (0..LOOKS).map(|_| {
        exchange(client, 1);
        let stats = ALLOCATOR.stats();
        stats.bytes_allocated - stats.bytes_deallocated
    });
    looks.min().unwrap_or_default()
}
