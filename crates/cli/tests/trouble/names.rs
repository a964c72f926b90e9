//! Names that lead somewhere else than they did before.

use std::time::Duration;

use crate::home::{Home, Node};
use crate::process::wait_until;
use crate::traffic::{Target, assert_echo, exchange};
use crate::trial::Trial;

#[test]
fn an_inlet_a_channel_and_a_relay_follow_a_node_that_listens_elsewhere() {
    let trial = Trial::beside_others();
    let home = trial.home("home");
    let target = Target::echo();
    let outlet = format!("tcp-outlet create --at server --to {}", target.address());
    home.ok("node create client");
    home.ok("node create server");
    home.ok(&outlet);
    let direct: std::net::SocketAddr = home
        .ok("tcp-inlet create direct --at client --to /node/server/secure/api/service/outlet")
        .parse()
        .unwrap();
    let channel = home.ok("secure-channel create --from client --to /node/server/service/api");
    let over: std::net::SocketAddr = home
        .ok(&format!(
            "tcp-inlet create over --at client --to {channel}/service/outlet"
        ))
        .parse()
        .unwrap();
    home.ok("relay create c --at /node/server --to client");
    assert_echo(direct);
    assert_echo(over);

    let before = home.node("server").port;
    home.ok("node delete server --yes");
    // Nobody else takes the old port, so that the new one is another.
    let held = std::net::TcpListener::bind(("127.0.0.1", before)).unwrap();
    let failure = || home.json("tcp-inlet show direct --at client")["last_failure"].clone();
    wait_until("the inlet knows that there is no such node", LONG, || {
        failure()
            .as_str()
            .is_some_and(|why| why.contains("There is no node with name server"))
    });
    home.ok("node create server");
    home.ok(&outlet);
    let now = home.node("server");
    assert_ne!(now.port, before);
    for inlet in [direct, over] {
        wait_until("the inlet has found the node again", LONG, || {
            exchange(inlet, b"?", Duration::from_secs(1)).is_ok()
        });
        assert_echo(inlet);
    }
    let place = format!("{}/secure/api/service/outlet", now.route());
    let inlet = home.json("tcp-inlet show direct --at client");
    assert_eq!(inlet["outlet_addr"], place.as_str());
    wait_until("the relay is registered at the new place", LONG, || {
        let relay = home.json("relay show c --at client");
        relay["connection_status"] == "Up" && relay["destination"] == now.route().as_str()
    });
    drop(held);
}

/// What is restored looks for its node when it needs it.
#[test]
fn an_inlet_is_restored_before_the_node_it_leads_to_is_there() {
    let trial = Trial::beside_others();
    let home = trial.home("home");
    let target = Target::echo();
    home.ok("node create client");
    home.ok("node create server");
    let inlet = home
        .ok("tcp-inlet create i --at client --to /node/server/secure/api/service/outlet")
        .parse()
        .unwrap();
    home.ok("node stop client");
    home.ok("node delete server --yes");
    home.ok("node start client");
    home.ok("node create server");
    home.ok(&format!(
        "tcp-outlet create --at server --to {}",
        target.address()
    ));
    wait_until("the inlet has found the node", LONG, || {
        exchange(inlet, b"?", Duration::from_secs(1)).is_ok()
    });
}

/// A client knows the port; whoever took it while the node was stopped gives it back some time.
#[test]
fn a_restored_inlet_waits_for_its_port() {
    let trial = Trial::beside_others();
    let home = trial.home("home");
    let target = Target::echo();
    home.ok("node create n");
    home.ok(&format!(
        "tcp-outlet create --at n --to {}",
        target.address()
    ));
    let inlet: std::net::SocketAddr = home
        .ok("tcp-inlet create i --at n --to /service/outlet")
        .parse()
        .unwrap();
    home.ok("node stop n");
    let held = std::net::TcpListener::bind(inlet).unwrap();
    home.ok("node start n");
    let shown = home.json("tcp-inlet show i --at n");
    assert_eq!(shown["bind_addr"], inlet.to_string().as_str());
    assert_eq!(shown["status"], "Down");
    assert_eq!(
        shown["last_failure"],
        format!(
            "Another process is already listening on port {}!",
            inlet.port()
        )
        .as_str()
    );
    drop(held);
    wait_until("the inlet listens", LONG, || {
        exchange(inlet, b"?", Duration::from_secs(1)).is_ok()
    });
    assert_echo(inlet);
    assert_eq!(home.json("tcp-inlet show i --at n")["status"], "Up");
    // One that waits can be deleted, and does not take the port afterwards.
    home.ok("node stop n");
    let held = std::net::TcpListener::bind(inlet).unwrap();
    home.ok("node start n");
    home.ok("tcp-inlet delete i --at n --yes");
    home.ok("node stop n");
    drop(held);
    home.ok("node start n");
    assert_eq!(home.json("tcp-inlet list --at n"), serde_json::json!([]));
}

