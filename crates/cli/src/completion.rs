//! Completion: what may stand at the cursor, asked of this program by a script in the shell each time.
//!
//! ```text
//! shell ── OCKAM_COMPLETE=<shell> ockam -- <words up to the cursor> ──▶ ockam
//!       ◀───────── one candidate a line: <text> TAB <name> TAB <about> ──
//! ```
//!
//! The scripts know nothing about commands. bash hands over its line as it stands, with the characters at which it breaks
//! words; the others hand over words. The text of a candidate is what the shell is to insert: quoted where the shell does
//! not do that itself.
//!
//! **Invariants**
//! - Nothing is made, no node is asked, nothing is written to standard error: a home that cannot be read has no names.
//!
//! spec: command 3.9.7 (`completion`)

mod line;

use std::ffi::{OsStr, OsString};
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use clap::Command;
use clap_complete::engine::{ArgValueCompleter, CompletionCandidate, complete};
use ockam_control::{Glance, Live, NodeArgument, live};

use crate::environment::Environment;
use crate::{arguments, command};
use line::Line;

/// A shell that can be completed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Shell {
    Bash,
    Zsh,
    Fish,
    Elvish,
    #[value(name = "powershell", alias = "pwsh")]
    Pwsh,
}

impl Shell {
    /// The script that makes the shell ask.
    pub(crate) fn script(self) -> &'static str {
        match self {
            Self::Bash => include_str!("completion/ockam.bash"),
            Self::Zsh => include_str!("completion/ockam.zsh"),
            Self::Fish => include_str!("completion/ockam.fish"),
            Self::Elvish => include_str!("completion/ockam.elv"),
            Self::Pwsh => include_str!("completion/ockam.ps1"),
        }
    }

    /// The words a shell has handed over.
    fn line(self, words: Vec<OsString>) -> Option<Line> {
        let words = words
            .into_iter()
            .map(|word| word.to_string_lossy().into_owned());
        match self {
            Self::Bash => {
                let [text, breaks]: [String; 2] = words.collect::<Vec<_>>().try_into().ok()?;
                Some(Line::bash(&text, &breaks))
            }
            // It drops empty words, so each has a sign in front.
            Self::Pwsh => {
                Some(Line::of(words.map(|word| {
                    word.strip_prefix('=').unwrap_or(&word).to_owned()
                })))
            }
            Self::Zsh | Self::Fish | Self::Elvish => Some(Line::of(words)),
        }
    }
}

/// Answers a script. `None` when this is an ordinary start of the program.
pub(crate) fn answer(words: &[OsString], environment: &Environment) -> Option<()> {
    let shell = environment.get(OCKAM_COMPLETE)?;
    let (_program, rest) = words.split_first()?;
    let (dashes, rest) = rest.split_first()?;
    if dashes != "--" {
        return None;
    }
    let shell = <Shell as clap::ValueEnum>::from_str(&shell, true).ok();
    let text = shell.and_then(|shell| {
        let line = shell.line(rest.to_vec())?;
        Some(render(shell, &line, &candidates(&line, environment)))
    });
    // A shell that went away wants no completion.
    let _ = std::io::stdout()
        .lock()
        .write_all(text.unwrap_or_default().as_bytes());
    Some(())
}

/// What may stand at the end of a line.
fn candidates(line: &Line, environment: &Environment) -> Vec<CompletionCandidate> {
    let (Some(current), Some(before)) = (line.words.last(), line.words.split_last()) else {
        return Vec::new();
    };
    let mut environment = environment.clone();
    let before: Vec<OsString> = before.1.iter().map(OsString::from).collect();
    // A half-written `--env` is an error where the line is run, not here.
    let mut words = arguments::take_environment(before.clone(), &mut environment).unwrap_or(before);
    let acting = acting(&words);
    let mut root = with_names(command::root(&environment), environment.home(), acting);
    words.push(OsString::from(current));
    let last = words.len() - 1;
    let folder = std::env::current_dir().ok();
    let mut found = complete(&mut root, words, last, folder.as_deref()).unwrap_or_default();
    // Options are offered where one is begun, or where there is nothing else.
    let is_option =
        |candidate: &CompletionCandidate| candidate.get_value().to_string_lossy().starts_with('-');
    if current.is_empty() && found.iter().any(|candidate| !is_option(candidate)) {
        found.retain(|candidate| !is_option(candidate));
    }
    found
}

/// The node that was named before: `--at n1`, `--from=/node/n1`.
fn acting(words: &[OsString]) -> Option<String> {
    let mut named = None;
    let mut words = words.iter().filter_map(|word| word.to_str());
    while let Some(word) = words.next() {
        let value = match word.split_once('=') {
            Some(("--at", value)) => Some(value),
            None if word == "--at" => words.next(),
            _ => None,
        };
        named = value.or(named);
    }
    let NodeArgument(name) = named?.parse().ok()?;
    Some(name.to_string())
}

/// Tells every argument of the table that takes names of existing things which there are.
fn with_names(root: Command, home: PathBuf, acting: Option<String>) -> Command {
    let there = Arc::new(There {
        home,
        acting,
        read: OnceLock::new(),
    });
    root.mut_subcommands(|noun| {
        let words = noun.get_name().to_owned();
        let there = Arc::clone(&there);
        let single = named(noun, &words, "", &there);
        single.mut_subcommands(|verb| {
            let name = verb.get_name().to_owned();
            let there = Arc::clone(&there);
            all_named(verb, &words, &name, &there)
        })
    })
}

