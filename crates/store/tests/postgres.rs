//! The store in a database of a PostgreSQL server: what a server adds to what can go wrong, and what it must not change.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "tests fail by panicking and show what they measured"
)]

#[path = "fixtures/postgres.rs"]
mod fixture;

mod needs_postgres {
    use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
    use std::sync::{Arc, Mutex, PoisonError};
    use std::time::{Duration, Instant};

    use ockam_identity::Identifier;
    use ockam_store::{
        DatabaseAddress, Home, IfRunning, MemberChange, MemberRecord, NodeStart, SealingKey, Store,
        StoreError,
    };
    use ockam_vault::{SigningKeyType, SoftwareVault};
    use tempfile::TempDir;

    use super::fixture::Postgres;

    fn key() -> SealingKey {
        SealingKey::from_hex(&"5a".repeat(32), "the test").unwrap()
    }

    async fn open(address: &str) -> (TempDir, Result<Store, StoreError>) {
        open_with(address, Some(key())).await
    }

    async fn open_with(
        address: &str,
        key: Option<SealingKey>,
    ) -> (TempDir, Result<Store, StoreError>) {
        let directory = tempfile::tempdir().unwrap();
        let home = Home::open(directory.path().join("home")).unwrap();
        let address: DatabaseAddress = address.parse().unwrap();
        let store = Store::open_at(&address, &home, key).await;
        (directory, store)
    }

    fn start(name: &str) -> NodeStart {
        NodeStart {
            name: name.parse().unwrap(),
            identity: None,
            process: None,
            listener: None,
            status_endpoint: None,
            options: "{}".into(),
        }
    }

