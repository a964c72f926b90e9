//! An Orchestrator whose database is away, full, or older than it, and one that is killed again and again.

use std::net::SocketAddr;
use std::time::Duration;

use crate::home::Home;
use crate::process::wait_until;
use crate::traffic::{Target, assert_echo, free_port};
use crate::trial::Trial;

const LONG: Duration = Duration::from_secs(60);
/// What whoever asks is told while nothing can be done.
const AWAY: &str = "the database of the Orchestrator is away or full: try again later";

/// Starts it where nobody takes its place while it does not run; gives back what others join it with.
fn start(home: &Home) -> String {
    let port = free_port();
    home.ok(&format!("orchestrator start --listen 127.0.0.1:{port}"))
}

/// Somebody else's home, which is enrolled as the administrator.
fn administrator(trial: &Trial, orchestrator: &Home, join: &str) -> Home {
    let code = orchestrator.path().join("orchestrator/first-administrator");
    let code = std::fs::read_to_string(code).unwrap();
    let admin = trial.home("admin");
    admin.ok(&format!("enroll {},{}", join.trim(), code.trim()));
    admin
}

/// An inlet of the administrator, through a relay at the Orchestrator.
fn portal(admin: &Home, target: SocketAddr) -> SocketAddr {
    let inlet = SocketAddr::from(([127, 0, 0, 1], free_port()));
    admin.ok(&format!("tcp-outlet create --to {target}"));
    admin.ok("relay create");
    admin.ok(&format!("tcp-inlet create --from {inlet}"));
    inlet
}

mod needs_postgres {
    use super::*;
    use crate::postgres::Postgres;

    #[test]
    fn while_the_database_is_away_portals_go_on_and_requests_are_told_so() {
        let trial = Trial::beside_others();
        let mut server = Postgres::start();
        let key = trial.directory().join("key");
        std::fs::write(&key, "5a".repeat(32)).unwrap();
        std::fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o600))
            .unwrap();
        let home = trial.home("home");
        let join = home
            .shell(&format!(
                "OCKAM_ORCHESTRATOR_DATABASE={} ockam orchestrator start --listen 127.0.0.1:{} --key-file {}",
                server.database("d"),
                free_port(),
                key.display()
            ))
            .success();
        let admin = administrator(&trial, &home, &join);
        let echo = Target::echo();
        let inlet = portal(&admin, echo.address());
        assert_echo(inlet);
        admin.ok("space create kept");

        server.stop();
        assert_echo(inlet);
        // A new channel needs the database: whether a peer shows an older history of itself is in there.
        let said = admin.shell("OCKAM_DEFAULT_TIMEOUT=5s ockam space create late");
        let said = said.failure();
        assert!(said.contains("OCK503") || said.contains(AWAY), "{said}");
        assert_echo(inlet);

        server.run();
        wait_until("it works again", LONG, || {
            admin.ockam("space create late").code == Some(0)
        });
        let spaces = admin.ok("space list --jq [.[].name]");
        assert!(
            spaces.contains("kept") && spaces.contains("late"),
            "{spaces}"
        );
        assert_echo(inlet);
        home.ok("orchestrator audit verify");
    }
}

mod needs_root {
    use super::*;

    /// A disk of its own, which is gone with this.
    struct Disk(std::path::PathBuf);

    impl Disk {
        fn mount(at: std::path::PathBuf) -> Self {
            std::fs::create_dir(&at).unwrap();
            let done = std::process::Command::new("mount")
                .args(["-t", "tmpfs", "-o", "size=8m,mode=0700", "none"])
                .arg(&at)
                .status();
            assert!(done.unwrap().success());
            Self(at)
        }
    }

    impl Drop for Disk {
        fn drop(&mut self) {
            let done = std::process::Command::new("umount")
                .arg("-l")
                .arg(&self.0)
                .status();
            drop(done);
        }
    }

    #[test]
    fn on_a_full_disk_portals_go_on_and_requests_are_told_so() {
        let trial = Trial::beside_others();
        let disk = Disk::mount(trial.directory().join("disk"));
        let home = trial.home_at(disk.0.join("home"));
        let join = start(&home);
        let admin = administrator(&trial, &home, &join);
        let echo = Target::echo();
        let inlet = portal(&admin, echo.address());
        assert_echo(inlet);
        admin.ok("space create kept");

        // Whatever room there is in pages that are there already is used up, too.
        let filler = disk.0.join("filler");
        std::fs::write(&filler, vec![0; 8 << 20]).unwrap_err();
        let said = (0..50)
            .map(|number| admin.ockam(&format!("space create s{number}")))
            .find(|done| done.code != Some(0));
        let said = said.unwrap().failure();
        assert!(said.contains(AWAY), "{said}");
        assert_echo(inlet);

        std::fs::remove_file(&filler).unwrap();
        admin.ok("space create late");
        let spaces = admin.ok("space list --jq [.[].name]");
        assert!(
            spaces.contains("kept") && spaces.contains("late"),
            "{spaces}"
        );
        home.ok("orchestrator audit verify");
    }
}

