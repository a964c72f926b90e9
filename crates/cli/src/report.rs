//! Error reports on standard error, and the exit codes of the process.
//!
//! ```text
//!   × <message>
//!   ├─▶ <cause>
//!   ╰─▶ <cause>
//!   help: <what the reader can do>
//!
//!     Error code: OCK404
//!
//!     ockam <version>
//!     compiled from <hash>
//!
//!     <where to turn to, two lines>
//! ```
//!
//! Away from a terminal the marks are `x`, `|` and `` `-> ``. A person has the version in the same breath, without empty
//! lines, and is told where to turn only when there is no other advice. The message is one unbroken piece of text: scripts
//! look for phrases in it, so nothing here wraps or colours inside of it.
//!
//! spec: command 3.3

use std::fmt::Write as _;

use ockam_control::Failure;

use crate::colour::{Colours, Paint, tame};
use crate::version;

/// Every failed command.
pub(crate) const FAILED: u8 = 70;
/// Arguments that do not parse, when a pager shows why.
pub(crate) const USAGE: u8 = 64;
/// Arguments that do not parse, without a pager.
pub(crate) const USAGE_WITHOUT_PAGER: u8 = 2;

/// Where a report is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Marks {
    /// A terminal.
    Drawn,
    /// Anything else.
    Ascii,
}

/// The report of a failure.
pub(crate) fn render(failure: &Failure, marks: Marks, colours: Colours) -> String {
    let (cross, branch, last, pipe) = match marks {
        Marks::Drawn => ("×", "├─▶", "╰─▶", "│"),
        Marks::Ascii => ("x", "|->", "`->", "|"),
    };
    let mut text = String::new();
    let mut line = |mark: &str, paint: Paint, follow: &str, content: &str| {
        for (index, part) in tame(content).lines().enumerate() {
            // Writing to a string cannot fail.
            let _ = match index {
                0 => writeln!(text, "  {} {part}", colours.paint(paint, mark)),
                _ => writeln!(text, "  {} {part}", colours.paint(paint, follow)),
            };
        }
    };
    let causes: Vec<&String> = failure
        .causes
        .iter()
        .filter(|cause| !cause.trim().is_empty())
        .collect();
    line(
        cross,
        Paint::Bad,
        if causes.is_empty() { " " } else { pipe },
        &failure.message,
    );
    for (index, cause) in causes.iter().enumerate() {
        if index + 1 == causes.len() {
            line(last, Paint::Bad, "   ", cause);
        } else {
            line(branch, Paint::Bad, pipe, cause);
        }
    }
    if let Some(help) = &failure.help {
        line("help:", Paint::Info, "     ", help);
    }
    text.push_str(&footer(failure, marks, colours));
    text
}

/// What follows the report itself.
fn footer(failure: &Failure, marks: Marks, colours: Colours) -> String {
    let code = failure
        .code
        .map(|code| format!("    Error code: {code}\n"))
        .unwrap_or_default();
    let version = version::lines();
    match marks {
        Marks::Ascii if code.is_empty() => format!("\n{version}\n{SUPPORT}"),
        Marks::Ascii => format!("\n{code}\n{version}\n{SUPPORT}"),
        Marks::Drawn => {
            let support = match failure.help {
                Some(_) => "",
                None => SUPPORT,
            };
            format!("{code}{version}{support}")
                .lines()
                .map(|line| format!("{}\n", colours.paint(Paint::Faint, line)))
                .collect()
        }
    }
}

/// Where to turn to.
const SUPPORT: &str = "    See `ockam help` for every command and its arguments.\n    \
                       To report a defect, please include the lines above.\n";

#[cfg(test)]
mod tests {
    use ockam_control::Code;

    use super::*;

    #[test]
    fn a_report_has_message_causes_help_code_and_version() {
        let failure = Failure::coded(Code::NotFound, "There is no node with name n1")
            .cause("first")
            .cause("second\nthird")
            .help("see `ockam node list`");
        let report = render(&failure, Marks::Ascii, Colours::Off);
        assert!(
            report.starts_with(
                "  x There is no node with name n1\n  |-> first\n  `-> second\n      third\n  help: see `ockam node list`\n\n    \
                 Error code: OCK404\n\n    ockam "
            ),
            "{report}"
        );
    }

    #[test]
    fn what_a_report_quotes_does_not_steer_the_terminal() {
        let failure = Failure::new("no \x1b]0;title\x07\r here")
            .cause("\u{9b}31m\n\tnext")
            .help("\x1b[2J");
        let report = render(&failure, Marks::Drawn, Colours::Off);
        assert!(
            report.starts_with(
                "  × no \\u{1b}]0;title\\u{7}\\r here\n  ╰─▶ \\u{9b}31m\n      \tnext\n  help: \\u{1b}[2J\n"
            ),
            "{report}"
        );
    }

    #[test]
    fn a_terminal_gets_drawn_marks() {
        let failure = Failure::new("no").cause("a").cause("b");
        let report = render(&failure, Marks::Drawn, Colours::Off);
        assert!(
            report.starts_with("  × no\n  ├─▶ a\n  ╰─▶ b\n    ockam "),
            "{report}"
        );
        assert!(report.contains("To report a defect"), "{report}");
    }

    #[test]
    fn a_person_with_advice_is_not_sent_elsewhere() {
        let failure = Failure::coded(Code::NotFound, "no").help("do this");
        let report = render(&failure, Marks::Drawn, Colours::Off);
        assert!(
            report.starts_with("  × no\n  help: do this\n    Error code: OCK404\n    ockam "),
            "{report}"
        );
        assert!(!report.contains("To report a defect"), "{report}");
    }

    #[test]
    fn colours_never_break_the_message() {
        let report = render(
            &Failure::new("Use --yes to confirm"),
            Marks::Drawn,
            Colours::On,
        );
        assert!(report.contains("Use --yes to confirm"));
    }
}
