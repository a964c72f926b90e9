//! Lines that show how a command is used: at the end of its long help and in its manual page.

use std::borrow::Cow;
use std::fmt::Write as _;

/// A command line and what it is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Example {
    /// What it does, as a sentence without its full stop.
    pub about: &'static str,
    /// The whole line.
    pub line: Cow<'static, str>,
}

impl Example {
    /// An example.
    pub fn new(about: &'static str, line: impl Into<Cow<'static, str>>) -> Self {
        Self {
            about,
            line: line.into(),
        }
    }
}

/// The end of a long help.
pub fn examples_help(examples: &[Example]) -> String {
    let mut text = String::new();
    for (index, example) in examples.iter().enumerate() {
        let before = if index == 0 { "Examples:\n" } else { "\n" };
        // Writing to a string cannot fail.
        let _ = write!(
            text,
            "{before}  # {}\n  $ {}\n",
            example.about, example.line
        );
    }
    text
}
