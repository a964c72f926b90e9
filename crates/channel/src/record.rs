//! Sealed records: what is on the wire after the handshake.
//!
//! ```text
//! nonce (8, big endian) ‖ ciphertext ‖ tag (16)
//! ```
//!
//! A key seals 32 records, then the next one is derived from it and it is wiped (spec: trust 5.7, 5.10). Records may be
//! lost, repeated or overtake each other within a window of 32.

mod key;
mod receiver;
mod replay;
mod sender;
mod single_key;

pub use receiver::{OpenError, Receiver};
pub use replay::REPLAY_WINDOW;
pub use sender::{SealError, Sender};
pub use single_key::{SingleKeyReceiver, SingleKeySender};

/// How many nonces one key covers (spec: trust 5.10).
pub const REKEY_INTERVAL: u64 = 32;

/// Bytes in front of the ciphertext.
pub(crate) const NONCE_LEN: usize = 8;

/// Bytes behind the ciphertext.
pub(crate) const TAG_LEN: usize = 16;

/// Never sealed with: its GCM nonce is the one that derives the next key (spec: trust 5.10).
const REKEY_NONCE: u64 = u64::MAX;
