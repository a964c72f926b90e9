//! A guest: somebody who is allowed to use one outlet of a strict node, and tries everything else.
//!
//! The guest speaks the protocol itself ([`Stranger`]), so it may send what no program of ours would.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use ockam_channel::{Initiator, LocalIdentity, Offer};
use ockam_vault::fast;

use crate::ends::Target;
use crate::party::{Party, eventually};
use crate::stranger::{Stranger, StrangerChannel, known_secret, new_identity};

/// What a portal message begins with.
const PING: &[u8] = &[0];
const PONG: &[u8] = &[1];

#[test]
fn guard_11_2_11_guest_of_a_strict_node_reaches_what_it_was_given_and_nothing_else() {
    let world = World::start();
    let mut guest = world.guest();
    // What it was given works.
    assert_eq!(guest.ask("outlet", PING).1, PONG);
    eventually("the target was connected", || {
        (world.target.connections() == 1).then_some(())
    });

    // A target of the guest's own, to see whether the node can be made to connect there.
    let elsewhere = TcpListener::bind("127.0.0.1:0").unwrap();
    elsewhere.set_nonblocking(true).unwrap();
    let dial = format!("1#{} => 0#app", elsewhere.local_addr().unwrap());
    let workers = world.server.ok("worker list --at server");
    let workers: Vec<&str> = workers.split_whitespace().collect();
    let mut tried: Vec<String> = [
        "uppercase",
        "hop",
        "hop => 0#echo",
        "forwarding_service",
        "static_forwarding_service",
        "_internal.nodemanager",
        "control_api",
        "other",
        dial.as_str(),
    ]
    .map(str::to_owned)
    .to_vec();
    // Every worker there is, those of others and those with secret names too: each by itself and on the way elsewhere.
    for worker in workers.iter().filter(|worker| is_not_given(worker)) {
        tried.push((*worker).to_owned());
        tried.push(format!("0#{worker} => 0#echo"));
        tried.push(format!("0#{worker} => {dial}"));
    }
    assert!(tried.len() > 20, "{tried:?}");
    for onward in &tried {
        for payload in [PING, b"\x05hello", b"\x02n1"] {
            guest.send(onward, payload);
        }
    }
    // Nothing of it was answered: what comes back first is the answer to what is asked last.
    assert_eq!(guest.ask("echo", b"end").1, b"end");
    let seen = elsewhere.accept().map(drop).unwrap_err();
    assert_eq!(
        seen.kind(),
        std::io::ErrorKind::WouldBlock,
        "nothing was dialled"
    );
    assert_eq!(
        world.other.connections(),
        0,
        "the other outlet was not used"
    );
    assert_eq!(world.target.connections(), 1);
    let registered = world.server.json("relay list --at server");
    assert_eq!(registered.as_array().map(Vec::len), Some(0));
    // Who was denied what is in the log, once.
    let log = world.server.log();
    let line = |what: &str| {
        let about = |line: &&str| line.contains("denied") && line.contains(what);
        log.lines().filter(about).count()
    };
    assert_eq!(line("other"), 1, "{log}");
}

#[test]
fn guard_w08_stranger_to_a_strict_node_gets_a_handshake_and_little_echo() {
    let world = World::start();
    // Over the plain connection.
    let mut plain = Stranger::connect(world.server.listener());
    for onward in [
        "outlet",
        "uppercase",
        "forwarding_service",
        "static_forwarding_service",
    ] {
        plain.send(onward, "own", PING);
        plain.send(onward, "own", b"\x02n1");
    }
    plain.send("echo", "own", &[7; 65]);
    plain.send("echo", "own", &[7; 64]);
    let answer = plain.receive();
    assert_eq!(
        answer.payload.as_slice(),
        [7; 64],
        "it is the first that is answered"
    );
    for _ in 0..30 {
        plain.send("echo", "own", b"again");
    }
    // The answer to a handshake that begins later comes last.
    let answers = answers_before_handshake(&mut plain);
    assert!((1..=10).contains(&answers), "{answers}");
    let stranger = Stranger::connect(world.server.listener());
    let mut channel = stranger.open_channel("api", new_identity(), [9; 32]);
    // Inside the channel of somebody whom nobody named.
    for onward in ["outlet", "other", "uppercase", "forwarding_service", "echo"] {
        channel.send(onward, PING);
        channel.send(onward, b"\x02n1");
    }
    // What comes back first is the answer to what is asked last: the beginning of another channel.
    assert!(channel.ask("api", &first_message()).1.len() > 100);
    assert_eq!(world.target.connections() + world.other.connections(), 0);
}

