//! Purpose keys: who may attest what, and when.

use ockam_identity::{
    AttestationError, DecodeError, MAX_ATTESTATION_LEN, PURPOSE_KEY_SECONDS, Purpose,
    PurposeKeyAttestation, PurposeKeyDraft, PurposeKeyDraftError, PurposePublicKey, UnixTime,
    VerifiedHistory, VerifiedPurposeKey,
};
use ockam_vault::{
    KeyError, PublicKey, SigningKeyType, SigningSecret, SoftwareVault, VerifyError, X25519Public,
    fast, portable,
};

use crate::forge::{
    FROM, UNTIL, attestation_data, attestation_of, change_data, credential_key, identity,
    providers, public, rotated, secret, secret_of, sign, static_key, versioned,
};

const YEAR: u64 = 365 * 24 * 60 * 60;
const NOW: UnixTime = UnixTime(FROM.0 + 1000);

#[test]
fn an_attestation_is_made_in_two_steps_and_verifies() {
    for kind in [SigningKeyType::Ed25519, SigningKeyType::P256] {
        let signer = secret_of(kind, 1);
        let history = identity(&signer);
        for key in [
            channel_key(),
            PurposePublicKey::CredentialSigning(public(&secret(8))),
        ] {
            let purpose = key.purpose();
            let draft =
                PurposeKeyDraft::new(fast(), &history, key.clone(), NOW, PURPOSE_KEY_SECONDS)
                    .unwrap();
            assert_eq!(draft.signing_key(), history.latest().primary_public_key());
            let signature = sign(&signer, draft.bytes_to_sign());
            let attestation = draft.finish(fast(), &signature).unwrap();
            let verified = verify(&attestation, &history, NOW, purpose).unwrap();
            assert_eq!(verified.public_key(), &key);
            assert_eq!(
                (verified.created_at(), verified.expires_at()),
                (NOW, NOW.plus(5 * YEAR))
            );
        }
    }
}

#[test]
fn a_local_signer_completes_an_attestation() {
    let mut vault = SoftwareVault::new(fast());
    let handle = vault.insert_signing_key(secret(1)).unwrap();
    let history = identity(&secret(1));
    let draft = PurposeKeyDraft::new(fast(), &history, channel_key(), NOW, 60).unwrap();
    assert!(draft.sign_with(fast(), &vault, &handle).is_ok());
    vault.delete_signing_key(&handle);
    let draft = PurposeKeyDraft::new(fast(), &history, channel_key(), NOW, 60).unwrap();
    assert!(matches!(
        draft.sign_with(fast(), &vault, &handle),
        Err(PurposeKeyDraftError::Sign(_))
    ));
}

#[test]
fn guard_11_2_22_a_purpose_key_never_outlives_the_primary_key() {
    // spec: trust 11.2 (22)
    let signer = secret(1);
    let history = identity(&signer);
    let late = UnixTime(UNTIL.0 - YEAR);
    let draft = PurposeKeyDraft::new(
        portable(),
        &history,
        channel_key(),
        late,
        PURPOSE_KEY_SECONDS,
    )
    .unwrap();
    let signature = sign(&signer, draft.bytes_to_sign());
    let attestation = draft.finish(portable(), &signature).unwrap();
    let verified = verify(&attestation, &history, late, Purpose::SecureChannel).unwrap();
    assert_eq!(verified.expires_at(), UNTIL);

    // Without the clamp, this is what verifiers see.
    let unclamped = forged(
        &history,
        &signer,
        &static_key(9),
        late,
        late.plus(PURPOSE_KEY_SECONDS),
    );
    let result = verify(&unclamped, &history, late, Purpose::SecureChannel);
    assert_eq!(result.unwrap_err(), AttestationError::OutsideWindow);
}

#[test]
fn no_attestation_is_drafted_outside_the_window_of_the_primary_key() {
    let history = identity(&secret(1));
    let draft =
        |now| PurposeKeyDraft::new(portable(), &history, channel_key(), now, 60).map(|_| ());
    assert_eq!(draft(UNTIL), Ok(()));
    assert_eq!(
        draft(UNTIL.plus(1)),
        Err(PurposeKeyDraftError::PrimaryKeyExpired(UNTIL))
    );
    // A clock somewhat behind that of the primary key's maker does not stop anything.
    assert_eq!(draft(UnixTime(FROM.0 - 60)), Ok(()));
    assert_eq!(
        draft(UnixTime(FROM.0 - 61)),
        Err(PurposeKeyDraftError::PrimaryKeyNotYetValid(FROM))
    );
}

