//! Clients of an authority over real channels: enrollment, members, and credentials that are renewed.

use std::sync::Arc;
use std::time::Duration;

use ockam_authority::client::{AuthorityClient, Redeemed, RequestError};
use ockam_authority::message::{AddMember, CreateToken, MemberAttributes};
use ockam_authority::{Change, Member, Members, Standing};
use ockam_identity::{Identifier, OneTimeCode, UnixTime};
use ockam_node::{
    Access, ChannelError, ConnectError, ConnectOptions, Node, NodeOptions, OwnIdentity,
};
use ockam_wire::envelope::{MessageId, Request, Response, Status};
use ockam_wire::{Address, Buffer, Route};

use crate::world::{Cache, Listening, World, client_of, identifier, to, wait_for};

#[tokio::test]
async fn a_ticket_makes_a_member_once_and_its_credential_says_what_the_ticket_said() {
    let world = World::start(3600).await;
    let attributes = MemberAttributes::from_pairs([("component", "web")]).unwrap();
    let token = CreateToken {
        attributes,
        ..CreateToken::default()
    };
    let code = world.enroller.create_token(&token).await.unwrap();
    let alice = world.client();
    let refused = alice.credential().await.unwrap_err();
    assert!(refused.is_not_a_member(), "{refused}");
    assert_eq!(alice.redeem(&code).await.unwrap(), Redeemed::New);
    assert_eq!(alice.redeem(&code).await.unwrap(), Redeemed::AlreadyMember);
    let issued = alice.credential().await.unwrap();
    assert_eq!(*issued.credential.subject(), identifier(&alice).await);
    assert_eq!(
        issued.credential.attributes().get(b"component"),
        Some(&b"web"[..])
    );
    // The one use is used.
    let bob = world.client();
    let refused = bob.redeem(&code).await.unwrap_err();
    assert!(refused.is_unknown_code(), "{refused}");
    assert!(!format!("{refused} {refused:?}").contains(&code.reveal()));
    let forged = OneTimeCode::take(&mut [7; 32]);
    assert!(bob.redeem(&forged).await.unwrap_err().is_unknown_code());
    // Who is no enroller lets nobody in.
    assert!(alice.create_token(&token).await.unwrap_err().is_forbidden());
}

/// Whoever starts an authority's node like another one has it trust a project, perhaps its own.
#[tokio::test]
async fn attributes_that_an_enroller_chose_make_no_admin_of_an_authority_that_trusts_itself() {
    let world = World::start_on(3600, |history| NodeOptions {
        authority: Some(ockam_node::Authority::new(history.clone())),
        ..NodeOptions::default()
    })
    .await;
    let alice = world.client();
    world.add(&alice, &[("project", "p")]).await;
    let issued = alice.credential().await.unwrap().credential;
    world.node.attested().accept(issued).unwrap();
    assert!(
        world
            .node
            .attested()
            .get(&identifier(&alice).await)
            .is_some()
    );
    let refused = alice.members().await.unwrap_err();
    assert!(refused.is_forbidden(), "{refused}");
}

#[tokio::test]
async fn members_are_added_shown_and_removed_by_enrollers() {
    let world = World::start(3600).await;
    let alice = world.client();
    let member = identifier(&alice).await;
    let add = AddMember {
        member,
        attributes: MemberAttributes::from_pairs([("a", "b")]).unwrap(),
    };
    world.enroller.add_member(&add).await.unwrap();
    let entry = world.enroller.member(&member).await.unwrap();
    assert_eq!(entry.attributes, add.attributes);
    assert_eq!(entry.added_by, Some(identifier(&world.enroller).await));
    assert_eq!(world.enroller.member_ids().await.unwrap().0.len(), 2);
    assert!(
        world
            .enroller
            .members()
            .await
            .unwrap()
            .0
            .contains_key(&member)
    );
    assert!(alice.members().await.unwrap_err().is_forbidden());
    world.enroller.delete_member(&member).await.unwrap();
    let gone = world.enroller.member(&member).await.unwrap_err();
    assert!(gone.is_unknown_member(), "{gone}");
    assert!(alice.credential().await.unwrap_err().is_not_a_member());
}

#[tokio::test]
async fn somebody_else_than_the_authority_is_not_asked() {
    let world = World::start(3600).await;
    let other = World::start(3600).await;
    let wrong = AuthorityClient {
        authority: other.enroller.authority,
        ..world.enroller.clone()
    };
    let refused = wrong.member_ids().await.unwrap_err();
    assert!(
        matches!(&refused, RequestError::Connect(ConnectError::Channel(ChannelError::NotAuthorized(there))) if *there == world.enroller.authority),
        "{refused}"
    );
}

