//! Our side's bytes and decisions towards a published peer: recorded conversations are played again.

use std::io::ErrorKind;
use std::time::Duration;

use ockam_node::services;
use ockam_node::{Access, Mailbox};
use ockam_portal::{Handshake, OutletOptions};
use ockam_wire::{Address, Buffer, Route};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::world::{Host, OUTLET, Seen, Wire, closed_port, echo_target, manual_target, soon};

#[tokio::test]
async fn inlet_replays_the_recorded_conversation() {
    // spec: messaging 11.9, d1
    let frames = Recorded::frames("d1_inlet_plain");
    let [ping, pong, request, answer, disconnect] = frames.try_into().unwrap();
    let host = Host::start().await;
    let (inlet, mut outlet) = inlet_of_a_published_outlet(&host, "web3").await;
    let mut client = TcpStream::connect(inlet.bound()).await.unwrap();

    let (body, seen) = soon(outlet.next_raw()).await;
    let own = seen.sender();
    let names = [(ping.seen().sender(), own.clone())];
    assert_eq!(body, ping.with(&names));
    outlet.send_body(&pong.with(&names)).await;

    client
        .write_all(content(&request.seen().payload))
        .await
        .unwrap();
    let (body, _) = soon(outlet.next_raw()).await;
    assert_eq!(body, request.with(&names));

    outlet.send_body(&answer.with(&names)).await;
    outlet.send_body(&disconnect.with(&names)).await;
    let mut page = Vec::new();
    soon(client.read_to_end(&mut page)).await.unwrap();
    assert_eq!(page, content(&answer.seen().payload));
}

#[tokio::test]
async fn outlet_replays_the_recorded_conversation() {
    // spec: messaging 11.9, d3
    let frames = Recorded::frames("d3_outlet_plain");
    let [echo, echoed, ping, pong, request, head, page, disconnect] = frames.try_into().unwrap();
    let host = Host::start().await;
    let (target, mut accepted) = manual_target().await;
    let _outlet = host.outlet(target);
    let mut inlet = Wire::dial(&host).await;

    inlet.send_body(&echo.body).await;
    assert_eq!(soon(inlet.next_body()).await.unwrap(), echoed.body);
    inlet.send_body(&ping.body).await;
    let body = soon(inlet.next_body()).await.unwrap();
    let names = [(pong.seen().sender(), Seen::read(&body).sender())];
    assert_eq!(body, pong.with(&names));
    let mut target = soon(accepted.recv()).await.unwrap();

    inlet.send_body(&request.with(&names)).await;
    let mut received = vec![0; content(&request.seen().payload).len()];
    soon(target.read_exact(&mut received)).await.unwrap();
    assert_eq!(received, content(&request.seen().payload));

    for chunk in [head, page] {
        target
            .write_all(content(&chunk.seen().payload))
            .await
            .unwrap();
        assert_eq!(soon(inlet.next_body()).await.unwrap(), chunk.with(&names));
    }
    drop(target);
    assert_eq!(
        soon(inlet.next_body()).await.unwrap(),
        disconnect.with(&names)
    );
}

#[test]
fn conversations_in_a_channel_are_the_same_messages() {
    // spec: messaging 11.9, d2 and d4 (what the channel carries; the channel itself is replayed where it lives)
    for name in ["d2_inlet_in_channel", "d4_outlet_in_channel"] {
        let messages: Vec<_> = Recorded::plaintexts(name)
            .into_iter()
            .filter(|seen| seen.onward.last().unwrap() != services::ECHO)
            .filter(|seen| seen.return_route.last().unwrap() != services::ECHO)
            .collect();
        let variants: Vec<_> = messages.iter().map(|seen| seen.payload[0]).collect();
        assert_eq!(variants, [0, 1, 3, 3, 2], "{name}");
        let inlet = messages[0].sender();
        let outlet = messages[1].sender();
        for (seen, from) in messages
            .iter()
            .zip([&inlet, &outlet, &inlet, &outlet, &outlet])
        {
            assert_eq!(seen.sender(), *from);
        }
    }
}

