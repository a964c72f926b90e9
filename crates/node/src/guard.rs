//! Policies at the door of a worker: who may send to it, and to whom it may send (spec: trust 6.5, 6.6, 6.7).
//!
//! ```text
//! message ── the peer it comes from, or goes to ── decided before? ── yes: two numbers and a moment are compared
//!                                                        │
//!                                                        no: policy, attributes, evaluation
//! ```
//!
//! Identifiers that a resource is pinned to come before all of that: no policy, and nothing that an authority says, lets
//! anybody else in.
//!
//! Invariants: a decision is used while neither the attributes nor the policies have ticked, for at most a second, and
//! never beyond the end of the credential that it was made with; using it allocates nothing. What fails denies.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant, SystemTime};

use ockam_identity::Identifier;
use ockam_policy::{Action, Environment, Policy, ResourceType};
use tokio::sync::watch;

use crate::access::{Access, Rule};
use crate::attested::{Attested, AttestedAttributes};
use crate::denials::{Denials, DeniedBy};
use crate::node::Node;
use crate::policies::{Policies, PolicySource};

/// Whether somebody may.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Yes.
    Allowed,
    /// No, because of this.
    Denied(Arc<DeniedBy>),
}

impl Decision {
    /// Whether it is a yes.
    pub const fn is_allowed(&self) -> bool {
        matches!(self, Self::Allowed)
    }
}

/// Decides who may use one resource. Cloning gives another handle.
#[derive(Clone)]
pub struct Guard {
    inner: Arc<Inner>,
}

struct Inner {
    resource: String,
    kind: ResourceType,
    policies: Arc<dyn Policies>,
    policy_changes: watch::Receiver<u64>,
    attested: Attested,
    denials: Arc<Denials>,
    standing: Standing,
    // Empty: whoever the policy lets in.
    pinned: Vec<Identifier>,
    // Read for each message; written when a decision is made.
    decided: RwLock<HashMap<Option<Identifier>, Decided>>,
}

/// What a node without policies of its own means by that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// Only members come in.
    Authority,
    /// Nobody comes in.
    Strict,
    /// Everybody comes in (spec: trust 6.7).
    Open,
}

struct Decided {
    decision: Decision,
    attributes: Option<Arc<AttestedAttributes>>,
    /// The ticks that it was made at.
    attested_at: u64,
    policies_at: u64,
    until: Instant,
}

impl Node {
    /// The guard of the resource with this name.
    pub fn guard(&self, resource: &str, kind: ResourceType, policies: Arc<dyn Policies>) -> Guard {
        let standing = if self.authority().is_some() {
            Standing::Authority
        } else if self.is_strict() {
            Standing::Strict
        } else {
            Standing::Open
        };
        Guard {
            inner: Arc::new(Inner {
                resource: resource.to_owned(),
                kind,
                policy_changes: policies.changes(),
                policies,
                attested: self.attested().clone(),
                denials: self.router().shared_denials(),
                standing,
                pinned: Vec::new(),
                decided: RwLock::default(),
            }),
        }
    }
}

impl Guard {
    /// The name of what it protects.
    pub fn resource(&self) -> &str {
        &self.inner.resource
    }

    /// One like it that also denies whoever is none of these, whatever policies say; with no identifiers, one like it.
    pub fn pinned_to(&self, identifiers: &[Identifier]) -> Self {
        let Inner {
            resource,
            kind,
            policies,
            policy_changes,
            attested,
            denials,
            standing,
            pinned: _,
            decided: _,
        } = &*self.inner;
        Self {
            inner: Arc::new(Inner {
                resource: resource.clone(),
                kind: *kind,
                policies: policies.clone(),
                policy_changes: policy_changes.clone(),
                attested: attested.clone(),
                denials: denials.clone(),
                standing: *standing,
                pinned: identifiers.to_vec(),
                decided: RwLock::default(),
            }),
        }
    }

    /// Both rules of a worker: the peer that a message comes from, and the one that it goes to.
    pub fn access(&self) -> Access {
        Access {
            incoming: Rule::Policy(self.clone()),
            outgoing: Rule::Policy(self.clone()),
        }
    }

    /// Whether `peer` may at this moment; `None` is whoever comes without a secure channel. A denial is noted.
    pub fn allows(&self, peer: Option<&Identifier>) -> bool {
        self.decide(peer).is_allowed()
    }

    /// As [`Guard::allows`], with the reason.
    pub fn decide(&self, peer: Option<&Identifier>) -> Decision {
        let decision = self
            .inner
            .decided_before(peer)
            .unwrap_or_else(|| self.inner.decide_anew(peer));
        if let Decision::Denied(rule) = &decision {
            self.inner.denials.note(peer, &self.inner.resource, rule);
        }
        decision
    }

    /// Ticks when a decision may have become another one, at most every few hundredths of a second. The ends of credentials
    /// show too. Must be called within a tokio runtime: a task collects the ticks as long as the receiver is there.
    pub fn changes(&self) -> watch::Receiver<u64> {
        let (ticks, receiver) = watch::channel(0);
        let attested = self.inner.attested.generation();
        let policies = self.inner.policies.changes();
        tokio::spawn(collect(ticks, attested, policies));
        receiver
    }
}

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard")
            .field("resource", &self.inner.resource)
            .field("kind", &self.inner.kind)
            .finish_non_exhaustive()
    }
}

impl Inner {
    fn decided_before(&self, peer: Option<&Identifier>) -> Option<Decision> {
        let decided = self.decided.read().unwrap_or_else(PoisonError::into_inner);
        let known = decided.get(&peer.copied())?;
        let holds = known.attested_at == self.attested.tick()
            && known.policies_at == *self.policy_changes.borrow()
            && Instant::now() < known.until;
        holds.then(|| known.decision.clone())
    }

