//! Connections that are kept up under one address, and what stands on them.

use std::time::{Duration, Instant};

use ockam_node::services;
use ockam_portal::{KeptConnection, KeptOptions};
use ockam_wire::Address;
use tokio::net::TcpStream;

use crate::world::{Host, Wire, echo_target, exchange, ping_pong, soon};

#[tokio::test]
async fn an_inlet_over_a_kept_channel_is_up_as_soon_as_the_channel_is() {
    let far = Host::start().await;
    let at = far.listener.address();
    let near = Host::start().await;
    let inlet = near.inlet("/service/stable/service/outlet").await;
    // Long enough for the delays of the inlet's session to have grown.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let kept = keep(&near, &format!("{}/secure/api", far.tcp()));
    soon(kept.connected()).await;
    let since = Instant::now();
    soon(inlet.connected()).await;
    assert!(since.elapsed() < Duration::from_millis(500));
    let target = echo_target().await;
    let _outlet = far.outlet(target);
    let mut client = TcpStream::connect(inlet.bound()).await.unwrap();
    soon(ping_pong(&mut client, b"before")).await.unwrap();
    let live = kept.live().expect("it is up");

    far.listener.close();
    far.node.shutdown().await;
    drop(far);
    soon(live.closed()).await;
    let early = tokio::spawn(exchange(inlet.bound(), b"early"));
    tokio::time::sleep(Duration::from_millis(500)).await;
    let far = Host::start_at(&at.to_string()).await;
    let _outlet = far.outlet(target);
    assert_eq!(soon(early).await.unwrap().unwrap(), b"early");
    let live = kept.live().expect("it is up");
    assert_eq!(live.route().to_string(), "0#stable");
    assert_eq!(inlet.status().session.connects, 2);
    assert_eq!(kept.status().connects, 2);

    kept.stop().await;
    assert!(!near.node.router().is_running(&STABLE));
    assert!(kept.live().is_none());
}

#[tokio::test]
async fn a_connection_that_is_there_is_taken_over_and_kept_up() {
    let far = Host::start().await;
    let near = Host::start().await;
    let to = far.tcp().parse().unwrap();
    let first = near.node.connect(&to, near.connect.clone()).await.unwrap();
    let entrance = first.transport().unwrap().sender().clone();
    let options = KeptOptions::new(to, near.connect.clone(), entrance.clone());
    let kept = KeptConnection::start(&near.node, options, Some(first.clone()));
    assert!(kept.status().up);
    first.close().await;
    let again = async {
        while kept.live().is_none_or(|live| live.is_closed()) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    soon(again).await;
    let live = kept.live().expect("it is up");
    assert_eq!(live.transport().unwrap().sender(), &entrance);
    assert_eq!(kept.status().connects, 2);
    assert_eq!(near.node.connections().len(), 1);
    drop(kept);
    soon(live.closed()).await;
}

#[tokio::test]
async fn a_client_that_waits_makes_a_silent_kept_connection_come_back() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let near = Host::start().await;
    let to = format!(
        "/ip4/127.0.0.1/tcp/{}",
        listener.local_addr().unwrap().port()
    );
    let kept = keep(&near, &to);
    let mut first = Wire::begin(soon(listener.accept()).await.unwrap().0).await;
    let ping = first.next_body().await.expect("a ping");
    let ping = crate::world::Seen::read(&ping);
    assert_eq!(ping.onward.last().unwrap(), services::ECHO);
    first
        .send(&ping.return_route.to_string(), "echo", &ping.payload)
        .await;
    let inlet = near
        .inlet_with("/service/stable/service/outlet", |options| {
            options.over = Some(kept.hints());
        })
        .await;
    soon(inlet.connected()).await;
    let since = Instant::now();
    let _client = TcpStream::connect(inlet.bound()).await.unwrap();
    // The first connection stays open and says nothing any more.
    let _second = Wire::begin(soon(listener.accept()).await.unwrap().0).await;
    let waited = since.elapsed();
    assert!(waited < Duration::from_secs(3), "{waited:?}");
}

fn keep(host: &Host, to: &str) -> KeptConnection {
    let options = KeptOptions::new(to.parse().unwrap(), host.connect.clone(), STABLE);
    KeptConnection::start(&host.node, options, None)
}

const STABLE: Address = Address::from_static("stable");
