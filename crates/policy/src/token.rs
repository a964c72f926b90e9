//! The words of the full form.
//!
//! Lexing follows the text format of WebAssembly. `spec: trust 6.3`

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::expr::{Expr, Ident, is_name, is_word_start};
use crate::read::SyntaxError;

/// One token. What stands for a value is that value already.
#[derive(Debug)]
pub(crate) enum Token {
    OpenList,
    CloseList,
    OpenSeq,
    CloseSeq,
    Value(Expr),
}

/// Cuts a text into tokens.
#[derive(Debug)]
pub(crate) struct Tokens<'a> {
    rest: &'a str,
}

impl<'a> Tokens<'a> {
    pub(crate) const fn new(text: &'a str) -> Self {
        Self { rest: text }
    }

    /// The next token, or nothing at the end.
    pub(crate) fn next(&mut self) -> Result<Option<Token>, SyntaxError> {
        self.skip_blank()?;
        let Some(first) = self.rest.chars().next() else {
            return Ok(None);
        };
        let token = match first {
            '(' => Token::OpenList,
            ')' => Token::CloseList,
            '[' => Token::OpenSeq,
            ']' => Token::CloseSeq,
            '"' => {
                self.take(1);
                return self.text().map(|text| Some(Token::Value(Expr::Str(text))));
            }
            c if is_token_char(c) => return self.word().map(|expr| Some(Token::Value(expr))),
            c => return Err(SyntaxError::ReservedToken(c.into())),
        };
        self.take(1);
        Ok(Some(token))
    }

    /// White space and comments.
    fn skip_blank(&mut self) -> Result<(), SyntaxError> {
        loop {
            self.rest = self.rest.trim_start_matches([' ', '\t', '\n', '\r']);
            if self.rest.starts_with(";;") {
                let end = self.rest.find('\n').unwrap_or(self.rest.len());
                self.take(end);
            } else if self.rest.starts_with("(;") {
                self.skip_block()?;
            } else {
                return Ok(());
            }
        }
    }

    /// A block comment, which may hold others.
    fn skip_block(&mut self) -> Result<(), SyntaxError> {
        let mut depth = 0_usize;
        loop {
            if self.rest.starts_with("(;") {
                depth += 1;
                self.take(2);
            } else if self.rest.starts_with(";)") {
                depth -= 1;
                self.take(2);
                if depth == 0 {
                    return Ok(());
                }
            } else {
                let next = self.rest.chars().next();
                self.take(next.ok_or(SyntaxError::OpenComment)?.len_utf8());
            }
        }
    }

    /// What follows an opening quote, up to the closing one.
    fn text(&mut self) -> Result<String, SyntaxError> {
        // Escapes give bytes, which together have to be UTF-8.
        let mut bytes = Vec::new();
        loop {
            match self.char().ok_or(SyntaxError::OpenText)? {
                '"' => return String::from_utf8(bytes).map_err(|_| SyntaxError::NotUtf8),
                '\\' => self.escape(&mut bytes)?,
                c if c.is_control() => return Err(SyntaxError::ControlCharacter),
                c => push(&mut bytes, c),
            }
        }
    }

    fn escape(&mut self, bytes: &mut Vec<u8>) -> Result<(), SyntaxError> {
        let c = self.char().ok_or(SyntaxError::OpenText)?;
        match c {
            'n' => bytes.push(b'\n'),
            'r' => bytes.push(b'\r'),
            't' => bytes.push(b'\t'),
            '"' | '\'' | '\\' => push(bytes, c),
            'u' => {
                let digits = self
                    .rest
                    .strip_prefix('{')
                    .and_then(|rest| rest.split_once('}'))
                    .map(|(digits, _)| digits)
                    .filter(|digits| digits.len() <= 8)
                    .ok_or(SyntaxError::Escape)?;
                let number = is_digits(digits, 16).then(|| whole(digits, 16)).flatten();
                let c = number
                    .and_then(|number| u32::try_from(number).ok())
                    .and_then(char::from_u32);
                push(bytes, c.ok_or(SyntaxError::Escape)?);
                self.take(digits.len() + 2);
            }
            high => {
                let low = self.char().ok_or(SyntaxError::OpenText)?;
                let digit = |c: char| c.to_digit(16).ok_or(SyntaxError::Escape);
                let byte = digit(high)? * 16 + digit(low)?;
                bytes.push(u8::try_from(byte).map_err(|_| SyntaxError::Escape)?);
            }
        }
        Ok(())
    }

