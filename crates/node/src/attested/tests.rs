use ockam_identity::OlderPurposeKeys;

use super::*;
use crate::node::{Node, NodeOptions};

use crate::issuer::{HOUR, Issuer, earlier, now};

#[tokio::test]
async fn guard_11_2_09_attributes_are_kept_per_subject_and_issuer() {
    let world = World::new(10);
    let other = Issuer::new();
    let (alice, bob) = (subject(), subject());
    world.accept(&alice, &[("component", "web")]).unwrap();
    let foreign = other.issue(&alice, &[("component", "database")]);
    let foreign = foreign
        .verify(
            ockam_vault::fast(),
            &other.history,
            Some(alice.identifier()),
            now(),
        )
        .unwrap();
    world.attested.accept(foreign).unwrap();
    assert_eq!(world.component(&alice).as_deref(), Some("web"));
    assert_eq!(world.component(&bob), None);
    assert_eq!(world.attested.all().len(), 2);
    world
        .attested
        .forget_issuer(world.issuer.history.identifier());
    assert_eq!(world.component(&alice), None);
    assert_eq!(world.attested.all().len(), 1);
}

#[tokio::test]
async fn only_what_alters_decisions_ticks() {
    let world = World::new(10);
    let alice = subject();
    let credential = world.issue(&alice, &[("a", "1")], now(), now().plus(HOUR));
    world.attested.accept(credential.clone()).unwrap();
    let before = world.attested.tick();
    world.attested.accept(credential).unwrap();
    world.attested.withdraw(subject().identifier(), now());
    world.attested.heard();
    world
        .attested
        .set_max_stale(Some(Duration::from_secs(HOUR)));
    assert_eq!(world.attested.tick(), before);
    world
        .attested
        .withdraw(alice.identifier(), now().plus(HOUR));
    assert_eq!(world.attested.tick(), before + 1);
    assert_eq!(*world.attested.generation().borrow(), before + 1);
}

#[tokio::test]
async fn credential_issued_earlier_does_not_replace_a_later_one() {
    let world = World::new(10);
    let alice = subject();
    world.accept(&alice, &[("component", "less")]).unwrap();
    let more = world.issue(
        &alice,
        &[("component", "more")],
        earlier(now(), 60),
        now().plus(2 * HOUR),
    );
    assert_eq!(world.attested.accept(more), Err(NotCounted::Superseded));
    assert_eq!(world.component(&alice).as_deref(), Some("less"));
}

#[tokio::test]
async fn withdrawal_holds_for_what_is_presented_later_and_not_for_what_is_issued_later() {
    let world = World::new(10);
    let alice = subject();
    let old = |seconds| {
        let created = earlier(now(), seconds);
        world.issue(&alice, &[("component", "web")], created, now().plus(HOUR))
    };
    world.attested.accept(old(100)).unwrap();
    world
        .attested
        .withdraw(alice.identifier(), earlier(now(), 30));
    assert_eq!(world.component(&alice), None);
    assert_eq!(world.attested.accept(old(50)), Err(NotCounted::Withdrawn));
    // An earlier withdrawal that comes late takes nothing back.
    world
        .attested
        .withdraw(alice.identifier(), earlier(now(), 200));
    assert_eq!(world.attested.accept(old(50)), Err(NotCounted::Withdrawn));
    world.attested.accept(old(10)).unwrap();
    assert_eq!(world.component(&alice).as_deref(), Some("web"));
}

#[tokio::test]
async fn without_room_for_withdrawals_everything_issued_before_is_void() {
    let world = World::new(10);
    let (alice, bob) = (subject(), subject());
    world.accept(&alice, &[]).unwrap();
    let mut known = world.attested.known();
    for number in 0..MOST_WITHDRAWN as u64 {
        let mut who = [0; 32];
        who[..8].copy_from_slice(&number.to_be_bytes());
        known.withdraw(&Identifier::new(who), earlier(now(), 1000));
    }
    assert!(known.withdraw(bob.identifier(), now().plus(1)));
    assert!(known.withdrawn.is_empty());
    drop(known);
    assert_eq!(world.attested.get(alice.identifier()), None);
    assert_eq!(world.accept(&alice, &[]), Err(NotCounted::Withdrawn));
}

