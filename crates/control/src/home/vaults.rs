//! Vaults of the home: making them and showing them.

use std::path::Path;

use ockam_store::{OpenVault, Passphrase, StoreError, VaultName, VaultRecord};

use crate::noun::vault::{UseAwsKms, VaultItem, VaultType, VaultView};
use crate::outcome::Failure;
use crate::state::{State, refused, unused_name};

/// Creates a vault: the first one is named `default`, further ones have a random name unless one is given
/// (spec: command 3.7).
///
/// # Errors
/// The name or the file is taken, or the store cannot be written.
pub async fn create(
    state: &State,
    name: Option<VaultName>,
    path: Option<&Path>,
    passphrase: Option<&Passphrase>,
) -> Result<VaultRecord, Failure> {
    let name = match name {
        Some(name) => name,
        None => new_name(state).await?,
    };
    state
        .store()
        .create_vault(&name, path, passphrase)
        .await
        .map_err(refused)
}

/// Opens a vault for use.
///
/// # Errors
/// It is not there, or it is sealed and does not open.
pub(crate) async fn open(state: &State, name: &VaultName) -> Result<OpenVault, Failure> {
    let store = state.store();
    let record = store.vault(name).await.map_err(refused)?;
    if let Some(open) = state.keyring().opened(name).filter(|_| record.is_sealed) {
        return Ok(open);
    }
    let mut result = store.open_vault(name, None).await;
    if matches!(result, Err(StoreError::VaultSealed(_))) {
        for passphrase in state.keyring().passphrases() {
            result = store.open_vault(name, Some(&passphrase)).await;
            match &result {
                Ok(open) => {
                    state.keyring().keep(open);
                    break;
                }
                Err(StoreError::WrongPassphrase(_)) => {}
                Err(_) => break,
            }
        }
    }
    result.map_err(|error| match error {
        StoreError::VaultSealed(_) => refused(error).help(
            "run it on a terminal, or set OCKAM_VAULT_PASSPHRASE_FILE to a file that holds the passphrase; \
             `-` is standard input",
        ),
        other => refused(other),
    })
}

/// A vault as it is shown.
pub fn view(vault: &VaultRecord) -> VaultView {
    let use_aws_kms = UseAwsKms::No;
    let vault_type = match &vault.path {
        None => VaultType::DatabaseVault { use_aws_kms },
        Some(path) => VaultType::LocalFileVault {
            path: path.display().to_string(),
            use_aws_kms,
        },
    };
    VaultView {
        vault: VaultItem {
            name: vault.name.to_string(),
            vault_type,
            is_default: vault.is_default,
            is_sealed: vault.is_sealed,
        },
    }
}

/// A name that no vault has.
///
/// # Errors
/// The store cannot be read, or the system gives no randomness.
pub(crate) async fn new_name(state: &State) -> Result<VaultName, Failure> {
    let known = state.store().vaults().await.map_err(refused)?;
    let name = if known.is_empty() {
        VaultName::first().to_string()
    } else {
        unused_name(|name| known.iter().any(|vault| vault.name.as_str() == name))?
    };
    name.parse()
        .map_err(|error| Failure::internal("no name could be made", &error))
}
