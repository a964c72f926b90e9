//! Registering a name with a relay node, and staying registered (spec: messaging 6.1, 6.5; W12).

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use ockam_identity::Identifier;
use ockam_node::{
    Access, ConnectOptions, Connection, FlowId, LocalMessage, Mailbox, Node, Origin, Router,
};
use ockam_wire::{Address, Buffer, MultiAddr, Route, bare};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::name::RelayName;
use super::{NO_RELAY, STATIC_SERVICE};
use crate::session::{Attempts, CLOSED, Dial, Failed, Heard, Pace, Session, SessionStatus, Stuck};
use crate::way::{describe, missing, stuck};

/// What a relay is, at the node that registers it.
#[derive(Debug, Clone)]
pub struct RelayOptions {
    /// The relay node.
    pub at: MultiAddr,
    /// The name to register.
    pub name: RelayName,
    /// The address of the relay service there.
    pub service: Address,
    /// How the way to the relay node is connected.
    pub connect: ConnectOptions,
    /// Who may be the relay node: checked before it is asked, and of its answer.
    pub access: Access,
    /// Between two pings of the session.
    pub ping_interval: Duration,
}

impl RelayOptions {
    /// A relay with the usual settings.
    pub fn new(at: MultiAddr, name: RelayName, connect: ConnectOptions) -> Self {
        Self {
            at,
            name,
            service: STATIC_SERVICE,
            connect,
            access: Access::ALLOW_ALL,
            ping_interval: Pace::default().ping_interval,
        }
    }
}

/// A relay that is kept registered until this is dropped.
#[derive(Debug)]
pub struct Relay {
    options: RelayOptions,
    session: Session<Registration>,
}

impl Relay {
    /// Starts registering. The relay node need not be there yet. `on_connected` runs after every registration, before it
    /// is published: workers that are to be reached through the relay are opened to its flow there.
    pub fn start(
        node: &Node,
        options: RelayOptions,
        on_connected: impl Fn(&Connection) + Send + Sync + 'static,
    ) -> Self {
        let registration = Arc::new(Registration {
            node: node.clone(),
            options: options.clone(),
            on_connected: Box::new(on_connected),
        });
        let pace = Pace {
            ping_interval: options.ping_interval,
            attempt_timeout: options.connect.timeout,
            // Two registrations of one name would replace each other.
            attempts: Attempts::OneByOne,
            ..Pace::default()
        };
        let session = Session::start(node, registration, pace, None, None);
        Self { options, session }
    }

    /// The name it registers.
    pub fn name(&self) -> &RelayName {
        &self.options.name
    }

    /// The relay node.
    pub fn at(&self) -> &MultiAddr {
        &self.options.at
    }

    /// What it is doing.
    pub fn status(&self) -> RelayStatus {
        let live = self.session.live();
        let live = live.borrow().clone();
        RelayStatus {
            session: self.session.status(),
            registered: live.as_ref().map(|live| live.registered.clone()),
            place: live.as_ref().map(|live| live.connection.place().clone()),
            peers: live.map(|live| live.connection.peers()).unwrap_or_default(),
        }
    }

    /// Waits until it is registered.
    pub async fn connected(&self) -> RegisteredRelay {
        let mut live = self.session.live();
        let registered = match live.wait_for(Option::is_some).await {
            Ok(live) => live.as_ref().map(|live| live.registered.clone()),
            Err(_) => None,
        };
        match registered {
            Some(registered) => registered,
            // The session lives as long as this relay; should its task have died, nothing will come.
            None => std::future::pending().await,
        }
    }

    /// Stops it, and waits until its connection is closed.
    pub async fn stop(&self) {
        self.session.stop().await;
    }
}

/// What a relay is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelayStatus {
    /// The session.
    pub session: SessionStatus,
    /// What the relay node has confirmed.
    pub registered: Option<RegisteredRelay>,
    /// Where the relay node is at present: its address with the names of nodes replaced.
    pub place: Option<MultiAddr>,
    /// Who is at the end of each channel on the way to the relay node, outermost first.
    pub peers: Vec<Identifier>,
}

/// A confirmed registration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegisteredRelay {
    /// The relay's address at the relay node, for example `forward_to_n1`.
    pub remote_address: Address,
    /// The route to it.
    pub forwarding_route: Route,
    /// The worker of this node that registered it.
    pub worker: Address,
}

struct Registration {
    node: Node,
    options: RelayOptions,
    on_connected: Box<dyn Fn(&Connection) + Send + Sync>,
}

struct Live {
    connection: Connection,
    registered: RegisteredRelay,
    /// Set when the relay node has ended the relay.
    ended: watch::Receiver<bool>,
    worker: JoinHandle<()>,
}

impl Drop for Live {
    fn drop(&mut self) {
        self.worker.abort();
    }
}

impl Registration {
    async fn register(
        &self,
        connection: &Connection,
        until: Instant,
    ) -> Result<(RegisteredRelay, Mailbox), String> {
        let router = self.node.router();
        let own = self.node.random_address();
        let mut mailbox = router
            .start_mailbox(std::slice::from_ref(&own), self.options.access.clone())
            .map_err(|error| error.to_string())?;
        if let Some(flow) = connection.flow() {
            router.add_consumer(&own, flow);
        }
        let mut onward = connection.route().clone();
        onward
            .push_back(&self.options.service)
            .map_err(|error| error.to_string())?;
        let mut again = FIRST_REPEAT;
        loop {
            let body = bare::encode_str(self.options.name.as_str());
            let back = Route::from_hops([own.clone()]).map_err(|error| error.to_string())?;
            router
                .send(&own, onward.clone(), back, Buffer::from_slice(&body))
                .await
                .map_err(|error| error.to_string())?;
            // The service may start later than the listener of its node: ask again, the name is ours already.
            let repeat = Instant::now() + again;
            again *= 2;
            loop {
                let message = tokio::select! {
                    message = mailbox.recv() => message,
                    () = connection.closed() => return Err("the connection was closed".to_owned()),
                    () = sleep_until(repeat.min(until)) => break,
                };
                if !Sender::of(connection).sent(&message) {
                    continue;
                }
                if says_none(&message) {
                    return Err(self.refused());
                }
                if let Some(registered) = self.confirmed(&own, &message) {
                    return Ok((registered, mailbox));
                }
            }
            if Instant::now() >= until {
                return Err(self.unconfirmed());
            }
        }
    }

