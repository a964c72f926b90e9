//! How often something may be done, by who does it or from where: so much at once, and so much per second after that.
//!
//! Invariants: what is remembered is bounded, and what is forgotten first is what makes no difference; whoever is refused
//! loses nothing by it, so that those who share a source are not locked out by the one who asks most.

use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// How often something may be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowance {
    /// At once.
    pub burst: u32,
    /// Per second after that.
    pub per_second: u32,
}

/// Where a connection comes from, as far as one stranger can be told from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Source(IpAddr);

impl Source {
    /// The one of a connection with this far end.
    pub fn of(peer: SocketAddr) -> Self {
        match peer.ip().to_canonical() {
            IpAddr::V6(ip) => {
                // Whoever has one address of a network of 64 bits usually has all of them.
                let network = u128::from(ip) & !u128::from(u64::MAX);
                Self(IpAddr::V6(network.into()))
            }
            ip => Self(ip),
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            IpAddr::V6(network) => write!(f, "{network}/64"),
            IpAddr::V4(ip) => ip.fmt(f),
        }
    }
}

/// How often each may still.
#[derive(Debug)]
pub struct Rates<K> {
    allowance: Allowance,
    // Held for one look-up; when it is full, for one pass over it.
    known: Mutex<HashMap<K, Left>>,
}

#[derive(Debug, Clone, Copy)]
struct Left {
    /// In thousandths.
    thousandths: u64,
    at: Instant,
}

impl<K: Eq + Hash + Clone> Rates<K> {
    /// Nobody has done anything yet.
    pub fn new(allowance: Allowance) -> Self {
        Self {
            allowance,
            known: Mutex::default(),
        }
    }

    /// Whether it may be done once more now; then it is counted.
    pub fn take(&self, key: &K, now: Instant) -> bool {
        self.with(key, now, |left| match left.checked_sub(1000) {
            Some(rest) => {
                *left = rest;
                true
            }
            None => false,
        })
    }

    /// Counts so many more, or what is left.
    pub fn charge(&self, key: &K, count: u32, now: Instant) {
        self.with(key, now, |left| {
            *left = left.saturating_sub(u64::from(count) * 1000);
        });
    }

    fn with<T>(&self, key: &K, now: Instant, change: impl FnOnce(&mut u64) -> T) -> T {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST_KNOWN && !known.contains_key(key) {
            self.make_room(&mut known, now);
        }
        let full = self.full();
        let entry = known.entry(key.clone()).or_insert(Left {
            thousandths: full,
            at: now,
        });
        entry.thousandths = self.left(entry, now);
        entry.at = now;
        change(&mut entry.thousandths)
    }

    fn make_room(&self, known: &mut HashMap<K, Left>, now: Instant) {
        let full = self.full();
        // Those that may do everything again are as good as unknown; then those that may do most of it.
        for least in [full, full / 2, 0] {
            known.retain(|_, entry| self.left(entry, now) < least);
            if known.len() <= MOST_KNOWN - MOST_KNOWN / 8 {
                return;
            }
        }
    }

    fn full(&self) -> u64 {
        u64::from(self.allowance.burst) * 1000
    }

    fn left(&self, entry: &Left, now: Instant) -> u64 {
        let passed = now.saturating_duration_since(entry.at).as_millis();
        let earned = u64::try_from(passed)
            .unwrap_or(u64::MAX)
            .saturating_mul(u64::from(self.allowance.per_second));
        entry.thousandths.saturating_add(earned).min(self.full())
    }
}

/// How many are remembered.
const MOST_KNOWN: usize = 16_384;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const FEW: Allowance = Allowance {
        burst: 5,
        per_second: 2,
    };

    #[test]
    fn what_is_beyond_the_burst_waits_for_its_time() {
        let rates = Rates::new(FEW);
        let start = Instant::now();
        let taken = |at, key| (0..20).filter(|_| rates.take(&key, at)).count();
        assert_eq!(taken(start, 'a'), 5);
        assert_eq!(taken(start, 'b'), 5);
        assert_eq!(taken(start + Duration::from_secs(1), 'a'), 2);
        assert_eq!(taken(start + Duration::from_secs(3600), 'a'), 5);
    }

    #[test]
    fn whoever_is_refused_again_and_again_gets_what_time_brings() {
        let rates = Rates::new(FEW);
        let start = Instant::now();
        let asked = (0..4000)
            .filter(|&milliseconds| rates.take(&'a', start + Duration::from_millis(milliseconds)));
        assert_eq!(asked.count(), 5 + 7);
    }

    #[test]
    fn what_is_charged_takes_no_more_than_there_is() {
        let rates = Rates::new(FEW);
        let start = Instant::now();
        rates.charge(&'a', 1000, start);
        assert!(!rates.take(&'a', start));
        assert!(rates.take(&'a', start + Duration::from_millis(500)));
    }

    #[test]
    fn guard_o06_sources_are_forgotten_and_those_that_did_most_last() {
        let rates = Rates::new(FEW);
        let start = Instant::now();
        rates.charge(&u32::MAX, 5, start);
        for number in 0..3 * MOST_KNOWN as u32 {
            assert!(rates.take(&number, start));
        }
        assert!(rates.known.lock().unwrap().len() <= MOST_KNOWN);
        assert!(!rates.take(&u32::MAX, start), "the busiest is remembered");
        let later = start + Duration::from_secs(60);
        for number in 0..MOST_KNOWN as u32 {
            rates.take(&(number + u32::MAX / 2), later);
        }
        assert!(!rates.known.lock().unwrap().contains_key(&u32::MAX));
    }

    #[test]
    fn one_network_is_one_source() {
        let at = |text: &str| Source::of(text.parse().unwrap());
        assert_eq!(at("[2001:db8::1]:1"), at("[2001:db8::2:3]:2"));
        assert_ne!(at("[2001:db8::1]:1"), at("[2001:db8:0:1::1]:1"));
        assert_eq!(at("[::ffff:192.0.2.1]:1"), at("192.0.2.1:2"));
        assert_eq!(at("[2001:db8::1]:1").to_string(), "2001:db8::/64");
        assert_eq!(at("192.0.2.1:2").to_string(), "192.0.2.1");
    }
}
