//! Presented, refreshed, refused, withdrawn.

use std::time::Duration;

use ockam_identity::{CredentialBundle, OlderPurposeKeys, VerifiedHistory};
use ockam_node::{Authority, Node, NodeOptions};

use crate::issuer::{HOUR, Issuer, earlier, now};
use crate::world::{Party, with_credentials};

#[tokio::test]
async fn each_side_knows_the_attributes_of_the_other_when_the_channel_is_open() {
    let issuer = Issuer::new();
    let mut web = member(&issuer, "web").await;
    let mut database = member(&issuer, "database").await;
    let channel = web.open(&database).await;
    assert_eq!(
        web.attested(&database, "component").as_deref(),
        Some("database")
    );
    web.tell(&channel).await;
    database.hear().await;
    assert_eq!(database.attested(&web, "component").as_deref(), Some("web"));
    assert!(web.denied(&database).is_empty());
    assert!(database.denied(&web).is_empty());
    // spec: trust 4.5 (not tied to the channel)
    web.present(Vec::new());
    let another = database.open(&web).await;
    database.tell(&another).await;
    web.hear().await;
    assert_eq!(database.attested(&web, "component").as_deref(), Some("web"));
}

#[tokio::test]
async fn refresh_gives_attributes_on_a_channel_that_started_without() {
    // spec: trust 5.8
    let issuer = Issuer::new();
    let web = Party::start(Some(&issuer.history)).await;
    let mut server = Party::start(Some(&issuer.history)).await;
    let channel = web.open(&server).await;
    web.tell(&channel).await;
    server.hear().await;
    assert_eq!(server.attested(&web, "component"), None);
    let mut generation = server.node.attested().generation();
    web.present(vec![issuer.issue(&web.history, &[("component", "web")])]);
    generation.changed().await.unwrap();
    assert_eq!(server.attested(&web, "component").as_deref(), Some("web"));
    // And from the side that was called.
    let mut generation = web.node.attested().generation();
    server.present(vec![
        issuer.issue(&server.history, &[("component", "database")]),
    ]);
    generation.changed().await.unwrap();
    assert_eq!(
        web.attested(&server, "component").as_deref(),
        Some("database")
    );
    assert!(!channel.is_closed());
}

