//! Somebody without a node: speaks frames over a TCP connection of its own, and opens channels with keys that it knows.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use ockam_channel::{ChannelMessage, Established, Initiator, LocalIdentity, Offer, Rejected};
use ockam_identity::{UnixTime, VerifiedHistory};
use ockam_node::{Node, NodeOptions};
use ockam_vault::{SecretBytes, X25519Secret, fast};
use ockam_wire::{Buffer, RoutingMessage};

use crate::frames::{decode, encode, route};
use crate::noise::Transcript;
use crate::party::PATIENCE;
use crate::tap::read_frame;

/// A new identity that nobody knows.
pub fn new_identity() -> Arc<LocalIdentity> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let _entered = runtime.enter();
    Arc::new(
        Node::new(NodeOptions::default())
            .ephemeral_identity()
            .unwrap(),
    )
}

pub fn now() -> UnixTime {
    UnixTime(
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap()
            .as_secs(),
    )
}

pub fn accept_anyone(_: &VerifiedHistory) -> Result<(), Rejected> {
    Ok(())
}

/// A secret whose bytes the test knows.
pub fn known_secret(bytes: [u8; 32]) -> X25519Secret {
    X25519Secret::new(SecretBytes::new(bytes))
}

/// A connection to a node's listener.
pub struct Stranger {
    stream: TcpStream,
}

impl Stranger {
    pub fn connect(listener: SocketAddr) -> Self {
        let mut stream = TcpStream::connect(listener).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.write_all(&[1]).unwrap();
        let mut preamble = [0];
        stream.read_exact(&mut preamble).unwrap();
        Self { stream }
    }

    pub fn send_bytes(&mut self, frame: &[u8]) {
        self.stream.write_all(frame).unwrap();
    }

    pub fn send(&mut self, onward: &str, return_route: &str, payload: &[u8]) {
        self.send_bytes(&encode(RoutingMessage {
            onward: route(onward),
            return_route: route(return_route),
            payload: Buffer::from_slice(payload),
        }));
    }

    pub fn receive(&mut self) -> RoutingMessage {
        decode(&read_frame(&self.stream).expect("a frame within the time"))
    }

    /// Whether nothing at all waits to be read.
    pub fn heard_nothing(&self) -> bool {
        self.stream.set_nonblocking(true).unwrap();
        let peeked = self.stream.peek(&mut [0]);
        self.stream.set_nonblocking(false).unwrap();
        peeked.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock)
    }

    /// Opens a channel to a listener. The ephemeral secret is the caller's to keep.
    pub fn open_channel(
        mut self,
        listener: &str,
        identity: Arc<LocalIdentity>,
        ephemeral: [u8; 32],
    ) -> StrangerChannel {
        let (initiator, message_1) =
            Initiator::start(fast(), identity, known_secret(ephemeral), Offer::default()).unwrap();
        self.send(listener, OWN, &message_1);
        let answer = self.receive();
        let message_2 = answer.payload.as_slice().to_vec();
        let (message_3, established) = initiator
            .handle_message_2(now(), &message_2, &mut accept_anyone)
            .unwrap();
        let to_peer = answer.return_route.to_string();
        self.send(&to_peer, OWN, &message_3);
        StrangerChannel {
            stranger: self,
            established,
            to_peer,
            transcript: Transcript {
                message_1,
                message_2,
                message_3,
            },
        }
    }
}

/// A channel whose every secret the test knows.
pub struct StrangerChannel {
    pub stranger: Stranger,
    pub established: Established,
    pub to_peer: String,
    pub transcript: Transcript,
}

impl StrangerChannel {
    /// Sends a message through the channel.
    pub fn send(&mut self, onward: &str, payload: &[u8]) {
        let message = ChannelMessage::Payload(RoutingMessage {
            onward: route(onward),
            return_route: route("app"),
            payload: Buffer::from_slice(payload),
        });
        let record = self
            .established
            .sender
            .seal(message.encode().unwrap())
            .unwrap();
        self.stranger.send(&self.to_peer, "", record.as_slice());
    }

    /// Sends a message through the channel and opens the answer. Returns its record, too.
    pub fn ask(&mut self, onward: &str, payload: &[u8]) -> (Vec<u8>, Vec<u8>) {
        self.send(onward, payload);
        let answer = self.stranger.receive();
        let record = answer.payload.as_slice().to_vec();
        let (_, plaintext) = self.established.receiver.open(answer.payload).unwrap();
        match ChannelMessage::decode(plaintext).unwrap() {
            ChannelMessage::Payload(message) => (record, message.payload.as_slice().to_vec()),
            other => panic!("not an answer: {other:?}"),
        }
    }
}

/// The stranger's own address.
const OWN: &str = "stranger";
