//! `ockam reset`.

use clap::Args;

use crate::command::flow;
use crate::command::{Example, Note, Run, Session, text};
use crate::home::reset;
use crate::noun::reset::NOUN;
use crate::outcome::{Failure, Outcome};
use crate::table::Noun;

#[derive(Debug, Args)]
pub(super) struct Reset {
    /// Do not ask for confirmation
    #[arg(short, long)]
    yes: bool,
    /// Delete spaces of the Orchestrator too
    #[arg(long, hide = true)]
    all: bool,
}

impl Run for Reset {
    const NOUN: &'static Noun = &NOUN;
    const VERB: &'static str = "";

    fn examples() -> Vec<Example> {
        vec![Example::new(
            "Start from nothing, without a question",
            "ockam reset --yes",
        )]
    }

    async fn run<'a>(self, session: &'a Session<'a>) -> Result<(), Failure> {
        if self.all {
            return Err(Failure::new(
                "--all would delete the spaces you have at the Orchestrator, which is not supported yet",
            )
            .help("leave it out to remove the state on this machine; nothing was changed"));
        }
        if session.postgres().is_some() {
            // spec: command 3.5
            return Err(
                Failure::new("Cannot reset the database when using Postgres").help(
                    "unset OCKAM_DATABASE_CONNECTION_URL and OCKAM_DATABASE_INSTANCE to reset the state in OCKAM_HOME",
                ),
            );
        }
        let question = "This will stop all nodes and delete all local state: identities, vaults and their keys.";
        if !self.yes && session.host.can_prompt() {
            session.host.note(Note::Warning(question.to_owned()));
        }
        if !flow::confirmed(session, self.yes)? {
            return Ok(());
        }
        let done = reset::reset(&session.host.home(), session.runtime_directory()).await?;
        if let Some(failure) = done.unreadable {
            session.host.note(Note::Warning(format!(
                "The state could not be read, its files were removed all the same: {failure}"
            )));
        }
        for vault in done.kept_vaults {
            session.host.note(Note::Info(format!(
                "The vault file {} is outside the home and stays",
                vault.display()
            )));
        }
        session.host.print(Outcome::plain(text::done(
            "Local Ockam configuration deleted",
        )));
        Ok(())
    }
}
