//! The three parties with the taps between them, and what happens over a portal while a tap attacks.

use std::io::{ErrorKind, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::ends::{Greeting, Reading, Received, Target, content, write_all};
use crate::frames::Seen;
use crate::party::{Party, eventually};
use crate::tap::{Deed, Tap};

/// A server behind a relay and a client, with taps on both sides of the relay.
pub struct World {
    pub client: Party,
    pub server: Party,
    pub relay: Party,
    pub near_client: Tap,
    pub near_server: Tap,
    pub target: Target,
}

impl World {
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// The same, with variables in the environment of every node.
    pub fn start_with(environment: &[(&str, &str)]) -> Self {
        let (relay, server, client) = std::thread::scope(|scope| {
            let starting = ["relay", "server", "client"]
                .map(|node| scope.spawn(move || Party::start_with(node, environment)));
            let [relay, server, client] = starting.map(|party| party.join().unwrap());
            (relay, server, client)
        });
        let near_server = Tap::start(relay.listener());
        let near_client = Tap::start(relay.listener());
        let target = Target::start();
        server.ok(&format!(
            "tcp-outlet create --at server --from outlet --to {}",
            target.address()
        ));
        server.ok(&format!(
            "relay create server --at {} --to server",
            near_server.route()
        ));
        Self {
            client,
            server,
            relay,
            near_client,
            near_server,
            target,
        }
    }

    /// The server's node as the client reaches it, through the relay.
    pub fn server_route(&self) -> String {
        server_route(&self.near_client)
    }

    /// Makes an inlet at the client.
    pub fn inlet(&self, options: &str) -> SocketAddr {
        self.inlet_to("outlet", options)
    }

    /// The same to another outlet.
    pub fn inlet_to(&self, outlet: &str, options: &str) -> SocketAddr {
        let to = format!("{}/secure/api/service/{outlet}", self.server_route());
        let made = self.client.ok(&format!(
            "tcp-inlet create --at client --from 127.0.0.1:0 --to {to} {options}"
        ));
        made.trim().parse().unwrap()
    }

    /// The identifier of a party's identity.
    pub fn identifier(party: &Party) -> String {
        party.ok("identity show").trim().to_owned()
    }

    /// Connects through an inlet to the target; waits as long as the way is being restored.
    pub fn open(&self, inlet: SocketAddr) -> Portal {
        eventually("a connection through the portal", || {
            let greeting = next_greeting();
            let client = TcpStream::connect(inlet).ok()?;
            (&client).write_all(&greeting).ok()?;
            let end = Instant::now() + ATTEMPT;
            while Instant::now() < end && !is_closed(&client) {
                let moment = Duration::from_millis(10);
                if let Some(server) = self.target.with_greeting(&greeting, moment) {
                    return Some(Portal { client, server });
                }
            }
            None
        })
    }

    /// Sends [`LENGTH`] bytes each way over a new connection, while the tap near the client does what `attack` says.
    /// Returns when both ends have ended; or the client's has, and the channel was replaced: the server is not told then.
    pub fn exchange(
        &self,
        what: &str,
        inlet: SocketAddr,
        attack: impl FnMut(&Seen) -> Deed + Send + 'static,
    ) -> Exchanged {
        let portal = self.open(inlet);
        let channels = self.near_client.channels();
        self.near_client.attack(attack);
        let (up, down) = portal.exchange();
        eventually(
            &format!("the end of the connection under attack: {what}"),
            || {
                let replaced = self.near_client.channels() > channels;
                (down.end().is_some() && (up.end().is_some() || replaced)).then_some(())
            },
        );
        self.near_client.calm();
        // What was sent through the same nodes before has arrived when something sent later has.
        drop(self.open(inlet));
        Exchanged {
            up: up.so_far(),
            down: down.so_far(),
        }
    }
}

/// The server's node as it is reached over a tap.
pub fn server_route(tap: &Tap) -> String {
    format!("{}/service/forward_to_server", tap.route())
}

/// What came out at both ends.
#[derive(Debug)]
pub struct Exchanged {
    /// At the target.
    pub up: Received,
    /// At the client.
    pub down: Received,
}

impl Exchanged {
    pub fn assert_honest(&self, what: &str) {
        self.up
            .assert_honest(&content(UP, LENGTH), &format!("{what}: to the server"));
        self.down
            .assert_honest(&content(DOWN, LENGTH), &format!("{what}: to the client"));
    }

    pub fn assert_complete(&self, what: &str) {
        self.assert_honest(what);
        let complete = self.up.is_complete(&content(UP, LENGTH))
            && self.down.is_complete(&content(DOWN, LENGTH));
        assert!(
            complete,
            "{what}: {} and {} bytes came, ends {:?} and {:?}",
            self.up.bytes.len(),
            self.down.bytes.len(),
            self.up.end,
            self.down.end
        );
    }
}

/// Both ends of one connection.
pub struct Portal {
    pub client: TcpStream,
    pub server: TcpStream,
}

impl Portal {
    /// Sends [`LENGTH`] bytes both ways. Returns what arrives at the target and at the client.
    pub fn exchange(&self) -> (Reading, Reading) {
        self.exchange_part(LENGTH)
    }

    /// The same with less.
    pub fn exchange_part(&self, length: usize) -> (Reading, Reading) {
        let up = write_all(&self.client, content(UP, length));
        let down = write_all(&self.server, content(DOWN, length));
        (
            Reading::start(&self.server, Some(down)),
            Reading::start(&self.client, Some(up)),
        )
    }
}

impl Drop for Portal {
    fn drop(&mut self) {
        drop(self.client.shutdown(Shutdown::Both));
        drop(self.server.shutdown(Shutdown::Both));
    }
}

/// Whether the other side has closed.
pub fn is_closed(stream: &TcpStream) -> bool {
    stream.set_nonblocking(true).unwrap();
    let peeked = stream.peek(&mut [0]);
    stream.set_nonblocking(false).unwrap();
    match peeked {
        Ok(count) => count == 0,
        Err(error) => error.kind() != ErrorKind::WouldBlock,
    }
}

fn next_greeting() -> Greeting {
    static NEXT: AtomicU64 = AtomicU64::new(1 << 20);
    content(NEXT.fetch_add(1, Ordering::Relaxed), 16)
        .try_into()
        .unwrap()
}

/// Bytes sent each way: several of the largest records.
pub const LENGTH: usize = 1024 * 1024;
/// What the client sends.
pub const UP: u64 = 1;
/// What the target sends.
pub const DOWN: u64 = 2;
/// How long one attempt to get through may take; then it is tried again.
const ATTEMPT: Duration = Duration::from_secs(3);
