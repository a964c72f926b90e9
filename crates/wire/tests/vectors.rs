//! The published vectors of frames (V13 to V17), requests (V46 to V48) and `vectors/api.json`, byte by byte, and the
//! captured connections of `vectors/live_transcript.json`.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use bytes::BytesMut;
use ockam_wire::envelope::{ErrorBody, MessageId, Method, Request, Response, Status};
use ockam_wire::{Address, Buffer, FrameReader, Route, RoutingMessage, frame};
use serde_json::Value;

const V14: &str = "0000001a84818200446563686f81820043617070460568656c6c6f627b7d";
const V15: &str = "0000001783818200446563686f81820043617070460568656c6c6f";

#[test]
fn captured_stream_is_split_and_decoded() {
    // V13, V14, V15, V16
    let stream = unhex(&format!("01{V14}{V15}0000000483808040"));
    let mut reader = FrameReader::with_preamble(frame::MAX_FRAME);
    reader.extend_from_slice(&stream);
    for onward in ["echo", "echo", ""] {
        let body = reader.next_frame().unwrap().unwrap();
        let message = RoutingMessage::decode(body).unwrap();
        assert_eq!(message.onward, onward.parse::<Route>().unwrap());
    }
    assert!(reader.next_frame().unwrap().is_none());
}

#[test]
fn frame_that_is_no_message_is_refused() {
    // V16
    let mut reader = FrameReader::new(frame::MAX_FRAME);
    reader.extend_from_slice(&[0, 0, 0, 1, 0xff]);
    let body = reader.next_frame().unwrap().unwrap();
    assert!(RoutingMessage::decode(body).is_err());
    assert!(RoutingMessage::decode(Buffer::from_bytes(BytesMut::new(), 0)).is_err());
}

#[test]
fn frames_are_written_as_published_nodes_accept_them() {
    let message = RoutingMessage {
        onward: Route::from_hops([Address::from_static("echo")]).unwrap(),
        return_route: Route::from_hops([Address::from_static("app")]).unwrap(),
        payload: Buffer::from_slice(b"\x05hello"),
    };
    assert_eq!(hex::encode(frame::encode(message).unwrap()), V15);
    let heartbeat = RoutingMessage::default().encode().unwrap();
    assert_eq!(
        hex::encode(frame::frame(heartbeat).unwrap()),
        "0000000483808040"
    );
}

#[test]
fn every_captured_connection_is_read() {
    let live: Value =
        serde_json::from_str(include_str!("../../../vectors/live_transcript.json")).unwrap();
    let mut messages = 0;
    for transcript in live["transcripts"].as_object().unwrap().values() {
        let mut readers = std::collections::HashMap::new();
        for captured in transcript["frames"].as_array().into_iter().flatten() {
            let stream = (
                captured["connection"].as_u64(),
                captured["direction"].as_str(),
            );
            let reader = readers
                .entry(stream)
                .or_insert_with(|| FrameReader::with_preamble(frame::MAX_FRAME));
            reader.extend_from_slice(&unhex(captured["bytes"].as_str().unwrap()));
            while let Some(body) = reader.next_frame().unwrap() {
                let message = RoutingMessage::decode(body).unwrap();
                let (onward, payload) =
                    (message.onward.clone(), message.payload.as_slice().to_vec());
                let again = RoutingMessage::decode(message.encode().unwrap()).unwrap();
                assert_eq!(
                    (again.onward, again.payload.as_slice()),
                    (onward, &payload[..])
                );
                messages += 1;
            }
            assert_eq!(reader.buffered(), 0);
        }
    }
    assert!(messages > 100, "{messages}");
}

#[test]
fn control_requests_are_read_and_written_the_same() {
    // V46, V47
    for (hex, request, body) in [
        (
            "14a40101026a76302f6d657373616765030104f5aa",
            Request::new(MessageId(1), Method::Post, "v0/message"),
            Some(&[0xaa][..]),
        ),
        (
            "0da4010102646e6f6465030004f4",
            Request::new(MessageId(1), Method::Get, "node"),
            None,
        ),
    ] {
        assert_request(hex, &request, body);
    }
    // V48
    let response = Response::new(MessageId(2), MessageId(1), Status::Ok);
    assert_response("0ba4010202010318c804f5bb", &response, Some(&[0xbb]));
}

#[test]
fn api_vectors_are_read_and_written_the_same() {
    let vectors = api();
    let (id, answer) = (MessageId(0x0102_0304), MessageId(0x0a0b_0c0d));
    assert_eq!(vectors["request_id"], 0x0102_0304);
    assert_eq!(vectors["response_id"], 0x0a0b_0c0d);
    for (name, method, path, body) in [
        ("request_get_/v0/", Method::Get, "/v0/", None),
        (
            "request_post_/x_body_text_hey",
            Method::Post,
            "/x",
            Some(&b"\x03hey"[..]),
        ),
        ("request_delete_/a", Method::Delete, "/a", None),
    ] {
        let hex = vectors[name].as_str().unwrap();
        assert_request(hex, &Request::new(id, method, path), body);
    }
    let ok = Response::new(answer, id, Status::Ok);
    assert_response(vectors["response_ok_empty"].as_str().unwrap(), &ok, None);
    let list = unhex("815820f6b39138c9f4fb18b975ae8b95d74ce9ceea29810865dddbe62df8f7ae7b9da0");
    assert_response(
        vectors["response_ok_identifier_list_A"].as_str().unwrap(),
        &ok,
        Some(&list),
    );
    let refused = ErrorBody::new(&Request::new(id, Method::Post, "/x"), "nope");
    let forbidden = Response::new(answer, id, Status::Forbidden);
    let hex = vectors["response_forbidden_nope_to_post_/x"]
        .as_str()
        .unwrap();
    assert_response(hex, &forbidden, Some(&refused.encode()));
    assert_eq!(
        ErrorBody::decode(Response::decode(&unhex(hex)).unwrap().1.unwrap()),
        refused
    );
}

