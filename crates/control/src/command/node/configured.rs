//! `ockam node create` with a configuration: one node and what it runs.

use clap::{Args as _, FromArgMatches as _};
use ockam_identity::EnrollmentTicket;
use ockam_store::{NodeName, NodeRecord};

use crate::command::node::Create;
use crate::command::{Note, Session, project};
use crate::configuration::{
    Changed, Document, Memory, Mode, NODE_FILE, Owner, Plan, RUN_FILE, Resource, Source, Value,
    Variables,
};
use crate::home::nodes;
use crate::outcome::Failure;
use crate::state::status_of;

/// Creates the node of a configuration and everything it is to run, or brings one that runs to what the configuration says.
pub(super) async fn create(
    session: &Session<'_>,
    given: Create,
    source: Source,
) -> Result<(), Failure> {
    let variables = Variables::read(&given.variable)?;
    let configured = Configured::read(session, given, &source, &variables).await?;
    let state = session.open().await?;
    let name = match &configured.name {
        Some(name) => name.clone(),
        None => state.new_node_name().await?,
    };
    let Configured {
        mut create,
        document,
        ticket,
        ..
    } = configured;
    let memory = Memory {
        source: source.kept(&document.origin),
        variables: variables.into_map(),
    };
    let owner = Owner::Node(name.clone());
    let mut plan = Plan::of(document, NODE_FILE, Some(name.as_str()))?;
    plan.has_ticket |= ticket.is_some();
    plan.check(session).await?;
    plan.recall(&owner.known(&state).await?)?;
    let apply = async || {
        let changes = plan.apply(session, &state, &owner, Mode::Apply).await?;
        memory.keep(&state, &name).await?;
        Ok(changes)
    };

    let prior = nodes::find(&state, &name).await?;
    let runs = prior.as_ref().filter(|node| status_of(node).is_running());
    if let Some(node) = runs
        && !create.skip_is_running_check
    {
        create.leave_running(session, &state, node).await?;
        if apply().await?.iter().all(Changed::is_none) {
            session.host.note(Note::Info("Nothing changed".to_owned()));
        }
        return Ok(());
    }
    if let Some(ticket) = ticket {
        create.enroll(session, &state, &name, ticket).await?;
    }
    let made = if create.foreground {
        let then = async || apply().await.map(drop);
        create
            .run_here(session, state.clone(), name.clone(), then)
            .await
    } else {
        match create.start(session, &name).await {
            // A node that did not start has said why, and is not there.
            Err(failure) => return Err(failure),
            Ok(()) => apply().await.map(drop),
        }
    };
    let Err(failure) = made else { return Ok(()) };
    // spec: command 3.17 (trap 26): what was made for a configuration that fails is not left behind.
    // One that ran in this process has stopped; if it runs, another command was faster, and it is not ours.
    let is_ours = |node: &NodeRecord| !(create.foreground && status_of(node).is_running());
    if let Some(node) = nodes::find(&state, &name).await?.filter(is_ours) {
        let undone = match prior {
            None => nodes::delete(&state, &node).await,
            // It was there before, and what it had is not this command's to delete.
            Some(_) => nodes::stop(&state, &node).await,
        };
        if let Err(also) = undone {
            session.host.note(Note::Warning(format!(
                "the node {name} was left behind: {also}"
            )));
        }
    }
    Err(failure)
}

/// A configuration of one node, read.
pub(super) struct Configured {
    /// The node's own arguments, those that were typed in front of those of the file.
    pub(super) create: Create,
    /// The name of the node, when it has one.
    pub(super) name: Option<NodeName>,
    /// The ticket with which its identity becomes a member.
    pub(super) ticket: Option<EnrollmentTicket>,
    /// The rest.
    pub(super) document: Document,
}

