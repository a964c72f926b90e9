//! Commands of the command line itself: they are about the program, not about nodes, and touch no home.
//!
//! Adding one: a file below `own/` with its row, and a line in [`OWN`].
//!
//! spec: command 3.9.7

mod completion;
mod environment;
mod manpages;
mod markdown;
mod version;

use std::path::{Path, PathBuf};

use clap::{ArgMatches, Command};
use ockam_control::{Example, Failure, Outcome};

use crate::environment::Environment;

/// A command of the command line itself.
#[derive(Debug)]
pub(crate) struct Own {
    /// As it is typed.
    pub name: &'static str,
    /// Its arguments and help.
    pub clap: fn() -> Command,
    /// Lines that show its use.
    pub examples: &'static [(&'static str, &'static str)],
    /// Carries it out.
    pub run: fn(&ArgMatches, &Environment) -> Result<Said, Failure>,
}

/// What such a command has to say.
#[derive(Debug)]
pub(crate) enum Said {
    /// A result like that of other commands.
    Result(Outcome),
    /// A text to read, through the pager; the JSON form when one was asked for.
    Page(Outcome),
    /// A text that goes to standard output as it is, its last newline too.
    Text(String),
}

/// All of them, in the order of the help.
pub(crate) const OWN: &[&Own] = &[
    &environment::OWN,
    &completion::OWN,
    &manpages::OWN,
    &markdown::OWN,
    &version::OWN,
];

/// The command of this name.
pub(crate) fn find(name: &str) -> Option<&'static Own> {
    OWN.iter().copied().find(|own| own.name == name)
}

impl Own {
    /// Lines that show its use.
    pub(crate) fn examples(&self) -> Vec<Example> {
        let examples = self.examples.iter();
        examples
            .map(|(about, line)| Example::new(about, *line))
            .collect()
    }
}

/// The folder an option names, or another; `~` in that is the home of the user.
fn folder(given: Option<&PathBuf>, otherwise: &str, environment: &Environment) -> PathBuf {
    match (given, otherwise.strip_prefix("~/")) {
        (Some(folder), _) => folder.clone(),
        (None, Some(rest)) => environment.user_home().join(rest),
        (None, None) => PathBuf::from(otherwise),
    }
}

/// Writes files into a folder, which is made when it is missing.
fn write(folder: &Path, files: &[(String, Vec<u8>)]) -> Result<(), Failure> {
    let failed = |path: &Path, error: &std::io::Error| {
        Failure::internal(format!("{} cannot be written", path.display()), error)
            .help("name a folder of yours with --dir")
    };
    std::fs::create_dir_all(folder).map_err(|error| failed(folder, &error))?;
    for (name, content) in files {
        let path = folder.join(name);
        std::fs::write(&path, content).map_err(|error| failed(&path, &error))?;
    }
    Ok(())
}
