//! The way to an outlet that may be in one of two places (spec: command 3.9.4, extensions 4.2.7).
//!
//! Both are tried at once, because a relay that is not there drops what is sent to it without a word. The node at the end
//! of each is asked whether it has the outlet. The first place wins when it has; it is given a little longer than the
//! second.
//!
//! Invariants: nothing is connected to the target by asking; of two ways that came up one is closed again.

use std::sync::Arc;
use std::time::Duration;

use ockam_node::{Access, Connection, Rule};
use ockam_wire::Route;
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::connection::Pin;
use crate::guard::Holders;
use crate::message::{Message, Reason, Signal};
use crate::session::{Dial, Failed, Heard, Stuck};
use crate::way::Way;
use crate::window::MAX_CREDIT;
use crate::{Handshake, speaks_streams};

/// One way, or two of which one is to be taken.
pub(crate) struct Either {
    pub(crate) first: Way,
    pub(crate) second: Option<Way>,
    pub(crate) holders: Arc<Holders>,
    pub(crate) handshake: Handshake,
}

impl Dial for Either {
    type Live = Connection;

    async fn dial(&self, budget: Duration) -> Result<Connection, Failed> {
        let Some(second) = &self.second else {
            return self.first.dial(budget).await;
        };
        let look = |way| self.look(way, budget);
        match choose(look(&self.first), look(second)).await {
            Ok(held) => held.take(),
            Err(failed) => {
                let (first, other) = *failed;
                Err(first.beside(&self.first.to, &second.to, &other))
            }
        }
    }

    fn node_route(live: &Connection) -> Option<Route> {
        Way::node_route(live)
    }

    async fn closed(live: &Connection) {
        Way::closed(live).await;
    }

    async fn close(live: &Connection) {
        Way::close(live).await;
    }

    fn label(&self) -> String {
        self.first.label()
    }
}

impl Either {
    /// Connects one way, and asks whether the outlet is there.
    async fn look(&self, way: &Way, budget: Duration) -> Result<(Standing, Held), Failed> {
        let begun = Instant::now();
        let connection = way.dial(budget).await?;
        let by = Instant::now() + begun.elapsed().max(ANSWER_PATIENCE);
        let asked = tokio::select! {
            asked = timeout_at(by, self.ask(way, &connection)) => asked.ok(),
            () = connection.closed() => None,
        };
        let parts = connection.place().protocols().len();
        let held = Held(Some(connection));
        match asked {
            Some(standing) => Ok((standing, held)),
            None => Err(
                Failed::new("the node there does not say that it has this outlet").at(Stuck {
                    part: parts.saturating_sub(1),
                    heard: Heard::Nothing,
                }),
            ),
        }
    }

    /// What the outlet says; never, when there is none.
    async fn ask(&self, way: &Way, path: &Connection) -> Standing {
        let pin = Pin {
            identity: path.peer().map(|peer| peer.identifier),
            flow: path.flow(),
        };
        if !self.holders.admits(pin.identity.as_ref()) {
            return Standing::Denies;
        }
        if self.handshake == Handshake::Skip || !speaks_streams(path) {
            // It could be asked for a connection only.
            return Standing::Serves;
        }
        let router = way.node.router();
        let own = way.node.random_address();
        let access = Access {
            incoming: Rule::AllowAll,
            outgoing: Rule::AllowAll,
        };
        let Ok(mut mailbox) = router.start_mailbox(std::slice::from_ref(&own), access) else {
            return Standing::Serves;
        };
        if let Some(flow) = pin.flow {
            router.add_consumer(&own, flow);
        }
        let back = Route::from_hops([own.clone()]).unwrap_or_default();
        let question = Signal::Open {
            credit: MAX_CREDIT + 1,
        };
        let sent = router.send(&own, path.route().clone(), back, question.encode());
        if let Err(error) = sent.await {
            tracing::debug!("an outlet could not be asked: {error}");
        }
        loop {
            let message = mailbox.recv().await;
            if Pin::of(&message.origin) != pin {
                continue;
            }
            match Message::parse(message.payload.as_slice()) {
                Ok(Message::Refuse(Reason::NotAllowed)) => return Standing::Denies,
                Ok(Message::Refuse(_)) => return Standing::Serves,
                _ => {}
            }
        }
    }
}

/// What a node says of the outlet it was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// It has it, or cannot be asked.
    Serves,
    /// It has it and does not let us use it, or may not be talked to.
    Denies,
}

/// A connection that is closed when nobody takes it.
struct Held(Option<Connection>);

