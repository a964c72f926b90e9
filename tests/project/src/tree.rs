//! The files of the project and its `cargo metadata`, for the checks beside this module.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use cargo_metadata::{Metadata, MetadataCommand};

/// One file of the project: its path from the root, with `/`, and its text.
#[derive(Debug)]
pub(crate) struct SourceFile {
    pub(crate) path: String,
    pub(crate) text: String,
}

impl SourceFile {
    /// The file name without folders.
    pub(crate) fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }

    /// The folders of the path, outermost first.
    pub(crate) fn folders(&self) -> impl Iterator<Item = &str> {
        let folders = self
            .path
            .rsplit_once('/')
            .map_or("", |(folders, _)| folders);
        folders.split('/').filter(|folder| !folder.is_empty())
    }

    /// Lines with their numbers, counted from one.
    pub(crate) fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text
            .lines()
            .enumerate()
            .map(|(index, line)| (index + 1, line))
    }
}

/// The root of the repository.
pub(crate) fn root() -> &'static Path {
    static ROOT: OnceLock<PathBuf> = OnceLock::new();
    ROOT.get_or_init(|| {
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../..")
            .canonicalize()
            .expect("the repository root exists")
    })
}

/// Every file that git tracks or would track, if it is text.
pub(crate) fn files() -> &'static [SourceFile] {
    static FILES: OnceLock<Vec<SourceFile>> = OnceLock::new();
    FILES.get_or_init(|| {
        let listed = Command::new("git")
            .args([
                "ls-files",
                "-z",
                "--cached",
                "--others",
                "--exclude-standard",
            ])
            .current_dir(root())
            .output()
            .expect("git runs");
        assert!(listed.status.success(), "git ls-files failed: {listed:?}");
        let listed = String::from_utf8(listed.stdout).expect("paths are UTF-8");
        let mut files: Vec<SourceFile> = listed
            .split('\0')
            .filter(|path| !path.is_empty())
            // A file that was removed but is not committed yet is listed still.
            .filter_map(|path| Some((path, std::fs::read(root().join(path)).ok()?)))
            .filter_map(|(path, bytes)| {
                Some(SourceFile {
                    path: path.to_owned(),
                    text: String::from_utf8(bytes).ok()?,
                })
            })
            .collect();
        files.sort_by(|a, b| a.path.cmp(&b.path));
        files.dedup_by(|a, b| a.path == b.path);
        assert!(
            files.len() > 20,
            "the listing of the project is far too short"
        );
        files
    })
}

/// The Rust files of the project.
pub(crate) fn rust_files() -> impl Iterator<Item = &'static SourceFile> {
    files().iter().filter(|file| file.path.ends_with(".rs"))
}

/// The text of one file of the project.
pub(crate) fn text(path: &str) -> &'static str {
    files()
        .iter()
        .find(|file| file.path == path)
        .map_or_else(|| panic!("{path} is missing"), |file| file.text.as_str())
}

/// What cargo knows of the workspace and of everything it depends on. Reading it moves no lock file.
pub(crate) fn metadata() -> &'static Metadata {
    static METADATA: OnceLock<Metadata> = OnceLock::new();
    METADATA.get_or_init(|| {
        MetadataCommand::new()
            .manifest_path(root().join("Cargo.toml"))
            .other_options(vec!["--locked".to_owned()])
            .exec()
            .expect("Cargo.lock fits the manifests (`cargo metadata --locked`)")
    })
}

/// Fails with every finding at once, so that one run shows them all.
pub(crate) fn expect_none(findings: &[String]) {
    assert!(findings.is_empty(), "\n{}\n", findings.join("\n"));
}
