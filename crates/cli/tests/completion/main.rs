//! Completion in real shells, in a home with two nodes.
//!
//! The shells run the script that `ockam completion` prints. One test asks the program in the way scripts do, so that the
//! names are checked also where a shell is missing.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[allow(dead_code, reason = "only the terminal itself is needed here")]
#[path = "../transcripts/pty.rs"]
mod pty;

use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use ockam_store::{Home, IfRunning, NodeStart, Store};

#[test]
fn every_shell_is_given_the_names_that_are_there() {
    let world = World::new();
    for shell in ["zsh", "fish", "elvish", "powershell"] {
        let sign = if shell == "powershell" { "=" } else { "" };
        let ask = |words: &[&str]| {
            let words: Vec<String> = words.iter().map(|word| format!("{sign}{word}")).collect();
            let text = world.ask(shell, &words);
            let names = text
                .lines()
                .map(|line| line.split('\t').nth(1).unwrap().to_owned());
            names.collect::<Vec<_>>()
        };
        assert_eq!(
            ask(&["ockam", "node", "show", ""]),
            ["alpha", "beta"],
            "{shell}"
        );
        assert_eq!(ask(&["ockam", "tcp-inlet", "show", ""]), ["web"], "{shell}");
        assert_eq!(
            ask(&["ockam", "tcp-inlet", "show", "--at", "beta", ""]),
            ["my inlet"],
            "{shell}"
        );
        assert_eq!(
            ask(&["ockam", "tcp-inlet", "create", "--to", "/node/a"]),
            ["/node/alpha"],
            "{shell}"
        );
        assert_eq!(
            ask(&["ockam", "message", "send", "x", "--from", "b"]),
            ["beta"],
            "{shell}"
        );
    }
    let line = |text: &str| world.ask("bash", &[text.to_owned(), " \t\n\"'><=;|&(:".to_owned()]);
    assert_eq!(line("ockam tcp-inlet show --at=beta "), "my\\ inlet\n");
    assert_eq!(line("ockam node list --output=j"), "json\n");
}

#[test]
fn a_home_that_is_missing_or_damaged_has_no_names_and_stays_as_it_is() {
    let world = World::new();
    let missing = world.folder.path().join("missing");
    let words = ["ockam", "node", "show", ""].map(str::to_owned);
    assert!(!world.ask_at(&missing, "zsh", &words).contains("alpha"));
    assert!(!missing.exists());
    std::fs::create_dir(&missing).unwrap();
    std::fs::write(missing.join("ockam.sqlite3"), "no database").unwrap();
    assert!(!world.ask_at(&missing, "zsh", &words).contains("alpha"));
    assert_eq!(std::fs::read_dir(&missing).unwrap().count(), 1);
    // What needs no names is completed all the same.
    let words = ["ockam", "node", "sh"].map(str::to_owned);
    assert!(world.ask_at(&missing, "zsh", &words).starts_with("show\t"));
}

#[test]
fn bash_completes_at_the_prompt() {
    let world = World::new();
    let mut shell = Prompt::start(&world, "bash", &["--norc", "--noprofile", "-i"]);
    shell.run("source <(ockam completion --shell bash)");
    completes_at_the_prompt(&mut shell, &world);
}

mod needs_zsh {
    use super::*;

    #[test]
    fn zsh_completes_at_the_prompt() {
        let world = World::new();
        let mut shell = Prompt::start(&world, "zsh", &["-f", "-i"]);
        shell.run("source <(ockam completion --shell zsh)");
        completes_at_the_prompt(&mut shell, &world);
    }
}

mod needs_fish {
    use super::*;

    #[test]
    fn fish_completes() {
        let world = World::new();
        let offered = |line: &str| {
            let script = format!("ockam completion --shell fish | source; complete -C '{line}'");
            world.output(world.command("fish").args(["--no-config", "-c", &script]))
        };
        assert_eq!(offered("ockam node show "), "alpha\nbeta\n");
        assert_eq!(offered("ockam tcp-inlet show --at beta "), "my inlet\n");
        assert_eq!(offered("ockam tcp-inlet show --at beta my"), "my inlet\n");
        assert!(offered("ockam node st").starts_with("start\tStart "));
        let program = world.program.display().to_string();
        let by_path = offered(&format!("{program} node show al"));
        assert_eq!(by_path, "alpha\n");
    }
}

mod needs_elvish {
    use super::*;

    #[test]
    fn elvish_completes() {
        let world = World::new();
        let mut shell = Prompt::start(&world, "elvish", &["-norc", "-db", "db"]);
        shell.run("eval (ockam completion --shell elvish | slurp)");
        let shown = shell.run(
            "$edit:completion:arg-completer[ockam] ockam tcp-inlet show --at beta '' | each {|c| echo '<'$c[stem]'>' }",
        );
        assert!(shown.contains("<my inlet>"), "{shown}");
    }
}

