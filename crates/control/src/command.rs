//! The command line's side of the table: arguments and front half of every verb.
//!
//! A front half runs in the command's process. It checks and completes the arguments, finds or starts the node that is
//! to act, asks it over its control socket (or works on the home itself), and prints what came of it. All that touches the
//! terminal and the process goes through [`Host`], which the command line implements; nothing here writes to a stream.
//!
//! # Invariants
//! An argument this program understands but cannot honour is refused before anything is changed.

use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;

use crate::outcome::{Failure, Outcome};
use crate::table::{Noun, Verb};

/// A future of a front half. It runs on the command's own thread, so it need not be `Send`.
pub type LocalFuture<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// What the command line provides to front halves: the terminal, the environment and processes.
pub trait Host {
    /// `$OCKAM_HOME`, or its default.
    fn home(&self) -> PathBuf;
    /// An environment variable, seen through the overlay of `--env`.
    fn variable(&self, name: &str) -> Option<String>;
    /// Writes a line to stderr, unless quiet.
    fn note(&self, note: Note);
    /// Writes one result to stdout in the form that was asked for.
    fn print(&self, outcome: Outcome);
    /// Whether the result is for a program: `--output json`, `--jq`, or stdout is no terminal.
    fn can_prompt(&self) -> bool;
    /// Asks a yes-or-no question; the default answer is yes. Called only when [`Host::can_prompt`].
    ///
    /// # Errors
    /// When the terminal is gone.
    fn confirm(&self, question: &str) -> Result<bool, Failure>;
    /// Lets the user pick any number of items, by index. Called only when [`Host::can_prompt`].
    ///
    /// # Errors
    /// When the terminal is gone.
    fn choose(&self, question: &str, items: &[String]) -> Result<Vec<usize>, Failure>;
    /// Starts this program again as `node create` with these arguments in the background, and waits until the child says
    /// that it is ready (spec: command 3.6). `--foreground`, `--child-process` and the callback are added by the host.
    fn spawn_node<'a>(
        &'a self,
        arguments: &'a [String],
        output: ChildOutput,
    ) -> LocalFuture<'a, Result<(), Failure>>;
    /// Tells the waiting parent at this loopback port that the node is ready, and lets go of the standard streams.
    ///
    /// # Errors
    /// When the parent cannot be reached.
    fn ready<'a>(&'a self, callback_port: u16) -> LocalFuture<'a, Result<(), Failure>>;
    /// Completes when a foreground node is to end: a signal, or the end of stdin.
    fn end_of_process<'a>(&'a self, stdin: Stdin) -> LocalFuture<'a, ()>;
}

/// What becomes of a background node's standard output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChildOutput {
    /// The child prints the result of the command.
    Inherit,
    /// The node is a means to something else; its creation prints nothing.
    Discard,
}

/// Whether a foreground node ends with its standard input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stdin {
    /// The end of stdin means nothing.
    Ignore,
    /// The node ends when stdin does.
    EndsProcess,
}

/// A line on stderr.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Note {
    /// Something was done.
    Done(String),
    /// Something the reader may want to know.
    Info(String),
    /// Something is not as the reader may think, for example a deprecated option.
    Warning(String),
    /// A line that goes on with the one before.
    Line(String),
}

/// One leaf of the command line.
#[derive(Debug, Clone, Copy)]
pub struct Command {
    /// Its noun.
    pub noun: &'static Noun,
    /// Its verb.
    pub verb: &'static str,
    /// Adds the arguments to a command.
    pub arguments: fn(clap::Command) -> clap::Command,
    /// Runs the command with parsed arguments.
    pub run:
        for<'a> fn(&'a clap::ArgMatches, &'a Session<'a>) -> LocalFuture<'a, Result<(), Failure>>,
}

impl Command {
    /// The leaf made of an argument type.
    pub const fn of<A: Run>() -> Self {
        Self {
            noun: A::NOUN,
            verb: A::VERB,
            arguments: A::augment_args,
            run: run::<A>,
        }
    }

    /// Its row in the table.
    pub fn row(&self) -> Option<&'static Verb> {
        self.noun.verb(self.verb)
    }

    /// The clap command of this leaf, with help text.
    pub fn clap(&self) -> clap::Command {
        let about = self.row().map_or("", |verb| verb.about);
        (self.arguments)(clap::Command::new(self.verb)).about(about)
    }
}

/// Arguments that can be run.
pub trait Run: clap::Args + 'static {
    /// The noun they belong to.
    const NOUN: &'static Noun;
    /// The verb they belong to.
    const VERB: &'static str;
    /// Runs the command.
    fn run<'a>(self, session: &'a Session<'a>) -> impl Future<Output = Result<(), Failure>> + 'a;
}

fn run<'a, A: Run>(
    matches: &'a clap::ArgMatches,
    session: &'a Session<'a>,
) -> LocalFuture<'a, Result<(), Failure>> {
    Box::pin(async move {
        let arguments =
            A::from_arg_matches(matches).map_err(|error| Failure::new(error.to_string()))?;
        arguments.run(session).await
    })
}

/// What a front half works with.
#[allow(
    missing_debug_implementations,
    reason = "the host is a trait object without state worth showing"
)]
pub struct Session<'a> {
    /// The terminal, the environment and processes.
    pub host: &'a dyn Host,
}

/// Every leaf of the command line.
pub const COMMANDS: &[Command] = &[];

/// The leaf of a noun (or an older name of it) and a verb.
pub fn command(noun: &str, verb: &str) -> Option<&'static Command> {
    let noun = crate::table::resource(noun)?;
    COMMANDS
        .iter()
        .find(|command| command.noun.one == noun.one && command.verb == verb)
}

/// The clap command of every noun, with its verbs below it.
pub fn clap_commands() -> impl Iterator<Item = clap::Command> {
    crate::table::RESOURCES.iter().map(|noun| {
        clap::Command::new(noun.one)
            .about(noun.about)
            .aliases(noun.aliases.iter().copied())
            .subcommand_required(true)
            .arg_required_else_help(true)
            .subcommands(
                COMMANDS
                    .iter()
                    .filter(|command| command.noun.one == noun.one)
                    .map(Command::clap),
            )
    })
}
