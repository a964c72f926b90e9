//! The CBOR of policies.
//!
//! ```text
//! Policy       E<0>(Expr) | E<1>(BooleanExpr)
//! Expr         E<1>(tstr) | E<2>(int) | E<3>(float) | E<4>(bool) | E<5>(tstr) | E<6>([Expr]) | E<7>([Expr])
//! BooleanExpr  E<0>(tstr) | E<1>(tstr, tstr) | E<2>(tstr) | E<3>(b, b) | E<4>(b, b) | E<5>(b) | E<6>()
//! E<i>(..)     [ i, [ .. ] ]
//! ```
//!
//! `spec: trust 6.1`

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::convert::Infallible;

use minicbor::data::Type;
use minicbor::{Decoder, Encoder};

use crate::boolean::BooleanExpr;
use crate::expr::Expr;
use crate::policy::{Form, InvalidPolicy, MAX_DEPTH, MAX_LEN, MAX_PARTS, Policy};

/// Why bytes are no policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The bytes are not the CBOR of a policy, or end too early.
    #[error("malformed policy")]
    Malformed,
    /// Bytes follow the policy.
    #[error("bytes follow the policy")]
    TrailingBytes,
    /// There are more bytes than [`MAX_LEN`].
    #[error("the policy has more than {MAX_LEN} bytes")]
    TooLong,
    /// It is a policy that no text could say.
    #[error("unusable policy: {0}")]
    Invalid(#[from] InvalidPolicy),
}

pub(crate) fn decode_policy(bytes: &[u8]) -> Result<Policy, DecodeError> {
    if bytes.len() > MAX_LEN {
        return Err(DecodeError::TooLong);
    }
    let mut reader = Reader {
        decoder: Decoder::new(bytes),
        parts: 0,
    };
    let policy = reader.variant(|reader, index, fields| match index {
        0 => {
            let expr = fields.required(reader, |reader| reader.expr(0))?;
            Ok(Policy::try_from(expr)?)
        }
        1 => {
            let expr = fields.required(reader, |reader| reader.boolean(0))?;
            Ok(Policy::try_from(expr)?)
        }
        _ => Err(DecodeError::Malformed),
    })?;
    if reader.decoder.position() < bytes.len() {
        return Err(DecodeError::TrailingBytes);
    }
    Ok(policy)
}

pub(crate) fn encode_policy(policy: &Policy) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = Encoder::new(&mut bytes);
    // Memory takes whatever is written to it.
    let written: Result<(), WriteError> = match policy.form() {
        Form::Full => {
            variant(&mut encoder, 0, 1).and_then(|()| write_expr(&mut encoder, policy.expr()))
        }
        Form::Boolean(expr) => {
            variant(&mut encoder, 1, 1).and_then(|()| write_boolean(&mut encoder, expr))
        }
    };
    debug_assert!(written.is_ok());
    bytes
}

type WriteError = minicbor::encode::Error<Infallible>;
type Writer<'a> = Encoder<&'a mut Vec<u8>>;

fn variant(encoder: &mut Writer<'_>, index: u8, fields: u64) -> Result<(), WriteError> {
    encoder.array(2)?.u8(index)?.array(fields)?;
    Ok(())
}

fn write_expr(encoder: &mut Writer<'_>, expr: &Expr) -> Result<(), WriteError> {
    let (index, items) = match expr {
        Expr::Seq(items) => (6, items),
        Expr::List(items) => (7, items),
        _ => return write_value(encoder, expr),
    };
    variant(encoder, index, 1)?;
    encoder.array(items.len() as u64)?;
    items.iter().try_for_each(|item| write_expr(encoder, item))
}

fn write_value(encoder: &mut Writer<'_>, expr: &Expr) -> Result<(), WriteError> {
    let index = match expr {
        Expr::Str(_) => 1,
        Expr::Int(_) => 2,
        Expr::Float(_) => 3,
        Expr::Bool(_) => 4,
        Expr::Ident(_) => 5,
        Expr::Seq(_) => 6,
        Expr::List(_) => 7,
    };
    variant(encoder, index, 1)?;
    match expr {
        Expr::Str(text) => encoder.str(text)?,
        Expr::Int(number) => encoder.i64(*number)?,
        Expr::Float(number) => encoder.f64(*number)?,
        Expr::Bool(value) => encoder.bool(*value)?,
        Expr::Ident(name) => encoder.str(name.as_str())?,
        Expr::Seq(_) | Expr::List(_) => encoder,
    };
    Ok(())
}

fn write_boolean(encoder: &mut Writer<'_>, expr: &BooleanExpr) -> Result<(), WriteError> {
    match expr {
        BooleanExpr::Name(name) => {
            variant(encoder, 0, 1)?;
            encoder.str(name.as_str())?;
        }
        BooleanExpr::NameValue(name, value) => {
            variant(encoder, 1, 2)?;
            encoder.str(name.as_str())?.str(value.as_str())?;
        }
        BooleanExpr::Identifier(identifier) => {
            variant(encoder, 2, 1)?;
            encoder.str(identifier.as_str())?;
        }
        BooleanExpr::Or(left, right) => {
            variant(encoder, 3, 2)?;
            write_boolean(encoder, left)?;
            write_boolean(encoder, right)?;
        }
        BooleanExpr::And(left, right) => {
            variant(encoder, 4, 2)?;
            write_boolean(encoder, left)?;
            write_boolean(encoder, right)?;
        }
        BooleanExpr::Not(inner) => {
            variant(encoder, 5, 1)?;
            write_boolean(encoder, inner)?;
        }
        BooleanExpr::Empty => variant(encoder, 6, 0)?,
    }
    Ok(())
}

