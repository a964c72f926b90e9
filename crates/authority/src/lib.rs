//! The authority: who is a member of a project, and the credentials that say so.
//!
//! ```text
//! request -> AuthorityServices -> Authority ──> Members   members, codes, withdrawals: in memory or in a store
//!            (workers of a node)  (the rules)└─> Issuer    signs
//! ```
//!
//! What is asked and answered is [`message`]; who may what is [`Authority`]; where it is kept is behind [`Members`], where
//! it is signed behind [`Issuer`].
//!
//! Invariants: nobody is answered without a secure channel; whoever is not allowed changes nothing; a use of a one-time code
//! is counted exactly once; no credential outlives its withdrawal; a member's request looks at the same few rows however
//! many members there are.
//!
//! Specification: trust 7, extensions 4.5 and 4.6.

pub mod answering;
mod authority;
pub mod client;
mod issuing;
mod limits;
mod members;
mod memory;
pub mod message;
mod okta;
mod placing;
mod requests;
mod service;
mod sharing;
mod subscribers;

pub use authority::{Admins, Authority, AuthorityOptions, Caller, DEFAULT_LIFETIME};
pub use issuing::{IssueError, IssueFuture, Issuer, Statement, TrustContext};
pub use limits::RequestLimits;
pub use members::{
    Change, Code, CodeHash, Known, Member, Members, MembersError, Redemption, Standing, Withdrawal,
};
pub use memory::MemoryMembers;
pub use okta::{Okta, OktaError, SignIn, SignInError, UserInfoFuture};
pub use placing::{dismiss, place};
pub use requests::{Answer, Service};
pub use service::AuthorityServices;
pub use sharing::{Act, Deed, Listener, Reference, Sharing};
