//! Accepting channels.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ockam_channel::{MAX_HANDSHAKE_MESSAGE, Rejected, Responder};
use ockam_identity::{Identifier, VerifiedHistory};
use ockam_wire::{Address, Buffer, Route};
use tokio::sync::watch;
use tokio::time::timeout;

use super::decryptor::{Pending, Way};
use super::is_accepted;
use crate::access::Access;
use crate::admission::Admission;
use crate::denials::DeniedBy;
use crate::flow_control::FlowId;
use crate::message::LocalMessage;
use crate::node::Node;
use crate::own_identity::{OwnIdentity, Taken};
use crate::router::StartError;

/// How channels are accepted.
#[derive(Debug, Clone)]
pub struct ListenerOptions {
    /// The identity to present.
    pub identity: Arc<dyn OwnIdentity>,
    /// Whom to accept; empty: anyone.
    pub authorized: Vec<Identifier>,
    /// How long an initiator may take to finish its handshake.
    pub timeout: Duration,
}

/// A worker that accepts secure channels. It stops when [`ChannelListener::close`] is called.
#[derive(Debug, Clone)]
pub struct ChannelListener {
    address: Address,
    flow: FlowId,
    closed: Arc<watch::Sender<bool>>,
}

impl ChannelListener {
    /// Its address, for example `api`.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// The spawner id of all channels that it accepts: what services are opened to.
    pub fn flow(&self) -> FlowId {
        self.flow
    }

    /// Stops accepting; open channels go on.
    pub fn close(&self) {
        self.closed.send_replace(true);
    }
}

impl Node {
    /// Accepts secure channels at `address` (spec: trust 5.1).
    ///
    /// # Errors
    /// The address is in use.
    pub fn start_channel_listener(
        &self,
        address: &Address,
        options: ListenerOptions,
    ) -> Result<ChannelListener, StartError> {
        let mut mailbox = self
            .router()
            .start_mailbox(std::slice::from_ref(address), Access::ALLOW_ALL)?;
        let (closed, mut is_closed) = watch::channel(false);
        let listener = ChannelListener {
            address: address.clone(),
            flow: self.random_flow(),
            closed: Arc::new(closed),
        };
        let accepting = Accepting {
            node: self.clone(),
            options: Arc::new(options),
            admission: Admission::new(self.limits().pending_handshakes, usize::MAX),
            listener: listener.clone(),
            unnamed: Arc::default(),
        };
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    message = mailbox.recv() => accepting.accept(message),
                    _ = is_closed.wait_for(|closed| *closed) => break,
                }
            }
            accepting.node.router().end_flow(accepting.listener.flow);
        });
        Ok(listener)
    }
}

struct Accepting {
    node: Node,
    options: Arc<ListenerOptions>,
    /// By the flow they came in with.
    admission: Admission<Option<FlowId>>,
    listener: ChannelListener,
    unnamed: Arc<Unnamed>,
}

/// The peers that were accepted although nobody named them: each is warned about once.
#[derive(Default)]
struct Unnamed {
    // Held for one insertion.
    warned: Mutex<HashSet<Identifier>>,
}

impl Unnamed {
    fn accepted(&self, listener: &Address, peer: Identifier) {
        let mut warned = self.warned.lock().unwrap_or_else(PoisonError::into_inner);
        if warned.len() < MOST_WARNINGS && warned.insert(peer) {
            tracing::warn!(
                %peer, %listener,
                "accepted a peer that nobody named; only the identifiers given with --authorized are accepted when there are any"
            );
        }
    }
}

impl Accepting {
    /// Answers one message 1 in a task of its own. The oldest unfinished handshake of the busiest connection makes room
    /// for a new one.
    fn accept(&self, message_1: LocalMessage) {
        if message_1.payload.len() > MAX_HANDSHAKE_MESSAGE {
            tracing::debug!("secure channel refused: its first message is too long");
            return;
        }
        if let Some(far) = self.node.router().far_behind(&message_1.return_route)
            && !far.handshakes.take(&far.source, Instant::now())
        {
            let why = DeniedBy::Handshake(format!("too many from {}", far.source));
            self.node
                .denials()
                .note_at(None, &self.listener.address, &why);
            return;
        }
        let source = message_1.origin.producer.map(|producer| producer.id);
        let ticket = self.admission.admit(source, self.node.uptime());
        let (node, options, listener) = (
            self.node.clone(),
            self.options.clone(),
            self.listener.clone(),
        );
        let unnamed = self.unnamed.clone();
        tokio::spawn(async move {
            let (flow, wait) = (listener.flow, options.timeout);
            tokio::select! {
                done = timeout(wait, respond(&node, &options, &listener.address, flow, message_1)) => match done {
                    // On a strict node a channel alone gives nothing.
                    Ok(Ok(peer)) => if options.authorized.is_empty() && !node.is_strict() {
                        unnamed.accepted(&listener.address, peer);
                    },
                    Ok(Err(NotOpened::Refused(who, why))) => node.denials().note_at(
                        who.as_ref(), &listener.address, &DeniedBy::Handshake(why),
                    ),
                    Ok(Err(NotOpened::Failed(error))) => tracing::debug!("secure channel not opened: {error}"),
                    Err(_) => tracing::debug!("secure channel refused: the initiator did not finish its handshake in time"),
                },
                () = ticket.evicted() => tracing::debug!("secure channel refused: too many unfinished handshakes"),
            }
        });
    }
}

