//! The keys with which a provider signs, kept for a while, and asked for again when a token names another.

use std::time::Duration;

use jsonwebtoken::jwk::{AlgorithmParameters, Jwk, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use ockam_control::sign_in::{Provider, ProviderError, Web, WebError};
use serde_json::Value;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::SignInError;

/// A provider that is asked as little as possible.
pub(super) struct Known {
    web: Web,
    issuer: String,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    latest: Option<Latest>,
    /// When it was asked last without success, and what came of it.
    failed: Option<(Instant, SignInError)>,
    /// When it was asked for keys that nobody knew: newest last.
    asked: Vec<Instant>,
}

#[derive(Clone)]
struct Latest {
    provider: Provider,
    keys: Vec<Key>,
    read: Instant,
}

/// A key of the provider.
#[derive(Clone)]
pub(super) struct Key {
    id: Option<String>,
    algorithm: Option<String>,
    /// What checks signatures.
    pub(super) verifier: DecodingKey,
}

impl Known {
    pub(super) fn new(web: Web, issuer: &str) -> Self {
        Self {
            web,
            issuer: issuer.to_owned(),
            state: Mutex::default(),
        }
    }

    /// What the provider says of itself.
    pub(super) async fn provider(&self) -> Result<Provider, SignInError> {
        let mut state = self.state.lock().await;
        Ok(self.latest(&mut state).await?.provider)
    }

    /// The key of a token, and what the provider says of itself.
    pub(super) async fn key(
        &self,
        id: Option<&str>,
        algorithm: Algorithm,
    ) -> Result<(Key, Provider), SignInError> {
        let mut state = self.state.lock().await;
        let latest = self.latest(&mut state).await?;
        if let Some(key) = find(&latest.keys, id, algorithm) {
            return Ok((key, latest.provider));
        }
        // It may be new. Tokens of strangers name what they like, so it is asked now and then only.
        let now = Instant::now();
        state
            .asked
            .retain(|asked| now.duration_since(*asked) < PERIOD);
        if state.asked.len() >= REFETCHES {
            return Err(SignInError::Unavailable(
                "it was asked for new keys often enough".to_owned(),
            ));
        }
        state.asked.push(now);
        let latest = self.read(&mut state).await?;
        find(&latest.keys, id, algorithm)
            .map(|key| (key, latest.provider))
            .ok_or_else(|| {
                SignInError::Refused("it is signed with no key of the provider".to_owned())
            })
    }

    async fn latest(&self, state: &mut State) -> Result<Latest, SignInError> {
        let age = state.latest.as_ref().map(|latest| latest.read.elapsed());
        match (age, &state.latest) {
            (Some(age), Some(latest)) if age < FRESH => return Ok(latest.clone()),
            _ => {}
        }
        if let Some((when, error)) = &state.failed
            && when.elapsed() < PAUSE
        {
            return state.stale().ok_or_else(|| error.clone());
        }
        let read = self.read(state).await;
        read.or_else(|error| state.stale().ok_or(error))
    }

    async fn read(&self, state: &mut State) -> Result<Latest, SignInError> {
        match self.ask().await {
            Ok(latest) => {
                state.failed = None;
                state.latest = Some(latest.clone());
                Ok(latest)
            }
            Err(error) => {
                tracing::warn!(issuer = %self.issuer, %error, "the sign-in provider cannot be asked for its keys");
                state.failed = Some((Instant::now(), error.clone()));
                Err(error)
            }
        }
    }

    async fn ask(&self) -> Result<Latest, SignInError> {
        let provider = Provider::discover(&self.web, &self.issuer)
            .await
            .map_err(unavailable)?;
        let uri = provider.jwks_uri.as_deref().ok_or_else(|| {
            SignInError::Unavailable("it does not say where its keys are".to_owned())
        })?;
        let answer = self
            .web
            .get(uri, None)
            .await
            .map_err(|error| unavailable(error.into()))?;
        let keys = if answer.is_success() {
            read_keys(&answer.body)
        } else {
            Vec::new()
        };
        if keys.is_empty() {
            return Err(SignInError::Unavailable(
                "it has no keys to check signatures with".to_owned(),
            ));
        }
        Ok(Latest {
            provider,
            keys,
            read: Instant::now(),
        })
    }
}

impl State {
    /// Keys that are old and not yet too old, for while the provider is away.
    fn stale(&self) -> Option<Latest> {
        self.latest
            .clone()
            .filter(|latest| latest.read.elapsed() < OLDEST)
    }
}

/// The keys among what a provider answers. What is not understood is left out: providers have keys for other purposes too.
fn read_keys(body: &[u8]) -> Vec<Key> {
    let Ok(Value::Object(mut set)) = serde_json::from_slice(body) else {
        return Vec::new();
    };
    let Some(Value::Array(keys)) = set.remove("keys") else {
        return Vec::new();
    };
    keys.into_iter()
        .take(MAX_KEYS)
        .filter_map(|key| serde_json::from_value(key).ok())
        .filter_map(read_key)
        .collect()
}

fn read_key(jwk: Jwk) -> Option<Key> {
    let signs =
        !matches!(&jwk.common.public_key_use, Some(other) if *other != PublicKeyUse::Signature);
    let is_public = matches!(
        jwk.algorithm,
        AlgorithmParameters::RSA(_)
            | AlgorithmParameters::EllipticCurve(_)
            | AlgorithmParameters::OctetKeyPair(_)
    );
    if !signs || !is_public {
        return None;
    }
    Some(Key {
        verifier: DecodingKey::from_jwk(&jwk).ok()?,
        algorithm: jwk
            .common
            .key_algorithm
            .map(|algorithm| algorithm.to_string()),
        id: jwk.common.key_id,
    })
}

/// The key with this name; of a token that names none, the only one of its kind.
fn find(keys: &[Key], id: Option<&str>, algorithm: Algorithm) -> Option<Key> {
    let name = format!("{algorithm:?}");
    let fits = |key: &&Key| {
        key.verifier.family() == algorithm.family()
            && key
                .algorithm
                .as_ref()
                .is_none_or(|algorithm| *algorithm == name)
    };
    let mut found = keys
        .iter()
        .filter(fits)
        .filter(|key| id.is_none() || key.id.as_deref() == id);
    let first = found.next()?;
    (id.is_some() || found.next().is_none()).then(|| first.clone())
}

pub(super) fn unavailable(error: ProviderError) -> SignInError {
    SignInError::Unavailable(error.to_string())
}

impl From<WebError> for SignInError {
    fn from(error: WebError) -> Self {
        Self::Unavailable(error.to_string())
    }
}

/// How long keys are used before they are read again.
const FRESH: Duration = Duration::from_secs(60 * 60);
/// How long they are used at most, when the provider cannot be asked.
const OLDEST: Duration = Duration::from_secs(24 * 60 * 60);
/// How long a provider that failed is left alone.
const PAUSE: Duration = Duration::from_secs(2);
/// How often in a [`PERIOD`] a key that nobody knows is asked for.
const REFETCHES: usize = 3;
const PERIOD: Duration = Duration::from_secs(30);
const MAX_KEYS: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: &str = r#"{"keys":[
        {"kty":"EC","crv":"P-256","kid":"a","alg":"ES256","use":"sig",
         "x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"},
        {"kty":"oct","kid":"b","k":"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ"},
        {"kty":"EC","crv":"P-256","kid":"c","use":"enc",
         "x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"},
        {"kty":"OKP","crv":"Ed25519","kid":"d","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"},
        {"kty":"new"}, 7, null]}"#;

    #[test]
    fn public_keys_that_sign_are_read_and_nothing_else() {
        let keys = read_keys(KEYS.as_bytes());
        let names: Vec<_> = keys.iter().filter_map(|key| key.id.as_deref()).collect();
        assert_eq!(names, ["a", "d"]);
        for garbage in ["", "[]", "{}", r#"{"keys":7}"#, r#"{"keys":[]}"#] {
            assert!(read_keys(garbage.as_bytes()).is_empty(), "{garbage}");
        }
    }

    #[test]
    fn a_key_is_found_by_name_and_kind() {
        let keys = read_keys(KEYS.as_bytes());
        assert!(find(&keys, Some("a"), Algorithm::ES256).is_some());
        assert!(find(&keys, None, Algorithm::EdDSA).is_some());
        assert!(find(&keys, Some("a"), Algorithm::EdDSA).is_none());
        // A key for one algorithm is for no other.
        assert!(find(&keys, Some("a"), Algorithm::ES384).is_none());
        assert!(find(&keys, Some("b"), Algorithm::HS256).is_none());
        assert!(find(&keys, Some("z"), Algorithm::ES256).is_none());
        let twice = [keys.clone(), keys].concat();
        assert!(find(&twice, None, Algorithm::ES256).is_none());
    }
}
