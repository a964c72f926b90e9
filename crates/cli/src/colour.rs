//! Colours: on only for a terminal, never the bearer of meaning.

use std::borrow::Cow;
use std::fmt;

use crate::environment::{Environment, NO_COLOR, TERM};

/// Whether colours are written to a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Colours {
    /// Terminal that understands them.
    On,
    /// Everything else.
    Off,
}

/// What a piece of text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Paint {
    /// Something succeeded.
    Good,
    /// Something to look at.
    Warning,
    /// Something failed.
    Bad,
    /// Information, list lines.
    Info,
    /// Key of a JSON object.
    Key,
    /// JSON string.
    Text,
    /// JSON number or boolean.
    Number,
    /// Unimportant.
    Faint,
}

/// Text that is painted when it is written.
#[derive(Debug)]
pub(crate) struct Painted<'a> {
    code: Option<&'static str>,
    text: &'a str,
}

impl Colours {
    /// Decides for one stream.
    pub(crate) fn of(terminal: bool, switched_off: bool, environment: &Environment) -> Self {
        let dumb = environment.get(TERM).is_some_and(|term| term == "dumb");
        if terminal && !switched_off && !dumb && !environment.flag(NO_COLOR) {
            Self::On
        } else {
            Self::Off
        }
    }

    /// Paints a piece of text.
    pub(crate) fn paint(self, paint: Paint, text: &str) -> Painted<'_> {
        let code = match paint {
            Paint::Good | Paint::Text => "32",
            Paint::Warning => "33",
            Paint::Bad => "31",
            Paint::Info | Paint::Number => "36",
            Paint::Key => "34",
            Paint::Faint => "2",
        };
        Painted {
            code: (self == Self::On).then_some(code),
            text,
        }
    }

    /// Paints the icons at the start of lines and removes colours where they are off.
    ///
    /// spec: command 3.2 (`✔` done, `>` info, `!` warning, `✗` error, `│` list line)
    pub(crate) fn lines(self, text: &str) -> String {
        if self == Self::Off {
            return strip(text);
        }
        let mut painted = String::with_capacity(text.len() + 32);
        for line in text.split_inclusive('\n') {
            let icon = ICONS.iter().find_map(|(icon, paint)| {
                line.strip_prefix("  ")
                    .and_then(|rest| rest.strip_prefix(icon))
                    .map(|rest| (icon, *paint, rest))
            });
            match icon {
                Some((icon, paint, rest)) if rest.starts_with([' ', '\n']) || rest.is_empty() => {
                    painted.push_str(&format!("  {}{rest}", self.paint(paint, icon)));
                }
                _ => painted.push_str(&self.branch(line)),
            }
        }
        painted
    }

    /// Paints the icon behind a branch of a drawing.
    fn branch(self, line: &str) -> Cow<'_, str> {
        let (before, rest) = match line.split_once(BRANCH) {
            Some((before, rest)) if before.chars().all(char::is_whitespace) => (before, rest),
            _ => return Cow::Borrowed(line),
        };
        let icon = ICONS
            .iter()
            .find_map(|(icon, paint)| Some((icon, *paint, rest.strip_prefix(icon)?)));
        match icon {
            Some((icon, paint, rest)) => {
                Cow::Owned(format!("{before}{BRANCH}{}{rest}", self.paint(paint, icon)))
            }
            None => Cow::Borrowed(line),
        }
    }
}

impl fmt::Display for Painted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.code {
            Some(code) => write!(f, "\x1b[{code}m{}\x1b[0m", self.text),
            None => f.write_str(self.text),
        }
    }
}

/// A text that may quote a stranger, with its control characters written out: they would steer the terminal.
pub(crate) fn tame(text: &str) -> Cow<'_, str> {
    let steers = |character: char| character.is_control() && !matches!(character, '\n' | '\t');
    if !text.contains(steers) {
        return Cow::Borrowed(text);
    }
    let mut tamed = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        if steers(character) {
            tamed.extend(character.escape_default());
        } else {
            tamed.push(character);
        }
    }
    Cow::Owned(tamed)
}

/// Removes ANSI sequences.
pub(crate) fn strip(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text.chars().peekable();
    while let Some(character) = rest.next() {
        if character != '\x1b' {
            plain.push(character);
            continue;
        }
        if rest.next_if_eq(&'[').is_some() {
            // Parameters and intermediate bytes end with the first byte from `@` to `~`.
            while rest.next().is_some_and(|next| !('@'..='~').contains(&next)) {}
        }
    }
    plain
}

const ICONS: &[(&str, Paint)] = &[
    ("✔", Paint::Good),
    (">", Paint::Info),
    ("!", Paint::Warning),
    ("✗", Paint::Bad),
    ("│", Paint::Info),
];

/// A branch of a drawing.
const BRANCH: &str = "└─ ";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_need_a_terminal_and_nobody_against_them() {
        let none = Environment::only(&[]);
        assert_eq!(Colours::of(true, false, &none), Colours::On);
        assert_eq!(Colours::of(false, false, &none), Colours::Off);
        assert_eq!(Colours::of(true, true, &none), Colours::Off);
        assert_eq!(
            Colours::of(true, false, &Environment::only(&[(NO_COLOR, "1")])),
            Colours::Off
        );
        assert_eq!(
            Colours::of(true, false, &Environment::only(&[(TERM, "dumb")])),
            Colours::Off
        );
    }

    #[test]
    fn icons_are_painted_and_nothing_else() {
        let text = "  ✔ Created\n    with > inside\n";
        let painted = Colours::On.lines(text);
        assert_eq!(painted, "  \x1b[32m✔\x1b[0m Created\n    with > inside\n");
        assert_eq!(Colours::Off.lines(&painted), text);
        let drawn = "    └─ ✗ tcp\n";
        assert_eq!(Colours::On.lines(drawn), "    └─ \x1b[31m✗\x1b[0m tcp\n");
    }
}
