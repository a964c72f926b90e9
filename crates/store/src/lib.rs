//! What outlives a process.
mod database;
mod error;
mod home;
mod name;
mod nodes;
mod process;
mod requests;
mod schema;
mod store;
#[cfg(test)]
mod testing;
pub use error::StoreError;
pub use home::{Home, HomeError};
pub use name::{IdentityName, NameError, NodeName, VaultName};
pub use nodes::{IfRunning, NodeRecord, NodeStart};
pub use process::{ProcessMark, ProcessState};
pub use requests::RequestRecord;
pub use store::Store;
