//! A party: a home of its own and the node that runs in it as a background process.

use std::fs::File;
use std::io::{Read, Seek};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use ockam_channel::{LocalIdentity, StaticKey};
use ockam_identity::{Identifier, Purpose};
use ockam_store::{Home, Store};
use ockam_vault::{SecretKind, SecretRecord, SigningKeyType, SoftwareVault, X25519Secret, fast};
use serde_json::Value;
use tempfile::TempDir;

/// The longest that anything in these tests may take. What takes longer has failed.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Looks again and again until something is there.
pub fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < end, "not within {PATIENCE:?}: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A home with a running node. Everything that runs in the home is killed when this is dropped.
pub struct Party {
    node: &'static str,
    home: TempDir,
}

impl Party {
    /// Makes the home and starts the node.
    pub fn start(node: &'static str) -> Self {
        Self::start_with(node, &[])
    }

    /// The same, with variables in the environment of the node.
    pub fn start_with(node: &'static str, environment: &[(&str, &str)]) -> Self {
        let home = tempfile::Builder::new()
            .prefix("ockam-hostile-")
            .tempdir()
            .unwrap();
        let party = Self { node, home };
        let created = party.run(
            &format!("node create {node} --no-status-endpoint"),
            environment,
        );
        assert_eq!(created.code, Some(0), "{created}");
        party
    }

    /// Runs a command and expects it to succeed. Returns what it printed.
    pub fn ok(&self, arguments: &str) -> String {
        let done = self.run(arguments, &[]);
        assert_eq!(done.code, Some(0), "{done}");
        done.stdout
    }

    /// Runs a command that prints JSON.
    pub fn json(&self, arguments: &str) -> Value {
        serde_json::from_str(&self.ok(&format!("{arguments} --output json"))).unwrap()
    }

    /// Runs a command to its end, whatever that is.
    pub fn run(&self, arguments: &str, environment: &[(&str, &str)]) -> Done {
        let (mut stdout, mut stderr) =
            (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
        let mut command = Command::new(env!("CARGO_BIN_EXE_ockam"));
        for (name, _) in std::env::vars() {
            if name.starts_with("OCKAM") || ["QUIET", "NO_COLOR", "NO_INPUT"].contains(&&*name) {
                command.env_remove(name);
            }
        }
        command
            .args(arguments.split_whitespace())
            .env("OCKAM_HOME", self.home.path())
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(stdout.try_clone().unwrap())
            .stderr(stderr.try_clone().unwrap());
        let mut child = command.spawn().unwrap();
        let end = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break status;
            }
            if Instant::now() > end {
                child.kill().unwrap();
                child.wait().unwrap();
                panic!(
                    "`ockam {arguments}` did not end within {PATIENCE:?}: {}",
                    text(&mut stderr)
                );
            }
            std::thread::sleep(Duration::from_millis(2));
        };
        Done {
            command: arguments.to_owned(),
            code: status.code(),
            stdout: text(&mut stdout),
            stderr: text(&mut stderr),
        }
    }

    /// Where the node listens for other nodes.
    pub fn listener(&self) -> std::net::SocketAddr {
        let shown = self.json(&format!("node show {}", self.node));
        let listeners = shown["transports"].as_array().unwrap().iter();
        let mut addresses = listeners
            .filter(|transport| transport["mode"] == "Listen")
            .map(|transport| transport["socket_addr"].as_str().unwrap().parse().unwrap());
        addresses.next().unwrap()
    }

    /// The newest log of the node.
    pub fn log(&self) -> String {
        let path = self.ok(&format!("node logs {}", self.node));
        std::fs::read_to_string(path.trim()).unwrap()
    }

    /// The directory of the home.
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// Takes every long-term key out of the home's database, as a thief of the disk would.
    pub fn steal_keys(&self) -> Loot {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let store = Store::open(&Home::open(self.home.path()).unwrap())
                .await
                .unwrap();
            let vault = store.vault_or_only(None).await.unwrap();
            let vault = store.open_vault(&vault.name, None).await.unwrap();
            let identity = store.default_identity().await.unwrap().unwrap();
            let key = store
                .purpose_key(&identity.identifier, Purpose::SecureChannel)
                .await;
            let loot = Loot {
                identifier: identity.identifier,
                history: identity.history.as_bytes().to_vec(),
                attestation: key.unwrap().unwrap().attestation.as_bytes().to_vec(),
                secrets: store.secrets(&vault).await.unwrap(),
            };
            store.close().await;
            loot
        })
    }
}

