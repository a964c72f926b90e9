//! Connections that are kept up under one address (spec: messaging 8).
//!
//! A route over a kept connection begins with its **entrance**: the encryptor of its innermost channel, or the sender of
//! its transport connection. A connection that takes the place of an earlier one is entered at the same address, so what
//! was given such a route, or stands on it, need not be told.
//!
//! Invariants: at most one connection is entered at the address; it is closed when the kept connection stops or is
//! dropped; a peer whose `echo` never answered over a connection is not believed to be gone only because it is silent.

use std::sync::Arc;
use std::time::Duration;

use ockam_node::{ConnectOptions, Connection, Node};
use ockam_wire::{Address, MultiAddr};

use crate::session::{Echo, Hints, Pace, Session, SessionStatus};
use crate::way::{Way, attempts};

/// What a kept connection is.
#[derive(Debug, Clone)]
pub struct KeptOptions {
    /// Where it leads.
    pub to: MultiAddr,
    /// How it is connected.
    pub connect: ConnectOptions,
    /// Where it is entered.
    pub entrance: Address,
    /// Between two pings of the session.
    pub ping_interval: Duration,
    /// Of the kept connection that `to` begins with, when it does.
    pub over: Option<Hints>,
}

impl KeptOptions {
    /// A kept connection with the usual settings.
    pub fn new(to: MultiAddr, connect: ConnectOptions, entrance: Address) -> Self {
        Self {
            to,
            connect,
            entrance,
            ping_interval: Pace::default().ping_interval,
            over: None,
        }
    }
}

/// A connection that is kept up under one address until this is dropped.
#[derive(Debug)]
pub struct KeptConnection {
    to: MultiAddr,
    entrance: Address,
    session: Session<Way>,
}

impl KeptConnection {
    /// Keeps up a connection: `live`, which is entered at the address, or one that is made now. What it leads to need not
    /// be there yet.
    pub fn start(node: &Node, options: KeptOptions, live: Option<Connection>) -> Self {
        let KeptOptions {
            to,
            connect,
            entrance,
            ping_interval,
            over,
        } = options;
        let pace = Pace {
            ping_interval,
            attempts: attempts(&to),
            attempt_timeout: connect.timeout,
            echo: Echo::Optional,
            suspicion: SUSPICION,
            ..Pace::default()
        };
        let way = Arc::new(Way {
            node: node.clone(),
            label: format!("{to}, entered at {entrance},"),
            to: to.clone(),
            connect,
            entrance: Some(entrance.clone()),
        });
        Self {
            to,
            entrance,
            session: Session::start(node, way, pace, live, over),
        }
    }

    /// Where it leads.
    pub fn to(&self) -> &MultiAddr {
        &self.to
    }

    /// Where it is entered.
    pub fn entrance(&self) -> &Address {
        &self.entrance
    }

    /// The present connection.
    pub fn live(&self) -> Option<Connection> {
        self.session.live().borrow().as_deref().cloned()
    }

    /// What it is doing.
    pub fn status(&self) -> SessionStatus {
        self.session.status()
    }

    /// For what stands on it, to tell it what is noticed there.
    pub fn hints(&self) -> Hints {
        self.session.hints()
    }

    /// Waits until it is up.
    pub async fn connected(&self) {
        drop(self.session.live().wait_for(Option::is_some).await);
    }

    /// Stops it, and waits until its connection is closed.
    pub async fn stop(&self) {
        self.session.stop().await;
    }
}

/// A little more than what stands on it takes, which hears more: whoever suspects it may still hear something.
const SUSPICION: Duration = Duration::from_millis(2200);
