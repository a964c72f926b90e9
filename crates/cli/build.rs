//! What only a release has: the commit it is built from, for `--version`, and each function once.
//!
//! `OCKAM_GIT_HASH` says it, or else the files below `.git` do; neither git nor a repository is needed, and without both
//! there is none. Builds for development have none either: they are seldom of a commit, and each commit would build the
//! program again.

#![allow(
    clippy::print_stdout,
    reason = "this is how a build script talks to cargo"
)]

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=OCKAM_GIT_HASH");
    if std::env::var("PROFILE").as_deref() != Ok("release") {
        return;
    }
    println!("cargo:rerun-if-env-changed={ORDER}");
    let order = std::env::var(ORDER).ok();
    let strip = (order.as_deref() != Some("")).then_some(STRIP);
    for argument in [FOLD, PACK].into_iter().chain(strip) {
        if linker_takes(argument) {
            println!("cargo:rustc-link-arg-bins={argument}");
        }
    }
    if let Some(file) = order.filter(|file| !file.is_empty()) {
        println!("cargo:rerun-if-changed={file}");
        println!("cargo:rustc-link-arg-bins=-Wl,--symbol-ordering-file={file}");
        // Those of the C library are in the list too.
        println!("cargo:rustc-link-arg-bins=-Wl,--no-warn-symbol-ordering");
    }
    if std::env::var_os("OCKAM_GIT_HASH").is_some() {
        return;
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    if let Some(commit) = commit(&root.join(".git")) {
        println!("cargo:rustc-env=OCKAM_GIT_HASH={commit}");
    }
}

/// Whether the linker of this build knows an argument, and the system here starts what comes of it; not all do. Asked with a
/// program that does nothing.
fn linker_takes(argument: &str) -> bool {
    let asked = || {
        let folder = PathBuf::from(std::env::var_os("OUT_DIR")?);
        let source = folder.join("nothing.rs");
        std::fs::write(&source, "fn main() {}").ok()?;
        let mut compiler = Command::new(std::env::var_os("RUSTC")?);
        compiler
            .arg(&source)
            .arg("--out-dir")
            .arg(&folder)
            .arg("--target")
            .arg(std::env::var_os("TARGET")?)
            .arg(format!("-Clink-arg={argument}"));
        if let Some(linker) = std::env::var_os("RUSTC_LINKER") {
            let mut chosen = OsString::from("-Clinker=");
            chosen.push(linker);
            compiler.arg(chosen);
        }
        if let Ok(flags) = std::env::var("CARGO_ENCODED_RUSTFLAGS") {
            compiler.args(flags.split('\u{1f}').filter(|flag| !flag.is_empty()));
        }
        if !compiler.output().ok()?.status.success() {
            return Some(false);
        }
        let foreign = std::env::var_os("TARGET")? != std::env::var_os("HOST")?;
        Some(
            !foreign
                && Command::new(folder.join("nothing"))
                    .status()
                    .ok()?
                    .success(),
        )
    };
    asked().unwrap_or(false)
}

/// Functions that came out the same are kept once: of so many generic ones that is a twentieth of the program. Nothing here
/// compares functions by their address.
const FOLD: &str = "-Wl,--icf=all";

/// What the program has to be told where it was loaded is written in a few kilobytes instead of a megabyte.
const PACK: &str = "-Wl,-z,pack-relative-relocs";

/// The names of functions stay out of the program.
const STRIP: &str = "-Wl,--strip-all";

/// Names a file with functions, one a line, that are to lie next to each other: `scripts/dense` makes it. Empty, the program keeps
/// the names.
const ORDER: &str = "OCKAM_FUNCTION_ORDER";

/// The commit that is checked out.
fn commit(git: &Path) -> Option<String> {
    // In a second working tree `.git` is a file that names the folder.
    let folder = match std::fs::read_to_string(git) {
        Ok(text) => PathBuf::from(text.strip_prefix("gitdir:")?.trim()),
        Err(_) => git.to_owned(),
    };
    let head = watched(&folder.join("HEAD"))?;
    let Some(branch) = head.strip_prefix("ref:").map(str::trim) else {
        return hash(&head);
    };
    // Branches stand in the folder all working trees share.
    let shared = match std::fs::read_to_string(folder.join("commondir")) {
        Ok(path) => folder.join(path.trim()),
        Err(_) => folder,
    };
    if let Some(text) = watched(&shared.join(branch)) {
        return hash(&text);
    }
    let packed = watched(&shared.join("packed-refs"))?;
    let line = packed
        .lines()
        .find(|line| line.ends_with(&format!(" {branch}")))?;
    hash(line.split(' ').next()?)
}

/// The text of a file that the program is built again for when it changes.
fn watched(path: &Path) -> Option<String> {
    let text = std::fs::read_to_string(path).ok()?;
    println!("cargo:rerun-if-changed={}", path.display());
    Some(text)
}

/// A commit, if the text is one.
fn hash(text: &str) -> Option<String> {
    let text = text.trim();
    let is_hash = text.len() >= 40 && text.chars().all(|character| character.is_ascii_hexdigit());
    is_hash.then(|| text.to_owned())
}
