//! Every way from a client to a service: hops, bridges, relays behind relays and channels inside channels.

use std::time::Duration;

use crate::home::Home;
use crate::portal::Portal;
use crate::process::wait_until;
use crate::traffic::{Target, assert_echo, exchange, noise};
use crate::trial::Trial;

#[test]
fn messages_reach_echo_and_uppercase_with_and_without_a_sending_node() {
    let trial = Trial::beside_others();
    let here = trial.home("here");
    let there = trial.home("there");
    here.ok("node create h");
    there.ok("node create t");
    let route = there.node("t").route();
    for channel in ["", "/secure/api", "/secure/api/secure/api"] {
        for from in ["", "--from h"] {
            let send = |text: &str, service: &str| {
                here.ok(&format!(
                    "message send {text} {from} --to {route}{channel}/service/{service}"
                ))
            };
            assert_eq!(send("Hello", "echo").trim(), "Hello", "{channel} {from}");
            assert_eq!(
                send("grüße", "uppercase").trim(),
                "GRÜSSE",
                "{channel} {from}"
            );
        }
    }
    // The route may begin with a node of the same home, and with the node that sends.
    assert_eq!(
        here.ok("message send hello --to /node/h/service/uppercase"),
        "HELLO"
    );
    assert_eq!(
        here.ok("message send hello --from h --to /service/uppercase"),
        "HELLO"
    );
    assert_eq!(
        here.ok("message send 00ff --hex --from h --to /service/echo"),
        "00ff"
    );
}

#[test]
fn a_message_to_nobody_ends_with_a_time_out() {
    let trial = Trial::beside_others();
    let home = trial.home("home");
    home.ok("node create n");
    let error = home
        .ockam("message send hello --timeout 1s --to /node/n/service/nobody")
        .failure();
    assert!(error.contains("timeout: 1s"), "{error}");
}

#[test]
fn separate_homes_are_joined_by_addresses_alone() {
    let trial = Trial::beside_others();
    let target = Target::echo();
    let relay = trial.home("relay");
    let server = trial.home("server");
    let client = trial.home("client");
    relay.ok("node create r --tcp-listener-address 0.0.0.0:0");
    server.ok("node create s --tcp-listener-address 127.0.0.1:0");
    client.ok("node create c --tcp-listener-address 127.0.0.1:0");
    let at = relay.node("r").route();
    server.ok(&format!(
        "tcp-outlet create box --at s --to {}",
        target.address()
    ));
    assert_eq!(
        server.ok(&format!("relay create --at {at} --to /node/s")),
        "/service/forward_to_default"
    );
    let pinned = server.ok("identity show");
    for to in [
        format!("{at}/service/forward_to_default/secure/api/service/box"),
        // The server itself listens too.
        format!("{}/secure/api/service/box", server.node("s").route()),
        format!(
            "/dnsaddr/localhost/tcp/{}/secure/api/service/box",
            server.node("s").port
        ),
        // Without a channel.
        format!("{}/service/box", server.node("s").route()),
    ] {
        let inlet = client.ok(&format!(
            "tcp-inlet create --at c --to {to} --authorized {pinned}"
        ));
        if to.contains("/secure/") {
            assert_echo(inlet.parse().unwrap());
        }
    }
    // An identity that is not the pinned one is refused.
    let other = relay.ok("identity show");
    let inlet = client.ok(&format!(
        "tcp-inlet create pinned --at c --no-connection-wait --authorized {other} --to {at}/service/forward_to_default/secure/api/service/box"
    ));
    // Nothing listens before the first answer of the far side, or what listens gives nothing.
    if let Ok(inlet) = inlet.parse() {
        assert!(exchange(inlet, b"hello", Duration::from_secs(2)).is_err());
    }
    // A channel made beforehand, by its address.
    let channel = client.ok(&format!(
        "secure-channel create --from c --to {at}/service/forward_to_default/service/api --authorized {pinned}"
    ));
    let inlet = client.ok(&format!(
        "tcp-inlet create --at c --to {channel}/service/box"
    ));
    assert_echo(inlet.parse().unwrap());
}