impl Drop for Party {
    fn drop(&mut self) {
        // A command may just be starting a process, so look until there is none.
        let end = Instant::now() + Duration::from_secs(10);
        while kill_all(self.home.path()) > 0 && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// Kills every process whose environment names the home; tells how many there were.
fn kill_all(home: &Path) -> usize {
    let mark = [b"OCKAM_HOME=", home.as_os_str().as_encoded_bytes(), b"\0"].concat();
    let mut count = 0;
    for process in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = process
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok())
        else {
            continue;
        };
        let environment = std::fs::read(process.path().join("environ")).unwrap_or_default();
        let ours = environment.windows(mark.len()).any(|part| part == mark);
        if let (true, Some(pid)) = (ours, rustix::process::Pid::from_raw(pid)) {
            count += 1;
            // It may have ended by itself since.
            rustix::process::kill_process(pid, rustix::process::Signal::KILL).ok();
        }
    }
    count
}

fn text(file: &mut File) -> String {
    let mut bytes = Vec::new();
    file.rewind().unwrap();
    file.read_to_end(&mut bytes).unwrap();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// How a command ended.
pub struct Done {
    command: String,
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl std::fmt::Display for Done {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            command,
            code,
            stdout,
            stderr,
        } = self;
        write!(
            f,
            "`ockam {command}` ended with {code:?}\nstdout: {stdout}\nstderr: {stderr}"
        )
    }
}

/// The long-term keys of a home, and what is public of its identity.
pub struct Loot {
    pub identifier: Identifier,
    pub history: Vec<u8>,
    pub attestation: Vec<u8>,
    pub secrets: Vec<SecretRecord>,
}

impl Loot {
    /// Every stolen key agreement secret.
    pub fn agreement_secrets(&self) -> Vec<[u8; 32]> {
        let secrets = self
            .secrets
            .iter()
            .filter(|record| record.kind == SecretKind::X25519);
        secrets.map(|record| *record.secret.as_bytes()).collect()
    }

    /// The one static key of handshakes.
    pub fn static_secret(&self) -> [u8; 32] {
        let secrets = self.agreement_secrets();
        assert_eq!(secrets.len(), 1);
        secrets[0]
    }

    /// Signs as the stolen identity.
    pub fn sign(&self, message: &[u8]) -> ockam_vault::Signature {
        let kind = SecretKind::Signing(SigningKeyType::Ed25519);
        let key = self
            .secrets
            .iter()
            .find(|record| record.kind == kind)
            .unwrap();
        let mut vault = SoftwareVault::new(fast());
        let secret = ockam_vault::SecretBytes::new(*key.secret.as_bytes());
        let secret = ockam_vault::SigningSecret::new(SigningKeyType::Ed25519, secret).unwrap();
        let handle = vault.insert_signing_key(secret).unwrap();
        ockam_vault::Signer::sign(&vault, &handle, message).unwrap()
    }

    /// The public half with another static key: somebody who claims to be this identity.
    pub fn claimed_with(&self, attestation: &[u8], static_secret: [u8; 32]) -> LocalIdentity {
        let history = ockam_identity::ChangeHistory::decode(&self.history).unwrap();
        LocalIdentity {
            history: history.verify(fast(), None).unwrap(),
            static_key: StaticKey::new(
                fast(),
                X25519Secret::new(ockam_vault::SecretBytes::new(static_secret)),
            ),
            attestation: ockam_identity::PurposeKeyAttestation::decode(attestation).unwrap(),
            credentials: Vec::new(),
        }
    }
}
