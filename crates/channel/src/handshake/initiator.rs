//! The initiator: message 1 and 3.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

use ockam_identity::{CredentialBundle, UnixTime, VerifiedHistory};
use ockam_vault::{Provider, X25519Secret};

use super::{Established, HandshakeError, Offer, Refused};
use crate::noise::{KeyPair, ReadMessage2, Role, SentMessage1, check_payload_3};
use crate::payload::{self, LocalIdentity};
use crate::peer::{PeerCheck, PeerProven};

/// The initiator, waiting for message 2.
#[derive(Debug)]
pub struct Initiator {
    inner: Box<Inner>,
}

#[derive(Debug)]
struct Inner {
    provider: &'static dyn Provider,
    verifier: Option<Arc<dyn Provider>>,
    identity: Arc<LocalIdentity>,
    noise: SentMessage1,
    payload: Vec<u8>,
    hello: Vec<u8>,
}

impl Initiator {
    /// Begins a handshake; the bytes are message 1. The `ephemeral` secret must be fresh and used nowhere else.
    ///
    /// # Errors
    ///
    /// The offer or the credentials do not fit into the handshake.
    pub fn start(
        provider: &'static dyn Provider,
        identity: Arc<LocalIdentity>,
        ephemeral: X25519Secret,
        offer: Offer,
    ) -> Result<(Self, Vec<u8>), HandshakeError> {
        let payload =
            payload::encode(&identity, &offer.extensions).map_err(HandshakeError::Offer)?;
        check_payload_3(&payload).map_err(HandshakeError::of_offer)?;
        let (noise, message) =
            SentMessage1::write(provider, KeyPair::new(provider, &ephemeral), &offer.hello)
                .map_err(HandshakeError::of_offer)?;
        let inner = Box::new(Inner {
            provider,
            verifier: None,
            identity,
            noise,
            payload,
            hello: offer.hello,
        });
        Ok((Self { inner }, message))
    }

    /// Leaves the verification of what the peer says of itself to `verifier`, which may remember what it verified.
    #[must_use]
    pub fn verifying_with(mut self, verifier: Arc<dyn Provider>) -> Self {
        self.inner.verifier = Some(verifier);
        self
    }

    /// Reads message 2 and verifies who sent it. The driver then decides with [`PresentedByResponder::accept`].
    ///
    /// # Errors
    ///
    /// The message is not the answer to message 1, or its sender did not prove its identity.
    pub fn read_message_2(
        self,
        now: UnixTime,
        message: &[u8],
    ) -> Result<PresentedByResponder, Refused<Self>> {
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
            Ok((noise, peer)) => Ok(PresentedByResponder {
                initiator: self,
                noise,
                peer,
            }),
            Err(error) => Err(Refused { state: self, error }),
        }
    }

    /// Reads message 2 and asks `check` at once; the bytes are message 3.
    ///
    /// # Errors
    ///
    /// As [`Self::read_message_2`], or the driver refused the peer.
    pub fn handle_message_2(
        self,
        now: UnixTime,
        message: &[u8],
        check: &mut dyn PeerCheck,
    ) -> Result<(Vec<u8>, Established), Refused<Self>> {
        self.read_message_2(now, message)?.accept(check)
    }
}

/// The initiator with a responder whose key is proven; nothing about this side was revealed yet.
#[derive(Debug)]
pub struct PresentedByResponder {
    initiator: Initiator,
    noise: ReadMessage2,
    peer: PeerProven,
}

impl PresentedByResponder {
    /// Asks the driver, and writes message 3, which reveals this side's identity.
    ///
    /// # Errors
    ///
    /// The driver refused the peer; the initiator waits on for another message 2.
    pub fn accept(
        self,
        check: &mut dyn PeerCheck,
    ) -> Result<(Vec<u8>, Established), Refused<Initiator>> {
        let Self {
            initiator,
            noise,
            peer,
        } = self;
        let inner = &initiator.inner;
        let finish = || {
            let peer = peer.check(check)?;
            let (message, keys) = noise.write(inner.identity.static_key.pair(), &inner.payload)?;
            Ok((
                message,
                Established::new(
                    inner.provider,
                    Role::Initiator,
                    peer,
                    &keys,
                    inner.hello.clone(),
                ),
            ))
        };
        finish().map_err(|error| Refused {
            state: initiator,
            error,
        })
    }

    /// Turns the peer down; the initiator waits on for another message 2.
    #[must_use]
    pub fn refuse(self) -> Initiator {
        self.initiator
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
