//! Services that answer requests, as workers of a node.
//!
//! Each has a mailbox. Requests are done side by side, a bounded number of them, and of one asker only so many: neither a slow
//! caller nor a long list holds up the others.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use ockam_node::{Access, LocalMessage, Mailbox, Node, StartError};
use ockam_wire::{Address, Buffer, Route};
use tokio::sync::Semaphore;
use tokio::task::{JoinHandle, JoinSet};

use crate::limits::UnderWay;

/// What does the requests of one service.
pub trait Answering: Send + Sync + 'static {
    /// The bytes that go back, and what else is known of them.
    type Answer: AsRef<[u8]> + Send;

    /// Does one request; nothing goes back for what is none.
    fn answer(&self, message: LocalMessage) -> impl Future<Output = Option<Self::Answer>> + Send;

    /// What comes after an answer that was sent.
    fn follow(&self, _answer: Self::Answer, _back: WayBack) -> impl Future<Output = ()> + Send {
        std::future::ready(())
    }
}

/// The way back to whoever asked.
#[derive(Debug)]
pub struct WayBack {
    node: Node,
    own: Address,
    onward: Route,
}

impl WayBack {
    /// Sends an answer. Refusals are counted by the router; a caller that takes nothing loses it.
    pub async fn send(&self, payload: &[u8]) -> bool {
        let back = Route::from_hops([self.own.clone()]).unwrap_or_default();
        let payload = Buffer::from_slice(payload);
        let router = self.node.router();
        let sent = router.send(&self.own, self.onward.clone(), back, payload);
        matches!(tokio::time::timeout(SEND_TIMEOUT, sent).await, Ok(Ok(())))
    }
}

/// What several services share: how much is done at the same time, and for whom.
#[derive(Debug, Clone)]
pub struct Room {
    node: Node,
    places: Arc<Semaphore>,
    askers: UnderWay,
}

impl Room {
    /// Room for so many requests.
    #[must_use]
    pub fn new(node: &Node, requests: usize) -> Self {
        Self {
            node: node.clone(),
            places: Arc::new(Semaphore::new(requests)),
            askers: UnderWay::default(),
        }
    }

    /// Starts a service at an address. It answers whom its address is opened to.
    ///
    /// # Errors
    /// The address is in use.
    pub fn serve(&self, own: &Address, service: impl Answering) -> Result<Serving, StartError> {
        let mailbox = self
            .node
            .router()
            .start_mailbox(std::slice::from_ref(own), Access::ALLOW_ALL)?;
        let running = run(self.clone(), own.clone(), mailbox, Arc::new(service));
        Ok(Serving(tokio::spawn(running)))
    }
}

/// A service that runs; it stops when this is dropped.
#[derive(Debug)]
pub struct Serving(JoinHandle<()>);

impl Drop for Serving {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn run(room: Room, own: Address, mut mailbox: Mailbox, service: Arc<impl Answering>) {
    // Ends all that it began when it ends.
    let mut under_way = JoinSet::new();
    loop {
        let mut message = mailbox.recv().await;
        while under_way.try_join_next().is_some() {}
        let who = message.origin.peer.as_ref().map(|peer| peer.identifier);
        let Some(begun) = room.askers.begin(who) else {
            tracing::debug!(
                ?who,
                "a request is passed over: too many are not answered yet"
            );
            continue;
        };
        let Ok(place) = room.places.clone().acquire_owned().await else {
            return;
        };
        let back = WayBack {
            node: room.node.clone(),
            own: own.clone(),
            onward: std::mem::take(&mut message.return_route),
        };
        let service = service.clone();
        under_way.spawn(async move {
            // In a place of its own: whoever waits for news afterwards would hold on to the room that this takes.
            let answer = Box::pin(service.answer(message)).await;
            // An answer may wait for whoever asked, and only requests of the same asker wait with it.
            drop(place);
            let Some(answer) = answer else {
                return;
            };
            let sent = back.send(answer.as_ref()).await;
            drop(begun);
            if sent {
                service.follow(answer, back).await;
            }
        });
    }
}

/// How long an answer may wait for the way back.
const SEND_TIMEOUT: Duration = Duration::from_secs(10);
