//! Relay names that several relay services share: processes of one Orchestrator, for example.

use std::fmt;
use std::pin::Pin;

use ockam_identity::Identifier;
use ockam_wire::Route;

use super::name::RelayName;

/// Knows which relay service has which name. A service asks it before a relay starts and tells it when one has ended; it
/// tells the service which names have gone elsewhere.
pub trait RelayRegistry: Send + Sync + fmt::Debug + 'static {
    /// Asks for a name that is free here, for somebody who may have it.
    fn claim(&self, claim: RelayClaim) -> RegistryFuture<'_, Claimed>;

    /// The relay of this claim has ended here, or was never started.
    fn release(&self, name: &RelayName, claim: u64);

    /// The next relay of this service whose name is another service's now.
    ///
    /// Dropped before it is ready, it loses nothing.
    fn taken(&self) -> RegistryFuture<'_, (RelayName, u64)>;
}

/// What a registry returns.
pub type RegistryFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// One name that somebody asks for.
#[derive(Debug, Clone)]
pub struct RelayClaim {
    /// The name.
    pub name: RelayName,
    /// Who asks, if that is an identity.
    pub owner: Option<Identifier>,
    /// The way to the node that asks.
    pub forward_route: Route,
    /// The claim of another that was found to be silent, and ends if it is still the last one.
    pub over: Option<u64>,
}

/// The answer of a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claimed {
    /// The name is this service's, under this number: later claims have higher ones.
    Granted(u64),
    /// Another service has it for somebody else.
    Elsewhere {
        /// The number of that claim.
        claim: u64,
        /// The way to the node of that relay, to ask it whether it lives; none if the other service cannot be reached.
        way: Option<Route>,
    },
    /// The registry cannot answer, or does not give names to such.
    Refused,
}
