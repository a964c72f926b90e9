//! Lines of plain texts (spec: command 3.2): four spaces, or two spaces, an icon and a space.

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
    fn one_thing_is_not_said_to_be_several() {
        assert_eq!(count(1, "inlet"), "1 inlet");
        assert_eq!(count(0, "inlet"), "0 inlets");
    }
}
