//! What the relay can read: nothing.

use std::io::{Read, Write};
use std::path::Path;

use crate::ends::content;
use crate::frames::{Direction, Kind, Seen, route};
use crate::tap::{Deed, Tap};
use crate::world::{Portal, World};

#[test]
fn guard_w14_a_marker_sent_both_ways_is_in_nothing_the_relay_saw() {
    let world = World::start();
    let inlet = world.inlet("");
    let portal = world.open(inlet);
    let (up, down) = (marker(1), marker(2));
    send_both_ways(&portal, &up, &down);

    for tap in [&world.near_client, &world.near_server] {
        assert!(
            tap.recorded()
                .iter()
                .filter(|seen| seen.kind.is_record())
                .count()
                >= 4
        );
        for marker in [&up, &down] {
            assert!(!saw(tap, marker), "the relay saw a marker");
        }
    }
    for marker in [&up, &down] {
        assert!(
            !is_in_files(world.relay.home(), marker),
            "the relay's home holds a marker"
        );
    }

    // The search finds what is there to be found.
    let open = letters(3);
    let echo = format!("{}/service/echo", world.near_client.route());
    assert_eq!(
        world
            .client
            .ok(&format!("message send {open} --to {echo}"))
            .trim(),
        open
    );
    assert!(saw(&world.near_client, open.as_bytes()));
}

#[test]
fn answers_redirected_to_the_attacker_are_nothing_it_can_read() {
    let world = World::start();
    let inlet = world.inlet("");
    let portal = world.open(inlet);
    world.near_client.forget();
    let attacker = route("attacker");
    let to_attacker = attacker.clone();
    // The server is told that everything for the client goes to the attacker's own worker.
    world.near_client.attack(move |seen| match seen.kind {
        Kind::FromInitiator(_) => {
            let attacker = to_attacker.clone();
            Deed::Instead(vec![
                seen.rewritten(|message| message.return_route = attacker),
            ])
        }
        Kind::FromResponder(_) => Deed::Instead(vec![pass_on(seen)]),
        _ => Deed::Pass,
    });
    let (up, down) = (marker(1), marker(2));
    // Passed on by the attacker, everything works and it has learned nothing.
    send_both_ways(&portal, &up, &down);
    let redirected = |seen: &Seen| {
        seen.direction == Direction::FromRelay && seen.message().onward.first() == attacker.first()
    };
    world
        .near_client
        .wait_for("an answer redirected to the attacker", |seen| {
            seen.iter().find(|seen| redirected(seen)).map(drop)
        });
    assert!(
        ![&up, &down]
            .into_iter()
            .any(|marker| saw(&world.near_client, marker))
    );

    // Kept by the attacker, nothing arrives, and it still has learned nothing.
    let kept = route("attacker");
    let to_attacker = kept.clone();
    world.near_client.forget();
    world.near_client.attack(move |seen| match seen.kind {
        Kind::FromInitiator(_) => {
            let attacker = to_attacker.clone();
            Deed::Instead(vec![
                seen.rewritten(|message| message.return_route = attacker),
            ])
        }
        Kind::FromResponder(_) => Deed::Instead(Vec::new()),
        _ => Deed::Pass,
    });
    let down = content(9, 16 * 1024);
    (&portal.server).write_all(&down).unwrap();
    world
        .near_client
        .wait_for("content that the attacker kept", |seen| {
            seen.iter()
                .find(|seen| redirected(seen) && seen.is_content())
                .map(drop)
        });
    assert!(!saw(&world.near_client, &down[..64]));
    portal.client.set_nonblocking(true).unwrap();
    assert!((&portal.client).read(&mut [0; 64]).map_or(0, |count| count) == 0);
}

#[test]
fn a_handshake_redirected_to_the_attacker_gives_it_no_channel() {
    let world = World::start();
    world.near_client.attack(|seen| match seen.kind {
        Kind::Handshake(_, 1) => Deed::Instead(vec![
            seen.rewritten(|message| message.return_route = route("attacker")),
        ]),
        _ => Deed::Pass,
    });
    let to = format!("{}/service/api", world.server_route());
    let refused = world.client.run(
        &format!("secure-channel create --from client --to {to}"),
        &[("OCKAM_DEFAULT_TIMEOUT", "1s")],
    );
    assert_eq!(refused.code, Some(70), "{refused}");
    // The server's answer came to the attacker, and shows only keys and ciphertext: not even who the server is.
    let identifier = World::identifier(&world.server);
    let identifier = hex_bytes(identifier.strip_prefix('I').unwrap());
    let answer = world
        .near_client
        .wait_for("the server's answer at the attacker", |seen| {
            let answer = |seen: &&Seen| seen.message().onward.first() == route("attacker").first();
            seen.iter().find(answer).cloned()
        });
    assert_eq!(answer.direction, Direction::FromRelay);
    assert!(answer.payload().len() > 96);
    assert!(!contains(&answer.bytes, &identifier));
    let public = world.server.steal_keys().history;
    assert!(!contains(&answer.bytes, &public[public.len() - 64..]));
}

/// What the attacker passes on when it takes itself off the route.
fn pass_on(seen: &Seen) -> Vec<u8> {
    let attacker = route("attacker");
    let mine = seen.message().onward.first() == attacker.first();
    seen.rewritten(|message| {
        if mine {
            message.onward.drop_front();
        }
    })
}

fn send_both_ways(portal: &Portal, up: &[u8], down: &[u8]) {
    for (from, to, text) in [
        (&portal.client, &portal.server, up),
        (&portal.server, &portal.client, down),
    ] {
        let (mut from, mut to) = (from, to);
        from.write_all(text).unwrap();
        to.set_read_timeout(Some(crate::party::PATIENCE)).unwrap();
        let mut received = vec![0; text.len()];
        to.read_exact(&mut received).unwrap();
        assert_eq!(received, text);
    }
}

/// Whether any part of the marker that is long enough not to come up by chance passed a tap.
fn saw(tap: &Tap, marker: &[u8]) -> bool {
    let recorded = tap.recorded();
    marker
        .chunks(16)
        .any(|part| recorded.iter().any(|seen| contains(&seen.bytes, part)))
}

fn is_in_files(directory: &Path, marker: &[u8]) -> bool {
    std::fs::read_dir(directory)
        .unwrap()
        .flatten()
        .any(|entry| {
            let kind = entry.file_type().unwrap();
            if kind.is_dir() {
                return is_in_files(&entry.path(), marker);
            }
            kind.is_file() && contains(&std::fs::read(entry.path()).unwrap(), &marker[..16])
        })
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

fn marker(seed: u64) -> Vec<u8> {
    letters(seed).into_bytes()
}

/// 64 letters.
fn letters(seed: u64) -> String {
    let bytes = content(1000 + seed, 64);
    bytes
        .iter()
        .map(|byte| char::from(b'a' + byte % 26))
        .collect()
}

fn hex_bytes(text: &str) -> Vec<u8> {
    let digits = text.as_bytes().chunks(2);
    digits
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}
