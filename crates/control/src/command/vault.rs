//! `ockam vault`.

use std::path::PathBuf;

use clap::Args;
use ockam_store::{BackupSeal, Effect, VaultName, VaultRecord};
use serde_json::json;

use crate::command::argument::refuse_flag;
use crate::command::flow::{self, Chosen};
use crate::command::passphrase::PassphraseFile;
use crate::command::{self, Example, Note, Repeat, Run, Session, text};
use crate::home::{backup, vaults};
use crate::noun::vault::NOUN;
use crate::outcome::{Failure, Outcome};
use crate::state::{State, refused};
use crate::table::Noun;

#[derive(Debug, Args)]
pub(super) struct Create {
    /// The name of the vault; `default` for the first one, else random when none is given
    name: Option<VaultName>,
    /// The file that holds its keys; one that is a vault already is used as it is
    #[arg(long, value_name = "PATH")]
    path: Option<PathBuf>,
    /// Seal its keys under a passphrase, which is asked for
    #[arg(long)]
    sealed: bool,
    #[command(flatten)]
    passphrase: PassphraseFile,
    /// Keep signing keys in AWS KMS
    #[arg(long, hide = true)]
    aws_kms: bool,
}

impl Run for Create {
    const NOUN: &'static Noun = &NOUN;
    const VERB: &'static str = "create";

    fn examples() -> Vec<Example> {
        vec![
            Example::new(
                "A further vault, in a file of its own",
                "ockam vault create work",
            ),
            Example::new(
                "A vault on a disk that can be taken along",
                "ockam vault create usb --path /media/usb/ockam-vault",
            ),
        ]
    }

    async fn run<'a>(self, session: &'a Session<'a>) -> Result<(), Failure> {
        refuse_flag("--aws-kms", self.aws_kms)?;
        let state = session.open().await?;
        if session.is_applying()
            && let Some(name) = &self.name
            && state
                .store()
                .vaults()
                .await
                .map_err(refused)?
                .iter()
                .any(|vault| vault.name == *name)
        {
            // A configuration that is applied again finds the vault it made.
            session.stays(&NOUN, name.as_str());
            session.host.print(
                Outcome::plain(text::info(format!("There is a Vault named {name} already")))
                    .machine(name.as_str())
                    .json(json!({ "name": name.as_str() })),
            );
            return Ok(());
        }
        let passphrase = if self.sealed || self.passphrase.is_given() {
            let question = "Passphrase of the new vault:";
            Some(self.passphrase.read(session, question, Repeat::Yes)?)
        } else {
            None
        };
        let vault =
            vaults::create(&state, self.name, self.path.as_deref(), passphrase.as_ref()).await?;
        let name = vault.name.as_str();
        let mut plain = vec![text::done(format!("Created a new Vault named {name}"))];
        if let Some(path) = &vault.path {
            plain.push(text::more(format!("Its keys are in {}", path.display())));
        }
        if vault.is_default {
            plain.push(text::done(format!(
                "Marked {name} as your default Vault, on this machine"
            )));
        }
        session.host.print(
            Outcome::plain(plain.join("\n"))
                .machine(name)
                .json(json!({ "name": name })),
        );
        Ok(())
    }
}

#[derive(Debug, Args)]
pub(super) struct Show {
    /// The name of the vault; the default one when none is given
    name: Option<VaultName>,
}

impl Run for Show {
    const NOUN: &'static Noun = &NOUN;
    const VERB: &'static str = "show";

    fn examples() -> Vec<Example> {
        vec![Example::new(
            "A vault, and where it is",
            "ockam vault show work",
        )]
    }

    async fn run<'a>(self, session: &'a Session<'a>) -> Result<(), Failure> {
        let state = session.open().await?;
        let known = state.store().vaults().await.map_err(refused)?;
        let default = known
            .iter()
            .find(|vault| vault.is_default)
            .map(|vault| vault.name.to_string());
        let wanted = self.name.map(|name| name.to_string());
        flow::show(
            session,
            &NOUN,
            &names(&known),
            wanted,
            default,
            async |name| {
                let vault = known
                    .iter()
                    .find(|vault| vault.name.as_str() == name)
                    .ok_or_else(|| flow::not_found(&NOUN, name))?;
                Ok(Outcome::plain(text::block(&describe(vault)))
                    .machine(name)
                    .json(json!(vaults::view(vault))))
            },
        )
        .await
    }
}

#[derive(Debug, Args)]
pub(super) struct List {}

impl Run for List {
    const NOUN: &'static Noun = &NOUN;
    const VERB: &'static str = "list";

    fn examples() -> Vec<Example> {
        vec![Example::new("All vaults", "ockam vault list")]
    }

    async fn run<'a>(self, session: &'a Session<'a>) -> Result<(), Failure> {
        let state = session.open().await?;
        let known = state.store().vaults().await.map_err(refused)?;
        let items: Vec<_> = known.iter().map(vaults::view).collect();
        let plain = if known.is_empty() {
            text::info("No Vaults found on this machine")
        } else {
            text::list(known.iter().map(describe))
        };
        session.host.print(Outcome::plain(plain).json(json!(items)));
        Ok(())
    }
}

