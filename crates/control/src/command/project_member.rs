//! `ockam project-member`.

use clap::Args;
use ockam_authority::message::{AddMember, AttributesEntry};
use ockam_identity::Identifier;
use serde_json::json;

use crate::command::argument::{Identity, Trust};
use crate::command::flow::{self, Chosen};
use crate::command::project::{Attributes, Bare, WHICH_AUTHORITY};
use crate::command::{Example, Note, Run, Session, text};
use crate::home::enrollment::Asking;
use crate::home::identities;
use crate::home::trust::Trusted;
use crate::noun::project_member::{Member, NOUN};
use crate::outcome::{Failure, Outcome};
use crate::state::{State, no_default_project};
use crate::table::Noun;

/// Whose members, and who asks.
#[derive(Debug, Args)]
struct Of {
    /// The project; the default one when none is given
    #[arg(short, long, value_name = "PROJECT", conflicts_with = "project")]
    project_name: Option<String>,
    #[command(flatten)]
    identity: Identity,
    #[command(flatten)]
    trust: Trust,
}

impl Of {
    async fn asking(&self, session: &Session<'_>, state: &State) -> Result<Asking, Failure> {
        let trust = match &self.project_name {
            Some(name) => self.trust.clone().with_project(name),
            None => self.trust.clone(),
        };
        let trust = trust
            .spec(state)
            .await?
            .ok_or_else(|| no_default_project().help(WHICH_AUTHORITY))?;
        let trusted = Trusted::of(state, &trust).await?;
        session
            .unlock_for(state, self.identity.identity.as_ref())
            .await?;
        let identity = identities::find(state, self.identity.identity.as_ref()).await?;
        Asking::start(state, &identity, trusted, session.timeout()?).await
    }
}

impl Asking {
    /// The project as results name it.
    fn project(&self) -> String {
        match &self.trusted.project {
            Some(project) => project.name.to_string(),
            None => self.trusted.name(),
        }
    }
}

#[derive(Debug, Args)]
pub(super) struct Add {
    /// The identifier of the member
    #[arg(value_name = "IDENTIFIER")]
    member: Option<Identifier>,
    #[command(flatten)]
    attributes: Attributes,
    #[command(flatten)]
    of: Of,
}

impl Run for Add {
    const NOUN: &'static Noun = &NOUN;
    const VERB: &'static str = "add";

    fn examples() -> Vec<Example> {
        vec![
            Example::new(
                "Somebody whose identifier is known",
                "ockam project-member add $ALICE --attribute component=web",
            ),
            Example::new(
                "Somebody who lets others in",
                "ockam project-member add $ALICE --enroller",
            ),
        ]
    }

    async fn run<'a>(self, session: &'a Session<'a>) -> Result<(), Failure> {
        let attributes = self.attributes.read(Bare::IsRefused)?;
        let member = self.member.ok_or_else(nobody)?;
        let state = session.open().await?;
        let asking = self.of.asking(session, &state).await?;
        let add = AddMember { member, attributes };
        asking
            .client
            .add_member(&add)
            .await
            .map_err(|error| asking.failed(&format!("{member} was not added"), &error))?;
        let project = asking.project();
        let mut plain = vec![text::done(format!(
            "{member} is a member of the project {project}"
        ))];
        let pairs = add.attributes.iter();
        plain.extend(pairs.map(|(name, value)| text::more(format!("{name}={value}"))));
        let attributes: serde_json::Map<_, _> = add
            .attributes
            .iter()
            .map(|(name, value)| (name.to_owned(), json!(value)))
            .collect();
        let json = json!({
            "project": project,
            "identifier": member.to_string(),
            "attributes": attributes,
        });
        session
            .host
            .print(Outcome::plain(plain.join("\n")).json(json));
        Ok(())
    }
}

#[derive(Debug, Args)]
pub(super) struct List {
    /// Only those who may let others in
    #[arg(long, alias = "enrollers")]
    enroller: bool,
    #[command(flatten)]
    of: Of,
}

impl Run for List {
    const NOUN: &'static Noun = &NOUN;
    const VERB: &'static str = "list";

    fn examples() -> Vec<Example> {
        vec![
            Example::new("All", "ockam project-member list"),
            Example::new(
                "Those who may let others in",
                "ockam project-member list --enroller",
            ),
        ]
    }

