//! Who was denied what, and by which rule: logged once, counted always, told to nobody outside.

use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use ockam_identity::Identifier;
use ockam_wire::Address;

/// The rule that denied.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DeniedBy {
    /// A policy; this is its text.
    Policy(String),
    /// There is no policy for it.
    NoPolicy,
    /// Whoever asked came without a secure channel, so nobody knows who it is.
    NoChannel,
    /// The peer has no credential that counts.
    NoCredential,
    /// The resource is for identifiers that it names, and the peer is none of them.
    NotAuthorized,
    /// A rule about addresses or identifiers.
    AccessRule,
    /// The worker was not opened to the connection or channel that the message came in through.
    FlowControl,
    /// The credential does not give the peer this relay name.
    RelayName,
    /// Strict mode does not offer it to whoever comes this way.
    Strict,
    /// The handshake of a channel was refused, for this reason.
    Handshake(String),
    /// A credential was not taken, for this reason.
    Credential(String),
}

impl fmt::Display for DeniedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Policy(text) => write!(f, "policy {text}"),
            Self::NoPolicy => f.write_str("no policy"),
            Self::NoChannel => f.write_str("no secure channel"),
            Self::NoCredential => f.write_str("no credential"),
            Self::NotAuthorized => f.write_str("not an authorized identifier"),
            Self::FlowControl => f.write_str("flow control"),
            Self::AccessRule => f.write_str("access rule"),
            Self::RelayName => f.write_str("relay name"),
            Self::Strict => f.write_str("strict"),
            Self::Handshake(why) => write!(f, "handshake: {why}"),
            Self::Credential(why) => write!(f, "credential: {why}"),
        }
    }
}

/// One kind of denial.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denial {
    /// Who was denied; `None`: nobody who proved an identity.
    pub who: Option<Identifier>,
    /// What was asked for: a resource, or the address of a worker.
    pub what: String,
    /// Which rule denied it.
    pub rule: DeniedBy,
    /// How often.
    pub count: u64,
    /// When it was first.
    pub first: SystemTime,
    /// When it was last.
    pub last: SystemTime,
}

/// The denials of one node.
///
/// A bounded number of kinds is kept; the one that has been quiet for longest makes room.
pub struct Denials {
    hasher: RandomState,
    // By the hash of the kind, so that counting one more copies nothing. Held for one look-up or list.
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    by_hash: HashMap<u64, Denial>,
    total: u64,
}

impl Denials {
    pub(crate) fn new() -> Self {
        Self {
            hasher: RandomState::new(),
            known: Mutex::default(),
        }
    }

    /// Counts one; the first of a kind is logged as a warning.
    pub fn note(&self, who: Option<&Identifier>, what: &str, rule: &DeniedBy) {
        let hash = self.hasher.hash_one((who, what, rule));
        let now = SystemTime::now();
        let mut known = self.known();
        known.total += 1;
        if let Some(denial) = known.by_hash.get_mut(&hash) {
            denial.count += 1;
            denial.last = now;
            let count = denial.count;
            drop(known);
            if count.is_power_of_two() {
                tracing::debug!(who = %Who(who), what, %rule, count, "denied again");
            }
            return;
        }
        if known.by_hash.len() >= MOST_KINDS {
            let quietest = known.by_hash.iter().min_by_key(|(_, denial)| denial.last);
            if let Some(quietest) = quietest.map(|(hash, _)| *hash) {
                known.by_hash.remove(&quietest);
            }
        }
        let denial = Denial {
            who: who.copied(),
            what: what.to_owned(),
            rule: rule.clone(),
            count: 1,
            first: now,
            last: now,
        };
        known.by_hash.insert(hash, denial);
        drop(known);
        tracing::warn!(who = %Who(who), what, %rule, "denied");
    }

    /// Counts one at a worker, by its name.
    pub(crate) fn note_at(&self, who: Option<&Identifier>, worker: &Address, rule: &DeniedBy) {
        let address = worker.to_string();
        self.note(who, address.strip_prefix("0#").unwrap_or(&address), rule);
    }

    /// All that are kept, the latest first.
    pub fn all(&self) -> Vec<Denial> {
        let mut all: Vec<_> = self.known().by_hash.values().cloned().collect();
        all.sort_by_key(|denial| std::cmp::Reverse(denial.last));
        all
    }

    /// How many there were altogether, also of kinds that are not kept any more.
    pub fn total(&self) -> u64 {
        self.known().total
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Denials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Denials")
            .field("total", &self.total())
            .finish_non_exhaustive()
    }
}

struct Who<'a>(Option<&'a Identifier>);

impl fmt::Display for Who<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(identifier) => identifier.fmt(f),
            None => f.write_str("nobody"),
        }
    }
}

/// Kinds that are kept.
const MOST_KINDS: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn denials_of_one_kind_are_counted_together() {
        let denials = Denials::new();
        let who = Identifier::new([1; 32]);
        denials.note(Some(&who), "outlet", &DeniedBy::NoCredential);
        denials.note(None, "outlet", &DeniedBy::NoCredential);
        denials.note(Some(&who), "outlet", &DeniedBy::AccessRule);
        denials.note(Some(&who), "outlet", &DeniedBy::NoCredential);
        let all = denials.all();
        assert_eq!(all.len(), 3);
        let Some(latest) = all.first() else {
            panic!("none is kept")
        };
        assert_eq!(
            (latest.who, latest.what.as_str(), latest.count),
            (Some(who), "outlet", 2)
        );
        assert_eq!(latest.rule.to_string(), "no credential");
        assert_eq!(denials.total(), 4);
    }

    #[test]
    fn the_kind_that_has_been_quiet_for_longest_makes_room() {
        let denials = Denials::new();
        let busy = Identifier::new([255; 32]);
        for number in 0..3 * MOST_KINDS {
            let mut who = [0; 32];
            who[..8].copy_from_slice(&number.to_be_bytes());
            denials.note(Some(&Identifier::new(who)), "outlet", &DeniedBy::NoPolicy);
            denials.note(Some(&busy), "outlet", &DeniedBy::NoPolicy);
        }
        let all = denials.all();
        assert_eq!(all.len(), MOST_KINDS);
        let kept = all.iter().find(|denial| denial.who == Some(busy));
        assert_eq!(kept.map(|kept| kept.count), Some(3 * MOST_KINDS as u64));
        assert_eq!(denials.total(), 6 * MOST_KINDS as u64);
    }
}
