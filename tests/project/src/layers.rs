//! Who may import what. The table is the one of `docs/architecture.md`, row by row.

use std::collections::{BTreeMap, BTreeSet};

use cargo_metadata::{DependencyKind, Package, PackageId};

use crate::tree::{expect_none, metadata, root, rust_files, text};

/// A crate and the crates it may import; a crate that does not exist yet keeps its row.
const LAYERS: &[(&str, &[&str])] = &[
    ("wire", &[]),
    ("vault", &[]),
    ("policy", &[]),
    ("identity", &["vault"]),
    ("channel", &["wire", "vault", "identity"]),
    ("node", &["wire", "vault", "policy", "identity", "channel"]),
    (
        "portal",
        &["wire", "vault", "policy", "identity", "channel", "node"],
    ),
    (
        "authority",
        &[
            "wire", "vault", "policy", "identity", "channel", "node", "portal",
        ],
    ),
    ("store", &["wire", "vault", "policy", "identity"]),
    (
        "ockam",
        &[
            "wire",
            "vault",
            "policy",
            "identity",
            "channel",
            "node",
            "portal",
            "authority",
            "store",
        ],
    ),
    (
        "control",
        &[
            "wire",
            "vault",
            "policy",
            "identity",
            "channel",
            "node",
            "portal",
            "authority",
            "store",
        ],
    ),
    (
        "orchestrator",
        &[
            "wire",
            "vault",
            "policy",
            "identity",
            "channel",
            "node",
            "portal",
            "authority",
            "store",
            "control",
        ],
    ),
    (
        "cli",
        &[
            "wire",
            "vault",
            "policy",
            "identity",
            "channel",
            "node",
            "portal",
            "authority",
            "store",
            "control",
            "orchestrator",
        ],
    ),
    ("bindings", &["ockam"]),
];

/// Crates that take time, randomness and bytes as arguments and reach for nothing themselves.
const PURE: &[&str] = &["wire", "vault", "policy", "identity", "channel"];

/// What a pure crate depends on neither directly nor far below: runtimes, sockets, databases, clocks, ambient randomness.
const IMPURE: &[&str] = &[
    "async-io",
    "async-std",
    "axum",
    "chrono",
    "dirs",
    "getrandom",
    "h2",
    "hyper",
    "instant",
    "libsqlite3-sys",
    "mio",
    "nix",
    "polling",
    "quanta",
    "rand",
    "reqwest",
    "rusqlite",
    "rustix",
    "signal-hook",
    "smol",
    "socket2",
    "sqlx",
    "sqlx-core",
    "sqlx-postgres",
    "sqlx-sqlite",
    "tempfile",
    "time",
    "tokio",
    "tokio-util",
    "web-time",
];

#[test]
fn every_crate_has_a_row_and_the_name_of_its_folder() {
    let mut findings = Vec::new();
    for package in crates() {
        let folder = folder(package);
        let name = if folder == "ockam" {
            folder.clone()
        } else {
            format!("ockam-{folder}")
        };
        if package.name.as_str() != name {
            findings.push(format!(
                "crates/{folder} is named {}, not {name}",
                package.name
            ));
        }
        if row(&folder).is_none() {
            findings.push(format!("crates/{folder} has no row in the table of layers"));
        }
    }
    expect_none(&findings);
}

#[test]
fn arrows_between_crates_are_those_of_the_table() {
    let folders: BTreeMap<String, String> = crates()
        .map(|package| (package.name.to_string(), folder(package)))
        .collect();
    let mut findings = Vec::new();
    for package in crates() {
        let from = folder(package);
        let Some(allowed) = row(&from) else { continue };
        for dependency in &package.dependencies {
            let Some(to) = folders.get(dependency.name.as_str()) else {
                continue;
            };
            // A crate may name itself among its dev-dependencies to switch its own features on.
            let itself = dependency.kind == DependencyKind::Development && *to == from;
            if !itself && !allowed.contains(&to.as_str()) {
                findings.push(format!(
                    "{from} -> {to} ({:?}) is not in the table",
                    dependency.kind
                ));
            }
        }
    }
    expect_none(&findings);
}

#[test]
fn the_document_shows_the_same_table() {
    let mut shown = BTreeMap::new();
    for line in text("docs/architecture.md").lines() {
        let cells: Vec<&str> = line
            .trim()
            .trim_matches('|')
            .split('|')
            .map(str::trim)
            .collect();
        let [name, _, imports, _] = cells.as_slice() else {
            continue;
        };
        let name = name.trim_matches('`');
        if row(name).is_some() {
            let imports: BTreeSet<String> = imports
                .split(',')
                .map(|import| import.trim().trim_matches('`').to_owned())
                .filter(|import| !import.is_empty() && import != "-")
                .collect();
            shown.insert(name.to_owned(), imports);
        }
    }
    let expected: BTreeMap<String, BTreeSet<String>> = LAYERS
        .iter()
        .map(|(name, imports)| {
            (
                (*name).to_owned(),
                imports.iter().map(|import| (*import).to_owned()).collect(),
            )
        })
        .collect();
    assert_eq!(shown, expected, "docs/architecture.md and this test differ");
}

