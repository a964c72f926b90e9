//! The services of an authority as workers of a node.
//!
//! Each service has a mailbox. Requests are done side by side, a bounded number of them; neither a slow caller nor a long
//! list holds up the others.
//!
//! Specification: trust 7.1.

use std::sync::Arc;
use std::time::Duration;

use ockam_node::{Access, LocalMessage, Mailbox, Node, StartError};
use ockam_wire::envelope::{MessageId, Response, Status};
use ockam_wire::{Address, Buffer, Route};
use tokio::sync::Semaphore;
use tokio::task::{JoinHandle, JoinSet};

use crate::authority::{Authority, Caller, random};
use crate::limits::UnderWay;
use crate::members::Members;
use crate::message::PROJECT;
use crate::requests::{Answer, Service};

/// The running services of an authority; they stop when this is dropped.
#[derive(Debug)]
pub struct AuthorityServices {
    addresses: Vec<Address>,
    tasks: Vec<JoinHandle<()>>,
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
        let room = Arc::new(Semaphore::new(MOST_REQUESTS));
        let askers = UnderWay::default();
        let mut started = Self {
            addresses: Vec::new(),
            tasks: Vec::new(),
        };
        for service in services {
            let address = Address::from_static(service.address());
            let mailbox = node
                .router()
                .start_mailbox(std::slice::from_ref(&address), Access::ALLOW_ALL)?;
            let worker = Worker {
                node: node.clone(),
                authority: authority.clone(),
                service: *service,
                own: address.clone(),
            };
            started.addresses.push(address);
            started.tasks.push(tokio::spawn(run(
                Arc::new(worker),
                mailbox,
                room.clone(),
                askers.clone(),
            )));
        }
        started.tasks.push(tokio::spawn(tidy(authority.clone())));
        Ok(started)
    }

    /// Where they are.
    #[must_use]
    pub fn addresses(&self) -> &[Address] {
        &self.addresses
    }
}

impl Drop for AuthorityServices {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

async fn run<M: Members>(
    worker: Arc<Worker<M>>,
    mut mailbox: Mailbox,
    room: Arc<Semaphore>,
    askers: UnderWay,
) {
    // Ends all that it began when it ends.
    let mut under_way = JoinSet::new();
    loop {
        let message = mailbox.recv().await;
        while under_way.try_join_next().is_some() {}
        let who = message.origin.peer.as_ref().map(|peer| peer.identifier);
        let Some(begun) = askers.begin(who) else {
            tracing::debug!(
                ?who,
                "a request is passed over: too many are not answered yet"
            );
            continue;
        };
        let Ok(permit) = room.clone().acquire_owned().await else {
            return;
        };
        let worker = worker.clone();
        under_way.spawn(async move {
            let answered = worker.serve(message).await;
            // An answer may wait for whoever asked, and only requests of the same asker wait with it.
            drop(permit);
            let Some((answer, onward)) = answered else {
                return;
            };
            let sent = worker.send(onward.clone(), &answer.message).await;
            drop(begun);
            if sent && answer.further.is_some() {
                worker.go_on(answer, onward).await;
            }
        });
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
    own: Address,
}

impl<M: Members> Worker<M> {
    /// Does one request. What it gives back is the answer and where it goes.
    async fn serve(&self, mut message: LocalMessage) -> Option<(Answer, Route)> {
        let onward = std::mem::take(&mut message.return_route);
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
        let answer = self
            .authority
            .answer(self.service, caller.as_ref(), message.payload.as_slice())
            .await?;
        drop(message);
        Some((answer, onward))
    }

    /// Answers the same request again and again, until the subscription ends or the way back is blocked.
    async fn go_on(&self, mut answer: Answer, onward: Route) {
        let Some(further) = &mut answer.further else {
            return;
        };
        while let Some(body) = further.recv().await {
            let id = MessageId(u32::from_be_bytes(random()).max(1));
            let response = Response::new(id, answer.re, Status::Ok).encode(Some(&body));
            if !self.send(onward.clone(), &response).await {
                return;
            }
        }
    }

    async fn send(&self, onward: Route, payload: &[u8]) -> bool {
        let back = Route::from_hops([self.own.clone()]).unwrap_or_default();
        let payload = Buffer::from_slice(payload);
        let sent = self.node.router().send(&self.own, onward, back, payload);
        // Refusals are counted by the router. A caller that takes nothing loses its answer.
        matches!(tokio::time::timeout(SEND_TIMEOUT, sent).await, Ok(Ok(())))
    }

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
/// How long an answer may wait for the way back.
const SEND_TIMEOUT: Duration = Duration::from_secs(10);
const TIDY: Duration = Duration::from_secs(60);
