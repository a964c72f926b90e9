//! When a session connects, pings and gives up; in virtual time (spec: messaging 8; W30, W31).
//!
//! ```text
//!        attempt succeeded                3 pings unanswered, closed, replaced
//! Down ----------------------> Up ----------------------------------------------> Down
//!   ^ | attempt failed: wait 100 ms, doubling to 2 s; after five minutes 60 s
//!   +-+
//! ```
//!
//! The driver calls [`SessionState::poll`] until it says [`Step::Wait`], then waits for that deadline or an event and
//! calls the matching `handle_*`.
//!
//! An attempt that gets no answer may have been lost on the way: a relay that is not there yet drops it without a
//! word. So attempts have little time at first and more later, and where it does no harm a new one begins, every half
//! second at first, while those before it may still succeed. That finds a way that has just come back quickly and still
//! lets a slow one take its time.
//!
//! Invariants: never more than four attempts at once, give or take the one that is just ending; one attempt succeeds; jitter only
//! shortens a delay, so the bounds hold.

use std::time::{Duration, Instant};

/// How a session behaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pace {
    /// Between two pings.
    pub(crate) ping_interval: Duration,
    /// Unanswered pings after which the connection is replaced.
    pub(crate) misses: usize,
    /// Whether attempts run beside each other.
    pub(crate) attempts: Attempts,
    /// When an attempt is given up in any case.
    pub(crate) attempt_timeout: Duration,
    /// What unanswered pings mean.
    pub(crate) echo: Echo,
    /// How long a suspected connection may stay silent.
    pub(crate) suspicion: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            ping_interval: Duration::from_secs(10),
            misses: 3,
            attempts: Attempts::OneByOne,
            attempt_timeout: Duration::from_secs(15),
            echo: Echo::Expected,
            suspicion: SUSPICION,
        }
    }
}

/// Whether attempts to connect run beside each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Attempts {
    /// The next one begins when the one before has ended.
    OneByOne,
    /// The next one begins while those before may still succeed.
    Overlapping,
}

/// What unanswered pings mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Echo {
    /// The connection is gone.
    Expected,
    /// The same, once one was answered over it; before, the `echo` of the peer may just not be open to us.
    Optional,
}

/// The state of one session.
#[derive(Debug)]
pub(crate) struct SessionState {
    pace: Pace,
    phase: Phase,
    next_attempt_id: u64,
}

impl SessionState {
    /// A session that wants to connect at once.
    pub(crate) fn new(now: Instant, pace: Pace) -> Self {
        Self {
            pace,
            phase: Phase::Down(Down::new(now)),
            next_attempt_id: 0,
        }
    }

    /// A session that begins with a connection.
    pub(crate) fn up(now: Instant, pace: Pace) -> Self {
        Self {
            pace,
            phase: Phase::Up(Up::new(now)),
            next_attempt_id: 0,
        }
    }

    /// What is to be done now. `random` is used up when a ping is due.
    pub(crate) fn poll(&mut self, now: Instant, random: u64) -> Step {
        match &mut self.phase {
            Phase::Down(down) => {
                if down.next.is_none_or(|next| now < next) {
                    return Step::Wait(down.next);
                }
                let id = self.next_attempt_id;
                self.next_attempt_id += 1;
                down.attempts.push(id);
                let spacing = spacing(now - down.since);
                // Alone, an attempt is followed by the next when it has ended.
                down.next = (self.pace.attempts == Attempts::Overlapping).then(|| now + spacing);
                let budget = (spacing * SPACINGS_OF_AN_ATTEMPT).min(self.pace.attempt_timeout);
                Step::Attempt { id, budget }
            }
            Phase::Up(up) => {
                if up.outstanding.len() >= self.pace.misses && now >= up.next_ping
                    || up.suspected_until.is_some_and(|until| now >= until)
                {
                    if up.has_answered || self.pace.echo == Echo::Expected {
                        self.phase = Phase::Down(Down::new(now));
                        return Step::Replace;
                    }
                    up.outstanding.clear();
                    up.suspected_until = None;
                }
                if now >= up.next_ping {
                    up.next_ping = now + self.pace.ping_interval;
                    up.outstanding.push(random);
                    up.latest = Some(random);
                    return Step::Ping(random);
                }
                Step::Wait(earliest(Some(up.next_ping), up.suspected_until))
            }
        }
    }

    /// An attempt succeeded. Returns false when it is not wanted any more: then its connection is to be closed.
    pub(crate) fn handle_connected(&mut self, now: Instant, id: u64) -> bool {
        let Phase::Down(down) = &self.phase else {
            return false;
        };
        if !down.attempts.contains(&id) {
            return false;
        }
        self.phase = Phase::Up(Up::new(now));
        true
    }