#[tokio::test]
async fn relay_client_replays_the_recorded_conversation() {
    // spec: messaging 11.9, e1
    let frames = Recorded::frames("e1_relay_client");
    let [registration, confirmation, question, answer, ..] = frames.as_slice() else {
        panic!("the recording is shorter than expected");
    };
    let host = Host::start().await;
    let _uppercase = services::start_uppercase(&host.node, services::UPPERCASE).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = format!(
        "/ip4/127.0.0.1/tcp/{}",
        listener.local_addr().unwrap().port()
    );
    let relay = host.relay(&at, "x");
    let mut relay_node = Wire::begin(soon(listener.accept()).await.unwrap().0).await;

    let seen = soon(relay_node.next()).await;
    let recorded = registration.seen();
    assert_eq!(
        (seen.onward.clone(), seen.payload.clone()),
        (recorded.onward, recorded.payload)
    );
    let recorded = confirmation.seen();
    relay_node
        .send(
            &seen.sender(),
            &recorded.return_route.to_string(),
            &recorded.payload,
        )
        .await;
    let registered = soon(relay.connected()).await;
    assert_eq!(registered.remote_address.name(), b"forward_to_x");
    let flow = host.node.connections()[0].flow();
    host.node.router().add_consumer(&services::UPPERCASE, flow);
    relay_node.send_body(&question.body).await;
    let (body, _) = soon(relay_node.next_raw()).await;
    assert_eq!(body, answer.body);

    // A relay node that keeps the registration worker in the route is served as well (spec: messaging 6.2).
    let through = format!("{} => 0#uppercase", seen.sender());
    relay_node.send(&through, "app", b"\x02hi").await;
    assert_eq!(soon(relay_node.next()).await.payload, b"\x02HI");
}

#[tokio::test]
async fn relay_service_replays_the_recorded_conversation() {
    // spec: messaging 11.9, e2
    let frames = Recorded::frames("e2_relay_service");
    let [registration, confirmation, echo, echoed, question, answer] = frames.try_into().unwrap();
    let host = Host::start().await;
    let service = host.relay_service();
    let mut client = Wire::dial(&host).await;
    client.send_body(&registration.body).await;
    assert_eq!(soon(client.next_body()).await.unwrap(), confirmation.body);
    client.send_body(&echo.body).await;
    assert_eq!(soon(client.next_body()).await.unwrap(), echoed.body);
    assert_eq!(service.relays()[0].name.as_str(), "y");

    let app = Address::from_static("app");
    let mut mailbox: Mailbox = host
        .node
        .router()
        .start_mailbox(std::slice::from_ref(&app), Access::ALLOW_ALL)
        .unwrap();
    let onward: Route = "forward_to_y => uppercase".parse().unwrap();
    let back: Route = "app".parse().unwrap();
    let body = Buffer::from_slice(&question.seen().payload);
    host.node
        .router()
        .send(&app, onward, back, body)
        .await
        .unwrap();
    assert_eq!(soon(client.next_body()).await.unwrap(), question.body);
    client.send_body(&answer.body).await;
    let message = soon(mailbox.recv()).await;
    assert_eq!(message.payload.as_slice(), answer.seen().payload);
}

#[tokio::test]
async fn outlet_tells_a_published_inlet_that_the_target_refuses() {
    let host = Host::start().await;
    let _outlet = host.outlet(closed_port());
    let mut inlet = Wire::dial(&host).await;
    inlet.send("outlet", "rin", &[0]).await;
    let seen = soon(inlet.next()).await;
    assert_eq!(
        (seen.onward.to_string().as_str(), seen.payload.as_slice()),
        ("0#rin", &[2][..])
    );
}

