//! Nonces are used once.

use std::collections::{HashMap, HashSet};

use crate::frames::Kind;
use crate::world::{LENGTH, World};

#[test]
fn no_nonce_is_used_twice_by_64_connections_at_once() {
    let world = World::start();
    let inlet = world.inlet("");
    let portals: Vec<_> = std::thread::scope(|scope| {
        let opening: Vec<_> = (0..64).map(|_| scope.spawn(|| world.open(inlet))).collect();
        opening
            .into_iter()
            .map(|portal| portal.join().unwrap())
            .collect()
    });
    let readings: Vec<_> = portals
        .iter()
        .map(|portal| portal.exchange_part(LENGTH / 16))
        .collect();
    for (up, down) in &readings {
        for reading in [up, down] {
            let received = reading.wait_for("the end of one of 64 connections", |received| {
                received.end.is_some()
            });
            assert_eq!(received.bytes.len(), LENGTH / 16);
        }
    }
    for tap in [&world.near_client, &world.near_server] {
        let mut nonces: HashMap<Kind, HashSet<u64>> = HashMap::new();
        for seen in tap.recorded() {
            if seen.kind.is_record() {
                let fresh = nonces.entry(seen.kind).or_default().insert(seen.nonce());
                assert!(fresh, "{:?} used nonce {} twice", seen.kind, seen.nonce());
            }
        }
        assert_eq!(nonces.len(), 2, "one channel, two directions");
        for (direction, nonces) in nonces {
            assert!(
                nonces.len() >= 128,
                "{direction:?} has {} records",
                nonces.len()
            );
            // Nor is one left out: what a relay drops shows.
            assert_eq!(nonces.iter().max(), Some(&(nonces.len() as u64 - 1)));
        }
    }
}
