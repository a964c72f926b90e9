//! Policies of a managed node.
//!
//! # Invariants
//! The set in memory is what the store holds: a change is stored first and acts at once. A stored policy that is not
//! understood lets nobody in.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{SystemTime, UNIX_EPOCH};

use ockam_identity::Identifier;
use ockam_node::{Access, AppliedPolicy, Guard, PolicySource};
use ockam_policy::{Action, BooleanExpr, Environment, Policy, ResourceType};
use ockam_store::NodeName;
use tokio::sync::watch;

use crate::managed::Managed;
use crate::managed::registry::Made;
use crate::managed::ways::RELAY_PREFIX;
use crate::noun::policy::{
    DenialItem, NOUN, Policies, PolicyAnswer, PolicyExplanation, PolicyItem, PolicyQuestion,
    PolicySpec, RuleKind, Subject,
};
use crate::noun::relay::NOUN as RELAY;
use crate::noun::tcp_inlet::NOUN as INLET;
use crate::noun::tcp_outlet::NOUN as OUTLET;
use crate::outcome::{Code, Failure};
use crate::resource::{Apply, Change, Serve};
use crate::state::{State, refused};
use crate::value::{PolicyTarget, ResourceName};

/// The policies of one node, for its guards.
#[derive(Debug)]
pub(crate) struct PolicySet {
    // Held for one look-up or change.
    given: RwLock<BTreeMap<PolicyTarget, Arc<Policy>>>,
    members: Arc<Policy>,
    changes: watch::Sender<u64>,
}

impl Default for PolicySet {
    fn default() -> Self {
        Self {
            given: RwLock::default(),
            members: Arc::new(Policy::members()),
            changes: watch::Sender::new(0),
        }
    }
}

impl PolicySet {
    /// The policies that a node was given before.
    pub(super) async fn stored(state: &State, node: &NodeName) -> Result<Self, Failure> {
        let set = Self::default();
        let requests = state.store().requests_of(node, NOUN.one).await;
        for request in requests.map_err(refused)? {
            // Passed over, what it protects would be open.
            let Ok(target) = request.name.parse() else {
                return Err(Failure::new(format!(
                    "the stored policy of {:?} is not understood",
                    request.name
                ))
                .help("a newer version may have stored it: start the node with that one, or delete the node and create it again"));
            };
            let policy = match serde_json::from_str::<PolicySpec>(&request.spec) {
                Ok(spec) => Ok(spec.expression),
                Err(error) => {
                    tracing::error!("the stored policy of {target} is not understood: {error}");
                    Policy::try_from(BooleanExpr::Empty)
                }
            };
            let policy =
                policy.map_err(|error| Failure::internal("a policy cannot be restored", &error))?;
            set.set(&target, Some(Arc::new(policy)));
        }
        Ok(set)
    }

    fn given(&self, target: &PolicyTarget) -> Option<Arc<Policy>> {
        let given = self.given.read().unwrap_or_else(PoisonError::into_inner);
        given.get(target).cloned()
    }

    fn all(&self) -> BTreeMap<PolicyTarget, Arc<Policy>> {
        self.given
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Sets or takes away a policy, and returns the one before.
    fn set(&self, target: &PolicyTarget, policy: Option<Arc<Policy>>) -> Option<Arc<Policy>> {
        let mut given = self.given.write().unwrap_or_else(PoisonError::into_inner);
        let before = match policy {
            Some(policy) => given.insert(target.clone(), policy),
            None => given.remove(target),
        };
        drop(given);
        self.changes.send_modify(|count| *count += 1);
        before
    }

    fn item(&self, target: PolicyTarget) -> PolicyItem {
        let given = self.given(&target);
        let policy = given.as_ref().unwrap_or(&self.members);
        PolicyItem {
            resource: target,
            action: Action::HandleMessage.to_string(),
            expression: policy.expr().to_string(),
            is_default: given.is_none(),
        }
    }
}

// spec: trust 6.7
impl ockam_node::Policies for PolicySet {
    fn policy(&self, resource: &str, kind: ResourceType) -> Option<AppliedPolicy> {
        let own = resource.parse().ok().map(PolicyTarget::Resource);
        let own = own.and_then(|target| self.given(&target));
        let (policy, source) = match (own, self.given(&PolicyTarget::Type(kind))) {
            (Some(policy), _) => (policy, PolicySource::Resource),
            (None, Some(policy)) => (policy, PolicySource::Type),
            (None, None) => (self.members.clone(), PolicySource::Default),
        };
        Some(AppliedPolicy { policy, source })
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }
}

/// A policy that a resource is started with, taken back if starting fails.
#[derive(Debug)]
pub(super) struct Given<'a> {
    set: &'a PolicySet,
    target: PolicyTarget,
    spec: String,
    before: Option<Arc<Policy>>,
    is_kept: bool,
}

