//! Bytes that nobody should send, at a listener that anybody may reach.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use crate::portal::Portal;
use crate::process::{Memory, allow_many_descriptors, descriptors, runs, wait_until};
use crate::traffic::{Target, assert_echo, noise};
use crate::trial::Trial;
use crate::wire::{self, PREAMBLE};

#[test]
fn garbage_closes_its_own_connection_and_nothing_else() {
    let trial = Trial::beside_others();
    let target = Target::echo();
    let portal = Portal::open(&trial, target.address());
    let relay = portal.relay_node();
    let mut bystander = wire::connect(relay.port);
    let open = descriptors(relay.pid);
    for seed in 0..100 {
        // Without the version byte, with it, and as the body of a frame.
        let garbage = noise(seed, 5000);
        let mut framed = vec![PREAMBLE];
        framed.extend_from_slice(&5000_u32.to_be_bytes());
        framed.extend_from_slice(&garbage);
        let mut versioned = vec![PREAMBLE];
        versioned.extend_from_slice(&0xffff_ffff_u32.to_be_bytes());
        versioned.extend_from_slice(&garbage);
        let mut wrong = garbage.clone();
        wrong[0] = 2;
        for bytes in [wrong, versioned, framed] {
            let mut stream = TcpStream::connect(("127.0.0.1", relay.port)).unwrap();
            // The node may close before everything is written.
            let _ = stream.write_all(&bytes);
            assert_closed(&mut stream);
        }
    }
    // Bodies that are nearly right.
    let good = wire::frame(&[b"echo"], &[b"stranger"], b"x");
    for at in 4..good.len() {
        for value in [0x00, 0x1b, 0x5f, 0x7f, 0x9f, 0xff] {
            let mut bytes = good.clone();
            bytes[at] = value;
            let mut stream = wire::connect(relay.port);
            stream.write_all(&bytes).unwrap();
            stream.shutdown(Shutdown::Write).unwrap();
            // Answered, dropped or refused: the connection ends, as its sender has ended.
            let mut rest = Vec::new();
            let _ = stream.read_to_end(&mut rest);
        }
    }
    assert_eq!(
        wire::ask(&mut bystander, &[b"echo"], b"still here").unwrap(),
        wire::frame(&[b"stranger"], &[b"echo"], b"still here")[4..]
    );
    wait_until(
        "the node has let go of them",
        Duration::from_secs(10),
        || descriptors(relay.pid) <= open,
    );
    assert_echo(portal.inlet);
}

#[test]
fn a_frame_above_the_limit_closes_the_connection_at_once() {
    let trial = Trial::beside_others();
    let home = trial.home("home");
    home.ok("node create n");
    let node = home.node("n");
    for length in [(16 << 20) + 1, u32::MAX, 0] {
        let mut stream = wire::connect(node.port);
        stream.write_all(&length.to_be_bytes()).unwrap();
        assert_closed(&mut stream);
    }
    assert!(runs(node.pid));
}

#[test]
fn truncated_frames_end_with_their_connection() {
    let trial = Trial::beside_others();
    let target = Target::echo();
    let portal = Portal::open(&trial, target.address());
    let relay = portal.relay_node();
    let open = descriptors(relay.pid);
    let good = wire::frame(&[b"echo"], &[b"stranger"], &noise(1, 300));
    for length in 0..good.len() {
        let mut stream = wire::connect(relay.port);
        stream.write_all(&good[..length]).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest);
        assert!(rest.is_empty(), "an answer to a part of a frame");
    }
    wait_until(
        "the node has let go of them",
        Duration::from_secs(10),
        || descriptors(relay.pid) <= open,
    );
    assert_echo(portal.inlet);
}

/// A declared length costs nothing: memory grows only with bytes that came.
#[test]
fn sixteen_mebibyte_lengths_without_a_body_cost_no_memory() {
    allow_many_descriptors();
    let trial = Trial::alone();
    let target = Target::echo();
    let portal = Portal::open(&trial, target.address());
    assert_echo(portal.inlet);
    let relay = portal.relay_node();
    let memory = Memory::watch(relay.pid);
    let mut held = Vec::new();
    for _ in 0..900 {
        let mut stream = TcpStream::connect(("127.0.0.1", relay.port)).unwrap();
        let mut bytes = vec![PREAMBLE];
        bytes.extend_from_slice(&(16_u32 << 20).to_be_bytes());
        bytes.extend_from_slice(&[0x83]);
        stream.write_all(&bytes).unwrap();
        held.push(stream);
    }
    assert_echo(portal.inlet);
    assert_eq!(
        portal.client.ok(&format!(
            "message send hello --to {}/service/uppercase",
            relay.route()
        )),
        "HELLO"
    );
    memory.assert_peak_within(64);
    drop(held);
    assert_echo(portal.inlet);
}

