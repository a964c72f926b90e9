//! The command line's side of the table: arguments and front half of every verb.
//!
//! A front half runs in the command's process. It checks and completes the arguments, finds or starts the node that is
//! to act, asks it over its control socket (or works on the home itself), and prints what came of it. All that touches the
//! terminal and the process goes through [`Host`], which the command line implements; nothing here writes to a stream.
//!
//! # Invariants
//! An argument this program understands but cannot honour is refused before anything is changed.

mod admins;
mod argument;
mod asking;
mod authority;
mod controller;
mod credential;
mod enroll;
mod example;
mod flow;
mod flow_control;
mod identity;
mod import;
mod item;
mod kept;
mod live;
mod message;
mod migrate_database;
mod node;
pub(crate) mod orchestrator;
mod passphrase;
mod policy;
mod project;
mod project_member;
mod ready;
mod relay;
mod reset;
mod run;
mod secure_channel;
mod secure_channel_listener;
mod service;
mod session;
mod share;
mod sidecar;
#[allow(dead_code, reason = "`orchestrator start` is about to have them")]
mod sign_in_options;
mod space;
mod status;
mod subscription;
mod tcp_connection;
mod tcp_inlet;
mod tcp_listener;
mod tcp_outlet;
pub(crate) mod text;
mod vault;
mod way;
mod worker;

use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;

use ockam_store::Passphrase;

pub use example::{Example, examples_help};
pub use live::{Live, live};
pub use session::Session;

use crate::noun::relay::Relay;
use crate::noun::secure_channel::SecureChannel;
use crate::noun::secure_channel_listener::SecureChannelListener;
use crate::noun::status::ProgramVersion;
use crate::noun::tcp_connection::TcpConnection;
use crate::noun::tcp_inlet::TcpInlet;
use crate::noun::tcp_listener::TcpListener;
use crate::noun::tcp_outlet::TcpOutlet;
use crate::orchestrator::Orchestrates;
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
    /// Which program this is.
    fn version(&self) -> ProgramVersion;
    /// Writes a line to stderr, unless quiet.
    fn note(&self, note: Note);
    /// Says what takes its time, to whoever watches the terminal.
    fn waiting(&self, what: &str);
    /// Whether notes are shown to nobody because that was asked for.
    fn is_quiet(&self) -> bool {
        false
    }
    /// Opens an address of the web in the browser of whoever is at the terminal, where there is one.
    fn browse(&self, _url: &str) -> bool {
        false
    }
    /// Writes one result to stdout in the form that was asked for.
    fn print(&self, outcome: Outcome);
    /// Writes a part of a text that has no other form, such as lines of a log, to stdout as it is.
    ///
    /// # Errors
    /// Nobody reads any more, or the disk is full.
    fn write(&self, text: &[u8]) -> std::io::Result<()>;
    /// Whether there is somebody who can be asked, and who has not forbidden it.
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
    /// Asks for a passphrase without showing what is typed. Called only when [`Host::can_prompt`].
    ///
    /// # Errors
    /// When the terminal is gone, or nothing was typed.
    fn passphrase(&self, _question: &str, _repeat: Repeat) -> Result<Passphrase, Failure> {
        Err(Failure::new("nobody can be asked for a passphrase"))
    }
    /// Reads standard input to its end, or so many bytes of it.
    ///
    /// # Errors
    /// It cannot be read.
    fn read_input(&self, _most: u64) -> std::io::Result<Vec<u8>> {
        Ok(Vec::new())
    }
    /// Background nodes that are started from now on get this passphrase, over a pipe.
    fn hand_on(&self, _passphrase: &Arc<Passphrase>) {}
    /// What runs an Orchestrator, where this program has one.
    fn orchestrates(&self) -> Option<Arc<dyn Orchestrates>> {
        None
    }
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

/// Whether a passphrase has to be typed twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repeat {
    /// It is a new one: a slip would lock its owner out.
    Yes,
    /// It either fits or does not.
    No,
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
    /// Other names of the verb, not shown.
    pub aliases: &'static [&'static str],
    /// Lines that show its use.
    pub examples: fn() -> Vec<Example>,
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
            aliases: A::ALIASES,
            examples: A::examples,
            run: run::<A>,
        }
    }

    /// Its row in the table.
    pub fn row(&self) -> Option<&'static Verb> {
        self.noun.verb(self.verb)
    }

    /// As it is typed after `ockam`: `node create`, `status`.
    pub fn words(&self) -> Vec<&'static str> {
        [self.noun.one]
            .into_iter()
            .chain(self.verb.split(' '))
            .filter(|word| !word.is_empty())
            .collect()
    }

    /// The clap command of this leaf, with help text.
    pub fn clap(&self) -> clap::Command {
        let about = self.row().map_or("", |verb| verb.about);
        let name = self.words().last().copied().unwrap_or_default();
        let command = (self.arguments)(clap::Command::new(name))
            .about(about)
            .aliases(self.aliases.iter().copied());
        match examples_help(&(self.examples)()) {
            none if none.is_empty() => command,
            examples => command.after_long_help(examples),
        }
    }
}

