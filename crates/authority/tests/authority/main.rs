//! The authority as its clients meet it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod clients;
mod messages;
mod rules;
mod withdrawals;
mod world;