/// Strangers who really send long frames, all but the last byte, get a bounded share of the memory.
#[test]
fn half_sent_long_frames_are_bounded_together() {
    let trial = Trial::alone();
    let target = Target::echo();
    let portal = Portal::open(&trial, target.address());
    assert_echo(portal.inlet);
    let relay = portal.relay_node();
    let memory = Memory::watch(relay.pid);
    let body = noise(1, 15 << 20);
    let mut held = Vec::new();
    for _ in 0..16 {
        let mut stream = TcpStream::connect(("127.0.0.1", relay.port)).unwrap();
        stream
            .set_write_timeout(Some(Duration::from_millis(500)))
            .unwrap();
        let mut bytes = vec![PREAMBLE];
        bytes.extend_from_slice(&(16_u32 << 20).to_be_bytes());
        bytes.extend_from_slice(&[0x83]);
        stream.write_all(&bytes).unwrap();
        // The node may close, or stop to read.
        let _ = stream.write_all(&body);
        held.push(stream);
    }
    assert_echo(portal.inlet);
    assert_eq!(
        portal.client.ok(&format!(
            "message send hello --to {}/service/uppercase",
            relay.route()
        )),
        "HELLO"
    );
    memory.assert_peak_within(64);
}

/// Who has been answered once is no stranger any more, and still holds no more than its share.
#[test]
fn frames_begun_over_many_proven_connections_are_bounded_together() {
    allow_many_descriptors();
    let trial = Trial::alone();
    let target = Target::echo();
    let portal = Portal::open(&trial, target.address());
    assert_echo(portal.inlet);
    let relay = portal.relay_node();
    let memory = Memory::watch(relay.pid);
    let mut begun = (1_u32 << 20).to_be_bytes().to_vec();
    begun.push(0x83);
    begun.extend_from_slice(&noise(1, 250_000));
    let mut held = Vec::new();
    for number in 0..1500 {
        let mut stream = TcpStream::connect(("127.0.0.1", relay.port)).unwrap();
        // The kernel takes what the node does not.
        stream.set_nonblocking(true).unwrap();
        let mut bytes = vec![PREAMBLE];
        bytes.extend_from_slice(&wire::frame(&[b"echo"], &[b"stranger"], b"x"));
        let _ = stream.write_all(&bytes);
        let _ = stream.write_all(&begun);
        held.push(stream);
        if number % 300 == 0 {
            assert_echo(portal.inlet);
        }
    }
    assert_echo(portal.inlet);
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
    memory.assert_peak_within(64);
    drop(held);
    assert_echo(portal.inlet);
}

#[test]
fn guard_w11_relay_names_that_are_no_names_are_refused_and_harm_nothing() {
    let trial = Trial::beside_others();
    let target = Target::echo();
    let portal = Portal::open(&trial, target.address());
    let relay = portal.relay_node();
    let at = relay.route();
    let long = "x".repeat(10_000);
    let names: [&[u8]; 9] = [
        b"1#a",
        b"a#b",
        b"#",
        b"0#echo",
        b"",
        b"a b",
        b"../api",
        b"\xff\xfe",
        long.as_bytes(),
    ];
    for name in names {
        let mut stranger = wire::connect(relay.port);
        let request = wire::bare(name);
        for service in [&b"static_forwarding_service"[..], b"forwarding_service"] {
            stranger
                .write_all(&wire::frame(&[service], &[b"stranger"], &request))
                .unwrap();
        }
        // The connection lives, and no confirmation came before this answer.
        assert_eq!(
            wire::ask(&mut stranger, &[b"echo"], b"x").unwrap(),
            wire::frame(&[b"stranger"], &[b"echo"], b"x")[4..],
            "{name:?}"
        );
        // A body that is no string.
        stranger
            .write_all(&wire::frame(
                &[b"forwarding_service"],
                &[b"stranger"],
                b"\xff\xff\xff\xff\x7f",
            ))
            .unwrap();
        assert!(wire::ask(&mut stranger, &[b"echo"], b"y").is_ok());
    }
    for name in ["1#a", "a#b", long.as_str()] {
        let start = Instant::now();
        let done = portal
            .server
            .run(&["relay", "create", name, "--at", &at, "--to", "server"]);
        assert_ne!(done.code, Some(0), "{name}");
        assert!(start.elapsed() < Duration::from_secs(5), "{done:?}");
    }
    for home in [&portal.relay, &portal.server, &portal.client] {
        assert!(home.json("node list")[0]["status"]["status"] == "running");
    }
    assert_echo(portal.inlet);
}

/// Whoever reaches the listener of a node reaches no control API there.
#[test]
fn guard_w07_the_listener_has_no_control_worker() {
    let trial = Trial::beside_others();
    let home = trial.home("home");
    home.ok("node create n");
    let mut stranger = wire::connect(home.node("n").port);
    // GET node, as the published program asks.
    let request = wire::bare(b"\xa4\x01\x01\x02\x64node\x03\x00\x04\xf4");
    for worker in [
        &b"_internal.nodemanager"[..],
        b"control_api",
        b"nodemanager",
    ] {
        stranger
            .write_all(&wire::frame(&[worker], &[b"stranger"], &request))
            .unwrap();
    }
    assert_eq!(
        wire::ask(&mut stranger, &[b"echo"], b"first answer").unwrap(),
        wire::frame(&[b"stranger"], &[b"echo"], b"first answer")[4..]
    );
}

fn assert_closed(stream: &mut TcpStream) {
    stream
        .set_read_timeout(Some(Duration::from_secs(15)))
        .unwrap();
    let mut rest = Vec::new();
    match stream.read_to_end(&mut rest) {
        Ok(_) => {}
        Err(error) => assert_eq!(
            error.kind(),
            ErrorKind::ConnectionReset,
            "the node did not close"
        ),
    }
    assert!(
        rest.len() <= 1,
        "more than the version byte came back: {rest:?}"
    );
}
