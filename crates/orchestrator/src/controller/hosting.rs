//! What runs the projects.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};

use ockam_control::controller::message::{OktaConfig, RelayItem, TicketItem};
use ockam_identity::{Identifier, IdentityDraft, UnixTime, Validity, VerifiedHistory};
use ockam_store::StoreError;
use ockam_vault::{Signer as _, SigningKeyType, SoftwareVault};

/// What a method of [`Hosting`] gives.
pub type Eventual<'a, T> = Pin<Box<dyn Future<Output = Result<T, HostingError>> + Send + 'a>>;

/// Runs projects: a node and an authority for each.
pub trait Hosting: Send + Sync + fmt::Debug + 'static {
    /// Makes a project, or finds the one that an earlier attempt made under this id.
    fn create<'a>(&'a self, project: &'a str) -> Eventual<'a, Hosted>;

    /// Deletes projects; one that is not there is deleted.
    fn delete<'a>(&'a self, projects: &'a [String]) -> Eventual<'a, ()>;

    /// What these projects are, by id; those that are not there are left out.
    fn describe<'a>(&'a self, projects: &'a [String]) -> Eventual<'a, BTreeMap<String, Hosted>>;

    /// Makes somebody a member with these attributes, in place of those they had from here.
    fn admit<'a>(
        &'a self,
        project: &'a str,
        who: &'a Identifier,
        attributes: BTreeMap<String, String>,
    ) -> Eventual<'a, ()>;

    /// Ends at once what somebody may in a project, as a member and by credentials of the controller.
    fn dismiss<'a>(&'a self, project: &'a str, who: &'a Identifier) -> Eventual<'a, ()>;

    /// The relays that are connected in a project.
    fn relays<'a>(&'a self, project: &'a str) -> Eventual<'a, Vec<RelayItem>>;

    /// The tickets of a project and who used them.
    fn tickets<'a>(&'a self, project: &'a str) -> Eventual<'a, Vec<TicketItem>>;

    /// Whether members could sign in with this service. Whoever runs projects finds what was configured in the database.
    ///
    /// # Errors
    /// [`HostingError::Unusable`] if it could not be asked, or would give rights.
    fn check_okta(&self, okta: OktaConfig) -> Result<(), HostingError> {
        crate::projects::okta::check(okta)
    }
}

/// A project that runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hosted {
    /// Who its node is.
    pub identity: Identifier,
    /// The change history of its node, in hex.
    pub history: String,
    /// The change history of its authority, in hex.
    pub authority_history: String,
    /// Where its node is, as a multiaddr.
    pub access_route: String,
    /// Where its authority is, as a multiaddr.
    pub authority_route: String,
}

/// Something was not done.
#[derive(Debug, thiserror::Error)]
pub enum HostingError {
    /// Nobody can do this here.
    #[error("{0}")]
    NotOffered(&'static str),
    /// The request makes no sense, as whoever asked is told.
    #[error("{0}")]
    Unusable(String),
    /// The database cannot be used.
    #[error("the project cannot be worked on")]
    Store(#[source] StoreError),
    /// It failed. Details are for the log alone.
    #[error("the project cannot be worked on")]
    Failed(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Projects that are only known, for tests.
#[derive(Debug, Default)]
pub struct InMemory {
    // Held for one look-up.
    projects: Mutex<BTreeMap<String, Members>>,
}

type Members = BTreeMap<Identifier, Option<BTreeMap<String, String>>>;

impl InMemory {
    fn projects(&self) -> MutexGuard<'_, BTreeMap<String, Members>> {
        self.projects.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The attributes of a member.
    #[must_use]
    pub fn member(&self, project: &str, who: &Identifier) -> Option<BTreeMap<String, String>> {
        self.projects().get(project)?.get(who)?.clone()
    }

    /// Whether somebody was dismissed.
    #[must_use]
    pub fn is_dismissed(&self, project: &str, who: &Identifier) -> bool {
        self.projects()
            .get(project)
            .is_some_and(|members| members.get(who) == Some(&None))
    }

    fn hosted(project: &str) -> Result<Hosted, HostingError> {
        let failed = |error: VaultOrIdentity| HostingError::Failed(error);
        let node = identity_of(&["node", project]).map_err(failed)?;
        let authority = identity_of(&["authority", project]).map_err(failed)?;
        Ok(Hosted {
            identity: *node.identifier(),
            history: hex::encode(node.as_bytes()),
            authority_history: hex::encode(authority.as_bytes()),
            access_route: format!("/ip4/127.0.0.1/tcp/6252/service/{project}/service/api"),
            authority_route: format!(
                "/ip4/127.0.0.1/tcp/6252/service/authority-{project}/service/api"
            ),
        })
    }
}

type VaultOrIdentity = Box<dyn std::error::Error + Send + Sync>;

/// Somebody whose keys follow from their name: the same project has the same ones always.
fn identity_of(name: &[&str]) -> Result<VerifiedHistory, VaultOrIdentity> {
    let provider = ockam_vault::fast();
    let name: Vec<&[u8]> = name.iter().map(|part| part.as_bytes()).collect();
    let seed = provider.sha256(&name);
    let mut vault = SoftwareVault::new(provider);
    let key = vault.generate_signing_key(SigningKeyType::Ed25519, &mut |bytes: &mut [u8]| {
        for (place, byte) in bytes.iter_mut().zip(seed) {
            *place = byte;
        }
    })?;
    let public = vault.public_key(&key)?;
    let draft = IdentityDraft::new(provider, public, Validity::of_primary_key(MADE))?;
    Ok(draft.sign_with(provider, &vault, &key)?)
}

impl Hosting for InMemory {
    fn create<'a>(&'a self, project: &'a str) -> Eventual<'a, Hosted> {
        self.projects().entry(project.to_owned()).or_default();
        Box::pin(async move { Self::hosted(project) })
    }

    fn delete<'a>(&'a self, projects: &'a [String]) -> Eventual<'a, ()> {
        self.projects().retain(|known, _| !projects.contains(known));
        Box::pin(async { Ok(()) })
    }

    fn describe<'a>(&'a self, projects: &'a [String]) -> Eventual<'a, BTreeMap<String, Hosted>> {
        let known = self.projects();
        let here = projects
            .iter()
            .filter(|project| known.contains_key(*project));
        let described = here
            .map(|project| Ok((project.clone(), Self::hosted(project)?)))
            .collect();
        Box::pin(async { described })
    }

    fn admit<'a>(
        &'a self,
        project: &'a str,
        who: &'a Identifier,
        attributes: BTreeMap<String, String>,
    ) -> Eventual<'a, ()> {
        self.projects()
            .entry(project.to_owned())
            .or_default()
            .insert(*who, Some(attributes));
        Box::pin(async { Ok(()) })
    }

    fn dismiss<'a>(&'a self, project: &'a str, who: &'a Identifier) -> Eventual<'a, ()> {
        if let Some(members) = self.projects().get_mut(project) {
            members.insert(*who, None);
        }
        Box::pin(async { Ok(()) })
    }

    fn relays<'a>(&'a self, _: &'a str) -> Eventual<'a, Vec<RelayItem>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn tickets<'a>(&'a self, _: &'a str) -> Eventual<'a, Vec<TicketItem>> {
        Box::pin(async { Ok(Vec::new()) })
    }
}

/// When the identities of projects that are only known were made.
const MADE: UnixTime = UnixTime(1_700_000_000);
