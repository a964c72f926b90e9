use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::access::Rule;
use crate::message::Origin;

#[tokio::test]
async fn mailbox_receives_what_is_sent_to_its_address() {
    let router = Router::new();
    let mut mailbox = router
        .start_mailbox(&[address("w")], Access::ALLOW_ALL)
        .unwrap();
    router.deliver(message("a", &["w", "rest"])).await.unwrap();
    let received = mailbox.recv().await;
    assert_eq!(received.onward.to_string(), "0#w => 0#rest");
    assert_eq!(received.origin.source, address("a"));
}

#[tokio::test]
async fn address_belongs_to_one_worker_and_is_free_after_it() {
    let router = Router::new();
    let first = router
        .start_mailbox(&[address("a"), address("b")], Access::ALLOW_ALL)
        .unwrap();
    assert_eq!(
        router
            .start_mailbox(&[address("c"), address("b")], Access::ALLOW_ALL)
            .err(),
        Some(StartError::AddressInUse(address("b")))
    );
    assert!(
        !router.is_running(&address("c")),
        "a start that fails is rolled back"
    );
    drop(first);
    assert!(
        router
            .start_mailbox(&[address("b")], Access::ALLOW_ALL)
            .is_ok()
    );
}

#[tokio::test]
async fn worker_that_is_gone_wakes_those_who_wait_for_it() {
    let router = Router::new();
    let mailbox = router
        .start_mailbox(&[address("a")], Access::ALLOW_ALL)
        .unwrap();
    let gone = tokio::spawn(router.gone(&address("a")));
    tokio::task::yield_now().await;
    assert!(!gone.is_finished());
    drop(mailbox);
    gone.await.unwrap();
    router.gone(&address("a")).await;
}

#[tokio::test]
async fn end_of_a_worker_is_told_while_a_message_for_it_waits_for_room() {
    let router = Router::new();
    let (queue, _reader) = Queue::new(300);
    let sink = Arc::new(Sink {
        queue,
        handled: AtomicUsize::new(0),
    });
    let guard = router
        .start_inline(&address("sink"), sink, Access::ALLOW_ALL)
        .unwrap();
    router.deliver(message("a", &["sink"])).await.unwrap();
    let waiting = tokio::spawn({
        let router = router.clone();
        async move { router.deliver(message("a", &["sink"])).await }
    });
    let gone = tokio::spawn(router.gone(&address("sink")));
    tokio::task::yield_now().await;
    drop(guard);
    tokio::time::timeout(std::time::Duration::from_secs(1), gone)
        .await
        .expect("told at once")
        .unwrap();
    waiting.abort();
}

#[tokio::test]
async fn guard_w13_permission_for_a_producer_that_has_ended_leaves_nothing_behind() {
    let router = Router::new();
    let _worker = router
        .start_mailbox(&[address("w")], Access::ALLOW_ALL)
        .unwrap();
    let id = FlowId::from_random([1; 16]);
    let producer = Producer { id, spawner: None };
    router.begin_flow(id);
    router.add_consumer_of(&address("w"), &producer);
    assert_eq!(router.consumed_by(&address("w")), [id]);
    router.end_flow(id);
    router.add_consumer_of(&address("w"), &producer);
    assert_eq!(router.consumed_by(&address("w")), []);
    assert!(router.inner.consumers.lock().unwrap().is_empty());
}

