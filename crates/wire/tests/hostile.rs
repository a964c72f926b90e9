//! Bytes of a hostile peer: every decoder gets mutated messages from a fixed seed. None may panic, and what one
//! allocates is bounded by what it was given.
//!
//! One test in one thread: the allocation counters are those of the whole process.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use bytes::BytesMut;
use ockam_wire::envelope::{ErrorBody, Request, Response};
use ockam_wire::transport_message::TransportMessage;
use ockam_wire::{
    Address, Buffer, Frame, FrameReader, MultiAddr, Route, RoutingMessage, TAILROOM, bare, frame,
};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use std::alloc::System;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const ROUNDS: usize = 200_000;

/// A decoder may allocate this much whatever its input, and [`PER_BYTE`] for each byte of it.
const FIXED: usize = 16 * 1024;
const PER_BYTE: usize = 64;

#[test]
fn decoders_survive_anything_and_the_hot_path_allocates_nothing() {
    hot_path_allocates_nothing();
    mutated_messages_are_survived();
    mutated_streams_are_survived();
}

fn hot_path_allocates_nothing() {
    let sender = Address::random([7; 16]);
    let message = RoutingMessage {
        onward: "forward_to_n1 => echo".parse().unwrap(),
        return_route: Route::from_hops([Address::random([1; 16]), Address::random([2; 16])])
            .unwrap(),
        payload: Buffer::from_slice(&[0; 4096]),
    };
    let framed = frame::encode(message).unwrap();
    let region = Region::new(ALLOCATOR);
    // A hop of a relay: receive, name the way back, take the own address off, send.
    let mut message = RoutingMessage::decode({
        let mut body = framed;
        body.advance(frame::PREFIX);
        body
    })
    .unwrap();
    message.return_route.push_front(&sender).unwrap();
    let relay = message.onward.pop_front().unwrap();
    assert_eq!(relay.name(), b"forward_to_n1");
    let own = sender.clone();
    message.onward.push_front(&own).unwrap();
    assert!(message.onward.drop_front());
    message.payload.append(&[0; TAILROOM]);
    let frame = Frame::new(&message.onward, &message.return_route, message.payload).unwrap();
    let change = region.change();
    assert_eq!(
        (change.allocations, change.reallocations),
        (0, 0),
        "{change:?}"
    );
    drop(frame);
}

fn mutated_messages_are_survived() {
    let seeds = seeds();
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut accepted = [0; DECODERS.len()];
    for _ in 0..ROUNDS {
        let mut bytes = seeds[random.below(seeds.len())].clone();
        for _ in 0..random.below(4) {
            mutate(&mut bytes, &mut random, &seeds);
        }
        for (decoder, accepted) in DECODERS.iter().zip(&mut accepted) {
            let buffer = Buffer::from_bytes(BytesMut::from(&bytes[..]), 0);
            let region = Region::new(ALLOCATOR);
            *accepted += usize::from(decoder(&bytes, buffer));
            let used = region.change().bytes_allocated;
            assert!(
                used <= FIXED + PER_BYTE * bytes.len(),
                "{used} bytes for {}",
                hex::encode(&bytes)
            );
        }
    }
    // The mutations must not be so wild that only the first byte is ever looked at.
    assert!(
        accepted.iter().all(|accepted| accepted * 100 > ROUNDS),
        "{accepted:?}"
    );
}

/// What is accepted must also be written again to the same meaning.
const DECODERS: [fn(&[u8], Buffer) -> bool; 9] = [
    |_, buffer| {
        let Ok(message) = RoutingMessage::decode(buffer) else {
            return false;
        };
        assert!(message.onward.len() <= 32 && message.return_route.encoded_len() <= 4098);
        let (onward, payload) = (message.onward.clone(), message.payload.as_slice().to_vec());
        let again = RoutingMessage::decode(message.encode().unwrap()).unwrap();
        assert_eq!(
            (&again.onward, again.payload.as_slice()),
            (&onward, &payload[..])
        );
        true
    },
    |_, buffer| {
        let Ok(message) = TransportMessage::decode(buffer) else {
            return false;
        };
        let onward = message.message.onward.clone();
        assert_eq!(
            TransportMessage::decode(message.encode().unwrap())
                .unwrap()
                .message
                .onward,
            onward
        );
        true
    },
    |bytes, _| {
        let Ok(address) = MultiAddr::from_bytes(bytes) else {
            return false;
        };
        assert_eq!(address.to_bytes(), bytes);
        assert_eq!(address.to_string().parse::<MultiAddr>().unwrap(), address);
        true
    },
    |bytes, _| {
        let Ok(text) = std::str::from_utf8(bytes) else {
            return false;
        };
        let _ = text.parse::<Route>().map(|route| route.to_string());
        text.parse::<MultiAddr>()
            .is_ok_and(|address| MultiAddr::from_bytes(&address.to_bytes()).unwrap() == address)
    },
    |bytes, _| {
        let Ok(route) = minicbor::decode::<Route>(bytes) else {
            return false;
        };
        let _ = route.to_string();
        assert_eq!(
            minicbor::decode::<Route>(&minicbor::to_vec(&route).unwrap()).unwrap(),
            route
        );
        true
    },
    |bytes, _| {
        minicbor::decode::<Address>(bytes).is_ok_and(|address| !address.to_string().is_empty())
    },
    |bytes, _| {
        let Ok((request, body)) = Request::decode(bytes) else {
            return false;
        };
        assert_eq!(
            Request::decode(&request.encode(body)).unwrap(),
            (request.clone(), body)
        );
        true
    },
    |bytes, _| {
        let Ok((response, body)) = Response::decode(bytes) else {
            return false;
        };
        assert_eq!(
            Response::decode(&response.encode(body)).unwrap(),
            (response.clone(), body)
        );
        let _ = body.map(ErrorBody::decode);
        true
    },
    |bytes, _| {
        let error = ErrorBody::decode(bytes);
        assert_eq!(ErrorBody::decode(&error.encode()), error);
        bare::decode_bytes(bytes).is_ok() | bare::decode_str(bytes).is_ok()
    },
];