    /// An attempt failed, or its time is over.
    pub(crate) fn handle_failed(&mut self, now: Instant, id: u64, random: u64) {
        let Phase::Down(down) = &mut self.phase else {
            return;
        };
        let before = down.attempts.len();
        down.attempts.retain(|known| *known != id);
        if down.attempts.len() == before || !down.attempts.is_empty() {
            return;
        }
        let delay = if now >= down.since + EAGER {
            PATIENT_DELAY
        } else {
            let delay = down.delay;
            down.delay = (delay * 2).min(LONGEST_DELAY);
            delay
        };
        down.next = Some(now + shorten(delay, random));
    }

    /// The connection was closed below.
    pub(crate) fn handle_closed(&mut self, now: Instant) {
        if matches!(self.phase, Phase::Up(_)) {
            self.phase = Phase::Down(Down::new(now));
        }
    }

    /// Somebody needs the connection now: a wait ends, and the eager phase begins anew.
    pub(crate) fn handle_trigger(&mut self, now: Instant) {
        if let Phase::Down(down) = &mut self.phase
            && down.attempts.is_empty()
        {
            *down = Down::new(now);
        }
    }

    /// Somebody waits for an answer over this connection longer than usual: ask now, and soon believe it is gone.
    pub(crate) fn handle_suspicion(&mut self, now: Instant) {
        if let Phase::Up(up) = &mut self.phase
            && up.suspected_until.is_none()
        {
            up.suspected_until = Some(now + self.pace.suspicion);
            up.next_ping = now;
            // The ping that follows counts once, whatever is outstanding.
            up.outstanding.truncate(self.pace.misses.saturating_sub(1));
        }
    }

    /// An answer came. Any outstanding ping answered clears all of them (spec: messaging 8).
    pub(crate) fn handle_pong(&mut self, value: u64) {
        if let Phase::Up(up) = &mut self.phase
            && (up.outstanding.contains(&value) || up.latest == Some(value))
        {
            up.outstanding.clear();
            up.suspected_until = None;
            up.has_answered = true;
        }
    }

    /// Something was heard from the other side over this connection: it lives, even if it answers no ping (W31).
    pub(crate) fn handle_heard(&mut self) {
        if let Phase::Up(up) = &mut self.phase {
            up.outstanding.clear();
            up.suspected_until = None;
        }
    }

    /// Whether there is a connection.
    #[cfg(test)]
    fn is_up(&self) -> bool {
        matches!(self.phase, Phase::Up(_))
    }
}

/// What the driver does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// Start an attempt to connect, which may take so long.
    Attempt {
        /// Its number.
        id: u64,
        /// Its time.
        budget: Duration,
    },
    /// Send a ping with this value.
    Ping(u64),
    /// Close the connection: it does not answer any more.
    Replace,
    /// Nothing until then, or until an event.
    Wait(Option<Instant>),
}

#[derive(Debug)]
enum Phase {
    Down(Down),
    Up(Up),
}

#[derive(Debug)]
struct Down {
    since: Instant,
    attempts: Vec<u64>,
    next: Option<Instant>,
    delay: Duration,
}

impl Down {
    fn new(now: Instant) -> Self {
        Self {
            since: now,
            attempts: Vec::new(),
            next: Some(now),
            delay: SHORTEST_DELAY,
        }
    }
}

#[derive(Debug)]
struct Up {
    next_ping: Instant,
    outstanding: Vec<u64>,
    /// The last one that was asked. Something else may be heard before its answer, which tells all the same that it answers.
    latest: Option<u64>,
    suspected_until: Option<Instant>,
    has_answered: bool,
}

impl Up {
    fn new(now: Instant) -> Self {
        Self {
            next_ping: now,
            outstanding: Vec::new(),
            latest: None,
            suspected_until: None,
            has_answered: false,
        }
    }
}

/// Time from one attempt that got no answer to the next one beside it.
fn spacing(down_for: Duration) -> Duration {
    match down_for.as_secs() {
        0..5 => Duration::from_millis(500),
        5..15 => Duration::from_secs(1),
        15..60 => Duration::from_secs(2),
        60..300 => Duration::from_secs(4),
        _ => PATIENT_DELAY,
    }
}

/// Takes up to a fifth off, so that nodes which lost the same relay do not come back in step (W30).
fn shorten(delay: Duration, random: u64) -> Duration {
    let share = u32::try_from(random % 1000).unwrap_or(0);
    delay - delay * share / 5000
}

fn earliest(a: Option<Instant>, b: Option<Instant>) -> Option<Instant> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (one, other) => one.or(other),
    }
}