mod needs_root {
    mod needs_unshare {
        use std::io::{Read, Write};
        use std::net::{SocketAddr, TcpListener};
        use std::path::PathBuf;

        use super::super::{LONG, create_at};
        use crate::home::Home;
        use crate::process::wait_until;
        use crate::traffic::connect;
        use crate::trial::Trial;

        /// Nodes that see a hosts file of their own, in which one name leads to 127.0.0.1 or 127.0.0.2.
        #[test]
        fn a_host_name_is_looked_up_for_every_connection() {
            let trial = Trial::beside_others();
            let home = trial.home("home");
            let hosts = trial.directory().join("hosts");
            point(&hosts, "127.0.0.1");
            for node in ["server", "client"] {
                home.shell(&format!(
                    "unshare -m sh -e -c 'mount --bind {} /etc/hosts; ockam node create {node}'",
                    hosts.display()
                ))
                .success();
            }

            // The target of an outlet, for each client.
            let port = serve_twice();
            home.ok(&format!(
                "tcp-outlet create --at server --to moving.test:{port}"
            ));
            let inlet = add(&home, "/node/server/secure/api/service/outlet");
            assert_eq!(who(inlet).unwrap(), "127.0.0.1");
            point(&hosts, "127.0.0.2");
            assert_eq!(who(inlet).unwrap(), "127.0.0.2");

            // The way of an inlet, when it has to be made again.
            point(&hosts, "127.0.0.1");
            let first = create_at(&home, "first", "127.0.0.1:0");
            let second = create_at(&home, "second", &format!("127.0.0.2:{}", first.port));
            assert_eq!(second.port, first.port);
            home.ok(&format!(
                "tcp-outlet create --at first --to 127.0.0.1:{port}"
            ));
            home.ok(&format!(
                "tcp-outlet create --at second --to 127.0.0.2:{port}"
            ));
            let route = format!(
                "/dnsaddr/moving.test/tcp/{}/secure/api/service/outlet",
                first.port
            );
            let inlet = add(&home, &route);
            assert_eq!(who(inlet).unwrap(), "127.0.0.1");
            point(&hosts, "127.0.0.2");
            home.ok("node delete first --yes");
            wait_until("the inlet goes by the new address", LONG, || {
                who(inlet).is_ok_and(|who| who == "127.0.0.2")
            });
        }

        /// Written in place: the nodes see this very file.
        fn point(hosts: &PathBuf, address: &str) {
            let text = format!("127.0.0.1 localhost\n{address} moving.test\n");
            std::fs::write(hosts, text).unwrap();
        }

        /// Two servers on one port of two addresses; each says its own.
        fn serve_twice() -> u16 {
            let first = TcpListener::bind("127.0.0.1:0").unwrap();
            let port = first.local_addr().unwrap().port();
            let second = TcpListener::bind(("127.0.0.2", port)).unwrap();
            for listener in [first, second] {
                let address = listener.local_addr().unwrap().ip().to_string();
                std::thread::spawn(move || {
                    for mut stream in listener.incoming().flatten() {
                        drop(stream.write_all(address.as_bytes()));
                    }
                });
            }
            port
        }

        fn add(home: &Home, route: &str) -> SocketAddr {
            home.ok(&format!("tcp-inlet create --at client --to {route}"))
                .parse()
                .unwrap()
        }

        fn who(inlet: SocketAddr) -> std::io::Result<String> {
            let mut answer = String::new();
            connect(inlet, LONG)?.read_to_string(&mut answer)?;
            Ok(answer)
        }
    }
}

/// A node that listens there.
fn create_at(home: &Home, name: &str, address: &str) -> Node {
    home.ok(&format!(
        "node create {name} --tcp-listener-address {address}"
    ));
    home.node(name)
}

const LONG: Duration = Duration::from_secs(60);
