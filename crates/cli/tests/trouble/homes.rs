//! Homes in odd places, and many commands at once in one of them.

use std::collections::HashSet;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;
use std::sync::{Arc, Barrier};
use std::time::Duration;

use crate::process::wait_until;
use crate::traffic::{Target, assert_echo};
use crate::trial::Trial;

#[test]
fn a_home_path_of_two_hundred_characters_works() {
    let trial = Trial::beside_others();
    let target = Target::echo();
    let mut path = trial.directory().to_path_buf();
    while path.as_os_str().len() < 200 {
        let missing = 200 - path.as_os_str().len();
        path.push("d".repeat(missing.saturating_sub(1).clamp(1, 60)));
    }
    assert!(path.as_os_str().len() >= 200);
    let home = trial.home_at(path);
    home.ok("node create n1");
    home.ok("node create n2");
    home.ok(&format!(
        "tcp-outlet create --at n1 --to {}",
        target.address()
    ));
    home.ok("relay create r --at n2 --to n1");
    let inlet = home.ok(
        "tcp-inlet create --at n2 --to /node/n2/service/forward_to_r/secure/api/service/outlet",
    );
    assert_echo(inlet.parse().unwrap());
    home.kill("n1");
    home.ok("node start n1");
    wait_until("the portal is back", Duration::from_secs(5), || {
        crate::traffic::exchange(inlet.parse().unwrap(), b"x", Duration::from_secs(1)).is_ok()
    });
    assert!(home.ok("node delete --all --yes").contains("n1"));
}

#[test]
fn two_homes_have_nodes_of_the_same_name() {
    let trial = Trial::beside_others();
    // Also where the path is too long for a socket of its own.
    for length in [1, 180] {
        let [one, two] = ["1", "2"].map(|number| {
            let home = trial.home(&format!("{}{number}", "h".repeat(length)));
            home.ok("node create same");
            home
        });
        assert_ne!(one.node("same").pid, two.node("same").pid);
        assert_ne!(one.ok("identity show"), two.ok("identity show"));
        one.ok("node delete same --yes");
        assert_eq!(
            two.ok("message send hello --to /node/same/service/uppercase"),
            "HELLO"
        );
    }
}

#[test]
fn guard_11_2_19_everything_in_a_home_is_its_owners_alone() {
    let trial = Trial::beside_others();
    let home = trial.home("home");
    home.ok("node create n");
    home.ok("identity create further");
    home.ok("tcp-outlet create --at n --to 9");
    let mut seen = 0;
    assert_private(home.path(), &mut seen);
    assert!(seen >= 4, "{seen} things in the home");
}

