//! Purpose keys: what an identity's other keys are for, signed with its latest primary key.

use alloc::vec::Vec;
use core::fmt;

use minicbor::Decoder;
use ockam_vault::{
    Handle, KeyError, Provider, PublicKey, SignError, Signature, Signer, VerifyError, X25519Public,
};

use crate::cbor::{self, DataType, DecodeError};
use crate::history::VerifiedHistory;
use crate::identifier::{ChangeHash, Identifier};
use crate::time::{CLOCK_DRIFT_SECONDS, UnixTime};

/// The usual lifetime of a purpose key: five years of 365 days.
///
/// `spec: trust 3.2`
pub const PURPOSE_KEY_SECONDS: u64 = 157_680_000;

/// The most bytes an attestation may have.
pub const MAX_ATTESTATION_LEN: usize = 4 * 1024;

/// What a purpose key is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// The static key of secure channels.
    SecureChannel,
    /// Signing credentials.
    Credentials,
}

impl Purpose {
    /// The name the published program stores for this purpose.
    ///
    /// `spec: trust 1.4`
    pub const fn name(self) -> &'static str {
        match self {
            Self::SecureChannel => "SC_PK",
            Self::Credentials => "C_PK",
        }
    }

    /// The purpose with that stored name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::SecureChannel, Self::Credentials]
            .into_iter()
            .find(|purpose| purpose.name() == name)
    }
}

impl fmt::Display for Purpose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SecureChannel => "secure channels",
            Self::Credentials => "signing credentials",
        })
    }
}

/// The public half of a purpose key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PurposePublicKey {
    /// The static key of secure channels.
    SecureChannelStatic(X25519Public),
    /// A key that signs credentials.
    CredentialSigning(PublicKey),
}

impl PurposePublicKey {
    /// What the key is for.
    pub const fn purpose(&self) -> Purpose {
        match self {
            Self::SecureChannelStatic(_) => Purpose::SecureChannel,
            Self::CredentialSigning(_) => Purpose::Credentials,
        }
    }
}

/// A decoded attestation; nothing of it has been verified, and nothing but [`Self::verify`] can be done with it.
#[derive(Clone)]
pub struct PurposeKeyAttestation {
    bytes: Vec<u8>,
    /// What is hashed and signed, as received.
    data: Vec<u8>,
    content: AttestationData,
    signature: Signature,
}

impl PurposeKeyAttestation {
    /// Reads an attestation that fills `bytes`.
    ///
    /// # Errors
    /// [`DecodeError`] if the bytes are no attestation, too many, or more than an attestation.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let (attestation, len) = Self::decode_prefix(bytes)?;
        if len == bytes.len() {
            Ok(attestation)
        } else {
            Err(DecodeError::TrailingBytes(WHAT))
        }
    }

    /// Reads the attestation at the start of `bytes`, as it stands inside larger structures, and says how long it is.
    ///
    /// # Errors
    /// As for [`Self::decode`], except that bytes may follow.
    pub fn decode_prefix(bytes: &[u8]) -> Result<(Self, usize), DecodeError> {
        let len = cbor::item_len(bytes)?;
        if len > MAX_ATTESTATION_LEN {
            return Err(DecodeError::TooLarge(WHAT));
        }
        let bytes = bytes.get(..len).ok_or(DecodeError::Malformed(WHAT))?;
        let attestation = cbor::structure(&mut Decoder::new(bytes), WHAT, |fields| {
            let data = fields.bytes()?;
            let content = AttestationData::read(cbor::versioned_data(
                data,
                DataType::PurposeKeyAttestation,
            )?)?;
            let signature = fields.required(cbor::signature)?;
            Ok(Self {
                bytes: bytes.to_vec(),
                data: data.to_vec(),
                content,
                signature,
            })
        })?;
        Ok((attestation, len))
    }

    /// Who is said to have made it.
    pub(crate) const fn subject(&self) -> &Identifier {
        &self.content.subject
    }

    /// The attestation's bytes as received.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Verifies that the holder of `history` says now that this key is for `purpose`.
    ///
    /// `spec: trust 3.3`
    ///
    /// # Errors
    /// [`AttestationError`] naming the first rule that does not hold.
    pub fn verify(
        &self,
        provider: &dyn Provider,
        history: &VerifiedHistory,
        now: UnixTime,
        purpose: Purpose,
    ) -> Result<VerifiedPurposeKey, AttestationError> {
        let content = &self.content;
        let latest = history.latest();
        if content.subject != *history.identifier() {
            return Err(AttestationError::OtherSubject {
                expected: *history.identifier(),
                found: content.subject,
            });
        }
        if content.public_key.purpose() != purpose {
            return Err(AttestationError::OtherPurpose(content.public_key.purpose()));
        }
        if content.subject_latest_change != *latest.hash() {
            return Err(AttestationError::NotLatestChange);
        }
        let window = latest.validity();
        if content.created_at < window.from() || content.expires_at > window.until() {
            return Err(AttestationError::OutsideWindow);
        }
        if content.created_at > now.plus(CLOCK_DRIFT_SECONDS) {
            return Err(AttestationError::NotYetValid(content.created_at));
        }
        if content.expires_at < now {
            return Err(AttestationError::Expired(content.expires_at));
        }
        if let PurposePublicKey::CredentialSigning(key) = &content.public_key {
            provider.check_public_key(key)?;
        }
        provider.verify(
            latest.primary_public_key(),
            &provider.sha256(&[&self.data]),
            &self.signature,
        )?;
        Ok(VerifiedPurposeKey {
            subject: content.subject,
            public_key: content.public_key.clone(),
            created_at: content.created_at,
            expires_at: content.expires_at,
        })
    }
}

