//! `ockam migrate-database`.

use clap::Args;

use crate::command::{Example, Run, Session};
use crate::noun::migrate_database::NOUN;
use crate::outcome::Failure;
use crate::table::Noun;

#[derive(Debug, Args)]
pub(super) struct MigrateDatabase {
    /// Say what would be done
    #[arg(short, long)]
    dry_run: bool,
}

impl Run for MigrateDatabase {
    const NOUN: &'static Noun = &NOUN;
    const VERB: &'static str = "";

    fn examples() -> Vec<Example> {
        vec![Example::new(
            "What would be done",
            "ockam migrate-database --dry-run",
        )]
    }

    async fn run<'a>(self, _session: &'a Session<'a>) -> Result<(), Failure> {
        let Self { dry_run: _ } = self;
        Err(Failure::new(
            "migrate-database is for a state in PostgreSQL, which is not supported yet",
        )
        .help(
            "the SQLite state of this program migrates by itself; `ockam import` takes over that of the published program",
        ))
    }
}
