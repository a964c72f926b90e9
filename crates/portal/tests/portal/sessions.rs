//! Inlets and relays come back by themselves.

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use ockam_node::services;
use ockam_portal::{Heard, OutletAnswer};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};

use crate::world::{Host, Wire, echo_target, ping_pong, soon};

#[tokio::test]
async fn new_connections_work_within_three_seconds_of_a_killed_relay_being_back() {
    let relay_node = Host::start().await;
    let service = relay_node.relay_service();
    let at = relay_node.listener.address();
    let outlet_node = Host::start().await;
    let _outlet = outlet_node.outlet(echo_target().await);
    let relay = outlet_node.relay(&relay_node.tcp(), "n1");
    soon(relay.connected()).await;
    let inlet_node = Host::start().await;
    let to = format!(
        "{}/service/forward_to_n1/secure/api/service/outlet",
        relay_node.tcp()
    );
    let inlet = inlet_node.inlet(&to).await;
    let mut client = TcpStream::connect(inlet.bound()).await.unwrap();
    soon(ping_pong(&mut client, b"before")).await.unwrap();

    relay_node.listener.close();
    relay_node.node.shutdown().await;
    drop(service);
    drop(relay_node);
    assert!(
        soon(client.read_u8()).await.is_err(),
        "the old connection ends"
    );
    // Long enough for the longest delay between two attempts to be in use at both nodes.
    soon(failures(&inlet, &relay)).await;
    tokio::time::sleep(Duration::from_secs(5)).await;

    let again = Host::start_at(&at.to_string()).await;
    let _service = again.relay_service();
    let back = Instant::now();
    loop {
        let client = TcpStream::connect(inlet.bound()).await;
        let Ok(mut client) = client else { continue };
        if ping_pong(&mut client, b"after").await.is_ok() {
            break;
        }
    }
    let waited = back.elapsed();
    assert!(waited < Duration::from_secs(3), "{waited:?}");
    assert_eq!(inlet.status().session.connects, 2);
    assert_eq!(relay.status().session.connects, 2);
}

#[tokio::test]
async fn client_that_arrives_while_the_way_is_down_is_carried_when_it_is_up() {
    let outlet_node = Host::start().await;
    let at = outlet_node.listener.address();
    let to = format!("{}/secure/api/service/outlet", outlet_node.tcp());
    outlet_node.listener.close();
    outlet_node.node.shutdown().await;
    drop(outlet_node);
    let inlet_node = Host::start().await;
    let inlet = inlet_node.inlet(&to).await;
    let mut client = TcpStream::connect(inlet.bound()).await.unwrap();
    let outlet_node = Host::start_at(&at.to_string()).await;
    let _outlet = outlet_node.outlet(echo_target().await);
    soon(ping_pong(&mut client, b"patience")).await.unwrap();
}

