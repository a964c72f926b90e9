//! Identities and channel keys that change while portals are open.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::home::Home;
use crate::portal::Portal;
use crate::traffic::{PATIENCE, Target, assert_echo, connect, exchange, noise};
use crate::trial::Trial;

#[test]
fn an_open_portal_survives_rotations_of_every_side_and_new_channels_work_at_once() {
    let trial = Trial::beside_others();
    let target = Target::echo();
    let portal = Portal::open(&trial, target.address());
    let load = Load::start(portal.inlet);
    for round in 0..2 {
        for (home, node) in [
            (&portal.server, "server"),
            (&portal.client, "client"),
            (&portal.relay, "relay"),
        ] {
            let before = home.ok("identity show");
            home.ok("identity rotate");
            assert_eq!(home.ok("identity show"), before);
            // A new inlet opens a channel of its own.
            let another = portal.add(&format!("{node}-{round}"), target.address());
            assert_echo(another);
            assert_echo(portal.inlet);
            wait_for(home, "a new channel key is in use", round + 1);
        }
    }
    load.finish(64 * 1024 * 1024);
}

#[test]
fn whoever_has_the_key_of_before_a_rotation_is_refused_by_peers_that_saw_it() {
    let trial = Trial::beside_others();
    let target = Target::echo();
    let portal = Portal::open(&trial, target.address());
    let thief = trial.home("thief");
    copy(&portal.client, &thief);
    let say = format!(
        "message send hello --timeout 3s --to {}/secure/api/service/echo",
        portal.server_node().route()
    );
    assert_eq!(thief.ok(&say), "hello");
    portal.client.ok("identity rotate");
    let until = Instant::now() + PATIENCE;
    // The open channel of the portal brings the news.
    while thief.ockam(&say).code == Some(0) {
        assert!(Instant::now() < until, "the thief is served");
    }
    assert_eq!(portal.client.ok(&say), "hello");
    assert_echo(portal.inlet);
}

#[test]
fn a_rotation_that_revokes_closes_what_older_keys_opened_and_the_portal_comes_back() {
    let trial = Trial::beside_others();
    let target = Target::echo();
    let portal = Portal::open(&trial, target.address());
    let mut open = connect(portal.inlet, PATIENCE).unwrap();
    open.write_all(b"x").unwrap();
    open.read_exact(&mut [0]).unwrap();
    portal.server.ok("identity rotate --revoke");
    let ended = open.read(&mut [0]);
    assert!(matches!(ended, Ok(0) | Err(_)), "{ended:?}");
    assert_echo(portal.inlet);
}

#[test]
fn a_rotation_while_the_node_is_down_acts_when_it_starts() {
    let trial = Trial::beside_others();
    let target = Target::echo();
    let portal = Portal::open(&trial, target.address());
    portal.client.ok("node stop client");
    portal.client.ok("identity rotate");
    portal.client.ok("identity rotate");
    portal.client.ok("node start client");
    assert_echo(portal.inlet);
    portal.server.kill("server");
    portal.server.ok("identity rotate");
    portal.server.ok("node start server");
    comes_through(portal.inlet);
}

#[test]
fn two_nodes_of_one_identity_take_up_its_rotation_both() {
    let trial = Trial::beside_others();
    let target = Target::echo();
    let portal = Portal::open(&trial, target.address());
    portal.server.ok("node create second");
    portal.server.ok(&format!(
        "tcp-outlet create --at second --to {}",
        target.address()
    ));
    let second = format!(
        "{}/secure/api/service/outlet",
        portal.server.node("second").route()
    );
    let direct = |client: &Home| -> SocketAddr {
        let inlet = client.ok(&format!("tcp-inlet create --at client --to {second}"));
        inlet.parse().unwrap()
    };
    let inlet = direct(&portal.client);
    let loads = [Load::start(portal.inlet), Load::start(inlet)];
    for _ in 0..3 {
        portal.server.ok("identity rotate");
        assert_echo(direct(&portal.client));
        assert_echo(portal.inlet);
    }
    wait_for(&portal.server, "a new channel key is in use", 4);
    for load in loads {
        load.finish(1024 * 1024);
    }
}

#[test]
fn guard_11_2_28_channel_keys_are_replaced_on_a_schedule_without_a_reset() {
    let trial = Trial::beside_others();
    let target = Target::echo();
    let (server, client) = (trial.home("server"), trial.home("client"));
    for (home, node) in [(&server, "server"), (&client, "client")] {
        home.ok(&format!("node create {node} --purpose-key-lifetime 30s"));
    }
    server.ok(&format!(
        "tcp-outlet create --at server --to {}",
        target.address()
    ));
    let to = format!(
        "{}/secure/api/service/outlet",
        server.node("server").route()
    );
    let inlet = |client: &Home| -> SocketAddr {
        let inlet = client.ok(&format!("tcp-inlet create --at client --to {to}"));
        inlet.parse().unwrap()
    };
    let first = inlet(&client);
    let load = Load::start(first);
    for home in [&server, &client] {
        wait_for(home, "a new channel key is in use", 1);
    }
    assert_echo(inlet(&client));
    load.finish(1024 * 1024);
}