#[tokio::test]
async fn message_from_outside_reaches_consumers_of_its_flow_only() {
    let router = Router::new();
    let mut mailbox = router
        .start_mailbox(&[address("w")], Access::ALLOW_ALL)
        .unwrap();
    let (flow, other) = (FlowId::from_random([1; 16]), FlowId::from_random([2; 16]));
    let from_outside = |id| {
        let mut message = message("tcp", &["w"]);
        message.origin.producer = Some(Producer { id, spawner: None });
        message
    };
    assert_eq!(
        router.deliver(from_outside(flow)).await,
        Err(SendError::FlowControl(address("w")))
    );
    assert!(router.add_consumer(&address("w"), flow));
    router.deliver(from_outside(flow)).await.unwrap();
    mailbox.recv().await;
    assert!(router.deliver(from_outside(other)).await.is_err());
    router.end_flow(flow);
    assert!(router.deliver(from_outside(flow)).await.is_err());
    let refused = router
        .refusals()
        .counts()
        .find(|(reason, _)| *reason == "flow control");
    assert_eq!(refused, Some(("flow control", 3)));
    let denied = router.denials().all();
    let denied = denied
        .iter()
        .map(|denial| (denial.what.as_str(), denial.rule.to_string(), denial.count));
    assert_eq!(
        denied.collect::<Vec<_>>(),
        [("w", "flow control".to_owned(), 3)]
    );
}

#[tokio::test]
async fn guard_w05_strict_router_counts_the_hops_of_both_routes() {
    let router = Router::with_most_hops(32);
    let mut mailbox = router
        .start_mailbox(&[address("w")], Access::ALLOW_ALL)
        .unwrap();
    let with = |onward: usize, back: usize| {
        let mut message = message("x", &["w"]);
        let more = |count| Route::from_hops((0..count).map(|_| address("y"))).unwrap();
        message.onward = Route::from_hops([address("w")]).unwrap();
        for hop in more(onward - 1).iter() {
            message.onward.push_back(&hop.to_address()).unwrap();
        }
        message.return_route = more(back);
        message
    };
    router.deliver(with(16, 16)).await.unwrap();
    mailbox.recv().await;
    assert_eq!(
        router.deliver(with(16, 17)).await,
        Err(SendError::ChainTooLong)
    );
    assert_eq!(
        router.deliver(with(2, 31)).await,
        Err(SendError::ChainTooLong)
    );
}

#[tokio::test]
async fn guard_w41_permission_is_not_inherited_by_a_later_worker_of_the_same_name() {
    let router = Router::new();
    let flow = FlowId::from_random([1; 16]);
    assert!(
        !router.add_consumer(&address("w"), flow),
        "no worker, no permission"
    );
    let first = router
        .start_mailbox(&[address("w")], Access::ALLOW_ALL)
        .unwrap();
    assert!(router.add_consumer(&address("w"), flow));
    drop(first);
    let _second = router
        .start_mailbox(&[address("w")], Access::ALLOW_ALL)
        .unwrap();
    assert_eq!(router.consumed_by(&address("w")), []);
}

#[tokio::test]
async fn rules_of_sender_and_receiver_are_both_asked() {
    let router = Router::new();
    let only_b = Access {
        incoming: Rule::From(address("b")),
        outgoing: Rule::To(address("x")),
    };
    let _w = router.start_mailbox(&[address("w")], only_b).unwrap();
    let _x = router
        .start_mailbox(&[address("x")], Access::ALLOW_ALL)
        .unwrap();
    assert_eq!(
        router.deliver(message("a", &["w"])).await,
        Err(SendError::Incoming(address("w")))
    );
    router.deliver(message("b", &["w"])).await.unwrap();
    router.deliver(message("w", &["x"])).await.unwrap();
    assert_eq!(
        router.deliver(message("w", &["w"])).await,
        Err(SendError::Outgoing(address("w")))
    );
}

