//! Making, rotating, comparing and importing identities.

use ockam_identity::{
    ChangeHistory, Comparison, DecodeError, DraftError, HistoryError, IdentityDraft, ImportAction,
    ImportError, LateChanges, MAX_CHANGES, OlderHistory, OlderPurposeKeys, RotationDraft, UnixTime,
    Validity, VerifiedHistory,
};
use ockam_vault::{
    KeyError, PublicKey, SignError, Signer, SigningKeyType, SoftwareVault, VerifyError, fast,
    portable,
};
use proptest::prelude::*;

use crate::forge::{
    FROM, UNTIL, change, change_data, decoded, history_of, identity, identity_within, mirrored,
    public, rotated, secret, secret_of, sign, verdict, versioned, window,
};

#[test]
fn an_identity_is_made_in_two_steps_with_the_signer_elsewhere() {
    for kind in [SigningKeyType::Ed25519, SigningKeyType::P256] {
        let mut vault = SoftwareVault::new(fast());
        let handle = vault
            .generate_signing_key(kind, &mut |bytes: &mut [u8]| bytes.fill(0x33))
            .unwrap();
        let draft =
            IdentityDraft::new(portable(), vault.public_key(&handle).unwrap(), window()).unwrap();
        let signature = vault.sign(&handle, draft.bytes_to_sign()).unwrap();
        let identifier = *draft.bytes_to_sign();
        let history = draft.finish(portable(), &signature).unwrap();
        assert_eq!(history.identifier().as_bytes(), &identifier);
        assert_eq!(history.latest().validity(), window());
        assert!(!history.latest().revokes_purpose_keys());
    }
}

#[test]
fn default_window_is_ten_years() {
    // spec: trust 2.3
    let validity = Validity::of_primary_key(FROM);
    assert_eq!(
        (validity.from(), validity.until()),
        (FROM, UnixTime(FROM.0 + 315_360_000))
    );
}

#[test]
fn a_rotation_keeps_the_identifier_and_replaces_the_key() {
    let mut vault = SoftwareVault::new(fast());
    let old = vault
        .generate_signing_key(SigningKeyType::Ed25519, &mut |bytes: &mut [u8]| {
            bytes.fill(1)
        })
        .unwrap();
    let new = vault
        .generate_signing_key(SigningKeyType::P256, &mut |bytes: &mut [u8]| bytes.fill(2))
        .unwrap();
    let draft = IdentityDraft::new(fast(), vault.public_key(&old).unwrap(), window()).unwrap();
    let history = draft.sign_with(fast(), &vault, &old).unwrap();

    let key = vault.public_key(&new).unwrap();
    let draft = RotationDraft::new(
        fast(),
        &history,
        key.clone(),
        window(),
        OlderPurposeKeys::Revoke,
    )
    .unwrap();
    assert_eq!(
        draft.previous_public_key(),
        history.latest().primary_public_key()
    );
    let rotated = draft.sign_with(fast(), &vault, &new, &old).unwrap();
    assert_eq!(rotated.identifier(), history.identifier());
    assert_eq!(rotated.latest().primary_public_key(), &key);
    assert!(rotated.latest().revokes_purpose_keys());
    assert_eq!(rotated.changes().len(), 2);

    // spec: trust 11.1 (4): the old secret is deleted on rotation, and then rotates nothing more.
    assert!(vault.delete_signing_key(&old));
    let again =
        RotationDraft::new(fast(), &history, key, window(), OlderPurposeKeys::Keep).unwrap();
    assert_eq!(
        again.sign_with(fast(), &vault, &new, &old).unwrap_err(),
        DraftError::Sign(SignError::UnknownKey(old))
    );
}

#[test]
fn guard_11_1_c1_a_rotation_needs_the_signatures_of_both_keys() {
    let (old, new, other) = (secret(1), secret(2), secret(3));
    let history = identity(&old);
    let finish = |own: &_, previous: &_| {
        let draft = RotationDraft::new(
            portable(),
            &history,
            public(&new),
            window(),
            OlderPurposeKeys::Keep,
        )
        .unwrap();
        let (own, previous) = (
            sign(own, draft.bytes_to_sign()),
            sign(previous, draft.bytes_to_sign()),
        );
        draft
            .finish(portable(), &own, &previous)
            .map(|_| ())
            .map_err(|error| match error {
                DraftError::History(error) => error,
                error => panic!("{error}"),
            })
    };
    let source = VerifyError::BadSignature;
    assert_eq!(finish(&new, &old), Ok(()));
    assert_eq!(
        finish(&other, &old),
        Err(HistoryError::Signature {
            position: 1,
            source
        })
    );
    assert_eq!(
        finish(&new, &other),
        Err(HistoryError::PreviousSignature {
            position: 1,
            source
        })
    );
    // spec: trust 11.1 (C.1): the two signatures are over the same bytes and must not be exchangeable.
    assert_eq!(
        finish(&old, &new),
        Err(HistoryError::Signature {
            position: 1,
            source
        })
    );
}

