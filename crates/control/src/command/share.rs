//! `ockam share`: invitations.

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use ockam_identity::Identifier;
use ockam_wire::MultiAddr;
use serde_json::json;

use crate::command::argument::Identity;
use crate::command::asking::{Asking, path_part};
use crate::command::{Example, Run, Session, text};
use crate::controller::message::{
    CreateInvitation, CreateServiceInvitation, InvitationKind, Role, Scope, Secret, SentInvitation,
};
use crate::noun::share::{AcceptedItem, NOUN, ReceivedItem, SentItem};
use crate::outcome::{Failure, Outcome};
use crate::table::Noun;
use crate::value::Email;

#[derive(Debug, Args)]
pub(super) struct Create {
    /// What it is to
    #[arg(value_name = "SCOPE", value_parser = scopes())]
    scope: Scope,
    /// The name or the id of the space or project
    #[arg(value_name = "TARGET_ID")]
    target: String,
    /// Who is invited
    #[arg(value_name = "EMAIL")]
    email: Email,
    /// What they become
    #[arg(short = 'R', long, value_name = "ROLE", default_value = "admin", value_parser = roles())]
    grant_role: Role,
    #[command(flatten)]
    until: Until,
    #[command(flatten)]
    identity: Identity,
}

/// How long an invitation holds.
#[derive(Debug, Args)]
struct Until {
    /// Until when it can be taken, for example 2027-01-31T00:00:00Z; the controller decides when none is given
    #[arg(short = 'x', long, value_name = "TIME", value_parser = time)]
    expires_at: Option<String>,
}

impl Run for Create {
    const NOUN: &'static Noun = &NOUN;
    const VERB: &'static str = "create";

    fn examples() -> Vec<Example> {
        vec![
            Example::new(
                "Somebody who administers a space too",
                "ockam share create space web alice@example.com",
            ),
            Example::new(
                "A member of a project",
                "ockam share create project default bob@example.com --grant-role guest",
            ),
        ]
    }

    async fn run<'a>(self, session: &'a Session<'a>) -> Result<(), Failure> {
        let asking = Asking::start(session, &self.identity).await?;
        let target_id = match self.scope {
            Scope::Space => asking.space(Some(&self.target)).await?.id,
            Scope::Project => asking.project(Some(&self.target)).await?.id,
            Scope::Service => {
                return Err(Failure::new("an invitation to a service says more")
                    .help("use `ockam share service`"));
            }
        };
        let invitation = CreateInvitation {
            expires_at: self.until.expires_at,
            grant_role: self.grant_role,
            recipient_email: self.email.clone(),
            remaining_uses: None,
            scope: self.scope,
            target_id,
        };
        let sent = asking.client.invite(&invitation).await;
        let object = format!("the {} {}", self.scope.name(), invitation.target_id);
        let what = format!("{} was not invited", self.email);
        let sent = sent.map_err(|error| {
            asking.failed(&what, &object, &error).help_if(
                self.grant_role == Role::ServiceUser,
                "a space has admins, a project has admins and guests: give --grant-role, or use `ockam share service`",
            )
        })?;
        print_sent(session, sent);
        Ok(())
    }
}

#[derive(Debug, Args)]
pub(super) struct Service {
    /// The name or the id of the project through which it is reached
    #[arg(value_name = "PROJECT_ID")]
    project_id: String,
    /// Who is invited
    #[arg(value_name = "EMAIL")]
    email: Email,
    /// Who the node of the project is
    #[arg(value_name = "PROJECT_IDENTITY")]
    project_identity: Identifier,
    /// Where it is
    #[arg(value_name = "PROJECT_ROUTE")]
    project_route: MultiAddr,
    /// Who the authority of the project is
    #[arg(value_name = "PROJECT_AUTHORITY_IDENTITY")]
    project_authority_identity: Identifier,
    /// Where it is
    #[arg(value_name = "PROJECT_AUTHORITY_ROUTE")]
    project_authority_route: MultiAddr,
    /// Who has the service
    #[arg(value_name = "NODE_IDENTITY")]
    node_identity: Identifier,
    /// Where the service is
    #[arg(value_name = "NODE_ROUTE")]
    node_route: MultiAddr,
    /// What makes the guest a member of the project; `-` alone on the line is read from standard input
    #[arg(value_name = "TICKET")]
    ticket: String,
    #[command(flatten)]
    until: Until,
    #[command(flatten)]
    identity: Identity,
}

