//! Licences and bans of `deny.toml`, and how manifests name what they depend on.
//!
//! `deny.toml` is written for `cargo-deny`; this test reads the same lists, so that every test run has the licence
//! check without a further tool. Advisories need a database from elsewhere and are looked up by `.ci/full` only.

use std::collections::BTreeSet;
use std::process::Command;

use crate::tree::{expect_none, files, metadata, root, text};

#[test]
fn every_licence_is_one_of_the_accepted() {
    let accepted = list("allow");
    assert!(
        accepted.contains("Apache-2.0"),
        "deny.toml has a list of licences"
    );
    let mut findings = Vec::new();
    for package in &metadata().packages {
        match package.license.as_deref() {
            Some(licence) if permits(licence, &accepted) => {}
            licence => findings.push(format!("{} {}: {licence:?}", package.name, package.version)),
        }
    }
    expect_none(&findings);
}

#[test]
fn nothing_banned_is_linked_or_built() {
    let banned = list("deny");
    assert!(
        banned.contains("openssl-sys"),
        "deny.toml has a list of bans"
    );
    let findings: Vec<String> = built()
        .iter()
        .filter(|line| {
            let name = line.split_whitespace().next().unwrap_or_default();
            banned.contains(name)
        })
        .map(|package| format!("{package} is banned"))
        .collect();
    expect_none(&findings);
}

#[test]
fn everything_foreign_comes_from_the_one_registry() {
    let mut findings = Vec::new();
    for package in &metadata().packages {
        let inside = package.manifest_path.starts_with(root());
        let registry = package
            .source
            .as_ref()
            .is_some_and(cargo_metadata::Source::is_crates_io);
        if inside == registry {
            findings.push(format!("{} comes from {:?}", package.name, package.source));
        }
    }
    expect_none(&findings);
}

#[test]
fn manifests_take_versions_and_lints_from_the_workspace() {
    let mut findings = Vec::new();
    for file in files() {
        // A workspace of its own cannot take anything from this one.
        if file.name() != "Cargo.toml" || ["Cargo.toml", "fuzz/Cargo.toml"].contains(&&*file.path) {
            continue;
        }
        let mut section = "";
        let mut lints = false;
        for (number, line) in file.lines() {
            let line = line.trim();
            if line.starts_with('[') {
                section = line;
            } else if section == "[lints]" && line == "workspace = true" {
                lints = true;
            } else if section.ends_with("dependencies]") && line.contains('=') {
                let from_workspace =
                    line.contains(".workspace = true") || line.contains("workspace = true");
                // A crate that switches its own features on for its tests.
                let itself = line.contains("path = \".\"");
                if !from_workspace && !itself && !line.starts_with('#') {
                    findings.push(format!("{}:{number}: {line}", file.path));
                }
            }
        }
        if !lints {
            findings.push(format!("{}: no `[lints] workspace = true`", file.path));
        }
        for field in [
            "edition.workspace",
            "license.workspace",
            "rust-version.workspace",
        ] {
            if !file.text.contains(field) {
                findings.push(format!("{}: no `{field} = true`", file.path));
            }
        }
    }
    expect_none(&findings);
}

#[test]
fn no_file_makes_a_toolchain_download_itself() {
    let findings: Vec<String> = files()
        .iter()
        .filter(|file| matches!(file.name(), "rust-toolchain" | "rust-toolchain.toml"))
        .map(|file| file.path.clone())
        .collect();
    expect_none(&findings);
}

#[test]
fn licence_expressions_are_understood() {
    let accepted: BTreeSet<String> = ["MIT", "ISC", "Apache-2.0 WITH LLVM-exception"]
        .into_iter()
        .map(str::to_owned)
        .collect();
    for good in [
        "MIT",
        "MIT OR GPL-3.0",
        "GPL-3.0 OR MIT",
        "MIT/GPL-3.0",
        "ISC AND (GPL-3.0 OR MIT)",
        "(MIT AND ISC) OR GPL-3.0",
        "Apache-2.0 WITH LLVM-exception OR GPL-3.0",
    ] {
        assert!(permits(good, &accepted), "{good}");
    }
    for bad in [
        "GPL-3.0",
        "MIT AND GPL-3.0",
        "ISC AND (GPL-3.0 OR BSD)",
        "Apache-2.0",
        "",
    ] {
        assert!(!permits(bad, &accepted), "{bad}");
    }
}

/// Whether a licence expression can be satisfied with accepted licences alone.
/// Every package that some build of the workspace takes part in, as `name version`. The lock file has more: whatever a
/// feature could switch on if something else asked for it.
fn built() -> BTreeSet<String> {
    let listed = Command::new(env!("CARGO"))
        .current_dir(root())
        .args([
            "tree",
            "--locked",
            "--offline",
            "--workspace",
            "--all-features",
        ])
        .args([
            "--target=all",
            "--edges=all",
            "--prefix=none",
            "--format={p}",
        ])
        .output()
        .expect("cargo runs");
    assert!(listed.status.success(), "{listed:?}");
    let text = String::from_utf8_lossy(&listed.stdout);
    let packages: BTreeSet<String> = text
        .lines()
        .filter(|line| !line.is_empty())
        .map(|line| {
            line.split_whitespace()
                .take(2)
                .collect::<Vec<_>>()
                .join(" ")
        })
        .collect();
    assert!(packages.len() > 100, "{packages:?}");
    packages
}

fn permits(expression: &str, accepted: &BTreeSet<String>) -> bool {
    let spaced = expression
        .replace('(', " ( ")
        .replace(')', " ) ")
        .replace('/', " OR ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut rest = words.as_slice();
    let result = either(&mut rest, accepted);
    rest.is_empty() && result
}

fn either(words: &mut &[&str], accepted: &BTreeSet<String>) -> bool {
    let mut result = both(words, accepted);
    while let [first, rest @ ..] = *words
        && *first == "OR"
    {
        *words = rest;
        result |= both(words, accepted);
    }
    result
}

fn both(words: &mut &[&str], accepted: &BTreeSet<String>) -> bool {
    let mut result = one(words, accepted);
    while let [first, rest @ ..] = *words
        && *first == "AND"
    {
        *words = rest;
        result &= one(words, accepted);
    }
    result
}

fn one(words: &mut &[&str], accepted: &BTreeSet<String>) -> bool {
    match *words {
        ["(", rest @ ..] => {
            *words = rest;
            let result = either(words, accepted);
            if let [")", rest @ ..] = *words {
                *words = rest;
            }
            result
        }
        [licence, "WITH", exception, rest @ ..] => {
            *words = rest;
            accepted.contains(&format!("{licence} WITH {exception}"))
        }
        [licence, rest @ ..] => {
            *words = rest;
            accepted.contains(*licence)
        }
        [] => false,
    }
}

/// The quoted words of the list `key = [ .. ]` in `deny.toml`; of a table entry, its `crate` or `name`.
fn list(key: &str) -> BTreeSet<String> {
    let opening = format!("{key} = [");
    text("deny.toml")
        .lines()
        .map(str::trim)
        .skip_while(|line| *line != opening)
        .skip(1)
        .take_while(|line| *line != "]")
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split('"').nth(1))
        .map(str::to_owned)
        .collect()
}
