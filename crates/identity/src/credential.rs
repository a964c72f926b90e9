//! Credentials: what an authority says of somebody, signed with its purpose key for that.
//!
//! ```text
//! bundle       [ credential, purpose key attestation of the issuer ]
//! credential   [ data: bstr, signature ]                             data is versioned data of type 3
//! data         [ subject, subject_latest_change?, attributes, created_at, expires_at ]
//! attributes   [ schema, { name: value, .. } ]
//! ```
//!
//! A bundle travels and is stored as opaque bytes; [`CredentialBundle::verify`] makes a [`VerifiedCredential`] of it, and
//! nothing else does. There are no longer chains: the issuer's history must be known.

use alloc::vec::Vec;
use core::fmt;
use core::str::FromStr;

use minicbor::Decoder;
use ockam_vault::{Handle, Provider, SignError, Signature, Signer, VerifyError};

use crate::attestation::{AttestationError, Purpose, PurposeKeyAttestation};
use crate::attributes::Attributes;
use crate::cbor::{self, DataType, DecodeError};
use crate::history::VerifiedHistory;
use crate::identifier::{ChangeHash, Identifier};
use crate::time::{CLOCK_DRIFT_SECONDS, UnixTime};

/// The largest credential bundle that is carried.
pub const MAX_CREDENTIAL_BUNDLE_LEN: usize = 16 * 1024;

/// A credential with the attestation of the key that signed it, as it is presented: one CBOR item, not looked into.
///
/// `spec: trust 4.3`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CredentialBundle(Vec<u8>);

