//! `ockam node reload`: brings a node that runs to what its configuration says now.

use clap::{Args, FromArgMatches as _};
use ockam_store::{Effect, NodeName, NodeRecord};
use serde_json::json;

use crate::command::node::Create;
use crate::command::node::configured::Configured;
use crate::command::{Example, Run, Session, text};
use crate::configuration::{Changed, Memory, Mode, NODE_FILE, Owner, Plan, Source, Variables};
use crate::noun::node::NOUN;
use crate::noun::policy;
use crate::outcome::{Code, Failure, Outcome};
use crate::resource::Change;
use crate::state::{State, status_of};
use crate::table::{self, Noun};

#[derive(Debug, Args)]
pub(in crate::command) struct Reload {
    /// The name of the node, or its configuration: a file, a URL or YAML; the default node when none is given
    name_or_configuration: Option<String>,
    /// The configuration: YAML, a file or a URL; the one the node was made from when none is given
    #[arg(long, visible_alias = "node-config", value_name = "YAML")]
    configuration: Option<String>,
    /// A variable of the configuration; those it was made with stay what they were
    #[arg(long, value_name = "NAME=VALUE")]
    variable: Vec<String>,
    /// Only say what would change
    #[arg(long)]
    dry_run: bool,
}

impl Run for Reload {
    const NOUN: &'static Noun = &NOUN;
    const VERB: &'static str = "reload";

    fn examples() -> Vec<Example> {
        vec![Example::new(
            "Bring a running node to what its file says now",
            "ockam node reload n1",
        )]
    }

    async fn run<'a>(self, session: &'a Session<'a>) -> Result<(), Failure> {
        let typed = Variables::read(&self.variable)?;
        let (name, source) = self.named()?;
        let state = session.open().await?;
        let remembered = remembered(&state, name.as_ref(), source.as_ref()).await?;
        let (known_name, memory) = match remembered {
            Some((name, memory)) => (Some(name), Some(memory)),
            None => (None, None),
        };
        let source = match (source, &memory) {
            (Some(source), _) => source,
            (None, Some(memory)) => memory.source.clone(),
            (None, None) => return Err(not_configured(&state, name.as_ref()).await?),
        };
        let variables = match &memory {
            Some(memory) => typed.over(&memory.variables),
            None => typed,
        };
        let configured = Configured::read(session, nothing_typed()?, &source, &variables).await?;
        let name = name.or(configured.name).or(known_name);
        let node = match &name {
            Some(name) => state.node(name).await?,
            None => state.default_node().await?,
        };
        runs_as_asked(&configured.create, &node)?;

        let memory = Memory {
            source: source.kept(&configured.document.origin),
            variables: variables.into_map(),
        };
        let effect = if self.dry_run {
            Effect::Preview
        } else {
            Effect::Store
        };
        let reload = Reloading {
            session,
            state: &state,
            node: &node,
            effect,
        };
        let difference = reload.plan(Plan::of(
            configured.document,
            NODE_FILE,
            Some(node.name.as_str()),
        )?);
        let difference = difference.await?;
        if effect == Effect::Store {
            memory.keep(&state, &node.name).await?;
        }
        session.host.print(difference.outcome(&node, effect));
        Ok(())
    }
}

impl Reload {
    /// The node and the configuration, as far as they were typed.
    fn named(&self) -> Result<(Option<NodeName>, Option<Source>), Failure> {
        let text = self.name_or_configuration.as_deref();
        let option = self.configuration.as_deref().map(Source::of_option);
        match (text.and_then(Source::of_argument), option) {
            (Some(_), Some(_)) => Err(Failure::new(
                "the configuration is given twice, as first argument and with --configuration",
            )),
            (Some(source), None) => Ok((None, Some(source))),
            (None, source) => {
                let mut create = nothing_typed()?;
                create.name_or_configuration = self.name_or_configuration.clone();
                Ok((create.given_name()?, source))
            }
        }
    }
}

/// A `node create` without arguments, to be filled from the file.
fn nothing_typed() -> Result<Create, Failure> {
    Create::augment_args(clap::Command::new("create"))
        .no_binary_name(true)
        .try_get_matches_from(std::iter::empty::<String>())
        .and_then(|matches| Create::from_arg_matches(&matches))
        .map_err(|error| Failure::new(error.to_string()))
}

/// The node that was named, the one that was made from this source, or the default one; and what it was made from.
async fn remembered(
    state: &State,
    name: Option<&NodeName>,
    source: Option<&Source>,
) -> Result<Option<(NodeName, Memory)>, Failure> {
    let name = match (name, source) {
        (Some(name), _) => state.node(name).await?.name,
        (None, None) => state.default_node().await?.name,
        (None, Some(source)) => {
            let source = source.kept_elsewhere();
            for node in state.nodes().await? {
                if let Some(memory) = Memory::of(state, &node.name).await?
                    && Some(&memory.source) == source.as_ref()
                {
                    return Ok(Some((node.name, memory)));
                }
            }
            return Ok(None);
        }
    };
    Ok(Memory::of(state, &name).await?.map(|memory| (name, memory)))
}

