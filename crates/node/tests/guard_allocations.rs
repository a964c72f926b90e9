//! A policy in front of a worker costs the way of a message no allocation (spec: trust 6.6).

#![allow(clippy::unwrap_used, reason = "a failing test says where")]

use std::alloc::System;
use std::sync::Arc;

use ockam_node::{
    Access, Delivery, End, Inline, LocalMessage, MemoryPolicies, Node, NodeOptions, SendError,
};
use ockam_policy::ResourceType;
use ockam_wire::{Address, Buffer, Route};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

#[tokio::test]
async fn policy_that_has_decided_allocates_nothing() {
    // One after the other: they count what the whole process allocates.
    decision_that_was_made_is_used_without_allocation();
    guarded_worker_receives_with_as_many_allocations_as_an_open_one().await;
}

fn decision_that_was_made_is_used_without_allocation() {
    let node = Node::new(NodeOptions::default());
    let policies = Arc::new(MemoryPolicies::default());
    let peer = *node.ephemeral_identity().unwrap().history.identifier();
    policies.set_resource("outlet", Some(peer.to_string().parse().unwrap()));
    let guard = node.guard("outlet", ResourceType::TcpOutlet, policies);
    assert!(guard.allows(Some(&peer)));
    assert!(!guard.allows(None));
    let used = Region::new(ALLOCATOR);
    for _ in 0..1000 {
        assert!(guard.allows(Some(&peer)));
        assert!(!guard.allows(None));
    }
    let used = used.change();
    assert_eq!((used.allocations, used.reallocations), (0, 0));
}

async fn guarded_worker_receives_with_as_many_allocations_as_an_open_one() {
    struct Sink;
    impl Inline for Sink {
        fn end(&self) -> End {
            End::Opens
        }
        fn handle(&self, _: LocalMessage, _: &mut Delivery<'_>) -> Result<(), SendError> {
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
        let used = Region::new(ALLOCATOR);
        for _ in 0..100 {
            send().await;
        }
        counts.push(used.change().allocations);
    }
    assert_eq!(counts.first(), counts.last());
}
