//! Clients and targets that do not behave.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::portal::Portal;
use crate::process::{Memory, descriptors, wait_until};
use crate::traffic::{ClosedPort, Target, assert_echo, connect, echo, receive_stream, send_stream};
use crate::trial::Trial;

#[test]
fn a_client_that_closes_early_is_told_to_the_target_and_leaves_nothing() {
    let trial = Trial::beside_others();
    let ended = Arc::new(AtomicUsize::new(0));
    let counter = ended.clone();
    let target = Target::start(move |stream| {
        let result = echo(stream);
        counter.fetch_add(1, Ordering::AcqRel);
        result
    });
    let portal = Portal::open(&trial, target.address());
    assert_echo(portal.inlet);
    wait_until("the first connection has ended", LONG, || {
        ended.load(Ordering::Acquire) == 1
    });
    let nodes = [portal.client_node().pid, portal.server_node().pid];
    let before = nodes.map(descriptors);

    for number in 0..EARLY {
        let mut stream = connect(portal.inlet, LONG).unwrap();
        match number % 4 {
            // Says nothing at all.
            0 => {}
            // Sends and does not wait for the answer.
            1 => stream.write_all(&[7; 10_000]).unwrap(),
            // Breaks the connection off with what it sent unanswered: a reset instead of an end.
            2 => {
                stream.write_all(&[7; 200_000]).unwrap();
                reset_on_close(&stream);
            }
            // Reads a part of the answer only, so that its system answers with a reset.
            _ => {
                stream.write_all(&[7; 100_000]).unwrap();
                stream.read_exact(&mut [0; 10]).unwrap();
            }
        }
    }
    // Those that said nothing may be gone before the target was asked for them.
    wait_until("nothing of the connections is left", LONG, || {
        let now = nodes.map(descriptors);
        now[0] <= before[0] && now[1] <= before[1]
    });
    assert!(ended.load(Ordering::Acquire) > EARLY / 2);
    assert_echo(portal.inlet);
}

#[test]
fn a_target_that_refuses_is_told_to_the_client_at_once() {
    let trial = Trial::alone();
    let closed = ClosedPort::new();
    let portal = Portal::open(&trial, closed.address());
    for _ in 0..5 {
        let start = Instant::now();
        // The end may come before the client has done anything with its connection.
        let result = connect(portal.inlet, LONG).and_then(|mut stream| stream.read(&mut [0; 1]));
        let took = start.elapsed();
        assert!(
            matches!(&result, Ok(0))
                || matches!(&result, Err(error) if error.kind() == io::ErrorKind::ConnectionReset),
            "{result:?}"
        );
        assert!(took < Duration::from_secs(1), "{took:?}");
    }
    // The portal itself is fine.
    let target = Target::echo();
    let other = portal.add("other", target.address());
    assert_echo(other);
}

/// Streams that are not read share the channel, the relay's connection and both nodes with streams that are.
#[test]
fn a_stalled_stream_does_not_hold_up_its_neighbours_on_the_same_channel() {
    let trial = Trial::alone();
    let gate = Arc::new(Gate::default());
    let opened = gate.clone();
    let target = Target::start(move |mut stream| {
        let mut order = [0];
        stream.read_exact(&mut order)?;
        match order[0] {
            b'e' => echo(stream),
            // Reads nothing until told, then everything.
            b's' => {
                opened.wait();
                let digest = receive_stream(&stream, STALLED)?;
                stream.write_all(&digest)
            }
            // Sends everything at once to a client that does not read.
            _ => send_stream(&stream, 5, STALLED).map(drop),
        }
    });
    let portal = Portal::open(&trial, target.address());
    let memory = [
        portal.client_node(),
        portal.relay_node(),
        portal.server_node(),
    ]
    .map(|node| Memory::watch(node.pid));

    // Towards the target: what the system and the portal hold fits, then the writer waits.
    let stalled_up = order(&portal, b's');
    let writer = stalled_up.try_clone().unwrap();
    let upload = std::thread::spawn(move || send_stream(&writer, 4, STALLED));
    // Towards the client: nobody reads here yet.
    let stalled_down = order(&portal, b'd');

    for seed in 0..3 {
        let stream = order(&portal, b'e');
        let mut reader = stream.try_clone().unwrap();
        let receiving = std::thread::spawn(move || receive_stream(&mut reader, NEIGHBOUR));
        let sent = send_stream(&stream, seed, NEIGHBOUR).unwrap();
        assert_eq!(receiving.join().unwrap().unwrap(), sent);
    }
    assert!(
        !upload.is_finished(),
        "the stalled stream must be too long to fit anywhere"
    );
    for node in &memory {
        node.assert_peak_within(64);
    }

    // The stalled ones have lost nothing.
    gate.open();
    let sent = upload.join().unwrap().unwrap();
    let mut seen = [0; 32];
    (&stalled_up).read_exact(&mut seen).unwrap();
    assert_eq!(seen, sent);
    let received = receive_stream(&stalled_down, STALLED).unwrap();
    assert_eq!(received, send_stream(io::sink(), 5, STALLED).unwrap());
}

fn order(portal: &Portal, order: u8) -> TcpStream {
    let mut stream = connect(portal.inlet, Duration::from_secs(60)).unwrap();
    stream.write_all(&[order]).unwrap();
    stream
}

/// Closing a socket that is set so sends a reset.
fn reset_on_close(stream: &TcpStream) {
    rustix::net::sockopt::set_socket_linger(stream, Some(Duration::ZERO)).unwrap();
}

/// Closed until opened.
#[derive(Default)]
struct Gate {
    open: Mutex<bool>,
    changed: Condvar,
}

impl Gate {
    fn open(&self) {
        *self.open.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.changed.notify_all();
    }

    fn wait(&self) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        while !*open {
            open = self
                .changed
                .wait(open)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }
}

const EARLY: usize = 200;
const LONG: Duration = Duration::from_secs(60);
/// More than all buffers of the system and the portal together.
const STALLED: u64 = 96 << 20;
/// A bulk transfer.
const NEIGHBOUR: u64 = 64 << 20;
