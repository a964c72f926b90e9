//! The published verdict on every published vector.

use ockam_identity::{
    Attributes, ChangeHistory, Comparison, CredentialBundle, CredentialDraft, CredentialError,
    HistoryError, Identifier, IdentityDraft, OlderPurposeKeys, Purpose, PurposeKeyAttestation,
    PurposeKeyDraft, PurposePublicKey, RotationDraft, UnixTime, Validity, VerifiedHistory,
};
use ockam_vault::{
    SecretBytes, Signature, SigningKeyType, SigningSecret, VerifyError, X25519Secret, portable,
};
use serde_json::Value;

use crate::forge::{self, FROM, UNTIL, mirrored, providers, sign, verdict, window};

/// When verdicts were passed on the published credentials: now, as long as that lies within the vectors' window.
const NOW: UnixTime = UnixTime(FROM.0 + 1000);

#[test]
fn every_published_identity_verifies() {
    let vectors = read(include_str!("../../../../vectors/identity.json"));
    let identities = vectors["identities"].as_array().unwrap();
    assert_eq!(identities.len(), 6);
    for identity in identities {
        let name = text(identity, "name");
        let history = verdict(&bytes(identity, "change_history_hex")).unwrap();
        assert_eq!(
            history.identifier().to_string(),
            text(identity, "identifier"),
            "{name}"
        );
        assert_eq!(
            history.to_hex(),
            text(identity, "change_history_hex"),
            "{name}"
        );
        let kind = if text(identity, "key_type") == "P-256" {
            SigningKeyType::P256
        } else {
            SigningKeyType::Ed25519
        };
        assert_eq!(
            history.latest().primary_public_key().key_type(),
            kind,
            "{name}"
        );
        if identity.get("change_hash").is_some() {
            assert_eq!(
                history.latest().hash().to_string(),
                text(identity, "change_hash"),
                "{name}"
            );
            assert_eq!(history.latest().validity(), window(), "{name}");
            assert_eq!(
                hex::encode(history.latest().primary_public_key().as_bytes()),
                text(identity, "primary_public"),
                "{name}"
            );
        }
    }
}

#[test]
fn published_identities_are_made_again_byte_for_byte() {
    let vectors = read(include_str!("../../../../vectors/identity.json"));
    for position in 0..3 {
        let identity = &vectors["identities"][position];
        let kind = if text(identity, "key_type") == "P-256" {
            SigningKeyType::P256
        } else {
            SigningKeyType::Ed25519
        };
        let secret = signing_secret(kind, &bytes(identity, "primary_secret"));
        let draft = IdentityDraft::new(portable(), forge::public(&secret), window()).unwrap();
        assert_eq!(
            hex::encode(draft.bytes_to_sign()),
            text(identity, "change_hash")
        );
        let signature = sign(&secret, draft.bytes_to_sign());
        // Ours leave with a low s; the published P-256 vector has the high one.
        let published = match &signature {
            Signature::Ed25519(_) => signature,
            Signature::P256(_) => mirrored(&signature),
        };
        let history = draft.finish(portable(), &published).unwrap();
        assert_eq!(history.to_hex(), text(identity, "change_history_hex"));
    }
}

#[test]
fn published_rotation_is_made_again_byte_for_byte() {
    let vectors = read(include_str!("../../../../vectors/identity.json"));
    let (before, after) = (&vectors["identities"][0], &vectors["identities"][3]);
    assert_eq!(text(after, "name"), "A rotated");
    let history = verdict(&bytes(before, "change_history_hex")).unwrap();
    let old = signing_secret(SigningKeyType::Ed25519, &bytes(after, "primary_secret"));
    let new = signing_secret(SigningKeyType::Ed25519, &bytes(after, "second_secret"));
    let validity = Validity::new(UnixTime(0x6553_f4e8), UNTIL).unwrap();

    let draft = RotationDraft::new(
        portable(),
        &history,
        forge::public(&new),
        validity,
        OlderPurposeKeys::Revoke,
    )
    .unwrap();
    assert_eq!(
        hex::encode(draft.bytes_to_sign()),
        text(after, "second_change_hash")
    );
    let (signature, previous) = (
        sign(&new, draft.bytes_to_sign()),
        sign(&old, draft.bytes_to_sign()),
    );
    let rotated = draft.finish(portable(), &signature, &previous).unwrap();

    assert_eq!(rotated.to_hex(), text(after, "change_history_hex"));
    assert_eq!(rotated.identifier(), history.identifier());
    assert!(rotated.latest().revokes_purpose_keys());
    assert_eq!(text(after, "compare_with_A"), "Newer");
    assert_eq!(rotated.compare(&history), Comparison::Newer);
    assert_eq!(history.compare(&rotated), Comparison::Older);
}

