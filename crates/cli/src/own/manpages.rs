//! `ockam manpages`.

use std::io::Write as _;
use std::path::PathBuf;

use clap::builder::ValueHint;
use clap::{Arg, ArgAction, Command, value_parser};
use flate2::{Compression, GzBuilder};
use ockam_control::{Failure, Outcome};

use crate::manual;
use crate::own::{Own, Said, folder, write};

/// Its row.
pub(super) const OWN: Own = Own {
    name: "manpages",
    clap: || {
        Command::new("manpages")
            .about("Write a man page for each command")
            .arg(
                Arg::new("dir")
                    .short('d')
                    .long("dir")
                    .value_name("DIR")
                    .value_parser(value_parser!(PathBuf))
                    .value_hint(ValueHint::DirPath)
                    .help(format!(
                        "The folder they are written to (default: {FOLDER})"
                    )),
            )
            .arg(
                Arg::new("no-compression")
                    .short('n')
                    .long("no-compression")
                    .action(ArgAction::SetTrue)
                    .help("Write them as they are, not packed with gzip"),
            )
    },
    examples: &[
        ("Where `man` finds them", "ockam manpages"),
        (
            "For every user of the machine, as root",
            "ockam manpages --dir /usr/local/share/man/man1",
        ),
    ],
    run: |matches, environment| {
        let folder = folder(matches.get_one("dir"), FOLDER, environment);
        let plain = matches.get_flag("no-compression");
        let failed = |error: std::io::Error| Failure::internal("a man page cannot be made", &error);
        let mut files = Vec::new();
        for page in manual::pages() {
            let text = page.man().map_err(failed)?;
            files.push(if plain {
                (format!("{}.1", page.name()), text)
            } else {
                (
                    format!("{}.1.gz", page.name()),
                    packed(&text).map_err(failed)?,
                )
            });
        }
        write(&folder, &files)?;
        Ok(Said::Result(Outcome::plain(format!(
            "  ✔ Wrote {} man pages to {}\n",
            files.len(),
            folder.display()
        ))))
    },
};

/// Packed without a time, so that the same program writes the same files.
fn packed(text: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut packer = GzBuilder::new().write(Vec::new(), Compression::best());
    packer.write_all(text)?;
    packer.finish()
}

const FOLDER: &str = "~/.local/share/man/man1";
