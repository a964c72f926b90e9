//! The state of the published program is read, whatever it looks like, and never touched.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use crate::published_home::{self, NodeTable};
use crate::trial::Trial;

#[test]
fn an_import_leaves_every_published_file_as_it_was() {
    let trial = Trial::beside_others();
    for tables in [NodeTable::Present, NodeTable::Missing] {
        let name = format!("{}", tables == NodeTable::Present);
        let published = trial.directory().join(format!("published-{name}"));
        published_home::make(&published, tables);
        let home = trial.home(&format!("home-{name}"));
        // Nothing can be made there, not even a file beside the database.
        fs::set_permissions(&published, Permissions::from_mode(0o555)).unwrap();
        let before = content(&published);
        let import = format!("import {} --yes", published.display());
        home.ok(&format!("{import} --dry-run"));
        home.ok(&import);
        let identities = home.json("identity list");
        let nodes = home.json("node list");
        assert_eq!(identities.as_array().unwrap().len(), 3);
        assert_eq!(nodes.as_array().unwrap().len(), 2);
        home.ok(&import);
        assert_eq!(home.json("identity list"), identities);
        assert_eq!(home.json("node list"), nodes);
        assert!(before == content(&published));
        fs::set_permissions(&published, Permissions::from_mode(0o755)).unwrap();
        // The copies with secrets in them are gone.
        assert_eq!(fs::read_dir(home.path().join("run")).unwrap().count(), 0);
    }
}

#[test]
fn a_damaged_published_state_is_refused_or_read_in_part() {
    let trial = Trial::beside_others();
    let published = trial.directory().join("published");
    published_home::make(&published, NodeTable::Present);
    let sound = fs::read(published.join("database.sqlite3")).unwrap();
    let database = published.join("database.sqlite3");
    let mut refused = 0;
    for number in 0..40_usize {
        let mut bytes = sound.clone();
        match number % 4 {
            // A page, a byte, the end, a text.
            0 => {
                let page = 4096 * (number % (bytes.len() / 4096));
                bytes[page..page + 4096].fill(0xa5);
            }
            1 => {
                let at = (number * 7919) % bytes.len();
                bytes[at] ^= 1 << (number % 8);
            }
            2 => bytes.truncate(number * 700),
            _ => {
                let at = (number * 104_729) % (bytes.len() - 64);
                bytes[at..at + 64].fill(b'\x1b');
            }
        }
        fs::write(&database, &bytes).unwrap();
        let home = trial.home(&format!("home-{number}"));
        let done = home.ockam(&format!("import {} --yes", published.display()));
        assert!(matches!(done.code, Some(0 | 70)), "{number}: {done:#?}");
        assert!(!done.err.contains("panicked"), "{number}: {done:#?}");
        assert!(
            !done.err.contains('\x1b') && !done.out.contains('\x1b'),
            "{number}: {done:#?}"
        );
        assert!(fs::read(&database).unwrap() == bytes);
        if done.code == Some(70) {
            refused += 1;
            // All or nothing.
            assert_eq!(home.ok("vault list"), "[]", "{number}");
            assert_eq!(home.ok("identity list"), "[]", "{number}");
        }
    }
    assert!(refused > 0);
}

/// Every file below a directory with its content, to see whether anything changed.
fn content(directory: &Path) -> Vec<(String, i64, Vec<u8>)> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let changed = fs::metadata(&path).unwrap().mtime_nsec();
        if path.is_dir() {
            files.push((path.display().to_string(), changed, Vec::new()));
            files.extend(content(&path));
        } else {
            let bytes = fs::read(&path).unwrap();
            files.push((path.display().to_string(), changed, bytes));
        }
    }
    files.sort();
    files
}
