use std::sync::Arc;
use std::time::Duration;

use ockam_channel::{LocalIdentity, StaticKey};
use ockam_identity::{OlderPurposeKeys, UnixTime};
use ockam_wire::{Address, Buffer, Route};

use super::*;
use crate::access::Access;
use crate::issuer::Issuer;
use crate::node::NodeOptions;
use crate::own_identity::{FixedIdentity, IdentityUnavailable, ReplaceableIdentity};
use crate::router::Mailbox;
use crate::services;
use crate::transport::tcp::TcpListener;

#[tokio::test]
async fn messages_pass_a_channel_in_both_directions() {
    let server = Server::start(Vec::new()).await;
    let client = Client::start(&server).await;
    let channel = client.open(&[API], Vec::new()).await.unwrap();
    assert_eq!(
        channel.peer().identifier,
        *server.identity.history.identifier()
    );
    for round in 0..200_u32 {
        // Past several re-keys.
        assert_eq!(
            client.ask(&channel, &round.to_be_bytes()).await,
            round.to_be_bytes()
        );
    }
    assert_eq!(channel.peer().extensions.streams, Some(1));
    assert_eq!(channel.peer().breaks(), 0);
}

#[tokio::test]
async fn channel_runs_inside_a_channel() {
    let server = Server::start(Vec::new()).await;
    let client = Client::start(&server).await;
    let outer = client.open(&[API], Vec::new()).await.unwrap();
    let inner = client
        .node
        .create_channel(
            route(&[outer.encryptor().clone(), API]),
            client.options(Vec::new()),
        )
        .await
        .unwrap();
    assert_eq!(client.ask(&inner, b"nested").await, b"nested");
    outer.close().await;
    inner.closed().await;
}

#[tokio::test]
async fn only_the_pinned_identifier_is_accepted_at_either_end() {
    let server = Server::start(Vec::new()).await;
    let client = Client::start(&server).await;
    let other = *client
        .node
        .ephemeral_identity()
        .unwrap()
        .history
        .identifier();
    assert!(matches!(
        client.open(&[API], vec![other]).await,
        Err(ChannelError::NotAuthorized(peer)) if peer == *server.identity.history.identifier()
    ));
    let pinned = *server.identity.history.identifier();
    assert!(client.open(&[API], vec![other, pinned]).await.is_ok());

    let strict = Server::start(vec![*client.identity.history.identifier()]).await;
    let stranger = Client::start(&strict).await;
    // The initiator sees its part finished, and nothing it sends is answered: the responder keeps silent.
    let refused = stranger.open(&[API], Vec::new()).await.unwrap();
    let wait = Duration::from_millis(300);
    assert!(
        tokio::time::timeout(wait, stranger.ask(&refused, b"x"))
            .await
            .is_err()
    );
    assert!(strict.node.channels().is_empty());
}

#[tokio::test]
async fn guard_11_2_16_channel_ends_when_its_peer_refreshes_with_a_history_that_revokes_its_key() {
    // spec: trust 11.2 (16)
    for (older_keys, stays_open) in [
        (OlderPurposeKeys::Keep, true),
        (OlderPurposeKeys::Revoke, false),
    ] {
        let server = Server::start(Vec::new()).await;
        let node = Node::new(NodeOptions::default());
        let (identity, rotated) = rotated_identity(&node, older_keys);
        let mut client = Client::start_with(node, &server).await;
        client.identity = Arc::new(identity);
        let channel = client.open(&[API], Vec::new()).await.unwrap();
        client.ask(&channel, b"x").await;
        let another = client.open(&[API], Vec::new()).await.unwrap();
        client.ask(&another, b"y").await;
        let theirs = server.node.channels();
        assert_eq!(theirs.len(), 2);
        refresh(&channel, rotated.as_bytes(), Vec::new()).await;
        let wait = Duration::from_millis(if stays_open { 200 } else { 5000 });
        // The key is that of both channels, whichever told.
        let all = async {
            for theirs in &theirs {
                theirs.closed().await;
            }
        };
        let ended = tokio::time::timeout(wait, all).await;
        assert_eq!(ended.is_err(), stays_open, "{older_keys:?}");
        let open = theirs.iter().filter(|theirs| !theirs.is_closed()).count();
        assert_eq!(open, if stays_open { 2 } else { 0 });
    }
}