#[tokio::test]
async fn guard_w19_wrong_counter_is_answered_with_disconnect_and_closes_the_target() {
    // spec: messaging 11.5, V26
    let host = Host::start().await;
    let (target, mut accepted) = manual_target().await;
    let _outlet = host.outlet(target);
    for (counters, good) in [(&[0_u8, 1, 2][..], true), (&[1], false), (&[0, 5], false)] {
        let mut inlet = Wire::dial(&host).await;
        inlet.send("outlet", "rin", &[0]).await;
        let outlet = soon(inlet.next()).await.sender();
        let mut target = soon(accepted.recv()).await.unwrap();
        for counter in counters {
            inlet
                .send(&outlet, "rin", &[3, 1, b'a', 1, *counter, 0])
                .await;
        }
        if good {
            let mut received = [0; 3];
            soon(target.read_exact(&mut received)).await.unwrap();
            assert_eq!(&received, b"aaa");
        } else {
            assert_eq!(soon(inlet.next()).await.payload, [2]);
            let mut rest = Vec::new();
            assert!(soon(target.read_to_end(&mut rest)).await.is_err() || rest.len() < 2);
        }
    }
}

#[tokio::test]
async fn unknown_and_malformed_messages_leave_the_connection_alone() {
    let host = Host::start().await;
    let (target, mut accepted) = manual_target().await;
    let _outlet = host.outlet(target);
    let mut inlet = Wire::dial(&host).await;
    for refused in [&[][..], &[3, 1, b'x'], &[9], &[2], &[0x10, 0]] {
        // spec: messaging 7.3 (an outlet is asked with a Ping, with Open only in a channel)
        inlet.send("outlet", "rin", refused).await;
    }
    inlet.send("outlet", "rin", &[0]).await;
    let outlet = soon(inlet.next()).await.sender();
    let mut target = soon(accepted.recv()).await.unwrap();
    for ignored in [
        &[][..],
        &[0],
        &[1],
        &[9],
        &[3, 5, b'x'],
        &[3, 0],
        &[0x13, b'y'],
        &[0x16, 0],
    ] {
        inlet.send(&outlet, "rin", ignored).await;
    }
    inlet
        .send(&format!("{outlet} => 0#more"), "rin", &[3, 1, b'z'])
        .await;
    inlet.send(&outlet, "rin", &[3, 2, b'o', b'k']).await;
    let mut received = [0; 2];
    soon(target.read_exact(&mut received)).await.unwrap();
    assert_eq!(&received, b"ok");
    inlet.send(&outlet, "rin", &[2]).await;
    assert_eq!(soon(target.read(&mut [0])).await.unwrap(), 0);
}

#[tokio::test]
async fn guard_w21_message_over_another_connection_does_not_count() {
    // spec: messaging 12 W21
    let host = Host::start().await;
    let (target, mut accepted) = manual_target().await;
    let _outlet = host.outlet(target);
    let mut inlet = Wire::dial(&host).await;
    inlet.send("outlet", "rin", &[0]).await;
    let outlet = soon(inlet.next()).await.sender();
    let mut target = soon(accepted.recv()).await.unwrap();
    let mut stranger = Wire::dial(&host).await;
    stranger.send(&outlet, "rin", &[2]).await;
    stranger
        .send(&outlet, "rin", &[3, 3, b'b', b'a', b'd'])
        .await;
    // When the echo comes back the messages before it have been handled.
    stranger.send("echo", "app", b"done").await;
    assert_eq!(soon(stranger.next_raw()).await.1.payload, b"done");
    inlet
        .send(&outlet, "rin", &[3, 4, b'g', b'o', b'o', b'd'])
        .await;
    let mut received = [0; 4];
    soon(target.read_exact(&mut received)).await.unwrap();
    assert_eq!(&received, b"good");
}

