//! Sealing, opening, and the handshake before.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use ockam_channel::{Established, Initiator, LocalIdentity, Offer, Rejected, Responder};
use ockam_identity::{UnixTime, VerifiedHistory};
use ockam_node::{
    Accepted, Attach, ChannelOptions, FixedIdentity, Inbound, ListenerOptions, Node, NodeOptions,
    Outbound,
};
use ockam_vault::{X25519Secret, fast};
use ockam_wire::{Address, Buffer, Route};
use tokio::runtime::{Builder, Runtime};

use crate::scenario::Repeat;

/// One thread, as everything here.
pub(crate) fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

/// Seals a plaintext of `SIZE` bytes.
pub(crate) fn seal<const SIZE: usize>(_: usize) -> Repeat {
    let (mut initiator, _) = Pair::new().shake_hands();
    let mut plaintext = Some(Buffer::from_slice(&vec![7; SIZE]));
    Box::new(move |rounds| {
        for _ in 0..rounds {
            let mut record = initiator.sender.seal(plaintext.take().unwrap()).unwrap();
            // What was sealed is as good a plaintext as any.
            record.advance(record.len() - SIZE - TAG);
            record.truncate(SIZE);
            plaintext = Some(black_box(record));
        }
    })
}

/// Opens a record of `SIZE` bytes of plaintext.
pub(crate) fn open<const SIZE: usize>(most: usize) -> Repeat {
    let (mut initiator, mut responder) = Pair::new().shake_hands();
    let most = if SIZE > 4096 {
        most.min(MOST_LARGE)
    } else {
        most
    };
    let records: Vec<_> = (0..most)
        .map(|_| {
            initiator
                .sender
                .seal(Buffer::from_slice(&vec![7; SIZE]))
                .unwrap()
        })
        .collect();
    let mut records = records.into_iter();
    Box::new(move |rounds| {
        for _ in 0..rounds {
            let record = records.next().expect("as many were prepared");
            black_box(responder.receiver.open(record).unwrap());
        }
    })
}

/// One handshake, both sides, every check.
pub(crate) fn handshake(_: usize) -> Repeat {
    let pair = Pair::new();
    Box::new(move |rounds| {
        for _ in 0..rounds {
            black_box(pair.shake_hands());
        }
    })
}

/// One channel, opened and closed, between two nodes that are joined in memory.
pub(crate) fn between_nodes(_: usize) -> Repeat {
    let runtime = runtime();
    let (client, identity, route) = runtime.block_on(async {
        let (client, server) = (
            Node::new(NodeOptions::default()),
            Node::new(NodeOptions::default()),
        );
        let listener = server.random_flow();
        let accepted = Accepted {
            flow: listener,
            proven: Arc::default(),
        };
        let (client_in, client_out) = client.attach(attach("client", None)).unwrap();
        let (server_in, server_out) = server.attach(attach("server", Some(accepted))).unwrap();
        let sender = client_in.connection().sender().clone();
        carry(client_out, server_in);
        carry(server_out, client_in);
        let api = Address::from_static("api");
        let options = ListenerOptions {
            identity: Arc::new(FixedIdentity::from(server.ephemeral_identity().unwrap())),
            authorized: Vec::new(),
            timeout: Duration::from_secs(60),
        };
        let channels = server.start_channel_listener(&api, options).unwrap();
        server.router().add_consumer(&api, listener);
        let identity = Arc::new(FixedIdentity::from(client.ephemeral_identity().unwrap()));
        // Kept as long as the benchmark lasts.
        std::mem::forget((server, channels));
        (client, identity, Route::from_hops([sender, api]).unwrap())
    });
    Box::new(move |rounds| {
        runtime.block_on(async {
            for _ in 0..rounds {
                let options = ChannelOptions {
                    identity: identity.clone(),
                    authorized: Vec::new(),
                    timeout: Duration::from_secs(60),
                    encryptor: None,
                };
                let channel = client.create_channel(route.clone(), options).await.unwrap();
                channel.close().await;
            }
        });
    })
}

/// How a connection in memory joins a node.
pub(crate) fn attach(peer: &str, accepted: Option<Accepted>) -> Attach {
    Attach {
        transport: "memory",
        peer: peer.to_owned(),
        sender: None,
        accepted,
        message_limit: ockam_wire::MAX_MESSAGE,
        queue_bytes: 4 << 20,
    }
}

fn carry(mut from: Outbound, mut to: Inbound) {
    tokio::spawn(async move {
        let mut batch = Vec::new();
        while from.next_batch(&mut batch, 64).await > 0 {
            for message in batch.drain(..) {
                let message = message.into_inner().into_message();
                to.receive(message).await.unwrap();
            }
        }
    });
}

/// Two identities.
struct Pair {
    initiator: Arc<LocalIdentity>,
    responder: Arc<LocalIdentity>,
    now: UnixTime,
}

impl Pair {
    fn new() -> Self {
        let runtime = runtime();
        let _entered = runtime.enter();
        let node = Node::new(NodeOptions::default());
        Self {
            initiator: Arc::new(node.ephemeral_identity().unwrap()),
            responder: Arc::new(node.ephemeral_identity().unwrap()),
            now: node.unix_time(),
        }
    }

    fn shake_hands(&self) -> (Established, Established) {
        let mut anyone = |_: &VerifiedHistory| Ok::<(), Rejected>(());
        let offer = Offer::default();
        let responder =
            Responder::new(fast(), self.responder.clone(), ephemeral(), &offer).unwrap();
        let (initiator, message_1) =
            Initiator::start(fast(), self.initiator.clone(), ephemeral(), offer).unwrap();
        let (responder, message_2) = responder.read_message_1(&message_1).unwrap();
        let (message_3, initiator) = initiator
            .handle_message_2(self.now, &message_2, &mut anyone)
            .unwrap();
        let responder = responder
            .handle_message_3(self.now, &message_3, &mut anyone)
            .unwrap();
        (initiator, responder)
    }
}

fn ephemeral() -> X25519Secret {
    X25519Secret::generate(&mut |bytes: &mut [u8]| getrandom::fill(bytes).unwrap())
}

/// Bytes behind a ciphertext.
const TAG: usize = 16;
/// Large records that are prepared at most.
const MOST_LARGE: usize = 256;