#[tokio::test]
async fn credential_that_does_not_verify_is_counted_and_the_channel_stays() {
    // spec: trust 4.4, 5.5
    let issuer = Issuer::new();
    let somebody = Party::start(None).await;
    let other = Issuer::new();
    type Issue<'a> = Box<dyn Fn(&VerifiedHistory) -> CredentialBundle + 'a>;
    let cases: [(&str, Issue<'_>); 5] = [
        (
            "expired",
            Box::new(|subject| {
                let (from, until) = (earlier(now(), 100), earlier(now(), 10));
                issuer.issue_for(subject, &[], from, until)
            }),
        ),
        (
            "in the future",
            Box::new(|subject| {
                let (from, until) = (now().plus(600), now().plus(HOUR));
                issuer.issue_for(subject, &[], from, until)
            }),
        ),
        (
            "was issued by",
            Box::new(|subject| other.issue(subject, &[])),
        ),
        (
            "is about",
            Box::new(|_| issuer.issue(&somebody.history, &[])),
        ),
        (
            "credential",
            Box::new(|_| CredentialBundle::decode(&[0x80]).unwrap()),
        ),
    ];
    for (reason, issue) in cases {
        let mut server = Party::start(Some(&issuer.history)).await;
        let node = Node::new(NodeOptions::default());
        let identity = with_credentials(&node, |history| vec![issue(history)]);
        let client = Party::start_as(node, identity).await;
        let channel = client.open(&server).await;
        client.tell(&channel).await;
        server.hear().await;
        assert_eq!(server.node.attested().all().len(), 0, "{reason}");
        let denied = server.denied(&client);
        assert!(
            denied.len() == 1 && denied.iter().all(|rule| rule.contains(reason)),
            "{reason}: {denied:?}"
        );
    }
}

#[tokio::test]
async fn good_credential_among_bad_ones_counts_and_only_so_many_are_looked_at() {
    let issuer = Issuer::new();
    let mut server = Party::start(Some(&issuer.history)).await;
    for (bad, counts) in [(7, true), (8, false)] {
        let node = Node::new(NodeOptions::default());
        let identity = with_credentials(&node, |history| {
            let mut all = vec![CredentialBundle::decode(&[0x80]).unwrap(); bad];
            all.push(issuer.issue(history, &[]));
            all
        });
        let client = Party::start_as(node, identity).await;
        let channel = client.open(&server).await;
        client.tell(&channel).await;
        server.hear().await;
        let attested = server.node.attested().get(client.identifier());
        assert_eq!(attested.is_some(), counts);
    }
}

#[tokio::test]
async fn node_without_an_authority_passes_credentials_over() {
    let issuer = Issuer::new();
    let web = member(&issuer, "web").await;
    let mut server = Party::start(None).await;
    let channel = web.open(&server).await;
    web.tell(&channel).await;
    server.hear().await;
    assert!(server.node.attested().all().is_empty());
    assert!(server.denied(&web).is_empty());
}

#[tokio::test]
async fn withdrawn_credential_counts_neither_now_nor_when_it_is_presented_again() {
    let issuer = Issuer::new();
    let web = member(&issuer, "web").await;
    let mut server = Party::start(Some(&issuer.history)).await;
    let channel = web.open(&server).await;
    web.tell(&channel).await;
    server.hear().await;
    let attested = server.node.attested();
    attested.withdraw(web.identifier(), now().plus(1));
    assert_eq!(server.attested(&web, "component"), None);
    let again = web.open(&server).await;
    web.tell(&again).await;
    server.hear().await;
    assert_eq!(server.attested(&web, "component"), None);
    assert_eq!(
        server.denied(&web),
        ["credential: the credential was withdrawn"]
    );
}

#[tokio::test]
async fn nothing_counts_while_the_authority_is_silent_for_too_long() {
    let issuer = Issuer::new();
    let web = member(&issuer, "web").await;
    let mut server = Party::start(Some(&issuer.history)).await;
    let channel = web.open(&server).await;
    web.tell(&channel).await;
    server.hear().await;
    let mut generation = server.node.attested().generation();
    generation.borrow_and_update();
    server
        .node
        .attested()
        .set_max_stale(Some(Duration::from_millis(50)));
    generation.changed().await.unwrap();
    assert_eq!(server.attested(&web, "component"), None);
    server.node.attested().heard();
    assert_eq!(server.attested(&web, "component").as_deref(), Some("web"));
}

#[tokio::test]
async fn what_the_authority_signed_with_revoked_keys_is_void() {
    for (older, stays) in [
        (OlderPurposeKeys::Keep, true),
        (OlderPurposeKeys::Revoke, false),
    ] {
        let mut issuer = Issuer::new();
        let web = member(&issuer, "web").await;
        let mut server = Party::start(Some(&issuer.history)).await;
        let channel = web.open(&server).await;
        web.tell(&channel).await;
        server.hear().await;
        let before = issuer.issue(&web.history, &[("component", "before")]);
        issuer.rotate(older);
        server.node.learn_history(&issuer.history);
        assert_eq!(server.attested(&web, "component").is_some(), stays);
        // Under the new key all goes on, under the old one nothing.
        web.present(vec![before]);
        web.tell(&channel).await;
        server.hear().await;
        assert_eq!(server.attested(&web, "component").is_some(), stays);
        let mut generation = server.node.attested().generation();
        generation.borrow_and_update();
        web.present(vec![issuer.issue(&web.history, &[("component", "after")])]);
        generation.changed().await.unwrap();
        assert_eq!(server.attested(&web, "component").as_deref(), Some("after"));
    }
}

#[tokio::test]
async fn what_is_signed_under_a_key_that_is_not_known_yet_counts_when_it_is() {
    let mut issuer = Issuer::new();
    let mut server = Party::start(Some(&issuer.history)).await;
    let web = member(&issuer, "before").await;
    let channel = web.open(&server).await;
    web.tell(&channel).await;
    server.hear().await;
    let authority = server.node.authority().unwrap();
    let (mut outpaced, mut changes) = (authority.outpaced(), authority.changes());
    issuer.rotate(OlderPurposeKeys::Keep);
    web.present(vec![issuer.issue(&web.history, &[("component", "after")])]);
    outpaced.changed().await.unwrap();
    assert_eq!(
        server.attested(&web, "component").as_deref(),
        Some("before")
    );
    assert!(!changes.has_changed().unwrap());
    server.node.learn_history(&issuer.history);
    changes.changed().await.unwrap();
    assert_eq!(server.attested(&web, "component").as_deref(), Some("after"));
}

async fn member(issuer: &Issuer, component: &str) -> Party {
    let node = Node::new(NodeOptions {
        authority: Some(Authority::new(issuer.history.clone())),
        ..NodeOptions::default()
    });
    let identity = with_credentials(&node, |history| {
        vec![issuer.issue(history, &[("component", component)])]
    });
    Party::start_as(node, identity).await
}
