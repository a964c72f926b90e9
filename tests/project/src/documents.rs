//! Tags in the code lead to sections of `docs/protocol/`, links lead to files, promises of documents hold.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::tree::{SourceFile, expect_none, files, metadata, root, text};

/// Names in tags and the documents they stand for.
const DOCUMENTS: &[(&str, &str)] = &[
    ("messaging", "docs/protocol/1-messaging.md"),
    ("trust", "docs/protocol/2-trust.md"),
    ("command", "docs/protocol/3-command.md"),
    ("extensions", "docs/protocol/4-extensions.md"),
];

/// Vectors that no code of this release reads, each with what will.
const WAITING_VECTORS: &[(&str, &str)] = &[];

#[test]
fn every_specification_tag_leads_to_a_section() {
    let documents: BTreeMap<&str, BTreeMap<String, BTreeSet<String>>> = DOCUMENTS
        .iter()
        .map(|(name, path)| (*name, sections(text(path))))
        .collect();
    let mut findings = Vec::new();
    let mut seen = 0;
    for file in code() {
        for (number, line) in file.lines() {
            let Some((_, comment)) = line.split_once("//") else {
                continue;
            };
            for tag in comment.split("spec: ").skip(1) {
                seen += 1;
                for problem in problems(tag, &documents) {
                    findings.push(format!("{}:{number}: {problem}", file.path));
                }
            }
        }
    }
    expect_none(&findings);
    assert!(seen > 0, "code cites the specification");
}

#[test]
fn tags_are_read_as_they_are_written() {
    let document = "## 1. A\n### 1.5 B\n## 12. Guards\n| W4 | lists | bounded |\n| 6 | x | y |\n";
    let documents = BTreeMap::from([("messaging", sections(document))]);
    for good in [
        "messaging 1.5",
        "messaging 1.5).",
        "messaging 1, 1.5 (why).",
        "messaging 1 to 1.5: text 9",
        "messaging 12 (W4)",
        "messaging 12 W4",
        "messaging 12/6`",
        "messaging 1.5, 12 number 6).",
    ] {
        assert_eq!(problems(good, &documents), Vec::<String>::new(), "{good}");
    }
    for bad in [
        "messaging",
        "messaging 1.6",
        "messaging 1.5, 2",
        "channel 1",
        "messaging 12 (W5)",
        "messaging 12/7",
    ] {
        assert!(!problems(bad, &documents).is_empty(), "{bad}");
    }
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
fn every_document_is_linked_from_another() {
    let linked: BTreeSet<_> = files()
        .iter()
        .filter(|file| file.path.ends_with(".md"))
        .flat_map(|file| {
            let folder = root().join(&file.path);
            let folder = folder.parent().map(Path::to_owned).unwrap_or_default();
            let targets = file.text.split("](").skip(1);
            targets
                .filter_map(|rest| rest.split([')', '#']).next())
                .filter_map(move |target| folder.join(target).canonicalize().ok())
        })
        .collect();
    let findings: Vec<String> = files()
        .iter()
        .filter(|file| file.path.starts_with("docs/") && file.path.ends_with(".md"))
        .filter(|file| !linked.contains(&root().join(&file.path)))
        .map(|file| format!("{} is linked from nowhere", file.path))
        .collect();
    expect_none(&findings);
}

#[test]
fn what_the_readme_runs_can_be_run() {
    let mut findings = Vec::new();
    for path in [
        "demo",
        "check",
        ".ci/run",
        ".ci/full",
        "bench/run",
        "bench/start",
        "bench/instructions",
        "bench/micro",
        "bench/flame",
        "scripts/transcripts",
        "scripts/blocks",
        "scripts/dense",
        "scripts/trust/enrollment",
        "scripts/trust/refusals",
        "scripts/trust/confinement",
        "scripts/trust/renewal",
        "scripts/trust/thousand",
    ] {
        let mode = std::fs::metadata(root().join(path)).map_or(0, |file| file.permissions().mode());
        if mode & 0o111 == 0 {
            findings.push(format!("{path} is not executable"));
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
fn guard_11_1_b_every_vector_is_read_by_a_test() {
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

/// Files that may carry tags; the documents themselves explain them and this module spells them.
fn code() -> impl Iterator<Item = &'static SourceFile> {
    files().iter().filter(|file| {
        (file.path.ends_with(".rs") || file.path.ends_with(".py"))
            && !file.path.starts_with("tests/project/")
    })
}

/// What is wrong with a tag: `<document> <section>`, then further sections, each maybe with the row of a table in it:
/// `12 (W4)`, `11.2/22`, `11.2 number 8`.
fn problems(
    tag: &str,
    documents: &BTreeMap<&str, BTreeMap<String, BTreeSet<String>>>,
) -> Vec<String> {
    let mut words = tag
        .split(|c: char| c.is_whitespace() || ",;()`/".contains(c))
        .filter(|word| !word.is_empty() && *word != "number" && *word != "and" && *word != "to")
        .map(|word| word.trim_end_matches(['.', ':']));
    let mut document = words.next().unwrap_or_default();
    if !documents.contains_key(document) {
        return vec![format!("no document `{document}`")];
    }
    let mut problems = Vec::new();
    let mut section: Option<&BTreeSet<String>> = None;
    for word in words {
        let known = documents.get(document);
        if documents.contains_key(word) {
            document = word;
        } else if let Some(rows) = known.and_then(|known| known.get(word))
            && !section.is_some_and(|rows| rows.contains(word))
        {
            section = Some(rows);
        } else if let Some(rows) = section
            && is_row(word)
            && !rows.is_empty()
        {
            if !rows.contains(word) {
                problems.push(format!("no row {word} in that section of {document}"));
            }
        } else if word.starts_with(|c: char| c.is_ascii_digit()) {
            problems.push(format!("no section {document} {word}"));
        } else {
            break;
        }
    }
    if section.is_none() && problems.is_empty() {
        problems.push(format!("no section of {document} is named"));
    }
    problems
}

/// Whether a word may number a row: `22` or `W4`.
fn is_row(word: &str) -> bool {
    let digits = word.strip_prefix('W').unwrap_or(word);
    !digits.is_empty() && digits.chars().all(|c| c.is_ascii_digit())
}

/// The numbers that headings begin with, each with the numbers that rows and items below it begin with.
fn sections(document: &str) -> BTreeMap<String, BTreeSet<String>> {
    let mut sections: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut current = String::new();
    for line in document.lines() {
        if let Some(heading) = line.strip_prefix('#') {
            let number = heading.trim_start_matches('#').split_whitespace().next();
            let number = number.unwrap_or_default().trim_end_matches('.');
            if number.starts_with(|c: char| c.is_ascii_digit()) {
                current = number.to_owned();
                sections.entry(current.clone()).or_default();
            }
        } else if let Some(row) = line
            .strip_prefix("| ")
            .map_or_else(|| line.split(". ").next(), |row| row.split(" |").next())
            && is_row(row)
            && let Some(rows) = sections.get_mut(&current)
        {
            rows.insert(row.to_owned());
        }
    }
    sections
}
