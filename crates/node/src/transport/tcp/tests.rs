use std::time::Duration;

use ockam_wire::{Address, Buffer, Route};
use tokio::net::TcpStream;

use std::sync::atomic::Ordering;

use super::*;
use crate::access::Access;
use crate::node::{Limits, NodeOptions};
use crate::router::{Delivery, End, Inline, SendError};
use crate::services;

#[tokio::test]
async fn guard_w03_connections_of_both_sides_are_kept_alive() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (accepted, connected) = tokio::join!(listener.accept(), TcpStream::connect(address));
    for stream in [accepted.unwrap().0, connected.unwrap()] {
        configure(&stream).unwrap();
        let socket = SockRef::from(&stream);
        assert!(socket.keepalive().unwrap());
        assert_eq!(
            socket.tcp_keepalive_time().unwrap(),
            Duration::from_secs(60)
        );
    }
}

#[tokio::test]
async fn read_that_leaves_room_is_known_to_have_emptied_the_socket() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (accepted, connected) = tokio::join!(listener.accept(), TcpStream::connect(address));
    let (mut reading, _writing) = accepted.unwrap().0.into_split();
    let mut peer = connected.unwrap();
    let mut read = Vec::with_capacity(8);
    assert_eq!(read_now(&mut reading, &mut read).await.unwrap(), None);

    peer.write_all(b"123456789abc").await.unwrap();
    reading.readable().await.unwrap();
    let full = read_now(&mut reading, &mut (&mut read).limit(8)).await;
    assert_eq!(full.unwrap(), Some(8));
    // It filled the room: more may be there.
    reading.readable().await.unwrap();
    let rest = read_now(&mut reading, &mut (&mut read).limit(8)).await;
    assert_eq!(rest.unwrap(), Some(4));
    assert_eq!(read, b"123456789abc");
    let more = timeout(Duration::ZERO, reading.readable()).await;
    assert!(
        more.is_err(),
        "no call has to find out that nothing is there"
    );

    drop(peer);
    reading.readable().await.unwrap();
    assert_eq!(read_now(&mut reading, &mut read).await.unwrap(), Some(0));
}

#[tokio::test]
async fn echo_answers_over_tcp() {
    let (server, listener, _echo) = server(Limits::default()).await;
    let client = Node::new(NodeOptions::default());
    let connection = client
        .tcp_connect(&listener.address().to_string())
        .await
        .unwrap();
    assert_eq!(ask(&client, connection.sender(), b"hello").await, b"hello");
    assert_eq!(server.connections().len(), 1);
    connection.close();
    server_has_no_connection(&server).await;
}

#[tokio::test]
async fn who_connects_before_a_listener_is_open_is_served_when_it_is() {
    let server = Node::new(NodeOptions::default());
    let listener = server.tcp_bind("127.0.0.1:0").await.unwrap();
    let address = listener.address().to_string();
    let client = Node::new(NodeOptions::default());
    let connecting = tokio::spawn({
        let client = client.clone();
        async move { client.tcp_connect(&address).await }
    });
    // Connected as the kernel sees it, and silent.
    let mut stream = TcpStream::connect(listener.address()).await.unwrap();
    stream.write_all(&[1]).await.unwrap();
    assert!(server.connections().is_empty());
    let echo = services::start_echo(&server, services::ECHO).unwrap();
    server
        .router()
        .add_consumer(echo.address(), listener.flow());
    listener.open();
    let connection = connecting.await.unwrap().unwrap();
    assert_eq!(ask(&client, connection.sender(), b"hello").await, b"hello");

    listener.close();
    listener.open();
    assert!(listener.is_closed());
}

#[tokio::test]
async fn a_listener_without_a_handle_goes_on() {
    let server = Node::new(NodeOptions::default());
    let address = {
        let listener = server.tcp_listen("127.0.0.1:0").await.unwrap();
        listener.address().to_string()
    };
    tokio::task::yield_now().await;
    let client = Node::new(NodeOptions::default());
    client.tcp_connect(&address).await.unwrap();
}

