//! Vault files under a passphrase.

use ockam_vault::sealed::{self, Cost, MAX_SEALED_LEN, SealError, UnsealError};
use ockam_vault::{SigningKeyType, SoftwareVault, fast, portable};

#[test]
fn a_sealed_vault_opens_with_its_passphrase_under_either_provider() {
    let mut random = counting();
    let mut vault = SoftwareVault::new(fast());
    vault
        .generate_signing_key(SigningKeyType::Ed25519, &mut random)
        .unwrap();
    vault
        .generate_signing_key(SigningKeyType::P256, &mut random)
        .unwrap();
    vault.generate_agreement_key(&mut random);

    let file = sealed::seal_vault(&vault, b"correct horse", Cost::LEAST, &mut random).unwrap();
    let opened = sealed::open_vault(portable(), b"correct horse", &file).unwrap();
    assert_eq!(
        opened.records().collect::<Vec<_>>(),
        vault.records().collect::<Vec<_>>()
    );
}

#[test]
fn the_file_shows_no_secret() {
    let mut random = counting();
    let mut vault = SoftwareVault::new(fast());
    vault.generate_agreement_key(&mut random);
    let secret = vault.records().next().unwrap().secret;
    let file = sealed::seal_vault(&vault, b"p", Cost::LEAST, &mut random).unwrap();
    assert!(
        !file
            .windows(8)
            .any(|window| secret.as_bytes().windows(8).any(|part| part == window))
    );
}

#[test]
fn a_wrong_passphrase_and_a_changed_file_look_the_same() {
    let file = sealed::seal(fast(), b"right", b"content", Cost::LEAST, &mut counting()).unwrap();
    assert_eq!(
        sealed::open(fast(), b"wrong", &file),
        Err(UnsealError::DoesNotOpen)
    );
    // One byte each of salt, nonce, ciphertext and tag.
    for position in [21, 37, 49, file.len() - 1] {
        let mut changed = file.clone();
        changed[position] ^= 1;
        assert_eq!(
            sealed::open(fast(), b"right", &changed),
            Err(UnsealError::DoesNotOpen),
            "byte {position}"
        );
    }
    assert_eq!(
        sealed::open(fast(), b"right", &file).unwrap().as_slice(),
        b"content"
    );
}

#[test]
fn the_cost_in_the_header_is_authenticated() {
    let mut file =
        sealed::seal(fast(), b"right", b"content", Cost::LEAST, &mut counting()).unwrap();
    file[16] = 2;
    assert_eq!(
        sealed::open(fast(), b"right", &file),
        Err(UnsealError::DoesNotOpen)
    );
}

#[test]
fn a_hostile_file_cannot_ask_for_more_than_the_bounds() {
    let file = sealed::seal(fast(), b"right", b"content", Cost::LEAST, &mut counting()).unwrap();
    for (offset, values) in [
        (9, [0, 1, 256 * 1024 + 1, u32::MAX]),
        (13, [0, 9, 1 << 20, u32::MAX]),
        (17, [0, 9, 1 << 24, u32::MAX]),
    ] {
        for value in values {
            let mut hostile = file.clone();
            hostile[offset..offset + 4].copy_from_slice(&value.to_be_bytes());
            // No work was done: this loop would take minutes otherwise.
            assert!(
                matches!(
                    sealed::open(fast(), b"right", &hostile),
                    Err(UnsealError::Cost(_))
                ),
                "{offset} {value}"
            );
        }
    }
}

#[test]
fn what_is_no_sealed_file_is_refused() {
    let file = sealed::seal(fast(), b"right", b"", Cost::LEAST, &mut counting()).unwrap();
    for len in 0..file.len() {
        // The last few lengths leave a header but no tag.
        assert_eq!(
            sealed::open(fast(), b"right", &file[..len]),
            Err(UnsealError::NotSealed),
            "{len} bytes"
        );
    }
    let mut other = file.clone();
    other[0] = b'x';
    assert_eq!(
        sealed::open(fast(), b"right", &other),
        Err(UnsealError::NotSealed)
    );
    let mut later = file;
    later[8] = 2;
    assert_eq!(
        sealed::open(fast(), b"right", &later),
        Err(UnsealError::UnknownVersion(2))
    );
    assert_eq!(
        sealed::open(fast(), b"right", &vec![0; MAX_SEALED_LEN + 1]),
        Err(UnsealError::TooLarge)
    );
}

#[test]
fn sealed_content_that_is_no_vault_is_refused() {
    let entries: [&[u8]; 4] = [
        &[1; 32],
        &[9; 33],
        &[1; 34],
        &[[2].as_slice(), &[0; 32]].concat(),
    ];
    for content in entries {
        let file = sealed::seal(fast(), b"p", content, Cost::LEAST, &mut counting()).unwrap();
        assert!(sealed::open_vault(fast(), b"p", &file).is_err());
    }
}

#[test]
fn an_empty_passphrase_seals_nothing() {
    assert_eq!(
        sealed::seal(fast(), b"", b"content", Cost::LEAST, &mut counting()),
        Err(SealError::EmptyPassphrase)
    );
    let large = vec![0; MAX_SEALED_LEN];
    assert_eq!(
        sealed::seal(fast(), b"p", &large, Cost::LEAST, &mut counting()),
        Err(SealError::TooLarge)
    );
}

#[test]
fn files_of_version_1_keep_opening() {
    let made = sealed::seal(
        portable(),
        b"passphrase",
        b"content",
        Cost::new(8 * 1024, 2, 3).unwrap(),
        &mut counting(),
    )
    .unwrap();
    assert_eq!(hex::encode(&made), VERSION_1);
    let file = hex::decode(VERSION_1).unwrap();
    assert_eq!(
        sealed::open(fast(), b"passphrase", &file)
            .unwrap()
            .as_slice(),
        b"content"
    );
}

#[test]
fn salt_and_nonce_are_fresh_for_every_seal() {
    let mut random = counting();
    let one = sealed::seal(fast(), b"p", b"content", Cost::LEAST, &mut random).unwrap();
    let two = sealed::seal(fast(), b"p", b"content", Cost::LEAST, &mut random).unwrap();
    assert_ne!(one[21..37], two[21..37]);
    assert_ne!(one[37..49], two[37..49]);
}

/// "content" under "passphrase", 8 MiB, two passes, three lanes.
const VERSION_1: &str = "6f636b7661756c74010000200000000002000000032caab3bc3764f6107b68f25a4ca09e3796d4f4f5428e7bd97df692d9c5e0a36c9f5ebbd621b1a71b8babd9d89657ed6df223db";

/// Bytes that never repeat in a test.
fn counting() -> impl FnMut(&mut [u8]) {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    move |bytes| {
        for byte in bytes {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            *byte = state.to_be_bytes()[0];
        }
    }
}
