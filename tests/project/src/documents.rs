//! Tags in the code lead to sections of `docs/protocol/`, links lead to files, promises of documents hold.

use std::collections::{BTreeMap, BTreeSet};

use crate::tree::{SourceFile, expect_none, files, metadata, root, text};

/// Names in tags and the documents they stand for.
const DOCUMENTS: &[(&str, &str)] = &[
    ("messaging", "docs/protocol/1-messaging.md"),
    ("trust", "docs/protocol/2-trust.md"),
    ("command", "docs/protocol/3-command.md"),
    ("extensions", "docs/protocol/4-extensions.md"),
];

/// Vectors that no code of this release reads, each with what will.
const WAITING_VECTORS: &[(&str, &str)] = &[
    ("vectors/abac.json", "policies"),
    ("vectors/credential.json", "credentials"),
    ("vectors/credential_negative.json", "credentials"),
    ("vectors/ticket.json", "enrolment"),
];

#[test]
fn every_specification_tag_leads_to_a_section() {
    let sections: BTreeMap<&str, BTreeSet<String>> = DOCUMENTS
        .iter()
        .map(|(name, path)| (*name, headings(text(path))))
        .collect();
    let mut findings = Vec::new();
    let mut seen = 0;
    for file in code() {
        for (number, line) in file.lines() {
            for tag in line.split("spec: ").skip(1) {
                seen += 1;
                let mut words = tag.split(|c: char| c.is_whitespace() || ",;()`/".contains(c));
                let name = words.next().unwrap_or_default();
                let section = words.next().unwrap_or_default().trim_end_matches('.');
                let Some(known) = sections.get(name) else {
                    findings.push(format!("{}:{number}: no document `{name}`", file.path));
                    continue;
                };
                if !known.contains(section) {
                    findings.push(format!(
                        "{}:{number}: no section {name} {section}",
                        file.path
                    ));
                }
            }
        }
    }
    expect_none(&findings);
    assert!(seen > 0, "code cites the specification");
}

#[test]
fn links_between_documents_lead_somewhere() {
    let mut findings = Vec::new();
    for file in files().iter().filter(|file| file.path.ends_with(".md")) {
        let folder = file.path.rsplit_once('/').map_or("", |(folder, _)| folder);
        for (number, line) in file.lines() {
            for target in line
                .split("](")
                .skip(1)
                .filter_map(|rest| rest.split(')').next())
            {
                let target = target.split('#').next().unwrap_or_default();
                if target.is_empty() || target.contains("://") {
                    continue;
                }
                if !root().join(folder).join(target).exists() {
                    findings.push(format!("{}:{number}: {target}", file.path));
                }
            }
        }
    }
    expect_none(&findings);
}

#[test]
fn paths_named_in_documents_exist() {
    let mut findings = Vec::new();
    for path in [
        "README.md",
        "CONTRIBUTING.md",
        "SECURITY.md",
        "docs/architecture.md",
    ] {
        for (at, word) in text(path).split('`').enumerate() {
            // Every second part lies between back quotes.
            let inside = at % 2 == 1 && !word.contains(char::is_whitespace);
            let place = [
                "crates/", "docs/", "tests/", "vectors/", "scripts/", "bench/", ".ci/",
            ];
            let wild = word.contains(['*', '<', '{']);
            if inside && !wild && place.iter().any(|place| word.starts_with(place)) {
                let word = word.trim_end_matches('/');
                if !root().join(word).exists() {
                    findings.push(format!("{path}: `{word}`"));
                }
            }
        }
    }
    expect_none(&findings);
}

#[test]
fn the_changelog_knows_this_version() {
    let version = metadata()
        .workspace_packages()
        .first()
        .map(|package| package.version.to_string())
        .expect("the workspace has a package");
    assert!(
        text("CHANGELOG.md").contains(&format!("## {version}")),
        "## {version} is missing"
    );
}

#[test]
fn every_vector_is_read_by_a_test_or_waits_for_a_named_part() {
    let mut findings = Vec::new();
    for vector in files()
        .iter()
        .filter(|file| file.path.starts_with("vectors/"))
    {
        let read = files().iter().any(|file| {
            file.path.ends_with(".rs")
                && !file.path.starts_with("tests/project/")
                && file.text.contains(&vector.path)
        });
        let waits = WAITING_VECTORS.iter().any(|(path, _)| *path == vector.path);
        if read == waits {
            let what = if read {
                "is read, so it does not wait"
            } else {
                "is read by no test"
            };
            findings.push(format!("{} {what}", vector.path));
        }
    }
    expect_none(&findings);
}

#[test]
fn headings_are_found() {
    let found = headings(
        "# 1. Messaging\n## 1. Encodings\n### 1.5 Routing message\ntext 2.2\n## 12. Guards\n",
    );
    assert!(
        ["1", "1.5", "12"]
            .iter()
            .all(|section| found.contains(*section))
    );
    assert!(!found.contains("2.2"));
}

/// Files that may carry tags; the documents themselves explain them and this module spells them.
fn code() -> impl Iterator<Item = &'static SourceFile> {
    files().iter().filter(|file| {
        (file.path.ends_with(".rs") || file.path.ends_with(".py"))
            && !file.path.starts_with("tests/project/")
    })
}

/// The numbers that headings of a document begin with.
fn headings(document: &str) -> BTreeSet<String> {
    document
        .lines()
        .filter(|line| line.starts_with('#'))
        .filter_map(|line| line.trim_start_matches('#').split_whitespace().next())
        .map(|word| word.trim_end_matches('.').to_owned())
        .filter(|word| word.starts_with(|c: char| c.is_ascii_digit()))
        .collect()
}
