//! The version, as `--version` and error reports show it.
//!
//! spec: command 3.1 (step 2)

/// Version of this program.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The commit it was made from.
pub(crate) const HASH: &str = match option_env!("OCKAM_GIT_HASH") {
    Some(hash) => hash,
    None => "N/A",
};

/// Two lines, each indented by four spaces.
pub(crate) fn lines() -> String {
    format!("    ockam {VERSION}\n    compiled from {HASH}\n")
}
