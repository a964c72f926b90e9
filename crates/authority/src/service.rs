//! The services of an authority as workers of a node.
//!
//! Specification: trust 7.1.

use std::sync::Arc;
use std::time::Duration;

use ockam_node::{LocalMessage, Node, StartError};
use ockam_wire::Address;
use ockam_wire::envelope::{MessageId, Response, Status};
use tokio::task::JoinHandle;

use crate::answering::{Answering, Room, Serving, WayBack};
use crate::authority::{Authority, Caller, random};
use crate::members::Members;
use crate::message::PROJECT;
use crate::requests::{Answer, Service};

/// The running services of an authority; they stop when this is dropped.
#[derive(Debug)]
pub struct AuthorityServices {
    addresses: Vec<Address>,
    tidy: JoinHandle<()>,
    _serving: Vec<Serving>,
}

impl AuthorityServices {
    /// Starts these services. They answer the peers of secure channels, once their addresses are opened to a listener.
    ///
    /// # Errors
    /// An address is in use.
    pub fn start<M: Members>(
        node: &Node,
        authority: &Arc<Authority<M>>,
        services: &[Service],
    ) -> Result<Self, StartError> {
        let room = Room::new(node, MOST_REQUESTS);
        let (mut addresses, mut serving) = (Vec::new(), Vec::new());
        for service in services {
            let address = Address::from_static(service.address());
            let worker = Worker {
                node: node.clone(),
                authority: authority.clone(),
                service: *service,
            };
            serving.push(room.serve(&address, worker)?);
            addresses.push(address);
        }
        Ok(Self {
            addresses,
            tidy: tokio::spawn(tidy(authority.clone())),
            _serving: serving,
        })
    }

    /// Where they are.
    #[must_use]
    pub fn addresses(&self) -> &[Address] {
        &self.addresses
    }
}

impl Drop for AuthorityServices {
    fn drop(&mut self) {
        self.tidy.abort();
    }
}

async fn tidy<M: Members>(authority: Arc<Authority<M>>) {
    loop {
        tokio::time::sleep(TIDY).await;
        if let Err(error) = authority.tidy().await {
            tracing::warn!("{error}: {:?}", std::error::Error::source(&error));
        }
    }
}

struct Worker<M> {
    node: Node,
    authority: Arc<Authority<M>>,
    service: Service,
}

impl<M: Members> Answering for Worker<M> {
    type Answer = Answer;

    async fn answer(&self, message: LocalMessage) -> Option<Answer> {
        let caller = message.origin.peer.as_ref().map(|peer| Caller {
            history: peer.history(),
            source: self.node.router().source_behind(&peer.channel),
            channel: peer.channel.clone(),
            administers_project: self.administers_project(&peer.identifier),
        });
        let offered = message
            .origin
            .peer
            .as_ref()
            .is_some_and(|peer| peer.extensions.withdrawals.is_some());
        if self.service == Service::WithdrawalNotices && caller.is_some() && !offered {
            // spec: extensions 4.1: to whoever did not offer it, it is not there.
            return None;
        }
        self.authority
            .answer(self.service, caller.as_ref(), message.payload.as_slice())
            .await
    }

    /// Answers the same request again and again, until the subscription ends or the way back is blocked.
    async fn follow(&self, mut answer: Answer, back: WayBack) {
        let Some(further) = &mut answer.further else {
            return;
        };
        while let Some(body) = further.recv().await {
            let id = MessageId(u32::from_be_bytes(random()).max(1));
            let response = Response::new(id, answer.re, Status::Ok).encode(Some(&body));
            if !back.send(&response).await {
                return;
            }
        }
    }
}

impl<M: Members> Worker<M> {
    /// spec: trust 7.2
    fn administers_project(&self, who: &ockam_identity::Identifier) -> bool {
        let options = self.authority.options();
        // The node may trust somebody else, and be it this authority itself, whose enrollers choose attributes.
        let Some(account_authority) = &options.account_authority else {
            return false;
        };
        let attested = self.node.attested().get(who);
        attested.is_some_and(|attested| {
            attested.issuer() == account_authority
                && attested.attributes().get(PROJECT.as_bytes()) == Some(options.project.as_bytes())
        })
    }
}

/// Requests that are done at the same time.
const MOST_REQUESTS: usize = 256;
const TIDY: Duration = Duration::from_secs(60);