async fn refresh(
    channel: &SecureChannel,
    history: &[u8],
    credentials: Vec<ockam_identity::CredentialBundle>,
) {
    let refresh = ChannelMessage::RefreshCredentials(ockam_channel::CredentialRefresh {
        history: history.to_vec(),
        credentials,
    })
    .encode()
    .unwrap();
    let shared = &channel.shared;
    let back = route(std::slice::from_ref(channel.encryptor()));
    shared
        .router
        .run_from(&shared.first_hop, 1000, |delivery| {
            shared.seal(refresh, back, delivery)
        })
        .await
        .unwrap();
}

#[tokio::test]
async fn refreshed_credential_counts_for_the_very_next_record() {
    // spec: trust 5.8. The echo of a node with an authority answers members only.
    let issuer = Issuer::new();
    let server = Server::start_with(node_of(&issuer), Vec::new()).await;
    let client = Client::start(&server).await;
    let channel = client.open(&[API], Vec::new()).await.unwrap();
    let history = &client.identity.history;
    let credential = issuer.issue(history, &[]);
    refresh(&channel, history.as_bytes(), vec![credential]).await;
    assert_eq!(client.ask(&channel, b"x").await, b"x");
}

#[tokio::test]
async fn flood_of_refreshes_is_not_looked_at() {
    let issuer = Issuer::new();
    let server = Server::start_with(node_of(&issuer), Vec::new()).await;
    let client = Client::start(&server).await;
    let channel = client.open(&[API], Vec::new()).await.unwrap();
    let history = &client.identity.history;
    let bad = || vec![ockam_identity::CredentialBundle::decode(&[0x80]).unwrap()];
    for _ in 0..500 {
        refresh(&channel, history.as_bytes(), bad()).await;
    }
    client
        .send(&channel, &client.mailbox(), b"denied, and the last")
        .await
        .unwrap();
    let denied = || server.node.denials().all();
    while denied().iter().all(|denial| denial.what != "echo") {
        tokio::task::yield_now().await;
    }
    let looked_at = denied()
        .iter()
        .find(|denial| denial.what == "credential")
        .map(|denial| denial.count);
    assert!(looked_at.is_some_and(|count| (16..100).contains(&count)));
    assert!(!channel.is_closed());
}

fn node_of(issuer: &Issuer) -> Node {
    Node::new(NodeOptions {
        authority: Some(crate::Authority::new(issuer.history.clone())),
        ..NodeOptions::default()
    })
}

#[tokio::test]
async fn only_histories_that_could_be_rolled_back_are_remembered() {
    let node = Node::new(NodeOptions::default());
    let known = MemoryHistories::default();
    let (identity, rotated) = rotated_identity(&node, OlderPurposeKeys::Keep);
    known.import(&identity.history).await.unwrap();
    assert_eq!(known.len(), 0);
    known.import(&rotated).await.unwrap();
    assert_eq!(known.len(), 1);
    assert_eq!(
        known.import(&identity.history).await,
        Err(HistoryRefused::Older)
    );
}

#[tokio::test]
async fn open_channel_tells_its_peer_once_when_the_source_of_its_identity_changes() {
    // spec: trust 5.8
    let server = Server::start(Vec::new()).await;
    let node = Node::new(NodeOptions::default());
    let (before, rotated) = rotated_identity(&node, OlderPurposeKeys::Revoke);
    let with = |history: &ockam_identity::VerifiedHistory| {
        Ok(Arc::new(LocalIdentity {
            history: history.clone(),
            // The key is no part of a refresh.
            static_key: StaticKey::new(node.provider(), node.fresh_ephemeral()),
            attestation: before.attestation.clone(),
            credentials: Vec::new(),
        }))
    };
    let (same, newer) = (with(&before.history), with(&rotated));
    let source = Arc::new(ReplaceableIdentity::new(Ok(Arc::new(before))));
    let client = Client::start_with(node, &server).await;
    let options = ChannelOptions {
        identity: source.clone(),
        ..client.options(Vec::new())
    };
    let to = route(&[client.connection.sender().clone(), API]);
    let channel = client.node.create_channel(to, options).await.unwrap();
    client.ask(&channel, b"x").await;
    let [theirs] = server.node.channels().try_into().unwrap();
    let sent = || channel.shared.sending.lock().unwrap().sender.next_nonce();
    // Nothing in it differs: no record is spent.
    source.replace(same);
    source.replace(Err(IdentityUnavailable("no credential".to_owned())));
    client.ask(&channel, b"y").await;
    assert_eq!(sent(), 2);
    // The first change that says something new: this peer closes, for its key was revoked.
    source.replace(newer);
    theirs.closed().await;
    channel.closed().await;
    assert_eq!(sent(), 3);
}

