use std::sync::atomic::{AtomicUsize, Ordering};

use ockam_wire::{Buffer, Route};
use tokio::sync::Notify;

use super::*;
use crate::access::Access;
use crate::flow_control::Producer;
use crate::node::NodeOptions;
use crate::router::{Mailbox, SendError};

#[tokio::test]
async fn message_waits_until_its_worker_runs() {
    let world = World::new();
    let (node, hook) = (world.node.clone(), world.hook.clone());
    let sending = tokio::spawn(async move { send(&node, "known-1", 1).await });
    hook.asked(1).await;
    assert!(!sending.is_finished());
    // Others are served meanwhile.
    let _neighbour = mailbox(&world.node, "neighbour");
    assert_eq!(send(&world.node, "neighbour", 2).await, Ok(()));
    world.hook.go_on.notify_one();
    assert_eq!(sending.await.unwrap(), Ok(()));
    let mut started = world.hook.started.lock().unwrap().pop().unwrap();
    assert_eq!(started.recv().await.payload.as_slice(), b"hello");
}

#[tokio::test]
async fn name_is_started_once_for_all_who_wait() {
    let world = World::new();
    let sending: Vec<_> = (0..50)
        .map(|number| {
            let node = world.node.clone();
            tokio::spawn(async move { send(&node, "known-1", number).await })
        })
        .collect();
    world.hook.asked(1).await;
    // Who asked first does not wait any more: the start goes on for the others.
    sending[0].abort();
    tokio::task::yield_now().await;
    world.hook.go_on.notify_one();
    for (number, sending) in sending.into_iter().enumerate().skip(1) {
        assert_eq!(sending.await.unwrap(), Ok(()), "{number}");
    }
    assert_eq!(world.hook.asked.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn unknown_name_is_refused_and_not_asked_for_again_within_a_second() {
    let world = World::new();
    let refused = Err(SendError::Unknown("0#unknown-1".to_owned()));
    for _ in 0..20 {
        assert_eq!(send(&world.node, "unknown-1", 1).await, refused);
    }
    assert_eq!(world.hook.asked.load(Ordering::Relaxed), 1);
    tokio::time::sleep(REMEMBERED).await;
    assert_eq!(send(&world.node, "unknown-1", 2).await, refused);
    assert_eq!(world.hook.asked.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn hook_is_not_asked_for_what_it_cannot_know() {
    let world = World::new();
    assert!(send(&world.node, "else", 1).await.is_err());
    assert_eq!(world.hook.asked.load(Ordering::Relaxed), 0);
    drop(world.guard);
    assert!(send(&world.node, "unknown-1", 1).await.is_err());
    assert_eq!(world.hook.asked.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn guard_o04_stranger_who_guesses_names_is_slowed_down_and_its_neighbour_is_not() {
    let world = World::new();
    for number in 0..=GUESSES {
        assert!(
            send(&world.node, &format!("unknown-{number}"), 1)
                .await
                .is_err()
        );
    }
    let begun = Instant::now();
    assert!(send(&world.node, "unknown-a", 1).await.is_err());
    assert!(begun.elapsed() >= PAUSE);
    let begun = Instant::now();
    assert!(send(&world.node, "unknown-b", 2).await.is_err());
    assert!(begun.elapsed() < PAUSE);
}

#[tokio::test]
async fn guard_o04_names_looked_up_at_the_same_time_are_bounded() {
    let world = World::new();
    let sending: Vec<_> = (0..200)
        .map(|number| {
            let node = world.node.clone();
            tokio::spawn(async move { send(&node, &format!("known-{number}"), 1).await })
        })
        .collect();
    world.hook.asked(NAMES_AT_ONCE).await;
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
    assert_eq!(world.hook.asked.load(Ordering::Relaxed), NAMES_AT_ONCE);
    assert!(world.node.router().starters().state().under_way.len() <= NAMES_AT_ONCE);
    // All get their turn.
    let all = async {
        for sending in sending {
            while !sending.is_finished() {
                world.hook.go_on.notify_one();
                tokio::task::yield_now().await;
            }
            assert_eq!(sending.await.unwrap(), Ok(()));
        }
    };
    tokio::time::timeout(Duration::from_secs(10), all)
        .await
        .expect("nobody waits for ever");
}

#[tokio::test]
async fn guard_o04_bytes_that_wait_are_bounded() {
    let world = World::new();
    let mut sending = Vec::new();
    for number in 0..40 {
        let node = world.node.clone();
        sending.push(tokio::spawn(async move {
            send_bytes(&node, "known-1", number, &[7; 1024 * 1024]).await
        }));
    }
    world.hook.asked(1).await;
    let refused = |sending: &[tokio::task::JoinHandle<_>]| {
        sending.iter().filter(|one| one.is_finished()).count()
    };
    while refused(&sending) < 25 {
        tokio::task::yield_now().await;
    }
    assert_eq!(
        refused(&sending),
        25,
        "fifteen of them and their headers wait"
    );
}

#[tokio::test]
async fn hook_that_panics_leaves_nothing_behind() {
    let world = World::new();
    assert!(send(&world.node, "panic-1", 1).await.is_err());
    let state = world.node.router().starters().state();
    assert!(state.under_way.is_empty());
    drop(state);
    assert_eq!(
        world.node.router().starters().places.available_permits(),
        NAMES_AT_ONCE
    );
}

#[tokio::test]
async fn guard_o04_names_that_strangers_invent_take_bounded_memory() {
    let starters = Starters::default();
    let now = Instant::now();
    for number in 0..3 * MANY_NAMES {
        let name = Address::local(format!("n{number}")).unwrap();
        starters.state().remember_unknown(name, now);
        let mut flow = [0; 16];
        flow[..8].copy_from_slice(&number.to_le_bytes());
        starters.note_guess(Some(FlowId::from_random(flow)));
    }
    let state = starters.state();
    assert_eq!(state.unknown.len(), MANY_NAMES);
    assert_eq!(state.guesses.len(), MANY_NAMES);
}

struct World {
    node: Node,
    hook: Arc<Hook>,
    guard: OnDemandGuard,
}

impl World {
    fn new() -> Self {
        let node = Node::new(NodeOptions::default());
        let hook = Arc::new(Hook {
            node: node.clone(),
            asked: AtomicUsize::new(0),
            go_on: Notify::new(),
            started: Mutex::default(),
        });
        let guard = node.start_on_demand(hook.clone());
        Self { node, hook, guard }
    }
}

/// Starts what begins with `known-`, when it is told to go on.
struct Hook {
    node: Node,
    asked: AtomicUsize,
    go_on: Notify,
    started: Mutex<Vec<Mailbox>>,
}

impl fmt::Debug for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hook")
    }
}

impl Hook {
    async fn asked(&self, times: usize) {
        while self.asked.load(Ordering::Relaxed) < times {
            tokio::task::yield_now().await;
        }
    }
}

impl OnDemand for Hook {
    fn may_start(&self, name: &Address, _: &Origin) -> bool {
        name.name() != b"else"
    }

    fn start<'a>(&'a self, name: &'a Address) -> OnDemandFuture<'a> {
        Box::pin(async move {
            self.asked.fetch_add(1, Ordering::Relaxed);
            assert!(!name.name().starts_with(b"panic-"), "as the test wants it");
            if !name.name().starts_with(b"known-") {
                return Started::Unknown;
            }
            self.go_on.notified().await;
            let name = String::from_utf8_lossy(name.name());
            self.started
                .lock()
                .unwrap()
                .push(mailbox(&self.node, &name));
            Started::Running
        })
    }
}

/// A worker that everybody of the tests may reach.
fn mailbox(node: &Node, name: &str) -> Mailbox {
    let address = Address::local(name).unwrap();
    let mailbox = node
        .router()
        .start_mailbox(std::slice::from_ref(&address), Access::ALLOW_ALL)
        .unwrap();
    node.router().add_consumer(&address, listener());
    mailbox
}

fn listener() -> FlowId {
    FlowId::from_random([255; 16])
}

async fn send(node: &Node, to: &str, connection: u8) -> Result<(), SendError> {
    send_bytes(node, to, connection, b"hello").await
}

async fn send_bytes(node: &Node, to: &str, connection: u8, bytes: &[u8]) -> Result<(), SendError> {
    let source = Address::from_static("connection");
    let onward = Route::from_hops([Address::local(to).unwrap()]).unwrap();
    let mut message = LocalMessage::new(&source, onward, Route::new(), Buffer::from_slice(bytes));
    message.origin.producer = Some(Producer {
        id: FlowId::from_random([connection; 16]),
        spawner: Some(listener()),
    });
    node.router().deliver(message).await
}
