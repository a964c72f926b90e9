//! Outlets of a managed node.

use std::sync::Arc;

use ockam_policy::ResourceType;
use ockam_portal::{Handshake, NoRoots, Outlet, OutletOptions, TargetAddress, Tls};

use crate::managed::registry::{Made, Taken};
use crate::managed::restore::Restore;
use crate::managed::{Managed, local};
use crate::noun::tcp_outlet::{NOUN, OutletSpec, OutletStatus, TcpOutlet};
use crate::outcome::{Code, Failure};
use crate::resource::Serve;
use crate::state::unused_name;
use crate::table::Noun;
use crate::value::{Scheme, WorkerName};

/// A running outlet.
#[derive(Debug)]
pub(crate) struct KeptOutlet {
    pub(crate) spec: OutletSpec,
    pub(crate) running: Outlet,
}

impl KeptOutlet {
    fn view(&self) -> OutletStatus {
        OutletStatus::new(self.running.address(), &self.spec.to, &self.spec.authorized)
    }

    pub(super) fn is_same(&self, spec: &OutletSpec) -> bool {
        let comparable = |spec: &OutletSpec| OutletSpec {
            address: None,
            ..spec.clone()
        };
        comparable(&self.spec) == comparable(spec)
    }
}

impl Managed {
    /// Starts an outlet, on request or again.
    pub(crate) async fn start_outlet(
        &self,
        mut spec: OutletSpec,
        made: Made,
    ) -> Result<OutletStatus, Failure> {
        let name = match &spec.address {
            Some(address) => address.to_string(),
            None => self.unnamed_outlet(&spec)?,
        };
        let reservation = match self.outlets.reserve(&name, made) {
            Ok(reservation) => reservation,
            Err(Taken::Restored(outlet))
                if outlet.is_same(&spec) && self.has_policy(&name, spec.allow.as_ref()) =>
            {
                return Ok(outlet.view());
            }
            Err(Taken::Restored(_)) => {
                drop(self.outlets.remove(&name));
                self.outlets
                    .reserve(&name, made)
                    .map_err(|_| exists(&name))?
            }
            Err(Taken::Held) => return Err(exists(&name)),
        };
        let address = local(&name)?;
        spec.address = Some(
            name.parse()
                .map_err(|error: crate::value::WorkerNameError| Failure::new(error.to_string()))?,
        );
        let target: TargetAddress = spec
            .to
            .to_string()
            .parse()
            .map_err(|_| Failure::new(format!("{} cannot be connected to", spec.to)))?;
        let mut options = OutletOptions::new(address, target);
        let guard = self.guard(&name, ResourceType::TcpOutlet);
        let guard = guard.pinned_to(&spec.authorized);
        options.access = guard.access();
        options.guard = Some(Arc::new(guard));
        options.chunk = self.portal_chunk;
        // Unless the node is strict an outlet is reachable from plain transports too (spec: messaging 4.3).
        options.consumers = self.ways_inside();
        options.handshake = if spec.skip_handshake {
            Handshake::Skip
        } else {
            Handshake::Wait
        };
        if spec.to.scheme() == Scheme::Tls {
            let tls = Tls::with_roots_of_machine();
            if made == Made::Asked {
                tls.check().await.map_err(|error| no_roots(&error))?;
            }
            options.tls = Some(tls);
        }
        let given = self.give(made, &name, spec.allow.as_ref())?;
        if made == Made::Asked
            && self.node.is_strict()
            && spec.authorized.is_empty()
            && !self.is_governed(&name, ResourceType::TcpOutlet)
        {
            return Err(nobody(&name));
        }
        let running = Outlet::start(&self.node, options).map_err(|_| taken(&name))?;
        self.keep_with_policy(made, [NOUN.one, &name], &spec, given)
            .await?;
        Ok(reservation.fill(KeptOutlet { spec, running })?.view())
    }

    /// The address of an outlet that was given none: `outlet`, or a random one when that is taken (spec: command 3.7).
    /// Something restored that is the same in all else is what is meant.
    fn unnamed_outlet(&self, spec: &OutletSpec) -> Result<String, Failure> {
        let usual = USUAL_NAME.to_owned();
        let same = |outlet: &KeptOutlet| outlet.spec.to == spec.to;
        if !self.outlets.is_taken(&usual)
            || (self.outlets.is_restored(&usual)
                && self
                    .outlets
                    .find(&usual)
                    .is_some_and(|outlet| same(&outlet)))
        {
            return Ok(usual);
        }
        unused_name(|name| self.outlets.is_taken(name))
    }
}

const USUAL_NAME: &str = "outlet";

/// spec: command 3.3 (duplicate outlet)
fn exists(name: &str) -> Failure {
    Failure::coded(
        Code::AlreadyExists,
        format!("A TCP outlet with address '{name}' already exists"),
    )
}

/// A strict node leaves nothing open to whoever comes (spec: trust 11.2 number 11).
fn nobody(name: &str) -> Failure {
    Failure::new(format!(
        "nobody could use the outlet {name}: the node is strict, and nothing says who may"
    ))
    .help(
        "say it with --allow EXPRESSION or --authorized IDENTIFIER; or name who may come to the node with \
         `ockam secure-channel-listener create NAME --authorized IDENTIFIER`; \
         or give the node an authority, for its members: `ockam node create --project NAME`",
    )
}

/// Another worker of the node has the address.
pub(super) fn taken(name: &str) -> Failure {
    Failure::coded(
        Code::AlreadyExists,
        format!("the address {name} is used by another worker of the node"),
    )
    .help("choose another name for the outlet")
}

/// Without roots no certificate can be verified.
fn no_roots(error: &NoRoots) -> Failure {
    Failure::internal("the node cannot verify a TLS server", error).help(
        "install the certificates of your system (ca-certificates), or start the node with SSL_CERT_FILE set to a file \
         of your own",
    )
}

fn unknown(name: &WorkerName) -> Failure {
    Failure::coded(Code::NotFound, format!("TCP outlet {name} not found"))
}

impl Serve<TcpOutlet> for Managed {
    async fn create(&self, spec: OutletSpec) -> Result<OutletStatus, Failure> {
        self.start_outlet(spec, Made::Asked).await
    }

    async fn list(&self) -> Result<Vec<OutletStatus>, Failure> {
        Ok(self
            .outlets
            .all()
            .iter()
            .map(|outlet| outlet.view())
            .collect())
    }

    async fn show(&self, name: &WorkerName) -> Result<OutletStatus, Failure> {
        self.outlets
            .find(name.as_str())
            .map(|outlet| outlet.view())
            .ok_or_else(|| unknown(name))
    }

    async fn delete(&self, name: &WorkerName) -> Result<OutletStatus, Failure> {
        let view = <Self as Serve<TcpOutlet>>::show(self, name).await?;
        self.forget_with_policy([NOUN.one, name.as_str()], name.as_str())
            .await?;
        drop(self.outlets.remove(name.as_str()));
        self.drop_policy(name.as_str()).await?;
        Ok(view)
    }
}

impl Restore for TcpOutlet {
    const NOUN: &'static Noun = &NOUN;
    type Kept = OutletSpec;

    async fn restore(node: &Arc<Managed>, kept: OutletSpec) -> Result<(), Failure> {
        node.start_outlet(kept, Made::Restored).await.map(drop)
    }
}
