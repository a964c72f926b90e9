//! What happens to the words of the command line before they are parsed.
//!
//! In this order: substitution of `/-` and `-/` from standard input, `--version` anywhere, `--env KEY=VALUE`.
//!
//! spec: command 3.1 (steps 1 to 3)

use std::ffi::{OsStr, OsString};
use std::io::{self, BufRead};

use crate::environment::Environment;

/// The words after preparation.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Prepared {
    /// The version was asked for, whatever else is there.
    Version,
    /// Words to parse, the program name first.
    Words(Vec<OsString>),
}

/// Why the words could not be prepared.
#[derive(Debug)]
pub(crate) enum PrepareError {
    /// An argument wants a line of standard input that is not there.
    NoInput(String),
    /// Standard input could not be read.
    Input(io::Error),
    /// `--env` without `KEY=VALUE`.
    EnvironmentValue(String),
}

impl std::fmt::Display for PrepareError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NoInput(word) => {
                write!(
                    f,
                    "the argument `{word}` takes a route from standard input, but none arrived"
                )
            }
            Self::Input(error) => write!(f, "standard input could not be read: {error}"),
            Self::EnvironmentValue(value) if value.is_empty() => {
                write!(f, "`--env` needs a variable, KEY=VALUE")
            }
            Self::EnvironmentValue(value) => {
                write!(f, "`--env {value}` is not of the form KEY=VALUE")
            }
        }
    }
}

/// Substitutes, looks for the version and moves `--env` into the environment.
pub(crate) fn prepare(
    words: Vec<OsString>,
    input: &mut dyn BufRead,
    environment: &mut Environment,
) -> Result<Prepared, PrepareError> {
    // The process of a background node gets words that were substituted before.
    let words = if words.iter().any(|word| word == CHILD_PROCESS) {
        words
    } else {
        substitute(words, input)?
    };
    if words
        .iter()
        .skip(1)
        .any(|word| word == "-V" || word == "--version")
    {
        return Ok(Prepared::Version);
    }
    take_environment(words, environment).map(Prepared::Words)
}

/// The first word that takes a line of standard input, so that a person can be told who waits for it.
pub(crate) fn takes_line(words: &[OsString]) -> Option<&str> {
    if words.iter().any(|word| word == CHILD_PROCESS) {
        return None;
    }
    let words = words.iter().skip(1).filter_map(|word| word.to_str());
    words
        .into_iter()
        .find(|word| word.contains("/-") || word.contains("-/"))
}

/// Replaces `/-` or `-/` in every word by a path read as one line.
fn substitute(
    words: Vec<OsString>,
    input: &mut dyn BufRead,
) -> Result<Vec<OsString>, PrepareError> {
    let mut substituted = Vec::with_capacity(words.len());
    for (index, word) in words.into_iter().enumerate() {
        let Some(text) = word.to_str().filter(|_| index > 0) else {
            substituted.push(word);
            continue;
        };
        let replaced = if text.contains("/-") {
            let parts = read_path(text, input)?;
            text.replace("/-", &format!("/{}", parts.join("/")))
        } else if text.contains("-/") {
            let parts = read_path(text, input)?;
            text.replace("-/", &format!("/{}/", parts.join("/")))
        } else {
            substituted.push(word);
            continue;
        };
        substituted.push(OsString::from(replaced));
    }
    Ok(substituted)
}

/// One line, split on `/` without empty parts.
fn read_path(word: &str, input: &mut dyn BufRead) -> Result<Vec<String>, PrepareError> {
    let mut line = String::new();
    // A route has at most 32 hops of 255 bytes; the bound keeps an endless line from filling memory.
    io::Read::take(input, LINE_MAX)
        .read_line(&mut line)
        .map_err(PrepareError::Input)?;
    let parts: Vec<String> = line
        .trim()
        .split('/')
        .filter(|part| !part.is_empty())
        .map(str::to_owned)
        .collect();
    if parts.is_empty() {
        return Err(PrepareError::NoInput(word.to_owned()));
    }
    Ok(parts)
}

/// Removes `--env KEY=VALUE` and `--env=KEY=VALUE`.
pub(crate) fn take_environment(
    words: Vec<OsString>,
    environment: &mut Environment,
) -> Result<Vec<OsString>, PrepareError> {
    let mut kept = Vec::with_capacity(words.len());
    let mut words = words.into_iter();
    while let Some(word) = words.next() {
        let pair = if word == "--env" {
            words
                .next()
                .ok_or_else(|| PrepareError::EnvironmentValue(String::new()))?
        } else if let Some(pair) = word.to_str().and_then(|text| text.strip_prefix("--env=")) {
            OsString::from(pair)
        } else {
            kept.push(word);
            continue;
        };
        let (key, value) =
            split_pair(&pair).ok_or_else(|| PrepareError::EnvironmentValue(key_of(&pair)))?;
        environment.set(key, value);
    }
    Ok(kept)
}