impl Drop for Given<'_> {
    fn drop(&mut self) {
        if !self.is_kept {
            self.set.set(&self.target, self.before.take());
        }
    }
}

/// What policies call a relay of this node. The name alone is most often that of an outlet too, which has a policy of its own.
pub(super) fn relay_resource(relay: &str) -> String {
    format!("{RELAY_PREFIX}{relay}")
}

impl Managed {
    /// The guard of a resource.
    pub(crate) fn guard(&self, resource: &str, kind: ResourceType) -> Guard {
        self.node
            .guard(resource, kind, self.node.policies().clone())
    }

    /// The access of what this node registers at another one: a policy protects it only if it has one of its own, because
    /// the nodes that relay need not be members.
    pub(super) fn relay_access(&self, relay: &str) -> Access {
        let relay = &relay_resource(relay);
        let own = relay.parse().map(PolicyTarget::Resource);
        match own.ok().and_then(|target| self.policies.given(&target)) {
            Some(_) => self.guard(relay, ResourceType::Relay).access(),
            None => Access::ALLOW_ALL,
        }
    }

    /// Lets the policy that a resource is started with act before the resource does.
    pub(super) fn give<'a>(
        &'a self,
        made: Made,
        resource: &str,
        allow: Option<&Policy>,
    ) -> Result<Option<Given<'a>>, Failure> {
        // What is restored has the policy that was stored last, which need not be the one it was made with.
        let Some(allow) = allow.filter(|_| made == Made::Asked) else {
            return Ok(None);
        };
        let name: ResourceName = resource
            .parse()
            .map_err(|error: crate::value::ResourceNameError| Failure::new(error.to_string()))?;
        let target = PolicyTarget::Resource(name);
        let spec = written(&target, allow)?;
        let before = self.policies.set(&target, Some(Arc::new(allow.clone())));
        Ok(Some(Given {
            set: &self.policies,
            target,
            spec,
            before,
            is_kept: false,
        }))
    }

    /// Stores a request together with the policy of its resource.
    pub(super) async fn keep_with_policy(
        &self,
        made: Made,
        [noun, name]: [&str; 2],
        spec: &impl serde::Serialize,
        given: Option<Given<'_>>,
    ) -> Result<(), Failure> {
        let Some(mut given) = given else {
            return self.keep(made, noun, name, spec).await;
        };
        let spec = serde_json::to_string(spec)
            .map_err(|error| Failure::internal("the request cannot be written", &error))?;
        let target = given.target.to_string();
        let requests = [[noun, name, &spec], [NOUN.one, &target, &given.spec]];
        let store = self.state.store();
        let stored = store.put_requests(&self.name, &requests).await;
        stored.map_err(refused)?;
        given.is_kept = true;
        Ok(())
    }

    /// Forgets a resource and its policy, unless another one goes by the same name.
    pub(super) async fn forget_with_policy(
        &self,
        [noun, name]: [&str; 2],
        resource: &str,
    ) -> Result<(), Failure> {
        let is_shared = (noun != OUTLET.one && self.outlets.is_taken(resource))
            || (noun != INLET.one && self.inlets.is_taken(resource))
            || (noun != RELAY.one && self.is_relay(resource));
        let target = match resource.parse() {
            Ok(resource) if !is_shared => PolicyTarget::Resource(resource),
            _ => return self.forget(noun, name).await,
        };
        let text = target.to_string();
        let store = self.state.store();
        let requests = [[noun, name], [NOUN.one, &text]];
        let forgotten = store.delete_requests(&self.name, &requests).await;
        forgotten.map_err(refused)
    }

    /// Whether this is what policies call a relay of this node.
    fn is_relay(&self, resource: &str) -> bool {
        resource
            .strip_prefix(RELAY_PREFIX)
            .is_some_and(|relay| self.relays.is_taken(relay))
    }

    /// Takes the policy of a resource that is gone out of memory, as it is out of the store.
    pub(super) async fn drop_policy(&self, name: &str) -> Result<(), Failure> {
        let Ok(target) = name.parse().map(PolicyTarget::Resource) else {
            return Ok(());
        };
        let text = target.to_string();
        let store = self.state.store();
        let stored = store.request(&self.name, NOUN.one, &text).await;
        if stored.map_err(refused)?.is_none() {
            self.policies.set(&target, None);
        }
        Ok(())
    }

    /// Whether a resource has the policy that a request for it gives, if it gives one.
    pub(super) fn has_policy(&self, resource: &str, allow: Option<&Policy>) -> bool {
        let Some(allow) = allow else { return true };
        let target = resource.parse().map(PolicyTarget::Resource);
        let given = target.ok().and_then(|target| self.policies.given(&target));
        given.is_some_and(|given| *given == *allow)
    }

    /// Takes away the policy that a resource was made with when it is made again without one.
    pub(super) async fn withdraw_policy(
        &self,
        resource: &str,
        before: Option<&Policy>,
        now: Option<&Policy>,
    ) -> Result<(), Failure> {
        if now.is_some() || before.is_none() || !self.has_policy(resource, before) {
            return Ok(());
        }
        match resource.parse() {
            Ok(name) => self.delete_policy(&PolicyTarget::Resource(name)).await,
            Err(_) => Ok(()),
        }
    }

    async fn delete_policy(&self, target: &PolicyTarget) -> Result<(), Failure> {
        self.forget(NOUN.one, &target.to_string()).await?;
        self.policies.set(target, None);
        Ok(())
    }

    /// The type of a resource that the node runs.
    fn kind_of(&self, target: &PolicyTarget) -> Result<ResourceType, Failure> {
        let name = match target {
            PolicyTarget::Type(kind) => return Ok(*kind),
            PolicyTarget::Resource(name) => name.as_str(),
        };
        if self.outlets.is_taken(name) {
            Ok(ResourceType::TcpOutlet)
        } else if self.inlets.is_taken(name) {
            Ok(ResourceType::TcpInlet)
        } else if name == RELAY_SERVICE || self.is_relay(name) {
            Ok(ResourceType::Relay)
        } else if name == ECHO {
            Ok(ResourceType::Echoer)
        } else {
            Err(Failure::coded(
                Code::NotFound,
                format!("nothing named {name} is on Node {}", self.name),
            )
            .help("name an inlet, an outlet, a relay or a type of resources; `ockam node show` shows what there is"))
        }
    }

    /// Says which policy applies to a resource and what it comes to for somebody.
    pub(super) fn explain(&self, question: &PolicyQuestion) -> Result<PolicyAnswer, Failure> {
        let kind = self.kind_of(&question.resource)?;
        let name = question.resource.to_string();
        let applied = self.node.policies().policy(&name, kind);
        let applied = applied.ok_or_else(|| unknown(&question.resource))?;
        let rule = match applied.source {
            PolicySource::Resource => RuleKind::Resource,
            PolicySource::Type => RuleKind::Type,
            PolicySource::Default if self.node.authority().is_some() => RuleKind::Default,
            PolicySource::Default => RuleKind::None,
        };
        let mut answer = PolicyAnswer {
            resource: question.resource.clone(),
            kind,
            rule,
            explanation: None,
            authorized: self.pinned_to(&name),
            allowed: rule == RuleKind::None && !self.node.is_strict(),
        };
        if rule != RuleKind::None {
            let environment = self.environment(&name, &question.subject);
            let explanation = applied.policy.explain(&environment);
            answer.allowed = explanation.is_allowed();
            answer.explanation = Some(PolicyExplanation::new(&applied.policy, &explanation));
        }
        if !answer.authorized.is_empty() {
            let who = question.subject.identifier;
            let named = who.is_some_and(|who| answer.authorized.contains(&who));
            // Without any policy those that are named are all who may.
            answer.allowed = named && (answer.allowed || rule == RuleKind::None);
        }
        Ok(answer)
    }

    /// The identifiers that an outlet is pinned to.
    fn pinned_to(&self, name: &str) -> Vec<Identifier> {
        let outlet = self.outlets.find(name);
        outlet.map_or_else(Vec::new, |outlet| outlet.spec.authorized.clone())
    }

    /// Who was denied what, the latest first.
    pub(super) fn denials(&self) -> Vec<DenialItem> {
        let seconds = |time: SystemTime| {
            let since = time.duration_since(UNIX_EPOCH);
            since.map_or(0, |since| since.as_secs())
        };
        let all = self.node.denials().all().into_iter();
        all.map(|denial| DenialItem {
            who: denial.who,
            resource: denial.what,
            rule: denial.rule.to_string(),
            count: denial.count,
            first: seconds(denial.first),
            last: seconds(denial.last),
        })
        .collect()
    }

    /// What is known of somebody: what is assumed, else what the node knows of the peer.
    fn environment(&self, resource: &str, subject: &Subject) -> Environment {
        let mut environment = Environment::new(resource, Action::HandleMessage);
        if let Some(identifier) = &subject.identifier {
            environment = environment.with_identifier(identifier.to_string());
        }
        let attested = match (&subject.attributes, &subject.identifier) {
            (None, Some(identifier)) => self.node.attested().get(identifier),
            _ => None,
        };
        if let Some(attested) = &attested {
            environment = environment.with_attributes(attested.attributes().text_entries());
        }
        for (name, value) in subject.attributes.iter().flatten() {
            environment = environment.with_attribute(name, value.as_str());
        }
        if self.node.authority().is_some() {
            let assumed = attested.is_some() || subject.attributes.is_some();
            environment = environment.with_credential(subject.has_credential.unwrap_or(assumed));
        }
        environment
    }
}