#[tokio::test]
async fn outlet_ends_its_connections_when_their_transport_is_gone() {
    // spec: messaging 7.5 (deleting an inlet closes its transport without a word)
    let host = Host::start().await;
    let (target, mut accepted) = manual_target().await;
    let _outlet = host.outlet(target);
    let mut inlet = Wire::dial(&host).await;
    inlet.send("outlet", "rin", &[0]).await;
    let outlet = soon(inlet.next()).await.sender();
    let mut target = soon(accepted.recv()).await.unwrap();
    inlet
        .send(&outlet, "rin", &[3, 4, b'l', b'a', b's', b't'])
        .await;
    drop(inlet);
    let mut received = [0; 4];
    soon(target.read_exact(&mut received)).await.unwrap();
    assert_eq!(&received, b"last");
    assert_eq!(
        soon(target.read_u8()).await.unwrap_err().kind(),
        ErrorKind::ConnectionReset
    );
}

#[tokio::test]
async fn without_handshake_everything_goes_to_the_outlets_address() {
    // spec: messaging 11.5, V32
    let host = Host::start().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let to = format!(
        "/ip4/127.0.0.1/tcp/{}/service/outlet",
        listener.local_addr().unwrap().port()
    );
    let inlet = host
        .inlet_with(&to, |options| options.handshake = Handshake::Skip)
        .await;
    let mut outlet = Wire::begin(soon(listener.accept()).await.unwrap().0).await;
    let mut client = TcpStream::connect(inlet.bound()).await.unwrap();
    client.write_all(b"hi").await.unwrap();
    for expected in [&[0][..], &[3, 2, b'h', b'i']] {
        let seen = soon(outlet.next()).await;
        assert_eq!(seen.onward.to_string(), "0#outlet");
        assert_eq!(seen.payload, expected);
    }
}

#[tokio::test]
async fn outlet_without_handshake_needs_no_ping_and_sends_no_pong() {
    // spec: messaging 11.5, V32
    let host = Host::start().await;
    let skip = |options: &mut OutletOptions| options.handshake = Handshake::Skip;
    let outlet = host.outlet_with(echo_target().await, skip);
    let mut inlet = Wire::dial(&host).await;
    inlet.send("outlet", "one", &[3, 2, b'y', b'o']).await;
    let seen = soon(inlet.next()).await;
    assert_eq!(
        (seen.onward.to_string().as_str(), seen.payload.as_slice()),
        ("0#one", &b"\x03\x02yo"[..])
    );
    assert_ne!(seen.sender(), "0#outlet");
    inlet.send("outlet", "two", &[0]).await;
    inlet.send("outlet", "two", &[3, 1, b'2']).await;
    assert_eq!(soon(inlet.next()).await.payload, b"\x03\x012");
    inlet.send("outlet", "one", &[3, 1, b'1']).await;
    assert_eq!(soon(inlet.next()).await.payload, b"\x03\x011");
    assert_eq!(outlet.activity().opened, 2);
}

