use ockam_identity::VerifiedHistory;

use super::*;
use crate::attested::Authority;
use crate::node::NodeOptions;
use crate::policies::MemoryPolicies;

use crate::issuer::{HOUR, Issuer, now};

#[tokio::test]
async fn members_come_in_by_default_and_nobody_else() {
    let world = World::new();
    let (member, stranger) = (world.member(&[]), subject());
    assert!(world.guard.allows(Some(member.identifier())));
    assert_eq!(
        world.guard.decide(Some(stranger.identifier())),
        denied(DeniedBy::NoCredential)
    );
    assert_eq!(world.guard.decide(None), denied(DeniedBy::NoChannel));
    let kept = world.node.denials().all();
    let stranger = kept
        .iter()
        .find(|denial| denial.who == Some(*stranger.identifier()));
    let stranger = stranger.map(|denial| (denial.what.as_str(), &denial.rule));
    assert_eq!(stranger, Some(("outlet", &DeniedBy::NoCredential)));
    assert_eq!(kept.len(), 2);
}

#[tokio::test]
async fn policies_and_attributes_decide_at_the_moment_they_change() {
    let world = World::new();
    let member = world.member(&[("component", "web")]);
    let allows = || world.guard.allows(Some(member.identifier()));
    assert!(allows());
    world.set("component=database");
    assert!(!allows());
    world.set("component=web");
    assert!(allows());
    world
        .node
        .attested()
        .withdraw(member.identifier(), now().plus(1));
    assert!(!allows());
    world
        .policies
        .set_type(ResourceType::TcpInlet, Some("x".parse().unwrap()));
    assert!(!allows());
    world.set(&member.identifier().to_string());
    assert!(allows());
}

#[tokio::test]
async fn tick_about_somebody_else_does_not_evaluate_again() {
    let world = World::new();
    let member = world.member(&[]);
    assert!(world.guard.allows(Some(member.identifier())));
    let tick = world.node.attested().tick();
    world.member(&[]);
    assert!(world.node.attested().tick() > tick);
    assert!(
        world
            .guard
            .inner
            .decided_before(Some(member.identifier()))
            .is_none()
    );
    assert!(world.guard.allows(Some(member.identifier())));
    assert!(
        world
            .guard
            .inner
            .decided_before(Some(member.identifier()))
            .is_some()
    );
}

#[tokio::test]
async fn decision_does_not_outlive_the_credential_or_the_second() {
    let world = World::new();
    let member = subject();
    world.accept(&member, &[], now().plus(1));
    assert!(world.guard.allows(Some(member.identifier())));
    let until = {
        let decided = world.guard.inner.decided.read().unwrap();
        decided.get(&Some(*member.identifier())).unwrap().until
    };
    assert!(until <= Instant::now() + Duration::from_secs(1));
    let mut changes = world.guard.changes();
    while world.guard.allows(Some(member.identifier())) {
        changes.changed().await.unwrap();
    }
    assert!(now() >= world.issued_until());
}

#[tokio::test]
async fn node_without_an_authority_is_open_until_a_policy_is_given() {
    // spec: trust 6.7
    let peer = subject();
    for (strict, standing) in [(false, Decision::Allowed), (true, denied(DeniedBy::Strict))] {
        let node = Node::new(NodeOptions {
            strict,
            ..NodeOptions::default()
        });
        let policies = Arc::new(MemoryPolicies::default());
        let guard = node.guard("outlet", ResourceType::TcpOutlet, policies.clone());
        assert_eq!(guard.decide(None), standing);
        assert_eq!(guard.decide(Some(peer.identifier())), standing);
        let own = Some(peer.identifier().to_string().parse().unwrap());
        policies.set_resource("outlet", own);
        assert_eq!(guard.decide(None), denied(DeniedBy::NoChannel));
        assert!(guard.allows(Some(peer.identifier())));
        assert!(!guard.allows(Some(subject().identifier())));
        // Without an authority nobody has a credential, and nobody has none.
        let members = Some("(not (= subject.has_credential true))".parse().unwrap());
        policies.set_resource("outlet", members);
        assert!(!guard.allows(Some(peer.identifier())));
    }
}

#[tokio::test]
async fn pinned_resource_is_for_its_identifiers_and_only_as_far_as_the_policy_lets_them() {
    let world = World::new();
    let [pinned, other] = [(); 2].map(|()| world.member(&[("component", "web")]));
    let outsider = subject();
    let pins = [*pinned.identifier(), *outsider.identifier()];
    let guard = world.guard.pinned_to(&pins);
    assert!(guard.allows(Some(pinned.identifier())));
    assert!(world.guard.allows(Some(other.identifier())));
    assert_eq!(
        guard.decide(Some(other.identifier())),
        denied(DeniedBy::NotAuthorized)
    );
    assert_eq!(guard.decide(None), denied(DeniedBy::NoChannel));
    // Being named makes nobody a member.
    assert_eq!(
        guard.decide(Some(outsider.identifier())),
        denied(DeniedBy::NoCredential)
    );
    world.set("component=database");
    assert!(!guard.allows(Some(pinned.identifier())));
    world.set("component=web");
    assert!(guard.allows(Some(pinned.identifier())));
    assert!(!guard.allows(Some(other.identifier())));
}

