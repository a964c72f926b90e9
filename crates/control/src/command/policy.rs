//! `ockam policy`.

use std::time::Duration;

use clap::Args;
use hyper::Method;
use ockam_identity::{Identifier, UnixTime};
use ockam_policy::{Action, Environment, RESERVED_ATTRIBUTES, ResourceType};
use ockam_store::NodeRecord;
use serde_json::json;

use crate::client::Client;
use crate::command::argument::{At, deprecated};
use crate::command::flow::{self, Chosen};
use crate::command::{Example, Note, Run, Session, text};
use crate::home::identities;
use crate::noun::policy::{
    DenialItem, NOUN, Policies, PolicyAnswer, PolicyExplanation, PolicyItem, PolicyPart,
    PolicyQuestion, PolicySpec, RuleKind, Subject,
};
use crate::outcome::{Code, Failure, Outcome};
use crate::table::Noun;
use crate::value::{DurationText, Expression, PolicyTarget, ResourceName};

#[derive(Debug, Args)]
pub(super) struct Create {
    /// The type of resources it is for: those of this type that have no policy of their own
    #[arg(
        long,
        value_name = "TYPE",
        required_unless_present = "resource",
        conflicts_with = "resource"
    )]
    resource_type: Option<ResourceType>,
    /// The resource it is for: the name of an inlet, the address of an outlet
    #[arg(long, value_name = "RESOURCE")]
    resource: Option<PolicyTarget>,
    /// Who may use it: attributes (`admin`, `component=web`) and identifiers with `and`, `or`, `not`, or a full
    /// expression such as `(member? subject.component ["web" "api"])`
    #[arg(long, visible_alias = "expression", value_name = "EXPRESSION")]
    allow: Expression,
    #[command(flatten)]
    at: At,
}

impl Run for Create {
    const NOUN: &'static Noun = &NOUN;
    const VERB: &'static str = "create";

    fn examples() -> Vec<Example> {
        vec![
            Example::new(
                "Only members whose credential says component=web may use the outlet db",
                "ockam policy create --at n1 --resource db --allow component=web",
            ),
            Example::new(
                "All outlets that have no policy of their own are for admins",
                "ockam policy create --resource-type tcp-outlet --allow admin",
            ),
            Example::new(
                "An attribute that need not be there is asked for first",
                "ockam policy create --resource db --allow '(not (exists? subject.banned))'",
            ),
        ]
    }

    async fn run<'a>(self, session: &'a Session<'a>) -> Result<(), Failure> {
        let target = match (self.resource_type, self.resource) {
            (Some(kind), _) => PolicyTarget::Type(kind),
            (None, Some(target)) => {
                if let PolicyTarget::Type(kind) = &target {
                    deprecated(
                        session,
                        &format!("--resource {kind}"),
                        &format!("use --resource-type {kind}"),
                    );
                }
                target
            }
            (None, None) => return Err(Failure::new("say with --resource what the policy is for")),
        };
        let spec = PolicySpec {
            resource: target,
            expression: self.allow.told(session),
        };
        let state = session.open().await?;
        let node = session.node_or_new(&state, self.at.at.as_ref()).await?;
        let client = session.client(&state, &node)?;
        client.create::<Policies>(&spec).await?;
        if is_missing(&client, &spec.resource).await {
            session.host.note(Note::Info(format!(
                "Nothing named {} is on Node {} now: the policy protects what is made under that name",
                spec.resource, node.name
            )));
        }
        let done = text::done(format!("Policy created at node {}", node.name));
        session.host.print(Outcome::plain(done));
        Ok(())
    }
}

/// Whether the node has nothing yet that the policy could protect: it may come, or the name may be a slip of the pen.
async fn is_missing(client: &Client, target: &PolicyTarget) -> bool {
    let question = PolicyQuestion {
        resource: target.clone(),
        subject: Subject::default(),
    };
    let answer: Result<PolicyAnswer, Failure> = client
        .ask(Method::POST, "/policies/explanations", Some(&question))
        .await;
    answer.is_err_and(|failure| failure.code == Some(Code::NotFound))
}