#[tokio::test]
async fn handshake_fails_on_the_side_that_has_nothing_to_present() {
    // spec: trust 5.5
    let server = Server::start(Vec::new()).await;
    let client = Client::start(&server).await;
    let nothing = IdentityUnavailable("no credential".to_owned());
    let options = ChannelOptions {
        identity: Arc::new(ReplaceableIdentity::new(Err(nothing.clone()))),
        ..client.options(Vec::new())
    };
    let to = route(&[client.connection.sender().clone(), API]);
    let opened = client.node.create_channel(to, options).await;
    assert!(matches!(opened, Err(ChannelError::Unavailable(why)) if why == nothing));
    assert!(server.node.channels().is_empty());
}

/// An identity whose key was changed when the one before had expired.
fn late_identity(node: &Node) -> LocalIdentity {
    let (provider, now) = (node.provider(), node.unix_time());
    let mut fill = |bytes: &mut [u8]| getrandom::fill(bytes).unwrap();
    let mut vault = ockam_vault::SoftwareVault::new(provider);
    let [old, new] = [(); 2].map(|()| {
        vault
            .generate_signing_key(ockam_vault::SigningKeyType::Ed25519, &mut fill)
            .unwrap()
    });
    let key = |handle| ockam_vault::Signer::public_key(&vault, handle).unwrap();
    let ended = ockam_identity::Validity::new(UnixTime(now.0 - 1000), UnixTime(now.0 - 500));
    let history = ockam_identity::IdentityDraft::new(provider, key(&old), ended.unwrap())
        .unwrap()
        .sign_with(provider, &vault, &old)
        .unwrap();
    let history = ockam_identity::RotationDraft::new(
        provider,
        &history,
        key(&new),
        ockam_identity::Validity::of_primary_key(now),
        OlderPurposeKeys::Keep,
    )
    .unwrap()
    .sign_with(provider, &vault, &new, &old)
    .unwrap();
    let static_key = StaticKey::new(provider, X25519Secret::generate(&mut fill));
    let public = *static_key.public();
    let attestation = ockam_identity::PurposeKeyDraft::new(
        provider,
        &history,
        ockam_identity::PurposePublicKey::SecureChannelStatic(public),
        now,
        ockam_identity::PURPOSE_KEY_SECONDS,
    )
    .unwrap()
    .sign_with(provider, &vault, &new)
    .unwrap();
    LocalIdentity {
        history,
        static_key,
        attestation,
        credentials: Vec::new(),
    }
}

fn rotated_identity(
    node: &Node,
    older_keys: OlderPurposeKeys,
) -> (LocalIdentity, ockam_identity::VerifiedHistory) {
    let (provider, now) = (node.provider(), node.unix_time());
    let mut fill = |bytes: &mut [u8]| getrandom::fill(bytes).unwrap();
    let mut vault = ockam_vault::SoftwareVault::new(provider);
    let [old, new] = [(); 2].map(|()| {
        vault
            .generate_signing_key(ockam_vault::SigningKeyType::Ed25519, &mut fill)
            .unwrap()
    });
    let key = |handle| ockam_vault::Signer::public_key(&vault, handle).unwrap();
    let validity = ockam_identity::Validity::of_primary_key(now);
    let history = ockam_identity::IdentityDraft::new(provider, key(&old), validity)
        .unwrap()
        .sign_with(provider, &vault, &old)
        .unwrap();
    let static_key = StaticKey::new(provider, X25519Secret::generate(&mut fill));
    let public = *static_key.public();
    let attestation = ockam_identity::PurposeKeyDraft::new(
        provider,
        &history,
        ockam_identity::PurposePublicKey::SecureChannelStatic(public),
        now,
        ockam_identity::PURPOSE_KEY_SECONDS,
    )
    .unwrap()
    .sign_with(provider, &vault, &old)
    .unwrap();
    let rotated =
        ockam_identity::RotationDraft::new(provider, &history, key(&new), validity, older_keys)
            .unwrap()
            .sign_with(provider, &vault, &new, &old)
            .unwrap();
    let identity = LocalIdentity {
        history,
        static_key,
        attestation,
        credentials: Vec::new(),
    };
    (identity, rotated)
}

