//! YAML, and JSON as a part of it, as a tree whose every key and value knows where it was written.
//!
//! # Invariants
//! The tree is bounded in depth and in nodes, aliases counted as often as they are used, so a small text cannot become a
//! large tree.

use std::collections::{HashMap, HashSet};

use saphyr_parser::{Event, Parser, ScalarStyle, Span};

use crate::configuration::variables::Expanded;
use crate::configuration::{Origin, Position};
use crate::outcome::Failure;

/// A parsed text.
#[derive(Debug)]
pub(crate) struct Document {
    /// Where it comes from.
    pub(crate) origin: Origin,
    /// What it says.
    pub(crate) root: Node,
}

/// A value and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Node {
    /// Where it begins.
    pub(crate) at: Position,
    /// What it is.
    pub(crate) value: Value,
}

/// A value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value {
    /// Nothing, or `null`.
    Null,
    /// `true` or `false`.
    Switch(bool),
    /// A whole number, as it was written.
    Integer(String),
    /// A number with a fraction, as it was written.
    Fraction(String),
    /// Text.
    Text(String),
    /// A list.
    List(Vec<Node>),
    /// A map; its keys are distinct.
    Map(Vec<Entry>),
}

impl Value {
    /// As a sentence names it.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Switch(_) => "true or false",
            Self::Integer(_) => "a number",
            Self::Fraction(_) => "a number with a fraction",
            Self::Text(_) => "text",
            Self::List(_) => "a list",
            Self::Map(_) => "a map",
        }
    }
}

/// One entry of a map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Where the key begins.
    pub(crate) at: Position,
    /// The key.
    pub(crate) key: String,
    /// The value.
    pub(crate) node: Node,
}

impl Node {
    /// The tree of a text whose variables were filled in.
    ///
    /// # Errors
    /// It is no YAML, or more than is taken.
    pub(crate) fn parse(origin: &Origin, expanded: &Expanded) -> Result<Self, Failure> {
        let mut reader = Reader {
            origin,
            expanded,
            events: Parser::new_from_str(expanded.text()),
            anchors: HashMap::new(),
            nodes: 0,
            cursor: (0, 0),
        };
        reader.document()
    }

    /// The entries, when it is a map.
    pub(crate) fn entries(&self) -> Option<&[Entry]> {
        match &self.value {
            Value::Map(entries) => Some(entries),
            _ => None,
        }
    }

    /// The same as JSON.
    pub(crate) fn json(&self) -> serde_json::Value {
        match &self.value {
            Value::Null => serde_json::Value::Null,
            Value::Switch(switch) => (*switch).into(),
            Value::Integer(number) => match number.parse::<i64>() {
                Ok(number) => number.into(),
                Err(_) => number.as_str().into(),
            },
            Value::Fraction(text) | Value::Text(text) => text.as_str().into(),
            Value::List(items) => items.iter().map(Self::json).collect(),
            Value::Map(entries) => entries
                .iter()
                .map(|entry| (entry.key.clone(), entry.node.json()))
                .collect(),
        }
    }

    fn weight(&self) -> usize {
        1 + match &self.value {
            Value::List(items) => items.iter().map(Self::weight).sum(),
            Value::Map(entries) => entries.iter().map(|entry| entry.node.weight()).sum(),
            _ => 0,
        }
    }
}

struct Reader<'t> {
    origin: &'t Origin,
    expanded: &'t Expanded,
    events: Parser<'t, saphyr_parser::StrInput<'t>>,
    /// Nodes that have a name, by the number the parser gives it.
    anchors: HashMap<usize, Node>,
    nodes: usize,
    /// A place of the text with its variables filled in, in characters and in bytes: the parser counts the former, and goes
    /// on from place to place.
    cursor: (usize, usize),
}

impl<'t> Reader<'t> {
    fn document(&mut self) -> Result<Node, Failure> {
        let mut root = None;
        while let Some((event, span)) = self.next()? {
            match event {
                Event::StreamEnd => break,
                Event::Nothing
                | Event::StreamStart
                | Event::DocumentStart(_)
                | Event::DocumentEnd => {}
                event if root.is_none() => root = Some(self.node(event, span, 0)?),
                _ => {
                    let at = self.position(span);
                    return Err(self
                        .origin
                        .failure(
                            at,
                            "a configuration is one document, and here a second one begins",
                        )
                        .help("leave out the line `---`, or write two files"));
                }
            }
        }
        Ok(root.unwrap_or(Node {
            at: Position::default(),
            value: Value::Null,
        }))
    }

