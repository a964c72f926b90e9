//! A node that lives as long as one command, for messages and channels that no other node is asked to send or open.

use std::sync::Arc;
use std::time::Duration;

use ockam_node::services::{self, ECHO, Service};
use ockam_node::{
    Access, Authority, ConnectError, ConnectOptions, FixedIdentity, Node, NodeOptions, OwnIdentity,
};
use ockam_store::IdentityName;
use ockam_wire::{Buffer, MultiAddr, Protocol, Route};

use crate::home::identities;
use crate::home::trust::Trusted;
use crate::managed::{StoredHistories, StoredNodes};
use crate::membership::{self, Applicant};
use crate::noun::message::{MessageReply, MessageSpec};
use crate::noun::secure_channel::ChannelItem;
use crate::outcome::{Code, Failure};
use crate::record::FlowControlId;
use crate::state::State;

/// A node within a command.
#[derive(Debug)]
pub struct Ephemeral {
    node: Node,
    identity: Arc<dyn OwnIdentity>,
    // spec: command 3.6 (in-memory nodes start only `echo`)
    _echo: Service,
}

impl Ephemeral {
    /// Starts it as the named identity, or the default one, which is made when there is none (spec: command 3.7).
    ///
    /// # Errors
    /// The identity cannot be used.
    pub async fn start(state: &State, identity: Option<&IdentityName>) -> Result<Self, Failure> {
        Self::start_trusting(state, identity, None).await
    }

    /// As [`Ephemeral::start`], with an authority whose credentials count and that issues the one to present.
    ///
    /// # Errors
    /// The identity cannot be used.
    pub async fn start_trusting(
        state: &State,
        identity: Option<&IdentityName>,
        trusted: Option<&Trusted>,
    ) -> Result<Self, Failure> {
        let record = identities::find_or_default(state, identity).await?;
        let own: Arc<dyn OwnIdentity> =
            Arc::new(FixedIdentity(identities::local(state, &record).await?));
        let histories = Arc::new(StoredHistories::new(state.store()));
        let node = Node::new(NodeOptions {
            histories,
            names: Arc::new(StoredNodes(state.clone())),
            authority: trusted.map(|trusted| Authority::new(trusted.authority.clone())),
            ..NodeOptions::default()
        });
        let identity = match trusted {
            Some(trusted) => {
                let store = state.store();
                let applicant =
                    Applicant::of(store, &node, trusted, record.identifier, own).await?;
                membership::presented(store, &node, trusted, applicant, None)
            }
            None => own,
        };
        let echo = services::start_echo(&node, ECHO).map_err(|error| {
            Failure::internal("the node of this command could not start", &error)
        })?;
        Ok(Self {
            node,
            identity,
            _echo: echo,
        })
    }

    /// Sends a message and waits for the reply.
    ///
    /// # Errors
    /// The route cannot be connected, or no reply came in time.
    pub async fn send(&self, spec: &MessageSpec) -> Result<MessageReply, Failure> {
        send(&self.node, self.identity.clone(), &spec.to, spec).await
    }

    /// Opens a channel to the listener at the end of a route, and tells who is there.
    ///
    /// # Errors
    /// The route cannot be connected or does not end at a listener.
    pub async fn look_at_listener(
        &self,
        state: &State,
        at: &MultiAddr,
        timeout: Duration,
    ) -> Result<ChannelItem, Failure> {
        let to = ends_at_listener(&state.replace_nodes(at).await?)?;
        let options = ConnectOptions {
            identity: self.identity.clone(),
            authorized: Vec::new(),
            timeout,
        };
        let connection = self
            .node
            .connect(&to, options)
            .await
            .map_err(|error| not_connected(&to, error))?;
        let item = connection
            .channels()
            .last()
            .map(|channel| item(channel, &[]));
        connection.close().await;
        item.ok_or_else(|| {
            Failure::new(format!(
                "the route {at} does not end at a secure channel listener"
            ))
        })
    }
}

