//! The table of guards: each has a row, each row a test that exists, and each test named after a guard a row.

use std::collections::{BTreeMap, BTreeSet};

use crate::tree::{expect_none, rust_files, text};

const TABLE: &str = "docs/security/guards.md";

/// What the specification lists, by section.
fn listed() -> BTreeSet<Guard> {
    let audit = ["1", "2", "3", "4", "5", "6", "b", "c1"].map(|item| Guard::new("11_1", item));
    let weak = (1..=28).map(|number| Guard::new("11_2", &number.to_string()));
    let messaging = (1..=41).map(|number| Guard::new("w", &number.to_string()));
    let orchestrator = (1..=9).map(|number| Guard::new("o", &number.to_string()));
    audit
        .into_iter()
        .chain(weak)
        .chain(messaging)
        .chain(orchestrator)
        .collect()
}

#[test]
fn every_guard_has_a_row_with_tests_that_exist() {
    let tests = tests();
    let mut findings = Vec::new();
    let mut rows = BTreeMap::new();
    for row in rows_of(text(TABLE)) {
        let guard = row.guard;
        if rows.insert(guard.clone(), row.tests.clone()).is_some() {
            findings.push(format!("{guard}: two rows"));
        }
        if row.tests.is_empty() && !row.says_why_none {
            findings.push(format!("{guard}: no test, and no reason"));
        }
        for test in &row.tests {
            if !tests.contains(test) {
                findings.push(format!("{guard}: there is no test {test}"));
            }
            if Guard::of_test(test).as_ref() != Some(&guard) {
                findings.push(format!("{guard}: {test} is named after another guard"));
            }
        }
        for file in row.files {
            if !crate::tree::root().join(file).exists() {
                findings.push(format!("{guard}: there is no {file}"));
            }
        }
    }
    for guard in listed() {
        if !rows.contains_key(&guard) {
            findings.push(format!("{guard}: no row"));
        }
    }
    for test in tests {
        let named = Guard::of_test(test).and_then(|guard| rows.get(&guard));
        if !named.is_some_and(|row| row.contains(&test)) {
            findings.push(format!("{test} is in no row of {TABLE}"));
        }
    }
    expect_none(&findings);
}

#[test]
fn rows_and_names_are_read_as_they_are_written() {
    let table = "| 11.1 (C.1) | a | b | `docs/x` | `guard_11_1_c1_x` |\n\
        | W7 | a | not built: y | | |\n| 11.2 (7) | a | b | | |\n| guard | |\n";
    let rows: Vec<Row<'_>> = rows_of(table).collect();
    let read: Vec<(String, usize, bool)> = rows
        .iter()
        .map(|row| (row.guard.to_string(), row.tests.len(), row.says_why_none))
        .collect();
    assert_eq!(
        read,
        [
            ("11.1 (C1)".to_owned(), 1, false),
            ("W7".to_owned(), 0, true),
            ("11.2 (7)".to_owned(), 0, false)
        ]
    );
    for (test, guard) in [
        ("guard_11_2_07_x", Some("11.2 (7)")),
        ("guard_11_2_7_x", Some("11.2 (7)")),
        ("guard_11_1_b_x", Some("11.1 (B)")),
        ("guard_w05_x", Some("W5")),
        ("guard_o09_x", Some("O9")),
        ("guard_other", None),
        ("guard_x", None),
    ] {
        let read = Guard::of_test(test).map(|guard| guard.to_string());
        assert_eq!(read.as_deref(), guard, "{test}");
    }
}

#[test]
fn guard_11_1_1_the_threat_model_says_what_recorded_traffic_is_worth_later() {
    let model = text("docs/security/threat-model.md").to_lowercase();
    assert!(model.contains("quantum"));
    assert!(model.contains("recorded"));
}

#[test]
fn guard_11_1_5_the_threat_model_names_actors_assets_and_assumptions() {
    let model = text("docs/security/threat-model.md").to_lowercase();
    for subject in [
        "who",
        "relay",
        "authority",
        "clock",
        "revoke",
        "not protected",
    ] {
        assert!(model.contains(subject), "{subject}");
    }
}

/// One guard: its section as in the names of tests, and its number there.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Guard {
    section: String,
    item: String,
}

impl Guard {
    fn new(section: &str, item: &str) -> Self {
        Self {
            section: section.to_owned(),
            item: item.trim_start_matches('0').to_owned(),
        }
    }

    /// From `guard_11_2_07_what_it_does` or `guard_w05_what_it_does`.
    fn of_test(name: &str) -> Option<Self> {
        let name = name.strip_prefix("guard_")?;
        for section in ["11_1", "11_2"] {
            if let Some(rest) = name.strip_prefix(section).and_then(|r| r.strip_prefix('_')) {
                return Some(Self::new(section, rest.split('_').next()?));
            }
        }
        let item = name.split('_').next()?;
        Self::lettered(item)
    }

    /// From `w05` or `o5`.
    fn lettered(text: &str) -> Option<Self> {
        let section = ["w", "o"]
            .into_iter()
            .find(|section| text.starts_with(section))?;
        let item = text.strip_prefix(section)?;
        item.parse::<u8>().ok()?;
        Some(Self::new(section, item))
    }

    /// From `11.1 (C.1)`, `W5` or `O5`.
    fn of_row(cell: &str) -> Option<Self> {
        let cell = cell.to_lowercase();
        if let Some((section, item)) = cell.split_once(" (") {
            let item = item.trim_end_matches(')').replace('.', "");
            return section
                .starts_with("11.")
                .then(|| Self::new(&section.replace('.', "_"), &item));
        }
        Self::lettered(&cell)
    }
}

impl std::fmt::Display for Guard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let item = self.item.to_uppercase();
        match self.section.as_str() {
            section @ ("w" | "o") => write!(f, "{}{item}", section.to_uppercase()),
            section => write!(f, "{} ({item})", section.replace('_', ".")),
        }
    }
}

struct Row<'a> {
    guard: Guard,
    tests: Vec<&'a str>,
    files: Vec<&'a str>,
    says_why_none: bool,
}

fn rows_of(table: &str) -> impl Iterator<Item = Row<'_>> {
    table.lines().filter_map(|line| {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let guard = Guard::of_row(cells.first()?)?;
        let quoted = |at: usize| {
            let cell = cells.get(at).copied().unwrap_or_default();
            cell.split('`').skip(1).step_by(2).collect::<Vec<_>>()
        };
        let what = cells.get(2)?;
        Some(Row {
            guard,
            tests: quoted(4),
            files: quoted(3),
            says_why_none: what.starts_with("not built: ") || what.starts_with("by design: "),
        })
    })
}

/// Every test that is named after a guard, in any crate. Those of property tests stand without an attribute of their own.
fn tests() -> BTreeSet<&'static str> {
    rust_files()
        .flat_map(|file| file.text.lines())
        .filter_map(|line| {
            let line = line.trim();
            let line = line.strip_prefix("async ").unwrap_or(line);
            let name = line.strip_prefix("fn ")?.split('(').next()?;
            name.starts_with("guard_").then_some(name)
        })
        .collect()
}