#[test]
fn api_bodies_pass_through_the_envelope_and_are_one_item_each() {
    let vectors = api();
    let bodies = vectors["bodies"].as_object().unwrap();
    assert_eq!(bodies.len(), 6);
    for (name, hex) in bodies {
        let body = unhex(hex.as_str().unwrap());
        let request = Request::new(MessageId(7), Method::Post, name.clone());
        assert_eq!(
            Request::decode(&request.encode(Some(&body))).unwrap(),
            (request, Some(&body[..]))
        );
        let mut items = minicbor::Decoder::new(&body);
        items.skip().unwrap();
        assert_eq!(items.position(), body.len(), "{name}");
    }
}

#[test]
fn durations_and_addresses_have_the_forms_of_the_vectors() {
    let vectors = api();
    let duration = unhex(vectors["duration_5s_7ns"].as_str().unwrap());
    assert_eq!(minicbor::decode::<(u64, u32)>(&duration).unwrap(), (5, 7));
    assert_eq!(minicbor::to_vec((5_u64, 7_u32)).unwrap(), duration);
    let address: Address = "1#a".parse().unwrap();
    assert_eq!(
        hex::encode(address.encoded()),
        vectors["address_1#a"].as_str().unwrap()
    );
}

#[test]
fn lenient_headers_are_read() {
    // Indefinite map, unknown key with a nested value, null for an optional field, unknown method, long numbers.
    for (header, method) in [
        ("bf0105026161186381820102030004f4ff", Some(Method::Get)),
        ("a4011a00000005026161030904f4", None),
        ("a40105026161 03f604f4", None),
        ("a30105026161 04f4", None),
        ("a4011b000000000000000502616103180204f4", Some(Method::Put)),
    ] {
        let message = wrap(header);
        let (request, body) = Request::decode(&message).unwrap();
        assert_eq!(
            (request.id, request.path.as_str(), request.method, body),
            (MessageId(5), "a", method, None)
        );
    }
    let message = wrap("a401010202031901a204f4");
    assert_eq!(Response::decode(&message).unwrap().0.status, None);
}

#[test]
fn malformed_headers_are_refused() {
    for header in [
        "a3010502616103 00",                   // no has_body
        "a2026161 04f4",                       // no id
        "a2010504f4",                          // no path
        "a4 01050105 026161 04f4",             // an id twice
        "a3 0105 026161 04f4 00",              // bytes without a body
        "a3 011b0000000100000000 026161 04f4", // id beyond 32 bits
        "a3 0105 0241ff 04f4",                 // path that is bytes
        "a3 0105 0261ff 04f4",                 // path that is not UTF-8
        "bf 0105 026161 04f4",                 // unfinished map
        "83 05 6161 f4",                       // an array
    ] {
        assert!(Request::decode(&wrap(header)).is_err(), "{header}");
    }
    let mut surplus = wrap("a3010502616104f4");
    surplus.push(0);
    assert!(Request::decode(&surplus).is_err());
}

#[test]
fn failures_of_other_services_are_read() {
    // spec: trust 8.3
    let message = |hex: &str| ErrorBody::decode(&unhex(hex)).message;
    assert_eq!(message("646e6f7065").as_deref(), Some("nope"));
    assert_eq!(message("446e6f7065").as_deref(), Some("nope"));
    for undecodable in ["", "44ffffffff", "a103", "ff", "646e6f706500", "01"] {
        assert_eq!(
            ErrorBody::decode(&unhex(undecodable)),
            ErrorBody::default(),
            "{undecodable}"
        );
    }
    let nested = ErrorBody::decode(&unhex("a204a1036161036162"));
    assert_eq!(nested.cause.unwrap().message.as_deref(), Some("a"));
}

#[test]
fn causes_nested_too_deeply_are_cut() {
    let mut error = ErrorBody::default();
    for depth in 0..20 {
        error = ErrorBody {
            message: Some(depth.to_string()),
            cause: Some(Box::new(error)),
            ..Default::default()
        };
    }
    let decoded = ErrorBody::decode(&error.encode());
    let causes = std::iter::successors(Some(&decoded), |error| error.cause.as_deref());
    assert_eq!(causes.count(), 8);
}

fn assert_request(hex: &str, request: &Request, body: Option<&[u8]>) {
    assert_eq!(hex::encode(request.encode(body)), hex);
    let message = unhex(hex);
    let (decoded, carried) = Request::decode(&message).unwrap();
    assert_eq!((&decoded, carried), (request, body));
}

fn assert_response(hex: &str, response: &Response, body: Option<&[u8]>) {
    assert_eq!(hex::encode(response.encode(body)), hex);
    let message = unhex(hex);
    let (decoded, carried) = Response::decode(&message).unwrap();
    assert_eq!((&decoded, carried), (response, body));
}

fn wrap(header: &str) -> Vec<u8> {
    ockam_wire::bare::encode_bytes(&unhex(&header.replace(' ', "")))
}

fn api() -> Value {
    serde_json::from_str(include_str!("../../../vectors/api.json")).unwrap()
}

fn unhex(hex: &str) -> Vec<u8> {
    hex::decode(hex).unwrap()
}
