//! Input made to break the readers: limits, and a deterministic mutation fuzz.

use ockam_identity::{
    ChangeHistory, Comparison, CredentialBundle, DecodeError, EnrollmentTicket, MAX_CHANGES,
    MAX_CREDENTIAL_BUNDLE_LEN, MAX_HISTORY_LEN, Purpose, PurposeKeyAttestation,
};
use ockam_vault::{SigningKeyType, portable};

use proptest::prelude::*;

use crate::arbitrary;
use crate::forge::{
    FROM, attestation_data, attestation_of, identity, rotated, secret, secret_of, static_key,
    verdict, versioned,
};

#[test]
fn guard_11_2_21_more_changes_than_allowed_are_refused_before_any_is_verified() {
    // spec: trust 11.2 (21)
    let history = identity(&secret(1));
    let change = &history.as_bytes()[1..];
    let many = |count: usize| {
        let mut bytes = vec![0x98, u8::try_from(count).expect("a small number")];
        (0..count).for_each(|_| bytes.extend_from_slice(change));
        bytes
    };
    assert!(ChangeHistory::decode(&many(MAX_CHANGES)).is_ok());
    let error = DecodeError::TooLarge("change history");
    assert_eq!(
        ChangeHistory::decode(&many(MAX_CHANGES + 1)).unwrap_err(),
        error
    );
}

#[test]
fn guard_11_2_21_an_oversized_history_is_refused() {
    // spec: trust 11.2 (21): an unknown element is skipped, but only up to the limit of the whole.
    let good = identity(&secret(1));
    let with_extra = |len: usize| {
        let mut bytes = good.as_bytes().to_vec();
        bytes[1] = 0x84;
        bytes.extend([0xf6, 0x59]);
        bytes.extend(u16::try_from(len).expect("a small number").to_be_bytes());
        bytes.extend(vec![0; len]);
        bytes
    };
    let room = MAX_HISTORY_LEN - good.as_bytes().len() - 4;
    assert_eq!(
        verdict(&with_extra(room)).unwrap().compare(&good),
        Comparison::Equal
    );
    let error = DecodeError::TooLarge("change history");
    assert_eq!(
        ChangeHistory::decode(&with_extra(room + 1)).unwrap_err(),
        error
    );
    assert_eq!(
        ChangeHistory::from_hex(&"8".repeat(2 * MAX_HISTORY_LEN + 2)).unwrap_err(),
        error
    );
}

#[test]
fn guard_11_2_21_deep_nesting_is_refused() {
    // spec: trust 11.2 (21)
    let good = identity(&secret(1));
    let nested = |depth: usize| {
        let mut bytes = good.as_bytes().to_vec();
        bytes[1] = 0x84;
        bytes.push(0xf6);
        bytes.extend(vec![0x81; depth]);
        bytes.push(0);
        bytes
    };
    assert!(verdict(&nested(5)).is_ok());
    for depth in [8, 9, 1000, 30_000] {
        assert_eq!(
            ChangeHistory::decode(&nested(depth)).unwrap_err(),
            DecodeError::TooDeep
        );
    }
    assert_eq!(
        ChangeHistory::decode(&[0x81; 100_000]).unwrap_err(),
        DecodeError::TooDeep
    );
    assert_eq!(
        PurposeKeyAttestation::decode(&[0xc1; 100_000]).unwrap_err(),
        DecodeError::TooDeep
    );
}

