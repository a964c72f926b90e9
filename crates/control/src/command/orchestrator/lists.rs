//! What an administrator sees: `ockam orchestrator accounts`, `relays`, `tickets` and `audit list`.

use clap::Args;
use ockam_identity::UnixTime;
use serde_json::json;

use crate::command::argument::Identity;
use crate::command::orchestrator::asking::{Asking, Part, page, project_page};
use crate::command::{Example, Run, Session, text};
use crate::home::identities::now;
use crate::noun::orchestrator::{AccountItem, AuditItem, NOUN, RelayLine, TicketLine};
use crate::outcome::{Failure, Outcome};
use crate::table::Noun;

#[derive(Debug, Args)]
pub(in crate::command) struct Accounts {
    #[command(flatten)]
    part: Part,
    #[command(flatten)]
    who: Identity,
}

impl Run for Accounts {
    const NOUN: &'static Noun = &NOUN;
    const VERB: &'static str = "accounts";

    fn examples() -> Vec<Example> {
        vec![Example::new(
            "Who administers the Orchestrator",
            "ockam orchestrator accounts --jq 'map(select(.administrator).email)'",
        )]
    }

    async fn run<'a>(self, session: &'a Session<'a>) -> Result<(), Failure> {
        let asking = Asking::start(session, &self.who).await?;
        let accounts: Vec<AccountItem> = asking
            .pages(
                session,
                &self.part,
                "the accounts are not known",
                |after, limit| {
                    let client = &asking.client;
                    async move { client.accounts(&page(after, limit)).await }
                },
            )
            .await?
            .into_iter()
            .map(AccountItem::from)
            .collect();
        let plain = listed("No accounts found", accounts.iter().map(account));
        session
            .host
            .print(Outcome::plain(plain).json(json!(accounts)));
        Ok(())
    }
}

fn account(item: &AccountItem) -> String {
    let mut lines = vec![match item.administrator {
        true => format!("{}, administrator", item.email),
        false => item.email.clone(),
    }];
    lines.push(format!("Id: {}", item.id));
    if let (Some(subject), Some(issuer)) = (&item.subject, &item.issuer) {
        lines.push(format!("Signed in: {subject} at {issuer}"));
    }
    for identifier in &item.identifiers {
        lines.push(format!("Identifier: {identifier}"));
    }
    lines.join("\n")
}

#[derive(Debug, Args)]
pub(in crate::command) struct Relays {
    /// The id of a project; all when none is given
    #[arg(long, value_name = "ID")]
    project: Option<String>,
    #[command(flatten)]
    part: Part,
    #[command(flatten)]
    who: Identity,
}

impl Run for Relays {
    const NOUN: &'static Noun = &NOUN;
    const VERB: &'static str = "relays";

    fn examples() -> Vec<Example> {
        vec![Example::new(
            "From where relays are connected",
            "ockam orchestrator relays --jq 'map({name, from})'",
        )]
    }

    async fn run<'a>(self, session: &'a Session<'a>) -> Result<(), Failure> {
        let asking = Asking::start(session, &self.who).await?;
        let relays: Vec<RelayLine> = asking
            .pages(
                session,
                &self.part,
                "the relays are not known",
                |after, limit| {
                    let wanted = project_page(after, limit, self.project.as_ref());
                    let client = &asking.client;
                    async move { client.relays(&wanted).await }
                },
            )
            .await?
            .into_iter()
            .map(RelayLine::from)
            .collect();
        let plain = listed("No relays found", relays.iter().map(relay));
        session
            .host
            .print(Outcome::plain(plain).json(json!(relays)));
        Ok(())
    }
}

fn relay(item: &RelayLine) -> String {
    let owner = item
        .owner
        .map_or_else(|| "nobody named".to_owned(), |owner| owner.to_string());
    format!(
        "{} of project {}\nOwner: {owner}\nFrom: {}, for {}",
        item.name,
        item.project,
        item.from,
        ago(item.since)
    )
}

#[derive(Debug, Args)]
pub(in crate::command) struct Tickets {
    /// The id of a project; all when none is given
    #[arg(long, value_name = "ID")]
    project: Option<String>,
    #[command(flatten)]
    part: Part,
    #[command(flatten)]
    who: Identity,
}

impl Run for Tickets {
    const NOUN: &'static Noun = &NOUN;
    const VERB: &'static str = "tickets";

    fn examples() -> Vec<Example> {
        vec![Example::new(
            "Who used which ticket",
            "ockam orchestrator tickets --jq 'map({reference, used})'",
        )]
    }

    async fn run<'a>(self, session: &'a Session<'a>) -> Result<(), Failure> {
        let asking = Asking::start(session, &self.who).await?;
        let tickets: Vec<TicketLine> = asking
            .pages(
                session,
                &self.part,
                "the tickets are not known",
                |after, limit| {
                    let wanted = project_page(after, limit, self.project.as_ref());
                    let client = &asking.client;
                    async move { client.tickets(&wanted).await }
                },
            )
            .await?
            .into_iter()
            .map(TicketLine::from)
            .collect();
        let plain = listed("No tickets found", tickets.iter().map(ticket));
        session
            .host
            .print(Outcome::plain(plain).json(json!(tickets)));
        Ok(())
    }
}

fn ticket(item: &TicketLine) -> String {
    let uses = usize::try_from(item.uses_left).unwrap_or(usize::MAX);
    let mut lines = vec![
        format!("{} of project {}", item.reference, item.project),
        format!("Issued by: {}, {} ago", item.issued_by, ago(item.issued_at)),
        format!("Left: {}", text::count(uses, "use")),
    ];
    for used in &item.used {
        lines.push(format!("Used by: {}, {} ago", used.by, ago(used.at)));
    }
    lines.join("\n")
}

#[derive(Debug, Args)]
pub(in crate::command) struct AuditList {
    #[command(flatten)]
    part: Part,
    #[command(flatten)]
    who: Identity,
}

impl Run for AuditList {
    const NOUN: &'static Noun = &NOUN;
    const VERB: &'static str = "audit list";

    fn examples() -> Vec<Example> {
        vec![Example::new(
            "What was refused",
            "ockam orchestrator audit list --jq 'map(select(.outcome != \"done\"))'",
        )]
    }

    async fn run<'a>(self, session: &'a Session<'a>) -> Result<(), Failure> {
        let asking = Asking::start(session, &self.who).await?;
        let entries: Vec<AuditItem> = asking
            .pages(
                session,
                &self.part,
                "the audit log is not known",
                |after, limit| {
                    let client = &asking.client;
                    async move { client.audit(&page(after, limit)).await }
                },
            )
            .await?
            .into_iter()
            .map(AuditItem::from)
            .collect();
        let plain = listed(
            "No entries found",
            entries.iter().map(|entry| {
                format!(
                    "{} {} ago: {} {} {}: {}",
                    entry.sequence,
                    ago(entry.at),
                    entry.actor,
                    entry.action,
                    entry.object,
                    entry.outcome
                )
            }),
        );
        session
            .host
            .print(Outcome::plain(plain).json(json!(entries)));
        Ok(())
    }
}

fn listed(none: &str, items: impl ExactSizeIterator<Item = String>) -> String {
    if items.len() == 0 {
        text::info(none)
    } else {
        text::list(items)
    }
}

fn ago(then: u64) -> String {
    text::away(now(), UnixTime(then)).0
}