/// A name, a name with a blank, and the program called by its path.
fn completes_at_the_prompt(shell: &mut Prompt, world: &World) {
    // From here on the word is a function that shows its words; the script finds the program all the same.
    shell.run("ockam() { printf '<%s>\\n' \"$@\"; }");
    let shown = shell.run("ockam node show al\t");
    assert!(shown.contains("<alpha>"), "{shown}");
    let shown = shell.run("ockam tcp-inlet show --at beta my\t");
    assert!(shown.contains("<my inlet>"), "{shown}");
    let shown = shell.run("ockam node list --output=js\t");
    assert!(shown.contains("<--output=json>"), "{shown}");
    let shown = shell.run(&format!(
        "{} node show al\t --jq .name",
        world.program.display()
    ));
    assert!(shown.contains("\"alpha\""), "{shown}");
}

/// A home with two nodes and two inlets, none of which runs.
struct World {
    folder: tempfile::TempDir,
    home: PathBuf,
    program: PathBuf,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("ockam-").tempdir().unwrap();
        let home = folder.path().join("home");
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let store = Store::open(&Home::open(&home).unwrap()).await.unwrap();
            for (name, inlet) in [("alpha", "web"), ("beta", "my inlet")] {
                let node = NodeStart {
                    name: name.parse().unwrap(),
                    identity: None,
                    process: None,
                    listener: None,
                    status_endpoint: None,
                    options: "{}".to_owned(),
                };
                store.create_node(&node, IfRunning::Refuse).await.unwrap();
                store
                    .put_request(&node.name, "tcp-inlet", inlet, "{}")
                    .await
                    .unwrap();
            }
            // The second became the default, as the first does not run.
            store
                .set_default_node(&"alpha".parse().unwrap())
                .await
                .unwrap();
            store.close().await;
        });
        Self {
            folder,
            home,
            program: PathBuf::from(env!("CARGO_BIN_EXE_ockam")),
        }
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        let folder = self.program.parent().unwrap().display();
        command
            .env_clear()
            .env("PATH", format!("{folder}:/usr/local/bin:/usr/bin:/bin"))
            .env("HOME", self.folder.path())
            .env("OCKAM_HOME", &self.home)
            .env("TERM", "dumb")
            .env("LC_ALL", "C.UTF-8")
            .current_dir(self.folder.path());
        command
    }

    /// Asks as a script does.
    fn ask(&self, shell: &str, words: &[String]) -> String {
        self.ask_at(&self.home, shell, words)
    }

    fn ask_at(&self, home: &Path, shell: &str, words: &[String]) -> String {
        let mut command = self.command(&self.program.display().to_string());
        command
            .env("OCKAM_HOME", home)
            .env("OCKAM_COMPLETE", shell)
            .arg("--")
            .args(words);
        self.output(&mut command)
    }

    fn output(&self, command: &mut Command) -> String {
        let output = command.stdin(Stdio::null()).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{command:?}");
        String::from_utf8(output.stdout).unwrap()
    }
}

/// A shell at a terminal. It ends when the terminal does.
struct Prompt {
    keyboard: std::fs::File,
    screen: Arc<Mutex<String>>,
    child: std::process::Child,
    shell: &'static str,
    lines: usize,
}

impl Prompt {
    fn start(world: &World, shell: &'static str, arguments: &[&str]) -> Self {
        let (master, slave) = pty::open();
        let child = world
            .command(shell)
            .args(arguments)
            .env("PS1", "% ")
            .stdin(slave.try_clone().unwrap())
            .stdout(slave.try_clone().unwrap())
            .stderr(slave)
            .spawn()
            .unwrap();
        let screen = Arc::new(Mutex::new(String::new()));
        let (mut reader, seen) = (master.try_clone().unwrap(), Arc::clone(&screen));
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(count @ 1..) = reader.read(&mut bytes) {
                seen.lock()
                    .unwrap()
                    .push_str(&String::from_utf8_lossy(&bytes[..count]));
            }
        });
        Self {
            keyboard: master,
            screen,
            child,
            shell,
            lines: 0,
        }
    }

    /// Types a line and gives what is shown until the next line of ours has been run.
    fn run(&mut self, line: &str) -> String {
        let before = self.screen.lock().unwrap().len();
        self.lines += 1;
        // The sum is not in what is typed, only in what is shown.
        let (mark, sum) = (
            format!("{}00 + 11", self.lines),
            format!("mark{}11", self.lines),
        );
        let mark = match self.shell {
            "elvish" => format!("echo mark(+ {})", mark.replace(" + ", " ")),
            _ => format!("echo mark$(({mark}))"),
        };
        write!(self.keyboard, "{line}\r{mark}\r").unwrap();
        let end = Instant::now() + PATIENCE;
        loop {
            let shown = self
                .screen
                .lock()
                .unwrap()
                .get(before..)
                .unwrap_or_default()
                .to_owned();
            if shown.contains(&sum) {
                return shown;
            }
            assert!(Instant::now() < end, "no end of `{line}`:\n{shown}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Prompt {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const PATIENCE: Duration = Duration::from_secs(60);
