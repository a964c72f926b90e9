//! Policies at workers that are reached through real channels.

use std::sync::Arc;

use ockam_node::{
    Access, Delivery, End, Guard, Inline, Mailbox, MemoryPolicies, SendError, services,
};
use ockam_policy::ResourceType;
use ockam_wire::{Address, Buffer, Route};

use crate::issuer::Issuer;
use crate::world::{Party, SINK, TIMEOUT};

#[tokio::test]
async fn only_peers_that_the_policy_lets_in_reach_a_worker_and_are_sent_to() {
    // spec: trust 6.6
    let issuer = Issuer::new();
    let mut server = Party::start(Some(&issuer.history)).await;
    let web = Party::start(Some(&issuer.history)).await;
    let stranger = Party::start(None).await;
    web.present(vec![issuer.issue(&web.history, &[("component", "web")])]);
    let (mut service, guard) = guarded(&server, "component=web");
    for (client, allowed) in [(&web, true), (&stranger, false)] {
        let channel = client.open(&server).await;
        client.send(&channel, &SERVICE).await;
        // Anybody reaches the unguarded worker, which says that the guarded one was asked before.
        client.tell(&channel).await;
        server.hear().await;
        let received = tokio::select! {
            biased;
            _ = service.recv() => true,
            () = std::future::ready(()) => false,
        };
        assert_eq!(received, allowed);
        assert_eq!(guard.allows(Some(client.identifier())), allowed);
        let back = server.node.channels();
        let back = back
            .iter()
            .find(|back| back.peer().identifier == *client.identifier())
            .unwrap();
        // Through a hop of its own, too: the channel is what counts.
        let hop = server.node.router();
        let _hop = hop
            .start_inline(&services::HOP, Arc::new(PassesOn), Access::ALLOW_ALL)
            .unwrap();
        for onward in [
            vec![back.encryptor().clone(), SERVICE],
            vec![services::HOP, back.encryptor().clone(), SERVICE],
        ] {
            let onward = Route::from_hops(onward).unwrap();
            let sent = server
                .node
                .router()
                .send(&SERVICE, onward, Route::new(), Buffer::from_slice(b"x"))
                .await;
            let expected = if allowed {
                Ok(())
            } else {
                Err(SendError::Outgoing(SERVICE))
            };
            assert_eq!(sent, expected);
        }
    }
    assert_eq!(server.denied(&stranger), ["policy component=web"]);
    assert!(server.denied(&web).is_empty());
}

/// Passes messages on, which the `hop` of a strict node does not.
struct PassesOn;

impl Inline for PassesOn {
    fn end(&self) -> End {
        End::Opens
    }

    fn passes_on(&self) -> bool {
        true
    }

    fn handle(&self, delivery: &mut Delivery<'_>) -> Result<(), SendError> {
        let message = delivery.message();
        message.onward.drop_front();
        message.origin.pass_on_by(services::HOP);
        delivery.forward()
    }
}

#[tokio::test]
async fn what_leads_out_without_a_channel_is_nobody() {
    let issuer = Issuer::new();
    let server = Party::start(Some(&issuer.history)).await;
    let (_service, guard) = guarded(&server, "component=web");
    let at = format!("127.0.0.1:{}", server.port());
    let connection = server.node.tcp_connect(&at).await.unwrap();
    // What comes behind a worker that takes the message is not where it goes.
    let web = Party::start(None).await;
    web.present(vec![issuer.issue(&web.history, &[("component", "web")])]);
    let _to_web = web.open(&server).await;
    let mut generation = server.node.attested().generation();
    generation.wait_for(|count| *count > 0).await.unwrap();
    let [to_web] = server.node.channels().try_into().unwrap();
    assert!(guard.allows(Some(web.identifier())));
    for onward in [
        vec![connection.sender().clone(), SERVICE],
        vec![SINK, to_web.encryptor().clone()],
        vec![to_web.decryptor().clone(), to_web.encryptor().clone()],
        vec![Address::from_static("nowhere")],
    ] {
        let onward = Route::from_hops(onward).unwrap();
        let sent = server
            .node
            .router()
            .send(&SERVICE, onward, Route::new(), Buffer::from_slice(b"x"))
            .await;
        assert!(sent.is_err(), "{sent:?}");
    }
    let nobody = server.node.denials().all();
    let nobody = nobody
        .iter()
        .map(|denial| (denial.who, denial.what.as_str(), denial.count));
    assert_eq!(nobody.collect::<Vec<_>>(), [(None, "service", 3)]);
}

#[tokio::test]
async fn attribute_with_a_reserved_name_does_not_shadow() {
    // spec: trust 11.2 (1)
    let issuer = Issuer::new();
    let server = Party::start(Some(&issuer.history)).await;
    let web = Party::start(None).await;
    let boss = server.identifier().to_string();
    let forged = issuer.issue_reserved(&web.history, ("identifies", "identifier"), &boss);
    web.present(vec![forged]);
    let (_service, guard) = guarded(&server, &boss);
    let channel = web.open(&server).await;
    let mut generation = server.node.attested().generation();
    generation.wait_for(|count| *count > 0).await.unwrap();
    assert_eq!(server.attested(&web, "identifier"), Some(boss));
    assert!(!guard.allows(Some(web.identifier())));
    assert!(guard.allows(Some(server.identifier())));
    drop(channel);
}

#[tokio::test]
async fn echo_of_a_node_with_an_authority_answers_members_only() {
    // spec: messaging 5
    let issuer = Issuer::new();
    let server = Party::start(Some(&issuer.history)).await;
    let _echo = services::start_echo(&server.node, services::ECHO).unwrap();
    server
        .node
        .router()
        .add_consumer(&services::ECHO, server.channels);
    let (web, stranger) = (Party::start(None).await, Party::start(None).await);
    web.present(vec![issuer.issue(&web.history, &[])]);
    for (client, answers) in [(&web, true), (&stranger, false)] {
        let channel = client.open(&server).await;
        let own = client.node.random_address();
        let router = client.node.router();
        let mut mailbox = router
            .start_mailbox(std::slice::from_ref(&own), Access::ALLOW_ALL)
            .unwrap();
        router.add_consumer(&own, channel.flow());
        let onward = Route::from_hops([channel.encryptor().clone(), services::ECHO]).unwrap();
        let back = Route::from_hops([own.clone()]).unwrap();
        router
            .send(&own, onward, back, Buffer::from_slice(b"ping"))
            .await
            .unwrap();
        if answers {
            let answer = tokio::time::timeout(TIMEOUT, mailbox.recv()).await;
            assert_eq!(answer.unwrap().payload.as_slice(), b"ping");
        } else {
            let denied = async {
                while server.denied(client).is_empty() {
                    tokio::task::yield_now().await;
                }
            };
            tokio::time::timeout(TIMEOUT, denied).await.unwrap();
            assert_eq!(server.denied(client), ["no credential"]);
        }
    }
}

/// A worker behind a policy, open to channels.
fn guarded(server: &Party, policy: &str) -> (Mailbox, Guard) {
    let policies = Arc::new(MemoryPolicies::default());
    policies.set_resource("service", Some(policy.parse().unwrap()));
    let guard = server
        .node
        .guard("service", ResourceType::TcpOutlet, policies);
    let router = server.node.router();
    let mailbox = router.start_mailbox(&[SERVICE], guard.access()).unwrap();
    router.add_consumer(&SERVICE, server.channels);
    (mailbox, guard)
}

const SERVICE: Address = Address::from_static("service");
