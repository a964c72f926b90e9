//! A hostile relay, against the real program.
//!
//! Three parties with a home each: a server with an outlet behind a relay, the relay, and a client with an inlet. Every
//! byte between a party and the relay passes a [`tap::Tap`], which stands for whatever a relay may do: it records, and it
//! changes, drops, repeats, delays and redirects frames. Where the relay must also speak the protocol itself, a
//! [`pretender::Pretender`] takes its place, or a [`stranger::Stranger`] connects to it.
//!
//! ```text
//! client ── inlet ═ client node ─── tap ─── relay node ─── tap ─── server node ═ outlet ── target
//! ```
//!
//! What is claimed of the far ends is always the same: what they get is the beginning of what was sent, and an orderly
//! end means that it was all of it.
//!
//! Specification: `docs/protocol/1-messaging.md` 12, `docs/protocol/2-trust.md` 5 and 11, `docs/security/threat-model.md`.
#![allow(clippy::unwrap_used, reason = "a test fails where it unwraps")]
#![expect(
    unreachable_pub,
    reason = "modules of a test are private to it; `pub` marks what they share"
)]

mod ends;
mod frames;
mod noise;
mod party;
mod pretender;
mod stranger;
mod tap;
mod world;

mod damage;
mod guest;
mod impostor;
mod nonces;
mod order;
mod pins;
mod secrecy;
mod stolen_keys;
