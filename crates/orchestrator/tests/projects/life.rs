//! Projects start when somebody comes and stop when nobody does; what was withdrawn or deleted ends within a second, in every
//! process.

use std::time::{Duration, Instant};

use ockam_orchestrator::projects::{ProjectId, ProjectsError};

use crate::world::{Person, Process, attributes, code, echoes, orchestrator, registers, wait_for};

#[tokio::test]
async fn a_project_runs_while_it_is_used_and_goes_on_where_it_was() {
    let home = tempfile::tempdir().unwrap();
    let process = Process::start(home.path(), Duration::from_millis(600)).await;
    let project = process.create().await;
    assert_eq!(process.projects.counts().started, 0);
    let member = process.member(&project, &[("ockam-relay", "db")]).await;
    let relay = member.relay(&project, "db");
    assert!(registers(&relay).await);
    assert_eq!(process.projects.counts().started, 1);
    assert_eq!(process.projects.counts().relays, 1);
    // Longer than it may be idle.
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(process.projects.counts().relays, 1);
    relay.stop().await;
    drop(relay);
    for connection in member.node.connections() {
        connection.close();
    }
    wait_for(async || (process.projects.counts().started == 0).then_some(())).await;
    // With the credential of before.
    assert!(echoes(&member, &project).await);
    assert_eq!(process.projects.counts().started, 1);
}

#[tokio::test]
async fn ids_that_nobody_has_start_nothing() {
    let (_home, process) = orchestrator().await;
    let project = process.create().await;
    let stranger = Person::new();
    for place in [
        ProjectId::random().to_string(),
        format!("authority-{}", ProjectId::random()),
        format!("authority-authority-{}", project.id),
        project.id.to_string().to_uppercase(),
    ] {
        let route = project.access_route.to_string();
        let route = route.replace(project.id.as_str(), &place);
        let options = ockam_node::ConnectOptions {
            identity: stranger.own(),
            authorized: Vec::new(),
            timeout: Duration::from_millis(700),
        };
        let secure = crate::world::secure(&route.parse().unwrap());
        assert!(stranger.node.connect(&secure, options).await.is_err());
    }
    assert_eq!(process.projects.counts().started, 0);
    let unknown = process.projects.describe("no such project").await;
    assert!(matches!(unknown, Err(ProjectsError::Unknown(_))));
}

#[tokio::test]
async fn relay_and_channels_of_a_removed_member_end_within_a_second_in_every_process() {
    let home = tempfile::tempdir().unwrap();
    let here = Process::start(home.path(), Duration::from_secs(600)).await;
    let there = Process::start(home.path(), Duration::from_secs(600)).await;
    let project = here.create().await;
    let elsewhere = there.project(&project).await;
    for (whose, at) in [("same process", &project), ("other process", &elsewhere)] {
        let member = here.member(&project, &[("ockam-relay", "db")]).await;
        let relay = member.relay(&project, "db");
        assert!(registers(&relay).await);
        let connection = member.connect(&project).await;
        let admin = here.admin(&project).await;
        admin
            .at(at)
            .delete_member(&member.identifier())
            .await
            .unwrap();
        let removed = Instant::now();
        connection.closed().await;
        wait_for(async || (here.projects.counts().relays == 0).then_some(())).await;
        let took = removed.elapsed();
        assert!(took < Duration::from_secs(1), "{whose}: {took:?}");
        assert!(!echoes(&member, &project).await, "{whose}");
        assert!(!echoes(&member, &elsewhere).await, "{whose}");
        let refused = member.at(at).credential().await.unwrap_err();
        assert!(refused.is_not_a_member(), "{whose}: {refused}");
    }
}

#[tokio::test]
async fn a_member_that_joins_in_one_process_is_one_in_the_other() {
    let home = tempfile::tempdir().unwrap();
    let here = Process::start(home.path(), Duration::from_secs(600)).await;
    let there = Process::start(home.path(), Duration::from_secs(600)).await;
    let project = here.create().await;
    let elsewhere = there.project(&project).await;
    let admin = here.admin(&project).await;
    let code = admin.at(&project).create_token(&code(&[])).await.unwrap();
    let person = Person::new();
    person.at(&elsewhere).redeem(&code).await.unwrap();
    let issued = person.at(&project).credential().await.unwrap();
    let member = person.presenting(&issued.bundle);
    assert!(echoes(&member, &project).await && echoes(&member, &elsewhere).await);
    // A code is used once, wherever.
    let second = Person::new().at(&project).redeem(&code).await;
    assert!(second.unwrap_err().is_unknown_code());
}

#[tokio::test]
async fn whoever_was_removed_may_come_back_at_once_with_a_new_code_and_not_with_an_old_one() {
    let (_home, process) = orchestrator().await;
    let project = process.create().await;
    let admin = process.admin(&project).await;
    let old = admin.at(&project).create_token(&code(&[])).await.unwrap();
    // A removal and a code of the same second cannot be told apart.
    tokio::time::sleep(Duration::from_millis(2100)).await;
    let member = process.member(&project, &[]).await;
    admin
        .at(&project)
        .delete_member(&member.identifier())
        .await
        .unwrap();
    let refused = member.at(&project).redeem(&old).await.unwrap_err();
    assert!(refused.is_unknown_code(), "{refused}");
    let again = process.enroll(&project, &member, &[]).await;
    assert!(echoes(&again, &project).await);
}

