//! Identities, and statements that no honest program would make, properly signed.

use minicbor::Encoder;
use ockam_identity::{
    ChangeHistory, IdentityDraft, OlderPurposeKeys, RotationDraft, UnixTime, Validity,
    VerifiedHistory,
};
use ockam_vault::{
    Provider, PublicKey, SecretBytes, Signature, SigningKeyType, SigningSecret, fast, portable,
};

pub(crate) const FROM: UnixTime = UnixTime(1_700_000_000);
pub(crate) const UNTIL: UnixTime = UnixTime(4_102_444_800);

pub(crate) fn providers() -> [&'static dyn Provider; 2] {
    [fast(), portable()]
}

pub(crate) fn window() -> Validity {
    Validity::new(FROM, UNTIL).expect("it ends after it begins")
}

pub(crate) fn secret(byte: u8) -> SigningSecret {
    secret_of(SigningKeyType::Ed25519, byte)
}

pub(crate) fn secret_of(kind: SigningKeyType, byte: u8) -> SigningSecret {
    SigningSecret::new(kind, SecretBytes::new([byte; 32])).expect("the scalar is in range")
}

pub(crate) fn public(secret: &SigningSecret) -> PublicKey {
    portable()
        .public_key(secret)
        .expect("the scalar is in range")
}

pub(crate) fn sign(secret: &SigningSecret, message: &[u8]) -> Signature {
    portable()
        .sign(secret, message)
        .expect("the scalar is in range")
}

pub(crate) fn identity(secret: &SigningSecret) -> VerifiedHistory {
    identity_within(secret, window())
}

pub(crate) fn identity_within(secret: &SigningSecret, validity: Validity) -> VerifiedHistory {
    let draft = IdentityDraft::new(portable(), public(secret), validity).expect("the key is good");
    let signature = sign(secret, draft.bytes_to_sign());
    draft
        .finish(portable(), &signature)
        .expect("the signature is good")
}

pub(crate) fn rotated(
    history: &VerifiedHistory,
    old: &SigningSecret,
    new: &SigningSecret,
) -> VerifiedHistory {
    let draft = RotationDraft::new(
        portable(),
        history,
        public(new),
        window(),
        OlderPurposeKeys::Keep,
    )
    .expect("the key is good");
    let (signature, previous) = (
        sign(new, draft.bytes_to_sign()),
        sign(old, draft.bytes_to_sign()),
    );
    draft
        .finish(portable(), &signature, &previous)
        .expect("the signatures are good")
}

/// A history of one change with this data.
pub(crate) fn history_of(data: &[u8], signer: &SigningSecret) -> Vec<u8> {
    [&[0x81], change(data, signer, None).as_slice()].concat()
}

pub(crate) fn change(
    data: &[u8],
    signer: &SigningSecret,
    previous: Option<&SigningSecret>,
) -> Vec<u8> {
    let hash = portable().sha256(&[data]);
    let mut bytes = cbor(|encoder| {
        encoder
            .array(2 + u64::from(previous.is_some()))?
            .bytes(data)?;
        Ok(())
    });
    bytes.extend(signature(&sign(signer, &hash)));
    if let Some(previous) = previous {
        bytes.extend(signature(&sign(previous, &hash)));
    }
    bytes
}

/// An attestation with this data.
pub(crate) fn attestation_of(data: &[u8], signer: &SigningSecret) -> Vec<u8> {
    let hash = portable().sha256(&[data]);
    let mut bytes = cbor(|encoder| {
        encoder.array(2)?.bytes(data)?;
        Ok(())
    });
    bytes.extend(signature(&sign(signer, &hash)));
    bytes
}

/// A credential with this data.
pub(crate) fn credential_of(data: &[u8], signer: &SigningSecret) -> Vec<u8> {
    attestation_of(data, signer)
}

/// A credential and the attestation of the key that signed it.
pub(crate) fn bundle_of(credential: &[u8], attestation: &[u8]) -> Vec<u8> {
    [&[0x82], credential, attestation].concat()
}

/// Credential data about anybody, with attributes given encoded.
pub(crate) fn credential_data(
    subject: Option<&[u8]>,
    latest_change: Option<&[u8]>,
    attributes: &[u8],
    created_at: UnixTime,
    expires_at: UnixTime,
) -> Vec<u8> {
    let mut bytes = cbor(|encoder| {
        encoder.array(5)?;
        for hash in [subject, latest_change] {
            match hash {
                Some(hash) => encoder.bytes(hash)?,
                None => encoder.null()?,
            };
        }
        Ok(())
    });
    bytes.extend_from_slice(attributes);
    bytes.extend(cbor(|encoder| {
        encoder.u64(created_at.0)?.u64(expires_at.0)?;
        Ok(())
    }));
    bytes
}