    fn member(number: u64) -> (Identifier, MemberRecord) {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&number.to_be_bytes());
        let member = MemberRecord {
            attributes: number.to_be_bytes().to_vec(),
            added_by: Identifier::new([7; 32]),
            added_at: ockam_identity::UnixTime(10),
            is_pre_trusted: false,
        };
        (Identifier::new(bytes), member)
    }

    const AUTHORITY: Identifier = Identifier::new([9; 32]);

    async fn add_member(store: &Store, number: u64) -> Result<(), StoreError> {
        let (who, record) = member(number);
        store
            .change_members(&AUTHORITY, &[who], None, |_, _| {
                MemberChange::Put(record.clone(), None)
            })
            .await
            .map(drop)
    }

    #[tokio::test]
    async fn what_is_wrong_with_an_address_is_said_at_once_and_without_the_password() {
        let server = Postgres::start();
        let begin = Instant::now();
        let there = server.database("there");
        server.query("postgres", "CREATE ROLE weak LOGIN");
        server.query("there", "REVOKE CREATE ON SCHEMA public FROM PUBLIC");
        server.query("postgres", "CREATE DATABASE other");
        server.query("other", "CREATE TABLE t (x int)");
        for (address, expected) in [
            (
                server.address("missing"),
                "database \"missing\" does not exist",
            ),
            (
                there.replace("tester", "nobody"),
                "role \"nobody\" does not exist",
            ),
            (
                there.replace("tester", "weak"),
                "permission denied for schema public",
            ),
            ("postgres://me:hush@127.0.0.1:1/x".to_owned(), "refused"),
            (
                "postgres://me:hush@no-such-host.invalid/x".to_owned(),
                "cannot be reached",
            ),
            (server.address("other"), "holds tables of another program"),
            (format!("{there}?sslmode=require"), "TLS"),
        ] {
            let error = open(&address).await.1.unwrap_err();
            let shown = format!("{error} {error:?}");
            assert!(shown.contains(expected), "{address}: {shown}");
            assert!(!shown.contains("hush"), "{shown}");
        }
        assert!(
            begin.elapsed() < Duration::from_secs(20),
            "{:?}",
            begin.elapsed()
        );
    }

    #[tokio::test]
    async fn secrets_are_sealed_and_the_key_is_asked_for() {
        let server = Postgres::with(&["log_statement=all"]);
        let address = server.database("d");
        let closed = open_with(&address, None).await.1;
        assert!(matches!(closed, Err(StoreError::NoDatabaseKey(_))));

        let (_home, store) = open(&address).await;
        let store = store.unwrap();
        let vault = store.vault_or_only(None).await.unwrap();
        let vault = store.open_vault(&vault.name, None).await.unwrap();
        let mut software = SoftwareVault::new(ockam_vault::fast());
        let handle = software
            .generate_signing_key(SigningKeyType::Ed25519, &mut |bytes: &mut [u8]| {
                bytes.fill(0x6b);
            })
            .unwrap();
        let secret = software.export_signing_key(&handle).unwrap();
        store.add_secrets(&vault, &[secret]).await.unwrap();
        let read = store.secret(&vault, &handle).await.unwrap().unwrap();
        assert_eq!(read.secret.as_bytes(), &[0x6b; 32]);
        assert_eq!(store.secrets(&vault).await.unwrap().len(), 1);

        // Neither in a table nor in what the server writes down.
        let stored = server.query("d", "SELECT encode(secret, 'hex') FROM secret");
        assert_eq!(stored.trim().len(), 120, "{stored}");
        assert!(!stored.contains("6b6b6b6b"), "{stored}");
        assert!(server.log().contains("INSERT INTO secret"));
        assert!(!server.log().contains("6b6b6b6b"));

        // A sealed secret is that of its row alone.
        server.query("d", "UPDATE secret SET handle = decode('00', 'hex')");
        let moved = store.secrets(&vault).await;
        assert!(matches!(moved, Err(StoreError::DamagedSecret(_))));

        let other = SealingKey::from_hex(&"5b".repeat(32), "the test").unwrap();
        let wrong = open_with(&address, Some(other)).await.1;
        assert!(matches!(wrong, Err(StoreError::WrongDatabaseKey)));
    }

    #[tokio::test]
    async fn a_newer_schema_is_refused_and_kept() {
        let server = Postgres::start();
        let address = server.database("d");
        open(&address).await.1.unwrap().close().await;
        server.query("d", "UPDATE ockam_database SET version = 999");
        let error = open(&address).await.1.unwrap_err();
        assert!(matches!(error, StoreError::NewerSchema { found: 999, .. }));
        assert_eq!(
            server
                .query("d", "SELECT version FROM ockam_database")
                .trim(),
            "999"
        );
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn many_that_open_an_empty_database_at_once_make_it_once() {
        let server = Postgres::start();
        let address = server.database("d");
        let opening: Vec<_> = (0..20)
            .map(|number| {
                let address = address.clone();
                tokio::spawn(async move {
                    let (_home, store) = open(&address).await;
                    let store = store.unwrap();
                    let node = start(&format!("n{number}"));
                    store.create_node(&node, IfRunning::Refuse).await.unwrap();
                    store.close().await;
                })
            })
            .collect();
        for opened in opening {
            opened.await.unwrap();
        }
        let (_home, store) = open(&address).await;
        let nodes = store.unwrap().nodes().await.unwrap();
        assert_eq!(nodes.len(), 20);
        assert_eq!(nodes.iter().filter(|node| node.is_default).count(), 1);
    }

    /// Two stores, as two processes have them, and a third that reads.
    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn sequences_become_visible_in_their_order() {
        let server = Postgres::start();
        let address = server.database("d");
        let (_one, one) = open(&address).await;
        let (_two, two) = open(&address).await;
        let (one, two) = (one.unwrap(), two.unwrap());
        let writing: Vec<_> = (0..8_u64)
            .map(|writer| {
                let store = if writer % 2 == 0 {
                    one.clone()
                } else {
                    two.clone()
                };
                tokio::spawn(async move {
                    for round in 0..25 {
                        let (who, _) = member(writer * 1000 + round);
                        store
                            .change_members(&AUTHORITY, &[who], None, |_, _| {
                                MemberChange::Remove(ockam_identity::UnixTime(5))
                            })
                            .await
                            .unwrap();
                    }
                })
            })
            .collect();
        let (_reader, reader) = open(&address).await;
        let reader = reader.unwrap();
        let mut seen = Vec::new();
        let deadline = Instant::now() + Duration::from_secs(60);
        while seen.len() < 200 {
            assert!(Instant::now() < deadline, "{} seen", seen.len());
            let last = seen.last().copied().unwrap_or(0);
            let more = reader
                .withdrawals_behind(&AUTHORITY, last, 50)
                .await
                .unwrap();
            seen.extend(more.iter().map(|withdrawal| withdrawal.sequence));
        }
        for written in writing {
            written.await.unwrap();
        }
        assert_eq!(seen, (1..=200).collect::<Vec<_>>());
    }

    /// What was acknowledged is there once, what was refused is not there, and work goes on by itself.
    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn connections_that_are_cut_again_and_again_lose_and_double_nothing() {
        let server = Postgres::start();
        let address = server.database("d");
        let (_home, store) = open(&address).await;
        let store = store.unwrap();
        let done = Arc::new(AtomicBool::new(false));
        let next = Arc::new(AtomicU64::new(0));
        let acknowledged = Arc::new(Mutex::new(Vec::new()));
        let writing: Vec<_> = (0..4)
            .map(|_| {
                let (store, done, next) = (store.clone(), done.clone(), next.clone());
                let acknowledged = acknowledged.clone();
                tokio::spawn(async move {
                    while !done.load(Ordering::Relaxed) {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        add_member(&store, number).await.unwrap();
                        let mut list = acknowledged.lock().unwrap_or_else(PoisonError::into_inner);
                        list.push(number);
                    }
                })
            })
            .collect();
        let cut = tokio::task::spawn_blocking(move || {
            for _ in 0..40 {
                server.query(
                    "postgres",
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                     WHERE application_name = 'ockam' AND random() < 0.7",
                );
            }
            server
        });
        let _server = cut.await.unwrap();
        done.store(true, Ordering::Relaxed);
        for written in writing {
            written.await.unwrap();
        }
        let acknowledged = acknowledged
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        assert!(acknowledged.len() > 40, "{}", acknowledged.len());
        eprintln!(
            "{} writes while connections were cut 40 times",
            acknowledged.len()
        );
        let mut stored = Vec::new();
        loop {
            let after = stored.last().map(|number| member(*number).0);
            let page = store
                .members_behind(&AUTHORITY, after.as_ref(), 100)
                .await
                .unwrap();
            if page.is_empty() {
                break;
            }
            stored.extend(page.iter().map(|(_, member)| {
                u64::from_be_bytes(member.attributes.as_slice().try_into().unwrap())
            }));
        }
        let mut sorted = acknowledged;
        sorted.sort_unstable();
        assert_eq!(stored, sorted);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn a_server_that_crashes_and_comes_back_is_waited_for() {
        let mut server = Postgres::with(&["fsync=on"]);
        let address = server.database("d");
        let (_home, store) = open(&address).await;
        let store = store.unwrap();
        add_member(&store, 1).await.unwrap();
        server.stop();
        let waiting = tokio::spawn({
            let store = store.clone();
            async move {
                add_member(&store, 2).await.unwrap();
                store
                    .members_behind(&AUTHORITY, None, 10)
                    .await
                    .unwrap()
                    .len()
            }
        });
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert!(!waiting.is_finished());
        let server = tokio::task::spawn_blocking(move || {
            server.run();
            server
        });
        let _server = server.await.unwrap();
        assert_eq!(waiting.await.unwrap(), 2);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn a_query_that_failed_is_never_acknowledged() {
        let server = Postgres::start();
        let address = server.database("d");
        let (_home, store) = open(&address).await;
        let store = store.unwrap();
        let node = "n".parse().unwrap();
        let missing = store.add_request(&node, "relay", "a", "{}").await;
        assert!(matches!(missing, Err(StoreError::NoNode(_))), "{missing:?}");
        store
            .create_node(&start("n"), IfRunning::Refuse)
            .await
            .unwrap();
        store.add_request(&node, "relay", "a", "{}").await.unwrap();
        assert_eq!(store.requests(&node).await.unwrap().len(), 1);
    }

    #[tokio::test]
    async fn in_tls_a_server_must_be_one_that_the_machine_trusts() {
        let authority = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let root = params.self_signed(&authority).unwrap();
        let issuer = rcgen::Issuer::new(params, authority);
        let key = rcgen::KeyPair::generate().unwrap();
        let names = vec!["localhost".to_owned()];
        let certificate = rcgen::CertificateParams::new(names)
            .unwrap()
            .signed_by(&key, &issuer)
            .unwrap();
        let server = Postgres::with_files(
            &["ssl=on"],
            &[
                ("server.crt", &certificate.pem()),
                ("server.key", &key.serialize_pem()),
            ],
        );
        let address = server.database("d");
        let strict = format!("{address}?sslmode=verify-full");
        let by_name = strict.replace("127.0.0.1", "localhost");
        let stranger = open(&by_name).await.1.unwrap_err().to_string();
        assert!(stranger.contains("cannot be reached"), "{stranger}");
        assert!(stranger.contains("UnknownIssuer"), "{stranger}");

        let directory = tempfile::tempdir().unwrap();
        let trusted = directory.path().join("root.pem");
        std::fs::write(&trusted, root.pem()).unwrap();
        for (address, expected) in [(&by_name, true), (&strict, false)] {
            // What the machine trusts is read from the environment, which a test cannot change for itself.
            let done = std::process::Command::new(std::env::current_exe().unwrap())
                .args([
                    "--exact",
                    "needs_postgres::opens_what_it_is_told",
                    "--ignored",
                ])
                .env("SSL_CERT_FILE", &trusted)
                .env(ADDRESS, address)
                .output()
                .unwrap();
            let text = String::from_utf8_lossy(&done.stdout);
            assert_eq!(done.status.success(), expected, "{address}: {text}");
            assert!(expected || text.contains("not valid for name"), "{text}");
        }
        let in_tls = server.query("d", "SELECT count(*) FROM ockam_database");
        assert_eq!(in_tls.trim(), "1");
    }

    #[tokio::test]
    #[ignore = "run by in_tls_a_server_must_be_one_that_the_machine_trusts"]
    async fn opens_what_it_is_told() {
        let address = std::env::var(ADDRESS).unwrap();
        let (_home, store) = open(&address).await;
        let store = store.unwrap();
        assert!(store.nodes().await.unwrap().is_empty());
    }

    const ADDRESS: &str = "STORE_TEST_ADDRESS";

    #[tokio::test]
    async fn the_costs_of_a_read_and_of_a_write() {
        let server = Postgres::start();
        let address = server.database("d");
        let (_home, store) = open(&address).await;
        let store = store.unwrap();
        let (mut reads, mut writes) = (Vec::new(), Vec::new());
        for number in 0..200 {
            let begin = Instant::now();
            add_member(&store, number).await.unwrap();
            writes.push(begin.elapsed());
            let begin = Instant::now();
            let found = store.member(&AUTHORITY, &member(number).0).await.unwrap();
            assert!(found.is_some());
            reads.push(begin.elapsed());
        }
        reads.sort();
        writes.sort();
        eprintln!("a read {:?}, a write {:?}", reads[100], writes[100]);
    }
}
