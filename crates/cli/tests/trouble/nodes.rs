//! Background nodes and what is around them: terminals that are closed, logs that are followed, nodes made again.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::fs::OFlags;
use rustix::process::Signal;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use crate::home::program;
use crate::process::{self, runs, wait_until};
use crate::traffic::{Target, assert_echo};
use crate::trial::Trial;

#[test]
fn background_nodes_outlive_the_terminal_they_were_started_on() {
    let trial = Trial::beside_others();
    let home = trial.home("home");
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let name = ptsname(&master, Vec::new()).unwrap();
    let slave = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(OFlags::NOCTTY.bits().cast_signed())
        .open(name.to_str().unwrap())
        .unwrap();
    // A shell whose terminal this is. What else it started shows that the terminal really ends what is on it, also when
    // whoever runs the tests ignores the signal that does it.
    let mut shell = home.command(Path::new("setsid"));
    shell
        .args(["--ctty", "--wait", "env", "--default-signal=HUP", "sh", "-c"])
        .arg("sleep 1000 & echo $!; ockam node create n1; ockam node create n2; ockam node stop n2; ockam node start n2; echo done; read more")
        .stdin(slave.try_clone().unwrap())
        .stdout(slave.try_clone().unwrap())
        .stderr(slave);
    let mut running = shell.spawn().unwrap();
    drop(shell);
    let mut lines = BufReader::new(File::from(master)).lines();
    let companion: u32 = lines.next().unwrap().unwrap().trim().parse().unwrap();
    while lines.next().unwrap().unwrap().trim() != "done" {}
    let nodes = [home.node("n1").pid, home.node("n2").pid];
    assert!(runs(companion));

    // The window is closed.
    drop(lines);
    wait_until("the shell is gone", LONG, || {
        running.try_wait().unwrap().is_some()
    });
    wait_until("what the shell started is gone", LONG, || !runs(companion));
    for (name, pid) in ["n1", "n2"].into_iter().zip(nodes) {
        assert_eq!(home.node(name).pid, pid, "{name} runs as before");
        let route = format!("/node/{name}/service/echo");
        assert_eq!(
            home.ok(&format!("message send hello --to {route}")),
            "hello"
        );
    }
}

#[test]
fn a_log_is_followed_over_restarts_and_midnight_until_an_interrupt() {
    let trial = Trial::beside_others();
    let home = trial.home("home");
    home.ok("node create n1");
    let output = trial.directory().join("followed");
    let mut follower = home.command(&program());
    let mut follower = follower
        .args(["node", "logs", "n1", "--follow", "--lines", "1"])
        .stdout(File::create(&output).unwrap())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap();
    let followed = || std::fs::read_to_string(&output).unwrap();
    wait_until("the last line is there", LONG, || {
        followed().lines().count() == 1
    });
    home.ok("node stop n1");
    home.ok("node start n1");
    wait_until("the start is there", LONG, || {
        followed().contains("the node is ready")
    });
    let log = home.ok("node logs n1");
    let tomorrow = Path::new(&log).with_file_name("stdout.9999-12-31.log");
    std::fs::write(tomorrow, "a new day\n").unwrap();
    wait_until("the new day is there", LONG, || {
        followed().ends_with("a new day\n")
    });
    process::send(follower.id(), Signal::INT);
    let end = Instant::now() + LONG;
    let status = loop {
        match follower.try_wait().unwrap() {
            Some(status) => break status,
            None => assert!(Instant::now() < end, "the interrupt ends it"),
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    assert_eq!(status.code(), Some(0));
}

#[test]
fn a_stopped_or_killed_node_that_is_created_again_has_all_it_had() {
    let trial = Trial::beside_others();
    let home = trial.home("home");
    let target = Target::echo();
    home.ok("node create n1 --identity m");
    home.ok("node create n2");
    home.ok(&format!(
        "tcp-outlet create --at n1 --to {}",
        target.address()
    ));
    let inlet = home
        .ok("tcp-inlet create --at n1 --to /node/n1/secure/api/service/outlet")
        .parse()
        .unwrap();
    assert_echo(inlet);
    let before = home.node("n1");
    home.kill("n1");
    // An identity that is named again is no other.
    home.ok("node create n1 --identity m");
    assert_echo(inlet);
    home.ok("node stop n1");
    home.ok("node create n1");
    assert_echo(inlet);
    let after = home.json("node show n1");
    assert_eq!(after["identity_name"], "m");
    assert_eq!(home.node("n1").port, before.port);
    // The default node is another one: it may be stopped while this one is given something.
    home.ok("node default n2");
    home.ok("node stop n2");
    home.ok("tcp-outlet create second --at n1 --to 127.0.0.1:9");
    home.ok("secure-channel create --from n1 --to /node/n1/service/api");
    let failed = home
        .ockam("tcp-outlet create third --to 127.0.0.1:9")
        .failure();
    assert!(failed.contains("Default node exists but is not running"));
}

const LONG: Duration = Duration::from_secs(60);
