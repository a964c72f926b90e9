//! Power cuts: a node is killed at random moments while commands run. What was acknowledged is there at the next start.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::home::Home;
use crate::process::{self, wait_until};
use crate::traffic::noise;
use crate::trial::Trial;

#[test]
fn what_was_acknowledged_survives_fifty_kills() {
    let trial = Trial::alone();
    let home = trial.home("home");
    home.ok("node create n");
    let mut ledger = Ledger::default();
    let mut cut_short = 0;
    for round in 0..KILLS {
        let pid = home.node("n").pid;
        let down = Arc::new(AtomicBool::new(false));
        let killer = {
            let down = down.clone();
            let delay = Duration::from_millis(u64::from(noise(round, 1)[0]));
            std::thread::spawn(move || {
                // The moment is what this test is about; nothing is waited for.
                std::thread::sleep(delay);
                process::kill(pid);
                down.store(true, Ordering::Release);
            })
        };
        let mut step = 0;
        while !down.load(Ordering::Acquire) {
            cut_short += usize::from(!ledger.ask(&home, round, step));
            step += 1;
        }
        killer.join().unwrap();
        let start = Instant::now();
        home.ok("node start n");
        assert!(start.elapsed() < Duration::from_secs(10));
        ledger.check(&home);
    }
    eprintln!(
        "{KILLS} kills, {cut_short} commands cut short, {} things there at the end",
        ledger.there.values().map(BTreeSet::len).sum::<usize>()
    );
    assert!(cut_short > 0, "no kill hit a command");
}

/// The command that creates the node is killed, or the node before it has told that it is ready.
#[test]
fn a_home_survives_kills_during_node_create_and_start() {
    let trial = Trial::alone();
    let home = trial.home("home");
    let mut acknowledged: BTreeSet<String> = BTreeSet::new();
    for round in 0..15_u64 {
        let name = format!("n{round}");
        let mut creating = home
            .command(&crate::home::program())
            .args(["node", "create", &name])
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let delay = Duration::from_millis(u64::from(noise(100 + round, 1)[0]) / 2);
        let end = Instant::now() + delay;
        let mut status = None;
        while Instant::now() < end && status.is_none() {
            status = creating.try_wait().unwrap();
            std::thread::sleep(Duration::from_millis(1));
        }
        // The command and the node at once; the home is in the environment of both.
        process::kill_all_that_mention(home.path());
        let status = status.unwrap_or_else(|| creating.wait().unwrap());
        if status.success() {
            acknowledged.insert(name.clone());
        }
        let listed = home.ok("node list --output json");
        assert!(
            acknowledged
                .iter()
                .all(|name| listed.contains(&format!("\"{name}\""))),
            "{listed}"
        );
        // Whatever there is of it can be started, or made again.
        let again = if listed.contains(&format!("\"{name}\"")) {
            "start"
        } else {
            "create"
        };
        home.ok(&format!("node {again} {name}"));
        assert_eq!(
            home.ok(&format!(
                "message send hello --to /node/{name}/service/uppercase"
            )),
            "HELLO"
        );
        acknowledged.insert(name);
    }
}

/// What was asked for, and what may or may not have happened.
#[derive(Default)]
struct Ledger {
    /// Acknowledged as created and not asked to be deleted since.
    there: BTreeMap<&'static str, BTreeSet<String>>,
    /// Acknowledged as deleted.
    gone: BTreeSet<(&'static str, String)>,
}

impl Ledger {
    /// Runs one command; whether it was acknowledged.
    fn ask(&mut self, home: &Home, round: u64, step: u64) -> bool {
        let kind = KINDS[usize::try_from(step).unwrap() % KINDS.len()];
        let there = self.there.entry(kind).or_default();
        // A few stay, so that a start has something to bring back; the others come and go.
        if there.len() > 6 {
            let name = there.pop_first().unwrap();
            let done = home.ockam(&format!(
                "{kind} delete {name} --at n{}",
                if kind == LISTENER { "" } else { " --yes" }
            ));
            if done.code == Some(0) {
                self.gone.insert((kind, name));
                return true;
            }
            // It may be there or not; nothing is known of it any more.
            return false;
        }
        let name = format!("x{round}y{step}");
        let rest = match kind {
            OUTLET => format!("--to 127.0.0.1:{}", 10_000 + round),
            INLET => "--no-connection-wait --to /service/nobody".to_owned(),
            RELAY => "--no-connection-wait --at /node/n --to n".to_owned(),
            _ => String::new(),
        };
        let at = if kind == RELAY { "" } else { "--at n" };
        let done = home.ockam(&format!("{kind} create {name} {at} {rest}"));
        if done.code == Some(0) {
            there.insert(name);
        }
        done.code == Some(0)
    }

    fn check(&self, home: &Home) {
        for kind in KINDS {
            let at = if kind == RELAY { "--to n" } else { "--at n" };
            let mut listed = String::new();
            // Everything is asked for again at the start; what needs a moment gets it.
            wait_until(
                "everything acknowledged is listed",
                Duration::from_secs(5),
                || {
                    listed = home.ok(&format!("{kind} list {at} --output plain"));
                    let there = self.there.get(kind).into_iter().flatten();
                    let missing: Vec<&String> =
                        there.filter(|name| !mentions(&listed, name)).collect();
                    if !missing.is_empty() {
                        eprintln!("missing {kind}: {missing:?} in {listed}");
                    }
                    missing.is_empty()
                },
            );
            for (_, name) in self.gone.iter().filter(|(of, _)| *of == kind) {
                assert!(
                    !mentions(&listed, name),
                    "{kind} {name} was deleted and is back: {listed}"
                );
            }
        }
    }
}

/// Whether the name stands in the text as a word.
fn mentions(text: &str, name: &str) -> bool {
    text.split(|letter: char| !letter.is_ascii_alphanumeric())
        .any(|word| word == name)
}

const KINDS: [&str; 4] = [OUTLET, INLET, LISTENER, RELAY];
const OUTLET: &str = "tcp-outlet";
const INLET: &str = "tcp-inlet";
const LISTENER: &str = "secure-channel-listener";
const RELAY: &str = "relay";
const KILLS: u64 = 50;
