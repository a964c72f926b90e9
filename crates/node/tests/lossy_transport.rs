//! Another transport plugs in without a change in the node: an in-memory one that loses messages and carries only small
//! ones.

#![allow(clippy::unwrap_used, reason = "a test fails where it unwraps")]

use std::sync::Arc;
use std::time::Duration;

use ockam_node::{
    Accepted, Access, Attach, ChannelOptions, FixedIdentity, FlowId, Inbound, ListenerOptions,
    Node, NodeOptions, Outbound, SendError, TransportConnection, services,
};
use ockam_wire::{Address, Buffer, Route};

#[tokio::test]
async fn channel_survives_lost_messages_over_a_foreign_transport() {
    let (client, server) = (
        Node::new(NodeOptions::default()),
        Node::new(NodeOptions::default()),
    );
    let listener = server.random_flow();
    // The handshake passes, then every fifth message each way is lost.
    let connection = join(&client, &server, listener, |count| {
        count > 4 && count % 5 == 0
    });
    let _echo = services::start_echo(&server, services::ECHO).unwrap();
    let api = Address::from_static("api");
    let channels = server
        .start_channel_listener(
            &api,
            ListenerOptions {
                identity: Arc::new(FixedIdentity::from(server.ephemeral_identity().unwrap())),
                authorized: Vec::new(),
                timeout: Duration::from_secs(5),
            },
        )
        .unwrap();
    assert!(server.router().add_consumer(&api, listener));
    assert!(
        server
            .router()
            .add_consumer(&services::ECHO, channels.flow())
    );
    let channel = client
        .create_channel(
            route(&[connection.sender(), &api]),
            ChannelOptions {
                identity: Arc::new(FixedIdentity::from(client.ephemeral_identity().unwrap())),
                authorized: Vec::new(),
                timeout: Duration::from_secs(5),
                encryptor: None,
            },
        )
        .await
        .unwrap();
    let own = client.random_address();
    let mut mailbox = client
        .router()
        .start_mailbox(std::slice::from_ref(&own), Access::ALLOW_ALL)
        .unwrap();
    client.router().add_consumer(&own, channel.flow());
    for count in 0..200_u32 {
        let onward = route(&[channel.encryptor(), &services::ECHO]);
        let body = Buffer::from_slice(&count.to_be_bytes());
        client
            .router()
            .send(&own, onward, route(&[&own]), body)
            .await
            .unwrap();
    }
    let mut answered = Vec::new();
    while answered.last() != Some(&199) && answered.len() < 200 {
        let answer = tokio::time::timeout(Duration::from_secs(1), mailbox.recv()).await;
        let Ok(answer) = answer else { break };
        answered.push(u32::from_be_bytes(
            answer.payload.as_slice().try_into().unwrap(),
        ));
    }
    assert!(
        (100..=150).contains(&answered.len()),
        "{} of 200 came back",
        answered.len()
    );
    assert!(answered.is_sorted());
    // Every fifth message from the server was lost, which a stream of bytes has to know.
    let breaks = channel.peer().breaks();
    assert!((20..=50).contains(&breaks), "{breaks} breaks");
}

#[tokio::test]
async fn message_beyond_the_limit_of_a_transport_is_refused_and_the_limit_can_be_asked() {
    let (client, server) = (
        Node::new(NodeOptions::default()),
        Node::new(NodeOptions::default()),
    );
    let connection = join(&client, &server, server.random_flow(), |_| false);
    let limit = client.router().payload_limit(connection.sender());
    assert!((1..LIMIT).contains(&limit));
    let send = |size: usize| {
        let own = client.random_address();
        let onward = route(&[connection.sender(), &services::ECHO]);
        let client = client.clone();
        async move {
            let body = Buffer::from_slice(&vec![0; size]);
            client
                .router()
                .send(&own.clone(), onward, route(&[&own]), body)
                .await
        }
    };
    assert_eq!(send(LIMIT).await, Err(SendError::TooLarge));
    assert_eq!(send(limit).await, Ok(()));
}

#[tokio::test]
async fn dropped_half_ends_the_connection() {
    let node = Node::new(NodeOptions::default());
    let (inbound, outbound) = node.attach(attach(None)).unwrap();
    let connection = inbound.connection();
    drop(outbound);
    connection.closed().await;
    node.router().gone(connection.sender()).await;
    assert!(node.connections().is_empty());
}

/// Joins two nodes by two tasks that carry messages, dropping those whose count (from 1, each way) `lost` says.
fn join(
    client: &Node,
    server: &Node,
    listener: FlowId,
    lost: fn(u64) -> bool,
) -> TransportConnection {
    let accepted = Accepted {
        flow: listener,
        proven: Arc::default(),
    };
    let (client_in, client_out) = client.attach(attach(None)).unwrap();
    let (server_in, server_out) = server.attach(attach(Some(accepted))).unwrap();
    let connection = client_in.connection();
    carry(client_out, server_in, lost);
    carry(server_out, client_in, lost);
    connection
}

fn carry(mut from: Outbound, mut to: Inbound, lost: fn(u64) -> bool) {
    tokio::spawn(async move {
        let mut batch = Vec::new();
        let mut count = 0;
        while from.next_batch(&mut batch, 8).await > 0 {
            for message in batch.drain(..) {
                count += 1;
                if !lost(count) {
                    to.receive(message.into_inner().into_message())
                        .await
                        .unwrap();
                }
            }
        }
    });
}

fn attach(accepted: Option<Accepted>) -> Attach {
    Attach {
        transport: "MEM",
        peer: "memory".to_owned(),
        sender: None,
        accepted,
        message_limit: LIMIT,
        queue_bytes: 64 * 1024,
    }
}

fn route(hops: &[&Address]) -> Route {
    Route::from_hops(hops.iter().map(|hop| (*hop).clone())).unwrap()
}

const LIMIT: usize = 2048;
