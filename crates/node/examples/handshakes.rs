//! Secure channels per second of one core, beside what the curve operations of a handshake alone allow on it.
//!
//! ```text
//! cargo run --release -p ockam-node --example handshakes -- [--rounds <number>] [--json]
//! ```
//!
//! Everything happens in one thread, both sides of each handshake included, and what is counted is the processor time of
//! that thread. Rounds are interleaved; medians are printed. One handshake needs two key pairs, six agreements and four
//! verifications (spec: trust 5.3, 5.5): history and attestation of either side.

#![allow(clippy::unwrap_used, reason = "a measurement ends where it fails")]
#![allow(clippy::print_stdout, reason = "the figures are its output")]

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ockam_channel::{Initiator, LocalIdentity, Offer, Rejected, Responder};
use ockam_identity::VerifiedHistory;
use ockam_node::{
    Allowance, ChannelOptions, FixedIdentity, Limits, ListenerOptions, Node, NodeOptions,
    OwnIdentity, OwnIdentityFuture,
};
use ockam_vault::{Provider, PublicKey, SecretBytes, SigningKeyType, SigningSecret, X25519Secret};
use ockam_wire::{Address, Route};
use tokio::sync::watch;
use tokio::task::JoinSet;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let rounds = arguments
        .iter()
        .position(|argument| argument == "--rounds")
        .and_then(|at| arguments.get(at + 1))
        .map_or(11, |rounds| rounds.parse().unwrap());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let figures = runtime.block_on(Figures::take(rounds));
    if arguments.iter().any(|argument| argument == "--json") {
        println!("{}", figures.json());
    } else {
        println!("{}", figures.table());
    }
}

/// Medians over the rounds, in microseconds of processor time.
struct Figures {
    key_pair: f64,
    agreement: f64,
    verification: f64,
    rows: [(&'static str, f64); 3],
}

impl Figures {
    async fn take(rounds: usize) -> Self {
        let two = TwoNodes::start().await;
        let known = two.client.ephemeral_identity().unwrap();
        let known = [
            Arc::new(known),
            Arc::new(two.server.ephemeral_identity().unwrap()),
        ];
        let mut taken: [Vec<f64>; 6] = Default::default();
        for _ in 0..rounds {
            let curve = curve_operations(two.client.provider());
            let strangers = two.strangers();
            let core = handshakes(&two.client, &strangers);
            let nodes = [
                two.channels(&strangers).await,
                two.channels(&vec![known.clone(); HANDSHAKES]).await,
            ];
            let round = curve.into_iter().chain([core]).chain(nodes);
            for (all, one) in taken.iter_mut().zip(round) {
                all.push(one);
            }
        }
        let [key_pair, agreement, verification, core, strangers, known] = taken.map(median);
        Self {
            key_pair,
            agreement,
            verification,
            rows: [
                ("in memory", core),
                ("two nodes over TCP, strangers", strangers),
                ("two nodes over TCP, acquainted", known),
            ],
        }
    }

    /// What one handshake costs in curve operations.
    fn curve(&self) -> f64 {
        2.0 * self.key_pair + 6.0 * self.agreement + 4.0 * self.verification
    }

    fn table(&self) -> String {
        let mut table = format!(
            "key pair {:.1} us, agreement {:.1} us, verification {:.1} us\n\n{:34} {:>9} {:>9} {:>6}\n",
            self.key_pair, self.agreement, self.verification, "", "us", "per s", "ratio"
        );
        let curve = ("curve operations", self.curve());
        for (name, cost) in [curve].iter().chain(&self.rows) {
            table.push_str(&format!(
                "{name:34} {cost:>9.1} {:>9.0} {:>6.2}\n",
                1e6 / cost,
                self.curve() / cost
            ));
        }
        table
    }

    fn json(&self) -> String {
        let rows = self
            .rows
            .iter()
            .map(|(name, cost)| format!("\"{name}\": {:.3}", self.curve() / cost));
        format!(
            "{{\"curve_us\": {:.1}, \"ratio\": {{{}}}}}",
            self.curve(),
            rows.collect::<Vec<_>>().join(", ")
        )
    }
}

/// Cost of a key pair, an agreement and a verification.
fn curve_operations(provider: &'static dyn Provider) -> [f64; 3] {
    let ours = X25519Secret::new(SecretBytes::new([0x51; 32]));
    let theirs = provider.x25519_public(&X25519Secret::new(SecretBytes::new([0x61; 32])));
    let key = provider.agreement_key(&ours);
    let signing = SigningSecret::new(SigningKeyType::Ed25519, SecretBytes::new([7; 32])).unwrap();
    let public: PublicKey = provider.public_key(&signing).unwrap();
    let signature = provider.sign(&signing, &[9; 32]).unwrap();
    [
        each(HANDSHAKES, || {
            provider.agreement_key(&ours).public();
        }),
        each(HANDSHAKES, || drop(key.agree(&theirs).unwrap())),
        each(HANDSHAKES, || {
            provider.verify(&public, &[9; 32], &signature).unwrap();
        }),
    ]
}

/// Cost of a handshake of the pure core, with both sides.
fn handshakes(node: &Node, pairs: &[Pair]) -> f64 {
    let (provider, now) = (node.provider(), node.unix_time());
    let fresh = || {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).unwrap();
        X25519Secret::new(SecretBytes::take(&mut bytes))
    };
    let mut pairs = pairs.iter();
    each(pairs.len(), || {
        let [client, server] = pairs.next().unwrap();
        let anyone = &mut |_: &VerifiedHistory| -> Result<(), Rejected> { Ok(()) };
        let (initiator, message_1) =
            Initiator::start(provider, client.clone(), fresh(), Offer::default()).unwrap();
        let responder =
            Responder::new(provider, server.clone(), fresh(), &Offer::default()).unwrap();
        let (responder, message_2) = responder.read_message_1(&message_1).unwrap();
        let (message_3, _) = initiator.handle_message_2(now, &message_2, anyone).unwrap();
        responder.handle_message_3(now, &message_3, anyone).unwrap();
    })
}

/// Two nodes with one connection.
struct TwoNodes {
    client: Node,
    server: Node,
    /// To the channel listener of the server.
    way: Route,
    accepting: Arc<Turns>,
}

impl TwoNodes {
    async fn start() -> Self {
        let [client, server] = [(); 2].map(|()| {
            Node::new(NodeOptions {
                limits: Limits {
                    handshakes_per_source: Allowance {
                        burst: u32::MAX,
                        per_second: u32::MAX,
                    },
                    ..Limits::default()
                },
                ..NodeOptions::default()
            })
        });
        let tcp = server.tcp_listen("127.0.0.1:0").await.unwrap();
        let accepting = Arc::<Turns>::default();
        let options = ListenerOptions {
            identity: accepting.clone(),
            authorized: Vec::new(),
            timeout: Duration::from_secs(60),
        };
        server.start_channel_listener(&API, options).unwrap();
        server.router().add_consumer(&API, tcp.flow());
        let peer = tcp.address().to_string();
        let connection = client.tcp_connect(&peer).await.unwrap();
        Self {
            client,
            server,
            way: Route::from_hops([connection.sender().clone(), API]).unwrap(),
            accepting,
        }
    }

