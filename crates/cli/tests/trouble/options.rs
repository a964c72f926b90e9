//! What options and variables make of a portal.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::home::Home;
use crate::traffic::{ClosedPort, Target, assert_echo, connect, exchange};
use crate::trial::Trial;
use crate::wire::read_frame;

#[test]
fn both_ends_skip_the_handshake_when_the_variable_says_so() {
    let trial = Trial::beside_others();
    let target = Target::echo();
    let home = nodes(&trial, "");
    let skip = "OCKAM_TCP_PORTAL_SKIP_HANDSHAKE=on OCKAM_TCP_PORTAL_ENABLE_NAGLE=1";
    for (variables, name) in [
        (skip, "skips"),
        ("OCKAM_TCP_PORTAL_SKIP_HANDSHAKE=off", "waits"),
    ] {
        home.shell(&format!(
            "{variables} ockam tcp-outlet create {name} --at server --to {}",
            target.address()
        ))
        .success();
    }
    let inlet = |variables: &str, outlet: &str| -> SocketAddr {
        home.shell(&format!(
            "{variables} ockam tcp-inlet create --at client --to /node/server/secure/api/service/{outlet}"
        ))
        .success()
        .trim()
        .parse()
        .unwrap()
    };
    assert_echo(inlet(skip, "skips"));
    assert_echo(inlet("OCKAM_TCP_PORTAL_SKIP_HANDSHAKE=no", "waits"));
    // An outlet that waits takes nothing from an inlet that does not.
    let mixed = inlet(skip, "waits");
    assert!(exchange(mixed, b"hello", Duration::from_secs(1)).is_err());
}

#[test]
fn messages_are_as_long_as_the_variable_says() {
    let trial = Trial::beside_others();
    let target = Target::echo();
    let home = nodes(&trial, "OCKAM_TCP_PORTAL_PAYLOAD_LENGTH=1000");
    home.ok(&format!(
        "tcp-outlet create --at server --to {}",
        target.address()
    ));
    let longest = Arc::new(AtomicUsize::new(0));
    let tap = tap(home.node("server").port, longest.clone());
    let inlet: SocketAddr = home
        .ok(&format!(
            "tcp-inlet create --at client --to /ip4/127.0.0.1/tcp/{}/service/outlet",
            tap.address().port()
        ))
        .parse()
        .unwrap();
    let content = vec![7; 200_000];
    assert_eq!(exchange(inlet, &content, LONG).unwrap(), content);
    let longest = longest.load(Ordering::Relaxed);
    assert!((1000..1300).contains(&longest), "{longest}");
    let refused = home
        .shell("OCKAM_TCP_PORTAL_PAYLOAD_LENGTH=0 ockam node create other")
        .failure();
    assert!(
        refused.contains("OCKAM_TCP_PORTAL_PAYLOAD_LENGTH"),
        "{refused}"
    );
}

#[test]
fn a_command_waits_for_the_far_side_as_long_as_it_is_told() {
    let trial = Trial::alone();
    let home = nodes(&trial, "");
    let closed = ClosedPort::new();
    let port = closed.address().port();
    for (options, least, most) in [
        ("--no-connection-wait", 0, 3000),
        ("--connection-wait 1500ms", 1500, 4500),
        ("--connection-wait 20s --timeout 1500ms", 1500, 4500),
        ("--connection-wait 1500ms --retry-wait 0", 1500, 4500),
    ] {
        let start = Instant::now();
        let done = home.ockam(&format!(
            "tcp-inlet create --at client --to /ip4/127.0.0.1/tcp/{port}/service/outlet {options}"
        ));
        let took = start.elapsed();
        let range = Duration::from_millis(least)..Duration::from_millis(most);
        assert!(range.contains(&took), "{options}: {took:?}");
        if options.contains("--retry-wait 0") {
            let why = done.failure();
            assert!(why.contains("within 1500ms"), "{why}");
            assert!(why.to_lowercase().contains("refused"), "{why}");
        } else {
            done.success();
        }
    }
    let inlets = home.json("tcp-inlet list --at client");
    assert_eq!(inlets.as_array().unwrap().len(), 3, "the last one is gone");
}

fn nodes(trial: &Trial, variables: &str) -> Home {
    let home = trial.home("home");
    for node in ["server", "client"] {
        home.shell(&format!("{variables} ockam node create {node}"))
            .success();
    }
    home
}

/// Stands before a node and measures what comes for it.
fn tap(port: u16, longest: Arc<AtomicUsize>) -> Target {
    Target::start(move |mut near| {
        let mut far = connect(SocketAddr::from(([127, 0, 0, 1], port)), LONG)?;
        let (mut back_from, mut back_to) = (far.try_clone()?, near.try_clone()?);
        std::thread::spawn(move || {
            drop(std::io::copy(&mut back_from, &mut back_to));
            back_to.shutdown(Shutdown::Both)
        });
        let mut version = [0];
        near.read_exact(&mut version)?;
        far.write_all(&version)?;
        hand_on(&mut near, &mut far, &longest)
    })
}

fn hand_on(
    near: &mut TcpStream,
    far: &mut TcpStream,
    longest: &AtomicUsize,
) -> std::io::Result<()> {
    loop {
        let frame = read_frame(near)?;
        longest.fetch_max(frame.len(), Ordering::Relaxed);
        far.write_all(&u32::try_from(frame.len()).unwrap().to_be_bytes())?;
        far.write_all(&frame)?;
    }
}

const LONG: Duration = Duration::from_secs(60);
