//! What goes wrong is said in words that help, and breaks nothing.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "tests fail by panicking and show what they measured"
)]

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::Command;

use ockam_store::{Home, Store, StoreError};
use sqlx::{Connection, SqliteConnection};

fn home(base: &Path) -> Home {
    Home::open(base.join("home")).unwrap()
}

async fn run(home: &Home, statement: &'static str) {
    let url = format!("sqlite://{}", home.database().display());
    let mut connection = SqliteConnection::connect(&url).await.unwrap();
    sqlx::raw_sql(statement)
        .execute(&mut connection)
        .await
        .unwrap();
    connection.close().await.unwrap();
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o777
}

#[tokio::test]
async fn files_are_closed_to_others() {
    let base = tempfile::tempdir().unwrap();
    let home = home(base.path());
    let store = Store::open(&home).await.unwrap();
    store.vault_or_only(None).await.unwrap();
    store
        .create_vault(&"second".parse().unwrap(), None, None)
        .await
        .unwrap();
    let mut seen = 0;
    for entry in fs::read_dir(home.path()).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
        seen += 1;
    }
    assert!(seen >= 4, "database, -wal, -shm, lock, vault");
    drop(store);
    fs::set_permissions(home.database(), fs::Permissions::from_mode(0o644)).unwrap();
    Store::open(&home).await.unwrap();
    assert_eq!(mode(&home.database()), 0o600);
}

#[tokio::test]
async fn a_newer_schema_is_refused_and_kept() {
    let base = tempfile::tempdir().unwrap();
    let home = home(base.path());
    Store::open(&home).await.unwrap().close().await;
    run(&home, "PRAGMA user_version = 999").await;
    let error = Store::open(&home).await.unwrap_err();
    assert!(matches!(error, StoreError::NewerSchema { found: 999, .. }));
    assert!(error.to_string().contains("use a newer version"));
}

#[tokio::test]
async fn a_damaged_database_is_named() {
    let base = tempfile::tempdir().unwrap();
    let home = home(base.path());
    fs::write(home.database(), vec![b'x'; 8192]).unwrap();
    let error = Store::open(&home).await.unwrap_err();
    assert!(matches!(&error, StoreError::Damaged { .. }), "{error:?}");
    assert!(error.to_string().contains("ockam.sqlite3 is damaged"));
}

#[tokio::test]
async fn a_database_of_another_program_is_left_alone() {
    let base = tempfile::tempdir().unwrap();
    let home = home(base.path());
    fs::write(home.database(), "").unwrap();
    run(&home, "CREATE TABLE other (x); PRAGMA application_id = 7").await;
    let before = fs::read(home.database()).unwrap();
    assert!(matches!(
        Store::open(&home).await,
        Err(StoreError::Foreign(_))
    ));
    assert_eq!(fs::read(home.database()).unwrap(), before);
}

#[tokio::test]
async fn an_empty_database_file_is_filled() {
    let base = tempfile::tempdir().unwrap();
    let home = home(base.path());
    fs::write(home.database(), "").unwrap();
    let store = Store::open(&home).await.unwrap();
    assert!(store.nodes().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_database_in_use_is_waited_for() {
    let base = tempfile::tempdir().unwrap();
    let home = home(base.path());
    let store = Store::open(&home).await.unwrap();
    let url = format!("sqlite://{}", home.database().display());
    let mut other = SqliteConnection::connect(&url).await.unwrap();
    sqlx::raw_sql("BEGIN IMMEDIATE")
        .execute(&mut other)
        .await
        .unwrap();
    let write = tokio::spawn(async move { store.vault_or_only(None).await });
    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    assert!(!write.is_finished());
    sqlx::raw_sql("COMMIT").execute(&mut other).await.unwrap();
    write.await.unwrap().unwrap();
}

/// Needs the right to mount a file system; says nothing without.
#[tokio::test]
async fn a_full_and_a_read_only_disk_are_named() {
    let base = tempfile::tempdir().unwrap();
    let disk = base.path().join("disk");
    fs::create_dir(&disk).unwrap();
    let mount = |options: &str| {
        let status = Command::new("mount")
            .args(["-t", "tmpfs", "-o", options, "none"])
            .arg(&disk)
            .output();
        status.is_ok_and(|output| output.status.success())
    };
    if !mount("size=4m") {
        return;
    }
    let home = home(&disk);
    let store = Store::open(&home).await.unwrap();
    fs::write(disk.join("filler"), vec![0; 4096 * 1024]).unwrap_err();
    let full = write_until_it_fails(&store).await;
    let in_the_database = note_until_it_fails(&store).await;
    fs::remove_file(disk.join("filler")).unwrap();
    // With room again it goes on, and nothing is half there.
    store.tell_once("after").await.unwrap();
    store
        .create_vault(&"after".parse().unwrap(), None, None)
        .await
        .unwrap();
    store.close().await;

    fs::write(disk.join("filler"), vec![0; 4096 * 1024]).unwrap_err();
    let creation = match Home::open(disk.join("other")) {
        Ok(other) => Store::open(&other)
            .await
            .map(drop)
            .map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    };
    fs::remove_file(disk.join("filler")).unwrap();

    let read_only = if mount("remount,ro") || remount_read_only(&disk) {
        match Store::open(&home).await {
            Ok(store) => store
                .create_vault(&"late".parse().unwrap(), None, None)
                .await
                .map(drop),
            Err(error) => Err(error),
        }
    } else {
        Err(StoreError::ReadOnly(home.database()))
    };
    let unmounted = Command::new("umount")
        .arg("-l")
        .arg(&disk)
        .status()
        .unwrap();
    assert!(unmounted.success());
    assert!(matches!(full, StoreError::Full(_)), "{full:?}");
    assert!(
        matches!(in_the_database, StoreError::Full(_)),
        "{in_the_database:?}"
    );
    assert!(creation.is_err_and(|text| text.contains("is full")));
    assert!(
        matches!(read_only, Err(StoreError::ReadOnly(_))),
        "{read_only:?}"
    );
}

fn remount_read_only(disk: &Path) -> bool {
    let output = Command::new("mount")
        .args(["-o", "remount,ro"])
        .arg(disk)
        .output();
    output.is_ok_and(|output| output.status.success())
}

async fn note_until_it_fails(store: &Store) -> StoreError {
    for number in 0..100_000 {
        if let Err(error) = store.tell_once(&format!("{number:0200}")).await {
            return error;
        }
    }
    panic!("the disk never filled up")
}

async fn write_until_it_fails(store: &Store) -> StoreError {
    for number in 0..10_000 {
        let name = format!("v{number}").parse().unwrap();
        if let Err(error) = store.create_vault(&name, None, None).await {
            return match error {
                StoreError::Home(ockam_store::HomeError::Full(path)) => StoreError::Full(path),
                other => other,
            };
        }
    }
    panic!("the disk never filled up")
}
