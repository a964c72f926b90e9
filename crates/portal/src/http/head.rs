//! The lines before content: heads of requests and responses, and trailers.

use crate::http::Refused;

/// Collects lines up to the empty one that ends them.
#[derive(Debug, Default)]
pub(super) struct Lines {
    bytes: Vec<u8>,
    at: At,
    first_line: Option<usize>,
}

impl Lines {
    /// Lines that begin now, after none or some that were empty.
    pub(super) fn new() -> Self {
        Self::default()
    }

    /// Takes bytes until the lines are complete; returns how many, and whether they are.
    pub(super) fn take(&mut self, content: &[u8], empty: Empty) -> Result<(usize, Ready), Refused> {
        for (index, byte) in content.iter().enumerate() {
            self.bytes.push(*byte);
            self.at = match (self.at, byte) {
                (At::Start | At::Line, b'\r') => match self.at {
                    At::Start => At::EmptyLine,
                    _ => At::Return,
                },
                (At::Return, b'\n') => {
                    if self.first_line.is_none() {
                        self.first_line = Some(self.bytes.len());
                    }
                    At::Start
                }
                (At::EmptyLine, b'\n') => {
                    self.at = At::Start;
                    if self.first_line.is_some() || empty == Empty::Complete {
                        return Ok((index + 1, Ready::Yes));
                    }
                    // RFC 9112, 2.2: an empty line before a request is ignored.
                    self.bytes.clear();
                    At::Start
                }
                (At::Return | At::EmptyLine, _) | (_, 0..=8 | 10..=31 | 127) => {
                    return Err(Refused::Line);
                }
                (At::Start, b' ' | b'\t') => return Err(Refused::Folded),
                (At::Start | At::Line, _) => At::Line,
            };
            if self.bytes.len() > LONGEST {
                return Err(Refused::TooLong);
            }
        }
        Ok((content.len(), Ready::No))
    }

    /// All lines with their ends, the empty one too.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The first line with its end, when it is there.
    pub(super) fn first_line(&self) -> Option<&[u8]> {
        self.bytes.get(..self.first_line?)
    }

    /// Whether a line has begun.
    pub(super) fn has_begun(&self) -> bool {
        !self.bytes.is_empty()
    }
}

/// The lines with their ends, without the empty one.
pub(super) fn each(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes
        .split_inclusive(|byte| *byte == b'\n')
        .filter(|line| *line != b"\r\n")
}

/// The name in a header's line.
pub(super) fn name(line: &[u8]) -> &[u8] {
    line.split(|byte| *byte == b':').next().unwrap_or_default()
}

/// What empty lines mean at the beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Empty {
    /// Nothing.
    Ignored,
    /// That there are no others.
    Complete,
}

/// Whether lines are complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ready {
    Yes,
    No,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum At {
    /// The start of a line.
    #[default]
    Start,
    Line,
    /// Behind the CR of a line.
    Return,
    /// Behind the CR of an empty line.
    EmptyLine,
}

/// Most bytes of a head (spec: messaging 12 (W25)).
pub(super) const LONGEST: usize = 64 * 1024;
/// Most headers of a head.
pub(super) const MOST: usize = 128;
