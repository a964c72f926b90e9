//! Variables of a configuration, and the text with their values filled in.
//!
//! `$NAME` and `${NAME}` stand for a value, `${NAME:-default}` has one to fall back on, `$$` is a dollar sign. A value comes
//! from `--variable`, else from the environment, else from the section `variables` of the text itself.
//!
//! # Invariants
//! A value is filled in once and not looked into again. What a place in the filled-in text was before is known.
//!
//! spec: command 3.11 (step 1)

use std::collections::BTreeMap;

use crate::command::{Note, Session};
use crate::configuration::document::{Node, Value};
use crate::configuration::{Document, Origin, Position};
use crate::outcome::Failure;

/// What was given with `--variable`, in the order of the names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Variables(BTreeMap<String, String>);

impl Variables {
    /// Reads `NAME=VALUE`.
    ///
    /// # Errors
    /// Something else, a name twice, or a value that is empty.
    pub(crate) fn read(given: &[String]) -> Result<Self, Failure> {
        let mut variables = BTreeMap::new();
        for pair in given {
            let (name, value) = pair.split_once('=').ok_or_else(|| {
                Failure::new(format!(
                    "the argument `--variable {pair}` is not of the form NAME=VALUE"
                ))
            })?;
            if !is_name(name) {
                return Err(
                    Failure::new(format!("`{name}` cannot be the name of a variable"))
                        .help("a name has letters, digits and `_`"),
                );
            }
            if value.is_empty() {
                return Err(empty(name));
            }
            if variables
                .insert(name.to_owned(), value.to_owned())
                .is_some()
            {
                return Err(Failure::new(format!(
                    "the variable '{name}' is given twice"
                )));
            }
        }
        Ok(Self(variables))
    }

    /// Those of an earlier command, with these in front of them.
    pub(crate) fn over(mut self, earlier: &BTreeMap<String, String>) -> Self {
        for (name, value) in earlier {
            self.0.entry(name.clone()).or_insert_with(|| value.clone());
        }
        self
    }

    /// The names and values.
    pub(crate) fn into_map(self) -> BTreeMap<String, String> {
        self.0
    }
}

impl Document {
    /// Reads a text: fills in its variables and parses it.
    ///
    /// # Errors
    /// It is no YAML before or after that, or a variable has no value.
    pub(crate) fn read(
        session: &Session<'_>,
        origin: Origin,
        given: &Variables,
    ) -> Result<Self, Failure> {
        let lookup = |name: &str| session.host.variable(name);
        let warn = |text: String| session.host.note(Note::Warning(text));
        Self::read_with(origin, given, &lookup, &warn)
    }

    pub(super) fn read_with(
        origin: Origin,
        given: &Variables,
        environment: &dyn Fn(&str) -> Option<String>,
        warn: &dyn Fn(String),
    ) -> Result<Self, Failure> {
        let written = Expanded::unchanged(without_slash_comments(&origin.text));
        let root = Node::parse(&origin, &written)?;
        let defined = section(&origin, &root)?;
        if !written.text().contains('$') {
            return Ok(Self { origin, root });
        }
        for name in defined.keys() {
            if !given.0.contains_key(name) && environment(name).is_some() {
                warn(format!(
                    "the variable '{name}' of {} is set in the environment too; that value is used",
                    origin.name
                ));
            }
        }
        let value = |name: &str| {
            given
                .0
                .get(name)
                .cloned()
                .or_else(|| environment(name))
                .or_else(|| defined.get(name).cloned())
        };
        let expanded = Expanded::of(&origin, written.text(), &value)?;
        let root = Node::parse(&origin, &expanded).map_err(|failure| {
            failure.help(
                "this is what the line was written as; its variables are filled in when it is read",
            )
        })?;
        Ok(Self { origin, root })
    }
}

/// The section `variables` as it was written.
fn section(origin: &Origin, root: &Node) -> Result<BTreeMap<String, String>, Failure> {
    let mut defined = BTreeMap::new();
    let Some(entry) = root
        .entries()
        .and_then(|entries| entries.iter().find(|entry| entry.key == SECTION))
    else {
        return Ok(defined);
    };
    let entries = match &entry.node.value {
        Value::Null => return Ok(defined),
        Value::Map(entries) => entries,
        other => {
            return Err(origin.failure(
                entry.node.at,
                format!(
                    "`variables` is a map from names to values, not {}",
                    other.kind()
                ),
            ));
        }
    };
    for variable in entries {
        let name = &variable.key;
        let value = match &variable.node.value {
            Value::Text(text) | Value::Integer(text) if !text.is_empty() => text.clone(),
            Value::Switch(switch) => switch.to_string(),
            Value::Null | Value::Text(_) | Value::Integer(_) => {
                return Err(origin.locate(variable.at, empty(name)));
            }
            Value::Fraction(_) => {
                return Err(origin
                    .failure(
                        variable.node.at,
                        format!("the variable '{name}' is a number with a fraction"),
                    )
                    .help("write it in quotes to make it text"));
            }
            other @ (Value::List(_) | Value::Map(_)) => {
                return Err(origin.failure(
                    variable.node.at,
                    format!(
                        "the variable '{name}' is text, a whole number, true or false, not {}",
                        other.kind()
                    ),
                ));
            }
        };
        if !is_name(name) {
            return Err(origin
                .failure(
                    variable.at,
                    format!("`{name}` cannot be the name of a variable"),
                )
                .help("a name has letters, digits and `_`"));
        }
        defined.insert(name.clone(), value);
    }
    Ok(defined)
}

