//! `ockam project`.

pub(super) mod addon;
mod enroll;
mod ticket;

use std::path::PathBuf;

use clap::Args;
use ockam_identity::ProjectDetails;
use ockam_store::{ProjectName, ProjectRecord};
use serde_json::json;

use crate::command::argument::Identity;
use crate::command::asking::Asking;
use crate::command::kept::{self, Kept};
use crate::command::ready::until_ready;
use crate::command::{Example, Note, Run, Session, flow, space, text};
use crate::configuration::Source;
use crate::controller::message::CreateProject;
use crate::home::{controllers, projects};
use crate::noun::project::NOUN;
use crate::outcome::{Code, Failure, Outcome};
use crate::state::{State, refused, unused_name};
use crate::table::Noun;

pub(super) use self::enroll::{Enroll, enroll_once, read_ticket, sign_in_to_default};
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
pub(super) struct List {
    #[command(flatten)]
    identity: Identity,
}

impl Run for List {
    const NOUN: &'static Noun = &NOUN;
    const VERB: &'static str = "list";

    fn examples() -> Vec<Example> {
        vec![Example::new(
            "Those of the user, and those this home knows otherwise",
            "ockam project list",
        )]
    }

    async fn run<'a>(self, session: &'a Session<'a>) -> Result<(), Failure> {
        let state = session.open().await?;
        let known = known(session, &state, &self.identity).await?;
        let all = kept::list("No Projects found on this machine", &known)?;
        session.host.print(all);
        Ok(())
    }
}

#[derive(Debug, Args)]
pub(super) struct Show {
    /// The name or the id of the project; the default one when none is given
    #[arg(value_name = "PROJECT")]
    name: Option<String>,
    #[command(flatten)]
    identity: Identity,
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
        let known = known(session, &state, &self.identity).await?;
        kept::show(session, &NOUN, &known, self.name).await
    }
}

#[derive(Debug, Args)]
pub(super) struct Delete {
    /// The name or the id of the project; with the space before it, it is deleted at the Orchestrator too
    #[arg(value_name = "[SPACE] PROJECT", num_args = 1..=2)]
    project: Vec<String>,
    /// Forget all projects
    #[arg(long, conflicts_with = "project")]
    all: bool,
    /// Do not ask for confirmation
    #[arg(short, long)]
    yes: bool,
    #[command(flatten)]
    identity: Identity,
}

impl Run for Delete {
    const NOUN: &'static Noun = &NOUN;
    const VERB: &'static str = "delete";

    fn examples() -> Vec<Example> {
        vec![
            Example::new(
                "One of a space, at the Orchestrator",
                "ockam project delete my-space web --yes",
            ),
            Example::new(
                "Forget one that is not used any more",
                "ockam project delete default --yes",
            ),
        ]
    }

    async fn run<'a>(self, session: &'a Session<'a>) -> Result<(), Failure> {
        let mut named = self.project;
        let name = named.pop();
        if let (Some(space), Some(name)) = (named.pop(), &name) {
            return delete_there(session, &self.identity, &space, name, self.yes).await;
        }
        let state = session.open().await?;
        let known = state.store().projects().await.map_err(refused)?;
        let chosen = flow::Chosen {
            name: name.map(|name| kept::by_name(&known, name)),
            all: self.all,
            yes: self.yes,
        };
        flow::delete(session, &NOUN, &kept::names(&known), chosen, async |name| {
            let is_there = known
                .iter()
                .any(|project| project.name.as_str() == name && project.controller.is_some());
            forget(&state, name).await?;
            if is_there {
                session.host.note(Note::Info(format!(
                    "It is still there at the Orchestrator: `ockam project delete SPACE {name}` deletes it"
                )));
            }
            let plain = text::done(format!("The project {name} is forgotten"));
            Ok(Outcome::plain(plain)
                .machine(name)
                .json(json!({ "name": name })))
        })
        .await
    }
}