#[test]
fn a_rotation_after_the_clock_was_set_back_still_verifies() {
    let (old, new) = (secret(1), secret(2));
    let history = identity(&old);
    let earlier = Validity::new(UnixTime(FROM.0 - 5000), UNTIL).unwrap();
    let draft = RotationDraft::new(
        portable(),
        &history,
        public(&new),
        earlier,
        OlderPurposeKeys::Keep,
    )
    .unwrap();
    let (own, previous) = (
        sign(&new, draft.bytes_to_sign()),
        sign(&old, draft.bytes_to_sign()),
    );
    let rotated = draft.finish(portable(), &own, &previous).unwrap();
    assert_eq!(rotated.latest().validity().from(), FROM);

    let past = Validity::new(UnixTime(1), UnixTime(2)).unwrap();
    let draft = RotationDraft::new(
        portable(),
        &history,
        public(&new),
        past,
        OlderPurposeKeys::Keep,
    );
    assert!(matches!(draft.unwrap_err(), DraftError::Validity(_)));
}

#[test]
fn guard_11_2_02_small_order_and_off_curve_keys_make_no_identity() {
    // spec: trust 11.2 (2)
    let mut small_order = [0; 32];
    small_order[0] = 1;
    for key in [PublicKey::Ed25519(small_order), PublicKey::P256([4; 65])] {
        let draft = IdentityDraft::new(portable(), key.clone(), window());
        assert_eq!(draft.unwrap_err(), DraftError::Key(KeyError::InvalidPublic));
        let history = identity(&secret(1));
        let draft = RotationDraft::new(portable(), &history, key, window(), OlderPurposeKeys::Keep);
        assert_eq!(draft.unwrap_err(), DraftError::Key(KeyError::InvalidPublic));
    }
}

#[test]
fn an_unexpected_identifier_is_refused() {
    let (one, two) = (identity(&secret(1)), identity(&secret(2)));
    let result = VerifiedHistory::decode(portable(), one.as_bytes(), Some(two.identifier()));
    let error = HistoryError::UnexpectedIdentifier {
        expected: *two.identifier(),
        found: *one.identifier(),
    };
    assert_eq!(result.unwrap_err(), error);
    assert!(VerifiedHistory::decode(portable(), one.as_bytes(), Some(one.identifier())).is_ok());
}

#[test]
fn guard_11_1_4_change_made_after_the_previous_key_expired_is_noticed_and_strictly_refused() {
    // spec: trust 11.1 (4)
    let (old, new) = (secret(1), secret(2));
    let short = Validity::new(FROM, FROM.plus(100)).unwrap();
    let history = identity_within(&old, short);
    assert_eq!(history.late_change(), None);

    let rotate_at = |from: UnixTime| {
        let validity = Validity::new(from, UNTIL).unwrap();
        let draft = RotationDraft::new(
            portable(),
            &history,
            public(&new),
            validity,
            OlderPurposeKeys::Keep,
        )
        .unwrap();
        let (own, previous) = (
            sign(&new, draft.bytes_to_sign()),
            sign(&old, draft.bytes_to_sign()),
        );
        draft.finish(portable(), &own, &previous).unwrap()
    };
    let in_time = rotate_at(FROM.plus(100));
    assert_eq!(in_time.late_change(), None);
    assert!(
        decoded(in_time.as_bytes())
            .verify_with(portable(), None, LateChanges::Refuse)
            .is_ok()
    );

    let late = rotate_at(FROM.plus(101));
    assert_eq!(late.late_change(), Some(1));
    assert!(decoded(late.as_bytes()).verify(portable(), None).is_ok());
    let strict = decoded(late.as_bytes()).verify_with(portable(), None, LateChanges::Refuse);
    assert_eq!(
        strict.unwrap_err(),
        HistoryError::LateChange { position: 1 }
    );
}

