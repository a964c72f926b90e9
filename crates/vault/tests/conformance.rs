//! One conformance suite, run over every provider.

use ockam_vault::{
    AgreementError, KeyError, OpenError, Provider, PublicKey, SecretBytes, Signature,
    SigningKeyType, SigningSecret, VerifyError, X25519Public, X25519Secret, fast, portable,
};
use proptest::prelude::*;

#[test]
fn sha256_known_answers() {
    for provider in providers() {
        let abc = bytes("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!(provider.sha256(&[b"abc"]), abc);
        assert_eq!(provider.sha256(&[b"a", b"", b"bc"]), abc);
        let empty = bytes("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        assert_eq!(provider.sha256(&[]), empty);
    }
}

#[test]
fn hkdf_gives_the_output_of_rfc_5869_test_case_3() {
    // An absent salt is 32 zero bytes.
    let expected =
        "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8";
    for provider in providers() {
        let keys = provider
            .hkdf(&[0; 32], &[0x0b; 22])
            .map(|key| *key.as_bytes());
        assert_eq!(hex::encode(&keys.concat()[..42]), expected);
    }
}

#[test]
fn hkdf_and_x25519_give_the_steps_of_the_published_handshake() {
    let vectors: serde_json::Value =
        serde_json::from_str(include_str!("../../../vectors/handshake.json")).unwrap();
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let steps = vectors["steps"].as_array().unwrap();
    let (initiator, responder) = (&vectors["initiator"], &vectors["responder"]);
    for provider in providers() {
        let agree = |secret: &serde_json::Value, public: &serde_json::Value| {
            let shared = provider
                .x25519(
                    &x25519_secret(&text(secret)),
                    &X25519Public(bytes(&text(public))),
                )
                .unwrap();
            hex::encode(shared.as_bytes())
        };
        let agreed = [
            agree(
                &responder["ephemeral_secret"],
                &initiator["ephemeral_public"],
            ),
            agree(&responder["static_secret"], &initiator["ephemeral_public"]),
            agree(&initiator["static_secret"], &responder["ephemeral_public"]),
        ];
        let mixed = steps
            .iter()
            .zip(steps.iter().skip(1))
            .filter(|(_, step)| step.get("dh").is_some());
        let mut seen = 0;
        for ((before, after), agreed) in mixed.zip(agreed) {
            assert_eq!(agreed, text(&after["dh"]));
            let [ck, k] =
                provider.hkdf(&bytes(&text(&before["ck"])), &hex::decode(agreed).unwrap());
            assert_eq!(hex::encode(ck.as_bytes()), text(&after["ck"]));
            assert_eq!(hex::encode(k.as_bytes()), text(&after["k"]));
            seen += 1;
        }
        assert_eq!(seen, 3);

        let [k1, k2] = provider.hkdf(&bytes(&text(&steps.last().unwrap()["ck"])), &[]);
        assert_eq!(
            hex::encode(k1.as_bytes()),
            text(&vectors["final"]["k1_responder_to_initiator"])
        );
        assert_eq!(
            hex::encode(k2.as_bytes()),
            text(&vectors["final"]["k2_initiator_to_responder"])
        );
    }
}

#[test]
fn x25519_gives_the_outputs_of_rfc_7748() {
    let alice = x25519_secret("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a");
    let bob = x25519_secret("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb");
    let shared = bytes("4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742");
    for provider in providers() {
        let secret =
            x25519_secret("a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4");
        let point = bytes("e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c");
        let product = bytes("c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552");
        assert_eq!(
            provider
                .x25519(&secret, &X25519Public(point))
                .unwrap()
                .as_bytes(),
            &product
        );

        let alice_public = provider.x25519_public(&alice);
        let bob_public = provider.x25519_public(&bob);
        assert_eq!(
            alice_public.0,
            bytes("8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a")
        );
        assert_eq!(
            bob_public.0,
            bytes("de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f")
        );
        assert_eq!(
            provider.x25519(&alice, &bob_public).unwrap().as_bytes(),
            &shared
        );
        assert_eq!(
            provider.x25519(&bob, &alice_public).unwrap().as_bytes(),
            &shared
        );
    }
}

#[test]
fn guard_11_2_03_all_zero_x25519_secrets_are_refused() {
    // spec: trust 11.2 (3)
    let small_order = [
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
        "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    ];
    for provider in providers() {
        for point in small_order {
            let mut point: [u8; 32] = bytes(point);
            for top_bit in [0, 0x80] {
                point[31] |= top_bit;
                let result = provider.x25519(
                    &X25519Secret::new(SecretBytes::new([0x51; 32])),
                    &X25519Public(point),
                );
                assert_eq!(
                    result,
                    Err(AgreementError::NotContributory),
                    "{provider:?} {}",
                    hex::encode(point)
                );
            }
        }
    }
}

#[test]
fn ed25519_gives_the_signatures_of_rfc_8032() {
    let cases = [
        (
            "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
            "",
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
        ),
        (
            "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
            "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
            "72",
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
        ),
        (
            "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
            "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
            "af82",
            "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
        ),
    ];
    for provider in providers() {
        for (seed, public, message, signature) in cases {
            let seed = SecretBytes::new(bytes(seed));
            let message = hex::decode(message).unwrap();
            assert_eq!(provider.ed25519_public(&seed), bytes(public));
            assert_eq!(provider.ed25519_sign(&seed, &message), bytes(signature));
            assert_eq!(
                provider.ed25519_verify(&bytes(public), &message, &bytes(signature)),
                Ok(())
            );
            let other = provider.ed25519_verify(&bytes(public), b"other", &bytes(signature));
            assert_eq!(other, Err(VerifyError::BadSignature));
        }
    }
}

#[test]
fn guard_11_2_02_ed25519_small_order_keys_are_refused() {
    // spec: trust 11.2 (2). Under each of these keys, R = key encoding of the identity and S = 0 passes the plain equation
    // for every message, or for one in eight.
    let keys = [
        "0100000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000080",
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0000000000000000000000000000000000000000000000000000000000000080",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
    ];
    let mut signature = [0; 64];
    signature[0] = 1;
    for provider in providers() {
        for key in keys {
            let key = bytes(key);
            for message in [b"one".as_slice(), b"two", b"three"] {
                assert_eq!(
                    provider.ed25519_verify(&key, message, &signature),
                    Err(VerifyError::RefusedKey)
                );
            }
            assert_eq!(
                provider.check_public_key(&PublicKey::Ed25519(key)),
                Err(KeyError::InvalidPublic)
            );
        }
    }
}

#[test]
fn ed25519_signatures_have_one_form() {
    // S + L is the same scalar; RFC 8032 refuses it. spec: trust 11.1 (6)
    let order: [u8; 32] = bytes("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010");
    let seed = SecretBytes::new([7; 32]);
    for provider in providers() {
        let public = provider.ed25519_public(&seed);
        let mut signature = provider.ed25519_sign(&seed, b"message");
        let mut carry = 0;
        for (byte, addend) in signature[32..].iter_mut().zip(order) {
            let sum = u16::from(*byte) + u16::from(addend) + carry;
            *byte = sum.to_le_bytes()[0];
            carry = sum >> 8;
        }
        assert_eq!(
            provider.ed25519_verify(&public, b"message", &signature),
            Err(VerifyError::BadSignature)
        );
    }
}

#[test]
fn p256_accepts_the_signatures_of_rfc_6979() {
    for provider in providers() {
        assert_eq!(
            provider.p256_public(&rfc_6979_secret()),
            Ok(rfc_6979_public())
        );
        for (message, signature) in RFC_6979 {
            let signature: [u8; 64] = bytes(signature);
            assert_eq!(
                provider.p256_verify(&rfc_6979_public(), message, &signature),
                Ok(())
            );
            // The other s is as good. spec: trust 1.1
            assert_eq!(
                provider.p256_verify(&rfc_6979_public(), message, &mirrored(signature)),
                Ok(())
            );
            let other = provider.p256_verify(&rfc_6979_public(), b"other", &signature);
            assert_eq!(other, Err(VerifyError::BadSignature));
        }
    }
}

#[test]
fn portable_p256_signs_as_rfc_6979_with_low_s() {
    // The fast provider draws its nonces, so only the portable one can be held to these bytes.
    for (message, signature) in RFC_6979 {
        let signature: [u8; 64] = bytes(signature);
        let expected = if is_low(&signature) {
            signature
        } else {
            mirrored(signature)
        };
        assert_eq!(
            portable().p256_sign(&rfc_6979_secret(), message),
            Ok(expected)
        );
    }
}

#[test]
fn guard_11_1_6_p256_signatures_leave_with_low_s() {
    // spec: trust 11.1 (6)
    for provider in providers() {
        for message in 0..64_u8 {
            let signature = provider.p256_sign(&rfc_6979_secret(), &[message]).unwrap();
            assert!(is_low(&signature), "{provider:?}");
        }
    }
}

#[test]
fn p256_keys_that_are_no_uncompressed_points_are_refused() {
    let good = rfc_6979_public();
    let mut off_curve = good;
    off_curve[64] ^= 1;
    let mut hybrid = good;
    hybrid[0] = 6 + (good[64] & 1);
    let mut infinity = [0; 65];
    infinity[0] = 4;
    let mut beyond_field = [0xff; 65];
    beyond_field[0] = 4;
    for provider in providers() {
        assert_eq!(provider.check_public_key(&PublicKey::P256(good)), Ok(()));
        for key in [off_curve, hybrid, infinity, beyond_field, [0; 65]] {
            assert_eq!(
                provider.check_public_key(&PublicKey::P256(key)),
                Err(KeyError::InvalidPublic)
            );
            let signature = bytes(RFC_6979[0].1);
            assert_eq!(
                provider.p256_verify(&key, b"sample", &signature),
                Err(VerifyError::RefusedKey)
            );
        }
    }
}

#[test]
fn p256_signature_numbers_out_of_range_are_refused() {
    let order = "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551";
    let (zero, one) = ("00".repeat(32), format!("{}01", "00".repeat(31)));
    for provider in providers() {
        for (r, s) in [
            (zero.as_str(), one.as_str()),
            (&one, &zero),
            (order, &one),
            (&one, order),
            (&zero, &zero),
        ] {
            let result =
                provider.p256_verify(&rfc_6979_public(), b"sample", &bytes(&format!("{r}{s}")));
            assert_eq!(result, Err(VerifyError::BadSignature));
        }
    }
}

#[test]
fn p256_secrets_out_of_range_are_refused() {
    for provider in providers() {
        for secret in [[0; 32], [0xff; 32]] {
            let secret = SecretBytes::new(secret);
            assert_eq!(provider.p256_public(&secret), Err(KeyError::InvalidSecret));
            assert_eq!(
                provider.p256_sign(&secret, b"message"),
                Err(KeyError::InvalidSecret)
            );
        }
    }
}

#[test]
fn a_signature_of_another_scheme_than_the_key_is_refused() {
    // spec: trust 1.1
    for provider in providers() {
        let ed25519 =
            SigningSecret::new(SigningKeyType::Ed25519, SecretBytes::new([5; 32])).unwrap();
        let p256 = SigningSecret::new(SigningKeyType::P256, SecretBytes::new([5; 32])).unwrap();
        for (own, other) in [(&ed25519, &p256), (&p256, &ed25519)] {
            let public = provider.public_key(own).unwrap();
            let signature = provider.sign(other, b"message").unwrap();
            assert_eq!(
                provider.verify(&public, b"message", &signature),
                Err(VerifyError::SchemeMismatch)
            );
        }
    }
}

#[test]
fn aes_256_gcm_gives_the_answers_of_the_nist_test_cases() {
    // Test cases 13 to 16 of the specification submitted to NIST.
    let key = "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308";
    let plaintext = "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b391aafd255";
    let ciphertext = "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662898015ad";
    let (no_key, no_nonce) = ("00".repeat(32), "00".repeat(12));
    let nonce = "cafebabefacedbaddecaf888";
    let cases = [
        (
            no_key.as_str(),
            no_nonce.as_str(),
            "",
            "",
            "",
            "530f8afbc74536b9a963b4f1c4cb738b",
        ),
        (
            &no_key,
            &no_nonce,
            "",
            "00000000000000000000000000000000",
            "cea7403d4d606b6e074ec5d3baf39d18",
            "d0d1c8a799996bf0265b98b5d48ab919",
        ),
        (
            key,
            nonce,
            "",
            plaintext,
            ciphertext,
            "b094dac5d93471bdec1a502270e3cc6c",
        ),
        (
            key,
            nonce,
            "feedfacedeadbeeffeedfacedeadbeefabaddad2",
            &plaintext[..120],
            &ciphertext[..120],
            "76fc6ece0f4e1768cddf8853bb2d551b",
        ),
    ];
    for provider in providers() {
        for (key, nonce, aad, plaintext, ciphertext, tag) in cases {
            let aead = provider.aead(&bytes(key));
            let (nonce, aad) = (bytes(nonce), hex::decode(aad).unwrap());
            let mut data = hex::decode(plaintext).unwrap();
            assert_eq!(aead.seal_in_place(&nonce, &aad, &mut data), bytes(tag));
            assert_eq!(hex::encode(&data), ciphertext);
            assert_eq!(
                aead.open_in_place(&nonce, &aad, &mut data, &bytes(tag)),
                Ok(())
            );
            assert_eq!(hex::encode(&data), plaintext);
        }
    }
}

#[test]
fn a_sealed_message_opens_only_unchanged() {
    for provider in providers() {
        let aead = provider.aead(&[1; 32]);
        let (nonce, aad) = ([2; 12], b"header");
        let mut sealed = *b"message";
        let tag = aead.seal_in_place(&nonce, aad, &mut sealed);
        for bit in 0..8 * tag.len() {
            let mut changed = tag;
            changed[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(
                aead.open_in_place(&nonce, aad, &mut sealed.clone(), &changed),
                Err(OpenError)
            );
        }
        for position in 0..sealed.len() {
            let mut changed = sealed;
            changed[position] ^= 1;
            assert_eq!(
                aead.open_in_place(&nonce, aad, &mut changed, &tag),
                Err(OpenError)
            );
        }
        assert_eq!(
            aead.open_in_place(&[3; 12], aad, &mut sealed.clone(), &tag),
            Err(OpenError)
        );
        assert_eq!(
            aead.open_in_place(&nonce, b"", &mut sealed.clone(), &tag),
            Err(OpenError)
        );
        assert_eq!(
            provider
                .aead(&[4; 32])
                .open_in_place(&nonce, aad, &mut sealed.clone(), &tag),
            Err(OpenError)
        );
        assert_eq!(aead.open_in_place(&nonce, aad, &mut sealed, &tag), Ok(()));
    }
}

#[test]
fn debug_of_an_aead_shows_no_key() {
    for provider in providers() {
        assert_eq!(format!("{:?}", provider.aead(&[1; 32])), "Aead([redacted])");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn each_provider_verifies_the_others_signatures(
        secret: [u8; 32],
        message in proptest::collection::vec(any::<u8>(), 0..200),
        kind in prop_oneof![Just(SigningKeyType::Ed25519), Just(SigningKeyType::P256)],
    ) {
        let Ok(secret) = SigningSecret::new(kind, SecretBytes::new(secret)) else { return Ok(()) };
        let public = fast().public_key(&secret).unwrap();
        prop_assert_eq!(&public, &portable().public_key(&secret).unwrap());
        for (signs, verifies) in [(fast(), portable()), (portable(), fast())] {
            let signature = signs.sign(&secret, &message).unwrap();
            prop_assert_eq!(verifies.verify(&public, &message, &signature), Ok(()));
        }
    }

    #[test]
    fn providers_agree_on_signatures_that_were_tampered_with(
        secret: [u8; 32],
        kind in prop_oneof![Just(SigningKeyType::Ed25519), Just(SigningKeyType::P256)],
        key_bit in proptest::option::of(0_usize..256),
        signature_bit in proptest::option::of(0_usize..512),
    ) {
        let Ok(secret) = SigningSecret::new(kind, SecretBytes::new(secret)) else { return Ok(()) };
        let mut public = portable().public_key(&secret).unwrap();
        let mut signature = portable().sign(&secret, b"message").unwrap();
        if let Some(bit) = key_bit {
            match &mut public {
                PublicKey::Ed25519(key) => key[bit / 8] ^= 1 << (bit % 8),
                PublicKey::P256(key) => key[bit / 8] ^= 1 << (bit % 8),
            }
        }
        if let Some(bit) = signature_bit {
            let (Signature::Ed25519(numbers) | Signature::P256(numbers)) = &mut signature;
            numbers[bit / 8] ^= 1 << (bit % 8);
        }
        let verdict = portable().verify(&public, b"message", &signature);
        prop_assert_eq!(fast().verify(&public, b"message", &signature), verdict);
        prop_assert_eq!(verdict.is_ok(), key_bit.is_none() && signature_bit.is_none());
    }

    #[test]
    fn providers_agree_on_everything_that_is_a_function(
        secret: [u8; 32],
        point: [u8; 32],
        nonce: [u8; 12],
        mut data in proptest::collection::vec(any::<u8>(), 0..500),
        aad in proptest::collection::vec(any::<u8>(), 0..64),
    ) {
        let [fast, portable] = providers();
        prop_assert_eq!(fast.sha256(&[&data, &aad]), portable.sha256(&[&data, &aad]));
        prop_assert_eq!(fast.hkdf(&secret, &data), portable.hkdf(&secret, &data));
        let x25519 = X25519Secret::new(SecretBytes::new(secret));
        prop_assert_eq!(fast.x25519_public(&x25519), portable.x25519_public(&x25519));
        prop_assert_eq!(fast.x25519(&x25519, &X25519Public(point)), portable.x25519(&x25519, &X25519Public(point)));
        let seed = SecretBytes::new(secret);
        prop_assert_eq!(fast.ed25519_public(&seed), portable.ed25519_public(&seed));
        prop_assert_eq!(fast.ed25519_sign(&seed, &data), portable.ed25519_sign(&seed, &data));
        let plaintext = data.clone();
        let tag = fast.aead(&secret).seal_in_place(&nonce, &aad, &mut data);
        prop_assert_eq!(portable.aead(&secret).open_in_place(&nonce, &aad, &mut data, &tag), Ok(()));
        prop_assert_eq!(data, plaintext);
    }
}

fn providers() -> [&'static dyn Provider; 2] {
    [fast(), portable()]
}

fn bytes<const N: usize>(hex: &str) -> [u8; N] {
    let mut bytes = [0; N];
    hex::decode_to_slice(hex, &mut bytes).expect("the vector has that many bytes");
    bytes
}

fn x25519_secret(hex: &str) -> X25519Secret {
    X25519Secret::new(SecretBytes::new(bytes(hex)))
}

fn rfc_6979_secret() -> SecretBytes<32> {
    SecretBytes::new(bytes(
        "c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721",
    ))
}

fn rfc_6979_public() -> [u8; 65] {
    bytes(
        "0460fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb67903fe1008b8bc99a41ae9e95628bc64f2f1b20c2d7e9f5177a3c294d4462299",
    )
}

/// Key of appendix A.2.5, SHA-256; the first signature has a high s, the second a low one.
const RFC_6979: [(&[u8], &str); 2] = [
    (
        b"sample",
        "efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8",
    ),
    (
        b"test",
        "f1abb023518351cd71d881567b1ea663ed3efcf6c5132b354f28d3b0b7d38367019f4113742a2b14bd25926b49c649155f267e60d3814b4c0cc84250e46f0083",
    ),
];

const ORDER: &str = "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551";
const HALF_ORDER: &str = "7fffffff800000007fffffffffffffffde737d56d38bcf4279dce5617e3192a8";

fn is_low(signature: &[u8; 64]) -> bool {
    signature[32..] <= bytes::<32>(HALF_ORDER)[..]
}

/// The signature with the other s.
fn mirrored(mut signature: [u8; 64]) -> [u8; 64] {
    let mut borrow = 0;
    for (s, n) in signature[32..].iter_mut().zip(bytes::<32>(ORDER)).rev() {
        let difference = 0x100 + u16::from(n) - u16::from(*s) - borrow;
        *s = difference.to_le_bytes()[0];
        borrow = 1 - (difference >> 8);
    }
    signature
}
