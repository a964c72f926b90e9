//! Credentials of the home: issuing them with the identities' keys, verifying them with the histories that are known.

use std::time::Duration;

use ockam_identity::{
    Attributes, CredentialBundle, CredentialDraft, CredentialDraftError, CredentialError,
    Identifier, Purpose, VerifiedCredential, VerifiedHistory,
};
use ockam_store::Store;
use ockam_vault::{SignError, SoftwareVault};

use crate::home::identities::now;
use crate::home::purpose_keys::{self, KeyLifetime, PurposeKey};
use crate::outcome::{Code, Failure};
use crate::state::{State, refused};

/// Members that run the published program renew this long before the end of a credential, in seconds: with a lifetime no
/// longer than that they would renew all the time.
///
/// `spec: trust 4.7`
pub(crate) const PUBLISHED_RENEWAL_SECONDS: u64 = 120;

/// Issues a credential about an identity whose history is known, with the issuer's key for credentials, which is made when
/// there is none that is good for as long.
///
/// The credential ends no later than the window of the issuer's own key.
///
/// # Errors
/// The issuer's keys are not here or have expired, or an attribute has a reserved name.
pub(crate) async fn issue(
    state: &State,
    issuer: &Identifier,
    subject: &VerifiedHistory,
    attributes: Attributes,
    lifetime: Duration,
) -> Result<CredentialBundle, Failure> {
    let until = now().plus(lifetime.as_secs());
    let key = purpose_keys::current(
        state,
        issuer,
        Purpose::Credentials,
        KeyLifetime::LONGEST,
        Some(until),
    )
    .await?;
    sign(key, subject, attributes, lifetime).map_err(|error| match error {
        CredentialDraftError::Reserved(name) => Failure::new(format!(
            "an attribute cannot be named {name}: policies know that by themselves"
        )),
        error => Failure::internal("no credential could be issued", &error),
    })
}

fn sign(
    key: PurposeKey,
    subject: &VerifiedHistory,
    attributes: Attributes,
    lifetime: Duration,
) -> Result<CredentialBundle, CredentialDraftError> {
    let provider = ockam_vault::fast();
    // The key may have been made a moment ago, in a second later than the one this began in.
    let created_at = now().max(key.verified.created_at());
    let expires_at = created_at
        .plus(lifetime.as_secs())
        .min(key.verified.expires_at());
    let draft = CredentialDraft::new(provider, subject, attributes, created_at, expires_at)?;
    let handle = key.secret.handle.clone();
    let keys = SoftwareVault::from_records(provider, vec![key.secret])
        .map_err(|error| SignError::Unavailable(error.to_string()))?;
    draft.sign_with(provider, &key.history, &key.attestation, (&keys, &handle))
}

/// What a user is told about a lifetime that published members cannot live with.
pub(crate) fn too_short_for_published(lifetime: Duration) -> Option<String> {
    (lifetime.as_secs() <= PUBLISHED_RENEWAL_SECONDS).then(|| {
        format!(
            "Members that run the published program renew a credential {PUBLISHED_RENEWAL_SECONDS} seconds before it ends: \
             with a lifetime of {} seconds they would not keep up",
            lifetime.as_secs()
        )
    })
}

/// Whether a credential holds now, as far as the histories known here tell.
///
/// # Errors
/// The store cannot be read.
pub(crate) async fn verdict(
    state: &State,
    bundle: &CredentialBundle,
    issuer: &Identifier,
) -> Result<Result<VerifiedCredential, NotVerified>, Failure> {
    let Some(issuer) = known_history(state, issuer).await? else {
        return Ok(Err(NotVerified::UnknownIssuer(*issuer)));
    };
    let claims = match bundle.peek() {
        Ok(claims) => claims,
        Err(error) => return Ok(Err(CredentialError::from(error).into())),
    };
    let (provider, now) = (ockam_vault::fast(), now());
    let verified = match known_history(state, &claims.subject).await? {
        // spec: trust 4.4 (9)
        Some(subject) => bundle.verify_presented_by(provider, &issuer, &subject, now),
        None => bundle.verify(provider, &issuer, None, now),
    };
    Ok(verified.map_err(NotVerified::from))
}

/// The history of an identity of the home or of a peer that was met.
///
/// # Errors
/// The store cannot be read, or what it holds is damaged.
pub(crate) async fn known_history(
    state: &State,
    identifier: &Identifier,
) -> Result<Option<VerifiedHistory>, Failure> {
    history_in(state.store(), identifier).await
}

/// As [`known_history`], in a store.
///
/// # Errors
/// As of [`known_history`].
pub(crate) async fn history_in(
    store: &Store,
    identifier: &Identifier,
) -> Result<Option<VerifiedHistory>, Failure> {
    let found = store.history(identifier).await.map_err(refused)?;
    found
        .map(|history| history.verify(ockam_vault::fast(), Some(identifier)))
        .transpose()
        .map_err(|error| {
            Failure::internal(
                format!("the stored history of {identifier} is damaged"),
                &error,
            )
        })
}

/// The history of an identity that a credential is to be about.
///
/// # Errors
/// It is not known here.
pub(crate) async fn history_of_subject(
    state: &State,
    subject: &Identifier,
) -> Result<VerifiedHistory, Failure> {
    known_history(state, subject).await?.ok_or_else(|| {
        Failure::coded(
            Code::NotFound,
            format!("the change history of {subject} is not known here"),
        )
        .help(
            "let its owner print it with `ockam identity show --full --encoding hex`, and give that to \
             `ockam identity create --identity`",
        )
    })
}

/// Why a credential does not hold.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotVerified {
    /// Nothing is known of its issuer, so nothing can be said of its key.
    #[error("the change history of {0} is not known here")]
    UnknownIssuer(Identifier),
    /// A rule does not hold.
    #[error(transparent)]
    Refused(#[from] CredentialError),
}
