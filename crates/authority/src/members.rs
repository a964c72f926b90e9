//! What an authority remembers: members, one-time codes, withdrawals.
//!
//! One trait, so that it can be kept in memory or in a database. It holds no rules beyond those that need a transaction:
//! a change is decided by a function that sees the row as it is, inside the transaction that writes it.

use std::fmt;
use std::future::Future;

use ockam_identity::{Identifier, OneTimeCode, UnixTime};
use ockam_vault::Provider;

use crate::message::MemberAttributes;
use crate::sharing::Deed;

/// A member as an authority knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// What is said of it.
    pub attributes: MemberAttributes,
    /// Who added it.
    pub added_by: Identifier,
    /// Since when it is a member.
    pub added_at: UnixTime,
    /// How it became one.
    pub standing: Standing,
}

/// How somebody became a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Named at the start of the authority.
    PreTrusted,
    /// Added since.
    Added,
}

/// A member, and from which moment on its credentials count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// The member.
    pub member: Member,
    /// Credentials created before this were withdrawn; the beginning of time if none were.
    pub valid_from: UnixTime,
}

/// What happens to the row of one identifier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Nothing.
    Keep,
    /// It becomes this member; credentials created before that moment are void, if one is given.
    Put(Member, Option<UnixTime>),
    /// It is a member no longer; credentials created before that moment are void.
    Remove(UnixTime),
}

/// Credentials of a subject that are void. `spec: extensions 4.5`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Withdrawal {
    /// Its place in the order of all withdrawals of this authority.
    pub sequence: u64,
    /// Whose credentials.
    pub subject: Identifier,
    /// Those created earlier than this.
    pub before: UnixTime,
}

/// What a one-time code is known by: its hash. The code itself is never kept. `spec: trust 7.4`
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CodeHash([u8; 32]);

impl CodeHash {
    /// The hash of a code.
    pub fn of(code: &OneTimeCode, provider: &dyn Provider) -> Self {
        Self(provider.sha256(&[code.as_bytes()]))
    }

    /// The hash with these bytes.
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for CodeHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CodeHash(..)")
    }
}

/// What an authority remembers of a one-time code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Code {
    /// What whoever redeems it becomes.
    pub attributes: MemberAttributes,
    /// Who asked for it.
    pub issued_by: Identifier,
    /// When.
    pub created_at: UnixTime,
    /// From when on it is worth nothing.
    pub expires_at: UnixTime,
    /// How often it can still be redeemed; at least once.
    pub uses: u64,
}

/// What became of a one-time code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Redemption {
    /// One use is gone and there is a new member.
    Enrolled,
    /// The caller is a member; nothing is used up.
    AlreadyMember,
    /// There is no such code, or it ended.
    Unknown,
}

/// Members, one-time codes and withdrawals of **one** authority. Each method is one transaction: it happens wholly or not
/// at all, whatever else happens at the same time. No method looks at more rows than it returns or changes.
pub trait Members: Send + Sync + 'static {
    /// The member with this identifier.
    fn member(
        &self,
        who: &Identifier,
    ) -> impl Future<Output = Result<Option<Known>, MembersError>> + Send;

    /// Decides about each of these identifiers by what is known of it, and does what was decided. Returns the withdrawals
    /// that came of it. With the credentials of somebody the one-time codes that it asked for are void. If anything changes,
    /// the deed is noted in the same transaction.
    fn change(
        &self,
        who: &[Identifier],
        deed: Option<&Deed<'_>>,
        decide: impl FnMut(&Identifier, Option<Member>) -> Change + Send,
    ) -> impl Future<Output = Result<Vec<Withdrawal>, MembersError>> + Send;

    /// Members in the order of their identifiers, beginning behind `after`, at most `limit`.
    fn page(
        &self,
        after: Option<&Identifier>,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<(Identifier, Member)>, MembersError>> + Send;

    /// The same, identifiers alone.
    fn identifiers(
        &self,
        after: Option<&Identifier>,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<Identifier>, MembersError>> + Send;

    /// All pre-trusted members; only asked for at the start.
    fn pre_trusted(&self) -> impl Future<Output = Result<Vec<Identifier>, MembersError>> + Send;

    /// Remembers a code, and notes the deed.
    fn put_code(
        &self,
        hash: &CodeHash,
        code: &Code,
        deed: &Deed<'_>,
    ) -> impl Future<Output = Result<(), MembersError>> + Send;

    /// Takes one use off a code and makes `who` a member with its attributes. Codes that ended by the time of the deed are unknown, and so
    /// are to somebody who was removed those that were remembered before, however little. If there is a new member, the deed is noted.
    fn redeem(
        &self,
        hash: &CodeHash,
        who: &Identifier,
        deed: &Deed<'_>,
    ) -> impl Future<Output = Result<Redemption, MembersError>> + Send;

    /// Withdrawals behind this place in the order, at most `limit`.
    fn withdrawals(
        &self,
        after: u64,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<Withdrawal>, MembersError>> + Send;

    /// The place of the latest withdrawal, 0 if there never was one.
    fn latest_withdrawal(&self) -> impl Future<Output = Result<u64, MembersError>> + Send;

    /// Notes that credentials of this lifetime, in seconds, are issued from now on, and returns the longest ever.
    fn note_lifetime(&self, seconds: u64)
    -> impl Future<Output = Result<u64, MembersError>> + Send;

    /// Forgets codes that ended by `now` and withdrawals of moments before `withdrawn_before`, unless there are codes that are
    /// older still.
    fn tidy(
        &self,
        now: UnixTime,
        withdrawn_before: UnixTime,
    ) -> impl Future<Output = Result<(), MembersError>> + Send;
}

/// What is remembered cannot be read or written. Details are for the log of the authority alone.
#[derive(Debug, thiserror::Error)]
#[error("the members of the authority cannot be read or written")]
pub struct MembersError(#[source] pub Box<dyn std::error::Error + Send + Sync>);
