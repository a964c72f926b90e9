//! Walks the command line: what every command has to have.
//!
//! The leaves come from the table of resources and, for commands about the program itself, from its own manual. What is
//! missing is reported all at once, each with the file to add it to.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;

use ockam_control::{COMMANDS, RESOURCES, Scope, Who};

#[test]
fn every_command_has_help_with_an_example_that_parses() {
    let world = World::new();
    let examples = "an `examples()` in its file below crates/control/src/command/, or in its row below crates/cli/src/own/";
    expect_nothing(each(&world.leaves(), |leaf, missing| {
        let short = world.run(&format!("ockam {leaf} -h"));
        let long = world.run(&format!("ockam {leaf} --help"));
        if !short.contains("Usage: ") || !long.contains("Usage: ") {
            missing.push("help".to_owned());
        }
        let lines: Vec<&str> = long
            .lines()
            .filter_map(|line| line.trim().strip_prefix("$ "))
            .collect();
        if lines.is_empty() {
            missing.push(format!("an example in its long help; add {examples}"));
        }
        for line in lines {
            if !line.contains(&format!("ockam {leaf}")) {
                missing.push(format!(
                    "an example of itself, not `{line}`; mend {examples}"
                ));
            }
            if line.len() > LONGEST_EXAMPLE {
                missing.push(format!(
                    "an example that fits a line, not `{line}`; mend {examples}"
                ));
            }
            // What is outside of `ockam` is not ours to run.
            let inside = line.split("$(").last().unwrap().trim_end_matches(")\"");
            for command in inside.split(" | ") {
                let command = command.split(" > ").next().unwrap();
                let tried = world.shell(&format!(
                    "echo /service/x | {command} --test-argument-parser"
                ));
                if !tried.status.success() {
                    let why = String::from_utf8_lossy(&tried.stdout).into_owned();
                    missing.push(format!(
                        "an example that parses, not `{command}` ({why}); mend {examples}"
                    ));
                }
            }
        }
    }));
}

#[test]
fn completion_knows_every_command_in_every_shell() {
    let world = World::new();
    expect_nothing(each(&world.leaves(), |leaf, missing| {
        let (before, last) = leaf
            .rsplit_once(' ')
            .map_or(("", leaf), |(before, last)| (before, last));
        for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
            let words: Vec<&str> = std::iter::once("ockam")
                .chain(before.split_whitespace())
                .chain([last])
                .collect();
            let mut command = world.command(env!("CARGO_BIN_EXE_ockam"));
            command.env("OCKAM_COMPLETE", shell).arg("--");
            match shell {
                "bash" => command.args([words.join(" ").as_str(), " \t\n\"'><=;|&(:"]),
                "powershell" => command.args(words.iter().map(|word| format!("={word}"))),
                _ => command.args(words),
            };
            let output = command.stdin(Stdio::null()).output().unwrap();
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            if !text
                .lines()
                .any(|line| line.split('\t').next() == Some(last))
            {
                missing.push(format!(
                    "completion in {shell}; see crates/cli/src/completion.rs"
                ));
            }
        }
    }));
}

#[test]
fn every_command_has_its_pages() {
    let world = World::new();
    world.run("ockam manpages --no-compression --dir man");
    world.run("ockam markdown --dir pages");
    let summary = world.text("pages/SUMMARY.md");
    expect_nothing(each(&world.leaves(), |leaf, missing| {
        let name = format!("ockam-{}", leaf.replace(' ', "-"));
        for file in [format!("man/{name}.1"), format!("pages/{name}.md")] {
            if !world.folder.path().join(&file).is_file() {
                missing.push(format!("{file}; see crates/cli/src/manual.rs"));
            }
        }
        if !summary.contains(&format!("[ockam {leaf}]({name}.md)")) {
            missing.push("a line in SUMMARY.md; see crates/cli/src/own/markdown.rs".to_owned());
        }
        let man = world.text(&format!("man/{name}.1"));
        if !man.contains(".SH EXAMPLES") {
            missing.push("EXAMPLES in its man page; see crates/cli/src/manual.rs".to_owned());
        }
    }));
}

#[test]
fn every_command_is_in_the_document_and_in_a_transcript() {
    let world = World::new();
    let document = text(&repository().join("docs/protocol/3-command.md"));
    let cases = transcripts();
    expect_nothing(each(&world.leaves(), |leaf, missing| {
        if !in_document(&document, leaf) {
            missing.push(format!("a row `{leaf}` in docs/protocol/3-command.md 3.9"));
        }
        if !cases
            .iter()
            .any(|line| line.contains(&format!("ockam {leaf}")))
        {
            missing.push(format!(
                "a line `$ ockam {leaf} ..` in crates/cli/tests/transcripts/cases/"
            ));
        }
    }));
}

#[test]
fn every_command_with_a_json_form_is_seen_printing_it() {
    let cases = transcripts();
    let leaves = COMMANDS
        .iter()
        .filter(|command| command.row().is_some_and(|row| row.forms.json))
        .map(|command| command.words().join(" "))
        .collect::<Vec<_>>();
    let asks = ["--output json", "--output=json", "--jq", "--compact-output"];
    expect_nothing(each(&leaves, |leaf, missing| {
        let seen = cases.iter().any(|line| {
            // A line may hold several commands.
            let mut parts = line.split(['|', ';', '&']);
            parts.any(|part| {
                part.contains(&format!("ockam {leaf}")) && asks.iter().any(|ask| part.contains(ask))
            })
        });
        if !seen {
            missing.push(format!(
                "a line `$ ockam {leaf} .. --output json` in crates/cli/tests/transcripts/cases/"
            ));
        }
    }));
}

