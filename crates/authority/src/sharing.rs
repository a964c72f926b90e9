//! An authority that several processes serve from one store, and whoever wants to know what happens at one.
//!
//! Specification: extensions 4.5.5.

use std::fmt;

use ockam_identity::{Identifier, UnixTime};

use crate::members::{CodeHash, Withdrawal};

/// Whether other processes work as the same authority, with the same members.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sharing {
    /// This is the only one.
    #[default]
    Alone,
    /// Others may, whose clocks differ by at most so many seconds, with what a transaction of theirs takes. What they
    /// withdraw is told by [`crate::Authority::catch_up`].
    WithOthers(u64),
}

impl Sharing {
    /// The latest moment of any of the clocks.
    pub(crate) fn latest(self, now: UnixTime) -> UnixTime {
        match self {
            Self::Alone => now,
            Self::WithOthers(seconds) => now.plus(seconds),
        }
    }

    /// The moment before which credentials are void that are withdrawn now: later than that of any that anybody gave out.
    pub(crate) fn void_before(self, now: UnixTime) -> UnixTime {
        self.latest(now).plus(1)
    }
}

/// Is told of withdrawals, for whoever must not wait to be told over a channel. Must not block.
pub trait Listener: Send + Sync + fmt::Debug + 'static {
    /// These are void from now on; of whom `gone` names nothing else will be valid either, for they are no members any more.
    fn withdrawn(&self, withdrawals: &[Withdrawal], gone: &[Identifier]);
}

/// Who changes what: noted with the change, in one transaction, where members are kept with a log.
#[derive(Clone, Copy, Debug)]
pub struct Deed<'a> {
    /// The project of the authority.
    pub project: &'a str,
    /// Who asked for it.
    pub by: &'a Identifier,
    /// When.
    pub at: UnixTime,
    /// What.
    pub act: Act<'a>,
}

/// What is changed.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Act<'a> {
    /// Somebody becomes a member, or another one than before.
    AddMember(&'a Identifier),
    /// Somebody is one no longer.
    RemoveMember(&'a Identifier),
    /// Many are not any longer.
    RemoveMembers,
    /// A one-time code is made that so many can redeem.
    IssueCode(Reference, u64),
    /// A one-time code is redeemed.
    RedeemCode(Reference),
    /// Somebody becomes a member by signing in.
    SignIn,
}

/// What a one-time code is called where it is told of: the beginning of its hash, of which nobody gets back to the code.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Reference([u8; 5]);

impl Reference {
    /// That of the code with this hash.
    #[must_use]
    pub fn of(hash: &CodeHash) -> Self {
        let mut reference = [0; 5];
        for (to, from) in reference.iter_mut().zip(hash.as_bytes()) {
            *to = *from;
        }
        Self(reference)
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}
