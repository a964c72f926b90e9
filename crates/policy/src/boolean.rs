//! The boolean form: what people write.
//!
//! ```text
//! or    := and ( "or" and )*                         left-associative
//! and   := not ( "and" not )*
//! not   := "not" not | "(" or ")" | "()" | item
//! item  := name | name "=" value | identifier
//! name  := [A-Za-z_-] [A-Za-z0-9._-]*
//! value := '"' any-but-quote+ '"'  |  [A-Za-z0-9._-]+
//! ```
//!
//! White space around the words is optional. That makes texts that look like one thing and are another, `notary` is `not
//! ary`, so the reader notes what would be misread, and whoever takes a text from a person refuses it.
//! `spec: trust 6.2, 11.2 (13)`

use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;
use core::str::FromStr;

use crate::expr::Expr;
use crate::policy::{InvalidPolicy, MAX_BOOLEAN_DEPTH, MAX_BOOLEAN_LEN, MAX_BOOLEAN_PARTS};

/// A boolean expression over attributes that have to be there.
///
/// `spec: trust 6.1, 6.2`
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BooleanExpr {
    /// `name`: the attribute is `true`.
    Name(AttributeName),
    /// `name=value`: the attribute has this value.
    NameValue(AttributeName, AttributeValue),
    /// `I..`: the peer is this identity. In lower case.
    Identifier(SubjectIdentifier),
    /// One or the other.
    Or(Box<Self>, Box<Self>),
    /// One and the other.
    And(Box<Self>, Box<Self>),
    /// Not this.
    Not(Box<Self>),
    /// `()`: nobody.
    Empty,
}

impl BooleanExpr {
    /// The full expression that means the same.
    pub(crate) fn to_expr(&self) -> Expr {
        match self {
            Self::Name(name) => Expr::attribute_is(name.as_str(), "true"),
            Self::NameValue(name, value) => Expr::attribute_is(name.as_str(), value.as_str()),
            Self::Identifier(identifier) => Expr::attribute_is("identifier", identifier.as_str()),
            Self::Or(left, right) => Expr::operation("or", [left.to_expr(), right.to_expr()]),
            Self::And(left, right) => Expr::operation("and", [left.to_expr(), right.to_expr()]),
            Self::Not(inner) => Expr::operation("not", [inner.to_expr()]),
            Self::Empty => Expr::List(Vec::new()),
        }
    }

    /// Refuses what is too deep or too large to be walked or read back.
    pub(crate) fn check(&self) -> Result<(), InvalidPolicy> {
        fn walk(expr: &BooleanExpr, depth: usize, parts: &mut usize) -> Result<(), InvalidPolicy> {
            if depth > MAX_BOOLEAN_DEPTH {
                return Err(InvalidPolicy::TooDeep);
            }
            *parts += 1;
            if *parts > MAX_BOOLEAN_PARTS {
                return Err(InvalidPolicy::TooLarge);
            }
            match expr {
                BooleanExpr::Or(left, right) | BooleanExpr::And(left, right) => {
                    walk(left, depth + 1, parts)?;
                    walk(right, depth + 1, parts)
                }
                BooleanExpr::Not(inner) => walk(inner, depth + 1, parts),
                _ => Ok(()),
            }
        }
        walk(self, 1, &mut 0)?;
        if self.to_string().len() > MAX_BOOLEAN_LEN {
            return Err(InvalidPolicy::TooLarge);
        }
        Ok(())
    }
}

impl fmt::Display for BooleanExpr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // On its own `not` would negate what follows.
            Self::Name(name) if name.as_str() == "not" => f.write_str("(not)"),
            Self::Name(name) => f.write_str(name.as_str()),
            Self::NameValue(name, value) => write!(f, "{}={value}", name.as_str()),
            Self::Identifier(identifier) => f.write_str(identifier.as_str()),
            Self::Or(left, right) => write!(f, "{} or {}", Operand(left), Operand(right)),
            Self::And(left, right) => write!(f, "{} and {}", Operand(left), Operand(right)),
            Self::Not(inner) if matches!(**inner, Self::Not(_)) => write!(f, "not ({inner})"),
            Self::Not(inner) => write!(f, "not {}", Operand(inner)),
            Self::Empty => f.write_str("()"),
        }
    }
}

