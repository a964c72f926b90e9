//! What goes to standard output, and in which form.
//!
//! A result has up to three forms: *plain* for people, *machine* (one identifier-like text) and *json*.
//!
//! | format | terminal | pipe |
//! |---|---|---|
//! | plain | plain, else machine, else json | machine, else json, else plain |
//! | json | json, else nothing | json, else nothing |
//!
//! **Invariants**
//! - Trailing white space is removed; a terminal gets one newline, a pipe none. Several results follow each other
//!   in a pipe without a separator.
//! - Nothing but results goes to standard output.
//!
//! spec: command 3.2

use std::io::{self, Write};

use ockam_control::Outcome;
use serde_json::Value;

use crate::colour::Colours;
use crate::filter::{Filter, FilterError};
use crate::json::{self, Layout};

/// Output format that was asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// Text, for people on a terminal and for scripts in a pipe
    #[default]
    Plain,
    /// JSON
    Json,
}

/// Where standard output leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Destination {
    /// A person reads.
    Terminal,
    /// A program reads.
    Pipe,
}

/// The forms of one result.
#[derive(Clone, Debug, Default)]
pub(crate) struct Forms<'a> {
    /// For people.
    pub plain: &'a str,
    /// One identifier-like text.
    pub machine: Option<&'a str>,
    /// The whole result.
    pub json: Option<&'a Value>,
}

impl<'a> Forms<'a> {
    /// The forms of an outcome.
    pub(crate) fn of(outcome: &'a Outcome) -> Self {
        Self {
            plain: &outcome.plain,
            machine: outcome.machine.as_deref(),
            json: outcome.json.as_ref(),
        }
    }
}

/// Chooses the form of each result and writes it.
#[derive(Debug)]
pub(crate) struct Printer {
    /// Output format.
    pub format: Format,
    /// Where standard output leads.
    pub destination: Destination,
    /// Query over the JSON form.
    pub filter: Option<Filter>,
    /// Layout of JSON.
    pub layout: Layout,
    /// Colours of standard output.
    pub colours: Colours,
}

impl Printer {
    /// Writes one result to standard output.
    pub(crate) fn print(&self, forms: &Forms<'_>) -> Result<(), PrintError> {
        let text = self.render(forms)?;
        let mut output = io::stdout().lock();
        output
            .write_all(text.as_bytes())
            .and_then(|()| output.flush())
            .map_err(PrintError::Write)
    }

    /// The text a result becomes.
    pub(crate) fn render(&self, forms: &Forms<'_>) -> Result<String, FilterError> {
        let text = match (self.format, self.destination) {
            (Format::Json, _) => self.json(forms)?,
            (Format::Plain, Destination::Terminal) => {
                match (self.plain(forms), self.machine(forms)) {
                    (Some(text), _) | (None, Some(text)) => Some(text),
                    (None, None) => self.json(forms)?,
                }
            }
            (Format::Plain, Destination::Pipe) => match self.machine(forms) {
                Some(text) => Some(text),
                None => match self.json(forms)? {
                    Some(text) => Some(text),
                    None => self.plain(forms),
                },
            },
        };
        let text = text.unwrap_or_default();
        let text = text.trim_end();
        Ok(match self.destination {
            Destination::Terminal if !text.is_empty() => format!("{text}\n"),
            Destination::Terminal | Destination::Pipe => text.to_owned(),
        })
    }

    fn plain(&self, forms: &Forms<'_>) -> Option<String> {
        (!forms.plain.trim().is_empty()).then(|| self.colours.lines(forms.plain))
    }

    fn machine(&self, forms: &Forms<'_>) -> Option<String> {
        forms.machine.map(str::to_owned)
    }

    fn json(&self, forms: &Forms<'_>) -> Result<Option<String>, FilterError> {
        let Some(value) = forms.json else {
            return Ok(None);
        };
        let Some(filter) = self.filter.as_ref().filter(|_| self.format == Format::Json) else {
            return Ok(Some(json::render(value, self.layout, self.colours)));
        };
        let results = filter.run(value)?;
        let lines: Vec<String> = results
            .iter()
            .map(|result| json::render(result, self.layout, self.colours))
            .collect();
        Ok(Some(lines.join("\n")))
    }
}

/// Why a result was not written.
#[derive(Debug)]
pub(crate) enum PrintError {
    /// The query failed.
    Filter(FilterError),
    /// Standard output is gone or full.
    Write(io::Error),
}

impl From<FilterError> for PrintError {
    fn from(error: FilterError) -> Self {
        Self::Filter(error)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_terminal_gets_plain_then_machine_then_json() {
        let json = json!({"name": "n"});
        let printer = printer(Format::Plain, Destination::Terminal);
        assert_eq!(
            printer
                .render(&forms("  p  \n", Some("m"), Some(&json)))
                .unwrap(),
            "  p\n"
        );
        assert_eq!(
            printer.render(&forms("", Some("m"), Some(&json))).unwrap(),
            "m\n"
        );
        assert_eq!(
            printer.render(&forms("", None, Some(&json))).unwrap(),
            "{\n  \"name\": \"n\"\n}\n"
        );
        assert_eq!(printer.render(&forms("", None, None)).unwrap(), "");
    }

    #[test]
    fn a_pipe_gets_machine_then_json_then_plain_without_a_newline() {
        let json = json!({"name": "n"});
        let printer = printer(Format::Plain, Destination::Pipe);
        assert_eq!(
            printer
                .render(&forms("p\n", Some("m"), Some(&json)))
                .unwrap(),
            "m"
        );
        assert_eq!(
            printer.render(&forms("p\n", None, Some(&json))).unwrap(),
            "{\n  \"name\": \"n\"\n}"
        );
        assert_eq!(printer.render(&forms("p\n", None, None)).unwrap(), "p");
    }

    #[test]
    fn json_without_a_json_form_is_nothing() {
        for destination in [Destination::Terminal, Destination::Pipe] {
            assert_eq!(
                printer(Format::Json, destination)
                    .render(&forms("p", Some("m"), None))
                    .unwrap(),
                ""
            );
        }
    }

    #[test]
    fn several_results_of_a_query_stand_on_lines_of_their_own() {
        let json = json!([{"name": "a"}, {"name": "b"}]);
        let mut printer = printer(Format::Json, Destination::Pipe);
        printer.filter = Some(Filter::parse(".[].name").unwrap());
        assert_eq!(
            printer.render(&forms("p", None, Some(&json))).unwrap(),
            "\"a\"\n\"b\""
        );
    }

    #[test]
    fn an_explicit_plain_wins_over_the_query() {
        let json = json!({"name": "a"});
        let mut printer = printer(Format::Plain, Destination::Pipe);
        printer.filter = Some(Filter::parse(".name").unwrap());
        assert_eq!(
            printer.render(&forms("p", Some("m"), Some(&json))).unwrap(),
            "m"
        );
    }

    fn printer(format: Format, destination: Destination) -> Printer {
        Printer {
            format,
            destination,
            filter: None,
            layout: Layout::Pretty,
            colours: Colours::Off,
        }
    }

    fn forms<'a>(plain: &'a str, machine: Option<&'a str>, json: Option<&'a Value>) -> Forms<'a> {
        Forms {
            plain,
            machine,
            json,
        }
    }
}
