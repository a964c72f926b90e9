//! `ockam project`.

mod enroll;
mod ticket;

use std::path::PathBuf;

use clap::Args;
use ockam_identity::ProjectDetails;
use ockam_store::ProjectRecord;
use serde_json::json;

use crate::command::{Example, Run, Session, flow, text};
use crate::configuration::Source;
use crate::home::projects;
use crate::noun::project::NOUN;
use crate::outcome::{Code, Failure, Outcome};
use crate::state::{State, refused};
use crate::table::Noun;

pub(super) use self::enroll::{Enroll, enroll_once, read_ticket};
pub(super) use self::ticket::{Attributes, Bare, Ticket, WHICH_AUTHORITY};

#[derive(Debug, Args)]
pub(super) struct Import {
    /// The file of the project: JSON; `-` is standard input
    #[arg(long, value_name = "PATH")]
    project_file: PathBuf,
}

impl Run for Import {
    const NOUN: &'static Noun = &NOUN;
    const VERB: &'static str = "import";

    fn examples() -> Vec<Example> {
        vec![Example::new(
            "A project that somebody described in a file",
            "ockam project import --project-file project.json",
        )]
    }

    async fn run<'a>(self, session: &'a Session<'a>) -> Result<(), Failure> {
        let source = if self.project_file.as_os_str() == "-" {
            Source::Input
        } else {
            Source::File(self.project_file)
        };
        let origin = source.load(session).await?;
        let project = ProjectDetails::from_json(&origin.text)
            .and_then(|details| details.verify(ockam_vault::fast()))
            .map_err(|error| {
                Failure::new(format!("{} does not describe a project", origin.name))
                    .cause(error.to_string())
            })?;
        let state = session.open().await?;
        let record = projects::store(&state, &project).await?;
        let plain = text::done(format!("Successfully imported project {}", record.name));
        let view = projects::view(&record)?;
        session
            .host
            .print(Outcome::plain(plain).json_when_asked(json!(view)));
        Ok(())
    }
}

#[derive(Debug, Args)]
pub(super) struct List {}

impl Run for List {
    const NOUN: &'static Noun = &NOUN;
    const VERB: &'static str = "list";

    fn examples() -> Vec<Example> {
        vec![Example::new("Those this home knows", "ockam project list")]
    }

    async fn run<'a>(self, session: &'a Session<'a>) -> Result<(), Failure> {
        let state = session.open().await?;
        let known = state.store().projects().await.map_err(refused)?;
        let views = known
            .iter()
            .map(projects::view)
            .collect::<Result<Vec<_>, _>>()?;
        let plain = if known.is_empty() {
            text::info("No Projects found on this machine")
        } else {
            text::list(known.iter().zip(&views).map(|(record, view)| {
                let mark = if record.is_default { " (default)" } else { "" };
                format!(
                    "Project {}{mark}\n{}",
                    record.name,
                    described(view).join("\n")
                )
            }))
        };
        session.host.print(Outcome::plain(plain).json(json!(views)));
        Ok(())
    }
}

#[derive(Debug, Args)]
pub(super) struct Show {
    /// The name or the id of the project; the default one when none is given
    #[arg(value_name = "PROJECT")]
    name: Option<String>,
}

impl Run for Show {
    const NOUN: &'static Noun = &NOUN;
    const VERB: &'static str = "show";
    // spec: command 3.9.6
    const ALIASES: &'static [&'static str] = &["information"];

    fn examples() -> Vec<Example> {
        vec![
            Example::new("The default one", "ockam project show"),
            Example::new("One of several", "ockam project show default-2"),
        ]
    }

    async fn run<'a>(self, session: &'a Session<'a>) -> Result<(), Failure> {
        let state = session.open().await?;
        let known = state.store().projects().await.map_err(refused)?;
        let names = names(&known);
        let wanted = self.name.map(|name| by_name(&known, name));
        let default = known
            .iter()
            .find(|project| project.is_default)
            .map(|project| project.name.to_string());
        flow::show(session, &NOUN, &names, wanted, default, async |name| {
            let record = projects::find(&state, name).await?;
            let view = projects::view(&record)?;
            let mut lines = vec![text::more(format!("Project {}", record.name))];
            lines.extend(described(&view).into_iter().map(text::more));
            Ok(Outcome::plain(lines.join("\n")).json(json!(view)))
        })
        .await
    }
}