#[derive(Debug, Args)]
pub(super) struct Show {
    /// The resource, or a type of resources; `tcp-outlet` when none is given
    resource: Option<PolicyTarget>,
    #[command(flatten)]
    at: At,
}

impl Run for Show {
    const NOUN: &'static Noun = &NOUN;
    const VERB: &'static str = "show";

    fn examples() -> Vec<Example> {
        vec![Example::new(
            "That of one resource",
            "ockam policy show db --at n1",
        )]
    }

    async fn run<'a>(self, session: &'a Session<'a>) -> Result<(), Failure> {
        let state = session.open().await?;
        let node = session.node(&state, self.at.at.as_ref()).await?;
        let items = session.client(&state, &node)?.list::<Policies>().await?;
        let find = |name: &str| items.iter().find(|item| item.resource.to_string() == name);
        if let Some(wanted) = self.resource.as_ref().map(ToString::to_string)
            && find(&wanted).is_none()
        {
            // spec: command 3.8 (a resource without a policy is no error)
            session.host.print(none(&wanted, &node));
            return Ok(());
        }
        let names: Vec<String> = items.iter().map(|item| item.resource.to_string()).collect();
        let wanted = self.resource.map(String::from);
        let default = ResourceType::TcpOutlet.to_string();
        flow::show(
            session,
            &NOUN,
            &names,
            wanted,
            Some(default),
            async |name| {
                let item = find(name).ok_or_else(|| flow::not_found(&NOUN, name))?;
                Ok(Outcome::plain(text::block(&line(item))).json(printed(item)))
            },
        )
        .await
    }
}

#[derive(Debug, Args)]
pub(super) struct List {
    /// Only that of this resource, or of this type
    resource: Option<PolicyTarget>,
    #[command(flatten)]
    at: At,
}

impl Run for List {
    const NOUN: &'static Noun = &NOUN;
    const VERB: &'static str = "list";

    fn examples() -> Vec<Example> {
        vec![Example::new(
            "Those of a node: of resources, and of all types",
            "ockam policy list --at n1",
        )]
    }

    async fn run<'a>(self, session: &'a Session<'a>) -> Result<(), Failure> {
        let state = session.open().await?;
        let node = session.node(&state, self.at.at.as_ref()).await?;
        let mut items = session.client(&state, &node)?.list::<Policies>().await?;
        items.retain(|item| {
            self.resource
                .as_ref()
                .is_none_or(|wanted| item.resource == *wanted)
        });
        if let (true, Some(wanted)) = (items.is_empty(), &self.resource) {
            session.host.print(none(&wanted.to_string(), &node));
            return Ok(());
        }
        let plain = text::list(items.iter().map(line));
        let json = items.iter().map(printed).collect();
        session.host.print(Outcome::plain(plain).json(json));
        Ok(())
    }
}

#[derive(Debug, Args)]
pub(super) struct Delete {
    /// The resource, or a type of resources, which has the default policy from then on
    resource: Option<PolicyTarget>,
    #[command(flatten)]
    at: At,
    /// Do not ask for confirmation
    #[arg(short, long)]
    yes: bool,
}

impl Run for Delete {
    const NOUN: &'static Noun = &NOUN;
    const VERB: &'static str = "delete";

    fn examples() -> Vec<Example> {
        vec![Example::new(
            "That of one resource, without a question",
            "ockam policy delete db --at n1 --yes",
        )]
    }

