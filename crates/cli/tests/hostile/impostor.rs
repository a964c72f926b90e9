//! Somebody else answers, or asks.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use crate::party::{PATIENCE, Party};
use crate::pretender::{Pretence, Pretender};
use crate::stranger::{Stranger, new_identity};
use crate::world::World;

#[test]
fn an_impostor_is_refused_by_a_channel_that_pins_its_peer() {
    let client = Party::start("client");
    let impostor = new_identity();
    let identifier = impostor.history.identifier().to_string();
    let pretender = Pretender::start(Pretence::As(impostor));
    let to = format!(
        "{}/service/forward_to_server/service/api",
        pretender.route()
    );

    // The attack is real: who does not pin the peer talks to the impostor.
    let channel = client.ok(&format!("secure-channel create --from client --to {to}"));
    let channel = channel.trim().to_owned();
    let secret = "a-secret-for-the-true-server";
    let unanswered = client.run(
        &format!("message send {secret} --from client --to {channel}/service/echo --timeout 1s"),
        &[],
    );
    assert_ne!(unanswered.code, Some(0), "{unanswered}");
    let heard = pretender.wait_for("the secret at the impostor", |heard| {
        !heard.plaintexts.is_empty()
    });
    assert!(
        heard
            .plaintexts
            .iter()
            .any(|plaintext| contains(plaintext, secret.as_bytes()))
    );
    assert_eq!((heard.messages_1, heard.messages_3), (1, 1));

    // The true server's identifier, whoever that is.
    let server = new_identity().history.identifier().to_string();
    let other = new_identity().history.identifier().to_string();
    for pinned in [
        format!("--authorized {server}"),
        format!("--authorized {server} --authorized {other}"),
    ] {
        let refused = client.run(
            &format!("secure-channel create --from client --to {to} {pinned}"),
            &[],
        );
        assert_eq!(refused.code, Some(70), "{refused}");
        assert_eq!(refused.stdout, "", "{refused}");
        assert!(refused.stderr.contains(&identifier), "{refused}");
        assert!(
            refused.stderr.contains("not an authorized identifier"),
            "{refused}"
        );
    }
    let heard = pretender.wait_for("the refused handshakes", |heard| heard.messages_1 == 3);
    assert_eq!(
        heard.messages_3, 1,
        "the client has shown itself to the impostor"
    );

    // The impostor itself, if it is whom the user means.
    client.ok(&format!("secure-channel create --from client --to {to} --authorized {server} --authorized {identifier}"));
}

#[test]
fn an_impostor_is_refused_by_an_inlet_that_pins_its_peer() {
    let client = Party::start("client");
    let impostor = new_identity();
    let identifier = impostor.history.identifier().to_string();
    let pretender = Pretender::start(Pretence::As(impostor));
    let to = format!(
        "{}/service/forward_to_server/secure/api/service/outlet",
        pretender.route()
    );
    let server = new_identity().history.identifier().to_string();
    let create = format!(
        "tcp-inlet create --at client --to {to} --authorized {server} --connection-wait 1s"
    );

    let refused = client.run(&format!("{create} --retry-wait 0"), &[]);
    assert_eq!(refused.code, Some(70), "{refused}");
    assert_eq!(
        client
            .json("tcp-inlet list --at client")
            .as_array()
            .map(Vec::len),
        Some(0)
    );

    // Without giving up: it is there, down, says why, and lets nothing through.
    let made = client.run(&format!("{create} pinned"), &[]);
    assert_eq!(made.code, Some(0), "{made}");
    assert!(made.stderr.contains("not reachable"), "{made}");
    assert_eq!(
        client.json("tcp-inlet show pinned --at client")["status"],
        "Down"
    );
    let inlet: SocketAddr = made.stdout.trim().parse().unwrap();
    assert_eq!(sent_into(inlet), b"");
    let log = client.log();
    assert!(
        log.contains(&identifier) && log.contains("not an authorized identifier"),
        "{log}"
    );
    let heard = pretender.wait_for("the refused handshakes", |heard| heard.messages_1 >= 2);
    assert_eq!(
        heard.messages_3, 0,
        "the client has shown itself to the impostor"
    );
    assert!(heard.plaintexts.is_empty());
}

#[test]
fn a_pinned_inlet_is_not_taken_over_when_the_relay_turns_hostile() {
    let world = World::start();
    let server = World::identifier(&world.server);
    let inlet = world.inlet(&format!("--authorized {server}"));
    world
        .exchange("an honest relay", inlet, |_| crate::tap::Deed::Pass)
        .assert_complete("an honest relay");

    let pretender = Pretender::start(Pretence::As(new_identity()));
    world.near_client.reroute(pretender.address());
    pretender.wait_for("a handshake with the impostor", |heard| {
        heard.messages_1 >= 1
    });
    assert_eq!(sent_into(inlet), b"");
    let heard = pretender.heard();
    assert_eq!((heard.messages_3, heard.plaintexts.len()), (0, 0));

    // With the right relay back, it works again by itself.
    world.near_client.reroute(world.relay.listener());
    world
        .exchange("an honest relay again", inlet, |_| crate::tap::Deed::Pass)
        .assert_complete("an honest relay again");
    assert_eq!(pretender.heard().messages_3, 0);
}

#[test]
fn an_initiator_that_a_listener_does_not_list_gets_no_channel() {
    let world = World::start();
    let client = World::identifier(&world.client);
    world.server.ok(&format!(
        "secure-channel-listener create api_client --at server --authorized {client}"
    ));
    let stranger = new_identity();
    let open = |listener: &str, ephemeral| {
        // Listeners other than `api` are open to the node's own TCP listener only (spec: messaging 4.3).
        let connection = Stranger::connect(world.server.listener());
        connection.open_channel(listener, stranger.clone(), [ephemeral; 32])
    };

    // Where everybody may, the stranger may.
    let mut welcome = open("api", 1);
    assert_eq!(welcome.ask("echo", b"hello").1, b"hello");

    let mut refused = open("api_client", 2);
    refused.send("echo", b"hello");
    // The client, who is listed, comes later and is served; the stranger has got no answer by then.
    let to = format!(
        "/ip4/127.0.0.1/tcp/{}/service/api_client",
        world.server.listener().port()
    );
    let channel = world
        .client
        .ok(&format!("secure-channel create --from client --to {to}"));
    let echo = format!(
        "message send hello --from client --to {}/service/echo",
        channel.trim()
    );
    assert_eq!(world.client.ok(&echo).trim(), "hello");
    assert!(refused.stranger.heard_nothing());
    let log = world.server.log();
    let identifier = stranger.history.identifier().to_string();
    assert!(log.contains(&identifier), "{log}");
}

/// Sends something into an inlet; returns what comes back until the connection ends.
pub fn sent_into(inlet: SocketAddr) -> Vec<u8> {
    let mut client = TcpStream::connect(inlet).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    drop(client.write_all(b"a secret for the true server"));
    let mut back = Vec::new();
    match client.read_to_end(&mut back) {
        Err(error)
            if matches!(
                error.kind(),
                std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut
            ) =>
        {
            panic!("the client of a refused inlet still waits after {PATIENCE:?}")
        }
        _ => back,
    }
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}
