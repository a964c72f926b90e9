//! Purpose keys of the home's identities: made when they are needed, and replaced in time (spec: trust 3.2).
//!
//! Several processes may act as one identity. Whoever finds that a key is due makes the next one; the store lets one of them
//! win, and all use what is stored. A secret that was replaced is deleted from the vault at once: a handshake that began
//! with it has it in memory.

use std::time::Duration;

use ockam_channel::{LocalIdentity, StaticKey};
use ockam_identity::{
    Identifier, PURPOSE_KEY_SECONDS, Purpose, PurposeKeyAttestation, PurposeKeyDraft,
    PurposePublicKey, UnixTime, VerifiedHistory, VerifiedPurposeKey,
};
use ockam_store::{IdentityRecord, PurposeKeyRecord, StoreError};
use ockam_vault::{Handle, SecretRecord, Signer, SigningKeyType, SoftwareVault, X25519Secret};

use crate::home::identities::{fill_random, now, verified};
use crate::home::vaults;
use crate::outcome::{Code, Failure};
use crate::state::{State, refused};

/// How long a purpose key is good for. It is replaced when two thirds of that have passed (spec: trust 11.2 number 28).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyLifetime {
    seconds: u64,
    replace: Replace,
}

/// When a key is replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Replace {
    /// In time, by whoever runs for long.
    InTime,
    /// When it has ended, by whoever uses it once and leaves the keys of others as they are.
    AtItsEnd,
}

impl KeyLifetime {
    /// Thirty days.
    pub const USUAL: Self = Self::of(30 * 24 * 60 * 60);
    /// What the published program gives its keys: five years. For keys whose end others have to live with.
    pub const LONGEST: Self = Self::of(PURPOSE_KEY_SECONDS);
    /// Below this, a peer whose clock is a little ahead would refuse a key before it is replaced.
    const SHORTEST: u64 = 30;

    /// A lifetime between half a minute and five years.
    ///
    /// # Errors
    /// It is shorter or longer.
    pub fn new(lifetime: Duration) -> Result<Self, Failure> {
        let seconds = lifetime.as_secs();
        if (Self::SHORTEST..=PURPOSE_KEY_SECONDS).contains(&seconds) {
            Ok(Self::of(seconds))
        } else {
            Err(Failure::new(
                "a purpose key lives between 30 seconds and five years",
            ))
        }
    }

    const fn of(seconds: u64) -> Self {
        Self {
            seconds,
            replace: Replace::InTime,
        }
    }

    /// The same for keys that are used until they end, as a command does that is over at once.
    pub(crate) const fn to_the_end(self) -> Self {
        Self {
            replace: Replace::AtItsEnd,
            ..self
        }
    }

    /// Its seconds.
    pub(crate) const fn seconds(self) -> u64 {
        self.seconds
    }

    /// How long a new key must be good for, so that what it signs until it is replaced lasts for so many seconds.
    fn lasting(self, needed: Option<u64>) -> u64 {
        let used = self.seconds - self.seconds / 3;
        self.seconds.max(used.saturating_add(needed.unwrap_or(0)))
    }

    /// When a key of these times is to be replaced: by its own lifetime or by this one, whichever comes first.
    fn due(self, key: &VerifiedPurposeKey) -> UnixTime {
        let (created, expires) = (key.created_at(), key.expires_at());
        match self.replace {
            Replace::InTime => {
                let lives = expires.0.saturating_sub(created.0).min(self.seconds);
                created.plus(lives - lives / 3)
            }
            Replace::AtItsEnd => expires.plus(1),
        }
    }
}

/// A purpose key as it is used.
#[derive(Debug)]
pub(crate) struct PurposeKey {
    /// The identity's history, under which it is attested.
    pub(crate) history: VerifiedHistory,
    /// The attestation.
    pub(crate) attestation: PurposeKeyAttestation,
    /// What the attestation says.
    pub(crate) verified: VerifiedPurposeKey,
    /// The secret.
    pub(crate) secret: SecretRecord,
    /// When it should be replaced.
    pub(crate) due: UnixTime,
}

