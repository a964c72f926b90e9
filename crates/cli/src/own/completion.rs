//! `ockam completion`.

use clap::builder::PossibleValuesParser;
use clap::{Arg, Command};
use ockam_control::Failure;

use crate::command;
use crate::environment::Environment;
use crate::own::{Own, Said};

/// Its row.
pub(super) const OWN: Own = Own {
    name: "completion",
    clap: || {
        Command::new("completion")
            .about("Print a completion script for a shell")
            .arg(
                Arg::new(SHELL)
                    .short('s')
                    .long(SHELL)
                    .required(true)
                    .value_name("SHELL")
                    .help("The shell to complete in")
                    .value_parser(PossibleValuesParser::new([
                        "bash",
                        "zsh",
                        "fish",
                        "elvish",
                        "powershell",
                    ])),
            )
    },
    examples: &[],
    run: |matches, _| {
        let shell = matches
            .get_one::<String>(SHELL)
            .and_then(|name| name.parse::<clap_complete::Shell>().ok());
        let Some(shell) = shell else {
            return Err(Failure::new("there is no such shell"));
        };
        let mut script = Vec::new();
        clap_complete::generate(
            shell,
            &mut command::root(&Environment::default()),
            "ockam",
            &mut script,
        );
        Ok(Said::Text(String::from_utf8_lossy(&script).into_owned()))
    },
};

const SHELL: &str = "shell";
