//! Credentials over real channels between two nodes.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a failing test says where"
)]

mod credentials;
mod guards;
mod issuer;
mod reserved;
mod world;