#[derive(Debug, Args)]
pub(super) struct Move {
    /// The name of the vault
    name: VaultName,
    /// The file that is to hold its keys
    #[arg(long, value_name = "PATH")]
    path: PathBuf,
}

impl Run for Move {
    const NOUN: &'static Noun = &NOUN;
    const VERB: &'static str = "move";

    fn examples() -> Vec<Example> {
        vec![Example::new(
            "To another disk",
            "ockam vault move work --path /media/usb/ockam-vault",
        )]
    }

    async fn run<'a>(self, session: &'a Session<'a>) -> Result<(), Failure> {
        let state = session.open().await?;
        let moved = state
            .store()
            .move_vault(&self.name, &self.path)
            .await
            .map_err(refused)?;
        let path = moved.path.unwrap_or(self.path);
        // spec: command 3.9.2 (on standard error only)
        session.host.note(Note::Done(format!(
            "The vault {} was moved to {}",
            self.name,
            path.display()
        )));
        Ok(())
    }
}

#[derive(Debug, Args)]
pub(super) struct Passphrase {
    /// The name of the vault; the default one when none is given
    name: Option<VaultName>,
    #[command(flatten)]
    passphrase: PassphraseFile,
    /// Store the keys in clear from now on
    #[arg(long, conflicts_with = "passphrase_file")]
    remove: bool,
}

impl Run for Passphrase {
    const NOUN: &'static Noun = &NOUN;
    const VERB: &'static str = "passphrase";

    fn examples() -> Vec<Example> {
        vec![
            Example::new(
                "Seal the keys of the default vault",
                "ockam vault passphrase",
            ),
            Example::new(
                "Store the keys of a vault in clear again",
                "ockam vault passphrase work --remove",
            ),
        ]
    }

    async fn run<'a>(self, session: &'a Session<'a>) -> Result<(), Failure> {
        let state = session.open().await?;
        let before = named_or_default(&state, self.name.as_ref()).await?;
        let name = &before.name;
        if self.remove && !before.is_sealed {
            let text = format!("The vault {name} has no passphrase");
            session.host.print(Outcome::plain(text::info(text)));
            return Ok(());
        }
        session.unlock(&state, name).await?;
        let vault = vaults::open(&state, name).await?;
        let passphrase = if self.remove {
            None
        } else {
            let question = format!("New passphrase of the vault {name}:");
            Some(self.passphrase.read(session, &question, Repeat::Yes)?)
        };
        let after = state
            .store()
            .set_passphrase(&vault, passphrase.as_ref())
            .await
            .map_err(refused)?;
        let text = match (before.is_sealed, after.is_sealed) {
            (_, false) => format!("The keys of the vault {name} are stored in clear now"),
            (true, true) => format!("The vault {name} has a new passphrase"),
            (false, true) => format!("The keys of the vault {name} are sealed under a passphrase"),
        };
        let mut plain = vec![text::done(text)];
        if let (None, Some(path)) = (&before.path, &after.path) {
            plain.push(text::more(format!("They are in {} now", path.display())));
        }
        session.host.print(
            Outcome::plain(plain.join("\n"))
                .machine(name.as_str())
                .json(json!({ "name": name.as_str(), "is_sealed": after.is_sealed })),
        );
        Ok(())
    }
}

#[derive(Debug, Args)]
pub(super) struct Export {
    /// The name of the vault; the default one when none is given
    name: Option<VaultName>,
    /// The backup file to write
    #[arg(long, value_name = "FILE")]
    path: PathBuf,
    #[command(flatten)]
    passphrase: PassphraseFile,
    /// Write the keys in clear
    #[arg(long, conflicts_with = "passphrase_file")]
    without_passphrase: bool,
    /// Replace a file that is there already
    #[arg(long)]
    force: bool,
}

impl Run for Export {
    const NOUN: &'static Noun = &NOUN;
    const VERB: &'static str = "export";

    fn examples() -> Vec<Example> {
        vec![Example::new(
            "A backup, sealed under a passphrase",
            "ockam vault export default --path ockam.backup",
        )]
    }

