use std::time::{Duration, Instant};

use ockam_wire::{Buffer, Route};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;
use crate::message::LocalMessage;
use crate::node::NodeOptions;
use crate::own_identity::FixedIdentity;
use crate::router::Mailbox;
use crate::secure_channel::{ChannelListener, ChannelOptions, ListenerOptions, SecureChannel};
use crate::services::{self, Service};
use crate::transport::Connection;
use crate::transport::tcp::TcpListener;

const API: Address = Address::from_static("api");

#[tokio::test]
async fn message_through_the_gate_is_answered_through_it() {
    let outer = Outer::start(false).await;
    let inner = Inner::start(&outer, "p1", false);
    let client = Client::dial(&outer).await;
    let answer = client.ask(&[name("p1"), name("open")], b"hello").await;
    assert_eq!(answer.payload.as_slice(), b"hello");
    assert_eq!(answer.return_route.len(), 3);
    let hops: Vec<_> = answer
        .return_route
        .iter()
        .map(|hop| hop.to_string())
        .collect();
    assert_eq!(hops[1..], ["0#p1", "0#open"]);
    assert_eq!(inner.namespace.connections(), 1);
    // Over the route of the answer it is reached again.
    let mut route = answer.return_route;
    route.drop_front();
    let hops: Vec<_> = route.iter().map(|hop| hop.to_address()).collect();
    assert_eq!(
        client.ask(&hops, b"again").await.payload.as_slice(),
        b"again"
    );
}

#[tokio::test]
async fn channel_with_an_inner_node_is_its_own() {
    let outer = Outer::start(true).await;
    let inner = Inner::start(&outer, "p1", true);
    let client = Client::dial(&outer).await;
    let channel = client.channel(&[name("p1"), API]).await.unwrap();
    assert_eq!(channel.peer().identifier, inner.identifier);
    for round in 0..200_u32 {
        // Past several re-keys.
        let answer = client
            .ask_in(&channel, &[services::ECHO], &round.to_be_bytes())
            .await;
        assert_eq!(answer.payload.as_slice(), round.to_be_bytes());
    }
    assert_eq!(channel.peer().breaks(), 0);
    assert_eq!(inner.node.channels().len(), 1);
    assert_eq!(outer.node.channels().len(), 0);
    assert_eq!(inner.node.connections().len(), 0);
    let large = vec![7; 200_000];
    let answer = client.ask_in(&channel, &[services::ECHO], &large).await;
    assert_eq!(answer.payload.as_slice(), large);
}

#[tokio::test]
async fn largest_message_of_an_inner_node_fits_its_connection() {
    let outer = Outer::start(false).await;
    let inner = Inner::start(&outer, "p1", false);
    let client = Client::dial(&outer).await;
    client.inner_channel(&inner).await;
    let channel = &inner.node.channels()[0];
    let router = inner.node.router();
    let most = router.payload_limit(channel.encryptor());
    let onward = Route::from_hops([channel.encryptor().clone(), client.own.clone()]).unwrap();
    let own = API;
    let send = |length| {
        let payload = Buffer::from_slice(&vec![7; length]);
        router.send(&own, onward.clone(), Route::new(), payload)
    };
    // What does not fit is refused before a nonce is used for it.
    assert_eq!(send(most + 1000).await, Err(SendError::TooLarge));
    assert_eq!(send(most - 100).await, Ok(()));
    assert_eq!(client.next().await.payload.len(), most - 100);
    assert_eq!(client.node.channels()[0].peer().breaks(), 0);
    let direct = outer
        .node
        .router()
        .payload_limit(outer.node.connections()[0].sender());
    assert!(most < direct && direct - most < 300, "{most} {direct}");
}

