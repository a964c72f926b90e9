//! Routes that come back to where they were.

use std::io::Write;
use std::time::{Duration, Instant};

use crate::process::{Memory, processor_time, runs};
use crate::trial::Trial;
use crate::wire;

#[test]
fn guard_w05_a_route_of_hops_ends_at_the_limit() {
    let trial = Trial::alone();
    let home = trial.home("home");
    home.ok("node create n");
    home.ok("service start hop --at n");
    let node = home.node("n");
    let memory = Memory::watch(node.pid);
    let mut stranger = wire::connect(node.port);

    // As many as the limit on both routes together allows: answered.
    let mut route: Vec<&[u8]> = vec![b"hop"; 10];
    route.push(b"echo");
    assert!(wire::ask(&mut stranger, &route, b"x").is_ok());
    // More: dropped, or the connection is closed; never an answer.
    for hops in [32, 33, 100, 1000, 100_000] {
        let mut route: Vec<&[u8]> = vec![b"hop"; hops];
        route.push(b"echo");
        let mut other = wire::connect(node.port);
        other
            .set_read_timeout(Some(Duration::from_millis(300)))
            .unwrap();
        let frame = wire::frame(&route, &[b"stranger"], b"x");
        if other.write_all(&frame).is_ok() {
            assert!(wire::read_frame(&mut other).is_err(), "{hops} hops");
        }
    }
    // Many at once cost their own work and no more.
    let mut route: Vec<&[u8]> = vec![b"hop"; 25];
    route.push(b"nobody");
    let frame = wire::frame(&route, &[b"stranger"], &[7; 1000]);
    for _ in 0..2000 {
        stranger.write_all(&frame).unwrap();
    }
    wire::ask(&mut stranger, &[b"echo"], b"x").unwrap();
    assert_quiet(node.pid);
    memory.assert_peak_within(64);
    assert!(runs(node.pid));
}

/// Two relays on two nodes, each of which forwards to the other node.
#[test]
fn guard_w05_relays_that_point_at_each_other_multiply_nothing() {
    let trial = Trial::alone();
    let (left, right) = (trial.home("left"), trial.home("right"));
    left.ok("node create left");
    right.ok("node create right");
    let (at_left, at_right) = (left.node("left"), right.node("right"));
    // forward_to_r on the left node leads to the right one, forward_to_l on the right node to the left one.
    right.ok(&format!(
        "relay create r --at {} --to right",
        at_left.route()
    ));
    left.ok(&format!(
        "relay create l --at {} --to left",
        at_right.route()
    ));
    let memory = [at_left, at_right].map(|node| Memory::watch(node.pid));

    for pairs in [8, 15, 40] {
        let mut route: Vec<&[u8]> = Vec::new();
        for _ in 0..pairs {
            route.extend([&b"forward_to_r"[..], b"forward_to_l"]);
        }
        route.push(b"nobody");
        let mut other = wire::connect(at_left.port);
        for _ in 0..500 {
            // A route above the limit closes the connection.
            if other
                .write_all(&wire::frame(&route, &[b"stranger"], &[7; 1000]))
                .is_err()
            {
                break;
            }
        }
    }
    // A relay that leads to another relay of the same node, and back to itself by its name.
    for back in [
        &[&b"forward_to_r"[..], b"x"][..],
        &[b"forward_to_loop", b"x"],
        &[b"static_forwarding_service", b"x"],
    ] {
        let mut other = wire::connect(at_left.port);
        other
            .write_all(&wire::frame(
                &[b"static_forwarding_service"],
                back,
                &wire::bare(b"loop"),
            ))
            .unwrap();
        other
            .set_read_timeout(Some(Duration::from_millis(300)))
            .unwrap();
        while wire::read_frame(&mut other).is_ok() {}
        let _ = other.write_all(&wire::frame(
            &[b"forward_to_loop", b"forward_to_loop"],
            &[b"stranger"],
            b"x",
        ));
        while wire::read_frame(&mut other).is_ok() {}
    }
    for node in [at_left, at_right] {
        let mut fresh = wire::connect(node.port);
        assert!(wire::ask(&mut fresh, &[b"echo"], b"x").is_ok());
        assert_quiet(node.pid);
    }
    for node in &memory {
        node.assert_peak_within(64);
    }
    let route = format!(
        "{}/service/forward_to_r/secure/api/service/uppercase",
        at_left.route()
    );
    assert_eq!(
        left.ok(&format!("message send hello --to {route}")),
        "HELLO"
    );
}

/// Nothing goes round any more: the process rests.
fn assert_quiet(pid: u32) {
    let end = Instant::now() + Duration::from_secs(10);
    loop {
        let before = processor_time(pid);
        std::thread::sleep(Duration::from_millis(500));
        let used = processor_time(pid) - before;
        if used <= Duration::from_millis(20) {
            return;
        }
        assert!(
            Instant::now() < end,
            "the node is busy with {used:?} of 500 ms"
        );
    }
}