/// Only the text between the first and the second `=` is the value.
fn split_pair(pair: &OsStr) -> Option<(&str, &str)> {
    let mut parts = pair.to_str()?.split('=');
    let key = parts.next().filter(|key| !key.is_empty())?;
    Some((key, parts.next()?))
}

/// What an error may show: values can be secrets.
fn key_of(pair: &OsStr) -> String {
    let text = pair.to_string_lossy();
    text.split('=').next().unwrap_or_default().to_owned()
}

/// Marks the process of a background node.
pub(crate) const CHILD_PROCESS: &str = "--child-process";
/// Longest line that is read for a substitution.
const LINE_MAX: u64 = 16 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_from_standard_input_replaces_the_dash() {
        let input = "/service/abc\n";
        assert_eq!(
            words("-/service/uppercase", input),
            "/service/abc/service/uppercase"
        );
        let input = "  /service/forward_to_x  \n";
        assert_eq!(
            words("/node/n2/-/service/uppercase", input),
            "/node/n2/service/forward_to_x/service/uppercase"
        );
        assert_eq!(words("/node/n1/-", "service/a"), "/node/n1/service/a");
    }

    #[test]
    fn a_word_that_waits_for_a_line_is_known_before() {
        assert_eq!(takes_line(&list(&["ockam", "x", "/a/-"])), Some("/a/-"));
        assert_eq!(takes_line(&list(&["./-/ockam", "x", "--to=a"])), None);
        assert_eq!(
            takes_line(&list(&["ockam", "--child-process", "-/a"])),
            None
        );
    }

    #[test]
    fn every_matching_argument_reads_a_further_line() {
        let mut environment = Environment::only(&[]);
        let prepared = prepare(
            list(&["ockam", "/-", "x", "-/b"]),
            &mut "a\nc//d\n".as_bytes(),
            &mut environment,
        )
        .unwrap();
        assert_eq!(
            prepared,
            Prepared::Words(list(&["ockam", "/a", "x", "/c/d/b"]))
        );
    }

    #[test]
    fn a_missing_line_is_an_error_that_names_the_argument() {
        let error = prepare(
            list(&["ockam", "-/a"]),
            &mut "".as_bytes(),
            &mut Environment::only(&[]),
        )
        .unwrap_err();
        assert!(error.to_string().contains("`-/a`"));
    }

    #[test]
    fn the_version_wins_wherever_it_stands() {
        for flag in ["-V", "--version"] {
            let prepared = prepare(
                list(&["ockam", "nonsense", flag, "--env"]),
                &mut "".as_bytes(),
                &mut Environment::only(&[]),
            );
            assert_eq!(prepared.unwrap(), Prepared::Version);
        }
    }

    #[test]
    fn variables_go_into_the_overlay_and_leave_the_words() {
        let mut environment = Environment::only(&[]);
        let prepared = prepare(
            list(&["ockam", "--env", "A=b=c", "node", "--env=D=", "list"]),
            &mut "".as_bytes(),
            &mut environment,
        );
        assert_eq!(
            prepared.unwrap(),
            Prepared::Words(list(&["ockam", "node", "list"]))
        );
        assert_eq!(environment.get("A").as_deref(), Some("b"));
        assert_eq!(environment.get("D").as_deref(), Some(""));
    }

    #[test]
    fn a_variable_without_a_value_is_an_error() {
        for given in [&["ockam", "--env"][..], &["ockam", "--env", "KEY"]] {
            let prepared = prepare(list(given), &mut "".as_bytes(), &mut Environment::only(&[]));
            assert!(matches!(prepared, Err(PrepareError::EnvironmentValue(_))));
        }
    }

    fn list(words: &[&str]) -> Vec<OsString> {
        words.iter().map(OsString::from).collect()
    }

    fn words(word: &str, input: &str) -> String {
        match prepare(
            list(&["ockam", word]),
            &mut input.as_bytes(),
            &mut Environment::only(&[]),
        )
        .unwrap()
        {
            Prepared::Words(words) => words[1].to_string_lossy().into_owned(),
            Prepared::Version => String::new(),
        }
    }
}
