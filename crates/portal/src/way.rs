//! The way to a place, as a session dials it.

use std::error::Error;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use ockam_node::{ChannelError, ConnectError, ConnectOptions, Connection, Node};
use ockam_wire::{Address, MultiAddr, Protocol, Route};

use crate::session::{Attempts, Dial, Failed, Heard, Stuck};

/// The way to a place.
pub(crate) struct Way {
    pub(crate) node: Node,
    pub(crate) to: MultiAddr,
    pub(crate) connect: ConnectOptions,
    /// Where it is entered, if that is to be the same each time.
    pub(crate) entrance: Option<Address>,
    pub(crate) label: String,
}

impl Dial for Way {
    type Live = Connection;

    async fn dial(&self, budget: Duration) -> Result<Connection, Failed> {
        let until = Instant::now() + budget;
        if let Some(entrance) = &self.entrance {
            // The workers of a connection that has ended stop a little later than it is said to be closed.
            let gone = self.node.router().gone(entrance);
            if tokio::time::timeout(budget, gone).await.is_err() {
                return Err(Failed::new(format!("the address `{entrance}` is in use")));
            }
        }
        let before = missing(&self.node, &self.to);
        let options = ConnectOptions {
            // Untouched when nothing was waited for: it appears in messages.
            timeout: match self.entrance {
                Some(_) => until.saturating_duration_since(Instant::now()),
                None => budget,
            },
            ..self.connect.clone()
        };
        let reached = AtomicUsize::new(0);
        self.node
            .connect_watched(&self.to, options, self.entrance.clone(), &reached)
            .await
            .map_err(|error| {
                let after = || missing(&self.node, &self.to);
                Failed::new(describe(&error))
                    .at(stuck(&reached, &error))
                    .without(before.or_else(after))
            })
    }

    fn node_route(live: &Connection) -> Option<Route> {
        let route = live.transport_route();
        (!route.is_empty()).then_some(route)
    }

    async fn closed(live: &Connection) {
        live.closed().await;
    }

    async fn close(live: &Connection) {
        live.close().await;
    }

    fn label(&self) -> String {
        self.label.clone()
    }
}

/// Where an attempt ended.
pub(crate) fn stuck(reached: &AtomicUsize, error: &ConnectError) -> Stuck {
    let heard = match error {
        ConnectError::Timeout(_) | ConnectError::Channel(ChannelError::Timeout(_)) => {
            Heard::Nothing
        }
        _ => Heard::Refusal,
    };
    Stuck {
        part: reached.load(Ordering::Relaxed),
        heard,
    }
}

/// Whether attempts to connect `to` may run beside each other.
pub(crate) fn attempts(to: &MultiAddr) -> Attempts {
    let through_channels = to
        .protocols()
        .iter()
        .any(|part| matches!(part, Protocol::Secure(_)));
    // A handshake through a relay that is not there yet is lost without a word.
    if through_channels {
        Attempts::Overlapping
    } else {
        Attempts::OneByOne
    }
}

/// The first hop of `to`, when it is to be a worker of this node and none is running there.
pub(crate) fn missing(node: &Node, to: &MultiAddr) -> Option<Address> {
    let Some(Protocol::Service(name) | Protocol::Worker(name)) = to.protocols().first() else {
        return None;
    };
    let first = Address::local(name.as_bytes()).ok()?;
    (!node.router().is_running(&first)).then_some(first)
}

/// An error with its causes, in one line.
pub(crate) fn describe(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}
