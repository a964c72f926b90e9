//! Evaluation.
//!
//! One walk serves both questions, what the value is and why: whoever wants to know why watches it.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::cmp::Ordering;
use core::fmt::{self, Write};

use crate::environment::Environment;
use crate::expr::{self, Expr};

/// The operations there are.
pub(crate) const OPERATORS: [&str; 10] = [
    "and", "or", "not", "if", "<", ">", "=", "!=", "member?", "exists?",
];

/// What an expression is worth.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// A text.
    Str(String),
    /// A whole number.
    Int(i64),
    /// A number with a fraction.
    Float(f64),
    /// True or false.
    Bool(bool),
    /// Several values.
    Seq(Vec<Self>),
    /// What `()` is worth, which nothing can be done with.
    Nothing,
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Str(text) => expr::write_text(f, text),
            Self::Int(number) => write!(f, "{number}"),
            Self::Float(number) => expr::write_float(f, *number),
            Self::Bool(value) => write!(f, "{value}"),
            Self::Seq(items) => {
                f.write_char('[')?;
                for (index, item) in items.iter().enumerate() {
                    if index > 0 {
                        f.write_char(' ')?;
                    }
                    write!(f, "{item}")?;
                }
                f.write_char(']')
            }
            Self::Nothing => f.write_str("()"),
        }
    }
}

/// Why an expression has no value. Whatever it is, it denies.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum EvalError {
    /// A name is bound to nothing: the peer has no such attribute.
    #[error("unbound identifier: {0}")]
    Unbound(String),
    /// Two values cannot be compared.
    #[error("{0} and {1} are not of the same type")]
    DifferentTypes(Value, Value),
    /// Values of this kind cannot be compared.
    #[error("{0} cannot be compared")]
    NotComparable(Value),
    /// A value should be true or false.
    #[error("`{operator}` needs true or false, not {value}")]
    NotABoolean {
        /// The operation.
        operator: &'static str,
        /// The value.
        value: Value,
    },
    /// The second argument of `member?` is no sequence.
    #[error("`member?` looks into a sequence, not into {0}")]
    NotASequence(Value),
    /// `exists?` is asked about something else than a name.
    #[error("`exists?` is asked about names, not about {0}")]
    NotAName(String),
    /// An operation has too many or too few arguments.
    #[error("`{operator}` takes {expected}, not {found}")]
    Arity {
        /// The operation.
        operator: &'static str,
        /// What it takes.
        expected: &'static str,
        /// How many there are.
        found: usize,
    },
    /// A list begins with a name that is no operation.
    #[error("`{0}` is not an operation")]
    UnknownOperation(String),
    /// A list begins with something else than a name.
    #[error("invalid type of expression {0}: expected (op ...)")]
    NoOperation(String),
}

/// Sees every part of an expression before and after it is evaluated.
pub(crate) trait Watch<'e> {
    /// The part at `position` among its siblings is next.
    fn begin(&mut self, position: usize, expr: &'e Expr);
    /// The part that began last has this outcome.
    fn end(&mut self, outcome: &Result<Value, EvalError>);
    /// A name was looked up.
    fn looked_up(&mut self, name: &'e str, value: Option<&Value>);
}

/// Nobody wants to know why.
impl Watch<'_> for () {
    fn begin(&mut self, _: usize, _: &Expr) {}
    fn end(&mut self, _: &Result<Value, EvalError>) {}
    fn looked_up(&mut self, _: &str, _: Option<&Value>) {}
}

/// Evaluates an expression.
pub(crate) fn evaluate<'e>(
    expr: &'e Expr,
    environment: &Environment,
    watch: &mut impl Watch<'e>,
) -> Result<Value, EvalError> {
    let mut evaluation = Evaluation { environment, watch };
    evaluation.part(0, expr)
}

struct Evaluation<'a, W> {
    environment: &'a Environment,
    watch: &'a mut W,
}

