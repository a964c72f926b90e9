//! Two nodes with one authority between them.

use std::sync::Arc;
use std::time::Duration;

use ockam_channel::LocalIdentity;
use ockam_identity::{CredentialBundle, Identifier, VerifiedHistory};
use ockam_node::{
    Access, Authority, ChannelOptions, FlowId, ListenerOptions, Mailbox, Node, NodeOptions,
    ReplaceableIdentity, SecureChannel, TcpListener,
};
use ockam_wire::{Address, Buffer, Route};

/// A node with an identity, a listener for channels, and a worker that takes what comes through them.
pub(crate) struct Party {
    pub(crate) node: Node,
    pub(crate) history: VerifiedHistory,
    first: Arc<LocalIdentity>,
    pub(crate) identity: Arc<ReplaceableIdentity>,
    listener: TcpListener,
    pub(crate) channels: FlowId,
    sink: Mailbox,
}

impl Party {
    pub(crate) async fn start(authority: Option<&VerifiedHistory>) -> Self {
        let node = Node::new(NodeOptions {
            authority: authority.cloned().map(Authority::new),
            ..NodeOptions::default()
        });
        let identity = node.ephemeral_identity().unwrap();
        Self::start_as(node, identity).await
    }

    pub(crate) async fn start_as(node: Node, identity: LocalIdentity) -> Self {
        let first = Arc::new(identity);
        let identity = Arc::new(ReplaceableIdentity::new(Ok(first.clone())));
        let listener = node.tcp_listen("127.0.0.1:0").await.unwrap();
        let options = ListenerOptions {
            identity: identity.clone(),
            authorized: Vec::new(),
            timeout: TIMEOUT,
        };
        let channels = node.start_channel_listener(&API, options).unwrap().flow();
        let sink = node
            .router()
            .start_mailbox(&[SINK], Access::ALLOW_ALL)
            .unwrap();
        node.router().add_consumer(&API, listener.flow());
        node.router().add_consumer(&SINK, channels);
        Self {
            history: first.history.clone(),
            node,
            first,
            identity,
            listener,
            channels,
            sink,
        }
    }

    pub(crate) fn identifier(&self) -> &Identifier {
        self.history.identifier()
    }

    pub(crate) fn port(&self) -> u16 {
        self.listener.address().port()
    }

    /// Presents these from now on.
    pub(crate) fn present(&self, credentials: Vec<CredentialBundle>) {
        self.identity.replace(Ok(Arc::new(LocalIdentity {
            history: self.history.clone(),
            credentials,
            ..self.first.as_ref().clone()
        })));
    }

    pub(crate) async fn open(&self, to: &Self) -> SecureChannel {
        let options = ChannelOptions {
            identity: self.identity.clone(),
            authorized: Vec::new(),
            timeout: TIMEOUT,
            encryptor: None,
        };
        let at = format!("127.0.0.1:{}", to.port());
        let connection = self.node.tcp_connect(&at).await.unwrap();
        let route = Route::from_hops([connection.sender().clone(), API]).unwrap();
        self.node.create_channel(route, options).await.unwrap()
    }

    /// Sends a message through the channel to the worker of the other side.
    pub(crate) async fn tell(&self, channel: &SecureChannel) {
        self.send(channel, &SINK).await;
    }

    pub(crate) async fn send(&self, channel: &SecureChannel, to: &Address) {
        let route = Route::from_hops([channel.encryptor().clone(), to.clone()]).unwrap();
        let own = Address::from_static("own");
        let router = self.node.router();
        router
            .send(&own, route, Route::new(), Buffer::from_slice(b"x"))
            .await
            .unwrap();
    }

    /// Waits for such a message.
    pub(crate) async fn hear(&mut self) {
        tokio::time::timeout(TIMEOUT, self.sink.recv())
            .await
            .expect("the message arrives");
    }

    /// What this node holds proven of `peer` under that name.
    pub(crate) fn attested(&self, peer: &Self, name: &str) -> Option<String> {
        let attested = self.node.attested().get(peer.identifier())?;
        let value = attested.attributes().get(name.as_bytes())?;
        Some(String::from_utf8_lossy(value).into_owned())
    }

    /// Which rules denied something to `peer`, sorted.
    pub(crate) fn denied(&self, peer: &Self) -> Vec<String> {
        let mut rules: Vec<_> = self
            .node
            .denials()
            .all()
            .into_iter()
            .filter(|denial| denial.who.as_ref() == Some(peer.identifier()))
            .map(|denial| denial.rule.to_string())
            .collect();
        rules.sort();
        rules
    }
}

/// An identity that presents credentials from its first handshake on.
pub(crate) fn with_credentials(
    node: &Node,
    issue: impl FnOnce(&VerifiedHistory) -> Vec<CredentialBundle>,
) -> LocalIdentity {
    let mut identity = node.ephemeral_identity().unwrap();
    identity.credentials = issue(&identity.history);
    identity
}

pub(crate) const API: Address = Address::from_static("api");
pub(crate) const SINK: Address = Address::from_static("sink");
pub(crate) const TIMEOUT: Duration = Duration::from_secs(10);
