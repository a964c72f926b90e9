//! Policies: who may send messages to the resources of a node.

use ockam_identity::Identifier;
use ockam_policy::{EvalError, Explanation, Outcome, Part, Policy, ResourceType, Value};
use serde::{Deserialize, Serialize};

use crate::resource::Resource;
use crate::table::{Forms, Noun, Scope, Verb, Who};
use crate::value::{PolicyTarget, as_text};

/// The row of this noun in the table.
pub(crate) static NOUN: Noun = Noun {
    one: "policy",
    kind: "policy",
    many: "policies",
    about: "Policies: who may use the resources of a node",
    aliases: &[],
    verbs: &[
        Verb {
            name: "create",
            about: "Create a policy, or replace one",
            scope: Scope::Node,
            who: Who::NodeOwner,
            forms: Forms::PLAIN,
        },
        Verb {
            name: "show",
            about: "Show a policy",
            scope: Scope::Node,
            who: Who::NodeOwner,
            forms: Forms::JSON,
        },
        Verb {
            name: "list",
            about: "List policies",
            scope: Scope::Node,
            who: Who::NodeOwner,
            forms: Forms::JSON,
        },
        Verb {
            name: "delete",
            about: "Delete a policy",
            scope: Scope::Node,
            who: Who::NodeOwner,
            forms: Forms::PLAIN,
        },
        Verb {
            name: "test",
            about: "Say what an expression comes to for somebody, and why",
            scope: Scope::Home,
            who: Who::HomeOwner,
            forms: Forms::JSON,
        },
        Verb {
            name: "explain",
            about: "Say whether somebody may use a resource of a node, and why",
            scope: Scope::Node,
            who: Who::NodeOwner,
            forms: Forms::JSON,
        },
        Verb {
            name: "denials",
            about: "List who was denied what, by which rule",
            scope: Scope::Node,
            who: Who::NodeOwner,
            forms: Forms::JSON,
        },
    ],
};

/// Policies.
#[derive(Debug)]
pub struct Policies;

impl Resource for Policies {
    const NOUN: &'static Noun = &NOUN;
    type Name = PolicyTarget;
    type Spec = PolicySpec;
    type View = PolicyItem;
}

/// What a policy is to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicySpec {
    /// What it protects.
    pub resource: PolicyTarget,
    /// Who may use that.
    #[serde(with = "as_text")]
    pub expression: Policy,
}

/// A policy of a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyItem {
    /// What it protects.
    pub resource: PolicyTarget,
    /// What it is about.
    pub action: String,
    /// Who may, as a full expression.
    pub expression: String,
    /// Whether nobody asked for it.
    pub is_default: bool,
}

/// Somebody who wants to use a resource.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subject {
    /// Who it is.
    #[serde(default, with = "as_text::option")]
    pub identifier: Option<Identifier>,
    /// What a credential says; what the node knows of the peer when none are given.
    #[serde(default)]
    pub attributes: Option<Vec<(String, String)>>,
    /// Whether there is a credential of the node's authority, where that is assumed.
    #[serde(default)]
    pub has_credential: Option<bool>,
}

/// The question whether somebody may use a resource.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyQuestion {
    /// The resource, or a type of them.
    pub resource: PolicyTarget,
    /// Who wants to.
    pub subject: Subject,
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyAnswer {
    /// The resource.
    pub resource: PolicyTarget,
    /// Its type.
    #[serde(rename = "type", with = "as_text")]
    pub kind: ResourceType,
    /// Which policy applies.
    pub rule: RuleKind,
    /// Why it says what it says; nothing where no policy applies.
    pub explanation: Option<PolicyExplanation>,
    /// The identifiers that the resource is pinned to, beside the policy; only said when there are any.
    #[serde(default, skip_serializing_if = "Vec::is_empty", with = "as_text::list")]
    pub authorized: Vec<Identifier>,
    /// Whether the peer may.
    pub allowed: bool,
}

/// Where a policy comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RuleKind {
    /// The resource has one of its own.
    Resource,
    /// Its type has one.
    Type,
    /// The node has an authority, and there is no other.
    Default,
    /// There is none: everybody may.
    None,
}

/// Who was denied what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DenialItem {
    /// Who was denied; nothing for whoever came without a secure channel.
    #[serde(with = "as_text::option")]
    pub who: Option<Identifier>,
    /// What was asked for: a resource, or the address of a worker.
    pub resource: String,
    /// Which rule denied it.
    pub rule: String,
    /// How often.
    pub count: u64,
    /// When it was first, in seconds since 1970.
    pub first: u64,
    /// When it was last.
    pub last: u64,
}

/// Why a policy allows or denies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyExplanation {
    /// Whether it allows.
    pub allowed: bool,
    /// The policy as it is written.
    pub expression: String,
    /// The smallest part whose outcome decided.
    pub decided_by: PolicyPart,
    /// The names that were looked at, with their values as expressions; `null` for those that are not there.
    pub attributes: Vec<PolicyAttribute>,
    /// The whole, part by part.
    pub parts: PolicyPart,
}

/// A part of a policy and what it came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyPart {
    /// The part as it is written.
    pub expression: String,
    /// Its value; `null` if it has none.
    pub value: Option<String>,
    /// Why it has none; `null` if it was not reached.
    pub error: Option<String>,
    /// Whether it is why the whole allows or denies.
    pub decides: bool,
    /// What it is made of, where that is more than names and values.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<Self>,
}

/// A name that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyAttribute {
    /// The name.
    pub name: String,
    /// Its value, as an expression.
    pub value: Option<String>,
}

impl PolicyExplanation {
    /// An explanation as data.
    pub fn new(policy: &Policy, explanation: &Explanation<'_>) -> Self {
        let decided_by = PolicyPart {
            parts: Vec::new(),
            ..PolicyPart::new(explanation.deciding())
        };
        let attributes = explanation.attributes().iter().map(|used| PolicyAttribute {
            name: used.name.to_owned(),
            value: used.value.as_ref().map(Value::to_string),
        });
        Self {
            allowed: explanation.is_allowed(),
            expression: policy.to_string(),
            decided_by,
            attributes: attributes.collect(),
            parts: PolicyPart::new(explanation.whole()),
        }
    }

    /// Whether the full expression says more than what is written.
    pub fn is_short(&self) -> bool {
        self.expression != self.parts.expression
    }
}

impl PolicyPart {
    fn new(part: &Part<'_>) -> Self {
        let (value, error) = match part.outcome() {
            Outcome::Value(value) => (Some(value.to_string()), None),
            Outcome::Error(error) => (None, Some(EvalError::to_string(error))),
            Outcome::NotReached => (None, None),
        };
        // Names and values say what they are; only operations are worth a line.
        let parts = part
            .parts()
            .iter()
            .filter(|part| matches!(part.expr(), ockam_policy::Expr::List(_)));
        Self {
            expression: part.expr().to_string(),
            value,
            error,
            decides: part.decides(),
            parts: parts.map(Self::new).collect(),
        }
    }
}
