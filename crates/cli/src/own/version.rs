//! `ockam version`: for who guesses that it is a command.

use clap::Command;

use crate::own::{Own, Said};
use crate::version;

/// Its row.
pub(super) const OWN: Own = Own {
    name: "version",
    clap: || Command::new("version").about("Print the version, as --version does"),
    examples: &[(
        "The version, and the commit it was built from",
        "ockam version",
    )],
    run: |_, _| Ok(Said::Text(version::lines())),
};
