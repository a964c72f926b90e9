//! Times scenarios turn by turn, and prints the median of each.

use std::time::{Duration, Instant};

use crate::scenario::{MOST_COUNTED, Repeat, SCENARIOS, Scenario};

/// Turns of every scenario.
const TURNS: usize = 15;
/// What a turn takes, about; scenarios whose rounds are prepared take as long as these last.
const TURN: Duration = Duration::from_millis(60);

/// Times those whose names contain one of `names`; all without a name.
pub(crate) fn all(names: &[&str]) {
    let wanted = |scenario: &&Scenario| {
        names.is_empty() || names.iter().any(|name| scenario.name.contains(name))
    };
    let mut timed: Vec<Timed> = SCENARIOS.iter().filter(wanted).map(Timed::new).collect();
    for _ in 0..TURNS {
        timed.iter_mut().for_each(Timed::turn);
    }
    for timed in timed {
        let name = timed.scenario.name;
        let (middle, low, high) = timed.nanoseconds();
        println!(
            r#"{{"name":"{name}","bytes":{},"ns":{middle:.1},"low":{low:.1},"high":{high:.1}}}"#,
            timed.scenario.bytes
        );
    }
}

struct Timed {
    scenario: &'static Scenario,
    /// Kept from turn to turn where its rounds do not run out.
    repeat: Option<Repeat>,
    rounds: usize,
    /// Nanoseconds of one round, by turn.
    turns: Vec<f64>,
}

impl Timed {
    fn new(scenario: &'static Scenario) -> Self {
        let mut timed = Self {
            scenario,
            repeat: None,
            rounds: scenario.counted,
            turns: Vec::new(),
        };
        if !timed.runs_out() {
            timed.turn();
            let one = Duration::from_nanos(timed.turns.pop().map_or(1, |one| one as u64))
                .max(Duration::from_nanos(1));
            timed.rounds = ((TURN.as_nanos() / one.as_nanos()) as usize).max(1);
        }
        timed
    }

    /// Whether what was prepared is used up by running it.
    fn runs_out(&self) -> bool {
        self.scenario.name.starts_with("channel: open ")
    }

    fn turn(&mut self) {
        let kept = self.repeat.take();
        let mut repeat = kept.unwrap_or_else(|| (self.scenario.prepare)(MOST_COUNTED));
        let began = Instant::now();
        repeat(self.rounds);
        let took = began.elapsed();
        self.turns.push(took.as_nanos() as f64 / self.rounds as f64);
        if !self.runs_out() {
            self.repeat = Some(repeat);
        }
    }

    /// The median, and the quarters beside it.
    fn nanoseconds(&self) -> (f64, f64, f64) {
        let mut sorted = self.turns.clone();
        sorted.sort_by(f64::total_cmp);
        let at = |part: usize| {
            sorted
                .get(sorted.len() * part / 4)
                .copied()
                .unwrap_or_default()
        };
        (at(2), at(1), at(3))
    }
}