struct Reader<'b> {
    decoder: Decoder<'b>,
    parts: usize,
}

impl<'b> Reader<'b> {
    fn expr(&mut self, depth: usize) -> Result<Expr, DecodeError> {
        self.enter(depth)?;
        self.variant(|reader, index, fields| {
            fields.required(reader, |reader| {
                Ok(match index {
                    1 => Expr::Str(reader.text()?),
                    2 => Expr::Int(reader.take(Decoder::i64)?),
                    3 => Expr::Float(reader.take(Decoder::f64)?),
                    4 => Expr::Bool(reader.take(Decoder::bool)?),
                    5 => Expr::Ident(reader.text()?.parse().map_err(|_| DecodeError::Malformed)?),
                    6 => Expr::Seq(reader.items(depth)?),
                    7 => Expr::List(reader.items(depth)?),
                    _ => return Err(DecodeError::Malformed),
                })
            })
        })
    }

    fn items(&mut self, depth: usize) -> Result<Vec<Expr>, DecodeError> {
        let mut elements = self.array()?;
        let mut items = Vec::new();
        while elements.next(self)? {
            items.push(self.expr(depth + 1)?);
        }
        Ok(items)
    }

    fn boolean(&mut self, depth: usize) -> Result<BooleanExpr, DecodeError> {
        self.enter(depth)?;
        self.variant(|reader, index, fields| {
            let mut inner = |reader: &mut Self| {
                fields
                    .required(reader, |reader| reader.boolean(depth + 1))
                    .map(Box::new)
            };
            Ok(match index {
                3 => BooleanExpr::Or(inner(reader)?, inner(reader)?),
                4 => BooleanExpr::And(inner(reader)?, inner(reader)?),
                5 => BooleanExpr::Not(inner(reader)?),
                6 => BooleanExpr::Empty,
                0 => BooleanExpr::Name(fields.required(reader, Self::text)?.parse()?),
                1 => BooleanExpr::NameValue(
                    fields.required(reader, Self::text)?.parse()?,
                    fields.required(reader, Self::text)?.parse()?,
                ),
                2 => BooleanExpr::Identifier(fields.required(reader, Self::text)?.parse()?),
                _ => return Err(DecodeError::Malformed),
            })
        })
    }

    /// Counts a part and refuses what is nested too deeply, before it is read.
    fn enter(&mut self, depth: usize) -> Result<(), DecodeError> {
        self.parts += 1;
        if depth > MAX_DEPTH {
            return Err(InvalidPolicy::TooDeep.into());
        }
        if self.parts > MAX_PARTS {
            return Err(InvalidPolicy::TooLarge.into());
        }
        Ok(())
    }

    /// `[ index, [ fields ] ]`; further fields are skipped.
    fn variant<T>(
        &mut self,
        read: impl FnOnce(&mut Self, u8, &mut Elements) -> Result<T, DecodeError>,
    ) -> Result<T, DecodeError> {
        let mut pair = self.array()?;
        let index = pair.required(self, |reader| reader.take(Decoder::u8))?;
        let value = pair.required(self, |reader| {
            let mut fields = reader.array()?;
            let value = read(reader, index, &mut fields)?;
            while fields.next(reader)? {
                reader.take(Decoder::skip)?;
            }
            Ok(value)
        })?;
        if pair.next(self)? {
            return Err(DecodeError::Malformed);
        }
        Ok(value)
    }

    fn array(&mut self) -> Result<Elements, DecodeError> {
        self.take(Decoder::array).map(Elements)
    }

    fn text(&mut self) -> Result<String, DecodeError> {
        self.take(Decoder::str).map(String::from)
    }

    fn take<T>(
        &mut self,
        read: impl FnOnce(&mut Decoder<'b>) -> Result<T, minicbor::decode::Error>,
    ) -> Result<T, DecodeError> {
        read(&mut self.decoder).map_err(|_| DecodeError::Malformed)
    }
}

/// How many elements of an array follow; none if it says so with a break.
struct Elements(Option<u64>);

impl Elements {
    fn required<'b, T>(
        &mut self,
        reader: &mut Reader<'b>,
        read: impl FnOnce(&mut Reader<'b>) -> Result<T, DecodeError>,
    ) -> Result<T, DecodeError> {
        if self.next(reader)? {
            read(reader)
        } else {
            Err(DecodeError::Malformed)
        }
    }

    /// Whether another element begins here; takes the break of an indefinite array.
    fn next(&mut self, reader: &mut Reader<'_>) -> Result<bool, DecodeError> {
        match &mut self.0 {
            Some(0) => Ok(false),
            Some(left) => {
                *left -= 1;
                Ok(true)
            }
            None if reader.take(|decoder| decoder.datatype())? == Type::Break => {
                let behind = reader.decoder.position() + 1;
                reader.decoder.set_position(behind);
                self.0 = Some(0);
                Ok(false)
            }
            None => Ok(true),
        }
    }
}
