//! `ockam project-admin`.

use clap::Args;
use ockam_authority::client::RequestError;
use ockam_store::ProjectRecord;
use serde_json::json;

use crate::command::argument::Identity;
use crate::command::flow::{self, Chosen};
use crate::command::{Example, Run, Session, controller, text};
use crate::controller::client::ControllerClient;
use crate::home::projects;
use crate::noun::project_admin::{NOUN, ProjectAdmin};
use crate::outcome::{Code, Failure, Outcome};
use crate::state::no_default_project;
use crate::table::Noun;
use crate::value::Email;

#[derive(Debug, Args)]
pub(super) struct Add {
    /// Who, as the controller knows them
    #[arg(value_name = "EMAIL")]
    email: Email,
    /// The project; the default one when none is given
    #[arg(value_name = "NAME")]
    project: Option<String>,
    #[command(flatten)]
    identity: Identity,
}

impl Run for Add {
    const NOUN: &'static Noun = &NOUN;
    const VERB: &'static str = "add";

    fn examples() -> Vec<Example> {
        vec![Example::new(
            "Somebody who administers the default project too",
            "ockam project-admin add alice@example.com",
        )]
    }

    async fn run<'a>(self, session: &'a Session<'a>) -> Result<(), Failure> {
        let asking = Asking::start(session, self.project.as_deref(), &self.identity).await?;
        asking.add(&self.email).await?;
        let plain = text::done(format!(
            "{} is an admin of the project {}",
            self.email, asking.project.name
        ));
        session
            .host
            .print(Outcome::plain(plain).json(json!(shown(&self.email))));
        Ok(())
    }
}

#[derive(Debug, Args)]
pub(super) struct List {
    /// The project; the default one when none is given
    #[arg(value_name = "NAME")]
    project: Option<String>,
    #[command(flatten)]
    identity: Identity,
}

impl Run for List {
    const NOUN: &'static Noun = &NOUN;
    const VERB: &'static str = "list";

    fn examples() -> Vec<Example> {
        vec![Example::new(
            "Those of the project web",
            "ockam project-admin list web",
        )]
    }

    async fn run<'a>(self, session: &'a Session<'a>) -> Result<(), Failure> {
        let asking = Asking::start(session, self.project.as_deref(), &self.identity).await?;
        let admins = asking.admins().await?;
        let plain = if admins.is_empty() {
            text::info(format!(
                "No admins found in the project {}",
                asking.project.name
            ))
        } else {
            text::list(admins.iter().map(ToString::to_string))
        };
        let json: Vec<ProjectAdmin> = admins.iter().map(shown).collect();
        session.host.print(Outcome::plain(plain).json(json!(json)));
        Ok(())
    }
}

#[derive(Debug, Args)]
pub(super) struct Delete {
    /// Who, as the controller knows them; with --all the project
    #[arg(value_name = "EMAIL")]
    email: Option<String>,
    /// The project; the default one when none is given
    #[arg(value_name = "NAME", conflicts_with = "all")]
    project: Option<String>,
    /// All admins
    #[arg(long)]
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
                "One, of the default project",
                "ockam project-admin delete alice@example.com --yes",
            ),
            Example::new(
                "All, of the project web",
                "ockam project-admin delete --all web --yes",
            ),
        ]
    }

    async fn run<'a>(self, session: &'a Session<'a>) -> Result<(), Failure> {
        // With --all nobody is named: the first word is the project then.
        let (email, project) = if self.all {
            (None, self.email)
        } else {
            (self.email, self.project)
        };
        let email: Option<Email> = email.map(|email| parse(&email)).transpose()?;
        let asking = Asking::start(session, project.as_deref(), &self.identity).await?;
        let admins = asking.admins().await?;
        // The controller is told the address as it writes it itself.
        let name = email.map(|email| {
            let known = admins.iter().find(|admin| **admin == email);
            known.unwrap_or(&email).to_string()
        });
        let names: Vec<String> = admins.iter().map(ToString::to_string).collect();
        let chosen = Chosen {
            name,
            all: self.all,
            yes: self.yes,
        };
        flow::delete(session, &NOUN, &names, chosen, async |name| {
            let email = parse(name)?;
            asking.delete(&email).await?;
            let plain = text::done(format!(
                "{email} is no admin of the project {} any more",
                asking.project.name
            ));
            Ok(Outcome::plain(plain).json(json!(shown(&email))))
        })
        .await
    }
}

/// Who is asked, and about which project.
struct Asking {
    controller: ControllerClient,
    project: ProjectRecord,
}

impl Asking {
    async fn start(
        session: &Session<'_>,
        project: Option<&str>,
        identity: &Identity,
    ) -> Result<Self, Failure> {
        let named = controller::of_environment(session)?;
        let state = session.open().await?;
        let project = match project {
            Some(name) => projects::find(&state, name).await?,
            None => projects::default(&state)
                .await?
                .ok_or_else(no_default_project)?,
        };
        let place = match named {
            Some(place) => place,
            None => controller::of_project(session, &state, &project).await?,
        };
        let asking = controller::Asking::at(session, &state, identity, place).await?;
        Ok(Self {
            controller: asking.client,
            project,
        })
    }

    async fn admins(&self) -> Result<Vec<Email>, Failure> {
        let asked = self.controller.project_admins(&self.project.id).await;
        asked.map_err(|error| self.failed("the admins are not known", &error))
    }

    async fn add(&self, email: &Email) -> Result<(), Failure> {
        let what = format!("{email} was not added");
        let asked = self
            .controller
            .add_project_admin(&self.project.id, email)
            .await;
        if asked
            .map_err(|error| self.failed(&what, &error))?
            .contains(email)
        {
            return Ok(());
        }
        Err(Failure::coded(Code::Internal, what).cause(
            "the controller took the request, and does not name this address among the admins",
        ))
    }

    async fn delete(&self, email: &Email) -> Result<(), Failure> {
        let what = format!("{email} was not removed");
        let asked = self
            .controller
            .delete_project_admin(&self.project.id, email)
            .await;
        if !asked
            .map_err(|error| self.failed(&what, &error))?
            .contains(email)
        {
            return Ok(());
        }
        Err(Failure::coded(Code::Internal, what).cause(
            "the controller took the request, and still names this address among the admins",
        ))
    }

    fn failed(&self, what: &str, error: &RequestError) -> Failure {
        let ProjectRecord { name, id, .. } = &self.project;
        let object = format!("the project {name}, whose id is {id}");
        self.controller.failed(what, &object, error)
    }
}

fn parse(email: &str) -> Result<Email, Failure> {
    email.parse().map_err(|error| {
        Failure::new(format!("invalid value '{email}' for EMAIL")).caused_by(&error)
    })
}

fn shown(email: &Email) -> ProjectAdmin {
    ProjectAdmin {
        email: email.to_string(),
    }
}
