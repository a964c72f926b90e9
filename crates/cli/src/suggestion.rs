//! Better tips below argument errors than the parser can give: it compares letters, this knows the commands.
//!
//! spec: command 3.3

use std::ffi::OsString;

use clap::Command;
use clap::builder::StyledStr;
use clap::error::{ContextKind, ContextValue, ErrorKind};

/// Adds what the reader of the error most likely meant.
pub(crate) fn improve(error: &mut clap::Error, root: &Command, words: &[OsString]) {
    let words: Vec<&str> = words
        .iter()
        .skip(1)
        .filter_map(|word| word.to_str())
        .collect();
    only_close(error, root, &words);
    match error.kind() {
        ErrorKind::InvalidSubcommand => {
            if let Some(wrong) = text(error, ContextKind::InvalidSubcommand) {
                subcommand(error, root, &words, &wrong);
            }
        }
        ErrorKind::UnknownArgument => {
            if let Some(wrong) = text(error, ContextKind::InvalidArg) {
                argument(error, root, &words, &wrong);
            }
        }
        _ => {}
    }
}

fn subcommand(error: &mut clap::Error, root: &Command, words: &[&str], wrong: &str) {
    let before = words.iter().take_while(|word| **word != wrong);
    let parent = leaf(root, before.copied());
    if parent.get_name() != root.get_name() {
        let verbs = OTHER_VERBS
            .iter()
            .filter(|(other, verb)| *other == wrong && parent.find_subcommand(verb).is_some())
            .map(|(_, verb)| (*verb).to_owned());
        similar(error, verbs.collect());
        return;
    }
    if let Some((_, instead)) = NOT_HERE.iter().find(|(name, _)| *name == wrong) {
        tip(
            error,
            format!("`{wrong}` is not in this release. {instead}"),
        );
        return;
    }
    let nouns = || root.get_subcommands().filter(|noun| !noun.is_hide_set());
    let other = OTHER_VERBS.iter().find(|(other, _)| *other == wrong);
    let verb = other.map_or(wrong, |(_, verb)| *verb);
    let mut with_verb = nouns().filter(|noun| noun.find_subcommand(verb).is_some());
    if let Some(first) = with_verb.next() {
        // `ockam create node` has the words in another order.
        let after = words.iter().skip_while(|word| **word != wrong).nth(1);
        let noun = after
            .and_then(|word| root.find_subcommand(word))
            .filter(|noun| noun.find_subcommand(verb).is_some())
            .unwrap_or(first);
        tip(
            error,
            format!(
                "say of what, for example `ockam {} {verb}`",
                noun.get_name()
            ),
        );
        return;
    }
    // `inlet` is a part of `tcp-inlet`.
    let parts = nouns().map(Command::get_name).filter(|name| {
        name.split('-')
            .any(|part| part == wrong.trim_end_matches('s'))
    });
    similar(error, parts.map(str::to_owned).collect());
}

fn argument(error: &mut clap::Error, root: &Command, words: &[&str], wrong: &str) {
    let command = leaf(root, words.iter().copied());
    if let Some(option) = wrong.strip_prefix("--") {
        let name = option.replace('-', "_");
        let is_word = |argument: &clap::Arg| argument.get_id().as_str().starts_with(&name);
        if command.get_positionals().any(is_word) {
            error.remove(ContextKind::SuggestedArg);
            tip(error, format!("write it as a word, without `{wrong}`"));
            return;
        }
    }
    // Hidden options are older ones and those that this program passes to itself.
    let hidden = text(error, ContextKind::SuggestedArg).is_some_and(|suggested| {
        let name = suggested.trim_start_matches('-');
        root.get_arguments()
            .chain(command.get_arguments())
            .any(|argument| argument.is_hide_set() && argument.get_long() == Some(name))
    });
    if hidden {
        error.remove(ContextKind::SuggestedArg);
    }
}

/// Takes away what the parser proposes although it does not look like what was typed.
fn only_close(error: &mut clap::Error, root: &Command, words: &[&str]) {
    for (wrong, proposed) in [
        (
            ContextKind::InvalidSubcommand,
            ContextKind::SuggestedSubcommand,
        ),
        (ContextKind::InvalidArg, ContextKind::SuggestedArg),
    ] {
        let Some(word) = text(error, wrong) else {
            continue;
        };
        match error.remove(proposed) {
            Some(ContextValue::Strings(names)) => {
                let close = names.into_iter().filter(|name| is_close(&word, name));
                similar(error, close.collect());
                // A list without tips would be printed as an empty line.
                if matches!(error.get(ContextKind::Suggested), Some(ContextValue::StyledStrs(tips)) if tips.is_empty())
                {
                    error.remove(ContextKind::Suggested);
                }
            }
            Some(ContextValue::String(name)) if is_close(&word, &name) => {
                error.insert(proposed, ContextValue::String(name));
            }
            // The usage was that of the proposal.
            Some(ContextValue::String(_)) => {
                let usage = leaf(root, words.iter().copied()).clone().render_usage();
                error.insert(ContextKind::Usage, ContextValue::StyledStr(usage));
            }
            _ => {}
        }
    }
}

/// Whether somebody may have meant this word and typed that.
fn is_close(typed: &str, meant: &str) -> bool {
    let (typed, meant) = (typed.trim_start_matches('-'), meant.trim_start_matches('-'));
    let meant = meant.split([' ', '=']).next().unwrap_or_default();
    let longest = typed.chars().count().max(meant.chars().count());
    strsim::damerau_levenshtein(typed, meant) <= (longest / 3).max(1)
}