#[tokio::test]
async fn guard_11_2_15_an_answer_counts_only_for_its_request_and_from_its_channel() {
    let node = Node::new(NodeOptions::default());
    let identity = Arc::new(node.ephemeral_identity().unwrap());
    let authority = *identity.history.identifier();
    let listening = Listening::start(&node, identity).await;
    let service = Address::from_static("direct_authenticator");
    let mut mailbox = node
        .router()
        .start_mailbox(std::slice::from_ref(&service), Access::ALLOW_ALL)
        .unwrap();
    node.router().add_consumer(&service, listening.flow);
    let client = client_of(authority, listening.route.clone());
    let asking = tokio::spawn({
        let client = client.clone();
        async move { client.member_ids().await.unwrap().0.len() }
    });
    let message = mailbox.recv().await;
    let (request, _) = Request::decode(message.payload.as_slice()).unwrap();
    let answer = |re: MessageId, members: u8| {
        // The only page of the list.
        let mut list = vec![0xa2, 0x01, 0x80 + members];
        for member in 0..members {
            list.extend([0x58, 32]);
            list.extend([member; 32]);
        }
        list.extend([0x02, 0xf4]);
        Buffer::from_slice(&Response::new(MessageId(9), re, Status::Ok).encode(Some(&list)))
    };
    // Somebody else knows where the answer is awaited and what it answers.
    let awaited = message.return_route.last().unwrap().to_address();
    let other = client.node.random_address();
    let there = Route::from_hops([awaited]).unwrap();
    client
        .node
        .router()
        .send(&other, there, Route::new(), answer(request.id, 3))
        .await
        .unwrap();
    // The authority answers something that was not asked, and then this.
    let wrong = MessageId(request.id.0.wrapping_add(1));
    for (re, members) in [(wrong, 2), (MessageId(0), 2), (request.id, 1)] {
        let onward = message.return_route.clone();
        node.router()
            .send(&service, onward, Route::new(), answer(re, members))
            .await
            .unwrap();
    }
    assert_eq!(asking.await.unwrap(), 1);
}

#[tokio::test]
async fn a_renewal_presents_what_the_authority_issues_and_open_channels_are_told() {
    let world = World::start(3).await;
    let alice = world.member().await;
    let cache = Arc::new(Cache::default());
    let renewal = Arc::new(world.renewal(&alice, cache.clone()));
    // A peer that trusts the authority sees what alice is.
    let peer = Node::new(NodeOptions {
        authority: Some(ockam_node::Authority::new(world.history.clone())),
        ..NodeOptions::default()
    });
    let own = Arc::new(peer.ephemeral_identity().unwrap());
    let listening = Listening::start(&peer, own).await;
    let options = ConnectOptions {
        identity: renewal.clone(),
        authorized: Vec::new(),
        timeout: Duration::from_secs(10),
    };
    let connection = alice
        .node
        .connect(&to(&listening.route), options)
        .await
        .unwrap();
    let subject = identifier(&alice).await;
    let seen = || {
        peer.attested()
            .get(&subject)
            .map(|found| found.expires_at())
    };
    let first = wait_for(seen).await;
    // Several lives of a credential later it still is, over the same channel.
    let later = wait_for(|| seen().filter(|at| at.0 >= first.0 + 4)).await;
    assert!(later > first);
    assert!(!connection.is_closed());
    assert!(cache.0.lock().unwrap().is_some());
    // What was kept serves the next process without a question.
    let again = world.renewal(&alice, cache);
    let shown = again.current().await.unwrap();
    assert_eq!(shown.credentials.len(), 1);
}

#[tokio::test]
async fn who_is_no_member_presents_nothing_and_who_cannot_ask_does_not_present_itself() {
    let world = World::start(3600).await;
    let stranger = world.client();
    let renewal = world.renewal(&stranger, Arc::new(Cache::default()));
    assert!(renewal.current().await.unwrap().credentials.is_empty());
    let nowhere = AuthorityClient {
        route: "/ip4/127.0.0.1/tcp/1/service/api".parse().unwrap(),
        ..stranger
    };
    let renewal = world.renewal(&nowhere, Arc::new(Cache::default()));
    let why = renewal.current().await.unwrap_err().to_string();
    assert!(why.contains("Connection refused"), "{why}");
}

#[tokio::test]
async fn lists_longer_than_a_page_come_whole() {
    let world = World::start(3600).await;
    let many: Vec<Identifier> = (0..1203_u32)
        .map(|number| {
            let mut bytes = [0; 32];
            bytes[..4].copy_from_slice(&number.to_be_bytes());
            Identifier::new(bytes)
        })
        .collect();
    let member = Member {
        attributes: MemberAttributes::from_pairs([("a", "b")]).unwrap(),
        added_by: identifier(&world.enroller).await,
        added_at: UnixTime(1),
        standing: Standing::Added,
    };
    world
        .authority
        .members()
        .change(&many, None, |_, _| Change::Put(member.clone(), None))
        .await
        .unwrap();
    let listed = world.enroller.members().await.unwrap().0;
    assert_eq!(listed.len(), many.len() + 1);
    assert!(many.iter().all(|who| listed.contains_key(who)));
    let listed = world.enroller.member_ids().await.unwrap().0;
    assert_eq!(listed.len(), many.len() + 1);
    assert!(listed.is_sorted());
}
