//! The whole command line: global options, the nouns of the table, and commands about the program itself.
//!
//! spec: command 3.1 (help), 3.9

use std::ffi::OsString;

use clap::builder::Resettable;
use clap::{ArgMatches, Args, Command};
use ockam_control::{Example, examples_help};

use crate::environment::{Environment, OCKAM_HELP_SHOW_HIDDEN};
use crate::global::GlobalArguments;
use crate::own::{self, OWN, Own};
use crate::version::VERSION;

/// The root command.
pub(crate) fn root(environment: &Environment) -> Command {
    root_of(&|_| true, environment)
}

/// Parses a command line; an error comes with the root command that explains it.
///
/// Only what the words name is described at first: a line that is right is understood the same without the hundred commands
/// that it does not mention, which take longer to describe than most need to run, and a background node would keep their
/// memory. A wrong line, and one that asks for help, is parsed again with all of them.
pub(crate) fn parse(
    words: &[OsString],
    environment: &Environment,
) -> Result<ArgMatches, (clap::Error, Box<Command>)> {
    let is_there = |name: &str| words.iter().any(|word| word == name);
    if let Ok(matches) = root_of(&is_there, environment).try_get_matches_from(words) {
        return Ok(matches);
    }
    let mut root = root(environment);
    root.try_get_matches_from_mut(words)
        .map_err(|error| (error, Box::new(root)))
}

fn root_of(is_there: &dyn Fn(&str) -> bool, environment: &Environment) -> Command {
    let mut command = GlobalArguments::augment_args(Command::new("ockam"))
        .about("Secure, mutually authenticated connections between programs, wherever they run")
        .long_about(ABOUT)
        .version(VERSION)
        .after_help(ENVIRONMENT_HELP)
        .subcommand_required(true)
        .arg_required_else_help(true)
        .mut_arg("jq", |argument| argument.allow_hyphen_values(true))
        .subcommands(ockam_control::clap_commands_among(is_there))
        .subcommands(
            OWN.iter()
                .filter(|own| is_there(own.name))
                .map(|own| described(own)),
        );
    if environment.overlay().next().is_some() {
        command = overlay(command, environment);
    }
    // The name of the variable says the opposite of what it does: it is the switch that hides.
    if environment.get(OCKAM_HELP_SHOW_HIDDEN).is_some()
        && !environment.flag(OCKAM_HELP_SHOW_HIDDEN)
    {
        command = unhide(command);
    }
    command
}

/// Noun and verb of a parsed command line with the matches of the verb; what the verb has below it is its own affair.
pub(crate) fn leaf(matches: &ArgMatches) -> (Vec<&str>, &ArgMatches) {
    let mut words = Vec::new();
    let mut matches = matches;
    while let Some((word, below)) = matches.subcommand()
        && (words.len() < 2 || ockam_control::command_of_words(&words).is_none())
    {
        words.push(word);
        matches = below;
    }
    (words, matches)
}

fn described(own: &Own) -> Command {
    (own.clap)().after_long_help(examples_help(&own.examples()))
}

/// Lines that show the use of the command of these words.
pub(crate) fn examples(words: &[String]) -> Vec<Example> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let command = match words.as_slice() {
        [single] => match own::find(single) {
            Some(own) => return own.examples(),
            None => ockam_control::command(single, ""),
        },
        words => ockam_control::command_of_words(words),
    };
    command.map_or_else(Vec::new, |command| (command.examples)())
}

/// Makes `--env` visible to arguments that fall back to a variable: clap itself reads only the process environment.
fn overlay(command: Command, environment: &Environment) -> Command {
    let command = command.mut_args(|argument| {
        let value = argument
            .get_env()
            .and_then(|name| name.to_str())
            .filter(|name| environment.is_overlaid(name))
            .and_then(|name| environment.get(name));
        match value {
            Some(value) => argument.env(Resettable::Reset).default_value(value),
            None => argument,
        }
    });
    command.mut_subcommands(|below| overlay(below, environment))
}

fn unhide(command: Command) -> Command {
    command
        .hide(false)
        .mut_args(|argument| argument.hide(false))
        .mut_subcommands(unhide)
}

const ABOUT: &str = "\
Secure, mutually authenticated connections between programs, wherever they run.

A node runs workers. An inlet and an outlet carry TCP connections through end-to-end encrypted channels between \
nodes; a relay lets a node be reached that cannot be connected to.";

const ENVIRONMENT_HELP: &str = "\
Results go to stdout, everything else to stderr. In a pipe, commands print one identifier where they have one, else \
JSON.";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        root(&Environment::only(&[])).debug_assert();
        root(&Environment::only(&[(OCKAM_HELP_SHOW_HIDDEN, "false")])).debug_assert();
    }

    #[test]
    fn every_leaf_of_the_table_is_in_the_command_line() {
        let root = root(&Environment::only(&[]));
        for command in ockam_control::COMMANDS {
            let words = command.words();
            let leaf = words
                .iter()
                .try_fold(&root, |command, word| command.find_subcommand(word));
            assert!(leaf.is_some(), "{}", words.join(" "));
        }
    }

    #[test]
    fn a_line_that_is_wrong_is_explained_with_everything_there_is() {
        let told = |line: &str| {
            let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
            let (error, root) = parse(&words, &Environment::only(&[])).expect_err(line);
            assert!(root.find_subcommand("worker").is_some());
            error.to_string()
        };
        assert!(told("ockam nod list").contains("'node'"));
        assert!(told("ockam --help").contains("tcp-inlet"));
        assert!(told("ockam help node").contains("logs"));
        assert!(told("ockam node").contains("logs"));
        assert!(told("ockam node create --foregrund").contains("'--foreground'"));
        assert!(told("ockam node lst").contains("'list'"));
    }

    #[test]
    fn a_line_that_is_right_is_understood_whatever_else_its_words_name() {
        for line in [
            "ockam node list",
            "ockam -q --jq node node list",
            "ockam node create create",
            "ockam forwarder create node --at /node/relay",
            "ockam orchestrator audit verify",
            "ockam service start hop --at node",
            "ockam status",
            "ockam completion --shell bash",
        ] {
            let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
            let environment = Environment::only(&[]);
            let among = |name: &str| words.iter().any(|word| word == name);
            let few = root_of(&among, &environment).try_get_matches_from(&words);
            let all = root(&environment).try_get_matches_from(&words);
            assert_eq!(leaf(&few.expect(line)), leaf(&all.expect(line)), "{line}");
        }
    }

    #[test]
    fn an_overlaid_variable_is_seen_by_arguments() {
        let command = Command::new("c").subcommand(
            Command::new("s").arg(
                clap::Arg::new("a")
                    .long("a")
                    .env("PATH")
                    .action(clap::ArgAction::Set),
            ),
        );
        let mut environment = Environment::default();
        environment.set("PATH", "overlaid");
        let matches = overlay(command, &environment)
            .try_get_matches_from(["c", "s"])
            .unwrap();
        let (words, matches) = leaf(&matches);
        assert_eq!(words, ["s"]);
        assert_eq!(
            matches.get_one::<String>("a").map(String::as_str),
            Some("overlaid")
        );
    }
}
