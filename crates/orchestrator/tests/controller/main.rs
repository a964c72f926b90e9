//! The controller as whoever asks it sees it: who may what, what changes, the bytes of a whole enrollment.

#![allow(clippy::unwrap_used, reason = "a test fails where it unwraps")]

mod changes;
mod enrollment;
mod ledger;
mod rights;
mod strangers;
mod world;
