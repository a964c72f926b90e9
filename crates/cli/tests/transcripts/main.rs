//! Every command as a person or a script meets it: the real program, exit code, standard output and standard error.
//!
//! A transcript is a text file of commands with what they print, run one after the other by `sh` in a home of their own:
//!
//! ```text
//! # A comment.
//! $ ockam node create n1
//!   n1
//! $ ockam node show nobody
//! ! x There is no node with name nobody
//! [exit 70]
//! % ockam node delete n1
//! < y
//!   Are you sure you want to proceed? [Y/n] y
//! ```
//!
//! `$` runs in pipes, `%` on a terminal of its own (then both streams are one) into which the lines after `<` are typed:
//! `␠` is a blank, `↓` the key.
//! Standard output is indented, standard error has `! ` in front, `⏎` marks output that ends with a new line although it
//! goes into a pipe. What differs from run to run is replaced by a word in angle brackets.
//!
//! `UPDATE_TRANSCRIPTS=1 cargo test -p ockam-cli --test transcripts` writes what the program prints now into the files.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod pty;
#[path = "../fixtures/published_home.rs"]
mod published_home;
mod stable;

use std::fmt::Write as _;
use std::io::{Read, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// One test for each file, and a test that no file is left out.
macro_rules! transcripts {
    ($($name:ident)*) => {
        $(#[test] fn $name() { check(stringify!($name)); })*

        #[test]
        fn every_transcript_is_checked() {
            let mut files: Vec<String> = std::fs::read_dir(folder())
                .unwrap()
                .map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
                .collect();
            files.sort();
            assert_eq!(files, [$(stringify!($name)),*]);
        }
    };
}

transcripts! {
    arguments
    authority
    authorized
    background
    configuration
    credential
    enroll
    enrollment
    flow_control
    help
    hosted_enroll
    hosted_members
    hosted_projects
    hosted_reset
    hosted_shares
    hosted_sidecar
    hosted_spaces
    identity
    implicit
    import
    json
    json_forms
    logging
    manual
    mistakes
    node
    node_logs
    node_start
    older_syntax
    orchestrator
    policy
    policy_configuration
    project
    project_addon
    project_admin
    questions
    relay
    reload
    reset
    routing
    run
    secure_channel
    share
    sidecar
    space
    status
    strict
    subscription
    tcp_inlet
    tcp_outlet
    terminal
    traps
    values
    vault
    vault_backup
    vault_passphrase
    way
    worker
}

#[test]
fn a_sign_of_life_is_drawn_after_a_second_and_taken_away() {
    let home = Home::new();
    home.run(Mode::Pipe, "ockam node create n1", "");
    let slow = "ockam message send hi --to /node/n1/service/nothing --timeout 1500ms";
    let drawn = home.run(Mode::Terminal, slow, "").output;
    assert!(drawn.contains("\r  ⠋ message send ..."), "{drawn}");
    assert!(pty::still(&drawn).starts_with("  × timeout: "), "{drawn}");
    for (command, sign) in [
        (
            "tcp-inlet create --from 127.0.0.1:0 --to /ip4/127.0.0.1/tcp/1/service/x --connection-wait 1500ms",
            "Waiting for the way to /ip4/127.0.0.1/tcp/1/service/x ...",
        ),
        (
            "--env OCKAM_DEFAULT_TIMEOUT=1500ms relay create --at /node/n1/service/nothing",
            "Waiting for /node/n1/service/nothing to take the relay ...",
        ),
        (
            "--env OCKAM_DEFAULT_TIMEOUT=1500ms secure-channel create --from n1 --to /node/n1/service/nothing",
            "Waiting for the secure channel listener at /node/n1/service/nothing ...",
        ),
    ] {
        let drawn = home
            .run(Mode::Terminal, &format!("ockam {command}"), "")
            .output;
        assert!(drawn.contains(&format!("\r  ⠋ {sign}")), "{drawn}");
    }
    let quick = home.run(Mode::Terminal, "ockam node list", "").output;
    assert!(!quick.contains('⠋'), "{quick}");
    let quiet = home.run(Mode::Terminal, &format!("{slow} --quiet"), "");
    assert_eq!((quiet.output.as_str(), quiet.code), ("", Some(70)));
    let piped = home.run(Mode::Pipe, slow, "").error;
    assert!(!piped.contains('⠋'), "{piped}");
}

fn check(name: &str) {
    let path = folder().join(format!("{name}.txt"));
    let expected = std::fs::read_to_string(&path).unwrap();
    let home = Home::new();
    if name == "import" {
        use published_home::NodeTable;
        published_home::make(&home.0.path().join("published"), NodeTable::Present);
        published_home::make(&home.0.path().join("older"), NodeTable::Missing);
    }
    let mut actual = String::new();
    for step in parse(&expected) {
        match step {
            Step::Text(line) => writeln!(actual, "{line}").unwrap(),
            Step::Run {
                mode,
                command,
                typed,
            } => {
                let result = home.run(mode, &command, &typed);
                actual.push_str(&result.show(mode, &command, &typed, &home));
            }
        }
    }
    if std::env::var_os("UPDATE_TRANSCRIPTS").is_some() {
        std::fs::write(&path, actual).unwrap();
    } else if actual != expected {
        panic!("{name}.txt differs:\n{}", difference(&expected, &actual));
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Pipe,
    Terminal,
}

enum Step {
    Text(String),
    Run {
        mode: Mode,
        command: String,
        typed: String,
    },
}

fn parse(text: &str) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut before = "";
    for line in text.lines() {
        if let Some(command) = line.strip_prefix("$ ") {
            steps.push(Step::Run {
                mode: Mode::Pipe,
                command: command.to_owned(),
                typed: String::new(),
            });
        } else if let Some(command) = line.strip_prefix("% ") {
            steps.push(Step::Run {
                mode: Mode::Terminal,
                command: command.to_owned(),
                typed: String::new(),
            });
        } else if let Some(answer) = line.strip_prefix("< ") {
            if let Some(Step::Run { typed, .. }) = steps.last_mut() {
                writeln!(typed, "{answer}").unwrap();
            }
        } else if line.starts_with('#') {
            // Empty lines elsewhere are output.
            if before.is_empty() && !steps.is_empty() {
                steps.push(Step::Text(String::new()));
            }
            steps.push(Step::Text(line.to_owned()));
        }
        before = line;
    }
    steps
}

/// A state directory whose nodes end with it.
struct Home(tempfile::TempDir);

impl Home {
    fn new() -> Self {
        Self(tempfile::Builder::new().prefix("ockam-").tempdir().unwrap())
    }

    fn command(&self, command: &str) -> Command {
        let binary = Path::new(env!("CARGO_BIN_EXE_ockam")).parent().unwrap();
        let mut shell = Command::new("sh");
        shell
            .args(["-c", command])
            .current_dir(self.0.path())
            .env_clear()
            .env(
                "PATH",
                format!("{}:/usr/local/bin:/usr/bin:/bin", binary.display()),
            )
            .env("HOME", self.0.path())
            .env("OCKAM_HOME", self.0.path().join("home"))
            // A copying pager that is everywhere.
            .env("PAGER", "cat")
            .env("COLUMNS", "100")
            .env("NO_COLOR", "true");
        shell
    }

    fn run(&self, mode: Mode, command: &str, typed: &str) -> Printed {
        let mut shell = self.command(command);
        match mode {
            Mode::Pipe => {
                let mut child = shell
                    .stdin(Stdio::null())
                    .stdout(Stdio::piped())
                    .stderr(Stdio::piped())
                    .spawn()
                    .unwrap();
                let output = collect(child.stdout.take().unwrap());
                let error = collect(child.stderr.take().unwrap());
                let code = wait(&mut child, command);
                Printed {
                    code,
                    output: finish(output, command),
                    error: finish(error, command),
                }
            }
            Mode::Terminal => {
                let (master, slave) = pty::open();
                // Typed before anything is asked, so that the echo comes first.
                let mut keyboard = master.try_clone().unwrap();
                let typed = typed.replace('␠', " ").replace('↓', "\x1b[B");
                keyboard.write_all(typed.as_bytes()).unwrap();
                let mut child = shell
                    .stdin(slave.try_clone().unwrap())
                    .stdout(slave.try_clone().unwrap())
                    .stderr(slave)
                    .spawn()
                    .unwrap();
                // The builder holds the terminal open.
                drop(shell);
                let output = collect(master);
                let code = wait(&mut child, command);
                Printed {
                    code,
                    output: finish(output, command),
                    error: String::new(),
                }
            }
        }
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        // Some transcripts have homes of others beside their own.
        for home in std::fs::read_dir(self.0.path()).into_iter().flatten() {
            let Ok(home) = home.map(|home| home.path()) else {
                continue;
            };
            if !home.join("ockam.sqlite3").exists() {
                continue;
            }
            let _ = self
                .command("ockam node delete --all --yes")
                .env("OCKAM_HOME", home)
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status();
        }
    }
}

struct Printed {
    code: Option<i32>,
    output: String,
    error: String,
}

impl Printed {
    fn show(&self, mode: Mode, command: &str, typed: &str, home: &Home) -> String {
        let mut text = String::new();
        writeln!(
            text,
            "{} {command}",
            if mode == Mode::Pipe { "$" } else { "%" }
        )
        .unwrap();
        for line in typed.lines() {
            writeln!(text, "< {line}").unwrap();
        }
        let output = stable::stable(&pty::still(&self.output), home.0.path());
        let ended = output.ends_with('\n') && mode == Mode::Pipe;
        for line in output.lines() {
            writeln!(text, "{}", format!("  {line}").trim_end()).unwrap();
        }
        if ended {
            text.pop();
            text.push_str("⏎\n");
        }
        for line in stable::stable(&self.error, home.0.path()).lines() {
            writeln!(text, "{}", format!("! {line}").trim_end()).unwrap();
        }
        match self.code {
            Some(0) => {}
            Some(code) => writeln!(text, "[exit {code}]").unwrap(),
            None => writeln!(text, "[killed]").unwrap(),
        }
        text
    }
}

fn collect(mut stream: impl Read + Send + 'static) -> JoinHandle<String> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        // A terminal ends with an error instead of an end.
        let _ = stream.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

fn finish(reader: JoinHandle<String>, command: &str) -> String {
    let end = Instant::now() + PATIENCE;
    while !reader.is_finished() {
        assert!(
            Instant::now() < end,
            "`{command}` ended, but something still holds its output"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
    reader.join().unwrap()
}

fn wait(child: &mut Child, command: &str) -> Option<i32> {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status.code();
        }
        if Instant::now() > end {
            child.kill().unwrap();
            panic!("`{command}` did not end within {PATIENCE:?}");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The first lines that differ, with a few before and after.
fn difference(expected: &str, actual: &str) -> String {
    let (expected, actual): (Vec<&str>, Vec<&str>) =
        (expected.lines().collect(), actual.lines().collect());
    let same = expected
        .iter()
        .zip(&actual)
        .take_while(|(left, right)| left == right)
        .count();
    let start = same.saturating_sub(3);
    let mut text = String::new();
    for line in expected.iter().skip(start).take(20) {
        writeln!(text, "expected: {line}").unwrap();
    }
    for line in actual.iter().skip(start).take(20) {
        writeln!(text, "  actual: {line}").unwrap();
    }
    text
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/transcripts/cases")
}

const PATIENCE: Duration = Duration::from_secs(60);