#[test]
fn an_attestation_must_lie_within_the_window_of_the_primary_key() {
    // spec: trust 3.3 (5)
    let signer = secret(1);
    let history = identity(&signer);
    for (created, expires, inside) in [
        (FROM, UNTIL, true),
        (UnixTime(FROM.0 - 1), UNTIL, false),
        (FROM, UNTIL.plus(1), false),
        (UnixTime(0), UnixTime(u64::MAX), false),
    ] {
        let attestation = forged(&history, &signer, &static_key(9), created, expires);
        let result = verify(&attestation, &history, NOW, Purpose::SecureChannel);
        assert_eq!(
            result.err(),
            (!inside).then_some(AttestationError::OutsideWindow)
        );
    }
}

#[test]
fn clocks_may_differ_by_a_minute_at_the_beginning_and_not_at_the_end() {
    // spec: trust 3.3 (6, 7)
    let signer = secret(1);
    let history = identity(&signer);
    let (created, expires) = (FROM.plus(500), FROM.plus(600));
    let attestation = forged(&history, &signer, &static_key(9), created, expires);
    let at = |now| verify(&attestation, &history, now, Purpose::SecureChannel).map(|_| ());
    assert_eq!(
        at(UnixTime(created.0 - 61)),
        Err(AttestationError::NotYetValid(created))
    );
    assert_eq!(at(UnixTime(created.0 - 60)), Ok(()));
    assert_eq!(at(expires), Ok(()));
    assert_eq!(at(expires.plus(1)), Err(AttestationError::Expired(expires)));
    assert_eq!(
        at(UnixTime(u64::MAX)),
        Err(AttestationError::Expired(expires))
    );
}

#[test]
fn rotation_makes_earlier_attestations_unusable() {
    // spec: trust 2.5, 3.3 (4)
    let (old, new) = (secret(1), secret(2));
    let before = identity(&old);
    let after = rotated(&before, &old, &new);
    let attestation = forged(&before, &old, &static_key(9), NOW, NOW.plus(60));
    assert!(verify(&attestation, &before, NOW, Purpose::SecureChannel).is_ok());
    let result = verify(&attestation, &after, NOW, Purpose::SecureChannel);
    assert_eq!(result.unwrap_err(), AttestationError::NotLatestChange);

    // The replaced key cannot attest under the new change either.
    let attestation = forged(&after, &old, &static_key(9), NOW, NOW.plus(60));
    let result = verify(&attestation, &after, NOW, Purpose::SecureChannel);
    assert_eq!(
        result.unwrap_err(),
        AttestationError::Signature(VerifyError::BadSignature)
    );
    let attestation = forged(&after, &new, &static_key(9), NOW, NOW.plus(60));
    assert!(verify(&attestation, &after, NOW, Purpose::SecureChannel).is_ok());
}

#[test]
fn an_attestation_about_somebody_else_is_refused() {
    let (signer, other) = (secret(1), secret(2));
    let (history, others) = (identity(&signer), identity(&other));
    let attestation = forged(&others, &other, &static_key(9), NOW, NOW.plus(60));
    let result = verify(&attestation, &history, NOW, Purpose::SecureChannel);
    let error = AttestationError::OtherSubject {
        expected: *history.identifier(),
        found: *others.identifier(),
    };
    assert_eq!(result.unwrap_err(), error);
}

#[test]
fn a_key_for_one_purpose_serves_no_other() {
    let signer = secret(1);
    let history = identity(&signer);
    let channel = forged(&history, &signer, &static_key(9), NOW, NOW.plus(60));
    let result = verify(&channel, &history, NOW, Purpose::Credentials);
    assert_eq!(
        result.unwrap_err(),
        AttestationError::OtherPurpose(Purpose::SecureChannel)
    );
    let credentials = forged(
        &history,
        &signer,
        &credential_key(&public(&secret(8))),
        NOW,
        NOW.plus(60),
    );
    let result = verify(&credentials, &history, NOW, Purpose::SecureChannel);
    assert_eq!(
        result.unwrap_err(),
        AttestationError::OtherPurpose(Purpose::Credentials)
    );
}

#[test]
fn guard_11_2_02_a_small_order_credential_key_is_refused() {
    // spec: trust 11.2 (2)
    let signer = secret(1);
    let history = identity(&signer);
    let mut small_order = [0; 32];
    small_order[0] = 1;
    let key = PublicKey::Ed25519(small_order);
    let attestation = forged(&history, &signer, &credential_key(&key), NOW, NOW.plus(60));
    let result = verify(&attestation, &history, NOW, Purpose::Credentials);
    assert_eq!(
        result.unwrap_err(),
        AttestationError::Key(KeyError::InvalidPublic)
    );
    let draft = PurposeKeyDraft::new(
        portable(),
        &history,
        PurposePublicKey::CredentialSigning(key),
        NOW,
        60,
    );
    assert_eq!(
        draft.unwrap_err(),
        PurposeKeyDraftError::Key(KeyError::InvalidPublic)
    );
}

