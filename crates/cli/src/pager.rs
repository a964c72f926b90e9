//! The pager: help and argument errors go through it.
//!
//! spec: command 3.3

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::environment::{Environment, PAGER};

/// A pager program that exists.
#[derive(Debug)]
pub(crate) struct Pager {
    program: PathBuf,
    arguments: Vec<OsString>,
    variables: Vec<(String, String)>,
    run: Run,
}

/// Whether the program is needed to show a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Run {
    /// Start it.
    Program,
    /// It would only copy: standard output is no terminal and the program is a well-known one.
    Copy,
}

impl Pager {
    /// The pager of the environment: `$PAGER`, else `less`. `None` when there is no such program.
    pub(crate) fn find(environment: &Environment, terminal: bool) -> Option<Self> {
        let wanted = environment.get(PAGER).unwrap_or_else(|| "less".to_owned());
        let mut words = wanted.split_whitespace();
        let program = locate(words.next()?, environment)?;
        let name = program.file_name().unwrap_or_default().to_owned();
        let mut variables: Vec<(String, String)> = environment
            .overlay()
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        if name == "less" {
            variables.push(("LESS".to_owned(), "FRX".to_owned()));
        }
        let copies = ["less", "more", "cat"].iter().any(|known| name == *known);
        Some(Self {
            program,
            arguments: words.map(OsString::from).collect(),
            variables,
            run: if copies && !terminal {
                Run::Copy
            } else {
                Run::Program
            },
        })
    }

    /// Shows a text and waits until the reader has left.
    pub(crate) fn show(&self, text: &str) -> io::Result<()> {
        if self.run == Run::Copy {
            return write_out(text);
        }
        let child = Command::new(&self.program)
            .args(&self.arguments)
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::piped())
            .spawn();
        let Ok(mut child) = child else {
            return write_out(text);
        };
        if let Some(mut input) = child.stdin.take() {
            // A reader who leaves early closes the pipe.
            let _ = input.write_all(text.as_bytes());
        }
        child.wait().map(drop)
    }
}

/// Writes a text to standard output.
pub(crate) fn write_out(text: &str) -> io::Result<()> {
    let mut output = io::stdout().lock();
    output.write_all(text.as_bytes())?;
    output.flush()
}

/// The file a program name stands for.
pub(crate) fn locate(program: &str, environment: &Environment) -> Option<PathBuf> {
    if program.contains('/') {
        return Some(PathBuf::from(program)).filter(|path| is_program(path));
    }
    environment
        .search_path()
        .into_iter()
        .map(|folder| folder.join(program))
        .find(|path| is_program(path))
}

fn is_program(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::metadata(path)
        .is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pager_that_does_not_exist_is_none() {
        for variables in [
            &[(PAGER, "no-such-pager"), ("PATH", "/bin:/usr/bin")][..],
            &[(PAGER, "")],
            &[("PATH", "")],
        ] {
            assert!(
                Pager::find(&Environment::only(variables), false).is_none(),
                "{variables:?}"
            );
        }
    }

    #[test]
    fn a_pager_may_have_arguments() {
        let environment = Environment::only(&[(PAGER, "sh -c true"), ("PATH", "/bin:/usr/bin")]);
        let pager = Pager::find(&environment, true).unwrap();
        assert_eq!(pager.arguments, ["-c", "true"]);
        assert_eq!(pager.run, Run::Program);
    }
}
