//! Tokens of a real provider, good and bad, and providers that are in trouble.

#![allow(
    clippy::unwrap_used,
    reason = "this is a test program: a failed unwrap is a failed test"
)]

#[path = "../../../../tests/oidc/provider.rs"]
mod provider;

mod needs_node {
    use std::time::{Duration, Instant, SystemTime};

    use ockam_control::sign_in::SignInSettings;
    use ockam_orchestrator::sign_in::{Oidc, SignIn as _, SignInError, SignedIn};
    use serde_json::{Value, json};

    use crate::provider::{AUDIENCE, Provider};

    /// Of the client `ours`, whose tokens are for [`AUDIENCE`].
    fn settings(provider: &Provider) -> SignInSettings {
        let mut settings = SignInSettings::new(provider.issuer(), "ours");
        settings.audience = Some(AUDIENCE.to_owned());
        settings.claims = vec!["groups".parse().unwrap()];
        settings.admission = "example.com".parse().unwrap();
        settings
    }

    fn oidc(provider: &Provider) -> Oidc {
        Oidc::open(settings(provider)).unwrap()
    }

    /// What a good token says.
    fn claims(provider: &Provider) -> Value {
        let now = now();
        json!({
            "iss": provider.issuer(), "sub": "dana", "aud": AUDIENCE, "client_id": "ours",
            "iat": now, "exp": now + 600, "email": "dana@example.com", "email_verified": true, "groups": ["dba"],
        })
    }

    fn now() -> u64 {
        SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap()
            .as_secs()
    }

    fn refused(result: Result<SignedIn, SignInError>) -> String {
        match result {
            Err(SignInError::Refused(why)) => why,
            other => panic!("{other:?}"),
        }
    }

    fn unavailable(result: Result<SignedIn, SignInError>) {
        assert!(
            matches!(result, Err(SignInError::Unavailable(_))),
            "{result:?}"
        );
    }

    #[tokio::test]
    async fn who_signed_in_is_known_with_groups_and_whether_an_invitation_is_needed() {
        let provider = Provider::start();
        let oidc = oidc(&provider);
        let dana = oidc
            .verify(&provider.token("ours", "dana", None))
            .await
            .unwrap();
        assert_eq!(
            (dana.issuer.as_str(), dana.subject.as_str()),
            (provider.issuer().as_str(), "dana")
        );
        assert_eq!(dana.email.as_deref(), Some("dana@example.com"));
        let attributes: Vec<_> = dana
            .attributes
            .iter()
            .map(|(k, v)| (k.as_str(), v.as_str()))
            .collect();
        assert_eq!(
            attributes,
            [
                ("groups", "dba,staff"),
                ("groups.dba", "true"),
                ("groups.staff", "true")
            ]
        );
        assert!(dana.admitted);
        // An address that nobody verified is none; and one of another domain admits nobody.
        let mary = oidc
            .verify(&provider.token("ours", "mary", None))
            .await
            .unwrap();
        assert_eq!((mary.email, mary.admitted), (None, false));
        let other = oidc
            .verify(&provider.token("ours", "somebody", None))
            .await
            .unwrap();
        assert_eq!(
            (other.email.as_deref(), other.admitted),
            (Some("somebody@example.org"), false)
        );
    }

    #[tokio::test]
    async fn an_opaque_token_counts_when_the_provider_says_that_it_is_ours() {
        let provider = Provider::start();
        let mut settings = settings(&provider);
        settings.client_id = "plain".to_owned();
        settings.audience = None;
        let oidc = Oidc::open(settings.clone()).unwrap();
        let token = provider.token("plain", "dana", None);
        assert!(!token.contains('.'));
        let dana = oidc.verify(&token).await.unwrap();
        assert_eq!(dana.email.as_deref(), Some("dana@example.com"));
        assert_eq!(
            dana.attributes.get("groups.dba").map(String::as_str),
            Some("true")
        );
        refused(oidc.verify("made-up").await);
        // The same good token, at an Orchestrator that is another client.
        settings.client_id = "theirs".to_owned();
        refused(Oidc::open(settings).unwrap().verify(&token).await);
    }

