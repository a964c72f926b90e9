//! Checks of the project itself, run by `cargo test` like any other test.
//!
//! - `layers`: who may import what, and what pure crates never depend on;
//! - `dependencies`: licences and bans of `deny.toml`, the lock file, manifests;
//! - `guards`: every guard of the specification has a test named after it;
//! - `sources`: file names, lengths and re-exports;
//! - `documents`: specification tags, links, and what documents promise;
//! - `text`: no machine paths and no stray hosts in any tracked file.
//!
//! This crate has no code besides tests, and imports nothing of the product.

#[cfg(test)]
mod dependencies;
#[cfg(test)]
mod documents;
#[cfg(test)]
mod guards;
#[cfg(test)]
mod layers;
#[cfg(test)]
mod sources;
#[cfg(test)]
mod text;
#[cfg(test)]
mod tree;
