//! Homes that cannot be used as they are: every command says so in words that help, ends with 70, and loses nothing.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions as _, Connection as _};

use crate::home::{Done, Home, program};
use crate::trial::Trial;

#[test]
fn a_damaged_database_is_named_and_comes_back_with_its_backup() {
    let trial = Trial::beside_others();
    let home = furnished(&trial);
    let database = home.path().join("ockam.sqlite3");
    let before = home.ok("identity list");
    let sound = fs::read(&database).unwrap();
    let damages: [(&str, Vec<u8>); 5] = [
        ("half of it", sound[..sound.len() / 2].to_vec()),
        ("its first bytes", sound[..50].to_vec()),
        ("one page and a half", sound[..6144].to_vec()),
        ("zeros", vec![0; sound.len()]),
        ("noise", noise(sound.len())),
    ];
    for (damage, bytes) in damages {
        fs::write(&database, &bytes).unwrap();
        for line in EVERY_KIND {
            let done = home.ockam(line);
            refused(&done, "is damaged");
            assert!(done.err.contains("ockam reset"), "{damage}: {done:#?}");
        }
        assert!(fs::read(&database).unwrap() == bytes, "{damage}");
        leave_only(&home, &sound);
        assert_eq!(home.ok("identity list"), before, "{damage}");
    }
    home.ok("node start n1");
}

#[test]
fn a_damaged_page_is_noticed_or_does_not_matter() {
    let trial = Trial::beside_others();
    let home = furnished(&trial);
    let database = home.path().join("ockam.sqlite3");
    let before = home.ok("identity list");
    let sound = fs::read(&database).unwrap();
    let mut noticed = 0;
    for page in 0..sound.len() / 4096 {
        let mut bytes = sound.clone();
        bytes[page * 4096..(page + 1) * 4096].copy_from_slice(&noise(4096));
        fs::write(&database, &bytes).unwrap();
        for line in [
            "identity list",
            "vault create further",
            "node list",
            "node start n1",
        ] {
            let done = home.ockam(line);
            assert!(matches!(done.code, Some(0 | 70)), "page {page}: {done:#?}");
            assert!(!done.err.contains("panicked"), "page {page}: {done:#?}");
            noticed += usize::from(done.code == Some(70));
        }
        home.ockam("node stop n1");
        leave_only(&home, &sound);
        let _ = fs::remove_file(home.path().join("vault-further"));
        assert_eq!(home.ok("identity list"), before, "page {page}");
    }
    assert!(noticed > 0);
}

#[test]
fn a_newer_home_is_left_to_newer_programs() {
    let trial = Trial::beside_others();
    let home = furnished(&trial);
    run(
        &home,
        "PRAGMA user_version = 999; PRAGMA wal_checkpoint(TRUNCATE)",
    );
    let before = fs::read(home.path().join("ockam.sqlite3")).unwrap();
    for line in EVERY_KIND {
        refused(&home.ockam(line), "use a newer version of ockam");
    }
    assert!(fs::read(home.path().join("ockam.sqlite3")).unwrap() == before);
}

#[test]
fn a_home_that_stays_locked_can_be_read_and_says_who_to_wait_for() {
    let trial = Trial::beside_others();
    let home = furnished(&trial);
    let runtime = runtime();
    let mut held = runtime.block_on(open(&home));
    runtime.block_on(async {
        sqlx::raw_sql("BEGIN IMMEDIATE")
            .execute(&mut held)
            .await
            .unwrap();
    });
    assert!(home.ok("identity list").contains("\"m\""));
    let begun = Instant::now();
    let mut waiting = home.command(&program());
    waiting
        .args(["vault", "create", "late"])
        .stderr(Stdio::piped());
    let waiting = waiting.spawn().unwrap();
    let done = waiting.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&done.stderr).into_owned();
    assert_eq!(done.status.code(), Some(70), "{text}");
    assert!(text.contains("is in use by other processes"), "{text}");
    assert!(begun.elapsed() < Duration::from_secs(45));
    runtime.block_on(async {
        sqlx::raw_sql("ROLLBACK").execute(&mut held).await.unwrap();
        held.close().await.unwrap();
    });
    assert!(!home.ok("vault list").contains("late"));
    home.ok("vault create late");
}

