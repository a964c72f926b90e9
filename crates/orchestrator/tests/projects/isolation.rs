//! Two projects never see each other, and strangers see neither.

use ockam_authority::message::{AddMember, MemberAttributes};

use crate::world::{Person, behind_relay, code, echoes, orchestrator, registers};

#[tokio::test]
async fn equal_names_in_two_projects_are_two_things() {
    let (_home, process) = orchestrator().await;
    let (a, b) = (process.create().await, process.create().await);
    // The same two people are in both, and each project has a relay of the same name.
    let (owner, user) = (Person::new(), Person::new());
    let relay = [("ockam-relay", "db")];
    let in_a = process.enroll(&a, &owner, &relay).await;
    let in_b = process.enroll(&b, &owner, &relay).await;
    in_a.says(b"of a");
    in_b.says(b"of b");
    let (relay_a, relay_b) = (in_a.relay(&a, "db"), in_b.relay(&b, "db"));
    assert!(registers(&relay_a).await && registers(&relay_b).await);
    let user_a = process.enroll(&a, &user, &[]).await;
    let user_b = process.enroll(&b, &user, &[]).await;
    let answer = behind_relay(&user_a, &a, "forward_to_db").await;
    assert_eq!(answer.as_deref(), Some(&b"of a"[..]));
    let answer = behind_relay(&user_b, &b, "forward_to_db").await;
    assert_eq!(answer.as_deref(), Some(&b"of b"[..]));

    // Whoever is removed from one stays in the other.
    let admin = process.admin(&a).await;
    let removed = admin.at(&a).delete_member(&owner.identifier()).await;
    removed.unwrap();
    assert!(!echoes(&in_a, &a).await);
    assert!(echoes(&in_b, &b).await);
    assert_eq!(
        process.projects.relays(b.id.as_str()).await.unwrap().len(),
        1
    );
}

#[tokio::test]
async fn guard_o02_a_member_of_one_project_gets_nothing_of_another() {
    let (_home, process) = orchestrator().await;
    let (a, b) = (process.create().await, process.create().await);
    let member = process.member(&a, &[("ockam-relay", "*")]).await;
    let owner = process.member(&b, &[("ockam-relay", "*")]).await;
    owner.says(b"of b");
    let relay = owner.relay(&b, "db");
    assert!(registers(&relay).await);
    assert!(echoes(&member, &a).await, "its own project serves it");

    // It presents the credential of A's authority to B's node.
    assert!(!echoes(&member, &b).await);
    assert_eq!(behind_relay(&member, &b, "forward_to_db").await, None);
    let intruder = member.relay(&b, "intruder");
    assert!(!registers(&intruder).await);
    let relays = process.projects.relays(b.id.as_str()).await.unwrap();
    assert_eq!(relays.len(), 1, "{relays:?}");
    let refused = member.at(&b).credential().await.unwrap_err();
    assert!(refused.is_not_a_member(), "{refused}");
    // The way through one project does not lead into the other.
    let connection = member.connect(&a).await;
    let hops = [b.id.as_str(), "echo"];
    let through = crate::world::ask(
        &member.node,
        &connection,
        &hops,
        std::time::Duration::from_millis(500),
    );
    assert_eq!(through.await, None);
}

#[tokio::test]
async fn guard_o02_an_administrator_or_enroller_of_one_project_cannot_act_in_another() {
    let (_home, process) = orchestrator().await;
    let (a, b) = (process.create().await, process.create().await);
    let admin = process.admin(&a).await;
    let enroller = Person::new();
    let role = MemberAttributes::from_pairs([("ockam-role", "enroller")]).unwrap();
    let add = AddMember {
        member: enroller.identifier(),
        attributes: role,
    };
    admin.at(&a).add_member(&add).await.unwrap();
    for (who, person) in [("admin", &admin), ("enroller", &enroller)] {
        person.at(&a).create_token(&code(&[])).await.unwrap();
        let add = AddMember {
            member: person.identifier(),
            attributes: MemberAttributes::default(),
        };
        let refused = [
            person.at(&b).create_token(&code(&[])).await.map(drop),
            person.at(&b).add_member(&add).await,
            person.at(&b).members().await.map(drop),
            person.at(&b).delete_members().await,
            person.at(&b).credential().await.map(drop),
        ];
        for refused in refused {
            let error = refused.expect_err(who);
            assert!(error.is_forbidden(), "{who}: {error}");
        }
    }
    assert!(
        process
            .projects
            .members(b.id.as_str(), None, 10)
            .await
            .unwrap()
            .is_empty()
    );
    // An enroller makes no enrollers: only administrators do, and those are the controller's to name.
    let refused = enroller
        .at(&a)
        .create_token(&code(&[("ockam-role", "enroller")]))
        .await;
    assert!(refused.unwrap_err().is_forbidden());
}

#[tokio::test]
async fn guard_o02_a_ticket_of_one_project_is_unknown_to_another() {
    let (_home, process) = orchestrator().await;
    let (a, b) = (process.create().await, process.create().await);
    let admin = process.admin(&a).await;
    let code = admin.at(&a).create_token(&code(&[])).await.unwrap();
    let person = Person::new();
    let refused = person.at(&b).redeem(&code).await.unwrap_err();
    assert!(refused.is_unknown_code(), "{refused}");
    person.at(&a).redeem(&code).await.unwrap();
    assert!(
        person
            .at(&b)
            .credential()
            .await
            .unwrap_err()
            .is_not_a_member()
    );
}

#[tokio::test]
async fn guard_o02_a_stranger_gets_handshakes_and_nothing_else() {
    let (_home, process) = orchestrator().await;
    let project = process.create().await;
    let owner = process.member(&project, &[("ockam-relay", "db")]).await;
    owner.says(b"secret");
    let relay = owner.relay(&project, "db");
    assert!(registers(&relay).await);
    let stranger = Person::new();
    assert!(!echoes(&stranger, &project).await);
    assert_eq!(
        behind_relay(&stranger, &project, "forward_to_db").await,
        None
    );
    assert!(!registers(&stranger.relay(&project, "mine")).await);
    let refused = [
        stranger
            .at(&project)
            .create_token(&code(&[]))
            .await
            .map(drop),
        stranger.at(&project).credential().await.map(drop),
        stranger.at(&project).members().await.map(drop),
    ];
    for refused in refused {
        assert!(refused.unwrap_err().is_forbidden());
    }
    // Without a channel there is not even that.
    let tcp = project.access_route.protocols()[..3].to_vec();
    let place = ockam_wire::MultiAddr::new(tcp).unwrap();
    let connection = stranger
        .node
        .connect(
            &place,
            ockam_node::ConnectOptions {
                identity: stranger.own(),
                authorized: Vec::new(),
                timeout: std::time::Duration::from_secs(5),
            },
        )
        .await
        .unwrap();
    for service in ["echo", "forwarding_service", "forward_to_db"] {
        let patience = std::time::Duration::from_millis(300);
        let answer = crate::world::ask(&stranger.node, &connection, &[service], patience).await;
        assert_eq!(answer, None, "{service}");
    }
}
