//! Frames as a relay sees them: fields by name, handshakes and records told apart by the routes in clear.

use std::collections::HashMap;
use std::ops::Range;

use ockam_wire::{Buffer, Route, RoutingMessage, frame};

/// Which way a frame goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From the party to the relay.
    ToRelay,
    /// From the relay to the party.
    FromRelay,
}

/// What a frame is to the channel it belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The first, second or third message of a handshake.
    Handshake(usize, u8),
    /// A record of the initiator.
    FromInitiator(usize),
    /// A record of the responder.
    FromResponder(usize),
    /// Nothing of a channel.
    Other,
}

impl Kind {
    pub fn is_record(self) -> bool {
        matches!(self, Self::FromInitiator(_) | Self::FromResponder(_))
    }
}

/// A frame that came past, with its length in front, as its sender wrote it.
#[derive(Clone, Debug)]
pub struct Seen {
    pub direction: Direction,
    pub kind: Kind,
    pub bytes: Vec<u8>,
}

impl Seen {
    pub fn message(&self) -> RoutingMessage {
        decode(&self.bytes)
    }

    pub fn payload(&self) -> Vec<u8> {
        self.message().payload.as_slice().to_vec()
    }

    /// A record that carries content of a stream rather than signals of portal or session.
    pub fn is_content(&self) -> bool {
        self.kind.is_record() && self.bytes.len() > 2000
    }

    /// The nonce of a record.
    pub fn nonce(&self) -> u64 {
        u64::from_be_bytes(self.payload()[..8].try_into().unwrap())
    }

    /// Every field of the frame, in order and without gaps.
    pub fn fields(&self) -> Vec<(&'static str, Range<usize>)> {
        let message = self.message();
        let payload = message.payload.len();
        let mut rest: Vec<(&'static str, usize)> = vec![
            ("length of the frame", frame::PREFIX),
            ("head of the message", 1),
            ("onward route", message.onward.encoded_len()),
            ("return route", message.return_route.encoded_len()),
        ];
        let before: usize = rest.iter().map(|(_, length)| length).sum();
        let head = self.bytes.len() - before - payload;
        rest.push(("head of the payload", head));
        match self.kind {
            Kind::Handshake(_, 1) => rest.push(("ephemeral key", 32)),
            Kind::Handshake(_, 2) => rest.extend([
                ("ephemeral key", 32),
                ("static key", 32),
                ("tag of the static key", 16),
                ("identity", payload - 32 - 48 - 16),
                ("tag of the identity", 16),
            ]),
            Kind::Handshake(..) => rest.extend([
                ("static key", 32),
                ("tag of the static key", 16),
                ("identity", payload - 48 - 16),
                ("tag of the identity", 16),
            ]),
            Kind::FromInitiator(_) | Kind::FromResponder(_) => {
                rest.extend([("nonce", 8), ("ciphertext", payload - 24), ("tag", 16)]);
            }
            Kind::Other => rest.push(("payload", payload)),
        }
        let mut start = 0;
        let fields = rest.into_iter().map(|(name, length)| {
            start += length;
            (name, start - length..start)
        });
        let fields: Vec<_> = fields.collect();
        assert_eq!(start, self.bytes.len(), "the fields are the frame");
        fields
    }

    /// The positions to attack: each byte of the short fields, the ends and the middle of the others. Their number is
    /// the same for all records of a direction.
    pub fn positions(&self) -> Vec<(&'static str, usize)> {
        let mut positions = Vec::new();
        for (name, range) in self.fields() {
            let last = range.end - 1;
            let middle = range.start + range.len() / 2;
            let wanted = match name {
                // Two to five bytes, as the payload is long.
                "head of the payload" => vec![range.start, last],
                _ if range.len() <= 8 => range.collect(),
                _ => vec![range.start, middle, last],
            };
            positions.extend(wanted.into_iter().map(|at| (name, at)));
        }
        positions
    }

    /// The same frame with one bit of a byte turned. Which bit depends on the position, so that all come up.
    pub fn flipped(&self, position: usize) -> Vec<u8> {
        let mut bytes = self.bytes.clone();
        bytes[position] ^= 1 << (position % 8);
        bytes
    }

    /// The same frame with other routes or another payload, well-formed.
    pub fn rewritten(&self, change: impl FnOnce(&mut RoutingMessage)) -> Vec<u8> {
        let mut message = self.message();
        change(&mut message);
        encode(message)
    }
}

pub fn decode(bytes: &[u8]) -> RoutingMessage {
    RoutingMessage::decode(Buffer::from_slice(&bytes[frame::PREFIX..])).unwrap()
}

pub fn encode(message: RoutingMessage) -> Vec<u8> {
    frame::encode(message).unwrap().as_slice().to_vec()
}

pub fn route(text: &str) -> Route {
    text.parse().unwrap()
}

/// Tells which channel a frame belongs to.
#[derive(Debug, Default)]
pub struct Tracker {
    channels: usize,
    initiators: HashMap<Vec<u8>, (usize, bool)>,
    responders: HashMap<Vec<u8>, (usize, bool)>,
}

impl Tracker {
    /// How many channels were begun.
    pub fn channels(&self) -> usize {
        self.channels
    }

    pub fn classify(&mut self, bytes: &[u8]) -> Kind {
        let message = decode(bytes);
        let name = |route: &Route| route.last().map(|last| last.name().to_vec());
        let (Some(onward), back) = (name(&message.onward), name(&message.return_route)) else {
            return Kind::Other;
        };
        if let Some((channel, answered)) = self.initiators.get_mut(&onward) {
            if !std::mem::replace(answered, true) {
                self.responders.insert(back.unwrap(), (*channel, false));
                return Kind::Handshake(*channel, 2);
            }
            return Kind::FromResponder(*channel);
        }
        if let Some((channel, answered)) = self.responders.get_mut(&onward) {
            if !std::mem::replace(answered, true) {
                return Kind::Handshake(*channel, 3);
            }
            return Kind::FromInitiator(*channel);
        }
        match back {
            Some(back) if onward.starts_with(b"api") && message.payload.len() == 32 => {
                self.channels += 1;
                self.initiators.insert(back, (self.channels, false));
                Kind::Handshake(self.channels, 1)
            }
            _ => Kind::Other,
        }
    }
}
