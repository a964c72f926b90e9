//! `ockam run`.

use std::path::Path;

use clap::Args;

use crate::command::{Example, Note, Run, Session, Stdin, project};
use crate::configuration::{Changed, Document, Mode, Owner, Plan, RUN_FILE, Source, Variables};
use crate::home::identities;
use crate::noun::run::NOUN;
use crate::outcome::Failure;
use crate::table::Noun;

#[derive(Debug, Args)]
pub(super) struct RunFile {
    /// The file, or its URL; `ockam.yml` or `ockam.yaml` in the current directory when none is given
    path: Option<String>,
    /// The text itself
    #[arg(long, value_name = "YAML", conflicts_with = "path")]
    inline: Option<String>,
    /// A variable of the file; repeat for several
    #[arg(long, value_name = "NAME=VALUE")]
    variable: Vec<String>,
    /// Stay until interrupted
    #[arg(long)]
    blocking: bool,
}

impl Run for RunFile {
    const NOUN: &'static Noun = &NOUN;
    const VERB: &'static str = "";

    fn examples() -> Vec<Example> {
        vec![
            Example::new("What a file in this folder says", "ockam run"),
            Example::new("A file", "ockam run ./ockam.yaml"),
        ]
    }

    async fn run<'a>(self, session: &'a Session<'a>) -> Result<(), Failure> {
        let variables = Variables::read(&self.variable)?;
        let source = self.source()?;
        run(session, source, &variables).await?;
        if self.blocking {
            session.host.end_of_process(Stdin::Ignore).await;
        }
        Ok(())
    }
}

/// Does what a run file says.
pub(super) async fn run(
    session: &Session<'_>,
    source: Source,
    variables: &Variables,
) -> Result<(), Failure> {
    let origin = source.load(session).await?;
    let document = Document::read(session, origin, variables)?;
    document.warn_of_unknown_keys(session, RUN_FILE, &[])?;
    let ticket = match document.ticket()? {
        Some(text) => Some(project::read_ticket(session, Some(&text)).await?),
        None => None,
    };
    let mut plan = Plan::of(document, RUN_FILE, None)?;
    plan.check(session).await?;
    let state = session.open().await?;
    plan.recall(&Owner::Run.known(&state).await?)?;
    let home = plan.split_off_home();
    let mut changes = home
        .apply(session, &state, &Owner::Run, Mode::Apply)
        .await?;
    if let Some(ticket) = ticket {
        session.unlock_for(&state, None).await?;
        let identity = identities::find_or_default(&state, None).await?;
        project::enroll_once(session, &state, ticket, &identity).await?;
    }
    let nodes = plan
        .apply(session, &state, &Owner::Run, Mode::Apply)
        .await?;
    changes.extend(nodes);
    if changes.iter().all(Changed::is_none) {
        session.host.note(Note::Info("Nothing changed".to_owned()));
    }
    Ok(())
}

impl RunFile {
    fn source(&self) -> Result<Source, Failure> {
        if let Some(text) = &self.inline {
            return Ok(Source::Inline(text.clone()));
        }
        if let Some(path) = &self.path {
            return Ok(Source::of_argument(path).unwrap_or_else(|| Source::File(path.into())));
        }
        DEFAULT_FILES
            .iter()
            .find(|name| Path::new(name).is_file())
            .map(|name| Source::File(name.into()))
            .ok_or_else(|| {
                // spec: command 3.3 (configuration without file)
                Failure::new("No default configuration file found in current directory")
                    .help("name the file: `ockam run FILE`, or make one named ockam.yaml")
            })
    }
}

const DEFAULT_FILES: [&str; 2] = ["ockam.yml", "ockam.yaml"];
