//! The services of a controller as workers of a node. `spec: trust 9`

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ockam_identity::Identifier;
use ockam_node::{Access, FlowId, LocalMessage, Mailbox, Node, StartError};
use ockam_wire::{Address, Buffer, Route};
use tokio::sync::Semaphore;
use tokio::task::{JoinHandle, JoinSet};

use super::{Caller, Controller, Service};

/// The running services of a controller; they stop when this is dropped.
#[derive(Debug)]
pub struct ControllerServices {
    tasks: Vec<JoinHandle<()>>,
}

impl ControllerServices {
    pub(super) fn start(
        node: &Node,
        controller: &Arc<Controller>,
        channels: FlowId,
    ) -> Result<Self, StartError> {
        let room = Arc::new(Semaphore::new(MOST_REQUESTS));
        let askers = Askers::default();
        let mut started = Self { tasks: Vec::new() };
        let settling = tokio::spawn(controller.clone().keep_settling());
        started.tasks.push(settling);
        for service in Service::ALL {
            let own = Address::from_static(service.address());
            let mailbox = node
                .router()
                .start_mailbox(std::slice::from_ref(&own), Access::ALLOW_ALL)?;
            let worker = Worker {
                node: node.clone(),
                controller: controller.clone(),
                service,
                own: own.clone(),
            };
            started.tasks.push(tokio::spawn(run(
                Arc::new(worker),
                mailbox,
                room.clone(),
                askers.clone(),
            )));
            node.router().add_consumer(&own, channels);
        }
        Ok(started)
    }
}

impl Drop for ControllerServices {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

async fn run(worker: Arc<Worker>, mut mailbox: Mailbox, room: Arc<Semaphore>, askers: Askers) {
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
            worker.serve(message, permit).await;
            drop(begun);
        });
    }
}

struct Worker {
    node: Node,
    controller: Arc<Controller>,
    service: Service,
    own: Address,
}

impl Worker {
    async fn serve(&self, mut message: LocalMessage, permit: tokio::sync::OwnedSemaphorePermit) {
        let onward = std::mem::take(&mut message.return_route);
        let caller = message.origin.peer.as_ref().map(|peer| Caller {
            history: peer.history(),
            source: self.node.router().source_behind(&peer.channel),
        });
        let answer = self
            .controller
            .answer(self.service, caller.as_ref(), message.payload.as_slice())
            .await;
        drop(message);
        // An answer may wait for whoever asked, and only requests of the same asker wait with it.
        drop(permit);
        let Some(answer) = answer else {
            return;
        };
        let back = Route::from_hops([self.own.clone()]).unwrap_or_default();
        let sent = self
            .node
            .router()
            .send(&self.own, onward, back, Buffer::from_slice(&answer));
        // Refusals are counted by the router. A caller that takes nothing loses its answer.
        let _ = tokio::time::timeout(SEND_TIMEOUT, sent).await;
    }
}

/// Requests under way, by who asked.
#[derive(Clone, Debug, Default)]
struct Askers {
    // Held for one count.
    by: Arc<Mutex<HashMap<Option<Identifier>, usize>>>,
}

/// One request; it is over when this is dropped.
struct Begun {
    askers: Askers,
    who: Option<Identifier>,
}

impl Askers {
    /// Begins a request, unless too many of the same asker are not answered yet.
    fn begin(&self, who: Option<Identifier>) -> Option<Begun> {
        let mut by = self.by.lock().unwrap_or_else(PoisonError::into_inner);
        let count = by.entry(who).or_default();
        if *count >= MOST_UNANSWERED {
            return None;
        }
        *count += 1;
        Some(Begun {
            askers: self.clone(),
            who,
        })
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        let mut by = self
            .askers
            .by
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = by.get_mut(&self.who) {
            *count -= 1;
            if *count == 0 {
                by.remove(&self.who);
            }
        }
    }
}

/// Requests that are done at the same time.
const MOST_REQUESTS: usize = 128;
/// Requests of one identity that are not answered yet.
const MOST_UNANSWERED: usize = 32;
/// How long an answer may wait for the way back.
const SEND_TIMEOUT: Duration = Duration::from_secs(10);