    fn decide_anew(&self, peer: Option<&Identifier>) -> Decision {
        // Listening before looking: what changes in between is looked at again.
        let (attested_at, policies_at) = (self.attested.tick(), *self.policy_changes.borrow());
        let now = Instant::now();
        let attributes = peer.and_then(|peer| self.attested.get(peer));
        let longest = now + LONGEST;
        let until = attributes
            .as_ref()
            .and_then(|attributes| end_of(attributes, now))
            .map_or(longest, |end| end.min(longest));
        let mut decided = self.decided.write().unwrap_or_else(PoisonError::into_inner);
        // A tick is mostly about somebody else.
        if let Some(known) = decided.get_mut(&peer.copied())
            && known.policies_at == policies_at
            && same(&known.attributes, &attributes)
        {
            known.attested_at = attested_at;
            known.until = until;
            return known.decision.clone();
        }
        drop(decided);
        let decision = self.evaluate(peer, attributes.as_deref());
        decided = self.decided.write().unwrap_or_else(PoisonError::into_inner);
        if decided.len() >= MOST_DECIDED {
            decided.retain(|_, known| known.until > now);
            if decided.len() >= MOST_DECIDED {
                decided.clear();
            }
        }
        decided.insert(
            peer.copied(),
            Decided {
                decision: decision.clone(),
                attributes,
                attested_at,
                policies_at,
                until,
            },
        );
        decision
    }

    fn evaluate(
        &self,
        peer: Option<&Identifier>,
        attributes: Option<&AttestedAttributes>,
    ) -> Decision {
        if let Some(denied) = self.denied_by_pin(peer) {
            return denied;
        }
        let applied = self.policies.policy(&self.resource, self.kind);
        let given = applied
            .as_ref()
            .is_some_and(|applied| applied.source != PolicySource::Default);
        if !given {
            match self.standing {
                Standing::Authority => {}
                // Whom it is pinned to is said, and nobody else comes here.
                Standing::Strict if !self.pinned.is_empty() => return Decision::Allowed,
                Standing::Strict => return denied(DeniedBy::Strict),
                Standing::Open => return Decision::Allowed,
            }
        }
        let Some(applied) = applied else {
            return denied(DeniedBy::NoPolicy);
        };
        // spec: trust 6.6 (without an identity: denied)
        let Some(peer) = peer else {
            return denied(DeniedBy::NoChannel);
        };
        let environment = self.environment(peer, attributes);
        if applied.policy.decide(&environment).is_allowed() {
            return Decision::Allowed;
        }
        if attributes.is_none() && *applied.policy == Policy::members() {
            return denied(DeniedBy::NoCredential);
        }
        denied(DeniedBy::Policy(shortened(applied.policy.to_string())))
    }

    fn denied_by_pin(&self, peer: Option<&Identifier>) -> Option<Decision> {
        if self.pinned.is_empty() {
            return None;
        }
        match peer {
            None => Some(denied(DeniedBy::NoChannel)),
            Some(peer) if self.pinned.contains(peer) => None,
            Some(_) => Some(denied(DeniedBy::NotAuthorized)),
        }
    }

    /// spec: trust 6.5
    fn environment(
        &self,
        peer: &Identifier,
        attributes: Option<&AttestedAttributes>,
    ) -> Environment {
        let mut environment = Environment::new(self.resource.as_str(), Action::HandleMessage)
            .with_identifier(peer.to_string());
        if self.standing == Standing::Authority {
            environment = environment.with_credential(attributes.is_some());
        }
        match attributes {
            Some(attributes) => environment.with_attributes(attributes.attributes().text_entries()),
            None => environment,
        }
    }
}

fn denied(rule: DeniedBy) -> Decision {
    Decision::Denied(Arc::new(rule))
}

/// The text of a policy may be long; a list of denials shows enough of it to tell which it is.
fn shortened(mut text: String) -> String {
    if let Some((at, _)) = text.char_indices().nth(LONGEST_TEXT) {
        text.truncate(at);
        text.push('\u{2026}');
    }
    text
}

fn same(one: &Option<Arc<AttestedAttributes>>, other: &Option<Arc<AttestedAttributes>>) -> bool {
    match (one, other) {
        (None, None) => true,
        (Some(one), Some(other)) => Arc::ptr_eq(one, other),
        _ => false,
    }
}

/// When these attributes cease to count, on the steady clock.
fn end_of(attributes: &AttestedAttributes, now: Instant) -> Option<Instant> {
    let end = Duration::from_secs(attributes.expires_at().0);
    let end = SystemTime::UNIX_EPOCH.checked_add(end)?;
    let left = end.duration_since(SystemTime::now()).unwrap_or_default();
    now.checked_add(left)
}

async fn collect(
    ticks: watch::Sender<u64>,
    mut attested: watch::Receiver<u64>,
    mut policies: watch::Receiver<u64>,
) {
    loop {
        tokio::select! {
            () = changed(&mut attested) => {}
            () = changed(&mut policies) => {}
            () = ticks.closed() => return,
        }
        ticks.send_modify(|count| *count += 1);
        // What comes close together is told together.
        tokio::time::sleep(PAUSE).await;
    }
}

/// Completes at the next tick; never when nobody ticks any more.
async fn changed(ticks: &mut watch::Receiver<u64>) {
    if ticks.changed().await.is_err() {
        std::future::pending().await
    }
}

/// How long a decision is used.
const LONGEST: Duration = Duration::from_secs(1);
/// Characters of a policy that are kept with a denial.
const LONGEST_TEXT: usize = 256;
/// Peers whose decisions are remembered.
const MOST_DECIDED: usize = 4096;
/// Between two ticks.
const PAUSE: Duration = Duration::from_millis(50);

#[cfg(test)]
mod tests;
