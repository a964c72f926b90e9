//! The status endpoint: what it answers byte by byte, and what those who do not ask properly can do to it
//! (`spec: command 3.14`).

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::home::Home;
use crate::process::{Memory, allow_many_descriptors, descriptors, wait_until};
use crate::trial::Trial;

#[test]
fn health_checks_are_answered_and_everything_else_is_not_found() {
    let trial = Trial::beside_others();
    let home = trial.home("home");
    home.ok("node create n1");
    home.ok("tcp-outlet create --to 5000 --at n1");
    let endpoint = endpoint(&home, "n1");

    let healthy = ask(endpoint, "HEAD / HTTP/1.1\r\nhost: x\r\n\r\n");
    assert!(healthy.starts_with("HTTP/1.1 200 "), "{healthy}");
    assert!(healthy.ends_with("\r\n\r\n"), "{healthy}");
    assert!(!healthy.to_lowercase().contains("content-length"));

    let shown = ask(endpoint, "GET /show HTTP/1.1\r\nhost: x\r\n\r\n");
    let (head, body) = shown.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    assert!(!head.to_lowercase().contains("content-type"), "{head}");
    let json: Value = serde_json::from_str(body).unwrap();
    assert_eq!(json, home.json("node show n1"));
    assert_eq!(
        body,
        body.split_whitespace().collect::<String>(),
        "it is compact"
    );
    // The order is that of the published endpoint, not of the alphabet.
    let keys = [
        "name",
        "identity_name",
        "is_default",
        "status",
        "pid",
        "route",
        "status_endpoint_address",
        "transports",
        "secure_channel_listeners",
        "inlets",
        "outlets",
        "services",
    ];
    let places: Vec<usize> = keys
        .iter()
        .map(|key| body.find(&format!("\"{key}\":")).unwrap())
        .collect();
    assert!(places.is_sorted(), "{body}");

    for request in [
        "GET / HTTP/1.1",
        "HEAD /show HTTP/1.1",
        "POST /show HTTP/1.1",
        "GET /show/ HTTP/1.1",
        "GET /node HTTP/1.1",
        "DELETE / HTTP/1.1",
    ] {
        let answer = ask(endpoint, &format!("{request}\r\nhost: x\r\n\r\n"));
        assert!(answer.starts_with("HTTP/1.1 404 "), "{request}: {answer}");
    }
}

#[test]
fn who_connects_and_does_not_ask_is_no_burden() {
    let trial = Trial::alone();
    let home = trial.home("home");
    home.ok("node create n1");
    let endpoint = endpoint(&home, "n1");
    let node = home.node("n1");
    assert!(allow_many_descriptors() > 2 * CROWD as u64);
    let before = descriptors(node.pid);
    let memory = Memory::watch(node.pid);

    let mut crowd: Vec<TcpStream> = Vec::new();
    for number in 0..CROWD {
        let mut stream = TcpStream::connect(endpoint).unwrap();
        let sent = match number % 4 {
            // Says nothing.
            0 => Ok(()),
            // Begins, and never ends.
            1 => stream.write_all(b"GET /show HTTP/1.1\r\nx: "),
            // Goes on for ever.
            2 => stream.write_all(&[b'a'; 64 * 1024]),
            _ => stream.write_all(b"\x00\xff\r\n\r\n"),
        };
        // It may have been closed already.
        drop(sent);
        crowd.push(stream);
        if number % 100 == 0 {
            is_healthy(endpoint);
        }
    }
    is_healthy(endpoint);
    let held = descriptors(node.pid) - before;
    assert!(held < 100, "{held} of {CROWD} connections are held");
    memory.assert_peak_within(8);

    // Those that are left are closed although their clients hold on.
    wait_until("all are closed", Duration::from_secs(60), || {
        descriptors(node.pid) <= before
    });
    drop(crowd);
    is_healthy(endpoint);
}

#[test]
fn a_slow_request_is_answered_and_one_without_end_is_closed() {
    let trial = Trial::beside_others();
    let home = trial.home("home");
    home.ok("node create n1");
    let endpoint = endpoint(&home, "n1");
    let mut slow = connect(endpoint);
    slow.set_nodelay(true).unwrap();
    for byte in b"HEAD / HTTP/1.1\r\n\r\n" {
        slow.write_all(&[*byte]).unwrap();
    }
    let mut answer = String::new();
    slow.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");

    let mut endless = connect(endpoint);
    let began = Instant::now();
    endless.write_all(b"HEAD / HTTP/1.1\r\n").unwrap();
    let mut nothing = Vec::new();
    let end = endless.read_to_end(&mut nothing);
    assert!(
        matches!(&end, Ok(0))
            || matches!(&end, Err(error) if error.kind() == ErrorKind::ConnectionReset),
        "{end:?}"
    );
    assert!(began.elapsed() < Duration::from_secs(10));
}

fn endpoint(home: &Home, node: &str) -> SocketAddr {
    let shown = home.json(&format!("node show {node}"));
    let address = shown["status_endpoint_address"].as_str().unwrap();
    address.parse().unwrap()
}

#[track_caller]
fn is_healthy(endpoint: SocketAddr) {
    let began = Instant::now();
    let answer = ask(endpoint, "HEAD / HTTP/1.1\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    let took = began.elapsed();
    assert!(took < Duration::from_secs(1), "{took:?}");
}

fn ask(endpoint: SocketAddr, request: &str) -> String {
    let mut stream = connect(endpoint);
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn connect(endpoint: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(endpoint).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    stream
}

const CROWD: usize = 1000;
