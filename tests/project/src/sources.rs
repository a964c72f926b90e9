//! Names, lengths and re-exports of source files.

use std::collections::BTreeSet;

use crate::tree::{expect_none, files, rust_files, text};

/// Words that name no concept.
const EMPTY_NAMES: &[&str] = &[
    "common", "creation", "factory", "helper", "helpers", "manager", "misc", "util", "utils",
];

/// Longest file; beyond it a concept is missing.
const LONGEST: usize = 1000;

/// Flat tables, which may be longer.
const FLAT_TABLES: &[&str] = &[];

#[test]
fn modules_are_named_for_concepts() {
    let mut findings = Vec::new();
    for file in rust_files() {
        if file.name() == "mod.rs" {
            findings.push(format!("{}: use `name.rs` beside `name/`", file.path));
        }
        let stem = file.name().trim_end_matches(".rs");
        for name in file.folders().chain([stem]) {
            if EMPTY_NAMES.contains(&name) {
                findings.push(format!("{}: `{name}` names no concept", file.path));
            }
        }
    }
    expect_none(&findings);
}

#[test]
fn no_module_is_the_plural_of_its_neighbour() {
    let paths: BTreeSet<&str> = rust_files()
        .map(|file| file.path.as_str())
        .filter(|path| path.contains("/src/"))
        .collect();
    let mut findings = Vec::new();
    for path in &paths {
        let stem = path.trim_end_matches(".rs");
        let plurals = [format!("{stem}s.rs"), format!("{stem}es.rs")];
        let y = stem.strip_suffix('y').map(|stem| format!("{stem}ies.rs"));
        for plural in plurals.iter().chain(&y) {
            if paths.contains(plural.as_str()) {
                findings.push(format!("{path} and {plural} are twins"));
            }
        }
    }
    expect_none(&findings);
}

#[test]
fn nothing_is_exported_by_a_star() {
    let mut findings = Vec::new();
    for file in rust_files() {
        for (number, line) in file.lines() {
            let line = line.trim();
            let public = line.starts_with("pub use ") || line.starts_with("pub(");
            if public && line.contains("use ") && line.ends_with("::*;") {
                findings.push(format!("{}:{number}: {line}", file.path));
            }
        }
    }
    expect_none(&findings);
}

#[test]
fn files_stay_short() {
    let mut findings = Vec::new();
    for file in rust_files() {
        let length = file.text.lines().count();
        if length > LONGEST && !FLAT_TABLES.contains(&file.path.as_str()) {
            findings.push(format!("{}: {length} lines", file.path));
        }
    }
    for table in FLAT_TABLES {
        text(table);
    }
    expect_none(&findings);
}

/// Anything else that is ignored is skipped, and a skip is a failure of `./check`.
#[test]
fn an_ignored_test_is_run_by_another_one() {
    let mut findings = Vec::new();
    for file in rust_files().filter(|file| !file.path.starts_with("tests/project/")) {
        for (number, line) in file.lines() {
            let Some(reason) = line.trim().strip_prefix("#[ignore") else {
                continue;
            };
            let runner = reason
                .strip_prefix(" = \"run by ")
                .and_then(|reason| reason.strip_suffix("\"]"));
            if !runner.is_some_and(|name| file.text.contains(&format!("fn {name}()"))) {
                findings.push(format!(
                    "{}:{number}: run by no test of this file",
                    file.path
                ));
            }
        }
    }
    expect_none(&findings);
}

#[test]
fn source_files_end_with_one_newline() {
    let mut findings = Vec::new();
    for file in files() {
        let kind = file.name().rsplit('.').next().unwrap_or_default();
        if ["rs", "md", "toml", "py", "sh"].contains(&kind)
            && (!file.text.ends_with('\n') || file.text.ends_with("\n\n"))
        {
            findings.push(file.path.clone());
        }
    }
    expect_none(&findings);
}
