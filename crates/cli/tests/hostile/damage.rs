//! One bit turned, in each field of each kind of frame.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use crate::frames::{Direction, Kind};
use crate::tap::{Deed, Tap};
use crate::world::{World, server_route};

#[test]
fn no_altered_byte_reaches_the_server_whatever_field_of_a_record_is_flipped() {
    flip_every_field(Direction::ToRelay);
}

#[test]
fn no_altered_byte_reaches_the_client_whatever_field_of_a_record_is_flipped() {
    flip_every_field(Direction::FromRelay);
}

fn flip_every_field(direction: Direction) {
    let world = World::start();
    let inlet = world.inlet("");
    let mut fields = Vec::new();
    for case in 0.. {
        let struck: Arc<Mutex<Option<&'static str>>> = Arc::default();
        let striking = struck.clone();
        let (mut count, mut left) = (0, None);
        let what = format!("case {case} {direction:?}");
        let exchanged = world.exchange(&what, inlet, move |seen| {
            if seen.direction != direction || !seen.is_content() {
                return Deed::Pass;
            }
            count += 1;
            if let Some(left) = &mut left {
                // The receiver may wait for the rest of a frame that never ends.
                *left -= 1;
                return if *left == 0 {
                    Deed::Cut(seen.bytes.clone())
                } else {
                    Deed::Pass
                };
            }
            match seen.positions().get(case) {
                Some(&(field, position)) if count == 3 => {
                    *striking.lock().unwrap() = Some(field);
                    if field == "length of the frame" {
                        left = Some(2);
                    }
                    Deed::Instead(vec![seen.flipped(position)])
                }
                _ => Deed::Pass,
            }
        });
        let Some(field) = *struck.lock().unwrap() else {
            exchanged.assert_complete("nothing left to flip");
            break;
        };
        exchanged.assert_honest(&format!("{what}, {field}"));
        let is_sealed = matches!(field, "nonce" | "ciphertext" | "tag");
        let sent_up = crate::ends::content(crate::world::UP, crate::world::LENGTH);
        let sent_down = crate::ends::content(crate::world::DOWN, crate::world::LENGTH);
        let complete = match direction {
            Direction::ToRelay => exchanged.up.is_complete(&sent_up),
            Direction::FromRelay => exchanged.down.is_complete(&sent_down),
        };
        assert!(!(is_sealed && complete), "{what}: {field} does not matter");
        fields.push(field);
    }
    fields.dedup();
    assert_eq!(
        fields,
        [
            "length of the frame",
            "head of the message",
            "onward route",
            "return route",
            "head of the payload",
            "nonce",
            "ciphertext",
            "tag"
        ]
    );
}

#[test]
fn a_handshake_with_any_flipped_field_fails_or_comes_out_right() {
    let world = World::start();
    let cases = Mutex::new(handshake_cases(&world));
    assert!(cases.lock().unwrap().len() > 60);
    let connections = world.target.connections();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let tap = Tap::start(world.relay.listener());
                loop {
                    let Some(case) = cases.lock().unwrap().pop_front() else {
                        return;
                    };
                    flip_in_handshake(&world, &tap, case);
                }
            });
        }
    });
    assert_eq!(world.target.connections(), connections);
}

#[test]
fn a_damaged_handshake_message_ahead_of_the_right_one_does_no_harm() {
    let world = World::start();
    let tap = &world.near_client;
    for (number, field, position) in handshake_cases(&world) {
        if !field.contains("key") && !field.contains("identity") {
            continue;
        }
        if number == 1 {
            // The listener takes each first message for a handshake of its own.
            continue;
        }
        tap.attack(move |seen| match seen.kind {
            Kind::Handshake(_, message) if message == number => {
                Deed::Instead(vec![seen.flipped(position), seen.bytes.clone()])
            }
            _ => Deed::Pass,
        });
        let channel = world.client.ok(&create(tap));
        let what = format!("message {number}, {field} at {position}");
        assert_eq!(
            ask_echo(&world, channel.trim(), &[]),
            Some("hello".to_owned()),
            "{what}"
        );
    }
}

/// Message, field and position.
type Case = (u8, &'static str, usize);

/// What there is to flip, from a handshake that is left alone.
fn handshake_cases(world: &World) -> VecDeque<Case> {
    world.near_client.forget();
    let channel = world.client.ok(&create(&world.near_client));
    assert_eq!(
        ask_echo(world, channel.trim(), &[]),
        Some("hello".to_owned())
    );
    let mut cases = VecDeque::new();
    for seen in world.near_client.recorded() {
        if let Kind::Handshake(_, number) = seen.kind {
            cases.extend(
                seen.positions()
                    .into_iter()
                    .map(|(field, position)| (number, field, position)),
            );
        }
    }
    cases
}

fn flip_in_handshake(world: &World, tap: &Tap, (number, field, position): Case) {
    tap.attack(move |seen| match seen.kind {
        Kind::Handshake(_, message) if message == number => {
            Deed::Instead(vec![seen.flipped(position)])
        }
        _ => Deed::Pass,
    });
    let hurry = [("OCKAM_DEFAULT_TIMEOUT", "1s")];
    let what = format!("message {number}, {field} at {position}");
    let created = world.client.run(&create(tap), &hurry);
    let is_keyed = field.contains("key") || field.contains("identity");
    match created.code {
        // The initiator is done before the responder has judged message 3.
        Some(0) => {
            assert!(!is_keyed || number == 3, "{what}: accepted\n{created}");
            let answer = ask_echo(world, created.stdout.trim(), &hurry);
            assert!(
                answer.is_none() || (answer.as_deref() == Some("hello") && !is_keyed),
                "{what}: answered {answer:?}"
            );
        }
        Some(70) => {}
        other => panic!("{what}: {other:?}\n{created}"),
    }
}

fn create(tap: &Tap) -> String {
    format!(
        "secure-channel create --from client --to {}/service/api",
        server_route(tap)
    )
}

/// What the server's echo answers through a channel; nothing, if the command fails.
fn ask_echo(world: &World, channel: &str, environment: &[(&str, &str)]) -> Option<String> {
    let wait = if environment.is_empty() { "20s" } else { "1s" };
    let arguments =
        format!("message send hello --from client --to {channel}/service/echo --timeout {wait}");
    let done = world.client.run(&arguments, environment);
    (done.code == Some(0)).then(|| done.stdout.trim().to_owned())
}