/// The key of the section.
pub(super) const SECTION: &str = "variables";

/// spec: command 3.3 (empty variable)
fn empty(name: &str) -> Failure {
    Failure::new(format!("Empty value for variable '{name}'"))
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(is_name_byte)
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// A text with its variables filled in, and where each part of it was written.
#[derive(Debug)]
pub(crate) struct Expanded {
    text: String,
    /// In the order of the text; the first begins at zero.
    pieces: Vec<Piece>,
}

#[derive(Debug, Clone, Copy)]
struct Piece {
    /// Where it begins here.
    start: usize,
    /// Where it begins in the text as it was written.
    written: usize,
    /// Whether it is a value: then all of it was written in one place.
    is_value: bool,
}

impl Expanded {
    /// A text nothing is to be filled in.
    pub(crate) fn unchanged(text: String) -> Self {
        let whole = Piece {
            start: 0,
            written: 0,
            is_value: false,
        };
        Self {
            text,
            pieces: vec![whole],
        }
    }

    /// Fills in the variables of a text.
    fn of(
        origin: &Origin,
        written: &str,
        value: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, Failure> {
        let mut text = String::with_capacity(written.len());
        let mut pieces = Vec::new();
        let mut done = 0;
        let mut line = Line::of(written, 0);
        while let Some(found) = written.get(done..).and_then(|rest| rest.find('$')) {
            let dollar = done + found;
            pieces.push(Piece {
                start: text.len(),
                written: done,
                is_value: false,
            });
            let before = written.get(done..dollar).unwrap_or_default();
            if let Some(end) = before.rfind('\n') {
                line = Line::of(written, done + end + 1);
            }
            text.push_str(before);
            let rest = written.get(dollar + 1..).unwrap_or_default();
            let (filled, length) = match Reference::read(rest) {
                None => ("$".to_owned(), 0),
                Some(Reference::Dollar) => ("$".to_owned(), 1),
                Some(Reference::Variable {
                    name,
                    default,
                    length,
                }) => match (value(name).filter(|value| !value.is_empty()), default) {
                    (Some(value), _) => (value, length),
                    (None, Some(default)) => (default.to_owned(), length),
                    // A line that is nothing but a comment needs no values.
                    (None, None) if line.is_comment => ("$".to_owned(), 0),
                    (None, None) => {
                        return Err(origin
                            .failure(
                                Position(dollar),
                                format!("Failed to resolve variable '{name}'"),
                            )
                            .help(format!(
                                "add it to the section `variables`, give --variable {name}=VALUE, or write ${{{name}:-DEFAULT}}"
                            )));
                    }
                },
            };
            pieces.push(Piece {
                start: text.len(),
                written: dollar,
                is_value: true,
            });
            text.push_str(&filled);
            done = dollar + 1 + length;
            if text.len() > MAX_TEXT {
                return Err(Failure::new(format!(
                    "{} is larger than {} MiB with its variables filled in",
                    origin.name,
                    MAX_TEXT / (1024 * 1024)
                )));
            }
        }
        pieces.push(Piece {
            start: text.len(),
            written: done,
            is_value: false,
        });
        text.push_str(written.get(done..).unwrap_or_default());
        Ok(Self { text, pieces })
    }

    /// The text.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Where a byte was written.
    pub(crate) fn written(&self, offset: usize) -> usize {
        let index = self.pieces.partition_point(|piece| piece.start <= offset);
        match self.pieces.get(index.saturating_sub(1)) {
            Some(piece) if piece.is_value => piece.written,
            Some(piece) => piece.written + (offset - piece.start),
            None => offset,
        }
    }
}

/// What follows a dollar sign.
#[derive(Debug, PartialEq, Eq)]
enum Reference<'t> {
    /// Another one: it stands for itself.
    Dollar,
    /// A variable.
    Variable {
        name: &'t str,
        default: Option<&'t str>,
        /// How many bytes after the dollar sign belong to it.
        length: usize,
    },
}

impl<'t> Reference<'t> {
    /// Nothing when the dollar sign stands alone.
    fn read(rest: &'t str) -> Option<Self> {
        if rest.starts_with('$') {
            return Some(Self::Dollar);
        }
        if let Some(braced) = rest.strip_prefix('{') {
            // Nothing nests, so that a text full of braces is not searched to its end for each of them.
            let end = braced.find(['{', '}'])?;
            if !braced.get(end..)?.starts_with('}') {
                return None;
            }
            let inside = braced.get(..end)?;
            let (name, default) = match inside.split_once(":-") {
                Some((name, default)) => (name, Some(default)),
                None => (inside, None),
            };
            return is_name(name).then_some(Self::Variable {
                name,
                default,
                length: inside.len() + 2,
            });
        }
        let length = rest.bytes().take_while(|byte| is_name_byte(*byte)).count();
        let name = rest.get(..length).filter(|name| !name.is_empty())?;
        Some(Self::Variable {
            name,
            default: None,
            length,
        })
    }
}

/// A line of the text.
struct Line {
    /// Whether it is nothing but a comment.
    is_comment: bool,
}

impl Line {
    fn of(text: &str, start: usize) -> Self {
        let line = text.get(start..).unwrap_or_default();
        Self {
            is_comment: line.trim_start_matches([' ', '\t']).starts_with('#'),
        }
    }
}

/// JSON as people write it: comments that begin with `//`, or stand between `/*` and `*/`, become blanks, so that every
/// position stays what it is. Only a text that begins like JSON has them; elsewhere two slashes are part of a word.
fn without_slash_comments(text: &str) -> String {
    if !text.trim_start().starts_with(['{', '[', '/']) || !text.contains('/') {
        return text.to_owned();
    }
    let mut blanked = String::with_capacity(text.len());
    let mut quote = None;
    let mut before = ' ';
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let begins = quote.is_none()
            && (before.is_whitespace() || matches!(before, ',' | '{' | '[' | '}' | ']'));
        let length = if begins && rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if begins && rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else {
            match (quote, c) {
                (Some('"'), '\\') => {
                    // What is escaped does not end the text.
                    blanked.push(c);
                    rest = rest.get(1..).unwrap_or_default();
                    if let Some(escaped) = rest.chars().next() {
                        blanked.push(escaped);
                        rest = rest.get(escaped.len_utf8()..).unwrap_or_default();
                    }
                    before = 'x';
                    continue;
                }
                (Some(open), c) if c == open => quote = None,
                // A quotation mark within a word does not begin a text.
                (None, '"' | '\'') if !before.is_alphanumeric() => quote = Some(c),
                _ => {}
            }
            blanked.push(c);
            before = c;
            rest = rest.get(c.len_utf8()..).unwrap_or_default();
            continue;
        };
        let (comment, after) = rest.split_at_checked(length).unwrap_or((rest, ""));
        blanked.extend(comment.chars().flat_map(|c| {
            let width = if c == '\n' { 1 } else { c.len_utf8() };
            std::iter::repeat_n(if c == '\n' { '\n' } else { ' ' }, width)
        }));
        before = ' ';
        rest = after;
    }
    blanked
}