#[tokio::test]
async fn channel_whose_initiator_has_gone_silent_ends_and_a_quiet_one_stays() {
    let limits = crate::Limits {
        silent_channel: Duration::from_millis(300),
        ..crate::Limits::default()
    };
    let options = || NodeOptions {
        limits,
        ..NodeOptions::default()
    };
    let server = Server::start_with(Node::new(options()), Vec::new()).await;
    let quiet = Client::start_with(Node::new(options()), &server).await;
    let kept = quiet.open(&[API], Vec::new()).await.unwrap();
    // This one gives no sign of life for as long as the test runs.
    let dead = Client::start(&server).await;
    let lost = dead.open(&[API], Vec::new()).await.unwrap();
    quiet.ask(&kept, b"a").await;
    dead.ask(&lost, b"b").await;
    lost.closed().await;
    assert_eq!(quiet.ask(&kept, b"c").await, b"c");
    assert_eq!(server.node.channels().len(), 1);
}

#[tokio::test]
async fn message_too_large_for_the_transport_uses_no_nonce() {
    let server = Server::start(Vec::new()).await;
    let client = Client::start(&server).await;
    let channel = client.open(&[API], Vec::new()).await.unwrap();
    client.ask(&channel, b"a").await;
    let large = vec![0; ockam_wire::frame::MAX_FRAME - 100];
    let mailbox = client.mailbox();
    for _ in 0..40 {
        assert_eq!(
            client.send(&channel, &mailbox, &large).await,
            Err(SendError::TooLarge)
        );
    }
    assert_eq!(client.ask(&channel, b"b").await, b"b");
    let [theirs] = server.node.channels().try_into().unwrap();
    assert_eq!(theirs.peer().breaks(), 0);
}

#[tokio::test]
async fn close_ends_the_channel_at_the_other_side_too() {
    let server = Server::start(Vec::new()).await;
    let client = Client::start(&server).await;
    let channel = client.open(&[API], Vec::new()).await.unwrap();
    client.ask(&channel, b"x").await;
    let [theirs] = server.node.channels().try_into().unwrap();
    channel.close().await;
    theirs.closed().await;
    let sent = client.send(&channel, &client.mailbox(), b"x").await;
    assert!(
        sent.is_err(),
        "sending through a closed channel fails at once"
    );
}

#[tokio::test]
async fn channel_ends_with_its_connection_and_frees_its_addresses() {
    let server = Server::start(Vec::new()).await;
    let client = Client::start(&server).await;
    let channel = client.open(&[API], Vec::new()).await.unwrap();
    client.ask(&channel, b"x").await;
    let [theirs] = server.node.channels().try_into().unwrap();
    client.connection.close();
    channel.closed().await;
    theirs.closed().await;
    for (node, channel) in [(&client.node, &channel), (&server.node, &theirs)] {
        node.router().gone(channel.encryptor()).await;
        node.router().gone(channel.decryptor()).await;
    }
}

#[tokio::test]
async fn damaged_replayed_and_reordered_records_are_dropped_and_the_channel_goes_on() {
    let server = Server::start(Vec::new()).await;
    let client = Client::start(&server).await;
    let channel = client.open(&[API], Vec::new()).await.unwrap();
    client.ask(&channel, b"x").await;
    let [theirs] = server.node.channels().try_into().unwrap();
    let injected = route(&[
        client.connection.sender().clone(),
        theirs.decryptor().clone(),
    ]);
    for body in [&b""[..], &[0; 7], &[0; 24], &[0xff; 200]] {
        let own = Address::from_static("attacker");
        let back = route(std::slice::from_ref(&own));
        let payload = Buffer::from_slice(body);
        client
            .node
            .router()
            .send(&own, injected.clone(), back, payload)
            .await
            .unwrap();
    }
    assert_eq!(client.ask(&channel, b"y").await, b"y");
    let rejected = server.node.router().refusals().counts().last();
    assert_eq!(rejected, Some(("rejected by the worker", 4)));
}

