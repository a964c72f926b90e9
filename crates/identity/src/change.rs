//! One change of an identity as it is written.

use alloc::vec::Vec;

use minicbor::Decoder;
use ockam_vault::{PublicKey, Signature};

use crate::cbor::{self, DataType, DecodeError};
use crate::identifier::ChangeHash;
use crate::time::UnixTime;

/// A decoded change; nothing of it has been verified.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    /// What is hashed and signed, as received.
    pub(crate) data: Vec<u8>,
    pub(crate) content: ChangeData,
    pub(crate) signature: Signature,
    pub(crate) previous_signature: Option<Signature>,
}

/// What a change says.
#[derive(Clone, Debug)]
pub(crate) struct ChangeData {
    pub(crate) previous_change: Option<ChangeHash>,
    pub(crate) primary_public_key: PublicKey,
    pub(crate) revoke_all_purpose_keys: bool,
    pub(crate) attestations_valid_from: UnixTime,
    pub(crate) attestations_valid_until: UnixTime,
}

impl Change {
    pub(crate) fn read(decoder: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        cbor::structure(decoder, "change", |fields| {
            let data = fields.bytes()?;
            let content = ChangeData::read(cbor::versioned_data(data, DataType::Change)?)?;
            let signature = fields.required(cbor::signature)?;
            let previous_signature = fields.optional(cbor::signature)?;
            Ok(Self {
                data: data.to_vec(),
                content,
                signature,
                previous_signature,
            })
        })
    }

    /// Writes one change as an element of a history.
    pub(crate) fn write(
        data: &[u8],
        signature: &Signature,
        previous_signature: Option<&Signature>,
    ) -> Vec<u8> {
        cbor::encode(|encoder| {
            // spec: trust 0.2 (2): a trailing absent element is cut off.
            encoder
                .array(2 + u64::from(previous_signature.is_some()))?
                .bytes(data)?;
            cbor::write_signature(encoder, signature)?;
            previous_signature.map_or(Ok(()), |signature| {
                cbor::write_signature(encoder, signature)
            })
        })
    }
}

impl ChangeData {
    fn read(bytes: &[u8]) -> Result<Self, DecodeError> {
        const WHAT: &str = "change data";
        cbor::whole(bytes, WHAT, |decoder| {
            cbor::structure(decoder, WHAT, |fields| {
                let previous_change = fields.optional(|decoder| {
                    let hash = decoder.bytes().map_err(|_| DecodeError::Malformed(WHAT))?;
                    Ok(ChangeHash::new(cbor::fixed(hash, WHAT)?))
                })?;
                Ok(Self {
                    previous_change,
                    primary_public_key: fields.required(cbor::public_key)?,
                    revoke_all_purpose_keys: fields.bool()?,
                    attestations_valid_from: UnixTime(fields.uint()?),
                    attestations_valid_until: UnixTime(fields.uint()?),
                })
            })
        })
    }

    /// The bytes that are hashed and signed.
    pub(crate) fn to_signed_data(&self) -> Vec<u8> {
        let data = cbor::encode(|encoder| {
            encoder.array(5)?;
            match &self.previous_change {
                Some(hash) => encoder.bytes(hash.as_bytes())?,
                None => encoder.null()?,
            };
            cbor::write_public_key(encoder, &self.primary_public_key)?;
            encoder
                .bool(self.revoke_all_purpose_keys)?
                .u64(self.attestations_valid_from.0)?
                .u64(self.attestations_valid_until.0)?;
            Ok(())
        });
        cbor::write_versioned_data(DataType::Change, &data)
    }
}
