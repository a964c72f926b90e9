//! `ockam orchestrator invite`.

use clap::Args;
use serde_json::json;
use zeroize::Zeroizing;

use crate::command::argument::Identity;
use crate::command::orchestrator::asking::Asking;
use crate::command::{Example, Note, Run, Session, text};
use crate::controller::message::NewInvitation;
use crate::home::identities::now;
use crate::noun::orchestrator::NOUN;
use crate::outcome::{Failure, Outcome};
use crate::table::Noun;
use crate::value::{DurationText, Email, JoinString};

#[derive(Debug, Args)]
pub(in crate::command) struct Invite {
    /// The address of the account that is made; without one it is made up, as for a machine
    #[arg(value_name = "EMAIL")]
    email: Option<Email>,
    /// They administer the Orchestrator
    #[arg(long)]
    administrator: bool,
    /// How long the code can be used
    #[arg(long, value_name = "DURATION", default_value = "24h")]
    expires_in: DurationText,
    /// How many accounts it makes
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    uses: u64,
    /// The name or the id of a project that they come to
    #[arg(long, value_name = "PROJECT")]
    project: Option<String>,
    /// What they are in that project
    #[arg(
        long,
        value_name = "ROLE",
        requires = "project",
        default_value = "guest"
    )]
    role: Role,
    #[command(flatten)]
    who: Identity,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Role {
    /// A member, with what the provider says of them.
    Guest,
    /// An administrator of the project.
    Admin,
}

impl Run for Invite {
    const NOUN: &'static Noun = &NOUN;
    const VERB: &'static str = "invite";

    fn examples() -> Vec<Example> {
        vec![
            Example::new(
                "Somebody, who runs `ockam enroll` with what is printed",
                "ockam orchestrator invite alice@example.com",
            ),
            Example::new(
                "Somebody who administers the Orchestrator too",
                "ockam orchestrator invite bob@example.com --administrator",
            ),
            Example::new(
                "A machine that may relay in the project default",
                "ockam orchestrator invite --project default --role admin",
            ),
            Example::new(
                "Twenty machines, within an hour",
                "ockam orchestrator invite --uses 20 --expires-in 1h",
            ),
        ]
    }

    async fn run<'a>(self, session: &'a Session<'a>) -> Result<(), Failure> {
        let asking = Asking::start(session, &self.who).await?;
        let project = match &self.project {
            Some(named) => Some(asking.project_id(named).await?),
            None => None,
        };
        let wanted = NewInvitation {
            email: self.email.clone(),
            administrator: Some(self.administrator),
            ttl_secs: Some(self.expires_in.0.as_secs()),
            uses: Some(self.uses),
            space_id: None,
            project_admin: project.is_some().then_some(self.role == Role::Admin),
            project_id: project,
        };
        let made = asking.client.new_code(&wanted).await;
        let made = asking.answered(made, "nobody was invited")?;
        let join = JoinString {
            route: asking.place.route.clone(),
            identifier: asking.place.identifier,
            code: Some(made.code.parse().map_err(|error| {
                Failure::internal(
                    "the code that the controller made is not understood",
                    &error,
                )
            })?),
        };
        let join: Zeroizing<String> = join.reveal();
        let (when, _) = text::away(now(), ockam_identity::UnixTime(made.expires_at));
        let whom = match (&self.email, self.uses) {
            (Some(email), _) => email.to_string(),
            (None, 1) => "one machine".to_owned(),
            (None, uses) => format!("{uses} machines"),
        };
        session.host.note(Note::Done(format!(
            "{whom} may enroll within {when}; this is a secret: whoever has it can"
        )));
        session.host.note(Note::Line(
            "ockam enroll FILE, with the next line in the file".to_owned(),
        ));
        session.host.print(
            Outcome::plain(join.as_str()).machine(join.as_str()).json(
                json!({ "id": made.id, "join": join.as_str(), "expires_at": made.expires_at }),
            ),
        );
        Ok(())
    }
}