#[tokio::test]
async fn older_history_of_a_known_peer_is_refused() {
    #[derive(Debug)]
    struct Newer;
    impl PeerHistories for Newer {
        fn import<'a>(
            &'a self,
            _: &'a ockam_identity::VerifiedHistory,
        ) -> std::pin::Pin<Box<dyn Future<Output = Result<(), HistoryRefused>> + Send + 'a>>
        {
            Box::pin(std::future::ready(Err(HistoryRefused::Older)))
        }
    }
    let server = Server::start(Vec::new()).await;
    let node = Node::new(NodeOptions {
        histories: Arc::new(Newer),
        ..NodeOptions::default()
    });
    let client = Client::start_with(node, &server).await;
    assert!(matches!(
        client.open(&[API], Vec::new()).await,
        Err(ChannelError::History(HistoryRefused::Older))
    ));
}

#[tokio::test]
async fn silent_responder_runs_into_the_time_out_and_a_lost_connection_does_not() {
    let server = Server::start(Vec::new()).await;
    let client = Client::start(&server).await;
    let mut options = client.options(Vec::new());
    options.timeout = Duration::from_millis(50);
    let nobody = Address::from_static("nobody");
    let silent = client
        .node
        .create_channel(
            route(&[client.connection.sender().clone(), nobody.clone()]),
            options,
        )
        .await;
    assert!(matches!(silent, Err(ChannelError::Timeout(_))));
    let options = client.options(Vec::new());
    let to = route(&[client.connection.sender().clone(), nobody]);
    let (lost, ()) = tokio::join!(client.node.create_channel(to, options), async {
        client.connection.close()
    });
    assert!(matches!(
        lost,
        Err(ChannelError::Disconnected | ChannelError::Unreachable(_))
    ));
}

#[tokio::test]
async fn guard_11_1_4_strict_node_refuses_a_key_that_an_expired_one_signed() {
    let server = Server::start(Vec::new()).await;
    let late = Address::from_static("late");
    let options = ListenerOptions {
        identity: Arc::new(FixedIdentity::from(late_identity(&server.node))),
        authorized: Vec::new(),
        timeout: Duration::from_secs(5),
    };
    let _listener = server.node.start_channel_listener(&late, options).unwrap();
    server
        .node
        .router()
        .add_consumer(&late, server.listener.flow());
    for strict in [false, true] {
        let node = Node::new(NodeOptions {
            strict,
            ..NodeOptions::default()
        });
        let client = Client::start_with(node, &server).await;
        assert!(client.open(&[API], Vec::new()).await.is_ok());
        let opened = client.open(std::slice::from_ref(&late), Vec::new()).await;
        match opened {
            Ok(_) => assert!(!strict),
            Err(error) => assert!(
                strict && matches!(error, ChannelError::History(HistoryRefused::Late)),
                "{error}"
            ),
        }
    }
}

#[tokio::test]
async fn guard_11_2_05_responder_gives_an_unfinished_handshake_up_in_time() {
    let server = Server::start(Vec::new()).await;
    let hasty = Address::from_static("hasty");
    let options = ListenerOptions {
        identity: Arc::new(FixedIdentity(server.identity.clone())),
        authorized: Vec::new(),
        timeout: Duration::from_millis(50),
    };
    let _listener = server.node.start_channel_listener(&hasty, options).unwrap();
    server
        .node
        .router()
        .add_consumer(&hasty, server.listener.flow());
    let client = Client::start(&server).await;
    let mut mailbox = client.mailbox();
    let public = client
        .node
        .provider()
        .x25519_public(&client.node.fresh_ephemeral());
    client
        .node
        .router()
        .add_consumer(mailbox.address(), client.connection.flow());
    client
        .node
        .router()
        .send(
            mailbox.address(),
            route(&[client.connection.sender().clone(), hasty]),
            route(std::slice::from_ref(mailbox.address())),
            Buffer::from_slice(public.as_bytes()),
        )
        .await
        .unwrap();
    let message_2 = mailbox.recv().await;
    let responder = message_2.return_route.last().unwrap().to_address();
    let gone = server.node.router().gone(&responder);
    tokio::time::timeout(Duration::from_secs(10), gone)
        .await
        .expect("the responder is freed");
}

#[tokio::test]
async fn guard_11_2_05_thousand_unfinished_handshakes_leave_room_for_a_real_one() {
    let server = Server::start(Vec::new()).await;
    let client = Client::start(&server).await;
    let own = client.node.random_address();
    let ephemeral = client.node.fresh_ephemeral();
    let public = client.node.provider().x25519_public(&ephemeral);
    for _ in 0..1000 {
        let onward = route(&[client.connection.sender().clone(), API]);
        let body = Buffer::from_slice(public.as_bytes());
        client
            .node
            .router()
            .send(&own, onward, route(std::slice::from_ref(&own)), body)
            .await
            .unwrap();
    }
    let channel = client.open(&[API], Vec::new()).await.unwrap();
    assert_eq!(client.ask(&channel, b"z").await, b"z");
}

