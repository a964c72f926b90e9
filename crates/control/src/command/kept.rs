//! What a controller told of and this home keeps, spaces and projects: how they are named, listed and shown.

use serde::Serialize;
use serde_json::json;

use crate::command::{Session, flow, text};
use crate::outcome::{Failure, Outcome};
use crate::table::Noun;

/// A record of the home with a name here and an id at its controller.
pub(super) trait Kept {
    /// How it is shown.
    type View: Serialize;
    /// The word before its name.
    const KIND: &'static str;

    fn id(&self) -> &str;
    fn name(&self) -> &str;
    fn is_default(&self) -> bool;

    /// As it is shown.
    ///
    /// # Errors
    /// What is kept of it cannot be read.
    fn view(&self) -> Result<Self::View, Failure>;

    /// What people want to know of it beside its name.
    fn described(view: &Self::View) -> Vec<String>;
}

/// All of them.
pub(super) fn list<K: Kept>(none: &str, known: &[K]) -> Result<Outcome, Failure> {
    let views = known.iter().map(K::view).collect::<Result<Vec<_>, _>>()?;
    let plain = if views.is_empty() {
        text::info(none)
    } else {
        text::list(known.iter().zip(&views).map(|(kept, view)| {
            let mark = if kept.is_default() { " (default)" } else { "" };
            let described = K::described(view).join("\n");
            format!("{} {}{mark}\n{described}", K::KIND, kept.name())
        }))
    };
    Ok(Outcome::plain(plain).json(json!(views)))
}

/// The one that was named, the default one, or those the user picks.
pub(super) async fn show<K: Kept>(
    session: &Session<'_>,
    noun: &Noun,
    known: &[K],
    wanted: Option<String>,
) -> Result<(), Failure> {
    let wanted = wanted.map(|name| by_name(known, name));
    let default = known.iter().find(|kept| kept.is_default());
    let default = default.map(|kept| kept.name().to_owned());
    flow::show(
        session,
        noun,
        &names(known),
        wanted,
        default,
        async |name| {
            let kept = find(noun, known, name)?;
            let view = kept.view()?;
            let mut lines = vec![text::more(format!("{} {}", K::KIND, kept.name()))];
            lines.extend(K::described(&view).into_iter().map(text::more));
            Ok(Outcome::plain(lines.join("\n")).json(json!(view)))
        },
    )
    .await
}

/// The names of all.
pub(super) fn names<K: Kept>(known: &[K]) -> Vec<String> {
    known.iter().map(|kept| kept.name().to_owned()).collect()
}

/// The name of the one that was named, perhaps by its id.
pub(super) fn by_name<K: Kept>(known: &[K], name: String) -> String {
    let is_name = known.iter().any(|kept| kept.name() == name);
    match known.iter().find(|kept| kept.id() == name) {
        Some(kept) if !is_name => kept.name().to_owned(),
        _ => name,
    }
}

/// The one with this name.
///
/// # Errors
/// There is none.
pub(super) fn find<'r, K: Kept>(noun: &Noun, known: &'r [K], name: &str) -> Result<&'r K, Failure> {
    let mut known = known.iter();
    let found = known.find(|kept| kept.name() == name);
    found.ok_or_else(|| flow::not_found(noun, name))
}