    async fn run<'a>(self, session: &'a Session<'a>) -> Result<(), Failure> {
        let state = session.open().await?;
        let node = session.node(&state, self.at.at.as_ref()).await?;
        let client = session.client(&state, &node)?;
        let items = client.list::<Policies>().await?;
        let names: Vec<String> = items.iter().map(|item| item.resource.to_string()).collect();
        let chosen = Chosen {
            name: self.resource.map(String::from),
            all: false,
            yes: self.yes,
        };
        flow::delete(session, &NOUN, &names, chosen, async |name| {
            let target = name.parse().map_err(|_| flow::not_found(&NOUN, name))?;
            client.delete::<Policies>(&target).await?;
            Ok(Outcome::plain(text::done(format!(
                "Policy of {name} on Node {} has been deleted",
                node.name
            ))))
        })
        .await
    }
}

/// Somebody who is assumed.
#[derive(Debug, Clone, Default, Args)]
struct Somebody {
    /// An attribute that their credential has, `name=value` or a bare `name` for `name=true`; can be repeated
    #[arg(long, value_name = "ATTRIBUTE")]
    subject: Vec<Attribute>,
    /// Their identifier
    #[arg(long, value_name = "IDENTIFIER")]
    identifier: Option<Identifier>,
    /// They have no credential
    #[arg(long, conflicts_with = "subject")]
    no_credential: bool,
}

/// An attribute as it is typed.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Attribute {
    name: String,
    value: String,
}

/// The text is no attribute of a credential.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
enum AttributeError {
    #[error("an attribute has a name")]
    NoName,
    #[error("no policy sees an attribute named `{0}`: say it with --{1}")]
    Reserved(String, &'static str),
}

impl std::str::FromStr for Attribute {
    type Err = AttributeError;

    fn from_str(text: &str) -> Result<Self, AttributeError> {
        let (name, value) = text.split_once('=').unwrap_or((text, "true"));
        let name = name.strip_prefix("subject.").unwrap_or(name);
        match name {
            "" => Err(AttributeError::NoName),
            // spec: trust 11.2 (1)
            "identifier" => Err(AttributeError::Reserved(
                name.to_owned(),
                "identifier IDENTIFIER",
            )),
            name if RESERVED_ATTRIBUTES.contains(&name) => Err(AttributeError::Reserved(
                name.to_owned(),
                "no-credential, or nothing",
            )),
            name => Ok(Self {
                name: name.to_owned(),
                value: value.to_owned(),
            }),
        }
    }
}

#[derive(Debug, Args)]
pub(super) struct Test {
    /// The expression, as it is given to --allow
    expression: Expression,
    #[command(flatten)]
    somebody: Somebody,
    /// The name of the resource they want to use
    #[arg(long, value_name = "RESOURCE", default_value = "outlet")]
    resource: ResourceName,
}

impl Run for Test {
    const NOUN: &'static Noun = &NOUN;
    const VERB: &'static str = "test";

    fn examples() -> Vec<Example> {
        vec![
            Example::new(
                "Somebody with two attributes",
                "ockam policy test 'component=web and not banned' --subject component=web --subject level=3",
            ),
            Example::new(
                "Somebody who is known by identifier only",
                "ockam policy test $ALICE --identifier $ALICE --no-credential",
            ),
        ]
    }

    async fn run<'a>(self, session: &'a Session<'a>) -> Result<(), Failure> {
        let policy = self.expression.told(session);
        let mut environment = Environment::new(self.resource.as_str(), Action::HandleMessage)
            .with_credential(!self.somebody.no_credential);
        if let Some(identifier) = self.somebody.identifier {
            environment = environment.with_identifier(identifier.to_string());
        }
        for attribute in self.somebody.subject {
            environment = environment.with_attribute(&attribute.name, attribute.value);
        }
        let explanation = PolicyExplanation::new(&policy, &policy.explain(&environment));
        let plain = told(&explanation);
        session
            .host
            .print(Outcome::plain(plain).json(json!(explanation)));
        Ok(())
    }
}

#[derive(Debug, Args)]
pub(super) struct Explain {
    /// The resource, or a type of resources; `tcp-outlet` when none is given
    resource: Option<PolicyTarget>,
    #[command(flatten)]
    somebody: Somebody,
    #[command(flatten)]
    at: At,
}

