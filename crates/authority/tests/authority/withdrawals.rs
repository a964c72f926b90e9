//! Members hear what is withdrawn, at once, and notice when they do not hear.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use ockam_authority::client::{
    AuthorityClient, CacheFuture, KeptWithdrawals, WithdrawalOptions, Withdrawals,
};
use ockam_identity::{Identifier, UnixTime};

use crate::world::{World, identifier, wait_for};

#[tokio::test]
async fn what_is_withdrawn_is_void_on_a_connected_node_within_a_second() {
    let world = World::start(3600).await;
    let alice = world.believer().await;
    let bob = world.client();
    world.add(&bob, &[("component", "web")]).await;
    let who = identifier(&bob).await;
    let issued = bob.credential().await.unwrap();
    alice
        .node
        .attested()
        .accept(issued.credential.clone())
        .unwrap();
    let _withdrawals = follow(&alice, None);
    heard(&world, 1).await;
    assert!(counts(&alice, &who));

    let began = Instant::now();
    world.enroller.delete_member(&who).await.unwrap();
    wait_for(|| (!counts(&alice, &who)).then_some(())).await;
    let took = began.elapsed();
    assert!(took < Duration::from_secs(1), "{took:?}");
    // It is void wherever it turns up, and who is added again gets another.
    assert!(alice.node.attested().accept(issued.credential).is_err());
    world.add(&bob, &[]).await;
    let again = bob.credential().await.unwrap();
    alice.node.attested().accept(again.credential).unwrap();
    assert!(counts(&alice, &who));
}

#[tokio::test]
async fn what_is_heard_is_handed_on_to_be_kept() {
    let world = World::start(3600).await;
    let (alice, bob) = (world.believer().await, world.client());
    world.add(&bob, &[]).await;
    let kept = Arc::new(Kept::default());
    let _withdrawals = Withdrawals::start(WithdrawalOptions {
        client: alice.clone(),
        max_stale: None,
        kept: Some(kept.clone()),
    });
    heard(&world, 1).await;
    let who = identifier(&bob).await;
    world.enroller.delete_member(&who).await.unwrap();
    let is_kept = |(subject, _): &(Identifier, UnixTime)| *subject == who;
    wait_for(|| kept.0.lock().unwrap().iter().any(is_kept).then_some(())).await;
}

#[derive(Debug, Default)]
struct Kept(Mutex<Vec<(Identifier, UnixTime)>>);

impl KeptWithdrawals for Kept {
    fn keep<'a>(&'a self, withdrawn: &'a [(Identifier, UnixTime)]) -> CacheFuture<'a, ()> {
        self.0.lock().unwrap().extend(withdrawn);
        Box::pin(std::future::ready(Ok(())))
    }
}

#[tokio::test]
async fn attributes_that_are_taken_away_are_withdrawn_and_further_ones_are_not() {
    let world = World::start(3600).await;
    let alice = world.believer().await;
    let bob = world.client();
    let who = identifier(&bob).await;
    world.add(&bob, &[("a", "1")]).await;
    let issued = bob.credential().await.unwrap().credential;
    alice.node.attested().accept(issued).unwrap();
    world.add(&bob, &[("a", "1"), ("b", "2")]).await;
    let withdrawals = follow(&alice, None);
    heard(&world, 1).await;
    assert!(counts(&alice, &who));
    world.add(&bob, &[("b", "2")]).await;
    wait_for(|| (!counts(&alice, &who)).then_some(())).await;
    assert_eq!(withdrawals.of_this_side().borrow().0, 0);
}

#[tokio::test]
async fn whoever_joins_late_hears_all_that_still_counts() {
    let world = World::start(3600).await;
    let alice = world.believer().await;
    let mut removed = Vec::new();
    for _ in 0..5 {
        let bob = world.client();
        world.add(&bob, &[]).await;
        let issued = bob.credential().await.unwrap().credential;
        alice.node.attested().accept(issued).unwrap();
        removed.push(identifier(&bob).await);
    }
    for who in &removed {
        world.enroller.delete_member(who).await.unwrap();
    }
    assert!(removed.iter().all(|who| counts(&alice, who)));
    let _withdrawals = follow(&alice, None);
    wait_for(|| (!removed.iter().any(|who| counts(&alice, who))).then_some(())).await;
}

#[tokio::test]
async fn a_member_that_is_removed_hears_it_and_is_told_no_more() {
    let world = World::start(3600).await;
    let alice = world.believer().await;
    let withdrawals = follow(&alice, None);
    heard(&world, 1).await;
    let own = identifier(&alice).await;
    world.enroller.delete_member(&own).await.unwrap();
    wait_for(|| (withdrawals.of_this_side().borrow().0 > 0).then_some(())).await;
    heard(&world, 0).await;
}

#[tokio::test]
async fn an_authority_that_is_silent_for_too_long_counts_no_more_until_it_is_heard_again() {
    let mut world = World::start(3600).await;
    let alice = world.believer().await;
    let bob = world.client();
    world.add(&bob, &[]).await;
    let who = identifier(&bob).await;
    let issued = bob.credential().await.unwrap().credential;
    alice.node.attested().accept(issued).unwrap();
    let _withdrawals = follow(&alice, Some(Duration::from_secs(3)));
    heard(&world, 1).await;
    // It is asked again and again: longer than the bound nothing changes.
    let mut generation = alice.node.attested().generation();
    let lost = generation.wait_for(|_| !counts(&alice, &who));
    let lost = tokio::time::timeout(Duration::from_secs(4), lost).await;
    assert!(lost.is_err(), "it was heard of all the time");
    world.stop_services();
    wait_for(|| (!counts(&alice, &who)).then_some(())).await;
    assert!(alice.node.attested().is_stale());
    world.start_services();
    wait_for(|| counts(&alice, &who).then_some(())).await;
}

fn follow(client: &AuthorityClient, max_stale: Option<Duration>) -> Withdrawals {
    Withdrawals::start(WithdrawalOptions {
        client: client.clone(),
        max_stale,
        kept: None,
    })
}

fn counts(client: &AuthorityClient, who: &Identifier) -> bool {
    client.node.attested().get(who).is_some()
}

async fn heard(world: &World, subscribers: usize) {
    wait_for(|| (world.authority.subscribers() == subscribers).then_some(())).await;
}