#[test]
fn hops_are_stepped_through_one_by_one() {
    let trial = Trial::beside_others();
    let target = Target::echo();
    let home = trial.home("home");
    home.ok("node create n1");
    home.ok("node create n2");
    home.ok("service start hop --at n1");
    home.ok("service start hop --at n1 --addr hop2");
    home.ok(&format!(
        "tcp-outlet create --at n1 --to {}",
        target.address()
    ));
    let hops = "/service/hop/service/hop2/service/hop";
    assert_eq!(
        home.ok(&format!(
            "message send hello --to /node/n1{hops}/service/uppercase"
        )),
        "HELLO"
    );
    assert_eq!(
        home.ok(&format!(
            "message send hello --from n2 --to /node/n1{hops}/secure/api/service/uppercase"
        )),
        "HELLO"
    );
    let inlet = home.ok(&format!(
        "tcp-inlet create --at n2 --to /node/n1{hops}/secure/api/service/outlet"
    ));
    assert_echo(inlet.parse().unwrap());
}

/// The client reaches only the first node, which has a connection to the second.
#[test]
fn a_node_bridges_to_another_one() {
    let trial = Trial::beside_others();
    let target = Target::echo();
    let near = trial.home("near");
    let far = trial.home("far");
    let client = trial.home("client");
    near.ok("node create near");
    far.ok("node create far");
    client.ok("node create client");
    near.ok("service start hop --at near");
    far.ok(&format!(
        "tcp-outlet create --at far --to {}",
        target.address()
    ));
    let connect = |home: &Home, from: &str, port: u16| {
        let address = home.ok(&format!(
            "tcp-connection create --from {from} --to 127.0.0.1:{port}"
        ));
        assert!(address.starts_with("/worker/"), "{address}");
        address
    };
    let bridge = connect(&near, "near", far.node("far").port);
    assert_eq!(
        near.ok(&format!(
            "message send hello --from near --to {bridge}/service/uppercase"
        )),
        "HELLO"
    );
    let first = connect(&client, "client", near.node("near").port);
    let at = near.node("near").route();
    for way in [
        format!("{first}/service/hop{bridge}"),
        format!("{at}/service/hop{bridge}"),
        format!("{first}/service/hop{bridge}/secure/api"),
        format!("{at}/service/hop{bridge}/secure/api"),
    ] {
        assert_eq!(
            client.ok(&format!(
                "message send hello --from client --to {way}/service/uppercase"
            )),
            "HELLO",
            "{way}"
        );
        let inlet = client.ok(&format!(
            "tcp-inlet create --at client --to {way}/service/outlet"
        ));
        assert_large_echo(&inlet);
    }
}

#[test]
fn a_relay_behind_a_relay_is_reached_through_both() {
    let trial = Trial::beside_others();
    let target = Target::echo();
    let [outer, inner, server, client] = ["outer", "inner", "server", "client"].map(|name| {
        let home = trial.home(name);
        home.ok(&format!("node create {name}"));
        home
    });
    let at = outer.node("outer").route();
    server.ok(&format!(
        "tcp-outlet create --at server --to {}",
        target.address()
    ));
    assert_eq!(
        inner.ok(&format!("relay create inner --at {at} --to inner")),
        "/service/forward_to_inner"
    );
    // What a node dialled leads to its relay service only inside a channel.
    let way = format!("{at}/service/forward_to_inner/secure/api");
    assert_eq!(
        server.ok(&format!("relay create behind --at {way} --to server")),
        "/service/forward_to_behind"
    );
    for to in [
        format!("{way}/service/forward_to_behind/secure/api"),
        format!(
            "{at}/secure/api/service/forward_to_inner/secure/api/service/forward_to_behind/secure/api"
        ),
    ] {
        assert_eq!(
            client.ok(&format!("message send hello --to {to}/service/uppercase")),
            "HELLO",
            "{to}"
        );
        let inlet = client.ok(&format!(
            "tcp-inlet create --at client --to {to}/service/outlet"
        ));
        assert_large_echo(&inlet);
    }
}

