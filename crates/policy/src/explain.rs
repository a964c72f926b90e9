//! Why a policy allows or denies.

use alloc::vec::Vec;

use crate::environment::Environment;
use crate::evaluate::{self, EvalError, Value, Watch};
use crate::expr::Expr;

/// What each part of a policy came to, which part decided, and which attributes were looked at.
#[derive(Debug, Clone, PartialEq)]
pub struct Explanation<'e> {
    whole: Part<'e>,
    attributes: Vec<UsedAttribute<'e>>,
}

impl<'e> Explanation<'e> {
    /// Evaluates an expression and remembers how.
    pub(crate) fn new(expr: &'e Expr, environment: &Environment) -> Self {
        let mut recorder = Recorder {
            open: Vec::new(),
            whole: Part::not_reached(expr),
            attributes: Vec::new(),
        };
        // The outcome is what the recorder saw last.
        let _ = evaluate::evaluate(expr, environment, &mut recorder);
        let mut whole = recorder.whole;
        whole.mark();
        Self {
            whole,
            attributes: recorder.attributes,
        }
    }

    /// Whether the policy allows.
    pub fn is_allowed(&self) -> bool {
        self.whole.outcome == Outcome::Value(Value::Bool(true))
    }

    /// The whole policy, with its parts inside.
    pub const fn whole(&self) -> &Part<'e> {
        &self.whole
    }

    /// The smallest part whose outcome is why the whole has its own.
    pub fn deciding(&self) -> &Part<'e> {
        let mut part = &self.whole;
        while let Some(inner) = part.parts.iter().find(|inner| inner.decides) {
            part = inner;
        }
        part
    }

    /// The names that were looked at, in the order in which they were, each once.
    pub fn attributes(&self) -> &[UsedAttribute<'e>] {
        &self.attributes
    }
}

/// One part of a policy.
#[derive(Debug, Clone, PartialEq)]
pub struct Part<'e> {
    expr: &'e Expr,
    outcome: Outcome,
    decides: bool,
    parts: Vec<Self>,
}

impl<'e> Part<'e> {
    /// The part as it is written.
    pub const fn expr(&self) -> &'e Expr {
        self.expr
    }

    /// What it came to.
    pub const fn outcome(&self) -> &Outcome {
        &self.outcome
    }

    /// Whether the whole has its outcome because this part has its own.
    pub const fn decides(&self) -> bool {
        self.decides
    }

    /// What it is made of: the arguments of an operation, the elements of a sequence.
    pub fn parts(&self) -> &[Self] {
        &self.parts
    }

    const fn not_reached(expr: &'e Expr) -> Self {
        Self {
            expr,
            outcome: Outcome::NotReached,
            decides: false,
            parts: Vec::new(),
        }
    }

    /// The arguments and elements that are parts of their own.
    fn inner(expr: &'e Expr) -> &'e [Expr] {
        match expr {
            // `exists?` does not evaluate the names it is asked about.
            Expr::List(items) if items.first().and_then(Expr::as_ident) == Some("exists?") => &[],
            Expr::List(items) => items.get(1..).unwrap_or_default(),
            Expr::Seq(items) => items,
            _ => &[],
        }
    }

    /// Marks this part and those inside it that decide.
    fn mark(&mut self) {
        self.decides = true;
        let operator = match self.expr {
            Expr::List(items) => items.first().and_then(Expr::as_ident).unwrap_or_default(),
            _ => "",
        };
        let reached = self
            .parts
            .iter()
            .filter(|part| part.outcome != Outcome::NotReached)
            .count();
        let last = self
            .parts
            .iter_mut()
            .rfind(|part| part.outcome != Outcome::NotReached);
        let Some(last) = last else { return };
        let inner_decides = match (&self.outcome, operator) {
            // An error of a part is the error of the whole; what else is an error is this part's own.
            (Outcome::Error(_), _) => matches!(last.outcome, Outcome::Error(_)),
            (_, "not" | "if") => true,
            // All of several were needed for the one value, a single one for the other.
            (Outcome::Value(Value::Bool(true)), "and")
            | (Outcome::Value(Value::Bool(false)), "or") => reached == 1,
            (_, "and" | "or") => true,
            _ => false,
        };
        if inner_decides {
            last.mark();
        }
    }
}

/// What a part came to.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// A value.
    Value(Value),
    /// An error.
    Error(EvalError),
    /// It did not matter any more.
    NotReached,
}

/// A name that was looked at.
#[derive(Debug, Clone, PartialEq)]
pub struct UsedAttribute<'e> {
    /// The name, such as `subject.component`.
    pub name: &'e str,
    /// What it is bound to, if anything.
    pub value: Option<Value>,
}

/// Builds the tree of parts while they are evaluated.
struct Recorder<'e> {
    /// The parts that have begun and not ended, the outermost first.
    open: Vec<Part<'e>>,
    whole: Part<'e>,
    attributes: Vec<UsedAttribute<'e>>,
}

impl<'e> Watch<'e> for Recorder<'e> {
    fn begin(&mut self, position: usize, expr: &'e Expr) {
        if let Some(parent) = self.open.last_mut() {
            // What lies between was passed over, as the branch of an `if` is.
            let known = parent.parts.len();
            let passed = Part::inner(parent.expr).iter().take(position).skip(known);
            parent.parts.extend(passed.map(Part::not_reached));
        }
        self.open.push(Part::not_reached(expr));
    }

    fn end(&mut self, outcome: &Result<Value, EvalError>) {
        let Some(mut part) = self.open.pop() else {
            return;
        };
        part.outcome = match outcome {
            Ok(value) => Outcome::Value(value.clone()),
            Err(error) => Outcome::Error(error.clone()),
        };
        let known = part.parts.len();
        let rest = Part::inner(part.expr).iter().skip(known);
        part.parts.extend(rest.map(Part::not_reached));
        match self.open.last_mut() {
            Some(parent) => parent.parts.push(part),
            None => self.whole = part,
        }
    }

    fn looked_up(&mut self, name: &'e str, value: Option<&Value>) {
        if self.attributes.iter().all(|used| used.name != name) {
            self.attributes.push(UsedAttribute {
                name,
                value: value.cloned(),
            });
        }
    }
}