    fn node(&mut self, event: Event<'t>, span: Span, depth: usize) -> Result<Node, Failure> {
        let at = self.position(span);
        self.nodes += 1;
        if depth > MAX_DEPTH {
            return Err(self.origin.failure(
                at,
                format!("the configuration is nested more than {MAX_DEPTH} levels deep"),
            ));
        }
        let (value, anchor) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                let is_plain = style == ScalarStyle::Plain
                    && tag.is_none_or(|tag| !tag.is_yaml_core_schema() || tag.suffix != "str");
                let value = if is_plain {
                    plain(&text)
                } else {
                    Value::Text(text.into_owned())
                };
                (value, anchor)
            }
            Event::SequenceStart(anchor, _) => {
                let mut items = Vec::new();
                loop {
                    match self.expect(at)? {
                        (Event::SequenceEnd, _) => break,
                        (event, span) => items.push(self.node(event, span, depth + 1)?),
                    }
                }
                (Value::List(items), anchor)
            }
            Event::MappingStart(anchor, _) => (Value::Map(self.entries(at, depth)?), anchor),
            Event::Alias(anchor) => {
                let Some(node) = self.anchors.get(&anchor) else {
                    return Err(self.origin.failure(
                        at,
                        "this alias names something that is not defined before it",
                    ));
                };
                self.nodes += node.weight();
                let value = node.value.clone();
                self.bound(at)?;
                return Ok(Node { at, value });
            }
            _ => {
                return Err(self.origin.failure(at, "something else was expected here"));
            }
        };
        self.bound(at)?;
        let node = Node { at, value };
        if anchor != 0 {
            self.nodes += node.weight();
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    fn entries(&mut self, map: Position, depth: usize) -> Result<Vec<Entry>, Failure> {
        let mut entries: Vec<Entry> = Vec::new();
        let mut keys = HashSet::new();
        loop {
            let (event, span) = self.expect(map)?;
            let at = self.position(span);
            let key = match event {
                Event::MappingEnd => return Ok(entries),
                Event::Scalar(text, ..) => text.into_owned(),
                _ => {
                    return Err(self
                        .origin
                        .failure(at, "a key is one word, not a list or a map"));
                }
            };
            if !keys.insert(key.clone()) {
                return Err(self
                    .origin
                    .failure(at, format!("the key `{key}` is there twice")));
            }
            let (event, span) = self.expect(map)?;
            let node = self.node(event, span, depth + 1)?;
            entries.push(Entry { at, key, node });
        }
    }

    fn next(&mut self) -> Result<Option<(Event<'t>, Span)>, Failure> {
        match self.events.next_event() {
            None => Ok(None),
            Some(Ok(event)) => Ok(Some(event)),
            Some(Err(error)) => {
                let at = self.at(error.marker().index());
                Err(self.origin.failure(
                    at,
                    format!("the configuration is no YAML: {}", error.info()),
                ))
            }
        }
    }

    fn expect(&mut self, begun: Position) -> Result<(Event<'t>, Span), Failure> {
        self.next()?
            .ok_or_else(|| self.origin.failure(begun, "what begins here does not end"))
    }

    fn bound(&self, at: Position) -> Result<(), Failure> {
        if self.nodes > MAX_NODES {
            return Err(self.origin.failure(
                at,
                format!("the configuration has more than {MAX_NODES} values"),
            ));
        }
        Ok(())
    }

    fn position(&mut self, span: Span) -> Position {
        self.at(span.start.index())
    }

    /// Where a character of the text with its variables filled in was written.
    fn at(&mut self, index: usize) -> Position {
        let text = self.expanded.text();
        let (characters, bytes) = if index < self.cursor.0 {
            (0, 0)
        } else {
            self.cursor
        };
        let rest = text.get(bytes..).unwrap_or_default();
        let further = rest
            .char_indices()
            .nth(index - characters)
            .map_or(rest.len(), |(further, _)| further);
        self.cursor = (index, bytes + further);
        Position(self.expanded.written(bytes + further))
    }
}

/// What an unquoted word means, by the core schema of YAML 1.2.
fn plain(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" => Value::Switch(true),
        "false" | "False" | "FALSE" => Value::Switch(false),
        text if is_integer(text) => Value::Integer(text.to_owned()),
        text if is_fraction(text) => Value::Fraction(text.to_owned()),
        text => Value::Text(text.to_owned()),
    }
}

fn is_integer(text: &str) -> bool {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    // `007` is text: nobody means a number by it.
    let leads = digits.len() > 1 && digits.starts_with('0');
    !digits.is_empty() && !leads && digits.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_fraction(text: &str) -> bool {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let named = matches!(digits, ".inf" | ".Inf" | ".INF" | ".nan" | ".NaN" | ".NAN");
    let numeric = digits
        .bytes()
        .all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'e' | b'E' | b'+' | b'-'))
        && digits
            .bytes()
            .next()
            .is_some_and(|byte| byte.is_ascii_digit() || byte == b'.')
        && digits.contains(['.', 'e', 'E'])
        && digits.parse::<f64>().is_ok();
    named || numeric
}

/// Nobody nests a configuration deeper; the parser's own frames are bounded with it.
const MAX_DEPTH: usize = 32;
/// A thousand nodes of ten portals each fit.
const MAX_NODES: usize = 100_000;