/// Why there is no channel.
enum NotOpened {
    /// Who was refused, as far as it proved who it is, and why.
    Refused(Option<Identifier>, String),
    /// Something else than the peer.
    Failed(Box<dyn std::error::Error + Send + Sync>),
}

impl<E: Into<Box<dyn std::error::Error + Send + Sync>>> From<E> for NotOpened {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

async fn respond(
    node: &Node,
    options: &ListenerOptions,
    listener: &Address,
    spawner: FlowId,
    message_1: LocalMessage,
) -> Result<Identifier, NotOpened> {
    let router = node.router();
    let to_peer = message_1.return_route;
    let Some(first_hop) = to_peer.first().map(|first| first.to_address()) else {
        return Err("message 1 has no return route".into());
    };
    let own_identity = Taken::from(&options.identity)
        .await
        .map_err(|error| NotOpened::Refused(None, error.to_string()))?;
    let responder = Responder::new(
        node.provider(),
        own_identity.identity.clone(),
        node.fresh_ephemeral(),
        &node.own_offer(),
    )?
    .verifying_with(node.verifier().clone());
    let (mut awaiting, message_2) = responder
        .read_message_1(message_1.payload.as_slice())
        .map_err(|refused| NotOpened::Refused(None, refused.error.to_string()))?;
    let mut pending = Pending::start(node)?;
    let own = pending.address().clone();
    // spec: messaging 4.3 (reachable the way the listener is, and the way that this initiator came)
    for id in router.consumed_by(listener) {
        router.add_consumer(&own, id);
    }
    let source = message_1.origin.producer.map(|producer| producer.id);
    if let Some(producer) = message_1.origin.producer {
        router.add_consumer_of(&own, &producer);
    }
    let back = Route::from_hops([own.clone()]).unwrap_or_default();
    router
        .send(&own, to_peer.clone(), back, Buffer::from_slice(&message_2))
        .await?;
    let gone = router.gone(&first_hop);
    tokio::pin!(gone);
    loop {
        let message_3 = tokio::select! {
            received = pending.reader.recv() => received.ok_or("the handshake was stopped")?.into_inner(),
            () = &mut gone => return Err("the connection of the initiator was closed".into()),
        };
        let presented =
            match awaiting.read_message_3(node.unix_time(), message_3.payload.as_slice()) {
                Ok(presented) => presented,
                Err(refused) => {
                    // spec: trust 5.12 (a damaged message leaves the state as it was)
                    let why = DeniedBy::Handshake(refused.error.to_string());
                    node.denials().note_at(None, listener, &why);
                    awaiting = refused.state;
                    continue;
                }
            };
        let peer = *presented.history().identifier();
        if !is_accepted(&options.authorized, &peer) {
            return Err(NotOpened::Refused(Some(peer), NOT_AUTHORIZED.to_owned()));
        }
        if let Err(error) = node.import_history(presented.history()).await {
            return Err(NotOpened::Refused(Some(peer), error.to_string()));
        }
        let mut checked = |_: &VerifiedHistory| -> Result<(), Rejected> { Ok(()) };
        let established = presented
            .accept(&mut checked)
            .map_err(|refused| refused.error)?;
        node.take_credentials(established.peer.history(), established.peer.credentials());
        let way = Way {
            to_peer: to_peer.clone(),
            spawner: Some(spawner),
            accepted: Some(node.accepted_channels().admit(source, node.uptime())),
            authorized: options.authorized.clone(),
            encryptor: None,
        };
        pending.establish(node, own_identity, established, to_peer, way)?;
        return Ok(peer);
    }
}

/// What is noted of a peer that is not among those accepted.
const NOT_AUTHORIZED: &str = "not an authorized identifier";
/// Peers that are remembered for having been warned about.
const MOST_WARNINGS: usize = 1024;
