//! Operations on the home itself, handled in the command's own process.

pub mod identities;
pub mod nodes;
pub mod reset;
pub mod vaults;