impl PurposeKey {
    /// What handshakes are made with, without credentials. The key must be that of channels.
    pub(crate) fn into_local(self) -> LocalIdentity {
        LocalIdentity {
            history: self.history,
            static_key: StaticKey::new(ockam_vault::fast(), X25519Secret::new(self.secret.secret)),
            attestation: self.attestation,
            credentials: Vec::new(),
        }
    }
}

/// The purpose key of an identity: the stored one, or a new one when there is none that is good until `needed_until`, or it
/// is due.
///
/// # Errors
/// There is none and none can be made: the identity's own key is not here, or has expired; the vault does not open.
pub(crate) async fn current(
    state: &State,
    identifier: &Identifier,
    purpose: Purpose,
    lifetime: KeyLifetime,
    needed_until: Option<UnixTime>,
) -> Result<PurposeKey, Failure> {
    current_at(state, identifier, purpose, lifetime, needed_until, now()).await
}

async fn current_at(
    state: &State,
    identifier: &Identifier,
    purpose: Purpose,
    lifetime: KeyLifetime,
    needed_until: Option<UnixTime>,
    now: UnixTime,
) -> Result<PurposeKey, Failure> {
    let provider = ockam_vault::fast();
    let mut failed = None;
    for _ in 0..ATTEMPTS {
        let (record, found) = state
            .store()
            .identity_with_purpose_key(identifier, purpose)
            .await
            .map_err(refused)?
            .ok_or_else(|| {
                Failure::new(format!("the identity {identifier} is not here any more"))
            })?;
        let history = verified(&record)?;
        let vault = vaults::open(state, &record.vault).await?;
        let mut good = None;
        if let Some(found) = &found
            && let Ok(verified) = found.attestation.verify(provider, &history, now, purpose)
            && let Some(secret) = state
                .store()
                .secret(&vault, &found.key)
                .await
                .map_err(refused)?
        {
            let due = lifetime.due(&verified);
            good = Some(PurposeKey {
                history: history.clone(),
                attestation: found.attestation.clone(),
                verified,
                secret,
                due,
            });
        }
        // spec: trust 11.2 (22): nothing lasts longer than this.
        let window_end = history.latest().validity().until();
        let lasts = |key: &PurposeKey| {
            now < key.due
                && needed_until
                    .is_none_or(|until| until.min(window_end) <= key.verified.expires_at())
        };
        match good {
            Some(key) if lasts(&key) || failed.is_some() => {
                if let Some(why) = failed {
                    let name = &record.name;
                    tracing::warn!(
                        "the key of {name} for {purpose} is due and was not replaced: {why}"
                    );
                }
                return Ok(key);
            }
            None if failed.is_some() => break,
            _ => {}
        }
        let seconds = lifetime.lasting(needed_until.map(|until| until.0.saturating_sub(now.0)));
        let (new, secret) = match make(state, &record, &history, purpose, seconds, now).await {
            Ok(made) => made,
            // Whatever there is goes on as long as it can.
            Err(failure) => {
                failed = Some(failure);
                continue;
            }
        };
        // Another process may have been faster, or have rotated the identity; the next look tells.
        match state
            .store()
            .put_purpose_key(&vault, &new, secret, &history, found.as_ref())
            .await
        {
            Ok(_) | Err(StoreError::IdentityChanged(_)) => {}
            Err(error) => failed = Some(refused(error)),
        }
    }
    Err(failed
        .unwrap_or_else(|| Failure::coded(Code::Internal, "a purpose key changes all the time")))
}

