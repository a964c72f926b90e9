//! `ockam orchestrator backup` and `ockam orchestrator restore`.

use std::path::PathBuf;

use clap::Args;
use ockam_store::{DatabaseBackup, IfNotEmpty, backup_database, restore_database};
use serde_json::json;

use crate::command::orchestrator::here;
use crate::command::orchestrator::start::{Begin, keep, make_key};
use crate::command::{Example, Note, Run, Session, text};
use crate::home::orchestrator;
use crate::noun::orchestrator::NOUN;
use crate::outcome::{Failure, Outcome};
use crate::state::{refused, status_of};
use crate::table::Noun;

#[derive(Debug, Args)]
pub(in crate::command) struct Backup {
    /// The file that is made; one that is there stays
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

impl Run for Backup {
    const NOUN: &'static Noun = &NOUN;
    const VERB: &'static str = "backup";

    fn examples() -> Vec<Example> {
        vec![Example::new(
            "All of it, while it runs",
            "ockam orchestrator backup ockam-2026-11-22.backup",
        )]
    }

    async fn run<'a>(self, session: &'a Session<'a>) -> Result<(), Failure> {
        let state = session.open().await?;
        let found = here(&state).await?;
        let address = orchestrator::address(&state, &found.settings, &session.database_access()?)?;
        let backup = backup_database(&address, &self.file)
            .await
            .map_err(refused)?;
        if !backup.is_sealed {
            session.host.note(Note::Warning(format!(
                "{} holds the keys of the Orchestrator: whoever reads it can act as it",
                self.file.display()
            )));
        }
        told(session, &backup, "Wrote", &self.file);
        Ok(())
    }
}

#[derive(Debug, Args)]
pub(in crate::command) struct Restore {
    /// A file that `ockam orchestrator backup` made
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Forget what is in the database now
    #[arg(long)]
    replace: bool,
    #[command(flatten)]
    begin: Begin,
}

impl Run for Restore {
    const NOUN: &'static Noun = &NOUN;
    const VERB: &'static str = "restore";

    fn examples() -> Vec<Example> {
        vec![
            Example::new(
                "On a new machine",
                "ockam orchestrator restore ockam-2026-11-22.backup",
            ),
            Example::new(
                "From a file into PostgreSQL",
                "ockam orchestrator restore o.backup --database postgres://ockam@db/ockam --key-file key",
            ),
        ]
    }

    async fn run<'a>(self, session: &'a Session<'a>) -> Result<(), Failure> {
        let state = session.open().await?;
        let before = orchestrator::find(&state).await?;
        if let Some(before) = &before
            && status_of(&before.node).is_running()
        {
            return Err(Failure::new("the Orchestrator of this machine runs")
                .help("stop it first: `ockam orchestrator stop`"));
        }
        let mut settings = self.begin.settings()?;
        if let Some(before) = &before {
            let kept = before.settings.clone();
            settings.public_address = settings.public_address.or(kept.public_address);
            settings.process_address = settings.process_address.or(kept.process_address);
            settings.key_file = settings.key_file.or(kept.key_file);
            settings.sign_in = settings.sign_in.or(kept.sign_in);
            // What is named is where it goes, and what is not named stays.
            settings.database = settings.database.or(kept.database);
        }
        let access = session.database_access()?;
        make_key(session, &settings)?;
        let address = orchestrator::address(&state, &settings, &access)?;
        if access.address.is_some() {
            settings.database = Some(address.to_string());
        }
        let key = orchestrator::key(&settings, &access)?;
        let if_not_empty = if self.replace {
            IfNotEmpty::Replace
        } else {
            IfNotEmpty::Refuse
        };
        let restored = restore_database(&self.file, &address, key.as_ref(), if_not_empty).await;
        let restored = restored.map_err(|error| {
            let is_taken = matches!(error, ockam_store::StoreError::DatabaseNotEmpty(_));
            let failure = refused(error);
            if is_taken {
                failure.help("--replace forgets what is there")
            } else {
                failure
            }
        })?;
        keep(&state, &settings, before.as_ref()).await?;
        told(session, &restored, "Restored", &self.file);
        session.host.note(Note::Info(
            "`ockam orchestrator start` goes on from there".to_owned(),
        ));
        Ok(())
    }
}

fn told(session: &Session<'_>, backup: &DatabaseBackup, what: &str, file: &std::path::Path) {
    let rows = usize::try_from(backup.rows()).unwrap_or(usize::MAX);
    let plain = text::done(format!(
        "{what} {}, {}",
        file.display(),
        text::count(rows, "row")
    ));
    session.host.print(Outcome::plain(plain).json(json!({
        "file": file,
        "rows": backup.rows(),
        "bytes": backup.bytes,
        "is_sealed": backup.is_sealed,
    })));
}