#[test]
fn nothing_imports_the_tests() {
    let mut findings = Vec::new();
    for package in crates() {
        for dependency in &package.dependencies {
            if dependency.kind != DependencyKind::Development
                && dependency
                    .path
                    .as_ref()
                    .is_some_and(|path| path.starts_with(root().join("tests")))
            {
                findings.push(format!("{} imports {}", package.name, dependency.name));
            }
        }
    }
    expect_none(&findings);
}

#[test]
fn pure_crates_depend_on_no_runtime_socket_database_or_clock() {
    let mut findings = Vec::new();
    for package in crates().filter(|package| PURE.contains(&folder(package).as_str())) {
        for (name, path) in below(&package.id) {
            if IMPURE.contains(&name.as_str()) {
                findings.push(format!("{} depends on {name}: {path}", package.name));
            }
        }
    }
    expect_none(&findings);
}

#[test]
fn pure_crates_are_no_std_and_ban_clocks() {
    let mut findings = Vec::new();
    for package in crates() {
        let folder = folder(package);
        if !PURE.contains(&folder.as_str()) {
            continue;
        }
        if !text(&format!("crates/{folder}/src/lib.rs")).contains("no_std") {
            findings.push(format!("crates/{folder}/src/lib.rs does not say no_std"));
        }
        let lints = std::fs::read_to_string(root().join(format!("crates/{folder}/clippy.toml")))
            .unwrap_or_default();
        for clock in ["std::time::Instant::now", "std::time::SystemTime::now"] {
            if !lints.contains(clock) {
                findings.push(format!("crates/{folder}/clippy.toml does not ban {clock}"));
            }
        }
    }
    expect_none(&findings);
}

#[test]
fn only_bindings_may_hold_unsafe_code() {
    let mut findings = Vec::new();
    for file in rust_files().filter(|file| !file.path.starts_with("crates/bindings/")) {
        for (number, line) in file.lines() {
            let code = line.split("//").next().unwrap_or_default();
            if code.contains("unsafe ") || code.contains("allow(unsafe_code") {
                findings.push(format!("{}:{number}: unsafe", file.path));
            }
        }
    }
    // This file names the word it looks for.
    findings.retain(|finding| !finding.starts_with("tests/project/"));
    expect_none(&findings);
}

/// The product's crates, without the tests.
fn crates() -> impl Iterator<Item = &'static Package> {
    metadata()
        .workspace_packages()
        .into_iter()
        .filter(|package| package.manifest_path.starts_with(root().join("crates")))
}

fn folder(package: &Package) -> String {
    let folder = package
        .manifest_path
        .parent()
        .and_then(|folder| folder.file_name());
    folder.expect("a manifest lies in a folder").to_owned()
}

fn row(folder: &str) -> Option<&'static [&'static str]> {
    LAYERS
        .iter()
        .find(|(name, _)| *name == folder)
        .map(|(_, imports)| *imports)
}

/// Names of all packages that are linked into one, each with a path that leads to it.
fn below(package: &PackageId) -> BTreeMap<String, String> {
    let resolve = metadata()
        .resolve
        .as_ref()
        .expect("metadata holds the resolved graph");
    let nodes: BTreeMap<&PackageId, _> =
        resolve.nodes.iter().map(|node| (&node.id, node)).collect();
    let names: BTreeMap<&PackageId, &str> = metadata()
        .packages
        .iter()
        .map(|package| (&package.id, package.name.as_str()))
        .collect();
    let mut found = BTreeMap::new();
    let mut open = vec![(package, String::new())];
    while let Some((id, path)) = open.pop() {
        let Some(node) = nodes.get(id) else { continue };
        for dependency in &node.deps {
            let normal = dependency
                .dep_kinds
                .iter()
                .any(|kind| kind.kind == DependencyKind::Normal);
            let Some(name) = names.get(&dependency.pkg) else {
                continue;
            };
            if normal && !found.contains_key(*name) {
                let path = format!("{path}{} -> ", names.get(id).unwrap_or(&""));
                found.insert((*name).to_owned(), format!("{path}{name}"));
                open.push((&dependency.pkg, path));
            }
        }
    }
    found
}