impl Held {
    fn take(mut self) -> Result<Connection, Failed> {
        self.0
            .take()
            .ok_or_else(|| Failed::new("the connection was closed"))
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(connection) = self.0.take() {
            tokio::spawn(async move { connection.close().await });
        }
    }
}

/// Takes one of two places: the first when it serves, else the second when that does, else one that denies.
async fn choose<T>(
    first: impl Future<Output = Result<(Standing, T), Failed>>,
    second: impl Future<Output = Result<(Standing, T), Failed>>,
) -> Result<T, Box<(Failed, Failed)>> {
    use Standing::{Denies, Serves};
    let begun = Instant::now();
    tokio::pin!(first, second);
    let second = tokio::select! {
        biased;
        first = &mut first => match first {
            Ok((Serves, first)) => return Ok(first),
            first => return either(first, second.await),
        },
        second = &mut second => second,
    };
    if !matches!(second, Ok((Serves, _))) {
        return either(first.await, second);
    }
    let until = Instant::now() + begun.elapsed().max(HEAD_START);
    tokio::select! {
        biased;
        first = &mut first => either(first, second),
        () = sleep_until(until) => match second {
            Ok((Serves | Denies, second)) => Ok(second),
            Err(second) => either(Err(Failed::new("it took too long")), Err(second)),
        },
    }
}

/// One of two places that both have answered or failed.
fn either<T>(
    first: Result<(Standing, T), Failed>,
    second: Result<(Standing, T), Failed>,
) -> Result<T, Box<(Failed, Failed)>> {
    match (first, second) {
        (Ok((Standing::Serves, found)), _) | (_, Ok((Standing::Serves, found))) => Ok(found),
        (Ok((Standing::Denies, found)), _) | (_, Ok((Standing::Denies, found))) => Ok(found),
        (Err(first), Err(second)) => Err(Box::new((first, second))),
    }
}

/// How long an outlet may take to say that it is there; longer when connecting took longer.
const ANSWER_PATIENCE: Duration = Duration::from_secs(1);
/// How much longer the first place may take than the second; longer when the second took longer.
const HEAD_START: Duration = Duration::from_millis(400);

#[cfg(test)]
mod tests {
    use super::*;

    type Outcome = Result<(Standing, &'static str), Failed>;

    async fn after(millis: u64, outcome: Outcome) -> Outcome {
        tokio::time::sleep(Duration::from_millis(millis)).await;
        outcome
    }

    fn serves(name: &'static str) -> Outcome {
        Ok((Standing::Serves, name))
    }

    fn denies(name: &'static str) -> Outcome {
        Ok((Standing::Denies, name))
    }

    fn fails(why: &str) -> Outcome {
        Err(Failed::new(why))
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_place_wins_though_it_is_a_little_slower() {
        let chosen = choose(after(350, serves("first")), after(10, serves("second"))).await;
        assert_eq!(chosen.ok(), Some("first"));
        let chosen = choose(after(3900, serves("first")), after(2000, serves("second"))).await;
        assert_eq!(chosen.ok(), Some("first"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_first_place_that_stays_silent_costs_its_head_start_only() {
        let begun = Instant::now();
        let chosen = choose(after(60_000, fails("silence")), after(20, serves("second"))).await;
        assert_eq!(chosen.ok(), Some("second"));
        assert_eq!(begun.elapsed(), HEAD_START + Duration::from_millis(20));
    }

    #[tokio::test(start_paused = true)]
    async fn a_first_place_that_fails_costs_nothing() {
        let begun = Instant::now();
        let chosen = choose(after(10, fails("no")), after(20, serves("second"))).await;
        assert_eq!(chosen.ok(), Some("second"));
        assert_eq!(begun.elapsed(), Duration::from_millis(20));
    }

    #[tokio::test(start_paused = true)]
    async fn a_place_that_serves_is_preferred_to_one_that_denies() {
        for (first, second, expected) in [
            (denies("first"), serves("second"), "second"),
            (serves("first"), denies("second"), "first"),
            (denies("first"), denies("second"), "first"),
            (fails("no"), denies("second"), "second"),
            (denies("first"), fails("no"), "first"),
        ] {
            let chosen = choose(after(20, first), after(10, second)).await;
            assert_eq!(chosen.ok(), Some(expected));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn when_both_fail_both_say_why() {
        let failed = choose(after(20, fails("one")), after(10, fails("two"))).await;
        let (first, second) = *failed.expect_err("both failed");
        let both = first.beside(
            &"/service/a".parse().expect("an address"),
            &"/service/b".parse().expect("an address"),
            &second,
        );
        assert_eq!(both.why(), "/service/a: one; /service/b: two");
    }
}
