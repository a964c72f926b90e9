//! Policies: expressions over the attributes of who speaks.
//!
//! A **policy** is a text that is `true` or not for one peer, one resource and one action. It has two forms. The *boolean*
//! form is for people: names, `name=value` and identifiers with `and`, `or`, `not`. The *full* form is an S-expression
//! with comparisons and sequences. A text is read as the first if it can be, and each boolean expression has a full one
//! that means the same.
//!
//! ```text
//! component=web and not suspended
//! (and (= subject.component "web") (not (= subject.suspended "true")))
//! ```
//!
//! What an expression may ask about is an [`Environment`]. Only the value `true` allows; everything else denies: `false`,
//! any other value, and every error, an attribute that is not there among them.
//!
//! This crate stores nothing, knows no peer and no clock, and does not say which policy applies to what.
//!
//! Entry types: [`Policy`], [`Environment`], [`Decision`], [`Explanation`]; [`ResourceType`] and [`Action`] name what is
//! protected.
//!
//! Invariants:
//!
//! - A [`Policy`] is bounded in length, depth and parts before anything walks it, so that nothing here can overflow a stack.
//! - The text and the CBOR of a [`Policy`] are read back as the same policy.
//! - Attributes of a credential cannot take the place of what the node itself says of a peer. `spec: trust 11.2 (1)`
//! - Evaluation is total: it ends, without panic, with a value or an error, and reads nothing but the environment.
//!
//! Specification: `docs/protocol/2-trust.md` section 6.

#![no_std]

extern crate alloc;

mod boolean;
mod cbor;
mod environment;
mod evaluate;
mod explain;
mod expr;
mod policy;
mod read;
mod resource;
mod token;

pub use boolean::{
    AttributeName, AttributeValue, BooleanError, BooleanExpr, Caution, SubjectIdentifier,
};
pub use cbor::DecodeError;
pub use environment::{Environment, RESERVED_ATTRIBUTES};
pub use evaluate::{EvalError, Value};
pub use explain::{Explanation, Outcome, Part, UsedAttribute};
pub use expr::{Expr, Ident, InvalidIdent};
pub use policy::{
    Careful, Decision, Form, InvalidPolicy, MAX_BOOLEAN_LEN, MAX_BOOLEAN_PARTS, MAX_DEPTH, MAX_LEN,
    MAX_PARTS, ParseError, Policy,
};
pub use read::SyntaxError;
pub use resource::{Action, ResourceType, UnknownResourceType};