    async fn run<'a>(self, session: &'a Session<'a>) -> Result<(), Failure> {
        let state = session.open().await?;
        let record = named_or_default(&state, self.name.as_ref()).await?;
        let name = &record.name;
        let replace = if self.force {
            backup::IfFileExists::Replace
        } else {
            backup::IfFileExists::Refuse
        };
        backup::check(&self.path, replace)?;
        session.unlock(&state, name).await?;
        let vault = vaults::open(&state, name).await?;
        let passphrase = if self.without_passphrase {
            None
        } else {
            let question = "Passphrase of the backup:";
            let read = self.passphrase.read(session, question, Repeat::Yes);
            Some(read.map_err(|failure| match failure.help {
                Some(help) => failure_with(
                    failure.message,
                    format!("{help}; --without-passphrase writes the keys in clear"),
                ),
                None => failure,
            })?)
        };
        let bytes = state
            .store()
            .back_up_vault(&vault, passphrase.as_ref())
            .await
            .map_err(refused)?;
        backup::write(&self.path, &bytes, replace)?;
        let path = self.path.display().to_string();
        if passphrase.is_none() {
            session.host.note(Note::Warning(format!(
                "Whoever reads {path} can act as every identity in it"
            )));
        }
        session.host.print(
            Outcome::plain(text::done(format!(
                "The vault {name} was written to {path}"
            )))
            .machine(path.clone())
            .json(json!({ "name": name.as_str(), "path": path })),
        );
        Ok(())
    }
}

fn failure_with(message: String, help: String) -> Failure {
    Failure::new(message).help(help)
}

#[derive(Debug, Args)]
pub(super) struct Import {
    /// The backup file
    file: PathBuf,
    /// The name of the vault here; the one it had when none is given
    name: Option<VaultName>,
    #[command(flatten)]
    passphrase: PassphraseFile,
}

impl Run for Import {
    const NOUN: &'static Noun = &NOUN;
    const VERB: &'static str = "import";

    fn examples() -> Vec<Example> {
        vec![
            Example::new("Restore a backup", "ockam vault import ockam.backup"),
            Example::new(
                "Restore it beside a vault of the same name",
                "ockam vault import ockam.backup restored",
            ),
        ]
    }

    async fn run<'a>(self, session: &'a Session<'a>) -> Result<(), Failure> {
        let state = session.open().await?;
        let bytes = backup::read(&self.file)?;
        let passphrase = match BackupSeal::of(&bytes) {
            BackupSeal::Open => None,
            BackupSeal::Sealed => {
                let question = format!("Passphrase of {}:", self.file.display());
                Some(self.passphrase.read(session, &question, Repeat::No)?)
            }
        };
        let (imported, unsealed) =
            backup::restore(&state, &bytes, passphrase.as_ref(), self.name).await?;
        if let Some(vault) = unsealed {
            session.host.note(Note::Warning(format!(
                "The vault {vault} was sealed where it came from and is not here: `ockam vault passphrase {vault}` seals it"
            )));
        }
        command::import::print(session, &imported, Effect::Store);
        Ok(())
    }
}

/// The named vault, or the default one.
async fn named_or_default(state: &State, name: Option<&VaultName>) -> Result<VaultRecord, Failure> {
    match name {
        Some(name) => state.store().vault(name).await.map_err(refused),
        None => state
            .store()
            .default_vault()
            .await
            .map_err(refused)?
            .ok_or_else(|| {
                Failure::new("There is no vault yet").help("`ockam vault create` makes one")
            }),
    }
}

#[derive(Debug, Args)]
pub(super) struct Delete {
    /// The name of the vault
    name: Option<VaultName>,
    /// Delete all vaults
    #[arg(long, conflicts_with = "name")]
    all: bool,
    /// Do not ask for confirmation
    #[arg(short, long)]
    yes: bool,
}

impl Run for Delete {
    const NOUN: &'static Noun = &NOUN;
    const VERB: &'static str = "delete";

    fn examples() -> Vec<Example> {
        vec![Example::new(
            "A vault that no identity uses",
            "ockam vault delete work --yes",
        )]
    }

    async fn run<'a>(self, session: &'a Session<'a>) -> Result<(), Failure> {
        let state = session.open().await?;
        let known = state.store().vaults().await.map_err(refused)?;
        let chosen = Chosen {
            name: self.name.map(|name| name.to_string()),
            all: self.all,
            yes: self.yes,
        };
        flow::delete(session, &NOUN, &names(&known), chosen, async |name| {
            let vault = name.parse().map_err(|_| flow::not_found(&NOUN, name))?;
            state.store().delete_vault(&vault).await.map_err(refused)?;
            let plain = text::done(format!("The vault named {name} has been deleted"));
            Ok(Outcome::plain(plain)
                .machine(name)
                .json(json!({ "name": name })))
        })
        .await
    }
}

fn names(vaults: &[VaultRecord]) -> Vec<String> {
    vaults.iter().map(|vault| vault.name.to_string()).collect()
}

/// One vault, line by line (spec: command 3.9.2).
fn describe(vault: &VaultRecord) -> String {
    let mut lines = vec![format!("Name: {}", vault.name)];
    match &vault.path {
        None => lines.push("Type: Internal".to_owned()),
        Some(path) => {
            lines.push("Type: External".to_owned());
            lines.push(format!("Path: {}", path.display()));
        }
    }
    lines.push("Uses AWS KMS: No".to_owned());
    if vault.is_sealed {
        lines.push("Passphrase: Yes".to_owned());
    }
    if vault.is_default {
        lines.push("Default: Yes".to_owned());
    }
    lines.join("\n")
}