#[test]
fn guard_11_1_2_a_change_or_credential_is_never_taken_for_an_attestation() {
    // spec: trust 11.1 (2)
    let signer = secret(1);
    let history = identity(&signer);
    let (subject, latest) = (
        history.identifier().as_bytes(),
        history.latest().hash().as_bytes(),
    );
    let data = attestation_data(subject, latest, &static_key(9), NOW, NOW.plus(60));
    for data_type in [0, 1, 3, u64::MAX] {
        let result = PurposeKeyAttestation::decode(&attestation_of(
            &versioned(1, data_type, &data),
            &signer,
        ));
        assert_eq!(result.unwrap_err(), DecodeError::WrongDataType);
    }
    for version in [0, 2] {
        let result =
            PurposeKeyAttestation::decode(&attestation_of(&versioned(version, 2, &data), &signer));
        assert_eq!(result.unwrap_err(), DecodeError::UnknownVersion);
    }
    let change = change_data(None, &public(&signer), FROM, UNTIL);
    assert!(
        PurposeKeyAttestation::decode(&attestation_of(&versioned(1, 1, &change), &signer)).is_err()
    );
    assert!(
        PurposeKeyAttestation::decode(&attestation_of(&versioned(1, 2, &change), &signer)).is_err()
    );
}

#[test]
fn guard_11_2_21_bytes_behind_an_attestation_are_refused() {
    // spec: trust 11.2 (21)
    let signer = secret(1);
    let history = identity(&signer);
    let mut bytes = forged(&history, &signer, &static_key(9), NOW, NOW.plus(60))
        .as_bytes()
        .to_vec();
    let len = bytes.len();
    bytes.push(0);
    let error = DecodeError::TrailingBytes("purpose key attestation");
    assert_eq!(PurposeKeyAttestation::decode(&bytes).unwrap_err(), error);
    assert_eq!(PurposeKeyAttestation::decode_prefix(&bytes).unwrap().1, len);
}

#[test]
fn an_oversized_attestation_is_refused() {
    let signer = secret(1);
    let history = identity(&signer);
    let good = forged(&history, &signer, &static_key(9), NOW, NOW.plus(60));
    let with_extra = |len: usize| {
        let mut bytes = good.as_bytes().to_vec();
        bytes[0] = 0x83;
        let header = [
            &[0x59],
            u16::try_from(len)
                .expect("a small number")
                .to_be_bytes()
                .as_slice(),
        ]
        .concat();
        bytes.extend(header);
        bytes.extend(vec![0; len]);
        bytes
    };
    let room = MAX_ATTESTATION_LEN - good.as_bytes().len() - 3;
    let full = PurposeKeyAttestation::decode(&with_extra(room)).unwrap();
    assert!(verify(&full, &history, NOW, Purpose::SecureChannel).is_ok());
    let error = DecodeError::TooLarge("purpose key attestation");
    assert_eq!(
        PurposeKeyAttestation::decode(&with_extra(room + 1)).unwrap_err(),
        error
    );
}

#[test]
fn stored_names_of_purposes_are_those_of_the_published_database() {
    // spec: trust 1.4
    assert_eq!(Purpose::from_name("SC_PK"), Some(Purpose::SecureChannel));
    assert_eq!(Purpose::from_name("C_PK"), Some(Purpose::Credentials));
    assert_eq!(Purpose::from_name("PK"), None);
}

fn channel_key() -> PurposePublicKey {
    PurposePublicKey::SecureChannelStatic(X25519Public([9; 32]))
}

/// An attestation under the history's latest change that says whatever it is told to.
fn forged(
    history: &VerifiedHistory,
    signer: &SigningSecret,
    key: &[u8],
    created_at: UnixTime,
    expires_at: UnixTime,
) -> PurposeKeyAttestation {
    let (subject, latest) = (
        history.identifier().as_bytes(),
        history.latest().hash().as_bytes(),
    );
    let data = versioned(
        1,
        2,
        &attestation_data(subject, latest, key, created_at, expires_at),
    );
    PurposeKeyAttestation::decode(&attestation_of(&data, signer))
        .expect("the attestation is well formed")
}

/// The verdict of both providers, who must be of one opinion.
fn verify(
    attestation: &PurposeKeyAttestation,
    history: &VerifiedHistory,
    now: UnixTime,
    purpose: Purpose,
) -> Result<VerifiedPurposeKey, AttestationError> {
    let [fast, portable] =
        providers().map(|provider| attestation.verify(provider, history, now, purpose));
    assert_eq!(fast.as_ref().err(), portable.as_ref().err());
    portable
}
