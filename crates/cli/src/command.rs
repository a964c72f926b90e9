//! The whole command line: global options, the nouns of the table, and commands about the program itself.
//!
//! spec: command 3.1 (help), 3.9

use clap::builder::Resettable;
use clap::{Args, Command};
use ockam_control::{Example, examples_help};

use crate::environment::{Environment, OCKAM_HELP_SHOW_HIDDEN};
use crate::global::GlobalArguments;
use crate::own::{self, OWN, Own};
use crate::version::VERSION;

/// The root command.
pub(crate) fn root(environment: &Environment) -> Command {
    let mut command = GlobalArguments::augment_args(Command::new("ockam"))
        .about("Secure, mutually authenticated connections between programs, wherever they run")
        .long_about(ABOUT)
        .version(VERSION)
        .after_help(ENVIRONMENT_HELP)
        .subcommand_required(true)
        .arg_required_else_help(true)
        .mut_arg("jq", |argument| argument.allow_hyphen_values(true))
        .subcommands(ockam_control::clap_commands())
        .subcommands(OWN.iter().map(|own| described(own)));
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
pub(crate) fn leaf(matches: &clap::ArgMatches) -> (Vec<&str>, &clap::ArgMatches) {
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
