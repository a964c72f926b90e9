//! Help texts and argument errors: through the pager to standard output, or as they are to standard error.
//!
//! | | with a pager | without |
//! |---|---|---|
//! | help that was asked for | standard output, exit 0 | standard output, exit 0 |
//! | wrong arguments, missing subcommand | standard output, exit 64 | standard error, exit 2 |
//!
//! spec: command 3.3

use std::io::{self, Write as _};

use clap::error::ErrorKind;

use crate::colour::Colours;
use crate::environment::{Environment, OCKAM_HELP_RENDER_MARKDOWN};
use crate::pager::{Pager, write_out};
use crate::report::{USAGE, USAGE_WITHOUT_PAGER};

/// Standard streams as far as help is concerned.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Streams {
    /// Whether standard output is a terminal.
    pub terminal: bool,
    /// Colours of standard output.
    pub output: Colours,
    /// Colours of standard error.
    pub error: Colours,
}

/// Shows what clap has to say and gives the exit code.
pub(crate) fn show(error: &clap::Error, streams: Streams, environment: &Environment) -> u8 {
    let asked_for = matches!(
        error.kind(),
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion
    );
    let pager = Pager::find(environment, streams.terminal);
    let colours = if asked_for || pager.is_some() {
        streams.output
    } else {
        streams.error
    };
    let rendered = error.render();
    let text = match colours {
        Colours::On => rendered.ansi().to_string(),
        Colours::Off => rendered.to_string(),
    };
    let text = if environment.flag(OCKAM_HELP_RENDER_MARKDOWN) && is_help(error.kind()) {
        markdown(&rendered.to_string())
    } else {
        text
    };
    // Nobody is left to tell when the streams are gone.
    match (pager, asked_for) {
        (Some(pager), asked_for) => {
            let _ = pager.show(&text);
            if asked_for { 0 } else { USAGE }
        }
        (None, true) => {
            let _ = write_out(&text);
            0
        }
        (None, false) => {
            let _ = io::stderr().lock().write_all(text.as_bytes());
            USAGE_WITHOUT_PAGER
        }
    }
}

/// Shows a text that was asked for: through the pager, or without one as it is.
pub(crate) fn page(text: &str, streams: Streams, environment: &Environment) -> io::Result<()> {
    match Pager::find(environment, streams.terminal) {
        Some(pager) => pager.show(text),
        None => write_out(text),
    }
}

fn is_help(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::DisplayHelp | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
    )
}

/// A help text as Markdown: headings for its sections, code blocks for what they hold.
pub(crate) fn markdown(help: &str) -> String {
    let mut text = String::new();
    let mut inside = false;
    for line in help.lines() {
        let heading = line
            .strip_suffix(':')
            .filter(|title| !title.starts_with(' ') && !title.is_empty());
        if let Some(usage) = line.strip_prefix("Usage:") {
            text.push_str(&format!("### Usage\n\n```\n{}\n", usage.trim()));
            inside = true;
        } else if let Some(title) = heading {
            if inside {
                text.truncate(text.trim_end().len());
                text.push_str("\n```\n\n");
            }
            text.push_str(&format!("### {title}\n\n```\n"));
            inside = true;
        } else {
            if inside && !line.is_empty() && !line.starts_with(' ') {
                text.truncate(text.trim_end().len());
                text.push_str("\n```\n\n");
                inside = false;
            }
            text.push_str(line);
            text.push('\n');
        }
    }
    if inside {
        text.truncate(text.trim_end().len());
        text.push_str("\n```\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_of_a_help_text_become_headings() {
        let help =
            "About it\n\nUsage: ockam [OPTIONS]\n\nOptions:\n  -q  quiet\n\nResults go out.\n";
        assert_eq!(
            markdown(help),
            "About it\n\n### Usage\n\n```\nockam [OPTIONS]\n```\n\n### Options\n\n```\n  -q  quiet\n```\n\nResults go out.\n"
        );
    }
}
