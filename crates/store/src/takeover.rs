//! Vaults, identities and names of nodes that come from elsewhere: from a backup, or from the published program.
//!
//! **Invariants**: one transaction takes over everything or nothing; nothing stored is replaced, except that an identity of
//! which only the public part was known gets its key; a history is never replaced by a shorter one; doing it twice changes
//! nothing more.

use std::path::PathBuf;

use ockam_identity::{
    Identifier, OlderHistory, Purpose, PurposeKeyAttestation, PurposePublicKey, UnixTime,
    VerifiedHistory,
};
use ockam_vault::{Handle, SecretRecord, Signer as _, SoftwareVault};

use crate::error::{Failure, StoreError};
use crate::histories;
use crate::identities::{self, NewIdentity};
use crate::name::{IdentityName, NodeName, VaultName};
use crate::nodes::{self, IfRunning, NodeStart};
use crate::purpose_keys::{self, PurposeKeyRecord};
use crate::seal::{self, NewSeal};
use crate::secrets;
use crate::sql::Connection;
use crate::store::Store;
use crate::vaults::{self, OpenVault, VaultRecord};

/// What is to be taken over. The default vault and the default node come first.
#[derive(Debug, Default)]
pub struct Takeover {
    /// Vaults with their identities.
    pub vaults: Vec<TakenVault>,
    /// The identity that becomes the default if there is none.
    pub default_identity: Option<Identifier>,
    /// Histories of peers.
    pub histories: Vec<VerifiedHistory>,
    /// Nodes, which are stored as stopped ones.
    pub nodes: Vec<TakenNode>,
}

/// A vault from elsewhere.
#[derive(Debug)]
pub struct TakenVault {
    /// Its name.
    pub name: VaultName,
    /// Its secrets.
    pub keys: SoftwareVault,
    /// The identities that use it.
    pub identities: Vec<TakenIdentity>,
    /// How a file that is made for it is sealed.
    pub seal: Option<NewSeal>,
}

/// An identity from elsewhere.
#[derive(Debug)]
pub struct TakenIdentity {
    /// Its name.
    pub name: IdentityName,
    /// Its verified history.
    pub history: VerifiedHistory,
    /// Its purpose keys. Those that do not hold, or whose secret is not in the vault, are left out: new ones are made.
    pub attestations: Vec<PurposeKeyAttestation>,
}

/// A node from elsewhere.
#[derive(Debug, Clone)]
pub struct TakenNode {
    /// Its name.
    pub name: NodeName,
    /// Where it listened.
    pub listener: Option<String>,
}

/// What becomes of a vault of the same name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IfVaultExists {
    /// It is an error.
    Refuse,
    /// The keys are added to it.
    Add,
}

/// Whether anything is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Everything is.
    Store,
    /// Nothing is; the report says what would be.
    Preview,
}

/// What became of one thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// The name it had.
    pub name: String,
    /// What became of it.
    pub fate: Fate,
}

/// What became of a thing that was to be taken over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// It is stored.
    New,
    /// It is stored under another name, because its own was taken.
    Renamed(String),
    /// It was there already, under this name; what was missing of it was added.
    Completed(String),
    /// It was there already, under this name; nothing changed.
    Known(String),
    /// It is left out.
    Refused(String),
}

/// What became of everything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TakeoverReport {
    /// The vaults.
    pub vaults: Vec<Taken>,
    /// The identities.
    pub identities: Vec<Taken>,
    /// The nodes.
    pub nodes: Vec<Taken>,
}

impl Store {
    /// Takes over what comes from elsewhere, all or nothing. `opened` are those vaults of this home that are sealed and get
    /// keys added.
    ///
    /// # Errors
    /// [`StoreError::VaultExists`] unless keys may be added; [`StoreError::VaultSealed`] if one of the vaults that get
    /// keys is sealed and was not opened.
    pub async fn take_over(
        &self,
        what: &Takeover,
        now: UnixTime,
        if_exists: IfVaultExists,
        opened: &[OpenVault],
        effect: Effect,
    ) -> Result<TakeoverReport, StoreError> {
        let mut work = Work {
            store: self,
            now,
            if_exists,
            opened,
            effect,
            report: TakeoverReport::default(),
            files: Vec::new(),
        };
        let done = match effect {
            Effect::Store => self.write_once(async |db| work.all(db, what).await).await,
            Effect::Preview => self.trial(async |db| work.all(db, what).await).await,
        };
        if done.is_err() {
            for file in &work.files {
                // Nothing refers to it; what cannot be removed is adopted by the next vault of that name.
                let _ = std::fs::remove_file(file);
            }
        }
        done.map(|()| work.report)
    }
}