#[test]
fn declared_counts_allocate_nothing() {
    for bytes in [
        vec![0x9b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
        vec![0x81, 0x9b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
        vec![
            0x81, 0x82, 0x5b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        ],
        vec![0x9a, 0xff, 0xff, 0xff, 0xff],
    ] {
        assert!(matches!(
            ChangeHistory::decode(&bytes),
            Err(DecodeError::Malformed(_))
        ));
        assert!(matches!(
            PurposeKeyAttestation::decode(&bytes),
            Err(DecodeError::Malformed(_))
        ));
        assert!(matches!(
            CredentialBundle::decode(&bytes),
            Err(DecodeError::Malformed(_))
        ));
    }
}

#[test]
fn every_prefix_of_a_history_is_refused() {
    let history = rotated(&identity(&secret(1)), &secret(1), &secret(2));
    for len in 0..history.as_bytes().len() {
        assert!(ChangeHistory::decode(&history.as_bytes()[..len]).is_err());
    }
}

#[test]
fn credential_bundles_are_one_bounded_item() {
    let bundle = CredentialBundle::decode(&[0x82, 0x01, 0x02]).unwrap();
    assert_eq!(bundle.as_bytes(), [0x82, 0x01, 0x02]);
    assert_eq!(
        CredentialBundle::decode_prefix(&[0x82, 0x01, 0x02, 0x03]).unwrap(),
        (bundle, 3)
    );
    let error = DecodeError::TrailingBytes("credential bundle");
    assert_eq!(
        CredentialBundle::decode(&[0x82, 0x01, 0x02, 0x03]).unwrap_err(),
        error
    );
    assert!(CredentialBundle::decode(&[]).is_err());
    let sized = |len: usize| {
        [
            &[0x59],
            (u16::try_from(len - 3).expect("a small number"))
                .to_be_bytes()
                .as_slice(),
            &vec![0; len - 3],
        ]
        .concat()
    };
    assert!(CredentialBundle::decode(&sized(MAX_CREDENTIAL_BUNDLE_LEN)).is_ok());
    let error = DecodeError::TooLarge("credential bundle");
    assert_eq!(
        CredentialBundle::decode(&sized(MAX_CREDENTIAL_BUNDLE_LEN + 1)).unwrap_err(),
        error
    );
}

#[test]
fn mutated_histories_never_verify_as_something_they_do_not_say() {
    let one = identity(&secret(1));
    let p256 = secret_of(SigningKeyType::P256, 3);
    let seeds = [
        one.clone(),
        rotated(&one, &secret(1), &secret(2)),
        rotated(&one, &secret(1), &p256),
    ];
    let mut random = Sequence(1);
    let (mut verified, mut decoded) = (0, 0);
    for round in 0..30_000 {
        let seed = &seeds[round % seeds.len()];
        let bytes = mutated(seed.as_bytes(), &mut random);
        let Ok(history) = ChangeHistory::decode(&bytes) else {
            continue;
        };
        decoded += 1;
        assert_eq!(history.as_bytes(), bytes);
        let Ok(history) = history.verify(portable(), None) else {
            continue;
        };
        verified += 1;
        // Whatever survives is a statement that was signed: the same changes, or the first of them.
        assert!(
            matches!(history.compare(seed), Comparison::Equal | Comparison::Older),
            "{}",
            hex::encode(bytes)
        );
    }
    // The fuzz is of no use if it gets nowhere.
    assert!(
        decoded > 1000 && verified > 10,
        "{decoded} decoded, {verified} verified"
    );
}

#[test]
fn mutated_attestations_never_verify_as_something_they_do_not_say() {
    let signer = secret(1);
    let history = identity(&signer);
    let (subject, latest) = (
        history.identifier().as_bytes(),
        history.latest().hash().as_bytes(),
    );
    let data = versioned(
        1,
        2,
        &attestation_data(subject, latest, &static_key(9), FROM, FROM.plus(100)),
    );
    let seed = attestation_of(&data, &signer);
    let mut random = Sequence(2);
    let (mut verified, mut decoded) = (0, 0);
    for _ in 0..30_000 {
        let bytes = mutated(&seed, &mut random);
        let Ok(attestation) = PurposeKeyAttestation::decode(&bytes) else {
            continue;
        };
        decoded += 1;
        let Ok(key) = attestation.verify(portable(), &history, FROM, Purpose::SecureChannel) else {
            continue;
        };
        verified += 1;
        assert_eq!(key.secure_channel_static().unwrap().as_bytes(), &[9; 32]);
        assert_eq!((key.created_at(), key.expires_at()), (FROM, FROM.plus(100)));
    }
    assert!(
        decoded > 1000 && verified > 10,
        "{decoded} decoded, {verified} verified"
    );
}

#[test]
fn random_bytes_do_not_break_the_readers() {
    let mut random = Sequence(3);
    for _ in 0..50_000 {
        let len = random.below(64);
        // Structure is more likely to be met with bytes that open arrays.
        let bytes: Vec<u8> = (0..len)
            .map(|_| {
                if random.below(2) == 0 {
                    [0x81, 0x82, 0x83, 0x9f, 0x58, 0xff, 0xf6][random.below(7)]
                } else {
                    random.byte()
                }
            })
            .collect();
        let _ = ChangeHistory::decode(&bytes);
        let _ = PurposeKeyAttestation::decode(&bytes);
        let _ = CredentialBundle::decode(&bytes);
    }
}

proptest! {
    #[test]
    fn any_bytes_are_taken_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        arbitrary::history(&bytes);
        arbitrary::credential(&bytes);
        arbitrary::ticket(&bytes);
    }

    #[test]
    fn damaged_statements_are_taken_for_what_was_signed_or_refused(seed in any::<u64>()) {
        let mut random = Sequence(seed);
        arbitrary::credential(&mutated(arbitrary::published().as_bytes(), &mut random));
        arbitrary::history(&mutated(identity(&secret(1)).as_bytes(), &mut random));
    }

    #[test]
    fn damaged_tickets_are_read_whole_or_refused(seed in any::<u64>(), form in 0..4_usize) {
        arbitrary::ticket(&mutated(ticket_in(form).as_bytes(), &mut Sequence(seed)));
    }
}

/// A ticket in one of its forms.
fn ticket_in(form: usize) -> String {
    let plain = include_str!("../../../../vectors/ticket.json")
        .split_once("\"plain\": \"")
        .and_then(|(_, rest)| rest.split_once('"'))
        .expect("the vector has a plain form")
        .0;
    let ticket = EnrollmentTicket::read(portable(), plain).expect("the vector is good");
    let text = match form {
        0 => ticket.to_plain(),
        1 => ticket.to_hex(),
        2 => ticket.to_json(),
        _ => ticket.to_legacy(),
    };
    text.to_string()
}

#[test]
fn the_published_credential_is_believed_by_what_is_fuzzed() {
    // Otherwise the fuzz would look at refusals only.
    let published = arbitrary::published();
    arbitrary::credential(published.as_bytes());
    let verdict = published.verify(portable(), arbitrary::issuer(), None, arbitrary::NOW);
    assert!(verdict.is_ok(), "{verdict:?}");
}

/// One to three changes of the kinds that matter to a reader of CBOR.
fn mutated(seed: &[u8], random: &mut Sequence) -> Vec<u8> {
    let mut bytes = seed.to_vec();
    for _ in 0..=random.below(3) {
        let position = random.below(bytes.len().max(1));
        match random.below(7) {
            0 if !bytes.is_empty() => bytes[position] ^= 1 << random.below(8),
            1 if !bytes.is_empty() => bytes[position] = random.byte(),
            2 => bytes.truncate(position),
            3 => bytes.insert(position, random.byte()),
            4 if !bytes.is_empty() => drop(bytes.remove(position)),
            // Framing in another form: lengths off by one, indefinite arrays, an element more.
            5 if !bytes.is_empty() => {
                if let Some(head) = bytes
                    .iter()
                    .skip(position)
                    .position(|byte| (0x80..0x88).contains(byte))
                {
                    let head = head + position;
                    bytes[head] = if random.below(2) == 0 {
                        0x9f
                    } else {
                        bytes[head].wrapping_add(1)
                    };
                    let end = if random.below(2) == 0 {
                        bytes.len()
                    } else {
                        random.below(bytes.len())
                    };
                    bytes.insert(end, if random.below(2) == 0 { 0xff } else { 0xf6 });
                }
            }
            _ => {
                let other = random.below(bytes.len().max(1));
                let (start, end) = (position.min(other), position.max(other).min(bytes.len()));
                let part = bytes.get(start..end).unwrap_or_default().to_vec();
                bytes.splice(start..start, part);
            }
        }
    }
    bytes
}

/// The same bytes in every run.
struct Sequence(u64);

impl Sequence {
    fn byte(&mut self) -> u8 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        self.0.to_be_bytes()[0]
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::from(u16::from_be_bytes([self.byte(), self.byte()])) % limit
    }
}
