//! Tokens that say themselves whom they are for: signed by the provider, for this client and this audience, now.

use jsonwebtoken::{Algorithm, Header, Validation, decode, decode_header};
use ockam_control::sign_in::SignInSettings;
use serde_json::Value;

use super::SignInError;
use super::claims::Claims;
use super::keys::Key;

/// The head of a token, if it is one that is signed.
///
/// # Errors
/// It is signed in a way that proves nothing.
pub(super) fn head(token: &str) -> Result<Option<Header>, SignInError> {
    if token.split('.').count() != 3 {
        return Ok(None);
    }
    let Ok(head) = decode_header(token) else {
        // Of three parts and yet no signed token that is understood: `none` is among them.
        return Err(refused("it is signed in a way that is not understood"));
    };
    if !ALGORITHMS.contains(&head.alg) {
        return Err(refused("it is signed in a way that proves nothing"));
    }
    if head.crit.is_some() || head.zip.is_some() || head.enc.is_some() {
        return Err(refused("it asks for more than is understood"));
    }
    let is_access = head.typ.as_deref().is_none_or(|kind| {
        ["jwt", "at+jwt", "application/at+jwt"]
            .iter()
            .any(|known| kind.eq_ignore_ascii_case(known))
    });
    if !is_access {
        return Err(refused("it is a token for something else"));
    }
    Ok(Some(head))
}

/// What a token says, when it is good.
///
/// # Errors
/// It is not, or it is for somebody else.
pub(super) fn verify(
    token: &str,
    head: &Header,
    key: &Key,
    issuer: &str,
    settings: &SignInSettings,
) -> Result<Claims, SignInError> {
    let mut validation = Validation::new(head.alg);
    validation.leeway = LEEWAY;
    validation.validate_nbf = true;
    // Read below: which of several claims says it differs between providers.
    validation.validate_aud = false;
    validation.set_issuer(&[issuer]);
    validation.set_required_spec_claims(&["exp", "iss", "sub"]);
    let claims: Claims = decode(token, &key.verifier, &validation)
        .map_err(|error| SignInError::Refused(error.to_string()))?
        .claims;
    let kind = claims
        .get("typ")
        .and_then(Value::as_str)
        .unwrap_or("Bearer");
    let is_identity = ["at_hash", "c_hash", "s_hash"]
        .iter()
        .any(|name| claims.contains_key(*name));
    if is_identity || !kind.eq_ignore_ascii_case("bearer") {
        return Err(refused("it is no access token"));
    }
    is_for(&claims, settings)?;
    Ok(claims)
}

/// Whether claims of a token say that it was made for this client, and this audience.
///
/// # Errors
/// They do not say so.
pub(super) fn is_for(claims: &Claims, settings: &SignInSettings) -> Result<(), SignInError> {
    if claims.contains_key("cnf") {
        // Whoever brings it would have to prove that they hold a key; it cannot be asked for here.
        return Err(refused("it is bound to a key"));
    }
    let clients: Vec<&Value> = CLIENT_CLAIMS
        .iter()
        .filter_map(|name| claims.get(*name))
        .collect();
    if clients
        .iter()
        .any(|client| client.as_str() != Some(settings.client_id.as_str()))
    {
        return Err(refused("it was made for another client"));
    }
    let names = |wanted: &str| match claims.get("aud") {
        Some(Value::String(audience)) => audience == wanted,
        Some(Value::Array(audiences)) => audiences
            .iter()
            .any(|audience| audience.as_str() == Some(wanted)),
        _ => false,
    };
    if let Some(audience) = &settings.audience
        && !names(audience)
    {
        return Err(refused("it is for another audience"));
    }
    let is_told = !clients.is_empty();
    match &settings.audience {
        Some(_) if is_told => Ok(()),
        // An access token without an audience is for the provider's own endpoints, which told us of it.
        None if is_told && !claims.contains_key("aud") => Ok(()),
        _ if names(&settings.client_id) => Ok(()),
        None => Err(refused("it is for another audience")),
        Some(_) => Err(refused("it does not say for which client it was made")),
    }
}

fn refused(why: &str) -> SignInError {
    SignInError::Refused(why.to_owned())
}

/// Those with a public key. A secret shared with the provider would be known to every client, and `none` to everybody.
const ALGORITHMS: [Algorithm; 9] = [
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::EdDSA,
];

/// What providers call the client that a token was made for: the standard, OpenID Connect, and two large ones.
const CLIENT_CLAIMS: [&str; 4] = ["client_id", "azp", "cid", "appid"];

/// How far clocks may be apart, in seconds.
const LEEWAY: u64 = 60;

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn settings(audience: Option<&str>) -> SignInSettings {
        let mut settings = SignInSettings::new("https://id.example.com", "ours");
        settings.audience = audience.map(str::to_owned);
        settings
    }

    #[test]
    fn a_token_of_another_client_or_audience_is_refused() {
        let with = Some("https://api");
        for (claims, audience, is_ours) in [
            (json!({"aud": "ours"}), None, true),
            (json!({"aud": ["x", "ours"]}), None, true),
            (json!({"client_id": "ours"}), None, true),
            (json!({"client_id": "ours", "aud": "account"}), None, false),
            (json!({"azp": "ours", "aud": ["https://api"]}), with, true),
            (json!({"aud": ["https://api", "ours"]}), with, true),
            (json!({"aud": "https://api"}), with, false),
            (json!({"client_id": "ours"}), with, false),
            (json!({"client_id": "theirs", "aud": "ours"}), None, false),
            (
                json!({"client_id": "ours", "azp": "theirs", "aud": "ours"}),
                None,
                false,
            ),
            (json!({"cid": "theirs", "aud": "https://api"}), with, false),
            (json!({"client_id": 7, "aud": "ours"}), None, false),
            (json!({"aud": "theirs"}), None, false),
            (json!({"aud": 7}), None, false),
            (json!({}), None, false),
            (
                json!({"client_id": "ours", "aud": "ours", "cnf": {"jkt": "x"}}),
                None,
                false,
            ),
        ] {
            let claims_of = claims.as_object().expect("claims");
            assert_eq!(
                is_for(claims_of, &settings(audience)).is_ok(),
                is_ours,
                "{claims}"
            );
        }
    }

    #[test]
    fn what_proves_nothing_is_refused_by_its_head() {
        use base64::Engine as _;
        let token = |head: &str| {
            let coded = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(head);
            super::head(&format!("{coded}.e30.c2ln"))
        };
        assert!(matches!(
            token(r#"{"alg":"ES256","typ":"at+jwt","kid":"k"}"#),
            Ok(Some(_))
        ));
        for bad in [
            r#"{"alg":"none"}"#,
            r#"{"alg":"None"}"#,
            r#"{"alg":"HS256"}"#,
            r#"{"alg":"ES256","crit":["b64"]}"#,
            r#"{"alg":"ES256","typ":"logout+jwt"}"#,
            r#"{"alg":"ES256","typ":"dpop+jwt"}"#,
            r#"{"typ":"JWT"}"#,
            "rubbish",
        ] {
            assert!(matches!(token(bad), Err(SignInError::Refused(_))), "{bad}");
        }
        for opaque in ["", "abc", "a.b", "a.b.c.d.e"] {
            assert!(matches!(head(opaque), Ok(None)), "{opaque}");
        }
    }
}
