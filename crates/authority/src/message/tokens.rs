//! Bodies about one-time codes and about tokens of a sign-in service.

use std::fmt;

use ockam_identity::OneTimeCode;
use ockam_wire::DecodeError;
use ockam_wire::cbor::set_once;
use zeroize::Zeroizing;

use super::members::INNER;
use super::{MemberAttributes, MessageError, encode, whole};

/// Asks for a one-time code.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CreateToken {
    /// What whoever redeems it becomes.
    pub attributes: MemberAttributes,
    /// For how many seconds it can be redeemed; the authority's default if absent.
    pub ttl_secs: Option<u64>,
    /// How often it can be redeemed; once if absent.
    pub ttl_count: Option<u64>,
}

impl CreateToken {
    /// The encoded body.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        encode(|out| {
            let optional =
                usize::from(self.ttl_secs.is_some()) + usize::from(self.ttl_count.is_some());
            out.map(1 + optional as u64)?.u8(1)?;
            self.attributes.write(out)?;
            if let Some(seconds) = self.ttl_secs {
                out.u8(2)?.u64(seconds)?;
            }
            if let Some(uses) = self.ttl_count {
                out.u8(3)?.u64(uses)?;
            }
            Ok(())
        })
    }

    /// Reads the body.
    ///
    /// # Errors
    /// It is something else, or has more attributes than a member may have.
    pub fn decode(body: &[u8]) -> Result<Self, MessageError> {
        whole(body, |reader| {
            let (mut attributes, mut seconds, mut uses) = (None, None, None);
            reader.entries(|reader, key| match key {
                1 => Ok(set_once(
                    &mut attributes,
                    "attributes",
                    MemberAttributes::read(reader)?,
                )?),
                2 => Ok(set_once(&mut seconds, "ttl_secs", reader.uint()?)?),
                3 => Ok(set_once(&mut uses, "ttl_count", reader.uint()?)?),
                _ => Ok::<(), MessageError>(reader.skip(INNER)?),
            })?;
            Ok(Self {
                attributes: attributes.ok_or(DecodeError::Missing("attributes"))?,
                ttl_secs: seconds,
                ttl_count: uses,
            })
        })
    }
}

/// The body that holds a one-time code; wiped when dropped.
#[must_use]
pub fn encode_one_time_code(code: &OneTimeCode) -> Zeroizing<Vec<u8>> {
    // Room from the start: a vector that grows leaves copies behind.
    let mut body = Zeroizing::new(Vec::with_capacity(36));
    body.extend_from_slice(&[0xa1, 0x01, 0x58, 0x20]);
    body.extend_from_slice(code.as_bytes());
    body
}

/// Reads the body that holds a one-time code.
///
/// # Errors
/// It is something else.
pub fn decode_one_time_code(body: &[u8]) -> Result<OneTimeCode, MessageError> {
    whole(body, |reader| {
        let mut code = None;
        reader.entries(|reader, key| match key {
            1 => {
                let read = OneTimeCode::from_slice(reader.bytes()?)
                    .map_err(|_| DecodeError::Unexpected("a code of 32 bytes"))?;
                Ok(set_once(&mut code, "one_time_code", read)?)
            }
            _ => Ok::<(), MessageError>(reader.skip(INNER)?),
        })?;
        Ok(code.ok_or(DecodeError::Missing("one_time_code"))?)
    })
}

/// The kind of an access token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OidcTokenKind {
    /// Whoever bears it has the rights.
    Bearer,
}

/// Becomes a member by an access token of a sign-in service. `spec: trust 7.3`
#[derive(Clone, PartialEq, Eq)]
pub struct AuthenticateOidcToken {
    /// The kind of the token.
    pub kind: OidcTokenKind,
    /// The token itself; wiped when dropped.
    pub access_token: Zeroizing<String>,
}

impl AuthenticateOidcToken {
    /// The encoded body; wiped when dropped.
    #[must_use]
    pub fn encode(&self) -> Zeroizing<Vec<u8>> {
        let body = encode(|out| {
            out.map(2)?.u8(1)?.u8(self.kind as u8)?;
            out.u8(2)?.str(&self.access_token)?.ok()
        });
        Zeroizing::new(body)
    }

    /// Reads the body.
    ///
    /// # Errors
    /// It is something else, or the token is longer than [`MAX_TOKEN_LEN`].
    pub fn decode(body: &[u8]) -> Result<Self, MessageError> {
        whole(body, |reader| {
            let (mut kind, mut token) = (None, None);
            reader.entries(|reader, key| match key {
                1 => match reader.uint()? {
                    0 => Ok(set_once(&mut kind, "token_type", OidcTokenKind::Bearer)?),
                    _ => Err(DecodeError::Unexpected("a bearer token").into()),
                },
                2 => {
                    let text = reader.text()?;
                    if text.len() > MAX_TOKEN_LEN {
                        return Err(MessageError::TokenTooLong);
                    }
                    let text = Zeroizing::new(text.to_owned());
                    Ok(set_once(&mut token, "access_token", text)?)
                }
                _ => Ok::<(), MessageError>(reader.skip(INNER)?),
            })?;
            Ok(Self {
                kind: kind.ok_or(DecodeError::Missing("token_type"))?,
                access_token: token.ok_or(DecodeError::Missing("access_token"))?,
            })
        })
    }
}

impl fmt::Debug for AuthenticateOidcToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthenticateOidcToken")
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}

/// The longest access token that is passed on to a sign-in service.
pub const MAX_TOKEN_LEN: usize = 16 * 1024;
