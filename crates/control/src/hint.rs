//! What a reader is told who named something that is not there.

use crate::outcome::Failure;

/// Adds what could have been meant: the name that is nearly the same, or all that there are. Where there are none, the
/// advice that the failure has stays.
pub(crate) fn among<'n>(
    failure: Failure,
    name: &str,
    kinds: &str,
    known: impl IntoIterator<Item = &'n str>,
) -> Failure {
    let known: Vec<&str> = known.into_iter().collect();
    match nearest(name, &known) {
        Some(near) => failure.help(format!("did you mean `{near}`?")),
        None if known.is_empty() => failure,
        None => failure.help(format!("there are these {kinds}: {}", listed(&known))),
    }
}

/// The names, or the first of very many.
pub(crate) fn listed(names: &[&str]) -> String {
    match names.len().checked_sub(SHOWN) {
        Some(more @ 1..) => format!(
            "{} and {more} more",
            names
                .iter()
                .take(SHOWN)
                .copied()
                .collect::<Vec<_>>()
                .join(", ")
        ),
        _ => names.join(", "),
    }
}

/// The name that somebody who typed this one most likely had in mind.
pub(crate) fn nearest<'n>(name: &str, known: &[&'n str]) -> Option<&'n str> {
    known
        .iter()
        .map(|candidate| {
            let (typed, there) = (name.to_lowercase(), candidate.to_lowercase());
            (strsim::damerau_levenshtein(&typed, &there), *candidate)
        })
        // A third of the longer one's letters may be wrong; names of one letter are like nothing else.
        .filter(|(distance, candidate)| {
            let letters = candidate.chars().count().max(name.chars().count());
            *distance * 3 <= letters
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// How many names a line shows.
const SHOWN: usize = 10;

#[cfg(test)]
mod tests {
    use super::*;

    fn help(name: &str, known: &[&str]) -> Option<String> {
        among(Failure::new("no"), name, "nodes", known.iter().copied()).help
    }

    #[test]
    fn a_slip_of_the_finger_is_recognised() {
        assert_eq!(
            help("relya", &["client", "relay"]).as_deref(),
            Some("did you mean `relay`?")
        );
        assert_eq!(
            help("Relay", &["relay"]).as_deref(),
            Some("did you mean `relay`?")
        );
    }

    #[test]
    fn without_a_likely_name_all_are_shown_and_not_too_many() {
        assert_eq!(
            help("n9", &["n1", "n2"]).as_deref(),
            Some("there are these nodes: n1, n2")
        );
        let many: Vec<String> = (0..12).map(|number| format!("node{number}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert!(help("x", &many).is_some_and(|help| help.ends_with("node9 and 2 more")));
        assert_eq!(help("x", &[]), None);
    }
}