impl CredentialBundle {
    /// Takes these bytes, which must be one CBOR item and nothing more.
    ///
    /// # Errors
    /// [`DecodeError`] if they are too many, not CBOR, nested too deeply or more than one item.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let (bundle, len) = Self::decode_prefix(bytes)?;
        if len == bytes.len() {
            Ok(bundle)
        } else {
            Err(DecodeError::TrailingBytes(WHAT))
        }
    }

    /// Takes the CBOR item at the start of `bytes` and says how long it is.
    ///
    /// # Errors
    /// As for [`Self::decode`], except that bytes may follow.
    pub fn decode_prefix(bytes: &[u8]) -> Result<(Self, usize), DecodeError> {
        let len = cbor::item_len(bytes)?;
        let bundle = bytes.get(..len).ok_or(DecodeError::Malformed(WHAT))?;
        if len > MAX_CREDENTIAL_BUNDLE_LEN {
            return Err(DecodeError::TooLarge(WHAT));
        }
        Ok((Self(bundle.to_vec()), len))
    }

    /// Reads the hexadecimal form; surrounding white space is ignored.
    ///
    /// # Errors
    /// [`DecodeError`] if the text is not hex or what it stands for is no bundle.
    pub fn from_hex(text: &str) -> Result<Self, DecodeError> {
        let text = text.trim();
        if text.len() > 2 * MAX_CREDENTIAL_BUNDLE_LEN {
            return Err(DecodeError::TooLarge(WHAT));
        }
        Self::decode(&hex::decode(text).map_err(|_| DecodeError::NotHex)?)
    }

    /// The bundle's bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The hexadecimal form.
    pub fn to_hex(&self) -> alloc::string::String {
        hex::encode(&self.0)
    }

    /// What the credential says, whoever wrote it: for lists, never for decisions.
    ///
    /// # Errors
    /// [`DecodeError`] if the bundle holds no credential.
    pub fn peek(&self) -> Result<CredentialClaims, DecodeError> {
        Parts::read(&self.0).map(|parts| parts.claims)
    }

    /// Verifies that the holder of the history `issuer` says this now, of `subject` if one is expected.
    ///
    /// Whoever has the subject's history uses [`Self::verify_presented_by`], which checks more.
    ///
    /// `spec: trust 4.4`
    ///
    /// # Errors
    /// [`CredentialError`] naming the first rule that does not hold.
    pub fn verify(
        &self,
        provider: &dyn Provider,
        issuer: &VerifiedHistory,
        subject: Option<&Identifier>,
        now: UnixTime,
    ) -> Result<VerifiedCredential, CredentialError> {
        let parts = Parts::read(&self.0)?;
        let claims = parts.claims;
        if claims.issuer != *issuer.identifier() {
            return Err(CredentialError::OtherIssuer {
                expected: *issuer.identifier(),
                found: claims.issuer,
            });
        }
        if let Some(expected) = subject
            && claims.subject != *expected
        {
            return Err(CredentialError::OtherSubject {
                expected: *expected,
                found: claims.subject,
            });
        }
        if claims.created_at > now.plus(CLOCK_DRIFT_SECONDS) {
            return Err(CredentialError::NotYetValid(claims.created_at));
        }
        if claims.expires_at < now {
            return Err(CredentialError::Expired(claims.expires_at));
        }
        // Signatures cost the most, so they come when all else holds.
        let key = parts
            .attestation
            .verify(provider, issuer, now, Purpose::Credentials)
            .map_err(CredentialError::PurposeKey)?;
        if claims.created_at < key.created_at() || claims.expires_at > key.expires_at() {
            return Err(CredentialError::OutsidePurposeKey);
        }
        let signing = key
            .credential_signing()
            .expect("the key was verified to be for credentials");
        provider.verify(signing, &provider.sha256(&[parts.data]), &parts.signature)?;
        Ok(VerifiedCredential { claims })
    }

    /// Verifies the credential as presented by the identity with this history.
    ///
    /// A credential names the subject's latest change at the time of issuing. It stays good when the subject rotates
    /// afterwards, but a change that is not in the subject's history means another identity or a fork of this one; the
    /// published program does not look. A credential that names none is taken. `spec: trust 11.2 (10)`
    ///
    /// # Errors
    /// As for [`Self::verify`], and [`CredentialError::UnknownChange`].
    pub fn verify_presented_by(
        &self,
        provider: &dyn Provider,
        issuer: &VerifiedHistory,
        subject: &VerifiedHistory,
        now: UnixTime,
    ) -> Result<VerifiedCredential, CredentialError> {
        let credential = self.verify(provider, issuer, Some(subject.identifier()), now)?;
        if let Some(named) = credential.subject_latest_change()
            && !subject
                .changes()
                .iter()
                .any(|change| change.hash() == named)
        {
            return Err(CredentialError::UnknownChange);
        }
        Ok(credential)
    }
}

impl FromStr for CredentialBundle {
    type Err = DecodeError;

    fn from_str(text: &str) -> Result<Self, DecodeError> {
        Self::from_hex(text)
    }
}

impl fmt::Display for CredentialBundle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_hex())
    }
}

/// What a credential says; who says it has not been verified.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CredentialClaims {
    /// Of whom it speaks.
    pub subject: Identifier,
    /// Who is said to have issued it.
    pub issuer: Identifier,
    /// The subject's latest change when it was issued.
    pub subject_latest_change: Option<ChangeHash>,
    /// What it says of the subject.
    pub attributes: Attributes,
    /// When it was issued.
    pub created_at: UnixTime,
    /// The last second it is good for.
    pub expires_at: UnixTime,
}

/// A credential of which every rule held at the time of verification. Only verification makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedCredential {
    claims: CredentialClaims,
}

impl VerifiedCredential {
    /// Of whom it speaks.
    pub const fn subject(&self) -> &Identifier {
        &self.claims.subject
    }

    /// Who issued it.
    pub const fn issuer(&self) -> &Identifier {
        &self.claims.issuer
    }

    /// The subject's latest change when it was issued.
    pub const fn subject_latest_change(&self) -> Option<&ChangeHash> {
        self.claims.subject_latest_change.as_ref()
    }

    /// What it says of the subject.
    pub const fn attributes(&self) -> &Attributes {
        &self.claims.attributes
    }

