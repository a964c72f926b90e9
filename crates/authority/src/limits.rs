//! How much one identity may ask for, and how often somebody from one source may try to become a member.
//!
//! Identities cost nothing, addresses do.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ockam_identity::Identifier;
use ockam_node::{Allowance, Rates, Source};

/// How often the same identity may ask. `spec: trust 7.3`
#[derive(Clone, Copy, Debug)]
pub struct RequestLimits {
    /// Requests at once.
    pub burst: u32,
    /// Requests per second after that.
    pub per_second: u32,
    /// How many times as much enrollers may ask for.
    pub enrollers: u32,
    /// Codes and tokens that are tried from one source, by however many identities.
    pub entries: Allowance,
}

impl Default for RequestLimits {
    fn default() -> Self {
        Self {
            burst: 40,
            per_second: 20,
            enrollers: 20,
            // A thousand machines behind one address may come at once.
            entries: Allowance {
                burst: 1000,
                per_second: 100,
            },
        }
    }
}

/// What a request costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cost {
    /// Any request.
    Request,
    /// On top of that: a code that nobody knows.
    WrongCode,
}

impl Cost {
    const fn requests(self) -> u32 {
        match self {
            Self::Request => 1,
            Self::WrongCode => 8,
        }
    }
}

/// Who asked how much lately.
#[derive(Debug)]
pub(crate) struct Visitors {
    limits: RequestLimits,
    // Held for one look-up.
    known: Mutex<HashMap<Identifier, Visitor>>,
}

#[derive(Debug)]
struct Visitor {
    /// What is left, in thousandths of a request.
    left: u64,
    at: Instant,
    enroller: bool,
}

impl Visitors {
    pub(crate) fn new(limits: RequestLimits) -> Self {
        Self {
            limits,
            known: Mutex::default(),
        }
    }

    /// Whether that much may be done now; then it is counted.
    pub(crate) fn admit(&self, who: &Identifier, cost: Cost, now: Instant) -> bool {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST_VISITORS && !known.contains_key(who) {
            known.retain(|_, visitor| now.saturating_duration_since(visitor.at) < FORGOTTEN);
            // Each of them had to finish a handshake; starting afresh costs less than refusing whoever comes.
            if known.len() >= MOST_VISITORS {
                known.clear();
            }
        }
        let times = |enroller: bool| u64::from(if enroller { self.limits.enrollers } else { 1 });
        let full = |enroller| u64::from(self.limits.burst) * 1000 * times(enroller);
        let visitor = known.entry(*who).or_insert_with(|| Visitor {
            left: full(false),
            at: now,
            enroller: false,
        });
        let passed = now.saturating_duration_since(visitor.at).as_millis();
        let earned = u64::try_from(passed)
            .unwrap_or(u64::MAX)
            .saturating_mul(u64::from(self.limits.per_second) * times(visitor.enroller));
        visitor.at = now;
        visitor.left = visitor
            .left
            .saturating_add(earned)
            .min(full(visitor.enroller));
        let price = u64::from(cost.requests()) * 1000;
        match visitor.left.checked_sub(price) {
            Some(left) => {
                visitor.left = left;
                true
            }
            None => {
                visitor.left = 0;
                false
            }
        }
    }

    /// Remembers that somebody is an enroller, or is not any more.
    pub(crate) fn note_enroller(&self, who: &Identifier, enroller: bool) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(visitor) = known.get_mut(who)
            && visitor.enroller != enroller
        {
            visitor.enroller = enroller;
            if enroller {
                visitor.left =
                    u64::from(self.limits.burst) * 1000 * u64::from(self.limits.enrollers);
            }
        }
    }
}

/// Who tried to become a member, by where from; what is not known is one place.
#[derive(Debug)]
pub(crate) struct Entries(Rates<Option<Source>>);

impl Entries {
    pub(crate) fn new(limits: RequestLimits) -> Self {
        Self(Rates::new(limits.entries))
    }

    /// Whether a code or token may be tried from there now.
    pub(crate) fn admit(&self, from: Option<Source>, now: Instant) -> bool {
        self.0.take(&from, now)
    }

    /// Counts that it was none.
    pub(crate) fn wrong(&self, from: Option<Source>, now: Instant) {
        self.0.charge(&from, WRONG_ENTRY, now);
    }
}

/// Requests under way, by who asked.
#[derive(Clone, Debug, Default)]
pub(crate) struct UnderWay {
    // Held for one count.
    by: Arc<Mutex<HashMap<Option<Identifier>, usize>>>,
}

