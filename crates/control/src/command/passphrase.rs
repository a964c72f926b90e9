//! Where passphrases come from: a file, standard input, or whoever sits at the terminal. Never an argument, which every user
//! of the machine could read.

use std::fs::File;
use std::io::Read as _;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use ockam_store::{IdentityName, Passphrase, VaultName};

use crate::command::{Repeat, Session};
use crate::home::{identities, vaults};
use crate::outcome::Failure;
use crate::state::{State, refused};

/// A passphrase for what a command makes or opens.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct PassphraseFile {
    /// A file that holds the passphrase; `-` reads it from standard input. Asked for on a terminal otherwise
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
}

impl PassphraseFile {
    /// Whether the option was given.
    pub(super) fn is_given(&self) -> bool {
        self.passphrase_file.is_some()
    }

    /// The passphrase of the file, or the one that is typed in answer to the question.
    pub(super) fn read(
        &self,
        session: &Session<'_>,
        question: &str,
        repeat: Repeat,
    ) -> Result<Passphrase, Failure> {
        if let Some(path) = &self.passphrase_file {
            let mut lines = lines_of(session, path)?;
            return match (lines.pop(), lines.is_empty()) {
                (Some(only), true) => Ok(only),
                (None, _) => Err(Failure::new(format!(
                    "the passphrase in {} is empty: give one",
                    path.display()
                ))),
                (Some(_), false) => Err(Failure::new(format!(
                    "{} has several lines: a passphrase is one line",
                    path.display()
                ))),
            };
        }
        if session.host.can_prompt() {
            return session.host.passphrase(question, repeat);
        }
        Err(
            Failure::new("a passphrase is needed and cannot be asked for")
                .help("name a file that holds it with --passphrase-file; `-` is standard input"),
        )
    }
}

impl Session<'_> {
    /// Opens the vault of this identity, the default one or (if there is none) the only vault, asking for its passphrase if it
    /// is sealed. Nodes that are started afterwards open it too.
    pub(crate) async fn unlock_for(
        &self,
        state: &State,
        identity: Option<&IdentityName>,
    ) -> Result<(), Failure> {
        let known = state.store().vaults().await.map_err(refused)?;
        if known.iter().all(|vault| !vault.is_sealed) {
            return Ok(());
        }
        match identities::find(state, identity).await {
            Ok(record) => self.unlock(state, &record.vault).await,
            // It is going to be made.
            Err(_) => self.unlock_only(state).await,
        }
    }

    /// Opens the only vault, if it is sealed; what comes next complains when there are several.
    pub(crate) async fn unlock_only(&self, state: &State) -> Result<(), Failure> {
        match state.store().vaults().await.map_err(refused)?.as_slice() {
            [only] => self.unlock(state, &only.name).await,
            _ => Ok(()),
        }
    }

    /// Opens a vault, asking for its passphrase if it is sealed.
    pub(crate) async fn unlock(&self, state: &State, vault: &VaultName) -> Result<(), Failure> {
        let record = state.store().vault(vault).await.map_err(refused)?;
        if !record.is_sealed || state.keyring().opened(vault).is_some() {
            return Ok(());
        }
        if let Some(path) = self.host.variable(VARIABLE).filter(|path| !path.is_empty()) {
            if state.keyring().passphrases().is_empty() {
                for passphrase in lines_of(self, &PathBuf::from(path))? {
                    self.give(state, passphrase);
                }
            }
            return vaults::open(state, vault).await.map(drop);
        }
        if !self.host.can_prompt() {
            return vaults::open(state, vault).await.map(drop);
        }
        let question = format!("Passphrase of the vault {vault}:");
        for _ in 1..ATTEMPTS {
            let passphrase = self.host.passphrase(&question, Repeat::No)?;
            self.give(state, passphrase);
            if vaults::open(state, vault).await.is_ok() {
                return Ok(());
            }
            self.host.note(crate::command::Note::Warning(
                "That does not open it".to_owned(),
            ));
        }
        let passphrase = self.host.passphrase(&question, Repeat::No)?;
        self.give(state, passphrase);
        vaults::open(state, vault).await.map(drop)
    }

    fn give(&self, state: &State, passphrase: Passphrase) {
        let passphrase = Arc::new(passphrase);
        self.host.hand_on(&passphrase);
        state.keyring().add(passphrase);
    }
}

/// The lines of a file, or of standard input.
fn lines_of(session: &Session<'_>, path: &std::path::Path) -> Result<Vec<Passphrase>, Failure> {
    let failed = |error: std::io::Error| {
        Failure::internal(
            format!("no passphrase could be read from {}", path.display()),
            &error,
        )
    };
    let bytes = if path.as_os_str() == "-" {
        session.host.read_input(LONGEST + 1).map_err(failed)?
    } else {
        let mut bytes = Vec::with_capacity(usize::try_from(LONGEST + 1).unwrap_or_default());
        File::open(path)
            .and_then(|file| file.take(LONGEST + 1).read_to_end(&mut bytes))
            .map_err(failed)?;
        bytes
    };
    if u64::try_from(bytes.len()).is_ok_and(|length| length > LONGEST) {
        return Err(Failure::new(format!(
            "{} is too long for a passphrase",
            path.display()
        )));
    }
    let text =
        Passphrase::new(String::from_utf8(bytes).map_err(|_| {
            Failure::new(format!("the passphrase in {} is not text", path.display()))
        })?);
    Ok(text
        .expose()
        .lines()
        .filter(|line| !line.is_empty())
        .map(|line| Passphrase::new(line.to_owned()))
        .collect())
}

/// Names a file with the passphrases of sealed vaults, one on each line.
const VARIABLE: &str = "OCKAM_VAULT_PASSPHRASE_FILE";
/// How often somebody may mistype.
const ATTEMPTS: u32 = 3;
/// More than anybody types.
const LONGEST: u64 = 16 * 1024;
