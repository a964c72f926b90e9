//! What Ockam puts on the wire: addresses, routes, routing messages, frames, multiaddrs and the request envelope.
//!
//! Purpose: encode and decode, nothing else. The crate opens no socket, reads no clock, keeps no state between
//! messages (except [`FrameReader`], which holds the bytes of a frame that has not arrived completely) and decides
//! nothing about trust.
//!
//! ```text
//! TCP stream   01 | frame | frame | ...                      frame
//! frame        u32be length | routing message                routing
//! message      83 | onward route | return route | payload    routing
//! route        8n | address ...                              route
//! address      82 | transport type | name                    address
//! ```
//!
//! # Invariants
//!
//! - Nothing that comes from a peer makes the crate panic, recurse deeper than [`MAX_NESTING`] or allocate more than
//!   a small multiple of the bytes that have really arrived.
//! - A [`Route`] is kept in its shortest CBOR form whatever form it arrived in, so that addresses compare as bytes,
//!   popping a hop moves a cursor and sending a route copies it.
//! - A payload is never copied while its [`Buffer`] has room. Where it must be, [`headroom_misses`] counts it.
//!
//! # Example
//!
//! ```
//! use ockam_wire::{Buffer, Route, RoutingMessage, frame};
//!
//! let message = RoutingMessage {
//!     onward: "echo".parse()?,
//!     return_route: "app".parse()?,
//!     payload: Buffer::from_slice(b"hello"),
//! };
//! let mut received = frame::encode(message)?;
//! received.advance(frame::PREFIX);
//! let received = RoutingMessage::decode(received)?;
//! assert_eq!(received.onward.first().map(|hop| hop.name()), Some(&b"echo"[..]));
//! assert_eq!(received.payload.as_slice(), b"hello");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Specification
//!
//! `docs/protocol/1-messaging.md` sections 1, 2.1 and 9, `docs/protocol/2-trust.md` section 8. The limits are those
//! of messaging 12 (W2, W4, W5, W6).
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod address;
pub mod bare;
mod buffer;
pub mod cbor;
pub mod envelope;
pub mod frame;
mod multiaddr;
mod route;
mod routing;
pub mod transport_message;

pub use address::{Address, AddressError, AddressRef, MAX_NAME, TransportType};
pub use buffer::{Buffer, HEADROOM, TAILROOM, headroom_misses};
pub use cbor::{DecodeError, MAX_NESTING};
pub use frame::{Frame, FrameError, FrameReader};
pub use multiaddr::{MAX_MULTIADDR, MultiAddr, MultiAddrError, Protocol};
pub use route::{Hops, MAX_HOPS, MAX_ROUTE, Route, RouteError};
pub use routing::{EncodeError, HEADER_MAX, MAX_MESSAGE, RoutingMessage, header_len};
