//! The Orchestrator of a machine: killed, started twice, in the way of others, and asked how it is.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;
use std::time::Duration;

use crate::home::{Home, finish, program};
use crate::process::wait_until;
use crate::traffic::connect;
use crate::trial::Trial;

const LONG: Duration = Duration::from_secs(20);

#[test]
fn one_that_was_killed_is_the_same_one_again_with_all_nodes() {
    let trial = Trial::beside_others();
    let home = trial.home("home");
    let joined = home.ok("orchestrator start");
    home.kill("orchestrator");
    let status = home.json("orchestrator status");
    assert_eq!(status["running"], false);
    home.ok("node start --all");
    assert_eq!(home.ok("orchestrator start"), joined);
    assert_eq!(home.json("orchestrator status")["running"], true);
    home.ok("orchestrator audit verify");
}

#[test]
fn two_that_are_started_at_once_are_one() {
    let trial = Trial::beside_others();
    let home = trial.home("home");
    let mut children: Vec<_> = (0..3)
        .map(|_| {
            home.command(&program())
                .args(["orchestrator", "start"])
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap()
        })
        .collect();
    for child in &mut children {
        child.wait().unwrap();
    }
    let status = home.json("orchestrator status");
    assert_eq!(status["running"], true);
    let identifier = status["identifier"].as_str().unwrap().to_owned();
    assert!(home.ok("orchestrator start").ends_with(&identifier));
    let nodes = home.json("node list");
    assert_eq!(nodes.as_array().unwrap().len(), 1, "{nodes}");
}

#[test]
fn a_place_that_is_taken_is_told_and_the_usual_one_is_gone_around() {
    // Others take the usual places.
    let trial = Trial::alone();
    let home = trial.home("home");
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = other.local_addr().unwrap();
    let error = home
        .ockam(&format!("orchestrator start --listen {taken}"))
        .failure();
    assert!(error.contains("already listening"), "{error}");
    assert!(error.contains("--listen"), "{error}");
    // Nothing is left of one that never ran.
    assert!(
        home.ockam("orchestrator status")
            .failure()
            .contains("no Orchestrator")
    );
    home.ok("orchestrator start");
    let second = trial.home("second");
    assert_ne!(
        second.ok("orchestrator start"),
        home.ok("orchestrator start")
    );
    // Whoever is enrolled knows where it was: it does not move.
    home.ok("orchestrator stop");
    let listener = home.json("orchestrator status")["listener"]
        .as_str()
        .unwrap()
        .to_owned();
    let in_its_place = TcpListener::bind(&listener).unwrap();
    let error = home.ockam("orchestrator start").failure();
    assert!(error.contains("already listening"), "{error}");
    drop(in_its_place);
    home.ok("orchestrator start");
}

#[test]
fn it_says_how_it_is_and_what_it_does() {
    let trial = Trial::beside_others();
    let home = trial.home("home");
    home.ok("orchestrator start");
    let ask = |path: &str| ask(&home, &format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n"));
    assert!(ask("/health").starts_with("HTTP/1.1 200 "));
    assert!(ask("/ready").starts_with("HTTP/1.1 200 "));
    let metrics = ask("/metrics");
    assert!(
        metrics.contains("application/openmetrics-text"),
        "{metrics}"
    );
    for name in [
        "connections",
        "projects",
        "accounts",
        "database_errors_total",
    ] {
        assert!(
            metrics.contains(&format!("\nockam_orchestrator_{name} 0\n")),
            "{name} in {metrics}"
        );
    }
    assert!(metrics.ends_with("# EOF\n"), "{metrics}");
    // A node without an Orchestrator answers as published.
    home.ok("node create n1");
    let node = home.json("node show n1");
    let endpoint = node["status_endpoint_address"].as_str().unwrap().to_owned();
    let answer = exchange(&endpoint, "GET /metrics HTTP/1.1\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");
}

#[test]
fn guard_o09_the_code_of_the_first_administrator_is_in_its_file_and_nowhere_else() {
    let trial = Trial::beside_others();
    let home = trial.home("home");
    let told = home.ok("orchestrator start") + &home.ok("orchestrator status");
    let path = home.path().join("orchestrator/first-administrator");
    let code = std::fs::read_to_string(&path).unwrap();
    assert_eq!(code.trim().len(), 64);
    let mode =
        |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&path), 0o600);
    assert_eq!(mode(path.parent().unwrap()), 0o700);
    assert!(!told.contains(code.trim()));
    assert!(!home.logs().contains(code.trim()));
    home.ok("orchestrator stop");
    let kept = std::fs::read(home.path().join("orchestrator.sqlite3")).unwrap();
    assert!(!kept.windows(64).any(|part| part == code.trim().as_bytes()));
    home.ok("reset --yes");
    assert!(!path.exists());
    assert!(!home.path().join("orchestrator.sqlite3").exists());
}