impl Configured {
    /// Reads a configuration and checks the part that is about the node itself.
    pub(super) async fn read(
        session: &Session<'_>,
        given: Create,
        source: &Source,
        variables: &Variables,
    ) -> Result<Self, Failure> {
        let typed_name = match &given.configuration {
            Some(_) => given.given_name()?,
            None => None,
        };
        let document = Document::read(session, source.load(session).await?, variables)?;
        let keys: Vec<&str> = KEYS.iter().map(|(key, _)| *key).collect();
        document.warn_of_unknown_keys(session, NODE_FILE, &keys)?;
        let ticket = match given.ticket(session) {
            Some(ticket) => Some(ticket),
            None => document.ticket()?,
        };
        let ticket = match ticket {
            Some(text) => Some(project::read_ticket(session, Some(&text)).await?),
            None => None,
        };
        let (resource, file_name) = node_section(session, &document)?;
        let create = resource.create(&document, given)?;
        create
            .check(session)
            .map_err(|failure| resource.blame(&document.origin, failure))?;
        Ok(Self {
            create,
            name: typed_name.or(file_name),
            ticket,
            document,
        })
    }
}

/// The keys of a node: as it is written, and the flag it is.
const KEYS: &[(&str, &str)] = &[
    ("name", "name"),
    ("skip-is-running-check", "skip-is-running-check"),
    ("foreground", "foreground"),
    ("child-process", "child-process"),
    ("exit-on-eof", "exit-on-eof"),
    ("tcp-listener-address", "tcp-listener-address"),
    ("udp-listener-address", "udp-listener-address"),
    ("http-server", "http-server"),
    ("enable-http-server", "http-server"),
    ("no-status-endpoint", "no-status-endpoint"),
    ("purpose-key-lifetime", "purpose-key-lifetime"),
    ("status-endpoint", "status-endpoint"),
    ("strict", "strict"),
    ("identity", "identity"),
    ("project", "project"),
    ("services", "services"),
    ("opentelemetry-context", "opentelemetry-context"),
    ("udp", "udp"),
    ("in-memory", "in-memory"),
];

/// The part of a document that is about the node itself, as a command line; and the name of the node.
fn node_section(
    session: &Session<'_>,
    document: &Document,
) -> Result<(Resource, Option<NodeName>), Failure> {
    let section = RUN_FILE
        .iter()
        .find(|section| section.noun == "node")
        .ok_or_else(|| Failure::new("a configuration has no section for nodes"))?;
    let mut resource = Resource::empty(section);
    let mut name = None;
    for entry in document.root.entries().unwrap_or_default() {
        let spelled = entry.key.replace('_', "-");
        let Some((key, flag)) = KEYS.iter().find(|(key, _)| *key == spelled) else {
            continue;
        };
        match (*key, &entry.node.value) {
            // spec: command 3.11 (`name` and `identity` must be text)
            ("name" | "identity", Value::Integer(number)) => {
                session.host.note(Note::Warning(format!(
                    "{}: `{key}` is the number {number} and ignored; write \"{number}\" in quotes to make it a name",
                    document.origin.place(entry.node.at)
                )));
            }
            ("name", Value::Text(text)) => {
                name = Some(text.parse().map_err(|error| {
                    let failure = Failure::new(format!("`{text}` cannot be the name of a node"))
                        .caused_by(&error as &ockam_store::NameError);
                    document.origin.locate(entry.node.at, failure)
                })?);
            }
            ("name", other) => {
                return Err(document.origin.failure(
                    entry.node.at,
                    format!("`name` is text, not {}", other.kind()),
                ));
            }
            _ => resource.node_argument(document, flag, entry)?,
        }
    }
    Ok((resource, name))
}

impl Resource {
    /// The arguments of the node, those that were typed in front.
    fn create(&self, document: &Document, given: Create) -> Result<Create, Failure> {
        let clap = Create::augment_args(clap::Command::new("create")).no_binary_name(true);
        let typed = given.foreground.then(|| "--foreground".to_owned());
        let words = typed.iter().chain(&self.words);
        let file = clap
            .clone()
            .try_get_matches_from(words)
            .and_then(|matches| Create::from_arg_matches(&matches))
            .map_err(|error| self.complain(&document.origin, &clap, &error))?;
        Ok(given.over(file))
    }
}