impl fmt::Debug for PurposeKeyAttestation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PurposeKeyAttestation({})", hex::encode(&self.bytes))
    }
}

/// A purpose key of which every rule held. Only verification makes one.
#[derive(Clone, Debug)]
pub struct VerifiedPurposeKey {
    subject: Identifier,
    public_key: PurposePublicKey,
    created_at: UnixTime,
    expires_at: UnixTime,
}

impl VerifiedPurposeKey {
    /// Whose key it is.
    pub const fn subject(&self) -> &Identifier {
        &self.subject
    }

    /// The key.
    pub const fn public_key(&self) -> &PurposePublicKey {
        &self.public_key
    }

    /// The key, if it is for secure channels.
    pub const fn secure_channel_static(&self) -> Option<&X25519Public> {
        match &self.public_key {
            PurposePublicKey::SecureChannelStatic(key) => Some(key),
            PurposePublicKey::CredentialSigning(_) => None,
        }
    }

    /// The key, if it is for signing credentials.
    pub const fn credential_signing(&self) -> Option<&PublicKey> {
        match &self.public_key {
            PurposePublicKey::CredentialSigning(key) => Some(key),
            PurposePublicKey::SecureChannelStatic(_) => None,
        }
    }

    /// When the attestation was made.
    pub const fn created_at(&self) -> UnixTime {
        self.created_at
    }

    /// The last second the key is good for.
    pub const fn expires_at(&self) -> UnixTime {
        self.expires_at
    }
}

/// An attestation that lacks its signature.
///
/// Order of calls: [`Self::new`], sign [`Self::bytes_to_sign`] with the identity's latest primary key, [`Self::finish`].
#[derive(Debug)]
#[must_use]
pub struct PurposeKeyDraft<'a> {
    history: &'a VerifiedHistory,
    data: Vec<u8>,
    hash: [u8; 32],
    created_at: UnixTime,
    purpose: Purpose,
}

impl<'a> PurposeKeyDraft<'a> {
    /// Drafts an attestation of `key`, good for `lifetime` seconds (usually [`PURPOSE_KEY_SECONDS`]) but not beyond the window of
    /// the primary key: the published program leaves that out and makes keys nobody accepts. `spec: trust 11.2 (22)`
    ///
    /// # Errors
    /// [`PurposeKeyDraftError`] if the primary key's window has ended or begins only later than verifiers tolerate.
    pub fn new(
        provider: &dyn Provider,
        history: &'a VerifiedHistory,
        key: PurposePublicKey,
        now: UnixTime,
        lifetime: u64,
    ) -> Result<Self, PurposeKeyDraftError> {
        if let PurposePublicKey::CredentialSigning(key) = &key {
            provider.check_public_key(key)?;
        }
        let window = history.latest().validity();
        if now > window.until() {
            return Err(PurposeKeyDraftError::PrimaryKeyExpired(window.until()));
        }
        if window.from() > now.plus(CLOCK_DRIFT_SECONDS) {
            return Err(PurposeKeyDraftError::PrimaryKeyNotYetValid(window.from()));
        }
        let created_at = now.max(window.from());
        let content = AttestationData {
            subject: *history.identifier(),
            subject_latest_change: *history.latest().hash(),
            created_at,
            expires_at: now.plus(lifetime).min(window.until()),
            public_key: key,
        };
        let purpose = content.public_key.purpose();
        let data = content.to_signed_data();
        let hash = provider.sha256(&[&data]);
        Ok(Self {
            history,
            data,
            hash,
            created_at,
            purpose,
        })
    }

    /// What the primary key signs.
    pub const fn bytes_to_sign(&self) -> &[u8; 32] {
        &self.hash
    }

    /// The key that signs.
    pub const fn signing_key(&self) -> &PublicKey {
        self.history.latest().primary_public_key()
    }

    /// Completes the attestation.
    ///
    /// # Errors
    /// [`PurposeKeyDraftError::Attestation`] if the signature is not the primary key's.
    pub fn finish(
        self,
        provider: &dyn Provider,
        signature: &Signature,
    ) -> Result<PurposeKeyAttestation, PurposeKeyDraftError> {
        let bytes = cbor::encode(|encoder| {
            encoder.array(2)?.bytes(&self.data)?;
            cbor::write_signature(encoder, signature)
        });
        let attestation = PurposeKeyAttestation::decode(&bytes).map_err(AttestationError::from)?;
        attestation.verify(provider, self.history, self.created_at, self.purpose)?;
        Ok(attestation)
    }

