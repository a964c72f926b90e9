//! Operations on the home itself, handled in the command's own process.

pub mod authorities;
#[cfg(feature = "cli")]
pub(crate) mod backup;
pub(crate) mod controllers;
#[cfg_attr(
    not(feature = "cli"),
    allow(
        dead_code,
        reason = "without the command line only what nodes need is used"
    )
)]
pub(crate) mod credentials;
#[cfg(feature = "cli")]
pub(crate) mod enrollment;
pub mod identities;
pub mod import;
#[cfg(feature = "cli")]
pub(crate) mod logs;
pub mod nodes;
pub(crate) mod orchestrator;
pub mod projects;
pub(crate) mod purpose_keys;
pub mod reset;
#[cfg(feature = "cli")]
pub(crate) mod spaces;
pub mod trust;
pub mod vaults;
