//! Identities of the home: making them, and what a node needs to act as one.

use std::sync::Arc;

use ockam_channel::LocalIdentity;
use ockam_identity::{
    ChangeHistory, IdentityDraft, OlderPurposeKeys, Purpose, RotationDraft, UnixTime, Validity,
    VerifiedHistory,
};
use ockam_store::{
    Creation, IdentityName, IdentityRecord, NewIdentity, OpenVault, StoreError, VaultName,
};
use ockam_vault::{Handle, Provider, Signer, SigningKeyType, SoftwareVault};

use crate::hint;
use crate::home::purpose_keys::{self, KeyLifetime};
use crate::home::vaults;
use crate::noun::identity::{IdentityChange, IdentityHistory, IdentityItem};
use crate::outcome::{Code, Failure};
use crate::state::{State, refused, unused_name};

/// What a new identity is made from.
#[derive(Debug, Default)]
pub struct IdentitySpec {
    /// Its name; random when none is given.
    pub name: Option<IdentityName>,
    /// The vault; the only one when none is given, made when there is none.
    pub vault: Option<VaultName>,
    /// An existing key of the vault.
    pub key: Option<Handle>,
}

/// Creates an identity, or returns the one that has the name already (spec: command 3.7).
///
/// # Errors
/// The vault or the key cannot be used, or the store cannot be written.
pub async fn create(
    state: &State,
    spec: IdentitySpec,
) -> Result<Creation<IdentityRecord>, Failure> {
    let name = match spec.name {
        Some(name) => name,
        None => new_name(state).await?,
    };
    match state.store().identity(&name).await {
        Ok(record) => return Ok(Creation::Existing(record)),
        Err(StoreError::NoIdentity(_)) => {}
        Err(error) => return Err(refused(error)),
    }
    let vault = open_vault(state, spec.vault.as_ref()).await?;
    let new = draft(state, &vault, spec.key).await?;
    let identity = NewIdentity {
        name,
        history: &new.history,
        key: Some(new.key),
        secrets: new.secrets,
    };
    state
        .store()
        .create_identity(&vault, &identity)
        .await
        .map_err(refused)
}

/// Stores a public history under a name. The identity can act only if the vault holds its key.
///
/// # Errors
/// The history is not valid, or the store cannot be written.
pub async fn import(
    state: &State,
    name: Option<IdentityName>,
    vault: Option<&VaultName>,
    history: &str,
) -> Result<IdentityRecord, Failure> {
    let invalid = |error: &(dyn std::error::Error + 'static)| {
        Failure::new("the value of --identity is not a valid change history").caused_by(error)
    };
    let provider = ockam_vault::fast();
    let history = ChangeHistory::from_hex(history.trim())
        .map_err(|error| invalid(&error))?
        .verify(provider, None)
        .map_err(|error| invalid(&error))?;
    let name = match name {
        Some(name) => name,
        None => new_name(state).await?,
    };
    let vault = open_vault(state, vault).await?;
    let held = load(state, &vault, provider).await?;
    let wanted = history.latest().primary_public_key();
    let key = held
        .signing_keys()
        .find(|handle| held.public_key(handle).is_ok_and(|key| key == *wanted))
        .cloned();
    let identity = NewIdentity {
        name,
        history: &history,
        key,
        secrets: Vec::new(),
    };
    state
        .store()
        .create_identity(&vault, &identity)
        .await
        .map(Creation::into_record)
        .map_err(refused)
}

/// The named identity, or the default one.
///
/// # Errors
/// There is no such identity, or the store cannot be read.
pub async fn find(state: &State, name: Option<&IdentityName>) -> Result<IdentityRecord, Failure> {
    match name {
        Some(name) => match state.store().identity(name).await {
            Err(error @ StoreError::NoIdentity(_)) => {
                let all = state.store().identities().await.map_err(refused)?;
                let known = all.iter().map(|identity| identity.name.as_str());
                let failure = refused(error);
                Err(hint::among(failure, name.as_str(), "identities", known))
            }
            identity => identity.map_err(refused),
        },
        None => state
            .store()
            .default_identity()
            .await
            .map_err(refused)?
            // spec: command 3.3 (no identity yet)
            .ok_or_else(|| {
                Failure::coded(Code::Internal, "no default identifier found")
                    .help("make an identity with `ockam identity create`")
            }),
    }
}

