//! Names a user gives to vaults, identities and nodes.
//!
//! A name becomes part of a file name or of a message on a terminal, so each type checks its text once, at the edge.

use core::fmt;
use core::str::FromStr;
use std::collections::{HashMap, HashSet};

use thiserror::Error;

/// Text that cannot be a name.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{text}` is not {noun} name: {rule}")]
pub struct NameError {
    noun: &'static str,
    text: String,
    rule: &'static str,
}

macro_rules! name {
    ($(#[$doc:meta])* $type:ident, $noun:literal, $check:expr, $rule:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $type(String);

        impl $type {
            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $type {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, NameError> {
                let check: fn(&str) -> bool = $check;
                if check(text) {
                    Ok(Self(text.to_owned()))
                } else {
                    Err(NameError { noun: $noun, text: text.to_owned(), rule: $rule })
                }
            }
        }

        impl TryFrom<String> for $type {
            type Error = NameError;

            fn try_from(text: String) -> Result<Self, NameError> {
                text.parse()
            }
        }

        impl AsRef<str> for $type {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name!(
    /// Name of a node: word characters, `-` and `_`; also the name of its log directory.
    // spec: command 3.4
    NodeName,
    "a node",
    |text| !text.is_empty()
        && text.len() <= NAME_MAX
        && text.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '-'),
    "use 1 to 200 bytes of letters, digits, `-` and `_`"
);

name!(
    /// Name of a vault; also the end of the name of its file.
    VaultName,
    "a vault",
    is_plain_text,
    "use 1 to 200 bytes of text without `/` and control characters"
);

name!(
    /// Name a user gives to one of their own identities.
    IdentityName,
    "an identity",
    is_plain_text,
    "use 1 to 200 bytes of text without `/` and control characters"
);

name!(
    /// Name of a project: letters and digits, single `-`, `_` and `.` between them.
    // spec: command 3.4
    ProjectName,
    "a project",
    is_words_of_ascii,
    "use 1 to 200 letters and digits; `-`, `_` and `.` may stand between them"
);

name!(
    /// Name of a space, as that of a project.
    SpaceName,
    "a space",
    is_words_of_ascii,
    "use 1 to 200 letters and digits; `-`, `_` and `.` may stand between them"
);

impl ProjectName {
    /// The same name with a number behind it.
    pub(crate) fn numbered(&self, number: u64) -> Self {
        Self(numbered(&self.0, number))
    }
}

impl SpaceName {
    /// The same name with a number behind it.
    pub(crate) fn numbered(&self, number: u64) -> Self {
        Self(numbered(&self.0, number))
    }
}

/// Names of one kind that are in use, for whoever adds many.
pub(crate) struct NamesInUse {
    used: HashSet<String>,
    /// The last number that was given to each name.
    numbers: HashMap<String, u64>,
}

impl NamesInUse {
    pub(crate) fn of<'a>(names: impl Iterator<Item = &'a String>) -> Self {
        Self {
            used: names.cloned().collect(),
            numbers: HashMap::new(),
        }
    }

    /// The name, with a number if it is in use; in use from now on.
    pub(crate) fn unused<N: Clone + fmt::Display>(
        &mut self,
        name: &N,
        numbered: impl Fn(&N, u64) -> N,
    ) -> N {
        if self.used.insert(name.to_string()) {
            return name.clone();
        }
        let number = self.numbers.entry(name.to_string()).or_insert(1);
        loop {
            *number = number.saturating_add(1);
            let other = numbered(name, *number);
            if self.used.insert(other.to_string()) {
                return other;
            }
        }
    }
}

fn numbered(name: &str, number: u64) -> String {
    let ending = format!("-{number}");
    let mut name = name.to_owned();
    name.truncate(NAME_MAX - ending.len());
    while !name.ends_with(|c: char| c.is_ascii_alphanumeric()) && name.len() > 1 {
        name.pop();
    }
    name + &ending
}

impl VaultName {
    /// The name of the first vault of a home, made when one is needed. // spec: command 3.7
    #[must_use]
    pub fn first() -> Self {
        Self("default".to_owned())
    }
}

fn is_plain_text(text: &str) -> bool {
    !text.trim().is_empty()
        && text.len() <= NAME_MAX
        && !text
            .chars()
            .any(|c| c.is_control() || c == '/' || c == '\\')
}

fn is_words_of_ascii(text: &str) -> bool {
    let is_mark = |c: char| matches!(c, '-' | '_' | '.');
    text.len() <= NAME_MAX
        && text
            .split(is_mark)
            .all(|word| !word.is_empty() && word.chars().all(|c| c.is_ascii_alphanumeric()))
}

/// File names end at 255 bytes; some carry a prefix or an ending.
const NAME_MAX: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn node_names_stay_inside_their_directory() {
        for good in ["n1", "blue-node_2", "größe"] {
            assert_eq!(good.parse::<NodeName>().unwrap().as_str(), good);
        }
        let long = "n".repeat(201);
        for bad in ["", ".", "..", "a/b", "a b", "a.b", "a\0", long.as_str()] {
            assert!(bad.parse::<NodeName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn vault_names_stay_inside_their_directory() {
        assert!("my vault".parse::<VaultName>().is_ok());
        for bad in ["", " ", "../x", "a\nb", "a\u{1b}[0m"] {
            assert!(bad.parse::<VaultName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn project_names_are_words_with_single_marks_between_them() {
        for good in ["default", "1", "a-b_c.d", "A1"] {
            assert_eq!(good.parse::<ProjectName>().unwrap().as_str(), good);
        }
        for bad in ["", "-a", "a-", "a--b", "a b", "ä", "a/b"] {
            assert!(bad.parse::<ProjectName>().is_err(), "{bad}");
        }
        let long: ProjectName = "a".repeat(200).parse().unwrap();
        let second = long.numbered(2);
        assert!(second.as_str().ends_with("a-2"));
        assert_eq!(second.as_str().parse::<ProjectName>(), Ok(second));
    }

    #[test]
    fn an_error_names_the_noun_and_the_text() {
        let error = "a/b".parse::<VaultName>().unwrap_err();
        assert!(error.to_string().starts_with("`a/b` is not a vault name"));
    }
}
