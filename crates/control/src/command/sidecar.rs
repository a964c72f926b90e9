//! `ockam sidecar`: a run file for one half of a portal, made and carried out.

use clap::Args;
use serde_json::{Map, Value, json};

use crate::command::run::run;
use crate::command::{Example, Note, Run, Session};
use crate::configuration::{Source, Variables};
use crate::noun::sidecar::NOUN;
use crate::outcome::Failure;
use crate::table::Noun;
use crate::value::{HostPort, ResourceName};

/// How it becomes a member of the project.
#[derive(Debug, Args)]
#[group(id = "how", required = true, multiple = false)]
struct How {
    /// The ticket: itself, or a file or URL that holds it
    #[arg(long, value_name = "TICKET")]
    enroll_ticket: Option<String>,
    /// Enroll through the sign-in service of the project
    #[arg(long)]
    okta: bool,
}

impl How {
    /// What a run file says of it.
    fn ticket(self) -> Result<String, Failure> {
        self.enroll_ticket.ok_or_else(|| {
            Failure::unsupported("--okta").help(
                "enroll with `ockam project enroll --okta`, and leave the portal to `ockam tcp-inlet` or `ockam tcp-outlet`; or use \
                 --enroll-ticket",
            )
        })
    }
}

#[derive(Debug, Args)]
pub(super) struct Inlet {
    /// The name of the service, the same as on the other machine
    #[arg(value_name = "SERVICE")]
    service: ResourceName,
    /// Where clients connect to
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    from: HostPort,
    /// Only print the run file, to standard error
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    how: How,
}

impl Run for Inlet {
    const NOUN: &'static Noun = &NOUN;
    const VERB: &'static str = "secure-relay-inlet";

    fn examples() -> Vec<Example> {
        vec![Example::new(
            "The database of another machine, here",
            "ockam sidecar secure-relay-inlet db --from 15432 --enroll-ticket db.ticket",
        )]
    }

    async fn run<'a>(self, session: &'a Session<'a>) -> Result<(), Failure> {
        let service = self.service.to_string();
        let inlet = json!({
            "from": self.from.to_string(),
            "to": service,
            "via": service,
            "allow": component(&service),
        });
        let file = json!({ "tcp-inlets": named(&service, inlet) });
        carry_out(session, file, self.how, self.dry_run).await
    }
}

#[derive(Debug, Args)]
pub(super) struct Outlet {
    /// The name of the service, by which others reach it
    #[arg(value_name = "SERVICE")]
    service: ResourceName,
    /// Where the service is
    #[arg(long, value_name = "ADDRESS")]
    to: HostPort,
    /// Only print the run file, to standard error
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    how: How,
}

impl Run for Outlet {
    const NOUN: &'static Noun = &NOUN;
    const VERB: &'static str = "secure-relay-outlet";

    fn examples() -> Vec<Example> {
        vec![Example::new(
            "A database of this machine, for others",
            "ockam sidecar secure-relay-outlet db --to 5432 --enroll-ticket db.ticket",
        )]
    }

    async fn run<'a>(self, session: &'a Session<'a>) -> Result<(), Failure> {
        let service = self.service.to_string();
        let outlet = json!({
            "to": self.to.to_string(),
            "from": service,
            "allow": component(&service),
        });
        let file = json!({ "tcp-outlets": named(&service, outlet), "relays": [service] });
        carry_out(session, file, self.how, self.dry_run).await
    }
}

/// Only whom the authority says to belong to the service.
fn component(service: &str) -> String {
    format!("(= subject.component \"{service}\")")
}

fn named(name: &str, what: Value) -> Value {
    Value::Object(Map::from_iter([(name.to_owned(), what)]))
}

/// Prints the run file, or does what it says. JSON is YAML.
async fn carry_out(
    session: &Session<'_>,
    mut file: Value,
    how: How,
    dry_run: bool,
) -> Result<(), Failure> {
    let ticket = how.ticket()?;
    if dry_run {
        if let Some(file) = file.as_object_mut() {
            file.insert("ticket".to_owned(), json!("<the ticket>"));
        }
        for line in format!("{file:#}").lines() {
            session.host.note(Note::Line(line.to_owned()));
        }
        return Ok(());
    }
    if let Some(file) = file.as_object_mut() {
        file.insert("ticket".to_owned(), json!(ticket));
    }
    run(
        session,
        Source::Inline(file.to_string()),
        &Variables::read(&[])?,
    )
    .await
}
