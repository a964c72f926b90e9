//! `ockam sidecar`: a run file for one half of a portal, made and carried out.

use clap::Args;
use serde_json::{Map, Value, json};

use crate::command::project::sign_in_to_default;
use crate::command::run::run;
use crate::command::{Example, Note, Run, Session};
use crate::configuration::{Source, Variables};
use crate::noun::sidecar::NOUN;
use crate::outcome::Failure;
use crate::table::Noun;
use crate::value::HostPort;

/// How it becomes a member of the project.
#[derive(Debug, Args)]
#[group(id = "how", required = true, multiple = false)]
struct How {
    /// The ticket: itself, or a file or URL that holds it. Both sides need one with `--attribute component=SERVICE`, the outlet's
    /// with `--relay SERVICE` too
    #[arg(long, value_name = "TICKET")]
    enroll_ticket: Option<String>,
    /// Become a member of the default project by signing in with the service that it is configured with
    #[arg(long)]
    okta: bool,
}

#[derive(Debug, Args)]
pub(super) struct Inlet {
    /// The name of the service, the same as on the other machine
    #[arg(value_name = "SERVICE", value_parser = service)]
    service: String,
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
        let service = self.service;
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
    #[arg(value_name = "SERVICE", value_parser = service)]
    service: String,
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
        let service = self.service;
        let outlet = json!({
            "to": self.to.to_string(),
            "from": service,
            "allow": component(&service),
        });
        let file = json!({ "tcp-outlets": named(&service, outlet), "relays": [service] });
        carry_out(session, file, self.how, self.dry_run).await
    }
}

/// A name that can be that of an outlet and of a relay, and stands in a policy as it is.
fn service(text: &str) -> Result<String, String> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if (1..=64).contains(&text.len()) && text.chars().all(is_part) {
        Ok(text.to_owned())
    } else {
        Err("a service is named with 1 to 64 letters, digits, `_`, `.` and `-`".to_owned())
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
    let shown = how.enroll_ticket.as_ref().map(|_| "<the ticket>");
    let ticket = if dry_run {
        shown
    } else {
        how.enroll_ticket.as_deref()
    };
    if let (Some(file), Some(ticket)) = (file.as_object_mut(), ticket) {
        file.insert("ticket".to_owned(), json!(ticket));
    }
    if dry_run {
        for line in format!("{file:#}").lines() {
            session.host.note(Note::Line(line.to_owned()));
        }
        return Ok(());
    }
    if how.okta {
        sign_in_to_default(session).await?;
    }
    let source = Source::Inline(file.to_string());
    run(session, source, &Variables::read(&[])?).await
}