/// One request; it is over when this is dropped.
#[derive(Debug)]
pub(crate) struct Begun {
    under_way: UnderWay,
    who: Option<Identifier>,
}

impl UnderWay {
    /// Begins a request, unless too many of the same asker are not answered yet: whoever takes no answers waits for them alone.
    pub(crate) fn begin(&self, who: Option<Identifier>) -> Option<Begun> {
        let mut by = self.by.lock().unwrap_or_else(PoisonError::into_inner);
        let count = by.entry(who).or_default();
        if *count >= MOST_UNANSWERED {
            return None;
        }
        *count += 1;
        Some(Begun {
            under_way: self.clone(),
            who,
        })
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        let by = &self.under_way.by;
        let mut by = by.lock().unwrap_or_else(PoisonError::into_inner);
        if let Entry::Occupied(mut count) = by.entry(self.who) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }
}

/// What a wrong code costs beside the attempt.
const WRONG_ENTRY: u32 = 50;
/// Requests of one identity that are not answered yet.
const MOST_UNANSWERED: usize = 64;
const MOST_VISITORS: usize = 16_384;
/// Whoever did not ask for that long may ask for everything again anyway.
const FORGOTTEN: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_beyond_the_burst_wait_for_their_time() {
        let visitors = Visitors::new(RequestLimits::default());
        let (who, start) = (Identifier::new([1; 32]), Instant::now());
        let asked = |at| visitors.admit(&who, Cost::Request, at);
        assert_eq!((0..100).filter(|_| asked(start)).count(), 40);
        assert_eq!(
            (0..100)
                .filter(|_| asked(start + Duration::from_secs(1)))
                .count(),
            20
        );
        let other = Identifier::new([2; 32]);
        assert!(visitors.admit(&other, Cost::Request, start));
    }

    #[test]
    fn wrong_codes_cost_more() {
        let visitors = Visitors::new(RequestLimits::default());
        let (who, now) = (Identifier::new([1; 32]), Instant::now());
        let guesses = (0..100)
            .filter(|_| {
                visitors.admit(&who, Cost::Request, now)
                    && visitors.admit(&who, Cost::WrongCode, now)
            })
            .count();
        assert_eq!(guesses, 4);
    }

    #[test]
    fn guard_o06_a_source_pays_for_the_wrong_codes_of_all_its_identities_and_no_other_does() {
        let entries = Entries::new(RequestLimits::default());
        let at = |text: &str| Some(Source::of(text.parse().unwrap()));
        let now = Instant::now();
        let guesses = (0..1000).filter(|number| {
            let from = at(&format!("192.0.2.1:{number}"));
            let admitted = entries.admit(from, now);
            if admitted {
                entries.wrong(from, now);
            }
            admitted
        });
        assert_eq!(guesses.count(), 20);
        assert!(entries.admit(at("192.0.2.2:1"), now));
        // Whoever is behind the same address waits no longer than the next one would.
        assert!(entries.admit(at("192.0.2.1:1"), now + Duration::from_millis(20)));
    }

    #[test]
    fn enrollers_may_ask_for_more() {
        let visitors = Visitors::new(RequestLimits::default());
        let (who, now) = (Identifier::new([1; 32]), Instant::now());
        assert!(visitors.admit(&who, Cost::Request, now));
        visitors.note_enroller(&who, true);
        let asked = (0..2000)
            .filter(|_| visitors.admit(&who, Cost::Request, now))
            .count();
        assert_eq!(asked, 800);
    }

    #[test]
    fn whoever_takes_no_answers_holds_up_nobody_else() {
        let under_way = UnderWay::default();
        let [slow, other] = [1, 2].map(|number| Some(Identifier::new([number; 32])));
        let mut begun: Vec<_> = (0..100).filter_map(|_| under_way.begin(slow)).collect();
        assert_eq!(begun.len(), MOST_UNANSWERED);
        assert!(under_way.begin(other).is_some());
        begun.pop();
        begun.extend(under_way.begin(slow));
        assert_eq!(begun.len(), MOST_UNANSWERED);
        drop(begun);
        assert!(under_way.by.lock().unwrap().is_empty());
    }

    #[test]
    fn the_number_of_visitors_is_bounded() {
        let visitors = Visitors::new(RequestLimits::default());
        let now = Instant::now();
        for number in 0..(MOST_VISITORS as u32 + 10) {
            let mut bytes = [0; 32];
            bytes[..4].copy_from_slice(&number.to_be_bytes());
            assert!(visitors.admit(&Identifier::new(bytes), Cost::Request, now));
        }
        assert!(visitors.known.lock().unwrap().len() <= MOST_VISITORS);
    }
}
