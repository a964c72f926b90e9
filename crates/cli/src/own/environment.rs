//! `ockam environment`: the variables, and what those about ockam are set to.
//!
//! **Invariant**: values of secrets are not shown.
//!
//! spec: command 3.9.7, 3.13

use std::fmt::Write as _;

use clap::Command;
use ockam_control::Outcome;
use serde_json::{Value, json};

use crate::environment::{Effect, VARIABLES, Variable};
use crate::own::{Own, Said};

/// Its row.
pub(super) const OWN: Own = Own {
    name: "environment",
    clap: || Command::new("environment").about("Show the variables that change what commands do"),
    examples: &[
        (
            "Which variables there are, and which are set",
            "ockam environment",
        ),
        (
            "The variables that are set, for a script",
            "ockam environment --output json --jq 'map(select(.value))'",
        ),
    ],
    run: |_, environment| {
        let variables = environment.all();
        Ok(Said::Page(
            Outcome::plain(text(&variables)).json(list(&variables)),
        ))
    },
};

type Set = [(String, String)];

/// The table, then what is set.
fn text(set: &Set) -> String {
    let mut text = String::new();
    for (effect, heading) in [
        (Effect::Honoured, "Variables that change what commands do"),
        (
            Effect::Refused,
            "Variables that ask for what this release does not have: commands that need it fail",
        ),
        (
            Effect::None,
            "Variables of the published program that are accepted and have no effect",
        ),
    ] {
        let _ = writeln!(text, "{heading}\n");
        let rows: Vec<_> = VARIABLES
            .iter()
            .filter(|row| row.effect == effect)
            .collect();
        for (index, row) in rows.iter().enumerate() {
            let same =
                |other: Option<&&Variable>| other.is_some_and(|other| other.about == row.about);
            let default = match row.default {
                "" => String::new(),
                default => format!(" (default: {default})"),
            };
            let _ = writeln!(text, "  {}{default}", row.name);
            // What several have in common is said once.
            if !same(rows.get(index + 1)) {
                let _ = writeln!(text, "      {}\n", row.about);
            }
        }
    }
    text.push_str("Variables that are set\n\n");
    let mut none = true;
    for (name, value) in set {
        if name.contains("OCKAM") {
            none = false;
            let _ = writeln!(text, "  {name}={}", shown(name, value));
        }
    }
    if none {
        text.push_str("  none whose name contains OCKAM\n");
    }
    text
}

/// Every row of the table with its value, then what else is set.
fn list(set: &Set) -> Value {
    let value = |name: &str| {
        let found = set.iter().find(|(other, _)| other == name);
        found.map(|(name, value)| shown(name, value))
    };
    let rows = VARIABLES.iter().map(|row| {
        json!({
            "name": row.name,
            "about": row.about,
            "default": Some(row.default).filter(|default| !default.is_empty()),
            "effect": row.effect == Effect::Honoured,
            "value": value(row.name),
        })
    });
    let others = set
        .iter()
        .filter(|(name, _)| name.contains("OCKAM"))
        .filter(|(name, _)| VARIABLES.iter().all(|row| row.name != name))
        .map(|(name, value)| {
            json!({"name": name, "about": null, "default": null, "effect": false, "value": shown(name, value)})
        });
    rows.chain(others).collect()
}

/// A value that may be seen by who looks over a shoulder or reads a report.
fn shown(name: &str, value: &str) -> String {
    let secret = SECRETS.iter().any(|word| name.contains(word));
    if secret && !value.is_empty() {
        return MASK.to_owned();
    }
    // scheme://user:password@host; who wrote a password without escapes may have any character in it.
    let masked = value.split_once("://").and_then(|(scheme, rest)| {
        let (before, host) = rest.rsplit_once('@')?;
        let (user, _) = before.split_once(':')?;
        Some(format!("{scheme}://{user}:{MASK}@{host}"))
    });
    let shown = masked.unwrap_or_else(|| value.to_owned());
    // One line for each variable, and nothing that a terminal obeys.
    shown
        .escape_debug()
        .to_string()
        .replace("\\\"", "\"")
        .replace("\\'", "'")
}

const MASK: &str = "********";
const SECRETS: &[&str] = &[
    "TOKEN",
    "PASSWORD",
    "PASSPHRASE",
    "SECRET",
    "TICKET",
    "HEADERS",
    "PRIVATE_KEY",
    "CREDENTIAL",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_masked_wherever_they_stand() {
        for (name, value, expected) in [
            ("OCKAM_HOME", "/h", "/h"),
            ("OCKAM_CONTROL_API_AUTHENTICATION_TOKEN", "abc", MASK),
            ("OCKAM_DATABASE_PASSWORD", "", ""),
            (
                "OCKAM_DATABASE_CONNECTION_URL",
                "postgres://me:pa/ss@db/x",
                "postgres://me:********@db/x",
            ),
            (
                "OCKAM_DATABASE_CONNECTION_URL",
                "postgres://me:p@ss@db:5432/x",
                "postgres://me:********@db:5432/x",
            ),
            ("MY_OCKAM", "a\n\x1b[31mb", "a\\n\\u{1b}[31mb"),
        ] {
            assert_eq!(shown(name, value), expected, "{name}={value}");
        }
    }

    #[test]
    fn values_stand_beside_their_rows_and_others_behind() {
        let set = [
            ("MY_OCKAM_THING".to_owned(), "1".to_owned()),
            ("OCKAM_HOME".to_owned(), "/h".to_owned()),
            ("PATH".to_owned(), "/bin".to_owned()),
        ];
        let list = list(&set);
        let rows = list.as_array().unwrap();
        assert_eq!(rows[0]["name"], "OCKAM_HOME");
        assert_eq!(rows[0]["value"], "/h");
        assert_eq!(rows.last().unwrap()["name"], "MY_OCKAM_THING");
        let text = text(&set);
        assert!(text.ends_with("Variables that are set\n\n  MY_OCKAM_THING=1\n  OCKAM_HOME=/h\n"));
    }
}
