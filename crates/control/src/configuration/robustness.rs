//! Any text is read in bounded time and memory, and nothing in it ends the program.

use std::time::{Duration, Instant};

use proptest::prelude::*;

use crate::configuration::{Document, NODE_FILE, Origin, Plan, RUN_FILE, Variables};

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in text()) {
        read(&text);
    }

    #[test]
    fn pieces_of_a_configuration_in_any_order_are_read_or_refused(text in pieces()) {
        read(&text);
    }
}

#[test]
fn texts_that_grow_are_refused_soon() {
    let mut laughs = "a: &a [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for (name, before) in "bcdefghijkl".chars().zip("abcdefghijk".chars()) {
        let items = vec![format!("*{before}"); 10].join(", ");
        laughs.push_str(&format!("{name}: &{name} [{items}]\n"));
    }
    let large = 256 * 1024;
    let texts = [
        laughs,
        "[".repeat(large),
        "{a: ".repeat(large / 4),
        "- ".repeat(large / 2),
        "? ".repeat(large / 2),
        "&a ".repeat(large / 3),
        "*a ".repeat(large / 3),
        "!a ".repeat(large / 3),
        "\"".repeat(large),
        "'".repeat(large),
        "${".repeat(large / 2),
        "a: ${A:-".repeat(large / 8),
        "$A".repeat(large / 2),
        format!("# {}", "$B".repeat(large / 2)),
        "/*".repeat(large / 2),
        "{// \n".repeat(large / 5),
        format!("a: {}", "é".repeat(large / 2)),
        format!("{{{}}}", "\"ä\": 1, ".repeat(8)),
        format!("[{}]", "ü, ".repeat(large / 4)),
        format!("a: |\n{}", " b\n".repeat(large / 3)),
        format!("{}a: b", "#\n".repeat(large / 2)),
        (0..20_000).map(|n| format!("k{n}: &a{n} {n}\n")).collect(),
    ];
    for text in texts {
        let begun = Instant::now();
        read(&text);
        let taken = begun.elapsed();
        let start: String = text.chars().take(20).collect();
        assert!(taken < Duration::from_secs(10), "{start} took {taken:?}");
    }
}

/// What a command does with a text before it changes anything.
fn read(text: &str) {
    let origin = Origin {
        name: "a.yaml".to_owned(),
        text: text.to_owned(),
    };
    let given = Variables::default();
    let environment = |name: &str| (name == "A").then(|| "value: \n- of a".to_owned());
    let Ok(document) = Document::read_with(origin.clone(), &given, &environment, &drop) else {
        return;
    };
    let root = document.root;
    for sections in [NODE_FILE, RUN_FILE] {
        let document = Document {
            origin: origin.clone(),
            root: root.clone(),
        };
        // Whether it is a configuration is not the question here.
        drop(Plan::of(document, sections, Some("n1")));
    }
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        ".{0,200}",
        "[a-z:{}\\[\\], \n&*!|>'\"#%@`?\\-]{0,400}",
        "(\\$|\\{|\\}|A|:-|\n|\\$\\{A\\}){0,60}",
    ]
}

fn pieces() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "name: n1\n",
        "tcp-outlets:",
        "tcp-inlet: ",
        "relays:",
        "nodes: ",
        "\n  ",
        "\n    ",
        "\n- ",
        "to: 5000",
        "from: \"127.0.0.1:0\"",
        "at: n2",
        "{",
        "}",
        "[",
        "]",
        ", ",
        ": ",
        "\n",
        "true",
        "1.5",
        "~",
        "é",
        "&a ",
        "*a",
        "$A",
        "${A:-b}",
        "// c",
        "# c",
    ]);
    prop::collection::vec(piece, 0..30).prop_map(|pieces| pieces.concat())
}