#[test]
fn every_unusual_history_gets_the_recommended_verdict() {
    let vectors = read(include_str!("../../../../vectors/identity_negative.json"));
    let cases = vectors["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 18);
    for case in cases {
        let name = text(case, "name");
        let verdict = verdict(&bytes(case, "change_history_hex"));
        assert_eq!(
            verdict.is_ok(),
            text(case, "recommended") == "accept",
            "{name}: {verdict:?}"
        );
        // Nothing is accepted that the published program refuses.
        assert!(
            verdict.is_err() || text(case, "upstream_0_150") == "accept",
            "{name}"
        );
    }
}

#[test]
fn unusual_histories_are_refused_for_what_is_wrong_with_them() {
    use ockam_identity::DecodeError;
    let vectors = read(include_str!("../../../../vectors/identity_negative.json"));
    let reason = |name: &str| {
        let cases = vectors["cases"].as_array().unwrap();
        let case = cases
            .iter()
            .find(|case| text(case, "name").starts_with(name))
            .unwrap();
        verdict(&bytes(case, "change_history_hex")).unwrap_err()
    };
    assert_eq!(reason("empty history"), HistoryError::Empty);
    assert_eq!(
        reason("second change lacks previous signature"),
        HistoryError::MissingPreviousSignature { position: 1 }
    );
    assert_eq!(
        reason("second change starts before first"),
        HistoryError::StartsEarlier { position: 1 }
    );
    assert_eq!(
        reason("second change points to"),
        HistoryError::WrongPreviousChange { position: 1 }
    );
    assert_eq!(
        reason("signature and previous_signature exchanged"),
        HistoryError::Signature {
            position: 1,
            source: VerifyError::BadSignature
        }
    );
    assert_eq!(
        reason("data_type 2"),
        HistoryError::Decode(DecodeError::WrongDataType)
    );
    assert_eq!(
        reason("version 2"),
        HistoryError::Decode(DecodeError::UnknownVersion)
    );
    assert_eq!(
        reason("first change names"),
        HistoryError::FirstNamesPrevious
    );
    assert_eq!(
        reason("Ed25519 small-order public key"),
        HistoryError::Signature {
            position: 0,
            source: VerifyError::RefusedKey
        }
    );
    assert_eq!(
        reason("trailing byte after history"),
        HistoryError::Decode(DecodeError::TrailingBytes("change history"))
    );
    assert!(matches!(
        reason("valid_until before valid_from"),
        HistoryError::Window { position: 0, .. }
    ));
}

#[test]
fn every_published_attestation_verifies() {
    let vectors = read(include_str!("../../../../vectors/purpose_key.json"));
    let attestations = vectors["attestations"].as_array().unwrap();
    assert_eq!(attestations.len(), 3);
    for vector in attestations {
        let (attestation, history, purpose) = attested(vector);
        for provider in providers() {
            let key = attestation
                .verify(provider, &history, FROM.plus(100), purpose)
                .unwrap();
            assert_eq!(key.subject(), history.identifier());
            assert_eq!(key.public_key(), &purpose_key(vector));
            assert_eq!(
                (key.created_at(), key.expires_at()),
                (FROM.plus(10), UnixTime(UNTIL.0 - 10))
            );
            assert_eq!(
                key.secure_channel_static().is_some(),
                purpose == Purpose::SecureChannel
            );
            assert_eq!(
                key.credential_signing().is_some(),
                purpose == Purpose::Credentials
            );
        }
    }
}

#[test]
fn published_attestations_are_made_again_byte_for_byte() {
    let identities = read(include_str!("../../../../vectors/identity.json"));
    let vectors = read(include_str!("../../../../vectors/purpose_key.json"));
    for (position, vector) in vectors["attestations"]
        .as_array()
        .unwrap()
        .iter()
        .enumerate()
    {
        let (_, history, _) = attested(vector);
        let kind = history.latest().primary_public_key().key_type();
        let secret = signing_secret(
            kind,
            &bytes(&identities["identities"][position], "primary_secret"),
        );
        let lifetime = UNTIL.0 - 10 - (FROM.0 + 10);
        let key = purpose_key(vector);
        let draft =
            PurposeKeyDraft::new(portable(), &history, key, FROM.plus(10), lifetime).unwrap();
        assert_eq!(hex::encode(draft.bytes_to_sign()), text(vector, "hash"));
        let ours = sign(&secret, draft.bytes_to_sign());
        let published = PurposeKeyAttestation::decode(&bytes(vector, "attestation_hex")).unwrap();
        let made = draft.finish(portable(), &ours).unwrap();
        if kind == SigningKeyType::Ed25519 || made.as_bytes() == published.as_bytes() {
            assert_eq!(
                hex::encode(made.as_bytes()),
                text(vector, "attestation_hex")
            );
        } else {
            // The published signature has the high s.
            let mut bytes = made.as_bytes().to_vec();
            let end = bytes.len();
            bytes[end - 64..].copy_from_slice(mirrored(&ours).as_bytes());
            assert_eq!(hex::encode(bytes), text(vector, "attestation_hex"));
        }
    }
}

#[test]
fn the_published_credential_verifies_with_all_it_says() {
    let vector = read(include_str!("../../../../vectors/credential.json"));
    let issuer = verdict(&bytes(&vector, "issuer_history")).unwrap();
    let bundle =
        CredentialBundle::from_hex(text(&vector, "credential_and_purpose_key_hex")).unwrap();
    for provider in providers() {
        let credential = bundle
            .verify(provider, &issuer, None, FROM.plus(100))
            .unwrap();
        assert_eq!(credential.issuer().to_string(), text(&vector, "issuer"));
        assert_eq!(credential.subject().to_string(), text(&vector, "subject"));
        assert_eq!(credential.attributes().schema(), vector["schema"]);
        let attributes = vector["attributes"].as_object().unwrap();
        assert_eq!(credential.attributes().len(), attributes.len());
        for (name, value) in attributes {
            let found = credential.attributes().get(name.as_bytes());
            assert_eq!(found, Some(value.as_str().unwrap().as_bytes()), "{name}");
        }
        assert_eq!(credential.created_at().0, vector["created_at"]);
        assert_eq!(credential.expires_at().0, vector["expires_at"]);
    }
}

#[test]
fn the_published_credential_is_made_again_byte_for_byte() {
    let vector = read(include_str!("../../../../vectors/credential.json"));
    let identities = read(include_str!("../../../../vectors/identity.json"));
    let subject = history_of(&identities, text(&vector, "subject"));
    let issuer = verdict(&bytes(&vector, "issuer_history")).unwrap();
    let attributes = vector["attributes"].as_object().unwrap();
    let attributes = attributes
        .iter()
        .map(|(name, value)| (name, value.as_str().unwrap()));
    let draft = CredentialDraft::new(
        portable(),
        &subject,
        Attributes::member(attributes).unwrap(),
        UnixTime(vector["created_at"].as_u64().unwrap()),
        UnixTime(vector["expires_at"].as_u64().unwrap()),
    )
    .unwrap();
    assert_eq!(hex::encode(draft.bytes_to_sign()), text(&vector, "hash"));
    let signing = signing_secret(
        SigningKeyType::Ed25519,
        &bytes(&vector, "credential_signing_secret"),
    );
    let signature = sign(&signing, draft.bytes_to_sign());
    let published = bytes(&vector, "credential_and_purpose_key_hex");
    let attestation =
        PurposeKeyAttestation::decode(&published[1 + bytes(&vector, "credential_hex").len()..])
            .unwrap();
    let bundle = draft
        .finish(portable(), &issuer, &attestation, &signature)
        .unwrap();
    assert_eq!(bundle.as_bytes(), published);
}

#[test]
fn every_unusual_credential_gets_the_published_verdict() {
    let vectors = read(include_str!("../../../../vectors/credential_negative.json"));
    let issuer = verdict(&bytes(&vectors, "issuer_history")).unwrap();
    let subject = text(&vectors, "expected_subject").parse().unwrap();
    let cases = vectors["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 19);
    for case in cases {
        let name = text(case, "name");
        for provider in providers() {
            let verdict = CredentialBundle::decode(&bytes(case, "bundle_hex"))
                .map_err(CredentialError::from)
                .and_then(|bundle| bundle.verify(provider, &issuer, Some(&subject), NOW));
            assert_eq!(verdict.is_ok(), case["accept"], "{name}: {verdict:?}");
        }
    }
}

#[test]
fn a_presented_credential_must_name_a_change_of_the_subject() {
    // spec: trust 11.2 (10): the one case in which the published verdict is not the recommended one.
    let vectors = read(include_str!("../../../../vectors/credential_negative.json"));
    let identities = read(include_str!("../../../../vectors/identity.json"));
    let issuer = verdict(&bytes(&vectors, "issuer_history")).unwrap();
    let subject = history_of(&identities, text(&vectors, "expected_subject"));
    for case in vectors["cases"].as_array().unwrap() {
        let name = text(case, "name");
        let verdict = CredentialBundle::decode(&bytes(case, "bundle_hex"))
            .map_err(CredentialError::from)
            .and_then(|bundle| bundle.verify_presented_by(portable(), &issuer, &subject, NOW));
        if name.contains("of another identity") {
            assert_eq!(verdict, Err(CredentialError::UnknownChange));
        } else {
            assert_eq!(verdict.is_ok(), case["accept"], "{name}: {verdict:?}");
        }
    }
}

#[test]
fn unusual_credentials_are_refused_for_what_is_wrong_with_them() {
    use ockam_identity::{AttestationError, DecodeError};
    let vectors = read(include_str!("../../../../vectors/credential_negative.json"));
    let issuer = verdict(&bytes(&vectors, "issuer_history")).unwrap();
    let subject: Identifier = text(&vectors, "expected_subject").parse().unwrap();
    let reason = |name: &str| {
        let cases = vectors["cases"].as_array().unwrap();
        let case = cases
            .iter()
            .find(|case| text(case, "name").starts_with(name))
            .unwrap();
        CredentialBundle::decode(&bytes(case, "bundle_hex"))
            .unwrap()
            .verify(portable(), &issuer, Some(&subject), NOW)
            .unwrap_err()
    };
    let key = CredentialError::PurposeKey;
    assert_eq!(
        reason("subject null"),
        CredentialError::Decode(DecodeError::Malformed("credential data"))
    );
    assert!(matches!(
        reason("other subject"),
        CredentialError::OtherSubject { expected, found }
            if expected == subject && found == *issuer.identifier()
    ));
    assert!(matches!(reason("expired"), CredentialError::Expired(_)));
    assert!(matches!(
        reason("created in the far future"),
        CredentialError::NotYetValid(_)
    ));
    assert_eq!(
        reason("created before the purpose key"),
        CredentialError::OutsidePurposeKey
    );
    assert_eq!(
        reason("expires after the purpose key"),
        CredentialError::OutsidePurposeKey
    );
    assert_eq!(
        reason("signed with the issuer primary key"),
        CredentialError::Signature(VerifyError::BadSignature)
    );
    assert_eq!(
        reason("data_type 2"),
        CredentialError::Decode(DecodeError::WrongDataType)
    );
    assert_eq!(
        reason("version 2"),
        CredentialError::Decode(DecodeError::UnknownVersion)
    );
    assert_eq!(
        reason("purpose key of secure channel kind"),
        key(AttestationError::OtherPurpose(Purpose::SecureChannel))
    );
    assert_eq!(
        reason("attestation names another change hash"),
        key(AttestationError::NotLatestChange)
    );
    assert_eq!(
        reason("attestation outlives"),
        key(AttestationError::OutsideWindow)
    );
    assert_eq!(
        reason("attestation starts before"),
        key(AttestationError::OutsideWindow)
    );
    assert_eq!(
        reason("attestation signed by the wrong key"),
        key(AttestationError::Signature(VerifyError::BadSignature))
    );
    assert!(matches!(
        reason("issuer not in"),
        CredentialError::OtherIssuer { .. }
    ));
}

#[test]
fn identities_are_read_out_of_handshake_payloads() {
    // spec: trust 5.5: [change history, attestation, credentials]
    let vectors = read(include_str!("../../../../vectors/handshake.json"));
    for (payload, side) in [
        ("payload_message_2_cbor", "responder"),
        ("payload_message_3_cbor", "initiator"),
    ] {
        let payload = bytes(&vectors, payload);
        let (history, len) = ChangeHistory::decode_prefix(&payload[1..]).unwrap();
        let expected: Identifier = text(&vectors[side], "identifier").parse().unwrap();
        let history = history.verify(portable(), Some(&expected)).unwrap();
        let rest = &payload[1 + len..];
        let (attestation, len) = PurposeKeyAttestation::decode_prefix(rest).unwrap();
        let key = attestation
            .verify(portable(), &history, FROM.plus(100), Purpose::SecureChannel)
            .unwrap();
        let static_key = key.secure_channel_static().unwrap();
        assert_eq!(
            hex::encode(static_key.as_bytes()),
            text(&vectors[side], "static_public")
        );
        // What follows are the credentials, one CBOR item.
        let (credentials, length) = CredentialBundle::decode_prefix(&rest[len..]).unwrap();
        assert_eq!(credentials.as_bytes().len(), length);
        assert_eq!(rest.len(), len + length);
    }
}

fn history_of(identities: &Value, identifier: &str) -> VerifiedHistory {
    let identities = identities["identities"].as_array();
    let identity = identities
        .into_iter()
        .flatten()
        .find(|identity| identity["identifier"] == identifier)
        .expect("the identity is among the vectors");
    verdict(&bytes(identity, "change_history_hex")).expect("the vector is good")
}

fn attested(vector: &Value) -> (PurposeKeyAttestation, VerifiedHistory, Purpose) {
    let vectors = read(include_str!("../../../../vectors/identity.json"));
    let identities = vectors["identities"]
        .as_array()
        .expect("the identities are a list");
    let subject = identities
        .iter()
        .find(|identity| identity["identifier"] == vector["subject"])
        .expect("the subject is among the identities");
    let history = verdict(&bytes(subject, "change_history_hex")).expect("the vector is good");
    let attestation = PurposeKeyAttestation::decode(&bytes(vector, "attestation_hex"))
        .expect("the vector is good");
    let purpose = if text(vector, "purpose") == "SecureChannelStatic" {
        Purpose::SecureChannel
    } else {
        Purpose::Credentials
    };
    (attestation, history, purpose)
}

fn purpose_key(vector: &Value) -> PurposePublicKey {
    if vector.get("static_secret").is_some() {
        let mut secret = SecretBytes::new([0; 32]);
        secret
            .as_bytes_mut()
            .copy_from_slice(&bytes(vector, "static_secret"));
        let public = portable().x25519_public(&X25519Secret::new(secret));
        assert_eq!(
            hex::encode(public.as_bytes()),
            text(vector, "static_public")
        );
        PurposePublicKey::SecureChannelStatic(public)
    } else {
        let public = forge::public(&signing_secret(
            SigningKeyType::Ed25519,
            &bytes(vector, "signing_secret"),
        ));
        assert_eq!(
            hex::encode(public.as_bytes()),
            text(vector, "signing_public")
        );
        PurposePublicKey::CredentialSigning(public)
    }
}

fn signing_secret(kind: SigningKeyType, bytes: &[u8]) -> SigningSecret {
    let mut secret = SecretBytes::new([0; 32]);
    secret.as_bytes_mut().copy_from_slice(bytes);
    SigningSecret::new(kind, secret).expect("the vector's scalar is in range")
}

fn read(json: &str) -> Value {
    serde_json::from_str(json).expect("the vectors are JSON")
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().expect("the field is text")
}

fn bytes(value: &Value, field: &str) -> Vec<u8> {
    hex::decode(text(value, field)).expect("the field is hex")
}
