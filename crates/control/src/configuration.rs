//! Configuration files: what one node, or several, are to run, in one text.
//!
//! ```text
//! Source ─▶ Variables ─▶ Document ─▶ Resource ─▶ Step ─▶ front half of `… create`
//! file, URL   $NAME       YAML with   section     words parsed
//! or inline               positions   by section  by clap
//! ```
//!
//! A resource of a section is nothing but a command line, written as a map: its words go through the same parser and the
//! same front half as if they had been typed. So a noun that has a command has a section, and no option is listed twice.
//!
//! # Invariants
//! - Every section is parsed and checked before the first step changes anything.
//! - What is wrong is told with line and column of the text as it was written, not as it reads with its variables filled in.
//! - The process environment is never written, and no variable of a file reaches a child process through it.
//!
//! Specification: command 3.11, 3.12.

mod course;
mod document;
mod fetch;
mod memory;
mod origin;
mod plan;
mod section;
mod source;
mod variables;

#[cfg(test)]
mod robustness;

pub(crate) use self::course::{Changed, Course, Mode, Watched};
pub(crate) use self::document::{Document, Value};
pub(crate) use self::memory::{Memory, Owner};
pub(crate) use self::origin::{Origin, Position};
pub(crate) use self::plan::Plan;
pub(crate) use self::section::{NODE_FILE, RUN_FILE, Resource};
pub(crate) use self::source::Source;
pub(crate) use self::variables::Variables;

use crate::outcome::Failure;

/// JSON, or YAML, as a value: the text itself or that of a file.
///
/// # Errors
/// It is neither, or the file cannot be read.
pub(crate) fn json_of(text: &str) -> Result<serde_json::Value, Failure> {
    let origin = Source::of_text(text).load_here()?;
    let expanded = variables::Expanded::unchanged(origin.text.clone());
    Ok(document::Node::parse(&origin, &expanded)?.json())
}

/// Whether the first argument of `node create` is a configuration, which may say that the node runs in this process.
pub fn is_configuration(text: &str) -> bool {
    Source::of_argument(text).is_some()
}