#[tokio::test]
async fn guard_w20_client_is_reset_when_no_pong_comes() {
    let host = Host::start().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let to = format!(
        "/ip4/127.0.0.1/tcp/{}/service/outlet",
        listener.local_addr().unwrap().port()
    );
    let inlet = host
        .inlet_with(&to, |options| {
            options.answer_timeout = Duration::from_millis(200)
        })
        .await;
    let _outlet = Wire::begin(soon(listener.accept()).await.unwrap().0).await;
    let mut client = TcpStream::connect(inlet.bound()).await.unwrap();
    let error = soon(client.read_u8()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    assert_eq!(inlet.status().activity.refused, 1);
}

#[tokio::test]
async fn pong_for_a_client_that_has_gone_is_answered_with_disconnect() {
    let host = Host::start().await;
    let (inlet, mut outlet) = inlet_of_a_published_outlet(&host, "outlet").await;
    let client = TcpStream::connect(inlet.bound()).await.unwrap();
    let own = soon(outlet.next()).await.sender();
    client.set_zero_linger().unwrap();
    drop(client);
    while inlet.status().activity.refused == 0 {
        tokio::task::yield_now().await;
    }
    outlet.send(&own, "rout", &[1]).await;
    let seen = soon(outlet.next()).await;
    assert_eq!(
        (seen.onward.to_string().as_str(), seen.payload.as_slice()),
        ("0#rout", &[2][..])
    );
}

#[tokio::test]
async fn client_reset_is_reported_with_disconnect() {
    let host = Host::start().await;
    let (inlet, mut outlet) = inlet_of_a_published_outlet(&host, "outlet").await;
    let client = TcpStream::connect(inlet.bound()).await.unwrap();
    let own = soon(outlet.next()).await.sender();
    outlet.send(&own, "rout", &[1]).await;
    client.set_zero_linger().unwrap();
    drop(client);
    let seen = soon(outlet.next()).await;
    assert_eq!(
        (seen.onward.to_string().as_str(), seen.payload.as_slice()),
        ("0#rout", &[2][..])
    );
    assert_eq!(
        host.node
            .router()
            .refusals()
            .counts()
            .map(|(_, count)| count)
            .sum::<u64>(),
        0
    );
    assert_ne!(own, OUTLET.to_string());
}

/// An inlet whose outlet is played by the test.
async fn inlet_of_a_published_outlet(host: &Host, name: &str) -> (ockam_portal::Inlet, Wire) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let to = format!(
        "/ip4/127.0.0.1/tcp/{}/service/{name}",
        listener.local_addr().unwrap().port()
    );
    let inlet = host.inlet(&to).await;
    let outlet = Wire::begin(soon(listener.accept()).await.unwrap().0).await;
    (inlet, outlet)
}

/// The content of a Payload that has no counter.
fn content(payload: &[u8]) -> &[u8] {
    assert_eq!(payload[0], 3);
    let head = if payload[1] & 0x80 == 0 { 2 } else { 3 };
    &payload[head..]
}

/// One recorded frame.
#[derive(Debug)]
struct Recorded {
    body: Vec<u8>,
}

impl Recorded {
    fn frames(transcript: &str) -> Vec<Self> {
        transcripts()[transcript]["frames"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|frame| frame["kind"] == "frame")
            .map(|frame| Self {
                body: hex(frame["bytes"].as_str().unwrap())[4..].to_vec(),
            })
            .collect()
    }

    /// The routing messages that a channel carried.
    fn plaintexts(transcript: &str) -> Vec<Seen> {
        transcripts()[transcript]["plaintexts"]
            .as_array()
            .unwrap()
            .iter()
            .map(|plaintext| hex(plaintext["plaintext"].as_str().unwrap()))
            .filter(|bytes| bytes.starts_with(&[0x82, 0x82, 0x00, 0x81]))
            .map(|bytes| Seen::read(&bytes[4..bytes.len() - 1]))
            .collect()
    }

    fn seen(&self) -> Seen {
        Seen::read(&self.body)
    }

    /// The body with the random names of the recording replaced by those of this run.
    fn with(&self, names: &[(String, String)]) -> Vec<u8> {
        let mut body = self.body.clone();
        for (recorded, present) in names {
            let recorded = recorded.strip_prefix("0#").unwrap().as_bytes();
            let present = present.strip_prefix("0#").unwrap().as_bytes();
            assert_eq!(recorded.len(), present.len());
            for at in 0..=body.len().saturating_sub(recorded.len()) {
                if body[at..].starts_with(recorded) {
                    body[at..at + recorded.len()].copy_from_slice(present);
                }
            }
        }
        body
    }
}

fn transcripts() -> serde_json::Value {
    let file = include_str!("../../../../vectors/live_transcript.json");
    serde_json::from_str::<serde_json::Value>(file).unwrap()["transcripts"].clone()
}

fn hex(text: &str) -> Vec<u8> {
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
        .collect()
}