#[tokio::test]
async fn the_first_to_end_makes_room() {
    let world = World::new(2);
    let subjects = [(); 3].map(|()| subject());
    for (subject, hours) in subjects.iter().zip([2, 1, 3]) {
        let credential = world.issue(subject, &[], now(), now().plus(hours * HOUR));
        world.attested.accept(credential).unwrap();
    }
    let kept = subjects
        .each_ref()
        .map(|subject| world.attested.get(subject.identifier()).is_some());
    assert_eq!(kept, [true, false, true]);
    // A newer one of somebody who is known needs no room.
    world.accept(&subjects[0], &[("a", "1")]).unwrap();
    assert_eq!(world.attested.all().len(), 2);
}

#[tokio::test]
async fn guard_w23_end_of_a_credential_ticks_and_nothing_else_does_meanwhile() {
    let world = World::new(10);
    let alice = subject();
    let credential = world.issue(&alice, &[], now(), now().plus(2));
    world.accept(&subject(), &[]).unwrap();
    world.attested.accept(credential).unwrap();
    let mut generation = world.attested.generation();
    generation.borrow_and_update();
    let before = world.attested.tick();
    assert!(world.attested.get(alice.identifier()).is_some());
    generation.changed().await.unwrap();
    assert_eq!(world.attested.get(alice.identifier()), None);
    assert_eq!(world.attested.tick(), before + 1);
    assert_eq!(world.attested.all().len(), 1);
}

#[tokio::test]
async fn authority_that_is_not_heard_of_says_nothing_until_it_is() {
    let world = World::new(10);
    let alice = subject();
    world.accept(&alice, &[]).unwrap();
    let mut generation = world.attested.generation();
    generation.borrow_and_update();
    world
        .attested
        .set_max_stale(Some(Duration::from_millis(100)));
    generation.changed().await.unwrap();
    assert!(world.attested.is_stale());
    assert_eq!(world.attested.get(alice.identifier()), None);
    world.attested.heard();
    assert!(generation.has_changed().unwrap());
    assert!(world.attested.get(alice.identifier()).is_some());
    world.attested.set_max_stale(None);
    assert!(!world.attested.is_stale());
}

#[tokio::test]
async fn timer_ends_with_the_registry() {
    let world = World::new(10);
    world.accept(&subject(), &[]).unwrap();
    let metrics = Handle::current().metrics();
    // Those of the node that made the subject.
    while metrics.num_alive_tasks() > 1 {
        tokio::task::yield_now().await;
    }
    assert_eq!(metrics.num_alive_tasks(), 1);
    drop(world);
    while metrics.num_alive_tasks() > 0 {
        tokio::task::yield_now().await;
    }
}

#[test]
fn authority_is_believed_under_its_newest_key() {
    let mut issuer = Issuer::new();
    let authority = Authority::new(issuer.history.clone());
    assert_eq!(authority.learn(&issuer.history), Learned::Nothing);
    assert_eq!(authority.learn(&Issuer::new().history), Learned::Nothing);
    let first = issuer.history.clone();
    issuer.rotate(OlderPurposeKeys::Keep);
    assert_eq!(authority.learn(&issuer.history), Learned::Rotation);
    assert_eq!(authority.learn(&first), Learned::Nothing);
    assert_eq!(authority.history().changes().len(), 2);
    issuer.rotate(OlderPurposeKeys::Revoke);
    issuer.rotate(OlderPurposeKeys::Keep);
    assert_eq!(authority.learn(&issuer.history), Learned::Revocation);
}

struct World {
    issuer: Issuer,
    attested: Attested,
}

impl World {
    fn new(most: usize) -> Self {
        let issuer = Issuer::new();
        let attested = Attested::new(Some(*issuer.history.identifier()), most);
        Self { issuer, attested }
    }

    fn issue(
        &self,
        subject: &VerifiedHistory,
        attributes: &[(&str, &str)],
        created_at: UnixTime,
        expires_at: UnixTime,
    ) -> VerifiedCredential {
        self.issuer
            .issue_for(subject, attributes, created_at, expires_at)
            .verify_presented_by(ockam_vault::fast(), &self.issuer.history, subject, now())
            .unwrap()
    }

    fn accept(
        &self,
        subject: &VerifiedHistory,
        attributes: &[(&str, &str)],
    ) -> Result<(), NotCounted> {
        self.attested
            .accept(self.issue(subject, attributes, now(), now().plus(HOUR)))
    }

    fn component(&self, subject: &VerifiedHistory) -> Option<String> {
        let entry = self.attested.get(subject.identifier())?;
        let value = entry.attributes().get(b"component")?;
        Some(String::from_utf8_lossy(value).into_owned())
    }
}

fn subject() -> VerifiedHistory {
    Node::new(NodeOptions::default())
        .ephemeral_identity()
        .unwrap()
        .history
}