#[tokio::test]
async fn rules_are_asked_within_a_chain_too() {
    struct PassesOn(Address, Address);
    impl Inline for PassesOn {
        fn end(&self) -> End {
            End::Next(self.1.clone())
        }
        fn handle(&self, delivery: &mut Delivery<'_>) -> Result<(), SendError> {
            let message = delivery.message();
            message.onward.drop_front();
            message.origin.pass_on_by(self.0.clone());
            delivery.forward()
        }
    }
    let router = Router::new();
    let (queue, mut reader) = Queue::new(1000);
    let handled = AtomicUsize::new(0);
    let only_b = Access {
        incoming: Rule::From(address("b")),
        outgoing: Rule::AllowAll,
    };
    let _sink = router
        .start_inline(&address("sink"), Arc::new(Sink { queue, handled }), only_b)
        .unwrap();
    let mut guards = Vec::new();
    for (name, access) in [
        ("a", Access::ALLOW_ALL),
        ("b", Access::ALLOW_ALL),
        ("c", Access::RECEIVE_ONLY),
    ] {
        let worker = Arc::new(PassesOn(address(name), address("sink")));
        guards.push(router.start_inline(&address(name), worker, access).unwrap());
    }
    assert_eq!(
        router.deliver(message("x", &["a", "sink"])).await,
        Err(SendError::Incoming(address("sink")))
    );
    assert_eq!(
        router.deliver(message("x", &["c", "sink"])).await,
        Err(SendError::Outgoing(address("c")))
    );
    router.deliver(message("x", &["b", "sink"])).await.unwrap();
    assert!(reader.recv().await.is_some());
}

#[tokio::test]
async fn guard_w35_chain_waits_for_room_where_it_ends_before_it_runs() {
    let router = Router::new();
    let (queue, mut reader) = Queue::new(600);
    let sink = Arc::new(Sink {
        queue,
        handled: AtomicUsize::new(0),
    });
    let _sink = router
        .start_inline(&address("sink"), sink.clone(), Access::ALLOW_ALL)
        .unwrap();
    let _step = router
        .start_inline(
            &address("step"),
            Arc::new(Step(address("sink"))),
            Access::ALLOW_ALL,
        )
        .unwrap();
    router
        .deliver(message("a", &["step", "sink"]))
        .await
        .unwrap();
    router
        .deliver(message("a", &["step", "sink"]))
        .await
        .unwrap();
    let waiting = tokio::spawn({
        let router = router.clone();
        async move { router.deliver(message("a", &["step", "sink"])).await }
    });
    tokio::task::yield_now().await;
    assert_eq!(sink.handled.load(Ordering::Relaxed), 2);
    drop(reader.recv().await);
    waiting.await.unwrap().unwrap();
    assert_eq!(sink.handled.load(Ordering::Relaxed), 3);
}

#[tokio::test]
async fn guard_w05_loop_of_inline_workers_ends() {
    let router = Router::new();
    let _a = router
        .start_inline(
            &address("a"),
            Arc::new(Step(address("b"))),
            Access::ALLOW_ALL,
        )
        .unwrap();
    let _b = router
        .start_inline(
            &address("b"),
            Arc::new(Loop(address("b"))),
            Access::ALLOW_ALL,
        )
        .unwrap();
    assert_eq!(
        router.deliver(message("x", &["b"])).await,
        Err(SendError::ChainTooLong)
    );
}

#[tokio::test]
async fn messages_that_come_back_to_the_loopback_do_not_wait_for_themselves() {
    struct Opening;
    impl Inline for Opening {
        fn end(&self) -> End {
            End::Opens
        }
        fn handle(&self, delivery: &mut Delivery<'_>) -> Result<(), SendError> {
            delivery.message().onward.drop_front();
            delivery.forward()
        }
    }
    let router = Router::new();
    let mut mailbox = router
        .start_mailbox(&[address("m")], Access::ALLOW_ALL)
        .unwrap();
    let _outer = router.start_inline(&address("outer"), Arc::new(Opening), Access::ALLOW_ALL);
    let _inner = router.start_inline(&address("inner"), Arc::new(Opening), Access::ALLOW_ALL);
    let _seal = router.start_inline(
        &address("seal"),
        Arc::new(Step(address("inner"))),
        Access::ALLOW_ALL,
    );
    let heavy = |hops: &[&str]| LocalMessage {
        payload: Buffer::from_slice(&[0; 64 * 1024]),
        ..message("a", hops)
    };
    // All room is taken, many wait for it, and one message in the queue will have to come back to it.
    let returning = heavy(&["outer", "seal", "inner", "m"]);
    let loopback = &router.inner.loopback;
    let room = loopback.try_reserve(returning.weight()).unwrap();
    let rest = loopback
        .try_reserve(loopback.limit() - returning.weight())
        .unwrap();
    let waiting = 2 * loopback.limit() / returning.weight();
    for _ in 0..waiting {
        let router = router.clone();
        let message = heavy(&["seal", "inner", "m"]);
        tokio::spawn(async move { router.deliver(message).await });
    }
    tokio::task::yield_now().await;
    loopback.push(returning, Some(room)).unwrap();
    drop(rest);
    let sent = waiting + 1;
    tokio::time::timeout(std::time::Duration::from_secs(10), async {
        for _ in 0..sent {
            mailbox.recv().await;
        }
    })
    .await
    .expect("all messages arrive");
}