fn mutated_streams_are_survived() {
    let seeds = seeds();
    let mut random = Random(0x2545_f491_4f6c_dd1d);
    for _ in 0..ROUNDS / 20 {
        let mut stream = vec![frame::PREAMBLE];
        for _ in 0..random.below(8) {
            let body = Buffer::from_slice(&seeds[random.below(seeds.len())]);
            stream.extend_from_slice(frame::frame(body).unwrap().as_slice());
        }
        for _ in 0..random.below(3) {
            mutate(&mut stream, &mut random, &seeds);
        }
        let region = Region::new(ALLOCATOR);
        let mut reader = FrameReader::with_preamble(frame::MAX_FRAME);
        let mut rest = &stream[..];
        'stream: while !rest.is_empty() {
            let (now, later) = rest.split_at(1 + random.below(rest.len()));
            reader.extend_from_slice(now);
            rest = later;
            loop {
                match reader.next_frame() {
                    Ok(Some(body)) => drop(RoutingMessage::decode(body)),
                    Ok(None) => break,
                    Err(_) => break 'stream,
                }
            }
        }
        let used = region.change().bytes_allocated;
        assert!(
            used <= 1024 * 1024 + PER_BYTE * stream.len(),
            "{used} bytes for {}",
            hex::encode(&stream)
        );
    }
}

fn mutate(bytes: &mut Vec<u8>, random: &mut Random, seeds: &[Vec<u8>]) {
    let at = random.below(bytes.len() + 1);
    let special = [
        0x00, 0x1b, 0x3b, 0x5b, 0x5f, 0x7f, 0x80, 0x9b, 0x9f, 0xbf, 0xf6, 0xff,
    ];
    match random.below(7) {
        0 => bytes.truncate(at),
        1 => bytes.insert(at, random.next() as u8),
        2 => bytes.insert(at, special[random.below(special.len())]),
        3 => bytes
            .splice(at..at, std::iter::repeat_n(0x81, random.below(64)))
            .for_each(drop),
        4 => {
            let other = &seeds[random.below(seeds.len())];
            bytes.truncate(at);
            bytes.extend_from_slice(&other[random.below(other.len() + 1)..]);
        }
        5 => bytes
            .splice(at..at, random.next().to_be_bytes())
            .for_each(drop),
        _ => {
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1 << random.below(8);
            }
        }
    }
}

fn seeds() -> Vec<Vec<u8>> {
    let long = format!("820058ff{}", "61".repeat(255));
    [
        "84818200446563686f81820043617070460568656c6c6f627b7d",
        "85808040f601",
        "9f808040ff",
        &format!("838f{}8040", long.repeat(15)),
        &format!("839820{}8041aa", "82004161".repeat(32)),
        "0102010e3132372e302e302e313a3430303000046563686f0100036170700568656c6c6f00",
        "020100046563686f010003617070060568656c6c6f01027b7d",
        "de8405027031bee8030d666f72776172645f746f5f6e31c6890603617069bee803066f75746c6574",
        "29000000000000000000000000000000010601bb",
        "2f6970342f3132372e302e302e312f7463702f343030302f736572766963652f6563686f",
        "828200416182014162",
        "820249312e322e332e343a35",
        "14a40101026a76302f6d657373616765030104f5aa",
        "20a4011a0a0b0c0d021a010203040319019304f5a301622f78020103646e6f7065",
        "a301622f78020104a1036161",
        "0568656c6c6f",
        "",
    ]
    .map(|hex| hex::decode(hex).unwrap())
    .to_vec()
}

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }
}