impl Run for Explain {
    const NOUN: &'static Noun = &NOUN;
    const VERB: &'static str = "explain";

    fn examples() -> Vec<Example> {
        vec![
            Example::new(
                "Somebody whose credential would say component=web",
                "ockam policy explain db --subject component=web --at n1",
            ),
            Example::new(
                "The peer with the identifier $ALICE, as the node knows it now",
                "ockam policy explain db --identifier $ALICE",
            ),
        ]
    }

    async fn run<'a>(self, session: &'a Session<'a>) -> Result<(), Failure> {
        let state = session.open().await?;
        let node = session.node(&state, self.at.at.as_ref()).await?;
        let attributes = self.somebody.subject.into_iter();
        let attributes: Vec<_> = attributes.map(|one| (one.name, one.value)).collect();
        let is_assumed = !attributes.is_empty() || self.somebody.no_credential;
        let question = PolicyQuestion {
            resource: self
                .resource
                .unwrap_or(PolicyTarget::Type(ResourceType::TcpOutlet)),
            subject: Subject {
                identifier: self.somebody.identifier,
                attributes: is_assumed.then_some(attributes),
                has_credential: self.somebody.no_credential.then_some(false),
            },
        };
        let client = session.client(&state, &node)?;
        let answer: PolicyAnswer = client
            .ask(Method::POST, "/policies/explanations", Some(&question))
            .await?;
        let plain = answered(&answer);
        session
            .host
            .print(Outcome::plain(plain).json(json!(answer)));
        Ok(())
    }
}

#[derive(Debug, Args)]
pub(super) struct Denials {
    #[command(flatten)]
    at: At,
}

impl Run for Denials {
    const NOUN: &'static Noun = &NOUN;
    const VERB: &'static str = "denials";

    fn examples() -> Vec<Example> {
        vec![Example::new(
            "What a node denied since it was started, the latest first",
            "ockam policy denials --at n1",
        )]
    }

    async fn run<'a>(self, session: &'a Session<'a>) -> Result<(), Failure> {
        let state = session.open().await?;
        let node = session.node(&state, self.at.at.as_ref()).await?;
        let client = session.client(&state, &node)?;
        let denials: Vec<DenialItem> = client.ask(Method::GET, "/denials", None::<&()>).await?;
        let plain = if denials.is_empty() {
            text::info(format!("Node {} has denied nothing", node.name))
        } else {
            let UnixTime(now) = identities::now();
            text::list(denials.iter().map(|denial| denied(denial, now)))
        };
        session
            .host
            .print(Outcome::plain(plain).json(json!(denials)));
        Ok(())
    }
}

fn denied(denial: &DenialItem, now: u64) -> String {
    let who = match &denial.who {
        Some(who) => who.to_string(),
        None => "Somebody without a secure channel".to_owned(),
    };
    let ago = Duration::from_secs(now.saturating_sub(denial.last));
    format!(
        "{who} at {}\n{}, {}, the last time {} ago",
        denial.resource,
        denial.rule,
        text::count(usize::try_from(denial.count).unwrap_or(usize::MAX), "time"),
        DurationText(ago)
    )
}

fn none(wanted: &str, node: &NodeRecord) -> Outcome {
    Outcome::plain(text::info(format!(
        "There is no policy for {wanted} on node {}",
        node.name
    )))
    .json(serde_json::Value::Array(Vec::new()))
}

fn line(item: &PolicyItem) -> String {
    let default = if item.is_default { " (default)" } else { "" };
    format!("{}: {}{default}", item.resource, item.expression)
}

/// spec: command 3.10
fn printed(item: &PolicyItem) -> serde_json::Value {
    json!({
        "resource": item.resource,
        "action": item.action,
        "expression": item.expression,
    })
}