/// An operand, in parentheses if it has an operator between two others.
struct Operand<'a>(&'a BooleanExpr);

impl fmt::Display for Operand<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            BooleanExpr::Or(..) | BooleanExpr::And(..) => write!(f, "({})", self.0),
            other => write!(f, "{other}"),
        }
    }
}

/// The name of an attribute as the boolean form can write it.
///
/// A name that this form would read as something else, a negation or an identifier, is not one; the full form has a
/// place for it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AttributeName(String);

impl AttributeName {
    /// The name itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for AttributeName {
    type Err = InvalidPolicy;

    fn from_str(text: &str) -> Result<Self, InvalidPolicy> {
        let negation = text
            .strip_prefix("not")
            .is_some_and(|rest| rest.starts_with(is_name_start));
        let right = text.starts_with(is_name_start)
            && text.chars().all(is_name_char)
            && !negation
            && identifier(text).is_none();
        if right {
            Ok(Self(text.into()))
        } else {
            Err(InvalidPolicy::AttributeName)
        }
    }
}

/// The value of an attribute as the boolean form can write it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AttributeValue(String);

impl AttributeValue {
    /// The value itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for AttributeValue {
    type Err = InvalidPolicy;

    fn from_str(text: &str) -> Result<Self, InvalidPolicy> {
        if text.is_empty() || text.contains('"') {
            Err(InvalidPolicy::AttributeValue)
        } else {
            Ok(Self(text.into()))
        }
    }
}

impl fmt::Display for AttributeValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.chars().all(is_name_char) {
            f.write_str(&self.0)
        } else {
            write!(f, "\"{}\"", self.0)
        }
    }
}

/// The text of an identifier: `I` and 64 hex digits in lower case.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SubjectIdentifier(String);

impl SubjectIdentifier {
    /// The identifier's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for SubjectIdentifier {
    type Err = InvalidPolicy;

    fn from_str(text: &str) -> Result<Self, InvalidPolicy> {
        identifier(text).ok_or(InvalidPolicy::Identifier)
    }
}

fn identifier(text: &str) -> Option<SubjectIdentifier> {
    let digits = text.strip_prefix('I')?;
    let right = digits.len() == 64 && digits.bytes().all(|c| c.is_ascii_hexdigit());
    right.then(|| SubjectIdentifier(alloc::format!("I{}", digits.to_ascii_lowercase())))
}

/// Why a text is no boolean expression.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BooleanError {
    /// A name should begin here.
    #[error(
        "expected `an alphanumerical name, separated with '.', '-' or '_'. \
         The first character cannot be a digit or a '.'`"
    )]
    Name,
    /// There is nothing behind a `=`.
    #[error("expected `the value can't be empty`")]
    Value,
    /// The text goes on behind an expression.
    #[error("successfully parsed: `{head}`, but `{tail}` cannot be parsed")]
    Tail {
        /// What could be read.
        head: String,
        /// What follows it.
        tail: String,
    },
    /// The text is longer than [`MAX_BOOLEAN_LEN`].
    #[error("a boolean expression has at most {MAX_BOOLEAN_LEN} bytes")]
    TooLong,
    /// Operators are nested deeper than allowed.
    #[error("operators are nested more than {MAX_BOOLEAN_DEPTH} deep")]
    TooDeep,
    /// There are more than [`MAX_BOOLEAN_PARTS`] parts.
    #[error("a boolean expression has at most {MAX_BOOLEAN_PARTS} parts")]
    TooManyParts,
}

