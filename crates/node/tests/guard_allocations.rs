//! A policy in front of a worker costs the way of a message no allocation (spec: trust 6.6).

#![allow(clippy::unwrap_used, reason = "a failing test says where")]

use std::alloc::System;
use std::sync::Arc;
use std::time::Duration;

use ockam_node::{
    Access, ChannelOptions, Delivery, End, FixedIdentity, Inline, ListenerOptions, MemoryPolicies,
    Node, NodeOptions, SendError,
};
use ockam_policy::ResourceType;
use ockam_wire::frame::MAX_FRAME;
use ockam_wire::{Address, Buffer, Route};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// The harness allocates now and then, and a decision is made anew each second; of several counts the least is compared.
const ATTEMPTS: usize = 5;

#[tokio::test]
async fn policy_that_has_decided_allocates_nothing() {
    // One after the other: they count what the whole process allocates.
    decision_that_was_made_is_used_without_allocation();
    guarded_worker_receives_with_as_many_allocations_as_an_open_one().await;
    guarded_worker_sends_with_as_many_allocations_as_an_open_one().await;
}

fn decision_that_was_made_is_used_without_allocation() {
    let node = Node::new(NodeOptions::default());
    let policies = Arc::new(MemoryPolicies::default());
    let peer = *node.ephemeral_identity().unwrap().history.identifier();
    policies.set_resource("outlet", Some(peer.to_string().parse().unwrap()));
    let guard = node.guard("outlet", ResourceType::TcpOutlet, policies);
    assert!(guard.allows(Some(&peer)));
    assert!(!guard.allows(None));
    let mut least = usize::MAX;
    for _ in 0..ATTEMPTS {
        let used = Region::new(ALLOCATOR);
        for _ in 0..100 {
            assert!(guard.allows(Some(&peer)));
            assert!(!guard.allows(None));
        }
        least = least.min(used.change().allocations);
    }
    assert_eq!(least, 0);
}

async fn guarded_worker_receives_with_as_many_allocations_as_an_open_one() {
    struct Sink;
    impl Inline for Sink {
        fn end(&self) -> End {
            End::Opens
        }
        fn handle(&self, _: &mut Delivery<'_>) -> Result<(), SendError> {
            Ok(())
        }
    }
    let node = Node::new(NodeOptions::default());
    let open_policies = Arc::new(MemoryPolicies::default());
    let guard = node.guard("sink", ResourceType::TcpOutlet, open_policies);
    let mut counts = Vec::new();
    for (address, access) in [("open", Access::ALLOW_ALL), ("guarded", guard.access())] {
        let address = Address::local(address).unwrap();
        let _worker = node
            .router()
            .start_inline(&address, Arc::new(Sink), access)
            .unwrap();
        let own = Address::from_static("own");
        let send = || async {
            let onward = Route::from_hops([address.clone()]).unwrap();
            let payload = Buffer::from_slice(b"x");
            node.router()
                .send(&own, onward, Route::new(), payload)
                .await
                .unwrap();
        };
        send().await;
        let mut least = usize::MAX;
        for _ in 0..ATTEMPTS {
            let used = Region::new(ALLOCATOR);
            for _ in 0..100 {
                send().await;
            }
            least = least.min(used.change().allocations);
        }
        counts.push(least);
    }
    assert_eq!(counts.first(), counts.last());
}

/// The messages are too large for the channel: they come as far as its encryptor, and no other task does anything.
async fn guarded_worker_sends_with_as_many_allocations_as_an_open_one() {
    let (near, far) = (
        Node::new(NodeOptions::default()),
        Node::new(NodeOptions::default()),
    );
    let api = Address::from_static("api");
    let identity = far.ephemeral_identity().unwrap();
    let peer = *identity.history.identifier();
    let listener = far.tcp_listen("127.0.0.1:0").await.unwrap();
    let options = ListenerOptions {
        identity: Arc::new(FixedIdentity::from(identity)),
        authorized: Vec::new(),
        timeout: Duration::from_secs(10),
    };
    far.start_channel_listener(&api, options).unwrap();
    far.router().add_consumer(&api, listener.flow());
    let to = listener.address().to_string();
    let connection = near.tcp_connect(&to).await.unwrap();
    let route = Route::from_hops([connection.sender().clone(), api]).unwrap();
    let options = ChannelOptions {
        identity: Arc::new(FixedIdentity::from(near.ephemeral_identity().unwrap())),
        authorized: Vec::new(),
        timeout: Duration::from_secs(10),
        encryptor: None,
    };
    let channel = near.create_channel(route, options).await.unwrap();
    let policies = Arc::new(MemoryPolicies::default());
    policies.set_resource("source", Some(peer.to_string().parse().unwrap()));
    let guard = near.guard("source", ResourceType::TcpInlet, policies);
    let mut counts = Vec::new();
    for (address, access) in [("plain", Access::ALLOW_ALL), ("source", guard.access())] {
        let own = Address::local(address).unwrap();
        let _worker = near
            .router()
            .start_mailbox(std::slice::from_ref(&own), access)
            .unwrap();
        let send = || async {
            let onward = Route::from_hops([channel.encryptor().clone(), own.clone()]).unwrap();
            let payload = Buffer::from_slice(&vec![0; MAX_FRAME]);
            let sent = near
                .router()
                .send(&own, onward, Route::new(), payload)
                .await;
            assert_eq!(sent, Err(SendError::TooLarge));
        };
        send().await;
        let mut least = usize::MAX;
        for _ in 0..ATTEMPTS {
            let used = Region::new(ALLOCATOR);
            for _ in 0..4 {
                send().await;
            }
            least = least.min(used.change().allocations);
        }
        counts.push(least);
    }
    assert_eq!(counts.first(), counts.last());
}