/// One takeover under way.
struct Work<'a> {
    store: &'a Store,
    now: UnixTime,
    if_exists: IfVaultExists,
    opened: &'a [OpenVault],
    effect: Effect,
    report: TakeoverReport,
    /// Files made so far.
    files: Vec<PathBuf>,
}

impl Work<'_> {
    async fn all(&mut self, db: &mut Connection, what: &Takeover) -> Result<(), Failure> {
        let had_default = identities::default(db).await?.is_some();
        for vault in &what.vaults {
            self.vault(db, vault).await?;
        }
        if let Some(default) = what.default_identity.filter(|_| !had_default) {
            identities::prefer(db, &default).await?;
        }
        for history in &what.histories {
            // One that contradicts what is known here does not replace it.
            match histories::import(db, history, OlderHistory::Ignore).await {
                Err(Failure::Store(StoreError::Import(_))) | Ok(_) => {}
                Err(failure) => return Err(failure),
            }
        }
        for node in &what.nodes {
            let fate = self.node(db, node).await?;
            let name = node.name.to_string();
            self.report.nodes.push(Taken { name, fate });
        }
        Ok(())
    }

    async fn vault(&mut self, db: &mut Connection, vault: &TakenVault) -> Result<(), Failure> {
        let name = vault.name.to_string();
        let existing = vaults::look_up(db, self.store, &vault.name).await?;
        let (record, is_new) = match existing {
            Some(_) if self.if_exists == IfVaultExists::Refuse => {
                return Err(StoreError::VaultExists(name).into());
            }
            Some(record) => (record, false),
            None => (self.make(db, vault).await?, true),
        };
        let open = match (record.is_sealed, &vault.seal) {
            (true, Some(seal)) if is_new => OpenVault {
                name: record.name.clone(),
                key: Some(seal::copy(&seal.key)),
            },
            (true, _) => self
                .opened
                .iter()
                .find(|open| open.name == record.name)
                .map(OpenVault::again)
                .ok_or_else(|| StoreError::VaultSealed(name.clone()))?,
            (false, _) => OpenVault {
                name: record.name.clone(),
                key: None,
            },
        };
        // A preview has made no file.
        let in_database = record.path.is_none();
        let readable = in_database || !is_new || self.effect == Effect::Store;
        let mut added = is_new;
        if readable {
            let known: Vec<Handle> = secrets::handles(db, &record).await?;
            let missing: Vec<SecretRecord> = vault
                .keys
                .records()
                .filter(|secret| !known.contains(&secret.handle))
                .collect();
            added |= !missing.is_empty();
            if in_database || self.effect == Effect::Store {
                secrets::add(db, self.store, &open, &missing).await?;
            }
        }
        let fate = match (is_new, added) {
            (true, _) => Fate::New,
            (false, true) => Fate::Completed(name.clone()),
            (false, false) => Fate::Known(name.clone()),
        };
        self.report.vaults.push(Taken { name, fate });
        for identity in &vault.identities {
            let fate = self.identity(db, &open, &vault.keys, identity).await?;
            let name = identity.name.to_string();
            self.report.identities.push(Taken { name, fate });
        }
        Ok(())
    }

    /// Makes the vault: inside the database if it is the first and not sealed, else in a file of the home.
    async fn make(
        &mut self,
        db: &mut Connection,
        vault: &TakenVault,
    ) -> Result<VaultRecord, Failure> {
        let is_first = vaults::count(db).await? == 0;
        let path = if is_first && vault.seal.is_none() {
            None
        } else {
            Some(self.store.home().free_vault_file(&vault.name)?)
        };
        if let (Some(path), Effect::Store) = (&path, self.effect) {
            let sealed = vault.seal.as_ref().map(|seal| seal.sealed.as_slice());
            vaults::make_file(path, sealed).await?;
            self.files.push(path.clone());
        }
        let record = VaultRecord {
            name: vault.name.clone(),
            path,
            is_default: is_first,
            is_sealed: vault.seal.is_some(),
        };
        vaults::insert(db, self.store, &record).await?;
        Ok(record)
    }

    async fn identity(
        &self,
        db: &mut Connection,
        vault: &OpenVault,
        keys: &SoftwareVault,
        identity: &TakenIdentity,
    ) -> Result<Fate, Failure> {
        let identifier = identity.history.identifier();
        match histories::import(db, &identity.history, OlderHistory::Ignore).await {
            Err(Failure::Store(error @ StoreError::Import(_))) => {
                return Ok(Fate::Refused(error.to_string()));
            }
            done => drop(done?),
        }
        // What is stored now may be longer than what comes: the key has to be that of the last change.
        let history = histories::find(db, identifier).await?;
        let public = history.latest().primary_public_key();
        let handle = handle_of(public.as_bytes());
        let key = keys
            .public_key(&handle)
            .is_ok_and(|held| held == *public)
            .then_some(handle);
        let known = identities::by_identifier(db, identifier).await?;
        let fate = match known {
            Some(known) if known.key.is_some() || key.is_none() => {
                return Ok(Fate::Known(known.name.to_string()));
            }
            Some(known) => {
                identities::set_key(db, &known.name, &vault.name, key.as_ref()).await?;
                Fate::Completed(known.name.to_string())
            }
            None => {
                let name = free_name(db, &identity.name).await?;
                let new = NewIdentity {
                    name: name.clone(),
                    history: &history,
                    key: key.clone(),
                    secrets: Vec::new(),
                };
                // Secrets are there already; a preview has no file to look into.
                identities::insert_row(db, vault, &new).await?;
                if name == identity.name {
                    Fate::New
                } else {
                    Fate::Renamed(name.to_string())
                }
            }
        };
        if key.is_some() {
            for attestation in &identity.attestations {
                self.purpose_key(db, keys, &history, attestation).await?;
            }
        }
        Ok(fate)
    }

    /// Stores a purpose key that holds now and whose secret is there.
    async fn purpose_key(
        &self,
        db: &mut Connection,
        keys: &SoftwareVault,
        history: &VerifiedHistory,
        attestation: &PurposeKeyAttestation,
    ) -> Result<(), Failure> {
        for purpose in [Purpose::SecureChannel, Purpose::Credentials] {
            let verified = attestation.verify(ockam_vault::fast(), history, self.now, purpose);
            let Ok(verified) = verified else { continue };
            let (handle, held) = match verified.public_key() {
                PurposePublicKey::SecureChannelStatic(public) => {
                    let handle = handle_of(public.as_bytes());
                    let held = keys.agreement_public_key(&handle).is_ok();
                    (handle, held)
                }
                PurposePublicKey::CredentialSigning(public) => {
                    let handle = handle_of(public.as_bytes());
                    let held = keys.public_key(&handle).is_ok();
                    (handle, held)
                }
            };
            let subject: Identifier = *history.identifier();
            if held
                && purpose_keys::look_up(db, &subject, purpose)
                    .await?
                    .is_none()
            {
                let record = PurposeKeyRecord {
                    subject,
                    purpose,
                    attestation: attestation.clone(),
                    key: handle,
                };
                purpose_keys::store(db, &record).await?;
            }
        }
        Ok(())
    }

    async fn node(&self, db: &mut Connection, node: &TakenNode) -> Result<Fate, Failure> {
        if nodes::look_up(db, &node.name).await?.is_some() {
            return Ok(Fate::Known(node.name.to_string()));
        }
        let start = NodeStart {
            name: node.name.clone(),
            identity: None,
            process: None,
            listener: node.listener.clone(),
            status_endpoint: None,
            options: "{}".to_owned(),
        };
        nodes::put(db, &start, IfRunning::Refuse).await?;
        if nodes::default(db).await?.is_none() {
            nodes::make_default(db, &node.name).await?;
        }
        Ok(Fate::New)
    }
}

/// spec: trust 1.3 (software keys are named by the hash of their public half)
fn handle_of(public: &[u8]) -> Handle {
    Handle::new(ockam_vault::fast().sha256(&[public]))
}

/// The name, or the first of `name-2`, `name-3`.. that is not taken.
async fn free_name(db: &mut Connection, name: &IdentityName) -> Result<IdentityName, Failure> {
    let mut free = name.clone();
    let mut number: u32 = 1;
    while identities::look_up(db, &free).await?.is_some() {
        number = number.saturating_add(1);
        let text = format!("{name}-{number}");
        free = text.parse().map_err(|_| {
            // A name of nearly 200 bytes.
            Failure::Store(StoreError::NoFreeName(name.to_string()))
        })?;
    }
    Ok(free)
}
