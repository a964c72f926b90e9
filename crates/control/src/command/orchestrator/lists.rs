//! What an administrator sees: `ockam orchestrator accounts`, `relays`, `tickets` and `audit list`.

use std::fmt::Debug;

use clap::Args;
use ockam_identity::UnixTime;
use serde::Serialize;
use serde_json::json;

use crate::command::argument::Identity;
use crate::command::orchestrator::asking::{Asking, Part};
use crate::command::{Example, Run, Session, text};
use crate::controller::client::{Asked, ControllerClient};
use crate::controller::message::{
    AccountInfo, AuditEntry, Page, PageRequest, ProjectPageRequest, RelayItem, TicketItem,
};
use crate::home::identities::now;
use crate::noun::orchestrator::{AccountItem, AuditItem, NOUN, RelayLine, TicketLine};
use crate::outcome::{Failure, Outcome};
use crate::table::Noun;

/// A list of an Orchestrator, page by page.
pub(in crate::command) trait Listed:
    Debug + Clone + Send + Sync + 'static
{
    /// What the Orchestrator tells of one.
    type Told: Send;
    /// The same as it is shown.
    type Item: From<Self::Told> + Serialize;
    /// What is asked for beside a part of the list.
    type Only: Only;
    const VERB: &'static str;
    /// What it is for, and the line that shows it.
    const EXAMPLE: (&'static str, &'static str);
    /// What there is none of, and what is not known.
    const KINDS: &'static str;

    async fn page(client: &ControllerClient, page: ProjectPageRequest) -> Asked<Page<Self::Told>>;

    /// The lines of one.
    fn described(item: &Self::Item) -> String;
}

/// Which of a list.
pub(in crate::command) trait Only:
    Args + Debug + Clone + Send + Sync + 'static
{
    /// The project that they belong to.
    fn project(&self) -> Option<&str>;
}

/// All.
#[derive(Debug, Clone, Args)]
pub(in crate::command) struct All {}

impl Only for All {
    fn project(&self) -> Option<&str> {
        None
    }
}

/// Those of one project.
#[derive(Debug, Clone, Args)]
pub(in crate::command) struct OfProject {
    /// The name or the id of a project; all when none is given
    #[arg(long, value_name = "PROJECT")]
    project: Option<String>,
}

impl Only for OfProject {
    fn project(&self) -> Option<&str> {
        self.project.as_deref()
    }
}

#[derive(Debug, Args)]
pub(in crate::command) struct List<L: Listed> {
    #[command(flatten)]
    only: L::Only,
    #[command(flatten)]
    part: Part,
    #[command(flatten)]
    who: Identity,
}

impl<L: Listed> Run for List<L> {
    const NOUN: &'static Noun = &NOUN;
    const VERB: &'static str = L::VERB;

    fn examples() -> Vec<Example> {
        let (what, line) = L::EXAMPLE;
        vec![Example::new(what, line)]
    }

    async fn run<'a>(self, session: &'a Session<'a>) -> Result<(), Failure> {
        let asking = Asking::start(session, &self.who).await?;
        let project = match self.only.project() {
            Some(project) => Some(asking.project_id(project).await?),
            None => None,
        };
        let what = format!("the {} are not known", L::KINDS);
        let told = asking.pages(session, &self.part, &what, async |after, limit| {
            let page = ProjectPageRequest {
                after,
                limit: Some(limit),
                project_id: project.clone(),
            };
            L::page(&asking.client, page).await
        });
        let items: Vec<L::Item> = told.await?.into_iter().map(L::Item::from).collect();
        let plain = if items.is_empty() {
            text::info(format!("No {} found", L::KINDS))
        } else {
            text::list(items.iter().map(L::described))
        };
        session.host.print(Outcome::plain(plain).json(json!(items)));
        Ok(())
    }
}

/// Who is enrolled.
#[derive(Debug, Clone)]
pub(in crate::command) struct Accounts;

impl Listed for Accounts {
    type Told = AccountInfo;
    type Item = AccountItem;
    type Only = All;
    const VERB: &'static str = "accounts";
    const EXAMPLE: (&'static str, &'static str) = (
        "Who administers the Orchestrator",
        "ockam orchestrator accounts --jq 'map(select(.administrator).email)'",
    );
    const KINDS: &'static str = "accounts";

    async fn page(client: &ControllerClient, page: ProjectPageRequest) -> Asked<Page<AccountInfo>> {
        client.accounts(&whole(page)).await
    }

    fn described(item: &AccountItem) -> String {
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
}

/// Which relays are connected, from where.
#[derive(Debug, Clone)]
pub(in crate::command) struct Relays;

impl Listed for Relays {
    type Told = RelayItem;
    type Item = RelayLine;
    type Only = OfProject;
    const VERB: &'static str = "relays";
    const EXAMPLE: (&'static str, &'static str) = (
        "From where relays are connected",
        "ockam orchestrator relays --jq 'map({name, from})'",
    );
    const KINDS: &'static str = "relays";

    async fn page(client: &ControllerClient, page: ProjectPageRequest) -> Asked<Page<RelayItem>> {
        client.relays(&page).await
    }

    fn described(item: &RelayLine) -> String {
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
}

/// Who used which ticket.
#[derive(Debug, Clone)]
pub(in crate::command) struct Tickets;

impl Listed for Tickets {
    type Told = TicketItem;
    type Item = TicketLine;
    type Only = OfProject;
    const VERB: &'static str = "tickets";
    const EXAMPLE: (&'static str, &'static str) = (
        "Who used which ticket",
        "ockam orchestrator tickets --jq 'map({reference, used})'",
    );
    const KINDS: &'static str = "tickets";

    async fn page(client: &ControllerClient, page: ProjectPageRequest) -> Asked<Page<TicketItem>> {
        client.tickets(&page).await
    }

    fn described(item: &TicketLine) -> String {
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
}

/// What was done and refused.
#[derive(Debug, Clone)]
pub(in crate::command) struct Audit;

impl Listed for Audit {
    type Told = AuditEntry;
    type Item = AuditItem;
    type Only = All;
    const VERB: &'static str = "audit list";
    const EXAMPLE: (&'static str, &'static str) = (
        "What was refused",
        "ockam orchestrator audit list --jq 'map(select(.outcome != \"done\"))'",
    );
    const KINDS: &'static str = "entries";

    async fn page(client: &ControllerClient, page: ProjectPageRequest) -> Asked<Page<AuditEntry>> {
        client.audit(&whole(page)).await
    }

    fn described(item: &AuditItem) -> String {
        format!(
            "{} {} ago: {} {} {}: {}",
            item.sequence,
            ago(item.at),
            item.actor,
            item.action,
            item.object,
            item.outcome
        )
    }
}

/// A page of what belongs to no project.
fn whole(page: ProjectPageRequest) -> PageRequest {
    PageRequest {
        after: page.after,
        limit: page.limit,
    }
}

fn ago(then: u64) -> String {
    text::away(now(), UnixTime(then)).0
}