impl BooleanError {
    /// Whether the text is a boolean expression that is only too much of one. It is not tried as a full expression then,
    /// which would be another thing.
    pub(crate) const fn is_too_large(&self) -> bool {
        matches!(self, Self::TooLong | Self::TooDeep | Self::TooManyParts)
    }
}

/// Something in a boolean expression that is probably not what its author meant.
///
/// `spec: trust 11.2 (13)`
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Caution {
    /// An operator touches the name behind it.
    #[error(
        "`{written}` is read as `{word} {name}`; write that, or `(= subject.{written} \"true\")` for an attribute of that name"
    )]
    MissingBoundary {
        /// What is written.
        written: String,
        /// The operator it begins with.
        word: &'static str,
        /// What is left.
        name: String,
    },
    /// A name that means something else in a full expression.
    #[error("`{0}` is read as the attribute `{0}` of the peer: `(= subject.{0} \"true\")`")]
    Reserved(String),
    /// `subject.` is put in front of names anyway.
    #[error(
        "`{0}` is read as `subject.{0}`; leave `subject.` out, or write the full form `(= {0} \"true\")`"
    )]
    SubjectPrefix(String),
}

/// Reads a boolean expression as the published program does, and says what may be misread.
pub(crate) fn read(text: &str) -> Result<(BooleanExpr, Vec<Caution>), BooleanError> {
    let mut reader = Reader {
        rest: text,
        parts: 0,
        cautions: Vec::new(),
    };
    let whole = reader.or(0)?;
    if !reader.rest.is_empty() {
        let head = text.len() - reader.rest.len();
        return Err(BooleanError::Tail {
            head: text.get(..head).unwrap_or_default().into(),
            tail: reader.rest.into(),
        });
    }
    if text.len() > MAX_BOOLEAN_LEN {
        return Err(BooleanError::TooLong);
    }
    Ok((whole.expr, reader.cautions))
}

/// An expression and how deep it is.
struct Measured {
    expr: BooleanExpr,
    depth: usize,
}

struct Reader<'a> {
    rest: &'a str,
    parts: usize,
    cautions: Vec<Caution>,
}

impl<'a> Reader<'a> {
    fn or(&mut self, nesting: usize) -> Result<Measured, BooleanError> {
        let mut left = self.and(nesting)?;
        while let Some(right) = self.infix("or", |reader| reader.and(nesting))? {
            left = self.joined(left, right, BooleanExpr::Or)?;
        }
        Ok(left)
    }

    fn and(&mut self, nesting: usize) -> Result<Measured, BooleanError> {
        let mut left = self.not(nesting)?;
        while let Some(right) = self.infix("and", |reader| reader.not(nesting))? {
            left = self.joined(left, right, BooleanExpr::And)?;
        }
        Ok(left)
    }

    fn not(&mut self, nesting: usize) -> Result<Measured, BooleanError> {
        if nesting > MAX_BOOLEAN_DEPTH {
            return Err(BooleanError::TooDeep);
        }
        if let Some(inner) = self.behind("not", |reader| reader.not(nesting + 1))? {
            self.count()?;
            return nested(BooleanExpr::Not(Box::new(inner.expr)), inner.depth);
        }
        if self.eat("()") {
            self.count()?;
            return nested(BooleanExpr::Empty, 0);
        }
        let start = self.rest;
        if self.eat("(") {
            let inner = self.or(nesting + 1)?;
            if self.eat(")") {
                return Ok(inner);
            }
            self.rest = start;
            return Err(BooleanError::Name);
        }
        self.item()
    }

    /// What follows an operator that stands between two operands.
    fn infix(
        &mut self,
        word: &'static str,
        operand: impl FnOnce(&mut Self) -> Result<Measured, BooleanError>,
    ) -> Result<Option<Measured>, BooleanError> {
        let start = self.rest;
        self.skip_blank();
        let right = self.behind(word, operand)?;
        if right.is_none() {
            self.rest = start;
        }
        Ok(right)
    }