/// Sends a message from a worker of `node`, which lives until the reply has come.
pub(crate) async fn send(
    node: &Node,
    identity: Arc<dyn OwnIdentity>,
    to: &MultiAddr,
    spec: &MessageSpec,
) -> Result<MessageReply, Failure> {
    let timeout = spec.timeout.0;
    let body = hex::decode(&spec.body).map_err(|error| {
        Failure::new("the body of the message is not hexadecimal").cause(error.to_string())
    })?;
    // spec: command 3.3 (no reply)
    let too_late = || Failure::coded(Code::Unavailable, format!("timeout: {}", spec.timeout));
    let deadline = tokio::time::Instant::now() + timeout;
    let options = ConnectOptions {
        identity,
        authorized: Vec::new(),
        timeout,
    };
    let connection = match node.connect(to, options).await {
        Err(ConnectError::Timeout(_)) => return Err(too_late()),
        connection => connection.map_err(|error| not_connected(to, error))?,
    };
    let exchange = async {
        let own = node.random_address();
        let mut mailbox = node
            .router()
            .start_mailbox(std::slice::from_ref(&own), Access::ALLOW_ALL)
            .map_err(|error| Failure::internal("the message could not be sent", &error))?;
        if let Some(flow) = connection.flow() {
            node.router().add_consumer(&own, flow);
        }
        let back = Route::from_hops([own.clone()]).unwrap_or_default();
        node.router()
            .send(
                &own,
                connection.route().clone(),
                back,
                Buffer::from_slice(&body),
            )
            .await
            .map_err(|error| Failure::internal("Failed to send message", &error))?;
        let reply = mailbox.recv().await;
        Ok(MessageReply {
            body: hex::encode(reply.payload.as_slice()),
        })
    };
    let reply = tokio::time::timeout_at(deadline, exchange)
        .await
        .unwrap_or_else(|_| Err(too_late()));
    connection.close().await;
    reply
}

/// The same route with a handshake at its last address, which is that of a listener.
pub(crate) fn ends_at_listener(route: &MultiAddr) -> Result<MultiAddr, Failure> {
    let invalid = || {
        Failure::new(format!(
            "the route {route} does not end at a secure channel listener"
        ))
        .help("end it with the address of a listener, for example /node/n1/service/api")
    };
    let (last, before) = route.protocols().split_last().ok_or_else(invalid)?;
    let (Protocol::Service(listener) | Protocol::Worker(listener) | Protocol::Secure(listener)) =
        last
    else {
        return Err(invalid());
    };
    MultiAddr::new(
        before
            .iter()
            .cloned()
            .chain([Protocol::Secure(listener.clone())]),
    )
    .map_err(|error| invalid().caused_by(&error))
}

/// A channel as the control API shows it.
pub(crate) fn item(
    channel: &ockam_node::SecureChannel,
    authorized: &[ockam_identity::Identifier],
) -> ChannelItem {
    ChannelItem {
        address: service(channel.encryptor()),
        route: MultiAddr::from_route(channel.route())
            .map_or_else(|_| channel.route().to_string(), |route| route.to_string()),
        authorized_identifiers: (!authorized.is_empty())
            .then(|| authorized.iter().map(ToString::to_string).collect()),
        flow_control_id: FlowControlId(channel.flow().to_string()),
        their_identifier: channel.peer().identifier.to_string(),
        their_change_history: hex::encode(channel.peer().history().as_bytes()),
    }
}

/// A local address as users write it.
pub(crate) fn service(address: &ockam_wire::Address) -> String {
    format!("/service/{}", String::from_utf8_lossy(address.name()))
}

/// A route that could not be connected.
pub(crate) fn not_connected(to: &MultiAddr, error: ConnectError) -> Failure {
    let code = match &error {
        ConnectError::Transport { .. } | ConnectError::Channel(_) | ConnectError::Timeout(_) => {
            Code::Unavailable
        }
        _ => Code::Internal,
    };
    Failure::coded(code, format!("could not connect to {to}")).caused_by(&error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_address_of_a_route_is_the_listener() {
        let end = |text: &str| {
            ends_at_listener(&text.parse().expect(text)).map(|route| route.to_string())
        };
        assert_eq!(
            end("/ip4/1.2.3.4/tcp/5/service/api").as_deref(),
            Ok("/ip4/1.2.3.4/tcp/5/secure/api")
        );
        assert_eq!(
            end("/service/a/secure/api").as_deref(),
            Ok("/service/a/secure/api")
        );
        assert!(end("/ip4/1.2.3.4/tcp/5").is_err());
    }
}
