//! How much may be asked for, by who asks and by where from.
//!
//! Identities cost nothing, addresses do; whoever is not enrolled is counted by both.

use std::time::Instant;

use ockam_identity::Identifier;
use ockam_node::{Allowance, Rates, Source};

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
    requests: Rates<Identifier>,
    // What is not known is one place.
    strangers: Rates<Option<Source>>,
    attempts: Rates<Identifier>,
}

impl Limits {
    pub(super) fn new(options: LimitOptions) -> Self {
        Self {
            requests: Rates::new(options.requests),
            strangers: Rates::new(options.strangers),
            attempts: Rates::new(options.attempts),
        }
    }

    /// Whether an identity may ask now.
    pub(super) fn request(&self, who: &Identifier) -> bool {
        self.requests.take(who, Instant::now())
    }

    /// Whether somebody who is not enrolled may ask now, from there.
    pub(super) fn stranger(&self, source: Option<Source>) -> bool {
        self.strangers.take(&source, Instant::now())
    }

    /// Whether an identity may try to enroll now.
    pub(super) fn attempt(&self, who: &Identifier) -> bool {
        self.attempts.take(who, Instant::now())
    }

    /// Counts that a code or token was not one.
    pub(super) fn wrong(&self, who: &Identifier, source: Option<Source>) {
        let now = Instant::now();
        self.attempts.charge(who, WRONG_ATTEMPT, now);
        self.strangers.charge(&source, WRONG_FROM_SOURCE, now);
    }
}

/// What a wrong code costs beside the attempt.
const WRONG_ATTEMPT: u32 = 4;
const WRONG_FROM_SOURCE: u32 = 25;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guard_o06_wrong_codes_cost_more_and_the_source_pays_for_all_its_identities() {
        let limits = Limits::new(LimitOptions::default());
        let at = |text: &str| Some(Source::of(text.parse().unwrap()));
        let source = at("192.0.2.1:4000");
        let mut guesses = 0;
        for number in 0..=255 {
            let who = Identifier::new([number; 32]);
            if limits.stranger(source) && limits.attempt(&who) {
                limits.wrong(&who, source);
                guesses += 1;
            }
        }
        assert!((19..=21).contains(&guesses), "{guesses}");
        assert!(limits.stranger(at("192.0.2.2:4000")));
    }
}
