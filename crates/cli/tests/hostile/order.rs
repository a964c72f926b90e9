//! Frames cut short, repeated, delayed and dropped.

use std::io::Write;
use std::sync::{Arc, Mutex};

use ockam_wire::Buffer;

use crate::ends::{End, Reading, content};
use crate::frames::{Direction, Kind, Seen, encode, route};
use crate::stranger::Stranger;
use crate::tap::Deed;
use crate::world::{LENGTH, UP, World};

#[test]
fn records_sent_twice_are_delivered_once() {
    let world = World::start();
    let inlet = world.inlet("");
    let twice = |seen: &Seen| {
        Deed::Instead(vec![
            seen.bytes.clone();
            if seen.kind.is_record() { 2 } else { 1 }
        ])
    };
    world
        .exchange("twice", inlet, twice)
        .assert_complete("every record twice");
}

#[test]
fn records_repeated_long_after_are_not_delivered_again() {
    let world = World::start();
    let inlet = world.inlet("");
    let past: Arc<Mutex<Vec<Seen>>> = Arc::default();
    let repeat = |past: Arc<Mutex<Vec<Seen>>>| {
        move |seen: &Seen| {
            let mut past = past.lock().unwrap();
            let mut frames = vec![seen.bytes.clone()];
            if seen.kind.is_record() {
                past.push(seen.clone());
                if past.len().is_multiple_of(10) {
                    let same_way = past.iter().filter(|old| old.direction == seen.direction);
                    frames.extend(same_way.map(|old| old.bytes.clone()));
                }
            }
            Deed::Instead(frames)
        }
    };
    // Later rounds repeat the records of the first as well, by then outside of every window.
    for round in 0.. {
        let what = format!("round {round}");
        world
            .exchange(&what, inlet, repeat(past.clone()))
            .assert_complete(&what);
        let past = past.lock().unwrap();
        let newest = |direction| {
            past.iter()
                .filter(|seen| seen.direction == direction)
                .map(Seen::nonce)
                .max()
        };
        if newest(Direction::ToRelay) > Some(100) && newest(Direction::FromRelay) > Some(100) {
            break;
        }
    }
}

#[test]
fn a_whole_recorded_session_played_again_opens_and_delivers_nothing() {
    let world = World::start();
    let inlet = world.inlet("");
    let portal = world.open(inlet);
    let (up, down) = portal.exchange();
    for reading in [up, down] {
        reading.wait_for("the end of the recorded session", |received| {
            received.end.is_some()
        });
    }
    let recorded = world.near_client.recorded();
    let connections = world.target.connections();

    let mut attacker = Stranger::connect(world.relay.listener());
    let of_initiator = recorded
        .iter()
        .filter(|seen| seen.direction == Direction::ToRelay);
    let mut responder = None;
    let mut played = 0;
    for seen in of_initiator {
        match (seen.kind, &responder) {
            (Kind::Handshake(_, 1), _) => {
                attacker.send_bytes(&seen.bytes);
                // The server answers the same first message with a fresh key.
                let answer = attacker.receive();
                let before = recorded
                    .iter()
                    .find(|seen| matches!(seen.kind, Kind::Handshake(_, 2)))
                    .unwrap();
                assert_ne!(answer.payload.as_slice(), before.payload());
                responder = answer.return_route.last().map(|last| last.to_address());
            }
            // What follows is sent to the old address and to the one that expects it now.
            (_, Some(responder)) => {
                attacker.send_bytes(&seen.bytes);
                attacker.send_bytes(&seen.rewritten(|message| {
                    message.onward.pop_back();
                    message.onward.push_back(responder).unwrap();
                }));
                played += 1;
            }
            _ => {}
        }
    }
    assert!(played > 10);
    // When the answer to a later message is here, all that was played has arrived.
    attacker.send("forward_to_server => echo", "attacker", b"last");
    assert_eq!(attacker.receive().payload.as_slice(), b"last");
    assert!(attacker.heard_nothing());
    // Nor was anything connected by then or by the time that an honest connection is through.
    drop(world.open(inlet));
    assert_eq!(world.target.connections(), connections + 1);
    assert!(attacker.heard_nothing());
}