#[tokio::test]
async fn published_frames_get_the_published_answer() {
    // spec: messaging 11.3 V15
    let (_server, listener, _echo) = server(Limits::default()).await;
    let mut stream = TcpStream::connect(listener.address()).await.unwrap();
    let frame = [
        &[0, 0, 0, 23][..],
        &unhex("83818200446563686f81820043617070460568656c6c6f"),
    ]
    .concat();
    stream
        .write_all(&[&[1][..], &frame].concat())
        .await
        .unwrap();
    let mut answer = vec![0; 1 + 4 + 23];
    stream.read_exact(&mut answer).await.unwrap();
    let expected = [
        &[1, 0, 0, 0, 23][..],
        &unhex("8381820043617070818200446563686f460568656c6c6f"),
    ]
    .concat();
    assert_eq!(answer, expected);
}

#[tokio::test]
async fn heartbeat_is_ignored_and_garbage_closes_only_its_connection() {
    // spec: messaging 11.3 V16
    let (server, listener, _echo) = server(Limits::default()).await;
    let good = Node::new(NodeOptions::default());
    let connection = good
        .tcp_connect(&listener.address().to_string())
        .await
        .unwrap();
    let mut stream = TcpStream::connect(listener.address()).await.unwrap();
    stream
        .write_all(&unhex("010000000483808040"))
        .await
        .unwrap();
    stream.write_all(&unhex("00000001ff")).await.unwrap();
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).await.unwrap();
    assert_eq!(rest, [1], "the preamble and nothing else");
    assert_eq!(
        ask(&good, connection.sender(), b"still here").await,
        b"still here"
    );
    drop(server);
}

#[tokio::test]
async fn wrong_preamble_closes_the_connection() {
    let (_server, listener, _echo) = server(Limits::default()).await;
    let mut stream = TcpStream::connect(listener.address()).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let mut rest = Vec::new();
    // The kernel may report the unread request as a reset.
    drop(stream.read_to_end(&mut rest).await);
    assert!(rest.len() <= 1);
    let client = Node::new(NodeOptions::default());
    let not_a_node = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = not_a_node.local_addr().unwrap().to_string();
    let answering = tokio::spawn(async move {
        let (mut stream, _) = not_a_node.accept().await.unwrap();
        stream.write_all(b"SSH-2.0").await.unwrap();
    });
    let error = client.tcp_connect(&address).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    answering.await.unwrap();
}

#[tokio::test]
async fn clients_that_connect_at_the_same_moment_do_not_wait_for_each_other() {
    let (_server, listener, _echo) = server(Limits::default()).await;
    // Nothing is accepted meanwhile: this test does not give the only thread away.
    let mut held = Vec::new();
    for _ in 0..1000 {
        let patience = Duration::from_millis(500);
        held.push(std::net::TcpStream::connect_timeout(&listener.address(), patience).unwrap());
    }
}

#[tokio::test]
async fn guard_w02_oldest_silent_connection_makes_room_and_speaking_ones_stay() {
    let limits = Limits {
        unproven_connections: 3,
        ..Limits::default()
    };
    let (_server, listener, _echo) = server(limits).await;
    let client = Node::new(NodeOptions::default());
    let speaking = client
        .tcp_connect(&listener.address().to_string())
        .await
        .unwrap();
    assert_eq!(ask(&client, speaking.sender(), b"a").await, b"a");
    let mut silent = Vec::new();
    for _ in 0..10 {
        silent.push(TcpStream::connect(listener.address()).await.unwrap());
    }
    let mut oldest = silent.remove(0);
    let mut rest = Vec::new();
    drop(oldest.read_to_end(&mut rest).await);
    assert_eq!(ask(&client, speaking.sender(), b"b").await, b"b");
    let late = Node::new(NodeOptions::default());
    let connection = late
        .tcp_connect(&listener.address().to_string())
        .await
        .unwrap();
    assert_eq!(ask(&late, connection.sender(), b"c").await, b"c");
}