#[test]
fn guard_11_1_2_an_attestation_is_never_taken_for_a_change() {
    // spec: trust 11.1 (2): everything about this history is right but its declared type, or its version.
    let signer = secret(1);
    let data = change_data(None, &public(&signer), FROM, UNTIL);
    assert!(verdict(&history_of(&versioned(1, 1, &data), &signer)).is_ok());
    for data_type in [0, 2, 3, 4, u64::MAX] {
        let result = verdict(&history_of(&versioned(1, data_type, &data), &signer));
        assert_eq!(
            result.unwrap_err(),
            HistoryError::Decode(DecodeError::WrongDataType),
            "{data_type}"
        );
    }
    for version in [0, 2, u64::MAX] {
        let result = verdict(&history_of(&versioned(version, 1, &data), &signer));
        assert_eq!(
            result.unwrap_err(),
            HistoryError::Decode(DecodeError::UnknownVersion),
            "{version}"
        );
    }
    // The type counts before the data is looked at.
    let result = verdict(&history_of(&versioned(1, 2, b"no CBOR"), &signer));
    assert_eq!(
        result.unwrap_err(),
        HistoryError::Decode(DecodeError::WrongDataType)
    );
}

#[test]
fn guard_11_1_3_hashes_of_any_other_length_are_refused() {
    // spec: trust 11.1 (3)
    let (old, new) = (secret(1), secret(2));
    let history = identity(&old);
    for len in [0, 20, 31, 33] {
        let hash: Vec<u8> = history
            .identifier()
            .as_bytes()
            .iter()
            .copied()
            .cycle()
            .take(len)
            .collect();
        let data = versioned(1, 1, &change_data(Some(&hash), &public(&new), FROM, UNTIL));
        let mut bytes = history.as_bytes().to_vec();
        bytes[0] = 0x82;
        bytes.extend(change(&data, &new, Some(&old)));
        assert_eq!(
            verdict(&bytes).unwrap_err(),
            HistoryError::Decode(DecodeError::Malformed("change data"))
        );
    }
}

#[test]
fn guard_11_1_6_histories_that_differ_in_signature_bytes_are_equal() {
    // spec: trust 2.6, 11.1 (6)
    let signer = secret_of(SigningKeyType::P256, 0x31);
    let history = identity(&signer);
    let mut bytes = history.as_bytes().to_vec();
    let end = bytes.len();
    let other = mirrored(&sign(&signer, history.latest().hash().as_bytes()));
    bytes[end - 64..].copy_from_slice(other.as_bytes());
    assert_ne!(bytes, history.as_bytes());
    let same = verdict(&bytes).unwrap();
    assert_eq!(same.compare(&history), Comparison::Equal);
    assert_eq!(
        same.import(Some(&history), OlderHistory::Refuse),
        Ok(ImportAction::Keep)
    );
}

#[test]
fn comparison_follows_the_table() {
    // spec: trust 2.6
    let one = identity(&secret(1));
    let two = rotated(&one, &secret(1), &secret(2));
    let three = rotated(&two, &secret(2), &secret(3));
    let forked = rotated(&one, &secret(1), &secret(4));
    let stranger = identity(&secret(5));
    for (own, other, expected) in [
        (&one, &one, Comparison::Equal),
        (&three, &three, Comparison::Equal),
        (&two, &one, Comparison::Newer),
        (&three, &one, Comparison::Newer),
        (&one, &three, Comparison::Older),
        (&forked, &two, Comparison::Conflict),
        (&forked, &three, Comparison::Conflict),
        (&three, &forked, Comparison::Conflict),
        (&stranger, &one, Comparison::Conflict),
    ] {
        assert_eq!(own.compare(other), expected);
    }
}

#[test]
fn import_follows_the_table() {
    // spec: trust 2.6
    let one = identity(&secret(1));
    let two = rotated(&one, &secret(1), &secret(2));
    let forked = rotated(&one, &secret(1), &secret(4));
    let identifier = *one.identifier();
    for older in [OlderHistory::Refuse, OlderHistory::Ignore] {
        assert_eq!(one.import(None, older), Ok(ImportAction::Store));
        assert_eq!(one.import(Some(&one), older), Ok(ImportAction::Keep));
        assert_eq!(two.import(Some(&one), older), Ok(ImportAction::Store));
        assert_eq!(
            forked.import(Some(&two), older),
            Err(ImportError::Conflict(identifier))
        );
    }
    assert_eq!(
        one.import(Some(&two), OlderHistory::Refuse),
        Err(ImportError::Older(identifier))
    );
    assert_eq!(
        one.import(Some(&two), OlderHistory::Ignore),
        Ok(ImportAction::Keep)
    );
}

#[test]
fn a_full_history_verifies_and_takes_no_further_change() {
    let mut history = identity(&secret(1));
    for byte in 2..=u8::try_from(MAX_CHANGES).unwrap() {
        history = rotated(&history, &secret(byte - 1), &secret(byte));
    }
    assert_eq!(history.changes().len(), MAX_CHANGES);
    assert!(verdict(history.as_bytes()).is_ok());
    let draft = RotationDraft::new(
        portable(),
        &history,
        public(&secret(99)),
        window(),
        OlderPurposeKeys::Keep,
    );
    assert_eq!(draft.unwrap_err(), DraftError::TooManyChanges);
}

