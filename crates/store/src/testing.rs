//! A store in a directory of its own.

use tempfile::TempDir;

use crate::home::Home;
use crate::store::Store;

pub(crate) async fn store() -> (TempDir, Store) {
    let directory = tempfile::tempdir().unwrap();
    let home = Home::open(directory.path().join("home")).unwrap();
    let store = Store::open(&home).await.unwrap();
    (directory, store)
}
