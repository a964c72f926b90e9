//! Databases of every older schema, of both kinds, with rows in them: brought up to date, copied and filled again.

use std::path::Path;

use crate::address::{DatabaseAddress, Place};
use crate::catalogue;
use crate::database::Database;
use crate::database_backup::{IfNotEmpty, backup_database, restore_database};
use crate::error::{Failure, StoreError};
use crate::file;
use crate::home::Home;
use crate::schema;
use crate::sealing_key::SealingKey;
use crate::server;
use crate::sql::{self, Connection};
use crate::store::Store;

/// A row for each table, so that those come first that others refer to. What recognizes the key of a sealed database is no row of ours.
const ROWS: &[(&str, &str)] = &[
    (
        "vault",
        "INSERT INTO vault (name, path, is_default, is_sealed) VALUES ('v', NULL, 1, 0)",
    ),
    ("secret", ""),
    (
        "history",
        "INSERT INTO history (identifier, change_history) VALUES ('Iabc', $1)",
    ),
    (
        "identity",
        "INSERT INTO identity (name, identifier, vault, key_handle, is_default) VALUES ('ü', 'Iabc', 'v', NULL, 1)",
    ),
    (
        "purpose_key",
        "INSERT INTO purpose_key (identifier, purpose, attestation, key_handle) VALUES ('Iabc', 'SC_PK', $1, $1)",
    ),
    (
        "node",
        "INSERT INTO node (name, identity, pid, pid_started, options, is_default) VALUES ('n', 'ü', 7, -9000000000000000000, '{}', 1)",
    ),
    (
        "request",
        "INSERT INTO request (node, noun, name, position, spec) VALUES ('n', 'relay', 'r', 1, '{}')",
    ),
    ("notice", "INSERT INTO notice (name) VALUES ('told')"),
    (
        "project",
        "INSERT INTO project (project_id, name, authority, details, is_default) VALUES ('id', 'p', NULL, '{}', 1)",
    ),
    (
        "enrollment",
        "INSERT INTO enrollment (identity, project, enrolled_at) VALUES ('Iabc', 'id', 5)",
    ),
    (
        "credential",
        "INSERT INTO credential (subject, issuer, scope, bundle, expires_at) VALUES ('Iabc', 'Idef', 's', $1, 9)",
    ),
    (
        "member",
        "INSERT INTO member (authority, identifier, attributes, added_by, added_at, is_pre_trusted) VALUES ($1, $1, $1, $1, 5, 1)",
    ),
    (
        "enrollment_token",
        "INSERT INTO enrollment_token (authority, hash, attributes, issued_by, created_at, expires_at, uses) VALUES ($1, $1, $1, $1, 1, 2, 3)",
    ),
    (
        "withdrawal",
        "INSERT INTO withdrawal (authority, subject, before) VALUES ($1, $1, 4)",
    ),
    (
        "heard_withdrawal",
        "INSERT INTO heard_withdrawal (authority, subject, before) VALUES ($1, $1, 4)",
    ),
    (
        "hosting",
        "INSERT INTO hosting (project, identity, authority, created_at) VALUES ('id', 'Iabc', 'Iabc', 5)",
    ),
    (
        "hosting_event",
        "INSERT INTO hosting_event (project, subject, moment) VALUES ('id', $1, 5)",
    ),
    (
        "ticket",
        "INSERT INTO ticket (authority, hash, issued_by, issued_at, expires_at, uses) VALUES ($1, $1, $1, 5, 6, 7)",
    ),
    (
        "ticket_use",
        "INSERT INTO ticket_use (authority, hash, used_by, used_at) VALUES ($1, $1, $1, 5)",
    ),
    (
        "orchestrator_account",
        "INSERT INTO orchestrator_account (id, email, folded, administrator, created_at, issuer, subject, attributes) VALUES ('a', 'A@b', 'a@b', 1, 5, 'i', 's', $1)",
    ),
    (
        "orchestrator_identifier",
        "INSERT INTO orchestrator_identifier (identifier, account, added_at) VALUES ($1, 'a', 5)",
    ),
    (
        "orchestrator_space",
        "INSERT INTO orchestrator_space (id, name, created_at) VALUES ('s', 'space', 5)",
    ),
    (
        "orchestrator_space_admin",
        "INSERT INTO orchestrator_space_admin (space, folded, email) VALUES ('s', 'a@b', 'A@b')",
    ),
    (
        "orchestrator_project",
        "INSERT INTO orchestrator_project (id, name, space, operation, is_ready, okta, created_at) VALUES ('id', 'p', 's', 'o', 1, $1, 5)",
    ),
    (
        "orchestrator_role",
        "INSERT INTO orchestrator_role (project, folded, email, role) VALUES ('id', 'a@b', 'A@b', 1)",
    ),
    (
        "orchestrator_operation",
        "INSERT INTO orchestrator_operation (id, project, created_at) VALUES ('o', 'id', 5)",
    ),
    (
        "orchestrator_code",
        "INSERT INTO orchestrator_code (id, hash, administrator, expires_at, uses, issued_by, role) VALUES ('c', $1, 0, 5, 6, 'a', 1)",
    ),
    (
        "orchestrator_invitation",
        "INSERT INTO orchestrator_invitation (id, owner, recipient, recipient_folded, role, scope, target, expires_at, uses, ignored, accepted, access) VALUES ('i', 'a', 'C@d', 'c@d', 1, 0, 'id', 5, 6, 0, 1, $1)",
    ),
    (
        "audit",
        "INSERT INTO audit (sequence, at, actor, action, object, outcome, hash) VALUES (1, 5, 'a', 'make', 'it', 'done', $1)",
    ),
    (
        "process",
        "INSERT INTO process (id, address, beat) VALUES ('p', NULL, 7)",
    ),
    (
        "hosted_relay",
        "INSERT INTO hosted_relay (project, name, owner, process, origin, since, sequence) VALUES ('id', 'r', $1, 'p', NULL, 5, 6)",
    ),
    (
        "orchestrator_due",
        "INSERT INTO orchestrator_due (project, identifier, at) VALUES ('id', $1, 5)",
    ),
    (
        "controller",
        "INSERT INTO controller (identifier, route, is_default) VALUES ('Ictl', '/tcp/1', 1)",
    ),
    (
        "account",
        "INSERT INTO account (identity, controller, email, enrolled_at) VALUES ('Iabc', 'Ictl', 'A@b', 5)",
    ),
    (
        "space",
        "INSERT INTO space (space_id, name, controller, details, is_default) VALUES ('s', 'space', 'Ictl', '{}', 1)",
    ),
    (
        "credential_lifetime",
        "INSERT INTO credential_lifetime (authority, longest) VALUES ($1, 5)",
    ),
];

