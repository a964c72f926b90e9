//! What administrators of the Orchestrator see.

use ockam_store::AuditNote;

use crate::world::{Person, code, orchestrator, registers};

#[tokio::test]
async fn relays_connections_members_and_tickets_are_told_of() {
    let (_home, process) = orchestrator().await;
    let project = process.create().await;
    let id = project.id.as_str();
    let member = process.member(&project, &[("ockam-relay", "db")]).await;
    let relay = member.relay(&project, "db");
    assert!(registers(&relay).await);

    let relays = process.projects.relays(id).await.unwrap();
    assert_eq!(relays.len(), 1);
    assert_eq!(
        (relays[0].name.as_str(), relays[0].owner),
        ("db", Some(member.identifier()))
    );
    let from = relays[0].from.expect("it came over TCP");
    let local: Vec<_> = process
        .outer
        .connections()
        .iter()
        .map(|connection| connection.info().peer.clone())
        .collect();
    assert!(
        from.ip().is_loopback() && local.contains(&from.to_string()),
        "{from}, {local:?}"
    );

    let connected = process.projects.connected(id).await.unwrap();
    let of_member: Vec<_> = connected
        .iter()
        .filter(|connected| connected.identifier == member.identifier())
        .collect();
    assert_eq!(of_member.len(), 1, "{connected:?}");
    assert!(of_member[0].is_member && of_member[0].from == Some(from));

    let members = process.projects.members(id, None, 10).await.unwrap();
    assert_eq!(members.len(), 1);
    assert_eq!(members[0].identifier, member.identifier());
    assert_eq!(members[0].attributes.get("ockam-relay"), Some("db"));

    let tickets = process.projects.tickets(id, 10).await.unwrap();
    assert_eq!(tickets.len(), 1);
    assert_eq!((tickets[0].uses, tickets[0].uses_left), (1, 0));
    assert_eq!(tickets[0].issued_by, members[0].added_by);
    assert_eq!(tickets[0].used.len(), 1);
    assert_eq!(tickets[0].used[0].by, member.identifier());

    let admin = process.admin(&project).await;
    let unused = admin.at(&project).create_token(&code(&[])).await.unwrap();
    assert_eq!(process.projects.tickets(id, 1).await.unwrap().len(), 1);
    let tickets = process.projects.tickets(id, 10).await.unwrap();
    let open: Vec<_> = tickets
        .iter()
        .filter(|ticket| ticket.uses_left > 0)
        .collect();
    assert_eq!((tickets.len(), open.len()), (2, 1));
    assert_eq!(
        (open[0].issued_by, open[0].used.len()),
        (admin.identifier(), 0)
    );
    let shown = format!("{tickets:?} {:?}", process.noted().await);
    assert!(!shown.contains(&unused.reveal()[..16]), "{shown}");
}

#[tokio::test]
async fn whoever_changes_members_or_codes_is_in_the_audit_log() {
    let (_home, process) = orchestrator().await;
    let project = process.create().await;
    let member = process.member(&project, &[]).await;
    let admin = process.admin(&project).await;
    admin
        .at(&project)
        .delete_member(&member.identifier())
        .await
        .unwrap();
    let refused = Person::new().at(&project).delete_members().await;
    assert!(refused.is_err());
    let noted = process.noted().await;
    let ours = |note: &AuditNote| note.object.starts_with(project.id.as_str());
    assert!(noted.iter().all(ours), "{noted:?}");
    let done: Vec<_> = noted
        .iter()
        .map(|note| (note.actor.as_str(), note.action.as_str()))
        .collect();
    let (who, by) = (
        member.identifier().to_string(),
        admin.identifier().to_string(),
    );
    assert_eq!(
        done[1..],
        [(&*who, "redeem ticket"), (&*by, "remove member")]
    );
    assert_eq!(done[0].1, "issue ticket");
    assert!(noted[2].object.ends_with(&who));
    // What was so already is no change.
    let again = admin.at(&project).delete_member(&member.identifier()).await;
    again.unwrap();
    assert_eq!(process.noted().await.len(), 3);
}
