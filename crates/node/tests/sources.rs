//! What is limited by where it comes from, over TCP from several addresses.

#![allow(clippy::unwrap_used, reason = "a test fails where it unwraps")]

#[path = "../../../tests/loopback/doorway.rs"]
mod doorway;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ockam_node::{
    Allowance, ChannelListener, ConnectError, ConnectOptions, Connection, FixedIdentity, Limits,
    ListenerOptions, Node, NodeOptions, Source,
};
use ockam_wire::Address;

use crate::doorway::doorway;

#[tokio::test]
async fn guard_11_2_05_handshakes_are_limited_by_source_whoever_comes_and_whichever_node_inside_is_asked()
 {
    let outer = Node::new(NodeOptions {
        limits: Limits {
            handshakes_per_source: Allowance {
                burst: 6,
                // What was used does not come back within the test.
                per_second: 0,
            },
            ..Limits::default()
        },
        ..NodeOptions::default()
    });
    let listener = outer.tcp_listen("127.0.0.1:0").await.unwrap();
    let channels = accept(&outer);
    outer
        .router()
        .add_consumer(channels.address(), listener.flow());
    let inner = Node::new(NodeOptions::default());
    let inner_channels = accept(&inner);
    let gate = outer.enter(Address::from_static("p"), &inner).unwrap();
    gate.open_to(listener.flow());
    inner
        .router()
        .add_consumer(inner_channels.address(), gate.flow());

    let busy = doorway("127.0.0.2", listener.address()).await;
    let quiet = doorway("127.0.0.3", listener.address()).await;
    // Each is somebody else on a connection of its own.
    for round in 0..3 {
        for route in ["/secure/api", "/service/p/secure/api"] {
            let opened = open(busy, route).await;
            assert!(opened.is_ok(), "{round} {route} {opened:?}");
        }
    }
    for route in ["/secure/api", "/service/p/secure/api"] {
        assert!(open(busy, route).await.is_err(), "{route}");
        assert!(open(quiet, route).await.is_ok(), "{route}");
    }
    let told = outer.denials().all();
    let told = told.iter().map(|denial| denial.rule.to_string());
    assert!(
        told.clone()
            .any(|rule| rule == "handshake: too many from 127.0.0.2"),
        "{:?}",
        told.collect::<Vec<_>>()
    );
}

#[tokio::test]
async fn source_is_known_behind_channels_and_inside_a_node() {
    let outer = Node::new(NodeOptions::default());
    let listener = outer.tcp_listen("127.0.0.1:0").await.unwrap();
    let inner = Node::new(NodeOptions::default());
    let channels = accept(&inner);
    let gate = outer.enter(Address::from_static("p"), &inner).unwrap();
    gate.open_to(listener.flow());
    inner.router().add_consumer(channels.address(), gate.flow());
    inner
        .router()
        .add_consumer(channels.address(), channels.flow());
    let door = doorway("127.0.0.4", listener.address()).await;
    let connection = open(door, "/service/p/secure/api/secure/api")
        .await
        .unwrap();
    assert_eq!(connection.channels().len(), 2);
    // The far end has a channel when the last message of its handshake has come.
    while inner.channels().len() < 2 {
        tokio::task::yield_now().await;
    }
    for channel in inner.channels() {
        let source = inner.router().source_behind(channel.encryptor());
        assert_eq!(source, Some(Source::of("127.0.0.4:1".parse().unwrap())));
    }
}

fn accept(node: &Node) -> ChannelListener {
    let identity = Arc::new(node.ephemeral_identity().unwrap());
    let options = ListenerOptions {
        identity: Arc::new(FixedIdentity(identity)),
        authorized: Vec::new(),
        timeout: Duration::from_secs(5),
    };
    node.start_channel_listener(&Address::from_static("api"), options)
        .unwrap()
}

async fn open(door: SocketAddr, route: &str) -> Result<Connection, ConnectError> {
    let node = Node::new(NodeOptions::default());
    let identity = node.ephemeral_identity().unwrap();
    let options = ConnectOptions {
        identity: Arc::new(FixedIdentity::from(identity)),
        authorized: Vec::new(),
        timeout: Duration::from_secs(1),
    };
    let to = format!("/ip4/127.0.0.1/tcp/{}{route}", door.port());
    node.connect(&to.parse().unwrap(), options).await
}
