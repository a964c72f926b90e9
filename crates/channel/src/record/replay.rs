//! Which nonces a receiver still accepts.

/// How far a nonce may lie ahead of or behind the highest accepted one (spec: trust 5.10).
pub const REPLAY_WINDOW: u64 = 32;

/// The highest accepted nonce and which of the 32 below it were seen.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ReplayWindow {
    highest: u64,
    /// Bit `i` tells whether `highest - i` was seen.
    seen: u64,
}

/// What the window says about a nonce.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Fresh,
    Seen,
    Outside,
}

impl ReplayWindow {
    pub(super) const fn judge(self, nonce: u64) -> Verdict {
        match nonce.checked_sub(self.highest) {
            Some(0) | None => {
                let behind = self.highest - nonce;
                if behind > REPLAY_WINDOW {
                    Verdict::Outside
                } else if self.seen >> behind & 1 == 1 {
                    Verdict::Seen
                } else {
                    Verdict::Fresh
                }
            }
            Some(ahead) if ahead <= REPLAY_WINDOW => Verdict::Fresh,
            Some(_) => Verdict::Outside,
        }
    }

    /// Notes a nonce that was judged fresh and whose record was authentic.
    pub(super) const fn accept(&mut self, nonce: u64) {
        match nonce.checked_sub(self.highest) {
            Some(ahead) if ahead > 0 => {
                // Both shifts are at most 32 for a fresh nonce.
                self.seen = if ahead <= REPLAY_WINDOW {
                    self.seen << ahead
                } else {
                    0
                };
                self.seen |= 1;
                self.highest = nonce;
            }
            _ => {
                let behind = self.highest - nonce;
                if behind <= REPLAY_WINDOW {
                    self.seen |= 1 << behind;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_window_agrees_with_its_definition(steps in proptest::collection::vec(-40i64..=40, 1..200)) {
            let mut window = ReplayWindow::default();
            let mut accepted = BTreeSet::new();
            for step in steps {
                let highest = accepted.last().copied().unwrap_or(0u64);
                let Some(nonce) = highest.checked_add_signed(step) else { continue };
                let inside = nonce.abs_diff(highest) <= REPLAY_WINDOW;
                let expected = match (inside, accepted.contains(&nonce)) {
                    (false, _) => Verdict::Outside,
                    (true, true) => Verdict::Seen,
                    (true, false) => Verdict::Fresh,
                };
                prop_assert_eq!(window.judge(nonce), expected);
                if expected == Verdict::Fresh {
                    window.accept(nonce);
                    accepted.insert(nonce);
                }
            }
        }
    }

    #[test]
    fn nonces_at_the_end_of_the_range_do_not_overflow() {
        let mut window = ReplayWindow {
            highest: u64::MAX - 10,
            seen: 1,
        };
        assert_eq!(window.judge(u64::MAX - 1), Verdict::Fresh);
        window.accept(u64::MAX - 1);
        assert_eq!(window.judge(u64::MAX - 1), Verdict::Seen);
        assert_eq!(window.judge(u64::MAX - 10), Verdict::Seen);
        assert_eq!(window.judge(u64::MAX - 34), Verdict::Outside);
    }
}
