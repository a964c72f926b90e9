//! How much may be asked for, by who asks and by where from.
//!
//! Identities cost nothing, addresses do; whoever is not enrolled is counted by both.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use ockam_identity::Identifier;

/// How often something may be done.
#[derive(Debug, Clone, Copy)]
pub struct Allowance {
    /// At once.
    pub burst: u32,
    /// Per second after that.
    pub per_second: u32,
}

/// How much one may ask for.
#[derive(Debug, Clone, Copy)]
pub struct LimitOptions {
    /// Requests of one identity.
    pub requests: Allowance,
    /// Requests of whoever is not enrolled, from one source; enrollments are such.
    pub strangers: Allowance,
    /// Attempts of one identity to enroll.
    pub attempts: Allowance,
}

impl Default for LimitOptions {
    fn default() -> Self {
        Self {
            requests: Allowance {
                burst: 200,
                per_second: 50,
            },
            strangers: Allowance {
                burst: 500,
                per_second: 20,
            },
            attempts: Allowance {
                burst: 20,
                per_second: 1,
            },
        }
    }
}

/// What is counted.
#[derive(Debug)]
pub(super) struct Limits {
    requests: Buckets<Identifier>,
    strangers: Buckets<IpAddr>,
    attempts: Buckets<Identifier>,
}

impl Limits {
    pub(super) fn new(options: LimitOptions) -> Self {
        Self {
            requests: Buckets::new(options.requests),
            strangers: Buckets::new(options.strangers),
            attempts: Buckets::new(options.attempts),
        }
    }

    /// Whether an identity may ask now.
    pub(super) fn request(&self, who: &Identifier) -> bool {
        self.requests.take(who, 1, Instant::now())
    }

    /// Whether somebody who is not enrolled may ask now, from there.
    pub(super) fn stranger(&self, source: Option<SocketAddr>) -> bool {
        self.strangers.take(&place(source), 1, Instant::now())
    }

    /// Whether an identity may try to enroll now.
    pub(super) fn attempt(&self, who: &Identifier) -> bool {
        self.attempts.take(who, 1, Instant::now())
    }

    /// Counts that a code or token was not one.
    pub(super) fn wrong(&self, who: &Identifier, source: Option<SocketAddr>) {
        let now = Instant::now();
        self.attempts.take(who, WRONG_ATTEMPT, now);
        self.strangers.take(&place(source), WRONG_FROM_SOURCE, now);
    }
}

/// One subscriber has many addresses of the newer kind, and what is not known is one place.
fn place(source: Option<SocketAddr>) -> IpAddr {
    match source.map(|source| source.ip()) {
        Some(IpAddr::V6(ip)) => match ip.to_ipv4_mapped() {
            Some(ip) => IpAddr::V4(ip),
            None => IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() >> 64 << 64)),
        },
        Some(ip) => ip,
        None => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    }
}

/// How often each may still.
#[derive(Debug)]
pub(super) struct Buckets<K> {
    allowance: Allowance,
    // Held for one look-up.
    known: Mutex<HashMap<K, Bucket>>,
}

#[derive(Debug)]
struct Bucket {
    /// What is left, in thousandths.
    left: u64,
    at: Instant,
}

impl<K: Eq + Hash + Clone> Buckets<K> {
    pub(super) fn new(allowance: Allowance) -> Self {
        Self {
            allowance,
            known: Mutex::default(),
        }
    }

    /// Takes so many, if so many are left; otherwise takes what is left.
    pub(super) fn take(&self, key: &K, count: u32, now: Instant) -> bool {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST_KNOWN && !known.contains_key(key) {
            known.retain(|_, bucket| now.saturating_duration_since(bucket.at) < FORGOTTEN);
            // Each of them had to finish a handshake; starting afresh costs less than refusing whoever comes.
            if known.len() >= MOST_KNOWN {
                known.clear();
            }
        }
        let full = u64::from(self.allowance.burst) * 1000;
        let bucket = known.entry(key.clone()).or_insert(Bucket {
            left: full,
            at: now,
        });
        let passed = now.saturating_duration_since(bucket.at).as_millis();
        let earned = u64::try_from(passed).unwrap_or(u64::MAX);
        let earned = earned.saturating_mul(u64::from(self.allowance.per_second));
        bucket.at = now;
        bucket.left = bucket.left.saturating_add(earned).min(full);
        match bucket.left.checked_sub(u64::from(count) * 1000) {
            Some(left) => {
                bucket.left = left;
                true
            }
            None => {
                bucket.left = 0;
                false
            }
        }
    }
}

/// What a wrong code costs beside the attempt.
const WRONG_ATTEMPT: u32 = 4;
const WRONG_FROM_SOURCE: u32 = 25;
const MOST_KNOWN: usize = 16_384;
/// Whoever did not ask for that long may ask for everything again anyway.
const FORGOTTEN: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_beyond_the_burst_waits_for_its_time() {
        let buckets = Buckets::new(Allowance {
            burst: 5,
            per_second: 2,
        });
        let start = Instant::now();
        let taken = |at, key| (0..20).filter(|_| buckets.take(&key, 1, at)).count();
        assert_eq!(taken(start, 'a'), 5);
        assert_eq!(taken(start, 'b'), 5);
        assert_eq!(taken(start + Duration::from_secs(1), 'a'), 2);
    }

    #[test]
    fn guard_o06_wrong_codes_cost_more_and_the_source_pays_for_all_its_identities() {
        let limits = Limits::new(LimitOptions::default());
        let source = Some("192.0.2.1:4000".parse().unwrap());
        let mut guesses = 0;
        for number in 0..=255 {
            let who = Identifier::new([number; 32]);
            if limits.stranger(source) && limits.attempt(&who) {
                limits.wrong(&who, source);
                guesses += 1;
            }
        }
        assert!((19..=21).contains(&guesses), "{guesses}");
        assert!(limits.stranger(Some("192.0.2.2:4000".parse().unwrap())));
    }

    #[test]
    fn one_network_is_one_place() {
        let at = |text: &str| place(Some(text.parse().unwrap()));
        assert_eq!(at("[2001:db8::1]:1"), at("[2001:db8::2:3]:2"));
        assert_ne!(at("[2001:db8::1]:1"), at("[2001:db8:0:1::1]:1"));
        assert_eq!(at("[::ffff:192.0.2.1]:1"), at("192.0.2.1:2"));
    }
}
