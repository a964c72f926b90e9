//! Which policy protects what (spec: trust 6.7).

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use ockam_policy::{Policy, ResourceType};
use tokio::sync::watch;

/// Where policies are looked up: that of the resource, else that of its type, else the default.
pub trait Policies: Send + Sync + fmt::Debug {
    /// The policy that protects the resource of this name and type; without one it is denied to everybody.
    fn policy(&self, resource: &str, kind: ResourceType) -> Option<AppliedPolicy>;

    /// Ticks after any policy has changed. A receiver whose sender is gone: none ever will.
    fn changes(&self) -> watch::Receiver<u64>;
}

/// A policy, and why it is that one.
#[derive(Debug, Clone)]
pub struct AppliedPolicy {
    /// The policy.
    pub policy: Arc<Policy>,
    /// Why it applies.
    pub source: PolicySource,
}

/// Why a policy applies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PolicySource {
    /// It was given for this resource.
    Resource,
    /// It was given for all resources of this type.
    Type,
    /// Nothing was given.
    Default,
}

/// Policies that are forgotten with the process. The default lets members in (spec: trust 6.7).
#[derive(Debug)]
pub struct MemoryPolicies {
    // Held for one look-up or change.
    given: RwLock<Given>,
    default: Arc<Policy>,
    changes: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Given {
    by_resource: HashMap<String, Arc<Policy>>,
    by_type: HashMap<ResourceType, Arc<Policy>>,
}

impl Default for MemoryPolicies {
    fn default() -> Self {
        Self {
            given: RwLock::default(),
            default: Arc::new(Policy::members()),
            changes: watch::Sender::new(0),
        }
    }
}

impl MemoryPolicies {
    /// Protects the resource of this name with `policy`; `None` takes its own policy away.
    pub fn set_resource(&self, resource: &str, policy: Option<Policy>) {
        self.change(|given| match policy {
            Some(policy) => {
                given
                    .by_resource
                    .insert(resource.to_owned(), Arc::new(policy));
            }
            None => {
                given.by_resource.remove(resource);
            }
        });
    }

    /// Protects all resources of this type that have no policy of their own with `policy`; `None` takes it away.
    pub fn set_type(&self, kind: ResourceType, policy: Option<Policy>) {
        self.change(|given| match policy {
            Some(policy) => {
                given.by_type.insert(kind, Arc::new(policy));
            }
            None => {
                given.by_type.remove(&kind);
            }
        });
    }

    fn change(&self, change: impl FnOnce(&mut Given)) {
        change(&mut self.given.write().unwrap_or_else(PoisonError::into_inner));
        self.changes.send_modify(|count| *count += 1);
    }
}

impl Policies for MemoryPolicies {
    fn policy(&self, resource: &str, kind: ResourceType) -> Option<AppliedPolicy> {
        let given = self.given.read().unwrap_or_else(PoisonError::into_inner);
        let (policy, source) = match (given.by_resource.get(resource), given.by_type.get(&kind)) {
            (Some(policy), _) => (policy, PolicySource::Resource),
            (None, Some(policy)) => (policy, PolicySource::Type),
            (None, None) => (&self.default, PolicySource::Default),
        };
        Some(AppliedPolicy {
            policy: policy.clone(),
            source,
        })
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policy_of_the_resource_comes_before_that_of_its_type_and_the_default() {
        let policies = MemoryPolicies::default();
        let outlet = |resource| {
            let applied = policies
                .policy(resource, ResourceType::TcpOutlet)
                .expect("there is a default");
            (applied.source, applied.policy.to_string())
        };
        let default = (PolicySource::Default, Policy::members().to_string());
        assert_eq!(outlet("db"), default);
        policies.set_type(ResourceType::TcpOutlet, Some("a".parse().unwrap()));
        policies.set_resource("db", Some("b".parse().unwrap()));
        assert_eq!(outlet("db"), (PolicySource::Resource, "b".to_owned()));
        assert_eq!(outlet("web"), (PolicySource::Type, "a".to_owned()));
        policies.set_resource("db", None);
        policies.set_type(ResourceType::TcpOutlet, None);
        assert_eq!(outlet("db"), default);
        assert_eq!(*policies.changes().borrow(), 4);
    }
}