#[tokio::test]
async fn client_is_turned_away_when_the_way_stays_down() {
    let inlet_node = Host::start().await;
    let to = format!(
        "/ip4/127.0.0.1/tcp/{}/service/outlet",
        crate::world::closed_port().port()
    );
    let inlet = inlet_node
        .inlet_with(&to, |options| {
            options.client_patience = Duration::from_millis(300)
        })
        .await;
    let mut client = TcpStream::connect(inlet.bound()).await.unwrap();
    let error = soon(client.read_u8()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    let status = inlet.status();
    assert!(!status.session.up);
    assert!(
        status
            .session
            .last_failure
            .unwrap()
            .contains("cannot connect")
    );
}

#[tokio::test]
async fn silent_node_is_noticed_by_unanswered_pings_and_dialled_again() {
    let host = Host::start().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let to = format!(
        "/ip4/127.0.0.1/tcp/{}/service/outlet",
        listener.local_addr().unwrap().port()
    );
    let inlet = host
        .inlet_with(&to, |options| {
            options.ping_interval = Duration::from_millis(50)
        })
        .await;
    let mut silent = Wire::begin(soon(listener.accept()).await.unwrap().0).await;
    for _ in 0..3 {
        let ping = soon(silent.next_body()).await.unwrap();
        let seen = crate::world::Seen::read(&ping);
        assert_eq!(seen.onward.last().unwrap(), services::ECHO);
    }
    assert_eq!(
        soon(silent.next_body()).await,
        None,
        "the old connection is closed first"
    );
    let mut next = Wire::begin(soon(listener.accept()).await.unwrap().0).await;
    for _ in 0..10 {
        let ping = soon(next.next_body()).await.unwrap();
        let seen = crate::world::Seen::read(&ping);
        next.send(&seen.return_route.to_string(), "echo", &seen.payload)
            .await;
    }
    assert_eq!(inlet.status().session.connects, 2);
}

#[tokio::test]
async fn waiting_client_is_carried_over_the_next_way_when_the_present_one_is_dead() {
    let host = Host::start().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let to = format!(
        "/ip4/127.0.0.1/tcp/{}/service/outlet",
        listener.local_addr().unwrap().port()
    );
    let inlet = host.inlet(&to).await;
    let mut dead = Wire::begin(soon(listener.accept()).await.unwrap().0).await;
    let first = crate::world::Seen::read(&soon(dead.next_body()).await.unwrap());
    dead.send(&first.return_route.to_string(), "echo", &first.payload)
        .await;
    let mut client = TcpStream::connect(inlet.bound()).await.unwrap();
    assert_eq!(
        soon(async {
            loop {
                let seen = crate::world::Seen::read(&dead.next_body().await.unwrap());
                if seen.onward.last().unwrap() != services::ECHO {
                    return seen.payload;
                }
            }
        })
        .await,
        [0]
    );
    // Nothing answers any more: the inlet asks whether the way is alive, and takes another.
    let mut alive = Wire::begin(soon(listener.accept()).await.unwrap().0).await;
    let ping = soon(alive.next()).await;
    assert_eq!(ping.payload, [0]);
    alive.send(&ping.sender(), "rout", &[1]).await;
    alive.send(&ping.sender(), "rout", &[3, 1, b'!']).await;
    assert_eq!(soon(client.read_u8()).await.unwrap(), b'!');
}

#[tokio::test]
async fn stopping_an_inlet_closes_its_connection() {
    let outlet_node = Host::start().await;
    let inlet_node = Host::start().await;
    let to = format!("{}/secure/api/service/outlet", outlet_node.tcp());
    let inlet = inlet_node.inlet(&to).await;
    soon(inlet.connected()).await;
    let bound = inlet.bound();
    inlet.stop().await;
    assert!(
        inlet_node
            .node
            .connections()
            .iter()
            .all(|connection| connection.is_closed())
    );
    assert!(TcpStream::connect(bound).await.is_err());

    let inlet = inlet_node.inlet(&to).await;
    soon(inlet.connected()).await;
    let connections = inlet_node.node.connections();
    drop(inlet);
    for connection in connections {
        soon(connection.closed()).await;
    }
}

/// Waits until both have noticed that the relay node is gone.
async fn failures(inlet: &ockam_portal::Inlet, relay: &ockam_portal::Relay) {
    while inlet.status().session.up || relay.status().session.up {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn an_inlet_that_is_down_knows_how_far_it_came() {
    let inlet_node = Host::start().await;
    let outlet_node = Host::start().await;
    let nobody = crate::world::closed_port().port();
    let there = outlet_node.tcp();
    for (to, expected) in [
        (
            format!("/ip4/127.0.0.1/tcp/{nobody}/secure/api/service/outlet"),
            (0, Heard::Refusal),
        ),
        (
            format!("{there}/service/nobody/secure/api/service/outlet"),
            (3, Heard::Nothing),
        ),
        (
            format!("{there}/secure/api/secure/nobody/service/outlet"),
            (3, Heard::Nothing),
        ),
        ("/service/nobody".to_owned(), (0, Heard::Refusal)),
    ] {
        let inlet = inlet_node.inlet(&to).await;
        soon(async {
            while inlet.status().session.stuck.is_none() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await;
        let stuck = inlet.status().session.stuck.unwrap();
        assert_eq!((stuck.part, stuck.heard), expected, "{to}");
    }
}

#[tokio::test]
async fn an_inlet_tells_what_the_outlet_said_to_the_last_client() {
    let outlet_node = Host::start().await;
    let _outlet = outlet_node.outlet(echo_target().await);
    let _refusing = outlet_node.outlet_with(crate::world::closed_port(), |options| {
        options.address = ockam_wire::Address::from_static("refusing");
    });
    let inlet_node = Host::start().await;
    let to = |outlet: &str| format!("{}/secure/api/service/{outlet}", outlet_node.tcp());
    let inlet = inlet_node.inlet(&to("outlet")).await;
    soon(inlet.connected()).await;
    assert_eq!(inlet.status().outlet, OutletAnswer::NotAsked);
    assert_eq!(inlet.status().peers.len(), 1);
    let mut client = TcpStream::connect(inlet.bound()).await.unwrap();
    soon(ping_pong(&mut client, b"hello")).await.unwrap();
    assert_eq!(inlet.status().outlet, OutletAnswer::Connected);

    let inlet = inlet_node.inlet(&to("refusing")).await;
    soon(inlet.connected()).await;
    let mut client = TcpStream::connect(inlet.bound()).await.unwrap();
    assert!(soon(client.read_u8()).await.is_err());
    assert_eq!(
        inlet.status().outlet,
        OutletAnswer::Failed("the target refused the connection".to_owned())
    );
}
