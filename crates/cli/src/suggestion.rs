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
    if NOT_HERE.contains(&wrong) {
        tip(
            error,
            format!("`{wrong}` is not in this release; `ockam help` shows what is"),
        );
        return;
    }
    let nouns = || root.get_subcommands().filter(|noun| !noun.is_hide_set());
    let mut with_verb = nouns().filter(|noun| noun.find_subcommand(wrong).is_some());
    if let Some(first) = with_verb.next() {
        // `ockam create node` has the words in another order.
        let after = words.iter().skip_while(|word| **word != wrong).nth(1);
        let noun = after
            .and_then(|word| root.find_subcommand(word))
            .filter(|noun| noun.find_subcommand(wrong).is_some())
            .unwrap_or(first);
        tip(
            error,
            format!(
                "say of what, for example `ockam {} {wrong}`",
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
    ("get", "show"),
    ("info", "show"),
    ("describe", "show"),
    ("status", "show"),
    ("run", "start"),
    ("kill", "stop"),
    ("log", "logs"),
];

/// Commands of the published program that may not be here (docs/out-of-scope.md). Those that are, are found before.
const NOT_HERE: &[&str] = &[
    "admin",
    "authority",
    "credential",
    "enroll",
    "influxdb-inlet",
    "influxdb-outlet",
    "kafka-consumer",
    "kafka-inlet",
    "kafka-outlet",
    "kafka-producer",
    "lease",
    "policy",
    "project",
    "project-admin",
    "project-member",
    "rendezvous",
    "run",
    "share",
    "sidecar",
    "space",
    "space-admin",
    "subscription",
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
    }

    #[test]
    fn a_part_of_a_noun_and_the_words_of_other_programs_are_understood() {
        assert!(told("ockam inlet create").contains("'tcp-inlet'"));
        assert!(told("ockam channels list").contains("'secure-channel'"));
        assert!(told("ockam node rm n1").contains("'delete'"));
        assert!(told("ockam --quiet identity get m").contains("'show'"));
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
}
