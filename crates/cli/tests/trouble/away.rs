//! What an Orchestrator issues is renewed while portals are open, and they go on while it is away.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::home::Home;
use crate::process::wait_until;
use crate::traffic::{Target, assert_echo, connect, exchange};
use crate::trial::Trial;

/// The home of an administrator, whose node has an outlet and a relay, and that of a member.
struct Machines {
    server: Home,
    client: Home,
}

impl Machines {
    fn start(trial: &Trial, target: &Target, options: &str) -> Self {
        let (server, client) = (trial.home("server"), trial.home("client"));
        server.ok(&format!(
            "orchestrator start --listen 127.0.0.1:0 {options}"
        ));
        server.ockam("enroll").success();
        server.ok("node create n1");
        server.ok(&format!("tcp-outlet create --to {}", target.address()));
        server.ok("relay create");
        let join = server.ok("orchestrator invite --project default");
        client.run(&["enroll", join.trim()]).success();
        client.ok("node create n2");
        Self { server, client }
    }

    fn inlet(&self, to: &str) -> SocketAddr {
        let inlet = self.client.ok(&format!("tcp-inlet create --to {to}"));
        inlet.parse().unwrap()
    }
}

const BY_RELAY: &str = "/project/default/service/forward_to_default/secure/api/service/outlet";

fn echoes(open: &mut TcpStream) {
    open.write_all(b"still here").unwrap();
    let mut echoed = [0; 10];
    open.read_exact(&mut echoed).unwrap();
    assert_eq!(&echoed, b"still here");
}

/// When each credential of a home ends, by what it is for.
fn ends(home: &Home) -> Vec<(String, u64)> {
    let all = home.json("credential list");
    let mut ends: Vec<(String, u64)> = all
        .as_array()
        .unwrap()
        .iter()
        .map(|kept| {
            (
                kept["scope"].as_str().unwrap().to_owned(),
                kept["credential"]["expires_at"].as_u64().unwrap(),
            )
        })
        .collect();
    ends.sort();
    ends
}

#[test]
fn credentials_of_a_minute_are_renewed_while_a_portal_is_open() {
    let trial = Trial::beside_others();
    let target = Target::echo();
    let machines = Machines::start(&trial, &target, "--ttl 1m");
    let inlet = machines.inlet(BY_RELAY);
    let mut open = connect(inlet, Duration::from_secs(20)).unwrap();
    echoes(&mut open);
    let (server, client) = (ends(&machines.server), ends(&machines.client));
    let admins = server.iter().filter(|(scope, _)| scope.contains("admin"));
    assert_eq!((server.len(), admins.count()), (2, 1), "{server:?}");
    assert_eq!(client.len(), 1, "{client:?}");
    for (home, before) in [(&machines.server, server), (&machines.client, client)] {
        wait_until("all are renewed", Duration::from_secs(120), || {
            let now = ends(home);
            now.len() == before.len()
                && now
                    .iter()
                    .zip(&before)
                    .all(|((_, now), (_, before))| now > before)
        });
    }
    echoes(&mut open);
    assert_echo(inlet);
    machines.server.ok("project ticket");
}

#[test]
fn portals_go_on_while_the_orchestrator_is_away_and_what_needs_it_comes_back_with_it() {
    let trial = Trial::beside_others();
    let target = Target::echo();
    let machines = Machines::start(&trial, &target, "");
    let Machines { server, client } = &machines;
    let direct = machines.inlet(&format!(
        "{}/secure/api/service/outlet",
        server.node("n1").route()
    ));
    let by_relay = machines.inlet(BY_RELAY);
    let mut open = connect(direct, Duration::from_secs(20)).unwrap();
    for portal in [direct, by_relay] {
        assert_echo(portal);
    }
    server.kill("orchestrator");
    // What is open, what is new, and what starts again with what it has kept.
    echoes(&mut open);
    assert_echo(direct);
    for (home, node) in [(server, "n1"), (client, "n2")] {
        home.kill(node);
        home.ok(&format!("node start {node}"));
    }
    let works = |portal: SocketAddr| exchange(portal, b"x", Duration::from_secs(1)).is_ok();
    wait_until("the portal is back", Duration::from_secs(60), || {
        works(direct)
    });
    // What needs it says so.
    assert_eq!(
        server.ok("relay list --jq .[].connection_status"),
        "\"Down\""
    );
    let said = server.ok("relay list --jq .[].last_failure");
    assert!(said.contains("connect"), "{said}");
    let said = client.ockam("project list").failure();
    assert!(said.contains("the controller is not reached"), "{said}");
    assert!(!works(by_relay));
    server.ok("node start --all");
    wait_until("the relay is back", Duration::from_secs(120), || {
        works(by_relay)
    });
    assert_eq!(client.ok("project list --jq length"), "1");
}