fn key() -> SealingKey {
    SealingKey::from_hex(&"5a".repeat(32), "the test").unwrap()
}

/// Makes a database as a program of that time left it. Withdrawals were made and forgotten before, and there is a secret.
async fn make(address: &DatabaseAddress, number: i64) {
    let fill = async |db: &mut Connection, _: i64| -> Result<(), Failure> {
        catalogue::migrate(db, &schema::HOME, 0, number).await?;
        let tables = schema::HOME.tables(number);
        for (table, row) in ROWS.iter().filter(|(table, _)| tables.contains(table)) {
            if *table == "secret" {
                sql::query("INSERT INTO secret (handle, kind, secret) VALUES ($1, 'X25519', $2)")
                    .bind(BYTES)
                    .bind([0x6b; 32].as_slice())
                    .execute(&mut *db)
                    .await?;
                continue;
            }
            for _ in 0..if *table == "withdrawal" { 4 } else { 1 } {
                if *table == "withdrawal" {
                    sql::run(db, "DELETE FROM withdrawal").await?;
                }
                let query = sql::query(*row);
                let query = if row.contains("$1") {
                    query.bind(BYTES)
                } else {
                    query
                };
                query.execute(&mut *db).await?;
            }
        }
        Ok(())
    };
    let older: &'static schema::Schema = Box::leak(Box::new(schema::Schema {
        application: schema::HOME.application,
        migrations: &schema::HOME.migrations[..usize::try_from(number).unwrap()],
    }));
    match address.place() {
        Place::File(path) => file::refill(path, older, fill).await.unwrap(),
        Place::Server(options) => server::refill(address, options, older, fill).await.unwrap(),
    }
}