#[test]
fn hexadecimal_export_is_read_back() {
    let history = rotated(&identity(&secret(1)), &secret(1), &secret(2));
    let export = history.to_hex();
    for text in [
        export.clone(),
        export.to_uppercase(),
        format!("  {export}\n"),
    ] {
        assert_eq!(
            ChangeHistory::from_hex(&text).unwrap().as_bytes(),
            history.as_bytes()
        );
    }
    assert_eq!(
        ChangeHistory::from_hex("zz").unwrap_err(),
        DecodeError::NotHex
    );
    assert_eq!(
        ChangeHistory::from_hex(&export[1..]).unwrap_err(),
        DecodeError::NotHex
    );
    assert!(ChangeHistory::from_hex("").is_err());
    assert!(ChangeHistory::from_hex(&format!("{export}00")).is_err());
}

#[test]
fn a_history_received_in_another_encoding_is_kept_and_can_be_rotated() {
    // spec: trust 0.2 (4, 6)
    let (old, new) = (secret(1), secret(2));
    let history = identity(&old);
    // Outer array, change and signature in indefinite form, an unknown element behind, a number in a longer form.
    let data = &history.as_bytes()[4..4 + 0x37];
    let signature = &history.as_bytes()[history.as_bytes().len() - 64..];
    let odd = [
        &[0x9f, 0x9f, 0x58, 0x37],
        data,
        &[0x9f, 0x18, 0x00, 0x9f, 0x58, 0x40],
        signature,
        &[0xff, 0xff, 0xf6, 0xa1, 0x01, 0x82, 0x02, 0x03, 0xff, 0xff],
    ]
    .concat();
    let received = verdict(&odd).unwrap();
    assert_eq!(received.as_bytes(), odd);
    assert_eq!(received.compare(&history), Comparison::Equal);

    let rotated = rotated(&received, &old, &new);
    assert_eq!(rotated.compare(&received), Comparison::Newer);
    assert!(
        rotated
            .as_bytes()
            .windows(odd.len() - 2)
            .any(|window| window == &odd[1..odd.len() - 1])
    );
}

#[test]
fn readable_form_has_every_change() {
    let history = rotated(&identity(&secret(1)), &secret(1), &secret(2));
    let lines: Vec<_> = history
        .changes()
        .iter()
        .map(|change| {
            let key = change.primary_public_key();
            format!(
                "{} {} {} {}",
                change.hash(),
                key.key_type(),
                hex::encode(key.as_bytes()),
                change.revokes_purpose_keys()
            )
        })
        .collect();
    assert_eq!(lines.len(), 2);
    assert!(lines[0].starts_with(&history.identifier().to_string()[1..]));
    assert!(
        lines
            .iter()
            .all(|line| line.contains(" EdDSACurve25519 ") && line.ends_with(" false"))
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_chain_of_rotations_verifies_and_its_prefixes_are_older(
        kinds in proptest::collection::vec(prop_oneof![Just(SigningKeyType::Ed25519), Just(SigningKeyType::P256)], 1..6),
        from in 0_u64..=u64::MAX / 2,
        lasts in 0_u64..=u64::MAX / 2,
    ) {
        let validity = Validity::new(UnixTime(from), UnixTime(from + lasts)).unwrap();
        let secrets: Vec<_> = kinds.iter().zip(1..).map(|(kind, byte)| secret_of(*kind, byte)).collect();
        let mut chain = vec![identity_within(&secrets[0], validity)];
        for pair in secrets.windows(2) {
            let history = chain.last().unwrap();
            let draft = RotationDraft::new(portable(), history, public(&pair[1]), validity, OlderPurposeKeys::Keep).unwrap();
            let (own, previous) = (sign(&pair[1], draft.bytes_to_sign()), sign(&pair[0], draft.bytes_to_sign()));
            let next = draft.finish(fast(), &own, &previous).unwrap();
            chain.push(next);
        }
        for (position, history) in chain.iter().enumerate() {
            let read = verdict(history.as_bytes()).unwrap();
            prop_assert_eq!(read.identifier(), chain[0].identifier());
            prop_assert_eq!(read.changes(), history.changes());
            for (other_position, other) in chain.iter().enumerate() {
                let expected = match position.cmp(&other_position) {
                    std::cmp::Ordering::Less => Comparison::Older,
                    std::cmp::Ordering::Equal => Comparison::Equal,
                    std::cmp::Ordering::Greater => Comparison::Newer,
                };
                prop_assert_eq!(history.compare(other), expected);
            }
        }
    }
}
