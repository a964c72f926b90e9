//! A store in a directory of its own, keys and identities to put into it.

#[path = "../tests/fixtures/postgres.rs"]
pub(crate) mod fixture;

use ockam_identity::{
    IdentityDraft, OlderPurposeKeys, PURPOSE_KEY_SECONDS, Purpose, PurposeKeyDraft,
    PurposePublicKey, RotationDraft, UnixTime, Validity, VerifiedHistory,
};
use ockam_vault::{Handle, SecretRecord, Signer, SigningKeyType, SoftwareVault};
use sqlx::Connection as _;
use tempfile::TempDir;

use crate::home::Home;
use crate::identities::NewIdentity;
use crate::name::NodeName;
use crate::nodes::{IfRunning, NodeStart};
use crate::purpose_keys::PurposeKeyRecord;
use crate::store::Store;

pub(crate) async fn store() -> (TempDir, Store) {
    let directory = tempfile::tempdir().unwrap();
    let home = Home::open(directory.path().join("home")).unwrap();
    let store = match std::env::var(SERVER) {
        Err(_) => Store::open(&home).await.unwrap(),
        Ok(server) => {
            // Each test has tables of its own.
            let mut schema = String::from("s");
            let mut random = [0; 8];
            fill(&mut random);
            for byte in random {
                schema.push_str(&format!("{byte:02x}"));
            }
            let mut plain = sqlx::postgres::PgConnection::connect(&server)
                .await
                .unwrap();
            let make = sqlx::AssertSqlSafe(format!("CREATE SCHEMA {schema}"));
            sqlx::raw_sql(make).execute(&mut plain).await.unwrap();
            plain.close().await.unwrap();
            let address = format!("{server}?options=-csearch_path={schema}");
            std::fs::write(home.path().join(ADDRESS), &address).unwrap();
            open(&address, &home).await
        }
    };
    (directory, store)
}

/// Another store over the same database, as another process has it.
pub(crate) async fn another(store: &Store) -> Store {
    match std::fs::read_to_string(store.home().path().join(ADDRESS)) {
        Ok(address) => open(&address, store.home()).await,
        Err(_) => Store::open(store.home()).await.unwrap(),
    }
}

async fn open(address: &str, home: &Home) -> Store {
    let key = crate::SealingKey::from_hex(&"5a".repeat(32), "the test").unwrap();
    let address = address.parse().unwrap();
    Store::open_at(&address, home, Some(key)).await.unwrap()
}

/// The file with the address of the database of a test, if it is on a server.
const ADDRESS: &str = "address";

/// The server on which the stores of tests are, if they are not in files.
const SERVER: &str = "STORE_TEST_SERVER";

mod needs_postgres {
    use super::*;

    /// What is true of files alone has no place on a server.
    const OF_FILES: &[&str] = &[
        "needs_postgres",
        // They look into the file, or fill and explain tables in words that only SQLite knows.
        "entries_are_never_changed_and_a_chain_that_was_is_found_out",
        "strangers_fill_the_store_up_to_a_bound_and_displace_nobody",
        "a_members_request_costs_the_same_with_10_and_with_100_000_members",
        "looking_members_up_uses_an_index",
        "a_passphrase_is_set_changed_and_removed",
        "what_is_no_vault_is_not_touched",
    ];

    #[test]
    fn every_test_of_the_store_holds_on_a_server_too() {
        let server = fixture::Postgres::start();
        let address = server.database("d");
        let mut command = std::process::Command::new(std::env::current_exe().unwrap());
        for test in OF_FILES {
            command.args(["--skip", test]);
        }
        let done = command
            .args(["--test-threads", "4"])
            .env(SERVER, address)
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&done.stdout);
        assert!(done.status.success(), "{text}");
        let schemas = server.query(
            "d",
            "SELECT count(*) FROM pg_namespace WHERE nspname LIKE 's________________'",
        );
        let count: u32 = schemas.trim().parse().unwrap();
        assert!(count > 50, "{count} of the tests used the server");
    }
}

