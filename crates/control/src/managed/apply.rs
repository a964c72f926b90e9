//! Creation that can be repeated: what is there and the same is left alone.
//!
//! # Invariants
//! What is replaced keeps its place in the order of the node's requests; when the new one cannot be started the old one is
//! started again.

use crate::managed::inlets::KeptInlet;
use crate::managed::outlets::taken;
use crate::managed::policies::relay_resource;
use crate::managed::registry::Made;
use crate::managed::relays::KeptRelay;
use crate::managed::{Managed, local};
use crate::noun::relay::{Relay, RelayInfo, RelaySpec};
use crate::noun::tcp_inlet::{InletSpec, InletStatus, TcpInlet};
use crate::noun::tcp_outlet::{OutletSpec, OutletStatus, TcpOutlet};
use crate::outcome::Failure;
use crate::resource::{Apply, Change};
use crate::value::{Alias, WorkerName};

fn changed(is_same: bool) -> Change {
    if is_same {
        Change::Unchanged
    } else {
        Change::Replaced
    }
}

impl Apply<TcpOutlet> for Managed {
    fn asked_name(spec: &OutletSpec) -> Option<WorkerName> {
        spec.address.clone()
    }

    fn name_of(outlet: &OutletStatus) -> String {
        outlet.name()
    }

    async fn compare(&self, spec: &OutletSpec) -> Result<Change, Failure> {
        let name = spec.address.as_ref();
        if let Some(name) = name
            && let Some(outlet) = self.outlets.find(name.as_str())
        {
            let is_same =
                outlet.is_same(spec) && self.has_policy(name.as_str(), spec.allow.as_ref());
            return Ok(changed(is_same));
        }
        if let Some(name) = name
            && self.node.router().is_running(&local(name.as_str())?)
        {
            return Err(taken(name.as_str()));
        }
        Ok(Change::Added)
    }

    async fn replace(&self, spec: OutletSpec) -> Result<OutletStatus, Failure> {
        let name = spec.address.as_ref();
        let old = name.and_then(|name| self.outlets.remove(name.as_str()));
        let old_spec = old.as_ref().map(|old| old.spec.clone());
        // Its address is free again when nothing runs there.
        drop(old);
        let allow = spec.allow.clone();
        let started = self.start_outlet(spec, Made::Asked).await;
        match (&started, old_spec) {
            (Err(_), Some(old)) => again(self.start_outlet(old, Made::Restored).await),
            (Ok(outlet), Some(old)) => {
                self.withdraw_policy(&outlet.name(), old.allow.as_ref(), allow.as_ref())
                    .await?;
            }
            (_, None) => {}
        }
        started
    }
}

impl Apply<TcpInlet> for Managed {
    fn asked_name(spec: &InletSpec) -> Option<Alias> {
        spec.alias.clone()
    }

    fn name_of(inlet: &InletStatus) -> String {
        inlet.alias.clone()
    }

    async fn compare(&self, spec: &InletSpec) -> Result<Change, Failure> {
        // Nodes in its route need not be compared: it finds them anew by itself.
        let name = spec.alias.as_ref();
        let found = name.and_then(|name| self.inlets.find(name.as_str()));
        let is_same = |inlet: &KeptInlet| {
            inlet.is_same(spec) && self.has_policy(inlet.name(), spec.allow.as_ref())
        };
        Ok(found.map_or(Change::Added, |inlet| changed(is_same(&inlet))))
    }

    async fn replace(&self, mut spec: InletSpec) -> Result<InletStatus, Failure> {
        let name = spec.alias.as_ref();
        let old = name.and_then(|name| self.inlets.remove(name.as_str()));
        if let Some(old) = &old {
            old.running.stop().await;
            // Clients know the port.
            if spec.from.port() == 0 && spec.from.ip() == old.spec.from.ip() {
                spec.from = old.spec.from.clone();
            }
        }
        let allow = spec.allow.clone();
        let started = self.start_inlet(spec, Made::Asked).await;
        match (&started, old) {
            (Err(_), Some(old)) => again(self.start_inlet(old.spec.clone(), Made::Restored).await),
            (Ok(inlet), Some(old)) => {
                self.withdraw_policy(&inlet.alias, old.spec.allow.as_ref(), allow.as_ref())
                    .await?;
            }
            (_, None) => {}
        }
        started
    }
}

impl Apply<Relay> for Managed {
    fn asked_name(spec: &RelaySpec) -> Option<Alias> {
        Some(spec.name.clone())
    }

    fn name_of(relay: &RelayInfo) -> String {
        relay.name.clone()
    }

    async fn compare(&self, spec: &RelaySpec) -> Result<Change, Failure> {
        let found = self.relays.find(spec.name.as_str());
        let is_same = |relay: &KeptRelay| {
            relay.is_same(spec) && self.has_policy(spec.name.as_str(), spec.allow.as_ref())
        };
        Ok(found.map_or(Change::Added, |relay| changed(is_same(&relay))))
    }

    async fn replace(&self, spec: RelaySpec) -> Result<RelayInfo, Failure> {
        let old = self.relays.remove(spec.name.as_str());
        if let Some(old) = &old {
            old.running.stop().await;
        }
        let allow = spec.allow.clone();
        let started = self.start_relay(spec, Made::Asked).await;
        match (&started, old) {
            (Err(_), Some(old)) => again(self.start_relay(old.spec.clone(), Made::Restored).await),
            (Ok(relay), Some(old)) => {
                self.withdraw_policy(
                    &relay_resource(&relay.name),
                    old.spec.allow.as_ref(),
                    allow.as_ref(),
                )
                .await?;
            }
            (_, None) => {}
        }
        started
    }
}

/// What is left to say when the old one does not come back: the failure of the new one is the answer.
fn again<T>(started: Result<T, Failure>) {
    if let Err(failure) = started {
        tracing::error!("what was to be replaced could not be started again: {failure}");
    }
}
