//! What is written is read back, for values of every shape.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use ockam_wire::envelope::{ErrorBody, MessageId, Method, Request, Response, Status};
use ockam_wire::transport_message::{TransportMessage, Version};
use ockam_wire::{
    Address, Buffer, FrameReader, MultiAddr, Protocol, Route, RoutingMessage, TransportType, bare,
    frame,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

proptest! {
    #[test]
    fn addresses(address in address()) {
        prop_assert_eq!(&minicbor::decode::<Address>(&minicbor::to_vec(&address).unwrap()).unwrap(), &address);
        if let Ok(name) = std::str::from_utf8(address.name())
            && name.chars().all(|character| character != '#' && matches!(character, ' '..='~'))
        {
            prop_assert_eq!(&address.to_string().parse::<Address>().unwrap(), &address);
        }
    }

    #[test]
    fn routes_behave_like_lists(start in vec(address(), 0..6), changes in vec((0..5_u8, address()), 0..24)) {
        let mut list: std::collections::VecDeque<_> = start.iter().cloned().collect();
        let mut route = Route::from_hops(start).unwrap();
        for (change, address) in changes {
            match change {
                0 => prop_assert_eq!(route.pop_front(), list.pop_front()),
                1 => prop_assert_eq!(route.pop_back(), list.pop_back()),
                2 => prop_assert_eq!(route.drop_front(), list.pop_front().is_some()),
                3 => if route.push_front(&address).is_ok() { list.push_front(address) },
                _ => if route.push_back(&address).is_ok() { list.push_back(address) },
            }
            prop_assert_eq!(route.len(), list.len());
            prop_assert!(route.iter().map(|hop| hop.to_address()).eq(list.iter().cloned()));
            let encoded = minicbor::to_vec(&route).unwrap();
            prop_assert_eq!(encoded.len(), route.encoded_len());
            prop_assert_eq!(&minicbor::decode::<Route>(&encoded).unwrap(), &route);
        }
    }

    #[test]
    fn routing_messages(onward in route(), return_route in route(), payload in vec(any::<u8>(), 0..600), room in any::<bool>()) {
        let buffer = if room { Buffer::from_slice(&payload) } else { Buffer::from_bytes(payload[..].into(), 0) };
        let message = RoutingMessage { onward: onward.clone(), return_route: return_route.clone(), payload: buffer };
        let framed = frame::encode(message).unwrap();
        let mut reader = FrameReader::new(frame::MAX_FRAME);
        reader.extend_from_slice(framed.as_slice());
        let decoded = RoutingMessage::decode(reader.next_frame().unwrap().unwrap()).unwrap();
        prop_assert_eq!(&decoded.onward, &onward);
        prop_assert_eq!(&decoded.return_route, &return_route);
        prop_assert_eq!(decoded.payload.as_slice(), &payload);
        let again = frame::encode(decoded).unwrap();
        prop_assert_eq!(again.as_slice(), framed.as_slice());
    }

    #[test]
    fn transport_messages(onward in route(), return_route in route(), payload in vec(any::<u8>(), 0..300), tracing in option::of(".{0,40}")) {
        let message = RoutingMessage { onward: onward.clone(), return_route: return_route.clone(), payload: Buffer::from_slice(&payload) };
        let encoded = TransportMessage { version: Version::One, message, tracing: tracing.clone() }.encode().unwrap();
        let decoded = TransportMessage::decode(encoded).unwrap();
        prop_assert_eq!(decoded.message.onward, onward);
        prop_assert_eq!(decoded.message.return_route, return_route);
        prop_assert_eq!(decoded.message.payload.as_slice(), &payload);
        prop_assert_eq!(decoded.tracing, tracing);
    }

    #[test]
    fn frames_split_anywhere(bodies in vec(vec(any::<u8>(), 0..200), 0..20), cuts in vec(1..97_usize, 1..40)) {
        let mut stream = vec![frame::PREAMBLE];
        for body in &bodies {
            stream.extend_from_slice(frame::frame(Buffer::from_slice(body)).unwrap().as_slice());
        }
        let mut reader = FrameReader::with_preamble(frame::MAX_FRAME);
        let (mut rest, mut frames, mut cuts) = (&stream[..], Vec::new(), cuts.into_iter().cycle());
        while !rest.is_empty() {
            let (now, later) = rest.split_at(cuts.next().unwrap().min(rest.len()));
            reader.extend_from_slice(now);
            rest = later;
            while let Some(frame) = reader.next_frame().unwrap() {
                frames.push(frame.as_slice().to_vec());
            }
        }
        prop_assert_eq!(frames, bodies);
    }

    #[test]
    fn buffers_behave_like_lists(start in vec(any::<u8>(), 0..100), changes in vec((0..4_u8, vec(any::<u8>(), 0..700)), 0..16)) {
        let mut list = start.clone();
        let mut buffer = Buffer::with_headroom(300, start.len(), 20);
        buffer.append(&start);
        for (change, bytes) in changes {
            match change {
                0 => { list.splice(0..0, bytes.iter().copied()); buffer.prepend(&bytes); }
                1 => { list.extend_from_slice(&bytes); buffer.append(&bytes); }
                2 => { list.drain(..bytes.len().min(list.len())); buffer.advance(bytes.len()); }
                _ => { list.truncate(bytes.len()); buffer.truncate(bytes.len()); }
            }
            prop_assert_eq!(buffer.as_slice(), &list);
            prop_assert_eq!(buffer.len(), list.len());
        }
        prop_assert_eq!(&buffer.into_bytes()[..], &list);
    }

    #[test]
    fn multiaddrs(protocols in vec(protocol(), 0..8)) {
        let address = MultiAddr::new(protocols).unwrap();
        prop_assert_eq!(&MultiAddr::from_bytes(&address.to_bytes()).unwrap(), &address);
        prop_assert_eq!(&address.to_string().parse::<MultiAddr>().unwrap(), &address);
        prop_assert_eq!(&minicbor::decode::<MultiAddr>(&minicbor::to_vec(&address).unwrap()).unwrap(), &address);
    }

    #[test]
    fn varints_and_strings(value in any::<u64>(), text in ".{0,300}") {
        let mut out = Vec::new();
        bare::put_varint(&mut out, value);
        prop_assert_eq!(bare::Reader::new(&out).varint().unwrap(), value);
        let body = bare::encode_str(&text);
        prop_assert_eq!(bare::decode_str(&body).unwrap(), text);
    }

    #[test]
    fn requests_and_responses(
        id in any::<u32>(), re in any::<u32>(), path in ".{0,60}", body in option::of(vec(any::<u8>(), 0..300)),
        method in select(&Method::ALL[..]), status in select(&Status::ALL[..]),
    ) {
        let request = Request::new(MessageId(id), method, path);
        let message = request.encode(body.as_deref());
        prop_assert_eq!(Request::decode(&message).unwrap(), (request, body.as_deref()));
        let response = Response::new(MessageId(id), MessageId(re), status);
        let message = response.encode(body.as_deref());
        prop_assert_eq!(Response::decode(&message).unwrap(), (response, body.as_deref()));
    }

    #[test]
    fn failures(messages in vec(option::of(".{0,30}"), 1..7), path in option::of(".{0,30}"), method in option::of(select(&Method::ALL[..]))) {
        let error = messages.into_iter().fold(None, |cause: Option<Box<ErrorBody>>, message| {
            Some(Box::new(ErrorBody { path: path.clone(), method, message, cause }))
        }).unwrap();
        prop_assert_eq!(ErrorBody::decode(&error.encode()), *error);
    }
}

fn address() -> impl Strategy<Value = Address> {
    let name = prop_oneof![
        vec(any::<u8>(), 0..40),
        "[ -~]{0,40}".prop_map(String::into_bytes),
        vec(any::<u8>(), 0..=255)
    ];
    (prop_oneof![Just(0), 0..6_u8, any::<u8>()], name)
        .prop_map(|(transport, name)| Address::new(TransportType(transport), name).unwrap())
}

fn route() -> impl Strategy<Value = Route> {
    vec(address(), 0..10).prop_map(|hops| Route::from_hops(hops).unwrap())
}

fn protocol() -> impl Strategy<Value = Protocol> {
    let name = || "[^/]{0,30}";
    prop_oneof![
        any::<[u8; 4]>().prop_map(|octets| Protocol::Ip4(octets.into())),
        any::<[u8; 16]>().prop_map(|octets| Protocol::Ip6(octets.into())),
        any::<u16>().prop_map(Protocol::Tcp),
        any::<u16>().prop_map(Protocol::Udp),
        name().prop_map(Protocol::DnsAddr),
        name().prop_map(Protocol::Service),
        name().prop_map(Protocol::Node),
        name().prop_map(Protocol::Project),
        name().prop_map(Protocol::Space),
        name().prop_map(Protocol::Secure),
        name().prop_map(Protocol::Worker),
    ]
}