/// Deletes a project at the controller.
async fn delete_there(
    session: &Session<'_>,
    identity: &Identity,
    space: &str,
    name: &str,
    yes: bool,
) -> Result<(), Failure> {
    let asking = Asking::start(session, identity).await?;
    let space = asking.space(Some(space)).await?;
    let there: Vec<ProjectRecord> = asking
        .projects()
        .await?
        .into_iter()
        .filter(|project| projects::details(project).is_ok_and(|told| told.space_id == space.id))
        .collect();
    let chosen = flow::Chosen {
        name: Some(kept::by_name(&there, name.to_owned())),
        all: false,
        yes,
    };
    flow::delete(session, &NOUN, &kept::names(&there), chosen, async |name| {
        let project = kept::find(&NOUN, &there, name)?;
        let deleted = asking.client.delete_project(&space.id, &project.id).await;
        deleted.map_err(|error| {
            let object = format!("the project {name}, whose id is {}", project.id);
            asking.failed(
                &format!("the project {name} was not deleted"),
                &object,
                &error,
            )
        })?;
        space::forget(&asking, &project.id).await?;
        let plain = text::done(format!(
            "The project {name} of the space {} has been deleted",
            space.name
        ));
        Ok(Outcome::plain(plain)
            .machine(name)
            .json(json!({ "name": name })))
    })
    .await
}

#[derive(Debug, Args)]
pub(super) struct Create {
    /// The name or the id of the space it belongs to
    #[arg(value_name = "SPACE")]
    space: String,
    /// Its name; a random one when none is given
    #[arg(value_name = "NAME")]
    project: Option<ProjectName>,
    #[command(flatten)]
    identity: Identity,
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

    async fn run<'a>(self, session: &'a Session<'a>) -> Result<(), Failure> {
        let asking = Asking::start(session, &self.identity).await?;
        let space = asking.space(Some(&self.space)).await?;
        let name = match self.project {
            Some(name) => name.to_string(),
            None => unused_name(|_| false)?,
        };
        let request = CreateProject {
            name: name.clone(),
            users: Vec::new(),
        };
        let created = asking.client.create_project(&space.id, &request).await;
        let created = created.map_err(|error| {
            let object = format!("the space {}, whose id is {}", space.name, space.id);
            let what = format!("the project {name} was not created");
            asking.failed(&what, &object, &error).help_if(
                error.is_conflict(),
                "choose another name: `ockam project list` shows those you have",
            )
        })?;
        session.host.note(Note::Info(format!(
            "The project {name} is being made in the space {}",
            space.name
        )));
        let ready = until_ready(session, &asking.client, created).await?;
        asking.note_controller().await?;
        let record = controllers::keep_project(&asking.state, &asking.controller, &ready).await?;
        let view = projects::view(&record)?;
        let mut lines = vec![text::done(format!(
            "Created the project {} in the space {}",
            record.name, space.name
        ))];
        lines.extend(ProjectRecord::described(&view).into_iter().map(text::more));
        session
            .host
            .print(Outcome::plain(lines.join("\n")).json(json!(view)));
        Ok(())
    }
}

#[derive(Debug, Args)]
pub(super) struct Version {
    #[command(flatten)]
    identity: Identity,
}

impl Run for Version {
    const NOUN: &'static Noun = &NOUN;
    const VERB: &'static str = "version";

    fn examples() -> Vec<Example> {
        vec![Example::new(
            "The versions of controller and projects",
            "ockam project version",
        )]
    }

    async fn run<'a>(self, session: &'a Session<'a>) -> Result<(), Failure> {
        let asking = Asking::start(session, &self.identity).await?;
        let version = asking.client.version().await;
        let version = version
            .map_err(|error| asking.failed("the version is not known", "the version", &error))?;
        let controller = version.version.unwrap_or_else(|| "N/A".to_owned());
        let project = version.project_version.unwrap_or_else(|| "N/A".to_owned());
        let plain = [
            text::more(format!("Controller version: {controller}")),
            text::more(format!("Project version: {project}")),
        ];
        session.host.print(
            Outcome::plain(plain.join("\n"))
                .machine(project.clone())
                .json(json!({ "version": controller, "project_version": project })),
        );
        Ok(())
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

/// The projects that the caller has at a controller, and those of this home that no controller has.
async fn known(
    session: &Session<'_>,
    state: &State,
    identity: &Identity,
) -> Result<Vec<ProjectRecord>, Failure> {
    let Some(asking) = Asking::if_enrolled(session, identity).await? else {
        return state.store().projects().await.map_err(refused);
    };
    asking.all_projects().await
}

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

impl Kept for ProjectRecord {
    type View = ProjectDetails;
    const KIND: &'static str = "Project";

    fn id(&self) -> &str {
        &self.id
    }

    fn name(&self) -> &str {
        self.name.as_str()
    }

    fn is_default(&self) -> bool {
        self.is_default
    }

    fn view(&self) -> Result<ProjectDetails, Failure> {
        projects::view(self)
    }

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
}