/// The named identity, or the default one, which is made when there is none (spec: command 3.7).
///
/// # Errors
/// The named one is unknown, or none can be made.
pub async fn find_or_default(
    state: &State,
    name: Option<&IdentityName>,
) -> Result<IdentityRecord, Failure> {
    if name.is_some()
        || state
            .store()
            .default_identity()
            .await
            .map_err(refused)?
            .is_some()
    {
        return find(state, name).await;
    }
    let vault = open_vault(state, None).await?;
    let new = draft(state, &vault, None).await?;
    let identity = NewIdentity {
        name: new_name(state).await?,
        history: &new.history,
        key: Some(new.key),
        secrets: new.secrets,
    };
    state
        .store()
        .default_identity_or(&vault, &identity)
        .await
        .map(Creation::into_record)
        .map_err(refused)
}

/// What a command needs to act as this identity. The key of its channels is made when there is none that is still good.
///
/// # Errors
/// Its keys are not here, or the store cannot be used.
pub async fn local(state: &State, record: &IdentityRecord) -> Result<Arc<LocalIdentity>, Failure> {
    let key = purpose_keys::current(
        state,
        &record.identifier,
        Purpose::SecureChannel,
        KeyLifetime::USUAL.to_the_end(),
        None,
    )
    .await?;
    Ok(Arc::new(key.into_local()))
}

/// Gives an identity a new primary key. Its identifier stays; peers that know the history so far accept the longer one.
///
/// # Errors
/// Its key is not here, the history is full, another process rotated it meanwhile, or the store cannot be written.
pub async fn rotate(
    state: &State,
    name: Option<&IdentityName>,
    older: OlderPurposeKeys,
) -> Result<IdentityRecord, Failure> {
    let record = find(state, name).await?;
    let cannot = |cause: String| {
        Failure::coded(
            Code::Internal,
            format!("the identity {} cannot be rotated", record.name),
        )
        .cause(cause)
    };
    let previous = record.key.as_ref().ok_or_else(|| {
        cannot("only its public part is known here".to_owned()).help("rotate it where its key is")
    })?;
    let provider = ockam_vault::fast();
    let before = verified(&record)?;
    let vault = open_vault(state, Some(&record.vault)).await?;
    let mut keys = load(state, &vault, provider).await?;
    let kind = before.latest().primary_public_key().key_type();
    let key = keys
        .generate_signing_key(kind, &mut fill_random)
        .map_err(|error| cannot(error.to_string()))?;
    let public = keys
        .public_key(&key)
        .map_err(|error| cannot(error.to_string()))?;
    // spec: trust 2.5 (verifiers refuse purpose keys of before in any case)
    let after = RotationDraft::new(
        provider,
        &before,
        public,
        Validity::of_primary_key(now()),
        older,
    )
    .and_then(|draft| draft.sign_with(provider, &keys, &key, previous))
    .map_err(|error| cannot(error.to_string()))?;
    // With its new key at once, so that no process finds the identity without one.
    let mut renewed = Vec::new();
    for (purpose, lifetime) in [
        (Purpose::SecureChannel, KeyLifetime::USUAL),
        (Purpose::Credentials, KeyLifetime::LONGEST),
    ] {
        let had = state
            .store()
            .purpose_key(&record.identifier, purpose)
            .await
            .map_err(refused)?
            .is_some();
        if had || purpose == Purpose::SecureChannel {
            let seconds = lifetime.seconds();
            let made = purpose_keys::make_with(&mut keys, &key, &after, purpose, seconds, now());
            renewed.push(made.map_err(cannot)?);
        }
    }
    let secret = keys
        .export_signing_key(&key)
        .map_err(|error| cannot(error.to_string()))?;
    let identity = NewIdentity {
        name: record.name.clone(),
        history: &after,
        key: Some(key),
        secrets: vec![secret],
    };
    state
        .store()
        .rotate_identity(&vault, &identity, renewed)
        .await
        .map_err(|error| match error {
            StoreError::Import(_) => cannot(error.to_string())
                .help("another process was faster; look at `ockam identity show --full`"),
            other => refused(other),
        })
}

