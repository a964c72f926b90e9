//! Credentials: who may say what of whom, and for how long.

use ockam_identity::{
    AttestationError, Attributes, CredentialBundle, CredentialDraft, CredentialDraftError,
    CredentialError, DecodeError, MAX_ATTRIBUTES_LEN, MAX_CREDENTIAL_BUNDLE_LEN,
    PurposeKeyAttestation, RESERVED_ATTRIBUTES, UnixTime, VerifiedCredential, VerifiedHistory,
};
use ockam_vault::{SigningKeyType, SigningSecret, SoftwareVault, VerifyError, fast, portable};
use proptest::prelude::*;

use crate::forge::{
    FROM, UNTIL, attestation_data, attestation_of, bundle_of, credential_data, credential_key,
    credential_of, identity, providers, public, rotated, secret, secret_of, sign, static_key,
    versioned,
};

const NOW: UnixTime = UnixTime(FROM.0 + 1000);

#[test]
fn a_credential_is_made_in_two_steps_and_verifies() {
    for kind in [SigningKeyType::Ed25519, SigningKeyType::P256] {
        let issuer = Issuer::new(secret(1), secret_of(kind, 8));
        let subject = identity(&secret(2));
        let attributes = attributes();
        let draft =
            CredentialDraft::new(fast(), &subject, attributes.clone(), NOW, NOW.plus(60)).unwrap();
        let signature = sign(&issuer.signing, draft.bytes_to_sign());
        let bundle = draft
            .finish(fast(), &issuer.history, &issuer.attestation, &signature)
            .unwrap();
        let credential = verify(&bundle, &issuer.history, &subject, NOW).unwrap();
        assert_eq!(credential.subject(), subject.identifier());
        assert_eq!(credential.issuer(), issuer.history.identifier());
        assert_eq!(
            credential.subject_latest_change(),
            Some(subject.latest().hash())
        );
        assert_eq!(credential.attributes(), &attributes);
        assert_eq!(
            (credential.created_at(), credential.expires_at()),
            (NOW, NOW.plus(60))
        );
        let claims = bundle.peek().unwrap();
        assert_eq!(&claims.attributes, credential.attributes());
        assert_eq!(&claims.issuer, credential.issuer());
        assert_eq!(
            CredentialBundle::from_hex(&format!(" {}\n", bundle.to_hex())),
            Ok(bundle)
        );
    }
}

#[test]
fn a_local_signer_completes_a_credential() {
    let issuer = issuer();
    let subject = identity(&secret(2));
    let mut vault = SoftwareVault::new(fast());
    let handle = vault.insert_signing_key(secret(8)).unwrap();
    let draft = || CredentialDraft::new(fast(), &subject, attributes(), NOW, NOW.plus(60)).unwrap();
    let made = |vault: &SoftwareVault| {
        draft().sign_with(
            fast(),
            &issuer.history,
            &issuer.attestation,
            (vault, &handle),
        )
    };
    assert!(made(&vault).is_ok());
    vault.delete_signing_key(&handle);
    assert!(matches!(made(&vault), Err(CredentialDraftError::Sign(_))));
}

#[test]
fn guard_11_2_01_reserved_names_are_refused_at_issuing() {
    let subject = identity(&secret(2));
    for name in RESERVED_ATTRIBUTES {
        let mut attributes = attributes();
        attributes.insert(name.as_bytes(), b"true").unwrap();
        let draft = CredentialDraft::new(portable(), &subject, attributes, NOW, NOW.plus(60));
        assert_eq!(draft.unwrap_err(), CredentialDraftError::Reserved(name));
    }
    // What a published authority issues is taken; policies pass over it.
    let issuer = issuer();
    let encoded = [
        &[0x82, 1, 0xa1, 0x4a],
        b"identifier".as_slice(),
        &[0x41, b'x'],
    ]
    .concat();
    let data = issuer.claims(&subject, &encoded, NOW, NOW.plus(60));
    let credential = verify(&issuer.forged(&data), &issuer.history, &subject, NOW).unwrap();
    assert_eq!(credential.attributes().reserved(), Some("identifier"));
}

#[test]
fn guard_11_2_10_a_credential_stays_good_when_its_subject_rotates() {
    let issuer = issuer();
    let before = identity(&secret(2));
    let after = rotated(&before, &secret(2), &secret(3));
    let credential = issuer.issued(&before, NOW, NOW.plus(60));
    assert!(verify(&credential, &issuer.history, &after, NOW).is_ok());
    // Issued after the rotation, it is of no use to whoever hides the rotation.
    let credential = issuer.issued(&after, NOW, NOW.plus(60));
    assert!(verify(&credential, &issuer.history, &after, NOW).is_ok());
    assert_eq!(
        verify(&credential, &issuer.history, &before, NOW),
        Err(CredentialError::UnknownChange)
    );
}

