//! Ten thousand connections that begin and say nothing more.

use std::io::Write;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::home::Home;
use crate::portal::Portal;
use crate::process::{Memory, allow_many_descriptors, runs, wait_until};
use crate::traffic::{Target, assert_echo, connect, receive_stream, send_stream};
use crate::trial::Trial;
use crate::wire::{self, PREAMBLE};

#[test]
fn a_relay_with_few_descriptors_serves_during_and_after_ten_thousand_half_open_connections() {
    flood(1024);
}

#[test]
fn a_relay_with_many_descriptors_serves_during_and_after_ten_thousand_half_open_connections() {
    flood(20_000);
}

fn flood(descriptors: u64) {
    let most = allow_many_descriptors();
    assert!(
        most >= 12_000,
        "this test holds ten thousand connections; the limit here is {most}"
    );
    let trial = Trial::alone();
    let target = Target::echo();
    let portal = Portal::open(&trial, target.address());
    assert_echo(portal.inlet);

    // The relay again, now with its own limit; the portal comes back to it.
    portal.relay.ok("node stop relay");
    start_limited(&portal.relay, "relay", descriptors.min(most));
    wait_until("the portal is back", Duration::from_secs(60), || {
        crate::traffic::exchange(portal.inlet, b"x", Duration::from_secs(1)).is_ok()
    });
    let relay = portal.relay_node();
    let memory = Memory::watch(relay.pid);

    // An open connection goes on through all of it.
    let stream = connect(portal.inlet, Duration::from_secs(60)).unwrap();
    let mut reader = stream.try_clone().unwrap();
    let receiving = std::thread::spawn(move || receive_stream(&mut reader, BULK));
    let sending = std::thread::spawn(move || send_stream(&stream, 1, BULK).unwrap());

    let mut held = Vec::with_capacity(FLOOD);
    let began = Instant::now();
    for number in 0..FLOOD {
        let mut stream = TcpStream::connect(("127.0.0.1", relay.port)).unwrap();
        // What was sent may come back as a reset: strangers make room for others.
        let _ = match number % 3 {
            0 => Ok(()),
            1 => stream.write_all(&[PREAMBLE]),
            _ => stream.write_all(&[PREAMBLE, 0, 0, 1, 0, 0x83]),
        };
        held.push(stream);
        if number % 1000 == 999 {
            assert_echo(portal.inlet);
        }
    }
    eprintln!("{FLOOD} half-open connections in {:?}", began.elapsed());

    // During: new portal connections, new strangers who get on with it, new channels, commands.
    assert_echo(portal.inlet);
    let mut stranger = wire::connect(relay.port);
    assert!(wire::ask(&mut stranger, &[b"echo"], b"x").is_ok());
    let route = format!(
        "{}/service/forward_to_server/secure/api/service/uppercase",
        relay.route()
    );
    assert_eq!(
        portal
            .client
            .ok(&format!("message send hello --to {route}")),
        "HELLO"
    );
    portal.relay.ok("node show relay");
    assert_eq!(receiving.join().unwrap().unwrap(), sending.join().unwrap());
    eprintln!("peak {} KiB above idle", memory.peak());
    memory.assert_peak_within(64);

    // After.
    drop(held);
    wait_until("the relay lets go of them", Duration::from_secs(60), || {
        crate::process::descriptors(relay.pid) < 100
    });
    assert_echo(portal.inlet);
    assert_eq!(
        portal
            .client
            .ok(&format!("message send hello --to {route}")),
        "HELLO"
    );
    assert!(runs(relay.pid));
}

/// Starts a stopped node that may open so many descriptors.
fn start_limited(home: &Home, node: &str, descriptors: u64) {
    home.shell(&format!("ulimit -n {descriptors}; ockam node start {node}"))
        .success();
}

const FLOOD: usize = 10_000;
const BULK: u64 = 64 << 20;
