//! Taking over what another home holds.

use std::path::Path;

use ockam_store::{
    Effect, Fate, IfVaultExists, Published, StoreError, Taken, Takeover, TakeoverReport,
    read_published,
};

use crate::home::{identities, vaults};
use crate::noun::import::{ImportResult, Imported, ImportedItem};
use crate::outcome::Failure;
use crate::state::{State, refused};

/// Reads the state of the published program in a directory, which stays as it is.
///
/// # Errors
/// There is none, or it is damaged.
pub async fn published(state: &State, directory: &Path) -> Result<Published, Failure> {
    read_published(directory, state.home())
        .await
        .map_err(|error| match error {
            StoreError::NotPublished { .. } => {
                refused(error).help("name the directory that holds its database.sqlite3")
            }
            StoreError::Damaged { .. } => refused(error)
                .help("nothing was taken over; `ockam import DIR` reads a copy elsewhere"),
            other => refused(other),
        })
}

/// Takes over what was read, or says what would be.
///
/// # Errors
/// A vault that gets keys does not open, or the store cannot be written. Then nothing is taken over.
pub async fn take_over(
    state: &State,
    found: &Published,
    effect: Effect,
) -> Result<Imported, Failure> {
    let opened = open_existing(state, &found.takeover).await?;
    let report = state
        .store()
        .take_over(
            &found.takeover,
            identities::now(),
            IfVaultExists::Add,
            &opened,
            effect,
        )
        .await
        .map_err(refused)?;
    let mut imported = imported(report);
    imported.left_out.clone_from(&found.left_out);
    Ok(imported)
}

/// Opens the sealed vaults here that get keys.
async fn open_existing(
    state: &State,
    what: &Takeover,
) -> Result<Vec<ockam_store::OpenVault>, Failure> {
    let mut opened = Vec::new();
    for vault in state.store().vaults().await.map_err(refused)? {
        if vault.is_sealed && what.vaults.iter().any(|taken| taken.name == vault.name) {
            opened.push(vaults::open(state, &vault.name).await?);
        }
    }
    Ok(opened)
}

/// The report as it is shown.
pub(crate) fn imported(report: TakeoverReport) -> Imported {
    let items = |taken: Vec<Taken>| taken.into_iter().map(item).collect();
    Imported {
        vaults: items(report.vaults),
        identities: items(report.identities),
        nodes: items(report.nodes),
        left_out: Vec::new(),
    }
}

fn item(taken: Taken) -> ImportedItem {
    let (result, here, reason) = match taken.fate {
        Fate::New => (ImportResult::New, Some(taken.name.clone()), None),
        Fate::Renamed(here) => (ImportResult::Renamed, Some(here), None),
        Fate::Completed(here) => (ImportResult::Completed, Some(here), None),
        Fate::Known(here) => (ImportResult::Known, Some(here), None),
        Fate::Refused(reason) => (ImportResult::Refused, None, Some(reason)),
    };
    ImportedItem {
        name: taken.name,
        result,
        here,
        reason,
    }
}