#[tokio::test]
async fn guard_w39_way_back_moves_behind_the_same_connection_only() {
    // spec: messaging 12 W39
    let server = Server::start(Vec::new()).await;
    let client = Client::start(&server).await;
    let hop = services::start_hop(&server.node, services::HOP).unwrap();
    server
        .node
        .router()
        .add_consumer(&services::HOP, server.listener.flow());
    let plain = client.open(&[API], Vec::new()).await.unwrap();
    let hopping = client
        .open(&[services::HOP, API], Vec::new())
        .await
        .unwrap();
    for (channel, moves) in [(&plain, true), (&hopping, false)] {
        client.ask(channel, b"x").await;
        let theirs = server.node.channels();
        let theirs = theirs
            .iter()
            .find(|theirs| {
                theirs
                    .shared
                    .route
                    .last()
                    .is_some_and(|last| last == *channel.decryptor())
            })
            .unwrap();
        let before = theirs.shared.sending.lock().unwrap().route.clone();
        let mut elsewhere = route(&[
            theirs.shared.first_hop.clone(),
            Address::from_static("elsewhere"),
        ]);
        theirs.shared.follow(1000, &elsewhere);
        elsewhere.push_back(channel.decryptor()).unwrap();
        let after = theirs.shared.sending.lock().unwrap().route.clone();
        assert_eq!(after, if moves { elsewhere } else { before });
        let other = route(&[Address::from_static("other")]);
        let before = after;
        theirs.shared.follow(1001, &other);
        assert_eq!(theirs.shared.sending.lock().unwrap().route, before);
    }
    drop(hop);
}

#[tokio::test]
async fn idlest_channel_of_the_busiest_connection_makes_room_for_a_new_one() {
    let limits = crate::node::Limits {
        channels: 3,
        ..crate::node::Limits::default()
    };
    let node = Node::new(NodeOptions {
        limits,
        ..NodeOptions::default()
    });
    let server = Server::start_with(node, Vec::new()).await;
    let (lone, busy) = (Client::start(&server).await, Client::start(&server).await);
    let first = lone.open(&[API], Vec::new()).await.unwrap();
    lone.ask(&first, b"a").await;
    let idle = busy.open(&[API], Vec::new()).await.unwrap();
    busy.ask(&idle, b"b").await;
    for count in 0..20_u8 {
        let channel = busy.open(&[API], Vec::new()).await.unwrap();
        assert_eq!(busy.ask(&channel, &[count]).await, [count]);
    }
    idle.closed().await;
    assert!(server.node.channels().len() <= 4);
    assert_eq!(lone.ask(&first, b"c").await, b"c");
}

