//! Whose name a relay name is (W10).
//!
//! A name belongs to the channel identity that took it, or else to the connection it was taken over. Its owner
//! replaces it at any time; anybody else only after the owner was asked and stayed silent.
//!
//! Invariants: a name has at most one owner; a claim that waits for a probe blocks other strangers' claims to that name,
//! so that one stranger cannot start many probes; the numbers of names and of names per owner are bounded.

use std::collections::HashMap;

use ockam_identity::Identifier;
use ockam_node::FlowId;

use super::name::RelayName;

/// Who took a name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Owner {
    /// The peer of a secure channel.
    Identity(Identifier),
    /// A connection without an identity; `None` is this node itself.
    Connection(Option<FlowId>),
}

impl Owner {
    /// Who it is, if it is an identity.
    pub(crate) fn identity(&self) -> Option<Identifier> {
        match self {
            Self::Identity(identifier) => Some(*identifier),
            Self::Connection(_) => None,
        }
    }
}

/// Which relay names are taken, and by whom.
#[derive(Debug, Default)]
pub(crate) struct Ownership {
    names: HashMap<RelayName, Taken>,
    next: u64,
}

impl Ownership {
    /// `owner` asks for `name`.
    pub(crate) fn claim(&mut self, name: &RelayName, owner: &Owner) -> Claim {
        if let Some(taken) = self.names.get_mut(name) {
            if taken.owner == *owner {
                return Claim::Granted;
            }
            if taken.probed {
                return Claim::Refused(ClaimError::Taken);
            }
            taken.probed = true;
            return Claim::Probe(Lease(taken.lease));
        }
        if self.names.len() >= MAX_NAMES {
            return Claim::Refused(ClaimError::TooManyNames);
        }
        let limit = match owner {
            Owner::Identity(_) => MAX_NAMES_PER_IDENTITY,
            Owner::Connection(_) => MAX_NAMES_PER_CONNECTION,
        };
        if self
            .names
            .values()
            .filter(|taken| taken.owner == *owner)
            .count()
            >= limit
        {
            return Claim::Refused(ClaimError::TooManyOfOwner);
        }
        Claim::Granted
    }

    /// Records that `owner` has `name` now; what was there before is replaced.
    pub(crate) fn take(&mut self, name: RelayName, owner: Owner) -> Lease {
        self.next += 1;
        let lease = self.next;
        let probed = false;
        self.names.insert(
            name,
            Taken {
                owner,
                lease,
                probed,
            },
        );
        Lease(lease)
    }

    /// The probed owner answered: it keeps the name.
    pub(crate) fn handle_alive(&mut self, name: &RelayName, lease: Lease) {
        if let Some(taken) = self.names.get_mut(name)
            && taken.lease == lease.0
        {
            taken.probed = false;
        }
    }

    /// Frees the name if it is still the same lease. Returns whether it was.
    pub(crate) fn release(&mut self, name: &RelayName, lease: Lease) -> bool {
        let held = self
            .names
            .get(name)
            .is_some_and(|taken| taken.lease == lease.0);
        if held {
            self.names.remove(name);
        }
        held
    }
}

/// The answer to a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Claim {
    /// The name may be taken now.
    Granted,
    /// Somebody else has it: ask the relay of this lease; silent, it is to be released.
    Probe(Lease),
    /// The name may not be taken.
    Refused(ClaimError),
}

/// One taking of a name; a later taking of the same name has another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Lease(u64);

/// Why a name may not be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum ClaimError {
    /// It belongs to somebody else who is there, or who is being asked.
    #[error("it belongs to somebody else")]
    Taken,
    /// The relay service has too many names.
    #[error("the relay service has no room for another name")]
    TooManyNames,
    /// The owner has too many names.
    #[error("the owner has too many names")]
    TooManyOfOwner,
}

#[derive(Debug)]
struct Taken {
    owner: Owner,
    lease: u64,
    probed: bool,
}

const MAX_NAMES: usize = 100_000;
const MAX_NAMES_PER_IDENTITY: usize = 10_000;
const MAX_NAMES_PER_CONNECTION: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guard_11_2_23_owner_replaces_its_name_and_nobody_else_does() {
        let mut ownership = Ownership::default();
        assert_eq!(ownership.claim(&name("n1"), &connection(1)), Claim::Granted);
        let lease = ownership.take(name("n1"), connection(1));
        assert_eq!(ownership.claim(&name("n1"), &connection(1)), Claim::Granted);
        assert_eq!(
            ownership.claim(&name("n1"), &connection(2)),
            Claim::Probe(lease)
        );
        ownership.handle_alive(&name("n1"), lease);
        assert_eq!(
            ownership.claim(&name("n1"), &connection(3)),
            Claim::Probe(lease)
        );
    }

    #[test]
    fn one_probe_at_a_time() {
        let mut ownership = Ownership::default();
        ownership.take(name("n1"), connection(1));
        assert!(matches!(
            ownership.claim(&name("n1"), &connection(2)),
            Claim::Probe(_)
        ));
        assert_eq!(
            ownership.claim(&name("n1"), &connection(3)),
            Claim::Refused(ClaimError::Taken)
        );
        assert_eq!(ownership.claim(&name("n1"), &connection(1)), Claim::Granted);
    }

    #[test]
    fn late_release_of_a_replaced_lease_changes_nothing() {
        let mut ownership = Ownership::default();
        let old = ownership.take(name("n1"), connection(1));
        let new = ownership.take(name("n1"), connection(1));
        assert!(!ownership.release(&name("n1"), old));
        assert!(ownership.release(&name("n1"), new));
        assert_eq!(ownership.claim(&name("n1"), &connection(2)), Claim::Granted);
    }

    #[test]
    fn guard_w10_stranger_cannot_take_any_number_of_names() {
        let mut ownership = Ownership::default();
        for number in 0..MAX_NAMES_PER_CONNECTION {
            let name = name(&format!("n{number}"));
            assert_eq!(ownership.claim(&name, &connection(1)), Claim::Granted);
            ownership.take(name, connection(1));
        }
        assert_eq!(
            ownership.claim(&name("more"), &connection(1)),
            Claim::Refused(ClaimError::TooManyOfOwner)
        );
        assert_eq!(
            ownership.claim(&name("more"), &connection(2)),
            Claim::Granted
        );
    }

    fn name(text: &str) -> RelayName {
        text.parse().unwrap()
    }

    fn connection(number: u8) -> Owner {
        Owner::Connection(Some(FlowId::from_random([number; 16])))
    }
}