/// Every command that is acknowledged has its effect, whatever else happens at the same time.
#[test]
fn two_hundred_commands_at_once_in_one_home() {
    let trial = Trial::alone();
    let home = trial.home("home");
    home.ok("node create n --identity m");
    let begin = Arc::new(Barrier::new(COMMANDS));
    let commands: Vec<_> = (0..COMMANDS)
        .map(|number| {
            let (home, begin) = (home.clone(), begin.clone());
            std::thread::spawn(move || {
                let line = match number % KINDS {
                    0 => format!("identity create i{number} --vault default"),
                    1 => format!(
                        "tcp-outlet create o{number} --at n --to 127.0.0.1:{}",
                        10_000 + number
                    ),
                    2 => "node list".to_owned(),
                    3 => format!("secure-channel-listener create l{number} --at n"),
                    5 => format!("vault create v{number}"),
                    6 => "vault list".to_owned(),
                    // A node is a process of its own, so there are fewer of them.
                    7 if number % (5 * KINDS) == 7 => format!("node create n{number} --identity m"),
                    7 => "identity show m".to_owned(),
                    _ => format!(
                        "tcp-inlet create t{number} --at n --no-connection-wait --to /service/o1"
                    ),
                };
                begin.wait();
                (number, home.ockam(&line))
            })
        })
        .collect();
    for command in commands {
        let (number, done) = command.join().unwrap();
        assert_eq!(done.code, Some(0), "command {number}: {done:#?}");
    }
    let names = |list: &str, field: &str| -> HashSet<String> {
        let listed = home.json(list);
        let listed = listed.as_array().unwrap();
        listed
            .iter()
            .map(|item| item[field].as_str().unwrap().to_owned())
            .collect()
    };
    let check = || {
        let expected = |kind: usize, prefix: &str| {
            (0..COMMANDS)
                .filter(move |number| number % KINDS == kind)
                .map(move |number| format!("{prefix}{number}"))
                .collect::<Vec<_>>()
        };
        let identities = names("identity list", "name");
        assert!(
            expected(0, "i")
                .iter()
                .all(|name| identities.contains(name))
        );
        let vaults = home.ok("vault list --jq .[].vault.name");
        assert!(
            expected(5, "v")
                .iter()
                .all(|name| vaults.contains(&format!("\"{name}\""))),
            "{vaults}"
        );
        let nodes = names("node list", "node_name");
        assert_eq!(nodes.len(), 1 + COMMANDS / (5 * KINDS), "{nodes:?}");
        let outlets = home.ok("tcp-outlet list --at n --output json");
        assert!(
            expected(1, "o")
                .iter()
                .all(|name| outlets.contains(&format!("{name}\""))),
            "{outlets}"
        );
        let listeners = home.ok("secure-channel-listener list --at n");
        assert!(
            expected(3, "l").iter().all(|name| listeners.contains(name)),
            "{listeners}"
        );
        let inlets = home.ok("tcp-inlet list --at n --output json");
        assert!(
            expected(4, "t")
                .iter()
                .all(|name| inlets.contains(&format!("\"{name}\""))),
            "{inlets}"
        );
    };
    check();
    home.kill("n");
    home.ok("node start n");
    check();
}

/// Many nodes are created in one home at the same time, each with what only it was asked for.
#[test]
fn twenty_nodes_are_created_at_once_in_one_new_home() {
    let trial = Trial::alone();
    let home = trial.home("home");
    let begin = Arc::new(Barrier::new(NODES));
    let commands: Vec<_> = (0..NODES)
        .map(|number| {
            let (home, begin) = (home.clone(), begin.clone());
            std::thread::spawn(move || {
                begin.wait();
                home.ok(&format!("node create n{number}"))
            })
        })
        .collect();
    for (number, command) in commands.into_iter().enumerate() {
        assert_eq!(command.join().unwrap(), format!("n{number}"));
    }
    let listed = home.json("node list");
    let listed = listed.as_array().unwrap();
    assert_eq!(listed.len(), NODES);
    assert!(
        listed
            .iter()
            .all(|node| node["status"]["status"] == "running")
    );
    assert_eq!(
        listed
            .iter()
            .filter(|node| node["is_default"] == true)
            .count(),
        1
    );
    // One identity, made by whoever came first.
    assert_eq!(home.json("identity list").as_array().unwrap().len(), 1);
    for number in 0..NODES {
        assert_eq!(
            home.ok(&format!(
                "message send hello --to /node/n{number}/secure/api/service/uppercase"
            )),
            "HELLO"
        );
    }
    home.ok("node delete --all --yes");
    assert_eq!(home.json("node list").as_array().unwrap().len(), 0);
}

fn assert_private(path: &Path, seen: &mut usize) {
    let metadata = std::fs::symlink_metadata(path).unwrap();
    let kind = metadata.file_type();
    assert!(
        kind.is_file() || kind.is_dir() || kind.is_socket(),
        "{}",
        path.display()
    );
    assert_eq!(
        metadata.mode() & 0o077,
        0,
        "{} is open to others",
        path.display()
    );
    *seen += 1;
    if metadata.is_dir() {
        for entry in std::fs::read_dir(path).unwrap() {
            assert_private(&entry.unwrap().path(), seen);
        }
    }
}

const COMMANDS: usize = 200;
const KINDS: usize = 8;
const NODES: usize = 20;