    /// Signs with a signer that is at hand, and completes the attestation.
    ///
    /// # Errors
    /// [`PurposeKeyDraftError::Sign`] if there is no signature, [`PurposeKeyDraftError::Attestation`] if it is not the key's.
    pub fn sign_with(
        self,
        provider: &dyn Provider,
        signer: &dyn Signer,
        handle: &Handle,
    ) -> Result<PurposeKeyAttestation, PurposeKeyDraftError> {
        let signature = signer.sign(handle, &self.hash)?;
        self.finish(provider, &signature)
    }
}

/// Why an attestation is not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AttestationError {
    /// The bytes are no attestation.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// The attestation speaks of another identity.
    #[error("the attestation is about `{found}`, not `{expected}`")]
    OtherSubject {
        /// Who it should be about.
        expected: Identifier,
        /// Who it is about.
        found: Identifier,
    },
    /// The key is for something else.
    #[error("the purpose key is for {0}")]
    OtherPurpose(Purpose),
    /// The attestation was made under a change that is not the identity's latest.
    #[error("the attestation was not made under the identity's latest change")]
    NotLatestChange,
    /// The attestation reaches beyond the window of the primary key.
    #[error("the attestation reaches beyond the window of the primary key")]
    OutsideWindow,
    /// The attestation comes from the future.
    #[error("the attestation was made in the future, at {0}")]
    NotYetValid(UnixTime),
    /// The attestation has expired.
    #[error("the attestation expired at {0}")]
    Expired(UnixTime),
    /// The attested key is one that verifiers refuse.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The attestation is not signed with the identity's primary key.
    #[error("the attestation is not signed with the primary key")]
    Signature(#[from] VerifyError),
}

/// Why there is no attestation.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PurposeKeyDraftError {
    /// The primary key's window has ended; the identity needs a rotation.
    #[error("the primary key expired at {0}; rotate the identity")]
    PrimaryKeyExpired(UnixTime),
    /// The primary key's window has not begun.
    #[error("the primary key is not valid before {0}")]
    PrimaryKeyNotYetValid(UnixTime),
    /// The key is one that verifiers refuse.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// There is no signature.
    #[error(transparent)]
    Sign(#[from] SignError),
    /// The result does not verify.
    #[error(transparent)]
    Attestation(#[from] AttestationError),
}

/// What an attestation says.
#[derive(Clone, Debug)]
struct AttestationData {
    subject: Identifier,
    subject_latest_change: ChangeHash,
    public_key: PurposePublicKey,
    created_at: UnixTime,
    expires_at: UnixTime,
}

impl AttestationData {
    fn read(bytes: &[u8]) -> Result<Self, DecodeError> {
        const WHAT: &str = "attestation data";
        cbor::whole(bytes, WHAT, |decoder| {
            cbor::structure(decoder, WHAT, |fields| {
                Ok(Self {
                    subject: Identifier::new(cbor::fixed(fields.bytes()?, WHAT)?),
                    subject_latest_change: ChangeHash::new(cbor::fixed(fields.bytes()?, WHAT)?),
                    public_key: fields.required(read_purpose_key)?,
                    created_at: UnixTime(fields.uint()?),
                    expires_at: UnixTime(fields.uint()?),
                })
            })
        })
    }

    fn to_signed_data(&self) -> Vec<u8> {
        let data = cbor::encode(|encoder| {
            encoder
                .array(5)?
                .bytes(self.subject.as_bytes())?
                .bytes(self.subject_latest_change.as_bytes())?;
            match &self.public_key {
                PurposePublicKey::SecureChannelStatic(key) => {
                    encoder.array(2)?.u8(0)?.array(1)?.bytes(key.as_bytes())?;
                }
                PurposePublicKey::CredentialSigning(key) => {
                    encoder.array(2)?.u8(1)?.array(1)?;
                    cbor::write_public_key(encoder, key)?;
                }
            }
            encoder.u64(self.created_at.0)?.u64(self.expires_at.0)?;
            Ok(())
        });
        cbor::write_versioned_data(DataType::PurposeKeyAttestation, &data)
    }
}

fn read_purpose_key(decoder: &mut Decoder<'_>) -> Result<PurposePublicKey, DecodeError> {
    const WHAT: &str = "purpose key";
    cbor::variant(decoder, WHAT, |index, fields| match index {
        0 => Ok(PurposePublicKey::SecureChannelStatic(X25519Public(
            cbor::fixed(fields.bytes()?, WHAT)?,
        ))),
        1 => Ok(PurposePublicKey::CredentialSigning(
            fields.required(cbor::public_key)?,
        )),
        _ => Err(DecodeError::Malformed(WHAT)),
    })
}

const WHAT: &str = "purpose key attestation";