#[test]
fn guard_11_2_10_a_credential_of_a_fork_of_the_history_is_refused() {
    let issuer = issuer();
    let first = identity(&secret(2));
    let (ours, theirs) = (
        rotated(&first, &secret(2), &secret(3)),
        rotated(&first, &secret(2), &secret(4)),
    );
    let credential = issuer.issued(&theirs, NOW, NOW.plus(60));
    assert_eq!(
        verify(&credential, &issuer.history, &ours, NOW),
        Err(CredentialError::UnknownChange)
    );
}

#[test]
fn guard_11_1_2_no_other_statement_is_taken_for_a_credential() {
    let issuer = issuer();
    let subject = identity(&secret(2));
    let content = credential_data(
        Some(subject.identifier().as_bytes()),
        None,
        &NO_ATTRIBUTES,
        NOW,
        NOW.plus(60),
    );
    let verdict = |version, data_type, content: &[u8]| {
        verify(
            &issuer.forged(&versioned(version, data_type, content)),
            &issuer.history,
            &subject,
            NOW,
        )
    };
    assert!(verdict(1, 3, &content).is_ok());
    for data_type in [0, 1, 2, 4, u64::MAX] {
        assert_eq!(
            verdict(1, data_type, &content),
            Err(CredentialError::Decode(DecodeError::WrongDataType))
        );
        // The type is looked at first, so it does not matter what the data is.
        assert_eq!(
            verdict(1, data_type, b"no CBOR at all"),
            Err(CredentialError::Decode(DecodeError::WrongDataType))
        );
    }
    for version in [0, 2] {
        assert_eq!(
            verdict(version, 3, &content),
            Err(CredentialError::Decode(DecodeError::UnknownVersion))
        );
    }
    // A credential in the place of the attestation is none.
    let bundle = issuer.issued(&subject, NOW, NOW.plus(60));
    let credential = &bundle.as_bytes()[1..bundle.as_bytes().len() - issuer.attestation_len()];
    let twice = CredentialBundle::decode(&bundle_of(credential, credential)).unwrap();
    assert_eq!(
        verify(&twice, &issuer.history, &subject, NOW),
        Err(CredentialError::Decode(DecodeError::WrongDataType))
    );
}

#[test]
fn guard_11_2_21_bytes_behind_a_bundle_or_its_data_are_refused() {
    let issuer = issuer();
    let subject = identity(&secret(2));
    let mut bytes = issuer
        .issued(&subject, NOW, NOW.plus(60))
        .as_bytes()
        .to_vec();
    bytes.push(0);
    assert_eq!(
        CredentialBundle::decode(&bytes),
        Err(DecodeError::TrailingBytes("credential bundle"))
    );
    let mut data = credential_data(
        Some(subject.identifier().as_bytes()),
        None,
        &NO_ATTRIBUTES,
        NOW,
        NOW.plus(60),
    );
    data.push(0);
    let bundle = issuer.forged(&versioned(1, 3, &data));
    assert_eq!(
        verify(&bundle, &issuer.history, &subject, NOW),
        Err(CredentialError::Decode(DecodeError::TrailingBytes(
            "credential data"
        )))
    );
}

#[test]
fn unknown_fields_and_other_forms_are_read() {
    // spec: trust 0.2 (4)
    let issuer = issuer();
    let subject = identity(&secret(2));
    let mut bytes = issuer
        .issued(&subject, NOW, NOW.plus(60))
        .as_bytes()
        .to_vec();
    bytes[0] = 0x9f;
    bytes.extend([0x01, 0xff]);
    let bundle = CredentialBundle::decode(&bytes).unwrap();
    assert!(verify(&bundle, &issuer.history, &subject, NOW).is_ok());
}

#[test]
fn one_authority_cannot_speak_for_another() {
    let (issuer, other) = (issuer(), Issuer::new(secret(5), secret(6)));
    let subject = identity(&secret(2));
    let credential = other.issued(&subject, NOW, NOW.plus(60));
    let error = CredentialError::OtherIssuer {
        expected: *issuer.history.identifier(),
        found: *other.history.identifier(),
    };
    assert_eq!(
        verify(&credential, &issuer.history, &subject, NOW),
        Err(error)
    );
    // Nor with the attestation of the other beside its own signature.
    let data = issuer.claims(&subject, &NO_ATTRIBUTES, NOW, NOW.plus(60));
    let bundle = bundle_of(
        &credential_of(&data, &other.signing),
        issuer.attestation.as_bytes(),
    );
    assert_eq!(
        verify(
            &CredentialBundle::decode(&bundle).unwrap(),
            &issuer.history,
            &subject,
            NOW
        ),
        Err(CredentialError::Signature(VerifyError::BadSignature))
    );
}

