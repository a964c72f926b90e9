//! Policies: expressions over the attributes of who speaks.
//!
//! Specification: trust 6.

#![no_std]

extern crate alloc;