    async fn run<'a>(self, session: &'a Session<'a>) -> Result<(), Failure> {
        let state = session.open().await?;
        let asking = self.of.asking(session, &state).await?;
        let members = asking
            .client
            .members()
            .await
            .map_err(|error| asking.failed("the members are not known", &error))?;
        let members: Vec<Member> = members
            .0
            .iter()
            .filter(|(_, entry)| !self.enroller || entry.attributes.is_enroller())
            .map(|(identifier, entry)| Member::new(identifier, entry))
            .collect();
        let plain = if members.is_empty() {
            text::info(format!("No members found in {}", asking.trusted.name()))
        } else {
            text::list(members.iter().map(|member| lines(member).join("\n")))
        };
        session
            .host
            .print(Outcome::plain(plain).json(json!(members)));
        Ok(())
    }
}

#[derive(Debug, Args)]
pub(super) struct ListIds {
    #[command(flatten)]
    of: Of,
}

impl Run for ListIds {
    const NOUN: &'static Noun = &NOUN;
    const VERB: &'static str = "list-ids";

    fn examples() -> Vec<Example> {
        vec![Example::new("All", "ockam project-member list-ids")]
    }

    async fn run<'a>(self, session: &'a Session<'a>) -> Result<(), Failure> {
        let state = session.open().await?;
        let asking = self.of.asking(session, &state).await?;
        let members = identifiers(&asking).await?;
        let plain = if members.is_empty() {
            text::info(format!("No members found in {}", asking.trusted.name()))
        } else {
            text::list(members.clone())
        };
        let json: Vec<_> = members
            .iter()
            .map(|identifier| json!({ "identifier": identifier }))
            .collect();
        session.host.print(Outcome::plain(plain).json(json!(json)));
        Ok(())
    }
}

#[derive(Debug, Args)]
pub(super) struct Show {
    /// The identifier of the member
    #[arg(value_name = "IDENTIFIER")]
    member: Option<Identifier>,
    #[command(flatten)]
    of: Of,
}

impl Run for Show {
    const NOUN: &'static Noun = &NOUN;
    const VERB: &'static str = "show";

    fn examples() -> Vec<Example> {
        vec![Example::new(
            "One, by its identifier",
            "ockam project-member show $ALICE",
        )]
    }

    async fn run<'a>(self, session: &'a Session<'a>) -> Result<(), Failure> {
        let state = session.open().await?;
        let asking = self.of.asking(session, &state).await?;
        if let Some(member) = self.member {
            let outcome = shown(&member, &entry(&asking, &member).await?);
            session.host.print(outcome);
            return Ok(());
        }
        let names = identifiers(&asking).await?;
        flow::show(session, &NOUN, &names, None, None, async |name| {
            let member = name.parse().map_err(|_| flow::not_found(&NOUN, name))?;
            Ok(shown(&member, &entry(&asking, &member).await?))
        })
        .await
    }
}

#[derive(Debug, Args)]
pub(super) struct Delete {
    /// The identifier of the member
    #[arg(value_name = "IDENTIFIER")]
    member: Option<Identifier>,
    /// End all memberships, except of who asks and of those the authority was started with
    #[arg(long, conflicts_with = "member")]
    all: bool,
    /// Do not ask for confirmation
    #[arg(short, long)]
    yes: bool,
    #[command(flatten)]
    of: Of,
}

impl Run for Delete {
    const NOUN: &'static Noun = &NOUN;
    const VERB: &'static str = "delete";

    fn examples() -> Vec<Example> {
        vec![
            Example::new(
                "One; what it was let into closes",
                "ockam project-member delete $ALICE --yes",
            ),
            Example::new("All", "ockam project-member delete --all --yes"),
        ]
    }

