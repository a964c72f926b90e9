//! The responder: message 2, and what follows message 3.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

use ockam_identity::{CredentialBundle, UnixTime, VerifiedHistory};
use ockam_vault::{Provider, X25519Secret};

use super::{Established, HandshakeError, Offer, Refused};
use crate::noise::{KeyPair, ReadMessage1, ReadMessage3, Role, SentMessage2, check_payload_2};
use crate::payload::{self, LocalIdentity};
use crate::peer::{PeerCheck, PeerProven};

/// A responder, waiting for message 1.
#[derive(Debug)]
pub struct Responder {
    inner: Box<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    provider: &'static dyn Provider,
    verifier: Option<Arc<dyn Provider>>,
    identity: Arc<LocalIdentity>,
    ephemeral: KeyPair,
    payload: Vec<u8>,
}

impl Responder {
    /// A responder for one handshake. The `ephemeral` secret must be fresh and used nowhere else.
    ///
    /// # Errors
    ///
    /// The offer or the credentials do not fit into the handshake.
    pub fn new(
        provider: &'static dyn Provider,
        identity: Arc<LocalIdentity>,
        ephemeral: X25519Secret,
        offer: &Offer,
    ) -> Result<Self, HandshakeError> {
        let payload =
            payload::encode(&identity, &offer.extensions).map_err(HandshakeError::Offer)?;
        check_payload_2(&payload).map_err(HandshakeError::of_offer)?;
        Ok(Self {
            inner: Box::new(Waiting {
                provider,
                verifier: None,
                identity,
                ephemeral: KeyPair::new(provider, &ephemeral),
                payload,
            }),
        })
    }

    /// Leaves the verification of what the peer says of itself to `verifier`, which may remember what it verified.
    #[must_use]
    pub fn verifying_with(mut self, verifier: Arc<dyn Provider>) -> Self {
        self.inner.verifier = Some(verifier);
        self
    }

    /// Reads message 1; the bytes are message 2.
    ///
    /// # Errors
    ///
    /// The message is not a message 1, or carries a weak key.
    pub fn read_message_1(
        self,
        message: &[u8],
    ) -> Result<(AwaitingInitiator, Vec<u8>), Refused<Self>> {
        let Waiting {
            provider,
            verifier,
            identity,
            ephemeral,
            payload,
        } = *self.inner;
        let written = match ReadMessage1::read(provider, message) {
            Ok(mut read) => {
                let hello = core::mem::take(&mut read.payload);
                read.write(ephemeral, identity.static_key.pair(), &payload)
                    .map(|(noise, message)| (noise, message, hello))
            }
            Err(error) => Err((ephemeral, error)),
        };
        match written {
            Ok((noise, message, hello)) => {
                let inner = Box::new(Awaiting {
                    provider,
                    verifier,
                    noise,
                    hello,
                });
                Ok((AwaitingInitiator { inner }, message))
            }
            Err((ephemeral, error)) => {
                let inner = Box::new(Waiting {
                    provider,
                    verifier,
                    identity,
                    ephemeral,
                    payload,
                });
                Err(Refused {
                    state: Self { inner },
                    error: error.into(),
                })
            }
        }
    }
}

/// The responder, waiting for message 3.
#[derive(Debug)]
pub struct AwaitingInitiator {
    inner: Box<Awaiting>,
}

#[derive(Debug)]
struct Awaiting {
    provider: &'static dyn Provider,
    verifier: Option<Arc<dyn Provider>>,
    noise: SentMessage2,
    hello: Vec<u8>,
}

impl AwaitingInitiator {
    /// Reads message 3 and verifies who sent it. The driver then decides with [`PresentedByInitiator::accept`].
    ///
    /// # Errors
    ///
    /// The message does not continue this handshake, or its sender did not prove its identity.
    pub fn read_message_3(
        self,
        now: UnixTime,
        message: &[u8],
    ) -> Result<PresentedByInitiator, Refused<Self>> {
        let read = || {
            let noise = self.inner.noise.read(message)?;
            let peer = PeerProven::prove(
                self.inner
                    .verifier
                    .as_deref()
                    .unwrap_or(self.inner.provider),
                now,
                &noise.remote_static,
                &noise.payload,
            )?;
            Ok((noise, peer))
        };
        match read() {
            Ok((noise, peer)) => Ok(PresentedByInitiator {
                awaiting: self,
                noise,
                peer,
            }),
            Err(error) => Err(Refused { state: self, error }),
        }
    }

    /// Reads message 3 and asks `check` at once.
    ///
    /// # Errors
    ///
    /// As [`Self::read_message_3`], or the driver refused the peer.
    pub fn handle_message_3(
        self,
        now: UnixTime,
        message: &[u8],
        check: &mut dyn PeerCheck,
    ) -> Result<Established, Refused<Self>> {
        self.read_message_3(now, message)?.accept(check)
    }
}

/// The responder with an initiator whose key is proven.
#[derive(Debug)]
pub struct PresentedByInitiator {
    awaiting: AwaitingInitiator,
    noise: ReadMessage3,
    peer: PeerProven,
}

impl PresentedByInitiator {
    /// Asks the driver; the handshake is finished when it accepts.
    ///
    /// # Errors
    ///
    /// The driver refused the peer; the responder waits on for another message 3.
    pub fn accept(
        self,
        check: &mut dyn PeerCheck,
    ) -> Result<Established, Refused<AwaitingInitiator>> {
        let Self {
            awaiting,
            noise,
            peer,
        } = self;
        match peer.check(check) {
            Ok(peer) => {
                let Awaiting {
                    provider, hello, ..
                } = *awaiting.inner;
                Ok(Established::new(
                    provider,
                    Role::Responder,
                    peer,
                    &noise.split(),
                    hello,
                ))
            }
            Err(error) => Err(Refused {
                state: awaiting,
                error,
            }),
        }
    }

    /// Turns the peer down; the responder waits on for another message 3.
    #[must_use]
    pub fn refuse(self) -> AwaitingInitiator {
        self.awaiting
    }

    /// The history the peer presented and proved to own.
    #[must_use]
    pub const fn history(&self) -> &VerifiedHistory {
        &self.peer.history
    }

    /// The credentials the peer presented. Nothing in them was verified.
    #[must_use]
    pub fn credentials(&self) -> &[CredentialBundle] {
        &self.peer.credentials
    }
}
