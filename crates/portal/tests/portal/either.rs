//! Inlets whose outlet may be in one of two places: behind a relay under its own name, or behind a relay of its name.

use std::time::Duration;

use ockam_portal::Inlet;
use ockam_wire::Address;
use tokio::net::TcpStream;

use crate::world::{Allowed, Host, echo_target, manual_target, ping_pong, soon};

const POSTGRES: Address = Address::from_static("postgres");

#[tokio::test]
async fn an_outlet_is_found_behind_the_relay_of_its_name() {
    let relays = Host::start().await;
    let _service = relays.relay_service();
    let database = Host::start().await;
    let _outlet = database.outlet(echo_target().await);
    let relay = database.relay(&relays.tcp(), "postgres");
    soon(relay.connected()).await;
    let inlet = inlet(&relays).await;
    assert_eq!(soon(carried_to(&inlet)).await, "forward_to_postgres");
}

#[tokio::test]
async fn a_node_behind_the_first_relay_without_that_outlet_is_no_outlet() {
    let relays = Host::start().await;
    let _service = relays.relay_service();
    let (web, database) = (Host::start().await, Host::start().await);
    let (target, mut web_clients) = manual_target().await;
    let _web_outlet = web.outlet(target);
    let default = web.relay(&relays.tcp(), "default");
    soon(default.connected()).await;
    let inlet = inlet(&relays).await;
    // Whatever comes up later is found.
    let _outlet = database.outlet(echo_target().await);
    let relay = database.relay(&relays.tcp(), "postgres");
    soon(relay.connected()).await;
    assert_eq!(soon(carried_to(&inlet)).await, "forward_to_postgres");
    assert!(web_clients.try_recv().is_err(), "nobody asked the web");
}

#[tokio::test]
async fn the_outlet_of_that_name_wins_and_each_new_connection_decides_anew() {
    let relays = Host::start().await;
    let _service = relays.relay_service();
    let (first, second) = (Host::start().await, Host::start().await);
    let (target, mut asked) = manual_target().await;
    let _second_outlet = second.outlet(target);
    let second_relay = second.relay(&relays.tcp(), "postgres");
    let outlet = first.outlet_with(echo_target().await, |options| options.address = POSTGRES);
    let first_relay = first.relay(&relays.tcp(), "default");
    soon(async { tokio::join!(first_relay.connected(), second_relay.connected()) }).await;
    let inlet = inlet(&relays).await;
    assert_eq!(soon(carried_to(&inlet)).await, "forward_to_default");
    assert!(asked.try_recv().is_err(), "asking connects nothing");

    drop(outlet);
    first.node.shutdown().await;
    soon(until(|| inlet.status().session.connects == 2)).await;
    assert!(place(&inlet).contains("forward_to_postgres"));
    let _client = TcpStream::connect(inlet.bound()).await.unwrap();
    assert!(soon(asked.recv()).await.is_some());
}

#[tokio::test]
async fn an_outlet_that_denies_is_passed_over_for_one_that_serves() {
    let relays = Host::start().await;
    let _service = relays.relay_service();
    let (first, second) = (Host::start().await, Host::start().await);
    let nobody = Allowed::new(&[]);
    let _first_outlet = first.outlet_with(echo_target().await, |options| {
        options.address = POSTGRES;
        options.guard = Some(nobody);
    });
    let first_relay = first.relay(&relays.tcp(), "default");
    let _second_outlet = second.outlet(echo_target().await);
    let second_relay = second.relay(&relays.tcp(), "postgres");
    soon(async { tokio::join!(first_relay.connected(), second_relay.connected()) }).await;
    let inlet = inlet(&relays).await;
    assert_eq!(soon(carried_to(&inlet)).await, "forward_to_postgres");
}

#[tokio::test]
async fn when_it_is_nowhere_both_places_are_named() {
    let relays = Host::start().await;
    let _service = relays.relay_service();
    let web = Host::start().await;
    let default = web.relay(&relays.tcp(), "default");
    soon(default.connected()).await;
    let inlet = inlet(&relays).await;
    soon(until(|| inlet.status().session.last_failure.is_some())).await;
    let why = inlet.status().session.last_failure.unwrap();
    assert!(why.contains("forward_to_default/secure/api/service/postgres: the node there does not say that it has this outlet"), "{why}");
    assert!(
        why.contains("forward_to_postgres/secure/api/service/outlet: "),
        "{why}"
    );
}

async fn inlet(relays: &Host) -> Inlet {
    let host = Host::start().await;
    let behind = |relay: &str, outlet: &str| {
        let tcp = relays.tcp();
        format!("{tcp}/service/forward_to_{relay}/secure/api/service/{outlet}")
    };
    let or = behind("postgres", "outlet").parse().unwrap();
    let first = behind("default", "postgres");
    host.inlet_with(&first, |options| options.or = Some(or))
        .await
}

/// The relay through which bytes came back.
async fn carried_to(inlet: &Inlet) -> String {
    inlet.connected().await;
    let mut client = TcpStream::connect(inlet.bound()).await.unwrap();
    ping_pong(&mut client, b"which").await.unwrap();
    let place = place(inlet);
    let relay = place
        .split('/')
        .find(|part| part.starts_with("forward_to_"));
    relay.unwrap().to_owned()
}

async fn until(condition: impl Fn() -> bool) {
    while !condition() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn place(inlet: &Inlet) -> String {
    inlet.status().place.unwrap().to_string()
}
