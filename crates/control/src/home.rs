//! Operations on the home itself, handled in the command's own process.

pub(crate) mod identities;
pub(crate) mod nodes;