fn answered(answer: &PolicyAnswer) -> String {
    let Some(pins) = pinned(answer) else {
        return by_policy(answer);
    };
    let by_policy_alone = answer
        .explanation
        .as_ref()
        .is_none_or(|explanation| explanation.allowed);
    match (answer.allowed, by_policy_alone) {
        (false, true) => {
            let because = "the peer is none of the identifiers that it is for";
            [verdict(false, because), pins].join("\n")
        }
        (true, _) if answer.explanation.is_none() => {
            let because = "the peer is one of the identifiers that it is for";
            [verdict(true, because), pins].join("\n")
        }
        _ => [by_policy(answer), pins].join("\n"),
    }
}

/// Whom the resource is for beside the policy, a line each.
fn pinned(answer: &PolicyAnswer) -> Option<String> {
    let lines = answer.authorized.iter();
    let lines: Vec<_> = lines
        .map(|only| text::more(format!("Only for: {only}")))
        .collect();
    (!lines.is_empty()).then(|| lines.join("\n"))
}

fn by_policy(answer: &PolicyAnswer) -> String {
    let what = match &answer.resource {
        PolicyTarget::Type(kind) => format!("resources of type {kind}"),
        PolicyTarget::Resource(name) => format!("{name} ({})", answer.kind),
    };
    let which = match answer.rule {
        RuleKind::Resource => format!("The policy of {what}"),
        RuleKind::Type => format!("The policy of the type {} applies to {what}", answer.kind),
        RuleKind::Default => format!("The default policy applies to {what}"),
        RuleKind::None => {
            let everybody = if answer.allowed {
                "everybody"
            } else {
                "nobody"
            };
            return [
                verdict(answer.allowed, "there is no policy"),
                text::more(format!(
                    "The node has no authority, and {what} has no policy: {everybody} may use it"
                )),
            ]
            .join("\n");
        }
    };
    match &answer.explanation {
        Some(explanation) => [told(explanation), text::more(which)].join("\n"),
        None => text::more(which),
    }
}

fn verdict(allowed: bool, because: &str) -> String {
    if allowed {
        text::done(format!("Allowed: {because}"))
    } else {
        format!("  × Denied: {because}")
    }
}

/// The verdict, what it stands on, and the expression part by part.
fn told(explanation: &PolicyExplanation) -> String {
    let decided = &explanation.decided_by;
    let because = format!("{} {}", decided.expression, came_to(decided));
    let mut lines = vec![verdict(explanation.allowed, &because)];
    if explanation.is_short() {
        lines.push(text::more(&explanation.expression));
    }
    draw(&explanation.parts, 0, &mut lines);
    for used in &explanation.attributes {
        lines.push(text::more(match &used.value {
            Some(value) => format!("{} = {value}", used.name),
            None => format!("{} is not there", used.name),
        }));
    }
    lines.join("\n")
}

fn draw(part: &PolicyPart, depth: usize, lines: &mut Vec<String>) {
    let mark = if part.decides { "▸" } else { "·" };
    lines.push(text::more(format!(
        "{:indent$}{mark} {} {}",
        "",
        part.expression,
        came_to(part),
        indent = depth * 2
    )));
    for inner in &part.parts {
        draw(inner, depth + 1, lines);
    }
}

fn came_to(part: &PolicyPart) -> String {
    match (&part.value, &part.error) {
        (Some(value), _) => format!("is {value}"),
        (None, Some(error)) => format!("fails: {error}"),
        (None, None) => "was not looked at".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn issuers_refuse_the_names_that_policies_pass_over() {
        assert_eq!(ockam_identity::RESERVED_ATTRIBUTES, RESERVED_ATTRIBUTES);
    }

    #[test]
    fn guard_11_2_01_reserved_attributes_cannot_be_assumed() {
        // spec: trust 11.2 (1)
        for reserved in [
            "identifier=I1",
            "has_credential",
            "subject.has_credential=true",
        ] {
            assert!(reserved.parse::<Attribute>().is_err(), "{reserved}");
        }
        let attribute: Attribute = "admin".parse().expect("a name");
        assert_eq!(
            (attribute.name.as_str(), attribute.value.as_str()),
            ("admin", "true")
        );
    }
}
