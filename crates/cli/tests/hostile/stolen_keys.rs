//! What stolen keys yield, and what they do not.

use std::sync::Arc;

use ockam_vault::Signature;

use crate::frames::{Kind, Seen};
use crate::noise::{Agreements, Opened, Transcript, agree, next_key, open_record, public};
use crate::party::Loot;
use crate::pretender::{Pretence, Pretender};
use crate::stranger::{Stranger, StrangerChannel, new_identity};
use crate::tap::Deed;
use crate::world::World;

/// Key-compromise impersonation: with the keys of the one who is to be deceived.
#[test]
fn who_has_the_clients_keys_cannot_pose_as_the_server_to_it() {
    // Why a message of a handshake is refused, the node says on this level.
    let world = World::start_with(&[("OCKAM_LOG_LEVEL", "debug")]);
    let (client, server) = (world.client.steal_keys(), world.server.steal_keys());
    let server_static = public(server.static_secret());
    let client_static = client.static_secret();
    // All of it is public: whoever opens a channel to the server is shown it.
    let payload = [&[0x83][..], &server.history, &server.attestation, &[0x80]].concat();

    // The server's static key, and the agreement that the thief can compute with the client's.
    let with_clients_key = move |_: &[u8]| agree(client_static, server_static);
    let with_own_key =
        move |message_1: &[u8]| agree(client_static, message_1[..32].try_into().unwrap());
    assert_refused(
        &world,
        &server,
        forged(server_static, with_clients_key, &payload),
        "not authentic",
    );
    assert_refused(
        &world,
        &server,
        forged(server_static, with_own_key, &payload),
        "not authentic",
    );
    // The stolen static key under the server's identity.
    let as_server = |attestation: &[u8]| {
        Pretence::As(Arc::new(server.claimed_with(attestation, client_static)))
    };
    assert_refused(
        &world,
        &server,
        as_server(&server.attestation),
        "does not attest the key",
    );
    // An attestation of it in the server's name, signed with the client's stolen identity key.
    let forged_attestation = attest(
        &server.attestation,
        &server_static,
        &public(client_static),
        &client,
    );
    assert_refused(
        &world,
        &server,
        as_server(&forged_attestation),
        "attestation of the peer does not verify",
    );
    // The client towards itself.
    let as_client = Pretence::As(Arc::new(
        client.claimed_with(&client.attestation, client_static),
    ));
    assert_refused(&world, &server, as_client, "not an authorized identifier");

    // The forger's hand is good: with the server's own secret, the same message is accepted.
    let stolen = server.static_secret();
    let with_servers_key =
        move |message_1: &[u8]| agree(stolen, message_1[..32].try_into().unwrap());
    let pretender = Pretender::start(forged(server_static, with_servers_key, &payload));
    world.client.ok(&create_pinned(&pretender, &server));
    pretender.wait_for("the third message", |heard| heard.messages_3 >= 1);
}

#[test]
fn who_has_the_servers_keys_cannot_pose_as_the_client_to_it() {
    let world = World::start();
    let (client, server) = (world.client.steal_keys(), world.server.steal_keys());
    world.server.ok(&format!(
        "secure-channel-listener create api_client --at server --authorized {}",
        client.identifier
    ));
    let forged_attestation = attest(
        &client.attestation,
        &public(client.static_secret()),
        &public(server.static_secret()),
        &server,
    );
    let thieves = [
        (
            "the client's name",
            client.claimed_with(&client.attestation, server.static_secret()),
        ),
        (
            "a forged attestation",
            client.claimed_with(&forged_attestation, server.static_secret()),
        ),
        (
            "the server itself",
            server.claimed_with(&server.attestation, server.static_secret()),
        ),
    ];
    let mut channels: Vec<(&str, StrangerChannel)> = thieves
        .into_iter()
        .zip(1..)
        .map(|((what, identity), ephemeral)| {
            let connection = Stranger::connect(world.server.listener());
            (
                what,
                connection.open_channel("api_client", Arc::new(identity), [ephemeral; 32]),
            )
        })
        .collect();
    for (_, channel) in &mut channels {
        channel.send("echo", b"hello");
    }
    // With the client's own secret the same way is open.
    let identity = Arc::new(client.claimed_with(&client.attestation, client.static_secret()));
    let connection = Stranger::connect(world.server.listener());
    let mut true_client = connection.open_channel("api_client", identity, [9; 32]);
    assert_eq!(true_client.ask("echo", b"hello").1, b"hello");
    for (what, channel) in &channels {
        assert!(channel.stranger.heard_nothing(), "answered: {what}");
    }
}