/// Arguments that can be run.
pub trait Run: clap::Args + 'static {
    /// The noun they belong to.
    const NOUN: &'static Noun;
    /// The verb they belong to.
    const VERB: &'static str;
    /// Other names of the verb that still work and are not shown.
    const ALIASES: &'static [&'static str] = &[];
    /// Lines that show its use, at the end of its long help.
    fn examples() -> Vec<Example> {
        Vec::new()
    }
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

/// Every leaf of the command line.
pub const COMMANDS: &[Command] = &[
    Command::of::<node::Create>(),
    Command::of::<node::Show>(),
    Command::of::<node::List>(),
    Command::of::<node::Start>(),
    Command::of::<node::Reload>(),
    Command::of::<node::Stop>(),
    Command::of::<node::Delete>(),
    Command::of::<node::Logs>(),
    Command::of::<node::Default>(),
    Command::of::<identity::Create>(),
    Command::of::<identity::Show>(),
    Command::of::<identity::List>(),
    Command::of::<identity::Default>(),
    Command::of::<identity::Rotate>(),
    Command::of::<identity::Delete>(),
    Command::of::<vault::Create>(),
    Command::of::<vault::Show>(),
    Command::of::<vault::List>(),
    Command::of::<vault::Move>(),
    Command::of::<vault::Passphrase>(),
    Command::of::<vault::Export>(),
    Command::of::<vault::Import>(),
    Command::of::<vault::Delete>(),
    Command::of::<tcp_outlet::Create>(),
    Command::of::<item::Show<TcpOutlet>>(),
    Command::of::<item::List<TcpOutlet>>(),
    Command::of::<item::Delete<TcpOutlet>>(),
    Command::of::<tcp_inlet::Create>(),
    Command::of::<item::Show<TcpInlet>>(),
    Command::of::<item::List<TcpInlet>>(),
    Command::of::<item::Delete<TcpInlet>>(),
    Command::of::<relay::Create>(),
    Command::of::<item::Show<Relay>>(),
    Command::of::<relay::List>(),
    Command::of::<relay::Delete>(),
    Command::of::<credential::Issue>(),
    Command::of::<credential::Verify>(),
    Command::of::<credential::Store>(),
    Command::of::<credential::List>(),
    Command::of::<credential::Show>(),
    Command::of::<credential::Delete>(),
    Command::of::<policy::Create>(),
    Command::of::<policy::Show>(),
    Command::of::<policy::List>(),
    Command::of::<policy::Delete>(),
    Command::of::<policy::Test>(),
    Command::of::<policy::Explain>(),
    Command::of::<policy::Denials>(),
    Command::of::<enroll::Enroll>(),
    Command::of::<project::Ticket>(),
    Command::of::<project::Enroll>(),
    Command::of::<project::Import>(),
    Command::of::<project::Show>(),
    Command::of::<project::List>(),
    Command::of::<project::Delete>(),
    Command::of::<project::Create>(),
    Command::of::<project::Version>(),
    Command::of::<project::addon::List>(),
    Command::of::<project::addon::Disable>(),
    Command::of::<project::addon::Okta>(),
    Command::of::<project::addon::InfluxDb>(),
    Command::of::<project::addon::Confluent>(),
    Command::of::<project::addon::Instaclustr>(),
    Command::of::<project::addon::Aiven>(),
    Command::of::<project::addon::Redpanda>(),
    Command::of::<project::addon::Warpstream>(),
    Command::of::<project::addon::ApacheKafka>(),
    Command::of::<project_member::Add>(),
    Command::of::<project_member::Show>(),
    Command::of::<project_member::List>(),
    Command::of::<project_member::ListIds>(),
    Command::of::<project_member::Delete>(),
    Command::of::<admins::Add<admins::OfProject>>(),
    Command::of::<admins::List<admins::OfProject>>(),
    Command::of::<admins::Delete<admins::OfProject>>(),
    Command::of::<space::Create>(),
    Command::of::<space::Show>(),
    Command::of::<space::List>(),
    Command::of::<space::Delete>(),
    Command::of::<admins::Add<admins::OfSpace>>(),
    Command::of::<admins::List<admins::OfSpace>>(),
    Command::of::<admins::Delete<admins::OfSpace>>(),
    Command::of::<share::Create>(),
    Command::of::<share::Service>(),
    Command::of::<share::List>(),
    Command::of::<share::Show>(),
    Command::of::<share::Accept>(),
    Command::of::<share::Revoke>(),
    Command::of::<subscription::Show>(),
    Command::of::<subscription::Attach>(),
    Command::of::<subscription::List>(),
    Command::of::<subscription::Unsubscribe>(),
    Command::of::<subscription::UpdateContactInfo>(),
    Command::of::<subscription::UpdateSpace>(),
    Command::of::<sidecar::Outlet>(),
    Command::of::<sidecar::Inlet>(),
    Command::of::<secure_channel::Create>(),
    Command::of::<secure_channel::Show>(),
    Command::of::<item::List<SecureChannel>>(),
    Command::of::<secure_channel::Delete>(),
    Command::of::<secure_channel_listener::Create>(),
    Command::of::<item::ShowAt<SecureChannelListener>>(),
    Command::of::<secure_channel_listener::List>(),
    Command::of::<secure_channel_listener::Delete>(),
    Command::of::<tcp_listener::Create>(),
    Command::of::<item::ShowAt<TcpListener>>(),
    Command::of::<item::List<TcpListener>>(),
    Command::of::<item::DeleteAt<TcpListener>>(),
    Command::of::<tcp_connection::Create>(),
    Command::of::<item::ShowAt<TcpConnection>>(),
    Command::of::<item::List<TcpConnection>>(),
    Command::of::<item::DeleteAt<TcpConnection>>(),
    Command::of::<authority::Create>(),
    Command::of::<authority::Show>(),
    Command::of::<authority::List>(),
    Command::of::<orchestrator::Start>(),
    Command::of::<orchestrator::Status>(),
    Command::of::<orchestrator::Stop>(),
    Command::of::<orchestrator::Backup>(),
    Command::of::<orchestrator::Restore>(),
    Command::of::<orchestrator::Install>(),
    Command::of::<orchestrator::Invite>(),
    Command::of::<orchestrator::List<orchestrator::Accounts>>(),
    Command::of::<orchestrator::List<orchestrator::Relays>>(),
    Command::of::<orchestrator::List<orchestrator::Tickets>>(),
    Command::of::<orchestrator::List<orchestrator::Audit>>(),
    Command::of::<orchestrator::AuditVerify>(),
    Command::of::<message::Send>(),
    Command::of::<service::Start>(),
    Command::of::<service::List>(),
    Command::of::<worker::List>(),
    Command::of::<flow_control::AddConsumer>(),
    Command::of::<status::Show>(),
    Command::of::<run::RunFile>(),
    Command::of::<import::Import>(),
    Command::of::<reset::Reset>(),
    Command::of::<migrate_database::MigrateDatabase>(),
];

