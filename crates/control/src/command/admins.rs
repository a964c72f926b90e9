//! `ockam space-admin` and `ockam project-admin`: who administers something at a controller.

use std::fmt::Debug;
use std::marker::PhantomData;

use clap::Args;
use serde_json::json;

use crate::command::argument::Identity;
use crate::command::asking::Asking;
use crate::command::flow::{self, Chosen};
use crate::command::{Example, Run, Session, text};
use crate::controller::client::Asked;
use crate::noun::project_admin::{self, ProjectAdmin};
use crate::noun::space_admin;
use crate::outcome::{Code, Failure, Outcome};
use crate::table::Noun;
use crate::value::Email;

/// What has administrators.
pub(super) trait Administered: Debug + Clone + Send + Sync + 'static {
    /// The noun of its administrators.
    const NOUN: &'static Noun;
    /// How a sentence names it.
    const KIND: &'static str;
    /// The word of the argument that names it.
    const VALUE: &'static str;
    /// Help of that argument.
    const HELP: &'static str;
    /// Help of the argument of delete that names somebody, or with `--all` it.
    const DELETE_HELP: &'static str;

    /// Prepares to ask about the one that was named, or the default one: its name and its id.
    async fn start<'a>(
        session: &'a Session<'a>,
        name: Option<&str>,
        identity: &Identity,
    ) -> Result<(Asking<'a>, String, String), Failure>;
    /// Who administers it.
    async fn admins(asking: &Asking<'_>, id: &str) -> Asked<Vec<Email>>;
    /// Lets somebody administer it.
    async fn add(asking: &Asking<'_>, id: &str, email: &Email) -> Asked<Vec<Email>>;
    /// Ends that somebody administers it.
    async fn delete(asking: &Asking<'_>, id: &str, email: &Email) -> Asked<Vec<Email>>;
}

/// Spaces.
#[derive(Debug, Clone)]
pub(super) struct OfSpace;

impl Administered for OfSpace {
    const NOUN: &'static Noun = &space_admin::NOUN;
    const KIND: &'static str = "space";
    const VALUE: &'static str = "SPACE";
    const HELP: &'static str = "The space; the default one when none is given";
    const DELETE_HELP: &'static str = "Who, as the controller knows them; with --all the space";

    async fn start<'a>(
        session: &'a Session<'a>,
        name: Option<&str>,
        identity: &Identity,
    ) -> Result<(Asking<'a>, String, String), Failure> {
        let asking = Asking::start(session, identity).await?;
        let known = asking.space(name).await;
        // Administrators of the Orchestrator name those of others by id.
        if let (Err(_), Some(id)) = (&known, name.filter(|name| is_id(name)))
            && let Ok(space) = asking.client.space(id).await
        {
            return Ok((asking, space.name, space.id));
        }
        let space = known?;
        Ok((asking, space.name.to_string(), space.id))
    }

    async fn admins(asking: &Asking<'_>, id: &str) -> Asked<Vec<Email>> {
        asking.client.space_admins(id).await
    }

    async fn add(asking: &Asking<'_>, id: &str, email: &Email) -> Asked<Vec<Email>> {
        asking.client.add_space_admin(id, email).await
    }

    async fn delete(asking: &Asking<'_>, id: &str, email: &Email) -> Asked<Vec<Email>> {
        asking.client.delete_space_admin(id, email).await
    }
}

/// Projects.
#[derive(Debug, Clone)]
pub(super) struct OfProject;

impl Administered for OfProject {
    const NOUN: &'static Noun = &project_admin::NOUN;
    const KIND: &'static str = "project";
    const VALUE: &'static str = "PROJECT";
    const HELP: &'static str = "The project; the default one when none is given";
    const DELETE_HELP: &'static str = "Who, as the controller knows them; with --all the project";

    async fn start<'a>(
        session: &'a Session<'a>,
        name: Option<&str>,
        identity: &Identity,
    ) -> Result<(Asking<'a>, String, String), Failure> {
        let (asking, project) = Asking::about_project(session, name, identity).await?;
        Ok((asking, project.name.to_string(), project.id))
    }

    async fn admins(asking: &Asking<'_>, id: &str) -> Asked<Vec<Email>> {
        asking.client.project_admins(id).await
    }

    async fn add(asking: &Asking<'_>, id: &str, email: &Email) -> Asked<Vec<Email>> {
        asking.client.add_project_admin(id, email).await
    }

    async fn delete(asking: &Asking<'_>, id: &str, email: &Email) -> Asked<Vec<Email>> {
        asking.client.delete_project_admin(id, email).await
    }
}

/// Whether this is how controllers write ids.
fn is_id(text: &str) -> bool {
    text.len() == 36
        && text
            .bytes()
            .all(|byte| byte == b'-' || byte.is_ascii_hexdigit())
}

#[derive(Debug, Args)]
pub(super) struct Add<A: Administered> {
    /// Who, as the controller knows them
    #[arg(value_name = "EMAIL")]
    email: Email,
    #[arg(value_name = A::VALUE, help = A::HELP)]
    of: Option<String>,
    #[command(flatten)]
    identity: Identity,
    #[arg(skip)]
    kind: PhantomData<A>,
}

impl<A: Administered> Run for Add<A> {
    const NOUN: &'static Noun = A::NOUN;
    const VERB: &'static str = "add";

    fn examples() -> Vec<Example> {
        let noun = A::NOUN.one;
        vec![Example::new(
            "Somebody who administers the default one too",
            format!("ockam {noun} add alice@example.com"),
        )]
    }

    async fn run<'a>(self, session: &'a Session<'a>) -> Result<(), Failure> {
        let of = Of::<A>::start(session, self.of.as_deref(), &self.identity).await?;
        let email = &self.email;
        let what = format!("{email} was not added");
        let admins = A::add(&of.asking, &of.id, email).await;
        if !of.told(&what, admins)?.contains(email) {
            return Err(Failure::coded(Code::Internal, what).cause(
                "the controller took the request, and does not name this address among the admins",
            ));
        }
        let plain = text::done(format!(
            "{email} is an admin of the {} {}",
            A::KIND,
            of.name
        ));
        session
            .host
            .print(Outcome::plain(plain).json(json!(shown(email))));
        Ok(())
    }
}