/// Forward secrecy: every long-term key of both sides is handed to who recorded the session.
#[test]
fn all_long_term_keys_open_nothing_that_was_recorded() {
    let world = World::start();
    let inlet = world.inlet("");
    world
        .exchange("a session to record", inlet, |_| Deed::Pass)
        .assert_complete("a session to record");
    let recorded = world.near_client.recorded();
    let (transcript, records) = session(&recorded);
    assert!(records.len() > 16);
    let thief = Thief::new(&[world.client.steal_keys(), world.server.steal_keys()]);
    let opened = thief.open(&transcript, &[]);
    for attempt in &opened {
        assert_eq!(attempt.responder_static, None);
        assert_eq!(attempt.responder_identity, None);
        assert_eq!(attempt.initiator_static, None);
        assert_eq!(attempt.initiator_identity, None);
    }
    let keys: Vec<[u8; 32]> = opened
        .iter()
        .flat_map(|attempt| attempt.keys)
        .chain(thief.secrets.clone())
        .collect();
    assert!(keys.len() > 500);
    // Of each direction those sealed with its first key; the short ones, to be quick.
    let early = records
        .iter()
        .filter(|record| record[..8] < 32_u64.to_be_bytes()[..] && record.len() < 500);
    let early: Vec<_> = early.take(8).collect();
    assert!(early.len() >= 4);
    for record in early {
        assert!(!keys.iter().any(|key| open_record(key, record).is_some()));
    }

    // The thief knows how: with one ephemeral key in addition, the same attempt opens all.
    world.near_client.forget();
    let ephemeral = [0x42; 32];
    let (mut known, static_secret) = stranger_through(&world, ephemeral);
    let (record, _) = known.ask("echo", b"hello");
    let thief = Thief {
        secrets: vec![static_secret, world.server.steal_keys().static_secret()],
    };
    assert!(
        thief
            .open(&known.transcript, &[])
            .iter()
            .all(|attempt| attempt.responder_static.is_none())
    );
    let seen = thief.open(&known.transcript, &[ephemeral]);
    let all = seen
        .iter()
        .find(|attempt| attempt.initiator_identity.is_some())
        .unwrap();
    assert_eq!(
        all.responder_static,
        Some(public(world.server.steal_keys().static_secret()))
    );
    assert!(
        seen.iter()
            .any(|attempt| open_record(&attempt.keys[0], &record).is_some())
    );
}

/// The ratchet: the key of an interval tells nothing of the intervals before.
#[test]
fn a_stolen_record_key_opens_nothing_sealed_before_the_last_re_key() {
    let world = World::start();
    let ephemeral = [0x43; 32];
    let (mut channel, static_secret) = stranger_through(&world, ephemeral);
    let records: Vec<Vec<u8>> = (0..140_u32)
        .map(|number| {
            let (record, answer) = channel.ask("echo", &number.to_be_bytes());
            assert_eq!(answer, number.to_be_bytes());
            record
        })
        .collect();
    let thief = Thief {
        secrets: vec![static_secret, world.server.steal_keys().static_secret()],
    };
    let opened = thief.open(&channel.transcript, &[ephemeral]);
    let first = opened
        .iter()
        .map(|attempt| attempt.keys[0])
        .find(|key| open_record(key, &records[0]).is_some())
        .unwrap();
    let chain: Vec<[u8; 32]> = std::iter::successors(Some(first), |key| Some(next_key(key)))
        .take(5)
        .collect();
    for (interval, stolen) in chain.iter().enumerate() {
        // With the stolen key come all that follow from it.
        let known: Vec<[u8; 32]> = std::iter::successors(Some(*stolen), |key| Some(next_key(key)))
            .take(8)
            .collect();
        for (nonce, record) in records.iter().enumerate() {
            let opens = known.iter().any(|key| open_record(key, record).is_some());
            assert_eq!(
                opens,
                nonce / 32 >= interval,
                "key {interval}, record {nonce}"
            );
        }
    }
}

/// A channel of a stranger to the server, through the tap, and the stranger's static secret.
fn stranger_through(world: &World, ephemeral: [u8; 32]) -> (StrangerChannel, [u8; 32]) {
    let identity = new_identity();
    let static_secret = *identity.static_key.secret().as_bytes();
    let connection = Stranger::connect(world.near_client.address());
    (
        connection.open_channel("forward_to_server => api", identity, ephemeral),
        static_secret,
    )
}