/// A purpose key that is not stored yet, attested under this history by the identity's own key.
async fn make(
    state: &State,
    record: &IdentityRecord,
    history: &VerifiedHistory,
    purpose: Purpose,
    seconds: u64,
    now: UnixTime,
) -> Result<(PurposeKeyRecord, SecretRecord), Failure> {
    let key = record
        .key
        .as_ref()
        .ok_or_else(|| cannot(record).cause("only its public part is known here"))?;
    let vault = vaults::open(state, &record.vault).await?;
    // The one key that signs: a vault may hold those of thousands of identities.
    let stored = state.store().secret(&vault, key).await.map_err(refused)?;
    let mut keys = SoftwareVault::from_records(ockam_vault::fast(), stored)
        .map_err(|error| cannot(record).caused_by(&error))?;
    make_with(&mut keys, key, history, purpose, seconds, now)
        .map_err(|why| cannot(record).cause(why))
}

/// The same with the keys at hand, for so many seconds.
pub(crate) fn make_with(
    keys: &mut SoftwareVault,
    key: &Handle,
    history: &VerifiedHistory,
    purpose: Purpose,
    seconds: u64,
    now: UnixTime,
) -> Result<(PurposeKeyRecord, SecretRecord), String> {
    let provider = ockam_vault::fast();
    let text = |error: &dyn std::error::Error| error.to_string();
    let (handle, public) = match purpose {
        Purpose::SecureChannel => {
            let handle = keys.generate_agreement_key(&mut fill_random);
            let public = keys.agreement_public_key(&handle).map_err(|e| text(&e))?;
            (handle, PurposePublicKey::SecureChannelStatic(public))
        }
        Purpose::Credentials => {
            let handle = keys
                .generate_signing_key(SigningKeyType::Ed25519, &mut fill_random)
                .map_err(|e| text(&e))?;
            let public = keys.public_key(&handle).map_err(|e| text(&e))?;
            (handle, PurposePublicKey::CredentialSigning(public))
        }
    };
    let attestation = PurposeKeyDraft::new(provider, history, public, now, seconds)
        .and_then(|draft| draft.sign_with(provider, keys, key))
        .map_err(|e| text(&e))?;
    let secret = match purpose {
        Purpose::SecureChannel => keys.export_agreement_key(&handle),
        Purpose::Credentials => keys.export_signing_key(&handle),
    }
    .map_err(|e| text(&e))?;
    let record = PurposeKeyRecord {
        subject: *history.identifier(),
        purpose,
        attestation,
        key: handle,
    };
    Ok((record, secret))
}

fn cannot(record: &IdentityRecord) -> Failure {
    Failure::coded(
        Code::Internal,
        format!("the identity {} cannot be used", record.name),
    )
}