#[test]
fn a_file_that_may_not_grow_is_an_error_and_loses_nothing() {
    let trial = Trial::beside_others();
    let home = furnished(&trial);
    let before = home.ok("identity list");
    // What the system allows is reached within a few commands; the signal it sends is ignored, or ends the command.
    for (signal, code) in [("trap '' XFSZ", Some(70)), ("true", None)] {
        let script = format!(
            "{signal}; ulimit -f 40; for i in 1 2 3 4 5 6 7 8 9; do ockam identity create x$i --vault second || exit $?; done"
        );
        let done = home.shell(&script);
        match code {
            Some(code) => {
                assert_eq!(done.code, Some(code), "{done:#?}");
                assert!(done.err.contains("cannot grow"), "{done:#?}");
            }
            None => assert_ne!(done.code, Some(0), "{done:#?}"),
        }
        assert!(!done.err.contains("panicked"), "{done:#?}");
        for number in 1..10 {
            home.ockam(&format!("identity delete x{number} --yes"));
        }
        assert_eq!(home.ok("identity list"), before);
    }
}

#[test]
fn a_missing_or_damaged_vault_file_spoils_only_what_needs_it() {
    let trial = Trial::beside_others();
    let home = furnished(&trial);
    let file = home.path().join("vault-second");
    for damage in ["missing", "short", "noise"] {
        let sound = fs::read(&file).unwrap();
        match damage {
            "missing" => fs::remove_file(&file).unwrap(),
            "short" => fs::write(&file, &sound[..100]).unwrap(),
            _ => fs::write(&file, noise(sound.len())).unwrap(),
        }
        for line in ["identity create late --vault second", "identity rotate s"] {
            refused(&home.ockam(line), "vault-second");
        }
        home.ok("identity list");
        home.ok("vault list");
        home.ok("identity rotate m");
        fs::write(&file, &sound).unwrap();
        home.ok("identity rotate s");
    }
}

mod needs_root {
    use std::os::unix::fs::PermissionsExt as _;
    use std::os::unix::process::CommandExt as _;

    use super::*;
    use crate::home::finish;

    #[test]
    fn a_full_disk_is_named_and_with_room_again_everything_goes_on() {
        let trial = Trial::beside_others();
        let disk = Disk::mount(trial.directory().join("disk"), "size=1m");
        let home = trial.home_at(disk.0.join("home"));
        furnish(&home);
        let before = home.ok("identity list");
        let filler = disk.0.join("filler");
        fs::write(&filler, vec![0; 1024 * 1024]).unwrap_err();
        let mut full = 0;
        for number in 0..300 {
            let line = match number % 3 {
                0 => format!("identity create x{number} --vault default"),
                1 => format!("vault create v{number}"),
                _ => format!("node create n{number} --identity m"),
            };
            let done = home.ockam(&line);
            if done.code != Some(0) {
                refused(&done, "is full");
                full += 1;
            }
            if full > 5 {
                break;
            }
        }
        assert!(full > 5);
        fs::remove_file(&filler).unwrap();
        home.ok("node delete --all --yes");
        for item in home.json("identity list").as_array().unwrap() {
            let name = item["name"].as_str().unwrap();
            if name.starts_with('x') {
                home.ok(&format!("identity delete {name} --yes"));
            }
        }
        assert_eq!(home.ok("identity list"), before);
        home.ok("node create n1 --identity m");
        home.ok("node delete --all --yes");
    }