#[tokio::test]
async fn closed_connection_ends_the_channels_inside_at_once() {
    let outer = Outer::start(false).await;
    let inner = Inner::start(&outer, "p1", false);
    let client = Client::dial(&outer).await;
    client.inner_channel(&inner).await;
    let channel = inner.node.channels()[0].clone();
    let begun = Instant::now();
    client.connection.close();
    soon(channel.closed()).await;
    assert!(begun.elapsed() < Duration::from_millis(500));
    while inner.namespace.connections() > 0 {
        tokio::task::yield_now().await;
    }
    assert!(inner.node.channels().is_empty());
}

#[tokio::test]
async fn closed_gate_ends_the_channels_inside_and_leaves_the_connection() {
    let outer = Outer::start(false).await;
    let inner = Inner::start(&outer, "p1", false);
    let client = Client::dial(&outer).await;
    client.inner_channel(&inner).await;
    let channel = inner.node.channels()[0].clone();
    let Inner {
        node, namespace, ..
    } = inner;
    drop(namespace);
    soon(channel.closed()).await;
    assert!(!client.connection.is_closed());
    assert!(!outer.node.router().is_running(&name("p1")));
    let again = outer.node.enter(name("p1"), &node).unwrap();
    again.open_to(outer.listener.flow());
    assert_eq!(
        client.ask(&[services::ECHO], b"x").await.payload.as_slice(),
        b"x"
    );
}