#[test]
fn every_command_is_for_its_owner_alone() {
    // What each pair means is tried out beside the table; here a new pair is noticed.
    let mut findings = Vec::new();
    for noun in RESOURCES {
        for verb in noun.verbs {
            match (verb.scope, verb.who) {
                (Scope::Home, Who::HomeOwner) | (Scope::Node, Who::NodeOwner) => {}
                other => findings.push(format!(
                    "ockam {} {}: no authorisation case for {other:?}; add one in crates/control/src/table.rs",
                    noun.one, verb.name
                )),
            }
        }
    }
    expect_nothing(findings);
}

mod needs_mandoc {
    use super::*;

    #[test]
    fn man_pages_are_well_formed() {
        let world = World::new();
        world.run("ockam manpages --no-compression --dir man");
        let found = world.shell("mandoc -T lint -W error man/*.1");
        assert!(
            found.status.success(),
            "{}",
            String::from_utf8_lossy(&found.stdout)
        );
    }
}

/// Whether a row of 3.9 begins with this command: `| `node list`, `node show` |`, or `| `worker list`, `show` |`.
fn in_document(document: &str, leaf: &str) -> bool {
    let section = document.split("\n## 3.9 ").nth(1).unwrap();
    let section = section.split("\n## ").next().unwrap();
    let (noun, verb) = leaf.split_once(' ').unwrap_or((leaf, ""));
    section
        .lines()
        .filter(|line| line.starts_with("| `"))
        .any(|line| {
            let cell = line.trim_start_matches("| ").split(" | ").next().unwrap();
            let words: Vec<&str> = cell.split('`').skip(1).step_by(2).collect();
            let first = words.first().copied().unwrap_or_default();
            let same_noun = first == noun || first.starts_with(&format!("{noun} "));
            words
                .iter()
                .any(|word| *word == leaf || word.starts_with(&format!("{leaf} ")))
                || same_noun && words.contains(&verb)
        })
}

/// The commands that transcripts run.
fn transcripts() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/transcripts/cases");
    let mut lines = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let text = text(&entry.unwrap().path());
        let commands = text
            .lines()
            .filter(|line| line.starts_with("$ ") || line.starts_with("% "));
        lines.extend(commands.map(str::to_owned));
    }
    lines
}

/// Looks at every leaf, on two threads, and says what is missing where.
fn each(leaves: &[String], look: impl Fn(&str, &mut Vec<String>) + Sync) -> Vec<String> {
    let found = Mutex::new(Vec::new());
    let (findings, look) = (&found, &look);
    std::thread::scope(|scope| {
        for half in leaves.chunks(leaves.len().div_ceil(2)) {
            scope.spawn(move || {
                for leaf in half {
                    let mut missing = Vec::new();
                    look(leaf, &mut missing);
                    let said = missing
                        .into_iter()
                        .map(|what| format!("ockam {leaf} lacks {what}"));
                    findings.lock().unwrap().extend(said);
                }
            });
        }
    });
    let mut findings = found.into_inner().unwrap();
    findings.sort();
    findings
}

fn expect_nothing(findings: Vec<String>) {
    assert!(findings.is_empty(), "\n{}\n", findings.join("\n"));
}

/// A folder to run in.
struct World {
    folder: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("ockam-").tempdir().unwrap();
        Self { folder }
    }

    /// Every command that runs something: those of the table, and those about the program itself.
    fn leaves(&self) -> Vec<String> {
        self.run("ockam markdown --dir all");
        let summary = self.text("all/SUMMARY.md");
        let mut leaves: Vec<String> = COMMANDS
            .iter()
            .map(|command| command.words().join(" "))
            .collect();
        let nouns: Vec<&str> = RESOURCES.iter().map(|noun| noun.one).collect();
        for line in summary
            .lines()
            .filter_map(|line| line.split("[ockam ").nth(1))
        {
            let words = line.split(']').next().unwrap();
            let noun = words.split(' ').next().unwrap();
            if !nouns.contains(&noun) {
                leaves.push(words.to_owned());
            }
        }
        assert!(leaves.contains(&"completion".to_owned()), "{leaves:?}");
        leaves
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        let folder = Path::new(env!("CARGO_BIN_EXE_ockam"))
            .parent()
            .unwrap()
            .display();
        command
            .env_clear()
            .env("PATH", format!("{folder}:/usr/local/bin:/usr/bin:/bin"))
            .env("HOME", self.folder.path())
            .env("OCKAM_HOME", self.folder.path().join("home"))
            .env("PAGER", "cat")
            .env("COLUMNS", "200")
            .current_dir(self.folder.path());
        command
    }

    fn shell(&self, line: &str) -> std::process::Output {
        let mut shell = self.command("sh");
        // What examples leave to the reader.
        shell.env("ALICE", format!("I{}", "a0".repeat(32)));
        shell.env("CREDENTIAL", "8100");
        shell.args(["-c", line]).output().unwrap()
    }

    /// What a line prints; it must succeed.
    fn run(&self, line: &str) -> String {
        let output = self.shell(line);
        assert!(output.status.success(), "{line}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn text(&self, file: &str) -> String {
        text(&self.folder.path().join(file))
    }
}

/// Help is at most a hundred columns wide.
const LONGEST_EXAMPLE: usize = 96;

fn text(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}
