//! The secure channel: a Noise XX handshake between two identities, and the sealed records that follow it.
//!
//! Pure: it holds no socket, clock or source of randomness. Messages, the present time, ephemeral keys and the
//! cryptographic provider come in as arguments; bytes go out. Routing the messages, waiting for them and giving up on
//! them is the work of the driver.
//!
//! ```text
//! initiator                                                responder
//!   Initiator::start ───────── e, hello ─────────────────▶ Responder::read_message_1
//!   Initiator::read_message_2 ◀─ e, ee, s, es, payload ───     (writes message 2)
//!     PresentedByResponder::accept ── s, se, payload ──▶ AwaitingInitiator::read_message_3
//!   Established { peer, sender, receiver }               PresentedByInitiator::accept ─▶ Established
//!         └───────────── nonce ‖ ciphertext ‖ tag ─────────────────┘
//! ```
//!
//! Entry types: [`Initiator`], [`Responder`], [`Established`]; then [`Sender`], [`Receiver`] and [`ChannelMessage`].
//!
//! Invariants:
//!
//! - A [`PeerVerified`] exists only after the peer's change history, its attestation, the equality of the attested key and
//!   the Noise static key, and the driver's [`PeerCheck`] have all passed, in that order.
//! - A handshake phase is consumed when it succeeds and given back unchanged when it fails, so neither can a damaged
//!   message spoil a handshake nor one handshake yield the same transport keys twice.
//! - A sealed nonce never repeats under one key, and the counter never reaches 2^64-1, the nonce of the re-key.
//! - A receiver changes only after a record was authenticated; each record is accepted at most once.
//! - A record is sealed and opened in place; only a buffer without room is copied.
//!
//! Specification: trust 5.

#![no_std]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod array_structure;
mod extensions;
mod handshake;
mod message;
mod noise;
mod payload;
mod peer;
mod record;

#[cfg(test)]
#[path = "../tests/channel/mutated.rs"]
mod mutated;

pub use array_structure::StructureError;
pub use extensions::Extensions;
pub use handshake::{
    AwaitingInitiator, Established, HandshakeError, Initiator, Offer, PresentedByInitiator,
    PresentedByResponder, Refused, Responder,
};
pub use message::{
    CHANNEL_HEADROOM, CHANNEL_TAILROOM, ChannelMessage, CredentialRefresh, MessageError,
};
pub use noise::{MAX_HANDSHAKE_MESSAGE, Role};
pub use payload::{LocalIdentity, MAX_CREDENTIALS, PayloadError, StaticKey};
pub use peer::{PeerCheck, PeerVerified, Rejected};
pub use record::{
    OpenError, REKEY_INTERVAL, REPLAY_WINDOW, Receiver, SealError, Sender, SingleKeyReceiver,
    SingleKeySender,
};