    #[tokio::test]
    async fn tokens_of_others_and_tokens_that_are_over_are_refused() {
        let provider = Provider::start();
        let oidc = oidc(&provider);
        // Real ones of another client, and for another audience.
        refused(oidc.verify(&provider.token("theirs", "dana", None)).await);
        let elsewhere = provider.token("ours", "dana", Some("https://elsewhere.example"));
        refused(oidc.verify(&elsewhere).await);
        // What the provider signs, with one thing changed.
        let with = |change: Value| {
            let mut claims = claims(&provider);
            for (name, value) in change.as_object().unwrap() {
                claims[name] = value.clone();
            }
            claims
        };
        oidc.verify(&provider.sign(json!({}), with(json!({}))))
            .await
            .unwrap();
        for change in [
            json!({"exp": now() - 120}),
            json!({"exp": null}),
            json!({"nbf": now() + 3600}),
            json!({"iss": "https://id.example.org"}),
            json!({"iss": null}),
            json!({"aud": "https://elsewhere.example"}),
            json!({"aud": null}),
            json!({"client_id": "theirs"}),
            json!({"azp": "theirs"}),
            json!({"sub": null}),
            json!({"sub": ""}),
            json!({"at_hash": "x"}),
            json!({"cnf": {"jkt": "x"}}),
        ] {
            let result = oidc
                .verify(&provider.sign(json!({}), with(change.clone())))
                .await;
            assert!(
                matches!(result, Err(SignInError::Refused(_))),
                "{change}: {result:?}"
            );
        }
        for head in [json!({"typ": "logout+jwt"}), json!({"kid": "nobody's"})] {
            let result = oidc
                .verify(&provider.sign(head.clone(), with(json!({}))))
                .await;
            assert!(
                matches!(result, Err(SignInError::Refused(_))),
                "{head}: {result:?}"
            );
        }
        // Changed after it was signed, signed by nobody, or signed by somebody else.
        let good = provider.sign(json!({}), with(json!({})));
        let (signed, signature) = good.rsplit_once('.').unwrap();
        let (head, body) = signed.split_once('.').unwrap();
        let other = Provider::start();
        for bad in [
            format!("{head}.{}.{signature}", &body[..body.len() - 4]),
            format!("eyJhbGciOiJub25lIn0.{body}."),
            format!("{head}.{body}."),
            other.sign(json!({}), with(json!({}))),
            String::new(),
            "a".repeat(20_000),
        ] {
            refused(oidc.verify(&bad).await);
        }
    }

    #[tokio::test]
    async fn a_new_key_is_learnt_the_old_one_forgotten_and_the_provider_not_flooded() {
        let provider = Provider::start();
        let oidc = oidc(&provider);
        let before = provider.sign(json!({}), claims(&provider));
        oidc.verify(&before).await.unwrap();
        provider.rotate();
        let after = provider.sign(json!({}), claims(&provider));
        oidc.verify(&after).await.unwrap();
        refused(oidc.verify(&before).await);
        // Keys that do not exist are asked for a few times only, and good tokens go on being good.
        for name in 0..20 {
            let _ = oidc
                .verify(&provider.sign(json!({"kid": name.to_string()}), claims(&provider)))
                .await;
        }
        assert!(provider.asked("/jwks") <= 4, "{}", provider.asked("/jwks"));
        oidc.verify(&after).await.unwrap();
    }

    #[tokio::test]
    async fn a_provider_that_is_down_or_answers_rubbish_is_told_from_a_bad_token() {
        let mut provider = Provider::start();
        let good = provider.sign(json!({}), claims(&provider));
        for mode in ["broken", "rubbish", "huge"] {
            provider.mode(mode);
            let began = Instant::now();
            unavailable(oidc(&provider).verify(&good).await);
            assert!(began.elapsed() < Duration::from_secs(15), "{mode}");
        }
        provider.mode("ok");
        let known = oidc(&provider);
        known.verify(&good).await.unwrap();
        // Those whose keys are known sign in while it is away; somebody who has to ask is told to try again.
        provider.kill();
        known.verify(&good).await.unwrap();
        unavailable(oidc(&provider).verify(&good).await);
        let opaque = known.verify("opaque").await;
        unavailable(opaque);
    }

    #[tokio::test]
    async fn a_provider_that_never_answers_holds_nobody_up_for_long() {
        let provider = Provider::start();
        let good = provider.sign(json!({}), claims(&provider));
        provider.mode("silent");
        let began = Instant::now();
        unavailable(oidc(&provider).verify(&good).await);
        assert!(
            began.elapsed() < Duration::from_secs(25),
            "{:?}",
            began.elapsed()
        );
    }
}