/// Opens the database twice at once, which brings it up to date, and looks for every row.
async fn expect(address: &DatabaseAddress, home: &Path, number: i64, with: Option<SealingKey>) {
    let home = Home::open(home).unwrap();
    let (one, other) = tokio::join!(
        Store::open_at(address, &home, with.clone()),
        Store::open_at(address, &home, with)
    );
    other.unwrap().close().await;
    let store = one.unwrap();
    let tables = schema::HOME.tables(number);
    for (table, _) in ROWS.iter().filter(|(table, _)| tables.contains(table)) {
        let text = format!("SELECT count(*) FROM {table}");
        let count: Result<i64, StoreError> = store
            .read(async |db| {
                Ok(sql::query_scalar(sqlx::AssertSqlSafe(text.as_str()))
                    .fetch_one(db)
                    .await?)
            })
            .await;
        assert_eq!(count.unwrap(), 1, "{table} of {number} in {address}");
    }
    let vault = store.vault_or_only(None).await.unwrap();
    let vault = store.open_vault(&vault.name, None).await.unwrap();
    let secrets = store.secrets(&vault).await.unwrap();
    assert_eq!(secrets[0].secret.as_bytes(), &[0x6b; 32]);
    let node = store.node(&"n".parse().unwrap()).await.unwrap();
    let process = node.process.unwrap();
    assert_eq!(process.started.cast_signed(), -9_000_000_000_000_000_000);
    // Numbers go on where they were.
    let next = crate::testing::node_start();
    let next = store.create_node(&next, crate::IfRunning::Refuse).await;
    assert_eq!(next.unwrap().name.as_str(), "n1");
    if tables.contains(&"withdrawal") {
        let authority = ockam_identity::Identifier::new([3; 32]);
        let remove = |_: &_, _| crate::MemberChange::Remove(ockam_identity::UnixTime(9));
        let done = store
            .change_members(&authority, &[authority], None, remove)
            .await;
        assert_eq!(done.unwrap()[0].sequence, 5, "{number} in {address}");
    }
    store.close().await;
}

/// So that none is forgotten that comes later.
#[test]
fn every_table_has_a_row() {
    let known: Vec<&str> = ROWS.iter().map(|(table, _)| *table).collect();
    for table in schema::HOME.tables(schema::HOME.latest()) {
        assert!(table == "database_key" || known.contains(&table), "{table}");
    }
}

const BYTES: &[u8] = &[1, 0, 255];

#[tokio::test]
async fn files_of_every_older_schema_are_brought_up_to_date() {
    let directory = tempfile::tempdir().unwrap();
    for number in 1..=schema::HOME.latest() {
        let path = directory.path().join(format!("db{number}"));
        let address = DatabaseAddress::file(&path);
        make(&address, number).await;
        let home = directory.path().join("home");
        expect(&address, &home, number, None).await;
        // Again, and from then on with a key.
        let database = Database::open(&address, &schema::HOME).await.unwrap();
        let forget = async |db: &mut Connection| {
            sql::run(db, "DELETE FROM node WHERE name = 'n1'").await?;
            Ok(())
        };
        database.write(forget).await.unwrap();
        database.close().await;
    }
}