/// How long an attempt may take, in spacings; so many run beside each other.
const SPACINGS_OF_AN_ATTEMPT: u32 = 4;
const SHORTEST_DELAY: Duration = Duration::from_millis(100);
const LONGEST_DELAY: Duration = Duration::from_secs(2);
const EAGER: Duration = Duration::from_secs(300);
const PATIENT_DELAY: Duration = Duration::from_secs(60);
/// With what an inlet waits before it becomes suspicious, less than the three seconds within which a node that came back
/// must be of use again.
const SUSPICION: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guard_w30_delay_doubles_to_two_seconds_then_is_a_minute_after_five() {
        let mut clock = Clock::new(Attempts::OneByOne);
        let mut waits = Vec::new();
        while clock.elapsed() < Duration::from_secs(500) {
            let id = clock.expect_attempt();
            clock.state.handle_failed(clock.now, id, 0);
            waits.push(clock.wait());
        }
        let millis: Vec<_> = waits.iter().map(Duration::as_millis).collect();
        assert_eq!(millis[..6], [100, 200, 400, 800, 1600, 2000]);
        let eager = millis.iter().filter(|wait| **wait == 2000).count();
        assert!((145..=150).contains(&eager), "{eager}");
        assert_eq!(millis.last(), Some(&60_000));
    }

    #[test]
    fn guard_w30_jitter_only_shortens() {
        assert_eq!(shorten(LONGEST_DELAY, 0), LONGEST_DELAY);
        let shortest = shorten(LONGEST_DELAY, 999);
        assert!(shortest >= LONGEST_DELAY * 4 / 5 && shortest < LONGEST_DELAY);
    }

    #[test]
    fn guard_11_2_07_three_misses_replace_the_connection() {
        let mut clock = Clock::up();
        for value in 0..3 {
            assert_eq!(clock.state.poll(clock.now, value), Step::Ping(value));
            assert_eq!(clock.wait(), Duration::from_secs(10));
        }
        assert_eq!(clock.state.poll(clock.now, 9), Step::Replace);
        clock.expect_attempt();
    }

    #[test]
    fn one_answer_clears_all_outstanding_pings() {
        let mut clock = Clock::up();
        for value in 0..3 {
            assert_eq!(clock.state.poll(clock.now, value), Step::Ping(value));
            clock.wait();
        }
        clock.state.handle_pong(77);
        clock.state.handle_pong(1);
        assert_eq!(clock.state.poll(clock.now, 3), Step::Ping(3));
    }

    #[test]
    fn guard_w30_close_reconnects_at_once() {
        let mut clock = Clock::up();
        clock.state.handle_closed(clock.now);
        assert!(!clock.state.is_up());
        clock.expect_attempt();
    }

    #[test]
    fn trigger_ends_a_wait_and_starts_the_eager_phase_again() {
        let mut clock = Clock::new(Attempts::OneByOne);
        clock.now += Duration::from_secs(400);
        let id = clock.expect_attempt();
        clock.state.handle_failed(clock.now, id, 0);
        clock.now += Duration::from_secs(5);
        assert!(matches!(clock.state.poll(clock.now, 0), Step::Wait(_)));
        clock.state.handle_trigger(clock.now);
        let id = clock.expect_attempt();
        clock.state.handle_failed(clock.now, id, 0);
        assert_eq!(clock.wait(), SHORTEST_DELAY);
    }

    #[test]
    fn suspicion_pings_at_once_and_replaces_after_two_seconds() {
        let mut clock = Clock::up();
        assert_eq!(clock.state.poll(clock.now, 1), Step::Ping(1));
        clock.state.handle_pong(1);
        clock.now += Duration::from_secs(1);
        clock.state.handle_suspicion(clock.now);
        assert_eq!(clock.state.poll(clock.now, 2), Step::Ping(2));
        clock.state.handle_suspicion(clock.now);
        assert_eq!(clock.wait(), Duration::from_secs(2));
        assert_eq!(clock.state.poll(clock.now, 3), Step::Replace);

        let mut clock = Clock::up();
        clock.state.handle_suspicion(clock.now);
        assert_eq!(clock.state.poll(clock.now, 2), Step::Ping(2));
        clock.state.handle_pong(2);
        clock.now += Duration::from_secs(9);
        assert!(matches!(clock.state.poll(clock.now, 3), Step::Wait(_)));
    }

    #[test]
    fn guard_w31_a_peer_that_never_answered_is_left_alone_where_its_echo_is_optional() {
        let mut clock = Clock::up();
        clock.state.pace.echo = Echo::Optional;
        for value in 0..9 {
            assert_eq!(clock.state.poll(clock.now, value), Step::Ping(value));
            clock.state.handle_suspicion(clock.now);
            assert_eq!(clock.state.poll(clock.now, value), Step::Ping(value));
            clock.now += Duration::from_secs(10);
        }
        assert_eq!(clock.state.poll(clock.now, 9), Step::Ping(9));
        clock.state.handle_pong(9);
        for value in 10..13 {
            clock.wait();
            assert_eq!(clock.state.poll(clock.now, value), Step::Ping(value));
        }
        clock.wait();
        assert_eq!(clock.state.poll(clock.now, 13), Step::Replace);
    }

    #[test]
    fn an_answer_counts_that_comes_after_something_else_was_heard() {
        let mut clock = Clock::up();
        clock.state.pace.echo = Echo::Optional;
        assert_eq!(clock.state.poll(clock.now, 1), Step::Ping(1));
        clock.state.handle_heard();
        clock.state.handle_pong(1);
        clock.state.handle_suspicion(clock.now);
        assert_eq!(clock.state.poll(clock.now, 2), Step::Ping(2));
        assert_eq!(clock.wait(), Duration::from_secs(2));
        assert_eq!(clock.state.poll(clock.now, 3), Step::Replace);
    }

    #[test]
    fn a_session_that_begins_with_a_connection_watches_it() {
        let now = Instant::now();
        let mut state = SessionState::up(now, Pace::default());
        assert_eq!(state.poll(now, 1), Step::Ping(1));
        state.handle_closed(now);
        assert!(matches!(state.poll(now, 2), Step::Attempt { .. }));
    }

    #[test]
    fn unanswered_attempts_run_beside_each_other_with_growing_time() {
        let mut clock = Clock::new(Attempts::Overlapping);
        let mut running = Vec::new();
        for _ in 0..4 {
            let (id, budget) = clock.expect_attempt_and_budget();
            assert_eq!(budget, Duration::from_secs(2));
            running.push(id);
            assert_eq!(clock.wait(), Duration::from_millis(500));
        }
        clock.state.handle_failed(clock.now, running[0], 0);
        running.push(clock.expect_attempt());
        assert!(!clock.state.handle_connected(clock.now, running[0]));
        assert!(clock.state.handle_connected(clock.now, running[2]));
        assert!(!clock.state.handle_connected(clock.now, running[3]));
        assert!(clock.state.is_up());

        let mut clock = Clock::new(Attempts::Overlapping);
        clock.now += Duration::from_secs(100);
        assert_eq!(
            clock.expect_attempt_and_budget().1,
            Pace::default().attempt_timeout
        );
    }

    #[test]
    fn single_attempts_follow_each_other_with_growing_time() {
        let mut clock = Clock::new(Attempts::OneByOne);
        let mut budgets = Vec::new();
        while clock.elapsed() < Duration::from_secs(120) {
            let (id, budget) = clock.expect_attempt_and_budget();
            assert_eq!(
                clock.state.poll(clock.now + budget, 0),
                Step::Wait(None),
                "no other beside it"
            );
            clock.now += budget;
            clock.state.handle_failed(clock.now, id, 0);
            clock.wait();
            budgets.push(budget.as_secs());
        }
        assert_eq!(budgets[..4], [2, 2, 2, 4]);
        assert!(budgets.is_sorted());
        assert_eq!(budgets.last(), Some(&15));
    }

    struct Clock {
        start: Instant,
        now: Instant,
        state: SessionState,
    }

    impl Clock {
        fn new(attempts: Attempts) -> Self {
            let now = Instant::now();
            let pace = Pace {
                attempts,
                ..Pace::default()
            };
            Self {
                start: now,
                now,
                state: SessionState::new(now, pace),
            }
        }

        fn up() -> Self {
            let mut clock = Self::new(Attempts::OneByOne);
            let id = clock.expect_attempt();
            assert!(clock.state.handle_connected(clock.now, id));
            clock
        }

        fn elapsed(&self) -> Duration {
            self.now - self.start
        }

        fn expect_attempt(&mut self) -> u64 {
            self.expect_attempt_and_budget().0
        }

        fn expect_attempt_and_budget(&mut self) -> (u64, Duration) {
            match self.state.poll(self.now, 0) {
                Step::Attempt { id, budget } => (id, budget),
                other => panic!("expected an attempt, got {other:?}"),
            }
        }

        /// Moves the clock to the deadline that the state asks for.
        fn wait(&mut self) -> Duration {
            match self.state.poll(self.now, 0) {
                Step::Wait(Some(until)) => {
                    let waited = until - self.now;
                    self.now = until;
                    waited
                }
                other => panic!("expected to wait, got {other:?}"),
            }
        }
    }
}