#[test]
fn records_that_overtake_each_other_never_reorder_what_is_delivered() {
    let world = World::start();
    let inlet = world.inlet("");
    for direction in [Direction::ToRelay, Direction::FromRelay] {
        for places in [1, 2, 5] {
            let what = format!("content {direction:?} delayed by {places} places");
            let (mut count, mut delayed, mut after) = (0, None, 0);
            let exchanged = world.exchange(&what, inlet, move |seen| {
                if seen.direction != direction || !seen.kind.is_record() {
                    return Deed::Pass;
                }
                if seen.is_content() {
                    count += 1;
                    if count == 2 {
                        delayed = Some(seen.bytes.clone());
                        return Deed::Instead(Vec::new());
                    }
                }
                if delayed.is_some() {
                    after += 1;
                }
                let late = if after == places {
                    delayed.take()
                } else {
                    None
                };
                Deed::Instead(
                    [Some(seen.bytes.clone()), late]
                        .into_iter()
                        .flatten()
                        .collect(),
                )
            });
            exchanged.assert_honest(&what);
        }
    }
}

#[test]
fn dropped_records_leave_no_hole_in_what_is_delivered() {
    let world = World::start();
    let inlet = world.inlet("");
    for direction in [Direction::ToRelay, Direction::FromRelay] {
        for (what, first, last) in [("one record", 2, 2), ("three records", 2, 4)] {
            let what = format!("{what} {direction:?} dropped");
            let mut count = 0;
            let exchanged = world.exchange(&what, inlet, move |seen| {
                if seen.direction == direction && seen.is_content() {
                    count += 1;
                    if (first..=last).contains(&count) {
                        return Deed::Instead(Vec::new());
                    }
                }
                Deed::Pass
            });
            exchanged.assert_honest(&what);
        }
    }
}

#[test]
fn a_stream_whose_end_is_dropped_does_not_end_in_order() {
    let world = World::start();
    let inlet = world.inlet("");
    let portal = world.open(inlet);
    let up = Reading::start(&portal.server, None);
    let sent = content(UP, LENGTH);
    (&portal.client).write_all(&sent).unwrap();
    up.wait_for("all content at the server", |up| {
        up.bytes.len() == sent.len()
    });
    // From now on nothing passes but content, of which there is none: the end of the stream is dropped.
    world.near_client.forget();
    world.near_client.attack(|seen| match seen.direction {
        Direction::ToRelay if seen.kind.is_record() => Deed::Instead(Vec::new()),
        _ => Deed::Pass,
    });
    portal.client.shutdown(std::net::Shutdown::Write).unwrap();
    world
        .near_client
        .wait_for("the end of the stream at the relay", |seen| {
            let mut dropped = seen
                .iter()
                .filter(|seen| seen.direction == Direction::ToRelay && seen.kind.is_record());
            dropped.next().map(drop)
        });
    world.near_client.calm();
    drop(world.open(inlet));
    let up = up.so_far();
    assert_eq!(up.bytes, sent);
    assert_ne!(up.end, Some(End::Finished));
}

#[test]
fn frames_cut_short_deliver_nothing_wrong() {
    let world = World::start();
    let inlet = world.inlet("");
    for direction in [Direction::ToRelay, Direction::FromRelay] {
        // The connection ends within each field of a frame in turn.
        for field in 0..8 {
            let what = format!("connection {direction:?} cut in field {field}");
            let mut count = 0;
            let exchanged = world.exchange(&what, inlet, move |seen| {
                if seen.direction == direction && seen.is_content() {
                    count += 1;
                    if count == 3 {
                        let (_, range) = seen.fields().remove(field);
                        let middle = range.start + range.len() / 2;
                        return Deed::Cut(seen.bytes[..middle].to_vec());
                    }
                }
                Deed::Pass
            });
            exchanged.assert_honest(&what);
        }
    }
}

