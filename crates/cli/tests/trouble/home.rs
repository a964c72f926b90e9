//! A home directory and the commands run in it.

use std::fs::File;
use std::io::{Read, Seek};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::process;

/// An `$OCKAM_HOME`.
#[derive(Debug, Clone)]
pub(crate) struct Home {
    path: PathBuf,
    scratch: PathBuf,
}

impl Home {
    pub(crate) fn new(path: PathBuf, scratch: &Path) -> Self {
        Self {
            path,
            scratch: scratch.to_path_buf(),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Runs `ockam` with the blank-separated arguments.
    pub(crate) fn ockam(&self, arguments: &str) -> Done {
        self.run(&arguments.split_whitespace().collect::<Vec<_>>())
    }

    /// Runs `ockam`.
    pub(crate) fn run(&self, arguments: &[&str]) -> Done {
        let mut command = self.command(&program());
        command.args(arguments);
        finish(command, &self.scratch)
    }

    /// Runs `ockam`, which must succeed, and returns what it wrote on its standard output.
    pub(crate) fn ok(&self, arguments: &str) -> String {
        self.ockam(arguments).success()
    }

    /// Runs a shell script with `ockam` on the path.
    pub(crate) fn shell(&self, script: &str) -> Done {
        let mut command = self.command(Path::new("sh"));
        command.args(["-e", "-c", script]);
        finish(command, &self.scratch)
    }

    /// A program in the environment of this home, not yet started.
    pub(crate) fn command(&self, program_path: &Path) -> Command {
        let folder = program().parent().unwrap().to_path_buf();
        let mut command = Command::new(program_path);
        command
            .env_clear()
            .env(
                "PATH",
                format!(
                    "{}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                    folder.display()
                ),
            )
            .env("HOME", &self.scratch)
            .env("OCKAM_HOME", &self.path)
            .env("NO_COLOR", "true")
            .env("PAGER", "cat")
            .current_dir(&self.scratch)
            .stdin(Stdio::null());
        command
    }

    /// What the program says about a node.
    pub(crate) fn node(&self, name: &str) -> Node {
        let text = self.ok(&format!("node show {name} --output json"));
        let json: Value = serde_json::from_str(&text).unwrap();
        let route = json["route"]["verbose"].as_str().unwrap();
        Node {
            pid: json["pid"]
                .as_u64()
                .unwrap_or_else(|| panic!("{name} does not run: {text}"))
                .try_into()
                .unwrap(),
            port: route.rsplit('/').next().unwrap().parse().unwrap(),
        }
    }

    /// The result of a command as JSON.
    pub(crate) fn json(&self, arguments: &str) -> Value {
        let text = self.ok(&format!("{arguments} --output json"));
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error} in {text}"))
    }

    /// Ends a node as a power cut does, and waits until its process is gone.
    pub(crate) fn kill(&self, node: &str) {
        process::kill(self.node(node).pid);
    }

    /// Everything that the nodes of this home logged.
    pub(crate) fn logs(&self) -> String {
        let mut text = String::new();
        let Ok(nodes) = std::fs::read_dir(self.path.join("nodes")) else {
            return text;
        };
        for node in nodes.flatten() {
            for file in std::fs::read_dir(node.path())
                .into_iter()
                .flatten()
                .flatten()
            {
                text.push_str(&format!("-- {}\n", file.path().display()));
                text.push_str(&String::from_utf8_lossy(
                    &std::fs::read(file.path()).unwrap_or_default(),
                ));
            }
        }
        text
    }

    pub(crate) fn print_logs(&self) {
        let logs = self.logs();
        let lines: Vec<&str> = logs.lines().collect();
        eprintln!("== logs of the nodes in {}", self.path.display());
        for line in &lines[lines.len().saturating_sub(LINES)..] {
            eprintln!("{line}");
        }
    }
}

/// A running node.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Node {
    pub(crate) pid: u32,
    pub(crate) port: u16,
}

impl Node {
    /// The start of a route to it.
    pub(crate) fn route(self) -> String {
        format!("/ip4/127.0.0.1/tcp/{}", self.port)
    }
}

/// A command that has ended.
#[derive(Debug)]
pub(crate) struct Done {
    #[expect(dead_code, reason = "shown when a test fails")]
    pub(crate) command: String,
    /// The exit code; `None` when a signal ended it.
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Done {
    /// The standard output of a command that must have succeeded.
    pub(crate) fn success(self) -> String {
        assert_eq!(self.code, Some(0), "{self:#?}");
        self.out
    }

    /// The standard error of a command that must have failed with the one exit code of failures.
    pub(crate) fn failure(self) -> String {
        assert_eq!(self.code, Some(70), "{self:#?}");
        self.err
    }
}

/// The program that is tested.
pub(crate) fn program() -> PathBuf {
    std::env::var_os("OCKAM_TEST_BINARY")
        .map_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_ockam")), PathBuf::from)
}

/// Runs a command to its end; one that takes too long is killed and fails the test.
pub(crate) fn finish(mut command: Command, scratch: &Path) -> Done {
    // Files instead of pipes: a node that kept an end of a pipe open must fail a test of its own, not hang them all.
    let (mut out, mut err) = (scratch_file(scratch), scratch_file(scratch));
    let mut child = command
        .process_group(0)
        .stdout(out.try_clone().unwrap())
        .stderr(err.try_clone().unwrap())
        .spawn()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let end = Instant::now() + PATIENCE;
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break Some(status);
        }
        if Instant::now() > end {
            child.kill().unwrap();
            child.wait().unwrap();
            break None;
        }
        std::thread::sleep(Duration::from_millis(2));
    };
    let mut done = Done {
        command: format!("{command:?}"),
        code: status.and_then(|status| status.code()),
        out: String::new(),
        err: String::new(),
    };
    for (file, text) in [(&mut out, &mut done.out), (&mut err, &mut done.err)] {
        let mut bytes = Vec::new();
        file.rewind().unwrap();
        file.read_to_end(&mut bytes).unwrap();
        *text = String::from_utf8_lossy(&bytes).into_owned();
    }
    assert!(status.is_some(), "no end within {PATIENCE:?}: {done:#?}");
    done
}

fn scratch_file(scratch: &Path) -> File {
    // Opened for appending, as a node and the command that started it write to the same file.
    tempfile::Builder::new()
        .append(true)
        .tempfile_in(scratch)
        .unwrap()
        .into_file()
}

/// Longer than the program waits for a peer by itself: a command that was starved of the processor ends with its own error.
const PATIENCE: Duration = Duration::from_secs(150);
/// Lines of the logs that a failed test shows.
const LINES: usize = 200;
