//! `ockam reset`.

use clap::Args;

use crate::command::argument::Identity;
use crate::command::asking::Asking;
use crate::command::{Example, Note, Run, Session, flow, space, text};
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
        if session.postgres().is_some() {
            // spec: command 3.5
            return Err(
                Failure::new("Cannot reset the database when using Postgres").help(
                    "unset OCKAM_DATABASE_CONNECTION_URL and OCKAM_DATABASE_INSTANCE to reset the state in OCKAM_HOME",
                ),
            );
        }
        let there = if self.all {
            // Before anything here is gone: without it nobody could ask any more.
            Asking::if_enrolled(session, &Identity::default()).await?
        } else {
            None
        };
        let question = "This will stop all nodes and delete all local state: identities, vaults and their keys.";
        if !self.yes && session.host.can_prompt() {
            session.host.note(Note::Warning(question.to_owned()));
        }
        if there.is_some() && session.host.can_prompt() {
            session.host.note(Note::Warning(
                "Your spaces and projects at the Orchestrator will be deleted too.".to_owned(),
            ));
        }
        if !flow::confirmed(session, self.yes)? {
            return Ok(());
        }
        if let Some(asking) = there {
            delete_spaces(&asking).await?;
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

/// Deletes every space of the caller. When that fails nothing here is lost, so that it can be tried again.
async fn delete_spaces(asking: &Asking<'_>) -> Result<(), Failure> {
    for space in asking.spaces().await? {
        space::delete(asking, &space).await.map_err(|failure| {
            failure.help(
                "nothing on this machine was deleted; without --all that is all that is deleted",
            )
        })?;
        let deleted = format!("The space {} has been deleted", space.name);
        asking.session.host.note(Note::Done(deleted));
    }
    asking.state.store().close().await;
    Ok(())
}