/// The leaf of a noun (or an older name of it) and a verb; the verb is empty for a noun that stands for itself.
pub fn command(noun: &str, verb: &str) -> Option<&'static Command> {
    let noun = crate::table::resource(noun)?;
    commands_of(noun).find(|command| command.verb == verb)
}

fn commands_of(noun: &Noun) -> impl Iterator<Item = &'static Command> {
    COMMANDS
        .iter()
        .filter(move |command| command.noun.one == noun.one)
}

/// The leaf of these words of a command line, without `ockam` itself.
pub fn command_of_words(words: &[&str]) -> Option<&'static Command> {
    let (noun, verb) = words.split_first()?;
    command(noun, &verb.join(" "))
}

/// The clap command of every noun, with its verbs below it.
pub fn clap_commands() -> impl Iterator<Item = clap::Command> {
    clap_commands_among(&|_| true)
}

/// The clap commands of the nouns and verbs that are among some words.
pub fn clap_commands_among(is_there: &dyn Fn(&str) -> bool) -> impl Iterator<Item = clap::Command> {
    let named = move |name: &str, aliases: &[&str]| {
        let mut names = std::iter::once(name).chain(aliases.iter().copied());
        names.any(is_there)
    };
    let nouns = crate::table::RESOURCES.iter();
    nouns
        .filter(move |noun| named(noun.one, noun.aliases))
        .map(move |noun| {
            let mut verbs = commands_of(noun).filter(|command| {
                let first = command.verb.split(' ').next().unwrap_or_default();
                noun.is_single() || named(first, command.aliases)
            });
            let command = match (noun.is_single(), verbs.next()) {
                (true, Some(single)) => single.clap(),
                (_, first) => first
                    .into_iter()
                    .chain(verbs)
                    .fold(group(noun.one, noun.about), |group, verb| {
                        below(group, noun.one, verb.verb, verb)
                    }),
            };
            command.aliases(noun.aliases.iter().copied())
        })
}

