//! `ockam completion`.

use clap::{Arg, Command, value_parser};
use ockam_control::Failure;

use crate::completion::Shell;
use crate::own::{Own, Said};

/// Its row.
pub(super) const OWN: Own = Own {
    name: "completion",
    clap: || {
        Command::new("completion")
            .about("Print a completion script for a shell")
            .long_about(
                "Print a completion script for a shell.\n\nIt completes commands, options and their values, and the \
                 names of the nodes, identities, inlets, outlets, relays and channels that there are at that moment.",
            )
            .arg(
                Arg::new(SHELL)
                    .short('s')
                    .long(SHELL)
                    .required(true)
                    .value_name("SHELL")
                    .help("The shell to complete in")
                    .value_parser(value_parser!(Shell)),
            )
    },
    examples: &[
        (
            "In bash, for good",
            "ockam completion --shell bash > ~/.local/share/bash-completion/completions/ockam",
        ),
        (
            "In zsh, with a folder of $fpath",
            "ockam completion --shell zsh > ~/.zfunc/_ockam",
        ),
        (
            "In fish",
            "ockam completion --shell fish > ~/.config/fish/completions/ockam.fish",
        ),
    ],
    run: |matches, _| {
        let shell = matches.get_one::<Shell>(SHELL);
        let shell = shell.ok_or_else(|| Failure::new("no shell was named"))?;
        Ok(Said::Text(shell.script().to_owned()))
    },
};

const SHELL: &str = "shell";