/// How often another process may be faster.
const ATTEMPTS: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::home::identities;

    const MINUTE: KeyLifetime = KeyLifetime::of(60);

    struct Home {
        _directory: tempfile::TempDir,
        state: State,
        record: IdentityRecord,
    }

    impl Home {
        async fn new() -> Self {
            let directory = tempfile::tempdir().expect("a temporary directory");
            let state = State::open(&directory.path().join("home"), None)
                .await
                .expect("it opens");
            let record = identities::find_or_default(&state, None)
                .await
                .expect("it is made");
            Self {
                _directory: directory,
                state,
                record,
            }
        }

        async fn key(&self, lifetime: KeyLifetime, until: Option<u64>, after: u64) -> PurposeKey {
            let now = now().plus(after);
            let until = until.map(|seconds| now.plus(seconds));
            current_at(
                &self.state,
                &self.record.identifier,
                Purpose::Credentials,
                lifetime,
                until,
                now,
            )
            .await
            .expect("there is a key")
        }
    }

    #[tokio::test]
    async fn guard_11_2_28_a_key_is_replaced_when_two_thirds_of_its_life_have_passed() {
        let home = Home::new().await;
        let first = home.key(MINUTE, None, 0).await;
        let same = home.key(MINUTE, None, 35).await;
        assert_eq!(first.attestation.as_bytes(), same.attestation.as_bytes());
        let as_it_is = home.key(MINUTE.to_the_end(), None, 60).await;
        assert_eq!(first.secret.handle, as_it_is.secret.handle);
        let next = home.key(MINUTE, None, 42).await;
        assert_ne!(first.secret.handle, next.secret.handle);
        assert!(first.verified.expires_at() > next.verified.created_at());
        // Whoever wants it sooner gets it sooner.
        let sooner = home.key(KeyLifetime::of(30), None, 42 + 25).await;
        assert_ne!(next.secret.handle, sooner.secret.handle);
        let vault = vaults::open(&home.state, &home.record.vault)
            .await
            .expect("it opens");
        for (handle, kept) in [
            (&first.secret.handle, false),
            (&next.secret.handle, false),
            (&sooner.secret.handle, true),
        ] {
            let found = home.state.store().secret(&vault, handle).await;
            assert_eq!(found.expect("it is read").is_some(), kept);
        }
    }

    #[tokio::test]
    async fn a_key_lasts_as_long_as_what_it_signs() {
        let home = Home::new().await;
        let first = home.key(MINUTE, None, 0).await;
        let same = home.key(MINUTE, Some(50), 5).await;
        assert_eq!(first.secret.handle, same.secret.handle);
        let longer = home.key(MINUTE, Some(1000), 5).await;
        assert_ne!(first.secret.handle, longer.secret.handle);
        assert!(longer.verified.expires_at() >= now().plus(1000));
        // It signs until it is due, whatever it signs: there is not one key for each credential.
        for after in [6, 20, 40] {
            let same = home.key(MINUTE, Some(1000), after).await;
            assert_eq!(longer.secret.handle, same.secret.handle);
        }
        let next = home.key(MINUTE, Some(1000), 5 + 41).await;
        assert_ne!(longer.secret.handle, next.secret.handle);
        // More than the identity's own key allows is not asked for again and again.
        let most = home.key(MINUTE, Some(u64::MAX / 2), 50).await;
        let window = most.history.latest().validity().until();
        assert_eq!(most.verified.expires_at(), window);
        let again = home.key(MINUTE, Some(u64::MAX / 2), 51).await;
        assert_eq!(most.secret.handle, again.secret.handle);
    }

    #[tokio::test]
    async fn many_that_find_a_key_due_use_the_same_next_one() {
        let home = Home::new().await;
        let first = home.key(MINUTE, None, 0).await;
        let mut others = Vec::new();
        for _ in 0..4 {
            let other = State::over(home.state.store().clone(), None);
            let identifier = home.record.identifier;
            others.push(tokio::spawn(async move {
                let now = now().plus(45);
                let key = current_at(&other, &identifier, Purpose::Credentials, MINUTE, None, now);
                key.await.expect("there is a key").secret.handle
            }));
        }
        let mut seen = std::collections::BTreeSet::new();
        for other in others {
            seen.insert(other.await.expect("it ends").to_string());
        }
        assert_eq!(seen.len(), 1);
        assert!(!seen.contains(&first.secret.handle.to_string()));
    }

    #[tokio::test]
    async fn a_key_that_cannot_be_replaced_is_used_until_it_ends() {
        let home = Home::new().await;
        let first = home.key(MINUTE, None, 0).await;
        let vault = vaults::open(&home.state, &home.record.vault)
            .await
            .expect("it opens");
        let key = home.record.key.clone().expect("it can act");
        home.state
            .store()
            .delete_secrets(vault.name(), &[key])
            .await
            .expect("it is deleted");
        let same = home.key(MINUTE, None, 50).await;
        assert_eq!(first.secret.handle, same.secret.handle);
        let ended = current_at(
            &home.state,
            &home.record.identifier,
            Purpose::Credentials,
            MINUTE,
            None,
            now().plus(100),
        )
        .await;
        assert!(ended.is_err());
    }

    #[test]
    fn a_lifetime_is_between_half_a_minute_and_five_years() {
        for (seconds, good) in [
            (29, false),
            (30, true),
            (157_680_000, true),
            (157_680_001, false),
        ] {
            assert_eq!(KeyLifetime::new(Duration::from_secs(seconds)).is_ok(), good);
        }
    }
}