/// Values may make a text larger than the file it was; this is far more than a configuration.
const MAX_TEXT: usize = 4 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    fn origin(text: &str) -> Origin {
        Origin {
            name: "a.yaml".to_owned(),
            text: text.to_owned(),
        }
    }

    fn read(
        text: &str,
        given: &[&str],
        environment: &[(&str, &str)],
    ) -> Result<(Document, Vec<String>), Failure> {
        let given: Vec<String> = given.iter().map(|pair| (*pair).to_owned()).collect();
        let given = Variables::read(&given)?;
        let warnings = RefCell::new(Vec::new());
        let document = Document::read_with(
            origin(text),
            &given,
            &|name| {
                environment
                    .iter()
                    .find(|(known, _)| *known == name)
                    .map(|(_, value)| (*value).to_owned())
            },
            &|text| warnings.borrow_mut().push(text),
        )?;
        Ok((document, warnings.into_inner()))
    }

    #[test]
    fn the_section_is_checked_also_when_nothing_refers_to_it() {
        for (text, said) in [
            ("variables: {A: [1]}", "not a list"),
            ("variables: {A: ''}", "Empty value for variable 'A'"),
            ("variables: {A-B: 1}", "cannot be the name"),
            ("variables: 5", "is a map from names to values"),
        ] {
            let error = read(text, &[], &[]).unwrap_err();
            assert!(error.message.contains(said), "{}", error.message);
        }
    }

    fn value(text: &str) -> Value {
        let (document, _) = read(text, &["SET=given"], &[("HOST", "h")]).expect("it is read");
        let entry = document
            .root
            .entries()
            .and_then(|entries| entries.last())
            .expect("an entry");
        entry.node.value.clone()
    }

    #[test]
    fn every_form_of_a_reference_is_filled_in() {
        let text = |text: &str| Value::Text(text.to_owned());
        assert_eq!(value("a: $SET"), text("given"));
        assert_eq!(value("a: ${SET}-b"), text("given-b"));
        assert_eq!(value("a: ${NONE:-else where}"), text("else where"));
        assert_eq!(value("a: ${SET:-else}"), text("given"));
        assert_eq!(value("a: $$SET"), text("$SET"));
        assert_eq!(value("a: 5$ and $ 6"), text("5$ and $ 6"));
        assert_eq!(value("a: $HOST/b"), text("h/b"));
        assert_eq!(
            value("variables: {P: 5}\na: $P"),
            Value::Integer("5".to_owned())
        );
        assert_eq!(value("variables: {P: true}\na: $P"), Value::Switch(true));
        assert_eq!(value("# about $NOTHING\na: b"), text("b"));
    }

    #[test]
    fn a_value_is_not_looked_into() {
        let (document, _) = read("a: $A", &["A=$B"], &[]).expect("it is read");
        let entry = document
            .root
            .entries()
            .and_then(|entries| entries.first())
            .expect("an entry");
        assert_eq!(entry.node.value, Value::Text("$B".to_owned()));
    }

    #[test]
    fn the_argument_wins_over_the_environment_and_that_over_the_file() {
        let text = "variables:\n  A: file\na: $A";
        let of = |given: &[&str], environment: &[(&str, &str)]| {
            let (document, warnings) = read(text, given, environment).expect("it is read");
            let entry = document
                .root
                .entries()
                .and_then(|entries| entries.last())
                .expect("an entry");
            (entry.node.value.clone(), warnings.len())
        };
        let text = |text: &str| Value::Text(text.to_owned());
        assert_eq!(of(&[], &[]), (text("file"), 0));
        assert_eq!(of(&[], &[("A", "process")]), (text("process"), 1));
        assert_eq!(of(&["A=given"], &[("A", "process")]), (text("given"), 0));
    }

    #[test]
    fn a_position_is_the_one_as_written() {
        let text = "a: $LONG\nb: { c: $LONG, d: 1 }\n";
        let (document, _) =
            read(text, &["LONG=a long\n  value of lines"], &[]).expect("it is read");
        let b = document
            .root
            .entries()
            .and_then(|entries| entries.last())
            .expect("an entry");
        assert_eq!(document.origin.place(b.at), "a.yaml, line 2, column 1");
        let d = b
            .node
            .entries()
            .and_then(|entries| entries.last())
            .expect("an entry");
        assert_eq!(document.origin.place(d.at), "a.yaml, line 2, column 16");
        assert_eq!(
            document.origin.place(d.node.at),
            "a.yaml, line 2, column 19"
        );
    }

    #[test]
    fn what_is_missing_empty_or_twice_is_named() {
        let failed = |text: &str, given: &[&str]| read(text, given, &[]).expect_err("it fails");
        let failure = failed("a: b\nc: $NONE", &[]);
        assert_eq!(failure.message, "Failed to resolve variable 'NONE'");
        assert!(
            failure
                .causes
                .iter()
                .any(|cause| cause.contains("line 2, column 4")),
            "{failure:?}"
        );
        assert_eq!(
            failed("a: $A", &["A="]).message,
            "Empty value for variable 'A'"
        );
        assert_eq!(
            failed("variables: {A: ''}\na: $A", &[]).message,
            "Empty value for variable 'A'"
        );
        assert_eq!(
            failed("variables: {A: }\na: $A", &[]).message,
            "Empty value for variable 'A'"
        );
        assert!(failed("a: b", &["A=1", "A=2"]).message.contains("twice"));
        assert!(
            failed("variables: {A: [1]}\na: $A", &[])
                .message
                .contains("a list")
        );
        assert!(
            failed("variables: {A: 1.5}\na: $A", &[])
                .message
                .contains("fraction")
        );
    }

    #[test]
    fn json_has_comments_and_trailing_commas() {
        let text = "// first\n{\n\t\"a\": \"x//y\", /* two\n lines */\n\t\"b\": [1, 2,], // last\n\t\"c\": http://127.0.0.1/p,\n}\n";
        let (document, _) = read(text, &[], &[]).expect("it is read");
        let entries = document.root.entries().expect("a map");
        let keys: Vec<&str> = entries.iter().map(|entry| entry.key.as_str()).collect();
        assert_eq!(keys, ["a", "b", "c"]);
        let values: Vec<&Value> = entries.iter().map(|entry| &entry.node.value).collect();
        assert_eq!(values[0], &Value::Text("x//y".to_owned()));
        assert_eq!(values[2], &Value::Text("http://127.0.0.1/p".to_owned()));
        assert_eq!(
            document.origin.place(entries[1].at),
            "a.yaml, line 5, column 2"
        );
    }
}