    async fn run<'a>(self, session: &'a Session<'a>) -> Result<(), Failure> {
        let state = session.open().await?;
        let asking = self.of.asking(session, &state).await?;
        if let Some(member) = self.member {
            // The authority says yes also for somebody who is no member: a slip of the pen would leave the right one in.
            let known = asking.client.member(&member).await;
            known.map_err(|error| {
                asking.member_failed(&member, "the membership did not end", &error)
            })?;
            if !flow::confirmed(session, self.yes)? {
                return Ok(());
            }
            // Scripts may end a membership twice; a person may have the wrong identifier.
            let before = asking.client.member(&member).await;
            if before.is_err_and(|error| error.is_unknown_member()) {
                session.host.note(Note::Warning(format!(
                    "{member} was no member; `ockam project-member list` shows who is"
                )));
            }
            asking
                .client
                .delete_member(&member)
                .await
                .map_err(|error| {
                    asking.member_failed(&member, "the membership did not end", &error)
                })?;
            session.host.print(ended(&asking, &[member.to_string()]));
            return Ok(());
        }
        let before = identifiers(&asking).await?;
        if self.all {
            if !flow::confirmed(session, self.yes)? {
                return Ok(());
            }
            asking
                .client
                .delete_members()
                .await
                .map_err(|error| asking.failed("the memberships did not end", &error))?;
            let left = identifiers(&asking).await?;
            let (gone, kept): (Vec<_>, Vec<_>) = before
                .into_iter()
                .partition(|member| !left.contains(member));
            if !kept.is_empty() {
                session.host.note(Note::Info(format!(
                    "Still members: {}, who asked and whom it cannot remove",
                    kept.len()
                )));
            }
            session.host.print(ended(&asking, &gone));
            return Ok(());
        }
        let chosen = Chosen {
            yes: self.yes,
            ..Chosen::default()
        };
        flow::delete(session, &NOUN, &before, chosen, async |name| {
            let member = name.parse().map_err(|_| flow::not_found(&NOUN, name))?;
            let deleted = asking.client.delete_member(&member).await;
            deleted.map_err(|error| {
                asking.member_failed(&member, "the membership did not end", &error)
            })?;
            Ok(ended(&asking, &[name.to_owned()]))
        })
        .await
    }
}

impl Asking {
    /// A request about one member that failed.
    fn member_failed(
        &self,
        member: &Identifier,
        what: &str,
        error: &ockam_authority::client::RequestError,
    ) -> Failure {
        if error.is_unknown_member() {
            // spec: command 3.3
            return flow::not_found(&NOUN, &member.to_string())
                .help("`ockam project-member list-ids` shows all");
        }
        self.failed(what, error)
    }
}

async fn entry(asking: &Asking, member: &Identifier) -> Result<AttributesEntry, Failure> {
    let entry = asking.client.member(member).await;
    entry.map_err(|error| asking.member_failed(member, "the member is not known", &error))
}

async fn identifiers(asking: &Asking) -> Result<Vec<String>, Failure> {
    let members = asking
        .client
        .member_ids()
        .await
        .map_err(|error| asking.failed("the members are not known", &error))?;
    Ok(members.0.iter().map(ToString::to_string).collect())
}

fn shown(member: &Identifier, entry: &AttributesEntry) -> Outcome {
    let member = Member::new(member, entry);
    let lines: Vec<_> = lines(&member).into_iter().map(text::more).collect();
    Outcome::plain(lines.join("\n")).json(json!(member))
}

fn lines(member: &Member) -> Vec<String> {
    let mut lines = vec![member.identifier.clone()];
    let pairs = member.attributes.attributes.iter();
    lines.extend(pairs.map(|(name, value)| format!("{name}={value}")));
    if let Some(by) = &member.attributes.attested_by {
        let ago = match identities::now()
            .0
            .saturating_sub(member.attributes.added_at)
        {
            0..60 => "less than a minute".to_owned(),
            seconds => text::how_long(seconds),
        };
        lines.push(format!("Added {ago} ago by {by}"));
    }
    lines
}

fn ended(asking: &Asking, members: &[String]) -> Outcome {
    let plain = if members.is_empty() {
        text::info("There are no members whose membership could end")
    } else {
        let lines = members
            .iter()
            .map(|member| text::done(format!("{member} is no member any more")));
        lines.collect::<Vec<_>>().join("\n")
    };
    Outcome::plain(plain).json(json!({
        "project": asking.project(),
        "identifiers": members,
    }))
}

fn nobody() -> Failure {
    Failure::new("No member provided")
        .help("give its identifier: `ockam identity show` prints it, where the member is")
}
