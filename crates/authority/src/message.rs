//! The bodies of requests to an authority and of its answers.
//!
//! ```text
//! AddMember             { 1: bstr(32) member, 2: { * tstr => tstr } }                       direct authenticator
//! CreateToken           { 1: { * tstr => tstr }, 2: uint seconds?, 3: uint uses? }          token issuer
//! OneTimeCode           { 1: bstr(32) }                                                     token issuer, acceptor
//! AuthenticateOidcToken { 1: uint kind, 2: tstr token }                                     okta
//! AttributesEntry       { 1: { * numbers => numbers }, 2: uint added, 3: uint expires?, 4: bstr(32) by? }
//! MemberList            { * bstr(32) => AttributesEntry }
//! identifiers           [ * bstr(32) ]
//! numbers               [ * uint below 256 ]                        bytes, written as an array: "k" is 81 18 6b
//! ```
//!
//! Readers take what the published program takes (`trust 0.2`) and refuse bytes behind the body, keys that come twice and
//! attributes beyond [`MAX_ATTRIBUTES`] and [`MAX_ATTRIBUTES_LEN`].
//!
//! Specification: trust 7.3, 8.3. The body of failures is [`ockam_wire::envelope::ErrorBody`].

mod attributes;
mod members;
mod pages;
mod tokens;
mod withdrawals;

pub use attributes::{
    ENROLLER, MAX_ATTRIBUTE_NAME_LEN, MAX_ATTRIBUTES, MAX_ATTRIBUTES_LEN, MemberAttributes,
    MemberAttributesError, PROJECT, RELAY, RESERVED, RESERVED_BY_AUTHORITIES, ROLE,
    TLS_CERTIFICATE, TRUST_CONTEXT,
};
pub use members::{AddMember, AttributesEntry, IdentifierList, MemberList};
pub use pages::{Page, PageRequest};
pub use tokens::{
    AuthenticateOidcToken, CreateToken, MAX_TOKEN_LEN, OidcTokenKind, decode_one_time_code,
    encode_one_time_code,
};
pub use withdrawals::{MAX_WITHDRAWALS, Notices, Question, Run};

use minicbor::Encoder;
use ockam_identity::Identifier;
use ockam_wire::DecodeError;
use ockam_wire::cbor::Reader;

/// Why the body of a request or an answer was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MessageError {
    /// It is not the structure that belongs here.
    #[error("malformed body: {0}")]
    Malformed(#[from] DecodeError),
    /// It has attributes that no member may have.
    #[error(transparent)]
    Attributes(#[from] MemberAttributesError),
    /// A token is longer than [`MAX_TOKEN_LEN`].
    #[error("the access token is too long")]
    TokenTooLong,
}

/// Reads one body and refuses bytes behind it.
pub(crate) fn whole<'a, T>(
    body: &'a [u8],
    read: impl FnOnce(&mut Reader<'a>) -> Result<T, MessageError>,
) -> Result<T, MessageError> {
    let mut reader = Reader::new(body);
    let value = read(&mut reader)?;
    reader.finish()?;
    Ok(value)
}

pub(crate) fn identifier(reader: &mut Reader<'_>) -> Result<Identifier, DecodeError> {
    Identifier::try_from(reader.bytes()?)
        .map_err(|_| DecodeError::Unexpected("an identifier of 32 bytes"))
}

/// A map of that many entries that are written already.
pub(crate) fn counted_map(count: u64, entries: &[u8]) -> Vec<u8> {
    let mut map = encode(|out| out.map(count)?.ok());
    map.extend_from_slice(entries);
    map
}

/// Writes to a vector, which cannot fail.
pub(crate) fn encode(write: impl FnOnce(&mut Encoder<Vec<u8>>) -> Written) -> Vec<u8> {
    let mut encoder = Encoder::new(Vec::new());
    write(&mut encoder).expect("writing to a vector cannot fail");
    encoder.into_writer()
}

pub(crate) type Written = Result<(), minicbor::encode::Error<std::convert::Infallible>>;
