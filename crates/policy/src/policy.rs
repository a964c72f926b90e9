//! A policy: either form, with one meaning.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;
use core::str::FromStr;

use crate::boolean::{self, BooleanError, BooleanExpr, Caution};
use crate::cbor::{self, DecodeError};
use crate::environment::Environment;
use crate::evaluate::{self, EvalError, Value};
use crate::explain::Explanation;
use crate::expr::Expr;
use crate::read::{self, SyntaxError};

/// The longest text, and the most bytes of CBOR.
pub const MAX_LEN: usize = 64 * 1024;
/// How deep brackets are nested.
pub const MAX_DEPTH: usize = 160;
/// How many values, names and lists a full expression has.
pub const MAX_PARTS: usize = 8192;
/// The longest text of the boolean form, so that the full form of the same is not too long.
pub const MAX_BOOLEAN_LEN: usize = 16 * 1024;
/// How deep operators of the boolean form are nested; each `or` of a row is one deeper.
pub(crate) const MAX_BOOLEAN_DEPTH: usize = 150;
/// How many operators, names and identifiers the boolean form has.
pub const MAX_BOOLEAN_PARTS: usize = 1024;

/// Who may do something with a resource.
///
/// [`FromStr`] reads a text as the published program does: as a boolean expression if it is one, otherwise as a full
/// one. What a person writes is better read with [`Policy::careful`].
///
/// `spec: trust 6.1`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    form: Form,
    expr: Expr,
}

/// How a policy is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Form {
    /// For people.
    Boolean(BooleanExpr),
    /// An S-expression.
    Full,
}

/// What was read with care.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Careful {
    /// The policy.
    pub policy: Policy,
    /// What in it may not be what its author meant.
    pub cautions: Vec<Caution>,
}

impl Policy {
    /// Everybody with a credential of this node's authority: what protects a resource that has no policy of its own.
    ///
    /// `spec: trust 6.7`
    pub fn members() -> Self {
        let name = crate::Ident::new_unchecked("subject.has_credential");
        Self {
            form: Form::Full,
            expr: Expr::operation("=", [Expr::Ident(name), Expr::Bool(true)]),
        }
    }

    /// Reads what a person wrote: an operator that touches a name is refused, because `notary` is not what it looks
    /// like, and names that are probably not meant as names come back as cautions.
    ///
    /// What is accepted means the same as for [`FromStr`]. `spec: trust 11.2 (13)`
    ///
    /// # Errors
    /// [`ParseError`] if the text is in neither form, or could be misread.
    pub fn careful(text: &str) -> Result<Careful, ParseError> {
        let (policy, cautions) = Self::read(text)?;
        match cautions
            .iter()
            .find(|caution| matches!(caution, Caution::MissingBoundary { .. }))
        {
            Some(caution) => Err(ParseError::Ambiguous(caution.clone())),
            None => Ok(Careful { policy, cautions }),
        }
    }

    /// Reads the CBOR of a policy.
    ///
    /// # Errors
    /// [`DecodeError`] if it is malformed, something follows it, or it is a policy that no text could say.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        cbor::decode_policy(bytes)
    }

    /// The CBOR of the policy.
    pub fn encode(&self) -> Vec<u8> {
        cbor::encode_policy(self)
    }

    /// How the policy is written.
    pub const fn form(&self) -> &Form {
        &self.form
    }

    /// The policy as a full expression, which is what is evaluated.
    pub const fn expr(&self) -> &Expr {
        &self.expr
    }

    /// What the policy comes to for somebody.
    ///
    /// # Errors
    /// [`EvalError`] if it has no value, which denies like `false` does.
    pub fn evaluate(&self, environment: &Environment) -> Result<Value, EvalError> {
        evaluate::evaluate(&self.expr, environment, &mut ())
    }

    /// Whether the policy lets somebody in: only `true` does.
    ///
    /// `spec: trust 6.4`
    pub fn decide(&self, environment: &Environment) -> Decision {
        Decision {
            outcome: self.evaluate(environment),
        }
    }

    /// The same, with what every part came to.
    pub fn explain(&self, environment: &Environment) -> Explanation<'_> {
        Explanation::new(&self.expr, environment)
    }

    /// Takes a bounded expression, if its text says what it is.
    fn full(expr: Expr) -> Result<Self, InvalidPolicy> {
        let text = expr.to_string();
        if text.len() > MAX_LEN {
            return Err(InvalidPolicy::TooLarge);
        }
        // `( and )` is an operation, but printed as `(and)` it would be a name.
        let is_full = matches!(boolean::read(&text), Err(error) if !error.is_too_large());
        if is_full {
            let form = Form::Full;
            Ok(Self { form, expr })
        } else {
            Err(InvalidPolicy::ReadsAsBoolean(text))
        }
    }

    fn read(text: &str) -> Result<(Self, Vec<Caution>), ParseError> {
        if text.len() > MAX_LEN {
            return Err(ParseError::TooLong);
        }
        let not_boolean = match boolean::read(text) {
            Ok((form, cautions)) => {
                let expr = form.to_expr();
                let form = Form::Boolean(form);
                return Ok((Self { form, expr }, cautions));
            }
            Err(error) if error.is_too_large() => return Err(ParseError::TooLarge(error)),
            Err(error) => error,
        };
        match read::read(text) {
            Ok(expr) => Ok((Self::full(expr)?, Vec::new())),
            Err(not_full) => Err(ParseError::Neither {
                not_boolean,
                not_full,
            }),
        }
    }
}

