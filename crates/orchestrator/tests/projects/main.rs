//! Hosted projects over TCP: who reaches what, and how long what ended still works.
//!
//! Specification: trust 7.8, 9.4; messaging 6.4.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

#[path = "../../../../tests/loopback/doorway.rs"]
mod doorway;

mod isolation;
mod life;
mod shown;
mod sources;
mod world;
