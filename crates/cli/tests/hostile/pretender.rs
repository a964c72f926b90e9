//! A relay that answers handshakes itself instead of passing them on.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Instant;

use ockam_channel::{AwaitingInitiator, Established, LocalIdentity, Offer, Responder};
use ockam_vault::fast;
use ockam_wire::{Buffer, RoutingMessage};

use crate::frames::{decode, encode, route};
use crate::noise::forge_message_2;
use crate::party::PATIENCE;
use crate::stranger::{accept_anyone, known_secret, now};
use crate::tap::read_frame;

/// What the pretender learned.
#[derive(Clone, Debug, Default)]
pub struct Heard {
    /// Handshakes begun with it.
    pub messages_1: usize,
    /// Handshakes continued after its answer: the initiator took it for somebody else.
    pub messages_3: usize,
    /// What was sent to it in channels.
    pub plaintexts: Vec<Vec<u8>>,
}

/// What somebody takes for the agreement with a static key whose secret it lacks, given message 1.
pub type Guess = Box<dyn Fn(&[u8]) -> [u8; 32] + Send + Sync>;

/// How it answers.
pub enum Pretence {
    /// As this identity, in order.
    As(Arc<LocalIdentity>),
    /// With a forged message: a static key whose secret it lacks, the agreement with it guessed from message 1, and an
    /// identity payload.
    Forged {
        claimed_static: [u8; 32],
        guess: Guess,
        payload: Vec<u8>,
    },
}

/// Listens where the relay is expected.
pub struct Pretender {
    address: SocketAddr,
    heard: Arc<(Mutex<Heard>, Condvar)>,
}

impl Pretender {
    pub fn start(pretence: Pretence) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let heard: Arc<(Mutex<Heard>, Condvar)> = Arc::default();
        let (telling, pretence) = (Arc::downgrade(&heard), Arc::new(pretence));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let Some(heard) = telling.upgrade() else {
                    return;
                };
                let pretence = pretence.clone();
                std::thread::spawn(move || {
                    Deceiving {
                        pretence,
                        heard,
                        channels: HashMap::new(),
                    }
                    .run(&stream)
                });
            }
        });
        Self { address, heard }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where parties are told the relay is.
    pub fn route(&self) -> String {
        format!("/ip4/127.0.0.1/tcp/{}", self.address.port())
    }

    pub fn heard(&self) -> Heard {
        self.heard.0.lock().unwrap().clone()
    }

    pub fn wait_for(&self, what: &str, condition: impl Fn(&Heard) -> bool) -> Heard {
        let mut heard = self.heard.0.lock().unwrap();
        let end = Instant::now() + PATIENCE;
        while !condition(&heard) {
            let left = end.saturating_duration_since(Instant::now());
            assert!(
                !left.is_zero(),
                "not within {PATIENCE:?}: {what}; heard {heard:?}"
            );
            heard = self
                .heard
                .1
                .wait_timeout(heard, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        heard.clone()
    }
}

impl Drop for Pretender {
    fn drop(&mut self) {
        self.heard = Arc::default();
        drop(TcpStream::connect(self.address));
    }
}

enum Channel {
    Answered(AwaitingInitiator),
    /// Nothing that comes can be opened.
    Forged,
    Open(Box<Established>),
}

struct Deceiving {
    pretence: Arc<Pretence>,
    heard: Arc<(Mutex<Heard>, Condvar)>,
    channels: HashMap<Vec<u8>, Channel>,
}

impl Deceiving {
    fn run(mut self, stream: &TcpStream) {
        let mut preamble = [0];
        let mut stream = stream;
        if stream.read_exact(&mut preamble).is_err() || stream.write_all(&[1]).is_err() {
            return;
        }
        while let Ok(frame) = read_frame(stream) {
            let message = decode(&frame);
            let Some(last) = message.onward.last().map(|last| last.name().to_vec()) else {
                continue;
            };
            if last == b"api" && message.payload.len() == 32 {
                let answer = self.answer(message);
                if stream.write_all(&answer).is_err() {
                    return;
                }
            } else if let Some(channel) = self.channels.remove(&last) {
                let channel = self.listen(channel, message.payload);
                self.channels.insert(last, channel);
            }
        }
    }

    fn answer(&mut self, message_1: RoutingMessage) -> Vec<u8> {
        let own = format!("pretender{}", self.channels.len());
        let seed = [self.channels.len() as u8 + 1; 32];
        let (channel, message_2) = match &*self.pretence {
            Pretence::As(identity) => {
                let responder = Responder::new(
                    fast(),
                    identity.clone(),
                    known_secret(seed),
                    &Offer::default(),
                )
                .unwrap();
                let (awaiting, message_2) = responder
                    .read_message_1(message_1.payload.as_slice())
                    .unwrap();
                (Channel::Answered(awaiting), message_2)
            }
            Pretence::Forged {
                claimed_static,
                guess,
                payload,
            } => {
                let message_1 = message_1.payload.as_slice();
                let guess = guess(message_1);
                (
                    Channel::Forged,
                    forge_message_2(message_1, seed, claimed_static, &guess, payload),
                )
            }
        };
        self.channels.insert(own.clone().into_bytes(), channel);
        self.tell(|heard| heard.messages_1 += 1);
        encode(RoutingMessage {
            onward: message_1.return_route,
            return_route: route(&own),
            payload: Buffer::from_slice(&message_2),
        })
    }

    fn listen(&self, channel: Channel, payload: Buffer) -> Channel {
        match channel {
            Channel::Forged => {
                self.tell(|heard| heard.messages_3 += 1);
                Channel::Forged
            }
            Channel::Answered(awaiting) => {
                let established = awaiting
                    .handle_message_3(now(), payload.as_slice(), &mut accept_anyone)
                    .unwrap();
                self.tell(|heard| heard.messages_3 += 1);
                Channel::Open(Box::new(established))
            }
            Channel::Open(mut established) => {
                let (_, plaintext) = established.receiver.open(payload).unwrap();
                self.tell(|heard| heard.plaintexts.push(plaintext.as_slice().to_vec()));
                Channel::Open(established)
            }
        }
    }

    fn tell(&self, change: impl FnOnce(&mut Heard)) {
        change(&mut self.heard.0.lock().unwrap());
        self.heard.1.notify_all();
    }
}