    /// A number, a boolean or a name.
    fn word(&mut self) -> Result<Expr, SyntaxError> {
        let end = self
            .rest
            .find(|c| !is_token_char(c))
            .unwrap_or(self.rest.len());
        let word = self.rest.get(..end).unwrap_or_default();
        self.take(end);
        match word {
            "true" => return Ok(Expr::Bool(true)),
            "false" => return Ok(Expr::Bool(false)),
            _ => {}
        }
        match number(word) {
            Number::Is(expr) => return Ok(expr),
            Number::OutOfRange => return Err(SyntaxError::Number(word.to_string())),
            Number::Not => {}
        }
        let name = word.strip_prefix('$').unwrap_or(word);
        if is_name(name) && word.starts_with(is_word_start) {
            Ok(Expr::Ident(Ident::new_unchecked(name)))
        } else {
            Err(SyntaxError::ReservedToken(word.to_string()))
        }
    }

    fn char(&mut self) -> Option<char> {
        let c = self.rest.chars().next()?;
        self.take(c.len_utf8());
        Some(c)
    }

    fn take(&mut self, bytes: usize) {
        self.rest = self.rest.get(bytes..).unwrap_or_default();
    }
}

fn push(bytes: &mut Vec<u8>, c: char) {
    bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
}

/// What WebAssembly calls an identifier character; a token is as many of these as follow one another.
const fn is_token_char(c: char) -> bool {
    c.is_ascii_graphic() && !matches!(c, '"' | '(' | ')' | ',' | ';' | '[' | ']' | '{' | '}')
}

/// What a word is as a number.
enum Number {
    Is(Expr),
    /// It is written like a whole number, but too large.
    OutOfRange,
    Not,
}

fn number(word: &str) -> Number {
    let (negative, digits) = match word.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, word.strip_prefix('+').unwrap_or(word)),
    };
    match digits {
        "inf" if negative => return Number::Is(Expr::Float(f64::NEG_INFINITY)),
        "inf" => return Number::Is(Expr::Float(f64::INFINITY)),
        "nan" => return Number::Is(Expr::Float(f64::NAN)),
        _ => {}
    }
    let (digits, radix) = match digits.strip_prefix("0x") {
        Some(digits) => (digits, 16),
        None => (digits, 10),
    };
    if is_digits(digits, radix) {
        return match whole(digits, radix).and_then(|whole| {
            let whole = i128::from(whole);
            i64::try_from(if negative { -whole } else { whole }).ok()
        }) {
            Some(number) => Number::Is(Expr::Int(number)),
            None => Number::OutOfRange,
        };
    }
    match fraction(digits) {
        Some(number) if radix == 10 => {
            Number::Is(Expr::Float(if negative { -number } else { number }))
        }
        _ => Number::Not,
    }
}

/// The value of digits, if it is not too large.
fn whole(digits: &str, radix: u32) -> Option<u64> {
    digits
        .chars()
        .filter(|c| *c != '_')
        .try_fold(0_u64, |sum, c| {
            let digit = c.to_digit(radix)?;
            sum.checked_mul(radix.into())?.checked_add(digit.into())
        })
}

/// `digits [. digits?] [e [sign] digits]`, with a point or an exponent.
fn fraction(text: &str) -> Option<f64> {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (text, None),
    };
    let (before, behind) = match mantissa.split_once('.') {
        Some((before, behind)) => (before, Some(behind)),
        None => (mantissa, None),
    };
    let exponent = exponent.map(|digits| digits.strip_prefix(['+', '-']).unwrap_or(digits));
    let right = is_digits(before, 10)
        && behind.is_none_or(|digits| digits.is_empty() || is_digits(digits, 10))
        && exponent.is_none_or(|digits| is_digits(digits, 10));
    if !right {
        return None;
    }
    let plain: String = text.chars().filter(|c| *c != '_').collect();
    plain.parse().ok()
}

/// Whether these are digits with single `_` between some of them.
fn is_digits(text: &str, radix: u32) -> bool {
    text.split('_')
        .all(|group| !group.is_empty() && group.chars().all(|c| c.is_digit(radix)))
}