impl FromStr for Policy {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        Self::read(text).map(|(policy, _)| policy)
    }
}

impl TryFrom<BooleanExpr> for Policy {
    type Error = InvalidPolicy;

    fn try_from(form: BooleanExpr) -> Result<Self, InvalidPolicy> {
        form.check()?;
        let expr = form.to_expr();
        let form = Form::Boolean(form);
        Ok(Self { form, expr })
    }
}

impl TryFrom<Expr> for Policy {
    type Error = InvalidPolicy;

    fn try_from(expr: Expr) -> Result<Self, InvalidPolicy> {
        check(&expr, 0, &mut 0)?;
        read::starts_with_operation(&expr)?;
        Self::full(expr)
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.form {
            Form::Boolean(expr) => expr.fmt(f),
            Form::Full => self.expr.fmt(f),
        }
    }
}

/// Refuses what the reader of texts would not have given.
fn check(expr: &Expr, depth: usize, parts: &mut usize) -> Result<(), InvalidPolicy> {
    if depth > MAX_DEPTH {
        return Err(InvalidPolicy::TooDeep);
    }
    *parts += 1;
    if *parts > MAX_PARTS {
        return Err(InvalidPolicy::TooLarge);
    }
    match expr {
        Expr::List(items) | Expr::Seq(items) => {
            if matches!(expr, Expr::Seq(_)) {
                read::same_kinds(items)?;
            }
            items
                .iter()
                .try_for_each(|item| check(item, depth + 1, parts))
        }
        _ => Ok(()),
    }
}

/// What a policy says of somebody.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    outcome: Result<Value, EvalError>,
}

impl Decision {
    /// Whether somebody is let in.
    pub fn is_allowed(&self) -> bool {
        self.outcome == Ok(Value::Bool(true))
    }

    /// What the policy came to.
    pub const fn outcome(&self) -> &Result<Value, EvalError> {
        &self.outcome
    }
}

/// Why a text is no policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseError {
    /// It is in neither form.
    #[error(
        "Cannot parse the expression as either a simple boolean expression or a full policy expression:\n - {not_boolean}\n - {not_full}"
    )]
    Neither {
        /// Why it is not in the boolean form.
        not_boolean: BooleanError,
        /// Why it is not in the full form.
        not_full: SyntaxError,
    },
    /// It is longer than [`MAX_LEN`].
    #[error("a policy has at most {MAX_LEN} bytes")]
    TooLong,
    /// It is a boolean expression that is too large.
    #[error(transparent)]
    TooLarge(BooleanError),
    /// It is a full expression that cannot be told from a boolean one, or becomes too long when it is printed.
    #[error(transparent)]
    Invalid(#[from] InvalidPolicy),
    /// It means something else than it seems to.
    #[error("{0}")]
    Ambiguous(Caution),
}

/// Why an expression that was not read from a text is no policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidPolicy {
    /// An attribute has a name that the boolean form would read as something else.
    #[error("the boolean form has no such name of an attribute")]
    AttributeName,
    /// An attribute has a value that the boolean form cannot write.
    #[error("the boolean form has no such value of an attribute")]
    AttributeValue,
    /// An identifier is not `I` and 64 hex digits.
    #[error("not an identifier")]
    Identifier,
    /// Parts are nested too deeply.
    #[error("the expression is nested too deeply")]
    TooDeep,
    /// There are too many parts, or they are too long.
    #[error("the expression is too large")]
    TooLarge,
    /// What is said in the full form would be read in the boolean one.
    #[error("`{0}` is read as a boolean expression")]
    ReadsAsBoolean(String),
    /// The expression is not one that can be read.
    #[error(transparent)]
    Syntax(#[from] SyntaxError),
}