/// Also what is below a verb: `service start hop`, `project addon list`.
fn all_named(command: Command, noun: &str, verb: &str, there: &Arc<There>) -> Command {
    named(command, noun, verb, there).mut_subcommands(|below| all_named(below, noun, verb, there))
}

fn named(command: Command, noun: &str, verb: &str, there: &Arc<There>) -> Command {
    command.mut_args(|argument| match live(noun, verb, &argument) {
        Some(live) => {
            let there = Arc::clone(there);
            argument.add(ArgValueCompleter::new(move |typed: &OsStr| {
                there.candidates(live, typed)
            }))
        }
        None => argument,
    })
}

/// The home, looked into when a name is asked for.
#[derive(Debug)]
struct There {
    home: PathBuf,
    acting: Option<String>,
    read: OnceLock<Glance>,
}

impl There {
    fn candidates(&self, live: Live, typed: &OsStr) -> Vec<CompletionCandidate> {
        let there = self.read.get_or_init(|| self.glance().unwrap_or_default());
        live.names(there, self.acting.as_deref(), &typed.to_string_lossy())
            .into_iter()
            .map(CompletionCandidate::new)
            .collect()
    }

    fn glance(&self) -> Option<Glance> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .ok()?;
        Some(runtime.block_on(Glance::at(&self.home)))
    }
}

/// One line for each candidate: what to insert, its name, what it is.
fn render(shell: Shell, line: &Line, candidates: &[CompletionCandidate]) -> String {
    let mut text = String::new();
    for candidate in candidates {
        let value = candidate.get_value().to_string_lossy();
        // A name cannot break the lines of the answer; it is not offered.
        if value.contains(['\n', '\r', '\t']) {
            continue;
        }
        let inserted = match shell {
            Shell::Bash => match line.insert(&value) {
                Some(inserted) => inserted,
                None => continue,
            },
            Shell::Pwsh => quoted_for_powershell(&value),
            Shell::Zsh | Shell::Fish | Shell::Elvish => value.clone().into_owned(),
        };
        text.push_str(&inserted);
        if shell != Shell::Bash {
            let about = candidate.get_help().map(ToString::to_string);
            let about = about.unwrap_or_default();
            let about = about.lines().next().unwrap_or_default().replace('\t', " ");
            text.push_str(&format!("\t{value}\t{about}"));
        }
        text.push('\n');
    }
    text
}

fn quoted_for_powershell(text: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./:=+".contains(c);
    if text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', "''"))
    }
}

/// Set by the scripts: the shell that asks.
const OCKAM_COMPLETE: &str = "OCKAM_COMPLETE";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_options_and_their_values_are_completed() {
        assert_eq!(offered(&["no"]), ["node"]);
        assert_eq!(offered(&["node", "st"]), ["start", "stop"]);
        assert_eq!(offered(&["node", "create", "--exit"]), ["--exit-on-eof"]);
        assert_eq!(
            offered(&["node", "list", "--output", ""]),
            ["plain", "json"]
        );
        assert_eq!(offered(&["node", "list", "--output=j"]), ["--output=json"]);
        assert_eq!(offered(&["completion", "--shell", "p"]), ["powershell"]);
        assert_eq!(offered(&["--env", "A=b", "node", "sta"]), ["start"]);
    }

    #[test]
    fn options_do_not_crowd_out_what_stands_without_them() {
        assert!(offered(&["node", ""]).contains(&"create".to_owned()));
        assert!(
            offered(&["node", ""])
                .iter()
                .all(|word| !word.starts_with('-'))
        );
        assert!(offered(&["node", "list", "-"]).contains(&"--output".to_owned()));
        assert!(offered(&["node", "list", ""]).contains(&"--output".to_owned()));
    }

    #[test]
    fn hidden_commands_are_not_offered() {
        assert!(offered(&["forw"]).is_empty() || offered(&["forw"]) == ["forwarder"]);
        assert!(!offered(&[""]).contains(&"forwarder".to_owned()));
        assert!(!offered(&["node", "list", "--"]).contains(&"--pretty".to_owned()));
    }

    #[test]
    fn the_node_that_acts_is_the_one_named_last() {
        let words = |words: &[&str]| words.iter().map(OsString::from).collect::<Vec<_>>();
        assert_eq!(acting(&words(&["ockam", "tcp-inlet", "show"])), None);
        assert_eq!(
            acting(&words(&[
                "ockam",
                "--at",
                "n1",
                "tcp-inlet",
                "--at=/node/n2"
            ]))
            .as_deref(),
            Some("n2")
        );
        assert_eq!(acting(&words(&["ockam", "--at"])), None);
    }

    #[test]
    fn names_are_quoted_for_shells_that_do_not() {
        assert_eq!(quoted_for_powershell("--output=json"), "--output=json");
        assert_eq!(quoted_for_powershell("my inlet's"), "'my inlet''s'");
    }

    fn offered(words: &[&str]) -> Vec<String> {
        let line = Line::of(
            std::iter::once("ockam")
                .chain(words.iter().copied())
                .map(str::to_owned),
        );
        let home = tempfile::tempdir().unwrap();
        let home = home.path().join("none").display().to_string();
        candidates(&line, &Environment::only(&[("OCKAM_HOME", home.as_str())]))
            .iter()
            .map(|candidate| candidate.get_value().to_string_lossy().into_owned())
            .collect()
    }
}
