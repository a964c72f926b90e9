//! The authority: who is a member of a project, and the credentials that say so.
//!
//! Specification: trust 7.

mod members;
mod memory;
pub mod message;

pub use members::{
    Change, Code, CodeHash, Known, Member, Members, MembersError, Redemption, Standing, Withdrawal,
};
pub use memory::MemoryMembers;
