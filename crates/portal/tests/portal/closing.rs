//! Every way to end reaches the other side as well as the protocol can say it.

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::world::{Host, closed_port, exchange, manual_target, soon};

const PUBLISHED: &str = "/service/outlet";
const STREAMS: &str = "/secure/api/service/outlet";

#[tokio::test]
async fn guard_w20_refused_target_resets_the_client_at_once() {
    for parts in [PUBLISHED, STREAMS] {
        let outlet_node = Host::start().await;
        let outlet = outlet_node.outlet(closed_port());
        let inlet_node = Host::start().await;
        let inlet = inlet_node
            .inlet(&format!("{}{parts}", outlet_node.tcp()))
            .await;
        inlet.connected().await;
        let begun = Instant::now();
        let mut client = TcpStream::connect(inlet.bound()).await.unwrap();
        let error = soon(client.read_u8()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        assert!(begun.elapsed() < Duration::from_secs(1));
        assert_eq!(outlet.activity().refused, 1);
        assert_eq!(inlet.status().activity.refused, 1);
    }
}

#[tokio::test]
async fn stream_half_close_passes_in_both_directions() {
    let mut pair = Pair::open(STREAMS).await;
    pair.client.write_all(b"question").await.unwrap();
    pair.client.shutdown().await.unwrap();
    let mut question = Vec::new();
    soon(pair.target.read_to_end(&mut question)).await.unwrap();
    assert_eq!(question, b"question");
    pair.target.write_all(b"answer").await.unwrap();
    drop(pair.target);
    let mut answer = Vec::new();
    soon(pair.client.read_to_end(&mut answer)).await.unwrap();
    assert_eq!(answer, b"answer");

    let mut pair = Pair::open(STREAMS).await;
    pair.target.write_all(b"greeting").await.unwrap();
    pair.target.shutdown().await.unwrap();
    let mut greeting = Vec::new();
    soon(pair.client.read_to_end(&mut greeting)).await.unwrap();
    assert_eq!(greeting, b"greeting");
    pair.client.write_all(b"farewell").await.unwrap();
    drop(pair.client);
    let mut farewell = Vec::new();
    soon(pair.target.read_to_end(&mut farewell)).await.unwrap();
    assert_eq!(farewell, b"farewell");
}

#[tokio::test]
async fn published_half_close_ends_the_connection_after_what_was_sent() {
    let mut pair = Pair::open(PUBLISHED).await;
    pair.client.write_all(b"question").await.unwrap();
    pair.client.shutdown().await.unwrap();
    let begun = Instant::now();
    let mut question = Vec::new();
    soon(pair.target.read_to_end(&mut question)).await.unwrap();
    assert_eq!(question, b"question");
    assert!(begun.elapsed() < Duration::from_secs(1));
    let mut answer = Vec::new();
    soon(pair.client.read_to_end(&mut answer)).await.unwrap();
    assert!(answer.is_empty());
    let waited = begun.elapsed();
    assert!(
        waited > Duration::from_millis(1800) && waited < Duration::from_secs(4),
        "{waited:?}"
    );
}

#[tokio::test]
async fn reset_of_the_client_resets_the_target_in_streams() {
    let mut pair = Pair::open(STREAMS).await;
    pair.client.set_zero_linger().unwrap();
    drop(pair.client);
    let error = soon(pair.target.read_u8()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);

    let mut pair = Pair::open(STREAMS).await;
    pair.target.set_zero_linger().unwrap();
    drop(pair.target);
    let error = soon(pair.client.read_u8()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn reset_of_the_client_ends_the_target_in_the_published_form() {
    let mut pair = Pair::open(PUBLISHED).await;
    pair.client.set_zero_linger().unwrap();
    drop(pair.client);
    assert_eq!(soon(pair.target.read(&mut [0])).await.unwrap(), 0);
}

#[tokio::test]
async fn stopping_inlet_or_outlet_ends_its_connections() {
    for parts in [PUBLISHED, STREAMS] {
        let mut pair = Pair::open(parts).await;
        pair.inlet.stop().await;
        assert!(matches!(
            soon(pair.target.read(&mut [0])).await,
            Ok(0) | Err(_)
        ));
        assert!(matches!(
            soon(pair.client.read(&mut [0])).await,
            Ok(0) | Err(_)
        ));

        let mut pair = Pair::open(parts).await;
        drop(pair.outlet);
        assert!(matches!(
            soon(pair.client.read(&mut [0])).await,
            Ok(0) | Err(_)
        ));
        assert!(matches!(
            soon(pair.target.read(&mut [0])).await,
            Ok(0) | Err(_)
        ));
    }
}

#[tokio::test]
async fn lost_way_resets_both_ends() {
    for parts in [PUBLISHED, STREAMS] {
        let mut pair = Pair::open(parts).await;
        for connection in pair.inlet_node.node.connections() {
            connection.close();
        }
        assert!(soon(pair.client.read_u8()).await.is_err());
        assert!(soon(pair.target.read_u8()).await.is_err());
    }
}

#[tokio::test]
async fn reset_of_a_client_that_is_held_back_is_noticed() {
    let mut pair = Pair::open(STREAMS).await;
    let chunk = vec![7; 256 * 1024];
    // Until the window of the stream is full.
    let pause = Duration::from_millis(300);
    while tokio::time::timeout(pause, pair.client.write(&chunk))
        .await
        .is_ok()
    {}
    pair.client.set_zero_linger().unwrap();
    drop(pair.client);
    let mut rest = Vec::new();
    let error = soon(pair.target.read_to_end(&mut rest)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn lost_way_ends_a_half_closed_stream() {
    let mut pair = Pair::open(STREAMS).await;
    pair.client.shutdown().await.unwrap();
    assert_eq!(soon(pair.target.read(&mut [0])).await.unwrap(), 0);
    for connection in pair.inlet_node.node.connections() {
        connection.close();
    }
    assert!(soon(pair.client.read_u8()).await.is_err());
    while pair.outlet.activity().connections > 0 {
        tokio::task::yield_now().await;
    }
}

/// A client and a target that are connected.
struct Pair {
    client: TcpStream,
    target: TcpStream,
    inlet: ockam_portal::Inlet,
    outlet: ockam_portal::Outlet,
    inlet_node: Host,
    _outlet_node: Host,
}

impl Pair {
    async fn open(parts: &str) -> Self {
        let outlet_node = Host::start().await;
        let (target, mut accepted) = manual_target().await;
        let outlet = outlet_node.outlet(target);
        let inlet_node = Host::start().await;
        let inlet = inlet_node
            .inlet(&format!("{}{parts}", outlet_node.tcp()))
            .await;
        let client = TcpStream::connect(inlet.bound()).await.unwrap();
        let target = soon(accepted.recv()).await.unwrap();
        Self {
            client,
            target,
            inlet,
            outlet,
            inlet_node,
            _outlet_node: outlet_node,
        }
    }
}

/// A server that is overloaded, or a firewall that swallows: nobody answers.
#[tokio::test]
async fn a_target_that_accepts_nobody_is_given_up_in_time() {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let full = socket.listen(1).unwrap();
    let address = full.local_addr().unwrap();
    let mut waiting = Vec::new();
    let connect = || tokio::time::timeout(Duration::from_millis(200), TcpStream::connect(address));
    while let Ok(client) = connect().await {
        waiting.push(client.unwrap());
    }

    let [near, far] = [Host::start().await, Host::start().await];
    let outlet = far.outlet_with(address, |options| {
        options.connect_timeout = Duration::from_millis(300);
    });
    let to = format!("{}/secure/api/service/outlet", far.tcp());
    let inlet = near.inlet(&to).await;
    soon(inlet.connected()).await;
    soon(exchange(inlet.bound(), b"hello")).await.unwrap_err();
    assert_eq!(outlet.activity().refused, 1);
}