    /// What follows an operator. If nothing that could follow it does, the operator is taken for something else.
    fn behind(
        &mut self,
        word: &'static str,
        operand: impl FnOnce(&mut Self) -> Result<Measured, BooleanError>,
    ) -> Result<Option<Measured>, BooleanError> {
        let (start, cautions) = (self.rest, self.cautions.len());
        if !self.eat(word) {
            return Ok(None);
        }
        let touching = self.rest.starts_with(is_name_char);
        if touching {
            let name = taken(self.rest, is_name_char);
            self.cautions.push(Caution::MissingBoundary {
                written: taken(start, is_name_char).into(),
                word,
                name: name.into(),
            });
        }
        self.skip_blank();
        match operand(self) {
            Ok(operand) => Ok(Some(operand)),
            Err(BooleanError::Name) => {
                self.rest = start;
                self.cautions.truncate(cautions);
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    fn item(&mut self) -> Result<Measured, BooleanError> {
        if !self.rest.starts_with(is_name_start) {
            return Err(BooleanError::Name);
        }
        self.count()?;
        let name = taken(self.rest, is_name_char);
        self.skip(name.len());
        let leaf = if self.eat("=") {
            let value = self.value()?;
            BooleanExpr::NameValue(AttributeName(name.into()), AttributeValue(value.into()))
        } else if let Some(identifier) = identifier(name) {
            BooleanExpr::Identifier(identifier)
        } else {
            if RESERVED.contains(&name) {
                self.cautions.push(Caution::Reserved(name.into()));
            }
            BooleanExpr::Name(AttributeName(name.into()))
        };
        if name.starts_with("subject.") {
            self.cautions.push(Caution::SubjectPrefix(name.into()));
        }
        nested(leaf, 0)
    }

    fn value(&mut self) -> Result<&'a str, BooleanError> {
        let value = match self.rest.strip_prefix('"') {
            Some(quoted) => {
                let (value, _) = quoted.split_once('"').ok_or(BooleanError::Value)?;
                self.skip(value.len() + 2);
                value
            }
            None => {
                let value = taken(self.rest, is_name_char);
                self.skip(value.len());
                value
            }
        };
        if value.is_empty() {
            Err(BooleanError::Value)
        } else {
            Ok(value)
        }
    }

    fn joined(
        &mut self,
        left: Measured,
        right: Measured,
        join: impl FnOnce(Box<BooleanExpr>, Box<BooleanExpr>) -> BooleanExpr,
    ) -> Result<Measured, BooleanError> {
        self.count()?;
        let deeper = left.depth.max(right.depth);
        nested(join(Box::new(left.expr), Box::new(right.expr)), deeper)
    }

    const fn count(&mut self) -> Result<(), BooleanError> {
        self.parts += 1;
        if self.parts > MAX_BOOLEAN_PARTS {
            return Err(BooleanError::TooManyParts);
        }
        Ok(())
    }

    fn skip_blank(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\n', '\r']);
    }

    fn eat(&mut self, word: &str) -> bool {
        match self.rest.strip_prefix(word) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn skip(&mut self, bytes: usize) {
        self.rest = self.rest.get(bytes..).unwrap_or_default();
    }
}

fn nested(expr: BooleanExpr, inner: usize) -> Result<Measured, BooleanError> {
    let depth = inner + 1;
    if depth > MAX_BOOLEAN_DEPTH {
        return Err(BooleanError::TooDeep);
    }
    Ok(Measured { expr, depth })
}

/// The longest beginning that has only such characters.
fn taken(text: &str, is: fn(char) -> bool) -> &str {
    let end = text.find(|c| !is(c)).unwrap_or(text.len());
    text.get(..end).unwrap_or_default()
}

const fn is_name_start(c: char) -> bool {
    c.is_ascii_alphabetic() || matches!(c, '_' | '-')
}

const fn is_name_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-')
}

/// Names that are words of the full form.
const RESERVED: [&str; 6] = ["true", "false", "and", "or", "not", "if"];
