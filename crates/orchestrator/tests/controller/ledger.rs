//! The audit log beside the tables, and what is finished by whoever comes next.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use ockam_control::controller::message::Me;
use ockam_identity::UnixTime;
use ockam_node::{FlowId, Node, NodeOptions};
use ockam_orchestrator::controller::{Controller, ControllerOptions, Service};
use ockam_store::{AccountChange, AuditNote, Dues, NewAudit};
use ockam_wire::envelope::{ErrorBody, Method, Status};

use crate::world::{Asker, Empty, Fixed, NOW, World};

/// A controller of another process over the same store.
fn another(empty: &Empty) -> Arc<Controller> {
    let mut options = ControllerOptions::new(
        *empty.issuer.history.identifier(),
        empty.issuer.clone(),
        empty.hosting.clone(),
    );
    options.source = Arc::new(Fixed(AtomicU64::new(1 << 32)));
    Controller::open(empty.store.clone(), options)
}

/// Each change has one entry, or one for its beginning and one for its end.
#[tokio::test]
async fn no_change_is_in_the_log_twice() {
    let world = World::new().await;
    let store = &world.empty.store;
    let before = store.audit_behind(0, 500).await.unwrap().len();
    let ask = async |service, method, path: &str| {
        let (status, _) = world
            .empty
            .ask(&world.space_admin, service, method, path, None)
            .await;
        assert_eq!(status, Status::Ok, "{path}");
    };
    let admin = format!("/v0/{}/admins/new@example.com", world.project.id);
    for method in [Method::Put, Method::Delete, Method::Delete] {
        ask(Service::Projects, method, &admin).await;
    }
    let space = format!("/v0/{}", world.space.id);
    ask(Service::Spaces, Method::Delete, &space).await;
    let log = store.audit_behind(before as u64, 500).await.unwrap();
    let told: Vec<_> = log
        .iter()
        .map(|entry| (entry.note.action.as_str(), entry.note.outcome.as_str()))
        .collect();
    assert_eq!(
        told,
        [
            ("project.admin.add", "done"),
            ("project.admin.delete", "done"),
            // It was so already.
            ("project.admin.delete", "done"),
            ("project.delete", "begun"),
            ("project.delete", "done"),
            ("space.delete", "done"),
        ]
    );
}

#[tokio::test]
async fn the_last_administrator_of_a_space_goes_when_it_has_another_one() {
    let world = World::new().await;
    let nothing = Vec::<String>::new();
    let me: Me = world
        .empty
        .get(
            &world.space_admin,
            Service::Orchestrator,
            Method::Get,
            "/v0/me",
            &nothing,
        )
        .await;
    let account = format!("/v0/accounts/{}", me.id);
    let ask = async |service, method, path: &str| {
        world
            .empty
            .ask(&world.administrator, service, method, path, None)
            .await
    };
    let (status, body) = ask(Service::Orchestrator, Method::Delete, &account).await;
    assert_eq!(status, Status::Conflict);
    let message = ErrorBody::decode(&body).message.unwrap_or_default();
    let way = format!("ockam space-admin add EMAIL {}", world.space.id);
    assert!(message.contains(&way), "{message}");
    let other = format!(
        "/v0/{}/admins/{}",
        world.space.id, world.administrator.email
    );
    let (status, _) = ask(Service::Spaces, Method::Put, &other).await;
    assert_eq!(status, Status::Ok);
    let (status, _) = ask(Service::Orchestrator, Method::Delete, &account).await;
    assert_eq!(status, Status::Ok);
    let who = world.space_admin.caller.identifier();
    assert!(world.empty.hosting.is_dismissed(&world.project.id, who));
}

/// Whatever ended the process behind the change, another one does the rest.
#[tokio::test]
async fn what_a_change_left_to_be_done_is_done_by_the_next_process() {
    let world = World::new().await;
    let store = &world.empty.store;
    let entry = NewAudit {
        at: NOW,
        note: AuditNote {
            action: "cut short".to_owned(),
            ..AuditNote::default()
        },
    };
    let who = *world.project_admin.caller.identifier();
    let account = store.account_of(&who).await.unwrap().unwrap();
    let gone = store.delete_account(&account.id, &entry).await.unwrap();
    assert!(matches!(gone, AccountChange::Deleted(_)));
    store
        .begin_project_deletions(&[(world.project.id.clone(), entry)])
        .await
        .unwrap();
    let open = async || {
        store
            .due(Dues::until(UnixTime(u64::MAX)), 10)
            .await
            .unwrap()
    };
    assert_eq!(open().await.len(), 2);

    let node = Node::new(NodeOptions::default());
    let flow = FlowId::from_random([1; 16]);
    let services = another(&world.empty).serve(&node, flow).unwrap();
    while !open().await.is_empty() {
        tokio::task::yield_now().await;
    }
    drop(services);
    assert_eq!(store.hosted_project(&world.project.id).await.unwrap(), None);
    let log = store.audit_behind(0, 500).await.unwrap();
    let told: Vec<_> = log
        .iter()
        .rev()
        .take(2)
        .map(|entry| (entry.note.actor.as_str(), entry.note.action.as_str()))
        .collect();
    assert_eq!(
        told,
        [
            ("orchestrator", "project.delete"),
            ("orchestrator", "member.dismiss")
        ]
    );
    assert_eq!(store.verify_audit().await.unwrap().broken, None);
}

#[tokio::test]
async fn the_codes_of_two_processes_are_good_until_one_is_used() {
    let empty = Empty::new().await;
    let other = another(&empty);
    let new = async |controller: &Controller, instead_of: Option<&str>| {
        let earlier = instead_of.map(|code| code.parse().unwrap());
        let lifetime = Duration::from_secs(60);
        let code = controller.first_administrator_code(lifetime, earlier.as_ref());
        code.await.unwrap().to_string()
    };
    let first = new(&empty.controller, None).await;
    let second = new(&other, None).await;
    // A process that makes a new one makes its own worthless, not that of another.
    let third = new(&other, Some(&second)).await;
    let [alice, bob, carol] = [60, 61, 62].map(|number| Asker::new(number, "x@example.com"));
    assert_eq!(empty.enroll(&alice, &second).await, Status::Forbidden);
    assert_eq!(empty.enroll(&bob, &first).await, Status::Ok);
    assert_eq!(empty.enroll(&carol, &third).await, Status::Forbidden);
    assert_eq!(empty.store.count_accounts().await.unwrap(), (1, 1));
}
