//! Variables: the only file of the command that reads the process environment.
//!
//! Purpose: one view of the variables in which `--env KEY=VALUE` wins over the process environment.
//!
//! **Invariants**
//! - The process environment is never written; child processes get the overlay through [`Environment::overlay`].
//! - Everything that reads a variable, also the library below, reads it from here.
//!
//! spec: command 3.1, 3.13

mod variables;

use std::collections::BTreeMap;
use std::path::PathBuf;

pub(crate) use variables::{Effect, VARIABLES, Variable};

/// The variables a command sees: an overlay before the process environment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Environment {
    overlay: BTreeMap<String, String>,
    process: Process,
}

/// Where variables outside the overlay come from.
#[derive(Clone, Debug, Default)]
enum Process {
    /// The real environment of the process.
    #[default]
    Real,
    /// No variables at all: what the overlay lacks does not exist.
    Empty,
}

impl Environment {
    /// Puts a variable before the process environment.
    pub(crate) fn set(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.overlay.insert(name.into(), value.into());
    }

    /// An environment without variables.
    pub(crate) fn bare() -> Self {
        Self {
            overlay: BTreeMap::new(),
            process: Process::Empty,
        }
    }

    /// An environment that holds nothing but the given variables.
    #[cfg(test)]
    pub(crate) fn only(variables: &[(&str, &str)]) -> Self {
        Self {
            overlay: variables
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            process: Process::Empty,
        }
    }

    /// The value of a variable; one that is not text does not exist.
    pub(crate) fn get(&self, name: &str) -> Option<String> {
        if let Some(value) = self.overlay.get(name) {
            return Some(value.clone());
        }
        match self.process {
            Process::Real => std::env::var(name).ok(),
            Process::Empty => None,
        }
    }

    /// Every variable that is text, by name.
    pub(crate) fn all(&self) -> Vec<(String, String)> {
        let mut all: BTreeMap<String, String> = match self.process {
            Process::Real => std::env::vars_os()
                .filter_map(|(name, value)| {
                    Some((name.into_string().ok()?, value.into_string().ok()?))
                })
                .collect(),
            Process::Empty => BTreeMap::new(),
        };
        all.extend(self.overlay.clone());
        all.into_iter().collect()
    }

    /// What child processes are given on top of the inherited environment.
    pub(crate) fn overlay(&self) -> impl Iterator<Item = (&str, &str)> {
        self.overlay
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Whether `--env` set this variable.
    pub(crate) fn is_overlaid(&self, name: &str) -> bool {
        self.overlay.contains_key(name)
    }

    /// A switch. The published program takes only `true` and `false`; this also takes `NO_COLOR=1` and an empty value.
    pub(crate) fn flag(&self, name: &str) -> bool {
        self.get(name).is_some_and(|value| {
            !matches!(
                value.trim().to_ascii_lowercase().as_str(),
                "" | "0" | "false" | "no" | "n" | "f" | "off"
            )
        })
    }

    /// Directories in which programs are looked for.
    pub(crate) fn search_path(&self) -> Vec<PathBuf> {
        self.get(PATH)
            .map(|path| std::env::split_paths(&path).collect())
            .unwrap_or_default()
    }

    /// The home of the user.
    pub(crate) fn user_home(&self) -> PathBuf {
        PathBuf::from(self.get(HOME).unwrap_or_else(|| ".".to_owned()))
    }

    /// The state directory.
    pub(crate) fn home(&self) -> PathBuf {
        match self.get(OCKAM_HOME).filter(|home| !home.is_empty()) {
            Some(home) => PathBuf::from(home),
            None => self.user_home().join(".ockam"),
        }
    }
}

/// Program search path.
const PATH: &str = "PATH";
/// Home of the user.
const HOME: &str = "HOME";
/// State directory.
pub(crate) const OCKAM_HOME: &str = "OCKAM_HOME";
/// Same as `--quiet`.
pub(crate) const QUIET: &str = "QUIET";
/// Same as `--no-color`.
pub(crate) const NO_COLOR: &str = "NO_COLOR";
/// Same as `--no-input`.
pub(crate) const NO_INPUT: &str = "NO_INPUT";
/// Program that shows help.
pub(crate) const PAGER: &str = "PAGER";
/// Terminal type; `dumb` has no colours.
pub(crate) const TERM: &str = "TERM";
/// Program that runs background nodes.
pub(crate) const OCKAM: &str = "OCKAM";
/// Whether help hides hidden commands (default true).
pub(crate) const OCKAM_HELP_SHOW_HIDDEN: &str = "OCKAM_HELP_SHOW_HIDDEN";
/// Whether help comes out as Markdown.
pub(crate) const OCKAM_HELP_RENDER_MARKDOWN: &str = "OCKAM_HELP_RENDER_MARKDOWN";
/// File with the passphrases of sealed vaults.
pub(crate) const ENROLLMENT_TICKET: &str = "ENROLLMENT_TICKET";
pub(crate) const VAULT_PASSPHRASE_FILE: &str = "OCKAM_VAULT_PASSPHRASE_FILE";
/// Log to files.
pub(crate) const OCKAM_LOGGING: &str = "OCKAM_LOGGING";
/// Level of what is logged.
pub(crate) const OCKAM_LOG_LEVEL: &str = "OCKAM_LOG_LEVEL";
/// Form of log lines.
pub(crate) const OCKAM_LOG_FORMAT: &str = "OCKAM_LOG_FORMAT";
/// Crates whose lines are logged.
pub(crate) const OCKAM_LOG_CRATES_FILTER: &str = "OCKAM_LOG_CRATES_FILTER";
/// Log files that are kept.
pub(crate) const OCKAM_LOG_MAX_FILES: &str = "OCKAM_LOG_MAX_FILES";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_overlay_wins_over_the_process_environment() {
        let mut environment = Environment::default();
        assert!(environment.get("PATH").is_some());
        environment.set("PATH", "/nowhere");
        assert_eq!(environment.get("PATH").as_deref(), Some("/nowhere"));
        assert!(environment.is_overlaid("PATH"));
        assert_eq!(
            environment.overlay().collect::<Vec<_>>(),
            [("PATH", "/nowhere")]
        );
    }

    #[test]
    fn switches_take_the_published_words_and_the_usual_ones() {
        for (value, expected) in [
            ("true", true),
            ("1", true),
            ("yes", true),
            ("false", false),
            ("0", false),
            ("", false),
            ("off", false),
        ] {
            assert_eq!(
                Environment::only(&[(NO_COLOR, value)]).flag(NO_COLOR),
                expected,
                "{value:?}"
            );
        }
        assert!(!Environment::only(&[]).flag(NO_COLOR));
    }

    #[test]
    fn the_state_directory_is_dot_ockam_unless_it_is_named() {
        assert_eq!(
            Environment::only(&[("HOME", "/h")]).home(),
            PathBuf::from("/h/.ockam")
        );
        assert_eq!(
            Environment::only(&[("HOME", "/h"), (OCKAM_HOME, "/o")]).home(),
            PathBuf::from("/o")
        );
    }
}