    #[test]
    fn a_read_only_home_is_named() {
        let trial = Trial::beside_others();
        let disk = Disk::mount(trial.directory().join("disk"), "size=4m");
        let home = trial.home_at(disk.0.join("home"));
        furnish(&home);
        disk.remount("ro");
        for line in [
            "vault create x",
            "identity create x --vault default",
            "node create n2",
            "reset --yes",
        ] {
            refused(&home.ockam(line), "read-only");
        }
        disk.remount("rw");
        home.ok("vault create x");
    }

    #[test]
    fn a_home_of_somebody_else_is_not_used() {
        let trial = Trial::beside_others();
        fs::set_permissions(trial.directory(), fs::Permissions::from_mode(0o755)).unwrap();
        let home = furnished(&trial);
        fs::set_permissions(home.path(), fs::Permissions::from_mode(0o777)).unwrap();
        let copy = trial.directory().join("ockam");
        fs::copy(program(), &copy).unwrap();
        for line in EVERY_KIND.iter().chain(&["reset --yes"]) {
            let mut command = home.command(&copy);
            command.args(line.split(' ')).uid(NOBODY).gid(NOBODY);
            let done = finish(command, trial.directory());
            refused(&done, "belongs to user 0, not to you");
            assert!(done.err.contains("OCKAM_HOME"), "{done:#?}");
        }
        home.ok("identity list");
    }

    /// A file system of its own.
    struct Disk(PathBuf);

    impl Disk {
        fn mount(path: PathBuf, options: &str) -> Self {
            fs::create_dir(&path).unwrap();
            mount(&["-t", "tmpfs", "-o", options, "none", path.to_str().unwrap()]);
            Self(path)
        }

        fn remount(&self, how: &str) {
            mount(&["-o", &format!("remount,{how}"), self.0.to_str().unwrap()]);
        }
    }

    impl Drop for Disk {
        fn drop(&mut self) {
            let _ = Command::new("umount").arg("-l").arg(&self.0).status();
        }
    }

    fn mount(arguments: &[&str]) {
        let done = Command::new("mount").args(arguments).output().unwrap();
        assert!(done.status.success(), "{done:?}");
    }

    const NOBODY: u32 = 65_534;
}

/// A home with two vaults, an identity in each, and a stopped node, all in one file each.
fn furnished(trial: &Trial) -> Home {
    let home = trial.home("home");
    furnish(&home);
    home
}

fn furnish(home: &Home) {
    home.ok("node create n1 --identity m");
    home.ok("vault create second");
    home.ok("identity create s --vault second");
    home.ok("node stop n1");
    run(home, "PRAGMA wal_checkpoint(TRUNCATE)");
}

/// The database as it was, without the log of whoever tried meanwhile.
fn leave_only(home: &Home, sound: &[u8]) {
    for file in ["ockam.sqlite3-wal", "ockam.sqlite3-shm"] {
        let _ = fs::remove_file(home.path().join(file));
    }
    fs::write(home.path().join("ockam.sqlite3"), sound).unwrap();
}

fn refused(done: &Done, phrase: &str) {
    assert_eq!(done.code, Some(70), "{done:#?}");
    assert!(done.err.contains(phrase), "no `{phrase}` in {done:#?}");
    assert!(!done.err.contains("panicked"), "{done:#?}");
}

/// The same bytes in every run, and nothing a database would have.
fn noise(length: usize) -> Vec<u8> {
    let mut state: u32 = 0x9e37_79b9;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state.to_le_bytes()[1]
    };
    (0..length).map(|_| next()).collect()
}

fn run(home: &Home, statements: &'static str) {
    runtime().block_on(async {
        let mut db = open(home).await;
        sqlx::raw_sql(statements).execute(&mut db).await.unwrap();
        db.close().await.unwrap();
    });
}

async fn open(home: &Home) -> SqliteConnection {
    SqliteConnectOptions::new()
        .filename(home.path().join("ockam.sqlite3"))
        .connect()
        .await
        .unwrap()
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

const EVERY_KIND: [&str; 8] = [
    "node list",
    "node create n2",
    "node start n1",
    "identity create x",
    "identity show",
    "vault list",
    "vault create x",
    "message send hello --to /service/echo",
];