#[derive(Debug, Args)]
pub(super) struct List<A: Administered> {
    #[arg(value_name = A::VALUE, help = A::HELP)]
    of: Option<String>,
    #[command(flatten)]
    identity: Identity,
    #[arg(skip)]
    kind: PhantomData<A>,
}

impl<A: Administered> Run for List<A> {
    const NOUN: &'static Noun = A::NOUN;
    const VERB: &'static str = "list";

    fn examples() -> Vec<Example> {
        let noun = A::NOUN.one;
        vec![Example::new(
            "Those of the one that is called web",
            format!("ockam {noun} list web"),
        )]
    }

    async fn run<'a>(self, session: &'a Session<'a>) -> Result<(), Failure> {
        let of = Of::<A>::start(session, self.of.as_deref(), &self.identity).await?;
        let admins = of.admins().await?;
        let plain = if admins.is_empty() {
            text::info(format!("No admins found in the {} {}", A::KIND, of.name))
        } else {
            text::list(admins.iter().map(ToString::to_string))
        };
        let items: Vec<ProjectAdmin> = admins.iter().map(shown).collect();
        session.host.print(Outcome::plain(plain).json(json!(items)));
        Ok(())
    }
}

#[derive(Debug, Args)]
pub(super) struct Delete<A: Administered> {
    #[arg(value_name = "EMAIL", help = A::DELETE_HELP)]
    email: Option<String>,
    #[arg(value_name = A::VALUE, help = A::HELP, conflicts_with = "all")]
    of: Option<String>,
    /// All admins
    #[arg(long)]
    all: bool,
    /// Do not ask for confirmation
    #[arg(short, long)]
    yes: bool,
    #[command(flatten)]
    identity: Identity,
    #[arg(skip)]
    kind: PhantomData<A>,
}

impl<A: Administered> Run for Delete<A> {
    const NOUN: &'static Noun = A::NOUN;
    const VERB: &'static str = "delete";

    fn examples() -> Vec<Example> {
        let noun = A::NOUN.one;
        vec![
            Example::new(
                "One, of the default one",
                format!("ockam {noun} delete alice@example.com --yes"),
            ),
            Example::new(
                "All, of the one that is called web",
                format!("ockam {noun} delete --all web --yes"),
            ),
        ]
    }

    async fn run<'a>(self, session: &'a Session<'a>) -> Result<(), Failure> {
        // With --all nobody is named: the first word is what they administer then.
        let (email, of) = if self.all {
            (None, self.email)
        } else {
            (self.email, self.of)
        };
        let email: Option<Email> = email.map(|email| parse(&email)).transpose()?;
        let of = Of::<A>::start(session, of.as_deref(), &self.identity).await?;
        let admins = of.admins().await?;
        // The controller is told the address as it writes it itself.
        let name = email.map(|email| {
            let known = admins.iter().find(|admin| **admin == email);
            known.unwrap_or(&email).to_string()
        });
        let mut names: Vec<String> = admins.iter().map(ToString::to_string).collect();
        if self.all
            && let Some(own) = of.asking.own_email().await?
        {
            // Who is not one any more cannot delete the others.
            names.sort_by_key(|name| name.eq_ignore_ascii_case(&own));
        }
        let chosen = Chosen {
            name,
            all: self.all,
            yes: self.yes,
        };
        flow::delete(session, A::NOUN, &names, chosen, async |name| {
            let email = parse(name)?;
            of.delete(&email).await?;
            let plain = text::done(format!(
                "{email} is no admin of the {} {} any more",
                A::KIND,
                of.name
            ));
            Ok(Outcome::plain(plain).json(json!(shown(&email))))
        })
        .await
    }
}

/// Whom to ask, and about what.
struct Of<'a, A> {
    asking: Asking<'a>,
    name: String,
    id: String,
    kind: PhantomData<A>,
}

impl<'a, A: Administered> Of<'a, A> {
    async fn start(
        session: &'a Session<'a>,
        name: Option<&str>,
        identity: &Identity,
    ) -> Result<Self, Failure> {
        let (asking, name, id) = A::start(session, name, identity).await?;
        Ok(Self {
            asking,
            name,
            id,
            kind: PhantomData,
        })
    }

    async fn admins(&self) -> Result<Vec<Email>, Failure> {
        let admins = A::admins(&self.asking, &self.id).await;
        self.told("the admins are not known", admins)
    }

    async fn delete(&self, email: &Email) -> Result<(), Failure> {
        let what = format!("{email} was not removed");
        let left = A::delete(&self.asking, &self.id, email).await;
        if self.told(&what, left)?.contains(email) {
            return Err(Failure::coded(Code::Internal, what).cause(
                "the controller took the request, and still names this address among the admins",
            ));
        }
        Ok(())
    }

    fn told<T>(&self, what: &str, asked: Asked<T>) -> Result<T, Failure> {
        let Self { name, id, .. } = self;
        let object = format!("the {} {name}, whose id is {id}", A::KIND);
        asked.map_err(|error| self.asking.failed(what, &object, &error))
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