    /// Pairs of identities that have never met.
    fn strangers(&self) -> Vec<Pair> {
        let identity = |_| Arc::new(self.client.ephemeral_identity().unwrap());
        (0..HANDSHAKES).map(|_| [0, 1].map(identity)).collect()
    }

    /// Cost of a channel between the two nodes, up to both being able to send.
    async fn channels(&self, pairs: &[Pair]) -> f64 {
        let mut waiting = pairs.iter();
        let mut opening = JoinSet::new();
        let mut channels = Vec::new();
        let began = processor_time();
        loop {
            while opening.len() < AT_ONCE
                && let Some([ours, theirs]) = waiting.next()
            {
                self.accepting.0.lock().unwrap().push_back(theirs.clone());
                let options = ChannelOptions {
                    identity: Arc::new(FixedIdentity(ours.clone())),
                    authorized: Vec::new(),
                    timeout: Duration::from_secs(60),
                    encryptor: None,
                };
                let (client, way) = (self.client.clone(), self.way.clone());
                opening.spawn(async move { client.create_channel(way, options).await });
            }
            match opening.join_next().await {
                Some(opened) => channels.push(opened.unwrap().unwrap()),
                None => break,
            }
        }
        while self.server.channels().len() < pairs.len() {
            tokio::task::yield_now().await;
        }
        let took = processor_time() - began;
        for channel in channels {
            channel.close().await;
        }
        while !self.server.channels().is_empty() {
            tokio::task::yield_now().await;
        }
        per(pairs.len(), took)
    }
}

/// Presents another identity each time.
#[derive(Debug, Default)]
struct Turns(Mutex<VecDeque<Arc<LocalIdentity>>>);

impl OwnIdentity for Turns {
    fn current(&self) -> OwnIdentityFuture<'_> {
        let next = self.0.lock().unwrap().pop_front().unwrap();
        Box::pin(std::future::ready(Ok(next)))
    }

    fn changes(&self) -> watch::Receiver<u64> {
        watch::channel(0).1
    }
}

/// A client's identity and a server's.
type Pair = [Arc<LocalIdentity>; 2];

fn each(times: usize, mut once: impl FnMut()) -> f64 {
    let began = processor_time();
    for _ in 0..times {
        once();
    }
    per(times, processor_time() - began)
}

/// Microseconds of one.
fn per(times: usize, took: Duration) -> f64 {
    took.as_secs_f64() * 1e6 / times as f64
}

/// What this thread has used of its processor.
fn processor_time() -> Duration {
    rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime)
        .try_into()
        .unwrap()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

const API: Address = Address::from_static("api");
/// In one round.
const HANDSHAKES: usize = 400;
/// Channels that are being opened at a time.
const AT_ONCE: usize = 8;
