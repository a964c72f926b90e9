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

/// The items of a list, each of one or more lines, with a blank line between items.
pub(crate) fn list(items: impl IntoIterator<Item = String>) -> String {
    items
        .into_iter()
        .map(|item| {
            item.lines()
                .map(|line| format!("  │ {line}"))
                .collect::<Vec<_>>()
                .join("\n")
        })
        .collect::<Vec<_>>()
        .join("\n\n")
}

/// An address as users write it: the name of a local worker becomes `/service/<name>`.
pub(crate) fn service(name: impl std::fmt::Display) -> String {
    format!("/service/{name}")
}