/// The command that the words lead to.
fn leaf<'c, 'w>(root: &'c Command, words: impl Iterator<Item = &'w str>) -> &'c Command {
    words.fold(root, |command, word| {
        command.find_subcommand(word).unwrap_or(command)
    })
}

fn text(error: &clap::Error, kind: ContextKind) -> Option<String> {
    match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.clone()),
        _ => None,
    }
}

/// Puts a tip in the place of what the parser found similar.
fn tip(error: &mut clap::Error, text: String) {
    error.remove(ContextKind::SuggestedSubcommand);
    error.insert(
        ContextKind::Suggested,
        ContextValue::StyledStrs(vec![StyledStr::from(text)]),
    );
}

/// Names subcommands in the place of what the parser found similar.
fn similar(error: &mut clap::Error, names: Vec<String>) {
    if !names.is_empty() {
        error.insert(
            ContextKind::SuggestedSubcommand,
            ContextValue::Strings(names),
        );
    }
}

/// What other programs call our verbs.
const OTHER_VERBS: &[(&str, &str)] = &[
    ("add", "create"),
    ("new", "create"),
    ("rm", "delete"),
    ("remove", "delete"),
    ("destroy", "delete"),
    ("ls", "list"),
    ("ps", "list"),
    ("get", "show"),
    ("info", "show"),
    ("describe", "show"),
    ("status", "show"),
    ("run", "start"),
    ("kill", "stop"),
    ("restart", "stop"),
    ("restart", "start"),
    ("log", "logs"),
];

const KAFKA: &str = "`ockam tcp-inlet` and `ockam tcp-outlet` carry TCP as it is";
const UDP: &str = "Nodes connect over TCP, and through `ockam relay`";

/// Commands of the published program that are not here, and what there is (docs/out-of-scope.md).
const NOT_HERE: &[(&str, &str)] = &[
    ("kafka-inlet", KAFKA),
    ("kafka-outlet", KAFKA),
    ("kafka-consumer", KAFKA),
    ("kafka-producer", KAFKA),
    ("influxdb-inlet", KAFKA),
    ("influxdb-outlet", KAFKA),
    ("lease", KAFKA),
    ("rendezvous", UDP),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::Environment;

    fn told(line: &str) -> String {
        let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        let mut root = crate::command::root(&Environment::only(&[]));
        let mut error = root
            .try_get_matches_from_mut(&words)
            .expect_err("the line is wrong");
        improve(&mut error, &root, &words);
        error.to_string()
    }

    #[test]
    fn a_verb_alone_is_asked_for_its_noun() {
        assert!(told("ockam list").contains("say of what, for example `ockam node list`"));
        assert!(told("ockam create relay r1").contains("for example `ockam relay create`"));
        assert!(told("ockam ls").contains("for example `ockam node list`"));
        assert!(told("ockam rm relay r1").contains("for example `ockam relay delete`"));
    }

    #[test]
    fn a_part_of_a_noun_and_the_words_of_other_programs_are_understood() {
        assert!(told("ockam inlet create").contains("'tcp-inlet'"));
        assert!(told("ockam channels list").contains("'secure-channel'"));
        assert!(told("ockam node rm n1").contains("'delete'"));
        assert!(told("ockam --quiet identity get m").contains("'show'"));
        assert!(told("ockam node restart n1").contains("'stop', 'start'"));
    }

    #[test]
    fn what_is_not_here_yet_is_said_to_be_so() {
        assert!(told("ockam kafka-inlet create").contains("`kafka-inlet` is not in this release"));
    }

    #[test]
    fn a_word_that_was_given_as_an_option_is_asked_for_as_a_word() {
        assert!(told("ockam node create --name n1").contains("as a word, without `--name`"));
        assert!(told("ockam relay create --name r1").contains("as a word, without `--name`"));
    }

    #[test]
    fn hidden_options_are_not_recommended() {
        let told = told("ockam node create n1 --port 4000");
        assert!(!told.contains("--pretty"), "{told}");
    }

    #[test]
    fn what_is_said_not_to_be_here_is_not() {
        let root = crate::command::root(&Environment::bare());
        for (name, _) in NOT_HERE {
            assert!(
                root.find_subcommand(name).is_none(),
                "`ockam {name}` is there: its row in crates/cli/src/suggestion.rs can go"
            );
        }
    }

    #[test]
    fn only_what_looks_alike_is_proposed() {
        assert!(told("ockam nod list").contains("a similar subcommand exists: 'node'"));
        assert!(
            told("ockam node create --tcp-listner-address 1").contains("'--tcp-listener-address'")
        );
        let told = told("ockam node show --at n1");
        assert!(!told.contains("tip:"), "{told}");
        assert!(
            told.contains("Usage: ockam node show [OPTIONS] [NAME]"),
            "{told}"
        );
    }

    #[test]
    fn where_nothing_looks_alike_there_is_no_empty_tip() {
        for word in ["xyz", "cfg", "tls"] {
            let told = told(&format!("ockam {word}"));
            assert!(!told.contains("\n\n\n"), "{told}");
        }
    }

    #[test]
    fn words_are_close_when_few_letters_differ() {
        for (typed, meant, close) in [
            ("cretae", "create", true),
            ("ls", "list", false),
            ("--at", "--compact-output", false),
            ("--identiy", "--identity <NAME>", true),
        ] {
            assert_eq!(is_close(typed, meant), close, "{typed} {meant}");
        }
    }
}