#[test]
fn outlets_node_reaches_nothing_of_the_inlets_node() {
    // The node behind the outlet turns on its guest: the guest's node has an inlet, the outlet's node is the test's.
    let client = Party::start_with("client", &[("OCKAM_STRICT", "true")]);
    let server = Party::start("server");
    let target = Target::start();
    server.ok(&format!(
        "tcp-outlet create --at server --to {}",
        target.address()
    ));
    let private = Target::start();
    client.ok(&format!(
        "secure-channel-listener create trusted --at client --authorized {}",
        server.ok("identity show").trim()
    ));
    client.ok(&format!(
        "tcp-outlet create private --at client --to {}",
        private.address()
    ));
    let inlet: SocketAddr = client
        .ok(&format!(
            "tcp-inlet create --at client --from 127.0.0.1:0 --to /dnsaddr/localhost/tcp/{}/secure/api/service/outlet",
            server.listener().port()
        ))
        .trim()
        .parse()
        .unwrap();
    let mut through = TcpStream::connect(inlet).unwrap();
    through.write_all(&[3; 16]).unwrap();
    eventually("the portal works", || {
        (target.connections() == 1).then_some(())
    });
    // The channel of the inlet, as the server's node has it.
    let channels = server.json("secure-channel list --at server");
    let workers = server.ok("worker list --at server");
    // Every worker with a random name may be that channel's encryptor: what is sent along it enters the client's node.
    for worker in workers.split_whitespace().filter(|name| name.len() == 32) {
        for service in [
            "private",
            "uppercase",
            "api",
            "forwarding_service",
            "trusted",
        ] {
            let sent = server.run(
                &format!(
                    "message send hello --from server --timeout 150ms --to /service/{worker}/service/{service}"
                ),
                &[],
            );
            assert_ne!(sent.code, Some(0), "{channels}: {sent}");
        }
    }
    assert_eq!(private.connections(), 0);
    let mut first = [0; 1];
    through
        .set_read_timeout(Some(Duration::from_millis(50)))
        .unwrap();
    assert!(
        through.read(&mut first).is_err(),
        "and the portal is still there"
    );
}

/// A strict server that names one guest, with an outlet for it and one that is not.
struct World {
    server: Party,
    target: Target,
    other: Target,
    guest: Arc<LocalIdentity>,
}

impl World {
    fn start() -> Self {
        let guest = new_identity();
        let server = Party::start_with("server", &[("OCKAM_STRICT", "true")]);
        let (target, other) = (Target::start(), Target::start());
        let identifier = guest.history.identifier();
        server.ok(&format!(
            "secure-channel-listener create trusted --at server --authorized {identifier}"
        ));
        server.ok(&format!(
            "tcp-outlet create outlet --at server --to {}",
            target.address()
        ));
        server.ok(&format!(
            "tcp-outlet create other --at server --to {} --allow nobody",
            other.address()
        ));
        // Who is named may use what has no policy: here only the outlet has none, and `echo`.
        server.ok("policy create --at server --resource-type relay --expression nobody");
        Self {
            server,
            target,
            other,
            guest,
        }
    }

    fn guest(&self) -> StrangerChannel {
        Stranger::connect(self.server.listener()).open_channel(
            "trusted",
            self.guest.clone(),
            [8; 32],
        )
    }
}

/// How many answers come before that to a handshake.
fn answers_before_handshake(plain: &mut Stranger) -> usize {
    plain.send("api", "own", &first_message());
    let mut answers = 0;
    while plain.receive().payload.len() < 100 {
        answers += 1;
    }
    answers
}

/// The first message of a handshake.
fn first_message() -> Vec<u8> {
    let secret = known_secret([7; 32]);
    let offer = Offer::default();
    let started = Initiator::start(fast(), new_identity(), secret, offer);
    started.unwrap().1.to_vec()
}

/// Whether the guest was not given a worker: all but its outlet, `echo`, and what begins another channel.
fn is_not_given(worker: &str) -> bool {
    !["outlet", "echo", "api", "trusted"].contains(&worker)
}
