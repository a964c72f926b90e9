//! The authority: who is a member of a project, and the credentials that say so.
//!
//! Specification: trust 7.

pub mod message;
