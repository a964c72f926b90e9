//! `ockam identity`.

use clap::{Args, ValueEnum};
use ockam_identity::OlderPurposeKeys;
use ockam_store::{Creation, IdentityName, IdentityRecord, VaultName};
use ockam_vault::Handle;
use serde_json::json;

use crate::command::flow::{self, Chosen};
use crate::command::{Example, Note, Run, Session, text};
use crate::home::identities::{self, IdentitySpec};
use crate::noun::identity::{IdentityChange, NOUN};
use crate::outcome::{Failure, Outcome};
use crate::state::refused;
use crate::table::Noun;

#[derive(Debug, Args)]
pub(super) struct Create {
    /// The name of the identity; random when none is given
    name: Option<IdentityName>,
    /// The vault that holds its keys
    #[arg(long, value_name = "VAULT")]
    vault: Option<VaultName>,
    /// A key of the vault to use, by its handle in hexadecimal
    #[arg(short, long, value_name = "HEX")]
    key_id: Option<String>,
    /// A change history to import, as `identity show --full --encoding hex` prints it
    #[arg(long, value_name = "HEX", hide = true, conflicts_with = "key_id")]
    identity: Option<String>,
}

impl Run for Create {
    const NOUN: &'static Noun = &NOUN;
    const VERB: &'static str = "create";

    fn examples() -> Vec<Example> {
        vec![Example::new(
            "An identity with a name of your own",
            "ockam identity create alice",
        )]
    }

    async fn run<'a>(self, session: &'a Session<'a>) -> Result<(), Failure> {
        let state = session.open().await?;
        let exists = match &self.name {
            Some(name) => state.store().identity(name).await.is_ok(),
            None => false,
        };
        match &self.vault {
            // Nothing is made, so nobody is asked for a passphrase.
            _ if exists => {}
            Some(vault) => session.unlock(&state, vault).await?,
            None => session.unlock_only(&state).await?,
        }
        if let Some(history) = &self.identity {
            let imported =
                identities::import(&state, self.name, self.vault.as_ref(), history).await?;
            let plain = text::done(format!(
                "Identity imported successfully with name {}",
                imported.name
            ));
            session.host.print(Outcome::plain(plain));
            return Ok(());
        }
        let key = match &self.key_id {
            Some(text) => Some(Handle::new(hex::decode(text).map_err(|error| {
                Failure::new("--key-id is not hexadecimal").cause(error.to_string())
            })?)),
            None => None,
        };
        let had_vault = !state.store().vaults().await.map_err(refused)?.is_empty();
        let created = identities::create(
            &state,
            IdentitySpec {
                name: self.name,
                vault: self.vault,
                key,
            },
        )
        .await?;
        let existed = matches!(created, Creation::Existing(_));
        let record = created.into_record();
        if existed {
            session.stays(&NOUN, record.name.as_str());
        }
        if !had_vault {
            session.host.note(Note::Info(format!(
                "Created a vault named {}",
                record.vault
            )));
        }
        let mut plain = if existed {
            vec![text::info(format!(
                "The identity {} exists already",
                record.name
            ))]
        } else {
            vec![text::done(format!(
                "Identity {} created successfully",
                record.name
            ))]
        };
        plain.push(text::more(record.identifier));
        if record.is_default && !existed {
            plain.push(text::done(format!(
                "Marked {} as your default Identity, on this machine",
                record.name
            )));
        }
        session
            .host
            .print(identifier_outcome(&record, plain.join("\n")));
        Ok(())
    }
}

fn identifier_outcome(record: &IdentityRecord, plain: String) -> Outcome {
    let identifier = record.identifier.to_string();
    Outcome::plain(plain)
        .machine(identifier.clone())
        .json(json!({ "identifier": identifier }))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Encoding {
    /// For people
    Plain,
    /// The export that `identity create --identity` takes
    Hex,
}

#[derive(Debug, Args)]
pub(super) struct Show {
    /// The name of the identity
    name: Option<IdentityName>,
    /// Show all changes
    #[arg(short, long)]
    full: bool,
    /// How to show the changes
    #[arg(long, value_enum, requires = "full", default_value = "plain")]
    encoding: Encoding,
}

impl Show {
    fn outcome(&self, record: &IdentityRecord) -> Result<Outcome, Failure> {
        if !self.full {
            return Ok(identifier_outcome(record, text::more(record.identifier)));
        }
        if self.encoding == Encoding::Hex {
            let encoded = hex::encode(record.history.as_bytes());
            return Ok(Outcome::plain(encoded.clone())
                .machine(encoded.clone())
                .json(json!({ "encoded": encoded })));
        }
        let history = identities::history(record)?;
        let mut lines = vec![format!("Identifier: {}", history.identifier)];
        for (index, change) in history.changes.iter().enumerate() {
            lines.extend(describe(index, change));
        }
        Ok(Outcome::plain(lines.join("\n")).json(json!(history)))
    }
}

impl Run for Show {
    const NOUN: &'static Noun = &NOUN;
    const VERB: &'static str = "show";

    fn examples() -> Vec<Example> {
        vec![
            Example::new(
                "The identifier, to be given to others for --authorized",
                "ockam identity show alice",
            ),
            Example::new(
                "Everything that proves it, for `identity create --identity`",
                "ockam identity show alice --full --encoding hex",
            ),
        ]
    }

    async fn run<'a>(self, session: &'a Session<'a>) -> Result<(), Failure> {
        let state = session.open().await?;
        let known = state.store().identities().await.map_err(refused)?;
        // spec: command 3.8: a selection only without a name, with several to choose from.
        if self.name.is_none() && known.len() > 1 && session.host.can_prompt() {
            let names: Vec<String> = known.iter().map(|record| record.name.to_string()).collect();
            for index in session
                .host
                .choose("Select the identities that you want to show", &names)?
            {
                if let Some(record) = known.get(index) {
                    session.host.print(self.outcome(record)?);
                }
            }
            return Ok(());
        }
        let record = identities::find(&state, self.name.as_ref()).await?;
        session.host.print(self.outcome(&record)?);
        Ok(())
    }
}