#[test]
fn channels_run_inside_channels() {
    let trial = Trial::beside_others();
    let target = Target::echo();
    let portal = Portal::open(&trial, target.address());
    let at = portal.relay_node().route();
    for to in [
        format!("{at}/secure/api/service/forward_to_server/secure/api"),
        format!("{at}/service/forward_to_server/secure/api/secure/api"),
        format!(
            "{at}/secure/api/secure/api/secure/api/service/forward_to_server/secure/api/secure/api"
        ),
    ] {
        let inlet = portal.client.ok(&format!(
            "tcp-inlet create --at client --to {to}/service/outlet"
        ));
        assert_large_echo(&inlet);
    }
    // The same, step by step with channels that have addresses.
    let create = |to: &str| {
        portal
            .client
            .ok(&format!("secure-channel create --from client --to {to}"))
    };
    let outer = create(&format!("{at}/service/api"));
    let middle = create(&format!("{outer}/service/forward_to_server/service/api"));
    let inner = create(&format!("{middle}/service/api"));
    let inlet = portal.client.ok(&format!(
        "tcp-inlet create --at client --to {inner}/service/outlet"
    ));
    assert_large_echo(&inlet);
}

#[test]
fn a_relay_through_a_channel_serves_clients_with_and_without_one() {
    let trial = Trial::beside_others();
    let target = Target::echo();
    let portal = Portal::open(&trial, target.address());
    let at = portal.relay_node().route();
    assert_eq!(
        portal.server.ok(&format!(
            "relay create sealed --at {at}/secure/api --to server"
        )),
        "/service/forward_to_sealed"
    );
    for to in [
        format!("{at}/service/forward_to_sealed/secure/api/service/outlet"),
        format!("{at}/secure/api/service/forward_to_sealed/secure/api/service/outlet"),
    ] {
        let inlet = portal
            .client
            .ok(&format!("tcp-inlet create --at client --to {to}"));
        assert_large_echo(&inlet);
    }
}

/// What was deleted is not reachable any more, what was not still is.
#[test]
fn what_is_deleted_is_gone_at_once() {
    let trial = Trial::beside_others();
    let target = Target::echo();
    let portal = Portal::open(&trial, target.address());
    let other = portal.add("other", target.address());
    assert_echo(other);
    portal
        .server
        .ok("tcp-outlet delete other --at server --yes");
    assert!(exchange(other, b"hello", Duration::from_secs(5)).is_err());
    assert_echo(portal.inlet);
    portal.server.ok("relay delete server --at server --yes");
    wait_until("the relay is gone", Duration::from_secs(5), || {
        exchange(portal.inlet, b"hello", Duration::from_millis(500)).is_err()
    });
    let up = |home: &Home, list: &str| home.json(list).as_array().unwrap().len();
    assert_eq!(up(&portal.server, "relay list --to server"), 0);
    assert_eq!(up(&portal.server, "tcp-outlet list --at server"), 1);
}

/// More than one chunk, so that buffers with much header in front meet full ones.
fn assert_large_echo(inlet: &str) {
    let sent = noise(9, 3_000_000);
    let address = inlet
        .parse()
        .unwrap_or_else(|_| panic!("not an address: {inlet}"));
    let stream = crate::traffic::connect(address, Duration::from_secs(30)).unwrap();
    let (mut reader, mut writer) = (stream.try_clone().unwrap(), stream);
    let expected = sent.clone();
    let sending = std::thread::spawn(move || std::io::Write::write_all(&mut writer, &sent));
    let mut received = vec![0; expected.len()];
    std::io::Read::read_exact(&mut reader, &mut received).unwrap();
    assert!(received == expected);
    sending.join().unwrap().unwrap();
}