/// The handshake and the records of the first channel in a recording.
fn session(recorded: &[Seen]) -> (Transcript, Vec<Vec<u8>>) {
    let message = |number| {
        let message = recorded
            .iter()
            .find(|seen| seen.kind == Kind::Handshake(1, number));
        message.unwrap().payload()
    };
    let transcript = Transcript {
        message_1: message(1),
        message_2: message(2),
        message_3: message(3),
    };
    let records = recorded
        .iter()
        .filter(|seen| matches!(seen.kind, Kind::FromInitiator(1) | Kind::FromResponder(1)));
    (transcript, records.map(Seen::payload).collect())
}

/// Somebody with stolen secrets, who tries every agreement they allow.
struct Thief {
    secrets: Vec<[u8; 32]>,
}

impl Thief {
    fn new(loot: &[Loot]) -> Self {
        let secrets = loot.iter().flat_map(|loot| &loot.secrets);
        Self {
            secrets: secrets.map(|record| *record.secret.as_bytes()).collect(),
        }
    }

    /// Every attempt: each agreement of each secret with each public key, in each of the three places.
    fn open(&self, transcript: &Transcript, ephemerals: &[[u8; 32]]) -> Vec<Opened> {
        let secrets: Vec<[u8; 32]> = self.secrets.iter().chain(ephemerals).copied().collect();
        let publics = secrets
            .iter()
            .map(|secret| public(*secret))
            .chain(transcript.ephemerals());
        let publics: Vec<[u8; 32]> = publics.collect();
        let mut agreements: Vec<[u8; 32]> = secrets
            .iter()
            .flat_map(|secret| publics.iter().map(|public| agree(*secret, *public)))
            .collect();
        agreements.sort_unstable();
        agreements.dedup();
        let mut opened = Vec::new();
        for &ee in &agreements {
            for &es in &agreements {
                for &se in &agreements {
                    opened.push(transcript.open(&Agreements { ee, es, se }));
                }
            }
        }
        opened
    }
}

/// An attestation for another key, in the name of the same identity, signed by a thief with another one's key.
fn attest(true_one: &[u8], true_key: &[u8; 32], key: &[u8; 32], thief: &Loot) -> Vec<u8> {
    // array(2), byte string with one byte of length, then the data.
    assert_eq!(true_one[..2], [0x82, 0x58]);
    let (start, length) = (3, usize::from(true_one[2]));
    let at = (start..start + length)
        .find(|at| true_one[*at..].starts_with(true_key))
        .unwrap();
    let mut forged = true_one.to_vec();
    forged[at..at + 32].copy_from_slice(key);
    let hash = ockam_vault::fast().sha256(&[&forged[start..start + length]]);
    let Signature::Ed25519(signature) = thief.sign(&hash) else {
        panic!("identities of nodes have Ed25519 keys");
    };
    let end = forged.len();
    forged[end - 64..].copy_from_slice(&signature);
    forged
}

fn forged(
    claimed_static: [u8; 32],
    guess: impl Fn(&[u8]) -> [u8; 32] + Send + Sync + 'static,
    payload: &[u8],
) -> Pretence {
    Pretence::Forged {
        claimed_static,
        guess: Box::new(guess),
        payload: payload.to_vec(),
    }
}

fn create_pinned(pretender: &Pretender, server: &Loot) -> String {
    let to = format!(
        "{}/service/forward_to_server/service/api",
        pretender.route()
    );
    format!(
        "secure-channel create --from client --to {to} --authorized {}",
        server.identifier
    )
}

/// Asserts that the client does not take the pretender for the server.
fn assert_refused(world: &World, server: &Loot, pretence: Pretence, reason: &str) {
    let pretender = Pretender::start(pretence);
    let refused = world.client.run(
        &create_pinned(&pretender, server),
        &[("OCKAM_DEFAULT_TIMEOUT", "1s")],
    );
    assert_eq!(refused.code, Some(70), "{reason}: {refused}");
    let heard = pretender.heard();
    assert_eq!((heard.messages_1, heard.messages_3), (1, 0), "{reason}");
    let log = world.client.log();
    assert!(
        refused.stderr.contains(reason) || log.contains(reason),
        "{reason}: {refused}\n{log}"
    );
}