#[tokio::test]
async fn message_without_a_local_next_hop_is_refused() {
    let router = Router::new();
    let mut nowhere = message("a", &["w"]);
    nowhere.onward = Route::new();
    assert_eq!(router.deliver(nowhere).await, Err(SendError::NoRoute));
    let mut remote = message("a", &["w"]);
    remote.onward = "1#127.0.0.1:4000".parse().unwrap();
    assert!(matches!(
        router.deliver(remote).await,
        Err(SendError::NotLocal(_))
    ));
}

struct Sink {
    queue: Arc<Queue<Buffer>>,
    handled: AtomicUsize,
}

impl Inline for Sink {
    fn end(&self) -> End {
        End::Buffers(self.queue.clone())
    }

    fn handle(&self, delivery: &mut Delivery<'_>) -> Result<(), SendError> {
        self.handled.fetch_add(1, Ordering::Relaxed);
        let payload = std::mem::take(&mut delivery.message().payload);
        delivery.commit(&self.queue, payload)
    }
}

struct Step(Address);

impl Inline for Step {
    fn end(&self) -> End {
        End::Next(self.0.clone())
    }

    fn handle(&self, delivery: &mut Delivery<'_>) -> Result<(), SendError> {
        delivery.message().onward.drop_front();
        delivery.forward()
    }
}

struct Loop(Address);

impl Inline for Loop {
    fn end(&self) -> End {
        End::Next(self.0.clone())
    }

    fn handle(&self, delivery: &mut Delivery<'_>) -> Result<(), SendError> {
        delivery.forward()
    }
}

fn address(name: &str) -> Address {
    Address::local(name).unwrap()
}

fn message(from: &str, onward: &[&str]) -> LocalMessage {
    LocalMessage {
        onward: Route::from_hops(onward.iter().map(|name| address(name))).unwrap(),
        return_route: Route::from_hops([address(from)]).unwrap(),
        payload: Buffer::from_slice(b"x"),
        origin: Origin::worker(address(from)),
    }
}

#[tokio::test]
async fn workers_that_ended_leave_nothing_behind_while_their_flow_goes_on() {
    let router = Router::new();
    let flow = FlowId::from_random([7; 16]);
    router.begin_flow(flow);
    let addresses: Vec<_> = (0..2000)
        .map(|number| Address::local(format!("worker {number}")).unwrap())
        .collect();
    let workers: Vec<_> = addresses
        .iter()
        .map(|address| {
            let mailbox = router.start_mailbox(std::slice::from_ref(address), Access::ALLOW_ALL);
            assert!(router.add_consumer(address, flow));
            mailbox.unwrap()
        })
        .collect();
    drop(workers);
    assert!(router.inner.consumers().is_empty());
    assert!(router.inner.workers.read().unwrap().capacity() <= SMALL_TABLE * 2);
    assert!(!router.add_consumer(&addresses[0], flow));
}