impl<'e, W: Watch<'e>> Evaluation<'_, W> {
    fn part(&mut self, position: usize, expr: &'e Expr) -> Result<Value, EvalError> {
        self.watch.begin(position, expr);
        let outcome = self.value(expr);
        self.watch.end(&outcome);
        outcome
    }

    fn value(&mut self, expr: &'e Expr) -> Result<Value, EvalError> {
        match expr {
            Expr::Str(text) => Ok(Value::Str(text.clone())),
            Expr::Int(number) => Ok(Value::Int(*number)),
            Expr::Float(number) => Ok(Value::Float(*number)),
            Expr::Bool(value) => Ok(Value::Bool(*value)),
            Expr::Ident(name) => {
                let value = self.environment.lookup(name.as_str());
                self.watch.looked_up(name.as_str(), value.as_ref());
                value.ok_or_else(|| EvalError::Unbound(name.as_str().into()))
            }
            Expr::Seq(items) => self.all(items).map(Value::Seq),
            Expr::List(items) => match items.split_first() {
                None => Ok(Value::Nothing),
                Some((head, arguments)) => self.operation(head, arguments),
            },
        }
    }

    // spec: trust 6.4
    fn operation(&mut self, head: &Expr, arguments: &'e [Expr]) -> Result<Value, EvalError> {
        let name = head
            .as_ident()
            .ok_or_else(|| EvalError::NoOperation(head.to_string()))?;
        let operator = OPERATORS
            .into_iter()
            .find(|operator| *operator == name)
            .ok_or_else(|| EvalError::UnknownOperation(name.into()))?;
        let truth = match operator {
            "and" => return self.until(operator, arguments, false),
            "or" => return self.until(operator, arguments, true),
            "if" => return self.choice(arguments),
            "not" => {
                let [argument] = arguments else {
                    return Err(arity(operator, "one argument", arguments));
                };
                let value = self.part(0, argument)?;
                !boolean(operator, value)?
            }
            "=" => {
                at_least_two(operator, arguments)?;
                all_equal(&self.all(arguments)?)?
            }
            // Without the check of how many there are: of none or one, nothing differs.
            "!=" => !all_equal(&self.all(arguments)?)?,
            "<" => {
                at_least_two(operator, arguments)?;
                in_order(&self.all(arguments)?, Ordering::Less)?
            }
            ">" => {
                at_least_two(operator, arguments)?;
                in_order(&self.all(arguments)?, Ordering::Greater)?
            }
            "member?" => {
                let [value, sequence] = arguments else {
                    return Err(arity(operator, "a value and a sequence", arguments));
                };
                let value = self.part(0, value)?;
                is_member(&value, self.part(1, sequence)?)?
            }
            _ => self.exist(arguments)?,
        };
        Ok(Value::Bool(truth))
    }

    /// `and`, `or`: one argument after the other, up to the first that settles it. The last one's value is the result,
    /// whatever it is.
    fn until(
        &mut self,
        operator: &'static str,
        arguments: &'e [Expr],
        settles: bool,
    ) -> Result<Value, EvalError> {
        let Some((last, earlier)) = arguments.split_last() else {
            return Ok(Value::Bool(!settles));
        };
        for (position, argument) in earlier.iter().enumerate() {
            let value = self.part(position, argument)?;
            if boolean(operator, value)? == settles {
                return Ok(Value::Bool(settles));
            }
        }
        self.part(earlier.len(), last)
    }

    fn choice(&mut self, arguments: &'e [Expr]) -> Result<Value, EvalError> {
        let [test, then, otherwise] = arguments else {
            return Err(arity("if", "a test and two values", arguments));
        };
        let test = self.part(0, test)?;
        if boolean("if", test)? {
            self.part(1, then)
        } else {
            self.part(2, otherwise)
        }
    }

    /// `exists?`: names only, and whether all of them are bound.
    fn exist(&mut self, arguments: &'e [Expr]) -> Result<bool, EvalError> {
        let mut all = true;
        for argument in arguments {
            let name = argument
                .as_ident()
                .ok_or_else(|| EvalError::NotAName(argument.to_string()))?;
            let value = self.environment.lookup(name);
            self.watch.looked_up(name, value.as_ref());
            all &= value.is_some();
        }
        Ok(all)
    }

    fn all(&mut self, items: &'e [Expr]) -> Result<Vec<Value>, EvalError> {
        items
            .iter()
            .enumerate()
            .map(|(position, item)| self.part(position, item))
            .collect()
    }
}

fn arity(operator: &'static str, expected: &'static str, arguments: &[Expr]) -> EvalError {
    EvalError::Arity {
        operator,
        expected,
        found: arguments.len(),
    }
}

fn at_least_two(operator: &'static str, arguments: &[Expr]) -> Result<(), EvalError> {
    if arguments.len() < 2 {
        return Err(arity(operator, "at least two arguments", arguments));
    }
    Ok(())
}

fn boolean(operator: &'static str, value: Value) -> Result<bool, EvalError> {
    match value {
        Value::Bool(truth) => Ok(truth),
        value => Err(EvalError::NotABoolean { operator, value }),
    }
}

/// Whether all neighbours are equal. Every pair is looked at, so that values of different types are an error wherever
/// they stand.
fn all_equal(values: &[Value]) -> Result<bool, EvalError> {
    pairs(values).try_fold(true, |all, (a, b)| Ok(equal(a, b)? && all))
}

fn in_order(values: &[Value], order: Ordering) -> Result<bool, EvalError> {
    pairs(values).try_fold(true, |all, (a, b)| Ok(compare(a, b)? == Some(order) && all))
}

fn pairs(values: &[Value]) -> impl Iterator<Item = (&Value, &Value)> {
    values.iter().zip(values.iter().skip(1))
}

fn is_member(value: &Value, sequence: Value) -> Result<bool, EvalError> {
    let Value::Seq(items) = sequence else {
        return Err(EvalError::NotASequence(sequence));
    };
    for item in &items {
        if equal(value, item)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn equal(a: &Value, b: &Value) -> Result<bool, EvalError> {
    match (a, b) {
        // Sequences of different length are different, whatever is in them.
        (Value::Seq(a), Value::Seq(b)) if a.len() != b.len() => Ok(false),
        _ => Ok(compare(a, b)? == Some(Ordering::Equal)),
    }
}

/// The order of two values of one type; none for what is not a number.
fn compare(a: &Value, b: &Value) -> Result<Option<Ordering>, EvalError> {
    match (a, b) {
        (Value::Str(a), Value::Str(b)) => Ok(Some(a.cmp(b))),
        (Value::Int(a), Value::Int(b)) => Ok(Some(a.cmp(b))),
        (Value::Float(a), Value::Float(b)) => Ok(a.partial_cmp(b)),
        (Value::Bool(a), Value::Bool(b)) => Ok(Some(a.cmp(b))),
        (Value::Seq(a), Value::Seq(b)) => {
            let by_length = a.len().cmp(&b.len());
            if by_length.is_ne() {
                return Ok(Some(by_length));
            }
            for (a, b) in a.iter().zip(b) {
                let order = compare(a, b)?;
                if order != Some(Ordering::Equal) {
                    return Ok(order);
                }
            }
            Ok(Some(Ordering::Equal))
        }
        (Value::Nothing, Value::Nothing) => Err(EvalError::NotComparable(Value::Nothing)),
        _ => Err(EvalError::DifferentTypes(a.clone(), b.clone())),
    }
}
