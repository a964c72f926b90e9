//! `ockam enroll`.
//!
//! ```text
//! which Orchestrator ─ known there? ─┬─ yes ────────────────────────┬─ spaces ─ project ─ credentials ─ told
//!                                    └─ by a code, or by signing in ┘
//! ```
//!
//! Each step looks first whether it was done before: an enrollment that was interrupted goes on where it was.
//!
//! Specification: command 3.9.6, trust 9.2

mod account;
mod place;
mod resources;

use clap::Args;
use ockam_identity::Identifier;
use ockam_store::{ControllerEnrollmentRecord, IdentityRecord};
use ockam_wire::MultiAddr;
use serde_json::{Value, json};

use crate::command::argument::{Identity, Retry};
use crate::command::{Example, Note, Run, Session, text};
use crate::controller::client::ControllerClient;
use crate::home::{identities, nodes, projects};
use crate::noun::enroll::{Enrolled, NOUN, OrchestratorItem, ProjectRole};
use crate::outcome::{Failure, Outcome};
use crate::state::{State, refused};
use crate::table::Noun;

use self::place::Invited;
use self::resources::Resources;

#[derive(Debug, Args)]
pub(super) struct Enroll {
    /// The join string of an Orchestrator, a file that holds it, or `-` for standard input; the Orchestrator of this machine
    /// when none is given
    #[arg(conflicts_with_all = ["controller", "controller_identifier", "code"])]
    join: Option<String>,
    /// The route to the Orchestrator
    #[arg(long, value_name = "ROUTE", requires = "controller_identifier")]
    controller: Option<MultiAddr>,
    /// The identifier of the Orchestrator: nobody else is spoken to
    #[arg(long, value_name = "IDENTIFIER", requires = "controller")]
    controller_identifier: Option<Identifier>,
    /// The one-time code of an invitation, or a file that holds it; `-` is standard input
    #[arg(long, value_name = "CODE")]
    code: Option<String>,
    #[command(flatten)]
    identity: Identity,
    /// Sign in with the browser of this machine; without it a code is shown that any browser takes
    #[arg(long)]
    authorization_code_flow: bool,
    /// Enroll again, although the identity is enrolled
    #[arg(long)]
    force: bool,
    /// Make neither a space nor a project
    #[arg(long, hide = true, conflicts_with = "force")]
    skip_resource_creation: bool,
    #[command(flatten)]
    retry: Retry,
}

impl Run for Enroll {
    const NOUN: &'static Noun = &NOUN;
    const VERB: &'static str = "";

    fn examples() -> Vec<Example> {
        vec![
            Example::new(
                "Start an Orchestrator on this machine and administer it",
                "ockam enroll",
            ),
            Example::new(
                "Join one, with what `ockam orchestrator invite` printed there",
                "ockam enroll invitation.txt",
            ),
            Example::new(
                "Join one by signing in, with what `ockam orchestrator start` printed",
                "ockam enroll $JOIN",
            ),
        ]
    }

    async fn run<'a>(self, session: &'a Session<'a>) -> Result<(), Failure> {
        let state = session.open().await?;
        // Two that make the same things at the same time would get in each other's way.
        let _turn = place::turn(session, &state).await?;
        let invited = self.invited(session, &state).await?;
        session
            .unlock_for(&state, self.identity.identity.as_ref())
            .await?;
        let identity = identities::find_or_default(&state, self.identity.identity.as_ref()).await?;
        let known = state
            .store()
            .controller_enrollment(&identity.identifier, &invited.place.identifier)
            .await
            .map_err(refused)?;
        if !self.force
            && known.is_some()
            && let Some(done) = enrolled_before(&state, &identity, &invited, &known).await?
        {
            session.host.note(Note::Info(format!(
                "The identity {} is already enrolled with the Orchestrator at {}",
                identity.name, invited.place.route
            )));
            tell(session, &done);
            return Ok(());
        }
        let timeout = session.timeout()?;
        let client =
            ControllerClient::start(&state, &identity, invited.place.clone(), timeout).await?;
        let wanted = account::Wanted {
            invited: &invited,
            browser: self.authorization_code_flow,
            again: self.force,
            known: known.is_some(),
        };
        session.host.waiting(&format!(
            "Enrolling with the Orchestrator at {}",
            invited.place.route
        ));
        let me = self
            .retry
            .run(session, async || {
                account::enroll(session, &client, &wanted).await
            })
            .await?;
        keep(&state, &identity, &invited, me.as_deref()).await?;
        session.host.note(Note::Done(format!(
            "Enrolled the identity {} with the Orchestrator at {}",
            identity.name, invited.place.route
        )));
        let resources = Resources {
            session,
            state: &state,
            identity: &identity,
            invited: &invited,
            client: &client,
            make: !self.skip_resource_creation,
        };
        let (space, project) = resources.fetch().await?;
        let role = match &project {
            Some(project) => resources.credentials(project).await?,
            None => None,
        };
        older_nodes(session, &state).await?;
        tell(
            session,
            &Enrolled {
                identity: identities::item(&identity),
                orchestrator: orchestrator(&invited),
                email: me,
                space,
                project: project
                    .map(|project| projects::view(&project).map(|view| json!(view)))
                    .transpose()?,
                role,
            },
        );
        Ok(())
    }
}