mod needs_python3 {
    use super::*;

    /// Compares the tables of an Orchestrator with its audit log: whatever is there was made, whatever was made and not
    /// deleted is there.
    const COMPARE: &str = r#"
import sqlite3, sys
db = sqlite3.connect(sys.argv[1])
def made(what):
    there = set()
    for action, thing, outcome in db.execute("SELECT action, object, outcome FROM audit ORDER BY sequence"):
        name = thing.split(" ")[1] if " " in thing else ""
        if action == what + ".create" and outcome in ("begun", "done"):
            there.add(name)
        if action == what + ".delete" and outcome == "done":
            there.discard(name)
    return there
for what in ("space", "project"):
    table = {row[0] for row in db.execute(f"SELECT id FROM orchestrator_{what}")}
    assert table == made(what), (what, table ^ made(what))
assert not db.execute("SELECT * FROM orchestrator_due").fetchall()
hosted = {row[0] for row in db.execute("SELECT project FROM hosting")}
ready = {row[0] for row in db.execute("SELECT id FROM orchestrator_project WHERE is_ready = 1")}
assert ready <= hosted, ready - hosted
print(len(made("space")), len(made("project")))
"#;

    #[test]
    fn the_audit_log_has_what_the_tables_have_however_often_it_is_killed() {
        let trial = Trial::beside_others();
        let home = trial.home("home");
        let join = start(&home);
        let admin = administrator(&trial, &home, &join);
        let mut acknowledged = Vec::new();
        for round in 0..6_u64 {
            let asking = {
                let admin = admin.clone();
                std::thread::spawn(move || {
                    let (space, project) = (format!("s{round}"), format!("p{round}"));
                    let made = admin.ockam(&format!("space create {space}")).code == Some(0);
                    admin.ockam(&format!("project create {space} {project}"));
                    admin.ockam(&format!("project delete {space} {project} --yes"));
                    made.then_some(space)
                })
            };
            // Each time a little later, so that it is in the middle of something else.
            std::thread::sleep(Duration::from_millis(60 + 90 * round));
            home.kill("orchestrator");
            home.ok("orchestrator start");
            acknowledged.extend(asking.join().unwrap());
        }
        home.ok("orchestrator audit verify");
        let database = home.path().join("orchestrator.sqlite3");
        let script = trial.directory().join("compare");
        std::fs::write(&script, COMPARE).unwrap();
        let compare = format!("python3 {} {}", script.display(), database.display());
        wait_until("what was left to be done is done", LONG, || {
            home.shell(&compare).code == Some(0)
        });
        let known = admin.ok("space list --jq [.[].name]");
        for space in acknowledged {
            assert!(known.contains(&space), "{space} is not in {known}");
        }
    }

    #[test]
    fn a_controller_that_only_the_environment_names_is_kept_with_what_it_gives() {
        let trial = Trial::beside_others();
        let home = trial.home("home");
        let join = start(&home);
        let admin = administrator(&trial, &home, &join);
        let status = home.json("orchestrator status");
        let (host, port) = status["listener"]
            .as_str()
            .unwrap()
            .rsplit_once(':')
            .unwrap();
        let named = format!(
            "export OCKAM_CONTROLLER_ADDR=/ip4/{host}/tcp/{port}/service/api OCKAM_CONTROLLER_IDENTITY_ID={}",
            status["identifier"].as_str().unwrap()
        );
        // A home that has the identity, and heard nothing of the controller.
        let forget = "import sqlite3, sys; db = sqlite3.connect(sys.argv[1]); \
            db.execute('PRAGMA foreign_keys = ON'); db.execute('DELETE FROM controller'); \
            db.execute('DELETE FROM credential'); db.commit()";
        let database = admin.path().join("ockam.sqlite3");
        admin
            .shell(&format!("python3 -c \"{forget}\" {}", database.display()))
            .success();
        admin
            .shell(&format!(
                "{named}; ockam space create web; ockam project create web shop"
            ))
            .success();
        let kept = admin.shell(&format!(
            "{named}; ockam project list --jq '[.[].name]|join(\" \")'"
        ));
        assert!(kept.success().contains("shop"));
    }
}