#[test]
fn the_key_of_a_secure_channel_signs_no_credentials() {
    let signer = secret(1);
    let history = identity(&signer);
    let subject = identity(&secret(2));
    let attestation = attestation_of(
        &versioned(
            1,
            2,
            &attestation_data(
                history.identifier().as_bytes(),
                history.latest().hash().as_bytes(),
                &static_key(9),
                FROM,
                UNTIL,
            ),
        ),
        &signer,
    );
    let issuer = issuer();
    let data = issuer.claims(&subject, &NO_ATTRIBUTES, NOW, NOW.plus(60));
    let bundle = bundle_of(&credential_of(&data, &issuer.signing), &attestation);
    assert!(matches!(
        verify(
            &CredentialBundle::decode(&bundle).unwrap(),
            &history,
            &subject,
            NOW
        ),
        Err(CredentialError::PurposeKey(AttestationError::OtherPurpose(
            _
        )))
    ));
}

#[test]
fn rotation_of_the_issuer_ends_its_credentials() {
    // spec: trust 3.3 (4)
    let issuer = issuer();
    let subject = identity(&secret(2));
    let credential = issuer.issued(&subject, NOW, NOW.plus(60));
    let after = rotated(&issuer.history, &secret(1), &secret(7));
    assert_eq!(
        verify(&credential, &after, &subject, NOW),
        Err(CredentialError::PurposeKey(
            AttestationError::NotLatestChange
        ))
    );
}

#[test]
fn no_credential_is_finished_that_verifiers_refuse() {
    let issuer = issuer();
    let subject = identity(&secret(2));
    let finish = |created, expires, signer: &SigningSecret| {
        let draft =
            CredentialDraft::new(portable(), &subject, attributes(), created, expires).unwrap();
        let signature = sign(signer, draft.bytes_to_sign());
        draft.finish(portable(), &issuer.history, &issuer.attestation, &signature)
    };
    assert!(finish(FROM, UNTIL, &issuer.signing).is_ok());
    assert_eq!(
        finish(FROM, UNTIL.plus(1), &issuer.signing),
        Err(CredentialDraftError::Credential(
            CredentialError::OutsidePurposeKey
        ))
    );
    assert_eq!(
        finish(FROM, UNTIL, &secret(1)),
        Err(CredentialDraftError::Credential(
            CredentialError::Signature(VerifyError::BadSignature)
        ))
    );
    let backwards =
        CredentialDraft::new(portable(), &subject, attributes(), NOW, UnixTime(NOW.0 - 1));
    assert_eq!(
        backwards.unwrap_err(),
        CredentialDraftError::EndsBeforeBegin
    );
}

#[test]
fn the_largest_attributes_fit_a_bundle() {
    let issuer = issuer();
    let subject = identity(&secret(2));
    let mut attributes = Attributes::new(1);
    let value = vec![b'v'; MAX_ATTRIBUTES_LEN / 256 - 3];
    for number in 0..256 {
        attributes
            .insert(format!("{number:03}").as_bytes(), &value)
            .unwrap();
    }
    let draft = CredentialDraft::new(portable(), &subject, attributes, NOW, NOW.plus(60)).unwrap();
    let signature = sign(&issuer.signing, draft.bytes_to_sign());
    let bundle = draft
        .finish(portable(), &issuer.history, &issuer.attestation, &signature)
        .unwrap();
    assert!(bundle.as_bytes().len() < MAX_CREDENTIAL_BUNDLE_LEN);
    assert!(verify(&bundle, &issuer.history, &subject, NOW).is_ok());
}