impl Run for Service {
    const NOUN: &'static Noun = &NOUN;
    const VERB: &'static str = "service";

    fn examples() -> Vec<Example> {
        vec![Example::new(
            "With what `ockam project show` and `ockam project ticket` say",
            "ockam share service 5f a@b.c $ALICE /tcp/1 $ALICE /tcp/1 $ALICE /service/x \"$TICKET\"",
        )]
    }

    async fn run<'a>(self, session: &'a Session<'a>) -> Result<(), Failure> {
        let asking = Asking::start(session, &self.identity).await?;
        let project = asking.project(Some(&self.project_id)).await?;
        let invitation = CreateServiceInvitation {
            expires_at: self.until.expires_at,
            project_id: project.id,
            recipient_email: self.email.clone(),
            project_identity: self.project_identity,
            project_route: self.project_route.to_string(),
            project_authority_identity: self.project_authority_identity,
            project_authority_route: self.project_authority_route.to_string(),
            shared_node_identity: self.node_identity,
            shared_node_route: self.node_route.to_string(),
            enrollment_ticket: Secret::new(self.ticket),
        };
        let sent = asking.client.invite_to_service(&invitation).await;
        let object = format!("the project {}", invitation.project_id);
        let what = format!("{} was not invited", self.email);
        let sent = sent.map_err(|error| asking.failed(&what, &object, &error))?;
        print_sent(session, sent);
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
            "Those that were sent and those that came",
            "ockam share list",
        )]
    }

    async fn run<'a>(self, session: &'a Session<'a>) -> Result<(), Failure> {
        let asking = Asking::start(session, &self.identity).await?;
        let told = asking.client.invitations(InvitationKind::All).await;
        let told =
            told.map_err(|error| asking.failed("the invitations are not known", "you", &error))?;
        let sent: Vec<SentItem> = items(told.sent);
        let received: Vec<ReceivedItem> = items(told.received);
        let accepted: Vec<AcceptedItem> = items(told.accepted);
        let mut lines: Vec<String> = sent.iter().map(sent_line).collect();
        lines.extend(received.iter().map(received_line));
        lines.extend(accepted.iter().map(|item| received_line(&item.invitation)));
        let plain = if lines.is_empty() {
            text::info("No invitations found")
        } else {
            text::list(lines)
        };
        let json = json!({ "sent": sent, "received": received, "accepted": accepted });
        session.host.print(Outcome::plain(plain).json(json));
        Ok(())
    }
}

#[derive(Debug, Args)]
pub(super) struct Show {
    /// The id of the invitation
    #[arg(value_name = "ID")]
    id: String,
    #[command(flatten)]
    identity: Identity,
}

impl Run for Show {
    const NOUN: &'static Noun = &NOUN;
    const VERB: &'static str = "show";

    fn examples() -> Vec<Example> {
        vec![Example::new("One that came", "ockam share show 5f")]
    }

    async fn run<'a>(self, session: &'a Session<'a>) -> Result<(), Failure> {
        let asking = Asking::start(session, &self.identity).await?;
        let told = asking.client.invitation(&path_part(&self.id)?).await;
        let object = format!("the invitation {}", self.id);
        let told = told.map_err(|error| {
            asking
                .failed("the invitation is not known", &object, &error)
                .help_if(error.is_not_found(), WHICH)
        })?;
        let item = AcceptedItem::from(told);
        let plain = text::block(&received_line(&item.invitation));
        session.host.print(Outcome::plain(plain).json(json!(item)));
        Ok(())
    }
}

#[derive(Debug, Args)]
pub(super) struct Accept {
    /// The id of the invitation
    #[arg(value_name = "ID")]
    id: String,
    #[command(flatten)]
    identity: Identity,
}

impl Run for Accept {
    const NOUN: &'static Noun = &NOUN;
    const VERB: &'static str = "accept";