#[tokio::test]
async fn guard_w02_silent_connections_of_one_source_are_few() {
    let limits = Limits {
        unproven_connections_per_source: 2,
        ..Limits::default()
    };
    let (server, listener, _echo) = server(limits).await;
    let mut silent = Vec::new();
    for _ in 0..10 {
        let mut stream = TcpStream::connect(listener.address()).await.unwrap();
        stream.write_all(&[1]).await.unwrap();
        assert_eq!(stream.read_u8().await.unwrap(), 1);
        silent.push(stream);
    }
    let mut rest = Vec::new();
    for stream in &mut silent[..8] {
        drop(stream.read_to_end(&mut rest).await);
    }
    timeout(Duration::from_secs(5), async {
        while server.connections().len() > 2 {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn guard_w09_message_whose_return_route_is_full_is_refused_and_counted() {
    let (server, listener, _echo) = server(Limits::default()).await;
    let client = Node::new(NodeOptions::default());
    let connection = client
        .tcp_connect(&listener.address().to_string())
        .await
        .unwrap();
    let own = Address::from_static("own");
    let onward = Route::from_hops([connection.sender().clone(), services::ECHO]).unwrap();
    let back = Route::from_hops(vec![own.clone(); 32]).unwrap();
    client
        .router()
        .send(&own, onward, back, Buffer::from_slice(b"x"))
        .await
        .unwrap();
    assert_eq!(ask(&client, connection.sender(), b"y").await, b"y");
    let counted = server.router().refusals().counts();
    let counted: Vec<_> = counted.filter(|(_, count)| *count > 0).collect();
    assert_eq!(counted, [("chain too long", 1)]);
}

#[tokio::test]
async fn guard_w01_worker_that_was_not_opened_is_not_reached() {
    let (server, listener, _echo) = server(Limits::default()).await;
    let mut hidden = server
        .router()
        .start_mailbox(&[Address::from_static("hidden")], Access::ALLOW_ALL)
        .unwrap();
    let client = Node::new(NodeOptions::default());
    let connection = client
        .tcp_connect(&listener.address().to_string())
        .await
        .unwrap();
    let own = Address::from_static("own");
    let onward =
        Route::from_hops([connection.sender().clone(), Address::from_static("hidden")]).unwrap();
    let back = Route::from_hops([own.clone()]).unwrap();
    client
        .router()
        .send(&own, onward, back, Buffer::from_slice(b"x"))
        .await
        .unwrap();
    // A later message on the same connection is answered, so the first has been handled.
    assert_eq!(ask(&client, connection.sender(), b"y").await, b"y");
    assert!(timeout(Duration::ZERO, hidden.recv()).await.is_err());
}

#[tokio::test]
async fn guard_w36_panic_of_a_worker_ends_only_the_connection_that_provoked_it() {
    struct Broken;
    impl Inline for Broken {
        fn end(&self) -> End {
            End::Opens
        }
        fn handle(&self, _: &mut Delivery<'_>) -> Result<(), SendError> {
            panic!("provoked by a test")
        }
    }
    let (server, listener, _echo) = server(Limits::default()).await;
    let broken = Address::from_static("broken");
    let _guard = server
        .router()
        .start_inline(&broken, Arc::new(Broken), Access::ALLOW_ALL)
        .unwrap();
    server.router().add_consumer(&broken, listener.flow());
    let (victim, other) = (
        Node::new(NodeOptions::default()),
        Node::new(NodeOptions::default()),
    );
    let address = listener.address().to_string();
    let provoking = victim.tcp_connect(&address).await.unwrap();
    let quiet = other.tcp_connect(&address).await.unwrap();
    let own = Address::from_static("own");
    let onward = Route::from_hops([provoking.sender().clone(), broken]).unwrap();
    let back = Route::from_hops([own.clone()]).unwrap();
    victim
        .router()
        .send(&own, onward, back, Buffer::from_slice(b"x"))
        .await
        .unwrap();
    provoking.closed().await;
    assert_eq!(ask(&other, quiet.sender(), b"y").await, b"y");
    let again = victim.tcp_connect(&address).await.unwrap();
    assert_eq!(ask(&victim, again.sender(), b"z").await, b"z");
}

#[tokio::test]
async fn flood_of_messages_that_go_nowhere_does_not_starve_other_connections() {
    let (_server, listener, _echo) = server(Limits::default()).await;
    let client = Node::new(NodeOptions::default());
    let address = listener.address();
    let connection = client.tcp_connect(&address.to_string()).await.unwrap();
    let done = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let (began, begun) = tokio::sync::oneshot::channel();
    std::thread::spawn({
        let done = done.clone();
        move || {
            use std::io::Write;
            let mut stream = std::net::TcpStream::connect(address).unwrap();
            stream.write_all(&[1]).unwrap();
            let heartbeats = unhex("0000000483808040").repeat(8192);
            stream.write_all(&heartbeats).unwrap();
            began.send(()).unwrap();
            let until = std::time::Instant::now() + Duration::from_secs(6);
            while !done.load(Ordering::Relaxed) && std::time::Instant::now() < until {
                stream.write_all(&heartbeats).unwrap();
            }
        }
    });
    let started = std::time::Instant::now();
    begun.await.unwrap();
    for _ in 0..20 {
        assert_eq!(ask(&client, connection.sender(), b"x").await, b"x");
    }
    let took = started.elapsed();
    done.store(true, Ordering::Relaxed);
    assert!(took < Duration::from_secs(4), "took {took:?}");
}

#[tokio::test]
async fn what_was_sent_before_the_end_still_arrives() {
    let (server, listener, _echo) = server(Limits::default()).await;
    let sink = Address::from_static("sink");
    let mut mailbox = server
        .router()
        .start_mailbox(std::slice::from_ref(&sink), Access::ALLOW_ALL)
        .unwrap();
    server.router().add_consumer(&sink, listener.flow());
    let client = Node::new(NodeOptions::default());
    for _ in 0..20 {
        let address = listener.address().to_string();
        let connection = client.tcp_connect(&address).await.unwrap();
        let own = Address::from_static("own");
        let onward = Route::from_hops([connection.sender().clone(), sink.clone()]).unwrap();
        let body = Buffer::from_slice(b"last words");
        client
            .router()
            .send(&own, onward, Route::new(), body)
            .await
            .unwrap();
        connection.close();
        let received = timeout(Duration::from_secs(5), mailbox.recv()).await;
        assert_eq!(received.unwrap().payload.as_slice(), b"last words");
    }
}

#[test]
fn a_reader_whose_turn_is_over_gives_way_and_goes_on() {
    let (ended, ends) = std::sync::mpsc::channel();
    // In a thread of its own: one that never gives way would never be interrupted.
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        ended.send(runtime.block_on(read_after_its_turn())).unwrap();
    });
    let read = ends.recv_timeout(Duration::from_secs(30));
    read.expect("the reader gives way").unwrap();
}

/// Reads to the end of a connection, in a task that has used up its turn when it begins.
async fn read_after_its_turn() -> io::Result<()> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let mut peer = TcpStream::connect(listener.local_addr()?).await?;
    peer.write_all(&unhex("0000000483808040")).await?;
    drop(peer);
    let (reading, _writing) = listener.accept().await?.0.into_split();
    reading.readable().await?;
    let node = Node::new(NodeOptions::default());
    let attach = Attach {
        transport: "TCP",
        peer: String::new(),
        sender: None,
        accepted: None,
        message_limit: frame::MAX_FRAME,
        queue_bytes: QUEUE_BYTES,
    };
    let (inbound, _outbound) = node.attach(attach).unwrap();
    while tokio::task::coop::has_budget_remaining() {
        tokio::task::coop::consume_budget().await;
    }
    read(reading, inbound, Unfinished::new(&node, None)).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_messages_written_ahead_keep_their_place_among_small_ones() {
    let (server, listener, _echo) = server(Limits::default()).await;
    let sink = Address::from_static("sink");
    let mut mailbox = server
        .router()
        .start_mailbox(std::slice::from_ref(&sink), Access::ALLOW_ALL)
        .unwrap();
    server.router().add_consumer(&sink, listener.flow());
    let client = Node::new(NodeOptions::default());
    let address = listener.address().to_string();
    let connection = client.tcp_connect(&address).await.unwrap();
    let own = Address::from_static("own");
    let sizes = [8, 200_000, 40_000, 8, 8, 300_000, 33_000];
    let sending = tokio::spawn({
        let (client, connection) = (client.clone(), connection.clone());
        async move {
            for number in 0..200_u64 {
                let onward =
                    Route::from_hops([connection.sender().clone(), Address::from_static("sink")]);
                let mut body = vec![0; sizes[number as usize % sizes.len()]];
                body[..8].copy_from_slice(&number.to_be_bytes());
                let sent = client.router().send(
                    &own,
                    onward.unwrap(),
                    Route::new(),
                    Buffer::from_slice(&body),
                );
                sent.await.unwrap();
            }
        }
    });
    let mut bytes = 0;
    for number in 0..200_u64 {
        let received = timeout(Duration::from_secs(30), mailbox.recv())
            .await
            .unwrap();
        let body = received.payload.as_slice();
        assert_eq!(body[..8], number.to_be_bytes());
        assert_eq!(body.len(), sizes[number as usize % sizes.len()]);
        bytes += body.len() as u64;
    }
    sending.await.unwrap();
    // What was written ahead is counted like what was queued.
    assert!((bytes..bytes + 200 * 100).contains(&connection.sent_bytes()));
}

#[tokio::test]
async fn guard_w02_unfinished_frames_of_all_connections_share_one_budget() {
    let limits = Limits {
        unfinished_frames: 3 * 1024 * 1024,
        ..Limits::default()
    };
    let (_server, listener, _echo) = server(limits).await;
    let mut held = Vec::new();
    for _ in 0..8 {
        let mut stream = TcpStream::connect(listener.address()).await.unwrap();
        let begun = [&[1][..], &(8_u32 << 20).to_be_bytes(), &[0; 1 << 20]].concat();
        // A connection that was closed may refuse the rest.
        drop(stream.write_all(&begun).await);
        held.push(stream);
    }
    let mut closed = 0;
    for stream in &mut held {
        let mut rest = Vec::new();
        let end = timeout(Duration::from_millis(200), stream.read_to_end(&mut rest)).await;
        closed += usize::from(end.is_ok());
    }
    assert!((4..=6).contains(&closed), "{closed} of 8 were closed");
    let client = Node::new(NodeOptions::default());
    let address = listener.address().to_string();
    let connection = client.tcp_connect(&address).await.unwrap();
    assert_eq!(ask(&client, connection.sender(), b"x").await, b"x");
}

#[tokio::test]
async fn frames_that_are_never_completed_give_way_to_those_that_are() {
    let limits = Limits {
        unfinished_frames_per_source: 4,
        ..Limits::default()
    };
    let (_server, listener, _echo) = server(limits).await;
    let mut held = Vec::new();
    for _ in 0..20 {
        let mut stream = TcpStream::connect(listener.address()).await.unwrap();
        let begun = [&[1][..], &(1_u32 << 20).to_be_bytes(), &[0; 100_000]].concat();
        drop(stream.write_all(&begun).await);
        held.push(stream);
    }
    let client = Node::new(NodeOptions::default());
    let address = listener.address().to_string();
    let connection = client.tcp_connect(&address).await.unwrap();
    let large = vec![7; 1 << 20];
    let answer = timeout(
        Duration::from_secs(15),
        ask(&client, connection.sender(), &large),
    );
    assert_eq!(answer.await.unwrap(), large);
}

#[tokio::test]
async fn stream_of_frames_keeps_its_place_while_others_wait() {
    let limits = Limits {
        unfinished_frames_per_source: 1,
        ..Limits::default()
    };
    let (_server, listener, _echo) = server(limits).await;
    let client = Node::new(NodeOptions::default());
    let address = listener.address().to_string();
    let busy = client.tcp_connect(&address).await.unwrap();
    let mut waiting = Vec::new();
    let large = vec![7; 100_000];
    let until = std::time::Instant::now() + Duration::from_secs(4);
    while std::time::Instant::now() < until {
        let mut stream = TcpStream::connect(listener.address()).await.unwrap();
        stream.write_all(&[1, 0, 0, 1, 0, 0x83]).await.unwrap();
        waiting.push(stream);
        let answer = timeout(Duration::from_secs(10), ask(&client, busy.sender(), &large));
        assert_eq!(answer.await.unwrap(), large);
    }
    assert!(!busy.is_closed());
}

async fn server(limits: Limits) -> (Node, TcpListener, services::Service) {
    let node = Node::new(NodeOptions {
        limits,
        ..NodeOptions::default()
    });
    let echo = services::start_echo(&node, services::ECHO).unwrap();
    let listener = node.tcp_listen("127.0.0.1:0").await.unwrap();
    assert!(node.router().add_consumer(&services::ECHO, listener.flow()));
    (node, listener, echo)
}

async fn ask(node: &Node, first: &Address, body: &[u8]) -> Vec<u8> {
    let own = node.random_address();
    let mut mailbox = node
        .router()
        .start_mailbox(std::slice::from_ref(&own), Access::ALLOW_ALL)
        .unwrap();
    let onward = Route::from_hops([first.clone(), services::ECHO]).unwrap();
    let flow = node.router().producer_behind(&onward).unwrap().id;
    node.router().add_consumer(&own, flow);
    let back = Route::from_hops([own.clone()]).unwrap();
    node.router()
        .send(&own, onward, back, Buffer::from_slice(body))
        .await
        .unwrap();
    mailbox.recv().await.payload.as_slice().to_vec()
}

async fn server_has_no_connection(server: &Node) {
    timeout(Duration::from_secs(5), async {
        while !server.connections().is_empty() {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("the server notices that the connection was closed");
}

fn unhex(text: &str) -> Vec<u8> {
    text.as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}