proptest! {
    #[test]
    fn what_is_issued_verifies_from_a_minute_before_its_beginning_to_its_last_second(
        created in FROM.0..UNTIL.0,
        lifetime in 0_u64..1_000_000,
        at in any::<u64>(),
        near in -120_i64..120,
    ) {
        // spec: trust 4.4 (8)
        let issuer = issuer();
        let subject = identity(&secret(2));
        let created = UnixTime(created);
        let expires = UnixTime(created.0.saturating_add(lifetime).min(UNTIL.0));
        let credential = issuer.issued(&subject, created, expires);
        for now in [at, created.0.saturating_add_signed(near), expires.0.saturating_add_signed(near)] {
            let verdict = credential.verify(fast(), &issuer.history, None, UnixTime(now)).map(|_| ());
            let expected = if created.0 > now.saturating_add(60) {
                Err(CredentialError::NotYetValid(created))
            } else if expires.0 < now {
                Err(CredentialError::Expired(expires))
            } else if FROM.0 > now.saturating_add(60) {
                Err(CredentialError::PurposeKey(AttestationError::NotYetValid(FROM)))
            } else {
                Ok(())
            };
            prop_assert_eq!(verdict, expected);
        }
    }

    #[test]
    fn a_credential_lies_within_the_time_of_the_key_that_signed_it(
        key_created in 0_u64..50, key_expires in 50_u64..100,
        created in 0_u64..100, expires in 0_u64..100, now in 0_u64..200,
    ) {
        // spec: trust 4.4 (1, 7, 8)
        let at = |second: u64| FROM.plus(second);
        let issuer = Issuer::within(secret(1), secret(8), at(key_created), at(key_expires));
        let subject = identity(&secret(2));
        let data = issuer.claims(&subject, &NO_ATTRIBUTES, at(created), at(expires));
        let accepted = issuer.forged(&data).verify(fast(), &issuer.history, None, at(now)).is_ok();
        let within = created >= key_created && expires <= key_expires;
        let current = created <= now + 60 && expires >= now;
        let key_current = key_created <= now + 60 && key_expires >= now;
        prop_assert_eq!(accepted, within && current && key_current);
    }

    #[test]
    fn attributes_survive_a_round_trip(
        entries in proptest::collection::btree_map(
            proptest::collection::vec(any::<u8>(), 0..20),
            proptest::collection::vec(any::<u8>(), 0..40),
            0..20,
        ),
        schema in any::<u64>(),
    ) {
        let issuer = issuer();
        let subject = identity(&secret(2));
        let mut attributes = Attributes::new(schema);
        for (name, value) in &entries {
            attributes.insert(name, value).unwrap();
        }
        let draft = CredentialDraft::new(fast(), &subject, attributes.clone(), NOW, NOW.plus(60)).unwrap();
        let signature = sign(&issuer.signing, draft.bytes_to_sign());
        let bundle = draft.finish(fast(), &issuer.history, &issuer.attestation, &signature).unwrap();
        prop_assert_eq!(bundle.peek().unwrap().attributes, attributes);
    }
}

struct Issuer {
    history: VerifiedHistory,
    /// The key that signs credentials.
    signing: SigningSecret,
    attestation: PurposeKeyAttestation,
}

impl Issuer {
    fn new(primary: SigningSecret, signing: SigningSecret) -> Self {
        Self::within(primary, signing, FROM, UNTIL)
    }

    /// An issuer whose key for credentials is good for this time only.
    fn within(
        primary: SigningSecret,
        signing: SigningSecret,
        from: UnixTime,
        until: UnixTime,
    ) -> Self {
        let history = identity(&primary);
        let data = attestation_data(
            history.identifier().as_bytes(),
            history.latest().hash().as_bytes(),
            &credential_key(&public(&signing)),
            from,
            until,
        );
        let attestation =
            PurposeKeyAttestation::decode(&attestation_of(&versioned(1, 2, &data), &primary))
                .expect("the attestation is well formed");
        Self {
            history,
            signing,
            attestation,
        }
    }

    fn issued(
        &self,
        subject: &VerifiedHistory,
        created_at: UnixTime,
        expires_at: UnixTime,
    ) -> CredentialBundle {
        let draft = CredentialDraft::new(fast(), subject, attributes(), created_at, expires_at)
            .expect("nothing is reserved");
        let signature = sign(&self.signing, draft.bytes_to_sign());
        draft
            .finish(fast(), &self.history, &self.attestation, &signature)
            .expect("the credential is good")
    }

    /// A bundle with this data, properly signed.
    fn forged(&self, data: &[u8]) -> CredentialBundle {
        let credential = credential_of(data, &self.signing);
        CredentialBundle::decode(&bundle_of(&credential, self.attestation.as_bytes()))
            .expect("the bundle is well formed")
    }

    fn claims(
        &self,
        subject: &VerifiedHistory,
        attributes: &[u8],
        created_at: UnixTime,
        expires_at: UnixTime,
    ) -> Vec<u8> {
        let data = credential_data(
            Some(subject.identifier().as_bytes()),
            Some(subject.latest().hash().as_bytes()),
            attributes,
            created_at,
            expires_at,
        );
        versioned(1, 3, &data)
    }

    fn attestation_len(&self) -> usize {
        self.attestation.as_bytes().len()
    }
}

fn issuer() -> Issuer {
    Issuer::new(secret(1), secret(8))
}

fn attributes() -> Attributes {
    Attributes::member([("component", "web")]).expect("one small attribute")
}

/// The verdict of both providers, who must be of one opinion.
fn verify(
    bundle: &CredentialBundle,
    issuer: &VerifiedHistory,
    subject: &VerifiedHistory,
    now: UnixTime,
) -> Result<VerifiedCredential, CredentialError> {
    let [fast, portable] =
        providers().map(|provider| bundle.verify_presented_by(provider, issuer, subject, now));
    assert_eq!(fast, portable);
    portable
}

/// Schema 1 and an empty map.
const NO_ATTRIBUTES: [u8; 3] = [0x82, 0x01, 0xa0];
