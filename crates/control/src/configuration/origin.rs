//! The text as it was written: where something stands in it, and how that is told.

use crate::outcome::Failure;

/// A place in the text as it was written: the byte at which something begins. Only a message needs line and column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct Position(pub(crate) usize);

/// A text with the name of where it comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Origin {
    /// How a message names it: a path, a URL, or words.
    pub(crate) name: String,
    /// The text as it was written.
    pub(crate) text: String,
}

impl Origin {
    /// A failure at a position: the message, where it is, and the line with a mark below.
    pub(crate) fn failure(&self, at: Position, message: impl Into<String>) -> Failure {
        Failure::new(message).cause(self.excerpt(at))
    }

    /// Adds to a failure where it comes from.
    pub(crate) fn locate(&self, at: Position, mut failure: Failure) -> Failure {
        failure.causes.insert(0, self.excerpt(at));
        failure
    }

    /// `file.yaml, line 3, column 5`.
    pub(crate) fn place(&self, at: Position) -> String {
        let (line, column) = self.line_and_column(at);
        format!("{}, line {line}, column {column}", self.name)
    }

    /// Line and column of a position; both count from one, columns are characters.
    fn line_and_column(&self, at: Position) -> (usize, usize) {
        let before = self.text.get(..at.0).unwrap_or(&self.text);
        let start = before.rfind('\n').map_or(0, |end| end + 1);
        (
            before.matches('\n').count() + 1,
            before.get(start..).unwrap_or_default().chars().count() + 1,
        )
    }

    fn excerpt(&self, at: Position) -> String {
        let place = self.place(at);
        let (number, column) = self.line_and_column(at);
        let line = self
            .text
            .lines()
            .nth(number.saturating_sub(1))
            .unwrap_or_default();
        if line.trim().is_empty() {
            return place;
        }
        // A long line is shown around the place.
        let skipped = (column.saturating_sub(1) / WIDTH) * WIDTH;
        let shown: String = line
            .chars()
            .skip(skipped)
            .take(WIDTH)
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect();
        let number = number.to_string();
        let margin = " ".repeat(number.len());
        let indent = " ".repeat(column.saturating_sub(1 + skipped));
        format!(
            "{place}\n{number} | {}\n{margin} | {indent}^",
            shown.trim_end()
        )
    }
}

/// How much of a line is shown.
const WIDTH: usize = 90;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_shows_the_line_and_marks_the_column() {
        let origin = Origin {
            name: "a.yaml".to_owned(),
            text: "name: n1\n  tö: 5\n".to_owned(),
        };
        let at = Position(origin.text.find('5').expect("it is there"));
        assert_eq!(
            origin.failure(at, "no").causes,
            ["a.yaml, line 2, column 7\n2 |   tö: 5\n  |       ^"]
        );
    }

    #[test]
    fn a_position_outside_the_text_has_no_excerpt() {
        let origin = Origin {
            name: "a".to_owned(),
            text: String::new(),
        };
        assert_eq!(
            origin.failure(Position(99), "no").causes,
            ["a, line 1, column 1"]
        );
    }
}