#[tokio::test]
async fn pins_hold_without_authority_and_policy_strict_or_not() {
    let [pinned, other] = [(); 2].map(|()| subject());
    for strict in [false, true] {
        let node = Node::new(NodeOptions {
            strict,
            ..NodeOptions::default()
        });
        let policies = Arc::new(MemoryPolicies::default());
        let guard = node.guard("outlet", ResourceType::TcpOutlet, policies);
        let guard = guard.pinned_to(&[*pinned.identifier()]);
        assert!(guard.allows(Some(pinned.identifier())));
        assert_eq!(
            guard.decide(Some(other.identifier())),
            denied(DeniedBy::NotAuthorized)
        );
        assert_eq!(guard.decide(None), denied(DeniedBy::NoChannel));
    }
}

#[tokio::test]
async fn resource_without_any_policy_is_denied() {
    #[derive(Debug)]
    struct Nothing;
    impl Policies for Nothing {
        fn policy(&self, _: &str, _: ResourceType) -> Option<crate::policies::AppliedPolicy> {
            None
        }
        fn changes(&self) -> watch::Receiver<u64> {
            watch::channel(0).1
        }
    }
    let world = World::new();
    let member = world.member(&[]);
    let guard = world
        .node
        .guard("outlet", ResourceType::TcpOutlet, Arc::new(Nothing));
    for _ in 0..2 {
        assert_eq!(
            guard.decide(Some(member.identifier())),
            denied(DeniedBy::NoPolicy)
        );
    }
}

#[tokio::test]
async fn peers_without_number_are_forgotten() {
    let world = World::new();
    for number in 0..2 * MOST_DECIDED as u64 {
        let mut who = [0; 32];
        who[..8].copy_from_slice(&number.to_be_bytes());
        assert!(!world.guard.allows(Some(&Identifier::new(who))));
    }
    assert!(world.guard.inner.decided.read().unwrap().len() <= MOST_DECIDED);
}

#[tokio::test]
async fn task_that_collects_changes_ends_with_their_receiver() {
    let world = World::new();
    let metrics = tokio::runtime::Handle::current().metrics();
    let before = metrics.num_alive_tasks();
    let receivers = [(); 3].map(|()| world.guard.changes());
    assert_eq!(metrics.num_alive_tasks(), before + 3);
    drop(receivers);
    while metrics.num_alive_tasks() > before {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn change_holds_at_once_while_others_decide_at_the_same_time() {
    let world = Arc::new(World::new());
    let member = world.member(&[("component", "web")]);
    let ended = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let others = [(); 3].map(|()| {
        let (world, ended, member) = (world.clone(), ended.clone(), member.clone());
        std::thread::spawn(move || {
            let mut decided = 0;
            while !ended.load(std::sync::atomic::Ordering::Relaxed) {
                world.guard.allows(Some(member.identifier()));
                decided += 1;
            }
            decided
        })
    });
    for round in 0..500 {
        world.set(if round % 2 == 0 { "component=web" } else { "x" });
        assert_eq!(
            world.guard.allows(Some(member.identifier())),
            round % 2 == 0
        );
    }
    world.set("component=web");
    world
        .node
        .attested()
        .withdraw(member.identifier(), now().plus(1));
    assert!(!world.guard.allows(Some(member.identifier())));
    ended.store(true, std::sync::atomic::Ordering::Relaxed);
    for other in others {
        assert!(other.join().unwrap() > 0);
    }
}

struct World {
    node: Node,
    issuer: Issuer,
    policies: Arc<MemoryPolicies>,
    guard: Guard,
    until: std::sync::Mutex<u64>,
}

impl World {
    fn new() -> Self {
        let issuer = Issuer::new();
        let node = Node::new(NodeOptions {
            authority: Some(Authority::new(issuer.history.clone())),
            ..NodeOptions::default()
        });
        let policies = Arc::new(MemoryPolicies::default());
        let guard = node.guard("outlet", ResourceType::TcpOutlet, policies.clone());
        Self {
            node,
            issuer,
            policies,
            guard,
            until: std::sync::Mutex::default(),
        }
    }

    fn set(&self, policy: &str) {
        self.policies
            .set_resource("outlet", Some(policy.parse().unwrap()));
    }

    fn member(&self, attributes: &[(&str, &str)]) -> VerifiedHistory {
        let subject = subject();
        self.accept(&subject, attributes, now().plus(HOUR));
        subject
    }

    fn accept(
        &self,
        subject: &VerifiedHistory,
        attributes: &[(&str, &str)],
        until: ockam_identity::UnixTime,
    ) {
        let provider = ockam_vault::fast();
        let credential = self
            .issuer
            .issue_for(subject, attributes, now(), until)
            .verify_presented_by(provider, &self.issuer.history, subject, now())
            .unwrap();
        *self.until.lock().unwrap() = until.0;
        self.node.attested().accept(credential).unwrap();
    }

    fn issued_until(&self) -> ockam_identity::UnixTime {
        ockam_identity::UnixTime(*self.until.lock().unwrap())
    }
}

fn subject() -> VerifiedHistory {
    Node::new(NodeOptions::default())
        .ephemeral_identity()
        .unwrap()
        .history
}