#[derive(Debug, Args)]
pub(super) struct Delete {
    /// The name or the id of the project; before it the space it belongs to, for one at the Orchestrator
    #[arg(value_name = "[SPACE] PROJECT", num_args = 1..=2)]
    project: Vec<String>,
    /// Forget all projects
    #[arg(long, conflicts_with = "project")]
    all: bool,
    /// Do not ask for confirmation
    #[arg(short, long)]
    yes: bool,
}

impl Run for Delete {
    const NOUN: &'static Noun = &NOUN;
    const VERB: &'static str = "delete";

    fn examples() -> Vec<Example> {
        vec![Example::new(
            "One that is not used any more",
            "ockam project delete default --yes",
        )]
    }

    async fn run<'a>(self, session: &'a Session<'a>) -> Result<(), Failure> {
        let mut named = self.project;
        let name = named.pop();
        if !named.is_empty() {
            return Err(not_enrolled().help(
                "a project of this home is forgotten with `ockam project delete PROJECT`, without a space",
            ));
        }
        let state = session.open().await?;
        let known = state.store().projects().await.map_err(refused)?;
        let chosen = flow::Chosen {
            name: name.map(|name| by_name(&known, name)),
            all: self.all,
            yes: self.yes,
        };
        flow::delete(session, &NOUN, &names(&known), chosen, async |name| {
            forget(&state, name).await?;
            let plain = text::done(format!("The project {name} is forgotten"));
            Ok(Outcome::plain(plain)
                .machine(name)
                .json(json!({ "name": name })))
        })
        .await
    }
}

#[derive(Debug, Args)]
pub(super) struct Create {
    /// The space it belongs to
    space: String,
    /// Its name; a random one when none is given
    project: Option<String>,
}

impl Run for Create {
    const NOUN: &'static Noun = &NOUN;
    const VERB: &'static str = "create";

    fn examples() -> Vec<Example> {
        vec![Example::new(
            "A project in a space of yours",
            "ockam project create my-space web",
        )]
    }

    async fn run<'a>(self, _session: &'a Session<'a>) -> Result<(), Failure> {
        Err(not_enrolled().help(NO_CONTROLLER))
    }
}

#[derive(Debug, Args)]
pub(super) struct Version {}

impl Run for Version {
    const NOUN: &'static Noun = &NOUN;
    const VERB: &'static str = "version";

    fn examples() -> Vec<Example> {
        vec![Example::new(
            "The versions of controller and projects",
            "ockam project version",
        )]
    }

    async fn run<'a>(self, _session: &'a Session<'a>) -> Result<(), Failure> {
        Err(not_enrolled().help(NO_CONTROLLER))
    }
}

/// The failure of what needs a controller (spec: command 3.3).
pub(super) fn not_enrolled() -> Failure {
    Failure::coded(
        Code::Unauthorized,
        "Please enroll using 'ockam enroll' before using this command",
    )
    .help("`ockam enroll` starts an Orchestrator on this machine, or takes the join string of another one")
}

const NO_CONTROLLER: &str = "an authority of your own needs no Orchestrator: `ockam authority create` makes one, `ockam project ticket` lets \
     members in";

async fn forget(state: &State, name: &str) -> Result<(), Failure> {
    let users = projects::users(state, name).await?;
    if !users.is_empty() {
        return Err(Failure::new(format!(
            "The project {name} cannot be forgotten because it is used by the node(s): {}",
            users.join(", ")
        ))
        .help("delete the node(s) first, with `ockam node delete`"));
    }
    state.store().delete_project(name).await.map_err(refused)?;
    Ok(())
}

fn names(known: &[ProjectRecord]) -> Vec<String> {
    known
        .iter()
        .map(|project| project.name.to_string())
        .collect()
}

/// The name of the project that was named, perhaps by its id.
fn by_name(known: &[ProjectRecord], name: String) -> String {
    let is_name = known.iter().any(|project| project.name.as_str() == name);
    let with_id = known.iter().find(|project| project.id == name);
    match with_id {
        Some(project) if !is_name => project.name.to_string(),
        _ => name,
    }
}

/// What people want to know of a project.
fn described(project: &ProjectDetails) -> Vec<String> {
    let identity = project.identity.map(|identity| identity.to_string());
    let mut lines = vec![format!("Id: {}", project.id)];
    let mut line = |what: &str, value: Option<&str>| {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            lines.push(format!("{what}: {value}"));
        }
    };
    line("Route", Some(&project.access_route));
    line("Identity", identity.as_deref());
    line("Authority route", project.authority_access_route.as_deref());
    lines
}