async fn not_configured(state: &State, name: Option<&NodeName>) -> Result<Failure, Failure> {
    let name = match name {
        Some(name) => name.clone(),
        None => state.default_node().await?.name,
    };
    Ok(
        Failure::new(format!("node {name} was not made from a configuration")).help(format!(
            "say which one it is to have: `ockam node reload {name} --configuration FILE`"
        )),
    )
}

fn runs_as_asked(create: &Create, node: &NodeRecord) -> Result<(), Failure> {
    let name = &node.name;
    if !status_of(node).is_running() {
        return Err(Failure::new(format!("node {name} does not run")).help(format!(
            "start it with `ockam node start {name}`, or with its configuration: `ockam node create FILE`"
        )));
    }
    let differences = create.differences(node);
    if differences.is_empty() {
        return Ok(());
    }
    let failure = Failure::new(format!(
        "node {name} cannot become what its configuration says while it runs"
    ))
    .help(format!(
        "restart it with its configuration: `ockam node stop {name}`, then `ockam node create FILE`"
    ));
    Err(differences.into_iter().fold(failure, Failure::cause))
}

struct Reloading<'r> {
    session: &'r Session<'r>,
    state: &'r State,
    node: &'r NodeRecord,
    effect: Effect,
}

impl Reloading<'_> {
    /// Compares, and unless that is all, removes what is not asked for any more and applies the rest.
    async fn plan(&self, mut plan: Plan) -> Result<Difference, Failure> {
        let owner = Owner::Node(self.node.name.clone());
        let known = owner.known(self.state).await?;
        plan.recall(&known)?;
        plan.check(self.session).await?;
        let changes = plan.compare(self.session).await?;
        let mut removed = Vec::new();
        for gone in known {
            let record = gone.record;
            let is_asked = changes.iter().any(|changed| {
                changed.node == record.node.as_str()
                    && changed.noun.one == record.noun
                    && changed.name.as_deref() == Some(record.name.as_str())
            });
            if let Some(noun) = table::resource(&record.noun).filter(|_| !is_asked) {
                removed.push((record.node, noun, record.name));
            }
        }
        if self.effect == Effect::Preview {
            return Ok(Difference { removed, changes });
        }
        // First what goes: its port or address may be taken by what comes.
        self.remove(&removed, |noun| noun.one != policy::NOUN.one)
            .await?;
        let changes = plan
            .apply(self.session, self.state, &owner, Mode::ApplyUnprinted)
            .await?;
        // Policies go last: what takes the place of one is there before.
        self.remove(&removed, |noun| noun.one == policy::NOUN.one)
            .await?;
        Ok(Difference { removed, changes })
    }

    async fn remove(
        &self,
        removed: &[(NodeName, &'static Noun, String)],
        is_meant: impl Fn(&Noun) -> bool,
    ) -> Result<(), Failure> {
        for (node, noun, name) in removed.iter().filter(|(_, noun, _)| is_meant(noun)) {
            let node = self.state.node(node).await?;
            let client = self.session.client(self.state, &node)?;
            match client.delete_named(noun, name).await {
                // A policy goes with its resource.
                Err(failure)
                    if noun.one == policy::NOUN.one && failure.code == Some(Code::NotFound) => {}
                deleted => drop(deleted?),
            }
        }
        Ok(())
    }
}

/// What changes between what a node runs and what it is to run.
struct Difference {
    removed: Vec<(NodeName, &'static Noun, String)>,
    changes: Vec<Changed>,
}

impl Difference {
    fn outcome(&self, node: &NodeRecord, effect: Effect) -> Outcome {
        let of = |change: Change| {
            self.changes
                .iter()
                .filter(move |changed| changed.change == change)
        };
        let unchanged = of(Change::Unchanged).count();
        let mut plain = Vec::new();
        for (_, noun, name) in &self.removed {
            plain.push(text::more(format!("- {} {name}", noun.kind)));
        }
        for changed in of(Change::Replaced) {
            plain.push(text::more(format!("~ {}", changed.what())));
        }
        for changed in of(Change::Added) {
            plain.push(text::more(format!("+ {}", changed.what())));
        }
        let name = &node.name;
        let title = match (plain.is_empty(), effect) {
            (true, _) => text::info(format!(
                "Node {name} runs what its configuration says, nothing changes"
            )),
            (false, Effect::Preview) => text::info(format!("Node {name} would change")),
            (false, Effect::Store) => text::done(format!("Node {name} was reloaded")),
        };
        plain.insert(0, title);
        plain.push(text::more(format!("{unchanged} unchanged")));
        let json_of = |change: Change| -> serde_json::Value {
            of(change)
                .map(|changed| {
                    json!({ "node": changed.node, "noun": changed.noun.one, "name": changed.name })
                })
                .collect()
        };
        let removed: serde_json::Value = self
            .removed
            .iter()
            .map(|(node, noun, name)| {
                json!({ "node": node.as_str(), "noun": noun.one, "name": name })
            })
            .collect();
        Outcome::plain(plain.join("\n")).json(json!({
            "added": json_of(Change::Added),
            "removed": removed,
            "replaced": json_of(Change::Replaced),
            "unchanged": unchanged,
        }))
    }
}