/// One change, line by line.
fn describe(index: usize, change: &IdentityChange) -> [String; 4] {
    [
        format!("  Change[{index}]:"),
        format!("    identifier:              {}", change.identifier),
        format!("    primary_public_key:      {}", change.primary_public_key),
        format!(
            "    revoke_all_purpose_keys: {}",
            change.revoke_all_purpose_keys
        ),
    ]
}

#[derive(Debug, Args)]
pub(super) struct List {}

impl Run for List {
    const NOUN: &'static Noun = &NOUN;
    const VERB: &'static str = "list";

    fn examples() -> Vec<Example> {
        vec![Example::new("All identities", "ockam identity list")]
    }

    async fn run<'a>(self, session: &'a Session<'a>) -> Result<(), Failure> {
        let state = session.open().await?;
        let known = state.store().identities().await.map_err(refused)?;
        let items: Vec<_> = known.iter().map(identities::item).collect();
        let plain = if items.is_empty() {
            text::info("No Identities found on this machine")
        } else {
            text::list(items.iter().map(|item| {
                let mark = if item.is_default { " (default)" } else { "" };
                format!("Identity {}{mark}\n{}", item.name, item.identifier)
            }))
        };
        session.host.print(Outcome::plain(plain).json(json!(items)));
        Ok(())
    }
}

#[derive(Debug, Args)]
pub(super) struct Default {
    /// The identity that becomes the default
    name: Option<IdentityName>,
}

impl Run for Default {
    const NOUN: &'static Noun = &NOUN;
    const VERB: &'static str = "default";

    fn examples() -> Vec<Example> {
        vec![
            Example::new(
                "Which identity is used where none is named",
                "ockam identity default",
            ),
            Example::new("Make it another one", "ockam identity default alice"),
        ]
    }

    async fn run<'a>(self, session: &'a Session<'a>) -> Result<(), Failure> {
        let state = session.open().await?;
        let outcome = match self.name {
            Some(name) => {
                state
                    .store()
                    .set_default_identity(&name)
                    .await
                    .map_err(refused)?;
                Outcome::plain(text::done(format!(
                    "The identity named '{name}' is now the default"
                )))
                .machine(name.as_str())
            }
            None => {
                if state
                    .store()
                    .default_identity()
                    .await
                    .map_err(refused)?
                    .is_none()
                {
                    session.unlock_only(&state).await?;
                }
                let record = identities::find_or_default(&state, None).await?;
                Outcome::plain(text::info(format!(
                    "The name of the default identity is '{}'",
                    record.name
                )))
            }
        };
        session.host.print(outcome);
        Ok(())
    }
}

#[derive(Debug, Args)]
pub(super) struct Rotate {
    /// The name of the identity; the default one when none is given
    name: Option<IdentityName>,
    /// The key of before may be in other hands: peers close the channels that were opened with it
    #[arg(long)]
    revoke: bool,
}

impl Run for Rotate {
    const NOUN: &'static Noun = &NOUN;
    const VERB: &'static str = "rotate";

    fn examples() -> Vec<Example> {
        vec![
            Example::new("A new key for an identity", "ockam identity rotate alice"),
            Example::new(
                "The older key was stolen: close what was opened with it",
                "ockam identity rotate alice --revoke",
            ),
        ]
    }

    async fn run<'a>(self, session: &'a Session<'a>) -> Result<(), Failure> {
        let state = session.open().await?;
        session.unlock_for(&state, self.name.as_ref()).await?;
        let older = if self.revoke {
            OlderPurposeKeys::Revoke
        } else {
            OlderPurposeKeys::Keep
        };
        let record = identities::rotate(&state, self.name.as_ref(), older).await?;
        let name = &record.name;
        let history = identities::history(&record)?;
        let index = history.changes.len().saturating_sub(1);
        let change = history
            .changes
            .last()
            .ok_or_else(|| Failure::new(format!("the identity {name} has no changes")))?;
        let mut plain = vec![text::done(format!("The identity {name} has a new key"))];
        plain.extend(describe(index, change));
        let outcome = Outcome::plain(plain.join("\n"))
            .machine(change.identifier.clone())
            .json(json!({ "identifier": history.identifier, "change": change }));
        session.host.print(outcome);
        Ok(())
    }
}

#[derive(Debug, Args)]
pub(super) struct Delete {
    /// The name of the identity
    name: Option<IdentityName>,
    /// Delete all identities
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
            "An identity that no node uses",
            "ockam identity delete alice --yes",
        )]
    }

    async fn run<'a>(self, session: &'a Session<'a>) -> Result<(), Failure> {
        let state = session.open().await?;
        let known = state.store().identities().await.map_err(refused)?;
        let names: Vec<String> = known.iter().map(|record| record.name.to_string()).collect();
        let chosen = Chosen {
            name: self.name.map(|name| name.to_string()),
            all: self.all,
            yes: self.yes,
        };
        flow::delete(session, &NOUN, &names, chosen, async |name| {
            let identity = name.parse().map_err(|_| flow::not_found(&NOUN, name))?;
            state
                .store()
                .delete_identity(&identity)
                .await
                .map_err(refused)?;
            let plain = text::done(format!("The identity named {name} has been deleted"));
            Ok(Outcome::plain(plain)
                .machine(name)
                .json(json!({ "name": name })))
        })
        .await
    }
}