#[test]
fn records_cut_short_in_whole_frames_deliver_nothing_wrong() {
    let world = World::start();
    let inlet = world.inlet("");
    for direction in [Direction::ToRelay, Direction::FromRelay] {
        for keep in [0, 7, 8, 23, 24, 1000, usize::MAX] {
            let what = format!("a record {direction:?} cut to {keep}");
            let mut count = 0;
            let exchanged = world.exchange(&what, inlet, move |seen| {
                if seen.direction == direction && seen.is_content() {
                    count += 1;
                    if count == 3 {
                        let payload = seen.payload();
                        // The greatest stands for all but the last byte.
                        let keep = keep.min(payload.len() - 1);
                        return Deed::Instead(vec![seen.rewritten(|message| {
                            message.payload = Buffer::from_slice(&payload[..keep]);
                        })]);
                    }
                }
                Deed::Pass
            });
            exchanged.assert_honest(&what);
        }
    }
}

#[test]
fn records_of_one_direction_or_channel_are_worth_nothing_in_another() {
    let world = World::start();
    let (inlet, other) = (world.inlet(""), world.inlet(""));
    // The other inlet has a channel of its own; its records are kept to be tried in the first one.
    drop(world.open(other));
    world
        .exchange("a recording", other, |_| Deed::Pass)
        .assert_complete("a recording");
    let recorded = world.near_client.recorded();
    let content_of = |direction| {
        let mut content = recorded
            .iter()
            .filter(|seen| seen.direction == direction && seen.is_content());
        content.next_back().unwrap().payload()
    };
    let (foreign, reflected) = (
        content_of(Direction::ToRelay),
        content_of(Direction::FromRelay),
    );
    let exchanged = world.exchange("records of elsewhere", inlet, move |seen| {
        if seen.direction != Direction::ToRelay || !seen.is_content() {
            return Deed::Pass;
        }
        let with = |payload: &[u8]| {
            seen.rewritten(|message| message.payload = Buffer::from_slice(payload))
        };
        let as_this_nonce = |payload: &[u8]| [&seen.payload()[..8], &payload[8..]].concat();
        Deed::Instead(vec![
            with(&foreign),
            with(&as_this_nonce(&foreign)),
            with(&reflected),
            with(&as_this_nonce(&reflected)),
            seen.bytes.clone(),
        ])
    });
    exchanged.assert_complete("records of elsewhere");
}

#[test]
fn invented_records_and_messages_deliver_nothing() {
    let world = World::start();
    let inlet = world.inlet("");
    let exchanged = world.exchange("inventions", inlet, |seen| {
        if !seen.is_content() {
            return Deed::Pass;
        }
        let mut frames = Vec::new();
        // Records that nobody sealed, with the nonces around the true one.
        for nonce in [
            0,
            seen.nonce() + 1,
            seen.nonce() + 31,
            seen.nonce() + 64,
            u64::MAX - 1,
            u64::MAX,
        ] {
            let invented = [&nonce.to_be_bytes()[..], &[0x5a; 100]].concat();
            frames.push(seen.rewritten(|message| message.payload = Buffer::from_slice(&invented)));
        }
        // Portal messages beside the channel: to the outlet and to the decryptor's neighbours.
        for onward in ["outlet", "echo", "api"] {
            let mut message = seen.message();
            message.onward.pop_back();
            message.onward.append(&route(onward)).unwrap();
            message.payload = Buffer::from_slice(b"\x13altered");
            frames.push(encode(message));
        }
        frames.push(seen.bytes.clone());
        Deed::Instead(frames)
    });
    exchanged.assert_complete("inventions");
}
