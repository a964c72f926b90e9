//! What changes, for whom, and at once.

use ockam_control::controller::message::{
    AuditEntry, Item as _, Me, Page, PageRequest, Project, RedeemInvitation, RedeemedInvitation,
    Space,
};
use ockam_orchestrator::controller::Service;
use ockam_wire::envelope::{Method, Status};

use crate::world::{Asker, World, new_code};

#[tokio::test]
async fn a_space_carries_a_subscription_and_a_project_is_ready_at_once() {
    let world = World::new().await;
    assert!(
        world
            .space
            .subscription
            .as_ref()
            .unwrap()
            .is_valid(u64::MAX)
    );
    assert!(world.project.is_ready());
    assert!(
        world
            .project
            .is_admin(&world.space_admin.email.parse().unwrap())
    );
}

#[tokio::test]
async fn a_guest_is_a_member_and_sees_the_project_and_nothing_more() {
    let world = World::new().await;
    let redeem = RedeemInvitation {
        id: world.invitation.clone(),
    };
    let taken: RedeemedInvitation = world
        .empty
        .get(
            &world.nobody,
            Service::Users,
            Method::Post,
            "/v0/redeem_invite",
            &redeem,
        )
        .await;
    assert_eq!(taken.target_id, world.project.id);
    assert!(
        world
            .empty
            .hosting
            .member(&world.project.id, world.nobody.caller.identifier())
            .is_some()
    );
    let (again, _) = world
        .empty
        .ask(
            &world.nobody,
            Service::Users,
            Method::Post,
            "/v0/redeem_invite",
            Some(&redeem.encode()),
        )
        .await;
    assert_eq!(again, Status::NotFound);
    let project = format!("/v0/{}", world.project.id);
    let admins = format!("{project}/admins/a@b");
    let credential = format!("/v0/project/{}", world.project.id);
    for (service, method, path, expected) in [
        (Service::Projects, Method::Get, &project, Status::Ok),
        (Service::Projects, Method::Put, &admins, Status::Forbidden),
        (
            Service::Accounts,
            Method::Get,
            &credential,
            Status::Forbidden,
        ),
    ] {
        let (status, _) = world
            .empty
            .ask(&world.nobody, service, method, path, None)
            .await;
        assert_eq!(status, expected, "{path}");
    }
}

#[tokio::test]
async fn who_administers_no_more_is_dismissed_at_once() {
    let world = World::new().await;
    let path = format!(
        "/v0/{}/admins/{}",
        world.project.id,
        world.project_admin.email.to_uppercase()
    );
    let (status, _) = world
        .empty
        .ask(
            &world.space_admin,
            Service::Projects,
            Method::Delete,
            &path,
            None,
        )
        .await;
    assert_eq!(status, Status::Ok);
    let dismissed = |asker: &Asker| {
        world
            .empty
            .hosting
            .is_dismissed(&world.project.id, asker.caller.identifier())
    };
    assert!(dismissed(&world.project_admin) && !dismissed(&world.space_admin));
    let credential = format!("/v0/project/{}", world.project.id);
    let (status, _) = world
        .empty
        .ask(
            &world.project_admin,
            Service::Accounts,
            Method::Get,
            &credential,
            None,
        )
        .await;
    assert_eq!(status, Status::NotFound);
}

#[tokio::test]
async fn a_deleted_account_is_dismissed_and_a_stranger_again() {
    let world = World::new().await;
    let me: Me = world
        .empty
        .get(
            &world.project_admin,
            Service::Orchestrator,
            Method::Get,
            "/v0/me",
            &Vec::<String>::new(),
        )
        .await;
    let path = format!("/v0/accounts/{}", me.id);
    let (status, _) = world
        .empty
        .ask(
            &world.administrator,
            Service::Orchestrator,
            Method::Delete,
            &path,
            None,
        )
        .await;
    assert_eq!(status, Status::Ok);
    assert!(
        world
            .empty
            .hosting
            .is_dismissed(&world.project.id, world.project_admin.caller.identifier())
    );
    let (status, _) = world
        .empty
        .ask(
            &world.project_admin,
            Service::Projects,
            Method::Get,
            "/v0",
            None,
        )
        .await;
    assert_eq!(status, Status::Forbidden);
}

