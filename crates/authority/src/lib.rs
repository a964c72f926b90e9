//! The authority: who is a member of a project, and the credentials that say so.
//!
//! Specification: trust 7.

mod authority;
mod issuing;
mod limits;
mod members;
mod memory;
pub mod message;
mod okta;
mod requests;
mod subscribers;

pub use authority::{Admins, Authority, AuthorityOptions, Caller, DEFAULT_LIFETIME};
pub use issuing::{IssueError, IssueFuture, Issuer, Statement, TrustContext};
pub use limits::RequestLimits;
pub use members::{
    Change, Code, CodeHash, Known, Member, Members, MembersError, Redemption, Standing, Withdrawal,
};
pub use memory::MemoryMembers;
pub use okta::{Okta, OktaError, SignIn, SignInError, UserInfoFuture};
pub use requests::{Answer, Service};