/// Puts a verb below its noun; the last of several words below those before (`audit verify`).
fn below(group: clap::Command, path: &str, verb: &'static str, command: &Command) -> clap::Command {
    let Some((first, rest)) = verb.split_once(' ') else {
        return group.subcommand(command.clap());
    };
    let path = format!("{path} {first}");
    let group = if group.find_subcommand(first).is_some() {
        group
    } else {
        let about = crate::table::about_group(&path);
        group.subcommand(self::group(first, about))
    };
    group.mut_subcommand(first, |inner| below(inner, &path, rest, command))
}

fn group(word: &'static str, about: &'static str) -> clap::Command {
    clap::Command::new(word)
        .about(about)
        .subcommand_required(true)
        .arg_required_else_help(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::RESOURCES;

    #[test]
    fn the_table_and_the_command_line_agree() {
        for noun in RESOURCES {
            for verb in noun.verbs {
                assert!(
                    command(noun.one, verb.name).is_some(),
                    "{} {} cannot be run",
                    noun.one,
                    verb.name
                );
            }
        }
        for command in COMMANDS {
            assert!(
                command.row().is_some(),
                "{} {} is not in the table",
                command.noun.one,
                command.verb
            );
        }
        let rows: usize = RESOURCES.iter().map(|noun| noun.verbs.len()).sum();
        assert_eq!(rows, COMMANDS.len());
    }

    #[test]
    fn every_command_and_argument_has_help() {
        fn check(command: &clap::Command, path: &str) {
            let path = format!("{path} {}", command.get_name());
            assert!(
                command
                    .get_about()
                    .is_some_and(|about| !about.to_string().is_empty()),
                "{path}"
            );
            for argument in command
                .get_arguments()
                .filter(|argument| !argument.is_hide_set())
            {
                assert!(
                    argument.get_help().is_some(),
                    "{path} {}",
                    argument.get_id()
                );
            }
            command
                .get_subcommands()
                .for_each(|below| check(below, &path));
        }
        clap_commands().for_each(|command| check(&command, "ockam"));
    }

    #[test]
    fn arguments_do_not_contradict_each_other() {
        clap_commands().for_each(clap::Command::debug_assert);
    }

    #[test]
    fn commands_of_published_scripts_are_understood() {
        let lines = [
            "node create n1 --tcp-listener-address 127.0.0.1:4000",
            "node create --foreground --exit-on-eof --no-status-endpoint n1",
            "node create n1 --http-server --identity m --opentelemetry-context {}",
            "node delete --all --yes",
            "node delete --all -y --force",
            "node stop n1 --force",
            "node show /node/n1",
            "identity create m --vault default",
            "identity show m --full --encoding hex",
            "vault create v --path /tmp/v",
            "vault move v --path /tmp/w",
            "vault delete v -y",
            "tcp-outlet create --to 5000",
            "tcp-outlet create outlet --at n1 --to tcp://localhost:5000 --allow x=y",
            "tcp-outlet create --at /node/blue --from /service/outlet --to 127.0.0.1:5000",
            "tcp-outlet delete outlet --at n1 --yes",
            "tcp-inlet create --at /node/green --from 127.0.0.1:7000 --to /service/x/service/outlet",
            "tcp-inlet create web --from 7000 --via postgres --no-connection-wait --retry-wait 0",
            "tcp-inlet create --from 6000 --to /node/n1/secure/api/service/outlet --identity m --timeout 5s",
            "forwarder create blue --at /node/relay --to /node/blue",
            "relay create --at /node/relay --to blue --retry-count 3 --retry-delay 1s",
            "relay list --to blue",
            "secure-channel create --from /node/a --to /node/relay/service/forward_to_x/service/api",
            "secure-channel create --from a --to /node/b/service/api -a I0000000000000000000000000000000000000000000000000000000000000000",
            "secure-channel list --at a",
            "secure-channel show --at /node/a/service/x",
            "secure-channel delete /service/x --at a --yes",
            "secure-channel-listener create l --at a",
            "secure-channel-listener list --at a",
            "tcp-listener create 127.0.0.1:0 --at a",
            "tcp-connection create --from a --to 127.0.0.1:4000",
            "message send hello --to /node/n1/service/uppercase",
            "message send 0102 --hex --from n1 --to /service/echo --timeout 500ms",
            "service start hop --at n1 --addr h",
            "service list --at n1",
            "worker list --at n1",
            "flow-control add-consumer 00000000000000000000000000000000 /service/echo --at n1",
        ];
        for line in lines {
            let words = std::iter::once("ockam").chain(line.split(' '));
            let root = clap::Command::new("ockam").subcommands(clap_commands());
            let matches = root
                .try_get_matches_from(words)
                .unwrap_or_else(|error| panic!("{line}: {error}"));
            let (noun, matches) = matches.subcommand().expect("there is a noun");
            let (verb, _) = matches.subcommand().expect("there is a verb");
            assert!(command(noun, verb).is_some(), "{line}");
        }
    }
}