    /// When it was issued.
    pub const fn created_at(&self) -> UnixTime {
        self.claims.created_at
    }

    /// The last second it is good for.
    pub const fn expires_at(&self) -> UnixTime {
        self.claims.expires_at
    }
}

/// A credential that lacks its signature.
///
/// Order of calls: [`Self::new`], sign [`Self::bytes_to_sign`] with the issuer's purpose key for credentials, [`Self::finish`].
#[derive(Debug)]
#[must_use]
pub struct CredentialDraft {
    subject: Identifier,
    created_at: UnixTime,
    data: Vec<u8>,
    hash: [u8; 32],
}

impl CredentialDraft {
    /// Drafts what is said of the identity with the history `subject`, whose latest change the credential will name.
    ///
    /// # Errors
    /// [`CredentialDraftError::Reserved`] if an attribute has a name that policies give a meaning of their own, and
    /// [`CredentialDraftError::EndsBeforeBegin`].
    pub fn new(
        provider: &dyn Provider,
        subject: &VerifiedHistory,
        attributes: Attributes,
        created_at: UnixTime,
        expires_at: UnixTime,
    ) -> Result<Self, CredentialDraftError> {
        // spec: trust 11.2 (1)
        if let Some(name) = attributes.reserved() {
            return Err(CredentialDraftError::Reserved(name));
        }
        if expires_at < created_at {
            return Err(CredentialDraftError::EndsBeforeBegin);
        }
        let data = cbor::encode(|encoder| {
            encoder
                .array(5)?
                .bytes(subject.identifier().as_bytes())?
                .bytes(subject.latest().hash().as_bytes())?;
            attributes.write(encoder)?;
            encoder.u64(created_at.0)?.u64(expires_at.0)?;
            Ok(())
        });
        let data = cbor::write_versioned_data(DataType::Credential, &data);
        let hash = provider.sha256(&[&data]);
        Ok(Self {
            subject: *subject.identifier(),
            created_at,
            data,
            hash,
        })
    }

    /// What the purpose key signs.
    pub const fn bytes_to_sign(&self) -> &[u8; 32] {
        &self.hash
    }

    /// Completes the credential; `attestation` is of the key that signed.
    ///
    /// # Errors
    /// [`CredentialDraftError::Credential`] if verifiers would not accept the result, be it that the signature is another
    /// key's or that the credential reaches beyond the attestation.
    pub fn finish(
        self,
        provider: &dyn Provider,
        issuer: &VerifiedHistory,
        attestation: &PurposeKeyAttestation,
        signature: &Signature,
    ) -> Result<CredentialBundle, CredentialDraftError> {
        let mut bytes = cbor::encode(|encoder| {
            encoder.array(2)?.array(2)?.bytes(&self.data)?;
            cbor::write_signature(encoder, signature)
        });
        bytes.extend_from_slice(attestation.as_bytes());
        let bundle = CredentialBundle::decode(&bytes).map_err(CredentialError::from)?;
        bundle.verify(provider, issuer, Some(&self.subject), self.created_at)?;
        Ok(bundle)
    }

    /// Signs with a signer that is at hand, and completes the credential.
    ///
    /// # Errors
    /// [`CredentialDraftError::Sign`] if there is no signature, otherwise as for [`Self::finish`].
    pub fn sign_with(
        self,
        provider: &dyn Provider,
        issuer: &VerifiedHistory,
        attestation: &PurposeKeyAttestation,
        (signer, handle): (&dyn Signer, &Handle),
    ) -> Result<CredentialBundle, CredentialDraftError> {
        let signature = signer.sign(handle, &self.hash)?;
        self.finish(provider, issuer, attestation, &signature)
    }
}

