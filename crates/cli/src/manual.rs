//! The manual: a page for each command that help shows, made from the same description that parses the command line.
//!
//! [`pages`] walks the command line; man pages and Markdown are two ways to write what it finds.
//!
//! spec: command 3.9.7 (`manpages`, `markdown`)

use clap::Command;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};
use ockam_control::Example;

use crate::environment::{Effect, Environment, VARIABLES};
use crate::{command, help};

/// One command with all that its page needs.
#[derive(Debug)]
pub(crate) struct Page {
    /// As it is typed, `ockam` first.
    pub words: Vec<String>,
    command: Command,
    examples: Vec<Example>,
}

/// A page for each command that help shows, parents before children.
pub(crate) fn pages() -> Vec<Page> {
    // The width of this terminal is not that of the reader.
    let mut root = command::root(&Environment::bare())
        .disable_help_subcommand(true)
        .term_width(WIDTH);
    root.build();
    let mut pages = Vec::new();
    collect(&root, &[], &mut pages);
    pages
}

fn collect(command: &Command, above: &[String], pages: &mut Vec<Page>) {
    let words = [above, &[command.get_name().to_owned()]].concat();
    pages.push(Page {
        examples: command::examples(words.get(1..).unwrap_or_default()),
        command: command.clone(),
        words: words.clone(),
    });
    for below in command
        .get_subcommands()
        .filter(|below| !below.is_hide_set())
    {
        collect(below, &words, pages);
    }
}

impl Page {
    /// As it is typed.
    pub(crate) fn title(&self) -> String {
        self.words.join(" ")
    }

    /// The name of its file, without what comes after the dot.
    pub(crate) fn name(&self) -> String {
        self.words.join("-")
    }

    /// What it is for, in one line.
    pub(crate) fn about(&self) -> String {
        let about = self.command.get_about();
        about.map(ToString::to_string).unwrap_or_default()
    }

    /// The man page.
    pub(crate) fn man(&self) -> std::io::Result<Vec<u8>> {
        let man = Man::new(self.command.clone());
        // No date: the same program makes the same pages. The library drops an empty one, and the fields behind it move.
        let mut page = format!(
            ".ie \\n(.g .ds Aq \\(aq\n.el .ds Aq '\n.TH \"{}\" \"1\" \"\" \"ockam {}\" \"Ockam commands\"\n",
            self.name().to_uppercase(),
            crate::version::VERSION
        )
        .into_bytes();
        man.render_name_section(&mut page)?;
        man.render_synopsis_section(&mut page)?;
        man.render_description_section(&mut page)?;
        man.render_options_section(&mut page)?;
        if self.command.has_subcommands() {
            man.render_subcommands_section(&mut page)?;
        }
        let mut roff = Roff::default();
        if !self.examples.is_empty() {
            roff.control("SH", ["EXAMPLES"]);
            for (index, example) in self.examples.iter().enumerate() {
                if index > 0 {
                    roff.control("PP", []);
                }
                roff.text([roman(format!("{}:", example.about))]);
                roff.control("PP", []);
                roff.control("RS", ["4"]);
                roff.control("nf", []);
                roff.text([bold(example.line.clone())]);
                roff.control("fi", []);
                roff.control("RE", []);
            }
        }
        roff.control("SH", ["EXIT STATUS"]);
        for (code, meaning) in EXIT_CODES {
            roff.control("TP", []);
            roff.text([bold(*code)]);
            roff.text([roman(*meaning)]);
        }
        roff.control("SH", ["ENVIRONMENT"]);
        if self.words.len() == 1 {
            for variable in VARIABLES
                .iter()
                .filter(|variable| variable.effect == Effect::Honoured)
            {
                roff.control("TP", []);
                roff.text([bold(variable.name)]);
                roff.text([roman(match variable.default {
                    "" => variable.about.to_owned(),
                    default => format!("{} (default: {default})", variable.about),
                })]);
            }
        } else {
            roff.text([roman("See "), bold("ockam"), roman("(1).")]);
        }
        roff.control("SH", ["SEE ALSO"]);
        let neighbours = self.neighbours();
        let last = neighbours.len().saturating_sub(1);
        for (index, name) in neighbours.iter().enumerate() {
            let end = if index == last { "" } else { "," };
            roff.control("BR", [name.as_str(), &format!("(1){end}")]);
        }
        roff.to_writer(&mut page)?;
        Ok(page)
    }

    /// The Markdown page.
    pub(crate) fn markdown(&self) -> String {
        let mut command = self.command.clone();
        let help = command.render_long_help().to_string();
        format!("# {}\n\n{}", self.title(), help::markdown(&help))
    }

    /// The pages above and directly below this one.
    fn neighbours(&self) -> Vec<String> {
        let above = (1..self.words.len()).filter_map(|end| Some(self.words.get(..end)?.join("-")));
        let below = self
            .command
            .get_subcommands()
            .filter(|below| !below.is_hide_set())
            .map(|below| format!("{}-{}", self.name(), below.get_name()));
        above.chain(below).collect()
    }
}

/// Columns of a page.
const WIDTH: usize = 100;

/// spec: command 3.3
const EXIT_CODES: &[(&str, &str)] = &[
    ("0", "Success, also when there was nothing to do."),
    ("70", "The command failed; standard error says why."),
    (
        "64",
        "The arguments are wrong; the pager has shown on standard output what is.",
    ),
    ("2", "The arguments are wrong, and there is no pager."),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_visible_command_has_a_page_with_its_sections() {
        let pages = pages();
        let names: Vec<String> = pages.iter().map(Page::name).collect();
        assert_eq!(names[0], "ockam");
        for name in ["ockam-node", "ockam-node-create", "ockam-completion"] {
            assert!(names.iter().any(|other| other == name), "{name}");
        }
        for page in &pages {
            assert!(!page.about().is_empty(), "{}", page.title());
            let man = String::from_utf8(page.man().unwrap()).unwrap();
            for section in [
                "NAME",
                "SYNOPSIS",
                "DESCRIPTION",
                "\"EXIT STATUS\"",
                "ENVIRONMENT",
            ] {
                assert!(
                    man.contains(&format!(".SH {section}\n")),
                    "{}: {section}",
                    page.title()
                );
            }
            assert!(
                page.markdown()
                    .starts_with(&format!("# {}\n", page.title()))
            );
        }
    }
}