#[tokio::test]
async fn a_gate_with_an_entrance_is_open_from_the_first_moment() {
    let outer = Outer::start(false).await;
    let node = Node::new(NodeOptions::default());
    let echo = services::start_echo(&node, services::ECHO).unwrap();
    let ways = [outer.listener.flow()];
    let entrance = Entrance {
        flow: outer.node.random_flow(),
        ways: &ways,
    };
    node.router().add_consumer(echo.address(), entrance.flow);
    let namespace = outer.node.enter_through(name("p1"), &node, &entrance);
    let namespace = namespace.unwrap();
    assert_eq!(namespace.flow(), entrance.flow);
    let client = Client::dial(&outer).await;
    assert_eq!(
        client.ask(&[services::ECHO], b"x").await.payload.as_slice(),
        b"x"
    );
    // The permission ends with the way.
    outer.listener.close();
    while !outer.node.router().consumed_by(namespace.name()).is_empty() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn what_is_open_to_channels_only_is_not_reached_through_the_gate() {
    let outer = Outer::start(true).await;
    let inner = Inner::start(&outer, "p1", true);
    let client = Client::dial(&outer).await;
    client.send(&[name("p1"), services::ECHO], b"x").await;
    client.inner_channel(&inner).await;
    assert_eq!(refused(&inner.node, "flow control"), 1);
    assert_eq!(refused(&outer.node, "flow control"), 0);
    assert_eq!(inner.node.denials().all().len(), 1);
    assert!(outer.node.denials().all().is_empty());
    // Nothing says what a stranger is not told.
    assert!(client.nothing_came(&outer).await);
}

#[tokio::test]
async fn gate_is_closed_until_it_is_opened() {
    let outer = Outer::start(true).await;
    let node = Node::new(NodeOptions::default());
    let _namespace = outer.node.enter(name("p1"), &node).unwrap();
    let client = Client::dial(&outer).await;
    client.send(&[name("p1"), services::ECHO], b"x").await;
    assert!(client.nothing_came(&outer).await);
    assert_eq!(refused(&outer.node, "flow control"), 1);
}

#[tokio::test]
async fn namespaces_do_not_see_each_other() {
    let outer = Outer::start(true).await;
    let (one, two) = (
        Inner::start(&outer, "p1", true),
        Inner::start(&outer, "p2", true),
    );
    let _secret = two.mailbox("secret", two.channels.flow());
    let client = Client::dial(&outer).await;
    let other = Client::dial(&outer).await;
    let channel = client.inner_channel(&one).await;
    other.inner_channel(&two).await;
    let theirs = two.node.channels()[0].clone();
    let before = two.node.router().delivered();
    let their_connection = way_of(&two);
    let own_connection = way_of(&one);
    for way in [
        vec![name("secret")],
        vec![name("p2"), name("secret")],
        vec![name("p1"), name("p2"), name("secret")],
        vec![theirs.encryptor().clone(), name("x")],
        vec![theirs.decryptor().clone()],
        vec![their_connection.clone(), name("x")],
        vec![own_connection.clone(), name("x")],
        vec![services::HOP, name("p2"), API],
    ] {
        // Inside the channel, and in front of the gate.
        client.send_in(&channel, &way, b"x").await;
        let mut through = vec![name("p1")];
        through.extend(way.clone());
        client.send(&through, b"x").await;
    }
    client.ask_in(&channel, &[services::ECHO], b"mark").await;
    assert_eq!(two.node.router().delivered(), before);
    assert_eq!(refused(&two.node, "no such worker"), 0);
    assert!(two.node.denials().all().is_empty());
    // Ways of others are not known; the own one is closed as it is at any node.
    assert!(!one.node.router().is_running(&their_connection));
    assert!(one.node.router().is_running(&own_connection));
    assert!(!one.node.router().is_running(theirs.encryptor()));
    assert!(client.nothing_came(&outer).await);
    assert!(other.nothing_came(&outer).await);
}

#[tokio::test]
async fn peer_of_the_outer_node_is_nobody_inside() {
    let outer = Outer::start(false).await;
    let inner = Inner::start(&outer, "p1", false);
    let mut seen = inner.mailbox("seen", inner.namespace.flow());
    inner.namespace.open_to(outer.channels.flow());
    let client = Client::dial(&outer).await;
    let channel = client.channel(&[API]).await.unwrap();
    // Not open to channels of the outer node, only to what comes over its connections.
    client
        .send_in(&channel, &[name("p1"), name("seen")], b"x")
        .await;
    client.ask_in(&channel, &[services::ECHO], b"mark").await;
    assert_eq!(refused(&inner.node, "flow control"), 1);
    inner
        .node
        .router()
        .add_consumer(&name("seen"), outer.channels.flow());
    client
        .send_in(&channel, &[name("p1"), name("seen")], b"x")
        .await;
    let message = soon(seen.recv()).await;
    assert!(message.origin.peer.is_none());
    let way = message.return_route.first().unwrap().to_address();
    assert!(outer.node.router().channel_peer(&way).is_some());
    assert!(inner.node.router().channel_peer(&way).is_none());
    // The answer goes back through that channel.
    let own = name("seen");
    let back = Route::from_hops([own.clone()]).unwrap();
    let sent = inner
        .node
        .router()
        .send(&own, message.return_route, back, Buffer::from_slice(b"y"));
    sent.await.unwrap();
    assert_eq!(client.next().await.payload.as_slice(), b"y");
    channel.close().await;
    while inner.namespace.connections() > 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn worker_of_the_outer_node_cannot_send_into_an_inner_one() {
    let outer = Outer::start(false).await;
    let inner = Inner::start(&outer, "p1", false);
    let client = Client::dial(&outer).await;
    client.ask(&[name("p1"), name("open")], b"x").await;
    let delivered = inner.node.router().delivered();
    let way = outer.node.connections()[0].sender().clone();
    let echo = services::ECHO;
    let sent = outer.node.router().send(
        &echo,
        Route::from_hops([name("p1"), name("open")]).unwrap(),
        Route::from_hops([way]).unwrap(),
        Buffer::from_slice(b"x"),
    );
    assert!(matches!(sent.await, Err(SendError::Rejected(_))));
    // Nor does a hop of the outer node pass anything on.
    client
        .send(&[services::HOP, name("p1"), name("open")], b"x")
        .await;
    assert!(client.nothing_came(&outer).await);
    assert_eq!(inner.node.router().delivered(), delivered);
}

#[tokio::test]
async fn guard_w05_node_is_never_inside_itself() {
    let (a, b, c) = (node(false), node(false), node(false));
    assert_eq!(
        a.enter(name("a"), &a).err(),
        Some(StartError::Entered(name("a")))
    );
    let in_a = a.enter(name("b"), &b).unwrap();
    let _in_b = b.enter(name("c"), &c).unwrap();
    assert_eq!(
        c.enter(name("a"), &a).err(),
        Some(StartError::Entered(name("a")))
    );
    assert_eq!(
        c.enter(name("b"), &b).err(),
        Some(StartError::Entered(name("b")))
    );
    drop(in_a);
    assert!(c.enter(name("a"), &a).is_ok());
}

#[tokio::test]
async fn guard_w05_route_that_names_a_gate_again_and_again_ends() {
    let outer = Outer::start(true).await;
    let inner = Inner::start(&outer, "p1", true);
    let client = Client::dial(&outer).await;
    for length in 2..30 {
        let mut route = vec![name("p1"); length];
        route.push(name("open"));
        client.send(&route, b"x").await;
    }
    // The limit of the outer node counts both routes.
    let mut onward = vec![name("p1"); 29];
    onward.insert(0, client.connection.sender().clone());
    let back = Route::from_hops(vec![client.own.clone(); 3]).unwrap();
    let onward = Route::from_hops(onward).unwrap();
    let sent = client
        .node
        .router()
        .send(&client.own, onward, back, Buffer::from_slice(b"x"));
    sent.await.unwrap();
    assert!(client.nothing_came(&outer).await);
    assert_eq!(inner.node.router().delivered(), 0);
    assert_eq!(refused(&outer.node, "chain too long"), 1);
    assert!(refused(&inner.node, "no such worker") > 0);
}

#[tokio::test]
async fn gate_has_an_address_as_other_workers_have() {
    let (outer, inner) = (node(false), node(false));
    let _taken = services::start_echo(&outer, services::ECHO).unwrap();
    assert_eq!(
        outer.enter(services::ECHO, &inner).err(),
        Some(StartError::AddressInUse(services::ECHO))
    );
    let foreign = Address::new(ockam_wire::TransportType::TCP, "1.2.3.4:5").unwrap();
    assert!(matches!(
        outer.enter(foreign, &inner),
        Err(StartError::NotLocal(_))
    ));
    assert!(matches!(
        outer.enter(Address::local("").unwrap(), &inner),
        Err(StartError::NotLocal(_))
    ));
    // What was refused is not noted as its place.
    assert!(outer.enter(name("p1"), &inner).is_ok());
}

#[tokio::test]
async fn connection_under_the_address_of_an_inner_worker_stays_outside() {
    let outer = Outer::start(false).await;
    let inner = Inner::start(&outer, "p1", false);
    let _worker = inner.mailbox("taken", inner.namespace.flow());
    let far = Outer::start(false).await;
    let dialled = outer
        .node
        .tcp_connect_at(&far.listener.address().to_string(), Some(name("taken")))
        .await
        .unwrap();
    inner.namespace.open_to(dialled.flow());
    let way = far.node.connections()[0].sender().clone();
    let echo = services::ECHO;
    let sent = far.node.router().send(
        &echo,
        Route::from_hops([way, name("p1"), name("open")]).unwrap(),
        Route::from_hops([services::ECHO]).unwrap(),
        Buffer::from_slice(b"x"),
    );
    sent.await.unwrap();
    let refused = async {
        while refused(&outer.node, "rejected by the worker") == 0 {
            tokio::task::yield_now().await;
        }
    };
    soon(refused).await;
    assert_eq!(inner.node.router().delivered(), 0);
}

#[tokio::test]
async fn connection_that_takes_the_place_of_an_earlier_one_is_known_anew() {
    let outer = Outer::start(false).await;
    let inner = Inner::start(&outer, "p1", false);
    let far = Outer::start(false).await;
    let at = far.listener.address().to_string();
    for round in 0..20 {
        let dialled = outer
            .node
            .tcp_connect_at(&at, Some(name("way")))
            .await
            .unwrap();
        inner.namespace.open_to(dialled.flow());
        let producer = inner.namespace.handle().lead_out(&name("way")).unwrap();
        assert_eq!(producer.id, dialled.flow(), "{round}");
        assert_eq!(producer.spawner, Some(inner.namespace.flow()));
        let gone = outer.node.router().gone(&name("way"));
        dialled.close();
        soon(gone).await;
    }
    assert!(inner.namespace.handle().lead_out(&name("way")).is_err());
}

#[tokio::test]
async fn gates_of_a_connection_are_bounded() {
    let outer = Outer::start(false).await;
    let inners: Vec<_> = (0..=GATES_OF_CONNECTION)
        .map(|number| {
            let node = node(false);
            (
                outer
                    .node
                    .enter(name(&format!("p{number}")), &node)
                    .unwrap(),
                node,
            )
        })
        .collect();
    let client = Client::dial(&outer).await;
    client.ask(&[services::ECHO], b"x").await;
    let way = outer.node.connections()[0].sender().clone();
    let refused: Vec<_> = inners
        .iter()
        .filter(|(namespace, _)| namespace.handle().lead_out(&way).is_err())
        .collect();
    assert_eq!(refused.len(), 1);
    drop(refused);
    drop(inners);
    // What is closed gives its place back.
    let node = node(false);
    let again = outer.node.enter(name("p0"), &node).unwrap();
    assert!(again.handle().lead_out(&way).is_ok());
}

#[tokio::test]
async fn linked_channel_leads_from_gate_to_gate_and_nowhere_else() {
    let (here, there) = (Outer::start(false).await, Outer::start(false).await);
    let (one, other) = (
        Inner::start(&here, "p1", false),
        Inner::start(&there, "p1", false),
    );
    let third = Inner::start(&there, "p2", false);
    let link = Client::dial_from(here.node.clone(), &there).await;
    let channel = link.channel(&[API]).await.unwrap();
    let handle = one.namespace.handle();
    let producer = handle.link_opened(channel.encryptor()).unwrap();
    for inner in [&other, &third] {
        inner
            .namespace
            .handle()
            .link_accepted(there.channels.flow());
    }
    let mut seen = other.mailbox("seen", there.channels.flow());
    let mut back = one.mailbox("back", producer.id);
    let send = async |inner: &Inner, from: &Address, way: Vec<Address>| {
        let route = Route::from_hops([from.clone()]).unwrap();
        let onward = Route::from_hops(way).unwrap();
        let router = inner.node.router();
        router
            .send(from, onward, route, Buffer::from_slice(b"x"))
            .await
    };
    let way = channel.encryptor().clone();
    send(&one, &name("back"), vec![way.clone(), name("seen")])
        .await
        .unwrap();
    let message = soon(seen.recv()).await;
    assert!(message.origin.peer.is_none());
    assert_eq!(message.return_route.len(), 2);
    // The answer comes to the gate it left by, and can be answered in turn.
    let answer: Vec<_> = message
        .return_route
        .iter()
        .map(|hop| hop.to_address())
        .collect();
    send(&other, &name("seen"), answer).await.unwrap();
    let answer = soon(back.recv()).await.return_route;
    assert_eq!(answer.to_string(), format!("{way} => 0#seen"));
    // Whatever a route says: not to another namespace, not to services of the other node.
    let before = third.node.router().delivered();
    for wrong in [
        vec![name("p2"), name("open")],
        vec![services::ECHO],
        vec![API],
    ] {
        let mut onward = vec![way.clone()];
        onward.extend(wrong);
        send(&one, &name("back"), onward).await.unwrap();
    }
    send(&one, &name("back"), vec![way.clone(), name("seen")])
        .await
        .unwrap();
    soon(seen.recv()).await;
    assert_eq!(third.node.router().delivered(), before);
    assert_eq!(refused(&other.node, "no such worker"), 1);
    assert_eq!(refused(&other.node, "flow control"), 2);
    // It ends with its channel, on both sides.
    channel.close().await;
    while one.namespace.connections() + other.namespace.connections() > 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn reader_that_stalls_holds_back_who_sends_to_it_and_nobody_else() {
    let outer = Outer::start(false).await;
    let inner = Inner::start(&outer, "p1", false);
    let mut seen = inner.mailbox("seen", inner.namespace.flow());
    let mut stalled = TcpStream::connect(outer.listener.address()).await.unwrap();
    let message = ockam_wire::RoutingMessage {
        onward: Route::from_hops([name("p1"), name("seen")]).unwrap(),
        return_route: Route::from_hops([name("far")]).unwrap(),
        payload: Buffer::from_slice(b"x"),
    };
    let body = message.encode().unwrap();
    let length = u32::try_from(body.len()).unwrap().to_be_bytes();
    stalled
        .write_all(&[&[1][..], &length, body.as_slice()].concat())
        .await
        .unwrap();
    let back = soon(seen.recv()).await.return_route;
    let router = inner.node.router().clone();
    let flood = tokio::spawn({
        let (router, back) = (router.clone(), back.clone());
        async move {
            let (mut sent, own) = (0_usize, name("seen"));
            loop {
                let payload = Buffer::from_slice(&[7; 100_000]);
                let send = router.send(&own, back.clone(), Route::new(), payload);
                match tokio::time::timeout(Duration::from_millis(500), send).await {
                    Ok(done) => done.unwrap(),
                    Err(_) => return sent,
                }
                sent += 100_000;
            }
        }
    });
    let neighbour = Client::dial(&outer).await;
    for _ in 0..20 {
        neighbour.ask(&[name("p1"), name("open")], b"x").await;
    }
    let sent = soon(flood).await.unwrap();
    // The kernel keeps up to 36 MB of it, the node 4 MiB.
    assert!(sent < 60_000_000, "{sent}");
    // When it reads on, all of it is there.
    let mut received = vec![0; sent];
    soon(stalled.read_exact(&mut received)).await.unwrap();
    let payload = Buffer::from_slice(b"y");
    soon(router.send(&name("seen"), back, Route::new(), payload))
        .await
        .unwrap();
}

/// What happens to a message in an inner node is what would happen to it in a node behind a listener of its own.
#[tokio::test]
async fn property_inner_node_treats_messages_as_a_node_of_its_own_does() {
    let outer = Outer::start(false).await;
    let inner = Inner::start(&outer, "p1", false);
    let alone = Outer::start_as("alone", false).await;
    let clients = [Client::dial(&outer).await, Client::dial(&alone).await];
    let nodes = [&inner.node, &alone.node];
    let gates = [vec![name("p1")], vec![]];
    let channels = [
        clients[0].channel(&[name("p1"), API]).await.unwrap(),
        clients[1].channel(&[API]).await.unwrap(),
    ];
    let names = [
        "open", "echo", "api", "missing", "alone", "secure", "hop", "open", "echo",
    ];
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % below as u64).unwrap()
    };
    for round in 0..600 {
        let hops = 1 + next(4) + if next(10) == 0 { 26 } else { 0 };
        let route: Vec<_> = (0..hops).map(|_| name(names[next(names.len())])).collect();
        let payload = vec![7; next(3000)];
        // What a listener answers, it answers in its own time.
        let inside = next(2) == 0 || route[0] == API;
        let mut outcomes = Vec::new();
        for at in 0..2 {
            let counts: Vec<_> = nodes[at].router().refusals().counts().collect();
            // The gate's name is one hop more, at the outer node.
            if hops > 28 && !inside {
                outcomes.push((vec![], None));
                continue;
            }
            if inside {
                clients[at].send_in(&channels[at], &route, &payload).await;
            } else {
                let mut way = gates[at].clone();
                way.extend(route.clone());
                clients[at].send(&way, &payload).await;
            }
            let answer = clients[at].until_mark(&channels[at]).await;
            let counted: Vec<_> = nodes[at]
                .router()
                .refusals()
                .counts()
                .zip(counts)
                .map(|((reason, now), (_, then))| (reason, now - then))
                .collect();
            outcomes.push((counted, answer));
        }
        assert_eq!(outcomes[0], outcomes[1], "{round}: {route:?} {inside}");
    }
}

struct Outer {
    node: Node,
    listener: TcpListener,
    channels: ChannelListener,
    _services: Vec<Service>,
}

impl Outer {
    async fn start(strict: bool) -> Self {
        Self::start_as("outer", strict).await
    }

    /// A node with `echo`, `open` and `api`; at one that is named `alone`, as inner nodes have them.
    async fn start_as(kind: &str, strict: bool) -> Self {
        let node = node(strict);
        let listener = node.tcp_listen("127.0.0.1:0").await.unwrap();
        let channels = channels(&node);
        let mut running = services_of(&node);
        if kind == "outer" && !strict {
            running.push(services::start_hop(&node, services::HOP).unwrap());
        }
        let router = node.router();
        for address in [API, name("open"), services::HOP] {
            router.add_consumer(&address, listener.flow());
        }
        router.add_consumer(&services::ECHO, channels.flow());
        if kind == "outer" {
            router.add_consumer(&services::ECHO, listener.flow());
        }
        Self {
            node,
            listener,
            channels,
            _services: running,
        }
    }
}

struct Inner {
    node: Node,
    identifier: ockam_identity::Identifier,
    namespace: Namespace,
    channels: ChannelListener,
    _services: Vec<Service>,
}

impl Inner {
    fn start(outer: &Outer, at: &str, strict: bool) -> Self {
        let node = node(strict);
        let namespace = outer.node.enter(name(at), &node).unwrap();
        namespace.open_to(outer.listener.flow());
        let identity = node.ephemeral_identity().unwrap();
        let identifier = *identity.history.identifier();
        let channels = listen(&node, identity);
        let running = services_of(&node);
        let router = node.router();
        for address in [API, name("open")] {
            router.add_consumer(&address, namespace.flow());
        }
        router.add_consumer(&services::ECHO, channels.flow());
        Self {
            node,
            identifier,
            namespace,
            channels,
            _services: running,
        }
    }

    fn mailbox(&self, at: &str, flow: FlowId) -> Mailbox {
        let mailbox = self
            .node
            .router()
            .start_mailbox(&[name(at)], Access::ALLOW_ALL)
            .unwrap();
        self.node.router().add_consumer(&name(at), flow);
        mailbox
    }
}

fn services_of(node: &Node) -> Vec<Service> {
    [services::ECHO, name("open")]
        .map(|at| services::start_echo_for(node, at, Access::ALLOW_ALL).unwrap())
        .into()
}

fn channels(node: &Node) -> ChannelListener {
    listen(node, node.ephemeral_identity().unwrap())
}

fn listen(node: &Node, identity: ockam_channel::LocalIdentity) -> ChannelListener {
    let options = ListenerOptions {
        identity: Arc::new(FixedIdentity::from(identity)),
        authorized: Vec::new(),
        timeout: Duration::from_secs(10),
    };
    node.start_channel_listener(&API, options).unwrap()
}

/// A node with one connection, and a worker for what comes back.
struct Client {
    node: Node,
    connection: Connection,
    mailbox: tokio::sync::Mutex<Mailbox>,
    own: Address,
}

impl Client {
    async fn dial(outer: &Outer) -> Self {
        Self::dial_from(node(false), outer).await
    }

    async fn dial_from(node: Node, outer: &Outer) -> Self {
        let at = outer.listener.address().to_string();
        let connection = node.tcp_connect(&at).await.unwrap();
        let own = node.random_address();
        let mailbox = node
            .router()
            .start_mailbox(std::slice::from_ref(&own), Access::ALLOW_ALL)
            .unwrap();
        node.router().add_consumer(&own, connection.flow());
        Self {
            node,
            connection,
            mailbox: tokio::sync::Mutex::new(mailbox),
            own,
        }
    }

    /// A channel to the listener that `to` names; its peer reaches the mailbox.
    async fn channel(&self, to: &[Address]) -> Result<SecureChannel, crate::ChannelError> {
        let identity = self.node.ephemeral_identity().unwrap();
        let options = ChannelOptions {
            identity: Arc::new(FixedIdentity::from(identity)),
            authorized: Vec::new(),
            timeout: Duration::from_secs(5),
            encryptor: None,
        };
        let mut hops = vec![self.connection.sender().clone()];
        hops.extend_from_slice(to);
        let route = Route::from_hops(hops).unwrap();
        let channel = self.node.create_channel(route, options).await?;
        self.node.router().add_consumer(&self.own, channel.flow());
        Ok(channel)
    }

    /// A channel with an inner node, when that has noticed it too.
    async fn inner_channel(&self, inner: &Inner) -> SecureChannel {
        let channel = self
            .channel(&[inner.namespace.name().clone(), API])
            .await
            .unwrap();
        self.ask_in(&channel, &[services::ECHO], b"hello").await;
        channel
    }

    async fn send(&self, to: &[Address], body: &[u8]) {
        self.send_over(self.connection.sender(), to, body).await;
    }

    async fn send_in(&self, channel: &SecureChannel, to: &[Address], body: &[u8]) {
        self.send_over(channel.encryptor(), to, body).await;
    }

    async fn send_over(&self, way: &Address, to: &[Address], body: &[u8]) {
        let mut hops = vec![way.clone()];
        hops.extend_from_slice(to);
        let onward = Route::from_hops(hops).unwrap();
        let back = Route::from_hops([self.own.clone()]).unwrap();
        let payload = Buffer::from_slice(body);
        let sent = self.node.router().send(&self.own, onward, back, payload);
        sent.await.unwrap();
    }

    async fn ask(&self, to: &[Address], body: &[u8]) -> LocalMessage {
        self.send(to, body).await;
        self.next().await
    }

    async fn ask_in(&self, channel: &SecureChannel, to: &[Address], body: &[u8]) -> LocalMessage {
        self.send_in(channel, to, body).await;
        self.next().await
    }

    async fn next(&self) -> LocalMessage {
        soon(async { self.mailbox.lock().await.recv().await }).await
    }

    /// Whether the next thing that comes is the answer to what is asked now.
    async fn nothing_came(&self, outer: &Outer) -> bool {
        let reachable = outer.listener.flow();
        assert!(
            outer
                .node
                .router()
                .consumed_by(&services::ECHO)
                .contains(&reachable)
        );
        self.ask(&[services::ECHO], b"mark")
            .await
            .payload
            .as_slice()
            == b"mark"
    }

    /// What came before the answer to what is asked now: whence, and how much.
    async fn until_mark(&self, channel: &SecureChannel) -> Option<(String, usize)> {
        self.send_in(channel, &[services::ECHO], b"mark").await;
        let mut came = None;
        loop {
            let message = self.next().await;
            if message.payload.as_slice() == b"mark" {
                return came;
            }
            let from = message.return_route.last().unwrap().to_string();
            came = Some((from, message.payload.len()));
        }
    }
}

/// The address of the connection that the first channel came over.
fn way_of(inner: &Inner) -> Address {
    let channels = inner.node.channels();
    channels[0].route().first().unwrap().to_address()
}

fn node(strict: bool) -> Node {
    Node::new(NodeOptions {
        strict,
        ..NodeOptions::default()
    })
}

fn name(text: &str) -> Address {
    Address::local(text).unwrap()
}

fn refused(node: &Node, reason: &str) -> u64 {
    node.router()
        .refusals()
        .counts()
        .find(|(known, _)| *known == reason)
        .map_or(0, |(_, count)| count)
}

async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(10), what)
        .await
        .expect("it should have happened by now")
}
