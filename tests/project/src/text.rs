//! What no tracked file may hold, whatever its kind.

use crate::tree::{expect_none, files};

/// Hosts that a tracked file may name; every other one is a finding.
const HOSTS: &[&str] = &[
    // The name of the form of pictures, not a place that is visited.
    "www.w3.org/2000/svg",
    "127.0.0.1",
    "0.0.0.0",
    "[::1]",
    "localhost",
    // Names that stand for any host.
    "host/",
    "host:",
    "example.com",
    "example.okta.com",
    // The licence names where it is published.
    "www.apache.org",
    // Two formats the documents refer to.
    "keepachangelog.com",
    "semver.org",
    // Where every package of the lock file says it is registered.
    "github.com/rust-lang/crates.io-index",
];

/// Folders of somebody's machine. Put together here, so that this file does not hold them.
const PLACES: &[&str] = &[
    concat!("/ro", "ot/"),
    concat!("/ho", "me/"),
    concat!("/Us", "ers/"),
    concat!("/wo", "rk/"),
];

#[test]
fn no_file_holds_a_path_of_somebodys_machine() {
    let mut findings = Vec::new();
    for file in files() {
        for (number, line) in file.lines() {
            for place in PLACES {
                // A path begins where no name precedes it: `net/work/x` is none.
                let found = line.match_indices(place).any(|(at, _)| {
                    !line.get(..at).is_some_and(|before| {
                        before.ends_with(|c: char| c.is_alphanumeric() || "._-}>".contains(c))
                    })
                });
                if found {
                    findings.push(format!("{}:{number}: {place}", file.path));
                }
            }
        }
    }
    expect_none(&findings);
}

#[test]
fn only_known_hosts_are_named() {
    let mut findings = Vec::new();
    for file in files() {
        for (number, line) in file.lines() {
            for scheme in [concat!("http", "://"), concat!("https", "://")] {
                for (at, _) in line.match_indices(scheme) {
                    let rest = line.get(at + scheme.len()..).unwrap_or_default();
                    let known = HOSTS.iter().any(|host| rest.starts_with(host))
                        || is_made_up(rest)
                        // A placeholder, not a host.
                        || rest.starts_with(['{', '$', '<', '"', '\'', '`'])
                        || rest.trim().is_empty();
                    if !known {
                        findings.push(format!("{}:{number}: {scheme}{rest}", file.path));
                    }
                }
            }
        }
    }
    expect_none(&findings);
}

/// Whether a host is one that nobody can have: of the names that are reserved for examples, or of a word or letters alone.
fn is_made_up(rest: &str) -> bool {
    let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '.' | '-'));
    let host = rest.get(..end.unwrap_or(rest.len())).unwrap_or_default();
    let is_reserved = ["example", "example.com", "example.org"]
        .into_iter()
        .any(|name| {
            host.strip_suffix(name)
                .is_some_and(|before| before.is_empty() || before.ends_with('.'))
        });
    is_reserved || !host.contains('.') || host.split('.').all(|label| label.len() == 1)
}

#[test]
fn no_merge_mark_is_left() {
    let marks = ["<".repeat(7), ">".repeat(7)];
    let mut findings = Vec::new();
    for file in files() {
        for (number, line) in file.lines() {
            if marks.iter().any(|mark| line.starts_with(mark.as_str())) {
                findings.push(format!("{}:{number}", file.path));
            }
        }
    }
    expect_none(&findings);
}