#[tokio::test]
async fn the_last_administrators_stay() {
    let world = World::new().await;
    let me: Me = world
        .empty
        .get(
            &world.administrator,
            Service::Orchestrator,
            Method::Get,
            "/v0/me",
            &Vec::<String>::new(),
        )
        .await;
    for (asker, service, path) in [
        (
            &world.administrator,
            Service::Orchestrator,
            format!("/v0/accounts/{}", me.id),
        ),
        (
            &world.administrator,
            Service::Orchestrator,
            format!("/v0/accounts/{}/administrator", me.id),
        ),
        (
            &world.space_admin,
            Service::Spaces,
            format!("/v0/{}/admins/{}", world.space.id, world.space_admin.email),
        ),
    ] {
        let (status, _) = world
            .empty
            .ask(asker, service, Method::Delete, &path, None)
            .await;
        assert_eq!(status, Status::Conflict, "{path}");
    }
}

#[tokio::test]
async fn a_deleted_space_takes_its_projects_along() {
    let world = World::new().await;
    let path = format!("/v0/{}", world.space.id);
    let (status, _) = world
        .empty
        .ask(
            &world.space_admin,
            Service::Spaces,
            Method::Delete,
            &path,
            None,
        )
        .await;
    assert_eq!(status, Status::Ok);
    let nothing = Vec::<String>::new();
    let spaces: Vec<Space> = world
        .empty
        .get(
            &world.space_admin,
            Service::Spaces,
            Method::Get,
            "/v0/",
            &nothing,
        )
        .await;
    let projects: Vec<Project> = world
        .empty
        .get(
            &world.space_admin,
            Service::Projects,
            Method::Get,
            "/v0",
            &nothing,
        )
        .await;
    assert!(spaces.is_empty() && projects.is_empty());
}

#[tokio::test]
async fn nobody_comes_by_an_account_with_a_code_for_its_address() {
    let world = World::new().await;
    let wanted = ockam_control::controller::message::NewInvitation {
        email: Some(world.space_admin.email.parse().unwrap()),
        administrator: None,
        ttl_secs: None,
        uses: None,
        space_id: None,
        project_id: None,
        project_admin: None,
    };
    let (status, _) = world
        .empty
        .ask(
            &world.administrator,
            Service::Orchestrator,
            Method::Post,
            "/v0/invitations",
            Some(&wanted.encode()),
        )
        .await;
    assert_eq!(status, Status::Conflict);
    let mut given = wanted.clone();
    given.email = None;
    given.space_id = Some(world.space.id.clone());
    let (status, _) = world
        .empty
        .ask(
            &world.administrator,
            Service::Orchestrator,
            Method::Post,
            "/v0/invitations",
            Some(&given.encode()),
        )
        .await;
    assert_eq!(status, Status::NotFound);
}

#[tokio::test]
async fn guard_o08_what_is_done_and_refused_is_in_the_audit_log_without_secrets() {
    let world = World::new().await;
    let code = new_code(&world.empty, &world.administrator, "late@example.com").await;
    let path = format!("/v0/{}", world.project.id);
    let (status, _) = world
        .empty
        .ask(&world.outsider, Service::Projects, Method::Get, &path, None)
        .await;
    assert_eq!(status, Status::NotFound);
    let page = PageRequest {
        after: None,
        limit: Some(500),
    };
    let log: Page<AuditEntry> = world
        .empty
        .get(
            &world.administrator,
            Service::Orchestrator,
            Method::Post,
            "/v0/audit/page",
            &page,
        )
        .await;
    let actions: Vec<_> = log
        .items
        .iter()
        .map(|entry| entry.action.as_str())
        .collect();
    for action in [
        "code.create",
        "enroll",
        "space.create",
        "project.create",
        "project.admin.add",
        "invitation.create",
    ] {
        assert!(actions.contains(&action), "{action} is not in {actions:?}");
    }
    let last = log.items.last().unwrap();
    assert_eq!(last.actor, world.outsider.caller.identifier().to_string());
    assert_eq!(last.outcome, "refused: not found");
    assert!(!format!("{:?}", log.items).contains(&*code.code));
    let verdict = world.empty.store.verify_audit().await.unwrap();
    assert_eq!(
        (verdict.sound, verdict.broken),
        (log.items.len() as u64, None)
    );
}

#[tokio::test]
async fn guard_o06_whoever_tries_codes_is_held_up() {
    let world = World::new().await;
    let mut statuses = Vec::new();
    for number in 0..30 {
        statuses.push(
            world
                .empty
                .enroll(&world.stranger, &format!("{number:064x}"))
                .await,
        );
    }
    let tried = statuses
        .iter()
        .filter(|status| **status == Status::Forbidden)
        .count();
    assert!((4..=6).contains(&tried), "{tried}");
    assert!(
        statuses
            .iter()
            .all(|status| matches!(status, Status::Forbidden | Status::Conflict))
    );
}