/// Keeps where the Orchestrator is and that it knows the identity.
async fn keep(
    state: &State,
    identity: &IdentityRecord,
    invited: &Invited,
    email: Option<&str>,
) -> Result<(), Failure> {
    let place = &invited.place;
    let store = state.store();
    store
        .put_controller(&place.identifier, &place.route.to_string())
        .await
        .map_err(refused)?;
    store
        .put_controller_enrollment(&ControllerEnrollmentRecord {
            identity: identity.identifier,
            controller: place.identifier,
            email: email.map(str::to_owned),
            enrolled_at: identities::now(),
        })
        .await
        .map_err(refused)
}

/// What there is of an enrollment that was finished, with a project of that Orchestrator; nothing when it was not.
async fn enrolled_before(
    state: &State,
    identity: &IdentityRecord,
    invited: &Invited,
    known: &Option<ControllerEnrollmentRecord>,
) -> Result<Option<Enrolled>, Failure> {
    let controller = &invited.place.identifier;
    let all = state.store().projects().await.map_err(refused)?;
    let members = state
        .store()
        .enrollments(&identity.identifier)
        .await
        .map_err(refused)?;
    // Other identities of this home may be members of others.
    let ours = all.into_iter().find(|project| {
        project.controller.as_ref() == Some(controller)
            && members.iter().any(|member| member.project == project.id)
    });
    let Some(project) = ours else {
        return Ok(None);
    };
    let is_admin =
        crate::home::controllers::administered(state.store(), &project, &identity.identifier)
            .await?
            .is_some();
    let space = state.store().default_space().await.map_err(refused)?;
    Ok(Some(Enrolled {
        identity: identities::item(identity),
        orchestrator: orchestrator(invited),
        email: known.as_ref().and_then(|known| known.email.clone()),
        space: space.and_then(|space| serde_json::from_str(&space.details).ok()),
        project: Some(json!(projects::view(&project)?)),
        role: Some(if is_admin {
            ProjectRole::Admin
        } else {
            ProjectRole::Member
        }),
    }))
}

fn orchestrator(invited: &Invited) -> OrchestratorItem {
    OrchestratorItem {
        route: invited.place.route.to_string(),
        identifier: invited.place.identifier.to_string(),
    }
}

/// Nodes that were made before there was a project go on as they are; whoever expects otherwise is told.
async fn older_nodes(session: &Session<'_>, state: &State) -> Result<(), Failure> {
    let all = state.nodes().await?;
    let older: Vec<&str> = all
        .iter()
        .filter(|node| nodes::is_without_project(node))
        .map(|node| node.name.as_str())
        .collect();
    if let Some(first) = older.first() {
        session.host.note(Note::Info(format!(
            "The node(s) {} were made before and do not trust the project; to change that: `ockam node stop {first}`, then \
             `ockam node create {first} --project default`",
            older.join(", ")
        )));
    }
    Ok(())
}

fn tell(session: &Session<'_>, done: &Enrolled) {
    let name = |value: &Option<Value>| {
        let name = value.as_ref().and_then(|value| value.get("name"));
        name.and_then(Value::as_str).map(str::to_owned)
    };
    let mut plain = vec![text::done(format!(
        "The identity {} is enrolled with the Orchestrator at {}",
        done.identity.name, done.orchestrator.route
    ))];
    if let Some(email) = &done.email {
        plain.push(text::more(format!("as {email}")));
    }
    match (name(&done.project), done.role) {
        (Some(project), Some(ProjectRole::Admin)) => {
            plain.push(text::more(format!("and administers the project {project}")));
        }
        (Some(project), Some(ProjectRole::Member)) => {
            plain.push(text::more(format!("and is a member of the project {project}")));
        }
        (Some(project), None) => plain.push(text::more(format!(
            "and is no member of the project {project}: whoever administers it makes a ticket with `ockam project ticket`"
        ))),
        (None, _) => plain.push(text::more(
            "and has no project yet: `ockam project create SPACE` makes one",
        )),
    }
    let plain = Outcome::plain(plain.join("\n"));
    session.host.print(plain.json_when_asked(json!(done)));
}