    fn unconfirmed(&self) -> String {
        format!(
            "the relay node did not confirm `{}`: another node may have that name there, or it relays only \
             through a secure channel (`/secure/api`), or not at all",
            self.options.name
        )
    }

    fn refused(&self) -> String {
        format!(
            "the relay node refuses `{}`: it is not allowed to this identity there, or another node has that name",
            self.options.name
        )
    }

    /// The registration that `message` confirms.
    fn confirmed(&self, own: &Address, message: &LocalMessage) -> Option<RegisteredRelay> {
        let text = bare::decode_str(message.payload.as_slice()).ok()?;
        let remote = message.return_route.last()?;
        if !self.options.name.is_confirmed_by(text) || !remote.is_local() {
            return None;
        }
        Some(RegisteredRelay {
            remote_address: remote.to_address(),
            forwarding_route: message.return_route.clone(),
            worker: own.clone(),
        })
    }
}

impl Dial for Registration {
    type Live = Live;

    async fn dial(&self, budget: Duration) -> Result<Live, Failed> {
        let until = Instant::now() + budget;
        let before = missing(&self.node, &self.options.at);
        let failed = |why: String| {
            let after = || missing(&self.node, &self.options.at);
            Failed::new(why).without(before.clone().or_else(after))
        };
        let options = ConnectOptions {
            timeout: budget,
            ..self.options.connect.clone()
        };
        let reached = AtomicUsize::new(0);
        let connection = self
            .node
            .connect_watched(&self.options.at, options, None, &reached)
            .await
            .map_err(|error| failed(describe(&error)).at(stuck(&reached, &error)))?;
        let registered = timeout_at(until, self.register(&connection, until)).await;
        match registered.unwrap_or_else(|_| Err(self.unconfirmed())) {
            Ok((registered, mailbox)) => {
                (self.on_connected)(&connection);
                let (end, ended) = watch::channel(false);
                let from = Sender::of(&connection);
                let passing_on = pass_on(self.node.router().clone(), mailbox, from, end);
                Ok(Live {
                    worker: tokio::spawn(passing_on),
                    connection,
                    registered,
                    ended,
                })
            }
            Err(why) => {
                connection.close().await;
                Err(failed(why).at(Stuck {
                    part: connection.place().protocols().len(),
                    heard: Heard::Nothing,
                }))
            }
        }
    }

    fn node_route(live: &Live) -> Option<Route> {
        Some(live.connection.route().clone())
    }

    async fn closed(live: &Live) {
        let mut ended = live.ended.clone();
        tokio::select! {
            () = live.connection.closed() => {}
            _ = ended.wait_for(|ended| *ended) => {}
        }
    }

    fn why_closed(live: &Live) -> &'static str {
        if *live.ended.borrow() {
            "the relay node has ended the relay: it is not allowed to this identity any more"
        } else {
            CLOSED
        }
    }

    async fn close(live: &Live) {
        live.connection.close().await;
    }

    fn label(&self) -> String {
        format!("relay `{}` at {}", self.options.name, self.options.at)
    }
}

/// The relay node, as its messages arrive.
#[derive(Debug)]
struct Sender {
    identity: Option<Identifier>,
    flow: Option<FlowId>,
}

impl Sender {
    fn of(connection: &Connection) -> Self {
        Self {
            identity: connection.peer().map(|peer| peer.identifier),
            flow: connection.flow(),
        }
    }

    /// Whether a message to the registration worker is the relay node's own word (spec: messaging 12 W12).
    fn sent(&self, message: &LocalMessage) -> bool {
        let origin = &message.origin;
        message.onward.len() == 1
            && origin.peer.as_ref().map(|peer| peer.identifier) == self.identity
            && origin.producer.map(|producer| producer.id) == self.flow
    }
}

/// Whether a relay node says that there is no relay (spec: extensions 4.7).
fn says_none(message: &LocalMessage) -> bool {
    bare::decode_str(message.payload.as_slice()) == Ok(NO_RELAY)
}

/// Passes on what a relay node sends through the registration worker, which some do (spec: messaging 6.2); and notes when
/// it says that the relay has ended.
async fn pass_on(router: Router, mut mailbox: Mailbox, from: Sender, end: watch::Sender<bool>) {
    let own = mailbox.address().clone();
    loop {
        let mut message = mailbox.recv().await;
        if from.sent(&message) && says_none(&message) {
            end.send_replace(true);
            continue;
        }
        message.onward.drop_front();
        // A later confirmation has nothing behind this worker; a message for this worker again would turn in circles.
        if message.onward.first().is_none_or(|next| next == own) {
            continue;
        }
        // The permission to enter stays that of the connection it came over.
        message.origin = Origin {
            source: own.clone(),
            peer: message.origin.peer,
            producer: message.origin.producer,
        };
        drop(router.deliver(message).await);
    }
}

const FIRST_REPEAT: Duration = Duration::from_secs(1);