#[tokio::test]
async fn a_dismissed_administrator_acts_no_more_until_the_controller_says_so_again() {
    let home = tempfile::tempdir().unwrap();
    let here = Process::start(home.path(), Duration::from_secs(600)).await;
    let there = Process::start(home.path(), Duration::from_secs(600)).await;
    let (project, other) = (here.create().await, here.create().await);
    let elsewhere = there.project(&project).await;
    let admin = here.admin(&project).await;
    let in_other = here.admin_credential(&other, &admin, 0).await;
    admin.at(&project).create_token(&code(&[])).await.unwrap();
    admin.at(&elsewhere).create_token(&code(&[])).await.unwrap();
    let issued = admin.at(&project).credential().await.unwrap();
    let member = admin.presenting(&issued.bundle);
    let connection = member.connect(&project).await;

    tokio::time::sleep(Duration::from_millis(2100)).await;
    there
        .projects
        .dismiss(project.id.as_str(), &admin.identifier())
        .await
        .unwrap();
    let dismissed = Instant::now();
    connection.closed().await;
    let took = dismissed.elapsed();
    assert!(took < Duration::from_secs(1), "{took:?}");
    assert!(!echoes(&member, &project).await);
    for at in [&project, &elsewhere] {
        let refused = admin.at(at).create_token(&code(&[])).await;
        assert!(refused.unwrap_err().is_forbidden());
        let refused = admin.at(at).credential().await;
        assert!(refused.unwrap_err().is_forbidden());
    }
    // What it is elsewhere it stays.
    let still = admin.presenting(&in_other);
    still.at(&other).create_token(&code(&[])).await.unwrap();
    // And a process that starts later knows it too.
    let later = Process::start(home.path(), Duration::from_secs(600)).await;
    let at_later = later.project(&project).await;
    let refused = admin.at(&at_later).create_token(&code(&[])).await;
    assert!(refused.unwrap_err().is_forbidden());
    assert!(!echoes(&member, &at_later).await);

    let anew = here.admin_credential(&project, &admin, 2).await;
    let back = admin.presenting(&anew);
    back.at(&project).create_token(&code(&[])).await.unwrap();
}

#[tokio::test]
async fn a_deleted_project_ends_within_a_second_in_every_process() {
    let home = tempfile::tempdir().unwrap();
    let here = Process::start(home.path(), Duration::from_secs(600)).await;
    let there = Process::start(home.path(), Duration::from_secs(600)).await;
    let (project, stays) = (here.create().await, here.create().await);
    let elsewhere = there.project(&project).await;
    let member = here.member(&project, &[]).await;
    let other = here.member(&stays, &[]).await;
    let (first, second) = (
        member.connect(&project).await,
        member.connect(&elsewhere).await,
    );
    let kept = other.connect(&stays).await;
    let gone = [project.id.to_string()];
    assert_eq!(here.projects.delete(&gone).await.unwrap(), 1);
    let deleted = Instant::now();
    first.closed().await;
    second.closed().await;
    let took = deleted.elapsed();
    assert!(took < Duration::from_secs(1), "{took:?}");
    for process in [&here, &there] {
        let unknown = process.projects.describe(project.id.as_str()).await;
        assert!(matches!(unknown, Err(ProjectsError::Unknown(_))));
        let left = usize::from(std::ptr::eq(process, &here));
        wait_for(async || (process.projects.counts().started == left).then_some(())).await;
    }
    assert_eq!(here.projects.delete(&gone).await.unwrap(), 0);
    assert!(!kept.is_closed());
    assert!(echoes(&other, &stays).await);
}

#[tokio::test]
async fn what_the_controller_places_is_in_credentials_together_with_what_an_administrator_gets() {
    let (_home, process) = orchestrator().await;
    let project = process.create().await;
    let by = project.identity;
    let admin = process.admin(&project).await;
    let id = project.id.as_str();
    let plain = attributes(&admin.at(&project).credential().await.unwrap());
    let expected = [
        ("ockam-relay", "*"),
        ("ockam-tls-certificate", "true"),
        ("trust_context_id", id),
    ];
    assert_eq!(
        plain,
        expected.map(|(n, v)| (n.to_owned(), v.to_owned())).into()
    );
    let guest = Person::new();
    for person in [&admin, &guest] {
        let who = person.identifier();
        let claims = [("groups.dba".to_owned(), "true".to_owned())].into();
        let admitted = process.projects.admit(id, &who, &claims, &by);
        admitted.await.unwrap();
        let issued = attributes(&person.at(&project).credential().await.unwrap());
        assert_eq!(issued.get("groups.dba").map(String::as_str), Some("true"));
        let is_admin = person.identifier() == admin.identifier();
        assert_eq!(issued.contains_key("ockam-relay"), is_admin);
    }
    // Claims that are gone are gone.
    let claims = [("groups.ops".to_owned(), "true".to_owned())].into();
    let who = guest.identifier();
    process
        .projects
        .admit(id, &who, &claims, &by)
        .await
        .unwrap();
    let issued = attributes(&guest.at(&project).credential().await.unwrap());
    assert!(issued.contains_key("groups.ops") && !issued.contains_key("groups.dba"));
    for reserved in ["ockam-role", "identifier"] {
        let claims = [(reserved.to_owned(), "enroller".to_owned())].into();
        let refused = process.projects.admit(id, &who, &claims, &by).await;
        assert!(matches!(refused, Err(ProjectsError::Attributes { .. })));
    }
    let unknown = ProjectId::random();
    let refused = process
        .projects
        .admit(unknown.as_str(), &who, &[].into(), &by)
        .await;
    assert!(matches!(refused, Err(ProjectsError::Unknown(_))));
}