#[test]
fn it_ends_in_order_when_it_is_told_to() {
    let trial = Trial::beside_others();
    let home = trial.home("home");
    let mut running = home
        .command(&program())
        .args(["orchestrator", "start", "--foreground"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    wait_until("it waits for its end", LONG, || {
        home.ockam("orchestrator status --jq .running").out == "true" && catches_term(running.id())
    });
    crate::process::send(running.id(), rustix::process::Signal::TERM);
    assert!(running.wait().unwrap().success());
    assert_eq!(home.json("orchestrator status")["running"], false);
}

mod needs_root {
    use super::*;
    use std::os::unix::process::CommandExt as _;

    #[test]
    fn guard_o09_a_second_user_cannot_read_the_code_of_the_first_administrator() {
        let trial = Trial::beside_others();
        let home = trial.home("home");
        home.ok("orchestrator start");
        let path = home.path().join("orchestrator/first-administrator");
        let read = |user: u32| {
            let mut command = home.command(std::path::Path::new("cat"));
            command.arg(&path).uid(user).gid(user);
            finish(command, trial.directory())
        };
        std::fs::set_permissions(trial.directory(), PermissionsExt::from_mode(0o755)).unwrap();
        assert_eq!(read(0).success().trim().len(), 64);
        let other = read(54_321);
        assert_ne!(other.code, Some(0));
        assert!(other.out.is_empty());
    }
}

mod needs_systemd_analyze {
    use super::*;

    #[test]
    fn systemd_understands_the_units() {
        let trial = Trial::beside_others();
        let home = trial.home("home");
        for (options, name) in [("", "machine"), ("--user", "user")] {
            let listen = "--listen 0.0.0.0:6252 --public-address o.example:6252";
            let unit = home.ok(&format!("orchestrator install --print {options} {listen}"));
            let path = trial.directory().join(format!("ockam-{name}.service"));
            std::fs::write(&path, unit).unwrap();
            let mut command = home.command(std::path::Path::new("systemd-analyze"));
            command.args(["verify", "--man=no"]).arg(&path);
            let done = finish(command, trial.directory());
            let about_it: Vec<&str> = done
                .err
                .lines()
                .filter(|line| line.contains("ockam-"))
                .collect();
            assert!(about_it.is_empty(), "{done:#?}");
        }
    }
}

/// Whether a process does something of its own when it is told to end.
fn catches_term(pid: u32) -> bool {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let caught = text
        .lines()
        .find_map(|line| line.strip_prefix("SigCgt:"))
        .unwrap();
    u64::from_str_radix(caught.trim(), 16).unwrap() & (1 << 14) != 0
}

fn ask(home: &Home, request: &str) -> String {
    let status = home.json("orchestrator status");
    exchange(status["status_endpoint"].as_str().unwrap(), request)
}

pub(crate) fn exchange(endpoint: &str, request: &str) -> String {
    let mut stream = connect(endpoint.parse().unwrap(), LONG).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}
