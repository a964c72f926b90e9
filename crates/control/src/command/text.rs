//! Lines of plain texts (spec: command 3.2): four spaces, or two spaces, an icon and a space.

use ockam_identity::UnixTime;

/// Something was done.
pub(crate) fn done(text: impl std::fmt::Display) -> String {
    format!("  ✔ {text}")
}

/// Something to know.
pub(crate) fn info(text: impl std::fmt::Display) -> String {
    format!("  > {text}")
}

/// A further line of the text before.
pub(crate) fn more(text: impl std::fmt::Display) -> String {
    format!("    {text}")
}

/// Lines that are each a further line.
pub(crate) fn block(text: &str) -> String {
    text.lines().map(more).collect::<Vec<_>>().join("\n")
}

/// The items of a list, each of one or more lines, with a blank line between items of several.
pub(crate) fn list(items: impl IntoIterator<Item = String>) -> String {
    let items: Vec<String> = items.into_iter().collect();
    let between = if items.iter().any(|item| item.contains('\n')) {
        "\n\n"
    } else {
        "\n"
    };
    items
        .iter()
        .map(|item| {
            item.lines()
                .map(|line| format!("  │ {line}"))
                .collect::<Vec<_>>()
                .join("\n")
        })
        .collect::<Vec<_>>()
        .join(between)
}

/// So many things: `1 inlet`, `2 inlets`.
pub(crate) fn count(number: usize, one: &str) -> String {
    match number {
        1 => format!("1 {one}"),
        _ => format!("{number} {one}s"),
    }
}

/// An address as users write it: the name of a local worker becomes `/service/<name>`.
pub(crate) fn service(name: impl std::fmt::Display) -> String {
    format!("/service/{name}")
}

/// Whether a time is still to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tense {
    /// It is to come, or now.
    Future,
    /// It is over.
    Past,
}

/// How far away a time is, in one unit: `30 minutes`.
pub(crate) fn away(now: UnixTime, then: UnixTime) -> (String, Tense) {
    let tense = if then >= now {
        Tense::Future
    } else {
        Tense::Past
    };
    (how_long(then.0.abs_diff(now.0)), tense)
}

/// A number of seconds in one unit: `30 minutes`.
pub(crate) fn how_long(seconds: u64) -> String {
    let (unit, one) = match seconds {
        0..90 => (1, "second"),
        90..5_400 => (60, "minute"),
        5_400..129_600 => (3_600, "hour"),
        129_600..63_072_000 => (86_400, "day"),
        _ => (31_536_000, "year"),
    };
    let number = usize::try_from(seconds.saturating_add(unit / 2) / unit).unwrap_or(usize::MAX);
    count(number, one)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_of_several_lines_stand_apart() {
        let listed = |items: &[&str]| list(items.iter().map(|item| (*item).to_owned()));
        assert_eq!(listed(&["a", "b"]), "  │ a\n  │ b");
        assert_eq!(listed(&["a\n1", "b"]), "  │ a\n  │ 1\n\n  │ b");
    }

    #[test]
    fn times_are_told_in_the_unit_that_fits() {
        let told = |now: u64, then: u64| away(UnixTime(now), UnixTime(then));
        for (seconds, text) in [
            (0, "0 seconds"),
            (1, "1 second"),
            (60, "60 seconds"),
            (1_799, "30 minutes"),
            (7_200, "2 hours"),
            (2_592_000, "30 days"),
            (157_680_000, "5 years"),
        ] {
            assert_eq!(
                told(1_000, 1_000 + seconds),
                (text.to_owned(), Tense::Future)
            );
        }
        assert_eq!(told(1_000, 995), ("5 seconds".to_owned(), Tense::Past));
        assert_eq!(told(0, u64::MAX).1, Tense::Future);
    }

    #[test]
    fn one_thing_is_not_said_to_be_several() {
        assert_eq!(count(1, "inlet"), "1 inlet");
        assert_eq!(count(0, "inlet"), "0 inlets");
    }
}
