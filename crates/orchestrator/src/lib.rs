//! The Orchestrator: a controller, and for each project an authority and a relay service, behind one listener.
//!
//! ```text
//!                      ┌─ controller: accounts, spaces, projects, sign-in
//! listener ─ node ─────┼─ <project id>: relays, channels of its members        (a node of its own, started on demand)
//!                      └─ authority-<project id>: members, tickets, credentials (a node of its own, started on demand)
//! ```
//!
//! All state is in the database. Several processes may share one.
//!
//! Entry type: [`Program`], which a program hands to `ockam_control` so that a node may have an Orchestrator in it.
//!
//! Specification: trust 7, 9; command 3.9.8.

pub mod cluster;
pub mod controller;
mod first_administrator;
pub mod metrics;
mod process;
pub mod projects;
pub mod sign_in;

pub use process::Program;