    fn examples() -> Vec<Example> {
        vec![Example::new("One that came", "ockam share accept 5f")]
    }

    async fn run<'a>(self, session: &'a Session<'a>) -> Result<(), Failure> {
        let asking = Asking::start(session, &self.identity).await?;
        let taken = asking.client.redeem_invitation(&self.id).await;
        let object = format!("the invitation {}", self.id);
        let taken = taken.map_err(|error| {
            asking
                .failed("the invitation was not taken", &object, &error)
                .help_if(error.is_not_found(), WHICH)
        })?;
        // What is open to the caller now has a name here from now on. The invitation is taken whatever comes of that.
        let _ = asking.spaces().await;
        let _ = asking.projects().await;
        let role = taken.role.name();
        let plain = text::done(format!(
            "Took the invitation {}: {role} of {}",
            taken.id, taken.target_id
        ));
        session.host.print(
            Outcome::plain(plain)
                .json(json!({ "id": taken.id, "role": role, "target_id": taken.target_id })),
        );
        Ok(())
    }
}

#[derive(Debug, Args)]
pub(super) struct Revoke {
    /// The id of the invitation
    #[arg(value_name = "ID")]
    id: String,
}

impl Run for Revoke {
    const NOUN: &'static Noun = &NOUN;
    const VERB: &'static str = "revoke";

    fn examples() -> Vec<Example> {
        vec![Example::new(
            "What to do about an invitation",
            "ockam share revoke 5f",
        )]
    }

    async fn run<'a>(self, _session: &'a Session<'a>) -> Result<(), Failure> {
        Err(Failure::new(format!(
            "the invitation {} cannot be revoked: no controller offers that; nothing was changed",
            self.id
        ))
        .cause("it ends with its time; `ockam share list` says when")
        .help(
            "what a guest got by it is taken back with `ockam project-admin delete`, `ockam space-admin delete` or \
             `ockam project-member delete`",
        ))
    }
}

fn print_sent(session: &Session<'_>, sent: SentInvitation) {
    let item = SentItem::from(sent);
    let lines = [
        text::done(format!("Invited {}", item.recipient_email)),
        text::block(&sent_line(&item)),
    ];
    session
        .host
        .print(Outcome::plain(lines.join("\n")).json(json!(item)));
}

fn sent_line(item: &SentItem) -> String {
    format!(
        "Invitation {}\nTo {}, as {} of the {} {}\nUntil {}",
        item.id, item.recipient_email, item.grant_role, item.scope, item.target_id, item.expires_at
    )
}

fn received_line(item: &ReceivedItem) -> String {
    format!(
        "Invitation {}\nFrom {}, as {} of the {} {}\nUntil {}",
        item.id, item.owner_email, item.grant_role, item.scope, item.target_id, item.expires_at
    )
}

fn items<T, I: From<T>>(told: Option<Vec<T>>) -> Vec<I> {
    told.unwrap_or_default().into_iter().map(I::from).collect()
}

fn time(text: &str) -> Result<String, String> {
    let mut letters = text.chars();
    let begins =
        letters.by_ref().take(4).all(|c| c.is_ascii_digit()) && letters.next() == Some('-');
    let is_time = |c: char| c.is_ascii_digit() || "-+:.TZ".contains(c);
    if begins && text.len() <= 40 && text.chars().all(is_time) {
        Ok(text.to_owned())
    } else {
        Err("a time is like 2027-01-31T00:00:00Z".to_owned())
    }
}

fn scopes() -> impl TypedValueParser<Value = Scope> {
    let names = Scope::ALL.iter().map(|scope| scope.name());
    PossibleValuesParser::new(names)
        .try_map(|name| Scope::named(&name).ok_or("there is no such scope"))
}

fn roles() -> impl TypedValueParser<Value = Role> {
    let names = Role::ALL.iter().map(|role| role.name());
    PossibleValuesParser::new(names)
        .try_map(|name| Role::named(&name).ok_or("there is no such role"))
}

/// Others do not see an invitation, nor does anybody take one twice.
const WHICH: &str = "`ockam share list` shows those that were sent to you and are not taken yet";