#[tokio::test]
async fn records_that_arrive_before_the_handshake_is_checked_are_delivered_in_order() {
    #[derive(Debug, Default)]
    struct Slow(MemoryHistories);
    impl PeerHistories for Slow {
        fn import<'a>(
            &'a self,
            history: &'a ockam_identity::VerifiedHistory,
        ) -> std::pin::Pin<Box<dyn Future<Output = Result<(), HistoryRefused>> + Send + 'a>>
        {
            Box::pin(async {
                for _ in 0..1000 {
                    tokio::task::yield_now().await;
                }
                self.0.import(history).await
            })
        }
    }
    let node = Node::new(NodeOptions {
        histories: Arc::new(Slow::default()),
        ..NodeOptions::default()
    });
    let server = Server::start_with(node, Vec::new()).await;
    let mut sink = server
        .node
        .router()
        .start_mailbox(&[Address::from_static("sink")], Access::ALLOW_ALL)
        .unwrap();
    server
        .node
        .router()
        .add_consumer(sink.address(), server.channels);
    let client = Client::start(&server).await;
    let channel = client.open(&[API], Vec::new()).await.unwrap();
    for count in 0..100_u32 {
        let onward = route(&[channel.encryptor().clone(), Address::from_static("sink")]);
        let own = Address::from_static("own");
        let body = Buffer::from_slice(&count.to_be_bytes());
        client
            .node
            .router()
            .send(&own, onward, Route::new(), body)
            .await
            .unwrap();
    }
    for count in 0..100_u32 {
        assert_eq!(sink.recv().await.payload.as_slice(), count.to_be_bytes());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nonces_stay_unique_and_ordered_under_concurrency() {
    let server = Server::start(Vec::new()).await;
    let client = Arc::new(Client::start(&server).await);
    let channel = client.open(&[API], Vec::new()).await.unwrap();
    let mut tasks = Vec::new();
    for task in 0..16_u8 {
        let (client, channel) = (client.clone(), channel.clone());
        tasks.push(tokio::spawn(async move {
            for round in 0..50_u8 {
                // A nonce used twice, or records out of order by more than the window, would lose an answer.
                assert_eq!(client.ask(&channel, &[task, round]).await, [task, round]);
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    let rejected = server.node.router().refusals().counts().last();
    assert_eq!(rejected, Some(("rejected by the worker", 0)));
}

struct Server {
    node: Node,
    identity: Arc<LocalIdentity>,
    listener: TcpListener,
    channels: FlowId,
    _echo: services::Service,
}

impl Server {
    async fn start(authorized: Vec<Identifier>) -> Self {
        Self::start_with(Node::new(NodeOptions::default()), authorized).await
    }

    async fn start_with(node: Node, authorized: Vec<Identifier>) -> Self {
        let identity = Arc::new(node.ephemeral_identity().unwrap());
        let listener = node.tcp_listen("127.0.0.1:0").await.unwrap();
        let options = ListenerOptions {
            identity: Arc::new(FixedIdentity(identity.clone())),
            authorized,
            timeout: Duration::from_secs(5),
        };
        let channels = node.start_channel_listener(&API, options).unwrap().flow();
        let echo = services::start_echo(&node, services::ECHO).unwrap();
        node.router().add_consumer(&API, listener.flow());
        node.router().add_consumer(&API, channels);
        node.router().add_consumer(&services::ECHO, channels);
        Self {
            node,
            identity,
            listener,
            channels,
            _echo: echo,
        }
    }
}

struct Client {
    node: Node,
    identity: Arc<LocalIdentity>,
    connection: crate::transport::Connection,
}

impl Client {
    async fn start(server: &Server) -> Self {
        Self::start_with(Node::new(NodeOptions::default()), server).await
    }

    async fn start_with(node: Node, server: &Server) -> Self {
        let identity = Arc::new(node.ephemeral_identity().unwrap());
        let connection = node
            .tcp_connect(&server.listener.address().to_string())
            .await
            .unwrap();
        Self {
            node,
            identity,
            connection,
        }
    }

    fn options(&self, authorized: Vec<Identifier>) -> ChannelOptions {
        ChannelOptions {
            identity: Arc::new(FixedIdentity(self.identity.clone())),
            authorized,
            timeout: Duration::from_secs(5),
            encryptor: None,
        }
    }

    async fn open(
        &self,
        to: &[Address],
        authorized: Vec<Identifier>,
    ) -> Result<SecureChannel, ChannelError> {
        let mut hops = vec![self.connection.sender().clone()];
        hops.extend_from_slice(to);
        self.node
            .create_channel(route(&hops), self.options(authorized))
            .await
    }

    fn mailbox(&self) -> Mailbox {
        let own = self.node.random_address();
        self.node
            .router()
            .start_mailbox(std::slice::from_ref(&own), Access::ALLOW_ALL)
            .unwrap()
    }

    async fn send(
        &self,
        channel: &SecureChannel,
        from: &Mailbox,
        body: &[u8],
    ) -> Result<(), SendError> {
        self.node
            .router()
            .add_consumer(from.address(), channel.flow());
        let onward = route(&[channel.encryptor().clone(), services::ECHO]);
        let back = route(std::slice::from_ref(from.address()));
        self.node
            .router()
            .send(from.address(), onward, back, Buffer::from_slice(body))
            .await
    }

    async fn ask(&self, channel: &SecureChannel, body: &[u8]) -> Vec<u8> {
        let mut mailbox = self.mailbox();
        self.send(channel, &mailbox, body).await.unwrap();
        let answer = mailbox.recv().await;
        assert_eq!(answer.origin.peer.as_ref(), Some(channel.peer()));
        answer.payload.as_slice().to_vec()
    }
}

fn route(hops: &[Address]) -> Route {
    Route::from_hops(hops.iter().cloned()).unwrap()
}

const API: Address = Address::from_static("api");