/// An entry of the audit log, for changes that need one.
pub(crate) fn entry() -> crate::NewAudit {
    let [actor, action, object, outcome] = ["I1", "change", "it", "done"].map(str::to_owned);
    crate::NewAudit {
        at: UnixTime(1000),
        note: crate::AuditNote {
            actor,
            action,
            object,
            outcome,
        },
    }
}

/// The start of a node n1 that was asked for nothing.
pub(crate) fn node_start() -> NodeStart {
    NodeStart {
        name: "n1".parse().unwrap(),
        identity: None,
        process: None,
        listener: None,
        status_endpoint: None,
        options: "{}".into(),
    }
}

/// Such a node in the store.
pub(crate) async fn node(store: &Store) -> NodeName {
    let start = node_start();
    store.create_node(&start, IfRunning::Refuse).await.unwrap();
    start.name
}

/// A vault with so many signing keys and as many agreement keys, and the handles of the signing keys.
pub(crate) fn vault_with_keys(count: usize) -> (SoftwareVault, Vec<Handle>) {
    let mut vault = SoftwareVault::new(ockam_vault::fast());
    let mut handles = Vec::new();
    for index in 0..count {
        let kind = if index % 2 == 0 {
            SigningKeyType::Ed25519
        } else {
            SigningKeyType::P256
        };
        handles.push(vault.generate_signing_key(kind, &mut fill).unwrap());
        vault.generate_agreement_key(&mut fill);
    }
    (vault, handles)
}

fn fill(bytes: &mut [u8]) {
    getrandom::fill(bytes).unwrap();
}

/// An identity whose key is in a vault of its own.
pub(crate) struct Person {
    pub(crate) software: SoftwareVault,
    pub(crate) key: Handle,
    pub(crate) history: VerifiedHistory,
}

impl Person {
    pub(crate) fn new() -> Self {
        let provider = ockam_vault::fast();
        let mut software = SoftwareVault::new(provider);
        let key = software
            .generate_signing_key(SigningKeyType::Ed25519, &mut fill)
            .unwrap();
        let public = software.public_key(&key).unwrap();
        let history = IdentityDraft::new(provider, public, Validity::of_primary_key(NOW))
            .unwrap()
            .sign_with(provider, &software, &key)
            .unwrap();
        Self {
            software,
            key,
            history,
        }
    }

    /// The same identity after a rotation.
    pub(crate) fn rotated(&self) -> Self {
        let provider = ockam_vault::fast();
        let mut software = SoftwareVault::from_records(provider, self.software.records()).unwrap();
        let key = software
            .generate_signing_key(SigningKeyType::Ed25519, &mut fill)
            .unwrap();
        let public = software.public_key(&key).unwrap();
        let window = Validity::of_primary_key(NOW);
        let history = RotationDraft::new(
            provider,
            &self.history,
            public,
            window,
            OlderPurposeKeys::Keep,
        )
        .unwrap()
        .sign_with(provider, &software, &key, &self.key)
        .unwrap();
        Self {
            software,
            key,
            history,
        }
    }

    pub(crate) fn named(&self, name: &str) -> NewIdentity<'_> {
        NewIdentity {
            name: name.parse().unwrap(),
            history: &self.history,
            key: Some(self.key.clone()),
            secrets: vec![self.software.export_signing_key(&self.key).unwrap()],
        }
    }

    /// A new purpose key and its secret.
    pub(crate) fn purpose_key(&self) -> (PurposeKeyRecord, SecretRecord) {
        let provider = ockam_vault::fast();
        let mut software = SoftwareVault::new(provider);
        let key = software.generate_agreement_key(&mut fill);
        let public =
            PurposePublicKey::SecureChannelStatic(software.agreement_public_key(&key).unwrap());
        let attestation =
            PurposeKeyDraft::new(provider, &self.history, public, NOW, PURPOSE_KEY_SECONDS)
                .unwrap()
                .sign_with(provider, &self.software, &self.key)
                .unwrap();
        let secret = software.export_agreement_key(&key).unwrap();
        let record = PurposeKeyRecord {
            subject: *self.history.identifier(),
            purpose: Purpose::SecureChannel,
            attestation,
            key,
        };
        (record, secret)
    }
}

const NOW: UnixTime = UnixTime(1_700_000_000);