#[tokio::test]
async fn a_backup_of_every_older_schema_fills_a_new_file() {
    let directory = tempfile::tempdir().unwrap();
    for number in 1..=schema::HOME.latest() {
        let path = |name: &str| directory.path().join(format!("{name}{number}"));
        let from = DatabaseAddress::file(path("from"));
        make(&from, number).await;
        let backup = backup_database(&from, &path("backup")).await.unwrap();
        assert!(backup.rows() >= 7);
        for (name, with) in [("to", None), ("sealed", Some(key()))] {
            let to = DatabaseAddress::file(path(name));
            let restored =
                restore_database(&path("backup"), &to, with.as_ref(), IfNotEmpty::Refuse).await;
            assert_eq!(restored.unwrap(), backup);
            let again =
                restore_database(&path("backup"), &to, with.as_ref(), IfNotEmpty::Refuse).await;
            assert!(matches!(again, Err(StoreError::DatabaseNotEmpty(_))));
            restore_database(&path("backup"), &to, with.as_ref(), IfNotEmpty::Replace)
                .await
                .unwrap();
            expect(&to, &directory.path().join("home"), number, with).await;
        }
        let sealed = std::fs::read(path("sealed")).unwrap();
        assert!(!sealed.windows(16).any(|window| window == [0x6b; 16]));
    }
}

mod needs_postgres {
    use super::*;
    use crate::testing::fixture::Postgres;

    #[tokio::test]
    async fn databases_of_every_older_schema_are_brought_up_to_date() {
        let server = Postgres::start();
        let directory = tempfile::tempdir().unwrap();
        for number in 1..=schema::HOME.latest() {
            let address: DatabaseAddress = server.database(&format!("d{number}")).parse().unwrap();
            make(&address, number).await;
            let home = directory.path().join("home");
            expect(&address, &home, number, Some(key())).await;
        }
    }

    #[tokio::test]
    async fn a_backup_moves_from_a_file_to_a_server_and_back() {
        let server = Postgres::with(&["log_statement=all"]);
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        let home = path("home");
        for number in [1, 6, schema::HOME.latest()] {
            let name = |name: &str| path(&format!("{name}{number}"));
            let from = DatabaseAddress::file(name("from"));
            make(&from, number).await;
            let backup = backup_database(&from, &name("backup")).await.unwrap();
            assert!(!backup.is_sealed);

            let to: DatabaseAddress = server.database(&format!("d{number}")).parse().unwrap();
            let without = restore_database(&name("backup"), &to, None, IfNotEmpty::Refuse).await;
            assert!(matches!(without, Err(StoreError::NoDatabaseKey(_))));
            restore_database(&name("backup"), &to, Some(&key()), IfNotEmpty::Refuse)
                .await
                .unwrap();
            let again =
                restore_database(&name("backup"), &to, Some(&key()), IfNotEmpty::Refuse).await;
            assert!(matches!(again, Err(StoreError::DatabaseNotEmpty(_))));
            restore_database(&name("backup"), &to, Some(&key()), IfNotEmpty::Replace)
                .await
                .unwrap();
            let second = backup_database(&to, &name("second")).await.unwrap();
            assert!(second.is_sealed);
            let bytes = std::fs::read(name("second")).unwrap();
            assert!(!bytes.windows(16).any(|window| window == [0x6b; 16]));
            expect(&to, &home, number, Some(key())).await;

            let back = DatabaseAddress::file(name("back"));
            let other = SealingKey::from_hex(&"5b".repeat(32), "the test").unwrap();
            let wrong =
                restore_database(&name("second"), &back, Some(&other), IfNotEmpty::Refuse).await;
            assert!(matches!(wrong, Err(StoreError::WrongDatabaseKey)));
            assert!(!name("back").exists());
            restore_database(&name("second"), &back, Some(&key()), IfNotEmpty::Refuse)
                .await
                .unwrap();
            expect(&back, &home, number, Some(key())).await;
        }
        assert!(!server.log().contains("6b6b6b6b"));
    }
}
