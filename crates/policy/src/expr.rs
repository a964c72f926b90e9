//! The full form: S-expressions.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::{self, Write};
use core::str::FromStr;

/// One S-expression.
///
/// `spec: trust 6.1`
#[derive(Debug, Clone)]
pub enum Expr {
    /// A text.
    Str(String),
    /// A whole number.
    Int(i64),
    /// A number with a fraction. It is never equal to a whole number.
    Float(f64),
    /// True or false.
    Bool(bool),
    /// A name: of an operator at the head of a list, of a value anywhere else.
    Ident(Ident),
    /// `[a b c]`: values of one type.
    Seq(Vec<Self>),
    /// `(op a b)`: an operation.
    List(Vec<Self>),
}

impl Expr {
    /// What kind of expression this is, for sequences, whose elements are of one kind.
    pub(crate) const fn kind(&self) -> &'static str {
        match self {
            Self::Str(_) => "text",
            Self::Int(_) => "whole number",
            Self::Float(_) => "number with a fraction",
            Self::Bool(_) => "boolean",
            Self::Ident(_) => "name",
            Self::Seq(_) => "sequence",
            Self::List(_) => "list",
        }
    }

    /// The name, if this is one.
    pub fn as_ident(&self) -> Option<&str> {
        match self {
            Self::Ident(name) => Some(name.as_str()),
            _ => None,
        }
    }

    /// A list that applies an operator.
    pub(crate) fn operation(
        operator: &'static str,
        arguments: impl IntoIterator<Item = Self>,
    ) -> Self {
        Self::List(
            core::iter::once(Self::Ident(Ident(operator.into())))
                .chain(arguments)
                .collect(),
        )
    }

    /// `(= subject.<name> "<value>")`
    pub(crate) fn attribute_is(name: &str, value: &str) -> Self {
        let name = Ident(alloc::format!("subject.{name}"));
        Self::operation("=", [Self::Ident(name), Self::Str(value.into())])
    }
}

/// Two expressions are equal if they are written the same; unlike for [`Policy::evaluate`](crate::Policy::evaluate), a
/// `nan` is a `nan`.
impl PartialEq for Expr {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Str(a), Self::Str(b)) => a == b,
            (Self::Int(a), Self::Int(b)) => a == b,
            (Self::Float(a), Self::Float(b)) => {
                a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan())
            }
            (Self::Bool(a), Self::Bool(b)) => a == b,
            (Self::Ident(a), Self::Ident(b)) => a == b,
            (Self::Seq(a), Self::Seq(b)) | (Self::List(a), Self::List(b)) => a == b,
            _ => false,
        }
    }
}

impl Eq for Expr {}

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Str(text) => write_text(f, text),
            Self::Int(number) => write!(f, "{number}"),
            Self::Float(number) => write_float(f, *number),
            Self::Bool(value) => write!(f, "{value}"),
            Self::Ident(name) => write!(f, "{name}"),
            Self::Seq(items) => write_items(f, '[', items, ']'),
            Self::List(items) => write_items(f, '(', items, ')'),
        }
    }
}

/// A name inside an expression.
///
/// Displayed with a `$` in front where it would otherwise be read as something else: the name `true` is `$true`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ident(String);

impl Ident {
    /// The name itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Takes a name that is known to have only the characters of one.
    pub(crate) fn new_unchecked(name: &str) -> Self {
        debug_assert!(is_name(name), "{name:?}");
        Self(name.into())
    }
}

impl FromStr for Ident {
    type Err = InvalidIdent;

    fn from_str(name: &str) -> Result<Self, InvalidIdent> {
        if is_name(name) {
            Ok(Self(name.into()))
        } else {
            Err(InvalidIdent)
        }
    }
}

impl fmt::Display for Ident {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !is_bare(&self.0) {
            f.write_char('$')?;
        }
        f.write_str(&self.0)
    }
}

/// A name that no text form has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a name has letters, digits and `!$%&*/<=>?~_^.+-:@`")]
pub struct InvalidIdent;

/// Whether every character may stand in a word.
pub(crate) fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(is_word_char)
}

/// Whether a name is read as itself when nothing is put in front.
fn is_bare(name: &str) -> bool {
    name.starts_with(|first| is_word_start(first) && first != '$')
        && !matches!(name, "true" | "false" | "inf" | "nan")
}

/// What a word begins with. `spec: trust 6.3`
pub(crate) const fn is_word_start(c: char) -> bool {
    c.is_ascii_alphabetic()
        || matches!(
            c,
            '!' | '$' | '%' | '&' | '*' | '/' | '<' | '=' | '>' | '?' | '~' | '_' | '^'
        )
}

/// What a word goes on with.
pub(crate) const fn is_word_char(c: char) -> bool {
    is_word_start(c) || c.is_ascii_digit() || matches!(c, '.' | '+' | '-' | ':' | '@')
}

fn write_items(f: &mut fmt::Formatter<'_>, open: char, items: &[Expr], close: char) -> fmt::Result {
    f.write_char(open)?;
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            f.write_char(' ')?;
        }
        write!(f, "{item}")?;
    }
    f.write_char(close)
}

/// Writes a text so that whatever is in it is read back, and nothing in it ends it early.
pub(crate) fn write_text(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    f.write_char('"')?;
    for c in text.chars() {
        match c {
            '"' => f.write_str("\\\"")?,
            '\\' => f.write_str("\\\\")?,
            '\n' => f.write_str("\\n")?,
            '\r' => f.write_str("\\r")?,
            '\t' => f.write_str("\\t")?,
            c if c.is_control() => write!(f, "\\u{{{:x}}}", u32::from(c))?,
            c => f.write_char(c)?,
        }
    }
    f.write_char('"')
}

pub(crate) fn write_float(f: &mut fmt::Formatter<'_>, number: f64) -> fmt::Result {
    if number.is_nan() {
        f.write_str("nan")
    } else if number.is_infinite() {
        f.write_str(if number > 0.0 { "+inf" } else { "-inf" })
    } else {
        // The debug form always has a point or an exponent, which is what tells it from a whole number.
        write!(f, "{number:?}")
    }
}