fn written(target: &PolicyTarget, policy: &Policy) -> Result<String, Failure> {
    let spec = PolicySpec {
        resource: target.clone(),
        expression: policy.clone(),
    };
    serde_json::to_string(&spec)
        .map_err(|error| Failure::internal("the policy cannot be written", &error))
}

fn unknown(target: &PolicyTarget) -> Failure {
    Failure::coded(Code::NotFound, format!("The policy {target} was not found"))
}

pub(super) const RELAY_SERVICE: &str = "forwarding_service";
pub(super) const ECHO: &str = "echo";

impl Serve<Policies> for Managed {
    async fn create(&self, spec: PolicySpec) -> Result<PolicyItem, Failure> {
        let target = spec.resource.clone();
        self.keep(Made::Asked, NOUN.one, &target.to_string(), &spec)
            .await?;
        self.policies.set(&target, Some(Arc::new(spec.expression)));
        Ok(self.policies.item(target))
    }

    /// spec: command 3.9.5 (resources first, then all types by their names)
    async fn list(&self) -> Result<Vec<PolicyItem>, Failure> {
        let mut types = ResourceType::ALL;
        types.sort_by_key(|kind| kind.as_str());
        let given = self.policies.all().into_keys();
        let resources = given.filter(|target| matches!(target, PolicyTarget::Resource(_)));
        Ok(resources
            .chain(types.map(PolicyTarget::Type))
            .map(|target| self.policies.item(target))
            .collect())
    }

    async fn show(&self, target: &PolicyTarget) -> Result<PolicyItem, Failure> {
        match (target, self.policies.given(target)) {
            (PolicyTarget::Resource(_), None) => Err(unknown(target)),
            _ => Ok(self.policies.item(target.clone())),
        }
    }

    async fn delete(&self, target: &PolicyTarget) -> Result<PolicyItem, Failure> {
        let item = <Self as Serve<Policies>>::show(self, target).await?;
        self.delete_policy(target).await?;
        Ok(item)
    }
}

impl Apply<Policies> for Managed {
    fn asked_name(spec: &PolicySpec) -> Option<PolicyTarget> {
        Some(spec.resource.clone())
    }

    fn name_of(item: &PolicyItem) -> String {
        item.resource.to_string()
    }

    async fn compare(&self, spec: &PolicySpec) -> Result<Change, Failure> {
        Ok(match self.policies.given(&spec.resource) {
            Some(given) if *given == spec.expression => Change::Unchanged,
            Some(_) => Change::Replaced,
            None => Change::Added,
        })
    }

    async fn replace(&self, spec: PolicySpec) -> Result<PolicyItem, Failure> {
        <Self as Serve<Policies>>::create(self, spec).await
    }
}
