//! `ockam orchestrator audit verify`.

use clap::Args;
use serde_json::json;

use crate::command::orchestrator::here;
use crate::command::{Example, Run, Session, text};
use crate::home::orchestrator;
use crate::noun::orchestrator::NOUN;
use crate::outcome::{Failure, Outcome};
use crate::state::refused;
use crate::table::Noun;

#[derive(Debug, Args)]
pub(in crate::command) struct AuditVerify {}

impl Run for AuditVerify {
    const NOUN: &'static Noun = &NOUN;
    const VERB: &'static str = "audit verify";

    fn examples() -> Vec<Example> {
        vec![Example::new(
            "The last hash, to be kept where nobody can change it",
            "ockam orchestrator audit verify --jq .hash",
        )]
    }

    async fn run<'a>(self, session: &'a Session<'a>) -> Result<(), Failure> {
        let state = session.open().await?;
        let found = here(&state).await?;
        let access = session.database_access()?;
        // It is read where it is kept: whoever runs it does not matter, nor whether anybody does.
        let database = orchestrator::open_database(&state, &found.settings, &access).await?;
        let verdict = database.store().verify_audit().await.map_err(refused)?;
        if let Some(broken) = verdict.broken {
            return Err(Failure::new(format!(
                "the audit log was changed: entry {broken} is not what was written"
            ))
            .cause(format!(
                "the entries before it are sound: {}",
                verdict.sound
            ))
            .help("look at who could write to the database, and compare with a backup"));
        }
        let hash = hex::encode(verdict.hash);
        let entries = usize::try_from(verdict.sound).unwrap_or(usize::MAX);
        let count = match entries {
            1 => "1 entry".to_owned(),
            entries => format!("{entries} entries"),
        };
        session.host.print(
            Outcome::plain(
                [
                    text::done(format!("The audit log is sound: {count}")),
                    text::more(format!("Last hash: {hash}")),
                ]
                .join("\n"),
            )
            .json(json!({ "entries": verdict.sound, "hash": hash })),
        );
        Ok(())
    }
}
