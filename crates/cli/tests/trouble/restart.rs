//! Nodes that are killed and started again: the others come back to them by themselves.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use crate::home::Home;
use crate::portal::Portal;
use crate::process::{self, wait_until};
use crate::traffic::{Target, assert_echo, connect, echo, exchange};
use crate::trial::Trial;

#[test]
fn new_connections_work_within_three_seconds_of_the_relay_being_back() {
    let trial = Trial::alone();
    let target = Target::echo();
    let portal = Portal::open(&trial, target.address());
    assert_echo(portal.inlet);
    for down in PAUSES {
        let port = portal.relay_node().port;
        portal.relay.kill("relay");
        comes_back(&portal.relay, "relay", port, down, portal.inlet);
    }
}

#[test]
fn new_connections_work_within_three_seconds_of_the_server_being_back() {
    let trial = Trial::alone();
    let target = Target::echo();
    let portal = Portal::open(&trial, target.address());
    assert_echo(portal.inlet);
    for down in PAUSES {
        let port = portal.server_node().port;
        portal.server.kill("server");
        comes_back(&portal.server, "server", port, down, portal.inlet);
    }
}

#[test]
fn new_connections_work_within_three_seconds_of_the_client_being_back() {
    let trial = Trial::alone();
    let target = Target::echo();
    let portal = Portal::open(&trial, target.address());
    assert_echo(portal.inlet);
    for down in PAUSES {
        portal.client.kill("client");
        // Here the listener that has to be back is the inlet.
        comes_back(
            &portal.client,
            "client",
            portal.inlet.port(),
            down,
            portal.inlet,
        );
    }
}

#[test]
fn a_whole_installation_that_lost_power_is_back_after_node_start() {
    let trial = Trial::alone();
    let target = Target::echo();
    let portal = Portal::open(&trial, target.address());
    assert_echo(portal.inlet);
    for (home, node) in [
        (&portal.relay, "relay"),
        (&portal.server, "server"),
        (&portal.client, "client"),
    ] {
        home.kill(node);
    }
    // In the order in which each depends on one that is not there yet.
    portal.client.ok("node start client");
    portal.server.ok("node start server");
    let port = portal.relay.json("node show relay")["route"]["verbose"].clone();
    let port: u16 = port
        .as_str()
        .unwrap()
        .rsplit('/')
        .next()
        .unwrap()
        .parse()
        .unwrap();
    comes_back(&portal.relay, "relay", port, Duration::ZERO, portal.inlet);
}

/// A connection that was open either goes on or ends, on both sides; it neither hangs nor makes up bytes.
#[test]
fn an_open_connection_over_a_killed_relay_is_not_left_hanging() {
    let trial = Trial::alone();
    let (ended, at_target) = mpsc::channel();
    let target = Target::start(move |stream| {
        let result = echo(stream);
        ended.send(()).unwrap();
        result
    });
    let portal = Portal::open(&trial, target.address());
    let mut stream = connect(portal.inlet, Duration::from_secs(20)).unwrap();
    stream.write_all(b"open").unwrap();
    stream.read_exact(&mut [0; 4]).unwrap();

    portal.relay.kill("relay");
    portal.relay.ok("node start relay");
    // The write may fail already.
    let written = stream.write_all(b"more");
    let mut answer = Vec::new();
    let mut chunk = [0; 16];
    while answer.len() < 4 {
        match stream.read(&mut chunk) {
            Ok(0) => break,
            Ok(count) => answer.extend_from_slice(&chunk[..count]),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => break,
            Err(error) => panic!("neither an end nor an answer: {error} ({written:?})"),
        }
    }
    assert!(b"more".starts_with(&answer), "{answer:?}");
    drop(stream);
    at_target
        .recv_timeout(Duration::from_secs(20))
        .expect("the target is told the end");
}

/// Starts a killed node after a while; connections begun after its listener is back must work within three seconds.
#[track_caller]
fn comes_back(home: &Home, node: &str, port: u16, down: Duration, inlet: SocketAddr) {
    let killed = Instant::now();
    // Clients go on arriving meanwhile, and are disappointed.
    while killed.elapsed() < down {
        let _ = exchange(inlet, b"anybody there?", Duration::from_millis(200));
        std::thread::sleep(Duration::from_millis(20));
    }
    let starting = {
        let (home, node) = (home.clone(), node.to_owned());
        std::thread::spawn(move || home.ok(&format!("node start {node}")))
    };
    let mut back = Instant::now();
    wait_until("the listener is back", Duration::from_secs(60), || {
        back = Instant::now();
        TcpStream::connect(("127.0.0.1", port)).is_ok()
    });
    // A new client every 100 ms, each on its own: one that waits does not keep the next from trying.
    let (done, first) = mpsc::channel();
    let works = loop {
        let done = done.clone();
        std::thread::spawn(move || {
            if exchange(inlet, b"new connection", LIMIT).is_ok() {
                let _ = done.send(Instant::now());
            }
        });
        match first.recv_timeout(Duration::from_millis(100)) {
            Ok(at) => break at,
            Err(_) => assert!(
                back.elapsed() < 4 * LIMIT,
                "nothing works {:?} after the listener is back",
                back.elapsed()
            ),
        }
    };
    let took = works.duration_since(back);
    eprintln!(
        "{node} was away for {down:?}: the first connection worked {took:?} after its listener was back"
    );
    assert!(took < LIMIT, "{took:?} after the listener was back");
    starting.join().unwrap();
    assert_echo(inlet);
    assert!(process::runs(home.node(node).pid));
}

/// How long the node is away: shortly, and so long that the others have become patient.
const PAUSES: [Duration; 2] = [Duration::ZERO, Duration::from_secs(5)];
const LIMIT: Duration = Duration::from_secs(3);
