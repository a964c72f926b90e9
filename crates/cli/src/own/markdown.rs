//! `ockam markdown`.

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::builder::ValueHint;
use clap::{Arg, Command, value_parser};
use ockam_control::Outcome;

use crate::manual;
use crate::own::{Own, Said, folder, write};

/// Its row.
pub(super) const OWN: Own = Own {
    name: "markdown",
    clap: || {
        Command::new("markdown")
            .about("Write a page of Markdown for each command, and a summary")
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
    },
    examples: &[("Pages for a book", "ockam markdown --dir book/src/commands")],
    run: |matches, environment| {
        let folder = folder(matches.get_one("dir"), FOLDER, environment);
        let mut summary = "# Commands\n\n".to_owned();
        let mut files = Vec::new();
        for page in manual::pages() {
            let indent = "  ".repeat(page.words.len() - 1);
            // Writing to a string cannot fail.
            let _ = writeln!(
                summary,
                "{indent}- [{}]({}.md): {}",
                page.title(),
                page.name(),
                page.about()
            );
            files.push((format!("{}.md", page.name()), page.markdown().into_bytes()));
        }
        let count = files.len();
        files.push(("SUMMARY.md".to_owned(), summary.into_bytes()));
        write(&folder, &files)?;
        Ok(Said::Result(Outcome::plain(format!(
            "  ✔ Wrote {count} pages of Markdown and SUMMARY.md to {}\n",
            folder.display()
        ))))
    },
};

const FOLDER: &str = "./ockam_markdown_pages";
