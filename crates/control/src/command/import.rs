//! `ockam import`.

use std::path::PathBuf;

use clap::Args;
use ockam_store::Effect;
use serde_json::json;

use crate::command::{Example, Note, Run, Session, flow, text};
use crate::home::import;
use crate::noun::import::{ImportResult, Imported, ImportedItem, NOUN};
use crate::outcome::{Failure, Outcome};
use crate::table::Noun;

/// Told once in a home that the published program has its state in.
pub(super) const NOTICE: &str = "published state";

#[derive(Debug, Args)]
pub(super) struct Import {
    /// The home of the published program; OCKAM_HOME when none is given
    directory: Option<PathBuf>,
    /// Say what would be taken over, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Do not ask for confirmation
    #[arg(short, long)]
    yes: bool,
}

impl Run for Import {
    const NOUN: &'static Noun = &NOUN;
    const VERB: &'static str = "";

    fn examples() -> Vec<Example> {
        vec![
            Example::new("What would be taken over", "ockam import --dry-run"),
            Example::new(
                "Vaults, identities and nodes of a home of the published program",
                "ockam import ~/.ockam --yes",
            ),
        ]
    }

    async fn run<'a>(self, session: &'a Session<'a>) -> Result<(), Failure> {
        let state = session.open_quietly().await?;
        let directory = self.directory.unwrap_or_else(|| session.host.home());
        let found = import::published(&state, &directory).await?;
        let preview = import::take_over(&state, &found, Effect::Preview).await?;
        if self.dry_run {
            print(session, &preview, Effect::Preview);
            return Ok(());
        }
        if changes(&preview) {
            if !self.yes && session.host.can_prompt() {
                for line in lines(&preview, Effect::Preview) {
                    session.host.note(Note::Line(line));
                }
            }
            if !flow::confirmed(session, self.yes)? {
                return Ok(());
            }
        }
        let done = import::take_over(&state, &found, Effect::Store).await?;
        // Who has done it need not be told that it can be done.
        session.is_new(&state, NOTICE).await;
        print(session, &done, Effect::Store);
        Ok(())
    }
}

/// Shows what became, or would become, of everything.
pub(super) fn print(session: &Session<'_>, imported: &Imported, effect: Effect) {
    for reason in &imported.left_out {
        session
            .host
            .note(Note::Warning(format!("Left out: {reason}")));
    }
    let mut plain: Vec<String> = lines(imported, effect)
        .into_iter()
        .map(|line| format!("  │ {line}"))
        .collect();
    plain.push(match (effect, changes(imported)) {
        (Effect::Preview, _) => text::info("Nothing was changed"),
        (Effect::Store, true) => text::done("Everything listed is here now"),
        (Effect::Store, false) => text::info("There is nothing new to take over"),
    });
    session
        .host
        .print(Outcome::plain(plain.join("\n")).json(json!(imported)));
}

fn changes(imported: &Imported) -> bool {
    let kept = [ImportResult::Known, ImportResult::Refused];
    all(imported).any(|(_, item)| !kept.contains(&item.result))
}

fn all(imported: &Imported) -> impl Iterator<Item = (&'static str, &ImportedItem)> {
    of("Vault", &imported.vaults)
        .chain(of("Identity", &imported.identities))
        .chain(of("Node", &imported.nodes))
}

fn of<'i>(
    kind: &'static str,
    items: &'i [ImportedItem],
) -> impl Iterator<Item = (&'static str, &'i ImportedItem)> {
    items.iter().map(move |item| (kind, item))
}

fn lines(imported: &Imported, effect: Effect) -> Vec<String> {
    let (is, got) = match effect {
        Effect::Preview => ("would be", "would get"),
        Effect::Store => ("is", "got"),
    };
    all(imported)
        .map(|(kind, item)| {
            let name = &item.name;
            let here = match item.here.as_deref() {
                Some(here) if here != name => format!(" as {here}"),
                _ => String::new(),
            };
            match item.result {
                ImportResult::New | ImportResult::Renamed => {
                    format!("{kind} {name} {is} taken over{here}")
                }
                ImportResult::Completed => {
                    format!("{kind} {name} is here already{here} and {got} the keys it lacked")
                }
                ImportResult::Known => format!("{kind} {name} is here already{here}"),
                ImportResult::Refused => {
                    let reason = item.reason.as_deref().unwrap_or("it cannot be used");
                    format!("{kind} {name} {is} left out: {reason}")
                }
            }
        })
        .collect()
}