pub(crate) fn versioned(version: u64, data_type: u64, data: &[u8]) -> Vec<u8> {
    cbor(|encoder| {
        encoder
            .array(3)?
            .u64(version)?
            .u64(data_type)?
            .bytes(data)?;
        Ok(())
    })
}

pub(crate) fn change_data(
    previous: Option<&[u8]>,
    key: &PublicKey,
    from: UnixTime,
    until: UnixTime,
) -> Vec<u8> {
    let mut bytes = cbor(|encoder| {
        encoder.array(5)?;
        match previous {
            Some(hash) => encoder.bytes(hash)?,
            None => encoder.null()?,
        };
        Ok(())
    });
    bytes.extend(public_key(key));
    bytes.extend(cbor(|encoder| {
        encoder.bool(false)?.u64(from.0)?.u64(until.0)?;
        Ok(())
    }));
    bytes
}

/// Attestation data whose purpose key is given encoded.
pub(crate) fn attestation_data(
    subject: &[u8],
    latest_change: &[u8],
    key: &[u8],
    created_at: UnixTime,
    expires_at: UnixTime,
) -> Vec<u8> {
    let mut bytes = cbor(|encoder| {
        encoder.array(5)?.bytes(subject)?.bytes(latest_change)?;
        Ok(())
    });
    bytes.extend_from_slice(key);
    bytes.extend(cbor(|encoder| {
        encoder.u64(created_at.0)?.u64(expires_at.0)?;
        Ok(())
    }));
    bytes
}

pub(crate) fn static_key(byte: u8) -> Vec<u8> {
    [&[0x82, 0x00, 0x81, 0x58, 0x20], [byte; 32].as_slice()].concat()
}

pub(crate) fn credential_key(key: &PublicKey) -> Vec<u8> {
    [&[0x82, 0x01, 0x81], public_key(key).as_slice()].concat()
}

pub(crate) fn public_key(key: &PublicKey) -> Vec<u8> {
    let index = match key {
        PublicKey::Ed25519(_) => 0,
        PublicKey::P256(_) => 1,
    };
    cbor(|encoder| {
        encoder
            .array(2)?
            .u8(index)?
            .array(1)?
            .bytes(key.as_bytes())?;
        Ok(())
    })
}

pub(crate) fn signature(signature: &Signature) -> Vec<u8> {
    let index = match signature {
        Signature::Ed25519(_) => 0,
        Signature::P256(_) => 1,
    };
    cbor(|encoder| {
        encoder
            .array(2)?
            .u8(index)?
            .array(1)?
            .bytes(signature.as_bytes())?;
        Ok(())
    })
}

/// The signature with the other, equally valid s.
pub(crate) fn mirrored(signature: &Signature) -> Signature {
    const ORDER: &str = "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551";
    let mut order = [0; 32];
    hex::decode_to_slice(ORDER, &mut order).expect("these are 32 bytes");
    let mut bytes = *signature.as_bytes();
    let mut borrow = 0;
    for (s, n) in bytes[32..].iter_mut().zip(order).rev() {
        let difference = 0x100 + u16::from(n) - u16::from(*s) - borrow;
        *s = difference.to_le_bytes()[0];
        borrow = 1 - (difference >> 8);
    }
    Signature::P256(bytes)
}

/// Whether the history verifies under both providers, who must be of one opinion.
pub(crate) fn verdict(bytes: &[u8]) -> Result<VerifiedHistory, ockam_identity::HistoryError> {
    let [fast, portable] =
        providers().map(|provider| VerifiedHistory::decode(provider, bytes, None));
    assert_eq!(fast.as_ref().err(), portable.as_ref().err());
    portable
}

/// A decoded history that is expected to be one.
pub(crate) fn decoded(bytes: &[u8]) -> ChangeHistory {
    ChangeHistory::decode(bytes).expect("the bytes are a history")
}

fn cbor(
    write: impl FnOnce(
        &mut Encoder<Vec<u8>>,
    ) -> Result<(), minicbor::encode::Error<core::convert::Infallible>>,
) -> Vec<u8> {
    let mut encoder = Encoder::new(Vec::new());
    write(&mut encoder).expect("writing to a vector cannot fail");
    encoder.into_writer()
}
