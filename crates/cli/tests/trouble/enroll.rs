//! `ockam enroll`, killed in the middle and run again, and where it is in the way of others.

use std::fs::File;
use std::net::TcpListener;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::home::{Home, program};
use crate::process::{kill_all_that_mention, wait_until};
use crate::trial::Trial;

/// How far an enrollment is when something happens to it.
#[derive(Debug, Clone, Copy)]
enum Point {
    /// This file is there.
    File(&'static str),
    /// This was said.
    Said(&'static str),
}

impl Point {
    fn is_reached(self, home: &Home, said: &Path) -> bool {
        match self {
            Self::File(name) => home.path().join(name).exists(),
            Self::Said(text) => std::fs::read_to_string(said).unwrap().contains(text),
        }
    }
}

const POINTS: [Point; 6] = [
    Point::File("ockam.sqlite3"),
    Point::File("orchestrator.sqlite3"),
    Point::File("orchestrator/first-administrator"),
    Point::Said("Enrolled the identity"),
    Point::Said("Created the space"),
    Point::Said("Created the project"),
];

/// Begins to enroll and kills the command as soon as it is so far, unless it was faster.
fn killed_at(home: &Home, point: Point, directory: &Path) {
    let said = directory.join("said");
    let mut child = home
        .command(&program())
        .arg("enroll")
        .stdout(Stdio::null())
        .stderr(File::create(&said).unwrap())
        .spawn()
        .unwrap();
    let end = Instant::now() + Duration::from_secs(60);
    while !point.is_reached(home, &said) && child.try_wait().unwrap().is_none() {
        assert!(Instant::now() < end, "{point:?}");
        std::thread::sleep(Duration::from_micros(200));
    }
    let _ = child.kill();
    child.wait().unwrap();
}

/// Enrolls, and there is one of everything.
fn ends_well(home: &Home, point: Point) {
    let enrolled = home.ockam("enroll --jq .role");
    assert_eq!(enrolled.code, Some(0), "{point:?}: {enrolled:#?}");
    assert_eq!(enrolled.out, "\"admin\"", "{point:?}");
    for (list, expected) in [
        ("orchestrator accounts --jq length", "1"),
        ("orchestrator status --jq .projects", "1"),
        ("space list --jq .[].name", "\"default\""),
        ("project list --jq .[].name", "\"default\""),
        ("identity list --jq length", "1"),
        ("orchestrator status --jq .first_administrator", "null"),
    ] {
        assert_eq!(home.ok(list), expected, "{point:?}: {list}");
    }
    home.ok("project ticket");
}

#[test]
fn an_enrollment_that_was_killed_goes_on_where_it_was() {
    let trial = Trial::beside_others();
    for (number, point) in POINTS.into_iter().enumerate() {
        let home = trial.home(&format!("home{number}"));
        killed_at(&home, point, trial.directory());
        ends_well(&home, point);
    }
}

#[test]
fn a_power_cut_in_the_middle_of_an_enrollment_loses_nothing() {
    let trial = Trial::beside_others();
    for (number, point) in POINTS.into_iter().enumerate() {
        let home = trial.home(&format!("home{number}"));
        killed_at(&home, point, trial.directory());
        // The Orchestrator that it started goes too.
        kill_all_that_mention(home.path());
        ends_well(&home, point);
    }
}

#[test]
fn a_code_that_was_used_before_the_home_knew_of_it_is_not_lost() {
    let trial = Trial::beside_others();
    let (first, second) = (trial.home("first"), trial.home("second"));
    first.ockam("enroll").success();
    let join = first.ok("orchestrator invite bob@example.com");
    // What the home was before the answer came.
    second.ok("identity create me");
    let before = trial.home("before");
    second.shell(&format!("cp -a $OCKAM_HOME {}", before.path().display()));
    second.run(&["enroll", join.trim()]).success();
    let again = before.run(&["enroll", join.trim(), "--jq", ".email"]);
    assert_eq!(again.success(), "\"bob@example.com\"");
    assert_eq!(first.ok("orchestrator accounts --jq length"), "2");
    assert_eq!(before.ok("space list --jq length"), "1");
    // To somebody else it is worth nothing.
    let third = trial.home("third");
    let said = third.run(&["enroll", join.trim()]).failure();
    assert!(said.contains("does not take this one-time code"), "{said}");
    assert_eq!(first.ok("orchestrator accounts --jq length"), "2");
}

#[test]
fn two_users_of_one_machine_have_an_orchestrator_each() {
    let trial = Trial::beside_others();
    let homes = [trial.home("alice"), trial.home("bob")];
    let children: Vec<_> = homes
        .iter()
        .map(|home| {
            home.command(&program())
                .arg("enroll")
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap()
        })
        .collect();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    let [alice, bob] = homes.map(|home| {
        assert_eq!(home.ok("enroll --jq .role"), "\"admin\"");
        home.ok("orchestrator status --jq .join")
    });
    assert_ne!(alice, bob);
}

#[test]
fn the_usual_port_of_somebody_else_is_gone_around_and_kept_to_afterwards() {
    let trial = Trial::alone();
    // Somebody has it, this test or another program.
    let taken = TcpListener::bind("127.0.0.1:6252");
    let home = trial.home("home");
    home.ockam("enroll").success();
    let listener = home.ok("orchestrator status --jq .listener");
    assert_ne!(listener, "\"127.0.0.1:6252\"");
    drop(taken);
    home.ok("orchestrator stop");
    home.ok("node start --all");
    assert_eq!(home.ok("orchestrator status --jq .listener"), listener);
    home.ok("project ticket");
}

#[test]
fn after_a_reboot_every_command_names_what_brings_everything_back() {
    // Nobody else takes the place of the Orchestrator meanwhile.
    let trial = Trial::alone();
    let home = trial.home("home");
    home.ockam("enroll").success();
    home.ok("node create n1");
    home.ok("tcp-outlet create --to 127.0.0.1:1");
    home.ok("relay create");
    let inlet = home.ok("tcp-inlet create --from 127.0.0.1:0");
    kill_all_that_mention(home.path());
    wait_until("everything is gone", Duration::from_secs(60), || {
        home.ok("node list --jq [.[]|select(.status.status==\"running\")]|length") == "0"
    });
    for command in TRIED {
        let said = home.ockam(command).failure();
        assert!(said.contains("ockam node start --all"), "{command}: {said}");
    }
    home.ok("node start --all");
    assert_eq!(home.ok("orchestrator status --jq .running"), "true");
    wait_until("the relay is back", Duration::from_secs(60), || {
        home.ok("relay list --jq .[].connection_status") == "\"Up\""
    });
    assert!(home.ok("tcp-inlet list").contains(inlet.trim()));
    home.ok("project ticket");
    // The Orchestrator alone is away.
    home.ok("orchestrator stop");
    for command in TRIED.iter().filter(|command| asks_orchestrator(command)) {
        let said = home.ockam(command).failure();
        assert!(said.contains("ockam node start --all"), "{command}: {said}");
    }
}

fn asks_orchestrator(command: &str) -> bool {
    [
        "space",
        "project",
        "share",
        "subscription",
        "admin",
        "orchestrator",
    ]
    .iter()
    .any(|noun| command.starts_with(noun))
}

/// Commands that talk to a node or to the Orchestrator of this machine.
const TRIED: &[&str] = &[
    "space list",
    "space show",
    "space create web",
    "space delete default --yes",
    "space-admin list",
    "space-admin add alice@example.com",
    "space-admin delete alice@example.com --yes",
    "project list",
    "project show",
    "project create default web",
    "project delete default default --yes",
    "project version",
    "project addon list",
    "project addon disable --addon okta",
    "project ticket",
    "project-admin list",
    "project-admin add alice@example.com",
    "project-admin delete alice@example.com --yes",
    "project-member list",
    "project-member list-ids",
    "project-member show",
    "project-member add I0000000000000000000000000000000000000000000000000000000000000001",
    "project-member delete --all --yes",
    "share list",
    "share show 5f",
    "share accept 5f",
    "share create space default alice@example.com",
    "subscription show --space default",
    "admin subscription list",
    "orchestrator accounts",
    "orchestrator relays",
    "orchestrator tickets",
    "orchestrator audit list",
    "orchestrator invite alice@example.com",
    "reset --all --yes",
    "tcp-inlet create --from 127.0.0.1:0",
    "tcp-outlet create --to 127.0.0.1:2",
    "tcp-outlet list",
    "tcp-inlet list",
    "relay create other",
    "relay list",
    "secure-channel create --from n1 --to /project/default/service/api",
    "secure-channel list --at n1",
    "secure-channel-listener list",
    "tcp-connection list",
    "tcp-listener list",
    "worker list",
    "service list",
    "message send hi --to /node/n1/service/echo",
    "message send hi --to /project/default/service/echo",
    "policy list",
];
