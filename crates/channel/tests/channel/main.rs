//! The public behaviour of the secure channel: published vectors, recorded traffic, two live peers, and attacks.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod attacks;
mod live_transcript;
mod mutated;
mod mutation;
mod published_handshake;
mod published_transport;
mod records;
mod two_peers;
mod vector;
