//! Reading the full form.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::evaluate::OPERATORS;
use crate::expr::Expr;
use crate::policy::{MAX_DEPTH, MAX_PARTS};
use crate::token::{Token, Tokens};

/// Why a text is no full expression.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SyntaxError {
    /// What is written is no token: neither a number nor a name.
    #[error("invalid reserved token '{0}'")]
    ReservedToken(String),
    /// The text ends inside a block comment.
    #[error("a comment is not closed with `;)`")]
    OpenComment,
    /// The text ends inside a quoted text.
    #[error("a text is not closed with `\"`")]
    OpenText,
    /// A quoted text has a control character that is not escaped.
    #[error("a text holds a control character; write it with a backslash, such as `\\n`")]
    ControlCharacter,
    /// A backslash is followed by something else than what can be escaped.
    #[error(
        "a backslash stands before `n`, `r`, `t`, a quote, a backslash, two hex digits or `u{{...}}`"
    )]
    Escape,
    /// The bytes written in a quoted text are no text.
    #[error("a text is not UTF-8")]
    NotUtf8,
    /// A number is malformed or too large.
    #[error("`{0}` is not a number that can be used here")]
    Number(String),
    /// A bracket closes what is not open.
    #[error("`{0}` closes nothing")]
    NothingToClose(char),
    /// The text ends before a bracket is closed.
    #[error("a `{0}` is missing at the end")]
    NotClosed(char),
    /// A sequence has values of several types.
    #[error("a sequence has values of one type, not a {0} beside a {1}")]
    MixedSequence(&'static str, &'static str),
    /// There is nothing.
    #[error("the expression is empty")]
    Empty,
    /// What is to be done is not known.
    #[error(
        "The first identifier of the expression: `{0}` must be an operation. The available operations are: \
         and, or, not, if, <, >, =, !=, member?, exists?"
    )]
    NotAnOperation(String),
    /// Brackets are nested deeper than [`MAX_DEPTH`].
    #[error("brackets are nested more than {MAX_DEPTH} deep")]
    TooDeep,
    /// There are more than [`MAX_PARTS`] parts.
    #[error("the expression has more than {MAX_PARTS} parts")]
    TooManyParts,
}

/// Reads a full expression.
///
/// `spec: trust 6.3`
pub(crate) fn read(text: &str) -> Result<Expr, SyntaxError> {
    let mut reader = Reader {
        tokens: Tokens::new(text),
        parts: 0,
    };
    let mut items = reader.items(None, 0)?;
    let expr = match items.len() {
        0 => return Err(SyntaxError::Empty),
        1 => items.swap_remove(0),
        _ => Expr::List(items),
    };
    starts_with_operation(&expr)?;
    Ok(expr)
}

/// The first word, inside however many lists, has to be an operation.
pub(crate) fn starts_with_operation(expr: &Expr) -> Result<(), SyntaxError> {
    let mut first = expr;
    while let Expr::List(items) = first {
        first = items.first().ok_or(SyntaxError::Empty)?;
    }
    match first.as_ident() {
        Some(name) if OPERATORS.contains(&name) => Ok(()),
        _ => Err(SyntaxError::NotAnOperation(first.to_string())),
    }
}

/// Neighbours in a sequence are of one type.
pub(crate) fn same_kinds(items: &[Expr]) -> Result<(), SyntaxError> {
    match items.windows(2).find_map(|pair| match pair {
        [a, b] if a.kind() != b.kind() => Some((a, b)),
        _ => None,
    }) {
        Some((a, b)) => Err(SyntaxError::MixedSequence(a.kind(), b.kind())),
        None => Ok(()),
    }
}

struct Reader<'a> {
    tokens: Tokens<'a>,
    parts: usize,
}

impl Reader<'_> {
    /// What stands inside a bracket of this kind, or in the whole text.
    fn items(&mut self, bracket: Option<Bracket>, depth: usize) -> Result<Vec<Expr>, SyntaxError> {
        if depth > MAX_DEPTH {
            return Err(SyntaxError::TooDeep);
        }
        let mut items = Vec::new();
        loop {
            let Some(token) = self.tokens.next()? else {
                return match bracket {
                    None => Ok(items),
                    Some(bracket) => Err(SyntaxError::NotClosed(bracket.closing())),
                };
            };
            let item = match token {
                Token::Value(expr) => expr,
                Token::OpenList => Expr::List(self.items(Some(Bracket::List), depth + 1)?),
                Token::OpenSeq => {
                    let items = self.items(Some(Bracket::Seq), depth + 1)?;
                    same_kinds(&items)?;
                    Expr::Seq(items)
                }
                Token::CloseList if bracket == Some(Bracket::List) => return Ok(items),
                Token::CloseSeq if bracket == Some(Bracket::Seq) => return Ok(items),
                Token::CloseList => return Err(SyntaxError::NothingToClose(')')),
                Token::CloseSeq => return Err(SyntaxError::NothingToClose(']')),
            };
            self.parts += 1;
            if self.parts > MAX_PARTS {
                return Err(SyntaxError::TooManyParts);
            }
            items.push(item);
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Bracket {
    List,
    Seq,
}

impl Bracket {
    const fn closing(self) -> char {
        match self {
            Self::List => ')',
            Self::Seq => ']',
        }
    }
}