/// One line of `identity list`.
pub fn item(record: &IdentityRecord) -> IdentityItem {
    IdentityItem {
        identifier: record.identifier.to_string(),
        name: record.name.to_string(),
        vault_name: record.vault.to_string(),
        is_default: record.is_default,
    }
}

/// All changes of an identity.
///
/// # Errors
/// The stored history is damaged.
pub fn history(record: &IdentityRecord) -> Result<IdentityHistory, Failure> {
    let history = verified(record)?;
    let changes = history
        .changes()
        .iter()
        .map(|change| IdentityChange {
            identifier: hex::encode(change.hash().as_bytes()),
            primary_public_key: format!(
                "{}: {}",
                change.primary_public_key().key_type().name(),
                hex::encode(change.primary_public_key().as_bytes())
            ),
            revoke_all_purpose_keys: change.revokes_purpose_keys(),
        })
        .collect();
    Ok(IdentityHistory {
        identifier: record.identifier.to_string(),
        changes,
    })
}

pub(crate) fn verified(record: &IdentityRecord) -> Result<VerifiedHistory, Failure> {
    record
        .history
        .clone()
        .verify(ockam_vault::fast(), Some(&record.identifier))
        .map_err(|error| {
            Failure::internal(
                format!(
                    "the stored history of the identity {} is damaged",
                    record.name
                ),
                &error,
            )
        })
}

/// An identity that is not stored yet.
struct Drafted {
    history: VerifiedHistory,
    key: Handle,
    secrets: Vec<ockam_vault::SecretRecord>,
}

async fn draft(state: &State, vault: &OpenVault, key: Option<Handle>) -> Result<Drafted, Failure> {
    let failed = |error: &(dyn std::error::Error + 'static)| {
        Failure::internal("no identity could be made", error)
    };
    let provider = ockam_vault::fast();
    let (keys, key, is_new) = match key {
        Some(key) => (load(state, vault, provider).await?, key, false),
        None => {
            let mut keys = SoftwareVault::new(provider);
            let key = keys
                .generate_signing_key(SigningKeyType::Ed25519, &mut fill_random)
                .map_err(|error| failed(&error))?;
            (keys, key, true)
        }
    };
    let public = keys.public_key(&key).map_err(|error| failed(&error))?;
    let history = IdentityDraft::new(provider, public, Validity::of_primary_key(now()))
        .and_then(|draft| draft.sign_with(provider, &keys, &key))
        .map_err(|error| failed(&error))?;
    let secrets = if is_new {
        vec![
            keys.export_signing_key(&key)
                .map_err(|error| failed(&error))?,
        ]
    } else {
        Vec::new()
    };
    Ok(Drafted {
        history,
        key,
        secrets,
    })
}

async fn open_vault(state: &State, name: Option<&VaultName>) -> Result<OpenVault, Failure> {
    let vault = state.store().vault_or_only(name).await.map_err(refused)?;
    vaults::open(state, &vault.name).await
}

pub(crate) async fn load(
    state: &State,
    vault: &OpenVault,
    provider: &'static dyn Provider,
) -> Result<SoftwareVault, Failure> {
    let secrets = state.store().secrets(vault).await.map_err(refused)?;
    SoftwareVault::from_records(provider, secrets).map_err(|error| {
        Failure::internal(format!("the vault {} is damaged", vault.name()), &error)
    })
}

async fn new_name(state: &State) -> Result<IdentityName, Failure> {
    let known = state.store().identities().await.map_err(refused)?;
    unused_name(|name| known.iter().any(|identity| identity.name.as_str() == name))?
        .parse()
        .map_err(|error| Failure::internal("no name could be made", &error))
}

pub(crate) fn now() -> UnixTime {
    // A clock before 1970 makes everything "not yet valid", which is the safe side.
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    UnixTime(since.map_or(0, |since| since.as_secs()))
}