#[test]
fn a_node_whose_vault_is_sealed_takes_up_a_rotation() {
    let trial = Trial::beside_others();
    let home = trial.home("sealed");
    home.shell(
        "printf 'correct horse battery staple' > words; export OCKAM_VAULT_PASSPHRASE_FILE=$PWD/words
        ockam vault create a --passphrase-file words; ockam identity create m
        ockam node create n --identity m; ockam identity rotate m",
    )
    .success();
    wait_for(&home, "a new channel key is in use", 1);
    let stranger = trial.home("stranger");
    let to = format!("{}/secure/api/service/echo", home.node("n").route());
    assert_eq!(
        stranger.ok(&format!("message send hello --to {to}")),
        "hello"
    );
}

#[test]
fn members_go_on_when_their_authority_rotates() {
    let trial = Trial::beside_others();
    let target = Target::echo();
    let authority = trial.home("authority");
    authority.ok("authority create --project-identifier p --tcp-listener-address 127.0.0.1:0 --purpose-key-lifetime 30s");
    let member = |name: &str| {
        let home = trial.home(name);
        let ticket = authority.ok("project ticket");
        home.run(&["project", "enroll", &ticket]).success();
        home.ok(&format!("node create {name}"));
        home
    };
    let (server, client) = (member("server"), member("client"));
    server.ok(&format!(
        "tcp-outlet create --at server --to {}",
        target.address()
    ));
    let to = format!(
        "{}/secure/api/service/outlet",
        server.node("server").route()
    );
    let inlet = |home: &Home, node: &str| -> SocketAddr {
        let inlet = home.ok(&format!("tcp-inlet create --at {node} --to {to}"));
        inlet.parse().unwrap()
    };
    let first = inlet(&client, "client");
    assert_echo(first);
    for round in 1..=2 {
        let load = Load::start(first);
        authority.ok("identity rotate authority-p");
        // Who comes now has a credential under the new key, which nobody else knows yet.
        let name = format!("late-{round}");
        let late = member(&name);
        comes_through(inlet(&late, &name));
        // Those who were here before have renewed theirs.
        assert_echo(inlet(&client, "client"));
        load.finish(1024 * 1024);
        // A node that has forgotten who has which attributes believes what is presented under the new key.
        server.ok("node stop server");
        server.ok("node start server");
        comes_through(inlet(&client, "client"));
        comes_through(first);
    }
}

#[test]
fn guard_11_2_27_a_listener_without_credential_shows_no_attributes() {
    let trial = Trial::beside_others();
    let target = Target::echo();
    let authority = trial.home("authority");
    authority.ok("authority create --project-identifier p --tcp-listener-address 127.0.0.1:0");
    let member = |name: &str| {
        let home = trial.home(name);
        let ticket = authority.ok("project ticket");
        home.run(&["project", "enroll", &ticket]).success();
        home.ok(&format!("node create {name}"));
        home
    };
    let (server, client) = (member("server"), member("client"));
    server.ok(&format!(
        "tcp-outlet create --at server --to {}",
        target.address()
    ));
    server.ok("secure-channel-listener create bare --at server --no-credential");
    let at = server.node("server").route();
    let inlet = |listener: &str| -> SocketAddr {
        let inlet = client.ok(&format!(
            "tcp-inlet create --at client --to {at}/secure/{listener}/service/outlet"
        ));
        inlet.parse().unwrap()
    };
    let bare = inlet("bare");
    // The client lets only members answer, and does not learn that this is one.
    assert!(exchange(bare, b"echo this", Duration::from_secs(3)).is_err());
    wait_for(&client, "rule=no credential", 1);
    comes_through(inlet("api"));
}

/// One connection that sends and reads back all the time.
struct Load {
    enough: Arc<AtomicBool>,
    thread: JoinHandle<u64>,
}

impl Load {
    fn start(inlet: SocketAddr) -> Self {
        let enough = Arc::new(AtomicBool::new(false));
        let told = enough.clone();
        let mut stream = connect(inlet, PATIENCE).unwrap();
        let thread = std::thread::spawn(move || {
            let mut passed = 0;
            let mut back = vec![0; BLOCK];
            while !told.load(Ordering::Acquire) {
                let block = noise(passed, BLOCK);
                stream.write_all(&block).unwrap();
                stream.read_exact(&mut back).unwrap();
                assert!(back == block, "after {passed} bytes");
                passed += BLOCK as u64;
            }
            passed
        });
        Self { enough, thread }
    }

    /// Ends it; it must have carried so much on its one connection.
    fn finish(self, at_least: u64) {
        self.enough.store(true, Ordering::Release);
        let passed = self.thread.join().expect("no byte was lost or changed");
        assert!(passed >= at_least, "{passed} bytes passed");
    }
}

/// A new connection works, as soon as the way is there.
fn comes_through(inlet: SocketAddr) {
    let until = Instant::now() + PATIENCE;
    while exchange(inlet, b"echo this", Duration::from_secs(2)).is_err() {
        assert!(Instant::now() < until, "nothing comes back");
    }
}

/// Waits until the nodes of a home have logged this so often.
fn wait_for(home: &Home, line: &str, times: usize) {
    let until = Instant::now() + PATIENCE;
    while home.logs().matches(line).count() < times {
        assert!(
            Instant::now() < until,
            "`{line}` not {times} times in\n{}",
            home.logs()
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// What somebody has who could read a home once.
fn copy(from: &Home, to: &Home) {
    std::fs::create_dir_all(to.path()).unwrap();
    let copied = std::process::Command::new("cp")
        .arg("-r")
        .arg(format!("{}/.", from.path().display()))
        .arg(to.path())
        .status();
    assert!(copied.unwrap().success());
}

const BLOCK: usize = 64 * 1024;
