//! How show and delete choose what they act on, the same for every noun (spec: command 3.8).

use crate::command::{Note, Session, text};
use crate::hint;
use crate::outcome::{Failure, Outcome};
use crate::table::Noun;

/// What a delete command was told about its subject.
#[derive(Debug, Clone, Default)]
pub(super) struct Chosen {
    /// The name given.
    pub(super) name: Option<String>,
    /// `--all`.
    pub(super) all: bool,
    /// `--yes`.
    pub(super) yes: bool,
}

/// Shows the item that was named, the default one, or the ones the user picks.
pub(super) async fn show(
    session: &Session<'_>,
    noun: &Noun,
    names: &[String],
    wanted: Option<String>,
    default: Option<String>,
    show: impl AsyncFn(&str) -> Result<Outcome, Failure>,
) -> Result<(), Failure> {
    if names.is_empty() {
        session.host.print(nothing(noun, "show"));
        return Ok(());
    }
    if wanted.is_some() || !session.host.can_prompt() {
        let name = wanted.or(default).ok_or_else(|| {
            let known: Vec<&str> = names.iter().map(String::as_str).collect();
            Failure::new(format!("No {} provided", noun.kind))
                .help(format!("name one of: {}", hint::listed(&known)))
        })?;
        if !names.contains(&name) {
            return Err(not_among(noun, &name, names));
        }
        session.host.print(show(&name).await?);
        return Ok(());
    }
    for name in pick(session, noun, names, "show")? {
        match show(&name).await {
            Ok(outcome) => session.host.print(outcome),
            Err(failure) => session.host.note(one_of_several(failure)),
        }
    }
    Ok(())
}

/// Deletes the item that was named, all, or the ones the user picks, after confirmation.
pub(super) async fn delete(
    session: &Session<'_>,
    noun: &Noun,
    names: &[String],
    chosen: Chosen,
    delete: impl AsyncFn(&str) -> Result<Outcome, Failure>,
) -> Result<(), Failure> {
    if names.is_empty() {
        session.host.print(nothing(noun, "delete"));
        return Ok(());
    }
    if let Some(name) = chosen.name {
        if !names.contains(&name) {
            return Err(not_among(noun, &name, names));
        }
        if confirmed(session, chosen.yes)? {
            session.host.print(delete(&name).await?);
        }
        return Ok(());
    }
    let victims = if chosen.all {
        names.to_vec()
    } else if session.host.can_prompt() {
        pick(session, noun, names, "delete")?
    } else {
        // spec: command 3.17 (trap 7): nothing named and nobody to ask, so nothing is done.
        return Ok(());
    };
    if victims.is_empty() || !confirmed(session, chosen.yes)? {
        return Ok(());
    }
    for name in victims {
        match delete(&name).await {
            Ok(outcome) => session.host.print(outcome),
            Err(failure) => session.host.note(one_of_several(failure)),
        }
    }
    Ok(())
}

/// Whether the user agrees, by `--yes` or in answer to the question.
pub(super) fn confirmed(session: &Session<'_>, yes: bool) -> Result<bool, Failure> {
    if yes {
        Ok(true)
    } else if session.host.can_prompt() {
        session.host.confirm("Are you sure you want to proceed?")
    } else {
        Err(Failure::new("Use --yes to confirm"))
    }
}

/// A failure after which the others follow.
fn one_of_several(failure: Failure) -> Note {
    Note::Warning(match failure.causes.first() {
        Some(cause) => format!("{}: {cause}", failure.message),
        None => failure.message,
    })
}

/// The failure for a name that is not among the items.
pub(super) fn not_found(noun: &Noun, name: &str) -> Failure {
    Failure::new(format!("The {} {name} was not found", noun.kind))
}

fn not_among(noun: &Noun, name: &str, names: &[String]) -> Failure {
    let known = names.iter().map(String::as_str);
    hint::among(not_found(noun, name), name, &kinds(noun), known)
}

fn nothing(noun: &Noun, verb: &str) -> Outcome {
    Outcome::plain(text::info(format!(
        "There are no {} to {verb}",
        kinds(noun)
    )))
    .json(serde_json::Value::Array(Vec::new()))
}

fn kinds(noun: &Noun) -> String {
    noun.many.replace('-', " ")
}

fn pick(
    session: &Session<'_>,
    noun: &Noun,
    names: &[String],
    verb: &str,
) -> Result<Vec<String>, Failure> {
    if let [only] = names {
        return Ok(vec![only.clone()]);
    }
    let question = format!("Select the {} that you want to {verb}", kinds(noun));
    let chosen = session.host.choose(&question, names)?;
    Ok(chosen
        .into_iter()
        .filter_map(|index| names.get(index).cloned())
        .collect())
}