/// Why a credential is not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CredentialError {
    /// The bytes are no credential with its attestation.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// Somebody else issued it.
    #[error("the credential was issued by `{found}`, not by `{expected}`")]
    OtherIssuer {
        /// Who should have issued it.
        expected: Identifier,
        /// Who did.
        found: Identifier,
    },
    /// It speaks of somebody else.
    #[error("the credential is about `{found}`, not `{expected}`")]
    OtherSubject {
        /// Of whom it should speak.
        expected: Identifier,
        /// Of whom it speaks.
        found: Identifier,
    },
    /// It names a change that is not in the subject's history.
    #[error("the credential was issued to another change history of its subject")]
    UnknownChange,
    /// It comes from the future.
    #[error("the credential was issued in the future, at {0}")]
    NotYetValid(UnixTime),
    /// It has expired.
    #[error("the credential expired at {0}")]
    Expired(UnixTime),
    /// The issuer's key is not believed.
    #[error("the key that signed the credential is not accepted: {0}")]
    PurposeKey(#[source] AttestationError),
    /// It reaches beyond the time the issuer's key is good for.
    #[error("the credential reaches beyond the time its signing key is good for")]
    OutsidePurposeKey,
    /// It is not signed with the issuer's key.
    #[error("the credential is not signed with the issuer's key")]
    Signature(#[from] VerifyError),
}

/// Why there is no credential.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CredentialDraftError {
    /// An attribute has a name that policies give a meaning of their own.
    #[error("the attribute name `{0}` is reserved")]
    Reserved(&'static str),
    /// It would end before it begins.
    #[error("the credential would end before it begins")]
    EndsBeforeBegin,
    /// There is no signature.
    #[error(transparent)]
    Sign(#[from] SignError),
    /// Verifiers would not accept the result.
    #[error(transparent)]
    Credential(#[from] CredentialError),
}

/// A bundle taken apart; nothing of it has been verified.
struct Parts<'b> {
    /// What is hashed and signed, as received.
    data: &'b [u8],
    signature: Signature,
    attestation: PurposeKeyAttestation,
    claims: CredentialClaims,
}

impl<'b> Parts<'b> {
    fn read(bytes: &'b [u8]) -> Result<Self, DecodeError> {
        cbor::whole(bytes, WHAT, |decoder| {
            cbor::structure(decoder, WHAT, |fields| {
                let (data, signature) = fields.required(|decoder| {
                    cbor::structure(decoder, "credential", |fields| {
                        Ok((fields.bytes()?, fields.required(cbor::signature)?))
                    })
                })?;
                // spec: trust 11.1 (2): the type is checked before the data is looked at.
                let content = cbor::versioned_data(data, DataType::Credential)?;
                let attestation = fields.required(|decoder| {
                    let rest = bytes.get(decoder.position()..).unwrap_or_default();
                    let (attestation, len) = PurposeKeyAttestation::decode_prefix(rest)?;
                    decoder.set_position(decoder.position() + len);
                    Ok(attestation)
                })?;
                let claims = read_claims(content, *attestation.subject())?;
                Ok(Self {
                    data,
                    signature,
                    attestation,
                    claims,
                })
            })
        })
    }
}

fn read_claims(bytes: &[u8], issuer: Identifier) -> Result<CredentialClaims, DecodeError> {
    const WHAT: &str = "credential data";
    let hash = |decoder: &mut Decoder<'_>| {
        let bytes = decoder.bytes().map_err(|_| DecodeError::Malformed(WHAT))?;
        cbor::fixed::<32>(bytes, WHAT)
    };
    cbor::whole(bytes, WHAT, |decoder| {
        cbor::structure(decoder, WHAT, |fields| {
            Ok(CredentialClaims {
                // The format allows none, verifiers do not. spec: trust 4.4 (6)
                subject: Identifier::new(
                    fields.optional(hash)?.ok_or(DecodeError::Malformed(WHAT))?,
                ),
                issuer,
                subject_latest_change: fields.optional(hash)?.map(ChangeHash::new),
                attributes: fields.required(Attributes::read)?,
                created_at: UnixTime(fields.uint()?),
                expires_at: UnixTime(fields.uint()?),
            })
        })
    })
}

const WHAT: &str = "credential bundle";
