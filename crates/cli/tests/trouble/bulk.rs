//! Much, and much at once.

use std::sync::mpsc;
use std::sync::{Arc, Barrier};
use std::time::Duration;

use crate::portal::Portal;
use crate::process::Memory;
use crate::traffic::{Target, connect, noise, receive_stream, send_stream};
use crate::trial::Trial;

use std::io::{Read, Write};

#[test]
fn a_gibibyte_each_way_arrives_unchanged() {
    let trial = Trial::alone();
    let (digests, at_target) = mpsc::channel();
    let target = Target::start(move |stream| {
        let mut reader = stream.try_clone()?;
        let receiving = std::thread::spawn(move || receive_stream(&mut reader, GIBIBYTE));
        let sent = send_stream(&stream, 2, GIBIBYTE)?;
        let received = receiving.join().unwrap()?;
        digests.send((sent, received)).unwrap();
        Ok(())
    });
    let portal = Portal::open(&trial, target.address());
    let memory = [
        portal.client_node(),
        portal.relay_node(),
        portal.server_node(),
    ]
    .map(|node| Memory::watch(node.pid));

    let client = connect(portal.inlet, Duration::from_secs(60)).unwrap();
    let mut reader = client.try_clone().unwrap();
    let receiving = std::thread::spawn(move || receive_stream(&mut reader, GIBIBYTE));
    let sent = send_stream(&client, 1, GIBIBYTE).unwrap();
    let received = receiving.join().unwrap().unwrap();

    let (target_sent, target_received) = at_target.recv_timeout(Duration::from_secs(60)).unwrap();
    assert_eq!(sent, target_received, "from the client to the target");
    assert_eq!(received, target_sent, "from the target to the client");
    for node in &memory {
        node.assert_peak_within(64);
    }
}

#[test]
fn two_hundred_connections_at_once_get_each_its_own_bytes() {
    let trial = Trial::beside_others();
    let target = Target::echo();
    let portal = Portal::open(&trial, target.address());
    let all_open = Arc::new(Barrier::new(CONNECTIONS));
    let clients: Vec<_> = (0..CONNECTIONS)
        .map(|number| {
            let (all_open, inlet) = (all_open.clone(), portal.inlet);
            std::thread::spawn(move || {
                let mut stream = connect(inlet, Duration::from_secs(60)).unwrap();
                let mut reader = stream.try_clone().unwrap();
                // The first byte comes back only from the target, so all of them are open at the same time.
                stream.write_all(&[1]).unwrap();
                let mut first = [0];
                reader.read_exact(&mut first).unwrap();
                all_open.wait();
                let sent = noise(number as u64, 256 * 1024);
                let expected = sent.clone();
                let writer = std::thread::spawn(move || stream.write_all(&sent).map(|()| stream));
                let mut received = vec![0; expected.len()];
                reader.read_exact(&mut received).unwrap();
                assert!(received == expected, "connection {number}");
                writer.join().unwrap().unwrap();
            })
        })
        .collect();
    let broken = clients
        .into_iter()
        .map(std::thread::JoinHandle::join)
        .filter(Result::is_err)
        .count();
    assert_eq!(broken, 0, "connections that failed, of {CONNECTIONS}");
}

const GIBIBYTE: u64 = 1 << 30;
const CONNECTIONS: usize = 200;