/// # Panics
/// When the operating system has no random bytes: nothing secure can be done then.
pub(crate) fn fill_random(bytes: &mut [u8]) {
    getrandom::fill(bytes).expect("the operating system gives random bytes");
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn state() -> (tempfile::TempDir, State) {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let state = State::open(&directory.path().join("home"), None)
            .await
            .expect("it opens");
        (directory, state)
    }

    #[tokio::test]
    async fn an_existing_name_returns_the_existing_identity() {
        let (_directory, state) = state().await;
        let spec = || IdentitySpec {
            name: Some("m".parse().expect("a name")),
            ..IdentitySpec::default()
        };
        let first = create(&state, spec()).await.expect("it is made");
        assert!(matches!(first, Creation::New(_)));
        let second = create(&state, spec()).await.expect("it is found");
        assert!(matches!(second, Creation::Existing(_)));
        assert_eq!(
            first.into_record().identifier,
            second.into_record().identifier
        );
    }

    #[tokio::test]
    async fn the_first_identity_becomes_the_default_and_is_made_on_demand() {
        let (_directory, state) = state().await;
        let failure = find(&state, None).await.expect_err("there is none");
        assert_eq!(failure.message, "no default identifier found");
        let made = find_or_default(&state, None).await.expect("it is made");
        assert!(made.is_default);
        assert_eq!(made.vault.as_str(), "default");
        assert_eq!(
            find(&state, None).await.expect("it is there").identifier,
            made.identifier
        );
        let unknown = find(&state, Some(&"x".parse().expect("a name")))
            .await
            .expect_err("unknown");
        assert_eq!(unknown.message, "no identifier found with name x");
    }

    #[tokio::test]
    async fn the_channel_key_is_made_once() {
        let (_directory, state) = state().await;
        let record = find_or_default(&state, None).await.expect("it is made");
        let first = local(&state, &record).await.expect("it can act");
        let second = local(&state, &record).await.expect("it can act");
        assert_eq!(first.attestation.as_bytes(), second.attestation.as_bytes());
        assert_eq!(first.static_key.secret(), second.static_key.secret());
    }

    #[tokio::test]
    async fn a_rotated_identity_keeps_its_identifier_and_acts_with_the_new_key() {
        let (_directory, state) = state().await;
        let record = find_or_default(&state, None).await.expect("it is made");
        let before = local(&state, &record).await.expect("it can act");
        let rotated = rotate(&state, None, OlderPurposeKeys::Keep)
            .await
            .expect("it is rotated");
        assert_eq!(rotated.identifier, record.identifier);
        assert_ne!(rotated.key, record.key);
        assert_eq!(history(&rotated).expect("it verifies").changes.len(), 2);
        let after = local(&state, &rotated).await.expect("it can act");
        assert_ne!(before.attestation.as_bytes(), after.attestation.as_bytes());
        let vault = open_vault(&state, None).await.expect("it opens");
        let keys = load(&state, &vault, ockam_vault::fast())
            .await
            .expect("they are there");
        let signing: Vec<_> = keys.signing_keys().cloned().collect();
        assert_eq!(signing, Vec::from_iter(rotated.key));
    }

    #[tokio::test]
    async fn a_history_shows_its_changes() {
        let (_directory, state) = state().await;
        let record = find_or_default(&state, None).await.expect("it is made");
        let shown = history(&record).expect("it verifies");
        assert_eq!(shown.changes.len(), 1);
        assert_eq!(
            format!("I{}", shown.changes[0].identifier),
            shown.identifier
        );
        assert!(
            shown.changes[0]
                .primary_public_key
                .starts_with("EdDSACurve25519: ")
        );
    }

    #[tokio::test]
    async fn an_exported_history_is_imported_elsewhere_without_its_key() {
        let (_a, here) = state().await;
        let (_b, there) = state().await;
        let record = find_or_default(&here, None).await.expect("it is made");
        let hex = hex::encode(record.history.as_bytes());
        let imported = import(&there, Some("peer".parse().expect("a name")), None, &hex)
            .await
            .expect("it is valid");
        assert_eq!(imported.identifier, record.identifier);
        assert!(local(&there, &imported).await.is_err());
        assert!(import(&there, None, None, "00").await.is_err());
    }
}
